"""`chainrule.autograd.function`: the classes behind `Function`."""
from __future__ import annotations

# Absolute, so that `import torch.autograd.function`, with chainrule in torch's place, finds these classes and no second copies.
from chainrule.runtime.tensor.function import Function, FunctionCtx, once_differentiable

__all__ = ["Function", "FunctionCtx", "once_differentiable"]
