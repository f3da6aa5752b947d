"""Losses of neural networks that compare element by element; distances."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node, constant, f
from ...torch_types import Size, scalar_type_name
from ..modes import no_grad
from ..row import Call, call, composite, numpy_dtype, op
from ..tensor import Tensor
from .common import broadcast, common_dtype, strides_of

BCE_EPSILON = 1e-12  # torch's bound of the denominator in the gradient of binary_cross_entropy
LOG_BOUND = -100.0


# ---------------------------------------------------------------- reductions
def reduction_of(reduction: str, size_average: Any = None, reduce: Any = None) -> str:
    """The reduction asked for, by its name or by the two flags of old.

    Raises:
        ValueError: no such reduction.
    """
    if size_average is not None or reduce is not None:
        warnings.warn("size_average and reduce args will be deprecated, please use reduction='...' instead.", UserWarning, stacklevel=4)
        if reduce is False:
            return "none"
        return "sum" if size_average is False else "mean"
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def reduced_loss(loss: Node, reduction: str) -> Node:
    """The mean, the sum or the losses themselves."""
    axes = tuple(range(loss.ndim))
    if reduction == "mean":
        return build.mean(loss, axes)
    return build.reduce("sum", loss, axes) if reduction == "sum" else loss


def reduce_tensor(loss: Tensor, reduction: str) -> Any:
    """The mean, the sum or the losses themselves."""
    return loss if reduction == "none" else call(reduction, loss)


def zeros_of(x: Node) -> Node:
    """Zeros of a node's shape and dtype."""
    return constant(0, x.dtype, x.shape)


# ---------------------------------------------------------------- of input and target, element by element
def _pairwise(name: str, formula: Callable[..., Node], backward: str) -> None:
    """The row of a loss of two tensors that broadcast; `formula(input, target, *parameters)`."""

    def build_it(x: Node, t: Node, dtype: str, reduction: str, *params: float) -> Node:
        x, t = build.broadcast(build.cast(x, dtype), build.cast(t, dtype))
        return reduced_loss(formula(x, t, *params), reduction)

    def rule(self: Tensor, target: Tensor, reduction: str, *params: float) -> Call:
        dtype = common_dtype(self, target)
        whole = broadcast(self._shape, target._shape)
        none = reduction == "none"
        return Call(
            (self, target),
            (numpy_dtype(dtype).name, reduction, *map(float, params)),
            whole if none else (),
            dtype,
            strides_of(whole, self, target) if none else None,
        )

    op(name + "_of", build=build_it, backward=backward, saved="self target", inputs="self target", to="", shown={"reduction": 1})(rule)


def _huber(x: Node, t: Node, delta: float) -> Node:
    error = f.abs(x - t)
    return f.where(f.le(error, delta), 0.5 * error * error, delta * (error - 0.5 * delta))


def _smooth_l1(x: Node, t: Node, beta: float) -> Node:
    error = f.abs(x - t)
    if beta == 0.0:
        return error
    return f.where(f.lt(error, beta), 0.5 * error * error / beta, error - 0.5 * beta)


_pairwise("mse_loss", lambda x, t: f.square(x - t), "MseLossBackward0")
_pairwise("huber_loss", _huber, "HuberLossBackward0")
_pairwise("smooth_l1_loss", _smooth_l1, "SmoothL1LossBackward0")
_pairwise("soft_margin_loss", lambda x, t: f.softplus(f.neg(t) * x), "SoftMarginLossBackward0")


def _paired(self: Tensor, target: Tensor, stacklevel: int = 4) -> tuple[Tensor, Tensor]:
    """Both broadcast to each other, with torch's warning where their sizes differ."""
    if self._shape == target._shape:
        return self, target
    warnings.warn(
        f"Using a target size ({Size(target._shape)}) that is different to the input size ({Size(self._shape)}). This will likely lead to "
        "incorrect results due to broadcasting. Please ensure they have the same size.",
        UserWarning,
        stacklevel=stacklevel,
    )
    return tuple(call("broadcast_tensors", self, target))


@composite("mse_loss", to="")
def _mse_loss(
    self: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None
) -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    self, target = _paired(self, target)
    if weight is not None:
        return _weighted(call("square", call("sub", self, target)), weight, kind)
    return call("mse_loss_of", self, target, kind)


def _weighted(loss: Tensor, weight: Tensor, kind: str) -> Any:
    weighted = call("mul", loss, weight)
    if kind == "mean":
        return call("div", call("sum", weighted), call("sum", weight))
    return reduce_tensor(weighted, kind)


@composite("l1_loss", to="")
def _l1_loss(
    self: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None
) -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    self, target = _paired(self, target)
    loss = call("abs", call("sub", self, target))
    return reduce_tensor(loss, kind) if weight is None else _weighted(loss, weight, kind)


@composite("smooth_l1_loss", to="")
def _smooth_l1_loss(
    self: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", beta: float = 1.0
) -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    self, target = _paired(self, target)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0.0:
        return reduce_tensor(call("abs", call("sub", self, target)), kind)
    return call("smooth_l1_loss_of", self, target, kind, beta)


@composite("huber_loss", to="")
def _huber_loss(self: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    kind = reduction_of(reduction)
    self, target = _paired(self, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    if weight is not None:
        return _weighted(call("huber_loss_of", self, target, "none", delta), weight, kind)
    return call("huber_loss_of", self, target, kind, delta)


@composite("soft_margin_loss", to="")
def _soft_margin_loss(self: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Any:
    return call("soft_margin_loss_of", self, target, reduction_of(reduction, size_average, reduce))


# ---------------------------------------------------------------- cross entropies of probabilities
def _bce_formula(x: Node, t: Node) -> Node:
    """-(t log x + (1 - t) log(1 - x)), logarithms bounded below; near 0 and 1 the slope has torch's bounded denominator."""
    log_x, log_rest = f.log(x), f.log1p(f.neg(x))
    low = constant(LOG_BOUND, x.dtype, x.shape)
    bounded = [f.where(f.lt(value, LOG_BOUND), low, value) for value in (log_x, log_rest)]
    inside = f.neg(t * bounded[0] + (1.0 - t) * bounded[1])
    still = [f.stop_gradient(value) for value in bounded]
    slope = f.stop_gradient(x - t) / BCE_EPSILON
    edge = f.neg(t * still[0] + (1.0 - t) * still[1]) + (x - f.stop_gradient(x)) * slope
    return f.where(f.lt((1.0 - x) * x, BCE_EPSILON), edge, inside)


def _logits_formula(x: Node, t: Node, positive: Node | None) -> Node:
    """The cross entropy of sigmoid(x); for each sign of x the form whose value and slope do not cancel."""
    if positive is None:
        high = (1.0 - t) * x + f.softplus(f.neg(x))
        low = f.softplus(x) - t * x
    else:
        weight = 1.0 + (positive - 1.0) * t
        high = (1.0 - t) * x + weight * f.softplus(f.neg(x))
        low = weight * f.softplus(x) - positive * t * x
    return f.where(f.gt(x, 0.0), high, low)


def _bce_build(x: Node, t: Node, *more: Any) -> Node:
    *weights, dtype, reduction, which = more
    nodes = [build.cast(n, dtype) for n in (x, t, *weights)]
    x, t, *weights = build.broadcast(*nodes)
    given = iter(weights)
    weight = next(given) if "w" in which else None
    loss = _logits_formula(x, t, next(given) if "p" in which else None) if "l" in which else _bce_formula(x, t)
    return reduced_loss(loss if weight is None else loss * weight, reduction)


for _name, _logits, _backward in (
    ("bce_of", "", "BinaryCrossEntropyBackward0"),
    ("bce_logits_of", "l", "BinaryCrossEntropyWithLogitsBackward0"),
):

    def _bce_rule(self: Tensor, target: Tensor, weight: Any, positive: Any, reduction: str, *, kind: str = _logits) -> Call:
        more = [w for w in (weight, positive) if w is not None]
        shape = broadcast(self._shape, target._shape, *[w._shape for w in more])
        which = kind + ("w" if weight is not None else "") + ("p" if positive is not None else "")
        return Call(
            (self, target, *more), (numpy_dtype(self._dtype).name, reduction, which), shape if reduction == "none" else (), self._dtype
        )

    op(_name, build=_bce_build, backward=_backward, saved="self target", inputs="self target weight pos_weight", to="")(_bce_rule)


@composite("binary_cross_entropy", to="")
def _binary_cross_entropy(
    self: Tensor, target: Tensor, weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    if target._shape != self._shape:
        raise ValueError(
            f"Using a target size ({Size(target._shape)}) that is different to the input size ({Size(self._shape)}) is deprecated. "
            "Please ensure they have the same size."
        )
    array = self._array()
    if array.size and not ((array >= 0) & (array <= 1) | np.isnan(array)).all():
        raise RuntimeError("all elements of input should be between 0 and 1")
    target_values = target._array()
    if target_values.size and not ((target_values >= 0) & (target_values <= 1) | np.isnan(target_values)).all():
        raise RuntimeError("all elements of target should be between 0 and 1")
    if self._dtype is not target._dtype:
        raise RuntimeError(f"Found dtype {scalar_type_name(target._dtype)} but expected {scalar_type_name(self._dtype)}")
    return call("bce_of", self, target, weight, None, kind)


@composite("binary_cross_entropy_with_logits", to="")
def _binary_cross_entropy_with_logits(
    self: Tensor,
    target: Tensor,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    if target._shape != self._shape:
        raise ValueError(f"Target size ({Size(target._shape)}) must be the same as input size ({Size(self._shape)})")
    return call("bce_logits_of", self, target, weight, pos_weight, kind)


@composite("kl_div", to="")
def _kl_div(
    self: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", log_target: bool = False
) -> Any:
    if reduction == "batchmean":
        kind = "sum"
    else:
        kind = reduction_of(reduction, size_average, reduce)
        if kind == "mean":
            warnings.warn(
                "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides only by the "
                "batch size, and aligns with the KL math definition.'mean' will be changed to behave the same as 'batchmean' in the "
                "next major release.",
                UserWarning,
                stacklevel=3,
            )
    if log_target:
        loss = call("mul", call("exp", target), call("sub", target, self))
    else:
        loss = call("sub", call("xlogy", target, target), call("mul", target, self))
    loss = reduce_tensor(loss, kind)
    if reduction == "batchmean" and self._shape:
        loss = call("div", loss, self._shape[0])
    return loss


# ---------------------------------------------------------------- likelihoods
@composite("poisson_nll_loss", to="f")
def _poisson_nll_loss(
    self: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    if log_input:
        loss = call("sub", call("exp", self), call("mul", target, self))
    else:
        loss = call("sub", self, call("mul", target, call("log", call("add", self, eps))))
    if full:
        stirling = call(
            "add",
            call("sub", call("mul", target, call("log", target)), target),
            call("mul", call("log", call("mul", target, 2 * math.pi)), 0.5),
        )
        loss = call("add", loss, call("masked_fill", stirling, call("le", target, 1), 0))
    return reduce_tensor(loss, kind)


@composite("gaussian_nll_loss", to="")
def _gaussian_nll_loss(self: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> Any:
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = call("mul", call("ones_like", self), var)
    elif (var._array() < 0).any():
        raise ValueError("var has negative entry/entries")
    if var._shape != self._shape:
        if self._shape[:-1] == var._shape:
            var = call("unsqueeze", var, -1)
        elif not (self._shape[:-1] == var._shape[:-1] and var._shape[-1] == 1) and len(var._shape) > 0:
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    var = call("clone", var)
    with no_grad():  # the bound does not stop the gradient
        call("clamp_", var, min=eps)
    squares = call("pow", call("sub", self, target), 2)
    loss = call("mul", call("add", call("log", var), call("div", squares, var)), 0.5)
    if full:
        loss = call("add", loss, 0.5 * math.log(2 * math.pi))
    return reduce_tensor(loss, reduction)


# ---------------------------------------------------------------- distances
@composite("pairwise_distance", to="f")
def _pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    difference = call("add_number", call("sub", x1, x2), eps)
    return call("norm_of", difference, p, -1, keepdim, None, "NormBackward1")


@composite("cosine_similarity", to="f")
def _cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Any:
    """Both divided by their norms, which are bounded below by `eps` without stopping the gradient."""
    dtype = common_dtype(x1, x2)
    if not dtype.is_floating_point:
        raise RuntimeError("expected common_dtype to be floating point, yet common_dtype is " + scalar_type_name(dtype))
    units = []
    for x in (x1, x2):
        x = call("to", x, dtype)
        length = call("norm_of", x, 2, dim, True, None)
        lift = call("sub", call("clamp_min", length.detach(), eps), length.detach())
        units.append(call("div", x, call("add", length, lift)))
    return call("sum", call("mul", *units), dim)
