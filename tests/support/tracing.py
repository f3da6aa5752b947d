"""Tracing a function of arrays, and running its program with the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.compiler import interpret
from chainrule.compiler.ir import Graph
from chainrule.compiler.pipeline import Options, Request, derive
from chainrule.compiler.trace import Session, Traced, lift, tracing, wrap
from chainrule.compiler.verify import verify
from chainrule.compiler.views import View


def traced(function: Callable[..., Any], *arguments: Any) -> tuple[Graph, list[Any]]:
    """The program of `function`, and its inputs: the arguments (arrays, or weak floats), then what it captured."""
    session = Session()
    with tracing(session):
        values = [
            wrap(session.input(a.shape, a.dtype, f"x{k}"))
            if isinstance(a, (np.ndarray, np.generic))
            else Traced(View.of(session.input((), np.dtype(np.float64), f"x{k}")), session, float)
            for k, a in enumerate(arguments)
        ]
        made = function(*values)
        outputs = [lift(leaf).node for leaf in (made if isinstance(made, (tuple, list)) else [made])]
        graph, captured = session.finish(outputs)
    verify(graph)
    return graph, [*arguments, *(c.array for c in captured)]


def results(function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What the traced program of `function` gives."""
    graph, inputs = traced(function, *arguments)
    return interpret.run(graph, inputs)


def slope(function: Callable[..., Any], arguments: Sequence[Any], directions: Sequence[Any], weights: Any) -> float:
    """The derivative of `sum(weights * function)` along directions, by reverse mode."""
    graph, inputs = traced(function, *arguments)
    wrt = tuple(k for k, a in enumerate(arguments) if np.asarray(a).dtype.kind == "f")
    _, simplified, _ = derive(graph, Request("vjp", wrt), Options())
    pulled = interpret.run(simplified, [*inputs, weights])[len(graph.outputs) :]
    return float(sum(np.sum(g * directions[k]) for g, k in zip(pulled, wrt, strict=True)))
