"""The functions that generated source calls as `vm.<name>`: those that neither NumPy nor `math` has.

Scalar, in Python that numba compiles. They are for reading, exporting and checking generated source; compiled kernels
use `vecmath`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["cathetus", "digamma", "erfcx", "erfinv", "exprel", "lgamma", "log_sigmoid", "product_error", "rsqrt", "sech_squared",
           "sigmoid", "sinc", "softplus", "sum_error"]

Scalar = Any  # a float or a NumPy scalar; under numba each call has its own type


def rsqrt(x: Scalar) -> Scalar:
    """1 / sqrt(x)."""
    return 1.0 / np.sqrt(x)


def sigmoid(x: Scalar) -> Scalar:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-abs(x))
    return (1.0 if x >= 0.0 else small) / (1.0 + small)


def softplus(x: Scalar) -> Scalar:
    """log(1 + exp(x)), without overflow."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-abs(x)))


def log_sigmoid(x: Scalar) -> Scalar:
    """log(sigmoid(x)), without underflow."""
    return np.minimum(x, 0.0) - np.log1p(np.exp(-abs(x)))


def erfinv(x: Scalar) -> Scalar:
    """The inverse of erf: an elementary approximation (Winitzki 2008), then Halley steps."""
    if not abs(x) < 1.0:
        return math.copysign(math.inf, x) if abs(x) == 1.0 else math.nan
    tail = math.log1p(-x * x)
    half = 4.330746750799873 + 0.5 * tail  # 2 / (pi * 0.147)
    y = math.copysign(math.sqrt(math.sqrt(half * half - tail / 0.147) - half), x)
    for _ in range(4):
        # erfc keeps the digits of 1 - |x| that erf loses
        beyond = math.copysign(1.0, x) * ((1.0 - abs(x)) - math.erfc(abs(y)))
        error = math.erf(y) - x if abs(x) < 0.5 else beyond
        step = error / (1.1283791670955126 * math.exp(-y * y))  # 2 / sqrt(pi)
        y -= step / (1.0 + y * step)
    return y


def exprel(x: Scalar) -> Scalar:
    """(exp(x) - 1) / x, 1 at 0."""
    if x == 0.0:
        return 1.0 + x
    if x > 80.0:  # expm1 overflows before the quotient does
        root = np.exp(0.5 * x)
        return root if root == math.inf else root / x * root
    return np.expm1(x) / x


def sinc(x: Scalar) -> Scalar:
    """sin(x) / x, 1 at 0."""
    return np.sin(x) / x if x != 0.0 else 1.0 + x


def cathetus(a: Scalar, b: Scalar) -> Scalar:
    """sqrt(a**2 - b**2) without overflow."""
    a, b = abs(a), abs(b)
    _, scale = math.frexp(max(a, b))
    a, b = math.ldexp(a, -scale), math.ldexp(b, -scale)
    return math.ldexp(np.sqrt((a - b) * (a + b)), scale)


def sech_squared(x: Scalar) -> Scalar:
    """1 - tanh(x)**2, without cancellation."""
    small = np.exp(-2.0 * abs(x))
    return small / ((1.0 + small) * (1.0 + small)) * 4.0


def erfcx(x: Scalar) -> Scalar:
    """exp(x**2) erfc(x), by DLMF 7.12.1 where erfc is near the smallest floats."""
    if x < 25.0:
        return np.exp(np.float64(x) * x) * math.erfc(x)
    total, w = 1.0, 1.0 / (x * x)
    for k in range(8, 0, -1):
        total = 1.0 - (k - 0.5) * w * total
    return total / (x * math.sqrt(math.pi))


def product_error(a: Scalar, b: Scalar) -> Scalar:
    """What a * b rounds away, by the halves of the digits of both (Dekker 1971); none that is finite where the product overflows."""
    product = a * b
    if not abs(product) < math.inf:
        return 0.0 * a * b - product
    p, e = math.frexp(a)
    q, k = math.frexp(b)
    p_high = p * 134217729.0 - (p * 134217729.0 - p)
    q_high = q * 134217729.0 - (q * 134217729.0 - q)
    p_low, q_low = p - p_high, q - q_high
    error = ((p_high * q_high - p * q) + p_high * q_low + p_low * q_high) + p_low * q_low
    return math.ldexp(error + 0.0, e + k)


def sum_error(a: Scalar, b: Scalar) -> Scalar:
    """What a + b rounds away (Knuth)."""
    total = a + b
    of_b = total - a
    return (a - (total - of_b)) + (b - of_b)


def lgamma(x: Scalar) -> Scalar:
    """log|Gamma(x)|, inf at the poles."""
    return math.inf if x <= 0.0 and x == np.floor(x) else math.lgamma(x)


def digamma(x: Scalar) -> Scalar:
    """The derivative of lgamma: DLMF 5.5.2 and 5.5.4 up to an argument where the asymptotic series 5.11.2 holds."""
    if x == 0.0:
        return math.copysign(math.inf, -x)
    if x != x or (x < 0.0 and x == np.floor(x)):
        return math.nan
    total, y = 0.0, 1.0 * x
    if y < 0.0:
        total = -math.pi / math.tan(math.pi * (y - math.floor(y)))
        y = 1.0 - y
    while y < 10.0:
        total -= 1.0 / y
        y += 1.0
    w = 1.0 / (y * y)
    series = w * (1 / 12 - w * (1 / 120 - w * (1 / 252 - w * (1 / 240 - w * (1 / 132 - w * (691 / 32760 - w / 12))))))
    return total + math.log(y) - 0.5 / y - series
