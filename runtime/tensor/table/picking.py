"""gather, scatter and their relatives: elements picked and placed along one axis."""
from __future__ import annotations

from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node, constant, f
from ...torch_types import NAMES
from ..geometry import numel, wrap_dim
from ..row import METHODS, Call, call, composite, op, renamed
from ..tensor import Tensor, wrap_array
from .common import operand
from .results import return_type

INT64 = NAMES["int64"]


def _check_along(self: Tensor, index: Tensor, axis: int, name: str, source: Any = None) -> None:
    """Torch's checks of an index tensor with as many axes as the input."""
    if index._dtype is not INT64 and index._dtype is not NAMES["int32"]:
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    if not index.numel():
        return
    if max(len(index._shape), 1) != max(len(self._shape), 1):
        raise RuntimeError("Index tensor must have the "
                           "same number of dimensions as " + ("input" if name == "gather" else "self") + " tensor")
    for k, size in enumerate(index._shape):
        if k != axis and size > self._shape[k]:
            if name == "gather":
                raise RuntimeError(f"Size does not match at dimension {k} expected index {list(index._shape)} to be no "
                                   f"larger than self {list(self._shape)} apart from dimension {axis}")
            against = f" and to be no larger size than src {list(source._shape)}" if isinstance(source, Tensor) else ""
            raise RuntimeError(f"Expected index {list(index._shape)} to be no larger than self {list(self._shape)} "
                               f"apart from dimension {axis}{against}")
    if isinstance(source, Tensor):
        for s, t in zip(index._shape, source._shape, strict=True):
            if s > t:
                raise RuntimeError(f"Expected index {list(index._shape)} to be no larger than self {list(self._shape)} "
                                   f"apart from dimension {axis} and to be no larger size than src "
                                   f"{list(source._shape)}")
    array = index._array()
    size = self._shape[axis] if self._shape else 1
    if array.min() < 0 or array.max() >= size:
        bad = next(int(i) for i in array.ravel() if not 0 <= i < size)
        raise RuntimeError(f"index {bad} is out of bounds for dimension {axis} with size {size}")


def _gather(x: Node, index: Node, axis: int) -> Node:
    if not x.ndim:
        return build.broadcast_to(x, index.shape)
    if not index.ndim:
        return build.reshape(build.take_along_axis(x, build.reshape(index, (1,)), axis), ())
    return build.take_along_axis(x, index, axis)


@op("gather", build=_gather, backward="GatherBackward0", saved="index", inputs="self (index)")
def _gather_rule(self: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Call:
    axis = wrap_dim(dim, len(self._shape))
    _check_along(self, index, axis, "gather")
    return Call((self, index), (axis,), index._shape, self._dtype)


def _cropped(value: Node, shape: tuple[Any, ...]) -> Node:
    """The part of a source that an index of this shape reads."""
    if value.shape == shape or not value.ndim:
        return value
    return build.index(value, tuple(slice(0, s) for s in shape))


def _scatter(x: Node, index: Node, value: Node, axis: int, accumulate: bool) -> Node:
    if not index.ndim:
        index = build.reshape(index, (1,) * max(x.ndim, 1))
        value = build.reshape(value, index.shape)
    flat = build.reshape(x, (1,)) if not x.ndim else x
    made = build.put_along_axis(flat, index, _cropped(value, index.shape), axis, accumulate)
    return build.reshape(made, x.shape)


@op("scatter_into", build=_scatter, backward="ScatterBackward0", saved="index", inputs="self (index) src?", to="", inplace=True)
def _scatter_into(self: Tensor, axis: int, index: Tensor, src: Any, accumulate: bool, name: str) -> Call:
    if isinstance(src, Tensor) and src._dtype is not self._dtype and src._shape:
        raise RuntimeError(("scatter_add" if accumulate else "scatter") + "(): Expected self.dtype to be equal to src.dtype")
    return Call((self, index, operand(src, self._dtype)), (axis, accumulate), self._shape, self._dtype, name=name)


def _scatter_call(suffix: str) -> Any:
    def scatter(self: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Tensor:
        axis = wrap_dim(dim, len(self._shape))
        source = value if src is None else src
        _check_along(self, index, axis, "scatter", source)
        name = "ScatterBackward0" if isinstance(source, Tensor) else "ScatterBackward1"
        if reduce == "multiply":
            return call("scatter_reduce" + suffix, self, axis, index, source, "prod")  # type: ignore[no-any-return]
        return call("scatter_into" + suffix, self, axis, index, source, reduce == "add", name)  # type: ignore[no-any-return]

    def scatter_add(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
        axis = wrap_dim(dim, len(self._shape))
        _check_along(self, index, axis, "scatter", src)
        return call("scatter_into" + suffix, self, axis, index, src, True, "ScatterAddBackward0")  # type: ignore[no-any-return]

    return scatter, scatter_add


for _suffix in ("", "_"):
    _scatter_function, _scatter_add_function = _scatter_call(_suffix)
    composite("scatter" + _suffix, to="m" if _suffix else "mf")(_scatter_function)
    composite("scatter_add" + _suffix, to="m" if _suffix else "mf")(_scatter_add_function)


_NEUTRAL = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "amax": float("-inf"), "amin": float("inf")}
_REDUCE = {"sum": "sum", "mean": "sum", "prod": "prod", "amax": "max", "amin": "min"}


def _scatter_reduce(x: Node, index: Node, source: Node, axis: int, how: str, include_self: bool) -> Node:
    """Each target reduces over a row of the sources that name it: a wide array of them, the others neutral."""
    source = _cropped(source, index.shape)
    rows, sources = x.shape[axis], index.shape[axis]
    index, source = (build.moveaxis(n, axis, n.ndim - 1) for n in (index, source))
    moved = build.moveaxis(x, axis, x.ndim - 1)
    moved = build.index(moved, tuple(slice(0, s) for s in index.shape[:-1])) if moved.shape[:-1] != index.shape[:-1] else moved
    wide = (*index.shape[:-1], rows, sources)
    from ....compiler.build.moving import iota

    spread = [build.broadcast_to(build.expand_dims(n, [n.ndim - 1]), wide) for n in (index, source)]
    named = f.eq(spread[0], iota(wide, len(wide) - 2))
    neutral = _neutral(how, x.dtype)
    candidates = f.where(named, spread[1], constant(neutral, x.dtype, wide))
    own = build.expand_dims(moved, [moved.ndim])
    hits = build.reduce("sum", build.cast(named, x.dtype), (len(wide) - 1,))
    there = f.gt(hits, 0)
    if not include_self:
        own = f.where(build.expand_dims(there, [there.ndim]), constant(neutral, x.dtype, own.shape), own)
    made = build.reduce(_REDUCE[how], build.concatenate([own, candidates], own.ndim - 1), (own.ndim - 1,))
    if how == "mean":
        count = hits + 1 if include_self else f.where(there, hits, constant(1, x.dtype, hits.shape))
        made = made / count if x.dtype.kind == "f" else f.floor_divide(made, count)
    made = build.moveaxis(made, made.ndim - 1, axis)
    if made.shape == x.shape:
        return made
    return build.update(x, tuple(slice(0, s) for s in made.shape), made)


def _neutral(how: str, dtype: np.dtype[Any]) -> Any:
    value = _NEUTRAL[how]
    if dtype.kind != "f" and abs(value) == float("inf"):
        return np.iinfo(dtype).min if value < 0 else np.iinfo(dtype).max
    return value


@op("scatter_reduce_into", build=_scatter_reduce, backward="ScatterReduceBackward0", saved="self index src result",
    inputs="self (index) src?", to="", inplace=True)
def _scatter_reduce_into(self: Tensor, axis: int, index: Tensor, src: Any, reduce: str, include_self: bool) -> Call:
    return Call((self, index, operand(src, self._dtype)), (axis, reduce, include_self), self._shape, self._dtype)


for _suffix in ("", "_"):
    def _scatter_reduce_function(self: Tensor, dim: int, index: Tensor, src: Any, reduce: str, *, include_self: bool = True,
                                 suffix: str = _suffix) -> Tensor:
        if reduce not in _NEUTRAL:
            raise RuntimeError("reduce argument must be either sum, prod, mean, amax or amin, got " + reduce)
        axis = wrap_dim(dim, len(self._shape))
        _check_along(self, index, axis, "scatter", src)
        return call("scatter_reduce_into" + suffix, self, axis, index, src, reduce, include_self)  # type: ignore[no-any-return]

    composite("scatter_reduce" + _suffix, to="m" if _suffix else "mf")(_scatter_reduce_function)


# ---------------------------------------------------------------- whole slices by index
def _check_select(self: Tensor, axis: int, index: Tensor, name: str) -> None:
    if len(index._shape) > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector")
    if index._dtype not in (INT64, NAMES["int32"]):
        raise RuntimeError(f"{name}(): Expected dtype int32 or int64 for index")
    array = index._array()
    size = self._shape[axis] if self._shape else 1
    if array.size and (array.min() < 0 or array.max() >= size):
        raise IndexError("index out of range in self")


def _along(x: Node, index: Node, axis: int) -> Node:
    if not x.ndim:
        return x
    index = build.reshape(index, (-1,)) if index.ndim != 1 else index
    return build.index(x, tuple(index if k == axis else slice(None) for k in range(x.ndim)))


@op("index_select", build=_along, backward="IndexSelectBackward0", saved="index", inputs="self (index)")
def _index_select(self: Tensor, dim: int, index: Tensor) -> Call:
    axis = wrap_dim(dim, len(self._shape))
    _check_select(self, axis, index, "index_select")
    shape = tuple(numel(index._shape) if k == axis else s for k, s in enumerate(self._shape))
    return Call((self, index), (axis,), shape, self._dtype)


def _place_along(x: Node, index: Node, source: Node, axis: int, accumulate: bool) -> Node:
    index = build.reshape(index, (-1,)) if index.ndim != 1 else index
    return build.update(x, tuple(index if k == axis else slice(None) for k in range(x.ndim)), source, accumulate)


def _index_write(name: str, accumulate: bool, backward: str, source: str) -> None:
    def rule(self: Tensor, dim: int, index: Tensor, tensor: Any, *, alpha: Any = 1) -> Call:
        axis = wrap_dim(dim, len(self._shape))
        _check_select(self, axis, index, name)
        if alpha != 1:
            tensor = call("mul", tensor, alpha)
        return Call((self, index, operand(tensor, self._dtype)), (axis, accumulate), self._shape, self._dtype)

    op(name, build=_place_along, backward=backward, saved="index", inputs=f"self (index) {source}?", inplace=True)(rule)


_index_write("index_add", True, "IndexAddBackward0", "source")
_index_write("index_copy", False, "IndexCopyBackward0", "source")
_index_write("index_fill", False, "IndexFillBackward0", "value")


# ---------------------------------------------------------------- flat positions
def _flat_index(x: Node, index: Node) -> Node:
    return build.index(build.reshape(x, (-1,)), index)


def _check_flat(self: Tensor, index: Tensor, name: str) -> None:
    if index._dtype is not INT64:
        raise RuntimeError(f"{name}(): Expected a long tensor for index, but got {index._dtype}")
    array = index._array()
    count = self.numel()
    if array.size and (array.min() < -count or array.max() >= count):
        bad = next(int(i) for i in array.ravel() if not -count <= i < count)
        raise IndexError(f"out of range: tried to access index {bad} on a tensor of {count} elements.")


@op("take", build=_flat_index, backward="TakeBackward0", saved="index", inputs="self (index)")
def _take(self: Tensor, index: Tensor) -> Call:
    _check_flat(self, index, "take")
    return Call((self, index), (), index._shape, self._dtype)


@op("put", build=lambda x, index, source, accumulate: build.reshape(build.update(
    build.reshape(x, (-1,)), index, build.reshape(source, index.shape), accumulate), x.shape), backward="PutBackward0", saved="index",
    inputs="self (index) source", inplace=True)
def _put(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Call:
    _check_flat(self, index, "put_")
    return Call((self, index, source), (bool(accumulate),), self._shape, self._dtype)


@composite("take_along_dim")
def _take_along_dim(self: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    if dim is None:
        return call("gather", call("reshape", self, -1), 0, call("reshape", indices, -1))  # type: ignore[no-any-return]
    axis = wrap_dim(dim, len(self._shape))
    from .common import broadcast

    lead = broadcast(*[tuple(1 if k == axis else s for k, s in enumerate(t._shape)) for t in (self, indices)])
    x, where = (call("expand_to", t, tuple(t._shape[axis] if k == axis else s for k, s in enumerate(lead))) for t in (self, indices))
    return call("gather", x, axis, where)  # type: ignore[no-any-return]


@composite("masked_scatter")
def _masked_scatter(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    from .common import broadcast

    shape = broadcast(self._shape, mask._shape)
    x, wide = (t if t._shape == shape else call("expand_to", t, shape) for t in (self, mask))
    count = int(np.count_nonzero(wide._array()))
    if count > source.numel():
        raise RuntimeError("masked_scatter: expected self and "
                           "source to have same dtypes" if source._dtype is not self._dtype else
                           "Number of elements of source < number of ones in mask")
    values = call("slice_axis", call("reshape", source, -1), 0, 0, count, 1)
    positions = [wrap_array(p) for p in np.nonzero(wide._array())]
    return renamed(call("index_put", x, positions, values), "MaskedScatterBackward0")


METHODS["masked_scatter_"] = lambda self, mask, source: call("copy_", self, call("masked_scatter", self, mask, source))


# ---------------------------------------------------------------- counts and sets, computed at once
@composite("unique")
def _unique(self: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    values, inverse, counts = np.unique(self._array(), return_inverse=True, return_counts=True, axis=dim)
    made = [wrap_array(values)]
    if return_inverse:
        made.append(wrap_array(inverse.reshape(self._shape if dim is None else (-1,))))
    if return_counts:
        made.append(wrap_array(counts))
    return made[0] if len(made) == 1 else tuple(made)


@composite("bincount")
def _bincount(self: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    return wrap_array(np.bincount(self._array(), None if weights is None else weights._array(), minlength))


@composite("searchsorted", to="f")
def _searchsorted(sorted_sequence: Tensor, values: Any, *, out_int32: bool = False, right: bool = False,
side: str | None = None) -> Tensor:
    how = side or ("right" if right else "left")
    sequence = sorted_sequence._array()
    wanted = values._array() if isinstance(values, Tensor) else np.asarray(values)
    if sequence.ndim == 1:
        found = np.searchsorted(sequence, wanted, how)  # type: ignore[call-overload]
    else:
        pairs = zip(sequence.reshape(-1, sequence.shape[-1]), wanted.reshape(-1, wanted.shape[-1]), strict=True)
        found = np.stack([np.searchsorted(s, v, how) for s, v in pairs]).reshape(wanted.shape)  # type: ignore[call-overload]
    return wrap_array(np.asarray(found, np.int32 if out_int32 else np.int64))


@composite("bucketize", to="f")
def _bucketize(self: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    return call("searchsorted", boundaries, self, out_int32=out_int32, right=right)  # type: ignore[no-any-return]


def _running(x: Node, axis: int, op_name: str) -> tuple[Node, Node]:
    """Running extremes: positions are constant, and the values are read there."""
    from ....compiler.build.moving import iota

    if not x.ndim:
        return x, constant(0, np.int64, ())
    moved = build.moveaxis(x, axis, x.ndim - 1)
    n = moved.shape[-1]
    square = (*moved.shape[:-1], n, n)
    wide = build.broadcast_to(build.expand_dims(moved, [moved.ndim - 1]), square)
    inside = f.le(iota(square, len(square) - 1), iota(square, len(square) - 2))
    low = _neutral("amax" if op_name == "argmax" else "amin", x.dtype)
    masked = f.where(inside, wide, constant(low, x.dtype, square))
    backwards = build.position(op_name, build.flip(masked, (len(square) - 1,)), len(square) - 1)  # torch takes the last of equals
    last = build.broadcast_to(build.size_value(n - 1), backwards.shape) - backwards
    return build.moveaxis(build.take_along_axis(moved, last, moved.ndim - 1), x.ndim - 1, axis), build.moveaxis(last, x.ndim - 1, axis)


for _name, _position in (("cummax", "argmax"), ("cummin", "argmin")):
    def _running_rule(self: Tensor, dim: int, *, position: str = _position) -> Call:
        return Call((self,), (wrap_dim(dim, len(self._shape)), position), (self._shape, self._shape), (self._dtype, INT64))

    op(_name, build=_running, backward=_name.title() + "Backward0", saved="result1",
       outputs=return_type(_name, "values", "indices"))(_running_rule)

