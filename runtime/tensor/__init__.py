"""Tensors: lazily evaluated torch operations, views, in-place operations, and the graph of gradients."""
from typing import Any

from . import autograd_methods, convert, exchange, hooks, table
from .function import custom_node
from .row import FUNCTIONS, METHODS
from .tensor import Tensor

METHODS |= {
    "numpy": exchange.numpy, "__array__": exchange.__array__, "__array_wrap__": exchange.__array_wrap__, "data_ptr": exchange.data_ptr,
    "untyped_storage": exchange.untyped_storage,
    "storage": exchange.untyped_storage, "__dlpack__": exchange.__dlpack__, "__dlpack_device__": exchange.__dlpack_device__,
    "register_hook": hooks.register_hook, "retain_grad": hooks.retain_grad, "retains_grad": property(hooks.retains_grad),
    "register_post_accumulate_grad_hook": hooks.register_post_accumulate_grad_hook, "backward": autograd_methods.backward,
    "detach": autograd_methods.detach, "detach_": autograd_methods.detach_, "is_inference": autograd_methods.is_inference,
    "data": property(autograd_methods.get_data, autograd_methods.set_data),
}
autograd_methods.backward.__qualname__ = "Tensor.backward"  # error messages name it
FUNCTIONS["detach"] = autograd_methods.detach
for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)


def _unwritable(name: str) -> Any:
    def refuse(self: Tensor, value: object) -> None:
        raise AttributeError(f"attribute {name!r} of 'torch._C.TensorBase' objects is not writable")

    return refuse


for _name, _property in list(vars(Tensor).items()):
    if isinstance(_property, property) and _property.fset is None:
        setattr(Tensor, _name, property(_property.fget, _unwritable(_name)))

__all__ = ["Tensor", "convert", "custom_node", "table"]
