"""Pictures: what is drawn, and what is said when it cannot be."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture
def wave() -> Any:
    return cr.grad(lambda x, k, phase=0.0: np.sin(k * x + phase) * np.exp(-x))


def test_the_function_and_its_derivatives_are_drawn(wave: Any) -> None:
    axes = wave.plot("x", 0.0, 3.0, orders=2, points=50, k=2.0)
    value, first, second, _ = axes.lines
    x = value.get_xdata()
    np.testing.assert_allclose(x, np.linspace(0, 3, 50))
    np.testing.assert_allclose(value.get_ydata(), np.sin(2 * x) * np.exp(-x), rtol=1e-12)
    np.testing.assert_allclose(first.get_ydata(), (2 * np.cos(2 * x) - np.sin(2 * x)) * np.exp(-x), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(second.get_ydata(), (-3 * np.sin(2 * x) - 4 * np.cos(2 * x)) * np.exp(-x), rtol=1e-10, atol=1e-14)
    assert axes.get_xlabel() == "x"
    assert len(axes.get_legend().get_texts()) == 3


def test_given_axes_are_drawn_into(wave: Any) -> None:
    import matplotlib.pyplot as plt

    axes = plt.subplots()[1]
    assert wave.plot("k", 0.0, 1.0, ax=axes, x=0.5) is axes
    assert cr.parse("3*0 + 2 + 0*x").plot("x", 0.0, 1.0, orders=0).lines[0].get_ydata()[0] == 2.0
    plt.close("all")


@pytest.mark.parametrize(("call", "message"), [
    (lambda f: f.plot("z", 0.0, 1.0, k=1.0), "no argument 'z'.*; it has x, k, phase"),
    (lambda f: f.plot("x", 0.0, 1.0, k=1.0, q=2.0), "no argument 'q'"),
    (lambda f: f.plot("x", 0.0, 1.0), r"a number for k is needed.*k=\.\.\."),
    (lambda f: f.plot("x", 1.0, 0.0, k=1.0), "a range from left to right"),
    (lambda f: f.plot("x", 0.0, 1.0, k=1.0, orders=9), "at most 4 derivatives"),
])
def test_errors(wave: Any, call: Any, message: str) -> None:
    with pytest.raises(cr.ArgumentError, match=message):
        call(wave)
