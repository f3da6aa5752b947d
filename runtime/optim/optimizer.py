"""`chainrule.optim.optimizer`: the base class."""

from chainrule.runtime.optimizers.optimizer import Optimizer

__all__ = ["Optimizer"]
