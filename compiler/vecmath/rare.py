"""Code for elements that are too rare to be computed for all: a branch per vector instead of a select per element.

LLVM's loop vectoriser has no "does any lane need it" branch. It does know vector versions of called functions, so the
rare case is a call of `repair(x, usual, ...)`, with a version for each number of lanes: that tests all its lanes at
once, returns `usual` if none needs the slow path, and else calls the scalar version lane by lane.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from .core import Format, Value

Limits = tuple[float | None, float | None]
LANES = {"f64": (2, 4, 8), "f32": (2, 4, 8, 16)}  # registers of 128 to 512 bits, and float32 beside float64


def replace_outside(
    low: float | None, high: float | None, x: Value, usual: Value, slow: Callable[..., Value], *arguments: Value
) -> Value:
    """`usual` where low <= x <= high or x is NaN, else `slow(*arguments)`, or `slow(x)` if none are given.

    A limit of None does not exist: each costs a comparison.

    `slow` writes scalar code of any shape; the emitted functions are named after it.
    """
    module = x.builder.module
    # The attribute that lists the vector versions has their names as text. A name of its own for each module keeps it
    # true when modules are linked, where equal names of internal functions are made different.
    name = f"cr.{slow.__name__}.{x.format.name}.{zlib.crc32(module.name.encode()):08x}"
    function = module.globals.get(name)
    if function is None:
        function = _emit_repair(module, name, x.format, (low, high), slow, len(arguments))
    values = [value.ir for value in (x, usual, *arguments)]
    return Value(x.builder, x.builder.call(function, values), x.format)


def _emit_repair(
    module: Any, name: str, format: Format, limits: Limits, slow: Callable[..., Value], extra: int
) -> Any:
    function = _declare(module, name, format.float_type, 2 + extra)
    x, usual, *arguments = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    with builder.if_then(_is_outside(builder, x, limits), likely=False):
        builder.ret(slow(*(Value(builder, argument, format) for argument in arguments or [x])).ir)
    builder.ret(usual)
    widths = LANES[format.name]
    vectors = [_emit_vector_repair(module, function, lanes, format, limits) for lanes in widths]
    parameters = "v" * len(function.args)
    variants = ",".join(
        f"_ZGV_LLVM_N{lanes}{parameters}_{name}({vector.name})" for lanes, vector in zip(widths, vectors, strict=True)
    )
    _add_attributes(function, "noinline", f'"vector-function-abi-variant"="{variants}"')
    _keep(module, vectors)
    return function


def _emit_vector_repair(module: Any, scalar: Any, lanes: int, format: Format, limits: Limits) -> Any:
    vector = ir.VectorType(format.float_type, lanes)
    function = _declare(module, f"{scalar.name}.x{lanes}", vector, len(scalar.args))
    _add_attributes(function, "optsize")  # the loop over the lanes is not to be unrolled
    x, usual, *arguments = function.args
    index = ir.IntType(32)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    outside = _is_outside(builder, x, limits)
    any_lane = builder.icmp_unsigned("!=", builder.bitcast(outside, ir.IntType(lanes)), ir.IntType(lanes)(0))
    loop, done = function.append_basic_block("loop"), function.append_basic_block("done")
    entry = builder.block
    builder.cbranch(any_lane, loop, done)
    builder.position_at_end(loop)
    lane, result = builder.phi(index), builder.phi(vector)
    repaired = builder.call(scalar, [builder.extract_element(each, lane) for each in (x, result, *arguments)])
    next_result = builder.insert_element(result, repaired, lane)
    next_lane = builder.add(lane, index(1))
    for phi, first, later in ((lane, index(0), next_lane), (result, usual, next_result)):
        phi.add_incoming(first, entry)
        phi.add_incoming(later, loop)
    builder.cbranch(builder.icmp_unsigned("==", next_lane, index(lanes)), done, loop)
    builder.position_at_end(done)
    final = builder.phi(vector)
    final.add_incoming(usual, entry)
    final.add_incoming(next_result, loop)
    builder.ret(final)
    return function


def _is_outside(builder: Any, x: Any, limits: Limits) -> Any:
    def constant(number: float) -> Any:
        return ir.Constant(x.type, [number] * x.type.count if isinstance(x.type, ir.VectorType) else number)

    tests = [builder.fcmp_ordered(op, x, constant(limit)) for op, limit in zip("<>", limits, strict=True) if limit is not None]
    return builder.or_(*tests) if len(tests) == 2 else tests[0]


def _declare(module: Any, name: str, type: Any, arity: int) -> Any:
    function = ir.Function(module, ir.FunctionType(type, [type] * arity), name)
    function.linkage = "internal"
    _add_attributes(function, "nounwind", "willreturn", "memory(none)")
    return function


def _add_attributes(function: Any, *attributes: str) -> None:
    for attribute in attributes:
        set.add(function.attributes, attribute)  # the add() of llvmlite's class refuses what it does not know


def _keep(module: Any, functions: list[Any]) -> None:
    """Have LLVM keep functions that nothing calls before the loops are vectorised."""
    name = "llvm.compiler.used"
    pointer = ir.IntType(8).as_pointer()
    known = module.globals.pop(name, None)
    entries = [*(known.initializer.constant if known else ()), *(each.bitcast(pointer) for each in functions)]
    if known:
        module.scope._useset.discard(name)  # a global cannot grow: a longer one takes its name
    keep = ir.GlobalVariable(module, ir.ArrayType(pointer, len(entries)), name)
    keep.linkage, keep.section = "appending", "llvm.metadata"
    keep.initializer = ir.Constant(keep.type.pointee, entries)
