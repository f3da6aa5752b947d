"""Loop fusion on nests written by hand: what may become one loop, what may not, and that results stay the same."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from kernels import AT_I, AT_J, F8, M, N, let, literal, reads, run_source, writes

from chainrule.compiler import interpret
from chainrule.compiler.fuse import aligned, fuse_kernels, held
from chainrule.compiler.ir import Graph, f, make
from chainrule.compiler.loopnest import Buffer, Carried, Index, IndexOp, Kernel, Load, Loop, Statement, Store, StoreAdd, walk
from chainrule.compiler.program import compile_program
from chainrule.compiler.sizes import floordiv

AT_P, AT_Q = Index("p"), Index("q")


def kernel(name: str, *buffers: Buffer, body: tuple[Statement, ...], sizes: tuple[str, ...] = ("n",)) -> Kernel:
    return Kernel(name, buffers, sizes, body)


def loops(body: tuple[Statement, ...]) -> int:
    return sum(isinstance(s, Loop) for s in body)


def run(kernels: list[Kernel], arrays: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """What a list of kernels writes, in order."""
    n, m = arrays["x"].shape if arrays["x"].ndim == 2 else (len(arrays["x"]), 0)
    memory = arrays | {name: np.full(shape, np.nan) for name, shape in shapes.items()}
    for k in kernels:
        run_source(k, memory, {"n": n, "m": m})
    return {name: memory[name] for name in shapes}


def same_results(kernels: list[Kernel], fused: list[Kernel], arrays: dict[str, Any], shapes: dict[str, tuple[int, ...]],
                 kept: set[str]) -> None:
    before, after = run(kernels, arrays, shapes), run(fused, arrays, shapes)
    for name in kept:
        np.testing.assert_array_equal(before[name], after[name])


def backwards(tasks: Sequence[Callable[[], None]]) -> None:
    for task in reversed(tasks):
        task()


def scaled(source: str, target: str, factor: float, at: Any = AT_I, loop: str = "i") -> Kernel:
    v, w = f"{target}v", f"{target}w"
    return kernel(f"k_{target}", reads(source, 1), writes(target, 1),
                  body=(Loop(loop, N, (Load(v, source, (at,)), let(w, "mul", v, literal(factor)), Store(target, (Index(loop),), w))),))


X = np.arange(1.0, 6.0)


def test_a_value_for_the_same_iteration_is_handed_over() -> None:
    first, second = scaled("x", "t", 2.0), scaled("t", "out", 3.0, AT_P, "p")
    (fused,) = fuse_kernels([first, second], {"out"})
    assert [b.name for b in fused.buffers] == ["x", "out"]
    assert not any(isinstance(s, Load) and s.buffer == "t" for s in walk(fused.body))
    assert fused.splittable
    same_results([first, second], [fused], {"x": X}, {"t": (5,), "out": (5,)}, {"out"})


def test_what_something_else_reads_is_still_written() -> None:
    first, second = scaled("x", "t", 2.0), scaled("t", "out", 3.0, AT_P, "p")
    (fused,) = fuse_kernels([first, second], {"out", "t"})
    assert {b.name for b in fused.buffers if b.written} == {"t", "out"}
    same_results([first, second], [fused], {"x": X}, {"t": (5,), "out": (5,)}, {"out", "t"})


@pytest.mark.parametrize("at", [IndexOp("+", IndexOp("*", AT_P, -1), N - 1), 0, IndexOp("//", AT_P, 2), IndexOp("min", AT_P, 1)],
                         ids=["reversed", "the first", "half", "clamped"])
def test_a_value_of_another_iteration_is_not(at: Any) -> None:
    first, second = scaled("x", "t", 2.0), scaled("t", "out", 3.0, at, "p")
    fused = fuse_kernels([first, second], {"out"})
    assert len(fused) == 2
    same_results([first, second], fused, {"x": X}, {"t": (5,), "out": (5,)}, {"out"})


def test_an_index_that_was_loaded_is_another_iteration() -> None:
    first = scaled("x", "t", 2.0)
    second = kernel("k_out", reads("at", 1, np.int64), reads("t", 1), writes("out", 1),
                    body=(Loop("p", N, (Load("w", "at", (AT_P,)), Load("v", "t", (Index("w"),)), Store("out", (AT_P,), "v"))),))
    fused = fuse_kernels([first, second], {"out"})
    assert len(fused) == 2


def test_a_value_that_is_overwritten_later_may_not_be_read_late() -> None:
    """The second loop writes what the first one reads elsewhere."""
    first = scaled("t", "out", 2.0, IndexOp("+", IndexOp("*", AT_I, -1), N - 1))
    second = scaled("x", "t", 3.0, AT_P, "p")
    assert len(fuse_kernels([first, second], {"out", "t"})) == 2
    first = scaled("t", "out", 2.0)
    assert len(fuse_kernels([first, second], {"out", "t"})) == 1


def test_loops_of_different_extents_stay_apart() -> None:
    first = scaled("x", "t", 2.0)
    second = kernel("k_out", reads("x", 1), writes("out", 1),
                    body=(Loop("p", N - 1, (Load("v", "x", (AT_P,)), Store("out", (AT_P,), "v"))),))
    assert len(fuse_kernels([first, second], {"out", "t"})) == 2


def total(source: str, target: str, loop: str = "i", extent: Any = N) -> Kernel:
    """target[()] = the sum of source, or of its first elements."""
    before, after, v = f"{target}a", f"{target}b", f"{target}v"
    return kernel(f"k_{target}", reads(source, 1), writes(target, 0), body=(
        Loop(loop, extent, (Load(v, source, (Index(loop),)), let(after, "add", before, v, reassociate=True)),
             (Carried(before, literal(0.0), after, F8),)), Store(target, (), before)))


def test_two_sums_are_one_pass() -> None:
    first, second = total("x", "s"), total("x", "r", "p")
    (fused,) = fuse_kernels([first, second], {"s", "r"})
    assert loops(fused.body) == 1
    assert sum(isinstance(s, Load) for s in walk(fused.body)) == 1
    assert set(fused.reduces) == {("s", "add"), ("r", "add")}
    same_results([first, second], [fused], {"x": X}, {"s": (), "r": ()}, {"s", "r"})


@pytest.mark.parametrize("extent", [N - 1, N - 2, N + 0])
@pytest.mark.parametrize("sum_first", [True, False])
def test_a_sum_that_ends_a_little_earlier_is_part_of_the_pass(extent: Any, sum_first: bool) -> None:
    both = [total("x", "s", "p", extent), scaled("x", "out", 3.0)][:: 1 if sum_first else -1]
    (fused,) = fuse_kernels(both, {"s", "out"})
    assert loops(fused.body) == 1
    assert fused.splittable
    assert fused.reduces == (("s", "add"),)
    for values in X, -0.0 * X, np.array([np.inf, 1.0, 2.0, np.nan, np.nan]):
        same_results(both, [fused], {"x": values}, {"s": (), "out": (5,)}, {"s", "out"})


def test_sums_of_different_ends_are_one_pass() -> None:
    sums = [total("x", "s"), total("x", "r", "p", N - 1), total("x", "q", "k", N - 3)]
    (fused,) = fuse_kernels(sums, {"s", "r", "q"})
    assert loops(fused.body) == 1
    assert set(fused.reduces) == {("s", "add"), ("r", "add"), ("q", "add")}
    same_results(sums, [fused], {"x": X}, {"s": (), "r": (), "q": ()}, {"s", "r", "q"})


@pytest.mark.parametrize(("dtype", "reductions"), [
    ("f8", ("sum", "prod", "max")), ("f4", ("sum", "min")), ("i4", ("sum", "max")), ("?", ("any", "all"))])
def test_reductions_of_shorter_slices_are_part_of_the_pass(dtype: str, reductions: tuple[str, ...]) -> None:
    """Whatever is reduced, in whatever order blocks run."""
    x = make("input", shape=(N,), dtype=np.dtype(dtype), position=0, name="x")
    slices = [f.slice(x, start=(start,), step=(1,), shape=(N - less,)) for start, less in ((1, 1), (0, 2))]
    outputs = [make(name, [part], axes=(0,)) for name in reductions for part in slices]
    program = compile_program(Graph([x], [*outputs, f.not_(x) if dtype == "?" else -x], []))
    assert len(program.kernels) == 1
    for n in (3, 4, 17, 1000, 300_001):
        values = np.random.default_rng(n).integers(-3, 4, n).astype(dtype)
        for made in (program.run([values]), program.run_steps([values], backwards)):
            for result, expected in zip(made, interpret.run(program.graph, [values]), strict=True):
                np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("extent", [floordiv(N, 2), N - 100, M])
def test_a_sum_that_ends_much_earlier_is_not(extent: Any) -> None:
    assert len(fuse_kernels([total("x", "s", "p", extent), scaled("x", "out", 3.0)], {"s", "out"})) == 2


def divided(source: str, by: str, target: str, inside: bool) -> Kernel:
    load = Load("d", by, ())
    body = (Load("pv", source, (AT_P,)), *((load,) if inside else ()), let("q1", "div", "pv", "d"), Store(target, (AT_P,), "q1"))
    return kernel("divided", reads(source, 1), reads(by, 0), writes(target, 1), body=(*(() if inside else (load,)), Loop("p", N, body)))


@pytest.mark.parametrize("inside", [True, False], ids=["read in the loop", "read before it"])
def test_the_result_of_a_whole_loop_is_waited_for(inside: bool) -> None:
    first, second = total("x", "s"), divided("x", "s", "out", inside)
    fused = fuse_kernels([first, second], {"out", "s"})
    assert sum(loops(k.body) for k in fused) == 2
    same_results([first, second], fused, {"x": X}, {"s": (), "out": (5,)}, {"out", "s"})


def test_a_carried_value_is_waited_for() -> None:
    """In one kernel, by name."""
    both = kernel("both", reads("x", 1), writes("out", 1), body=(
        *total("x", "s").body[:1],
        Loop("p", N, (Load("pv", "x", (AT_P,)), let("q1", "div", "pv", "sa"), Store("out", (AT_P,), "q1")))))
    (fused,) = fuse_kernels([both], {"out"})
    assert loops(fused.body) == 2


def test_a_kernel_moves_past_those_it_does_not_meet() -> None:
    first, other, last = scaled("x", "t", 2.0), total("y", "s", "j"), scaled("t", "out", 3.0, AT_P, "p")
    fused = fuse_kernels([first, other, last], {"out", "s"})
    assert [[b.name for b in k.buffers] for k in fused] == [["x", "out"], ["y", "s"]]


def test_a_kernel_does_not_move_past_one_whose_result_it_reads() -> None:
    first, other = scaled("x", "t", 2.0), total("x", "s", "j")
    other = kernel("other", reads("x", 1), writes("s", 0), sizes=(), body=(Load("a", "x", (0,)), Store("s", (), "a")))
    last = kernel("last", reads("t", 1), reads("s", 0), writes("out", 1), body=(
        Load("d", "s", ()), Loop("p", N, (Load("b", "t", (AT_P,)), let("c", "mul", "b", "d"), Store("out", (AT_P,), "c")))))
    fused = fuse_kernels([first, other, last], {"out", "s", "t"})
    assert next(k for k, f in enumerate(fused) if any(b.name == "out" for b in f.buffers)) >= next(
        k for k, f in enumerate(fused) if any(b.name == "s" and b.written for b in f.buffers))
    same_results([first, other, last], fused, {"x": X}, {"t": (5,), "s": (), "out": (5,)}, {"out", "s", "t"})


def rows(target: str, source: str, outer: str, inner: str, index: tuple[Any, Any]) -> Kernel:
    """target[i, j] = source[index] + 1, over both axes."""
    v, w = f"{target}v", f"{target}w"
    return kernel(f"k_{target}", reads(source, 2), writes(target, 2), sizes=("n", "m"), body=(
        Loop(outer, N, (Loop(inner, M, (Load(v, source, index), let(w, "add", v, literal(1.0)),
                                        Store(target, (Index(outer), Index(inner)), w))),)),))


def test_inner_loops_are_fused_in_turn() -> None:
    first, second = rows("t", "x", "i", "j", (AT_I, AT_J)), rows("out", "t", "p", "q", (AT_P, AT_Q))
    (fused,) = fuse_kernels([first, second], {"out"})
    assert sum(isinstance(s, Loop) for s in walk(fused.body)) == 2
    assert "t" not in [b.name for b in fused.buffers]


def test_rows_are_fused_where_their_elements_are_not() -> None:
    x = np.arange(12.0).reshape(3, 4)
    turned = IndexOp("+", IndexOp("*", AT_Q, -1), M - 1)
    first, second = rows("t", "x", "i", "j", (AT_I, AT_J)), rows("out", "t", "p", "q", (AT_P, turned))
    (fused,) = fuse_kernels([first, second], {"out"})
    (outer,) = fused.body
    assert isinstance(outer, Loop)
    assert loops(outer.body) == 2
    assert fused.splittable
    same_results([first, second], [fused], {"x": x}, {"t": x.shape, "out": x.shape}, {"out"})


def test_a_transposed_read_is_not_fused() -> None:
    first = rows("t", "x", "i", "j", (AT_I, AT_J))
    second = kernel("k", reads("t", 2), writes("out", 2), body=(
        Loop("p", N, (Loop("q", N, (Load("v", "t", (AT_Q, AT_P)), Store("out", (AT_P, AT_Q), "v"))),)),))
    assert len(fuse_kernels([first, second], {"out"})) == 2


def column_sums(source: str, target: str, outer: str, inner: str, fill: str) -> Kernel:
    v = f"{target}v"
    return kernel(f"k_{target}", reads(source, 2), writes(target, 1), sizes=("n", "m"), body=(
        Loop(fill, M, (Store(target, (Index(fill),), literal(0.0)),)),
        Loop(outer, N, (Loop(inner, M, (Load(v, source, (Index(outer), Index(inner))), StoreAdd(target, (Index(inner),), v))),))))


def test_what_is_accumulated_across_rows_is_complete_only_after_all() -> None:
    first = column_sums("x", "t", "i", "j", "f")
    second = kernel("k_out", reads("x", 2), reads("t", 1), writes("out", 2), sizes=("n", "m"), body=(
        Loop("p", N, (Loop("q", M, (Load("a", "x", (AT_P, AT_Q)), Load("b", "t", (AT_Q,)), let("c", "sub", "a", "b"),
                                    Store("out", (AT_P, AT_Q), "c"))),)),))
    fused = fuse_kernels([first, second], {"out"})
    assert len(fused) == 2
    x = np.arange(12.0).reshape(3, 4)
    same_results([first, second], fused, {"x": x}, {"t": (4,), "out": x.shape}, {"out"})


def test_accumulations_of_one_pass() -> None:
    first, second = column_sums("x", "t", "i", "j", "f"), column_sums("x", "out", "p", "q", "g")
    (fused,) = fuse_kernels([first, second], {"out", "t"})
    assert sum(isinstance(s, Load) for s in walk(fused.body)) == 1
    assert set(fused.reduces) == {("t", "add"), ("out", "add")}
    x = np.arange(12.0).reshape(3, 4)
    same_results([first, second], [fused], {"x": x}, {"t": (4,), "out": (4,)}, {"out", "t"})


def test_a_fill_does_not_stand_between_rows() -> None:
    """Square: the fill of the sums has the extent of the rows, and would be in the way of the second pass as a part of the first."""
    first = rows("t", "x", "i", "j", (AT_I, AT_J))
    v = Load("sv", "t", (AT_P, AT_Q))
    second = kernel("sums", reads("t", 2), writes("out", 1), sizes=("n", "m"), body=(
        Loop("g", N, (Store("out", (Index("g"),), literal(0.0)),)),
        Loop("p", N, (Loop("q", M, (v, StoreAdd("out", (AT_Q,), "sv"))),))))
    assert held(second.body) == {"out"}
    (fused,) = fuse_kernels([first, second], {"out"})
    assert "t" not in [b.name for b in fused.buffers]
    assert fused.reduces == (("out", "add"),)
    x = np.arange(9.0).reshape(3, 3)
    same_results([first, second], [fused], {"x": x}, {"t": x.shape, "out": (3,)}, {"out"})


def test_a_fill_of_ones_own_row_is_part_of_the_pass() -> None:
    fill = Loop("g", N, (Store("out", (Index("g"),), literal(0.0)),))
    add = Loop("p", N, (Loop("q", M, (Load("sv", "x", (AT_P, AT_Q)), StoreAdd("out", (AT_P,), "sv"))),))
    assert held((fill, add)) == set()
    assert aligned(fill, add) is not None


def test_a_common_user_brings_kernels_together() -> None:
    first, second = scaled("x", "t", 2.0, Index("a"), "a"), scaled("y", "u", 3.0, Index("b"), "b")
    both = kernel("both", reads("t", 1), reads("u", 1), writes("out", 1), body=(
        Loop("c", N, (Load("p", "t", (Index("c"),)), Load("q", "u", (Index("c"),)), let("r", "add", "p", "q"),
                      Store("out", (Index("c"),), "r"))),))
    (fused,) = fuse_kernels([first, second, both], {"out"})
    assert [b.name for b in fused.buffers] == ["x", "y", "out"]
    between = scaled("t", "u", 3.0, IndexOp("-", 4, Index("b")), "b")  # needs all of t
    assert len(fuse_kernels([first, between, both], {"out"})) == 2


def test_no_kernel_grows_beyond_the_limit() -> None:
    chain = [scaled("x" if k == 0 else f"t{k - 1}", f"t{k}", 2.0 + k, Index(f"i{k}"), f"i{k}") for k in range(40)]
    assert len(fuse_kernels(chain, {"t39"})) == 1
    limited = fuse_kernels(chain, {"t39"}, largest=12.0)
    assert 10 <= len(limited) <= 20
    same_results(chain, limited, {"x": X}, {f"t{k}": (5,) for k in range(40)}, {"t39"})


def test_equal_computations_are_done_once_and_signed_zeros_are_not_equal() -> None:
    body = (Load("a", "x", (AT_I,)), Load("b", "x", (AT_I,)), let("c", "mul", "a", literal(0.0)), let("d", "mul", "b", literal(0.0)),
            let("e", "mul", "b", literal(-0.0)), let("g", "div", literal(1.0), "c"), let("h", "div", literal(1.0), "e"),
            let("k", "add", "g", "d"), let("l", "add", "h", "k"), Store("out", (AT_I,), "l"))
    (tidy,) = fuse_kernels([kernel("k", reads("x", 1), writes("out", 1), body=(Loop("i", N, body),))], {"out"})
    assert sum(isinstance(s, Load) for s in walk(tidy.body)) == 1
    assert sum(getattr(s, "op", "") == "mul" for s in walk(tidy.body)) == 2


def test_a_load_after_a_write_to_its_buffer_is_done_again() -> None:
    body = (Load("a", "t", (0,)), Store("t", (AT_I,), "a"), Load("b", "t", (0,)), let("c", "add", "a", "b"), Store("out", (AT_I,), "c"))
    (tidy,) = fuse_kernels([kernel("k", writes("t", 1), writes("out", 1), body=(Loop("i", N, body),))], {"out", "t"})
    assert sum(isinstance(s, Load) for s in walk(tidy.body)) == 2


def test_what_a_loop_computes_is_not_known_after_it() -> None:
    inner = Loop("j", M, (Load("a", "x", (AT_I, AT_J)), let("b", "add", literal(1.0), literal(2.0)), let("c", "mul", "a", "b"),
                          Store("t", (AT_I, AT_J), "c")))
    after = (let("d", "add", literal(1.0), literal(2.0)), Store("out", (AT_I,), "d"))
    (tidy,) = fuse_kernels([kernel("k", reads("x", 2), writes("t", 2), writes("out", 1), sizes=("n", "m"),
                                   body=(Loop("i", N, (inner, *after)),))], {"out", "t"})
    x = np.arange(12.0).reshape(3, 4)
    made = run([tidy], {"x": x}, {"t": x.shape, "out": (3,)})
    np.testing.assert_array_equal(made["out"], 3.0)
    np.testing.assert_array_equal(made["t"], 3 * x)
