"""What runs, for people to read: the fused kernels and the calls between them, with a reason for each that stays apart."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .fuse import aligned
from .ir import Node
from .loopnest import WIDE, Kernel, Loop, Product, RowBlocks
from .provenance import Site
from .schedule import LARGEST, CallStep, CheckStep, Plan
from .split import main_loop
from .statements import Touched, cost

__all__ = ["PlannedStep", "Scheduled", "kernels_of", "loops_of", "touched_by"]

PlannedStep = Kernel | Product | RowBlocks | CallStep | CheckStep


@dataclass(frozen=True)
class Scheduled:
    """A plan and what became of it: its steps, with kernels lowered and fused."""

    plan: Plan
    steps: tuple[PlannedStep, ...]

    @property
    def kernels(self) -> list[Kernel]:
        """Those that run by themselves, and those that are members of row blocks."""
        return kernels_of(self.steps)

    @property
    def stored(self) -> list[str]:
        """The temporaries that are in memory: of a kernel, or made or read by a call."""
        names: set[str] = set()
        for step in self.steps:
            touched = touched_by(step, self.plan)
            names |= touched.read | touched.written
        return [name for node in self.plan.temporaries if (name := self.plan.buffers[node]) in names]

    @property
    def boundaries(self) -> list[str]:
        """Why each step is not one with the step before it."""
        return [_apart(first, second, self.plan) for first, second in zip(self.steps, self.steps[1:], strict=False)]

    def __str__(self) -> str:
        return "\n".join(text for text, _ in self.lines())

    def lines(self) -> list[tuple[str, frozenset[Site]]]:
        """What `str()` says, line by line, each with the user's lines behind what it is about."""
        lines: list[tuple[str, frozenset[Site]]] = []
        nodes = {name: node for node, name in self.plan.buffers.items()}
        for number, (step, reason) in enumerate(zip(self.steps, ["", *self.boundaries], strict=True)):
            lines += [(f"   apart: {reason}", frozenset())] if reason else []
            lines.append((f"{number}: {_head(step, self.plan)}", step.node.sites if isinstance(step, CallStep) else frozenset()))
            if isinstance(step, RowBlocks):
                for member in (*step.copies, *(m.step for m in step.members)):
                    sites = frozenset(site for b in member.buffers if b.written for site in nodes[b.name].sites)
                    lines.append((f"   * {_head(member, self.plan)}", sites))
            if isinstance(step, Kernel | Product | RowBlocks):
                copied = [b for k in step.copies for b in k.buffers] if isinstance(step, RowBlocks) else []
                made = [(nodes[b.name], b.name) for b in (*copied, *step.buffers) if b.written]
                lines += [(f"     {_made(node, name, self.plan)}", node.sites) for node, name in made]
        stored = set(self.stored)
        dropped = [name for node in self.plan.temporaries if (name := self.plan.buffers[node]) not in stored]
        if dropped:
            lines.append((f"without memory of their own: {', '.join(dropped)}", frozenset()))
        return lines


def _made(node: Node, name: str, plan: Plan) -> str:
    return f"{name} = {node.op.name} : {node.dtype}[{', '.join(map(str, node.shape))}]  because {plan.reasons[node]}"


def _head(step: PlannedStep, plan: Plan) -> str:
    if isinstance(step, Kernel):
        reads = ", ".join(b.name for b in step.buffers if not b.written)
        return f"{step.name}({reads}): {f'loops {found}' if (found := loops_of(step)) else 'no loops'}{_blocks(step)}"
    if isinstance(step, Product):
        return f"{step.name}({step.left.buffer}, {step.right.buffer}): {step.routine}{', added' if step.accumulate else ''}"
    if isinstance(step, RowBlocks):
        reads = ", ".join(b.name for b in step.buffers if not b.written)
        local = ", ".join(b.name for b, _ in step.local)
        joined = f"; their sums join {', '.join(name for name, _ in step.reduces)}" if step.reduces else ""
        plain = "" if step.large == 0 else f"; one after another where {' or '.join(map(str, step.wide))} is over {WIDE}"
        return f"{step.name}({reads}): {step.extent} rows in blocks, {local} in cache{joined}{plain}"
    if isinstance(step, CallStep):
        operands = ", ".join(plan.buffers.get(i, str(i.value)) for i in step.node.inputs)
        name = plan.buffers[step.node]
        return f"call {step.node.op.name}({operands}): {_made(step.node, name, plan)}"
    return f"check that {plan.buffers[step.indices]} is in [0, {step.size})"


def kernels_of(steps: Sequence[PlannedStep]) -> list[Kernel]:
    """The kernels among steps and in row blocks, in order."""
    inside = [[*s.copies, *(m.step for m in s.members)] if isinstance(s, RowBlocks) else [s] for s in steps]
    return [s for group in inside for s in group if isinstance(s, Kernel)]


def loops_of(kernel: Kernel) -> str:
    """The loops of a kernel, as nested extents: `[n [m, m]]` is two loops over m in each iteration of one over n."""

    def text(body: Sequence[object]) -> str:
        found = [f"{s.extent}{' ' + inner if (inner := text(s.body)) else ''}" for s in body if isinstance(s, Loop)]
        return f"[{', '.join(found)}]" if found else ""

    return text(kernel.body)


def _blocks(kernel: Kernel) -> str:
    if not kernel.splittable:
        return ""
    joined = ", ".join(f"{name} by {op}" for name, op in kernel.reduces)
    short = f"; unrolled where {', '.join(f'{s} is {n}' for s, n in kernel.variant.sizes)}" if kernel.variant is not None else ""
    past = f"; past the caches where large, as nothing here reads them: {', '.join(kernel.streams)}" if kernel.streams else ""
    return f", in blocks{' that combine ' + joined if joined else ''}{short}{past}"


def touched_by(step: PlannedStep, plan: Plan) -> Touched:
    """The buffers that a step reads and writes."""
    if isinstance(step, Kernel | Product | RowBlocks):
        buffers = [b for s in (step, *(step.copies if isinstance(step, RowBlocks) else ())) for b in s.buffers]
        written = {b.name for b in buffers if b.written}
        return Touched({b.name for b in buffers} - written, written)
    if isinstance(step, CallStep):
        return Touched({plan.buffers[n] for n in step.node.inputs if n in plan.buffers}, {plan.buffers[step.node]})
    return Touched({plan.buffers[step.indices]}, set())


def _apart(first: PlannedStep, second: PlannedStep, plan: Plan) -> str:
    """Why two neighbours are not one kernel."""
    for step, neighbour in ((first, second), (second, first)):
        if isinstance(step, RowBlocks) and isinstance(neighbour, Kernel | Product | RowBlocks):
            before, after = touched_by(first, plan), touched_by(second, plan)
            whole = sorted(before.written & (after.read | after.written))
            return f"{_list(whole)} needed as a whole" if whole else "they do not run along the same rows"
        if isinstance(step, Product):
            return f"{step.out.buffer} is a product of matrices, by a routine of BLAS"
        if isinstance(step, CallStep):
            return f"{step.node.op.name} is a routine of its own"
        if isinstance(step, CheckStep):
            return f"{plan.buffers[step.indices]} is checked as a whole"
    assert isinstance(first, Kernel)
    assert isinstance(second, Kernel)
    if cost(first.body) + cost(second.body) > LARGEST:
        return "together they would be too large for one body"
    one, other = main_loop(first.body), main_loop(second.body)
    shared = Touched.of(*first.body), Touched.of(*second.body)
    common = sorted(shared[0].written & (shared[1].read | shared[1].written) | shared[0].read & shared[1].written)
    if one is None or other is None:
        return f"{_list(common)} complete only after all iterations" if common else "one of them has no loops"
    if not common and not shared[0].read & shared[1].read:
        return "they have no array in common"
    if one.extent != other.extent:
        return f"their outer loops have different extents, {one.extent} and {other.extent}"
    if common and aligned(one, other) is None:
        return f"iterations of the second need more than their own part of {', '.join(common)}"
    return f"{_list(common)} complete only after all iterations" if common else "their loops do not match"


def _list(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
