"""What a tensor's elements are kept in: one Value for the whole base tensor, replaced by each in-place operation."""
from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler import build, sizes
from ...compiler.build.moving import iota
from ...compiler.ir import f
from .evaluate import array_of
from .geometry import Strides, contiguous_strides
from .value import Array, Recipe, Shape, Value, live, recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...compiler.ir import Node
    from .row import ViewRow

Chain = tuple[tuple["ViewRow", tuple[Any, ...]], ...]  # view operations with their parameters, from the base on


class Counter:
    """Counts the in-place operations on tensors that share it."""

    __slots__ = ("version",)

    def __init__(self) -> None:
        self.version = 0


class Storage(Counter):
    """The contents of a base tensor and of its views.

    Attributes:
        value: the current contents, of the base's shape; where they are what a record says, made when they are asked for.
        record: says what the contents are as long as there is no value.
        writes: how many in-place operations have been recorded since contents were computed.
        strides: of the base, in elements; None: C order.
        memory: the array that holds them, once it has been handed out (to NumPy, by address): from then on it is written in
            place and read at the moment of use. None: nobody outside can see it.
    """

    __slots__ = ("__weakref__", "memory", "record", "strides", "value", "writes")
    value: Value

    def __init__(self, record: Any) -> None:
        self.version = 0
        self.record = record
        self.writes = 0
        self.strides: Strides | None = None
        self.memory: Array | None = None

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """`tape.made_of_record`: the value, where it has to be made first."""

    def replace(self, value: Value) -> None:
        """Other contents."""
        self.value = value
        self.record = None

    def has(self, contents: Any) -> bool:
        """Whether it has these contents: a Value, or what a record says."""
        if self.record is not None:
            return self.record is contents
        return self.value is contents or (type(contents) is not Value and contents.value is self.value)

    def expose(self) -> Array:
        """The array that holds the contents from now on."""
        if self.memory is None:
            array = array_of(self.value)
            strides = contiguous_strides(array.shape) if self.strides is None else self.strides
            fits = array.strides == tuple(s * array.itemsize for s in strides) or array.size <= 1
            held = sys.getrefcount(self.value) > 2 or sys.getrefcount(array) > 3  # this call's references, and the slot
            if not (fits and not held and array.base is None and array.flags.writeable and array.flags.owndata):
                array = _laid_out(array, strides)
            self.share(array)
        assert self.memory is not None
        return self.memory

    def share(self, memory: Array) -> None:
        """Let `memory` hold the contents, seen and written by others."""
        self.memory = memory
        self.value = live(memory)


def _laid_out(array: Array, strides: Strides) -> Array:
    """A copy whose axes lie in the order of `strides`, which are dense."""
    order = sorted(range(array.ndim), key=lambda k: -strides[k])
    made = np.empty([array.shape[k] for k in order], array.dtype)
    made = made.transpose(np.argsort(order)) if order else made
    made[...] = array
    return made


class _Read(Recipe):
    """A view of a base: its view operations one after another."""

    __slots__ = ()

    def emit(self, nodes: Sequence[Node], masks: Sequence[Node | None], params: tuple[Any, ...], index: int
             ) -> tuple[Node, Node | None]:
        node, (mask,) = nodes[0], masks
        for row, arguments in params[0]:
            node = row.build(node, *arguments)
            mask = None if mask is None else row.build(mask, *arguments)
        return node, mask


class _Write(Recipe):
    """A base after one of its views was given other contents."""

    __slots__ = ()

    def emit(self, nodes: Sequence[Node], masks: Sequence[Node | None], params: tuple[Any, ...], index: int
             ) -> tuple[Node, Node | None]:
        node, new = nodes
        if any(row.overlaps for row, _ in params[0]):
            return _placed(node, new, params[0]), None
        stages = []
        for row, arguments in params[0]:
            stages.append((row, arguments, node))
            node = row.build(node, *arguments)
        for row, arguments, whole in reversed(stages):
            new = row.write(whole, new, *arguments)
        return new, None


def _placed(base: Node, new: Node, chain: Chain) -> Node:
    """The same by the place of every element, for chains in which elements overlap although in the result they do not."""
    places: Any = build.reshape(iota((sizes.product(base.shape),), 0), base.shape)
    for row, arguments in chain:
        places = row.build(places, *arguments)
    return build.reshape(f.scatter(build.reshape(base, (-1,)), new, places, axes=(0,)), base.shape)


READ, WRITE = _Read(), _Write()


def read(value: Value, chain: Chain, shape: Shape) -> Value:
    """The part of `value` that a chain of view operations shows."""
    return recorded(READ, (value,), (chain,), shape, value.dtype)


def written(value: Value, chain: Chain, new: Value) -> Value:
    """`value` with the part that a chain of view operations shows replaced."""
    return recorded(WRITE, (value, new), (chain,), value.shape, value.dtype) if chain else new
