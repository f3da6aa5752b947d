"""`chainrule.autograd.graph`: nodes of the graph, hooks on saved tensors and on several gradients."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..runtime.tensor.hooks import RemovableHandle
from ..runtime.tensor.modes import state
from ..runtime.tensor.node import Node
from ..runtime.tensor.tensor import Tensor, gradient_edge

__all__ = ["GradientEdge", "Node", "get_gradient_edge", "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks"]


class saved_tensors_hooks:
    """Tensors that are saved inside the block are kept as what `pack` makes of them, and read through `unpack`."""

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self._hooks = pack_hook, unpack_hook

    def __enter__(self) -> None:
        state.saved_hooks.append(self._hooks)
        state.refresh()

    def __exit__(self, *_error: object) -> None:
        state.saved_hooks.pop()
        state.refresh()


class save_on_cpu(saved_tensors_hooks):
    """Saved tensors are on the CPU already: nothing to do."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda tensor: tensor, lambda tensor: tensor)


class GradientEdge(tuple[Any, ...]):
    """Where a tensor's gradient goes: `node` and `output_nr`."""

    node = property(lambda self: self[0])
    output_nr = property(lambda self: self[1])


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The place of a tensor in the graph of gradients.

    Raises:
        RuntimeError: the tensor does not require grad.
    """
    edge = gradient_edge(tensor)
    if edge is None:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(edge)


class _Handles:
    """The handles of one hook on several tensors."""

    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        self._handles = handles

    def remove(self) -> None:
        """Take the hook off every tensor."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> _Handles:
        return self

    def __exit__(self, *_error: object) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable[[Any], None], *, mode: str = "all") -> _Handles:
    """Call `fn` with all the gradients of `tensors` once the last has arrived, or with the first one to arrive (`mode="any"`)."""
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    found: list[Any] = [None] * len(tensors)
    seen = [0]

    def hook_of(position: int) -> Callable[[Tensor], None]:
        def hook(grad: Tensor) -> None:
            seen[0] += 1
            found[position] = grad
            if mode == "any":
                if seen[0] == 1:
                    fn(grad)
            elif seen[0] == len(tensors):
                grads = list(found)
                found[:] = [None] * len(tensors)
                seen[0] = 0
                fn(grads)

        return hook

    return _Handles([tensor.register_hook(hook_of(k)) for k, tensor in enumerate(tensors)])
