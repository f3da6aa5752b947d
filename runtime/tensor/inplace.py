"""In-place operations and views: functional inside, torch's behaviour outside.

An in-place operation gives the storage another Value, computed from the old one, and counts a version. Views see the new
contents through their chain of view operations; a base that is written through a view gets a `CopySlices` node.
"""
from __future__ import annotations

import math
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...compiler.build import broadcast_to, cast
from ..torch_types import can_cast, scalar_type_name, to_numpy_dtype
from .arguments import refuse
from .geometry import is_dense, overlaps
from .modes import UNUSUAL, state
from .node import Edge, Node, OpNode, node_class, short_name
from .records import Held, Record
from .replay import replayed_in_place, write
from .storage import READ, WRITE, written
from .tape import leave, step_of, waiting
from .tensor import Meta, Tensor, gradient_edge
from .value import Recipe, Value, absent, leaf, recorded

if TYPE_CHECKING:
    from ...compiler.ir import Node as IRNode
    from .row import Call, Row

LEAF = "a leaf Variable that requires grad is being used in an in-place operation."
VIEW_OF_LEAF = "a view of a leaf Variable that requires grad is being used in an in-place operation."
OVERLAP = ("unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
           "Please clone() the tensor before performing the operation.")
PARTIAL_OVERLAP = ("unsupported operation: some elements of the input tensor and the written-to tensor refer to a "
                   "single memory location. Please clone() the tensor before performing the operation.")
INFERENCE = ("Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a "
             "normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details.")
NO_GRAD_VIEW = (
    "A view was created in no_grad mode and is being modified inplace with grad mode enabled. Given that this use case "
    "is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace "
    "either both inside the no_grad block (if you don't want the inplace to be tracked) or both outside (if you want "
    "the inplace to be tracked)."
)
MULTI_VIEW = (
    "{what} is a view and is being modified inplace. This view is the output of a function that returns multiple "
    "views. Such functions do not allow the output views to be modified inplace. You should replace the inplace "
    "operation by an out-of-place one."
)


class _Into(Recipe):
    """An operation whose result is brought to the dtype and shape of the tensor that it is written to."""

    __slots__ = ()

    def emit(self, nodes: Sequence[IRNode], masks: Sequence[IRNode | None], params: tuple[Any, ...], index: int
             ) -> tuple[IRNode, IRNode | None]:
        row, arguments, shape, dtype = params
        node, _ = row.emit(nodes, masks, arguments, index)
        return broadcast_to(cast(node, dtype), shape), None


INTO = _Into()
RESIZED = (
    "An output with one or more elements was resized since it had shape {}, which does not match the required output shape {}. This "
    "behavior is deprecated, and in a future PyTorch release outputs will not be resized unless they have zero elements. You can "
    "explicitly reuse an out tensor t by resizing it, inplace, to zero elements with t.resize_(0)."
)
MAY_OVERLAP = frozenset({"fill", "zero", "index_put_at"})  # torch lets these write to expanded tensors


def in_place(row: Row) -> Callable[..., Tensor]:
    """The method `name_` of an operation."""
    from .row import operands_among, renaming

    rename = renaming(row.rule)

    def apply(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if kwargs:
            kwargs = rename(kwargs)
        try:
            made = row.rule(self, *args, **kwargs)
        except (TypeError, AttributeError, ValueError) as error:
            refuse(row.name + "_", row.rule, (self, *args), kwargs, True, error)
        except RuntimeError:
            check(self, any(isinstance(a, Tensor) and a.requires_grad for a in args))  # torch says first what is wrong with `self`
            check_overlap(self, (self, *args))
            raise
        return replace(self, row, made)

    return replayed_in_place(apply, operands_among(row.rule, row.inputs))


def replace(self: Tensor, row: Row, made: Call) -> Tensor:
    """Write the result of a call to `self`, one of its inputs, and to the graph."""
    from .row import edges_of, value_of

    edges = edges_of(made.inputs)
    check(self, edges is not None)
    if row.name not in MAY_OVERLAP:
        check_overlap(self, made.inputs)
    if made.shape != self._shape and not _fits(made.shape, self._shape):
        raise RuntimeError(f"output with shape {list(self._shape)} doesn't "
                           f"match the broadcast shape {list(made.shape)}")
    if made.dtype is not self._dtype and not can_cast(made.dtype, self._dtype):
        raise RuntimeError(f"result type {scalar_type_name(made.dtype)} can't be cast to the desired output type "
                           f"{scalar_type_name(self._dtype)}")
    if edges is None and _recorded(self, row, made):
        return self
    values = tuple([value_of(item) for item in made.inputs])
    old = self._value
    if made.dtype is self._dtype and made.shape == self._shape:
        value = recorded(row, values, made.params, self._shape, old.dtype)
        recipe, params = row, made.params
    else:
        recipe, params = INTO, (row, made.params, self._shape, old.dtype.name)  # type: ignore[assignment]
        value = recorded(recipe, values, params, self._shape, old.dtype)
    if edges is None or not row.backward or not self._dtype.is_floating_point:
        store(self, value)
        return self
    if self._storage.memory is not None:
        values = (leaf(values[0].array.copy()), *values[1:])  # type: ignore[union-attr]  # what is about to be overwritten
    node = _node(row, made, recipe, params, values, value, edges)
    store(self, value)
    rebase(self, node)
    _save(node, row, made, edges, self)
    return self


def _recorded(self: Tensor, row: Row, made: Call) -> bool:
    """Whether a record can say what the contents are from now on; then it does."""
    known = self._record
    if (made.dtype is not self._dtype or made.shape != self._shape or self._geometry is not None or self._storage.memory is not None
            or state.kind == UNUSUAL or (type(known) is Record and known.aval.needs)):
        return False
    step = step_of(row, made.inputs, made.params, made.shape, made.dtype, to_numpy_dtype(made.dtype), "")
    if step is None or step[0].aval.needs or any([item.aval.live for item in step[1]]):
        return False
    write(self, waiting(*step))
    return True


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    lead = len(wanted) - len(shape)
    return lead >= 0 and all(s in (1, w) for s, w in zip(shape, wanted[lead:], strict=True))


def _node(row: Row, made: Call, recipe: Recipe, params: tuple[Any, ...], values: tuple[Value, ...], value: Value,
          edges: list[Edge | None]) -> OpNode:
    from ..torch_types import from_numpy_dtype

    saves = row.saved
    node = node_class(made.name or row.backward)(
        recipe, params, values if saves else tuple([absent(v) for v in values]), (value if saves else absent(value),), edges,
        ((value.shape, from_numpy_dtype(value.dtype)),))
    if row.numbers:
        node.numbers = made.numbers
    return node


def _save(node: OpNode, row: Row, made: Call, edges: list[Edge | None], self: Tensor) -> None:
    """What the version check looks at: results at their version after the write, inputs before it."""
    from .row import saved_tensor

    if not row.saved:
        return
    node.keeps = True
    found = []
    for name, position, is_result, wanted in row.saved_among(len(made.inputs)):
        if wanted is not None and edges[wanted] is None:
            continue
        item = self if is_result else made.inputs[position]
        if isinstance(item, Tensor):
            if not is_result and position == 0:
                continue  # torch saves a copy of what is overwritten
            saved = saved_tensor(name, position, item, is_result)
            if not is_result and item._counter is self._counter:
                saved = saved._replace(version=saved.version - 1)
            if is_result and self._base is not None:
                saved = saved._replace(view_fn=weakref.ref(self._grad_fn))
            found.append(saved)
    node.saved = tuple(found)


def check(self: Tensor, recorded_now: bool) -> None:
    """Whether `self` may be written to.

    Raises:
        RuntimeError: a leaf that requires grad, a view of one, a view made in another mode, elements that share memory.
    """
    meta = self._meta
    if state.grad and self.requires_grad:
        if self.grad_fn is None:
            if meta is not None and meta.base is not None:
                _check_view(self, meta)
            raise RuntimeError(VIEW_OF_LEAF if meta is not None and meta.base is not None else LEAF)
        if meta is not None and meta.base is not None:
            _check_view(self, meta)
            if meta.base.is_leaf and meta.base._requires_grad:
                raise RuntimeError(VIEW_OF_LEAF)
    elif state.grad and meta is not None and meta.base is not None and recorded_now:
        _check_view(self, meta)
    if meta is not None and meta.inference and not state.inference:
        raise RuntimeError(INFERENCE)


def check_overlap(self: Tensor, inputs: Sequence[Any]) -> None:
    """Whether what is written is read from, or written to, twice.

    Raises:
        RuntimeError: elements of `self` share memory, or it overlaps with an input without being the same.
    """
    if self._geometry is not None and overlaps(self._shape, self._geometry.strides):
        raise RuntimeError(OVERLAP)
    for item in inputs[1:]:
        if isinstance(item, Tensor) and item._storage is self._storage and _partly_overlap(self, item):
            raise RuntimeError(PARTIAL_OVERLAP)


def _partly_overlap(a: Tensor, b: Tensor) -> bool:
    """Torch's test: both dense, ranges of memory that meet without being the same."""
    if not (is_dense(a._shape, a._strides) and is_dense(b._shape, b._strides)):
        return False
    first, second = a.storage_offset(), b.storage_offset()
    if (first, a.numel()) == (second, b.numel()):
        return a._strides != b._strides
    return first < second + b.numel() and second < first + a.numel()


def _check_view(self: Tensor, meta: Meta) -> None:
    if meta.creation == "no_grad":
        raise RuntimeError(NO_GRAD_VIEW)
    if meta.creation == "multi":
        node = self.grad_fn
        what = f"Output {self._output_nr} of {short_name(node.name())}" if node is not None else "Output of a multi-view function"
        raise RuntimeError(MULTI_VIEW.format(what=what))


def store(self: Tensor, value: Value) -> None:
    """New contents for the part of the storage that `self` shows."""
    storage = self._storage
    if storage.memory is not None:
        import numpy as np

        from .evaluate import array_of
        from .exchange import alias

        np.copyto(alias(self), array_of(value))
    else:
        chain = self._chain
        before = storage.value  # made, if it was not, so that its record knows that it was written to
        storage.replace(written(before, chain, value) if chain else value)
        if chain:
            self._cache, self._cached = value, storage.value
    self._counter.version += 1
    if type(self._record) is Held:
        self._record = None  # it would keep the old contents


def overwrite(self: Tensor, value: Value) -> None:
    """New contents, outside the graph."""
    store(self, value)


def write_out(out: Tensor, result: Tensor, name: str) -> None:
    """A result given to the caller's `out=` tensor."""
    from .row import call

    if result.requires_grad or out.requires_grad:
        raise RuntimeError(f"{name}(): functions with out=... arguments don't support automatic differentiation, but "
                           "one of the arguments requires grad.")
    if not can_cast(result._dtype, out._dtype):
        raise RuntimeError(f"result type {scalar_type_name(result._dtype)} can't be cast to the desired output type "
                           f"{scalar_type_name(out._dtype)}")
    if out._shape != result._shape:
        if math.prod(out._shape):
            warnings.warn(RESIZED.format(list(out._shape), list(result._shape)), stacklevel=4)
        leave(out)
        out._shape = result._shape
        out._geometry = None
        out._storage.replace(result._value)
        out._counter.version += 1
        if out._dtype is not result._dtype:
            out._storage.replace(call("to", result, out._dtype)._value)
        return
    call("copy_", out, result)


# ------------------------------------------------------------------------------------------------ the graph
def rebase(self: Tensor, node: Node) -> None:
    """Put an in-place operation into the graph: as the tensor's grad_fn, or inside its base's."""
    leave(self)
    meta = self._meta
    self._requires_grad = False
    if meta is None or meta.base is None:
        if meta is not None and meta.retains_grad:
            _move_retained(self, self._grad_fn, self._output_nr, node)
        self._grad_fn, self._output_nr = node, 0
        return
    base = meta.base
    leave(base)
    slices = CopySlices(base, self, node)
    if base._meta is not None and base._meta.retains_grad:
        _move_retained(base, base._grad_fn, base._output_nr, slices)
    base._requires_grad = False
    base._grad_fn, base._output_nr = slices, 0
    regenerate(self, meta)


def _move_retained(self: Tensor, old: Node | None, old_nr: int, node: Node) -> None:
    """`retain_grad` follows the tensor to its new grad_fn."""
    if old is not None and old.extras is not None:
        old.extras.retains.pop(old_nr, None)
    node.ensure_extras().retains[0] = weakref.ref(self)


def regenerate(self: Tensor, meta: Meta) -> None:
    """The grad_fn of a view whose base has been written to: a view of what the base is now."""
    base = meta.base
    assert base is not None
    leave(self)
    meta.base_version = self._counter.version
    edge = gradient_edge(base)
    if edge is None:
        return
    old, old_nr = self._grad_fn, self._output_nr
    chain = self._chain[len(base._chain):]
    source = absent(base._storage.value) if not base._chain else absent(base._value)
    result = Value(None, (), (), self._shape, source.dtype)
    self._grad_fn = node_class("AsStridedBackward0")(READ, (chain,), (source,), (result,), [edge], ((self._shape, self._dtype),))
    self._output_nr = 0
    if meta.retains_grad:
        _move_retained(self, old, old_nr, self._grad_fn)


class CopySlices(Node):
    """A base after an in-place operation on one of its views: the operation's node, applied to that part of the gradient."""

    __slots__ = ("chain", "inner", "overlaps", "released", "view_shape")

    def __init__(self, base: Tensor, view: Tensor, inner: Node) -> None:
        super().__init__((gradient_edge(base), *inner.edges[1:]), ((base._shape, base._dtype),))
        self.chain = view._chain[len(base._chain):]
        self.overlaps = overlaps(view._shape, view._strides)
        self.inner = inner
        self.released = False
        self.view_shape = inner.outputs[0][0]

    @property
    def keeps(self) -> bool:
        """Whether there is something to free."""
        return True

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        from .node import FREED

        if self.released:
            raise RuntimeError(FREED)
        (grad,) = grads
        if grad is None:
            return [None] * len(self.edges)
        part = _derived("AsStridedBackward0", READ, (self.chain,), (grad,), self.view_shape)
        first, *others = self.inner.apply([part])
        if self.overlaps:
            raise RuntimeError(OVERLAP)  # torch writes the view's gradient in place
        if self.edges[0] is None:
            return [None, *others]
        if first is None:
            from .row import call

            first = call("zeros_like", part)
        whole = _derived("CopySlices", WRITE, (self.chain,), (grad, first), grad._shape)
        return [whole, *others]

    def release(self) -> None:
        self.inner.release()
        self.released = True


def _derived(name: str, recipe: Recipe, params: tuple[Any, ...], inputs: tuple[Tensor, ...], shape: tuple[int, ...]) -> Tensor:
    """A recipe applied to gradients, recorded if gradients are being recorded."""
    from .row import edges_of
    from .tensor import wrap

    values = tuple([tensor._value for tensor in inputs])
    value = recorded(recipe, values, params, shape, values[0].dtype)
    made = wrap(value, inputs[0]._dtype)
    edges = edges_of(inputs)
    if edges is not None:
        made._grad_fn = node_class(name)(recipe, params, tuple([absent(v) for v in values]), (absent(value),), edges,
                                         ((made._shape, made._dtype),))
    return made
