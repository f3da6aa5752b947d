"""New tensors of given contents: zeros, ranges, identity matrices."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...torch_types import NAMES, as_device, as_dtype, dtype as Dtype, get_default_dtype, scalar_dtype, to_numpy_dtype
from ..arguments import is_number
from ..create import as_tensor, finished, tensor
from ..exchange import from_dlpack, from_numpy
from ..geometry import like_strides
from ..row import FUNCTIONS, METHODS, composite, type_name
from ..tensor import Tensor, wrap
from ..value import Array, leaf
from .common import as_shape

INT64 = NAMES["int64"]


def _dtype(given: Any, name: str, otherwise: Dtype | None = None) -> Dtype:
    return (otherwise or get_default_dtype()) if given is None else as_dtype(given, name)


def _made(array: Array, dtype: Dtype, requires_grad: bool = False, device: Any = None, strides: Any = None) -> Tensor:
    as_device(device, "factory")
    return finished(wrap(leaf(array), dtype, strides), requires_grad)


def _filled(name: str, value: Any) -> None:
    """`zeros` and the like: the factory, `zeros_like`, `new_zeros`."""

    def factory(*size: Any, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
                pin_memory: bool = False, memory_format: Any = None, **kwargs: Any) -> Tensor:
        if "size" in kwargs:
            size = (kwargs["size"],)
        kind = _dtype(dtype, name)
        return _made(np.full(_sizes(size, name), value, to_numpy_dtype(kind)), kind, requires_grad, device)

    def like(self: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
             memory_format: Any = None) -> Tensor:
        kind = _dtype(dtype, name + "_like", self._dtype)
        return _made(np.full(self._shape, value, to_numpy_dtype(kind)), kind, requires_grad, device,
                     like_strides(self._shape, self._strides))

    def new(self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None) -> Tensor:
        kind = _dtype(dtype, "new_" + name, self._dtype)
        return _made(np.full(_sizes(size, "new_" + name), value, to_numpy_dtype(kind)), kind, requires_grad, device)

    FUNCTIONS[name] = factory
    composite(name + "_like", to="f")(like)
    METHODS["new_" + name] = new


def _sizes(size: tuple[Any, ...], name: str) -> tuple[int, ...]:
    shape = as_shape(size, name)
    for extent in shape:
        if extent < 0:
            raise RuntimeError(f"{name}: Dimension size must be non-negative.")
    return shape


for _name, _value in (("zeros", 0), ("ones", 1), ("empty", 0)):
    _filled(_name, _value)


@composite("full", to="f")
def _full(size: Any, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"full(): argument 'size' (position 1) must be tuple of ints, not {type_name(size)}")
    value = _item(fill_value)
    kind = _dtype(dtype, "full", scalar_dtype(value))
    return _made(np.full(_sizes((size,), "full"), value, to_numpy_dtype(kind)), kind, requires_grad, device)


@composite("full_like", to="f")
def _full_like(self: Tensor, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
               memory_format: Any = None) -> Tensor:
    kind = _dtype(dtype, "full_like", self._dtype)
    return _made(np.full(self._shape, _item(fill_value), to_numpy_dtype(kind)), kind, requires_grad, device)


def _new_full(self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    kind = _dtype(dtype, "new_full", self._dtype)
    return _made(np.full(_sizes((size,), "new_full"), _item(fill_value), to_numpy_dtype(kind)), kind, requires_grad, device)


def _new_tensor(self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return tensor(data, dtype=self._dtype if dtype is None else dtype, requires_grad=requires_grad)


METHODS |= {"new_full": _new_full, "new_tensor": _new_tensor}
FUNCTIONS["empty_strided"] = lambda size, stride, *, dtype=None, **_: _made(
    np.zeros(size, to_numpy_dtype(_dtype(dtype, "empty_strided"))), _dtype(dtype, "empty_strided"), strides=tuple(stride))


def _item(value: Any) -> Any:
    return value._array()[()].item() if isinstance(value, Tensor) else value


# ---------------------------------------------------------------- ranges
def _range_dtype(given: Any, name: str, *numbers: Any) -> Dtype:
    if given is not None:
        return as_dtype(given, name)
    return INT64 if all(isinstance(x, (int, np.integer)) for x in numbers) else get_default_dtype()


@composite("arange", to="f")
def _arange(*bounds: Any, start: Any = None, end: Any = None, step: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
            requires_grad: bool = False) -> Tensor:
    numbers = [_item(b) for b in bounds]
    first, last, stride = _item(start or 0), _item(end), _item(1 if step is None else step)
    if len(numbers) == 1:
        last = numbers[0]
    elif numbers:
        first, last = numbers[:2]
        stride = numbers[2] if len(numbers) == 3 else stride
    for one in (first, last, stride):
        if not is_number(one):
            raise TypeError(f"arange() received an invalid combination of arguments - got ({type_name(one)})")
    if stride == 0:
        raise RuntimeError("step must be nonzero")
    if (stride > 0 and first > last) or (stride < 0 and first < last):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    kind = _range_dtype(dtype, "arange", first, last, stride)
    count = math.ceil((last - first) / stride)
    ramp = np.arange(count)
    # floats are multiplied in float64 and rounded once, as in torch
    array = first + ramp * stride if kind.is_floating_point else int(first) + ramp * int(stride)
    return _made(np.asarray(array).astype(to_numpy_dtype(kind)), kind, requires_grad, device)


@composite("range", to="f")
def _range(start: Any, end: Any, step: Any = 1, **kwargs: Any) -> Tensor:
    kind = _dtype(kwargs.get("dtype"), "range")
    return _made((start + np.arange(int((end - start) / step) + 1) * step).astype(to_numpy_dtype(kind)), kind)


def _steps(start: Any, end: Any, steps: int, kind: Dtype) -> Array:
    """Evenly spaced; torch counts the second half from the end, so that it is symmetric."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if steps == 1:
        return np.array([start], np.float64)
    work: Any = np.float32 if kind is NAMES["float32"] else np.float64
    first, last = work(start), work(end)
    step = (last - first) / work(steps - 1) if steps > 1 else work(0)
    ramp = np.arange(steps)
    half = steps // 2
    made: Array = np.where(ramp < half, first + step * ramp.astype(work), last - step * (steps - 1 - ramp).astype(work)).astype(work)
    return made


@composite("linspace", to="f")
def _linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, layout: Any = None, device: Any = None,
              requires_grad: bool = False) -> Tensor:
    kind = _dtype(dtype, "linspace")
    return _made(_steps(_item(start), _item(end), steps, kind).astype(to_numpy_dtype(kind)), kind, requires_grad, device)


@composite("logspace", to="f")
def _logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
              requires_grad: bool = False) -> Tensor:
    kind = _dtype(dtype, "logspace")
    powers = np.power(float(base), _steps(_item(start), _item(end), steps, kind).astype(np.float64))
    return _made(powers.astype(to_numpy_dtype(kind)), kind, requires_grad, device)


@composite("eye", to="f")
def _eye(n: int, m: int | None = None, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    if n < 0:
        raise RuntimeError(f"n must be greater or equal to 0, got {n}")
    kind = _dtype(dtype, "eye")
    return _made(np.eye(n, m, dtype=to_numpy_dtype(kind)), kind, requires_grad, device)


for _name, _indices in (("tril_indices", np.tril_indices), ("triu_indices", np.triu_indices)):
    def _triangle_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None,
                          indices: Callable[..., Any] = _indices) -> Tensor:
        kind = _dtype(dtype, "indices", INT64)
        return _made(np.stack(indices(row, offset, col)).astype(to_numpy_dtype(kind)), kind)

    FUNCTIONS[_name] = _triangle_indices


@composite("vander", to="f")
def _vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    from ..row import call, renamed

    count = len(x._array()) if N is None else N
    powers = range(count) if increasing else range(count - 1, -1, -1)
    return renamed(call("stack", [call("pow", x, p) for p in powers], -1), "CatBackward0" if increasing else "FlipBackward0")


@composite("scalar_tensor", to="f")
def _scalar_tensor(value: Any, *, dtype: Any = None, **_: Any) -> Tensor:
    return tensor(value, dtype=_dtype(dtype, "scalar_tensor"))


FUNCTIONS |= {"tensor": tensor, "as_tensor": as_tensor, "asarray": as_tensor, "from_numpy": from_numpy, "from_dlpack": from_dlpack}
