"""Quotients by the same denominator."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import grad
from chainrule.compiler import interpret
from chainrule.compiler.ir import Graph, Node, f, make, toposort
from chainrule.compiler.rewrite import share_divisions
from chainrule.compiler.sizes import symbol

A, B, C = (make("input", shape=(symbol("s0"),), dtype=np.dtype(np.float64), position=k, name="abc"[k]) for k in range(3))


def divisions(outputs: list[Node]) -> int:
    return sum(n.op.name in ("div", "reciprocal") for n in toposort(outputs))


SHARED = {"left": [(A / B) * C, C / B], "right": [C / B, C * (A / B)], "with a sign": [f.neg((A / B) * C), C / B]}
APART = {
    "wanted itself": [(A / B) * C, C / B, A / B], "used twice": [(A / B) * C, f.exp(A / B), C / B], "not wanted": [(A / B) * C, A / C],
    "square": [f.square(A / B), A / B],
}


@pytest.mark.parametrize("name", SHARED)
def test_one_division_for_both(name: str) -> None:
    made = share_divisions(SHARED[name])
    assert (divisions(SHARED[name]), divisions(made)) == (2, 1)
    arrays = [np.random.default_rng(k).uniform(0.5, 2, 5) for k in range(3)]
    old, new = (interpret.run(Graph((A, B, C), tuple(outputs), (), {}), arrays) for outputs in (SHARED[name], made))
    np.testing.assert_allclose(new, old, rtol=1e-15)


@pytest.mark.parametrize("name", APART)
def test_others_stay(name: str) -> None:
    assert share_divisions(APART[name]) == APART[name]


def test_gradients_of_quotients_and_of_their_logarithms() -> None:
    """One division for the value, one for each of the two derivatives of a logarithm, one for both of a quotient."""
    counts = []
    for function in (lambda a, b: np.sum(np.log(a / b) ** 2), lambda a, b: np.sum(np.sin(a / b))):
        decorated = grad(function)
        a, b = np.array([1.0, 2.0, -3.0]), np.array([2.0, 4.0, -1.0])
        _, gradients = decorated.value_and_grad(a, b)
        program = decorated.trace(a, b)._execution("value_and_gradient").program
        counts.append(divisions(list(program.graph.outputs)))
        assert [g.dtype for g in gradients] == [np.float64] * 2
    assert counts == [3, 2]
