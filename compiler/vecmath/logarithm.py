"""Logarithms and what is made of them.

x = 2**k * (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), and log(1 + f) by a series in s = f / (2 + f).

Method: that of fdlibm's e_log.c and s_log1p.c (K. C. Ng, Sun Microsystems 1993), with own coefficients and fma. Machines that look
up tables in registers have no quotient: log(1 + f) is that of the middle of a small interval, and a polynomial (P. T. P. Tang 1990).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from . import coefficients, target
from .core import (
    Format,
    Value,
    fast_two_sum,
    fma,
    from_exponent,
    hex_floats,
    polynomial,
    small_integer,
    split_exponent,
    where,
)
from .exponential import EXP_LIMITS, LOG2_E, LOG_2, exp_finite

LOG10_E = float.fromhex("0x1.bcb7b1526e50ep-2")
LOG10_2 = {  # what the float32 lacks matters, what the float64 lacks is 1/20 of its last place
    "f64": hex_floats("0x1.34413509f79ffp-2"),
    "f32": hex_floats("0x1.344136p-2 -0x1.ec10cp-27"),
}

LOG10_2_LOW = float.fromhex("-0x1.9dc1da994fd21p-59")  # what the float64 lacks


def log(x: Value) -> Value:
    """The natural logarithm."""
    k, mantissa = exponent_and_mantissa(x)
    return with_log_limits(log_of_parts(k, mantissa - 1.0), x)


def log2(x: Value) -> Value:
    """The logarithm to base 2; exact for powers of two."""
    k, mantissa = exponent_and_mantissa(x)
    return with_log_limits(_to_base(mantissa - 1.0, LOG2_E) + k, x)


def log10(x: Value) -> Value:
    """The logarithm to base 10."""
    k, mantissa = exponent_and_mantissa(x)
    result = _to_base(mantissa - 1.0, LOG10_E)
    for part in reversed(LOG10_2[x.format.name]):
        result = fma(k, part, result)
    return with_log_limits(result, x)


def log_by_pieces(x: Value) -> Value:
    """The natural logarithm."""
    return target.with_special_cases(_by_pieces(x, coefficients.LOG_PIECES, 1.0, LOG_2["f64"]), x, LOG_LIMITS)


def log2_by_pieces(x: Value) -> Value:
    """The logarithm to base 2; exact for powers of two."""
    return target.with_special_cases(_by_pieces(x, coefficients.LOG2_PIECES, LOG2_E, (1.0, 0.0)), x, LOG_LIMITS)


def log10_by_pieces(x: Value) -> Value:
    """The logarithm to base 10."""
    return target.with_special_cases(_by_pieces(x, coefficients.LOG10_PIECES, LOG10_E, (*LOG10_2["f64"], LOG10_2_LOW)), x, LOG_LIMITS)


LOG_LIMITS = {"nan": "x", "zero": "-inf", "negative": "nan", "-inf": "nan", "inf": "inf"}


def log1p_by_pieces(x: Value) -> Value:
    """log(1 + x), without cancellation."""
    total, is_above = x + 1.0, x > 1.0
    low = where(is_above, x.constant(1.0), x) - (total - where(is_above, x, 1.0))
    result = _by_pieces(total, coefficients.LOG_PIECES, 1.0, LOG_2["f64"], low)
    return target.with_special_cases(result.with_sign_of(x), total, LOG_LIMITS)


def _by_pieces(
    x: Value,
    pieces: Callable[[Value], tuple[float, ...]],
    factor: float,
    log_of_2: Sequence[float],
    x_low: Value | None = None,
    exponent: Value | None = None,
) -> Value:
    """A logarithm of (x + x_low) * 2**exponent: x = 2**k * m, 3/4 <= m < 3/2, and 1/r is near the middle of m's piece of that interval.

    Args:
        pieces: r for each piece, with a logarithm that is a multiple of `log_unit` almost exactly.
        factor: log(e) to the base.
        log_of_2: log(2) to the base, in two parts.
        x_low: at most half a unit of the last place of x.
    """
    format, inverses = x.format, pieces(x)
    m = target.mantissa(x, interval=3, sign=1)
    k = target.exponent(x) - target.exponent(m)
    place = m.bits() >> (format.fraction_bits - len(inverses).bit_length() + 1)
    inverse = target.lookup(place, inverses)
    t = fma(m, inverse, -1.0)
    if x_low is not None:
        t = fma(target.scaled(inverse, -k), x_low, t)
    if exponent is not None:
        k = k + exponent
    first, second = log_of_2
    unit = log_unit(format, first)
    high = round(first / unit) * unit
    low = (first - high) + second
    logs = [round(-math.log(r) * factor / unit) * unit for r in inverses]
    exact = fma(k, high, target.lookup(place, logs))
    series = polynomial(t, [each * factor for each in coefficients.LOG_NEAR(x)])
    if factor == 1.0:
        return exact + fma(t, t * series, fma(k, low, t))
    return fma(t, fma(t, series, factor), fma(k, low, exact) if low else exact)


def log_unit(format: Format, log_of_2: float) -> float:
    """The multiples of it that a logarithm reaches are numbers of the format."""
    _, bits = math.frexp((format.bias + format.precision) * log_of_2)
    return 2.0 ** (bits - format.precision)


def _to_base(f: Value, factor: float) -> Value:
    """log(1 + f) * factor, for a factor that the format holds to a few more bits than it has."""
    s, rest = _series(f)
    return fma(f, factor, (s * -factor) * rest)


def exponent_and_mantissa(x: Value) -> tuple[Value, Value]:
    """K and m in [sqrt(1/2), sqrt(2)) with x == m * 2**k, for positive finite x."""
    format = x.format
    subnormal = x < format.smallest_normal
    scaled = where(subnormal, x * 2.0**format.precision, x)
    bias = where(subnormal, x.constant(format.bias + format.precision), format.bias)
    mantissa, biased = split_exponent(scaled)
    return small_integer(biased, bias), mantissa


def _series(f: Value) -> tuple[Value, Value]:
    """S and g with log(1 + f) == f - s * g: s = f / (2 + f), and g is f but for terms from s**2 on."""
    s = f / (f + 2.0)
    z = s * s
    return s, fma(-z, polynomial(z, coefficients.LOG(f)), f)


def log_of_parts(k: Value, f: Value, f_low: Value | None = None) -> Value:
    """k*log(2) + log(1 + f) + f_low, for sqrt(1/2) <= 1 + f < sqrt(2)."""
    log2_high, log2_low = LOG_2[f.format.name]
    s, rest = _series(f)
    small = k * log2_low if f_low is None else fma(k, log2_low, f_low)
    return fma(k, log2_high, f - fma(s, rest, -small))


def with_log_limits(result: Value, x: Value, pole: float = 0.0) -> Value:
    """`result`, but -inf at the pole, NaN below it, inf at inf and NaN for NaN."""
    top = x - x.format.largest  # inf and NaN as x is, and else below any logarithm
    result = where(result > top, result, top)
    result = ((x - pole).bits().of_sign() | result.bits()).as_float()  # NaN below the pole
    return where(x.equals(pole), x.constant(-math.inf), result)


def log1p(x: Value) -> Value:
    """log(1 + x), without cancellation."""
    format = x.format
    _, biased = split_exponent(1.0 + x)
    scale = from_exponent(2 * format.bias + 2 - biased) * 0.25  # 2**-k, of which the smallest are subnormal
    f = fma(x, scale, scale - 1.0)
    f_low = fma(x, scale, (scale - 1.0) - f)
    result = log_of_parts(small_integer(biased, format.bias), f, f_low)
    return with_log_limits(result.with_sign_of(x), x, pole=-1.0)


def _log_of_sum_by_pieces(high: Value, low: Value, exponent: Value | None = None) -> Value:
    return _by_pieces(high, coefficients.LOG_PIECES, 1.0, LOG_2["f64"], low, exponent)


@target.on(avx512=_log_of_sum_by_pieces)
def log_of_sum(high: Value, low: Value, exponent: Value | None = None) -> Value:
    """log((high + low) * 2**exponent) for finite normal high, |low| at most half a unit of its last place."""
    mantissa, biased = split_exponent(high)
    k = small_integer(biased, high.format.bias)
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
