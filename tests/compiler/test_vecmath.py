"""The emitted mathematics: accuracy against mpmath, special values, the same bits everywhere, vector instructions."""

from __future__ import annotations

import ctypes
import math
import platform
import re
import zlib
from functools import cache

import numpy as np
import pytest

from chainrule.compiler import vecmath
from chainrule.compiler.vecmath import FUNCTIONS, fit

mpmath = pytest.importorskip("mpmath")
numba = pytest.importorskip("numba")

DTYPES = (np.float32, np.float64)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_function = pytest.mark.parametrize("name", list(FUNCTIONS))

# The intervals that random arguments come from; (low, high, "log") means equally many of each magnitude.
TINY, HUGE = 1e-37, 3e38  # normal in both formats
EVERYWHERE = ((TINY, HUGE, "log"), (-HUGE, -TINY, "log"))
AROUND_ZERO = ((-1.0, 1.0), (-10.0, 10.0), (TINY, 1.0, "log"), (-1.0, -TINY, "log"))
RANGES = {
    "exp": (*AROUND_ZERO, (-87.0, 88.0), (-700.0, 709.0)),
    "log": ((0.5, 2.0), (0.9, 1.1), (TINY, HUGE, "log")),
    "expm1": (*AROUND_ZERO, (-87.0, 88.0), (-40.0, 709.0)),
    "log1p": ((-1.0, 1.0), (-0.5, 0.5), (TINY, HUGE, "log"), (-0.5, -TINY, "log")),
    "tanh": (*AROUND_ZERO, (-20.0, 20.0)),
    "sin": (*AROUND_ZERO, (-200.0, 200.0), (-1e5, 1e5), *EVERYWHERE),
    "cos": (*AROUND_ZERO, (-200.0, 200.0), (-1e5, 1e5), *EVERYWHERE),
    "erf": (*AROUND_ZERO, (0.9, 1.1), (-6.0, 6.0)),
}
EDGES = {
    "exp": (709.7, -708.5, -744.4, 88.7, -87.4, -103.2),
    "expm1": (709.7, 88.7, -36.7, -17.3, 0.3465, 0.3467, -0.3465),
    # the double (and the float) closest to a multiple of pi/2, and neighbours of small multiples
    "sin": (6381956970095103.0 * 2.0**797, 16367173.0 * 2.0**72, *(k * math.pi / 2 for k in range(1, 200))),
    "cos": (6381956970095103.0 * 2.0**797, 16367173.0 * 2.0**72, *(k * math.pi / 2 for k in range(1, 200))),
}
SPECIAL = (0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 5e-324, -5e-324, 1e-310, -1e-310,
           1e-40, -1e-40, 1e-20, -1e-20, 90.0, -104.5, 710.0, -746.0, 1e30, -1e30, 1.7e308, -1.7e308)  # fmt: skip
NUMPY = {
    "erf": np.vectorize(math.erf, otypes=[float]),
}
MPMATH = {}


@cache
def kernel(name: str, dtype: type) -> tuple[object, str]:
    """(compiled kernel, its assembly) of `for i in range(n): out[i] = f(in[i], in[n + i]...)`, as the library emits loops."""
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    scalar = numba.from_dtype(np.dtype(dtype))

    @intrinsic
    def nest(typing_context, n, inputs, outputs):
        def generate(context, builder, signature, arguments):
            size, source, target = arguments
            with cgutils.for_range(builder, size) as loop:
                arguments = range(FUNCTIONS[name].arity)
                offsets = [builder.add(loop.index, builder.mul(size, size.type(k))) for k in arguments]
                values = [builder.load(builder.gep(source, [offset])) for offset in offsets]
                builder.store(vecmath.emit(name, builder, *values), builder.gep(target, [loop.index]))
            return ir.Constant(ir.IntType(8).as_pointer(), None)

        return types.void(n, inputs, outputs), generate

    pointer = types.CPointer(scalar)

    @numba.cfunc(types.void(types.int64, pointer, pointer), error_model="numpy")
    def loop_nest(n, inputs, outputs):
        nest(n, inputs, outputs)

    return loop_nest, loop_nest._library.get_asm_str()


def evaluate(name: str, *arguments: np.ndarray) -> np.ndarray:
    loop_nest, _ = kernel(name, arguments[0].dtype.type)
    stacked = np.concatenate(arguments)
    out = np.empty_like(arguments[0])
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(loop_nest.address)
    call(out.size, stacked.ctypes.data, out.ctypes.data)
    return out


def sample(name: str, dtype: type, count: int) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    parts = []
    for low, high, *scale in RANGES[name]:
        if scale:
            magnitudes = sorted((math.log(abs(low)), math.log(abs(high))))
            parts.append(math.copysign(1, low) * np.exp(rng.uniform(*magnitudes, count)))
        else:
            parts.append(rng.uniform(low, high, count))
    with np.errstate(over="ignore"):
        return np.concatenate([*parts, EDGES.get(name, ())]).astype(dtype)


def special_arguments(dtype: type) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore"):
        return np.array(SPECIAL).astype(dtype)


def exact(name: str, *arguments: np.ndarray) -> list:
    """Values to much more than double precision."""
    function = MPMATH.get(name) or getattr(mpmath, name)
    with mpmath.workprec(160):
        return [function(*map(mpmath.mpf, map(float, values))) for values in zip(*arguments, strict=True)]


def ulp_errors(values: np.ndarray, references: list) -> np.ndarray:
    """|value - reference| in units of the last place of the rounded reference; 0 where both are inf or NaN."""
    errors = np.zeros(values.size)
    with np.errstate(over="ignore"), mpmath.workprec(160):
        rounded = np.array([float(reference) for reference in references]).astype(values.dtype)
        units = np.spacing(np.abs(rounded))
        for i, (value, reference) in enumerate(zip(values, references, strict=True)):
            if np.isfinite(value) and np.isfinite(rounded[i]):
                errors[i] = abs(mpmath.mpf(float(value)) - reference) / float(units[i])
            elif not np.array_equal(value, rounded[i], equal_nan=True):
                errors[i] = math.inf
    return errors


def bound(name: str, dtype: type) -> float:
    return FUNCTIONS[name].ulp64 if dtype is np.float64 else FUNCTIONS[name].ulp32


def assert_accurate(name: str, x: np.ndarray) -> None:
    values = evaluate(name, x)
    errors = ulp_errors(values, exact(name, x))
    worst = int(np.argmax(errors))
    message = f"{name}({x[worst]!r}) = {values[worst]!r}: {errors[worst]:.3f} ulp"
    assert errors[worst] <= bound(name, x.dtype.type), message


@every_function
@both_dtypes
def test_error_is_within_its_bound(name, dtype):
    assert_accurate(name, sample(name, dtype, 250))


@pytest.mark.slow
@every_function
@both_dtypes
def test_error_is_within_its_bound_on_many_points(name, dtype):
    assert_accurate(name, sample(name, dtype, 2_500))


@every_function
@both_dtypes
def test_special_values(name, dtype):
    x = special_arguments(dtype)
    with np.errstate(all="ignore"):
        expected = NUMPY.get(name, getattr(np, name, None))(x.astype(np.float64)).astype(dtype)
        values = evaluate(name, x)
        close = np.abs(values - expected) <= np.ceil(bound(name, dtype) + 1) * np.spacing(np.abs(expected))
    right = np.where(np.isfinite(expected), close, (values == expected) | (np.isnan(values) & np.isnan(expected)))
    right &= np.isnan(expected) | (expected != 0) | (np.signbit(values) == np.signbit(expected))
    assert right.all(), [(x[i], values[i], expected[i]) for i in np.flatnonzero(~right)]


@every_function
@both_dtypes
def test_an_element_has_the_same_bits_wherever_it_falls(name, dtype):
    x = np.concatenate([sample(name, dtype, 12), special_arguments(dtype)])[-100:]
    whole = evaluate(name, x)
    unsigned = np.uint64 if dtype is np.float64 else np.uint32
    for length in range(1, 41):
        start = (7 * length) % (x.size - length)
        window = slice(start, start + length)
        part = evaluate(name, x[window].copy())
        same = (part.view(unsigned) == whole[window].view(unsigned)) | (np.isnan(part) & np.isnan(whole[window]))
        assert same.all(), (length, x[window][~same])


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@every_function
@both_dtypes
def test_loops_become_vector_code_without_library_calls(name, dtype):
    _, assembly = kernel(name, dtype)
    lanes = "pd" if dtype is np.float64 else "ps"
    packed = re.search(rf"^\s+v?(?:fn?m(?:add|sub)\d*|mul|add|div){lanes}\s.*%[xyz]mm", assembly, re.MULTILINE)
    assert bool(packed) == FUNCTIONS[name].vectorisable
    called = set(re.findall(r"(?:call\w*\s+|movabsq\s+\$)([A-Za-z_][\w.]*)", assembly))
    assert not {symbol for symbol in called if not symbol.startswith(("cr.", ".L", "_ZN", "NRT_", "numba_"))}, called


def test_coefficients_are_those_of_the_fit():
    from pathlib import Path

    assert Path(vecmath.__file__).with_name("coefficients.py").read_text() == fit.render()


def test_arguments_are_checked():
    from llvmlite import ir

    builder = ir.IRBuilder(ir.Function(ir.Module(), ir.FunctionType(ir.VoidType(), []), "f").append_basic_block())
    one = ir.Constant(ir.DoubleType(), 1.0)
    with pytest.raises(KeyError):
        vecmath.emit("exponential", builder, one)
    with pytest.raises(TypeError, match="takes 1"):
        vecmath.emit("exp", builder, one, one)
    with pytest.raises(TypeError, match="double and float"):
        vecmath.emit("exp", builder, ir.Constant(ir.IntType(64), 1))


def test_a_function_is_emitted_once_per_module():
    from llvmlite import ir

    module = ir.Module()
    builder = ir.IRBuilder(ir.Function(module, ir.FunctionType(ir.VoidType(), []), "f").append_basic_block())
    for _ in range(2):
        vecmath.emit("exp", builder, ir.Constant(ir.DoubleType(), 1.0))
    assert [name for name in module.globals if name.startswith("cr.")] == ["cr.exp.f64"]
