"""Contents that are looked at: what was recorded below is computed in one go, by the program that did it the last time.

Operations that nobody differentiates leave records, like those in a graph. When a tensor is looked at, the structure of what leads to it is
the key of a plan: a compiled program, where its arguments are, and which records get its results.
"""
from __future__ import annotations

from collections import OrderedDict
from sys import getrefcount
from typing import Any

import numpy as np

from .evaluate import array_of, recording
from .plan import KNOWN, MOST_PLANS, Plan, numbers_apart, run_values
from .records import Number, Record
from .tape import shows, value_of
from .tensor import Tensor
from .value import Array, leaf, pending

__all__ = ["contents", "look"]

_plans: OrderedDict[Any, Plan] = OrderedDict()


def look(tensor: Tensor, record: Record) -> Array:
    """The contents of a tensor whose record has no value yet."""
    if record.entry.place is not None and not shows(tensor, record):
        return array_of(tensor._value)
    return contents(record)


def contents(root: Record) -> Array:
    """What a record computes, which it has from now on, as has everything below that something else refers to."""
    found = None if recording.depth or root.freed else _survey(root)
    if found is None:
        return array_of(value_of(root))
    key, leaves, steps, wanted = found
    plan = _plans.get(key)
    if plan is None:
        plan = _plans[key] = Plan()
        if len(_plans) > MOST_PLANS:
            _plans.popitem(last=False)
    if plan.run is not None:
        results = plan.run(*[leaves[k].value.array for k in plan.sources])
        for rec, result in zip(wanted, results, strict=True):
            rec.value = leaf(np.asarray(result))
    else:
        numbers_apart(steps)
        del found, leaves, steps, wanted
        _, leaves, steps, wanted = _survey(root)  # type: ignore[misc]  # with the numbers that are apart now
        values = [value_of(rec) for rec in wanted]
        run_values(values, [item.value for item in leaves], plan, 0.0)
    for rec in wanted:
        if not rec.aval.needs and rec.entry.place is None:
            rec.inputs = rec.kept = ()
    pending.count = 0.0
    return root.value.array  # type: ignore[union-attr, return-value]


def _survey(root: Record) -> tuple[Any, list[Any], list[Record], list[Record]] | None:
    """Of all that a record is computed from: the structure with sizes, the leaves, the records without a value, and those of them that get
    one: what something else refers to; if the root is in a graph, all, for its backward pass. None where there is something unusual.
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
    wanted: list[Record] = []
    for item in steps:
        # besides those outside: `index`, `steps`, `item`, getrefcount's argument, and the steps that it is an input of
        if item is root or root.aval.needs or getrefcount(item) > 5 + again.get(item, 0):
            key.append(index[item])
            wanted.append(item)
    return tuple(key), leaves, steps, wanted
