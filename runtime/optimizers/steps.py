"""Steps of optimisers that ran before: the compiled program straight from the arrays, without recording.

What a step computes follows from the formula, its flags, and the shapes and dtypes of what it reads. The first steps are recorded like
any other operation; where one of them ran as a compiled program, that program is what all further steps of its kind run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..tensor.evaluate import Ran, array_of, evaluate
from ..tensor.inplace import overwrite
from ..tensor.look import compute
from ..tensor.records import Held, Ready
from ..tensor.tensor import Tensor
from ..tensor.value import Array, Value, leaf, recorded

if TYPE_CHECKING:
    from .optimizer import Update

MOST_PLANS = 256


class Asked(NamedTuple):
    """The update of one parameter: `state` and `numbers` by the names that the formula knows them by."""

    parameter: Tensor
    grad: Tensor
    state: dict[str, Tensor]
    numbers: dict[str, float]
    flags: frozenset[str]

    @property
    def targets(self) -> tuple[Tensor, ...]:
        """What is written to."""
        return self.parameter, *self.state.values()

    @property
    def read(self) -> tuple[Tensor, ...]:
        """The tensors that are read."""
        return self.parameter, self.grad, *self.state.values()


class Plan(NamedTuple):
    """`run(*arrays)` gives the new contents of all targets, in order; `sources` picks its arguments from all inputs in order."""

    run: Callable[..., Sequence[Any]]
    sources: tuple[int, ...]


_plans: OrderedDict[Any, Plan] = OrderedDict()


def take(update: Update, asked: Sequence[Asked]) -> None:
    """Write new values to parameters and states."""
    found = _inputs(asked)
    key = None if found is None else (update, *found[0])
    plan = _plans.get(key)
    if plan is None or found is None:
        _recorded(update, asked, key)
        return
    arrays = found[1]
    results = plan.run(*[arrays[k] for k in plan.sources])
    for target, result in zip([t for one in asked for t in one.targets], results, strict=True):
        target._storage.replace(leaf(np.asarray(result)))  # which is the target's alone, as `_inputs` has seen
        target._counter.version += 1
        if type(target._record) is Held:
            target._record = None  # it would keep the old contents


def _inputs(asked: Sequence[Asked]) -> tuple[list[Any], list[Array]] | None:
    """What identifies a step, and all that it reads; None where something is not at hand, memory that others see, or the same twice."""
    key: list[Any] = []
    arrays: list[Array] = []
    found: list[int] = []
    last: Any = None
    fed: list[Array] = []
    for one in asked:
        for tensor in one.read:
            known = tensor._record
            if type(known) is Ready:
                array: Array = np.asarray(known.array)
            else:
                storage = tensor._storage
                if tensor._geometry is not None or storage.memory is not None:
                    return None
                if storage.record is not None and storage.record.value is None:
                    compute([s.record for one in asked for t in one.read
                             if (s := t._storage).record is not None and s.record.value is None])
                array = array_of(storage.value)
            key += array.shape, array.dtype
            arrays.append(array)
            found.append(id(array))
        dtype = arrays[-2 - len(one.state)].dtype  # the parameter's
        numbers = one.numbers
        if numbers is not last or fed[0].dtype != dtype:
            last, fed = numbers, [np.asarray(v, dtype) for v in numbers.values()]
            names = tuple(numbers), one.flags
        key += tuple(one.state), names
        arrays += fed
    if len(set(found)) < len(found):
        return None  # one update may read what another one writes
    return key, arrays


def _recorded(update: Update, asked: Sequence[Asked], key: Any) -> None:
    made: list[Value] = []
    for one in asked:
        targets, dtype = one.targets, one.parameter._value.dtype
        inputs = (one.parameter._value, one.grad._value, *(t._value for t in one.state.values()),
                  *(leaf(np.asarray(v, dtype)) for v in one.numbers.values()))  # equal numbers are inputs of their own
        params = (tuple(one.state), tuple(one.numbers), one.flags, ("param", *one.state))
        values = [recorded(update, inputs, params, one.parameter._shape, t._value.dtype, k) for k, t in enumerate(targets)]
        for target, value in zip(targets, values, strict=True):
            overwrite(target, value)
        made += values
    ran = evaluate(made)
    plan = None if ran is None or key is None else _plan(ran, asked)
    if plan is not None:
        _plans[key] = plan
        if len(_plans) > MOST_PLANS:
            _plans.popitem(last=False)


def _plan(ran: Ran, asked: Sequence[Asked]) -> Plan | None:
    """How further steps run the program that a recorded one ran; None where it took something else than the inputs, once each."""
    compiled, structure, wanted = ran
    targets = sum(len(one.targets) for one in asked)
    if len(structure.leaves()) != len(structure.items) or wanted != tuple(range(targets)) or any(
            k < 0 for places in structure.places for k in places):
        return None
    source: dict[int, int] = {}
    first = step = 0
    for one in asked:
        for _ in one.targets:
            source |= {place: first + k for k, place in enumerate(structure.places[step])}
            step += 1
        first += len(structure.places[step - 1])
    if len(set(source.values())) != first:
        return None
    return Plan(compiled.run, tuple(source[k] for k in range(len(structure.items))))
