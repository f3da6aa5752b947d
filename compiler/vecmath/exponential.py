"""exp and its relatives: x = n*log(2) + r, |r| <= log(2)/2, a polynomial in r, and a power of two made from its bits.

Method: J.-M. Muller, Elementary Functions (3rd ed.), 11.1 and 5.2; the reduction is Cody and Waite's, with fma.
"""

from __future__ import annotations

import math

from . import coefficients, pieces, target
from .core import Bits, Value, fast_two_sum, fma, from_exponent, hex_floats, polynomial, round_to_integer, where

LOG2_E = float.fromhex("0x1.71547652b82fep0")
LOG_2 = {  # high and low part
    "f64": hex_floats("0x1.62e42fefa39efp-1 0x1.abc9e3b39803fp-56"),
    "f32": hex_floats("0x1.62e43p-1 -0x1.05c61p-29"),
}
PARTS = {"f64": 8, "f32": 1}  # of log(2), where 2**(i / parts) is looked up; the float32 polynomial is short without
# Beyond these exp is 0 or inf, and the integers of the reduction would leave their range.
EXP_LIMITS = {"f64": (-760.0, 710.0), "f32": (-110.0, 89.0)}
EXP2_LIMITS = {"f64": (-1090.0, 1025.0), "f32": (-160.0, 129.0)}
EXPM1_LIMITS = {"f64": (-45.0, 710.0), "f32": (-20.0, 89.0)}  # below it is -1


def exp(x: Value) -> Value:
    """e**x."""
    return exp_finite(x.clamp(*EXP_LIMITS[x.format.name]))


def exp_parts(x: Value, low: Value | None = None) -> tuple[Value, Bits, Value]:
    """N, its bits, and exp(r) - 1, with x + low == n*log(2) + r and n in units of 1 / PARTS."""
    n, place = round_to_integer(x, LOG2_E, parts=PARTS[x.format.name])
    return n, place, _expm1_of_rest(rest_of_log2(x, n, low))


def _expm1_of_rest(r: Value) -> Value:
    series = coefficients.EXP(r) if PARTS[r.format.name] == 1 else pieces.EXP_NEAR[0]
    return fma(r * r, polynomial(r, series), r)


def _unscaled(place: Bits, power: Value) -> Value:
    """2**(n - floor(n)) * (1 + power)."""
    if PARTS[power.format.name] == 1:
        return power + 1.0
    high, missing = (target.lookup(place, row) for row in pieces.POWERS)
    return fma(high, power + missing, high)


def _exp_by_table(x: Value, low: Value | None = None, factor: Value | None = None, halved: bool = False) -> Value:
    n, place, power = exp_parts(x, low)
    result = _unscaled(place, power)
    return target.scaled(result if factor is None else result * factor, n - 1.0 if halved else n)


@target.on(avx512=_exp_by_table)
def exp_finite(x: Value, low: Value | None = None, factor: Value | None = None, halved: bool = False) -> Value:
    """exp(x + low) * factor for x within EXP_LIMITS; `low` is a small correction; `halved`: divided by 2."""
    n, biased = round_to_integer(x, LOG2_E, offset=2 * x.format.bias - halved)
    return _exp_reduced(rest_of_log2(x, n, low), biased, factor)


def rest_of_log2(x: Value, n: Value, low: Value | None = None) -> Value:
    """X + low - n*log(2)."""
    high_log2, low_log2 = LOG_2[x.format.name]
    exact = fma(-n, high_log2, x)
    return fma(-n, low_log2, exact) if low is None else exact + fma(-n, low_log2, low)


def _exp_reduced(r: Value, biased: Bits, factor: Value | None = None) -> Value:
    """exp(r) * 2**n * factor; n + 2*bias is in the low half of `biased`."""
    power = fma(r * r, polynomial(r, coefficients.EXP(r)), r)
    half = biased >> 1  # 2**n in two factors: n itself may be beyond the exponents of normal numbers
    scale = from_exponent(half)
    scaled = fma(power, scale, scale)
    return (scaled if factor is None else scaled * factor) * from_exponent(biased - half)


def _exp2_by_table(x: Value) -> Value:
    limited = x.clamp(*EXP2_LIMITS[x.format.name])
    n, place = round_to_integer(limited, 1.0, parts=PARTS[x.format.name])
    return target.scaled(_unscaled(place, _expm1_of_rest((limited - n) * math.log(2.0))), n)


@target.on(avx512=_exp2_by_table)
def exp2(x: Value) -> Value:
    """2**x; exact for integers."""
    limited = x.clamp(*EXP2_LIMITS[x.format.name])
    n, biased = round_to_integer(limited, 1.0, offset=2 * x.format.bias)
    return _exp_reduced((limited - n) * math.log(2.0), biased)


def expm1(x: Value) -> Value:
    """e**x - 1, without cancellation."""
    _, biased, r, r_low = reduce_by_log2(x.clamp(*EXPM1_LIMITS[x.format.name]), x.format.bias - 1)
    scale = from_exponent(biased)  # 2**(n - 1): 2**n would overflow just before the result does
    high, low = scaled_expm1(r, r_low, scale, scale - 0.5)
    result = (high + low) * 2.0
    return where(abs(x) < 0.5**x.format.precision, x, result)  # keeps -0 and the last bit of subnormals


def reduce_by_log2(x: Value, offset: int) -> tuple[Value, Bits, Value, Value]:
    """N as a float, n + offset as bits, and r in two parts with x == n*log(2) + r."""
    high, low = LOG_2[x.format.name]
    n, biased = round_to_integer(x, LOG2_E, offset)
    exact = fma(-n, high, x)
    r = fma(-n, low, exact)
    return n, biased, r, fma(-n, low, exact - r)


def scaled_expm1(r: Value, r_low: Value, scale: Value, scale_minus_one: Value) -> tuple[Value, Value]:
    """Scale * expm1(r + r_low) + scale_minus_one, as a sum of two parts which don't overlap much."""
    tail = fma(r * r, polynomial(r, coefficients.EXPM1(r)), fma(r, r_low, r_low))
    total, error = fast_two_sum(scale_minus_one, scale * r)
    return total, fma(scale, tail, error)


EXPREL_LIMIT = {"f64": 700.0, "f32": 80.0}  # beyond it expm1(x) may overflow where expm1(x)/x does not


def exprel(x: Value) -> Value:
    """(e**x - 1) / x, 1 at 0."""
    root = exp(x * 0.5)
    quotient = where(x > EXPREL_LIMIT[x.format.name], root / x * root, expm1(x) / x)
    return where(x.equals(0.0), x.constant(1.0), where(x.equals(math.inf), x, quotient))
