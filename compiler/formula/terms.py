"""Terms: mathematics as people write it, between the IR and paper.

A term is an element of an array as a function of index labels: `A[i,j]`, `sum_j A[i,j]*x[j]`, `sin(x)`. Terms are
interned in the table that made them (see `algebra`), so equal terms are one object.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Union

from ..op import Names
from ..sizes import Size

if TYPE_CHECKING:
    from .algebra import Table


class Label(NamedTuple):
    """An index: an axis of a result (`a0`, `a1`), or a bound one (`b<depth>.<k>`: deeper than all that it encloses)."""

    name: str
    size: Size


Index = Union[Label, "Term"]


def axes(shape: Sequence[Size]) -> tuple[Label, ...]:
    """The labels of an array's axes."""
    return tuple(Label(f"a{k}", size) for k, size in enumerate(shape))


class Function(Protocol):
    """What a function of numbers needs to be written: an op of the table, or a `Presented`."""

    @property
    def name(self) -> str: ...

    @property
    def names(self) -> Names: ...

    @property
    def params(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, eq=False)
class Presented:
    """A function that exists on paper only: several ops of the IR together are one name for people."""

    name: str
    names: Names
    params: tuple[str, ...] = ()
    arity: int | None = 1


class Term:
    """A term. `free` are its labels in order of occurrence; `weight` is its size as a tree, `height` its depth as one,
    `skeleton` stands for its form without labels, `serial` for when it was made.
    """

    __slots__ = ("depth", "free", "height", "serial", "skeleton", "table", "weight")
    table: Table
    free: tuple[Label, ...]
    depth: int
    height: int
    weight: int
    skeleton: int
    serial: int

    def parts(self) -> tuple[Term, ...]:
        """The terms directly inside."""
        return ()

    def labels(self) -> tuple[Label, ...]:
        """The labels that occur directly, bound ones not counted."""
        return ()

    def __add__(self, other: Any) -> Term:
        return self.table.add(self, self.table.lift(other))

    def __radd__(self, other: Any) -> Term:
        return self.table.add(self.table.lift(other), self)

    def __sub__(self, other: Any) -> Term:
        return self.table.add(self, -self.table.lift(other))

    def __rsub__(self, other: Any) -> Term:
        return self.table.add(self.table.lift(other), -self)

    def __neg__(self) -> Term:
        return self.table.mul(self.table.lift(-1), self)

    def __mul__(self, other: Any) -> Term:
        return self.table.mul(self, self.table.lift(other))

    def __rmul__(self, other: Any) -> Term:
        return self.table.mul(self.table.lift(other), self)

    def __truediv__(self, other: Any) -> Term:
        return self.table.mul(self, self.table.power(self.table.lift(other), self.table.lift(-1)))

    def __rtruediv__(self, other: Any) -> Term:
        return self.table.lift(other) / self

    def __pow__(self, other: Any) -> Term:
        return self.table.power(self, self.table.lift(other))

    def __rpow__(self, other: Any) -> Term:
        return self.table.power(self.table.lift(other), self)


class Number(Term):
    """An exact rational."""

    __slots__ = ("value",)
    value: Fraction


class Constant(Term):
    """A number with a name: `pi`, `E`, `inf`, `nan`."""

    __slots__ = ("name",)
    name: str


class SizeTerm(Term):
    """A symbol of the shapes, as a number."""

    __slots__ = ("name",)
    name: str


class Position(Term):
    """The value of an index."""

    __slots__ = ("label",)
    label: Label

    def labels(self) -> tuple[Label, ...]:
        return (self.label,)


class At(Term):
    """An element of an argument, or of a shared sub-term with a name; `symmetric`: in its last two indices."""

    __slots__ = ("indices", "name", "symmetric")
    name: str
    indices: tuple[Index, ...]
    symmetric: bool

    def parts(self) -> tuple[Term, ...]:
        return tuple(i for i in self.indices if isinstance(i, Term))

    def labels(self) -> tuple[Label, ...]:
        return tuple(i for i in self.indices if isinstance(i, Label))


class Delta(Term):
    """1 where two indices are equal, else 0."""

    __slots__ = ("left", "right")
    left: Index
    right: Index

    def parts(self) -> tuple[Term, ...]:
        return tuple(i for i in (self.left, self.right) if isinstance(i, Term))

    def labels(self) -> tuple[Label, ...]:
        return tuple(i for i in (self.left, self.right) if isinstance(i, Label))


class Add(Term):
    """A sum of coefficients times terms, of which none is a sum or has a coefficient of its own."""

    __slots__ = ("items",)
    items: tuple[tuple[Fraction, Term], ...]

    def parts(self) -> tuple[Term, ...]:
        return tuple(term for _, term in self.items)


class Mul(Term):
    """A coefficient times a product of powers, summed over the bound labels."""

    __slots__ = ("bound", "coefficient", "factors")
    coefficient: Fraction
    bound: tuple[Label, ...]
    factors: tuple[tuple[Term, Term], ...]

    def parts(self) -> tuple[Term, ...]:
        return tuple(t for factor in self.factors for t in factor)


class Apply(Term):
    """A function of numbers."""

    __slots__ = ("args", "function", "params")
    function: Function
    args: tuple[Term, ...]
    params: tuple[Any, ...]

    def parts(self) -> tuple[Term, ...]:
        return self.args


class Reduce(Term):
    """A reduction other than a sum: `function` is the op (max, prod, any, ...)."""

    __slots__ = ("body", "bound", "function")
    function: Function
    bound: tuple[Label, ...]
    body: Term

    def parts(self) -> tuple[Term, ...]:
        return (self.body,)


class Lambda(NamedTuple):
    """An array: its element as a function of the labels of its axes."""

    labels: tuple[Label, ...]
    body: Term


class Call(Term):
    """An element of a function of whole arrays (inverse, cumsum, reshape, ...); `symmetric`: in its last two indices."""

    __slots__ = ("arrays", "function", "indices", "params", "shape", "symmetric")
    function: Function
    arrays: tuple[Lambda, ...]
    params: tuple[Any, ...]
    shape: tuple[Size, ...]
    indices: tuple[Index, ...]
    symmetric: bool

    def parts(self) -> tuple[Term, ...]:
        return (*(a.body for a in self.arrays), *(i for i in self.indices if isinstance(i, Term)))

    def labels(self) -> tuple[Label, ...]:
        return tuple(i for i in self.indices if isinstance(i, Label))


def postorder(roots: Iterable[Term], enter: Callable[[Term], bool] = lambda term: True) -> Iterator[Term]:
    """Every term below the roots once, parts first; iterative. What `enter` refuses is left out, with all below it."""
    seen: set[Term] = set()
    stack = [(t, False) for t in reversed(list(roots))]
    while stack:
        term, expanded = stack.pop()
        if expanded:
            yield term
        elif term not in seen and enter(term):
            seen.add(term)
            stack.append((term, True))
            stack += [(p, False) for p in reversed(term.parts()) if p not in seen]


def occurrence(parts: Sequence[Term], own: Sequence[Label], without: Sequence[Label] = ()) -> tuple[Label, ...]:
    """The free labels of a term, in order of occurrence."""
    found = dict.fromkeys(own)
    for part in parts:
        if part.free:
            found.update(dict.fromkeys(part.free))
    if not found:
        return ()
    return tuple(label for label in found if label not in without)


def whole(term: Term) -> bool:
    """Whether the term is a whole number."""
    return isinstance(term, Number) and term.value.denominator == 1
