"""From a traced graph and a request to a compiled program: the named passes, in order.

traced -> stabilised -> differentiated -> stabilised again and simplified -> scheduled -> lowered -> compiled
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from .collector import collector_paused
from .entry_spec import EntrySpec
from .ir import Graph
from .kernel import load_object
from .program import Planned, Program
from .stages import Clock, stage, ticking

if TYPE_CHECKING:  # the passes load where they are needed: a program from the cache needs none
    from .record import ProgramRecord
    from .rewrite import Step

__all__ = ["Built", "Options", "Program", "Request", "build", "derive", "differentiate"]

Kind = Literal["value", "gradient", "value_and_gradient", "vjp", "cotangents", "jvp", "tangents", "hvp", "hessian", "jacobian_forward",
               "jacobian_reverse"]

LIKE_INPUTS = ("gradient", "value_and_gradient", "vjp", "cotangents", "hvp")  # their last outputs are one for each of `wrt`


@dataclass(frozen=True)
class Options:
    """What may be rewritten: `stabilise` puts limits for overflow and undefined values, `fastmath` is for reals; without
    `rounding` nothing else changes a bit (but the order of sums).
    """

    stabilise: bool = True
    fastmath: bool = False
    rounding: bool = True


@dataclass(frozen=True)
class Request:
    """What is computed from a traced graph, with respect to which of its inputs (by position).

    value: the outputs. gradient: of the one scalar output. value_and_gradient: both.
    vjp: the outputs, then cotangents of `wrt`, from further inputs: a cotangent for each floating output.
    jvp: the outputs, then their tangents, from further inputs: a tangent for each of `wrt`.
    cotangents, tangents: of these, without the outputs.
    hvp: Hessian times vectors, from further inputs: a vector for each of `wrt`.
    `orders` says of inputs (by position, the further ones included) how they lie in memory where that is not C order: the axes from
    the outermost to the one whose elements are neighbours. Other arrays are taken as well, but met across memory.
    hessian: second derivatives of the one scalar output, row by row for each pair of `wrt`, of shape in_shape_i + in_shape_j.
    jacobian_forward, jacobian_reverse: for each floating output a block for each of `wrt`, of shape out_shape + in_shape.
    """

    kind: Kind
    wrt: tuple[int, ...] = ()
    orders: tuple[tuple[int, tuple[int, ...]], ...] = ()

    def alike(self, outputs: int) -> dict[int, int]:
        """Which of so many outputs have the shape of which input, both by position: gradients."""
        first = outputs - len(self.wrt)
        return {first + k: position for k, position in enumerate(self.wrt)} if self.kind in LIKE_INPUTS else {}


Derived = tuple[Graph, Graph, tuple["Step", ...]]


class Built:
    """A compiled program with the stages that led to it.

    Attributes:
        program: what runs.
        traced: what it was made of.
        cached: whether it came from the disk cache; then the stages are derived when somebody looks at them.
        seconds: by stage, under the names of `stages.STAGES`.
    """

    def __init__(self, program: Program, traced: Graph, derived: Callable[[], Derived], cached: bool,
                 seconds: dict[str, float]) -> None:
        self.program, self.traced, self.cached, self.seconds = program, traced, cached, seconds
        self._derive = derived

    @cached_property
    def _derived(self) -> Derived:
        return self._derive()

    @property
    def differentiated(self) -> Graph:
        """The graph that computes what was requested."""
        return self._derived[0]

    @property
    def simplified(self) -> Graph:
        """The graph that was compiled."""
        return self._derived[1]

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every rewrite that was applied, in order."""
        return self._derived[2]


def differentiate(graph: Graph, request: Request) -> Graph:
    """The graph that computes what the request asks for.

    Raises:
        DifferentiationError: a gradient of something that is not one floating scalar.
    """
    from . import derivation

    return derivation.differentiate(graph, request)


def derive(graph: Graph, request: Request, options: Options) -> Derived:
    """(differentiated, simplified, rewrites) of a traced graph."""
    from . import derivation

    return derivation.derive(graph, request, options)


def build(graph: Graph, request: Request, options: Options | None = None, entry: EntrySpec | None = None,
          clock: Clock | None = None) -> Built:
    """Derive and compile, or load what another process compiled.

    Args:
        entry: how calls map to inputs and outputs; where the program allows it, it gets a call entry.
        clock: tells meanwhile which stage is under way.

    Raises:
        DifferentiationError: the request does not fit the graph.
        LoweringError: the program cannot be compiled; the interpreter can still run `derive`'s result.
    """
    with ticking(clock or Clock()) as clock, collector_paused():
        return _build(graph, request, options or Options(), entry, clock.seconds)


def _build(graph: Graph, request: Request, options: Options, entry: EntrySpec | None, seconds: dict[str, float]) -> Built:
    with stage("lookup"):
        from . import cache

        slot = cache.slot(graph, (request, options, entry and entry.layout(), tuple(graph.short_sizes.items())))
        found = None if slot is None else slot.load(lambda record, code: _loaded(record, code, graph, request, options, entry, seconds))
    if found is not None:
        return found
    with stage("import"):
        from . import derivation  # noqa: F401
        from .assemble import assemble, planned

    derived = derive(graph, request, options)
    stages = planned(derived[1], request)
    record, code = assemble(*stages, entry)
    program = Program(record, code, lambda: stages, entry)
    if slot is not None:
        with stage("store"):
            slot.store(record, b"" if code is None else code.object_code())
    return Built(program, graph, lambda: derived, False, seconds)


def _loaded(record: ProgramRecord, code: bytes, graph: Graph, request: Request, options: Options, entry: EntrySpec | None,
            seconds: dict[str, float]) -> Built:
    """A program from the cache."""
    def stages() -> Planned:
        from .assemble import planned

        return planned(built.simplified, request)

    with stage("load"):
        program = Program(record, load_object(code, record.symbol) if code else None, stages, entry)
    built = Built(program, graph, lambda: derive(graph, request, options), True, seconds)
    return built
