"""Losses whose targets are classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.build.moving import iota
from ....compiler.ir import Node, constant, f
from ...torch_types import scalar_type_name
from ..row import Call, call, composite, op
from ..tensor import Tensor
from .losses import reduction_of, zeros_of


def _nll(x: Node, target: Node, *more: Any) -> Node:
    """-weight[target] * x[target], the classes along axis 1 (of a vector: axis 0).

    Targets were checked, so x[target] is a sum over classes of which one counts: that and its gradient are loops along the rows of x
    like those of what x was made by, without places that are known only when they are read.
    """
    *given, reduction, ignored = more
    axis = 1 if x.ndim > 1 else 0
    target = build.cast(target, np.int64)
    valid = f.ne(target, ignored)
    counted = f.where(valid, target, constant(-1, np.int64, target.shape))  # -1 is no class
    chosen = f.eq(*build.broadcast(build.expand_dims(counted, [axis]), iota(x.shape, axis)))
    picked = build.reduce("sum", f.where(chosen, x, zeros_of(x)), (axis,))
    if given:
        weights = f.gather(given[0], f.where(valid, target, constant(0, np.int64, target.shape)), axes=(0,))
    else:
        weights = constant(1, x.dtype, target.shape)
    weights = f.where(valid, weights, zeros_of(weights))
    # where the weight is zero the loss is, also of an infinite log-probability
    loss = f.where(valid, f.neg(picked) * weights, zeros_of(weights))
    if reduction == "none":
        return loss
    axes = tuple(range(loss.ndim))
    total = build.reduce("sum", loss, axes)
    return total / build.reduce("sum", weights, axes) if reduction == "mean" else total


@op(
    "nll_loss_of",
    build=_nll,
    backward="NllLossBackward0",
    saved="self target",
    inputs="self (target) (weight)",
    to="",
    shown={"reduction": 0, "ignore_index": 1},
)
def _nll_rule(self: Tensor, target: Tensor, weight: Any, reduction: str, ignore_index: int) -> Call:
    more = () if weight is None else (weight,)
    shape = target._shape if reduction == "none" else ()
    return Call(
        (self, target, *more), (reduction, int(ignore_index)), shape, self._dtype, name="NllLoss2DBackward0" if len(self._shape) > 2 else ""
    )


def _check_targets(self: Tensor, target: Tensor, weight: Any, ignore_index: int) -> None:
    if scalar_type_name(target._dtype) not in ("Long", "Byte"):
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {scalar_type_name(target._dtype)}")
    classes = self._shape[1 if len(self._shape) > 1 else 0]
    if weight is not None and (len(weight._shape) != 1 or weight._shape[0] != classes):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: "
            f"{list(weight._shape)}"
        )
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
def _nll_loss(
    self: Tensor,
    target: Tensor,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    return _nll_loss_checked(self, target, weight, reduction_of(reduction, size_average, reduce), ignore_index)


@composite("cross_entropy", to="")
def _cross_entropy(
    self: Tensor,
    target: Tensor,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
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


def _smoothed(
    nll: Tensor, log_probabilities: Tensor, target: Tensor, weight: Any, kind: str, ignored: int, smoothing: float, axis: int
) -> Any:
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
