"""How long a term of numbers is as people write it: how many operations, then how many characters."""
from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import gcd

from . import numbers
from .terms import Add, Apply, At, Constant, Mul, Number, SizeTerm, Term, postorder

__all__ = ["cost", "is_below"]

_OPERATION = 1000  # more than the characters of any term that is worth comparing
_HALF = Fraction(1, 2)


def cost(term: Term) -> int:
    """What makes one form of a term better than another: operations first, then characters."""
    costs = term.table.costs
    for t in postorder([term], lambda t: t not in costs):
        costs[t] = _own(t, costs)
    return costs[term]


def _own(term: Term, costs: dict[Term, int]) -> int:
    match term:
        case Number():
            return _number(term.table.written(term.value))
        case At():
            return max(len(term.name), 1)
        case Constant() | SizeTerm():
            return 1
        case Add():
            total = sum(_product(term, c, t, costs) for c, t in term.items) + (_OPERATION + 3) * (len(term.items) - 1)
            return total + (_OPERATION + 1) * all(c < 0 for c, _ in term.items) + _untidy_sum(term)
        case Mul():
            sign = _OPERATION + 1 if term.coefficient < 0 else 0
            return sign + _product(term, term.coefficient, term, costs) + (_OPERATION + 4) * bool(term.bound)
        case Apply():
            arguments = sum(costs[a] + 2 for a in term.args)
            turned = bool(getattr(term.function, "parity", "")) and len(term.args) == 1 and term.table.unit(term.args[0])[0] < 0
            return _OPERATION * max(1, len(term.args) - 1) + len(term.function.name) + arguments + 8 * turned  # -f(u) before f(-u)
    return _OPERATION + 4 + sum(costs[p] for p in term.parts())


def _number(value: Fraction) -> int:
    return len(numbers.text(value)) + _OPERATION * ((value < 0) + numbers.is_fraction(value))


def _product(owner: Term, coefficient: Fraction, term: Term, costs: dict[Term, int]) -> int:
    """|coefficient| times a term without its own coefficient, as one fraction."""
    if not isinstance(term, Mul):
        return _fraction(owner, coefficient, ((term, term.table.one),), costs)
    return _fraction(owner, coefficient, term.factors, costs)


def is_below(base: Term, exponent: Term) -> bool:
    """Whether a power stands below the line of a fraction."""
    if base is base.table.e:
        return False
    if isinstance(exponent, Add):
        return all(c < 0 for c, _ in exponent.items)
    return base.table.unit(exponent)[0] < 0


def _fraction(owner: Term, coefficient: Fraction, factors: tuple[tuple[Term, Term], ...], costs: dict[Term, int]) -> int:
    table, c = owner.table, abs(coefficient)
    if factors == ((table.one, table.one),):
        return _number(table.written(c))
    above: list[int] = []
    below: list[int] = []
    roots: dict[bool, list[int]] = {True: [], False: []}
    for base, exponent in factors:
        under = is_below(base, exponent)
        if isinstance(base, Number | Constant | SizeTerm) and base is not table.e and isinstance(exponent, Number) \
                and abs(exponent.value) == _HALF:
            roots[under].append(costs[base])
            continue
        single = len(factors) == 1 and c == 1 and not under
        (below if under else above).append(_power(base, exponent, under, costs, single))
    inside = [*roots[False], *roots[True]]
    if inside:  # one root of all
        (above if roots[False] else below).append(_OPERATION + 6 + sum(inside) + (_OPERATION + 1) * (len(inside) - 1))
    for side, part in zip((above, below), numbers.over_and_below(table.coefficient(c, bool(below and not above))), strict=True):
        if part != 1:
            side.append(len(numbers.text(part)))
    total = sum(above) + sum(below) + (_OPERATION + 1) * max(0, len(above) - 1)
    if below:
        total += (_OPERATION + 1) * len(below) + (not above) + 2 * (len(below) > 1)
    return total


def _power(base: Term, exponent: Term, under: bool, costs: dict[Term, int], single: bool) -> int:
    table = base.table
    if under:
        exponent = -exponent
    if exponent is table.one:
        return costs[base] + (2 + _untidy_factor(base) if isinstance(base, Add) and not single else 0)
    if exponent not in costs:
        cost(exponent)
    if base is table.e:
        return _OPERATION + 5 + costs[exponent]
    if isinstance(exponent, Number) and exponent.value == _HALF:
        return _OPERATION + 6 + costs[base]
    brackets = 2 * isinstance(base, Add | Mul) + 2 * (costs[exponent] >= _OPERATION)
    return _OPERATION + 2 + costs[base] + costs[exponent] + brackets


# ------------------------------------------------------------------------------------------------ of forms that are as long
def _untidy_sum(term: Add) -> int:
    """Fractions that one line could carry; `u - u*sigmoid(x)`."""
    below = Counter(b for _, t in term.items if isinstance(t, Mul) for b, e in t.factors if is_below(b, e))
    found = 8 * sum(n > 1 for n in below.values())
    by_term = {t: c for c, t in term.items}
    for c, t in term.items:
        for b, e in t.factors if isinstance(t, Mul) else ():
            if isinstance(b, Apply) and b.function.name == "sigmoid" and e is term.table.one:
                found += 8 * (by_term.get(t / b) == -c)
    return found


def _untidy_factor(term: Add) -> int:
    """A sum with fractions in it, or with a common factor, as a factor; sigmoid(x) - 1, which people know as -(1 - sigmoid(x))."""
    fractions = sum(numbers.is_fraction(c) or any(is_below(b, e) for b, e in (t.factors if isinstance(t, Mul) else ()))
                    for c, t in term.items)
    whole = all(c.denominator == 1 for c, _ in term.items)
    common = set.intersection(*({b for b, _ in t.factors} if isinstance(t, Mul) else {t} for _, t in term.items))
    minus_one = len(term.items) == 2 and any(c == 1 and isinstance(t, Apply) and t.function.name == "sigmoid" for c, t in term.items) \
        and any(c < 0 and t is term.table.one for c, t in term.items)
    return (_OPERATION + 40) * minus_one + 20 * fractions + 20 * (whole and gcd(*(int(c) for c, _ in term.items)) > 1) + 20 * bool(common)
