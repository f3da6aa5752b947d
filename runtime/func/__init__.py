"""`chainrule.func`: functions that transform functions of tensors."""
from __future__ import annotations

if __name__ != "chainrule.func":  # a second copy would be a package of its own
    raise ImportError(f"chainrule.func was imported as {__name__!r}; import `chainrule.func`")

from ..runtime.transforms.batching import vmap
from ..runtime.transforms.derivatives import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from ..runtime.transforms.stateless import functional_call, stack_module_state

__all__ = ["functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "stack_module_state",
           "vjp", "vmap"]
