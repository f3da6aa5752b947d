"""W11: the Hessian of `log(sum(exp(Ax + b))) + |x|^2 / 2` by 50 variables; A is 100 x 50."""
import numpy as np
import pytest
from bench_hand import exp, kernel
from bench_harness import Call
from bench_rivals import hessian

from chainrule import grad

pytestmark = pytest.mark.bench


def smooth_maximum(x, A, b):
    return np.log(np.sum(np.exp(A @ x + b))) + np.sum(x**2) / 2


@kernel
def by_hand(x, A, b):
    """I + A^T diag(p) A - (A^T p)(A^T p)^T with p = softmax(Ax + b): the products are BLAS's, which SciPy gives to numba."""
    z = A @ x + b
    largest, norm = z.max(), 0.0
    for r in range(z.size):
        z[r] = exp(z[r] - largest)
        norm += z[r]
    p = z / norm
    weighted = np.empty_like(A)
    for r in range(p.size):
        for j in range(x.size):
            weighted[r, j] = A[r, j] * p[r]
    H, g = weighted.T @ A, p @ A
    for i in range(x.size):
        for j in range(x.size):
            H[i, j] -= g[i] * g[j]
        H[i, i] += 1
    return H


def test_hessian(bench):
    rng = np.random.default_rng(11)
    args = rng.normal(size=50), rng.normal(size=(100, 50)), rng.normal(size=100)
    f = grad(smooth_maximum, wrt=("x",))
    f.hessian(*args)
    bench.compare("W11", "", Call(f.hessian, *args), Call(by_hand, *args), hessian(smooth_maximum, args), figure=44e-6, bound="flops")
