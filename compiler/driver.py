"""The driver: a function, emitted beside the kernels, that runs a whole plan without Python.

    i64 driver(i8** context, i64* inputs, i8** results, i64* numbers)

It checks the sizes and guards of the inputs, has NumPy make the results, lays out the temporaries in one block, runs the
kernels, large ones in blocks on several threads (`blocks` says which blocks, so the results have the same bits as from any
other way to run them), and combines what the blocks reduced. Around large work it releases the interpreter's lock.

Between kernels it calls Python: a routine gets the sizes of the graph's symbols (in the order of their names) and arrays over
the memory of its operands, which it must not write or keep, and returns an array; a check returns None, or raises.

For each input `inputs` has its data pointer, its sizes and its strides; `results` receives an array for each output with
axes, unless the caller has put one there, which is then written; `numbers` has room for the others.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite import ir

from .blocks import BLOCK, COPIED, MOST_BLOCKS, MOST_COPIES, ORDERED, WIDEST
from .common_llvm import c_function, internal, leave_if_long, size_arithmetic
from .emit_llvm import emit_kernel
from .emit_routines import emit_bounds, emit_routine
from .entry_spec import ARRAY_TYPE, BYTES, FIRST_DTYPE, NEW, PREPARE, ROUTINES, STREAMED, TABLE, dtypes_of
from .ir import Graph, Node
from .loopnest import Kernel, Product, RowBlocks, in_turn
from .memory_plan import plan_memory
from .native import NEW_ARRAY, READY, RELEASE, SCRATCH, SPREAD, STREAM_FROM
from .native_code import LARGE
from .ops.lowering import Lowering
from .ops.rules import INT64
from .packing import ArgumentLayout
from .products import squeezes
from .schedule import CallStep, CheckStep, Plan
from .sizes import Atom, Guard, Size, SizeExpr, Symbol, product, symbol as symbol_named, symbols_of, total
from .split import joining, main_extent, main_loop, work

if TYPE_CHECKING:
    from .scheduled import PlannedStep

__all__ = ["FAILED", "MISS", "OK", "Driver", "InputLayout", "drives", "field"]

Value = Any  # llvmlite has no annotations
Runnable = Kernel | Product | RowBlocks
BYTE, INT, LONG, DOUBLE = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.DoubleType()
POINTER = BYTE.as_pointer()
VOID = ir.VoidType()
OK, MISS, FAILED = range(3)  # what the driver returns: done; not for these inputs; an error is set
DATA, STRIDES, ALIGNED = 16, 40, 0x100  # offsets in PyArrayObject_fields, and a flag
JOB = 8  # words of a job before those of its copies
MOST_SLOTS = 4096  # of the kernels' arguments on the stack, which is short in some threads
MOST_KERNELS = 4096
MULTIPLICATIONS = 1 / 8  # of a matrix product, in statements
MOST_BYTES = 2.0**62  # and statements; more than any computer has


def drives(plan: Plan, steps: Sequence[Any]) -> bool:
    """Whether a driver can run these steps for inputs of any sizes."""
    shapes = [node.shape for node in plan.graph.inputs]
    symbols = {name for shape in shapes for size in shape for name in symbols_of(size)}
    bare = {str(size) for shape in shapes for size in shape if isinstance(size, SizeExpr)}
    kernels = [kernel for kernel, _ in in_turn(steps)]
    calls = [s.node for s in steps if isinstance(s, CallStep)]
    written = {b.name for k in kernels for b in k.buffers if b.written} | {plan.buffers[node] for node in calls}
    outputs = [plan.buffers[o] for o in plan.graph.outputs]
    return (not any(node.op.binds for node in calls)
            and not symbols - bare and len(kernels) <= MOST_KERNELS
            and len(set(outputs)) == len(outputs) and written.issuperset(outputs))


class Cut(NamedTuple):
    """What decides the blocks of a kernel: kernels of which all of it is equal have the same ones.

    Attributes:
        extent: iterations of the main loop, or parts.
        statements: in an iteration; 0 of parts, each of which is a block.
        copied: the bytes of what blocks have copies of.
        grain: blocks begin at multiples of it.
    """

    extent: Size
    statements: Size = 0
    copied: Size = 0
    grain: int = 1


class InputLayout:
    """The words of a driver's `inputs`."""

    def __init__(self, graph: Graph) -> None:
        self.first: list[int] = []
        self.length = 0
        for node in graph.inputs:
            self.first.append(self.length)
            self.length += 1 + 2 * node.ndim


def field(builder: Any, obj: Value, offset: int, kind: Any) -> Value:
    """What an object has at an offset."""
    return builder.load(builder.bitcast(builder.gep(obj, [LONG(offset)]), kind.as_pointer()))


class Driver:
    """The emitted function of a plan.

    Attributes:
        function: the LLVM function.
    """

    def __init__(self, module: Any, plan: Plan, steps: Sequence[PlannedStep], functions: Sequence[Any], run: Any, symbol: str,
                 lowering: Callable[[str], Lowering]) -> None:
        """`run` is `void(i64 which, i64 start, i64 stop, i64* arguments)`, `functions` are the kernels without `which`."""
        self.module, self.plan, self.functions, self.run = module, plan, functions, run
        # calls, and kernels with the size that says whether it runs: 1 or 0
        self.turns: list[tuple[Runnable | CallStep | CheckStep, Size]] = []
        for step in steps:
            self.turns += [(step, 1)] if isinstance(step, CallStep | CheckStep) else in_turn([step])
        self.kernels = [step for step, _ in self.turns if not isinstance(step, CallStep | CheckStep)]
        self.when = [when for step, when in self.turns if not isinstance(step, CallStep | CheckStep)]
        self.calls = [step for step, _ in self.turns if isinstance(step, CallStep | CheckStep)]
        self.called = {plan.buffers[s.node] for s in self.calls if isinstance(s, CallStep)}
        self.symbol, self.lowering = symbol, lowering
        signature = ir.FunctionType(LONG, [POINTER.as_pointer(), LONG.as_pointer(), POINTER.as_pointer(), LONG.as_pointer()])
        self.function = ir.Function(module, signature, symbol)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        self.context, self.inputs, self.results, self.numbers = self.function.args
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.miss = self.function.append_basic_block("miss")
        self.failed = self.function.append_basic_block("failed")
        self.raised = self.function.append_basic_block("raised") if self.calls else None
        self.sizes: dict[Size | Atom | tuple[str, Atom], Value] = {}  # what is known of sizes; under ("double", atom) as doubles
        self.arrays: dict[str, tuple[Value, list[Value]]] = {}  # data pointer, byte strides
        self.node = {name: node for node, name in plan.buffers.items()}
        self.outputs = {plan.buffers[node]: k for k, node in enumerate(plan.graph.outputs)}
        self.joins: dict[tuple[str, str], Any] = {}
        self.past_caches: dict[Kernel, Value] = {}  # places of 1 where they write past the caches, of 0 where not
        self.held: list[Value] = []  # places of references
        self.last_turn: dict[str, int] = {}  # that reads a buffer, or what may be a view of it
        self.made: dict[str, Value] = {}  # the places of the results of routines that are still read
        self.symbols = sorted({name for node in plan.graph.inputs for size in node.shape for name in symbols_of(size)})
        self.thread = self.variable(POINTER)
        self._emit()
        leave_if_long(self.function)

    # ------------------------------------------------------------------------------------------- small pieces
    def slot(self, number: int, context: Value = None) -> Value:
        return self.builder.load(self.builder.gep(context or self.context, [LONG(number)]))

    def field(self, obj: Value, offset: int, kind: Any) -> Value:
        return field(self.builder, obj, offset, kind)

    def native(self, number: int, result: Any, *arguments: Any, context: Value = None) -> Value:
        """A function of the shared code."""
        table = self.builder.bitcast(self.slot(TABLE, context), POINTER.as_pointer())
        found = self.builder.load(self.builder.gep(table, [LONG(number)]))
        return self.builder.bitcast(found, ir.FunctionType(result, arguments).as_pointer())

    def external(self, name: str, result: Any, *arguments: Any) -> Any:
        return c_function(self.module, name, result, *arguments)

    def require(self, condition: Value, otherwise: Any = None) -> None:
        block = self.function.append_basic_block()
        self.builder.cbranch(condition, block, otherwise or self.miss)
        self.builder.position_at_end(block)

    def is_null(self, pointer: Value) -> Value:
        return self.builder.icmp_unsigned("==", self.builder.ptrtoint(pointer, LONG), LONG(0))

    def variable(self, kind: Any, value: Any = None) -> Value:
        """A place on the stack."""
        with self.builder.goto_entry_block():
            made = self.builder.alloca(kind)
            if value is not None:
                self.builder.store(value, made)
            return made

    def words(self, count: int) -> Value:
        return self.builder.bitcast(self.variable(ir.ArrayType(LONG, max(1, count))), LONG.as_pointer())

    def put(self, words: Value, values: Sequence[Value], first: int = 0) -> None:
        for k, value in enumerate(values):
            if value.type != LONG:
                value = self.builder.ptrtoint(value, LONG)
            self.builder.store(value, self.builder.gep(words, [LONG(first + k)]))

    @contextmanager
    def only_if(self, condition: Value) -> Iterator[None]:
        """A part that is seldom run. What it computes of sizes is not known outside of it."""
        known = dict(self.sizes)
        with self.builder.if_then(condition, likely=False):
            yield
        self.sizes = known

    # ------------------------------------------------------------------------------------------- sizes
    def size(self, size: Size) -> Value:
        if isinstance(size, int):
            return LONG(size)
        if size not in self.sizes:
            self.sizes[size] = self.polynomial(size, self.atom, self.builder.mul, self.builder.add, LONG)
        return self.sizes[size]

    def polynomial(self, size: SizeExpr, atom: Callable[[Atom], Value], multiply: Callable[[Value, Value], Value],
                   add: Callable[[Value, Value], Value], constant: Callable[[int], Value]) -> Value:
        terms = []
        for monomial, coefficient in size.terms:
            factors = [*map(atom, monomial), *([constant(coefficient)] if coefficient != 1 or not monomial else [])]
            terms.append(reduce(multiply, factors))
        return reduce(add, terms)

    def atom(self, atom: Atom) -> Value:
        if isinstance(atom, Symbol):
            return self.sizes[symbol_named(atom.name)]
        if atom not in self.sizes:
            self.sizes[atom] = size_arithmetic(self.builder, atom.op, self.size(atom.left), self.size(atom.right))
        return self.sizes[atom]

    def double(self, atom: Atom) -> Value:
        key = "double", atom
        if key not in self.sizes:
            self.sizes[key] = self.builder.sitofp(self.atom(atom), DOUBLE)
        return self.sizes[key]

    def amount(self, size: Size) -> Value:
        """A size as a double, which a product of large sizes does not overflow."""
        if isinstance(size, int):
            return DOUBLE(float(size))
        return self.polynomial(size, self.double, self.builder.fmul, self.builder.fadd, lambda count: DOUBLE(float(count)))

    def take_inputs(self) -> None:
        """Sizes from shapes; every other size and every guard must then hold."""
        later: list[tuple[Size, Value]] = []
        for node, first in zip(self.plan.graph.inputs, InputLayout(self.plan.graph).first, strict=True):
            words = [self.builder.load(self.builder.gep(self.inputs, [LONG(first + k)])) for k in range(1 + 2 * node.ndim)]
            for size, actual in zip(node.shape, words[1:], strict=False):
                if isinstance(size, SizeExpr) and size not in self.sizes and symbols_of(size) == {str(size)}:
                    self.require_free(actual)
                    self.sizes[size] = actual
                else:
                    later.append((size, actual))
            self.arrays[self.plan.buffers[node]] = self.builder.inttoptr(words[0], POINTER), words[1 + node.ndim:]
        for size, actual in later:
            self.require(self.builder.icmp_signed("==", self.size(size), actual))
        for guard in self.plan.graph.guards:
            self.require(self.holds(guard))

    def require_free(self, size: Value) -> None:
        """Of an axis that any other size may have, it must not be 1: that broadcasts."""
        self.require(self.builder.icmp_signed("!=", size, LONG(1)))

    def holds(self, guard: Guard) -> Value:
        return self.builder.icmp_signed(guard.op, self.size(guard.left), self.size(guard.right))

    # ------------------------------------------------------------------------------------------- memory
    def bytes_of(self, node: Node) -> Size:
        total: Size = node.dtype.itemsize
        for size in node.shape:
            total = total * size
        return total

    def dense(self, name: str, data: Value) -> None:
        """Record a buffer without gaps, in C order or as its layout has it."""
        rank = self.node[name].ndim
        strides, layout = self.strides(name, range(rank)), self.plan.layouts.get(name)
        if layout is not None:
            short = ir.Constant(ir.IntType(1), 1)
            for symbol, size in layout.sizes:
                short = self.builder.and_(short, self.builder.icmp_signed("==", self.size(symbol_named(symbol)), LONG(size)))
            other = self.strides(name, layout.order)
            strides = [self.builder.select(short, there, here) for there, here in zip(other, strides, strict=True)]
        self.arrays[name] = (data, strides)

    def strides(self, name: str, order: Sequence[int]) -> list[Value]:
        """Byte strides of a buffer without gaps whose axes have this order, from the outermost one."""
        strides: dict[int, Value] = {}
        step = LONG(self.node[name].dtype.itemsize)
        for axis in reversed(order):
            strides[axis] = step
            step = self.builder.mul(step, self.size(self.node[name].shape[axis]))
        return [strides[axis] for axis in range(len(order))]

    def make_results(self, heavy: Value) -> None:
        for name, number in self.outputs.items():
            node = self.node[name]
            if name in self.called:
                continue
            if not node.ndim:
                self.dense(name, self.builder.bitcast(self.builder.gep(self.numbers, [LONG(number)]), POINTER))
                continue
            place = self.builder.gep(self.results, [LONG(number)])
            layout = self.plan.layouts.get(name)
            self.new_array(node, heavy, place, None if layout is None else self.strides(name, layout.order))
            made = self.builder.load(place)
            self.require(self.builder.not_(self.is_null(made)), self.failed)
            self.dense(name, self.field(made, DATA, POINTER))

    def new_array(self, node: Node, heavy: Value, place: Value, strides: Sequence[Value] | None = None) -> None:
        """Put a new array of a node's shape and dtype at a place where there is none; where memory is short it stays null.

        It lies in C order, or has these byte strides.
        """
        builder, null = self.builder, ir.Constant(POINTER, None)
        shape, bytes_ = self.words(node.ndim), self.size(self.bytes_of(node))
        lengths = [self.size(size) for size in node.shape]
        with builder.if_then(self.is_null(builder.load(place))):
            self.put(shape, lengths)
            steps: Value = ir.Constant(LONG.as_pointer(), None)
            if strides is not None:
                steps = self.words(node.ndim)
                self.put(steps, strides)
            with builder.if_else(heavy) as (large, small):
                with large:
                    function = self.native(NEW_ARRAY, POINTER, INT, LONG.as_pointer(), LONG.as_pointer(), INT, LONG)
                    builder.store(builder.call(function, [INT(node.ndim), shape, steps, INT(node.dtype.num), bytes_]), place)
                with small:
                    words = LONG.as_pointer()
                    kind = ir.FunctionType(POINTER, [POINTER, INT, words, INT, words, POINTER, INT, INT, POINTER])
                    function = builder.bitcast(self.slot(NEW), kind.as_pointer())
                    made = builder.call(function, [self.slot(ARRAY_TYPE), INT(node.ndim), shape, INT(node.dtype.num), steps, null,
                                                   INT(0), INT(0), null])
                    builder.store(made, place)

    def temporaries(self) -> tuple[dict[str, int], list[Size]]:
        """Parts of the block for temporaries with axes; the others lie on the stack."""
        written = {b.name for k in self.kernels for b in k.buffers if b.written} - self.outputs.keys()
        for name in sorted(written):
            if not self.node[name].ndim:
                self.dense(name, self.builder.bitcast(self.variable(LONG), POINTER))
        when: dict[str, set[Size]] = {}
        for kernel, size in zip(self.kernels, self.when, strict=True):
            for b in kernel.buffers:
                when.setdefault(b.name, set()).add(size)
        for call in self.calls:
            for name in self.operands(call):
                when.setdefault(name, set()).add(1)
        large = {name: self.bytes_of(self.node[name]) * (when[name].pop() if len(when[name]) == 1 else 1)
                 for name in written if self.node[name].ndim}
        steps = [(sorted(reads & large.keys()), sorted(writes & large.keys())) for reads, writes in self.touched()]
        return plan_memory(steps, large)

    def touched(self) -> Iterator[tuple[set[str], set[str]]]:
        """What each turn reads and writes; `last_turn` is noted."""
        behind: dict[str, set[str]] = {}  # what the result of a routine may be a view of
        for turn, (step, _) in enumerate(self.turns):
            if isinstance(step, CallStep | CheckStep):
                reads, writes = set(self.operands(step)), set[str]()
            else:
                reads, writes = ({b.name for b in step.buffers if b.written == w} for w in (False, True))
            reads = reads.union(*(behind.get(name, ()) for name in reads))
            if isinstance(step, CallStep):
                behind[self.plan.buffers[step.node]] = set() if step.node.op.runs else reads  # bodies return arrays of their own
            self.last_turn |= dict.fromkeys(reads, turn)
            yield reads, writes

    def allocate(self, heavy: Value, bytes_: Value) -> Value:
        """A block of at least so many bytes, aligned to 64."""
        place = self.variable(POINTER)
        self.block, self.aligned = place, self.variable(POINTER)
        with self.builder.if_else(heavy) as (large, small):
            with large:
                made = self.builder.call(self.native(SCRATCH, POINTER, LONG), [bytes_])
                self.builder.store(made, place)
                self.builder.store(made, self.aligned)
            with small:
                made = self.builder.call(self.external("malloc", POINTER, LONG), [self.builder.add(bytes_, LONG(64))])
                self.builder.store(made, place)
                past = self.builder.and_(self.builder.ptrtoint(made, LONG), LONG(63))
                self.builder.store(self.builder.gep(made, [self.builder.sub(LONG(64), past)]), self.aligned)
        self.require(self.builder.not_(self.is_null(self.builder.load(place))), self.failed)
        return self.builder.load(self.aligned)

    def free(self, heavy: Value) -> None:
        made = self.builder.load(self.block)
        with self.builder.if_else(heavy) as (large, small):
            with large:
                self.builder.call(self.native(RELEASE, VOID, POINTER), [made])
            with small:
                self.builder.call(self.external("free", VOID, POINTER), [made])

    def padded(self, bytes_: Value) -> Value:
        return self.builder.and_(self.builder.add(bytes_, LONG(63)), LONG(-64))

    # ------------------------------------------------------------------------------------------- blocks
    def copy_bytes(self, kernel: Runnable) -> Value:
        """The bytes of one block's copies of what a kernel reduces, and of other memory of its own, each padded."""
        total = self.own_bytes(kernel)
        for name, _ in kernel.reduces:
            total = self.builder.add(total, self.padded(self.size(self.bytes_of(self.node[name]))))
        return total

    def own_bytes(self, kernel: Runnable) -> Value:
        """The bytes that each part of row blocks works in, padded."""
        return self.padded(self.size(kernel.scratch)) if isinstance(kernel, RowBlocks) else LONG(0)

    def cut(self, kernel: Runnable) -> Cut | None:
        """What decides the blocks of a kernel; None where it runs in one."""
        if not kernel.splittable:
            return None
        if isinstance(kernel, Product | RowBlocks):
            return Cut(kernel.parts)
        loop = main_loop(kernel.body)
        assert loop is not None
        return Cut(loop.extent, 1 + work(loop.body), total(self.bytes_of(self.node[name]) for name, _ in kernel.reduces), kernel.grain)

    def blocks(self, cut: Cut) -> tuple[Value, Value]:
        """(how many blocks, iterations of each), as `blocks.block_bounds` has them."""
        if cut.statements == 0:
            return self.size(cut.extent), LONG(1)
        extent, statements = self.size(cut.extent), self.size(cut.statements)
        most, least = LONG(MOST_BLOCKS), LONG(BLOCK)
        if cut.copied != 0:
            copied = self.size(cut.copied)
            room = self.builder.udiv(LONG(MOST_COPIES), self.larger(copied, LONG(1)))
            most = self.larger(self.smaller(room, most), LONG(1))
            least = self.larger(self.builder.mul(copied, LONG(COPIED)), least)
        whole = self.builder.udiv(self.builder.mul(extent, statements), least)
        count = self.larger(self.smaller(whole, most), LONG(1))
        rows = self.builder.udiv(self.builder.add(extent, self.builder.sub(count, LONG(1))), count)
        if cut.grain > 1:
            grains = self.builder.udiv(self.builder.add(rows, LONG(cut.grain - 1)), LONG(cut.grain))
            rows = self.builder.mul(grains, LONG(cut.grain))
        some = self.larger(rows, LONG(1))
        return self.larger(self.builder.udiv(self.builder.add(extent, self.builder.sub(some, LONG(1))), some), LONG(1)), rows

    def larger(self, left: Value, right: Value) -> Value:
        return self.builder.select(self.builder.icmp_signed(">", left, right), left, right)

    def smaller(self, left: Value, right: Value) -> Value:
        return self.builder.select(self.builder.icmp_signed("<", left, right), left, right)

    # ------------------------------------------------------------------------------------------- kernels
    def run_kernel(self, number: int, arguments: Value, bounds: tuple[Value, Value] | None, copies: Value) -> None:
        """Run a kernel at once or in blocks, of which `bounds` has the places of their number and size."""
        kernel = self.kernels[number]
        if bounds is None:
            self.builder.call(self.functions[number], [LONG(0), LONG(1), arguments])
            return
        extent, count = self.size(main_extent(kernel)), self.builder.load(bounds[0])
        known = dict(self.sizes)
        with self.builder.if_else(self.builder.icmp_signed("==", count, LONG(1)), likely=True) as (whole, parts):
            with whole:
                self.builder.call(self.functions[number], [LONG(0), extent, arguments])
            with parts:
                layout = ArgumentLayout.of(kernel)
                slots = dict(layout.buffers)
                own: list[Value] = []
                held: list[tuple[str, str, Value, Value]] = []
                base = copies
                for name, op in kernel.reduces:
                    bytes_ = self.size(self.bytes_of(self.node[name]))
                    stride = self.padded(bytes_)
                    own += [LONG(slots[name]), base, stride]
                    held.append((name, op, base, stride))
                    base = self.builder.gep(base, [self.builder.mul(stride, count)])
                if isinstance(kernel, RowBlocks):
                    own += [LONG(layout.length), base, self.own_bytes(kernel)]
                self.put(self.job, own, JOB)
                rows = self.builder.load(bounds[1])
                self.builder.call(self.spread(), [self.context, self.job, LONG(number), rows, extent, count, arguments,
                                                  LONG(layout.words), LONG(len(own) // 3)])
                for name, op, base, stride in held:
                    self.combine(name, op, base, stride, count)
        self.sizes = known

    def spread(self) -> Any:
        """The function that has a job run, of which it is given the words that differ; the copies' words are there. Made once."""
        name = f"{self.symbol}.spread"
        function = self.module.globals.get(name)
        if function is None:
            words = LONG.as_pointer()
            kinds = [POINTER.as_pointer(), words, *[LONG] * 4, words, LONG, LONG]
            function = internal(self.module, ir.FunctionType(VOID, kinds), name)
            function.attributes.add("noinline")
            driver, self.builder = self.builder, ir.IRBuilder(function.append_basic_block("entry"))
            context, job, *rest = function.args
            self.put(job, [self.run, *rest])
            self.builder.call(self.native(SPREAD, VOID, words, context=context), [job])
            self.builder.ret_void()
            self.builder = driver
        return function

    def combine(self, name: str, op: str, copies: Value, stride: Value, count: Value) -> None:
        """Join the blocks' copies of a buffer, in order."""
        node, (out, _) = self.node[name], self.arrays[name]
        key = op, node.dtype.str
        if key not in self.joins:
            self.joins[key] = emit_kernel(self.module, joining(op, node.dtype), f"{self.symbol}.join{len(self.joins)}", self.lowering)
        bytes_ = self.size(self.bytes_of(node))
        elements = self.builder.udiv(bytes_, LONG(node.dtype.itemsize))
        self.builder.call(self.external("memcpy", POINTER, POINTER, POINTER, LONG), [out, copies, bytes_])
        words = self.words(7)
        self.put(words, [self.builder.sub(count, LONG(1)), elements, out, LONG(node.dtype.itemsize),
                         self.builder.gep(copies, [stride]), stride, LONG(node.dtype.itemsize)])
        self.builder.call(self.joins[key], [LONG(0), LONG(1), words])

    # ------------------------------------------------------------------------------------------- the whole
    def work(self) -> Value:
        """About how many statements all kernels run."""
        runs = [s for k in self.kernels for s in ([member.step for member in k.members] if isinstance(k, RowBlocks) else [k])]
        statements = self.amount(total(work(s.body) for s in runs if isinstance(s, Kernel)))
        multiplied = self.amount(total(product(size for _, size in s.extents) for s in runs if isinstance(s, Product)))
        return self.builder.fadd(statements, self.builder.fmul(multiplied, DOUBLE(MULTIPLICATIONS)))

    def _emit(self) -> None:
        builder = self.builder
        self.take_inputs()
        statements = self.work()
        place, parts = self.temporaries()
        self.require(builder.fcmp_ordered("<", statements, DOUBLE(MOST_BYTES / 8)))
        results = total(self.bytes_of(self.node[name]) for name in self.outputs)
        blocks = [(kernel, when) for kernel, when in zip(self.kernels, self.when, strict=True) if isinstance(kernel, RowBlocks)]
        large = self.amount(total([results, *parts, *(kernel.scratch * when for kernel, when in blocks)]))
        kept = LONG(0)
        offsets = []
        for part in parts:
            offsets.append(kept)
            kept = builder.add(kept, self.padded(self.size(part)))
        most_copies = self.variable(LONG, LONG(0))
        streamed = builder.bitcast(builder.gep(self.context, [LONG(STREAMED)]), LONG.as_pointer())
        builder.store(LONG(0), streamed)
        self.past_caches = {k: self.variable(LONG, LONG(0)) for k in self.kernels if isinstance(k, Kernel) and k.streams}
        for kernel, when in blocks:
            needed = builder.mul(self.own_bytes(kernel), self.size(when))
            builder.store(self.larger(needed, builder.load(most_copies)), most_copies)
        self.require(builder.fcmp_ordered("<", large, DOUBLE(MOST_BYTES)))
        heavy = builder.or_(builder.fcmp_ordered(">=", statements, DOUBLE(float(BLOCK))), builder.fcmp_ordered(">=", large, DOUBLE(LARGE)))
        cuts = [self.cut(kernel) for kernel in self.kernels]
        bounds = {cut: (self.variable(LONG, LONG(1)), self.variable(LONG, LONG(0))) if cut else None for cut in dict.fromkeys(cuts)}
        with self.only_if(heavy):
            self.prepare()
            self.choose_streams(streamed)
            for cut, places in bounds.items():
                for value, there in zip(self.blocks(cut), places, strict=True) if cut and places else ():
                    builder.store(value, there)
            for runs, when, cut in zip(self.kernels, self.when, cuts, strict=True):
                if (places := bounds[cut]) and (runs.reduces or isinstance(runs, RowBlocks)):
                    count = builder.load(places[0])
                    needed = builder.mul(self.copy_bytes(runs), builder.select(builder.icmp_signed("==", count, LONG(1)), LONG(0), count))
                    needed = builder.mul(needed, self.size(when))
                    builder.store(self.larger(needed, builder.load(most_copies)), most_copies)
        self.make_results(heavy)
        words = sum(ArgumentLayout.of(k).length + 1 for k in self.kernels)  # a product takes one word more
        beside = words if words > MOST_SLOTS else 0
        arguments_bytes = self.padded(LONG(8 * beside))
        needs_block = beside or bool(parts) or any((k.splittable and k.reduces) or isinstance(k, RowBlocks) for k in self.kernels)
        needed = builder.add(builder.add(kept, arguments_bytes), builder.load(most_copies))
        used = builder.bitcast(builder.gep(self.context, [LONG(BYTES)]), LONG.as_pointer())
        builder.store(builder.add(self.size(results), needed), used)
        packed = None if beside else self.words(words)
        copies: Value = ir.Constant(POINTER, None)
        has_block = builder.icmp_signed(">", needed, LONG(0)) if needs_block else None
        if has_block is not None:
            block = self.variable(POINTER)
            with builder.if_then(has_block):
                builder.store(self.allocate(heavy, needed), block)
            start = builder.load(block)
            for name, part in place.items():
                self.dense(name, builder.gep(start, [offsets[part]]))
            if beside:
                packed = builder.bitcast(builder.gep(start, [kept]), LONG.as_pointer())
            copies = builder.gep(start, [builder.add(kept, arguments_bytes)])
        first = self.pack_early(packed, copies)
        self.job = self.words(JOB + 3 * max((1 + len(k.reduces) for k in self.kernels if k.splittable), default=0))
        self.unlock(heavy)
        number = call = 0
        for turn, (step, when) in enumerate(self.turns):
            if isinstance(step, CallStep) and self.takes_view(step):
                call += 1
                continue
            if isinstance(step, CallStep | CheckStep):
                self.lock(heavy)
                self.drop_read(turn)
                self.call(step, call, heavy)
                self.unlock(heavy)
                call += 1
                continue
            arguments = builder.gep(packed, [LONG(first[number])])
            with nullcontext() if when == 1 else self.only_if(builder.icmp_signed("!=", self.size(when), LONG(0))):
                if self.reads_calls(step):
                    self.pack(step, arguments, copies)
                self.run_kernel(number, arguments, bounds[cuts[number]], copies)
            number += 1
        self.lock(heavy)
        self.release(has_block, heavy)
        builder.ret(LONG(OK))
        self.leave()
        if self.raised is not None:
            builder.position_at_end(self.raised)
            self.release(has_block, heavy)
            self.drop_results()
            builder.ret(self.raised_status())

    def unlock(self, heavy: Value) -> None:
        """Release the interpreter's lock for large work."""
        with self.builder.if_then(heavy, likely=False):
            self.builder.store(self.builder.call(self.external("PyEval_SaveThread", POINTER), []), self.thread)

    def lock(self, heavy: Value) -> None:
        """Take the lock again."""
        with self.builder.if_then(heavy, likely=False):
            self.builder.call(self.external("PyEval_RestoreThread", VOID, POINTER), [self.builder.load(self.thread)])

    def raised_status(self) -> Value:
        """What is returned where a call raised."""
        return LONG(FAILED)

    def release(self, has_block: Value | None, heavy: Value) -> None:
        """Give back what a run held."""
        for place in self.held:
            self.builder.call(self.external("Py_DecRef", VOID, POINTER), [self.builder.load(place)])
        if has_block is not None:
            with self.builder.if_then(has_block):
                self.free(heavy)

    def prepare(self) -> None:
        """Have the shared code loaded, where it is not."""
        table = self.builder.bitcast(self.slot(TABLE), LONG.as_pointer())
        ready = self.builder.load(self.builder.gep(table, [LONG(READY)]))
        with self.builder.if_then(self.builder.icmp_unsigned("==", ready, LONG(0)), likely=False):
            call = self.external("PyObject_Vectorcall", POINTER, POINTER, POINTER.as_pointer(), LONG, POINTER)
            none = ir.Constant(POINTER.as_pointer(), None), LONG(0), ir.Constant(POINTER, None)
            answer = self.builder.call(call, [self.slot(PREPARE), *none])
            self.require(self.builder.not_(self.is_null(answer)), self.failed)
            self.builder.call(self.external("Py_DecRef", VOID, POINTER), [answer])

    def choose_streams(self, streamed: Value) -> None:
        """Which kernels write past the caches; the bytes of that."""
        table = self.builder.bitcast(self.slot(TABLE), LONG.as_pointer())
        least = self.builder.load(self.builder.gep(table, [LONG(STREAM_FROM)]))
        for kernel, place in self.past_caches.items():
            names = kernel.streams
            bytes_ = self.size(sum((self.bytes_of(self.node[name]) for name in names), start=0))
            row = self.size(sum((prod(self.node[name].shape[1:], start=self.node[name].dtype.itemsize) for name in names), start=0))
            from_ = self.larger(least, LONG(ORDERED)) if kernel.reduces else least
            large, narrow = self.builder.icmp_signed(">=", bytes_, from_), self.builder.icmp_signed("<=", row, LONG(WIDEST))
            past = self.builder.zext(self.builder.and_(large, narrow), LONG)
            self.builder.store(past, place)
            self.builder.store(self.builder.add(self.builder.load(streamed), self.builder.mul(past, bytes_)), streamed)

    def reads_calls(self, kernel: Runnable) -> bool:
        """Whether arrays are among its arguments that routines make."""
        return not self.called.isdisjoint(b.name for b in kernel.buffers)

    def pack_early(self, packed: Value, copies: Value) -> list[int]:
        """The arguments of all kernels, which are put there where they are known; where each kernel's begin."""
        first: list[int] = []
        base = 0
        for kernel in self.kernels:
            first.append(base)
            base += ArgumentLayout.of(kernel).length + 1
        for kernel, place in zip(self.kernels, first, strict=True):
            if not self.reads_calls(kernel):
                self.pack(kernel, self.builder.gep(packed, [LONG(place)]), copies)
        return first

    def pack(self, kernel: Runnable, words: Value, copies: Value) -> None:
        """The arguments of a kernel."""
        values = [self.size(symbol_named(name)) for name in kernel.sizes]
        for buffer in kernel.buffers:
            data, strides = self.arrays[buffer.name]
            values += [data, *strides]
        if isinstance(kernel, Product):
            values.append(self.slot(ROUTINES[kernel.routine]))
        elif isinstance(kernel, RowBlocks):
            values.append(copies)
        elif kernel.streams:
            values.append(self.builder.load(self.past_caches[kernel]))
        self.put(words, values)

    # ------------------------------------------------------------------------------------------- calls of Python
    def operands(self, step: CallStep | CheckStep) -> list[str]:
        """The buffers that a call reads."""
        return [self.plan.buffers[n] for n in (step.node.inputs if isinstance(step, CallStep) else (step.indices,))]

    def takes_view(self, step: CallStep) -> bool:
        """Record a view of a buffer, which is arithmetic on its address and strides, where the step is one that no caller gets."""
        node, name = step.node, self.plan.buffers[step.node]
        viewed = None if name in self.outputs else _VIEWS.get(node.op.name)
        found = viewed(self, node, *self.arrays[self.plan.buffers[node.inputs[0]]]) if viewed is not None else None
        if found is not None:
            self.arrays[name] = found
        return found is not None

    def call(self, step: CallStep | CheckStep, number: int, heavy: Value) -> None:
        """Call a routine or a check, with the interpreter's lock."""
        builder = self.builder
        if isinstance(step, CheckStep):
            self.check(step, number)
            return
        node, name = step.node, self.plan.buffers[step.node]
        routine = emit_routine(self.module, node, f"{self.symbol}.routine{number}", self.plan.graph.short_sizes)
        result = self.made[name] = self.hold(ir.Constant(POINTER, None))
        if routine is None:
            builder.store(self.call_python(step, number), result)
        else:
            self.new_array(node, heavy, result)
            with builder.if_then(self.is_null(builder.load(result)), likely=False):
                builder.call(self.external("PyErr_NoMemory", POINTER), [])
                builder.branch(self.raised)
            data = self.field(builder.load(result), DATA, POINTER)
            declined = builder.call(routine, [self.tensors(step, data)])
            with self.only_if(builder.icmp_signed("!=", declined, LONG(0))):
                builder.call(self.external("Py_DecRef", VOID, POINTER), [builder.load(result)])
                builder.store(ir.Constant(POINTER, None), result)
                builder.store(self.call_python(step, number), result)
        made = builder.load(result)
        data, strides = self.field(made, DATA, POINTER), self.field(made, STRIDES, LONG.as_pointer())
        self.arrays[name] = data, [builder.load(builder.gep(strides, [LONG(axis)])) for axis in range(node.ndim)]
        if name in self.outputs:
            output = self.outputs[name]
            if node.ndim:  # instead of an array of the caller's, who copies it
                place = builder.gep(self.results, [LONG(output)])
                builder.call(self.external("Py_DecRef", VOID, POINTER), [builder.load(place)])
                builder.store(made, place)
                builder.store(ir.Constant(POINTER, None), result)
            else:
                number_ = builder.bitcast(builder.gep(self.numbers, [LONG(output)]), POINTER)
                builder.call(self.external("memcpy", POINTER, POINTER, POINTER, LONG), [number_, data, LONG(node.dtype.itemsize)])

    def check(self, step: CheckStep, number: int) -> None:
        """Look at the indices; the function in the context says what is wrong with them."""
        if step.indices.dtype != INT64:
            self.hold(self.call_python(step, number))
            return
        with self.only_if(self.outside(step, number)):
            self.hold(self.call_python(step, number))

    def outside(self, step: CheckStep, number: int) -> Value:
        """Whether some index, all of which are int64, is none of an element."""
        node, (data, strides) = step.indices, self.arrays[self.plan.buffers[step.indices]]
        words = self.words(2 + 2 * node.ndim)
        self.put(words, [data, *(self.size(size) for size in node.shape), *strides, self.size(step.size)])
        outside = self.builder.call(emit_bounds(self.module, node, f"{self.symbol}.bounds{number}"), [words])
        return self.builder.icmp_signed("!=", outside, LONG(0))

    def tensors(self, step: CallStep, made: Value) -> Value:
        """What a routine in emitted code takes: of each operand, and of the dense array at `made` that it writes, address, sizes and
        strides.
        """
        values: list[Value] = []
        for node in step.node.inputs:
            data, strides = self.arrays[self.plan.buffers[node]]
            values += [data, *(self.size(size) for size in node.shape), *strides]
        values += [made, *(self.size(size) for size in step.node.shape),
                   *self.strides(self.plan.buffers[step.node], range(step.node.ndim))]
        words = self.words(len(values))
        self.put(words, values)
        return words

    def call_python(self, step: CallStep | CheckStep, number: int) -> Value:
        """Call the function in the context; what it returns is a reference of the caller's."""
        builder, names = self.builder, self.symbols
        operands = self.operands(step)
        long = self.external("PyLong_FromLongLong", POINTER, LONG)
        arguments = [builder.call(long, [self.size(symbol_named(name))]) for name in names] + [self.view(name) for name in operands]
        places = [self.hold(argument) for argument in arguments]
        given = self.words(len(arguments))
        self.put(given, arguments)
        for argument in arguments:
            self.require(builder.not_(self.is_null(argument)), self.raised)
        ends = dtypes_of(n.dtype for n in (*self.plan.graph.inputs, *self.plan.graph.outputs))
        vectorcall = self.external("PyObject_Vectorcall", POINTER, POINTER, POINTER.as_pointer(), LONG, POINTER)
        routine, null = self.slot(FIRST_DTYPE + len(ends) + number), ir.Constant(POINTER, None)
        made = builder.call(vectorcall, [routine, builder.bitcast(given, POINTER.as_pointer()), LONG(len(arguments)), null])
        self.require(builder.not_(self.is_null(made)), self.raised)
        for place in places:
            builder.call(self.external("Py_DecRef", VOID, POINTER), [builder.load(place)])
            builder.store(null, place)
        return made

    def drop_read(self, turn: int) -> None:
        """Give back the results of routines that nobody reads from this turn on."""
        for name in [name for name in self.made if self.last_turn.get(name, 0) < turn]:
            place = self.made.pop(name)
            self.builder.call(self.external("Py_DecRef", VOID, POINTER), [self.builder.load(place)])
            self.builder.store(ir.Constant(POINTER, None), place)

    def hold(self, obj: Value) -> Value:
        """A place for a reference, which is given back at the end."""
        place = self.variable(POINTER, ir.Constant(POINTER, None))
        self.builder.store(obj, place)
        self.held.append(place)
        return place

    def view(self, name: str) -> Value:
        """An array over the memory of a buffer, which must not be written."""
        builder, node, (data, strides) = self.builder, self.node[name], self.arrays[name]
        shape, steps = self.words(node.ndim), self.words(node.ndim)
        self.put(shape, [self.size(size) for size in node.shape])
        self.put(steps, strides)
        kind = ir.FunctionType(POINTER, [POINTER, INT, LONG.as_pointer(), INT, LONG.as_pointer(), POINTER, INT, INT, POINTER])
        function = builder.bitcast(self.slot(NEW), kind.as_pointer())
        return builder.call(function, [self.slot(ARRAY_TYPE), INT(node.ndim), shape, INT(node.dtype.num), steps, data, INT(0),
                                       INT(ALIGNED), ir.Constant(POINTER, None)])

    def leave(self) -> None:
        """Nothing has been made where the driver misses; where it fails, what it made is released."""
        self.builder.position_at_end(self.miss)
        self.builder.ret(LONG(MISS))
        self.builder.position_at_end(self.failed)
        self.drop_results()
        self.builder.call(self.external("PyErr_NoMemory", POINTER), [])
        self.builder.ret(LONG(FAILED))

    def drop_results(self) -> None:
        for name, number in self.outputs.items():
            if self.node[name].ndim:
                made = self.builder.load(self.builder.gep(self.results, [LONG(number)]))
                self.builder.call(self.external("Py_DecRef", VOID, POINTER), [made])


# ------------------------------------------------------------------------------------------------ views
Viewed = tuple[Value, list[Value]]  # address, byte strides


def _permuted(driver: Driver, node: Node, data: Value, strides: list[Value]) -> Viewed:
    return data, [strides[axis] for axis in node.param("order")]


def _expanded(driver: Driver, node: Node, data: Value, strides: list[Value]) -> Viewed:
    at = dict(zip(node.param("axes"), strides, strict=True))
    return data, [at.get(axis, LONG(0)) for axis in range(node.ndim)]


def _sliced(driver: Driver, node: Node, data: Value, strides: list[Value]) -> Viewed:
    for start, stride in zip(node.param("start"), strides, strict=True):
        data = driver.builder.gep(data, [driver.builder.mul(driver.size(start), stride)])
    return data, [driver.builder.mul(driver.size(step), stride) for step, stride in zip(node.param("step"), strides, strict=True)]


def _flipped(driver: Driver, node: Node, data: Value, strides: list[Value]) -> Viewed:
    for axis in node.param("axes"):
        data = driver.builder.gep(data, [driver.builder.mul(driver.size(node.shape[axis] - 1), strides[axis])])
    return data, [driver.builder.neg(s) if axis in node.param("axes") else s for axis, s in enumerate(strides)]


def _squeezed(driver: Driver, node: Node, data: Value, strides: list[Value]) -> Viewed | None:
    if not squeezes(node):
        return None
    kept = iter(s for s, size in zip(strides, node.inputs[0].shape, strict=True) if size != 1)
    return data, [LONG(node.dtype.itemsize) if size == 1 else next(kept) for size in node.shape]


_VIEWS: Mapping[str, Callable[[Driver, Node, Value, list[Value]], Viewed | None]] = {
    "permute": _permuted, "expand": _expanded, "slice": _sliced, "flip": _flipped, "reshape": _squeezed,
}
