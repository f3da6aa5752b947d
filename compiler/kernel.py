"""Kernels as machine code: compile a list of them into one object, run them, load them again without numba."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import LoweringError
from .stages import stage

if TYPE_CHECKING:
    from .loopnest import Kernel, Product, RowBlocks
    from .numba_bridge import Library
    from .ops.lowering import Lowering

__all__ = ["Compiled", "Loaded", "compile_kernels", "emit_entry", "load_object", "symbol_of"]

Arguments = np.ndarray[Any, np.dtype[np.int64]]
_PROTOTYPE = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)  # releases the GIL


def symbol_of(key: str) -> str:
    """The entry's symbol; it contains the key, so that one program can never be taken for another in one process."""
    return f"chainrule_{key}"


class _Entry:
    """`void entry(which, start, stop, arguments)` at an address."""

    def __init__(self, address: int) -> None:
        self.address = address
        self._call = _PROTOTYPE(address)

    def run(self, which: int, start: int, stop: int, arguments: Arguments) -> None:
        """Run kernel `which` over [start, stop) of its outermost loop; `arguments` as `packing` lays them out."""
        self._call(which, start, stop, arguments.__array_interface__["data"][0])


class Compiled(_Entry):
    """Kernels compiled in this process. The code lives as long as this object."""

    def __init__(self, kernels: Sequence[Kernel | Product | RowBlocks], key: str, library: Library) -> None:
        super().__init__(library.address(symbol_of(key)))
        self.kernels, self.key, self._library = tuple(kernels), key, library

    @cached_property
    def symbol(self) -> str:
        return symbol_of(self.key)

    def address_of(self, symbol: str) -> int:
        """Of another function of the same module."""
        return self._library.address(symbol)

    def object_code(self) -> bytes:
        """The relocatable object file, for `load_object`."""
        return self._library.object_code()

    def assembly(self) -> str:
        return self._library.assembly()

    def llvm(self) -> str:
        """The optimised LLVM IR."""
        return self._library.llvm()


class Loaded(_Entry):
    """Kernels loaded from object code. The code lives as long as this object."""

    def __init__(self, engine: Any, symbol: str) -> None:
        super().__init__(engine.get_function_address(symbol))
        self.symbol, self._engine = symbol, engine

    def address_of(self, symbol: str) -> int:
        """Of another function of the same object."""
        return int(self._engine.get_function_address(symbol))


@cache
def lowering_of(name: str) -> Lowering:
    """How the op of this name is spelled, from the op table.

    Raises:
        LoweringError: it is not compiled; the interpreter evaluates it.
    """
    from . import op, ops  # noqa: F401  (importing the table declares the ops)

    lowering = op.get(name).lowering
    if lowering is None:
        raise LoweringError(f"op {name} has no compiled form")
    return lowering


def compile_kernels(kernels: Sequence[Kernel | Product | RowBlocks], key: str, lowering: Callable[[str], Lowering] = lowering_of,
                    beside: Callable[[Any, Sequence[Any]], None] | None = None) -> Compiled:
    """Compile kernels into one object with one entry.

    Args:
        kernels: kernel (or product) number i is run by `.run(i, ...)`.
        key: identifies the program in this process; letters, digits and underscores.
        lowering: the op table.
        beside: emits more functions into the same module, given the module and the kernels' functions.

    Raises:
        LoweringError: a kernel cannot be emitted.
    """
    from . import numba_bridge

    def emit(module: Any) -> None:
        with stage("emit"):
            functions = emit_entry(module, kernels, key, lowering)
            if beside is not None:
                beside(module, functions)

    with stage("compile"):
        return Compiled(kernels, key, numba_bridge.build(symbol_of(key), emit))


def emit_entry(module: Any, kernels: Sequence[Kernel | Product | RowBlocks], key: str, lowering: Callable[[str], Lowering]) -> list[Any]:
    """Emit kernels and the entry that runs one of them by its number; the kernels' functions."""
    from llvmlite import ir

    from .shared_code import SharedCode

    code = SharedCode(module, lowering, kernels)
    functions = [code.function(kernel, f"{symbol_of(key)}.{i}.{kernel.name}") for i, kernel in enumerate(kernels)]
    i64 = ir.IntType(64)
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), [i64, i64, i64, i64.as_pointer()]), symbol_of(key))
    entry.attributes.add("nounwind")
    builder = ir.IRBuilder(entry.append_basic_block("entry"))
    which, *rest = entry.args
    done = entry.append_basic_block("done")
    choice = builder.switch(which, done)
    for i, function in enumerate(functions):
        block = entry.append_basic_block(f"kernel{i}")
        choice.add_case(i64(i), block)
        builder.position_at_end(block)
        builder.call(function, rest)
        builder.branch(done)
    builder.position_at_end(done)
    builder.ret_void()
    return functions


def load_object(code: bytes, symbol: str) -> Loaded:
    """Load object code by llvmlite alone.

    A damaged object kills the process inside LLVM: verify the bytes before calling this.
    """
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return Loaded(engine, symbol)
