"""`chainrule.autograd.function`: the classes behind `Function`."""
from __future__ import annotations

from ..runtime.tensor.function import Function, FunctionCtx, once_differentiable

__all__ = ["Function", "FunctionCtx", "once_differentiable"]
