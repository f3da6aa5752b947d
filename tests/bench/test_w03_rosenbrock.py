"""W3: the Rosenbrock function of n variables."""
import numpy as np
import pytest
from bench_hand import kernel, output, split
from bench_harness import Call
from bench_rivals import value_and_grad

from chainrule import grad

pytestmark = pytest.mark.bench
FIGURES = {10**4: 3.7e-6, 10**6: 0.46e-3}


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@kernel
def _part(start, stop, x, g):
    """Elements start..stop of the gradient, without the two ends, and their terms of the sum."""
    before, here, after, g = x[start : stop], x[start + 1 : stop + 1], x[start + 2 : stop + 2], g[start + 1 : stop + 1]
    total = 0.0
    for i in range(g.size):
        t, s, u = after[i] - here[i] * here[i], here[i] - before[i] * before[i], 1 - here[i]
        total += 100 * t * t + u * u
        g[i] = 200 * s - 400 * here[i] * t - 2 * u
    return total


@kernel
def _ends(x, g):
    n = x.size
    t, u = x[1] - x[0] * x[0], 1 - x[0]
    g[0] = -400 * x[0] * t - 2 * u
    g[n - 1] = 200 * (x[n - 1] - x[n - 2] * x[n - 2])
    return 100 * t * t + u * u


@kernel
def _whole(x, g):
    return _ends(x, g) + _part(0, x.size - 2, x, g)


def by_hand(x):
    if x.size < 50_000:
        g = np.empty_like(x)
        return _whole(x, g), g
    g = output(x.size)
    return _ends(x, g) + sum(split(_part, x.size - 2, x, g)), g


@pytest.mark.parametrize("n", [2, 100, 10**4, 10**5, 10**6])
def test_value_and_gradient(bench, n):
    x = np.random.default_rng(3).normal(size=n)
    f = grad(rosenbrock)
    f.value_and_grad(x)
    bench.compare("W3", f"n = {n:,}", Call(f.value_and_grad, x), Call(by_hand, x), value_and_grad(rosenbrock, [x]),
                  figure=FIGURES.get(n), bound="flops" if n < 10**5 else "bandwidth")
