"""The verifier refuses every kind of broken graph, and only those."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chainrule.compiler import ir, sizes
from chainrule.compiler.errors import InternalError
from chainrule.compiler.ir import Graph, Node, constant, f, make
from chainrule.compiler.op import get
from chainrule.compiler.sizes import Guard, SizeContext, symbol
from chainrule.compiler.verify import check, problems, verify

N, FLOAT = symbol("n"), np.dtype(np.float64)


def variable(shape: Any = (N,), position: int = 0, dtype: Any = FLOAT) -> Node:
    return make("input", shape=shape, dtype=dtype, position=position, name=f"x{position}")


def forged(op: str, inputs: tuple[Node, ...], params: tuple[Any, ...] = (), shape: Any = (N,),
           dtype: Any = FLOAT) -> Node:
    """A node that no rule was asked about."""
    return ir._intern(get(op), inputs, params, shape, np.dtype(dtype))


X = variable()
M = symbol("m")
STRAY = object.__new__(Node)
STRAY.op, STRAY.inputs, STRAY.params, STRAY.shape, STRAY.dtype = get("sin"), (X,), (), (N,), FLOAT
STRAY.sites, STRAY.serial = frozenset(), 0


def of(*outputs: Node, **fields: Any) -> Graph:
    return Graph(fields.pop("inputs", (X,)), outputs, **fields)


@pytest.mark.parametrize(("graph", "message"), [
    (of(forged("sin", (X,), shape=(N + 1,))), r"the op gives float64\[n\]"),
    (of(forged("sin", (X,), dtype=np.float32)), r"the op gives float64\[n\]"),
    (of(forged("sin", (X, X))), "it has 2 inputs, the op takes 1"),
    (of(forged("sum", (X,), ())), "it has 0 parameters"),
    (of(forged("sum", (X,), ((3,),), shape=())), "the op refuses its inputs"),
    (of(forged("and_", (X, X))), "the op takes int, bool"),
    (of(forged("const", (), (b"abc",))), "its value has 3 bytes"),
    (of(forged("const", (), (bytes(8),), shape=(-2,))), "negative size"),
    (of(forged("const", (), (bytes(8),), shape=(np.int64(9173),))), "of type int64"),
    (of(forged("iota", (), (1,))), "it has no axis 1"),
    (of(STRAY), "not interned"),
    (of(variable(position=1)), "is no input of the graph"),
    (of(X, inputs=(X, X)), "listed twice"),
    (of(X, inputs=(X, f.sin(X))), "is no `input` node"),
    (of(variable(position=-1), inputs=(variable(position=-1),)), "placeholder"),
    (of(constant(1.0, "f8", (M,))), "binds m"),
    (of(make("size", shape=(), dtype=np.dtype(np.int64), size=M)), "binds m"),
    (of(variable((2 * N * M,)), inputs=(variable((2 * N * M,)),)), "binds m, n"),
    (of(X, guards=(Guard("<", N, 3),), hints={"n": 5}), "do not satisfy the guard n < 3"),
])
def test_broken_graphs(graph: Graph, message: str) -> None:
    with pytest.raises(InternalError, match=message) as refused:
        verify(graph, after="a test")
    assert "invalid graph after a test" in str(refused.value)
    assert "graph(%0" in str(refused.value) or "cannot be printed" in str(refused.value)


def test_sound_graphs() -> None:
    half = variable((2 * N,))
    assert list(problems(Graph((half,), (f.reshape(half, shape=(2, N)),)))) == []
    mask = variable((N,), dtype=np.dtype(bool))
    where = f.nonzero(mask, count=symbol("u0"))
    assert list(problems(Graph((mask,), (where, constant(1.0, "f8", (symbol("u0"),)))))) == []
    assert list(problems(Graph((), (constant(1.0, "f8"),)))) == []


def test_a_finished_graph_needs_no_context() -> None:
    """Two sizes that only a trace knows to be equal are different in a graph that is handed on."""
    trace = SizeContext()
    a, b = trace.fresh(4), trace.fresh(4)
    x, y = variable((a,)), variable((b,), 1)
    sizes.active.context = trace
    try:
        total = x + y
        with pytest.raises(InternalError, match="shapes"):
            verify(Graph((x, y), (total,)))
        assert sizes.active.context is trace
    finally:
        sizes.active.context = None
    inputs = ir.rebuild([x, y, total], {}, {name: trace.resolve(symbol(name)) for name in trace.hints})
    verify(Graph(tuple(inputs[:2]), (inputs[2],), tuple(trace.guards_left()), trace.hints))


def test_the_check_between_passes_is_switched_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = of(STRAY)
    monkeypatch.setenv("CHAINRULE_VERIFY", "0")
    assert check(broken) is broken
    monkeypatch.setenv("CHAINRULE_VERIFY", "1")
    with pytest.raises(InternalError):
        check(broken)
