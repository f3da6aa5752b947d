"""Kernels in blocks: which may run so, what is combined, and that threads never change a bit."""
from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import kernels as examples
import numpy as np
import pytest

from chainrule.compiler import blocks
from chainrule.compiler.blocks import BLOCK, block_bounds, combine
from chainrule.compiler.ir import Graph, Node, constant, f, make
from chainrule.compiler.loopnest import Buffer, Index, Kernel, Let, Literal, Load, Loop, Store
from chainrule.compiler.ops.rules import INT64
from chainrule.compiler.program import Program, compile_program
from chainrule.compiler.sizes import Size, evaluate, symbol
from chainrule.compiler.split import main_extent, main_loop, with_split, work

F8, F4 = np.dtype(np.float64), np.dtype(np.float32)
N, M = symbol("s0"), symbol("s1")


def variable(position: int, *shape: Size, dtype: Any = F8) -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=f"x{position}")


# ------------------------------------------------------------------------------------------------ bounds
@pytest.mark.parametrize("extent", [0, 1, 2, 255, 256, 257, 1000, 12345, 10**7])
@pytest.mark.parametrize("statements", [1, 7, 1000, 10**6])
@pytest.mark.parametrize("copy_bytes", [0, 8, 1 << 20, 1 << 30])
def test_bounds_are_a_partition(extent: int, statements: int, copy_bytes: int) -> None:
    bounds = block_bounds(extent, statements, copy_bytes)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == extent
    assert all(stop == start for (_, stop), (start, _) in pairwise(bounds))
    assert all(start < stop for start, stop in bounds) or (extent == 0 and bounds == [(0, 0)])
    assert len(bounds) <= blocks.MOST_BLOCKS
    assert len(bounds) == 1 or copy_bytes * len(bounds) <= blocks.MOST_COPIES
    assert len(bounds) == 1 or extent * statements >= BLOCK


@pytest.mark.parametrize(("op", "dtype", "expected"), [
    ("add", F8, 9.0), ("mul", F8, 24.0), ("maximum", F8, 4.0), ("minimum", F8, 2.0), ("and_", np.bool_, True), ("or_", np.bool_, True),
])
def test_combining(op: str, dtype: Any, expected: Any) -> None:
    out = np.empty((1,), dtype)
    combine(op, np.array([[2], [3], [4]]).astype(dtype), out)
    assert out[0] == expected


def test_combining_keeps_nan_and_order() -> None:
    out = np.empty(1)
    combine("maximum", np.array([[1.0], [np.nan], [2.0]]), out)
    assert np.isnan(out[0])
    parts = np.array([[1e16], [1.0], [-1e16]])
    combine("add", parts, out)
    assert out[0] == (1e16 + 1.0) - 1e16


# ------------------------------------------------------------------------------------------------ analysis
@pytest.mark.parametrize(("kernel", "expected"), [
    (examples.reduction("r", "add", 0.0), (("out", "add"),)),
    (examples.reduction("r", "mul", 1.0), (("out", "mul"),)),
    (examples.reduction("r", "maximum", -np.inf), (("out", "maximum"),)),
    (examples.reduction("r", "sub", 0.0), None),
    (examples.row_sums("r", examples.M), ()),
    (examples.column_sums(), (("out", "add"),)),
    (examples.argmax(), None),
    (examples.gather(), ()),
    (examples.concatenate(), ()),
    (examples.normalise_rows(), ()),
    (examples.scalar_kernel(), None),
    (examples.index_arithmetic(), None),
], ids=["sum", "product", "max", "difference", "rows", "columns", "argmax", "gather", "concatenate", "normalise", "scalar", "stores after"])
def test_what_may_run_in_blocks(kernel: Any, expected: Any) -> None:
    found = with_split(kernel)
    assert found.splittable == (expected is not None)
    assert found.reduces == (expected or ())


def test_writes_to_computed_places_stay_in_one_piece() -> None:
    """A scatter that overwrites: the last of equal places wins. One that adds is combined only if its start is in the kernel."""
    x, k, v = variable(0, N), variable(1, M, dtype=INT64), variable(2, M)
    plain, adding = (compile_program(Graph((x, k, v), (out,), (), {"s0": 3, "s1": 4})).kernels for out in (
        f.scatter(x, v, k, axes=(0,)), f.scatter_add(v, k, axes=(0,), shape=x.shape)))
    assert [kernel.splittable for kernel in plain] == [False]
    assert [kernel.reduces for kernel in adding] == [((adding[0].buffers[-1].name, "add"),)]


def leading() -> Graph:
    """Reductions over rows, whose running values are in memory."""
    x = variable(0, N, M)
    outputs = (f.max(x, axes=(0,)), f.min(f.sin(x), axes=(0,)), f.prod(f.tanh(x), axes=(0,)), f.sum(x, axes=(0,)))
    truths = (f.any(f.gt(x, 3.0), axes=(0,)), f.all(f.gt(x, -4.0), axes=(0,)))
    return Graph((x,), (*outputs, *truths), (), {"s0": 5, "s1": 3})


def test_running_values_in_memory_are_combined_by_their_op() -> None:
    (kernel,) = compile_program(leading()).kernels
    assert kernel.splittable
    assert dict(kernel.reduces) == {"out0": "maximum", "out1": "minimum", "out2": "mul", "out3": "add", "out4": "or_", "out5": "and_"}


def test_a_running_value_that_is_used_stays_in_one_piece() -> None:
    """Blocks would start it anew: `out[0] = seen[i] = max(out[0], x[i])`."""
    zero, here = (0,), (Index("i"),)
    buffers = (Buffer("x", F8, 1), Buffer("seen", F8, 1, written=True), Buffer("out", F8, 1, written=True))
    step = (Load("v", "x", here), Load("before", "out", zero), Let("top", "maximum", ("before", "v"), F8), Store("out", zero, "top"))
    for use, expected in ((Store("seen", here, "top"), False), (Store("seen", here, "before"), False), (Store("seen", here, "v"), True)):
        body = (Store("out", zero, Literal(-np.inf, F8)), Loop("i", N, (*step, use)))
        assert with_split(Kernel("k", buffers, ("s0",), body)).splittable == expected
    squares = (*step[:2], Let("top", "mul", ("before", "before"), F8), step[3])
    assert not with_split(Kernel("k", buffers, ("s0",), (Loop("i", N, squares),))).splittable


def test_maxima_over_rows_keep_nan() -> None:
    x = np.random.default_rng(3).normal(size=(3001, 97))
    x[[7, 1500, 3000], [0, 5, 96]] = np.nan
    top, least, *_ = compile_program(leading()).run([x])
    np.testing.assert_array_equal(top, x.max(axis=0))
    np.testing.assert_array_equal(np.isnan(least), np.isnan(x).any(axis=0))


def test_work_counts_what_runs() -> None:
    sizes = {"n": 3, "m": 4}
    kernel = examples.row_sums("r", examples.M)
    assert evaluate(work(kernel.body), sizes) == 3 * (1 + 1 + 4 * 5)
    assert evaluate(main_extent(kernel), sizes) == 3
    loop = main_loop(examples.column_sums().body)
    assert loop is not None
    assert loop.index == "i"
    assert main_extent(with_split(examples.argmax())) == 1


# ------------------------------------------------------------------------------------------------ running
def backwards(tasks: Sequence[Callable[[], None]]) -> None:
    for task in reversed(tasks):
        task()


def shuffled(tasks: Sequence[Callable[[], None]]) -> None:
    for k in np.random.default_rng(5).permutation(len(tasks)):
        tasks[k]()


def threaded(count: int) -> Callable[[Sequence[Callable[[], None]]], None]:
    def spread(tasks: Sequence[Callable[[], None]]) -> None:
        with ThreadPoolExecutor(count) as pool:
            for task in [pool.submit(task) for task in tasks]:
                task.result()

    return spread


def elementwise() -> Graph:
    x = variable(0, N)
    return Graph((x,), (f.exp(f.sin(x)) / (x + 3.0),), (), {"s0": 5})


def reductions() -> Graph:
    x = variable(0, N)
    outputs = (f.sum(f.exp(x), axes=(0,)), f.max(x, axes=(0,)), f.sum(f.cast(x, dtype="float32"), axes=(0,)), f.min(x * x, axes=(0,)))
    return Graph((x,), outputs, (), {"s0": 5})


def rows_and_columns() -> Graph:
    x, w = variable(0, N, M), variable(1, M)
    product = f.sum(x * f.expand(w, shape=x.shape, axes=(1,)), axes=(1,))
    weighted = x * f.expand(f.tanh(product), shape=x.shape, axes=(0,))
    return Graph((x, w), (f.sum(weighted, axes=(0,)), f.sum(product, axes=(0,)), product), (), {"s0": 5, "s1": 3})


def scattered() -> Graph:
    v, k = variable(0, N), variable(1, N, dtype=INT64)
    return Graph((v, k), (f.scatter_add(v * 1.1, k, axes=(0,), shape=(7,)),), (), {"s0": 5})


def short_rows() -> Graph:
    """LLVM may unroll the inner loop and make lanes of the outer one."""
    x = variable(0, N, 3)
    return Graph((x,), (f.sum(x * x, axes=(1,)), f.sum(f.cast(x, dtype="float32"), axes=(1,))), (), {"s0": 5})


COUNT = 300_001
RANDOM = np.random.default_rng(1)
VALUES = RANDOM.normal(size=COUNT)
PROGRAMS: dict[str, tuple[Callable[[], Graph], list[Any]]] = {
    "elementwise": (elementwise, [VALUES]),
    "reductions": (reductions, [VALUES]),
    "rows and columns": (rows_and_columns, [RANDOM.normal(size=(COUNT // 10, 13)), RANDOM.normal(size=13)]),
    "leading axes": (leading, [RANDOM.normal(size=(COUNT // 30, 31))]),
    "scatter": (scattered, [VALUES, RANDOM.integers(0, 7, COUNT)]),
    "short rows": (short_rows, [RANDOM.normal(size=(COUNT // 3, 3))]),
    "reversed": (elementwise, [VALUES[::-1]]),
    "strided": (reductions, [np.repeat(VALUES, 2)[::2]]),
    "repeated": (reductions, [np.broadcast_to(1.1, (COUNT,))]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_threads_do_not_change_a_bit(name: str) -> None:
    make_graph, arrays = PROGRAMS[name]
    program = compile_program(make_graph())
    expected = program.run(arrays)
    counts: list[int] = []

    def counting(tasks: Sequence[Callable[[], None]]) -> None:
        counts.append(len(tasks))
        backwards(tasks)

    for spread in (counting, shuffled, threaded(2), threaded(5)):
        for result, want in zip(program.run_steps(arrays, spread), expected, strict=True):
            assert result.tobytes() == want.tobytes()
    assert max(counts) > 1


def test_without_reductions_any_cut_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    program = compile_program(elementwise())
    expected = program.run([VALUES])[0]
    for cut in (1, 3, 17, 1000, 65536):
        bounds = [(k, min(k + cut * 101, COUNT)) for k in range(0, COUNT, cut * 101)]
        monkeypatch.setattr("chainrule.compiler.program.block_bounds", lambda *args, bounds=bounds: bounds)
        assert program.run_steps([VALUES])[0].tobytes() == expected.tobytes()


def test_reductions_are_right_in_blocks() -> None:
    total, top, single, least = compile_program(reductions()).run([VALUES])
    assert total == pytest.approx(np.sum(np.exp(VALUES)), rel=1e-12)
    assert top == VALUES.max()
    assert least == np.min(VALUES * VALUES)
    assert single.dtype == F4
    assert single == pytest.approx(np.sum(VALUES.astype(F4), dtype=np.float64), abs=0.5)


def test_an_error_of_a_task_is_not_lost() -> None:
    def refuse(tasks: Sequence[Callable[[], None]]) -> None:
        raise RuntimeError("no threads")

    with pytest.raises(RuntimeError, match="no threads"):
        compile_program(elementwise()).run_steps([VALUES], refuse)


def test_a_program_runs_on_many_threads_at_once() -> None:
    program: Program = compile_program(rows_and_columns())
    arrays = [[RANDOM.normal(size=(200 + k, 13)), RANDOM.normal(size=13)] for k in range(8)]
    expected = [program.run(a) for a in arrays]
    failures: list[int] = []

    def work_on(k: int) -> None:
        for _ in range(20):
            if any(r.tobytes() != e.tobytes() for r, e in zip(program.run(arrays[k]), expected[k], strict=True)):
                failures.append(k)

    threads = [threading.Thread(target=work_on, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_an_operand_that_a_routine_returns_is_copied() -> None:
    x = variable(0, N, N)
    program = compile_program(Graph((x,), (f.permute(x, order=(0, 1)), f.reshape(x, shape=(N * N,)), x), (), {"s0": 3}))
    given = np.arange(9.0).reshape(3, 3)
    results = program.run([given])
    for k, result in enumerate(results):
        assert not any(np.may_share_memory(result, other) for other in (given, *results[:k]))


def test_values_that_are_not_arrays_are_accepted() -> None:
    x = variable(0, N)
    program = compile_program(Graph((x,), (x * constant(2.0, F8, (N,)),), (), {"s0": 3}))
    np.testing.assert_array_equal(program.run([[1, 2, 3]])[0], [2.0, 4.0, 6.0])
    np.testing.assert_array_equal(program.run([np.array([1, 2, 3], ">i2")])[0], [2.0, 4.0, 6.0])
