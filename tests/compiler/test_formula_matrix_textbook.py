"""Textbook matrix derivatives: how they print, and that every form of them has the numbers of an independent derivative."""
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from formula_values import by_source, by_sympy
from matrix_textbook import CASES, Case, arguments

import chainrule as cr

FORMS = [pytest.param(case, names, id=f"{case.name} by {names}") for case in CASES for names in case.forms]
WEIGHTS = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}  # central differences of order eight
STEP = 0.005
LARGEST = 10  # elements: SymPy evaluates them one by one


def differences(function: Callable[..., Any], names: list[str], at: dict[str, Any]) -> np.ndarray:
    """The derivative of a NumPy function by the named arguments, one after another."""
    if not names:
        return np.asarray(function(**at))
    *before, name = names
    x = np.asarray(at[name])
    columns = []
    for place in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[place] = STEP
        columns.append(sum(w * (differences(function, before, at | {name: x + k * unit})
                                - differences(function, before, at | {name: x - k * unit})) for k, w in WEIGHTS.items()) / STEP)
    stacked = np.stack(columns, axis=-1)
    return stacked.reshape((*stacked.shape[:-1], *x.shape))


def derivative(case: Case, names: str, at: dict[str, Any]) -> Any:
    """The formula."""
    assume = dict.fromkeys(case.symmetric.split(), "symmetric")
    graph = cr.grad(case.function, assume=assume).trace(*at.values())
    return graph.derivative(*names.split()) if names else graph.formula


def _is_beyond_sympy(case: Case, names: str) -> bool:
    """Whether the form has factors of a matrix, for which SymPy has no functions, or inverses of exponentials, which take it minutes."""
    return any(name in case.forms[names] for name in ("cholesky", "eigh", "pinv", "svd", "inv(exp"))


@pytest.mark.parametrize(("case", "names"), FORMS)
def test_print_and_numbers(case: Case, names: str) -> None:
    at = arguments(case)
    made = derivative(case, names, at)
    assert str(made) == case.forms[names]
    expected = differences(case.function, names.split(), at)
    for found in (made(**at), by_source(made, at)):
        assert np.shape(found) == expected.shape
        assert np.allclose(found, expected, rtol=1e-7, atol=1e-7), made.numpy


@pytest.mark.parametrize(("case", "names"), [p for p in FORMS if not _is_beyond_sympy(*p.values)])
def test_sympy_expressions(case: Case, names: str) -> None:
    at = arguments(case)
    made = derivative(case, names, at)
    expected = np.asarray(made(**at))
    if expected.size > LARGEST:
        return
    found = by_sympy(made, made._graph, at)
    assert np.allclose(found.ravel(), expected.ravel(), rtol=1e-9, atol=1e-12), made.sympy


def test_by_a_matrix_that_is_factored() -> None:
    """The derivative of a Gaussian log-likelihood by the covariance matrix: symmetric, as Cholesky's gradient is."""
    S, x = np.eye(2) + 0.5, np.ones(2)
    made = cr.grad(lambda x, S: -np.sum(np.linalg.solve(np.linalg.cholesky(S), x) ** 2) / 2 - np.log(
        np.diag(np.linalg.cholesky(S))).sum()).trace(x, S).derivative("S")
    assert str(made) == "((inv(S) @ x) @ (inv(S) @ x).T - inv(S))/2"
    at = {"x": x, "S": S}
    assert np.allclose(by_source(made, at), made(x, S))


def test_there_are_many() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


def test_arrays_from_elsewhere_have_their_names_and_need_not_be_given() -> None:
    weights = np.array([1.0, 2.0, 5.0])

    def loss(x: Any) -> Any:
        shift = np.array([3.0, 0.5, 1.0])
        return np.sum(weights * (x - shift) ** 2 * np.array([0.5, 2.0, 4.0]))

    x = np.ones(3)
    made = cr.grad(loss).trace(x).derivative("x")
    assert made.numpy == "2*weights*np.array([0.5, 2.0, 4.0])*(x - shift)"
    assert np.array_equal(made(x), by_source(made, {"weights": weights, "shift": np.array([3.0, 0.5, 1.0]), "x": x}))
