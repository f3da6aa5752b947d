"""Quantiles, modes, covariance, differences, sums under a curve."""
from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node, constant, f
from ..geometry import wrap_dim
from ..row import Call, call, composite, op, renamed
from ..tensor import Tensor, wrap_array
from .results import return_type


def _quantile(x: Node, q: Node, axis: int, how: str) -> Node:
    """Along the last axis, at the fractions `q` (leading axis of the result)."""
    moved = build.moveaxis(x, axis, x.ndim - 1)
    size: int = moved.shape[-1]  # type: ignore[assignment]
    ordered, _ = build.sort(moved, moved.ndim - 1)
    place = q * float(size - 1)
    low, high = f.floor(place), f.ceil(place)
    fraction = place - low
    if how == "lower":
        high, fraction = low, fraction * 0.0
    elif how == "higher":
        low, fraction = high, fraction * 0.0
    elif how == "nearest":
        low = high = f.round(place)
        fraction = fraction * 0.0
    elif how == "midpoint":
        fraction = f.where(f.eq(low, high), fraction * 0.0, constant(0.5, q.dtype, q.shape))
    last = ordered.ndim - 1
    below, above = (build.moveaxis(build.index(ordered, (*(slice(None),) * last, build.cast(n, np.int64))), last, 0) for n in (low, high))
    weight = build.broadcast_to(build.reshape(fraction, (*q.shape, *(1,) * last)), below.shape)
    made = below + weight * (above - below)
    bad = build.reduce("any", f.isnan(moved), (last,))
    return f.where(build.broadcast_to(bad, made.shape), constant(float("nan"), x.dtype, made.shape), made)


@op("quantile_of", build=_quantile, backward="LerpBackward0", saved="self", inputs="self q", to="")
def _quantile_of(self: Tensor, q: Tensor, axis: int, how: str) -> Call:
    rest = tuple(s for k, s in enumerate(self._shape) if k != axis)
    return Call((self, q), (axis, how), (q._shape[0], *rest), self._dtype)


@composite("quantile")
def _quantile_function(self: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear") -> Any:
    if not self._dtype.is_floating_point:
        raise RuntimeError("quantile() input tensor must be either float or double dtype")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError("quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but "
                           f"got {interpolation}")
    if not isinstance(q, Tensor) and not 0 <= q <= 1:
        raise RuntimeError(f"quantile() q must be in the range [0, 1] but got {q}")
    given = q if isinstance(q, Tensor) else call("full_like", call("sum", self), q)
    if given._dtype is not self._dtype:
        raise RuntimeError("quantile() q tensor must be same dtype as the input tensor")
    if given._array().size and (given._array().min() < 0 or given._array().max() > 1):
        raise RuntimeError("quantile() q values must be in the range [0, 1]")
    x = call("reshape", self, -1) if dim is None else self
    axis = 0 if dim is None else wrap_dim(dim, len(self._shape))
    if not x._shape[axis]:
        raise RuntimeError("quantile() input tensor must be non-empty")
    made = call("quantile_of", x, call("reshape", given, -1), axis, interpolation)
    if keepdim:
        made = call("reshape", made, made._shape[0], *[1 if dim is None or k == axis else s for k, s in enumerate(self._shape)])
    return renamed(made, "SqueezeBackward4") if given._shape else call("squeeze_axes", made, (0,), "SqueezeBackward4")


@composite("nanquantile")
def _nanquantile(self: Tensor, q: Any, dim: int | None = None, keepdim: bool = False) -> Tensor:
    fractions = q._array() if isinstance(q, Tensor) else q
    return wrap_array(np.asarray(np.nanquantile(self._array(), fractions, axis=dim, keepdims=keepdim), self._array().dtype))


@composite("nanmedian")
def _nanmedian(self: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    if dim is None:
        kept = call("masked_select", self, call("logical_not", call("isnan", self)))
        return renamed(call("median", kept), "NanmedianBackward0")
    axis = wrap_dim(dim, len(self._shape))
    array = np.moveaxis(self._array(), axis, -1)
    middle = (np.maximum((~np.isnan(array)).sum(-1), 1) - 1) // 2
    index = np.take_along_axis(array.argsort(-1, kind="stable"), middle[..., None], -1)
    return _picked("nanmedian", self, index, axis, keepdim, "NanmedianBackward1")


@composite("mode")
def _mode(self: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent value (the smallest of several), and the last place where it stands."""
    axis = wrap_dim(dim, len(self._shape))
    array = np.moveaxis(self._array(), axis, -1)
    places = np.empty(array.shape[:-1], np.int64)
    for position in np.ndindex(places.shape):
        values, counts = np.unique(array[position], return_counts=True)
        places[position] = np.flatnonzero(array[position] == values[np.argmax(counts)])[-1]
    return _picked("mode", self, places[..., None], axis, keepdim, "ModeBackward0")


def _picked(name: str, self: Tensor, places: np.ndarray[Any, Any], axis: int, keepdim: bool, backward: str) -> Any:
    """The values at one place of each row along an axis (`places` has that axis last, of length 1), and the places."""
    index = wrap_array(np.moveaxis(places, -1, axis).copy())
    picked = call("gather", self, axis, index)
    if not keepdim:
        picked, index = call("squeeze", picked, axis), call("squeeze", index, axis)
    return return_type(name, "values", "indices")(renamed(picked, backward), index)


@composite("cov")
def _cov(self: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None) -> Tensor:
    x = call("reshape", self, 1, -1) if len(self._shape) < 2 else self
    centered = call("sub", x, call("mean", x, 1, True))
    made = call("div", call("matmul", centered, call("t", centered)), max(x._shape[1] - correction, 0))
    return call("squeeze", made)  # type: ignore[no-any-return]


@composite("corrcoef")
def _corrcoef(self: Tensor) -> Tensor:
    covariance = _cov(self)
    if not covariance._shape:
        return call("div", covariance, covariance)  # type: ignore[no-any-return]
    spread = call("sqrt", call("diagonal", covariance))
    scaled = call("div", call("div", covariance, call("unsqueeze", spread, 1)), call("unsqueeze", spread, 0))
    return call("clamp", scaled, -1, 1)  # type: ignore[no-any-return]


@composite("histc")
def _histc(self: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    array = self._array()
    low, high = (array.min(), array.max()) if min == max == 0 else (min, max)
    counts, _ = np.histogram(array, bins, (low, high))
    return wrap_array(counts.astype(array.dtype))


# ---------------------------------------------------------------- differences and integrals
@composite("diff")
def _diff(self: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None) -> Tensor:
    axis = wrap_dim(dim, len(self._shape))
    x = self
    if prepend is not None or append is not None:
        x = call("cat", [t for t in (prepend, x, append) if t is not None], axis)
    for _ in range(n):
        size = x._shape[axis]
        if size < 2:
            return call("narrow", x, axis, 0, 0)  # type: ignore[no-any-return]
        operation = "logical_xor" if str(x._dtype) == "torch.bool" else "sub"
        x = call(operation, call("narrow", x, axis, 1, size - 1), call("narrow", x, axis, 0, size - 1))
    return x


@composite("trapezoid", to="f", also="trapz")
def _trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    axis = wrap_dim(dim, len(y._shape))
    size = y._shape[axis]
    pairs = call("add", call("narrow", y, axis, 1, size - 1), call("narrow", y, axis, 0, size - 1))
    if x is None:
        return renamed(call("mul", call("sum", pairs, axis), (1.0 if dx is None else dx) / 2.0), "MulBackward1")
    steps = _diff(x)
    if len(x._shape) == 1:
        steps = call("reshape", steps, [-1 if k == axis else 1 for k in range(len(y._shape))])
    return renamed(call("div", call("sum", call("mul", pairs, steps), axis), 2.0), "DivBackward1")


@composite("cumulative_trapezoid", to="f")
def _cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    axis = wrap_dim(dim, len(y._shape))
    size = y._shape[axis]
    pairs = call("add", call("narrow", y, axis, 1, size - 1), call("narrow", y, axis, 0, size - 1))
    scaled = call("mul", pairs, (1.0 if dx is None else dx) / 2.0) if x is None else call("div", call("mul", pairs, _diff(x)), 2.0)
    return call("cumsum", scaled, axis)  # type: ignore[no-any-return]


@composite("combinations", to="f")
def _combinations(self: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.array(list(choose(range(self._shape[0]), r)), np.int64).reshape(-1, r)
    picked = call("index_select", self, 0, wrap_array(places.ravel()))
    return call("reshape", picked, places.shape)  # type: ignore[no-any-return]
