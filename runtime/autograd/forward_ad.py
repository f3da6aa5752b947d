"""`chainrule.autograd.forward_ad`: derivatives that are carried along with the values."""
from __future__ import annotations

# Absolute, so that `import torch.autograd.forward_ad`, with chainrule in torch's place, finds this level and no second one.
from chainrule.runtime.transforms.dual import UnpackedDualTensor, dual_level, enter_dual_level, exit_dual_level, make_dual, unpack_dual

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]
