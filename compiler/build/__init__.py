"""Typed constructors that front ends share: broadcasting, reductions with keepdims, indexing, products.

They insert the explicit broadcasts and casts that the IR wants, and check what the user gave. Promotion of dtypes is the
front end's (NumPy's rules or torch's); no algebra is done here.
"""
from __future__ import annotations

from .basics import (
    broadcast,
    broadcast_shapes,
    broadcast_to,
    cast,
    elementwise,
    normal_axes,
    normal_axis,
    number,
    scalar_like,
    size_value,
)
from .indexing import index, put_along_axis, take_along_axis, update
from .moving import (
    concatenate,
    diagonal,
    expand_dims,
    flip,
    moveaxis,
    pad,
    permute,
    repeat,
    reshape,
    roll,
    sort,
    split,
    squeeze,
    stack,
    tile,
    triangle,
)
from .products import einsum, matmul, outer, tensordot
from .reducing import count, cumulative_sum, highest, logsumexp, mean, norm, position, reduce, shift_by, softmax, variance
from .tails import log_erfc, log_half_erfc

__all__ = [
    "broadcast", "broadcast_shapes", "broadcast_to", "cast", "concatenate", "count", "cumulative_sum", "diagonal",
    "einsum", "elementwise", "expand_dims", "flip", "highest", "index", "log_erfc", "log_half_erfc", "logsumexp", "matmul", "mean",
    "moveaxis", "norm",
    "normal_axes", "normal_axis", "number", "outer", "pad", "permute", "position", "put_along_axis", "reduce", "repeat",
    "reshape", "roll", "scalar_like", "shift_by", "size_value", "softmax", "sort", "split", "squeeze", "stack", "take_along_axis",
    "tensordot", "tile", "triangle", "update", "variance",
]
