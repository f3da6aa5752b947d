"""New arrangements of elements: joining, repeating, flipping, padding, triangles."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....compiler import build
from ....compiler.ir import Node, f
from ..geometry import is_contiguous, wrap_dim
from ..row import FUNCTIONS, METHODS, Call, call, composite, dtype_name, op, renamed, type_name
from ..tensor import Tensor
from .common import as_shape, broadcast, common_dtype
from .views import _embedded


# ---------------------------------------------------------------- copies
@op("unsafe_view", build=lambda x, shape: build.reshape(x, shape), backward="UnsafeViewBackward0", to="")
def _unsafe_view(self: Tensor, shape: tuple[int, ...]) -> Call:
    return Call((self,), (shape,), shape, self._dtype)


@composite("contiguous", to="m")
def _contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    if self._geometry is None or is_contiguous(self._shape, self._strides):
        return self
    from ...torch_types import contiguous_format

    return call("clone", self, memory_format=contiguous_format)  # type: ignore[no-any-return]


def _is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    return self._geometry is None or is_contiguous(self._shape, self._strides)


METHODS["is_contiguous"] = _is_contiguous


# ---------------------------------------------------------------- joining
def _tensors(name: str, tensors: Any) -> list[Tensor]:
    if isinstance(tensors, Tensor) or not isinstance(tensors, Sequence):
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type_name(tensors)}")
    for k, item in enumerate(tensors):
        if not isinstance(item, Tensor):
            raise TypeError(f"expected Tensor as element {k} in argument 0, but got {type_name(item)}")
    return list(tensors)


def _join(*nodes_and_more: Any) -> Node:
    *nodes, axis, dtype = nodes_and_more
    return build.concatenate([build.cast(n, dtype) for n in nodes], axis)


@op("cat", build=_join, backward="CatBackward0", inputs="tensors", to="f", also="concat concatenate")
def _cat(tensors: Any, dim: int = 0) -> Call:
    given = _tensors("cat", tensors)
    if not given:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for k, t in enumerate(given):
        if not t._shape:
            raise RuntimeError(f"zero-dimensional tensor (at position {k}) cannot be concatenated")
    parts = [t for t in given if t._shape != (0,)] or given[:1]
    first = parts[0]
    axis = wrap_dim(dim, len(first._shape))
    for k, t in enumerate(given):
        if t._shape == (0,) and t is not first:
            continue
        if len(t._shape) != len(first._shape):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(first._shape)} and "
                               f"{len(t._shape)}")
        for j, (a, b) in enumerate(zip(first._shape, t._shape, strict=True)):
            if j != axis and a != b:
                raise RuntimeError(f"Sizes of tensors must match except in dimension {axis}. Expected size {a} but got "
                                   f"size {b} for tensor number {k} in the list.")
    dtype = common_dtype(*given) if len(given) > 1 else first._dtype
    total = sum(t._shape[axis] for t in parts)
    return Call(tuple(parts), (axis, dtype_name(dtype)), (*first._shape[:axis], total, *first._shape[axis + 1:]), dtype)


def _pile(*nodes_and_more: Any) -> Node:
    *nodes, axis, dtype = nodes_and_more
    return build.stack([build.cast(n, dtype) for n in nodes], axis)


@op("stack", build=_pile, backward="StackBackward0", inputs="tensors", to="f")
def _stack(tensors: Any, dim: int = 0) -> Call:
    given = _tensors("stack", tensors)
    if not given:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = given[0]._shape
    for k, t in enumerate(given):
        if t._shape != first:
            raise RuntimeError(f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and "
                               f"{list(t._shape)} at entry {k}")
    axis = wrap_dim(dim, len(first) + 1)
    dtype = common_dtype(*given) if len(given) > 1 else given[0]._dtype
    return Call(tuple(given), (axis, dtype_name(dtype)), (*first[:axis], len(given), *first[axis:]), dtype)


def _at_least(t: Tensor, ndim: int) -> Tensor:
    if ndim >= 1 and not t._shape:
        t = call("reshape", t, 1)
    if ndim >= 2 and len(t._shape) == 1:
        t = call("unsqueeze", t, 0)
    if ndim >= 3 and len(t._shape) == 2:
        t = call("unsqueeze", t, -1)
    return t


for _ndim in (1, 2, 3):
    def _at_least_of(*tensors: Any, ndim: int = _ndim) -> Any:
        given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
        made = tuple(_at_least(t, ndim) for t in given)
        return made[0] if len(tensors) == 1 and isinstance(tensors[0], Tensor) else made

    FUNCTIONS[f"atleast_{_ndim}d"] = _at_least_of

composite("hstack", to="f")(lambda tensors: call("cat", [_at_least(t, 1) for t in tensors], 0 if len(tensors[0]._shape) <= 1 else 1))
composite("vstack", to="f", also="row_stack")(lambda tensors: call("cat", [_at_least(t, 2) for t in tensors], 0))
composite("dstack", to="f")(lambda tensors: call("cat", [_at_least(t, 3) for t in tensors], 2))
composite("column_stack", to="f")(lambda tensors: call("cat", [
    call("reshape", t, -1, 1) if len(t._shape) <= 1 else t for t in tensors], 1))


@composite("block_diag", to="f")
def _block_diag(*tensors: Tensor) -> Tensor:
    blocks = [_at_least(t, 2) for t in tensors]
    columns = sum(b._shape[1] for b in blocks)
    rows, before = [], 0
    for block in blocks:
        rows.append(call("constant_pad_nd", block, (before, columns - before - block._shape[1])))
        before += block._shape[1]
    return call("cat", rows, 0)  # type: ignore[no-any-return]


# ---------------------------------------------------------------- repeating
@op("repeat", build=lambda x, times: build.tile(x, times), backward="RepeatBackward0", to="m")
def _repeat(self: Tensor, *repeats: Any) -> Call:
    times = as_shape(repeats, "repeat")
    if len(times) < len(self._shape):
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    for k in times:
        if k < 0:
            made = [n * s for n, s in zip(times, (*(1,) * (len(times) - len(self._shape)), *self._shape), strict=True)]
            raise RuntimeError(f"Trying to create tensor with negative dimension {k}: {made}")
    lead = len(times) - len(self._shape)
    return Call((self,), (times,), tuple(n * s for n, s in zip(times, (*(1,) * lead, *self._shape), strict=True)), self._dtype)


@composite("tile")
def _tile(self: Tensor, *dims: Any) -> Tensor:
    times = as_shape(dims, "tile")
    if any(k < 0 for k in times):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(times)}: {list(times)}")
    return call("repeat", self, (*(1,) * (len(self._shape) - len(times)), *times))  # type: ignore[no-any-return]


@composite("repeat_interleave")
def _repeat_interleave(self: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    import numpy as np

    from ..tensor import wrap_array

    if repeats is None:
        counts = self._array()
        return wrap_array(np.repeat(np.arange(len(counts)), counts))
    flat = self if dim is not None else call("flatten", self)
    axis = 0 if dim is None else wrap_dim(dim, len(self._shape))
    if isinstance(repeats, Tensor):
        if repeats._shape not in ((), (1,)) and repeats._shape != (flat._shape[axis],):
            raise RuntimeError("repeats must have the same size as input along dim, but got repeats.size(0) = "
                               f"{repeats._shape[0]} and input.size({axis}) = {flat._shape[axis]}")
        places = np.repeat(np.arange(flat._shape[axis]), repeats._array())
        return call("index_select", flat, axis, wrap_array(places))  # type: ignore[no-any-return]
    if repeats < 0:
        raise RuntimeError("Repeats must be non-negative")
    return call("repeat_each", flat, int(repeats), axis)  # type: ignore[no-any-return]


@op("repeat_each", build=lambda x, times, axis: build.repeat(x, times, axis), backward="ViewBackward0", to="")
def _repeat_each(self: Tensor, times: int, axis: int) -> Call:
    shape = tuple(s * times if k == axis else s for k, s in enumerate(self._shape))
    return Call((self,), (times, axis), shape, self._dtype)


# ---------------------------------------------------------------- flipping, rolling, padding
def _axes(dims: Sequence[Any], ndim: int) -> tuple[int, ...]:
    given = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    axes = [wrap_dim(d, ndim) for d in given]
    for one in axes:
        if axes.count(one) > 1:
            raise RuntimeError(f"dim {one} appears multiple times in the list of dims")
    return tuple(sorted(axes))


@op("flip", build=lambda x, axes: build.flip(x, axes), backward="FlipBackward0")
def _flip(self: Tensor, *dims: Any) -> Call:
    return Call((self,), (_axes(dims, len(self._shape)),), self._shape, self._dtype)


composite("fliplr")(lambda self: call("flip", self, 1))
composite("flipud")(lambda self: call("flip", self, 0))


def _roll(x: Node, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Node:
    if not axes:
        return build.reshape(build.roll(build.reshape(x, (-1,)), shifts[0], 0), x.shape)
    for shift, axis in zip(shifts, axes, strict=True):
        x = build.roll(x, shift, axis)
    return x


@op("roll", build=_roll, backward="RollBackward0")
def _roll_rule(self: Tensor, shifts: Any, dims: Any = ()) -> Call:
    moves = tuple(shifts) if isinstance(shifts, (tuple, list)) else (int(shifts),)
    axes = tuple(wrap_dim(d, len(self._shape)) for d in (dims if isinstance(dims, (tuple, list)) else (dims,)))
    if axes and len(axes) != len(moves):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(axes)}")
    return Call((self,), (moves, axes), self._shape, self._dtype)


@composite("rot90")
def _rot90(self: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    a, b = dims
    turns = k % 4
    if turns in (0, 2):
        made = call("flip", self, (a, b)) if turns else call("clone", self)
    else:
        made = call("clone", call("transpose", call("flip", self, b if turns == 1 else a), a, b))
    return renamed(made, "Rot90Backward0")


@op("constant_pad_nd", build=lambda x, widths, value: build.pad(x, widths, value), backward="ConstantPadNdBackward0", to="f")
def _pad(self: Tensor, pad: Any, value: float = 0) -> Call:
    ndim = len(self._shape)
    if len(pad) % 2:
        raise RuntimeError("Length of pad must be even but instead it equals " + str(len(pad)))
    if len(pad) > 2 * ndim:
        raise RuntimeError("Length of pad should be no more than twice the number of dimensions of the input. Pad "
                           f"length is {len(pad)} while the input has {ndim} dimensions.")
    widths = [(0, 0)] * ndim
    for k in range(len(pad) // 2):
        widths[ndim - 1 - k] = (int(pad[2 * k]), int(pad[2 * k + 1]))
    shape = tuple(s + low + high for s, (low, high) in zip(self._shape, widths, strict=True))
    for k, s in enumerate(shape):
        if s < 0:
            raise RuntimeError(f"The input size {self._shape[k]}, plus negative padding {widths[k][0]} and "
                               f"{widths[k][1]}, resulted in a negative output size, which is invalid. Check dimension "
                               f"{k} of your input.")
    fill = float(value) if self._dtype.is_floating_point else int(value)
    return Call((self,), (tuple(widths), fill), shape, self._dtype)


# ---------------------------------------------------------------- triangles and diagonals
for _name, _lower in (("tril", True), ("triu", False)):
    def _triangle(self: Tensor, diagonal: int = 0, *, name: str = _name) -> Call:
        if len(self._shape) < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        return Call((self,), (int(diagonal),), self._shape, self._dtype)

    op(_name, build=lambda x, offset, lower=_lower: build.triangle(x, offset, lower),
       backward=_name.title() + "Backward0", inplace=True)(_triangle)


@op("diag_embed", build=_embedded, backward="DiagEmbedBackward0")
def _diag_embed(self: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Call:
    ndim = len(self._shape) + 1
    a, b = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    size = self._shape[-1] + abs(offset)
    shape = list(self._shape[:-1])
    for axis in sorted((a, b)):
        shape.insert(axis, size)
    return Call((self,), (tuple(shape), offset, a, b), tuple(shape), self._dtype)


@composite("diag")
def _diag(self: Tensor, diagonal: int = 0) -> Tensor:
    if len(self._shape) not in (1, 2):
        raise RuntimeError("diag(): Supports 1D or 2D tensors. Got " + f"{len(self._shape)}D")
    if len(self._shape) == 1:
        return call("diag_embed", self, diagonal)  # type: ignore[no-any-return]
    return renamed(call("clone", call("diagonal", self, diagonal)), "DiagonalBackward0_copy")


@composite("diagflat")
def _diagflat(self: Tensor, offset: int = 0) -> Tensor:
    return call("diag_embed", call("reshape", self, -1), offset)  # type: ignore[no-any-return]


@op("trace", build=lambda x: f.sum(build.diagonal(x, 0, 0, 1), axes=(0,)), backward="TraceBackward0")
def _trace(self: Tensor) -> Call:
    if len(self._shape) != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {len(self._shape)}")
    return Call((self,), (), (), self._dtype)


# ---------------------------------------------------------------- shapes of several tensors
@composite("broadcast_tensors", to="f")
def _broadcast_tensors(*tensors: Any) -> list[Tensor]:
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    shape = broadcast(*[t._shape for t in given])
    return [call("expand_to", t, shape) for t in given]


@composite("meshgrid", to="f")
def _meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    given = list(tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors)
    if indexing == "xy" and len(given) > 1:
        swapped = _meshgrid(given[1], given[0], *given[2:])
        return (swapped[1], swapped[0], *swapped[2:])
    shape = tuple(t.numel() for t in given)
    return tuple(call("expand_to", call("reshape", t, [-1 if k == j else 1 for j in range(len(given))]), shape)
                 for k, t in enumerate(given))


@composite("cartesian_prod", to="f")
def _cartesian_prod(*tensors: Tensor) -> Tensor:
    grids = _meshgrid(*tensors)
    return call("stack", [call("reshape", g, -1) for g in grids], 1) if len(grids) > 1 else grids[0]  # type: ignore[no-any-return]


