"""Gradients of many parameters at once: clipping, and parameters as one vector."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..tensor.modes import no_grad
from ..tensor.row import call
from ..tensor.tensor import Tensor


def _with_grad(parameters: Any) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in given if p._grad is not None]


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None) -> Any:
    """The norm of all tensors taken together."""
    from ..tensor.create import tensor

    given = list(tensors)
    if not given:
        return tensor(0.0)
    norms = call("stack", [call("norm", t, norm_type) for t in given])
    total = call("norm", norms, norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be clipped. To disable "
            "this error and scale the gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


@no_grad()
def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Tensor, foreach: bool | None = None) -> None:
    """Scale gradients in place so that `total_norm` becomes at most `max_norm`."""
    factor = call("clamp", call("div", float(max_norm), call("add", total_norm, 1e-6)), max=1.0)
    for parameter in _with_grad(parameters):
        call("mul_", parameter._grad, factor)


@no_grad()
def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Any:
    """Scale all gradients in place so that their common norm is at most `max_norm`; returns the norm they had."""
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    total = get_total_norm([p._grad for p in _with_grad(given)], float(norm_type), error_if_nonfinite)  # type: ignore[misc]
    clip_grads_with_norm_(given, max_norm, total)
    return total


@no_grad()
def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Clip each element of the gradients in place to [-clip_value, clip_value]."""
    bound = float(clip_value)
    for parameter in _with_grad(parameters):
        call("clamp_", parameter._grad, -bound, bound)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Any:
    """All parameters, flattened and joined."""
    return call("cat", [call("view", p, -1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write the parts of a vector to the parameters."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    at = 0
    for parameter in parameters:
        count = parameter.numel()
        part: Any = call("narrow", vec, 0, at, count)
        parameter.data = call("view_as", part, parameter).data  # type: ignore[attr-defined]
        at += count
