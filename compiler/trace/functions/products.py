"""Products of vectors, matrices and tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import build
from ...errors import ShapeError, TraceError
from ...ir import Node, f
from ..operands import common_dtype, lift, strong, to_dtype, wrap
from .registry import array, axis_of, finish, node_of, row


def same_dtype(*values: Any) -> list[Node]:
    """Arguments as nodes of their common dtype."""
    operands = [strong(lift(v)) for v in values]
    dtype = common_dtype(*operands)
    return [to_dtype(o, dtype) for o in operands]


def _contracted(make: Any, *nodes: Node) -> Node:
    """A product; of truth values it is `any` of `and`, which is counted and compared with 0."""
    if nodes[0].dtype.kind != "b":
        return make(*nodes)  # type: ignore[no-any-return]
    return build.cast(make(*(build.cast(n, np.int64) for n in nodes)), bool)


@row(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    x, y = same_dtype(a, b)
    if not x.ndim or not y.ndim:
        return finish(f.mul(*build.broadcast(x, y)) if x.dtype.kind != "b" else f.and_(*build.broadcast(x, y)), out, "np.dot")
    if y.ndim <= 2:
        return finish(_contracted(build.matmul, x, y) if x.ndim <= 2 or y.ndim == 2 or y.ndim == 1 else x, out, "np.dot")
    return finish(_contracted(lambda p, q: build.tensordot(p, q, [p.ndim - 1], [q.ndim - 2]), x, y), out, "np.dot")


@row(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    x, y = (build.reshape(n, (-1,)) for n in same_dtype(a, b))
    return wrap(_contracted(build.matmul, x, y))


@row(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    x, y = same_dtype(a, b)
    if not x.ndim or not y.ndim:
        return wrap(f.mul(*build.broadcast(x, y)))
    return wrap(_contracted(lambda p, q: build.tensordot(p, q, [p.ndim - 1], [q.ndim - 1]), x, y))


@row(np.outer, np.linalg.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    x, y = (build.reshape(n, (-1,)) for n in same_dtype(a, b))
    return finish(_contracted(build.outer, x, y), out, "np.outer")


@row(np.tensordot, np.linalg.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    x, y = same_dtype(a, b)
    if isinstance(axes, (int, np.integer)):
        left = list(range(x.ndim - int(axes), x.ndim))
        right = list(range(int(axes)))
    else:
        left, right = (
            [axis_of(k, n.ndim) for k in (part if isinstance(part, (tuple, list)) else [part])]
            for part, n in zip(axes, (x, y), strict=True)
        )
    if len(left) != len(right):
        raise ShapeError(f"np.tensordot: {len(left)} axes of the first and {len(right)} of the second cannot be paired")
    return wrap(_contracted(lambda p, q: build.tensordot(p, q, left, right), x, y))


@row(np.einsum)
def einsum(*operands: Any, out: Any = None, dtype: Any = None, order: str = "K", casting: str = "safe", optimize: Any = False) -> Any:
    equation, *arrays = operands if isinstance(operands[0], str) else _interleaved(operands)
    nodes = same_dtype(*arrays)
    if dtype is not None:
        nodes = [build.cast(n, dtype) for n in nodes]
    return finish(_contracted(lambda *xs: build.einsum(equation, *xs), *nodes), out, "np.einsum")


def _interleaved(operands: Sequence[Any]) -> list[Any]:
    """The form `einsum(x, [0, 1], y, [1], [0])` as an equation."""
    from ...build.products import LETTERS

    def term(labels: Sequence[Any]) -> str:
        return "".join("..." if k is Ellipsis else LETTERS[k] for k in labels)

    pairs = len(operands) // 2
    equation = ",".join(term(operands[2 * k + 1]) for k in range(pairs))
    if len(operands) % 2:
        equation += "->" + term(operands[-1])
    return [equation, *(operands[2 * k] for k in range(pairs))]


@row(np.kron)
def kron(a: Any, b: Any) -> Any:
    x, y = array(a), array(b)
    depth = max(x.ndim, y.ndim)
    x, y = (v.reshape((1,) * (depth - v.ndim) + v.shape) for v in (x, y))
    wide_x = x[tuple(k for _ in range(depth) for k in (slice(None), None))]
    wide_y = y[tuple(k for _ in range(depth) for k in (None, slice(None)))]
    return (wide_x * wide_y).reshape(tuple(m * n for m, n in zip(x.shape, y.shape, strict=True)))


@row(np.cross, np.linalg.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    from .shaping import moveaxis, stack

    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = moveaxis(array(a), axisa, -1), moveaxis(array(b), axisb, -1)
    dims = int(x.shape[-1]), int(y.shape[-1])
    if not set(dims) <= {2, 3}:
        raise ShapeError(f"np.cross needs vectors of 2 or 3 components, not {dims[0]} and {dims[1]}")
    p, q = ([v[..., k] for k in range(n)] for v, n in zip((x, y), dims, strict=True))
    last = p[0] * q[1] - p[1] * q[0]
    if dims == (2, 2):
        return last
    p2, q2 = (v[2] if len(v) == 3 else None for v in (p, q))

    def minus(first: Any, second: Any) -> Any:
        return -second if first is None else first if second is None else first - second

    def times(u: Any, v: Any) -> Any:
        return None if u is None or v is None else u * v

    parts = [minus(times(p[1], q2), times(p2, q[1])), minus(times(p2, q[0]), times(p[0], q2)), last]
    return moveaxis(stack(parts, -1), -1, axisc)


@row(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    x, y = same_dtype(a, v)
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError("np.convolve takes two vectors")
    from ... import sizes
    from ...build.moving import iota

    if sizes.less(x.shape[0], y.shape[0]):
        x, y = y, x
    n, m = x.shape[0], y.shape[0]
    padded = build.pad(x, [(m - 1, m - 1)])
    shape = (n + m - 1, m)
    index = iota(shape, 0) - iota(shape, 1) + build.broadcast_to(build.size_value(m - 1), shape)
    full = f.contract(f.gather(padded, index, axes=(0,)), y, left="xy", right="y", out="x")
    if mode == "full":
        return wrap(full)
    if mode == "valid":
        return wrap(build.index(full, (slice(m - 1, n),)))
    if mode != "same":
        raise TraceError(f"np.convolve: mode {mode!r} is none of full, same, valid")
    start = sizes.floordiv(m - 1, 2)
    return wrap(build.index(full, (slice(start, start + n),)))


@row(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    from ... import sizes
    from .shaping import flip

    if sizes.less(node_of(a).shape[0], node_of(v).shape[0]):
        return flip(convolve(v, flip(a), mode))
    return convolve(a, flip(v), mode)
