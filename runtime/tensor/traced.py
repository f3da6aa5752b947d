"""torch's functions on values that `@grad` traces: `cr.softmax(x, dim=1)` inside a decorated function.

A traced value is stood in for by a Tensor with the example's sizes, the function records what it always records, and the
recorded steps are then made nodes of the trace. What depends on a size as a number specialises the program to it.
"""
from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...compiler.errors import TraceError
from ...compiler.ir import Node
from ...compiler.provenance import at, user_site
from ..torch_types import from_numpy_dtype
from .evaluate import pending_below
from .modes import no_grad
from .tensor import Tensor, wrap
from .value import Recipe, Value

__all__ = ["involves_traced", "through_trace"]

_TRACE = __name__.rpartition(".runtime.")[0] + ".compiler.trace"


def involves_traced(args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether a call has a traced value among its arguments; without importing the tracer."""
    trace = sys.modules.get(_TRACE)
    return trace is not None and trace.active_session() is not None and any(map(trace.contains_traced, (*args, *kwargs.values())))


class _StandIn(Recipe):
    """Stands for a node of the trace."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node

    def emit(self, nodes: Sequence[Node], masks: Sequence[Node | None], params: tuple[Any, ...], index: int) -> tuple[Node, Node | None]:
        raise TraceError(f"a value that is being traced has no number yet{at(user_site())}: use where() in place of "
                         "if, and keep float(), item() and printing out of the decorated function")


def _stood_in(value: Any) -> Any:
    """A call's argument with Tensors in place of traced values."""
    from ...compiler.trace import is_traced, lift
    from ...compiler.trace.session import require_session

    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(map(_stood_in, value))
    if not is_traced(value):
        return value
    node, context = lift(value).node, require_session("this value").context
    shape = tuple(context.hint(size) for size in node.shape)
    return wrap(Value(_StandIn(node), (), (), shape, node.dtype), from_numpy_dtype(node.dtype))


def through_trace(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """A torch function's result on traced arguments, traced.

    Raises:
        TraceError: the function needs the value of one of them.
    """
    with no_grad():
        made = function(*map(_stood_in, args), **{key: _stood_in(value) for key, value in kwargs.items()})
    return _traced(made)


def _traced(result: Any) -> Any:
    from ...compiler.trace import wrap as wrap_node

    if isinstance(result, Tensor):
        return wrap_node(_node_of(result._value))
    if isinstance(result, tuple):
        return getattr(type(result), "_make", type(result))(map(_traced, result))
    return [_traced(item) for item in result] if isinstance(result, list) else result


def _node_of(value: Value) -> Node:
    from ...compiler.trace import lift

    nodes: dict[int, Node] = {}
    for step in pending_below([value]):
        if isinstance(step.recipe, _StandIn):
            nodes[id(step)] = step.recipe.node
            continue
        for item in step.inputs:
            if id(item) not in nodes:  # a number, or a Tensor from outside
                assert item.array is not None
                nodes[id(item)] = lift(item.array[()] if not item.array.ndim else np.asarray(item.array)).node
        assert step.recipe is not None
        nodes[id(step)], _ = step.recipe.emit([nodes[id(i)] for i in step.inputs], [None] * len(step.inputs), step.params, step.index)
    if id(value) in nodes:
        return nodes[id(value)]
    assert value.array is not None
    return lift(value.array).node
