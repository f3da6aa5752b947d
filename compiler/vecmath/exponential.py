"""exp and its relatives: x = n*log(2) + r, |r| <= log(2)/2, a polynomial in r, and a power of two put in by its bits.

Method: J.-M. Muller, Elementary Functions (3rd ed.), 11.1 and 5.2; the reduction is Cody and Waite's, with fma.
"""

from __future__ import annotations

from . import coefficients
from .core import Bits, Value, fma, fast_two_sum, polynomial, round_to_integer, where

LOG2_E = float.fromhex("0x1.71547652b82fep0")
LOG_2 = {  # high and low part
    "f64": (float.fromhex("0x1.62e42fefa39efp-1"), float.fromhex("0x1.abc9e3b39803fp-56")),
    "f32": (float.fromhex("0x1.62e43p-1"), float.fromhex("-0x1.05c61p-29")),
}
# Beyond these the result of exp is 0 or inf; the reduction stays within the range of its integers.
EXP_LIMITS = {"f64": (-760.0, 710.0), "f32": (-110.0, 89.0)}


def reduce_by_log2(x: Value) -> tuple[Value, Bits, Value]:
    """n as a float, n as bits, and r with x == n*log(2) + r."""
    high, low = LOG_2[x.format.name]
    n, bits = round_to_integer(x, LOG2_E)
    return n, bits, fma(-n, low, fma(-n, high, x))


def exp(x: Value) -> Value:
    n, bits, r = reduce_by_log2(x.clamp(*EXP_LIMITS[x.format.name]))
    tail = polynomial(r, coefficients.EXP(x))
    return scale_by_power_of_two(fma(r * r, tail, r) + 1.0, bits)
