"""Scalar formulas from public collections: value and every partial derivative against mpmath at 50 digits.

Sources: symbolic-regression benchmarks (Keijzer, Korns, Nguyen, Livermore, Vladislavleva), ODE benchmarks (Strogatz), FPBench, Herbie.
"""

from __future__ import annotations

import types

import mpmath
import numpy as np
import pytest
import scipy.special as special

from chainrule import grad

FORMULAS = [
    ("0.3 * x * np.sin(2 * np.pi * x)", {"x": 0.7}),
    ("x ** 3 * np.exp(-x) * np.cos(x) * np.sin(x) * (np.sin(x) ** 2 * np.cos(x) - 1)", {"x": 1.3}),
    ("30 * a * c / ((a - 10) * b ** 2)", {"a": 0.4, "b": 0.6, "c": 1.5}),
    ("np.log(x + np.sqrt(x ** 2 + 1))", {"x": 2.5}),
    ("x * y + np.sin((x - 1) * (y - 1))", {"x": 1.2, "y": -0.4}),
    ("8 / (2 + x ** 2 + y ** 2)", {"x": 0.3, "y": 1.7}),
    ("np.sqrt(np.abs(a)) / np.log(np.abs(b)) * (np.exp(c) / d ** 2)", {"a": 2.0, "b": 3.5, "c": 0.2, "d": 1.1}),
    ("2.1380940889 * (1 - np.exp(-0.54723748542 * x))", {"x": -1.4}),
    ("x ** 5 / y ** 3", {"x": 0.9, "y": 0.4}),
    ("np.sin(x) + np.sin(x + x ** 2)", {"x": -0.8}),
    ("2.7 * x ** y", {"x": 0.8, "y": 0.3}),
    ("x ** 0.426", {"x": 2.2}),
    ("x ** (2 / 3)", {"x": 3.1}),
    ("np.log(x ** 2 + x) + np.log(x ** 3 + x)", {"x": 0.6}),
    ("1 / (1 + x ** (-4)) + 1 / (1 + y ** (-4))", {"x": 1.4, "y": 0.7}),
    ("(x ** 6 + x ** 5) / (x ** 4 + x ** 3 + x ** 2 + x + 1)", {"x": -0.6}),
    ("np.exp(-((x - 1) ** 2)) / (1.2 + (y - 2.5) ** 2)", {"x": 0.4, "y": 1.1}),
    ("c0 * x0 * (1 - x0 / c1) - x0 ** 2 / (1 + x0 ** 2)", {"x0": 5.0, "c0": 0.4, "c1": 95.0}),
    ("1 / np.tan(y) * np.cos(x)", {"x": 1.5, "y": 0.9}),
    ("np.sin(x) * (np.cos(y) ** 2 + c * np.sin(y) ** 2)", {"x": 1.2, "y": 0.4, "c": 4.2}),
    ("c0 + c1 * x ** 5 / (c2 + x ** 5) - c3 * x", {"x": 3.3, "c0": 1.3, "c1": 0.4, "c2": 110.0, "c3": 0.9}),
    ("e * (np.exp((a + b) * e) - 1) / ((np.exp(a * e) - 1) * (np.exp(b * e) - 1))", {"a": 0.8, "b": 1.1, "e": 0.5}),
    ("1 / x - 1 / np.tan(x)", {"x": 1.2}),
    ("6 * v - 0.5 * v * (w * w * r * r) / (1 - v) - 2.5", {"v": -2.0, "w": 0.6, "r": 5.0}),
    ("(x + 1) ** (1 / 3) - x ** (1 / 3)", {"x": 1.9}),
    (
        "np.arctan(np.cos(b) * np.sin(d - c) / (np.cos(a) * np.sin(b) - np.sin(a) * np.cos(b) * np.cos(d - c)))",
        {"a": 0.2, "b": 0.8, "c": 1.5, "d": -1.0},
    ),
    ("np.sqrt((a + d) ** 2 + (b - c) ** 2) - np.sqrt((a - d) ** 2 + (b + c) ** 2)", {"a": 1.0, "b": 2.0, "c": 0.5, "d": 0.7}),
    ("np.log(1 - x) / np.log(1 + x)", {"x": 0.3}),
    ("2 / (t ** 3 / (l * l) * np.sin(k) * np.tan(k) * (1 + (k / t) ** 2 + 1))", {"t": 1.1, "l": 0.6, "k": 0.9}),
    ("n * np.log(np.abs(np.sinh(a * b * c)))", {"n": 1.4, "a": 0.8, "b": 0.9, "c": 1.1}),
    ("x + y * z * (np.tanh(t / y) - np.tanh(x / y))", {"x": 0.5, "y": 1.6, "z": 0.7, "t": 1.2}),
    (
        "np.arcsin((one_es * (ca * np.sin(p)) - sa * (np.cos(p) * np.sin(t))) / np.sqrt(1.0 - es * (np.sin(p) * np.sin(p))))",
        {"p": 0.8, "es": 0.006, "one_es": 0.99, "ca": 0.5, "sa": 0.4, "t": 1.3},
    ),
    ("np.exp(-(s * u / v)) * (c * d / v) / (np.sinh(1 / v) * 2 * v)", {"s": 0.3, "u": -0.5, "v": 1.2, "c": 0.6, "d": 0.8}),
    ("2 / (np.exp(x) + np.exp(-x))", {"x": 1.4}),
    ("2.0 * (np.arctan(x) - np.pi / 4.0)", {"x": 1.9}),
    ("x - np.log(1.0 - y + y * np.exp(z)) / t", {"x": 0.9, "y": 0.4, "z": 1.3, "t": 2.0}),
    ("np.log(1 + np.exp(x))", {"x": 45.0}),
    ("np.log(np.exp(x) + np.exp(y))", {"x": -3.0, "y": 2.0}),
    ("np.arccos((1 - 5 * (v * v)) / (v * v - 1))", {"v": 0.3}),
    ("10 ** (0.34 * ((h - 526.8) / 292.9) ** 3 - 0.59 * ((h - 526.8) / 292.9) ** 2 - 0.5)", {"h": 500.0}),
    ("np.cosh(x) / (1 + np.arctanh(y) ** 2) + np.arcsinh(x * y) - np.arccosh(1 + x)", {"x": 0.7, "y": 0.4}),
    ("np.expm1(x) * np.log1p(y) + np.cbrt(x * y) + np.hypot(x, y)", {"x": 0.6, "y": 1.3}),
    ("np.exp2(x) + np.log2(y) + np.log10(x * y) + np.arctan2(x, y)", {"x": 0.6, "y": 1.3}),
]

PRECISE = types.SimpleNamespace(
    **{
        name: getattr(mpmath, name)
        for name in ("exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "expm1", "log1p", "cbrt", "hypot", "pi", "log10")
    },
    arcsin=mpmath.asin,
    arccos=mpmath.acos,
    arctan=mpmath.atan,
    arcsinh=mpmath.asinh,
    arccosh=mpmath.acosh,
    arctanh=mpmath.atanh,
    arctan2=mpmath.atan2,
    exp2=lambda x: mpmath.mpf(2) ** x,
    log2=lambda x: mpmath.log(x, 2),
    abs=abs,
)


def function_of(source, names, space):
    return eval(f"lambda {', '.join(names)}: {source}", {"np": space})


@pytest.mark.parametrize(("source", "point"), FORMULAS, ids=[f[0] for f in FORMULAS])
def test_value_and_partial_derivatives(source, point, monkeypatch):
    monkeypatch.setenv("CHAINRULE_TIER", "interpret")
    names, at = tuple(point), tuple(point.values())
    value, gradients = grad(wrt=names)(function_of(source, names, np)).value_and_grad(*at)
    gradients = gradients if len(names) > 1 else (gradients,)
    with mpmath.workdps(50):
        precise = function_of(source, names, PRECISE)
        exact = tuple(map(mpmath.mpf, at))
        assert value == pytest.approx(float(precise(*exact)), rel=1e-13)
        for k, gradient in enumerate(gradients):
            order = tuple(int(k == j) for j in range(len(names)))
            expected = float(mpmath.diff(precise, exact, order))
            assert gradient == pytest.approx(expected, rel=2e-12, abs=1e-14)


def test_the_compiled_program_agrees_with_the_interpreted_one(monkeypatch):
    source, point = FORMULAS[25]
    function = function_of(source, tuple(point), np)
    compiled = grad(function).value_and_grad(*point.values())
    monkeypatch.setenv("CHAINRULE_TIER", "interpret")
    interpreted = grad(function).value_and_grad(*point.values())
    np.testing.assert_allclose(np.hstack(compiled), np.hstack(interpreted), rtol=1e-14)


def test_what_only_keeps_arithmetic_in_range_is_not_shown() -> None:
    def normal(x):
        return special.log_ndtr(x)

    def sigmoid(x):
        tail = np.exp(np.where(x > 0, 0.0, x))
        return np.where(x > 0, 1 / (1 + np.exp(-np.where(x > 0, x, 0.0))), tail / (1 + tail))

    def elu(x):
        return np.where(x > 0, x, np.exp(np.where(x > 0, 0.0, x)) - 1)

    shown = {"normal": ("log(Phi(x))", "phi(x)/Phi(x)"), "sigmoid": ("sigmoid(x)", "sigmoid(x)*(1 - sigmoid(x))"),
             "elu": ("where(x > 0, x, exp(x) - 1)", "where(x > 0, 1, exp(x))")}
    for function in (normal, sigmoid, elu):
        made = grad(function)
        assert (str(made.formula), str(made.derivative("x"))) == shown[function.__name__]
        assert made.derivative("x")(-40.0) == pytest.approx(made.grad(-40.0), rel=1e-13)  # called, it is the program


def test_special_functions_are_shown_by_their_names() -> None:
    shown = {"gamma(x)": "digamma(x)*gamma(x)", "beta(x, 2.5)": None, "entr(x)": "where(x > 0, -log(x) - 1, 0)",
             "xlogy(x, 2 * x)": "log(2*x) + 1"}
    for text, slope in shown.items():
        derivative = grad(eval(f"lambda x: special.{text}", {"special": special})).derivative("x")
        assert slope in (None, str(derivative))
        for x in (0.7, 2.3):
            step = 1e-6
            value = eval(f"lambda x: special.{text}", {"special": special})
            assert text != "gamma(x)" or float(derivative.sympy.subs("x", -x)) == pytest.approx(derivative(-x), rel=1e-12)
            assert eval(derivative.numpy, {"np": np, "special": special, "x": x}) == pytest.approx(
                (value(x + step) - value(x - step)) / (2 * step), rel=1e-7)


def test_decimals_of_the_source_stay() -> None:
    def written(x):
        return 1.1283791670955126 * x**2 + np.sqrt(2 / np.pi) * x

    assert str(grad(written).derivative("x")) == "2.256758334191025*x + sqrt(2/pi)"


@pytest.mark.parametrize(("function", "value", "slope"), [
    (lambda x: 1.5 * np.exp(x), "1.5*exp(x)", "1.5*exp(x)"),
    (lambda x: (x - 2.5) ** 3, "(x - 2.5)**3", None),
    (lambda x, y: y * (x + 1) ** 0.25, "y*(x + 1)**0.25", "y/(4*(x + 1)**0.75)"),
    (lambda x: 4.9 * np.exp(x) / 3, "1.6333333333333333*exp(x)", "1.6333333333333333*exp(x)"),
    (lambda x: 0.5 * x**3 + 0.5, "x**3/2 + 0.5", "1.5*x**2"),
    (lambda x: x * np.sqrt(x) / 6, "x**(3/2)/6", "sqrt(x)/4"),
])
def test_numbers_are_decimals_where_the_source_has_them(function, value, slope) -> None:
    made = grad(function)
    assert str(made.formula) == value
    assert slope is None or str(made.derivative("x")) == slope
    assert "." in value or "." not in made.formula.latex


def test_an_identity_made_inside_is_one() -> None:
    def ridge(A, x, t):
        return np.linalg.slogdet(A.T @ A + t * np.eye(3))[1] + x @ (2 * np.eye(3)) @ x

    traced = grad(ridge).trace(np.ones((3, 3)), np.ones(3), 1.0)
    assert str(traced.derivative("A")) == "2 * A @ inv(A.T @ A + t*eye(3))"
    assert str(traced.derivative("t")) == "trace(inv(A.T @ A + t*eye(3)))"
    assert str(traced.derivative("x")) == "4*x"


def test_a_projection_has_a_trace_that_does_not_change() -> None:
    traced = grad(lambda X: np.trace(X @ np.linalg.inv(X.T @ X) @ X.T)).trace(np.ones((5, 2)))
    assert str(traced.derivative("X")) == "zeros(n, m)"
