"""Memory of large results: recycled when nobody can see it any more, bounded, and never lost."""
from __future__ import annotations

import gc
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule import grad
from chainrule.compiler.errors import ArgumentError
from chainrule.compiler.native import memory
from chainrule.compiler.native_code import LARGE, PLACES

SIZE = 1 << 18  # elements: 2 MiB
X = np.random.default_rng(0).normal(size=SIZE)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = memory.limit
    memory.clear()
    yield
    memory.set_limit(before)
    memory.clear()


@pytest.fixture(scope="module")
def doubled() -> Any:
    made = grad(lambda x: 2.0 * x)
    made(X)
    return made


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_a_large_result_is_an_ordinary_array(doubled: Any) -> None:
    result = doubled(X)
    assert result.flags.owndata
    assert result.flags.writeable
    assert result.base is None
    assert result.ctypes.data % 64 == 0
    np.testing.assert_array_equal(result, 2 * X)


def test_memory_of_a_dropped_result_is_used_again(doubled: Any) -> None:
    result = doubled(X)
    address = result.ctypes.data
    assert memory.held == 0
    del result
    assert memory.held == X.nbytes
    again = doubled(X)
    assert memory.held == 0
    assert again.ctypes.data == address
    np.testing.assert_array_equal(again, 2 * X)


def test_small_results_are_not_kept(doubled: Any) -> None:
    small = X[: LARGE // 8 - 1]
    for _ in range(10):
        doubled(small)
    assert memory.held == 0


VIEWS: dict[str, Callable[[Any], Any]] = {
    "slice": lambda r: r[10:20], "reshape": lambda r: r.reshape(2, -1), "view": lambda r: r.view(np.int64), "memoryview": memoryview,
    "dlpack": np.from_dlpack, "flat": lambda r: r.flat, "interface": lambda r: np.asarray(memoryview(r)[3:]),
    "field": lambda r: r.real[::2], "frombuffer": lambda r: np.frombuffer(r, np.uint8),
}


@pytest.mark.parametrize("name", VIEWS)
def test_memory_that_somebody_sees_is_not_used_again(name: str, doubled: Any) -> None:
    result = doubled(X)
    view = VIEWS[name](result)
    before = np.array(view, copy=True)
    first, last = result.ctypes.data, result.ctypes.data + result.nbytes
    del result
    gc.collect()
    assert memory.held == 0
    others = [doubled(-X) for _ in range(3)]
    assert not any(first <= other.ctypes.data < last for other in others)
    np.testing.assert_array_equal(np.array(view, copy=True), before)
    del view, others, before  # copies made from an iterator refer to it
    assert memory.held == 4 * X.nbytes


def test_what_is_kept_is_bounded(doubled: Any) -> None:
    memory.set_limit(5 * X.nbytes)
    results = [doubled(X) for _ in range(9)]
    while results:
        results.pop()
        assert memory.held <= memory.limit
    assert memory.held == 5 * X.nbytes
    memory.set_limit(2 * X.nbytes)
    assert memory.held <= memory.limit
    memory.set_limit(X.nbytes - 1)
    result = doubled(X)
    del result
    assert memory.held == 0
    memory.set_limit(1 << 40)
    results = [doubled(X[: SIZE - k * 64]) for k in range(2 * PLACES)]
    results.clear()
    assert memory.held <= PLACES * X.nbytes


def test_a_block_much_too_large_is_not_taken(doubled: Any) -> None:
    result = doubled(X)
    del result
    half = doubled(X[: SIZE // 2])
    assert memory.held == X.nbytes
    close = doubled(X[: SIZE - 1000])
    assert memory.held == 0
    assert len(half) + len(close) == SIZE // 2 + SIZE - 1000


def test_clearing_gives_memory_back(doubled: Any) -> None:
    large = np.ones(1 << 23)
    result = doubled(large)
    del result
    before = resident()
    assert memory.clear() == large.nbytes
    assert memory.held == 0
    assert before - resident() > large.nbytes // 2


def test_a_result_can_be_resized(doubled: Any) -> None:
    result = doubled(X)
    result.resize(2 * SIZE, refcheck=False)
    np.testing.assert_array_equal(result[:SIZE], 2 * X)
    result.resize(10, refcheck=False)
    np.testing.assert_array_equal(result, 2 * X[:10])


def test_results_are_dropped_by_other_threads(doubled: Any) -> None:
    wrong: list[int] = []

    def call(k: int) -> None:
        for _ in range(30):
            result = doubled(X[k:])
            if result[0] != 2 * X[k] or result[-1] != 2 * X[-1]:
                wrong.append(k)

    threads = [threading.Thread(target=call, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_ten_thousand_calls_lose_nothing() -> None:
    """Results of the pool, temporaries, partial results; given out and taken back."""
    f = grad(lambda x: np.sum(np.sin(x) / np.sum(x * x)))
    x = X[: 1 << 15]
    out = np.empty_like(x)
    for calls in (200, 10_000):
        before = resident()
        for _ in range(calls // 2):
            f.value_and_grad(x)
            f.grad(x, out=out)
        growth = resident() - before
    assert growth < 4 << 20


def test_numpy_keeps_its_own_allocator(doubled: Any) -> None:
    doubled(X)
    held = memory.held
    for _ in range(3):
        np.empty(SIZE)
    assert memory.held == held


@pytest.mark.parametrize("limit", [-1, 1.5, "2", True, None])
def test_a_limit_that_is_none(limit: Any) -> None:
    with pytest.raises(ArgumentError, match="a number of bytes"):
        memory.set_limit(limit)


# ------------------------------------------------------------------------------------------------ what a call takes
def test_the_memory_of_a_call_is_reported() -> None:
    f = grad(lambda a, b: np.sum(3 * a**3 - b**2))
    for n in (10, SIZE):
        f.grad(X[:n], X[:n])
        assert f.stats.peak_bytes == 2 * 8 * n
    g = grad(lambda x: np.sort(x) * 2.0)
    g(X)
    assert g.stats.peak_bytes == 2 * X.nbytes  # the sorted array, and the result
    assert f"{2 * X.nbytes} bytes at most" in str(g.stats)


def lennard_jones(x: Any) -> Any:
    """The energy of all pairs, as it is written down: with arrays of N x N x 3."""
    difference = x[:, None, :] - x[None, :, :]
    squared = np.sum(difference * difference, axis=-1)
    at = np.arange(x.shape[0])
    sixth = 1.0 / np.where(at[:, None] == at[None, :], 1e30, squared) ** 3
    return 0.5 * np.sum(4.0 * (sixth * sixth - sixth))


def test_pairs_take_no_memory_that_grows_with_their_number() -> None:
    """N = 20,000: an array of N x N would be 3.2 GB."""
    x = np.random.default_rng(0).uniform(0, 32.0, (20_000, 3))
    f = grad(lennard_jones)
    f.value_and_grad(x[:100])
    gradient = f.value_and_grad(x)[1]
    assert f.stats.peak_bytes <= gradient.nbytes + (64 << 20)
    assert f.stats.compiles == 1
    np.testing.assert_allclose(gradient.sum(axis=0), np.zeros(3), atol=1e-6 * np.abs(gradient).max())
