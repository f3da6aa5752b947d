"""Ops without loops of their own, in terms of others, for the compiled form: what the op table says under `by_others`."""
from __future__ import annotations

from .ir import Graph, Node, with_inputs

__all__ = ["by_others"]


def by_others(graph: Graph) -> Graph:
    """The graph without such ops; the same one where it has none."""
    order = graph.nodes()
    if not any(n.op.by_others for n in order):
        return graph
    done: dict[Node, Node] = {}
    for node in order:
        inputs = tuple(done[i] for i in node.inputs)
        made = node if inputs == node.inputs else with_inputs(node, inputs)
        done[node] = made if node.op.by_others is None else node.op.by_others(made)
    return graph.with_outputs(done[n] for n in graph.outputs)
