"""Row blocks: what runs for a block of rows at a time, that it gives what the interpreter gives, and what memory it takes."""
from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from llvmlite import ir
from tracing import traced

from chainrule import get_num_threads, set_num_threads
from chainrule.compiler import blas, interpret, numba_bridge
from chainrule.compiler.loopnest import Kernel, Product, RowBlocks
from chainrule.compiler.micro_kernel import DEPTH, multiply
from chainrule.compiler.pipeline import Request, build
from chainrule.compiler.program import Program
from chainrule.compiler.sizes import evaluate

RNG = np.random.default_rng(0)
F4, F8 = np.dtype(np.float32), np.dtype(np.float64)
TOLERANCE = {F4: 2e-5, F8: 1e-13}


def normal(*shape: int, dtype: Any = F8) -> Any:
    return RNG.normal(size=shape).astype(dtype)


def program_of(function: Callable[..., Any], *arguments: Any, wrt: tuple[int, ...] = ()) -> Program:
    graph, _ = traced(function, *arguments)
    return build(graph, Request("value_and_gradient" if wrt else "value", wrt)).program


def blocks_of(program: Program) -> list[RowBlocks]:
    return [s for s in program.steps if isinstance(s, RowBlocks)]


def kinds(blocks: RowBlocks) -> str:
    return "".join("P" if isinstance(m.step, Product) else "k" for m in blocks.members)


def check(program: Program, *arguments: Any) -> None:
    """Against the interpreter; the same bits by the driver, and step by step."""
    expected = interpret.run(program.graph, arguments)
    results, again = program.run(arguments), program.run_steps(arguments)
    for result, same, exact in zip(results, again, expected, strict=True):
        exact = np.asarray(exact)
        assert result.shape == exact.shape
        size = max(1.0, float(np.max(np.abs(exact), initial=0.0)))
        np.testing.assert_allclose(result, exact, rtol=0, atol=size * TOLERANCE[exact.dtype] * 10)
        assert result.tobytes() == same.tobytes()


# ------------------------------------------------------------------------------------------------ the products of blocks
@cache
def multiplied(dtype: Any) -> tuple[Any, Any]:
    """`multiply` of an element type as a function of ctypes, and what keeps it alive."""
    number = ir.FloatType() if dtype == F4 else ir.DoubleType()

    def emit(module: Any) -> None:
        inner = multiply(module, number)
        outer = ir.Function(module, inner.function_type, f"multiply_{dtype}")
        builder = ir.IRBuilder(outer.append_basic_block())
        builder.call(inner, outer.args)
        builder.ret_void()

    library = numba_bridge.build(f"multiply_{dtype}", emit)
    pointer, whole, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float if dtype == F4 else ctypes.c_double
    kinds = [pointer, whole, whole, pointer, whole, whole, pointer, whole, whole, whole, whole, real, ctypes.c_bool]
    return ctypes.CFUNCTYPE(None, *kinds)(library.address(f"multiply_{dtype}")), library


def product(a: Any, b: Any, c: Any, scale: float = 1.0, add: bool = False) -> None:
    call, _ = multiplied(a.dtype)
    call(a.ctypes.data, *a.strides, b.ctypes.data, *b.strides, c.ctypes.data, c.strides[0], *a.shape, b.shape[1], scale, add)


@pytest.mark.parametrize(("features", "lanes"), [({"avx512f", "avx"}, 8), ({"avx"}, 4), (set(), 2)])
def test_a_tile_has_the_vectors_of_the_machine_that_code_is_for(features: set[str], lanes: int) -> None:
    module = ir.Module()
    module.features = frozenset(features)
    multiply(module, ir.DoubleType())
    assert f"<{lanes} x double>" in str(module)


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "C": np.ascontiguousarray, "F": np.asfortranarray, "reversed": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "apart": lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
}


@pytest.mark.parametrize("dtype", [F4, F8], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (6, 5, 64), (7, 3, 17), (13, DEPTH + 9, 83), (5, 0, 9), (0, 4, 4), (11, 40, 10)], ids=str)
def test_products_of_blocks(shape: tuple[int, int, int], layout: str, dtype: Any) -> None:
    m, k, n = shape
    a, b = LAYOUTS[layout](normal(m, k, dtype=dtype)), LAYOUTS[layout](normal(k, n, dtype=dtype))
    out = np.full((m, n + 3), 7, dtype)
    product(a, b, out, 2.0)
    exact = a.astype(F8) @ b.astype(F8)
    atol = TOLERANCE[dtype] * 10 * max(1, k) ** 0.5
    np.testing.assert_allclose(out[:, :n], 2 * exact, rtol=0, atol=2 * atol)
    product(a, b, out, -1.0, add=True)
    np.testing.assert_allclose(out[:, :n], exact, rtol=0, atol=3 * atol)
    assert (out[:, n:] == 7).all()


def test_an_element_does_not_depend_on_its_tile() -> None:
    a, b = normal(17, 700, dtype=F4), normal(700, 150, dtype=F4)
    out = np.empty((17, 150), F4)
    product(a, b, out)
    one = np.empty((1, 1), F4)
    for row, column in ((0, 0), (5, 63), (6, 64), (11, 130), (16, 149)):
        for second in (b[:, column:column + 1], np.asfortranarray(b)[:, column:column + 1]):
            product(a[row:row + 1], second, one)
            assert one[0, 0] == out[row, column]


def test_nan_and_infinity_spread_as_in_a_sum() -> None:
    a, b = normal(8, 20), normal(20, 9)
    a[2, 3], b[4, 5] = np.nan, np.inf
    out = np.full((8, 9), np.nan)
    product(a, b, out)
    with np.errstate(invalid="ignore"):
        assert np.array_equal(np.isnan(out), np.isnan(a @ b))
    assert np.isinf(out[0, 5])


# ------------------------------------------------------------------------------------------------ programs
def attention(q: Any, k: Any, v: Any) -> Any:
    s = q @ k.T / 8.0
    e = np.exp(s - np.max(s, axis=1, keepdims=True))
    return (e / np.sum(e, axis=1, keepdims=True)) @ v


def kernel_matrix(x: Any, y: Any, w: Any) -> Any:
    distances = np.sum(x * x, axis=1)[:, None] + np.sum(y * y, axis=1)[None, :] - 2.0 * (x @ y.T)
    return np.exp(-0.5 * distances) @ w


def layers(x: Any, w1: Any, w2: Any) -> Any:
    return np.tanh(x @ w1) @ w2


# name: (function, arguments for n rows, members of the value's program)
PROGRAMS: dict[str, tuple[Callable[..., Any], Callable[[int, Any], tuple[Any, ...]], str]] = {
    "attention": (attention, lambda n, t: (normal(n, 16, dtype=t), normal(n + 3, 16, dtype=t), normal(n + 3, 5, dtype=t)), "PkP"),
    "kernel matrix": (kernel_matrix, lambda n, t: (normal(n, 3, dtype=t), normal(n + 9, 3, dtype=t), normal(n + 9, 2, dtype=t)), "PkP"),
    "layers": (layers, lambda n, t: (normal(n, 40, dtype=t), normal(40, 70, dtype=t), normal(70, 20, dtype=t)), "PkP"),
}


@cache
def made(name: str, dtype: Any, gradient: bool) -> Program:
    function, arguments, _ = PROGRAMS[name]
    if not gradient:
        return program_of(function, *arguments(30, dtype))
    return program_of(lambda *a: np.sum(function(*a) ** 2), *arguments(30, dtype), wrt=(0, 1, 2))


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(("dtype", "gradient"), [(F4, False), (F8, False), (F4, True), (F8, True)])
def test_programs_mean_what_the_interpreter_computes(name: str, dtype: Any, gradient: bool) -> None:
    program, (_, arguments, members) = made(name, dtype, gradient), PROGRAMS[name]
    (blocks,) = blocks_of(program)
    if gradient:
        outputs = {program.plan.buffers[n] for n in program.graph.outputs}
        products = {m.step.out.buffer for m in blocks.members if isinstance(m.step, Product)}
        assert len(products) == kinds(blocks).count("P") >= 4
        assert len(outputs & {name for name, op in blocks.reduces if op == "add"}) >= 2  # what is summed over rows
    else:
        assert (kinds(blocks), blocks.reduces) == (members, ())
    for n in (1, 25, 67, 530):  # less than a tile, a block and a row, parts that end with fewer
        check(program, *arguments(n, dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_are_read_where_they_lie(layout: str) -> None:
    check(made("attention", F4, True), *(LAYOUTS[layout](x) for x in PROGRAMS["attention"][1](70, F4)))


def test_sums_over_no_rows_are_zero() -> None:
    x, w1, w2 = PROGRAMS["layers"][1](0, F8)
    for results in (made("layers", F8, True).run([x, w1, w2]), made("layers", F8, True).run_steps([x, w1, w2])):
        assert [r.shape for r in results] == [(), x.shape, w1.shape, w2.shape]
        assert not any(np.any(r) for r in results)


@pytest.mark.parametrize("gradient", [False, True])
def test_threads_do_not_change_a_bit(gradient: bool) -> None:
    program, arguments = made("attention", F4, gradient), PROGRAMS["attention"][1](1100, F4)
    counts: list[int] = []

    def backwards(tasks: Sequence[Callable[[], None]]) -> None:
        counts.append(len(tasks))
        for task in reversed(tasks):
            task()

    expected = program.run_steps(arguments, backwards)
    assert max(counts) == (8 if gradient else 16)
    before = get_num_threads()
    try:
        for count in (1, 2, 3, 7):
            set_num_threads(count)
            assert [r.tobytes() for r in program.run(arguments)] == [r.tobytes() for r in expected]
    finally:
        set_num_threads(before)


# ------------------------------------------------------------------------------------------------ memory
@pytest.mark.parametrize("gradient", [False, True])
def test_scores_are_never_stored_as_a_whole(gradient: bool) -> None:
    program, arguments = made("attention", F4, gradient), PROGRAMS["attention"][1](6000, F4)
    results = program.run(arguments)
    inputs, whole = sum(x.nbytes for x in arguments), 4 * 6000 * 6003
    assert program.latest_bytes <= sum(r.nbytes for r in results) + 2 * inputs + (1 << 24)
    assert program.latest_bytes < whole / 4
    assert not [b for b in program.record.buffers if b.name in program.temporaries and len(b.shape) == 2 and b.name[:1] == "t"]


def test_what_the_right_operand_has_by_columns_is_copied_once() -> None:
    (blocks,) = blocks_of(made("attention", F4, False))
    (copy,) = blocks.copies
    assert [b.name for b in copy.buffers] == ["x1", "x1_by_rows0"]
    assert blocks_of(made("layers", F4, False))[0].copies == ()


def test_a_product_that_is_wide_both_ways_is_one_of_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    program, asked = made("layers", F8, False), list[str]()
    monkeypatch.setattr(blas, "address", lambda name, real=blas.address: asked.append(name) or real(name))
    for hidden, calls in ((256, 0), (257, 2)):
        arguments = normal(50, 300), normal(300, hidden), normal(hidden, 20)
        check(program, *arguments)
        assert asked == ["dgemm"] * calls
    assert program.latest_bytes == 8 * 50 * 20 + 2 * -(-8 * 50 * 257 // 64) * 64  # the result; a hidden layer before and after tanh
    assert len(program.temporaries) == 0  # as a rule


# ------------------------------------------------------------------------------------------------ what belongs together
def test_what_is_used_elsewhere_has_memory() -> None:
    def both(x: Any, w: Any, v: Any) -> Any:
        h = np.tanh(x @ w)
        return h @ v, h

    program = program_of(both, normal(40, 5), normal(5, 6), normal(6, 7))
    (blocks,) = blocks_of(program)
    assert kinds(blocks) == "PkP"
    assert [b.name for b, _ in blocks.local] != []
    assert {b.name for b in blocks.buffers if b.written} == {program.plan.buffers[n] for n in program.graph.outputs}
    check(program, normal(40, 5), normal(5, 6), normal(6, 7))


def test_values_that_all_rows_need_are_computed_before() -> None:
    def scaled(x: Any, y: Any) -> Any:
        return (x @ y.T) * np.exp(np.sum(x))

    program = program_of(scaled, normal(30, 4), normal(20, 4))
    assert [type(s) for s in program.steps] == [Kernel, RowBlocks]
    check(program, normal(300, 4), normal(20, 4))


def test_products_between_which_all_rows_meet_stay_apart() -> None:
    def gram(x: Any) -> Any:
        g = x @ x.T
        return np.tanh(g) @ np.tanh(g)

    program = program_of(gram, normal(30, 4))
    assert [kinds(b) for b in blocks_of(program)] == ["Pk"]
    check(program, normal(70, 4))


def test_projections_before_an_attention_stay_products() -> None:
    """Every row needs all keys and values, so their rows are no rows of the same blocks; those of the queries are."""
    def attend(x: Any, a: Any, b: Any, c: Any) -> Any:
        return attention(x @ a, x @ b, x @ c)

    program = program_of(attend, normal(30, 8), *(normal(8, 8) for _ in range(3)))
    (blocks,) = blocks_of(program)
    assert kinds(blocks) == "PPkP"
    assert [type(s) for s in program.steps] == [Product, Product, RowBlocks]
    check(program, normal(90, 8), *(normal(8, 8) for _ in range(3)))


def test_sums_of_products_are_added_in_the_block() -> None:
    def two(x: Any, y: Any, a: Any, b: Any, c: Any) -> Any:
        return np.sum(np.tanh(x @ a - y @ b) @ c)

    sizes = (50, 6), (50, 7), (6, 9), (7, 9), (9, 3)
    program = program_of(two, *(normal(*s) for s in sizes), wrt=(0, 2, 3))
    (blocks,) = blocks_of(program)
    assert [m.step.accumulate for m in blocks.members if isinstance(m.step, Product)][:2] == [False, True]
    check(program, *(normal(*s) for s in sizes))


def test_the_plan_says_what_runs_in_blocks() -> None:
    program = made("attention", F4, False)
    lines = str(program.scheduled).splitlines()
    assert lines[0] == ("0: k0(x0, x1_by_rows0, x2): s0 rows in blocks, t4, t8 in cache; "
                        "one after another where min(s1, s2) or min(s2, s5) is over 256")
    assert [line.split(":")[0].strip() for line in lines[1:5]] == [
        "* k0_copy0(x1)", "* k0_0(x0, x1_by_rows0)", "* k0_1(t4)", "* k0_2(t8, x2)"]
    assert "in blocks of s0 rows" in program.source()
    assert evaluate(blocks_of(program)[0].parts, {"s0": 512, "s1": 64, "s2": 512, "s5": 64}) == 8
