"""Loop nests to LLVM IR: what runs.

A kernel becomes `void kernel(i64 start, i64 stop, i64* arguments)`; `compiler.packing` states the layout of the
arguments, and [start, stop) is the range of the main loop where the kernel is splittable. Behind it are one or two
bodies, whose buffers are `noalias` parameters (LLVM knows no such promise for a pointer that was loaded): a body for
arrays that are dense along their innermost loop, which is vectorised with plain loads, and one for any strides; the
strides decide at the call.

Float arithmetic is strict. Only an accumulation marked `reassociate` carries fast-math flags, so that it may be split
into lanes; every other value has the same bits in a vector body, in its scalar tail and for any split of the range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from llvmlite import ir

from .across import across
from .alike import pattern
from .common_llvm import POINTER, SIGNATURE, Value, c_function, index_arithmetic, index_intrinsic, internal, loop_hint, size_value, slot
from .errors import LoweringError
from .loopnest import (
    Buffer,
    Convert,
    Index,
    IndexExpr,
    IndexOp,
    Kernel,
    Let,
    Literal,
    Load,
    Loop,
    Operand,
    Statement,
    Store,
    StoreAdd,
    names_of,
    walk,
)
from .ops.lowering import Lowering
from .packing import ArgumentLayout
from .peel import Peeled, peel
from .scalar_llvm import BOOL, BYTE, INT64, ir_type, register_type, scalar
from .segments import segments
from .sizes import Size
from .split import main_loop
from .statements import accesses, innermost
from .strips import FEWEST, LARGE_STRIP, ROWS, SIDE_BY_SIDE, STRIP, Strips, strips

__all__ = ["Lookup", "emit_kernel"]

Lookup = Callable[[str], Lowering]
Strides = Mapping[str, Mapping[int, int]]  # byte strides by buffer and axis
VECTORISED = 3000  # instructions; the time of LLVM's vectoriser is quadratic: 1 s for 2000, 13 s for 8000
HEAVY = 1000  # instructions of a kernel from which only one body is made: computing hides what strided loads cost
INLINED = 48  # functions of vector math in straight code; the others are called, or LLVM's time would run away
SHORT = 16  # loops of a known extent up to this are left to LLVM to unroll


def emit_kernel(module: Any, kernel: Kernel, symbol: str, lowering: Lookup) -> Any:
    """Add a kernel to an LLVM module.

    Args:
        module: the llvmlite `ir.Module` that receives it.
        kernel: the loop nest.
        symbol: the name of the function, not taken in `module`; its bodies are named after it.
        lowering: how an op is spelled, by name.

    Returns:
        the internal function `void(i64 start, i64 stop, i64* arguments)`.

    Raises:
        LoweringError: an op is not defined for its operands, or the kernel breaks an invariant of `loopnest`.
    """
    layout = dict(ArgumentLayout.of(kernel).buffers)
    entry = internal(module, SIGNATURE, symbol)
    builder = ir.IRBuilder(entry.append_basic_block("entry"))
    start, stop, arguments = entry.args
    # loaded as pointers: an inttoptr would hide from LLVM where they come from
    pointer_slots = builder.bitcast(arguments, POINTER.as_pointer())
    pointers = [slot(builder, pointer_slots, layout[buffer.name]) for buffer in kernel.buffers]
    strides = [slot(builder, arguments, place) for place in _stride_slots(kernel)]
    passed = [builder.sub(stride, INT64(1)) for stride in strides]

    def run(body: Kernel, suffix: str, known: Strides) -> None:
        made = _Body(module, body, f"{symbol}.{suffix}", lowering, known).emit()
        builder.call(made, [start, stop, arguments, *pointers, *passed])
        builder.ret_void()

    if (cut := segments(kernel)) is not None:
        pieces, frames = cut
        given = {buffer.name: pointer for buffer, pointer in zip(kernel.buffers, pointers, strict=True)}
        for frame in frames:  # not on the stack, which is short in some threads
            given[frame.name] = builder.call(c_function(module, "malloc", POINTER, INT64), [INT64(frame.length * frame.dtype.itemsize)])
        less_one = iter(passed)
        steps = {buffer.name: [next(less_one) for _ in range(buffer.rank)] for buffer in kernel.buffers}
        known_pieces: dict[Any, Any] = {}
        for number, piece in enumerate(pieces):
            alike = pattern(piece.kernel)
            if alike not in known_pieces:
                known_pieces[alike] = _Body(module, piece.kernel, f"{symbol}.{number}", lowering, {}).emit()
            own = piece.kernel.buffers[:len(piece.kernel.buffers) - len(piece.windows)]
            windows = zip(piece.windows, piece.kernel.buffers[len(own):], strict=True)
            begins = [builder.gep(given[frame], [INT64(first * window.dtype.itemsize)]) for (frame, first), window in windows]
            strides_ = [*(step for b in own for step in steps[b.name]), *[INT64(0)] * len(begins)]  # of windows not looked at
            builder.call(known_pieces[alike], [start, stop, arguments, *(given[b.name] for b in own), *begins, *strides_])
        for frame in frames:
            builder.call(c_function(module, "free", ir.VoidType(), POINTER), [given[frame.name]])
        builder.ret_void()
        return entry

    def where(slots: Sequence[tuple[int, int]], body: Kernel, suffix: str, known: Strides) -> None:
        """Run a body where slots have these values; go on where not."""
        found = [builder.icmp_signed("==", slot(builder, arguments, place), INT64(value)) for place, value in slots]
        condition = found[0]
        for other in found[1:]:
            condition = builder.and_(condition, other)
        with builder.if_then(condition, likely=True):
            run(body, suffix, known)

    dense = _dense(kernel) if sum(_weight(s, lowering) for s in walk(kernel.body)) <= HEAVY else {}
    variant = kernel.variant
    if variant is not None:
        short = replace(kernel, body=variant.body, across=False)
        known = _dense(short)
        for name, axis, count in variant.strides:
            known.setdefault(name, {})[axis] = count
        special = [(kernel.sizes.index(name), size) for name, size in variant.sizes]
        where([*special, *_stride_slots_of(kernel, known)], short, "short", known)
    if dense:
        where(_stride_slots_of(kernel, dense), kernel, "dense", dense)
    run(kernel, "strided" if dense else "body", {})
    return entry


def _stride_slots(kernel: Kernel) -> list[int]:
    """The slots of all strides, buffer by buffer."""
    slots = dict(ArgumentLayout.of(kernel).buffers)
    return [slots[buffer.name] + 1 + axis for buffer in kernel.buffers for axis in range(buffer.rank)]


def _is_function(statement: Statement, lowering: Lookup) -> bool:
    """Whether it is emitted as a function of vector math."""
    return isinstance(statement, Let) and lowering(statement.op).real.startswith("math ")


def _weight(statement: Statement, lowering: Lookup) -> int:
    """About how many instructions a statement is."""
    return 31 if _is_function(statement, lowering) else 1


def _stride_slots_of(kernel: Kernel, known: Strides) -> list[tuple[int, int]]:
    """(slot, value) of strides that are known."""
    layout = dict(ArgumentLayout.of(kernel).buffers)
    return [(layout[name] + 1 + axis, count) for name, strides in known.items() for axis, count in strides.items()]


def _met(kernel: Kernel) -> Iterator[tuple[str, tuple[IndexExpr, ...], str]]:
    """(buffer, index, the loop variable that is the fastest there) of the accesses in innermost loops."""
    rows = main_loop(kernel.body) if kernel.across else None
    if rows is None:
        yield from ((s.buffer, s.index, around[-1]) for s, around in innermost(kernel.body))
    else:
        yield from ((buffer, index, rows.index) for buffer, index, _ in accesses((rows,)))


def _dense(kernel: Kernel) -> dict[str, dict[int, int]]:
    """For each buffer without a promise, the axis along which innermost loops walk, with the stride of one element.

    Absent where they walk along none or several.
    """
    strided = {buffer.name for buffer in kernel.buffers if not buffer.contiguous}
    walked: dict[str, set[int]] = {}
    for buffer, place, fastest in _met(kernel):
        if buffer in strided:
            axes = [axis for axis, index in enumerate(place) if fastest in names_of(index)]
            if len(axes) == 1:
                walked.setdefault(buffer, set()).add(axes[0])
    size = {buffer.name: buffer.dtype.itemsize for buffer in kernel.buffers}
    return {name: {axes.pop(): size[name]} for name, axes in walked.items() if len(axes) == 1}


class _Body:
    """One body of a kernel, for buffers whose byte strides along some axes are known."""

    def __init__(self, module: Any, kernel: Kernel, symbol: str, lowering: Lookup, known: Strides) -> None:
        self.kernel, self.lowering = kernel, lowering
        self.buffers: dict[str, Buffer] = {buffer.name: buffer for buffer in kernel.buffers}
        pointers, strides = len(kernel.buffers), len(_stride_slots(kernel))
        parameters = [INT64, INT64, INT64.as_pointer(), *[POINTER] * pointers, *[INT64] * strides]
        self.function = internal(module, ir.FunctionType(ir.VoidType(), parameters), symbol)
        self.function.attributes.add("noinline")  # inlined twice into its caller, a large body costs twice to compile
        self.function.attributes.alignstack = 64  # wide registers are spilled there: LLVM adds no alignment once it knows
        self.start, self.stop, arguments = self.function.args[:3]
        self.pointers = dict(zip(self.buffers, self.function.args[3 : 3 + pointers], strict=True))
        for pointer in self.function.args[2 : 3 + pointers]:
            pointer.add_attribute("noalias")
        self.entry = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.sizes: dict[Size, Value] = {}
        self.symbols = {name: slot(self.entry, arguments, place) for place, name in enumerate(kernel.sizes)}
        self.strides = self._strides(iter(self.function.args[3 + pointers :]), known)
        self.builder = ir.IRBuilder(self.function.append_basic_block("body"))
        self.values: dict[str, Value] = {}
        self.dtypes: dict[str, np.dtype[Any]] = {}
        self.depths: dict[str, int] = {}
        self.meaning: dict[str, IndexExpr] = {}  # of names that were converted from an index
        self.constants: dict[Literal, Value] = {}
        self.inline = sum(_is_function(s, lowering) for s in kernel.body) <= INLINED
        self.ranges: dict[str, tuple[Value, Value]] = {}  # of loops over the rows of a strip
        self.free_order = not kernel.splittable or bool(kernel.reduces)  # blocks that are combined have fixed bounds

    def _strides(self, passed: Iterator[Value], known: Strides) -> dict[str, list[Value]]:
        """The stride of each axis of each buffer.

        A stride that LLVM sees as a bare unknown makes its vectoriser bet on a stride of one byte and leave everything
        else to a scalar loop. Strides are passed less one, so that they are a sum here, on which it places no bet.
        """
        strides: dict[str, list[Value]] = {}
        for buffer in self.kernel.buffers:
            found = [self.entry.add(next(passed), INT64(1), flags=("nsw",)) for _ in range(buffer.rank)]
            if buffer.contiguous and buffer.rank:
                found[-1] = INT64(buffer.dtype.itemsize)
            for axis, count in known.get(buffer.name, {}).items():
                found[axis] = INT64(count)
            strides[buffer.name] = found
        return strides

    def emit(self) -> Any:
        first = self.builder.block
        body = self.kernel.body
        if self.kernel.splittable:
            loop = main_loop(body)
            if loop is None or (loop.carried and not self.kernel.reduces):
                raise LoweringError(f"kernel {self.kernel.name} is marked splittable, but carries values round its main loop")
            at = body.index(loop)
            self._statements(body[:at], depth=0)
            if (found := (across if self.kernel.across else strips)(loop, self.buffers)) is None:
                self._loop(loop, self.start, self.stop, depth=1, split=not self.kernel.reduces)
            else:
                self._strips(loop, found, split=not self.kernel.reduces)
            self._statements(body[at + 1:], depth=0)
        else:
            self._statements(body, depth=0)
        self.builder.ret_void()
        self.entry.branch(first)
        return self.function

    # ------------------------------------------------------------ loops and statements
    def _statements(self, body: Sequence[Statement], depth: int) -> None:
        for statement in body:
            if isinstance(statement, Let):
                self._define(statement.target, self._let(statement), statement.dtype, depth)
            elif isinstance(statement, Load):
                self._define(statement.target, self._load(statement), self.buffers[statement.buffer].dtype, depth)
            elif isinstance(statement, Convert):
                self._define(statement.target, self._index(statement.index), np.dtype(np.int64), depth)
                self.meaning[statement.target] = statement.index
            elif isinstance(statement, Store):
                self._write(self._address(statement.buffer, statement.index), self._operand(statement.value))
            elif isinstance(statement, StoreAdd):
                self._store_add(statement)
            else:
                bounds = self.ranges.get(statement.index)
                start, stop = bounds if bounds is not None else (INT64(0), self._size(statement.extent))
                self._loop(statement, start, stop, depth + 1)

    def _define(self, name: str, value: Value, dtype: np.dtype[Any], depth: int) -> None:
        self.values[name], self.dtypes[name], self.depths[name] = value, dtype, depth

    def _loop(self, loop: Loop, start: Value, stop: Value, depth: int, split: bool = False) -> None:
        """Emit a loop, in segments where masks change in it."""
        peeled = peel(loop, self.meaning)
        trip = loop.extent if isinstance(loop.extent, int) else None
        if peeled is None:
            self._stretch(loop, start, stop, depth, trip, split)
            return
        versions: list[tuple[Value, Callable[[], None]]] = []
        points = [self._index(segment.stop) for segment in peeled.segments[:-1] if segment.stop is not None]
        if peeled.fixed:
            inside = self.builder.and_(self.builder.icmp_signed("<=", start, INT64(0)), self.builder.icmp_signed("<=", points[-1], stop))
            versions.append((inside, lambda: self._segments(loop, peeled, points, start, stop, depth, split, clipped=False)))
        ordered = BOOL(1)
        for low, high in peeled.unproven:
            ordered = self.builder.and_(ordered, self.builder.icmp_signed("<=", self._index(low), self._index(high)))
        versions.append((ordered, lambda: self._segments(loop, peeled, points, start, stop, depth, split, clipped=True)))
        if peeled.unproven:
            versions.append((BOOL(1), lambda: self._stretch(loop, start, stop, depth, trip, split)))
        self._first_that_holds(versions, loop, depth)

    def _first_that_holds(self, versions: Sequence[tuple[Value, Callable[[], None]]], loop: Loop, depth: int) -> None:
        """Several versions of a loop: a run takes the first whose condition holds, and the last one in any case."""
        builder = self.builder
        after = builder.append_basic_block(f"{loop.index}.joined") if len(versions) > 1 else None
        ends: list[tuple[list[Value], Any]] = []
        for condition, emit in versions[:-1]:
            chosen, other = (builder.append_basic_block(f"{loop.index}.version") for _ in range(2))
            builder.cbranch(condition, chosen, other)
            builder.position_at_end(chosen)
            emit()
            ends.append(([self.values[carried.name] for carried in loop.carried], builder.block))
            builder.branch(after)
            builder.position_at_end(other)
        versions[-1][1]()
        if after is None:
            return
        ends.append(([self.values[carried.name] for carried in loop.carried], builder.block))
        builder.branch(after)
        builder.position_at_end(after)
        for number, carried in enumerate(loop.carried):
            final = builder.phi(register_type(carried.dtype), carried.name)
            for values, block in ends:
                final.add_incoming(values[number], block)
            self._define(carried.name, final, carried.dtype, depth - 1)

    def _segments(self, loop: Loop, peeled: Peeled, points: Sequence[Value], start: Value, stop: Value, depth: int,
                  split: bool, clipped: bool) -> None:
        """One stretch after another; those beyond [start, stop) are cut off, or are known to be inside."""
        builder = self.builder
        for segment, point in zip(peeled.segments, [*points, stop], strict=True):
            last = segment is peeled.segments[-1]
            end = index_intrinsic(builder, "llvm.smin", point, stop) if clipped and not last else point
            part = replace(loop, body=segment.body)
            if segment.length == 1:
                self._once(part, builder.sub(point, INT64(1)), start, end, depth, conditional=clipped or last)
            else:
                self._stretch(part, start, end, depth, segment.length, split)
            start = index_intrinsic(builder, "llvm.smax", start, end) if clipped and not last else end
            loop = replace(loop, carried=tuple(replace(c, initial=c.name) for c in loop.carried))

    def _once(self, loop: Loop, index: Value, start: Value, stop: Value, depth: int, conditional: bool) -> None:
        """The body of a loop for one index, where that is within [start, stop)."""
        builder = self.builder
        initial = [self._operand(carried.initial) for carried in loop.carried]
        before, after = builder.block, None
        if conditional:
            inside, after = (builder.append_basic_block(f"{loop.index}.{name}") for name in ("once", "skipped"))
            builder.cbranch(builder.icmp_signed("<", start, stop), inside, after)
            builder.position_at_end(inside)
        self._define(loop.index, index, np.dtype(np.int64), depth)
        for carried, value in zip(loop.carried, initial, strict=True):
            self._define(carried.name, value, carried.dtype, depth)
        self._statements(loop.body, depth)
        finals = [self.values[carried.update] for carried in loop.carried]
        if after is not None:
            end = builder.block
            builder.branch(after)
            builder.position_at_end(after)
        for carried, first, last in zip(loop.carried, initial, finals, strict=True):
            final = last
            if after is not None:
                final = builder.phi(register_type(carried.dtype), carried.name)
                final.add_incoming(first, before)
                final.add_incoming(last, end)
            self._define(carried.name, final, carried.dtype, depth - 1)

    def _stretch(self, loop: Loop, start: Value, stop: Value, depth: int, trip: int | None, split: bool) -> None:
        """Emit a loop in rotated form: guard, body, latch. `trip`: the most iterations, where known.

        Where every loop inside the split one is short and of known extent, LLVM may unroll them all and turn the split
        loop into lanes. A free order of accumulation would then differ between the vector body and the scalar tail, and
        the result would depend on the split: such accumulations keep their order.
        """
        builder, outer = self.builder, (self.free_order, self.inline)
        vectorised = sum(_weight(statement, self.lowering) for statement in loop.body) <= VECTORISED
        short = trip is not None and trip <= SHORT
        self.free_order, self.inline = self.free_order or not (split or short), vectorised
        initial = [self._operand(carried.initial) for carried in loop.carried]
        before, inside = builder.block, builder.append_basic_block(f"{loop.index}.loop")
        after = builder.append_basic_block(f"{loop.index}.done")
        builder.cbranch(builder.icmp_signed("<", start, stop), inside, after)

        builder.position_at_end(inside)
        index = builder.phi(INT64, loop.index)
        index.add_incoming(start, before)
        self._define(loop.index, index, np.dtype(np.int64), depth)
        running = []
        for carried, value in zip(loop.carried, initial, strict=True):
            phi = builder.phi(register_type(carried.dtype), carried.name)
            phi.add_incoming(value, before)
            self._define(carried.name, phi, carried.dtype, depth)
            running.append(phi)
        self._statements(loop.body, depth)
        updates = [self.values[carried.update] for carried in loop.carried]
        following = builder.add(index, INT64(1), flags=("nuw", "nsw"))
        latch = builder.block
        index.add_incoming(following, latch)
        for phi, value in zip(running, updates, strict=True):
            phi.add_incoming(value, latch)
        branch = builder.cbranch(builder.icmp_signed("<", following, stop), inside, after)
        if loop.carried and trip is not None and not short:
            branch.set_metadata("llvm.loop", self._hint("llvm.loop.unroll.disable"))
        elif not vectorised:
            branch.set_metadata("llvm.loop", self._hint("llvm.loop.vectorize.enable", BOOL(0)))
        self.free_order, self.inline = outer

        builder.position_at_end(after)
        for carried, first, last in zip(loop.carried, initial, updates, strict=True):
            final = builder.phi(register_type(carried.dtype), carried.name)
            final.add_incoming(first, before)
            final.add_incoming(last, latch)
            self._define(carried.name, final, carried.dtype, depth - 1)

    def _strips(self, loop: Loop, found: Strips, split: bool) -> None:
        """The main loop in strips of rows, each of which goes through all phases."""
        builder = self.builder
        most, strip = (SIDE_BY_SIDE, LARGE_STRIP) if found.across else (ROWS, STRIP)
        for local in found.local:
            self.buffers[local.name] = local
            room = self.entry.alloca(ir_type(local.dtype), most)
            room.align = 64
            self.pointers[local.name] = self.entry.bitcast(room, POINTER)
            self.strides[local.name] = [INT64(local.dtype.itemsize)]
        elements = index_intrinsic(builder, "llvm.smax", self._size(found.elements), INT64(1))
        rows = index_intrinsic(builder, "llvm.smin", builder.udiv(INT64(strip), elements), INT64(most))
        rows = index_intrinsic(builder, "llvm.smax", rows, INT64(FEWEST if found.across else 1))
        initial = [self._operand(carried.initial) for carried in loop.carried]
        before = builder.block
        inside, after = (builder.append_basic_block(f"{loop.index}.{name}") for name in ("strip", "strips.done"))
        builder.cbranch(builder.icmp_signed("<", self.start, self.stop), inside, after)
        builder.position_at_end(inside)
        first = builder.phi(INT64, found.first)
        first.add_incoming(self.start, before)
        self._define(found.first, first, np.dtype(np.int64), 1)
        running = [builder.phi(register_type(carried.dtype), carried.name) for carried in loop.carried]
        for carried, phi, value in zip(loop.carried, running, initial, strict=True):
            phi.add_incoming(value, before)
            self._define(carried.name, phi, carried.dtype, 1)
        end = index_intrinsic(builder, "llvm.smin", builder.add(first, rows, flags=("nsw",)), self.stop)
        self.ranges[loop.index] = first, end
        for phase in found.phases:
            if phase.index == loop.index:
                self._loop(phase, first, end, depth=2, split=split)
            else:
                self._statements((phase,), depth=1)
        finals = [self.values[carried.name] for carried in loop.carried]
        latch = builder.block
        first.add_incoming(end, latch)
        for phi, value in zip(running, finals, strict=True):
            phi.add_incoming(value, latch)
        builder.cbranch(builder.icmp_signed("<", end, self.stop), inside, after)
        builder.position_at_end(after)
        for carried, value, last in zip(loop.carried, initial, finals, strict=True):
            final = builder.phi(register_type(carried.dtype), carried.name)
            final.add_incoming(value, before)
            final.add_incoming(last, latch)
            self._define(carried.name, final, carried.dtype, 0)

    def _hint(self, name: str, *values: Value) -> Any:
        module = self.function.module
        return loop_hint(module, ir.MetaDataString(module, name), *values)

    def _let(self, statement: Let) -> Value:
        dtypes = [
            argument.dtype if isinstance(argument, Literal) else self.dtypes[argument] for argument in statement.args
        ]
        arguments = [self._operand(argument) for argument in statement.args]
        return scalar(self.builder, self.lowering(statement.op), statement, arguments, dtypes, self.free_order, self.inline)

    def _operand(self, operand: Operand) -> Value:
        if not isinstance(operand, Literal):
            return self.values[operand]
        if operand.dtype.kind == "f":
            with np.errstate(over="ignore"):
                return ir.Constant(register_type(operand.dtype), float(operand.dtype.type(operand.value)))
        return ir.Constant(register_type(operand.dtype), int(operand.value))

    # ------------------------------------------------------------ memory
    def _constant(self, literal: Literal) -> Value:
        """A literal in read-only memory."""
        value = self._operand(literal)
        found = self.constants.get(literal)
        if found is None:
            memory = BYTE(value.constant) if literal.dtype.kind == "b" else value
            found = ir.GlobalVariable(
                self.function.module, memory.type, f"{self.function.name}.constant{len(self.constants)}"
            )
            found.linkage, found.global_constant, found.initializer, found.unnamed_addr = "internal", True, memory, True
            self.constants[literal] = found
        return found

    def _address(self, name: str, index: Sequence[IndexExpr], inbounds: bool = True) -> Value:
        """A pointer to an element. What does not vary in the innermost loop is added first, so that it is hoisted."""
        buffer, builder = self.buffers[name], self.builder
        if len(index) != buffer.rank:
            raise LoweringError(
                f"kernel {self.kernel.name}: buffer {name} of rank {buffer.rank} is indexed by {len(index)} indices"
            )
        pointer = self.pointers[name]
        order = sorted(range(buffer.rank), key=lambda axis: self._depth(index[axis]))
        offset = None
        for axis in order:
            if index[axis] == 0:
                continue
            step = builder.mul(self._index(index[axis]), self.strides[name][axis], flags=("nsw",))
            offset = step if offset is None else builder.add(offset, step, flags=("nsw",))
        if offset is not None:
            pointer = builder.gep(pointer, [offset], inbounds=inbounds)
        return builder.bitcast(pointer, ir_type(buffer.dtype).as_pointer())

    def _depth(self, expression: IndexExpr) -> int:
        return max((self.depths[name] for name in names_of(expression)), default=0)

    def _read(self, address: Value, dtype: np.dtype[Any]) -> Value:
        value = self.builder.load(address)
        return self.builder.icmp_unsigned("!=", value, BYTE(0)) if dtype.kind == "b" else value

    def _write(self, address: Value, value: Value) -> None:
        if value.type == ir.IntType(1):
            value = self.builder.zext(value, BYTE)
        self.builder.store(value, address)

    def _load(self, statement: Load) -> Value:
        dtype = self.buffers[statement.buffer].dtype
        if statement.when is None:
            return self._read(self._address(statement.buffer, statement.index), dtype)
        if statement.otherwise is None:
            raise LoweringError(f"kernel {self.kernel.name}: conditional load of {statement.target} has no other value")
        # where the condition is false the other value itself is read, from a constant: an empty buffer has no safe
        # element, a branch would become a masked load, and those are slow where the masked lanes leave mapped memory
        pointer = self._address(statement.buffer, statement.index, inbounds=False)
        fallback = self.builder.bitcast(self._constant(statement.otherwise), pointer.type)
        return self._read(self.builder.select(self.values[statement.when], pointer, fallback), dtype)

    def _store_add(self, statement: StoreAdd) -> None:
        dtype = self.buffers[statement.buffer].dtype
        address, value = self._address(statement.buffer, statement.index), self._operand(statement.value)
        plus = self.builder.fadd if dtype.kind == "f" else self.builder.or_ if dtype.kind == "b" else self.builder.add
        self._write(address, plus(self._read(address, dtype), value))

    # ------------------------------------------------------------ integers
    def _index(self, expression: IndexExpr) -> Value:
        """The value of an index expression, without recursion: generated index arithmetic can be deep."""
        pending: list[IndexExpr | str] = [expression]
        done: list[Value] = []
        while pending:
            current = pending.pop()
            if isinstance(current, str):
                right, left = done.pop(), done.pop()
                done.append(index_arithmetic(self.builder, current, left, right))
            elif isinstance(current, IndexOp):
                pending += [current.op, current.right, current.left]
            elif isinstance(current, Index):
                done.append(self.values[current.name])
            else:
                done.append(self._size(current))
        return done.pop()

    def _size(self, size: Size) -> Value:
        """The value of a size; computed once, at the entry, since it is the same in every iteration."""
        return size_value(self.entry, size, self.symbols, self.sizes)
