"""pow and cbrt."""

from __future__ import annotations

import math

from . import coefficients
from .core import F64, Value, fast_two_sum, fma, polynomial, two_product, where
from .exponential import EXP_LIMITS, LOG_2, exp_finite
from .logarithm import exponent_and_mantissa, log_of_parts


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
    """The same for float32, whose range float64 computes without further parts."""
    wide_x, wide_y = x.widened(), y.widened()
    k, mantissa = exponent_and_mantissa(wide_x)
    log = log_of_parts(k, mantissa - 1.0)
    log = where(wide_x.equals(0.0), wide_x.constant(-math.inf), where(wide_x < math.inf, log, wide_x))
    return exp_finite((wide_y * log).clamp(*EXP_LIMITS["f64"])).narrowed(x.format)


def cbrt(x: Value) -> Value:
    """The real cube root, with the sign of x."""
    size = abs(x)
    k, mantissa = exponent_and_mantissa(size)  # in [sqrt(1/2), sqrt(2))
    third = (k * (1.0 / 3.0)).intrinsic("llvm.rint")
    rest = fma(third, -3.0, k)  # -1, 0 or 1
    one = x.constant(1.0)
    m = mantissa * where(rest > 0.5, x.constant(2.0), where(rest < -0.5, x.constant(0.5), one))
    r = polynomial(m, coefficients.INVERSE_CBRT(x))  # 1 / cbrt(m) to 8 bits, then to 30, then to 60
    error = fma(-(r * r), r * m, 1.0)
    r = fma(r * error, fma(error, fma(error, 14.0 / 81.0, 2.0 / 9.0), 1.0 / 3.0), r)
    if x.format is F64:
        error = fma(-(r * r), r * m, 1.0)
        r = fma(r * error, 1.0 / 3.0, r)
    square = r * r
    y = square * m
    y_square, y_square_low = two_product(y, y)
    remainder = fma(-y, y_square_low, fma(-y, y_square, m))
    y = fma(remainder, square * (1.0 / 3.0), y)
    exponent = (third + x.format.shifter + float(x.format.bias)).bits()
    result = y * (exponent << x.format.fraction_bits).as_float()
    return where(size.equals(0.0) | ~(size < math.inf), x, result.with_sign_of(x))
