"""Backward hooks of modules: gradients seen where they enter and leave a module, as torch shows them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..tensor.function import Function
from ..tensor.modes import state
from ..tensor.tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

NO_INPUT = (
    "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs require gradients. See "
    "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module.register_full_backward_hook for more details."
)


class BackwardHookFunction(Function):
    """The tensors as they are: a place in the graph where all their gradients pass at once."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Any:
        ctx.mark_non_differentiable(*[t for t in tensors if not t.requires_grad])
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads


class BackwardHooks:
    """The backward hooks around one call of a module: `entered` before it, `left` after it."""

    def __init__(self, module: Module, hooks: Sequence[Callable[..., Any]], pre_hooks: Sequence[Callable[..., Any]]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.inputs: list[int] | None = None  # places of the tensors among the arguments; None where no gradient will arrive there
        self.count = 0
        self.grads: tuple[Any, ...] | None = None  # of the outputs, from the time when they are known

    def entered(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, whose gradients are the hooks' `grad_input`."""
        self.count = len(args)
        args, self.inputs = self._watched(args, lambda grads, _outputs: self._run(grads))
        return args

    def left(self, result: Any) -> Any:
        """The results, whose gradients are the hooks' `grad_output`."""
        results = result if isinstance(result, tuple) else (result,)

        def arrived(_grads: Any, grad_outputs: tuple[Any, ...]) -> Any:
            self.grads = grad_outputs = _spread(places or [], grad_outputs, len(results))
            for hook in self.pre_hooks:
                self.grads = grad_outputs = _answered(grad_outputs, hook(self.module, grad_outputs), "pre hook", "grad_output")
            if self.inputs is None:
                self._run_without_inputs()
            return tuple(grad_outputs[k] for k in places or [])

        results, places = self._watched(results, arrived)
        return results if isinstance(result, tuple) else results[0]

    def _watched(self, args: tuple[Any, ...], hook: Callable[..., Any]) -> tuple[tuple[Any, ...], list[int] | None]:
        places = [k for k, a in enumerate(args) if isinstance(a, Tensor)]
        if not state.grad or not any(args[k].requires_grad for k in places):
            return args, None
        made = BackwardHookFunction.apply(*[args[k] for k in places])
        made = made if isinstance(made, tuple) else (made,)
        next(t.grad_fn for t in made if t.grad_fn is not None).register_hook(hook)
        changed = list(args)
        for k, tensor in zip(places, made, strict=True):
            changed[k] = tensor
        return tuple(changed), places

    def _run(self, grads: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self.grads is None:  # a gradient that reached the inputs without passing through the module's results
            return None
        places = self.inputs or []
        seen = _spread(places, grads, self.count)
        for hook in self.hooks:
            seen = _answered(seen, hook(self.module, seen, self.grads), "hook", "grad_input")
        self.grads = None
        return tuple(seen[k] for k in places)

    def _run_without_inputs(self) -> None:
        warnings.warn(NO_INPUT, stacklevel=6)
        for hook in self.hooks:
            changed = hook(self.module, (None,) * self.count, self.grads)
            if changed is not None and not (isinstance(changed, tuple) and all(c is None for c in changed)):
                raise RuntimeError("Backward hook for Modules where no input requires gradient should always return None or None for "
                                   "all gradients.")
        self.grads = None


def _answered(given: tuple[Any, ...], answer: Any, hook: str, what: str) -> tuple[Any, ...]:
    """The gradients after a hook, which leaves them by None.

    Raises:
        RuntimeError: torch's, for another number of them.
    """
    if answer is None:
        return given
    changed = answer if isinstance(answer, tuple) else (answer,)
    if len(changed) != len(given):
        raise RuntimeError(f"Backward {hook} returned an invalid number of {what}, got {len(changed)}, but expected {len(given)}")
    return changed


def _spread(places: Sequence[int], values: Sequence[Any], count: int) -> tuple[Any, ...]:
    """Values at their places, None elsewhere."""
    made = [None] * count
    for k, value in zip(places, values, strict=True):
        made[k] = value
    return tuple(made)
