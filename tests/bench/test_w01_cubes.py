"""W1: `3 a^3 - b^2`, elementwise: with an external gradient of ones, and summed."""
import numpy as np
import pytest
from bench_hand import kernel, output, split
from bench_harness import Call
from bench_rivals import value_and_grad, vjp

from chainrule import grad

pytestmark = pytest.mark.bench
ONE_THREAD = 30_000


def cubes(a, b):
    return 3 * a**3 - b**2


def summed(a, b):
    return np.sum(3 * a**3 - b**2)


@kernel
def _pull_back(start, stop, a, b, cotangent, ga, gb):
    nine, minus_two = a.dtype.type(9), a.dtype.type(-2)
    a, b, cotangent, ga, gb = a[start:stop], b[start:stop], cotangent[start:stop], ga[start:stop], gb[start:stop]
    for i in range(a.size):
        ga[i] = nine * a[i] * a[i] * cotangent[i]
        gb[i] = minus_two * b[i] * cotangent[i]


@kernel
def _value_and_gradient(start, stop, a, b, ga, gb):
    two, three, nine = a.dtype.type(2), a.dtype.type(3), a.dtype.type(9)
    total = a.dtype.type(0)
    a, b, ga, gb = a[start:stop], b[start:stop], ga[start:stop], gb[start:stop]
    for i in range(a.size):
        square = a[i] * a[i]
        total += three * square * a[i] - b[i] * b[i]
        ga[i] = nine * square
        gb[i] = -two * b[i]
    return total


def pull_back_by_hand(a, b, cotangent):
    if a.size < ONE_THREAD:
        ga, gb = np.empty_like(a), np.empty_like(b)
        _pull_back(0, a.size, a, b, cotangent, ga, gb)
    else:
        ga, gb = output(a.shape, a.dtype), output(b.shape, b.dtype)
        split(_pull_back, a.size, a, b, cotangent, ga, gb)
    return ga, gb


def value_and_gradient_by_hand(a, b):
    if a.size < ONE_THREAD:
        ga, gb = np.empty_like(a), np.empty_like(b)
        return _value_and_gradient(0, a.size, a, b, ga, gb), (ga, gb)
    ga, gb = output(a.shape, a.dtype), output(b.shape, b.dtype)
    return sum(split(_value_and_gradient, a.size, a, b, ga, gb)), (ga, gb)


def vectors(n, dtype):
    rng = np.random.default_rng(1)
    return rng.normal(size=n).astype(dtype), rng.normal(size=n).astype(dtype)


SIZES = [(10, "float64"), (1000, "float64"), (10**6, "float64"), (10**7, "float64"), (10**6, "float32")]
FIGURES = {(1000, "float64"): 2.4e-6, (10**6, "float64"): 0.91e-3, (10**7, "float64"): 11e-3}


def case(form, n, dtype):
    return f"{form}, n = {n:,}" + (", float32" if dtype == "float32" else "")


@pytest.mark.parametrize(("n", "dtype"), SIZES)
def test_external_gradient(bench, n, dtype):
    a, b = vectors(n, dtype)
    ones = np.ones(n, dtype)
    f = grad(cubes)
    f.vjp(a, b, cotangent=ones)
    bench.compare("W1", case("external gradient", n, dtype), Call(f.vjp, a, b, cotangent=ones), Call(pull_back_by_hand, a, b, ones),
                  vjp(cubes, [a, b], ones), figure=FIGURES.get((n, dtype)), tolerance=1e-12 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize(("n", "dtype"), SIZES)
def test_value_and_gradient_of_the_sum(bench, n, dtype):
    a, b = vectors(n, dtype)
    f = grad(summed)
    f.value_and_grad(a, b)
    bench.compare("W1", case("summed", n, dtype), Call(f.value_and_grad, a, b), Call(value_and_gradient_by_hand, a, b),
                  value_and_grad(summed, [a, b]), figure=FIGURES.get((n, dtype)), tolerance=1e-11 if dtype == "float64" else 1e-3)
