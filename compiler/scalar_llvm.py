"""Scalar ops to LLVM IR: the spellings of `ops.lowering`, and conversions between element types.

Registers hold bool as i1; memory holds it as a byte. uint8 is computed in 16 bits and truncated, so that every integer
spelling may be the signed one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from .errors import LoweringError
from .loopnest import Let
from .ops.lowering import Lowering

__all__ = ["BOOL", "BYTE", "INT64", "ir_type", "register_type", "scalar"]

Value = Any  # llvmlite has no annotations
BOOL, BYTE, INT64 = ir.IntType(1), ir.IntType(8), ir.IntType(64)
REASSOCIATED = ("reassoc", "nsz", "contract")


def ir_type(dtype: np.dtype[Any]) -> Any:
    """The LLVM type of an element in memory.

    Raises:
        LoweringError: chainrule does not compile this element type.
    """
    if dtype.kind == "f" and dtype.itemsize in (4, 8):
        return ir.FloatType() if dtype.itemsize == 4 else ir.DoubleType()
    if dtype.kind in "ib" or dtype == np.uint8:
        return ir.IntType(8 * dtype.itemsize)
    raise LoweringError(f"element type {dtype} is not supported in compiled code")


def register_type(dtype: np.dtype[Any]) -> Any:
    """The LLVM type of a value that was loaded."""
    return BOOL if dtype.kind == "b" else ir_type(dtype)


def scalar(
    builder: Any,
    lowering: Lowering,
    statement: Let,
    args: Sequence[Value],
    dtypes: Sequence[np.dtype[Any]],
    free_order: bool,
    inline: bool = True,
) -> Value:
    """Emit `statement.op(*args)`, the arguments being of `dtypes`.

    Args:
        free_order: honour `statement.reassociate`.
        inline: whether functions of vector math are inlined.

    Raises:
        LoweringError: the op has no spelling for operands of this type.
    """
    kind = dtypes[-1].kind  # the last operand decides: of a selection the first is the condition
    spelling = {"f": lowering.real, "i": lowering.integer, "u": lowering.integer, "b": lowering.boolean}[kind]
    if not spelling:
        raise LoweringError(f"op {statement.op} is not defined for operands of type {', '.join(map(str, dtypes))}")
    if spelling == "cast":
        return _cast(builder, args[0], dtypes[0], statement.dtype)
    if spelling == "copy":
        return args[0]
    free_order = free_order and statement.reassociate and kind == "f"
    if free_order and lowering.accumulate:
        spelling = lowering.accumulate
    widened = [builder.zext(a, ir.IntType(16)) if d.kind == "u" else a for a, d in zip(args, dtypes, strict=True)]
    value = _spell(builder, spelling, widened, REASSOCIATED if free_order else (), inline)
    return builder.trunc(value, BYTE) if value.type == ir.IntType(16) and statement.dtype.kind == "u" else value


def _spell(builder: Any, spelling: str, args: Sequence[Value], flags: Sequence[str], inline: bool) -> Value:
    family, _, name = spelling.partition(" ")
    if family == "math":
        from . import vecmath

        if name not in vecmath.FUNCTIONS:
            raise LoweringError(f"vector math has no function {name}")
        return vecmath.emit(name, builder, *args, inline=inline)
    if family == "special":
        from . import special_functions

        return special_functions.emit(builder, name, args)
    if family == "cmp":
        return _compare(builder, name, *args)
    if family.startswith("llvm."):
        signature = ir.FunctionType(args[0].type, [argument.type for argument in args])
        function = builder.module.declare_intrinsic(family, [args[0].type], signature)
        return builder.call(function, args, fastmath=flags)
    if family == "select":
        return builder.select(*args)
    method = getattr(builder, family + "_" if family in ("and", "or") else family)
    return method(*args, flags=flags) if flags else method(*args)


_SYMBOLS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def _compare(builder: Any, name: str, left: Value, right: Value) -> Value:
    if isinstance(left.type, ir.IntType):
        # an i1 that is true reads as -1 when signed
        compare = builder.icmp_unsigned if left.type == BOOL else builder.icmp_signed
        return compare(name, left, right)
    compare = builder.fcmp_ordered if name[0] == "o" else builder.fcmp_unordered
    return compare(_SYMBOLS[name[1:]], left, right)


def _cast(builder: Any, value: Value, source: np.dtype[Any], target: np.dtype[Any]) -> Value:
    """As C and NumPy convert; a float out of the integer type's range gives an unspecified value."""
    kind, wanted = source.kind, register_type(target)
    if source == target:
        return value
    if target.kind == "b":
        if kind == "f":
            return builder.fcmp_unordered("!=", value, ir.Constant(value.type, 0.0))
        return builder.icmp_signed("!=", value, ir.Constant(value.type, 0))
    if target.kind == "f":
        if kind == "f":
            return (builder.fpext if target.itemsize > source.itemsize else builder.fptrunc)(value, wanted)
        return (builder.sitofp if kind == "i" else builder.uitofp)(value, wanted)
    if kind == "f":
        # through 32 bits at least, as NumPy does: a value that fits there wraps into a narrower type
        wide = ir.IntType(max(32, wanted.width))
        integer = builder.fptosi(value, wide)
        return builder.trunc(integer, wanted) if wide.width > wanted.width else integer
    if value.type.width == wanted.width:
        return value
    if value.type.width > wanted.width:
        return builder.trunc(value, wanted)
    return (builder.sext if kind == "i" else builder.zext)(value, wanted)
