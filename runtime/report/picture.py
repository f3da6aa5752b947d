"""Drawings as pictures: layered SVG.

Where the boxes stand and how edges run between them is computed by fast-sugiyama, which comes with `chainrule[report]`.
"""
from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Any

from ...compiler.formula.mathml import Mark
from .drawing import Box, Drawing

__all__ = ["MissingLayoutError", "svg"]

SMALLEST = 0.7  # of its size, to which a picture shrinks with the page before it is scrolled
_CHARACTER, _LINE, _PADDING = 6.7, 15.0, 9.0  # sizes in pixels
_GAP, _LAYER, _ARROW = 16.0, 34.0, 6.0  # between boxes, between layers; of an arrow's head
_WAY = 0.15  # of the width of a box, for an edge that passes between boxes


class MissingLayoutError(ImportError):
    """The library that lays out pictures is not installed."""


Point = tuple[float, float]


def _positions(drawn: Drawing) -> tuple[list[Point], list[list[Point]]]:
    """The middle of each box, and the points on the way of each edge, in slots and layers; operands are above those that use them."""
    try:
        from fast_sugiyama import from_edges
    except ImportError as error:
        raise MissingLayoutError("pictures of graphs are laid out by fast-sugiyama: pip install 'chainrule[report]'") from error
    numbers = {box: k for k, box in enumerate(dict.fromkeys(box for edge in drawn.edges for box in edge))}  # the points on ways come after
    edges = list(dict.fromkeys((numbers[a], numbers[b]) for a, b in drawn.edges))
    laid: list[Any] = from_edges(edges, vertex_spacing=1.0, dummy_vertices=True, dummy_size=_WAY, minimum_length=1) if edges else []
    places: dict[int, Point] = {}
    ways: dict[tuple[int, int], list[Point]] = {}
    right = 0.0
    for found, width, _, segments in laid:  # what is connected
        top = max(y for _, (_, y) in found)
        points = {point: (x + right, top - y) for point, (x, y) in found}
        right += width + 1.0
        after = {a: b for a, b in segments if a >= len(numbers)}
        for a, b in segments:
            if a < len(numbers):
                way = []
                while b >= len(numbers):
                    way.append(points[b])
                    b = after[b]
                ways[a, b] = way
        places.update((point, at) for point, at in points.items() if point < len(numbers))
    alone = [box for box in range(len(drawn.boxes)) if box not in numbers]
    middles = {**{box: places[k] for box, k in numbers.items()}, **{box: (right + k, 0.0) for k, box in enumerate(alone)}}
    return [middles[box] for box in range(len(drawn.boxes))], [ways[numbers[a], numbers[b]] for a, b in drawn.edges]


def _width(box: Box) -> float:
    return max(map(len, (*box.lines, box.result))) * _CHARACTER + 2 * _PADDING


def _height(box: Box) -> float:
    return (len(box.lines) + bool(box.result)) * _LINE + _PADDING


def _slot(drawn: Drawing, places: Sequence[Point], routes: Sequence[Sequence[Point]]) -> float:
    """The width of a slot: the least at which neighbours in no layer touch."""
    layers: dict[float, list[tuple[float, float]]] = {}
    for box, (x, y) in zip(drawn.boxes, places, strict=True):
        layers.setdefault(round(y, 3), []).append((x, _width(box)))
    for x, y in {point for route in routes for point in route}:
        layers.setdefault(round(y, 3), []).append((x, 0.0))
    least = _GAP
    for layer in layers.values():
        layer.sort()
        for (x, width), (after, wide) in pairwise(layer):
            if after > x:
                least = max(least, ((width + wide) / 2 + (_GAP if width or wide else 0.0)) / (after - x))
    return least


def svg(drawn: Drawing, mark: Mark, title: str) -> str:
    """The drawing as an `<svg>` element. `mark` gives attributes of what comes from lines of the user.

    Raises:
        MissingLayoutError: fast-sugiyama is not installed.
    """
    places, routes = _positions(drawn)
    if not places:
        return ""
    slot = _slot(drawn, places, routes)
    layer = max(_height(box) for box in drawn.boxes) + _LAYER
    edges = [x * slot for route in routes for x, _ in route]
    left = min([*edges, *(x * slot - _width(box) / 2 for box, (x, _) in zip(drawn.boxes, places, strict=True))]) - _GAP / 2

    def at(point: Point) -> Point:
        return point[0] * slot - left, (point[1] + 0.5) * layer

    middles = list(map(at, places))
    width = max([*(x - left for x in edges), *(x + _width(box) / 2 for box, (x, _) in zip(drawn.boxes, middles, strict=True))]) + _GAP / 2
    height = max(y for _, y in middles) + layer / 2
    into: dict[int, list[int]] = {}
    for e, (_, b) in enumerate(drawn.edges):
        into.setdefault(b, []).append(e)
    paths = []
    for e, ((a, b), route) in enumerate(zip(drawn.edges, routes, strict=True)):
        shift = (into[b].index(e) - (len(into[b]) - 1) / 2) * min(12.0, _width(drawn.boxes[b]) / (len(into[b]) + 1))
        start = (middles[a][0], middles[a][1] + _height(drawn.boxes[a]) / 2)
        end = (middles[b][0] + shift, middles[b][1] - _height(drawn.boxes[b]) / 2 - _ARROW)
        paths.append(f"<path d='{_path([start, *map(at, route), end])}'/>"
                     f"<path class='head' d='M{end[0] - 3:.0f} {end[1]:.0f}h6l-3 {_ARROW:.0f}z'/>")
    parts = "".join(_element(box, middle, mark) for box, middle in zip(drawn.boxes, middles, strict=True))
    return (f"<svg class='graph' role='img' aria-label='{escape(title)}' viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}' "
            f"height='{height:.0f}' style='max-width:max(100%,{SMALLEST * width:.0f}px)'>"
            f"<g class='edges'>{''.join(paths)}</g>{parts}</svg>")


def _path(points: Sequence[Point]) -> str:
    """A curve that leaves and enters every point vertically."""
    (x, y), *rest = points
    text = f"M{x:.0f} {y:.0f}"
    for nx, ny in rest:
        middle = (y + ny) / 2
        text += f"C{x:.0f} {middle:.0f} {nx:.0f} {middle:.0f} {nx:.0f} {ny:.0f}"
        x, y = nx, ny
    return text


def _element(box: Box, middle: Point, mark: Mark) -> str:
    (x, y), width, height = middle, _width(box), _height(box)
    last = [(box.result, " class=result")] if box.result else []
    lines = [*((line, " class=more" if k else "") for k, line in enumerate(box.lines)), *last]
    first = y - (len(lines) - 1) * _LINE / 2
    text = "".join(f"<text x='{x:.0f}' y='{first + k * _LINE:.0f}'{look}>{escape(line)}</text>" for k, (line, look) in enumerate(lines))
    return (f"<g class='box {box.kind}{' output' if box.result else ''}'{mark(box.sites)}><title>{escape(box.note)}</title>"
            f"<rect x='{x - width / 2:.0f}' y='{y - height / 2:.0f}' width='{width:.0f}' height='{height:.0f}' rx='4'/>{text}</g>")
