"""The values of symbols, from the lengths of the axes that they measure."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..errors import ShapeError
from .expressions import Size, evaluate, linear, never_one, symbols_of


class Binding(NamedTuple):
    """How a symbol follows from the length of an axis: `(length - rest) // factor`."""

    position: int  # which shape
    axis: int
    factor: Size
    rest: Size


def bindings(shapes: Iterable[Iterable[Size]]) -> Mapping[str, Binding]:
    """For each symbol that the axes of these shapes determine, how; in an order in which they can be computed."""
    return _bindings(tuple(map(tuple, shapes)))


@lru_cache(maxsize=256)
def _bindings(shapes: tuple[tuple[Size, ...], ...]) -> Mapping[str, Binding]:
    found: dict[str, Binding] = {}
    open_axes = [(k, axis, size) for k, shape in enumerate(shapes) for axis, size in enumerate(shape)]
    open_axes.sort(key=lambda item: not never_one(item[2]))  # bare symbols first: they need no division
    progress = True
    while progress:
        progress, still_open = False, []
        for position, axis, size in open_axes:
            unknown = symbols_of(size) - found.keys()
            parts = linear(size, next(iter(unknown))) if len(unknown) == 1 else None
            if parts is not None:
                found[unknown.pop()] = Binding(position, axis, *parts)
                progress = True
            elif unknown:
                still_open.append((position, axis, size))
        open_axes = still_open
    return found


def bind(shapes: Sequence[Sequence[Size]], lengths: Sequence[Sequence[int]]) -> dict[str, int]:
    """The values of the symbols in `shapes`, whose axes have these lengths.

    Raises:
        ShapeError: a length contradicts the size of its axis.
    """
    values: dict[str, int] = {}
    for name, (position, axis, factor, rest) in bindings(shapes).items():
        scale = evaluate(factor, values)
        values[name] = (lengths[position][axis] - evaluate(rest, values)) // scale if scale else 0
    for position, (shape, actual) in enumerate(zip(shapes, lengths, strict=True)):
        expected = [evaluate(size, values) for size in shape]
        if expected != list(actual):
            known = ", ".join(f"{name} = {value}" for name, value in values.items()) or "no free size"
            form = ", ".join(map(str, shape))
            raise ShapeError(f"argument {position} has shape {tuple(actual)}; ({form}) is expected, with {known}")
    return values
