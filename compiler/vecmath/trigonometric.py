"""sin, cos, tan: x = n*pi/2 + r, |r| <= pi/4, r in two parts; a polynomial for the sine and one for the cosine of r.

For usual arguments n is a float, and three parts of pi/2 with fma are exact enough (Cody and Waite; Muller, Elementary
Functions, 11.2). Beyond, the bits of 2/pi that matter are multiplied by the significand (M. Payne and R. Hanek 1983).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from llvmlite import ir

from . import coefficients
from .core import F64, Bits, Value, fast_two_sum, fma, hex_floats, polynomial, round_to_integer, two_product, where
from .rare import replace_outside

HALF_PI = {  # in three parts; the second one of float64 has 33 bits, so that its product with n is exact
    "f64": hex_floats("0x1.921fb54442d18p0 0x1.1a626331p-54 0x1.1701b839a252p-88"),
    "f32": hex_floats("0x1.921fb6p0 -0x1.777a5cp-25 -0x1.ee59dap-50"),
}
HALF_PI_LOW = float.fromhex("0x1.1a62633145c07p-54")
# Up to here n*(three parts) is exact enough even for the arguments which are closest to a multiple of pi/2.
USUAL_LIMIT = {"f64": 2.0**20, "f32": 2.0**15}


def sin(x: Value) -> Value:
    """The sine."""
    usual = _sin(x, *_reduce(abs(x)))
    limit = USUAL_LIMIT[x.format.name]
    return replace_outside(-limit, limit, x, usual, sin_huge)


def cos(x: Value) -> Value:
    """The cosine."""
    usual = _cos(*_reduce(abs(x)))
    limit = USUAL_LIMIT[x.format.name]
    return replace_outside(-limit, limit, x, usual, cos_huge)


def tan(x: Value) -> Value:
    """The tangent."""
    usual = _tan(x, *_reduce(abs(x)))
    limit = USUAL_LIMIT[x.format.name]
    return replace_outside(-limit, limit, x, usual, tan_huge)


def sinc(x: Value) -> Value:
    """sin(x) / x, 1 at 0."""
    return where(x.equals(0.0), x.constant(1.0), sin(x) / x)


def sin_huge(x: Value) -> Value:
    """The sine for any |x| >= 2**15."""
    wide = x.widened()
    return _sin(wide, *_reduce_huge(abs(wide))).narrowed(x.format)


def cos_huge(x: Value) -> Value:
    """The cosine for any |x| >= 2**15."""
    return _cos(*_reduce_huge(abs(x.widened()))).narrowed(x.format)


def tan_huge(x: Value) -> Value:
    """The tangent for any |x| >= 2**15."""
    wide = x.widened()
    return _tan(wide, *_reduce_huge(abs(wide))).narrowed(x.format)


def _reduce(x: Value) -> tuple[Bits, Value, Value]:
    """N in the low bits, and r in two parts, for 0 <= x <= USUAL_LIMIT."""
    first, second, third = HALF_PI[x.format.name]
    n, quadrant = round_to_integer(x, 2.0 / math.pi)
    exact = fma(-n, first, x)
    if x.format is F64:
        r = fma(-n, second, exact)
        lost = fma(-n, second, exact - r)
    else:
        product, product_low = two_product(n, second)
        r = exact - product
        lost = ((exact - r) - product) - product_low
    return quadrant, r, fma(-n, third, lost)


def _sin(x: Value, quadrant: Bits, r: Value, r_low: Value) -> Value:
    sine, cosine = _sin_and_cos(r, r_low)
    size = where(_is_even(quadrant), sine, cosine)
    return (size.bits() ^ ((_sign(quadrant) ^ x.bits()) & x.format.sign_mask)).as_float()


def _cos(quadrant: Bits, r: Value, r_low: Value) -> Value:
    sine, cosine = _sin_and_cos(r, r_low)
    size = where(_is_even(quadrant), cosine, sine)
    return (size.bits() ^ (_sign(quadrant + 1) & r.format.sign_mask)).as_float()


def _tan(x: Value, quadrant: Bits, r: Value, r_low: Value) -> Value:
    sine, cosine = _sin_and_cos(r, r_low)
    even = _is_even(quadrant)
    quotient = where(even, sine, -cosine) / where(even, cosine, sine)
    return (quotient.bits() ^ (x.bits() & x.format.sign_mask)).as_float()


def _is_even(quadrant: Bits) -> Any:
    return (quadrant & 1).equals(0)


def _sign(quadrant: Bits) -> Bits:
    """Bit 1 of the quadrant in the place of the sign bit, and others below."""
    return quadrant << (quadrant.format.width - 2)


def _sin_and_cos(r: Value, r_low: Value) -> tuple[Value, Value]:
    z = r * r
    half = z * 0.5
    sine = r + fma(r * z, polynomial(z, coefficients.SIN(r)), fma(-half, r_low, r_low))
    cosine = 1.0 - (half - fma(z * z, polynomial(z, coefficients.COS(r)), -(r * r_low)))
    return sine, cosine


def _reduce_huge(x: Value) -> tuple[Bits, Value, Value]:
    """The same as `_reduce` for any double x >= 2**15; NaN for inf.

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
    upper = builder.trunc(builder.lshr(highest, i128(64)), i64)
    quadrant = builder.lshr(builder.add(upper, i64(1 << 61)), i64(62))
    fraction = intrinsic("llvm.fshl", i128, highest, builder.shl(lowest, i128(64)), i128(2))  # signed, over 2**128
    negative = builder.icmp_signed("<", fraction, i128(0))
    size = builder.select(negative, builder.neg(fraction), fraction)
    zeros = intrinsic("llvm.ctlz", i128, size, ir.Constant(ir.IntType(1), 0))
    size = builder.shl(size, zeros)
    scale = ((1023 - Bits(builder, builder.trunc(zeros, i64), F64)) << 52).as_float()

    def as_value(shift_count: int, unit: float) -> Value:
        word = builder.trunc(builder.lshr(size, i128(shift_count)), i64)
        return Value(builder, builder.uitofp(word, F64.float_type)) * unit * scale

    high, low = as_value(75, 2.0**-53), as_value(11, 2.0**-117)
    half_pi = HALF_PI["f64"][0]
    r = high * half_pi
    r, r_low = fast_two_sum(r, fma(high, half_pi, -r) + fma(high, HALF_PI_LOW, low * half_pi))
    sign = Value(builder, builder.select(negative, F64.float_type(-1.0), F64.float_type(1.0)))
    r = where(x < math.inf, r * sign, x.constant(math.nan))
    return Bits(builder, quadrant, F64), r, r_low * sign


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
