"""Sums over an axis of an array that is its own transpose, or the negative of it.

A function of pairs, built by broadcasting x along rows and along columns, has a gradient that sums over both axes: what
element i feels as the first of a pair, and as the second. Where the array is (anti)symmetric the sum along columns is plus
or minus the sum along rows. The same terms are added in the same order, so the result is equal but for the sign of zeros;
the sum over the inner axis runs along memory, and the other one is not computed at all.
"""
from __future__ import annotations

from collections.abc import Sequence

from ..ir import Node, f, make, toposort, with_inputs
from ..sizes import Size

__all__ = ["sum_along_inner", "swapped"]

VISITED = 300  # nodes below one sum, so that the work stays linear
Swapped = tuple[int, Node]  # (sign, node): the array with two axes exchanged is sign * node; sign 0 where it is zero
Question = tuple[Node, int, int]


def sum_along_inner(outputs: Sequence[Node]) -> list[Node]:
    """`outputs` with sums over an outer axis as sums over an inner one, where a symmetry says that they are equal."""
    order = toposort(outputs)
    if not any(_candidates(node) for node in order):
        return list(outputs)
    done: dict[Node, Node] = {}
    for node in order:
        inputs = tuple(done[i] for i in node.inputs)
        made = node if inputs == node.inputs else with_inputs(node, inputs)
        for outer, inner in _candidates(made):
            found = swapped(made.inputs[0], outer, inner)
            if found is not None and found[1] is made.inputs[0] and found[0]:
                axes = tuple(sorted({*made.param("axes"), inner} - {outer}))
                total = f.sum(made.inputs[0], axes=axes)
                made = total if found[0] > 0 else f.neg(total)
                break
        done[node] = made
    return [done[node] for node in outputs]


def _candidates(node: Node) -> list[tuple[int, int]]:
    """(summed axis, later axis that stays) of equal size, with no other axis that stays between them."""
    if node.op.name != "sum":
        return []
    shape: tuple[Size, ...] = node.inputs[0].shape
    axes = node.param("axes")
    kept = [k for k in range(len(shape)) if k not in axes]
    after = ((axis, next((k for k in kept if k > axis), None)) for axis in axes)
    return [(axis, k) for axis, k in after if k is not None and shape[axis] == shape[k] and shape[k] != 1]


def swapped(root: Node, p: int, q: int) -> Swapped | None:
    """The array with axes p and q, of one size, exchanged; None where that is not known."""
    known: dict[Question, Swapped | None] = {}
    visited = 0
    stack: list[tuple[Question, list[Question] | None]] = [((root, p, q), None)]
    while stack:
        question, needs = stack.pop()
        if question in known:
            continue
        if needs is None:
            needs, visited = _below(*question), visited + 1
            if needs is None or visited > VISITED:
                known[question] = None
                continue
            stack.append((question, needs))
            stack += [(need, None) for need in needs if need not in known]
            continue
        found = [answer for need in needs if (answer := known[need]) is not None]
        known[question] = _joined(*question, found) if len(found) == len(needs) else None
    return known[root, p, q]


def _below(node: Node, p: int, q: int) -> list[Question] | None:
    """What has to be exchanged in the inputs."""
    op = node.op
    if op.kind == "elementwise":
        return [(i, p, q) for i in node.inputs]
    if op.name in ("const", "iota"):
        return []
    if op.name == "expand":
        axes = node.param("axes")
        return [(node.inputs[0], axes.index(p), axes.index(q))] if p in axes and q in axes else []
    if op.name == "permute":
        return [(node.inputs[0], node.param("order")[p], node.param("order")[q])]
    if op.kind == "reduce" and op.combine:
        kept = [k for k in range(node.inputs[0].ndim) if k not in node.param("axes")]
        return [(node.inputs[0], kept[p], kept[q])]
    return None


def _joined(node: Node, p: int, q: int, found: list[Swapped]) -> Swapped | None:
    op = node.op
    if op.kind == "elementwise":
        return _of_elements(node, found)
    if op.name == "const":
        return (0 if node.dtype.kind != "b" and node.value == 0 else 1), node
    exchanged = {p: q, q: p}
    if op.name == "iota":
        axis = node.param("axis")
        return 1, make("iota", shape=node.shape, dtype=node.dtype, axis=exchanged.get(axis, axis))
    if op.name == "expand" and not found:
        axes = tuple(exchanged.get(a, a) for a in node.param("axes"))
        return (1, f.expand(node.inputs[0], shape=node.shape, axes=axes)) if list(axes) == sorted(axes) else None
    ((sign, below),) = found
    if op.kind == "reduce" and sign != 1 and op.transpose is None:  # only sums pass a sign on
        return None
    return sign, node if below is node.inputs[0] else with_inputs(node, (below,))


def _of_elements(node: Node, found: list[Swapped]) -> Swapped | None:
    op, inputs = node.op, tuple(below for _, below in found)
    signs = [sign for (sign, _), i in zip(found, node.inputs, strict=True) if i.dtype.kind != "b"]
    if op.parity == "each":
        sign = 1
        for factor in signs:
            sign *= factor
    elif op.parity == "joint" and node.dtype.kind == "f":
        known = set(signs) - {0}
        if len(known) > 1:
            return None
        sign = known.pop() if known else 1
    elif op.parity == "even" or -1 not in signs:
        sign = 1
    else:
        return None
    if inputs == node.inputs:
        return sign, node
    if inputs[::-1] == node.inputs and (op.commutative or op.anticommutative):
        return (-sign if op.anticommutative else sign), node
    return sign, with_inputs(node, inputs)
