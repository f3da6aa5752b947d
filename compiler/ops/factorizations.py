"""Factorisations of (stacks of) real matrices, evaluated by LAPACK, and what is computed with them.

Every op gives one factor; ops on the same matrix agree in signs, since LAPACK is deterministic. Derivatives: Giles,
"Collected matrix derivative results for forward and reverse mode algorithmic differentiation", 2008; of QR: Walter and
Lehmann, "Algorithmic differentiation of linear algebra functions", 2010; of pseudo-inverses: Golub and Pereyra, 1973.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import sizes
from ..errors import ShapeError
from ..ir import constant, f, make
from ..op import Names, Op, declare
from ..scipy_extensions import lapack
from .linalg import REAL, check_square, each_matrix, matrix_product as mm, matrix_transpose as mt, of_stacks, solution_shape
from .reduction import expand_back
from .rules import aval_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ir import Node
    from ..op import Aval


# ---------------------------------------------------------------- parts of matrices
def _triangle(x: Node, lower: bool, diagonal: float) -> Node:
    """One triangle of square matrices, with zeros on the other side and the diagonal times a number."""
    row, column = (make("iota", shape=x.shape, dtype=np.dtype(np.int64), axis=k) for k in (x.ndim - 2, x.ndim - 1))
    zero = constant(0, x.dtype, x.shape)
    on = zero if diagonal == 0 else x if diagonal == 1 else x * diagonal
    return f.where(f.lt(column, row) if lower else f.gt(column, row), x, f.where(f.eq(column, row), on, zero))


def _diagonal(x: Node) -> Node:
    """The diagonals of square matrices, as a last axis."""
    on = f.eq(*(make("iota", shape=x.shape, dtype=np.dtype(np.int64), axis=k) for k in (x.ndim - 2, x.ndim - 1)))
    return f.sum(f.where(on, x, constant(0, x.dtype, x.shape)), axes=(x.ndim - 1,))


def _columns(values: Node, like: Node) -> Node:
    """(..., k) as (..., n, k): the same numbers in every row."""
    return expand_back(values, like, (like.ndim - 2,))


def _rows(values: Node, like: Node) -> Node:
    """(..., n) as (..., n, k): the same numbers in every column."""
    return expand_back(values, like, (like.ndim - 1,))


def _gaps(values: Node, like: Node) -> Node:
    """1 / (values[j] - values[i]), and 0 on the diagonal."""
    row, column = (make("iota", shape=like.shape, dtype=np.dtype(np.int64), axis=k) for k in (like.ndim - 2, like.ndim - 1))
    same = f.eq(row, column)
    gap = f.where(same, constant(1, like.dtype, like.shape), _columns(values, like) - _rows(values, like))
    return f.where(same, constant(0, like.dtype, like.shape), f.reciprocal(gap))


def _symmetric(x: Node) -> Node:
    return (x + mt(x)) * 0.5


# ---------------------------------------------------------------- shapes
def _square(what: str) -> Callable[[tuple[Node, ...], dict[str, Any]], Aval]:
    def infer(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
        check_square(inputs[0], what)
        return inputs[0].shape, inputs[0].dtype

    return infer


def _eigenvalues_shape(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    check_square(inputs[0], "an eigenvalue decomposition")
    return inputs[0].shape[:-1], inputs[0].dtype


def _factor(rows: bool, columns: bool) -> Callable[[tuple[Node, ...], dict[str, Any]], Aval]:
    """Shapes of factors of (m, n) matrices: m rows or min(m, n), n columns or min(m, n); without either, a vector."""
    def infer(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
        (x,) = inputs
        if x.ndim < 2:
            raise ShapeError(f"a factorisation needs matrices, not {aval_text(x)}")
        *lead, m, n = x.shape
        k = sizes.minimum(m, n)
        shape = (k,) if not rows and not columns else (m if rows else k, n if columns else k)
        return (*lead, *shape), x.dtype

    return infer


def _transposed_shape(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    (x,) = inputs
    if x.ndim < 2:
        raise ShapeError(f"a pseudo-inverse needs matrices, not {aval_text(x)}")
    return (*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype


# ---------------------------------------------------------------- Cholesky, triangular systems
def _cholesky_tangent(y: Node, position: int, dx: Node) -> Node:
    """L Φ(L^-1 dA L^-T), Φ the lower triangle with half the diagonal (Giles 4.1)."""
    inner = f.triangular_solve(y, _symmetric(dx), triangle="lower", diagonal="given")
    inner = f.triangular_solve(y, mt(inner), triangle="lower", diagonal="given")
    return mm(y, _triangle(inner, True, 0.5))


def _cholesky(x: Any) -> Any:
    """By SciPy's LAPACK on the calling thread: the threads of NumPy's wait for each other by spinning, where a machine is busy."""
    def factor(matrix: Any) -> Any:
        upper, failed = lapack(x.dtype, "potrf")(matrix.T, lower=False, clean=True)  # the transpose is in Fortran's order
        if failed:
            raise np.linalg.LinAlgError("Matrix is not positive definite")
        return upper.T

    found = each_matrix(factor, x) if x.size else None
    return np.empty_like(x) if found is None else found


declare(Op(name="cholesky", kind="opaque", arity=1, batch=of_stacks, infer=_square("a Cholesky factorisation"), dtypes=REAL, cost=1000.0,
           triangle="lower", evaluate=_cholesky, tangent=_cholesky_tangent,
           names=Names("cholesky", r"\operatorname{{chol}}\left({0}\right)", "cholesky({0})", "np.linalg.cholesky({0})")))


def _triangular_solve(a: Any, b: Any, *, triangle: str, diagonal: str) -> Any:
    from scipy.linalg import get_blas_funcs

    if not b.size:
        return np.zeros_like(b)
    solver = get_blas_funcs("trsm", (a, b))
    stacks = zip(a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:]), strict=True)
    solutions = [solver(1.0, x, y, lower=triangle == "lower", diag=diagonal == "ones") for x, y in stacks]
    return np.stack(solutions).reshape(b.shape).astype(b.dtype, copy=False)


def _triangular_tangent(y: Node, position: int, dx: Node) -> Node:
    """-A^-1 dA X, of the triangle of dA (Giles 2.3.1)."""
    params = y.named_params
    if position == 1:
        return f.triangular_solve(y.inputs[0], dx, **params)
    part = _triangle(dx, params["triangle"] == "lower", 0.0 if params["diagonal"] == "ones" else 1.0)
    return f.neg(f.triangular_solve(y.inputs[0], mm(part, y), **params))


def _triangular_transpose(ct: Node, node: Node, position: int) -> Node | None:
    if position == 0:
        return None
    other = "upper" if node.param("triangle") == "lower" else "lower"
    return f.triangular_solve(mt(node.inputs[0]), ct, triangle=other, diagonal=node.param("diagonal"))


def _general_solve(triangle: str, diagonal: str) -> str:
    """NumPy has no routine for triangular matrices."""
    cut = f"np.tri{triangle[0]}"
    if diagonal == "given":
        return f"np.linalg.solve({cut}({{0}}), {{1}})"
    below = -1 if triangle == "lower" else 1
    return f"np.linalg.solve({cut}({{0}}, {below}) + np.eye({{0}}.shape[-1], dtype={{0}}.dtype), {{1}})"


# a^-1 b, a being the "lower" or "upper" triangle of a matrix with its diagonal as "given", or of "ones"
declare(Op(name="triangular_solve", kind="opaque", arity=2, params=("triangle", "diagonal"), batch=of_stacks, infer=solution_shape,
           dtypes=REAL, cost=500.0, evaluate=_triangular_solve, tangent=_triangular_tangent,
           transpose=_triangular_transpose,
           names=Names("TriangularSolve", "{0}^{{-1}} {1}", "solve_triangular({0}, {1})", exported=_general_solve)))


# ---------------------------------------------------------------- eigenvalues of symmetric matrices
def _eigenvalues_tangent(y: Node, position: int, dx: Node) -> Node:
    """diag(U^T dA U) (Giles 3.1)."""
    u = f.eigenvectors(y.inputs[0])
    return _diagonal(mm(mt(u), mm(_symmetric(dx), u)))


def _eigenvectors_tangent(y: Node, position: int, dx: Node) -> Node:
    """U (F ∘ U^T dA U), F[i, j] = 1 / (w[j] - w[i]) (Giles 3.1)."""
    inner = mm(mt(y), mm(_symmetric(dx), y))
    return mm(y, _gaps(f.eigenvalues(y.inputs[0]), inner) * inner)


declare(Op(name="eigenvalues", kind="opaque", arity=1, batch=of_stacks, infer=_eigenvalues_shape, dtypes=REAL, cost=3000.0,
           evaluate=lambda x: np.linalg.eigh(x).eigenvalues, tangent=_eigenvalues_tangent,
           names=Names("eigenvalues", r"\lambda\left({0}\right)", "eigvalsh({0})", "np.linalg.eigvalsh({0})")))
declare(Op(name="eigenvectors", kind="opaque", arity=1, batch=of_stacks, infer=_square("an eigenvalue decomposition"), dtypes=REAL,
           cost=3000.0, evaluate=lambda x: np.linalg.eigh(x).eigenvectors, tangent=_eigenvectors_tangent,
           orthonormal="both",
           names=Names("eigenvectors", r"\operatorname{{eig}}\left({0}\right)", "eigh({0})[1]", "np.linalg.eigh({0})[1]")))


# ---------------------------------------------------------------- singular values
def _svd(x: Any) -> Any:
    return np.linalg.svd(x, full_matrices=False)


def _singular_values_tangent(y: Node, position: int, dx: Node) -> Node:
    """diag(U^T dA V) (Giles 3.2)."""
    (x,) = y.inputs
    return _diagonal(mm(mt(f.left_singular_vectors(x)), mm(dx, mt(f.right_singular_vectors(x)))))


def _singular_vectors_tangent(x: Node, u: Node, v: Node, dx: Node) -> Node:
    """For x = U S V^T, dU = U (F ∘ (P S + S P^T)) + (dA V - U P) S^-1, P = U^T dA V, F[i, j] = 1 / (s[j]² - s[i]²)."""
    s = f.singular_values(x)
    moved = mm(dx, v)
    p = mm(mt(u), moved)
    turned = mm(u, _gaps(f.square(s), p) * (p * _columns(s, p) + _rows(s, p) * mt(p)))
    return turned + (moved - mm(u, p)) / _columns(s, u)


def _left_tangent(y: Node, position: int, dx: Node) -> Node:
    (x,) = y.inputs
    return _singular_vectors_tangent(x, y, mt(f.right_singular_vectors(x)), dx)


def _right_tangent(y: Node, position: int, dx: Node) -> Node:
    """The left vectors of the transpose."""
    (x,) = y.inputs
    return mt(_singular_vectors_tangent(x, mt(y), f.left_singular_vectors(x), mt(dx)))


declare(Op(name="singular_values", kind="opaque", arity=1, batch=of_stacks, infer=_factor(False, False), dtypes=REAL, cost=5000.0,
           evaluate=lambda x: _svd(x).S, tangent=_singular_values_tangent,
           names=Names("singular_values", r"\sigma\left({0}\right)", "svdvals({0})", "np.linalg.svdvals({0})")))
declare(Op(name="left_singular_vectors", kind="opaque", arity=1, batch=of_stacks, infer=_factor(True, False), dtypes=REAL, cost=5000.0,
           evaluate=lambda x: _svd(x).U, tangent=_left_tangent,
           orthonormal="columns",
           names=Names("left_singular_vectors", r"U\left({0}\right)", "svd({0})[0]", "np.linalg.svd({0}, full_matrices=False)[0]")))
declare(Op(name="right_singular_vectors", kind="opaque", arity=1, batch=of_stacks, infer=_factor(False, True), dtypes=REAL, cost=5000.0,
           evaluate=lambda x: _svd(x).Vh, tangent=_right_tangent,
           orthonormal="rows",
           names=Names("right_singular_vectors", r"V^{{\mathsf T}}\left({0}\right)", "svd({0})[2]",
                       "np.linalg.svd({0}, full_matrices=False)[2]")))


# ---------------------------------------------------------------- QR, of matrices with at least as many rows as columns
def _qr_shape(rows: bool) -> Callable[[tuple[Node, ...], dict[str, Any]], Aval]:
    def infer(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
        (x,) = inputs
        m, n = x.shape[-2:] if x.ndim > 1 else (0, 1)
        if isinstance(m, int) and isinstance(n, int) and m < n:  # of other sizes the tracing of `qr` has asked
            raise ShapeError(f"a QR factorisation needs matrices with at least as many rows as columns, not {aval_text(x)}")
        return (x.shape if rows else (*x.shape[:-2], x.shape[-1], x.shape[-1])), x.dtype

    return infer


def _qr_parts(q: Node, r: Node, dx: Node) -> tuple[Node, Node, Node]:
    """(dA R^-1, Q^T dA R^-1, its lower triangle made skew)."""
    quotient = mt(f.triangular_solve(mt(r), mt(dx), triangle="lower", diagonal="given"))
    inner = mm(mt(q), quotient)
    lower = _triangle(inner, True, 0.0)
    return quotient, inner, lower - mt(lower)


def _qr_q_tangent(y: Node, position: int, dx: Node) -> Node:
    quotient, inner, skew = _qr_parts(y, f.qr_r(y.inputs[0]), dx)
    return quotient - mm(y, inner) + mm(y, skew)


def _qr_r_tangent(y: Node, position: int, dx: Node) -> Node:
    _, inner, skew = _qr_parts(f.qr_q(y.inputs[0]), y, dx)
    return mm(inner - skew, y)


declare(Op(name="qr_q", kind="opaque", arity=1, batch=of_stacks, infer=_qr_shape(True), dtypes=REAL, cost=2000.0,
           evaluate=lambda x: np.linalg.qr(x).Q, tangent=_qr_q_tangent,
           orthonormal="columns",
           names=Names("qr_q", r"Q\left({0}\right)", "qr({0})[0]", "np.linalg.qr({0})[0]")))
declare(Op(name="qr_r", kind="opaque", arity=1, batch=of_stacks, infer=_qr_shape(False), dtypes=REAL, cost=2000.0,
           triangle="upper", evaluate=lambda x: np.linalg.qr(x).R, tangent=_qr_r_tangent,
           names=Names("qr_r", r"R\left({0}\right)", "qr({0})[1]", "np.linalg.qr({0})[1]")))


# ---------------------------------------------------------------- pseudo-inverses
def _pseudo_inverse_tangent(y: Node, position: int, dx: Node) -> Node:
    """-A⁺ dA A⁺ + A⁺ A⁺ᵀ dAᵀ (I - A A⁺) + (I - A⁺ A) dAᵀ A⁺ᵀ A⁺, of matrices whose rank does not change."""
    (x,) = y.inputs
    turned, yt = mt(dx), mt(y)
    first = mm(mm(y, yt), turned)
    second = mm(turned, mm(yt, y))
    return f.neg(mm(mm(y, dx), y)) + (first - mm(mm(first, x), y)) + (second - mm(y, mm(x, second)))


declare(Op(name="pseudo_inverse", kind="opaque", arity=1, batch=of_stacks, infer=_transposed_shape, dtypes=REAL, cost=6000.0,
           evaluate=lambda x: np.linalg.pinv(x, max(x.shape[-2:]) * np.finfo(x.dtype).eps), tangent=_pseudo_inverse_tangent,
           transposes=True,
           names=Names("pseudo_inverse", "{0}^{{+}}", "pinv({0})", "np.linalg.pinv({0}, rtol=None)")))


# ---------------------------------------------------------------- exponentials
def _blocks(diagonal: Node, corner: Node) -> Node:
    """[[diagonal, corner], [0, diagonal]]."""
    last = diagonal.ndim - 1
    zero = constant(0, diagonal.dtype, diagonal.shape)
    return f.concatenate(f.concatenate(diagonal, corner, axis=last), f.concatenate(zero, diagonal, axis=last), axis=last - 1)


def _corner(blocks: Node, like: Node) -> Node:
    start = (*(0 for _ in like.shape[:-1]), like.shape[-1])
    return f.slice(blocks, start=start, step=(1,) * like.ndim, shape=like.shape)


def _matrix_exp(x: Any) -> Any:
    from scipy.linalg import expm

    return np.asarray(expm(x) if x.size else x, x.dtype)


def _matrix_exp_change(x: Any, dx: Any) -> Any:
    n = x.shape[-1]
    blocks = np.concatenate([np.concatenate([x, dx], -1), np.concatenate([np.zeros_like(x), x], -1)], -2)
    return _matrix_exp(blocks)[..., :n, n:]


def _change_tangent(y: Node, position: int, dx: Node) -> Node:
    x, e = y.inputs
    if position == 1:
        return f.matrix_exp_change(x, dx)
    zero = constant(0, x.dtype, x.shape)
    return _corner(f.matrix_exp_change(_blocks(x, e), _blocks(dx, zero)), x)


declare(Op(name="matrix_exp", kind="opaque", arity=1, batch=of_stacks, infer=_square("an exponential"), dtypes=REAL, cost=5000.0,
           evaluate=_matrix_exp, tangent=lambda y, position, dx: f.matrix_exp_change(y.inputs[0], dx),
           transposes=True,
           names=Names("matrix_exp", "e^{{{0}}}", "expm({0})")))
# the derivative of e^x along dx, the corner of e^[[x, dx], [0, x]] (Higham, Functions of Matrices, 10.43); linear in dx
declare(Op(name="matrix_exp_change", kind="opaque", arity=2, batch=of_stacks, infer=solution_shape, dtypes=REAL, cost=20000.0,
           evaluate=_matrix_exp_change, tangent=_change_tangent,
           transpose=lambda ct, node, position: f.matrix_exp_change(mt(node.inputs[0]), ct) if position == 1 else None,
           names=Names("matrix_exp_change", r"D e^{{{0}}}\left[{1}\right]", "expm_frechet({0}, {1})")))
