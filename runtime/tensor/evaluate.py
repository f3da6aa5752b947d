"""Evaluation of recorded Values: one program for each structure, cached, and run by the reference evaluator."""
from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...compiler.errors import InternalError
from ...compiler.interpret import function_of, quiet
from ...compiler.ir import Node, current, execution_order, make, resolve_params
from ...compiler.provenance import Site
from .value import Array, Recipe, Value, leaf, pending

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
            self.steps.append((function_of(node.op), tuple(slot_of[i] for i in node.inputs), params, node.dtype))
            slot_of[node] = len(slot_of)
        self.slots = tuple(None if node is None else slot_of[node] for node in outputs)

    def __call__(self, arrays: Sequence[Array]) -> list[Any]:
        values: list[Any] = [*arrays, *self.constants]
        with quiet():
            for function, slots, params, dtype in self.steps:
                result = function(*[values[k] for k in slots], **params)
                values.append(result if getattr(result, "dtype", None) == dtype else np.asarray(result, dtype))
        return [None if k is None else values[k] for k in self.slots]


_programs: OrderedDict[Any, Program] = OrderedDict()
_lock = threading.Lock()


def evaluate(values: Sequence[Value]) -> None:
    """Give every one of `values`, and all that is pending below them, its array; but not what depends on an unknown example."""
    order = pending_below(values)
    if recording.depth:
        order = known(order)
        pending.count = pending.nbytes = 0
    if not order:
        return
    leaves, key = _structure(order)
    with _lock:
        program = _programs.get(key)
        if program is not None:
            _programs.move_to_end(key)
    if program is None:
        program = _build(order, leaves)
        with _lock:
            _programs[key] = program
            if len(_programs) > MAX_PROGRAMS:
                _programs.popitem(last=False)
    results = program([_array(value) for value in leaves])
    count = len(order)
    for value, array, mask in zip(order, results[:count], results[count:], strict=True):
        value.array = np.asarray(array)
        value.mask = None if mask is None else leaf(np.asarray(mask))
    for value in order:
        value.recipe, value.inputs, value.params, value.site = None, (), (), None
    pending.count = pending.nbytes = 0


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


def _structure(order: Sequence[Value]) -> tuple[list[Value], Any]:
    """The leaves of a program, each once, and the key of everything about it but their contents."""
    leaves: list[Value] = []
    leaf_key: list[Any] = []
    position: dict[int, int] = {id(value): -1 - k for k, value in enumerate(order)}
    steps: list[Any] = []
    for value in order:
        for item in value.inputs:
            if id(item) not in position:
                position[id(item)] = len(leaves)
                leaves.append(item)
                leaf_key.append((item.dtype.char, item.shape, item.array is None, item.mask is not None))
                if item.mask is not None:
                    leaves.append(item.mask)
                    leaf_key.append(None)
        steps.append((value.recipe, value.params, value.index, *[position[id(i)] for i in value.inputs]))
    leaves = [item for item in leaves if item.array is not None]
    return leaves, (tuple(leaf_key), tuple(steps))


def _build(order: Sequence[Value], leaves: Sequence[Value]) -> Program:
    """The program of recorded steps, with the values of all of them, then their masks, as outputs."""
    nodes: dict[int, Node] = {}
    masks: dict[int, Node | None] = {}
    inputs = [make("input", shape=value.shape, dtype=value.dtype, position=k, name=f"x{k}") for k, value in enumerate(leaves)]
    nodes |= {id(value): node for value, node in zip(leaves, inputs, strict=True)}
    before = current.sites
    try:
        for value in order:
            for item in value.inputs:
                if id(item) not in nodes:  # absent: a shape and a dtype
                    nodes[id(item)] = make("input", shape=item.shape, dtype=item.dtype, position=-2, name="absent")
                if id(item) not in masks:
                    masks[id(item)] = None if item.mask is None else nodes[id(item.mask)]
            current.sites = _sites(value.site)
            assert value.recipe is not None
            node, mask = value.recipe.emit([nodes[id(i)] for i in value.inputs], [masks[id(i)] for i in value.inputs],
                                           value.params, value.index)
            if node.shape != value.shape or node.dtype != value.dtype:
                raise InternalError(f"{value.recipe} promised {value.dtype}{list(value.shape)} and made {node!r}")
            nodes[id(value)], masks[id(value)] = node, mask
    finally:
        current.sites = before
    return Program(inputs, [*(nodes[id(v)] for v in order), *(masks[id(v)] for v in order)])


def _sites(site: Site | None) -> frozenset[Site]:
    return frozenset() if site is None else frozenset((site,))
