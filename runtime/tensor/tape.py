"""The tape: what the common operations leave behind, and how tensors, Values and grad_fns are made of it when they are asked for.

An operation in grad mode makes two small objects: a `Tensor` without contents, and its `Record` (which operation, on which
records). Storage, Value and grad_fn of the tensor are made by `Tensor.__getattr__` the first time that something reads them;
a backward pass over records alone (`plan`) needs none of them.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from ..torch_types import dtype as Dtype, from_numpy_dtype
from .evaluate import evaluate
from .geometry import contiguous_strides
from .modes import INFERENCE, RECORDING, state
from .node import Edge, OpNode, Saved, _sequence, node_class
from .records import MOST_ENTRIES, Aval, Entry, Held, Number, Ready, Record, Spent, aval_of, entry_of
from .storage import Counter, Storage
from .tensor import Tensor, accumulator
from .value import MAX_PENDING, Shape, Value, absent_of, evaluate_now, leaf, pending

if TYPE_CHECKING:
    from .row import Row

_new = object.__new__


# ------------------------------------------------------------------------------------------------ records of tensors
def number_of(number: Any, aval: Aval) -> Number:
    """The record of a Python number beside a tensor."""
    found = aval.numbers.get(number)
    if found is None or number == 0:  # 0.0 and -0.0 are equal keys
        from .value import scalar

        if len(aval.numbers) > 1000:
            aval.numbers.clear()
        found = aval.numbers[number] = number_record(scalar(number, aval.numpy))
    return found


def number_record(value: Value) -> Number:
    """The record of a 0-d Value."""
    return Number(aval_of((), from_numpy_dtype(value.dtype), value.dtype, False), value)


def current(tensor: Tensor) -> Any:
    """The record of a tensor as it is now, a `Record` or a `Held`; None where it must not be recorded by one."""
    found = tensor._record
    if type(found) is Record:
        if not found.freed and stands(tensor, found):
            return found
    elif type(found) is Held and found.counter.version == found.version:
        storage = found.storage
        if (storage.record or storage.value) is found.contents or found.stands:
            return found
    return _hold(tensor)


def stands(tensor: Tensor, record: Record) -> bool:
    """Whether a record still says what its tensor is: it was not written to since."""
    if record.entry.place is not None:
        return shows(tensor, record)
    return not record.freed if record.value is None else tensor._value is record.value


def shows(view: Tensor, record: Record) -> bool:
    """Whether a view's contents are still those that its record says: its storage has not been written to since.

    What is left of a base that no record made, after a backward pass, does not say.
    """
    base = _base(record)
    return type(base) is not Spent and view._storage.has(base if type(base) is Record else base.contents)


def _hold(tensor: Tensor) -> Held | None:
    maker = tensor.grad_fn
    needs = tensor._requires_grad or maker is not None
    meta = tensor._meta
    geometry = tensor._geometry
    record = tensor._storage.record if geometry is None else None
    if record is not None:
        numpy, live = record.aval.numpy, False
    else:
        value = tensor._value
        if value.mask is not None or (needs and geometry is not None):
            return None
        numpy, live = value.dtype, value.live
    strides = None if geometry is None or geometry.strides == contiguous_strides(tensor._shape) else geometry.strides
    inference = meta is not None and meta.inference
    held = Held(aval_of(tensor._shape, tensor._dtype, numpy, needs, live, inference, strides), tensor, maker)
    if record is None:
        held.value = value
    known = tensor._record
    if type(known) is not Record or not known.aval.needs:
        tensor._record = held
    return held


def leave(tensor: Tensor) -> None:
    """Make everything about a tensor that its record stands for, since the two are going to part."""
    if type(tensor._record) is Record:
        tensor._grad_fn, tensor._storage  # noqa: B018  (makes them)
    tensor._record = None


# ------------------------------------------------------------------------------------------------ recording
def record(row: Row, inputs: Sequence[Any], params: tuple[Any, ...], shape: Shape, dtype: Dtype, numpy: np.dtype[Any], name: str
           ) -> Tensor | None:
    """The result of an operation, recorded; None where that needs more than a record."""
    step = step_of(row, inputs, params, shape, dtype, numpy, name)
    if step is None:
        return None
    made = _made(*step)
    if any([item.aval.live for item in step[1]]):
        evaluate_now(value_of(made._record))
    return made


def step_of(row: Row, inputs: Sequence[Any], params: tuple[Any, ...], shape: Shape, dtype: Dtype, numpy: np.dtype[Any], name: str
            ) -> tuple[Entry, tuple[Any, ...], tuple[Tensor | None, ...]] | None:
    """An operation as a kind of step, the records of its inputs, and the tensors that have to be kept; None where that is not enough."""
    records: list[Any] = []
    kind = state.kind
    needs = inference = False
    for item in inputs:
        found = current(item) if isinstance(item, Tensor) else number_record(item)
        if found is None:
            return None
        needs, inference = needs or found.aval.needs, inference or found.aval.inference
        records.append(found)
    if kind == RECORDING and needs and row.backward and dtype.is_floating_point:
        if inference:
            return None  # which is refused where something is saved
    else:
        needs = False
    result = aval_of(shape, dtype, numpy, needs, False, kind == INFERENCE)
    entry = entry_of(row, params, tuple([r.aval for r in records]), result, name or row.backward, None)
    return entry, tuple(records), tuple([item if type(found) is Held else None for item, found in zip(inputs, records, strict=True)])


def _made(entry: Entry, inputs: tuple[Any, ...], kept: tuple[Tensor | None, ...]) -> Tensor:
    """A tensor that is the result of a step."""
    out = _new(Tensor)
    rec = out._record = _new(Record)  # as `waiting` makes it, without its call
    rec.entry = entry
    rec.aval = entry.aval
    rec.inputs = inputs
    rec.kept = kept
    rec.sequence = next(_sequence)
    rec.ref = ref(out)
    rec.value = rec.storage = rec.node = None
    rec.freed = False
    pending.count = count = pending.count + entry.weight
    if count > MAX_PENDING:
        evaluate([value_of(rec)])
    return out


def waiting(entry: Entry, inputs: tuple[Any, ...], kept: tuple[Tensor | None, ...]) -> Record:
    """The record of a step; its tensor is to be said."""
    rec = _new(Record)
    rec.entry = entry
    rec.aval = entry.aval
    rec.inputs = inputs
    rec.kept = kept
    rec.sequence = next(_sequence)
    rec.value = rec.storage = rec.node = None
    rec.freed = False
    pending.count += entry.weight
    return rec


def record_of_view(base: Any, source: Tensor, out: Tensor, row: Row, params: tuple[Any, ...], name: str) -> None:
    """Let a record stand for what a view of a recorded tensor shows, and for its grad_fn."""
    geometry = out._geometry
    assert geometry is not None
    needs = state.kind == RECORDING and base.aval.needs and out._dtype.is_floating_point
    strides = None if geometry.strides == contiguous_strides(out._shape) else geometry.strides
    aval = aval_of(out._shape, out._dtype, base.aval.numpy, needs, False, base.aval.inference, strides)
    rec = _new(Record)
    rec.entry = entry_of(row, params, (base.aval,), aval, name or row.backward, (geometry.strides, geometry.offset))
    rec.aval, rec.inputs, rec.sequence, rec.ref = aval, (base,), next(_sequence), ref(out)
    rec.kept = (source if type(base) is Held else None,)
    rec.value, rec.storage, rec.node, rec.freed = None, ref(out._storage), None, False
    out._record = rec
    if needs:
        del out._grad_fn


# ------------------------------------------------------------------------------------------------ made when asked for
def fill(tensor: Tensor, name: str) -> Any:
    """What `Tensor.__getattr__` gives for a slot that is empty: made of the tensor's record, with all the others.

    Raises:
        AttributeError: tensors have no such attribute.
    """
    if name == "_record":
        tensor._record = None
        return None
    if name not in _FILLED:
        raise AttributeError(f"'{type(tensor).__name__}' object has no attribute '{name}'", name=name, obj=tensor)
    found = tensor._record
    if name in ("_shape", "_dtype"):  # asked for often, and nothing has to be made for them
        tensor._shape, tensor._dtype = found.aval.shape, found.aval.dtype
        return getattr(tensor, name)
    aval = found.aval
    if name == "_grad_fn":
        tensor._grad_fn = node = node_of(found) if aval.needs else None
        return node
    if type(found) is Ready:
        storage = Storage(None)
        storage.value = leaf(np.asarray(found.array))
        tensor._record = None
    else:
        storage = storage_of(found)
    if not aval.needs:
        tensor._grad_fn = None
    tensor._storage = tensor._counter = storage
    tensor._geometry = tensor._cache = tensor._cached = tensor._grad = tensor._meta = None
    tensor._shape, tensor._dtype = aval.shape, aval.dtype
    tensor._requires_grad = False
    tensor._output_nr = 0
    if aval.inference:
        tensor._ensure_meta().inference = True
    return getattr(tensor, name)


_FILLED = frozenset({"_cache", "_cached", "_counter", "_dtype", "_geometry", "_grad", "_grad_fn", "_meta", "_output_nr", "_requires_grad",
                     "_shape", "_storage"})


def value_of(item: Any) -> Value:
    """The Value of a record, pending where it was not computed yet."""
    if item.value is None:
        stack = [item]
        while stack:
            rec = stack[-1]
            waiting = [i for i in rec.inputs if i.value is None]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            if rec.value is None:
                entry = rec.entry
                rec.value = Value(entry.row, tuple([i.value for i in rec.inputs]), entry.params, entry.aval.shape, entry.aval.numpy)
                if not entry.aval.needs and entry.place is None:
                    rec.inputs = rec.kept = ()
    return item.value  # type: ignore[no-any-return]


def made_of_record(storage: Storage, name: str) -> Value:
    """The value of a storage, where it has to be made first."""
    if name != "value":
        raise AttributeError(name)
    record = storage.record
    storage.replace(value_of(record))
    if type(record.storage) is ref:
        record.storage = storage
    return storage.value


def made_of_contents(held: Held, name: str) -> Value:
    """The value of a `Held`, where it has to be made first."""
    if name != "value":
        raise AttributeError(name)
    held.value = value_of(held.contents)
    return held.value


# Looked up where a slot is empty; set here, since the classes know nothing of records, and an import at each call would cost more.
Tensor.__getattr__ = fill  # type: ignore[method-assign]
Storage.__getattr__ = made_of_record  # type: ignore[method-assign]
Held.__getattr__ = made_of_contents  # type: ignore[method-assign]


def storage_of(rec: Record) -> Storage:
    """The storage of a recorded tensor."""
    storage = known_storage(rec)
    if storage is None:
        storage = Storage(rec)
        if rec.value is None:
            rec.storage = ref(storage)  # which refers to the record
        else:
            storage.value, storage.record = rec.value, None
            rec.storage = storage
    return storage


def known_storage(rec: Record) -> Storage | None:
    """The storage of a recorded tensor, if it was made and is still there."""
    storage = rec.storage
    return storage() if type(storage) is ref else storage


def tensor_of(rec: Record, position: int) -> Tensor:
    """The tensor that was an input of a record; if that is gone, another one in its place."""
    item = rec.inputs[position]
    if type(item) is not Record:
        return rec.kept[position]  # type: ignore[return-value]
    found: Tensor | None = item.ref()
    if found is None:
        from .row import alias_view

        entry = item.entry
        if entry.place is None:
            found = _new(Tensor)
        else:
            found = alias_view(tensor_of(item, 0), entry.row, entry.params, entry.aval.shape, *entry.place)
            del found._grad_fn
        found._record = item
        item.ref = ref(found)
    return found


def _base(item: Any) -> Any:
    """The record whose memory a recorded tensor shows: of a view, its base's."""
    while type(item) is Record and item.entry.place is not None:
        item = item.inputs[0]
    return item


def _version(item: Any) -> int:
    """The version that a tensor had when it was recorded."""
    base = _base(item)
    return 0 if type(base) is Record else base.version


def _counter(item: Any) -> Counter:
    """What counts the in-place operations on a recorded tensor."""
    base = _base(item)
    return storage_of(base) if type(base) is Record else base.counter


def node_of(item: Record) -> OpNode:
    """The grad_fn of a recorded tensor."""
    stack = [item]
    while stack:
        rec = stack[-1]
        waiting = [i for i in rec.inputs if type(i) is Record and i.aval.needs and i.node is None]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        if rec.node is None:
            rec.node = _node(rec)
    assert item.node is not None
    return item.node


def _edge(item: Any, tensor: Tensor | None) -> Edge | None:
    if not item.aval.needs:
        return None
    if type(item) is Record:
        assert item.node is not None
        return item.node, 0
    assert tensor is not None
    return (accumulator(tensor), 0) if item.maker is None else (item.maker, tensor._output_nr)


def _node(rec: Record) -> OpNode:
    entry = rec.entry
    row, aval = entry.row, entry.aval
    edges = tuple([_edge(i, tensor) for i, tensor in zip(rec.inputs, rec.kept, strict=True)])
    if rec.freed:
        result, values = absent_of(aval.shape, aval.numpy), tuple([absent_of(i.aval.shape, i.aval.numpy) for i in rec.inputs])
    else:
        result, values = value_of(rec), tuple([value_of(i) for i in rec.inputs])
    node = node_class(entry.name)(row, entry.params, values, (result,), edges, ((aval.shape, aval.dtype),))
    node.sequence = rec.sequence
    if row.numbers:
        node.numbers = [k for k, item in enumerate(rec.inputs) if type(item) is Number]
    node.keeps, node.whole = entry.keeps, not rec.freed
    if rec.freed:
        node.release()
    elif entry.keeps:
        node.saved = _saved(rec, edges)
    return node


def _saved(rec: Record, edges: Sequence[Edge | None]) -> tuple[Saved, ...]:
    """What the version check has to know."""
    found = []
    inputs = rec.inputs
    for name, position, is_result, wanted in rec.entry.row.saved_among(len(inputs)):
        if (wanted is not None and edges[wanted] is None) or (not is_result and position >= len(inputs)):
            continue
        item = rec if is_result else inputs[position]
        if type(item) is Number:
            continue
        tensor = None if is_result else tensor_of(rec, position)
        storage = storage_of(rec) if tensor is None else tensor._storage
        counter = storage if tensor is None else tensor._counter
        known = known_storage(item) if type(item) is Record else None
        if known is not None:
            storage, counter = known, _counter(item)  # the tensor may have got another one by `.data = ...`
        found.append(Saved(name, counter, _version(item), storage, item.aval.shape, item.aval.dtype, tensor,
                           0 if tensor is None else tensor._output_nr, position))
    return tuple(found)


# ------------------------------------------------------------------------------------------------ the short way
def quick_binary(row: Row, slow: Any) -> Any:
    """An operator of two operands: where a call of the same kind was made before, without its rule.

    `slow` takes every other call.
    """
    tables: Sequence[dict[Any, Entry]] = row.quick

    def apply(self: Tensor, other: Any) -> Any:
        a = self._record
        if type(a) is not Record or a.value is not None or a.entry.place is not None:
            a = current(self)
        kind = type(other)
        if isinstance(other, Tensor) and a is not None:
            b = other._record
            if type(b) is not Record or b.value is not None or b.entry.place is not None:
                b = current(other)
            entry = None if b is None else tables[state.kind].get((a.aval, b.aval))
        elif (kind is float or kind is int) and a is not None:
            entry = tables[state.kind].get((a.aval, kind))
            if entry is not None:
                b = number_of(other, a.aval)
        else:
            entry = None
        if entry is None:
            looks = pending.looks
            made = slow(self, other)
            if a is not None and type(made) is Tensor and pending.looks == looks:
                _learn(row, a, other, made)
            return made
        return _made(entry, (a, b), (self if type(a) is Held else None, other if type(b) is Held else None))

    return apply


def quick_power(row: Row, slow: Any) -> Any:
    """The same of a tensor and a constant exponent, which is a parameter of the row."""
    tables: Sequence[dict[Any, Entry]] = row.quick

    def apply(self: Tensor, other: Any) -> Any:
        kind = type(other)
        a = None
        if kind is int or kind is float:
            a = self._record
            if type(a) is not Record or a.value is not None or a.entry.place is not None:
                a = current(self)
        entry = None if a is None else tables[state.kind].get((a.aval, other, kind))
        if entry is None:
            made = slow(self, other)
            if a is not None and type(made) is Tensor:
                _learn(row, a, None, made, (a.aval, other, kind))
            return made
        return _made(entry, (a,), (self if type(a) is Held else None,))

    return apply


def _learn(row: Row, a: Any, other: Any, made: Tensor, key: Any = None) -> None:
    """Remember what an ordinary call has made, if it was a record of this row on just these operands, of a floating dtype."""
    rec = made._record
    table: dict[Any, Entry] = row.quick[state.kind]
    if type(rec) is not Record or rec.entry.row is not row or rec.value is not None or a.aval.live or not a.aval.dtype.is_floating_point:
        return
    kinds = tuple([i.aval for i in rec.inputs])
    if key is None and other is not None:
        if len(kinds) != 2 or kinds[0] is not a.aval:
            return
        if isinstance(other, Tensor):
            if kinds[1].live or not kinds[1].dtype.is_floating_point:
                return
            key = kinds
        elif kinds[1].dtype is a.aval.dtype:
            key = (a.aval, type(other))
    elif len(kinds) != 1:
        return
    elif key is None:
        key = a.aval
    if key is not None and kinds[0] is a.aval:
        if len(table) > MOST_ENTRIES:
            table.clear()
        table[key] = rec.entry
