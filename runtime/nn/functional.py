"""`chainrule.nn.functional`: the functions of neural networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Absolute, so that `import torch.nn.functional`, with chainrule in torch's place, finds these functions and no second copies.
from chainrule.runtime.tensor.functional import FUNCTIONAL

globals().update(FUNCTIONAL)
__all__ = sorted(FUNCTIONAL)


def __getattr__(name: str) -> Callable[..., Any]:
    raise AttributeError(f"module 'torch.nn.functional' has no attribute {name!r}", name=name)
