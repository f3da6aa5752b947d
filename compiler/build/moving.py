"""Shapes: what can be said with reshape, permute, expand, slice, place, flip and concatenate."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import sizes
from ..errors import ShapeError
from ..ir import Node, constant, f, make
from ..op import Shape
from ..ops.rules import aval_text, shape_text
from ..sizes import Size
from .basics import broadcast_to, normal_axis


def reshape(x: Node, shape: Sequence[Size]) -> Node:
    """The same elements in C order; one size may be -1.

    Raises:
        ShapeError: the numbers of elements differ.
    """
    wanted = list(shape)
    unknown = [k for k, s in enumerate(wanted) if isinstance(s, int) and s == -1]
    if len(unknown) > 1:
        raise ShapeError("can only specify one unknown dimension")
    if unknown:
        known = sizes.product(s for k, s in enumerate(wanted) if k != unknown[0])
        total = sizes.product(x.shape)
        if sizes.equal(known, 0) or not sizes.equal(sizes.mod(total, known), 0):
            raise ShapeError(f"cannot reshape {aval_text(x)} into shape {shape_text(tuple(wanted))}")
        wanted[unknown[0]] = sizes.floordiv(total, known)
    return x if tuple(wanted) == x.shape else f.reshape(x, shape=tuple(wanted))


def permute(x: Node, order: Sequence[int] | None = None) -> Node:
    """Axes in another order; None reverses them.

    Raises:
        ShapeError: not a permutation of the axes.
    """
    order = tuple(range(x.ndim))[::-1] if order is None else tuple(normal_axis(a, x.ndim) for a in order)
    return x if order == tuple(range(x.ndim)) else f.permute(x, order=order)


def moveaxis(x: Node, source: int, destination: int) -> Node:
    """One axis moved to another place."""
    rest = [k for k in range(x.ndim) if k != source]
    rest.insert(destination, source)
    return permute(x, rest)


def expand_dims(x: Node, axes: Sequence[int]) -> Node:
    """New axes of size 1 at these places of the result (non-negative)."""
    shape = list(x.shape)
    for axis in sorted(axes):
        shape.insert(axis, 1)
    return f.reshape(x, shape=tuple(shape))


def squeeze(x: Node, axes: Sequence[int]) -> Node:
    """Without these axes, which have size 1."""
    return x if not axes else f.reshape(x, shape=tuple(s for k, s in enumerate(x.shape) if k not in axes))


def flip(x: Node, axes: Sequence[int]) -> Node:
    """Reversed along axes."""
    return x if not axes else f.flip(x, axes=tuple(sorted(axes)))


def window(x: Node, axis: int, start: Size, size: Size, step: int = 1) -> Node:
    """`size` elements along one axis, from `start`."""
    starts: list[Size] = [0] * x.ndim
    steps, shape = [1] * x.ndim, list(x.shape)
    starts[axis], steps[axis], shape[axis] = start, step, size
    if start == 0 and step == 1 and shape == list(x.shape):
        return x
    return f.slice(x, start=tuple(starts), step=tuple(steps), shape=tuple(shape))


def split(x: Node, axis: int, lengths: Sequence[Size]) -> list[Node]:
    """Consecutive parts of the given lengths."""
    parts, start = [], 0
    for length in lengths:
        parts.append(window(x, axis, start, length))
        start = start + length  # type: ignore[assignment]
    return parts


def concatenate(nodes: Sequence[Node], axis: int) -> Node:
    """Joined along an existing axis (dtypes already equal).

    Raises:
        ShapeError: nothing to join, or other axes differ.
    """
    if not nodes:
        raise ShapeError("need at least one array to concatenate")
    return nodes[0] if len(nodes) == 1 else f.concatenate(*nodes, axis=axis)


def stack(nodes: Sequence[Node], axis: int) -> Node:
    """Joined along a new axis (non-negative)."""
    return concatenate([expand_dims(n, [axis]) for n in nodes], axis)


def roll(x: Node, shift: int, axis: int) -> Node:
    """Rotated by a whole number of places along an axis."""
    size = x.shape[axis]
    if shift == 0 or sizes.equal(size, 0):
        return x
    is_short = sizes.less(abs(shift), size)  # then the loops know where it begins again
    places = (shift if shift > 0 else size + shift) if is_short else sizes.mod(shift, size)
    if places == 0:
        return x
    return concatenate([window(x, axis, size - places, places), window(x, axis, 0, size - places)], axis)


def pad(x: Node, widths: Sequence[tuple[Size, Size]], value: Any = 0) -> Node:
    """Constant elements before and after, for each axis; negative widths crop."""
    for axis, (low, high) in enumerate(widths):
        cut_low = -low if isinstance(low, int) and low < 0 else 0
        cut_high = -high if isinstance(high, int) and high < 0 else 0
        if cut_low or cut_high:
            x = window(x, axis, cut_low, x.shape[axis] - cut_low - cut_high)
    grow = [tuple(0 if isinstance(w, int) and w < 0 else w for w in pair) for pair in widths]
    if all(w == 0 for pair in grow for w in pair):
        return x
    shape = tuple(s + low + high for s, (low, high) in zip(x.shape, grow, strict=True))
    place = {"start": tuple(low for low, _ in grow), "step": (1,) * x.ndim, "shape": shape}
    placed = f.place(x, **place)
    if value == 0:
        return placed
    inside = f.place(constant(True, bool, x.shape), **place)
    return f.where(inside, placed, constant(value, x.dtype, shape))


def repeat(x: Node, times: int, axis: int) -> Node:
    """Each element `times` times in a row along an axis."""
    wide = expand_dims(x, [axis + 1])
    shape = (*x.shape[: axis + 1], times, *x.shape[axis + 1:])
    return reshape(broadcast_to(wide, shape), (*x.shape[:axis], x.shape[axis] * times, *x.shape[axis + 1:]))


def tile(x: Node, times: Sequence[int]) -> Node:
    """The whole array repeated along each axis; missing leading axes are added."""
    extra = len(times) - x.ndim
    x = reshape(x, (*(1,) * extra, *x.shape)) if extra > 0 else x
    times = (*(1,) * (x.ndim - len(times)), *times)
    wide: list[Size] = [s for n, size in zip(times, x.shape, strict=True) for s in (n, size)]
    mixed = reshape(x, tuple(s for size in x.shape for s in (1, size)))
    return reshape(broadcast_to(mixed, tuple(wide)), tuple(n * s for n, s in zip(times, x.shape, strict=True)))


def iota(shape: Shape, axis: int, dtype: Any = np.int64) -> Node:
    """The index along an axis."""
    return make("iota", shape=shape, dtype=np.dtype(dtype), axis=axis)


def diagonal(x: Node, offset: int, axis1: int, axis2: int) -> Node:
    """The diagonal of two axes, as a new last axis."""
    rows, columns = x.shape[axis1], x.shape[axis2]
    below, right = max(-offset, 0), max(offset, 0)
    length = sizes.minimum(rows - below, columns - right)
    if sizes.less(length, 0):
        length = 0
    ramp = iota((length,), 0)
    first, second = (ramp + below if below else ramp), (ramp + right if right else ramp)
    ascending = axis1 < axis2
    picked = f.gather(x, *((first, second) if ascending else (second, first)), axes=tuple(sorted((axis1, axis2))))
    return moveaxis(picked, 0, picked.ndim - 1)


def triangle(x: Node, offset: int, lower: bool) -> Node:
    """`tril` or `triu`: zeros on the other side of a diagonal."""
    row, column = iota(x.shape, x.ndim - 2), iota(x.shape, x.ndim - 1)
    keep = f.le(column, row + offset) if lower else f.ge(column, row + offset)
    return f.where(keep, x, constant(0, x.dtype, x.shape))


def sort(x: Node, axis: int, descending: bool = False) -> tuple[Node, Node]:
    """Sorted values along an axis, and the (stable) order that sorts them."""
    from .indexing import take_along_axis

    order = f.argsort(flip(x, [axis]) if descending else x, axis=axis)
    if descending:  # the stable order of the reversed array, read backwards, keeps equal elements in place
        order = f.flip(order, axes=(axis,))
        last = broadcast_to(f.reshape(_last(x.shape[axis]), shape=(1,) * x.ndim), order.shape)
        order = last - order
    return take_along_axis(x, order, axis), order


def _last(size: Size) -> Node:
    from .basics import size_value

    return size_value(size - 1)
