"""Sums, means, extremes and other reductions, and running sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import build, sizes
from ...errors import TraceError
from ...ir import Node, constant, f, kind_of
from ...ops.reduction import expand_back
from ..operands import checked, common_dtype, lift, strong, to_dtype, wrap
from .registry import along, axes_of, axis_of, finish, joined_axes, node_of, row, typed


def result_dtype(function: Callable[..., Any], dtype: np.dtype[Any], asked: Any = None) -> np.dtype[Any]:
    """The dtype that NumPy's reduction gives, asked on a small array."""
    example = np.ones(1, dtype)
    made = function(example) if asked is None else function(example, dtype=asked)
    return checked(np.asarray(made).dtype)


def _masked(x: Node, where: Any, neutral: Any) -> Node:
    if where is True or where is np._NoValue:
        return x
    x, mask = build.broadcast(x, build.cast(node_of(where), bool), what="where=")
    return f.where(mask, x, constant(neutral, x.dtype, x.shape))


def _flag(value: Any) -> bool:
    return bool(value) if value is not np._NoValue else False


def _with_initial(op: str, node: Node, initial: Any) -> Node:
    if initial is None or initial is np._NoValue:
        return node
    return build.elementwise(op, node, typed(initial, node.dtype))


@row(np.sum, np.add.reduce)
def sum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True) -> Any:
    x = node_of(a)
    x = _masked(build.cast(x, result_dtype(np.sum, x.dtype, dtype)), where, 0)
    if x.dtype.kind == "b":
        return any(x, axis, out, keepdims)
    node = build.reduce("sum", x, axes_of(axis, x.ndim), _flag(keepdims))
    return finish(_with_initial("add", node, initial), out, "np.sum")


@row(np.prod, np.multiply.reduce)
def prod(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Any:
    x = node_of(a)
    x = _masked(build.cast(x, result_dtype(np.prod, x.dtype, dtype)), where, 1)
    node = build.reduce("prod", x, axes_of(axis, x.ndim), _flag(keepdims))
    return finish(_with_initial("mul", node, initial), out, "np.prod")


def _extreme(op: str, a: Any, axis: Any, out: Any, keepdims: Any, initial: Any, where: Any) -> Any:
    x = node_of(a)
    if where is not True and (initial is None or initial is np._NoValue):
        raise TraceError(f"np.{op} with where= needs initial= as well")
    if where is not True:
        x, mask, low = build.broadcast(x, build.cast(node_of(where), bool), typed(initial, x.dtype), what="where=")
        x = f.where(mask, x, low)
    node = build.reduce(op, x, axes_of(axis, x.ndim), _flag(keepdims))
    return finish(_with_initial(op + "imum", node, initial), out, f"np.{op}")


@row(np.max, np.amax, np.maximum.reduce)
def max(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True) -> Any:
    return _extreme("max", a, axis, out, keepdims, initial, where)


@row(np.min, np.amin, np.minimum.reduce)
def min(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True) -> Any:
    return _extreme("min", a, axis, out, keepdims, initial, where)


@row(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    x = node_of(a)
    axes = axes_of(axis, x.ndim)
    return finish(f.sub(*(build.reduce(op, x, axes, _flag(keepdims)) for op in ("max", "min"))), out, "np.ptp")


def _truth(op: str, a: Any, axis: Any, out: Any, keepdims: Any, where: Any) -> Any:
    x = _masked(a if isinstance(a, Node) else build.cast(node_of(a), bool), where, op == "all")
    return finish(build.reduce(op, x, axes_of(axis, x.ndim), _flag(keepdims)), out, f"np.{op}")


@row(np.any, np.logical_or.reduce)
def any(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
    return _truth("any", a, axis, out, keepdims, where)


@row(np.all, np.logical_and.reduce)
def all(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
    return _truth("all", a, axis, out, keepdims, where)


@row(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    x = build.cast(build.cast(node_of(a), bool), np.int64)
    return wrap(build.reduce("sum", x, axes_of(axis, x.ndim), _flag(keepdims)))


# ------------------------------------------------------------------------------------------------ moments
def _accurate(x: Node, dtype: np.dtype[Any]) -> Node:
    """Half precision is summed in single precision, as NumPy does."""
    return build.cast(x, np.float32 if dtype == np.float16 else dtype)


@row(np.mean)
def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
    x = node_of(a)
    final = result_dtype(np.mean, x.dtype, dtype)
    axes = axes_of(axis, x.ndim)
    x = _accurate(x, final)
    if where is True:
        node = build.mean(x, axes, _flag(keepdims))
    else:
        x, mask = build.broadcast(x, build.cast(node_of(where), bool), what="where=")
        total = build.reduce("sum", _masked(x, where, 0), axes, _flag(keepdims))
        node = total / build.reduce("sum", build.cast(mask, x.dtype), axes, _flag(keepdims))
    return finish(build.cast(node, final), out, "np.mean")


def _variance(a: Any, axis: Any, dtype: Any, ddof: Any, keepdims: Any, correction: Any) -> tuple[Node, np.dtype[Any]]:
    x = node_of(a)
    final = result_dtype(np.var, x.dtype, dtype)
    ddof = ddof if correction is None or correction is np._NoValue else correction
    return build.variance(_accurate(x, final), axes_of(axis, x.ndim), float(ddof), _flag(keepdims)), final


@row(np.var)
def var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *, correction: Any = None
) -> Any:
    node, final = _variance(a, axis, dtype, ddof, keepdims, correction)
    return finish(build.cast(node, final), out, "np.var")


@row(np.std)
def std(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *, correction: Any = None
) -> Any:
    node, final = _variance(a, axis, dtype, ddof, keepdims, correction)
    return finish(build.cast(f.sqrt(node), final), out, "np.std")


@row(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    x, w = lift(a), None if weights is None else lift(weights)
    axes = axes_of(axis, x.node.ndim)
    dtype = common_dtype(strong(x)) if w is None else common_dtype(strong(x), strong(w))
    dtype = np.result_type(dtype, np.float64) if dtype.kind != "f" else dtype
    data = to_dtype(x, dtype)
    if w is None:
        weight = constant(1, dtype, data.shape)
    else:
        weight = to_dtype(w, dtype)
        if weight.ndim == 1 and data.ndim > 1 and len(axes) == 1:
            weight = build.reshape(weight, tuple(weight.shape[0] if k == axes[0] else 1 for k in range(data.ndim)))
    data, weight = build.broadcast(data, weight, what="np.average")
    total = build.reduce("sum", weight, axes, _flag(keepdims))
    weighted = build.reduce("sum", data * weight, axes, _flag(keepdims)) / total
    result = build.mean(data, axes, _flag(keepdims)) if w is None else weighted
    return (wrap(result), wrap(total)) if returned else wrap(result)


@row(np.cov)
def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None) -> Any:
    x = node_of(m)
    dtype = np.result_type(x.dtype, np.float64)
    rows = [_observations(build.cast(x, dtype), rowvar)]
    if y is not None:
        rows.append(_observations(build.cast(node_of(y), dtype), rowvar))
    x = build.concatenate(rows, 0)
    correction = float(ddof) if ddof is not None else 0.0 if bias else 1.0
    deviation = x - expand_back(build.mean(x, (1,)), x, (1,))
    product = build.matmul(deviation, build.permute(deviation))
    count = build.count(x, (1,), dtype)
    result = product / build.broadcast_to(count - correction if correction else count, product.shape)
    return wrap(build.squeeze(result, [k for k in range(2) if result.shape[k] == 1]) if result.shape == (1, 1) else result)


def _observations(x: Node, rowvar: bool) -> Node:
    x = build.expand_dims(x, [0]) if x.ndim == 1 else x
    return x if rowvar or x.shape[0] == 1 else build.permute(x)


@row(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    c = cov(x, y, rowvar)
    if c.ndim == 0:
        return c / c
    deviation = c.diagonal() ** 0.5
    return c / deviation[:, None] / deviation[None, :]


# ------------------------------------------------------------------------------------------------ nan-aware
def _without_nan(a: Any, neutral: Any) -> tuple[Node, Node]:
    x = node_of(a)
    if kind_of(x.dtype) != "float":
        return x, constant(False, bool, x.shape)
    missing = f.isnan(x)
    return f.where(missing, constant(neutral, x.dtype, x.shape), x), missing


@row(np.nansum)
def nansum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return sum(wrap(_without_nan(a, 0)[0]), axis, dtype, out, keepdims)


@row(np.nanprod)
def nanprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return prod(wrap(_without_nan(a, 1)[0]), axis, dtype, out, keepdims)


@row(np.nanmean)
def nanmean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    node, missing = _without_nan(a, 0)
    axes, final = axes_of(axis, node.ndim), result_dtype(np.mean, node.dtype, dtype)
    present = build.reduce("sum", build.cast(f.not_(missing), final), axes, _flag(keepdims))
    return finish(build.reduce("sum", build.cast(node, final), axes, _flag(keepdims)) / present, out, "np.nanmean")


@row(np.nanvar)
def nanvar(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    node, missing = _without_nan(a, 0)
    axes, final = axes_of(axis, node.ndim), result_dtype(np.var, node.dtype, dtype)
    x, present = build.cast(node, final), build.cast(f.not_(missing), final)
    count = build.reduce("sum", present, axes)
    center = build.reduce("sum", x, axes) / count
    deviation = f.where(missing, constant(0, final, x.shape), x - expand_back(center, x, axes) if axes else x - center)
    total = build.reduce("sum", f.square(deviation), axes, _flag(keepdims))
    degrees = build.reduce("sum", present, axes, _flag(keepdims))
    return finish(total / (degrees - float(ddof) if ddof else degrees), out, "np.nanvar")


@row(np.nanstd)
def nanstd(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False) -> Any:
    return finish(f.sqrt(nanvar(a, axis, dtype, None, ddof, keepdims).node), out, "np.nanstd")


def _nan_extreme(op: str, a: Any, axis: Any, out: Any, keepdims: Any) -> Any:
    neutral = -np.inf if op == "max" else np.inf
    x, missing = _without_nan(a, neutral)
    axes = axes_of(axis, x.ndim)
    node = build.reduce(op, x, axes, _flag(keepdims))
    if kind_of(x.dtype) == "float":
        node = f.where(build.reduce("all", missing, axes, _flag(keepdims)), np.nan, node)
    return finish(node, out, f"np.nan{op}")


@row(np.nanmax)
def nanmax(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return _nan_extreme("max", a, axis, out, keepdims)


@row(np.nanmin)
def nanmin(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return _nan_extreme("min", a, axis, out, keepdims)


# ------------------------------------------------------------------------------------------------ positions
@row(np.argmax)
def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    x = node_of(a)
    return finish(build.position("argmax", x, None if axis is None else axis_of(axis, x.ndim), _flag(keepdims)), out, "np.argmax")


@row(np.argmin)
def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    x = node_of(a)
    return finish(build.position("argmin", x, None if axis is None else axis_of(axis, x.ndim), _flag(keepdims)), out, "np.argmin")


# ------------------------------------------------------------------------------------------------ running sums, order statistics
@row(np.cumsum)
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    x, axis = along(node_of(a), axis)
    x = build.cast(x, result_dtype(np.cumsum, x.dtype, dtype))
    if not x.ndim:
        x = build.reshape(x, (1,))
    return finish(build.cumulative_sum(x, axis), out, "np.cumsum")


@row("cumulative_sum")
def cumulative_sum(x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False) -> Any:
    node = node_of(x)
    total = cumsum(x, 0 if axis is None and node.ndim == 1 else axis, dtype).node
    if include_initial:
        place = 0 if axis is None else axis_of(axis, node.ndim)
        shape = tuple(1 if k == place else s for k, s in enumerate(total.shape))
        total = build.concatenate([constant(0, total.dtype, shape), total], place)
    return finish(total, out, "np.cumulative_sum")


def _quantile(x: Node, q: Node) -> Node:
    """Quantiles of the last axis by linear interpolation, nan where an element is; the axes of `q` come first."""
    ordered, _ = build.sort(x, x.ndim - 1)
    last = build.size_value(x.shape[-1] - 1, x.dtype)
    place = q * build.broadcast_to(last, q.shape)
    lower = f.floor(place)
    index = build.cast(lower, np.int64)
    following = f.minimum(index + 1, build.broadcast_to(build.cast(last, np.int64), index.shape))
    front = build.moveaxis(ordered, x.ndim - 1, 0)
    shape = (*q.shape, *front.shape[1:])
    a, b = (f.gather(front, k, axes=(0,)) for k in (index, following))
    part = build.reshape(place - lower, (*q.shape, *(1,) * (len(shape) - q.ndim)))
    part = build.broadcast_to(part, shape)
    slope = b - a  # NumPy's interpolation: from the nearer end
    value = f.where(f.ge(part, 0.5), b - slope * (1.0 - part), a + slope * part)
    undefined = f.any(f.isnan(x), axes=(x.ndim - 1,))
    return f.where(build.broadcast_to(undefined, shape), np.nan, value)


@row(np.quantile)
def quantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear", keepdims: Any = False
) -> Any:
    if method != "linear":
        raise TraceError(f"np.quantile with method={method!r} cannot be traced: use the method 'linear'")
    x = node_of(a)
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    joined, axes = joined_axes(build.cast(x, dtype), axis)
    fraction = lift(q)
    node = _quantile(joined, to_dtype(fraction, dtype))
    if _flag(keepdims):
        kept = tuple(1 if k in axes else s for k, s in enumerate(x.shape))
        node = build.reshape(node, (*fraction.node.shape, *kept))
    return finish(node, out, "np.quantile")


@row(np.percentile)
def percentile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear", keepdims: Any = False
) -> Any:
    fraction = q / 100 if isinstance(q, (int, float)) or hasattr(q, "dtype") else np.asarray(q) / 100
    return quantile(a, fraction, axis, out, overwrite_input, method, keepdims)


@row(np.median)
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
    x = node_of(a)
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    joined, axes = joined_axes(build.cast(x, dtype), axis)
    ordered, _ = build.sort(joined, joined.ndim - 1)
    n = joined.shape[-1]
    low, high = (build.index(ordered, (..., sizes.floordiv(k, 2))) for k in (n - 1, n))
    node = (low + high) * 0.5
    node = f.where(f.any(f.isnan(joined), axes=(joined.ndim - 1,)), np.nan, node)
    if _flag(keepdims):
        node = build.reshape(node, tuple(1 if k in axes else s for k, s in enumerate(x.shape)))
    return finish(node, out, "np.median")
