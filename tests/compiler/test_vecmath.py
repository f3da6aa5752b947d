"""The emitted mathematics: accuracy against mpmath, special values, the same bits everywhere, vector instructions."""

from __future__ import annotations

import itertools
import math
import platform
import re
import zlib
from pathlib import Path

import mpmath
import numpy as np
import pytest
from llvmlite import ir
from scipy import special
from vecmath_kernels import PORTABLE, evaluate, kernel

from chainrule.compiler import numba_bridge, op, vecmath
from chainrule.compiler.ops import elementwise as _declare_ops  # noqa: F401
from chainrule.compiler.vecmath import FUNCTIONS, fit, fit_pieces, target

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
both_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)
on_floats = [name for name, function in FUNCTIONS.items() if function.family]


def text_of(name, features):
    module = ir.Module()
    module.features = features
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), []), "f")
    argument = ir.Constant(ir.DoubleType(), ir.Undefined)
    vecmath.emit(name, ir.IRBuilder(function.append_basic_block()), *[argument] * FUNCTIONS[name].arity)
    return str(module)


def cases(names):
    """Functions on this machine, and those that are written otherwise for particular machines without their instructions, too."""
    every = frozenset().union(*target.FEATURES.values())
    pairs = [(name, None) for name in names]
    pairs += [(name, PORTABLE) for name in names if text_of(name, every) != text_of(name, PORTABLE)]
    ids = [name if features is None else f"{name}-portable" for name, features in pairs]
    return pytest.mark.parametrize(("name", "features"), pairs, ids=ids)


every_function = cases(on_floats)
SEED = 20240229

# Where random arguments come from: (low, high), or (low, high, "log") for equally many of each magnitude.
TINY, HUGE = 1e-37, 3e38  # normal in both formats
ALL_POSITIVE = (TINY, HUGE, "log")
SMALL = ((-1.0, 1.0), (TINY, 1.0, "log"), (-TINY, -1.0, "log"))
AROUND_ZERO = (*SMALL, (-10.0, 10.0))
ANGLES = (*AROUND_ZERO, (-200.0, 200.0), (-1e5, 1e5), ALL_POSITIVE, (-TINY, -HUGE, "log"))
RANGES = {
    "exp": (*AROUND_ZERO, (-87.0, 88.0), (-745.0, 709.0)),
    "exp2": (*AROUND_ZERO, (-149.0, 127.0), (-1074.0, 1023.0)),
    "expm1": (*AROUND_ZERO, (-87.0, 88.0), (-40.0, 709.0)),
    "exprel": (*AROUND_ZERO, (-87.0, 88.0), (-40.0, 709.0)),
    "log": ((0.5, 2.0), (0.9, 1.1), ALL_POSITIVE),
    "log2": ((0.5, 2.0), (0.9, 1.1), ALL_POSITIVE),
    "log10": ((0.5, 2.0), (0.9, 1.1), ALL_POSITIVE),
    "log1p": ((-1.0, 1.0), (-0.5, 0.5), ALL_POSITIVE, (-TINY, -0.5, "log")),
    "sigmoid": (*AROUND_ZERO, (-103.0, 40.0), (-745.0, 40.0)),
    "softplus": (*AROUND_ZERO, (-103.0, 40.0), (-745.0, 40.0)),
    "log_sigmoid": (*AROUND_ZERO, (-40.0, 103.0), (-40.0, 745.0)),
    "sin": ANGLES,
    "cos": ANGLES,
    "tan": ANGLES,
    "sinc": AROUND_ZERO,
    "asin": (*SMALL, (0.45, 0.55), (0.99, 1.0)),
    "acos": (*SMALL, (0.45, 0.55), (0.99, 1.0)),
    "atan": (*AROUND_ZERO, ALL_POSITIVE),
    "sinh": (*AROUND_ZERO, (-89.0, 89.0), (-710.0, 710.0)),
    "cosh": (*AROUND_ZERO, (-89.0, 89.0), (-710.0, 710.0)),
    "tanh": (*AROUND_ZERO, (-22.0, 22.0)),
    "sech_squared": (*AROUND_ZERO, (-53.0, 53.0), (-373.0, 373.0)),
    "asinh": (*AROUND_ZERO, ALL_POSITIVE, (-TINY, -HUGE, "log")),
    "acosh": ((1.0, 1.1), (1.0, 10.0), (1.0, HUGE, "log")),
    "atanh": (*SMALL, (0.4, 0.6), (0.99, 1.0)),
    "erf": (*AROUND_ZERO, (0.9, 1.1), (-6.0, 6.0)),
    "erfc": (*AROUND_ZERO, (0.0, 10.1), (0.0, 27.2)),
    "erfcx": (*AROUND_ZERO, (0.0, 10.1), (0.0, 27.2), (-5.0, 0.0), (27.0, 30.0), (1.0, HUGE, "log")),
    "erfinv": (*SMALL, (-0.9, 0.9), (0.99, 1.0), (0.99999, 1.0)),
    "lgamma": ((0.0, 1.0), (0.9, 1.1), (1.0, 3.0), (1.9, 2.1), (2.0, 12.0), (TINY, 1e35, "log")),
    "digamma": ((0.0, 1.0), (1.4, 1.5), (1.0, 3.0), (2.0, 12.0), ALL_POSITIVE),
    "cbrt": ((-1.0, 1.0), (0.5, 8.0), ALL_POSITIVE, (-TINY, -HUGE, "log")),
    "rsqrt": ((0.0, 1.0), (0.5, 4.0), ALL_POSITIVE),
    "square": ((-1.0, 1.0), (-1e15, 1e15)),
    "reciprocal": ((-1.0, 1.0), (TINY, 1e36, "log")),
}
RANGES_OF_TWO = {
    "logaddexp": (((-1.0, 60.0), (0.0, 60.0)), ((0.0, 2.0), (0.0, 2.0))),
    "atan2": (((-2.0, 2.0), (-2.0, 2.0)), (ALL_POSITIVE, (-TINY, -HUGE, "log")), ((-1.0, 1.0), ALL_POSITIVE)),
    "cathetus": (((1.0, 2.0), (-1.0, 1.0)), ((1.0, 1.001), (0.999, 1.0)), ((1e30, 1e37), (1.0, 1e30))),
    "hypot": (((-2.0, 2.0), (-2.0, 2.0)), (ALL_POSITIVE, ALL_POSITIVE), ((1e30, 1e38), (1e30, 1e38))),
    "pow": (
        ((0.9, 1.1), (-800.0, 800.0)),
        ((0.0, 3.0), (-80.0, 80.0)),
        (ALL_POSITIVE, (-1.0, 1.0)),
        (ALL_POSITIVE, (-8.0, 8.0)),
        ((2.0, 10.0), (-300.0, 300.0)),
    ),
}
NEAR_HALF_TURNS = (
    # the double and the float that come closest to a multiple of pi/2 (Muller, Elementary Functions, 11.3.2)
    *(6381956970095103.0 * 2.0**797, 16367173.0 * 2.0**72),
    *(k * math.pi / 2 for k in (*range(1, 200), 2**19 + 1, 10**9 + 7)),
)
EDGES = {
    "exp": (709.7, -708.5, -744.4, 88.7, -87.4, -103.2),
    "expm1": (709.7, 88.7, -36.7, -17.3, 0.3465, 0.3467, -0.3465),
    "log": (1.7e308, 5e-324, 1e-310, 1e-40),
    "log1p": (1.7e308, 5e-324, 3.4e38, -0.9999999),
    "sin": NEAR_HALF_TURNS,
    "cos": NEAR_HALF_TURNS,
    "tan": NEAR_HALF_TURNS,
    "sinh": (710.4, 89.4, 5e-324),
    "cosh": (710.4, 89.4),
    "asinh": (1.7e308, 1e200, 2.0**28, 2.0**13),
    "acosh": (1.7e308, 1e200, 2.0**28, 2.0**13),
    "lgamma": (1.0, 2.0, 8.0, 7.999),
    "digamma": (1.4616321449683622, 1.0),
    "cbrt": (1.7e308, 5e-324, 1e-310, 1e-40, 27.0),
}
GAMMA = ("lgamma", "digamma")  # near their zeros at negative arguments only the absolute error is bounded
EXACT = {
    "exprel": lambda x: mpmath.expm1(x) / x if x else mpmath.mpf(1),
    "sinc": mpmath.sinc,
    "exp2": lambda x: mpmath.mpf(2) ** x,
    "log2": lambda x: mpmath.log(x, 2),
    "log10": mpmath.log10,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "log_sigmoid": lambda x: -mpmath.log1p(mpmath.exp(-x)),
    "logaddexp": lambda x, y: max(x, y) + mpmath.log1p(mpmath.exp(-abs(x - y))),
    "lgamma": lambda x: mpmath.re(mpmath.loggamma(x)),
    "digamma": mpmath.digamma,
    "acosh": lambda x: mpmath.re(mpmath.acosh(x)),
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "sech_squared": lambda x: mpmath.sech(x) ** 2,
    "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "cathetus": lambda x, y: mpmath.sqrt(x * x - y * y),
    "erfcx": lambda x: mpmath.exp(x * x) * mpmath.erfc(x) if x < 1e6 else (1 - 1 / (2 * x * x)) / (x * mpmath.sqrt(mpmath.pi)),
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x,
    "pow": mpmath.power,
}
SPECIAL = (
    *(0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 2.5, -7.5),
    *(5e-324, -5e-324, 1e-310, -1e-310, 1e-40, -1e-40, 1e-20, -1e-20, 1e-300, 90.0, -104.5, 710.0, -746.0, 800.0),
    *(1e30, -1e30, 1.7e308, -1.7e308),
)
ERRORS = ("product_error", "sum_error")  # compared with fractions in test_compensation.py
NUMPY = {
    **{name: op.get(name).evaluate for name in ERRORS},
    "exprel": lambda x: np.where(np.isin(x, (0.0, math.inf)), np.exp(x), np.expm1(x.astype(np.longdouble)) / x).astype(x.dtype),
    "sinc": lambda x: np.where(x == 0, 1.0, np.sin(x) / x),
    "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "log_sigmoid": special.log_expit,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": special.erf,
    "erfc": special.erfc,
    "erfcx": special.erfcx,
    "erfinv": lambda x: np.where(x == 0, x, special.erfinv(x)),  # SciPy's loses the sign of -0
    # SciPy overflows for subnormals, and has -inf at -inf, where C has inf
    "lgamma": lambda x: np.where(
        np.abs(x) < 1e-300, -np.log(np.abs(x)), np.where(x == -math.inf, math.inf, special.gammaln(x))
    ),
    "digamma": special.digamma,
    "pow": np.power,
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "cathetus": op.get("cathetus").evaluate,
    "sech_squared": lambda x: 1.0 / np.cosh(x) ** 2,
}


def draw(rng: np.random.Generator, interval: tuple, count: int) -> np.ndarray:
    low, high, *scale = interval
    if not scale:
        return rng.uniform(low, high, count)
    return math.copysign(1.0, low) * np.exp(rng.uniform(math.log(abs(low)), math.log(abs(high)), count))


def sample(name: str, dtype: np.dtype, count: int) -> tuple[np.ndarray, ...]:
    """Arguments in the dtype, `count` from each range of the function."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name in RANGES_OF_TWO:
        pairs = [[draw(rng, interval, count) for interval in pair] for pair in RANGES_OF_TWO[name]]
        columns = [np.concatenate(column) for column in zip(*pairs, strict=True)]
    elif name in RANGES:
        columns = [np.concatenate([*(draw(rng, each, count) for each in RANGES[name]), EDGES.get(name, ())])]
    else:  # exact functions: the tests compare them with NumPy
        columns = [rng.standard_normal(4 * count) for _ in range(FUNCTIONS[name].arity)]
    with np.errstate(over="ignore", under="ignore"):
        return tuple(column.astype(dtype) for column in columns)


def special_arguments(arity: int, dtype: np.dtype) -> tuple[np.ndarray, ...]:
    """All combinations of the special values."""
    with np.errstate(over="ignore", under="ignore"):
        values = np.array(SPECIAL).astype(dtype)
    return tuple(np.array(column) for column in zip(*itertools.product(values, repeat=arity), strict=True))


def exact(name: str, arguments: tuple[np.ndarray, ...]) -> list:
    """Values to much more than double precision; at least 160 bits of the reduced argument of a huge angle."""
    function = EXACT.get(name) or getattr(mpmath, name)
    with mpmath.workprec(1200 if name in ("sin", "cos", "tan") else 160):
        return [function(*map(mpmath.mpf, map(float, values))) for values in zip(*arguments, strict=True)]


def ulp_errors(values: np.ndarray, references: list, least: float = 0.0) -> np.ndarray:
    """|value - reference| in units of the last place of the rounded reference, or of `least` if that is larger.

    0 where both are inf or NaN.
    """
    errors = np.zeros(values.size)
    with np.errstate(over="ignore"), mpmath.workprec(160):
        rounded = np.array([float(reference) for reference in references]).astype(values.dtype)
        units = np.spacing(np.maximum(np.abs(rounded), values.dtype.type(least)))
        for i, (value, reference) in enumerate(zip(values, references, strict=True)):
            if np.isfinite(value) and np.isfinite(rounded[i]):
                errors[i] = abs(mpmath.mpf(float(value)) - reference) / float(units[i])
            elif not np.array_equal(value, rounded[i], equal_nan=True):
                errors[i] = math.inf
    return errors


def bound(name: str, dtype: np.dtype) -> float:
    return FUNCTIONS[name].ulp64 if dtype == np.float64 else FUNCTIONS[name].ulp32


def assert_accurate(name: str, arguments: tuple[np.ndarray, ...], features: object = None, least: float = 0.0) -> None:
    values = evaluate(name, *arguments, features=features)
    errors = ulp_errors(values, exact(name, arguments), least)
    worst = int(np.argmax(errors))
    where = f"{name}({', '.join(repr(float(a[worst])) for a in arguments)}) = {float(values[worst])!r}"
    assert errors[worst] <= bound(name, values.dtype), f"{where}: {errors[worst]:.3f} ulp"


@cases([*RANGES, *RANGES_OF_TWO])
@both_dtypes
def test_error_is_within_its_bound(name, features, dtype):
    assert_accurate(name, sample(name, dtype, 120), features)


@pytest.mark.slow
@cases([*RANGES, *RANGES_OF_TWO])
@both_dtypes
def test_error_is_within_its_bound_on_many_points(name, features, dtype):
    assert_accurate(name, sample(name, dtype, 600), features)


@pytest.mark.parametrize("name", GAMMA)
@both_dtypes
def test_absolute_error_of_gamma_functions_at_negative_arguments(name, dtype):
    x = np.random.default_rng(SEED).uniform(-20.0, 0.0, 400).astype(dtype)
    assert_accurate(name, (x,), least=1.0)


def test_every_float_function_is_compared_with_a_reference():
    compared = {*RANGES, *RANGES_OF_TWO, *ERRORS, *(name for name in on_floats if hasattr(np, name))}
    assert compared == set(on_floats)


@every_function
@both_dtypes
def test_special_values(name, features, dtype):
    arguments = special_arguments(FUNCTIONS[name].arity, dtype)
    reference = NUMPY.get(name) or getattr(np, name)
    own_precision = bound(name, dtype) == 0 or name in ("remainder", "floor_divide")
    with np.errstate(all="ignore"):
        wide = arguments if own_precision else [argument.astype(np.float64) for argument in arguments]
        expected = reference(*wide).astype(dtype)
        values = evaluate(name, *arguments, features=features)
        size = np.maximum(np.abs(expected), 1.0 if name in GAMMA else 0.0)
        close = np.abs(values - expected) <= np.ceil(bound(name, dtype) + 1) * np.spacing(size)
    right = np.where(np.isfinite(expected), close, (values == expected) | (np.isnan(values) & np.isnan(expected)))
    signed_zero = (expected == 0) & (name not in ("maximum", "minimum", *ERRORS))  # an error of 0 is added to something
    right &= ~signed_zero | (np.signbit(values) == np.signbit(expected))
    assert right.all(), [(*(float(a[i]) for a in arguments), values[i], expected[i]) for i in np.flatnonzero(~right)]


@every_function
@both_dtypes
def test_an_element_has_the_same_bits_wherever_it_falls(name, features, dtype):
    size = 150
    columns = zip(sample(name, dtype, 12), special_arguments(FUNCTIONS[name].arity, dtype), strict=True)
    arguments = [np.random.default_rng(SEED).permutation(np.concatenate(column))[:size] for column in columns]
    whole = evaluate(name, *arguments, features=features)
    unsigned = f"u{dtype.itemsize}"
    for length in range(1, 41):
        start = (7 * length) % (whole.size - length)
        window = slice(start, start + length)
        part = evaluate(name, *(argument[window] for argument in arguments), features=features)
        same = (part.view(unsigned) == whole[window].view(unsigned)) | (np.isnan(part) & np.isnan(whole[window]))
        assert same.all(), (length, [argument[window][~same] for argument in arguments])


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@every_function
@both_dtypes
def test_loops_become_vector_code_which_calls_nothing_but_rare_cases(name, features, dtype):
    _, assembly = kernel(name, dtype, features)
    lanes = "pd" if dtype == np.float64 else "ps"
    operation = rf"v?(?:fn?m(?:add|sub)\d*|mul|add|sub|div|max|min|cmp\w*|and){lanes}|vpcmp\w+"
    assert bool(re.search(rf"^\s+{operation}\s.*%[xyz]mm", assembly, re.MULTILINE)) == FUNCTIONS[name].vectorisable
    called = set(re.findall(r"(?:call\w*\s+|movabsq\s+\$)([A-Za-z_][\w.]*)", assembly))
    outside = {symbol for symbol in called if not symbol.endswith(".one") and not symbol.startswith(("cr.two_over_pi", "cr.numbers"))}
    assert outside <= ({"fmod", "fmodf"} if name in ("fmod", "remainder", "floor_divide") else set())


def test_results_are_exact_where_one_would_look():
    n = np.arange(-300.0, 300.0)
    np.testing.assert_array_equal(evaluate("exp2", n), 2.0**n)
    np.testing.assert_array_equal(evaluate("log2", 2.0**n), n)
    powers = np.array([float(10**k) for k in range(23)])
    np.testing.assert_array_equal(evaluate("log10", powers), np.arange(23.0))
    np.testing.assert_array_equal(evaluate("cbrt", n**3), n)
    np.testing.assert_array_equal(evaluate("pow", np.full(23, 10.0), np.arange(23.0)), powers)
    np.testing.assert_array_equal(evaluate("hypot", np.array([3.0, 5.0]), np.array([4.0, 12.0])), [5.0, 13.0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_sines_do_not_pass_one(dtype):
    x = (np.arange(-200_000, 200_000) * (math.pi / 2)).astype(dtype)
    around = np.concatenate([x, np.linspace(-1e-3, 1e-3, 10_001, dtype=dtype), x + dtype.type(1e-5)])
    for name in ("sin", "cos"):
        assert np.abs(evaluate(name, around)).max() == 1.0


@cases(["erf", "erfc"])
def test_tails_of_the_error_function_are_monotone(name, features):
    values = evaluate(name, np.linspace(4.0, 28.0, 100_001), features=features)
    steps = np.diff(values if name == "erf" else -values)
    assert steps.min() >= 0.0
    assert values[-1] == (1.0 if name == "erf" else 0.0)


def test_coefficients_are_those_of_the_fit():
    for module, name in ((fit, "coefficients.py"), (fit_pieces, "pieces.py")):
        assert Path(vecmath.__file__).with_name(name).read_text() == module.render()


def builder_of_a_new_module() -> ir.IRBuilder:
    module = ir.Module()
    module.features = PORTABLE
    return ir.IRBuilder(ir.Function(module, ir.FunctionType(ir.VoidType(), []), "f").append_basic_block())


def test_arguments_are_checked():
    builder = builder_of_a_new_module()
    one, integer = ir.Constant(ir.DoubleType(), 1.0), ir.Constant(ir.IntType(64), 1)
    with pytest.raises(KeyError):
        vecmath.emit("exponential", builder, one)
    with pytest.raises(TypeError, match="exp takes 1"):
        vecmath.emit("exp", builder, one, one)
    with pytest.raises(TypeError, match="of one type"):
        vecmath.emit("pow", builder, one, integer)
    with pytest.raises(TypeError, match="exp is not defined for i64"):
        vecmath.emit("exp", builder, integer)
    with pytest.raises(TypeError, match="ipow is not defined for double"):
        vecmath.emit("ipow", builder, one, one)
    with pytest.raises(TypeError, match="double and float"):
        vecmath.emit("exp", builder, ir.Constant(ir.HalfType(), 1.0))


def test_a_function_is_emitted_once_per_module_and_dtype():
    builder = builder_of_a_new_module()
    for kind in (ir.DoubleType(), ir.FloatType(), ir.DoubleType()):
        vecmath.emit("exp", builder, ir.Constant(kind, 1.0))
    assert [name for name in builder.module.globals if name.startswith("cr.")] == ["cr.exp.f64", "cr.exp.f32"]


def test_the_page_states_the_bounds_of_the_table():
    page = Path(__file__).parents[2] / "compiler" / "vecmath" / "README.md"
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith("| ")][2:]
    stated = {name.removeprefix("| "): (float(double), float(single)) for name, double, single, *_ in rows}
    assert stated == {name: (f.ulp64, f.ulp32) for name, f in FUNCTIONS.items() if f.ulp64 > 0.5}


def optimised(name, body):
    """The LLVM IR of a function double -> double that is written by `body(builder, x)`."""

    def fill(module):
        function = ir.Function(module, ir.FunctionType(ir.DoubleType(), [ir.DoubleType()]), name)
        builder = ir.IRBuilder(function.append_basic_block())
        builder.ret(body(builder, function.args[0]))

    return numba_bridge.build(name, fill).llvm()


def test_erfc_and_its_derivative_compute_one_exponential():
    def both(builder, x):
        slope = vecmath.emit("exp", builder, builder.fneg(builder.fmul(x, x)))
        return builder.fadd(vecmath.emit("erfc", builder, x), slope)

    log2_e = "0x3FF71547652B82FE"  # each exponential multiplies by it once
    assert optimised("erfc_and_slope", both).count(log2_e) == 1
