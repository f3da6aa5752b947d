"""How an op is written in LaTeX, as a template for MathML: the op table says it once."""
from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Final

from .latex import GREEK
from .text import INSIDE

__all__ = ["translated"]

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{\w+\}|\\[A-Za-z]+|\\.|[\^_]|\s+|.", re.DOTALL)
_SIGNS: Final = {"leq": "<=", "geq": ">=", "neq": "!=", "wedge": "∧", "vee": "∨", "neg": "¬", "oplus": "⊕", "otimes": "⊗", "forall": "∀",
                 "exists": "∃", "sum": "∑", "prod": "∏", "cdot": "·", "bmod": " mod ", "lvert": "|", "rvert": "|", "lceil": "⌈",
                 "rceil": "⌉", "lfloor": "⌊", "rfloor": "⌋", "lVert": "‖", "rVert": "‖"}
_FUNCTIONS: Final = frozenset(["log", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "max", "min", "det"])
_LETTERS: Final = frozenset(["operatorname", "mathrm", "mathsf", "mathbf", "text"])


class _UnknownError(Exception):
    """A command that has no translation."""


@cache
def translated(latex: str, element: Callable[..., str], greek: Callable[[str], str]) -> str | None:
    """The template with elements in place of LaTeX's commands, None where there is one that it does not know.

    Args:
        element: makes an element of its name and parts.
        greek: a Greek letter by its name.
    """
    try:
        return _Reader(latex, element, greek).sequence() if latex else None
    except _UnknownError:
        return None


class _Reader:
    def __init__(self, latex: str, element: Callable[..., str], greek: Callable[[str], str]) -> None:
        self.tokens = [t for t in _TOKEN.findall(latex) if t not in ("\\left", "\\right", "\\,")]
        self.at = 0
        self.element, self.greek = element, greek

    def next(self) -> str:
        self.at += 1
        token: str = self.tokens[self.at - 1]
        return token

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else "}}"

    def sequence(self) -> str:
        """What stands before the end of a group."""
        text = ""
        while self.peek() != "}}":
            atom = self.atom()
            while self.peek() in ("^", "_"):
                name = "msup" if self.next() == "^" else "msub"
                atom = self.element(name, atom, INSIDE + self.group() + INSIDE)
            text += atom
        return text

    def group(self) -> str:
        if self.peek() != "{{":
            return self.atom()
        self.next()
        text = self.sequence()
        self.next()
        return text

    def atom(self) -> str:
        token = self.next()
        if token == "{{":
            self.at -= 1
            return self.group()
        if not token.startswith("\\"):
            return token
        name = token[1:]
        if name == "frac":
            return self.element("mfrac", *(INSIDE + self.group() + INSIDE for _ in range(2)))
        if name == "sqrt" and self.peek() != "[":
            return self.element("msqrt", INSIDE + self.group() + INSIDE)
        if name in _LETTERS:
            self._skip_space()
            return self.group()
        if name in _SIGNS:
            return _SIGNS[name]
        if name in _FUNCTIONS:
            return name + (self.element("mspace", attributes=" width='0.17em'") if self.peek().isspace() else "")
        name = name.removeprefix("var")  # the variant form
        if name in GREEK:
            return self.greek(name)
        raise _UnknownError(token)

    def _skip_space(self) -> None:
        while self.peek().isspace():
            self.next()
