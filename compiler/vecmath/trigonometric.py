"""sin, cos, tan: x = n*pi + r for sin and cos, x = n*pi/2 + r for tan; a polynomial in r, and for tan a quotient.

For usual arguments n is a float, and three parts of pi with fma are exact enough (Cody and Waite; Muller, Elementary
Functions, 11.2). Beyond, the bits of 2/pi that matter are multiplied by the significand (M. Payne and R. Hanek 1983).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from llvmlite import ir

from . import coefficients
from .core import F32, F64, Bits, Value, fast_two_sum, fma, hex_floats, polynomial, round_to_integer, two_product, where
from .rare import replace_outside

PI = {  # in three parts; the second one of float64 has 33 bits, so that its product with n is exact
    "f64": hex_floats("0x1.921fb54442d18p1 0x1.1a626331p-53 0x1.1701b839a252p-87"),
    "f32": hex_floats("0x1.921fb6p1 -0x1.777a5cp-24 -0x1.ee59dap-49"),
}
TAN_POLE = float.fromhex("0x1.9f02f6p-2")  # 4 / pi**2: the slope of the quotient's divisor
# Up to here n*(three parts) is exact enough even for the arguments which are closest to a multiple of pi/2.
USUAL_LIMIT = {"f64": 2.0**20, "f32": 2.0**15}


def sin(x: Value) -> Value:
    """The sine."""
    size = abs(x)
    n, turns = round_to_integer(size, 1.0 / math.pi)
    return _repaired(size, _signed(_sine(_rest(size, n)), turns, x), sin_huge, x)


def cos(x: Value) -> Value:
    """The cosine: the sine of |x| + pi/2."""
    size = abs(x)
    shifted = fma(size, 1.0 / math.pi, 0.5) + x.format.shifter
    n = (shifted - x.format.shifter) - 0.5
    return _repaired(size, _signed(_sine(_rest(size, n)), shifted.bits()), cos_huge, x)


def tan(x: Value) -> Value:
    """The tangent."""
    size = abs(x)
    n, turns = round_to_integer(size, 2.0 / math.pi)
    first, second, third = (part * 0.5 for part in PI[x.format.name])
    exact = fma(-n, first, size)
    product, product_low = two_product(n, second)
    r = exact - product
    lost = (exact - r) - product
    if x.format is F32:
        lost = lost - product_low
    return _repaired(size, _tangent(r, fma(-n, third, lost), turns, x), tan_huge, x)


def _repaired(size: Value, usual: Value, huge: Any, x: Value) -> Value:
    return replace_outside(None, USUAL_LIMIT[x.format.name], size, usual, huge, x)


def sinc(x: Value) -> Value:
    """sin(x) / x, 1 at 0."""
    return where(x.equals(0.0), x.constant(1.0), sin(x) / x)


def sin_huge(x: Value) -> Value:
    """The sine for any |x| >= 2**15."""
    wide = x.widened()
    r, _, turns = _reduce_huge(abs(wide), 1)
    return _signed(_sine(r), turns, wide).narrowed(x.format)


def cos_huge(x: Value) -> Value:
    """The cosine for any |x| >= 2**15."""
    r, _, turns = _reduce_huge(abs(x.widened()), 1, quarter=1)
    return _signed(_sine(r), turns).narrowed(x.format)


def tan_huge(x: Value) -> Value:
    """The tangent for any |x| >= 2**15."""
    wide = x.widened()
    return _tangent(*_reduce_huge(abs(wide), 2), wide).narrowed(x.format)


def _rest(x: Value, n: Value) -> Value:
    """X - n * pi."""
    for part in PI[x.format.name]:
        x = fma(-n, part, x)
    return x


def _sine(r: Value) -> Value:
    """The sine for |r| <= pi/2; never beyond 1, where sqrt(1 - sin(x)**2) and acos(sin(x)) would be NaN."""
    z = r * r
    return fma(r * z, polynomial(z, coefficients.SIN(r)), r).clamp(-1.0, 1.0)


def _tangent(r: Value, r_low: Value, turns: Bits, x: Value) -> Value:
    """The tangent of r + r_low, |r| <= pi/4, or -1 over it for an odd number of turns; with the sign of x."""
    z = r * r
    sine = r + fma(r * z, polynomial(z, coefficients.TAN(r)), r_low)
    cosine = fma(z, -TAN_POLE, 1.0)
    even = (turns & 1).equals(0)
    quotient = where(even, sine, -cosine) / where(even, cosine, sine)
    return (quotient.bits() ^ (x.bits() & x.format.sign_mask)).as_float()


def _signed(size: Value, turns: Bits, x: Value | None = None) -> Value:
    """`size` or, after an odd number of half turns, -size; times the sign of x."""
    sign = turns << (turns.format.width - 1)
    if x is not None:
        sign = sign ^ (x.bits() & x.format.sign_mask)
    return (size.bits() ^ sign).as_float()


def _reduce_huge(x: Value, parts: int, quarter: int = 0) -> tuple[Value, Value, Bits]:
    """R in two parts and n with x + quarter*pi/2 == n*pi/parts + r, for any double x >= 2**15; NaN for inf.

    With x == m * 2**e the bits of 2/pi before the place e - 1 contribute multiples of 4, and of those after it 192 are
    enough: x is never closer than 2**-62 (relative to pi/2) to a multiple of pi/2.
    """
    builder = x.builder
    i64, i128 = ir.IntType(64), ir.IntType(128)

    def intrinsic(name: str, type: Any, *arguments: Any) -> Any:
        types = [argument.type for argument in arguments]
        function = builder.module.declare_intrinsic(name, [type], ir.FunctionType(type, types))
        return builder.call(function, arguments)

    pattern = x.bits()
    significand = builder.zext(((pattern & (2**52 - 1)) | 2**52).ir, i128)
    place = (pattern >> 52) - (1075 - 62)  # of the first bit wanted, in a table that starts with 64 zeros
    table = _two_over_pi_table(builder.module)
    words = []
    for i in range(4):
        index = ((place >> 6) + i).ir
        words.append(builder.load(builder.gep(table, [i64(0), index], inbounds=True)))
    shift = (place & 63).ir
    window = [intrinsic("llvm.fshl", i64, words[i], words[i + 1], shift) for i in range(3)]
    # product = significand * window modulo 2**192: two bits of integer and 190 of fraction
    lowest, middle, highest = (builder.mul(significand, builder.zext(word, i128)) for word in reversed(window))
    middle = builder.add(middle, builder.lshr(lowest, i128(64)))
    highest = builder.add(builder.shl(highest, i128(64)), middle)  # the upper 128 bits
    highest = builder.add(highest, i128(quarter << 126))
    upper = builder.trunc(builder.lshr(highest, i128(64)), i64)
    turns = builder.lshr(builder.add(upper, i64(1 << (63 - parts))), i64(64 - parts))
    fraction = intrinsic("llvm.fshl", i128, highest, builder.shl(lowest, i128(64)), i128(parts))  # signed, over 2**128
    negative = builder.icmp_signed("<", fraction, i128(0))
    size = builder.select(negative, builder.neg(fraction), fraction)
    zeros = intrinsic("llvm.ctlz", i128, size, ir.Constant(ir.IntType(1), 0))
    size = builder.shl(size, zeros)
    scale = ((1023 - Bits(builder, builder.trunc(zeros, i64), F64)) << 52).as_float()

    def as_value(shift_count: int, unit: float) -> Value:
        word = builder.trunc(builder.lshr(size, i128(shift_count)), i64)
        return Value(builder, builder.uitofp(word, F64.float_type)) * unit * scale

    high, low = as_value(75, 2.0**-53), as_value(11, 2.0**-117)
    pi, pi_low = PI["f64"][0] / parts, (PI["f64"][1] + PI["f64"][2]) / parts
    r = high * pi
    r, r_low = fast_two_sum(r, fma(high, pi, -r) + fma(high, pi_low, low * pi))
    sign = Value(builder, builder.select(negative, F64.float_type(-1.0), F64.float_type(1.0)))
    r = where(x < math.inf, r * sign, x.constant(math.nan))
    return r, r_low * sign, Bits(builder, turns, F64)


def _two_over_pi_table(module: Any) -> Any:
    name = "cr.two_over_pi"
    table = module.globals.get(name)
    if table is None:
        words = _two_over_pi_words()
        table = ir.GlobalVariable(module, ir.ArrayType(ir.IntType(64), len(words)), name)
        table.linkage, table.global_constant = "internal", True
        table.initializer = ir.Constant(table.value_type, words)
    return table


@lru_cache(maxsize=1)
def _two_over_pi_words() -> tuple[int, ...]:
    """64 zero bits, then 1,280 bits of 2/pi behind the binary point, in words of 64."""
    count, guard = 1280, 64
    one = 1 << (count + guard)

    def arctan_of_inverse(n: int) -> int:
        total, term, k = 0, one // n, 0
        while term:
            total += (-1) ** k * (term // (2 * k + 1))
            term //= n * n
            k += 1
        return total

    pi = 16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239)  # Machin 1706
    bits = (2 * one * one // pi) >> guard
    return (0, *((bits >> (count - 64 * (i + 1))) & (2**64 - 1) for i in range(count // 64)))
