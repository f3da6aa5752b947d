"""Arguments in Fortran order and in other orders: results and counts are those of C order, and nothing is met across memory."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule import grad
from chainrule.compiler.entry_spec import hits
from chainrule.compiler.memory_order import LARGE, orders_of

RANDOM = np.random.default_rng(3)


def ordered(array: np.ndarray[Any, Any], order: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The same array with its axes in this order in memory."""
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))


def logsumexp(x: Any) -> Any:
    return np.sum(np.log(np.sum(np.exp(x), axis=1)))


def logistic(x: Any, w: Any) -> Any:
    z = x @ w + np.mean(x)
    return np.mean(np.log(1 + np.exp(z)) - z * np.max(x, axis=1))


def standardised(x: Any) -> Any:
    return np.sum(np.tanh((x - x.mean(axis=0)) / x.std(axis=0)) * np.arange(x.shape[1]))


def pairs(x: Any) -> Any:
    d = np.sum((x[:, None, :] - x[None, :, :]) ** 2, axis=-1)
    return np.sum(np.exp(-d) * (1 + d))


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[int, int]]] = {
    "elements": (lambda x: np.sum(np.exp(x) * np.sin(x)), (90, 70)),
    "logsumexp": (logsumexp, (300, 70)),
    "standardised": (standardised, (331, 19)),
    "pairs": (pairs, (221, 20)),
    "short rows": (lambda x: np.sum(np.sqrt(np.sum(x * x, axis=1) + 1)), (3000, 3)),
    "products": (lambda x: np.sum(np.tanh(x @ x.T) @ x), (83, 61)),
    "extremes": (lambda x: np.sum(np.max(x, axis=0)) * np.min(x) + np.sum(np.cumsum(x, axis=1)[:, -1]), (150, 40)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_gradient_for_all_layouts(name: str) -> None:
    """Fortran order, every second row of it, rows from the last to the first, and C order again: two programs, one trace."""
    function, shape = FUNCTIONS[name]
    compiled = grad(function)
    x = RANDOM.normal(size=shape) * 0.3
    spaced = ordered(np.repeat(x, 2, axis=0), (1, 0))[::2]
    backwards = ordered(x[::-1], (1, 0))[::-1]
    expected = grad(function, stabilise=False).value_and_grad(x)
    for given in (ordered(x, (1, 0)), spaced, backwards, x):
        for _ in range(2):
            value, gradient = compiled.value_and_grad(given)
            np.testing.assert_allclose(value, expected[0], rtol=1e-10)
            np.testing.assert_allclose(gradient, expected[1], rtol=1e-8, atol=1e-10)
            assert gradient.flags.owndata
    assert (compiled.stats.traces, compiled.stats.compiles) == (1, 2)


def test_other_sizes_do_not_compile_again() -> None:
    compiled = grad(logistic)
    for rows, columns in ((200, 30), (1, 4200), (4200, 2), (77, 1000), (1000, 77), (640, 8)):
        x, w = RANDOM.normal(size=(rows, columns)), RANDOM.normal(size=columns)
        value, gradients = compiled.value_and_grad(ordered(x, (1, 0)), w)
        expected = grad(logistic).value_and_grad(x, w)
        np.testing.assert_allclose(value, expected[0], rtol=1e-10)
        for got, want in zip(gradients, expected[1], strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-12)
    assert compiled.stats.compiles == 2  # an axis of size 1 is a signature of its own


def test_results_lie_as_numpy_lays_them() -> None:
    """Elementwise results follow their operands, and gradients; where operands differ, C order."""
    x = RANDOM.normal(size=(20, 30, 40))
    function = grad(lambda x: np.tanh(x) + x.mean(axis=2, keepdims=True))
    squares = grad(lambda x: np.sum(np.exp(x) * np.max(x, axis=1, keepdims=True)))
    expected = squares.grad(x)
    for order in ((0, 1, 2), (2, 1, 0), (0, 2, 1), (1, 0, 2), (2, 0, 1)):
        given = ordered(x, order)
        result, gradient = function(given), squares.grad(given)
        assert result.strides == (np.tanh(given) + 1).strides == gradient.strides
        np.testing.assert_allclose(result, np.tanh(x) + x.mean(axis=2, keepdims=True), rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(gradient, expected, rtol=1e-10)
    both = grad(lambda x, y: x * y)
    y = RANDOM.normal(size=(100, 50))
    assert both(ordered(y, (1, 0)), y).flags.c_contiguous
    assert both(ordered(y, (1, 0)), ordered(y, (1, 0))).flags.f_contiguous
    assert grad(lambda x: np.sum(x) * 2.0).grad(ordered(y, (1, 0))).flags.f_contiguous


def test_small_arrays_share_the_program_of_c_order() -> None:
    """And they go directly, whatever their order; large ones go directly in every order that has been met."""
    function = grad(logsumexp)
    small, large = RANDOM.normal(size=(40, 30)), RANDOM.normal(size=(90, 80))
    assert small.nbytes < LARGE <= large.nbytes
    function.value_and_grad(small)
    function.value_and_grad(ordered(small, (1, 0)))
    assert function.stats.compiles == 1
    function.value_and_grad(ordered(large, (1, 0)))
    assert function.stats.compiles == 2
    before, ordinary = [hits(entry) for entry in function.stats.entries], function.stats.ordinary_hits
    for given in (small, ordered(small, (1, 0)), large, ordered(large, (1, 0)), large[:, ::2], np.broadcast_to(large[:1], (90, 80))):
        function.value_and_grad(given)
    after = [hits(entry) for entry in function.stats.entries]
    assert [b - a for a, b in zip(before, after, strict=True)] == [5, 1]
    assert function.stats.ordinary_hits == ordinary


def test_few_orders_are_compiled_for() -> None:
    function = grad(lambda a, b, c: np.sum(a * b + c))
    x = RANDOM.normal(size=(80, 60))
    f = ordered(x, (1, 0))
    for mask in range(8):
        value = function(*(f if mask >> k & 1 else x for k in range(3)))
        np.testing.assert_allclose(value, np.sum(x * x + x), rtol=1e-12)
    assert function.stats.compiles == 1 + 4


def test_gradients_are_written_into_arrays_of_any_order() -> None:
    function = grad(logsumexp)
    x = ordered(RANDOM.normal(size=(70, 90)), (1, 0))
    expected = function.grad(x)
    for out in (np.empty_like(x), np.empty(x.shape), np.empty((140, 90))[::2]):
        assert function.grad(x, out=out) is out
        np.testing.assert_array_equal(out, expected)


def test_further_arrays_count_too() -> None:
    """The cotangent of a result, and tangents."""
    function = grad(lambda x: np.tanh(x) * x.sum(axis=1, keepdims=True))
    x, ct = RANDOM.normal(size=(2, 80, 60))
    xf, ctf = ordered(x, (1, 0)), ordered(ct, (1, 0))
    expected = function.vjp(x, cotangent=ct), function.jvp(x, ct)
    for _ in range(2):
        pulled, pushed = function.vjp(xf, cotangent=ctf), function.jvp(xf, ctf)
        np.testing.assert_allclose(pulled, expected[0], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(pushed, expected[1], rtol=1e-10, atol=1e-12)
        assert pulled.flags.f_contiguous
        assert pushed.flags.f_contiguous


def test_orders() -> None:
    x = np.zeros((80, 1, 90))
    given = [x, x.transpose(2, 1, 0), x[:, :, ::2], np.broadcast_to(x[:1], x.shape), x.transpose(2, 1, 0)[::-1], x[:10].T, 1.5]
    assert orders_of(given) == ((1, (2, 1, 0)), (4, (2, 1, 0)))
