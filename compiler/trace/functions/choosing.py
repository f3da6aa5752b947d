"""Choices by conditions, positions and order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import build, sizes
from ...build.indexing import _positions as positions
from ...errors import ShapeError, TraceError
from ...ir import Node, constant, f
from ..keys import lift_key
from ..operands import common_dtype, lift, to_dtype, wrap
from ..traced import Traced
from ..ufuncs import plain_target
from .registry import along, array, axis_of, finish, node_of, row


@row(np.where)
def where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    if x is None or y is None:
        return nonzero(condition)
    a, b = lift(x), lift(y)
    dtype = common_dtype(a, b)
    return wrap(f.where(*build.broadcast(build.cast(node_of(condition), bool), to_dtype(a, dtype), to_dtype(b, dtype), what="np.where")))


@row(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    if len(condlist) != len(choicelist) or not condlist:
        raise ShapeError("np.select: list of cases must be same length as list of conditions, and not empty")
    operands = [lift(c) for c in (*choicelist, default)]
    dtype = common_dtype(*operands)
    conditions = [node_of(c) for c in condlist]
    if any(c.dtype.kind != "b" for c in conditions):
        raise TraceError("np.select: conditions must be boolean arrays")
    *choices, rest = (to_dtype(o, dtype) for o in operands)
    shape = build.broadcast_shapes(*(n.shape for n in (*conditions, *choices, rest)), what="np.select")
    result = build.broadcast_to(rest, shape)
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        result = f.where(build.broadcast_to(condition, shape), build.broadcast_to(choice, shape), result)
    return wrap(result)


@row(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    value = array(x)
    listed = condlist if isinstance(condlist, (list, tuple)) and not isinstance(condlist[0], (bool, np.bool_)) else [condlist]
    conditions = [build.broadcast_to(node_of(c), value.node.shape) for c in listed]
    functions = list(funclist)
    result = value.node - value.node if value.dtype.kind == "f" else constant(0, value.dtype, value.node.shape)
    if len(functions) == len(conditions) + 1:
        result = _piece(functions.pop(), value, args, kw)
    if len(functions) != len(conditions):
        raise ShapeError(f"np.piecewise: {len(funclist)} functions for {len(conditions)} conditions")
    for condition, function in zip(conditions, functions, strict=True):
        result = f.where(condition, _piece(function, value, args, kw), result)
    return wrap(result)


def _piece(function: Callable[..., Any] | float, x: Traced, args: Sequence[Any], kw: dict[str, Any]) -> Node:
    made = function(x, *args, **kw) if callable(function) else function
    return build.broadcast_to(to_dtype(lift(made), x.dtype), x.node.shape)


@row(np.choose)
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    index = node_of(a)
    operands = [lift(c) for c in choices]
    dtype = common_dtype(*operands)
    index, *nodes = build.broadcast(index, *(to_dtype(o, dtype) for o in operands), what="np.choose")
    result = nodes[0]
    for k, node in enumerate(nodes[1:], start=1):
        result = f.where(f.eq(index, k), node, result)
    return finish(result, out, "np.choose")


# ------------------------------------------------------------------------------------------------ positions
@row(np.nonzero)
def nonzero(a: Any) -> tuple[Any, ...]:
    return tuple(wrap(p) for p in positions(build.cast(node_of(a), bool)))


@row(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    return nonzero(wrap(build.reshape(node_of(a), (-1,))))[0]


@row(np.argwhere)
def argwhere(a: Any) -> Any:
    return wrap(build.stack([p.node for p in nonzero(a)], 1))


@row(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    x, axis = along(node_of(a), axis)
    index: Any = lift_key(indices if not isinstance(indices, tuple) else list(indices))[0]
    if isinstance(index, Node) and mode != "raise":
        last = build.broadcast_to(build.size_value(x.shape[axis]), index.shape)
        index = build.cast(index, np.int64)
        index = f.remainder(index, last) if mode == "wrap" else f.maximum(f.minimum(index, last - 1), 0)
    key: list[Any] = [slice(None)] * x.ndim
    key[axis] = index
    return finish(build.index(x, tuple(key)), out, "np.take")


@row(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    x, axis = along(node_of(arr), axis)
    index = build.cast(node_of(indices), np.int64)
    if index.ndim != x.ndim:
        raise ShapeError(f"np.take_along_axis: indices have {index.ndim} dimensions, the array {x.ndim}")
    kept = [k for k in range(x.ndim) if k != axis]
    common = build.broadcast_shapes(*(tuple(n.shape[k] for k in kept) for n in (x, index)), what="np.take_along_axis")
    wide, narrow = list(common), list(common)
    wide.insert(axis, x.shape[axis])
    narrow.insert(axis, index.shape[axis])
    x, index = build.broadcast_to(x, tuple(wide)), build.broadcast_to(index, tuple(narrow))
    return wrap(build.take_along_axis(x, index, axis))


@row(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    if not isinstance(arr, Traced):
        raise plain_target(arr)
    index = build.cast(node_of(indices), np.int64)
    arr.write(build.put_along_axis(arr.node, index, to_dtype(lift(values), arr.dtype), axis_of(axis, arr.ndim)))


@row(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    if isinstance(condition, Traced) and not isinstance(a, Traced):
        a = array(a)
    x, axis = along(node_of(a), axis)
    key: list[Any] = [slice(None)] * x.ndim
    key[axis] = positions(build.cast(node_of(condition), bool))[0]
    return finish(build.index(x, tuple(key)), out, "np.compress")


@row(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    mask = build.cast(node_of(condition), bool)
    return wrap(build.index(build.reshape(node_of(arr), (-1,)), build.reshape(mask, (-1,))))


@row(np.delete)
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    x, axis = along(node_of(arr), axis)
    size = int(wrap(x).shape[axis])
    kept = np.delete(np.arange(size), obj)
    key: list[Any] = [slice(None)] * x.ndim
    key[axis] = lift(kept).node
    return wrap(build.index(x, tuple(key)))


@row(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    from ..ufuncs import store

    if not isinstance(dst, Traced):
        raise plain_target(dst)
    store(dst, lift(src)._replace(node=to_dtype(lift(src), dst.dtype)) if lift(src).weak else lift(src), "np.copyto", where, casting)


@row(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> None:
    if not isinstance(a, Traced):
        raise plain_target(a)
    value = to_dtype(lift(values), a.dtype)
    if value.ndim and not (value.ndim == a.ndim and all(map(sizes.equal, value.shape, a.node.shape))):
        raise TraceError("np.putmask with values of another shape repeats them; write the repetition out, or use np.where")
    condition, value = (build.broadcast_to(n, a.node.shape) for n in (build.cast(node_of(mask), bool), value))
    a.write(f.where(condition, value, a.node))


# ------------------------------------------------------------------------------------------------ order
@row(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    x, axis = along(node_of(a), axis)
    return wrap(build.sort(x, axis)[0])


@row(np.argsort)
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    x, axis = along(node_of(a), axis)
    return wrap(build.sort(x, axis)[1])


@row(np.partition)
def partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    return sort(a, axis)


@row(np.argpartition)
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    return argsort(a, axis)


def count_before(edges: Node, values: Node, side: str) -> Node:
    """For each value, how many of the ascending `edges` are below it (`left`), or not above it (`right`)."""
    grid = (*values.shape, edges.shape[0])
    wide = build.broadcast_to(build.expand_dims(values, [values.ndim]), grid)
    below = (f.lt if side == "left" else f.le)(build.broadcast_to(edges, grid), wide)
    return build.reduce("sum", build.cast(below, np.int64), (values.ndim,))


@row(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    edges, values = lift(a), lift(v)
    dtype = common_dtype(edges, values)
    nodes = to_dtype(edges, dtype)
    if sorter is not None:
        nodes = build.index(nodes, lift_key(sorter))
    return wrap(count_before(nodes, to_dtype(values, dtype), side))


@row(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    return searchsorted(bins, x, "left" if right else "right")


@row(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    if period is not None:
        raise TraceError("np.interp with period= cannot be traced: take the remainder of x yourself")
    at, knots, heights = (build.cast(node_of(v), np.float64) for v in (x, xp, fp))
    last = knots.shape[0]
    upper = count_before(knots, at, "right")
    top = build.broadcast_to(build.size_value(last - 1), upper.shape)
    high = f.maximum(f.minimum(upper, top), 1) if not sizes.equal(last, 1) else f.minimum(upper, 0)
    low = high - 1 if not sizes.equal(last, 1) else high
    x0, x1, y0, y1 = (f.gather(v, k, axes=(0,)) for v in (knots, heights) for k in (low, high))
    inside = y0 + (y1 - y0) / (x1 - x0) * (at - x0)
    first, final = (f.gather(heights, k, axes=(0,)) for k in (constant(0, np.int64, upper.shape), top))
    below = first if left is None else build.broadcast_to(build.cast(node_of(left), np.float64), at.shape)
    above = final if right is None else build.broadcast_to(build.cast(node_of(right), np.float64), at.shape)
    start, end = (build.broadcast_to(build.index(knots, (k,)), at.shape) for k in (0, last - 1))
    result = f.where(f.lt(at, start), below, f.where(f.gt(at, end), above, f.where(f.eq(at, end), final, inside)))
    return wrap(f.where(f.isnan(at), at, result))
