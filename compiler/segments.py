"""A long kernel without loops, cut into segments that are functions of their own.

The time that LLVM takes for a function grows faster than the function: its register allocator looks at all values that
are alive at once. In segments of limited length the time is proportional to the whole. What a later segment uses, an
earlier one leaves in a *frame*, one array for each dtype that lasts as long as a run of the kernel.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .loopnest import Buffer, Convert, Kernel, Let, Load, Loop, Names, Statement, Store
from .statements import accesses, reads

__all__ = ["LENGTH", "Frame", "segments"]

LENGTH = 2000  # statements of a segment


@dataclass(frozen=True, slots=True)
class Frame:
    """The memory of values that go from segment to segment: `length` elements, read and written as `buffer`."""

    buffer: Buffer
    length: int


def segments(kernel: Kernel) -> tuple[tuple[Kernel, ...], tuple[Frame, ...]] | None:
    """The kernel as shorter ones, to be run one after the other, with the frames that they share.

    None where it is not longer than two of them, or has loops. One visit of each statement.
    """
    body, length = kernel.body, LENGTH
    if len(body) <= 2 * length or any(isinstance(s, Loop) for s in body):
        return None
    pieces = [body[at: at + length] for at in range(0, len(body), length)]
    dtypes = {b.name: b.dtype for b in kernel.buffers}
    made = {s.target: (number, _dtype(s, dtypes)) for number, piece in enumerate(pieces) for s in piece
            if isinstance(s, Let | Load | Convert)}
    last = {name: number for number, piece in enumerate(pieces) for s in piece for name in reads(s)}
    crossing = {name for name, number in last.items() if made[name][0] < number}

    names = Names.beside(kernel)
    frames: dict[np.dtype, _Slots] = {}
    for dtype in dict.fromkeys(made[name][1] for name in made if name in crossing):
        frames[dtype] = _Slots(Buffer(names.fresh("frame"), dtype, 1, written=True, contiguous=True))
    kernels = []
    places: dict[str, int] = {}
    buffers = {b.name: b for b in kernel.buffers} | {frame.buffer.name: frame.buffer for frame in frames.values()}
    for number, piece in enumerate(pieces):
        statements: list[Statement] = []
        here: set[str] = set()
        for s in piece:  # loaded where it is first used, stored where it is made: few values are alive at once
            for name in sorted(name for name in reads(s) if made[name][0] < number and name not in here):
                statements.append(Load(name, frames[made[name][1]].buffer.name, (places[name],)))
                here.add(name)
            statements.append(s)
            if isinstance(s, Let | Load | Convert) and s.target in crossing:
                frame = frames[made[s.target][1]]
                places[s.target] = frame.take()
                statements.append(Store(frame.buffer.name, (places[s.target],), s.target))
        for name in sorted(here):
            if last[name] == number:
                frames[made[name][1]].release(places.pop(name))
        used = {name for name, _, _ in accesses(statements)}
        kernels.append(replace(kernel, name=f"{kernel.name}_{number}", body=tuple(statements),
                               buffers=tuple(b for b in buffers.values() if b.name in used)))
    return tuple(kernels), tuple(Frame(frame.buffer, frame.length) for frame in frames.values())


def _dtype(statement: Let | Load | Convert, buffers: dict[str, np.dtype]) -> np.dtype:
    if isinstance(statement, Let):
        return statement.dtype
    return buffers[statement.buffer] if isinstance(statement, Load) else np.dtype(np.int64)


class _Slots:
    """Places in a frame: one that is free again is taken before a new one."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer, self.length = buffer, 0
        self.free: list[int] = []

    def take(self) -> int:
        if self.free:
            return self.free.pop()
        self.length += 1
        return self.length - 1

    def release(self, place: int) -> None:
        self.free.append(place)
