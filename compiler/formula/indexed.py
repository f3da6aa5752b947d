"""Index notation: elements with indices, and sums over them. It can say everything."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from ..sizes import Size
from .algebra import Table
from .arrange import Arranger, NoNotationError, Order
from .matrix import Matrix
from .shown import Shown, make
from .terms import Add, At, Call, Delta, Index, Label, Mul, Position, Reduce, Term

__all__ = ["Indexed"]

Factor = tuple[Term, Term]


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

    def add(self, term: Add, order: Order) -> Shown:
        """A sum; what is multiplied by the same deltas is added up first."""
        groups: dict[frozenset[Term], list[Term]] = {}
        for c, t in term.items:
            factors = t.factors if isinstance(t, Mul) and not t.bound else ()
            deltas = [b for b, _ in factors if isinstance(b, Delta)]
            others = [self.table.power(b, e) for b, e in factors if b not in deltas] if deltas else [t]
            rest = self.table.mul(self.table.number(c), *others)
            groups.setdefault(frozenset(deltas), []).append(rest)
        if all(len(rests) == 1 for deltas, rests in groups.items() if deltas):
            return super().add(term, order)
        sums = {deltas: self.table.add(*sorted(rests, key=lambda t: [label.name for label in t.free])) for deltas, rests in groups.items()}
        made = self.table.add(*(self.table.mul(total, *deltas) for deltas, total in sums.items()))
        return super().add(made, order) if isinstance(made, Add) else self.show(made, order)

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
        outside, parts = self._parts(term)
        sums = []
        for bound, inside in parts:
            part = self.table.make_mul(Fraction(1), bound, tuple(inside))
            sums.append(self._of_matrices(part) or make("series", [self.elements(Fraction(1), inside, ())], data=(None, bound)))
        return self.elements(term.coefficient, outside, (), sums)

    def _parts(self, term: Mul) -> tuple[list[Factor], list[tuple[tuple[Label, ...], list[Factor]]]]:
        """The factors without bound labels, and the others in groups that share none."""
        groups: list[tuple[list[Label], list[Factor]]] = []
        outside = []
        for factor in term.factors:
            own = [label for t in factor for label in t.free if label in term.bound]
            if not own:
                outside.append(factor)
                continue
            joined = [g for g in groups if any(label in g[0] for label in own)]
            groups = [g for g in groups if g not in joined]
            groups.append(([*(label for g in joined for label in g[0]), *own], [*(f for g in joined for f in g[1]), factor]))
        return outside, [(tuple(label for label in term.bound if label in labels), factors) for labels, factors in groups]

    def _of_matrices(self, part: Term) -> Shown | None:
        """A sum as an element of a product of matrices and vectors, where it is one; None where it is not."""
        labels = part.free
        if len(labels) > 2:
            return None
        try:
            shown = self.arrays.show(part, labels)
        except NoNotationError:
            return None
        if shown.axes != labels or _has(shown, ("spread", "einsum", "gather")):
            return None
        return make("element", [shown, *(make("label", data=label) for label in labels)]) if labels else shown


def _has(shown: Shown, kinds: tuple[str, ...]) -> bool:
    """Whether a kind of notation occurs."""
    return shown.kind in kinds or any(_has(a, kinds) for a in shown.args)
