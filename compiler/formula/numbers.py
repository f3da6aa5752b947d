"""Numbers as people write them: 0.5 is 1/2, 6.283185307179586 is 2*pi."""
from __future__ import annotations

import math
from collections.abc import Set
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .algebra import Table
    from .terms import Term

SMALL_DENOMINATOR = 64
_LARGEST_RADICAND = 10**6
_LARGEST_NUMERATOR = 1000  # over 2, 4 or 8
_EXACT, _ROUNDED = 16, 10  # digits: of a float as it is; of one that is a decimal up to rounding
_ULPS = 4  # by which a few operations may have moved a number
_LARGEST_ROOT = 36  # denominators and, times 36, numerators of squares of numbers that are taken for roots
_SHORT = 4  # digits of a decimal that is worth writing below the line


def tidy(value: Any) -> Fraction:
    """The rational that a finite float stands for: with a small denominator where that is the float but for rounding (1/3 - 1
    is not quite -2/3 in floats), else the shortest decimal that gives it back.
    """
    exact = Fraction(float(value))
    if exact.denominator == 1 and abs(exact) < 2**53:
        return exact
    near = exact.limit_denominator(SMALL_DENOMINATOR)
    if near.denominator != 1 and abs(near - exact) <= _ULPS * Fraction(float(np.spacing(np.abs(value)))):
        return near
    shortest = Decimal(str(value))
    if len(shortest.as_tuple().digits) >= _EXACT:  # 3.0000000000000002e+50, which 1e25 * 3e25 is: 3e+50
        rounded = Decimal(f"{float(value):.{_EXACT - 2}g}").normalize()
        if len(rounded.as_tuple().digits) <= _ROUNDED and abs(float(rounded) - float(value)) <= 2 * np.spacing(abs(float(value))):
            return Fraction(rounded)
    return Fraction(shortest)


def _named(table: Table) -> list[tuple[float, Term]]:
    """Irrational constants that formulas are made of, with their values."""
    two = table.number(2)
    pi, root = table.pi, table.sqrt
    terms = [
        (math.pi, pi), (1 / math.pi, 1 / pi), (math.sqrt(math.pi), root(pi)), (1 / math.sqrt(math.pi), 1 / root(pi)),
        (math.sqrt(2), root(two)), (math.sqrt(2 * math.pi), root(2 * pi)), (1 / math.sqrt(2 * math.pi), 1 / root(2 * pi)),
        (math.sqrt(2 / math.pi), root(2 / pi)), (math.pi / 180, pi / 180), (math.sqrt(3), root(table.number(3))), (math.pi**2, pi**2),
        (math.log(2), table.log(two)), (math.log(10), table.log(10)), (math.log(math.pi), table.log(pi)),
        (math.log(2 * math.pi), table.log(2 * pi)), (math.e, table.e),
    ]
    return terms


def read(table: Table, value: Any) -> Term:
    """A NumPy scalar as a term."""
    if isinstance(value, np.bool_ | np.integer):
        return table.number(int(value))
    if not np.isfinite(value):
        name = table.constant("nan" if np.isnan(value) else "inf")
        return -name if value < 0 else name
    rational = tidy(value)
    if rational.denominator <= SMALL_DENOMINATOR or len(str(value).strip("-0.")) <= 8 or abs(float(value)) in table.literals:
        return table.number(rational)
    found = []
    for size, term in _named(table):
        ratio = Fraction(float(value) / size).limit_denominator(36)
        if ratio and abs(ratio.numerator) <= 360 and abs(float(ratio) * size - float(value)) <= 2 * abs(np.spacing(value)):
            found.append((abs(ratio.numerator) + ratio.denominator, table.mul(table.number(ratio), term)))
    if found:
        return min(found, key=lambda pair: pair[0])[1]
    square = Fraction(float(value) ** 2).limit_denominator(_LARGEST_ROOT)
    if 0 < square <= _LARGEST_ROOT**2 and abs(math.sqrt(square) - abs(float(value))) <= _ULPS * np.spacing(abs(value)):
        return table.mul(table.number(1 if value > 0 else -1), table.sqrt(table.number(square)))
    return table.number(_reciprocal(value) or rational)


def _reciprocal(value: Any) -> Fraction | None:
    """The number as 1 over a short decimal, where that is it but for rounding: 0.591715976331361 as 1/1.69."""
    short = Decimal(f"{1 / float(value):.{_SHORT}g}").normalize()
    near = 1 / Fraction(short) if short else Fraction(0)
    return near if abs(float(near) - float(value)) <= 2 * np.spacing(abs(value)) and near.denominator != 1 else None


def root_parts(value: Fraction, power: Fraction) -> tuple[Fraction, list[tuple[Fraction, Fraction]]]:
    """`value**power` as a rational and powers of numbers whose exponents lie between -1 and 1."""
    floor = math.floor(power) if power > 0 else math.ceil(power)
    outside = value**floor if abs(floor) <= 64 else Fraction(1)
    power = power - floor if abs(floor) <= 64 else power
    if value.numerator > _LARGEST_RADICAND or value.denominator > _LARGEST_RADICAND:
        return outside, [(value, power)]
    if value.denominator != 1 and not _is_simple(value.denominator):
        return outside, [(value, power)]
    inside: dict[Fraction, Fraction] = {}
    for radicand, sign in ((value.numerator, 1), (value.denominator, -1)):
        base, whole = _extracted(radicand, power.denominator)
        outside *= Fraction(whole) ** int(sign * power.numerator)
        if base != 1:
            inside[Fraction(base)] = sign * power
    return outside, list(inside.items())


def _is_simple(denominator: int) -> bool:
    return denominator <= SMALL_DENOMINATOR


def _extracted(n: int, degree: int) -> tuple[int, int]:
    """`(base, whole)` with `n == base * whole**degree`."""
    whole, k = 1, 2
    while k**degree <= n:
        while n % k**degree == 0:
            n //= k**degree
            whole *= k
        k += 1
    return n, whole


def text(value: Fraction) -> str:
    """`3`, `1/2`, `0.3`, `1e-08`."""
    if value.denominator == 1:
        return str(value.numerator) if abs(value.numerator) < 10**16 else _rounded(value)
    if is_fraction(value):
        return f"{value.numerator}/{value.denominator}"
    return _rounded(value)


def _rounded(value: Fraction) -> str:
    try:
        near = float(value)
    except OverflowError:
        near = 0.0
    return repr(near) if near else f"{Decimal(value.numerator) / value.denominator:.16e}"  # beyond all floats


class AsDecimal(Fraction):
    """A number that is written as a decimal, whatever its denominator is."""

    __slots__ = ()

    def __abs__(self) -> AsDecimal:
        return AsDecimal(super().__abs__())


class OverDecimal(Fraction):
    """A coefficient that is written as a whole number over a decimal: a third of 10 as 1/0.3."""

    __slots__ = ("below",)
    below: Fraction

    def __abs__(self) -> OverDecimal:
        made = OverDecimal(super().__abs__())
        made.below = self.below
        return made


def like_literals(value: Fraction, literals: Set[float]) -> Fraction:
    """The number, as a decimal where the user's decimals lead to it: 5/2 as 2.5 for who writes 2.5, 1.5 or 0.5, and a third of 4.9."""
    if not literals or not is_fraction(value):
        return value
    if value.denominator & (value.denominator - 1) == 0:
        decimal = any((value / w).denominator == 1 or (w / value).denominator == 1 or (abs(value) - w).denominator == 1
                      for w in _decimals(literals))
    else:
        decimal = any(_is_decimal(w) and (w / value).denominator == 1 for w in _decimals(literals))
    return AsDecimal(value) if decimal else value


def as_coefficient(value: Fraction, literals: Set[float], alone: bool) -> Fraction:
    """A coefficient as it is written; `alone`: above a line. x/2 is as short as 0.5*x, but 0.5/x is shorter than 1/(2*x)."""
    if not literals or value.denominator == 1:
        return value
    written = like_literals(value, literals)
    if isinstance(written, AsDecimal):
        return written if alone or value.numerator not in (1, -1) else value
    if _terminates(value.denominator):
        return written
    size = abs(value)
    for below in (1 / size if size.numerator % 10 == 0 else Fraction(1), *_decimals(literals)):
        if _is_decimal(below) and (size * below).denominator == 1 and len(text(below)) <= _SHORT + 2:
            quotient = OverDecimal(value)
            quotient.below = below
            return quotient
    return written


def _decimals(literals: Set[float]) -> list[Fraction]:
    return [w for d in literals if math.isfinite(d) and (w := abs(tidy(d))).denominator != 1]


def over_and_below(size: Fraction) -> tuple[Fraction, Fraction]:
    """What stands above the line and below it of a coefficient without a sign."""
    if isinstance(size, OverDecimal):
        return size * size.below, size.below
    return (Fraction(size.numerator), Fraction(size.denominator)) if is_fraction(size) else (size, Fraction(1))


def is_fraction(value: Fraction) -> bool:
    """Whether the number is written as a quotient."""
    if isinstance(value, AsDecimal) or value.denominator == 1:
        return False
    return (value.denominator <= SMALL_DENOMINATOR or 360 % value.denominator == 0) and not _is_decimal(value)


def _is_decimal(value: Fraction) -> bool:
    """A terminating decimal that has a 5 in its denominator, or is large: people write 0.3 and 333.75, but 1/2 and 3/4."""
    if value.denominator & (value.denominator - 1) == 0:
        return value.denominator <= 8 and abs(value.numerator) > _LARGEST_NUMERATOR
    return _terminates(value.denominator)


def _terminates(denominator: int) -> bool:
    """Whether fractions with the denominator are decimals that end."""
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1
