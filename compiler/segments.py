"""A long kernel without loops, cut into segments that are functions of their own.

The time that LLVM takes for a function grows faster than the function: its register allocator looks at all values that
are alive at once. In segments of limited length the time is proportional to the whole. What a later segment uses, an
earlier one leaves in a *frame*, one array for each dtype that lasts as long as a run of the kernel.

Code that repeats itself, as that of an unrolled loop does, is cut where it begins again (`repeats`), and values have
places in the order in which they are made. A segment sees a frame through *windows*, each a stretch of places. So the
segments of a loop differ in the beginnings of their windows only, and one function serves them all.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .loopnest import Buffer, Convert, Kernel, Let, Load, Loop, Names, Statement, Store
from .repeats import repeats
from .statements import accesses, reads

__all__ = ["LENGTH", "Frame", "Segment", "segments"]

LENGTH = 2000  # statements of a segment
TURNS = 4  # by so much segments of a loop are shorter, since one function serves many; its ways back may have longer turns by so much
APART = 64  # places between windows


@dataclass(frozen=True, slots=True)
class Frame:
    """The memory of values that go from segment to segment: `length` elements of a dtype."""

    name: str
    dtype: np.dtype
    length: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a kernel.

    Attributes:
        kernel: its buffers are some of the whole's, then windows.
        windows: of each window, in order, its frame's name and the place at which it begins.
    """

    kernel: Kernel
    windows: tuple[tuple[str, int], ...]


def segments(kernel: Kernel) -> tuple[tuple[Segment, ...], tuple[Frame, ...]] | None:
    """The kernel as shorter ones, to be run one after the other, with the frames that they share.

    None where it is not longer than two of them, or has loops. A few visits of each statement.
    """
    body = kernel.body
    if len(body) <= 2 * LENGTH or any(isinstance(s, Loop) for s in body):
        return None
    bounds = _bounds(body)
    pieces = [body[start:stop] for start, stop in zip([0, *bounds], [*bounds, len(body)], strict=True)]
    dtypes = {b.name: b.dtype for b in kernel.buffers}
    made = {s.target: (number, _dtype(s, dtypes)) for number, piece in enumerate(pieces) for s in piece
            if isinstance(s, Let | Load | Convert)}
    last = {name: number for number, piece in enumerate(pieces) for s in piece for name in reads(s)}
    crossing = [name for name in made if name in last and made[name][0] < last[name]]

    names = Names.beside(kernel)
    frames: dict[np.dtype, Frame] = {}
    places: dict[str, tuple[str, int]] = {}  # the frame and the place in it
    for name in crossing:
        dtype = made[name][1]
        frame = frames.get(dtype) or Frame(names.fresh("frame"), dtype, 0)
        places[name] = frame.name, frame.length
        frames[dtype] = replace(frame, length=frame.length + 1)
    done: list[Segment] = []
    for number, piece in enumerate(pieces):
        statements: list[Statement] = []
        here: set[str] = set()
        for s in piece:  # loaded where it is first used, stored where it is made: few values are alive at once
            for name in sorted((name for name in reads(s) if made[name][0] < number and name not in here), key=places.__getitem__):
                statements.append(Load(name, places[name][0], places[name][1:]))
                here.add(name)
            statements.append(s)
            if isinstance(s, Let | Load | Convert) and s.target in places:
                statements.append(Store(places[s.target][0], places[s.target][1:], s.target))
        done.append(_windowed(replace(kernel, name=f"{kernel.name}_{number}", body=tuple(statements)), tuple(frames.values()), names))
    return tuple(done), tuple(frames.values())


def _bounds(body: Sequence[Statement]) -> list[int]:
    """Where a segment begins, the first one excepted: in a loop after the same number of turns again and again."""
    found = [r for r in repeats(body) if r.length <= LENGTH < r.stop - r.start]
    longest = max((r.length for r in found), default=1)
    turns = {r: max(1, LENGTH // TURNS // (longest if r.length * TURNS >= longest else r.length)) for r in found}
    bounds: list[int] = []
    at = 0
    for start, stop, step in [*((r.start, r.stop, turns[r] * r.length) for r in found), (len(body), len(body), 0)]:
        while start - at > LENGTH:
            bounds.append(at := at + LENGTH)
        if step and stop - start > step:
            bounds += range(max(start, 1), stop, step)
            at = bounds[-1]
    return bounds


def _windowed(kernel: Kernel, frames: Sequence[Frame], names: Names) -> Segment:
    """A segment that reads and writes frames, through windows."""
    begin: dict[tuple[str, int], int] = {}  # of each place, where its window begins
    used = {name for name, _, _ in accesses(kernel.body)}
    buffers = [b for b in kernel.buffers if b.name in used]
    windows: dict[tuple[str, int], str] = {}
    own = {frame.name: frame.dtype for frame in frames}
    touched = {(s.buffer, place) for s in kernel.body if isinstance(s, Load | Store) and s.buffer in own
               for place in s.index if isinstance(place, int)}
    before: tuple[str, int] = "", 0
    for frame, place in sorted(touched):
        begin[frame, place] = begin[before] if frame == before[0] and place - before[1] <= APART else place
        before = frame, place
    body: list[Statement] = []
    for s in kernel.body:
        if isinstance(s, Load | Store) and s.buffer in own:
            (place,) = (k for k in s.index if isinstance(k, int))
            first = begin[s.buffer, place]
            window = windows.get((s.buffer, first)) or windows.setdefault((s.buffer, first), names.fresh("window"))
            s = replace(s, buffer=window, index=(place - first,))
        body.append(s)
    buffers += [Buffer(window, own[frame], 1, written=True, contiguous=True) for (frame, _), window in windows.items()]
    return Segment(replace(kernel, buffers=tuple(buffers), body=tuple(body)), tuple(windows))


def _dtype(statement: Let | Load | Convert, buffers: dict[str, np.dtype]) -> np.dtype:
    if isinstance(statement, Let):
        return statement.dtype
    return buffers[statement.buffer] if isinstance(statement, Load) else np.dtype(np.int64)
