"""Optimisers that scale each element's step by what its gradients have been."""
from __future__ import annotations

from typing import Any

from ..runtime.tensor.api import tensor, zeros_like
from .optimizer import Group, Optimizer, checked

__all__ = ["Adagrad", "Adam", "AdamW", "RMSprop"]


def _count(state: dict[str, Any]) -> float:
    """One more step; how many there were, this one included."""
    state["step"] += 1
    return float(state["step"].item())


class Adam(Optimizer):
    """Moving averages of the gradient and of its square, corrected for their start at zero.

    Source: Kingma, Ba, "Adam: a method for stochastic optimization", 2015; amsgrad: Reddi, Kale, Kumar, 2018.
    """

    def __init__(self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, amsgrad: bool = False, *, foreach: bool | None = None, maximize: bool = False,
                 capturable: bool = False, differentiable: bool = False, fused: bool | None = None,
                 decoupled_weight_decay: bool = False) -> None:
        checked("learning rate", lr, lr >= 0.0)
        checked("epsilon value", eps, eps >= 0.0)
        for index in (0, 1):
            checked(f"beta parameter at index {index}", betas[index], 0.0 <= betas[index] < 1.0)
        checked("weight_decay value", weight_decay, weight_decay >= 0.0)
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize,
            "foreach": foreach, "capturable": capturable, "differentiable": differentiable, "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay})

    def update(self, param: Any, grad: Any, group: Group, state: dict[str, Any]) -> None:
        if not state:
            state |= {"step": tensor(0.0), "exp_avg": zeros_like(param), "exp_avg_sq": zeros_like(param)}
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = zeros_like(param)
        step, (beta1, beta2) = _count(state), group["betas"]
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            if group["decoupled_weight_decay"]:
                param.mul_(1 - group["lr"] * group["weight_decay"])
            else:
                grad = grad.add(param, alpha=group["weight_decay"])
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        if group["amsgrad"]:
            largest = state["max_exp_avg_sq"]
            largest.copy_(largest.maximum(square))
            square = largest
        scale = (square.sqrt() / (1 - beta2**step) ** 0.5).add_(group["eps"])
        param.addcdiv_(mean, scale, value=-group["lr"] / (1 - beta1**step))


class AdamW(Adam):
    """Adam whose weight decay does not pass through the averages. Source: Loshchilov, Hutter, 2019."""

    def __init__(self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2, amsgrad: bool = False, **options: Any) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **options, decoupled_weight_decay=True)


class RMSprop(Optimizer):
    """Steps divided by a moving average of the gradient's size. Source: Hinton, lecture notes, 2012; centred: Graves, 2013."""

    def __init__(self, params: Any, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0,
                 momentum: float = 0, centered: bool = False, capturable: bool = False, foreach: bool | None = None,
                 maximize: bool = False, differentiable: bool = False) -> None:
        checked("learning rate", lr, lr >= 0.0)
        checked("epsilon value", eps, eps >= 0.0)
        checked("momentum value", momentum, momentum >= 0.0)
        checked("weight_decay value", weight_decay, weight_decay >= 0.0)
        checked("alpha value", alpha, alpha >= 0.0)
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered, "weight_decay": weight_decay,
            "capturable": capturable, "foreach": foreach, "maximize": maximize, "differentiable": differentiable})

    def update(self, param: Any, grad: Any, group: Group, state: dict[str, Any]) -> None:
        if not state:
            state |= {"step": tensor(0.0), "square_avg": zeros_like(param)}
            if group["momentum"] > 0:
                state["momentum_buffer"] = zeros_like(param)
            if group["centered"]:
                state["grad_avg"] = zeros_like(param)
        _count(state)
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            grad = grad.add(param, alpha=group["weight_decay"])
        alpha, square = group["alpha"], state["square_avg"]
        square.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        if group["centered"]:
            mean = state["grad_avg"]
            mean.lerp_(grad, 1 - alpha)
            size = square.addcmul(mean, mean, value=-1).sqrt_()
        else:
            size = square.sqrt()
        size = size.add_(group["eps"])
        if group["momentum"] > 0:
            buffer = state["momentum_buffer"]
            buffer.mul_(group["momentum"]).addcdiv_(grad, size)
            param.add_(buffer, alpha=-group["lr"])
        else:
            param.addcdiv_(grad, size, value=-group["lr"])


class Adagrad(Optimizer):
    """Steps divided by the root of all squared gradients so far. Source: Duchi, Hazan, Singer, 2011."""

    def __init__(self, params: Any, lr: float = 1e-2, lr_decay: float = 0, weight_decay: float = 0, initial_accumulator_value: float = 0,
                 eps: float = 1e-10, foreach: bool | None = None, *, maximize: bool = False, differentiable: bool = False,
                 fused: bool | None = None) -> None:
        checked("learning rate", lr, lr >= 0.0)
        checked("lr_decay value", lr_decay, lr_decay >= 0.0)
        checked("weight_decay value", weight_decay, weight_decay >= 0.0)
        checked("initial_accumulator_value value", initial_accumulator_value, initial_accumulator_value >= 0.0)
        checked("epsilon value", eps, eps >= 0.0)
        super().__init__(params, {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "fused": fused})

    def update(self, param: Any, grad: Any, group: Group, state: dict[str, Any]) -> None:
        if not state:
            state |= {"step": tensor(0.0), "sum": zeros_like(param).fill_(group["initial_accumulator_value"])}
        step = _count(state)
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            grad = grad.add(param, alpha=group["weight_decay"])
        state["sum"].addcmul_(grad, grad, value=1)
        param.addcdiv_(grad, state["sum"].sqrt().add_(group["eps"]), value=-group["lr"] / (1 + (step - 1) * group["lr_decay"]))
