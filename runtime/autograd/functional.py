"""`chainrule.autograd.functional`: Jacobians, Hessians and products with them."""
from __future__ import annotations

# Absolute, so that `import torch.autograd.functional`, with chainrule in torch's place, finds these functions and no second copies.
from chainrule.runtime.transforms.products import hessian, hvp, jacobian, jvp, vhp, vjp

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
