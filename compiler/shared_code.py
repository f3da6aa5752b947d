"""The functions of a program's steps, emitted once for steps that are alike."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from .alike import Part, Shift, Step, from_start, pattern
from .common_llvm import SIGNATURE, counted, internal
from .emit_llvm import Lookup, emit_kernel
from .emit_product import emit_product
from .emit_rows import emit_row_blocks
from .emit_streams import emit_streamed
from .loopnest import Kernel, Product
from .packing import ArgumentLayout
from .scalar_llvm import INT64

__all__ = ["SharedCode"]


class SharedCode:
    """Emits steps into a module.

    Steps that are alike but for a place, as those of a loop over `x[t]` are, share code for arrays that begin there; each
    has a short function of its own that moves the arrays' addresses.

    Args:
        steps: all of a program's.
    """

    def __init__(self, module: Any, lowering: Lookup, steps: Sequence[Step]) -> None:
        self._module, self._lowering, self._single = module, lowering, len(steps) == 1
        self._known: dict[tuple[Part, ...], Any] = {}
        self._places: dict[tuple[Part, ...], set[tuple[Shift, ...]]] = {}  # of steps that are alike but for these
        for step in steps if len(steps) > 1 else ():
            moved, shifts = from_start(step)
            self._places.setdefault(pattern(moved), set()).add(shifts)

    def function(self, step: Step, symbol: str) -> Any:
        """The internal function `void(i64 start, i64 stop, i64* arguments)` of a step; `symbol` names it where it is new."""
        if self._single and isinstance(step, Kernel):
            return self._kernel(step, symbol)
        alike = pattern(step)
        if alike not in self._known:
            moved, shifts = from_start(step)
            if shifts and len(self._places.get(pattern(moved), ())) > 1:
                self._known[alike] = self._shifted(self.function(moved, f"{symbol}.moved"), step, shifts, symbol)
            else:
                self._known[alike] = self._emit(step, symbol)
        return self._known[alike]

    def _emit(self, step: Step, symbol: str) -> Any:
        if isinstance(step, Kernel):
            return self._kernel(step, symbol)
        if isinstance(step, Product):
            return emit_product(self._module, step, symbol)
        return emit_row_blocks(self._module, step, symbol, self.function)

    def _kernel(self, kernel: Kernel, symbol: str) -> Any:
        plain = emit_kernel(self._module, kernel, symbol, self._lowering)
        return emit_streamed(self._module, kernel, plain, f"{symbol}.streamed", self._lowering) if kernel.streams else plain

    def _shifted(self, whole: Any, step: Step, shifts: Sequence[Shift], symbol: str) -> Any:
        """A function that calls another with the same arguments but for the addresses of arrays."""
        function = internal(self._module, SIGNATURE, symbol)
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        layout = ArgumentLayout.of(step)
        first = dict(layout.buffers)
        moves = [word for buffer, axis, place in shifts for word in (first[buffer], first[buffer] + 1 + axis, place)]
        kind = ir.ArrayType(INT64, len(moves))
        table = ir.GlobalVariable(self._module, kind, f"{symbol}.moves")
        table.linkage, table.global_constant, table.initializer = "internal", True, ir.Constant(kind, moves)
        builder.call(self._shift(), [*function.args, whole, INT64(layout.words), builder.bitcast(table, INT64.as_pointer()),
                                     INT64(len(shifts))])
        builder.ret_void()
        return function

    def _shift(self) -> Any:
        """The function that does it, made once: (start, stop, arguments, function, words, moves, how many moves).

        A move is (slot of the address, slot of the stride, place).
        """
        name = "shift"
        function = self._module.globals.get(name)
        if function is None:
            words = INT64.as_pointer()
            kinds = [*SIGNATURE.args, SIGNATURE.as_pointer(), INT64, words, INT64]
            function = internal(self._module, ir.FunctionType(ir.VoidType(), kinds), name)
            function.attributes.add("noinline")
            builder = ir.IRBuilder(function.append_basic_block("entry"))
            start, stop, arguments, whole, length, moves, count = function.args
            own = builder.alloca(INT64, length)
            with counted(builder, INT64(0), length) as k:
                builder.store(builder.load(builder.gep(arguments, [k])), builder.gep(own, [k]))
            with counted(builder, INT64(0), count) as k:
                at = builder.gep(moves, [builder.mul(k, INT64(3))])
                address, stride, place = (builder.load(builder.gep(at, [INT64(part)])) for part in range(3))
                word = builder.gep(own, [address])
                step = builder.mul(builder.load(builder.gep(arguments, [stride])), place)
                builder.store(builder.add(builder.load(word), step), word)
            builder.call(whole, [start, stop, own])
            builder.ret_void()
        return function
