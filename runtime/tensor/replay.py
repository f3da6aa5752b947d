"""Functions that always do the same few operations on tensors: where a call of the same kind was made before, only their records.

A kind is what shapes, dtypes, layouts and all other arguments say. A call that looked at contents, or read anything but its arguments,
says nothing about others.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from ..torch_types import dtype as Dtype, get_default_dtype
from .modes import state
from .node import _sequence
from .records import MOST_ENTRIES, Entry, Held, Number, Record
from .tape import _made, current, leave, number_of, waiting
from .tensor import Tensor
from .value import MAX_PENDING, pending

__all__ = ["replayed", "replayed_in_place"]

# Operations in order, with their inputs: `k` is the k-th tensor or operand, `-1 - k` a step, anything else a number of the operation's own.
Steps = tuple[tuple[Entry, tuple[Any, ...]], ...]
MOST_STEPS = 12
_STRAIGHT = [tuple(range(n)) for n in range(16)]  # a step that takes the tensors and operands as they come
_new = object.__new__
_SIMPLE = frozenset({int, bool, str, type(None), Dtype})  # arguments that are part of a kind as they are


def replayed(slow: Callable[..., Any], operands: int = 0) -> Callable[..., Any]:
    """A function whose operations follow from the kinds of its arguments, by records where these were met before.

    `slow` takes every other call.

    Args:
        operands: how many of the first arguments are operands even where they are Python numbers, which are no part of the kind then.
    """
    tables: tuple[dict[Any, Steps], ...] = ({}, {}, {}, {})

    def apply(*args: Any, **kwargs: Any) -> Any:
        found = _kind_of(args, kwargs, operands)
        if found is None:
            return slow(*args, **kwargs)
        key, records, tensors = found
        table = tables[state.kind]
        steps = table.get(key)
        if steps is not None:
            return _recorded(steps, records, tensors)
        looks = pending.looks
        made = slow(*args, **kwargs)
        if type(made) is Tensor and pending.looks == looks:
            learnt = _steps(records, made._record)
            if learnt is not None and learnt[-1][0].place is None:
                _remember(table, key, learnt)
        return made

    return apply


def replayed_in_place(slow: Callable[..., Tensor], operands: int) -> Callable[..., Tensor]:
    """The same of an operation that writes its result to its first argument, outside of any graph."""
    tables: tuple[dict[Any, Steps], ...] = ({}, {}, {}, {})

    def apply(*args: Any, **kwargs: Any) -> Tensor:
        found = _kind_of(args, kwargs, operands)
        if found is None:
            return slow(*args, **kwargs)
        key, records, tensors = found
        self = args[0]
        in_graph = type(records[0]) is Record and records[0].aval.needs
        if in_graph or any([t is not None and t._geometry is not None for t in tensors]):
            return slow(*args, **kwargs)
        table = tables[state.kind]
        steps = table.get(key)
        if steps is not None:
            entry, places = steps[0]
            write(self, waiting(entry, *_inputs(places, records, tensors, [])))
            return self  # type: ignore[no-any-return]
        looks = pending.looks
        made = slow(*args, **kwargs)
        written = self._storage.record
        if made is self and written is not None and pending.looks == looks and type(self._record) is not Record:
            learnt = _steps(records, written)
            if learnt is not None and len(learnt) == 1:
                _remember(table, key, learnt)
        return made

    return apply


def _kind_of(args: tuple[Any, ...], kwargs: dict[str, Any], operands: int) -> tuple[Any, list[Any], list[Any]] | None:
    """The kind of a call, the records of its tensors and operands, and the tensors; None for a call that says nothing about others."""
    key: list[Any] = []
    records: list[Any] = []
    tensors: list[Any] = []
    for item in args:
        kind = type(item)
        if isinstance(item, Tensor):
            found = item._record
            if type(found) is not Record or found.value is not None or found.entry.place is not None:
                found = current(item)
                if found is None or found.aval.live:
                    return None
            key.append(found.aval)
            records.append(found)
            tensors.append(item)
        elif (kind is float or kind is int) and len(key) < operands and records and records[0].aval.dtype.is_floating_point:
            key.append(kind)
            records.append(number_of(item, records[0].aval))
            tensors.append(None)
        elif kind in _SIMPLE or (kind is float and item):
            key += kind, item
        elif kind is tuple and all([type(one) is int for one in item]):
            key.append(item)
        else:
            return None
    for name, item in kwargs.items():
        kind = type(item)
        if kind not in _SIMPLE and (kind is not float or not item):
            return None
        key += name, kind, item
    if not records or len(records) >= len(_STRAIGHT):
        return None
    if not records[0].aval.dtype.is_floating_point:
        key.append(get_default_dtype())  # which floats beside it are of
    return tuple(key), records, tensors


def _remember(table: dict[Any, Steps], key: Any, steps: Steps) -> None:
    if len(table) > MOST_ENTRIES:
        table.clear()
    table[key] = steps


MOST_WRITES = 32  # that wait, of one storage; so many are a program
MOST_WEIGHT = 8.0  # of a write that waits, about a megabyte: until it is computed, what is written to is in a cycle of references


def write(self: Tensor, record: Record) -> None:
    """Let a record say what the contents of a tensor are from now on; it is no view, and in no graph by the record."""
    storage = self._storage
    before = storage.record
    if before is None:
        del storage.value
    else:
        if type(before.storage) is ref:
            before.storage = storage  # so that it is known that the result was written to
        maker = before.ref()
        if maker is not None and maker is not self and maker._record is before:
            leave(maker)  # which shows what is written through an alias
    record.ref = _gone
    storage.writes = 1 if before is None or before.value is not None else storage.writes + 1
    storage.record = record
    self._counter.version += 1
    held = self._record
    self._record = held.after(record) if type(held) is Held else None
    if storage.writes >= MOST_WRITES or record.entry.weight > MOST_WEIGHT or pending.count > MAX_PENDING:
        from .look import compute

        compute([record])


def _recorded(steps: Steps, records: list[Any], tensors: list[Any]) -> Tensor:
    known: list[Any] = []
    for entry, places in steps[:-1]:
        rec = _new(Record)
        rec.entry, rec.aval, rec.sequence, rec.ref = entry, entry.aval, next(_sequence), _gone
        rec.inputs, rec.kept = _inputs(places, records, tensors, known)
        rec.value = rec.storage = rec.node = None
        rec.freed = False
        known.append(rec)
    entry, places = steps[-1]
    return _made(entry, *_inputs(places, records, tensors, known))


def _inputs(places: tuple[Any, ...], records: list[Any], tensors: list[Any], known: list[Any]) -> tuple[Any, tuple[Any, ...]]:
    """The records of a step's inputs, and the tensors that it has to keep."""
    if places is _STRAIGHT[len(records)]:
        return tuple(records), tuple([None if type(r) is Record else t for r, t in zip(records, tensors, strict=True)])
    inputs = []
    kept: list[Any] = []
    for k in places:
        if type(k) is Number:
            inputs.append(k)
            kept.append(None)
        elif k < 0:
            inputs.append(known[-1 - k])
            kept.append(None)
        else:
            found = records[k]
            inputs.append(found)
            kept.append(None if type(found) is Record else tensors[k])
    return tuple(inputs), tuple(kept)


def _gone() -> None:
    """Nobody has the tensor of a step in between, or of a write; it is made when it is asked for."""


def _steps(records: list[Any], made: Any) -> Steps | None:
    """What a call did, if it left records that lead to its arguments and to nothing else; None if not."""
    position: dict[Any, int] = {}
    numbers: dict[int, list[Any]] = {}
    for k, record in enumerate(records):
        if type(record) is Number:
            numbers[k] = [record.aval.numpy, record.value.array]
        elif position.setdefault(record, k) != k:
            return None  # one tensor in two places: a step does not say which place it read
    steps: list[tuple[Entry, tuple[Any, ...]]] = []
    stack = [made]
    while stack:
        item = stack[-1]
        if item in position:
            stack.pop()
            continue
        if type(item) is not Record or item.value is not None or len(stack) > MOST_STEPS or len(steps) == MOST_STEPS:
            return None
        waiting = [i for i in item.inputs if i not in position and type(i) is not Number]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        places: list[Any] = []
        for k, given in enumerate(item.inputs):
            if type(given) is not Number:
                places.append(position[given])
            elif numbers.get(k) == [given.aval.numpy, given.value.array]:
                places.append(k)
            elif numbers:
                return None
            else:
                places.append(given)
        straight = _STRAIGHT[len(records)]
        steps.append((item.entry, straight if tuple(places) == straight else tuple(places)))
        position[item] = -len(steps)
    if not steps or (numbers and (len(steps) > 1 or len(steps[0][1]) != len(records))):
        return None
    return tuple(steps)
