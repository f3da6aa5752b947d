"""`accuracy`: bits of error of functions whose accuracy is known, and of delicate formulas from public collections."""
from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from delicate_formulas import FORMULAS, Delicate

import chainrule as cr
from chainrule.runtime.function.accuracy import bits_of_error


def test_bits_count_the_floats_between() -> None:
    assert bits_of_error(1.0, 1.0) == 0.0
    assert bits_of_error(np.nextafter(1.0, 2), 1.0) == 1.0
    assert bits_of_error(-0.0, 0.0) == 0.0
    assert bits_of_error(math.nan, 1.0) == 64.0
    assert bits_of_error(-1e300, 1e300) > 63.9
    assert bits_of_error(1.0 + 2.0**-40, 1.0) == pytest.approx(12, abs=0.01)


def test_a_naive_form_is_inaccurate_where_it_is_not_stabilised() -> None:
    def difference(x):
        return np.sqrt(x + 1) - np.sqrt(x)

    naive = cr.accuracy(cr.grad(difference, stabilise=False), {"x": (1.0, 1e300)}, points=40)
    stable = cr.accuracy(difference, {"x": (1.0, 1e300)}, points=40)
    assert naive.value.mean > 50
    assert naive.value.worst > 60
    assert naive.value.right > 0 == naive.value.result
    assert stable.value.worst <= 2
    assert stable.gradient["x"].worst <= 3
    assert stable.points == 40
    assert "d/dx" in str(stable)
    assert "bits on average" in str(naive)


def test_points_without_a_real_value_are_skipped() -> None:
    found = cr.accuracy(lambda x: np.log(x), [(-1e3, 1e3)], points=60)
    assert 15 < found.skipped < 45
    assert found.points + found.skipped == 60
    assert found.value.worst <= 1


def test_every_argument_has_errors_whatever_is_differentiated_by() -> None:
    found = cr.accuracy(cr.grad(lambda x, y: x * np.exp(-y), wrt="y"), {"x": (0.5, 1.0), "y": (0.0, 3.0)}, points=5)
    assert list(found.gradient) == ["x", "y"]
    assert max(e.worst for e in found.gradient.values()) <= 2


def test_an_argument_without_a_range_keeps_its_default() -> None:
    def scaled(x, n=3, y=0.1):
        return np.exp(x * y) * n - n

    found = cr.accuracy(scaled, {"x": (1e-9, 1e-3)}, points=5)
    assert list(found.gradient) == ["x"]
    assert found.value.right == pytest.approx(3 * math.expm1(0.1 * found.value.at[0]), rel=1e-12)
    assert len(found.value.at) == 1
    assert list(cr.accuracy(scaled, [(0.5, 1.0), (1.0, 2.0), (0.1, 0.2)], points=2).gradient) == ["x", "n", "y"]


def test_a_range_stands_for_its_whole_numbers() -> None:
    found = cr.accuracy(lambda x, n: (1 + x)**n - 1, {"x": (1e-9, 1e-3), "n": range(2, 5)}, points=8)
    assert found.value.at[1] in (2.0, 3.0, 4.0)
    assert found.value.worst <= 3


@pytest.mark.parametrize("points", [0, -3])
def test_points_are_at_least_one(points: int) -> None:
    with pytest.raises(cr.ArgumentError, match=f"not at points={points}"):
        cr.accuracy(lambda x: x, {"x": (0.0, 1.0)}, points=points)


VECTOR = np.ones(2)


@pytest.mark.parametrize(("function", "ranges", "message"), [
    (lambda x: x, [(0.0, 1.0), (0.0, 2.0)], "got 2 ranges.*has 1 parameter: x"),
    (lambda x, y=1.0: x * y, {"z": (0.0, 1.0)}, "a range for each of x.*there are ranges for z"),
    (lambda x=1.0: x, {}, "a range for each of x.*ranges for none"),
    (lambda x, v=VECTOR: x * np.sum(v), {"x": (0.0, 1.0)}, "v of .* is none: give it a range"),
    (lambda x, y: x * y, {"x": (0.0, 1.0)}, "a range for each of x, y"),
    (lambda x: np.sqrt(x), {"x": (-2.0, -1.0)}, "no real value at any of 20 points"),
    (lambda x: x, (0.0, 1.0), r"the range of x is 0.0.*\(lowest, highest\)"),
    (lambda x: x, {"x": (0.0, math.nan)}, "the range of x is"),
    (lambda x: (x, 2 * x), {"x": (0.0, 1.0)}, "returns 2 values"),
    (lambda v: v[0] * v[1], {"v": (0.0, 1.0)}, "with numbers.*no function of numbers: too many indices"),
])
def test_errors(function, ranges, message: str) -> None:
    with pytest.raises(cr.ArgumentError, match=message):
        cr.accuracy(function, ranges, points=20)


# ------------------------------------------------------------------------------------------------ delicate formulas
@cache
def measured(case: Delicate) -> cr.Accuracy:
    return cr.accuracy(cr.parse(case.text, case.ranges), case.ranges, points=4)


@pytest.mark.slow
@pytest.mark.parametrize("case", FORMULAS, ids=lambda case: case.name)
def test_a_delicate_formula(case: Delicate) -> None:
    found = measured(case)
    assert found.value.mean <= case.value_bits
    assert found.gradient_mean <= case.gradient_bits


def test_the_bits_that_formulas_may_have_are_those_of_forms_stabilised_by_hand() -> None:
    assert len({case.name for case in FORMULAS}) == len(FORMULAS)
    assert np.mean([case.value_bits for case in FORMULAS]) <= 3
    assert np.mean([case.gradient_bits for case in FORMULAS]) <= 5
