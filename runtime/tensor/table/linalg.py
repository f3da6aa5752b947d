"""`torch.linalg`: determinants, systems of equations, norms, products of several matrices."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node, f
from ..geometry import wrap_dim
from ..linear_algebra import LinAlgError, check_invertible, check_square, column_major, zero_pivots
from ..row import Call, call, composite, op, renamed
from ..tensor import Tensor, wrap_array
from .common import broadcast
from .results import return_type


# ---------------------------------------------------------------- determinants and inverses
@op("linalg_det", build=lambda a: f.det(a), backward="LinalgDetBackward0", saved="A", inputs="A", to="",
    derivative="LinalgSolveExBackward0")
def _det(A: Tensor) -> Call:
    check_square("linalg.det", A)
    return Call((A,), (), A._shape[:-2], A._dtype)


@op("linalg_slogdet", build=lambda a: (f.detsign(a), f.logabsdet(a)), backward="LinalgSlogdetBackward0", saved="A", inputs="A", to="",
    outputs=return_type("linalg_slogdet", "sign", "logabsdet"))
def _slogdet(A: Tensor) -> Call:
    check_square("linalg.slogdet", A)
    return Call((A,), (), (A._shape[:-2],) * 2, (A._dtype,) * 2)


@composite("det")
def _det_function(self: Tensor) -> Any:
    return call("linalg_det", self)


@composite("slogdet")
def _slogdet_function(self: Tensor) -> Any:
    return return_type("slogdet", "sign", "logabsdet")(*call("linalg_slogdet", self))


@composite("logdet")
def _logdet(self: Tensor) -> Any:
    """The logarithm of the determinant: nan where that is negative."""
    sign, logabsdet = call("linalg_slogdet", self)
    return call("where", call("eq", sign, -1.0), math.nan, logabsdet)


@composite("linalg_inv", to="")
def _inv(A: Tensor) -> Any:
    return call("inverse", A)


# ---------------------------------------------------------------- systems of equations
def _is_vector(a: Tensor, b: Tensor) -> bool:
    """Whether right-hand sides are (a stack of) vectors, not matrices."""
    return len(b._shape) == 1 or b._shape == a._shape[:-1]


def _aligned(a: Node, b: Node, vector: bool) -> tuple[Node, Node]:
    """Right-hand sides as matrices, and the leading axes of both the same."""
    if vector:
        b = build.expand_dims(b, [b.ndim])
    lead = build.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return build.broadcast_to(a, (*lead, *a.shape[-2:])), build.broadcast_to(b, (*lead, *b.shape[-2:]))


def _solve_node(a: Node, b: Node, vector: bool, left: bool) -> Node:
    if not left:
        return transposed(_solve_node(transposed(a), transposed(b), False, True))
    result = f.solve(*_aligned(a, b, vector))
    return build.squeeze(result, [result.ndim - 1]) if vector else result


def transposed(x: Node) -> Node:
    """Matrices with the last two axes exchanged."""
    return build.moveaxis(x, x.ndim - 1, x.ndim - 2)


@op("linalg_solve", build=_solve_node, backward="LinalgSolveExBackward0", saved="A result", inputs="A B", to="")
def _solve(A: Tensor, B: Tensor, *, left: bool = True) -> Call:
    check_square("linalg.solve", A)
    vector = _is_vector(A, B)
    rows, columns = (B._shape[-1], 1) if vector else B._shape[-2:]
    if (rows if left else columns) != A._shape[-1]:
        n = A._shape[-1]
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(f"linalg.solve: Incompatible shapes of A and B for the equation {equation} ({n}x{n} and {rows}x{columns})")
    for element in zero_pivots(A):
        where = f" (Batch element {element[0]}):" if len(A._shape) > 2 else ""
        raise LinAlgError(f"torch.linalg.solve:{where} The solver failed because the input matrix is singular.")
    lead = broadcast(A._shape[:-2], B._shape[:-1] if vector and len(B._shape) == 1 else B._shape[:-2 + vector])
    if vector:
        return Call((A, B), (True, left), (*lead, rows), A._dtype)
    shape = (*lead, rows, columns)
    return Call((A, B), (False, left), shape, A._dtype, column_major(shape) if left else None)


@composite("linalg_inv_ex", to="")
def _inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """The inverse, and whether it failed: 0, or the number of the pivot that is 0 (of the first such matrix)."""
    if check_errors:
        check_invertible("linalg.inv_ex", A)
    check_square("linalg.inv", A)
    info = np.zeros(A._shape[:-2], np.int32)
    for element, pivot in zero_pivots(A):
        info.flat[element] = pivot
    inverse = call("full_like", A, math.nan) if info.any() else call("inverse", A)
    return return_type("linalg_inv_ex", "inverse", "info")(inverse, wrap_array(info))


@composite("linalg_tensorinv", to="")
def _tensorinv(A: Tensor, ind: int = 2) -> Any:
    """The inverse of a tensor as a linear map from its last axes to its first `ind`."""
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind', but got " + str(ind))
    front, back = A._shape[:ind], A._shape[ind:]
    if math.prod(front) != math.prod(back):
        raise RuntimeError("Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
                           f"{math.prod(back)} != {math.prod(front)}")
    return call("reshape", call("inverse", call("reshape", A, math.prod(back), math.prod(front))), (*back, *front))


@composite("linalg_tensorsolve", to="")
def _tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Any:
    """X with `tensordot(A, X, X.ndim) = B`."""
    if dims is not None:
        A = call("movedim", A, list(dims), list(range(len(A._shape) - len(dims), len(A._shape))))
    back = A._shape[len(B._shape):]
    if math.prod(back) != B.numel():
        raise RuntimeError("Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), but "
                           f"got {math.prod(back)} != {B.numel()}")
    return call("reshape", call("linalg_solve", call("reshape", A, B.numel(), B.numel()), call("reshape", B, -1)), back)


# ---------------------------------------------------------------- norms
@composite("linalg_vector_norm", to="")
def _vector_norm(self: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    return call("norm_of", self, ord, dim, keepdim, dtype)


@composite("linalg_matrix_norm", to="")
def _matrix_norm(self: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None) -> Any:
    if len(self._shape) < 2:
        raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    rows, columns = (wrap_dim(d, len(self._shape)) for d in dim)
    if ord == "fro":
        return call("norm_of", self, 2, (rows, columns), keepdim, dtype)
    if ord in (1, -1, math.inf, -math.inf):
        inner, outer = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = call("sum", call("abs", self), inner, True, dtype=dtype)
        result = call("amax" if ord > 0 else "amin", sums, outer, True)
        return result if keepdim else call("squeeze", result, (rows, columns))
    if ord in (2, -2, "nuc"):
        from .factorizations import spectral_norm

        return spectral_norm(self, ord, keepdim, rows, columns)
    raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")


@composite("linalg_norm", to="")
def _norm(self: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    dims = (dim,) if isinstance(dim, int) else dim
    if ord is not None and (len(dims) == 2 if dims is not None else len(self._shape) == 2):
        return call("linalg_matrix_norm", self, ord, (-2, -1) if dims is None else dims, keepdim, dtype=dtype)
    if isinstance(ord, str) or (ord is not None and dims is None and len(self._shape) > 2):
        raise RuntimeError("linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
                           f"{len(self._shape)}D.")
    return call("norm_of", self, 2 if ord is None else ord, dims, keepdim, dtype)


# ---------------------------------------------------------------- products
@composite("matrix_power")
def _matrix_power(self: Tensor, n: int) -> Any:
    check_square("linalg.matrix_power", self)
    if n == 0:
        return call("expand_to", call("eye", self._shape[-1], dtype=self._dtype), self._shape).clone()
    if n == 1:
        return call("clone", self)
    if n < 0:
        self, n = call("inverse", self), -n
    result = None
    while n:
        if n & 1:
            result = self if result is None else call("matmul", result, self)
        n >>= 1
        if n:
            self = call("matmul", self, self)
    return result


@composite("linalg_matrix_power", to="")
def _linalg_matrix_power(self: Tensor, n: int) -> Any:
    return call("matrix_power", self, n)


@composite("linalg_multi_dot", to="")
def _multi_dot(tensors: Sequence[Tensor]) -> Any:
    """Multiplied in the order that takes the fewest multiplications."""
    parts = list(tensors)
    if len(parts) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors but got "
                           f"{len(parts)}")
    first, last = len(parts[0]._shape) == 1, len(parts[-1]._shape) == 1
    if first:
        parts[0] = call("unsqueeze", parts[0], 0)
    if last:
        parts[-1] = call("unsqueeze", parts[-1], -1)
    for k, part in enumerate(parts):
        if len(part._shape) != 2:
            raise RuntimeError(f"multi_dot(): tensor {k} must be 2D but got {len(part._shape)}D")
    result = _product(parts, _best_splits([parts[0]._shape[0], *(p._shape[1] for p in parts)]), 0, len(parts) - 1)
    if first:
        result = call("squeeze", result, 0)
    return renamed(call("squeeze", result, -1) if last else result, "ViewBackward0")


def _best_splits(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to split the product of matrices i to j, matrix k having `sizes[k]` rows and `sizes[k + 1]` columns."""
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    splits = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            costs = {s: cost[i, s] + cost[s + 1, j] + sizes[i] * sizes[s + 1] * sizes[j + 1] for s in range(i, j)}
            splits[i, j] = min(costs, key=costs.__getitem__)
            cost[i, j] = costs[splits[i, j]]
    return splits


def _product(parts: list[Tensor], splits: dict[tuple[int, int], int], i: int, j: int) -> Any:
    if i == j:
        return parts[i]
    s = splits[i, j]
    return call("matmul", _product(parts, splits, i, s), _product(parts, splits, s + 1, j))


@composite("linalg_matmul", to="")
def _matmul(self: Tensor, other: Tensor) -> Any:
    return call("matmul", self, other)


@composite("linalg_vander", to="")
def _vander(x: Tensor, *, N: int | None = None) -> Any:
    """Rising powers of each element, along a new last axis."""
    return call("vander", x, x._shape[-1] if N is None else N, True)


@composite("linalg_vecdot", to="")
def _vecdot(self: Tensor, other: Tensor, *, dim: int = -1) -> Any:
    if len(self._shape) == len(other._shape) == 1:
        return call("vdot", self, other)
    return call("sum", call("mul", self, other), dim)


@composite("linalg_cross", to="")
def _cross(self: Tensor, other: Tensor, *, dim: int = -1) -> Any:
    if len(self._shape) != len(other._shape):
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    return call("cross", self, other, dim)


@composite("linalg_diagonal", to="")
def _diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    return call("diagonal", A, offset, dim1, dim2)
