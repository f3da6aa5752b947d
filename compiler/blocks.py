"""Running a kernel in blocks of its main loop, on one thread or many, with the same result.

Blocks of a reducing kernel have bounds that depend on the sizes alone; each has its own copy of what the kernel reduces,
and the copies are combined in the order of the blocks. A kernel without reductions may be cut anywhere.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from .op import get

__all__ = ["BLOCK", "ORDERED", "WIDEST", "Spread", "block_bounds", "combine"]

BLOCK = 1 << 18  # statements; about a tenth of a millisecond, so that handing a block to a thread costs little beside it
MOST_BLOCKS = 256
WIDEST = 4096  # bytes of a row of results; longer ones are not written past the caches: a strip would not stay in the first one
ORDERED = 1 << 24  # bytes of results; from here on a kernel that may write them past the caches adds what it reduces strip by strip
MOST_COPIES = 1 << 24  # bytes of copies of what a kernel reduces
COPIED = 200  # statements for each byte of a copy: to fill and to combine it then takes a small part of a block's time

Spread = Callable[[Sequence[Callable[[], None]]], None]  # runs tasks, in any order, on any threads, and waits for all


def block_bounds(extent: int, statements: int, copy_bytes: int, grain: int = 1) -> list[tuple[int, int]]:
    """[start, stop) of each block of a main loop.

    Args:
        statements: of one iteration.
        copy_bytes: size of one copy of what the kernel reduces, 0 where it reduces nothing.
        grain: blocks, but for the last, have a multiple of so many iterations.
    """
    most = MOST_BLOCKS if not copy_bytes else max(1, min(MOST_BLOCKS, MOST_COPIES // copy_bytes))
    count = max(1, min(most, extent * statements // max(BLOCK, COPIED * copy_bytes)))
    rows = -(-extent // count // grain) * grain if extent else 0
    return [(start, min(start + rows, extent)) for start in range(0, extent, rows)] if extent else [(0, 0)]


@cache
def _joining(op: str) -> np.ufunc:
    found = {"and_": np.logical_and, "or_": np.logical_or}.get(op, get(op).evaluate)
    assert isinstance(found, np.ufunc)
    return found


def combine(op: str, copies: np.ndarray[Any, Any], out: np.ndarray[Any, Any]) -> None:
    """Join partial results, in their order: `copies` has one block's in each row."""
    np.copyto(out, copies[0])
    for part in copies[1:]:
        _joining(op)(out, part, out=out)
