"""`chainrule.optim`: optimisers and schedules of learning rates."""

from __future__ import annotations

import importlib
from typing import Any

if __name__ != "chainrule.optim":  # a second copy would have classes of its own
    raise ImportError(f"chainrule.optim was imported as {__name__!r}; import `chainrule.optim`")

from ..runtime.optimizers.algorithms import SGD, Adadelta, Adagrad, RMSprop, Rprop
from ..runtime.optimizers.moments import Adam, Adamax, AdamW, NAdam, RAdam
from ..runtime.optimizers.optimizer import Optimizer

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer", "RAdam", "RMSprop", "Rprop"]


def __getattr__(name: str) -> Any:
    if name in ("lr_scheduler", "optimizer"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
