"""W5: a network 784-256-10 with tanh and softmax cross entropy, batch 256, float32: value and gradient by all its weights."""
import numpy as np
import pytest
from bench_hand import expf, kernel, output, split, tanhf
from bench_harness import Call
from bench_rivals import value_and_grad

from chainrule import grad

pytestmark = pytest.mark.bench


def loss(W1, b1, W2, b2, X, Y):
    h = np.tanh(X @ W1 + b1)
    z = h @ W2 + b2
    m = z - np.max(z, axis=1, keepdims=True)
    return -np.mean(np.sum(Y * (m - np.log(np.sum(np.exp(m), axis=1, keepdims=True))), axis=1))


@kernel
def _activate(start, stop, h, b):
    h = h[start:stop]
    for i in range(h.shape[0]):
        row = h[i]
        for j in range(b.size):
            row[j] = tanhf(row[j] + b[j])


@kernel
def _cross_entropy(z, b, Y, gb):
    """Make z its own gradient; returns the mean loss."""
    rows, classes = z.shape
    weight = np.float32(1 / rows)
    total = np.float32(0)
    gb[:] = 0
    for i in range(rows):
        largest, chosen, norm = np.float32(-np.inf), np.float32(0), np.float32(0)
        for j in range(classes):
            z[i, j] += b[j]
            largest = max(largest, z[i, j])
        for j in range(classes):
            chosen += Y[i, j] * (z[i, j] - largest)
            z[i, j] = expf(z[i, j] - largest)
            norm += z[i, j]
        total += np.log(norm) - chosen
        for j in range(classes):
            z[i, j] = (z[i, j] / norm - Y[i, j]) * weight
            gb[j] += z[i, j]
    return total * weight


@kernel
def _through_tanh(start, stop, gh, h):
    """Make gh the gradient before tanh; returns its sum over the rows."""
    gh, h = gh[start:stop], h[start:stop]
    gb = np.zeros(h.shape[1], np.float32)
    for i in range(h.shape[0]):
        row, activation = gh[i], h[i]
        for j in range(gb.size):
            row[j] *= np.float32(1) - activation[j] * activation[j]
            gb[j] += row[j]
    return gb


def by_hand(W1, b1, W2, b2, X, Y):
    rows, hidden = X.shape[0], W1.shape[1]
    h = np.matmul(X, W1, out=output((rows, hidden), np.float32))
    split(_activate, rows, h, b1)
    z = h @ W2
    gb2 = np.empty_like(b2)
    value = _cross_entropy(z, b2, Y, gb2)
    gW2 = h.T @ z
    gh = np.matmul(z, W2.T, out=output((rows, hidden), np.float32))
    gb1 = sum(split(_through_tanh, rows, gh, h))
    gW1 = np.matmul(X.T, gh, out=output(W1.shape, np.float32))
    return value, (gW1, gb1, gW2, gb2)


def test_value_and_gradient(bench):
    rng = np.random.default_rng(5)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    scale = np.float32(0.05)
    args = (normal(784, 256) * scale, np.zeros(256, np.float32), normal(256, 10) * scale, np.zeros(10, np.float32), normal(256, 784),
            np.eye(10, dtype=np.float32)[rng.integers(0, 10, 256)])
    f = grad(loss, wrt=("W1", "b1", "W2", "b2"))
    f.value_and_grad(*args)
    bench.compare("W5", "", Call(f.value_and_grad, *args), Call(by_hand, *args), value_and_grad(loss, args, wrt=range(4)), tolerance=1e-4,
                  figure=1.28e-3, bound="flops")
