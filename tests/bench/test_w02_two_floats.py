"""W2: `x^2 y + x y` of two floats, one call at a time: as a function, and as Tensors with `backward()`."""
import numpy as np
import pytest
from bench_hand import kernel
from bench_harness import HAND, Call
from bench_rivals import casadi_calls, value_and_grad

import chainrule
from chainrule import grad

pytestmark = pytest.mark.bench
X, Y = 1.5, 2.5


def polynomial(x, y):
    return x**2 * y + x * y


@kernel
def by_hand(x, y):
    return x * x * y + x * y, 2 * x * y + y, x * x + x


def test_floats(bench):
    f = grad(polynomial)
    f.value_and_grad(X, Y)
    rivals = value_and_grad(polynomial, [X, Y]) | casadi_calls(polynomial, [X, Y], wrt=[0, 1])
    bench.compare("W2", "value and gradient", Call(f.value_and_grad, X, Y), Call(by_hand, X, Y), rivals, figure=0.13e-6, bound="flops",
                  aside=("CasADi, fixed buffers",))


def backward(x, y):
    x.grad = y.grad = None
    z = x**2 * y + x * y
    z.backward()
    return z, x.grad, y.grad


def test_tensors(bench):
    ours = [chainrule.tensor(value, dtype=chainrule.float64, requires_grad=True) for value in (X, Y)]

    def with_torch():
        torch = pytest.importorskip("torch")
        return Call(backward, *(torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (X, Y)))

    bench.compare("W2", "Tensors, backward()", Call(backward, *ours), Call(by_hand, X, Y), {"torch": with_torch}, aside=(HAND,))


def test_tensors_of_many_elements(bench):
    x, y = np.random.default_rng(2).normal(size=(2, 1000))
    ours = [chainrule.tensor(value, requires_grad=True) for value in (x, y)]

    def summed(x, y):
        x.grad = y.grad = None
        z = (x**2 * y + x * y).sum()
        z.backward()
        return z, x.grad, y.grad

    def with_torch():
        torch = pytest.importorskip("torch")
        return Call(summed, *(torch.tensor(value, requires_grad=True) for value in (x, y)))

    bench.compare("W2", "Tensors, backward(), n = 1,000", Call(summed, *ours), Call(summed_by_hand, x, y), {"torch": with_torch},
                  aside=(HAND,))


@kernel
def _summed(x, y, gx, gy):
    total = 0.0
    for i in range(x.size):
        total += x[i] * x[i] * y[i] + x[i] * y[i]
        gx[i] = 2 * x[i] * y[i] + y[i]
        gy[i] = x[i] * x[i] + x[i]
    return total


def summed_by_hand(x, y):
    gx, gy = np.empty_like(x), np.empty_like(y)
    return _summed(x, y, gx, gy), gx, gy
