"""`cr.scan`: against the loop that it stands for, its derivatives, sizes, structures, errors."""
from __future__ import annotations

import types
from typing import NamedTuple

import numpy as np
import pytest

import chainrule as cr
from chainrule import grad
from chainrule.compiler import cache as caching, program
from chainrule.compiler.cache import key
from chainrule.compiler.derivation import derive
from chainrule.compiler.entry_spec import hits
from chainrule.compiler.pipeline import Options, Request
from chainrule.compiler.program import steps_of
from chainrule.compiler.schedule import CallStep

RNG = np.random.default_rng(3)
W, XS, H = RNG.normal(size=(3, 3)) * 0.5, RNG.normal(size=(7, 3)), RNG.normal(size=3)


@pytest.fixture
def interpreted(monkeypatch):
    monkeypatch.setenv("CHAINRULE_TIER", "interpret")


def loop(step, init, xs=None, length=None):
    """The same as an unrolled Python loop, for arrays."""
    kept = []
    for k in range(length if xs is None else len(xs)):
        init, y = step(init, None if xs is None else xs[k])
        kept.append(y)
    return init, None if kept[0] is None else np.stack(kept)


def recurrent(run, w, h, xs):
    """A recurrent network whose every state counts."""
    def step(h, x):
        h = np.tanh(w @ h + x)
        return h, np.sum(h * h)

    last, energies = run(step, h, xs)
    return np.sum(last * np.arange(3.0)) + np.sum(energies * energies)


def decayed(run, w, h, xs):
    """Nothing is kept, and a constant is computed from what is around the loop."""
    rate = np.exp(-np.sum(w * w))
    return np.sum(run(lambda c, x: (c * rate + np.sin(x * c), None), h, xs)[0])


def counted(run, w, h, xs):
    """Without rows."""
    return np.sum(run(lambda c, _: (np.cos(c) * w[0], c), h, None, 5)[1] ** 2)


def no_output(run, w, h, xs):
    """Every step reads the row; the state is a scalar."""
    return run(lambda c, x: (c + np.sum(np.log1p(np.exp(x * c + w[1]))), None), 0.25, xs)[0] * np.sum(h)


def again(run, w, h, xs):
    """The rows are read as a whole in each step, too, and two things that are read become one when they are simplified."""
    scale, same = np.sum(h) * 1.0, np.sum(h)

    def step(c, x):
        return np.tanh(c * scale + np.sum(xs * x, axis=0) - same * xs[0]) + w[0], c

    return np.sum(run(step, h, xs)[1] * 0.3)


def last_of_kept(run, w, h, xs):
    """Every state is kept and only the last one used."""
    return run(lambda c, x: (np.sin(w @ c) + x,) * 2, h, xs)[0][0]


PROGRAMS = [again, recurrent, decayed, counted, last_of_kept, no_output]


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("program", PROGRAMS)
def test_values_and_derivatives_are_those_of_the_loop(program):
    scanned, unrolled = grad(lambda *a: program(cr.scan, *a)), grad(lambda *a: program(loop, *a))
    arguments = W, H, XS
    directions = tuple(RNG.normal(size=a.shape) for a in arguments)
    assert scanned(*arguments) == pytest.approx(program(loop, *arguments), rel=1e-12)
    for a, b in zip(scanned.grad(*arguments), unrolled.grad(*arguments), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
    assert scanned.jvp(arguments, directions) == pytest.approx(unrolled.jvp(arguments, directions), rel=1e-11)
    for a, b in zip(scanned.hvp(arguments, directions), unrolled.hvp(arguments, directions), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11)


def test_compiled_programs_too_and_another_length_compiles_nothing():
    f = grad(lambda *a: recurrent(cr.scan, *a))
    for steps in (7, 30, 2):
        xs = RNG.normal(size=(steps, 3))
        value, gradients = f.value_and_grad(W, H, xs)
        assert value == pytest.approx(recurrent(loop, W, H, xs), rel=1e-12)
        assert [g.shape for g in gradients] == [(3, 3), (3,), (steps, 3)]
    assert (f.stats.traces, f.stats.compiles) == (1, 1)
    assert cr.check_grad(f, W, H, XS)


@pytest.mark.usefixtures("interpreted")
def test_the_program_does_not_grow_with_the_steps():
    f = grad(lambda x: cr.scan(lambda c, _: (c * 0.99 + x * np.tanh(c), None), x, length=100_000)[0])
    assert len(f.trace(0.5).ir("traced")) < 100


@pytest.mark.usefixtures("interpreted")
def test_no_steps_at_all():
    f = grad(lambda h, xs: np.sum(cr.scan(lambda c, x: (c * x, c), h, xs)[0] ** 2))
    np.testing.assert_array_equal(f.grad(H, np.ones((4, 3)))[0], 2 * H)
    np.testing.assert_array_equal(f.grad(H, np.zeros((0, 3)))[0], 2 * H)
    assert f.grad(H, np.zeros((0, 3)))[1].shape == (0, 3)


class Point(NamedTuple):
    x: object
    v: object


@pytest.mark.usefixtures("interpreted")
def test_structures_integers_and_flags_are_carried_exactly():
    big = 2**62 + 1

    @grad(wrt="x")
    def f(x, ks):
        def step(carry, k):
            point, n, seen = carry["point"], carry["n"], carry["seen"]
            point = Point(point.x + 0.1 * point.v, point.v - 0.1 * point.x)
            carry = {"point": point, "n": n + k, "seen": seen | (k == 5)}
            return carry, (point.x, n)

        carry, (xs, ns) = cr.scan(step, {"point": Point(x, 2.0 * x), "n": big, "seen": False}, ks)
        return np.sum(xs), carry["n"], carry["seen"], ns, carry["point"].v

    ks = np.array([3, -4, 5, 2])
    total, n, seen, ns, v = f(np.array([1.0, 2.0]), ks)
    assert (int(n), bool(seen)) == (big + 6, True)
    assert n.dtype == ns.dtype == np.int64
    assert ns.tolist() == [big, big + 3, big - 1, big + 4]
    x, w, expected = np.array([1.0, 2.0]), np.array([2.0, 4.0]), 0.0
    for _ in ks:
        x, w = x + 0.1 * w, w - 0.1 * x
        expected = expected + np.sum(x)
    assert total == pytest.approx(expected)
    np.testing.assert_allclose(v, w)


@pytest.mark.usefixtures("interpreted")
def test_float32_stays_float32_and_a_number_takes_the_dtype_of_what_is_carried():
    f = grad(lambda xs: cr.scan(lambda c, x: (c + x * x, x), 0.0, xs))
    xs = np.arange(4, dtype=np.float32)
    total, kept = f(xs)
    assert (total.dtype, kept.dtype) == (np.float32, np.float32)
    assert total == 14.0
    np.testing.assert_array_equal(kept, xs)
    mean = grad(lambda xs: cr.scan(lambda c, x: (c + x / 2, None), 0, xs)[0])
    assert mean.grad(np.arange(3.0)).tolist() == [0.5, 0.5, 0.5]


@pytest.mark.usefixtures("interpreted")
def test_loops_in_loops_and_decorated_functions_in_steps():
    inner = grad(lambda a, b: np.sum(np.sin(a) * b))

    def nested(run, w, xs):
        def step(c, x):
            d, _ = run(lambda d, row: (np.tanh(d + row * c), None), x, w)
            return c * 0.5 + np.sum(d) * 0.1 + inner.grad(x, w[0])[0][0], None

        return run(step, 0.5, xs)[0]

    scanned, unrolled = grad(lambda w, xs: nested(cr.scan, w, xs)), grad(lambda w, xs: nested(loop, w, xs))
    assert scanned(W, XS) == pytest.approx(unrolled(W, XS), rel=1e-12)
    for a, b in zip(scanned.grad(W, XS), unrolled.grad(W, XS), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


RATE = np.array([0.5, 0.25, 2.0])


def global_step(c, x):
    return c * RATE + x, None


@pytest.mark.usefixtures("interpreted")
def test_captured_arrays_are_read_at_each_call(monkeypatch):
    f = grad(lambda h, xs: np.sum(cr.scan(global_step, h, xs)[0]))
    for factor in (1.0, 3.0):
        monkeypatch.setitem(globals(), "RATE", RATE * factor)
        np.testing.assert_allclose(f.grad(H, XS)[0], RATE**7)
    assert f.stats.traces == 1


def test_outside_of_a_trace_it_is_a_loop():
    carry, ys = cr.scan(lambda c, x: (c + x, (c, 2.0)), np.zeros(2), np.arange(6.0).reshape(3, 2))
    assert carry.tolist() == [6.0, 9.0]
    assert ys[0].tolist() == [[0.0, 0.0], [0.0, 1.0], [2.0, 4.0]]
    assert ys[1].tolist() == [2.0, 2.0, 2.0]
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    last, kept = cr.scan(lambda c, _: (c * x, c), x, length=2)
    (last.sum() + kept.sum()).backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * x.detach().numpy() ** 2 + 1 + 2 * x.detach().numpy())


@pytest.mark.usefixtures("interpreted")
def test_it_can_be_looked_at():
    f = grad(lambda *a: recurrent(cr.scan, *a))
    f.grad(W, H, XS)
    assert " = scan(" in str(f.ir("traced"))
    assert str(f.ir("simplified")).count(" = scan(") >= 2
    assert f.stats.flops > 0


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(("call", "message"), [
    (lambda x: cr.scan(lambda c, _: (c, None), x), "needs xs or length"),
    (lambda x: cr.scan(lambda c, r: (c, None), x, (x, x[1:])), "lengths .* differ"),
    (lambda x: cr.scan(lambda c, r: (c, None), x, x, length=2), "lengths .* differ"),
    (lambda x: cr.scan(lambda c, r: (c, None), x, 2.0), "no first axis"),
    (lambda x: cr.scan(lambda c, r: c, x, x), "not \\(carry, y\\)"),
    (lambda x: cr.scan(lambda c, r: ((c, c), None), x, x), "another structure"),
    (lambda x: cr.scan(lambda c, r: (np.sum(c), None), x, x), "shapes and dtypes must stay"),
    (lambda x: cr.scan(lambda c, r: (c > 0, None), x, x), "shapes and dtypes must stay"),
])
def test_what_does_not_fit_is_said_with_the_line(call, message):
    with pytest.raises(cr.ArgumentError, match=message) as caught:
        grad(call).trace(np.ones(3))
    assert "test_scan.py" in str(caught.value)


@pytest.mark.usefixtures("interpreted")
def test_a_value_of_one_step_cannot_leave_the_loop():
    def leaking(x):
        seen = []
        cr.scan(lambda c, row: (seen.append(row * 2.0) or c, None), x, x)
        return np.sum(x) + seen[0]

    with pytest.raises(cr.TraceError, match="return it from the step"):
        grad(leaking).trace(np.ones(3))


def test_a_loop_is_one_step_of_the_plan_and_its_steps_are_calls_of_a_compiled_entry():
    f = grad(lambda *a: recurrent(cr.scan, *a))
    f(W, H, XS)
    (node,) = (n for n in f.trace(W, H, XS).ir("traced").nodes() if n.op.name == "scan")
    step = steps_of(node.param("body"), 1)
    assert isinstance(step, types.BuiltinFunctionType)
    before = hits(step)
    f(W, H, XS)
    assert hits(step) - before == len(XS)
    f.grad(W, H, XS)
    assert f.stats.compiles == 2
    plan = f.ir("scheduled")
    assert sum(isinstance(s, CallStep) and s.node.op.name == "scan" for s in plan.steps) == 2  # states, and cotangents backward


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("program", [recurrent, decayed])
def test_whole_jacobians_and_hessians(program):
    scanned, unrolled = grad(lambda h: program(cr.scan, W, h, XS)), grad(lambda h: program(loop, W, h, XS))
    np.testing.assert_allclose(scanned.hessian(H), unrolled.hessian(H), rtol=1e-10, atol=1e-11)
    states, expected = (grad(lambda h, run=run: run(lambda c, x: (np.sin(W @ c) + x, c), h, XS)[1]) for run in (cr.scan, loop))
    for mode in ("forward", "reverse"):
        np.testing.assert_allclose(states.jacobian(H, mode=mode), expected.jacobian(H, mode=mode), rtol=1e-11, atol=1e-12)
    columns, expected_columns = (grad(lambda h, f=f: np.sin(f.jacobian(h, mode="forward")[-1])) for f in (states, expected))
    for mode in ("forward", "reverse"):
        np.testing.assert_allclose(columns.jacobian(H, mode=mode), expected_columns.jacobian(H, mode=mode), rtol=1e-10, atol=1e-11)


def test_programs_with_loops_and_their_steps_are_loaded_from_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", "1")
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(caching, "_state", caching._State())
    monkeypatch.setattr(key, "_sources", lambda: "the same")  # sources may be edited while tests run

    def nested(run, w, h, xs):
        return np.sum(run(lambda c, x: (run(lambda d, y: (np.sin(d * y) + w[0], None), c, xs)[0] * x, c), h, xs)[1])

    results = []
    for _ in range(2):
        program._compiled.clear()
        before = caching.cache.info()
        for function in (recurrent, nested):
            results.append(grad(lambda *a, function=function: function(cr.scan, *a)).value_and_grad(W, H, XS))
        after = caching.cache.info()
    assert after.misses == before.misses
    assert after.hits - before.hits == after.entries == before.entries == 10, "each entry once"
    for first, second in zip(results[:2], results[2:], strict=True):
        assert first[0] == second[0]
        assert all(np.array_equal(a, b) for a, b in zip(first[1], second[1], strict=True))


@pytest.mark.parametrize(("kind", "function", "loops"), [
    ("value", recurrent, [False]), ("jvp", recurrent, [False, False]), ("value_and_gradient", recurrent, [False, False]),
    ("jacobian_forward", recurrent, [False, False]), ("hessian", recurrent, [False, False, False, True]),
    # of which the last state alone is read; the states that a derivative walks through give the value, too
    ("value", decayed, [True]), ("value", last_of_kept, [True]), ("jvp", decayed, [False, True]), ("jvp", last_of_kept, [False, True]),
    ("jacobian_forward", last_of_kept, [False, True]), ("value_and_gradient", decayed, [False, False]),
])
def test_no_step_is_repeated_by_a_derivative(kind, function, loops):
    traced = grad(lambda *a: function(cr.scan, *a)).trace(W, H, XS).ir("traced")
    wrt = (1,) if kind in ("hessian", "jacobian_forward") else (0, 1, 2)
    _, graph, _ = derive(traced, Request(kind, wrt), Options())
    found = [node for node in graph.nodes() if node.op.name == "scan"]
    assert [node.param("last") for node in found] == loops
    assert len({node.param("body") for node in found}) == len(loops)


def test_a_jacobian_takes_one_kernel_a_step_for_all_its_columns():
    program._compiled.clear()
    f = grad(lambda h: cr.scan(lambda c, x: (np.sin(c) * x[0], c), h, XS)[1])
    states, columns, expected = H, np.eye(3), []
    for x in XS:
        expected.append(columns)
        states, columns = np.sin(states) * x[0], columns * np.cos(states) * x[0]
    np.testing.assert_allclose(f.jacobian(H, mode="forward"), expected, rtol=1e-12)
    ((body, step),) = ((body, step) for body, made in program._compiled.items() for step in made.values() if body.inputs[0].ndim == 2)
    assert hits(step) == len(XS)
    assert len(program.compile_program(body).record.steps) == 1
