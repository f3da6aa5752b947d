"""NumPy's indexing, read and write, in terms of slice, flip, reshape, gather, scatter."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import sizes
from ..errors import IndexingError, ShapeError
from ..ir import Node, constant, f
from ..op import Shape
from ..ops.rules import shape_text
from ..sizes import Size, SizeExpr
from .basics import broadcast, broadcast_to, cast, size_value
from .moving import iota, permute

Key = Any  # int, Size, slice, None, Ellipsis, or an integer or boolean Node


def _expand_key(x: Node, key: Sequence[Key]) -> list[Key]:
    """One entry for each axis of `x` (a boolean array covers several), `None`s in between; no Ellipsis."""
    used = sum(k.ndim if _is_mask(k) else 1 for k in key if k is not None and k is not Ellipsis)
    if used > x.ndim:
        raise IndexingError(f"too many indices: {used} for an array with shape {shape_text(x.shape)}")
    filler = [slice(None)] * (x.ndim - used)
    if any(k is Ellipsis for k in key):
        at = next(i for i, k in enumerate(key) if k is Ellipsis)
        if any(k is Ellipsis for k in key[at + 1:]):
            raise IndexingError("an index can only have a single ellipsis ('...')")
        return [*key[:at], *filler, *key[at + 1:]]
    return [*key, *filler]


def _is_mask(key: Key) -> bool:
    return isinstance(key, Node) and key.dtype.kind == "b"


def _wrapped(position: Size, size: Size, axis: int) -> Size:
    """A non-negative position, checked."""
    negative = sizes.less(position, 0)
    actual = position + size if negative else position
    if sizes.less(actual, 0) or not sizes.less(actual, size):
        raise IndexingError(f"index {position} is out of bounds for axis {axis} with size {size}")
    return actual


def _bounds(key: slice, size: Size) -> tuple[Size, Size, int, bool]:
    """(start, length, step, reversed) of a slice: `length` elements from `start`, `step > 0`, then reversed or not."""
    step = 1 if key.step is None else key.step
    if not isinstance(step, int):
        step = int(step)
    if step == 0:
        raise ShapeError("slice step cannot be zero")

    def clamp(value: Any, low: Size, high: Size) -> Size:
        value = value + size if sizes.less(value, 0) else value
        return low if sizes.less(value, low) else high if sizes.less(high, value) else value

    if step > 0:
        start = 0 if key.start is None else clamp(key.start, 0, size)
        stop = size if key.stop is None else clamp(key.stop, 0, size)
        span = stop - start
    else:
        start = size - 1 if key.start is None else clamp(key.start, -1, size - 1)
        stop = -1 if key.stop is None else clamp(key.stop, -1, size - 1)
        span = start - stop
    if not sizes.less(0, span):
        return 0, 0, 1, False
    length = sizes.floordiv(span + abs(step) - 1, abs(step))
    return (start, length, step, False) if step > 0 else (start + (length - 1) * step, length, -step, True)


class _Basic:
    """The basic part of a key: a window of each axis, reversals, dropped axes and new axes."""

    def __init__(self, x: Node, key: Sequence[Key]) -> None:
        self.start: list[Size] = []
        self.step: list[int] = []
        self.shape: list[Size] = []
        self.reversed: list[int] = []
        self.dropped: list[int] = []
        self.result: list[Size] = []  # the shape after dropping and adding axes
        self.advanced: dict[int, Node] = {}  # axis of the result -> index array
        axis = 0
        for k in key:
            if k is None:
                self.result.append(1)
                continue
            size = sizes.resolve(x.shape[axis])
            start, length, step, backwards = 0, size, 1, False
            if isinstance(k, slice):
                start, length, step, backwards = _bounds(k, size)  # type: ignore[assignment]
                self.result.append(length)
            elif isinstance(k, Node):
                self.advanced[len(self.result)] = k
                self.result.append(size)
            else:
                start, length = _wrapped(k, size, axis), 1  # type: ignore[assignment]
                self.dropped.append(axis)
            self.start.append(start)
            self.step.append(step)
            self.shape.append(length)
            if backwards:
                self.reversed.append(axis)
            axis += 1
        self.whole = tuple(self.shape) == x.shape and all(s == 0 for s in self.start) and all(s == 1 for s in self.step)

    def read(self, x: Node) -> Node:
        if not self.whole:
            x = f.slice(x, start=tuple(self.start), step=tuple(self.step), shape=tuple(self.shape))
        if self.reversed:
            x = f.flip(x, axes=tuple(self.reversed))
        return x if tuple(self.result) == x.shape else f.reshape(x, shape=tuple(self.result))

    def write(self, x: Node, value: Node) -> Node:
        """`x` with `value`, of shape `result`, in the window."""
        value = value if value.shape == tuple(self.shape) else f.reshape(value, shape=tuple(self.shape))
        if self.reversed:
            value = f.flip(value, axes=tuple(self.reversed))
        if self.whole:
            return value
        window = {"start": tuple(self.start), "step": tuple(self.step), "shape": x.shape}
        inside = f.place(constant(True, bool, tuple(self.shape)), **window)
        return f.where(inside, f.place(value, **window), x)


def _plain(x: Node, key: Any) -> list[Key]:
    """The key as a list, boolean arrays turned into the integer arrays of their true positions."""
    keys = list(key) if isinstance(key, tuple) else [key]
    for k in keys:
        if isinstance(k, (bool, np.bool_)):
            raise IndexingError("a bare True or False is not supported as an index; use np.newaxis or an array of bools")
    keys = _expand_key(x, keys)
    plain: list[Key] = []
    axis = 0
    for k in keys:
        if _is_mask(k):
            for j in range(k.ndim):
                if not sizes.equal(k.shape[j], x.shape[axis + j]):
                    raise IndexingError(f"boolean index of shape {shape_text(k.shape)} does not match the indexed array of "
                                        f"shape {shape_text(x.shape)} at axis {axis + j}")
            plain += _positions(k)
            axis += k.ndim
        else:
            plain.append(cast(k, np.int64) if isinstance(k, Node) else k)
            axis += k is not None
    if any(isinstance(k, Node) for k in plain):  # beside an index array an integer is an index array too
        plain = [size_value(_wrapped(int(k) if isinstance(k, np.integer) else k, x.shape[a], a))
                 if a is not None and isinstance(k, (int, np.integer, SizeExpr)) else k
                 for k, a in zip(plain, _axes_of(plain), strict=True)]
    return plain


def _axes_of(key: Sequence[Key]) -> list[int | None]:
    axes, axis = [], 0
    for k in key:
        axes.append(None if k is None else axis)
        axis += k is not None
    return axes


def _positions(mask: Node) -> list[Node]:
    """The index arrays of a mask's true elements; their length is a size that only running tells."""
    from ..sizes import active

    if active.context is None:
        raise IndexingError("an index by a boolean array is only known inside a trace")
    flat = f.reshape(mask, shape=(sizes.product(mask.shape),)) if mask.ndim != 1 else mask
    where = f.nonzero(flat, count=active.context.unbacked(flat))
    indices: list[Node] = []
    for size in reversed(mask.shape):
        n = broadcast_to(size_value(size), where.shape)
        indices.append(where if len(indices) == mask.ndim - 1 else f.remainder(where, n))
        where = f.floor_divide(where, n)
    return indices[::-1]


def _arrays(basic: _Basic, x: Node) -> tuple[list[int], list[Node], bool]:
    """The indexed axes of the basic result, their index arrays (broadcast, wrapped), whether they stand together."""
    axes = sorted(basic.advanced)
    arrays = broadcast(*(basic.advanced[a] for a in axes), what="index arrays")
    wrapped = []
    for axis, array in zip(axes, arrays, strict=True):
        size = broadcast_to(size_value(basic.result[axis]), array.shape)
        safe = array.op.name in ("nonzero", "iota", "const") and (array.op.name != "const" or array.value >= 0)
        wrapped.append(array if safe else f.where(f.lt(array, 0), array + size, array))
    return axes, wrapped, axes == list(range(axes[0], axes[-1] + 1))


def index(x: Node, key: Any) -> Node:
    """`x[key]` with NumPy's meaning; arrays in the key are Nodes, sizes may be symbolic.

    Raises:
        IndexingError: out of range, or too many indices.
    """
    plain = _plain(x, key)
    basic = _Basic(x, plain)
    part = basic.read(x)
    if not basic.advanced:
        return part
    axes, arrays, together = _arrays(basic, x)
    picked = f.gather(part, *arrays, axes=tuple(axes))
    if not together or axes[0] == 0:
        return picked
    depth = arrays[0].ndim
    order = [*range(depth, depth + axes[0]), *range(depth), *range(depth + axes[0], picked.ndim)]
    return permute(picked, order)


def update(x: Node, key: Any, value: Node, accumulate: bool = False) -> Node:
    """`x` after `x[key] = value` (or `+=` where `accumulate`), which broadcasts to the selected shape.

    Raises:
        IndexingError, ShapeError: the key or the value does not fit.
    """
    value = cast(value, x.dtype)
    if _is_mask(key) and not accumulate and value.ndim == 0 and key.shape == x.shape:
        return f.where(key, broadcast_to(value, x.shape), x)  # no need to know how many elements are true
    plain = _plain(x, key)
    basic = _Basic(x, plain)
    if not basic.advanced:
        new = _fit(value, tuple(basic.result))
        return basic.write(x, basic.read(x) + new if accumulate else new)
    part = basic.read(x)
    axes, arrays, together = _arrays(basic, x)
    rest = tuple(s for k, s in enumerate(part.shape) if k not in axes)
    depth = arrays[0].ndim
    if together and axes[0]:
        selected: Shape = (*part.shape[: axes[0]], *arrays[0].shape, *part.shape[axes[-1] + 1:])
        new = _fit(value, selected)
        order = [*range(axes[0], axes[0] + depth), *range(axes[0]), *range(axes[0] + depth, new.ndim)]
        new = permute(new, order)
    else:
        new = _fit(value, (*arrays[0].shape, *rest))
    if accumulate:
        return basic.write(x, part + f.scatter_add(new, *arrays, axes=tuple(axes), shape=part.shape))
    return basic.write(x, f.scatter(part, new, *arrays, axes=tuple(axes)))


def _fit(value: Node, shape: Shape) -> Node:
    while value.ndim > len(shape) and value.shape[0] == 1:
        value = f.reshape(value, shape=value.shape[1:])
    try:
        return broadcast_to(value, shape)
    except ShapeError:
        raise ShapeError(f"could not broadcast input array from shape {shape_text(value.shape)} "
                         f"into shape {shape_text(shape)}") from None


def _along(x: Node, indices: Node, axis: int) -> list[Node]:
    size = broadcast_to(size_value(x.shape[axis]), indices.shape)
    wrapped = f.where(f.lt(indices, 0), indices + size, indices)
    return [wrapped if k == axis else iota(indices.shape, k) for k in range(x.ndim)]


def take_along_axis(x: Node, indices: Node, axis: int) -> Node:
    """out[i, j, k] = x[i, indices[i, j, k], k] for axis 1; other axes of `indices` may be shorter (torch's gather)."""
    return f.gather(x, *_along(x, cast(indices, np.int64), axis), axes=tuple(range(x.ndim)))


def put_along_axis(x: Node, indices: Node, value: Node, axis: int, accumulate: bool = False) -> Node:
    """`x` with `value` written (or added) at the positions that `take_along_axis` reads."""
    arrays, axes = _along(x, cast(indices, np.int64), axis), tuple(range(x.ndim))
    value = broadcast_to(cast(value, x.dtype), indices.shape)
    if accumulate:
        return x + f.scatter_add(value, *arrays, axes=axes, shape=x.shape)
    return f.scatter(x, value, *arrays, axes=axes)
