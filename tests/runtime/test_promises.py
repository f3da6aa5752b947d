"""What a caller promises of arguments: shorter formulas, programs that rest on it, and what happens where it is broken."""
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy

import chainrule as cr
from chainrule.compiler.errors import ArgumentError
from chainrule.compiler.formula import Formula, derivative, formula
from chainrule.compiler.ir import Graph, Node, f, make
from chainrule.compiler.promises import PROMISES, broken
from chainrule.compiler.rewrite.facts import Fact, Facts
from chainrule.compiler.text import parse, print_graph


def root_of_square(x: Any) -> Any:
    return np.sqrt(x**2)


@pytest.mark.parametrize(("function", "promises", "value", "slope"), [
    (lambda x, y: np.sqrt(x**2), {"positive": True}, "x", "1"),
    (lambda x, y: np.abs(x) * y, {"nonnegative": True}, "x*y", "y"),
    (lambda x, y: np.sqrt(x * y) * np.sqrt(x), {"positive": True}, "x*sqrt(y)", "sqrt(y)"),
    (lambda x, y: (x**2) ** y, {"positive": True}, "x**(2*y)", "2*y*x**(2*y - 1)"),
    (lambda x, y: np.log(x**2), {"positive": True}, "2*log(x)", "2/x"),
    (lambda x, y: x**y * x**2.0, {}, "x**(y + 2)", "(y + 2)*x**(y + 1)"),
    (lambda x, y: np.cos(np.pi * x) + np.sin(np.pi * x) * y, {"integer": True}, "(-1)**x", None),
    (lambda x, y: np.sign(x) * y, {"positive": True}, "y", "0"),
    (lambda x, y: np.sqrt(x**2), {}, "|x|", "sign(x)"),
])
def test_formulas(function: Callable[..., Any], promises: dict[str, bool], value: str, slope: str | None) -> None:
    view = cr.grad(function).trace(cr.spec(**promises), cr.spec(**promises))
    assert str(view.formula) == value
    if slope is not None:
        assert str(view.derivative("x")) == slope


def test_promises_of_a_function() -> None:
    period = cr.grad(lambda length, g: 2 * np.pi * np.sqrt(length / g), assume={"length": "positive", "g": "positive"})
    assert str(period.derivative("length")) == "pi/sqrt(length*g)"
    assert str(cr.parse("sqrt(x**2)", assume={"x": ("positive", "integer")}).formula) == "x"
    x = sympy.Symbol("x", real=True)
    assert str(cr.from_sympy(sympy.Abs(x), [x], assume={"x": "nonnegative"}).formula) == "x"


def test_symbols_carry_promises() -> None:
    made = cr.grad(lambda x, k: x**2 * k).trace(cr.spec(positive=True), cr.spec(integer=True)).formula
    by_name = {s.name: s for s in made.free_symbols}
    assert by_name["x"].is_positive
    assert by_name["k"].is_integer
    assert by_name["k"].is_positive is None


def test_compiled_programs_rest_on_promises() -> None:
    promised = cr.grad(root_of_square, assume={"x": "positive"})
    plain = cr.grad(root_of_square)
    assert promised(3.0) == plain(3.0) == 3.0
    assert np.array_equal(promised.grad(np.array(2.0)), plain.grad(np.array(2.0)))
    assert promised(-3.0) == -3.0  # broken: the value of x, which is what was derived
    assert np.isnan(promised(np.nan))
    assert plain(-3.0) == 3.0


def test_a_promise_of_a_trace_is_not_one_of_calls() -> None:
    function = cr.grad(root_of_square)
    assert str(function.trace(cr.spec("n", positive=True)).formula) == "x"
    assert np.array_equal(function(np.array([-1.0, 2.0])), [1.0, 2.0])
    assert str(function.formula) == "|x|"


def test_the_interpreter_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_TIER", "interpret")
    promised = cr.grad(lambda x, n: np.sqrt(x**2) * n, assume={"x": "positive", "n": "integer"})
    assert promised(np.array([1.0, np.nan, np.inf]), 2.0)[0] == 2.0
    with pytest.raises(ArgumentError, match=r"x was promised to be nonnegative, but -3.0 is not \(.*test_promises.py:\d+\)"):
        promised(np.array([2.0, -3.0]), 1.0)
    with pytest.raises(ArgumentError, match=r"n was promised to be integer, but 0\.5 is not"):
        promised(1.0, 0.5)


@pytest.mark.parametrize(("make_it", "message"), [
    (lambda: cr.spec("n", negative=True), "'negative' is nothing that can be promised; there are positive, nonnegative, nonzero, integer"),
    (lambda: cr.spec(positive=True, nonzero=False), "positive=True contradicts nonzero=False"),
    (lambda: cr.spec(integer="yes"), "integer='yes' is neither True nor False"),
    (lambda: cr.grad(root_of_square, assume={"y": "positive"}), "root_of_square has no parameter 'y'; it has x"),
    (lambda: cr.grad(root_of_square, assume={"x": "even"}), "'even' is nothing that can be promised"),
])
def test_mistakes(make_it: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        make_it()
    assert "test_promises.py:" in str(caught.value)


# ------------------------------------------------------------------------------------------------ in the compiler
def promised_input(promise: str, dtype: Any = float) -> Node:
    return make("input", shape=(), dtype=np.dtype(dtype), position=0, name="x", promise=promise)


def test_facts_and_text() -> None:
    x = promised_input("nonnegative nonzero positive")
    assert Facts().nonnegative(f.square(x) * x) is Fact.TRUE
    assert Facts().nonnegative(promised_input("integer")) is Fact.UNKNOWN
    assert Facts().integer_valued(promised_input("integer")) is Fact.TRUE
    graph = Graph((x,), (f.sqrt(x),))
    assert 'promise="nonnegative nonzero positive"' in print_graph(graph)
    assert parse(print_graph(graph)).inputs == (x,)
    assert "promise" not in print_graph(Graph((promised_input(""),), (promised_input(""),)))
    assert str(formula(Graph((x,), (f.abs(x),)))) == "x"
    assert isinstance(derivative(graph, "x"), Formula)


@pytest.mark.parametrize("promise", [p for p in PROMISES if p != "symmetric"])
def test_special_values(promise: str) -> None:
    holds = {"positive": [1.5, np.inf], "nonnegative": [0.0, -0.0, np.inf], "nonzero": [-1.0, 5e-324], "integer": [-2.0, 0.0, np.inf]}
    fails = {"positive": [0.0, -0.0], "nonnegative": [-5e-324], "nonzero": [-0.0], "integer": [0.5]}
    assert broken(promise, np.array([np.nan, *holds[promise]])) is None
    for value in fails[promise]:
        assert broken(promise, np.array([1.0, value])) == (promise, value)
    assert broken(promise, np.array([], int)) is None


def test_symmetric_matrices() -> None:
    @cr.grad(wrt="x", assume={"P": "symmetric"})
    def form(x, P):
        return x @ P @ x

    x, P = np.array([1.0, 2.0]), np.array([[2.0, 1.0], [1.0, 3.0]])
    assert np.array_equal(form.grad(x, P), 2 * P @ x)
    assert str(form.trace(x, P).derivative("x")) == "2 * P @ x"
    described = cr.grad(form.__wrapped__).trace(cr.spec("n"), cr.spec("n n", symmetric=True))
    assert str(described.derivative("x", "x")) == "2*P"
    assert broken("symmetric", np.array([[1.0, 2.0], [3.0, 4.0]])) == ("symmetric", 2.0)
    assert broken("symmetric", np.array([[1.0, np.nan], [3.0, 4.0]])) is None
    for bad in (np.ones((2, 3)), np.ones(2)):
        with pytest.raises(ArgumentError, match="not that of a square matrix"):
            cr.grad(lambda x, P: np.sum(P) * x, assume={"P": "symmetric"}).trace(1.0, bad)
