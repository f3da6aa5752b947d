"""np.arange and np.eye of a traced size stay symbolic; elsewhere they are NumPy's own."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from chainrule import grad

ARANGE, EYE = np.arange, np.eye
CASES = {
    "arange": lambda x: x * np.arange(x.shape[0]), "from one": lambda x: x * np.arange(1, x.shape[0] + 1),
    "of a type": lambda x: x * np.arange(x.shape[0], dtype=float),
    "eye": lambda x: np.eye(x.shape[0]) * x, "eye beside": lambda x: np.eye(x.shape[0], k=1) * x,
}


@pytest.mark.parametrize("name", CASES)
def test_ramps_of_a_traced_size_are_not_numbers(name: str) -> None:
    function = grad(lambda x: np.sum(np.sin(CASES[name](x))))
    for n in (4, 7, 2):
        x = np.linspace(0.1, 1.0, n)
        np.testing.assert_allclose(function(x), np.sum(np.sin(CASES[name](x))), rtol=1e-13)
    assert function.stats.compiles == 1
    assert function.stats.specialisations == []


def test_plain_numbers_and_floats_are_for_numpy() -> None:
    seen: list[Any] = []

    @grad
    def f(x: Any) -> Any:
        seen.append(np.arange(3))
        seen.append(np.arange(0.0, x.shape[0], 0.5))
        return np.sum(x) * len(seen[-1])

    assert f(np.ones(2)) == 8.0
    assert [type(a) for a in seen] == [np.ndarray, np.ndarray]
    assert f.stats.specialisations


def test_numpy_has_its_own_functions_back() -> None:
    @grad
    def fails(x: Any) -> Any:
        assert np.arange is not ARANGE
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fails(np.ones(3))
    assert (np.arange, np.eye) == (ARANGE, EYE)


def test_other_threads_do_not_notice() -> None:
    stop = threading.Event()
    wrong: list[Any] = []

    def work() -> None:
        while not stop.is_set():
            if type(np.arange(5)) is not np.ndarray or np.arange(5)[-1] != 4:
                wrong.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    for k in range(30):
        grad(lambda x, k=k: np.sum(x * np.arange(x.shape[0])) * k)(np.ones(3))
    stop.set()
    thread.join()
    assert not wrong
    assert np.arange is ARANGE
