"""What the kernels written by hand share: vector math, threads, outputs.

They are what someone would write who knows numba well and spends a day on one function: fused loops without branches that
LLVM vectorises, libmvec's vector functions, halves of the range in two threads, and large outputs that are used again once
the caller has dropped them (fresh pages cost more than the arithmetic).
"""
from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.compiler import Compiler
from numba.extending import intrinsic


class _NoAlias(Compiler):
    """Tells LLVM that the arrays of a kernel do not overlap: with many of them it would not vectorise behind a run-time check."""

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


# No nnan, ninf: the kernels have to be right for special values, too.
kernel = numba.njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}, pipeline_class=_NoAlias)

# A kernel takes the range of its part first, and slices its arguments: with indices from 0 on, numba need not allow for negative
# ones, and the loops vectorise.
_THREADS = os.cpu_count() or 1
_pool = ThreadPoolExecutor(max(_THREADS - 1, 1))


def split(function: Callable[..., Any], size: int, *args: Any, least: int = 1) -> list[Any]:
    """`function(start, stop, *args)` for equal parts of range(size), one in each thread; at least so many in a part."""
    parts = max(1, min(_THREADS, size // least))
    bounds = [size * part // parts for part in range(parts + 1)]
    waiting = [_pool.submit(function, start, stop, *args) for start, stop in pairwise(bounds[1:])]
    return [function(0, bounds[1], *args), *(part.result() for part in waiting)]


_kept: dict[Any, list[np.ndarray]] = {}
_KEPT_AT_MOST, _KEPT_FROM_BYTES = 16, 1 << 18


def output(shape: int | tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    """An uninitialised array; a large one may be one that was handed out before and that nobody refers to any more."""
    kept = _kept.setdefault((shape, dtype), [])
    for array in kept:
        if sys.getrefcount(array) == 3:  # the list, `array`, and the argument of getrefcount
            return array
    array = np.empty(shape, dtype)
    if array.nbytes >= _KEPT_FROM_BYTES and len(kept) < _KEPT_AT_MOST:
        kept.append(array)
    return array


def _vector_call(name: str, real: Any, lanes: dict[int, str]) -> Any:
    """An intrinsic real -> real that calls libm's `name`, and that LLVM may vectorise with libmvec's variants."""
    kind = ir.DoubleType() if real is types.float64 else ir.FloatType()
    variants = {width: f"_ZGV{letter}N{width}v_{name}" for width, letter in lanes.items()}

    @intrinsic
    def call(typing_context: Any, x: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            module = builder.module
            function = module.globals.get(name)
            if function is None:
                function = ir.Function(module, ir.FunctionType(kind, [kind]), name)
                mapping = ",".join(f"_ZGV_LLVM_N{width}v_{name}({symbol})" for width, symbol in variants.items())
                for attribute in ("nounwind", "willreturn", "memory(none)", f'"vector-function-abi-variant"="{mapping}"'):
                    set.add(function.attributes, attribute)  # llvmlite's own add() refuses what it does not know
                vectors = [ir.VectorType(kind, width) for width in variants]
                declared = [ir.Function(module, ir.FunctionType(vector, [vector]), symbol)
                            for vector, symbol in zip(vectors, variants.values(), strict=True)]
                pointer = ir.IntType(8).as_pointer()
                used = module.globals.get("llvm.compiler.used")
                kept = [*(used.initializer.constant if used else ()), *(vector.bitcast(pointer) for vector in declared)]
                if used:
                    module.globals.pop("llvm.compiler.used")
                    module.scope._useset.discard("llvm.compiler.used")
                keep = ir.GlobalVariable(module, ir.ArrayType(pointer, len(kept)), "llvm.compiler.used")
                keep.linkage, keep.section = "appending", "llvm.metadata"
                keep.initializer = ir.Constant(keep.type.pointee, kept)
            return builder.call(function, args)

        return real(real), codegen

    return call


llvm.load_library_permanently("libmvec.so.1")
_DOUBLES, _FLOATS = {2: "b", 4: "d", 8: "e"}, {4: "b", 8: "d", 16: "e"}
exp, log, sin, cos, tanh, erf, log1p = (
    _vector_call(name, types.float64, _DOUBLES) for name in ("exp", "log", "sin", "cos", "tanh", "erf", "log1p"))
expf, tanhf = (_vector_call(name, types.float32, _FLOATS) for name in ("expf", "tanhf"))
