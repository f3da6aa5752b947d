"""`chainrule.nn.parameter`: leaves that modules collect."""

from chainrule.runtime.tensor.parameter import Parameter

__all__ = ["Parameter"]
