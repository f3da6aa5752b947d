"""Methods of tensors about gradients: flags, detaching, `.grad`, `backward`."""
from __future__ import annotations

import warnings
from typing import Any

from ..torch_types import scalar_type_name
from .arguments import type_name
from .messages import c_name
from .modes import state
from .records import Record
from .row import composite
from .storage import Counter
from .tape import leave
from .tensor import Tensor, alias_of

NOT_A_LEAF_FLAG = "you can only change requires_grad flags of leaf variables."
DETACH_HINT = (" If you want to use a computed variable in a subgraph that doesn't require differentiation use "
               "var_no_grad = var.detach().")
NON_LEAF_GRAD = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be "
    "populated during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, "
    "use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access the "
    "leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more informations."
)
GRAD_DTYPE = (
    "attempting to assign a gradient with dtype '{}' to a tensor with grad_dtype '{}'. The gradient must match the "
    "tensor's grad_dtype (defaults to the tensor's dtype). You can set the tensor's grad_dtype attribute with a "
    "specific dtype, or None to allow any dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor and its "
    "gradient may break downstream systems that assume they match."
)


def set_requires_grad(self: Tensor, value: Any) -> None:
    """Set the flag of a leaf.

    Raises:
        RuntimeError: not a leaf, or not of a floating dtype.
    """
    if not isinstance(value, bool):
        raise RuntimeError("requires_grad must be a bool")
    if not self.is_leaf:
        raise RuntimeError(NOT_A_LEAF_FLAG + ("" if value else DETACH_HINT))
    if value and not self._dtype.is_floating_point:
        raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
    _check_inference(self, value)
    leave(self)
    self._requires_grad = value


def _check_inference(self: Tensor, value: bool) -> None:
    if value and self._meta is not None and self._meta.inference and not state.inference:
        raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")


@composite("requires_grad_", to="m")
def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Set `requires_grad`, and return the tensor."""
    if not isinstance(requires_grad, bool):
        raise TypeError(f"requires_grad_(): argument 'requires_grad' (position 1) must be bool, not {type_name(requires_grad)}")
    if not self.is_leaf and not requires_grad:
        raise RuntimeError(NOT_A_LEAF_FLAG + DETACH_HINT)
    if requires_grad and not self._dtype.is_floating_point:
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    _check_inference(self, requires_grad)
    if self.is_leaf:
        leave(self)
        self._requires_grad = bool(requires_grad)
    return self


def warn_of_non_leaf_grad(self: Tensor) -> None:
    """Torch's warning where `.grad` of a tensor that is no leaf is read."""
    if not (self._meta is not None and self._meta.retains_grad):
        warnings.warn(NON_LEAF_GRAD, UserWarning, stacklevel=3)


def set_grad(self: Tensor, value: Any) -> None:
    """Assign `.grad`.

    Raises:
        TypeError, RuntimeError: not a tensor of the same shape and dtype.
    """
    if value is None:
        self._grad = None
        return
    if not isinstance(value, Tensor):
        raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}")
    if value is self:
        raise RuntimeError("can't assign Variable as its own grad")
    if value._shape != self._shape:
        raise RuntimeError(f"attempting to assign a gradient of size '{list(value._shape)}' to a tensor of size "
                           f"'{list(self._shape)}'. Please ensure that the gradient and the tensor are the same size")
    if value._dtype is not self._dtype:
        raise RuntimeError(GRAD_DTYPE.format(c_name(value._dtype), scalar_type_name(self._dtype)))
    self._grad = value


def detach(self: Tensor) -> Tensor:
    """The same elements, outside the graph; memory and version counter are shared."""
    return alias_of(self)


def detach_(self: Tensor) -> Tensor:
    """Take the tensor out of its graph: it becomes a leaf.

    Raises:
        RuntimeError: the tensor is a view.
    """
    if self._is_view():
        raise RuntimeError("Can't detach views in-place. Use detach() instead. If you are using "
                           "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as True, "
                           "gradients are views of DDP buckets, and hence detach_() cannot be called on these "
                           "gradients. To fix this error, please refer to the Optimizer.zero_grad() function in "
                           "torch/optim/optimizer.py as the solution.")
    leave(self)
    self._grad_fn, self._output_nr, self._requires_grad = None, 0, False
    return self


def get_data(self: Tensor) -> Tensor:
    """The same elements, outside the graph and with a version counter of their own."""
    made = alias_of(self)
    made._counter = Counter()
    return made


def set_data(self: Tensor, value: Tensor) -> None:
    """Replace the elements (and shape) behind the graph's back."""
    if not isinstance(value, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
    if self._requires_grad and not value._dtype.is_floating_point:
        raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
    leave(self)
    self._storage = value._storage
    self._geometry, self._shape, self._dtype = value._geometry, value._shape, value._dtype
    self._cache = self._cached = None


def backward(self: Tensor, gradient: Tensor | None = None, retain_graph: bool | None = None, create_graph: bool = False,
             inputs: Any = None) -> None:
    """Add the gradient of this tensor (weighted by `gradient`) to the `.grad` of the leaves of its graph."""
    if gradient is None and inputs is None and not create_graph and type(self._record) is Record and (
            self._record.aval.needs and _by_plan(self, retain_graph)):
        return
    from . import engine

    engine.backward(self, gradient, retain_graph, create_graph, inputs=inputs)


def _by_plan(root: Tensor, keep_graph: bool | None) -> bool:
    """The backward pass over records; replaced by the function itself on the first call, since `plan` imports this module."""
    global _by_plan
    from . import plan

    _by_plan = plan.backward
    return plan.backward(root, keep_graph)


def is_inference(self: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return self._meta is not None and self._meta.inference

