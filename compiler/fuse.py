"""Loop fusion, on loop nests: kernels that walk the same outer axis become one pass over it.

Two loops of the same extent may run as one where iteration i of the second touches only what iteration i of the first
wrote: for every buffer that either writes and both touch, one dimension is indexed by the loop variable in every access.
Inside a fused loop the inner loops are fused in turn. A value that was stored for the second loop is then handed over in a
register, and its buffer disappears.
"""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import ops  # noqa: F401  (declares the ops, whose costs are read)
from .loopnest import (
    Buffer,
    Convert,
    Index,
    IndexExpr,
    IndexOp,
    Kernel,
    Let,
    Literal,
    Load,
    Loop,
    Operand,
    Statement,
    Store,
    StoreAdd,
    walk,
)
from .op import get
from .split import with_split

__all__ = ["fuse_kernels"]

Body = tuple[Statement, ...]
TRIED = 16  # earlier loops or kernels to try, the nearest first, so that the work stays linear


# ------------------------------------------------------------------------------------------------ what statements touch
def accesses(statements: Sequence[Statement]) -> Iterator[tuple[str, tuple[IndexExpr, ...], bool]]:
    """(buffer, index, is it written) of every access."""
    for s in walk(tuple(statements)):
        if isinstance(s, Load):
            yield s.buffer, s.index, False
        elif isinstance(s, Store | StoreAdd):
            yield s.buffer, s.index, True


def index_names(index: IndexExpr) -> Iterator[str]:
    """The names in an index expression."""
    stack = [index]
    while stack:
        item = stack.pop()
        if isinstance(item, Index):
            yield item.name
        elif isinstance(item, IndexOp):
            stack += [item.left, item.right]


def reads(statement: Statement) -> set[str]:
    """The names that a statement (with all it contains) uses, its own included where it is a loop."""
    found: set[str] = set()
    for s in walk((statement,)):
        if isinstance(s, Let):
            found.update(a for a in s.args if isinstance(a, str))
        elif isinstance(s, Loop):
            found.update(c.initial for c in s.carried if isinstance(c.initial, str))
            found.update(c.update for c in s.carried)
        elif isinstance(s, Convert):
            found.update(index_names(s.index))
        else:
            for index in s.index:
                found.update(index_names(index))
            if isinstance(s, Load):
                found.update([s.when] if s.when else [])
            elif isinstance(s.value, str):
                found.add(s.value)
    return found


def defines(statement: Statement) -> set[str]:
    """The names that a statement makes visible after it."""
    if isinstance(statement, Loop):
        return {c.name for c in statement.carried}
    return {statement.target} if isinstance(statement, Let | Load | Convert) else set()


@dataclass
class Touched:
    """The buffers that statements read and write."""

    read: set[str]
    written: set[str]

    @classmethod
    def of(cls, *statements: Statement) -> Touched:
        found = cls(set(), set())
        for buffer, _, is_write in accesses(statements):
            (found.written if is_write else found.read).add(buffer)
        return found

    def conflicts(self, other: Touched) -> bool:
        """Whether the order of the two matters."""
        return not (self.written.isdisjoint(other.read) and self.written.isdisjoint(other.written) and self.read.isdisjoint(other.written))

    def join(self, other: Touched) -> None:
        self.read |= other.read
        self.written |= other.written


# ------------------------------------------------------------------------------------------------ renaming
def rename_index(index: IndexExpr, names: Mapping[str, Operand]) -> IndexExpr:
    if isinstance(index, Index):
        new = names.get(index.name, index.name)
        return Index(new) if isinstance(new, str) else int(new.value)
    if isinstance(index, IndexOp):
        return IndexOp(index.op, rename_index(index.left, names), rename_index(index.right, names))
    return index


def rename(body: Sequence[Statement], names: Mapping[str, Operand]) -> Body:
    """Statements with names (not those that they define) replaced."""
    def operand(value: Operand) -> Operand:
        return _resolved(value, names)

    def name(value: str) -> str:
        return _name(value, names)

    done: list[Statement] = []
    for s in body:
        if isinstance(s, Let):
            done.append(replace(s, args=tuple(map(operand, s.args))))
        elif isinstance(s, Convert):
            done.append(replace(s, index=rename_index(s.index, names)))
        elif isinstance(s, Load):
            when = None if s.when is None else name(s.when)
            done.append(replace(s, index=tuple(rename_index(i, names) for i in s.index), when=when))
        elif isinstance(s, Store | StoreAdd):
            done.append(replace(s, index=tuple(rename_index(i, names) for i in s.index), value=operand(s.value)))
        else:
            carried = tuple(replace(c, initial=operand(c.initial), update=name(c.update)) for c in s.carried)
            done.append(replace(s, index=name(s.index), body=rename(s.body, names), carried=carried))
    return tuple(done)


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


# ------------------------------------------------------------------------------------------------ clean-up of one body
class _Forwarding:
    """Loads of what was just stored become the value; loads and scalar ops that repeat one in scope become that one."""

    def __init__(self) -> None:
        self.names: dict[str, Operand] = {}  # what a name was replaced by
        self.stored: dict[str, dict[tuple[IndexExpr, ...], Operand]] = {}  # by buffer and index
        self.loads: dict[str, dict[Load, str]] = {}  # by buffer
        self.known: dict[Statement, str] = {}

    def body(self, body: Body) -> Body:
        done: list[Statement] = []
        for original in body:
            if isinstance(original, Loop):
                done.append(self.loop(original))
                continue
            (s,) = rename((original,), self.names)
            if isinstance(s, Load) and s.when is None and s.index in self.stored.get(s.buffer, {}):
                self.names[s.target] = self.stored[s.buffer][s.index]
            elif isinstance(s, Load | Let | Convert):
                known: dict[Any, str] = self.loads.setdefault(s.buffer, {}) if isinstance(s, Load) else self.known
                key = replace(s, target="")
                if key in known and not (isinstance(s, Let) and s.reassociate):
                    self.names[s.target] = known[key]
                else:
                    known[key] = s.target
                    done.append(s)
            elif isinstance(s, Store | StoreAdd):
                same = self.stored.pop(s.buffer, {})
                self.loads.pop(s.buffer, None)
                if isinstance(s, Store):
                    self.stored[s.buffer] = {index: value for index, value in same.items() if _distinct(index, s.index)}
                    self.stored[s.buffer][s.index] = s.value
                done.append(s)
        return tuple(done)

    def loop(self, loop: Loop) -> Loop:
        """The loop; what its body defines is not in scope after it."""
        written = Touched.of(loop).written
        self._forget(written)
        known, loads = self.known.copy(), {buffer: found.copy() for buffer, found in self.loads.items()}
        initial = [_resolved(c.initial, self.names) for c in loop.carried]
        inside = self.body(loop.body)
        carried = tuple(replace(c, initial=i, update=_name(c.update, self.names)) for c, i in zip(loop.carried, initial, strict=True))
        self._forget(written)
        self.known, self.loads = known, loads
        return replace(loop, body=inside, carried=carried)

    def _forget(self, buffers: set[str]) -> None:
        for buffer in buffers:
            self.stored.pop(buffer, None)
            self.loads.pop(buffer, None)


def _resolved(value: Operand, names: Mapping[str, Operand]) -> Operand:
    return names.get(value, value) if isinstance(value, str) else value


def _name(value: str, names: Mapping[str, Operand]) -> str:
    new = names.get(value, value)
    assert isinstance(new, str)
    return new


def _distinct(left: tuple[IndexExpr, ...], right: tuple[IndexExpr, ...]) -> bool:
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(left, right, strict=True))


def without_stores(body: Body, dead: set[str]) -> Body:
    """Without writes to buffers that nobody reads, and without loops that then do nothing."""
    done: list[Statement] = []
    for s in body:
        if isinstance(s, Store | StoreAdd) and s.buffer in dead:
            continue
        if isinstance(s, Loop):
            s = replace(s, body=without_stores(s.body, dead))
            if not s.body and not s.carried:
                continue
        done.append(s)
    return tuple(done)


# ------------------------------------------------------------------------------------------------ fusion of kernels
def cost(kernel: Kernel) -> float:
    """What a kernel's statements cost once, in additions."""
    return sum(get(s.op).cost if isinstance(s, Let) else 1.0 for s in walk(kernel.body))


def fuse_kernels(kernels: Sequence[Kernel], kept: Collection[str], largest: float = math.inf) -> list[Kernel]:
    """Fuse kernels that run one after another, with nothing between them.

    Args:
        kept: buffers that are read by something else later: never removed.
        largest: what a fused kernel may cost.
    """
    fused: list[Kernel] = []
    costs: list[float] = []
    touching: dict[str, list[int]] = {}
    last_read: dict[str, int] = {}
    last_written: dict[str, int] = {}
    for kernel in kernels:
        touched, price = Touched.of(*kernel.body), cost(kernel)
        # the last kernel that it conflicts with: it may be fused with that one, and cannot move past it
        barrier = max([last_written.get(b, -1) for b in touched.read | touched.written] + [last_read.get(b, -1) for b in touched.written],
                      default=-1)
        near = {p for b in touched.read | touched.written for p in touching.get(b, ())[-TRIED:] if p >= barrier}
        for position in sorted(near, reverse=True)[:TRIED]:
            joined = _fuse_pair(fused[position], kernel) if costs[position] + price <= largest else None
            if joined is not None:
                fused[position] = joined
                costs[position] += price
                break
        else:
            position = len(fused)
            fused.append(kernel)
            costs.append(price)
        for names, last in (touched.read, last_read), (touched.written, last_written):
            for b in names:
                last[b] = max(last.get(b, -1), position)
                if position not in touching.setdefault(b, [])[-TRIED:]:
                    touching[b].append(position)
    users = Counter(b.name for k in fused for b in k.buffers)
    return [_tidy(k, {b.name for b in k.buffers if users[b.name] == 1 and b.name not in kept}) for k in fused]


def _fuse_pair(first: Kernel, second: Kernel) -> Kernel | None:
    body = fuse_list((*first.body, *second.body))
    loops = [sum(isinstance(s, Loop) for s in k) for k in (first.body, second.body, body)]
    if loops[2] >= loops[0] + loops[1]:
        return None
    buffers: dict[str, Buffer] = {b.name: b for b in first.buffers}
    for b in second.buffers:
        known = buffers.get(b.name)
        buffers[b.name] = b if known is None else replace(known, written=known.written or b.written)
    sizes = tuple(dict.fromkeys((*first.sizes, *second.sizes)))
    return Kernel(first.name, tuple(buffers.values()), sizes, body)


def _tidy(kernel: Kernel, removable: set[str]) -> Kernel:
    """Without repeated loads and computations, and without the `removable` buffers that nothing reads any more."""
    body = _Forwarding().body(kernel.body)
    while True:
        loaded = {n for n, _, w in accesses(body) if not w} | {s.buffer for s in walk(body) if isinstance(s, StoreAdd)}
        dead = {b.name for b in kernel.buffers if b.written and b.name in removable and b.name not in loaded}
        smaller = without_stores(body, dead)
        if smaller == body:
            break
        body = smaller
    used = {n for n, _, _ in accesses(body)}
    return with_split(replace(kernel, body=body, buffers=tuple(b for b in kernel.buffers if b.name in used)))
