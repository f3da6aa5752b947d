"""`cr.while_loop`: against Python's `while`, derivatives in both modes, examples, nesting, what runs, errors."""
from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import grad
from chainrule.compiler.entry_spec import hits
from chainrule.compiler.program import steps_of

W = np.random.default_rng(0).normal(size=(4, 4)) * 0.4


def plain(go, step, value):
    while go(value):
        value = step(value)
    return value


def newton(loop, a, x):
    """A square root and the number of steps to it."""
    x, k = loop(lambda c: (np.abs(c[0] * c[0] - a) > 1e-12) & (c[1] < 50), lambda c: (0.5 * (c[0] + a / c[0]), c[1] + 1), (x, 0))
    return x * (1 + 0 * k)


def settled(loop, x, w):
    """A state that is an array, until it is small."""
    return np.sum(loop(lambda h: np.sum(h * h) > 1e-3, lambda h: np.tanh(w @ h) * 0.9, x) * np.arange(4.0))


def grown(loop, c):
    return loop(lambda d: d < 2.0, lambda d: d * 1.5, c)


def nested(loop, x, _):
    y = loop(lambda c: c < 4.0, lambda c: grown(loop, c * 0.5) + 3 * np.sin(c) ** 2 + 1, x)
    return grown(loop, y * 0.1) * x


@pytest.mark.parametrize("tier", ["compiled", "interpret"])
@pytest.mark.parametrize(("function", "x", "y"), [(newton, 2.0, 1.0), (settled, np.ones(4), W), (nested, 0.3, 0.0)])
def test_values_and_derivatives_are_those_of_the_steps_that_were_made(monkeypatch, tier, function, x, y):
    monkeypatch.setenv("CHAINRULE_TIER", tier)
    f = grad(lambda x, y: function(cr.while_loop, x, y))
    value, (dx, dy) = f.value_and_grad(x, y)
    assert value == pytest.approx(function(plain, x, y), rel=1e-13)
    assert f(x, y) == value
    direction = np.ones_like(x) * 1e-6
    change = (function(plain, x + direction, y) - function(plain, x - direction, y)) / 2e-6
    assert np.sum(dx) == pytest.approx(change, rel=1e-7)
    assert f.jvp((x, y), (x, y)) == pytest.approx(np.sum(dx * x) + np.sum(dy * y), rel=1e-10)
    if tier == "compiled":
        assert sum(n.op.name in ("while", "while_states") for n in f.trace(x, y).ir("traced").nodes()) == (2 if function is nested else 1)


def test_higher_orders_and_no_step_at_all():
    f = grad(lambda a: newton(cr.while_loop, a, 1.0))
    assert f.hessian(2.0) == pytest.approx(-0.25 * 2 ** -1.5)
    assert (f(1.0), f.grad(1.0)) == (1.0, 0.0)
    identity = grad(lambda x: grown(cr.while_loop, x))
    assert (identity(5.0), identity.grad(5.0), identity.jvp((5.0,), (2.0,))) == (5.0, 1.0, 2.0)
    assert identity.grad(1e-60) == pytest.approx(1.5 ** np.ceil(np.log(2e60) / np.log(1.5))), "more states than there is room for at first"


def test_examples_run_until_all_are_done():
    x = np.array([0.3, 1.7, 5.0])
    f = grad(lambda x: nested(cr.while_loop, x, None))
    np.testing.assert_allclose(cr.vmap(f)(x), [nested(plain, v, None) for v in x], rtol=1e-13)
    np.testing.assert_allclose(cr.vmap(f.grad)(x), [f.grad(v) for v in x], rtol=1e-12)
    roots = grad(lambda X: np.sum(cr.vmap(lambda v: grown(cr.while_loop, v))(X)))
    np.testing.assert_allclose(roots.grad(x), [1.5 ** 5, 1.5, 1.0])


def test_loops_hold_in_branches_steps_and_checkpoints():
    for wrapped in (lambda x: cr.cond(x > 0, lambda: grown(cr.while_loop, x) * x, lambda: x, ()),
                    cr.checkpoint(lambda x: grown(cr.while_loop, x) * x),
                    lambda x: cr.scan(lambda c, _: (grown(cr.while_loop, c), None), x, length=2)[0] * x):
        f = grad(wrapped)
        assert (f(0.5), f.grad(0.5)) == (pytest.approx(0.25 * 1.5 ** 4), pytest.approx(1.5 ** 4))


def test_the_loop_is_one_call_of_compiled_code():
    f = grad(lambda x: cr.while_loop(lambda c: c[0] < 1000, lambda c: (c[0] + 1, c[1] * x), (0, 1.0))[1])
    assert f(1.001) == pytest.approx(1.001 ** 1000)
    (node,) = (n for n in f.ir("traced").nodes() if n.op.name == "while")
    step = steps_of(node.param("body"), 1, until=True)
    before = hits(step)
    f(1.001)
    assert hits(step) - before == 1000
    assert f.grad(1.001) == pytest.approx(1000 * 1.001 ** 999)
    assert f.stats.compiles == 2


def test_outside_of_a_trace_it_is_a_python_loop():
    assert cr.while_loop(lambda c: c[1] < 3, lambda c: (c[0] * 2, c[1] + 1), (np.ones(2), 0))[0].tolist() == [8, 8]
    t = cr.tensor(0.5, requires_grad=True)
    cr.while_loop(lambda c: c < 2, lambda c: c * 1.5, t).backward()
    assert t.grad.item() == pytest.approx(1.5 ** 4)


@pytest.mark.parametrize(("go", "step", "kind", "message"), [
    (lambda c: c, lambda c: c, cr.DTypeError, r"must return one truth value, bool\[\], not float64\[3\]"),
    (lambda c: c[0] > 0, lambda c: (c, c), cr.ArgumentError, "another structure .*: 2 values, not 1"),
    (lambda c: c[0] > 0, lambda c: c[1:], cr.ShapeError, r"given float64\[3\] for init_val and returned float64\[2\]"),
    (lambda c: c[0] > 0, lambda c: c > 0, cr.DTypeError, r"given float64\[3\] for init_val and returned bool\[3\]"),
    (3, lambda c: c, cr.ArgumentError, "cond_fun is int"),
])
def test_what_does_not_fit_says_so(go, step, kind, message):
    with pytest.raises(kind, match=message) as caught:
        grad(lambda x: np.sum(cr.while_loop(go, step, x)))(np.ones(3))
    assert "test_while_loop.py" in str(caught.value)
