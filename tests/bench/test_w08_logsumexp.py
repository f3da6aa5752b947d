"""W8: the sum of row-wise logsumexp, 10,000 x 1,000, and its gradient, the softmax."""
import numpy as np
import pytest
from bench_hand import exp, kernel, output, split
from bench_harness import Call
from bench_rivals import value_and_grad

from chainrule import grad

pytestmark = pytest.mark.bench


def logsumexp(x):
    return np.sum(np.log(np.sum(np.exp(x), axis=1)))


@kernel
def _rows(start, stop, x, g):
    x, g = x[start:stop], g[start:stop]
    total = 0.0
    for i in range(x.shape[0]):
        row, out = x[i], g[i]
        largest = row[0]
        for j in range(row.size):
            largest = max(largest, row[j])
        norm = 0.0
        for j in range(row.size):
            out[j] = exp(row[j] - largest)
            norm += out[j]
        total += largest + np.log(norm)
        scale = 1 / norm
        for j in range(row.size):
            out[j] *= scale
    return total


def by_hand(x):
    g = output(x.shape)
    return sum(split(_rows, len(x), x, g)), g


def test_value_and_gradient(bench):
    x = np.random.default_rng(8).normal(size=(10_000, 1_000))
    f = grad(logsumexp)
    f.value_and_grad(x)
    bench.compare("W8", "", Call(f.value_and_grad, x), Call(by_hand, x), value_and_grad(logsumexp, [x]), figure=9.4e-3)
