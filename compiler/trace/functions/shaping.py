"""Shapes: views where NumPy has views, copies where it copies."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import build, sizes
from ...errors import ShapeError, TraceError
from ...views import Diagonal
from ..operands import common_dtype, lift, strong, to_dtype, wrap
from ..symint import wrap_size
from ..traced import Traced
from .registry import array, axes_of, axis_of, finish, node_of, row, shape_of


@row(np.shape)
def shape(a: Any) -> tuple[Any, ...]:
    return array(a).shape


@row(np.ndim)
def ndim(a: Any) -> int:
    return array(a).ndim


@row(np.size)
def size(a: Any, axis: Any = None) -> Any:
    x = array(a)
    if axis is None:
        return x.size
    return wrap_size(sizes.product(x.node.shape[k] for k in axes_of(axis, x.ndim)), x.session)


@row(np.reshape)
def reshape(a: Any, /, shape: Any = None, order: str = "C", *, copy: bool | None = None) -> Any:
    x, wanted = array(a), shape_of(shape)
    if order == "F":
        columns = build.reshape(build.permute(x.node), tuple(reversed(wanted)))
        return wrap(build.permute(columns))
    view = x.view_chain.reshape(wanted)
    if view is None or copy:
        return wrap(build.reshape(x.node, wanted))
    return x.seen_through(view)


@row(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    return reshape(a, -1, "F" if order == "F" else "C")


@row(np.transpose, "permute_dims")
def transpose(a: Any, axes: Any = None) -> Any:
    x = array(a)
    order = range(x.ndim)[::-1] if axes is None else [axis_of(k, x.ndim) for k in axes]
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"axes {axes} do not match an array with {x.ndim} dimensions")
    return x.seen_through(x.view_chain.permute(order))


@row("matrix_transpose", np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    return array(x).mT


@row(np.swapaxes)
def swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    x = array(a)
    order = list(range(x.ndim))
    i, j = axis_of(axis1, x.ndim), axis_of(axis2, x.ndim)
    order[i], order[j] = order[j], order[i]
    return transpose(x, order)


@row(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    x = array(a)
    sources, targets = (
        [axis_of(k, x.ndim) for k in (axes if isinstance(axes, (tuple, list)) else [axes])] for axes in (source, destination)
    )
    if len(sources) != len(targets) or len(set(sources)) != len(sources) or len(set(targets)) != len(targets):
        raise ShapeError(f"moveaxis: {source} and {destination} do not name as many different axes")
    order = [k for k in range(x.ndim) if k not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return transpose(x, order)


@row(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    x = array(a)
    axis = axis_of(axis, x.ndim)
    start = start + x.ndim if start < 0 else start
    start = start - 1 if axis < start else start
    order = [k for k in range(x.ndim) if k != axis]
    order.insert(start, axis)
    return transpose(x, order)


@row(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    x = array(a)
    wanted = axis if isinstance(axis, (tuple, list)) else [axis]
    total = x.ndim + len(wanted)
    places = axes_of(tuple(wanted), total)
    return x[tuple(None if k in places else slice(None) for k in range(total))]


@row(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    x = array(a)
    known = x.node.shape
    axes = [k for k, s in enumerate(known) if sizes.equal(s, 1)] if axis is None else axes_of(axis, x.ndim)
    for k in axes:
        if not sizes.equal(known[k], 1):
            raise ShapeError(f"cannot select an axis to squeeze out which has size not equal to one: axis {k} has {known[k]}")
    if not axes:
        return x
    view = x.view_chain.reshape(tuple(s for k, s in enumerate(known) if k not in axes))
    assert view is not None  # axes of size 1 never need a copy
    return x.seen_through(view)


@row(np.broadcast_to)
def broadcast_to(array_: Any = None, shape: Any = None, subok: bool = False, **named: Any) -> Any:
    x, wanted = array(named.get("array", array_)), shape_of(shape)
    build.broadcast_to(x.node, wanted)  # refused now, not when it is read
    return x.seen_through(x.view_chain.repeat(wanted))


@row(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    arrays = [array(a) for a in args]
    common = build.broadcast_shapes(*(a.node.shape for a in arrays), what="np.broadcast_arrays")
    return tuple(broadcast_to(a, common_sizes(common, a)) for a in arrays)


def common_sizes(shape: Sequence[Any], like: Traced) -> tuple[Any, ...]:
    """Sizes for the user's code."""
    return tuple(wrap_size(s, like.session) for s in shape)


@row(np.atleast_1d)
def atleast_1d(*arys: Any) -> Any:
    made = [a if a.ndim else a.reshape(1) for a in map(array, arys)]
    return made[0] if len(made) == 1 else tuple(made)


@row(np.atleast_2d)
def atleast_2d(*arys: Any) -> Any:
    made = [a if a.ndim > 1 else a[None, :] if a.ndim else a.reshape(1, 1) for a in map(array, arys)]
    return made[0] if len(made) == 1 else tuple(made)


@row(np.atleast_3d)
def atleast_3d(*arys: Any) -> Any:
    made = []
    for a in map(array, arys):
        made.append(a if a.ndim > 2 else a[:, :, None] if a.ndim == 2 else a[None, :, None] if a.ndim else a.reshape(1, 1, 1))
    return made[0] if len(made) == 1 else tuple(made)


# ------------------------------------------------------------------------------------------------ reversals and repetitions
@row(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    x = array(m)
    return x.seen_through(x.view_chain.flip(axes_of(axis, x.ndim)))


@row(np.flipud)
def flipud(m: Any) -> Any:
    return flip(m, 0)


@row(np.fliplr)
def fliplr(m: Any) -> Any:
    return flip(m, 1)


@row(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    x = array(m)
    first, second = (axis_of(a, x.ndim) for a in axes)
    k %= 4
    if k == 0:
        return x[...]
    if k == 2:
        return flip(x, (first, second))
    return swapaxes(flip(x, second), first, second) if k == 1 else flip(swapaxes(x, first, second), second)


@row(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    x = node_of(a)
    if axis is None:
        flat = build.roll(build.reshape(x, (-1,)), int(shift), 0)
        return wrap(build.reshape(flat, x.shape))
    shifts, axes = np.broadcast_arrays(shift, axis)
    for places, k in zip(shifts.ravel(), axes.ravel(), strict=True):
        x = build.roll(x, int(places), axis_of(k, x.ndim))
    return wrap(x)


@row(np.tile)
def tile(A: Any, reps: Any) -> Any:
    times = [int(n) for n in (reps if isinstance(reps, (tuple, list)) else np.atleast_1d(reps))]
    return wrap(build.tile(node_of(A), times))


@row(np.repeat)
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    x = node_of(a)
    if axis is None:
        x, axis = build.reshape(x, (-1,)), 0
    axis = axis_of(axis, x.ndim)
    counts = np.asarray(repeats)
    if counts.size == 1:
        return wrap(build.repeat(x, int(counts.reshape(())), axis))
    source = np.repeat(np.arange(len(counts)), counts)  # as many of each as asked for
    key: list[Any] = [slice(None)] * x.ndim
    if not sizes.equal(x.shape[axis], len(counts)):
        raise ShapeError(f"np.repeat: {len(counts)} counts for axis {axis} of size {x.shape[axis]}")
    key[axis] = lift(source).node
    return wrap(build.index(x, tuple(key)))


def _pad_widths(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    if isinstance(pad_width, dict):
        made = [(0, 0)] * ndim
        for axis, width in pad_width.items():
            made[axis_of(axis, ndim)] = (int(width), int(width)) if isinstance(width, int) else (int(width[0]), int(width[1]))
        return made
    return [(int(low), int(high)) for low, high in np.broadcast_to(pad_width, (ndim, 2))]


@row(np.pad)
def pad(array: Any = None, pad_width: Any = None, mode: str = "constant", constant_values: Any = 0) -> Any:
    x = node_of(array)
    widths = _pad_widths(pad_width, x.ndim)
    if mode == "constant":
        values = np.broadcast_to(constant_values, (x.ndim, 2))
        if (values == values.reshape(-1)[0]).all() if values.size else True:
            return wrap(build.pad(x, widths, values.reshape(-1)[0].item() if values.size else 0))
        for axis, (pair, (low, high)) in enumerate(zip(widths, values, strict=True)):
            for side, value in ((0, low), (1, high)):
                one = [(0, 0)] * x.ndim
                one[axis] = (pair[0], 0) if side == 0 else (0, pair[1])
                x = build.pad(x, one, value.item())
        return wrap(x)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise TraceError(f"np.pad with mode={mode!r} cannot be traced: use constant, edge, reflect, symmetric or wrap")
    result = wrap(x)
    for axis, pair in enumerate(widths):
        if any(pair):
            order = np.pad(np.arange(int(result.shape[axis])), pair, mode=mode)  # type: ignore[call-overload]
            key: list[Any] = [slice(None)] * x.ndim
            key[axis] = order
            result = result[tuple(key)]
    return result


# ------------------------------------------------------------------------------------------------ diagonals and triangles
@row(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    x = array(a)
    if x.ndim < 2:
        raise ShapeError("diag requires an array of at least two dimensions")
    return x.seen_through(x.view_chain.diagonal(int(offset), axis_of(axis1, x.ndim), axis_of(axis2, x.ndim)))


@row(np.linalg.diagonal)
def linalg_diagonal(x: Any, /, *, offset: int = 0) -> Any:
    return diagonal(x, offset, -2, -1)


@row(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    x = node_of(v)
    if x.ndim == 2:
        return wrap(build.diagonal(x, int(k), 0, 1))
    if x.ndim != 1:
        raise ShapeError(f"np.diag takes a vector or a matrix, not an array with {x.ndim} dimensions")
    extent = x.shape[0] + abs(int(k))
    return wrap(Diagonal(int(k), 0, 1).write(build.number(0, x.dtype, (extent, extent)), x))


@row(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    return diag(ravel(v), k)


@row(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    x = array(a)
    if x.ndim != 2 or wrap:
        raise TraceError("np.fill_diagonal can be traced for matrices, without wrap")
    part = diagonal(x)
    part.write(build.broadcast_to(to_dtype(lift(val), x.dtype), part.node.shape))


def _triangle(m: Any, k: int, lower: bool) -> Any:
    x = node_of(m)
    if x.ndim == 1:
        x = build.broadcast_to(x, (x.shape[0], x.shape[0]))
    return wrap(build.triangle(x, int(k), lower))


@row(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    return _triangle(m, k, True)


@row(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    return _triangle(m, k, False)


@row(np.trace)
def trace(a: Any, offset: int = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None, out: Any = None) -> Any:
    from .reducing import sum as total

    return total(diagonal(a, offset, axis1, axis2), -1, dtype, out)


@row(np.linalg.trace)
def linalg_trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    return trace(x, offset, -2, -1, dtype)


# ------------------------------------------------------------------------------------------------ joining and splitting
def _arrays(values: Any) -> list[Traced]:
    return [array(v) for v in values]


def _join(values: Sequence[Any], axis: int, out: Any = None, dtype: Any = None, what: str = "np.concatenate") -> Any:
    operands = [strong(lift(v)) for v in values]
    if not operands:
        raise ShapeError("need at least one array to concatenate")
    target = common_dtype(*operands) if dtype is None else np.dtype(dtype)
    return finish(build.concatenate([to_dtype(o, target) for o in operands], axis), out, what)


@row(np.concatenate)
def concatenate(arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = _arrays(arrays)
    if axis is None:
        return _join([ravel(p) for p in parts], 0, out, dtype)
    if parts and not parts[0].ndim:
        raise ShapeError("zero-dimensional arrays cannot be concatenated; np.stack joins numbers")
    return _join(parts, axis_of(axis, parts[0].ndim) if parts else 0, out, dtype)


@row(np.stack)
def stack(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = _arrays(arrays)
    if not parts:
        raise ShapeError("need at least one array to stack")
    place = axis_of(axis, parts[0].ndim + 1)
    for p in parts[1:]:
        if p.ndim != parts[0].ndim or not all(map(sizes.equal, p.node.shape, parts[0].node.shape)):
            raise ShapeError(f"all input arrays must have the same shape, not {parts[0].shape} and {p.shape}")
    return _join([expand_dims(p, place) for p in parts], place, out, dtype, "np.stack")


@row(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    return _join([atleast_2d(p) for p in tup], 0, None, dtype)


@row(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = [atleast_1d(p) for p in tup]
    return _join(parts, 0 if parts and parts[0].ndim == 1 else 1, None, dtype)


@row(np.dstack)
def dstack(tup: Any) -> Any:
    return _join([atleast_3d(p) for p in tup], 2)


@row(np.column_stack)
def column_stack(tup: Any) -> Any:
    return _join([p if p.ndim > 1 else atleast_2d(p).T for p in _arrays(tup)], 1)


@row(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    return concatenate([ravel(arr), ravel(values)]) if axis is None else concatenate([arr, values], axis)


def _parts(x: Traced, axis: int, lengths: Sequence[Any]) -> list[Any]:
    parts: list[Any] = []
    start: Any = 0
    for length in lengths:
        key: list[Any] = [slice(None)] * x.ndim
        key[axis] = slice(start, start + length)
        parts.append(x[tuple(key)])
        start = start + length
    return parts


@row(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Any]:
    x = array(ary)
    axis = axis_of(axis, x.ndim)
    if isinstance(indices_or_sections, (int, np.integer)):
        each, extra = divmod(int(x.shape[axis]), int(indices_or_sections))
        return _parts(x, axis, [each + 1] * extra + [each] * (int(indices_or_sections) - extra))
    key: list[Any] = [slice(None)] * x.ndim
    parts = []
    bounds = [0, *indices_or_sections, None]
    for start, stop in itertools.pairwise(bounds):
        key[axis] = slice(start, stop)
        parts.append(x[tuple(key)])
    return parts


@row(np.split)
def split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Any]:
    x = array(ary)
    axis = axis_of(axis, x.ndim)
    if not isinstance(indices_or_sections, (int, np.integer)):
        return array_split(x, indices_or_sections, axis)
    each, extra = divmod(x.shape[axis], int(indices_or_sections))
    if extra != 0:
        raise ShapeError(f"array split does not result in an equal division: size {x.shape[axis]} into {indices_or_sections}")
    return _parts(x, axis, [each] * int(indices_or_sections))


@row(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    return split(ary, indices_or_sections, 1 if array(ary).ndim > 1 else 0)


@row(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    return split(ary, indices_or_sections, 0)


@row(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    vectors = [ravel(x) for x in xi]
    order = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        order[0], order[1] = 1, 0
    shaped: list[Any] = []
    for vector, place in zip(vectors, order, strict=True):
        shaped.append(vector.reshape(*(-1 if k == place else 1 for k in range(len(vectors)))))
    return tuple(shaped) if sparse else tuple(b.copy() for b in broadcast_arrays(*shaped))
