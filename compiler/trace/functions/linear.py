"""`np.linalg` on (stacks of) matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import build, sizes
from ...errors import ShapeError, TraceError
from ...ir import Node, f
from ..operands import common_dtype, lift, strong, to_dtype, wrap
from ..session import require_session
from .registry import array, axes_of, axis_of, row


def _real(*values: Any) -> list[Node]:
    """Arguments as floats of one dtype, at least float64 where none is a float, as LAPACK wants them."""
    operands = [strong(lift(v)) for v in values]
    dtype = common_dtype(*operands)
    return [to_dtype(o, dtype if dtype.kind == "f" and dtype.itemsize >= 4 else np.dtype(np.float64)) for o in operands]


@row(np.linalg.inv)
def inv(a: Any) -> Any:
    return wrap(f.inverse(*_real(a)))


@row(np.linalg.det)
def det(a: Any) -> Any:
    return wrap(f.det(*_real(a)))


@row(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    from numpy.linalg._linalg import SlogdetResult

    (x,) = _real(a)
    return SlogdetResult(wrap(f.detsign(x)), wrap(f.logabsdet(x)))


@row(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    x, y = _real(a, b)
    vector = y.ndim == 1
    y = build.expand_dims(y, [1]) if vector else y
    batch = build.broadcast_shapes(x.shape[:-2], y.shape[:-2], what="np.linalg.solve")
    x, y = (build.broadcast_to(n, (*batch, *n.shape[-2:])) for n in (x, y))
    result = f.solve(x, y)
    return wrap(build.squeeze(result, [result.ndim - 1]) if vector else result)


@row(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    (x,) = _real(a)
    return wrap(build.moveaxis(f.cholesky(build.moveaxis(x, x.ndim - 1, x.ndim - 2)), x.ndim - 1, x.ndim - 2) if upper else f.cholesky(x))


@row(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    return wrap(f.eigenvalues(_triangle_read(a, UPLO)))


@row(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    from numpy.linalg._linalg import EighResult

    x = _triangle_read(a, UPLO)
    made: Any = EighResult
    return made(wrap(f.eigenvalues(x)), wrap(f.eigenvectors(x)))


def _triangle_read(a: Any, triangle: str) -> Node:
    """A symmetric matrix, of which the ops read the lower triangle."""
    (x,) = _real(a)
    if triangle.upper() not in ("L", "U"):
        raise ValueError(f"UPLO argument must be 'L' or 'U', not {triangle!r}")
    return x if triangle.upper() == "L" else build.moveaxis(x, x.ndim - 1, x.ndim - 2)


@row(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    from numpy.linalg._linalg import SVDResult

    (x,) = _real(a)
    if not compute_uv:
        return wrap(f.singular_values(x))
    if full_matrices and not sizes.equal(x.shape[-1], x.shape[-2]):
        raise TraceError("np.linalg.svd: the full matrices have columns without a derivative: use full_matrices=False")
    made: Any = SVDResult
    return made(wrap(f.left_singular_vectors(x)), wrap(f.singular_values(x)), wrap(f.right_singular_vectors(x)))


@row(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    from numpy.linalg._linalg import QRResult

    (x,) = _real(a)
    if mode not in ("reduced", "r"):
        raise TraceError(f"np.linalg.qr: mode={mode!r} has no derivative: use mode='reduced'")
    if x.ndim < 2 or sizes.less(x.shape[-2], x.shape[-1]):
        raise ShapeError(f"np.linalg.qr of an array of shape {x.shape}: matrices with at least as many rows as columns are expected")
    made: Any = QRResult
    return wrap(f.qr_r(x)) if mode == "r" else made(wrap(f.qr_q(x)), wrap(f.qr_r(x)))


@row(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    if rcond is not None or rtol not in (None, np._NoValue):
        raise TraceError("np.linalg.pinv with a tolerance cannot be traced: leave it out (max(m, n) times the dtype's epsilon is used)")
    return wrap(f.pseudo_inverse(*_real(a)))


@row(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    return wrap(f.singular_values(*_real(x)))


@row(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    x = array(a)
    if n < 0:
        x, n = inv(x), -n
    if n == 0:
        return wrap(build.cast(_identity(x.node), x.dtype))
    result: Any = None
    while n:
        if n & 1:
            result = x if result is None else result @ x
        n >>= 1
        x = x @ x if n else x
    return result


def _identity(x: Node) -> Node:
    from ...build.moving import iota

    return build.cast(f.eq(iota(x.shape, x.ndim - 2), iota(x.shape, x.ndim - 1)), x.dtype)


@row(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Any], *, out: Any = None) -> Any:
    """Multiplied cheapest pair first, by the sizes of the example."""
    hint = require_session("this product").context.hint
    parts = [array(a) for a in arrays]

    def cost(k: int) -> int:
        """Multiplications of part k with the next: all extents, the inner one once."""
        left, right = ([hint(s) for s in part.node.shape] for part in parts[k : k + 2])
        return math.prod(left) * math.prod(right[1:])

    while len(parts) > 1:
        k = min(range(len(parts) - 1), key=cost)
        parts[k : k + 2] = [parts[k] @ parts[k + 1]]
    return parts[0]


def _vector_norm(x: Node, axes: tuple[int, ...], order: Any, keepdims: bool) -> Node:
    if order in (None, 2):
        return build.norm(x, axes, 2.0, keepdims)
    if isinstance(order, str):
        raise TraceError(f"np.linalg.norm: the order {order!r} is for matrices")
    return build.norm(x, axes, float(order), keepdims)


@row(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    (node,) = _real(x)
    if axis is None and (ord is None or (ord == 2 and node.ndim == 1) or (ord == "fro" and node.ndim == 2)):
        return wrap(build.norm(node, tuple(range(node.ndim)), 2.0, keepdims))
    axes = axes_of(axis, node.ndim)
    if len(axes) == 1:
        return wrap(_vector_norm(node, axes, ord, keepdims))
    if len(axes) != 2:
        raise ShapeError("Improper number of dimensions to norm.")
    return wrap(_matrix_norm(node, tuple(axis_of(a, node.ndim) for a in axis) if axis is not None else (0, 1), ord, keepdims))


def _matrix_norm(x: Node, axes: tuple[int, ...], order: Any, keepdims: bool) -> Node:
    rows, columns = axes
    if order in (None, "fro", "f"):
        return build.norm(x, tuple(sorted(axes)), 2.0, keepdims)
    if order in (1, -1, math.inf, -math.inf):
        inner, outer = (rows, columns) if abs(order) == 1 else (columns, rows)
        sums = build.reduce("sum", f.abs(x), (inner,), True)
        result = build.reduce("max" if order > 0 else "min", sums, (outer,), True)
        kept = tuple(1 if k in axes else s for k, s in enumerate(x.shape))
        return build.reshape(result, kept if keepdims else tuple(s for k, s in enumerate(x.shape) if k not in axes))
    if order not in (2, -2, "nuc"):
        raise ValueError(f"Invalid norm order {order!r} for matrices.")
    values = f.singular_values(build.moveaxis(build.moveaxis(x, columns, x.ndim - 1), rows - (rows > columns), x.ndim - 2))
    place = 0 if order == 2 else -1  # they are sorted
    result = build.reduce("sum", values, (values.ndim - 1,)) if order == "nuc" else build.index(values, (..., place))
    return build.reshape(result, tuple(1 if k in axes else s for k, s in enumerate(x.shape))) if keepdims else result


@row(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    (node,) = _real(x)
    return wrap(_vector_norm(node, axes_of(axis, node.ndim), ord, keepdims))


@row(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    (node,) = _real(x)
    return wrap(_matrix_norm(node, (node.ndim - 2, node.ndim - 1), ord, keepdims))
