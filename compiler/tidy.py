"""Clean-up of a kernel's body: what was stored is handed over in a register, and what nobody reads is not stored."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from .loopnest import (
    Buffer,
    Carried,
    Convert,
    IndexExpr,
    Kernel,
    Let,
    Literal,
    Load,
    Loop,
    Names,
    Operand,
    Statement,
    Store,
    StoreAdd,
    names_of,
    walk,
)
from .split import with_split
from .statements import Body, Touched, accesses, defines, rename, renamed, resolved

__all__ = ["Forwarding", "in_registers", "promoted", "tidy"]


def promoted(kernel: Kernel) -> Kernel:
    """With sums into one element of memory as sums in a register: an accumulator of free order, stored after the loop.

    Not for loops of the outermost level, whose ranges may run apart.
    """
    buffers, names = {b.name: b for b in kernel.buffers}, Names.beside(kernel)
    return replace(kernel, body=tuple(
        replace(s, body=_promoted(s.body, buffers, names)) if isinstance(s, Loop) else s for s in kernel.body))


def _promoted(body: Body, buffers: dict[str, Buffer], names: Names) -> Body:
    done: list[Statement] = []
    for s in body:
        if isinstance(s, Loop):
            loop, after = in_registers(replace(s, body=_promoted(s.body, buffers, names)), buffers, names)
            done += [loop, *after]
        else:
            done.append(s)
    return tuple(done)


def in_registers(loop: Loop, buffers: dict[str, Buffer], names: Names) -> tuple[Loop, list[Statement]]:
    """A loop with sums into one element of memory as sums in a register, and what is to be done after it."""
    inside = {loop.index}
    for s in walk(loop.body):
        inside |= {s.index, *defines(s)} if isinstance(s, Loop) else defines(s)
    places: dict[str, list[tuple[IndexExpr, ...]]] = {}
    for s in loop.body:
        if isinstance(s, StoreAdd) and buffers[s.buffer].dtype.kind == "f" and inside.isdisjoint(_names_of(s.index)):
            places.setdefault(s.buffer, []).append(s.index)
    for buffer, index, _ in accesses(loop.body):
        if buffer in places and any(index != known and not _distinct(index, known) for known in places[buffer]):
            del places[buffer]  # also read, or added to at places that may be the same
    read = {s.buffer for s in walk(loop.body) if isinstance(s, Load | Store)}
    running: dict[tuple[str, tuple[IndexExpr, ...]], Carried] = {}
    body: list[Statement] = []
    for s in loop.body:
        if isinstance(s, StoreAdd) and s.buffer not in read and s.index in places.get(s.buffer, ()):
            dtype = buffers[s.buffer].dtype
            before = running.get((s.buffer, s.index)) or Carried(start := names.fresh("acc"), Literal(0, dtype), start, dtype)
            step = Let(names.fresh("acc"), "add", (before.update, s.value), dtype, reassociate=True)
            running[s.buffer, s.index] = replace(before, update=step.target)
            body.append(step)
        else:
            body.append(s)
    after: list[Statement] = [StoreAdd(buffer, index, carried.name) for (buffer, index), carried in running.items()]
    return replace(loop, body=tuple(body), carried=(*loop.carried, *running.values())), after


def _names_of(index: tuple[IndexExpr, ...]) -> set[str]:
    return {name for part in index for name in names_of(part)}


class Forwarding:
    """Loads of what was just stored become the value; loads and scalar ops that repeat one in scope become that one."""

    def __init__(self, kernel: Kernel) -> None:
        self.dtypes = {b.name: b.dtype for b in kernel.buffers}
        self.fresh = Names.beside(kernel)
        self.names: dict[str, Operand] = {}  # what a name was replaced by
        self.stored: dict[str, dict[tuple[IndexExpr, ...], Operand]] = {}  # by buffer and index
        self.loads: dict[str, dict[Load, str]] = {}  # by buffer
        self.known: dict[Any, str] = {}

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
                key = (s.op, s.args, s.dtype, s.reassociate) if isinstance(s, Let) else replace(s, target="")
                if key in known and not (isinstance(s, Let) and s.reassociate):
                    self.names[s.target] = known[key]
                else:
                    known[key] = s.target
                    done.append(s)
            elif isinstance(s, Store | StoreAdd):
                same = self.stored.pop(s.buffer, {})
                self.loads.pop(s.buffer, None)
                if isinstance(s, StoreAdd) and s.index in same and self.dtypes[s.buffer].kind != "b":
                    total = Let(self.fresh.fresh("sum"), "add", (same[s.index], s.value), self.dtypes[s.buffer])
                    done.append(total)
                    s = Store(s.buffer, s.index, total.target)
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
        initial = [resolved(c.initial, self.names) for c in loop.carried]
        inside = self.body(loop.body)
        carried = tuple(replace(c, initial=i, update=renamed(c.update, self.names)) for c, i in zip(loop.carried, initial, strict=True))
        self._forget(written)
        self.known, self.loads = known, loads
        return replace(loop, body=inside, carried=carried)

    def _forget(self, buffers: set[str]) -> None:
        for buffer in buffers:
            self.stored.pop(buffer, None)
            self.loads.pop(buffer, None)


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


def tidy(kernel: Kernel, removable: set[str]) -> Kernel:
    """Without repeated loads and computations, and without the `removable` buffers that nothing reads any more."""
    kernel = promoted(kernel)
    body = Forwarding(kernel).body(kernel.body)
    while True:
        loaded = {n for n, _, w in accesses(body) if not w} | {s.buffer for s in walk(body) if isinstance(s, StoreAdd)}
        dead = {b.name for b in kernel.buffers if b.written and b.name in removable and b.name not in loaded}
        smaller = without_stores(body, dead)
        if smaller == body:
            break
        body = smaller
    used = {n for n, _, _ in accesses(body)}
    return with_split(replace(kernel, body=body, buffers=tuple(b for b in kernel.buffers if b.name in used)))
