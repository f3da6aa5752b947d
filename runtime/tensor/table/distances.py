"""Distances between the rows of matrices."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node
from ..row import Call, call, composite, dtype_name, op
from ..tensor import Tensor, wrap_array
from .common import broadcast, common_dtype


def _between(a: Node, b: Node, dtype: str, order: float) -> Node:
    """(..., P, M) and (..., R, M) to (..., P, R)."""
    a, b = build.cast(a, dtype), build.cast(b, dtype)
    a, b = build.broadcast(build.expand_dims(a, (a.ndim - 1,)), build.expand_dims(b, (b.ndim - 2,)))
    return build.norm(a - b, (a.ndim - 1,), order, False)


@op("cdist", build=_between, backward="CdistBackward0", saved="x1 x2 result", inputs="x1 x2", to="f")
def _cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: Any = None) -> Call:
    for k, x in enumerate((x1, x2), start=1):
        if len(x._shape) < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, X{k} got: {len(x._shape)}D")
    if x1._shape[-1] != x2._shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1._shape[-1]} X2: {x2._shape[-1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    dtype = common_dtype(x1, x2)
    shape = (*broadcast(x1._shape[:-2], x2._shape[:-2]), x1._shape[-2], x2._shape[-2])
    return Call((x1, x2), (dtype_name(dtype), float(p)), shape, dtype)


@composite("pdist", to="f")
def _pdist(self: Tensor, p: float = 2.0) -> Any:
    """(N, M) to the distances of rows i < j, in the order of the upper triangle."""
    if len(self._shape) != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {len(self._shape)}D")
    rows = [call("index_select", self, 0, wrap_array(index)) for index in np.triu_indices(self._shape[0], 1)]
    return call("norm_of", call("sub", *rows), p, -1, False, None, "PdistBackward0")


@composite("unravel_index", to="f")
def _unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The coordinates, one tensor for each axis, of places in an array of that shape in C order."""
    if indices._dtype.is_floating_point:
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices._dtype}")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    steps = [math.prod(sizes[k + 1:]) for k in range(len(sizes))]
    return tuple(call("remainder", call("floor_divide", indices, step), size) for step, size in zip(steps, sizes, strict=True))
