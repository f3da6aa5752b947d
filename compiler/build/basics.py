"""Broadcasting, casts, axes, numbers."""
from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import ops, sizes
from ..errors import IndexingError, ShapeError
from ..ir import Node, constant, f, make
from ..op import Shape
from ..ops.rules import aval_text, shape_text
from ..sizes import Size

_ = ops  # the table is declared by importing it


def broadcast_shapes(*shapes: Shape, what: str = "broadcast") -> Shape:
    """The common shape by NumPy's rule; sizes of 1 stretch.

    Raises:
        ShapeError: two sizes of one axis differ and neither is 1.
    """
    ndim = max((len(s) for s in shapes), default=0)
    result: list[Size] = [1] * ndim
    for shape in shapes:
        for k, size in enumerate(shape, start=ndim - len(shape)):
            if size == 1 or result[k] is size:
                continue
            if result[k] == 1:
                result[k] = sizes.resolve(size)
            elif not sizes.equal(result[k], size):
                raise ShapeError(f"{what}: shapes {' and '.join(map(shape_text, shapes))} do not broadcast: "
                                 f"sizes {result[k]} and {size} in axis {k - ndim}")
    return tuple(result)


def broadcast_to(x: Node, shape: Shape) -> Node:
    """`x` repeated to `shape`.

    Raises:
        ShapeError: it does not broadcast to that shape.
    """
    if x.shape == shape:
        return x
    offset = len(shape) - x.ndim
    if offset < 0 or any(s != 1 and not sizes.equal(s, shape[k + offset]) for k, s in enumerate(x.shape)):
        raise ShapeError(f"{aval_text(x)} does not broadcast to {shape_text(shape)}")
    if x.op.name == "const":
        return make("const", shape=shape, dtype=x.dtype, value=x.params[0])
    kept = tuple(k for k, s in enumerate(x.shape) if s != 1 or shape[k + offset] == 1)
    if len(kept) < x.ndim:
        x = f.reshape(x, shape=tuple(x.shape[k] for k in kept))
    axes = tuple(k + offset for k in kept)
    return x if x.shape == shape else f.expand(x, shape=shape, axes=axes)


def broadcast(*nodes: Node, what: str = "broadcast") -> list[Node]:
    """All nodes, repeated to their common shape."""
    try:
        shape = broadcast_shapes(*(n.shape for n in nodes), what=what)
    except ShapeError as error:
        raise ShapeError(f"{error} ({'; '.join(map(aval_text, nodes))})") from None
    return [broadcast_to(n, shape) for n in nodes]


def cast(x: Node, dtype: DTypeLike) -> Node:
    """`x` with another element type."""
    dtype = np.dtype(dtype)
    if x.dtype == dtype:
        return x
    if x.op.name == "const":
        return constant(x.value, dtype, x.shape)
    return f.cast(x, dtype=dtype.name)


def elementwise(op: str, *nodes: Node, dtype: np.dtype[Any] | None = None) -> Node:
    """An elementwise op on broadcast inputs, cast to `dtype` first where one is given."""
    if dtype is not None:
        nodes = tuple(cast(n, dtype) for n in nodes)
    return getattr(f, op)(*broadcast(*nodes, what=op.rstrip("_")))  # type: ignore[no-any-return]


def scalar_like(value: Any, like: Node) -> Node:
    """A constant of `like`'s dtype and shape."""
    return constant(value, like.dtype, like.shape)


def size_value(size: Size, dtype: np.dtype[Any] | str | type[Any] = "int64") -> Node:
    """A size as a 0-d number."""
    if isinstance(size, int):
        return constant(size, dtype)
    return cast(make("size", shape=(), dtype=np.dtype(np.int64), size=size), dtype)


def number(value: Any, dtype: np.dtype[Any] | str | type[Any], shape: Shape = ()) -> Node:
    """A constant."""
    return constant(value, dtype, shape)


def normal_axis(axis: int, ndim: int) -> int:
    """A non-negative axis.

    Raises:
        IndexingError: there is no such axis.
    """
    if not -ndim <= axis < ndim:
        raise IndexingError(f"axis {axis} is out of bounds for an array of dimension {ndim}")
    return axis % ndim


def normal_axes(axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Non-negative, ascending, distinct axes; None means all."""
    if axis is None:
        return tuple(range(ndim))
    listed: Sequence[Any] = axis if isinstance(axis, (tuple, list)) else [axis]
    axes = [normal_axis(operator.index(a), ndim) for a in listed]
    if len(set(axes)) != len(axes):
        raise ShapeError(f"duplicate value in axis {axis}")
    return tuple(sorted(axes))
