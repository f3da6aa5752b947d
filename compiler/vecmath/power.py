"""pow and cbrt."""

from __future__ import annotations

import math

from . import coefficients
from .core import (
    F64,
    Bool,
    Value,
    fast_two_sum,
    fma,
    from_exponent,
    polynomial,
    round_to_integer,
    small_integer,
    split_exponent,
    two_product,
    where,
)
from .exponential import EXP2_LIMITS, EXP_LIMITS, LOG_2, exp_finite
from .logarithm import exponent_and_mantissa
from .rare import replace_where


def pow(x: Value, y: Value) -> Value:
    """x**y with C99's special values: x**0 == 1, 1**y == 1, negative x with integral y only."""
    size = abs(x)
    magnitude = _pow_f64(size, y) if x.format is F64 else _pow_f32(size, y)
    is_integer = y.intrinsic("llvm.trunc").equals(y)
    half = y * 0.5
    is_odd = is_integer & ~half.intrinsic("llvm.trunc").equals(half)
    one = x.constant(1.0)
    magnitude = where(size.equals(1.0), one, magnitude)
    result = where(is_odd, magnitude.with_sign_of(x), magnitude)
    result = where((x < 0.0) & (x > -math.inf) & ~is_integer, x.constant(math.nan), result)
    result = where(x.is_nan() | (y.is_nan() & ~x.equals(1.0)), x + y, result)
    return where(y.equals(0.0), one, result)


def _pow_f64(x: Value, y: Value) -> Value:
    """exp(y * log(x)) for x >= 0, with log(x) to about 68 bits."""
    high, low = _log_in_two_parts(x)
    product, product_low = two_product(y, high)
    product_low = fma(y, low, product_low)
    is_finite = abs(product) < 800.0  # beyond, the low part is NaN or as large as any number
    low = where(is_finite, product_low, x.constant(0.0))
    return exp_finite(product.clamp(*EXP_LIMITS["f64"]), low=low)


def _log_in_two_parts(x: Value) -> tuple[Value, Value]:
    """log(x) for x >= 0; -inf and inf at the ends."""
    k, mantissa = exponent_and_mantissa(x)
    f = mantissa - 1.0
    # log(1 + f) = 2*s + s*z*(2/3 + z*tail(z)), s = f / (2 + f), z = s**2; the leading terms in two parts
    divisor, divisor_low = fast_two_sum(x.constant(2.0), f)
    inverse = 1.0 / divisor
    s = f * inverse
    s_low = fma(-s, divisor_low, fma(-s, divisor, f)) * inverse
    z, z_low = two_product(s, s)
    z_low = fma(s + s, s_low, z_low)
    two_thirds, two_thirds_low = float.fromhex("0x1.5555555555555p-1"), float.fromhex("0x1.5555555555555p-55")
    series, series_low = fast_two_sum(x.constant(two_thirds), z * polynomial(z, coefficients.LOG_TAIL(x)))
    series_low = series_low + two_thirds_low
    cube, cube_low = two_product(s, z)
    cube_low = fma(s, z_low, fma(z, s_low, cube_low))
    term, term_low = two_product(cube, series)
    term_low = fma(cube, series_low, fma(cube_low, series, term_low))
    log2, log2_low = LOG_2["f64"]
    integer, integer_low = two_product(k, log2)
    total, lost = fast_two_sum(integer, s + s)
    total, lost_too = fast_two_sum(total, term)
    rest = fma(k, log2_low, integer_low) + (lost + lost_too) + fma(s_low, 2.0, term_low)
    high, low = fast_two_sum(total, rest)
    is_zero, is_infinite = x.equals(0.0), x.equals(math.inf)
    high = where(is_zero, x.constant(-math.inf), where(is_infinite, x, high))
    return high, where(is_zero | is_infinite, x.constant(0.0), low)


def _pow_f32(x: Value, y: Value) -> Value:
    """2**(y * log2(x)) in float64, whose exponents and digits need no further parts; both to about 36 bits."""
    wide = x.widened()  # a subnormal becomes normal
    mantissa, biased = split_exponent(wide)
    f = mantissa - 1.0
    s = f / (f + 2.0)
    log2 = fma(s, polynomial(s * s, coefficients.POW_LOG2(s)), small_integer(biased, F64.bias))
    log2 = where(wide.equals(0.0), wide.constant(-math.inf), where(wide < math.inf, log2, wide))
    power = (y.widened() * log2).clamp(*EXP2_LIMITS["f32"])
    n, exponent = round_to_integer(power, 1.0, offset=F64.bias)
    return (polynomial(power - n, coefficients.POW_EXP2(s)) * from_exponent(exponent)).narrowed(x.format)


CBRT_TINY = {"f64": (2.0**-700, 2.0**600, 2.0**-200), "f32": (2.0**-90, 2.0**90, 2.0**-30)}  # below: scaled by, and back by
CBRT_GROWTH = {"f64": (1.0, 2.0 / 3.0), "f32": (1.0, 2.0 / 3.0, 5.0 / 9.0, 40.0 / 81.0)}  # the series of (1 - e)**(-2/3)


def cbrt(x: Value) -> Value:
    """The real cube root, with the sign of x."""
    return replace_where(_is_extreme, _cbrt_of_normal(abs(x)).with_sign_of(x), _cbrt_of_extremes, x)


def _is_extreme(x: Value) -> Bool:
    low, high = (x.format.bits(limit) for limit in (CBRT_TINY[x.format.name][0], x.format.largest))
    return (abs(x).bits() - low).is_above(high - low)  # also 0, inf and NaN


def _cbrt_of_extremes(x: Value) -> Value:
    size = abs(x)
    tiny, up, down = CBRT_TINY[x.format.name]
    is_tiny = size < tiny
    result = _cbrt_of_normal(size * where(is_tiny, x.constant(up), 1.0)) * where(is_tiny, x.constant(down), 1.0)
    top = size - x.format.largest  # inf and NaN as x is, and else below the root
    return where(result > top, result, top).with_sign_of(x)


def _cbrt_of_normal(x: Value) -> Value:
    r = _inverse_cbrt_seed(x)
    if x.format is F64:
        error = fma(-(r * r), r * x, 1.0)  # up to 0.107; of r to 15 bits behind it
        r = fma(r * error, fma(error, fma(error, 14.0 / 81.0, 2.0 / 9.0), 1.0 / 3.0), r)
    square = r * r
    y = square * x
    error = fma(-y, r, 1.0)
    growth = polynomial(error, CBRT_GROWTH[x.format.name])  # the root is y * growth, to more than half of the digits
    y, slope = y * growth, square * (1.0 / 3.0) * growth
    return fma(fma(-(y * y), y, x), slope, y)


def _inverse_cbrt_seed(x: Value) -> Value:
    """1 / cbrt(x) with a relative error of 0.035, for positive normal x.

    A bit pattern is, but for a constant, a logarithm to base 2 that is linear between powers of two; that of the result
    is -1/3 of it (as in the well-known inverse square root; the constant makes the largest error least). The pattern
    is computed with as a float, of which it has as many bits as the significand holds.
    """
    format = x.format
    dropped = format.width - 1 - format.fraction_bits
    dropped += format.width == 64  # 2**fraction_bits - 1 holds 51 bits of the pattern, or 23
    magic = 2.0**format.fraction_bits
    pattern = ((x.bits() >> dropped) | format.bits(magic)).as_float() - magic
    constant = (4.0 / 3.0 * format.bias - 0.06649) * 2.0 ** (format.fraction_bits - dropped)
    return (fma(pattern, -1.0 / 3.0, x.constant(magic + constant)).bits() << dropped).as_float()
