"""Loops, branches and checkpoints in code without Python: what runs the bodies of ops in compiled callers.

A body is a program of its own, with functions like those of the program around it (`jit_code`), which its code calls by their names.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from llvmlite import ir

from .common_llvm import counted, goes_on
from .driver import LONG, POINTER
from .errors import LoweringError
from .ir import Node
from .provenance import at
from .sizes import bindings, product

if TYPE_CHECKING:
    from .ir import Graph
    from .jit_code import JitDriver, Layout, Registered

__all__ = ["Body", "require_sizes", "run_bodies"]

Value = Any  # llvmlite has no annotations
Body = tuple["Registered", "Layout"]  # its functions


def require_sizes(body: Graph, node: Node) -> None:
    """Refuse a body that reads sizes which its inputs do not have.

    Raises:
        LoweringError: it does.
    """
    if not bindings([x.shape for x in body.inputs]).keys() >= set(body.symbols()):
        raise LoweringError(f"{node.op.name}{at(min(node.sites, default=None))} reads sizes of arrays that it does not use")


def run_bodies(driver: JitDriver, node: Node, data: Value) -> None:
    """Emit what an op with bodies does; its result goes to the dense memory at `data`."""
    _RUNS[node.op.runs](_Bodies(driver, node), data)


class _Bodies:
    """The bodies of one node, and the words that they take."""

    def __init__(self, driver: JitDriver, node: Node) -> None:
        self.driver, self.builder, self.node = driver, driver.builder, node
        self.graphs: list[Graph] = [node.param(name) for name in node.op.bodies]
        self.first: list[int] = []  # of each input, where its words begin
        length = 0
        for x in self.graphs[0].inputs:
            self.first.append(length)
            length += 1 + 2 * x.ndim
        self.inputs, self.results, self.numbers = driver.words(length), driver.variable(POINTER), driver.words(1)

    def array(self, x: Node) -> tuple[Value, list[Value], list[Value]]:
        """Address, sizes and byte strides of an operand."""
        data, strides = self.driver.arrays[self.driver.plan.buffers[x]]
        return data, [self.driver.size(size) for size in x.shape], strides

    def give(self, position: int, data: Value, lengths: Sequence[Value], strides: Sequence[Value]) -> None:
        """The words of an input."""
        self.driver.put(self.inputs, [data, *lengths, *strides], self.first[position])

    def move(self, position: int, data: Value) -> None:
        self.driver.put(self.inputs, [data], self.first[position])

    def run(self, graph: Graph, out: Value) -> None:
        """Run a body, whose result goes to `out`; leave where it cannot be done."""
        registered, layout = self.driver.bodies[graph]
        words, pointers = LONG.as_pointer(), POINTER.as_pointer()
        function = self.driver.external(f"{registered.symbol}.run", LONG, words, pointers, words)
        self.builder.store(out, self.results)
        numbers = self.numbers if graph.outputs[0].ndim else self.builder.bitcast(out, words)
        self.driver.leave_with(self.builder.call(function, [self.inputs, self.results, numbers]), layout)

    # ------------------------------------------------------------------------------------------- states of loops
    def start(self, place: Value) -> tuple[Value, list[Value]]:
        """Copy the first state to a place; its bytes, and its sizes."""
        state = self.node.inputs[0]
        data, lengths, strides = self.array(state)
        item = ir.IntType(8 * state.dtype.itemsize).as_pointer()
        dense = self.driver.dense_strides(state)
        with ExitStack() as nest:
            index = [nest.enter_context(counted(self.builder, LONG(0), length)) for length in lengths]
            value = self.builder.load(self.builder.bitcast(self.at(data, index, strides), item))
            self.builder.store(value, self.builder.bitcast(self.at(place, index, dense), item))
        self.give(0, place, lengths, dense)
        return self.driver.size(product(state.shape) * state.dtype.itemsize), lengths

    def at(self, data: Value, index: Sequence[Value], strides: Sequence[Value]) -> Value:
        for k, stride in zip(index, strides, strict=True):
            data = self.builder.gep(data, [self.builder.mul(k, stride)])
        return data


def _once(bodies: _Bodies, data: Value) -> None:
    """A branch, or the only body."""
    inputs = bodies.node.inputs[len(bodies.node.inputs) - len(bodies.graphs[0].inputs):]
    for position, x in enumerate(inputs):
        bodies.give(position, *bodies.array(x))
    if len(bodies.graphs) == 1:
        bodies.run(bodies.graphs[0], data)
        return
    chooses = bodies.builder.load(bodies.array(bodies.node.inputs[0])[0])
    with bodies.builder.if_else(bodies.builder.icmp_unsigned("!=", chooses, chooses.type(0))) as sides:
        for side, graph in zip(sides, bodies.graphs, strict=True):
            with side:
                bodies.run(graph, data)


def _rows(bodies: _Bodies, data: Value) -> None:
    """All steps, from a state to the one after it: every state is kept, or two take turns."""
    b, node, (graph,) = bodies.builder, bodies.node, bodies.graphs
    last, rows = node.param("last"), node.param("rows")
    walked = [bodies.array(x) for x in node.inputs[1:1 + rows]]
    count = walked[0][1][0]
    states = bodies.driver.scratch(2, node.inputs[0]) if last else data
    turn = LONG(1 if last else -1)
    apart, _ = bodies.start(states)
    for position, (first, lengths, strides) in enumerate(walked, 1):
        bodies.give(position, first, lengths[1:], strides[1:])
    for position, x in enumerate(node.inputs[1 + rows:], 1 + rows):
        bodies.give(position, *bodies.array(x))
    with counted(b, LONG(0), count) as step:
        bodies.move(0, b.gep(states, [b.mul(b.and_(step, turn), apart)]))
        for position, (first, _, strides) in enumerate(walked, 1):
            bodies.move(position, b.gep(first, [b.mul(step, strides[0])]))
        bodies.run(graph, b.gep(states, [b.mul(b.and_(b.add(step, LONG(1)), turn), apart)]))
    if last:
        bodies.driver.copy(data, b.gep(states, [b.mul(b.and_(count, turn), apart)]), apart)


def _until(bodies: _Bodies, data: Value) -> None:
    """Steps until no example wants another one; two states take turns."""
    b, node, (graph,) = bodies.builder, bodies.node, bodies.graphs
    states = bodies.driver.scratch(2, node.inputs[0])
    apart, lengths = bodies.start(states)
    bodies.give(1, states, [LONG(0)], [LONG(node.dtype.itemsize)])  # a row of no elements
    for position, x in enumerate(node.inputs[1:], 2):
        bodies.give(position, *bodies.array(x))
    place = bodies.driver.variable(LONG, LONG(0))  # of the state: 0 or 1
    b.store(LONG(0), place)
    head, body, done = (b.append_basic_block(name) for name in ("head", "step", "done"))
    b.branch(head)
    b.position_at_end(head)
    here = b.gep(states, [b.mul(b.load(place), apart)])
    b.cbranch(goes_on(b, node.dtype, here, lengths), body, done)
    b.position_at_end(body)
    other = b.xor(b.load(place), LONG(1))
    bodies.move(0, here)
    bodies.run(graph, b.gep(states, [b.mul(other, apart)]))
    b.store(other, place)
    b.branch(head)
    b.position_at_end(done)
    bodies.driver.copy(data, here, apart)


_RUNS: Mapping[str, Callable[[_Bodies, Value], None]] = {"once": _once, "rows": _rows, "until": _until}
