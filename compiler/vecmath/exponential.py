"""exp and its relatives: x = n*log(2) + r, |r| <= log(2)/2, a polynomial in r, and a power of two made from its bits.

Method: J.-M. Muller, Elementary Functions (3rd ed.), 11.1 and 5.2; the reduction is Cody and Waite's, with fma.
"""

from __future__ import annotations

from . import coefficients
from .core import Bits, Value, fast_two_sum, fma, from_exponent, hex_floats, polynomial, round_to_integer, where

LOG2_E = float.fromhex("0x1.71547652b82fep0")
LOG_2 = {  # high and low part
    "f64": hex_floats("0x1.62e42fefa39efp-1 0x1.abc9e3b39803fp-56"),
    "f32": hex_floats("0x1.62e43p-1 -0x1.05c61p-29"),
}
# Beyond these exp is 0 or inf, and the integers of the reduction would leave their range.
EXP_LIMITS = {"f64": (-760.0, 710.0), "f32": (-110.0, 89.0)}
EXPM1_LIMITS = {"f64": (-45.0, 710.0), "f32": (-20.0, 89.0)}  # below it is -1


def exp(x: Value) -> Value:
    return exp_finite(x.clamp(*EXP_LIMITS[x.format.name]))


def exp_finite(x: Value, low: Value | None = None) -> Value:
    """exp(x + low) for x within EXP_LIMITS; `low` is a small correction."""
    high_log2, low_log2 = LOG_2[x.format.name]
    n, biased = round_to_integer(x, LOG2_E, offset=2 * x.format.bias)
    r = fma(-n, low_log2, fma(-n, high_log2, x))
    if low is not None:
        r = r + low
    power = fma(r * r, polynomial(r, coefficients.EXP(x)), r)
    half = biased >> 1  # 2**n in two factors: n itself may be beyond the exponents of normal numbers
    scale = from_exponent(half)
    return fma(power, scale, scale) * from_exponent(biased - half)


def expm1(x: Value) -> Value:
    n, biased, r, r_low = reduce_by_log2(x.clamp(*EXPM1_LIMITS[x.format.name]), x.format.bias - 1)
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
