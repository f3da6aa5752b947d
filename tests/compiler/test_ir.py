"""The IR: identity, deep graphs in linear time and constant stack, rebuilding, and derivatives that stay small."""
from __future__ import annotations

import copy
import gc
import math
import pickle
import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest

from chainrule.compiler import ir
from chainrule.compiler.differentiate import jvp, vjp
from chainrule.compiler.errors import DTypeError, InternalError
from chainrule.compiler.interpret import run
from chainrule.compiler.ir import (
    Graph,
    Node,
    constant,
    execution_order,
    f,
    is_interned,
    make,
    rebuild,
    toposort,
    with_inputs,
)
from chainrule.compiler.sizes import symbol
from chainrule.compiler.text import parse
from chainrule.compiler.verify import verify

DEEP = 100_000
FLOAT = np.dtype(np.float64)


def variable(name: str = "x", shape: Any = (), dtype: Any = FLOAT, position: int = 0) -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=name)


# ---------------------------------------------------------------- identity
def test_equal_nodes_are_one_object() -> None:
    x = variable()
    assert f.sin(x) + 1.0 is f.sin(x) + 1.0
    assert f.sum(f.expand(x, shape=(3,), axes=()), axes=(0,)) is f.sum(f.expand(x, shape=(3,), axes=()), axes=(0,))
    assert x + 1.0 is not 1.0 + x
    assert variable("x") is not variable("y")
    assert is_interned(f.sin(x))


@pytest.mark.parametrize(("a", "b"), [
    (constant(0.0, "f8"), constant(-0.0, "f8")), (constant(1.0, "f8"), constant(1, "i8")),
    (constant(1, "i8"), constant(True, "?")),
    (constant(1.0, "f8"), constant(1.0, "f4")), (constant(1.0, "f8"), constant(1.0, "f8", (2,))),
])
def test_constants_of_other_bytes_or_types_stay_apart(a: Node, b: Node) -> None:
    assert a is not b


def test_constants_of_equal_bytes_are_one() -> None:
    assert constant(math.nan, "f8") is constant(float("nan"), "f8")
    assert constant(1, "f8") is constant(True, "f8")
    assert constant(2, np.longlong) is constant(2, np.int64)
    assert constant(2.5, np.dtype(">f8")) is constant(2.5, "<f8")
    assert constant(0.1, "f4").value == np.float32(0.1)
    assert variable().value is None


def test_only_supported_dtypes() -> None:
    with pytest.raises(DTypeError, match="complex128"):
        constant(1j, "c16")
    with pytest.raises(DTypeError, match="object"):
        constant(1, "O")


def test_a_node_needs_its_inputs_and_parameters() -> None:
    x = variable()
    with pytest.raises(InternalError, match="takes 2 inputs"):
        make("add", [x])
    with pytest.raises(InternalError, match="axes"):
        make("sum", [x])
    with pytest.raises(AttributeError, match="no op is named 'sine'"):
        f.sine(x)


def test_nodes_die_with_their_last_reference() -> None:
    x = variable("to be dropped")
    y = f.sin(x)
    watch = weakref.ref(y)
    del y
    gc.collect()
    assert watch() is None
    assert f.sin(x).op.name == "sin"


def test_copies_are_the_same_node() -> None:
    y = f.sin(variable())
    assert copy.copy(y) is y
    assert copy.deepcopy([y])[0] is y
    assert pickle.loads(pickle.dumps(y)) is y


def test_two_threads_make_one_node() -> None:
    made: list[list[Node]] = []

    def work() -> None:
        x = variable("shared", (4,))
        nodes = [x]
        for k in range(300):
            nodes.append(f.sin(nodes[-1]) * float(k))
        made.append(nodes)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(a is b for other in made[1:] for a, b in zip(made[0], other, strict=True))


# ---------------------------------------------------------------- rebuilding
def test_rebuilding_replaces_and_types_again() -> None:
    x, y = variable("x", (3,)), variable("y", (3,), position=1)
    program = f.sum(f.sin(x) * y, axes=(0,))
    (swapped,) = rebuild([program], {x: y})
    assert swapped is f.sum(f.sin(y) * y, axes=(0,))
    narrow = variable("x", (3,), np.float32)
    (cast,) = rebuild([f.sin(x)], {x: narrow})
    assert cast.dtype == np.float32
    assert rebuild([program], {program: x}) == [x]
    assert with_inputs(f.sin(x), (narrow,)) is f.sin(narrow)


def test_rebuilding_substitutes_sizes() -> None:
    n = symbol("n")
    x = variable("x", (n, 2))
    y = f.sum(f.reshape(x, shape=(2 * n,)) + constant(1.0, FLOAT, (2 * n,)), axes=(0,))
    (fixed,) = rebuild([y], {}, {"n": 5})
    graph = Graph(tuple(i for i in toposort([fixed]) if i.op.name == "input"), (fixed,))
    verify(graph)
    assert graph.symbols() == []
    assert run(graph, [np.ones((5, 2))])[0] == 20.0


def test_sizes_that_a_node_binds_come_first() -> None:
    x, u = variable("x", (4,)), symbol("u0")
    where = f.nonzero(f.gt(x, 0.0), count=u)
    ones = constant(1.0, FLOAT, (u,))
    outputs = [f.sum(ones, axes=(0,)), f.sum(f.gather(x, where, axes=(0,)) + ones, axes=(0,))]
    order = execution_order(outputs)
    assert order.index(where) < order.index(ones)
    assert [float(v) for v in run(Graph((x,), tuple(outputs)), [np.array([1.0, -1.0, 2.0, 0.0])])] == [2.0, 5.0]


# ---------------------------------------------------------------- depth
def chain(depth: int) -> tuple[Node, Node]:
    x = y = variable("x", (2,))
    for k in range(depth // 2):
        y = f.sin(y) * (1.0 + k % 7)
    return x, y


@pytest.mark.slow
def test_the_stack_is_never_as_deep_as_the_graph() -> None:
    """Neither in making, ordering, differentiating, rebuilding, printing, parsing, pickling, running nor forgetting."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400 + len(stack()))
    try:
        x, y = chain(DEEP)
        order = toposort([y])
        assert len(order) == DEEP + 1 + 7  # and the constants
        (dx,) = vjp([y], [x], [x])
        (dy,) = jvp([y], {x: x})
        assert dx is not None
        assert dy is not None
        graph = Graph((x,), (y, dx, dy))
        assert graph.nodes()[-1] in (dx, dy)
        other = variable("other", (2,))
        (moved,) = rebuild([y], {x: other})
        assert len(toposort([moved])) == len(order)
        primal = Graph((x,), (y,))
        assert parse(str(primal)).outputs[0] is y
        assert pickle.loads(pickle.dumps(primal)).outputs[0] is y
        verify(primal)
        assert np.isfinite(run(primal, [np.array([0.1, 0.2])])[0]).all()
        before = len(ir._table)
        del graph, primal, moved, other, order, x, y, dx, dy
        gc.collect()
        assert before - len(ir._table) > 3 * DEEP
    finally:
        sys.setrecursionlimit(limit)


def stack() -> list[Any]:
    frames, frame = [], sys._getframe()
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back  # type: ignore[assignment]
    return frames


@pytest.mark.parametrize("work", [
    lambda x, y: vjp([y], [x], [x]), lambda x, y: jvp([y], {x: x}), lambda x, y: rebuild([y], {x: f.exp(x)}),
    lambda x, y: toposort([y]), lambda x, y: str(Graph((x,), (y,))), lambda x, y: pickle.dumps(Graph((x,), (y,))),
], ids=["vjp", "jvp", "rebuild", "toposort", "text", "pickle"])
def test_work_grows_with_the_graph(work: Any) -> None:
    """Calls of functions, counted: twice the nodes are twice the calls."""
    counts = []
    for depth in (1000, 2000, 4000):
        x, y = chain(depth)
        counts.append(calls(lambda x=x, y=y: work(x, y)))
    first, second = counts[1] - counts[0], counts[2] - counts[1]
    assert second <= 2.2 * first + 50


def calls(function: Any) -> int:
    seen = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal seen
        seen += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return seen


# ---------------------------------------------------------------- size of derivatives
def test_a_nested_expression_has_a_small_derivative() -> None:
    """With e = sin(e) * e nested 256 times, which as a tree has more than 10**77 nodes."""
    x = e = variable()
    for _ in range(256):
        e = f.sin(e) * e
    assert len(toposort([e])) == 513
    one = constant(1.0, FLOAT)
    (reverse,) = vjp([e], [one], [x])
    (forward,) = jvp([e], {x: one})
    assert reverse is not None
    assert forward is not None
    sizes = len(toposort([reverse])), len(toposort([forward]))
    assert sizes == NESTED_SIZES
    values = run(Graph((x,), (reverse, forward)), [np.array(0.7)])
    expected, slope = 0.7, 1.0
    for _ in range(256):
        expected, slope = math.sin(expected) * expected, slope * (math.cos(expected) * expected + math.sin(expected))
    np.testing.assert_allclose(values, slope, rtol=1e-10)


NESTED_SIZES = (1793, 1793)


def test_the_gradient_is_a_small_multiple_of_the_function() -> None:
    """A loss of many arguments: one gradient costs little more than the value, however many arguments there are."""
    xs = [variable(f"x{k}", position=k) for k in range(200)]
    loss = xs[0]
    for x in xs[1:]:
        loss = f.tanh(loss * x + 1.0)
    gradient = vjp([loss], [constant(1.0, FLOAT)], xs)
    nodes = len(toposort([loss]))
    assert len(toposort([g for g in gradient if g is not None])) < 4 * nodes


def test_a_derivative_that_is_not_asked_for_is_not_built() -> None:
    x, y = variable("x"), variable("y", position=1)
    shared = f.sin(x) * f.exp(y)
    (dx,) = vjp([shared], [constant(1.0, FLOAT)], [x])
    assert dx is not None
    assert not any(n is f.sin(x) for n in toposort([dx]))  # only the other factor is needed


def test_an_input_that_is_an_intermediate_value_gets_its_share() -> None:
    x = variable()
    h = f.square(x)
    y = h * x
    dh, dx = vjp([y], [constant(1.0, FLOAT)], [h, x])
    assert dh is not None
    assert dx is not None
    assert [float(v) for v in run(Graph((x,), (dh, dx)), [np.array(3.0)])] == [3.0, 27.0]
