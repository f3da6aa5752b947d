"""Reductions with keepdims, and what is composed of them."""
from __future__ import annotations

import math

import numpy as np

from .. import sizes
from ..ir import Node, constant, f
from ..ops.reduction import expand_back
from .basics import broadcast_to, cast, size_value
from .moving import reshape


def _kept(result: Node, x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    if not keepdims:
        return result
    return f.reshape(result, shape=tuple(1 if k in axes else s for k, s in enumerate(x.shape)))


def reduce(op: str, x: Node, axes: tuple[int, ...], keepdims: bool = False) -> Node:
    """`sum`, `prod`, `max`, `min`, `any` or `all` over axes (normalised); over no axes, `x` itself."""
    return x if not axes else _kept(getattr(f, op)(x, axes=axes), x, axes, keepdims)


def position(op: str, x: Node, axis: int | None, keepdims: bool = False) -> Node:
    """`argmax` or `argmin`: int64 positions along an axis, or in the flattened array."""
    if axis is None:
        flat = reshape(x, (-1,))
        found = getattr(f, op)(flat, axes=(0,))
        return f.reshape(found, shape=(1,) * x.ndim) if keepdims and x.ndim else found
    return _kept(getattr(f, op)(x, axes=(axis,)), x, (axis,), keepdims)


def count(x: Node, axes: tuple[int, ...], dtype: np.dtype | str) -> Node:
    """How many elements are reduced, as a 0-d number."""
    return size_value(sizes.product(x.shape[a] for a in axes), dtype)


def mean(x: Node, axes: tuple[int, ...], keepdims: bool = False) -> Node:
    """The arithmetic mean; nan over no elements."""
    total = reduce("sum", x, axes, keepdims)
    return total / broadcast_to(count(x, axes, x.dtype), total.shape)


def variance(x: Node, axes: tuple[int, ...], correction: float = 0.0, keepdims: bool = False) -> Node:
    """The mean squared deviation from the mean (two passes: no cancellation), over `count - correction`."""
    deviation = x - expand_back(mean(x, axes), x, axes) if axes else x - x
    total = reduce("sum", f.square(deviation), axes, keepdims)
    n = count(x, axes, x.dtype)
    if correction:  # a negative number of degrees of freedom counts as none, as in NumPy and torch
        n = f.maximum(n - correction, 0.0)
    return total / broadcast_to(n, total.shape)


def highest(x: Node, axes: tuple[int, ...]) -> Node:
    """The largest element, minus infinity of none."""
    if any(sizes.equal(x.shape[a], 0) for a in axes):
        return constant(-math.inf, x.dtype, tuple(s for k, s in enumerate(x.shape) if k not in axes))
    return f.max(x, axes=axes)


def shift_by(top: Node) -> Node:
    """What exponents are lowered by: the largest, with infinities replaced by 0 so that `x - shift` is never inf - inf."""
    return f.where(f.isfinite(top), top, 0.0)


def _shift(x: Node, axes: tuple[int, ...]) -> Node:
    """That of the maximum as a constant."""
    return shift_by(f.stop_gradient(highest(x, axes)) if axes else f.stop_gradient(x))


def logsumexp(x: Node, axes: tuple[int, ...], keepdims: bool = False) -> Node:
    """log(sum(exp(x))) without overflow; its derivative is softmax. Source: Blanchard, Higham & Higham 2021."""
    m = _shift(x, axes)
    total = reduce("sum", f.exp(x - expand_back(m, x, axes)), axes)
    return _kept(f.log(total) + m, x, axes, keepdims)


def softmax(x: Node, axes: tuple[int, ...], log: bool = False) -> Node:
    """exp(x) / sum(exp(x)), or its logarithm, shifted by the maximum."""
    shifted = x - expand_back(_shift(x, axes), x, axes)
    e = f.exp(shifted)
    total = reduce("sum", e, axes)
    if log:
        return shifted - expand_back(f.log(total), x, axes)
    return e / expand_back(total, x, axes)


def norm(x: Node, axes: tuple[int, ...], order: float = 2.0, keepdims: bool = False) -> Node:
    """The vector norm of the given order; the Euclidean one has gradient 0 at 0 (the subgradient of least norm)."""
    if order == 2:
        squares = reduce("sum", f.square(x), axes, keepdims)
        at_zero = f.eq(squares, 0.0)
        return f.where(at_zero, 0.0 * squares, f.sqrt(f.where(at_zero, constant(1, x.dtype, squares.shape), squares)))
    if math.isinf(order):
        return reduce("max" if order > 0 else "min", f.abs(x), axes, keepdims)
    if order == 0:
        return reduce("sum", cast(f.ne(x, 0.0), x.dtype), axes, keepdims)
    if order == 1:
        return reduce("sum", f.abs(x), axes, keepdims)
    return f.pow(reduce("sum", f.pow(f.abs(x), order), axes, keepdims), 1.0 / order)


def cumulative_sum(x: Node, axis: int) -> Node:
    """Running sums along an axis."""
    return f.cumsum(x, axis=axis)
