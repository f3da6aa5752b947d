"""Losses of neural networks."""
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


def _reduced(loss: Node, reduction: str) -> Node:
    axes = tuple(range(loss.ndim))
    if reduction == "mean":
        return build.mean(loss, axes)
    return build.reduce("sum", loss, axes) if reduction == "sum" else loss


def reduce_tensor(loss: Tensor, reduction: str) -> Any:
    """The mean, the sum or the losses themselves."""
    return loss if reduction == "none" else call(reduction, loss)


def _zero(x: Node) -> Node:
    return constant(0, x.dtype, x.shape)


# ---------------------------------------------------------------- of input and target, element by element
def _pairwise(name: str, formula: Callable[..., Node], backward: str) -> None:
    """The row of a loss of two tensors that broadcast; `formula(input, target, *parameters)`."""

    def build_it(x: Node, t: Node, dtype: str, reduction: str, *params: float) -> Node:
        x, t = build.broadcast(build.cast(x, dtype), build.cast(t, dtype))
        return _reduced(formula(x, t, *params), reduction)

    def rule(self: Tensor, target: Tensor, reduction: str, *params: float) -> Call:
        dtype = common_dtype(self, target)
        whole = broadcast(self._shape, target._shape)
        none = reduction == "none"
        return Call((self, target), (numpy_dtype(dtype).name, reduction, *map(float, params)), whole if none else (), dtype,
                    strides_of(whole, self, target) if none else None)

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
    warnings.warn(f"Using a target size ({Size(target._shape)}) that is different to the input size ({Size(self._shape)}). This will likely lead to "
                  "incorrect results due to broadcasting. Please ensure they have the same size.", UserWarning, stacklevel=stacklevel)
    return tuple(call("broadcast_tensors", self, target))


@composite("mse_loss", to="")
def _mse_loss(self: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None) -> Any:
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
def _l1_loss(self: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", weight: Any = None) -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    self, target = _paired(self, target)
    loss = call("abs", call("sub", self, target))
    return reduce_tensor(loss, kind) if weight is None else _weighted(loss, weight, kind)


@composite("smooth_l1_loss", to="")
def _smooth_l1_loss(self: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", beta: float = 1.0) -> Any:
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
    if "l" in which:
        loss = _logits_formula(x, t, next(given) if "p" in which else None)
    else:
        loss = _bce_formula(x, t)
    return _reduced(loss if weight is None else loss * weight, reduction)


for _name, _logits, _backward in (("bce_of", "", "BinaryCrossEntropyBackward0"), ("bce_logits_of", "l", "BinaryCrossEntropyWithLogitsBackward0")):
    def _bce_rule(self: Tensor, target: Tensor, weight: Any, positive: Any, reduction: str, *, kind: str = _logits) -> Call:
        more = [w for w in (weight, positive) if w is not None]
        shape = broadcast(self._shape, target._shape, *[w._shape for w in more])
        which = kind + ("w" if weight is not None else "") + ("p" if positive is not None else "")
        return Call((self, target, *more), (numpy_dtype(self._dtype).name, reduction, which), shape if reduction == "none" else (), self._dtype)

    op(_name, build=_bce_build, backward=_backward, saved="self target", inputs="self target weight pos_weight", to="")(_bce_rule)


@composite("binary_cross_entropy", to="")
def _binary_cross_entropy(self: Tensor, target: Tensor, weight: Any = None, size_average: Any = None, reduce: Any = None,
                          reduction: str = "mean") -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    if target._shape != self._shape:
        raise ValueError(f"Using a target size ({Size(target._shape)}) that is different to the input size ({Size(self._shape)}) is deprecated. "
                         "Please ensure they have the same size.")
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
def _binary_cross_entropy_with_logits(self: Tensor, target: Tensor, weight: Any = None, size_average: Any = None, reduce: Any = None,
                                      reduction: str = "mean", pos_weight: Any = None) -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    if target._shape != self._shape:
        raise ValueError(f"Target size ({Size(target._shape)}) must be the same as input size ({Size(self._shape)})")
    return call("bce_logits_of", self, target, weight, pos_weight, kind)


@composite("kl_div", to="")
def _kl_div(self: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", log_target: bool = False) -> Any:
    if reduction == "batchmean":
        kind = "sum"
    else:
        kind = reduction_of(reduction, size_average, reduce)
        if kind == "mean":
            warnings.warn("reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides only by the "
                          "batch size, and aligns with the KL math definition.'mean' will be changed to behave the same as 'batchmean' in the "
                          "next major release.", UserWarning, stacklevel=3)
    if log_target:
        loss = call("mul", call("exp", target), call("sub", target, self))
    else:
        loss = call("sub", call("xlogy", target, target), call("mul", target, self))
    loss = reduce_tensor(loss, kind)
    if reduction == "batchmean" and self._shape:
        loss = call("div", loss, self._shape[0])
    return loss


# ---------------------------------------------------------------- of classes
def _nll(x: Node, target: Node, *more: Any) -> Node:
    """-weight[target] * x[target], the classes along axis 1 (of a vector: axis 0)."""
    *given, reduction, ignored = more
    axis = 1 if x.ndim > 1 else 0
    target = build.cast(target, np.int64)
    valid = f.ne(target, ignored)
    safe = f.where(valid, target, constant(0, np.int64, target.shape))
    index = build.expand_dims(safe, [axis])
    picked = build.squeeze(build.take_along_axis(x, index, axis), (axis,))
    if given:
        weights = f.gather(given[0], safe, axes=(0,))
    else:
        weights = constant(1, x.dtype, target.shape)
    weights = f.where(valid, weights, _zero(weights))
    # where the weight is zero the loss is, also of an infinite log-probability
    loss = f.where(valid, f.neg(picked) * weights, _zero(weights))
    if reduction == "none":
        return loss
    axes = tuple(range(loss.ndim))
    total = build.reduce("sum", loss, axes)
    return total / build.reduce("sum", weights, axes) if reduction == "mean" else total


@op("nll_loss_of", build=_nll, backward="NllLossBackward0", saved="self target", inputs="self | target weight", to="",
    shown={"reduction": 0, "ignore_index": 1})
def _nll_rule(self: Tensor, target: Tensor, weight: Any, reduction: str, ignore_index: int) -> Call:
    more = () if weight is None else (weight,)
    shape = target._shape if reduction == "none" else ()
    return Call((self, target, *more), (reduction, int(ignore_index)), shape, self._dtype,
                name="NllLoss2DBackward0" if len(self._shape) > 2 else "")


def _check_targets(self: Tensor, target: Tensor, weight: Any, ignore_index: int) -> None:
    if scalar_type_name(target._dtype) not in ("Long", "Byte"):
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {scalar_type_name(target._dtype)}")
    classes = self._shape[1 if len(self._shape) > 1 else 0]
    if weight is not None and (len(weight._shape) != 1 or weight._shape[0] != classes):
        raise RuntimeError(f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: "
                           f"{list(weight._shape)}")
    if weight is not None and weight._dtype is not self._dtype:
        raise RuntimeError(f"expected scalar type {scalar_type_name(self._dtype)} but found {scalar_type_name(weight._dtype)}")
    values = target._array()
    wrong = values[(values != ignore_index) & ((values < 0) | (values >= classes))]
    if wrong.size:
        raise IndexError(f"Target {int(wrong.flat[0])} is out of bounds.")


def _nll_loss_checked(self: Tensor, target: Tensor, weight: Any, reduction: str, ignore_index: int) -> Any:
    if not self._shape:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if len(self._shape) > 1 and (not target._shape or self._shape[0] != target._shape[0]):
        found = target._shape[0] if target._shape else 0
        raise ValueError(f"Expected input batch_size ({self._shape[0]}) to match target batch_size ({found}).")
    if len(self._shape) > 2 and (self._shape[0], *self._shape[2:]) != target._shape:
        raise ValueError(f"Expected target size {[self._shape[0], *self._shape[2:]]}, got {list(target._shape)}")
    _check_targets(self, target, weight, ignore_index)
    return call("nll_loss_of", self, target, weight, reduction, ignore_index)


@composite("nll_loss", to="")
def _nll_loss(self: Tensor, target: Tensor, weight: Any = None, size_average: Any = None, ignore_index: int = -100, reduce: Any = None,
              reduction: str = "mean") -> Any:
    return _nll_loss_checked(self, target, weight, reduction_of(reduction, size_average, reduce), ignore_index)


@composite("cross_entropy", to="")
def _cross_entropy(self: Tensor, target: Tensor, weight: Any = None, size_average: Any = None, ignore_index: int = -100, reduce: Any = None,
                   reduction: str = "mean", label_smoothing: float = 0.0) -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    axis = 0 if len(self._shape) == 1 else 1
    if label_smoothing and not 0 < label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")
    if self._shape == target._shape and self._shape and target._dtype.is_floating_point:
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        return _cross_entropy_of_probabilities(self, target, weight, kind, label_smoothing, axis)
    log_probabilities = call("log_softmax", self, axis)
    nll = _nll_loss_checked(log_probabilities, target, weight, kind, ignore_index)
    return _smoothed(nll, log_probabilities, target, weight, kind, ignore_index, label_smoothing, axis) if label_smoothing else nll


def _along_classes(weight: Tensor, ndim: int, axis: int) -> Any:
    shape = [1] * ndim
    shape[axis] = weight._shape[0]
    return call("reshape", weight, shape)


def _cross_entropy_of_probabilities(self: Tensor, target: Tensor, weight: Any, kind: str, smoothing: float, axis: int) -> Any:
    classes = self._shape[axis]
    if smoothing:
        target = call("add_number", call("mul_number", target, 1 - smoothing), smoothing / classes)
    weighted = call("mul", call("log_softmax", self, axis), target)
    if weight is not None:
        weighted = call("mul", weighted, _along_classes(weight, len(self._shape), axis))
    if kind == "none":
        return call("neg", call("sum", weighted, axis))
    total = call("neg", call("sum", weighted))
    if kind == "sum":
        return total
    return call("div_number", total, self.numel() // max(classes, 1))


def _smoothed(nll: Tensor, log_probabilities: Tensor, target: Tensor, weight: Any, kind: str, ignored: int, smoothing: float, axis: int) -> Any:
    """The loss of one class mixed with the mean over all classes."""
    if weight is None:
        smooth = call("neg", call("sum", log_probabilities, axis))
    else:
        smooth = call("neg", call("sum", call("mul", log_probabilities, _along_classes(weight, log_probabilities.dim(), axis)), axis))
    mask = call("eq", target, ignored)
    smooth = call("masked_fill", smooth, mask, 0.0)
    if kind == "sum":
        smooth = call("sum", smooth)
    elif kind == "mean":
        if weight is None:
            count = call("sum", call("to", call("logical_not", mask), smooth._dtype))
        else:
            safe = call("reshape", call("masked_fill", target, mask, 0), -1)
            count = call("sum", call("masked_fill", call("index_select", weight, 0, safe), call("reshape", mask, -1), 0.0))
        smooth = call("div", call("sum", smooth), count)
    classes = log_probabilities._shape[axis]
    return call("add", call("mul_number", nll, 1 - smoothing), call("mul_number", smooth, smoothing / classes))


# ---------------------------------------------------------------- margins
@composite("margin_ranking_loss", to="")
def _margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Any = None, reduce: Any = None,
                         reduction: str = "mean") -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    if not len(input1._shape) == len(input2._shape) == len(target._shape):
        raise RuntimeError(f"margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: {input1.shape}, input2: "
                           f"{input2.shape}, target: {target.shape} ")
    inside = call("add_number", call("mul", call("neg", target), call("sub", input1, input2)), margin)
    return reduce_tensor(call("clamp_min", inside, 0), kind)


@composite("hinge_embedding_loss", to="")
def _hinge_embedding_loss(self: Tensor, target: Tensor, margin: float = 1.0, size_average: Any = None, reduce: Any = None,
                          reduction: str = "mean") -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    zeros = call("zeros_like", self)
    far = call("clamp_min", call("sub", margin, self), 0)
    loss = call("add", call("where", call("ne", target, 1), far, zeros), call("where", call("ne", target, -1), self, zeros))
    return reduce_tensor(loss, kind)


@composite("cosine_embedding_loss", to="")
def _cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Any = None, reduce: Any = None,
                           reduction: str = "mean") -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    axis = len(input1._shape) - 1

    def total(a: Tensor, b: Tensor) -> Any:
        return call("sum", call("mul", a, b), axis)

    squares = [call("add_number", total(x, x), 1e-12) for x in (input1, input2)]
    cosine = call("div", total(input1, input2), call("sqrt", call("mul", *squares)))
    zeros = call("zeros_like", cosine)
    near = call("sub", 1, cosine)
    far = call("clamp_min", call("sub", cosine, margin), 0)
    loss = call("add", call("where", call("eq", target, 1), near, zeros), call("where", call("eq", target, -1), far, zeros))
    return reduce_tensor(loss, kind)


@composite("triplet_margin_loss", to="f")
def _triplet_margin_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
                         swap: bool = False, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")

    def distance(a: Tensor, b: Tensor) -> Any:
        return call("pairwise_distance", a, b, p, eps)

    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = call("minimum", far, distance(positive, negative))
    return reduce_tensor(call("clamp_min", call("sub", call("add_number", near, margin), far), 0), kind)


@composite("triplet_margin_with_distance_loss", to="")
def _triplet_with_distance(anchor: Tensor, positive: Tensor, negative: Tensor, *, distance_function: Any = None, margin: float = 1.0,
                           swap: bool = False, reduction: str = "mean") -> Any:
    distance = distance_function or (lambda a, b: call("pairwise_distance", a, b))
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = call("minimum", far, distance(positive, negative))
    return reduce_tensor(call("clamp_min", call("sub", call("add_number", near, margin), far), 0), reduction_of(reduction))


@composite("multi_margin_loss", to="")
def _multi_margin_loss(self: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Any = None, size_average: Any = None,
                       reduce: Any = None, reduction: str = "mean") -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    return call("multi_margin_loss_of", self, target, weight, int(p), float(margin), kind)


def _multi_margin(x: Node, target: Node, *more: Any) -> Node:
    *given, p, margin, reduction = more
    rows = x if x.ndim == 2 else build.expand_dims(x, [0])
    target = build.reshape(build.cast(target, np.int64), (rows.shape[0], 1))
    truth = build.broadcast_to(build.take_along_axis(rows, target, 1), rows.shape)
    gap = margin - truth + rows
    cost = f.where(f.gt(gap, 0.0), gap if p == 1 else gap * gap, _zero(gap))
    if given:
        cost = cost * build.broadcast_to(f.gather(given[0], target, axes=(0,)), rows.shape)
    place = build.moving.iota(rows.shape, 1)
    cost = f.where(f.eq(place, build.broadcast_to(target, rows.shape)), _zero(cost), cost)
    loss = build.mean(cost, (1,))
    if x.ndim == 1:
        return f.reshape(loss, shape=())
    return _reduced(loss, reduction)


@op("multi_margin_loss_of", build=_multi_margin, backward="MultiMarginLossBackward0", saved="self target", inputs="self | target weight", to="")
def _multi_margin_rule(self: Tensor, target: Tensor, weight: Any, p: int, margin: float, reduction: str) -> Call:
    more = () if weight is None else (weight,)
    shape = target._shape if reduction == "none" and len(self._shape) == 2 else ()
    return Call((self, target, *more), (p, margin, reduction), shape, self._dtype)


def _multilabel_margin(x: Node, target: Node, reduction: str) -> Node:
    rows = x if x.ndim == 2 else build.expand_dims(x, [0])
    labels = build.reshape(build.cast(target, np.int64), rows.shape)
    n, c = rows.shape
    # labels up to the first -1 count
    before = f.cumsum(build.cast(f.lt(labels, 0), np.int64), axis=1)
    counted = f.eq(before, 0)
    safe = f.where(counted, labels, constant(0, np.int64, labels.shape))
    wide = (n, c, c)  # sample, label's place, class
    is_label = f.any(f.and_(f.eq(f.expand(safe, shape=wide, axes=(0, 1)), build.moving.iota(wide, 2)), f.expand(counted, shape=wide, axes=(0, 1))),
                     axes=(1,))
    of_label = build.take_along_axis(rows, safe, 1)
    gap = 1.0 - f.expand(of_label, shape=wide, axes=(0, 1)) + f.expand(rows, shape=wide, axes=(0, 2))
    used = f.and_(f.expand(counted, shape=wide, axes=(0, 1)), f.not_(f.expand(is_label, shape=wide, axes=(0, 2))))
    cost = f.where(f.and_(used, f.gt(gap, 0.0)), gap, _zero(gap))
    loss = f.sum(cost, axes=(1, 2)) / float(c)  # type: ignore[arg-type]
    return f.reshape(loss, shape=()) if x.ndim == 1 else _reduced(loss, reduction)


@op("multilabel_margin_loss_of", build=_multilabel_margin, backward="MultilabelMarginLossBackward0", saved="self target",
    inputs="self | target", to="")
def _multilabel_margin_rule(self: Tensor, target: Tensor, reduction: str) -> Call:
    shape = self._shape[:1] if reduction == "none" and len(self._shape) == 2 else ()
    return Call((self, target), (reduction,), shape, self._dtype)


@composite("multilabel_margin_loss", to="")
def _multilabel_margin_loss(self: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Any:
    return call("multilabel_margin_loss_of", self, target, reduction_of(reduction, size_average, reduce))


@composite("multilabel_soft_margin_loss", to="")
def _multilabel_soft_margin_loss(self: Tensor, target: Tensor, weight: Any = None, size_average: Any = None, reduce: Any = None,
                                 reduction: str = "mean") -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    own = call("mul", target, call("log_sigmoid", self))
    rest = call("mul", call("sub", 1, target), call("log_sigmoid", call("neg", self)))
    loss = call("neg", call("add", own, rest))
    if weight is not None:
        loss = call("mul", loss, weight)
    axis = len(self._shape) - 1
    return reduce_tensor(call("div", call("sum", loss, axis), self._shape[axis]), kind)


# ---------------------------------------------------------------- likelihoods
@composite("poisson_nll_loss", to="f")
def _poisson_nll_loss(self: Tensor, target: Tensor, log_input: bool = True, full: bool = False, size_average: Any = None, eps: float = 1e-8,
                      reduce: Any = None, reduction: str = "mean") -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    if log_input:
        loss = call("sub", call("exp", self), call("mul", target, self))
    else:
        loss = call("sub", self, call("mul", target, call("log", call("add", self, eps))))
    if full:
        stirling = call("add", call("sub", call("mul", target, call("log", target)), target),
                        call("mul", call("log", call("mul", target, 2 * math.pi)), 0.5))
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

