"""Recorded values: immutable, lazily evaluated results of torch operations.

A `Value` says how it is computed (a recipe, its inputs, its parameters) until it is evaluated; then it has an array and
forgets the rest, so what it was computed from can be freed. Tensors, views and the graph of gradients all refer to Values:
an in-place operation gives a storage another Value and never changes one.
"""
from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler import provenance
from ...compiler.provenance import Site

if TYPE_CHECKING:
    from ...compiler.ir import Node

Shape = tuple[int, ...]
Array = np.ndarray[Any, Any]
Mask = "Node | None"


class Recipe:
    """How the nodes of a Value are made from those of its inputs.

    Recipes are compared by identity and are part of the key under which programs are cached, so everything else that the
    nodes depend on is in the Value's parameters, which are hashable.
    """

    __slots__ = ()

    def emit(self, nodes: Sequence[Node], masks: Sequence[Node | None], params: tuple[Any, ...], index: int
             ) -> tuple[Node, Node | None]:
        """The node of output `index`, and the mask outside which it is exactly zero (a cotangent's; None: anywhere).

        Args:
            nodes, masks: of the inputs.
        """
        raise NotImplementedError


class Value:
    """An array of a known shape and dtype, computed or to be computed."""

    __slots__ = ("__weakref__", "array", "dtype", "index", "inputs", "mask", "params", "recipe", "shape", "site")
    recipe: Recipe | None
    inputs: tuple[Value, ...]
    params: tuple[Any, ...]
    index: int
    shape: Shape
    dtype: np.dtype[Any]
    array: Array | None  # None: pending, or absent (no recipe either: only shape and dtype are known)
    mask: Value | None  # of an evaluated cotangent
    site: Site | None
    live = False  # whether the array is memory that others can write to
    number = False  # whether it is a Python number, of which no two uses are one input of a program

    def __init__(self, recipe: Recipe | None, inputs: tuple[Value, ...], params: tuple[Any, ...], shape: Shape,
                 dtype: np.dtype[Any], index: int = 0) -> None:
        self.recipe = recipe
        self.inputs = inputs
        self.params = params
        self.index = index
        self.shape = shape
        self.dtype = dtype
        self.array = None
        self.mask = None
        self.site = None

    def __repr__(self) -> str:
        state = "array" if self.array is not None else "absent" if self.recipe is None else "pending"
        return f"<Value {self.dtype}{list(self.shape)} {state}>"


class LiveValue(Value):
    """A Value whose array is memory that others can write to: what reads it is evaluated at once."""

    __slots__ = ()
    live = True


class NumberValue(Value):
    """A Python number: equal numbers share the array, and no program may rely on that."""

    __slots__ = ()
    number = True


class _Pending(threading.local):
    """How much has been recorded since something was last evaluated, as `weight_of` counts it."""

    count: float = 0.0
    looks: int = 0  # how often contents were looked at
    later: bool = False  # whether what reads exposed memory need not be evaluated at once, as nobody can write to it meanwhile


pending = _Pending()
MAX_PENDING = 2000
MAX_PENDING_BYTES = 1 << 28


def weight_of(shape: Shape, dtype: np.dtype[Any]) -> float:
    """How much of `MAX_PENDING` a pending Value takes: 1, and more where it is large."""
    size = dtype.itemsize
    for extent in shape:
        size *= extent
    return 1.0 + size * (MAX_PENDING / MAX_PENDING_BYTES)


def recorded(recipe: Recipe, inputs: tuple[Value, ...], params: tuple[Any, ...], shape: Shape, dtype: np.dtype[Any],
             index: int = 0) -> Value:
    """A pending Value; evaluated at once where an input's memory is exposed or too much is pending."""
    value = Value(recipe, inputs, params, shape, dtype, index)
    value.site = provenance.user_site(3)
    _count(value)
    return value


def recorded_gradient(recipe: Recipe, inputs: tuple[Value, ...], params: tuple[Any, ...], shape: Shape, dtype: np.dtype[Any],
                      index: int = 0) -> Value:
    """`recorded` in a backward pass, where the user's code does not say more than `backward()`."""
    value = Value(recipe, inputs, params, shape, dtype, index)
    _count(value)
    return value


def _count(value: Value) -> None:
    pending.count = count = pending.count + weight_of(value.shape, value.dtype)
    if count > MAX_PENDING:
        _evaluate(value)
    for item in value.inputs:
        if item.live and not pending.later:
            evaluate_now(value)
            break


def _evaluate(value: Value) -> None:
    from .evaluate import evaluate

    evaluate([value])


def evaluate_now(value: Value) -> None:
    """Evaluate what reads exposed memory."""
    inputs = value.inputs
    _evaluate(value)
    own(value, inputs)


def own(value: Value, inputs: Sequence[Value]) -> None:
    """Copy a result that is a view of exposed memory: what is written there later must not show in it."""
    if value.array is not None and any(i.live and i.array is not None and np.may_share_memory(i.array, value.array) for i in inputs):
        value.array = value.array.copy()


def leaf(array: Array) -> Value:
    """A Value that is already there. The array must not be written to afterwards."""
    value = Value(None, (), (), array.shape, array.dtype)
    value.array = array
    return value


def absent(like: Value) -> Value:
    """Stands for a Value of which only the shape and dtype are needed, so that its memory can be freed."""
    return absent_of(like.shape, like.dtype)


def absent_of(shape: Shape, dtype: np.dtype[Any]) -> Value:
    """Stands for any Value of that shape and dtype."""
    known = _ABSENT.get((shape, dtype))
    if known is None:
        if len(_ABSENT) > 10_000:
            _ABSENT.clear()
        known = _ABSENT[shape, dtype] = Value(None, (), (), shape, dtype)
    return known


def live(memory: Array) -> Value:
    """A Value that is what memory contains whenever it is read."""
    value = LiveValue(None, (), (), memory.shape, memory.dtype)
    value.array = memory
    return value


_ABSENT: dict[tuple[Shape, np.dtype[Any]], Value] = {}
_SCALARS: dict[tuple[Any, ...], Value] = {}


def scalar(number: Any, dtype: np.dtype[Any]) -> Value:
    """A Python number as a 0-d input of a program: another number does not make another program."""
    key = (number, type(number), dtype.char)
    known = _SCALARS.get(key)
    if known is None or number == 0:  # 0.0 and -0.0 are equal keys
        with np.errstate(all="ignore"):
            known = NumberValue(None, (), (), (), dtype)
            known.array = np.asarray(number).astype(dtype)
        if len(_SCALARS) > 1000:
            _SCALARS.clear()
        _SCALARS[key] = known
    return known
