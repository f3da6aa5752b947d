"""asin, acos, atan, atan2: an odd polynomial on a small interval, and identities that lead into it.

The identities are those of fdlibm's s_atan.c and e_asin.c (Sun Microsystems 1993), with selects for its branches.
"""

from __future__ import annotations

import math

from . import coefficients
from .core import Bool, Value, fma, hex_floats, polynomial, where
from .rare import replace_where

HALF_PI = {  # high and low part
    "f64": hex_floats("0x1.921fb54442d18p0 0x1.1a62633145c07p-54"),
    "f32": hex_floats("0x1.921fb6p0 -0x1.777a5cp-25"),
}
TAN_PI_8 = math.sqrt(2.0) - 1.0


def asin(x: Value) -> Value:
    """The inverse sine in [-pi/2, pi/2]; NaN for |x| > 1."""
    size = abs(x)
    is_small = size < 0.5
    half_complement = fma(size, -0.5, 0.5)
    z = where(is_small, size * size, half_complement)
    root = half_complement.sqrt()
    root_low = where(root > 0.0, fma(-root, root, half_complement) / (root + root), root)
    t = where(is_small, size, root)
    tail = fma(t * z, polynomial(z, coefficients.ASIN(x)), where(is_small, x.constant(0.0), root_low))
    # asin |x| = pi/2 - 2*asin(sqrt((1 - |x|)/2))
    high, low = HALF_PI[x.format.name]
    far = high - (2.0 * t + (2.0 * tail - low))
    return where(is_small, t + tail, far).with_sign_of(x)


def acos(x: Value) -> Value:
    """The inverse cosine in [0, pi]; NaN for |x| > 1."""
    size = abs(x)
    is_small = size < 0.5
    half_complement = fma(size, -0.5, 0.5)
    z = where(is_small, size * size, half_complement)
    # pi/2 - asin(x), or 2*asin(sqrt((1 - |x|)/2)), for negative x from pi: sums of no more than two roundings
    angle = where(is_small, -x, (2.0 * half_complement.sqrt()).with_sign_of(x))
    pi = 2.0 * HALF_PI[x.format.name][0]
    base = where(is_small, x.constant(0.5 * pi), where(x < 0.0, x.constant(pi), 0.0))
    return base + fma(angle, z * polynomial(z, coefficients.ASIN(x)), angle)


def atan(x: Value) -> Value:
    """The inverse tangent in [-pi/2, pi/2]."""
    size = abs(x)
    is_big, is_middle = size > 1.0 / TAN_PI_8, size > TAN_PI_8
    one = x.constant(1.0)
    numerator = where(is_big, -one, where(is_middle, size - 1.0, size))
    denominator = where(is_big, size, where(is_middle, size + 1.0, one))
    high, low = _atan_of_quotient(numerator / denominator, is_middle, is_big)
    return (high + low).with_sign_of(x)


def _atan_of_quotient(t: Value, is_middle: Bool, is_big: Bool) -> tuple[Value, Value]:
    """pi/4 * (0, 1 or 2) + atan(t), as a constant and the rest."""
    high, low = HALF_PI[t.format.name]
    zero = t.constant(0.0)
    base = where(is_big, t.constant(high), where(is_middle, t.constant(high / 2), zero))
    base_low = where(is_big, t.constant(low), where(is_middle, t.constant(low / 2), zero))
    z = t * t
    return base, t + fma(t * z, polynomial(z, coefficients.ATAN(t)), base_low)


def atan2(y: Value, x: Value) -> Value:
    """The angle of the point (x, y), in [-pi, pi], with the sign of y; C99's values at zeros and infinities."""
    angle = _angle(abs(y), abs(x), x).with_sign_of(y)
    return replace_where(_is_extreme, angle, _angle_of_extremes, y, x)


def _angle(a: Value, b: Value, x: Value) -> Value:
    """The angle of (b, a), or that of (-b, a) if x is negative, for a, b >= 0 that are not both 0 and with a finite sum."""
    is_big, is_middle = a > b * (1.0 / TAN_PI_8), a * (1.0 / TAN_PI_8) > b
    numerator = where(is_big, -b, where(is_middle, a - b, a))
    denominator = where(is_big, a, where(is_middle, a + b, b))
    base, rest = _atan_of_quotient(numerator / denominator, is_middle, is_big)
    # in the left half plane pi - angle; the sign bit tells, also that of -0
    pi, pi_low = (2.0 * part for part in HALF_PI[x.format.name])
    is_left = x.constant(1.0).with_sign_of(x) < 0.0
    return where(is_left, (pi - base) + (pi_low - rest), base + rest)


def _is_extreme(y: Value, x: Value) -> Bool:
    total = abs(y) + abs(x)
    return (total.bits() - 1).is_above(x.format.bits(0.25 * x.format.largest) - 1)  # also 0, inf and NaN


def _angle_of_extremes(y: Value, x: Value) -> Value:
    a, b = abs(y), abs(x)
    both_infinite = a.equals(math.inf) & b.equals(math.inf)
    both_zero = a.equals(0.0) & b.equals(0.0)
    one = x.constant(1.0)
    a, b = where(both_infinite, one, a * 0.25), where(both_infinite | both_zero, one, b * 0.25)
    angle = _angle(a, b, x)
    return where(x.is_nan() | y.is_nan(), x + y, angle).with_sign_of(y)
