"""Everything that calls private parts of numba.

Kernels are emitted as LLVM IR already, so they enter numba below its type inference: through its code generator, which
runs its passes and its JIT engine. A `cfunc` around the same IR costs 0.6 s or more in a fresh process, because
it loads every NumPy implementation of numba, and SciPy's linear algebra. The generator is our own instance: what the
user compiles with numba is not affected.

Numba optimises each function by itself, then the module cheaply and then in full, to find and drop operations on reference
counts in between. Here there are none: the module is optimised once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from typing import Any

from .stages import stage

__all__ = ["Library", "build", "build_linkable"]


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


def _link(module: Any, definitions: Any, generator: Any) -> None:
    """Link the functions that an optimised module declares and `definitions` defines, and inline those marked for it."""
    import llvmlite.binding as llvm

    def run(*passes: str) -> None:
        manager = llvm.create_new_module_pass_manager()
        for name in passes:
            getattr(manager, f"add_{name}_pass")()
        with llvm.create_pass_builder(generator._tm, llvm.create_pipeline_tuning_options()) as builder:
            manager.run(module, builder)

    for kept in module.global_variables:
        if kept.name == "llvm.compiler.used":  # it holds the declarations, also those that no loop took
            kept.name, kept.linkage = "kept", "internal"
            run("global_dead_code_eliminate")
    second = llvm.parse_assembly(str(definitions))
    names = {each.name for each in second.functions if not each.is_declaration}
    module.link_in(second)
    for function in module.functions:
        if function.name in names:
            function.linkage = "internal"
    run("always_inliner", "global_dead_code_eliminate")


def _features(generator: Any) -> frozenset[str]:
    """The features of the machine for which numba makes code, as LLVM names them."""
    return frozenset(each[1:] for each in generator._tm_features.split(",") if each.startswith("+"))


def build(name: str, emit: Callable[[Any], None], features: frozenset[str] | None = None) -> Library:
    """Compile one module: `emit` receives an empty llvmlite `ir.Module` for this machine and fills it.

    Its attribute `features` has the features of the machine that emitted code may rely on, all of them or those given. If it
    is given an attribute `definitions`, that is a module of functions to be linked and inlined after optimisation.
    """
    with stage("import"):
        from numba.core.compiler_lock import global_compiler_lock

    with global_compiler_lock:
        with stage("import"):
            generator = _code_generator()
        library = generator.create_library(name)
        library.enable_object_caching()
        module = library.create_ir_module(name)
        module.features = _features(generator) if features is None else features
        emit(module)
        _finalize(library, module)
    return Library(library)


def build_linkable(name: str, emit: Callable[[Any], None], generator: Any) -> tuple[Any, str]:
    """One module, optimised, as a library that functions compiled by numba with this code generator can link and inline.

    `name` occurs in the names of the module's functions; it is replaced by one that its code decides, as numba's object cache brings
    functions of other processes into this one.

    Returns:
        numba's library, and what `name` became.
    """
    import llvmlite.binding as llvm
    from numba.core.compiler_lock import global_compiler_lock

    with global_compiler_lock:
        library = generator.create_library(name)
        module = library.create_ir_module(name)
        module.features = _features(generator)
        with stage("emit"):
            emit(module)
        text = str(_optimised(library, module))
        symbol = f"{name}_{blake2b(text.encode(), digest_size=12).hexdigest()}"
        parsed = llvm.parse_assembly(text.replace(name, symbol))
        parsed.verify()
        library._final_module = parsed
        library._finalize_final_module()
    return library, symbol


def _finalize(library: Any, module: Any) -> None:
    """What `add_ir_module` and `finalize` of numba's library do, with one optimisation instead of three."""
    library._final_module = _optimised(library, module)
    library._finalize_final_module()


def _optimised(library: Any, module: Any) -> Any:
    """An emitted module, optimised and linked with its definitions."""
    import llvmlite.binding as llvm
    from numba.core import cgutils

    normalised: Any = cgutils.normalize_ir_text
    generator = library.codegen
    generator._check_llvm_bugs()
    parsed = llvm.parse_assembly(normalised(str(module)))
    parsed.name = module.name
    parsed.data_layout = generator._data_layout
    parsed.verify()
    passes = generator._pass_builder()
    passes.getModulePassManager().run(parsed, passes)
    if (definitions := getattr(module, "definitions", None)) is not None:
        _link(parsed, definitions, generator)
        parsed.verify()
    return parsed
