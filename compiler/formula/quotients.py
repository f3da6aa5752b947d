"""Sums and products as one fraction: common denominators, common factors, what cancels, and fractions within fractions."""
from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations
from math import isqrt

from . import polynomial
from .algebra import Table
from .polynomial import Monomial, Polynomial
from .terms import Add, Mul, Number, Term, postorder

__all__ = ["IN_PRODUCTS", "IN_SUMS"]

LARGEST_NESTED = 60  # the weight of a product up to which fractions are looked for in all its parts
MOST_SQUARED = 8  # addends up to which a square is looked for among them


def together(table: Table, term: Add) -> Iterator[Term]:
    """The sum as a coefficient times common factors times what is left, multiplied out or not."""
    found = polynomial.of(table, term)
    c, common, rest = polynomial.content(table, found)
    if common or c not in (1, -1):
        yield _product(table, c, common, polynomial.to_term(table, rest))
    shared = frozenset((kernel, e) for kernel, e in common if all(kernel in dict(m) for m in found))
    if shared != common:  # what all have, without a common denominator
        over = polynomial.shifted(found, frozenset((kernel, -e) for kernel, e in shared))
        yield _product(table, c, shared, polynomial.to_term(table, {m: v / c for m, v in over.items()}))
        open_over = polynomial.expand(table, over)
        if open_over and open_over != over:
            yield _product(table, c, shared, polynomial.to_term(table, {m: v / c for m, v in open_over.items()}))
    full = polynomial.expand(table, rest)
    if full is None or not full:
        if full is not None:
            yield table.zero
        return
    yield from _factored(table, c, common, full)
    open_ = polynomial.expand(table, found)  # with common sums multiplied out as well
    if open_ is not None and open_ != found:
        yield polynomial.to_term(table, open_)
        if open_:
            yield from _factored(table, Fraction(1), frozenset(), open_)


def _factored(table: Table, c: Fraction, common: Monomial, full: Polynomial) -> Iterator[Term]:
    k, more, rest = polynomial.content(table, full)
    outer = dict(polynomial.ordered(common))
    for kernel, e in polynomial.ordered(more):
        outer[kernel] = outer.get(kernel, Fraction(0)) + e
    for kernel, e in list(outer.items()):  # what divides the rest as well
        if not isinstance(kernel, Add) or len(rest) == 1:
            continue
        divisor = polynomial.of(table, kernel)
        while (e < 0 or len(divisor) < len(rest)) and (quotient := polynomial.divide(rest, divisor)) is not None:
            rest, e = quotient, e + 1
        outer[kernel] = e
    inner = polynomial.to_term(table, rest)
    made = frozenset((kernel, e) for kernel, e in outer.items() if e)
    yield _product(table, c * k, made, inner)
    root = square(table, rest)
    if root is not None:
        yield _product(table, c * k, made, root)
    if k not in (1, -1):
        yield _product(table, c, made, table.add(*(polynomial.monomial(table, m, k * v) for m, v in rest.items())))


def _product(table: Table, c: Fraction, common: Monomial, inner: Term) -> Term:
    return table.mul(polynomial.monomial(table, common, c), inner)


def square(table: Table, rest: Polynomial) -> Term | None:
    """The square that a sum of three terms is."""
    if len(rest) != 3:
        return None
    if sum(c < 0 for c in rest.values()) >= 2:
        opposite = square(table, {m: -c for m, c in rest.items()})
        return None if opposite is None else -opposite
    for cross in rest:
        (a, p), (b, q) = ((m, c) for m, c in rest.items() if m is not cross)
        if p * q <= 0 or p < 0:
            continue
        u, v = _root(a, p), _root(b, q)
        if u is None or v is None:
            continue
        one, other = polynomial.monomial(table, u[1], u[0]), polynomial.monomial(table, v[1], v[0])
        product = polynomial.apart(table, table.mul(table.number(2), one, other))
        if product == (rest[cross], cross):
            return table.power(one + other, table.number(2))
        if product == (-rest[cross], cross):
            return table.power(one - other, table.number(2))
    return None


def squares_within(table: Table, term: Add) -> Iterator[Term]:
    """Three terms of a longer sum that are a square."""
    written = polynomial.of(table, term)
    opened = polynomial.expand(table, written)
    for found in (written, opened) if opened and opened != written else (written,):
        for chosen in combinations(found, 3) if len(found) <= MOST_SQUARED else ():
            root = square(table, {m: found[m] for m in chosen})
            if root is not None:
                yield table.add(root, polynomial.to_term(table, {m: c for m, c in found.items() if m not in chosen}))


def collected(table: Table, term: Add) -> Iterator[Term]:
    """What some of the addends share taken out of them."""
    found = polynomial.of(table, term)
    users: dict[tuple[Term, Fraction], list[Monomial]] = {}
    for m in found:
        for power in polynomial.ordered(m):
            users.setdefault(power, []).append(m)
    tried = set()
    for members in users.values():
        key = frozenset(members)
        if not 2 <= len(members) < len(found) or key in tried:
            continue
        tried.add(key)
        c, common, rest = polynomial.content(table, {m: found[m] for m in members})
        others = polynomial.to_term(table, {m: v for m, v in found.items() if m not in key})
        yield table.add(_product(table, c, common, polynomial.to_term(table, rest)), others)


def partly_together(table: Table, term: Add) -> Iterator[Term]:
    """Addends that have a sum below the line in common as one fraction."""
    below: dict[Term, list[tuple[Fraction, Term]]] = {}
    for c, t in term.items:
        for b, e in t.factors if isinstance(t, Mul) else ():
            if isinstance(b, Add) and isinstance(e, Number) and e.value < 0:
                below.setdefault(b, []).append((c, t))
    for members in below.values():
        if 2 <= len(members) < len(term.items):
            chosen, rest = table.make_add(tuple(members)), table.make_add(tuple(i for i in term.items if i not in members))
            for made in together(table, chosen) if isinstance(chosen, Add) else ():
                yield table.add(made, rest)


def _root(m: Monomial, c: Fraction) -> tuple[Fraction, Monomial] | None:
    top, bottom = isqrt(c.numerator), isqrt(c.denominator)
    if top * top != c.numerator or bottom * bottom != c.denominator or any(e.denominator != 1 or e % 2 for _, e in m):
        return None
    return Fraction(top, bottom), frozenset((k, e / 2) for k, e in m)


def flattened(table: Table, term: Mul) -> Iterator[Term]:
    """A product in which no factor that is a sum is a sum of fractions, or has a common factor of its own."""
    parts: list[Term] = [table.number(term.coefficient)]
    changed = False
    for base, exponent in term.factors:
        if isinstance(base, Add) and isinstance(exponent, Number) and exponent.value.denominator == 1:
            c, common, rest = polynomial.content(table, polynomial.of(table, base))
            if common or c not in (1, -1):
                outer, inner = polynomial.monomial(table, common, c), polynomial.to_term(table, rest)
                yield table.mul(table.power(outer, exponent), table.power(inner, exponent), table.power(base, -exponent), term)
            full = polynomial.expand(table, rest)
            if full and (common or c not in (1, -1) or full != rest):
                k, more, rest = polynomial.content(table, full)
                outer, inner = polynomial.monomial(table, more, k), polynomial.to_term(table, rest)
                parts.append(table.power(table.mul(polynomial.monomial(table, common, c), outer, inner), exponent))
                changed = True
                continue
        parts.append(table.power(base, exponent))
    if changed:
        made = table.mul(*parts)
        yield made
        if isinstance(made, Mul):
            yield from cancelled(table, made)


def unnested(table: Table, term: Mul) -> Iterator[Term]:
    """A product in which sums of fractions are fractions, however deep they stand: 1/(4/(1 + 1/t)**2 + 2)."""
    if term.weight > LARGEST_NESTED:
        return
    done: dict[Term, Term] = {}
    for t in postorder([term]):
        made = table.with_parts(t, done)
        if isinstance(made, Add):
            c, common, rest = polynomial.content(table, polynomial.of(table, made))
            if any(e < 0 for _, e in common):
                full = polynomial.expand(table, rest)
                made = _product(table, c, common, polynomial.to_term(table, rest if full is None else full))
        done[t] = made
    if done[term] is not term:
        yield done[term]


def cancelled(table: Table, term: Mul) -> Iterator[Term]:
    """A product in which a sum above the line is divided by one below, or the other way round."""
    sums = [(b, e.value) for b, e in term.factors if isinstance(b, Add) and isinstance(e, Number)]
    for above, e in sums:
        if e <= 0 or e.denominator != 1:
            continue
        whole = polynomial.of(table, above)
        for below, k in sums:
            if k >= 0:
                continue
            part = polynomial.of(table, below)
            if (quotient := polynomial.divide(whole, part)) is not None:
                ratio = polynomial.to_term(table, quotient) * below / above
                yield table.mul(term, table.power(ratio, table.number(e)))
            elif (quotient := polynomial.divide(part, whole)) is not None:
                ratio = polynomial.to_term(table, quotient) * above / below
                yield table.mul(term, table.power(ratio, table.number(k)))


def expanded(table: Table, term: Mul) -> Iterator[Term]:
    """The sums above the line multiplied out, over what is below it; and each addend over it by itself."""
    above = [(b, e.value) for b, e in term.factors if isinstance(b, Add) and isinstance(e, Number) and e.value in (1, 2, 3, 4)]
    pairs = [[pair] for pair in above] + ([above] if len(above) > 1 else [])
    for chosen in pairs:
        inner = table.mul(*(table.power(b, table.number(e)) for b, e in chosen))
        found = polynomial.expand(table, polynomial.of(table, inner))
        if found is None:
            continue
        bases = [b for b, _ in chosen]
        rest = table.mul(table.number(term.coefficient), *(table.power(b, e) for b, e in term.factors if b not in bases))
        yield table.mul(rest, polynomial.to_term(table, found))
        yield table.add(*(table.mul(polynomial.monomial(table, m, c), rest) for m, c in found.items()))
        if term.coefficient != 1 and len(chosen) == 1 and chosen[0][1] == 1:  # 2*(x - 1/2) = (2*x - 1)
            others = tuple((b, e) for b, e in term.factors if b not in bases)
            inside = table.add(*(polynomial.monomial(table, m, c * term.coefficient) for m, c in found.items()))
            yield table.make_mul(Fraction(1), (), (*others, (inside, table.one)))


def conjugates(table: Table, term: Mul) -> Iterator[Term]:
    """(s + t)*(s - t) as s**2 - t**2, the squares not multiplied out."""
    sums = [(b, e) for b, e in term.factors if isinstance(b, Add)]
    for k, (one, e) in enumerate(sums):
        for other, d in sums[k + 1:]:
            if e is not d:
                continue
            half = table.number(Fraction(1, 2))
            s, t = table.mul(half, table.add(one, other)), table.mul(half, table.add(one, -other))
            product = table.add(table.power(s, table.number(2)), -table.power(t, table.number(2)))
            rest = [table.power(b, x) for b, x in term.factors if b is not one and b is not other]
            yield table.mul(table.number(term.coefficient), *rest, table.power(product, e))


def signs(table: Table, term: Mul) -> Iterator[Term]:
    """A minus sign in front moved into a sum, whose terms have both signs."""
    for base, exponent in term.factors:
        if isinstance(base, Add) and isinstance(exponent, Number) and exponent.value.denominator == 1 and exponent.value % 2 \
                and any(c > 0 for c, _ in base.items) and any(c < 0 for c, _ in base.items):
            opposite = table.make_add(tuple((-c, t) for c, t in base.items))
            factors = tuple((opposite if b is base else b, e) for b, e in term.factors)
            if sum(b is opposite for b, _ in factors) == 1:
                yield table.make_mul(-term.coefficient, (), factors)


IN_SUMS = (together, squares_within, collected, partly_together)
IN_PRODUCTS = (flattened, unnested, cancelled, expanded, conjugates, signs)
