"""Views: operations whose result shares the input's memory, with torch's sizes, strides and offsets."""
from __future__ import annotations

from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node, constant, f
from ....compiler.ops.movement import inverse_order
from ...torch_types import scalar_type_name
from ..geometry import numel, view_strides, wrap_dim
from ..row import METHODS, Call, call, composite, view
from ..tensor import Tensor
from .common import as_shape


def _back(base: Node, new: Node, *_: Any) -> Node:
    """The base of a view that has all of its elements in the same order."""
    return build.reshape(new, base.shape)


def inferred(shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """A shape with its -1, if any, replaced.

    Raises:
        RuntimeError: it does not hold `count` elements.
    """
    unknown = [k for k, s in enumerate(shape) if s == -1]
    for k, s in enumerate(shape):
        if s < -1:
            raise RuntimeError(f"invalid shape dimension {s} at index {k} of shape {list(shape)}")
    if len(unknown) > 1:
        raise RuntimeError("only one dimension can be inferred")
    known = numel([s for s in shape if s != -1])
    if not unknown:
        if known != count:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {count}")
        return shape
    if known == 0:
        if count == 0:
            raise RuntimeError(f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified "
                               "dimension size -1 can be any value and is ambiguous")
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {count}")
    if count % known:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {count}")
    return tuple(count // known if s == -1 else s for s in shape)


def _view_call(self: Tensor, shape: tuple[int, ...], name: str = "") -> Call | None:
    strides = view_strides(self._shape, self._strides, shape)
    return None if strides is None else Call((self,), (shape,), shape, self._dtype, strides, self.storage_offset(), name)


NOT_COMPATIBLE = ("view size is not compatible with input tensor's size and stride (at least one dimension spans "
                  "across two contiguous subspaces). Use .reshape(...) instead.")


@view("view_shape", build=lambda x, shape: build.reshape(x, shape), write=_back, backward="ViewBackward0", to="")
def _view_shape(self: Tensor, shape: tuple[int, ...], name: str = "") -> Call:
    made = _view_call(self, shape, name)
    if made is None:
        raise RuntimeError(NOT_COMPATIBLE)
    return made


@composite("view", to="m")
def _view(self: Tensor, *shape: Any, dtype: Any = None) -> Tensor:
    from ...torch_types import dtype as Dtype

    if dtype is None and len(shape) == 1 and isinstance(shape[0], Dtype):
        dtype = shape[0]
    if dtype is not None:
        return call("view_dtype", self, dtype)  # type: ignore[no-any-return]
    if not shape:
        raise TypeError("view() received an invalid combination of arguments - got (), but expected one of:\n * "
                        "(torch.dtype dtype)\n * (tuple of ints size)\n")
    return call("view_shape", self, inferred(as_shape(shape, "view"), numel(self._shape)))  # type: ignore[no-any-return]


@composite("view_dtype", to="")
def _view_dtype(self: Tensor, dtype: Any) -> Tensor:
    """Other numbers in the same bytes; the memory is exposed, so that both are kept in step."""
    from ..exchange import alias, shared
    from ..row import numpy_dtype

    old, new = self._dtype.itemsize, dtype.itemsize
    if old != new:
        names = f"to view {scalar_type_name(self._dtype)} as {scalar_type_name(dtype)} (different element sizes)"
        if not self._shape:
            raise RuntimeError(f"self.dim() cannot be 0 {names}")
        if self._strides[-1] != 1:
            raise RuntimeError(f"self.stride(-1) must be 1 {names}, but got {self._strides[-1]}")
        if new > old and self._shape[-1] % (new // old):
            raise RuntimeError(f"self.size(-1) must be divisible by {new // old} {names}, but got {self._shape[-1]}")
    return shared(alias(self).view(numpy_dtype(dtype)))


@composite("view_as", to="m")
def _view_as(self: Tensor, other: Tensor) -> Tensor:
    return call("view", self, other._shape)  # type: ignore[no-any-return]


def reshaped(self: Tensor, shape: tuple[int, ...], name: str = "") -> Tensor:
    """A view where strides allow, else a copy."""
    shape = inferred(shape, numel(self._shape))
    if view_strides(self._shape, self._strides, shape) is not None:
        return call("view_shape", self, shape, name)  # type: ignore[no-any-return]
    return call("unsafe_view", call("contiguous", self), shape)  # type: ignore[no-any-return]


@composite("reshape")
def _reshape(self: Tensor, *shape: Any) -> Tensor:
    return reshaped(self, as_shape(shape, "reshape"))


@composite("reshape_as", to="m")
def _reshape_as(self: Tensor, other: Tensor) -> Tensor:
    return reshaped(self, other._shape)


@composite("ravel")
def _ravel(self: Tensor) -> Tensor:
    return reshaped(self, (-1,))


@composite("flatten")
def _flatten(self: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    ndim = len(self._shape)
    start, end = wrap_dim(start_dim, ndim), wrap_dim(end_dim, ndim)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not ndim:
        return reshaped(self, (1,))
    if start == end:
        return self
    shape = (*self._shape[:start], numel(self._shape[start:end + 1]), *self._shape[end + 1:])
    return reshaped(self, shape)


@composite("unflatten")
def _unflatten(self: Tensor, dim: int, sizes: Any) -> Tensor:
    axis = wrap_dim(dim, len(self._shape))
    if -1 not in sizes and numel(sizes) != self._shape[axis]:
        raise RuntimeError(f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {axis} "
                           f"({self._shape[axis]}) in the input tensor")
    inner = inferred(tuple(sizes), self._shape[axis])
    return call("view", self, (*self._shape[:axis], *inner, *self._shape[axis + 1:]))  # type: ignore[no-any-return]


# ---------------------------------------------------------------- order of axes
def _permute_call(self: Tensor, order: tuple[int, ...], name: str = "") -> Call:
    strides = self._strides
    return Call((self,), (order,), tuple(self._shape[k] for k in order), self._dtype, tuple(strides[k] for k in order),
                self.storage_offset(), name)


@view("permute_to", build=lambda x, order: build.permute(x, order), write=lambda base, new, order: build.permute(new, inverse_order(order)),
      backward="PermuteBackward0", to="")
def _permute_to(self: Tensor, order: tuple[int, ...], name: str = "") -> Call:
    return _permute_call(self, order, name)


@composite("permute")
def _permute(self: Tensor, *dims: Any) -> Tensor:
    order = as_shape(dims, "permute")
    if len(order) != len(self._shape):
        raise RuntimeError("permute(sparse_coo): number of dimensions in the tensor input does not match the length "
                           f"of the desired ordering of dimensions i.e. input.dim() = {len(self._shape)} is not equal "
                           f"to len(dims) = {len(order)}")
    axes = tuple(wrap_dim(d, len(self._shape)) for d in order)
    if len(set(axes)) != len(axes):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return call("permute_to", self, axes)  # type: ignore[no-any-return]


def exchanged(ndim: int, a: int, b: int) -> tuple[int, ...]:
    """The order of axes in which two have changed places."""
    order = list(range(ndim))
    order[a], order[b] = b, a
    return tuple(order)


@composite("transpose", also="swapaxes swapdims")
def _transpose(self: Tensor, dim0: int, dim1: int) -> Tensor:
    ndim = len(self._shape)
    a, b = wrap_dim(dim0, ndim), wrap_dim(dim1, ndim)
    return call("permute_to", self, exchanged(ndim, a, b) if ndim else (), "TransposeBackward0")  # type: ignore[no-any-return]


@composite("t")
def _t(self: Tensor) -> Tensor:
    if len(self._shape) > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {len(self._shape)}D")
    return call("permute_to", self, tuple(range(len(self._shape)))[::-1], "TBackward0")  # type: ignore[no-any-return]


@composite("movedim", also="moveaxis")
def _movedim(self: Tensor, source: Any, destination: Any) -> Tensor:
    ndim = len(self._shape)
    sources = [wrap_dim(d, ndim) for d in (source if isinstance(source, (tuple, list)) else [source])]
    targets = [wrap_dim(d, ndim) for d in (destination if isinstance(destination, (tuple, list)) else [destination])]
    for name, given, places in (("source", sources, source), ("destination", targets, destination)):
        if len(set(given)) < len(given):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({list(places)})")
    if len(sources) != len(targets):
        raise RuntimeError("movedim: Invalid source or destination dims: source "
                           f"({list(source)} dims) should contain the same number of dims as destination ({list(destination)} dims)")
    order = [-1] * ndim
    for s, t in zip(sources, targets, strict=True):
        order[t] = s
    rest = iter([k for k in range(ndim) if k not in sources])
    return call("permute", self, [k if k >= 0 else next(rest) for k in order])  # type: ignore[no-any-return]


def _reversed_axes(self: Tensor) -> Tensor:
    return call("permute_to", self, tuple(range(len(self._shape)))[::-1])  # type: ignore[no-any-return]


def _matrix_transposed(self: Tensor) -> Tensor:
    if len(self._shape) < 2:
        raise RuntimeError(f"tensor.mT is only supported on matrices or batches of matrices. Got {len(self._shape)}-D "
                           "tensor.")
    return call("transpose", self, -2, -1)  # type: ignore[no-any-return]


METHODS |= {"adjoint": _matrix_transposed, "T": property(_reversed_axes), "mT": property(_matrix_transposed),
            "H": property(_matrix_transposed),
            "mH": property(_matrix_transposed)}


# ---------------------------------------------------------------- axes of size 1
@view("unsqueeze", build=lambda x, axis: build.expand_dims(x, [axis]), write=_back, backward="UnsqueezeBackward0")
def _unsqueeze(self: Tensor, dim: int) -> Call:
    ndim = len(self._shape)
    axis = wrap_dim(dim, ndim + 1)
    strides = list(self._strides)
    strides.insert(axis, self._shape[axis] * strides[axis] if axis < ndim else 1)
    return Call((self,), (axis,), (*self._shape[:axis], 1, *self._shape[axis:]), self._dtype, tuple(strides), self.storage_offset())


@view("squeeze_axes", build=lambda x, axes: build.squeeze(x, axes), write=_back, backward="SqueezeBackward0", to="")
def _squeeze_axes(self: Tensor, axes: tuple[int, ...], name: str) -> Call:
    kept = [k for k in range(len(self._shape)) if k not in axes]
    strides = self._strides
    return Call((self,), (axes,), tuple(self._shape[k] for k in kept), self._dtype, tuple(strides[k] for k in kept),
                self.storage_offset(), name)


@composite("squeeze")
def _squeeze(self: Tensor, dim: Any = None) -> Tensor:
    ndim = len(self._shape)
    if dim is None:
        wanted, name = range(ndim), "SqueezeBackward0"
    elif isinstance(dim, (tuple, list)):
        wanted, name = [wrap_dim(d, ndim) for d in dim], "SqueezeBackward2"  # type: ignore[assignment]
    else:
        wanted, name = [wrap_dim(dim, ndim)], "SqueezeBackward1"  # type: ignore[assignment]
    axes = tuple(sorted(k for k in wanted if ndim and self._shape[k] == 1))
    return call("squeeze_axes", self, axes, name)  # type: ignore[no-any-return]


# ---------------------------------------------------------------- repetition without copying
def _never_alone(*_: Any) -> Node:
    raise NotImplementedError("a view whose elements overlap is written to by the places of its elements")


@view("expand_to", build=lambda x, shape: build.broadcast_to(x, shape), write=_never_alone,
      backward="ExpandBackward0", to="", overlaps=True)
def _expand_to(self: Tensor, shape: tuple[int, ...]) -> Call:
    lead = len(shape) - len(self._shape)
    if lead < 0:
        from ...torch_types import tensor_type_name

        raise RuntimeError(f"expand({tensor_type_name(self._dtype)}{{{list(self._shape)}}}, size={list(shape)}): the "
                           f"number of sizes provided ({len(shape)}) must be greater or equal to the number of "
                           f"dimensions in the tensor ({len(self._shape)})")
    sizes, strides = [], []
    own = self._strides
    for k, s in enumerate(shape):
        if k < lead:
            if s == -1:
                raise RuntimeError("The expanded size of the tensor (-1) isn't allowed in a leading, non-existing "
                                   f"dimension {k}")
            sizes.append(s)
            strides.append(0)
            continue
        old, step = self._shape[k - lead], own[k - lead]
        s = old if s == -1 else s
        if s != old:
            if old != 1:
                raise RuntimeError(f"The expanded size of the tensor ({s}) must match the existing size ({old}) at "
                                   f"non-singleton dimension {k}.  Target sizes: {list(shape)}.  Tensor sizes: "
                                   f"{list(self._shape)}")
            step = 0
        sizes.append(s)
        strides.append(step)
    made = tuple(sizes)
    return Call((self,), (made,), made, self._dtype, tuple(strides), self.storage_offset())


@composite("expand", to="m")
def _expand(self: Tensor, *sizes: Any, implicit: bool = False) -> Tensor:
    return call("expand_to", self, as_shape(sizes, "expand"))  # type: ignore[no-any-return]


@composite("broadcast_to")
def _broadcast_to(self: Tensor, *size: Any) -> Tensor:
    return call("expand_to", self, as_shape(size, "broadcast_to"))  # type: ignore[no-any-return]


@composite("expand_as", to="m")
def _expand_as(self: Tensor, other: Tensor) -> Tensor:
    return call("expand_to", self, other._shape)  # type: ignore[no-any-return]


# ---------------------------------------------------------------- parts
def _key(axis: int, item: Any, ndim: int) -> tuple[Any, ...]:
    return tuple(item if k == axis else slice(None) for k in range(ndim))


@view("select", build=lambda x, axis, index: build.index(x, _key(axis, index, x.ndim)),
      write=lambda base, new, axis, index: build.update(base, _key(axis, index, base.ndim), new), backward="SelectBackward0")
def _select(self: Tensor, dim: int, index: int) -> Call:
    ndim = len(self._shape)
    if not ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    axis = wrap_dim(dim, ndim)
    size = self._shape[axis]
    if not -size <= index < size:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(self._shape)} at dimension "
                         f"{axis}")
    index = int(index) % size
    strides = self._strides
    return Call((self,), (axis, index), (*self._shape[:axis], *self._shape[axis + 1:]), self._dtype, (*strides[:axis], *strides[axis + 1:]),
                self.storage_offset() + index * strides[axis])


@view("slice_axis", build=lambda x, axis, start, stop, step: build.index(x, _key(axis, slice(start, stop, step), x.ndim)),
      write=lambda base, new, axis, start, stop, step: build.update(base, _key(axis, slice(start, stop, step), base.ndim), new),
      backward="SliceBackward0", to="")
def _slice_axis(self: Tensor, axis: int, start: int, stop: int, step: int, name: str = "") -> Call:
    length = max(0, -(-(stop - start) // step))
    strides = self._strides
    return Call((self,), (axis, start, stop, step), (*self._shape[:axis], length, *self._shape[axis + 1:]), self._dtype,
                (*strides[:axis], strides[axis] * step, *strides[axis + 1:]), self.storage_offset() + start * strides[axis], name)


@composite("narrow")
def _narrow(self: Tensor, dim: int, start: Any, length: int) -> Tensor:
    ndim = len(self._shape)
    if not ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    axis = wrap_dim(dim, ndim)
    size = self._shape[axis]
    start = int(start)
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -size <= start <= size:
        raise IndexError(f"start out of range (expected to be in range of [{-size}, {size}], but got {start})")
    start = start + size if start < 0 else start
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return call("slice_axis", self, axis, start, start + length, 1)  # type: ignore[no-any-return]


@view("alias", build=lambda x: x, write=lambda base, new: new, backward="AliasBackward0", to="")
def _alias(self: Tensor) -> Call:
    return Call((self,), (), self._shape, self._dtype, self._strides, self.storage_offset())


def _write_diagonal(base: Node, new: Node, offset: int, axis1: int, axis2: int) -> Node:
    from ....compiler.build.moving import iota

    rows, columns = iota(base.shape, axis1), iota(base.shape, axis2)
    on = f.eq(columns - rows, offset)
    spread = _embedded(new, base.shape, offset, axis1, axis2)
    return f.where(on, spread, base)


def _embedded(x: Node, shape: tuple[Any, ...], offset: int, axis1: int, axis2: int) -> Node:
    """The last axis of `x` on a diagonal of zeros: the adjoint of the diagonal."""
    from ....compiler.build.moving import iota

    if x.dtype.kind == "b":
        return f.ne(_embedded(build.cast(x, "int64"), shape, offset, axis1, axis2), 0)
    ramp = iota((x.shape[-1],), 0)
    rows, columns = (ramp + max(-offset, 0), ramp + max(offset, 0))
    pair = (rows, columns) if axis1 < axis2 else (columns, rows)
    return f.scatter_add(build.moveaxis(x, x.ndim - 1, 0), *pair, axes=tuple(sorted((axis1, axis2))), shape=shape)


@view("diagonal", build=lambda x, offset, axis1, axis2: build.diagonal(x, offset, axis1, axis2),
      write=_write_diagonal, backward="DiagonalBackward0")
def _diagonal(self: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Call:
    ndim = len(self._shape)
    a, b = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, columns = self._shape[a], self._shape[b]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    strides = self._strides
    kept = [k for k in range(ndim) if k not in (a, b)]
    start = self.storage_offset() + ((offset * strides[b] if offset >= 0 else -offset * strides[a]) if length else 0)
    return Call((self,), (offset, a, b), (*(self._shape[k] for k in kept), length), self._dtype,
                (*(strides[k] for k in kept), strides[a] + strides[b]), start)


def _windows(x: Node, axis: int, size: int, step: int) -> Node:
    from ....compiler.build.moving import iota

    count = (x.shape[axis] - size) // step + 1  # type: ignore[operator]
    places = iota((count, size), 0) * step + iota((count, size), 1)
    picked = f.gather(x, places, axes=(axis,))
    rest = list(range(2, picked.ndim))
    order = [*rest[:axis], 0, *rest[axis:], 1]
    return build.permute(picked, order)


@view("unfold", build=_windows, write=_never_alone, backward="UnfoldBackward0", to="m", overlaps=True)
def _unfold(self: Tensor, dimension: int, size: int, step: int) -> Call:
    axis = wrap_dim(dimension, len(self._shape))
    extent = self._shape[axis]
    if size > extent:
        raise RuntimeError(f"maximum size for tensor at dimension {axis} is {extent} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    strides = self._strides
    shape = (*self._shape[:axis], (extent - size) // step + 1, *self._shape[axis + 1:], size)
    return Call((self,), (axis, size, step), shape, self._dtype, (*strides[:axis], strides[axis] * step,
                                                                  *strides[axis + 1:], strides[axis]),
                self.storage_offset())


def _places(shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Node:
    """The place in a flat storage of every element of a strided view."""
    from ....compiler.build.moving import iota

    total = constant(offset, np.int64, shape)
    for axis, stride in enumerate(strides):
        total = total + iota(shape, axis) * stride
    return total


def _strided(x: Node, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Node:
    flat = build.reshape(x, (-1,))
    return f.gather(flat, _places(shape, strides, offset), axes=(0,))


def _write_strided(base: Node, new: Node, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Node:
    flat = build.reshape(base, (-1,))
    return build.reshape(f.scatter(flat, new, _places(shape, strides, offset), axes=(0,)), base.shape)


@view("as_strided", build=_strided, write=_write_strided, backward="AsStridedBackward0")
def _as_strided(self: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Call:
    start = self.storage_offset()
    offset = start if storage_offset is None else storage_offset
    shape, strides = tuple(size), tuple(stride)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1
    room = numel(self._storage.value.shape)
    if numel(shape) and last > room:
        raise RuntimeError(f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, and "
                           f"itemsize {self._dtype.itemsize} requiring a storage size of {last * self._dtype.itemsize} "
                           f"are out of bounds for storage of size {room * self._dtype.itemsize}")
    if not self.is_contiguous() or offset < start or last > start + self.numel():
        raise RuntimeError("as_strided that reaches beyond a view, or of a view that is not contiguous, is not supported; take it of "
                           "the base")
    return Call((self,), (shape, strides, offset - start), shape, self._dtype, strides, offset)


PERMUTE, SELECT, SLICE, SQUEEZE, UNSQUEEZE = _permute_to, _select, _slice_axis, _squeeze_axes, _unsqueeze
