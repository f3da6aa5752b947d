"""Logarithms of the tails of the normal distribution, right where the tails underflow."""
from __future__ import annotations

from ..ir import Node, f

__all__ = ["log_erfc", "log_half_erfc"]


def log_erfc(x: Node) -> Node:
    """log(erfc(x)): by erf near 0 and below, by erfcx in the tail."""
    tail = f.gt(x, 0.5)
    far, near = f.where(tail, x, 1.0), f.where(tail, 0.0, x)
    return f.where(tail, f.log(f.erfcx(far)) - f.square(far), f.log1p(-f.erf(near)))


def log_half_erfc(x: Node) -> Node:
    """log(erfc(x)/2), which is the logarithm of the normal distribution function at -x sqrt(2)."""
    tail = f.gt(x, 0.0)
    far, near = f.where(tail, x, 1.0), f.where(tail, -1.0, x)
    return f.where(tail, f.log(0.5 * f.erfcx(far)) - f.square(far), f.log1p(-0.5 * f.erfc(-near)))
