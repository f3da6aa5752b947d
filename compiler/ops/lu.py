"""LU factors of square matrices, by LAPACK through SciPy: what systems, inverses and determinants of one matrix share.

Programs get these ops when they are compiled (`compiler.shared_factors`), after they were differentiated.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir import constant, f, make
from ..op import Names, Op, declare
from ..scipy_extensions import lapack
from .linalg import REAL, check_square, each_matrix, of_stacks

if TYPE_CHECKING:
    from ..ir import Node
    from ..op import Aval

__all__ = ["lu_detsign", "lu_logabsdet"]

HIDDEN = "it is made of differentiated programs"


def _factors_shape(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    (x,) = inputs
    check_square(x, "an LU factorisation")
    return (*x.shape[:-2], x.shape[-1] + 1, x.shape[-1]), x.dtype


def _inverse_shape(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    (x,) = inputs
    return (*x.shape[:-2], x.shape[-1], x.shape[-1]), x.dtype


def _solution_shape(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    return inputs[1].shape, inputs[1].dtype


def _lu(x: Any) -> Any:
    n = x.shape[-1]

    def factors(matrix: Any) -> Any:
        made = np.empty((n + 1, n), x.dtype)
        if n:
            made[:n] = matrix
            _, pivots, _ = lapack(x.dtype, "getrf")(made[:n].T, overwrite_a=True)  # in place: the transpose is in Fortran's order
            made[n] = pivots
        return made

    found = each_matrix(factors, x)
    return np.empty((*x.shape[:-2], n + 1, n), x.dtype) if found is None else found


def _regular(factors: Any) -> Any:
    """The factors in LAPACK's order and the pivots.

    Raises:
        LinAlgError: the matrix is singular.
    """
    n = factors.shape[1]
    if not np.all(np.diagonal(factors)):
        raise np.linalg.LinAlgError("Singular matrix")
    return factors[:n].T, np.clip(factors[n], 0, n - 1).astype(np.int32)  # LAPACK would write where any number points


def _lu_solve(lu: Any, b: Any, *, transposed: bool) -> Any:
    def solution(factors: Any, right: Any) -> Any:
        matrix, pivots = _regular(factors)
        return lapack(b.dtype, "getrs")(matrix, pivots, right, trans=0 if transposed else 1)[0]

    found = each_matrix(solution, lu, b) if b.size else None
    return np.empty(b.shape, b.dtype) if found is None else found


def _lu_inverse(lu: Any) -> Any:
    def inverse(factors: Any) -> Any:
        return lapack(lu.dtype, "getri")(*_regular(factors))[0].T

    shape = (*lu.shape[:-2], lu.shape[-1], lu.shape[-1])
    found = each_matrix(inverse, lu) if lu.size else None
    return np.empty(shape, lu.dtype) if found is None else found


def _diagonal(lu: Node) -> Node:
    *lead, _, n = lu.shape
    square = f.slice(lu, start=(0,) * lu.ndim, step=(1,) * lu.ndim, shape=(*lead, n, n))
    return f.diagonal(square, roles=(*range(len(lead)), len(lead), len(lead)))


def lu_logabsdet(lu: Node) -> Node:
    """The logarithm of |determinant|, from the factors."""
    return f.sum(f.log(f.abs(_diagonal(lu))), axes=(lu.ndim - 2,))


def lu_detsign(lu: Node) -> Node:
    """The sign of the determinant: 1, -1 or 0; nan where a factor is."""
    *lead, n, _ = (*lu.shape[:-2], lu.shape[-1], 0)
    last = f.slice(lu, start=(*(0 for _ in lead), n, 0), step=(1,) * lu.ndim, shape=(*lead, 1, n))
    pivots = f.reshape(last, shape=(*lead, n))
    place = f.cast(make("iota", shape=pivots.shape, dtype=np.dtype(np.int64), axis=len(lead)), dtype=lu.dtype.name)
    one = constant(1.0, lu.dtype, pivots.shape)
    turns = f.where(f.eq(pivots, place), one, f.neg(one))
    return f.prod(turns * f.sign(_diagonal(lu)), axes=(len(lead),))


# LU factors of the transpose of x as LAPACK packs them (of x itself where its memory is read by columns), and its pivots, counted
# from 0, in one row more
declare(Op(name="lu", kind="opaque", arity=1, batch=of_stacks, infer=_factors_shape, dtypes=REAL, cost=1000.0, evaluate=_lu,
           not_differentiable=HIDDEN, names=Names("lu", r"\operatorname{{lu}}\left({0}\right)", "lu({0})")))
# x^-1 b, or x^-T b where `transposed`, of the factors of x
declare(Op(name="lu_solve", kind="opaque", arity=2, params=("transposed",), batch=of_stacks, infer=_solution_shape, dtypes=REAL, cost=500.0,
           evaluate=_lu_solve, not_differentiable=HIDDEN,
           names=Names("lu_solve", r"\operatorname{{solve}}\left({0}, {1}\right)", "lu_solve({0}, {1})")))
# x^-1 of the factors of x
declare(Op(name="lu_inverse", kind="opaque", arity=1, batch=of_stacks, infer=_inverse_shape, dtypes=REAL, cost=1000.0, evaluate=_lu_inverse,
           not_differentiable=HIDDEN, names=Names("lu_inverse", r"\operatorname{{inverse}}\left({0}\right)", "lu_inverse({0})")))
