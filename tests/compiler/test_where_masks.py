"""A branch of `where` that was not taken contributes exactly zero to every derivative, whatever its own is."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from derivatives import (
    Builder,
    forward,
    forward_over_reverse,
    inputs_like,
    reverse,
    reverse_over_reverse,
    value,
    zeros_for_none,
)

from chainrule.compiler.differentiate import vjp
from chainrule.compiler.ir import Node, f, make, toposort
from chainrule.compiler.op import all_ops

NAN, INF = math.nan, math.inf
X = np.array([0.0, 4.0, 0.0, 9.0, -1.0, 0.25])  # singular at 0, outside the domain below
TAKEN = X > 0


# name -> (program of x with singular untaken branches, derivative, second derivative, both where x > 0 and 0 elsewhere)
Derivative = Callable[[Any], Any]
PROGRAMS: dict[str, tuple[Builder, Derivative, Derivative]] = {
    "sqrt": (lambda x: f.where(f.gt(x, 0.0), f.sqrt(x), 0.0 * x), lambda x: 0.5 * x**-0.5, lambda x: -0.25 * x**-1.5),
    "log": (lambda x: f.where(f.gt(x, 0.0), f.log(x), 0.0 * x), lambda x: 1 / x, lambda x: -(x**-2)),
    "div": (lambda x: f.where(f.gt(x, 0.0), 1.0 / x, 0.0 * x), lambda x: -(x**-2), lambda x: 2 * x**-3),
    "pow": (lambda x: f.where(f.gt(x, 0.0), f.pow(x, -0.5), 0.0 * x), lambda x: -0.5 * x**-1.5,
            lambda x: 0.75 * x**-2.5),
    "other branch": (lambda x: f.where(f.le(x, 0.0), 0.0 * x, f.log(x)), lambda x: 1 / x, lambda x: -(x**-2)),
    "chain": (lambda x: f.where(f.gt(x, 0.0), f.sin(f.sqrt(x)), 0.0 * x), lambda x: np.cos(x**0.5) / (2 * x**0.5),
              lambda x: -np.sin(x**0.5) / (4 * x) - np.cos(x**0.5) / (4 * x**1.5)),
    "shared by two": (
        lambda x: f.where(f.gt(x, 0.0), f.sqrt(x), 0.0 * x) + f.where(f.gt(x, 1.0), f.square(f.sqrt(x)), 0.0 * x),
        lambda x: 0.5 * x**-0.5 + (x > 1), lambda x: -0.25 * x**-1.5),
    "nested": (lambda x: f.where(f.gt(x, 0.0), f.where(f.gt(x, 1.0), f.log(x), f.sqrt(x)), 0.0 * x),
               lambda x: np.where(x > 1, 1 / x, 0.5 * x**-0.5), lambda x: np.where(x > 1, -(x**-2), -0.25 * x**-1.5)),
    "through a product": (lambda x: f.where(f.gt(x, 0.0), x * f.log(x), 0.0 * x), lambda x: np.log(x) + 1,
                          lambda x: 1 / x),
    "through a square": (lambda x: f.where(f.gt(x, 0.0), f.square(f.log(x)), 0.0 * x), lambda x: 2 * np.log(x) / x,
                         lambda x: 2 * (1 - np.log(x)) / x**2),
    "through reshape": (
        lambda x: f.reshape(f.where(*(f.reshape(part, shape=(2, 3)) for part in (f.gt(x, 0.0), f.sqrt(x), 0.0 * x))),
                            shape=(6,)),
        lambda x: 0.5 * x**-0.5, lambda x: -0.25 * x**-1.5),
    "through permute and flip": (
        lambda x: f.flip(f.where(f.flip(f.gt(x, 0.0), axes=(0,)), f.flip(f.log(x), axes=(0,)), 0.0), axes=(0,)),
        lambda x: 1 / x, lambda x: -(x**-2)),
    "through gather": (
        lambda x: f.where(f.gt(x, 0.0), f.gather(f.sqrt(x), iota(x), axes=(0,)), 0.0 * x),
        lambda x: 0.5 * x**-0.5, lambda x: -0.25 * x**-1.5),
    "through scatter": (
        lambda x: f.where(f.gt(x, 0.0), f.scatter_add(f.sqrt(x), iota(x), axes=(0,), shape=x.shape), 0.0 * x),
        lambda x: 0.5 * x**-0.5, lambda x: -0.25 * x**-1.5),
    "through overwriting": (
        lambda x: f.where(f.gt(x, 0.0), f.scatter(0.0 * x, f.sqrt(x), iota(x), axes=(0,)), 0.0 * x),
        lambda x: 0.5 * x**-0.5, lambda x: -0.25 * x**-1.5),
    "through cast": (lambda x: f.where(f.gt(x, 0.0), f.cast(f.sqrt(x), dtype="float64"), 0.0 * x),
                     lambda x: 0.5 * x**-0.5, lambda x: -0.25 * x**-1.5),
}


def iota(x: Node) -> Node:
    return make("iota", shape=x.shape, dtype=np.dtype(np.int64), axis=0)


def at(derivative: Derivative, x: Any) -> Any:
    out = np.zeros_like(x)
    out[x > 0] = derivative(x[x > 0])
    return out


@pytest.mark.parametrize("name", PROGRAMS)
def test_untaken_branches_contribute_exactly_zero(name: str) -> None:
    build, first, second = PROGRAMS[name]
    ones = np.ones_like(X)
    # the linear term 0 * x is there so that x has a derivative in both branches
    for got in (forward(build, [X], [ones]), *reverse(build, [X], ones)):
        np.testing.assert_allclose(got, at(first, X), rtol=1e-13)
        assert (got[~TAKEN] == 0).all()
    for mode in (forward_over_reverse, reverse_over_reverse):
        (got,) = mode(build, [X], ones, [ones])
        np.testing.assert_allclose(got, at(second, X), rtol=1e-12)
        assert (got[~TAKEN] == 0).all()


def special_values() -> list[str]:
    """Every op of one floating argument that has a derivative."""
    return [op.name for op in all_ops() if op.kind == "elementwise" and op.arity == 1 and op.dtypes[0] == "float"
            and op.partials is not None and op.name not in ("add", "neg", "polygamma", "zeta")]


@pytest.mark.parametrize("name", special_values())
def test_no_function_leaks_its_nan(name: str) -> None:
    """At nan, at the infinities, at poles, and outside the domain, to second order, whatever the function is."""
    x = np.array([NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 1e308, -1e308])

    def build(n: Node, keep: Node) -> Node:
        return f.where(keep, getattr(f, name)(n), 0.0)

    keep, ones = np.zeros(x.shape, bool), np.ones_like(x)
    for results in ([forward(build, [x, keep], [ones])], reverse(build, [x, keep], ones),
                    forward_over_reverse(build, [x, keep], ones, [ones]),
                    reverse_over_reverse(build, [x, keep], ones, [ones])):
        for got in zeros_for_none(results, [x]):
            np.testing.assert_array_equal(got, np.zeros_like(x))


@pytest.mark.parametrize("name", ["mul", "div", "pow", "arctan2", "hypot", "logaddexp", "remainder", "fmod", "maximum",
                                  "minimum"])
def test_no_function_of_two_leaks_its_nan(name: str) -> None:
    grid = [NAN, INF, -INF, 0.0, 1.0, -2.0]
    x, y = (g.ravel() for g in np.meshgrid(grid, grid))

    def build(a: Node, b: Node, keep: Node) -> Node:
        return f.where(keep, getattr(f, name)(a, b), 0.0)

    arrays, ones = [x, y, np.zeros(x.shape, bool)], np.ones_like(x)
    for results in ([forward(build, arrays, [ones, ones])], reverse(build, arrays, ones),
                    forward_over_reverse(build, arrays, ones, [ones, ones]),
                    reverse_over_reverse(build, arrays, ones, [ones, ones])):
        for got in zeros_for_none(results, [x, y][: len(results)]):
            np.testing.assert_array_equal(got, np.zeros_like(x))


def test_a_mask_reaches_through_sums_and_expands() -> None:
    """where(mask, expand(sum(log x)), 0): rows that no mask selects get nothing."""
    x = np.array([[1.0, 2.0], [0.0, 3.0], [4.0, 5.0]])
    mask = np.array([[True, False, True], [False, False, False], [True, True, True]])

    def build(n: Node, m: Node) -> Node:
        totals = f.expand(f.sum(f.log(n), axes=(1,)), shape=(3, 3), axes=(0,))
        return f.sum(f.where(m, totals, 0.0), axes=(0, 1))

    (dx,) = reverse(build, [x, mask], np.array(1.0))
    np.testing.assert_allclose(dx, np.array([[2.0, 1.0], [0.0, 0.0], [0.75, 0.6]]))
    (second,) = forward_over_reverse(build, [x, mask], np.array(1.0), [np.ones_like(x)])
    np.testing.assert_allclose(second, np.array([[-2.0, -0.5], [0.0, 0.0], [-3 / 16, -3 / 25]]))


def test_a_mask_reaches_through_slices() -> None:
    """Elements that the slice leaves out are under the mask, too."""
    x = np.array([0.0, 4.0, 0.0, 9.0])

    def build(n: Node) -> Node:
        head, keep = (f.slice(part, start=(0,), step=(1,), shape=(2,)) for part in (f.sqrt(n), f.gt(n, 0.0)))
        return f.where(keep, head, 0.0)

    (dx,) = reverse(build, [x], np.ones(2))
    np.testing.assert_array_equal(dx, [0.0, 0.25, 0.0, 0.0])


@pytest.mark.parametrize("name", ["max", "min", "prod", "sum"])
def test_reductions_under_a_mask(name: str) -> None:
    """Rows of nan, masked after they were reduced."""
    x = np.array([[1.0, 2.0], [NAN, 3.0], [INF, -INF]])

    def build(n: Node, keep: Node) -> Node:
        return f.where(keep, getattr(f, name)(n, axes=(1,)), 0.0)

    arrays = [x, np.array([True, False, False])]
    (dx,) = reverse(build, arrays, np.ones(3))
    assert np.isfinite(dx).all()
    assert (dx[1:] == 0).all()
    (second,) = zeros_for_none(reverse_over_reverse(build, arrays, np.ones(3), [np.ones_like(x)]), [x])
    assert (second[1:] == 0).all()


def test_rows_of_nan_in_a_product_of_matrix_and_vector() -> None:
    """A masked loss over samples some of which are nan: the weights' gradient is that of the others."""
    x = np.array([[1.0, 2.0], [NAN, 3.0], [INF, 1.0], [3.0, -1.0]])
    w, y = np.array([0.5, -0.25]), np.array([1.0, 2.0, NAN, NAN])

    def build(xs: Node, ws: Node, ys: Node, keep: Node) -> Node:
        residual = f.contract(xs, ws, left="nk", right="k", out="n") - ys
        return f.sum(f.where(keep, f.square(residual), 0.0), axes=(0,))

    arrays = [x, w, y, np.array([True, False, False, False])]
    dx, dw, dy = reverse(build, arrays, np.array(1.0))
    np.testing.assert_array_equal(dw, 2 * (x[0] @ w - 1.0) * x[0])
    assert (dx[1:] == 0).all()
    assert (dy[1:] == 0).all()
    for mode in (forward_over_reverse, reverse_over_reverse):
        hx, hw, hy = mode(build, arrays, np.array(1.0), [np.zeros_like(x), np.array([1.0, 0.0]), np.zeros(4)])
        np.testing.assert_array_equal(hw, 2 * x[0, 0] * x[0])
        assert (hx[1:] == 0).all()
        assert (hy[1:] == 0).all()


def test_masks_cost_nothing_where_nothing_is_singular() -> None:
    """The derivative of where(c, a + b, -a) selects the cotangent for each branch, and nothing else."""
    a, b, c, ct = inputs_like([np.zeros(3), np.zeros(3), np.zeros(3, bool), np.zeros(3)])
    da, db = vjp([f.where(c, a + b, f.neg(a))], [ct], [a, b])
    assert da is not None
    assert db is f.where(c, ct, 0.0)
    assert sorted(n.op.name for n in toposort([da]) if n.inputs) == ["add", "neg", "where", "where"]


def test_both_branches_together_have_no_mask() -> None:
    """What reaches x through both branches of one condition reaches it everywhere, and is not selected again."""
    x, c, ct = inputs_like([np.zeros(3), np.zeros(3, bool), np.zeros(3)])
    root = f.exp(x)
    (dx,) = vjp([f.where(c, root + 1.0, root * 2.0)], [ct], [x])
    assert dx is not None
    assert dx.op.name == "mul"


def test_the_value_is_selected_too() -> None:
    x = np.array([NAN, 1.0, 0.0])
    got = value(lambda n: f.where(f.gt(n, 0.5), f.log(n), 0.0), x)
    np.testing.assert_array_equal(got, [0.0, 0.0, 0.0])
