"""Losses that keep a margin."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node, constant, f
from ..row import Call, call, composite, op
from ..tensor import Tensor
from .losses import reduce_tensor, reduced_loss, reduction_of, zeros_of


@composite("margin_ranking_loss", to="")
def _margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    if not len(input1._shape) == len(input2._shape) == len(target._shape):
        raise RuntimeError(
            f"margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: {input1.shape}, input2: "
            f"{input2.shape}, target: {target.shape} "
        )
    inside = call("add_number", call("mul", call("neg", target), call("sub", input1, input2)), margin)
    return reduce_tensor(call("clamp_min", inside, 0), kind)


@composite("hinge_embedding_loss", to="")
def _hinge_embedding_loss(
    self: Tensor, target: Tensor, margin: float = 1.0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    zeros = call("zeros_like", self)
    far = call("clamp_min", call("sub", margin, self), 0)
    loss = call("add", call("where", call("ne", target, 1), far, zeros), call("where", call("ne", target, -1), self, zeros))
    return reduce_tensor(loss, kind)


@composite("cosine_embedding_loss", to="")
def _cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
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
def _triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
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
def _triplet_with_distance(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Any = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    distance = distance_function or (lambda a, b: call("pairwise_distance", a, b))
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = call("minimum", far, distance(positive, negative))
    return reduce_tensor(call("clamp_min", call("sub", call("add_number", near, margin), far), 0), reduction_of(reduction))


@composite("multi_margin_loss", to="")
def _multi_margin_loss(
    self: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
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
    cost = f.where(f.gt(gap, 0.0), gap if p == 1 else gap * gap, zeros_of(gap))
    if given:
        cost = cost * build.broadcast_to(f.gather(given[0], target, axes=(0,)), rows.shape)
    place = build.moving.iota(rows.shape, 1)
    cost = f.where(f.eq(place, build.broadcast_to(target, rows.shape)), zeros_of(cost), cost)
    loss = build.mean(cost, (1,))
    if x.ndim == 1:
        return f.reshape(loss, shape=())
    return reduced_loss(loss, reduction)


@op(
    "multi_margin_loss_of",
    build=_multi_margin,
    backward="MultiMarginLossBackward0",
    saved="self target",
    inputs="self (target) (weight)",
    to="",
)
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
    is_label = f.any(
        f.and_(f.eq(f.expand(safe, shape=wide, axes=(0, 1)), build.moving.iota(wide, 2)), f.expand(counted, shape=wide, axes=(0, 1))),
        axes=(1,),
    )
    of_label = build.take_along_axis(rows, safe, 1)
    gap = 1.0 - f.expand(of_label, shape=wide, axes=(0, 1)) + f.expand(rows, shape=wide, axes=(0, 2))
    used = f.and_(f.expand(counted, shape=wide, axes=(0, 1)), f.not_(f.expand(is_label, shape=wide, axes=(0, 2))))
    cost = f.where(f.and_(used, f.gt(gap, 0.0)), gap, zeros_of(gap))
    loss = f.sum(cost, axes=(1, 2)) / float(c)  # type: ignore[arg-type]
    return f.reshape(loss, shape=()) if x.ndim == 1 else reduced_loss(loss, reduction)


@op(
    "multilabel_margin_loss_of",
    build=_multilabel_margin,
    backward="MultilabelMarginLossBackward0",
    saved="self target",
    inputs="self (target)",
    to="",
)
def _multilabel_margin_rule(self: Tensor, target: Tensor, reduction: str) -> Call:
    shape = self._shape[:1] if reduction == "none" and len(self._shape) == 2 else ()
    return Call((self, target), (reduction,), shape, self._dtype)


@composite("multilabel_margin_loss", to="")
def _multilabel_margin_loss(self: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Any:
    return call("multilabel_margin_loss_of", self, target, reduction_of(reduction, size_average, reduce))


@composite("multilabel_soft_margin_loss", to="")
def _multilabel_soft_margin_loss(
    self: Tensor, target: Tensor, weight: Any = None, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    kind = reduction_of(reduction, size_average, reduce)
    own = call("mul", target, call("log_sigmoid", self))
    rest = call("mul", call("sub", 1, target), call("log_sigmoid", call("neg", self)))
    loss = call("neg", call("add", own, rest))
    if weight is not None:
        loss = call("mul", loss, weight)
    axis = len(self._shape) - 1
    return reduce_tensor(call("div", call("sum", loss, axis), self._shape[axis]), kind)
