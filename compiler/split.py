"""Which kernels may run in blocks of their outer loop, and what the blocks must then combine.

Blocks have fixed bounds, and partial results are combined in the order of the blocks, so a result does not depend on how
many threads ran them.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from .loopnest import Buffer, Carried, Index, Kernel, Let, Load, Loop, Product, RowBlocks, Statement, Store, StoreAdd, walk
from .sizes import Size, symbol
from .statements import reads

__all__ = ["joining", "main_extent", "main_loop", "with_split", "work"]

COMBINED_BY = ("add", "mul", "maximum", "minimum", "and_", "or_")  # associative, with the identity as the start


def joining(op: str, dtype: np.dtype) -> Kernel:
    """`out = op(out, part)` for each part, in order."""
    part, element = Index("p"), Index("e")
    body = (Load("a", "out", (element,)), Load("b", "parts", (part, element)), Let("c", op, ("a", "b"), dtype),
            Store("out", (element,), "c"))
    loops = Loop("p", symbol("parts"), (Loop("e", symbol("elements"), body),))
    buffers = (Buffer("out", dtype, 1, written=True, contiguous=True), Buffer("parts", dtype, 2, contiguous=True))
    return Kernel("join", buffers, ("parts", "elements"), (loops,))


def main_loop(body: Sequence[Statement]) -> Loop | None:
    """The loop that takes the range: the last one of the kernel's outermost level."""
    return next((s for s in reversed(body) if isinstance(s, Loop)), None)


def work(body: Sequence[Statement]) -> Size:
    """How many statements a body runs."""
    loops = [s for s in body if isinstance(s, Loop)]
    return sum((loop.extent * (1 + work(loop.body)) for loop in loops), start=len(body) - len(loops))


def main_extent(kernel: Kernel | Product | RowBlocks) -> Size:
    """The end of the range of a kernel's main loop, or of the parts of others; 1 where it has no range."""
    if isinstance(kernel, Product | RowBlocks):
        return kernel.parts
    loop = main_loop(kernel.body)
    return loop.extent if kernel.splittable and loop is not None else 1


def _writes(statements: Sequence[Statement]) -> Iterator[Store | StoreAdd]:
    return (s for s in walk(tuple(statements)) if isinstance(s, Store | StoreAdd))


def _folded_by(loop: Loop, name: str) -> str | None:
    """The op that folds a carried value of the loop, where one op does."""
    carried = next((c for c in loop.carried if c.name == name), None)
    while carried is not None:
        lets = {s.target: s for s in loop.body if isinstance(s, Let)}
        update = lets.get(carried.update)
        if update is not None and update.op == "where" and update.args[2] == carried.name:  # some iterations leave it as it is
            update = lets.get(update.args[1]) if isinstance(update.args[1], str) else None
        if update is not None:
            return update.op if carried.name in update.args else None
        inner = next((s for s in loop.body if isinstance(s, Loop) and any(c.name == carried.update for c in s.carried)), None)
        if inner is None:
            return None
        inside = next(c for c in inner.carried if c.name == carried.update)
        if inside.initial != carried.name:
            return None
        loop, carried = inner, inside
    return None


def _accumulations(body: Sequence[Statement], carried: Sequence[Carried] = ()) -> Iterator[tuple[Store, Load, str]]:
    """(store, load, op) of every `buffer[index] = op(buffer[index], value)` of a body whose values have no other use."""
    uses = Counter([name for s in body for name in reads(s)] + [c.update for c in carried])
    loads = {s.target: s for s in body if isinstance(s, Load) and s.when is None}
    joined = {s.target: s for s in body if isinstance(s, Let) and s.op in COMBINED_BY}
    for s in body:
        if isinstance(s, Loop):
            yield from _accumulations(s.body, s.carried)
        elif isinstance(s, Store) and isinstance(s.value, str) and s.value in joined:
            step = joined[s.value]
            first, second = step.args
            before = loads.get(first) if isinstance(first, str) and first != second else None
            if before is None or (before.buffer, before.index) != (s.buffer, s.index):
                continue
            if uses[before.target] == uses[step.target] == 1:
                yield s, before, step.op


def with_split(kernel: Kernel) -> Kernel:
    """The kernel, with `splittable` and `reduces` as its body allows."""
    found = _analyse(kernel)
    return replace(kernel, splittable=found is not None, reduces=found or ())


def _analyse(kernel: Kernel) -> tuple[tuple[str, str], ...] | None:
    """(accumulated buffer, combining op) of each, or None where blocks would change the result."""
    body = kernel.body
    loop = main_loop(body)
    if loop is None:
        return None
    here, at = Index(loop.index), body.index(loop)
    dtypes = {b.name: b.dtype for b in kernel.buffers}
    accumulations = {id(write): (before, op) for write, before, op in _accumulations((loop,))}
    reduces: dict[str, str] = {}
    own: set[int] = set()  # loads of values that are only accumulated into
    for write in _writes([loop]):
        if here in write.index:
            continue
        if isinstance(write, StoreAdd):
            op = "or_" if dtypes[write.buffer].kind == "b" else "add"
        elif id(write) in accumulations:
            before, op = accumulations[id(write)]
            own.add(id(before))
        else:
            return None
        if reduces.setdefault(write.buffer, op) != op:
            return None
    rows = {w.buffer for w in _writes([loop])} - reduces.keys()
    for s in body[at + 1:]:
        folded = _folded_by(loop, s.value) if isinstance(s, Store) and isinstance(s.value, str) else None
        if not isinstance(s, Store) or folded not in COMBINED_BY:
            return None
        reduces[s.buffer] = folded
    if len({c.name for c in loop.carried}) != sum(isinstance(s, Store) for s in body[at + 1:]):
        return None
    read = {s.buffer for s in walk(body) if isinstance(s, Load) and id(s) not in own}
    started = {w.buffer for w in _writes(body[:at])}
    if started - reduces.keys() or read & reduces.keys() or rows & reduces.keys():
        return None
    return tuple(reduces.items())
