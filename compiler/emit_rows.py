"""Row blocks to LLVM IR: their kernels and products run over one block of rows after another.

They become `void blocks(i64 start, i64 stop, i64* arguments)`, as a kernel does, with one argument more: the memory of the part.
[start, stop) is a range of parts. A member is a function with a kernel's signature, too; it is given the rows of the block as its
range and, for what is local, the address at which row 0 would lie if there were memory for every row.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from .alike import pattern
from .common_llvm import POINTER, SIGNATURE, Value, internal, leave_if_long, size_value, slot
from .loopnest import Buffer, Kernel, Member, Product, RowBlocks, Side
from .micro_kernel import multiply, walked
from .packing import ArgumentLayout
from .scalar_llvm import BOOL, INT64, register_type
from .sizes import Size, product
from .split import joining

__all__ = ["emit_row_blocks"]


def emit_row_blocks(module: Any, blocks: RowBlocks, symbol: str, kernel: Callable[[Kernel, str], Any]) -> Any:
    """Add row blocks to an LLVM module.

    Args:
        symbol: the name of the function, not taken in `module`; those of its members are named after it.
        kernel: gives the function of a kernel, under a symbol.

    Returns:
        the internal function `void(i64 start, i64 stop, i64* arguments)`, [start, stop) being a range of `blocks.parts`.
    """
    functions, products = [], dict[Any, Any]()
    for k, member in enumerate(blocks.members):
        if isinstance(step := member.step, Kernel):
            functions.append(kernel(step, f"{symbol}.{k}"))
            continue
        alike = pattern(step), step.groups.index(member.label)
        if alike not in products:
            products[alike] = _emit_product(module, step, member.label, f"{symbol}.{k}")
        functions.append(products[alike])
    function = _Emitter(module, blocks, symbol, functions, kernel).emit()
    leave_if_long(function)
    return function


def _emit_product(module: Any, step: Product, label: str, symbol: str) -> Any:
    """A product of two matrices for a range of the rows that `label` counts; one argument more says whether it is added."""
    function = internal(module, SIGNATURE, symbol)
    start, stop, arguments = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    layout = ArgumentLayout.of(step)
    slots = dict(layout.buffers)
    symbols = {name: slot(builder, arguments, k) for k, name in enumerate(step.sizes)}
    known: dict[Size, Value] = {}
    _, rows, inner, columns = step.groups

    def size(size: Size) -> Value:
        return size_value(builder, size, symbols, known)

    def tensor(side: Side) -> tuple[Value, dict[str, Value]]:
        """Its address at the first row of the range, and how far a step along each label leads, in bytes."""
        pointer, along = walked(builder, arguments, slots[side.buffer], side, size)
        strides = dict.fromkeys((rows, inner, columns), INT64(0)) | along
        return builder.gep(pointer, [builder.mul(start, strides[label])]), strides

    (a, along_a), (b, along_b), (c, along_c) = (tensor(side) for side in (step.left, step.right, step.out))
    count = {name: size(extent) for name, extent in step.extents} | {label: builder.sub(stop, start)}
    number = register_type(step.buffers[-1].dtype)
    added = builder.icmp_signed("!=", slot(builder, arguments, layout.length), INT64(0))
    builder.call(multiply(module, number), [
        a, along_a[rows], along_a[inner], b, along_b[inner], along_b[columns], c, along_c[rows],
        count[rows], count[inner], count[columns], ir.Constant(number, step.scale), added])
    builder.ret_void()
    return function


class _Emitter:
    def __init__(self, module: Any, blocks: RowBlocks, symbol: str, functions: Sequence[Any], kernel: Callable[[Kernel, str], Any]) -> None:
        self.module, self.blocks, self.symbol, self.functions, self.kernel = module, blocks, symbol, functions, kernel
        self.function = internal(module, SIGNATURE, symbol)
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.arguments = self.function.args[2]
        self.layout = ArgumentLayout.of(blocks)
        self.symbols = {name: slot(self.builder, self.arguments, k) for k, name in enumerate(blocks.sizes)}
        self.known: dict[Size, Value] = {}
        self.joins: dict[tuple[str, str], Any] = {}

    def size(self, size: Size) -> Value:
        return size_value(self.builder, size, self.symbols, self.known)

    def words(self, count: int) -> Value:
        return self.builder.alloca(INT64, count)

    def put(self, words: Value, values: Sequence[Value], first: int = 0) -> None:
        for k, value in enumerate(values, start=first):
            value = self.builder.ptrtoint(value, INT64) if isinstance(value.type, ir.PointerType) else value
            self.builder.store(value, self.builder.gep(words, [INT64(k)]))

    def strides(self, buffer: Buffer, shape: Sequence[Size]) -> list[Value]:
        """Of an array in C order, in bytes."""
        return [self.size(product(shape[axis + 1:]) * buffer.dtype.itemsize) for axis in range(buffer.rank)]

    def emit(self) -> Any:
        blocks, builder = self.blocks, self.builder
        extent, rows, parts = (self.size(s) for s in (blocks.extent, blocks.rows, blocks.parts))
        free = slot(builder, builder.bitcast(self.arguments, POINTER.as_pointer()), self.layout.length)
        place: dict[str, Value] = {}
        for buffer, shape in (*blocks.local, *blocks.sums):
            place[buffer.name] = free
            count = rows if (buffer, shape) in blocks.local else INT64(1)
            bytes_ = self.size(product(shape[1:] if (buffer, shape) in blocks.local else shape) * buffer.dtype.itemsize)
            end = builder.add(builder.mul(count, bytes_), INT64(63))
            free = builder.gep(free, [builder.and_(end, INT64(-64))])
        local = {b.name: self.strides(b, shape) for b, shape in blocks.local}
        given = dict(self.layout.buffers)
        packed: list[Value] = []
        for member in blocks.members:
            layout = ArgumentLayout.of(member.step)
            words = self.words(layout.length + 1)
            self.put(words, [self.symbols[name] for name in layout.sizes])
            for buffer in member.step.buffers:
                first = dict(layout.buffers)[buffer.name]
                if buffer.name in local:
                    self.put(words, local[buffer.name], first + 1)
                else:
                    self.put(words, [slot(builder, self.arguments, given[buffer.name] + k) for k in range(1 + buffer.rank)], first)
            packed.append(words)
        joined = self.words(7)

        def bound(part: Value) -> Value:
            return builder.sdiv(builder.mul(extent, part), parts)

        start, stop = bound(self.function.args[0]), bound(self.function.args[1])
        before, head = builder.block, self.function.append_basic_block("block")
        after = self.function.append_basic_block("done")
        builder.branch(head)  # at least once: sums over no rows are zero
        builder.position_at_end(head)
        first = builder.phi(INT64)
        first.add_incoming(start, before)
        past = builder.add(first, rows)
        last = builder.select(builder.icmp_signed("<", past, stop), past, stop)
        further = builder.icmp_signed(">", first, start)
        for member, words, function in zip(blocks.members, packed, self.functions, strict=True):
            self.run(member, words, function, (first, last), further, place, local)
            if isinstance(member.step, Kernel):
                self.join(member, joined, further, place)
        first.add_incoming(last, builder.block)
        builder.cbranch(builder.icmp_signed("<", last, stop), head, after)
        builder.position_at_end(after)
        builder.ret_void()
        return self.function

    def run(self, member: Member, words: Value, function: Any, rows: tuple[Value, Value], further: Value, place: dict[str, Value],
            local: dict[str, list[Value]]) -> None:
        """A member on the rows of a block. What it sums over rows is added, or put beside if there was a block before it."""
        builder, step = self.builder, member.step
        slots, given = dict(ArgumentLayout.of(step).buffers), dict(self.layout.buffers)
        for buffer in step.buffers:
            if buffer.name in local:
                shift = builder.neg(builder.mul(rows[0], local[buffer.name][0]))
                self.put(words, [builder.gep(place[buffer.name], [shift])], slots[buffer.name])
        if isinstance(step, Product):
            added = BOOL(1) if step.accumulate else further if member.reduces else BOOL(0)
            self.put(words, [builder.zext(added, INT64)], ArgumentLayout.of(step).length)
        else:
            for name, _ in member.reduces:
                whole = slot(builder, builder.bitcast(self.arguments, POINTER.as_pointer()), given[name])
                self.put(words, [builder.select(further, place[name], whole)], slots[name])
        builder.call(function, [*rows, words])

    def join(self, member: Member, words: Value, further: Value, place: dict[str, Value]) -> None:
        """What a kernel reduced in this block joins what it reduced before."""
        builder, given = self.builder, dict(self.layout.buffers)
        if not member.reduces:
            return
        shapes = {b.name: (b, shape) for b, shape in self.blocks.sums}
        with builder.if_then(further):
            for name, op in member.reduces:
                buffer, shape = shapes[name]
                key = op, buffer.dtype.str
                if key not in self.joins:
                    self.joins[key] = self.kernel(joining(op, buffer.dtype), f"{self.symbol}.join{len(self.joins)}")
                item, elements = INT64(buffer.dtype.itemsize), self.elements(shape)
                whole = slot(builder, self.arguments, given[name])
                self.put(words, [INT64(1), elements, whole, item, place[name], builder.mul(elements, item), item])
                builder.call(self.joins[key], [INT64(0), INT64(1), words])

    def elements(self, shape: Sequence[Size]) -> Value:
        return size_value(self.builder, product(shape), self.symbols, {})
