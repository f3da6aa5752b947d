"""Roots in sums and products: one root of a product, what a root takes in, and roots below the line."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from . import polynomial
from .algebra import Table
from .identities import HALF
from .terms import Add, Constant, Mul, Number, Term

__all__ = ["IN_PRODUCTS", "IN_SUMS"]


def roots(table: Table, term: Mul) -> Iterator[Term]:
    """Powers of products with powers of their factors: u/sqrt(u*v) = sqrt(u*v)/v; and sqrt(u)*sqrt(v) = sqrt(u*v)."""
    for base, e in term.factors:
        if isinstance(base, Mul) and isinstance(e, Number | Add):
            for step in (Fraction(-1), Fraction(1), *_between(base, dict(term.factors))):
                yield table.mul(table.number(term.coefficient), *(table.power(b, x) for b, x in term.factors if b is not base),
                                _raw_power(table, base, e + step), *(table.power(b, x * -step) for b, x in base.factors),
                                table.power(table.number(base.coefficient), table.number(-step)))
    for number, e in term.factors:  # sqrt(3)*sqrt(1 - x) = sqrt(3 - 3*x)
        for base, k in term.factors:
            if isinstance(number, Number) and isinstance(base, Add) and isinstance(e, Number) and isinstance(k, Number) \
                    and (e.value - k.value).denominator == 1 and k.value.denominator != 1 and number.value > 0:
                inside = table.make_add(tuple((c * number.value, t) for c, t in base.items))
                others = tuple((b, x) for b, x in term.factors if b is not base and b is not number)
                yield table.make_mul(term.coefficient * number.value ** int(e.value - k.value), (), (*others, (inside, k)))
    alike: dict[Term, list[tuple[Term, Term]]] = {}
    for base, e in term.factors:
        c, unit = table.unit(e)
        if base is table.e or (unit is table.one and c.denominator == 1):
            continue
        alike.setdefault(table.mul(table.number(abs(c)), unit), []).append((base, e))
    for e, members in alike.items():
        if len(members) > 1 and not all(isinstance(b, Number | Constant) for b, _ in members):
            above = e if any(x is e for _, x in members) else -e
            inside = table.mul(*(b if x is above else table.power(b, table.number(-1)) for b, x in members))
            rest = [(b, x) for b, x in term.factors if (b, x) not in members]
            yield table.make_mul(term.coefficient, (), (*rest, (inside, above)))
            if isinstance(e, Number) and e.value == HALF and any(isinstance(b, Number) for b, _ in members):  # sqrt(2*x)/2 = sqrt(x/2)
                sign = -1 if term.coefficient < 0 else 1
                inside = inside if above is e else table.power(inside, table.number(-1))
                c, unit = table.unit(inside)
                whole, _ = table.unit(table.sqrt(table.number(c * term.coefficient**2)))
                for outside in (Fraction(1), whole):
                    size = table.number(c * (term.coefficient / outside) ** 2)
                    yield table.make_mul(sign * outside, (), (*rest, (table.mul(unit, size), e)))


def _between(base: Mul, powers: Mapping[Term, Term]) -> Iterator[Fraction]:
    """By how much the exponent of a product may change besides: its factors have roots beside it, so that they are positive."""
    beside = [(j.value, k.value) for b, j in base.factors if isinstance(j, Number) and isinstance(k := powers.get(b), Number)]
    if len(beside) == len(base.factors) and base.coefficient > 0 and all(k.denominator % 2 == 0 for _, k in beside):
        yield from dict.fromkeys(k / j for j, k in beside)


def _raw_power(table: Table, base: Term, exponent: Term) -> Term:
    if exponent is table.zero:
        return table.one
    return base if exponent is table.one else table.make_mul(Fraction(1), (), ((base, exponent),))


def radicals(table: Table, term: Mul) -> Iterator[Term]:
    """2/sqrt(2) = sqrt(2) and sqrt(2)/2 = 1/sqrt(2)."""
    for base, e in term.factors:
        if isinstance(base, Number) and isinstance(e, Number) and e.value.denominator != 1:
            step = 1 if e.value < 0 else -1
            factors = tuple((b, table.number(e.value + step) if b is base else x) for b, x in term.factors)
            yield table.make_mul(term.coefficient * base.value ** -step, (), factors)


def rationalised(table: Table, term: Term) -> Iterator[Term]:
    """1/(u + sqrt(v)) = (u - sqrt(v))/(u**2 - v) where that is a sum over one term."""
    for base, e in term.factors if isinstance(term, Mul) else ():
        if not (isinstance(base, Add) and len(base.items) == 2 and isinstance(e, Number) and e.value in (-1, -2)):
            continue
        (c, one), (d, other) = base.items
        if not any(isinstance(k, Number) and k.value == HALF for t in (one, other) for _, k in (t.factors if isinstance(t, Mul) else ())):
            continue
        conjugate = table.make_add(((c, one), (-d, other)))
        below = polynomial.expand(table, polynomial.of(table, table.mul(base, conjugate)))
        if below is not None and len(below) == 1:
            ratio = table.mul(conjugate, table.power(polynomial.to_term(table, below), -table.one))
            yield table.mul(term, table.power(base, -e), table.power(ratio, -e))


def rationalised_addends(table: Table, term: Add) -> Iterator[Term]:
    """The same of the addends of a sum."""
    made = [next(rationalised(table, t), t) for _, t in term.items]
    if any(new is not t for new, (_, t) in zip(made, term.items, strict=True)):
        whole = table.add(*(table.mul(table.number(c), new) for new, (c, _) in zip(made, term.items, strict=True)))
        opened = polynomial.expand(table, polynomial.of(table, whole))
        yield whole if opened is None else polynomial.to_term(table, opened)


IN_SUMS = (rationalised_addends,)
IN_PRODUCTS = (roots, radicals, rationalised)
