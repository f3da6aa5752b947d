"""Ordinary formulas: value and gradient, compiled, against 50 digits."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from ordinary_formulas import FORMULAS, Ordinary

import chainrule as cr

POINTS = 3
TOLERANCE = 1e-12  # relative
DIGITS = 50
EXACT = {name: getattr(mpmath, name) for name in (
    "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "exp", "log", "sqrt", "erf")}
EXACT |= {"lgamma": mpmath.loggamma, "cbrt": mpmath.cbrt}


def function(case: Ordinary) -> Callable[..., Any]:
    """The formula over mpmath's numbers, its literals with all their digits."""
    code = compile(case.text, case.text, "eval")

    def evaluate(values: list[Any]) -> Any:
        return eval(code, {**EXACT, "pi": +mpmath.pi, "e": +mpmath.e, **dict(zip(case.ranges, values, strict=True))})

    return evaluate


def references(case: Ordinary, point: tuple[float, ...]) -> list[float]:
    """Value and partial derivatives, the derivatives by differences at three times as many digits."""
    with mpmath.workdps(3 * DIGITS):
        exact, centre, step = function(case), [mpmath.mpf(x) for x in point], mpmath.mpf(10) ** -DIGITS
        found = [exact(centre)]
        for k in range(len(centre)):
            up, down = ([x + s if j == k else x for j, x in enumerate(centre)] for s in (step, -step))
            found.append((exact(up) - exact(down)) / (2 * step))
        return [float(x) for x in found]


@pytest.mark.parametrize("name", FORMULAS)
def test_value_and_gradient_are_right(name: str) -> None:
    case = FORMULAS[name]
    compiled = cr.parse(case.text, case.ranges)
    rng = np.random.default_rng(5)
    for _ in range(POINTS):
        point = tuple(float(rng.uniform(*span)) for span in case.ranges.values())
        value, pulled = compiled.value_and_grad(*point)
        right = references(case, point)
        scale = max(abs(r * x) for r, x in zip(right[1:], point, strict=True))  # what a rounding of an argument changes
        gradient = pulled if isinstance(pulled, tuple) else (pulled,)
        assert abs(value - right[0]) <= TOLERANCE * max(abs(right[0]), scale)
        for variable, x, found, slope in zip(case.ranges, point, gradient, right[1:], strict=True):
            assert abs(found - slope) <= TOLERANCE * max(abs(slope), scale / abs(x)), f"d/d{variable} at {point}: {found!r}, not {slope!r}"


def test_there_are_enough() -> None:
    assert len(FORMULAS) >= 60
