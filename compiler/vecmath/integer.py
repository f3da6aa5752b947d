"""Integer operations with NumPy's rules, on raw LLVM values: wrap-around, and 0 for a division by zero."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

Int = Any  # an LLVM integer value


def floor_divide(builder: Any, a: Int, b: Int) -> Int:
    """A // b, rounded towards minus infinity; a // 0 == 0, smallest // -1 == smallest."""
    quotient, remainder = _divide(builder, a, b)
    one_less = builder.sub(quotient, a.type(1))
    return builder.select(_signs_differ(builder, remainder, b), one_less, quotient)


def remainder(builder: Any, a: Int, b: Int) -> Int:
    """A % b with the sign of b; a % 0 == 0."""
    _, rest = _divide(builder, a, b)
    return builder.select(_signs_differ(builder, rest, b), builder.add(rest, b), rest)


def trunc_divide(builder: Any, a: Int, b: Int) -> Int:
    """A / b, rounded towards zero; 0 for b == 0."""
    return _divide(builder, a, b)[0]


def fmod(builder: Any, a: Int, b: Int) -> Int:
    """A - b * (a / b rounded towards zero), with the sign of a; 0 for b == 0."""
    return _divide(builder, a, b)[1]


def _divide(builder: Any, a: Int, b: Int) -> tuple[Int, Int]:
    """Truncated quotient and remainder, without the two cases that are undefined in LLVM and trap on x86."""
    zero, one, minus_one = a.type(0), a.type(1), a.type(-1)
    by_zero = builder.icmp_signed("==", b, zero)
    by_minus_one = builder.icmp_signed("==", b, minus_one)
    quotient = builder.sdiv(a, builder.select(builder.or_(by_zero, by_minus_one), one, b))
    quotient = builder.select(by_minus_one, builder.neg(a), quotient)
    quotient = builder.select(by_zero, zero, quotient)
    rest = builder.sub(a, builder.mul(quotient, b))
    return quotient, builder.select(by_zero, zero, rest)


def _signs_differ(builder: Any, rest: Int, divisor: Int) -> Any:
    zero = rest.type(0)
    opposite = builder.icmp_signed("<", builder.xor(rest, divisor), zero)
    return builder.and_(opposite, builder.icmp_signed("!=", rest, zero))


def ipow(builder: Any, base: Int, exponent: Int) -> Int:
    """Base ** exponent modulo the integer's range, by repeated squaring; for exponent < 0 the truncated reciprocal."""
    type = base.type
    zero, one, minus_one = type(0), type(1), type(-1)
    before = builder.block
    loop, done = builder.append_basic_block("square"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    power, square, rest = (builder.phi(type) for _ in range(3))
    is_odd = builder.icmp_signed("!=", builder.and_(rest, one), zero)
    next_power = builder.select(is_odd, builder.mul(power, square), power)
    next_square = builder.mul(square, square)
    next_rest = builder.lshr(rest, one)
    for phi, start, step in ((power, one, next_power), (square, base, next_square), (rest, exponent, next_rest)):
        phi.add_incoming(start, before)
        phi.add_incoming(step, loop)
    builder.cbranch(builder.icmp_signed("!=", next_rest, zero), loop, done)
    builder.position_at_end(done)
    is_unit = builder.or_(builder.icmp_signed("==", base, one), builder.icmp_signed("==", base, minus_one))
    vanishes = builder.and_(builder.icmp_signed("<", exponent, zero), builder.not_(is_unit))
    return builder.select(vanishes, zero, next_power)


def imaximum(builder: Any, a: Int, b: Int) -> Int:
    """The larger."""
    return builder.select(builder.icmp_signed(">", a, b), a, b)


def iminimum(builder: Any, a: Int, b: Int) -> Int:
    """The smaller."""
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def abs(builder: Any, a: Int) -> Int:
    """|a|; the smallest integer is its own."""
    return builder.select(builder.icmp_signed("<", a, a.type(0)), builder.neg(a), a)


def sign(builder: Any, a: Int) -> Int:
    """-1, 0 or 1."""
    positive = builder.zext(builder.icmp_signed(">", a, a.type(0)), a.type)
    return builder.sub(positive, builder.zext(builder.icmp_signed("<", a, a.type(0)), a.type))


def square(builder: Any, a: Int) -> Int:
    """A * a."""
    return builder.mul(a, a)


def shift_left(builder: Any, a: Int, count: Int) -> Int:
    """A << count; 0 for a count that is negative or at least the width."""
    fits, safe = _shift_count(builder, count)
    return builder.select(fits, builder.shl(a, safe), a.type(0))


def shift_right(builder: Any, a: Int, count: Int) -> Int:
    """A >> count, filled with the sign; only the sign for a count that is negative or at least the width."""
    fits, safe = _shift_count(builder, count)
    return builder.ashr(a, builder.select(fits, safe, a.type(a.type.width - 1)))


def _shift_count(builder: Any, count: Int) -> tuple[Any, Int]:
    fits = builder.icmp_unsigned("<", count, ir.Constant(count.type, count.type.width))
    return fits, builder.select(fits, count, count.type(0))
