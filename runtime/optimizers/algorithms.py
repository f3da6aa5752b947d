"""Gradient descent, running squares, signs: each a formula in IR, with the numbers that change from step to step as inputs.

The formulas are torch's, operation by operation, so that float32 results agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.ir import Node, constant, f
from ..tensor.row import call
from ..tensor.tensor import Tensor, wrap_array
from .common import Nodes, State, check_at_least, count_step, gradient_of, lerp, start, zeros_of
from .optimizer import FormulaOptimizer, Update, as_float, common
from .steps import Asked


# ---------------------------------------------------------------- stochastic gradient descent
def _sgd(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = gradient_of(p, g, n, flags)
    out: Nodes = {}
    if "momentum" in flags:
        buffer = g if "first" in flags else s["momentum_buffer"] * n["momentum"] + n["undamped"] * g
        out["momentum_buffer"] = buffer
        g = g + n["momentum"] * buffer if "nesterov" in flags else buffer
    return out | {"param": p + n["minus_lr"] * g}


class SGD(FormulaOptimizer):
    """Stochastic gradient descent, with momentum. Source: Sutskever et al. 2013."""

    update = Update(_sgd)

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_at_least(lr, "learning rate")
        check_at_least(momentum, "momentum value")
        check_at_least(weight_decay, "weight_decay value")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def asked(self, group: State) -> list[Asked]:
        """The updates; without momentum there is no state, and all parameters have the same numbers."""
        if group["momentum"]:
            return super().asked(group)
        numbers = {"minus_lr": -as_float(group["lr"])}
        flags: set[str] = set()
        common(group, numbers, flags)
        known = frozenset(flags)
        return [Asked(p, grad, {}, numbers, known) for p in group["params"] if (grad := p._grad) is not None]

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        flags = {"momentum"}
        if state.get("momentum_buffer") is None:
            flags.add("first")
            state["momentum_buffer"] = zeros_of(parameter)
        if group["nesterov"]:
            flags.add("nesterov")
        numbers = {"minus_lr": -as_float(group["lr"]), "momentum": group["momentum"], "undamped": 1 - group["dampening"]}
        return ("momentum_buffer",), numbers, flags


# ---------------------------------------------------------------- running squares
def _rmsprop(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = gradient_of(p, g, n, flags)
    square = s["square_avg"] * n["alpha"] + n["one_minus_alpha"] * g * g
    out = {"square_avg": square}
    spread = square
    if "centered" in flags:
        mean = out["grad_avg"] = lerp(s["grad_avg"], g, n["one_minus_alpha"])
        spread = square - mean * mean
    average = f.sqrt(spread) + n["eps"]
    if "momentum" in flags:
        buffer = out["momentum_buffer"] = s["momentum_buffer"] * n["momentum"] + g / average
        return out | {"param": p + n["minus_lr"] * buffer}
    return out | {"param": p + n["minus_lr"] * g / average}


class RMSprop(FormulaOptimizer):
    """Gradients divided by the root of their running mean square. Source: Hinton 2012; centred: Graves 2013."""

    update = Update(_rmsprop)

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least(lr, "learning rate")
        check_at_least(eps, "epsilon value")
        check_at_least(momentum, "momentum value")
        check_at_least(weight_decay, "weight_decay value")
        check_at_least(alpha, "alpha value")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        more = [name for name, there in (("momentum_buffer", group["momentum"] > 0), ("grad_avg", group["centered"])) if there]
        start(parameter, state, "square_avg", *more)

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        count_step(state)
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
    g = gradient_of(p, g, n, flags)
    total = s["sum"] + g * g
    return {"sum": total, "param": p + n["minus_lr"] * g / (f.sqrt(total) + n["eps"])}


class Adagrad(FormulaOptimizer):
    """Gradients divided by the root of the sum of their squares. Source: Duchi, Hazan & Singer 2011."""

    update = Update(_adagrad)

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_at_least(lr, "learning rate")
        check_at_least(lr_decay, "lr_decay value")
        check_at_least(weight_decay, "weight_decay value")
        check_at_least(initial_accumulator_value, "initial_accumulator_value value")
        check_at_least(eps, "epsilon value")
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                state["step"] = wrap_array(np.float32(0.0))
                state["sum"] = call("full_like", parameter, group["initial_accumulator_value"])

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        step = count_step(state)
        return ("sum",), {"minus_lr": -(as_float(group["lr"]) / (1 + (step - 1) * group["lr_decay"])), "eps": group["eps"]}, set()


def _adadelta(p: Node, g: Node, s: Nodes, n: Nodes, flags: frozenset[str]) -> Nodes:
    g = gradient_of(p, g, n, flags)
    square = s["square_avg"] * n["rho"] + n["one_minus_rho"] * g * g
    delta = f.sqrt(s["acc_delta"] + n["eps"]) / f.sqrt(square + n["eps"]) * g
    return {
        "square_avg": square,
        "acc_delta": s["acc_delta"] * n["rho"] + n["one_minus_rho"] * delta * delta,
        "param": p + n["minus_lr"] * delta,
    }


class Adadelta(FormulaOptimizer):
    """Steps scaled by the running mean square of earlier steps. Source: Zeiler 2012."""

    update = Update(_adadelta)

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least(lr, "learning rate")
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_at_least(eps, "epsilon value")
        check_at_least(weight_decay, "weight_decay value")
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        start(parameter, state, "square_avg", "acc_delta")

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        count_step(state)
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

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: Any = (0.5, 1.2),
        step_sizes: Any = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_at_least(lr, "learning rate")
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def begin(self, parameter: Tensor, group: State, state: State) -> None:
        start(parameter, state, "prev")
        state["step_size"] = call("full_like", parameter, as_float(group["lr"]))

    def arguments(self, parameter: Tensor, group: State, state: State) -> Any:
        count_step(state)
        (shrink, grow), (smallest, largest) = group["etas"], group["step_sizes"]
        return ("prev", "step_size"), {"shrink": shrink, "grow": grow, "smallest": smallest, "largest": largest}, set()


for _cls in (SGD, RMSprop, Adagrad, Adadelta, Rprop):
    _cls.__module__ = "torch.optim"
