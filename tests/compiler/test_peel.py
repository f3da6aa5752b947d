"""Loops cut where masks change: the same bits as the loop in one piece, and no mask left in the interior."""

from __future__ import annotations

import itertools
import re
from typing import Any

import kernels as k
import numpy as np
import pytest
from kernels import AT_I, AT_J, B1, F8, I8, M, N, let, literal

from chainrule import grad
from chainrule.compiler.ir import Graph, Node, f, make
from chainrule.compiler.kernel import Compiled, compile_kernels
from chainrule.compiler.loopnest import Carried, Convert, Index, IndexOp, Kernel, Let, Load, Loop, Statement, Store, walk
from chainrule.compiler.packing import pack
from chainrule.compiler.peel import peel
from chainrule.compiler.program import compile_program
from chainrule.compiler.sizes import evaluate, symbol

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")


def random_kernel(seed: int) -> Kernel:
    """A loop over random shifts of x, each within a mask, random selections, and a running sum; some in a second loop."""
    rng = np.random.default_rng(seed)
    nested = bool(seed % 2)
    extent = (N, N - 1, N + M, 20)[seed % 4]
    here = AT_J if nested else AT_I
    bounds = [N - 2, N, M, 0, 1, 3, 5, N - M, *([AT_I, IndexOp("+", AT_I, 1)] if nested else [])]
    body: list[Statement] = [Convert("at", here), Convert("size", N)]
    total = "start"
    for number in range(int(rng.integers(1, 6))):
        shift = int(rng.integers(-3, 4))
        flipped = rng.random() < 0.3
        place = IndexOp("+", IndexOp("*", here, -1), N + shift) if flipped else IndexOp("+", here, shift)
        inside, bound = f"inside{number}", bounds[int(rng.integers(len(bounds)))]
        body += [
            Convert(f"p{number}", place),
            let(f"low{number}", "ge", f"p{number}", literal(0, I8), dtype=B1),
            let(f"high{number}", "lt", f"p{number}", "size", dtype=B1),
            let(inside, "and_", f"low{number}", f"high{number}", dtype=B1),
            Load(f"x{number}", "x", (place,), inside, literal(-0.0)),
            Convert(f"b{number}", bound),
            let(f"c{number}", str(rng.choice(COMPARISONS)), *rng.permutation(["at", f"b{number}"]).tolist(), dtype=B1),
            let(f"n{number}", "xor", f"c{number}", literal(True, B1), dtype=B1),
            let(f"o{number}", "or_", f"n{number}", inside, dtype=B1),
            let(f"w{number}", "where", f"o{number}", f"x{number}", literal(1.5)),
            let(f"m{number}", "mul", f"w{number}", literal(float(rng.normal()))),
            let(f"t{number}", "add", total, f"m{number}"),
        ]
        total = f"t{number}"
    store = Store("out", (AT_I, AT_J) if nested else (AT_I,), total)
    inner = Loop(here.name, extent, (*body, store), (Carried("start", literal(0.25), total, F8),))
    main = Loop("i", M, (inner, Store("ends", (AT_I,), "start"))) if nested else inner
    buffers = (k.reads("x", 1), k.writes("out", 1 + nested), k.writes("ends", int(nested)))
    return Kernel(f"masked{seed}", buffers, ("n", "m"), (main,) if nested else (main, Store("ends", (), "start")), splittable=nested)


KERNELS = [random_kernel(seed) for seed in range(40)]


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_kernels(KERNELS, "test_peel")


@pytest.mark.parametrize("number", range(len(KERNELS)))
def test_same_bits_as_the_loop_in_one_piece(compiled: Compiled, number: int) -> None:
    kernel = KERNELS[number]
    rng = np.random.default_rng(number)
    for n, m in ((2, 2), (3, 7), (5, 4), (19, 3), (20, 2), (41, 6)):
        sizes, x = {"n": n, "m": m}, rng.normal(size=n)
        *outer, inner = [s for s in walk(kernel.body) if isinstance(s, Loop)]
        shape = tuple(evaluate(loop.extent, sizes) for loop in (*outer, inner))
        arrays = {"x": x, "out": np.zeros(shape), "ends": np.zeros(shape[:-1])}
        expected = {name: array.copy() for name, array in arrays.items()}
        k.run_source(kernel, expected, sizes)
        cuts = sorted({0, m, *rng.integers(0, m + 1, 2).tolist()}) if kernel.splittable else [0, 0]
        for start, stop in itertools.pairwise(cuts):
            compiled.run(number, start, stop, pack(kernel, sizes, arrays))
        for name, array in arrays.items():
            assert array.tobytes() == expected[name].tobytes(), (name, sizes)


def test_most_of_them_are_cut() -> None:
    def cut(kernel: Kernel) -> bool:
        loop = [s for s in walk(kernel.body) if isinstance(s, Loop)][-1]
        return peel(loop, {}) is not None

    assert sum(map(cut, KERNELS)) >= 35


# ------------------------------------------------------------------------------------------------ segments
def masked(extent: Any, *masks: tuple[str, Any, Any]) -> Loop:
    """A loop over i that stores, for each mask `(op, left, right)`, x where it holds and 0 elsewhere."""
    body: list[Statement] = []
    for number, (op, left, right) in enumerate(masks):
        body += [
            Convert(f"l{number}", left), Convert(f"r{number}", right),
            let(f"c{number}", op, f"l{number}", f"r{number}", dtype=B1),
            Load(f"v{number}", "x", (AT_I,), f"c{number}", literal(0.0)),
            Store(f"out{number}", (AT_I,), f"v{number}"),
        ]
    return Loop("i", extent, tuple(body))


def stops(loop: Loop) -> list[str]:
    peeled = peel(loop, {})
    return [] if peeled is None else [str(segment.stop) for segment in peeled.segments]


def test_stops() -> None:
    assert stops(masked(N, ("ge", AT_I, 1), ("lt", AT_I, N - 1))) == ["1", "n - 1", "None"]
    assert stops(masked(N, ("ge", AT_I, 0), ("lt", AT_I, N))) == []  # always true
    assert stops(masked(N, ("eq", AT_I, 3))) == ["3", "4", "None"]
    assert stops(masked(N + M, ("lt", AT_I, N), ("ge", AT_I, N))) == ["n", "None"]
    assert stops(masked(N, ("gt", IndexOp("+", IndexOp("*", AT_I, -1), N), 2))) == ["n - 2", "None"]
    assert stops(masked(N, ("eq", AT_I, AT_J))) == ["Index(name='j')", str(IndexOp("+", AT_J, 1)), "None"]
    assert stops(masked(N, ("lt", IndexOp("*", AT_I, 2), N))) == []  # no whole place


def test_order_is_checked_at_the_call_only_where_sizes_leave_it_open() -> None:
    proven = peel(masked(N, ("ge", AT_I, 1), ("lt", AT_I, N - 1)), {})
    open_order = peel(masked(N, ("ge", AT_I, 3), ("lt", AT_I, N - 3)), {})
    assert proven is not None
    assert proven.unproven == ()  # a loop that runs has n >= 2, as sizes of 1 are no symbols
    assert open_order is not None
    assert open_order.unproven == ((3, N - 3),)


def test_nothing_is_masked_inside() -> None:
    peeled = peel(masked(N, ("ge", AT_I, 1), ("lt", AT_I, N - 1)), {})
    assert peeled is not None
    for number, (segment, loads) in enumerate(zip(peeled.segments, (1, 2, 1), strict=True)):
        kinds = [type(s) for s in segment.body]
        assert kinds.count(Load) == loads, number
        assert not any(isinstance(s, Let | Convert) for s in segment.body)
        assert all(s.when is None for s in segment.body if isinstance(s, Load))


def test_a_value_that_is_carried_under_a_mask() -> None:
    """Behind the mask nothing is left of what would have been added."""
    body = (Convert("at", AT_I), Convert("end", N - 1), let("c", "lt", "at", "end", dtype=B1), Load("v", "x", (AT_I,), "c", literal(0.0)),
            let("more", "add", "sum", "v", reassociate=True), let("next", "where", "c", "more", "sum"))
    peeled = peel(Loop("i", N, body, (Carried("sum", literal(0.0), "next", F8),)), {})
    assert peeled is not None
    before, behind = (segment.body for segment in peeled.segments)
    assert [s.target for s in before if isinstance(s, Load | Let)] == ["v", "more", "next"]
    assert behind == (let("next", "where", literal(False, B1), "sum", "sum"),)


def test_too_many_copies_are_not_made() -> None:
    shared = tuple(let(f"y{i}", "add", f"y{i - 1}" if i else "v0", literal(1.0)) for i in range(50))
    loop = masked(N, *(("eq", AT_I, 2 * i) for i in range(10)))
    last = Store("total", (AT_I,), "y49")
    assert peel(loop, {}) is not None
    assert peel(Loop("i", N, (Load("v0_", "x", (AT_I,)), *loop.body, *shared, last)), {}) is None


# ------------------------------------------------------------------------------------------------ programs
def shifted_sum(size: Any) -> Graph:
    """The slope of sum(x[1:] * x[:-1]): two masked terms."""
    x: Node = make("input", shape=(size,), dtype=F8, position=0, name="x")
    one = f.slice(x, start=(1,), step=(1,), shape=(size - 1,))
    two = f.slice(x, start=(0,), step=(1,), shape=(size - 1,))
    terms = [f.place(two, start=(1,), step=(1,), shape=(size,)), f.place(one, start=(0,), step=(1,), shape=(size,))]
    return Graph([x], [f.add(*terms)], [])


def test_shifted_slices_leave_a_plain_loop() -> None:
    program = compile_program(shifted_sum(symbol("s0")))
    for n in (2, 3, 4, 50):
        x = np.arange(1.0, n + 1)
        expected = np.zeros(n)
        expected[1:] += x[:-1]
        expected[:-1] += x[1:]
        np.testing.assert_array_equal(program.run([x])[0], expected)
    assert isinstance(program.code, Compiled)
    text = program.code.llvm()
    dense = text[re.search(r"define .*k0\.dense", text).start() :]  # type: ignore[union-attr]
    dense = dense[: dense.index("\n}\n")]
    assert not re.search(r"@llvm\.masked|select .* ptr", dense)
    assert re.search(r"fadd <\d+ x double>", dense)


def test_value_and_gradient_of_neighbours_are_one_plain_loop() -> None:
    """The sum over n - 1 terms is added up in lanes of the loop over n elements."""
    x: Node = make("input", shape=(symbol("s0"),), dtype=F8, position=0, name="x")
    size = symbol("s0") - 1
    one, two = (f.slice(x, start=(k,), step=(1,), shape=(size,)) for k in (1, 0))
    value = f.sum(one * two, axes=(0,))
    slope = f.place(two, start=(1,), step=(1,), shape=x.shape) + f.place(one, start=(0,), step=(1,), shape=x.shape)
    program = compile_program(Graph([x], [value, slope], []))
    assert len(program.kernels) == 1
    for n in (2, 3, 4, 50):
        numbers = np.arange(1.0, n + 1)
        found = program.run([numbers])
        assert found[0] == np.sum(numbers[1:] * numbers[:-1])
        np.testing.assert_array_equal(found[1], np.append(0.0, numbers[:-1]) + np.append(numbers[1:], 0.0))
    assert isinstance(program.code, Compiled)
    text = program.code.llvm()
    dense = text[re.search(r"define .*k0\.dense", text).start() :]  # type: ignore[union-attr]
    dense = dense[: dense.index("\n}\n")]
    assert not re.search(r"@llvm\.masked|select .* ptr", dense)
    assert re.search(r"fadd reassoc nsz contract <\d+ x double>", dense)


def test_elements_taken_one_by_one_become_straight_code() -> None:
    def product(q: Any) -> Any:
        total = 1.0
        for i in range(12):
            total = total * np.sin(q[i])
        return total

    gradient = grad(product)
    q = np.linspace(0.1, 1.2, 12)
    for n in (12, 15):
        wide = np.concatenate([q, np.ones(n - 12)])
        expected = np.concatenate([np.prod(np.sin(q)) / np.tan(q), np.zeros(n - 12)])
        np.testing.assert_allclose(gradient.grad(wide), expected, rtol=1e-13)


def test_index_names_in_a_stop_are_values_of_the_nest() -> None:
    peeled = peel(masked(N, ("le", AT_I, AT_J)), {})
    assert peeled is not None
    (stop,) = [s.stop for s in peeled.segments if s.stop is not None]
    assert stop == IndexOp("+", Index("j"), 1)


def test_a_rotation_has_three_stretches() -> None:
    """Where it begins again is known, so that a stencil with two of them is not compiled in many versions."""
    def smoothed(x: Any) -> Any:
        return np.sum(np.sin(x) * (np.roll(x, 1) + np.roll(x, -1) + np.roll(x, 3)))

    f = grad(smoothed)
    rng = np.random.default_rng(0)
    for n in (9, 5, 4, 3, 2, 1, 0):  # for the shortest ones another program
        x = rng.normal(size=n)
        neighbours = np.roll(x, 1) + np.roll(x, -1) + np.roll(x, 3)
        expected = np.cos(x) * neighbours + np.roll(np.sin(x), -1) + np.roll(np.sin(x), 1) + np.roll(np.sin(x), -3)
        np.testing.assert_allclose(f.grad(x), expected, rtol=1e-13, atol=1e-15)
    assert f.stats.traces <= 5
    rows = grad(lambda x: np.roll(x, 1, axis=0) - np.roll(x, -1, axis=0))
    x = rng.normal(size=(6, 4))
    rows(x)
    (loop,) = (s for k in rows.trace(x)._execution("value").program.kernels for s in k.body if isinstance(s, Loop))
    meaning = {s.target: s.index for k in rows.trace(x)._execution("value").program.kernels for s in k.body if isinstance(s, Convert)}
    peeled = peel(loop, meaning)
    assert peeled is not None
    assert (len(peeled.segments), peeled.unproven) == (3, ())
