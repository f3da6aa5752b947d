"""The engine: what it visits, what it logs, where it stops; patterns; rules on graphs as they come from programs."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from chainrule.compiler.differentiate import ones_like, vjp
from chainrule.compiler.interpret import evaluate_nodes
from chainrule.compiler.ir import Graph, Node, constant, current, f, make, toposort
from chainrule.compiler.provenance import Site
from chainrule.compiler.rewrite import Level, RewriteCycleError, Rewriter, RuleSet, rule, simplify
from chainrule.compiler.rewrite.pattern import Constant, Match, Variable, build, compile_pattern, op
from chainrule.compiler.rewrite.rules import ALL_RULES

X, Y, C = Variable("X"), Variable("Y"), Constant("C")


def argument(name: str = "x", shape: tuple[int, ...] = (), dtype: str = "float64") -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=ord(name) - ord("x"), name=name)


x, y, z = argument("x"), argument("y"), argument("z")


# ------------------------------------------------------------------------------------------------ patterns
def matches(pattern: object, node: Node) -> list[Match]:
    return [m for v in compile_pattern(pattern) if (m := v.match(node)) is not None]  # type: ignore[arg-type]


def test_commutative_operands_match_in_either_order() -> None:
    for node in (f.log(1.0 + f.exp(x)), f.log(f.exp(x) + 1.0)):
        (found,) = matches(op.log(1 + op.exp(X)), node)
        assert found.X is x


def test_a_repeated_variable_is_one_node() -> None:
    assert matches(X - X, x - x)
    assert not matches(X - X, x - y)


def test_a_literal_is_told_by_its_bits() -> None:
    assert matches(X - 0.0, x - 0.0)
    assert not matches(X - 0.0, x - (-0.0))
    assert not matches(X * 0.5, f.mul(argument("x", (), "int64"), constant(0, "int64")))


@pytest.mark.parametrize("shape", [(), (3,), (2, 0)])
def test_constants_match_in_every_shape(shape: tuple[int, ...]) -> None:
    assert matches(X + C, argument("x", shape) + 2.5)


def test_parameters_are_bound_and_compared() -> None:
    m = argument("x", (2, 3))
    from chainrule.compiler.rewrite.rules.variables import AXES

    (found,) = matches(op.sum(X, axes=AXES), f.sum(m, axes=(1,)))
    assert found.AXES == (1,)
    assert not matches(op.sum(X, axes=()), f.sum(m, axes=(1,)))


def test_parameters_are_those_of_an_op_below_a_movement() -> None:
    from chainrule.compiler.rewrite.rules.variables import DTYPE

    row = f.expand(f.cast(argument("x", (3,)), dtype="float32"), shape=(2, 3), axes=(1,))
    (found,) = matches(op.neg(op.cast(X, dtype=DTYPE)), -row)
    assert found.DTYPE == "float32"


def test_an_op_is_seen_through_what_moves_its_result() -> None:
    row, column = argument("x", (3,)), argument("y", (2,))
    left = f.expand(f.exp(row), shape=(2, 3), axes=(1,))
    right = f.expand(f.exp(column), shape=(2, 3), axes=(0,))
    found = matches(op.log(op.exp(X) + op.exp(Y)), f.log(left + right))[0]
    assert found.X is f.expand(row, shape=(2, 3), axes=(1,))


def test_a_pattern_prints_as_a_formula() -> None:
    assert str(op.log(1 + op.exp(-X)) - C * (X + Y) ** 2) == "log(1 + exp(-X)) - c*(X + Y)**2"


def test_building_gives_the_aval_of_the_neighbour() -> None:
    m = argument("x", (2, 3), "float32")
    made = build(X * 2.0 + 1.0, Match(X=m, WHOLE=m))
    assert (made.shape, made.dtype) == ((2, 3), np.dtype("float32"))


# ------------------------------------------------------------------------------------------------ the engine
def test_each_node_is_visited_once() -> None:
    e = x
    for _ in range(1000):
        e = f.sin(e) * e
    rewriter = Rewriter(RuleSet(ALL_RULES))
    assert rewriter.run([e]) == [e]
    assert rewriter.visits == len(toposort([e]))
    assert not rewriter.log


def test_steps_grow_with_the_graph_and_no_faster() -> None:
    def steps(size: int) -> tuple[int, int]:
        e = x
        for _ in range(size):
            e = f.neg(f.neg(f.sin(e) * 1.0))
        rewriter = Rewriter(RuleSet(ALL_RULES))
        rewriter.run([e])
        return rewriter.visits, len(rewriter.log)

    (few, little), (many, much) = steps(100), steps(1000)
    assert many <= 10 * few
    assert much <= 10 * little


def test_a_graph_of_100_000_nodes() -> None:
    e = x
    for _ in range(50_000):
        e = f.sin(e) * e
    rewriter = Rewriter(RuleSet(ALL_RULES))
    assert rewriter.run([e]) == [e]
    assert rewriter.visits == 100_001


def test_rules_are_looked_up_by_the_ops_below() -> None:
    rules = RuleSet(ALL_RULES)
    assert rules.candidates(f.sin(x)) == ()
    assert len(rules.candidates(f.sin(x) * y)) < len(ALL_RULES) / 10


def test_the_log_says_what_where_and_in_which_order() -> None:
    site = Site("model.py", 12)
    current.sites = frozenset([site])
    try:
        inner = f.neg(f.neg(argument("x", (5,))))
        program = inner * 1.0
    finally:
        current.sites = frozenset()
    (result,), log = simplify([program])
    assert result is argument("x", (5,))
    assert [step.rule.name for step in log] == ["neg_neg", "mul_one"]
    assert log[0].before is inner
    assert log[0].after is result
    assert site in log[0].sites
    assert "neg_neg" in str(log[0])


def test_what_a_rule_makes_is_attributed_to_the_line_of_what_it_replaced() -> None:
    site = Site("model.py", 31)
    current.sites = frozenset([site])
    try:
        program = f.log(1.0 + f.exp(argument("x", (6,))))
    finally:
        current.sites = frozenset()
    (result,), _ = simplify([program])
    assert result.op.name == "softplus"
    assert result.sites == {site}


def test_a_cycle_is_reported_with_the_last_steps() -> None:
    there = rule("there", op.sin(X), op.cos(X), Level.REAL)
    back = rule("back", op.cos(X), op.sin(X), Level.REAL)
    with pytest.raises(RewriteCycleError, match=r"comes back(.|\n)*there(.|\n)*back"):
        Rewriter(RuleSet([there, back])).run([f.sin(x)])


def test_endless_growth_is_reported() -> None:
    grow = rule("grow", op.sin(X), op.sin(X + 1), Level.REAL)
    with pytest.raises(RewriteCycleError, match=r"does not come to an end(.|\n)*grow"):
        Rewriter(RuleSet([grow])).run([f.sin(x)])


def test_a_rule_that_changes_the_type_is_an_error() -> None:
    wrong = rule("wrong", op.sin(X), op.sum(X, axes=(0,)), Level.REAL)
    with pytest.raises(Exception, match="wrong"):
        Rewriter(RuleSet([wrong])).run([f.sin(argument("x", (3,)))])


def test_operands_in_another_order_are_one_value() -> None:
    (result,), _ = simplify([f.sin(x * y) - f.sin(y * x)], fastmath=True)
    assert result.op.name == "const"


def test_levels_are_kept_apart() -> None:
    over_reals, unstable, exact = x + 0.0, f.log(1.0 + f.exp(x)), x * 1.0
    for program, level in ((over_reals, {"fastmath": True}), (unstable, {"stabilise": True}), (exact, {})):
        options = {"levels": (Level.EXACT,), "stabilise": False, **level}
        assert simplify([program], **options)[0] != [program]  # type: ignore[arg-type]
        assert level == {} or simplify([program], (Level.EXACT,), stabilise=False)[0] == [program]


def test_a_graph_or_its_outputs() -> None:
    graph = Graph((x,), (x * 1.0, f.neg(f.neg(x))))
    assert simplify(graph)[0] == [x, x]


# ------------------------------------------------------------------------------------------------ random programs
UNARY = ("exp", "log", "neg", "square", "sqrt", "reciprocal", "sin", "cos", "tanh", "sigmoid", "log1p", "expm1", "abs",
         "sinh", "cosh")
BINARY = ("add", "sub", "mul", "div")


@st.composite
def programs(draw: st.DrawFn) -> Node:
    pool = [x, y, *(constant(c, "float64") for c in (1.0, 2.0, -0.5, 0.0))]
    for _ in range(draw(st.integers(1, 12))):
        if draw(st.booleans()):
            pool.append(getattr(f, draw(st.sampled_from(UNARY)))(draw(st.sampled_from(pool))))
        else:
            left, right = draw(st.sampled_from(pool[-5:])), draw(st.sampled_from(pool))
            pool.append(getattr(f, draw(st.sampled_from(BINARY)))(left, right))
    return pool[-1]


@given(programs(), st.booleans())
def test_simplified_once_is_simplified(program: Node, fastmath: bool) -> None:
    once, _ = simplify([program], fastmath=fastmath)
    again, log = simplify(once, fastmath=fastmath)
    assert again == once, [str(step) for step in log]


@given(programs(), st.floats(-3, 3), st.floats(-3, 3))
def test_exact_rules_keep_every_bit(program: Node, a: float, b: float) -> None:
    (result,), _ = simplify([program], (Level.EXACT,), stabilise=False)
    old, new = evaluate_nodes([program, result], {x: np.float64(a), y: np.float64(b)}, {})
    assert np.isnan(old) == np.isnan(new)
    assert np.isnan(old) or np.float64(old).tobytes() == np.float64(new).tobytes()


@given(programs())
def test_gradients_simplify(program: Node) -> None:
    (result,), _ = simplify([program])
    gradients = [g for g in vjp([result], [ones_like(result)], [x, y]) if g is not None]
    simplified, _ = simplify(gradients)
    assert len(toposort(simplified)) <= 3 * len(toposort(gradients)) + 10
