"""From a traced graph to something that runs: the one place that knows of the compiler's pipeline and its tiers."""
from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler import interpret, pipeline
from ...compiler.entry_spec import EntrySpec
from ...compiler.errors import ArgumentError, LoweringError, NotYetError
from ...compiler.ir import Graph
from ...compiler.pipeline import Options, Request
from ...compiler.program import written
from ...compiler.promises import broken
from ...compiler.provenance import at, user_site
from ...compiler.record import KernelRecord
from ...compiler.sizes import SizeExpr, evaluate
from ...compiler.stages import Clock, ticking
from ..progress import shown

if TYPE_CHECKING:
    from ...compiler.rewrite import Step

__all__ = ["Execution", "Options", "Request", "execute"]


class Execution:
    """A program for one request, compiled or interpreted, with the stages that led to it.

    Attributes:
        program: what runs; None: it is interpreted.
        built: the compiled program with its stages, which are derived when somebody looks at them.
        seconds: by stage.
    """

    def __init__(self, built: pipeline.Built | None, derived: pipeline.Derived | None, seconds: dict[str, float]) -> None:
        self.built, self._derived, self.seconds = built, derived, seconds
        self.program = built.program if built is not None else None

    @property
    def differentiated(self) -> Graph:
        """The graph that computes what was requested."""
        if self.built is not None:
            return self.built.differentiated
        assert self._derived is not None
        return self._derived[0]

    @property
    def simplified(self) -> Graph:
        """The graph that runs."""
        if self.built is not None:
            return self.built.simplified
        assert self._derived is not None
        return self._derived[1]

    @property
    def rewrites(self) -> Sequence[Step]:
        """The rewrites that led to it."""
        if self.built is not None:
            return self.built.steps
        assert self._derived is not None
        return self._derived[2]

    def run(self, arrays: Sequence[Any], out: Sequence[Any] | None = None) -> list[Any]:
        """The outputs for these inputs: arrays that share no memory with the inputs or each other.

        Args:
            out: an array of the right shape and dtype, or None, for each output, which is written into it.
        """
        if self.program is not None:
            return self.program.run(arrays, out)
        for node, array in zip(self.simplified.inputs, arrays, strict=True):
            found = broken(node.param("promise"), array)
            if found is not None:
                raise ArgumentError(f"{node.param('name')} was promised to be {found[0]}, but {found[1]} is not{at(user_site())}: "
                                    "call with other numbers, or take the promise back")
        results = [np.array(a, order="C", copy=True) for a in interpret.run(self.simplified, arrays)]
        return results if out is None else written(results, out)

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
        """How many kernels the program has, row blocks being one."""
        steps = self.program.record.steps if self.program is not None else ()
        return sum(isinstance(step, KernelRecord) and not step.otherwise for step in steps)

    def temporaries(self, hints: Mapping[str, int]) -> tuple[int, int]:
        """How many arrays live between kernels, and their bytes for the example's sizes."""
        if self.program is None:
            return 0, 0
        kept = [b for b in self.program.record.buffers if b.name in set(self.program.temporaries)]
        return len(kept), sum(_elements(b.shape, hints) * b.dtype.itemsize for b in kept)

    def output_bytes(self, sizes: Mapping[str, int]) -> int:
        """What the outputs take."""
        if self.program is None:
            return sum(_elements(n.shape, sizes) * n.dtype.itemsize for n in self.simplified.outputs)
        outputs = [self.program.record.buffers[slot] for slot in self.program.record.outputs]
        return sum(_elements(b.shape, sizes) * b.dtype.itemsize for b in outputs)

    def boundaries(self) -> list[str]:
        """Why the steps of the program are not one."""
        return self.program.scheduled.boundaries if self.program is not None else []

    def flops(self) -> int:
        """An estimate of the arithmetic for the example's sizes, in additions."""
        total = 0.0
        for node in self.simplified.nodes():
            if node.op.kind in ("elementwise", "reduce", "contract", "opaque") and node.op.name not in ("cast", "stop_gradient"):
                work = node.inputs[0].shape if node.op.kind == "reduce" else node.shape
                count = float(_elements(work, self.simplified.hints))
                if node.op.kind == "contract":
                    left, right, out = node.params
                    inner = [s for c, s in zip(left, node.inputs[0].shape, strict=True) if c in right and c not in out]
                    total += 2.0 * count * _elements(tuple(inner), self.simplified.hints)
                else:
                    total += count * (node.op.cost if node.op.kind == "elementwise" else 1.0)
        return int(total)


def _elements(shape: tuple[Any, ...], hints: Mapping[str, int]) -> int:
    count = 1
    for size in shape:
        count *= evaluate(size, hints) if isinstance(size, SizeExpr) else size
    return count


def interpreted_tier() -> bool:
    """Whether the environment asks for the interpreter."""
    return os.environ.get("CHAINRULE_TIER", "") == "interpret"


def execute(graph: Graph, request: Request, options: Options, name: str, entry: EntrySpec | None = None) -> Execution:
    """Derive and compile; interpret where that is asked for or the program cannot be compiled.

    Args:
        entry: how calls map to inputs and outputs, for a direct call entry.

    Raises:
        DifferentiationError: the request does not fit the graph.
    """
    clock = Clock()
    with shown(f"compiling {name}", clock), ticking(clock):
        if not interpreted_tier():
            try:
                return Execution(pipeline.build(graph, request, options, entry, clock), None, clock.seconds)
            except LoweringError as error:
                warnings.warn(f"{name} cannot be compiled and is interpreted{at(user_site())}: {error}", RuntimeWarning, stacklevel=2)
        return Execution(None, pipeline.derive(graph, request, options), clock.seconds)
