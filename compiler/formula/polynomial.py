"""Terms as polynomials in kernels: whatever is not a sum, a product or a whole power is a kernel.

A monomial is a power product of kernels; exponents are rationals, negative ones too. `x**a` is a kernel beside `x`, so
that `x**(a - 1)` is `x**a * x**-1`, and likewise for exponentials.
"""
from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm
from operator import add
from typing import TypeVar

from . import numbers
from .algebra import Table
from .terms import Add, Mul, Number, Term

__all__ = ["Monomial", "Polynomial", "add_term", "apart", "content", "divide", "expand", "monomial", "of", "ordered", "shifted", "to_term"]

Monomial = frozenset[tuple[Term, Fraction]]
Polynomial = dict[Monomial, Fraction]
_Exponents = tuple[int, ...]
_Key = TypeVar("_Key", Monomial, _Exponents)

MOST_MONOMIALS = 300
MOST_EFFORT = 20_000  # products of monomials, and terms that are looked at, in one formula: less than a second
LARGEST_EXPONENT = 8


def apart(table: Table, term: Term) -> tuple[Fraction, Monomial]:
    """A term that is not a sum, as a coefficient and a monomial."""
    c = Fraction(1)
    factors: tuple[tuple[Term, Term], ...] = ((term, table.one),)
    if isinstance(term, Number):
        return term.value, frozenset()
    if isinstance(term, Mul):
        c, factors = term.coefficient, term.factors
    found: dict[Term, Fraction] = {}
    for base, exponent in factors:
        if isinstance(base, Mul):
            base, exponent = _oriented(table, base, exponent)
        opened = table.power(base, exponent) if isinstance(base, Mul) else base
        if isinstance(opened, Mul) and (base, exponent) not in opened.factors:  # sqrt(2*x) is sqrt(2) times sqrt(x) here
            d, powers = apart(table, opened)
            c *= d
            for kernel, k in powers:
                found[kernel] = found.get(kernel, Fraction(0)) + k
            continue
        for k, unit in _addends(table, exponent):
            kernel = base if unit is table.one else table.power(base, unit)
            found[kernel] = found.get(kernel, Fraction(0)) + k
    return c, frozenset((kernel, k) for kernel, k in found.items() if k)


def _oriented(table: Table, base: Mul, exponent: Term) -> tuple[Term, Term]:
    """A root of a quotient as one of the quotient that was met first, of it and its inverse: sqrt(x/y) is sqrt(y/x)*x/y."""
    if not isinstance(exponent, Number) or exponent.value.denominator == 1:
        return base, exponent
    if base not in table.quotients:
        inverse = table.power(base, table.number(-1))
        table.quotients[base] = base
        table.quotients[inverse] = base
    known = table.quotients[base]
    return (base, exponent) if known is base else (known, -exponent)


def _addends(table: Table, exponent: Term) -> tuple[tuple[Fraction, Term], ...]:
    """The addends of an exponent, of a product of sums too."""
    if isinstance(exponent, Mul) and any(isinstance(b, Add) for b, _ in exponent.factors):
        found = expand(table, of(table, exponent))
        if found and len(found) > 1:
            opened = to_term(table, found)
            table.factored.setdefault(opened, exponent)
            exponent = opened
    return exponent.items if isinstance(exponent, Add) else (table.unit(exponent),)


def of(table: Table, term: Term) -> Polynomial:
    """A sum as a polynomial; anything else as one monomial."""
    made: Polynomial = {}
    for c, t in term.items if isinstance(term, Add) else ((Fraction(1), term),):
        k, m = apart(table, t)
        add_term(made, m, c * k)
    return made


def ordered(m: Monomial) -> list[tuple[Term, Fraction]]:
    """The powers in the order in which their kernels were made, so that what is made of them is the same in every run."""
    return sorted(m, key=lambda power: power[0].serial)


def add_term(polynomial: dict[_Key, Fraction], m: _Key, c: Fraction) -> None:
    """Add c times a monomial to a polynomial, which holds no zeros."""
    total = polynomial.get(m, 0) + c
    if total:
        polynomial[m] = total
    else:
        polynomial.pop(m, None)


def _times(one: Monomial, other: Monomial) -> tuple[Fraction, Monomial]:
    """The product; whole powers of numbers leave it as a coefficient."""
    powers = dict(one)
    c = Fraction(1)
    for kernel, k in other:
        total = powers.get(kernel, Fraction(0)) + k
        if isinstance(kernel, Number) and total.denominator == 1 and abs(total) <= LARGEST_EXPONENT:
            c *= kernel.value ** int(total)
            total = Fraction(0)
        if total:
            powers[kernel] = total
        else:
            powers.pop(kernel, None)
    return c, frozenset(powers.items())


def shifted(polynomial: Polynomial, m: Monomial) -> Polynomial:
    """The polynomial times a monomial."""
    made: Polynomial = {}
    for one, c in polynomial.items():
        k, product = _times(one, m)
        add_term(made, product, c * k)
    return made


def multiply(table: Table, one: Polynomial, other: Polynomial) -> Polynomial | None:
    """The product, None where it is too long to be of use."""
    table.effort += len(one) * len(other)
    if len(one) * len(other) > MOST_MONOMIALS or table.effort > MOST_EFFORT:
        return None
    made: Polynomial = {}
    for m, c in one.items():
        for n, d in other.items():
            k, product = _times(m, n)
            add_term(made, product, c * d * k)
    return made


def expand(table: Table, polynomial: Polynomial) -> Polynomial | None:
    """Whole positive powers of sums multiplied out, None where that is too long to be of use."""
    current = polynomial
    for _ in range(LARGEST_EXPONENT):
        opened = {m: [(k, e) for k, e in ordered(m) if e >= 1 and _opens(table, k)] for m in current}
        if not any(opened.values()):
            return current
        made: Polynomial = {m: c for m, c in current.items() if not opened[m]}
        for m, powers in opened.items():
            if not powers:
                continue
            left = dict(powers)
            product: Polynomial | None = {frozenset((k, e % 1 if k in left else e) for k, e in m if k not in left or e.denominator != 1):
                                          current[m]}
            for kernel, e in powers:
                if e > LARGEST_EXPONENT:
                    return None
                inner = of(table, kernel)
                for _ in range(int(e)):
                    product = multiply(table, product, inner) if product is not None else None
            if product is None:
                return None
            for n, c in product.items():
                add_term(made, n, c)
            if len(made) > MOST_MONOMIALS:
                return None
        current = made
    return None


def _opens(table: Table, kernel: Term) -> bool:
    """Whether a power of the kernel has to be multiplied out: of a sum, or of a product other than one power such as e**x."""
    if isinstance(kernel, Mul):
        _, powers = apart(table, kernel)
        return len(kernel.factors) > 1 or kernel.coefficient != 1 or {k for k, _ in powers} != {kernel}
    return isinstance(kernel, Add)


def content(table: Table, polynomial: Polynomial) -> tuple[Fraction, Monomial, Polynomial]:
    """`(c, m, rest)` with `polynomial = c*m*rest`: rest has whole coprime coefficients and no common factor of monomials."""
    lowest: dict[Term, Fraction] = {}
    first = True
    for m in polynomial:
        powers = dict(m)
        if first:
            lowest, first = powers, False
            continue
        for kernel in {*lowest, *powers}:
            lowest[kernel] = min(lowest.get(kernel, Fraction(0)), powers.get(kernel, Fraction(0)))
    common = frozenset((kernel, e) for kernel, e in lowest.items() if e)
    rest = shifted(polynomial, frozenset((kernel, -e) for kernel, e in common))
    values = [abs(c) for c in rest.values()]
    if all(v.denominator == 1 or numbers.is_fraction(table.coefficient(v, False) if m else table.written(v))
           for m, v in zip(rest, values, strict=True)):
        c = Fraction(gcd(*(v.numerator for v in values)), lcm(*(v.denominator for v in values)))
    else:
        c = values[0] if len(set(values)) == 1 else Fraction(1)
    if all(v < 0 for v in rest.values()):
        c = -c
    return c, common, {m: v / c for m, v in rest.items()}


def monomial(table: Table, m: Monomial, c: Fraction | int = 1) -> Term:
    """A monomial as a term; an exponent that was opened is closed again where all of it is there."""
    made = table.mul(table.number(c), *(table.power(kernel, table.number(e)) for kernel, e in ordered(m)))
    if isinstance(made, Mul) and any(e in table.factored for _, e in made.factors):
        return table.make_mul(made.coefficient, made.bound, tuple((b, table.factored.get(e, e)) for b, e in made.factors))
    return made


def to_term(table: Table, polynomial: Polynomial) -> Term:
    """A polynomial as a sum."""
    return table.add(*(monomial(table, m, c) for m, c in polynomial.items()))


def divide(polynomial: Polynomial, divisor: Polynomial) -> Polynomial | None:
    """The exact quotient of polynomials with whole exponents, None where there is none."""
    kernels = sorted({kernel for m in (*polynomial, *divisor) for kernel, _ in m}, key=lambda k: k.serial)
    if any(e.denominator != 1 or e < 0 for m in (*polynomial, *divisor) for _, e in m):
        return None
    left, below = (_by_exponents(p, kernels) for p in (polynomial, divisor))
    if not _may_divide(left, below):
        return None
    lead = max(below)
    quotient: Polynomial = {}
    for _ in range(MOST_MONOMIALS):
        if not left:
            return quotient
        top = max(left)
        ratio = tuple(a - b for a, b in zip(top, lead, strict=True))
        if min(ratio, default=0) < 0:
            return None
        c = left[top] / below[lead]
        k, m = _times(frozenset((kernel, Fraction(e)) for kernel, e in zip(kernels, ratio, strict=True) if e), frozenset())
        quotient[m] = c * k
        for n, d in below.items():
            add_term(left, tuple(map(add, ratio, n)), -c * d)
    return None


_PRIME = 2**61 - 1


def _by_exponents(polynomial: Polynomial, kernels: Sequence[Term]) -> dict[_Exponents, Fraction]:
    """The coefficients by the exponents of the kernels, in their order."""
    place = {kernel: k for k, kernel in enumerate(kernels)}
    made: dict[_Exponents, Fraction] = {}
    for m, c in polynomial.items():
        exponents = [0] * len(kernels)
        for kernel, e in m:
            exponents[place[kernel]] = int(e)
        made[tuple(exponents)] = c
    return made


def _may_divide(polynomial: dict[_Exponents, Fraction], divisor: dict[_Exponents, Fraction]) -> bool:
    """Whether it divides modulo a prime where all kernels but one are numbers: if it does not there, it does not at all."""
    lead = max(divisor)
    main = next((k for k, e in enumerate(lead) if e), None)
    if main is None:
        return True
    above, below = (_modular(p, main) for p in (polynomial, divisor))
    if above is None or below is None or not below[-1]:
        return True
    inverse = pow(below[-1], -1, _PRIME)
    while len(above) >= len(below):
        ratio = above.pop() * inverse % _PRIME
        for k in range(2, len(below) + 1):
            above[1 - k] = (above[1 - k] - ratio * below[-k]) % _PRIME
    return not any(above)


def _modular(polynomial: dict[_Exponents, Fraction], main: int) -> list[int] | None:
    """The coefficients by the power of one kernel, the others being fixed numbers; None for denominators without an inverse."""
    made = [0] * (1 + max(e[main] for e in polynomial))
    for exponents, c in polynomial.items():
        if c.denominator % _PRIME == 0:
            return None
        value = c.numerator * pow(c.denominator, -1, _PRIME)
        for k, e in enumerate(exponents):
            if e and k != main:
                value = value * pow(1_000_003 + 7919 * k, e, _PRIME) % _PRIME
        made[exponents[main]] = (made[exponents[main]] + value) % _PRIME
    return made
