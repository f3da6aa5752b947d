"""Recorded Values as compiled programs: sizes are symbols, numbers are arguments, and the results have the interpreter's bits.

Only rewrites that keep every bit, but for the order of sums, are applied, so that a value does not depend on when it is looked
at, or how often.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...compiler import pipeline
from ...compiler.entry_spec import ArrayArgument, EntrySpec
from ...compiler.errors import ChainruleError, LoweringError, ShapeError
from ...compiler.ir import Graph, Node
from ...compiler.rewrite import SAME_TERMS, simplify
from ...compiler.sizes import Size, bind, symbols_of
from ...compiler.trace import Session, tracing
from .functions import rounded_once
from .structure import Structure, check_promise
from .value import Array

__all__ = ["CompiledProgram", "compile_structure"]

OPTIONS = pipeline.Options(stabilise=False, rounding=False)
MOST_ROUNDS = 32  # of finding out which sizes are equal; a division of sizes may give new ones in each
MOST_STEPS = 2000  # of a program; a larger one takes too long to compile between two lines of a notebook
Run = Callable[..., Any]
Source = tuple[str, Any]  # where an output is found: ("result", k), ("input", k), ("constant", array)


class CompiledProgram:
    """A program for all sizes that its guards allow.

    Attributes:
        program: the compiled program, None where every output is an input or a constant.
        run: the outputs, then the masks, for arrays; of rank 0 they may be NumPy scalars; the same array may be there twice.
        masks: for each output, which further output is its mask; None: it has none.
    """

    def __init__(self, graph: Graph, outputs: int, masks: Sequence[int | None]) -> None:
        self.graph, self.masks, self.wanted = graph, tuple(masks), outputs
        computed: dict[Node, int] = {}
        self._sources: list[Source] = [self._source(node, computed) for node in graph.outputs]
        self.program: pipeline.Program | None = None
        self._entry: Run | None = None
        if computed:
            spec = EntrySpec(tuple(map(ArrayArgument, range(len(graph.inputs)))), tuple(range(len(computed))))
            self.program = pipeline.build(graph.with_outputs(computed), pipeline.Request("value"), OPTIONS, spec).program
            self._entry = self._ordinary if self.program.entry is None else self.program.entry(self._ordinary, "recorded")
        self._shapes = [node.shape for node in graph.inputs]
        bound = {s for shape in self._shapes for size in shape for s in symbols_of(size)}
        self._guards = [g for g in graph.guards if symbols_of(g.left) | symbols_of(g.right) <= bound]
        direct = self._entry is not None and self._sources == [("result", k) for k in range(len(computed))]
        self.run: Run = self._entry if direct else self._assembled  # type: ignore[assignment]

    def _source(self, node: Node, computed: dict[Node, int]) -> Source:
        if node in self.graph.inputs:
            return "input", self.graph.inputs.index(node)
        if node.op.name == "const" and not node.shape:
            return "constant", np.asarray(node.value)
        return "result", computed.setdefault(node, len(computed))

    def _ordinary(self, *arrays: Array) -> tuple[Array, ...]:
        assert self.program is not None
        return tuple(self.program.run(arrays))

    def accepts(self, arrays: Sequence[Array]) -> bool:
        """Whether the program is right for arrays of these shapes, whose ranks and dtypes fit."""
        try:
            values = bind(self._shapes, [a.shape for a in arrays])
        except ShapeError:
            return False
        return all(guard.holds(values) for guard in self._guards)

    def _assembled(self, *arrays: Array) -> Sequence[Any]:
        results = () if self._entry is None else self._entry(*arrays)
        return [results[k] if kind == "result" else arrays[k].copy() if kind == "input" else k for kind, k in self._sources]


def compile_structure(structure: Structure, wanted: Sequence[int]) -> CompiledProgram | None:
    """The program of some steps' values, for all sizes; None where there is none.

    Args:
        wanted: numbers of the steps.
    """
    if len(structure.steps) > MOST_STEPS:
        return None
    try:
        return _compiled(structure, wanted)
    except (ChainruleError, TypeError, ValueError, IndexError, AttributeError):
        return None  # an operation that needs its sizes as numbers, or has no compiled form


def _emitted(structure: Structure, session: Session) -> tuple[list[Node], list[Node | None]]:
    """The steps' nodes and masks, on inputs whose sizes are symbols; those that prove to be equal are one symbol from the start."""
    context = session.context
    leaves = structure.leaves()
    shapes: list[Sequence[Size]] = [v.shape for v in leaves]
    for turn in range(MOST_ROUNDS):
        session.inputs.clear()
        fixed = [{axis: n for axis, n in enumerate(shape) if turn and isinstance(n, int)} for shape in shapes]  # by the steps' parameters
        inputs = [session.input(shape, v.dtype, f"x{k}", known=numbers) for k, (shape, v, numbers) in enumerate(
            zip(shapes, leaves, fixed, strict=True))]
        known = len(context.equal_to)
        try:
            made = structure.emit(inputs)
        except ChainruleError:
            if len(context.equal_to) == known:
                raise
        else:
            if len(context.equal_to) == known:
                return made
        shapes = [[context.resolve(size) for size in node.shape] for node in inputs]
    raise LoweringError("the sizes of this program do not come to one form")


def _compiled(structure: Structure, wanted: Sequence[int]) -> CompiledProgram:
    session = Session()
    with tracing(session):
        nodes, masks = _emitted(structure, session)
        for k in wanted:
            value = structure.steps[k]
            check_promise(value, [session.context.hint(n) for n in nodes[k].shape], nodes[k])
        masked = [mask for k in wanted if (mask := masks[k]) is not None]
        graph, _ = session.finish(rounded_once([*(nodes[k] for k in wanted), *masked]))
    simple, _ = simplify(graph.outputs, SAME_TERMS, stabilise=False)
    places = iter(range(len(wanted), len(wanted) + len(masked)))
    return CompiledProgram(graph.with_outputs(simple), len(wanted), [None if masks[k] is None else next(places) for k in wanted])
