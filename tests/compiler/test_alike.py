"""Kernels that differ in names only are compiled once."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import kernels as examples
import numpy as np
import pytest

from chainrule import grad
from chainrule.compiler import driver, emit_llvm, shared_code
from chainrule.compiler.alike import from_start, pattern
from chainrule.compiler.loopnest import Buffer, Index, Kernel, Let, Literal, Load, Loop, Store
from chainrule.compiler.statements import rename

F8, F4 = np.dtype(np.float64), np.dtype(np.float32)


def named(kernel: Kernel, suffix: str) -> Kernel:
    """The same kernel with other names of buffers, values and indices."""
    names: dict[str, Any] = {}

    def new(text: str) -> str:
        return names.setdefault(text, text + suffix)

    def body(statements: Any) -> tuple[Any, ...]:
        done = []
        for s in statements:
            if isinstance(s, Loop):
                s = replace(s, index=new(s.index), carried=tuple(replace(c, name=new(c.name)) for c in s.carried), body=body(s.body))
            elif isinstance(s, Store):
                s = replace(s, buffer=new(s.buffer))
            elif isinstance(s, Load):
                s = replace(s, target=new(s.target), buffer=new(s.buffer))
            else:
                s = replace(s, target=new(s.target))
            done.append(s)
        return tuple(done)

    made = body(kernel.body)
    values = {old: new_ for old, new_ in names.items() if old not in {b.name for b in kernel.buffers}}
    loops = {f"{old}{suffix}": f"{old}{suffix}" for old in names}
    return replace(kernel, name=kernel.name + suffix, buffers=tuple(replace(b, name=new(b.name)) for b in kernel.buffers),
                   body=rename(made, {**values, **loops}), note=suffix)


@pytest.mark.parametrize("kernel", [examples.scalar_kernel(), examples.row_sums("rows", examples.M), examples.normalise_rows()],
                         ids=lambda k: k.name)
def test_names_do_not_matter(kernel: Kernel) -> None:
    assert named(kernel, "_other") != kernel
    assert pattern(named(kernel, "_other")) == pattern(kernel)


def test_everything_else_does() -> None:
    kernel = examples.scalar_kernel()
    load, let, store = kernel.body
    assert isinstance(load, Load)
    assert isinstance(let, Let)
    a, out = kernel.buffers
    others = [
        replace(kernel, buffers=(replace(a, contiguous=not a.contiguous), out)), replace(kernel, buffers=(replace(a, dtype=F4), out)),
        replace(kernel, sizes=("n",)), replace(kernel, splittable=not kernel.splittable), replace(kernel, reduces=(("out", "add"),)),
        replace(kernel, body=(load, replace(let, op="add"), store)), replace(kernel, body=(load, replace(let, dtype=F4), store)),
        replace(kernel, body=(load, replace(let, args=("v", Literal(-2.5, F8))), store)),
        replace(kernel, body=(load, replace(let, args=("v", "v")), store)), replace(kernel, body=(load, let, let, store)),
    ]
    zeros = [replace(kernel, body=(load, replace(let, args=("v", Literal(z, F8))), store)) for z in (0.0, -0.0)]
    patterns = [pattern(k) for k in (kernel, *others, *zeros)]
    assert len(set(patterns)) == len(patterns)


def test_the_steps_of_a_loop_share_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eight steps, those in the middle are alike; only the first reads an array of the caller's."""
    emitted: list[str] = []
    original = emit_llvm.emit_kernel

    def counted(module: Any, kernel: Kernel, symbol: str, lowering: Any) -> Any:
        emitted.append(symbol)
        return original(module, kernel, symbol, lowering)

    def steps(u: Any) -> Any:
        for _ in range(8):
            u = u + 0.1 * (np.roll(u, 1) + np.roll(u, -1) - 2 * u)
        return u

    monkeypatch.setenv("CHAINRULE_CACHE", "0")
    monkeypatch.setattr(emit_llvm, "emit_kernel", counted)
    f = grad(steps)
    u = np.random.default_rng(0).normal(size=50)
    found = f(u)
    kernels = [symbol for symbol in emitted if ".k" in symbol]
    assert f.stats.kernels == 7
    assert len(kernels) <= 3
    expected = u
    for _ in range(8):
        expected = expected + 0.1 * (np.roll(expected, 1) + np.roll(expected, -1) - 2 * expected)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_what_is_touched_at_one_place_may_begin_there() -> None:
    load, store = Load("v", "x", (3, Index("i"), 2)), Store("out", (Index("i"),), "v")
    buffers = Buffer("x", F8, 3), Buffer("out", F8, 1, written=True, contiguous=True)
    kernel = Kernel("k", buffers, ("n",), (Loop("i", examples.N, (load, store)),))
    moved, shifts = from_start(kernel)
    assert dict(((buffer, axis), place) for buffer, axis, place in shifts) == {("x", 0): 3, ("x", 2): 2}
    other = replace(kernel, body=(Loop("i", examples.N, (replace(load, index=(5, Index("i"), 0)), store)),))
    assert pattern(from_start(other)[0]) == pattern(moved) != pattern(kernel)
    both = replace(kernel, body=(*kernel.body, *other.body))
    assert from_start(both)[1] == ()


def test_an_unrolled_network_has_one_product_and_runs_without_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The products of forty steps differ in the place of `xs[t]` only; their arguments do not fit on the stack."""
    def network(W: Any, U: Any, xs: Any) -> Any:
        h = xs[0] @ U
        for t in range(1, 40):
            h = np.tanh(xs[t] @ U + h @ W)
        return np.sum(h * h)

    monkeypatch.setenv("CHAINRULE_CACHE", "0")
    monkeypatch.setattr(driver, "MOST_SLOTS", 64)
    emitted: list[str] = []
    original = shared_code.emit_product
    monkeypatch.setattr(shared_code, "emit_product", lambda *args: emitted.append(args[2]) or original(*args))
    rng = np.random.default_rng(0)
    W, U, xs = rng.normal(size=(8, 8)) * 0.3, rng.normal(size=(5, 8)), rng.normal(size=(40, 6, 5))
    f = grad(network, wrt=("W", "U"))
    value, (dW, dU) = f.value_and_grad(W, U, xs)
    assert f.stats.kernels > 100
    assert len(emitted) < 20
    assert network(W, U, xs) == pytest.approx(value, rel=1e-13)
    for array, found in (W, dW), (U, dU):
        step = np.zeros_like(array)
        step[2, 3] = 1e-6
        moved = [network(*(x + sign * step if x is array else x for x in (W, U)), xs) for sign in (1, -1)]
        assert found[2, 3] == pytest.approx((moved[0] - moved[1]) / 2e-6, rel=1e-5)
