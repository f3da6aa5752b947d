"""Constant factors out of sums.

A derivative carries its constants along: the two of a square, the exponent of a power, a sign. Inside a sum they are multiplied
with every element. Where all that a value is used for is linear in it and ends in sums, its constant factor is multiplied with
the sums instead: one rounding for many. Products of constants are formed only where they are exact.

A value that is used for anything else as well stays as it is, so that no multiplication is added but those of the sums.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from ..ir import Node, constant, current, f, toposort, with_inputs

__all__ = ["factors_out"]

LARGEST = 1024.0  # of a factor, and of one over it: sums overflow or underflow where their terms nearly did

Scaled = tuple[float, Node]  # (factor, node): the value is their product


def factors_out(outputs: Sequence[Node]) -> list[Node]:
    """`outputs` with constant factors multiplied with sums rather than with their terms, at the level ROUNDING."""
    order = toposort(outputs)
    ending = _ending_in_sums(order, outputs)
    if not ending:
        return list(outputs)
    scaled: dict[Node, Scaled] = {}
    before = current.sites
    try:
        for node in order:
            current.sites = node.sites
            scaled[node] = _scaled(node, scaled, ending)
    finally:
        current.sites = before
    return [_product(*scaled[node]) for node in outputs]


def _linear(node: Node, operand: Node) -> bool:
    """Whether a constant factor of one operand may be one of the result."""
    op = node.op
    if op.kind == "movement":
        return len(node.inputs) == 1
    others = [i for i in node.inputs if i is not operand]
    if op.homogeneous == "joint":  # with zeros, any factor
        return all(i.dtype.kind == "b" or _is_zero(i) for i in others)
    return op.homogeneous == "each" or (op.homogeneous == "first" and node.inputs[0] is operand and len(others) == len(node.inputs) - 1)


def _is_zero(node: Node) -> bool:
    return node.op.name == "const" and node.dtype.kind == "f" and bool(node.value == 0)


def _ending_in_sums(order: Sequence[Node], outputs: Sequence[Node]) -> set[Node]:
    """The values of which every use is linear, and ends in sums."""
    users: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for item in node.inputs:
            users[item].append(node)
    kept, found = set(outputs), set[Node]()
    for node in reversed(order):
        if node.dtype.kind == "f" and node.op.kind in ("elementwise", "movement") and node not in kept and all(
            user.op.name == "sum" or (user in found and _linear(user, node)) for user in users[node]
        ):
            found.add(node)
    return found


def _scaled(node: Node, scaled: Mapping[Node, Scaled], ending: set[Node]) -> Scaled:
    if not node.inputs:
        return 1.0, node
    if node.op.name == "sum" and node.dtype.kind == "f":
        factor, x = scaled[node.inputs[0]]
        made = node if x is node.inputs[0] else with_inputs(node, (x,))
        return 1.0, _product(factor, made)
    if node not in ending:
        return 1.0, _made(node, [_product(*scaled[i]) for i in node.inputs])
    if node.op.name == "mul":
        for x, c in (node.inputs, node.inputs[::-1]):
            if c.op.name == "const" and (total := _exact(scaled[x][0], float(c.value), node)) is not None:
                return total, scaled[x][1]
    if node.op.name == "neg":
        return -scaled[node.inputs[0]][0], scaled[node.inputs[0]][1]
    factor, inputs = 1.0, list[Node]()
    for item in node.inputs:
        own, x = scaled[item]
        total = _exact(factor, own, node) if _linear(node, item) else None
        if total is None:
            x = _product(own, x)
        else:
            factor = total
        inputs.append(x)
    return factor, _made(node, inputs)


def _made(node: Node, inputs: Sequence[Node]) -> Node:
    return node if tuple(inputs) == node.inputs else with_inputs(node, tuple(inputs))


def _exact(left: float, right: float, node: Node) -> float | None:
    """The product of two factors, where it has no rounding in the type of a node, and is of moderate size."""
    product = left * right
    if not 1 / LARGEST <= abs(product) <= LARGEST or Fraction(left) * Fraction(right) != Fraction(product):
        return None
    return product if float(node.dtype.type(product)) == product else None


def _product(factor: float, node: Node) -> Node:
    if factor == 1.0:
        return node
    return f.neg(node) if factor == -1.0 else node * constant(factor, node.dtype, node.shape)
