"""Everything that calls private parts of numba.

Kernels are emitted as LLVM IR already, so they enter numba below its type inference: through its code generator, which
runs its pass pipeline and its JIT engine. A `cfunc` around the same IR costs 0.6 s or more in a fresh process, because
it loads every NumPy implementation of numba, and SciPy's linear algebra. The generator is our own instance: what the
user compiles with numba is not affected.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from .stages import stage

__all__ = ["Library", "build"]


class Library:
    """Machine code of one module. Numba frees none, and finds a symbol in the latest module that has it: each is used once."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def address(self, symbol: str) -> int:
        return int(self._library.get_pointer_to_function(symbol))

    def object_code(self) -> bytes:
        """The relocatable object file."""
        return bytes(self._library._get_compiled_object())

    def assembly(self) -> str:
        return str(self._library.get_asm_str())

    def llvm(self) -> str:
        """The optimised LLVM IR."""
        return str(self._library.get_llvm_str())


@cache
def _code_generator() -> Any:
    from numba.core import codegen

    generator: Any = codegen.JITCPUCodegen
    return generator("chainrule")


def build(name: str, emit: Callable[[Any], None]) -> Library:
    """Compile one module: `emit` receives an empty llvmlite `ir.Module` for this machine and fills it."""
    with stage("import"):
        from numba.core.compiler_lock import global_compiler_lock

    with global_compiler_lock:
        with stage("import"):
            generator = _code_generator()
        library = generator.create_library(name)
        library.enable_object_caching()
        module = library.create_ir_module(name)
        emit(module)
        library.add_ir_module(module)
        library.finalize()
    return Library(library)
