"""Arrays of short rows, column by column in memory where loops walk down their columns.

Points in space are an array of n rows of three coordinates. A loop over pairs of points takes one coordinate of one point
after another, and with the rows one behind the other these are three numbers apart: vectors are then put together by
shuffles, which cost more than the arithmetic. So an array of the program's own lies column by column where its rows are as
short as in the example, and an input is copied so, once for all the times that it is read.

Only strides differ: kernels index such an array as before, and their bodies for any strides serve all other sizes, for which
it lies row by row.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .ir import f
from .loopnest import Buffer, Index, Kernel, Load, Loop, Names, Product, Store, names_of
from .lower import symbols_read
from .record import Layout
from .schedule import Plan
from .scheduled import PlannedStep, touched_by
from .split import with_split
from .statements import Body, innermost, with_accesses
from .variants import with_variant

__all__ = ["by_columns", "laid_out"]


def by_columns(plan: Plan, steps: Sequence[PlannedStep]) -> tuple[Plan, tuple[PlannedStep, ...]]:
    """The plan and its steps, with the layouts of arrays, and copies of inputs in such layouts."""
    wanted: dict[str, set[Layout | None]] = {}
    for step in steps:
        if isinstance(step, Kernel) and step.variant is not None:
            for name, layout in _wanted(step.variant.body, step.variant.sizes).items():
                wanted.setdefault(name, set()).add(layout)
    chosen = {name: layout for name, found in wanted.items() if len(found) == 1 and (layout := next(iter(found))) is not None
              and name not in plan.layouts}
    nodes = {name: node for node, name in plan.buffers.items()}
    copies = {name: f.stop_gradient(nodes[name]) for name in chosen if nodes[name] in plan.graph.inputs}
    copies = {name: node for name, node in copies.items() if node not in plan.buffers}
    others = [touched_by(step, plan) for step in steps if not isinstance(step, Kernel)]
    fixed = {name for touched in others for name in touched.read | touched.written}
    fixed.update(plan.buffers[n] for n in (*plan.graph.inputs, *plan.graph.outputs))
    fresh = Names(plan.buffers.values())
    called = {name: fresh.fresh(f"{name}_by_columns") for name in copies}
    layouts = {called.get(name, name): layout for name, layout in chosen.items() if name in called or name not in fixed}
    if not layouts:
        return plan, tuple(steps)
    done: list[PlannedStep] = []
    made: set[str] = set()
    for step in steps:
        if isinstance(step, Kernel):
            if step.variant is not None:
                for name in [b.name for b in step.buffers if b.name in called and b.name not in made]:
                    done.append(laid_out(_copy(plan, name, called[name]), layouts))
                    made.add(name)
                step = _renamed(step, called)
            step = laid_out(step, layouts)
        done.append(step)
    named = (replace(s, name=f"k{number}") if isinstance(s, Kernel | Product) else s for number, s in enumerate(done))
    buffers = plan.buffers | {node: called[name] for name, node in copies.items()}
    reasons = plan.reasons | dict.fromkeys(copies.values(), "loops walk down its columns")
    return replace(plan, buffers=buffers, reasons=reasons, layouts=plan.layouts | layouts), tuple(named)


# ------------------------------------------------------------------------------------------------ which arrays
def _wanted(body: Body, sizes: tuple[tuple[str, int], ...]) -> dict[str, Layout | None]:
    """The layouts in which the innermost loops of a variant for these sizes walk along memory; None where there is none.

    Of arrays of which some element is met in many iterations of a loop around: the others are not worth it.
    """
    found: dict[str, set[Layout | None]] = {}
    often: set[str] = set()
    for s, around in innermost(body):
        if len(around) < 2:
            continue
        walked = [around[-1] in names_of(index) for index in s.index]
        if any(walked):
            trailing = len(walked) - 1 - walked.index(True)
            straight = sum(walked) == 1 and all(isinstance(index, int) for index in s.index[len(walked) - trailing:])
            first = len(walked) - trailing
            order = (*range(first, len(walked)), *range(first))
            found.setdefault(s.buffer, set()).add(Layout(order, sizes) if straight and trailing else None)
            if not set(around) <= {name for index in s.index for name in names_of(index)}:
                often.add(s.buffer)
    return {name: next(iter(layouts)) if len(layouts) == 1 else None for name, layouts in found.items() if name in often}


# ------------------------------------------------------------------------------------------------ kernels
def _copy(plan: Plan, name: str, copy: str) -> Kernel:
    """The kernel that copies an input."""
    node = next(n for n in plan.graph.inputs if plan.buffers[n] == name)
    names = Names({name, copy})
    loops = [(names.fresh("i"), size) for size in node.shape]
    here, value = tuple(Index(index) for index, _ in loops), names.fresh("v")
    body: Body = (Load(value, name, here), Store(copy, here, value))
    for index, size in reversed(loops):
        body = (Loop(index, size, body),)
    buffers = Buffer(name, node.dtype, node.ndim), Buffer(copy, node.dtype, node.ndim, written=True, contiguous=True)
    kernel = with_split(Kernel("", buffers, symbols_read(body), body))
    return with_variant(kernel, {name: node.shape, copy: node.shape}, plan.graph.short_sizes)


def _renamed(kernel: Kernel, called: Mapping[str, str]) -> Kernel:
    """The kernel reading copies."""
    buffers = tuple(replace(b, name=called.get(b.name, b.name), contiguous=b.contiguous or b.name in called) for b in kernel.buffers)
    assert kernel.variant is not None
    strides = tuple((called.get(name, name), axis, count) for name, axis, count in kernel.variant.strides)
    variant = replace(kernel.variant, strides=strides, body=_reading(kernel.variant.body, called))
    return replace(kernel, buffers=buffers, body=_reading(kernel.body, called), variant=variant)


def _reading(body: Body, called: Mapping[str, str]) -> Body:
    return with_accesses(body, lambda s: replace(s, buffer=called.get(s.buffer, s.buffer)) if isinstance(s, Load) else s)


def laid_out(kernel: Kernel, layouts: Mapping[str, Layout]) -> Kernel:
    """The kernel without promises about the strides of arrays that have a layout."""
    buffers = tuple(replace(b, contiguous=b.contiguous and b.name not in layouts) for b in kernel.buffers)
    variant = kernel.variant
    if variant is not None:
        variant = replace(variant, strides=tuple(s for s in variant.strides if s[0] not in layouts))
    return replace(kernel, buffers=buffers, variant=variant)
