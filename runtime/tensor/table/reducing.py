"""Reductions, orderings, running sums."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node, constant, f
from ...torch_types import NAMES, as_dtype, dtype as Dtype
from ..arguments import as_int
from ..geometry import numel, wrap_dim
from ..row import Call, call, composite, dtype_name, op, renamed
from ..tensor import Tensor
from .common import broadcast, common_dtype, dims_of, float_dtype, reduced
from .results import return_type

INT64, BOOL = NAMES["int64"], NAMES["bool"]


def _counted(dtype: Dtype) -> Dtype:
    """The dtype of sums and products: integers and bools count in int64."""
    return dtype if dtype.is_floating_point else INT64


def _sum(x: Node, dtype: str, axes: tuple[int, ...], keepdim: bool) -> Node:
    return build.reduce("sum", build.cast(x, dtype), axes, keepdim)


@op("sum", build=_sum, backward="SumBackward0")
def _sum_rule(self: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Call:
    axes = dims_of(dim, len(self._shape))
    made = _counted(self._dtype) if dtype is None else as_dtype(dtype, "sum")
    return Call((self,), (dtype_name(made), axes, bool(keepdim)), reduced(self._shape, axes, keepdim), made,
                name="" if dim is None and not keepdim else "SumBackward1")


@op("nansum", build=lambda x, dtype, axes, keepdim: _sum(
    f.where(f.isnan(x), constant(0, x.dtype, x.shape), x) if x.dtype.kind == "f" else x, dtype, axes, keepdim),
    backward="NansumBackward0", saved="self")
def _nansum_rule(self: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Call:
    return _sum_rule.rule(self, dim, keepdim, dtype=dtype)._replace(name="")


def _check_float(self: Tensor, dtype: Any, name: str) -> Dtype:
    made = self._dtype if dtype is None else as_dtype(dtype, name)
    if not made.is_floating_point:
        from ...torch_types import scalar_type_name

        if dtype is None:
            raise RuntimeError(f"{name}(): could not infer output dtype. Input dtype must be either a floating point "
                               f"or complex dtype. Got: {scalar_type_name(made)}")
        raise RuntimeError(f"{name}(): expected dtype to be floating point or complex dtype")
    return made


@op("mean", build=lambda x, dtype, axes, keepdim: build.mean(build.cast(x, dtype), axes, keepdim), backward="MeanBackward0")
def _mean_rule(self: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Call:
    made = _check_float(self, dtype, "mean")
    axes = dims_of(dim, len(self._shape))
    return Call((self,), (dtype_name(made), axes, bool(keepdim)), reduced(self._shape, axes, keepdim), made,
                name="" if dim is None and not keepdim else "MeanBackward1")


@op("nanmean", build=lambda x, axes, keepdim: _nanmean(x, axes, keepdim), backward="DivBackward0", saved="self")
def _nanmean_rule(self: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Call:
    axes = dims_of(dim, len(self._shape))
    return Call((self,), (axes, bool(keepdim)), reduced(self._shape, axes, keepdim), self._dtype)


def _nanmean(x: Node, axes: tuple[int, ...], keepdim: bool) -> Node:
    there = f.cast(f.not_(f.isnan(x)), dtype=x.dtype.name)
    total = build.reduce("sum", f.where(f.isnan(x), constant(0, x.dtype, x.shape), x), axes, keepdim)
    return total / build.reduce("sum", there, axes, keepdim)


@op("prod_of", build=lambda x, dtype, axes, keepdim: build.reduce("prod", build.cast(x, dtype), axes, keepdim), backward="ProdBackward0",
    saved="self result", to="")
def _prod_of(self: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Call:
    axes = dims_of(dim, len(self._shape))
    made = _counted(self._dtype) if dtype is None else as_dtype(dtype, "prod")
    return Call((self,), (dtype_name(made), axes, bool(keepdim)), reduced(self._shape, axes, keepdim), made,
                name="" if dim is None else "ProdBackward1")


@composite("prod")
def _prod(self: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    if dim is not None:
        as_int(dim, "dim")
    return call("prod_of", self, dim, keepdim, dtype=dtype)


# ---------------------------------------------------------------- variance
def _correction(unbiased: Any, correction: Any) -> float:
    if correction is not None:
        return float(correction)
    return 1.0 if unbiased is None or unbiased else 0.0


def _spread(name: str, ir: Callable[[Node], Node], backward: str, saved: str, derivative: str = "") -> None:
    """`var` or `std`, whose first argument may be `unbiased`."""

    def rule(self: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Call:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        if not self._dtype.is_floating_point:
            raise RuntimeError("std and var only support floating point and complex dtypes")
        axes = dims_of(dim, len(self._shape))
        return Call((self,), (axes, _correction(unbiased, correction), bool(keepdim)), reduced(self._shape, axes, keepdim), self._dtype)

    op(name, build=lambda x, axes, correction, keepdim: ir(build.variance(x, axes, correction, keepdim)),
       backward=backward, saved=saved, derivative=derivative)(rule)


_spread("var", lambda v: v, "VarBackward0", "self")
_spread("std", lambda v: _root(v), "StdBackward0", "self result", "MulBackward0")


def _root(variance: Node) -> Node:
    """The square root; of a variance of 0 with gradient 0, as torch has it."""
    zero = f.eq(variance, 0.0)
    safe = f.where(zero, constant(1, variance.dtype, variance.shape), variance)
    return f.where(zero, f.stop_gradient(variance), f.sqrt(safe))


@composite("var_mean", to="f")
def _var_mean(self: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    return _with_mean("var", self, dim, unbiased, keepdim, correction)


@composite("std_mean", to="f")
def _std_mean(self: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    return _with_mean("std", self, dim, unbiased, keepdim, correction)


def _with_mean(name: str, self: Tensor, dim: Any, unbiased: Any, keepdim: bool, correction: Any) -> Any:
    spread = call(name, self, dim, unbiased, keepdim, correction=correction)
    mean = call("mean", self, None if isinstance(dim, bool) else dim, keepdim)
    return tuple(renamed(made, f"{name.title()}MeanBackward0") for made in (spread, mean))


# ---------------------------------------------------------------- exponentials
def _log_sum_exp(x: Node, dtype: str, axes: tuple[int, ...], keepdim: bool) -> Node:
    if not numel([x.shape[k] for k in axes]):  # type: ignore[misc]
        return constant(float("-inf"), dtype, reduced(x.shape, axes, keepdim))  # type: ignore[arg-type]
    return build.logsumexp(build.cast(x, dtype), axes, keepdim)


@op("logsumexp", build=_log_sum_exp,
    backward="LogsumexpBackward0", saved="self result")
def _logsumexp(self: Tensor, dim: Any, keepdim: bool = False) -> Call:
    axes = dims_of(dim, len(self._shape))
    dtype = float_dtype(self._dtype)
    return Call((self,), (dtype_name(dtype), axes, bool(keepdim)), reduced(self._shape, axes, keepdim), dtype)


for _name, _log, _backward in (("softmax", False, "SoftmaxBackward0"), ("log_softmax", True, "LogSoftmaxBackward0")):
    def _softmax(self: Tensor, dim: int | None, dtype: Any = None, *, name: str = _name) -> Call:
        made = self._dtype if dtype is None else as_dtype(dtype, name)
        if not made.is_floating_point:
            from ..messages import not_implemented

            raise not_implemented(f"{name}_lastdim_kernel_impl" if name == "softmax" else "log_softmax_lastdim_kernel_impl", made)
        assert dim is not None
        axes = (wrap_dim(dim, len(self._shape)),) if self._shape else ()
        return Call((self,), (dtype_name(made), axes), self._shape, made)

    op(_name, build=lambda x, dtype, axes, log=_log: build.softmax(build.cast(x, dtype), axes, log), backward=_backward,
       saved="result", derivative=_backward.replace("Backward0", "BackwardDataBackward0"))(_softmax)


# ---------------------------------------------------------------- norms
@op("norm_of", build=lambda x, order, axes, keepdim, dtype: build.norm(build.cast(x, dtype), axes, order, keepdim),
    backward="LinalgVectorNormBackward0", saved="self result", to="", derivative="MulBackward0")
def _norm_of(self: Tensor, order: float, dim: Any, keepdim: bool, dtype: Any, name: str = "") -> Call:
    if not self._dtype.is_floating_point and dtype is None:
        from ...torch_types import scalar_type_name

        raise RuntimeError("linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
                           f"{scalar_type_name(self._dtype)}")
    axes = dims_of(dim, len(self._shape))
    made = self._dtype if dtype is None else as_dtype(dtype, "norm")
    return Call((self,), (float(order), axes, bool(keepdim), dtype_name(made)), reduced(self._shape, axes, keepdim), made,
    name=name)


@composite("norm", replay=True)
def _norm(self: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    if p in ("fro", None):
        p = 2
    if isinstance(p, str):
        raise RuntimeError(f"norm: the order {p!r} is not supported")
    return call("norm_of", self, p, dim, keepdim, dtype)


def _distance(a: Node, b: Node, dtype: str, p: float) -> Node:
    a, b = build.broadcast(build.cast(a, dtype), build.cast(b, dtype))
    return build.norm(a - b, tuple(range(a.ndim)), p, False)


@op("dist", build=_distance, backward="DistBackward0", saved="other self result", inputs="self other")
def _dist(self: Tensor, other: Tensor, p: float = 2) -> Call:
    dtype = common_dtype(self, other)
    broadcast(self._shape, other._shape)
    return Call((self, other), (dtype_name(dtype), float(p)), (), dtype)


# ---------------------------------------------------------------- truth
def _logical(name: str) -> None:
    def rule(self: Tensor, dim: Any = None, keepdim: bool = False) -> Call:
        axes = dims_of(dim, len(self._shape))
        made = NAMES["uint8"] if self._dtype is NAMES["uint8"] else BOOL
        return Call((self,), (axes, bool(keepdim), dtype_name(made)), reduced(self._shape, axes, keepdim), made)

    op(name, build=lambda x, axes, keepdim, dtype: build.cast(build.reduce(
        name, x if x.dtype.kind == "b" else f.ne(x, 0), axes, keepdim), dtype))(rule)


_logical("any")
_logical("all")


@op("count_nonzero", build=lambda x, axes: build.reduce("sum", build.cast(x if x.dtype.kind == "b" else f.ne(x, 0), np.int64), axes))
def _count_nonzero(self: Tensor, dim: Any = None) -> Call:
    axes = dims_of(dim, len(self._shape))
    return Call((self,), (axes,), reduced(self._shape, axes, False), INT64)


# ---------------------------------------------------------------- extremes
def _no_elements(self: Tensor, name: str, dim: Any) -> None:
    if dim is None:
        if not numel(self._shape):
            raise RuntimeError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
                               "reduction dim with the 'dim' argument.")
    else:
        axis = wrap_dim(dim, len(self._shape))
        if self._shape and self._shape[axis] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")


def _extreme(x: Node, op_name: str, axes: tuple[int, ...], keepdim: bool) -> Node:
    return build.reduce(op_name, x, axes, keepdim)


for _name in ("amax", "amin"):
    def _am(self: Tensor, dim: Any = (), keepdim: bool = False, *, name: str = _name) -> Call:
        axes = dims_of(dim, len(self._shape))
        for axis in axes:
            if self._shape[axis] == 0:
                if dim is None or dim == ():
                    raise RuntimeError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
                                       "Specify the reduction dim with the 'dim' argument.")
                raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")
        return Call((self,), (name[1:], axes, bool(keepdim)), reduced(self._shape, axes, keepdim), self._dtype)

    op(_name, build=_extreme, backward=_name.title() + "Backward0", saved="self result")(_am)

for _name in ("max", "min"):
    def _whole(self: Tensor, *, name: str = _name) -> Call:
        _no_elements(self, name, None)
        return Call((self,), (name, tuple(range(len(self._shape))), False), (), self._dtype)

    op(_name + "_all", build=_extreme, backward=_name.title() + "Backward1", saved="self result", to="")(_whole)


def _pick(x: Node, index: Node, axis: int, keepdim: bool) -> Node:
    """The elements at positions along an axis (`index` keeps that axis with size 1)."""
    picked = build.take_along_axis(x, index, axis)
    return picked if keepdim else build.squeeze(picked, (axis,))


def _along(x: Node, op_name: str, axis: int, keepdim: bool) -> tuple[Node, Node]:
    if not x.ndim:
        return x, constant(0, np.int64, ())
    where = build.cast(x, np.uint8) if x.dtype.kind == "b" else x
    index = build.position(op_name, where, axis, True)
    return _pick(x, index, axis, keepdim), index if keepdim else build.squeeze(index, (axis,))


for _name in ("max", "min"):
    def _with_index(self: Tensor, dim: int, keepdim: bool = False, *, name: str = _name) -> Call:
        _no_elements(self, name, dim)
        axis = wrap_dim(dim, len(self._shape))
        shape = reduced(self._shape, (axis,), keepdim)
        return Call((self,), ("arg" + name, axis, bool(keepdim)), (shape, shape), (self._dtype, INT64))

    op(_name + "_dim", build=_along, backward=_name.title() + "Backward0", saved="result1", to="",
       outputs=return_type(_name, "values", "indices"))(_with_index)

    def _overloaded(self: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None, name: str = _name) -> Any:
        if isinstance(dim, Tensor):
            other = dim
        if other is not None:
            return call(name + "imum", self, other)
        return call(name + "_all", self) if dim is None else call(name + "_dim", self, dim, keepdim)

    composite(_name)(_overloaded)


@composite("aminmax")
def _aminmax(self: Tensor, *, dim: Any = None, keepdim: bool = False) -> Any:
    made = [renamed(call(name, self, () if dim is None else dim, keepdim), "AminmaxBackward0") for name in ("amin", "amax")]
    return return_type("aminmax", "min", "max")(*made)


def _position(x: Node, op_name: str, axis: int | None, keepdim: bool) -> Node:
    if not x.ndim:
        return constant(0, np.int64, ())
    return build.position(op_name, build.cast(x, np.uint8) if x.dtype.kind == "b" else x, axis, keepdim)


for _name in ("argmax", "argmin"):
    def _arg(self: Tensor, dim: int | None = None, keepdim: bool = False, *, name: str = _name) -> Call:
        if dim is None and not numel(self._shape):
            raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
        if dim is not None:
            _no_elements(self, name, dim)
        axis = None if dim is None else wrap_dim(dim, len(self._shape))
        axes = tuple(range(len(self._shape))) if axis is None else (axis,)
        return Call((self,), (name, axis, bool(keepdim)), reduced(self._shape, axes, keepdim), INT64)

    op(_name, build=_position)(_arg)


# ---------------------------------------------------------------- orderings
def _sort(x: Node, axis: int, descending: bool) -> tuple[Node, ...]:
    return (x, constant(0, np.int64, ())) if not x.ndim else build.sort(x, axis, descending)


@op("sort", build=_sort, backward="SortBackward0", saved="result1", outputs=return_type("sort", "values", "indices"))
def _sort_rule(self: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> Call:
    axis = wrap_dim(dim, len(self._shape))
    return Call((self,), (axis, bool(descending)), (self._shape, self._shape), (self._dtype, INT64))


@composite("argsort")
def _argsort(self: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
    return call("sort", self, dim, descending)[1]


@composite("msort")
def _msort(self: Tensor) -> Any:
    return call("sort", self, 0)[0]


def _topk(x: Node, k: int, axis: int, largest: bool) -> tuple[Node, ...]:
    if not x.ndim:
        return x, constant(0, np.int64, ())
    values, order = build.sort(x, axis, largest)
    rest = x.shape[axis] - k
    return build.split(values, axis, [k, rest])[0], build.split(order, axis, [k, rest])[0]


@op("topk", build=_topk, backward="TopkBackward0", saved="result1", outputs=return_type("topk", "values", "indices"))
def _topk_rule(self: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Call:
    axis = wrap_dim(dim, len(self._shape))
    if not 0 <= k <= (self._shape[axis] if self._shape else 1):
        raise RuntimeError("selected index k out of range")
    shape = tuple(k if i == axis else s for i, s in enumerate(self._shape))
    return Call((self,), (k, axis, bool(largest)), (shape, shape), (self._dtype, INT64))


def _kth(x: Node, k: int, axis: int, keepdim: bool) -> tuple[Node, ...]:
    if not x.ndim:
        return x, constant(0, np.int64, ())
    values, order = build.sort(x, axis)
    picked = [build.split(n, axis, [k - 1, 1, x.shape[axis] - k])[1] for n in (values, order)]
    return tuple(n if keepdim else build.squeeze(n, (axis,)) for n in picked)


@op("kthvalue", build=_kth, backward="KthvalueBackward0", saved="result1", outputs=return_type("kthvalue", "values", "indices"))
def _kth_rule(self: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Call:
    axis = wrap_dim(dim, len(self._shape))
    if not 1 <= k <= (self._shape[axis] if self._shape else 1):
        raise RuntimeError("kthvalue(): selected number k out of range for dimension " + str(axis))
    shape = reduced(self._shape, (axis,), keepdim)
    return Call((self,), (k, axis, bool(keepdim)), (shape, shape), (self._dtype, INT64))


@op("median_dim", build=lambda x, axis, keepdim: _kth(x, (x.shape[axis] + 1) // 2 if x.ndim else 1, axis, keepdim),
    backward="MedianBackward1",
    saved="result1", to="", outputs=return_type("median", "values", "indices"))
def _median_dim(self: Tensor, dim: int, keepdim: bool = False) -> Call:
    axis = wrap_dim(dim, len(self._shape))
    shape = reduced(self._shape, (axis,), keepdim)
    return Call((self,), (axis, bool(keepdim)), (shape, shape), (self._dtype, INT64))


def _at(x: Node, value: Node) -> Node:
    """A value that is among the elements; its gradient is shared evenly by the elements equal to it, as torch has it."""
    value = build.broadcast_to(f.stop_gradient(value), x.shape)
    hit = f.or_(f.eq(x, value), f.and_(f.isnan(x), f.isnan(value))) if x.dtype.kind == "f" else f.eq(x, value)
    axes = tuple(range(x.ndim))
    shift = f.sum(f.where(hit, x - f.stop_gradient(x), constant(0, x.dtype, x.shape)), axes=axes)
    count = f.sum(build.cast(hit, x.dtype), axes=axes)
    return shift / count


def _median_all(x: Node) -> Node:
    flat = build.reshape(x, (-1,))
    value = _middle(flat)
    if x.dtype.kind != "f":
        return value
    return f.stop_gradient(value) + _at(flat, value)


def _middle(flat: Node) -> Node:
    count: int = flat.shape[0]  # type: ignore[assignment]
    ordered, _ = build.sort(flat, 0)
    middle = build.index(ordered, ((count - 1) // 2,))
    return f.where(f.isnan(build.index(ordered, (count - 1,))), build.index(ordered, (count - 1,)),
                   middle) if flat.dtype.kind == "f" else middle


@op("median_all", build=_median_all, backward="MedianBackward0", saved="self result", to="")
def _median_all_rule(self: Tensor) -> Call:
    return Call((self,), (), (), self._dtype)


@composite("median")
def _median(self: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    return call("median_all", self) if dim is None else call("median_dim", self, dim, keepdim)


# ---------------------------------------------------------------- running sums
@op("cumsum", build=lambda x, dtype, axis: build.cast(x, dtype) if not x.ndim else build.cumulative_sum(build.cast(x, dtype), axis),
    backward="CumsumBackward0", inplace=True)
def _cumsum(self: Tensor, dim: int, *, dtype: Any = None) -> Call:
    made = _counted(self._dtype) if dtype is None else as_dtype(dtype, "cumsum")
    return Call((self,), (dtype_name(made), wrap_dim(dim, len(self._shape))), self._shape, made)


def _cumprod(x: Node, dtype: str, axis: int) -> Node:
    """Running products, as products over a triangle of masked copies: right where elements are 0."""
    x = build.cast(x, dtype)
    if not x.ndim:
        return x
    moved = build.moveaxis(x, axis, x.ndim - 1)
    n = moved.shape[-1]
    square = (*moved.shape[:-1], n, n)
    wide = build.broadcast_to(build.expand_dims(moved, [moved.ndim - 1]), square)
    from ....compiler.build.moving import iota

    inside = f.le(iota(square, len(square) - 1), iota(square, len(square) - 2))
    products = f.prod(f.where(inside, wide, constant(1, x.dtype, square)), axes=(len(square) - 1,))
    return build.moveaxis(products, x.ndim - 1, axis)


@op("cumprod", build=_cumprod, backward="CumprodBackward0", saved="self result", inplace=True)
def _cumprod_rule(self: Tensor, dim: int, *, dtype: Any = None) -> Call:
    made = _counted(self._dtype) if dtype is None else as_dtype(dtype, "cumprod")
    return Call((self,), (dtype_name(made), wrap_dim(dim, len(self._shape))), self._shape, made)


def _logcumsumexp(x: Node, axis: int) -> Node:
    if not x.ndim:
        return x
    from ....compiler.build.moving import iota

    moved = build.moveaxis(x, axis, x.ndim - 1)
    n = moved.shape[-1]
    square = (*moved.shape[:-1], n, n)
    wide = build.broadcast_to(build.expand_dims(moved, [moved.ndim - 1]), square)
    inside = f.le(iota(square, len(square) - 1), iota(square, len(square) - 2))
    masked = f.where(inside, wide, constant(float("-inf"), x.dtype, square))
    return build.moveaxis(build.logsumexp(masked, (len(square) - 1,)), x.ndim - 1, axis)


@op("logcumsumexp", build=_logcumsumexp, backward="LogcumsumexpBackward0", saved="self result")
def _logcumsumexp_rule(self: Tensor, dim: int) -> Call:
    return Call((self,), (wrap_dim(dim, len(self._shape)),), self._shape, self._dtype)


@composite("sum_to_size", to="m")
def _sum_to_size(self: Tensor, *size: Any) -> Any:
    from .common import as_shape

    shape = as_shape(size)
    if shape == self._shape:
        return self
    lead = len(self._shape) - len(shape)
    ok = lead >= 0 and all(s in (1, own) for s, own in zip(shape, self._shape[lead:], strict=True))
    if not ok:
        raise RuntimeError(f"size {{{list(shape)}}} is not expandable to size {{{list(self._shape)}}}.")
    axes = [*range(lead), *(k + lead for k, s in enumerate(shape) if s == 1 and self._shape[k + lead] != 1)]
    return call("reshape", call("sum", self, axes), shape) if axes else self
