"""Every ufunc of the table against NumPy or SciPy: values and dtypes, for all pairs of dtypes, weak Python numbers among them."""

from __future__ import annotations

import itertools
import operator

import numpy as np
import pytest
import scipy.special
from tracing import results, traced

from chainrule.compiler.errors import ChainruleError, DTypeError, TraceError
from chainrule.compiler.trace.ufunc_table import UFUNCS

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "float16", "float32", "float64"]
PRODUCTS = ("matmul", "vecdot", "matvec", "vecmat")
WHOLE = ("kn", "yn", "expn")  # SciPy warns of orders that are none
UNARY_REAL = [n for n in UFUNCS if getattr(np, n, getattr(scipy.special, n, None)) is not None]
PROBES = np.array([-2.5, -1.0, -0.75, -0.0, 0.0, 0.25, 0.5, 1.0, 3.0, np.inf, -np.inf, np.nan])


def ufunc(name):
    found = getattr(np, name, None)
    return found if found is not None else getattr(scipy.special, name, getattr(scipy.special._ufuncs, name, None))


def operands(name, dtype, count):
    """Small values that every dtype has, as many arrays as the ufunc takes."""
    base = [np.array([1, 2, 3, 1]), np.array([2, 1, 3, 1]), np.array([3, 3, 1, 2]), np.array([0, 1, 0, 0])]
    return [b.astype(dtype) for b in base[:count]]


def outcome(function, *arguments):
    try:
        with np.errstate(all="ignore"):
            made = function(*arguments)
    except (TypeError, ValueError, OverflowError) as error:
        return error
    return list(made) if isinstance(made, tuple) else [made]


def check(function, arguments, rtol=None):
    """Our results equal NumPy's, or both refuse."""
    expected = outcome(function, *arguments)
    try:
        actual = results(function, *arguments)
    except (ChainruleError, OverflowError) as error:
        actual = error
    if isinstance(expected, Exception):
        assert isinstance(actual, Exception), f"NumPy refuses: {expected}"
        return
    if any(np.asarray(e).dtype.kind not in "fiub" or np.asarray(e).dtype.itemsize > 8 for e in expected):
        assert isinstance(actual, DTypeError)
        return
    assert not isinstance(actual, Exception), actual
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.dtype == np.asarray(theirs).dtype
        tolerance = rtol or {2: 4e-3, 4: 2e-5}.get(ours.dtype.itemsize, 1e-11) if ours.dtype.kind == "f" else 0
        np.testing.assert_allclose(ours.astype(float), np.asarray(theirs).astype(float), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_dtype(name, dtype):
    function = ufunc(name)
    if isinstance(function, np.ufunc):
        check(function, operands(name, dtype, function.nin))


@pytest.mark.parametrize(
    "name", ["add", "multiply", "divide", "floor_divide", "power", "maximum", "less", "logical_and", "arctan2", "copysign"]
)
def test_pairs_of_dtypes(name):
    for left, right in itertools.product(DTYPES, DTYPES):
        a, b = np.array([1, 2, 3]).astype(left), np.array([2, 1, 3]).astype(right)
        check(ufunc(name), [a, b])


OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
    operator.lt,
    operator.eq,
    divmod,
]


@pytest.mark.parametrize("function", OPERATORS, ids=lambda f: f.__name__)
def test_python_numbers_are_weak(function):
    for dtype, number in itertools.product(DTYPES, (2, 0.5, True, 200, np.float32(1.5), np.int16(3), np.float64(2.5))):
        a = np.array([1, 2, 3]).astype(dtype)
        check(lambda x, n=number: function(x, n), [a])
        check(lambda x, n=number: function(n, x), [a])


@pytest.mark.parametrize("function", OPERATORS, ids=lambda f: f.__name__)
def test_float_arguments_are_weak(function):
    for dtype in DTYPES:
        a = np.array([1, 2, 3]).astype(dtype)
        check(function, [a, 0.5])
        check(function, [0.5, a])
        check(lambda x, y: function(function(y, 2.0), x), [a, 1.5])


def test_numbers_made_of_float_arguments_stay_weak_and_functions_make_them_float64():
    x = np.ones(2, np.float32)
    assert results(lambda x, s: x * (2 * s + 1), x, 0.5)[0].dtype == np.float32
    assert results(lambda x, s: x * np.exp(s), x, 0.5)[0].dtype == (x * np.exp(0.5)).dtype
    assert results(lambda x, s: np.where(x > 0, x, s), x, 0.5)[0].dtype == np.float32


@pytest.mark.parametrize(
    "name",
    [n for n in UFUNCS if n not in ("ldexp", "left_shift", "right_shift", "bitwise_and", "bitwise_or", "bitwise_xor", "invert", *WHOLE)]
)
def test_special_points(name):
    """Zeros of both signs, infinities, nan, and points on both sides."""
    function = ufunc(name)
    if not isinstance(function, np.ufunc):
        pytest.skip("this SciPy has no such ufunc")
    if function.nin == 3:
        arguments = [PROBES, np.full_like(PROBES, -1.0), np.full_like(PROBES, 1.0)]
    elif function.nin == 2:
        grid = [(a, b) for a in PROBES for b in PROBES]
        arguments = [np.array([g[k] for g in grid]) for k in range(2)]
    else:
        arguments = [PROBES]
    if name in POSITIVE_ONLY:
        arguments = [np.abs(a[np.isfinite(arguments).all(axis=0)]) + 0.5 for a in arguments]
    with np.errstate(all="ignore"):
        expected = outcome(function, *arguments)
    if isinstance(expected, Exception):
        pytest.skip("not defined for floats")
    for ours, theirs in zip(results(function, *arguments), expected, strict=True):
        finite = np.isfinite(theirs) if theirs.dtype.kind == "f" else np.ones(theirs.shape, bool)
        np.testing.assert_allclose(ours[finite], theirs[finite], rtol=1e-10, atol=1e-13)
        if name not in UNDEFINED_ELSEWHERE:
            np.testing.assert_array_equal(ours[~finite], theirs[~finite])


# at poles and infinities SciPy's choice between inf and nan follows its algorithm, not a limit
POSITIVE_ONLY = {"betaln", "beta"}
UNDEFINED_ELSEWHERE = {
    "logaddexp2",
    "gamma",
    "rgamma",
    "betaln",
    "beta",
    "huber",
    "pseudo_huber",
    "boxcox",
    "exprel",
    "kl_div",
    "rel_entr",
    "loggamma",
    "xlogy",
    "xlog1py",
}


def test_shifts_and_bits():
    a, b = np.array([5, -3, 12]), np.array([1, 2, 3])
    for function in (np.left_shift, np.right_shift, np.bitwise_and, np.bitwise_or, np.bitwise_xor):
        check(function, [a, b])
    check(np.invert, [a])
    check(np.invert, [a > 0])
    check(np.ldexp, [np.array([0.5, 3.0, -1.0]), b])


def test_out_where_and_dtype_of_a_ufunc():
    x = np.array([1.0, -2.0, 3.0])

    def program(x):
        out = np.zeros_like(x)
        np.add(x, 1, out=out, where=x > 0)
        np.multiply(out, 2, out)
        return out, np.add(x, 1, dtype=np.float32)

    check(lambda x: tuple(program(x)), [x])


def test_casting_into_out_is_refused_as_numpy_refuses_it():
    def program(x):
        out = np.zeros_like(x, dtype=int)
        np.add(x, 1, out=out)
        return out

    with pytest.raises(DTypeError, match=r"Cannot cast np\.add output from .*float64.* to .*int64.* with casting rule 'same_kind'"):
        traced(program, np.ones(2))


@pytest.mark.parametrize("name", ["nextafter", "spacing", "frexp", "gcd"])
def test_a_ufunc_without_a_rule_is_named(name):
    function = getattr(np, name)
    arguments = [np.array([2, 4]) if name == "gcd" else np.ones(2)] * function.nin
    with pytest.raises(TraceError, match=rf"np\.{name} cannot be traced \(at test_trace_ufuncs.py:\d+\): "):
        traced(lambda *xs: function(*xs), *arguments)
