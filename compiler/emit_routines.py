"""Routines of library ops in emitted code: small matrices and stacks of them, running sums; and checks of indices.

What a driver calls through Python costs some microseconds, and LAPACK costs most of a microsecond for a matrix of three rows. A
routine here is `i64 routine(i64* tensors)` for one node: of each operand and of the result it takes the address, the sizes and
the byte strides, and writes the result, which is dense. It returns 0; or 1 where it declines, having written anything: matrices
that are larger than `LARGEST`, not finite, singular or not positive definite. The op's own `evaluate` then computes the result, or raises.

Matrices are factored as LAPACK's unblocked routines do it, with partial pivoting, in the same order of operations.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from .emit_llvm import POINTER, Value, internal, slot
from .ir import Node
from .micro_kernel import counted
from .scalar_llvm import INT64, register_type

__all__ = ["emit_bounds", "emit_routine"]

LARGEST = 32  # rows of a matrix; LAPACK, which works in blocks, is faster from about here on
SAFE = {"float32": 1e30, "float64": 1e290}  # a determinant whose partial products, or their inverses, are larger is left to NumPy
DONE, DECLINED = INT64(0), INT64(1)


@dataclass(frozen=True)
class _Tensor:
    """An array: its address, sizes and byte strides."""

    pointer: Value
    sizes: tuple[Value, ...]
    strides: tuple[Value, ...]


def emit_routine(module: Any, node: Node, symbol: str) -> Any:
    """The routine of a node as the internal function `symbol` of a module; None where its op has none for such operands."""
    emit = _ROUTINES.get(node.op.name)
    if emit is None or any(x.dtype.name not in SAFE for x in (*node.inputs, node)):
        return None
    routine = _Routine(module, (*node.inputs, node), symbol)
    emit(routine, node)
    routine.builder.ret(DONE)
    return routine.function


def emit_bounds(module: Any, indices: Node, symbol: str) -> Any:
    """A function of an index array, and of a size behind it, as the internal function `symbol`: 1 where an index is not in [0, size)."""
    routine = _Routine(module, (indices,), symbol)
    b, outside = routine.builder, routine.variable(INT64(0))
    (x,), size = routine.tensors, slot(routine.builder, routine.function.args[0], 1 + 2 * indices.ndim)
    with ExitStack() as nest:
        at = [nest.enter_context(routine.up_to(length)) for length in x.sizes]
        found = b.icmp_unsigned(">=", routine.get(x, *at), size)
        b.store(b.or_(b.load(outside), b.zext(found, INT64)), outside)
    b.ret(b.load(outside))
    return routine.function


class _Routine:
    """A routine under construction. Matrices are tensors with two axes."""

    def __init__(self, module: Any, nodes: tuple[Node, ...], symbol: str) -> None:
        """`nodes` are the operands and the result, of one dtype."""
        self.module, self.dtype = module, nodes[-1].dtype
        self.number, self.item = register_type(self.dtype), INT64(self.dtype.itemsize)
        self.function = internal(module, ir.FunctionType(INT64, [INT64.as_pointer()]), symbol)
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.declined = self.function.append_basic_block("declined")
        ir.IRBuilder(self.declined).ret(DECLINED)
        place = 0
        self.tensors: list[_Tensor] = []
        for x in nodes:
            words = [slot(self.builder, self.function.args[0], place + k) for k in range(1 + 2 * x.ndim)]
            pointer = self.builder.inttoptr(words[0], POINTER)
            self.tensors.append(_Tensor(pointer, tuple(words[1: 1 + x.ndim]), tuple(words[1 + x.ndim:])))
            place += len(words)
        self.inputs, self.result = self.tensors[:-1], self.tensors[-1]

    # ------------------------------------------------------------------------------------------- small pieces
    def require(self, condition: Value) -> None:
        """Go on where it holds; else decline."""
        block = self.function.append_basic_block()
        self.builder.cbranch(condition, block, self.declined)
        self.builder.position_at_end(block)

    def real(self, value: float) -> Value:
        return ir.Constant(self.number, value)

    def variable(self, value: Value) -> Value:
        """A place on the stack, with a first value."""
        with self.builder.goto_entry_block():
            place = self.builder.alloca(value.type)
        self.builder.store(value, place)
        return place

    def magnitude(self, value: Value) -> Value:
        return self.builder.call(self.module.declare_intrinsic("llvm.fabs", [self.number]), [value])

    def root(self, value: Value) -> Value:
        return self.builder.call(self.module.declare_intrinsic("llvm.sqrt", [self.number]), [value])

    def place(self, x: _Tensor, *index: Value) -> Value:
        pointer = x.pointer
        for at, stride in zip(index, x.strides, strict=True):
            pointer = self.builder.gep(pointer, [self.builder.mul(at, stride)])
        return self.builder.bitcast(pointer, self.number.as_pointer())

    def get(self, x: _Tensor, *index: Value) -> Value:
        return self.builder.load(self.place(x, *index))

    def set(self, x: _Tensor, value: Value, *index: Value) -> None:
        self.builder.store(value, self.place(x, *index))

    def subtract(self, x: _Tensor, factor: Value, value: Value, *index: Value) -> None:
        """`x[index] -= factor * value`."""
        place = self.place(x, *index)
        self.builder.store(self.builder.fsub(self.builder.load(place), self.builder.fmul(factor, value)), place)

    def swap(self, left: Value, right: Value) -> None:
        """Exchange what is at two places."""
        one, other = self.builder.load(left), self.builder.load(right)
        self.builder.store(other, left)
        self.builder.store(one, right)

    def up_to(self, stop: Value) -> Any:
        return counted(self.builder, INT64(0), stop)

    def after(self, start: Value, stop: Value) -> Any:
        return counted(self.builder, self.builder.add(start, INT64(1)), stop)

    @contextmanager
    def down_from(self, stop: Value) -> Iterator[Value]:
        with self.up_to(stop) as k:
            yield self.builder.sub(self.builder.sub(stop, INT64(1)), k)

    def scratch(self, rows: int, columns: int) -> _Tensor:
        """A matrix on the stack."""
        with self.builder.goto_entry_block():
            memory = self.builder.alloca(ir.ArrayType(self.number, rows * columns))
        memory.align = 64
        step = columns * self.dtype.itemsize
        return _Tensor(self.builder.bitcast(memory, POINTER), (INT64(rows), INT64(columns)), (INT64(step), self.item))

    # ------------------------------------------------------------------------------------------- stacks
    @contextmanager
    def matrices(self) -> Iterator[list[_Tensor]]:
        """The last two axes of every operand and of the result, for each matrix of the stack; matrices that are too large decline."""
        first = self.inputs[0]
        self.require(self.builder.icmp_signed("<=", first.sizes[-1], INT64(LARGEST)))
        with ExitStack() as nest:
            at = [nest.enter_context(self.up_to(size)) for size in first.sizes[:-2]]
            yield [self.part(x, at) for x in (*self.inputs, self.result)]

    def part(self, x: _Tensor, at: list[Value]) -> _Tensor:
        """What of a tensor is at an index of its first axes."""
        pointer = x.pointer
        for index, stride in zip(at, x.strides, strict=False):
            pointer = self.builder.gep(pointer, [self.builder.mul(index, stride)])
        return _Tensor(pointer, x.sizes[len(at):], x.strides[len(at):])

    def copy(self, x: _Tensor, y: _Tensor, rows: Value, columns: Value) -> None:
        with self.up_to(rows) as i, self.up_to(columns) as j:
            self.set(y, self.get(x, i, j), i, j)

    def with_identity(self, x: _Tensor, n: Value) -> None:
        with self.up_to(n) as i, self.up_to(n) as j:
            self.set(x, self.builder.select(self.builder.icmp_signed("==", i, j), self.real(1.0), self.real(0.0)), i, j)

    # ------------------------------------------------------------------------------------------- LU factors
    def factor(self, x: _Tensor, n: Value) -> None:
        """LU factors, in place, of the transpose of what is in the first n rows of x; its pivots in the row after them."""
        b = self.builder
        with self.up_to(n) as k:
            best, row = self.variable(self.real(-1.0)), self.variable(k)
            with counted(b, k, n) as r:
                size = self.magnitude(self.get(x, k, r))
                larger = b.fcmp_ordered(">", size, b.load(best))
                b.store(b.select(larger, size, b.load(best)), best)
                b.store(b.select(larger, r, b.load(row)), row)
            other = b.load(row)
            self.set(x, b.sitofp(other, self.number), n, k)
            with b.if_then(b.icmp_signed("!=", other, k)), self.up_to(n) as c:
                self.swap(self.place(x, c, k), self.place(x, c, other))
            pivot = self.get(x, k, k)
            with b.if_then(b.fcmp_unordered("!=", pivot, self.real(0.0))), self.after(k, n) as r:
                self.set(x, b.fdiv(self.get(x, k, r), pivot), k, r)
            with self.after(k, n) as c:
                factor = self.get(x, c, k)
                with self.after(k, n) as r:
                    self.subtract(x, factor, self.get(x, k, r), c, r)

    def regular(self, factors: _Tensor, n: Value, zero: bool = False) -> None:
        """Decline where a pivot is not finite, or is zero unless `zero` may be: what raises, and what NaN becomes, is elsewhere."""
        with self.up_to(n) as k:
            size = self.magnitude(self.get(factors, k, k))
            self.require(self.builder.fcmp_ordered("<", size, self.real(math.inf)))
            if not zero:
                self.require(self.builder.fcmp_ordered(">", size, self.real(0.0)))

    def one_or_more(self, columns: Value, solve: Callable[[Callable[[], Any]], None]) -> None:
        """Emit a solution twice: a single column needs no loop over columns inside of all others."""
        @contextmanager
        def single() -> Iterator[Value]:
            yield INT64(0)

        with self.builder.if_else(self.builder.icmp_signed("==", columns, INT64(1))) as (one, more):
            with one:
                solve(single)
            with more:
                solve(lambda: self.up_to(columns))

    def pivoted(self, factors: _Tensor, x: _Tensor, n: Value, k: Value, j: Value) -> None:
        other = self.builder.fptosi(self.get(factors, n, k), INT64)
        self.swap(self.place(x, k, j), self.place(x, other, j))

    def solved(self, factors: _Tensor, x: _Tensor, n: Value, columns: Value, transposed: bool) -> None:
        """The solution in place of the right side, from factors of the transpose: of the system itself, or of the `transposed` one."""
        def solve(each: Callable[[], Any]) -> None:
            if transposed:
                with self.up_to(n) as k, each() as j:
                    self.pivoted(factors, x, n, k, j)
                with self.up_to(n) as k, self.after(k, n) as r, each() as j:
                    self.subtract(x, self.get(factors, k, r), self.get(x, k, j), r, j)
                with self.down_from(n) as k:
                    self.divide(x, self.get(factors, k, k), k, each)
                    with self.up_to(k) as r, each() as j:
                        self.subtract(x, self.get(factors, k, r), self.get(x, k, j), r, j)
                return
            with self.up_to(n) as k:
                with self.up_to(k) as r, each() as j:
                    self.subtract(x, self.get(factors, k, r), self.get(x, r, j), k, j)
                self.divide(x, self.get(factors, k, k), k, each)
            with self.down_from(n) as k, self.after(k, n) as r, each() as j:
                self.subtract(x, self.get(factors, k, r), self.get(x, r, j), k, j)
            with self.down_from(n) as k, each() as j:
                self.pivoted(factors, x, n, k, j)

        self.one_or_more(columns, solve)

    def divide(self, x: _Tensor, number: Value, row: Value, each: Callable[[], Any]) -> None:
        with each() as j:
            self.set(x, self.builder.fdiv(self.get(x, row, j), number), row, j)

    def factored(self, x: _Tensor, n: Value) -> _Tensor:
        """The factors of the transpose of x, in memory of their own, which every matrix of the stack uses."""
        factors = self.scratch(LARGEST + 1, LARGEST)
        self.copy(x, factors, n, n)
        self.factor(factors, n)
        return factors

    def determinant(self, factors: _Tensor, n: Value) -> Value:
        b, bound = self.builder, SAFE[self.dtype.name]
        place = self.variable(self.real(1.0))
        with self.up_to(n) as k:
            pivot = self.get(factors, k, k)
            stays = b.fcmp_ordered("==", self.get(factors, n, k), b.sitofp(k, self.number))
            product = b.fmul(b.load(place), b.select(stays, pivot, b.fneg(pivot)))
            size = self.magnitude(product)
            self.require(b.and_(b.fcmp_ordered("<", size, self.real(bound)), b.fcmp_ordered(">", size, self.real(1 / bound))))
            b.store(product, place)
        return b.load(place)


# ------------------------------------------------------------------------------------------------ the routines
def _lu(routine: _Routine, node: Node) -> None:
    with routine.matrices() as (x, y):
        n = x.sizes[1]
        routine.copy(x, y, n, n)
        routine.factor(y, n)
        routine.regular(y, n, zero=True)


def _lu_solve(routine: _Routine, node: Node) -> None:
    with routine.matrices() as (factors, b, y):
        n = factors.sizes[1]
        routine.regular(factors, n)
        routine.copy(b, y, *y.sizes)
        routine.solved(factors, y, n, y.sizes[1], node.param("transposed"))


def _lu_inverse(routine: _Routine, node: Node) -> None:
    with routine.matrices() as (factors, y):
        n = factors.sizes[1]
        routine.regular(factors, n)
        routine.with_identity(y, n)
        routine.solved(factors, y, n, n, transposed=False)


def _solve(routine: _Routine, node: Node) -> None:
    with routine.matrices() as (x, b, y):
        n = x.sizes[1]
        factors = routine.factored(x, n)
        routine.regular(factors, n)
        routine.copy(b, y, *y.sizes)
        routine.solved(factors, y, n, y.sizes[1], transposed=False)


def _inverse(routine: _Routine, node: Node) -> None:
    with routine.matrices() as (x, y):
        n = x.sizes[1]
        factors = routine.factored(x, n)
        routine.regular(factors, n)
        routine.with_identity(y, n)
        routine.solved(factors, y, n, n, transposed=False)


def _det(routine: _Routine, node: Node) -> None:
    with routine.matrices() as (x, y):
        n = x.sizes[1]
        routine.set(y, routine.determinant(routine.factored(x, n), n))


def _cofactor(routine: _Routine, node: Node) -> None:
    """|x| x^-T, of which the factors of the transpose of x are those of x^-T."""
    with routine.matrices() as (x, y):
        n = x.sizes[1]
        factors = routine.factored(x, n)
        determinant = routine.determinant(factors, n)
        routine.with_identity(y, n)
        routine.solved(factors, y, n, n, transposed=True)
        with routine.up_to(n) as i, routine.up_to(n) as j:
            routine.set(y, routine.builder.fmul(routine.get(y, i, j), determinant), i, j)


def _cholesky(routine: _Routine, node: Node) -> None:
    """Row by row; of x only the lower triangle is read."""
    b = routine.builder
    with routine.matrices() as (x, y):
        n = x.sizes[1]
        with routine.up_to(n) as i:
            with routine.up_to(i) as j:
                total = routine.variable(routine.get(x, i, j))
                with routine.up_to(j) as k:
                    b.store(b.fsub(b.load(total), b.fmul(routine.get(y, i, k), routine.get(y, j, k))), total)
                routine.set(y, b.fdiv(b.load(total), routine.get(y, j, j)), i, j)
            total = routine.variable(routine.get(x, i, i))
            with routine.up_to(i) as k:
                entry = routine.get(y, i, k)
                b.store(b.fsub(b.load(total), b.fmul(entry, entry)), total)
            left = b.load(total)
            routine.require(b.fcmp_ordered(">", left, routine.real(0.0)))
            routine.set(y, routine.root(left), i, i)
            with routine.after(i, n) as j:
                routine.set(y, routine.real(0.0), i, j)


def _triangular_solve(routine: _Routine, node: Node) -> None:
    lower, given = node.param("triangle") == "lower", node.param("diagonal") == "given"
    with routine.matrices() as (a, b, y):
        n, columns = y.sizes
        routine.copy(b, y, n, columns)

        def solve(each: Callable[[], Any]) -> None:
            with routine.up_to(n) if lower else routine.down_from(n) as k:
                if given:
                    routine.divide(y, routine.get(a, k, k), k, each)
                with routine.after(k, n) if lower else routine.up_to(k) as r, each() as j:
                    routine.subtract(y, routine.get(a, r, k), routine.get(y, k, j), r, j)

        routine.one_or_more(columns, solve)


def _cumsum(routine: _Routine, node: Node) -> None:
    """In NumPy's order: every sum is the one before it and one term more."""
    b, axis = routine.builder, node.param("axis")
    (x,), y = routine.inputs, routine.result
    with ExitStack() as nest:
        lead = [nest.enter_context(routine.up_to(size)) for size in x.sizes[:axis]]
        x, y = routine.part(x, lead), routine.part(y, lead)
        if len(x.sizes) == 1:
            total = routine.variable(routine.real(-0.0))  # which adds nothing, not even to -0.0
            with routine.up_to(x.sizes[0]) as k:
                b.store(b.fadd(b.load(total), routine.get(x, k)), total)
                routine.set(y, b.load(total), k)
            return
        dense = b.icmp_signed("==", x.strides[-1], routine.item)
        with b.if_else(dense) as (plain, apart):
            for branch, stride in (plain, routine.item), (apart, x.strides[-1]):
                with branch:
                    _running_rows(routine, _Tensor(x.pointer, x.sizes, (*x.strides[:-1], stride)), y)


def _running_rows(routine: _Routine, x: _Tensor, y: _Tensor) -> None:
    """Running sums along the first axis, all other axes inside."""
    b = routine.builder
    with routine.up_to(x.sizes[0]) as k, ExitStack() as nest:
        inner = [nest.enter_context(routine.up_to(size)) for size in x.sizes[1:-1]]
        term, here = routine.part(x, [k, *inner]), routine.part(y, [k, *inner])
        here = _Tensor(here.pointer, here.sizes, (routine.item,))
        before = _Tensor(b.gep(here.pointer, [b.neg(y.strides[0])]), here.sizes, here.strides)
        with b.if_else(b.icmp_signed("==", k, INT64(0))) as (first, later):
            with first, routine.up_to(x.sizes[-1]) as j:
                routine.set(here, routine.get(term, j), j)
            with later, routine.up_to(x.sizes[-1]) as j:
                routine.set(here, b.fadd(routine.get(before, j), routine.get(term, j)), j)


_ROUTINES: Mapping[str, Callable[[_Routine, Node], None]] = {
    "lu": _lu, "lu_solve": _lu_solve, "lu_inverse": _lu_inverse, "solve": _solve, "inverse": _inverse, "det": _det, "cofactor": _cofactor,
    "cholesky": _cholesky, "triangular_solve": _triangular_solve, "cumsum": _cumsum,
}
