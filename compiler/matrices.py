"""Whole Jacobians and Hessians as programs: a derivative along one direction, batched over all unit vectors at once.

The unit vectors are a delta, `embed` of ones, which rewriting contracts away: of a program of elementwise functions and products
of matrices nothing is left that has the axes of the basis beside all others (Laue, Mitterreiter, Giesen, AAAI 2020).
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

from .batch import batch
from .differentiate import jvp, ones_like, vjp, zeros_like
from .ir import Node, constant, f, make, rebuild

__all__ = ["forward_blocks", "hessian_blocks", "reverse_blocks"]

Derive = Callable[[Node], Sequence[Node | None]]


def _over_basis(like: Node, derive: Derive) -> list[Node | None]:
    """`derive(direction)` for all unit vectors of `like`'s space, whose axes come first; None where it is structurally zero."""
    direction = make("input", shape=like.shape, dtype=like.dtype, position=-1, name="direction")
    derived = derive(direction)
    made = [d for d in derived if d is not None]
    for axis in reversed(range(like.ndim)):
        several = make("input", shape=(like.shape[axis], *direction.shape), dtype=like.dtype, position=-1, name="direction")
        made, direction = batch(made, {direction: several}, like.shape[axis]), several
    axes = tuple(range(like.ndim))
    basis = f.embed(ones_like(like), roles=(*axes, *axes)) if axes else ones_like(like)
    found = iter(rebuild(made, {direction: basis}))
    return [None if d is None else next(found) for d in derived]


def _basis_last(block: Node, count: int) -> Node:
    """The first `count` axes, those of the basis, behind the others."""
    order = (*range(count, block.ndim), *range(count))
    return f.permute(block, order=order) if order != tuple(range(block.ndim)) else block


def _filled(block: Node | None, of: Node, by: Node) -> Node:
    return constant(0, of.dtype, (*of.shape, *by.shape)) if block is None else block


def reverse_blocks(outputs: Sequence[Node], wrt: Sequence[Node]) -> list[list[Node]]:
    """The derivative of each output by each of `wrt`, of shape out_shape + in_shape: a vjp for every element of the output."""
    rows = []
    for y in outputs:
        pulled = _over_basis(y, lambda ct, y=y: vjp([y], [ct], wrt))  # type: ignore[misc]
        rows.append([_filled(block, y, x) for block, x in zip(pulled, wrt, strict=True)])
    return rows


def forward_blocks(outputs: Sequence[Node], wrt: Sequence[Node]) -> list[list[Node]]:
    """The same as `reverse_blocks`, by a jvp for every element of each of `wrt`."""
    columns = []
    for x in wrt:
        pushed = _over_basis(x, lambda tangent, x=x: jvp(outputs, {x: tangent}))  # type: ignore[misc]
        columns.append([_filled(block and _basis_last(block, x.ndim), y, x) for block, y in zip(pushed, outputs, strict=True)])
    return [list(row) for row in zip(*columns, strict=True)]


def hessian_blocks(output: Node, wrt: Sequence[Node]) -> list[list[Node]]:
    """Second derivatives of a scalar by each pair of `wrt`: `[i][j]` has shape in_shape_i + in_shape_j.

    A Hessian is symmetric, so a block below the diagonal is the transpose of the one above it.
    """
    gradients = [zeros_like(x) if g is None else g for g, x in zip(vjp([output], [ones_like(output)], wrt), wrt, strict=True)]
    blocks: list[list[Node]] = [[] for _ in wrt]
    for j, x in enumerate(wrt):
        pushed = _over_basis(x, lambda tangent, j=j, x=x: jvp(gradients[:j + 1], {x: tangent}))  # type: ignore[misc]
        for i, block in enumerate(pushed[:j]):
            blocks[i].append(_filled(block and _basis_last(block, x.ndim), wrt[i], x))
        blocks[j] = [_filled(block, x, wrt[i]) for i, block in enumerate(pushed)]
    return blocks
