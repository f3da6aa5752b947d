"""`torch.linalg`: factorisations of matrices, and what is computed with them."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.errors import NotYetError
from ....compiler.ir import Node, f
from ...torch_types import NAMES
from ..linear_algebra import LinAlgError, check_square, column_major
from ..row import Call, call, composite, dtype_name, op, renamed
from ..tensor import Tensor, wrap_array
from .common import broadcast
from .linalg import transposed
from .results import return_type


def _check_matrix(name: str, a: Tensor, argument: str = "A") -> None:
    if len(a._shape) < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")


# ---------------------------------------------------------------- Cholesky, triangular systems
def _not_definite(array: Any, upper: bool) -> tuple[int, int] | None:
    """(number in the stack, order of the first leading minor that is not positive) of the first matrix that is not positive-definite."""
    for element, matrix in enumerate(array.reshape(-1, *array.shape[-2:])):
        kept = matrix.T if upper else matrix
        for order in range(1, len(kept) + 1):
            try:
                np.linalg.cholesky(kept[:order, :order])
            except np.linalg.LinAlgError:
                return element, order
    return None


@op("linalg_cholesky", build=lambda a, upper: transposed(f.cholesky(transposed(a))) if upper else f.cholesky(a),
    backward="LinalgCholeskyExBackward0", saved="result", inputs="A", to="")
def _cholesky(A: Tensor, *, upper: bool = False) -> Call:
    check_square("linalg.cholesky", A)
    found = None
    try:
        np.linalg.cholesky(A._array().swapaxes(-1, -2) if upper else A._array())
    except np.linalg.LinAlgError:
        found = _not_definite(A._array(), upper)
    if found is not None:
        where = f" (Batch element {found[0]}):" if len(A._shape) > 2 else ""
        raise LinAlgError(f"linalg.cholesky:{where} The factorization could not be completed because the input is not positive-definite "
                          f"(the leading minor of order {found[1]} is not positive-definite).")
    return Call((A,), (bool(upper),), A._shape, A._dtype, None if upper else column_major(A._shape))


@composite("cholesky")
def _cholesky_function(self: Tensor, upper: bool = False) -> Any:
    return call("linalg_cholesky", self, upper=upper)


def _triangular(a: Node, b: Node, upper: bool, left: bool, unit: bool) -> Node:
    if not left:
        return transposed(_triangular(transposed(a), transposed(b), not upper, True, unit))
    lead = build.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (build.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (a, b))
    return f.triangular_solve(a, b, triangle="upper" if upper else "lower", diagonal="ones" if unit else "given")


@op("linalg_solve_triangular", build=_triangular, backward="LinalgSolveTriangularBackward0", saved="self result", inputs="self B", to="")
def _solve_triangular(self: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Call:
    check_square("linalg.solve_triangular", self)
    _check_matrix("linalg.solve_triangular", B, "B")
    n, (rows, columns) = self._shape[-1], B._shape[-2:]
    if n != (rows if left else columns):
        raise RuntimeError(f"linalg.solve_triangular: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
                           f"({n}x{n} and {rows}x{columns})")
    shape = (*broadcast(self._shape[:-2], B._shape[:-2]), rows, columns)
    return Call((self, B), (bool(upper), bool(left), bool(unitriangular)), shape, B._dtype)


@composite("linalg_cholesky_ex", to="")
def _cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """The factor, and the order of the first leading minor that is not positive: 0 where the factorisation succeeded."""
    check_square("linalg.cholesky_ex", A)
    info = np.zeros(A._shape[:-2], np.int32)
    for element, matrix in enumerate(A._array().reshape(-1, *A._shape[-2:])):
        failed = _not_definite(matrix[None], upper)
        info.flat[element] = failed[1] if failed else 0
    made = call("full_like", A, math.nan) if info.any() and not check_errors else call("linalg_cholesky", A, upper=upper)
    return return_type("linalg_cholesky_ex", "L", "info")(made, wrap_array(info))


@composite("cholesky_inverse")
def _cholesky_inverse(self: Tensor, upper: bool = False) -> Any:
    """The inverse of the matrix that has this factor."""
    check_square("cholesky_inverse", self)
    one = call("expand_to", call("eye", self._shape[-1], dtype=self._dtype), self._shape)
    return renamed(call("cholesky_solve", one, self, upper), "CholeskyInverseBackward0")


@composite("triangular_solve")
def _triangular_solve(self: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False) -> Any:
    """Torch's former name of `linalg.solve_triangular`, with the matrices in the other order."""
    matrix = call("transpose", A, -2, -1) if transpose else A
    solution = call("linalg_solve_triangular", matrix, self, upper=upper != transpose, unitriangular=unitriangular)
    made = [renamed(x, "TriangularSolveBackward0") for x in (solution, call("clone", A))]
    return return_type("triangular_solve", "solution", "cloned_coefficient")(*made)


def _cholesky_solve(b: Node, factor: Node, upper: bool) -> Node:
    lower = transposed(factor) if upper else factor
    return _triangular(transposed(lower), _triangular(lower, b, False, True, False), True, True, False)


@op("cholesky_solve", build=_cholesky_solve, backward="CholeskySolveBackward0", saved="self input2 result", inputs="self input2")
def _cholesky_solve_rule(self: Tensor, input2: Tensor, upper: bool = False) -> Call:
    shape = (*broadcast(self._shape[:-2], input2._shape[:-2]), *self._shape[-2:])
    return Call((self, input2), (bool(upper),), shape, self._dtype)


# ---------------------------------------------------------------- eigenvalues, singular values, QR
def _eigh(a: Node, upper: bool) -> tuple[Node, Node]:
    a = transposed(a) if upper else a
    return f.eigenvalues(a), f.eigenvectors(a)


@op("linalg_eigh", build=_eigh, backward="LinalgEighBackward0", saved="result0 result1", inputs="A", to="",
    outputs=return_type("linalg_eigh", "eigenvalues", "eigenvectors"))
def _eigh_rule(A: Tensor, UPLO: str = "L") -> Call:
    check_square("linalg.eigh", A)
    return Call((A,), (UPLO == "U",), (A._shape[:-1], A._shape), (A._dtype,) * 2)


@composite("linalg_eigvalsh", to="")
def _eigvalsh(A: Tensor, UPLO: str = "L") -> Any:
    return call("linalg_eigh", A, UPLO)[0]


@op("svd_of", build=lambda a: (f.left_singular_vectors(a), f.singular_values(a), f.right_singular_vectors(a)),
    backward="LinalgSvdBackward0", saved="result0 result1 result2", inputs="A", to="",
    outputs=return_type("linalg_svd", "U", "S", "Vh"))
def _svd_of(A: Tensor) -> Call:
    _check_matrix("linalg.svd", A)
    *lead, m, n = A._shape
    k = min(m, n)
    return Call((A,), (), ((*lead, m, k), (*lead, k), (*lead, k, n)), (A._dtype,) * 3)


@composite("linalg_svd", to="")
def _svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    _check_matrix("linalg.svd", A)
    if not full_matrices or A._shape[-1] == A._shape[-2]:
        return call("svd_of", A)
    if A.requires_grad:
        raise NotYetError("linalg.svd: the full factors of matrices that are not square have no gradient; pass full_matrices=False")
    from ..create import as_tensor

    return return_type("linalg_svd", "U", "S", "Vh")(*(as_tensor(factor) for factor in np.linalg.svd(A._array())))


@composite("linalg_svdvals", to="")
def _svdvals(A: Tensor, *, driver: str | None = None) -> Any:
    return call("svd_of", A)[1]


def _qr_nodes(a: Node) -> tuple[Node, Node]:
    m = a.shape[-2]
    first = build.index(a, (..., slice(None), slice(0, m)))  # a wide matrix has the Q of its first columns
    q = f.qr_q(first)
    return q, f.qr_r(first) if first.shape == a.shape else build.triangle(build.matmul(transposed(q), a), 0, False)


@op("linalg_qr", build=_qr_nodes, backward="LinalgQrBackward0", saved="result0 result1", inputs="A", to="",
    outputs=return_type("linalg_qr", "Q", "R"))
def _qr(A: Tensor, mode: str = "reduced") -> Call:
    _check_matrix("linalg.qr", A)
    *lead, m, n = A._shape
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'")
    if mode != "reduced" and m > n:
        raise NotYetError(f"linalg.qr: the mode {mode!r} is not supported for matrices with more rows than columns; use 'reduced'")
    k = min(m, n)
    return Call((A,), (), ((*lead, m, k), (*lead, k, n)), (A._dtype,) * 2)


# ---------------------------------------------------------------- pseudo-inverses, least squares, ranks
@op("linalg_pinv", build=lambda a: f.pseudo_inverse(a), backward="LinalgPinvBackward0", saved="self result", to="")
def _pinv(self: Tensor) -> Call:
    _check_matrix("linalg.pinv", self)
    *lead, m, n = self._shape
    return Call((self,), (), (*lead, n, m), self._dtype)


@composite("pinverse")
def _pinverse(self: Tensor) -> Any:
    return call("linalg_pinv", self)


@composite("linalg_lstsq", to="")
def _lstsq(self: Tensor, b: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """Solutions of least squares; the other results are those of matrices of full rank."""
    if len(self._shape) < 2:
        raise RuntimeError("torch.linalg.lstsq: input must have at least 2 dimensions.")
    if b._shape[-2 if len(b._shape) > len(self._shape) - 1 else -1] != self._shape[-2]:
        raise RuntimeError("torch.linalg.lstsq: input.size(-2) should match other.size(-2)")
    solution = renamed(call("matmul", call("linalg_pinv", self), b), "LinalgLstsqBackward0")
    rank = call("linalg_matrix_rank", self)
    m, n = self._shape[-2:]
    nothing = call("zeros_like", call("narrow", call("flatten", b), 0, 0, 0))
    residuals = call("sum", call("square", call("sub", call("matmul", self, solution), b)), -2) if m > n else nothing
    return return_type("linalg_lstsq", "solution", "residuals", "rank", "singular_values")(solution, residuals, rank, nothing)


@op("linalg_matrix_rank", build=lambda a, tolerance: _rank(a, tolerance), inputs="A", to="")
def _matrix_rank(A: Tensor, *, rtol: float | None = None, hermitian: bool = False) -> Call:
    _check_matrix("linalg.matrix_rank", A)
    tolerance = max(A._shape[-2:]) * float(np.finfo(dtype_name(A._dtype)).eps) if rtol is None else float(rtol)
    return Call((A,), (tolerance,), A._shape[:-2], NAMES["int64"])


def _rank(a: Node, tolerance: float) -> Node:
    s = f.singular_values(a)
    largest = build.reduce("max", s, (s.ndim - 1,), True)
    return build.reduce("sum", build.cast(f.gt(*build.broadcast(s, largest * tolerance)), np.int64), (s.ndim - 1,), False)


@composite("linalg_cond", to="")
def _cond(self: Tensor, p: Any = None) -> Any:
    if p in (None, 2, -2):
        s = call("linalg_svdvals", self)
        first, last = call("select", s, -1, 0), call("select", s, -1, s._shape[-1] - 1)
        return renamed(call("div", *((last, first) if p == -2 else (first, last))), "SqueezeBackward1")
    made = call("mul", call("linalg_matrix_norm", self, p), call("linalg_matrix_norm", call("inverse", self), p))
    return renamed(made, "NanToNumBackward0")


def spectral_norm(self: Tensor, order: Any, keepdim: bool, rows: int, columns: int) -> Any:
    """Norms of matrices by their singular values: the largest, the smallest, or the sum of all."""
    s = call("linalg_svdvals", call("movedim", self, (rows, columns), (-2, -1)))
    result = call({2: "amax", -2: "amin", "nuc": "sum"}[order], s, -1)
    for axis in sorted((rows, columns)) if keepdim else ():
        result = call("unsqueeze", result, axis)
    return renamed(result, "PermuteBackward0") if keepdim else result


# ---------------------------------------------------------------- exponentials
@op("matrix_exp", build=lambda a: f.matrix_exp(a), backward="LinalgMatrixExpBackward0", saved="self")
def _matrix_exp(self: Tensor) -> Call:
    check_square("linalg.matrix_exp", self)
    return Call((self,), (), self._shape, self._dtype)



@composite("linalg_matrix_exp", to="")
def _linalg_matrix_exp(A: Tensor) -> Any:
    return call("matrix_exp", A)
