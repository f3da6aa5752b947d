"""Decorated functions: arguments, structures, results, derivatives."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import pytest

import chainrule as cr
from chainrule import grad

RNG = np.random.default_rng(11)
W, X, Y = RNG.normal(size=3), RNG.normal(size=(5, 3)), RNG.normal(size=5)


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    monkeypatch.setenv("CHAINRULE_TIER", "interpret")


def loss(w, b, x, y):
    return np.mean((x @ w + b - y) ** 2)


def by_hand(w, b, x, y):
    r = x @ w + b - y
    return 2 / len(y) * x.T @ r, 2 * np.mean(r), 2 / len(y) * np.outer(r, w), -2 / len(y) * r


def test_value_gradients_and_both():
    f = grad(loss)
    assert f(W, 0.5, X, Y) == pytest.approx(loss(W, 0.5, X, Y), rel=1e-14)
    expected = by_hand(W, 0.5, X, Y)
    for actual in (f.grad(W, 0.5, X, Y), f.value_and_grad(W, 0.5, X, Y)[1], f.vjp(W, 0.5, X, Y, cotangent=1.0)):
        assert isinstance(actual, tuple)
        for a, e in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-13)
    assert type(f(W, 0.5, X, Y)) is np.float64
    assert type(f.grad(W, 0.5, X, Y)[1]) is np.float64


@pytest.mark.parametrize("wrt", ["w", 0, ("w",), ["w"]])
def test_one_argument_gives_a_bare_gradient(wrt):
    gradient = grad(wrt=wrt)(loss).grad(W, 0.5, X, Y)
    np.testing.assert_allclose(gradient, by_hand(W, 0.5, X, Y)[0])


def test_wrt_by_names_positions_and_at_the_call():
    expected = by_hand(W, 0.5, X, Y)
    f = grad(wrt=("b", 0))(loss)
    b, w = f.grad(W, 0.5, X, Y)
    np.testing.assert_allclose(w, expected[0])
    assert b == pytest.approx(expected[1])
    np.testing.assert_allclose(f.grad(W, 0.5, X, Y, wrt="y"), expected[3])
    np.testing.assert_allclose(f.grad(W, 0.5, X, y=Y, wrt=-1), expected[3])
    assert isinstance(grad(lambda x: x * x).grad(3.0), np.float64)


def test_float32_stays_float32():
    f = grad(loss)
    w, x, y = (a.astype(np.float32) for a in (W, X, Y))
    value, gradients = f.value_and_grad(w, 0.5, x, y)
    assert type(value) is np.float32
    assert [g.dtype for g in gradients] == [np.float32, np.float64, np.float32, np.float32]


def test_a_gradient_of_what_the_output_does_not_depend_on_is_zeros():
    a, b = grad(lambda x, y: np.sum(x)).grad(np.ones((2, 3)), np.ones(4, np.float32))
    np.testing.assert_array_equal(b, np.zeros(4))
    assert b.dtype == np.float32
    np.testing.assert_array_equal(a, np.ones((2, 3)))
    assert grad(lambda x: 3.0).grad(1.0) == 0.0


def test_results_share_no_memory_with_arguments_or_each_other():
    f = grad(lambda x: (x, x, x.T, x + 0))
    x = np.ones((2, 2))
    made = f(x)
    for k, a in enumerate(made):
        a[0, 0] = 10.0 + k
    assert [a[0, 0] for a in made] == [10.0, 11.0, 12.0, 13.0]
    assert x[0, 0] == 1.0


def test_non_contiguous_readonly_and_byteswapped_arguments():
    f = grad(lambda x: np.sum(x * np.arange(3.0)))
    for x in (np.ones((3, 2))[:, 0], np.ones(6)[::-2], np.ones(3, ">f8"), np.broadcast_to(1.0, 3)):
        np.testing.assert_array_equal(f.grad(x), [0.0, 1.0, 2.0])


def test_scalars_of_every_kind():
    f = grad(lambda a, b, c: a * b + c)
    assert f.grad(2.0, np.float64(3.0), np.array(1.0)) == (3.0, 2.0, 1.0)
    assert f(2.0, np.float32(3.0), 1.0).dtype == np.float32


# ------------------------------------------------------------------------------------------------ structures
class Layer(NamedTuple):
    weight: np.ndarray
    bias: float


@dataclasses.dataclass(frozen=True)
class Model:
    layers: list
    name: str = "net"
    rate: float = 0.5


def run(model, x):
    for layer in model.layers:
        x = np.tanh(x @ layer.weight + layer.bias)
    return np.sum(x) * model.rate


def test_gradients_have_the_structure_of_the_argument():
    model = Model([Layer(RNG.normal(size=(3, 4)), 0.1), Layer(RNG.normal(size=(4, 2)), 0.2)])
    gradient, _ = grad(run).grad(model, X)
    assert isinstance(gradient, Model)
    assert gradient.name is None
    assert isinstance(gradient.layers[1], Layer)
    assert gradient.layers[0].weight.shape == (3, 4)
    step = 1e-6
    moved = [run(Model([model.layers[0]._replace(bias=0.1 + s * step), model.layers[1]]), X) for s in (1, -1)]
    assert gradient.layers[0].bias == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-6)


def test_dicts_lists_and_tuples_of_arrays():
    f = grad(lambda p, k: np.sum(p["a"] ** 2) * p["b"][0] + p["b"][1] * k["n"])
    g = f.grad({"a": W, "b": [2.0, 3.0], "c": "text"}, {"n": 4})
    np.testing.assert_allclose(g["a"], 4 * W)
    assert g["b"] == [pytest.approx(np.sum(W**2)), 4.0]
    assert g["c"] is None


def test_outputs_in_a_structure():
    f = grad(lambda x: {"sum": x.sum(), "parts": (x * 2, [x[0]]), "label": "it"})
    made = f(W)
    assert made["label"] == "it"
    np.testing.assert_allclose(made["parts"][0], 2 * W)
    jacobian = f.jacobian(W)
    np.testing.assert_allclose(jacobian["sum"], np.ones(3))
    np.testing.assert_allclose(jacobian["parts"][0], 2 * np.eye(3))
    np.testing.assert_allclose(jacobian["parts"][1][0], [1, 0, 0])


# ------------------------------------------------------------------------------------------------ kinds of functions
class Regression:
    scale = 2.0

    def __init__(self):
        self.w = W.copy()
        self.seen = 0

    @grad
    def loss(self, x, power=2):
        self.seen += 1
        return np.sum((x @ self.w) ** power) * self.scale

    @property
    def half(self):
        return self.w / 2

    @grad(wrt="x")
    def by_property(self, x):
        return np.sum(self.half * x)

    @staticmethod
    @grad
    def static(x):
        return np.sum(x**2)

    @classmethod
    def make(cls):
        return cls()

    @grad
    def __call__(self, x):
        return np.sum(self.w * x)


def test_methods_see_their_instance_and_its_arrays_by_reference():
    m, other = Regression(), Regression()
    np.testing.assert_allclose(m.loss.grad(X), 4 * np.outer(X @ m.w, m.w))
    m.w *= 2
    np.testing.assert_allclose(m.loss.grad(X), 4 * np.outer(X @ m.w, m.w))
    np.testing.assert_allclose(other.loss.grad(X), 4 * np.outer(X @ W, W))
    assert m.loss(X, power=1) == pytest.approx(2 * np.sum(X @ m.w))
    np.testing.assert_allclose(m.by_property.grad(W), m.w / 2)
    m.w[0] = 7.0
    np.testing.assert_allclose(m.by_property.grad(W), m.w / 2)
    np.testing.assert_allclose(Regression.static.grad(W), 2 * W)
    np.testing.assert_allclose(m(W), np.sum(m.w * W))
    m.scale = 10.0
    np.testing.assert_allclose(m.loss(X), 10 * np.sum((X @ m.w) ** 2))
    assert m.seen < 6


class Nested:
    def __init__(self):
        self.w, self.rate = W.copy(), 2.0

    @grad
    def energy(self, x):
        return np.sum(self.w * x ** 2) * self.rate

    @grad
    def slope_norm(self, x):
        return np.sum(self.energy.grad(x) ** 2)


def test_a_decorated_method_that_calls_another():
    m = Nested()
    for change in (lambda: None, lambda: setattr(m, "rate", 3.0), lambda: m.w.fill(2.0)):
        change()
        assert m.slope_norm(W) == pytest.approx(np.sum((2 * m.w * W * m.rate) ** 2))
        np.testing.assert_allclose(m.slope_norm.grad(W), 8 * (m.w * m.rate) ** 2 * W)


def test_defaults_keywords_and_variadic_parameters():
    def f(a, b=2.0, *rest, c, d=1.0, **more):
        return a * b * c * d + sum(rest) + more.get("e", 0.0)

    g = grad(f)
    assert g.grad(2.0, c=3.0) == (6.0, 4.0)  # what is left at its default is not differentiated
    assert g.grad(2.0, c=3.0, wrt="b") == 6.0
    assert g.grad(2.0, 3.0, 4.0, 5.0, c=1.0, e=6.0) == (3.0, 2.0, 1.0, 1.0, 6.0, 1.0)
    assert g.grad(2.0, 3.0, 4.0, 5.0, c=1.0, wrt="rest") == (1.0, 1.0)
    assert g.grad(2.0, c=1.0, e=6.0, wrt=("e", "a")) == (1.0, 2.0)
    assert g(2.0, c=3) == 12.0


def test_lambdas_partials_callable_objects_and_builtins():
    assert grad(lambda x: x**3).grad(2.0) == 12.0
    assert grad(functools.partial(lambda k, x: k * x**2, 3.0)).grad(2.0) == 12.0
    assert grad(functools.partial(lambda x, k: k * x**2, k=3)).grad(2.0) == 12.0

    class Cube:
        def __call__(self, x):
            return x**3

    assert grad(Cube()).grad(2.0) == 12.0
    assert grad(np.square).grad(3.0) == 6.0
    assert grad(grad(lambda x: x * x)).grad(3.0) == 6.0


def test_the_decorated_function_keeps_its_name_and_signature():
    @grad
    def documented(x):
        """Text."""
        return x

    assert (documented.__name__, documented.__doc__) == ("documented", "Text.")
    assert "documented(x)" in repr(documented)


# ------------------------------------------------------------------------------------------------ derivatives of every kind
def vector(x, a):
    return np.sin(x) * a + np.cumsum(x)


def test_jacobian_in_both_modes_and_shapes():
    f = grad(vector)
    x = RNG.normal(size=4)
    expected = np.diag(np.cos(x) * 1.5) + np.tril(np.ones((4, 4)))
    for mode in (None, "forward", "reverse"):
        jx, ja = f.jacobian(x, 1.5, mode=mode)
        np.testing.assert_allclose(jx, expected, atol=1e-14)
        np.testing.assert_allclose(ja, np.sin(x))
    outer = grad(lambda m: m @ m.T).jacobian(X)
    assert outer.shape == (5, 5, 5, 3)
    np.testing.assert_allclose(outer[1, 2, 1], X[2])


def test_jvp_and_vjp_are_the_jacobian_times_a_vector():
    f = grad(vector)
    x, t, ct = RNG.normal(size=(3, 4))
    jx, ja = f.jacobian(x, 1.5)
    np.testing.assert_allclose(f.jvp((x, 1.5), (t, 0.3)), jx @ t + ja * 0.3)
    gx, ga = f.vjp(x, 1.5, cotangent=ct)
    np.testing.assert_allclose(gx, ct @ jx)
    assert ga == pytest.approx(ct @ ja)
    value, tangent = cr.jvp(f, (x, 1.5), (t, 0.3))
    np.testing.assert_allclose(value, vector(x, 1.5))
    np.testing.assert_allclose(tangent, jx @ t + ja * 0.3)
    value, pullback = cr.vjp(f, x, 1.5)
    np.testing.assert_allclose(value, vector(x, 1.5))
    np.testing.assert_allclose(pullback(ct)[0], ct @ jx)
    only = grad(wrt="x")(vector)
    np.testing.assert_allclose(only.jvp((x, 1.5), (t,)), jx @ t)
    np.testing.assert_allclose(only.jvp((x, 1.5), t), jx @ t)


def test_hessian_and_hvp():
    f = grad(lambda x, a: np.sum(x**3) * a + a**2)
    x, v = RNG.normal(size=(2, 3))
    (hxx, hxa), (hax, haa) = f.hessian(x, 2.0)
    np.testing.assert_allclose(hxx, np.diag(12 * x))
    np.testing.assert_allclose(hxa, 3 * x**2)
    np.testing.assert_allclose(hax, 3 * x**2)
    assert haa == 2.0
    px, pa = f.hvp((x, 2.0), (v, 0.5))
    np.testing.assert_allclose(px, 12 * x * v + 3 * x**2 * 0.5)
    assert pa == pytest.approx(3 * x**2 @ v + 1.0)
    single = grad(lambda x: np.sum(x**3))
    np.testing.assert_allclose(single.hvp((x,), (v,)), 6 * x * v)
    np.testing.assert_allclose(single.hvp(x, v), 6 * x * v)
    np.testing.assert_allclose(single.hessian(x), np.diag(6 * x))
    np.testing.assert_allclose(cr.hessian(lambda x: np.sum(x**3))(x), np.diag(6 * x))


def test_hessian_of_a_structured_argument():
    h = grad(lambda p: p["a"] ** 2 * p["b"]).hessian({"a": 3.0, "b": 2.0})
    assert h["a"]["a"] == 4.0
    assert h["a"]["b"] == h["b"]["a"] == 6.0
    assert h["b"]["b"] == 0.0


# ------------------------------------------------------------------------------------------------ inside another function
inner = grad(lambda x, a: np.sum(np.sin(x) * a))


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (lambda x: inner(x, 2.0), lambda x: 2 * np.cos(x)),
        (lambda x: np.sum(inner.grad(x, 2.0)[0] ** 2), lambda x: -8 * np.sin(x) * np.cos(x)),
        (
            lambda x: inner.value_and_grad(x, 2.0)[0] + np.sum(inner.grad(x, x[0], wrt="x")),
            lambda x: 2 * np.cos(x) - x[0] * np.sin(x) + np.array([np.sum(np.cos(x)), 0, 0]),
        ),
        (lambda x: np.sum(inner.hvp((x, 2.0), (x, 0.0))[0]), lambda x: -2 * (np.sin(x) + x * np.cos(x))),
        (lambda x: inner.jvp((x, 2.0), (x, 1.0)), lambda x: 2 * np.cos(x) - 2 * x * np.sin(x) + np.cos(x)),
        (lambda x: np.sum(inner.hessian(x, 2.0, wrt="x")), lambda x: -2 * np.cos(x)),
        (lambda x: np.sum(inner.vjp(x, 2.0, cotangent=x[0])[0]), lambda x: 2 * np.array([np.sum(np.cos(x)), 0, 0]) - 2 * x[0] * np.sin(x)),
        (
            lambda x: np.sum(grad(lambda t: np.cumsum(t**2)).jacobian(x) * np.arange(9.0).reshape(3, 3)),
            lambda x: 2 * np.tril(np.arange(9.0).reshape(3, 3)).sum(axis=0),
        ),
    ],
    ids=["call", "grad", "both", "hvp", "jvp", "hessian", "vjp", "jacobian"],
)
def test_a_decorated_function_inside_another(program, expected):
    np.testing.assert_allclose(grad(program).grad(W), expected(W), rtol=1e-12)


def test_the_same_argument_twice_is_two_arguments():
    product = grad(lambda a, b: np.sum(a * b**2))
    f = grad(lambda x: np.sum(product.grad(x, x)[0]))
    assert f(W) == pytest.approx(np.sum(W**2))


def test_a_third_derivative():
    f = grad(lambda x: x**4)
    g = grad(lambda x: f.grad(x))
    h = grad(lambda x: g.grad(x))
    assert h.grad(2.0) == pytest.approx(48.0)


def test_a_stopped_gradient_is_a_constant():
    f = grad(lambda x: np.sum(x * cr.stop_gradient(x)))
    np.testing.assert_allclose(f.grad(W), W)
    assert cr.stop_gradient({"a": [1.0]}) == {"a": [1.0]}


def test_check_grad_reports():
    report = cr.check_grad(loss, W, 0.5, X, Y)
    assert report
    assert "agrees" in str(report)
    wrong = cr.check_grad(lambda x: np.sum(cr.stop_gradient(x) * x), W)
    assert not wrong
    assert "BAD" in str(wrong)
    assert wrong.max_error > 0.01


def test_check_grad_near_a_minimum_where_the_difference_has_the_larger_error():
    assert cr.check_grad(lambda x: np.sum(100 * x - np.log(x)), np.array([0.01]))
    assert not cr.check_grad(lambda x: np.sum(100 * x - np.log(x) + 1e-4 * cr.stop_gradient(x)), np.array([0.01]))


def test_transforms_as_functions():
    value, gradients = cr.value_and_grad(loss)(W, 0.5, X, Y)
    assert value == pytest.approx(loss(W, 0.5, X, Y))
    np.testing.assert_allclose(gradients[0], by_hand(W, 0.5, X, Y)[0])
    np.testing.assert_allclose(cr.jacobian(lambda x: x**2)(W), np.diag(2 * W))
    np.testing.assert_allclose(cr.jacobian(lambda x: x**2, mode="forward")(W), np.diag(2 * W))


@pytest.mark.parametrize("wrt", [("w", "b"), (0, 1), (-4, -3)])
def test_stages_show_the_gradient_by_the_arguments_of_the_decoration(wrt):
    assert len(grad(loss, wrt=wrt).trace(W, 0.5, X, Y).ir("simplified").outputs) == 2
    assert len(grad(loss).trace(W, 0.5, X, Y).ir("simplified").outputs) == 4
