"""Decorated functions: `@grad`, their derivatives, and the transforms as functions."""
from __future__ import annotations

from .branching import checkpoint, cond
from .control import scan
from .custom import custom_jvp, custom_vjp
from .decorated import GradFunction, grad
from .specification import spec
from .transforms import (
    check_grad,
    hessian,
    jacobian,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
    vmap,
)
from .while_loop import while_loop

__all__ = ["GradFunction", "check_grad", "checkpoint", "cond", "custom_jvp", "custom_vjp", "grad", "hessian", "jacobian",
           "jvp", "scan", "spec", "stop_gradient", "value_and_grad", "vjp", "vmap", "while_loop"]
