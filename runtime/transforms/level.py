"""One level of differentiation: fresh inputs, and what leaves the level again."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tensor.engine import grad
from ..tensor.modes import enable_grad, state
from ..tensor.node import AccumulateGrad, Node
from ..tensor.records import Record
from ..tensor.row import call
from ..tensor.tape import current
from ..tensor.tensor import Tensor, accumulator, alias_of, gradient_edge
from .trees import leaves, mapped


class Level:
    """A function is differentiated with respect to fresh stand-ins of its inputs.

    Where an input is itself part of a graph, its stand-in is an operation on it, so that the derivatives can be
    differentiated again from outside. Whatever leaves the level and depends on nothing outside leaves the graph, too.
    """

    def __init__(self) -> None:
        self.recording = state.grad  # whether those outside want to differentiate
        self.own: set[Node] = set()

    def enter(self, tensor: Tensor) -> Tensor:
        """A stand-in for `tensor` that gradients flow to (of an integer tensor: none do)."""
        if not tensor._dtype.is_floating_point:
            return alias_of(tensor)
        if tensor.requires_grad and self.recording:
            with enable_grad():
                made: Tensor = call("view_as", tensor, tensor)
            return made
        made = alias_of(tensor)
        made._requires_grad = True
        edge = gradient_edge(made)
        assert edge is not None
        self.own.add(edge[0])
        return made

    def reaches_outside(self, tensors: Sequence[Tensor]) -> bool:
        """Whether any of `tensors` depends on something that those outside may differentiate with respect to."""
        if not self.recording:
            return False
        stack: list[Any] = []
        for tensor in tensors:
            known = current(tensor)
            edge = None if type(known) is Record else gradient_edge(tensor)
            stack += [known] if type(known) is Record else [] if edge is None else [edge[0]]
        seen = set(stack)
        while stack:
            item = stack.pop()
            if isinstance(item, AccumulateGrad) and item not in self.own:
                return True
            for below in _below(item):
                if below not in seen:
                    seen.add(below)
                    stack.append(below)
        return False

    def leave(self, tree: Any) -> Any:
        """The same tensors for those outside."""
        return mapped(self._left, tree)

    def _left(self, item: Any) -> Any:
        if not isinstance(item, Tensor) or not item.requires_grad or self.reaches_outside([item]):
            return item
        return alias_of(item)


def _below(item: Any) -> list[Any]:
    """The records and nodes that gradients flow to from a record or node."""
    if type(item) is not Record:
        return [edge[0] for edge in item.edges if edge is not None]
    found = [i for i in item.inputs if i.aval.needs]
    return [i if type(i) is Record else i.maker or accumulator(i.tensor()) for i in found]


def gradients(outputs: Sequence[Tensor], inputs: Sequence[Tensor], cts: Sequence[Tensor | None], *, create_graph: bool) -> list[Tensor]:
    """The gradients of floating `outputs`, weighted by `cts`, kept for another pass; zeros where nothing depends on an input.

    Args:
        cts: None: 1, for a scalar.
    """
    live = [(out, ct) for out, ct in zip(outputs, cts, strict=True) if out.requires_grad]
    wanted = [k for k, tensor in enumerate(inputs) if tensor.requires_grad]
    found: dict[int, Tensor | None] = {}
    if live and wanted:
        made = grad([out for out, _ in live], [inputs[k] for k in wanted], [ct for _, ct in live], retain_graph=True,
                    create_graph=create_graph, allow_unused=True)
        found = dict(zip(wanted, made, strict=True))
    results: list[Tensor] = []
    for k, tensor in enumerate(inputs):
        result = found.get(k)
        results.append(alias_of(call("zeros_like", tensor)) if result is None else result)
    return results


Transposed = tuple[Tensor, Sequence[Tensor | None]]


def transposed(out: Tensor, inputs: Sequence[Tensor]) -> Transposed | None:
    """A cotangent, and the gradients of `out` that it weights; None where `out` is in no graph.

    The gradients are linear in the cotangent, and their transpose is the derivative.
    """
    if not out.requires_grad:
        return None
    with enable_grad():
        ct = alias_of(call("zeros_like", out))
        ct._requires_grad = True
        return ct, grad(out, inputs, ct, retain_graph=True, create_graph=True, allow_unused=True)


def pushed(made: Transposed | None, tangents: Sequence[Tensor], *, create_graph: bool) -> Tensor | None:
    """The tangent of a result, from what `transposed` made of it; None where it does not depend on the inputs."""
    if made is None:
        return None
    ct, rows = made
    used = [(row, tangent) for row, tangent in zip(rows, tangents, strict=True) if row is not None and row.requires_grad]
    if not used:
        return None
    return grad([row for row, _ in used], ct, [tangent for _, tangent in used], retain_graph=True, create_graph=create_graph,
                allow_unused=True)[0]


def pushed_forward(outputs: Sequence[Tensor], inputs: Sequence[Tensor], tangents: Sequence[Tensor], *, create_graph: bool
                   ) -> list[Tensor | None]:
    """The tangents of `outputs`; None where one does not depend on the inputs."""
    return [pushed(transposed(out, inputs), tangents, create_graph=create_graph) for out in outputs]


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors of a tree."""
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Tensor)]
