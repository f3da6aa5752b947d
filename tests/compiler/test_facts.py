"""Facts: what is claimed of a node is true of every value that it takes; what is not known raises."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from chainrule.compiler.interpret import evaluate_nodes
from chainrule.compiler.ir import Node, constant, f, make, toposort
from chainrule.compiler.rewrite import Fact, Facts
from chainrule.compiler.rewrite.facts import _MONOTONIC, _classify


def argument(dtype: str, position: int = 0, shape: tuple[int, ...] = ()) -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=f"x{position}")


x, n = argument("float64"), argument("int32", 1)
real = f.cast(n, dtype="float64")
facts = Facts()


def test_an_unknown_fact_has_no_truth_value() -> None:
    with pytest.raises(ValueError, match="unknown fact"):
        bool(facts.finite(x))
    assert facts.finite(constant(1.0, "float64"))
    assert not facts.finite(constant(np.inf, "float64"))


@pytest.mark.parametrize(("node", "name", "expected"), [
    (f.exp(x), "nonnegative", Fact.TRUE), (f.exp(x), "positive", Fact.UNKNOWN), (f.exp(x), "not_nan", Fact.UNKNOWN),
    (real, "finite", Fact.TRUE), (real, "integer_valued", Fact.TRUE), (real * 0.5, "integer_valued", Fact.UNKNOWN),
    (f.square(x), "sign_clear", Fact.TRUE), (f.square(real), "not_nan", Fact.TRUE), (x - 0.0, "nonzero", Fact.UNKNOWN),
    (f.maximum(real, 1.0), "nonzero", Fact.TRUE), (f.maximum(real, 1.0), "positive", Fact.TRUE),
    (f.where(f.gt(x, 0.0), f.square(real), 1.0), "nonnegative", Fact.TRUE),
    (f.neg(f.exp(x)), "not_positive_zero", Fact.TRUE),
    (f.floor(x), "integer_valued", Fact.TRUE), (f.sin(real), "finite", Fact.TRUE), (f.sin(x), "finite", Fact.UNKNOWN),
    (f.sum(f.square(argument("float64", 0, (3,))), axes=(0,)), "nonnegative", Fact.TRUE),
    (f.sum(argument("float64", 0, (3,)), axes=(0,)), "finite", Fact.UNKNOWN),
    (f.cast(constant(1e300, "float64"), dtype="float32"), "finite", Fact.UNKNOWN),
    (constant(-0.0, "float64"), "not_negative_zero", Fact.FALSE), (constant(np.nan, "float64"), "not_nan", Fact.FALSE),
])
def test_facts(node: Node, name: str, expected: Fact) -> None:
    assert getattr(facts, name)(node) is expected


def test_deep_graphs_are_looked_at_once() -> None:
    e = x
    for _ in range(20_000):
        e = f.tanh(e)
    known = Facts()
    known.finite(e)
    assert len(known._known) == len(toposort([e]))


EDGES = [0.0, -0.0, 5e-324, -5e-324, 1e-310, 0.5, -0.5, 1.0, -1.0, 2.0, -3.0, 709.0, -745.0, 1e160, -1e160, 1.7e308,
         -1.7e308, np.inf, -np.inf, np.nan]
BINARY = ("add", "sub", "mul", "div", "hypot", "logaddexp", "maximum", "minimum")
UNARY = sorted(_MONOTONIC - set(BINARY))


@st.composite
def programs(draw: st.DrawFn) -> list[Node]:
    pool = [x, real, constant(draw(st.sampled_from(EDGES)), "float64")]
    for _ in range(draw(st.integers(1, 5))):
        if draw(st.booleans()):
            pool.append(getattr(f, draw(st.sampled_from([*UNARY, "sin", "cos"])))(draw(st.sampled_from(pool))))
        else:
            left, right = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
            pool.append(getattr(f, draw(st.sampled_from(BINARY)))(left, right))
    return pool


@given(programs(), st.sampled_from(EDGES) | st.floats(), st.integers(-(2**31), 2**31 - 1))
def test_every_value_is_of_a_possible_class(pool: list[Node], a: float, b: int) -> None:
    values = evaluate_nodes(pool, {x: np.float64(a), n: np.int32(b)}, {})
    known = Facts()
    for node, value in zip(pool, values, strict=True):
        possible = known.possible(node)
        assert _classify(value) & ~possible.classes == 0, (node, value)
        assert not possible.integer or not np.isfinite(value) or value == np.floor(value)
