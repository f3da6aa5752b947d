"""Values and derivatives of single ops through the interpreter, for tests that compare them with something else."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.compiler import ops
from chainrule.compiler.differentiate import jvp, vjp
from chainrule.compiler.interpret import run
from chainrule.compiler.ir import Graph, Node, make
from chainrule.compiler.verify import verify

_ = ops  # the table is declared by importing it

Builder = Callable[..., Node]


def inputs_like(arrays: Sequence[Any], start: int = 0) -> list[Node]:
    """An input node for each array."""
    return [make("input", shape=np.shape(a), dtype=np.asarray(a).dtype, position=start + k, name=f"x{start + k}")
            for k, a in enumerate(arrays)]


def evaluate(inputs: Sequence[Node], outputs: Sequence[Node | None], arrays: Sequence[Any]) -> list[Any]:
    """The outputs' values, the graph verified; None stays None."""
    graph = Graph(tuple(inputs), tuple(n for n in outputs if n is not None))
    verify(graph)
    results = iter(run(graph, arrays))
    return [None if n is None else next(results) for n in outputs]


def value(build: Builder, *arrays: Any) -> Any:
    nodes = inputs_like(arrays)
    return evaluate(nodes, [build(*nodes)], arrays)[0]


def is_real(array: Any) -> bool:
    return bool(np.asarray(array).dtype.kind == "f")


def forward(build: Builder, arrays: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The jvp; tangents are for the floating arguments, in order."""
    nodes = inputs_like(arrays)
    seeds = inputs_like(tangents, len(nodes))
    real = [n for n, a in zip(nodes, arrays, strict=True) if is_real(a)]
    (dy,) = jvp([build(*nodes)], dict(zip(real, seeds, strict=True)))
    return evaluate([*nodes, *seeds], [dy], [*arrays, *tangents])[0]


def reverse(build: Builder, arrays: Sequence[Any], cotangent: Any) -> list[Any]:
    """The vjp with respect to the floating arguments."""
    nodes = inputs_like(arrays)
    (seed,) = inputs_like([cotangent], len(nodes))
    real = [n for n, a in zip(nodes, arrays, strict=True) if is_real(a)]
    return evaluate([*nodes, seed], vjp([build(*nodes)], [seed], real), [*arrays, cotangent])


def forward_over_reverse(build: Builder, arrays: Sequence[Any], cotangent: Any, tangents: Sequence[Any]) -> list[Any]:
    """Hessian-vector products of <cotangent, f>: the jvp of the vjp."""
    nodes = inputs_like(arrays)
    seed, *directions = inputs_like([cotangent, *tangents], len(nodes))
    real = [n for n, a in zip(nodes, arrays, strict=True) if is_real(a)]
    grads = vjp([build(*nodes)], [seed], real)
    linked = [g for g in grads if g is not None]
    moved = iter(jvp(linked, dict(zip(real, directions, strict=True))))
    return evaluate([*nodes, seed, *directions], [None if g is None else next(moved) for g in grads],
                    [*arrays, cotangent, *tangents])


def reverse_over_reverse(build: Builder, arrays: Sequence[Any], cotangent: Any, tangents: Sequence[Any]) -> list[Any]:
    """The same products in the other way: the vjp of the vjp."""
    nodes = inputs_like(arrays)
    seed, *directions = inputs_like([cotangent, *tangents], len(nodes))
    real = [n for n, a in zip(nodes, arrays, strict=True) if is_real(a)]
    grads = vjp([build(*nodes)], [seed], real)
    linked = [(g, d) for g, d in zip(grads, directions, strict=True) if g is not None]
    second = vjp([g for g, _ in linked], [d for _, d in linked], real)
    return evaluate([*nodes, seed, *directions], second, [*arrays, cotangent, *tangents])


def zeros_for_none(results: Sequence[Any], arrays: Sequence[Any]) -> list[Any]:
    """Structural zeros as arrays of zeros."""
    return [np.zeros_like(a) if r is None else r for r, a in zip(results, arrays, strict=True)]
