"""Graphs for tests of formulas: a function of nodes, traced with symbolic sizes."""
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.compiler import sizes
from chainrule.compiler.ir import Graph, Node, make, rebuild
from chainrule.compiler.sizes import SizeContext


def graph_of(function: Callable[..., Any], dtypes: dict[str, Any] | None = None, **shapes: tuple[int, ...]) -> Graph:
    """The graph of `function` on inputs of these names and shapes; every axis gets its own symbol first."""
    context, before = SizeContext(), sizes.active.context
    sizes.active.context = context
    try:
        inputs = [make("input", shape=tuple(context.fresh(s) for s in shape), dtype=np.dtype((dtypes or {}).get(name, float)),
                       position=k, name=name) for k, (name, shape) in enumerate(shapes.items())]
        made = function(*inputs)
        outputs = [made] if isinstance(made, Node) else list(made)
        final = {name: context.resolve(sizes.symbol(name)) for name in context.hints}
        nodes = rebuild([*inputs, *outputs], {}, final)
        guards = tuple(context.guards_left())
        return Graph(tuple(nodes[: len(inputs)]), tuple(nodes[len(inputs):]), guards, dict(context.hints))
    finally:
        sizes.active.context = before
