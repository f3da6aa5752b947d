"""The optimisers: each a formula in IR, with the numbers that change from step to step as inputs.

The formulas are torch's, operation by operation, so that float32 results agree.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.ir import Node, constant, f
from ..tensor.row import call
from ..tensor.tensor import Tensor, wrap_array
from .optimizer import FormulaOptimizer, Update, as_float

Nodes = dict[str, Node]
State = dict[str, Any]


def _zeros(parameter: Tensor) -> Any:
    return call("zeros_like", parameter.detach())


def _count(state: State) -> float:
    """One more step; the count is kept as torch keeps it, a float32 tensor."""
    step = float(state["step"].item()) + 1.0
    state["step"] = wrap_array(np.float32(step))
    return step


def _start(parameter: Tensor, state: State, *names: str) -> None:
    state["step"] = wrap_array(np.float32(0.0))
    for name in names:
        state[name] = _zeros(parameter)


def _gradient(p: Node, g: Node, n: Nodes, flags: frozenset[str]) -> Node:
    """The gradient, negated to maximise, with weight decay added unless that is decoupled."""
    if "maximize" in flags:
        g = f.neg(g)
    return g + n["weight_decay"] * p if "decay" in flags and "decoupled" not in flags else g


def _decoupled(p: Node, n: Nodes, flags: frozenset[str]) -> Node:
    return p * n["shrink"] if "decay" in flags and "decoupled" in flags else p


def _lerp(a: Node, b: Node, weight: Node) -> Node:
    """From a towards b; torch's two forms, by the weight."""
    return f.where(f.lt(f.abs(weight), 0.5), a + weight * (b - a), b - (b - a) * (1.0 - weight))


def _check(value: Any, text: str, low: float = 0.0) -> None:
    if not low <= as_float(value):
        raise ValueError(f"Invalid {text}: {value}")


def _check_betas(betas: Any) -> None:
    for k, beta in enumerate(betas):
        if not 0.0 <= as_float(beta) < 1.0:
            raise ValueError(f"Invalid beta parameter at index {k}: {beta}")


# ---------------------------------------------------------------- stochastic gradient descent
def _sgd(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = _gradient(p, g, n, flags)
    out: Nodes = {}
    if "momentum" in flags:
        buffer = g if "first" in flags else s["momentum_buffer"] * n["momentum"] + n["undamped"] * g
        out["momentum_buffer"] = buffer
        g = g + n["momentum"] * buffer if "nesterov" in flags else buffer
    return out | {"param": p + n["minus_lr"] * g}


class SGD(FormulaOptimizer):
    """Stochastic gradient descent, with momentum. Source: Sutskever et al. 2013."""

    update = Update(_sgd)

    def __init__(self, params: Any, lr: Any = 1e-3, momentum: float = 0, dampening: float = 0, weight_decay: Any = 0, nesterov: bool = False, *,
                 maximize: bool = False, foreach: bool | None = None, differentiable: bool = False, fused: bool | None = None) -> None:
        _check(lr, "learning rate")
        _check(momentum, "momentum value")
        _check(weight_decay, "weight_decay value")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
                                  "maximize": maximize, "foreach": foreach, "differentiable": differentiable, "fused": fused})

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        numbers = {"minus_lr": -as_float(group["lr"])}
        flags: set[str] = set()
        if not group["momentum"]:
            return (), numbers, flags
        flags.add("momentum")
        if state.get("momentum_buffer") is None:
            flags.add("first")
            state["momentum_buffer"] = _zeros(parameter)
        if group["nesterov"]:
            flags.add("nesterov")
        return ("momentum_buffer",), numbers | {"momentum": group["momentum"], "undamped": 1 - group["dampening"]}, flags


# ---------------------------------------------------------------- Adam
def _adam(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = _gradient(p, g, n, flags)
    p = _decoupled(p, n, flags)
    mean = _lerp(s["exp_avg"], g, n["one_minus_beta1"])
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

    def __init__(self, params: Any, lr: Any = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False,
                 *, foreach: bool | None = None, maximize: bool = False, capturable: bool = False, differentiable: bool = False,
                 fused: bool | None = None, decoupled_weight_decay: bool = False) -> None:
        _check(lr, "learning rate")
        _check(eps, "epsilon value")
        _check_betas(betas)
        _check(weight_decay, "weight_decay value")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize,
                                  "foreach": foreach, "capturable": capturable, "differentiable": differentiable, "fused": fused,
                                  "decoupled_weight_decay": decoupled_weight_decay})

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        _start(parameter, state, "exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if group["amsgrad"] else ()))

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        step = _count(state)
        beta1, beta2 = map(as_float, group["betas"])
        lr = as_float(group["lr"])
        numbers = {"one_minus_beta1": 1 - beta1, "beta2": beta2, "one_minus_beta2": 1 - beta2, "eps": group["eps"],
                   "root_correction2": (1 - beta2**step) ** 0.5, "minus_step": -(lr / (1 - beta1**step))}
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

    def __init__(self, params: Any, lr: Any = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 1e-2,
                 amsgrad: bool = False, *, maximize: bool = False, foreach: bool | None = None, capturable: bool = False,
                 differentiable: bool = False, fused: bool | None = None) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
                         differentiable=differentiable, fused=fused, decoupled_weight_decay=True)


def _adamax(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = _gradient(p, g, n, flags)
    mean = _lerp(s["exp_avg"], g, n["one_minus_beta1"])
    largest = f.maximum(s["exp_inf"] * n["beta2"], f.abs(g) + n["eps"])
    return {"exp_avg": mean, "exp_inf": largest, "param": p + n["minus_step"] * mean / largest}


class Adamax(FormulaOptimizer):
    """Adam with the infinity norm. Source: Kingma & Ba 2015, section 7.1."""

    update = Update(_adamax)

    def __init__(self, params: Any, lr: Any = 2e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
                 foreach: bool | None = None, *, maximize: bool = False, differentiable: bool = False, capturable: bool = False) -> None:
        _check(lr, "learning rate")
        _check(eps, "epsilon value")
        _check_betas(betas)
        _check(weight_decay, "weight_decay value")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach, "maximize": maximize,
                                  "differentiable": differentiable, "capturable": capturable})

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        _start(parameter, state, "exp_avg", "exp_inf")

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        step = _count(state)
        beta1, beta2 = group["betas"]
        numbers = {"one_minus_beta1": 1 - beta1, "beta2": beta2, "eps": group["eps"], "minus_step": -(as_float(group["lr"]) / (1 - beta1**step))}
        return ("exp_avg", "exp_inf"), numbers, set()


def _nadam(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = _gradient(p, g, n, flags)
    p = _decoupled(p, n, flags)
    mean = _lerp(s["exp_avg"], g, n["one_minus_beta1"])
    square = s["exp_avg_sq"] * n["beta2"] + n["one_minus_beta2"] * g * g
    denominator = f.sqrt(square / n["correction2"]) + n["eps"]
    p = p + n["of_gradient"] * g / denominator
    return {"exp_avg": mean, "exp_avg_sq": square, "param": p + n["of_mean"] * mean / denominator}


class NAdam(FormulaOptimizer):
    """Adam with Nesterov momentum. Source: Dozat 2016."""

    update = Update(_nadam)

    def __init__(self, params: Any, lr: Any = 2e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
                 momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *, foreach: bool | None = None, maximize: bool = False,
                 capturable: bool = False, differentiable: bool = False) -> None:
        _check(lr, "learning rate")
        _check(eps, "epsilon value")
        _check_betas(betas)
        _check(weight_decay, "weight_decay value")
        _check(momentum_decay, "momentum_decay value")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
                                  "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach,
                                  "capturable": capturable, "differentiable": differentiable})

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        state["step"] = wrap_array(np.float32(0.0))
        state["mu_product"] = wrap_array(np.float32(1.0))
        state["exp_avg"], state["exp_avg_sq"] = _zeros(parameter), _zeros(parameter)

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        step = _count(state)
        beta1, beta2 = group["betas"]
        lr, decay = as_float(group["lr"]), group["momentum_decay"]
        mu, mu_next = (beta1 * (1.0 - 0.5 * (0.96 ** (k * decay))) for k in (step, step + 1))
        product = np.float32(state["mu_product"].item() * np.float32(mu))
        state["mu_product"] = wrap_array(product)
        numbers = {"one_minus_beta1": 1 - beta1, "beta2": beta2, "one_minus_beta2": 1 - beta2, "eps": group["eps"],
                   "correction2": 1 - beta2**step, "of_gradient": -lr * (1.0 - mu) / (1.0 - float(product)),
                   "of_mean": (-lr * mu_next) / (1.0 - float(product) * mu_next)}
        flags = set()
        if group["decoupled_weight_decay"]:
            flags.add("decoupled")
            numbers["shrink"] = 1 - lr * group["weight_decay"]
        return ("exp_avg", "exp_avg_sq"), numbers, flags


def _radam(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = _gradient(p, g, n, flags)
    p = _decoupled(p, n, flags)
    mean = _lerp(s["exp_avg"], g, n["one_minus_beta1"])
    square = s["exp_avg_sq"] * n["beta2"] + n["one_minus_beta2"] * g * g
    change = mean / n["correction1"] * n["lr"]
    if "rectified" in flags:
        change = change * (n["root_correction2"] / (f.sqrt(square) + n["eps"])) * n["rectification"]
    return {"exp_avg": mean, "exp_avg_sq": square, "param": p - change}


class RAdam(FormulaOptimizer):
    """Adam with its variance rectified. Source: Liu et al. 2020."""

    update = Update(_radam)

    def __init__(self, params: Any, lr: Any = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
                 decoupled_weight_decay: bool = False, *, foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
                 differentiable: bool = False) -> None:
        _check(lr, "learning rate")
        _check(eps, "epsilon value")
        _check_betas(betas)
        _check(weight_decay, "weight_decay value")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize, "foreach": foreach,
                                  "capturable": capturable, "decoupled_weight_decay": decoupled_weight_decay,
                                  "differentiable": differentiable})

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        _start(parameter, state, "exp_avg", "exp_avg_sq")

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        step = _count(state)
        beta1, beta2 = group["betas"]
        lr = as_float(group["lr"])
        correction2 = 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * (beta2**step) / correction2
        numbers = {"one_minus_beta1": 1 - beta1, "beta2": beta2, "one_minus_beta2": 1 - beta2, "correction1": 1 - beta1**step, "lr": lr}
        flags = set()
        if length > 5.0:
            flags.add("rectified")
            numbers |= {"eps": group["eps"], "root_correction2": correction2**0.5, "rectification": (
                (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)) ** 0.5}
        if group["decoupled_weight_decay"]:
            flags.add("decoupled")
            numbers["shrink"] = 1 - lr * group["weight_decay"]
        return ("exp_avg", "exp_avg_sq"), numbers, flags


# ---------------------------------------------------------------- running squares
def _rmsprop(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = _gradient(p, g, n, flags)
    square = s["square_avg"] * n["alpha"] + n["one_minus_alpha"] * g * g
    out = {"square_avg": square}
    spread = square
    if "centered" in flags:
        mean = out["grad_avg"] = _lerp(s["grad_avg"], g, n["one_minus_alpha"])
        spread = square - mean * mean
    average = f.sqrt(spread) + n["eps"]
    if "momentum" in flags:
        buffer = out["momentum_buffer"] = s["momentum_buffer"] * n["momentum"] + g / average
        return out | {"param": p + n["minus_lr"] * buffer}
    return out | {"param": p + n["minus_lr"] * g / average}


class RMSprop(FormulaOptimizer):
    """Gradients divided by the root of their running mean square. Source: Hinton 2012; centred: Graves 2013."""

    update = Update(_rmsprop)

    def __init__(self, params: Any, lr: Any = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0, momentum: float = 0,
                 centered: bool = False, capturable: bool = False, foreach: bool | None = None, maximize: bool = False,
                 differentiable: bool = False) -> None:
        _check(lr, "learning rate")
        _check(eps, "epsilon value")
        _check(momentum, "momentum value")
        _check(weight_decay, "weight_decay value")
        _check(alpha, "alpha value")
        super().__init__(params, {"lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered, "weight_decay": weight_decay,
                                  "capturable": capturable, "foreach": foreach, "maximize": maximize, "differentiable": differentiable})

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        more = [name for name, there in (("momentum_buffer", group["momentum"] > 0), ("grad_avg", group["centered"])) if there]
        _start(parameter, state, "square_avg", *more)

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        _count(state)
        numbers = {"alpha": group["alpha"], "one_minus_alpha": 1 - group["alpha"], "eps": group["eps"], "minus_lr": -as_float(group["lr"])}
        names, flags = ["square_avg"], set()
        if group["centered"]:
            flags.add("centered")
            names.append("grad_avg")
        if group["momentum"] > 0:
            flags.add("momentum")
            names.append("momentum_buffer")
            numbers["momentum"] = group["momentum"]
        return names, numbers, flags


def _adagrad(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = _gradient(p, g, n, flags)
    total = s["sum"] + g * g
    return {"sum": total, "param": p + n["minus_lr"] * g / (f.sqrt(total) + n["eps"])}


class Adagrad(FormulaOptimizer):
    """Gradients divided by the root of the sum of their squares. Source: Duchi, Hazan & Singer 2011."""

    update = Update(_adagrad)

    def __init__(self, params: Any, lr: Any = 1e-2, lr_decay: float = 0, weight_decay: float = 0, initial_accumulator_value: float = 0,
                 eps: float = 1e-10, foreach: bool | None = None, *, maximize: bool = False, differentiable: bool = False,
                 fused: bool | None = None) -> None:
        _check(lr, "learning rate")
        _check(lr_decay, "lr_decay value")
        _check(weight_decay, "weight_decay value")
        _check(initial_accumulator_value, "initial_accumulator_value value")
        _check(eps, "epsilon value")
        super().__init__(params, {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
                                  "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
                                  "differentiable": differentiable, "fused": fused})
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                state["step"] = wrap_array(np.float32(0.0))
                state["sum"] = call("full_like", parameter, group["initial_accumulator_value"])

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        step = _count(state)
        return ("sum",), {"minus_lr": -(as_float(group["lr"]) / (1 + (step - 1) * group["lr_decay"])), "eps": group["eps"]}, set()


def _adadelta(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = _gradient(p, g, n, flags)
    square = s["square_avg"] * n["rho"] + n["one_minus_rho"] * g * g
    delta = f.sqrt(s["acc_delta"] + n["eps"]) / f.sqrt(square + n["eps"]) * g
    return {"square_avg": square, "acc_delta": s["acc_delta"] * n["rho"] + n["one_minus_rho"] * delta * delta,
            "param": p + n["minus_lr"] * delta}


class Adadelta(FormulaOptimizer):
    """Steps scaled by the running mean square of earlier steps. Source: Zeiler 2012."""

    update = Update(_adadelta)

    def __init__(self, params: Any, lr: Any = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0, foreach: bool | None = None, *,
                 capturable: bool = False, maximize: bool = False, differentiable: bool = False) -> None:
        _check(lr, "learning rate")
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        _check(eps, "epsilon value")
        _check(weight_decay, "weight_decay value")
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize, "capturable": capturable,
                                  "foreach": foreach, "differentiable": differentiable})

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        _start(parameter, state, "square_avg", "acc_delta")

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        _count(state)
        numbers = {"rho": group["rho"], "one_minus_rho": 1 - group["rho"], "eps": group["eps"], "minus_lr": -as_float(group["lr"])}
        return ("square_avg", "acc_delta"), numbers, set()


# ---------------------------------------------------------------- signs
def _rprop(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    if "maximize" in flags:
        g = f.neg(g)
    product = g * s["prev"]
    turned = f.lt(product, 0.0)
    factor = f.where(f.gt(product, 0.0), n["grow"], f.where(turned, n["shrink"], constant(1, p.dtype, p.shape)))
    size = f.minimum(f.maximum(s["step_size"] * factor, n["smallest"]), n["largest"])
    g = f.where(turned, constant(0, p.dtype, p.shape), g)
    return {"prev": g, "step_size": size, "param": p - f.sign(g) * size}


class Rprop(FormulaOptimizer):
    """Steps by the signs of gradients only. Source: Riedmiller & Braun 1993."""

    update = Update(_rprop)

    def __init__(self, params: Any, lr: Any = 1e-2, etas: Any = (0.5, 1.2), step_sizes: Any = (1e-6, 50), *, capturable: bool = False,
                 foreach: bool | None = None, maximize: bool = False, differentiable: bool = False) -> None:
        _check(lr, "learning rate")
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach, "maximize": maximize,
                                  "differentiable": differentiable, "capturable": capturable})

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        _start(parameter, state, "prev")
        state["step_size"] = call("full_like", parameter, as_float(group["lr"]))

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        _count(state)
        (shrink, grow), (smallest, largest) = group["etas"], group["step_sizes"]
        return ("prev", "step_size"), {"shrink": shrink, "grow": grow, "smallest": smallest, "largest": largest}, set()


ALGORITHMS = {cls.__name__: cls for cls in (SGD, Adam, AdamW, Adamax, NAdam, RAdam, RMSprop, Adagrad, Adadelta, Rprop)}
for _cls in ALGORITHMS.values():
    _cls.__module__ = "torch.optim"
