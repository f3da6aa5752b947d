"""From a graph to a program's steps, its record and its machine code: schedule, lower, fuse, compile."""
from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import count, groupby, takewhile
from typing import TYPE_CHECKING, Any

from .axis_order import in_memory_order
from .blocks import BLOCK
from .by_others import by_others
from .call_entry import emit_call_entry, takes
from .columns import by_columns
from .driver import Driver, drives
from .entry_spec import EntrySpec, whole
from .fuse import fuse_kernels
from .half_pairs import half_pairs
from .ir import Graph, f
from .kernel import Compiled, compile_kernels, lowering_of, symbol_of
from .loop_order import along_memory
from .loopnest import Kernel, Product, RowBlocks, in_turn
from .lower import lower_plan
from .lower_products import lower_product
from .products import Term
from .record import BufferRecord, CallRecord, CheckRecord, KernelRecord, ProgramRecord, StepRecord
from .reuse import in_place
from .rows import in_row_blocks
from .schedule import LARGEST, CallStep, CheckStep, KernelStep, Plan, ProductStep, schedule
from .scheduled import PlannedStep, touched_by
from .shared_factors import shared_factors
from .sizes import symbols_of
from .split import main_extent, main_loop, work
from .stages import stage
from .streams import with_streams
from .variants import with_variant

if TYPE_CHECKING:
    from .pipeline import Request

__all__ = ["PlannedStep", "assemble", "plainly_planned", "planned"]

_numbers = count()  # of programs: of two modules with one symbol in a process, only the later one's would be found
LOOKED_AT = 16  # neighbours of a step, so that the work stays linear


def _beside_their_users(steps: Sequence[PlannedStep], plan: Plan) -> list[PlannedStep]:
    """Kernels moved down past products and calls to the kernel that uses them, where none beside them has an array of theirs."""
    touched = [touched_by(step, plan) for step in steps]
    places = list(range(len(steps)))
    for position in reversed(range(len(steps))):
        own = touched[position]
        if not isinstance(steps[position], Kernel):
            continue
        later = places[position + 1: position + 1 + LOOKED_AT]  # what comes before a step has not moved yet
        user = next((k for k, other in enumerate(later) if own.conflicts(touched[other])), None)
        if user is None or not isinstance(steps[later[user]], Kernel) or all(isinstance(steps[k], Kernel) for k in later[:user]):
            continue
        beside = (*_run(later, steps), *_run(places[max(0, position - LOOKED_AT): position][::-1], steps))
        if not any((touched[k].read | touched[k].written) & (own.read | own.written) for k in beside):
            places.insert(position + user, places.pop(position))
    return [steps[k] for k in places]


def _run(places: Sequence[int], steps: Sequence[PlannedStep]) -> list[int]:
    """The kernels up to the next step that is none."""
    return list(takewhile(lambda k: isinstance(steps[k], Kernel), places))


def lowered(plan: Plan) -> tuple[list[PlannedStep], dict[str, Term]]:
    """The plan's steps with kernels lowered, and fused where they run one after another; and what each product's loops compute."""
    terms: dict[str, Term] = {}
    with stage("lower"):
        kernels = iter(lower_plan(plan))
        steps: list[PlannedStep] = []
        for number, planned_step in enumerate(plan.steps):
            if isinstance(planned_step, ProductStep):
                products = lower_product(plan, planned_step, f"p{number}")
                terms |= {p.loops.name: term for p, term in zip(products, planned_step.terms, strict=True)}
                steps += products
            else:
                steps.append(next(kernels) if isinstance(planned_step, KernelStep) else planned_step)
    steps = _beside_their_users(steps, plan)
    outside = {plan.buffers[n] for n in (*plan.graph.inputs, *plan.graph.outputs)}
    last: dict[str, int] = {}  # the last kernel that uses a buffer
    for position, step in enumerate(steps):
        if isinstance(step, Kernel):
            last.update((b.name, position) for b in step.buffers)
        elif isinstance(step, Product | RowBlocks):
            outside.update(b.name for b in step.buffers)
        else:
            nodes = [*step.node.inputs, step.node] if isinstance(step, CallStep) else [step.indices]
            outside.update(plan.buffers[n] for n in nodes if n in plan.buffers)
    done: list[PlannedStep] = []
    for is_kernel, group in groupby(enumerate(steps), key=lambda item: isinstance(item[1], Kernel)):
        run = list(group)
        if is_kernel:
            own = [step for _, step in run if isinstance(step, Kernel)]
            kept = {b.name for k in own for b in k.buffers if b.name in outside or last[b.name] > run[-1][0]}
            with stage("fuse"):
                done += fuse_kernels(own, kept, LARGEST)
        else:
            done += [step for _, step in run]
    shapes = {name: node.shape for node, name in plan.buffers.items()}
    short = plan.graph.short_sizes
    users = Counter(b.name for s in done if isinstance(s, Kernel) for b in s.buffers)
    removable = {name for name, count in users.items() if count == 1} - outside
    finished: list[PlannedStep] = []
    with stage("fuse"):
        for s in done:
            if isinstance(s, Kernel):
                s = in_place(s, shapes, removable)
                s = with_variant(s, shapes, short, removable)
            finished.append(s)
    return finished, terms


def _named(step: PlannedStep, name: str) -> PlannedStep:
    if isinstance(step, RowBlocks):
        members = tuple(replace(m, step=replace(m.step, name=f"{name}_{number}")) for number, m in enumerate(step.members))
        plain = tuple(replace(s, name=f"{name}_{number}") for number, s in enumerate(step.plain))
        copies = tuple(replace(s, name=f"{name}_copy{number}") for number, s in enumerate(step.copies))
        return replace(step, name=name, members=members, plain=plain, copies=copies)
    return replace(step, name=name) if isinstance(step, Kernel | Product) else step


def planned(graph: Graph, request: Request | None = None) -> tuple[Plan, tuple[PlannedStep, ...]]:
    """The plan of a graph, and what runs: fused kernels, and the plan's calls and checks; for the orders of the request's inputs."""
    with stage("schedule"):
        plan = schedule(_with_own_outputs(half_pairs(in_memory_order(shared_factors(by_others(graph))))))
    steps, terms = lowered(plan)
    with stage("fuse"):
        if request is not None and request.orders:
            plan, steps = along_memory(plan, steps, dict(request.orders), request.alike(len(graph.outputs)))
        plan, steps = in_row_blocks(*by_columns(plan, steps), terms)
        finished = with_streams(plan, steps)
    return plan, tuple(_named(s, f"k{number}") for number, s in enumerate(finished))


def plainly_planned(graph: Graph, reserved: Collection[str]) -> tuple[Plan, tuple[PlannedStep, ...]]:
    """The same in the plainest form, for people and other compilers: without blocks, copies for threads, and factors in common.

    Buffers do not have the `reserved` names, or those of sizes.
    """
    with stage("schedule"):
        plan = schedule(_with_own_outputs(by_others(graph)))
    taken = {*reserved, *graph.symbols()}
    plan = replace(plan, buffers={node: f"{name}_" if name in taken else name for node, name in plan.buffers.items()})
    return plan, tuple(lowered(plan)[0])


def _with_own_outputs(graph: Graph) -> Graph:
    """The graph, with copies of outputs that are inputs or the same as an output before: each result has its own memory."""
    taken = set(graph.inputs)
    outputs = []
    for node in graph.outputs:
        while node in taken:
            node = f.stop_gradient(node)  # a copy, in loops
        taken.add(node)
        outputs.append(node)
    return graph.with_outputs(outputs) if outputs != list(graph.outputs) else graph


def record_of(plan: Plan, steps: Sequence[PlannedStep], symbol: str, driver: str, entry: str) -> ProgramRecord:
    """What running the steps needs, as data."""
    graph = plan.graph
    number = {name: k for k, name in enumerate(plan.buffers.values())}
    slot = {node: number[name] for node, name in plan.buffers.items()}

    def record(step: PlannedStep) -> list[StepRecord]:
        if isinstance(step, RowBlocks):
            return [replace(run(s), when=when, otherwise=any(s is p for p in step.plain)) for s, when in in_turn([step])]
        return [run(step) if isinstance(step, Kernel | Product) else other(step)]

    def run(step: Kernel | Product | RowBlocks) -> KernelRecord:
        if isinstance(step, RowBlocks):
            return KernelRecord(step.sizes, tuple(number[b.name] for b in step.buffers),
                                tuple(number[b.name] for b in step.buffers if b.written), step.parts, BLOCK, True,
                                tuple((number[name], op) for name, op in step.reduces), scratch=step.scratch)
        if isinstance(step, Kernel):
            loop = main_loop(step.body)
            return KernelRecord(
                step.sizes, tuple(number[b.name] for b in step.buffers),
                tuple(number[b.name] for b in step.buffers if b.written),
                main_extent(step), 1 + work(loop.body) if loop is not None else 1, step.splittable,
                tuple((number[name], op) for name, op in step.reduces), grain=step.grain,
                streams=tuple(map(number.__getitem__, step.streams)))
        written = () if step.accumulate else (number[step.out.buffer],)
        return KernelRecord(step.sizes, tuple(number[b.name] for b in step.buffers), written, step.parts,
                            BLOCK, True, (), step.routine)

    def other(step: CallStep | CheckStep) -> CallRecord | CheckRecord:
        if isinstance(step, CheckStep):
            return CheckRecord(slot[step.indices], step.size, step.axis)
        node = step.node
        bound = {str(node.param(name)) for name in node.op.binds}
        guards = tuple(k for k, g in enumerate(graph.guards) if bound & (symbols_of(g.left) | symbols_of(g.right)))
        return CallRecord(node.op.name, node.params, slot[node], tuple(slot[i] for i in node.inputs), guards)

    buffers = tuple(BufferRecord(name, node.dtype, node.shape, plan.layouts.get(name)) for node, name in plan.buffers.items())
    return ProgramRecord(
        symbol, driver, entry, buffers,
        tuple(node.param("name") for node in graph.inputs), tuple(slot[node] for node in graph.outputs),
        tuple(r for step in steps for r in record(step)), tuple(guard._replace(site=None) for guard in graph.guards))


def assemble(plan: Plan, steps: Sequence[PlannedStep],
             entry: EntrySpec | None) -> tuple[ProgramRecord, Compiled | None]:
    """Compile the kernels; where the plan allows it, with a driver and a call entry beside them.

    Raises:
        LoweringError: a kernel cannot be emitted.
    """
    kernels = in_turn(steps)
    driven = drives(plan, steps)
    if not kernels and (entry is None or not driven):
        return record_of(plan, steps, "", "", ""), None
    by_routine = {step.node for step in steps if isinstance(step, CallStep)}  # brings an array of its own, instead of writing to one
    if not driven or (entry is not None and (not takes(plan.graph, entry) or (entry.rows and by_routine.intersection(plan.graph.outputs)))):
        entry = None
    key = str(next(_numbers))
    symbol = symbol_of(key)

    def beside(module: Any, functions: Sequence[Any]) -> None:
        driver = Driver(module, plan, steps, functions, module.globals[symbol], f"{symbol}.driver", lowering_of)
        emit_call_entry(driver, plan.graph, whole(len(plan.graph.inputs), len(plan.graph.outputs)), f"{symbol}.whole")
        if entry is not None:
            emit_call_entry(driver, plan.graph, entry, f"{symbol}.call")

    record = record_of(plan, steps, symbol, f"{symbol}.whole" if driven else "", f"{symbol}.call" if entry else "")
    return record, compile_kernels([k for k, _ in kernels], key, beside=beside if driven else None)
