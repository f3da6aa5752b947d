"""Products of powers as they are collected: deltas eliminated, bound labels in canonical names."""
from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import count
from typing import TYPE_CHECKING, Any

from . import calls, identities
from .numbers import root_parts
from .terms import Add, At, Call, Delta, Index, Label, Mul, Number, Position, SizeTerm, Term, postorder, whole

if TYPE_CHECKING:
    from .algebra import Table

__all__ = ["Product"]

_LARGEST_POWER = 64  # a larger power of a number is left as written


class Product:
    """A product that is being collected."""

    def __init__(self, table: Table, bound: Sequence[Label]) -> None:
        self.table = table
        self.coefficient = Fraction(1)
        self.powers: dict[Term, Term] = {}
        self.bound = list(bound)

    def multiply(self, base: Term, exponent: Term) -> None:
        table = self.table
        if isinstance(base, Number):
            self._number(base, exponent)
        elif isinstance(base, Mul):
            c, unit = table.unit(base)
            if unit in self.powers and exponent is table.one:
                self.coefficient *= c
                self.put(unit, exponent)
                return
            if exponent is not table.one:
                base = table.power(base, exponent)
            if not isinstance(base, Mul):
                self.multiply(base, table.one)
                return
            self.coefficient *= base.coefficient
            factors, bound = table.opened(base)
            self.bound += bound
            for b, e in factors:
                self.put(b, e)
        else:
            self.put(base, exponent)

    def put(self, base: Term, exponent: Term) -> None:
        """A factor that is taken as it is."""
        if isinstance(base, Add) and base not in self.powers and whole(exponent):
            negative = self.table.known_negative(base)
            even = int(exponent.value) % 2 == 0  # type: ignore[attr-defined]
            if negative is not None and (negative in self.powers or ((even or self.bound) and negative.skeleton < base.skeleton)):
                base = negative
                self.coefficient *= 1 if even else -1
        known = self.powers.get(base)
        self.powers[base] = exponent if known is None else self.table.add(known, exponent)

    def _number(self, base: Number, exponent: Term) -> None:
        value = base.value
        if isinstance(exponent, Number) and exponent.value.denominator == 1:
            power = int(exponent.value)
            if (value or power > 0) and (abs(power) <= _LARGEST_POWER or abs(value) in (0, 1)):
                self.coefficient *= value**power
                return
        elif isinstance(exponent, Number) and value > 0:
            outside, inside = root_parts(value, exponent.value)
            self.coefficient *= outside
            for number, power_left in inside:
                self.put(self.table.number(number), self.table.number(power_left))
            return
        elif isinstance(exponent, Number) and value == 0 and exponent.value > 0:
            self.coefficient *= 0
            return
        if value != 1:
            self.put(base, exponent)

    def _settle(self) -> None:
        """Bring factors whose exponents were added up into canonical form, until nothing changes."""
        table = self.table
        changed = True
        while changed:
            changed = False
            for base, exponent in list(self.powers.items()):
                if exponent is table.zero:
                    del self.powers[base]
                elif isinstance(base, Delta) and exponent is not table.one:
                    self.powers[base] = table.one
                elif isinstance(base, Number) and isinstance(exponent, Number) and (
                        exponent.value.denominator == 1 or not -1 < exponent.value < 1) and (base.value or exponent.value > 0):
                    del self.powers[base]
                    self._number(base, exponent)
                elif isinstance(base, Mul) and (exponent is table.one or (whole(exponent) and not base.bound)):
                    del self.powers[base]
                    self.multiply(base, exponent)
                    changed = True
                elif isinstance(base, Add) and whole(exponent) and table.content(base)[0] != 1:
                    del self.powers[base]
                    content, rest = table.content(base)
                    self._number(table.number(content), exponent)
                    self.multiply(rest, exponent) if not isinstance(rest, Add) else self.put(rest, exponent)
                    changed = True
            changed = identities.product(table, self.powers) or changed

    def finish(self) -> Term:
        table = self.table
        if self.coefficient == 0:
            return table.zero
        self._settle()
        if self.coefficient == 0:
            return table.zero
        while self._eliminate_delta() or self._cancel_inverse() or self._cancel_total():
            self._settle()
        if self.bound:
            if self._is_centred():
                return table.zero
            spread = self._distributed()
            if spread is not None:
                return spread
            self._count_unused()
            self._settle()
        factors = tuple(self.powers.items())
        if not self.bound:
            if len(factors) == 1 and isinstance(factors[0][0], Add) and factors[0][1] is table.one and self.coefficient != 1 \
                    and self.coefficient.denominator == 1 and self.coefficient == -1:
                return table.make_add(tuple((-c, t) for c, t in factors[0][0].items))
            return table.make_mul(self.coefficient, (), factors)
        return self.closed(factors, self.coefficient)

    def _eliminate_delta(self) -> bool:
        """Sum over a bound index that a delta fixes; where both of its indices are free, use one of them elsewhere."""
        table = self.table
        for base in self.powers:
            if not isinstance(base, Delta):
                continue
            left, right = base.left, base.right
            same = isinstance(right, Label) and isinstance(left, Label) and left.size == right.size
            for label, index in ((left, right), (right, left))[: 1 + same]:
                if isinstance(label, Label) and label in self.bound and not (isinstance(index, Term) and label in index.free):
                    del self.powers[base]
                    self.bound.remove(label)
                    self._substitute({label: index})
                    return True
            host, guest = (right, left) if same else (left, right)
            if isinstance(host, Label) and isinstance(guest, Label) and any(
                    host in b.free or host in e.free for b, e in self.powers.items() if b is not base):
                del self.powers[base]
                self._substitute({host: guest})
                self.put(base, table.one)
                return True
            solved = self._solved(base)
            if solved is not None:
                del self.powers[base]
                self.bound.remove(solved[0])
                self._substitute({solved[0]: solved[1]})
                return True
        return False

    def _solved(self, delta: Delta) -> tuple[Label, Term] | None:
        """A bound index that the delta fixes by others, where that is one of its places for all of theirs."""
        table = self.table
        difference = table.as_term(delta.left) - table.as_term(delta.right)
        items = difference.items if isinstance(difference, Add) else ()
        if any(t.free and not isinstance(t, Position) for _, t in items):
            return None
        for c, t in items:
            if isinstance(t, Position) and abs(c) == 1 and t.label in self.bound:
                place = t - table.number(c) * difference
                last = table.size(t.label.size) - 1
                if _is_count(table, _least(table, place)) and _is_count(table, last + _least(table, -place)):
                    return t.label, place
        return None

    def _cancel_inverse(self) -> bool:
        """Sum over a bound index between an inverse and what it is the inverse of, or between two Cholesky or orthonormal factors."""
        found = None
        if self.bound:
            here = self.table, self.powers, self.bound
            found = calls.inverses_cancelled(*here) or calls.factors_joined(*here) or calls.orthonormal(*here)
        if found is not None:
            self.bound.remove(found[0])
            self.put(found[1], self.table.one)
        return found is not None

    def _cancel_total(self) -> bool:
        """A sum that is divided by its own value is 1."""
        label = identities.total_cancelled(self.table, self.powers, self.bound) if self.bound else None
        if label is not None:
            self.bound.remove(label)
        return label is not None

    def _substitute(self, mapping: dict[Label, Index]) -> None:
        table, powers = self.table, list(self.powers.items())
        self.powers = {}
        for b, e in powers:
            b, e = table.substitute(b, mapping), table.substitute(e, mapping)
            self.multiply(b, e)

    def _distributed(self) -> Term | None:
        """The sum of products, where a factor is a sum with a delta in a bound index."""
        table = self.table
        for base, exponent in self.powers.items():
            if isinstance(base, Add) and exponent is table.one and any(
                    isinstance(b, Delta) and any(label in self.bound for label in b.labels())
                    for _, t in base.items if isinstance(t, Mul) for b, _ in t.factors):
                rest = [table.power(b, e) for b, e in self.powers.items() if b is not base]
                scale = table.number(self.coefficient)
                return table.add(*(table.mul(scale, table.number(c), t, *rest, bound=self.bound) for c, t in base.items))
        return None

    def _is_centred(self) -> bool:
        """Whether an index is summed over that only the deviations from a mean depend on: they add up to zero."""
        table = self.table
        for base, exponent in self.powers.items():
            means = isinstance(base, Add) and exponent is table.one and any(isinstance(t, Mul) and t.bound for _, t in base.items)
            if not means or not isinstance(base, Add):
                continue
            for label in self.bound:
                alone = label in base.free and not any(label in b.free or label in e.free for b, e in self.powers.items() if b is not base)
                if alone and any(label not in t.free for _, t in base.items):
                    total = table.add(*(table.mul(table.number(c), t, bound=[label]) for c, t in base.items))
                    if total is table.zero:
                        return True
        return False

    def _count_unused(self) -> None:
        used = {label for b, e in self.powers.items() for label in (*b.free, *e.free)}
        for label in [label for label in self.bound if label not in used]:
            self.bound.remove(label)
            self.multiply(self.table.size(label.size), self.table.one)

    def closed(self, factors: tuple[tuple[Term, Term], ...], coefficient: Fraction) -> Term:
        """Canonical names for the bound labels, in the order in which the sorted factors meet them."""
        table = self.table
        depth = 1 + max(t.depth for pair in factors for t in pair)
        outer = {label.name for pair in factors for t in pair for label in t.free if label not in self.bound}
        free_names = (name for k in count() if (name := f"b{depth}.{k}") not in outer)  # a part of a product may be on its own
        names: dict[Label, Index] = {}
        left, ordered = list(factors), []
        colours = _colours(factors, self.bound)

        def rank(pair: tuple[Term, Term]) -> tuple[Any, ...]:
            places = [(1, str(names[a].name), 0) if a in names else (2, "", colours[a]) if a in self.bound else (0, a.name, 0)  # type: ignore[union-attr]
                      for t in pair for a in t.free]
            return pair[0].skeleton, pair[1].skeleton, sorted(places) if _is_symmetric(pair) else places

        while left:
            pair = min(left, key=rank)
            left.remove(pair)
            ordered.append(pair)
            for t in pair:
                for label in sorted(t.free, key=colours.__getitem__) if _is_symmetric(pair) else t.free:
                    if label in self.bound and label not in names:
                        names[label] = Label(next(free_names), label.size)
        renamed = tuple((table.substitute(b, names), table.substitute(e, names)) for b, e in ordered)
        bound = tuple(names.values())
        return table.make_mul(coefficient, bound, renamed)  # type: ignore[arg-type]


def _least(table: Table, place: Term) -> Term:
    """The least value of a sum of multiples of indices, where none of them has no places."""
    last = {t: table.size(t.label.size) - 1 for t in postorder([place]) if isinstance(t, Position)}
    items = place.items if isinstance(place, Add) else (table.unit(place),)
    return table.add(*(table.number(c) * (t if t not in last else last[t] if c < 0 else table.zero) for c, t in items))


def _is_count(table: Table, term: Term) -> bool:
    """Whether a sum of sizes is known not to be negative."""
    items = term.items if isinstance(term, Add) else (table.unit(term),)
    return all(c >= 0 and (t is table.one or isinstance(t, SizeTerm)) for c, t in items)


def _is_symmetric(pair: tuple[Term, Term]) -> bool:
    """Whether a factor is the same with its two indices exchanged."""
    return isinstance(pair[0], Delta) or (isinstance(pair[0], At | Call) and pair[0].symmetric)


def _colours(factors: Sequence[tuple[Term, Term]], bound: Sequence[Label]) -> dict[Label, int]:
    """Numbers for labels that differ where the factors tell the labels apart, whatever these are called (colour refinement)."""
    places = [((b.skeleton, e.skeleton), (*b.free, *e.free), _is_symmetric((b, e))) for b, e in factors]
    named = sorted({label for _, labels, _ in places for label in labels if label not in bound})
    colours = {label: k for k, label in enumerate(named, 1)} | dict.fromkeys(bound, 0)
    if len({skeletons for skeletons, _, _ in places}) == len(places) and not any(symmetric for _, _, symmetric in places):
        return colours  # the factors themselves are told apart
    while True:
        seen: dict[Label, list[Any]] = {label: [] for label in bound}
        for skeletons, labels, symmetric in places:
            around = [colours[label] for label in labels]
            for k, label in enumerate(labels):
                if label in seen:
                    seen[label].append((skeletons, -1 if symmetric else k, sorted(around) if symmetric else around))
        signatures = {label: (colours[label], sorted(found)) for label, found in seen.items()}
        ranks = sorted(signatures.values())
        finer = colours | {label: ranks.index(signature) - len(ranks) for label, signature in signatures.items()}
        if len(set(finer.values())) == len(set(colours.values())):
            return colours
        colours = finer
