"""Statements of Python source as `ruff format` writes them. What would be wrapped is left to its line by `# fmt: skip`."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

__all__ = ["call", "scalar_type", "statement", "tuple_text", "unwrapped"]

WIDTH = 88
_STRING = re.compile(r"""'([^'"\\\\]*)'""")


def statement(depth: int, text: str) -> list[str]:
    """A statement, or the head of a compound one, as it is formatted; one with slices has to be given so."""
    head = text.endswith(":")
    (parsed,) = ast.parse(f"{text} pass" if head else text).body
    if isinstance(parsed, ast.Assign) and isinstance(parsed.value, ast.Tuple) and isinstance(parsed.targets[0], ast.Tuple):
        sides = parsed.targets[0], parsed.value
        text = " = ".join(", ".join(map(ast.unparse, side.elts)) for side in sides)  # without parentheses
    elif not any(isinstance(part, ast.Slice) for part in ast.walk(parsed)):
        text = ast.unparse(parsed)
    if head:
        text = text.removesuffix("pass").rstrip()
    text = _STRING.sub(r'"\1"', text)
    return [unwrapped("    " * depth + text)]


def unwrapped(line: str) -> str:
    """A line of a statement as it is, also where it is long."""
    return line if len(line) <= WIDTH else f"{line}  # fmt: skip"


def call(depth: int, name: str, arguments: Sequence[str], end: str = "") -> list[str]:
    """A call, or the head of a definition; in several lines where it is long."""
    indent = "    " * depth
    line = f"{indent}{name}({', '.join(arguments)}){end}"
    if len(line) <= WIDTH:
        return [line]
    return [f"{indent}{name}(", *(f"{indent}    {argument}," for argument in arguments), f"{indent}){end}"]


def tuple_text(items: Iterable[str]) -> str:
    """A tuple of expressions."""
    listed = list(items)
    return f"({', '.join(listed)}{',' if len(listed) == 1 else ''})"


def scalar_type(dtype: np.dtype[Any]) -> str:
    """The name of a dtype in NumPy's namespace."""
    return "bool_" if dtype.kind == "b" else dtype.name
