"""Index notation: elements with indices, and sums over them. It can say everything."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from ..sizes import Size
from .algebra import Table
from .arrange import Arranger, NoNotationError, Order
from .matrix import Matrix
from .shown import Shown, make
from .terms import At, Call, Delta, Index, Label, Mul, Position, Reduce

__all__ = ["Indexed"]


class Indexed(Arranger):
    """Elements by their indices."""

    def __init__(self, table: Table, inputs: Mapping[str, Sequence[Size]]) -> None:
        super().__init__(table, inputs)
        self.arrays = Matrix(table, inputs)

    def index(self, index: Index) -> Shown:
        """A label, or what stands in its place."""
        return make("label", data=index) if isinstance(index, Label) else self.show(index)

    def at(self, term: At, order: Order) -> Shown:
        symbol = make("symbol", data=term.name)
        return make("element", [symbol, *map(self.index, term.indices)]) if term.indices else symbol

    def delta(self, term: Delta, order: Order) -> Shown:
        sides = [term.left, term.right]
        if all(isinstance(i, Label) for i in sides):
            sides.sort()
        return make("delta", [self.index(i) for i in sides])

    def position(self, term: Position, order: Order) -> Shown:
        return make("label", data=term.label)

    def reduce(self, term: Reduce, order: Order) -> Shown:
        return make("series", [self.show(term.body)], data=(term.function, term.bound))

    def call(self, term: Call, order: Order) -> Shown:
        try:
            base = self.arrays.array(term)
        except NoNotationError:  # the element that the function's indices stand for
            base = make("call", [self.show(a.body) for a in term.arrays], data=(term.function, term.params))
        return make("element", [base, *map(self.index, term.indices)]) if term.indices else base

    def mul(self, term: Mul, order: Order) -> Shown:
        """Factors without the bound indices stand before the sum."""
        if not term.bound:
            return self.elements(term.coefficient, term.factors, ())
        inside = [f for f in term.factors if any(label in t.free for t in f for label in term.bound)]
        outside = [f for f in term.factors if f not in inside]
        series = make("series", [self.elements(Fraction(1), inside, ())], data=(None, term.bound))
        return self.elements(term.coefficient, outside, (), [series])
