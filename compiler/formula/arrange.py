"""From terms to notation: which factor stands where, what is a fraction, what is a sum with which signs first.

The common part of matrix notation (`matrix`) and of index notation (`indexed`): numbers, sums, products of elements.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NoReturn

from ..sizes import Size
from .algebra import Table
from .cost import is_below
from .recognise import CLIP, clip
from .shown import Shown, make, number, product
from .terms import Add, Apply, At, Call, Constant, Delta, Label, Mul, Number, Position, Reduce, SizeTerm, Term

__all__ = ["Arranger", "NoNotationError"]

Order = tuple[Label, ...]
_RATIOS = {"sinh": ("cosh", "tanh"), "sin": ("cos", "tan")}


class NoNotationError(Exception):
    """The notation has no way to write this."""


class Arranger:
    """Writes terms whose labels are left out, or are axes: `order` says in which order."""

    def __init__(self, table: Table, inputs: Mapping[str, Sequence[Size]]) -> None:
        """`inputs`: the arguments' shapes, by name, in order."""
        self.table = table
        self.shapes = dict(inputs)
        self.places = {name: k for k, name in enumerate(inputs)}
        self._memo: dict[tuple[Term, Order], Shown] = {}

    def show(self, term: Term, order: Order = ()) -> Shown:
        """The notation for a term; its axes are those of `order` that it has, in that order."""
        order = tuple(label for label in order if label in term.free)
        known = self._memo.get((term, order))
        if known is None:
            known = self._memo[term, order] = self.from_lines(self._show(term, order), term)
        return known

    def from_lines(self, shown: Shown, term: Term) -> Shown:
        """What is written for a term, with the lines that the term comes from."""
        sites = self.table.origin(term)
        return replace(shown, sites=sites) if sites else shown

    def _show(self, term: Term, order: Order) -> Shown:
        match term:
            case Number():
                return number(self.table.written(term.value))
            case Constant():
                return make("constant", data=term.name)
            case SizeTerm():
                return make("size", data=term.name)
            case At():
                return self.at(term, order)
            case Delta():
                return self.delta(term, order)
            case Position():
                return self.position(term, order)
            case Add():
                return self.add(term, order)
            case Mul():
                return self.mul(term, order)
            case Apply():
                return self.apply(term, order)
            case Reduce():
                return self.reduce(term, order)
            case Call():
                return self.call(term, order)
        raise NoNotationError(type(term).__name__)

    def apply(self, term: Apply, order: Order) -> Shown:
        """A function of numbers."""
        clipped = clip(term)
        if clipped is not None:
            return self.elementwise("apply", [self.show(a, order) for a in clipped], order, (CLIP, ()))
        return self.elementwise("apply", [self.show(a, order) for a in term.args], order, (term.function, term.params))

    # What depends on the notation.
    def at(self, term: At, order: Order) -> Shown:
        """An element of an argument."""
        return make("symbol", data=term.name)

    def delta(self, term: Delta, order: Order) -> Shown:
        """1 where two indices are equal."""
        self.refuse(term)

    def position(self, term: Position, order: Order) -> Shown:
        """The value of an index."""
        self.refuse(term)

    def reduce(self, term: Reduce, order: Order) -> Shown:
        """A reduction other than a sum."""
        self.refuse(term)

    def call(self, term: Call, order: Order) -> Shown:
        """A function of whole arrays."""
        self.refuse(term)

    def refuse(self, term: Term) -> NoReturn:
        """There is no such notation."""
        raise NoNotationError(type(term).__name__)

    def mul(self, term: Mul, order: Order) -> Shown:
        """A product, summed over its bound labels."""
        if term.bound:
            self.refuse(term)
        return self.elements(term.coefficient, term.factors, order)

    # ------------------------------------------------------------------------------------------ elements
    def elementwise(self, kind: str, args: Sequence[Shown], order: Order, data: object) -> Shown:
        """An elementwise notation: its arguments brought to common axes."""
        axes = tuple(label for label in order if any(label in a.axes for a in args))
        return make(kind, [self.aligned(a, axes) for a in args], axes, data)

    def aligned(self, shown: Shown, axes: Order) -> Shown:
        """`shown` so that it broadcasts against `axes` by its trailing axes."""
        if not shown.axes or axes[len(axes) - shown.ndim:] == shown.axes:
            return shown
        return make("spread", [shown], axes, tuple(axes.index(label) for label in shown.axes))

    def add(self, term: Add, order: Order) -> Shown:
        """A sum: high powers first, a positive term first."""
        items = sorted(term.items, key=lambda item: (*_place_in_sum(item[1]), self.show(item[1], order).cost))
        first = next((k for k, (c, _) in enumerate(items) if c > 0), 0)
        items.insert(0, items.pop(first))
        scaled = [self.table.number(abs(c)) if t is self.table.one else t if abs(c) == 1 else self.table.mul(self.table.number(abs(c)), t)
                  for c, t in items]
        return self.elementwise("add", [self.show(t, order) for t in scaled], order, tuple(c < 0 for c, _ in items))

    def elements(self, coefficient: Fraction, factors: Sequence[tuple[Term, Term]], order: Order,
                 more: Sequence[Shown] = ()) -> Shown:
        """The elementwise product of powers, and of what is written already, as a fraction where exponents are negative."""
        above: list[Shown] = []
        below: list[Shown] = []
        roots: dict[bool, list[Shown]] = {True: [], False: []}
        for base, exponent in sorted(self._ratios(factors), key=lambda f: self._rank(*f)):
            negative = is_below(base, exponent)
            side = below if negative else above
            power = -exponent if negative else exponent
            if isinstance(base, Number | Constant | SizeTerm) and isinstance(power, Number) and power.value == Fraction(1, 2):
                roots[negative].append(self.show(base))
                continue
            made = self.power(base, power, order)
            if exponent is power is not self.table.one:
                made = self.from_lines(made, self.table.make_mul(Fraction(1), (), ((base, exponent),)))
            side.append(made)
        if any(roots.values()):  # sqrt(2*pi), not sqrt(2)*sqrt(pi); sqrt(2/pi)
            side, parts = (above, (roots[False], roots[True])) if roots[False] else (below, (roots[True], []))
            side.insert(0, make("root", [product(Fraction(1), parts[0], parts[1], ())]))
        above = sorted([*above, *more], key=lambda s: s.kind == "eye")
        axes = tuple(label for label in order if any(label in s.axes for s in (*above, *below)))
        coefficient = self.table.coefficient(coefficient, bool(below and not above))
        return product(coefficient, [self.aligned(s, axes) for s in above], [self.aligned(s, axes) for s in below], axes)

    def _ratios(self, factors: Sequence[tuple[Term, Term]]) -> Sequence[tuple[Term, Term]]:
        """The factors with tanh(x) for sinh(x)/cosh(x), and tan(x)."""
        made = dict(factors)
        for base, exponent in factors:
            if isinstance(base, Apply) and base.function.name in _RATIOS:
                below, ratio = _RATIOS[base.function.name]
                other = self.table.apply(below, base.args)
                if made.get(other) is -exponent and self.table.apply(ratio, base.args) not in made:
                    del made[base], made[other]
                    made[self.table.apply(ratio, base.args)] = exponent
        return list(made.items())

    def _rank(self, base: Term, exponent: Term) -> tuple[int, bool, int]:
        """Numbers, sizes, arguments (scalars before arrays), polynomials, functions, powers of e, other sums, deltas."""
        if base is self.table.e:
            return 7, False, 0
        if isinstance(base, At):
            kind = 3 if isinstance(exponent, Number) else 5
            return kind, bool(base.free), self.places.get(base.name, len(self.places))
        if isinstance(base, Add):
            return (4 if _is_polynomial(base) else 8), False, 0
        if isinstance(base, Delta):
            return 9, False, 0
        kinds = ((Number,), (Constant,), (SizeTerm,))
        return next((k for k, classes in enumerate(kinds) if isinstance(base, classes)), 6), False, base.serial

    def power(self, base: Term, exponent: Term, order: Order) -> Shown:
        """`base**exponent`, a square root where it is one."""
        if exponent is self.table.one:
            return self.show(base, order)
        inside = self.show(base, order)
        if isinstance(exponent, Number) and exponent.value == Fraction(1, 2):
            return make("root", [inside], inside.axes)
        return self.elementwise("power", [inside, self.show(exponent, order)], order, None)


def _place_in_sum(term: Term) -> tuple[Fraction, bool, int]:
    """Powers before functions before the constant; terms of one degree as they were written."""
    d = degree(term)
    return -d, isinstance(term, Number), term.serial if d == 0 else 0


def _is_polynomial(term: Add) -> bool:
    return all(isinstance(t, At | Number | SizeTerm) or (isinstance(t, Mul) and all(isinstance(b, At | SizeTerm) for b, _ in t.factors))
               for _, t in term.items)


def degree(term: Term) -> Fraction:
    """The degree of a monomial in the arguments; what is not one has none."""
    if isinstance(term, At):
        return Fraction(1)
    if isinstance(term, Add):
        return max(degree(t) for _, t in term.items)
    if isinstance(term, Mul):
        return sum((degree(b) * e.value for b, e in term.factors if isinstance(e, Number)), start=Fraction(0))
    return Fraction(0)
