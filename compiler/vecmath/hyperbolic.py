"""Hyperbolic functions and their inverses, from the parts of expm1 and log1p."""

from __future__ import annotations

import math

from . import coefficients
from .core import Value, fast_two_sum, fma, from_exponent, polynomial, two_sum, where
from .exponential import exp_finite, reduce_by_log2, scaled_expm1
from .logarithm import log_of_sum, with_log_limits

TANH_LIMIT = {"f64": 44.0, "f32": 20.0}  # of 2*|x|, where tanh is 1
OVERFLOW = {"f64": 711.0, "f32": 90.0}  # of sinh and cosh
LARGE = {"f64": 2.0**28, "f32": 2.0**13}  # from here on asinh and acosh are log(2*x)


def tanh(x: Value) -> Value:
    """The hyperbolic tangent."""
    # tanh |x| = e / (e + 2) with e = expm1(2|x|); the quotient is corrected by its remainder, low parts included
    _, biased, r, r_low = reduce_by_log2((abs(x) * 2.0).clamp(high=TANH_LIMIT[x.format.name]), x.format.bias)
    scale = from_exponent(biased)
    e, e_low = fast_two_sum(*scaled_expm1(r, r_low, scale, scale - 1.0))
    divisor, divisor_low = fast_two_sum(x.constant(2.0), e)
    inverse = 1.0 / divisor
    quotient = e * inverse
    remainder = fma(-quotient, divisor, e) + fma(-quotient, divisor_low, e_low)
    return fma(remainder, inverse, quotient).with_sign_of(x)


def sinh(x: Value) -> Value:
    """(exp(x) - exp(-x)) / 2."""
    z = x * x
    near = fma(x * z, polynomial(z, coefficients.SINH(x)), x)
    half_exp = _half_exp(abs(x))
    far = (half_exp - 0.25 / half_exp).with_sign_of(x)
    return where(abs(x) < 1.0, near, far)


def cosh(x: Value) -> Value:
    """(exp(x) + exp(-x)) / 2."""
    half_exp = _half_exp(abs(x))
    return half_exp + 0.25 / half_exp


def _half_exp(x: Value) -> Value:
    """exp(x) / 2, which overflows only where sinh and cosh do, for x >= 0."""
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
    """The inverse of tanh: log1p(2|x| / (1 - |x|)) / 2, with the sign of x."""
    size = abs(x)
    y = (size + size) / (1.0 - size)
    result = with_log_limits(log_of_sum(*two_sum(x.constant(1.0), y)), y, pole=-1.0) * 0.5
    return where(size < 0.5**x.format.precision, x, result.with_sign_of(x))
