"""From a traced graph to something that runs: the one place that knows of the compiler's pipeline and its tiers."""
from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...compiler import interpret, pipeline
from ...compiler.errors import LoweringError, NotYetError
from ...compiler.ir import Graph
from ...compiler.pipeline import Options, Request
from ...compiler.provenance import at, user_site
from ...compiler.sizes import SizeExpr, evaluate
from ..threads import spread

__all__ = ["Execution", "Options", "Request", "execute"]


@dataclass(eq=False)
class Execution:
    """A program for one request, compiled or interpreted, with the stages that led to it."""

    traced: Graph
    differentiated: Graph
    simplified: Graph
    steps: tuple[Any, ...]
    program: pipeline.Program | None  # None: interpreted
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """The outputs for these inputs: arrays that share no memory with the inputs or each other."""
        if self.program is not None:
            return list(self.program.run(arrays, spread))
        return [np.array(a, order="C", copy=True) for a in interpret.run(self.simplified, arrays)]

    def source(self) -> str:
        """The generated code, readable.

        Raises:
            NotYetError: the program is interpreted, so there is none.
        """
        if self.program is None:
            raise NotYetError(f"this program is interpreted, so there is no generated source{at(user_site())}: unset CHAINRULE_TIER")
        return self.program.source()

    @property
    def kernels(self) -> int:
        """How many kernels the program has."""
        return len(self.program.plan.kernels) if self.program is not None else 0

    def temporaries(self) -> tuple[int, int]:
        """How many arrays live between kernels, and their bytes for the example's sizes."""
        if self.program is None:
            return 0, 0
        ends = {*self.program.graph.inputs, *self.program.graph.outputs}
        kept = [node for node in self.program.plan.buffers if node not in ends]
        return len(kept), sum(_elements(n.shape, self.simplified) * n.dtype.itemsize for n in kept)

    def flops(self) -> int:
        """An estimate of the arithmetic for the example's sizes, in additions."""
        total = 0.0
        for node in self.simplified.nodes():
            if node.op.kind in ("elementwise", "reduce", "contract", "opaque") and node.op.name not in ("cast", "stop_gradient"):
                work = node.inputs[0].shape if node.op.kind == "reduce" else node.shape
                count = float(_elements(work, self.simplified))
                if node.op.kind == "contract":
                    left, right, out = node.params
                    inner = [s for c, s in zip(left, node.inputs[0].shape, strict=True) if c in right and c not in out]
                    total += 2.0 * count * _elements(tuple(inner), self.simplified)
                else:
                    total += count * (node.op.cost if node.op.kind == "elementwise" else 1.0)
        return int(total)


def _elements(shape: tuple[Any, ...], graph: Graph) -> int:
    count = 1
    for size in shape:
        count *= evaluate(size, graph.hints) if isinstance(size, SizeExpr) else size
    return count


def interpreted_tier() -> bool:
    """Whether the environment asks for the interpreter."""
    return os.environ.get("CHAINRULE_TIER", "") == "interpret"


def execute(graph: Graph, request: Request, options: Options, name: str) -> Execution:
    """Derive and compile; interpret where that is asked for or the program cannot be compiled.

    Raises:
        DifferentiationError: the request does not fit the graph.
    """
    start = time.perf_counter()
    if not interpreted_tier():
        try:
            built = pipeline.build(graph, request, options)
        except LoweringError as error:
            warnings.warn(f"{name} cannot be compiled and is interpreted{at(user_site())}: {error}", RuntimeWarning, stacklevel=2)
        else:
            return Execution(graph, built.differentiated, built.simplified, built.steps, built.program, dict(built.seconds))
    differentiated, simplified, steps = pipeline.derive(graph, request, options)
    return Execution(graph, differentiated, simplified, steps, None, {"derive": time.perf_counter() - start})
