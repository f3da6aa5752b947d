"""log and log1p: x = 2**k * (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), and log(1 + f) by a series in s = f / (2 + f).

Method: that of fdlibm's e_log.c and s_log1p.c (K. C. Ng, Sun Microsystems 1993), with own coefficients and fma.
"""

from __future__ import annotations

import math

from . import coefficients
from .core import Value, fast_two_sum, fma, from_exponent, polynomial, small_integer, split_exponent, two_sum, where
from .exponential import LOG_2


def log(x: Value) -> Value:
    scaled, k = normalised(x)
    mantissa, biased = split_exponent(scaled)
    return with_log_limits(log_of_parts(small_integer(biased) - k, mantissa - 1.0, None), x)


def normalised(x: Value) -> tuple[Value, Value]:
    """x, or a subnormal x times 2**precision; and bias + the exponent added."""
    format = x.format
    subnormal = x < format.smallest_normal
    bias = float(format.bias)
    scaled = where(subnormal, x * 2.0**format.precision, x)
    return scaled, where(subnormal, x.constant(bias + format.precision), x.constant(bias))


def log_of_parts(k: Value, f: Value, f_low: Value | None) -> Value:
    """k*log(2) + log(1 + f + f_low)."""
    log2_high, log2_low = LOG_2[f.format.name]
    s = f / (f + 2.0)
    z = s * s
    half_square = (f * 0.5) * f
    small = k * log2_low if f_low is None else fma(k, log2_low, f_low)
    inner = fma(s, fma(z, polynomial(z, coefficients.LOG(f)), half_square), small)
    return fma(k, log2_high, f - (half_square - inner))


def with_log_limits(result: Value, x: Value, pole: float = 0.0) -> Value:
    """`result`, but -inf at the pole, NaN below it, inf at inf and NaN for NaN."""
    result = where(x < math.inf, result, x)
    result = where(x.equals(pole), x.constant(-math.inf), result)
    return where(x < pole, x.constant(math.nan), result)


def log1p(x: Value) -> Value:
    total, lost = two_sum(x.constant(1.0), x)
    mantissa, biased = split_exponent(total)
    unscale = from_exponent(2 * x.format.bias + 1 - biased)  # 2 / 2**k, which is normal, or 0 for the largest k
    f, f_low = fast_two_sum(mantissa - 1.0, lost * 0.5 * unscale)
    # f_low is a part of 1 + f, so to first order log(1 + f + f_low) = log(1 + f) + f_low / (1 + f)
    result = log_of_parts(small_integer(biased) - float(x.format.bias), f, fma(-f, f_low, f_low))
    return with_log_limits(result.with_sign_of(x), x, pole=-1.0)
