"""Stochastic gradient descent."""
from __future__ import annotations

from typing import Any

from .optimizer import Group, Optimizer, checked

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's variant of it.

    Source: Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep learning", 2013.
    """

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0, dampening: float = 0, weight_decay: float = 0,
                 nesterov: bool = False, *, maximize: bool = False, foreach: bool | None = None, differentiable: bool = False,
                 fused: bool | None = None) -> None:
        checked("learning rate", lr, lr >= 0.0)
        checked("momentum value", momentum, momentum >= 0.0)
        checked("weight_decay value", weight_decay, weight_decay >= 0.0)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize, "foreach": foreach, "differentiable": differentiable, "fused": fused})

    def remembers(self, group: Group) -> bool:
        return bool(group["momentum"] != 0)

    def update(self, param: Any, grad: Any, group: Group, state: dict[str, Any]) -> None:
        direction = -grad if group["maximize"] else grad
        if group["weight_decay"] != 0:
            direction = direction.add(param, alpha=group["weight_decay"])
        if group["momentum"] != 0:
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = direction.detach().clone()
            else:
                buffer.mul_(group["momentum"]).add_(direction, alpha=1 - group["dampening"])
            direction = direction.add(buffer, alpha=group["momentum"]) if group["nesterov"] else buffer
        param.add_(direction, alpha=-group["lr"])
