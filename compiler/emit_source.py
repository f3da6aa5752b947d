"""Loop nests to Python source: what people read, what is exported, and what tests run as an oracle.

The source is one function `def <kernel>(<buffers>, <sizes>)` of `for` loops, one assignment for each value. It runs as
plain Python and under `numba.njit(error_model="numpy")`, in the namespace that `source_namespace` gives; the two
emitters agree within the rounding of libm against `vecmath`, and of sums in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from .loopnest import (
    Convert,
    Index,
    IndexExpr,
    IndexOp,
    Kernel,
    Let,
    Load,
    Loop,
    Operand,
    Statement,
    Store,
)
from .ops.lowering import Lowering
from .sizes import Size, SizeExpr, Symbol

__all__ = ["emit_lines", "emit_source", "size_text", "source_namespace"]

# how tightly an index expression binds
_SUM, _PRODUCT, _ATOM = 1, 2, 3
Text = tuple[str, int]
Line = tuple[str, tuple[str, ...]]  # and the names, or the buffer, that it sets


def emit_source(kernel: Kernel, lowering: Callable[[str], Lowering]) -> str:
    """The kernel as the source of one Python function.

    Args:
        kernel: the loop nest; its names are Python identifiers other than `np`, `math`, `vm`, `min`, `max`, `range`.
        lowering: the op table's spellings, by name.
    """
    return "".join(f"{text}\n" for text, _ in emit_lines(kernel, lowering))


def emit_lines(kernel: Kernel, lowering: Callable[[str], Lowering]) -> list[Line]:
    """The same, line by line, with what each line sets."""
    lines: list[Line] = [(f"def {kernel.name}({', '.join([*(buffer.name for buffer in kernel.buffers), *kernel.sizes])}):", ())]
    dtypes = {buffer.name: buffer.dtype for buffer in kernel.buffers}
    _block(kernel.body, 1, lines, dtypes, lowering)
    if len(lines) == 1:
        lines.append(("    pass", ()))
    return lines


def _block(
    body: Sequence[Statement],
    depth: int,
    lines: list[Line],
    dtypes: dict[str, np.dtype[Any]],
    lowering: Callable[[str], Lowering],
) -> None:
    indent = "    " * depth
    for statement in body:
        if isinstance(statement, Loop):
            if statement.carried:
                names = tuple(c.name for c in statement.carried)
                lines.append((indent + _assign(names, [_operand(c.initial) for c in statement.carried]), names))
            lines.append((f"{indent}for {statement.index} in range({_size(statement.extent)[0]}):", ()))
            inside = len(lines)
            _block(statement.body, depth + 1, lines, dtypes, lowering)
            if statement.carried:
                names = tuple(c.name for c in statement.carried)
                lines.append(("    " * (depth + 1) + _assign(names, [c.update for c in statement.carried]), names))
            if len(lines) == inside:
                lines.append(("    " * (depth + 1) + "pass", ()))
        elif isinstance(statement, Let):
            lines.append((f"{indent}{statement.target} = {_let(statement, lowering(statement.op))}", (statement.target,)))
        elif isinstance(statement, Load):
            element = _element(statement.buffer, statement.index)
            if statement.when is not None and statement.otherwise is not None:
                element = f"{element} if {statement.when} else {_operand(statement.otherwise)}"
            lines.append((f"{indent}{statement.target} = {element}", (statement.target,)))
        elif isinstance(statement, Convert):
            lines.append((f"{indent}{statement.target} = {_index(statement.index)}", (statement.target,)))
        else:
            plus = "=" if isinstance(statement, Store) else "|=" if dtypes[statement.buffer].kind == "b" else "+="
            text = f"{_element(statement.buffer, statement.index)} {plus} {_operand(statement.value)}"
            lines.append((indent + text, (statement.buffer,)))


def _assign(targets: Sequence[str], values: Sequence[str]) -> str:
    return f"{', '.join(targets)} = {', '.join(values)}"


def _let(statement: Let, lowering: Lowering) -> str:
    text = lowering.source.format(*map(_operand, statement.args), dtype=statement.dtype.name)
    # numba widens (int32 + int32 is int64, float32 with a literal is float64), and helpers may return Python floats,
    # whose division by zero raises
    helper = lowering.source.startswith(("math.", "vm."))
    kept = lowering.source.startswith("np.{dtype}") or (
        statement.dtype in (np.float64, np.int64, np.bool_) and not helper
    )
    return text if kept else f"np.{statement.dtype.name}({text})"


def _operand(operand: Operand) -> str:
    if isinstance(operand, str):
        return operand
    value, dtype = operand.value, operand.dtype
    if dtype.kind == "f":
        exact = dtype.type(value)
        text = (
            str(exact) if np.isfinite(exact) else "math.nan" if np.isnan(exact) else f"{'-' * bool(exact < 0)}math.inf"
        )
        return text if dtype == np.float64 else f"np.{dtype.name}({text})"
    if dtype.kind == "b":
        return str(bool(value))
    return str(int(value)) if dtype == np.int64 else f"np.{dtype.name}({int(value)})"


def _element(buffer: str, index: Sequence[IndexExpr]) -> str:
    return f"{buffer}[{', '.join(map(_index, index)) or '()'}]"


# ---------------------------------------------------------------- index arithmetic
def _index(expression: IndexExpr) -> str:
    """The text of an index expression, simplified, without recursion: generated index arithmetic can be deep."""
    pending: list[Any] = [expression]
    done: list[Text] = []
    while pending:
        current = pending.pop()
        if isinstance(current, str):
            right, left = done.pop(), done.pop()
            done.append(_combine(current, left, right))
        elif isinstance(current, IndexOp):
            pending += [current.op, current.right, current.left]
        else:
            done.append((current.name, _ATOM) if isinstance(current, Index) else _size(current))
    return done.pop()[0]


def _combine(op: str, left: Text, right: Text) -> Text:
    (a, a_binds), (b, b_binds) = left, right
    if op in ("min", "max"):
        return f"{op}({a}, {b})", _ATOM
    if op in ("+", "-"):
        if b == "0":
            return left
        if op == "+" and a == "0":
            return right
        if b.startswith("-") and b[1:].isalnum():
            op, b, b_binds = "-" if op == "+" else "+", b[1:], _ATOM
        elif b.startswith("-"):
            b_binds = 0
        return f"{a} {op} {_wrap(b, b_binds, _SUM if op == '+' else _PRODUCT)}", _SUM
    if op == "*":
        if "0" in (a, b):
            return "0", _ATOM
        if a == "1":
            return right
    if b == "1" and op in ("*", "//"):
        return left
    spaced = f" {op} " if op != "*" else "*"
    return f"{_wrap(a, a_binds, _PRODUCT)}{spaced}{_wrap(b, b_binds, _ATOM)}", _PRODUCT


def _wrap(text: str, binds: int, needed: int) -> str:
    return text if binds >= needed else f"({text})"


def size_text(size: Size) -> str:
    """A size as an expression of its symbols."""
    return _size(size)[0]


def _size(size: Size) -> Text:
    if not isinstance(size, SizeExpr):
        return str(size), _ATOM if size >= 0 else 0
    total: Text = ("0", _ATOM)
    for monomial, coefficient in sorted(size.terms, key=lambda term: (term[1] < 0, -len(term[0]))):
        product: Text = ("1", _ATOM)
        for atom in monomial:
            factor = (
                (atom.name, _ATOM)
                if isinstance(atom, Symbol)
                else _combine(atom.op, _size(atom.left), _size(atom.right))
            )
            product = _combine("*", product, factor)
        if total[0] == "0" and coefficient < 0:
            total = (f"-{_wrap(*_combine('*', (str(-coefficient), _ATOM), product), _PRODUCT)}", 0)
        else:
            total = _combine(
                "-" if coefficient < 0 else "+", total, _combine("*", (str(abs(coefficient)), _ATOM), product)
            )
    return total


# ---------------------------------------------------------------- running it
@cache
def source_namespace(compiled: bool) -> dict[str, Any]:
    """What emitted source refers to: `np`, `math`, `vm`, `special`. Copy it before executing source in it.

    Args:
        compiled: for source that goes through numba, which knows nothing of scipy.special.
    """
    import math

    from . import scalar_functions

    helpers: ModuleType = scalar_functions
    if compiled:
        import numba

        helpers = ModuleType("vm")
        for name in scalar_functions.__all__:
            setattr(helpers, name, numba.njit(error_model="numpy")(getattr(scalar_functions, name)))
    else:
        from scipy import special
    return {"np": np, "math": math, "vm": helpers, **({} if compiled else {"special": special})}
