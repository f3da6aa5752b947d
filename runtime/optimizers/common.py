"""What the formulas of several optimisers share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.ir import Node, f
from ..tensor.row import call
from ..tensor.tensor import Tensor, wrap_array
from .optimizer import as_float

Nodes = dict[str, Node]
State = dict[str, Any]


def zeros_of(parameter: Tensor) -> Any:
    """Zeros of a parameter's shape and dtype."""
    return call("zeros_like", parameter.detach())


def count_step(state: State) -> float:
    """One more step; the count is kept as torch keeps it, a float32 tensor."""
    step = float(state["step"]._array()) + 1.0
    state["step"] = wrap_array(np.float32(step))
    return step


def start(parameter: Tensor, state: State, *names: str) -> None:
    """A new state: no steps, and zeros under the given names."""
    state["step"] = wrap_array(np.float32(0.0))
    for name in names:
        state[name] = zeros_of(parameter)


def gradient_of(p: Node, g: Node, n: Nodes, flags: frozenset[str]) -> Node:
    """The gradient, negated to maximise, with weight decay added unless that is decoupled."""
    if "maximize" in flags:
        g = f.neg(g)
    return g + n["weight_decay"] * p if "decay" in flags and "decoupled" not in flags else g


def shrunk(p: Node, n: Nodes, flags: frozenset[str]) -> Node:
    """The parameter after decoupled weight decay."""
    return p * n["shrink"] if "decay" in flags and "decoupled" in flags else p


def lerp(a: Node, b: Node, weight: Node) -> Node:
    """From a towards b; torch's two forms, by the weight."""
    return f.where(f.lt(f.abs(weight), 0.5), a + weight * (b - a), b - (b - a) * (1.0 - weight))


def check_at_least(value: Any, text: str, low: float = 0.0) -> None:
    """Refuse a number that is too small, in torch's words."""
    if not low <= as_float(value):
        raise ValueError(f"Invalid {text}: {value}")


def check_betas(betas: Any) -> None:
    """Refuse decay rates outside [0, 1)."""
    for k, beta in enumerate(betas):
        if not 0.0 <= as_float(beta) < 1.0:
            raise ValueError(f"Invalid beta parameter at index {k}: {beta}")
