"""`chainrule.optim`: gradient descent and its relatives, with torch's names, arguments, state and messages."""
from __future__ import annotations

if __name__ != "chainrule.optim":  # a second copy would have classes of its own
    raise ImportError(f"chainrule.optim was imported as {__name__!r}; import `chainrule.optim`")

from . import lr_scheduler
from .adaptive import Adagrad, Adam, AdamW, RMSprop
from .gradient_descent import SGD
from .optimizer import Optimizer

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
