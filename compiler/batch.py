"""Batching: nodes for one example become nodes for many, with the examples along a new first axis.

Only what depends on an example is batched; everything else is computed once. An op says how it is batched where it is
declared.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from .errors import BatchError, InternalError
from .ir import Node, current, f, make, toposort
from .sizes import Size

__all__ = ["batch", "repeated"]


def batch(outputs: Sequence[Node], examples: Mapping[Node, Node], size: Size) -> list[Node]:
    """`outputs` for `size` examples at once, each of shape (size, *shape of the output).

    Args:
        examples: for each node that differs between examples, the node of all of them, (size, *its shape).

    Raises:
        BatchError: the size of a result differs between examples.
    """
    done = dict(examples)
    before = current.sites
    try:
        for node in toposort(outputs):
            if node not in done and any(item in done for item in node.inputs):
                current.sites = node.sites
                done[node] = _batched(node, [done.get(item) for item in node.inputs], size)
    finally:
        current.sites = before
    return [done.get(node) or repeated(node, size) for node in outputs]


def repeated(node: Node, size: Size) -> Node:
    """The same for every example."""
    return f.expand(node, shape=(size, *node.shape), axes=tuple(range(1, node.ndim + 1)))


def _batched(node: Node, given: Sequence[Node | None], size: Size) -> Node:
    op = node.op
    if op.binds and op.batch is None:
        raise BatchError(f"{op.name}: how many elements the result has would differ between the examples")
    if op.batch is not None and op.partly:
        return op.batch(node, tuple(given), size)
    inputs = tuple(repeated(item, size) if known is None else known for item, known in zip(node.inputs, given, strict=True))
    if op.batch is not None:
        return op.batch(node, inputs, size)
    if op.kind == "elementwise":
        return make(op, inputs, **node.named_params)
    if op.kind == "reduce":
        return make(op, inputs, axes=tuple(a + 1 for a in node.param("axes")))
    raise InternalError(f"op {op.name} does not say how it is batched")
