"""Which elements of an array a chain of movements takes, as one index: slices, single places, new axes, the other way round."""
from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal as Choice

from .. import sizes
from ..ir import Node
from ..sizes import Size

__all__ = ["Place", "index", "of_positions", "window"]


@dataclass(frozen=True)
class Place:
    """A part of an index.

    Attributes:
        kind: whole, slice or at: of an axis of the array; new: an axis of size 1; wide: one that the array repeats along,
            which goes without saying where it comes first.
        start, size, step: what is taken of the axis.
        dimension: how long the axis is.
    """

    kind: Choice["whole", "slice", "at", "new", "wide"]
    start: Size = 0
    size: Size = 1
    dimension: Size = 1
    step: int = 1

    def part(self, start: Size, step: int, size: Size) -> Place:
        """A slice of what this place takes."""
        if self.kind in ("new", "wide") or (start == 0 and step == 1 and size == self.size):
            return self
        return Place("slice", self.start + self.step * start, size, self.dimension, 1 if size == 1 else self.step * step)

    @property
    def first(self) -> list[Place]:
        """The first element of what this place takes."""
        return [] if self.kind in ("new", "wide") else [replace(self, kind="at")]


def _whole(shape: Sequence[Size]) -> list[Place]:
    return [Place("whole", 0, size, size) for size in shape]


def _cast(node: Node, places: list[Place]) -> list[Place]:
    return places


def _slice(node: Node, places: list[Place]) -> list[Place]:
    taken = iter(zip(node.param("start"), node.param("step"), node.shape, strict=True))
    return [place if place.kind == "at" else place.part(*next(taken)) for place in places]


def _flip(node: Node, places: list[Place]) -> list[Place]:
    axes = iter(range(node.ndim))
    return [place if place.kind == "at" or next(axes) not in node.param("axes") else place.part(place.size - 1, -1, place.size)
            for place in places]


def _expand(node: Node, places: list[Place]) -> list[Place]:
    axes = node.param("axes")
    if list(axes) != sorted(axes):
        return []
    found, given = [], iter(places)
    for axis in range(node.ndim):
        if axis in axes:
            for place in given:
                found.append(place)
                if place.kind != "at":
                    break
        else:
            found.append(Place("wide", size=node.shape[axis]))
    return [*found, *given]


def _reshape(node: Node, places: list[Place]) -> list[Place]:
    """Axes of size 1 that go or come; empty where others change as well."""
    shape, found = list(node.shape), []
    for place in places:
        if place.kind == "at":
            found.append(place)
        elif shape and sizes.equal(shape[0], place.size):
            found.append(place)
            del shape[0]
        elif place.size == 1:
            found += place.first
        else:
            while shape and shape[0] == 1:
                found.append(Place("new"))
                del shape[0]
            if not (shape and sizes.equal(shape[0], place.size)):
                return []
            found.append(place)
            del shape[0]
    return [*found, *(Place("new") for _ in shape)] if all(size == 1 for size in shape) else []


_MOVES: dict[str, Callable[[Node, list[Place]], list[Place]]] = {
    "cast": _cast, "slice": _slice, "flip": _flip, "expand": _expand, "reshape": _reshape,
}


def index(node: Node, known: Container[Node]) -> tuple[Node, list[Place]]:
    """The array that a node moves elements of, and which; `known` nodes are not looked into.

    The node itself, and nothing, where it is no such movement; another node, and nothing, where all of it is taken as it is.
    """
    chain, below = [], node
    while below.op.name in _MOVES and (below is node or below not in known):
        chain.append(below)
        (below,) = below.inputs
    while chain:
        places = _whole(below.shape)
        for move in reversed(chain):
            if not places and move.inputs[0].ndim:
                break
            places = _MOVES[move.op.name](move, places)
        else:
            if places or node.ndim == 0:
                return below, _said(places)
            if not below.ndim:  # a number that is repeated
                return below, []
        below = chain.pop()  # what does more than an index can say
    return node, []


def of_positions(node: Node) -> list[Place]:
    """The index of the positions along one of an array's axes."""
    axis = node.param("axis")
    return _said([Place("whole", 0, size, size) if k == axis else Place("wide", size=size) for k, size in enumerate(node.shape)])


def window(node: Node) -> list[Place]:
    """Where the op `place` writes its operand."""
    return [whole.part(*taken) for whole, taken in zip(
        _whole(node.shape), zip(node.param("start"), node.param("step"), node.inputs[0].shape, strict=True), strict=True)]


def _said(places: list[Place]) -> list[Place]:
    """Without the axes that are repeated along anyway; nothing where all the rest is whole."""
    for k, (place, after) in enumerate(pairwise(places)):
        only = [p for p in (place, after) if p.kind == "at" and p.dimension == 1]
        if only and "wide" in (place.kind, after.kind):  # an axis of size 1 is repeated along
            return _said([*places[:k], Place("whole"), *places[k + 2:]])
    while places and places[0].kind == "wide":
        places = places[1:]
    return [] if all(place.kind == "whole" for place in places) else places
