"""Second bodies of kernels: unrolled short axes, rows in strips, temporaries in the memory of results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import kernels as examples
import numpy as np
import pytest
from kernels import AT_I, AT_J, M, N, let, literal, reads, writes

from chainrule.compiler.ir import Graph, Node, f, make
from chainrule.compiler.loopnest import Buffer, Carried, Index, Kernel, Let, Literal, Load, Loop, Statement, Store, StoreAdd, walk
from chainrule.compiler.program import Program, compile_program
from chainrule.compiler.reuse import in_place
from chainrule.compiler.sizes import Size, symbol
from chainrule.compiler.strips import strips
from chainrule.compiler.tidy import tidy

F8 = np.dtype(np.float64)
S, T = symbol("s0"), symbol("s1")
RANDOM = np.random.default_rng(0)


def variable(position: int, *shape: Size, dtype: Any = F8) -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=f"x{position}")


def compiled(outputs: Sequence[Node], short: int) -> Program:
    inputs = sorted({n for n in Graph((), tuple(outputs)).nodes() if n.op.name == "input"}, key=lambda n: n.param("position"))
    return compile_program(Graph(tuple(inputs), tuple(outputs), (), {"s0": 50, "s1": short}))


# ------------------------------------------------------------------------------------------------ short axes
def pair_forces() -> tuple[Node, ...]:
    x = variable(0, S, T)
    difference = f.expand(x, shape=(S, S, T), axes=(0, 2)) - f.expand(x, shape=(S, S, T), axes=(1, 2))
    weight = f.exp(f.neg(f.sum(f.square(difference), axes=(2,))))
    force = f.expand(weight, shape=(S, S, T), axes=(0, 1)) * difference * difference * difference
    return f.sum(weight, axes=(0, 1)), f.sum(force, axes=(1,)), f.sum(force, axes=(0,))


def whole_rows() -> tuple[Node, ...]:
    x = variable(0, S, T, T)
    return f.sum(x, axes=(1, 2)), f.max(x, axes=(2,)), f.sum(f.exp(x), axes=(0,))


@pytest.mark.parametrize("make_outputs", [pair_forces, whole_rows])
@pytest.mark.parametrize("short", [2, 3, 4])
def test_a_variant_gives_what_the_loops_give(make_outputs: Any, short: int) -> None:
    special, general = compiled(make_outputs(), short), compiled(make_outputs(), 9)
    assert any(k.variant is not None for k in special.kernels)
    assert all(k.variant is None for k in general.kernels)
    rank = special.graph.inputs[0].ndim
    for size in (short, 1 + short, 6):  # the variant's own size, and others, for which the loops run
        x = RANDOM.normal(size=(11, *[size] * (rank - 1)))
        for array in (x, np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x[::-1]):
            for result, expected in zip(special.run([array]), general.run([array]), strict=True):
                np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-13)


def test_a_variant_is_the_same_in_blocks() -> None:
    program = compiled(pair_forces(), 3)
    x = RANDOM.normal(size=(701, 3))
    counts: list[int] = []

    def backwards(tasks: Sequence[Any]) -> None:
        counts.append(len(tasks))
        for task in reversed(tasks):
            task()

    for result, expected in zip(program.run_steps([x], backwards), program.run([x]), strict=True):
        assert result.tobytes() == expected.tobytes()
    assert max(counts) > 1


def test_the_cache_knows_which_sizes_are_short() -> None:
    x = variable(0, S, T)
    assert Graph((x,), (f.sum(x, axes=(1,)),), (), {"s0": 50, "s1": 3}).short_sizes == {"s1": 3}
    assert Graph((x,), (f.sum(x, axes=(1,)),), (), {"s0": 50, "s1": 5}).short_sizes == {}
    assert Graph((), (f.exp(variable(0, T)),), (), {"s1": 3}).short_sizes == {}


# ------------------------------------------------------------------------------------------------ sums in registers
def sums_into(index: tuple[Any, ...], *more: Statement) -> Kernel:
    body = (Load("a", "x", (AT_I, AT_J)), StoreAdd("out", index, "a"), *more)
    rank = len(index)
    return Kernel("k", (reads("x", 2), writes("out", rank)), ("n", "m"), (
        Loop("i", N, (Store("out", (AT_I,) * rank, literal(0.0)), Loop("j", M, body))),))


def test_a_sum_into_one_element_is_carried() -> None:
    made = tidy(sums_into((AT_I,)), set())
    (row,) = made.body
    assert isinstance(row, Loop)
    (inner,) = [s for s in row.body if isinstance(s, Loop)]
    assert [type(s) for s in inner.body] == [Load, Let]
    assert len(inner.carried) == 1
    assert isinstance(row.body[-1], Store)  # the start is known, so nothing is added in memory
    x, out = RANDOM.normal(size=(4, 6)), np.full(4, np.nan)
    examples.run_source(made, {"x": x, "out": out}, {"n": 4, "m": 6})
    np.testing.assert_allclose(out, x.sum(axis=1), rtol=1e-14)


@pytest.mark.parametrize("kernel", [
    sums_into((AT_J,)), sums_into((AT_I,), Load("b", "out", (AT_I,)), Store("out", (0,), "b")),
    sums_into((AT_I,), StoreAdd("out", (Index("a"),), literal(1.0))),
], ids=["of each column", "that are read", "that may meet another"])
def test_other_sums_stay_in_memory(kernel: Kernel) -> None:
    made = tidy(kernel, set())
    assert any(isinstance(s, StoreAdd) for s in walk(made.body))
    assert all(not s.carried for s in walk(made.body) if isinstance(s, Loop))


# ------------------------------------------------------------------------------------------------ strips
def row_exponentials() -> tuple[Node, ...]:
    x, y = variable(0, S, T), variable(1, S)
    total = f.sum(x, axes=(1,)) + y
    weight = f.tanh(total) * f.exp(y)
    return weight, x * f.expand(f.cos(weight), shape=(S, T), axes=(0,))


def row_sums() -> tuple[Node, ...]:
    first, second = row_exponentials()
    return f.sum(first, axes=(0,)), f.sum(second, axes=(0,)), second, f.max(first, axes=(0,))


@pytest.mark.parametrize("make_outputs", [row_exponentials, row_sums])
@pytest.mark.parametrize("columns", [1, 3, 40, 5000])
def test_rows_in_strips_do_not_depend_on_the_strip(make_outputs: Any, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = compiled(make_outputs(), 9)
    for rows in (0, 1, 2, 63, 64, 65, 131):
        if rows == 0 and make_outputs is row_sums:
            continue
        x, y = RANDOM.normal(size=(rows, columns)), RANDOM.normal(size=rows)
        results = program.run([x, y])
        weight = np.tanh(x.sum(axis=1) + y) * np.exp(y)
        expected = [weight, x * np.cos(weight)[:, None]]
        if make_outputs is row_sums:
            expected = [weight.sum(), expected[1].sum(axis=0), expected[1], weight.max()]
        for result, want in zip(results, expected, strict=True):
            np.testing.assert_allclose(result, want, rtol=1e-11, atol=1e-12)
    if make_outputs is row_exponentials:  # without sums the rows may be cut anywhere
        for cut in (1, 7, 64):
            monkeypatch.setattr("chainrule.compiler.program.block_bounds",
                                lambda extent, *_, cut=cut: [(k, min(k + cut, extent)) for k in range(0, extent, cut)])
            for result, want in zip(program.run_steps([x, y]), results, strict=True):
                assert result.tobytes() == want.tobytes()


def row_kernel(*between: Statement, carried: tuple[Carried, ...] = ()) -> Loop:
    dot = Loop("j", M, (Load("a", "x", (AT_I, AT_J)), Let("s2", "add", ("s1", "a"), F8, reassociate=True)),
               (Carried("s1", Literal(0.0, F8), "s2", F8),))
    after = Loop("q", M, (let("w", "mul", "b", literal(2.0)), Store("out", (AT_I, Index("q")), "w")))
    return Loop("i", N, (dot, *between, after), carried)


BUFFERS = {"x": reads("x", 2), "out": writes("out", 2)}


def test_phases_of_a_row() -> None:
    found = strips(row_kernel(let("b", "exp", "s1")), BUFFERS)
    assert found is not None
    assert [len([s for s in p.body if isinstance(s, Loop)]) for p in found.phases] == [1, 0, 1]
    assert [b.name for b in found.local] == ["b.rows", "s1.rows"]
    assert found.elements == 2 * M


def test_cheap_rows_are_not_divided() -> None:
    assert strips(row_kernel(let("b", "add", "s1", "s1")), BUFFERS) is None
    assert strips(Loop("i", N, (let("b", "exp", literal(1.0)), Store("out", (AT_I, 0), "b"))), BUFFERS) is None


def test_what_is_carried_from_row_to_row_stays_in_one_phase() -> None:
    used = (let("b", "exp", "s1"), let("c2", "add", "c1", "b"))
    assert strips(row_kernel(*used, carried=(Carried("c1", literal(0.0), "c2", F8),)), BUFFERS) is not None
    loop = row_kernel(let("b", "exp", "s1"), let("c2", "add", "c1", "b"), carried=(Carried("c1", literal(0.0), "c2", F8),))
    first, *rest = loop.body
    assert isinstance(first, Loop)
    earlier = Loop("j", M, (*first.body, let("d", "add", "c1", "a"), Store("out", (AT_I, AT_J), "d")), first.carried)
    assert strips(Loop("i", N, (earlier, *rest), loop.carried), BUFFERS) is None


def test_what_is_added_at_computed_places_is_computed_a_strip_before() -> None:
    place, add = Load("k", "at", (AT_I,)), StoreAdd("out", (Index("k"),), "b")
    body: tuple[Statement, ...] = (place, Load("a", "x", (AT_I,)), let("b", "exp", "a"), add)
    buffers = {"x": reads("x", 1), "at": Buffer("at", np.dtype(np.int64), 1), "out": writes("out", 1)}
    found = strips(Loop("i", N, body), buffers)
    assert found is not None
    assert [sum(isinstance(s, StoreAdd) for s in phase.body) for phase in found.phases] == [0, 1]
    assert [(b.name, b.dtype.name) for b in found.local] == [("b.rows", "float64"), ("k.rows", "int64")]
    for other in ((place, let("b", "mul", "k", "k"), add), (*body[:-1], StoreAdd("out", (AT_I,), "b")),
                  (Load("c", "out", (AT_I,)), *body)):  # cheap; at no computed place; read as well
        assert strips(Loop("i", N, other), buffers) is None

    x, at = variable(0, S), variable(1, S, dtype=np.int64)
    program = compiled((f.sum(f.exp(x), axes=(0,)), f.scatter_add(f.exp(x), at, axes=(0,), shape=(7,))), 9)
    values, places = RANDOM.normal(size=1000), RANDOM.integers(0, 7, 1000)
    total, sums = program.run([values, places])
    expected = np.zeros(7)
    np.add.at(expected, places, np.exp(values))
    np.testing.assert_allclose(total, np.exp(values).sum(), rtol=1e-13)
    np.testing.assert_allclose(sums, expected, rtol=1e-14)


# ------------------------------------------------------------------------------------------------ memory of results
def two_passes(*second: Statement, result: Buffer | None = None) -> Kernel:
    first = Loop("j", M, (Load("a", "x", (AT_I, AT_J)), let("b", "exp", "a"), Store("t", (AT_I, AT_J), "b")))
    buffers = (reads("x", 2), writes("t", 2), result or writes("out", 2))
    return tidy(Kernel("k", buffers, ("n", "m"), (Loop("i", N, (first, Loop("q", M, second))),)), set())


AT_Q = Index("q")
LOAD, DOUBLE, WRITE = Load("c", "t", (AT_I, AT_Q)), let("d", "add", "c", "c"), Store("out", (AT_I, AT_Q), "d")
SHAPES = {"x": (N, M), "t": (N, M), "out": (N, M)}


def test_a_temporary_is_kept_where_the_result_will_be() -> None:
    kernel = in_place(two_passes(LOAD, DOUBLE, WRITE), SHAPES, {"t"})
    assert [b.name for b in kernel.buffers] == ["x", "out"]
    x = RANDOM.normal(size=(3, 5))
    out = np.full(x.shape, np.nan)
    examples.run_source(kernel, {"x": x, "out": out}, {"n": 3, "m": 5})
    np.testing.assert_allclose(out, 2 * np.exp(x))


@pytest.mark.parametrize(("kernel", "shapes", "removable"), [
    (two_passes(LOAD, DOUBLE, WRITE), SHAPES, set()),
    (two_passes(LOAD, DOUBLE, WRITE), SHAPES | {"out": (N, N)}, {"t"}),
    (two_passes(LOAD, DOUBLE, WRITE, result=writes("out", 2, np.float32)), SHAPES, {"t"}),
    (two_passes(Load("c", "t", (AT_I, 0)), DOUBLE, WRITE), SHAPES, {"t"}),
    (two_passes(let("d", "add", literal(1.0), literal(2.0)), WRITE, LOAD, Store("out", (AT_I, 0), "c")), SHAPES, {"t"}),
    (two_passes(LOAD, DOUBLE, WRITE, Load("e", "t", (AT_I, AT_Q)), Store("t", (AT_I, AT_Q), "e")), SHAPES, {"t"}),
    (two_passes(LOAD, let("d", "add", "c", "c"), Store("out", (AT_Q, AT_I), "d")), SHAPES, {"t"}),
], ids=["read later", "another shape", "another type", "one element for all", "written before", "written again", "another place"])
def test_memory_is_not_shared(kernel: Kernel, shapes: dict[str, Any], removable: set[str]) -> None:
    assert "t" in [b.name for b in in_place(kernel, shapes, removable).buffers]
