"""Scalar ops that take a few LLVM instructions: the `emit` spellings of `ops.lowering`.

Each is a function of an IRBuilder and registers of one type, double, float or a signed integer, without branches
(except the loop of an integer power), so that loops over it become vector code.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llvmlite import ir

__all__ = ["COMPOSITES"]

Value = Any  # llvmlite has no annotations
FLOATS = (ir.DoubleType, ir.FloatType)


def _zero(value: Value) -> Value:
    return ir.Constant(value.type, 0.0 if isinstance(value.type, FLOATS) else 0)


def _one(value: Value) -> Value:
    return ir.Constant(value.type, 1.0 if isinstance(value.type, FLOATS) else 1)


def _intrinsic(builder: Any, name: str, *args: Value) -> Value:
    signature = ir.FunctionType(args[0].type, [a.type for a in args])
    return builder.call(builder.module.declare_intrinsic(name, [args[0].type], signature), args)


def square(b: Any, x: Value) -> Value:
    return b.fmul(x, x)


def reciprocal(b: Any, x: Value) -> Value:
    return b.fdiv(_one(x), x)


def isnan(b: Any, x: Value) -> Value:
    return b.fcmp_unordered("uno", x, x)


def isinf(b: Any, x: Value) -> Value:
    return b.fcmp_ordered("==", _intrinsic(b, "llvm.fabs", x), ir.Constant(x.type, float("inf")))


def isfinite(b: Any, x: Value) -> Value:
    return b.fcmp_ordered("<", _intrinsic(b, "llvm.fabs", x), ir.Constant(x.type, float("inf")))


def sign(b: Any, x: Value) -> Value:
    """-1, 0 or 1; nan and the sign of zero as NumPy (a zero gives +0)."""
    if not isinstance(x.type, FLOATS):
        positive = b.zext(b.icmp_signed(">", x, _zero(x)), x.type)
        return b.sub(positive, b.zext(b.icmp_signed("<", x, _zero(x)), x.type))
    one = _one(x)
    nonzero = b.select(b.fcmp_ordered(">", x, _zero(x)), one, b.select(b.fcmp_ordered("<", x, _zero(x)), b.fneg(one), _zero(x)))
    return b.select(isnan(b, x), x, nonzero)


def maximum(b: Any, x: Value, y: Value) -> Value:
    """The larger; nan where either is nan."""
    if isinstance(x.type, FLOATS):
        return b.select(b.or_(b.fcmp_ordered(">", x, y), isnan(b, x)), x, y)
    return b.select(b.icmp_signed(">", x, y), x, y)


def minimum(b: Any, x: Value, y: Value) -> Value:
    """The smaller; nan where either is nan."""
    if isinstance(x.type, FLOATS):
        return b.select(b.or_(b.fcmp_ordered("<", x, y), isnan(b, x)), x, y)
    return b.select(b.icmp_signed("<", x, y), x, y)


def absolute(b: Any, x: Value) -> Value:
    return b.select(b.icmp_signed("<", x, _zero(x)), b.neg(x), x)


def _divisor(b: Any, x: Value, y: Value) -> tuple[Value, Value]:
    """A divisor that never traps (1 in place of 0, and of -1 under the smallest integer), and whether it was 0."""
    is_zero = b.icmp_signed("==", y, _zero(y))
    least = ir.Constant(x.type, -(1 << (x.type.width - 1)))
    overflows = b.and_(b.icmp_signed("==", x, least), b.icmp_signed("==", y, ir.Constant(y.type, -1)))
    return b.select(b.or_(is_zero, overflows), _one(y), y), is_zero


def floor_divide(b: Any, x: Value, y: Value) -> Value:
    """Rounded down; for integers division by zero gives 0, as in NumPy."""
    if isinstance(x.type, FLOATS):
        # from the exact remainder, as Python and NumPy do: floor(x / y) alone is off by one near whole quotients
        rest = b.frem(x, y)
        opposite = b.xor(b.fcmp_ordered("<", rest, _zero(x)), b.fcmp_ordered("<", y, _zero(y)))
        adjust = b.and_(opposite, b.fcmp_unordered("!=", rest, _zero(x)))
        quotient = b.fdiv(b.fsub(x, rest), y)
        quotient = b.select(adjust, b.fsub(quotient, _one(x)), quotient)
        rounded = _intrinsic(b, "llvm.roundeven", quotient)
        return b.select(b.fcmp_ordered("==", y, _zero(y)), b.fdiv(x, y), rounded)
    divisor, is_zero = _divisor(b, x, y)
    quotient, rest = b.sdiv(x, divisor), b.srem(x, divisor)
    opposite = b.icmp_signed("<", b.xor(rest, divisor), _zero(x))
    down = b.and_(opposite, b.icmp_signed("!=", rest, _zero(x)))
    return b.select(is_zero, _zero(x), b.sub(quotient, b.zext(down, x.type)))


def remainder(b: Any, x: Value, y: Value) -> Value:
    """With the sign of the divisor, as Python's `%`; for integers the remainder by zero is 0, as in NumPy."""
    if isinstance(x.type, FLOATS):
        rest = b.frem(x, y)
        opposite = b.xor(b.fcmp_ordered("<", rest, _zero(x)), b.fcmp_ordered("<", y, _zero(y)))
        adjusted = b.select(b.and_(opposite, b.fcmp_unordered("!=", rest, _zero(x))), b.fadd(rest, y), rest)
        signed_zero = _intrinsic(b, "llvm.copysign", _zero(x), y)
        return b.select(b.fcmp_ordered("==", rest, _zero(x)), signed_zero, adjusted)
    divisor, is_zero = _divisor(b, x, y)
    rest = b.srem(x, divisor)
    opposite = b.and_(b.icmp_signed("<", b.xor(rest, divisor), _zero(x)), b.icmp_signed("!=", rest, _zero(x)))
    return b.select(is_zero, _zero(x), b.select(opposite, b.add(rest, divisor), rest))


def fmod(b: Any, x: Value, y: Value) -> Value:
    """With the sign of the dividend, as C's fmod."""
    if isinstance(x.type, FLOATS):
        return b.frem(x, y)
    divisor, is_zero = _divisor(b, x, y)
    return b.select(is_zero, _zero(x), b.srem(x, divisor))


def shift_left(b: Any, x: Value, n: Value) -> Value:
    """0 where the count is not in [0, width), as NumPy."""
    inside = b.icmp_unsigned("<", n, ir.Constant(n.type, n.type.width))
    return b.select(inside, b.shl(x, b.select(inside, n, _zero(n))), _zero(x))


def shift_right(b: Any, x: Value, n: Value) -> Value:
    """Arithmetic; by the width or more, only the sign is left."""
    most = ir.Constant(n.type, n.type.width - 1)
    return b.ashr(x, b.select(b.icmp_unsigned("<=", n, most), n, most))


def integer_power(b: Any, x: Value, n: Value) -> Value:
    """By repeated squaring, modulo the width; a negative exponent gives 0 (callers refuse it before)."""
    entry, function = b.block, b.function
    loop, done = function.append_basic_block("power"), function.append_basic_block("power.done")
    b.branch(loop)
    b.position_at_end(loop)
    result, base, left = (b.phi(x.type) for _ in range(3))
    odd = b.icmp_signed("!=", b.and_(left, _one(n)), _zero(n))
    product = b.select(odd, b.mul(result, base), result)
    squared, rest = b.mul(base, base), b.ashr(left, _one(n))
    for phi, first, following in ((result, _one(x), product), (base, x, squared), (left, n, rest)):
        phi.add_incoming(first, entry)
        phi.add_incoming(following, loop)
    b.cbranch(b.icmp_signed(">", rest, _zero(n)), loop, done)
    b.position_at_end(done)
    return b.select(b.icmp_signed("<", n, _zero(n)), _zero(x), product)


COMPOSITES: Mapping[str, Callable[..., Value]] = {
    function.__name__: function
    for function in (square, reciprocal, isnan, isinf, isfinite, sign, maximum, minimum, absolute, floor_divide, remainder,
                     fmod, shift_left, shift_right, integer_power)
}
