"""How functions of matrices are read: a solution by an inverse, cofactors by a determinant and an inverse."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..ir import Node
from ..op import get
from .algebra import Table
from .terms import Index, Label, Lambda, Term, axes

__all__ = ["READERS"]


class Reader(Protocol):
    """The terms of nodes that are read already."""

    table: Table

    def __getitem__(self, node: Node) -> Term: ...

    def moved(self, node: Node, indices: Sequence[Index]) -> Term:
        """The element of a node at indices."""


def solve(r: Reader, node: Node) -> Term:
    """The solution of a x = b is written a**-1 b."""
    return _solution(r, node, Lambda(axes(node.inputs[0].shape), r[node.inputs[0]]))


def _solution(r: Reader, node: Node, matrix: Lambda) -> Term:
    a, b = node.inputs
    *batch, row, column = axes(node.shape)
    inner = r.table.fresh(row.size)
    inverse = r.table.call(get("inverse"), [matrix], (), a.shape, [*batch, row, inner])
    return r.table.mul(inverse, r.moved(b, [*batch, inner, column]), bound=[inner])


def cofactor(r: Reader, node: Node) -> Term:
    """The cofactors of an invertible matrix are det(x) * x**-T."""
    (x,) = node.inputs
    *batch, row, column = axes(node.shape)
    array = [Lambda(axes(x.shape), r[x])]
    inverse = r.table.call(get("inverse"), array, (), x.shape, [*batch, column, row])
    return r.table.mul(r.table.call(get("det"), array, (), x.shape[:-2], batch), inverse)


def triangular_solve(r: Reader, node: Node) -> Term:
    """As `solve`, with the triangle that counts."""
    a, _ = node.inputs
    lower = node.param("triangle") == "lower"
    *batch, row, column = axes(a.shape)
    body = r[a]
    if _triangle(a) != node.param("triangle"):
        below = r.table.apply("lt", tuple(map(r.table.position, (column, row) if lower else (row, column))))
        on = r.table.delta(row, column)
        diagonal = r.table.one if node.param("diagonal") == "ones" else body
        body = on * diagonal + r.table.apply("where", (below, body, r.table.zero))
    return _solution(r, node, Lambda((*batch, row, column), body))


def _triangle(node: Node) -> str:
    """Which triangle of a matrix is all of it, as far as its op says."""
    turned = False
    while node.op.name == "permute" and node.param("order") == (*range(node.ndim - 2), node.ndim - 1, node.ndim - 2):
        turned, (node,) = not turned, node.inputs
    return {"lower": "upper", "upper": "lower"}.get(node.op.triangle, "") if turned else node.op.triangle


def cofactor_change(r: Reader, node: Node) -> Term:
    """det(x) * (tr(x**-1 e) x**-T - x**-T e.T x**-T), for an invertible matrix."""
    x, _ = node.inputs
    *batch, row, column = axes(node.shape)
    array = [Lambda(axes(x.shape), r[x])]
    i, j = (r.table.fresh(row.size) for _ in range(2))

    def inverse(left: Label, right: Label) -> Term:
        return r.table.call(get("inverse"), array, (), x.shape, [*batch, left, right])

    along = r.moved(node.inputs[1], [*batch, i, j])
    first = r.table.mul(inverse(j, i), inverse(column, row), along, bound=[i, j])
    second = r.table.mul(inverse(j, row), inverse(column, i), along, bound=[i, j])
    return r.table.mul(r.table.call(get("det"), array, (), x.shape[:-2], batch), first - second)


READERS = {"solve": solve, "triangular_solve": triangular_solve, "cofactor": cofactor, "cofactor_change": cofactor_change}
