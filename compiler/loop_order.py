"""Loops in the order in which arrays lie in memory, for calls with arrays that are not in C order.

A program may be compiled for inputs of other orders: Fortran order, a transposed view, columns of a table. Its graph, its schedule
and the fusion of its loops are those for C order. Then each array that it makes gets the order of what it is computed from, as in
NumPy, if all that agrees on one, else C order; and each kernel the order of loops in which most of what it touches is met along
memory. Loops that are nested without statements between them are exchanged; others run `across`.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from .across import across
from .columns import laid_out
from .loopnest import Index, IndexExpr, Kernel, Load, Loop, names_of
from .memory_order import Order
from .record import Layout
from .schedule import Plan
from .scheduled import PlannedStep, touched_by
from .split import main_loop
from .statements import Access, Body, accesses, innermost
from .tidy import tidy

__all__ = ["along_memory"]

WRITTEN = 2  # what is written is also read into the cache


def along_memory(plan: Plan, steps: Sequence[PlannedStep], orders: Mapping[int, Order],
                 alike: Mapping[int, int]) -> tuple[Plan, list[PlannedStep]]:
    """The plan and its steps for inputs in these orders.

    Args:
        orders: by position, of the inputs that are not in C order.
        alike: outputs that, where nothing else decides, lie as an input does; both by position.
    """
    names = [plan.buffers[node] for node in plan.graph.inputs]
    known = {names[k]: order for k, order in orders.items()}
    wanted = {plan.buffers[plan.graph.outputs[k]]: orders[like] for k, like in alike.items() if like in orders}
    others = [touched_by(step, plan) for step in steps if not isinstance(step, Kernel)]
    fixed = set(names).union(*(touched.read | touched.written for touched in others))
    for step in steps:
        if isinstance(step, Kernel):
            for b in step.buffers:
                if b.written and b.rank > 1 and b.name not in known and b.name not in fixed:
                    order = _agreed(step, b.name, known) or wanted.get(b.name)
                    if order is not None and order != tuple(range(b.rank)):
                        known[b.name] = order
    layouts = {name: Layout(order) for name, order in known.items()}
    done = [_ordered(laid_out(step, layouts), known) if isinstance(step, Kernel) else step for step in steps]
    return replace(plan, layouts=layouts), done


# ------------------------------------------------------------------------------------------------ orders of arrays
def _agreed(kernel: Kernel, name: str, known: Mapping[str, Order]) -> Order | None:
    """The order of axes in which all that an array is computed from lies; C order where it differs, None where nothing says."""
    found: set[Order] = set()
    in_c: Order = ()
    read = [(buffer, index) for buffer, index, _ in accesses(kernel.body) if buffer != name]
    for buffer, index, is_write in accesses(kernel.body):
        if buffer == name and is_write:
            in_c = tuple(range(len(index)))
            axes = {i.name: axis for axis, i in enumerate(index) if isinstance(i, Index)}
            moving = [axis for axis, i in enumerate(index) if i != 0]
            if len(axes) != len(moving):
                return in_c
            for other, place in read:
                order = known.get(other, range(len(place)))
                met = [axes[i.name] for i in (place[k] for k in order) if isinstance(i, Index) and i.name in axes]
                if sorted(met) == moving:
                    rest = iter(met)
                    found.add(tuple(next(rest) if axis in moving else axis for axis in in_c))
    return None if not found else found.pop() if len(found) == 1 else in_c


# ------------------------------------------------------------------------------------------------ orders of loops
def _ordered(kernel: Kernel, known: Mapping[str, Order]) -> Kernel:
    """The kernel with its loops in the order in which memory is met."""
    loop = main_loop(kernel.body)
    if loop is None or not kernel.splittable or kernel.variant is not None or not any(b.name in known for b in kernel.buffers):
        return kernel  # a variant for short rows walks along the columns as it is
    if (exchanged := _exchanged(kernel, loop, known)) is not None:
        return exchanged
    votes = Counter[bool]()
    for s, (*_, inner) in innermost(loop.body):
        place = _moving(s, known)
        if {loop.index, inner} <= {name for i in place for name in names_of(i)}:
            fastest = set(names_of(place[-1]))
            votes[loop.index in fastest] += _weight(s)
            votes[False] += _weight(s) * (inner in fastest and loop.index in fastest)
    if votes[True] <= votes[False]:
        return kernel
    return replace(kernel, across=True) if across(loop, {b.name: b for b in kernel.buffers}) is not None else kernel


def _weight(access: Access) -> int:
    return 1 if isinstance(access, Load) else WRITTEN


def _moving(access: Access, known: Mapping[str, Order]) -> list[IndexExpr]:
    """The indices of an access in the order of memory, without axes along which nothing moves."""
    order = known.get(access.buffer, range(len(access.index)))
    return [i for i in (access.index[k] for k in order) if any(True for _ in names_of(i))]


def _exchanged(kernel: Kernel, outermost: Loop, known: Mapping[str, Order]) -> Kernel | None:
    """A kernel of loops one inside the other, in the best order; None where there are statements between them, or C order is best."""
    nest = [outermost]
    while len(nest[-1].body) == 1 and isinstance(nest[-1].body[0], Loop):
        nest.append(nest[-1].body[0])
    body = nest[-1].body
    if len(nest) < 2 or any(isinstance(s, Loop) for s in body):
        return None
    names = tuple(loop.index for loop in nest)
    for outer, inner in pairwise(nest):
        if {(c.name, c.update) for c in outer.carried} != {(c.initial, c.name) for c in inner.carried}:
            return None
    votes: Counter[tuple[str, ...]] = Counter()
    for s in body:
        if isinstance(s, Access):
            place = _moving(s, known)
            plain = tuple(i.name for i in place if isinstance(i, Index))
            if not isinstance(s, Load) and (len(plain) != len(place) or len(set(plain)) != len(plain) or not set(plain) <= set(names)):
                return None
            if sorted(plain) == sorted(names):
                votes[plain] += _weight(s)
    if not votes:
        return None
    best = max(votes, key=lambda order: (votes[order], order == names))
    if best == names:
        return None
    extents = {loop.index: loop.extent for loop in nest}
    inside: Body = body
    for place_, loop in zip(reversed(best), reversed(nest), strict=True):
        inside = (Loop(place_, extents[place_], inside, loop.carried),)
    made = tidy(replace(kernel, body=tuple(inside[0] if s is outermost else s for s in kernel.body)), set())
    return made if made.splittable else None
