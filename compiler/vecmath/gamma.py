"""lgamma and digamma: Stirling's series from 8 on, recurrence into a polynomial's interval below, reflection for x < 0.

DLMF 5.5.1 to 5.5.4 and 5.11.1 to 5.11.2. The reflection is scalar code, for the vectors that have such an element.
"""

from __future__ import annotations

import math

from . import coefficients
from .core import Value, fma, hex_floats, polynomial, where
from .logarithm import exponent_and_mantissa, log_of_parts
from .rare import replace_outside
from .trigonometric import sin, tan

HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)
DIGAMMA_ROOT = {
    "f64": hex_floats("0x1.762d86356be3fp0 0x1.b86a722197829p-54"),
    "f32": hex_floats("0x1.762d86p0 0x1.ab5f2p-27"),
}


def lgamma(x: Value) -> Value:
    """log|Gamma(x)|; inf at 0, the negative integers and +-inf."""
    return replace_outside(0.0, math.inf, x, _lgamma_positive(x), lgamma_negative)


def lgamma_negative(x: Value) -> Value:
    """The same for x < 0: log(pi / |x * sin(pi*x)|) - lgamma(|x|). Near its zeros only the absolute error is small."""
    size = abs(x.widened())
    nearest = size.intrinsic("llvm.rint")
    sine = abs(sin((size - nearest) * math.pi))
    reflected = _log(math.pi / (size * sine)) - _lgamma_positive(size)
    result = where(size < 2.0**-60, -_log(size), reflected)  # there the square of x would underflow
    return where(nearest.equals(size), size.constant(math.inf), result).narrowed(x.format)


def _log(x: Value) -> Value:
    """log(x) for positive finite x."""
    k, mantissa = exponent_and_mantissa(x)
    return log_of_parts(k, mantissa - 1.0)


def _lgamma_positive(x: Value) -> Value:
    """log(Gamma(x)) for x >= 0."""
    # below 8: y in [1.25, 2.25] and lgamma(x) = lgamma(y) + log(product) or - log(product)
    y, product = x, x.constant(1.0)
    for _ in range(6):
        is_above = y > 2.25
        y = where(is_above, y - 1.0, y)
        product = where(is_above, product * y, product)
    is_low, is_lowest = x < 1.25, x < 0.25
    product = where(is_lowest, x * (x + 1.0), where(is_low, x, product))
    t = where(is_lowest, x, where(is_low, x - 1.0, y - 2.0))
    is_large = x >= 8.0
    log = _log(where(is_large, x, product))
    near = fma(t, polynomial(t, coefficients.LGAMMA(x)), where(is_low, -log, log))
    inverse = 1.0 / x
    series = fma(inverse, polynomial(inverse * inverse, coefficients.STIRLING(x)), HALF_LOG_2_PI - 0.5)
    far = fma(x - 0.5, log - 1.0, series)
    result = where(is_large, far, near)
    result = where(x.equals(0.0), x.constant(math.inf), result)
    return where(x < math.inf, result, x)


def digamma(x: Value) -> Value:
    """The derivative of lgamma; NaN at the negative integers and -inf, -inf at 0 and inf at -0."""
    return replace_outside(0.0, math.inf, x, _digamma_positive(x), digamma_negative)


def digamma_negative(x: Value) -> Value:
    """The same for x < 0: digamma(1 - x) - pi / tan(pi*x). Near its zeros only the absolute error is small."""
    wide = x.widened()
    nearest = wide.intrinsic("llvm.rint")
    result = _digamma_positive(1.0 - wide) - math.pi / tan((wide - nearest) * math.pi)
    return where(nearest.equals(wide), wide.constant(math.nan), result).narrowed(x.format)


def _digamma_positive(x: Value) -> Value:
    """digamma(x) for x >= 0."""
    # below 8: y in [1, 2.25], and the sum of 1/y, 1/(y + 1)... as a quotient, up to x
    y = x
    numerator, denominator = x.constant(0.0), x.constant(1.0)
    for _ in range(6):
        is_above = y > 2.25
        y = where(is_above, y - 1.0, y)
        numerator = where(is_above, fma(numerator, y, denominator), numerator)
        denominator = where(is_above, denominator * y, denominator)
    is_low = x < 1.25
    y = where(is_low, x + 1.0, y)
    numerator, denominator = where(is_low, x.constant(-1.0), numerator), where(is_low, x, denominator)
    root, root_low = DIGAMMA_ROOT[x.format.name]
    polynomial_part = ((y - root) - root_low) * polynomial(y - 1.5, coefficients.DIGAMMA(x)) / y
    near = polynomial_part + numerator / denominator
    inverse = 1.0 / x
    square = inverse * inverse
    far = fma(inverse, -0.5, _log(x)) - square * polynomial(square, coefficients.DIGAMMA_TAIL(x))
    result = where(x >= 8.0, far, near)
    return where(x < math.inf, result, x)
