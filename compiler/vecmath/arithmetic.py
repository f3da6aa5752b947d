"""Operations of floats that are exact or a few instructions: quotients and remainders, extrema, predicates, roots."""

from __future__ import annotations

import math

from . import target
from .core import F64, Bool, Value, fma, two_product, two_sum, where
from .rare import replace_outside, replace_where


def fmod(a: Value, b: Value) -> Value:
    """The exact remainder of a / b rounded towards zero; the sign of a. NaN for b == 0 and for infinite a."""
    quotient = a / b
    # With the integer quotient off by one at most, fma is exact: the remainder is a multiple of the smaller unit.
    rest = fma(-quotient.intrinsic("llvm.trunc"), b, a)
    overshot = _opposite_signs(rest, a)
    size = abs(b)
    rest = where(overshot, rest + size.with_sign_of(a), rest)
    rest = where(abs(a) < size, a, rest).with_sign_of(a)
    limit = 2.0**a.format.fraction_bits
    return replace_outside(-limit, limit, quotient, rest, fmod_far, a, b)


def _opposite_signs(a: Value, b: Value) -> Bool:
    return ((a < 0.0) & (b > 0.0)) | ((a > 0.0) & (b < 0.0))


def fmod_far(a: Value, b: Value) -> Value:
    """The same for quotients which have no exact float: libm's fmod."""
    return Value(a.builder, a.builder.frem(a.ir, b.ir))


def remainder(a: Value, b: Value) -> Value:
    """A - b * floor(a / b), with the sign of b (Python, NumPy)."""
    rest = fmod(a, b)
    opposite = _opposite_signs(rest, b)
    return where(rest.equals(0.0), rest.with_sign_of(b), where(opposite, rest + b, rest))


def floor_divide(a: Value, b: Value) -> Value:
    """Floor of the exact a / b, as NumPy computes it; a / b for b == 0."""
    rest = fmod(a, b)
    opposite = _opposite_signs(rest, b)
    quotient = (a - rest) / b
    quotient = where(opposite, quotient - 1.0, quotient)
    floor = quotient.intrinsic("llvm.floor")
    whole = where(quotient - floor > 0.5, floor + 1.0, floor)
    ratio = a / b
    whole = where(quotient.equals(0.0), quotient.constant(0.0).with_sign_of(ratio), whole)
    return where(b.equals(0.0), ratio, whole)


def maximum(a: Value, b: Value) -> Value:
    """The larger, or NaN if one is."""
    return where(a.is_nan(), a, where(a > b, a, b))


def minimum(a: Value, b: Value) -> Value:
    """The smaller, or NaN if one is."""
    return where(a.is_nan(), a, where(a < b, a, b))


def sign(x: Value) -> Value:
    """-1, 0 or 1; 0 for -0, NaN for NaN."""
    one = x.constant(1.0).with_sign_of(x)
    return where(x.equals(0.0), x.constant(0.0), where(x.is_nan(), x, one))


def product_error(x: Value, y: Value) -> Value:
    """What x * y rounds away, rounded where it is no float; none that is finite where the product overflows."""
    return two_product(x, y)[1]


def sum_error(x: Value, y: Value) -> Value:
    """What x + y rounds away, exactly; nan where the sum overflows."""
    return two_sum(x, y)[1] + 0.0  # no error is +0


def square(x: Value) -> Value:
    """X * x."""
    return x * x


def reciprocal(x: Value) -> Value:
    """1 / x."""
    return 1.0 / x


def rsqrt(x: Value) -> Value:
    """1 / sqrt(x)."""
    return 1.0 / x.sqrt()


def isnan(x: Value) -> Bool:
    """Whether x is NaN."""
    return x.is_nan()


def isinf(x: Value) -> Bool:
    """Whether x is inf or -inf."""
    return abs(x).equals(math.inf)


def isfinite(x: Value) -> Bool:
    """Whether x is neither infinite nor NaN."""
    return abs(x) < math.inf


SCALES = {"f64": (2.0**500, 2.0**-600), "f32": (2.0**50, 2.0**-70)}  # squares are safe in between; scale to get there


SCALES_OF_DIFFERENCES = {"f64": (2.0**500, 2.0**-600, 2.0**-440, 2.0**600), "f32": (2.0**50, 2.0**-70, 2.0**-40, 2.0**100)}


def cathetus(x: Value, y: Value) -> Value:
    """sqrt(x*x - y*y) without cancellation, overflow or underflow in between; NaN for |x| < |y|."""
    large, down, small, up = SCALES_OF_DIFFERENCES[x.format.name]
    a, b = abs(x), abs(y)
    is_large, is_small = a > large, a < small
    scale = where(is_large, x.constant(down), where(is_small, x.constant(up), 1.0))
    unscale = where(is_large, x.constant(1.0 / down), where(is_small, x.constant(1.0 / up), 1.0))
    a, b = a * scale, b * scale
    return ((a - b) * (a + b)).sqrt() * unscale


SAFE_SQUARES = {"f64": (2.0**-900, 2.0**1000), "f32": (2.0**-80, 2.0**120)}  # whose sum is as exact as others


def hypot_by_estimate(x: Value, y: Value) -> Value:
    """The same from an estimate of the root, on squares that need no scaling; `hypot` where they do."""
    total = fma(x, x, y * y)
    inverse = target.rsqrt_estimate(total)
    root, half = total * inverse, inverse * 0.5
    if x.format is F64:
        error = fma(-half, root, 0.5)
        root, half = fma(root, error, root), fma(half, error, half)
    root = fma(fma(-root, root, total), half, root)
    return replace_where(_is_unsafe, root, _hypot_of_unsafe, total, x, y)


def _is_unsafe(total: Value, x: Value, y: Value) -> Bool:
    low, high = (x.format.bits(limit) for limit in SAFE_SQUARES[x.format.name])
    return (total.bits() - low).is_above(high - low)  # also NaN


def _hypot_of_unsafe(total: Value, x: Value, y: Value) -> Value:
    return replace_where(_is_not_zero, total, _hypot_of_scaled, x, y)  # zeros are not rare


def _is_not_zero(x: Value, y: Value) -> Bool:
    return ~(x.equals(0.0) & y.equals(0.0))


def _hypot_of_scaled(x: Value, y: Value) -> Value:
    return hypot(x, y)


def hypot(x: Value, y: Value) -> Value:
    """sqrt(x*x + y*y) without overflow or underflow in between; inf if one is infinite, also beside NaN."""
    threshold, down = SCALES[x.format.name]
    a, b = abs(x), abs(y)
    larger = where(a > b, a, b)
    is_large, is_small = larger > threshold, larger < 1.0 / threshold
    scale = where(is_large, x.constant(down), where(is_small, x.constant(1.0 / down), 1.0))
    unscale = where(is_large, x.constant(1.0 / down), where(is_small, x.constant(down), 1.0))
    a, b = a * scale, b * scale
    result = fma(a, a, b * b).sqrt() * unscale
    return where(a.equals(math.inf) | b.equals(math.inf), x.constant(math.inf), result)
