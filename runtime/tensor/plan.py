"""The backward pass of a scalar over records alone: one evaluation of value and gradients together, found by their structure.

It does what the engine does where nobody looks: no hooks, no kept gradients, everything below was made by records, nothing was
written to since. Wherever that does not hold, the engine takes over.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from ...compiler.ir import Node as IRNode, constant
from .evaluate import array_of, give, interpret, pending_below, program_of, recording
from .modes import no_grad, state
from .node import AccumulateGrad, accumulated, plain
from .records import Held, Number, Ready, Record, aval_of
from .structure import structure_of
from .tape import known_storage, node_of, value_of
from .tensor import Tensor, accumulator, wrap
from .value import NumberValue, Recipe, Value, leaf, own, pending

_new = object.__new__
MOST_PLANS = 1024
ENGINE_SECONDS = 2e-5  # for each record, of a backward pass by the engine
KNOWN = "known"


class _One(Recipe):
    """The cotangent of a scalar."""

    __slots__ = ()

    def emit(self, nodes: Sequence[IRNode], masks: Sequence[IRNode | None], params: tuple[Any, ...], index: int
             ) -> tuple[IRNode, IRNode | None]:
        shape, dtype = params
        return constant(1, np.dtype(dtype), shape), None


ONE = _One()


class Plan:
    """What backward passes of one structure and of certain sizes run.

    Attributes:
        run: the compiled program; None: not yet.
        sources: the leaves whose arrays it takes.
        targets: what gets its outputs: `k >= 0` is the `.grad` of a leaf, `-1 - k` the value of a record that is looked at from outside.
    """

    __slots__ = ("run", "sources", "targets")

    def __init__(self) -> None:
        self.run: Any = None
        self.sources: tuple[int, ...] = ()
        self.targets: tuple[int, ...] = ()


_plans: OrderedDict[Any, Plan] = OrderedDict()


def backward(root: Tensor, keep_graph: bool | None) -> bool:
    """Add the gradients of a scalar tensor to the leaves below; False where the engine has to (which says what is wrong)."""
    record = root._record
    if not record.aval.scalar or state.anomaly or state.saved_hooks or recording.depth:
        return False
    found = _survey(record)
    if found is None:
        return False
    key, leaves, steps, outside, shared = found
    plan = _plans.get(key)
    if plan is None:
        plan = _plans[key] = Plan()
        if len(_plans) > MOST_PLANS:
            _plans.popitem(last=False)
    if plan.run is not None:
        results = plan.run(*[leaves[k].value.array for k in plan.sources])
    else:
        if not numbers_apart(steps):
            return False
        del found, leaves, steps, outside, shared
        _, leaves, steps, outside, shared = _survey(record)  # type: ignore[misc]  # with the numbers that are apart now
        results = _recorded(record, leaves, steps, outside, plan)
    for position, result in zip(plan.targets, results, strict=True):
        if position >= 0:
            _accumulate(leaves[position], result)
        else:
            _set_value(outside[-1 - position], result)
    if not keep_graph:
        _free(steps, shared)
    pending.count = 0.0
    return True


def _survey(root: Record) -> tuple[Any, list[Any], list[Record], list[Record], list[Record]] | None:
    """Of all that a tensor was made from: the structure with sizes, the leaves, the records, and those among them that something
    outside refers to (the root is one), first those that have no value yet, then all. None where there is something unusual.
    """
    index: dict[Any, int] = {}
    again: dict[Any, int] = {}
    key: list[Any] = []
    leaves: list[Any] = []
    steps: list[Record] = []
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
            again[item] = again.get(item, 0) + 1
            continue
        index[item] = len(index)
        if kind is Record:
            if item.freed or (item.node is not None and (item.node.extras is not None or item.node.inputs is None)):
                return None
            entry = item.entry
            key.append(entry)
            value = item.value
            if value is not None:
                storage = known_storage(item)
                if storage is not None and storage.value is not value and entry.place is None:
                    return None
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
            key.append(item.aval)
            leaves.append(item)
        else:
            return None
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
    tensor = held.tensor()
    if tensor is None:
        return False
    if held.counter.version != held.version or held.maker is not None or tensor._requires_grad is not held.aval.needs:
        return False
    meta = tensor._meta
    if meta is not None and held.aval.needs:
        if meta.hooks or meta.post_hooks:
            return False
        node: AccumulateGrad | None = None if meta.accumulator is None else meta.accumulator()
        if node is not None and node.extras is not None:
            return False
    if held.value.array is None:
        array_of(held.value)
    return held.storage.value is held.contents and tensor._storage is held.storage


def _recorded(root: Record, leaves: Sequence[Any], steps: Sequence[Record], outside: Sequence[Record], plan: Plan) -> list[Any]:
    """The values that are looked at and the gradients, by way of the engine; the plan learns how."""
    from .engine import gradients_at

    targets = [k for k, item in enumerate(leaves) if type(item) is Held and item.aval.needs]
    node = node_of(root)
    aval = root.aval
    one = wrap(Value(ONE, (), (aval.shape, aval.numpy.name), aval.shape, aval.numpy), aval.dtype)
    edges = [(accumulator(leaves[k].tensor()), 0) for k in targets]
    pending.later = True
    try:
        found = gradients_at((node, 0), one, edges)
    finally:
        pending.later = False
    reached = [k for k in range(len(targets)) if k in found]
    values = [*map(value_of, outside), *(plain(found[k]._value) for k in reached)]
    plan.targets = (*range(-1, -1 - len(outside), -1), *(targets[k] for k in reached))
    return run_values(values, [item.value for item in leaves], plan, ENGINE_SECONDS * len(steps))


def run_values(values: Sequence[Value], inputs: Sequence[Value], plan: Plan, seconds: float) -> list[Any]:
    """The arrays of pending values; where a compiled program computed them, from the arrays of `inputs` alone, the plan learns how.

    Args:
        seconds: what recording them took, of which a compiled program is free.
    """
    order = pending_below(values)
    structure = structure_of(order)
    program = program_of(structure)
    tier = program.tier
    assert tier is not None
    position = {id(v): k for k, v in enumerate(order)}
    place = {id(v): k for k, v in enumerate(inputs)}
    if tier.due and all(id(v) in place for v in structure.leaves()) and all(id(v) in position for v in values):
        wanted = tuple([position[id(v)] for v in values])
        sources = tuple([place[id(v)] for v in structure.leaves()])
        arrays = [inputs[k].array for k in sources]
        compiled = tier.program(structure, wanted, arrays)  # type: ignore[arg-type]
        if compiled is not None:
            plan.sources, plan.run = sources, compiled.run
            results = list(compiled.run(*arrays))
            give(values, results, compiled.masks)
            return results[:len(values)]
    tier.uses += 1
    tier.spent += program.seconds + seconds
    interpret(structure, program, [v.array for v in structure.leaves()])  # type: ignore[misc]
    for v in values:
        own(v, structure.items)
    return [v.array for v in values]


def numbers_apart(steps: Sequence[Record]) -> bool:
    """Give every use of a Python number a Value of its own, as long as nothing was made of the shared ones."""
    seen: set[int] = set()
    for rec in steps:
        for k, item in enumerate(rec.inputs):
            if type(item) is Number:
                if id(item.value) in seen:
                    if rec.value is not None:
                        return False
                    value = NumberValue(None, (), (), item.value.shape, item.value.dtype)
                    value.array = item.value.array
                    rec.inputs = (*rec.inputs[:k], Number(item.aval, value), *rec.inputs[k + 1:])
                else:
                    seen.add(id(item.value))
    return True


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
        made = tensor._grad = _new(Tensor)
        made._record = Ready(aval_of(held.aval.shape, held.aval.dtype, held.aval.numpy, False), result)
        return
    from .inplace import overwrite

    with no_grad():
        total = accumulated(known, wrap(leaf(np.asarray(result)), held.aval.dtype))._value
    array_of(total)
    overwrite(known, total)


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
        rec.inputs = tuple([i if type(i) is Record else i.spent for i in rec.inputs])
        if rec.node is not None:
            rec.node.release()
