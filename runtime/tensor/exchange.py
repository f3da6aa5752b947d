"""Memory shared with NumPy, and through dlpack."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..torch_types import from_numpy_dtype
from .modes import state
from .records import Record
from .storage import Storage
from .tape import leave
from .tensor import Tensor, wrap
from .value import Array, leaf


def alias(tensor: Tensor) -> Array:
    """The tensor's elements as an array on its storage's memory, which is exposed from now on."""
    memory = tensor._storage.expose()
    geometry = tensor._geometry
    if geometry is None or not geometry.chain:
        return memory
    itemsize = memory.itemsize
    shape, strides = tensor._shape, tuple(s * itemsize for s in geometry.strides)
    if 0 in shape or not memory.size:
        return np.lib.stride_tricks.as_strided(memory, shape, strides) if memory.size else np.empty(shape, memory.dtype)
    span = 1 + sum((n - 1) * abs(s) // itemsize for n, s in zip(memory.shape, memory.strides, strict=True))
    flat = np.lib.stride_tricks.as_strided(memory, (span,), (itemsize,))
    return np.lib.stride_tricks.as_strided(flat[geometry.offset:], shape, strides)


def from_numpy(array: Any) -> Tensor:
    """A tensor on an array's memory: what is written to one is seen in the other.

    Raises:
        TypeError: not an array, or of a dtype that no tensor has.
        ValueError: negative strides.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    return shared(array)


def shared(array: Array) -> Tensor:
    """A tensor on an array's memory."""
    dtype = from_numpy_dtype(array.dtype)
    if any(s < 0 for s in array.strides):
        raise ValueError("At least one stride in the given numpy array is negative, and tensors with negative strides "
                         "are not currently supported. (You can probably work around this by making a copy of your "
                         "array  with array.copy().) ")
    strides = tuple(s // array.itemsize for s in array.strides)
    from .geometry import is_contiguous

    made = wrap(leaf(array), dtype, None if is_contiguous(array.shape, strides) else strides)
    made._storage.share(array)
    return made


def numpy(self: Tensor, *, force: bool = False) -> Array:
    """The tensor as an array on the same memory.

    Raises:
        RuntimeError: the tensor requires grad; detach it first.
    """
    if state.grad and not force and self.requires_grad:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    self._array()
    if type(self._record) is not Record or not self._record.aval.needs:
        leave(self)  # whose record would be a second owner of the contents
    return alias(self)


def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Array:
    """NumPy's protocol; the array shares memory unless another dtype or a copy is asked for."""
    array = numpy(self)
    if dtype is not None and np.dtype(dtype) != array.dtype:
        if copy is False:
            raise ValueError("a tensor of another dtype cannot be given to NumPy without a copy")
        return array.astype(dtype)
    return array.copy() if copy else array


def __array_wrap__(self: Tensor, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
    """NumPy's results of tensors are tensors."""
    array = np.asarray(array)
    return wrap(leaf(array), from_numpy_dtype(array.dtype))


def data_ptr(self: Tensor) -> int:
    """The address of the first element; from now on the elements stay there."""
    return int(alias(self).__array_interface__["data"][0]) if self.numel() else 0


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory under the tensor."""
    return UntypedStorage(self._storage)


class UntypedStorage:
    """The bytes under a tensor and its views."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return int(self._storage.expose().__array_interface__["data"][0])

    def nbytes(self) -> int:
        """The number of bytes."""
        value = self._storage.value
        return int(np.prod(value.shape, dtype=np.int64)) * value.dtype.itemsize

    size = __len__ = nbytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and other._storage is self._storage

    def __hash__(self) -> int:
        return id(self._storage)


def __dlpack__(self: Tensor, **kwargs: Any) -> Any:
    """The exchange protocol of array libraries."""
    return alias(self).__dlpack__(**kwargs)


def __dlpack_device__(self: Tensor) -> Any:
    """Where the memory is: the CPU."""
    return alias(self).__dlpack_device__()


def from_dlpack(source: Any) -> Tensor:
    """A tensor on the memory of another library's array."""
    return source if isinstance(source, Tensor) else shared(np.from_dlpack(source))
