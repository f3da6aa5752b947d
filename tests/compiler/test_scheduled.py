"""What a schedule says of itself: loops, blocks, memory, and why neighbours stay apart."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.compiler.ir import Graph, Node, f, make
from chainrule.compiler.ops.rules import INT64
from chainrule.compiler.program import compile_program
from chainrule.compiler.scheduled import Scheduled
from chainrule.compiler.sizes import Size, symbol

F8 = np.dtype(np.float64)
N, M = symbol("s0"), symbol("s1")


def variable(position: int, *shape: Size, dtype: np.dtype = F8) -> Node:
    return make("input", shape=shape, dtype=dtype, position=position, name=f"x{position}")


def scheduled(*outputs: Node) -> Scheduled:
    inputs = sorted({n for n in Graph((), outputs).nodes() if n.op.name == "input"}, key=lambda n: n.param("position"))
    return compile_program(Graph(tuple(inputs), outputs, (), {"s0": 30, "s1": 40})).scheduled


X, Y, K, A = variable(0, N), variable(1, M), variable(2, M, dtype=INT64), variable(3, N, M)


@pytest.mark.parametrize(("outputs", "reason"), [
    ((f.exp(X), f.exp(Y)), "they have no array in common"),
    ((f.exp(X - f.expand(f.sum(X, axes=(0,)), shape=(N,), axes=())),), "is complete only after all iterations"),
    ((f.log(f.sum(X, axes=(0,))),), "is complete only after all iterations"),
    ((f.gather(X, K + 1, axes=(0,)),), "is checked as a whole"),
    ((f.cumsum(f.exp(X), axis=0),), "cumsum is a routine of its own"),
    ((f.permute(f.contract(A, variable(4, M, N), left="ab", right="bc", out="ac"), order=(1, 0)) + 2.0,), "is a product of matrices"),
    ((f.contract(A, variable(4, N, M), left="ab", right="cb", out="ac") * f.expand(f.exp(f.sum(X, axes=(0,))), shape=(N, N), axes=()),),
     "is needed as a whole"),
    ((f.exp(f.slice(X, start=(1,), step=(1,), shape=(N - 1,))), f.sin(X)), "different extents, s0 - 1 and s0"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_reasons(outputs: tuple[Node, ...], reason: str) -> None:
    made = scheduled(*outputs)
    assert len(made.boundaries) == len(made.steps) - 1
    assert any(reason in boundary for boundary in made.boundaries)
    text = str(made)
    assert text.count("apart: ") == len(made.boundaries)
    assert all(boundary in text for boundary in made.boundaries)


def test_large_bodies() -> None:
    y = X
    for k in range(1500):
        y = y * 1.0001 + X if k % 2 else y - 0.5 * X
    made = scheduled(y)
    assert made.boundaries == ["together they would be too large for one body"] * (len(made.steps) - 1)


def test_rows_in_text() -> None:
    weight = f.exp(f.sum(A, axes=(1,)))
    made = scheduled(f.sum(A * f.expand(weight, shape=(N, M), axes=(0,)), axes=(0,)), f.sum(weight, axes=(0,)))
    assert str(made).splitlines() == [
        "0: k0(x3): loops [s1, s0 [s1, s1]], in blocks that combine out0 by add, out1 by add",
        "     out1 = sum : float64[]  because it is an output",
        "     out0 = sum : float64[s1]  because it is an output",
        "without memory of their own: t3, t4",
    ]


def test_what_has_no_loops_is_one_body() -> None:
    x = variable(0)
    made = scheduled(f.exp(f.sin(x) * 2.0), f.reshape(f.cos(f.reshape(x, shape=(1,))), shape=()))
    assert str(made).startswith("0: k0(x0): no loops\n")
    assert len(made.steps) == 1
