"""The driver: the same bits as step by step, on any number of threads, from many threads, and after a fork."""
from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from chainrule.compiler import native
from chainrule.compiler.entry_spec import ArrayArgument, EntrySpec
from chainrule.compiler.ir import Graph, Node, f, make
from chainrule.compiler.memory_plan import plan_memory
from chainrule.compiler.program import Program, compile_program
from chainrule.compiler.sizes import Size, symbol

F8 = np.dtype(np.float64)
N, M = symbol("s0"), symbol("s1")
RANDOM = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = native.workers.count
    yield
    native.workers.count = before


def variable(position: int, *shape: Size, dtype: Any = F8) -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=f"x{position}")


def every_reduction() -> Graph:
    """Sums, extremes and truth values of several dtypes, into numbers and into rows."""
    x = variable(0, N, M)
    single = f.cast(x, dtype="float32")
    positive = f.gt(x, x * x)
    outputs = (f.sum(f.exp(x), axes=(0, 1)), f.max(x, axes=(0, 1)), f.sum(single, axes=(0,)), f.min(x * x, axes=(0,)), f.exp(x),
               f.any(positive, axes=(0,)), f.all(positive, axes=(0, 1)), f.sum(f.cast(positive, dtype="int64"), axes=(0,)))
    return Graph((x,), outputs, (), {"s0": 5, "s1": 3})


def chained() -> Graph:
    """Temporaries of the same size that are dead one after the other, and reductions between them."""
    x = variable(0, N, M)
    y = x
    for _ in range(3):
        y = f.sin(y) / f.expand(f.sqrt(f.sum(y * y, axes=(0,))), shape=x.shape, axes=(1,))
    return Graph((x,), (f.sum(y, axes=(1,)), f.max(y, axes=(0, 1))), (), {"s0": 5, "s1": 3})


def with_products() -> Graph:
    """Matrix products, one added to another, with loops between them."""
    x = variable(0, N, M)
    gram = f.contract(x, x, left="nd", right="ne", out="de")
    scaled = f.contract(f.tanh(x), gram, left="nd", right="de", out="ne") + f.contract(x, gram, left="nd", right="ed", out="ne")
    return Graph((x,), (f.exp(scaled * 1e-9), f.sum(gram, axes=(0, 1))), (), {"s0": 5, "s1": 3})


PROGRAMS = {"reductions": every_reduction, "chained": chained, "products": with_products}


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: Any) -> Program:
    made = compile_program(PROGRAMS[request.param]())
    assert made.record.driver
    return made


@pytest.mark.parametrize("shape", [(0, 4), (2, 2), (1000, 30), (200_003, 7), (300_001, 2), (2, 400_000)], ids=str)
def test_the_bits_are_those_of_the_steps(program: Program, shape: tuple[int, ...]) -> None:
    if shape[1] > 1000 and any(b.shape == (M, M) for b in program.record.buffers):
        shape = shape[0], 500
    given = RANDOM.normal(size=shape)
    expected = program.run_steps([given])
    for count in (1, 2, 3, 7):
        native.workers.count = count
        for result, want in zip(program.run([given]), expected, strict=True):
            assert result.dtype == want.dtype
            assert result.tobytes() == want.tobytes()


def test_calls_from_many_threads_at_once(program: Program) -> None:
    native.workers.count = 3
    given = [RANDOM.normal(size=(100_000 + k, 4)) for k in range(8)]
    expected = [[r.tobytes() for r in program.run_steps([g])] for g in given]
    failures: list[int] = []

    def call(k: int) -> None:
        for _ in range(10):
            if [r.tobytes() for r in program.run([given[k]])] != expected[k]:
                failures.append(k)

    threads = [threading.Thread(target=call, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_idle_workers_sleep() -> None:
    """They use no time of the processor."""
    import time

    native.workers.count = 4
    native.prepare()
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.1


def child(graph_name: str, given: Any, expected: list[bytes], answers: Any) -> None:
    native.workers.count = 3
    answers.put([r.tobytes() for r in compile_program(PROGRAMS[graph_name]()).run([given])] == expected)


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_its_own_workers() -> None:
    native.workers.count = 3
    given = RANDOM.normal(size=(300_000, 4))
    program = compile_program(chained())
    expected = [r.tobytes() for r in program.run([given])]
    assert any(t.name.startswith("chainrule-") for t in threading.enumerate())
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    process = fork.Process(target=child, args=("chained", given, expected, answers))
    process.start()
    assert answers.get(timeout=60) is True
    process.join(timeout=60)
    assert process.exitcode == 0
    assert [r.tobytes() for r in program.run([given])] == expected


def test_numbers_are_put_into_arrays_of_the_callers() -> None:
    x, place = variable(0, N), np.zeros(())
    program = compile_program(Graph((x,), (f.sum(x, axes=(0,)),), (), {"s0": 5}))
    before = sys.getrefcount(place)
    assert program.run([np.ones(3)], [place])[0] is place
    assert (float(place), sys.getrefcount(place)) == (3.0, before)


# ------------------------------------------------------------------------------------------------ calls of Python
def test_programs_that_differ_in_their_routines_alone() -> None:
    x, given = variable(0, N, N), RANDOM.normal(size=(3, 3))
    spec = EntrySpec((ArrayArgument(0),), 0)
    programs = [compile_program(Graph((x,), (made,), (), {"s0": 5}), spec) for made in (f.inverse(x), f.det(x))]
    for program, expected in zip(programs, (np.linalg.inv(given), np.linalg.det(given)), strict=True):
        assert program.entry is not None
        np.testing.assert_allclose(program.entry(np.sum, "direct")(given), expected, rtol=1e-12)


def test_errors_of_routines_hold_no_memory_of_the_driver() -> None:
    x = variable(0, N, N)
    program = compile_program(Graph((x,), (f.inverse(f.sin(x)),), (), {"s0": 5}))
    try:
        raise KeyError
    except KeyError:
        with pytest.raises(np.linalg.LinAlgError) as found:
            program.run([np.zeros((3, 3))])
    outside = found.value.__context__
    assert isinstance(outside, KeyError)
    assert outside.__traceback__ is not None
    seen = [value for entry in found.traceback for value in entry.frame.f_locals.values()]
    arrays = [item for value in seen for item in (value if isinstance(value, tuple) else (value,)) if isinstance(item, np.ndarray)]
    assert all(array.flags.owndata for array in arrays)


# ------------------------------------------------------------------------------------------------ memory of temporaries
def test_dead_temporaries_of_a_size_share_a_part() -> None:
    steps = [((), ("a",)), (("a",), ("b",)), (("b",), ("c", "small")), (("c", "small"), ("d",))]
    place, parts = plan_memory(steps, {"a": 8 * N, "b": 8 * N, "c": 8 * N, "d": 8 * N, "small": 8 * M})
    assert parts == [8 * N, 8 * N, 8 * M]
    assert place["a"] == place["c"]
    assert place["b"] == place["d"]
    assert place["small"] == 2


def test_temporaries_of_one_step_are_apart() -> None:
    place, _ = plan_memory([((), ("a", "b")), (("a",), ("c",)), (("b", "c"), ())], {name: 8 * N for name in "abc"})
    assert len(set(place.values())) == 3
