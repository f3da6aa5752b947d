"""W15: gradients inside a loop that numba compiles, by `loss.jit` and by hand: descents along two numbers, and along an array."""
import numpy as np
import pytest
from bench_hand import kernel
from bench_harness import Call

from chainrule import grad

pytestmark = pytest.mark.bench
STEPS = 1000


def polynomial(x, y):
    return np.exp(-x**2) * y + x * y**2


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2)


@kernel
def polynomial_by_hand(x, y):
    e = np.exp(-x * x)
    return e * y + x * y * y, (y * y - 2 * x * e * y, e + 2 * x * y)


@kernel
def rosenbrock_by_hand(x):
    g = np.zeros_like(x)
    for i in range(x.size - 1):
        r = x[i + 1] - x[i] * x[i]
        g[i + 1] += 200 * r
        g[i] -= 400 * r * x[i] + 2 * (1 - x[i])
    return g


@kernel
def descent_of_numbers(value_and_grad, x, y):
    total = 0.0
    for _ in range(STEPS):
        value, (dx, dy) = value_and_grad(x, y)
        x, y, total = x - 1e-4 * dx, y - 1e-4 * dy, total + value
    return x, y, total


@kernel
def descent_of_arrays(gradient, x):
    for _ in range(STEPS):
        x = x - 1e-5 * gradient(x)
    return x


def test_numbers(bench):
    ours = grad(polynomial).jit.value_and_grad
    bench.compare("W15", "1,000 steps along two floats", Call(descent_of_numbers, ours, 0.5, 1.5),
                  Call(descent_of_numbers, polynomial_by_hand, 0.5, 1.5), {}, bound="flops")


@pytest.mark.parametrize("n", [10, 1000])
def test_arrays(bench, n):
    ours, x = grad(rosenbrock).jit.grad, np.linspace(-1, 1, n)
    bench.compare("W15", f"1,000 steps along an array, n = {n:,}", Call(descent_of_arrays, ours, x),
                  Call(descent_of_arrays, rosenbrock_by_hand, x), {})
