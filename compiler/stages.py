"""Where the time of a compile goes: seconds by stage, for `stats` and for the status line of long compiles.

A pass runs inside `with stage(name)`. Its seconds go to the clock that the calling thread has started, if there is one;
while a stage runs inside another, the outer one stands still, so the seconds add up to the time that went by.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["STAGES", "Clock", "stage", "ticking"]

# Every name that `seconds` may have, in the order in which a program goes through them.
STAGES = {
    "trace": "the function is run on traced values",
    "lookup": "the program's key is computed, and looked for in the disk cache",
    "load": "an entry of the disk cache becomes a program that can be called",
    "import": "the passes and numba are imported, in the first compile of a process",
    "stabilise": "limits replace overflow and undefined values",
    "differentiate": "the graph of what is asked for is made",
    "simplify": "that graph is rewritten",
    "schedule": "which values get memory, and in which kernel each is computed",
    "lower": "kernels become loop nests",
    "fuse": "loop nests that share their outer axes become one",
    "emit": "loop nests become LLVM IR",
    "compile": "LLVM makes machine code",
    "store": "the program is written to the disk cache",
}


class Clock:
    """Seconds by stage of one piece of work. One thread runs it; another may read it meanwhile.

    Attributes:
        seconds: by stage, in the order of their first beginning.
        running: the stage that is under way, or nothing.
    """

    __slots__ = ("_since", "running", "seconds")

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.running, self._since = "", 0.0

    def switch(self, to: str) -> str:
        """Begin a stage, or none; the one that ends by it."""
        now, ended = time.perf_counter(), self.running
        if ended:
            self.seconds[ended] += now - self._since
        if to:
            self.seconds.setdefault(to, 0.0)
        self.running, self._since = to, now
        return ended


class _Active(threading.local):
    clock: Clock | None = None


_active = _Active()


@contextmanager
def ticking(clock: Clock) -> Iterator[Clock]:
    """Make this the clock of the calling thread."""
    before, _active.clock = _active.clock, clock
    try:
        yield clock
    finally:
        _active.clock = before


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Count what runs inside as this stage, a name of `STAGES`."""
    assert name in STAGES
    clock = _active.clock
    if clock is None:
        yield
        return
    before = clock.switch(name)
    try:
        yield
    finally:
        clock.switch(before)
