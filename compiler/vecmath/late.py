"""Code that LLVM is given only after its loop vectoriser has run.

In a loop LLVM widens the call of a scalar function to a call of the vector version that its attribute names. So what must be
written for each number of lanes (an instruction of the machine, a branch for rare elements) is a function that is declared
in the module, and defined in a second one. `numba_bridge.build` links that to the optimised module and inlines it: nothing is
called in the end, constants stay in registers, and versions that no loop took are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

KEPT = "llvm.compiler.used"
LANES = {64: (2, 4, 8), 32: (2, 4, 8, 16)}  # by the width of an element: registers of 128 to 512 bits, and float32 beside float64
_PURE = ("nounwind", "willreturn", "memory(none)")


def lanes_of(value: Any) -> int:
    """1 for a scalar."""
    return value.type.count if isinstance(value.type, ir.VectorType) else 1


def of_lanes(type: Any, lanes: int) -> Any:
    """The type of that many elements; the element's own for one."""
    return type if lanes == 1 else ir.VectorType(type, lanes)


def call(builder: Any, name: str, write: Callable[..., Any], result: Any, *arguments: Any) -> Any:
    """Call the function `name` of scalars of one width, defining it if the module does not have it.

    Args:
        write: `write(builder, *arguments)` writes the body, for scalars and for vectors, and returns the LLVM value of the result.
        result: the type of an element of the result.
    """
    module = builder.module
    if hasattr(module, "defines"):  # this is a body
        return write(builder, *arguments)
    function = module.globals.get(name)
    if function is None:
        function = _declare(module, name, write, result, [argument.type for argument in arguments])
    return builder.call(function, arguments)


def definitions(module: Any) -> Any:
    """The module with the bodies; None if there are none."""
    return getattr(module, "definitions", None)


def define(module: Any, name: str, write: Callable[..., Any], result: Any, types: Sequence[Any], *attributes: str) -> Any:
    """The function `name` of a module of bodies, written if it is not there yet."""
    function = module.globals.get(name)
    if function is None:
        function = _function(module, name, result, types, "nounwind", *attributes)
        function.linkage = "linkonce_odr"  # left out if nothing calls it
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        builder.ret(write(builder, *function.args))
    return function


def _declare(module: Any, name: str, write: Callable[..., Any], result: Any, types: Sequence[Any]) -> Any:
    if definitions(module) is None:
        module.definitions = ir.Module(f"{module.name}.definitions")
        module.definitions.defines, module.definitions.features = module, module.features
    variants, vectors = [], []
    width = 32 if ir.FloatType() in types or ir.IntType(32) in types else 64
    for lanes in (1, *LANES[width]):
        symbol = name if lanes == 1 else f"{name}.x{lanes}"
        signature = of_lanes(result, lanes), [of_lanes(type, lanes) for type in types]
        define(module.definitions, symbol, write, *signature, "alwaysinline")
        if lanes > 1:
            vectors.append(_function(module, symbol, *signature, *_PURE))
            variants.append(f"_ZGV_LLVM_N{lanes}{'v' * len(types)}_{name}({symbol})")
    _keep(module, vectors)
    return _function(module, name, result, types, *_PURE, f'"vector-function-abi-variant"="{",".join(variants)}"')


def _function(module: Any, name: str, result: Any, types: Sequence[Any], *attributes: str) -> Any:
    function = ir.Function(module, ir.FunctionType(result, types), name)
    for attribute in attributes:
        set.add(function.attributes, attribute)  # the add() of llvmlite's class refuses what it does not know
    return function


def _keep(module: Any, functions: list[Any]) -> None:
    """Have LLVM keep functions that nothing calls before the loops are vectorised."""
    pointer = ir.IntType(8).as_pointer()
    known = module.globals.pop(KEPT, None)
    entries = [*(known.initializer.constant if known else ()), *(each.bitcast(pointer) for each in functions)]
    if known:
        module.scope._useset.discard(KEPT)  # a global cannot grow: a longer one takes its name
    keep = ir.GlobalVariable(module, ir.ArrayType(pointer, len(entries)), KEPT)
    keep.linkage, keep.section = "appending", "llvm.metadata"
    keep.initializer = ir.Constant(keep.type.pointee, entries)
