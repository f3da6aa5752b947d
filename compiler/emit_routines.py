"""Routines of library ops in emitted code: small matrices and stacks of them, running sums; and checks of indices.

What a driver calls through Python costs some microseconds, and LAPACK costs most of a microsecond for a matrix of three rows. A
routine here is `i64 routine(i64* tensors)` for one node: of each operand and of the result it takes the address, the sizes and
the byte strides, and writes the result, which is dense. It returns 0; or 1 where it declines, having written anything: matrices
that are larger than `LARGEST`, not finite, singular or not positive definite. The op's own `evaluate` then computes the result, or raises.

Matrices are factored as LAPACK's unblocked routines do it, with partial pivoting, in the same order of operations.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from .common_llvm import counted, slot
from .ir import Node
from .routine import DONE, SAFE, Index, Routine, Tensor
from .scalar_llvm import INT64

__all__ = ["emit_bounds", "emit_routine"]


def emit_routine(module: Any, node: Node, symbol: str, short: Mapping[str, int]) -> Any:
    """The routine of a node as the internal function `symbol` of a module; None where its op has none for such operands.

    Args:
        short: sizes of the example that are small, by symbol: matrices of so many rows have code of their own.
    """
    emit = _ROUTINES.get(node.op.name)
    if emit is None or any(x.dtype.name not in SAFE for x in (*node.inputs, node)):
        return None
    routine = Routine(module, (*node.inputs, node), symbol, short)
    emit(routine, node)
    routine.builder.ret(DONE)
    return routine.function


def emit_bounds(module: Any, indices: Node, symbol: str) -> Any:
    """A function of an index array, and of a size behind it, as the internal function `symbol`: 1 where an index is not in [0, size)."""
    routine = Routine(module, (indices,), symbol, {})
    b, outside = routine.builder, routine.variable(INT64(0))
    (x,), size = routine.tensors, slot(routine.builder, routine.function.args[0], 1 + 2 * indices.ndim)
    with ExitStack() as nest:
        at = [nest.enter_context(counted(b, INT64(0), length)) for length in x.sizes]
        found = b.icmp_unsigned(">=", routine.get(x, *at), size)
        b.store(b.or_(b.load(outside), b.zext(found, INT64)), outside)
    b.ret(b.load(outside))
    return routine.function


# ------------------------------------------------------------------------------------------------ the routines
def _lu(routine: Routine, node: Node) -> None:
    for x, y in routine.matrices():
        n = x.sizes[1]
        rows = n + 1 if isinstance(n, int) else routine.result.sizes[-2]
        for factors in routine.given(y, rows, n):
            routine.copy(x, factors, n, n)
            routine.factor(factors, n)
            routine.regular(factors, n, zero=True)


def _lu_solve(routine: Routine, node: Node) -> None:
    for lu, b, y in routine.matrices():
        n = lu.sizes[1]
        factors = routine.taken(lu, n + 1 if isinstance(n, int) else lu.sizes[0], n)
        routine.regular(factors, n)
        for x, columns in routine.solutions(b, y, n):
            routine.solved(factors, x, n, columns, node.param("transposed"))


def _lu_inverse(routine: Routine, node: Node) -> None:
    for lu, y in routine.matrices():
        n = lu.sizes[1]
        factors = routine.taken(lu, n + 1 if isinstance(n, int) else lu.sizes[0], n)
        routine.regular(factors, n)
        _inverted(routine, factors, y, n)


def _inverted(routine: Routine, factors: Any, y: Tensor, n: Index) -> None:
    for x in routine.given(y, n, n):
        routine.with_identity(x, n)
        routine.solved(factors, x, n, n, transposed=False)


def _solve(routine: Routine, node: Node) -> None:
    for a, b, y in routine.matrices():
        n = a.sizes[1]
        factors = routine.factored(a, n)
        routine.regular(factors, n)
        for x, columns in routine.solutions(b, y, n):
            routine.solved(factors, x, n, columns, transposed=False)


def _inverse(routine: Routine, node: Node) -> None:
    for x, y in routine.matrices():
        n = x.sizes[1]
        factors = routine.factored(x, n)
        routine.regular(factors, n)
        _inverted(routine, factors, y, n)


def _det(routine: Routine, node: Node) -> None:
    for x, y in routine.matrices():
        n = x.sizes[1]
        routine.set(y, routine.determinant(routine.factored(x, n), n))


def _cofactor(routine: Routine, node: Node) -> None:
    """|x| x^-T, of which the factors of the transpose of x are those of x^-T."""
    for x, y in routine.matrices():
        n = x.sizes[1]
        factors = routine.factored(x, n)
        determinant = routine.determinant(factors, n)
        for inverse in routine.given(y, n, n):
            routine.with_identity(inverse, n)
            routine.solved(factors, inverse, n, n, transposed=True)
            for i in routine.up_to(n):
                for j in routine.up_to(n):
                    routine.set(inverse, routine.builder.fmul(routine.get(inverse, i, j), determinant), i, j)


def _cholesky(routine: Routine, node: Node) -> None:
    """Row by row; of x only the lower triangle is read."""
    b = routine.builder
    for x, made in routine.matrices():
        n = x.sizes[1]
        for y in routine.given(made, n, n):
            for i in routine.up_to(n):
                for j in routine.up_to(i):
                    total = routine.variable(routine.get(x, i, j))
                    for k in routine.up_to(j):
                        b.store(b.fsub(b.load(total), b.fmul(routine.get(y, i, k), routine.get(y, j, k))), total)
                    routine.set(y, b.fdiv(b.load(total), routine.get(y, j, j)), i, j)
                total = routine.variable(routine.get(x, i, i))
                for k in routine.up_to(i):
                    entry = routine.get(y, i, k)
                    b.store(b.fsub(b.load(total), b.fmul(entry, entry)), total)
                left = b.load(total)
                routine.require(b.fcmp_ordered(">", left, routine.real(0.0)))
                routine.set(y, routine.root(left), i, i)
                for j in routine.after(i, n):
                    routine.set(y, routine.real(0.0), i, j)


def _triangular_solve(routine: Routine, node: Node) -> None:
    lower, given = node.param("triangle") == "lower", node.param("diagonal") == "given"
    for triangle, b, y in routine.matrices():
        n = triangle.sizes[1]
        a = routine.taken(triangle, n, n)
        for x, columns in routine.solutions(b, y, n):
            def solve(each: Callable[[], Iterable[Index]], n: Index = n, a: Any = a, x: Any = x) -> None:
                for k in routine.up_to(n) if lower else routine.down_from(n):
                    if given:
                        routine.divide(x, routine.get(a, k, k), k, each)
                    for r in routine.after(k, n) if lower else routine.up_to(k):
                        factor = routine.get(a, r, k)
                        for j in each():
                            routine.subtract(x, factor, routine.get(x, k, j), r, j)

            routine.one_or_more(columns, solve)


def _cumsum(routine: Routine, node: Node) -> None:
    """In NumPy's order: every sum is the one before it and one term more."""
    b, axis = routine.builder, node.param("axis")
    (x,), y = routine.inputs, routine.result
    with ExitStack() as nest:
        lead = [nest.enter_context(counted(b, INT64(0), size)) for size in x.sizes[:axis]]
        x, y = routine.part(x, lead), routine.part(y, lead)
        if len(x.sizes) == 1:
            total = routine.variable(routine.real(-0.0))  # which adds nothing, not even to -0.0
            for k in routine.up_to(x.sizes[0]):
                b.store(b.fadd(b.load(total), routine.get(x, k)), total)
                routine.set(y, b.load(total), k)
            return
        dense = b.icmp_signed("==", x.strides[-1], routine.item)
        with b.if_else(dense) as (plain, apart):
            for branch, stride in (plain, routine.item), (apart, x.strides[-1]):
                with branch:
                    _running_rows(routine, Tensor(x.pointers, x.sizes, (*x.strides[:-1], stride)), y)


def _running_rows(routine: Routine, x: Tensor, y: Tensor) -> None:
    """Running sums along the first axis, all other axes inside."""
    b = routine.builder
    with counted(b, INT64(0), x.sizes[0]) as k, ExitStack() as nest:
        inner = [nest.enter_context(counted(b, INT64(0), size)) for size in x.sizes[1:-1]]
        term, here = routine.part(x, [k, *inner]), routine.part(y, [k, *inner])
        here = Tensor(here.pointers, here.sizes, (routine.item,))
        before = Tensor((b.gep(here.pointers[0], [b.neg(y.strides[0])]),), here.sizes, here.strides)
        with b.if_else(b.icmp_signed("==", k, INT64(0))) as (first, later):
            with first:
                for j in routine.up_to(x.sizes[-1]):
                    routine.set(here, routine.get(term, j), j)
            with later:
                for j in routine.up_to(x.sizes[-1]):
                    routine.set(here, b.fadd(routine.get(before, j), routine.get(term, j)), j)


_ROUTINES: Mapping[str, Callable[[Routine, Node], None]] = {
    "lu": _lu, "lu_solve": _lu_solve, "lu_inverse": _lu_inverse, "solve": _solve, "inverse": _inverse, "det": _det, "cofactor": _cofactor,
    "cholesky": _cholesky, "triangular_solve": _triangular_solve, "cumsum": _cumsum,
}
