"""LU factors that systems, inverses and determinants of one matrix share; routines of Python inside a driver."""
from __future__ import annotations

import gc
import sys
from typing import Any

import numpy as np
import pytest
from tracing import traced

from chainrule import grad
from chainrule.compiler import scipy_extensions
from chainrule.compiler.entry_spec import hits
from chainrule.compiler.errors import IndexingError
from chainrule.compiler.interpret import evaluate_nodes
from chainrule.compiler.ir import Graph, f, make
from chainrule.compiler.ops.lu import lu_detsign, lu_logabsdet
from chainrule.compiler.shared_factors import shared_factors

F8 = np.dtype(np.float64)
RANDOM = np.random.default_rng(5)
MATRICES = RANDOM.normal(size=(3, 4, 4))
RIGHT = RANDOM.normal(size=(3, 4, 2))


def variable(position: int, *shape: int, dtype: Any = F8) -> Any:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=f"x{position}")


def ops_of(graph: Graph) -> list[str]:
    return sorted(n.op.name for n in graph.nodes() if n.op.kind == "opaque")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pick", [np.s_[:], np.s_[0], np.s_[:, :1, :1]], ids=["stack", "matrix", "numbers"])
def test_what_comes_of_the_factors(pick: Any, dtype: str) -> None:
    matrices = MATRICES[pick].astype(dtype)
    right = RIGHT[pick if pick != np.s_[:, :1, :1] else np.s_[:, :1]].astype(dtype)
    a, b = variable(0, *matrices.shape, dtype=dtype), variable(1, *right.shape, dtype=dtype)
    lu = f.lu(a)
    nodes = [f.lu_solve(lu, b, transposed=False), f.lu_solve(lu, b, transposed=True), f.lu_inverse(lu), lu_logabsdet(lu), lu_detsign(lu)]
    found = evaluate_nodes(nodes, {a: matrices, b: right}, {})
    sign, logabsdet = np.linalg.slogdet(matrices)
    expected = [np.linalg.solve(matrices, right), np.linalg.solve(np.swapaxes(matrices, -1, -2), right), np.linalg.inv(matrices),
                logabsdet, sign]
    for node, got, want in zip(nodes, found, expected, strict=True):
        assert (got.shape, got.dtype) == (node.shape, node.dtype)
        np.testing.assert_allclose(got, want, rtol=2e-4 if dtype == "float32" else 1e-11)


def test_singular_and_empty_matrices() -> None:
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    a, b = variable(0, 2, 2), variable(1, 2, 1)
    lu = f.lu(a)
    assert [float(v) for v in evaluate_nodes([lu_logabsdet(lu), lu_detsign(lu)], {a: singular}, {})] == [-np.inf, 0.0]
    for node in (f.lu_solve(lu, b, transposed=False), f.lu_inverse(lu)):
        with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
            evaluate_nodes([node], {a: singular, b: np.ones((2, 1))}, {})
    for lead in ((), (3,)):
        none = variable(0, *lead, 0, 0)
        lu = f.lu(none)
        found = evaluate_nodes([f.lu_inverse(lu), lu_logabsdet(lu), lu_detsign(lu)], {none: np.empty((*lead, 0, 0))}, {})
        assert [v.shape for v in found] == [(*lead, 0, 0), lead, lead]
        assert [float(np.max(v)) for v in found[1:]] == [0.0, 1.0]


def test_one_factorisation_for_a_matrix_and_its_transpose() -> None:
    a, b = variable(0, 4, 4), variable(1, 4, 1)
    turned = f.permute(a, order=(1, 0))
    solved = f.solve(a, b)
    graph = Graph((a, b), (solved, f.solve(turned, solved * 2.0), f.solve(turned, f.neg(solved)), f.inverse(turned), f.logabsdet(a)))
    shared = shared_factors(graph)
    assert ops_of(shared) == ["lu", "lu_inverse", "lu_solve", "lu_solve"]
    arrays = {a: MATRICES[0], b: RIGHT[0][:, :1]}
    for got, want in zip(evaluate_nodes(shared.outputs, arrays, {}), evaluate_nodes(graph.outputs, arrays, {}), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_a_small_multiple_keeps_a_solution_from_overflow() -> None:
    a, b = variable(0, 2, 2), variable(1, 2, 1)
    graph = shared_factors(Graph((a, b), (f.solve(a, b * 1e-200), f.logabsdet(a)), (), {}))
    values = {a: np.diag([1e-250, 1.0]), b: np.array([[1e80], [1.0]])}
    np.testing.assert_allclose(evaluate_nodes(graph.outputs, values, {})[0], [[1e130], [1e-200]], rtol=1e-12)


def test_a_single_use_stays_as_it_is() -> None:
    a, c, b = variable(0, 4, 4), variable(1, 4, 4), variable(2, 4, 1)
    graph = Graph((a, c, b), (f.solve(a, b), f.inverse(c)))
    assert shared_factors(graph) is graph


def gaussian(covariance: Any, x: Any) -> Any:
    """-2 times the logarithm of a density, but for a constant."""
    return x @ np.linalg.solve(covariance, x) + np.linalg.slogdet(covariance)[1]


def test_a_density_factors_its_covariance_once() -> None:
    graph, _ = traced(gaussian, np.eye(3), np.ones(3))
    assert ops_of(shared_factors(graph)) == ["lu", "lu_solve"]
    covariance = MATRICES[0] @ MATRICES[0].T + np.eye(4)
    x = RIGHT[0][:, 0]
    density = grad(gaussian)
    value, (by_covariance, by_x) = density.value_and_grad(covariance, x)
    inverse = np.linalg.inv(covariance)
    np.testing.assert_allclose(value, x @ inverse @ x + np.log(np.linalg.det(covariance)), rtol=1e-12)
    np.testing.assert_allclose(by_covariance, (inverse - np.outer(inverse @ x, inverse @ x)).T, rtol=1e-10)
    np.testing.assert_allclose(by_x, 2 * inverse @ x, rtol=1e-10)


def by_cholesky(covariance: Any, x: Any) -> Any:
    factor = np.linalg.cholesky(covariance)
    z = np.linalg.solve(factor, x)
    return z @ z + 2 * np.sum(np.log(np.diagonal(factor)))


def test_systems_of_cholesky_factors_are_triangular() -> None:
    graph, _ = traced(by_cholesky, np.eye(3), np.ones(3))
    assert ops_of(shared_factors(graph)) == ["cholesky", "triangular_solve"]
    covariance, x = MATRICES[0] @ MATRICES[0].T + np.eye(4), RIGHT[0][:, 0]
    got, want = (grad(f).value_and_grad(covariance, x) for f in (by_cholesky, gaussian))
    np.testing.assert_allclose(got[0], want[0], rtol=1e-12)
    np.testing.assert_allclose(got[1][1], want[1][1], rtol=1e-10)
    np.testing.assert_allclose(got[1][0] + got[1][0].T, want[1][0] + want[1][0].T, rtol=1e-10)


# ------------------------------------------------------------------------------------------------ routines inside a driver
def calls(function: Any) -> int:
    return sum(map(hits, function.stats.entries))


def test_programs_with_routines_are_called_directly() -> None:
    for function, arguments in (
        (gaussian, (MATRICES[0] @ MATRICES[0].T + np.eye(4), RIGHT[0][:, 0])),
        (lambda x: np.sum(np.cumsum(np.sin(x)) ** 2), (RIGHT[0][:, 0],)),
        (lambda x: np.sum(np.sort(x) * np.arange(4.0)), (RIGHT[0][:, 0],)),
        (lambda x: np.linalg.det(x) * 2.0, (MATRICES[0],)),
        (lambda x: np.sum(np.linalg.eigvalsh(x + x.T) ** 2), (MATRICES[0],)),
    ):
        compiled = grad(function)
        first = compiled.value_and_grad(*arguments)
        np.testing.assert_equal(compiled.value_and_grad(*arguments), first)
        assert calls(compiled) == 1


def test_results_of_routines_are_results() -> None:
    both = grad(lambda x: (np.cumsum(x), np.linalg.inv(x[:4, None] * x[:4] + np.eye(4)), np.linalg.det(np.outer(x, x) + np.eye(6))))
    x = np.arange(6.0)
    first = both(x)
    second = both(x)
    assert calls(both) == 1
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert second[0].flags.owndata
    assert second[0].flags.writeable
    second[0][:] = 0.0
    np.testing.assert_array_equal(both(x)[0], first[0])


def test_large_programs_give_the_lock_back_around_routines() -> None:
    x = RANDOM.normal(size=400_000)
    smoothed = grad(lambda x: np.sum(np.tanh(np.cumsum(np.exp(-np.abs(x)))) * np.sin(x)))
    first = smoothed.value_and_grad(x)
    second = smoothed.value_and_grad(x)
    assert calls(smoothed) == 1
    np.testing.assert_array_equal(second[1], first[1])
    outside = grad(lambda x, k: np.sum(np.exp(x)[k]), wrt=0)
    k = np.arange(400_000)
    outside.grad(x, k)
    outside.grad(x, k)
    assert calls(outside) == 1
    k[7] = 400_000
    with pytest.raises(IndexingError, match=r"index 400000 is out of bounds for axis 0 with size 400000 \(at test_shared_factors.py"):
        outside.grad(x, k)


def test_errors_of_routines_arrive_and_leak_nothing() -> None:
    compiled = grad(gaussian)
    covariance, x = np.eye(3), np.ones(3)
    compiled.value_and_grad(covariance, x)
    compiled.value_and_grad(covariance, x)
    singular = np.zeros((3, 3))
    gc.collect()
    before = [sys.getrefcount(a) for a in (covariance, singular, x)]
    for _ in range(20):
        with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
            compiled.value_and_grad(singular, x)
        compiled.value_and_grad(covariance, x)
    gc.collect()
    assert [sys.getrefcount(a) for a in (covariance, singular, x)] == before
    assert calls(compiled) == 21


def test_memory_does_not_grow() -> None:
    import tracemalloc

    compiled = grad(gaussian)
    covariance, x = np.eye(50), np.ones(50)
    for _ in range(3):
        compiled.value_and_grad(covariance, x)
    tracemalloc.start()
    try:
        compiled.value_and_grad(covariance, x)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            compiled.value_and_grad(covariance, x)
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()


def test_routines_of_lapack_have_a_public_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.linalg import lapack

    monkeypatch.setattr(scipy_extensions, "extension", lambda name: None)
    assert scipy_extensions.lapack(F8, "getrf") is lapack.dgetrf
