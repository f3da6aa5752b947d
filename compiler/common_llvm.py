"""What every emitter of LLVM IR uses: declarations, the words of arguments, loops, arithmetic of sizes and places."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any

import numpy as np
from llvmlite import ir

from .scalar_llvm import BYTE, INT64, register_type
from .sizes import Size, SizeExpr, Symbol

__all__ = ["POINTER", "SIGNATURE", "Value", "c_function", "counted", "goes_on", "index_arithmetic", "index_intrinsic", "internal",
           "leave_if_long", "loop_hint", "size_arithmetic", "size_value", "slot"]

Value = Any  # llvmlite has no annotations
POINTER = BYTE.as_pointer()
SIGNATURE = ir.FunctionType(ir.VoidType(), [INT64, INT64, INT64.as_pointer()])
LONG = 1200  # instructions; of a function without loops that matter LLVM makes little more than it is in a multiple of the time


def c_function(module: Any, name: str, result: Any, *arguments: Any) -> Any:
    """A function that the process has, declared once in a module."""
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, arguments), name)


def internal(module: Any, signature: Any, symbol: str) -> Any:
    """A new function that only its module sees."""
    function = ir.Function(module, signature, symbol)
    function.linkage = "internal"
    function.attributes.add("nounwind")
    return function


def leave_if_long(function: Any) -> None:
    """Have LLVM leave a function as it is that is long and hands work on, where what that saves in a run is little beside the kernels."""
    if sum(len(block.instructions) for block in function.blocks) > LONG:
        function.attributes.update({"noinline", "optnone"})


def slot(builder: Any, arguments: Value, number: int) -> Value:
    """What an argument array has in a slot."""
    return builder.load(builder.gep(arguments, [INT64(number)], inbounds=True))


@contextmanager
def counted(builder: Any, start: Value, stop: Value, step: int = 1) -> Iterator[Value]:
    """`for index in range(start, stop, step)`."""
    before, head = builder.block, builder.append_basic_block()
    inside, after = builder.append_basic_block(), builder.append_basic_block()
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(INT64)
    index.add_incoming(start, before)
    builder.cbranch(builder.icmp_signed("<", index, stop), inside, after)
    builder.position_at_end(inside)
    yield index
    index.add_incoming(builder.add(index, INT64(step)), builder.block)
    builder.branch(head)
    builder.position_at_end(after)


def goes_on(builder: Any, dtype: np.dtype[Any], state: Value, lengths: Sequence[Value]) -> Value:
    """Whether the last element of any row of a dense floating array is not 0."""
    kind = register_type(dtype)
    with builder.goto_entry_block():
        place = builder.alloca(ir.IntType(1))
    builder.store(ir.IntType(1)(0), place)
    rows = reduce(builder.mul, lengths[:-1], INT64(1))
    first = builder.bitcast(state, kind.as_pointer())
    with counted(builder, INT64(0), rows) as row:
        last = builder.sub(builder.mul(builder.add(row, INT64(1)), lengths[-1]), INT64(1))
        found = builder.fcmp_unordered("!=", builder.load(builder.gep(first, [last])), kind(0.0))
        builder.store(builder.or_(builder.load(place), found), place)
    return builder.load(place)


def size_value(builder: Any, size: Size, symbols: Mapping[str, Value], known: dict[Size, Value]) -> Value:
    """The value of a size, from those of its symbols; `known` keeps what was computed."""
    if isinstance(size, int):
        return INT64(size)
    found = known.get(size)
    if found is None:
        found = known[size] = _polynomial(builder, size, symbols, known)
    return found


def _polynomial(builder: Any, size: SizeExpr, symbols: Mapping[str, Value], known: dict[Size, Value]) -> Value:
    total = None
    for monomial, coefficient in size.terms:
        product = None
        for atom in monomial:
            if isinstance(atom, Symbol):
                factor = symbols[atom.name]
            else:
                left, right = (size_value(builder, side, symbols, known) for side in (atom.left, atom.right))
                factor = size_arithmetic(builder, atom.op, left, right)
            product = factor if product is None else builder.mul(product, factor, flags=("nsw",))
        if product is None:
            term = INT64(coefficient)
        else:
            term = product if coefficient == 1 else builder.mul(product, INT64(coefficient), flags=("nsw",))
        total = term if total is None else builder.add(total, term, flags=("nsw",))
    return total


def loop_hint(module: Any, *hint: Any) -> Any:
    """The identity of a loop (it contains itself, which makes it distinct) that carries a hint."""
    wish = module.add_metadata(hint)
    identity = module.add_metadata([INT64(len(module.metadata)), wish])
    identity.operands = (identity, wish)
    return identity


def index_intrinsic(builder: Any, name: str, left: Value, right: Value) -> Value:
    """An LLVM intrinsic of two indices, e.g. `llvm.smin`."""
    function = builder.module.declare_intrinsic(name, [INT64], ir.FunctionType(INT64, [INT64, INT64]))
    return builder.call(function, [left, right])


def index_arithmetic(builder: Any, op: str, left: Value, right: Value) -> Value:
    """`//` and `%` are unsigned: loopnest promises non-negative values."""
    if op == "+":
        return builder.add(left, right, flags=("nsw",))
    if op == "-":
        return builder.sub(left, right, flags=("nsw",))
    if op == "*":
        return builder.mul(left, right, flags=("nsw",))
    if op in ("//", "%"):
        if not isinstance(right, ir.Constant):  # the index of a conditional load is computed also where it is not used
            right = index_intrinsic(builder, "llvm.umax", right, INT64(1))
        return (builder.udiv if op == "//" else builder.urem)(left, right)
    return index_intrinsic(builder, {"min": "llvm.smin", "max": "llvm.smax"}[op], left, right)


def size_arithmetic(builder: Any, op: str, left: Value, right: Value) -> Value:
    """As Python's, except that a division by zero gives 0 or `left`: a size is computed even where no loop needs it."""
    if op in ("min", "max"):
        return index_arithmetic(builder, op, left, right)
    if isinstance(right, ir.Constant) and right.constant > 0:
        quotient, rest = builder.sdiv(left, right), builder.srem(left, right)
        below = builder.icmp_signed("<", rest, INT64(0))
        if op == "//":
            return builder.sub(quotient, builder.zext(below, INT64))
        return builder.add(rest, builder.select(below, right, INT64(0)))
    divisor = builder.select(builder.icmp_signed("==", right, INT64(0)), INT64(1), right)
    quotient, rest = builder.sdiv(left, divisor), builder.srem(left, divisor)
    inexact = builder.icmp_signed("!=", rest, INT64(0))
    opposite = builder.icmp_signed("<", builder.xor(rest, divisor), INT64(0))
    correct = builder.and_(inexact, opposite)
    if op == "//":
        return builder.sub(quotient, builder.zext(correct, INT64))
    return builder.add(rest, builder.select(correct, divisor, INT64(0)))
