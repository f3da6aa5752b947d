"""What derivatives of scalar code cost: operations counted, against what CasADi's gradient of the same code has."""
from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from workloads import kinematic_chain

from chainrule import grad
from chainrule.compiler.ir import Graph, f, make
from chainrule.compiler.pipeline import Options, Request, derive

ARITHMETIC = ("add", "sub", "mul", "div", "neg", "square")


def counted(graph: Graph) -> Counter[str]:
    return Counter(n.op.name for n in graph.nodes())


def simplified(kind: Any) -> Graph:
    traced = grad(kinematic_chain).trace(np.ones(20), 0.1, 0.2, 0.3)._program.graph
    return derive(traced, Request(kind, (0,) if kind != "value" else ()), Options())[1]


def test_a_kinematic_chain_and_its_gradient() -> None:
    value, both, product = map(counted, map(simplified, ("value", "value_and_gradient", "hvp")))
    assert (value["sin"], value["cos"]) == (20, 20)
    for derivative in (both, product):  # no sine is computed again, at any order
        assert (derivative["sin"], derivative["cos"]) == (20, 20)
    assert both["neg"] == 0
    assert sum(value[name] for name in ARITHMETIC) == 165
    # CasADi's has 76 sines and cosines, 262 products and 166 sums; 20 of the sums here put the gradient together
    assert both["mul"] == 274
    assert both["add"] + both["sub"] == 200
    assert sum(both[name] for name in ARITHMETIC) < 3 * 165
    assert both["reshape"] + both["slice"] + both["place"] == 80


def test_sines_and_cosines_come_in_pairs() -> None:
    nodes = simplified("value_and_gradient").nodes()
    assert {n.inputs[0] for n in nodes if n.op.name == "sin"} == {n.inputs[0] for n in nodes if n.op.name == "cos"}


@pytest.mark.parametrize(("kind", "most"), [("value_and_gradient", 3.5), ("hvp", 10.5)])
def test_derivatives_of_a_nested_function_are_a_small_multiple_of_it(kind: Any, most: float) -> None:
    """Of e = sin(e) * e, again and again: as a tree it has 2**depth leaves."""
    sizes = []
    for depth in (64, 128, 256):
        x = make("input", shape=(), dtype=np.dtype(np.float64), position=0, name="x")
        y = x
        for _ in range(depth):
            y = f.sin(y) * y
        graph = Graph((x,), (y,))
        derived = derive(graph, Request(kind, (0,)), Options())[1]
        sizes.append(len(derived))
        assert len(derived) <= most * len(graph)
    assert sizes[2] - sizes[1] == 2 * (sizes[1] - sizes[0])
