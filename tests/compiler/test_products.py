"""Matrix products: what BLAS is asked for, on which memory, and that every layout gives what NumPy gives."""
from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tracing import traced

from chainrule.compiler import blas, interpret
from chainrule.compiler.emit_product import SMALL
from chainrule.compiler.ir import Graph, f, make
from chainrule.compiler.kernel import Compiled
from chainrule.compiler.loopnest import Product, RowBlocks
from chainrule.compiler.pipeline import Request, build
from chainrule.compiler.program import Program, compile_program
from chainrule.compiler.record import KernelRecord
from chainrule.compiler.schedule import CallStep, ProductStep
from chainrule.compiler.scipy_extensions import extension, threads_of
from chainrule.compiler.sizes import evaluate, symbol

RNG = np.random.default_rng(0)
F8 = np.dtype(np.float64)
ROUTINES = {np.dtype(np.float32): "sgemm", F8: "dgemm"}
ULPS = {np.dtype(np.float32): 2e-5, F8: 1e-13}


# ------------------------------------------------------------------------------------------------ a watched BLAS
@dataclass(frozen=True)
class Call:
    """One call: what was transposed, the sizes (by columns), the numbers, and the addresses."""

    routine: str
    transposed: tuple[bool, bool]
    sizes: tuple[int, int, int]
    alpha: float
    beta: float
    first: int
    second: int
    out: int


@dataclass
class Watched:
    calls: list[Call] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)
    addresses: dict[str, int] = field(default_factory=dict)

    def watch(self, name: str, number: Any) -> None:
        kinds = [ctypes.c_void_p] * 13
        real = ctypes.CFUNCTYPE(None, *kinds)(blas.address(name))

        def call(*places: int) -> None:
            ta, tb, m, n, k, alpha, a, _, b, _, beta, c, _ = places
            whole = tuple(ctypes.c_int.from_address(x).value for x in (m, n, k))
            flags = [bytes([ctypes.c_ubyte.from_address(x).value]) == b"T" for x in (ta, tb)]
            numbers = [number.from_address(x).value for x in (alpha, beta)]
            self.calls.append(Call(name, (flags[0], flags[1]), whole, numbers[0], numbers[1], a, b, c))  # type: ignore[arg-type]
            real(*places)

        self.kept.append(ctypes.CFUNCTYPE(None, *kinds)(call))
        self.addresses[name] = ctypes.cast(self.kept[-1], ctypes.c_void_p).value or 0


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """The calls of BLAS, in order, of programs that run step by step: a driver has the address already."""
    found = Watched()
    found.watch("sgemm", ctypes.c_float)
    found.watch("dgemm", ctypes.c_double)
    monkeypatch.setattr(blas, "address", found.addresses.__getitem__)
    return found


def contraction(left: str, right: str, out: str, dtype: Any = np.float64) -> Program:
    """Of two inputs with symbolic sizes, a symbol for each label."""
    inputs = [make("input", shape=tuple(symbol(f"s{ord(c)}") for c in labels), dtype=np.dtype(dtype), position=k, name=f"x{k}")
              for k, labels in enumerate((left, right))]
    return compile_program(Graph(tuple(inputs), (f.contract(*inputs, left=left, right=right, out=out),)))


def program_of(function: Callable[..., Any], *arguments: Any, kind: Any = "value", wrt: tuple[int, ...] = (0,)) -> Program:
    graph, _ = traced(function, *arguments)
    return build(graph, Request(kind, () if kind == "value" else wrt)).program


def close(result: Any, expected: Any) -> None:
    size = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, rtol=0, atol=size * ULPS[expected.dtype])


def product_steps(program: Program) -> int:
    return sum(isinstance(s, ProductStep | CallStep) for s in program.plan.steps)


def inside(address: int, array: Any) -> bool:
    base = array
    while base.base is not None:
        base = base.base
    return bool(base.ctypes.data <= address < base.ctypes.data + max(base.nbytes, 1))


# ------------------------------------------------------------------------------------------------ layouts
def where(x: Any, rows: int, columns: int, dense: str = "C") -> Any:
    """The same elements, `rows` and `columns` apart in a larger array."""
    big = np.full((x.shape[0] * rows, x.shape[1] * columns + 3), np.nan, x.dtype, order=dense)  # type: ignore[call-overload]
    view = big[: x.shape[0] * rows: rows, 2: 2 + x.shape[1] * columns: columns]
    view[...] = x
    return view


READABLE: dict[str, Callable[[Any], Any]] = {
    "C": np.ascontiguousarray, "F": np.asfortranarray, "offset": lambda x: where(x, 1, 1), "rows apart": lambda x: where(x, 3, 1),
    "columns apart": lambda x: where(x, 1, 2, "F"),
}
COPIED: dict[str, Callable[[Any], Any]] = {
    "both apart": lambda x: where(x, 2, 2), "reversed rows": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "reversed columns": lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1],
    "reversed both, F": lambda x: np.asfortranarray(x[::-1, ::-1])[::-1, ::-1],
}


@cache
def matmul(dtype: Any = F8) -> Program:
    return contraction("yx", "xz", "yz", dtype)


@pytest.mark.parametrize("dtype", ROUTINES, ids=str)
@pytest.mark.parametrize(("first", "second"), list(itertools.product(READABLE, READABLE)))
def test_arrays_that_are_dense_along_one_axis_are_read_where_they_lie(first: str, second: str, dtype: Any, watched: Watched) -> None:
    a, b = READABLE[first](RNG.normal(size=(31, 40)).astype(dtype)), READABLE[second](RNG.normal(size=(40, 53)).astype(dtype))
    (result,) = matmul(dtype).run_steps([a, b])
    close(result, a @ b)
    (call,) = watched.calls
    assert call.routine == ROUTINES[dtype]
    assert (call.first, call.second, call.out) == (b.ctypes.data, a.ctypes.data, result.ctypes.data)
    assert (call.alpha, call.beta) == (1.0, 0.0)
    assert matmul(dtype).temporaries == []


@pytest.mark.parametrize(("first", "second"), [
    *itertools.product(COPIED, READABLE), *itertools.product(READABLE, COPIED), ("both apart",) * 2,
])
def test_arrays_that_are_dense_along_no_axis_are_copied(first: str, second: str, watched: Watched) -> None:
    made = READABLE | COPIED
    a, b = made[first](RNG.normal(size=(31, 40))), made[second](RNG.normal(size=(40, 53)))
    (result,) = matmul().run_steps([a, b])
    close(result, a @ b)
    (call,) = watched.calls
    assert [inside(call.first, b), inside(call.second, a)] == [second in READABLE, first in READABLE]


def test_repeated_and_overlapping_rows() -> None:
    a, b = np.broadcast_to(RNG.normal(size=40), (50, 40)), RNG.normal(size=(40, 30))
    close(matmul().run_steps([a, b])[0], a @ b)
    windows = np.lib.stride_tricks.sliding_window_view(RNG.normal(size=200), 40)
    close(matmul().run_steps([windows, b])[0], windows @ b)


@pytest.mark.parametrize("sizes", [(0, 4, 5), (60, 0, 70), (70, 80, 0), (1, 1, 1), (1, 9000, 3), (9000, 1, 3), (1, 3, 9000), (100, 1, 100),
                                   (1, 100, 100), (100, 100, 1)])
@pytest.mark.parametrize("order", ["CC", "CF", "FC", "FF"])
def test_empty_and_single_axes(sizes: tuple[int, int, int], order: str) -> None:
    m, k, n = sizes
    a, b = np.asarray(RNG.normal(size=(m, k)), order=order[0]), np.asarray(RNG.normal(size=(k, n)), order=order[1])  # type: ignore[call-overload]
    for x, y in ((a, b), (where(a, 2, 2), b), (a, where(b, 2, 2))):
        close(matmul().run_steps([x, y])[0], x @ y)


def test_small_products_are_loops(watched: Watched) -> None:
    program = matmul()
    side = round(SMALL ** (1 / 3))
    small, large = RNG.normal(size=(side, side)), RNG.normal(size=(side + 2, side + 2))
    assert side**3 <= SMALL < (side + 2) ** 3
    close(program.run_steps([small, small])[0], small @ small)
    assert watched.calls == []
    close(program.run_steps([large, large])[0], large @ large)
    assert len(watched.calls) == 1


def test_small_products_add_in_the_order_of_their_loops_and_share_them() -> None:
    program = program_of(lambda a, b: 0.3 * (a @ b) + b @ a, np.eye(9), np.eye(9))
    a, b = RNG.normal(size=(2, 9, 9))
    expected = np.zeros((9, 9))
    for k in range(9):
        expected += (0.3 * a[:, k])[:, None] * b[k]
    for k in range(9):
        expected += b[:, k][:, None] * a[k]
    for x, y in ((a, b), (where(a, 2, 2), np.asfortranarray(b))):
        np.testing.assert_array_equal(program.run_steps([x, y])[0], expected)
    assert isinstance(program.code, Compiled)
    defined = [line for line in program.code.llvm().splitlines() if line.startswith("define")]
    assert len(program.code.kernels) == 2
    assert sum(".small" in line for line in defined) == 1


def test_without_a_library_loops_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "address", lambda name: 0)
    a, b = RNG.normal(size=(31, 40)), where(RNG.normal(size=(40, 53)), 2, 2)
    close(matmul().run_steps([a, b])[0], a @ b)


@pytest.mark.parametrize("dtype", ROUTINES, ids=str)
def test_dense_columns_of_a_matrix_in_cache_are_multiplied_without_a_library(dtype: Any, watched: Watched) -> None:
    b = RNG.normal(size=(300, 70)).astype(dtype)
    for made in (READABLE | COPIED).values():
        a = made(RNG.normal(size=(130, 300)).astype(dtype))
        close(matmul(dtype).run_steps([a, b])[0], a @ b)
        close(matmul(dtype).run_steps([a[:5], b])[0], a[:5] @ b)
    assert watched.calls == []
    for few, wide in ((a[:3], b), (a, np.asfortranarray(b)), (a, b[:, :63]), (a, RNG.normal(size=(300, 2000)).astype(dtype))):
        close(matmul(dtype).run_steps([few, wide])[0], few @ wide)
    assert len(watched.calls) >= 4


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads how much memory the process has")
def test_without_memory_for_a_copy_each_part_multiplies_what_lies_there(watched: Watched) -> None:
    resource = pytest.importorskip("resource")
    a, b, d = (RNG.normal(size=s) for s in ((400, 60), (60, 50), (40_000, 50)))
    c = np.lib.stride_tricks.as_strided(RNG.normal(size=90_000), (400, 40_000), (16, 16))  # a copy takes 128 MB
    program = program_of(lambda a, b, c, d: a @ b + c @ d, a, b, c, d)
    expected = a @ b + c @ d
    before = resource.getrlimit(resource.RLIMIT_AS)
    found = []
    for room in (None, 100 << 20):
        watched.calls.clear()
        try:
            if room is not None:
                used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (used + room, before[1]))
            (result,) = program.run_steps([a, b, c, d])
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
        close(result, expected)
        found.append(len(watched.calls))
    assert found == [4, 1]  # three parts, and the product that needs no copy


def test_the_result_has_the_same_bits_each_time() -> None:
    a, b = RNG.normal(size=(130, 200)), RNG.normal(size=(200, 150))
    first, second = (matmul().run_steps([a, b])[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


# ------------------------------------------------------------------------------------------------ parts and threads
def spread(tasks: Sequence[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(task) for task in reversed(tasks)]:
            done.result()


@pytest.mark.parametrize(("left", "right", "out", "sizes", "parts"), [
    ("yx", "xz", "yz", {"y": 700, "x": 200, "z": 90}, 3), ("yx", "xz", "yz", {"y": 90, "x": 200, "z": 701}, 3),
    ("byx", "bxz", "byz", {"b": 7, "y": 100, "x": 100, "z": 100}, 1), ("byx", "bxz", "byz", {"b": 9, "y": 130, "x": 131, "z": 132}, 4),
    ("byx", "bxz", "byz", {"b": 2, "y": 500, "x": 131, "z": 132}, 3), ("abx", "bxc", "ac", {"a": 500, "b": 5, "x": 30, "c": 90}, 1),
    ("abx", "xbc", "ca", {"a": 500, "b": 5, "x": 40, "c": 133}, 3),
])
@pytest.mark.parametrize("step", [1, 2])
def test_parts_have_the_same_bits_on_any_threads(left: str, right: str, out: str, sizes: dict[str, int], parts: int, step: int) -> None:
    a, b = (RNG.normal(size=[step * sizes[c] for c in labels])[(slice(None, None, step),) * len(labels)] for labels in (left, right))
    program = contraction(left, right, out)
    (record,) = program.record.steps
    assert isinstance(record, KernelRecord)
    assert evaluate(record.extent, {f"s{ord(c)}": n for c, n in sizes.items()}) == parts
    (alone,) = program.run([a, b])
    close(alone, np.einsum(f"{left},{right}->{out}", a, b))
    for threads in (None, spread):
        np.testing.assert_array_equal(program.run_steps([a, b], threads)[0], alone)


def test_blas_runs_on_the_thread_that_calls_it() -> None:
    assert blas.address("dgemm")
    module = extension("cython_blas")
    assert module is not None
    found = threads_of(str(module.__file__))
    assert found is None or found[0]() == 1
    assert blas.address("none") == 0


# ------------------------------------------------------------------------------------------------ special values
def test_what_was_in_the_result_before_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "empty", lambda shape, dtype=float: np.full(shape, np.nan, dtype))
    for size in (3, 60):
        a = RNG.normal(size=(size, size))
        close(matmul().run_steps([a, a])[0], a @ a)


@pytest.mark.parametrize("size", [3, 60])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_undefined_and_infinite_elements_reach_what_they_are_a_part_of(size: int, value: float) -> None:
    a, b = np.abs(RNG.normal(size=(size, size))), np.abs(RNG.normal(size=(size, size)))
    a[1, 2], b[0, 1], b[2, 0] = value, 0.0, 0.0  # inf * 0 is nan
    (result,) = matmul().run_steps([a, b])
    with np.errstate(invalid="ignore"):
        expected = (a[:, :, None] * b[None]).sum(1)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))
    finite = ~np.isnan(expected)
    np.testing.assert_allclose(result[finite], expected[finite], rtol=1e-12)


# ------------------------------------------------------------------------------------------------ labels
@pytest.mark.parametrize(("left", "right", "out", "calls"), [
    ("byx", "bxz", "byz", 12), ("byx", "xz", "byz", 1), ("yx", "bxz", "byz", 12), ("byx", "bzx", "bzy", 12), ("xby", "xbz", "byz", 12),
    ("yabx", "abxz", "yabz", 132), ("abx", "xcd", "abcd", 0), ("abc", "bcd", "ad", 1), ("acb", "bcd", "ad", 13),
    ("abx", "xc", "bac", 12), ("abx", "xc", "acb", 11), ("yx", "zx", "zy", 1), ("xy", "xz", "zy", 1), ("aybx", "bxaz", "abyz", 132),
])
def test_stacks_and_several_axes(left: str, right: str, out: str, calls: int, watched: Watched) -> None:
    extent = dict(zip("abcdxyz", (11, 12, 13, 50, 60, 31, 32), strict=True))
    a, b = (RNG.normal(size=[extent[c] for c in labels]) for labels in (left, right))
    (result,) = contraction(left, right, out).run_steps([a, b])
    close(result, np.einsum(f"{left},{right}->{out}", a, b))
    assert len(watched.calls) == calls
    assert all(inside(c.first, x) or inside(c.first, y) for c in watched.calls for x, y in [(a, b)])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_labels_sizes_and_strides(data: st.DataObject) -> None:
    stack, rows, inner, columns = (data.draw(st.integers(0 if k in (0,) else 1, 2)) for k in range(4))
    names = iter("abcdefghij")
    groups = [[next(names) for _ in range(count)] for count in (stack, rows, inner, columns)]
    left = "".join(data.draw(st.permutations(groups[0] + groups[1] + groups[2])))
    right = "".join(data.draw(st.permutations(groups[0] + groups[2] + groups[3])))
    out = "".join(data.draw(st.permutations(groups[0] + groups[1] + groups[3])))
    most = data.draw(st.sampled_from([4, 9]))
    extent = {c: data.draw(st.integers(0 if most == 4 else 5, most)) for c in "abcdefghij"}
    dtype = data.draw(st.sampled_from(list(ROUTINES)))

    def array(labels: str) -> Any:
        shape = [extent[c] for c in labels]
        big = RNG.normal(size=[2 * n for n in shape]).astype(dtype)
        steps = [data.draw(st.sampled_from([1, 2, -1])) for _ in shape]
        part = big[tuple(slice(None, n if s == 1 else None, s) if n else slice(0, 0) for n, s in zip(shape, steps, strict=True))]
        part = part[tuple(slice(0, n) for n in shape)]
        return np.asarray(part, order="F") if data.draw(st.booleans()) else part  # type: ignore[call-overload]

    a, b = array(left), array(right)
    (result,) = contraction(left, right, out, dtype).run_steps([a, b])
    close(result, np.einsum(f"{left},{right}->{out}", a, b))


def test_views_inside_a_program_are_read_where_they_lie(watched: Watched) -> None:
    a, b = RNG.normal(size=(60, 80)), RNG.normal(size=(90, 41))
    program = program_of(lambda x, y: x[10:, 1::2].T @ y[5:55], a, b)
    (result,) = program.run_steps([a, b])
    close(result, a[10:, 1::2].T @ b[5:55])
    assert program.temporaries == []
    assert [type(s) for s in program.plan.steps] == [ProductStep]
    (call,) = watched.calls
    assert call.first == b[5:].ctypes.data


def test_a_stack_along_the_last_axis_is_no_product_that_blas_has() -> None:
    program = contraction("yxb", "xzb", "yzb")
    assert [type(s) for s in program.plan.steps] == [CallStep]
    a, b = RNG.normal(size=(30, 31, 3)), RNG.normal(size=(31, 32, 3))
    close(program.run_steps([a, b])[0], np.einsum("yxb,xzb->yzb", a, b))


def test_axes_of_one_element_make_no_matrix() -> None:
    """A matrix times a column is one pass over the matrix, fused with what follows; a column times a row is no sum."""
    x, w = RNG.normal(size=(50, 30)), RNG.normal(size=(30, 1))
    program = program_of(lambda x, w: np.sum(np.exp(x @ w)), x, w)
    assert [len(program.kernels), program.temporaries, product_steps(program)] == [1, [], 0]
    np.testing.assert_allclose(program.run_steps([x, w])[0], np.sum(np.exp(x @ w)))
    outer = program_of(lambda x, w: x[:, :1] @ w.T, x, w)
    assert [len(outer.kernels), product_steps(outer)] == [1, 0]
    np.testing.assert_allclose(outer.run_steps([x, w])[0], x[:, :1] @ w.T)


# ------------------------------------------------------------------------------------------------ factors and sums
A, B, C, D = (RNG.normal(size=(40, 40)) for _ in range(4))


@pytest.mark.parametrize(("function", "scales"), [
    (lambda a, b, c, d: (a @ b) * 0.125, [0.125]), (lambda a, b, c, d: (a @ b) / 8.0, [0.125]), (lambda a, b, c, d: -(a @ b), [-1.0]),
    (lambda a, b, c, d: a @ b.T + c @ d, [1.0, 1.0]), (lambda a, b, c, d: a @ b - 2.0 * (c.T @ d), [1.0, -2.0]),
    (lambda a, b, c, d: 0.5 * (a @ b + c @ d) - b @ a, [0.5, 0.5, -1.0]), (lambda a, b, c, d: (a @ b) * 3.0, [3.0]),
])
def test_factors_and_sums_are_part_of_the_product(function: Callable[..., Any], scales: list[float], watched: Watched) -> None:
    program = program_of(function, A, B, C, D)
    assert [type(s) for s in program.plan.steps] == [ProductStep]
    assert program.temporaries == []
    used = [x for x, n in zip((A, B, C, D), program.plan.graph.inputs, strict=False) if n]
    (result,) = program.run_steps(used)
    close(result, function(A, B, C, D))
    assert sorted(c.alpha for c in watched.calls) == sorted(scales)
    assert [c.beta for c in watched.calls] == [0.0, *[1.0] * (len(scales) - 1)]
    assert {c.out for c in watched.calls} == {result.ctypes.data}


@pytest.mark.parametrize("function", [
    lambda a, b: (a @ b) / 3.0, lambda a, b: 2.0 / (a @ b), lambda a, b: (a @ b) * 0.0, lambda a, b: (a @ b) * np.inf,
    lambda a, b: (a @ b) ** 2,
])
def test_other_scalings_are_computed_as_written(function: Callable[..., Any]) -> None:
    program = program_of(function, A, B)
    assert [s.terms[0].scale for s in program.plan.steps if isinstance(s, ProductStep)] == [1.0]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(program.run_steps([A, B])[0], function(A, B), rtol=1e-9)


def test_a_product_that_is_used_twice_is_computed_once() -> None:
    program = program_of(lambda a, b: (2.0 * (a @ b), np.tanh(a @ b)), A, B)
    assert sum(isinstance(s, ProductStep) for s in program.plan.steps) == 1
    for result, expected in zip(program.run_steps([A, B]), (2.0 * (A @ B), np.tanh(A @ B)), strict=True):
        close(result, expected)
    doubled = program_of(lambda a, b: a @ b + a @ b, A, B)
    assert sum(isinstance(s, ProductStep) for s in doubled.plan.steps) == 1
    close(doubled.run_steps([A, B])[0], A @ B + A @ B)


def test_integers_are_multiplied_by_numpy() -> None:
    a = RNG.integers(-9, 9, (30, 30))
    program = program_of(lambda x: x @ x, a)
    np.testing.assert_array_equal(program.run_steps([a])[0], a @ a)
    assert [type(s) for s in program.plan.steps] == [CallStep]


# ------------------------------------------------------------------------------------------------ whole programs
def network(w1: Any, w2: Any, x: Any, y: Any) -> Any:
    z = np.tanh(x @ w1) @ w2
    return np.mean((z - y) ** 2)


def test_a_network_is_one_step_of_row_blocks(watched: Watched) -> None:
    w1, w2, x, y = (RNG.normal(size=s) for s in ((30, 40), (40, 20), (50, 30), (50, 20)))
    program = program_of(network, w1, w2, x, y, kind="value_and_gradient", wrt=(0, 1))
    value, g1, g2 = program.run_steps([w1, w2, x, y])
    h = np.tanh(x @ w1)
    r = 2 * (h @ w2 - y) / y.size
    np.testing.assert_allclose(value, network(w1, w2, x, y))
    np.testing.assert_allclose(g2, h.T @ r, atol=1e-12)
    np.testing.assert_allclose(g1, x.T @ ((r @ w2.T) * (1 - h * h)), atol=1e-12)
    blocks, _division = program.steps  # of the loss, after all rows
    assert isinstance(blocks, RowBlocks)
    assert sum(isinstance(m.step, Product) for m in blocks.members) == 5
    assert len(blocks.members) == 8  # and tanh; residuals and loss; the slope of tanh
    assert watched.calls == []
    second, residual = (program.plan.graph.inputs[k].shape for k in (1, 3))
    loss, copied = [n for n in program.plan.temporaries if program.plan.buffers[n] in program.temporaries]
    assert (copied.shape, loss.shape) == ((residual[1], second[0]), ())  # the second weights by columns


def test_the_plan_and_the_source_name_products() -> None:
    program = contraction("yx", "zx", "yz")
    assert str(program.plan).startswith("0: out[yz] = +1 * x0[yx] x1[zx] : float64[s121, s122]")
    assert "x0[y, x] * x1[z, x], by dgemm" in program.source()


def test_interpreter_and_program_agree_on_float32_programs() -> None:
    a, b = RNG.normal(size=(33, 65)).astype(np.float32), RNG.normal(size=(65, 40)).astype(np.float32)
    graph, inputs = traced(lambda x, y: np.exp(-(x @ y) / 64.0) @ y.T - x, a, b)
    close(compile_program(graph).run(inputs)[0], np.asarray(interpret.run(graph, inputs)[0]))
