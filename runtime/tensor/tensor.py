"""`Tensor`: a view of a storage, and its place in the graph of gradients.

The operations are not written here: `row` makes methods, operators and functions of the table's rows.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..torch_types import CPU, Size, dtype as Dtype, from_numpy_dtype, strided
from .evaluate import array_of
from .geometry import Strides, contiguous_strides, numel
from .modes import state
from .records import Record
from .storage import Chain, Counter, Storage, read
from .value import Array, Shape, Value, pending

if TYPE_CHECKING:
    from .node import AccumulateGrad, Node

_new = object.__new__


class Geometry(NamedTuple):
    """Where a view lies in its storage. Tensors that lie in C order and are no views have none."""

    strides: Strides
    offset: int = 0
    chain: Chain = ()


class Meta:
    """The rarer facts about a tensor's place in the graph."""

    __slots__ = ("accumulator", "base", "base_version", "creation", "hooks", "inference", "post_hooks", "retains_grad")

    def __init__(self) -> None:
        self.base: Tensor | None = None  # of a differentiable view
        self.base_version = 0  # the version at which the view's grad_fn was made
        self.creation = ""  # why an in-place operation on this view would not be right, if so
        self.hooks: dict[int, Any] | None = None  # of a leaf: those of other tensors belong to their grad_fn
        self.post_hooks: dict[int, Any] | None = None
        self.accumulator: Any = None  # a weak reference
        self.retains_grad = False
        self.inference = False


class TensorType(type):
    """`isinstance(x, torch.Tensor)` holds for every tensor; a subclass is made from a tensor's contents."""


class Tensor(metaclass=TensorType):
    """A torch tensor: elements, and how they were computed.

    Attributes are torch's. Contents are computed when they are looked at.
    """

    __slots__ = ("__dict__", "__weakref__", "_cache", "_cached", "_counter", "_dtype", "_geometry", "_grad", "_grad_fn", "_meta",
                 "_output_nr", "_record", "_requires_grad", "_shape", "_storage")
    _storage: Storage
    _counter: Counter
    _geometry: Geometry | None
    _cache: Value | None  # of a view: its Value ...
    _cached: Value | None  # ... and the Value of the storage that it is a part of
    _shape: Shape
    _dtype: Dtype
    _requires_grad: bool
    _grad: Tensor | None
    _grad_fn: Node | None
    _output_nr: int
    _meta: Meta | None
    _record: Any  # what stands for the slots that are empty, or is known of the tensor as it is now; see `tape`

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        from .create import legacy_constructor

        return legacy_constructor(cls, *args, **kwargs)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """`tape.fill`: slots that are empty are filled when they are read; also the methods that `row` makes."""

    # ------------------------------------------------------------------ contents
    @property
    def _value(self) -> Value:
        """The contents now."""
        storage = self._storage
        geometry = self._geometry
        if geometry is None or not geometry.chain:
            return storage.value
        record = self._record
        if self._cached is None and type(record) is Record and storage.memory is None:
            from .tape import shows, value_of

            if shows(self, record):
                self._cache, self._cached = value_of(record), storage.value
        if self._cached is not storage.value or storage.memory is not None:
            self._cached = storage.value
            self._cache = _live_view(self) if storage.memory is not None else read(storage.value, geometry.chain, self._shape)
        assert self._cache is not None
        return self._cache

    def _array(self) -> Array:
        """The contents as an array that must not be written to."""
        pending.looks += 1
        record = self._record
        if type(record) is not Record and self._geometry is None:
            record = self._storage.record
        if type(record) is Record and record.value is None:
            return _look(self, record)
        return array_of(self._value)

    # ------------------------------------------------------------------ shape and type
    @property
    def shape(self) -> Size:
        """The size of each axis."""
        return tuple.__new__(Size, self._shape)

    @property
    def dtype(self) -> Dtype:
        """The type of the elements."""
        return self._dtype

    @property
    def device(self) -> Any:
        """The CPU."""
        return CPU

    @property
    def layout(self) -> Any:
        """`torch.strided`."""
        return strided

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._shape)

    def dim(self) -> int:
        """The number of axes."""
        return len(self._shape)

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return numel(self._shape)

    nelement = numel

    def stride(self, dim: int | None = None) -> Any:
        """Distances in memory, in elements, between neighbours along the axes, or along one."""
        strides = self._strides
        if dim is None:
            return strides
        from .geometry import wrap_dim

        return strides[wrap_dim(dim, len(strides))]

    @property
    def _strides(self) -> Strides:
        return contiguous_strides(self._shape) if self._geometry is None else self._geometry.strides

    def storage_offset(self) -> int:
        """The place of the first element in the storage."""
        return 0 if self._geometry is None else self._geometry.offset

    @property
    def _chain(self) -> Chain:
        return () if self._geometry is None else self._geometry.chain

    # ------------------------------------------------------------------ graph
    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this tensor."""
        record = self._record
        if type(record) is Record and (record.aval.needs or record.entry.place is None):
            return record.aval.needs
        if self._requires_grad or self._grad_fn is not None:
            return True
        meta = self._meta
        return meta is not None and meta.base is not None and meta.base.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        from .autograd_methods import set_requires_grad

        set_requires_grad(self, value)

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made by the user and not by a recorded operation."""
        record = self._record
        if type(record) is Record and (record.aval.needs or record.entry.place is None):
            return not record.aval.needs
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Node | None:
        """The operation that made this tensor, in the graph of gradients."""
        meta = self._meta
        base = None if meta is None else meta.base
        if (meta is not None and base is not None and meta.base_version != self._counter.version
                and (self._grad_fn is not None or base.requires_grad)):
            from .inplace import regenerate

            regenerate(self, meta)
        return self._grad_fn

    @grad_fn.setter
    def grad_fn(self, value: object) -> None:
        raise AttributeError("attribute 'grad_fn' of 'torch._C.TensorBase' objects is not writable")

    @property
    def output_nr(self) -> int:
        """Which output of `grad_fn` this is."""
        return self._output_nr

    @property
    def grad(self) -> Tensor | None:
        """The gradient accumulated by `backward()`."""
        if self._grad is None and not self._requires_grad and self._grad_fn is not None:
            from .autograd_methods import warn_of_non_leaf_grad

            warn_of_non_leaf_grad(self)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is None:
            self._grad = None
            return
        from .autograd_methods import set_grad

        set_grad(self, value)

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def _version(self) -> int:
        if self._meta is not None and self._meta.inference:
            raise RuntimeError("Inference tensors do not track version counter.")
        return self._counter.version

    @property
    def _base(self) -> Tensor | None:
        return None if self._meta is None else self._meta.base

    def _is_view(self) -> bool:
        return self._base is not None

    def _ensure_meta(self) -> Meta:
        if self._meta is None:
            self._meta = Meta()
        return self._meta

    def __hash__(self) -> int:
        return id(self)

    # Arrays on the left hand side leave operators to the tensor.
    __array_priority__ = 1000

    __module__ = "torch"


def _live_view(tensor: Tensor) -> Value:
    """The part of exposed memory that a view shows, itself exposed."""
    from .exchange import alias
    from .value import live

    return live(alias(tensor))


def _look(tensor: Tensor, record: Record) -> Array:
    """`look.look`, which replaces this function on the first call, since it imports this module."""
    global _look
    from . import look

    _look = look.look
    return look.look(tensor, record)


def wrap(value: Value, dtype: Dtype, strides: Strides | None = None) -> Tensor:
    """A new tensor with a storage of its own, in C order unless strides are given; a leaf that does not require grad."""
    made = _new(Tensor)
    storage = _new(Storage)
    storage.version, storage.value, storage.strides, storage.memory, storage.record = 0, value, strides, None, None
    storage.writes = 0
    made._storage = made._counter = storage
    made._geometry = None if strides is None else Geometry(strides)
    made._cache = made._cached = None
    made._shape = value.shape
    made._dtype = dtype
    made._requires_grad = False
    made._grad = made._grad_fn = None
    made._output_nr = 0
    made._meta = made._record = None
    if state.inference:
        made._ensure_meta().inference = True
    return made


def wrap_array(array: Any) -> Tensor:
    """A new tensor with these contents, which must not be written to afterwards."""
    from .value import leaf

    array = np.asarray(array)
    return wrap(leaf(array), from_numpy_dtype(array.dtype))


def alias_of(tensor: Tensor, cls: type[Tensor] = Tensor) -> Tensor:
    """A new leaf on the same storage and with the same version counter: what `detach` gives."""
    made = _new(cls)
    for name in ("_storage", "_counter", "_geometry", "_cache", "_cached", "_shape", "_dtype"):
        setattr(made, name, getattr(tensor, name))
    made._requires_grad = False
    made._grad = made._grad_fn = None
    made._output_nr = 0
    made._meta = made._record = None
    return made


def gradient_edge(tensor: Tensor) -> tuple[Node, int] | None:
    """Where the gradient of a tensor goes: to the output of its grad_fn, to its accumulator, or nowhere."""
    node = tensor.grad_fn
    if node is not None:
        return node, tensor._output_nr
    return (accumulator(tensor), 0) if tensor._requires_grad else None


def accumulator(tensor: Tensor) -> AccumulateGrad:
    """The node that adds to a leaf's `.grad`; one for each leaf while anything refers to it."""
    import weakref

    from .node import AccumulateGrad

    meta = tensor._ensure_meta()
    known = None if meta.accumulator is None else meta.accumulator()
    if known is None:
        known = AccumulateGrad(tensor)
        meta.accumulator = weakref.ref(known)
    return known
