"""Tensors looked at: as text, as Python numbers, as lists, in conditions and loops."""
from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..torch_types import Size, format_parameter, format_spec, format_tensor
from .evaluate import ValueNeededError
from .geometry import wrap_dim
from .records import Record
from .row import FUNCTIONS, METHODS, call, composite
from .tape import stands
from .tensor import Tensor, alias_of, wrap
from .value import leaf


def __repr__(self: Tensor, *, tensor_contents: Any = None) -> str:
    array = self._array()
    if getattr(type(self), "_is_parameter", False):
        return format_parameter(array, dtype=self._dtype, requires_grad=self.requires_grad)
    record = self._record
    if type(record) is Record and record.aval.needs and stands(self, record):
        name: str | None = record.entry.name
    else:
        node = self.grad_fn
        name = None if node is None else node.name().rpartition("::")[2]
    return format_tensor(array, dtype=self._dtype, requires_grad=self.requires_grad, grad_fn_name=name,
                         prefix="tensor(" if type(self) is Tensor else f"{type(self).__name__}(")


def __format__(self: Tensor, spec: str) -> str:
    return format_spec(self._array(), spec, self, is_plain=type(self) is Tensor)


def item(self: Tensor) -> Any:
    """The one element as a Python number.

    Raises:
        RuntimeError: there is not exactly one element.
    """
    try:
        array = self._array()
    except ValueNeededError:
        raise RuntimeError("vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling .item() on a "
                           "Tensor, please try to rewrite what you're doing with other operations. If error is occurring somewhere "
                           "inside PyTorch internals, please file a bug report.") from None
    if array.size != 1:
        raise RuntimeError(f"a Tensor with {array.size} elements cannot be converted to Scalar")
    return array.item()


def tolist(self: Tensor) -> Any:
    """Nested lists of numbers; a 0-d tensor gives its number."""
    return self._array().tolist()


def _converted(self: Tensor, to: type) -> Any:
    if self.numel() != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    return to(item(self))


def __bool__(self: Tensor) -> bool:
    count = self.numel()
    if count != 1:
        raise RuntimeError("Boolean value of Tensor with no values is ambiguous" if count == 0 else
                           "Boolean value of Tensor with more than one value is ambiguous")
    try:
        return bool(self._array().item())
    except ValueNeededError:
        raise RuntimeError("vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We don't "
                           "support that yet, please shout over at https://github.com/pytorch/functorch/issues/257 .") from None


def __index__(self: Tensor) -> int:
    if self._dtype.is_floating_point or self.numel() != 1:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(item(self))


def __len__(self: Tensor) -> int:
    if not self._shape:
        raise TypeError("len() of a 0-d tensor")
    return self._shape[0]


def __iter__(self: Tensor) -> Iterator[Tensor]:
    if not self._shape:
        raise TypeError("iteration over a 0-d tensor")
    return iter(call("unbind", self, 0))


def __contains__(self: Tensor, element: Any) -> bool:
    if isinstance(element, (Tensor, int, float, bool)):
        return bool(call("any", call("eq", self, element)).item())
    raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")


def __reversed__(self: Tensor) -> Tensor:
    return call("flip", self, 0) if self._shape else self


@composite("size", to="m")
def _size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size of one axis."""
    return self.shape if dim is None else self._shape[wrap_dim(dim, len(self._shape))]


def __deepcopy__(self: Tensor, memo: dict[int, Any]) -> Tensor:
    if not self.is_leaf:
        raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol "
                           "at the moment.  If you were attempting to deepcopy a module, this may be because of a "
                           "torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001")
    if id(self) in memo:
        return memo[id(self)]  # type: ignore[no-any-return]
    made = alias_of(wrap(leaf(self._array().copy()), self._dtype), type(self))
    made._requires_grad = self._requires_grad
    memo[id(self)] = made
    if getattr(type(self), "_is_parameter", False):
        return made  # torch makes another parameter of the same contents, and nothing else
    if self._grad is not None:
        made._grad = copy.deepcopy(self._grad, memo)
    made.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return made


def rebuilt(cls: type[Tensor], array: Any, requires_grad: bool) -> Tensor:
    """A tensor from its pickle."""
    from ..torch_types import from_numpy_dtype

    made = alias_of(wrap(leaf(array), from_numpy_dtype(array.dtype)), cls)
    made._requires_grad = requires_grad
    return made


def __reduce_ex__(self: Tensor, protocol: Any) -> Any:
    return rebuilt, (type(self), np.array(self._array()), self._requires_grad)


METHODS |= {
    "__repr__": __repr__, "__format__": __format__, "item": item, "tolist": tolist, "__bool__": __bool__, "__index__": __index__,
    "__len__": __len__, "__iter__": __iter__, "__contains__": __contains__, "__reversed__": __reversed__,
    "__deepcopy__": __deepcopy__, "__reduce_ex__": __reduce_ex__,
    "__float__": lambda self: _converted(self, float), "__int__": lambda self: _converted(self, int),
    "__complex__": lambda self: _converted(self, complex),
    "is_floating_point": lambda self: self._dtype.is_floating_point, "is_complex": lambda self: self._dtype.is_complex,
    "is_signed": lambda self: self._dtype.is_signed, "element_size": lambda self: self._dtype.itemsize,
    "itemsize": property(lambda self: self._dtype.itemsize), "nbytes": property(lambda self: self.numel() * self._dtype.itemsize),
    "cpu": lambda self, memory_format=None: self, "is_cuda": property(lambda self: False), "is_sparse": property(lambda self: False),
    "is_cpu": property(lambda self: True), "is_quantized": property(lambda self: False), "is_meta": property(lambda self: False),
 "real": property(lambda self: self), "is_shared": lambda self: False,
    "get_device": lambda self: -1, "is_pinned": lambda self: False, "dim_order": lambda self: tuple(range(self.dim())),
    "is_conj": lambda self: False, "is_neg": lambda self: False, "conj": lambda self: self, "resolve_conj": lambda self: self,
    "resolve_neg": lambda self: self,
}


# ---------------------------------------------------------------- questions about tensors
@composite("equal")
def _equal(self: Tensor, other: Tensor) -> bool:
    return self._shape == other._shape and bool(np.array_equal(self._array(), other._array()))


@composite("isclose")
def _isclose(self: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    from .tensor import wrap_array

    return wrap_array(np.asarray(np.isclose(self._array(), other._array(), rtol, atol, equal_nan)))


@composite("allclose")
def _allclose(self: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    return bool(_isclose(self, other, rtol, atol, equal_nan)._array().all())


@composite("is_nonzero")
def _is_nonzero(self: Tensor) -> bool:
    return __bool__(self)


@composite("is_same_size")
def _is_same_size(self: Tensor, other: Tensor) -> bool:
    return self._shape == other._shape


@composite("is_set_to", to="m")
def _is_set_to(self: Tensor, other: Tensor) -> bool:
    return self._storage is other._storage and self._strides == other._strides and self._shape == other._shape


FUNCTIONS |= {
    "is_tensor": lambda obj: isinstance(obj, Tensor), "numel": lambda input: input.numel(),
    "is_floating_point": lambda input: input._dtype.is_floating_point, "is_complex": lambda input: input._dtype.is_complex,
    "broadcast_shapes": lambda *shapes: Size(_broadcast_shapes(shapes)),
}


def _broadcast_shapes(shapes: Any) -> tuple[int, ...]:
    from .table.common import broadcast

    made: tuple[int, ...] = ()
    for k, item in enumerate(shapes):
        shape = (item,) if isinstance(item, int) else tuple(item)
        try:
            made = broadcast(made, shape)
        except RuntimeError:
            at = next(j for j in range(1, len(shape) + 1) if j <= len(made) and 1 not in (shape[-j], made[-j]) and shape[-j] != made[-j])
            raise RuntimeError(f"Attempting to broadcast a dimension of length {shape[-at]} at {-at}! Mismatching "
                               f"argument at index {k} had {shape}; but expected shape should be broadcastable to "
                               f"{list(made)}") from None
    return made


