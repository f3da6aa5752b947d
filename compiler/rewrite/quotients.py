"""Quotients by the same denominator share a division.

The derivatives of y = a/b are c/b by a and -c (y/b) by b: the second is -y (c/b), with one division for both. Each has two
roundings, so that at the level ROUNDING either may stand for the other.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..ir import Node, current, f, toposort, with_inputs

__all__ = ["share_divisions"]


def share_divisions(outputs: Sequence[Node]) -> list[Node]:
    """`outputs` with (a/b) c as a (c/b), where a/b has no other use and c/b is wanted anyway."""
    order = toposort(outputs)
    quotients = {node.inputs: node for node in order if node.op.name == "div" and node.dtype.kind == "f"}
    if len(quotients) < 2:
        return list(outputs)
    uses = Counter(i for node in order for i in node.inputs)
    uses.update(outputs)
    done: dict[Node, Node] = {}
    before = current.sites
    try:
        for node in order:
            current.sites = node.sites
            done[node] = _shared(node, done, quotients, uses)
    finally:
        current.sites = before
    return [done[node] for node in outputs]


def _shared(node: Node, done: dict[Node, Node], quotients: dict[tuple[Node, ...], Node], uses: Counter[Node]) -> Node:
    if node.op.name == "mul":
        for quotient, other in (node.inputs, node.inputs[::-1]):
            if quotient.inputs in quotients and quotients[quotient.inputs] is quotient and uses[quotient] == 1:
                a, b = quotient.inputs
                if (other, b) in quotients and other is not quotient:
                    return done[a] * f.div(done[other], done[b])
    inputs = tuple(done[i] for i in node.inputs)
    return node if inputs == node.inputs else with_inputs(node, inputs)
