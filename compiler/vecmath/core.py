"""Building blocks of the emitted mathematics: typed wrappers of LLVM values with ordinary operators.

An emitter is a Python function from `Value` to `Value`. It runs once per module and dtype, and what it writes is one
scalar, straight-line LLVM function; the caller's loop is turned into vector code by LLVM. No operation carries a
fast-math flag and `fma` is always explicit, so that each element has the same bits in the vector body of a loop, in
its scalar tail and in a scalar call.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir


@dataclass(frozen=True)
class Format:
    """A binary floating-point format and the integer type which holds its bit pattern."""

    name: str
    width: int
    precision: int  # bits of the significand, the hidden one included
    bias: int
    largest: float

    @property
    def float_type(self) -> Any:
        return ir.DoubleType() if self.width == 64 else ir.FloatType()

    @property
    def int_type(self) -> Any:
        return ir.IntType(self.width)

    @property
    def fraction_bits(self) -> int:
        return self.precision - 1

    @property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - self.bias)

    @property
    def shifter(self) -> float:
        """1.5 * 2**fraction_bits: adding it rounds to an integer, which is then in the low bits of the sum."""
        return 1.5 * 2.0**self.fraction_bits

    @property
    def sign_mask(self) -> int:
        return 1 << (self.width - 1)

    def bits(self, number: float) -> int:
        """The bit pattern of `number` rounded to this format."""
        float_code, int_code = ("<d", "<Q") if self.width == 64 else ("<f", "<I")
        return int(struct.unpack(int_code, struct.pack(float_code, number))[0])


F64 = Format("f64", 64, 53, 1023, float.fromhex("0x1.fffffffffffffp1023"))
F32 = Format("f32", 32, 24, 127, float.fromhex("0x1.fffffep127"))


def format_of(float_type: Any) -> Format:
    """The format of an LLVM `double` or `float`; TypeError for any other type."""
    if isinstance(float_type, ir.DoubleType):
        return F64
    if isinstance(float_type, ir.FloatType):
        return F32
    raise TypeError(f"vector math works on double and float, not on {float_type}")


def _like(type: Any, element: Any) -> Any:
    """`element`, or a vector of as many of them as `type` has."""
    return ir.VectorType(element, type.count) if isinstance(type, ir.VectorType) else element


def _constant(type: Any, number: float) -> Any:
    return ir.Constant(type, [number] * type.count if isinstance(type, ir.VectorType) else number)


def call_intrinsic(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """A call of the LLVM intrinsic of that full name."""
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(result, [argument.type for argument in arguments]), name)
    return builder.call(function, arguments)


class Bool:
    """A truth value (`i1`), or a vector of them."""

    __slots__ = ("builder", "ir")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.ir = value

    def __and__(self, other: Bool) -> Bool:
        return Bool(self.builder, self.builder.and_(self.ir, other.ir))

    def __or__(self, other: Bool) -> Bool:
        return Bool(self.builder, self.builder.or_(self.ir, other.ir))

    def __invert__(self) -> Bool:
        return Bool(self.builder, self.builder.not_(self.ir))


class Bits:
    """An integer as wide as a float format: a bit pattern, or a number in two's complement; `>>` is logical."""

    __slots__ = ("builder", "format", "ir")

    def __init__(self, builder: Any, value: Any, format: Format) -> None:
        self.builder = builder
        self.ir = value
        self.format = format

    def _operand(self, other: Bits | int) -> Any:
        if isinstance(other, Bits):
            return other.ir
        return _constant(self.ir.type, other & ((1 << self.format.width) - 1))

    def _make(self, value: Any) -> Bits:
        return Bits(self.builder, value, self.format)

    def __add__(self, other: Bits | int) -> Bits:
        return self._make(self.builder.add(self.ir, self._operand(other)))

    def __sub__(self, other: Bits | int) -> Bits:
        return self._make(self.builder.sub(self.ir, self._operand(other)))

    def __rsub__(self, other: int) -> Bits:
        return self._make(self.builder.sub(self._operand(other), self.ir))

    def __and__(self, other: Bits | int) -> Bits:
        return self._make(self.builder.and_(self.ir, self._operand(other)))

    def __or__(self, other: Bits | int) -> Bits:
        return self._make(self.builder.or_(self.ir, self._operand(other)))

    def __xor__(self, other: Bits | int) -> Bits:
        return self._make(self.builder.xor(self.ir, self._operand(other)))

    def __lshift__(self, count: int) -> Bits:
        return self._make(self.builder.shl(self.ir, self._operand(count)))

    def __rshift__(self, count: int) -> Bits:
        return self._make(self.builder.lshr(self.ir, self._operand(count)))

    def of_sign(self) -> Bits:
        """All bits set for a number that is negative in two's complement, else none."""
        return self._make(self.builder.ashr(self.ir, self._operand(self.format.width - 1)))

    def at_least(self, other: Bits | int) -> Bits:
        """The larger of two numbers in two's complement."""
        larger = self.builder.icmp_signed(">", self.ir, self._operand(other))
        return self._make(self.builder.select(larger, self.ir, self._operand(other)))

    def equals(self, other: Bits | int) -> Bool:
        return Bool(self.builder, self.builder.icmp_unsigned("==", self.ir, self._operand(other)))

    def is_above(self, other: Bits | int) -> Bool:
        """Whether it is the larger of two numbers without signs."""
        return Bool(self.builder, self.builder.icmp_unsigned(">", self.ir, self._operand(other)))

    def as_float(self) -> Value:
        """The float with this bit pattern."""
        return Value(self.builder, self.builder.bitcast(self.ir, _like(self.ir.type, self.format.float_type)), self.format)


class Value:
    """A float, or in code that is written for vectors a vector of them.

    Python numbers in an expression become constants of its format; comparisons with NaN are false.
    """

    __slots__ = ("builder", "format", "ir")

    def __init__(self, builder: Any, value: Any, format: Format | None = None) -> None:
        self.builder = builder
        self.ir = value
        self.format = format or format_of(value.type)

    def constant(self, number: float) -> Value:
        return Value(self.builder, _constant(self.ir.type, float(number)), self.format)

    def _operand(self, other: Value | float) -> Any:
        return other.ir if isinstance(other, Value) else _constant(self.ir.type, float(other))

    def _make(self, value: Any) -> Value:
        return Value(self.builder, value, self.format)

    def _test(self, operator: str, other: Value | float) -> Bool:
        return Bool(self.builder, self.builder.fcmp_ordered(operator, self.ir, self._operand(other)))

    def __add__(self, other: Value | float) -> Value:
        return self._make(self.builder.fadd(self.ir, self._operand(other)))

    def __radd__(self, other: float) -> Value:
        return self._make(self.builder.fadd(self._operand(other), self.ir))

    def __sub__(self, other: Value | float) -> Value:
        return self._make(self.builder.fsub(self.ir, self._operand(other)))

    def __rsub__(self, other: float) -> Value:
        return self._make(self.builder.fsub(self._operand(other), self.ir))

    def __mul__(self, other: Value | float) -> Value:
        return self._make(self.builder.fmul(self.ir, self._operand(other)))

    def __rmul__(self, other: float) -> Value:
        return self._make(self.builder.fmul(self._operand(other), self.ir))

    def __truediv__(self, other: Value | float) -> Value:
        return self._make(self.builder.fdiv(self.ir, self._operand(other)))

    def __rtruediv__(self, other: float) -> Value:
        return self._make(self.builder.fdiv(self._operand(other), self.ir))

    def __neg__(self) -> Value:
        return self._make(self.builder.fneg(self.ir))

    def __abs__(self) -> Value:
        return self.intrinsic("llvm.fabs")

    def __lt__(self, other: Value | float) -> Bool:
        return self._test("<", other)

    def __le__(self, other: Value | float) -> Bool:
        return self._test("<=", other)

    def __gt__(self, other: Value | float) -> Bool:
        return self._test(">", other)

    def __ge__(self, other: Value | float) -> Bool:
        return self._test(">=", other)

    def equals(self, other: Value | float) -> Bool:
        return self._test("==", other)

    def is_nan(self) -> Bool:
        return Bool(self.builder, self.builder.fcmp_unordered("uno", self.ir, self.ir))

    def bits(self) -> Bits:
        """The bit pattern."""
        return Bits(self.builder, self.builder.bitcast(self.ir, _like(self.ir.type, self.format.int_type)), self.format)

    def intrinsic(self, name: str, *others: Value | float) -> Value:
        """An LLVM intrinsic of one result type, e.g. `llvm.sqrt`."""
        type = self.ir.type
        arguments = [self.ir, *(self._operand(other) for other in others)]
        lanes = f"v{type.count}" if isinstance(type, ir.VectorType) else ""
        return self._make(call_intrinsic(self.builder, f"{name}.{lanes}{self.format.name}", type, *arguments))

    def sqrt(self) -> Value:
        return self.intrinsic("llvm.sqrt")

    def with_sign_of(self, other: Value) -> Value:
        return self.intrinsic("llvm.copysign", other)

    def widened(self) -> Value:
        """The same number as a double."""
        if self.format is F64:
            return self
        return Value(self.builder, self.builder.fpext(self.ir, F64.float_type), F64)

    def narrowed(self, format: Format) -> Value:
        """A double rounded to `format`."""
        if format is F64:
            return self
        return Value(self.builder, self.builder.fptrunc(self.ir, format.float_type), format)

    def clamp(self, low: float | None = None, high: float | None = None) -> Value:
        """Limit to [low, high]; NaN stays NaN. One instruction per bound."""
        value = self
        if high is not None:
            value = where(value > high, value.constant(high), value)
        if low is not None:
            value = where(value < low, value.constant(low), value)
        return value


def where(condition: Bool, yes: Value, no: Value | float) -> Value:
    """Select without a branch; both sides are evaluated."""
    return Value(yes.builder, yes.builder.select(condition.ir, yes.ir, yes._operand(no)), yes.format)


def fma(x: Value, y: Value | float, z: Value | float) -> Value:
    """X * y + z, rounded once."""
    return x.intrinsic("llvm.fma", y, z)


def two_sum(x: Value, y: Value | float) -> tuple[Value, Value]:
    """The rounded sum and its error, exactly (Knuth, TAOCP volume 2, 4.2.2, theorem B)."""
    total = x + y
    of_y = total - x
    of_x = total - of_y
    return total, (x - of_x) + (-(of_y - y))


def fast_two_sum(x: Value, y: Value) -> tuple[Value, Value]:
    """The rounded sum and its error, for |x| >= |y| or x == 0 (Dekker 1971)."""
    total = x + y
    return total, y - (total - x)


def two_product(x: Value, y: Value | float) -> tuple[Value, Value]:
    """The rounded product and its error, exactly unless it underflows."""
    product = x * y
    return product, fma(x, y, -product)


def polynomial(x: Value, coefficients: Sequence[float | Value]) -> Value:
    """Horner's scheme for the even and for the odd powers: half as many dependent operations as in one, and one product more.

    Loops over vectors are bound by the number of operations: the processor works on several iterations at once.
    `coefficients` are ordered from the constant term upwards.
    """
    if len(coefficients) < 6:
        return _horner(x, coefficients)
    square = x * x
    return fma(_horner(square, coefficients[1::2]), x, _horner(square, coefficients[0::2]))


def _horner(x: Value, coefficients: Sequence[float | Value]) -> Value:
    last = coefficients[-1]
    total = last if isinstance(last, Value) else x.constant(last)
    for coefficient in reversed(coefficients[:-1]):
        total = fma(total, x, coefficient)
    return total


def round_to_integer(x: Value, factor: float, offset: int = 0, parts: int = 1) -> tuple[Value, Bits]:
    """N = x * factor rounded to the nearest integer, as a float, and bits whose low half is n + offset.

    |x * factor| + |offset| must be less than 2**(fraction_bits - 1). With parts, a power of two, everything is in units
    of 1 / parts.
    """
    shifter = (x.format.shifter + offset) / parts
    shifted = fma(x, factor, shifter)
    return shifted - shifter, shifted.bits()


def from_exponent(biased: Bits) -> Value:
    """2**(n - bias) for n in the low bits of `biased`, 0 < n < 2 * bias + 1; the bits above must be even or absent."""
    return (biased << biased.format.fraction_bits).as_float()


def split_exponent(x: Value) -> tuple[Value, Bits]:
    """M in [sqrt(1/2), sqrt(2)) and k + bias with x == m * 2**k, for positive, finite, normal x."""
    format = x.format
    root = format.bits(0.5**0.5)
    offset = x.bits() + (format.bits(1.0) - root)
    mantissa = ((offset & ((1 << format.fraction_bits) - 1)) + root).as_float()
    return mantissa, offset >> format.fraction_bits


def small_integer(number: Bits, bias: Value | int = 0) -> Value:
    """The float of an integer in [0, 2**fraction_bits), minus `bias`: vector units without 64-bit conversions need this detour."""
    magic = 2.0**number.format.fraction_bits
    return (number | number.format.bits(magic)).as_float() - (bias + magic)


def hex_floats(text: str) -> tuple[float, ...]:
    """The numbers of a table written as C hexadecimal floats."""
    return tuple(float.fromhex(word) for word in text.split())


def both(f64: str, f32: str) -> Callable[[Value], tuple[float, ...]]:
    """A table of coefficients with one row per format, for the emitters which pick it by the format of a value."""
    rows = {"f64": hex_floats(f64), "f32": hex_floats(f32)}
    return lambda x: rows[x.format.name]
