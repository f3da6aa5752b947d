"""No stage of a compile grows faster than its program by more than a logarithm, counted in calls of functions."""
from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tracing import traced

from chainrule.compiler.assemble import planned
from chainrule.compiler.ir import Graph
from chainrule.compiler.pipeline import Options, Request, build, derive
from chainrule.compiler.stages import Clock, ticking

GRADIENT = Request("value_and_gradient", (0,))


def nested(depth: int) -> Callable[[Any], Any]:
    """`e = sin(e) * e`, whose derivative written as a tree has 2 ** depth terms."""
    def function(x: Any) -> Any:
        for _ in range(depth):
            x = np.sin(x) * x
        return x

    return function


def unrolled(steps: int) -> Callable[[Any], Any]:
    """A recurrence of four operations a step, as a Python loop leaves it behind."""
    def function(x: Any) -> Any:
        carry = x
        for _ in range(steps):
            carry = carry * 0.99 + x * np.tanh(carry)
        return carry

    return function


def plan(graph: Graph, clock: Clock) -> None:
    with ticking(clock):
        planned(derive(graph, GRADIENT, Options())[1])


def compile_all(graph: Graph, clock: Clock) -> None:
    build(graph, GRADIENT, clock=clock)


def calls_by_stage(graph: Graph, work: Callable[[Graph, Clock], None]) -> Counter[str]:
    """How many functions, of Python and of C, each stage calls."""
    counts: Counter[str] = Counter()
    clock = Clock()

    def count(frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            counts[clock.running] += 1

    sys.setprofile(count)
    try:
        work(graph, clock)
    finally:
        sys.setprofile(None)
    return counts


@pytest.mark.parametrize(("program", "sizes", "work", "stages"), [
    (nested, (64, 128, 256), compile_all,
     ("stabilise", "differentiate", "simplify", "schedule", "lower", "fuse", "emit", "compile")),
    (unrolled, (400, 800, 1600), plan,  # below, one kernel is enough; that dividing begins is no growth
     ("stabilise", "differentiate", "simplify", "schedule", "lower", "fuse")),
], ids=["nested", "unrolled"])
def test_every_stage_grows_as_its_program_does(
    monkeypatch: pytest.MonkeyPatch, program: Callable[[int], Any], sizes: tuple[int, ...], work: Any, stages: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", "0")
    graphs = [traced(program(size), 0.5)[0] for size in (sizes[0], *sizes)]
    _, small, medium, large = (calls_by_stage(graph, work) for graph in graphs)  # the first one imports and fills caches
    growth = {name: (large[name] - medium[name]) / max(1, medium[name] - small[name]) for name in stages}
    assert set(stages) <= large.keys()
    # twice the size: 2 where the time is linear, 4 where it is quadratic
    assert {name: round(factor, 2) for name, factor in growth.items() if factor > 2.6} == {}
