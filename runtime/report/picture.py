"""Pictures of the IR: layered drawings of graphs as SVG, whose boxes are tied to the user's lines.

Where the boxes stand and how edges run between them is computed by fast-sugiyama, which comes with `chainrule[report]`. What is drawn:
a box for each operation, with constants, conversions and repetition along axes written into those that use them; in graphs of
many operations a box for each line of the user, and one for what differentiation made of that line.
"""
from __future__ import annotations

import linecache
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from graphlib import TopologicalSorter
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

from ...compiler.formula.literal import Literal
from ...compiler.formula.mathml import Mark
from ...compiler.formula.text import Writer
from ...compiler.ir import Graph, Node
from ...compiler.provenance import Site
from ...compiler.text import dtype_text

__all__ = ["Box", "Drawing", "MissingLayoutError", "drawing", "svg"]

MOST_BOXES = 80
SMALL, LARGE = 30, 4 * MOST_BOXES  # operations up to which each has a box of its own; up to which boxes of several are tried
SMALLEST = 0.7  # of its size, to which a picture shrinks with the page before it is scrolled
_LONGEST, _LONGEST_LINE = 18, 26  # characters of a label: of one operation, of several
_MANY = 3  # users of an argument that is written into them all
_MOST_TEXTS = 4  # lines of the user in one label
_CHARACTER, _LINE, _PADDING = 6.7, 15.0, 9.0  # sizes in pixels
_GAP, _LAYER, _ARROW = 16.0, 34.0, 6.0  # between boxes, between layers; of an arrow's head
_WAY = 0.15  # of the width of a box, for an edge that passes between boxes
_SEEN_THROUGH = frozenset({"expand", "cast"})
_PLACE = "·"  # an operand, in a label


class MissingLayoutError(ImportError):
    """The library that lays out pictures is not installed."""


@dataclass(frozen=True)
class Box:
    """A box of a drawing.

    Attributes:
        lines: its label.
        note: more about it.
        kind: for its colour; of the op (see `Op.kind`), `input`, or of boxes of several operations `lines` or `derivative`.
        sites: the user's lines that it comes from.
        result: what a result is called, if it is one.
    """

    lines: tuple[str, ...]
    note: str
    kind: str
    sites: frozenset[Site]
    result: str = ""

    @property
    def width(self) -> float:
        return max(map(len, (*self.lines, self.result))) * _CHARACTER + 2 * _PADDING

    @property
    def height(self) -> float:
        return (len(self.lines) + bool(self.result)) * _LINE + _PADDING


@dataclass(frozen=True)
class Drawing:
    """Boxes, the edges between them by their places, and what was left out."""

    boxes: tuple[Box, ...]
    edges: tuple[tuple[int, int], ...]
    caption: str


def drawing(graph: Graph, results: Sequence[str], before: Set[Node] = frozenset(), lines: Set[Site] | None = None) -> Drawing:
    """What there is to draw of a graph.

    Args:
        results: what the outputs are called.
        before: nodes that were there before differentiation, where the graph was differentiated.
        lines: the user's lines that count; default: all that the nodes know of.
    """
    nodes = graph.nodes()
    outputs: dict[Node, str] = {}
    for node, result in zip(graph.outputs, results, strict=True):
        outputs[node] = f"{outputs[node]}, {result}" if node in outputs else result
    seen = _seen_through(nodes, outputs)
    drawn = [n for n in nodes if seen[n] is n and (n.inputs or n.op.name == "input" or n in outputs)]
    if len(drawn) > LARGE:
        return _by_lines(drawn, seen, outputs, before, lines)
    labels = _Labels(drawn, seen)
    if len(drawn) > SMALL:
        labels.collapse(outputs)
    boxes = [n for n in drawn if n in labels.boxed]
    if len(boxes) > MOST_BOXES:
        return _by_lines(drawn, seen, outputs, before, lines)
    at = {n: k for k, n in enumerate(boxes)}
    between = [(at[operand], at[n]) for n in boxes for operand in labels.operands(n)]
    caption = f"{len(boxes)} boxes for {len(nodes):,} nodes; those that are constants, repeat or convert"
    caption += ", arguments that many use, and operands that one uses," if len(drawn) > SMALL else ""
    caption += " are written into those that use them"
    return Drawing(tuple(labels.box(n, outputs.get(n, "")) for n in boxes), tuple(between), caption)


def _seen_through(nodes: Iterable[Node], outputs: Mapping[Node, str]) -> dict[Node, Node]:
    """Of each node the one that is drawn for it."""
    seen: dict[Node, Node] = {}
    for node in nodes:
        seen[node] = seen[node.inputs[0]] if node.op.name in _SEEN_THROUGH and node not in outputs else node
    return seen


class _Labels:
    """What is written into boxes.

    Attributes:
        boxed: the nodes with boxes of their own.
    """

    def __init__(self, drawn: Sequence[Node], seen: Mapping[Node, Node]) -> None:
        self._literal = Literal(Writer(str, str, str))
        self.boxed = dict.fromkeys(drawn)
        self._seen = seen
        self._parts: dict[Node, list[Node]] = {n: [n] for n in drawn}  # what is written into the box of a node
        self._same: dict[Node, list[Node]] = {}  # what is seen through to a node, and the node
        for n, shown in seen.items():
            self._same.setdefault(shown, []).append(n)
        self._written = {n: _PLACE for shown in drawn for n in self._same.get(shown, ())}

    def operands(self, node: Node) -> list[Node]:
        """The boxes from which edges go to that of a node, in the order of their places."""
        found, stack = [], list(reversed(node.inputs))
        while stack:
            operand = self._seen[stack.pop()]
            if operand in self.boxed:
                found.append(operand)
            elif operand in self._parts[node]:
                stack += reversed(operand.inputs)
        return found

    def text(self, node: Node) -> str:
        """The node in terms of others, which are places."""
        if node.op.name == "input":
            return str(node.param("name"))
        place = self._written.pop(node, None)
        text = self._literal.text(node, self._written) or f"{node.op.name}(…)"
        if place is not None:
            self._written[node] = place
        return text

    def collapse(self, outputs: Mapping[Node, str]) -> None:
        """Write operands that one node uses into it, as long as that stays short, and arguments that many use into all of these."""
        users: dict[Node, list[Node]] = {n: [] for n in self.boxed}
        for node in self.boxed:
            for operand in self.operands(node):
                users[operand].append(node)
        for node in [n for n in self.boxed if n.op.name == "input" and len(users[n]) >= _MANY and n not in outputs]:
            del self.boxed[node]
            self._written.update(dict.fromkeys(self._same[node], self.text(node)))
        for node in [n for n in self.boxed if len(users[n]) == 1 and n not in outputs and n.op.name != "input"]:
            (user,) = users[node]
            for n in self._same[node]:
                del self._written[n]
            if len(self.text(user)) > _LONGEST_LINE:
                self._written.update(dict.fromkeys(self._same[node], _PLACE))
                continue
            del self.boxed[node]
            self._parts[user] += self._parts.pop(node)

    def box(self, node: Node, result: str) -> Box:
        """The box of a node, with what is written into it."""
        parts = self._parts[node]
        shape = ", ".join(map(str, node.shape))
        sites = frozenset(site for part in parts for site in part.sites)
        ops = ", ".join(dict.fromkeys(part.op.name for part in parts))
        note = "\n".join([f"{ops}: {dtype_text(node.dtype)}[{shape}]", *map(_line, sorted(sites))])
        label = _short(self.text(node), _LONGEST if len(parts) == 1 else _LONGEST_LINE)
        kind = node.op.name if node.op.name == "input" else node.op.kind
        return Box((label, f"[{_short(shape)}]") if node.shape else (label,), note, kind, sites, _short(result, _LONGEST_LINE))


def _by_lines(drawn: Sequence[Node], seen: Mapping[Node, Node], outputs: Mapping[Node, str], before: Set[Node],
              lines: Set[Site] | None) -> Drawing:
    """A box for the nodes of each line, before and after differentiation; for those of all lines of a loop together."""
    groups: dict[tuple[Node | Site | None, bool], int] = {}
    of: list[int] = []
    for node in drawn:
        own = node.sites if lines is None else node.sites & lines
        key = node if node.op.name == "input" else min(own, default=None)
        of.append(groups.setdefault((key, not before or node in before), len(groups)))
    at = dict(zip(drawn, of, strict=True))
    edges = {(at[seen[i]], at[n]) for n in drawn for i in n.inputs if seen[i] in at}
    circle = _circles(len(groups), edges)
    operands: dict[int, set[int]] = {c: set() for c in circle}
    for a, b in edges:
        if circle[a] != circle[b]:
            operands[circle[b]].add(circle[a])
    order = list(TopologicalSorter(operands).static_order())
    kept = {c: k for k, c in enumerate(order[-MOST_BOXES:])}
    members: dict[int, list[Node]] = {c: [] for c in order}
    for node, group in zip(drawn, of, strict=True):
        members[circle[group]].append(node)
    keys: dict[int, list[tuple[Node | Site | None, bool]]] = {c: [] for c in order}
    for named, group in groups.items():
        keys[circle[group]].append(named)
    boxes = tuple(_group(keys[c], members[c], outputs) for c in kept)
    between = tuple((kept[a], kept[b]) for b in kept for a in sorted(operands[b]) if a in kept)
    caption = f"{len(kept)} boxes for {len(drawn):,} operations and arguments; those of one line, and of all lines of a loop, are one box"
    if len(kept) < len(order):
        caption += f"; {len(order) - len(kept):,} that are further from the results are left out"
    return Drawing(boxes, between, caption)


def _circles(count: int, edges: Set[tuple[int, int]]) -> list[int]:
    """Of each of so many places the number of the circle that it is on; what is on none is one of its own."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    starts, ends = (np.array([edge[k] for edge in edges], np.int32) for k in (0, 1))
    matrix = coo_array((np.ones(len(edges)), (starts, ends)), (count, count))
    return [int(label) for label in connected_components(matrix, connection="strong")[1]]


def _group(keys: Sequence[tuple[Node | Site | None, bool]], nodes: Sequence[Node], outputs: Mapping[Node, str]) -> Box:
    (key, original), *others = keys
    if isinstance(key, Node) and not others:
        return _Labels([key], {}).box(key, outputs.get(key, ""))
    sites = sorted(key for key, _ in keys if isinstance(key, Site))
    texts = [_short(linecache.getline(site.file, site.line).strip() or str(site), _LONGEST_LINE) for site in sites] or ["elsewhere"]
    shown = (*texts[:_MOST_TEXTS], *(["…"] if len(texts) > _MOST_TEXTS else []))
    what = f"{len(nodes):,} operation{'s' * (len(nodes) != 1)}" + ("" if original else ", derivative")
    note = "\n".join([*map(_line, sites), f"{what}: {', '.join(dict.fromkeys(n.op.name for n in nodes))}"])
    result = _short(", ".join(outputs[n] for n in nodes if n in outputs), _LONGEST_LINE)
    return Box((*shown, what), note, "lines" if original else "derivative", frozenset(sites), result)


def _line(site: Site) -> str:
    return f"{site}: {linecache.getline(site.file, site.line).strip()}"


def _short(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else f"{text[:most - 1]}…"


# ------------------------------------------------------------------------------------------------ layout
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


def _slot(drawn: Drawing, places: Sequence[Point], routes: Sequence[Sequence[Point]]) -> float:
    """The width of a slot: the least at which neighbours in no layer touch."""
    layers: dict[float, list[tuple[float, float]]] = {}
    for box, (x, y) in zip(drawn.boxes, places, strict=True):
        layers.setdefault(round(y, 3), []).append((x, box.width))
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
    layer = max(box.height for box in drawn.boxes) + _LAYER
    edges = [x * slot for route in routes for x, _ in route]
    left = min(*edges, *(x * slot - box.width / 2 for box, (x, _) in zip(drawn.boxes, places, strict=True))) - _GAP / 2

    def at(point: Point) -> Point:
        return point[0] * slot - left, (point[1] + 0.5) * layer

    middles = list(map(at, places))
    width = max(*(x - left for x in edges), *(x + box.width / 2 for box, (x, _) in zip(drawn.boxes, middles, strict=True))) + _GAP / 2
    height = max(y for _, y in middles) + layer / 2
    into: dict[int, list[int]] = {}
    for e, (_, b) in enumerate(drawn.edges):
        into.setdefault(b, []).append(e)
    paths = []
    for e, ((a, b), route) in enumerate(zip(drawn.edges, routes, strict=True)):
        shift = (into[b].index(e) - (len(into[b]) - 1) / 2) * min(12.0, drawn.boxes[b].width / (len(into[b]) + 1))
        start = (middles[a][0], middles[a][1] + drawn.boxes[a].height / 2)
        end = (middles[b][0] + shift, middles[b][1] - drawn.boxes[b].height / 2 - _ARROW)
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
    x, y = middle
    last = [(box.result, " class=result")] if box.result else []
    lines = [*((line, " class=more" if k else "") for k, line in enumerate(box.lines)), *last]
    first = y - (len(lines) - 1) * _LINE / 2
    text = "".join(f"<text x='{x:.0f}' y='{first + k * _LINE:.0f}'{look}>{escape(line)}</text>" for k, (line, look) in enumerate(lines))
    return (f"<g class='box {box.kind}{' output' if box.result else ''}'{mark(box.sites)}><title>{escape(box.note)}</title>"
            f"<rect x='{x - box.width / 2:.0f}' y='{y - box.height / 2:.0f}' width='{box.width:.0f}' height='{box.height:.0f}' rx='4'/>"
            f"{text}</g>")
