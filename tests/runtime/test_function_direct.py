"""Calls that go straight into emitted code, and everything that must not."""
from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from chainrule import grad
from chainrule.compiler.errors import DifferentiationError


def is_direct(function: Any, method: str) -> bool:
    return method in vars(function)


@pytest.fixture
def product() -> Any:
    return grad(lambda x, y: x**2 * y + x * y)


def test_the_second_call_is_direct_and_gives_the_same(product: Any) -> None:
    first = product(2.0, 3.0), product.grad(2.0, 3.0), product.value_and_grad(2.0, 3.0)
    assert is_direct(product, "grad")
    assert is_direct(product, "value_and_grad")
    compiles = product.stats.compiles
    assert (product(2.0, 3.0), product.grad(2.0, 3.0), product.value_and_grad(2.0, 3.0)) == first
    assert first == (18.0, (15.0, 6.0), (18.0, (15.0, 6.0)))
    assert all(type(v) is np.float64 for v in (product(2.0, 3.0), *product.grad(2.0, 3.0)))
    assert product.stats.compiles == compiles
    assert product.stats.cache_hits == 5


def test_what_does_not_match_goes_the_ordinary_way(product: Any) -> None:
    product.grad(2.0, 3.0)
    assert product.grad(np.float32(2), np.float32(3))[0].dtype == np.float32
    assert product.grad(x=2.0, y=3.0) == (15.0, 6.0)
    assert product.grad(2.0, 3.0, wrt="y") == 6.0
    assert product.grad(2.0, 3) == 15.0  # an int is not differentiated
    with pytest.raises(DifferentiationError, match="shape"):
        product.grad(np.ones(2), 3.0)
    with pytest.raises(TypeError):
        product.grad(2.0)


def test_signatures_are_chained() -> None:
    f = grad(lambda x: np.sum(x**3))
    inputs = [np.ones(3), np.ones(3, np.float32), np.ones((2, 2)), 2.0]
    expected = [f.grad(x) for x in inputs]
    before = f.stats.ordinary_hits
    for x, e in zip(inputs, expected, strict=True):
        np.testing.assert_array_equal(f.grad(x), e)
    assert f.stats.ordinary_hits == before


def test_sizes_and_layouts() -> None:
    f = grad(lambda x: np.sum(np.sin(x)))
    f.grad(np.ones((4, 3)))
    rng = np.random.default_rng(0)
    for x in (rng.normal(size=(7, 5)), rng.normal(size=(5, 7)).T, rng.normal(size=(8, 10))[::-2, ::2], np.empty((0, 3)),
              rng.normal(size=(1, 3)), rng.normal(size=(400, 900)), np.asfortranarray(rng.normal(size=(3, 3)))):
        np.testing.assert_allclose(f.grad(x), np.cos(x), rtol=1e-12)


def test_captured_values_are_looked_at_again() -> None:
    factor = 2.0

    @grad
    def scaled(x: Any) -> Any:
        return x * factor

    assert scaled.grad(1.0) == 2.0
    factor = 5.0
    assert scaled.grad(1.0) == 5.0
    assert not is_direct(scaled, "grad")


def test_captured_arrays_are_read_again() -> None:
    weights = np.array([1.0, 2.0])
    dot = grad(lambda x: np.sum(weights * x))
    assert dot.grad(np.ones(2)).tolist() == [1.0, 2.0]
    weights[0] = 7.0
    assert dot.grad(np.ones(2)).tolist() == [7.0, 2.0]


def test_methods_keep_their_instances_apart() -> None:
    class Scaled:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        @grad
        def energy(self, x: Any) -> Any:
            return np.sum(x**2) * self.factor

    x = np.ones(2)
    for _ in range(2):
        assert Scaled(2.0).energy.grad(x).tolist() == [4.0, 4.0]
        assert Scaled(5.0).energy.grad(x).tolist() == [10.0, 10.0]


def test_inside_another_trace_the_function_is_inlined(product: Any) -> None:
    product.grad(2.0, 3.0)
    outer = grad(lambda x: product.grad(x, x)[0])
    assert outer.grad(2.0) == pytest.approx(4 * 2.0 + 1)  # 2xy + y at x = y: 2x^2 + x


def test_a_function_with_direct_calls_is_collected() -> None:
    f = grad(lambda x: x**2)
    f.grad(1.0)
    f.grad(1.0)
    alive = weakref.ref(f)
    del f
    gc.collect()
    assert alive() is None


def test_structures_are_not_direct() -> None:
    f = grad(lambda p: p["a"] ** 2 + p["b"])
    for _ in range(2):
        assert f.grad({"a": 3.0, "b": 1.0}) == {"a": 6.0, "b": 1.0}
    g = grad(lambda x: (x, x**2))
    for _ in range(2):
        assert g(3.0) == (3.0, 9.0)
