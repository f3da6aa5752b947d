"""Reductions and products of transposed arrays in the order in which these lie in memory.

Loops follow the axes of the value that they compute, so `sum(exp(X.T), axis=1)` would walk down the columns of X. Inputs are
taken to be in C order, as those of most calls are; then the same sum over axis 0 of `exp(X)` walks along its rows. So
elementwise operations between a transpose and a reduction are made on the array as it was before the transpose, and the
reduction gets other axes; a product of them gets other labels. Only of values that are reduced as well: a product reads its
factors in any order, and what is computed for it alone is computed with it, in blocks of its rows.

A group of operations is turned as a whole, or stays where one of its values is wanted in the transposed order as well, or
meets an array that is not transposed: a value is not computed twice, or in loops that cannot be fused.
"""
from __future__ import annotations

from collections import Counter

from .ir import Graph, Node, current, make, with_inputs

__all__ = ["in_memory_order"]

Order = tuple[int, ...]


def in_memory_order(graph: Graph) -> Graph:
    """The graph, with reductions of transposed arrays as reductions of the arrays themselves; of linear time."""
    order = graph.nodes()
    if not any(_strided(n) for n in order):
        return graph
    turned = _Turned(order, graph.outputs)
    done: dict[Node, Node] = {}
    before = current.sites
    try:
        for node in order:
            current.sites = node.sites
            done[node] = turned.made(node, done)
    finally:
        current.sites = before
    outputs = [done[n] for n in graph.outputs]
    return graph.with_outputs(outputs) if outputs != list(graph.outputs) else graph


def _strided(node: Node) -> bool:
    """Whether a transpose makes another axis the last one: the elements of a row are apart."""
    return node.op.name == "permute" and node.param("order")[-1:] != (node.ndim - 1,) and node.shape[-1:] != (1,)


def _repeated(node: Node) -> bool:
    """Whether a value is as good in any order of the loops: at most one axis of it is read from memory."""
    return node.op.name in ("const", "iota") or (node.op.name == "expand" and len(node.param("axes")) <= 1)


def _kept(order: Order, axes: Order) -> Order:
    """The order of the axes that a reduction over `axes` keeps, numbered anew."""
    left = [axis for k, axis in enumerate(order) if k not in axes]
    return tuple(sorted(left).index(axis) for axis in left)


def _is_identity(order: Order) -> bool:
    return order == tuple(range(len(order)))


class _Turned:
    """Which values are made in another order of axes: `node = permute(base, order)`, and only the base is made.

    Transposes themselves stay, for other users.
    """

    def __init__(self, nodes: list[Node], outputs: tuple[Node, ...]) -> None:
        self.order: dict[Node, Order] = {}
        self.base: dict[Node, Node] = {}
        self.parent: dict[Node, Node] = {}  # of the tree of a group
        self.kept: set[Node] = set()  # a value of every group that stays
        self.repeated: set[Node] = set()  # computed from what is as good in any order, for one user
        self.users = Counter(i for n in nodes for i in n.inputs)
        self.users.update(outputs)
        reduced: list[Node] = []
        multiplied: list[Node] = []
        for node in nodes:
            self._visit(node)
            if node.op.kind == "reduce":
                reduced += [i for i in node.inputs if i in self.order]
            elif node.op.kind == "contract":
                multiplied += [i for i in node.inputs if i in self.order and not _strided(i)]
        groups = {self._group(n) for n in reduced}
        self.kept.update(n for n in multiplied if self._group(n) not in groups)
        for node in outputs:
            if node in self.order and not _strided(node):
                self.kept.add(node)
        self.kept = {self._group(n) for n in self.kept}

    def _group(self, node: Node) -> Node:
        while (above := self.parent[node]) is not node:
            self.parent[node] = self.parent[above]
            node = above
        return node

    def _join(self, node: Node, order: Order, others: list[Node]) -> None:
        self.order[node] = order
        self.parent.setdefault(node, node)
        for other in others:
            self.parent[self._group(other)] = self._group(node)

    def _visit(self, node: Node) -> None:
        found = [i for i in node.inputs if i in self.order]
        if _strided(node) and not found:
            self._join(node, node.param("order"), [])
        elif not found:
            if node.op.kind == "elementwise" and self.users[node] == 1 and all(self._is_repeated(i) for i in node.inputs):
                self.repeated.add(node)
        elif node.op.kind == "elementwise":
            orders = {self.order[i] for i in found}
            if len(orders) == 1 and all(i in self.order or self._is_repeated(i) for i in node.inputs):
                self._join(node, orders.pop(), found)
                self._join_repeated(node)
            else:
                self.kept.update(found)
        elif node.op.kind == "reduce":
            if not _is_identity(_kept(self.order[found[0]], node.param("axes"))):
                self.kept.update(found)
        elif node.op.kind != "contract" and not (node.op.name == "permute" and self._undoes(node)):
            self.kept.update(i for i in found if not _strided(i))

    def _is_repeated(self, node: Node) -> bool:
        return node in self.repeated or _repeated(node)

    def _join_repeated(self, node: Node) -> None:
        """Take values that are computed for this one of a group alone into the group."""
        todo = [node]
        while todo:
            user = todo.pop()
            for item in user.inputs:
                if item in self.repeated and item not in self.order:
                    self._join(item, self.order[user], [user])
                    todo.append(item)

    def _undoes(self, node: Node) -> bool:
        order = self.order[node.inputs[0]]
        return _is_identity(tuple(order[k] for k in node.param("order")))

    def _is_turned(self, node: Node) -> bool:
        return node in self.order and self._group(node) not in self.kept

    def made(self, node: Node, done: dict[Node, Node]) -> Node:
        """The node in the new graph, `done` having those before it; a value that is turned is its own stand-in."""
        if self._is_turned(node):
            if not _strided(node):
                inputs = tuple(self._turn(i, self.order[node], done) for i in node.inputs)
                self.base[node] = make(node.op, inputs, **node.named_params)
                return node
            self.base[node] = done[node.inputs[0]]
        elif node.op.kind == "contract":
            return self._contracted(node, done)
        elif node.inputs and self._is_turned(node.inputs[0]):
            x = node.inputs[0]
            if node.op.kind == "reduce":
                return make(node.op, (self.base[x],), axes=tuple(sorted(self.order[x][k] for k in node.param("axes"))))
            if node.op.name == "permute" and self._undoes(node):
                return self.base[x]
        inputs = tuple(done[i] for i in node.inputs)
        return node if inputs == node.inputs else with_inputs(node, inputs)

    def _contracted(self, node: Node, done: dict[Node, Node]) -> Node:
        """The product of what its factors are before they are transposed."""
        params = node.named_params
        factors: list[Node] = []
        for name, factor in zip(("left", "right"), node.inputs, strict=True):
            turned = self._is_turned(factor) and not _strided(factor)
            factors.append(self.base[factor] if turned else done[factor])
            if turned:
                at = dict(zip(self.order[factor], params[name], strict=True))
                params[name] = "".join(at[axis] for axis in range(factor.ndim))
        return node if tuple(factors) == node.inputs else make(node.op, tuple(factors), **params)

    def _turn(self, node: Node, order: Order, done: dict[Node, Node]) -> Node:
        """What gives `node` when its axes are put into this order."""
        if node in self.order:
            return self.base[node]
        at = dict(zip(order, node.shape, strict=True))
        shape = tuple(at[k] for k in range(node.ndim))
        if node.op.name == "expand":
            return make("expand", (done[node.inputs[0]],), shape=shape, axes=tuple(order[k] for k in node.param("axes")))
        params = node.named_params
        if node.op.name == "iota":
            params["axis"] = order[node.param("axis")]
        return make(node.op, (), shape=shape, dtype=node.dtype, **params)
