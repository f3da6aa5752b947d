"""The call entry: a Python-callable function emitted as LLVM IR beside the driver.

It has CPython's `METH_FASTCALL | METH_KEYWORDS` signature. It checks that the arguments are what the program was compiled
for (types, dtypes, ranks), hands their memory, sizes and strides to the driver, and returns what that made; on any mismatch
it calls the slow path with the same arguments. What differs from process to process (addresses of types, of dtypes, of
NumPy's C functions) is read from a context array, which is the `self` of the function object.
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

from llvmlite import ir

from .common_llvm import goes_on, leave_if_long
from .driver import FAILED, MISS, Driver, InputLayout, field
from .entry_spec import (
    ARRAY_TYPE,
    DICT_TYPE,
    FIRST_DTYPE,
    FLOAT_TYPE,
    HITS,
    LIST_TYPE,
    SCALAR,
    SLOW,
    TUPLE_TYPE,
    Argument,
    ArrayArgument,
    DictArgument,
    DictResult,
    EntrySpec,
    FloatArgument,
    IgnoredArgument,
    ListArgument,
    ListResult,
    OutArgument,
    ScalarArgument,
    Structure,
    TupleArgument,
    dtypes_of,
    leaves,
    positions,
)
from .ir import Graph, Node
from .memory_order import LARGE, Order

__all__ = ["emit_call_entry", "takes"]

Value = Any  # llvmlite has no annotations
BYTE, INT, LONG = ir.IntType(8), ir.IntType(32), ir.IntType(64)
POINTER = BYTE.as_pointer()
# Offsets in PyObject, PyFloatObject (and NumPy's scalars), PyTupleObject and PyArrayObject_fields of 64-bit CPython and NumPy >= 1.7.
# Lists have a pointer to their items where tuples have them.
TYPE, NUMBER, LENGTH, ITEMS, DATA, NDIM, SHAPE, STRIDES, DESCR, FLAGS = 8, 16, 16, 24, 16, 24, 32, 40, 56, 64
C_CONTIGUOUS, ALIGNED = 0x1, 0x100
EQUAL = 2  # Py_EQ


def takes(graph: Graph, spec: EntrySpec) -> bool:
    """Whether the entry's arguments are all that the graph needs, and its result is all that the graph computes."""
    bound = {a.position for a in leaves(spec.arguments) if isinstance(a, ArrayArgument | FloatArgument | ScalarArgument)}
    return bound == set(range(len(graph.inputs))) and sorted(positions(spec.result)) == list(range(len(graph.outputs)))


def _changeable(arguments: Sequence[Argument], inside: bool) -> int:
    """How many of them (`inside` a list or dict: all) lie in a container that may change during the call."""
    count = 0
    for argument in arguments:
        if isinstance(argument, TupleArgument | ListArgument | DictArgument):
            count += _changeable(argument.items, inside or not isinstance(argument, TupleArgument))
        elif isinstance(argument, ArrayArgument | FloatArgument | ScalarArgument):
            count += inside
    return count


class _Emitter:
    def __init__(self, driver: Driver, graph: Graph, spec: EntrySpec, symbol: str) -> None:
        self.driver, self.module, self.graph, self.spec = driver, driver.module, graph, spec
        self.function = ir.Function(self.module, ir.FunctionType(POINTER, [POINTER, POINTER.as_pointer(), LONG, POINTER]), symbol)
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.miss = self.function.append_basic_block("miss")
        self.failed = self.function.append_basic_block("failed")
        self.context = self.builder.bitcast(self.field(self.function.args[0], DATA, POINTER), POINTER.as_pointer())
        self.dtypes = dtypes_of(n.dtype for n in (*graph.inputs, *graph.outputs))
        self.layout = InputLayout(graph)
        outputs = max(1, len(graph.outputs))
        self.inputs = self.words(LONG, max(1, self.layout.length))
        self.numbers = self.words(LONG, outputs)
        self.results = self.words(POINTER, outputs)
        self.out = [a.position for a in leaves(spec.arguments) if isinstance(a, OutArgument)]
        for number, node in enumerate(graph.outputs):
            if node.ndim or number in self.out:
                self.builder.store(ir.Constant(POINTER, None), self.builder.gep(self.results, [LONG(number)]))
        self.next_object = FIRST_DTYPE + len(self.dtypes) + len(driver.calls)
        held = _changeable(spec.arguments, False)
        self.held = [self.builder.gep(self.words(POINTER, held), [LONG(k)]) for k in range(held)]
        for place in self.held:
            self.builder.store(ir.Constant(POINTER, None), place)
        self.next_held = 0

    # ------------------------------------------------------------------------------------------- small pieces
    def words(self, kind: Any, count: int) -> Value:
        return self.builder.bitcast(self.builder.alloca(ir.ArrayType(kind, count)), kind.as_pointer())

    def field(self, obj: Value, offset: int, kind: Any) -> Value:
        return field(self.builder, obj, offset, kind)

    def slot(self, number: int) -> Value:
        return self.builder.load(self.builder.gep(self.context, [LONG(number)]))

    def object(self) -> Value:
        """The next of the spec's objects."""
        self.next_object += 1
        return self.slot(self.next_object - 1)

    def require(self, condition: Value, otherwise: Any = None) -> None:
        block = self.function.append_basic_block()
        self.builder.cbranch(condition, block, otherwise or self.miss)
        self.builder.position_at_end(block)

    def same(self, left: Value, right: Value) -> Value:
        return self.builder.icmp_unsigned("==", left, right)

    def put(self, position: int, values: Sequence[Value]) -> None:
        """Words of an input for the driver."""
        for k, value in enumerate(values):
            word = value if value.type == LONG else self.builder.ptrtoint(value, LONG)
            self.builder.store(word, self.builder.gep(self.inputs, [LONG(self.layout.first[position] + k)]))

    # ------------------------------------------------------------------------------------------- arguments
    def arguments(self) -> None:
        _, args, count, names = self.function.args
        by_position = len(self.spec.arguments) - len(self.spec.keywords)
        self.require(self.same(count, LONG(by_position)))
        given = self.builder.ptrtoint(names, LONG)
        if self.spec.keywords:
            self.require(self.builder.icmp_unsigned("!=", given, LONG(0)))
            self.require(self.same(self.field(names, LENGTH, LONG), LONG(len(self.spec.keywords))))
        else:
            self.require(self.same(given, LONG(0)))
        for position, argument in enumerate(self.spec.arguments):
            self.argument(self.builder.load(self.builder.gep(args, [LONG(position)])), argument)
        for k in range(len(self.spec.keywords)):
            self.require(self.same(self.field(names, ITEMS + 8 * k, POINTER), self.object()))

    def argument(self, obj: Value, argument: Argument, changeable: bool = False) -> None:
        """Check an argument, and hand it to the driver; `changeable`: another thread may take it out of its container."""
        if isinstance(argument, IgnoredArgument):
            self.require(self.same(obj, self.object()))
        elif isinstance(argument, TupleArgument | ListArgument | DictArgument):
            self.container(obj, argument, changeable)
        elif isinstance(argument, FloatArgument | ScalarArgument):
            wanted = self.slot(FLOAT_TYPE) if isinstance(argument, FloatArgument) else self.object()
            self.require(self.same(self.field(obj, TYPE, POINTER), wanted))
            self.put(argument.position, [self.builder.gep(obj, [LONG(NUMBER)])])
        elif isinstance(argument, OutArgument):
            with self.builder.if_then(self.same(self.field(obj, TYPE, POINTER), self.slot(ARRAY_TYPE))):
                self.builder.call(self.driver.external("Py_IncRef", ir.VoidType(), POINTER), [obj])
                self.builder.store(obj, self.builder.gep(self.results, [LONG(argument.position)]))
        else:
            self.array(obj, argument.position, self.graph.inputs[argument.position])
        if changeable and isinstance(argument, ArrayArgument | FloatArgument | ScalarArgument):
            self.builder.call(self.driver.external("Py_IncRef", ir.VoidType(), POINTER), [obj])
            self.builder.store(obj, self.held[self.next_held])
            self.next_held += 1

    def container(self, obj: Value, argument: TupleArgument | ListArgument | DictArgument, changeable: bool) -> None:
        kind = TUPLE_TYPE if isinstance(argument, TupleArgument) else LIST_TYPE if isinstance(argument, ListArgument) else DICT_TYPE
        self.require(self.same(self.field(obj, TYPE, POINTER), self.slot(kind)))
        self.require(self.same(self.field(obj, LENGTH, LONG), LONG(len(argument.items))))
        if isinstance(argument, DictArgument):
            found = self.values(obj, len(argument.keys))
        else:
            items = self.field(obj, ITEMS, POINTER) if kind == LIST_TYPE else self.builder.gep(obj, [LONG(ITEMS)])
            found = [self.field(items, 8 * k, POINTER) for k in range(len(argument.items))]
        for item, inner in zip(found, argument.items, strict=True):
            self.argument(item, inner, changeable or kind != TUPLE_TYPE)

    def values(self, dictionary: Value, count: int) -> list[Value]:
        """The values of a dict that has so many, whose keys are the next objects, in their order.

        Only keys of the same types are compared, str or int: others could run Python code.
        """
        place, words = self.words(LONG, 1), self.words(POINTER, 2)
        self.builder.store(LONG(0), place)
        following = self.driver.external("PyDict_Next", INT, POINTER, LONG.as_pointer(), POINTER.as_pointer(), POINTER.as_pointer())
        equal = self.driver.external("PyObject_RichCompareBool", INT, POINTER, POINTER, INT)
        found = []
        for _ in range(count):
            key, value = (self.builder.gep(words, [LONG(k)]) for k in range(2))
            self.require(self.same(self.builder.call(following, [dictionary, place, key, value]), INT(1)))
            given, wanted = self.builder.load(key), self.object()
            self.require(self.same(self.field(given, TYPE, POINTER), self.field(wanted, TYPE, POINTER)))
            self.require(self.same(self.builder.call(equal, [given, wanted, INT(EQUAL)]), INT(1)))
            found.append(self.builder.load(value))
        return found

    def release(self, places: Sequence[Value]) -> None:
        """Give up the references in these places; some may be null."""
        for place in places:
            self.builder.call(self.driver.external("Py_DecRef", ir.VoidType(), POINTER), [self.builder.load(place)])

    def described(self, obj: Value, node: Node, rank: int) -> None:
        """Whether it is an array of a node's dtype and of this rank."""
        self.require(self.same(self.field(obj, TYPE, POINTER), self.slot(ARRAY_TYPE)))
        self.require(self.same(self.field(obj, DESCR, POINTER), self.slot(FIRST_DTYPE + self.dtypes.index(node.dtype))))
        self.require(self.same(self.field(obj, NDIM, INT), INT(rank)))
        self.require(self.builder.icmp_unsigned("!=", self.builder.and_(self.field(obj, FLAGS, INT), INT(ALIGNED)), INT(0)))

    def array(self, obj: Value, position: int, node: Node) -> None:
        self.described(obj, node, node.ndim)
        values = [self.field(obj, DATA, POINTER)]
        for offset in (SHAPE, STRIDES) if node.ndim else ():
            numbers = self.field(obj, offset, LONG.as_pointer())
            values += [self.builder.load(self.builder.gep(numbers, [LONG(axis)])) for axis in range(node.ndim)]
        if self.spec.orders is not None and sum(size != 1 for size in node.shape) > 1:
            wanted = dict(self.spec.orders).get(position)
            in_c = self.builder.icmp_unsigned("!=", self.builder.and_(self.field(obj, FLAGS, INT), INT(C_CONTIGUOUS)), INT(0))
            if wanted is not None:
                self.require(self.builder.not_(in_c))
                self.in_order(node, wanted, values[1:])
            else:
                with self.builder.if_then(self.builder.not_(in_c), likely=False):
                    self.in_order(node, None, values[1:])
        self.put(position, values)

    def in_order(self, node: Node, wanted: Order | None, numbers: Sequence[Value]) -> None:
        """Require that an array, which is not in C order without gaps, lies as `memory_order.orders_of` says."""
        builder, moving = self.builder, [axis for axis, size in enumerate(node.shape) if size != 1]
        bytes_ = reduce(builder.mul, numbers[:node.ndim], LONG(node.dtype.itemsize))
        steps = {axis: self.magnitude(numbers[node.ndim + axis]) for axis in moving}
        large = builder.icmp_signed(">=", bytes_, LONG(LARGE))
        once = reduce(builder.and_, (builder.icmp_signed("!=", step, LONG(0)) for step in steps.values()))
        order = [axis for axis in wanted or moving if axis in steps]
        falls = [builder.icmp_signed(">=" if axis < following else ">", steps[axis], steps[following])
                 for axis, following in pairwise(order)]
        holds = reduce(builder.and_, falls)
        if wanted is not None:
            self.require(reduce(builder.and_, (large, once, holds)))
        else:
            self.require(builder.or_(holds, builder.not_(builder.and_(large, once))))

    def magnitude(self, number: Value) -> Value:
        negative = self.builder.icmp_signed("<", number, LONG(0))
        return self.builder.select(negative, self.builder.sub(LONG(0), number), number)

    def count_hit(self) -> None:
        place = self.builder.bitcast(self.builder.gep(self.context, [LONG(HITS)]), LONG.as_pointer())
        self.builder.store(self.builder.add(self.builder.load(place), LONG(1)), place)

    # ------------------------------------------------------------------------------------------- results
    def result(self, structure: Structure) -> Value:
        external = self.driver.external
        if structure is None:
            nothing = self.object()
            self.builder.call(external("Py_IncRef", ir.VoidType(), POINTER), [nothing])
            return nothing
        if isinstance(structure, tuple | ListResult):
            kind = "Tuple" if isinstance(structure, tuple) else "List"
            items = [self.result(s) for s in (structure if isinstance(structure, tuple) else structure.items)]
            made = self.builder.call(external(f"Py{kind}_New", POINTER, LONG), [LONG(len(items))])
            for k, item in enumerate(items):
                self.builder.call(external(f"Py{kind}_SetItem", INT, POINTER, LONG, POINTER), [made, LONG(k), item])
            return made
        if isinstance(structure, DictResult):
            keys = [self.object() for _ in structure.keys]
            made = self.builder.call(external("PyDict_New", POINTER), [])
            for key, inner in zip(keys, structure.items, strict=True):
                item = self.result(inner)
                self.builder.call(external("PyDict_SetItem", INT, POINTER, POINTER, POINTER), [made, key, item])
                self.builder.call(external("Py_DecRef", ir.VoidType(), POINTER), [item])
            return made
        node = self.graph.outputs[structure]
        if node.ndim:
            return self.builder.load(self.builder.gep(self.results, [LONG(structure)]))
        scalar = self.builder.bitcast(self.slot(SCALAR), ir.FunctionType(POINTER, [POINTER, POINTER, POINTER]).as_pointer())
        number = self.builder.bitcast(self.builder.gep(self.numbers, [LONG(structure)]), POINTER)
        return self.builder.call(scalar, [number, self.slot(FIRST_DTYPE + self.dtypes.index(node.dtype)), ir.Constant(POINTER, None)])

    def emit(self) -> None:
        self.arguments()
        status = self.builder.call(self.driver.function, [self.context, self.inputs, self.results, self.numbers])
        self.require(self.builder.icmp_unsigned("!=", status, LONG(MISS)))
        self.require(self.builder.icmp_unsigned("!=", status, LONG(FAILED)), self.failed)
        self.count_hit()
        result = self.result(self.spec.result)
        self.release(self.held)
        self.builder.ret(result)
        self.leave()

    def leave(self) -> None:
        """By the slow path where something did not match, with the error where there was one."""
        self.builder.position_at_end(self.miss)
        self.release([*self.held, *(self.builder.gep(self.results, [LONG(number)]) for number in self.out)])
        vectorcall = self.driver.external("PyObject_Vectorcall", POINTER, POINTER, POINTER.as_pointer(), LONG, POINTER)
        _, args, count, names = self.function.args
        self.builder.ret(self.builder.call(vectorcall, [self.slot(SLOW), args, count, names]))
        self.builder.position_at_end(self.failed)
        self.release(self.held)
        self.builder.ret(ir.Constant(POINTER, None))


class _LoopEmitter(_Emitter):
    """An entry that runs the driver for each row: from a state, into the one after it."""

    def array(self, obj: Value, position: int, node: Node) -> None:
        if position > self.spec.rows:
            super().array(obj, position, node)
            return
        self.described(obj, node, node.ndim + 1)
        lengths, strides = ([self.builder.load(self.builder.gep(self.field(obj, offset, LONG.as_pointer()), [LONG(axis)]))
                             for axis in range(node.ndim + 1)] for offset in (SHAPE, STRIDES))
        data = self.builder.ptrtoint(self.field(obj, DATA, POINTER), LONG)
        self.put(position, [data, *lengths[1:], *strides[1:]])
        self.walked[position] = data, lengths[0], strides[0]
        if position == 0:
            self.state = node, lengths[1:]

    def emit(self) -> None:
        builder = self.builder
        self.walked: dict[int, tuple[Value, Value, Value]] = {}
        self.arguments()
        (states, kept, apart), (_, count, _), *others = (self.walked[position] for position in range(1 + self.spec.rows))
        for _, length, _ in others:
            self.require(builder.icmp_signed("==", length, count))
        every = builder.icmp_signed("==", kept, builder.add(count, LONG(1)))
        turn = builder.select(every, LONG(-1), LONG(1))  # two states take turns
        out = builder.load(self.results)
        self.require(builder.icmp_unsigned("!=", builder.ptrtoint(out, LONG), LONG(0)))
        over = builder.bitcast(builder.gep(out, [LONG(DATA)]), LONG.as_pointer())
        step = builder.alloca(LONG)
        builder.store(LONG(0), step)
        head, body, done = (self.function.append_basic_block(name) for name in ("head", "body", "done"))
        builder.branch(head)
        builder.position_at_end(head)
        further = builder.icmp_signed("<", builder.load(step), count)
        if self.spec.until:
            here = builder.add(states, builder.mul(builder.and_(builder.load(step), turn), apart))
            further = builder.and_(further, goes_on(builder, self.state[0].dtype, builder.inttoptr(here, POINTER), self.state[1]))
        builder.cbranch(further, body, done)
        builder.position_at_end(body)
        number = builder.load(step)
        after = builder.add(number, LONG(1))
        self.put(0, [builder.add(states, builder.mul(builder.and_(number, turn), apart))])
        for position in range(1, 1 + self.spec.rows):
            rows, _, between = self.walked[position]
            self.put(position, [builder.add(rows, builder.mul(number, between))])
        builder.store(builder.add(states, builder.mul(builder.and_(after, turn), apart)), over)
        status = builder.call(self.driver.function, [self.context, self.inputs, self.results, self.numbers])
        self.require(builder.icmp_unsigned("!=", status, LONG(MISS)))
        self.require(builder.icmp_unsigned("!=", status, LONG(FAILED)), self.failed)
        self.count_hit()
        builder.store(after, step)
        builder.branch(head)
        builder.position_at_end(done)
        builder.ret(self.result(self.spec.result))
        self.leave()


def emit_call_entry(driver: Driver, graph: Graph, spec: EntrySpec, symbol: str) -> None:
    """Add an entry to the module of its driver. The spec must be one that `takes` accepts."""
    emitter = (_LoopEmitter if spec.rows else _Emitter)(driver, graph, spec, symbol)
    emitter.emit()
    leave_if_long(emitter.function)
