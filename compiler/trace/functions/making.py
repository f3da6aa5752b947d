"""New arrays with the shape of traced ones, copies, and ramps between traced ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import build
from ...errors import TraceError
from ...ir import Node, constant, make
from ...sizes import Size
from ..operands import checked, common_dtype, lift, to_dtype, wrap
from ..symint import as_size
from .registry import array, node_of, row, shape_of


def _filled(like: Any, value: Any, dtype: Any, shape: Any) -> Any:
    x = node_of(like)
    kind = checked(x.dtype if dtype is None else np.dtype(dtype))
    extent = x.shape if shape is None else shape_of(shape)
    return wrap(build.broadcast_to(to_dtype(lift(value), kind), extent))


@row(np.zeros_like, np.empty_like)
def zeros_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None) -> Any:
    return _filled(a, 0, dtype, shape)


@row(np.ones_like)
def ones_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None) -> Any:
    return _filled(a, 1, dtype, shape)


@row(np.full_like)
def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Any:
    return _filled(a, fill_value, dtype, shape)


@row(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    return array(a).copy()


@row(np.zeros, np.empty)
def zeros(shape: Any, dtype: Any = float, order: str = "C", *, device: Any = None, like: Any = None) -> Any:
    """With `like=` a traced array, sizes stay symbolic."""
    return wrap(constant(0, checked(np.dtype(dtype or float)), shape_of(shape)))


@row(np.ones)
def ones(shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None) -> Any:
    return wrap(constant(1, checked(np.dtype(dtype or float)), shape_of(shape)))


@row(np.full)
def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None) -> Any:
    value = lift(fill_value)
    kind = value.node.dtype if dtype is None else np.dtype(dtype)
    return wrap(build.broadcast_to(to_dtype(value, checked(kind)), shape_of(shape)))


@row(np.array, np.asarray, np.asanyarray, np.ascontiguousarray)
def as_array(
    a: Any,
    dtype: Any = None,
    *,
    copy: Any = True,
    order: Any = "K",
    subok: bool = False,
    ndmin: int = 0,
    device: Any = None,
    like: Any = None,
) -> Any:
    """`np.array(values, like=x)` of traced values; without `like=` NumPy cannot be asked."""
    x = array(a)
    x = x if dtype is None else x.astype(dtype)
    return x.reshape((1,) * (ndmin - x.ndim) + x.shape) if x.ndim < ndmin else x.copy() if copy else x


@row(np.eye)
def eye(N: Any, M: Any = None, k: int = 0, dtype: Any = float, order: str = "C", *, device: Any = None, like: Any = None) -> Any:
    from ...ir import f

    shape: tuple[Size, ...] = (as_size(N), as_size(N if M is None else M))
    hit = f.eq(_ramp(shape, 1), _ramp(shape, 0) + int(k))
    return wrap(build.cast(hit, np.dtype(dtype)))


def _ramp(shape: tuple[Size, ...], axis: int) -> Node:
    return make("iota", shape=shape, dtype=np.dtype(np.int64), axis=axis)


@row(np.arange)
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, *, device: Any = None, like: Any = None) -> Any:
    """A ramp of integers whose ends may be symbolic sizes, which are not specialised."""
    from ... import sizes

    first, last = (0, start) if stop is None else (start, stop)
    low, high, stride = as_size(first), as_size(last), int(step)
    if stride == 0:
        raise TraceError("np.arange: the step cannot be zero")
    span = high - low if stride > 0 else low - high
    length = sizes.floordiv(span + abs(stride) - 1, abs(stride)) if sizes.less(0, span) else 0
    node = _ramp((length,), 0)
    if stride != 1:
        node = node * stride
    if low != 0:
        node = node + build.broadcast_to(build.size_value(low), node.shape)
    return wrap(node if dtype is None else build.cast(node, checked(np.dtype(dtype))))


@row(np.linspace)
def linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: Any = 0,
    *,
    device: Any = None,
) -> Any:
    operands = [lift(start), lift(stop)]
    kind = common_dtype(*operands)
    kind = kind if kind.kind == "f" else np.dtype(np.float64)
    a, b = build.broadcast(*(to_dtype(o, kind) for o in operands), what="np.linspace")
    count = as_size(num)
    gaps = count - 1 if endpoint else count
    step = (b - a) / build.broadcast_to(build.size_value(gaps, kind), a.shape)
    shape = (count, *a.shape)
    ramp = build.cast(_ramp(shape, 0), kind)
    wide_a, wide_b, wide_step = (build.broadcast_to(n, shape) for n in (a, b, step))
    node = wide_a + ramp * wide_step
    if endpoint:
        from ...ir import f

        last = build.broadcast_to(build.size_value(count - 1, kind), shape)
        node = f.where(f.and_(f.eq(ramp, last), f.gt(last, 0.0)), wide_b, f.where(f.eq(ramp, 0.0), wide_a, node))
    node = build.moveaxis(node, 0, build.normal_axis(int(axis), node.ndim))
    node = node if dtype is None else build.cast(node, checked(np.dtype(dtype)))
    return (wrap(node), wrap(step)) if retstep else wrap(node)


@row(np.logspace)
def logspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: Any = 0) -> Any:
    made = base ** linspace(start, stop, num, endpoint, axis=axis)
    return made if dtype is None else made.astype(dtype)


@row(np.geomspace)
def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None, axis: Any = 0) -> Any:
    made = np.exp(linspace(np.log(array(start)), np.log(array(stop)), num, endpoint, axis=axis))
    return made if dtype is None else made.astype(dtype)


@row(np.array_repr, np.array_str, np.array2string)
def text(a: Any, *args: Any, **kwargs: Any) -> str:
    return repr(a)
