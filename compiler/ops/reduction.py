"""Reductions over `axes`; the reduced axes are dropped (a reshape puts them back where keepdims is asked for)."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import sizes
from ..errors import IndexingError, ShapeError
from ..ir import constant, f, make
from ..op import Names, Op, declare
from .rules import INT64, mask_of_sums, without

if TYPE_CHECKING:
    from ..ir import Node
    from ..op import Aval

NUMBER = ("float", "int")
MANY, SAMPLES = 8192, 256  # elements from which on they are sampled before they are sorted


def check_axes(shape: tuple[Any, ...], axes: tuple[int, ...], what: str) -> None:
    """Axes are normalised (non-negative, ascending, distinct) by whoever makes the node."""
    if list(axes) != sorted(set(axes)) or any(not 0 <= a < len(shape) for a in axes):
        raise ShapeError(f"{what}: axes {axes} of an array with {len(shape)} dimensions")


def expand_back(reduced: Node, like: Node, axes: tuple[int, ...]) -> Node:
    """A reduction's result, repeated along the axes that it reduced."""
    kept = tuple(k for k in range(like.ndim) if k not in axes)
    return f.expand(reduced, shape=like.shape, axes=kept)


def _reduced(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    check_axes(inputs[0].shape, params["axes"], "reduction")
    return without(inputs[0].shape, params["axes"]), inputs[0].dtype


def _needs_elements(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    for axis in params["axes"]:
        if sizes.equal(inputs[0].shape[axis], 0):
            raise ShapeError(f"a maximum or minimum over axis {axis} of size 0 has no value")
    return _reduced(inputs, params)


def _at_extremes(y: Node, x: Node, node: Node) -> Node:
    """1 at the extreme element, split evenly where several tie."""
    hit = f.cast(f.eq(x, y), dtype=x.dtype.name)
    axes = node.param("axes")
    return hit / expand_back(f.sum(hit, axes=axes), x, axes)


def _others(y: Node, x: Node, node: Node) -> Node:
    """The product of the other elements.

    Elements that are zero are kept apart: the product is that of the others, times an elementary symmetric polynomial
    of the zeros, whose value is zero but whose derivatives are not. Right to second order with any number of zeros.
    """
    axes, zero, one = node.param("axes"), constant(0, x.dtype, x.shape), constant(1, x.dtype, x.shape)

    def total(value: Node) -> Node:
        return expand_back(f.sum(value, axes=axes), x, axes)

    is_zero = f.eq(x, 0.0)
    count = total(f.where(is_zero, one, zero))
    none, single, pair = (f.eq(count, number) for number in (0.0, 1.0, 2.0))
    vanishing = f.where(is_zero, x, zero)
    all_vanishing = total(vanishing)
    nonzero = f.where(is_zero, one, x)
    rest = expand_back(f.prod(nonzero, axes=axes), x, axes)
    return rest * f.where(is_zero, f.where(single, one, f.where(pair, all_vanishing - vanishing, zero)),
                          f.where(none, one, f.where(single, all_vanishing, zero)) / nonzero)


def _of_axes(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *, axes: function(x, axis=axes, dtype=x.dtype) if axes else np.asarray(x)


def _over(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *, axes: function(x, axis=axes) if axes else np.asarray(x)


def _lowest(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind == "f" else False if dtype.kind == "b" else np.iinfo(dtype).min


def _highest(dtype: np.dtype[Any]) -> Any:
    return np.inf if dtype.kind == "f" else True if dtype.kind == "b" else np.iinfo(dtype).max


declare(Op(name="sum", kind="reduce", arity=1, params=("axes",), infer=_reduced, evaluate=_of_axes(np.sum),
           dtypes=NUMBER, transpose=lambda ct, node, position: expand_back(ct, node.inputs[0], node.param("axes")),
           mask=lambda mask, node, position: None if mask is None else expand_back(
               mask, node.inputs[0], node.param("axes")),
           combine="add", identity=lambda dtype: 0, names=Names("Sum", r"\sum {0}", "sum({0})"), singular=False))
declare(Op(name="prod", kind="reduce", arity=1, params=("axes",), infer=_reduced, evaluate=_of_axes(np.prod),
           dtypes=NUMBER, weights=_others, combine="mul", identity=lambda dtype: 1,
           names=Names("Product", r"\prod {0}", "prod({0})")))
declare(Op(name="max", kind="reduce", arity=1, params=("axes",), infer=_needs_elements, evaluate=_over(np.max),
           weights=_at_extremes, kinks="ties share the gradient evenly", combine="maximum", identity=_lowest,
           names=Names("Max", r"\max {0}", "max({0})")))
declare(Op(name="min", kind="reduce", arity=1, params=("axes",), infer=_needs_elements, evaluate=_over(np.min),
           weights=_at_extremes, kinks="ties share the gradient evenly", combine="minimum", identity=_highest,
           names=Names("Min", r"\min {0}", "min({0})")))
declare(Op(name="any", kind="reduce", arity=1, params=("axes",), infer=_reduced, evaluate=_over(np.any),
           dtypes=("bool",), not_differentiable="a truth value", combine="or_", identity=lambda dtype: False,
           names=Names("any", r"\exists {0}", "any({0})")))
declare(Op(name="all", kind="reduce", arity=1, params=("axes",), infer=_reduced, evaluate=_over(np.all),
           dtypes=("bool",), not_differentiable="a truth value", combine="and_", identity=lambda dtype: True,
           names=Names("all", r"\forall {0}", "all({0})")))


def _position(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    (axis,) = params["axes"]
    if sizes.equal(inputs[0].shape[axis], 0):
        raise IndexingError(f"argmax or argmin over axis {axis} of size 0 has no value")
    return without(inputs[0].shape, params["axes"]), INT64


def _first(node: Node, best: Node) -> Node:
    """The first position along the axis of a nan, or of the value that is best; 0 of none.

    What stands for no position is not what a minimum starts as: LLVM would make a choice of the whole step from that, and
    would not vectorise it.
    """
    (x,), axes, none = node.inputs, node.param("axes"), np.iinfo(INT64).max - 1
    found = f.eq(x, expand_back(best, x, axes))
    if x.dtype.kind == "f":
        found = f.or_(found, f.ne(x, x))
    place = make("iota", shape=x.shape, dtype=INT64, axis=axes[0])
    least = f.min(f.where(found, place, constant(none, INT64, x.shape)), axes=axes)
    return f.where(f.ge(least, none), constant(0, INT64, least.shape), least)


# The first extreme element, or the first nan, along one axis.
declare(Op(name="argmax", kind="reduce", arity=1, params=("axes",), infer=_position,
           evaluate=lambda x, *, axes: np.argmax(x, axis=axes[0]), not_differentiable="an index",
           by_others=lambda node: _first(node, f.max(*node.inputs, axes=node.param("axes"))),
           names=Names("argmax", r"\operatorname{{argmax}} {0}", "argmax({0})")))
declare(Op(name="argmin", kind="reduce", arity=1, params=("axes",), infer=_position,
           evaluate=lambda x, *, axes: np.argmin(x, axis=axes[0]), not_differentiable="an index",
           by_others=lambda node: _first(node, f.min(*node.inputs, axes=node.param("axes"))),
           names=Names("argmin", r"\operatorname{{argmin}} {0}", "argmin({0})")))


def _same(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    check_axes(inputs[0].shape, (params["axis"],), "cumulative sum")
    return inputs[0].shape, inputs[0].dtype


def _reverse_cumsum(ct: Node, node: Node, position: int) -> Node:
    axis = node.param("axis")
    return f.flip(f.cumsum(f.flip(ct, axes=(axis,)), axis=axis), axes=(axis,))


declare(Op(name="cumsum", kind="opaque", arity=1, params=("axis",), infer=_same, dtypes=NUMBER,
           transpose=_reverse_cumsum, evaluate=lambda x, *, axis: np.cumsum(x, axis=axis, dtype=x.dtype),
           mask=mask_of_sums(_reverse_cumsum),
           batch=lambda node, inputs, size: f.cumsum(*inputs, axis=node.param("axis") + 1),
           names=Names("cumsum", r"\operatorname{{cumsum}}\left({0}\right)", "cumsum({0})",
                       "np.cumsum({0})", exported="np.cumsum({0}, axis={axis})")))


def _order(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    check_axes(inputs[0].shape, (params["axis"],), "argsort")
    return inputs[0].shape, INT64


def _stable_order(x: Any, *, axis: int) -> Any:
    """The stable order. Where samples say that much is equal, or in order already, NumPy's stable sort is the fastest."""
    n = x.shape[axis]
    if n >= MANY and x.size and x.dtype.kind == "f":
        along = np.moveaxis(x, axis, -1)
        samples = along[(0,) * (x.ndim - 1)][:: n // SAMPLES]
        if len(np.unique(samples)) == len(samples) and np.any(samples[1:] < samples[:-1]):
            return np.moveaxis(_order_of_distinct(along), -1, axis)
    return np.argsort(x, axis=axis, kind="stable")


def _order_of_distinct(x: Any) -> Any:
    """The same along the last axis, by NumPy's fast sort, which is not stable: the few that are equal are put in order after it."""
    order = np.argsort(x, axis=-1)
    values = np.take_along_axis(x, order, axis=-1)
    equal = np.zeros(values.shape, bool)  # to the one before it, as NaN is to NaN
    equal[..., 1:] = (values[..., 1:] == values[..., :-1]) | np.isnan(values[..., :-1])
    if equal.any():
        inside = equal.copy()
        inside[..., :-1] |= equal[..., 1:]
        run = np.cumsum(~equal)[inside.ravel()] * x.shape[-1]
        order[inside] = np.sort(run + order[inside]) - run
    return order


# The stable order that sorts along `axis`; sorting is a gather by it, which brings the derivative.
declare(Op(name="argsort", kind="opaque", arity=1, params=("axis",), infer=_order, not_differentiable="indices",
           evaluate=_stable_order,
           batch=lambda node, inputs, size: f.argsort(*inputs, axis=node.param("axis") + 1),
           names=Names("argsort", r"\operatorname{{argsort}}\left({0}\right)", "argsort({0})",
                       "np.argsort({0}, axis={axis}, kind='stable')")))
