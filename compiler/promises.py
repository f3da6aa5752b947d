"""What a caller promises of an argument: positive, nonnegative, nonzero or integer numbers, a symmetric matrix.

A promise is the caller's: programs are derived from it, and compiled ones do not check it. Of an argument that breaks it,
their results are those of the formulas that the promise led to. The interpreter checks it (CHAINRULE_TIER=interpret).
A nan keeps every promise, and goes through programs as it does without one.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .errors import ArgumentError
from .provenance import at, user_site

__all__ = ["PROMISES", "broken", "combined", "is_square", "promised"]

# What each promise says of the numbers of an array.
PROMISES: dict[str, Callable[[Any], Any]] = {
    "positive": lambda x: x > 0, "nonnegative": lambda x: x >= 0, "nonzero": lambda x: x != 0, "integer": lambda x: x == np.floor(x),
    "symmetric": lambda x: _same(x, np.swapaxes(x, -1, -2)),
}
_IMPLIED = {"positive": ("nonnegative", "nonzero")}


def promised(given: Mapping[str, Any], where: str) -> str:
    """The promises that hold by name, as one text: sorted, with what they imply.

    Args:
        given: a truth value for each name; what is false is not promised.
        where: for messages: what was called, and the user's line.

    Raises:
        ArgumentError: an unknown promise, or one that contradicts another.
    """
    unknown = [name for name in given if name not in PROMISES]
    if unknown:
        raise ArgumentError(f"{where}: {unknown[0]!r} is nothing that can be promised; there are {', '.join(PROMISES)}")
    for name, value in given.items():
        if not isinstance(value, bool):
            raise ArgumentError(f"{where}: {name}={value!r} is neither True nor False")
    holds = {name for name, value in given.items() if value}
    for name in sorted(holds):
        for implied in _IMPLIED.get(name, ()):
            if given.get(implied) is False:
                raise ArgumentError(f"{where}: {name}=True contradicts {implied}=False")
            holds.add(implied)
    if {"nonnegative", "nonzero"} <= holds:
        holds.add("positive")
    return " ".join(sorted(holds))


def combined(one: str, other: str) -> str:
    """Both promises."""
    return promised(dict.fromkeys((*one.split(), *other.split()), True), "")


def broken(promise: str, value: Any) -> tuple[str, Any] | None:
    """The first promise that an array breaks, with the number that does."""
    numbers = np.asarray(value)
    for name in promise.split():
        bad = ~(PROMISES[name](numbers) | np.isnan(numbers)) if numbers.dtype.kind == "f" else ~PROMISES[name](numbers)
        if bad.any():
            return name, numbers[bad][0]
    return None


def is_square(promise: str, shape: Sequence[Any], name: str) -> bool:
    """Whether the last two axes are one size because the argument is promised to be symmetric.

    Raises:
        ArgumentError: no matrix of this shape is symmetric.
    """
    if "symmetric" not in promise.split():
        return False
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ArgumentError(f"{name} was promised to be symmetric, but its shape ({', '.join(map(str, shape))}) is not that of a square "
                            f"matrix{at(user_site())}: pass one, or take the promise back")
    return True


def _same(x: Any, y: Any) -> Any:
    return (x == y) | (y != y)
