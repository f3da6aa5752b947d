"""Sums over pairs as sums over half of them.

Where what a pair (i, j) adds is known to be what (j, i) adds, or the negative of it, a sum over all pairs is a sum over
those with j < i: the energy of a pair counts twice, and its force is added to i and taken from j. The pairs of an element
with itself are added apart. The values that are added are the same to the last bit, so that only the order of a sum changes.

It is done for all sums over the same pairs, or not at all: as long as one of them needs every pair, nothing is gained.
The masks that it writes are cut away from the loops by `peel`.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .ir import Graph, Node, constant, current, f, make, with_inputs
from .ops.rules import INT64
from .rewrite.symmetry import swapped
from .sizes import Size

__all__ = ["half_pairs"]

PAYS = 4.0  # additions that the values of a pair have to cost for each sum of half of them to pay


@dataclass(frozen=True)
class _Sum:
    """A sum over pairs, which are along axes `first` and `second` of what is summed, with `sign` when they are exchanged."""

    first: int
    second: int
    sign: int


def half_pairs(graph: Graph) -> Graph:
    """The graph, with sums over symmetric or antisymmetric pairs as sums over half of them; of linear time."""
    order = graph.nodes()
    sums = _found(order, graph.outputs) if any(n.op.name == "sum" for n in order) else {}
    if not sums:
        return graph
    done: dict[Node, Node] = {}
    before = current.sites
    try:
        for node in order:
            current.sites = node.sites
            inputs = tuple(done[i] for i in node.inputs)
            made = node if inputs == node.inputs else with_inputs(node, inputs)
            done[node] = _halved(made, sums[node]) if node in sums else made
    finally:
        current.sites = before
    return graph.with_outputs([done[n] for n in graph.outputs])


def _halved(node: Node, pairs: _Sum) -> Node:
    x, axes = node.inputs[0], node.param("axes")
    row, column = (make("iota", shape=x.shape, dtype=INT64, axis=axis) for axis in (pairs.first, pairs.second))
    zero = constant(0, x.dtype, x.shape)
    half = f.where(f.gt(row, column), x, zero)
    if pairs.first in axes:
        return f.sum(half, axes=axes) * 2.0 + f.sum(f.where(f.eq(row, column), x, zero), axes=axes)
    along_rows = f.sum(f.where(f.ge(row, column), x, zero), axes=axes)
    along_columns = f.sum(half, axes=tuple(sorted({*axes, pairs.first} - {pairs.second})))
    return along_rows + along_columns if pairs.sign > 0 else along_rows - along_columns


# ------------------------------------------------------------------------------------------------ which sums
def _pair_axes(node: Node) -> dict[Size, tuple[int, int]]:
    """The two axes of each size that a value has exactly two of."""
    found: dict[Size, list[int]] = {}
    for axis, size in enumerate(node.shape):
        if size != 1:
            found.setdefault(size, []).append(axis)
    return {size: (axes[0], axes[1]) for size, axes in found.items() if len(axes) == 2}


def _found(order: Sequence[Node], outputs: Sequence[Node]) -> dict[Node, _Sum]:
    """The sums to be halved: those of groups of values of pairs that are used for nothing else."""
    groups = _Groups()
    kept = set(outputs)
    pairs: dict[Node, dict[Size, tuple[int, int]]] = {}  # of values that are computed for each pair
    for node in order:
        if node.inputs and (node.op.kind in ("elementwise", "reduce") or (node.op.name == "expand" and pairs.get(node.inputs[0]))):
            own = pairs[node] = _pair_axes(node)
        else:  # only repeated, or something else
            own = {}
        for size in own:
            groups.add((node, size), node.op.cost)
            if node in kept:
                groups.spoil((node, size))
        for item in node.inputs:
            for size, axes in pairs.get(item, {}).items():
                if size in own:
                    groups.join((item, size), (node, size))
                else:
                    groups.sum((item, size), node, _as_sum(node, *axes))
    return groups.paying()


def _as_sum(node: Node, first: int, second: int) -> _Sum | None:
    """How a sum over the second, or both, of two axes is halved; None where it cannot be, or is something else."""
    if node.op.name != "sum" or node.dtype.kind != "f":
        return None
    axes = node.param("axes")
    if second not in axes or (first not in axes and any(k not in axes for k in range(first + 1, second))):
        return None
    found = swapped(node.inputs[0], first, second)
    if found is None or found[1] is not node.inputs[0] or not found[0] or (first in axes and found[0] < 0):
        return None
    return _Sum(first, second, found[0])


_Value = tuple[Node, Size]


class _Groups:
    """Values of pairs, in groups of those that are computed from each other, with the sums over them."""

    def __init__(self) -> None:
        self.parent: dict[_Value, _Value] = {}
        self.cost: dict[_Value, float] = {}
        self.sums: dict[_Value, dict[Node, _Sum]] = {}
        self.spoilt: set[_Value] = set()

    def add(self, value: _Value, cost: float) -> None:
        self.parent[value], self.cost[value] = value, cost

    def top(self, value: _Value) -> _Value:
        while (above := self.parent[value]) is not value:
            self.parent[value] = self.parent[above]
            value = above
        return value

    def join(self, value: _Value, other: _Value) -> None:
        self.parent[self.top(value)] = self.top(other)

    def spoil(self, value: _Value) -> None:
        self.spoilt.add(value)

    def sum(self, value: _Value, node: Node, found: _Sum | None) -> None:
        """What a node that is no value of pairs makes of one."""
        if found is None:
            self.spoil(value)
        else:
            self.sums.setdefault(value, {})[node] = found

    def paying(self) -> dict[Node, _Sum]:
        """The sums of the groups that need nothing but sums, and whose values cost enough."""
        spoilt, cost, sums = {self.top(v) for v in self.spoilt}, dict[_Value, float](), dict[_Value, dict[Node, _Sum]]()
        for value, more in self.cost.items():
            cost[self.top(value)] = cost.get(self.top(value), 0.0) + more
        for value, found in self.sums.items():
            sums.setdefault(self.top(value), {}).update(found)
        return {node: pairs for top, found in sums.items() if top not in spoilt and cost[top] >= PAYS * (1 + len(found))
                for node, pairs in found.items()}
