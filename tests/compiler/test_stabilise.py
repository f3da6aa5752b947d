"""Naive formulas, written as people write them: values and gradients against hundreds of digits, at extreme points."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from exact_values import TOO_LARGE, derivative, ulps, value
from scipy.special import erf, gammaln

import chainrule as cr
from chainrule.compiler import build
from chainrule.compiler.differentiate import ones_like, vjp
from chainrule.compiler.interpret import evaluate_nodes
from chainrule.compiler.ir import Graph, Node, constant, f, make
from chainrule.compiler.rewrite import simplify
from chainrule.compiler.verify import verify


def argument(position: int = 0, shape: tuple[int, ...] = (), dtype: str = "float64") -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=f"x{position}")


def pipeline(program: Node, inputs: list[Node]) -> list[Node]:
    """Value and gradients as the compiler makes them: stabilise, differentiate, simplify."""
    (stable,), _ = simplify([program])
    total = f.sum(stable, axes=tuple(range(stable.ndim))) if stable.ndim else stable
    gradients = vjp([total], [ones_like(total)], inputs)
    assert all(g is not None for g in gradients)
    outputs, _ = simplify([stable, *[g for g in gradients if g is not None]])
    return outputs


x, y = argument(0), argument(1)
EVERYWHERE = (-1000.0, -745.0, -40.0, -1.0, -1e-3, -1e-12, 0.0, 1e-12, 1e-3, 1.0, 40.0, 710.0, 1000.0)
POSITIVE = tuple(v for v in EVERYWHERE if v > 0)
NEGATIVE = tuple(v for v in EVERYWHERE if v < 0)

ONE: dict[str, tuple[Callable[[Node], Node], tuple[float, ...]]] = {
    "softplus": (lambda x: f.log(1.0 + f.exp(x)), EVERYWHERE),
    "softplus of a negative": (lambda x: f.log(f.exp(-x) + 1.0), EVERYWHERE),
    "logistic loss": (lambda x: -f.log(1.0 / (1.0 + f.exp(-x))), EVERYWHERE),
    "logistic loss of the other class": (lambda x: -f.log(1.0 - 1.0 / (1.0 + f.exp(-x))), EVERYWHERE),
    "logistic": (lambda x: 1.0 / (1.0 + f.exp(-x)), EVERYWHERE),
    "logistic with a slope": (lambda x: 1.0 / (1.0 + f.exp(-2.0 * x)), EVERYWHERE),
    "logistic, the other way": (lambda x: f.exp(x) / (f.exp(x) + 1.0), EVERYWHERE),
    "swish": (lambda x: x / (1.0 + f.exp(-x)), EVERYWHERE),
    "tanh by exp": (lambda x: (f.exp(x) - f.exp(-x)) / (f.exp(x) + f.exp(-x)), EVERYWHERE),
    "tanh by exp of the double": (lambda x: (f.exp(2.0 * x) - 1.0) / (f.exp(x * 2.0) + 1.0), EVERYWHERE),
    "tanh by exp of minus the double": (lambda x: (1.0 - f.exp(-2.0 * x)) / (1.0 + f.exp(-2.0 * x)), EVERYWHERE),
    "tanh": (f.tanh, EVERYWHERE),
    "log of a normal density": (lambda x: f.log(f.exp(-0.5 * f.square(x)) / 2.5), (-40.0, -1.0, 0.0, 1e-3, 50.0)),
    "log of a multiple of exp": (lambda x: f.log(3.0 * f.exp(-x)), EVERYWHERE),
    "log cosh": (lambda x: f.log(f.cosh(x)), EVERYWHERE),
    "log cosh by exp": (lambda x: f.log((f.exp(x) + f.exp(-x)) / 2.0), EVERYWHERE),
    "log(1 + x)": (lambda x: f.log(x + 1.0), POSITIVE),
    "exp(x) - 1": (lambda x: f.exp(x) - 1.0, (-1000.0, -1.0, -1e-12, 0.0, 1e-12, 1.0, 700.0)),
    "log(1 - exp(x))": (lambda x: f.log(1.0 - f.exp(x)), NEGATIVE),
    "log(exp(x) - 1)": (lambda x: f.log(f.exp(x) - 1.0), POSITIVE),
    "Bose-Einstein": (lambda x: 1.0 / (f.exp(x) - 1.0), POSITIVE),
    "Fermi-Dirac": (lambda x: 1.0 / (f.exp(x) + 1.0), EVERYWHERE),
    "sinh by exp": (lambda x: 0.5 * (f.exp(x) - f.exp(-x)), (-700.0, -1e-12, 0.0, 1e-9, 1.0)),
    "1 - cos": (lambda x: 1.0 - f.cos(x), (-2.0, -1e-9, 0.0, 1e-9, 1.0)),
    "normal tail": (lambda x: 1.0 - f.erf(x), (-1.0, 0.0, 5.0, 20.0)),
    "asinh by log": (lambda x: f.log(x + f.sqrt(x * x + 1.0)), EVERYWHERE),
    "atanh by log": (lambda x: 0.5 * f.log((1.0 + x) / (1.0 - x)), (-0.9, -1e-12, 0.0, 1e-9, 0.5)),
    "gaussian": (lambda x: f.exp(-0.5 * x * x), EVERYWHERE),
    "x log x": (lambda x: x * f.log(x), (1e-50, 1e-3, 1.0, 1000.0)),
}
TWO: dict[str, tuple[Callable[[Node, Node], Node], tuple[tuple[float, float], ...]]] = {
    "log-add-exp": (lambda x, y: f.log(f.exp(x) + f.exp(y)),
                    ((1000.0, 999.0), (-1000.0, -1000.0), (0.0, 1000.0), (1.0, 2.0))),
    "softmax of two": (lambda x, y: f.exp(x) / (f.exp(x) + f.exp(y)),
                       ((1000.0, 1000.0), (-800.0, -790.0), (0.0, 30.0))),
    "log-mean-exp": (lambda x, y: f.log((f.exp(x) + f.exp(y)) / 2.0),
                     ((1000.0, 999.0), (-1000.0, -1001.0), (3.0, 4.0))),
    "norm": (lambda x, y: f.sqrt(x * x + y * y), ((3e200, 4e200), (3.0, 4.0), (1e-90, 1e-90), (-5.0, 0.0))),
}


def check(program: Node, inputs: list[Node], numbers: tuple[float, ...], bound: float) -> None:
    arguments = {n: np.float64(v) for n, v in zip(inputs, numbers, strict=True)}
    outputs = evaluate_nodes(pipeline(program, inputs), arguments, {})
    exact = [value(program, arguments), *(derivative(program, arguments, n) for n in inputs)]
    for found, wanted in zip(outputs, exact, strict=True):
        assert wanted is not None
        assert wanted is not TOO_LARGE
        near = ulps(found, wanted, np.float64) <= bound or abs(found - float(wanted)) <= 1e-300
        assert near, f"{found}, not {float(wanted)}"


@pytest.mark.parametrize(("name", "point"), [(name, p) for name, (_, points) in ONE.items() for p in points])
def test_of_one_variable(name: str, point: float) -> None:
    check(ONE[name][0](x), [x], (point,), 2000.0)


@pytest.mark.parametrize(("name", "point"), [(name, p) for name, (_, points) in TWO.items() for p in points])
def test_of_two_variables(name: str, point: tuple[float, float]) -> None:
    check(TWO[name][0](x, y), [x, y], point, 2000.0)


# ------------------------------------------------------------------------------------------------ limits
def at(program: Node, inputs: list[Node], *arrays: object) -> list[np.ndarray]:
    found = pipeline(program, inputs)
    verify(Graph(tuple(inputs), tuple(found)))
    return evaluate_nodes(found, {n: np.asarray(a, n.dtype) for n, a in zip(inputs, arrays, strict=True)}, {})


@pytest.mark.parametrize(("name", "point", "expected", "slope"), [
    ("softplus", np.inf, np.inf, 1.0), ("softplus", -np.inf, 0.0, 0.0),
    ("logistic", np.inf, 1.0, 0.0), ("logistic", -np.inf, 0.0, 0.0),
    ("log cosh", np.inf, np.inf, 1.0), ("log cosh", -np.inf, np.inf, -1.0), ("tanh by exp", np.inf, 1.0, 0.0),
    ("x log x", 0.0, 0.0, 0.0), ("log(1 - exp(x))", 0.0, -np.inf, -np.inf),
])
def test_limits(name: str, point: float, expected: float, slope: float) -> None:
    found, gradient = at(ONE[name][0](x), [x], point)
    assert found == expected
    assert abs(gradient) == abs(slope)


def test_norms_at_zero_have_gradient_zero() -> None:
    v, m = argument(0, (3,)), argument(0, (2, 3))
    norms = (f.sqrt(f.sum(v * v, axes=(0,))), f.sqrt(f.contract(v, v, left="a", right="a", out="")),
             f.sqrt(build.reduce("sum", f.pow(v, 2.0), (0,), keepdims=True)))
    for norm in norms:
        found, gradient = at(norm, [v], [0.0, 0.0, 0.0])
        assert np.all(found == 0)
        assert np.array_equal(gradient, [0.0, 0.0, 0.0])
        found, gradient = at(norm, [v], [3.0, 0.0, -4.0])
        assert np.allclose(found, 5.0)
        assert np.allclose(gradient, [0.6, 0.0, -0.8])
    found, gradient = at(f.sqrt(f.sum(f.square(m), axes=(1,))), [m], [[0.0, 0.0, 0.0], [1.0, 2.0, 2.0]])
    assert np.allclose(found, [0, 3])
    assert np.allclose(gradient, [[0, 0, 0], [1 / 3, 2 / 3, 2 / 3]])


def test_three_squares() -> None:
    z = argument(2)
    distance = f.sqrt(x * x + y * y + z * z)
    assert at(distance, [x, y, z], 0.0, 0.0, 0.0) == [0.0, 0.0, 0.0, 0.0]
    assert np.allclose(at(distance, [x, y, z], 2.0, 3.0, 6.0), [7, 2 / 7, 3 / 7, 6 / 7])


# ------------------------------------------------------------------------------------------------ rows of numbers
ROWS = np.array([[1000.0, 1000.0, 0.0], [-1000.0, -2000.0, -1001.0], [1.0, 2.0, 3.0]])
SHIFTED = np.exp(ROWS - ROWS.max(1, keepdims=True))
SOFTMAX = SHIFTED / SHIFTED.sum(1, keepdims=True)
LOGSUMEXP = np.log(SHIFTED.sum(1)) + ROWS.max(1)
m = argument(0, (3, 3))


def softmax(x: Node, axis: int = 1) -> Node:
    return build.elementwise("div", f.exp(x), build.reduce("sum", f.exp(x), (axis,), keepdims=True))


@pytest.mark.parametrize("keepdims", [False, True])
def test_log_sum_exp(keepdims: bool) -> None:
    found, gradient = at(f.log(build.reduce("sum", f.exp(m), (1,), keepdims)), [m], ROWS)
    assert np.allclose(np.ravel(found), LOGSUMEXP, rtol=1e-15)
    assert np.allclose(gradient, SOFTMAX, rtol=1e-14)


def test_log_mean_exp() -> None:
    found, gradient = at(f.log(build.mean(f.exp(m), (1,))), [m], ROWS)
    assert np.allclose(found, LOGSUMEXP - np.log(3), rtol=1e-15)
    assert np.allclose(gradient, SOFTMAX, rtol=1e-14)


def test_log_sum_exp_with_minus_infinity() -> None:
    rows = [[-np.inf, 0.0, 0.0], [-np.inf, -np.inf, 5.0], [-np.inf] * 3]
    found, gradient = at(f.log(f.sum(f.exp(m), axes=(1,))), [m], rows)
    assert np.allclose(found[:2], [np.log(2), 5.0])
    assert found[2] == -np.inf
    assert np.allclose(gradient[:2], [[0, 0.5, 0.5], [0, 0, 1]])


def test_weighted_log_sum_exp_does_not_look_at_zero_weights() -> None:
    weights = np.array([[0.0, 1.0, 2.0]] * 3)
    exponents = np.array([[900.0, -900.0, -901.0], [0.0, 1.0, 2.0], [5000.0, 1000.0, 1000.0]])
    w = argument(1, (3, 3))
    found, gradient, _ = at(f.log(f.sum(w * f.exp(m), axes=(1,))), [m, w], exponents, weights)
    top = exponents[:, 1:].max(1)
    shifted = weights[:, 1:] * np.exp(exponents[:, 1:] - top[:, None])
    assert np.allclose(found, np.log(shifted.sum(1)) + top)
    assert np.allclose(gradient[:, 1:], shifted / shifted.sum(1, keepdims=True))
    assert np.all(gradient[:, 0] == 0)


@pytest.mark.parametrize("moved", [False, True])
def test_softmax(moved: bool) -> None:
    logits = f.permute(m, order=(1, 0)) if moved else m
    found, gradient = at(f.square(softmax(logits, 0 if moved else 1)), [m], ROWS)
    assert np.allclose(found.T if moved else found, SOFTMAX**2, rtol=1e-14)
    inner = 2 * SOFTMAX * SOFTMAX
    assert np.allclose(gradient, inner - SOFTMAX * inner.sum(1, keepdims=True), atol=1e-16)


def test_log_softmax() -> None:
    found, gradient = at(f.log(softmax(m)), [m], ROWS)
    assert np.allclose(found, ROWS - LOGSUMEXP[:, None], rtol=1e-14)
    assert np.allclose(gradient, 1 - 3 * SOFTMAX, atol=1e-15)


def test_cross_entropy_picks_after_the_logarithm() -> None:
    rows, labels = constant(1, "int64", (2,)), argument(1, (2,), "int64")
    picked = f.gather(softmax(m), rows, labels, axes=(0, 1))
    (stable,), log = simplify([f.neg(f.sum(f.log(picked), axes=(0,)))])
    assert "log_softmax" in {step.rule.name for step in log}
    (gradient,) = vjp([stable], [ones_like(stable)], [m])
    assert gradient is not None
    found, slope = evaluate_nodes([stable, gradient], {m: ROWS, labels: np.array([1, 2])}, {})
    assert np.allclose(found, -(ROWS[1, 1:] - LOGSUMEXP[1]).sum())
    assert np.allclose(slope[1], 2 * SOFTMAX[1] - [0, 1, 1])


def test_broadcast_operands_are_recognised() -> None:
    row, column = argument(0, (3,)), argument(1, (2, 1))
    by_rows, by_columns = f.exp(build.broadcast_to(row, (2, 3))), build.broadcast_to(f.exp(column), (2, 3))
    program = f.log(by_rows + by_columns)
    found, by_row, by_column = at(program, [row, column], [1000.0, 0.0, -1000.0], [[1000.0], [-1000.0]])
    assert np.allclose(found, np.logaddexp([1000.0, 0.0, -1000.0], [[1000.0], [-1000.0]]))
    assert np.allclose(by_row, [1.5, 1.0, 0.5])
    assert np.allclose(by_column, [[2.5], [0.5]])


# ------------------------------------------------------------------------------------------------ what must stay
def test_without_stabilising_the_program_is_what_was_written() -> None:
    program = f.log(1.0 + f.exp(x))
    assert simplify([program], stabilise=False)[0] == [program]
    assert evaluate_nodes([program], {x: np.float64(1000.0)}, {})[0] == np.inf


@pytest.mark.parametrize("program", [
    f.log(x + y), f.sqrt(x + 1.0), f.exp(x) / (2.0 + y), x * f.log(y), 1.0 - f.sinh(x), f.sqrt(x * x + 1.0)])
def test_formulas_that_only_look_alike_are_left(program: Node) -> None:
    _, log = simplify([program])
    assert not [step.rule.name for step in log if step.rule.level.value == "stable"]


def test_float32_stays_float32() -> None:
    v = argument(0, (3,), "float32")
    (stable,), _ = simplify([f.log(f.sum(f.exp(v), axes=(0,))) + f.log(f.sum(f.square(v), axes=(0,)) + 1.0)])
    (gradient,) = vjp([stable], [ones_like(stable)], [v])
    assert gradient is not None
    assert {stable.dtype, gradient.dtype} == {np.dtype("float32")}


def test_second_derivatives_are_right_where_a_form_is_joined() -> None:
    cases = (f.log(f.cosh(x)), 1.0), (1.0 - f.square(f.tanh(x)), -2.0), (f.log(1.0 + f.exp(x)), 0.25)
    for program, expected in cases:
        (first,) = vjp([simplify([program])[0][0]], [ones_like(x)], [x])
        assert first is not None
        (second,) = vjp(simplify([first])[0], [ones_like(x)], [x])
        assert second is not None
        (found,) = evaluate_nodes(simplify([second])[0], {x: np.float64(0.0)}, {})
        assert np.isclose(found, expected)


W = np.array([0.2, 0.3, 0.5])
SHARES = np.exp([0.0, 1.0, -2.0])  # of exponentials of AT, but for a common factor
AT = np.array([1000.0, 1001.0, 998.0])
SPELLED: list[tuple[Callable[[Any], Any], Any]] = [  # with the gradient at AT
    (lambda x: np.log(np.exp(x) @ W), SHARES * W / (SHARES @ W)),
    (lambda x: np.log(np.sum(np.exp(x) * W) / 2.0), SHARES * W / (SHARES @ W)),
    (lambda x: np.log1p(np.sum(np.exp(x))), SHARES / SHARES.sum()),
    (lambda x: np.log2(np.sum(np.e**x)), SHARES / SHARES.sum() / np.log(2.0)),
    (lambda x: np.log(np.sum(1 / np.exp(x))), -1 / SHARES / (1 / SHARES).sum()),
    (lambda x: np.exp(x) @ W / np.exp(x).sum(), SHARES / SHARES.sum() * (W - SHARES @ W / SHARES.sum())),
    (lambda x: np.sum(np.log((1 + np.exp(x)) ** 3)), np.full(3, 3.0)),
    (lambda x: np.sum(np.log(1 / np.cosh(x))), np.full(3, -1.0)),
]


@pytest.mark.parametrize(("spelled", "gradient"), SPELLED)
def test_sums_of_exponentials_however_they_are_written(spelled: Callable[[Any], Any], gradient: Any) -> None:
    value, found = cr.grad(spelled).value_and_grad(AT)
    assert np.isfinite(value)
    np.testing.assert_allclose(found, gradient, rtol=1e-12)


def test_a_deviation_of_equal_numbers_has_no_slope() -> None:
    np.testing.assert_array_equal(cr.grad(lambda x: np.std(x)).grad(np.full(4, 1e8)), np.zeros(4))


@pytest.mark.parametrize(("f", "arguments", "expected"), [
    (lambda a, x: a / np.exp(x), (0.0, -720.0), 0.0),
    (lambda a, x: a / np.exp(x), (1e-300, -720.0), 1e-300 * 1e308 * np.exp(720.0 - 308 * np.log(10.0))),
    (lambda a, x: np.log(a @ np.exp(x)), (np.array([1.0, 2.0]), np.array([np.inf, 1.0])), np.inf),
    (lambda a, x: np.log(np.sum(a * np.exp(x))), (np.array([1.0, 2.0]), np.array([np.inf, 1.0])), np.inf),
    (lambda a, x: np.log(a * np.exp(x) + 3), (2.0, np.inf), np.inf),
    (lambda a, x: a * np.exp(x) * np.exp(-2 * x) * np.exp(x + 1) / np.exp(a), (2.0, 800.0), 2 / np.e),
    (lambda a, x: np.sqrt(1 - (a / x) ** 2), (1.0, np.nan), np.nan),
    (lambda a, x: np.log(erf(a) - erf(x)), (np.nan, 0.5), np.nan),
    (lambda a, x: cr.grad(lambda b: (b**2 - x**2) ** 1.5).grad(a), (2.0, 2.0), 0.0),
    (lambda a, x: (a - 1) * np.log(x) + (2.0 - 1) * np.log(1 - x) - gammaln(a) - gammaln(2.0) + gammaln(a + 2.0), (1e-20, 0.5),
     np.log(1e-20)),
])
def test_stable_forms_keep_zeros_and_infinities(f: Any, arguments: Any, expected: float) -> None:
    np.testing.assert_allclose(cr.grad(f)(*arguments), expected, rtol=1e-12)
