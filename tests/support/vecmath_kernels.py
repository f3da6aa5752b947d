"""Loops over one emitted function, compiled by numba as the library compiles its kernels."""

from __future__ import annotations

import ctypes
from functools import cache

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from chainrule.compiler import vecmath


@cache
def kernel(name: str, dtype: np.dtype) -> tuple[object, str]:
    """`for i in range(n): out[i] = f(in[i], in[n + i]...)`, compiled, and its assembly. Predicates give 0 and 1."""
    scalar = numba.from_dtype(dtype)

    @intrinsic
    def nest(typing_context, n, inputs, outputs):
        def generate(context, builder, signature, arguments):
            size, source, target = arguments
            with cgutils.for_range(builder, size) as loop:
                offsets = [
                    builder.add(loop.index, builder.mul(size, size.type(k)))
                    for k in range(vecmath.FUNCTIONS[name].arity)
                ]
                values = [builder.load(builder.gep(source, [offset])) for offset in offsets]
                result = vecmath.emit(name, builder, *values)
                if vecmath.FUNCTIONS[name].is_predicate:
                    result = builder.uitofp(result, values[0].type)
                builder.store(result, builder.gep(target, [loop.index]))
            return ir.Constant(ir.IntType(8).as_pointer(), None)

        return types.void(n, inputs, outputs), generate

    pointer = types.CPointer(scalar)

    @numba.cfunc(types.void(types.int64, pointer, pointer), error_model="numpy")
    def loop_nest(n, inputs, outputs):
        nest(n, inputs, outputs)

    return loop_nest, loop_nest._library.get_asm_str()


def evaluate(name: str, *arguments: np.ndarray) -> np.ndarray:
    """The emitted function on arrays of one dtype and length."""
    loop_nest, _ = kernel(name, arguments[0].dtype)
    stacked = np.concatenate(arguments)
    out = np.empty_like(arguments[0])
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(loop_nest.address)
    call(out.size, stacked.ctypes.data, out.ctypes.data)
    return out
