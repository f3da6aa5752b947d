"""Where temporaries lie: one block for a run, whose parts are used again once their values are dead.

Sizes are symbolic, so a part is used again by temporaries of the very same size only.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .sizes import Size

__all__ = ["plan_memory"]


def plan_memory(steps: Sequence[tuple[Iterable[str], Iterable[str]]], sizes: Mapping[str, Size]) -> tuple[dict[str, int], list[Size]]:
    """Parts of a block for the temporaries of a run.

    Args:
        steps: in order, the temporaries that each step reads, and those that it writes first.
        sizes: bytes of each.

    Returns:
        the part of each temporary, and the bytes of each part. Of one step's temporaries no two share a part.
    """
    last: dict[str, int] = {}
    for position, (reads, writes) in enumerate(steps):
        for name in (*reads, *writes):
            last[name] = position
    place: dict[str, int] = {}
    parts: list[Size] = []
    free: dict[Size, list[int]] = {}
    for position, (reads, writes) in enumerate(steps):
        written = list(writes)
        for name in written:
            if name not in place:
                unused = free.get(sizes[name])
                if unused:
                    place[name] = unused.pop()
                else:
                    place[name] = len(parts)
                    parts.append(sizes[name])
        for name in dict.fromkeys((*reads, *written)):
            if last[name] == position:
                free.setdefault(sizes[name], []).append(place[name])
    return place, parts
