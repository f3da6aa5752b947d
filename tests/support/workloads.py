"""The programs that speed is judged by, as a user would write them, with arguments of a given size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import erf

F4 = np.float32


def polynomial(a: Any, b: Any) -> Any:
    return np.sum(3 * a**3 - b**2)


def two_numbers(x: Any, y: Any) -> Any:
    return x**2 * y + x * y


def rosenbrock(x: Any) -> Any:
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def logistic(w: Any, b: Any, X: Any, y: Any) -> Any:
    z = X @ w + b
    return np.mean(np.log(1 + np.exp(z)) - y * z)


def perceptron(W1: Any, b1: Any, W2: Any, b2: Any, X: Any, Y: Any) -> Any:
    z = np.tanh(X @ W1 + b1) @ W2 + b2
    m = z - np.max(z, axis=1, keepdims=True)
    return -np.mean(np.sum(Y * (m - np.log(np.sum(np.exp(m), axis=1, keepdims=True))), axis=1))


def black_scholes(S: Any, K: Any, T: Any, r: Any, v: Any) -> Any:
    d1 = (np.log(S / K) + (r + v * v / 2) * T) / (v * np.sqrt(T))
    d2 = d1 - v * np.sqrt(T)
    return np.sum(S * 0.5 * (1 + erf(d1 / np.sqrt(2.0))) - K * np.exp(-r * T) * 0.5 * (1 + erf(d2 / np.sqrt(2.0))))


def lennard_jones(x: Any) -> Any:
    d = x[:, None, :] - x[None, :, :]
    i = np.arange(x.shape[0])
    r2 = np.where(i[:, None] == i[None, :], 1e30, np.sum(d * d, axis=-1))
    s6 = 1.0 / r2**3
    return 0.5 * np.sum(4.0 * (s6 * s6 - s6))


def row_logsumexp(x: Any) -> Any:
    return np.sum(np.log(np.sum(np.exp(x), axis=1)))


def kinematic_chain(q: Any, p0: Any, p1: Any, p2: Any) -> Any:
    x, y, z = 0.3, 0.0, 0.0
    for k in range(19, -1, -1):
        c, s = np.cos(q[k]), np.sin(q[k])
        if k % 3 == 0:
            x, y = c * x - s * y, s * x + c * y
        elif k % 3 == 1:
            y, z = c * y - s * z, s * y + c * z
        else:
            z, x = c * z - s * x, s * z + c * x
        x, z = x + 0.1, z + 0.05
    return (x - p0) ** 2 + (y - p1) ** 2 + (z - p2) ** 2


def softmax_energy(x: Any, A: Any, b: Any) -> Any:
    return np.log(np.sum(np.exp(A @ x + b))) + np.sum(x**2) / 2


def six_variables(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    return np.sum(a * np.exp(-b * c**2) * np.sin(d * e + f) + np.log(1 + a * a) * np.sqrt(b * b + c * c) / (1 + d * d))


def attention(Q: Any, K: Any, V: Any) -> Any:
    s = Q @ K.T / np.sqrt(F4(64.0))
    e = np.exp(s - np.max(s, axis=1, keepdims=True))
    return np.sum((e / np.sum(e, axis=1, keepdims=True)) @ V)


@dataclass(frozen=True)
class Workload:
    """A function, what it is differentiated by, and its arguments for a size n."""

    function: Callable[..., Any]
    wrt: tuple[str, ...]
    arguments: Callable[[np.random.Generator, int], list[Any]]


def _normal(*shapes: Callable[[int], tuple[int, ...]], dtype: Any = np.float64) -> Callable[[np.random.Generator, int], list[Any]]:
    return lambda random, n: [random.normal(size=shape(n)).astype(dtype) for shape in shapes]


def _options(random: np.random.Generator, n: int) -> list[Any]:
    ranges = ((50, 150), (50, 150), (0.1, 2), (0, 0.1), (0.1, 0.5))
    return [random.uniform(low, high, n) for low, high in ranges]


def _classes(random: np.random.Generator, n: int) -> list[Any]:
    made = [random.normal(size=s).astype(F4) for s in ((24, 16), (16,), (16, 10), (10,), (n, 24))]
    return [*made, np.eye(10, dtype=F4)[random.integers(0, 10, n)]]


WORKLOADS = {
    "polynomial": Workload(polynomial, ("a", "b"), _normal(lambda n: (n,), lambda n: (n,))),
    "two numbers": Workload(two_numbers, ("x", "y"), lambda random, n: [1.5 + n, 2.5]),
    "rosenbrock": Workload(rosenbrock, ("x",), _normal(lambda n: (n,))),
    "logistic": Workload(logistic, ("w", "b"), lambda random, n: [random.normal(size=20), 0.1, random.normal(size=(n, 20)),
                                                                   (random.random(n) > 0.5) * 1.0]),
    "perceptron": Workload(perceptron, ("W1", "b1", "W2", "b2"), _classes),
    "black-scholes": Workload(black_scholes, ("S", "K", "T", "r", "v"), _options),
    "lennard-jones": Workload(lennard_jones, ("x",), lambda random, n: [random.uniform(0, 1.2 * n ** (1 / 3), (n, 3))]),
    "row logsumexp": Workload(row_logsumexp, ("x",), _normal(lambda n: (n, 30))),
    "kinematic chain": Workload(kinematic_chain, ("q",), lambda random, n: [random.normal(size=20), 0.1, 0.2, 0.3]),
    "softmax energy": Workload(softmax_energy, ("x",), _normal(lambda n: (12,), lambda n: (n, 12), lambda n: (n,))),
    "six variables": Workload(six_variables, tuple("abcdef"), _normal(*[lambda n: (n,)] * 6)),
    "attention": Workload(attention, ("Q", "K", "V"), _normal(*[lambda n: (n, 8)] * 3, dtype=F4)),
}
