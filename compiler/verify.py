"""Validity of a graph: what every pass may rely on, and must leave behind.

The checks run between passes when `CHAINRULE_VERIFY=1` is set, as the tests set it; they are no part of a normal call.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from . import ops, sizes
from .errors import ChainruleError, InternalError
from .ir import Graph, Node, flat_params, is_interned, kind_of
from .op import get
from .sizes import Guard, Size, SizeExpr, symbols_of

__all__ = ["check", "problems", "verify"]

_ = ops  # the table is declared by importing it


def check(graph: Graph, after: str = "") -> Graph:
    """What a pass ends with: the graph that it made, verified if `CHAINRULE_VERIFY=1`."""
    if os.environ.get("CHAINRULE_VERIFY") == "1":
        verify(graph, after)
    return graph


def verify(graph: Graph, after: str = "") -> None:
    """Refuse an invalid graph.

    Args:
        after: the pass that made it, for the message.

    Raises:
        InternalError: the first thing that is wrong, with the text of the graph.
    """
    for problem in problems(graph):
        where = f" after {after}" if after else ""
        raise InternalError(f"invalid graph{where}: {problem}\n{_text(graph)}")


def _text(graph: Graph) -> str:
    try:
        return str(graph)
    except Exception as error:  # an invalid graph may have no text; the problem itself must still be reported
        return f"(its text cannot be printed: {error})"


def problems(graph: Graph) -> Iterator[str]:
    """Everything that is wrong with a graph, in the order of its nodes."""
    before, sizes.active.context = sizes.active.context, None  # equal sizes have equal forms in a finished graph
    try:
        yield from _problems(graph)
    finally:
        sizes.active.context = before


def _problems(graph: Graph) -> Iterator[str]:
    nodes = graph.nodes()
    if len(set(graph.inputs)) != len(graph.inputs):
        yield "an input is listed twice"
    for node in graph.inputs:
        if node.op.name != "input":
            yield f"the input {node!r} is no `input` node"
    inputs = set(graph.inputs)
    for node in nodes:
        if node.op.name == "input" and node not in inputs:
            yield f"{node!r} ({node.param('name')!r}, position {node.param('position')}) is no input of the graph"
    for node in dict.fromkeys([*graph.inputs, *nodes]):
        yield from (f"{node!r}: {problem}" for problem in _node_problems(node))
    yield from _size_problems(graph, nodes)


def _node_problems(node: Node) -> Iterator[str]:
    op = node.op
    if get(op.name) is not op:
        yield "its op is not in the table"
        return
    if not is_interned(node):
        yield "it is not interned"
    if op.arity is not None and len(node.inputs) != op.arity:
        yield f"it has {len(node.inputs)} inputs, the op takes {op.arity}"
        return
    if len(node.params) != len(op.params):
        yield f"it has {len(node.params)} parameters, the op takes {op.params}"
        return
    for k, x in enumerate(node.inputs):
        if kind_of(x.dtype) not in op.dtypes:
            yield f"its input {k} is {x!r}, the op takes {', '.join(op.dtypes)}"
    for value in (*node.shape, *flat_params(node.params)):
        if isinstance(value, Graph):  # the body of a loop
            yield from (f"{inner!r} of its body: {problem}" for inner in value.nodes() for problem in _node_problems(inner))
        elif not isinstance(value, (int, SizeExpr, str, bytes)):
            yield f"{value!r} of type {type(value).__name__} is neither a size nor text"
    for size in node.shape:
        if isinstance(size, int) and size < 0:
            yield f"its shape {node.shape} has a negative size"
    if op.kind == "leaf":
        yield from _leaf_problems(node)
        return
    try:
        shape, dtype = op.infer(node.inputs, node.named_params)
    except ChainruleError as error:
        yield f"the op refuses its inputs: {error}"
        return
    if shape != node.shape or dtype != node.dtype:
        yield f"the op gives {dtype}{list(shape)}"


def _leaf_problems(node: Node) -> Iterator[str]:
    kind_of(node.dtype)
    if node.op.name == "const" and len(node.params[0]) != node.dtype.itemsize:
        yield f"its value has {len(node.params[0])} bytes, {node.dtype} has {node.dtype.itemsize}"
    if node.op.name == "iota" and not 0 <= node.param("axis") < node.ndim:
        yield f"it has no axis {node.param('axis')}"
    if node.op.name == "input" and node.param("position") < 0:
        yield "it is the placeholder of a derivative"


def _size_problems(graph: Graph, nodes: list[Node]) -> Iterator[str]:
    bound = set(sizes.bindings([n.shape for n in graph.inputs]))
    for node in nodes:
        for name in node.op.binds:
            bound |= _symbols(node.param(name))
    for node in nodes:
        for value in (*node.shape, *flat_params(node.params)):
            free = _symbols(value) - bound
            if free:
                yield f"{node!r}: no input's axis and no node binds {', '.join(sorted(free))}"
    for guard in graph.guards:
        yield from _guard_problems(graph, guard)


def _guard_problems(graph: Graph, guard: Guard) -> Iterator[str]:
    used = _symbols(guard.left) | _symbols(guard.right)
    if used <= set(graph.hints) and not guard.holds(graph.hints):
        yield f"the example's sizes {dict(graph.hints)} do not satisfy the guard {guard}"


def _symbols(value: Any | Size) -> set[str]:
    return symbols_of(value) if isinstance(value, SizeExpr) else set()
