"""Tensors from Python data: `tensor`, `as_tensor`, and the classes called as constructors."""
from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..torch_types import (
    NAMES,
    as_device,
    as_dtype,
    dtype as Dtype,
    from_numpy_dtype,
    get_default_dtype,
    promote_types,
    supported_dtypes,
    to_numpy_dtype,
)
from .arguments import is_number
from .exchange import shared
from .tensor import Tensor, alias_of, wrap, wrap_array
from .value import Array, Shape, leaf

FLOAT_ONLY = "Only Tensors of floating point and complex dtype can require gradients"
COPY_WARNING = ("To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
                "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).")


def finished(made: Tensor, requires_grad: bool) -> Tensor:
    """A new leaf, with gradients asked for or not."""
    if requires_grad:
        if not made._dtype.is_floating_point:
            raise RuntimeError(FLOAT_ONLY)
        made._requires_grad = True
    return made


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """A tensor with a copy of `data`: a number, nested sequences of numbers, an array, a tensor.

    Raises:
        TypeError, ValueError, RuntimeError: as torch, in its words.
    """
    as_device(device, "tensor")
    wanted = None if dtype is None else as_dtype(dtype, "tensor")
    if isinstance(data, Tensor):
        warnings.warn(COPY_WARNING, UserWarning, stacklevel=2)
        array = data._array()
        array = array if wanted is None else cast_array(array, wanted)
        return finished(wrap(leaf(np.array(array)), wanted or data._dtype), requires_grad)
    array, found = array_from(data, wanted)
    return finished(wrap(leaf(array), found), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor, without a copy where it is a tensor or an array of the wanted dtype."""
    as_device(device, "as_tensor")
    wanted = None if dtype is None else as_dtype(dtype, "as_tensor")
    if isinstance(data, Tensor):
        if wanted is None or wanted is data._dtype:
            return data
        from .row import call

        return call("to", data, wanted)  # type: ignore[no-any-return]
    if isinstance(data, np.ndarray):
        made = shared(data)
        return made if wanted is None or wanted is made._dtype else wrap_array(cast_array(data, wanted))
    array, found = array_from(data, wanted)
    return wrap(leaf(array), found)


def cast_array(array: Array, dtype: Dtype) -> Array:
    """A copy with other elements, out-of-range values as C casts them."""
    with np.errstate(all="ignore"):
        return np.array(array).astype(to_numpy_dtype(dtype))


def array_from(data: Any, wanted: Dtype | None) -> tuple[Array, Dtype]:
    """A new array with the contents of `data`, and its dtype: `wanted`, or what the contents imply."""
    if isinstance(data, np.ndarray):
        if wanted is None:
            return np.array(data, order="C"), from_numpy_dtype(data.dtype)
        from_numpy_dtype(data.dtype)
        return cast_array(data, wanted), wanted
    if isinstance(data, (np.generic,)) and not isinstance(data, (float, complex)):
        array = np.asarray(data)
        found = from_numpy_dtype(array.dtype)
        return (array.copy(), found) if wanted is None else (cast_array(array, wanted), wanted)
    shape = _shape_of(data)
    flat: list[Any] = []
    _flatten(data, shape, 0, flat)
    _check_numbers(flat)
    dtype = _implied(flat) if wanted is None else wanted
    return _filled(flat, shape, dtype), dtype


def _filled(flat: list[Any], shape: Shape, dtype: Dtype) -> Array:
    target = to_numpy_dtype(dtype)
    try:
        with np.errstate(all="ignore"):
            if target.kind in "iu":
                wide = np.array([int(x) for x in flat], dtype=np.int64)
                array = wide.astype(target)
                _check_overflow(wide, target, dtype)
            else:
                array = np.array(flat, dtype=target)
    except OverflowError:
        if target.kind == "f":
            raise
        raise ValueError("Overflow when unpacking long long") from None
    return array.reshape(shape)


def _check_overflow(wide: Array, target: np.dtype[Any], dtype: Dtype) -> None:
    limits = np.iinfo(target)
    low = -limits.max - 1 if target.kind == "u" else limits.min  # a negative number wraps around
    if wide.size and (wide.max() > limits.max or wide.min() < low):
        raise RuntimeError(f"value cannot be converted to type {str(dtype).removeprefix('torch.')} without overflow")


def _is_sequence(data: Any) -> bool:
    if isinstance(data, Tensor):
        return data.dim() > 0
    return isinstance(data, (list, tuple, range)) or (isinstance(data, np.ndarray) and data.ndim > 0) or (
        isinstance(data, Sequence) and not isinstance(data, (str, bytes)))


def _shape_of(data: Any) -> Shape:
    """The sizes along the first elements, as torch reads them."""
    shape = []
    while _is_sequence(data):
        length = len(data)
        shape.append(length)
        if length == 0:
            break
        data = data[0]
    if isinstance(data, str) and shape:
        raise ValueError("too many dimensions 'str'")
    return tuple(shape)


def _flatten(data: Any, shape: Shape, axis: int, flat: list[Any]) -> None:
    if axis == len(shape):
        flat.append(_number(data))
        return
    if not _is_sequence(data):
        raise TypeError("not a sequence")
    if len(data) != shape[axis]:
        raise ValueError(f"expected sequence of length {shape[axis]} at dim {axis} (got {len(data)})")
    if isinstance(data, (Tensor, np.ndarray)):
        flat.extend(np.asarray(data._array() if isinstance(data, Tensor) else data).ravel().tolist())
        return
    for item in data:
        _flatten(item, shape, axis + 1, flat)


def _number(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data._array().reshape(())[()]
    if isinstance(data, np.ndarray) and data.ndim == 0:
        return data[()]
    return data


def _check_numbers(flat: list[Any]) -> None:
    for item in flat:
        if is_number(item):
            continue
        if _is_sequence(item):
            raise TypeError(f"'{type(item).__name__}' object cannot be interpreted as an integer")
        if isinstance(item, str):
            raise TypeError("new(): invalid data type 'str'")
        raise RuntimeError(f"Could not infer dtype of {type(item).__name__}")


def _implied(flat: list[Any]) -> Dtype:
    """The dtype of numbers: that of Python's types, promoted."""
    found: Dtype | None = None
    for one in set(map(_element_type, flat)):
        found = one if found is None else promote_types(found, one)
    return get_default_dtype() if found is None else found


def _element_type(item: Any) -> Dtype:
    if isinstance(item, np.generic):
        return from_numpy_dtype(item.dtype)
    if isinstance(item, bool):
        return NAMES["bool"]
    if isinstance(item, int):
        return NAMES["int64"]
    if isinstance(item, float):
        return get_default_dtype()
    if isinstance(item, complex):
        raise TypeError("complex tensors are not supported")
    if isinstance(item, str):
        raise TypeError("new(): invalid data type 'str'")
    raise RuntimeError(f"Could not infer dtype of {type(item).__name__}")


def legacy_constructor(cls: type[Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """`torch.Tensor(2, 3)`, `torch.Tensor([1, 2])`; of a subclass, an alias of the given tensor."""
    dtype = getattr(cls, "_legacy_dtype", None) or get_default_dtype()
    if not args:
        made = wrap_array(np.empty((0,), to_numpy_dtype(dtype)))
    elif len(args) == 1 and isinstance(args[0], Tensor):
        return alias_of(args[0], cls)
    elif len(args) == 1 and _is_sequence(args[0]) and not isinstance(args[0], _size_type()):
        made = tensor(args[0], dtype=dtype)
    else:
        shape: Any = tuple(args[0]) if isinstance(args[0], _size_type()) else args
        made = wrap_array(np.zeros(shape, to_numpy_dtype(dtype)))
    return made if cls is Tensor else alias_of(made, cls)


def _legacy_class(dtype: Dtype) -> type:
    """`torch.FloatTensor` and the like: a constructor, and a class that tensors of that dtype are instances of."""
    from ..torch_types import tensor_type_name

    class Legacy(type(Tensor)):  # type: ignore[misc]
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, Tensor) and instance._dtype is dtype

        def __call__(cls, *args: Any) -> Any:
            made = legacy_constructor(cls, *args)
            return alias_of(made)

    return Legacy(tensor_type_name(dtype).partition(".")[2], (Tensor,), {"_legacy_dtype": dtype, "__module__": "torch"})


def legacy_classes() -> dict[str, type]:
    """The classes named after dtypes, by name."""
    made = [_legacy_class(dtype) for dtype in supported_dtypes()]
    return {cls.__name__: cls for cls in made}


def _size_type() -> Any:
    from ..torch_types import Size

    return Size
