"""Rows side by side: a kernel whose arrays have their rows, not their columns, next to each other in memory.

Loops are made for arrays in C order: over the rows, and inside over the columns of each. Where most of what they touch lies the
other way round, the loop over rows is run in strips, and inside the loops over columns: what is computed for each row is then
computed for the rows of a strip side by side, along memory, and what a row hands from one loop to the next is in a short array.
Kernels are fused as for C order, so a strip is read from memory once.

Only the order in which rows and columns are met differs. A sum along a row has an accumulator for each row, and keeps its
order; a sum over rows adds up those of a strip, and then the strips.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from .loopnest import Buffer, Carried, Convert, Index, IndexOp, Kernel, Let, Load, Loop, Names, Operand, Statement, Store, walk
from .lower import plus, times
from .sizes import Size, floordiv
from .statements import Body, cost, defines, reads, rename, renamed
from .strips import Strips
from .tidy import in_registers

__all__ = ["across"]

TOGETHER = ((8, 24.0), (4, 60.0))  # columns at once, and what a loop over rows may cost for it
Ends = Sequence[tuple[str, Operand]]  # (name of a value of each row, what it becomes)


def across(loop: Loop, buffers: Mapping[str, Buffer]) -> Strips | None:
    """A loop over independent rows with loops inside, as loops over the rows of a strip, most of them inside the others.

    None where that cannot be: a carried value that is more than a sum (or a product, a maximum) over the rows.
    """
    chained = {c.name: c.update for c in loop.carried}
    body: Body | None = loop.body
    for c in loop.carried:
        body = None if body is None else _chained(body, c.name, c.update)
    if body is None or not any(isinstance(s, Loop) for s in body):
        return None
    made = _Rows(replace(loop, body=body), buffers, chained)
    phases = made.sunk(body)
    if phases is None or not all(isinstance(s, Loop) for s in phases):
        return None
    return Strips(tuple(s for s in phases if isinstance(s, Loop)), made.first, tuple(made.local.values()), _iterations(body), across=True)


def _iterations(body: Body) -> Size:
    """How many iterations the innermost loops of one row have."""
    total: Size = 0
    for s in body:
        if isinstance(s, Loop):
            inside = _iterations(s.body)
            total = total + s.extent * (1 if inside == 0 else inside)
    return total


def _chained(body: Body, name: str, update: str) -> Body | None:
    """The body with a value that is handed through inner loops under one name; None where it takes another way."""
    done: list[Statement] = []
    found = False
    for s in body:
        if isinstance(s, Loop):
            for c in s.carried:
                if c.name == update and c.initial == name:
                    inside = _chained(rename(s.body, {c.name: name}), name, c.update)
                    if inside is None:
                        return None
                    carried = tuple(Carried(name, name, c.update, c.dtype) if other is c else other for other in s.carried)
                    s, found = replace(s, body=inside, carried=carried), True
        elif isinstance(s, Let) and s.target == update:
            found = True
        done.append(s)
    return tuple(done) if found else None


class _Rows:
    """The loops over the rows of a strip.

    Attributes:
        local: the arrays of values that cross from one of these loops to another, by the values' names.
        first: the name of the first row of the strip.
    """

    def __init__(self, loop: Loop, buffers: Mapping[str, Buffer], chained: Mapping[str, str]) -> None:
        self.loop, self.buffers, self.first = loop, buffers, f"{loop.index}.first"
        self.names = Names.beside(Kernel("", tuple(buffers.values()), (), (loop,)))
        self.place = (IndexOp("-", Index(loop.index), Index(self.first)),)
        self.chained = set(chained)
        self.home: dict[str, int] = {}
        self.dtypes: dict[str, np.dtype] = {}
        self.local: dict[str, Buffer] = {}
        self.count = 0
        self._number(loop.body)
        self.crossing = self._crossing(loop.body)
        self.last = {c.name: c.update for c in loop.carried}
        for s in walk(loop.body):
            if isinstance(s, Loop):
                self.last.update((c.name, c.update) for c in s.carried if c.name in self.chained)
        self.count = 0

    def _number(self, body: Body) -> None:
        """Give each run of statements that are no loops its number, in order; note where names come from."""
        for run in _runs(body):
            if isinstance(run, Loop):
                self.dtypes.update((c.name, c.dtype) for c in run.carried)
                self._number(run.body)
                continue
            for s in run:
                self.home.update(dict.fromkeys(defines(s), self.count))
                if isinstance(s, Let):
                    self.dtypes[s.target] = s.dtype
                elif isinstance(s, Load):
                    self.dtypes[s.target] = self.buffers[s.buffer].dtype
                elif isinstance(s, Convert):
                    self.dtypes[s.target] = np.dtype(np.int64)
            self.count += 1

    def _crossing(self, body: Body) -> set[str]:
        """The values of each row that one loop over rows hands to another."""
        self.count = 0
        found: set[str] = set()

        def look(body: Body) -> None:
            for run in _runs(body):
                if isinstance(run, Loop):
                    last = _runs(run.body)[-1:]
                    own = [c for c in run.carried if c.name not in self.chained]
                    found.update(c.name for c in own)
                    found.update(c.initial for c in own if isinstance(c.initial, str) and c.initial in self.home)
                    look(run.body)
                    found.update(c.update for c in own if isinstance(last[0], Loop) or self.home.get(c.update) != self.count - 1)
                    continue
                used = set[str]().union(*map(reads, run))
                found.update(name for name in used if self.home.get(name, self.count) != self.count)
                self.count += 1

        look(body)
        return found - self.chained

    def sunk(self, body: Body, ends: Ends = ()) -> list[Statement] | None:
        """A body of one row as loops over the rows of a strip, the last of which also sets what each row hands on."""
        done: list[Statement] = []
        runs = _runs(body)
        for position, run in enumerate(runs):
            last = ends if position == len(runs) - 1 else ()
            if not isinstance(run, Loop):
                made = self.rows(run, last)
                if made is None:
                    return None
                done += made
                continue
            own = [c for c in run.carried if c.name not in self.chained]
            if own:
                done += self.handed([(c.name, c.initial) for c in own])
            inside = self.sunk(run.body, [(c.name, c.update) for c in own])
            if inside is None:
                return None
            carried = tuple(Carried(c.name, c.name, c.name, c.dtype) for c in run.carried if c.name in self.chained)
            done += self.together(replace(run, body=tuple(inside), carried=carried))
            if last:
                done += self.handed(last)
        return done

    def rows(self, run: Body, ends: Ends) -> list[Statement] | None:
        """The loop over rows for statements that are no loops."""
        number, self.count = self.count, self.count + 1
        own = {name for s in run for name in defines(s)}
        used = set[str]().union(*map(reads, run)) | {value for _, value in ends if isinstance(value, str)}
        if any(name in self.chained and self.last[name] not in own for name in used):
            return None
        known = {name: f"{name}.{number}" for name in sorted(used & self.crossing) if name not in own}
        ordered = (replace(s, reassociate=s.reassociate and not self.chained.isdisjoint(reads(s))) if isinstance(s, Let) else s
                   for s in run)
        statements: list[Statement] = [*(Load(target, self.array(name), self.place) for name, target in known.items()),
                                       *rename(tuple(ordered), dict(known)),
                                       *(Store(self.array(name), self.place, name) for name in sorted(own & self.crossing))]
        for name, value in ends:
            statements.append(Store(self.array(name), self.place, known.get(value, value) if isinstance(value, str) else value))
        carried = tuple(Carried(name, name, self.last[name], self.dtypes[self.last[name]])
                        for name in sorted(self.chained) if self.last[name] in own)
        loop = Loop(self.loop.index, self.loop.extent, tuple(statements), carried)
        made, after = in_registers(loop, dict(self.buffers), self.names)
        return [made, *after]

    def together(self, loop: Loop) -> list[Statement]:
        """A loop over columns with a loop over rows in it, for several columns at once, and for those that are left over.

        What is summed for each row then stays in a register meanwhile, and several columns are read from memory at a time.
        """
        rows, *after = loop.body
        if not isinstance(rows, Loop) or any(isinstance(s, Loop) for s in after) or rows.index != self.loop.index:
            return [loop]
        count = max((n for n, most in TOGETHER if cost(rows.body) <= most), default=1)
        if count == 1 or isinstance(loop.extent, int):
            return [loop]
        blocks = floordiv(loop.extent, count)
        column = self.names.fresh(loop.index)
        converted: list[Statement] = []
        bodies: list[Statement] = []
        carried = {c.name: c for c in rows.carried}
        last: list[Statement] = []
        running: dict[str, Operand] = {}
        for number in range(count):
            here = self.names.fresh(loop.index)
            converted.append(Convert(here, plus(times(Index(column), count), number)))
            known: dict[str, Operand] = {**running, loop.index: here}
            for c in rows.carried:
                if c.name not in self.chained and number:
                    known[c.name] = self.names.fresh(c.name)
            for s in rows.body:
                (s,) = rename((s,), known)
                if isinstance(s, Let | Load | Convert):
                    known[s.target] = target = self.names.fresh(s.target)
                    s = replace(s, target=target)
                bodies.append(s)
            for c in rows.carried:
                name = c.name if c.name in self.chained else renamed(c.name, known)
                carried[name] = replace(c, name=name, update=renamed(c.update, known))
                if c.name in self.chained:
                    running[c.name] = known.get(c.update, c.update)
            last += rename(tuple(after), known)
        inside = (*converted, replace(rows, body=tuple(bodies), carried=tuple(carried.values())), *last)
        rest = self.names.fresh(loop.index)
        moved = rename(loop.body, {loop.index: rest})
        left = replace(loop, extent=loop.extent - blocks * count, body=(Convert(rest, plus(Index(loop.index), blocks * count)), *moved))
        return [replace(loop, index=column, extent=blocks, body=inside), left]

    def handed(self, ends: Ends) -> list[Statement]:
        """A loop over rows that only sets what each row hands on."""
        known = {value: self.names.fresh(value) for _, value in ends if isinstance(value, str) and value in self.crossing}
        loads = [Load(target, self.array(name), self.place) for name, target in known.items()]
        stores = [Store(self.array(name), self.place, known.get(value, value) if isinstance(value, str) else value) for name, value in ends]
        return [Loop(self.loop.index, self.loop.extent, (*loads, *stores))]

    def array(self, name: str) -> str:
        """The array of a value of each row."""
        if name not in self.local:
            self.local[name] = Buffer(f"{name}.rows", self.dtypes[name], 1, written=True, contiguous=True)
        return self.local[name].name


def _runs(body: Body) -> list[Loop | Body]:
    """The loops of a body, and the statements between them."""
    found: list[Loop | Body] = []
    for _, run in groupby(body, key=lambda s: isinstance(s, Loop)):
        statements = tuple(run)
        found += [s for s in statements if isinstance(s, Loop)] or [statements]
    return found
