"""Hyperbolic functions, from the parts of expm1."""

from __future__ import annotations

from .core import Value, fast_two_sum, fma, from_exponent
from .exponential import reduce_by_log2, scaled_expm1

TANH_LIMIT = {"f64": 44.0, "f32": 20.0}  # of 2*|x|, where tanh is 1


def tanh(x: Value) -> Value:
    # tanh |x| = e / (e + 2) with e = expm1(2|x|); the quotient is corrected by its remainder, low parts included
    _, biased, r, r_low = reduce_by_log2((abs(x) * 2.0).clamp(high=TANH_LIMIT[x.format.name]), x.format.bias)
    scale = from_exponent(biased)
    e, e_low = fast_two_sum(*scaled_expm1(r, r_low, scale, scale - 1.0))
    divisor, divisor_low = fast_two_sum(x.constant(2.0), e)
    inverse = 1.0 / divisor
    quotient = e * inverse
    remainder = fma(-quotient, divisor, e) + fma(-quotient, divisor_low, e_low)
    return fma(remainder, inverse, quotient).with_sign_of(x)
