"""Logarithms and what is made of them.

x = 2**k * (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), and log(1 + f) by a series in s = f / (2 + f).

Method: that of fdlibm's e_log.c and s_log1p.c (K. C. Ng, Sun Microsystems 1993), with own coefficients and fma.
"""

from __future__ import annotations

import math

from . import coefficients
from .core import (
    Value,
    fast_two_sum,
    fma,
    from_exponent,
    hex_floats,
    polynomial,
    small_integer,
    split_exponent,
    two_product,
    where,
)
from .exponential import EXP_LIMITS, LOG_2, exp_finite

LOG2_E = {  # 1/log(2), high and low part
    "f64": hex_floats("0x1.71547652b82fep0 0x1.777d0ffda0d24p-56"),
    "f32": hex_floats("0x1.715476p0 0x1.4ae0cp-26"),
}
LOG10_E = {
    "f64": hex_floats("0x1.bcb7b1526e50ep-2 0x1.95355baaafad3p-57"),
    "f32": hex_floats("0x1.bcb7b2p-2 -0x1.5b235ep-27"),
}
LOG10_2 = {  # the high part has trailing zeros, so that its product with an exponent is exact
    "f64": hex_floats("0x1.34413509f7p-2 0x1.3fde623e2566bp-43"),
    "f32": hex_floats("0x1.344p-2 0x1.3509f8p-18"),
}


def log(x: Value) -> Value:
    """The natural logarithm."""
    k, mantissa = exponent_and_mantissa(x)
    return with_log_limits(log_of_parts(k, mantissa - 1.0), x)


def log2(x: Value) -> Value:
    """The logarithm to base 2; exact for powers of two."""
    k, mantissa = exponent_and_mantissa(x)
    return with_log_limits(_to_base(k, x.constant(0.0), mantissa - 1.0, *LOG2_E[x.format.name]), x)


def log10(x: Value) -> Value:
    """The logarithm to base 10."""
    k, mantissa = exponent_and_mantissa(x)
    high, low = LOG10_2[x.format.name]
    return with_log_limits(_to_base(k * high, k * low, mantissa - 1.0, *LOG10_E[x.format.name]), x)


def _to_base(integer: Value, integer_low: Value, f: Value, factor: float, factor_low: float) -> Value:
    """Integer + integer_low + log(1 + f) * (factor + factor_low), with the leading product in two parts."""
    s, tail = _series(f)
    half_square = (f * 0.5) * f
    low = fma(s, half_square + tail, -half_square)  # log(1 + f) - f
    product, product_low = two_product(f, factor)
    total, lost = fast_two_sum(integer, product)
    return total + (fma(low, factor, fma(f, factor_low, product_low)) + lost + integer_low)


def exponent_and_mantissa(x: Value) -> tuple[Value, Value]:
    """K and m in [sqrt(1/2), sqrt(2)) with x == m * 2**k, for positive finite x."""
    format = x.format
    subnormal = x < format.smallest_normal
    scaled = where(subnormal, x * 2.0**format.precision, x)
    bias = where(subnormal, x.constant(format.bias + format.precision), x.constant(format.bias))
    mantissa, biased = split_exponent(scaled)
    return small_integer(biased) - bias, mantissa


def _series(f: Value) -> tuple[Value, Value]:
    """S = f / (2 + f) and R with log(1 + f) == f - f**2 / 2 + s * (f**2 / 2 + R)."""
    s = f / (f + 2.0)
    z = s * s
    return s, z * polynomial(z, coefficients.LOG(f))


def log_of_parts(k: Value, f: Value, f_low: Value | None = None) -> Value:
    """k*log(2) + log(1 + f) + f_low, for sqrt(1/2) <= 1 + f < sqrt(2)."""
    log2_high, log2_low = LOG_2[f.format.name]
    s, tail = _series(f)
    half_square = (f * 0.5) * f
    small = k * log2_low if f_low is None else fma(k, log2_low, f_low)
    inner = fma(s, half_square + tail, small)
    return fma(k, log2_high, f - (half_square - inner))


def with_log_limits(result: Value, x: Value, pole: float = 0.0) -> Value:
    """`result`, but -inf at the pole, NaN below it, inf at inf and NaN for NaN."""
    result = where(x < math.inf, result, x)
    result = where(x.equals(pole), x.constant(-math.inf), result)
    return where(x < pole, x.constant(math.nan), result)


def log1p(x: Value) -> Value:
    """log(1 + x), without cancellation."""
    format = x.format
    _, biased = split_exponent(1.0 + x)
    scale = from_exponent(2 * format.bias + 2 - biased) * 0.25  # 2**-k, of which the smallest are subnormal
    f = fma(x, scale, scale - 1.0)
    f_low = fma(x, scale, (scale - 1.0) - f)
    result = log_of_parts(small_integer(biased) - float(format.bias), f, f_low)
    return with_log_limits(result.with_sign_of(x), x, pole=-1.0)


def log_of_sum(high: Value, low: Value, exponent: Value | None = None) -> Value:
    """log((high + low) * 2**exponent) for finite normal high, |low| at most half a unit of its last place."""
    mantissa, biased = split_exponent(high)
    k = small_integer(biased) - float(high.format.bias)
    unscale = from_exponent(2 * high.format.bias + 1 - biased)  # 2 / 2**k, which is normal, or 0 for the largest k
    f, f_low = fast_two_sum(mantissa - 1.0, low * unscale * 0.5)
    # to first order log(1 + f + f_low) = log(1 + f) + f_low / (1 + f)
    return log_of_parts(k if exponent is None else k + exponent, f, fma(-f, f_low, f_low))


def sigmoid(x: Value) -> Value:
    """1 / (1 + exp(-x))."""
    small = _exp_of_negative(abs(x))
    return where(x < 0.0, small, x.constant(1.0)) / (small + 1.0)


def softplus(x: Value) -> Value:
    """log(1 + exp(x))."""
    return where(x > 0.0, x, x.constant(0.0)) + _log1p_exp_of_negative(abs(x))


def log_sigmoid(x: Value) -> Value:
    """log(sigmoid(x)) = -softplus(-x)."""
    return where(x < 0.0, x, x.constant(-0.0)) - _log1p_exp_of_negative(abs(x))


def logaddexp(x: Value, y: Value) -> Value:
    """log(exp(x) + exp(y)). Where the result is near zero the error is relative to max(|x|, |y|)."""
    distance = where(x.equals(y), x.constant(0.0), abs(x - y))  # inf - inf is NaN
    return where(x > y, x, y) + _log1p_exp_of_negative(distance)


def _exp_of_negative(x: Value) -> Value:
    """exp(-x) for x >= 0."""
    return exp_finite(-x.clamp(high=-EXP_LIMITS[x.format.name][0]))


def _log1p_exp_of_negative(x: Value) -> Value:
    """log(1 + exp(-x)) for x >= 0."""
    small = _exp_of_negative(x)
    is_above = small > math.sqrt(2.0) - 1.0  # 1 + small is above the square root of 2
    f = where(is_above, fma(small, 0.5, -0.5), small)
    return log_of_parts(where(is_above, x.constant(1.0), x.constant(0.0)), f)
