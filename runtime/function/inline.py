"""Derivatives of a decorated function that is called while another one is traced: differentiated on the spot, in the IR."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...compiler import differentiate
from ...compiler.build import cast, reshape
from ...compiler.errors import ArgumentError, ShapeError
from ...compiler.ir import Node, rebuild
from ...compiler.matrices import forward_blocks, hessian_blocks, reverse_blocks
from ...compiler.provenance import at, user_site
from ...compiler.trace import Traced, active_session, lift, located, wrap
from ...compiler.trace.operands import strong
from ...compiler.views import View
from .derivatives import Chosen, in_order_of, require_scalar
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
    bare = len(trees) == 1 and not (type(values) in (tuple, list) and len(values) == 1)
    flatten(in_order_of(trees[0] if bare else Tree("tuple", tuple, tuple(trees)), values), leaves)
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
        given = _given(cotangent, (inlined.result,), smooth, "cotangents")
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


# ------------------------------------------------------------------------------------------------ whole matrices
def _compressed(inlined: Inlined, blocks: Sequence[Sequence[Node]]) -> list[list[Node]]:
    """Blocks on the actual arguments, the basis that they started from contracted away."""
    flat = inlined.finished([block for row in blocks for block in row], [block for row in blocks for block in row])
    from ...compiler.rewrite import compress  # with all rules, which no program from the disk cache needs

    made = iter(compress(flat)[0])
    return [[next(made) for _ in row] for row in blocks]


def jacobian(function: GradFunction, bound: Bound, flat: Flat, chosen: Chosen, mode: str | None) -> Any:
    """Every derivative of every floating output."""
    with located():
        inlined = Inlined(function, bound, flat, chosen)
        smooth = [y for y in inlined.outputs if y.dtype.kind == "f"]
        width, height = (sum(_elements(n) for n in nodes) for nodes in (inlined.stand_ins, smooth))
        forward = mode == "forward" or (mode is None and width < height)
        rows = iter(_compressed(inlined, (forward_blocks if forward else reverse_blocks)(smooth, inlined.stand_ins)))
        leaves = [_gradient_structure(inlined, next(rows)) if y.dtype.kind == "f" else None for y in inlined.outputs]
        return unflatten(inlined.result, iter(leaves))


def _elements(node: Node) -> int:
    """How many elements a node has in the call that is traced."""
    session = active_session()
    assert session is not None
    return math.prod(session.context.hint(s) for s in node.shape)


def hessian(function: GradFunction, bound: Bound, flat: Flat, chosen: Chosen) -> Any:
    """Second derivatives of the scalar output."""
    with located():
        inlined = Inlined(function, bound, flat, chosen)
        require_scalar(inlined.outputs, inlined.name)
        blocks = _compressed(inlined, hessian_blocks(inlined.outputs[0], inlined.stand_ins))
        return chosen.structured_twice([[wrap(n) for n in row] for row in blocks])
