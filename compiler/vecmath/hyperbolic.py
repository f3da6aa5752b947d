"""Hyperbolic functions and their inverses, from the parts of expm1 and log1p."""

from __future__ import annotations

import math

from . import coefficients
from .core import F32, Value, fast_two_sum, fma, from_exponent, polynomial, round_to_integer, small_integer, two_sum, where
from .exponential import EXP_LIMITS, LOG2_E, LOG_2, exp_finite, reduce_by_log2, rest_of_log2, scaled_expm1
from .logarithm import log_of_sum

OVERFLOW = {"f64": 711.0, "f32": 90.0}  # of cosh
SINH_OVERFLOW = {"f64": 710.48, "f32": 89.42}
LARGE = {"f64": 2.0**28, "f32": 2.0**13}  # from here on asinh and acosh are log(2*x)


def tanh(x: Value) -> Value:
    """The hyperbolic tangent."""
    # tanh |x| = -e / (e + 2) with e = expm1(-2|x|)
    r, r_low, scale, _ = _reduced(x)
    e, e_low = scaled_expm1(r, r_low, scale, scale - 1.0)
    if x.format is F32:
        e = e + e_low
        return (e / (e + 2.0)).with_sign_of(x)
    e, e_low = fast_two_sum(e, e_low)  # the quotient is corrected by its remainder, low parts included
    divisor, divisor_low = fast_two_sum(x.constant(2.0), e)
    inverse = 1.0 / divisor
    quotient = e * inverse
    remainder = fma(-quotient, divisor, e) + fma(-quotient, divisor_low, e_low)
    return fma(remainder, inverse, quotient).with_sign_of(x)


def sech_squared(x: Value) -> Value:
    """1 - tanh(x)**2, without cancellation: 4*e / (1 + e)**2 with e = exp(-2|x|), which it shares with tanh(x)."""
    r, _, scale, rest = _reduced(x)
    e = fma(fma(r * r, polynomial(r, coefficients.EXPM1(r)), r), scale, scale)
    root = e + 1.0
    return (e / (root * root)) * (rest * 4.0)


def _reduced(x: Value) -> tuple[Value, Value, Value, Value]:
    """R in two parts and 2**n in two factors, with -2|x| == n*log(2) + r; the first factor is normal with exp(r), too."""
    low, _ = EXP_LIMITS[x.format.name]
    _, biased, r, r_low = reduce_by_log2((abs(x) * -2.0).clamp(low=low), x.format.bias)
    first = biased.at_least(x.format.bits(x.format.shifter) + 2)
    return r, r_low, from_exponent(first), from_exponent(biased - first + x.format.bias)


def sinh(x: Value) -> Value:
    """The hyperbolic sine: with |x| = n*log(2) + r, of those of both parts, and their cosines."""
    format, size = x.format, abs(x)
    limited = size.clamp(high=SINH_OVERFLOW[format.name])
    offset = format.bias - 2
    n, biased = round_to_integer(limited, LOG2_E, offset)
    power = from_exponent(biased)  # 2**(n - 2)
    inverse = from_exponent((format.bits(format.shifter) + 2 * offset - biased).at_least(0))  # 2**(-n - 2), or 0 for the largest n
    even, odd = power - inverse, power + inverse  # sinh(n*log(2)) and cosh(n*log(2)), both halved
    r = rest_of_log2(limited, n)
    z = r * r
    sine = fma(r * z, polynomial(z, coefficients.SINH(x)), r)
    result = (even + fma(odd, sine, even * (z * polynomial(z, coefficients.COSH(x))))) * 2.0
    return where(size < 0.5 ** (format.precision // 2 + 1), x, result).with_sign_of(x)


def cosh(x: Value) -> Value:
    """(exp(x) + exp(-x)) / 2."""
    half_exp = _half_exp(abs(x))
    return half_exp + 0.25 / half_exp


def _half_exp(x: Value) -> Value:
    """exp(x) / 2, which overflows only where cosh does, for x >= 0."""
    return exp_finite(x.clamp(high=OVERFLOW[x.format.name]), halved=True)


def asinh(x: Value) -> Value:
    """The inverse of sinh: log1p(|x| + x**2 / (1 + sqrt(1 + x**2))), with the sign of x."""
    size = abs(x)
    z = size * size
    result = _log1p_or_log_of_double(size, size + z / (1.0 + (1.0 + z).sqrt()))
    return where(size < math.inf, result, size).with_sign_of(x)


def acosh(x: Value) -> Value:
    """The inverse of cosh, >= 0: log1p(t + sqrt(2*t + t**2)) with t = x - 1. NaN for x < 1."""
    t = x - 1.0
    result = _log1p_or_log_of_double(x, t + (t * (t + 2.0)).sqrt())
    return where(x < 1.0, x.constant(math.nan), where(x < math.inf, result, x))


def _log1p_or_log_of_double(x: Value, y: Value) -> Value:
    """log(1 + y), or log(2*x) for large x, where y may have overflowed."""
    is_large = x > LARGE[x.format.name]
    total, lost = two_sum(x.constant(1.0), y)
    zero = x.constant(0.0)
    return log_of_sum(
        where(is_large, x, total), where(is_large, zero, lost), where(is_large, x.constant(1.0), zero)
    )


def atanh(x: Value) -> Value:
    """The inverse of tanh: log((1 + |x|) / (1 - |x|)) / 2, with the sign of x.

    With K = 2**k near that quotient it is k*log(2)/2 + atanh(s), s = ((1 + |x|) - K*(1 - |x|)) / ((1 + |x|) + K*(1 - |x|)),
    |s| < 0.201. For k == 0 s is |x| itself, for k == 1 both sides are rounded once, for larger ones 1 - |x| is exact.
    """
    format, size = x.format, abs(x)
    upper, lower = 1.0 + size, 1.0 - size
    # the difference of two bit patterns is one of logarithms to base 2, within 0.09
    shift, half = format.fraction_bits, 1 << (format.fraction_bits - 1)
    biased = (upper.bits() - lower.bits() + (half + format.bits(1.0))) >> shift
    k, power = small_integer(biased, format.bias), from_exponent(biased)
    is_small, above, below = power < 3.0, power + 1.0, 1.0 - power
    numerator = where(is_small, fma(size, above, below), fma(-power, lower, upper))
    s = numerator / where(is_small, fma(size, below, above), fma(power, lower, upper))
    z = s * s
    log2_high, log2_low = LOG_2[format.name]
    result = fma(k, log2_high * 0.5, s + fma(k, log2_low * 0.5, s * z * polynomial(z, coefficients.ATANH(x))))
    beyond = where(size.equals(1.0), x.constant(math.inf), math.nan)
    return where(size < 1.0, result, beyond).with_sign_of(x)
