"""What a report says, whatever it is shown on: gathered once, as text with the user's lines."""
from __future__ import annotations

import inspect
import linecache
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import TYPE_CHECKING, Any

from ...compiler.differentiate import is_differentiable
from ...compiler.ir import Graph, Node, toposort
from ...compiler.provenance import Site, is_own
from ...compiler.rewrite import Level, Step
from ...compiler.rewrite.rule import Rule
from ...compiler.stages import STAGES
from ...compiler.text import dtype_text, node_lines
from ..function.structure import leaf_names
from .bodies import bodies, operations

if TYPE_CHECKING:
    from ...compiler.formula import Formula
    from ...compiler.formula.steps import Steps
    from ..function.execution import Execution, Request
    from ..function.inspection import TraceView
    from ..function.stats import Stats
    from ..function.traced_program import TracedProgram

__all__ = ["Content", "Line", "Picture", "Row", "Use", "gather"]

NO_SOURCE = "the source is not to be had: it was typed at a prompt, or made by exec"
MOST_LINES, MOST_CODE = 400, 1000  # of one listing, of the generated code; a report is for reading
MOST_OUTPUTS = 8  # whose formulas are shown, and arguments by which
MOST_MADE = 40  # operations that are shown of one line


@dataclass(frozen=True)
class Line:
    """A line of the user's source, with what it made.

    Attributes:
        made: operations of the traced graph, as expressions.
        more: how many there are beside these.
    """

    site: Site
    text: str
    made: tuple[str, ...]
    more: int


@dataclass(frozen=True)
class Row:
    """A line of a listing, with the user's lines that it comes from."""

    text: str
    sites: frozenset[Site]


@dataclass(frozen=True)
class Picture:
    """The IR at a stage, or inside an operation, to be drawn and as text, with what its outputs are called."""

    title: str
    graph: Graph
    results: tuple[str, ...]
    rows: tuple[Row, ...]
    differentiated: bool


@dataclass(frozen=True)
class Use:
    """A rewrite rule and its two sides, how often it was used, why it is sound, and the lines that it was used on."""

    rule: str
    sides: str
    times: int
    why: str
    sites: frozenset[Site]


@dataclass(frozen=True)
class Content:
    """Everything in a report.

    Attributes:
        about: what was compiled, for which arguments.
        lines: the function's source; and lines elsewhere that it called.
        formulas: the value and the derivatives, with their titles.
        derivations: of each of them, the steps.
        pictures: the IR before and after it was simplified.
        rewrites: those of the compiled program, by numerical class.
        schedule: the kernels, with the reason for every boundary; empty where the program is interpreted.
        code: the generated code.
        counts: how many operations of each kind there are, by stage.
        facts: further numbers, with what they are.
        seconds: by stage, with what the stage does.
    """

    name: str
    about: str
    lines: tuple[Line, ...]
    formulas: tuple[tuple[str, Formula], ...]
    derivations: tuple[tuple[str, Steps], ...]
    pictures: tuple[Picture, ...]
    rewrites: tuple[tuple[Level, tuple[Use, ...]], ...]
    schedule: tuple[Row, ...]
    code: tuple[Row, ...]
    counts: tuple[tuple[str, Mapping[str, int]], ...]
    facts: tuple[tuple[str, str], ...]
    seconds: tuple[tuple[str, float, str], ...]

    @property
    def remark(self) -> str:
        """What is to be said of the source."""
        return "" if any(line.text for line in self.lines) or not self.lines else NO_SOURCE


def gather(view: TraceView, function: Any, traced: TracedProgram, stats: Stats) -> Content:
    """What there is to say about a signature of a function, compiled for its gradient, or its value where it has none."""
    request, execution = view.differentiated()
    graph, program = traced.graph, execution.program
    inside = bodies(graph)
    known = {body.graph for body in inside}
    loops = [*((body, "") for body in inside), *((body, ", backward") for body in bodies(execution.simplified) if body.graph not in known)]
    formulas = tuple(_formulas(view, traced, request))
    stages = [("traced", graph), ("differentiated", execution.differentiated), ("simplified", execution.simplified)]
    outputs = leaf_names(traced.result, traced.name)
    results = [*(outputs if request.kind != "gradient" else []), *(_slope(traced, position) for position in request.wrt)]
    inputs = ", ".join(f"{n.param('name')}: {dtype_text(n.dtype)}[{', '.join(map(str, n.shape))}]" for n in graph.inputs)
    sizes = formulas[0][1].sizes
    called = "".join(f"; {name} is {symbol}" for symbol, name in sizes.items() if symbol in graph.symbols())
    allowed = f"stabilise={traced.options.stabilise}, fastmath={traced.options.fastmath}"
    return Content(
        name=traced.name, about=f"{request.kind.replace('_', ' ')} of ({inputs}){called}; {allowed}",
        lines=tuple(_lines(function, traced, sizes)),
        formulas=(*formulas, *(named for body, of in loops for named in body.formulas(of))), derivations=tuple(_derivations(formulas)),
        pictures=(*(Picture(title, g, tuple(results if k else outputs), tuple(_rows(g)), k > 0) for k, (title, g) in enumerate(stages)),
                  *(Picture(body.title, body.named, ("state",), tuple(_rows(body.named)), False) for body in inside)),
        rewrites=tuple(_rewrites(execution.rewrites)),
        schedule=() if program is None else tuple(starmap(Row, program.scheduled.lines())),
        code=() if program is None else tuple(_code(program.source_lines())),
        counts=tuple((title, _counts(g)) for title, g in stages), facts=tuple(_facts(execution, graph, stats)),
        seconds=tuple((stage, spent, STAGES[stage]) for stage, spent in stats.seconds.items()))


def _formulas(view: TraceView, traced: TracedProgram, request: Request) -> Iterator[tuple[str, Formula]]:
    for k, name in enumerate(leaf_names(traced.result, traced.name)[:MOST_OUTPUTS]):
        yield name, view.output(k)
    inputs = traced.graph.inputs[: traced.leaves]
    wrt = request.wrt or [k for k, node in enumerate(inputs) if is_differentiable(node) and is_differentiable(traced.graph.outputs[0])]
    for position in wrt[:MOST_OUTPUTS]:
        yield _slope(traced, position), view.derivative(str(inputs[position].param("name")))


def _derivations(formulas: Iterable[tuple[str, Formula]]) -> Iterator[tuple[str, Steps]]:
    """Those that have steps."""
    for title, formula in formulas:
        steps = formula.steps()
        if steps:
            yield title, steps


def _slope(traced: TracedProgram, position: int) -> str:
    """What the derivative of the first output by an argument is called."""
    return f"d {leaf_names(traced.result, traced.name)[0]} / d {traced.graph.inputs[position].param('name')}"


def _lines(function: Any, traced: TracedProgram, sizes: Mapping[str, str]) -> Iterator[Line]:
    made: dict[Site, dict[str, None]] = {}
    for graph in (traced.graph, *(body.named for body in bodies(traced.graph))):
        for node, text in operations(graph, sizes):
            for site in node.sites & traced.sites:
                made.setdefault(site, {})[text] = None
    sites = dict.fromkeys([*_own_sites(function), *sorted(made)])
    for site in list(sites)[:MOST_LINES]:
        found = tuple(made.get(site, ()))
        yield Line(site, linecache.getline(site.file, site.line).rstrip("\n"), found[:MOST_MADE], len(found[MOST_MADE:]))


def _own_sites(function: Any) -> list[Site]:
    """The lines of the function itself; none where its source is not to be had, or not the user's."""
    try:
        lines, first = inspect.getsourcelines(function)
        file = inspect.unwrap(function).__code__.co_filename
    except (OSError, TypeError, AttributeError):
        return []
    return [] if is_own(file) else [Site(file, first + k) for k in range(len(lines))]


def _rows(graph: Graph) -> Iterator[Row]:
    names: dict[Node, str] = {}
    nodes = toposort([*graph.inputs, *graph.outputs])
    for node, text in zip(nodes[:MOST_LINES], node_lines(nodes, names), strict=False):
        yield Row(text, node.sites)
    if len(nodes) > MOST_LINES:
        yield Row(f"... {len(nodes) - MOST_LINES} more", frozenset())
    else:
        yield Row(f"return {', '.join(names[n] for n in graph.outputs)}", frozenset())


def _code(lines: Sequence[tuple[str, frozenset[Site]]]) -> Iterator[Row]:
    yield from starmap(Row, lines[:MOST_CODE])
    if len(lines) > MOST_CODE:
        yield Row(f"# ... {len(lines) - MOST_CODE:,} more lines, which .source() has", frozenset())


def _rewrites(steps: Iterable[Step]) -> Iterator[tuple[Level, tuple[Use, ...]]]:
    """The rules that were used, those of a numerical class together."""
    used: dict[Rule, list[Step]] = {}
    for step in steps:
        used.setdefault(step.rule, []).append(step)
    for level in Level:
        uses = [Use(rule.name, _sides(rule), len(s), rule.why, frozenset().union(*(step.sites for step in s))) for rule, s in used.items()
                if rule.level is level]
        if uses:
            yield level, tuple(uses)


def _sides(rule: Rule) -> str:
    after = "..." if callable(rule.after) else str(rule.after)
    return f"{rule.before} -> {after}{' if ' if rule.when else ''}{' and '.join(map(str, rule.when))}"


def _counts(graph: Graph) -> dict[str, int]:
    counts = Counter(n.op.name for n in graph.nodes() if n.inputs)
    return dict(counts.most_common())


def _facts(execution: Execution, graph: Graph, stats: Stats) -> Iterator[tuple[str, str]]:
    number, size = execution.temporaries(graph.hints)
    sizes = ", ".join(f"{name} = {value}" for name, value in graph.hints.items() if name in graph.symbols())
    yield "arithmetic", f"about {execution.flops():,} additions' worth{f' for {sizes}' if sizes else ''}"
    if execution.program is None:
        yield "tier", "interpreted"
    yield "kernels", str(execution.kernels)
    yield "temporaries", f"{number} arrays, {size:,} bytes"
    yield "results", f"{execution.output_bytes(graph.hints):,} bytes"
    yield "memory of the latest calls", f"{stats.peak_bytes:,} bytes at most"
