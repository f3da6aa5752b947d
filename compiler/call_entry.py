"""The call entry: a Python-callable function emitted as LLVM IR beside the kernels.

It has CPython's `METH_FASTCALL | METH_KEYWORDS` signature. It checks that the arguments are what the program was compiled
for (types, dtypes, ranks, sizes, guards), allocates the results, runs the kernels and returns; on any mismatch it calls the
slow path with the same arguments. What differs from process to process (addresses of types, of dtypes, of NumPy's C
functions) is read from a context array, which is the `self` of the function object.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from .blocks import BLOCK
from .emit_llvm import size_arithmetic
from .entry_spec import (
    ARRAY_TYPE,
    FIRST_DTYPE,
    FLOAT_TYPE,
    HITS,
    NEW,
    SCALAR,
    SLOW,
    EntrySpec,
    FloatArgument,
    IgnoredArgument,
    Structure,
    dtypes_of,
)
from .errors import LoweringError
from .ir import Node
from .loopnest import Kernel
from .packing import ArgumentLayout
from .schedule import KernelStep, Plan
from .sizes import Guard, Opaque, Size, SizeExpr, Symbol, symbol as symbol_named, symbols_of
from .split import main_extent, work

__all__ = ["emit_call_entry", "supports"]

Value = Any  # llvmlite has no annotations
BOOL, BYTE, INT, LONG, DOUBLE = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.DoubleType()
POINTER = BYTE.as_pointer()
# Offsets in PyObject, PyFloatObject and PyArrayObject_fields of 64-bit CPython and NumPy >= 1.7.
TYPE, NUMBER, DATA, NDIM, SHAPE, STRIDES, DESCR, FLAGS = 8, 16, 16, 24, 32, 40, 56, 64
ALIGNED = 0x100
MOST_SLOTS = 4096  # of the kernels' arguments, which lie on the stack


def supports(plan: Plan, kernels: Sequence[Kernel], spec: EntrySpec) -> bool:
    """Whether the whole plan, as these kernels, can run inside the entry."""
    shapes = [node.shape for node in plan.graph.inputs]
    symbols = {name for shape in shapes for size in shape for name in symbols_of(size)}
    bare = {str(size) for shape in shapes for size in shape if isinstance(size, SizeExpr)}
    if symbols - bare or sum(ArgumentLayout.of(k).length for k in kernels) > MOST_SLOTS:
        return False
    bound = {a.position for a in spec.arguments if not isinstance(a, IgnoredArgument)}
    inside = {n for s in plan.steps if isinstance(s, KernelStep) for n in s.roots}
    return (all(isinstance(s, KernelStep) for s in plan.steps) and bound == set(range(len(plan.graph.inputs)))
            and all(o in inside for o in plan.graph.outputs) and len(set(plan.graph.outputs)) == len(plan.graph.outputs))


class _Emitter:
    def __init__(self, module: Any, plan: Plan, kernels: Sequence[Kernel], functions: Sequence[Any], spec: EntrySpec, symbol: str) -> None:
        self.module, self.plan, self.kernels, self.functions, self.spec = module, plan, kernels, functions, spec
        self.function = ir.Function(module, ir.FunctionType(POINTER, [POINTER, POINTER.as_pointer(), LONG, POINTER]), symbol)
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.miss = self.function.append_basic_block("miss")
        self.failed = self.function.append_basic_block("failed")
        self.context = self.builder.bitcast(self.field(self.function.args[0], DATA, POINTER), POINTER.as_pointer())
        self.dtypes = dtypes_of(n.dtype for n in (*plan.graph.inputs, *plan.graph.outputs))
        self.sizes: dict[Size, Value] = {}
        self.arrays: dict[Node, tuple[Value, list[Value]]] = {}  # data pointer, byte strides
        self.allocations: list[tuple[Node, Value]] = []

    # ------------------------------------------------------------------------------------------- small pieces
    def field(self, obj: Value, offset: int, kind: Any) -> Value:
        return self.builder.load(self.builder.bitcast(self.builder.gep(obj, [LONG(offset)]), kind.as_pointer()))

    def slot(self, number: int) -> Value:
        return self.builder.load(self.builder.gep(self.context, [LONG(number)]))

    def require(self, condition: Value, otherwise: Any = None) -> None:
        block = self.function.append_basic_block()
        self.builder.cbranch(condition, block, otherwise or self.miss)
        self.builder.position_at_end(block)

    def same(self, left: Value, right: Value) -> Value:
        return self.builder.icmp_unsigned("==", left, right)

    def python(self, name: str, result: Any, *arguments: Any) -> Any:
        found = self.module.globals.get(name)
        return found or ir.Function(self.module, ir.FunctionType(result, arguments), name)

    def size(self, size: Size) -> Value:
        if isinstance(size, int):
            return LONG(size)
        known = self.sizes.get(size)
        if known is None:
            total = LONG(0)
            for monomial, coefficient in size.terms:
                term = LONG(coefficient)
                for atom in monomial:
                    term = self.builder.mul(term, self.sizes[symbol_named(atom.name)] if isinstance(atom, Symbol) else self.opaque(atom))
                total = self.builder.add(total, term)
            known = self.sizes[size] = total
        return known

    def opaque(self, atom: Opaque) -> Value:
        return size_arithmetic(self.builder, atom.op, self.size(atom.left), self.size(atom.right))

    def amount(self, size: Size) -> Value:
        """A size as a double, which a product of large sizes does not overflow."""
        if isinstance(size, int):
            return DOUBLE(float(size))
        total = DOUBLE(0.0)
        for monomial, coefficient in size.terms:
            term = DOUBLE(float(coefficient))
            for atom in monomial:
                factor = self.sizes[symbol_named(atom.name)] if isinstance(atom, Symbol) else self.opaque(atom)
                term = self.builder.fmul(term, self.builder.sitofp(factor, DOUBLE))
            total = self.builder.fadd(total, term)
        return total

    # ------------------------------------------------------------------------------------------- arguments
    def arguments(self) -> None:
        _, args, count, names = self.function.args
        self.require(self.same(count, LONG(len(self.spec.arguments))))
        self.require(self.same(self.builder.ptrtoint(names, LONG), LONG(0)))
        later: list[tuple[Size, Value]] = []
        static = FIRST_DTYPE + len(self.dtypes)
        for position, argument in enumerate(self.spec.arguments):
            obj = self.builder.load(self.builder.gep(args, [LONG(position)]))
            if isinstance(argument, IgnoredArgument):
                self.require(self.same(obj, self.slot(static)))
                static += 1
            elif isinstance(argument, FloatArgument):
                self.number(obj, self.plan.graph.inputs[argument.position])
            else:
                self.array(obj, self.plan.graph.inputs[argument.position], later)
        for size, actual in later:
            self.require(self.same(self.size(size), actual))
        for guard in self.plan.graph.guards:
            self.require(self.holds(guard))
        for kernel in self.kernels:  # more than one block is for threads
            self.require(self.builder.fcmp_ordered("<=", self.amount(work(kernel.body)), DOUBLE(float(BLOCK))))

    def number(self, obj: Value, node: Node) -> None:
        self.require(self.same(self.field(obj, TYPE, POINTER), self.slot(FLOAT_TYPE)))
        self.arrays[node] = (self.builder.gep(obj, [LONG(NUMBER)]), [])

    def array(self, obj: Value, node: Node, later: list[tuple[Size, Value]]) -> None:
        self.require(self.same(self.field(obj, TYPE, POINTER), self.slot(ARRAY_TYPE)))
        self.require(self.same(self.field(obj, DESCR, POINTER), self.slot(FIRST_DTYPE + self.dtypes.index(node.dtype))))
        self.require(self.same(self.field(obj, NDIM, INT), INT(node.ndim)))
        self.require(self.builder.icmp_unsigned("!=", self.builder.and_(self.field(obj, FLAGS, INT), INT(ALIGNED)), INT(0)))
        shape = self.field(obj, SHAPE, LONG.as_pointer())
        strides = self.field(obj, STRIDES, LONG.as_pointer())
        for axis, size in enumerate(node.shape):
            actual = self.builder.load(self.builder.gep(shape, [LONG(axis)]))
            if isinstance(size, SizeExpr) and size not in self.sizes and symbols_of(size) == {str(size)}:
                self.require(self.builder.icmp_signed("!=", actual, LONG(1)))
                self.sizes[size] = actual
            else:
                later.append((size, actual))
        self.arrays[node] = (self.field(obj, DATA, POINTER),
                             [self.builder.load(self.builder.gep(strides, [LONG(axis)])) for axis in range(node.ndim)])

    def holds(self, guard: Guard) -> Value:
        return self.builder.icmp_signed(guard.op, self.size(guard.left), self.size(guard.right))

    def count_hit(self) -> None:
        place = self.builder.bitcast(self.builder.gep(self.context, [LONG(HITS)]), LONG.as_pointer())
        self.builder.store(self.builder.add(self.builder.load(place), LONG(1)), place)

    # ------------------------------------------------------------------------------------------- memory
    def dense(self, node: Node, data: Value) -> None:
        """Record a C-contiguous buffer."""
        strides: list[Value] = []
        step = LONG(node.dtype.itemsize)
        for size in reversed(node.shape):
            strides.append(step)
            step = self.builder.mul(step, self.size(size))
        self.arrays[node] = (data, strides[::-1])

    def bytes_of(self, node: Node) -> Value:
        total = LONG(node.dtype.itemsize)
        for size in node.shape:
            total = self.builder.mul(total, self.size(size))
        return total

    def outputs(self) -> dict[Node, Value]:
        """Results: arrays made by NumPy, numbers in registers of the stack. Node -> array object."""
        objects: dict[Node, Value] = {}
        signature = ir.FunctionType(POINTER, [POINTER, INT, LONG.as_pointer(), INT, POINTER, POINTER, INT, INT, POINTER])
        new = self.builder.bitcast(self.slot(NEW), signature.as_pointer())
        for node in self.plan.graph.outputs:
            if not node.ndim:
                self.dense(node, self.builder.bitcast(self.entry_alloca(DOUBLE), POINTER))
                continue
            shape = self.entry_alloca(ir.ArrayType(LONG, node.ndim))
            shape = self.builder.bitcast(shape, LONG.as_pointer())
            for axis, size in enumerate(node.shape):
                self.builder.store(self.size(size), self.builder.gep(shape, [LONG(axis)]))
            null = ir.Constant(POINTER, None)
            made = self.builder.call(new, [self.slot(ARRAY_TYPE), INT(node.ndim), shape, INT(node.dtype.num), null, null, INT(0), INT(0),
                                           null])
            self.builder.store(made, self.object_slot(node))
            self.require(self.builder.icmp_unsigned("!=", self.builder.ptrtoint(made, LONG), LONG(0)), self.failed)
            self.dense(node, self.field(made, DATA, POINTER))
            objects[node] = made
        return objects

    def object_slot(self, node: Node) -> Value:
        """A stack slot, null until the array is made, so that a failure later can release it."""
        slot = self.entry_alloca(POINTER, zero=True)
        self.allocations.append((node, slot))
        return slot

    def entry_alloca(self, kind: Any, zero: bool = False) -> Value:
        with self.builder.goto_entry_block():
            made = self.builder.alloca(kind)
            if zero:
                self.builder.store(ir.Constant(kind, None), made)
            return made

    def temporaries(self) -> Value | None:
        """One block for all temporaries, 64-byte aligned each; the block, or None where there is none."""
        written = {b.name for k in self.kernels for b in k.buffers if b.written}
        nodes = [n for n, name in self.plan.buffers.items() if name in written and n not in self.arrays]
        small = [n for n in nodes if not n.ndim]
        for node in small:
            self.dense(node, self.builder.bitcast(self.entry_alloca(DOUBLE), POINTER))
        large = [n for n in nodes if n.ndim]
        if not large:
            return None
        offsets, total = [], LONG(64)
        for node in large:
            offsets.append(total)
            padded = self.builder.and_(self.builder.add(self.bytes_of(node), LONG(63)), LONG(-64))
            total = self.builder.add(total, padded)
        block = self.builder.call(self.python("malloc", POINTER, LONG), [total])
        self.require(self.builder.icmp_unsigned("!=", self.builder.ptrtoint(block, LONG), LONG(0)), self.failed)
        past = self.builder.and_(self.builder.ptrtoint(block, LONG), LONG(63))
        aligned = self.builder.gep(block, [self.builder.sub(LONG(0), past)])  # the first 64 bytes are spare
        for node, offset in zip(large, offsets, strict=True):
            self.dense(node, self.builder.gep(aligned, [offset]))
        return block

    # ------------------------------------------------------------------------------------------- kernels
    def run(self) -> None:
        """Pack the arguments of every kernel, then call them in order."""
        layouts = [ArgumentLayout.of(k) for k in self.kernels]
        packed = self.entry_alloca(ir.ArrayType(LONG, max(1, sum(layout.length for layout in layouts))))
        packed = self.builder.bitcast(packed, LONG.as_pointer())
        by_name = {name: node for node, name in self.plan.buffers.items()}
        calls: list[tuple[Any, Value, Value]] = []
        base = 0
        for kernel, function, layout in zip(self.kernels, self.functions, layouts, strict=True):
            values = [self.size(symbol_named(name)) for name in layout.sizes]
            for buffer in kernel.buffers:
                data, strides = self.arrays[by_name[buffer.name]]
                values += [self.builder.ptrtoint(data, LONG), *strides]
            for k, value in enumerate(values):
                self.builder.store(value, self.builder.gep(packed, [LONG(base + k)]))
            calls.append((function, self.size(main_extent(kernel)), self.builder.gep(packed, [LONG(base)])))
            base += layout.length
        for function, stop, arguments in calls:
            self.builder.call(function, [LONG(0), stop, arguments])

    # ------------------------------------------------------------------------------------------- results
    def result(self, objects: dict[Node, Value], structure: Structure) -> Value:
        if isinstance(structure, tuple):
            items = [self.result(objects, s) for s in structure]
            made = self.builder.call(self.python("PyTuple_New", POINTER, LONG), [LONG(len(items))])
            for k, item in enumerate(items):
                self.builder.call(self.python("PyTuple_SetItem", INT, POINTER, LONG, POINTER), [made, LONG(k), item])
            return made
        node = self.plan.graph.outputs[structure]
        if node in objects:
            return objects[node]
        scalar = self.builder.bitcast(self.slot(SCALAR), ir.FunctionType(POINTER, [POINTER, POINTER, POINTER]).as_pointer())
        descr = self.slot(FIRST_DTYPE + self.dtypes.index(node.dtype))
        return self.builder.call(scalar, [self.arrays[node][0], descr, ir.Constant(POINTER, None)])

    def emit(self) -> None:
        self.arguments()
        self.count_hit()
        objects = self.outputs()
        block = self.temporaries()
        self.run()
        if block is not None:
            self.builder.call(self.python("free", ir.VoidType(), POINTER), [block])
        self.builder.ret(self.result(objects, self.spec.result))
        self.builder.position_at_end(self.miss)
        vectorcall = self.python("PyObject_Vectorcall", POINTER, POINTER, POINTER.as_pointer(), LONG, POINTER)
        _, args, count, names = self.function.args
        self.builder.ret(self.builder.call(vectorcall, [self.slot(SLOW), args, count, names]))
        self.builder.position_at_end(self.failed)
        for _, slot in self.allocations:
            made = self.builder.load(slot)
            with self.builder.if_then(self.builder.icmp_unsigned("!=", self.builder.ptrtoint(made, LONG), LONG(0))):
                self.builder.call(self.python("Py_DecRef", ir.VoidType(), POINTER), [made])
        self.builder.ret(self.builder.call(self.python("PyErr_NoMemory", POINTER), []))


def emit_call_entry(module: Any, plan: Plan, kernels: Sequence[Kernel], functions: Sequence[Any], spec: EntrySpec, symbol: str) -> None:
    """Add the entry to the module of its kernels.

    Args:
        functions: the emitted kernels, `void(i64 start, i64 stop, i64* arguments)`.

    Raises:
        LoweringError: the plan calls routines that the entry cannot.
    """
    if not supports(plan, kernels, spec):
        raise LoweringError("this plan needs more than kernels over its arguments")
    _Emitter(module, plan, kernels, functions, spec, symbol).emit()
