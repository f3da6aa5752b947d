"""Sums over pairs as sums over half of them, and arrays of short rows column by column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.compiler import interpret
from chainrule.compiler.columns import by_columns
from chainrule.compiler.half_pairs import half_pairs
from chainrule.compiler.ir import Graph, Node, constant, f, make, toposort
from chainrule.compiler.ops.rules import INT64
from chainrule.compiler.program import compile_program
from chainrule.compiler.sizes import symbol

F8 = np.dtype(np.float64)
N, D = symbol("s0"), symbol("s1")
X = make("input", shape=(N, D), dtype=F8, position=0, name="x")
PAIRS = (N, N, D)


def rows() -> Node:
    return f.expand(X, shape=PAIRS, axes=(0, 2))


def columns() -> Node:
    return f.expand(X, shape=PAIRS, axes=(1, 2))


def of_pairs(x: Node) -> Node:
    return f.expand(x, shape=PAIRS, axes=(0, 1))


DIFFERENCE = rows() - columns()
DISTANCE = f.sum(f.square(DIFFERENCE), axes=(2,))
WEIGHT = f.exp(f.neg(DISTANCE)) / (DISTANCE + 1.0)
ENERGY = f.sum(WEIGHT, axes=(0, 1))
FORCE = f.sum(of_pairs(WEIGHT) * DIFFERENCE, axes=(1,))
STRENGTH = f.sum(of_pairs(WEIGHT) * (rows() + columns()), axes=(1,))


def graph(*outputs: Node) -> Graph:
    return Graph((X,), outputs, (), {"s0": 7, "s1": 3})


def comparisons(made: Graph) -> int:
    return sum(n.op.name in ("gt", "ge", "eq") for n in toposort(made.outputs))


HALVED = {"energy": [ENERGY], "force": [FORCE], "both": [ENERGY, FORCE], "symmetric rows": [STRENGTH], "all": [ENERGY, FORCE, STRENGTH]}
OTHERS = {
    "not symmetric": [f.sum(f.exp(f.sum(DIFFERENCE, axes=(2,))), axes=(0, 1))],
    "one of two not symmetric": [ENERGY, f.sum(of_pairs(WEIGHT) * rows(), axes=(1,))],
    "shifted": [f.sum(of_pairs(WEIGHT) * (DIFFERENCE + 0.5), axes=(1,))],
    "antisymmetric over both": [f.sum(f.sin(of_pairs(WEIGHT) * DIFFERENCE), axes=(0, 1))],
    "also kept": [ENERGY, WEIGHT],
    "also the greatest": [ENERGY, f.max(WEIGHT, axes=(0, 1))],
    "cheap": [f.sum(f.square(DIFFERENCE), axes=(0, 1, 2)), f.sum(DIFFERENCE, axes=(1,))],
}


@pytest.mark.parametrize("name", HALVED)
def test_half_of_the_pairs_give_the_sums(name: str) -> None:
    whole = graph(*HALVED[name])
    half = half_pairs(whole)
    assert comparisons(whole) == 0
    assert comparisons(half) > 0
    program = compile_program(whole)
    for n in (1, 2, 9, 50):
        x = np.random.default_rng(0).normal(size=(n, 3))
        expected = interpret.run(whole, [x])
        for results in (interpret.run(half, [x]), program.run([x]), program.run([np.asfortranarray(x)])):
            for result, other in zip(results, expected, strict=True):
                np.testing.assert_allclose(result, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", OTHERS)
def test_others_need_every_pair(name: str) -> None:
    whole = graph(*OTHERS[name])
    assert half_pairs(whole) is whole


def test_groups_are_halved_apart() -> None:
    """Another function of other pairs does not keep the energy from being halved."""
    y = make("input", shape=(N,), dtype=F8, position=1, name="y")
    other = f.exp(f.expand(y, shape=(N, N), axes=(0,)) - f.expand(y, shape=(N, N), axes=(1,)))
    made = half_pairs(Graph((X, y), (ENERGY, f.sum(other, axes=(0, 1))), (), {"s0": 7, "s1": 3}))
    assert comparisons(made) == 2
    assert made.outputs[1] is f.sum(other, axes=(0, 1))


def test_pairs_of_a_point_with_itself_are_added_once() -> None:
    """Also where they are nan, which an antisymmetric function may be."""
    ramp = make("iota", shape=(N,), dtype=INT64, axis=0)
    itself = f.eq(f.expand(ramp, shape=(N, N), axes=(0,)), f.expand(ramp, shape=(N, N), axes=(1,)))
    marked = f.where(itself, constant(100.0, F8, (N, N)), WEIGHT)
    x = np.random.default_rng(0).normal(size=(6, 3))
    (total,) = compile_program(graph(f.sum(marked, axes=(0, 1)))).run([x])
    assert 600 < total < 630
    unmarked = of_pairs(f.exp(f.neg(DISTANCE)) / DISTANCE) * DIFFERENCE
    (force,) = compile_program(graph(f.sum(unmarked, axes=(1,)))).run([x])
    assert np.isnan(force).all()


@pytest.mark.parametrize("n", [300, 701])
def test_threads_do_not_change_a_bit(n: int) -> None:
    program = compile_program(graph(ENERGY, FORCE))
    x = np.random.default_rng(1).normal(size=(n, 3))

    def backwards(tasks: Any) -> None:
        blocks.append(len(tasks))
        for task in reversed(tasks):
            task()

    blocks: list[int] = []
    for result, expected in zip(program.run_steps([x], backwards), program.run([x]), strict=True):
        assert result.tobytes() == expected.tobytes()
    assert max(blocks) > 1
    for k in (2, 3):
        narrow = np.random.default_rng(1).normal(size=(n, k))
        for result, expected in zip(program.run_steps([narrow], backwards), program.run([narrow]), strict=True):
            assert result.tobytes() == expected.tobytes()


def test_short_rows_lie_by_columns_where_loops_walk_down_them() -> None:
    program = compile_program(graph(ENERGY, FORCE))
    layouts = {b.name: b.layout for b in program.record.buffers if b.layout is not None}
    assert {(layout.order, layout.sizes) for layout in layouts.values()} == {((1, 0), (("s1", 3),))}
    assert len(layouts) == 2  # a copy of the points, and what is taken from the second of a pair
    (made,) = [b for b in program.record.buffers if b.name.startswith("x_by_columns")]
    assert made.empty({"s0": 5, "s1": 3}).strides == (8, 40)
    assert made.empty({"s0": 5, "s1": 4}).strides == (32, 8)
    assert made.empty({"s0": 5, "s1": 3}, (2,)).strides == (120, 8, 40)
    for kernel in program.kernels:
        assert not any(b.contiguous for b in kernel.buffers if b.name in layouts)
    assert by_columns(program.plan, program.steps)[1] == program.steps  # once


def test_rows_that_are_read_once_stay() -> None:
    program = compile_program(graph(f.sum(f.exp(X), axes=(0,)), f.exp(X)))
    assert all(b.layout is None for b in program.record.buffers)
