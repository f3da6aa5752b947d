"""W4: mean loss of a logistic regression on 100,000 x 100, and its gradient by the weights and the intercept."""
import numpy as np
import pytest
from bench_hand import exp, kernel, log1p, split
from bench_harness import Call
from bench_rivals import value_and_grad

from chainrule import grad

pytestmark = pytest.mark.bench


def loss(w, b, X, y):
    z = X @ w + b
    return np.mean(np.log(1 + np.exp(z)) - y * z)


@kernel
def _rows(start, stop, w, b, X, y, weight, gw):
    """One pass over the rows, in blocks that stay in cache. Adds to `gw`; returns the sum of losses and of residuals."""
    X, y = X[start:stop], y[start:stop]
    rows, columns = X.shape
    r = np.empty(64)
    total, gb = 0.0, 0.0
    for first in range(0, rows, 64):
        block, labels = X[first : first + 64], y[first : first + 64]
        for i in range(labels.size):
            row, z = block[i], 0.0
            for j in range(columns):
                z += row[j] * w[j]
            r[i] = z + b
        for i in range(labels.size):
            z = r[i]
            e = exp(-abs(z))
            total += max(z, 0.0) + log1p(e) - labels[i] * z
            r[i] = ((1.0 if z >= 0 else e) / (1 + e) - labels[i]) * weight
            gb += r[i]
        fours = labels.size // 4 * 4
        for i in range(0, fours, 4):
            a, b2, c, d = block[i], block[i + 1], block[i + 2], block[i + 3]
            ra, rb, rc, rd = r[i], r[i + 1], r[i + 2], r[i + 3]
            for j in range(columns):
                gw[j] += ra * a[j] + rb * b2[j] + rc * c[j] + rd * d[j]
        for i in range(fours, labels.size):
            for j in range(columns):
                gw[j] += r[i] * block[i, j]
    return total * weight, gb


@kernel
def _part(start, stop, w, b, X, y, weight):
    gw = np.zeros(w.size)
    total, gb = _rows(start, stop, w, b, X, y, weight, gw)
    return total, gw, gb


def by_hand(w, b, X, y):
    totals, gws, gbs = zip(*split(_part, len(y), w, b, X, y, 1 / len(y)), strict=True)
    return sum(totals), (sum(gws), sum(gbs))


def test_value_and_gradient(bench):
    rng = np.random.default_rng(4)
    args = rng.normal(size=100) * 0.1, 0.1, rng.normal(size=(100_000, 100)), (rng.random(100_000) > 0.5).astype(float)
    f = grad(loss, wrt=("w", "b"))
    f.value_and_grad(*args)
    bench.compare("W4", "", Call(f.value_and_grad, *args), Call(by_hand, *args), value_and_grad(loss, args, wrt=[0, 1]), figure=3.8e-3)
