"""Homogeneous polynomials of arguments, corrected by what their operations round away."""
from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.interpret import evaluate_nodes
from chainrule.compiler.ir import Node, f, make
from chainrule.compiler.rewrite import compensate


def argument(position: int, shape: tuple[int, ...] = (), dtype: str = "float64") -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=f"x{position}")


a, b, c, d = (argument(k) for k in range(4))
NEAR = np.random.default_rng(3).uniform(1.0, 1.0 + 1e-7, (4, 500))
CANCELLING = {
    "determinant": lambda a, b, c, d: a * d - b * c,
    "discriminant": lambda a, b, c, d: b * b - 4 * a * c / 4,
    "square of a difference": lambda a, b, c, d: a * a - 2 * a * b + b * b,
    "orientation": lambda a, b, c, d: (a - c) * (b - d) - (b - c) * (a - d),
    "a sum with signs": lambda a, b, c, d: a * b + c * -d,
    "variance of three": lambda a, b, c, d: (a * a + b * b + c * c) / 3 - ((a + b + c) / 3) * ((a + b + c) / 3),
    "a cubic form": lambda a, b, c, d: a * b * c - b * c * d,
    "a square and a number": lambda a, b, c, d: 1 - a * a,
    "two powers": lambda a, b, c, d: b * (b * b) - b,
    "a quotient squared": lambda a, b, c, d: (a / b) * (a / b) - 1,
}


@pytest.mark.parametrize("name", CANCELLING)
def test_what_cancels_is_right_to_the_last_digits(name: str) -> None:
    form = CANCELLING[name]
    (made,), steps = compensate([form(a, b, c, d)])
    assert [step.rule.name for step in steps] == ["compensated"]
    for point in NEAR.T[:40]:
        (found,) = evaluate_nodes([made], dict(zip((a, b, c, d), map(np.float64, point), strict=True)), {})
        right = form(*map(Fraction, map(float, point)))
        twice_the_digits = Fraction(2) ** -98  # of terms near 1
        assert abs(Fraction(float(found)) - right) <= abs(right) * Fraction(2) ** -51 + twice_the_digits


@pytest.mark.parametrize("form", [
    f.square(a) + f.square(b), f.square(a) + f.square(b) * 2.0, a - b * c, f.square(a) * 3.0 * a - f.square(b), a + b - c, a - 2.0 * b + c,
    f.sin(a) * b - f.cos(b) * a, 1.0 - a * b, 1.0 - f.square(f.sin(a)), a * b, f.exp(a) * f.exp(a) - b * f.exp(b),
    1.0 + f.square(a), a + f.square(a) * 0.1 * a, a * -2.0 - f.square(a) * a,
    f.square(f.where(f.lt(f.abs(a), 0.5), a, 0.0)) * 0.3 - 0.5], ids=str)
def test_what_does_not_cancel_or_is_rounded_before_is_left(form: Node) -> None:
    assert compensate([form]) == ([form], [])


def test_the_factors_of_a_product_are_corrected() -> None:
    (made,), steps = compensate([f.square(a * d - b * c)])
    assert [step.before for step in steps] == [a * d - b * c]
    assert made.op.name == "square"


def test_long_polynomials_are_left() -> None:
    total = a * b
    for k in range(3000):
        total = total + (float(k) - 1500.0) * a * b
    assert not [step for step in compensate([total])[1] if step.before is total]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_kernels_compute_the_same_bits(dtype: str) -> None:
    x, y, z, w = (row.astype(dtype) for row in NEAR)
    shifted = x * np.exp(np.linspace(-40, 40, 500)).astype(dtype)
    arrays = {argument(k, (500,), dtype): v for k, v in enumerate((x, y, z, shifted))}
    nodes = list(arrays)
    made = [f.product_error(nodes[0], nodes[3]), f.sum_error(nodes[1], nodes[3])]
    product, total = evaluate_nodes(made, arrays, {})
    for k in range(0, 500, 25):
        p, q, r = (Fraction(float(v[k])) for v in (x, shifted, y))
        assert Fraction(float(product[k])) == p * q - Fraction(float(x[k] * shifted[k]))
        assert Fraction(float(total[k])) == r + q - Fraction(float(y[k] + shifted[k]))
    function = cr.grad(lambda x, y, z, w: np.sum(x * w - y * z))
    compiled = cr.grad(lambda x, y, z, w: x * w - y * z)(x, y, z, w)
    exact = [float(Fraction(float(p)) * Fraction(float(s)) - Fraction(float(q)) * Fraction(float(r)))
             for p, q, r, s in zip(x, y, z, w, strict=True)]
    assert compiled.dtype == np.dtype(dtype)
    np.testing.assert_allclose(compiled, exact, rtol=4 * np.finfo(dtype).eps)
    slopes = function.grad(x, y, z, w, wrt=("x", "y"))
    np.testing.assert_array_equal(slopes[0], w)
    np.testing.assert_array_equal(slopes[1], -z)


@pytest.mark.parametrize(("left", "right"), [(1e200, 1e200), (1e-200, 1e-200), (np.inf, 1.0), (np.nan, 2.0), (0.0, 3.0), (-1e308, 1e308)])
def test_errors_of_extreme_results_are_none(left: float, right: float) -> None:
    x, y = np.full(3, left), np.full(3, right)
    with np.errstate(all="ignore"):
        naive = x * y + y * -x
    np.testing.assert_array_equal(cr.grad(lambda x, y, z, w: x * y + z * w)(x, y, y, -x), naive)
    (found,) = evaluate_nodes([f.product_error(a, b)], {a: np.float64(left), b: np.float64(right)}, {})
    assert found == 0 or not np.isfinite(found)


@pytest.mark.parametrize("form", [lambda a, b, c, d: (a + b)**2 - c * d, lambda a, b, c, d: a * b / 3 - c * d,
                                  lambda a, b, c, d: a * b * c + b * c * d, lambda a, b, c, d: a * d - b * c])
def test_infinite_results_are_those_of_the_form(form: Callable[..., Any]) -> None:
    points = np.random.default_rng(1).choice([0.0, -0.0, 1.0, -2.0, 3.0, np.inf, -np.inf, np.nan, 1e200, -1e200], (4, 2000))
    with np.errstate(all="ignore"):
        naive = form(*points)
    found = cr.grad(form)(*points)
    np.testing.assert_allclose(found, naive, rtol=1e-15)


def test_without_stabilising_nothing_is_added() -> None:
    plain = cr.grad(lambda a, b, c, d: a * d - b * c, stabilise=False)
    x = 1 + 2.0**-30
    assert plain(x, x * x, 1.0, x) != cr.grad(lambda a, b, c, d: a * d - b * c)(x, x * x, 1.0, x)
