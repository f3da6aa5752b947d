"""Sums of products, each summed over its own indices, as one sum over those that they share."""
from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from .algebra import Table
from .terms import Add, At, Delta, Label, Mul, SizeTerm, Term

__all__ = ["is_deviation", "shared_sums"]

MOST = 8  # addends that are compared, and factors of each
Factor = tuple[Term, Term]


def shared_sums(table: Table, term: Add) -> list[Term]:
    """The sums in which two addends are one: sum_ij X[i,j]*(sum_k Y[i,k])*P[i,j] - sum_ij X[i,j]*Y[i,j] has X outside."""
    found = []
    items = [(c, t) for c, t in term.items if isinstance(t, Mul) and t.bound and len(t.factors) <= MOST]
    if 2 <= len(items) <= MOST:
        for k, (c, one) in enumerate(items):
            for d, other in items[k + 1:]:
                made = _together(table, c, one, d, other)
                if made is not None:
                    others = [table.mul(table.number(x), t) for x, t in term.items if t is not one and t is not other]
                    found.append(table.add(made, *others))
    return found


def _together(table: Table, c: Fraction, one: Mul, d: Fraction, other: Mul) -> Term | None:
    """c*one + d*other with what both have in common outside; None where no index is summed over in both."""
    (ours, own), (theirs, their) = table.opened(one), table.opened(other)
    tried: list[dict[Factor, Factor]] = []
    for k in range(len(theirs)):
        pairs, names = _matched(table, ours, own, [*theirs[k:], *theirs[:k]], their)
        outer = set(names.values())
        if not outer or pairs in tried:
            continue
        tried.append(pairs)
        rests = [f for f in ours if f not in pairs.values()], [f for f in theirs if f not in pairs]
        if any(isinstance(b, Delta) for factors in rests for b, _ in factors):
            continue  # diag(v) is shorter than the identity matrix times v
        inner = [label for label in own if label not in outer], [label for label in their if label not in names]
        mine, others = (table.mul(table.number(x), *(table.power(b, e) for b, e in factors), bound=bound)
                        for x, factors, bound in zip((c * one.coefficient, d * other.coefficient), rests, inner, strict=True))
        others = table.substitute(others, names)
        if set(mine.free) == set(others.free):  # else one of them would be repeated along an axis
            return table.mul(*(table.power(b, e) for b, e in pairs.values()), table.add(mine, others), bound=list(outer))
    return None


def _matched(table: Table, ours: Sequence[Factor], own: Sequence[Label], theirs: Sequence[Factor], their: Sequence[Label]
             ) -> tuple[dict[Factor, Factor], dict[Label, Label]]:
    """Factors of the second product that are factors of the first one, and what its bound labels are called there."""
    pairs: dict[Factor, Factor] = {}
    names: dict[Label, Label] = {}
    for factor in theirs:
        for mine in ours:
            if mine in pairs.values() or (mine[0].skeleton, mine[1].skeleton) != (factor[0].skeleton, factor[1].skeleton):
                continue
            tried = dict(names)
            for a, b in zip(_labels(factor), _labels(mine), strict=False):
                if a in their and b in own and a.size == b.size:
                    tried.setdefault(a, b)
            if len(set(tried.values())) == len(tried) and all(table.substitute(a, tried) is b for a, b in zip(factor, mine, strict=True)):
                pairs[factor], names = mine, tried
                break
    return pairs, names


def _labels(factor: Factor) -> list[Label]:
    return [label for t in factor for label in t.free]


def is_deviation(term: Add) -> bool:
    """Whether it is an element of an array less a multiple of the sum of such elements, as a deviation from a mean is."""
    elements = {t.skeleton for _, t in term.items if isinstance(t, At)}
    return any(isinstance(t, Mul) and t.bound and all(b.skeleton in elements or isinstance(b, SizeTerm) for b, _ in t.factors)
               for _, t in term.items)
