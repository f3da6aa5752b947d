"""One level of differentiation: fresh inputs, and what leaves the level again."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..tensor.engine import grad
from ..tensor.modes import enable_grad, state
from ..tensor.node import AccumulateGrad, Node
from ..tensor.row import call
from ..tensor.tensor import Tensor, alias_of, gradient_edge
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
        edges = [gradient_edge(tensor) for tensor in tensors]
        stack = [edge[0] for edge in edges if edge is not None]
        seen = set(stack)
        while stack:
            node = stack.pop()
            if isinstance(node, AccumulateGrad) and node not in self.own:
                return True
            for edge in node.edges:
                if edge is not None and edge[0] not in seen:
                    seen.add(edge[0])
                    stack.append(edge[0])
        return False

    def leave(self, tree: Any) -> Any:
        """The same tensors for those outside."""
        return mapped(self._left, tree)

    def _left(self, item: Any) -> Any:
        if not isinstance(item, Tensor) or self.reaches_outside([item]):
            return item
        return alias_of(item) if item.requires_grad else item


def gradients(outputs: Sequence[Tensor], inputs: Sequence[Tensor], cts: Sequence[Tensor], *, create_graph: bool) -> list[Tensor]:
    """The gradients of floating `outputs`, weighted by `cts`, kept for another pass; zeros where nothing depends on an input."""
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


def pushed_forward(outputs: Sequence[Tensor], inputs: Sequence[Tensor], tangents: Sequence[Tensor], *, create_graph: bool
                   ) -> list[Tensor | None]:
    """The tangents of `outputs`; None where one does not depend on the inputs.

    The gradient is linear in the cotangent, and its transpose is the derivative.
    """
    results: list[Tensor | None] = []
    for out in outputs:
        results.append(None)
        if not out.requires_grad:
            continue
        with enable_grad():
            ct = alias_of(call("zeros_like", out))
            ct._requires_grad = True
            rows = grad(out, inputs, ct, retain_graph=True, create_graph=True, allow_unused=True)
        used = [(row, tangent) for row, tangent in zip(rows, tangents, strict=True) if row is not None and row.requires_grad]
        if used:
            (found,) = grad([row for row, _ in used], ct, [tangent for _, tangent in used], retain_graph=True,
                            create_graph=create_graph, allow_unused=True)
            results[-1] = found
    return results


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors of a tree."""
    return [leaf for leaf in leaves(tree) if isinstance(leaf, Tensor)]
