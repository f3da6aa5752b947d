"""The error function and its relatives."""

from __future__ import annotations

import math

from . import coefficients
from .core import F64, Value, fma, polynomial, two_product, where
from .exponential import exp_finite
from .logarithm import log

ERF_LIMIT = {"f64": 5.95, "f32": 3.95}  # beyond erf rounds to 1
ERFC_LIMIT = {"f64": 27.3, "f32": 10.1}  # beyond erfc rounds to 0


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

    exp(-x**2) / (1 + 2*x) times a function that varies little, a polynomial in (x - 3) / (x + 3): M. Shepherd and
    J. Laframboise 1981.
    """
    size = abs(x).clamp(high=ERFC_LIMIT[x.format.name])
    square, square_low = two_product(size, size)
    scaled = polynomial((size - 3.0) / (size + 3.0), coefficients.ERFC(x)) / fma(size, 2.0, 1.0)
    far = exp_finite(-square, low=-square_low, factor=scaled)
    return where(size < 0.5, 1.0 - _erf_near(x), where(x < 0.0, 2.0 - far, far))


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
