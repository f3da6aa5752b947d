"""What a graph is before it is read: without the shifts that only keep its arithmetic in range, and differentiated."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..differentiate import is_differentiable, jvp, ones_like, vjp, without_marks, zeros_like
from ..errors import ArgumentError, ChainruleError, DifferentiationError
from ..interpret import bind_sizes, evaluate_nodes
from ..ir import Graph, Node, constant, current, f, flat_params, make, rebuild, toposort, with_inputs
from ..sizes import Opaque, Size, SizeExpr, evaluate, substitute, symbol
from .read import is_pointwise

__all__ = ["Derived", "derive", "evaluate_derived", "in_line", "position_of", "same", "sample", "spelled", "squared", "values",
           "without_shifts"]

_POINTS = 3
_LARGEST_CHECK = 20_000  # elements of an input at which a rewrite is checked
_MOST_SHIFTS = 16


def squared(graph: Graph) -> Graph:
    """The graph for equal sizes where it takes the smaller or larger of two that are equal in the example.

    The diagonal of a matrix that was square is read as that of a square matrix.
    """
    mapping: dict[str, Size] = {}
    for node in graph.nodes():
        for value in (*node.shape, *flat_params(node.params)):
            for atom in _extremes(value):
                left, right = substitute(atom.left, mapping), substitute(atom.right, mapping)
                names = sorted((str(s) for s in (left, right)), key=lambda name: (len(name), name))
                if left != right and set(names) <= graph.hints.keys() and graph.hints[names[0]] == graph.hints[names[1]]:
                    mapping = {k: substitute(v, {names[1]: symbol(names[0])}) for k, v in mapping.items()}
                    mapping[names[1]] = symbol(names[0])
    if not mapping:
        return graph
    nodes = rebuild([*graph.inputs, *graph.outputs], {}, mapping)
    count = len(graph.inputs)
    return Graph(tuple(nodes[:count]), tuple(nodes[count:]), graph.guards, graph.hints)


def _extremes(value: Any) -> list[Opaque]:
    """The minima and maxima of sizes in a size."""
    if not isinstance(value, SizeExpr):
        return []
    return [atom for monomial, _ in value.terms for atom in monomial if isinstance(atom, Opaque) and atom.op in ("min", "max")]


def in_line(graph: Graph) -> Graph:
    """The graph with the bodies of branches and checkpoints as parts of it; itself, if it has none."""
    if not any(node.op.in_line for node in graph.nodes()):
        return graph
    return in_line(_replaced(graph, lambda node: node.op.in_line(node) if node.op.in_line else node))  # bodies may have bodies in them


def spelled(graph: Graph) -> Graph:
    """The graph with the ops that formulas do not know by their own slopes in terms of others; itself, if it has none.

    It is for reading: its derivatives have 0/0 where those of the ops have values.
    """
    def in_others(node: Node) -> Node:
        names = node.op.names
        return names.meaning(f, *node.inputs) if names.spelled and names.meaning is not None else node

    return _replaced(graph, in_others) if any(node.op.names.spelled for node in graph.nodes()) else graph


def _replaced(graph: Graph, replace: Callable[[Node], Node]) -> Graph:
    """The graph with what is put for each node, whose inputs are replaced before."""
    done: dict[Node, Node] = {}
    before = current.sites
    try:
        for node in graph.nodes():
            inputs = tuple(done[i] for i in node.inputs)
            current.sites = node.sites
            done[node] = replace(node if inputs == node.inputs else with_inputs(node, inputs))
    finally:
        current.sites = before
    return graph.with_outputs([done[node] for node in graph.outputs])


# ------------------------------------------------------------------------------------------------ shifts
def without_shifts(graph: Graph) -> Graph:
    """The graph with each maximum that its outputs do not depend on replaced by zero.

    A softmax that subtracts the maximum first is a softmax; people read it without. That the outputs do not depend on the
    maximum is checked by numbers, at random points.
    """
    shifts = [n for n in graph.nodes() if n.op.name == "max" and is_differentiable(n)]
    if not shifts or len(shifts) > _MOST_SHIFTS:
        return graph
    points = sample(graph)
    if points is None:
        return graph
    expected = [values(graph.outputs, graph.inputs, p) for p in points]
    outputs = list(graph.outputs)
    for shift in shifts:
        if shift not in toposort(outputs):
            continue
        candidate = rebuild(outputs, {shift: constant(0, shift.dtype, shift.shape)})
        if all(same(values(candidate, graph.inputs, p), e) for p, e in zip(points, expected, strict=True)):
            outputs = candidate
    return graph.with_outputs(outputs)


def sample(graph: Graph, count: int = _POINTS) -> list[list[Any]] | None:
    """Arrays for the inputs, of the hinted sizes; None where they are large."""
    hints = dict(graph.hints)
    rng = np.random.default_rng(0)
    points = []
    for k in range(count):
        arrays: list[Any] = []
        for node in graph.inputs:
            shape = tuple(evaluate(s, hints) for s in node.shape)
            if np.prod(shape, dtype=float) > _LARGEST_CHECK:
                return None
            if node.dtype.kind == "f":
                arrays.append(rng.uniform(0.3, 1.4, shape) if k % 2 else rng.normal(size=shape))
            else:
                arrays.append(rng.integers(0, 2, shape).astype(node.dtype))
        points.append(arrays)
    return points


def values(outputs: Sequence[Node], inputs: Sequence[Node], arrays: Sequence[Any]) -> list[Any] | None:
    """What the outputs are there; None where they cannot be computed."""
    given = {n: np.asarray(a, n.dtype) for n, a in zip(inputs, arrays, strict=True)}
    try:
        return evaluate_nodes(outputs, given, bind_sizes(inputs, arrays))
    except (ChainruleError, np.linalg.LinAlgError, IndexError, ValueError):
        return None


def same(found: list[Any] | None, expected: list[Any] | None) -> bool:
    """Equal to rounding; points where nothing is finite prove nothing."""
    if found is None or expected is None:
        return False
    return all(np.all(np.isfinite(b)) and np.allclose(a, b, rtol=_tolerance(b), atol=0)
               for a, b in zip(found, expected, strict=True))


def _tolerance(value: Any) -> float:
    return 1e-4 if value.dtype == np.float32 else 1e-9


# ------------------------------------------------------------------------------------------------ derivatives
class Derived:
    """A derivative: its node, and for each further axis group of a Jacobian the tangent it is linear in.

    Attributes:
        value: what is differentiated.
        node: the gradient, or an elementwise derivative; with `tangents`, a program that is linear in each of them.
        tangents: stand-ins for a direction in an argument; the derivative has the axes of `node`, then those of each.
        pointwise: whether `node` is read as one element.
    """

    def __init__(self, value: Node, node: Node, tangents: tuple[Node, ...], pointwise: bool) -> None:
        self.value = value
        self.node = node
        self.tangents = tangents
        self.pointwise = pointwise

    @property
    def shape(self) -> tuple[Any, ...]:
        """The shape of the derivative."""
        shape = self.node.shape
        for tangent in self.tangents:
            shape = (*shape, *tangent.shape)
        return shape


def position_of(graph: Graph, name: str) -> int:
    """The place of an input.

    Raises:
        ArgumentError: there is no such input.
        DifferentiationError: it is not of a floating type.
    """
    names = [str(n.param("name")) for n in graph.inputs]
    if name not in names:
        raise ArgumentError(f"{name!r} is not an argument; the arguments are {', '.join(names)}")
    position = names.index(name)
    if not is_differentiable(graph.inputs[position]):
        raise DifferentiationError(f"{name} has dtype {graph.inputs[position].dtype}; a derivative needs a floating one")
    return position


def derive(graph: Graph, output: int, names: Sequence[str]) -> Derived:
    """The derivative of an output by the named inputs, one after the other."""
    node, (value,) = graph.outputs[output], without_marks([graph.outputs[output]])
    if not is_differentiable(node):
        raise DifferentiationError(f"the output has dtype {node.dtype}; a derivative needs a floating one")
    wrt = [graph.inputs[position_of(graph, name)] for name in names]
    pointwise = is_pointwise([value]) and all(x.shape in (node.shape, ()) for x in wrt) and (
        node.ndim == 0 or all(x.shape == node.shape for x in wrt))
    if pointwise:
        for x in wrt:
            node = _or_zero(jvp([node], {x: ones_like(x)})[0], node)
        (node,) = without_marks([node])
        return Derived(value, node, (), is_pointwise([value, node]))
    tangents: list[Node] = []
    for k, x in enumerate(wrt):
        if node.ndim == 0 and not tangents:
            node = _or_zero(vjp([node], [ones_like(node)], [x])[0], x)
        elif x.ndim == 0:
            node = _or_zero(jvp([node], {x: ones_like(x)})[0], node)
        else:
            stand_in = make("input", shape=x.shape, dtype=x.dtype, position=-1 - k, name=f"d{k}")
            node = _or_zero(jvp([node], {x: stand_in})[0], node)
            tangents.append(stand_in)
    return Derived(value, without_marks([node])[0], tuple(tangents), False)


def _or_zero(node: Node | None, like: Node) -> Node:
    return zeros_like(like) if node is None else node


def evaluate_derived(graph: Graph, derived: Derived, values: Mapping[Node, Any], sizes: Mapping[str, int]) -> Any:
    """The derivative's numbers: each tangent runs over the unit vectors of its argument."""
    if not derived.tangents:
        return evaluate_nodes([derived.node], values, sizes)[0]
    spans = [tuple(evaluate(s, sizes) for s in t.shape) for t in derived.tangents]
    places = [n for span in spans for n in span]

    def column(place: tuple[int, ...] | None) -> Any:
        at, known = 0, dict(values)
        for tangent, span in zip(derived.tangents, spans, strict=True):
            unit = np.zeros(span, tangent.dtype)
            if place is not None:
                unit[place[at: at + len(span)]] = 1
            known[tangent] = unit
            at += len(span)
        return np.asarray(evaluate_nodes([derived.node], known, sizes)[0])

    columns = [column(place) for place in np.ndindex(*places)]
    if not columns:
        return np.zeros((*column(None).shape, *places), derived.node.dtype)
    return np.stack(columns, axis=-1).reshape((*columns[0].shape, *places))
