"""Routines in emitted code: small matrices, stacks of them, running sums; and views without calls of Python."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tracing import traced

from chainrule.compiler import interpret, program
from chainrule.compiler.errors import IndexingError
from chainrule.compiler.ir import Graph, Node, f
from chainrule.compiler.ops.linalg import matrix_transpose
from chainrule.compiler.program import compile_program
from chainrule.compiler.routine import LARGEST

RANDOM = np.random.default_rng(3)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ops that Python was asked for."""
    names: list[str] = []
    evaluation = program._evaluation

    def noted(call: Any, buffer: Any) -> Callable[..., Any]:
        evaluated = evaluation(call, buffer)

        def run(*arguments: Any) -> Any:
            names.append(call.op)
            return evaluated(*arguments)

        return run

    monkeypatch.setattr(program, "_evaluation", noted)
    return names


def symmetric(lead: tuple[int, ...], n: int, dtype: str) -> Any:
    made = RANDOM.normal(size=(*lead, n, n)) / n
    return (made @ np.swapaxes(made, -1, -2) + np.eye(n)).astype(dtype)


def program_of(a: Any, b: Any, made: Callable[[Node, Node], list[Node]]) -> Graph:
    """Of two inputs with traced sizes."""
    graph, _ = traced(np.linalg.solve, a, b)
    return graph.with_outputs(made(*graph.inputs))


def of_matrices(a: Node, b: Node) -> list[Node]:
    lu, turned = f.lu(a), matrix_transpose(a)
    return [f.neg(f.lu_solve(lu, b, transposed=False)), f.lu_solve(lu, b, transposed=True), f.lu_inverse(lu),
            f.det(a), f.cofactor(a), f.cholesky(a), f.triangular_solve(a, b, triangle="lower", diagonal="given"),
            f.triangular_solve(turned, b, triangle="upper", diagonal="ones")]


@pytest.mark.parametrize(("lead", "dtype"), [((), "float64"), ((2, 3), "float32")])
def test_small_matrices_do_not_ask_python(lead: tuple[int, ...], dtype: str, asked: list[str]) -> None:
    def given(n: int, columns: int) -> list[Any]:
        return [symmetric(lead, n, dtype)[..., ::-1, :][..., ::-1], RANDOM.normal(size=(*lead, n, columns)).astype(dtype)]

    graph = program_of(*given(4, 2), of_matrices)
    compiled = compile_program(graph)
    close = {"rtol": 1e-3, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-12}
    for n, columns, calls in ((4, 2, 0), (2, 3, 0), (LARGEST, 2, 0), (LARGEST + 1, 2, 9)):
        arrays = given(n, columns)
        asked.clear()
        found = compiled.run(arrays)
        assert len([name for name in asked if name != "permute"]) == calls
        for node, got, want in zip(graph.outputs, found, interpret.run(graph, arrays), strict=True):
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            np.testing.assert_allclose(got, want, **close, err_msg=node.op.name)


def test_matrices_in_registers_have_the_bits_of_those_in_memory() -> None:
    """Eight matrices of a stack at once, each with rows of its own exchanged; the last ones are fewer."""
    a, b = RANDOM.normal(size=(19, 3, 3)), RANDOM.normal(size=(19, 3, 2))

    def made(x: Node, y: Node) -> list[Node]:
        lu = f.lu(x)
        return [f.neg(lu), f.lu_solve(lu, y, transposed=True), f.lu_inverse(lu), f.solve(x, y), f.inverse(x), f.det(x), f.cofactor(x),
                f.triangular_solve(x, y, triangle="upper", diagonal="given")]

    few, many = (compile_program(program_of(np.eye(n) + np.zeros((2, n, n)), np.ones((2, n, 2)), made)).run([a, b]) for n in (3, 6))
    for got, want in zip(few, many, strict=True):
        assert got.tobytes() == want.tobytes()


def test_what_small_matrices_cannot_be(asked: list[str]) -> None:
    """Rows are exchanged; what is singular, or beyond the range, is NumPy's to say."""
    a, b = np.eye(3)[[2, 0, 1]] * 2.0, np.arange(6.0).reshape(3, 2)
    of: list[tuple[Callable[[Node, Node], list[Node]], str]] = [
        (lambda x, y: [f.neg(f.solve(x, y))], "Singular"), (lambda x, y: [f.neg(f.inverse(x))], "Singular"),
        (lambda x, y: [f.neg(f.cholesky(x))], "not positive definite"), (lambda x, y: [f.neg(f.det(x)), f.cofactor(x)], "")]
    for made, error in of:
        graph = program_of(a, b, made)
        compiled = compile_program(graph)
        for matrix in (np.zeros((3, 3)), *([] if error else [np.diag([1e200, 1e200, 1e-200])])):
            asked.clear()
            if error:
                with pytest.raises(np.linalg.LinAlgError, match=error):
                    compiled.run([matrix, b])
            else:
                np.testing.assert_equal(compiled.run([matrix, b]), interpret.run(graph, [matrix, b]))
            assert len(asked) == len(graph.outputs)
        if error != "not positive definite":
            asked.clear()
            np.testing.assert_allclose(compiled.run([a, b])[0], interpret.run(graph, [a, b])[0], rtol=1e-15)
            assert asked == []


@pytest.mark.parametrize(("place", "value"), [((0, 0), np.nan), ((0, 3), np.inf), ((3, 3), -np.inf)])
def test_what_is_not_finite_is_left_to_numpy(place: tuple[int, int], value: float, asked: list[str]) -> None:
    """Where NaN spreads depends on the order of operations."""
    a, b = symmetric((), 4, "float64") + RANDOM.normal(size=(4, 4)), RANDOM.normal(size=(4, 2))
    graph = program_of(a, b, lambda x, y: [f.neg(f.solve(x, y))])
    compiled = compile_program(graph)
    a[place] = value
    np.testing.assert_allclose(compiled.run([a, b])[0], interpret.run(graph, [a, b])[0], rtol=1e-9)
    assert asked == ["solve"]


@pytest.mark.parametrize("shape", [(9,), (4, 5), (3, 4, 5), (0, 3)])
def test_running_sums_have_the_bits_of_numpy(shape: tuple[int, ...], asked: list[str]) -> None:
    x = np.asfortranarray(RANDOM.normal(size=shape).astype("float32"))
    x[:1] = -0.0
    graph, _ = traced(lambda x: [-np.cumsum(np.flip(x, axis), axis=axis) for axis in range(len(shape))], x)
    for given in (x, np.ascontiguousarray(x), x[..., ::2]):
        for got, want in zip(compile_program(graph).run([given]), interpret.run(graph, [given]), strict=True):
            assert got.tobytes() == want.tobytes()
    assert asked == []


def test_indices_are_checked_without_python(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[int] = []
    check = program._check_indices
    monkeypatch.setattr(program, "_check_indices", lambda given, *rest: (checks.append(given.size), check(given, *rest)))
    x, indices = RANDOM.normal(size=(5, 2)), np.array([[4, 0, 1, 1, 3], [2, 0, 4, 1, 3]])
    graph, _ = traced(lambda x, k: x[k] * 2.0, x, indices)
    compiled = compile_program(graph)
    for given in (indices, indices[:, ::-2], indices[:0]):
        np.testing.assert_array_equal(compiled.run([x, given])[0], x[given] * 2.0)
    assert checks == []
    for wrong in (5, -6):
        indices[1, 3] = wrong
        with pytest.raises(IndexingError, match="out of bounds"):
            compiled.run([x, indices])
    assert checks == [10, 10]
