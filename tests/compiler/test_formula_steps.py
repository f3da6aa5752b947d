"""Derivations: the steps are those that the passes took, and can be read."""
import html
import time
from collections.abc import Callable

import numpy as np
import pytest
from formula_graphs import graph_of

from chainrule.compiler.derivation import derive
from chainrule.compiler.differentiate import Passed, jvp, ones_like, recording, vjp
from chainrule.compiler.formula import derivative, formula
from chainrule.compiler.formula.literal import LONGEST, Literal
from chainrule.compiler.formula.text import Writer
from chainrule.compiler.interpret import evaluate_nodes
from chainrule.compiler.ir import Graph, Node, constant, f, make
from chainrule.compiler.pipeline import Options, Request
from chainrule.compiler.rewrite import Level


def logistic(w: Node, b: Node, x: Node, y: Node) -> Node:
    z = f.contract(x, w, left="ij", right="j", out="i") + f.expand(b, shape=y.shape, axes=())
    p = 1.0 / (1.0 + f.exp(-z))
    return -f.sum(y * f.log(p) + (1.0 - y) * f.log(1.0 - p), axes=(0,))


def logistic_graph() -> Graph:
    return graph_of(logistic, w=(3,), b=(), x=(4, 3), y=(4,))


def test_the_steps_of_a_value_are_its_rewrites() -> None:
    steps = formula(graph_of(lambda x: f.log(1.0 + f.exp(x)), x=())).steps()
    assert [(s.phase, s.rule, s.before, s.after, s.level) for s in steps] == [
        ("stabilise", "log_one_plus", "log(1 + exp(x))", "log1p(exp(x))", Level.STABLE),
        ("stabilise", "log1p_exp", "log1p(exp(x))", "softplus(x)", Level.STABLE)]
    assert steps[1].why == "exp(x) overflows"
    assert [s.rule for s in steps[:1]] == ["log_one_plus"]
    assert steps[-1] == steps[1]


def test_what_is_not_allowed_is_not_among_the_steps() -> None:
    graph = graph_of(lambda x: f.log(1.0 + f.exp(x)), x=())
    assert not any(s.level is Level.STABLE for s in formula(graph, stabilise=False).steps())
    assert any(s.level is Level.REAL for s in formula(graph_of(lambda x: f.log(f.exp(x)), x=()), fastmath=True, stabilise=False).steps())


@pytest.mark.parametrize("name", ["w", "b"])
def test_the_steps_of_a_gradient_are_those_of_the_compiled_program(name: str) -> None:
    graph = logistic_graph()
    wrt = [n.param("name") for n in graph.inputs].index(name)
    *_, log = derive(graph, Request("gradient", (wrt,)), Options())
    steps = derivative(graph, name).steps()
    assert log
    assert [s.rule for s in steps if s.phase != "differentiate"] == [s.rule.name for s in log]


def test_derivative_rules_backward() -> None:
    steps = derivative(graph_of(lambda x: f.sum(f.exp(f.square(x)), axes=(0,)), x=(3,)), "x").steps()
    taken = [(s.rule, s.before, s.after) for s in steps if s.phase == "differentiate"]
    assert taken == [("derivative of sum", "D[sum(exp(x**2))] = 1", "D[exp(x**2)] += 1"),
                     ("derivative of exp", "D[exp(x**2)] = g", "D[x**2] += g*exp(x**2)"),
                     ("derivative of square", "D[x**2] = g", "D[x] += g*(2*x)")]


def test_names_are_not_those_of_arguments() -> None:
    steps = derivative(graph_of(lambda g, u: f.sum(f.exp(f.exp(f.cos(f.sin(g) * u))), axes=(0,)), g=(3,), u=(3,)), "g").steps()
    outer, inner = (s for s in steps if s.rule == "derivative of exp")
    assert (outer.before, outer.after) == ("D[exp(v)] = g1", "D[v] += g1*w")
    assert outer.where == (("v", "exp(cos(sin(g)*u))"), ("w", "exp(v)"))
    assert (inner.before, inner.after) == ("D[exp(cos(sin(g)*u))] = g1", "D[cos(sin(g)*u)] += g1*v")


def test_derivative_rules_forward() -> None:
    steps = derivative(graph_of(lambda x: f.sin(f.exp(x)), x=()), "x").steps()
    taken = [(s.rule, s.before, s.after) for s in steps if s.phase == "differentiate"]
    assert taken == [("derivative of exp", "d[exp(x)]", "1*exp(x)"), ("derivative of sin", "d[sin(exp(x))]", "d[exp(x)]*cos(exp(x))")]
    assert "d[u] is the derivative of u" in str(steps)


def test_chosen_slopes_are_told() -> None:
    (step,) = [s for s in derivative(graph_of(lambda x: f.abs(x), x=()), "x").steps() if s.phase == "differentiate"]
    assert step.condition == f.abs(constant(1.0, float)).op.kinks != ""


def test_every_further_name_differentiates_again() -> None:
    graph = graph_of(lambda x: f.exp(f.sin(x)), x=())
    once, twice = (sum(s.phase == "differentiate" for s in derivative(graph, *names).steps()) for names in ("x", ("x", "x")))
    assert once == 2
    assert twice > 2


def test_what_a_rule_does_on_its_own_is_not_a_step() -> None:
    def inverse(x: Node) -> Node:
        return f.inverse(x)

    (node,) = graph_of(inverse, x=(3, 3)).outputs
    log: list[Passed] = []
    with recording(log):
        vjp([node], [ones_like(node)], [node.inputs[0]])
        jvp([node], {node.inputs[0]: ones_like(node)})
    assert [(p.node, p.forward) for p in log] == [(node, False), (node, True)]
    vjp([node], [ones_like(node)], [node.inputs[0]])
    assert len(log) == 2


NOTATION: list[tuple[Callable[..., Node], str]] = [
    (lambda x, y: x - (y - x), "x - (y - x)"), (lambda x, y: x / (y * x), "x/(y*x)"), (lambda x, y: -(x + y), "-(x + y)"),
    (lambda x, y: f.pow(x + y, y), "(x + y)**y"), (lambda x, y: f.square(f.square(x)), "(x**2)**2"),
    (lambda x, y: f.where(f.lt(x, y), x, 0.5), "where(x < y, x, 1/2)"), (lambda x, y: f.sum(f.expand(x, shape=(4, 5), axes=()), axes=(1,)),
                                                                         "sum(x, axis=1)"),
]


@pytest.mark.parametrize(("function", "text"), NOTATION)
def test_nodes_are_written_as_they_stand(function: Callable[..., Node], text: str) -> None:
    (node,) = graph_of(function, x=(), y=()).outputs
    assert literal().best(node, {}) == text


def literal() -> Literal:
    return Literal(Writer(str, str, str))


def test_contractions_are_products_of_matrices_where_they_can_be() -> None:
    a, b = (make("input", shape=(3, 3), dtype=np.dtype(float), position=k, name=name) for k, name in enumerate("ab"))
    assert literal().best(f.contract(a, b, left="ij", right="jk", out="ik"), {}) == "a @ b"
    assert literal().best(f.contract(a, b, left="ji", right="kj", out="ik"), {}) == "a.T @ b.T"
    assert literal().best(f.contract(a, b, left="ij", right="ij", out="ij"), {}) == "einsum('ij,ij->ij', a, b)"


def test_operands_of_both_sides_get_names_when_they_are_long() -> None:
    graph = graph_of(lambda x, u: f.neg(f.neg(f.sin(f.cos(x) + f.exp(u) * f.tan(x)))), x=(), u=())
    (step,) = formula(graph).steps()
    assert (step.rule, step.before, step.after) == ("neg_neg", "-(-v)", "v")
    assert step.where == (("v", "sin(cos(x) + exp(u)*tan(x))"),)


def test_large_graphs_take_linear_time_and_short_texts() -> None:
    def nested(count: int) -> Graph:
        def function(x: Node) -> Node:
            for _ in range(count):
                x = f.log(1.0 + f.exp(x)) * f.sin(x)
            return x

        return graph_of(function, x=())

    started = time.perf_counter()
    steps = derivative(nested(2_000), "x").steps()
    text = str(steps)
    assert len(steps) > 10_000
    assert time.perf_counter() - started < 60
    assert f"and {len(steps) - 300} more steps" in text
    assert all(len(side) <= 2 * LONGEST for s in (*steps[:50], *steps[-50:]) for side in (s.before, s.after))


def test_both_renderings_say_what_is_in_the_steps() -> None:
    steps = derivative(logistic_graph(), "w", title="slope").steps()
    text, page = str(steps), steps._repr_html_()
    assert text.startswith(f"slope: {len(steps)} steps\nstabilise\n  ")
    phases = {(step.phase, step.aside) for step in steps if step.aside}
    assert page.count("<details>") == len(steps) + len(phases)  # what shows nothing to a reader is folded away
    assert len(phases) == text.count("whose sides are written alike") + text.count("that only move elements") == 3
    written = [step for step in steps if not step.aside]
    assert 0 < len(written) < len(steps)
    for step in steps:
        assert step.rule in text
        assert html.escape(step.before) in page
    for k, step in enumerate(written, 1):  # what is folded away is not counted
        assert f"\n  {k}. {step.rule}" in text
    assert page.count("<math") > page.count("<code>") > 0
    assert "<script" not in page


def test_what_an_exponent_is_shifted_by_has_a_name() -> None:
    graph = graph_of(lambda z: f.exp(z) / f.expand(f.sum(f.exp(z), axes=(0,)), shape=z.shape, axes=()), z=(3,))
    steps = formula(graph).steps()
    (step,) = [s for s in steps if s.rule == "softmax"]
    assert step.after == "exp(z - shift(max(z)))/sum(exp(z - shift(max(z))))"
    assert "stabilise: shift(u) is u where it is finite, else 0, and is held fixed" in str(steps)
    assert "shift(u)" not in str(derivative(logistic_graph(), "w").steps())


def test_steps_that_only_move_elements_are_folded_away() -> None:
    graph = graph_of(lambda x: f.sum(x, axes=(0,)) * f.exp(f.reshape(f.slice(x, start=(2,), step=(1,), shape=(1,)), shape=())), x=(5,))
    steps = derivative(graph, "x").steps()
    moved = [s.rule for s in steps if s.aside]
    assert "derivative of reshape" in moved
    assert not any("reshape" in text for s in steps if not s.aside for text in (s.rule, s.before, s.after))
    assert "that only move elements: " in str(steps)
    (taken,) = (s for s in steps if s.rule == "derivative of slice")
    assert (taken.before, taken.after) == ("D[x[2:3]] = g", "D[x] += place(g, [2:3])")


def test_series_are_steps_and_their_polynomials_are_folded_away() -> None:
    steps = derivative(graph_of(lambda x: (x - f.sin(x)) / (x * x * x), x=()), "x").steps()
    (series,) = (s for s in steps if s.rule == "series")
    assert series.before == "(x - sin(x))/(x**2*x)"
    assert series.note.startswith("1/6 - 1/120*t**2 + 1/5040*t**4 + ... where |t| < ")
    assert series.note.endswith(", t = x")
    shown = [s for s in steps if not s.aside]
    assert len(shown) < 20 < len(steps)
    assert not any("e-1" in s.before for s in shown if s.rule.startswith("derivative"))  # of coefficients


def test_what_one_step_says_the_next_does_not_repeat() -> None:
    steps = derivative(logistic_graph(), "w").steps()
    why = "    why the sign of a product is that of its factors"
    assert sum(s.why == why.split("why ")[1] for s in steps) > 1
    assert str(steps).count(why) == 1
    assert "stabilise: as for loss\n" in steps.text(("loss", formula(logistic_graph()).steps()))


INDICES: list[tuple[Callable[[Node], Node], str]] = [
    (lambda x: f.slice(x, start=(1, 0), step=(1, 2), shape=(3, 3)), "x[1:, ::2]"),
    (lambda x: f.slice(f.slice(x, start=(1, 1), step=(1, 2), shape=(3, 2)), start=(1, 1), step=(1, 1), shape=(2, 1)), "x[2:, 3:-2]"),
    (lambda x: f.reshape(f.slice(x, start=(3, 0), step=(1, 1), shape=(1, 6)), shape=(6,)), "x[-1]"),
    (lambda x: f.reshape(f.slice(x, start=(1, 4), step=(1, 1), shape=(1, 1)), shape=()), "x[1, 4]"),
    (lambda x: f.flip(x, axes=(0,)), "x[::-1]"), (lambda x: f.reshape(x, shape=(4, 1, 6)), "x[:, None]"),
    (lambda x: f.reshape(x, shape=(24,)), "reshape(x, (24,))"), (lambda x: f.expand(x, shape=(2, 4, 6), axes=(1, 2)), "x"),
    (lambda x: f.expand(x, shape=(4, 2, 6), axes=(0, 2)), "x[:, None]"),
    (lambda x: f.expand(f.sum(x, axes=(1,)), shape=(4, 6), axes=(0,)), "sum(x, axis=1)[:, None]"),
    (lambda x: f.expand(f.reshape(f.reshape(f.sum(x, axes=(1,)), shape=(4, 1)), shape=(4,)), shape=(4, 6), axes=(0,)),
     "sum(x, axis=1)[:, None]"),
    (lambda x: f.place(x, start=(1, 0), step=(1, 1), shape=(5, 6)), "place(x, [1:])"),
    (lambda x: make("iota", shape=(4, 6), dtype=np.dtype(np.int64), axis=0), "arange(4)[:, None]"),
    (lambda x: f.concatenate(f.reshape(f.sum(x, axes=(0, 1)), shape=(1,)), constant(0.0, float, (1,)), axis=0), "[sum(x), 0]"),
]


@pytest.mark.parametrize(("function", "text"), INDICES)
def test_movements_are_written_as_indices(function: Callable[[Node], Node], text: str) -> None:
    argument, x = make("input", shape=(4, 6), dtype=np.dtype(float), position=0, name="x"), np.arange(24.0).reshape(4, 6)
    node = function(argument)
    assert literal().best(node, {}) == text
    if node.op.name not in ("place", "concatenate"):
        (value,) = evaluate_nodes([node], {argument: x}, {})
        space = {"x": x, "sum": np.sum, "arange": np.arange, "reshape": np.reshape}
        assert np.array_equal(np.broadcast_to(eval(text, space), value.shape), value)


def test_lines_of_the_user_are_shown_and_stay_text() -> None:
    from chainrule import grad

    @grad
    def loss(x):  # type: ignore[no-untyped-def]
        return np.log(1 + np.exp(x))  # <script>alert(1)</script>

    steps = loss.derivative("x").steps()
    assert steps[0].source.endswith(": return np.log(1 + np.exp(x))  # <script>alert(1)</script>")
    assert "test_formula_steps.py:" in str(steps)
    assert "<script>" not in steps._repr_html_()
    assert "&lt;script&gt;" in steps._repr_html_()
