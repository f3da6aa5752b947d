"""Kernels that may write their results past the caches: a function around one, which runs it strip by strip.

It takes the arguments of the kernel and one word more, 1 where results go past the caches. Then a strip is computed into a short
array on the stack, for which the kernel gets pointers such that the strip's rows fall into it, and is copied from there. Where the
kernel also sums over rows, the strips' sums are added in order, from `ORDERED` bytes of results on: with that word or without it, so
that it changes no bit.
"""
from __future__ import annotations

from typing import Any

from llvmlite import ir

from .blocks import ORDERED, WIDEST
from .common_llvm import POINTER, Value, c_function, internal, loop_hint, size_value, slot
from .emit_llvm import Lookup
from .loopnest import Kernel, Let
from .packing import ArgumentLayout
from .scalar_llvm import BYTE, INT64, ir_type, scalar
from .split import main_extent

__all__ = ["emit_streamed"]

STRIP = 2048  # bytes of results: lines that wait to be written without holding up the loads of the next strip
LINE = 64
GROUP = 16  # rows: strips of narrow rows begin at multiples of it, and so of lines


def emit_streamed(module: Any, kernel: Kernel, plain: Any, symbol: str, lowering: Lookup) -> Any:
    """The function around `plain`, which is the kernel without the word."""
    function = internal(module, plain.function_type, symbol)
    plain.attributes.add("noinline")  # called twice
    start, stop, arguments = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    layout = ArgumentLayout.of(kernel)
    place = dict(layout.buffers)
    dtype = {b.name: b.dtype for b in kernel.buffers}
    past = builder.icmp_signed("!=", slot(builder, arguments, layout.length), INT64(0))
    steps = [slot(builder, arguments, place[name] + 1) for name in kernel.streams]
    row = steps[0]
    for step in steps[1:]:
        row = builder.add(row, step)
    inside = builder.and_(builder.icmp_signed("<", start, stop), builder.icmp_signed("<=", row, INT64(WIDEST)))
    if kernel.reduces:
        symbols = {name: slot(builder, arguments, number) for number, name in enumerate(kernel.sizes)}
        bytes_ = builder.mul(size_value(builder, main_extent(kernel), symbols, {}), row)
        inside = builder.and_(inside, builder.icmp_signed(">=", bytes_, INT64(ORDERED)))
    else:
        inside = builder.and_(inside, past)
    strips, whole = (function.append_basic_block(name) for name in ("strips", "whole"))
    builder.cbranch(inside, strips, whole)
    builder.position_at_end(whole)
    builder.call(plain, [start, stop, arguments])
    builder.ret_void()

    builder.position_at_end(strips)
    rows = _larger(builder, builder.udiv(INT64(STRIP), _larger(builder, row, INT64(1))), INT64(1))
    narrow = builder.icmp_signed(">=", rows, INT64(GROUP))
    mask = builder.select(narrow, INT64(-GROUP), INT64(-1))
    rows = builder.and_(rows, mask)
    room = builder.alloca(BYTE, WIDEST + LINE * len(steps))
    room.align = LINE
    given = builder.alloca(INT64, layout.length)
    builder.call(_memcpy(module), [builder.bitcast(given, POINTER), builder.bitcast(arguments, POINTER), INT64(8 * layout.length)])
    parts = {}
    for name, _ in kernel.reduces:
        parts[name] = builder.alloca(ir_type(dtype[name]))
        builder.store(builder.ptrtoint(parts[name], INT64), builder.gep(given, [INT64(place[name])]))
    outs = [slot(builder, arguments, place[name]) for name in kernel.streams]
    short = [builder.ptrtoint(room, INT64)]
    for step in steps[:-1]:
        used = builder.and_(builder.add(builder.mul(rows, step), INT64(LINE - 1)), INT64(-LINE))
        short.append(builder.add(short[-1], used))

    each, copies, summed, done = (function.append_basic_block(name) for name in ("each", "copies", "summed", "done"))
    builder.branch(each)
    builder.position_at_end(each)
    first = builder.phi(INT64, "first")
    first.add_incoming(start, strips)
    sums = {name: builder.phi(ir_type(dtype[name])) for name in parts}
    end = builder.and_(builder.add(first, rows), mask)
    end = builder.select(builder.icmp_signed("<", end, stop), end, stop)
    offsets = [builder.mul(first, step) for step in steps]
    for name, out, there, offset in zip(kernel.streams, outs, short, offsets, strict=True):
        builder.store(builder.select(past, builder.sub(there, offset), out), builder.gep(given, [INT64(place[name])]))
    builder.call(plain, [first, end, given])
    builder.cbranch(past, copies, summed)

    builder.position_at_end(copies)
    copy = _copy_past_caches(module)
    for out, there, offset, step in zip(outs, short, offsets, steps, strict=True):
        to, source = (builder.inttoptr(address, POINTER) for address in (builder.add(out, offset), there))
        builder.call(copy, [to, source, builder.mul(builder.sub(end, first), step)])
    builder.branch(summed)

    builder.position_at_end(summed)
    for name, op in kernel.reduces:
        part = builder.load(parts[name])
        join = Let("sum", op, ("sum", "part"), dtype[name])
        joined = scalar(builder, lowering(op), join, [sums[name], part], [dtype[name]] * 2, free_order=False)
        sums[name].add_incoming(ir.Constant(part.type, 0), strips)
        joined = builder.select(builder.icmp_signed("==", first, start), part, joined)
        sums[name].add_incoming(joined, builder.block)
        parts[name] = joined
    first.add_incoming(end, builder.block)
    builder.cbranch(builder.icmp_signed("<", end, stop), each, done)

    builder.position_at_end(done)
    for name, value in parts.items():
        out = builder.inttoptr(slot(builder, arguments, place[name]), value.type.as_pointer())
        builder.store(value, out)
    if module.triple.startswith("x86_64"):  # non-temporal stores are in no order with others, which tell that the block is done
        builder.call(module.declare_intrinsic("llvm.x86.sse.sfence", (), ir.FunctionType(ir.VoidType(), [])), [])
    else:
        builder.fence("seq_cst")
    builder.ret_void()
    return function


def _larger(builder: Any, left: Value, right: Value) -> Value:
    return builder.select(builder.icmp_signed(">", left, right), left, right)


def _memcpy(module: Any) -> Any:
    return c_function(module, "memcpy", POINTER, POINTER, POINTER, INT64)


def _copy_past_caches(module: Any) -> Any:
    """`void(to, from, bytes)`: whole lines by non-temporal stores, what is before and behind them by ordinary ones."""
    known = module.globals.get("copy_past_caches")
    if known is not None:
        return known
    function = internal(module, ir.FunctionType(ir.VoidType(), [POINTER, POINTER, INT64]), "copy_past_caches")
    function.attributes.add("noinline")
    to, source, bytes_ = function.args
    lines = ir.VectorType(INT64, LINE // 8)
    entry, loop, rest, ragged, done = (function.append_basic_block(name) for name in ("entry", "lines", "rest", "ragged", "done"))
    builder = ir.IRBuilder(entry)
    before = builder.and_(builder.sub(INT64(0), builder.ptrtoint(to, INT64)), INT64(LINE - 1))
    before = builder.select(builder.icmp_signed("<", before, bytes_), before, bytes_)
    with builder.if_then(builder.icmp_signed(">", before, INT64(0)), likely=False):
        builder.call(_memcpy(module), [to, source, before])
    behind = builder.add(before, builder.and_(builder.sub(bytes_, before), INT64(-LINE)))
    begin = builder.block
    builder.cbranch(builder.icmp_signed("<", before, behind), loop, rest)
    builder.position_at_end(loop)
    at = builder.phi(INT64)
    at.add_incoming(before, begin)
    value = builder.load(builder.bitcast(builder.gep(source, [at]), lines.as_pointer()), align=1)
    store = builder.store(value, builder.bitcast(builder.gep(to, [at]), lines.as_pointer()), align=LINE)
    store.set_metadata("nontemporal", module.add_metadata([ir.IntType(32)(1)]))
    following = builder.add(at, INT64(LINE))
    at.add_incoming(following, loop)
    again = builder.cbranch(builder.icmp_signed("<", following, behind), loop, rest)
    again.set_metadata("llvm.loop", loop_hint(module, ir.MetaDataString(module, "llvm.loop.unroll.disable")))
    builder.position_at_end(rest)
    builder.cbranch(builder.icmp_signed("<", behind, bytes_), ragged, done)
    builder.position_at_end(ragged)
    builder.call(_memcpy(module), [builder.gep(to, [behind]), builder.gep(source, [behind]), builder.sub(bytes_, behind)])
    builder.branch(done)
    builder.position_at_end(done)
    builder.ret_void()
    return function
