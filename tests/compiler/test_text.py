"""The text form of graphs: what it looks like, and that it parses back (random programs: tests/properties)."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from chainrule.compiler.ir import Graph, Node, constant, current, f, make
from chainrule.compiler.provenance import Site
from chainrule.compiler.sizes import Guard, symbol
from chainrule.compiler.text import dtype_text, parse, scalar_text

N = symbol("s0")


def inputs(*names: str, shape: Any = (N, 3)) -> list[Node]:
    return [make("input", shape=shape, dtype=np.dtype(float), position=k, name=name) for k, name in enumerate(names)]


def example() -> Graph:
    x, w = inputs("x", "w")
    current.sites = frozenset({Site("/home/me/loss.py", 8)})
    try:
        scaled = f.mul(x, f.exp(w))
    finally:
        current.sites = frozenset()
    total = f.sum(scaled + constant(-0.5, "f8", (N, 3)), axes=(1,))
    tail = f.slice(total, start=(1,), step=(1,), shape=(N - 1,))
    return Graph((x, w), (total, tail), (Guard("!=", N, 3, Site("loss.py", 9)), Guard("<", 2, N)), {"s0": 5})


TEXT = """\
graph(%0, %1) {
  sizes s0=5
  guard s0 != 3  # loss.py:9
  guard 2 < s0
  %0: f64[s0, 3] = input() {position=0, name="x"}
  %1: f64[s0, 3] = input() {position=1, name="w"}
  %2: f64[s0, 3] = exp(%1)  # loss.py:8
  %3: f64[s0, 3] = mul(%0, %2)  # loss.py:8
  %4: f64[s0, 3] = const() {value=-0.5}
  %5: f64[s0, 3] = add(%3, %4)
  %6: f64[s0] = sum(%5) {axes=(1,)}
  %7: f64[s0 - 1] = slice(%6) {start=(1,), step=(1,), shape=(s0 - 1,)}
  return %6, %7
}"""


def test_what_people_read() -> None:
    assert str(example()) == TEXT


def test_it_parses_back_to_the_same_objects() -> None:
    graph = example()
    parsed = parse(TEXT)
    assert parsed.inputs == graph.inputs
    assert parsed.outputs == graph.outputs
    assert [g._replace(site=None) for g in graph.guards] == list(parsed.guards)
    assert parsed.hints == graph.hints


def test_comments_and_blank_lines_are_free() -> None:
    changed = TEXT.replace("  return", "\n  # the end\n  return").replace("# loss.py:8", "# anything")
    assert parse(changed).outputs == example().outputs


NUMBERS = st.one_of(
    st.floats(width=64).map(np.float64), st.floats(width=32).map(np.float32), st.floats(width=16).map(np.float16),
    st.integers(-2**63, 2**63 - 1).map(np.int64), st.integers(0, 255).map(np.uint8), st.booleans().map(np.bool_),
)


@given(NUMBERS)
def test_constants_are_exact(number: Any) -> None:
    node = constant(number, number.dtype)
    assert parse(str(Graph((), (node,)))).outputs == (node,)
    assert parse(str(Graph((), (node,)))).outputs[0] is node


@pytest.mark.parametrize(("number", "text"), [
    (np.float64(0.1), "0.1"), (np.float32(0.1), "0.1"), (np.float64(-0.0), "-0.0"), (np.float64(math.nan), "nan"),
    (np.float64(-math.inf), "-inf"), (np.float64(5e-324), "5e-324"), (np.bool_(True), "true"), (np.int8(-3), "-3"),
    (np.array(0xFFF8000000000001, np.uint64).view(np.float64)[()], "nan:fff8000000000001"),
])
def test_constants_are_readable(number: Any, text: str) -> None:
    assert scalar_text(number.tobytes(), number.dtype) == text


@given(st.text())
def test_any_name_can_be_told(name: str) -> None:
    (x,) = inputs(name)
    assert parse(str(Graph((x,), (x,)))).outputs[0] is x


def test_dtypes_have_short_names() -> None:
    names = {np.float32: "f32", np.float64: "f64", np.int8: "i8", np.int64: "i64", np.uint8: "u8", np.bool_: "bool"}
    assert {t: dtype_text(np.dtype(t)) for t in names} == names


@pytest.mark.parametrize(("before", "after", "message"), [
    ("graph(", "grph(", "begins with"), ("  return %6, %7\n", "", "return"), ("mul(%0", "mull(%0", "unknown op"),
    ("mul(%0", "mul(%9", "unknown op, dtype or operand"), ("f64[s0 - 1]", "f64[s0]", "the op gives"),
    ("= exp", "= ", "not a node"),
    ("{axes=(1,)}", "{axis=1}", "parameters"), ("{axes=(1,)}", "{axes=(1,) }x", "cannot be read"),
    ("return %6", "return %66", "not defined"),
    ("{axes=(1,)}", "{axes=(1", "cannot be read"), ("[s0 - 1]", "[s0 -]", "not a size"),
    ("f64[s0] = sum", "f63[s0] = sum", "unknown op, dtype"),
])
def test_mistakes_are_told(before: str, after: str, message: str) -> None:
    assert before in TEXT
    with pytest.raises(ValueError, match=message):
        parse(TEXT.replace(before, after, 1))
