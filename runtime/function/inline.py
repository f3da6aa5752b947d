"""Derivatives of a decorated function that is called while another one is traced: differentiated on the spot, in the IR."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler import differentiate
from ...compiler.build import cast, reshape, stack
from ...compiler.errors import ArgumentError, ShapeError
from ...compiler.ir import Node, constant, rebuild
from ...compiler.provenance import at, user_site
from ...compiler.trace import Session, Traced, active_session, lift, located, wrap
from ...compiler.trace.operands import strong
from ...compiler.views import View
from .derivatives import Chosen, require_scalar
from .signature import Bound, Flat
from .structure import Tree, flatten, unflatten
from .traced_program import rebuilt_arguments, result_of

if TYPE_CHECKING:
    from .decorated import GradFunction


class Inlined:
    """The function's program on stand-ins for its differentiated arguments, inside the trace that calls it."""

    def __init__(self, function: GradFunction, bound: Bound, flat: Flat, chosen: Chosen) -> None:
        session = active_session()
        assert session is not None
        self.name, self.chosen = function._name, chosen
        leaves = list(flat.leaves)
        self.actual: list[Node] = []
        self.stand_ins: list[Node] = []
        for k in chosen.leaves:
            operand = lift(leaves[k])
            stand_in = session.placeholder(operand.node)
            self.actual.append(operand.node)
            self.stand_ins.append(stand_in)
            leaves[k] = Traced(View.of(stand_in), session, operand.weak)
        args, kwargs = rebuilt_arguments(bound, flat, leaves)
        outputs: list[Any] = []
        self.result = flatten(result_of(session.prepare(function.__wrapped__)(*args, **kwargs), self.name), outputs)
        self.outputs = list(session.rewrite([lift(o).node for o in outputs]))

    def finished(self, nodes: Sequence[Node | None], like: Sequence[Node]) -> list[Node]:
        """Nodes on the actual arguments; structural zeros filled in."""
        made = [differentiate.zeros_like(x) if n is None else n for n, x in zip(nodes, like, strict=True)]
        return rebuild(made, dict(zip(self.stand_ins, self.actual, strict=True)))

    def structured(self, nodes: Sequence[Node]) -> Any:
        """Outputs in the structure of the result."""
        return unflatten(self.result, iter([wrap(n) for n in nodes]))

    def gradients(self) -> list[Node | None]:
        """Of the one scalar output, on stand-ins."""
        require_scalar(self.outputs, self.name)
        (output,) = self.outputs
        return differentiate.vjp([output], [differentiate.ones_like(output)], self.stand_ins)


def _gradient_structure(inlined: Inlined, nodes: Sequence[Node]) -> Any:
    return inlined.chosen.structured([wrap(n) for n in nodes])


def call(function: GradFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The function itself, as if it were written in the one that calls it."""
    session = active_session()
    assert session is not None
    return session.prepare(function.__wrapped__)(*args, **kwargs)


def value_and_grad(function: GradFunction, bound: Bound, flat: Flat, chosen: Chosen) -> tuple[Any, Any]:
    """(value, gradients) as traced values."""
    with located():
        inlined = Inlined(function, bound, flat, chosen)
        gradients = inlined.finished(inlined.gradients(), inlined.stand_ins)
        value = inlined.structured(inlined.finished(inlined.outputs, inlined.outputs))
        return value, _gradient_structure(inlined, gradients)


def _given(values: Any, trees: Sequence[Tree], like: Sequence[Node], what: str) -> list[Node]:
    """Tangents, vectors or cotangents as nodes of the right shapes."""
    leaves: list[Any] = []
    flatten(values, leaves)
    if len(leaves) != len(like):
        raise ArgumentError(f"{len(leaves)} {what} are given, {len(like)} are expected{at(user_site())}")
    nodes = []
    for leaf, node in zip(leaves, like, strict=True):
        given = cast(strong(lift(leaf)).node, node.dtype)
        if given.ndim != node.ndim:
            raise ShapeError(f"{what}: {given.ndim} axes are given, {node.ndim} are expected{at(user_site())}")
        nodes.append(reshape(given, node.shape) if given.shape != node.shape else given)
    return nodes


def vjp(function: GradFunction, bound: Bound, flat: Flat, chosen: Chosen, cotangent: Any) -> Any:
    """Cotangents of the chosen arguments."""
    with located():
        inlined = Inlined(function, bound, flat, chosen)
        smooth = [y for y in inlined.outputs if y.dtype.kind == "f"]
        given = _given(cotangent, (), smooth, "cotangents")
        pulled = differentiate.vjp(smooth, list(given), inlined.stand_ins)
        return _gradient_structure(inlined, inlined.finished(pulled, inlined.stand_ins))


def jvp(function: GradFunction, bound: Bound, flat: Flat, chosen: Chosen, tangents: Any) -> tuple[Any, Any]:
    """(output, its tangent)."""
    with located():
        inlined = Inlined(function, bound, flat, chosen)
        given = _given(tangents, chosen.trees, inlined.stand_ins, "tangents")
        pushed = differentiate.jvp(inlined.outputs, dict(zip(inlined.stand_ins, given, strict=True)))
        made = inlined.finished(pushed, inlined.outputs)
        return inlined.structured(inlined.finished(inlined.outputs, inlined.outputs)), inlined.structured(made)


def hvp(function: GradFunction, bound: Bound, flat: Flat, chosen: Chosen, vectors: Any) -> Any:
    """The Hessian times vectors."""
    with located():
        inlined = Inlined(function, bound, flat, chosen)
        given = _given(vectors, chosen.trees, inlined.stand_ins, "vectors")
        gradients = [differentiate.zeros_like(x) if g is None else g for g, x in zip(inlined.gradients(), inlined.stand_ins, strict=True)]
        products = differentiate.jvp(gradients, dict(zip(inlined.stand_ins, given, strict=True)))
        return _gradient_structure(inlined, inlined.finished(products, inlined.stand_ins))


# ------------------------------------------------------------------------------------------------ sweeps
def _extent(session: Session, node: Node) -> tuple[int, ...]:
    """The node's shape in plain numbers; a sweep over its elements is unrolled, so the program is for these sizes."""
    return tuple(session.specialise(s) for s in node.shape)


def _units(like: Node, extent: tuple[int, ...]) -> list[Node]:
    count = math.prod(extent)
    identity = wrap(constant(0, like.dtype, (count, count)))
    identity[range_of(count), range_of(count)] = 1.0
    return [reshape(identity[k].node, like.shape) for k in range(count)]


def range_of(count: int) -> Any:
    """0, 1, ... as an index array."""
    return np.arange(count)


def _rows(inlined: Inlined, output: Node) -> list[Node]:
    """For each stand-in: the derivative of `output`, of shape out_shape + in_shape, by one vjp for each element."""
    session = active_session()
    assert session is not None
    extent = _extent(session, output)
    pulled = [[differentiate.zeros_like(x) if g is None else g for g, x in
               zip(differentiate.vjp([output], [unit], inlined.stand_ins), inlined.stand_ins, strict=True)]
              for unit in _units(output, extent)]
    rows = []
    for j, x in enumerate(inlined.stand_ins):
        if pulled:
            rows.append(reshape(stack([row[j] for row in pulled], 0), (*extent, *x.shape)))
        else:
            rows.append(constant(0, x.dtype, (*extent, *x.shape)))
    return rows


def jacobian(function: GradFunction, bound: Bound, flat: Flat, chosen: Chosen) -> Any:
    """Every derivative of every floating output."""
    with located():
        inlined = Inlined(function, bound, flat, chosen)
        leaves: list[Any] = []
        for output in inlined.outputs:
            if output.dtype.kind != "f":
                leaves.append(None)
                continue
            rows = _rows(inlined, output)
            leaves.append(_gradient_structure(inlined, inlined.finished(rows, rows)))
        return unflatten(inlined.result, iter(leaves))


def hessian(function: GradFunction, bound: Bound, flat: Flat, chosen: Chosen) -> Any:
    """Second derivatives of the scalar output."""
    with located():
        inlined = Inlined(function, bound, flat, chosen)
        gradients = [differentiate.zeros_like(x) if g is None else g for g, x in zip(inlined.gradients(), inlined.stand_ins, strict=True)]
        blocks = []
        for gradient in gradients:
            rows = _rows(inlined, gradient)
            blocks.append([wrap(n) for n in inlined.finished(rows, rows)])
        return chosen.structured_twice(blocks)


