"""Loop nests: the small, explicit form between the tensor IR and machine code.

A `Kernel` is a tree of counted loops over scalar statements in single-assignment form. It knows nothing of tensors: a
buffer is a pointer with byte strides, an index is integer arithmetic over loop variables, sizes and integer values.
Two emitters read it: `emit_llvm` (what runs) and `emit_source` (what people read, and what tests run as an oracle).

Invariants:
    * A name is assigned once. A name assigned in a loop body is visible in that body and in the loops inside it; a
      `Carried` name is the running value inside its loop and the final value after it.
    * Only the main loop of a kernel, the last one of its outermost level, may be run over ranges: where the kernel is
      `splittable`. Its iterations write different elements, except of the buffers that it `reduces`: each range needs
      its own copy of those, and the copies are combined by the op named there.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from .sizes import Size, floordiv, maximum, minimum

__all__ = [
    "WIDE",
    "Buffer",
    "Carried",
    "Convert",
    "Index",
    "IndexExpr",
    "IndexOp",
    "Kernel",
    "Let",
    "Literal",
    "Load",
    "Loop",
    "Member",
    "Names",
    "Operand",
    "Product",
    "RowBlocks",
    "Side",
    "Statement",
    "Store",
    "StoreAdd",
    "Variant",
    "in_turn",
    "names_of",
    "walk",
]


GRAIN = 64  # rows side by side; less would leave vectors half full
WIDE = 256  # columns and terms of a product; BLAS on all rows at once moves more of both from memory more often into registers


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """A constant operand; `value` is a Python bool, int or float, `dtype` decides its bits.

    Literals are equal where their bits are: 0.0 and -0.0 are not.
    """

    value: bool | int | float
    dtype: np.dtype

    def _bits(self) -> tuple[object, ...]:
        return (self.value.hex() if isinstance(self.value, float) else int(self.value), self.dtype)

    def __eq__(self, other: object) -> bool:
        return self._bits() == other._bits() if isinstance(other, Literal) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._bits())


Operand = str | Literal


@dataclass(frozen=True, slots=True)
class Index:
    """A loop variable, or an int64 scalar computed in the body (an index that was loaded)."""

    name: str


@dataclass(frozen=True, slots=True)
class IndexOp:
    """Integer arithmetic on indices; `op` is one of `+ - * // % min max`. `//` and `%` only see non-negative values."""

    op: str
    left: IndexExpr
    right: IndexExpr


IndexExpr = Index | IndexOp | Size


@dataclass(frozen=True, slots=True)
class Buffer:
    """An array argument of a kernel.

    `contiguous` is a promise (the array was allocated by the caller in C order); without it the strides passed at the
    call are used. `written` buffers never overlap any other buffer.
    """

    name: str
    dtype: np.dtype
    rank: int
    written: bool = False
    contiguous: bool = False


@dataclass(frozen=True, slots=True)
class Let:
    """`target = op(*args)`: an elementwise op of the op table, by name, giving `dtype`.

    `reassociate` allows a reduction's running value to be split into lanes; nothing else may be reordered.
    """

    target: str
    op: str
    args: tuple[Operand, ...]
    dtype: np.dtype
    reassociate: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """`target = buffer[index]`. With `when` (the name of a bool): reads only where it is true, `otherwise` elsewhere."""

    target: str
    buffer: str
    index: tuple[IndexExpr, ...]
    when: str | None = None
    otherwise: Literal | None = None


@dataclass(frozen=True, slots=True)
class Convert:
    """`target = index` as an int64 scalar value (an `iota`, or a size used as a number)."""

    target: str
    index: IndexExpr


@dataclass(frozen=True, slots=True)
class Store:
    """`buffer[index] = value`."""

    buffer: str
    index: tuple[IndexExpr, ...]
    value: Operand


@dataclass(frozen=True, slots=True)
class StoreAdd:
    """`buffer[index] += value`, in the order of the loop (scatter-add: several iterations may meet in one element)."""

    buffer: str
    index: tuple[IndexExpr, ...]
    value: Operand


@dataclass(frozen=True, slots=True)
class Carried:
    """A value carried round a loop: `name` starts as `initial` and becomes `update` (a name of the body) each time."""

    name: str
    initial: Operand
    update: str
    dtype: np.dtype


@dataclass(frozen=True, slots=True)
class Loop:
    """`for index in range(extent): body`, with carried values."""

    index: str
    extent: Size
    body: tuple[Statement, ...]
    carried: tuple[Carried, ...] = ()


Statement = Let | Load | Convert | Store | StoreAdd | Loop


@dataclass(frozen=True, slots=True)
class Variant:
    """The body for sizes that are small and known: it may be run where they, and the byte strides of buffers, are as stated."""

    sizes: tuple[tuple[str, int], ...]
    strides: tuple[tuple[str, int, int], ...]  # (buffer, axis, bytes)
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """One loop nest over buffers. `sizes` are the size symbols it reads (passed at the call, in this order).

    `streams` are the buffers that it may write past the caches; if there are any, it takes one argument more, which says whether.
    `across`: its main loop runs in strips, inside the other loops (see the module of that name).
    """

    name: str
    buffers: tuple[Buffer, ...]
    sizes: tuple[str, ...]
    body: tuple[Statement, ...]
    splittable: bool = False
    reduces: tuple[tuple[str, str], ...] = ()
    variant: Variant | None = None
    streams: tuple[str, ...] = ()
    across: bool = False
    note: str = field(default="", compare=False)

    @property
    def grain(self) -> int:
        """Ranges of the main loop should have a multiple of so many iterations."""
        return GRAIN if self.across else 1


@dataclass(frozen=True, slots=True)
class Side:
    """A tensor of a product, as it lies in a buffer: `start[k] + steps[k] * i` along axis k, i being what its label counts.

    An axis whose label is empty stays where it starts. A label without an axis repeats the elements.
    """

    buffer: str
    start: tuple[Size, ...]
    labels: tuple[str, ...]
    steps: tuple[int, ...]

    def __str__(self) -> str:
        """An axis as its label, with where it starts and how it steps unless that is 0 and 1."""
        at = ((start, label or "0", by) for start, label, by in zip(self.start, self.labels, self.steps, strict=True))
        axes = (f"{'' if by == 1 else f'{by}*'}{label}{'' if start == 0 else f' + {start}'}" for start, label, by in at)
        return f"{self.buffer}[{', '.join(axes)}]"


@dataclass(frozen=True, slots=True)
class Product:
    """`out (+)= scale * left * right`, summed over the labels that are not in `out`, by a routine of BLAS.

    `out` is written whole, or added to where `accumulate`; its buffer is dense and overlaps no other. It takes the same
    arguments as `loops`, the loop nest that computes the same, and one more: the address of `routine`, which may be 0. It
    runs in `parts`, a number of ranges that may run apart.
    `groups` are the labels of a stack of matrices, of the rows (in `out` and `left`), of what is summed over, and of the
    columns (in `out` and `right`); the last axis of `out` is one of columns.
    """

    name: str
    buffers: tuple[Buffer, ...]
    sizes: tuple[str, ...]
    routine: str
    out: Side
    left: Side
    right: Side
    groups: tuple[str, str, str, str]
    extents: tuple[tuple[str, Size], ...]
    scale: float
    accumulate: bool
    parts: Size
    loops: Kernel

    @property
    def splittable(self) -> bool:
        """Its parts may run apart, as ranges of a kernel's main loop may."""
        return True

    @property
    def reduces(self) -> tuple[tuple[str, str], ...]:
        """They write different elements."""
        return ()

    def __str__(self) -> str:
        factor = "" if self.scale == 1.0 else f"{self.scale!r} * "
        return f"{self.out} {'+=' if self.accumulate else '='} {factor}{self.left} * {self.right}, by {self.routine}"


@dataclass(frozen=True, slots=True)
class Member:
    """A kernel, or a matrix product along the axis that `label` counts, as a part of row blocks."""

    step: Kernel | Product
    label: str = ""

    @property
    def reduces(self) -> tuple[tuple[str, str], ...]:
        """What it sums over rows: each block adds to it."""
        summed = isinstance(self.step, Product) and self.label in self.step.groups[2]
        return ((self.step.buffers[-1].name, "add"),) if summed else self.step.reduces


@dataclass(frozen=True, slots=True)
class RowBlocks:
    """Kernels and products along the same rows: all of them for some rows, then for the next.

    Every member runs over a range [start, stop) of `extent` rows: of its main loop, or of the axis that its label counts. What
    is `local` has memory for the rows of one block; nobody else reads it. The rows are cut into `parts` that may run apart, those
    of a part into blocks of at most `rows`; both depend on sizes alone. It takes a kernel's arguments and one more: the
    address of `scratch` bytes, its own in each part.

    Attributes:
        local: with their shapes, of which the first size is `extent`.
        sums: what kernels reduce, with its shape.
        copies: kernels that run before it and make what only its products read.
        plain: the same as steps that run one after another, instead of it where it does not pay.
        wide: of each product, the smaller of its two other sizes: columns, terms.
    """

    name: str
    buffers: tuple[Buffer, ...]
    sizes: tuple[str, ...]
    members: tuple[Member, ...]
    local: tuple[tuple[Buffer, tuple[Size, ...]], ...]
    sums: tuple[tuple[Buffer, tuple[Size, ...]], ...]
    extent: Size
    rows: Size
    parts: Size
    scratch: Size
    copies: tuple[Kernel, ...]
    plain: tuple[Kernel | Product, ...]
    wide: tuple[Size, ...]

    @property
    def large(self) -> Size:
        """1 where some product is wide: the `plain` steps run; else 0."""
        return minimum(1, sum((maximum(0, floordiv(size - 1, WIDE)) for size in self.wide), start=0))

    @property
    def splittable(self) -> bool:
        """Its parts may run apart."""
        return True

    @property
    def reduces(self) -> tuple[tuple[str, str], ...]:
        """(buffer, combining op) of what its members sum over rows."""
        return tuple(dict.fromkeys(pair for member in self.members for pair in member.reduces))


def in_turn(steps: Iterable[object]) -> list[tuple[Kernel | Product | RowBlocks, Size]]:
    """The kernels, products and row blocks of a program in order, each with the size that says whether it runs: 1, or 0 if not."""
    found: list[tuple[Kernel | Product | RowBlocks, Size]] = []
    for step in steps:
        if isinstance(step, RowBlocks):
            found += [(member, step.large) for member in step.plain if step.large != 0]
            found += [*((copy, 1 - step.large) for copy in step.copies), (step, 1 - step.large)]
        elif isinstance(step, Kernel | Product):
            found.append((step, 1))
    return found


def walk(body: tuple[Statement, ...]) -> Iterator[Statement]:
    """Every statement of a body in order, loops before what they contain."""
    stack = list(reversed(body))
    while stack:
        statement = stack.pop()
        yield statement
        if isinstance(statement, Loop):
            stack.extend(reversed(statement.body))


def names_of(index: IndexExpr) -> Iterator[str]:
    """The names in an index expression."""
    stack = [index]
    while stack:
        item = stack.pop()
        if isinstance(item, Index):
            yield item.name
        elif isinstance(item, IndexOp):
            stack += [item.left, item.right]


class Names:
    """Fresh names, apart from those that are taken."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken, self.count = set(taken), 0

    @classmethod
    def beside(cls, *kernels: Kernel) -> Names:
        """Names that none of the kernels has yet."""
        taken = {b.name for kernel in kernels for b in kernel.buffers}
        for kernel in kernels:
            for s in walk(kernel.body):
                if isinstance(s, Loop):
                    taken.update((s.index, *(c.name for c in s.carried)))
                elif isinstance(s, Let | Load | Convert):
                    taken.add(s.target)
        return cls(taken)

    def fresh(self, stem: str = "v") -> str:
        while True:
            name = f"{stem}{self.count}"
            self.count += 1
            if name not in self.taken:
                return name
