"""The backward pass of a scalar over records alone: one evaluation of value and gradients together, found by their structure.

It does what the engine does where nobody looks: no hooks, no kept gradients, everything below was made by records, nothing was
written to since. Wherever that does not hold, the engine takes over.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from sys import getrefcount
from typing import Any

import numpy as np

from ...compiler.ir import Node as IRNode, constant
from .evaluate import array_of, give, recording
from .look import KNOWN, Plan, Plans, compute, numbers_apart, run_values
from .modes import no_grad, state
from .node import AccumulateGrad, accumulated, plain
from .records import Held, Number, Ready, Record, Spent, aval_of
from .tape import known_storage, node_of, value_of
from .tensor import Tensor, accumulator, wrap
from .value import Array, Recipe, Shape, Value, leaf, pending

_new = object.__new__
ENGINE_SECONDS = 2e-5  # for each record, of a backward pass by the engine


class _One(Recipe):
    """The cotangent of a scalar."""

    __slots__ = ()

    def emit(self, nodes: Sequence[IRNode], masks: Sequence[IRNode | None], params: tuple[Any, ...], index: int
             ) -> tuple[IRNode, IRNode | None]:
        shape, dtype = params
        return constant(1, np.dtype(dtype), shape), None


ONE = _One()
_plans = Plans()


def backward(root: Tensor, keep_graph: bool | None) -> bool:
    """Add the gradients of a scalar tensor to the leaves below; False where the engine has to (which says what is wrong)."""
    found = _arrived(root._record, keep_graph, None)
    if found is None:
        return False
    for held, result in found:
        _accumulate(held, result)
    return True


def gradients(root: Tensor, targets: Sequence[Any], keep_graph: bool | None) -> dict[int, Tensor] | None:
    """The gradients of a scalar tensor with respect to all leaves below, which `targets` are, by position, those that are reached; None
    where the engine has to.
    """
    found = _arrived(root._record, keep_graph, targets)
    if found is None:
        return None
    made: dict[int, Tensor] = {}
    for held, result in found:
        tensor = held.tensor()
        made |= {k: _ready(held, result) for k, target in enumerate(targets) if target is tensor}
    return made


MOST_ROWS = 128  # of a Jacobian in one program, times its records


def jacobian(root: Tensor, targets: Sequence[Tensor]) -> list[Tensor] | None:
    """The Jacobians, (shape of root, shape of target), with respect to all leaves below, which `targets` are; None where the engine
    has to make them row by row. The graph is kept.
    """
    record = root._record
    if type(record) is not Record or not record.aval.needs or not 0 < math.prod(record.aval.shape) <= MOST_ROWS:
        return None
    found = _arrived(record, True, targets, _unit_vectors(record.aval.shape, record.aval.numpy))
    if found is None:
        return None
    rows: dict[Any, list[Any]] = {}
    for held, result in found:
        rows.setdefault(held.tensor(), []).append(result)
    made = []
    for target in targets:
        shape = (*record.aval.shape, *target._shape)
        known = rows.get(target)
        made.append(wrap(leaf(np.zeros(shape, target._value.dtype) if known is None else np.stack(known).reshape(shape)), target._dtype))
    return made


@lru_cache(maxsize=64)
def _unit_vectors(shape: Shape, dtype: np.dtype[Any]) -> list[Array]:
    """For each element of such an array, the array that is one there and zero elsewhere."""
    return [*np.eye(math.prod(shape), dtype=dtype).reshape(-1, *shape)]


def _ready(held: Held, result: Any) -> Tensor:
    aval = held.aval.gradient
    if aval is None:
        aval = held.aval.gradient = aval_of(held.aval.shape, held.aval.dtype, held.aval.numpy, False)
    made = _new(Tensor)
    made._record = Ready(aval, result)
    return made


def _arrived(record: Record, keep_graph: bool | None, targets: Sequence[Any] | None, cotangents: Sequence[Array] = ()
             ) -> list[tuple[Held, Any]] | None:
    """The gradients that arrive at leaves, which are all among the targets, of a scalar or for each of the cotangents in turn; None
    where that, or anything else, is for the engine.
    """
    if not (record.aval.scalar or cotangents) or state.anomaly or state.saved_hooks or recording.depth:
        return None
    found = _survey(record)
    if found is None:
        return None
    key, leaves, steps, outside, shared = found
    if targets is not None:
        wanted = set(map(id, targets))
        if wanted != {id(held.tensor()) for held in leaves if type(held) is Held and held.aval.needs}:
            return None
    if cotangents:
        if len(cotangents) * len(steps) > MOST_ROWS:
            return None
        key = (len(cotangents), *key)
    plan = _plans[key]
    if plan.run is not None:
        if cotangents:
            arrays = [*[item.value.array for item in leaves], *cotangents]
            results = plan.run(*[arrays[k] for k in plan.sources])
        else:
            results = plan.run(*[leaves[k].value.array for k in plan.sources])
    else:
        if not numbers_apart(steps):
            return None
        values = [id(item.value) for item in leaves if type(item) is not Number]
        if len(set(values)) < len(values):
            return None  # one Value under two names would be one argument of the program
        del found, leaves, steps, outside, shared
        found = _survey(record)  # with the numbers that are apart now
        if found is None:
            return None
        _, leaves, steps, outside, shared = found
        results = _recorded(record, leaves, steps, outside, plan, cotangents)
    arrived: list[tuple[Held, Any]] = []
    for position, result in zip(plan.targets, results, strict=True):
        if position >= 0:
            arrived.append((leaves[position], result))
        else:
            _set_value(outside[-1 - position], result)
    if not keep_graph:
        _free(steps, shared)
    pending.count = 0.0
    return arrived


def _survey(root: Record) -> tuple[Any, list[Any], list[Record], list[Record], list[Record]] | None:
    """Of all that a tensor was made from: the structure with sizes, the leaves, the records, and those among them that something
    outside refers to (the root is one), first those that have no value yet, then all. None where there is something unusual.
    """
    index: dict[Any, int] = {}
    again: dict[Any, int] = {}
    key: list[Any] = []
    leaves: list[Any] = []
    steps: list[Record] = []
    waiting: list[Record] = []
    stack: list[Any] = [root]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is Number:
            key.append(item.aval)
            leaves.append(item)
            continue
        at = index.get(item)
        if at is not None:
            key.append(at)
            if kind is Record:
                again[item] = again.get(item, 0) + 1
            continue
        index[item] = len(index)
        if kind is Record:
            if item.freed or (item.node is not None and (item.node.extras is not None or item.node.inputs is None)):
                return None
            entry = item.entry
            key.append(entry)
            value = item.value
            if item.storage is not None and entry.place is None:
                storage = known_storage(item)
                if storage is not None and not storage.has(item):
                    return None
            if value is not None:
                if value.array is None and not item.aval.needs:
                    array_of(value)
                if value.array is not None:
                    if value.mask is not None:
                        return None
                    key.append(KNOWN)
                    leaves.append(item)
                    if not item.aval.needs:
                        continue
            steps.append(item)
            stack += item.inputs
        elif kind is Held:
            if not _usual(item):
                return None
            contents = item.contents
            if type(contents) is Record and contents.value is None:
                waiting.append(contents)
            key.append(item.aval)
            leaves.append(item)
        else:
            return None
    if waiting:
        before = [rec.value for rec in steps]
        compute(list(dict.fromkeys(waiting)))
        if [rec.value for rec in steps] != before:
            del index, again, key, leaves, steps, stack, item
            return _survey(root)  # which depends on what has a value
    outside: list[Record] = []
    shared: list[Record] = []
    for item in steps:
        # besides those outside: `index`, `steps`, `item`, getrefcount's argument, and the steps that it is an input of
        if item is root or getrefcount(item) > 5 + again.get(item, 0):
            shared.append(item)
            if item.value is None or item.value.array is None:
                key.append(index[item])
                outside.append(item)
    return tuple(key), leaves, steps, outside, shared


def _usual(held: Held) -> bool:
    """Whether a leaf is what it was, and nothing is to be called when its gradient arrives."""
    tensor, storage, contents = held.tensor(), held.storage, held.contents
    if (tensor is None or held.counter.version != held.version or held.maker is not None or tensor._storage is not storage
            or tensor._requires_grad is not held.aval.needs or not ((storage.record or storage.value) is contents or held.stands)):
        return False
    meta = tensor._meta
    if meta is not None and held.aval.needs:
        if meta.hooks or meta.post_hooks:
            return False
        node: AccumulateGrad | None = None if meta.accumulator is None else meta.accumulator()
        if node is not None and node.extras is not None:
            return False
    if (type(contents) is not Record or contents.value is not None) and held.value.array is None:
        array_of(held.value)
    return True


def _recorded(root: Record, leaves: Sequence[Any], steps: Sequence[Record], outside: Sequence[Record], plan: Plan,
              cotangents: Sequence[Array]) -> list[Any]:
    """The values that are looked at and the gradients, by way of the engine; the plan learns how."""
    from .engine import gradients_at

    targets = [k for k, item in enumerate(leaves) if type(item) is Held and item.aval.needs]
    node = node_of(root)
    aval = root.aval
    if cotangents:
        cts = [wrap(leaf(array), aval.dtype) for array in cotangents]
    else:
        cts = [wrap(Value(ONE, (), (aval.shape, aval.numpy.name), aval.shape, aval.numpy), aval.dtype)]
    edges = [(accumulator(leaves[k].tensor()), 0) for k in targets]
    pending.later = True
    try:
        rows = [gradients_at((node, 0), ct, edges) for ct in cts]
    finally:
        pending.later = False
    reached = [k for k in range(len(targets)) if k in rows[0]]
    values = [*map(value_of, outside), *(plain(found[k]._value) for found in rows for k in reached)]
    plan.targets = (*range(-1, -1 - len(outside), -1), *(targets[k] for _ in rows for k in reached))
    inputs = [item.value for item in leaves]
    if cotangents:
        inputs += [ct._value for ct in cts]
    return run_values(values, inputs, plan, ENGINE_SECONDS * len(steps) * len(cts))


def _set_value(record: Record, result: Any) -> None:
    """What a program has computed for a record."""
    value = record.value
    if value is None:
        record.value = leaf(np.asarray(result))
    elif value.array is None:
        give([value], [result], (None,))


def _accumulate(held: Held, result: Any) -> None:
    """What `AccumulateGrad` does without hooks."""
    tensor = held.tensor()
    known = tensor._grad
    if known is None:
        tensor._grad = _ready(held, result)
        return
    from .inplace import overwrite

    if type(known._record) is Ready:
        known._storage  # noqa: B018  (makes it)
    if known._meta is None and known._dtype is held.aval.dtype and known._storage.memory is None and known._geometry is None:
        overwrite(known, leaf(np.asarray(known._array() + result)))
        return
    with no_grad():
        total = accumulated(known, wrap(leaf(np.asarray(result)), held.aval.dtype))._value
    array_of(total)
    overwrite(known, total)


def _spent(held: Held) -> Spent:
    made = held.spent = Spent(held)
    return made


def _free(steps: Sequence[Record], shared: Sequence[Record]) -> None:
    """Forget what only the backward pass needs: all that is wanted of the forward pass has its value by now."""
    for rec in steps:
        if not rec.aval.needs:
            if rec.value is not None and rec.entry.place is None:
                rec.inputs = rec.kept = ()
            continue
        rec.freed = True
        if rec.value is not None and rec not in shared:
            rec.value = rec.storage = None
        inputs = rec.inputs
        if len(inputs) == 2:  # a comprehension takes as long as all that is done here
            a, b = inputs
            rec.inputs = (a.spent or _spent(a)) if type(a) is Held else a, (b.spent or _spent(b)) if type(b) is Held else b
        else:
            rec.inputs = tuple([i.spent or _spent(i) if type(i) is Held else i for i in inputs])
        if rec.node is not None:
            rec.node.release()
