"""Contents that are looked at: what was recorded below is computed in one go, by the program that did it the last time.

Operations that nobody differentiates leave records, like those in a graph. When a tensor is looked at, the structure of what leads to it is
the key of a plan: a compiled program, where its arguments are, and which records get its results.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from .evaluate import array_of, give, interpret, pending_below, program_of, recording
from .records import Held, Number, Record
from .structure import structure_of
from .tape import shows, value_of
from .tensor import Tensor
from .value import Array, NumberValue, Value, leaf, own, pending

__all__ = ["KNOWN", "Plan", "Plans", "compute", "look", "numbers_apart", "run_values"]

MOST_PLANS = 1024
KNOWN = "known"


class Plan:
    """What evaluations or backward passes of one structure and of certain sizes run.

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


class Plans(OrderedDict[Any, Plan]):
    """Plans by structure, the first of which are given up where there are too many."""

    def __missing__(self, key: Any) -> Plan:
        made = self[key] = Plan()
        if len(self) > MOST_PLANS:
            self.popitem(last=False)
        return made


_plans = Plans()


def look(tensor: Tensor, record: Record) -> Array:
    """The contents of a tensor whose record has no value yet."""
    if record.entry.place is not None and not shows(tensor, record):
        return array_of(tensor._value)
    compute([record])
    return record.value.array  # type: ignore[union-attr, return-value]


def compute(roots: Sequence[Record]) -> None:
    """Give records their values, and everything below that something else refers to."""
    if len(roots) == 1 and _computed_alone(roots[0]):
        return
    found = None if recording.depth else _survey(roots)
    if found is None:
        for root in roots:
            array_of(value_of(root))
        return
    key, leaves, steps, wanted = found
    plan = _plans[key]
    if plan.run is not None:
        results = plan.run(*[leaves[k].value.array for k in plan.sources])
        for rec, result in zip(wanted, results, strict=True):
            rec.value = leaf(np.asarray(result))
    else:
        numbers_apart(steps)
        del found, leaves, steps, wanted
        _, leaves, steps, wanted = _survey(roots)  # type: ignore[misc]  # with the numbers that are apart now
        values = [value_of(rec) for rec in wanted]
        run_values(values, [item.value for item in leaves], plan, 0.0)
    if len(steps) == 1 and len(leaves) == len(steps[0].inputs) and plan.run is not None:
        steps[0].entry.single = plan
    for rec in wanted:
        if not rec.aval.needs and rec.entry.place is None:
            rec.inputs = rec.kept = ()
    pending.count = 0.0


def _computed_alone(root: Record) -> bool:
    """Compute a record whose inputs are known, as others of its kind were."""
    plan = root.entry.single
    inputs = root.inputs
    if plan is None or root.freed or root.value is not None:
        return False
    arrays = []
    for item in inputs:
        if type(item) is Held and item.waiting is not None:
            return False
        value = item.value
        if value is None or value.array is None:
            return False
        arrays.append(value.array)
    if len(arrays) != len(set(map(id, arrays))):
        return False
    arrays.reverse()  # as leaves are found
    root.value = leaf(np.asarray(plan.run(*[arrays[k] for k in plan.sources])[0]))
    if not root.aval.needs and root.entry.place is None:
        root.inputs = root.kept = ()
    return True


def _survey(roots: Sequence[Record]) -> tuple[Any, list[Any], list[Record], list[Record]] | None:
    """Of all that records are computed from: the structure with sizes, the leaves, the records without a value, and those of them that get
    one: what something else refers to; if a root is in a graph, all, for its backward pass. None where there is something unusual.
    """
    index: dict[Any, int] = {}
    again: dict[Any, int] = {}
    key: list[Any] = []
    leaves: list[Any] = []
    steps: list[Record] = []
    seen: set[int] = set()
    stack: list[Any] = [*roots]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is Held:
            waiting = item.waiting
            if waiting is not None:
                at = index.get(waiting)
                if at is not None:
                    key.append(at)
                    if item not in index:
                        index[item] = at
                        again[waiting] = again.get(waiting, 0) + 1
                    continue
                index[item] = len(index)
                item, kind = waiting, Record
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
        value = item.value
        if value is None:
            if kind is not Record or item.freed:
                return None
            key.append(item.entry)
            steps.append(item)
            stack += item.inputs
            continue
        if value.array is None:
            array_of(value)
        if kind is Record:
            if value.mask is not None:
                return None
            key.append(KNOWN)
        key.append(item.aval)
        leaves.append(item)
        if id(value) in seen:
            return None  # one Value under two names: the program would not tell them apart
        seen.add(id(value))
    wanted: list[Record] = []
    whole = any([root.aval.needs for root in roots])
    asked = set(roots)
    item = waiting = value = None
    for item in steps:
        # besides those outside: `index`, `steps`, `item`, getrefcount's argument, and the steps that it is an input of
        if whole or item in asked or getrefcount(item) > 5 + again.get(item, 0):
            key.append(index[item])
            wanted.append(item)
    return tuple(key), leaves, steps, wanted


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
