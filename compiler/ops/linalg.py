"""Linear algebra on (stacks of) square matrices, evaluated by LAPACK through NumPy.

Derivatives: Giles, "Collected matrix derivative results for forward and reverse mode algorithmic differentiation",
2008.
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import sizes
from ..errors import ShapeError
from ..ir import f, make
from ..op import Names, Op, declare
from .reduction import expand_back
from .rules import aval_text

if TYPE_CHECKING:
    from ..ir import Node
    from ..op import Aval
    from ..sizes import Size

REAL = ("float",)


def matrix_transpose(x: Node) -> Node:
    """The last two axes exchanged."""
    return f.permute(x, order=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def matrix_product(x: Node, y: Node) -> Node:
    """(..., n, k) @ (..., k, m), the leading axes the same."""
    batch = "abcdefgh"[: x.ndim - 2]
    return f.contract(x, y, left=batch + "nk", right=batch + "km", out=batch + "nm")


def each_matrix(function: Any, *stacks: Any) -> Any:
    """A function of matrices for every matrix of stacks."""
    if stacks[0].ndim == 2:
        return function(*stacks)
    lead = stacks[0].shape[:-2]
    flat = [x.reshape(math.prod(lead), *x.shape[-2:]) for x in stacks]
    made = [function(*matrices) for matrices in zip(*flat, strict=True)]
    return np.array(made).reshape(*lead, *made[0].shape) if made else None


def of_stacks(node: Node, inputs: tuple[Node, ...], size: Size) -> Node:
    """How ops on stacks of matrices batch: a stack more."""
    return make(node.op, inputs, **node.named_params)


def check_square(x: Node, what: str) -> None:
    """Raises ShapeError for anything but (stacks of) square matrices."""
    if x.ndim < 2 or not sizes.equal(x.shape[-1], x.shape[-2]):
        raise ShapeError(f"{what} needs square matrices, not {aval_text(x)}")


def _same(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    check_square(inputs[0], "an inverse")
    return inputs[0].shape, inputs[0].dtype


def _scalar(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    check_square(inputs[0], "a determinant")
    return inputs[0].shape[:-2], inputs[0].dtype


def solution_shape(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    """The shape of a^-1 b, that of b."""
    a, b = inputs
    check_square(a, "solve")
    if b.ndim != a.ndim or not all(map(sizes.equal, a.shape[:-1], b.shape[:-1])):
        raise ShapeError(f"solve: {aval_text(a)} and {aval_text(b)} do not fit")
    return b.shape, b.dtype


def _inverse_traced(node: Node, dx: Node) -> Node:
    """trace(x^-1 dx), of each matrix."""
    x = node.inputs[0]
    return f.sum(matrix_transpose(f.inverse(x)) * dx, axes=(x.ndim - 2, x.ndim - 1))


def _cofactors(x: Any) -> Any:
    det = np.linalg.det(x)
    if np.all(np.isfinite(det) & (det != 0)):
        return det[..., None, None] * np.swapaxes(np.linalg.inv(x), -1, -2)
    u, s, vt = np.linalg.svd(x)
    ones = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([ones, s[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([ones, s[..., :0:-1]], -1), -1)[..., ::-1]
    sign = np.linalg.det(u) * np.linalg.det(vt)
    return sign[..., None, None] * ((u * (before * after)[..., None, :]) @ vt)


def _cofactor_change(x: Any, dx: Any) -> Any:
    """The derivative of the cofactors along dx: in the singular vectors, elements times the products of all but two singular values."""
    u, s, vt = np.linalg.svd(x)
    n = s.shape[-1]
    without = np.zeros((*s.shape, n), x.dtype)  # without[i, j]: the product of the singular values but i and j
    before = np.ones(s.shape[:-1], x.dtype)
    for i in range(n):
        between = np.cumprod(np.concatenate([before[..., None], s[..., i + 1: -1]], -1), -1)[..., : n - 1 - i]
        after = np.cumprod(np.concatenate([np.ones_like(s[..., :1]), s[..., : i + 1: -1]], -1), -1)[..., : n - 1 - i][..., ::-1]
        without[..., i, i + 1:] = between * after
        before = before * s[..., i]
    without += np.swapaxes(without, -1, -2)
    turned = np.swapaxes(u, -1, -2) @ dx @ np.swapaxes(vt, -1, -2)
    diagonal = without @ np.diagonal(turned, axis1=-2, axis2=-1)[..., None]
    inner = diagonal * np.eye(n, dtype=x.dtype) - without * np.swapaxes(turned, -1, -2)
    return (np.linalg.det(u) * np.linalg.det(vt))[..., None, None] * (u @ inner @ vt)


def _cofactor_change_tangent(y: Node, position: int, dx: Node) -> Node:
    """Of tr(x^-1 e) C - C e^T x^-T, along dx, for invertible x."""
    x, e = y.inputs
    if position == 1:
        return f.cofactor_change(x, dx)
    inverse, last = f.inverse(x), (x.ndim - 2, x.ndim - 1)
    first, second = matrix_product(inverse, dx), matrix_product(inverse, e)
    both = f.sum(matrix_transpose(first) * second, axes=last)
    trace = f.sum(matrix_transpose(inverse) * e, axes=last)
    here, there = f.cofactor(x), f.cofactor_change(x, dx)
    turned = matrix_transpose(second)
    return (expand_back(trace, x, last) * there - expand_back(both, x, last) * here - matrix_product(there, turned)
            + matrix_product(here, matrix_product(turned, matrix_transpose(first))))


def _sign(x: Any) -> Any:
    return np.linalg.slogdet(x).sign


# x^-1; dY = -Y dX Y (Giles 2.2.3)
declare(Op(name="inverse", kind="opaque", arity=1, batch=of_stacks, infer=_same, evaluate=np.linalg.inv, dtypes=REAL, cost=1000.0,
           tangent=lambda y, position, dx: f.neg(matrix_product(matrix_product(y, dx), y)),
           transposes=True,
           names=Names("Inverse", "{0}^{{-1}}", "inv({0})", "np.linalg.inv({0})")))
# a^-1 b; linear in b, dX = -A^-1 dA X in a (Giles 2.3.1)
declare(Op(name="solve", kind="opaque", arity=2, batch=of_stacks, infer=solution_shape, evaluate=np.linalg.solve, dtypes=REAL, cost=1000.0,
           tangent=lambda y, position, dx: f.neg(f.solve(y.inputs[0], matrix_product(dx, y))) if position == 0
           else f.solve(y.inputs[0], dx),
           transpose=lambda ct, node, position: (
               f.solve(matrix_transpose(node.inputs[0]), ct) if position == 1 else None),
           names=Names("Solve", "{0}^{{-1}} {1}", "solve({0}, {1})", exported="np.linalg.solve({0}, {1})")))
# |x|: d|x| = tr(cofactor(x)^T dx), which singular matrices have, too (Giles 2.2.4)
declare(Op(name="det", kind="opaque", arity=1, batch=of_stacks, infer=_scalar, evaluate=np.linalg.det, dtypes=REAL, cost=1000.0,
           tangent=lambda y, position, dx: f.sum(f.cofactor(y.inputs[0]) * dx, axes=(dx.ndim - 2, dx.ndim - 1)),
           transposes=True,
           names=Names("Determinant", r"\left\lvert {0} \right\rvert", "det({0})", "np.linalg.det({0})")))
# |x| x^-T, the matrix of cofactors, which singular matrices have, too
declare(Op(name="cofactor", kind="opaque", arity=1, batch=of_stacks, infer=_same, evaluate=_cofactors, dtypes=REAL, cost=2000.0,
           tangent=lambda y, position, dx: f.cofactor_change(y.inputs[0], dx),
           transposes=True,
           names=Names("cofactor", r"\operatorname{{cof}}\left({0}\right)", "cofactor({0})",
                       "np.linalg.det({0})[..., None, None]*np.swapaxes(np.linalg.inv({0}), -1, -2)")))
# dC = tr(x^-1 dx) C - C dx^T x^-T of the cofactors C, as polynomials of the elements of x; linear in dx, and its own adjoint
declare(Op(name="cofactor_change", kind="opaque", arity=2, batch=of_stacks, infer=solution_shape, evaluate=_cofactor_change, dtypes=REAL,
           cost=5000.0, tangent=_cofactor_change_tangent,
           transpose=lambda ct, node, position: f.cofactor_change(node.inputs[0], ct) if position == 1 else None,
           names=Names("cofactor_change", r"D \operatorname{{cof}}\left({0}\right)\left[{1}\right]", "cofactor_change({0}, {1})")))
# log ||x||: d log||x|| = tr(x^-1 dx)
declare(Op(name="logabsdet", kind="opaque", arity=1, batch=of_stacks, infer=_scalar, dtypes=REAL, cost=1000.0,
           evaluate=lambda x: np.linalg.slogdet(x).logabsdet, tangent=lambda y, position, dx: _inverse_traced(y, dx),
           transposes=True,
           names=Names("logabsdet", r"\log\left\lvert \det {0} \right\rvert", "logabsdet({0})",
                       "np.linalg.slogdet({0}).logabsdet")))
declare(Op(name="detsign", kind="opaque", arity=1, batch=of_stacks, infer=_scalar, evaluate=_sign, dtypes=REAL, cost=1000.0,
           not_differentiable="a sign is piecewise constant",
           transposes=True,
           names=Names("detsign", r"\operatorname{{sign}}\det {0}", "sign(det({0}))",
                       "np.linalg.slogdet({0}).sign")))
