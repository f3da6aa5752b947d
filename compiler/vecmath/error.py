"""erf: an odd polynomial near zero, 1 - exp(-polynomial) farther out."""

from __future__ import annotations

from . import coefficients
from .core import Value, fma, polynomial, where
from .exponential import exp_finite

ERF_LIMIT = {"f64": 5.95, "f32": 3.95}  # beyond erf rounds to 1


def erf(x: Value) -> Value:
    size = abs(x)
    z = x * x
    near = fma(x, polynomial(z, coefficients.ERF_NEAR(x)), x)
    complement = exp_finite(-polynomial(size.clamp(high=ERF_LIMIT[x.format.name]) - 1.0, coefficients.ERF_FAR(x)))
    far = (1.0 - complement).with_sign_of(x)
    return where(size < 1.0, near, far)
