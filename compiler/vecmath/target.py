"""Instructions of particular machines, for scalars and vectors, with the same bits for both.

An emitter for machines that have them stands in the table of functions beside the portable one, which is the default. They
are emitted behind the loop vectoriser (see `late`), which knows nothing of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from llvmlite import ir

from . import late
from .core import Bits, Format, Value, call_intrinsic

FEATURES = {"avx512": frozenset({"avx512f", "avx512dq", "avx512vl"})}  # what LLVM calls the features that a target name stands for


def has(module: Any, target: str) -> bool:
    """Whether code in this module may use the instructions."""
    return bool(module.features >= FEATURES[target])


def on(**emitters: Callable[..., Value]) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """A decorator of a portable emitter: on machines with the instructions of that target, another one takes its place."""

    def choosing(portable: Callable[..., Value]) -> Callable[..., Value]:
        @wraps(portable)
        def emit(x: Value, *arguments: Any, **keywords: Any) -> Value:
            module = x.builder.module
            chosen = next((emitter for name, emitter in emitters.items() if has(module, name)), portable)
            return chosen(x, *arguments, **keywords)

        return emit

    return choosing


def lookup(index: Bits, table: Sequence[float]) -> Value:
    """`table[index]` by a permutation of registers, for 8 or 16 numbers of float64, 16 or 32 of float32.

    The bits of the index above those needed are ignored.
    """
    format, numbers = index.format, tuple(table)
    size = len(numbers)
    lanes = 512 // format.width
    suffix = "pd" if format.width == 64 else "ps"

    def write(builder: Any, index: Any) -> Any:
        if late.lanes_of(index) == 1:
            place = builder.and_(index, index.type(size - 1))
            data = _constant_table(builder.module, format, numbers)
            return builder.load(builder.gep(data, [index.type(0), place], inbounds=True))
        wide = _resized(builder, index, lanes)
        vector = ir.VectorType(format.float_type, lanes)
        first, *second = (ir.Constant(vector, list(numbers[i : i + lanes])) for i in range(0, size, lanes))
        if second:
            found = call_intrinsic(builder, f"llvm.x86.avx512.vpermi2var.{suffix}.512", vector, first, wide, second[0])
        else:
            name = "df" if format.width == 64 else "sf"
            found = call_intrinsic(builder, f"llvm.x86.avx512.permvar.{name}.512", vector, first, wide)
        return _resized(builder, found, late.lanes_of(index))

    name = f"cr.table.{format.name}.{zlib.crc32(repr(numbers).encode()):08x}"
    return Value(index.builder, late.call(index.builder, name, write, format.float_type, index.ir), format)


def _constant_table(module: Any, format: Format, numbers: tuple[float, ...]) -> Any:
    name = f"cr.numbers.{format.name}.{zlib.crc32(repr(numbers).encode()):08x}"
    table = module.globals.get(name)
    if table is None:
        table = ir.GlobalVariable(module, ir.ArrayType(format.float_type, len(numbers)), name)
        table.linkage, table.global_constant = "internal", True
        table.initializer = ir.Constant(table.value_type, list(numbers))
    return table


def rsqrt_estimate(x: Value) -> Value:
    """1 / sqrt(x) to 14 bits; inf for 0."""
    return _instruction("rsqrt14", x)


def reciprocal_estimate(x: Value) -> Value:
    """1 / x to 14 bits."""
    return _instruction("rcp14", x)


def exponent(x: Value) -> Value:
    """floor(log2(|x|)) as a float, also for subnormals; -inf for 0, inf for inf."""
    return _instruction("mask.getexp", x, rounding=True)


def mantissa(x: Value, interval: int = 0, sign: int = 0) -> Value:
    """The significand: in [1, 2), or for interval 1 in [1/2, 2), 2 in [1/2, 1), 3 in [3/4, 3/2).

    1 for 0 and for inf. Sign 0 keeps the sign, 1 drops it, 2 makes NaN of negative numbers.
    """
    return _instruction("mask.getmant", x, immediates=(sign << 2 | interval,), rounding=True)


def scaled(x: Value, n: Value) -> Value:
    """2**floor(n) * x, rounded once."""
    return _instruction("mask.scalef", x, n, rounding=True)


_KINDS = ("nan", "signalling nan", "zero", "one", "-inf", "inf", "negative", "positive")
_RESULTS = {"result": 0, "x": 1, "nan": 3, "-inf": 4, "inf": 5}


def with_special_cases(result: Value, x: Value, cases: Mapping[str, str]) -> Value:
    """`result`, but for arguments x of the kinds in `cases` what is named there."""
    table = sum(_RESULTS[cases.get(kind, "result")] << (4 * place) for place, kind in enumerate(_KINDS))
    return _instruction("mask.fixupimm", result, x, immediates=(0,), rounding=True, table=table)


def _instruction(
    name: str, *values: Value, immediates: Sequence[int] = (), rounding: bool = False, table: int | None = None
) -> Value:
    """An instruction with registers of 128 to 512 bits, whose intrinsics take a mask and what stands where it is clear, or
    integers that are a table for each element.
    """
    format, builder = values[0].format, values[0].builder
    i32 = ir.IntType(32)

    def write(builder: Any, *arguments: Any) -> Any:
        lanes = late.lanes_of(arguments[0])
        registers = next(bits for bits in (128, 256, 512) if bits >= lanes * format.width)
        width = registers // format.width
        operands = [_resized(builder, each, width) for each in arguments]
        if table is not None:
            operands.append(ir.Constant(ir.VectorType(format.int_type, width), [table] * width))
        operands += [ir.Constant(i32, each) for each in immediates]
        if table is None:
            operands.append(ir.Constant(operands[0].type, [0.0] * width))
        operands.append(ir.IntType(max(8, width))(-1))
        if rounding and registers == 512:
            operands.append(i32(4))  # the current direction
        suffix = "pd" if format.width == 64 else "ps"
        full = f"llvm.x86.avx512.{name}.{suffix}.{registers}"
        return _resized(builder, call_intrinsic(builder, full, operands[0].type, *operands), lanes)

    numbers = (*immediates, *(() if table is None else (table,)))
    symbol = ".".join((f"cr.{name}.{format.name}", *map(str, numbers)))
    return Value(builder, late.call(builder, symbol, write, format.float_type, *(value.ir for value in values)), format)


def _resized(builder: Any, value: Any, lanes: int) -> Any:
    """The first lanes of a vector, or a vector with more that have no value; a scalar for one lane."""
    i32 = ir.IntType(32)
    has = late.lanes_of(value)
    if has == lanes:
        return value
    if has == 1:
        return builder.insert_element(ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined), value, i32(0))
    if lanes == 1:
        return builder.extract_element(value, i32(0))
    undefined = ir.Constant(value.type, ir.Undefined)
    places = ir.Constant(ir.VectorType(i32, lanes), [i if i < has else 0 for i in range(lanes)])
    return builder.shuffle_vector(value, undefined, places)
