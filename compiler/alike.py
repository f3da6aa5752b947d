"""Steps of a program that are the same but for names: a Python loop of steps on arrays leaves many, which are compiled once."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from .loopnest import Convert, Index, IndexExpr, IndexOp, Kernel, Let, Literal, Load, Loop, Operand, Product, RowBlocks, Side, Statement
from .sizes import Size, substitute, symbol
from .statements import Body, accesses, with_accesses

__all__ = ["Shift", "from_start", "pattern"]

Part = str | int | float | bool | Size | None | tuple["Part", ...]
Step = Kernel | Product | RowBlocks
AnyStep = TypeVar("AnyStep", bound=Kernel | Product | RowBlocks)
Shift = tuple[str, int, int]  # a buffer is read and written at one place of an axis: (buffer, axis, place)


def pattern(step: Step) -> tuple[Part, ...]:
    """What the step's code depends on: equal for steps that differ in the names of buffers, values, labels and sizes only."""
    return _Reader(step.sizes).step(step)


class _Reader:
    """Names become numbers in the order in which they are met, sizes are told by their place among the arguments."""

    def __init__(self, sizes: Sequence[str]) -> None:
        self.symbols: dict[str, Size] = {name: symbol(f"s{k}") for k, name in enumerate(sizes)}
        self.numbers: dict[str, int] = {}
        self.sizes: dict[Size, Size] = {}

    def name(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))

    def size(self, size: Size) -> Size:
        if isinstance(size, int):
            return size
        if size not in self.sizes:
            self.sizes[size] = substitute(size, self.symbols)
        return self.sizes[size]

    def symbol(self, name: str) -> Size:
        return self.symbols.get(name, name)  # type: ignore[arg-type]

    def step(self, step: Step) -> tuple[Part, ...]:
        buffers = tuple((self.name(b.name), b.dtype.str, b.rank, b.written, b.contiguous) for b in step.buffers)
        sizes = tuple(self.symbol(name) for name in step.sizes)
        kind = self.kernel if isinstance(step, Kernel) else self.product if isinstance(step, Product) else self.row_blocks
        return type(step).__name__, buffers, sizes, *kind(step)  # type: ignore[arg-type]

    # ------------------------------------------------------------------------------------------- kernels
    def kernel(self, kernel: Kernel) -> Iterator[Part]:
        yield kernel.splittable, kernel.across
        yield tuple((self.name(buffer), op) for buffer, op in kernel.reduces)
        yield tuple(map(self.name, kernel.streams))
        yield tuple(self.statements(kernel.body))
        if (short := kernel.variant) is not None:
            yield tuple((self.symbol(name), size) for name, size in short.sizes)
            yield tuple((self.name(buffer), axis, count) for buffer, axis, count in short.strides)
            yield tuple(self.statements(short.body))

    def operand(self, value: Operand) -> Part:
        return ("literal", *(str(b) for b in value._bits())) if isinstance(value, Literal) else self.name(value)

    def index(self, expression: IndexExpr) -> Part:
        if isinstance(expression, Index):
            return "index", self.name(expression.name)
        if isinstance(expression, IndexOp):
            return expression.op, self.index(expression.left), self.index(expression.right)
        return self.size(expression)

    def statements(self, body: Sequence[Statement]) -> Iterator[Part]:
        name, operand, index = self.name, self.operand, self.index
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
                inside = name(s.index), *self.statements(s.body)
                yield "loop", self.size(s.extent), first, inside, *(name(c.update) for c in s.carried)
            else:
                yield type(s).__name__, name(s.buffer), *map(index, s.index), operand(s.value)

    # ------------------------------------------------------------------------------------------- products, row blocks
    def product(self, product: Product) -> Iterator[Part]:
        yield tuple(tuple(map(self.name, labels)) for labels in product.groups)
        yield tuple(self.side(side) for side in (product.out, product.left, product.right))
        yield tuple((self.name(label), self.size(size)) for label, size in product.extents)
        yield product.scale.hex(), product.accumulate, self.size(product.parts), product.routine
        yield self.step(product.loops)

    def side(self, side: Side) -> Part:
        labels = tuple(self.name(label) if label else None for label in side.labels)
        return self.name(side.buffer), tuple(map(self.size, side.start)), labels, side.steps

    def row_blocks(self, blocks: RowBlocks) -> Iterator[Part]:
        for member in blocks.members:
            yield self.name(member.label) if member.label else None, self.step(member.step)
        for buffers in blocks.local, blocks.sums:
            yield tuple((self.name(b.name), b.dtype.str, b.rank, tuple(map(self.size, shape))) for b, shape in buffers)
        yield tuple(map(self.size, (blocks.extent, blocks.rows, blocks.parts, blocks.scratch)))


# ------------------------------------------------------------------------------------------------ x[3], x[4], ...
def from_start(step: Step) -> tuple[Step, tuple[Shift, ...]]:
    """The step as if arrays that it touches at one place of an axis, which is not 0, began there; and these places."""
    local = {b.name for b, _ in (*step.local, *step.sums)} if isinstance(step, RowBlocks) else set()
    found: dict[tuple[str, int], int | None] = {}
    for buffer, place in _touched(step):
        for axis, at in enumerate(place):
            at = at if isinstance(at, int) else None
            if found.setdefault((buffer, axis), at) != at:
                found[buffer, axis] = None
    shifts = {key: at for key, at in found.items() if at and key[0] not in local}
    return (_moved(step, shifts), tuple((*key, at) for key, at in shifts.items())) if shifts else (step, ())


def _touched(step: Step) -> Iterator[tuple[str, tuple[IndexExpr | None, ...]]]:
    """(buffer, where along each axis) of every access; None along an axis that a label counts."""
    if isinstance(step, Kernel):
        for body in (step.body, *([] if step.variant is None else [step.variant.body])):
            for buffer, index, _ in accesses(body):
                yield buffer, index
    elif isinstance(step, Product):
        for side in (step.out, step.left, step.right):
            yield side.buffer, tuple(None if label else at for at, label in zip(side.start, side.labels, strict=True))
        yield from _touched(step.loops)
    else:
        for member in step.members:
            yield from _touched(member.step)


def _moved(step: AnyStep, shifts: dict[tuple[str, int], int]) -> AnyStep:
    def place(buffer: str, index: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(0 if (buffer, axis) in shifts else at for axis, at in enumerate(index))

    def body(statements: Body) -> Body:
        return with_accesses(statements, lambda s: replace(s, index=place(s.buffer, s.index)))

    if isinstance(step, Kernel):
        variant = None if step.variant is None else replace(step.variant, body=body(step.variant.body))
        return replace(step, body=body(step.body), variant=variant)
    if isinstance(step, Product):
        out, left, right = (replace(side, start=place(side.buffer, side.start)) for side in (step.out, step.left, step.right))
        return replace(step, out=out, left=left, right=right, loops=_moved(step.loops, shifts))
    return replace(step, members=tuple(replace(m, step=_moved(m.step, shifts)) for m in step.members))
