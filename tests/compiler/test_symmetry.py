"""Sums over an axis of arrays that are their own transpose, or the negative of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.compiler import interpret
from chainrule.compiler.ir import Graph, Node, constant, f, make, toposort
from chainrule.compiler.ops.rules import INT64
from chainrule.compiler.rewrite import sum_along_inner
from chainrule.compiler.sizes import symbol

F8 = np.dtype(np.float64)
N, M, D = symbol("s0"), symbol("s1"), symbol("s2")
X = make("input", shape=(N, D), dtype=F8, position=0, name="x")
PAIRS = (N, N, D)


def rows(x: Node = X, shape: Any = PAIRS) -> Node:
    return f.expand(x, shape=shape, axes=(0, 2))


def columns(x: Node = X, shape: Any = PAIRS) -> Node:
    return f.expand(x, shape=shape, axes=(1, 2))


def over_both(pair: Node) -> Graph:
    """Sums over either axis of an array of pairs."""
    return Graph((X,), (f.sum(pair, axes=(0,)), f.sum(pair, axes=(1,))), (), {"s0": 5, "s2": 3})


def summed_axes(graph: Graph) -> set[tuple[int, ...]]:
    return {n.param("axes") for n in toposort(graph.outputs) if n.op.name == "sum" and n.inputs[0].ndim == 3}


def diagonal() -> Node:
    ramp = make("iota", shape=(N,), dtype=INT64, axis=0)
    return f.eq(f.expand(ramp, shape=(N, N), axes=(0,)), f.expand(ramp, shape=(N, N), axes=(1,)))


DIFFERENCE = rows() - columns()
DISTANCE = f.sum(f.square(DIFFERENCE), axes=(2,))
WEIGHT = f.where(diagonal(), constant(0, F8, (N, N)), f.exp(f.neg(DISTANCE)))
SYMMETRIC = {
    "difference": DIFFERENCE, "product": rows() * columns(), "sum": rows() + columns(), "sine": f.sin(DIFFERENCE),
    "cosine": f.cos(DIFFERENCE), "scaled": DIFFERENCE * 2.0, "greatest": f.maximum(rows(), columns()),
    "force": f.expand(WEIGHT, shape=PAIRS, axes=(0, 1)) * DIFFERENCE,
    "selected": f.where(f.expand(diagonal(), shape=PAIRS, axes=(0, 1)), constant(0, F8, PAIRS), DIFFERENCE),
    "quotient": DIFFERENCE / f.expand(DISTANCE + 1.0, shape=PAIRS, axes=(0, 1)),
    "of functions": f.exp(rows()) - f.exp(columns()),
    "permuted": f.permute(f.expand(f.permute(DISTANCE, order=(1, 0)), shape=(D, N, N), axes=(1, 2)), order=(1, 2, 0)),
}
OTHERS = {
    "quotient of two": rows() / columns(), "shifted": DIFFERENCE + 1.0, "exponential": f.exp(DIFFERENCE),
    "selected by one": f.where(f.expand(diagonal(), shape=PAIRS, axes=(0, 1)), constant(1, F8, PAIRS), DIFFERENCE),
    "one alone": rows(), "positive part": f.maximum(DIFFERENCE, constant(0, F8, PAIRS)),
    "sum of both kinds": DIFFERENCE + f.square(DIFFERENCE), "comparison": f.cast(f.lt(rows(), columns()), dtype="float64"),
}


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_sums_run_along_rows(name: str) -> None:
    graph = over_both(SYMMETRIC[name])
    made = graph.with_outputs(sum_along_inner(graph.outputs))
    assert summed_axes(made) - {(2,)} == {(1,)}
    x = np.random.default_rng(0).normal(size=(5, 3))
    for result, expected in zip(interpret.run(made, [x]), interpret.run(graph, [x]), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", OTHERS)
def test_others_stay(name: str) -> None:
    graph = over_both(OTHERS[name])
    assert tuple(sum_along_inner(graph.outputs)) == graph.outputs


def test_axes_of_different_sizes_are_not_exchanged() -> None:
    y = make("input", shape=(M, D), dtype=F8, position=1, name="y")
    pair = rows(X, (N, M, D)) * columns(y, (N, M, D))
    graph = Graph((X, y), (f.sum(pair, axes=(0,)),), (), {"s0": 5, "s1": 4, "s2": 3})
    assert tuple(sum_along_inner(graph.outputs)) == graph.outputs


def test_the_search_is_bounded() -> None:
    pair = DIFFERENCE
    for _ in range(1000):
        pair = f.sin(pair)
    graph = over_both(pair)
    assert tuple(sum_along_inner(graph.outputs)) == graph.outputs
