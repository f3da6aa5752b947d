"""Loops over one emitted function, compiled as the library compiles its kernels."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
from llvmlite import ir

from chainrule.compiler import numba_bridge, scalar_llvm, vecmath

PORTABLE = frozenset()  # no instruction that only some machines have


@cache
def kernel(name: str, dtype: np.dtype, features: frozenset[str] | None = None) -> tuple[object, str]:
    """`for i in range(n): out[i] = f(in[i], in[n + i]...)`, compiled, and its assembly. Predicates give 0 and 1."""
    function = vecmath.FUNCTIONS[name]
    symbol = f"loop_{name}_{dtype}{'' if features is None else '_portable'}"

    def fill(module: ir.Module) -> None:
        i64, element = ir.IntType(64), scalar_llvm.ir_type(dtype)
        pointer = element.as_pointer()
        loop = ir.Function(module, ir.FunctionType(ir.VoidType(), [i64, pointer, pointer]), symbol)
        loop.attributes.alignstack = 64  # as kernels have it
        size, source, target = loop.args
        for array in (source, target):
            array.add_attribute("noalias")
        builder = ir.IRBuilder(loop.append_basic_block("entry"))
        entry, body, done = builder.block, loop.append_basic_block("body"), loop.append_basic_block("done")
        builder.cbranch(builder.icmp_signed(">", size, i64(0)), body, done)
        builder.position_at_end(body)
        index = builder.phi(i64)
        places = [builder.add(index, builder.mul(size, i64(k))) for k in range(function.arity)]
        result = vecmath.emit(name, builder, *(builder.load(builder.gep(source, [place])) for place in places))
        builder.store(builder.uitofp(result, element) if function.is_predicate else result, builder.gep(target, [index]))
        following = builder.add(index, i64(1), flags=("nsw",))
        index.add_incoming(i64(0), entry)
        index.add_incoming(following, body)
        builder.cbranch(builder.icmp_signed("<", following, size), body, done)
        builder.position_at_end(done)
        builder.ret_void()

    library = numba_bridge.build(symbol, fill, features)
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(library.address(symbol))
    return call, library.assembly()


def evaluate(name: str, *arguments: np.ndarray, features: frozenset[str] | None = None) -> np.ndarray:
    """The emitted function on arrays of one dtype and length."""
    call, _ = kernel(name, arguments[0].dtype, features)
    stacked = np.concatenate(arguments)
    out = np.empty_like(arguments[0])
    call(out.size, stacked.ctypes.data, out.ctypes.data)
    return out
