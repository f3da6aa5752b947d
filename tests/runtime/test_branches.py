"""`cr.cond` and `cr.checkpoint`: values, derivatives in both modes, examples, what runs, memory, formulas, errors."""
from __future__ import annotations

import os
import subprocess
import sys
import types

import numpy as np
import pytest

import chainrule as cr
from chainrule import grad
from chainrule.compiler.entry_spec import hits
from chainrule.compiler.program import branch_of

X = np.array([0.1, 0.2, 0.3])
W = np.random.default_rng(0).normal(size=(4, 4))


def chosen(x, w):
    y, (n, total) = cr.cond(np.sum(x) > 0, lambda x: (np.sin(x) * w, (1, np.sum(x))), lambda x: (np.exp(x), (2, w * 2.0)), (x,))
    return np.sum(y ** 2) * n + total


def written_out(x, w):
    yes = np.sum(x) > 0
    y, n, total = np.where(yes, np.sin(x) * w, np.exp(x)), np.where(yes, 1, 2), np.where(yes, np.sum(x), w * 2.0)
    return np.sum(y ** 2) * n + total


def nested(x, w):
    """A branch within a branch, in a step of a loop."""
    def step(c, k):
        return cr.cond(k > 1, lambda: cr.cond(c > w, lambda: c * w, lambda: np.sin(c)), lambda: c + x[0], ()), None

    return cr.scan(step, np.sum(x), np.arange(4))[0]


def nested_out(x, w):
    c = np.sum(x)
    for k in range(4):
        c = np.where(c > w, c * w, np.sin(c)) if k > 1 else c + x[0]
    return c


def test_small_branches_are_selections_in_the_program_around_them():
    f = grad(lambda x, w: cr.cond(x > w, lambda: x * w, lambda: np.sin(x), ()))
    assert f.value_and_grad(3.0, 2.0) == (6.0, (2.0, 3.0))
    assert f.value_and_grad(1.0, 2.0) == (np.sin(1.0), (np.cos(1.0), 0.0))
    assert "\n\n\ndef" not in f.source("value_and_gradient"), "one kernel"
    assert isinstance(f.value_and_grad.func, types.BuiltinFunctionType), "a call looks at nothing that branches close over"
    divided = grad(lambda x, n: x * cr.cond(n != 0, lambda: 7 // n, lambda: 0, ()), wrt="x")
    assert [divided.grad(1.0, n) for n in (0, 2)] == [0.0, 3.0]


def test_functions_that_are_garbage_are_collected_whatever_memory_is_free():
    program = """if True:
        import gc, numpy as np, chainrule as cr
        f = cr.grad(lambda x, w: cr.cond(np.sum(x) > w, lambda: np.sum(x) * w, lambda: np.sum(np.sin(x)), ()))
        for _ in range(3):
            f(np.ones(3), 1.0)
        del f
        gc.collect()
    """
    environment = {**os.environ, "PYTHONMALLOC": "malloc", "MALLOC_PERTURB_": "254"}  # glibc writes it over what is freed
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0


@pytest.mark.parametrize("tier", ["compiled", "interpret"])
@pytest.mark.parametrize(("function", "other"), [(chosen, written_out), (nested, nested_out)])
def test_a_branch_is_the_selection_in_every_mode_and_order(monkeypatch, tier, function, other):
    monkeypatch.setenv("CHAINRULE_TIER", tier)
    f, g = grad(function), grad(other)
    for x in (X, -X):
        arguments, directions = (x, 1.3), (x * 2, 0.5)
        for name, given in [("value_and_grad", arguments), ("hvp", (arguments, directions)), ("jvp", (arguments, directions)),
                            ("hessian", arguments)][:4 if tier == "interpret" else 2]:
            ours, theirs = ([], [])
            for kept, found in ((ours, getattr(f, name)(*given)), (theirs, getattr(g, name)(*given))):
                stack = [found]
                while stack:
                    item = stack.pop()
                    stack += item if isinstance(item, tuple) else []
                    kept += [] if isinstance(item, tuple) else [item]
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_examples_that_take_different_branches_are_selected():
    rows = np.stack([X, -X, 2 * X])
    both = cr.vmap(grad(chosen).grad, in_axes=(0, None))(rows, 1.3)
    for k, x in enumerate(rows):
        for a, b in zip(both, grad(written_out).grad(x, 1.3), strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-12)
    inside = grad(lambda x, w: cr.cond(w > 0, lambda x: np.sin(x) * w, lambda x: x, (x,)))
    np.testing.assert_allclose(cr.vmap(inside, in_axes=(0, None))(rows, 2.0), np.sin(rows) * 2)


def test_only_the_branch_that_is_taken_runs():
    f = grad(lambda x: cr.cond(x[0] > 0, lambda: np.sum(np.sin(x)), lambda: np.sum(np.linalg.inv(np.zeros((2, 2)) * x[0])), ()))
    assert f(X) == np.sum(np.sin(X))
    (node,) = (n for n in f.ir().nodes() if n.op.name == "cond")
    taken = branch_of(node.param("then"))
    before = hits(taken)
    np.testing.assert_allclose(f.grad(X), np.cos(X))
    f(X)
    assert hits(taken) == before + 1
    with pytest.raises(np.linalg.LinAlgError):
        f(-X)
    leak = grad(lambda x: cr.cond(np.sum(x) > 0, lambda: np.sum(np.sqrt(x)), lambda: np.sum(x), ()))
    np.testing.assert_array_equal(leak.grad(-X), np.ones(3))


def test_a_known_predicate_chooses_at_once():
    for pred in (True, 1, np.True_, np.array([True]), cr.tensor([True]), cr.tensor(2.0)):
        assert cr.cond(pred, lambda x: x + 1, lambda x: 1 / 0, (cr.tensor(1.0),)).item() == 2
    x = cr.tensor(0.5, requires_grad=True)
    cr.cond(x < 0, lambda x: x, lambda x: x.sin(), (x,)).backward()
    assert x.grad.item() == pytest.approx(np.cos(0.5))
    examples = cr.vmap(lambda x: cr.cond(x > 0, lambda x: x * 2, lambda x: -x, (x,)))(cr.tensor([1.0, -3.0]))
    assert examples.tolist() == [2.0, 3.0]
    assert grad(lambda x: cr.cond(len(x.shape) > 1, lambda: 0.0, lambda: np.sum(x), ()))(X) == np.sum(X)


@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda x: cr.cond(x[0] > 0, lambda: (x, x), lambda: x, ()), cr.ArgumentError,
     r"same number of outputs but got:\n  true branch returns 2 item\(s\)\n  false branch returns 1 item"),
    (lambda x: cr.cond(x[0] > 0, lambda: (x,), lambda: [x], ()), cr.ArgumentError, r"different structures.*\(\*\) and \[\*\]"),
    (lambda x: cr.cond(x[0] > 0, lambda: x, lambda: x[1:], ()), cr.ShapeError, r"output 0.*float64\[3\].*float64\[2\]"),
    (lambda x: cr.cond(x[0] > 0, lambda: x, lambda: x > 0, ()), cr.DTypeError, r"output 0.*float64\[3\].*bool\[3\]"),
    (lambda x: cr.cond(x > 0, lambda: x, lambda: x, ()), RuntimeError, r"single-element tensor, but got bool\[3\]"),
    (lambda x: cr.cond(x[0] > 0, x, lambda: x, ()), RuntimeError, "both branches to be callable"),
    (lambda x: cr.cond(x[0] > 0, lambda x: x, lambda x: x, x), RuntimeError, "operands to be a tuple"),
    (lambda x: cr.checkpoint(3), cr.ArgumentError, "takes a function, not int"),
    (lambda x: cr.checkpoint(np.sin, policy=print)(x), cr.ArgumentError, "no policies"),
])
def test_what_does_not_fit_says_so(call, kind, message):
    with pytest.raises(kind, match=f"(?s){message}") as caught:
        grad(call)(X)
    assert "test_branches.py" in str(caught.value) or kind is RuntimeError


def test_formulas_are_selections_and_the_ir_has_one_node():
    f = grad(lambda x, w: cr.cond(x > w, lambda: x * w, lambda: np.sin(x), ()))
    f(1.0, 2.0)
    assert str(f.formula) == "where(x > w, x*w, sin(x))"
    assert str(f.derivative("x")) == "where(x > w, w, cos(x))"
    assert " = cond(" in str(f.ir("traced"))
    assert "# then(" in grad(lambda x, w: cr.cond(w > 0, lambda: x @ x, lambda: np.sum(x), ())).trace(X, 1.0).source()
    assert str(grad(lambda x: cr.checkpoint(np.sin)(x) * x).derivative("x")) == "x*cos(x) + sin(x)"


# ------------------------------------------------------------------------------------------------ checkpoint
def chain(wrap, layers=4):
    def layer(h):
        for _ in range(3):
            h = np.tanh(h) @ W
        return h

    def program(x):
        for _ in range(layers):
            x = wrap(layer)(x)
        return x

    return grad(program)


def test_a_checkpoint_keeps_its_arguments_only_and_changes_no_bit():
    x, ct = np.random.default_rng(1).normal(size=(200, 4)), np.random.default_rng(2).normal(size=(200, 4))
    plain, saving = chain(lambda f: f), chain(cr.checkpoint)
    assert np.array_equal(plain.vjp(x, cotangent=ct), saving.vjp(x, cotangent=ct))
    kept, peak = (getattr(plain.stats, name) / getattr(saving.stats, name) for name in ("bytes", "peak_bytes"))
    assert kept > 2
    assert peak > 1.5
    nodes = saving.trace(x).ir("traced").nodes()
    assert sum(n.op.name == "checkpoint" for n in nodes) == 4
    assert not any(n.op.name == "tanh" for n in nodes), "nothing inside is a value of the program"


def test_checkpoints_are_those_of_both_libraries():
    @cr.checkpoint
    def scaled(x, scale=2.0):
        """Text."""
        return {"y": np.sin(x) * scale, "n": 3}

    assert scaled.__doc__ == "Text."
    f = grad(lambda x: np.sum(scaled(x, scale=x[0])["y"]) * scaled(x)["n"])
    np.testing.assert_allclose(f.grad(X), 3 * (np.cos(X) * X[0] + np.sum(np.sin(X)) * np.array([1, 0, 0])), rtol=1e-12)
    torch_form = grad(lambda x: np.sum(cr.checkpoint(lambda a, b: np.sin(a) * b, x, x, use_reentrant=False)))
    np.testing.assert_allclose(torch_form.grad(X), np.sin(X) + X * np.cos(X), rtol=1e-12)
    t = cr.tensor(X, requires_grad=True)
    cr.checkpoint(cr.sin, t, use_reentrant=False).sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), np.cos(X))
    assert cr.checkpoint(np.sin)(0.0) == 0.0
    hessian = grad(lambda x: np.sum(cr.checkpoint(lambda x: np.sin(x) * x)(x))).hessian(X)
    np.testing.assert_allclose(hessian, np.diag(2 * np.cos(X) - X * np.sin(X)), rtol=1e-12)
