"""Results that are written past the caches: which, from which size on, and with the same bits."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule import grad
from chainrule.compiler import native
from chainrule.compiler.assemble import planned
from chainrule.compiler.blocks import ORDERED, WIDEST
from chainrule.compiler.errors import ArgumentError
from chainrule.compiler.ir import Graph, Node, f, make
from chainrule.compiler.kernel import Compiled
from chainrule.compiler.native import CACHE, last_cache, memory
from chainrule.compiler.packing import ArgumentLayout
from chainrule.compiler.pipeline import Options, Request, build
from chainrule.compiler.program import Program, compile_program
from chainrule.compiler.scheduled import Scheduled, kernels_of
from chainrule.compiler.sizes import Size, symbol

F8 = np.dtype(np.float64)
N, M = symbol("s0"), symbol("s1")
RANDOM = np.random.default_rng(11)
NEVER = 1 << 60
ELEMENTS = 40_000  # 320 KB: large enough for the pool and for threads


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = memory.stream_from, native.workers.count
    yield
    memory.set_stream_from(before[0])
    native.workers.count = before[1]


def variable(position: int, *shape: Size, dtype: Any = F8) -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=f"x{position}")


def graph(inputs: tuple[Node, ...], *outputs: Node) -> Graph:
    return Graph(inputs, outputs, (), {"s0": 50, "s1": 7})


def cubic(dtype: Any = F8, *shape: Size) -> Graph:
    """3 a^3 - b^2 and its two slopes."""
    a, b = (variable(k, *(shape or (N,)), dtype=dtype) for k in range(2))
    return graph((a, b), 3 * a * a * a - b * b, 9 * a * a, -2 * b)


def summed() -> Graph:
    """Its sum, its largest element and the slopes."""
    a, b = variable(0, N), variable(1, N)
    y = 3 * a * a * a - b * b
    return graph((a, b), f.sum(y, axes=(0,)), 9 * a * a, -2 * b, f.max(y, axes=(0,)))


def differences() -> Graph:
    """A loop that is cut where masks change, over rows."""
    x = variable(0, N, M)
    i = make("iota", shape=(N, M), axis=0, dtype=np.dtype(np.int64))
    return graph((x,), f.where(f.lt(i, 2), x * 2.0, x - 1.0))


def streams_of(made: Graph) -> list[tuple[str, ...]]:
    return [k.streams for k in kernels_of(planned(made)[1])]


x, y, w = variable(0, N), variable(1, N), variable(0, N, M)
single = variable(0, N, dtype="float32")
ELIGIBLE = {
    "slopes": (cubic(), 3), "slopes with their sum": (summed(), 2), "float32": (cubic("float32"), 3), "rows": (cubic(F8, N, M), 3),
    "mask": (differences(), 1), "root and quotient": (graph((x, y), f.sqrt(x) / y), 1), "integers": (graph((x,), f.gt(x, 0.0)), 1),
}
square = 2.0 * w + 1.0
INELIGIBLE = {
    "an exponential computes for longer": (graph((x,), f.exp(x)), [()]),
    "much arithmetic": (graph((x,), sum((x * (x + float(k)) for k in range(2, 16)), start=x)), [()]),
    "a product reads it": (graph((w,), square, f.contract(square, square, left="nd", right="ne", out="de")), [()]),
    "the sums of columns are not numbers": (graph((w,), f.sum(w, axes=(0,)), w * 2.0), [()]),
    "a number": (graph((x,), f.sum(x * x, axes=(0,))), [()]),
}


@pytest.mark.parametrize("name", ELIGIBLE)
def test_results_that_nobody_reads_may_go_past_the_caches(name: str) -> None:
    made, count = ELIGIBLE[name]
    assert [len(names) for names in streams_of(made)] == [count]


@pytest.mark.parametrize("name", INELIGIBLE)
def test_others_may_not(name: str) -> None:
    made, expected = INELIGIBLE[name]
    assert streams_of(made) == expected


def test_the_plan_says_so() -> None:
    text = str(Scheduled(*planned(cubic())))
    assert "past the caches where large, as nothing here reads them: out0, out1, out2" in text


@pytest.fixture(scope="module")
def programs() -> dict[str, Program]:
    return {name: compile_program(ELIGIBLE[name][0]) for name in SHAPES}


SHAPES: dict[str, tuple[int, ...]] = {
    "slopes": (ELEMENTS + 13,), "slopes with their sum": (ORDERED // 16 + 3,), "float32": (2 * ELEMENTS + 5,), "rows": (ELEMENTS // 4, 7),
    "mask": (ELEMENTS // 7, 21)}


def arguments(made: Program, shape: tuple[int, ...]) -> list[Any]:
    return [RANDOM.normal(size=shape).astype(b.dtype) for b in made.record.buffers[:len(made.record.inputs)]]


def assert_same(first: list[Any], second: list[Any]) -> None:
    for one, other in zip(first, second, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", SHAPES)
def test_the_bits_are_those_of_ordinary_stores(name: str, programs: dict[str, Program]) -> None:
    made = programs[name]
    given = arguments(made, SHAPES[name])
    memory.set_stream_from(NEVER)
    ordinary = made.run(given)
    assert made.latest_streamed == 0
    memory.set_stream_from(1)
    bytes_ = sum(r.nbytes for r in ordinary if r.ndim)
    for threads in (1, 2, 3):
        native.workers.count = threads
        assert_same(made.run(given), ordinary)
        assert made.latest_streamed == bytes_
    assert_same(made.run_steps(given), ordinary)


def test_the_threshold_is_in_bytes_of_a_kernels_results(programs: dict[str, Program]) -> None:
    made = programs["slopes"]
    given = arguments(made, (ELEMENTS,))
    bytes_ = 3 * ELEMENTS * 8
    for least, streamed in ((bytes_ - 1, bytes_), (bytes_, bytes_), (bytes_ + 1, 0)):
        memory.set_stream_from(least)
        made.run(given)
        assert made.latest_streamed == streamed
    made.run(arguments(made, (100,)))  # small work does not ask
    assert made.latest_streamed == 0


def test_sums_keep_their_order(programs: dict[str, Program]) -> None:
    """Below the size from which on they are added strip by strip, results do not go past the caches."""
    made = programs["slopes with their sum"]
    memory.set_stream_from(1)
    for count, streamed in ((ORDERED // 16 - 1, 0), (ORDERED // 16, ORDERED)):
        made.run(arguments(made, (count,)))
        assert made.latest_streamed == streamed


@pytest.mark.parametrize("columns", [WIDEST // 24, WIDEST // 24 + 1])
def test_rows_that_are_too_wide_are_written_as_ever(columns: int, programs: dict[str, Program]) -> None:
    made = programs["rows"]
    given = arguments(made, (300, columns))
    memory.set_stream_from(NEVER)
    ordinary = made.run(given)
    memory.set_stream_from(1)
    assert_same(made.run(given), ordinary)
    assert made.latest_streamed == (3 * given[0].nbytes if columns == WIDEST // 24 else 0)


@pytest.mark.parametrize("name", ["slopes", "float32", "rows"])
@pytest.mark.parametrize("shift", [1, 3, 7, 8, 11])
def test_results_may_lie_anywhere(name: str, shift: int, programs: dict[str, Program]) -> None:
    made = programs[name]
    shape = SHAPES[name]
    given = arguments(made, shape)
    memory.set_stream_from(NEVER)
    ordinary = made.run(given)
    memory.set_stream_from(1)
    count, dtype = int(np.prod(shape)), given[0].dtype
    rooms = [np.full(count + 32, 5.0, dtype) for _ in ordinary]
    out = [room[shift:shift + count].reshape(shape) for room in rooms]
    assert_same(made.run(given, out=out), ordinary)
    assert made.latest_streamed == sum(r.nbytes for r in ordinary)
    for room in rooms:
        assert (room[:shift] == 5.0).all()
        assert (room[shift + count:] == 5.0).all()


def test_few_rows(programs: dict[str, Program]) -> None:
    """A range that is shorter than a strip, and a last strip that is."""
    made = programs["slopes"]
    kernel = made.kernels[0]
    given = arguments(made, (700,))
    for start, stop in ((0, 0), (0, 1), (5, 700), (16, 96), (1, 2)):
        results = [np.full(700, 5.0) for _ in range(3)]
        arrays = dict(zip((b.name for b in kernel.buffers if not b.written), given, strict=True))
        arrays |= dict(zip(kernel.streams, results, strict=True))
        expected = made.run(given)
        packed = np.append(ArgumentLayout.of(kernel).pack({"s0": 700}, arrays), 1)
        assert made.code is not None
        made.code.run(0, start, stop, packed)
        for mine, whole in zip(results, expected, strict=True):
            assert mine[start:stop].tobytes() == whole[start:stop].tobytes()
            assert (mine[:start] == 5.0).all()
            assert (mine[stop:] == 5.0).all()


def test_one_copy_by_non_temporal_stores_for_all_kernels(programs: dict[str, Program]) -> None:
    """One store of a line in the emitted code, and a copy for each result."""
    for name, made in (*programs.items(), ("none", compile_program(INELIGIBLE["an exponential computes for longer"][0]))):
        assert isinstance(made.code, Compiled)
        code = made.code.llvm()
        streams = sum(len(k.streams) for k in made.kernels)
        assert code.count("!nontemporal") == (1 if streams else 0), name
        assert code.count("call void @copy_past_caches") + code.count("call fastcc void @copy_past_caches") == streams, name


def test_a_stored_program_streams_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("CHAINRULE_CACHE", raising=False)
    first, second = (build(cubic(), Request("value"), Options()) for _ in range(2))
    assert (first.cached, second.cached) == (False, True)
    given = arguments(first.program, (ELEMENTS,))
    memory.set_stream_from(1)
    assert_same(second.program.run(given), first.program.run(given))
    assert second.program.latest_streamed == 3 * ELEMENTS * 8


def test_stats_say_how_much() -> None:
    loss = grad(lambda a, b: 3 * a**3 - b**2)
    a = RANDOM.normal(size=ELEMENTS)
    memory.set_stream_from(1)
    for _ in range(2):
        loss(a, a)
    assert loss.stats.streamed_bytes == a.nbytes
    assert f"results written past the caches in the latest calls: {a.nbytes} bytes at most" in str(loss.stats)


def test_the_threshold_is_what_the_last_cache_holds(tmp_path: Path) -> None:
    assert last_cache(str(tmp_path)) == CACHE
    for number, text in enumerate(("32K\n", "1024K", "12M", "?", "")):
        (tmp_path / f"index{number}").mkdir()
        (tmp_path / f"index{number}" / "size").write_text(text)
    assert last_cache(str(tmp_path)) == 12 << 20
    assert last_cache() >= 1 << 15


@pytest.mark.parametrize("bytes_", [-1, 0.5, True])
def test_a_threshold_is_a_number_of_bytes(bytes_: Any) -> None:
    with pytest.raises(ArgumentError, match=f"results are written past the caches from a number of bytes, at least 0, not {bytes_}"):
        memory.set_stream_from(bytes_)
