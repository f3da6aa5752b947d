"""The error function and its relatives."""

from __future__ import annotations

import math

from . import coefficients, pieces, target
from .core import F32, F64, Value, fma, polynomial, round_to_integer, where
from .exponential import EXP_LIMITS, exp, exp_finite, exp_parts
from .logarithm import log

ERF_STEP = 0.79705810546875  # the last piece ends where erf rounds to 1, and the values at multiples have hardly more than 53 bits
ERF_LIMIT = {"f64": 5.95, "f32": 3.95}  # beyond erf rounds to 1
INVERSE_ROOT_OF_PI = 1.0 / math.sqrt(math.pi)
ERFCX_FAR = [(-1) ** k * math.prod(range(1, 2 * k, 2)) / 2**k for k in range(8)]
ERFC_LIMIT = {"f64": 27.3, "f32": 10.1}  # beyond erfc rounds to 0


def erf_by_pieces(x: Value) -> Value:
    """The error function: a polynomial around each multiple of a step, at 0 of odd powers."""
    if x.format is F32:
        return erf(x)
    size = abs(x).clamp(high=7.49 * ERF_STEP)
    n, place = round_to_integer(size, 1.0 / ERF_STEP)
    t = fma(-n, ERF_STEP, size)
    constant, *slope = (target.lookup(place, row) for row in pieces.ERF)
    return fma(t, polynomial(t, slope), constant).with_sign_of(x)


def erfc_by_pieces(x: Value) -> Value:
    """The complement of `erf`: exp(-x**2) times a polynomial for each half of an octave of |x| + 2."""
    if x.format is F32:
        return erfc(x)
    limit = ERFC_LIMIT["f64"]
    square = x * x
    square_low = where(abs(x) < limit, fma(x, x, -square), 0.0)
    size = abs(x).clamp(high=limit)
    shifted = (size + 2.0).bits()
    centre = ((shifted & -(1 << 51)) | (1 << 50)).as_float()
    scaled = polynomial(size - (centre - 2.0), [target.lookup(shifted >> 51, row) for row in pieces.ERFCX])
    # the exponential of exp(-x**2), which a derivative needs, but for its last operations
    n, place, power = exp_parts((-square).clamp(*EXP_LIMITS["f64"]))
    high = target.lookup(place, pieces.POWERS[0])
    far = target.scaled(fma(high, power, high) * fma(scaled, -square_low, scaled), n)
    return where(x < 0.0, 2.0 - far, far)


def erf(x: Value) -> Value:
    """The error function: an odd polynomial near zero, 1 - exp(-polynomial) farther out."""
    size = abs(x)
    near = _erf_near(x)
    beyond_one = size.clamp(high=ERF_LIMIT[x.format.name]) - 1.0
    complement = exp_finite(-polynomial(beyond_one, coefficients.ERF_FAR(x)))
    far = (1.0 - complement).with_sign_of(x)
    return where(size < 1.0, near, far)


def _erf_near(x: Value) -> Value:
    """erf(x) for |x| <= 1."""
    return fma(x, polynomial(x * x, coefficients.ERF_NEAR(x)), x)


def erfc(x: Value) -> Value:
    """1 - erf(x), with small relative error for large x too.

    exp(-x**2) / (x + 3) times a function that varies little, a polynomial in (x - 3) / (x + 3), after M. Shepherd and
    J. Laframboise 1981. The exponential is that of `exp(-(x * x))`, which a derivative of erfc needs: computed once for both.
    """
    size = abs(x)
    is_usual = size < ERFC_LIMIT[x.format.name]
    square = x * x
    square_low = where(is_usual, fma(x, x, -square), 0.0)
    size = where(size > ERFC_LIMIT[x.format.name], x.constant(ERFC_LIMIT[x.format.name]), size)
    divisor = size + 3.0
    inverse = 1.0 / divisor
    error = fma(-inverse, divisor, 1.0)  # of the inverse, relatively
    t = fma(inverse * -6.0, error, fma(inverse, -6.0, 1.0))
    constant, slope, *others = coefficients.ERFC(x)
    scaled = fma(fma(polynomial(t, others), t, slope), t, constant) * inverse  # even and odd powers would cancel
    far = exp(-square) * fma(scaled, error - square_low, scaled)
    return where(x < 0.0, 2.0 - far, far)


def erfcx(x: Value) -> Value:
    """exp(x**2) erfc(x): the part of `erfc` that varies little, an asymptotic series beyond where erfc is 0, and for negative
    x what is missing to 2 exp(x**2).
    """
    size = abs(x)
    limit = ERFC_LIMIT[x.format.name]
    divisor = where(size < limit, size, limit) + 3.0
    inverse = 1.0 / divisor
    error = fma(-inverse, divisor, 1.0)
    t = fma(inverse * -6.0, error, fma(inverse, -6.0, 1.0))
    constant, slope, *others = coefficients.ERFC(x)
    scaled = fma(fma(polynomial(t, others), t, slope), t, constant) * inverse
    reciprocal = 1.0 / where(size < limit, x.constant(limit), size)
    w = reciprocal * reciprocal
    beyond = (reciprocal * INVERSE_ROOT_OF_PI) * polynomial(w, ERFCX_FAR)  # DLMF 7.12.1
    right = where(size < limit, fma(scaled, error, scaled), beyond)
    right = where(size.equals(size), right, size)
    square = x * x
    square_low = where(size < limit, fma(x, x, -square), 0.0)
    return where(x < 0.0, (exp(square) * 2.0) * (square_low + 1.0) - right, right)


def erfinv(x: Value) -> Value:
    """The inverse of erf: polynomials in w = -log(1 - x**2) and its root, after M. Giles 2010. NaN for |x| > 1."""
    size = abs(x)
    w = -log((1.0 - size) * (1.0 + size))
    root = w.sqrt()
    near = size * polynomial(w, coefficients.ERFINV_NEAR(x))
    result = where(w < 6.25, near, polynomial(root - 2.5, coefficients.ERFINV_MIDDLE(x)))
    if x.format is F64:
        result = where(w < 16.0, result, polynomial(root - 4.0, coefficients.ERFINV_FAR(x)))
    return where(size.equals(1.0), x.constant(math.inf), result).with_sign_of(x)
