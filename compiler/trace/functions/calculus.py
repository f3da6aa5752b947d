"""Differences, integrals, polynomials, and elementwise functions that are no ufuncs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import build
from ...errors import ShapeError, TraceError
from ...ir import Node, constant, f, kind_of
from ..operands import Operand, common_dtype, lift, strong, to_dtype, wrap
from ..ufunc_table import clip as clip_node
from ..ufuncs import apply_ufunc, resolve
from .registry import array, axis_of, finish, node_of, row, typed


@row(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None, dtype: Any = None) -> Any:
    x = strong(lift(a)) if not isinstance(a, (int, float)) else lift(a)
    bounds = [a_min if a_min is not None else min, a_max if a_max is not None else max]
    operands = [None if b is None else lift(b) for b in bounds]
    final = x.node.dtype
    for operand, ufunc in zip(operands, (np.maximum, np.minimum), strict=True):
        if operand is not None:
            final = resolve(ufunc, (Operand(build.cast(x.node, final)), operand), dtype)[-1]
    nodes = build.broadcast(to_dtype(x, final), *(to_dtype(o, final) for o in operands if o is not None), what="np.clip")
    low, high = (nodes.pop(1) if o is not None else None for o in operands)
    return finish(clip_node(nodes[0], low, high), out, "np.clip")


@row(np.round, np.around)
def round(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    x = node_of(a)
    if kind_of(x.dtype) != "float":
        if decimals < 0:
            raise TraceError("np.round of integers to negative decimals cannot be traced; convert to float first")
        return finish(x, out, "np.round")
    if decimals == 0:
        return finish(f.round(x), out, "np.round")
    scale = 10.0 ** abs(int(decimals))
    node = f.round(x * scale) / scale if decimals > 0 else f.round(x / scale) * scale
    return finish(node, out, "np.round")


@row(np.fix)
def fix(x: Any, out: Any = None) -> Any:
    return finish(apply_ufunc(np.trunc, [lift(x)]), out, "np.fix")


@row(np.real)
def real(val: Any) -> Any:
    return array(val)


@row(np.imag)
def imag(val: Any) -> Any:
    return array(val).imag


@row(np.isrealobj)
def isrealobj(x: Any) -> bool:
    return True


@row(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    return False


@row(np.isreal)
def isreal(x: Any) -> Any:
    return wrap(constant(True, bool, node_of(x).shape))


@row(np.iscomplex)
def iscomplex(x: Any) -> Any:
    return wrap(constant(False, bool, node_of(x).shape))


@row(np.real_if_close)
def real_if_close(a: Any, tol: Any = 100) -> Any:
    return array(a)


@row(np.sinc)
def sinc(x: Any) -> Any:
    node = node_of(x)
    node = node if kind_of(node.dtype) == "float" else build.cast(node, np.float64)
    return wrap(f.sinc(node * math.pi))


@row(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    node = node_of(x)
    if kind_of(node.dtype) != "float":
        return wrap(node)
    limits = np.finfo(node.dtype)
    high = typed(limits.max if posinf is None else posinf, node.dtype)
    low = typed(limits.min if neginf is None else neginf, node.dtype)
    node, missing, high, low = build.broadcast(node, typed(nan, node.dtype), high, low, what="np.nan_to_num")
    infinite = f.isinf(node)
    return wrap(f.where(f.isnan(node), missing, f.where(infinite, f.where(f.gt(node, 0.0), high, low), node)))


def _close(a: Any, b: Any, rtol: Any, atol: Any, equal_nan: bool) -> Node:
    operands = [lift(a), lift(b)]
    dtype = np.result_type(common_dtype(*operands), np.float64 if common_dtype(*operands).kind != "f" else common_dtype(*operands))
    x, y, relative, absolute = build.broadcast(*(to_dtype(o, dtype) for o in operands), typed(rtol, dtype), typed(atol, dtype))
    near = f.and_(f.le(f.abs(x - y), absolute + relative * f.abs(y)), f.isfinite(y))
    near = f.or_(near, f.eq(x, y))
    return f.or_(near, f.and_(f.isnan(x), f.isnan(y))) if equal_nan else near


@row(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    return wrap(_close(a, b, rtol, atol, equal_nan))


@row(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    near = _close(a, b, rtol, atol, equal_nan)
    return wrap(build.reduce("all", near, tuple(range(near.ndim))))


@row(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    from ... import sizes

    x, y = array(a1), array(a2)
    if x.ndim != y.ndim or not all(map(sizes.equal, x.node.shape, y.node.shape)):
        return False
    return (x == y).all()


@row(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    from ..operands import is_traced

    examples = [
        (v.dtype if getattr(v, "weak", None) is None else v.weak(0)) if is_traced(v) and hasattr(v, "dtype") else 0 if is_traced(v) else v
        for v in arrays_and_dtypes
    ]
    return np.result_type(*examples)


@row(np.can_cast)
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    return bool(np.can_cast(getattr(from_, "dtype", from_), to, casting))


@row(np.shares_memory, np.may_share_memory)
def shares_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    from ..traced import Traced

    return isinstance(a, Traced) and isinstance(b, Traced) and a.view_chain.storage is b.view_chain.storage


# ------------------------------------------------------------------------------------------------ differences and integrals
@row(np.diff)
def diff(a: Any, n: int = 1, axis: Any = -1, prepend: Any = None, append: Any = None) -> Any:
    from .shaping import concatenate

    x = array(a)
    axis = axis_of(axis, x.ndim)

    def edge(value: Any) -> Any:
        v = array(value)
        return v if v.ndim else np.broadcast_to(v, tuple(1 if k == axis else s for k, s in enumerate(x.shape)))

    if n < 0:
        raise ShapeError(f"order must be non-negative but got {n}")
    parts = [*([] if prepend is None else [edge(prepend)]), x, *([] if append is None else [edge(append)])]
    x = concatenate(parts, axis=axis) if len(parts) > 1 else x
    after, before = ([slice(None)] * x.ndim for _ in range(2))
    after[axis], before[axis] = slice(1, None), slice(None, -1)
    for _ in range(n):
        upper, lower = x[tuple(after)], x[tuple(before)]
        x = upper != lower if x.dtype.kind == "b" else upper - lower
    return x


@row(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    from .shaping import concatenate, ravel

    x = ravel(ary)
    parts = [*([] if to_begin is None else [ravel(to_begin)]), x[1:] - x[:-1], *([] if to_end is None else [ravel(to_end)])]
    return concatenate(parts) if len(parts) > 1 else parts[0]


@row("trapezoid", "trapz")
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    heights = array(y)
    axis = axis_of(axis, heights.ndim)
    after, before = ([slice(None)] * heights.ndim for _ in range(2))
    after[axis], before[axis] = slice(1, None), slice(None, -1)
    step: Any = dx
    if x is not None:
        place = array(x)
        if place.ndim == 1:
            step = diff(place)
            step = step.reshape(tuple(-1 if k == axis else 1 for k in range(heights.ndim)))
        else:
            step = diff(place, axis=axis)
    return (step * (heights[tuple(after)] + heights[tuple(before)]) / 2.0).sum(axis)


def _gradient_along(x: Any, step: Any, axis: int) -> Any:
    from .shaping import concatenate

    def part(start: Any, stop: Any) -> Any:
        return x[(slice(None),) * axis + (slice(start, stop),)]

    if getattr(step, "ndim", 0) == 0 or np.ndim(step) == 0:
        middle = (part(2, None) - part(None, -2)) / (2.0 * step)
        first, last = (part(1, 2) - part(0, 1)) / step, (part(-1, None) - part(-2, -1)) / step
        return concatenate([first, middle, last], axis=axis)
    shape = tuple(-1 if k == axis else 1 for k in range(x.ndim))
    gaps = diff(step)
    left, right = gaps[:-1], gaps[1:]
    a, b, c = -right / (left * (left + right)), (right - left) / (left * right), left / (right * (left + right))
    a, b, c = (v.reshape(shape) for v in (a, b, c))
    middle = a * part(None, -2) + b * part(1, -1) + c * part(2, None)
    first = (part(1, 2) - part(0, 1)) / gaps[0]
    last = (part(-1, None) - part(-2, -1)) / gaps[-1]
    return concatenate([first, middle, last], axis=axis)


@row(np.gradient)
def gradient(f_: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    if edge_order != 1:
        raise TraceError("np.gradient with edge_order=2 cannot be traced: use edge_order=1")
    x = array(f_)
    x = x if x.dtype.kind == "f" else x.astype(float)
    axes = [axis_of(k, x.ndim) for k in (range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else [axis])]
    steps = list(varargs) if len(varargs) == len(axes) else [varargs[0] if varargs else 1.0] * len(axes)
    steps = [array(s) if np.ndim(s) else s for s in steps]
    made = tuple(_gradient_along(x, step, k) for step, k in zip(steps, axes, strict=True))
    return made[0] if len(made) == 1 else made


# ------------------------------------------------------------------------------------------------ polynomials
@row(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    coefficients = list(p) if isinstance(p, (list, tuple)) else list(array(p))
    result: Any = None
    value = array(x)
    for c in coefficients:
        result = value * 0 + c if result is None else result * value + c
    return value * 0 if result is None else result


@row(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    from .shaping import stack

    value = array(x)
    count = int(value.shape[0]) if N is None else int(N)
    powers = [value * 0 + 1]
    for _ in range(count - 1):
        powers.append(powers[-1] * value)
    powers = powers[:count]
    return stack(powers if increasing else powers[::-1], axis=1)


@row(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: Any = -1, *, period: Any = 2 * math.pi) -> Any:
    from .shaping import concatenate

    x = array(p)
    axis = axis_of(axis, x.ndim)
    steps = diff(x, axis=axis)
    half = period / 2
    wrapped = (steps + half) % period - half
    wrapped = np.where((wrapped == -half) & (steps > 0), half, wrapped)
    correction = np.where(abs(steps) < (half if discont is None else discont), 0.0, wrapped - steps)
    head = x[(slice(None),) * axis + (slice(0, 1),)]
    tail = x[(slice(None),) * axis + (slice(1, None),)]
    return concatenate([head, tail + correction.cumsum(axis)], axis=axis)
