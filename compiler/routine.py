"""How routines of small matrices are written: one text, for matrices in memory and for matrices in registers.

A loop over rows or columns is a Python generator. Up to a bound that is known it counts while code is emitted, and entries of a
matrix are values; up to a size that is not known it emits a loop, and entries are in memory.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from llvmlite import ir

from .common_llvm import POINTER, Value, c_function, counted, internal, slot
from .ir import SHORT, Node
from .scalar_llvm import INT64, register_type

__all__ = ["LARGEST", "SAFE", "Index", "Matrix", "Routine", "Tensor"]

LARGEST = 32  # rows of a matrix; LAPACK, which works in blocks, is faster from about here on
LANES = 8  # matrices of a stack that are computed at once, where they are in registers
SAFE = {"float32": 1e30, "float64": 1e290}  # a determinant whose partial products, or their inverses, are larger is left to NumPy
DONE, DECLINED = INT64(0), INT64(1)

Index = Any  # an int, or a Value


@dataclass(frozen=True)
class Tensor:
    """An array: its address, sizes and byte strides; in lanes the addresses of several that are alike."""

    pointers: tuple[Value, ...]
    sizes: tuple[Index, ...]
    strides: tuple[Value, ...]


@dataclass(frozen=True)
class Registers:
    """A matrix whose entries are values; in lanes an entry of each matrix."""

    sizes: tuple[int, int]
    values: dict[tuple[Index, ...], Value] = field(default_factory=dict)


Matrix = Tensor | Registers


class Routine:
    """A routine under construction. Matrices are tensors with two axes."""

    def __init__(self, module: Any, nodes: tuple[Node, ...], symbol: str, short: Mapping[str, int]) -> None:
        """`nodes` are the operands and the result, of one dtype; `short` are sizes for which there is code of its own."""
        self.module, self.dtype = module, nodes[-1].dtype
        self.scalar, self.item = register_type(self.dtype), INT64(self.dtype.itemsize)
        self.function = internal(module, ir.FunctionType(INT64, [INT64.as_pointer()]), symbol)
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.declined = self.function.append_basic_block("declined")
        ir.IRBuilder(self.declined).ret(DECLINED)
        self.lanes = 1
        last = nodes[0].shape[-1] if nodes[0].ndim else 0
        rows = last if isinstance(last, int) else short.get(str(last), 0)
        self.short = rows if 1 < rows <= SHORT else None
        place = 0
        self.tensors: list[Tensor] = []
        for x in nodes:
            words = [slot(self.builder, self.function.args[0], place + k) for k in range(1 + 2 * x.ndim)]
            pointer = self.builder.inttoptr(words[0], POINTER)
            self.tensors.append(Tensor((pointer,), tuple(words[1: 1 + x.ndim]), tuple(words[1 + x.ndim:])))
            place += len(words)
        self.inputs, self.result = self.tensors[:-1], self.tensors[-1]

    # ------------------------------------------------------------------------------------------- small pieces
    def wide(self, kind: Any) -> Any:
        return kind if self.lanes == 1 else ir.VectorType(kind, self.lanes)

    def constant(self, kind: Any, value: float) -> Value:
        return ir.Constant(self.wide(kind), value if self.lanes == 1 else [value] * self.lanes)

    @property
    def number(self) -> Any:
        """The type of an entry."""
        return self.wide(self.scalar)

    def require(self, condition: Value) -> None:
        """Go on where it holds (in every lane); else decline."""
        if self.lanes > 1:
            bits = ir.IntType(self.lanes)
            condition = self.builder.icmp_signed("==", self.builder.bitcast(condition, bits), bits(-1))
        block = self.function.append_basic_block()
        self.builder.cbranch(condition, block, self.declined)
        self.builder.position_at_end(block)

    def real(self, value: float) -> Value:
        return self.constant(self.scalar, value)

    def position(self, index: Index) -> Value:
        """An index as a value."""
        return self.constant(INT64, index) if isinstance(index, int) else index

    def counted_by(self, index: Index) -> Value:
        """An index as a number of the matrix's type."""
        return self.real(float(index)) if isinstance(index, int) else self.builder.sitofp(index, self.number)

    def variable(self, value: Value) -> Value:
        """A place on the stack, with a first value."""
        with self.builder.goto_entry_block():
            place = self.builder.alloca(value.type)
        self.builder.store(value, place)
        return place

    def magnitude(self, value: Value) -> Value:
        return self.intrinsic("fabs", value)

    def root(self, value: Value) -> Value:
        return self.intrinsic("sqrt", value)

    def intrinsic(self, name: str, value: Value) -> Value:
        lanes = f"v{self.lanes}" if self.lanes > 1 else ""
        full = f"llvm.{name}.{lanes}{self.scalar.intrinsic_name}"
        return self.builder.call(c_function(self.module, full, self.number, self.number), [value])

    def places(self, x: Tensor, index: Iterable[Index]) -> list[Value]:
        offset: Value = INT64(0)
        for at, stride in zip(index, x.strides, strict=True):
            offset = self.builder.add(offset, self.builder.mul(INT64(at) if isinstance(at, int) else at, stride))
        return [self.builder.bitcast(self.builder.gep(p, [offset]), self.scalar.as_pointer()) for p in x.pointers]

    def get(self, x: Matrix, *index: Index) -> Value:
        if isinstance(x, Registers):
            return x.values[index]
        loaded = [self.builder.load(place) for place in self.places(x, index)]
        if len(loaded) == 1:
            return loaded[0]
        value = ir.Constant(self.number, ir.Undefined)
        for lane, one in enumerate(loaded):
            value = self.builder.insert_element(value, one, INT64(lane))
        return value

    def set(self, x: Matrix, value: Value, *index: Index) -> None:
        if isinstance(x, Registers):
            x.values[index] = value
            return
        for lane, place in enumerate(self.places(x, index)):
            self.builder.store(value if self.lanes == 1 else self.builder.extract_element(value, INT64(lane)), place)

    def subtract(self, x: Matrix, factor: Value, value: Value, *index: Index) -> None:
        """`x[index] -= factor * value`."""
        self.set(x, self.builder.fsub(self.get(x, *index), self.builder.fmul(factor, value)), *index)

    def exchange(self, x: Matrix, n: Index, k: Index, other: Value, at: Callable[[Index], Iterable[tuple[Index, ...]]]) -> None:
        """Exchange the entries of row k with those of a row after it, or with themselves; `at` says where those of a row are."""
        b = self.builder
        if isinstance(x, Registers):  # lanes have different rows
            for row in range(k + 1, n):
                chosen = b.icmp_signed("==", other, self.position(row))
                for here, there in zip(at(k), at(row), strict=True):
                    one, two = self.get(x, *here), self.get(x, *there)
                    self.set(x, b.select(chosen, two, one), *here)
                    self.set(x, b.select(chosen, one, two), *there)
            return
        with b.if_then(b.icmp_signed("!=", other, k)):
            for here in at(k):
                there = tuple(other if index is k else index for index in here)
                one, two = self.get(x, *here), self.get(x, *there)
                self.set(x, two, *here)
                self.set(x, one, *there)

    def span(self, start: Index, stop: Index) -> Iterator[Index]:
        """`for index in range(start, stop)`: in the emitted code, or while it is emitted."""
        if isinstance(stop, int):
            yield from range(start, stop)
        else:
            with counted(self.builder, INT64(start) if isinstance(start, int) else start, stop) as index:
                yield index

    def up_to(self, stop: Index) -> Iterator[Index]:
        return self.span(0, stop)

    def after(self, start: Index, stop: Index) -> Iterator[Index]:
        return self.span(start + 1 if isinstance(start, int) else self.builder.add(start, INT64(1)), stop)

    def down_from(self, stop: Index) -> Iterator[Index]:
        for k in self.up_to(stop):
            yield stop - 1 - k if isinstance(stop, int) else self.builder.sub(self.builder.sub(stop, INT64(1)), k)

    def scratch(self, rows: Index, columns: Index) -> Matrix:
        """A matrix of its own: on the stack, with room for `LARGEST` columns and one row more, or in registers."""
        if isinstance(rows, int):
            return Registers((rows, columns))
        with self.builder.goto_entry_block():
            memory = self.builder.alloca(ir.ArrayType(self.scalar, (LARGEST + 1) * LARGEST))
        memory.align = 64
        return Tensor((self.builder.bitcast(memory, POINTER),), (rows, columns), (INT64(LARGEST * self.dtype.itemsize), self.item))

    # ------------------------------------------------------------------------------------------- stacks
    def matrices(self) -> Iterator[list[Tensor]]:
        """The last two axes of every operand and of the result, for each matrix of the stack; matrices that are too large decline.

        Where rows may be few, twice: for so few, which are known and go through registers, several matrices at once; and for any.
        """
        b, size = self.builder, self.inputs[0].sizes[-1]
        if self.short is None:
            yield from self._any()
            return
        with b.if_else(b.icmp_signed("==", size, INT64(self.short))) as (few, any_):
            with few:
                yield from self._few(self.short)
            with any_:
                yield from self._any()

    def _any(self) -> Iterator[list[Tensor]]:
        first = self.inputs[0]
        self.require(self.builder.icmp_signed("<=", first.sizes[-1], INT64(LARGEST)))
        with ExitStack() as nest:
            at = [nest.enter_context(counted(self.builder, INT64(0), size)) for size in first.sizes[:-2]]
            yield [self.part(x, at) for x in self.tensors]

    def _few(self, n: int) -> Iterator[list[Tensor]]:
        """Lanes behind the last matrix have that one."""
        b, (*lead, _, size) = self.builder, self.inputs[0].sizes
        with ExitStack() as nest:
            at = [nest.enter_context(counted(b, INT64(0), size)) for size in lead[:-1]]
            if lead:
                first, last = nest.enter_context(counted(b, INT64(0), lead[-1], LANES)), b.sub(lead[-1], INT64(1))
                self.lanes = LANES
                wanted = [b.add(first, INT64(lane)) for lane in range(LANES)]
                ends = [[*at, b.select(b.icmp_signed("<", k, last), k, last)] for k in wanted]
            else:
                ends = [[]]
            yield [Tensor(tuple(self.part(x, end).pointers[0] for end in ends),
                          tuple(n if s is size else s for s in x.sizes[len(ends[0]):]), x.strides[len(ends[0]):]) for x in self.tensors]
        self.lanes = 1

    def part(self, x: Tensor, at: list[Value]) -> Tensor:
        """What of a tensor is at an index of its first axes."""
        (pointer,) = x.pointers
        for index, stride in zip(at, x.strides, strict=False):
            pointer = self.builder.gep(pointer, [self.builder.mul(index, stride)])
        return Tensor((pointer,), x.sizes[len(at):], x.strides[len(at):])

    def copy(self, x: Matrix, y: Matrix, rows: Index, columns: Index) -> None:
        for i in self.up_to(rows):
            for j in self.up_to(columns):
                self.set(y, self.get(x, i, j), i, j)

    def taken(self, x: Tensor, rows: Index, columns: Index) -> Matrix:
        """An operand, in registers where it is small."""
        if not isinstance(rows, int):
            return x
        made = self.scratch(rows, columns)
        self.copy(x, made, rows, columns)
        return made

    def given(self, y: Tensor, rows: Index, columns: Index) -> Iterator[Matrix]:
        """`for` the result, which is computed in registers where it is small."""
        if not isinstance(rows, int):
            yield y
            return
        made = self.scratch(rows, columns)
        yield made
        self.copy(made, y, rows, columns)

    def solutions(self, b: Tensor, y: Tensor, n: Index) -> Iterator[tuple[Matrix, Index]]:
        """`for` the right side, which becomes the solution, and its columns: all at once, or one after the other in registers."""
        columns = y.sizes[1]
        if not isinstance(n, int):
            self.copy(b, y, n, columns)
            yield y, columns
            return
        for j in self.up_to(columns):
            column = self.scratch(n, 1)
            for i in range(n):
                self.set(column, self.get(b, i, j), i, 0)
            yield column, 1
            for i in range(n):
                self.set(y, self.get(column, i, 0), i, j)

    def with_identity(self, x: Matrix, n: Index) -> None:
        for i in self.up_to(n):
            for j in self.up_to(n):
                same = self.builder.icmp_signed("==", self.position(i), self.position(j))
                self.set(x, self.builder.select(same, self.real(1.0), self.real(0.0)), i, j)

    # ------------------------------------------------------------------------------------------- LU factors
    def factor(self, x: Matrix, n: Index) -> None:
        """LU factors, in place, of the transpose of what is in the first n rows of x; its pivots in the row after them."""
        b = self.builder
        for k in self.up_to(n):
            best, row = self.variable(self.real(-1.0)), self.variable(self.position(k))
            for r in self.span(k, n):
                size = self.magnitude(self.get(x, k, r))
                larger = b.fcmp_ordered(">", size, b.load(best))
                b.store(b.select(larger, size, b.load(best)), best)
                b.store(b.select(larger, self.position(r), b.load(row)), row)
            other = b.load(row)
            self.set(x, b.sitofp(other, self.number), n, k)
            self.exchange(x, n, k, other, lambda row: ((c, row) for c in self.up_to(n)))
            pivot = self.get(x, k, k)
            divisor = b.select(b.fcmp_unordered("!=", pivot, self.real(0.0)), pivot, self.real(1.0))
            for r in self.after(k, n):
                self.set(x, b.fdiv(self.get(x, k, r), divisor), k, r)
            for c in self.after(k, n):
                factor = self.get(x, c, k)
                for r in self.after(k, n):
                    self.subtract(x, factor, self.get(x, k, r), c, r)

    def regular(self, factors: Matrix, n: Index, zero: bool = False) -> None:
        """Decline where a pivot is not finite, or is zero unless `zero` may be: what raises, and what NaN becomes, is elsewhere."""
        for k in self.up_to(n):
            size = self.magnitude(self.get(factors, k, k))
            self.require(self.builder.fcmp_ordered("<", size, self.real(math.inf)))
            if not zero:
                self.require(self.builder.fcmp_ordered(">", size, self.real(0.0)))

    def one_or_more(self, columns: Index, solve: Callable[[Callable[[], Iterable[Index]]], None]) -> None:
        """Emit a solution twice: a single column needs no loop over columns inside of all others."""
        if isinstance(columns, int):
            solve(lambda: range(columns))
            return
        with self.builder.if_else(self.builder.icmp_signed("==", columns, INT64(1))) as (one, more):
            with one:
                solve(lambda: range(1))
            with more:
                solve(lambda: self.up_to(columns))

    def pivoted(self, factors: Matrix, x: Matrix, n: Index, k: Index, each: Callable[[], Iterable[Index]]) -> None:
        other = self.builder.fptosi(self.get(factors, n, k), self.wide(INT64))
        self.exchange(x, n, k, other, lambda row: ((row, j) for j in each()))

    def solved(self, factors: Matrix, x: Matrix, n: Index, columns: Index, transposed: bool) -> None:
        """The solution in place of the right side, from factors of the transpose: of the system itself, or of the `transposed` one."""
        def solve(each: Callable[[], Iterable[Index]]) -> None:
            def less(row: Index, factor: Value, other: Index) -> None:
                for j in each():
                    self.subtract(x, factor, self.get(x, other, j), row, j)

            if transposed:
                for k in self.up_to(n):
                    self.pivoted(factors, x, n, k, each)
                for k in self.up_to(n):
                    for r in self.after(k, n):
                        less(r, self.get(factors, k, r), k)
                for k in self.down_from(n):
                    self.divide(x, self.get(factors, k, k), k, each)
                    for r in self.up_to(k):
                        less(r, self.get(factors, k, r), k)
                return
            for k in self.up_to(n):
                for r in self.up_to(k):
                    less(k, self.get(factors, k, r), r)
                self.divide(x, self.get(factors, k, k), k, each)
            for k in self.down_from(n):
                for r in self.after(k, n):
                    less(k, self.get(factors, k, r), r)
            for k in self.down_from(n):
                self.pivoted(factors, x, n, k, each)

        self.one_or_more(columns, solve)

    def divide(self, x: Matrix, number: Value, row: Index, each: Callable[[], Iterable[Index]]) -> None:
        for j in each():
            self.set(x, self.builder.fdiv(self.get(x, row, j), number), row, j)

    def factored(self, x: Tensor, n: Index) -> Matrix:
        """The factors of the transpose of x, in memory of their own, which every matrix of the stack uses."""
        factors = self.scratch(n, n)
        self.copy(x, factors, n, n)
        self.factor(factors, n)
        return factors

    def determinant(self, factors: Matrix, n: Index) -> Value:
        b, bound = self.builder, SAFE[self.dtype.name]
        place = self.variable(self.real(1.0))
        for k in self.up_to(n):
            pivot = self.get(factors, k, k)
            stays = b.fcmp_ordered("==", self.get(factors, n, k), self.counted_by(k))
            product = b.fmul(b.load(place), b.select(stays, pivot, b.fneg(pivot)))
            size = self.magnitude(product)
            self.require(b.and_(b.fcmp_ordered("<", size, self.real(bound)), b.fcmp_ordered(">", size, self.real(1 / bound))))
            b.store(product, place)
        return b.load(place)
