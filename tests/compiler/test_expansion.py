"""Series of functions of one variable that cancel: which are found, where they hold, and what is left alone."""
from __future__ import annotations

import mpmath
import numpy as np
import pytest
from exact_values import ulps

import chainrule as cr
from chainrule.compiler.interpret import evaluate_nodes
from chainrule.compiler.ir import Node, f, make
from chainrule.compiler.rewrite import expand, expansion

x = make("input", shape=(), dtype=np.dtype(np.float64), position=0, name="x")
SMALL, LARGE = (1e-200, 1e-9, 1e-3, 0.1, 0.4, -1e-5, -0.3), (1e3, 1e9, 1e100, -1e5)


@pytest.mark.parametrize(("program", "exact", "points"), [
    (x - f.sin(x), lambda t: t - mpmath.sin(t), SMALL),
    ((x - f.sin(x)) / (x - f.tan(x)), lambda t: (t - mpmath.sin(t)) / (t - mpmath.tan(t)), SMALL),
    ((f.exp(x) - 1.0 - x) / (x * x), lambda t: (mpmath.exp(t) - 1 - t) / (t * t), SMALL),
    (f.log1p(x) / x, lambda t: mpmath.log1p(t) / t, SMALL),
    (1.0 / (x * x) - f.reciprocal(f.square(f.sinh(x))), lambda t: 1 / t**2 - 1 / mpmath.sinh(t) ** 2, SMALL[1:]),
    (1.0 / (x + 1.0) - 2.0 / x + 1.0 / (x - 1.0), lambda t: 2 / (t * (t * t - 1)), LARGE[:-2]),
    (f.sqrt(x * x + x) - x, lambda t: mpmath.sqrt(t * t + t) - t, LARGE[:3]),
    (f.log(x) / (x - 1.0), lambda t: mpmath.log(t) / (t - 1), (1 + 1e-9, 1 - 1e-4, 1.1)),
])
def test_what_cancels_becomes_a_series(program: Node, exact, points: tuple[float, ...]) -> None:
    (stable,), steps = expand([program])
    assert [step.rule.name for step in steps] == ["series"]
    for point in points:
        (found,) = evaluate_nodes([stable], {x: np.float64(point)}, {})
        with mpmath.workprec(4000):
            assert ulps(found, exact(mpmath.mpf(point)), np.float64) <= 4, point
    for other in (0.9, 2.5, -7.0):
        new, old = evaluate_nodes([stable, program], {x: np.float64(other)}, {})
        assert new == pytest.approx(float(old), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("program", [
    x - 1.0, f.square(x) - f.square(f.square(x)), f.abs(x) - f.sin(x), x * f.sigmoid(x), 0.5 * x * (1.0 + f.erf(x)),
    x / (1.0 + x), f.sqrt(x) - x, f.exp(-x) * x, f.floor(x) - x, f.reciprocal(f.square(x)) - f.reciprocal(x),
    f.reciprocal(f.sqrt(f.square(x) + 1.0)) * x])
def test_what_does_not_cancel_or_has_no_series_is_left(program: Node) -> None:
    (same,), steps = expand([program])
    assert same is program
    assert not steps


@pytest.mark.parametrize(("program", "chosen", "points"), [
    (f.where(f.eq(x, 0.0), 7.0, (1.0 - f.cos(x)) / f.square(x)), 7.0, (0.0,)),
    (f.where(f.eq(x, 0.0), 0.0, (1.0 - f.cos(x)) / (x * x * x)), 0.0, (0.0,)),
    (f.where(f.lt(f.abs(x), 1e-13), 7.0, (1.0 - f.cos(x)) / f.square(x)), 7.0, (0.0, 1e-14, -1e-14)),
    (f.where(f.lt(f.square(x), 1e-6), 7.0, (1.0 - f.cos(x)) / f.square(x)), 7.0, (0.0, 1e-4)),
    (f.where(f.lt(f.abs(x - 0.5), 1e-3), 7.0, (1.0 - f.cos(x)) / f.square(x)), 7.0, (0.5,)),
    (f.where(f.and_(f.lt(0.4, x), f.lt(x, 0.4001)), 7.0, (1.0 - f.cos(x)) / f.square(x)), 7.0, (0.40005,)),
    (f.where(f.eq(x, 1.0), 5.0, f.log(x) / (x - 1.0)), 5.0, (1.0,)),
])
def test_what_the_program_chooses_at_single_points_stays(program: Node, chosen: float, points: tuple[float, ...]) -> None:
    (stable,), steps = expand([program])
    assert steps  # within the choice
    for point in points:
        assert evaluate_nodes([stable], {x: np.float64(point)}, {})[0] == chosen
    (near,), (far,) = (evaluate_nodes([stable], {x: np.float64(t)}, {}) for t in (0.02, 0.3))
    assert [near, far] == pytest.approx([float(evaluate_nodes([program], {x: np.float64(t)}, {})[0]) for t in (0.02, 0.3)], rel=1e-10)


def test_a_function_of_a_value_that_is_computed() -> None:
    y = make("input", shape=(), dtype=np.dtype(np.float64), position=1, name="y")
    z = x * y
    (stable,), steps = expand([x + (z - f.sin(z))])
    assert [step.before for step in steps] == [z - f.sin(z)]
    (found,) = evaluate_nodes([stable], {x: np.float64(0.0), y: np.float64(1.0)}, {})
    assert found == 0


def test_no_fit_is_tried_where_no_sample_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion, "_fit", lambda *args, **kwargs: pytest.fail("looked at"))
    program = x
    for k in range(2000):
        program = f.sin(program) * 0.5 + 0.1 * (k % 7 + 1)
    assert expand([program, f.exp(-x) / (1.0 + x * x)])[1] == []


@pytest.mark.parametrize("of_large", [f.exp, f.exp2, f.cosh, lambda e: f.pow(3.0, e)])
def test_functions_of_numbers_beyond_all_digits_are_left_alone(of_large) -> None:
    """exp(exp(x)) at 2**40 has more digits than a memory holds; a logarithm takes them one by one."""
    (same,), steps = expand([of_large(x + f.exp(x)) * (f.exp(-x) - 1.0)])
    assert all(step.rule.name == "series" for step in steps)
    (found,) = evaluate_nodes([same], {x: np.float64(1e-9)}, {})
    assert found == pytest.approx(-1e-9 * evaluate_nodes([of_large(x + f.exp(x))], {x: np.float64(1e-9)}, {})[0], rel=1e-8)


def test_second_derivatives_are_right_as_well() -> None:
    hessian = cr.hessian(lambda t: (t - np.sin(t)) / (t - np.tan(t)))
    for point in (1e-8, 1e-3, 0.2):
        with mpmath.workprec(600):
            right = mpmath.diff(lambda t: (t - mpmath.sin(t)) / (t - mpmath.tan(t)), mpmath.mpf(point), 2)
        assert hessian(point) == pytest.approx(float(right), rel=1e-11)


def test_without_stabilising_nothing_is_expanded() -> None:
    assert cr.grad(lambda t: (t - np.sin(t)) / t**3, stabilise=False)(1e-9) != pytest.approx(1 / 6, rel=1e-3)
    assert cr.grad(lambda t: (t - np.sin(t)) / t**3)(1e-9) == pytest.approx(1 / 6, rel=1e-15)
