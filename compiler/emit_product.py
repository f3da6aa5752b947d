"""Matrix products to LLVM IR: calls of a BLAS routine, or code of our own, on matrices where they lie; loops where they are small.

A product becomes `void product(i64 start, i64 stop, i64* arguments)`, as a kernel does, with one argument more: the address
of the routine. Its parts lie side by side in the result, with bounds that depend on sizes alone, and BLAS runs on the thread
that calls it, so the result does not depend on how many threads there are.

The layout of an operand is known at the call only, and decided there without a copy: BLAS reads a matrix that is dense along
either axis, with any distance between rows. Several axes that lie like one are one; others are looped over, as a stack of
matrices is. Only a matrix that is dense along no axis (every second column, a row repeated, a reversed row) is copied first,
one matrix of the stack at a time.

Where the columns of the right operand are dense and all of it stays in a cache, `micro_kernel` multiplies faster than BLAS, which
packs what it reads. It also multiplies what BLAS cannot: sizes that do not fit its integers, matrices for whose copies memory is
short. Small products run as loops.
"""
from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

from llvmlite import ir

from .common_llvm import POINTER, SIGNATURE, Value, c_function, counted, internal, size_value, slot
from .loopnest import Product
from .micro_kernel import multiply, walked
from .packing import ArgumentLayout
from .scalar_llvm import BOOL, BYTE, INT64, register_type
from .sizes import Size

__all__ = ["SMALL", "emit_product"]

SMALL = 1024  # multiplications; below, a call of BLAS costs more than it saves
WIDTH = 16  # parts begin at multiples of it: no more than one of them ends with rows that fill no register
INT = ir.IntType(32)
LARGEST = (1 << 31) - 1
CACHED = 1 << 21  # bytes of a right operand that is read from a cache again and again
WIDE, FEW = 64, 4  # columns and rows from which on tiles of `multiply` are whole enough


def emit_product(module: Any, product: Product, symbol: str) -> Any:
    """Add a product to an LLVM module.

    Args:
        symbol: the name of the function, not taken in `module`.

    Returns:
        the internal function `void(i64 start, i64 stop, i64* arguments)`, [start, stop) being a range of `product.parts`.
    """
    function = internal(module, SIGNATURE, symbol)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    start, stop, arguments = function.args
    layout = ArgumentLayout.of(product)
    slots = dict(layout.buffers)
    symbols = {name: slot(builder, arguments, k) for k, name in enumerate(product.sizes)}
    known: dict[Size, Value] = {}

    def size(size: Size) -> Value:
        return size_value(builder, size, symbols, known)

    extents = dict(product.extents)
    labels = "".join(product.groups)
    values = [size(extents[label]) for label in labels]
    for side in (product.out, product.left, product.right):
        pointer, strides = walked(builder, arguments, slots[side.buffer], side, size)
        values += [pointer, *(strides.get(label, INT64(0)) for label in labels)]
    number = register_type(product.buffers[-1].dtype)
    builder.call(_core(module, number, tuple(map(len, product.groups))), [
        start, stop, size(product.parts), slot(builder, arguments, layout.length), ir.Constant(number, product.scale),
        BOOL(0 if product.accumulate else 1), *values])
    builder.ret_void()
    return function


def _core(module: Any, number: Any, lengths: tuple[int, ...]) -> Any:
    """The function of all products of an element type whose groups have so many labels, made once in a module."""
    name = f"product.{number}.{'.'.join(map(str, lengths))}"
    return module.globals.get(name) or _Emitter(module, number, lengths, name).emit()


@dataclass(frozen=True)
class _Tensor:
    """A side of the product at the call: its address, and how far a step along each label leads, in bytes."""

    pointer: Value
    strides: dict[str, Value]


@dataclass(frozen=True)
class _Operand:
    """A matrix as BLAS is told of it, by columns.

    Attributes:
        strides: along its rows and its columns, in bytes.
        transposed: whether it is passed as dense along its columns' axis.
        leading: the leading dimension.
        block: memory for a copy, null where none is needed.
    """

    tensor: _Tensor
    strides: tuple[Value, Value]
    transposed: Value
    leading: Value
    copied: Value
    block: Value


class _Emitter:
    def __init__(self, module: Any, number: Any, lengths: tuple[int, ...], symbol: str) -> None:
        self.module, self.number = module, number
        labels = [chr(ord("a") + k) for k in range(sum(lengths))]
        ends = [*accumulate(lengths, initial=0)]
        self.groups = ["".join(labels[first:last]) for first, last in pairwise(ends)]
        side = [POINTER, *[INT64] * len(labels)]
        kinds = [INT64, INT64, INT64, INT64, number, BOOL, *[INT64] * len(labels), *side * 3]
        self.function = internal(module, ir.FunctionType(ir.VoidType(), kinds), symbol)
        # without the first its loops over a stack are there once for each layout: forty times the code
        self.function.attributes.update({"optsize", "noinline"})
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.by_loops = self.function.append_basic_block("loops")
        self.item = INT64(4 if number == ir.FloatType() else 8)
        _, _, self.parts, self.routine, self.scale, self.fresh, *values = self.function.args
        self.values = values
        given = iter(values)
        self.extents = {label: next(given) for label in labels}
        self.out, self.left, self.right = (_Tensor(next(given), {label: next(given) for label in labels}) for _ in range(3))

    # ------------------------------------------------------------------------------------------- small pieces
    def times(self, *values: Value) -> Value:
        total = INT64(1)
        for value in values:
            total = self.builder.mul(total, value)
        return total

    def all(self, *conditions: Value) -> Value:
        result = BOOL(1)
        for condition in conditions:
            result = self.builder.and_(result, condition)
        return result

    def is_(self, left: Value, op: str, right: Value) -> Value:
        return self.builder.icmp_signed(op, left, right)

    def require(self, condition: Value, otherwise: Any) -> None:
        block = self.function.append_basic_block()
        self.builder.cbranch(condition, block, otherwise)
        self.builder.position_at_end(block)

    def place(self, kind: Any, value: Value) -> Value:
        """The address of a value, for a routine that takes all by reference."""
        with self.builder.goto_entry_block():
            place = self.builder.alloca(kind)
        self.builder.store(value, place)
        return place

    # ------------------------------------------------------------------------------------------- layout
    def joined(self, labels: str, sides: Sequence[_Tensor]) -> tuple[Value, list[tuple[str, Value]]]:
        """The extent of the group's last label, and loops over the others: once each, where all lie like one axis."""
        like_one = self.all(*(
            self.is_(side.strides[outer], "==", self.builder.mul(side.strides[label], self.extents[label]))
            for outer, label in pairwise(labels) for side in sides))
        extent = self.builder.select(like_one, self.times(*(self.extents[c] for c in labels)), self.extents[labels[-1]])
        return extent, [(c, self.builder.select(like_one, INT64(1), self.extents[c])) for c in labels[:-1]]

    def fits(self, count: Value, stride: Value, others: Value, step: Value) -> Value:
        """Whether BLAS can read it as `others` runs of `count` dense elements, the runs `step` apart."""
        builder = self.builder
        dense = builder.or_(self.is_(stride, "==", self.item), self.is_(count, "==", INT64(1)))
        apart = self.all(self.is_(step, ">=", builder.mul(count, self.item)),
                         self.is_(builder.srem(step, self.item), "==", INT64(0)),
                         self.is_(builder.sdiv(step, self.item), "<=", INT64(LARGEST)))
        return builder.and_(dense, builder.or_(apart, self.is_(others, "==", INT64(1))))

    def leading(self, count: Value, others: Value, step: Value) -> Value:
        """The leading dimension of runs that fit."""
        return self.builder.select(self.is_(others, "==", INT64(1)), count, self.builder.sdiv(step, self.item))

    def operand(self, tensor: _Tensor, rows: tuple[Value, str], columns: tuple[Value, str], as_it_lies: Value) -> _Operand:
        """How BLAS is told of a matrix; memory for its copy, where it needs one and the matrix is not multiplied `as_it_lies`."""
        builder, (u, u_label), (v, v_label) = self.builder, rows, columns
        su, sv = tensor.strides[u_label], tensor.strides[v_label]
        plain, transposed = self.fits(u, su, v, sv), self.fits(v, sv, u, su)
        transposed = builder.and_(transposed, builder.not_(plain))
        copied = builder.not_(builder.or_(plain, transposed))
        leading = builder.select(plain, self.leading(u, v, sv), builder.select(transposed, self.leading(v, u, su), u))
        place = self.place(POINTER, ir.Constant(POINTER, None))
        with builder.if_then(builder.and_(copied, builder.not_(as_it_lies)), likely=False):
            builder.store(builder.call(c_function(self.module, "malloc", POINTER, INT64), [self.times(u, v, self.item)]), place)
        return _Operand(tensor, (su, sv), transposed, leading, copied, builder.load(place))

    # ------------------------------------------------------------------------------------------- parts
    def cut(self, extent: Value, chosen: Value, part: Value, whole: int) -> tuple[Value, Value]:
        """What of an axis a part takes, in steps of `whole`: all of it, unless it is the axis that is cut."""
        builder = self.builder

        def bound(number: Value) -> Value:
            place = builder.and_(builder.sdiv(builder.mul(extent, number), self.parts), INT64(-whole))
            return builder.select(self.is_(number, "==", self.parts), extent, place)

        return (builder.select(chosen, bound(part), INT64(0)),
                builder.select(chosen, bound(builder.add(part, INT64(1))), extent))

    # ------------------------------------------------------------------------------------------- the function
    def emit(self) -> Any:
        builder, routine = self.builder, self.routine
        stack, rows, inner, columns = self.groups
        out, left, right = self.out, self.left, self.right
        m, row_loops = self.joined(rows, (out, left))
        k, inner_loops = self.joined(inner, (left, right))
        n, column_loops = self.joined(columns, (out, right))
        apart = self.leading(n, m, out.strides[rows[-1]])
        self.require(self.is_(self.times(m, k, n), ">", INT64(SMALL)), self.by_loops)
        by_blas = self.all(self.is_(routine, "!=", INT64(0)), *(self.is_(extent, "<=", INT64(LARGEST)) for extent in (m, k, n, apart)))
        cached = self.all(self.is_(right.strides[columns[-1]], "==", self.item), self.is_(n, ">=", INT64(WIDE)),
                          self.is_(m, ">=", INT64(FEW)), self.is_(self.times(k, n, self.item), "<=", INT64(CACHED)))
        by_blas = builder.and_(by_blas, builder.not_(cached))
        # by columns, the transpose of the result is the product of the transposes
        first = self.operand(right, (n, columns[-1]), (k, inner[-1]), builder.not_(by_blas))
        second = self.operand(left, (k, inner[-1]), (m, rows[-1]), builder.not_(by_blas))
        for x in (first, second):
            has_block = builder.icmp_unsigned("!=", x.block, ir.Constant(POINTER, None))
            by_blas = builder.and_(by_blas, builder.or_(builder.not_(x.copied), has_block))

        loops = [*((c, self.extents[c]) for c in stack), *row_loops, *column_loops]
        by_stack = self.is_(loops[0][1], ">=", self.parts) if loops else BOOL(0)
        by_rows = builder.and_(builder.not_(by_stack), self.is_(m, ">=", n))
        by_columns = builder.not_(builder.or_(by_stack, by_rows))
        with ExitStack() as nest:
            part = nest.enter_context(counted(builder, *self.function.args[:2]))
            at = {}
            for number, (label, extent) in enumerate(loops):
                at[label] = nest.enter_context(counted(builder, *self.cut(extent, BOOL(0) if number else by_stack, part, 1)))
            for label, extent in inner_loops:
                at[label] = nest.enter_context(counted(builder, INT64(0), extent))
            start = self.fresh
            for label, _ in inner_loops:
                start = builder.and_(start, self.is_(at[label], "==", INT64(0)))
            r, c = (self.cut(extent, chosen, part, WIDTH) for extent, chosen in ((m, by_rows), (n, by_columns)))
            moves = [(rows[-1], r[0]), (columns[-1], c[0]), *at.items()]
            extents = builder.sub(c[1], c[0]), builder.sub(r[1], r[0]), k
            target = self.moved(out, moves)
            with builder.if_else(by_blas) as (by_routine, as_they_lie):
                with by_routine:
                    self.call(routine, extents, first, second, target, apart, start, moves)
                with as_they_lie:
                    a, b = ((self.moved(x, moves), x.strides[u], x.strides[v])
                            for x, u, v in ((left, rows[-1], inner[-1]), (right, inner[-1], columns[-1])))
                    builder.call(multiply(self.module, self.number), [
                        *a, *b, target, out.strides[rows[-1]], extents[1], k, extents[0], self.scale, builder.not_(start)])
        self.release(first, second)
        builder.ret_void()

        builder.position_at_end(self.by_loops)
        with builder.if_then(self.is_(self.function.args[0], "==", INT64(0))):  # all at once, by whoever has the first part
            builder.call(self.small(), [self.scale, self.fresh, *self.values])
        builder.ret_void()
        return self.function

    def small(self) -> Any:
        """The function that computes all of it as `Product.loops` does, with the same bits: in place of a body for each product."""
        kinds = [value.type for value in (self.scale, self.fresh, *self.values)]
        function = internal(self.module, ir.FunctionType(ir.VoidType(), kinds), f"{self.function.name}.small")
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        scale, fresh, *values = function.args
        given = iter(values)
        stack, rows, inner, columns = self.groups
        extents = {label: next(given) for label in stack + rows + inner + columns}
        sides = []
        for _ in range(3):
            pointer = next(given)
            pointer.add_attribute("noalias")
            sides.append(_Tensor(pointer, {label: next(given) for label in extents}))
        last, numbers = columns[-1], self.number.as_pointer()

        def along(nest: ExitStack, labels: str, tensors: list[_Tensor]) -> list[_Tensor]:
            """The tensors at each step of loops over labels."""
            for label in labels:
                index = nest.enter_context(counted(builder, INT64(0), extents[label]))
                tensors = [replace(x, pointer=builder.gep(x.pointer, [builder.mul(index, x.strides[label])])) for x in tensors]
            return tensors

        def loops(out: _Tensor, left: _Tensor, right: _Tensor) -> None:
            with ExitStack() as outside:
                out, left, right = along(outside, stack + rows, [out, left, right])
                with builder.if_then(fresh), ExitStack() as nest:
                    target, = along(nest, columns, [out])
                    builder.store(ir.Constant(self.number, 0.0), builder.bitcast(target.pointer, numbers))
                with ExitStack() as nest:
                    left, right = along(nest, inner, [left, right])
                    factor = builder.fmul(builder.load(builder.bitcast(left.pointer, numbers)), scale)
                    out, right = along(nest, columns, [out, right])
                    value = builder.fmul(factor, builder.load(builder.bitcast(right.pointer, numbers)))
                    place = builder.bitcast(out.pointer, numbers)
                    builder.store(builder.fadd(builder.load(place), value), place)

        out, left, right = sides
        dense = [replace(x, strides={**x.strides, last: self.item}) for x in (out, right)]
        found = [builder.icmp_signed("==", x.strides[last], self.item) for x in (out, right)]
        with builder.if_else(builder.and_(*found)) as (along_memory, otherwise):
            with along_memory:
                loops(dense[0], left, dense[1])
            with otherwise:
                loops(out, left, right)
        builder.ret_void()
        return function

    def release(self, *operands: _Operand) -> None:
        for operand in operands:
            self.builder.call(c_function(self.module, "free", ir.VoidType(), POINTER), [operand.block])

    def moved(self, tensor: _Tensor, moves: Sequence[tuple[str, Value]]) -> Value:
        """The address after steps along labels."""
        pointer = tensor.pointer
        for label, index in moves:
            pointer = self.builder.gep(pointer, [self.builder.mul(index, tensor.strides[label])])
        return pointer

    def call(self, routine: Value, extents: tuple[Value, Value, Value], first: _Operand, second: _Operand, out: Value, apart: Value,
             start: Value, moves: Sequence[tuple[str, Value]]) -> None:
        """`out = scale * first * second`, added to what is there unless this is the `start`."""
        builder, one, nothing = self.builder, ir.Constant(self.number, 1.0), ir.Constant(self.number, 0.0)
        n, m, k = extents
        whole = [self.place(INT, builder.trunc(x, INT)) for x in (*extents, first.leading, second.leading, apart)]
        flags = [self.place(BYTE, builder.select(x.transposed, BYTE(ord("T")), BYTE(ord("N")))) for x in (first, second)]
        scale = self.place(self.number, self.scale)
        beta = self.place(self.number, builder.select(start, nothing, one))
        numbers = self.number.as_pointer()
        matrices = [builder.bitcast(x, numbers) for x in (self.resident(first, moves, n, k), self.resident(second, moves, k, m), out)]
        kinds = [POINTER, POINTER, *[INT.as_pointer()] * 3, numbers, numbers, INT.as_pointer(), numbers, INT.as_pointer(), numbers,
                 numbers, INT.as_pointer()]
        gemm = builder.inttoptr(routine, ir.FunctionType(ir.VoidType(), kinds).as_pointer())
        builder.call(gemm, [*flags, *whole[:3], scale, matrices[0], whole[3], matrices[1], whole[4], beta, matrices[2], whole[5]])

    def resident(self, operand: _Operand, moves: Sequence[tuple[str, Value]], rows: Value, columns: Value) -> Value:
        """The address of the matrix, or of its copy."""
        builder, source = self.builder, self.moved(operand.tensor, moves)
        with builder.if_then(operand.copied, likely=False):
            builder.call(self.copier(), [operand.block, source, rows, columns, *operand.strides, operand.leading])
        return builder.select(operand.copied, operand.block, source)

    def copier(self) -> Any:
        """`copy(to, from, rows, columns, row stride, column stride, leading)`: column after column, `leading` elements apart."""
        name = f"copy.{self.number}"
        function = self.module.globals.get(name)
        if function is None:
            function = internal(self.module, ir.FunctionType(ir.VoidType(), [POINTER, POINTER, *[INT64] * 5]), name)
            function.attributes.add("noinline")
            target, source, u, v, su, sv, leading = function.args
            inner = ir.IRBuilder(function.append_basic_block("entry"))
            numbers = self.number.as_pointer()
            target = inner.bitcast(target, numbers)
            with counted(inner, INT64(0), v) as j, counted(inner, INT64(0), u) as i:
                offset = inner.add(inner.mul(i, su), inner.mul(j, sv))
                value = inner.load(inner.bitcast(inner.gep(source, [offset]), numbers))
                inner.store(value, inner.gep(target, [inner.add(inner.mul(j, leading), i)]))
            inner.ret_void()
        return function
