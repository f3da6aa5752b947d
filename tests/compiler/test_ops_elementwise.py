"""Elementwise ops against oracles that share nothing with them: mpmath at 50 digits, and Python's own integers."""
from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest
from derivatives import (
    Builder,
    evaluate,
    forward,
    forward_over_reverse,
    inputs_like,
    reverse,
    reverse_over_reverse,
    value,
)
from mpmath import mp, mpf
from special_points import DEPARTURES, SPECIAL, Special

from chainrule.compiler.differentiate import jvp, vjp
from chainrule.compiler.ir import Node, f, make
from chainrule.compiler.op import Op, all_ops, get
from chainrule.compiler.ops import special

DIGITS = 50
NUMPY = np.random.default_rng(20240229)


class Real(NamedTuple):
    """A function of reals: its oracle and the points to try, one tuple for each argument."""

    exact: Callable[..., Any]
    points: tuple[tuple[float, ...], ...]
    scale: float = 0.0  # errors of the derivatives may be relative to this, where they vanish in a limit
    params: tuple[tuple[str, Any], ...] = ()
    digits: int = 700  # of the differences: their steps are far below the smallest argument, 1e-300


LINE = (-700.0, -20.0, -3.5, -1.0, -0.3, -1e-9, 1e-300, 1e-9, 0.2, 1.0, 2.5, 17.0, 650.0)
NEAR = (-30.0, -3.5, -1.0, -0.3, -1e-9, 1e-9, 0.2, 1.0, 2.5, 25.0)
SMALL = (-4.0, -2.5, -1.0, -0.3, -1e-9, 1e-9, 0.2, 1.0, 2.5, 4.0)
POSITIVE = (1e-300, 1e-9, 0.1, 0.5, 1.0, 1.5, 2.75, 17.0, 1e9, 1e300)
UNIT = (-0.999999999, -0.9, -0.5, -1e-9, 1e-9, 0.1, 0.5, 0.75, 0.99, 0.999999999)
GAMMA = (0.1, 0.5, 1.25, 2.75, 7.0, 33.0, -0.5, -2.25)
ANGLES = (-1e6, -100.0, -7.0, -1.5, -0.5, 1e-9, 0.5, 1.5, 3.0, 22.0, 1e5)
LEFT = (3.0, -3.0, 0.5, -2.0, 1e-5, 4.0, 1e3, -7.5, 1.0, 2.5)
BROKEN = (-700.6, -20.3, -3.7, -1.2, -0.3, 1e-9, 0.2, 1.6, 2.7, 650.3)
RAGGED = (2.0, 4.9, -0.3, -3.1, 2.1, 0.7, -1.3, 0.6, 1.7, -4.1)  # no quotient of LEFT by these is whole
RIGHT = (2.0, 5.0, -0.25, -3.0, 2.0, 0.5, -1e3, 0.5, 1.0, -4.0)


def log_sigmoid(x: Any) -> Any:
    return -mpmath.log1p(mpmath.exp(-x))


def pow_(x: Any, p: Any) -> Any:
    return mpmath.re(mpmath.power(x, p))


def fmod(a: Any, b: Any) -> Any:
    n = a / b
    return a - b * (mpmath.floor(n) if n >= 0 else mpmath.ceil(n))


REALS: dict[str, Real] = {
    "add": Real(operator.add, (LEFT, RIGHT)),
    "sub": Real(operator.sub, (LEFT, RIGHT)),
    "mul": Real(operator.mul, (LEFT, RIGHT)),
    "div": Real(operator.truediv, (LEFT, RIGHT)),
    "neg": Real(operator.neg, (LINE,)),
    "remainder": Real(lambda a, b: a - b * mpmath.floor(a / b), (LEFT, RAGGED)),
    "fmod": Real(fmod, (LEFT, RAGGED)),
    "pow": Real(pow_, (tuple(map(abs, LEFT)), RIGHT)),
    "square": Real(lambda x: x * x, (SMALL,)),
    "reciprocal": Real(lambda x: 1 / x, (SMALL,)),
    "sqrt": Real(mpmath.sqrt, (POSITIVE,)),
    "rsqrt": Real(lambda x: 1 / mpmath.sqrt(x), (POSITIVE,)),
    "cbrt": Real(lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), ((*POSITIVE, -8.0, -0.3),)),
    "exp": Real(mpmath.exp, (LINE,)),
    "exp2": Real(lambda x: mpf(2) ** x, (LINE,)),
    "expm1": Real(mpmath.expm1, (LINE,)),
    "log": Real(mpmath.log, (POSITIVE,)),
    "log2": Real(lambda x: mpmath.log(x, 2), (POSITIVE,)),
    "log10": Real(lambda x: mpmath.log(x, 10), (POSITIVE,)),
    "log1p": Real(mpmath.log1p, ((-0.999999, -0.5, -1e-9, 1e-300, 1e-9, 0.3, 1.0, 17.0, 1e9),)),
    "exprel": Real(lambda x: mpmath.expm1(x) / x if x else mpf(1), (LINE,)),
    "sinc": Real(mpmath.sinc, (ANGLES,)),
    "sin": Real(mpmath.sin, (ANGLES,)),
    "cos": Real(mpmath.cos, (ANGLES,)),
    "tan": Real(mpmath.tan, (ANGLES[2:],)),
    "arcsin": Real(mpmath.asin, (UNIT,)),
    "arccos": Real(mpmath.acos, (UNIT,)),
    "arctan": Real(mpmath.atan, (LINE[1:],)),
    "arctan2": Real(mpmath.atan2, (LEFT, RIGHT)),
    "sinh": Real(mpmath.sinh, (LINE,)),
    "cosh": Real(mpmath.cosh, (LINE,)),
    "tanh": Real(mpmath.tanh, (NEAR,), scale=1.0),  # 1 - y*y, as torch has it
    "arcsinh": Real(mpmath.asinh, (LINE,)),
    "arccosh": Real(mpmath.acosh, ((1.000000001, 1.001, 1.5, 2.0, 3.5, 17.0, 1e9, 1e150),)),
    "arctanh": Real(mpmath.atanh, (UNIT,)),
    "erf": Real(mpmath.erf, (SMALL,), digits=100),
    "erfc": Real(mpmath.erfc, (SMALL,), digits=100),
    "erfcx": Real(lambda x: mpmath.exp(x * x) * mpmath.erfc(x), (SMALL,), digits=100),
    "erfinv": Real(mpmath.erfinv, (UNIT,), digits=100),
    "lgamma": Real(lambda x: mpmath.log(abs(mpmath.gamma(x))), (GAMMA,), digits=100),
    "digamma": Real(mpmath.digamma, (GAMMA,), digits=100),
    "polygamma": Real(lambda x: mpmath.polygamma(2, x), ((*GAMMA[:6], 2.0, 100.0),), 0.0, (("order", 2),), 100),
    "sigmoid": Real(lambda x: 1 / (1 + mpmath.exp(-x)), (LINE,)),
    "softplus": Real(lambda x: mpmath.log1p(mpmath.exp(x)), (LINE,)),
    "log_sigmoid": Real(log_sigmoid, (LINE,)),
    "sech_squared": Real(lambda x: mpmath.sech(x) ** 2, (NEAR,)),
    "hypot": Real(mpmath.hypot, (LEFT, RIGHT)),
    "cathetus": Real(lambda a, b: mpmath.sqrt(a * a - b * b),
                     ((5.0, -3.0, 2.5, 1.0, 0.7, 40.0, 3.0, 9.0), (1.0, 2.0, -2.25, 0.1, 0.3, -39.5, -2.0, 8.0))),
    "logaddexp": Real(lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)), (LEFT, RIGHT)),
    "abs": Real(abs, (LINE,)),
    "sign": Real(mpmath.sign, (LINE,)),
    "floor": Real(mpmath.floor, (BROKEN,)),
    "ceil": Real(mpmath.ceil, (BROKEN,)),
    "trunc": Real(lambda x: mpmath.floor(x) if x > 0 else mpmath.ceil(x), (BROKEN,)),
    "round": Real(mpmath.nint, (BROKEN,)),
    "floor_divide": Real(lambda a, b: mpmath.floor(a / b), (LEFT, RAGGED)),
    "maximum": Real(max, (LEFT, (2.0, 5.0, -0.25, -3.0, 2.0, 0.5, -1e3, 0.5, 1.5, -4.0))),
    "minimum": Real(min, (LEFT, (2.0, 5.0, -0.25, -3.0, 2.0, 0.5, -1e3, 0.5, 1.5, -4.0))),
}
# Tested below by Python's integers and truth values, or by hand.
INTEGER = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "neg": operator.neg, "abs": abs,
    "sign": lambda a: (a > 0) - (a < 0), "floor_divide": lambda a, b: a // b if b else 0,
    "remainder": lambda a, b: a % b if b else 0,
    "fmod": lambda a, b: (abs(a) % abs(b)) * (1 if a > 0 else -1) if b else 0,
    "maximum": max, "minimum": min, "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le,
    "gt": operator.gt, "ge": operator.ge, "and_": operator.and_, "or_": operator.or_, "xor": operator.xor,
    "not_": operator.invert, "where": lambda c, a, b: a if c else b, "stop_gradient": lambda a: a,
    "shift_left": lambda a, b: a << abs(b), "shift_right": lambda a, b: a >> abs(b), "pow": lambda a, b: a ** abs(b),
}
BOOLEAN = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "and_": operator.and_, "or_": operator.or_, "xor": operator.xor, "not_": operator.not_, "maximum": max,
    "minimum": min,
    "where": lambda c, a, b: a if c else b, "stop_gradient": lambda a: a,
}
PREDICATES = {"isnan": math.isnan, "isinf": math.isinf, "isfinite": math.isfinite}
BY_HAND = {"cast", "product_error", "sum_error"}  # the errors: test_compensation.py

ELEMENTWISE = [op for op in all_ops() if op.kind == "elementwise" and op.name not in special.NAMES]  # these: test_ops_special


def test_every_elementwise_op_has_a_case() -> None:
    for op in ELEMENTWISE:
        covered = {"float": {*REALS, *BOOLEAN, *PREDICATES}, "int": INTEGER.keys(), "bool": BOOLEAN.keys()}
        for kind in op.dtypes:
            assert op.name in covered[kind] or op.name in BY_HAND, f"{op.name} has no case for {kind}"


def apply(name: str, params: tuple[tuple[str, Any], ...] = ()) -> Builder:
    return lambda *nodes: make(name, nodes, **dict(params))


def arrays_of(case: Real, dtype: Any) -> list[Any]:
    """The points as arrays of a dtype, those left out that it cannot tell from infinity, 0 or 1."""
    with np.errstate(over="ignore"):
        columns = [np.array(p).astype(dtype) for p in case.points]
    fits = np.logical_and.reduce([np.isfinite(c) & (c != 0) & ((abs(c) != 1) | (np.abs(p) == 1))
                                  for c, p in zip(columns, case.points, strict=True)])
    return [c[fits] for c in columns]


def oracle(function: Callable[..., Any], columns: list[Any]) -> Any:
    """The exact results as an object array of mpf."""
    return np.array([function(*(mpf(float(x)) for x in row)) for row in zip(*columns, strict=True)], dtype=object)


def close(got: Any, exact: Any, ulps: float, scale: Any, what: str) -> None:
    """Within so many units of the last place of the result or the scale, where that is a normal number of its dtype."""
    scale = np.broadcast_to(scale, np.shape(got))
    info = np.finfo(got.dtype)
    for k, (g, e) in enumerate(zip(got, exact, strict=True)):
        if abs(e) > mpf(float(info.max)):
            assert np.isinf(g), f"{what}, point {k}: {g}, should overflow"
        else:
            allowed = mpf(float(info.eps)) * ulps * max(abs(e), mpf(scale[k])) + mpf(float(info.smallest_subnormal)) * 4
            allowed = max(allowed, mpf(float(info.tiny)) * 4)
            assert abs(mpf(float(g)) - e) <= allowed, f"{what}, point {k}: {g!r}, exactly {mpmath.nstr(e, 20)}"


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values(dtype: Any) -> None:
    with mp.workdps(DIGITS):
        for name, case in REALS.items():
            columns = arrays_of(case, dtype)
            got = value(apply(name, case.params), *columns)
            assert got.dtype == dtype
            close(got, oracle(case.exact, columns), 40 if "gamma" in name else 6, 0.0, name)


def partial(case: Real, *order: int) -> Callable[..., Any]:
    return lambda *x: mpmath.diff(case.exact, x if len(x) > 1 else x[0], tuple(order) if len(x) > 1 else order[0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_first_derivatives(dtype: Any) -> None:
    """By both modes, for each argument by itself."""
    for name, case in REALS.items():
        with mp.workdps(case.digits):
            columns = arrays_of(case, dtype)
            build, arity = apply(name, case.params), len(columns)
            ones = np.ones_like(columns[0])
            backward = reverse(build, columns, ones)
            for k in range(arity):
                exact = oracle(partial(case, *(int(j == k) for j in range(arity))), columns)
                seeds = [ones if j == k else np.zeros_like(ones) for j in range(arity)]
                ulps = 400 if "gamma" in name else 60 if name in ("erf", "erfc", "erfinv", "pow", "logaddexp") else 12
                for mode, got in (("reverse", backward[k]), ("forward", forward(build, columns, seeds))):
                    got = np.zeros_like(ones) if got is None else got
                    close(got, exact, ulps, case.scale, f"{name}, {mode}, argument {k}")


# Points at which a second derivative of the formula cancels, although the first does not: relative to this.
SECOND_SCALE = dict.fromkeys(("pow", "logaddexp", "arctan2", "hypot", "sigmoid", "softplus", "log_sigmoid", "tanh",
                              "erfinv", "arcsin", "arccos", "arctanh"), 1.0)


def test_second_derivatives() -> None:
    """Every second partial, by forward over reverse and by reverse over reverse."""
    for name, case in REALS.items():
        with mp.workdps(case.digits):
            columns = arrays_of(case, np.float64)
            build, arity = apply(name, case.params), len(columns)
            ones = np.ones_like(columns[0])
            for k in range(arity):
                seeds = [ones if j == k else np.zeros_like(ones) for j in range(arity)]
                rows = [mode(build, columns, ones, seeds) for mode in (forward_over_reverse, reverse_over_reverse)]
                for j in range(arity):
                    order = [int(i == k) + int(i == j) for i in range(arity)]
                    exact = oracle(partial(case, *order), columns)
                    for row in rows:
                        got = np.zeros_like(ones) if row[j] is None else row[j]
                        ulps = 1e4 if "gamma" in name else 200
                        close(got, exact, ulps, SECOND_SCALE.get(name, 0.0), f"{name} {order}")


@pytest.mark.parametrize("name", sorted(n for n in REALS if get(n).not_differentiable == ""))
def test_adjoint(name: str) -> None:
    """<ct, J v> = <J^T ct, v>, to rounding."""
    case = REALS[name]
    columns = arrays_of(case, np.float64)
    ct, *vs = (normal(c.shape) for c in (columns[0], *columns))
    dy = forward(apply(name, case.params), columns, vs)
    dxs = reverse(apply(name, case.params), columns, ct)
    if dy is None:
        assert all(dx is None for dx in dxs)
        return
    left = ct * dy
    right = sum(dx * v for dx, v in zip(dxs, vs, strict=True) if dx is not None)
    scale = sum(abs(dx * v) for dx, v in zip(dxs, vs, strict=True) if dx is not None)
    finite = np.isfinite(left)
    assert np.count_nonzero(finite) >= 6
    np.testing.assert_array_less(abs(left[finite] - right[finite]), 1e-14 * scale[finite] + 1e-300)
    np.testing.assert_array_equal(left[~finite], right[~finite])


def normal(shape: tuple[int, ...]) -> Any:
    return NUMPY.normal(size=shape)


# ---------------------------------------------------------------- integers and truth values
def operands(op: Op, values: Any) -> list[Any]:
    """All pairs (triples) of values, flat."""
    kinds = [np.array([True, False]), values, values] if op.name == "where" else [values] * (op.arity or 1)
    rows = itertools.product(*(kind.tolist() for kind in kinds))
    return [np.array(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8])
def test_integers(dtype: Any) -> None:
    """Python's integers, wrapped to the width."""
    info = np.iinfo(dtype)
    for op in ELEMENTWISE:
        if "int" not in op.dtypes or op.name in BY_HAND:
            continue
        values = np.array([-7, -2, -1, 0, 1, 2, 3, 5, int(info.max), int(info.min)]).astype(dtype)
        if op.name in ("shift_left", "shift_right", "pow"):
            values = np.array([0, 1, 2, 3]).astype(dtype)
        columns = [c if c.dtype == bool else c.astype(dtype) for c in operands(op, values)]
        got = value(apply(op.name), *columns)
        exact = [INTEGER[op.name](*row) for row in zip(*(c.tolist() for c in columns), strict=True)]
        expected = np.array([wrapped(e, info) for e in exact], bool if got.dtype == bool else dtype)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected, err_msg=f"{op.name} {columns}")


def wrapped(number: int, info: Any) -> int:
    width = int(info.max) - int(info.min) + 1
    return (int(number) - int(info.min)) % width + int(info.min)


def test_truth_values() -> None:
    for op in ELEMENTWISE:
        if "bool" in op.dtypes and op.name not in BY_HAND:
            columns = operands(op, np.array([True, False]))
            exact = [BOOLEAN[op.name](*row) for row in zip(*(c.tolist() for c in columns), strict=True)]
            got = value(apply(op.name), *columns)
            assert got.dtype == bool
            assert got.tolist() == exact, op.name


def test_comparisons_and_choices_of_floats() -> None:
    values = np.array([-np.inf, -1.5, -0.0, 0.0, 1.5, np.inf, np.nan])
    for op in ELEMENTWISE:
        if op.name in PREDICATES:
            assert value(apply(op.name), values).tolist() == [PREDICATES[op.name](v) for v in values.tolist()]
        elif op.name in BOOLEAN and "float" in op.dtypes and op.name not in ("maximum", "minimum"):
            columns = operands(op, values)
            exact = [BOOLEAN[op.name](*row) for row in zip(*(c.tolist() for c in columns), strict=True)]
            np.testing.assert_array_equal(value(apply(op.name), *columns), exact, err_msg=op.name)


def test_maximum_and_minimum_hand_nan_on() -> None:
    a, b = (np.array(v) for v in ([np.nan, 1.0, np.nan, np.inf, -np.inf], [1.0, np.nan, np.nan, 2.0, 2.0]))
    np.testing.assert_array_equal(value(f.maximum, a, b), [np.nan, np.nan, np.nan, np.inf, 2.0])
    np.testing.assert_array_equal(value(f.minimum, a, b), [np.nan, np.nan, np.nan, 2.0, -np.inf])


DTYPES = ["float64", "float32", "int64", "int32", "int8", "uint8", "bool"]


def test_casts() -> None:
    """Each of the dtypes to each, against Python's conversions of values that both hold."""
    for source in DTYPES:
        x = np.array([0, 1] if source == "bool" else [0, 1, 2, 100]).astype(source)
        for target in DTYPES:
            got = value(lambda n, target=target: f.cast(n, dtype=target), x)
            assert got.dtype == target
            assert got.tolist() == [bool(v) if target == "bool" else v for v in x.tolist()]
    assert value(lambda n: f.cast(n, dtype="int64"), np.array([-1.7, 1.7])).tolist() == [-1, 1]  # towards zero
    assert value(lambda n: f.cast(n, dtype="bool"), np.array([0.5, np.nan, -0.0])).tolist() == [True, True, False]


def test_a_cast_between_floats_casts_the_derivative() -> None:
    x = np.array([0.1, 2.0], np.float32)
    (dx,) = reverse(lambda n: f.cast(n, dtype="float64"), [x], np.array([1 / 3, 2.0]))
    assert dx.dtype == np.float32
    np.testing.assert_array_equal(dx, np.array([1 / 3, 2.0], np.float32))
    (dx,) = reverse(lambda n: f.cast(f.cast(n, dtype="int64"), dtype="float64"), [np.array([1.5])], np.array([1.0]))
    assert dx is None  # a structural zero


# ---------------------------------------------------------------- kinks and special values
@pytest.mark.parametrize("case", [*SPECIAL, *DEPARTURES], ids=lambda c: f"{c.op}{c.at}")
def test_derivatives_at_special_points(case: Special) -> None:
    arrays = [np.array(x) for x in case.at]
    got = reverse(apply(case.op), arrays, np.array(1.0))
    for g, expected in zip(got, case.partials, strict=True):
        if expected is None or (g is None and expected == 0.0):
            assert g is None
        else:
            np.testing.assert_allclose(g, expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize(("exponent", "slope"), [
    (0.0, None), (1.0, 1.0), (2.0, 0.0), (3.0, 0.0), (0.5, math.inf), (-1.0, -math.inf),
])
def test_a_constant_exponent_at_zero(exponent: float, slope: float | None) -> None:
    (got,) = reverse(lambda x: f.pow(x, exponent), [np.array(0.0)], np.array(1.0))
    assert got is None if slope is None else got == slope


def test_constant_exponents_have_every_order() -> None:
    """x**3 at 0 and at negative x: the exponents 2, 1 and 0 of its derivatives are constants, too."""
    (x,) = inputs_like([np.zeros(3)])
    y = f.pow(x, 3.0)
    ones = f.expand(make("const", shape=(), dtype=x.dtype, value=np.float64(1).tobytes()), shape=x.shape, axes=())
    orders: list[Node | None] = []
    for _ in range(4):
        (y_next,) = jvp([y], {x: ones})
        orders.append(y_next)
        if y_next is None:
            break
        y = y_next
    results = evaluate([x], orders, [np.array([0.0, -2.0, 1.5])])
    for got, expected in zip(results, ([0, 12, 6.75], [0, -12, 9], [6, 6, 6]), strict=False):
        np.testing.assert_array_equal(got, expected)


def test_the_sigmoid_s_slope_is_accurate_in_both_tails() -> None:
    x = np.array([-700.0, -40.0, 40.0, 700.0])
    (slope,) = reverse(f.sigmoid, [x], np.ones(4))
    np.testing.assert_allclose(slope, np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))) ** 2, rtol=1e-14)


# ---------------------------------------------------------------- shapes and layouts
LAYOUTS: list[Callable[[Any], Any]] = [
    lambda a: a.reshape(2, 2, 2), lambda a: a.reshape(4, 2).T, lambda a: np.repeat(a, 2)[::2], lambda a: a[::-1],
    lambda a: a[3], lambda a: a[:0].reshape(2, 0), lambda a: np.broadcast_to(a[3], (3, 4)),
]


def test_shapes_and_layouts() -> None:
    """0-d, empty, strided, reversed, transposed and repeated operands give what contiguous ones do."""
    for op in ELEMENTWISE:
        if op.name not in REALS:
            continue
        case = REALS[op.name]
        build = apply(op.name, case.params)
        columns = [np.array(p[:8]) for p in case.points]
        flat = value(build, *columns)
        for change in LAYOUTS:
            got = value(build, *(change(c) for c in columns))
            with np.errstate(invalid="ignore"):  # NumPy's test subtracts infinities
                np.testing.assert_allclose(got, change(flat), rtol=1e-14, err_msg=op.name)


def test_what_is_not_differentiable_gives_structural_zeros() -> None:
    for op in ELEMENTWISE:
        if op.not_differentiable and "float" in op.dtypes:
            arrays = [np.array(0.5)] * (op.arity or 1)
            nodes = inputs_like(arrays)
            y = make(op, nodes)
            assert jvp([y], {nodes[0]: nodes[0]}) == [None]
            ct = None if y.dtype == bool else y
            assert vjp([y], [ct], nodes) == [None] * len(nodes)
