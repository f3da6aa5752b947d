"""Evaluation of recorded Values: one program for each structure, cached; run by the reference evaluator, and compiled once the
structure has repeated enough to pay for that.
"""
from __future__ import annotations

import math
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler.errors import InternalError
from ...compiler.interpret import quiet
from ...compiler.ir import Node, execution_order, make, resolve_params
from .functions import evaluation_of, interpreted_only
from .structure import Structure, check_promise, structure_of
from .value import Array, Recipe, Value, leaf, pending

if TYPE_CHECKING:
    from .compiled import CompiledProgram

MAX_PROGRAMS = 1024


class ValueNeededError(RuntimeError):
    """The contents of one example were asked for while a function is recorded for all of them."""


class StandIn(Recipe):
    """Stands for an example whose contents are not known."""

    __slots__ = ()

    def emit(self, nodes: Sequence[Node], masks: Sequence[Node | None], params: tuple[Any, ...], index: int) -> tuple[Node, Node | None]:
        raise RuntimeError("a value of a single example has no contents outside of the function that vmap applies")


class _Recording(threading.local):
    """How many functions of examples are being recorded in this thread."""

    depth: int = 0


recording = _Recording()


def known(order: Sequence[Value]) -> list[Value]:
    """Those of the pending values (inputs first) that depend on no stand-in."""
    unknown: set[int] = set()
    found: list[Value] = []
    for value in order:
        if isinstance(value.recipe, StandIn) or any(id(item) in unknown for item in value.inputs):
            unknown.add(id(value))
        else:
            found.append(value)
    return found


class Program:
    """An executable graph: leaves in, the values (and masks) of all recorded steps out.

    Attributes:
        inputs, outputs: nodes; an output of None is a mask that is not there.
        steps: `(function, slots of the arguments, parameters, dtype)` in order; slots count inputs first, then steps.
        seconds: what a run is estimated to take.
        compiled: programs that take its sizes, by the steps that they give.
    """

    def __init__(self, inputs: Sequence[Node], outputs: Sequence[Node | None]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        slot_of = {node: k for k, node in enumerate(inputs)}
        self.constants: list[Array] = []
        self.steps: list[tuple[Callable[..., Any], tuple[int, ...], dict[str, Any], np.dtype[Any]]] = []
        order = [node for node in execution_order([n for n in outputs if n is not None]) if node not in slot_of]
        constants = [node for node in order if node.op.name == "const"]
        for node in constants:
            slot_of[node] = len(slot_of)
            self.constants.append(node.op.evaluate(value=node.params[0], shape=node.shape, dtype=node.dtype))
        for node in order:
            if node.op.name == "const":
                continue
            if node.op.name == "input":
                raise InternalError(f"a value that was not kept for the gradient is read: {node!r}, {node.params}")
            params = {name: resolve_params(value, {}) for name, value in node.named_params.items()}
            if node.op.wants_aval:
                params |= {"shape": node.shape, "dtype": node.dtype}
            self.steps.append((evaluation_of(node.op), tuple(slot_of[i] for i in node.inputs), params, node.dtype))
            slot_of[node] = len(slot_of)
        self.slots = tuple(None if node is None else slot_of[node] for node in outputs)
        self.tier: Tier | None = None
        self.compiled: dict[tuple[int, ...], CompiledProgram] = {}
        self.seconds = sum(map(_seconds, order))

    def __call__(self, arrays: Sequence[Array]) -> list[Any]:
        values: list[Any] = [*arrays, *self.constants]
        with quiet():
            for function, slots, params, dtype in self.steps:
                result = function(*[values[k] for k in slots], **params)
                values.append(result if getattr(result, "dtype", None) == dtype else np.asarray(result, dtype))
        return [None if k is None else values[k] for k in self.slots]


def _seconds(node: Node) -> float:
    """What the interpreter is estimated to take for a node; for a loop, all that its turns evaluate."""
    shape: tuple[int, ...] = resolve_params(node.shape, {})
    turns = 1
    if node.op.name == "scan":
        turns = int(resolve_params(node.inputs[1].shape[0], {})) * len(node.param("body"))
    return STEP_SECONDS * turns + ELEMENT_SECONDS * math.prod(shape)


class Tier:
    """What is known of the programs of one structure, whatever the sizes.

    Attributes:
        worthwhile: the seconds after which compiling pays; more for larger programs.
        uses, spent: evaluations by the interpreter, and the seconds that they are estimated to have taken.
        compiled: programs by the steps that they give, the latest first; empty where there can be none.
    """

    __slots__ = ("compiled", "spent", "uses", "worthwhile")

    def __init__(self, steps: int) -> None:
        self.worthwhile = WORTHWHILE * (1 + steps / 50)
        self.uses = 0
        self.spent = 0.0
        self.compiled: dict[tuple[int, ...], list[CompiledProgram]] = {}

    @property
    def due(self) -> bool:
        """Whether the structure has repeated enough for a compiled program to pay."""
        return self.uses >= FEW and (self.uses >= MANY or self.spent >= self.worthwhile) and not interpreted_only()

    def program(self, structure: Structure, wanted: tuple[int, ...], arrays: Sequence[Array]) -> CompiledProgram | None:
        """The compiled program of some steps that takes these arrays; made where there is none yet."""
        found = self.compiled.get(wanted)
        for one in found or ():
            if one.accepts(arrays):
                return one
        if found is not None and (not found or len(found) >= MOST_VARIANTS):
            return None
        from .compiled import compile_structure

        with _lock:
            made = compile_structure(structure, wanted)
        if made is None or not made.accepts(arrays):
            self.compiled.setdefault(wanted, [])
            return None
        if len(self.compiled) >= MOST_VARIANTS:
            self.compiled.clear()
        self.compiled[wanted] = [made, *(found or ())]
        return made


FEW, MANY, WORTHWHILE = 3, 32, 0.005  # compiling takes some tenths of a second, once
MOST_VARIANTS = 8
STEP_SECONDS, ELEMENT_SECONDS = 5e-6, 1e-9  # of the interpreter: for each step, and for each element of its result

_programs: OrderedDict[Any, Program] = OrderedDict()
_tiers: OrderedDict[Any, Tier] = OrderedDict()
_lock = threading.RLock()


def _cached(table: OrderedDict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
    """An entry of a table that keeps the latest."""
    with _lock:
        found = table.get(key)
        if found is not None:
            table.move_to_end(key)
            return found
    found = make()
    with _lock:
        table[key] = found
        if len(table) > MAX_PROGRAMS:
            table.popitem(last=False)
    return found


def program_of(structure: Structure) -> Program:
    """The interpreted program of a structure, with the tier that it belongs to."""
    program: Program = _cached(_programs, structure.key(), lambda: _build(structure))
    if program.tier is None:
        program.tier = _cached(_tiers, structure.general_key(), lambda: Tier(len(structure.steps)))
    return program


Ran = tuple["CompiledProgram", Structure, tuple[int, ...]]  # a program, what it was made of, which steps it gave


def evaluate(values: Sequence[Value]) -> Ran | None:
    """Give every one of `values` its array, and whatever is pending below them and is wanted elsewhere, too; but not what depends
    on an unknown example. Says which compiled program did it, if one did.
    """
    order = pending_below(values)
    if recording.depth:
        order = known(order)
        pending.count = 0.0
    if not order:
        return None
    structure = structure_of(order)
    program = program_of(structure)
    tier = program.tier
    assert tier is not None
    leaves = structure.leaves()
    arrays = [_array(value) for value in leaves]
    compiled = None
    if tier.due:
        wanted = _wanted(order, values)
        compiled = program.compiled.get(wanted) or tier.program(structure, wanted, arrays)
    if compiled is not None:
        program.compiled[wanted] = compiled
        give([order[k] for k in wanted], compiled.run(*arrays), compiled.masks)
    else:
        tier.uses += 1
        tier.spent += program.seconds
        interpret(structure, program, arrays)
    pending.count = 0.0
    return None if compiled is None else (compiled, structure, wanted)


def interpret(structure: Structure, program: Program, arrays: Sequence[Array]) -> None:
    """Give every step its array."""
    steps = structure.steps
    results = program(arrays)
    count = len(steps)
    for value, array, mask in zip(steps, results[:count], results[count:], strict=True):
        value.array = np.asarray(array)
        value.mask = None if mask is None else leaf(np.asarray(mask))
    for value in steps:
        _forget(value)


def give(values: Sequence[Value], results: Sequence[Any], masks: Sequence[int | None]) -> None:
    """Give Values the results of a compiled program."""
    for value, result, mask in zip(values, results, masks, strict=False):
        value.array = np.asarray(result)
        value.mask = None if mask is None else leaf(np.asarray(results[mask]))
        _forget(value)


def _forget(value: Value) -> None:
    value.recipe, value.inputs, value.params, value.site = None, (), (), None


def _wanted(order: Sequence[Value], values: Sequence[Value]) -> tuple[int, ...]:
    """Which steps are asked for, or are referred to by anything but other steps."""
    asked = {id(value) for value in values}
    inside: dict[int, int] = {}
    for value in order:
        for key in map(id, value.inputs):
            inside[key] = inside.get(key, 0) + 1
    found = []
    for k in range(len(order)):  # enumerate would keep a reference
        value = order[k]
        # beside other steps: `order`, `value`, and getrefcount's argument
        if id(value) in asked or sys.getrefcount(value) > 3 + inside.get(id(value), 0):
            found.append(k)
    return tuple(found)


def array_of(value: Value) -> Array:
    """The array of a Value, evaluated where need be; it must not be written to."""
    if value.array is None:
        evaluate([value])
        if value.array is None and recording.depth:
            raise ValueNeededError("the contents of a single example are not known while the function is recorded")
    return _array(value)


def _array(value: Value) -> Array:
    if value.array is None:
        raise InternalError(f"{value!r} has no array")
    return value.array


def pending_below(values: Sequence[Value]) -> list[Value]:
    """What has to be computed, inputs first; iterative."""
    order: list[Value] = []
    seen: set[int] = set()
    stack: list[tuple[Value, bool]] = [(value, False) for value in reversed(values)]
    while stack:
        value, expanded = stack.pop()
        if expanded:
            order.append(value)
        elif value.recipe is not None and id(value) not in seen:
            seen.add(id(value))
            stack.append((value, True))
            for item in reversed(value.inputs):
                if item.recipe is not None and id(item) not in seen:
                    stack.append((item, False))
    return order


def _build(structure: Structure) -> Program:
    """The program of recorded steps, with the values of all of them, then their masks, as outputs."""
    leaves = structure.leaves()
    inputs = [make("input", shape=value.shape, dtype=value.dtype, position=k, name=f"x{k}") for k, value in enumerate(leaves)]
    nodes, masks = structure.emit(inputs)
    for value, node in zip(structure.steps, nodes, strict=True):
        check_promise(value, node.shape, node)
    return Program(inputs, [*nodes, *masks])
