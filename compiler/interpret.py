"""The reference evaluator: one NumPy call for each node. The tests' oracle, and the first tier of eager tensors."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from . import ops  # noqa: F401  (declares the ops)
from .errors import InternalError, ShapeError
from .ir import Graph, Node, execution_order, resolve_params
from .op import Op, Shape
from .sizes import SizeExpr, bind, evaluate

__all__ = ["bind_sizes", "evaluate_nodes", "function_of", "run"]

TRANSCENDENTAL = 15.0  # the cost from which on an elementwise op is no simple arithmetic


@contextmanager
def quiet() -> Iterator[None]:
    """IEEE arithmetic without NumPy's warnings: inf and nan are values here, as in compiled code."""
    with np.errstate(all="ignore"):
        yield


def bind_sizes(inputs: Sequence[Node], arrays: Sequence[Any]) -> dict[str, int]:
    """The value of every size symbol that an axis of an input binds.

    Raises:
        ShapeError: an array's rank, or a size, is not that of its input node.
    """
    return bind_shapes([node.param("name") for node in inputs], [node.shape for node in inputs], arrays)


def bind_shapes(names: Sequence[str], shapes: Sequence[Shape], arrays: Sequence[Any]) -> dict[str, int]:
    """The same for inputs of these names and shapes."""
    for name, shape, array in zip(names, shapes, arrays, strict=True):
        if np.ndim(array) != len(shape):
            raise ShapeError(f"{name}: an array with {len(shape)} axes is expected, not shape {np.shape(array)}")
    return bind(shapes, [np.shape(array) for array in arrays])


def run(graph: Graph, arrays: Sequence[Any]) -> list[Any]:
    """The graph's outputs for these inputs, as NumPy arrays."""
    values = {node: np.asarray(a, node.dtype) for node, a in zip(graph.inputs, arrays, strict=True)}
    return evaluate_nodes(graph.outputs, values, bind_sizes(graph.inputs, arrays))


def evaluate_nodes(outputs: Sequence[Node], values: Mapping[Node, Any], sizes: Mapping[str, int],
                   order: Sequence[Node] | None = None) -> list[Any]:
    """Evaluate nodes from known values of some.

    Args:
        values: node -> array, at least for every input that is reached.
        sizes: symbol -> int.
        order: `execution_order(outputs)`, when it is at hand.
    """
    known: dict[Node, Any] = dict(values)
    bound = dict(sizes)
    with quiet():
        for node in execution_order(outputs) if order is None else order:
            if node not in known:
                known[node] = evaluate_node(node, [known[i] for i in node.inputs], bound)
    return [known[node] for node in outputs]


def evaluate_node(node: Node, arrays: Sequence[Any], sizes: dict[str, int]) -> Any:
    """One node's value; a node that binds a size (`nonzero`) adds it to `sizes`."""
    return evaluate_op(node.op, node.params, node.shape, node.dtype, arrays, sizes)


@cache
def function_of(op: Op) -> Callable[..., Any]:
    """The op's NumPy evaluation; of a transcendental function, with float32 computed in float64 and rounded once: NumPy's
    own float32 functions err by up to 4 ulp, differently on every kind of machine.
    """
    if op.kind != "elementwise" or op.arity != 1 or op.cost < TRANSCENDENTAL or op.dtypes != ("float",):
        return op.evaluate

    def rounded_once(x: Any, **params: Any) -> Any:
        x = np.asarray(x)
        return op.evaluate(x, **params) if x.dtype.itemsize == 8 else op.evaluate(x.astype(np.float64), **params).astype(x.dtype)

    return rounded_once


def evaluate_op(op: Op, params: Sequence[Any], shape: Shape, dtype: np.dtype[Any], arrays: Sequence[Any],
                sizes: dict[str, int], **further: Any) -> Any:
    """`evaluate_node` of a node with this op, these parameters and this aval; `further` is for the op's `evaluate`."""
    values = dict(zip(op.params, params, strict=True))
    unbound = {name for name in op.binds if isinstance(values[name], SizeExpr)}
    known = {name: 0 if name in unbound else resolve_params(value, sizes) for name, value in values.items()}
    if op.wants_aval:
        known["shape"] = tuple(evaluate(s, sizes) for s in shape)
        known["dtype"] = dtype
    result = function_of(op)(*arrays, **known, **further)
    for name in unbound:
        if sizes.setdefault(str(values[name]), len(result)) != len(result):
            raise InternalError(f"{op.name} gives {values[name]} the value {len(result)}, which another op gave {sizes[str(values[name])]}")
    return result if getattr(result, "dtype", None) == dtype else np.asarray(result, dtype)
