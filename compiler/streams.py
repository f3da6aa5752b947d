"""Which results a kernel may write past the caches: those that nobody reads in the same program.

An ordinary store reads the line of memory that it writes into the cache first, and later puts another line out. For a result
larger than the cache both are wasted: half of what a gradient of a large array moves is its results, read for nothing. So a kernel
computes a few hundred elements into a short array that stays in the first cache, and copies that by non-temporal stores. The body is
the ordinary one, on a part of its range and with other pointers; so elements have the same bits, and results may lie anywhere.

Only kernels that wait for memory do it. Whether it pays depends on the sizes, too: `native` says from how many bytes on (ADR 0030).
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from .loopnest import Index, Kernel, Let, Loop, Store, StoreAdd, walk
from .op import Shape, get
from .schedule import Plan
from .scheduled import PlannedStep, touched_by
from .split import main_loop
from .statements import Body, accesses, cost

__all__ = ["with_streams"]

# Additions: what computes for longer than memory takes gains nothing, and loses a tenth: strips neither load nor store meanwhile.
FUNCTION = 12.0  # an op, such as an exponential
CHEAP = 40.0  # a kernel, for each result that goes past the caches


def with_streams(plan: Plan, steps: Sequence[PlannedStep]) -> tuple[PlannedStep, ...]:
    """The steps, with the `streams` of kernels that run by themselves."""
    touched = [touched_by(step, plan) for step in steps]
    read = set[str]().union(*(t.read for t in touched))
    writers = Counter(name for t in touched for name in t.written)
    results = set(plan.graph.outputs)
    last = {name: node.shape for node, name in plan.buffers.items()
            if node in results and name not in read and writers[name] == 1 and name not in plan.layouts}
    return tuple(replace(s, streams=_streams(s, last)) if isinstance(s, Kernel) else s for s in steps)


def _streams(kernel: Kernel, shapes: Mapping[str, Shape]) -> tuple[str, ...]:
    """Of the buffers with these shapes, those that are written row by row, each element once, if nothing else hinders."""
    loop = main_loop(kernel.body)
    if loop is None or not kernel.splittable or kernel.across:
        return ()
    before = kernel.body[:kernel.body.index(loop)]  # is run again for each strip
    if any(isinstance(s, Loop | Store | StoreAdd) for s in before):
        return ()
    buffers = {b.name: b for b in kernel.buffers}
    if any(buffers[name].rank or buffers[name].dtype.kind not in "fi" for name, _ in kernel.reduces):
        return ()
    touched = Counter(name for name, _, _ in accesses(kernel.body))
    whole = {s.buffer for s, loops in _stores((loop,)) if s.buffer in shapes and touched[s.buffer] == 1 and buffers[s.buffer].contiguous
             and s.index == tuple(Index(outer.index) for outer in loops) and shapes[s.buffer] == tuple(outer.extent for outer in loops)}
    dearest = max((get(s.op).cost for s in walk(kernel.body) if isinstance(s, Let)), default=0.0)
    if dearest >= FUNCTION or cost(kernel.body) > CHEAP * len(whole):
        return ()
    return tuple(b.name for b in kernel.buffers if b.name in whole)


def _stores(body: Body, loops: tuple[Loop, ...] = ()) -> Iterator[tuple[Store, tuple[Loop, ...]]]:
    """Every store, with the loops around it."""
    for s in body:
        if isinstance(s, Store):
            yield s, loops
        elif isinstance(s, Loop):
            yield from _stores(s.body, (*loops, s))
