"""Transcendental functions of recorded operations, with the same bits in the interpreter and in compiled programs.

A structure that repeats changes from the one to the other, and that must not show in a value. Arithmetic is the same everywhere.
Transcendental functions are polynomials of our own in compiled code, within a unit or two in the last place of NumPy's: so the
interpreter calls them, too, each as a small compiled program that is kept on disk. Those of float32 are computed in float64
and rounded once, in both, which gives what torch prints.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from ...compiler import interpret
from ...compiler.ir import Node, f, make, toposort, with_inputs
from ...compiler.op import Op

__all__ = ["evaluation_of", "interpreted_only", "rounded_once"]

CORRECTLY_ROUNDED = 0.5  # units in the last place


def interpreted_only() -> bool:
    """Whether the environment forbids compiled code."""
    return os.environ.get("CHAINRULE_TIER", "") == "interpret"


def evaluation_of(op: Op) -> Callable[..., Any]:
    """`(*arrays, **params) -> array` of an op: NumPy's, where compiled code gives the same bits, else compiled."""
    return _polynomial(op) if _is_approximate(op) and not interpreted_only() else interpret.function_of(op)


@cache
def _is_approximate(op: Op) -> bool:
    """Whether compiled code may round the op otherwise than NumPy."""
    spelled = "" if op.lowering is None else op.lowering.real
    if op.kind != "elementwise" or not spelled.startswith("math "):
        return False
    from ...compiler.vecmath import FUNCTIONS

    function = FUNCTIONS[spelled.removeprefix("math ")]
    return max(function.ulp64, function.ulp32) > CORRECTLY_ROUNDED


@cache
def _polynomial(op: Op) -> Callable[..., Any]:
    usual = interpret.function_of(op)

    def evaluate(*arrays: Any, **params: Any) -> Any:
        shape, dtype = np.shape(arrays[0]), np.asarray(arrays[0]).dtype
        flat = [np.ascontiguousarray(a, np.float64).reshape(-1) for a in arrays]
        program = _program(op, tuple(params.items())) if dtype.char in "fd" and flat[0].size else None
        if program is None:
            return usual(*arrays, **params)
        if flat[0].size == 1:  # an axis of one element is another kind of axis
            return program(*[np.repeat(a, 2) for a in flat])[:1].reshape(shape).astype(dtype)
        return program(*flat).reshape(shape).astype(dtype, copy=False)

    return evaluate


def rounded_once(outputs: Sequence[Node]) -> list[Node]:
    """The same nodes with the functions of float32 computed in float64."""
    done: dict[Node, Node] = {}
    for node in toposort(outputs):
        inputs = tuple([done[i] for i in node.inputs])
        if node.dtype == np.float32 and _is_approximate(node.op):
            wide = [f.cast(i, dtype="float64") for i in inputs]
            done[node] = f.cast(make(node.op, wide, **node.named_params), dtype="float32")
        else:
            done[node] = node if inputs == node.inputs else with_inputs(node, inputs)
    return [done[node] for node in outputs]


@cache
def _program(op: Op, params: tuple[tuple[str, Any], ...]) -> Callable[..., Any] | None:
    """The compiled function of float64 vectors; None where it cannot be compiled."""
    from ...compiler import pipeline
    from ...compiler.entry_spec import ArrayArgument, EntrySpec
    from ...compiler.errors import LoweringError
    from ...compiler.ir import Graph
    from ...compiler.sizes import symbol
    from .compiled import OPTIONS

    count = op.arity or 1
    inputs = tuple([make("input", shape=(symbol("s0"),), dtype=np.dtype(np.float64), position=k, name=f"x{k}") for k in range(count)])
    graph = Graph(inputs, (make(op, inputs, **dict(params)),), (), {"s0": 2})
    spec = EntrySpec(tuple(map(ArrayArgument, range(count))), 0)
    try:
        program = pipeline.build(graph, pipeline.Request("value"), OPTIONS, spec).program
    except LoweringError:
        return None

    def ordinary(*arrays: Any) -> Any:
        return program.run(arrays)[0]

    return ordinary if program.entry is None else program.entry(ordinary, op.name)
