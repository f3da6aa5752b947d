"""What is rewritten before differentiation, and after it: all that leaves a log."""
from __future__ import annotations

from collections.abc import Collection, Sequence

from ..ir import Node
from .compensation import compensate
from .engine import DEFAULT_LEVELS, Step, simplify
from .expansion import expand
from .rule import Level
from .symmetry import sum_along_inner

__all__ = ["finish", "prepare"]


def prepare(outputs: Sequence[Node], levels: Collection[Level] = DEFAULT_LEVELS, *, stabilise: bool = True,
            fastmath: bool = False) -> tuple[list[Node], list[Step]]:
    """The outputs in the form that is differentiated, and the steps that led there; see `simplify`."""
    made, first = simplify(outputs, levels, stabilise=stabilise, fastmath=fastmath, last=False)
    made, series = expand(made) if stabilise else (made, [])
    return made, [*first, *series]


def finish(outputs: Sequence[Node], levels: Collection[Level] = DEFAULT_LEVELS, *, stabilise: bool = True,
           fastmath: bool = False) -> tuple[list[Node], list[Step]]:
    """What was asked for in its last form, and the steps that led there; see `simplify`."""
    made, steps = simplify(sum_along_inner(outputs), levels, stabilise=stabilise, fastmath=fastmath)
    for rewritten in (expand, compensate) if stabilise else ():
        made, more = rewritten(made)
        steps += more
    return made, steps
