"""Where straight code repeats itself, as that of an unrolled loop does."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .loopnest import Let, Literal, Load, Statement

__all__ = ["Repeat", "repeats"]

WINDOWS = (32, 256, 1024)  # statements that must be the same again; longer than one turn of a loop
NEAR = 256  # a value made at most so many statements before is told by how many
LEAST = 4  # turns


@dataclass(frozen=True, slots=True)
class Repeat:
    """Statements [start, stop) are turns of `length` statements, one like the other."""

    start: int
    stop: int
    length: int


def repeats(body: Sequence[Statement]) -> list[Repeat]:
    """What repeats itself, in order, without overlap. Statements are the same where they do the same with what is near."""
    kinds = _kinds(body)
    best: list[Repeat] = []
    for window in WINDOWS:
        found = _of_window(kinds, window)
        if _covered(found) > _covered(best):
            best = found
    return best


def _covered(found: Sequence[Repeat]) -> int:
    return sum(r.stop - r.start for r in found)


def _kinds(body: Sequence[Statement]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A number for each statement, equal where they are the same."""
    numbers: dict[tuple[Any, ...], int] = {}
    made: dict[str, int] = {}
    kinds = []
    for at, s in enumerate(body):
        if isinstance(s, Let):
            near = tuple((str(a.value) if isinstance(a, Literal) else at - made.get(a, -NEAR) if at - made.get(a, -NEAR) < NEAR else None)
                         for a in s.args)
            kind: tuple[Any, ...] = s.op, s.dtype.char, near
            made[s.target] = at
        else:
            kind = (type(s).__name__,)
            if isinstance(s, Load):
                made[s.target] = at
        kinds.append(numbers.setdefault(kind, len(numbers)))
    return np.random.default_rng(0).integers(1, 1 << 63, len(numbers), np.uint64)[kinds]


def _of_window(kinds: np.ndarray[Any, np.dtype[np.uint64]], window: int) -> list[Repeat]:
    """Stretches in which every window was seen before, always at the same distance: one turn. By rolling hashes."""
    if len(kinds) < 2 * window:
        return []
    base = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse
    inverse = np.uint64(pow(int(base), -1, 1 << 64))
    powers, inverses = (np.cumprod(np.full(len(kinds), b, np.uint64)) for b in (base, inverse))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(kinds * powers, dtype=np.uint64)])
    count = len(kinds) - window + 1
    hashes = (sums[window:] - sums[:count]) * inverses[:count]
    order = np.argsort(hashes, kind="stable")
    again = hashes[order[1:]] == hashes[order[:-1]]
    distance = np.zeros(count, np.int64)
    distance[order[1:][again]] = (order[1:] - order[:-1])[again]
    edges = np.flatnonzero(np.diff(distance)) + 1
    found: list[Repeat] = []
    done = 0
    for first, past in zip([0, *edges.tolist()], [*edges.tolist(), count], strict=True):
        length = int(distance[first])
        start = max(done, first - length)
        turns = (past + window - 1 - start) // length if length else 0
        if length and past - first >= length and turns >= LEAST:
            found.append(Repeat(start, start + turns * length, length))
            done = found[-1].stop
    return found
