"""Loop fusion, on loop nests: kernels that walk the same outer axis become one pass over it.

Two loops of the same extent may run as one where iteration i of the second touches only what iteration i of the first
wrote: for every buffer that either writes and both touch, one dimension is indexed by the loop variable in every access.
Inside a fused loop the inner loops are fused in turn. A value that was stored for the second loop is then handed over in a
register, and its buffer disappears. A loop that only reduces, and ends a known number of iterations before the other, runs
as long under a mask; `peel` cuts the fused loop there.
"""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from .loopnest import Buffer, Carried, Convert, Index, IndexExpr, Kernel, Let, Literal, Load, Loop, Names, Statement, Store, StoreAdd, walk
from .ops.rules import BOOL, INT64
from .sizes import Size
from .split import main_loop
from .statements import Body, Touched, accesses, cost, defines, reads, rename
from .tidy import tidy

__all__ = ["fuse_kernels"]

FEW = 16  # iterations by which one loop may be longer than another that runs with it
TRIED = 16  # earlier loops or kernels to try, the nearest first, so that the work stays linear


# ------------------------------------------------------------------------------------------------ fusion of loops
def row_local(first: Loop, second: Loop) -> bool:
    """Whether iteration i of the second loop touches only slices i of what the first touches; same loop variable."""
    here = Index(first.index)
    touched: dict[str, list[tuple[IndexExpr, ...]]] = {}
    for buffer, index, _ in accesses((first, second)):
        touched.setdefault(buffer, []).append(index)
    one, other = Touched.of(first), Touched.of(second)
    shared = one.written & (other.read | other.written) | one.read & other.written
    return all(any(all(index[axis] == here for index in touched[buffer]) for axis in range(len(touched[buffer][0]))) for buffer in shared)


def aligned(first: Loop, second: Loop) -> Loop | None:
    """The second loop with the variable of the first, where the two may run as one."""
    if first.extent != second.extent:
        return None
    (second,) = rename((second,), {second.index: first.index})  # type: ignore[assignment]
    return second if row_local(first, second) else None


def fuse_loops(first: Loop, second: Loop) -> Loop | None:
    """The two as one, or None."""
    found = aligned(first, second)
    if found is None:
        return None
    second = found
    return Loop(first.index, first.extent, fuse_list((*first.body, *second.body)), first.carried + second.carried)


def held(body: Sequence[Statement]) -> set[str]:
    """The buffers that are filled with their first value, and then accumulated into across the iterations of another loop.

    Where such a fill became part of a loop, the accumulating loop could not be fused with that one.
    """
    found: set[str] = set()
    fills: dict[str, Loop] = {}
    for s in body:
        if not isinstance(s, Loop):
            continue
        touched = Touched.of(s)
        found |= {b for b in touched.read | touched.written if b in fills and aligned(fills[b], s) is None}
        if all(isinstance(inner, Loop) or (isinstance(inner, Store) and isinstance(inner.value, Literal)) for inner in walk((s,))):
            fills.update(dict.fromkeys(touched.written, s))
    return found


def fuse_list(body: Body) -> Body:
    """Fuse every loop of a list into an earlier one where it may move there."""
    done = list(body)
    kept_apart = held(done)

    def fusible(statement: Statement) -> bool:
        return isinstance(statement, Loop) and (not kept_apart or kept_apart.isdisjoint(_filled(statement)))

    position = 0
    while position < len(done):
        loop = done[position]
        if isinstance(loop, Loop) and fusible(loop):
            tried = 0
            for earlier in range(position - 1, -1, -1):
                target = done[earlier]
                if isinstance(target, Loop) and tried < TRIED and fusible(target):
                    tried += 1
                    moved = _move_up(done, earlier, position) if target.extent == loop.extent else None
                    if moved is not None:
                        done = moved
                        position = earlier
                        break
        position += 1
    return tuple(done)


def _filled(loop: Loop) -> set[str]:
    """The buffers to which a loop writes constants."""
    return {s.buffer for s in walk((loop,)) if isinstance(s, Store) and isinstance(s.value, Literal)}


def _move_up(body: list[Statement], earlier: int, later: int) -> list[Statement] | None:
    """The list with loop `later` fused into loop `earlier`, what it needs from between moved before both."""
    target, loop = body[earlier], body[later]
    assert isinstance(target, Loop)
    assert isinstance(loop, Loop)
    needed, moving = reads(loop), Touched.of(loop)
    up: list[Statement] = []
    stay: list[Statement] = []
    for statement in reversed(body[earlier + 1: later]):
        touched = Touched.of(statement)
        if defines(statement) & needed or touched.conflicts(moving):
            up.append(statement)
            needed |= reads(statement)
            moving.join(touched)
        else:
            stay.append(statement)
    if defines(target) & needed or Touched.of(target, *stay).conflicts(Touched.of(*up)):
        return None
    fused = fuse_loops(target, loop)
    if fused is None:
        return None
    return [*body[:earlier], *reversed(up), fused, *reversed(stay), *body[later + 1:]]


# ------------------------------------------------------------------------------------------------ loops of nearly the same extent
def _of_one_extent(first: Kernel, second: Kernel, names: Names) -> tuple[Kernel, Kernel]:
    """The two kernels; where their main loops differ by a few iterations and the shorter one only reduces, it is as long."""
    one, other = main_loop(first.body), main_loop(second.body)
    if one is None or other is None:
        return first, second
    longer = other.extent - one.extent
    if isinstance(longer, int) and 0 < longer <= FEW:
        return _lengthened(first, one, other.extent, names), second
    if isinstance(longer, int) and -FEW <= longer < 0:
        return first, _lengthened(second, other, one.extent, names)
    return first, second


def _lengthened(kernel: Kernel, loop: Loop, extent: Size, names: Names) -> Kernel:
    """The kernel with its main loop over a larger extent: what it carries stays as it is there, and nothing is read."""
    if not loop.carried or any(isinstance(s, Loop | Store | StoreAdd) for s in loop.body):
        return kernel
    dtypes = {b.name: b.dtype for b in kernel.buffers}
    number, inside = names.fresh(), names.fresh("inside")
    body: list[Statement] = [Convert(number, Index(loop.index))]
    if isinstance(loop.extent, int):
        body.append(Let(inside, "lt", (number, Literal(loop.extent, INT64)), BOOL))
    else:
        end = names.fresh()
        body += [Convert(end, loop.extent), Let(inside, "lt", (number, end), BOOL)]
    for s in loop.body:
        if isinstance(s, Load) and s.when is None:
            zero = Literal(False if dtypes[s.buffer].kind == "b" else 0, dtypes[s.buffer])
            s = replace(s, when=inside, otherwise=zero)
        elif isinstance(s, Load):
            assert s.when is not None
            both = names.fresh()
            body.append(Let(both, "and_", (inside, s.when), BOOL))
            s = replace(s, when=both)
        body.append(s)
    carried: list[Carried] = []
    for c in loop.carried:
        chosen = names.fresh(c.name)
        body.append(Let(chosen, "where", (inside, c.update, c.name), c.dtype))
        carried.append(replace(c, update=chosen))
    longer = Loop(loop.index, extent, tuple(body), tuple(carried))
    return replace(kernel, body=tuple(longer if s is loop else s for s in kernel.body))


# ------------------------------------------------------------------------------------------------ fusion of kernels
def fuse_kernels(kernels: Sequence[Kernel], kept: Collection[str], largest: float = math.inf) -> list[Kernel]:
    """Fuse kernels that run one after another, with nothing between them.

    Args:
        kept: buffers that are read by something else later: never removed.
        largest: what a fused kernel may cost.
    """
    run = _Run(largest, Names.beside(*kernels))
    for kernel in kernels:
        run.add(_Entry(kernel, Touched.of(*kernel.body), cost(kernel.body)))
    fused = [entry.kernel for entry in run.entries if entry is not None]
    users = Counter(b.name for k in fused for b in k.buffers)
    return [tidy(k, {b.name for b in k.buffers if users[b.name] == 1 and b.name not in kept}) for k in fused]


@dataclass
class _Entry:
    kernel: Kernel
    touched: Touched
    cost: float


class _Run:
    """Kernels in order, fused as they come: each with an earlier one, and that one with others before it in turn."""

    def __init__(self, largest: float, names: Names) -> None:
        self.largest, self.names = largest, names
        self.entries: list[_Entry | None] = []  # None: became part of an earlier one
        self.touching: dict[str, list[int]] = {}
        self.last_read: dict[str, int] = {}
        self.last_written: dict[str, int] = {}

    def add(self, entry: _Entry) -> None:
        """The next kernel."""
        touched = entry.touched
        # the last kernel that it conflicts with: it may be fused with that one, and cannot move past it
        barrier = max([self.last_written.get(b, -1) for b in touched.read | touched.written]
                      + [self.last_read.get(b, -1) for b in touched.written], default=-1)
        near = {p for b in touched.read | touched.written for p in self.touching.get(b, ())[-TRIED:] if p >= barrier}
        for position in sorted(near, reverse=True)[:TRIED]:
            if self._join(position, entry):
                while (earlier := self._before(position)) is not None:
                    position = earlier
                return
        self.entries.append(entry)
        self._note(touched, len(self.entries) - 1)

    def _join(self, position: int, entry: _Entry) -> bool:
        first = self.entries[position]
        if first is None or first.cost + entry.cost > self.largest:
            return False
        joined = _fuse_pair(first.kernel, entry.kernel, self.names)
        if joined is None:
            return False
        first.touched.join(entry.touched)
        self.entries[position] = _Entry(joined, first.touched, first.cost + entry.cost)
        self._note(entry.touched, position)
        return True

    def _before(self, position: int) -> int | None:
        """Where the kernel at a position went, if what was joined to it lets it be fused with one before it."""
        entry = self.entries[position]
        assert entry is not None
        for earlier in range(position - 1, max(-1, position - 1 - TRIED), -1):
            other = self.entries[earlier]
            if other is None:
                continue
            if (other.touched.read | other.touched.written) & (entry.touched.read | entry.touched.written) and self._join(earlier, entry):
                self.entries[position] = None
                for names, last in (entry.touched.read, self.last_read), (entry.touched.written, self.last_written):
                    last.update({b: earlier for b in names if last[b] == position})
                return earlier
            if other.touched.conflicts(entry.touched):
                return None
        return None

    def _note(self, touched: Touched, position: int) -> None:
        for names, last in (touched.read, self.last_read), (touched.written, self.last_written):
            for b in names:
                last[b] = max(last.get(b, -1), position)
                if position not in self.touching.setdefault(b, [])[-TRIED:]:
                    self.touching[b].append(position)


def _fuse_pair(first: Kernel, second: Kernel, names: Names) -> Kernel | None:
    first, second = _of_one_extent(first, second, names)
    body = fuse_list((*first.body, *second.body))
    loops = [sum(isinstance(s, Loop) for s in k) for k in (first.body, second.body, body)]
    if loops[2] >= loops[0] + loops[1] > 0:
        return None
    buffers: dict[str, Buffer] = {b.name: b for b in first.buffers}
    for b in second.buffers:
        known = buffers.get(b.name)
        buffers[b.name] = b if known is None else replace(known, written=known.written or b.written)
    sizes = tuple(dict.fromkeys((*first.sizes, *second.sizes)))
    return Kernel(first.name, tuple(buffers.values()), sizes, body)
