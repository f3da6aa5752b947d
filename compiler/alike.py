"""Kernels that are the same but for names: a Python loop of steps on arrays leaves many, which are compiled once."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from .loopnest import Convert, Index, IndexExpr, IndexOp, Kernel, Let, Literal, Load, Loop, Operand, Statement
from .sizes import Size

__all__ = ["pattern"]

Part = str | int | float | bool | Size | None | tuple["Part", ...]


def pattern(kernel: Kernel) -> tuple[Part, ...]:
    """What the kernel's code depends on: equal for kernels that differ in the names of buffers and values only."""
    numbers: dict[str, int] = {}

    def name(text: str) -> int:
        return numbers.setdefault(text, len(numbers))

    def operand(value: Operand) -> Part:
        return ("literal", *(str(b) for b in value._bits())) if isinstance(value, Literal) else name(value)

    def index(expression: IndexExpr) -> Part:
        if isinstance(expression, Index):
            return "index", name(expression.name)
        if isinstance(expression, IndexOp):
            return expression.op, index(expression.left), index(expression.right)
        return expression

    def statements(body: Sequence[Statement]) -> Iterator[Part]:
        for s in body:
            if isinstance(s, Let):
                yield "let", s.op, s.dtype.str, s.reassociate, *map(operand, s.args), name(s.target)
            elif isinstance(s, Load):
                when = None if s.when is None else name(s.when)
                otherwise = None if s.otherwise is None else operand(s.otherwise)
                yield "load", name(s.buffer), *map(index, s.index), when, otherwise, name(s.target)
            elif isinstance(s, Convert):
                yield "convert", index(s.index), name(s.target)
            elif isinstance(s, Loop):
                first = tuple((operand(c.initial), c.dtype.str, name(c.name)) for c in s.carried)
                inside = name(s.index), *statements(s.body)
                yield "loop", s.extent, first, inside, *(name(c.update) for c in s.carried)
            else:
                yield type(s).__name__, name(s.buffer), *map(index, s.index), operand(s.value)

    buffers = tuple((name(b.name), b.dtype.str, b.rank, b.written, b.contiguous) for b in kernel.buffers)
    reduces = tuple((name(buffer), op) for buffer, op in kernel.reduces)
    variant: Part = None
    body = tuple(statements(kernel.body))
    if (short := kernel.variant) is not None:
        strides = tuple((name(buffer), axis, count) for buffer, axis, count in short.strides)
        variant = tuple(tuple(s) for s in short.sizes), strides, tuple(statements(short.body))
    return buffers, kernel.sizes, kernel.splittable, reduces, body, variant
