"""Decorated functions called with Tensors: the result is a Tensor whose `backward()` runs the compiled gradient.

Any order: the gradient of a program is a program again, recorded in the graph of gradients in the same way.
"""
from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler.ir import Graph
from ...compiler.pipeline import differentiate
from .execution import Execution, Options, Request, execute
from .signature import Flat
from .stats import Stats
from .structure import flatten, is_tensor, unflatten

if TYPE_CHECKING:
    from ..tensor.tensor import Tensor

__all__ = ["GraphFunction", "answered", "apply", "to_tensor", "without_tensors"]

def to_tensor(array: Any) -> Tensor:
    """A result as a Tensor."""
    from ..tensor.tensor import wrap_array

    return wrap_array(np.asarray(array))


def without_tensors(flat: Flat) -> tuple[Flat, bool]:
    """Arguments with the contents of Tensors in their place, and whether there were any."""
    found = [is_tensor(leaf) for leaf in flat.leaves]
    if not any(found):
        return flat, False
    return flat._replace(leaves=[leaf._array() if t else leaf for leaf, t in zip(flat.leaves, found, strict=True)]), True


def answered(result: Any, tensors: bool) -> Any:
    """A result, its arrays as Tensors where the call was made with Tensors."""
    if not tensors:
        return result
    leaves: list[Any] = []
    tree = flatten(result, leaves)
    return unflatten(tree, iter([to_tensor(leaf) for leaf in leaves]))


class GraphFunction:
    """A traced graph as a function of arrays that can be differentiated any number of times."""

    def __init__(self, graph: Graph, options: Options, name: str, stats: Stats) -> None:
        self.graph, self.options, self.name, self.stats = graph, options, name, stats
        self._executions: dict[Request, Execution] = {}
        self._pulled: dict[tuple[int, ...], GraphFunction] = {}
        self._lock = threading.RLock()

    def run(self, request: Request, arrays: Sequence[Any]) -> list[Any]:
        """The outputs of a request."""
        with self._lock:
            found = self._executions.get(request)
            if found is None:
                found = self._executions[request] = execute(self.graph, request, self.options, self.name)
                self.stats.count(found, self.graph)
            else:
                self.stats.ordinary_hits += 1
        return found.run(arrays)

    @property
    def is_scalar(self) -> bool:
        """Whether there is one output, a floating number."""
        outputs = self.graph.outputs
        return len(outputs) == 1 and not outputs[0].ndim and outputs[0].dtype.kind == "f"

    def pulled(self, wrt: tuple[int, ...]) -> GraphFunction:
        """The function (inputs, cotangents of the floating outputs) -> cotangents of the inputs at `wrt`."""
        with self._lock:
            found = self._pulled.get(wrt)
            if found is None:
                from ...compiler.rewrite import simplify

                stable, _ = simplify(self.graph.outputs, stabilise=self.options.stabilise, fastmath=self.options.fastmath, last=False)
                whole = differentiate(self.graph.with_outputs(stable), Request("vjp", wrt))
                found = GraphFunction(whole.with_outputs(whole.outputs[len(stable):]), self.options, self.name, self.stats)
                self._pulled[wrt] = found
        return found


@cache
def _node_class(name: str) -> Any:
    """The autograd Function that shows as `<nameBackward>`."""
    from ..tensor.function import Function

    return type(name, (Function,), {"forward": staticmethod(_forward), "backward": staticmethod(_backward)})


def _forward(ctx: Any, function: GraphFunction, *inputs: Any) -> Any:
    arrays = [x._array() if is_tensor(x) else x for x in inputs]
    wanted = tuple(k for k, needed in enumerate(ctx.needs_input_grad[1:]) if needed)
    ctx.function, ctx.wanted, ctx.gradients = function, wanted, None
    ctx.constants = [None if is_tensor(x) else x for x in inputs]
    ctx.save_for_backward(*(x for x in inputs if is_tensor(x)))
    if wanted and function.is_scalar:  # the gradient comes with the value, in one evaluation
        value, *ctx.gradients = function.run(Request("value_and_gradient", wanted), arrays)
        return to_tensor(value)
    outputs = [to_tensor(y) for y in function.run(Request("value"), arrays)]
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def _backward(ctx: Any, *cotangents: Any) -> tuple[Any, ...]:
    from ..tensor.modes import state

    function, wanted = ctx.function, ctx.wanted
    tensors = iter(ctx.saved_tensors)  # raises where they were freed or modified
    if ctx.gradients is not None and not state.grad:
        (cotangent,) = cotangents
        found = [to_tensor(cotangent._array() * g) for g in ctx.gradients]
    else:
        inputs = [next(tensors) if x is None else x for x in ctx.constants]
        smooth = [ct for ct, y in zip(cotangents, function.graph.outputs, strict=True) if y.dtype.kind == "f"]
        made = apply(function.pulled(wanted), [*inputs, *smooth])
        found = list(made)
    results: list[Any] = [None] * (1 + len(ctx.constants))
    for k, gradient in zip(wanted, found, strict=True):
        results[1 + k] = gradient
    return tuple(results)


def apply(function: GraphFunction, inputs: Sequence[Any]) -> list[Tensor]:
    """The outputs for Tensors and arrays, in the graph of gradients."""
    made = _node_class(function.name).apply(function, *inputs)
    return list(made) if isinstance(made, tuple) else [made]
