"""Large kernels on several threads."""
from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from chainrule import grad
from chainrule.compiler.errors import ArgumentError
from chainrule.runtime import threads


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def logistic(w: Any, x: Any, y: Any) -> Any:
    z = x @ w
    return np.mean(np.log(1 + np.exp(z)) - y * z)


def data(rows: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=8), rng.normal(size=(rows, 8)), (rng.random(rows) > 0.5) * 1.0


def test_the_result_does_not_depend_on_the_number_of_threads() -> None:
    loss, arguments = grad(wrt="w")(logistic), data(300_001)
    results = []
    for count in (1, 2, 3, 7):
        threads.set_num_threads(count)
        results.append(loss.value_and_grad(*arguments))
    for value, gradient in results[1:]:
        assert value == results[0][0]
        assert gradient.tobytes() == results[0][1].tobytes()
    w, x, y = arguments
    np.testing.assert_allclose(results[0][1], x.T @ (1 / (1 + np.exp(-(x @ w))) - y) / len(y), rtol=1e-10)


def test_calls_from_many_threads_at_once() -> None:
    loss, arguments = grad(wrt="w")(logistic), data(200_000)
    expected = loss.grad(*arguments)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: loss.grad(*arguments), range(24)))
    assert all(r.tobytes() == expected.tobytes() for r in results)


def child(arguments: tuple[Any, ...], expected: bytes, answers: Any) -> None:
    answers.put(grad(wrt="w")(logistic).grad(*arguments).tobytes() == expected)


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_after_a_fork() -> None:
    arguments = data(200_000)
    expected = grad(wrt="w")(logistic).grad(*arguments).tobytes()
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    process = fork.Process(target=child, args=(arguments, expected, answers))
    process.start()
    assert answers.get(timeout=60) is True
    process.join(timeout=60)
    assert process.exitcode == 0


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_a_number_of_threads_that_is_none(count: Any) -> None:
    with pytest.raises(ArgumentError, match="whole number of at least 1"):
        threads.set_num_threads(count)
