"""W14: one step of training by Tensors: forward, `backward()`, SGD, the loss as a number. By hand: the loss as a `@grad` function, the
update in NumPy. The rate is so small that all contenders stay where they are.
"""
import numpy as np
import pytest
from bench_harness import Call
from bench_rivals import torch_and_names

import chainrule
from chainrule import grad

pytestmark = pytest.mark.bench
RATE = 1e-7


def network(torch, W1, b1, W2, b2, X, y):
    linear = torch.nn.functional.linear
    return torch.nn.functional.cross_entropy(linear(torch.tanh(linear(X, W1, b1)), W2, b2), y)


def network_in_numpy(W1, b1, W2, b2, X, Y):
    h = np.tanh(X @ W1.T + b1)
    z = h @ W2.T + b2
    m = z - np.max(z, axis=1, keepdims=True)
    return -np.mean(np.sum(Y * (m - np.log(np.sum(np.exp(m), axis=1, keepdims=True))), axis=1))


def logistic(torch, w, b, X, y):
    return torch.nn.functional.binary_cross_entropy_with_logits(X @ w + b, y)


def logistic_in_numpy(w, b, X, y):
    z = X @ w + b
    return np.mean(np.log(1 + np.exp(z)) - y * z)


def by_tensors(torch, loss, parameters, data, compiled=False):
    """A call that does one step with parameters of its own."""
    given = [torch.tensor(p, requires_grad=True) for p in parameters]
    known = [torch.tensor(d) for d in data]
    optimizer = torch.optim.SGD(given, lr=RATE)

    def value():
        return loss(torch, *given, *known)

    if compiled:
        torch._dynamo.reset()
        value = torch.compile(value, dynamic=False)

    def step():
        optimizer.zero_grad()
        made = value()
        made.backward()
        optimizer.step()
        return made.item()

    return Call(step)


def by_hand(loss, parameters, data, names):
    f = grad(loss, wrt=names)
    given = [p.copy() for p in parameters]
    rate = np.float32(RATE)

    def step():
        value, gradients = f.value_and_grad(*given, *data)
        for p, g in zip(given, gradients, strict=True):
            p -= rate * g
        return value

    for _ in range(2):
        step()
    return Call(step)


def rivals(loss, parameters, data):
    def build(compiled):
        return lambda: by_tensors(torch_and_names()[0], loss, parameters, data, compiled)

    return {"torch": build(False), "torch.compile": build(True)}


def compare(bench, case, loss, parameters, data, hand, bound="flops"):
    ours = by_tensors(chainrule, loss, parameters, data)
    for _ in range(50):  # until it is compiled
        ours.run()
    bench.compare("W14", case, ours, hand, rivals(loss, parameters, data), tolerance=1e-4, bound=bound)


def test_network(bench):
    rng = np.random.default_rng(14)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    scale = np.float32(0.05)
    parameters = normal(256, 784) * scale, np.zeros(256, np.float32), normal(10, 256) * scale, np.zeros(10, np.float32)
    X, y = normal(256, 784), rng.integers(0, 10, 256)
    hand = by_hand(network_in_numpy, parameters, (X, np.eye(10, dtype=np.float32)[y]), ("W1", "b1", "W2", "b2"))
    compare(bench, "network 784-256-10, batch 256", network, parameters, (X, y), hand)


def test_logistic_regression(bench):
    rng = np.random.default_rng(14)
    parameters = np.zeros(10, np.float32), np.zeros(1, np.float32)
    data = rng.normal(size=(1000, 10)).astype(np.float32), (rng.random(1000) > 0.5).astype(np.float32)
    compare(bench, "logistic regression, 1,000 x 10", logistic, parameters, data,
            by_hand(logistic_in_numpy, parameters, data, ("w", "b")))
