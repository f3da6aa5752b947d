"""Adam and its relatives.

The formulas are torch's, operation by operation, so that float32 results agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.ir import Node, f
from ..tensor.tensor import Tensor, wrap_array
from .common import Nodes, State, check_at_least, check_betas, count_step, gradient_of, lerp, shrunk, start, zeros_of
from .optimizer import FormulaOptimizer, Update, as_float


def _adam(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = gradient_of(p, g, n, flags)
    p = shrunk(p, n, flags)
    mean = lerp(s["exp_avg"], g, n["one_minus_beta1"])
    square = s["exp_avg_sq"] * n["beta2"] + n["one_minus_beta2"] * g * g
    out = {"exp_avg": mean, "exp_avg_sq": square}
    largest = square
    if "amsgrad" in flags:
        largest = out["max_exp_avg_sq"] = f.maximum(s["max_exp_avg_sq"], square)
    denominator = f.sqrt(largest) / n["root_correction2"] + n["eps"]
    return out | {"param": p + n["minus_step"] * mean / denominator}


class Adam(FormulaOptimizer):
    """Adaptive moments. Source: Kingma & Ba 2015; amsgrad: Reddi et al. 2018."""

    update = Update(_adam)

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_at_least(lr, "learning rate")
        check_at_least(eps, "epsilon value")
        check_betas(betas)
        check_at_least(weight_decay, "weight_decay value")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        start(parameter, state, "exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if group["amsgrad"] else ()))

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        step = count_step(state)
        beta1, beta2 = map(as_float, group["betas"])
        lr = as_float(group["lr"])
        numbers = {
            "one_minus_beta1": 1 - beta1,
            "beta2": beta2,
            "one_minus_beta2": 1 - beta2,
            "eps": group["eps"],
            "root_correction2": (1 - beta2**step) ** 0.5,
            "minus_step": -(lr / (1 - beta1**step)),
        }
        flags = set()
        names = ["exp_avg", "exp_avg_sq"]
        if group["amsgrad"]:
            flags.add("amsgrad")
            names.append("max_exp_avg_sq")
        if group["decoupled_weight_decay"]:
            flags.add("decoupled")
            numbers["shrink"] = 1 - lr * as_float(group["weight_decay"])
        return names, numbers, flags


class AdamW(Adam):
    """Adam with decoupled weight decay. Source: Loshchilov & Hutter 2019."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )


def _adamax(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = gradient_of(p, g, n, flags)
    mean = lerp(s["exp_avg"], g, n["one_minus_beta1"])
    largest = f.maximum(s["exp_inf"] * n["beta2"], f.abs(g) + n["eps"])
    return {"exp_avg": mean, "exp_inf": largest, "param": p + n["minus_step"] * mean / largest}


class Adamax(FormulaOptimizer):
    """Adam with the infinity norm. Source: Kingma & Ba 2015, section 7.1."""

    update = Update(_adamax)

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_at_least(lr, "learning rate")
        check_at_least(eps, "epsilon value")
        check_betas(betas)
        check_at_least(weight_decay, "weight_decay value")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        start(parameter, state, "exp_avg", "exp_inf")

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        step = count_step(state)
        beta1, beta2 = group["betas"]
        numbers = {
            "one_minus_beta1": 1 - beta1,
            "beta2": beta2,
            "eps": group["eps"],
            "minus_step": -(as_float(group["lr"]) / (1 - beta1**step)),
        }
        return ("exp_avg", "exp_inf"), numbers, set()


def _nadam(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = gradient_of(p, g, n, flags)
    p = shrunk(p, n, flags)
    mean = lerp(s["exp_avg"], g, n["one_minus_beta1"])
    square = s["exp_avg_sq"] * n["beta2"] + n["one_minus_beta2"] * g * g
    denominator = f.sqrt(square / n["correction2"]) + n["eps"]
    p = p + n["of_gradient"] * g / denominator
    return {"exp_avg": mean, "exp_avg_sq": square, "param": p + n["of_mean"] * mean / denominator}


class NAdam(FormulaOptimizer):
    """Adam with Nesterov momentum. Source: Dozat 2016."""

    update = Update(_nadam)

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least(lr, "learning rate")
        check_at_least(eps, "epsilon value")
        check_betas(betas)
        check_at_least(weight_decay, "weight_decay value")
        check_at_least(momentum_decay, "momentum_decay value")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        state["step"] = wrap_array(np.float32(0.0))
        state["mu_product"] = wrap_array(np.float32(1.0))
        state["exp_avg"], state["exp_avg_sq"] = zeros_of(parameter), zeros_of(parameter)

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        step = count_step(state)
        beta1, beta2 = group["betas"]
        lr, decay = as_float(group["lr"]), group["momentum_decay"]
        mu, mu_next = (beta1 * (1.0 - 0.5 * (0.96 ** (k * decay))) for k in (step, step + 1))
        product = np.float32(state["mu_product"].item() * np.float32(mu))
        state["mu_product"] = wrap_array(product)
        numbers = {
            "one_minus_beta1": 1 - beta1,
            "beta2": beta2,
            "one_minus_beta2": 1 - beta2,
            "eps": group["eps"],
            "correction2": 1 - beta2**step,
            "of_gradient": -lr * (1.0 - mu) / (1.0 - float(product)),
            "of_mean": (-lr * mu_next) / (1.0 - float(product) * mu_next),
        }
        flags = set()
        if group["decoupled_weight_decay"]:
            flags.add("decoupled")
            numbers["shrink"] = 1 - lr * group["weight_decay"]
        return ("exp_avg", "exp_avg_sq"), numbers, flags


def _radam(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = gradient_of(p, g, n, flags)
    p = shrunk(p, n, flags)
    mean = lerp(s["exp_avg"], g, n["one_minus_beta1"])
    square = s["exp_avg_sq"] * n["beta2"] + n["one_minus_beta2"] * g * g
    change = mean / n["correction1"] * n["lr"]
    if "rectified" in flags:
        change = change * (n["root_correction2"] / (f.sqrt(square) + n["eps"])) * n["rectification"]
    return {"exp_avg": mean, "exp_avg_sq": square, "param": p - change}


class RAdam(FormulaOptimizer):
    """Adam with its variance rectified. Source: Liu et al. 2020."""

    update = Update(_radam)

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least(lr, "learning rate")
        check_at_least(eps, "epsilon value")
        check_betas(betas)
        check_at_least(weight_decay, "weight_decay value")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
                "differentiable": differentiable,
            },
        )

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        start(parameter, state, "exp_avg", "exp_avg_sq")

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        step = count_step(state)
        beta1, beta2 = group["betas"]
        lr = as_float(group["lr"])
        correction2 = 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * (beta2**step) / correction2
        numbers = {"one_minus_beta1": 1 - beta1, "beta2": beta2, "one_minus_beta2": 1 - beta2, "correction1": 1 - beta1**step, "lr": lr}
        flags = set()
        if length > 5.0:
            flags.add("rectified")
            numbers |= {
                "eps": group["eps"],
                "root_correction2": correction2**0.5,
                "rectification": ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)) ** 0.5,
            }
        if group["decoupled_weight_decay"]:
            flags.add("decoupled")
            numbers["shrink"] = 1 - lr * group["weight_decay"]
        return ("exp_avg", "exp_avg_sq"), numbers, flags


for _cls in (Adam, AdamW, Adamax, NAdam, RAdam):
    _cls.__module__ = "torch.optim"
