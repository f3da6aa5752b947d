"""The table of compiler/vecmath/README.md: bounds of the error, and nanoseconds an element beside glibc's libmvec.

`python tests/bench/vecmath_table.py [names...]` prints it. One core, arrays that stay in the cache, the shortest of
many runs. The rival runs in the same loop, with the widest registers, through its vector variants.
"""

from __future__ import annotations

import ctypes
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from chainrule.compiler import numba_bridge
from chainrule.compiler.vecmath import FUNCTIONS, Function, emit

COUNT, ROUNDS = 4096, 400
LANES = {"f64": ((2, "b"), (4, "d"), (8, "e")), "f32": ((4, "b"), (8, "d"), (16, "e"))}  # of SSE, AVX2, AVX-512
POSITIVE, UNIT = (0.01, 100.0), (-1.0, 1.0)
RANGES = {
    "log": POSITIVE, "log2": POSITIVE, "log10": POSITIVE, "log1p": (-0.9, 10.0), "rsqrt": POSITIVE, "pow": (0.1, 10.0),
    "lgamma": (0.1, 50.0), "digamma": (0.1, 50.0), "acosh": (1.0, 50.0), "asin": UNIT, "acos": UNIT, "atanh": UNIT,
    "erfinv": UNIT, "erf": (-3.0, 3.0), "erfc": (-3.0, 3.0), "erfcx": (-3.0, 3.0),
}
Call = Callable[..., Any]
kept: list[Any] = []


def loop(name: str, format: str, arity: int, call: Call) -> Callable[[], None]:
    """A compiled loop over arrays that applies `call(builder, *values)`."""
    def fill(module: Any) -> None:
        element = ir.DoubleType() if format == "f64" else ir.FloatType()
        i64 = ir.IntType(64)
        pointers = [element.as_pointer()] * (arity + 1)
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), pointers), name)
        function.attributes.add("nounwind")
        function.attributes.alignstack = 64  # as kernels have it
        for argument in function.args:
            argument.add_attribute("noalias")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        entry, body, done = builder.block, function.append_basic_block("loop"), function.append_basic_block("done")
        builder.branch(body)
        builder.position_at_end(body)
        index = builder.phi(i64)
        *sources, target = (builder.gep(argument, [index], inbounds=True) for argument in function.args)
        builder.store(call(builder, *map(builder.load, sources)), target)
        following = builder.add(index, i64(1), flags=("nuw", "nsw"))
        index.add_incoming(i64(0), entry)
        index.add_incoming(following, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, i64(COUNT)), body, done)
        builder.position_at_end(done)
        builder.ret_void()

    library = numba_bridge.build(name, fill)
    rng = np.random.default_rng(0)
    dtype = np.float64 if format == "f64" else np.float32
    low, high = RANGES.get(name.split("_", 1)[1].rpartition("_")[0], (-10.0, 10.0))
    arrays = [rng.uniform(low, high, COUNT).astype(dtype) for _ in range(arity + 1)]
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (arity + 1))(library.address(name))
    kept.extend((library, arrays))
    addresses = [array.ctypes.data for array in arrays]
    return lambda: function(*addresses)


def of_libmvec(function: Function, format: str) -> Call:
    """A call of libm's function that LLVM may replace by libmvec's."""
    symbol = function.name if format == "f64" else function.name + "f"

    def call(builder: Any, *values: Any) -> Any:
        module, element, parameters = builder.module, values[0].type, "v" * function.arity
        found = ir.Function(module, ir.FunctionType(element, [element] * function.arity), symbol)
        names = {lanes: f"_ZGV{letter}N{lanes}{parameters}_{symbol}" for lanes, letter in LANES[format]}
        mapping = ",".join(f"_ZGV_LLVM_N{lanes}{parameters}_{symbol}({name})" for lanes, name in names.items())
        for attribute in ("nounwind", "willreturn", "memory(none)", f'"vector-function-abi-variant"="{mapping}"'):
            set.add(found.attributes, attribute)
        pointer = ir.IntType(8).as_pointer()
        vectors = []
        for lanes, name in names.items():
            vector = ir.VectorType(element, lanes)
            vectors.append(ir.Function(module, ir.FunctionType(vector, [vector] * function.arity), name).bitcast(pointer))
        used = ir.GlobalVariable(module, ir.ArrayType(pointer, len(vectors)), "llvm.compiler.used")
        used.linkage, used.section, used.initializer = "appending", "llvm.metadata", ir.Constant(used.type.pointee, vectors)
        return builder.call(found, values)

    return call


def nanoseconds(runs: Sequence[Callable[[], None]]) -> list[float]:
    """The shortest time of each, an element; they take turns."""
    best = [math.inf] * len(runs)
    for _ in range(ROUNDS):
        for number, run in enumerate(runs):
            start = time.perf_counter()
            run()
            run()
            best[number] = min(best[number], time.perf_counter() - start)
    return [seconds / 2 / COUNT * 1e9 for seconds in best]


def row(function: Function, libmvec: ctypes.CDLL) -> str:
    speeds: list[str] = []
    for format in ("f64", "f32"):
        runs = [loop(f"own_{function.name}_{format}", format, function.arity, lambda b, *v: emit(function.name, b, *v))]
        if hasattr(libmvec, f"_ZGVdN4{'v' * function.arity}_{function.name}"):
            runs.append(loop(f"libmvec_{function.name}_{format}", format, function.arity, of_libmvec(function, format)))
        found = [f"{each:.2f}" for each in nanoseconds(runs)]
        speeds += [*found, ""][:2]
    cells = (function.name, f"{function.ulp64:g}", f"{function.ulp32:g}", *speeds, function.source.replace("|", r"\|"))
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    libmvec = ctypes.CDLL("libmvec.so.1")
    llvm.load_library_permanently("libmvec.so.1")
    print("| function | ulp, float64 | ulp, float32 | ns, float64 | libmvec | ns, float32 | libmvec | method |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for function in FUNCTIONS.values():
        if function.ulp64 > 0.5 and (not sys.argv[1:] or function.name in sys.argv[1:]):
            print(row(function, libmvec), flush=True)
