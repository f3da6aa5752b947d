"""Indexing with brackets, read and written, and torch's functions that pick and place elements by index."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ....compiler import build
from ....compiler.ir import Node
from ...torch_types import NAMES, scalar_type_name
from ..arguments import is_number
from ..row import METHODS, Call, call, composite, op, renamed, type_name
from ..tensor import Tensor, wrap_array
from .common import broadcast, operand, shape_of

INT64 = NAMES["int64"]
INVALID = "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {})"
ZERO_DIM = ("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
            "0-dim tensor to a number")


class Parsed(NamedTuple):
    """A key after its basic part has been applied: a view, and index tensors by axis of it."""

    part: Tensor
    arrays: dict[int, Tensor]


def _plain_keys(self: Tensor, key: Any) -> list[Any]:
    keys = list(key) if isinstance(key, tuple) else [key]
    made: list[Any] = []
    used = 0
    for item in keys:
        if isinstance(item, (list, range, np.ndarray)):
            from ..create import tensor

            item = tensor(item)
            if not item.numel() and item._dtype.is_floating_point:
                item = call("to", item, INT64)
        if isinstance(item, np.bool_):
            item = bool(item)
        if isinstance(item, Tensor) and scalar_type_name(item._dtype) in ("Bool", "Byte"):
            used += item.dim()
        elif item is not None and item is not Ellipsis and not isinstance(item, bool):
            used += 1
        made.append(item)
    if used > len(self._shape):
        if not self._shape and isinstance(key, (int, np.integer)):
            raise IndexError(ZERO_DIM)
        if not self._shape and isinstance(key, slice):
            raise IndexError("slice() cannot be applied to a 0-dim tensor.")
        raise IndexError(f"too many indices for tensor of dimension {len(self._shape)}")
    if Ellipsis in [k for k in made if not isinstance(k, Tensor)]:
        at = next(k for k, item in enumerate(made) if item is Ellipsis)
        made[at:at + 1] = [slice(None)] * (len(self._shape) - used)
        made = [slice(None) if item is Ellipsis else item for item in made]
    return made


def _bound(item: Any) -> Any:
    return int(item._array()) if isinstance(item, Tensor) else item


def _sliced(x: Tensor, axis: int, item: slice) -> Tensor:
    step = 1 if item.step is None else _bound(item.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    if step <= 0:
        raise ValueError("step must be greater than zero")
    size = x._shape[axis]
    try:
        start, stop, _ = slice(_bound(item.start), _bound(item.stop), step).indices(size)
    except TypeError:
        raise TypeError("slice indices must be integers or None or have an __index__ method") from None
    if start == 0 and stop == size and step == 1:
        return x
    return call("slice_axis", x, axis, start, max(start, stop), step)  # type: ignore[no-any-return]


def _picked(x: Tensor, axis: int, index: int, place: int) -> Tensor:
    size = x._shape[axis]
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for dimension {place} with size {size}")
    return call("select", x, axis, index)  # type: ignore[no-any-return]


def parse(self: Tensor, key: Any) -> Parsed:
    """Apply the integers, slices and Nones of a key; collect its index tensors.

    Raises:
        IndexError, ValueError, TypeError: torch's errors.
    """
    part, axis, place = self, 0, 0
    arrays: dict[int, Tensor] = {}
    for item in _plain_keys(self, key):
        if item is None:
            part = call("unsqueeze", part, axis)
            axis += 1
        elif isinstance(item, bool):
            part = call("unsqueeze", part, axis)
            arrays[axis] = wrap_array(np.array([item]))
            axis += 1
        elif isinstance(item, slice):
            part = _sliced(part, axis, item)
            axis, place = axis + 1, place + 1
        elif isinstance(item, Tensor):
            if not item._shape and scalar_type_name(item._dtype) not in ("Bool", "Byte"):
                _check_index_dtype(item)
                part = _picked(part, axis, int(item._array()), place)
                place += 1
                continue
            if not item._shape:
                part = call("unsqueeze", part, axis)
                item = call("reshape", item, 1)
            arrays[axis] = item
            covered = item.dim() if scalar_type_name(item._dtype) in ("Bool", "Byte") else 1
            axis, place = axis + covered, place + covered
        else:
            if isinstance(item, str):
                raise TypeError("new(): invalid data type 'str'")
            try:
                index = item.__index__()
            except (AttributeError, TypeError):
                raise IndexError(INVALID.format(type_name(item))) from None
            part = _picked(part, axis, index, place)
            place += 1
    return Parsed(part, arrays)


def _check_index_dtype(item: Tensor) -> None:
    if scalar_type_name(item._dtype) not in ("Long", "Int", "Short", "Char", "Byte", "Bool"):
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")


def _integer_arrays(x: Tensor, arrays: dict[int, Tensor]) -> tuple[tuple[int, ...], list[Tensor]]:
    """Axes and integer index tensors; masks become the positions of their true elements; all checked."""
    axes: list[int] = []
    found: list[Tensor] = []
    for axis, item in arrays.items():
        _check_index_dtype(item)
        if scalar_type_name(item._dtype) in ("Bool", "Byte"):
            for j, size in enumerate(item._shape):
                if axis + j >= len(x._shape) or x._shape[axis + j] != size:
                    raise IndexError(f"The shape of the mask {list(item._shape)} at index {j} does not match the shape "
                                     f"of the indexed tensor {list(x._shape)} at index {axis + j}")
            for j, positions in enumerate(np.nonzero(item._array())):
                axes.append(axis + j)
                found.append(wrap_array(positions))
        else:
            axes.append(axis)
            found.append(item)
            _check_range(item, x._shape[axis], len(axes) - 1)  # torch counts indexed axes here
    try:
        broadcast(*[t._shape for t in found])
    except RuntimeError:
        shapes = ", ".join(str(list(t._shape)) for t in found)
        raise IndexError("shape mismatch: indexing tensors could not "
                         f"be broadcast together with shapes {shapes}") from None
    return tuple(axes), found


def _check_range(index: Tensor, size: int, axis: int) -> None:
    array = index._array()
    if array.size:
        low, high = int(array.min()), int(array.max())
        if low < -size or high >= size:
            bad = next(int(i) for i in array.ravel() if not -size <= i < size)
            raise IndexError(f"index {bad} is out of bounds for dimension {axis} with size {size}")


def _index_key(ndim: int, axes: Sequence[int], arrays: Sequence[Node]) -> tuple[Any, ...]:
    key: list[Any] = [slice(None)] * ndim
    for axis, array in zip(axes, arrays, strict=True):
        key[axis] = array
    return tuple(key)


def _index(x: Node, *arrays_and_axes: Any) -> Node:
    *arrays, axes = arrays_and_axes
    return build.index(x, _index_key(x.ndim, axes, arrays))


def _selected_shape(x: Tensor, axes: Sequence[int], arrays: Sequence[Tensor]) -> tuple[int, ...]:
    middle = broadcast(*[t._shape for t in arrays])
    rest = [s for k, s in enumerate(x._shape) if k not in axes]
    together = list(axes) == list(range(axes[0], axes[-1] + 1))
    lead = axes[0] if together else 0
    return (*rest[:lead], *middle, *rest[lead:])


@op("index", build=_index, backward="IndexBackward0", saved="indices*", inputs="self (indices)", to="")
def _index_rule(self: Tensor, axes: tuple[int, ...], arrays: Sequence[Tensor]) -> Call:
    return Call((self, *arrays), (axes,), _selected_shape(self, axes, arrays), self._dtype)


def __getitem__(self: Tensor, key: Any) -> Tensor:
    """`self[key]`: a view for integers, slices, None and Ellipsis; a copy where tensors index."""
    part, arrays = parse(self, key)
    if not arrays:
        return call("alias", self) if part is self else part
    axes, found = _integer_arrays(part, arrays)
    return call("index", part, axes, found)  # type: ignore[no-any-return]


# ---------------------------------------------------------------- writing
def _index_put(x: Node, value: Node, *arrays_and_more: Any) -> Node:
    *arrays, axes, accumulate = arrays_and_more
    return build.update(x, _index_key(x.ndim, axes, arrays), build.cast(value, x.dtype), accumulate)


@op("index_put_at", build=_index_put, backward="IndexPutBackward0", saved="indices*", inputs="self values (indices)", to="", inplace=True)
def _index_put_rule(self: Tensor, axes: tuple[int, ...], arrays: Sequence[Tensor], value: Any, accumulate: bool = False) -> Call:
    selected = _selected_shape(self, axes, arrays)
    shape = shape_of(value)
    lead = len(shape) - len(selected)
    kept = shape[lead:] if lead > 0 and all(s == 1 for s in shape[:lead]) else shape
    if len(kept) > len(selected) or any(s not in (1, t) for s, t in zip(kept[::-1], selected[::-1], strict=False)):
        raise RuntimeError(f"shape mismatch: value tensor of shape {list(shape)} cannot be broadcast to indexing "
                           f"result of shape {list(selected)}")
    return Call((self, operand(value, self._dtype), *arrays), (axes, accumulate), self._shape, self._dtype)


def __setitem__(self: Tensor, key: Any, value: Any) -> None:
    """`self[key] = value`, recorded where gradients are."""
    part, arrays = parse(self, key)
    if not isinstance(value, Tensor):
        if isinstance(value, np.ndarray):
            value = wrap_array(value.copy())
        elif not is_number(value):
            raise TypeError(f"can't assign a {type(value).__name__} to a {_type_text(self)}")
    if not arrays:
        if part is self:
            part = call("alias", self)
        _assign(part, value)
        return
    axes, found = _integer_arrays(part, arrays)
    if isinstance(value, Tensor) and value._dtype is not part._dtype:
        if value._shape:
            raise RuntimeError("Index put requires the source and destination dtypes match, got "
                               f"{scalar_type_name(part._dtype)} for the destination and {scalar_type_name(value._dtype)} for the source.")
        value = call("to", value, part._dtype)
    call("index_put_at_", part, axes, found, value)


def _type_text(self: Tensor) -> str:
    from ...torch_types import tensor_type_name

    return tensor_type_name(self._dtype)


def _assign(part: Tensor, value: Any) -> None:
    if isinstance(value, Tensor):
        shape = value._shape
        while len(shape) > len(part._shape) and shape[0] == 1:
            shape = shape[1:]
        if shape != value._shape:
            value = call("reshape", value, shape)
        if len(shape) > len(part._shape) or any(s not in (1, t) for s, t in zip(shape[::-1], part._shape[::-1], strict=False)):
            call("expand_to", value, part._shape)
        call("copy_", part, value)
    else:
        from ..row import number, numpy_dtype
        from ..tensor import wrap

        call("fill_", part, wrap(number(value, numpy_dtype(part._dtype)), part._dtype))


METHODS |= {"__getitem__": __getitem__, "__setitem__": __setitem__}


@composite("index_put", to="mf")
def _index_put_function(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    axes, found = _integer_arrays(self, {k: t for k, t in enumerate(indices) if t is not None})
    return call("index_put_at", self, axes, found, values, accumulate)  # type: ignore[no-any-return]


@composite("index_put_", to="m")
def _index_put_in_place(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    axes, found = _integer_arrays(self, {k: t for k, t in enumerate(indices) if t is not None})
    return call("index_put_at_", self, axes, found, values, accumulate)  # type: ignore[no-any-return]


# ---------------------------------------------------------------- masks
@composite("masked_select")
def _masked_select(self: Tensor, mask: Tensor) -> Tensor:
    if scalar_type_name(mask._dtype) != "Bool":
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast(self._shape, mask._shape)
    x, wide = (t if t._shape == shape else call("expand_to", t, shape) for t in (self, mask))
    if not shape:
        x, wide = call("reshape", x, 1), call("reshape", wide, 1)
    axes, found = _integer_arrays(x, {0: wide})
    return renamed(call("index", x, axes, found), "MaskedSelectBackward0")


@composite("nonzero")
def _nonzero(self: Tensor, *, as_tuple: bool = False) -> Any:
    found = np.nonzero(np.atleast_1d(self._array()))
    if as_tuple:
        return tuple(wrap_array(positions) for positions in found)
    return wrap_array(np.stack(found, 1) if self._shape else np.zeros((len(found[0]), 0), np.int64))


composite("argwhere")(lambda self: call("nonzero", self))
