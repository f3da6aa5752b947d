"""`cr.custom_vjp` and `cr.custom_jvp`: which derivative is used where, in both modes, of arrays and Tensors; errors."""
from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import chainrule as cr
from chainrule import grad

X, Y = np.array([0.1, -0.2, 3.0]), 1.5


@cr.custom_vjp
def limited(x):
    return x * 1.0


limited.defvjp(lambda x: (limited(x), None), lambda _, ct: (np.clip(ct, -1.0, 1.0),))


@partial(cr.custom_vjp, nondiff_argnums=(0,))
def powers(n, x, scales):
    return x ** n * scales["a"], np.sum(x)


powers.defvjp(lambda n, x, scales: (powers(n, x, scales), (x, scales["a"])),
              lambda n, saved, ct: (100 * ct[0] * saved[0] ** (n - 1) * saved[1] + ct[1], {"a": np.sum(ct[0] * saved[0])}))


@cr.custom_jvp
def product(x, y):
    return x * y


@product.defjvp
def _(primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    return product(x, y), 3.0 * dx * y + product(x, y) * dy


@cr.custom_jvp
def softplus(x):
    return np.log(1 + np.exp(x))


softplus.defjvps(lambda t, value, x: t * (1 - np.exp(-value)))


def test_reverse_mode_uses_the_rule():
    f = grad(lambda x: np.sum(limited(x) ** 2))
    value, slope = f.value_and_grad(X)
    assert value == np.sum(X ** 2)
    np.testing.assert_array_equal(slope, np.clip(2 * X, -1, 1))
    assert f.stats.kernels == 1, "the value is fused as if there were no rule"
    g = grad(lambda x, y: np.sum(powers(2, x, {"a": y})[0]) * powers(2, x, {"a": y})[1])
    dx, dy = g.grad(X, Y)
    total, sums = np.sum(X ** 2) * Y, np.sum(X)
    np.testing.assert_allclose(dx, 100 * sums * X * Y + total, rtol=1e-12)
    assert dy == pytest.approx(sums * np.sum(X))


def test_both_modes_of_a_jvp_rule_and_the_transpose_of_a_vjp_rule():
    f = grad(lambda x, y: np.sum(product(x, y * x)))
    dx = 3 * Y * X + product(X, Y * X) * Y
    dy = np.sum(product(X, Y * X) * X)
    np.testing.assert_allclose(f.grad(X, Y)[0], dx, rtol=1e-12)
    assert f.grad(X, Y)[1] == pytest.approx(dy)
    assert f.jvp((X, Y), (X, 0.5)) == pytest.approx(np.sum(dx * X) + 0.5 * dy)
    linear = grad(lambda x, y: powers(3, x, {"a": y})[0])
    np.testing.assert_allclose(linear.jvp((X, Y), (X, 0.5)), 100 * X ** 3 * Y + 0.5 * X, rtol=1e-12)
    np.testing.assert_allclose(linear.jacobian(X, Y, mode="forward")[0], linear.jacobian(X, Y, mode="reverse")[0])


def test_higher_orders_differentiate_the_rule():
    f = grad(lambda x: np.sum(softplus(x)))
    s = 1 / (1 + np.exp(-X))
    np.testing.assert_allclose(f.grad(X), s, rtol=1e-12)
    np.testing.assert_allclose(f.hessian(X), np.diag(s * (1 - s)), rtol=1e-11)
    third = grad(lambda x: np.sum(f.hvp(x, np.ones(3)))).grad(X)
    np.testing.assert_allclose(third, s * (1 - s) * (1 - 2 * s), rtol=1e-10)
    assert np.isfinite(f(np.array([1000.0, 0, 0]))), "the value is stabilised, and its slope is the rule's"
    np.testing.assert_array_equal(f.grad(np.array([1000.0, -1000.0, 0.0])), [1, 0, 0.5])


def test_rules_hold_for_examples_in_loops_branches_and_checkpoints():
    rows = np.stack([X, 2 * X])
    np.testing.assert_allclose(cr.vmap(grad(lambda x: np.sum(limited(x) ** 2)).grad)(rows), np.clip(2 * rows, -1, 1))
    np.testing.assert_allclose(grad(lambda X: np.sum(cr.vmap(lambda x: limited(x) * 5)(X))).grad(rows), np.ones((2, 3)))
    for wrapped in (cr.checkpoint(limited), lambda x: cr.cond(np.sum(x) > 0, limited, np.sin, (x,)),
                    lambda x: cr.scan(lambda c, _: (limited(c), None), x, length=2)[0]):
        f = grad(lambda x, wrapped=wrapped: np.sum(wrapped(x) ** 2))
        np.testing.assert_array_equal(f.grad(X), np.clip(2 * X, -1, 1))
        assert f(X) == pytest.approx(np.sum(X ** 2))


def test_tensors_use_the_rule_too():
    @cr.custom_vjp
    def clipped(x):
        return x * 1.0

    clipped.defvjp(lambda x: (clipped(x), x), lambda x, ct: (ct.clamp(-1, 1) * x,))
    x = cr.tensor(X, requires_grad=True)
    clipped(x).mul(5).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), X)
    (slope,) = cr.autograd.grad(clipped(x).mul(0.5).sum(), x, create_graph=True)
    np.testing.assert_array_equal(cr.autograd.grad(slope.sum(), x)[0].numpy(), np.full(3, 0.5))
    y = cr.tensor(Y, requires_grad=True, dtype=cr.float64)
    for made, expected in zip(cr.autograd.grad(product(x, y * x).sum(), [x, y]),
                              grad(lambda x, y: np.sum(product(x, y * x))).grad(X, Y), strict=True):
        np.testing.assert_allclose(made.numpy(), expected, rtol=1e-12)
    assert "clipped" in repr(clipped(x).grad_fn)
    assert product(2.0, 3.0) == 6.0


def test_formulas_have_the_value_and_the_rule():
    f = grad(lambda x, y: product(x, y) + 1)
    f(2.0, 3.0)
    assert str(f.formula) == "x*y + 1"
    assert str(f.derivative("x")) == "3*y"
    assert str(f.derivative("y")) == "x*y"
    assert " = custom(" in str(f.ir("traced"))
    assert " = custom(" not in str(f.ir("simplified"))


@cr.custom_vjp
def odd(x):
    return x * 2


def refused(fwd, bwd, x=X):
    odd.defvjp(fwd, bwd)
    grad(lambda x: np.sum(odd(x))).grad(x)


@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda: refused(lambda x: x, lambda r, ct: (ct,)), cr.ArgumentError, r"fwd rule of odd returned Traced, not \(value, residuals\)"),
    (lambda: refused(lambda x: (x[1:], x), lambda r, ct: (ct,)), cr.ShapeError, r"float64\[2\].*float64\[3\]"),
    (lambda: refused(lambda x: (x * 2, x), lambda r, ct: ct), cr.ArgumentError, "one cotangent for each of its 1 arguments, not Traced"),
    (lambda: refused(lambda x: (x * 2, x), lambda r, ct: (ct, ct)), cr.ArgumentError, "not a tuple of 2"),
    (lambda: refused(lambda x: (x * 2, x), lambda r, ct: (ct[1:],)), cr.ShapeError, r"argument 0 is float64\[2\].*float64\[3\]"),
    (lambda: refused(lambda x: (x * 2, x), lambda r, ct: (ct > 0,)), cr.DTypeError, r"argument 0 is bool\[3\].*float64\[3\]"),
    (lambda: grad(lambda x: limited(x)).jvp((X,), (X,)), cr.DifferentiationError, "limited has a rule that is not linear in its cot"),
    (lambda: grad(lambda x, y: cr_closed(y)(x)).grad(0.5, 0.5), cr.DifferentiationError, "reads other values .*make them arguments"),
    (lambda: cr.custom_vjp(lambda x: x)(1.0), AttributeError, "No VJP defined for custom_vjp function <lambda> using defvjp"),
    (lambda: cr.custom_jvp(lambda x: x)(1.0), AttributeError, "No JVP defined for custom_jvp function <lambda> using defjvp"),
])
def test_rules_that_do_not_fit_say_so(call, kind, message):
    with pytest.raises(kind, match=f"(?s){message}") as caught:
        call()
    assert kind is AttributeError or "test_custom_rules.py" in str(caught.value)


def cr_closed(y):
    made = cr.custom_vjp(lambda x: x * y)
    made.defvjp(lambda x: (x * y, None), lambda _, ct: (ct,))
    return made
