"""Whole Jacobians and Hessians: what is left of the basis, counted; values against differences and against products."""
from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from chainrule import grad
from chainrule.compiler.interpret import run
from chainrule.compiler.ir import Graph, f
from chainrule.compiler.pipeline import Options, Request, derive
from chainrule.compiler.schedule import CallStep, schedule
from chainrule.compiler.sizes import SizeExpr

RANDOM = np.random.default_rng(3)


def traced(function: Any, *arrays: Any) -> Graph:
    return grad(function).trace(*arrays)._program.graph


def derived(kind: Any, function: Any, *arrays: Any, wrt: tuple[int, ...] = (0,)) -> Graph:
    """The simplified program of a request."""
    return derive(traced(function, *arrays), Request(kind, wrt), Options())[1]


def rank(graph: Graph, *, beside: frozenset[str] = frozenset(("embed",))) -> int:
    """The largest number of axes of a symbolic size that an array of the program has."""
    return max(sum(isinstance(s, SizeExpr) for s in n.shape) for n in graph.nodes() if n.op.name not in beside)


def ops(graph: Graph) -> Counter[str]:
    return Counter(n.op.name for n in graph.nodes())


def differences(function: Any, x: Any) -> Any:
    """The Jacobian by central differences of order 8, x being one array."""
    x = np.asarray(x, float)
    steps = ((1, 4 / 5), (2, -1 / 5), (3, 4 / 105), (4, -1 / 280))
    h = 1e-2
    columns = []
    for index in np.ndindex(*x.shape):
        unit = np.zeros(x.shape)
        unit[index] = h
        columns.append(sum(c * (np.asarray(function(x + k * unit)) - np.asarray(function(x - k * unit))) for k, c in steps) / h)
    stacked = np.array(columns).reshape((*x.shape, *np.shape(columns[0])))
    return np.moveaxis(stacked, range(x.ndim), range(-x.ndim, 0))


def log_sum_exp(x: Any, A: Any, b: Any) -> Any:
    return np.log(np.sum(np.exp(A @ x + b))) + np.sum(x ** 2) / 2


def pairwise(x: Any) -> Any:
    """Repulsion of points in space."""
    d = x[:, None, :] - x[None, :, :]
    return np.sum(1.0 / (1.0 + np.sum(d * d, axis=-1)))


def test_hessian_of_log_sum_exp_is_one_product_of_matrices() -> None:
    A, b, x = RANDOM.normal(size=(7, 4)), RANDOM.normal(size=7), RANDOM.normal(size=4)
    graph = derived("hessian", log_sum_exp, x, A, b)
    assert rank(graph) == 2
    assert ops(graph)["contract"] == 2  # A @ x, and A.T @ (a matrix like A)
    assert ops(graph)["exp"] == 1
    assert ops(graph)["embed"] == 1  # the second derivative of |x|^2/2
    plan = schedule(graph)
    assert len([n for n in plan.temporaries if n.ndim > 1]) == 2  # the other operand of the product, and the product


def test_derivative_of_elementwise_functions_is_a_diagonal() -> None:
    x, y = RANDOM.normal(size=5), RANDOM.normal(size=5)
    for kind in ("jacobian_forward", "jacobian_reverse"):
        graph = derived(kind, lambda x, y: np.sin(x) * np.exp(-x * y), x, y)
        assert [n.op.name for n in graph.outputs] == ["embed"]
        assert [n.op.name for n in graph.nodes() if n.ndim > 1] == ["embed"]
        plan = schedule(graph)
        assert not any(isinstance(s, CallStep) for s in plan.steps)
    graph = derived("hessian", lambda x, y: np.sum(np.sin(x) * np.exp(-x * y)), x, y)
    assert [n.op.name for n in graph.nodes() if n.ndim > 1] == ["embed"]


def test_derivative_of_a_linear_map_is_its_matrix() -> None:
    A, x = RANDOM.normal(size=(3, 4)), RANDOM.normal(size=4)
    for kind in ("jacobian_forward", "jacobian_reverse"):
        graph = derived(kind, lambda x, A: A @ x, x, A)
        assert graph.outputs == (graph.inputs[1],)
    graph = derived("hessian", lambda x, A: np.sum((A @ x) ** 2), x, A)
    assert ops(graph)["contract"] == 1
    np.testing.assert_allclose(run(graph, [x, A])[0], 2 * A.T @ A, rtol=1e-14)


def test_hessian_of_pairs_has_no_third_axis_of_points() -> None:
    x = RANDOM.normal(size=(5, 3))
    graph = derived("hessian", pairwise, x)
    points = next(iter(graph.inputs[0].shape[0].terms))[0]
    largest = max(sum(isinstance(s, SizeExpr) and s.terms[0][0] == points for s in n.shape) for n in graph.nodes())
    assert largest == 2
    np.testing.assert_allclose(run(graph, [x])[0], differences(grad(pairwise).grad, x), atol=1e-8)


def test_a_jacobian_of_products_of_matrices_is_made_of_products() -> None:
    """tanh(A tanh(B x)): A diag(.) B, whichever way it is swept."""
    A, B, x = RANDOM.normal(size=(6, 5)), RANDOM.normal(size=(5, 4)), RANDOM.normal(size=4)

    def network(x: Any, A: Any, B: Any) -> Any:
        return np.tanh(A @ np.tanh(B @ x))

    for kind in ("jacobian_forward", "jacobian_reverse"):
        graph = derived(kind, network, x, A, B)
        assert rank(graph) == 2
        assert ops(graph)["contract"] == 3  # B x, A tanh(B x), A diag(.) B
        assert ops(graph)["tanh"] + ops(graph)["sigmoid"] <= 6
        np.testing.assert_allclose(run(graph, [x, A, B])[0], differences(lambda x: network(x, A, B), x), atol=1e-8)


def test_hessian_by_a_matrix() -> None:
    """Of sum(log cosh(X w)) by X: it is block diagonal, one row of X after the other."""
    X, w = RANDOM.normal(size=(3, 2)), RANDOM.normal(size=2)

    def loss(X: Any, w: Any) -> Any:
        return np.sum(np.log(np.cosh(X @ w)))

    graph = derived("hessian", loss, X, w)
    assert [len(set(n.param("roles"))) for n in graph.nodes() if n.op.name == "embed"] == [3]
    expected = np.einsum("i,ik,j,l->ijkl", 1 / np.cosh(X @ w) ** 2, np.eye(3), w, w)
    np.testing.assert_allclose(run(graph, [X, w])[0], expected, rtol=1e-12)


FUNCTIONS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "rosenbrock": (lambda x: np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2), (5,)),
    "softmax": (lambda x: np.exp(x) / np.sum(np.exp(x)), (4,)),
    "rows": (lambda x: np.log(np.sum(np.exp(x), axis=1)), (3, 4)),
    "normalised": (lambda x: (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 0.1), (4, 3)),
    "picked": (lambda x: x[[2, 0, 0]] * x[1], (3,)),
    "where": (lambda x: np.where(x > 0, np.sqrt(np.abs(x) + 1), x ** 3), (5,)),
    "running": (lambda x: np.cumsum(np.exp(x)) * x[::-1], (4,)),
    "largest": (lambda x: np.max(x * x, axis=0) + np.prod(x, axis=0), (3, 2)),
    "inverse": (lambda x: np.linalg.inv(x @ x.T + 3 * np.eye(3)), (3, 3)),
    "flat": (lambda x: np.sin(x.reshape(-1)) @ np.arange(6.0), (2, 3)),
    "stack": (lambda x: np.stack([x * x, np.sin(x)], axis=1), (3,)),
    "scalar": (lambda x: np.sin(x) * x, ()),
    "outer": (lambda x: np.outer(x, x) / np.sum(x * x), (3,)),
    "constant": (lambda x: np.ones(2) * 3.0 + 0.0 * np.sum(x), (3,)),
}


def away_from_kinks(shape: tuple[int, ...]) -> Any:
    """Numbers far from zero and from each other, in no order."""
    count = int(np.prod(shape))
    return (np.random.default_rng(0).permutation(count).reshape(shape) - count // 2 + 0.37) / 4 if shape else 0.7


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobians_and_hessians_are_those_of_differences(name: str) -> None:
    function, shape = FUNCTIONS[name]
    x = away_from_kinks(shape)
    decorated = grad(function)
    for mode in ("forward", "reverse"):
        np.testing.assert_allclose(decorated.jacobian(x, mode=mode), differences(function, x), atol=2e-8)
    total = grad(lambda x: np.sum(function(x) ** 2))
    np.testing.assert_allclose(total.hessian(x), differences(total.grad, x), atol=1e-6, rtol=1e-7)
    assert not decorated.stats.sweeps
    assert decorated.stats.compiles == 2


def test_several_arguments() -> None:
    x, y, s = RANDOM.normal(size=3), RANDOM.normal(size=(2, 3)), 1.3

    def loss(x: Any, y: Any, s: Any) -> Any:
        return np.sum(np.exp(y @ x * s)) + s ** 3

    decorated = grad(loss)
    blocks = decorated.hessian(x, y, s)
    assert [[np.shape(b) for b in row] for row in blocks] == [
        [(3, 3), (3, 2, 3), (3,)], [(2, 3, 3), (2, 3, 2, 3), (2, 3)], [(3,), (2, 3), ()]]
    arguments = (x, y, s)
    for j in range(3):
        for i in range(3):
            def along(v: Any, i: int = i, j: int = j) -> Any:
                return decorated.grad(*arguments[:j], v, *arguments[j + 1:])[i]

            np.testing.assert_allclose(blocks[i][j], differences(along, arguments[j]), rtol=1e-7, atol=1e-7)


def test_a_new_size_compiles_nothing() -> None:
    decorated = grad(log_sum_exp, wrt="x")
    for n, m in ((4, 7), (5, 3), (2, 9)):
        A, b, x = RANDOM.normal(size=(m, n)), RANDOM.normal(size=m), RANDOM.normal(size=n)
        np.testing.assert_allclose(decorated.hessian(x, A, b), differences(lambda v: decorated.grad(v, A, b), x), atol=1e-7)  # noqa: B023
    assert decorated.stats.compiles == 2  # the gradient and the Hessian


def test_structural_zeros_stay_zero_where_a_derivative_is_infinite() -> None:
    x = np.array([0.0, 4.0])
    jacobian = grad(np.sqrt).jacobian(x)
    np.testing.assert_array_equal(jacobian, [[np.inf, 0.0], [0.0, 0.25]])
    jacobian = grad(np.sqrt, stabilise=False).jacobian(x, mode="reverse")
    np.testing.assert_array_equal(jacobian, [[np.inf, 0.0], [0.0, 0.25]])


def test_what_would_take_too_much_memory_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    from chainrule.runtime.function import derivatives

    monkeypatch.setattr(derivatives, "MOST_MEMORY", 0)
    monkeypatch.setattr(derivatives, "SEVERAL", 0)
    A, b, x = RANDOM.normal(size=(7, 4)), RANDOM.normal(size=7), RANDOM.normal(size=4)
    decorated = grad(log_sum_exp, wrt="x")
    np.testing.assert_allclose(decorated.hessian(x, A, b), differences(lambda v: decorated.grad(v, A, b), x), atol=1e-7)
    assert decorated.stats.sweeps == ["hessian by a sweep: in one piece it would take 0 MB of memory between kernels"]
    assert "by a sweep" in str(decorated.stats)


def test_arrays_without_elements() -> None:
    assert grad(lambda x: x * x).jacobian(np.zeros(0)).shape == (0, 0)
    assert grad(lambda x: np.sum(x * x)).hessian(np.zeros((0, 2))).shape == (0, 2, 0, 2)


def test_selected_elements() -> None:
    def selected(x: Any) -> Any:
        return np.sum(x[x > 0] ** 2) * x

    decorated = grad(selected)
    x = np.array([1.0, -2.0, 3.0])
    expected = differences(selected, x)
    np.testing.assert_allclose(decorated.jacobian(x, mode="reverse"), expected, atol=1e-8)
    np.testing.assert_allclose(decorated.jacobian(x, mode="forward"), expected, atol=1e-8)


def test_embedded_arrays_are_read_as_deltas() -> None:
    from chainrule.compiler.formula import formula

    graph = traced(lambda x: np.sin(x), RANDOM.normal(size=3))
    (y,) = graph.outputs
    assert "sin(x" in str(formula(graph.with_outputs([f.diagonal(f.embed(y, roles=(0, 0)), roles=(0, 0))])))
    assert "x" in str(formula(graph.with_outputs([f.sum(f.embed(y, roles=(0, 0)), axes=(1,))])))


@pytest.mark.oracle
@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in ("running",)])
def test_jacobians_and_hessians_are_those_of_jax(name: str) -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    function, shape = FUNCTIONS[name]
    x = away_from_kinks(shape)

    def with_jax(x: Any) -> Any:
        names = dict(function.__globals__) | {"np": jnp}
        return type(function)(function.__code__, names)(x)

    try:
        expected = jax.jacrev(with_jax)(x)
        second = jax.hessian(lambda x: jnp.sum(with_jax(x) ** 2))(x)
    except TypeError as error:  # lists as indices
        pytest.skip(str(error))
    np.testing.assert_allclose(grad(function).jacobian(x), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grad(lambda x: np.sum(function(x) ** 2)).hessian(x), second, rtol=1e-9, atol=1e-10)
