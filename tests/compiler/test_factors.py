"""Constant factors out of sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from chainrule.compiler import interpret
from chainrule.compiler.derivation import derive
from chainrule.compiler.ir import Graph, Node, constant, f, make, toposort
from chainrule.compiler.pipeline import Options, Request
from chainrule.compiler.rewrite import factors_out
from chainrule.compiler.sizes import symbol

N, M = symbol("s0"), symbol("s1")


def variable(position: int, *shape: Any, dtype: Any = np.float64) -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=f"x{position}")


X, Y = variable(0, N, M), variable(1, N, M)
W = variable(1, N)
TEN = constant(0.1, np.float64, (N, M))


def multiplications(outputs: Sequence[Node]) -> list[int]:
    """The ranks at which constants are multiplied, or signs changed."""
    return sorted(n.ndim for n in toposort(outputs) if n.op.name == "neg"
                  or (n.op.name == "mul" and any(i.op.name == "const" for i in n.inputs)))


MOVED = {  # name: (value, factors before, factors after)
    "factor": (f.sum(X * 3.0, axes=(0, 1)), [2], [0]),
    "sign": (f.sum(f.neg(f.exp(X)), axes=(1,)), [2], [1]),
    "no factor is left": (f.sum(f.neg(X * Y) * -1.0, axes=(1,)), [2, 2], []),
    "of both": (f.sum((X * 2.0) * (Y * 3.0), axes=(0,)), [2, 2], [1]),
    "square": (f.sum((X * 2.0) * (X * 2.0), axes=(0,)), [2], [1]),
    "numerator": (f.sum(X * 4.0 / (Y + 1.0), axes=(0,)), [2], [1]),
    "selected": (f.sum(f.where(f.gt(X, Y), X * 2.0, constant(0, np.float64, (N, M))), axes=(0,)), [2], [1]),
    "repeated": (f.sum(f.expand(W * 5.0, shape=(N, M), axes=(0,)) * X, axes=(1,)), [1], [1]),
    "moved": (f.sum(f.permute(X * 2.0, order=(1, 0)), axes=(0,)), [2], [1]),
    "one after another": (
        f.exp(f.sum(f.expand(f.sum(X * 2.0, axes=(1,)) * 4.0, shape=(N, M), axes=(0,)) * Y, axes=(0, 1))), [1, 2], [0, 1]),
}
STAY = {
    "no sum": X * 2.0,
    "denominator": f.sum(Y / (X * 2.0), axes=(0,)),
    "function": f.sum(f.exp(X * 2.0), axes=(0,)),
    "difference": f.sum(X * 2.0 - Y, axes=(0,)),
    "greatest": f.max(X * 2.0, axes=(0,)),
    "used apart": f.expand(f.sum(X * 2.0, axes=(1,)), shape=(N, M), axes=(0,)) + X * 2.0,
    "selected beside others": f.sum(f.where(f.gt(X, Y), X * 2.0, Y), axes=(0,)),
    "of the mask": f.sum(f.where(f.gt(X * 2.0, Y), Y, constant(0, np.float64, (N, M))), axes=(0,)),
    "large": f.sum(X * 1e300, axes=(0,)),
    "inexact product": f.sum((X * TEN) * 3.0 * TEN, axes=(0,)),
    "whole numbers": f.sum(variable(0, N, M, dtype=np.int64) * constant(2, np.int64, (N, M)), axes=(0,)),
}


@pytest.mark.parametrize("name", MOVED)
def test_factors_are_multiplied_with_sums(name: str) -> None:
    value, before, after = MOVED[name]
    (made,) = factors_out([value])
    assert (multiplications([value]), multiplications([made])) == (before, after)
    inputs = sorted((n for n in toposort([value]) if n.op.name == "input"), key=lambda n: n.param("position"))
    arrays = [np.random.default_rng(k).uniform(0.5, 2, (4, 3) if n.ndim == 2 else 4) for k, n in enumerate(inputs)]
    (old,), (new,) = (interpret.run(Graph(tuple(inputs), (v,), (), {}), arrays) for v in (value, made))
    np.testing.assert_allclose(new, old, rtol=1e-14)


@pytest.mark.parametrize("name", STAY)
def test_others_stay(name: str) -> None:
    assert len(multiplications(factors_out([STAY[name]]))) == len(multiplications([STAY[name]]))
    if name != "inexact product":
        assert factors_out([STAY[name]]) == [STAY[name]]


def test_factors_are_exact_in_their_type() -> None:
    x = variable(0, N, M, dtype=np.float32)
    third = f.sum((x * (1 + 2.0**-20)) * (1 + 2.0**-20), axes=(0,))  # exact in float64 only
    assert multiplications(factors_out([third])) == [1, 2]


def test_only_where_rounding_may_change() -> None:
    graph = Graph((X,), (f.sum(f.square(X) * 3.0, axes=(0, 1)),), (), {})
    for rounding in (False, True):
        made = derive(graph, Request("value"), Options(rounding=rounding))[1]
        assert multiplications(made.outputs) == ([0] if rounding else [2])
