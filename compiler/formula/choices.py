"""Choices that only keep arithmetic in range: two expressions of one function, each where it is accurate, are read as one."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..differentiate import is_differentiable
from ..ir import Graph, Node, rebuild, toposort, with_inputs
from .prepare import same, sample, values

__all__ = ["without_choices"]

_POINTS = 12
_MOST = 16  # choices that are looked at
_FEWEST = 2  # elements on each side that prove that both sides are the same


def without_choices(graph: Graph) -> Graph:
    """The graph with one side for `where(c, f(where(c, x, 1)), g(where(c, 0, x)))`, where f and g have the same values.

    That they have is checked by numbers, at random points on both sides; a choice whose sides are not both met stays. Where they have
    others, as in `where(c, f(where(c, x, 1)), 0)`, the inner choice goes.
    """
    outputs, points = list(graph.outputs), None
    for choice in [n for n in reversed(graph.nodes()) if n.op.name == "where" and is_differentiable(n) and _is_masked(n)][:_MOST]:
        if choice not in toposort(outputs):
            continue
        points = points or sample(graph, _POINTS)
        if points is None:
            return graph
        condition = choice.inputs[0]
        sides = [_on_one_side(choice, condition, k) for k in (1, 2)]
        plain = with_inputs(choice, (condition, *sides))
        found = [v for p in points if (v := values([condition, *sides, choice, plain], graph.inputs, p)) is not None]
        if _agree(found):
            outputs = rebuild(outputs, {choice: min(sides, key=lambda side: len(toposort([side])))})
        elif found and all(same([v[4]], [v[3]]) for v in found):
            outputs = rebuild(outputs, {choice: plain})
    return graph.with_outputs(outputs)


def _is_masked(choice: Node) -> bool:
    """Whether one of its sides chooses by the same condition."""
    return any(n.op.name == "where" and n.inputs[0] is choice.inputs[0] for n in toposort(choice.inputs[1:]))


def _on_one_side(choice: Node, condition: Node, side: int) -> Node:
    done: dict[Node, Node] = {}
    for node in toposort([choice]):
        inputs = tuple(done[i] for i in node.inputs)
        if node.op.name == "where" and node.inputs[0] is condition:
            done[node] = inputs[side]
        else:
            done[node] = node if inputs == node.inputs else with_inputs(node, inputs)
    return done[choice]


def _agree(found: Sequence[Sequence[Any]]) -> bool:
    """Whether both sides are equal wherever both are finite, at some elements that the condition holds for and at some others."""
    seen = [0, 0]
    for condition, one, other, *_ in found:
        finite = np.isfinite(one) & np.isfinite(other)
        if not same([np.asarray(one)[finite]], [np.asarray(other)[finite]]):
            return False
        for holds in (False, True):
            seen[holds] += int(np.count_nonzero(finite & (np.broadcast_to(condition, finite.shape) == holds)))
    return min(seen) >= _FEWEST
