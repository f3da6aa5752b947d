"""What records of operations are made of: kinds of tensors, kinds of steps, and the records themselves.

Records are immutable up to their caches: a tensor that is written to in place leaves its record behind.
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from ..torch_types import dtype as Dtype
from .value import Shape, Value, weight_of

if TYPE_CHECKING:
    from .geometry import Strides
    from .node import OpNode
    from .row import Row
    from .tensor import Tensor

MOST_ENTRIES = 8192


class Aval:
    """Shape, dtype and layout of a tensor, and whether gradients flow to it: interned, so that it is compared by identity.

    Attributes:
        strides: of a tensor that does not lie in C order; None: it does.
        inference: whether it was made in inference mode.
        scalar: whether there is one element.
        live: whether it is memory that others can write to, so that what reads it is evaluated at once.
        numbers: the records of Python numbers beside such a tensor, by number.
        gradient: of its gradient, once one was needed.
    """

    __slots__ = ("dtype", "gradient", "inference", "live", "needs", "numbers", "numpy", "scalar", "shape", "strides")

    def __init__(self, shape: Shape, dtype: Dtype, numpy: np.dtype[Any], needs: bool, live: bool, inference: bool, strides: Strides | None
                 ) -> None:
        self.shape, self.dtype, self.numpy, self.needs, self.live = shape, dtype, numpy, needs, live
        self.inference, self.strides = inference, strides
        self.scalar = math.prod(shape) == 1
        self.numbers: dict[Any, Number] = {}
        self.gradient: Aval | None = None


_avals: dict[Any, Aval] = {}


def aval_of(shape: Shape, dtype: Dtype, numpy: np.dtype[Any], needs: bool, live: bool = False, inference: bool = False,
            strides: Strides | None = None) -> Aval:
    """The one Aval of these."""
    key = (shape, dtype, needs, live, inference, strides)
    found = _avals.get(key)
    if found is None:
        if len(_avals) > MOST_ENTRIES:
            _avals.clear()
        found = _avals[key] = Aval(shape, dtype, numpy, needs, live, inference, strides)
    return found


class Entry:
    """One kind of step: an operation with its parameters on inputs of certain Avals; interned.

    Attributes:
        aval: of the result.
        name: of the grad_fn.
        keeps: whether the gradient reads Values, which are freed after a backward pass.
        place: of a view: its strides and offset.
        single: what computes a step of this kind alone, on inputs that are different and known; None: not known yet.
        weight: how much of what may be pending it is.
    """

    __slots__ = ("aval", "avals", "keeps", "name", "params", "place", "row", "single", "weight")
    row: Any

    def __init__(self, row: Row, params: tuple[Any, ...], avals: tuple[Aval, ...], aval: Aval, name: str,
                 place: tuple[Strides, int] | None) -> None:
        self.row, self.params, self.avals, self.aval, self.name, self.place = row, params, avals, aval, name, place
        self.keeps = bool(row.saved)
        self.single: Any = None
        self.weight = weight_of(aval.shape, aval.numpy)


_entries: dict[Any, Entry] = {}


class Record:
    """A recorded operation.

    One that gradients flow to is a part of the graph. Any other is only waiting to be computed: as soon as it has a value, it
    forgets its inputs.

    Attributes:
        inputs: records of the inputs.
        kept: of each input that is a `Held` the tensor, so that it lives as long as the graph; else None.
        ref: weakly, the tensor that it was made for.
        value, storage, node: made when they are asked for.
        freed: whether a backward pass is over, after which the records below have no values.
    """

    __slots__ = ("aval", "entry", "freed", "inputs", "kept", "node", "ref", "sequence", "storage", "value")
    aval: Aval
    entry: Entry
    inputs: tuple[Any, ...]
    kept: tuple[Tensor | None, ...]
    sequence: int
    ref: Any
    value: Value | None
    storage: Any  # refers weakly to one that has no value of its own yet
    node: OpNode | None
    freed: bool


class Held:
    """A tensor that no record made, as it is at a moment: a leaf, data, a result of an operation that leaves no record.

    Attributes:
        tensor: weakly.
        maker: its grad_fn.
        value: what the tensor shows.
        contents: of its storage, of which `value` is a part; where they are what a record says, the record.
        version: of its counter.
        spent: what is left of it in graphs whose backward pass is over, once there is one.
    """

    __slots__ = ("aval", "contents", "counter", "maker", "spent", "storage", "tensor", "value", "version")

    tensor: Any
    value: Value

    def __init__(self, aval: Aval, tensor: Tensor, maker: Any) -> None:
        self.aval, self.tensor, self.maker = aval, ref(tensor), maker
        self.storage, self.counter = storage, counter = tensor._storage, tensor._counter
        self.contents, self.version = storage.record or storage.value, counter.version
        self.spent: Spent | None = None

    def after(self, record: Record) -> Held:
        """The same tensor after a write, whose result is what a record says."""
        made = object.__new__(Held)
        made.aval, made.tensor, made.maker = self.aval, self.tensor, self.maker
        made.storage, made.counter, made.contents, made.version = self.storage, self.counter, record, self.counter.version
        made.spent = None
        return made

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """`tape.made_of_contents`: the value, where it has to be made first."""

    @property
    def waiting(self) -> Record | None:
        """The record of the contents, where these were not computed yet."""
        found = self.contents
        return found if type(found) is Record and found.value is None else None

    @property
    def stands(self) -> bool:
        """Whether the storage still has these contents."""
        return self.storage.has(self.contents)


class Spent:
    """What is left of a `Held` in a graph whose backward pass is over: where its gradient went, and what the version check reads."""

    __slots__ = ("aval", "counter", "maker", "value", "version")

    def __init__(self, held: Held) -> None:
        self.aval, self.maker, self.value = held.aval, held.maker, None
        self.counter, self.version = held.counter, held.version


class Number:
    """A Python number beside a tensor."""

    __slots__ = ("aval", "value")

    def __init__(self, aval: Aval, value: Value) -> None:
        self.aval, self.value = aval, value


class Ready:
    """The contents of a tensor that was just computed outside of any graph."""

    __slots__ = ("array", "aval")

    def __init__(self, aval: Aval, array: Any) -> None:
        self.aval, self.array = aval, array


def entry_of(row: Row, params: tuple[Any, ...], avals: tuple[Aval, ...], aval: Aval, name: str, place: tuple[Strides, int] | None) -> Entry:
    """The one Entry of these."""
    key = (row, params, avals, aval, name, place)
    found = _entries.get(key)
    if found is None:
        if len(_entries) > MOST_ENTRIES:
            _entries.clear()
        found = _entries[key] = Entry(row, params, avals, aval, name, place)
    return found
