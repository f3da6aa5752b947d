"""Large kernels on several threads."""
from __future__ import annotations

import ctypes
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from chainrule import grad
from chainrule.compiler import native
from chainrule.compiler.errors import ArgumentError
from chainrule.compiler.native import workers
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


def test_more_threads_than_the_system_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, arguments = grad(wrt="w")(logistic), data(200_000)
    expected = loss.grad(*arguments)

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    threads.set_num_threads(10**6)
    assert threads.get_num_threads() == 10**6
    assert loss.grad(*arguments).tobytes() == expected.tobytes()


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


# ------------------------------------------------------------------------------------------------ where and when workers help
BODY = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)


def run_two_blocks(of_owner: Callable[[], object], of_worker: Callable[[], object]) -> set[int]:
    """Run a job of two blocks, each a call of the function for the thread that takes it; which threads took one."""
    owner, took = threading.get_native_id(), set[int]()

    def block(which: int, start: int, stop: int, arguments: int) -> None:
        took.add(threading.get_native_id())
        (of_owner if threading.get_native_id() == owner else of_worker)()

    function = BODY(block)
    workers.spread(np.array([ctypes.cast(function, ctypes.c_void_p).value, 0, 1, 2, 2, 0, 0, 0], np.int64))
    return took


@pytest.fixture
def alone_until() -> Any:
    """Until when jobs run alone, in nanoseconds: not now. There is a worker."""
    threads.set_num_threads(2)
    run_two_blocks(lambda: None, lambda: None)
    assert native._state.code is not None
    until = ctypes.c_int64.from_address(native._state.code.address("alone_until"))
    until.value = 0
    return until


def test_jobs_run_alone_for_a_time_after_a_worker_was_late(alone_until: Any) -> None:
    owner_began, worker_began = threading.Event(), threading.Event()

    def owner() -> None:
        owner_began.set()
        worker_began.wait(10)

    def worker() -> None:
        worker_began.set()
        owner_began.wait(10)

    def late() -> None:
        worker()
        time.sleep(0.02)

    assert len(run_two_blocks(owner, late)) == 2
    assert 0 < alone_until.value - time.monotonic_ns() <= 200_000_000
    assert run_two_blocks(lambda: time.sleep(0.001), late) == {threading.get_native_id()}
    alone_until.value = 0
    owner_began.clear()
    worker_began.clear()
    assert len(run_two_blocks(owner, worker)) == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_a_worker_is_woken_on_another_processor_than_the_owners(alone_until: Any) -> None:
    allowed, taken = os.sched_getaffinity(0), threading.Event()
    own = {t.native_id for t in threading.enumerate() if t.name.startswith("chainrule-")}
    kept = {worker: os.sched_getaffinity(worker) for worker in own if worker}
    here = min(allowed)

    def moved() -> bool:
        for worker in kept:
            os.sched_setaffinity(worker, {here})
        taken.clear()
        (worker,) = run_two_blocks(lambda: taken.wait(10), taken.set) - {threading.get_native_id()}  # it falls asleep there
        time.sleep(0.01)
        for each in kept:
            os.sched_setaffinity(each, allowed)
        os.sched_setaffinity(0, {here})
        alone_until.value = 0
        run_two_blocks(lambda: None, lambda: None)
        os.sched_setaffinity(0, allowed)
        return os.sched_getaffinity(worker) == allowed - {here}

    try:
        assert any(moved() for _ in range(20))  # a worker may have had reason to wake in between
    finally:
        os.sched_setaffinity(0, allowed)
        for worker, before in kept.items():
            os.sched_setaffinity(worker, before)
