"""Compiled derivatives of random programs are those of the interpreter, for every request."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from programs import Program, programs

from chainrule.compiler.derivation import differentiate
from chainrule.compiler.interpret import run
from chainrule.compiler.ir import Graph, Node, f
from chainrule.compiler.pipeline import Options, Request, build

MATRICES = ("hessian", "jacobian_forward", "jacobian_reverse")
REQUESTS = ("gradient", "value_and_gradient", "vjp", "jvp", "hvp", *MATRICES)


def total(outputs: list[Node]) -> Node:
    """One scalar that depends on every floating output."""
    parts = [f.sum(n, axes=tuple(range(n.ndim))) if n.ndim else n for n in outputs]
    result = f.cast(parts[0], dtype="float64")
    for part in parts[1:]:
        result = result + f.cast(part, dtype="float64")
    return result


def tame(arrays: list[Any]) -> bool:
    return all(a.dtype.kind != "f" or bool(np.all(np.isfinite(a)) and np.all(np.abs(a) < 1e6)) for a in map(np.asarray, arrays))


def unusual(draw: Any, array: Any) -> Any:
    """The same values as an array of another make."""
    kind = draw(st.sampled_from(["same", "same", "read-only", "swapped", "unaligned", "list"]))
    if kind == "read-only":
        array = array.copy()
        array.flags.writeable = False
    elif kind == "swapped":
        array = array.astype(array.dtype.newbyteorder("S"))
    elif kind == "unaligned":
        memory = np.empty(array.nbytes + 1, np.uint8)[1:]
        moved = memory.view(array.dtype).reshape(array.shape) if array.size else array.copy()
        moved[...] = array
        array = moved
    elif kind == "list":
        array = array.tolist() if array.size else array
    return array


@pytest.mark.parametrize("kind", REQUESTS)
@given(program=programs(max_steps=8), data=st.data())
@settings(max_examples=settings().max_examples // 3)
def test_compiled_derivatives_agree_with_the_interpreter(kind: Any, program: Program, data: Any) -> None:
    graph = program.graph
    floating = [n for n in graph.outputs if n.dtype.kind == "f"]
    wrt = tuple(k for k, n in enumerate(graph.inputs) if n.dtype.kind == "f")
    assume(floating and wrt)
    if kind in MATRICES:  # how many elements the results of these have would differ between the unit vectors
        assume(not any(n.op.binds for n in graph.nodes()))
    if kind in ("gradient", "value_and_gradient", "hvp", "hessian"):
        binders = [n for n in graph.outputs if n.op.binds]
        assume(not binders)
        graph = graph.with_outputs([total(floating)])
    request = Request(kind, wrt)
    derivative = differentiate(graph, request)
    given_sizes = {n: np.shape(a) for n, a in zip(graph.inputs, program.arrays, strict=True)}
    random = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    further = []
    seeded = {"vjp": floating, "jvp": [graph.inputs[k] for k in wrt], "hvp": [graph.inputs[k] for k in wrt]}.get(kind, [])
    values = dict(zip(program.graph.outputs, program.expected, strict=True))
    for node, like in zip(derivative.inputs[len(graph.inputs):], seeded, strict=True):
        shape = given_sizes[like] if like in given_sizes else np.shape(values[like])
        further.append(np.asarray(random.normal(size=shape), node.dtype))
    arrays = [*program.arrays, *further]
    expected = run(derivative, arrays)
    assume(tame(expected) and tame(run(Graph(derivative.inputs, tuple(derivative.nodes())), arrays)))
    made = build(graph, request, Options(stabilise=False))
    results = made.program.run([unusual(data.draw, a) for a in arrays])
    single = any(n.dtype == np.float32 for n in derivative.nodes())
    for result, want, node in zip(results, expected, derivative.outputs, strict=True):
        assert result.shape == np.shape(want)
        assert result.dtype == node.dtype
        tolerance = 0 if node.dtype.kind != "f" else 2e-3 if single else 1e-8
        scale = max(1.0, float(np.max(np.abs(want), initial=0)))
        np.testing.assert_allclose(result, want, rtol=tolerance, atol=tolerance * scale,
                                   err_msg=f"{derivative}\n{made.simplified}\n{made.program.plan}")
