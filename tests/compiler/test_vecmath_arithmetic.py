"""Quotients, remainders and the integer operations of the emitted mathematics, against NumPy and Python."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from vecmath_kernels import evaluate

from chainrule.compiler.vecmath import FUNCTIONS

INTEGERS = tuple(np.dtype(kind) for kind in ("i1", "i2", "i4", "i8"))
every_integer = pytest.mark.parametrize("dtype", INTEGERS, ids=str)
as_in_numpy = [name for name, function in FUNCTIONS.items() if function.on_integers]
as_in_numpy = [name for name in as_in_numpy if name not in ("ipow", "trunc_divide")]
NUMPY = {"abs": np.abs, "imaximum": np.maximum, "iminimum": np.minimum}
NUMPY |= {"shift_left": np.left_shift, "shift_right": np.right_shift}


def integers(dtype: np.dtype, arity: int) -> tuple[np.ndarray, ...]:
    """All combinations of small, middling and extreme values."""
    limits = np.iinfo(dtype)
    values = [*range(-9, 10), 63, 64, 100, limits.min, limits.min + 1, limits.max, limits.max - 1]
    return tuple(np.array(column, dtype) for column in zip(*itertools.product(values, repeat=arity), strict=True))


@pytest.mark.parametrize("name", as_in_numpy)
@every_integer
def test_integers_follow_numpy(name, dtype):
    arguments = integers(dtype, FUNCTIONS[name].arity)
    with np.errstate(all="ignore"):
        expected = (NUMPY.get(name) or getattr(np, name))(*arguments)
    np.testing.assert_array_equal(evaluate(name, *arguments), expected)


@every_integer
def test_trunc_divide_rounds_towards_zero(dtype):
    a, b = integers(dtype, 2)
    limits = np.iinfo(dtype)
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    expected = [0 if y == 0 else (abs(x) // abs(y)) * (1 if (x < 0) == (y < 0) else -1) for x, y in pairs]
    wrapped = [limits.min if value > limits.max else value for value in expected]
    assert evaluate("trunc_divide", a, b).tolist() == wrapped


@every_integer
def test_integer_powers_wrap_like_numpy(dtype):
    base, exponent = integers(dtype, 2)
    natural = exponent >= 0
    with np.errstate(all="ignore"):
        expected = np.power(base[natural], exponent[natural])
    np.testing.assert_array_equal(evaluate("ipow", base[natural], exponent[natural]), expected)


@every_integer
def test_negative_integer_powers_are_truncated_reciprocals(dtype):
    base = np.array([1, -1, -1, 2, -5, 0], dtype)
    exponent = np.array([-3, -3, -4, -1, -2, -1], dtype)
    assert evaluate("ipow", base, exponent).tolist() == [1, -1, 1, 0, 0, 0]


@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_remainders_are_those_of_numpy_to_the_bit(name, dtype):
    rng = np.random.default_rng(7)
    a = (rng.uniform(-1, 1, 20_000) * np.exp(rng.uniform(-40, 80, 20_000))).astype(dtype)
    b = (rng.uniform(-1, 1, 20_000) * np.exp(rng.uniform(-40, 40, 20_000))).astype(dtype)
    near_multiples = (b * rng.integers(1, 1000, b.size)).astype(dtype)
    for numerator in (a, near_multiples, np.nextafter(near_multiples, dtype(0))):
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(numerator, b)
        np.testing.assert_array_equal(evaluate(name, numerator, b), expected)
