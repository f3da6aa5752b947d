"""Laws of random programs."""
from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from hypothesis import assume, given, strategies as st
from programs import FACTORIZATIONS, INDEXING, LINALG, LOOPS, MOVEMENTS, SCANS, Program, programs

from chainrule.compiler.differentiate import jvp, vjp
from chainrule.compiler.interpret import run
from chainrule.compiler.ir import Graph, Node, make, rebuild
from chainrule.compiler.op import all_ops
from chainrule.compiler.ops import special
from chainrule.compiler.text import parse
from chainrule.compiler.verify import verify


def test_every_op_is_grown() -> None:
    """By the name of its builder: what a kind of ops has no builder for would never be tested by programs."""
    grown = {op.name for op in all_ops() if op.kind in ("leaf", "elementwise", "reduce")} - special.NAMES
    grown |= {*MOVEMENTS, *INDEXING, *LINALG, *LOOPS, *SCANS, *FACTORIZATIONS, "contract", "nonzero"}
    assert grown == {op.name for op in all_ops()} - special.NAMES


@given(programs())
def test_programs_are_valid(program: Program) -> None:
    verify(program.graph)


@given(programs())
def test_text_parses_back_to_the_same_nodes(program: Program) -> None:
    text = str(program.graph)
    parsed = parse(text)
    assert all(a is b for a, b in zip(parsed.inputs, program.graph.inputs, strict=True))
    assert all(a is b for a, b in zip(parsed.outputs, program.graph.outputs, strict=True))
    assert parsed.hints == program.graph.hints
    assert str(parsed) == text


@given(programs())
def test_pickling_keeps_identity(program: Program) -> None:
    copy = pickle.loads(pickle.dumps(program.graph))
    assert copy.inputs == program.graph.inputs
    assert copy.outputs == program.graph.outputs
    node = program.graph.outputs[0]
    assert pickle.loads(pickle.dumps(node)) is node


@given(programs())
def test_rebuilding_with_nothing_replaced_gives_the_same_nodes(program: Program) -> None:
    outputs = program.graph.outputs
    assert rebuild(outputs, {}) == list(outputs)
    assert rebuild(outputs, {}, {}) == list(outputs)  # types every node again


@given(programs())
def test_the_interpreter_gives_the_declared_shapes(program: Program) -> None:
    results = run(program.graph, program.arrays)
    for result, expected, node in zip(results, program.expected, program.graph.outputs, strict=True):
        assert result.dtype == node.dtype
        np.testing.assert_array_equal(result, expected)


def companions(nodes: list[Node], start: int) -> list[Node]:
    """An input of the same aval for each node."""
    return [make("input", shape=n.shape, dtype=n.dtype, position=start + k, name=f"c{k}") for k, n in enumerate(nodes)]


@given(programs(empty=False), st.integers(0, 2**16))
def test_forward_and_reverse_are_adjoint(program: Program, seed: int) -> None:
    graph = program.graph
    xs = [n for n in graph.inputs if n.dtype.kind == "f"]
    ys = [n for n in graph.outputs if n.dtype.kind == "f"]
    assume(xs and ys and not any(n.op.binds for n in graph.nodes()))
    dxs = companions(xs, len(graph.inputs))
    cts = companions(ys, len(graph.inputs) + len(dxs))
    forward = jvp(ys, dict(zip(xs, dxs, strict=True)))
    reverse = vjp(ys, cts, xs)
    # two structural claims: the derivative of a valid program is valid, and both modes agree on what is linked
    outputs = [n for n in (*forward, *reverse) if n is not None]
    derivative = Graph((*graph.inputs, *dxs, *cts), tuple(outputs), graph.guards, graph.hints)
    verify(derivative, after="differentiate")

    random = np.random.default_rng(seed)
    values = dict(zip(graph.inputs, program.arrays, strict=True))
    shapes = {n: np.shape(values[n]) for n in xs}
    shapes |= {n: np.shape(e) for n, e in zip(graph.outputs, program.expected, strict=True)}
    seeds = [random.normal(size=shapes[n]).astype(n.dtype) for n in (*xs, *ys)]
    results = iter(run(derivative, [*program.arrays, *seeds]))
    dy = [next(results) if n is not None else None for n in forward]
    dx = [next(results) if n is not None else None for n in reverse]
    pairs = [*zip(dy, seeds[len(xs):], strict=True)], [*zip(dx, seeds[: len(xs)], strict=True)]
    assume(all(np.all(np.isfinite(a)) and np.all(np.abs(a) < 1e6) for side in pairs for a, _ in side if a is not None))
    left, right = (inner(side) for side in pairs)
    scale = sum(float(np.sum(np.abs(np.asarray(a, float) * b))) for side in pairs for a, b in side if a is not None)
    single = any(n.dtype == np.float32 for n in derivative.nodes())
    assert abs(left - right) <= (2e-3 if single else 1e-9) * (scale + 1e-3)


def inner(pairs: list[tuple[Any, Any]]) -> float:
    return sum(float(np.sum(np.asarray(a, float) * b)) for a, b in pairs if a is not None)
