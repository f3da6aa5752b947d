"""Tensors: lazily evaluated torch operations, views, in-place operations, and the graph of gradients."""
from . import autograd_methods, convert, exchange, hooks, table
from .function import custom_node
from .row import METHODS
from .tensor import Tensor

METHODS |= {
    "numpy": exchange.numpy, "__array__": exchange.__array__, "data_ptr": exchange.data_ptr, "untyped_storage": exchange.untyped_storage,
    "storage": exchange.untyped_storage, "__dlpack__": exchange.__dlpack__, "__dlpack_device__": exchange.__dlpack_device__,
    "register_hook": hooks.register_hook, "retain_grad": hooks.retain_grad, "retains_grad": property(hooks.retains_grad),
    "register_post_accumulate_grad_hook": hooks.register_post_accumulate_grad_hook, "backward": autograd_methods.backward,
    "detach": autograd_methods.detach, "detach_": autograd_methods.detach_, "is_inference": autograd_methods.is_inference,
    "data": property(autograd_methods.get_data, autograd_methods.set_data),
}
for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)

__all__ = ["Tensor", "convert", "custom_node", "table"]
