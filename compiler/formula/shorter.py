"""Terms of numbers in the shortest form that a table of ways finds: what a careful person would write.

Every way gives equal terms, for all arguments at which both are defined; the one that costs least is kept.
"""
from __future__ import annotations

from collections.abc import Iterator

from . import angles, functions, polynomial, quotients, roots
from .algebra import Table
from .cost import cost
from .terms import Add, Apply, Call, Delta, Label, Mul, Position, Reduce, Term, postorder

__all__ = ["shortened"]

LARGEST = 1500  # the weight up to which a term is tried; longer ones are for machines
MOST_ADDENDS = 40
LARGEST_AHEAD, AHEAD = 40, 1040  # the weight of a term for which two ways are tried, and by what the first may be longer
MOST_EFFORT_AHEAD = polynomial.MOST_EFFORT // 4
OPENED = 8  # characters that a product must save as a sum, where it saves no operation

SUMS = (*quotients.IN_SUMS, *functions.IN_SUMS, *angles.IN_SUMS, *roots.IN_SUMS)
PRODUCTS = (*quotients.IN_PRODUCTS, *functions.IN_PRODUCTS, *angles.IN_PRODUCTS, *roots.IN_PRODUCTS)


def shortened(table: Table, term: Term) -> Term:
    """The same value in fewer operations, or as many in fewer characters."""
    if term.weight > LARGEST or not (_elementwise(term, table.elementwise) or any(isinstance(t, Apply) for t in postorder([term]))):
        return term  # products of matrices are left as they are
    return _shortened(table, term, table.shortest)


def _elementwise(term: Term, known: dict[Term, bool]) -> bool:
    """Whether the term is a function of numbers, or of elements of arrays, each at one place: nothing is summed in it."""
    for t in postorder([term], lambda t: t not in known):
        known[t] = not isinstance(t, Delta | Position | Reduce | Call) and not (isinstance(t, Mul) and t.bound) and all(
            known[p] for p in t.parts())
    return known[term]


def _shortened(table: Table, term: Term, done: dict[Term, Term]) -> Term:
    for t in postorder([term], lambda t: t not in done):
        if t not in done:
            again = table.with_parts(t, done)
            done[t] = again if again is t or again not in done else done[again]
            if _elementwise(done[t], table.elementwise):
                with table.originating(table.origin(t)):
                    done[t] = table.inherit(_best(table, done[t], done), t)
            elif isinstance(product := done[t], Mul):
                with table.originating(table.origin(t)):
                    done[t] = table.inherit(_factors_at_one_place(table, product, done), t)
    return done[term]


def _factors_at_one_place(table: Table, term: Mul, done: dict[Term, Term]) -> Term:
    """The product with those of its factors that are functions of the same elements shortened as a product of their own."""
    factors, bound = table.opened(term)
    alike: dict[frozenset[Label], list[Term]] = {}
    for base, e in factors:
        power = table.power(base, e)
        if power.free and _elementwise(power, table.elementwise):
            alike.setdefault(frozenset(power.free), []).append(power)
    groups = [(members, whole := table.mul(*members), _best(table, whole, done)) for members in alike.values() if len(members) > 1]
    shorter = {p: best for members, whole, best in groups if best is not whole for p in members[:1]}
    if not shorter:
        return term
    gone = {p for members, whole, best in groups if best is not whole for p in members[1:]}
    rest = [p for b, e in factors if (p := table.power(b, e)) not in gone]
    return table.mul(table.number(term.coefficient), *(shorter.get(p, p) for p in rest), bound=bound)


def _best(table: Table, term: Term, done: dict[Term, Term]) -> Term:
    """The shortest form that ways lead to, one after the other."""
    while True:
        best, least = term, cost(term)
        for candidate in _candidates(table, term):
            table.effort += candidate.weight
            price = cost(candidate)
            if price < least - (OPENED if isinstance(term, Mul) and isinstance(candidate, Add) else 1):
                best, least = candidate, price
        if best is term:
            best = _ahead(table, term)
        if best is term:
            return term
        if best in done:
            return done[best]
        done[term] = best  # while its parts are seen to
        term = _parts_first(table, best, done)


def _ahead(table: Table, term: Term) -> Term:
    """A shorter form that is two ways ahead, the first of which leads to a form that is about as long; else the term.

    It takes little of the effort that there is for a formula, so that there is enough for the ways that lead to shorter forms.
    """
    if term.weight > LARGEST_AHEAD or table.effort_ahead > MOST_EFFORT_AHEAD:
        return term
    before, most = table.effort, cost(term)
    found = term
    for first in list(_candidates(table, term)):
        if found is term and first is not term and cost(first) <= most + AHEAD:
            for second in _candidates(table, first):
                table.effort += second.weight
                if cost(second) < most - OPENED:
                    found = second
                    break
    table.effort_ahead += table.effort - before
    table.effort = before
    return found


def _parts_first(table: Table, term: Term, done: dict[Term, Term]) -> Term:
    for part in term.parts():
        if part not in done and part.weight < term.weight:
            done[part] = _shortened(table, part, done)
    again = table.with_parts(term, done)
    return again if cost(again) <= cost(term) else term


def _candidates(table: Table, term: Term) -> Iterator[Term]:
    if table.effort > polynomial.MOST_EFFORT:
        return
    if isinstance(term, Add) and len(term.items) <= MOST_ADDENDS:
        for way in SUMS:
            yield from way(table, term)
    elif isinstance(term, Mul):
        for form in PRODUCTS:
            yield from form(table, term)
    elif isinstance(term, Apply):
        for call in functions.CALLS:
            yield from call(table, term)
