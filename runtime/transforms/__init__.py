"""Functions of functions of tensors: what `func`, `autograd.functional` and `autograd.forward_ad` offer."""
