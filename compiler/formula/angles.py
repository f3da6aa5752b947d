"""Trigonometric and hyperbolic functions across a fraction: tangents opened, numerators by squares, products as sums of angles."""
from __future__ import annotations

from collections.abc import Iterator

from . import polynomial
from .algebra import Table
from .cost import cost
from .functions import doubled, squares
from .identities import HALF
from .polynomial import Polynomial
from .quotients import together
from .terms import Add, Apply, Mul, Number, Term, postorder

__all__ = ["IN_PRODUCTS", "IN_SUMS"]

LARGEST = 100  # the weight of a term up to which its fractions are opened
MOST_PRODUCTS = 12

_TANGENTS = {"tan": ("sin", "cos"), "tanh": ("sinh", "cosh")}
_CIRCULAR = {"sin": "cos", "cos": "cos", "sinh": "cosh", "cosh": "cosh"}


def _calls(term: Term) -> list[Apply]:
    return [t for t in postorder([term]) if isinstance(t, Apply)] if term.weight <= LARGEST else []


def _flat(table: Table, term: Mul) -> Term:
    """The product, its sums as fractions whose numerators are multiplied out and as short as squares of functions make them."""
    parts: list[Term] = [table.number(term.coefficient)]
    for base, e in term.factors:
        full = None
        if isinstance(base, Add) and isinstance(e, Number) and e.value.denominator == 1:
            c, common, rest = polynomial.content(table, polynomial.of(table, base))
            full = polynomial.expand(table, rest)
        if full is None:
            parts.append(table.power(base, e))
            continue
        inner = polynomial.to_term(table, full)
        if isinstance(inner, Add):
            inner = min((inner, *squares(table, inner), *doubled(table, inner)), key=cost)
        parts.append(table.power(table.mul(polynomial.monomial(table, common, c), inner), e))
    return table.mul(*parts)


def opened_tangents(table: Table, term: Mul) -> Iterator[Term]:
    """A product in whose sums tan(u) is sin(u)/cos(u), likewise tanh: cos(u)*(1 + tan(u)) = cos(u) + sin(u)."""
    replaced: dict[Term, Term] = {}
    for t in _calls(term) if any(isinstance(b, Add) for b, _ in term.factors) else ():
        if t.function.name in _TANGENTS and not t.free:  # of arrays, 1 - tanh(x)**2 is how people know it
            f, g = _TANGENTS[t.function.name]
            replaced[t] = table.apply(f, t.args) / table.apply(g, t.args)
    if replaced:
        made = table.replace(term, replaced)
        yield _flat(table, made) if isinstance(made, Mul) else made


def as_fraction(table: Table, term: Add) -> Iterator[Term]:
    """A sum with functions of angles as one fraction, its numerator by squares of the functions."""
    if any(t.function.name in _CIRCULAR for t in _calls(term)):
        for made in together(table, term):
            if isinstance(made, Mul):
                yield _flat(table, made)


def sums_of_angles(table: Table, term: Add) -> Iterator[Term]:
    """2*cos(u)*cos(v) = cos(u + v) + cos(u - v) and the like, in all addends."""
    found = polynomial.of(table, term)
    made: Polynomial = {}
    for m, c in found.items() if len(found) <= MOST_PRODUCTS else ():
        pair = [(k, e) for k, e in polynomial.ordered(m) if isinstance(k, Apply) and k.function.name in _CIRCULAR]
        if len(pair) != 2 or any(e != 1 for _, e in pair) or pair[0][0].args == pair[1][0].args:
            polynomial.add_term(made, m, c)
            continue
        for addend in _product(table, *sorted((k for k, _ in pair), key=lambda k: k.function.name)):
            for n, d in polynomial.shifted(polynomial.of(table, addend), m - frozenset(pair)).items():
                polynomial.add_term(made, n, c * d)
    if made and made != found:
        yield polynomial.to_term(table, made)


def _product(table: Table, one: Apply, other: Apply) -> tuple[Term, ...]:
    """The addends that a product of two of the functions is: cos before sin."""
    (f, (u,)), (g, (v,)) = (one.function.name, one.args), (other.function.name, other.args)
    if _CIRCULAR[f] != _CIRCULAR[g]:
        return (one * other,)
    hyperbolic, even = f.endswith("h"), _CIRCULAR[f]
    if f == g:
        sign = 1 if f == even else -1
        total, difference = table.apply(even, (u + v,)), table.apply(even, (u - v,))
        first = HALF * total if f == even or hyperbolic else -HALF * total
        return (first, HALF * (difference if f == even or not hyperbolic else sign * difference))
    return (HALF * table.apply(g, (v + u,)), HALF * table.apply(g, (v - u,)))


IN_SUMS = (as_fraction, sums_of_angles)
IN_PRODUCTS = (opened_tangents,)
