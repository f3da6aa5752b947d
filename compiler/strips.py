"""Rows in strips: what is computed once for each row is computed for a strip of rows at a time.

Where a row has loops of its own (a dot product, and later its share of a gradient), an exponential between them would be
evaluated for one row at a time, without vectors. So the loop over rows is run in strips of a few rows, small enough to stay
in cache: one loop over the strip for what comes before, one for the expensive part, one for what comes after. What passes
from one to the next is kept in a short array. Rows do not depend on each other, and each is computed as before.

A loop that adds at computed places (a scatter) has no vectors either, as two iterations may meet in one place. What it adds is
computed for a strip at a time, in vectors, and then added in the order of the loop.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .loopnest import Buffer, Convert, Index, IndexOp, Let, Load, Loop, Statement, Store, StoreAdd, names_of
from .op import get
from .sizes import Size
from .statements import Touched, accesses, defines, reads, rename

__all__ = ["FEWEST", "LARGE_STRIP", "ROWS", "SIDE_BY_SIDE", "STRIP", "Strips", "strips"]

ROWS = 64  # at most, in a strip
STRIP = 4096  # elements of the rows of a strip, which stay in the first cache
SIDE_BY_SIDE, FEWEST = 512, 64  # rows of a strip, at most and at least, where they lie side by side
LARGE_STRIP = 1 << 18  # elements of the rows of such a strip, which stay in the second cache
DEAR = 12.0  # additions; from here on what is computed for each row pays for loops of its own


@dataclass(frozen=True, slots=True)
class Strips:
    """A loop over rows, as loops over the rows of a strip.

    Attributes:
        phases: loops that have the index of the whole one, to be run over the same strip one after another.
        first: the name of the first row of the strip.
        local: arrays of `ROWS` elements for one strip.
        elements: how many iterations the inner loops of one row have.
        across: whether the loops over rows are inside those of a row (see `across`).
    """

    phases: tuple[Loop, ...]
    first: str
    local: tuple[Buffer, ...]
    elements: Size
    across: bool = False


def strips(loop: Loop, buffers: Mapping[str, Buffer]) -> Strips | None:
    """The phases of a loop whose iterations are independent but for its carried values; None where one loop will do."""
    parts = _parts(loop.body)
    if len(parts) < 2:
        return None
    home = {name: number for number, part in enumerate(parts) for s in part for name in defines(s)}
    used = [set[str]().union(*(reads(s) for s in part)) for part in parts]
    carried: list[list[int]] = [[] for _ in parts]
    for number, c in enumerate(loop.carried):
        if c.update not in home or {p for p, names in enumerate(used) if c.name in names} - {home[c.update]}:
            return None
        carried[home[c.update]].append(number)
    first = f"{loop.index}.first"
    place = (IndexOp("-", Index(loop.index), Index(first)),)
    dtypes = _dtypes(loop.body, buffers)
    crossing = {name for p, names in enumerate(used) for name in names if home.get(name, p) < p}
    local = {name: Buffer(f"{name}.rows", dtypes[name], 1, written=True, contiguous=True) for name in sorted(crossing)}
    phases = []
    for number, part in enumerate(parts):
        loaded = {name: f"{name}.{number}" for name in sorted(used[number] & crossing) if home[name] < number}
        body = [*(Load(target, local[name].name, place) for name, target in loaded.items()), *rename(part, dict(loaded)),
                *(Store(local[name].name, place, name) for name in sorted(crossing) if home[name] == number)]
        own = tuple(replace(loop.carried[k], initial=loop.carried[k].name) for k in carried[number])
        phases.append(replace(loop, body=tuple(body), carried=own))
    inner = sum((s.extent for s in loop.body if isinstance(s, Loop)), start=0)
    return Strips(tuple(phases), first, tuple(local.values()), inner)


def _parts(body: Sequence[Statement]) -> list[list[Statement]]:
    """The body in parts: expensive values of a row apart from its loops; cheap ones go with what is before them."""
    parts: list[list[Statement]] = [[]]
    row: list[Statement] = []

    def finish(before_loop: bool) -> None:
        dear = sum(get(s.op).cost for s in row if isinstance(s, Let)) >= DEAR
        if dear and any(isinstance(s, Loop) for s in parts[-1]):
            parts.append([])
        parts[-1].extend(row)
        if dear and before_loop:
            parts.append([])
        row.clear()

    for s in body:
        if isinstance(s, Loop):
            finish(before_loop=True)
            parts[-1].append(s)
        else:
            row.append(s)
    finish(before_loop=False)
    return parts if any(isinstance(s, Loop) for s in body) else _scattered(body)


def _scattered(body: Sequence[Statement]) -> list[list[Statement]]:
    """What is expensive, apart from what is added at computed places."""
    computed = {s.target for s in body if isinstance(s, Let | Load)}
    scatters = [s for s in body if isinstance(s, StoreAdd) and any(name in computed for i in s.index for name in names_of(i))]
    rest = [s for s in body if not any(s is x for x in scatters)]
    apart = Touched.of(*scatters).written.isdisjoint(buffer for buffer, _, _ in accesses(rest))
    dear = sum(get(s.op).cost for s in rest if isinstance(s, Let)) >= DEAR
    return [rest, list(scatters)] if scatters and apart and dear else [list(body)]


def _dtypes(body: Collection[Statement], buffers: Mapping[str, Buffer]) -> dict[str, np.dtype]:
    """The element types of the names that a body defines at its own level."""
    found: dict[str, np.dtype] = {}
    for s in body:
        if isinstance(s, Let):
            found[s.target] = s.dtype
        elif isinstance(s, Load):
            found[s.target] = buffers[s.buffer].dtype
        elif isinstance(s, Convert):
            found[s.target] = np.dtype(np.int64)
        elif isinstance(s, Loop):
            found.update({c.name: c.dtype for c in s.carried})
    return found
