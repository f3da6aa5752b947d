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
def _kernel(x, A, b, H):
    """H = I + A^T diag(p) A - (A^T p)(A^T p)^T with p = softmax(Ax + b), four rows of A at a time."""
    rows, columns = A.shape
    p, g = np.empty(rows), np.zeros(columns)
    largest = -np.inf
    for r in range(rows):
        row, z = A[r], 0.0
        for j in range(columns):
            z += row[j] * x[j]
        p[r] = z + b[r]
        largest = max(largest, p[r])
    norm = 0.0
    for r in range(rows):
        p[r] = exp(p[r] - largest)
        norm += p[r]
    for r in range(rows):
        p[r] /= norm
        row = A[r]
        for j in range(columns):
            g[j] += p[r] * row[j]
    for i in range(columns):
        out = H[i]
        for j in range(columns):
            out[j] = -g[i] * g[j]
        out[i] += 1
    fours = rows // 4 * 4
    for r in range(0, fours, 4):
        r0, r1, r2, r3 = A[r], A[r + 1], A[r + 2], A[r + 3]
        for i in range(columns):
            w0, w1, w2, w3 = p[r] * r0[i], p[r + 1] * r1[i], p[r + 2] * r2[i], p[r + 3] * r3[i]
            out = H[i]
            for j in range(columns):
                out[j] += w0 * r0[j] + w1 * r1[j] + w2 * r2[j] + w3 * r3[j]
    for r in range(fours, rows):
        for i in range(columns):
            for j in range(columns):
                H[i, j] += p[r] * A[r, i] * A[r, j]


def by_hand(x, A, b):
    H = np.empty((x.size, x.size))
    _kernel(x, A, b, H)
    return H


def test_hessian(bench):
    rng = np.random.default_rng(11)
    args = rng.normal(size=50), rng.normal(size=(100, 50)), rng.normal(size=100)
    f = grad(smooth_maximum, wrt=("x",))
    f.hessian(*args)
    bench.compare("W11", "", Call(f.hessian, *args), Call(by_hand, *args), hessian(smooth_maximum, args), figure=44e-6, bound="flops")
