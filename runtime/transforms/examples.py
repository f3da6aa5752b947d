"""A function recorded for one example, applied to many.

The function runs once, on tensors that stand for an example. What it recorded becomes one recorded value for all examples
(`compiler.batch` makes its nodes), and one node in the graph of gradients: that node's gradient is the gradient of the
recorded example, recorded in the same way.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...compiler.batch import batch
from ...compiler.ir import Node as IRNode, make, rebuild
from ..tensor.engine import run
from ..tensor.evaluate import StandIn, pending_below, recording
from ..tensor.modes import state
from ..tensor.node import FREED, AccumulateGrad, Edge, Node
from ..tensor.row import call
from ..tensor.tensor import Tensor, gradient_edge, wrap
from ..tensor.value import Recipe, Value, recorded

STAND_IN = StandIn()


class Source(NamedTuple):
    """Examples and what stands for one of them.

    Attributes:
        example: the stand-in.
        whole: all examples, along the first axis.
        value: their contents when the function ran.
    """

    example: Tensor
    whole: Tensor
    value: Value


def source(whole: Tensor) -> Source:
    """A stand-in for the examples along the first axis of a tensor."""
    value = whole._value
    example = wrap(Value(STAND_IN, (), (), value.shape[1:], value.dtype), whole._dtype)
    example._requires_grad = state.grad and whole.requires_grad
    return Source(example, whole, value)


@contextmanager
def unknown_examples() -> Iterator[None]:
    """Within the block, what depends on a stand-in stays recorded."""
    recording.depth += 1
    try:
        yield
    finally:
        recording.depth -= 1


class _Examples(Recipe):
    """Recorded steps for one example, done for all.

    The parameters: how many examples there are, how many of the inputs are examples (the first ones), the steps
    `(recipe, parameters, index, inputs)`, and the results. An input or result is the position of an input of the whole, or,
    negative, of a step (-1 the first).
    """

    __slots__ = ()

    def emit(self, nodes: Sequence[IRNode], masks: Sequence[IRNode | None], params: tuple[Any, ...], index: int
             ) -> tuple[IRNode, IRNode | None]:
        stand_ins, found = _template(params, tuple((n.shape, n.dtype.name) for n in nodes))
        value, mask = found[index]
        again = rebuild([value] if mask is None else [value, mask], dict(zip(stand_ins, nodes, strict=True)))
        return again[0], None if mask is None else again[1]


EXAMPLES = _Examples()


@lru_cache(maxsize=512)
def _template(params: tuple[Any, ...], avals: tuple[Any, ...]) -> tuple[list[IRNode], list[tuple[IRNode, IRNode | None]]]:
    """The nodes (and masks) of the results in terms of stand-ins for the inputs."""
    size, count, steps, results = params
    wholes = [make("input", shape=shape, dtype=np.dtype(name), position=-3 - k, name="whole") for k, (shape, name) in enumerate(avals)]
    ones = [make("input", shape=whole.shape[1:], dtype=whole.dtype, position=-3 - len(avals) - k, name="example")
            for k, whole in enumerate(wholes[:count])]
    nodes: dict[int, IRNode] = dict(enumerate([*ones, *wholes[count:]]))
    masks: dict[int, IRNode | None] = {}
    for k, (recipe, inner, index, inputs) in enumerate(steps):
        nodes[-1 - k], masks[-1 - k] = recipe.emit([nodes[i] for i in inputs], [masks.get(i) for i in inputs], inner, index)
    wanted: list[IRNode] = [nodes[k] for k in results]
    masked = [mask for k in results if (mask := masks.get(k)) is not None]
    made = iter(batch([*wanted, *masked], dict(zip(ones, wholes, strict=False)), size))
    values = [next(made) for _ in wanted]
    return wholes, [(value, None if masks.get(k) is None else next(made)) for k, value in zip(results, values, strict=True)]


def _recorded(results: Sequence[Value], sources: Sequence[Source], size: int) -> list[Value]:
    """The Values of all examples."""
    position = {id(one.example._value): k for k, one in enumerate(sources)}
    depends = set(position)
    inputs = [one.value for one in sources]
    steps: list[Any] = []

    def place(value: Value) -> int:
        if id(value) not in position:
            position[id(value)] = len(inputs)
            inputs.append(value)
        return position[id(value)]

    for value in pending_below(results):
        if id(value) in depends or not any(id(item) in depends for item in value.inputs):
            continue
        depends.add(id(value))
        steps.append((value.recipe, value.params, value.index, tuple(place(item) for item in value.inputs)))
        position[id(value)] = -len(steps)
    wanted = tuple(place(value) for value in results)
    params = (size, len(sources), tuple(steps), wanted)
    return [recorded(EXAMPLES, tuple(inputs), params, (size, *value.shape), value.dtype, k) for k, value in enumerate(results)]


class _ExamplesNode(Node):
    """A function of examples in the graph of gradients.

    Attributes:
        start: nodes with smaller sequence numbers were there before the function ran.
        inside: where gradients arrive in the function's own graph, one for each edge of this node.
        shared: which of these are the same tensor for every example.
    """

    __slots__ = ("inside", "results", "shared", "size", "sources", "start")

    def __init__(self, edges: Sequence[Edge], outputs: Sequence[Any], results: Sequence[Tensor], sources: Sequence[Source], size: int,
                 start: int, inside: Sequence[Edge], shared: Sequence[bool]) -> None:
        super().__init__(edges, outputs)
        self.results: Sequence[Tensor] | None = results
        self.sources = sources
        self.size = size
        self.start = start
        self.inside = inside
        self.shared = shared

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        if self.results is None:
            raise RuntimeError(FREED)
        given = [(source(ct), result) for ct, result in zip(grads, self.results, strict=True) if ct is not None and result.requires_grad]
        with unknown_examples():
            roots = [edge for _, result in given if (edge := gradient_edge(result)) is not None]
            found = run(roots, [ct.example for ct, _ in given], keep_graph=True, create_graph=state.grad, capture=self.inside,
                        accumulate=False, through=False)
        places = sorted(found)
        wholes = all_examples([found[k] for k in places], [*self.sources, *(ct for ct, _ in given)], self.size, self.start)
        made: list[Tensor | None] = [None] * len(self.edges)
        for k, whole in zip(places, wholes, strict=True):
            made[k] = call("sum", whole, 0) if self.shared[k] else whole
        return made

    def release(self) -> None:
        self.results = None
        self.sources = ()


def all_examples(results: Sequence[Tensor], sources: Sequence[Source], size: int, start: int) -> list[Tensor]:
    """Tensors with the results for all examples along a new first axis, in the graph outside."""
    values = _recorded([result._value for result in results], sources, size)
    made = [wrap(value, result._dtype) for value, result in zip(values, results, strict=True)]
    if not state.grad or not any(result.requires_grad for result in results):
        return made
    inside, edges, shared = _boundary(results, sources, start)
    if edges:
        first = next(result for result in results if result.requires_grad)
        name = "AccumulateGrad" if first.grad_fn is None else type(first.grad_fn).__name__
        node = _node_class(name)(edges, tuple((t._shape, t._dtype) for t in made), results, sources, size, start, inside, shared)
        for k, (tensor, result) in enumerate(zip(made, results, strict=True)):
            if result.requires_grad:
                tensor._grad_fn, tensor._output_nr = node, k
    return made


@cache
def _node_class(name: str) -> type[_ExamplesNode]:
    """The class of nodes that show as the last operation of the function."""
    return type(name, (_ExamplesNode,), {"__slots__": (), "__module__": "torch.autograd.graph"})


def _boundary(results: Sequence[Tensor], sources: Sequence[Source], start: int) -> tuple[list[Edge], list[Edge], list[bool]]:
    """Where gradients leave the function: inside, outside, and whether to the same tensor for every example."""
    of_example: dict[Node, Edge | None] = {}
    for one in sources:
        if one.example._requires_grad:
            edge = gradient_edge(one.example)
            assert edge is not None
            of_example[edge[0]] = gradient_edge(one.whole)
    inside: list[Edge] = []
    outside: list[Edge] = []
    shared: list[bool] = []
    seen: set[Any] = set()
    stack = [edge for result in results if (edge := gradient_edge(result)) is not None]
    while stack:
        edge = stack.pop()
        node = edge[0]
        leaves = isinstance(node, AccumulateGrad) or node.sequence < start
        key = edge if leaves else node
        if key in seen:
            continue
        seen.add(key)
        if not leaves:
            stack.extend(below for below in node.edges if below is not None)
            continue
        target = of_example.get(node, edge)
        if target is not None:
            inside.append(edge)
            outside.append(target)
            shared.append(node not in of_example)
    return inside, outside, shared
