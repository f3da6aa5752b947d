"""Code for elements that are too rare to be computed for all: a branch per vector instead of a select per element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from . import late
from .core import Bool, Format, Value


def replace_outside(
    low: float | None, high: float | None, x: Value, usual: Value, slow: Callable[..., Value], *arguments: Value
) -> Value:
    """`usual` where low <= x <= high or x is NaN, else `slow(*arguments)`, or `slow(x)` if none are given.

    A limit of None does not exist: each costs a comparison. `slow` writes scalar code of any shape, which is called element
    by element.
    """
    format: Format = x.format

    def is_outside(x: Value) -> Bool:
        tests = [x < limit for limit in (low,) if limit is not None] + [x > limit for limit in (high,) if limit is not None]
        return tests[0] if len(tests) == 1 else tests[0] | tests[1]

    def replaced(builder: Any, x: Any, usual: Any, *arguments: Any) -> Any:
        repair = _repair_lanes if late.lanes_of(x) > 1 else _repair
        return repair(builder, x, usual, arguments or (x,), is_outside, slow, format)

    values = [value.ir for value in (x, usual, *arguments)]
    return x._make(late.call(x.builder, f"cr.{slow.__name__}.{format.name}", replaced, format.float_type, *values))


def replace_where(is_rare: Callable[..., Bool], usual: Value, other: Callable[..., Value], *arguments: Value) -> Value:
    """`usual`, but `other(*arguments)` where `is_rare(*arguments)`. Both write straight code, here for whole vectors."""
    format: Format = usual.format

    def replaced(builder: Any, usual: Any, *arguments: Any) -> Any:
        values = [Value(builder, argument, format) for argument in arguments]
        rare, before = is_rare(*values).ir, builder.block
        with builder.if_then(_any_lane(builder, rare), likely=False):
            chosen = builder.select(rare, other(*values).ir, usual)
            inside = builder.block
        return _join(builder, usual, before, chosen, inside)

    values = [value.ir for value in (usual, *arguments)]
    return usual._make(late.call(usual.builder, f"cr.{other.__name__}.{format.name}", replaced, format.float_type, *values))


def _repair(
    builder: Any, x: Any, usual: Any, arguments: Any, is_outside: Callable[[Value], Bool], slow: Callable[..., Value], format: Format
) -> Any:
    def write(inner: Any, *arguments: Any) -> Any:
        return slow(*(Value(inner, argument, format) for argument in arguments)).ir

    types = [format.float_type] * len(arguments)
    name = f"cr.{slow.__name__}.{format.name}.one"
    function = late.define(builder.module, name, write, format.float_type, types, "noinline", "cold")
    before = builder.block
    with builder.if_then(is_outside(Value(builder, x, format)).ir, likely=False):
        repaired = builder.call(function, arguments)
        inside = builder.block
    return _join(builder, usual, before, repaired, inside)


def _repair_lanes(
    builder: Any, x: Any, usual: Any, arguments: Any, is_outside: Callable[[Value], Bool], slow: Callable[..., Value], format: Format
) -> Any:
    before, index = builder.block, ir.IntType(32)
    loop, done = builder.append_basic_block("rare"), builder.append_basic_block("done")
    builder.cbranch(_any_lane(builder, is_outside(Value(builder, x, format)).ir), loop, done).set_weights([1, 99])
    builder.position_at_end(loop)
    lane, result = builder.phi(index), builder.phi(usual.type)
    element, before_lane, *others = (builder.extract_element(each, lane) for each in (x, result, *arguments))
    repaired = _repair(builder, element, before_lane, others, is_outside, slow, format)
    next_result = builder.insert_element(result, repaired, lane)
    next_lane = builder.add(lane, index(1))
    for phi, first, later in ((lane, index(0), next_lane), (result, usual, next_result)):
        phi.add_incoming(first, before)
        phi.add_incoming(later, builder.block)
    end = builder.block
    builder.cbranch(builder.icmp_unsigned("==", next_lane, index(late.lanes_of(x))), done, loop)
    builder.position_at_end(done)
    return _join(builder, usual, before, next_result, end)


def _any_lane(builder: Any, condition: Any) -> Any:
    lanes = late.lanes_of(condition)
    if lanes == 1:
        return condition
    bits = ir.IntType(lanes)
    return builder.icmp_unsigned("!=", builder.bitcast(condition, bits), bits(0))


def _join(builder: Any, usual: Any, before: Any, other: Any, inside: Any) -> Any:
    result = builder.phi(usual.type)
    result.add_incoming(usual, before)
    result.add_incoming(other, inside)
    return result
