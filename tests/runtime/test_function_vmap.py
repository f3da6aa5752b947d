"""`cr.vmap` of functions of NumPy arrays: against loops over the examples, and JAX."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule as cr
from chainrule import grad

RANDOM = np.random.default_rng(5)
XS, YS, W, B = RANDOM.normal(size=(5, 4, 3)), RANDOM.normal(size=(5, 4)), RANDOM.normal(size=3), 0.3
ROWS, A = RANDOM.normal(size=(7, 3)), RANDOM.normal(size=(2, 3))
SCALE = np.array([1.0, 2.0, 3.0])


@grad(wrt=("w", "b"))
def loss(w: Any, b: Any, x: Any, y: Any) -> Any:
    return np.mean((x @ w + b - y) ** 2)


def layer(x: Any, A: Any) -> Any:
    return np.tanh(A @ x)


def stacked(results: Any) -> Any:
    """Results of a loop, leaf by leaf."""
    first = results[0]
    if isinstance(first, tuple):
        return tuple(stacked([r[k] for r in results]) for k in range(len(first)))
    return np.stack(results)


def close(found: Any, wanted: Any) -> None:
    if isinstance(wanted, tuple):
        assert isinstance(found, tuple)
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            close(a, b)
    else:
        assert np.shape(found) == np.shape(wanted)
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("method", ["grad", "value_and_grad", "__call__", "jacobian", "hessian"])
def test_methods_of_a_decorated_function(method: str) -> None:
    bound = getattr(loss, method)
    found = cr.vmap(bound, in_axes=(None, None, 0, 0))(W, B, XS, YS)
    close(found, stacked([bound(W, B, x, y) for x, y in zip(XS, YS, strict=True)]))


def test_a_decorated_and_a_plain_function() -> None:
    wanted = np.stack([layer(x, A) for x in ROWS])
    close(cr.vmap(layer, in_axes=(0, None))(ROWS, A), wanted)
    close(cr.vmap(grad(layer), in_dims=(0, None))(ROWS, A), wanted)
    close(cr.vmap(layer, (1, None), 1)(ROWS.T, A), wanted.T)
    close(cr.vmap(layer, in_axes=(-1, None), out_axes=-1)(ROWS.T, A), wanted.T)
    close(cr.vmap(np.linalg.inv)(XS[:, :3]), np.linalg.inv(XS[:, :3]))


def test_a_new_number_of_examples_compiles_nothing() -> None:
    traces = []

    def f(x: Any) -> Any:
        traces.append(1)
        return x * np.sum(x)

    many = cr.vmap(f)
    for n in (2, 5, 9):
        close(many(ROWS[:1].repeat(n, 0)), (ROWS[:1] * ROWS[:1].sum()).repeat(n, 0))
    assert len(traces) == 1


def test_products_with_what_all_examples_share_are_one_product() -> None:
    graph = grad(cr.vmap(layer, in_axes=(0, None))).trace(ROWS, A).ir("traced")
    from chainrule.compiler.pipeline import Options, Request, derive

    simplified = derive(graph, Request("value"), Options())[1]
    (product,) = [n for n in simplified.nodes() if n.op.kind == "contract"]
    assert {i.op.name for i in product.inputs} == {"input"}


def test_nested() -> None:
    products = cr.vmap(cr.vmap(lambda a, b: a * b, in_axes=(0, None)), in_axes=(None, 0))
    close(products(np.arange(3.0), np.arange(2.0)), np.outer(np.arange(2.0), np.arange(3.0)))
    close(cr.vmap(cr.vmap(loss, in_axes=(None, None, 0, 0)), in_axes=(None, None, 0, 0))(W, B, XS[:, :, None], YS[:, :, None]),
          np.mean((XS @ W + B - YS)[:, :, None] ** 2, axis=2))


class Pair(NamedTuple):
    first: Any
    second: Any


def test_structures() -> None:
    def f(d: Any, pair: Any) -> Any:
        return {"sum": d["a"] + d["b"], "b": d["b"], "pair": Pair(pair[0] * 2.0, pair[1])}

    ones = np.ones(3)
    found = cr.vmap(f, in_axes=({"a": 0, "b": None}, (1, None)), out_axes={"sum": 1, "b": None, "pair": (0, 0)})(
        {"a": ROWS, "b": ones}, (ROWS.T, 2.5))
    close(found["sum"], (ROWS + ones).T)
    close(found["b"], ones)
    assert isinstance(found["pair"], Pair)
    close(found["pair"].first, ROWS * 2)
    close(found["pair"].second, np.full(7, 2.5))
    close(cr.vmap(lambda x, *, y: x * y)(ROWS, y=ROWS), ROWS * ROWS)  # keyword arguments along their first axis


def test_captured_arrays_are_read_at_each_call() -> None:
    scale = SCALE

    def f(x: Any) -> Any:
        return x * scale

    many = cr.vmap(f)
    close(many(ROWS), ROWS * SCALE)
    scale = scale + 1
    close(many(ROWS), ROWS * (SCALE + 1))


def test_inside_decorated_functions() -> None:
    @grad
    def total(rows: Any) -> Any:
        return np.sum(cr.vmap(lambda x: np.exp(x) @ SCALE)(rows))

    close(total.grad(ROWS), np.exp(ROWS) * SCALE)
    sums = cr.vmap(lambda x: np.sum(np.sin(x)))
    close(grad(lambda rows: np.sum(sums(rows) ** 2)).grad(ROWS), 2 * np.sin(ROWS).sum(1)[:, None] * np.cos(ROWS))
    jacobian = np.zeros((7, 7, 3))
    jacobian[range(7), range(7)] = np.cos(ROWS)
    close(cr.jacobian(sums)(ROWS), jacobian)

    @grad(wrt="w")
    def sharpness(w: Any, xs: Any, ys: Any) -> Any:
        return np.sum(cr.vmap(loss.grad, in_axes=(None, None, 0, 0))(w, 0.3, xs, ys)[0] ** 2)

    def by_hand(w: Any) -> Any:
        return sum(np.sum(loss.grad(w, 0.3, x, y)[0] ** 2) for x, y in zip(XS, YS, strict=True))

    h = 1e-6
    close(np.round(sharpness.grad(W, XS, YS), 6), np.round([(by_hand(W + h * e) - by_hand(W - h * e)) / (2 * h) for e in np.eye(3)], 6))


def test_whole_jacobians_inside_decorated_functions_keep_their_sizes_symbolic() -> None:
    inner = grad(lambda x: np.sum(np.sin(x) * x[::-1]))
    outer = grad(lambda x: np.sum(inner.hessian(x) ** 2) + np.sum(inner.jacobian(x)))
    for n in (3, 4):
        x = ROWS.ravel()[:n]
        close(outer(x), np.sum(inner.hessian(x) ** 2) + np.sum(inner.jacobian(x)))
    assert outer.stats.traces == 1
    assert not outer.stats.specialisations


def test_examples_of_another_dtype_and_none() -> None:
    found = cr.vmap(layer, in_axes=(0, None))(ROWS.astype(np.float32), A.astype(np.float32))
    assert found.dtype == np.float32
    assert cr.vmap(layer, in_axes=(0, None))(ROWS[:0], A).shape == (0, 2)


ONES = np.ones(3)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: cr.vmap(lambda a, b: a + b)(ONES, np.ones(4)), cr.ShapeError, ("3 is axis 0 of argument 0", "4 is axis 0 of argument 1")),
    (lambda: cr.vmap(lambda a: a, in_axes=1)(ONES), cr.ShapeError, ("axis 1 of argument 0", "(3,)")),
    (lambda: cr.vmap(lambda a: a, out_axes=1)(ONES), cr.ShapeError, ("axis 1 of the result",)),
    (lambda: cr.vmap(lambda a, b: a, in_axes=(0,))(ONES, 1.0), cr.ArgumentError, ("1 entries for 2",)),
    (lambda: cr.vmap(lambda a, b: a)(ONES, 1.0), cr.ShapeError, ("argument 1", "0 axes")),
    (lambda: cr.vmap(lambda a, b: a)(ONES, 1), cr.ArgumentError, ("argument 1", "the axis None")),
    (lambda: cr.vmap(lambda a: a, in_axes=None)(ONES), cr.ArgumentError, ("no argument is mapped",)),
    (lambda: cr.vmap(lambda a: a[a > 0])(np.ones((3, 2))), cr.ShapeError, ("differ between the examples",)),
    (lambda: cr.vmap(lambda a: a, out_axes=None)(ONES), cr.ArgumentError, ("out_axes is None for the result",)),
    (lambda: cr.vmap(lambda a: a, in_axes="x")(ONES), cr.ArgumentError, ("in_axes must be", "'x'")),
    (lambda: cr.vmap(lambda a: a, in_axes=((0, 0),))(ONES), cr.ArgumentError, ("do not fit the structure of argument 0",)),
    (lambda: cr.vmap(lambda d: d["a"], in_axes=({"a": 0},))({"a": ONES, "b": ONES}), cr.ArgumentError, ("do not fit", "a dict of 2")),
])
def test_what_does_not_fit_is_named(call: Any, error: Any, words: Any) -> None:
    with pytest.raises(error) as caught:
        call()
    for word in (*words, "vmap of <lambda>", "test_function_vmap.py"):
        assert word in str(caught.value)


@pytest.mark.oracle
def test_as_jax() -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    def inner(x: Any, A: Any, np: Any) -> Any:
        return np.sum(np.tanh(A @ x) ** 2) * x

    stack = RANDOM.normal(size=(2, 3, 4))
    for in_axes, out_axes, arguments in (((0, None), 0, (ROWS, A)), ((1, None), 1, (ROWS.T, A)), ((None, 2), -1, (ROWS[0], stack))):
        wanted = jax.vmap(lambda x, A: inner(x, A, jnp), in_axes, out_axes)(*arguments)
        close(cr.vmap(lambda x, A: inner(x, A, np), in_axes=in_axes, out_axes=out_axes)(*arguments), np.asarray(wanted))
        wanted = jax.vmap(jax.jacrev(lambda x, A: inner(x, A, jnp), (0, 1)), in_axes, out_axes)(*arguments)
        found = cr.vmap(grad(lambda x, A: inner(x, A, np)).jacobian, in_axes=in_axes, out_axes=out_axes)(*arguments)
        for a, b in zip(found, wanted, strict=True):
            close(a, np.asarray(b))
