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
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["<lambda>", "d <lambda> / d x", "d$^2$ <lambda> / d x$^2$"]
    axes.figure.canvas.draw()  # the labels can be set


def test_given_axes_are_drawn_into(wave: Any) -> None:
    import matplotlib.pyplot as plt

    axes = plt.subplots()[1]
    assert wave.plot("k", 0.0, 1.0, ax=axes, x=0.5) is axes
    assert cr.parse("3*0 + 2 + 0*x").plot("x", 0.0, 1.0, orders=0).lines[0].get_ydata()[0] == 2.0
    plt.close("all")


@pytest.mark.parametrize(("call", "message"), [
    (lambda f: f.plot("z", 0.0, 1.0, k=1.0), "no argument 'z'.*; it has x, k, phase"),
    (lambda f: f.plot("x", 0.0, 1.0, k=1.0, q=2.0), "no argument 'q'"),
    (lambda f: f.plot("x", 0.0, 1.0), r"a value for k is needed.*k=\.\.\."),
    (lambda f: f.plot("x", 1.0, 0.0, k=1.0), "a range from left to right"),
    (lambda f: f.plot("x", 0.0, 1.0, k=1.0, orders=9), "at most 4 derivatives"),
    (lambda f: f.plot("x", 0.0, np.inf, k=1.0), "a range from left to right"),
    (lambda f: f.plot("x", 0.0, 1.0, k=1.0, points=1), "at least two points"),
    (lambda f: f.plot("x", 0.0, 1.0, k=1.0, log=True), "positive numbers only"),
    (lambda f: cr.grad(lambda x: (x, f(x, 1.0))).plot("x", 0.0, 1.0), "gives tuple at a point"),
    (lambda f: f.plot("x", 0.0, 1.0, k=np.ones(3)), r"gives an array of shape \(3,\) at a point"),
    (lambda f: f.plot("x", 0.0, 1.0, sliders={"k": (1.0, 0.0)}), "a range from left to right is expected, of an argument other than x"),
    (lambda f: f.plot("x", 0.0, 1.0, k=1.0, sliders={"x": (0.0, 1.0)}), "of an argument other than x"),
    (lambda f: f.plot("x", 0.0, 1.0, k=1.0, sliders={"q": (0.0, 1.0)}), "no argument 'q'"),
    (lambda f: f.plot("x", 0.0, 1.0, sliders={"phase": (0.0, 1.0)}), "a value for k is needed"),
    (lambda f: f.plot("x", 0.0, 1.0, ax=object(), sliders={"k": (0.0, 1.0)}), "give plot\\(\\) sliders or ax"),
])
def test_errors(wave: Any, call: Any, message: str) -> None:
    with pytest.raises(cr.ArgumentError, match=message):
        call(wave)


def test_each_point_is_a_call_of_its_own() -> None:
    weighted = cr.grad(lambda x, w: np.sum(np.tanh(w * x)) + np.zeros(3).sum())
    w = np.array([1.0, 2.0])
    value, slope, _ = weighted.plot("x", 0.1, 10.0, points=5, log=True, w=w).lines
    x = np.geomspace(0.1, 10.0, 5)
    np.testing.assert_allclose(value.get_xdata(), x)
    np.testing.assert_allclose(value.get_ydata(), np.tanh(np.outer(x, w)).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(slope.get_ydata(), (w / np.cosh(np.outer(x, w)) ** 2).sum(axis=1), rtol=1e-9)
    assert value.axes.get_xscale() == "log"


@pytest.mark.parametrize(("function", "ends", "low", "high"), [
    (lambda x: 1 / x, (-1.0, 1.0), -300, 200), (lambda x: np.tan(x), (-5.0, 5.0), -200, 200), (lambda x: np.log(x), (-1.0, 5.0), -40, 40),
    (lambda x: np.exp(-100 * x * x), (-5.0, 5.0), None, None), (lambda x: np.maximum(x, 0), (-1.0, 1.0), None, None),
])
def test_poles_leave_the_rest_in_the_picture(function: Any, ends: tuple[float, float], low: Any, high: Any) -> None:
    axes = cr.grad(function).plot("x", *ends)
    bottom, top = axes.get_ylim()
    values = np.concatenate([line.get_ydata() for line in axes.lines[:2]])
    if low is None:
        assert bottom <= np.nanmin(values)
        assert np.nanmax(values) <= top
    else:
        assert low < bottom < top < high
        y = axes.lines[0].get_ydata()
        assert not np.any((y[1:] * y[:-1] < 0) & (np.abs(np.diff(y)) > top - bottom))  # no line through a pole


def test_sliders_move_the_curves_and_compile_once() -> None:
    pytest.importorskip("ipywidgets")
    counted = []

    def shape(x: Any, k: Any, phase: Any = 0.5) -> Any:
        counted.append(1)  # runs only when it is traced
        return np.sin(k * x + phase)

    widget = cr.grad(shape).plot("x", 0.0, 3.0, points=20, sliders={"k": (0.0, 4.0), "phase": (-1.0, 1.0)})
    k, phase, picture = widget.children
    assert (k.description, k.min, k.max, k.value) == ("k", 0.0, 4.0, 2.0)
    assert (phase.description, phase.value) == ("phase", 0.5)
    drawn, traced = [bytes(picture.value)], len(counted)
    for k.value in (3.0, 1.0):
        drawn.append(bytes(picture.value))
    assert len(set(drawn)) == 3
    assert all(png.startswith(b"\x89PNG") for png in drawn)
    assert len(counted) == traced
    k.value = 2.0
    assert picture.value == drawn[0]


def test_sliders_start_where_they_are_told() -> None:
    pytest.importorskip("ipywidgets")
    widget = cr.grad(lambda x, k, a=0: a * x * k).plot("x", 0.0, 1.0, orders=0, points=5, k=1.5, sliders={"k": (0.0, 2.0), "a": (1.0, 2.0)})
    assert [slider.value for slider in widget.children[:2]] == [1.5, 1.0]  # a's default is outside of its range
