"""Pictures of the IR: layered drawings of graphs as SVG, whose boxes are tied to the user's lines.

Where the boxes stand and how edges run between them is computed by igraph, which comes with `chainrule[report]`. What is drawn:
a box for each operation, with constants, conversions and repetition along axes written into those that use them; in graphs of
many operations a box for each line of the user, and one for what differentiation made of that line.
"""
from __future__ import annotations

import linecache
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from html import escape
from typing import Any

from ...compiler.formula.literal import Literal
from ...compiler.formula.mathml import Mark
from ...compiler.formula.text import Writer
from ...compiler.ir import Graph, Node
from ...compiler.provenance import Site
from ...compiler.text import dtype_text

__all__ = ["Box", "Drawing", "MissingLayoutError", "drawing", "svg"]

MOST_BOXES = 120
SMALLEST = 0.7  # of its size, to which a picture shrinks with the page before it is scrolled
_LONGEST, _LONGEST_LINE = 18, 30  # characters of a label
_MOST_TEXTS = 4  # lines of the user in one label
_CHARACTER, _LINE, _PADDING = 6.7, 15.0, 9.0  # sizes in pixels
_GAP, _LAYER, _ARROW = 16.0, 34.0, 6.0  # between boxes, between layers; of an arrow's head
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

    Raises:
        MissingLayoutError: igraph is not installed.
    """
    nodes = graph.nodes()
    outputs: dict[Node, str] = {}
    for node, result in zip(graph.outputs, results, strict=True):
        outputs[node] = f"{outputs[node]}, {result}" if node in outputs else result
    seen = _seen_through(nodes, outputs)
    drawn = [n for n in nodes if seen[n] is n and (n.inputs or n.op.name == "input" or n in outputs)]
    place = {n: k for k, n in enumerate(drawn)}
    edges = [(place[seen[i]], place[n]) for n in drawn for i in n.inputs if seen[i] in place]
    if len(drawn) > MOST_BOXES:
        return _by_lines(drawn, edges, outputs, before, lines)
    caption = f"{len(drawn)} of {len(nodes)} nodes"
    if len(drawn) < len(nodes):
        caption += "; those that are constants, repeat or convert are not drawn"
    return Drawing(tuple(_boxes(drawn, seen, outputs)), tuple(edges), caption)


def _seen_through(nodes: Iterable[Node], outputs: Mapping[Node, str]) -> dict[Node, Node]:
    """Of each node the one that is drawn for it."""
    seen: dict[Node, Node] = {}
    for node in nodes:
        seen[node] = seen[node.inputs[0]] if node.op.name in _SEEN_THROUGH and node not in outputs else node
    return seen


def _boxes(drawn: Sequence[Node], seen: Mapping[Node, Node], outputs: Mapping[Node, str]) -> Iterator[Box]:
    literal = Literal(Writer(str, str, str))
    known = set(drawn)
    for node in drawn:
        operands = {i: _PLACE for i in node.inputs if seen[i] in known}
        label = str(node.param("name")) if node.op.name == "input" else literal.best(node, operands)
        shape = ", ".join(map(str, node.shape))
        note = "\n".join([f"{node.op.name}: {dtype_text(node.dtype)}[{shape}]", *map(_line, sorted(node.sites))])
        kind = node.op.name if node.op.name == "input" else node.op.kind
        yield Box((_short(label), f"[{_short(shape)}]") if node.shape else (_short(label),), note, kind, node.sites,
                  _short(outputs.get(node, "")))


def _by_lines(drawn: Sequence[Node], edges: Sequence[tuple[int, int]], outputs: Mapping[Node, str], before: Set[Node],
              lines: Set[Site] | None) -> Drawing:
    """A box for the nodes of each line, before and after differentiation; for those of all lines of a loop together."""
    groups: dict[tuple[Node | Site | None, bool], int] = {}
    of: list[int] = []
    for node in drawn:
        own = node.sites if lines is None else node.sites & lines
        key = node if node.op.name == "input" else min(own, default=None)
        of.append(groups.setdefault((key, not before or node in before), len(groups)))
    graph = _igraph().Graph(n=len(groups), edges=[(of[a], of[b]) for a, b in edges], directed=True)
    circles = graph.connected_components(mode="strong")
    whole = circles.cluster_graph().simplify()
    order = whole.topological_sorting()
    kept = {circle: k for k, circle in enumerate(order[-MOST_BOXES:])}
    members: dict[int, list[Node]] = {circle: [] for circle in kept}
    for node, group in zip(drawn, of, strict=True):
        members.get(circles.membership[group], []).append(node)
    keys = list(groups)
    boxes = tuple(_group([keys[k] for k in circles[circle]], members[circle], outputs) for circle in kept)
    between = tuple((kept[a], kept[b]) for a, b in whole.get_edgelist() if a in kept and b in kept)
    caption = f"{len(drawn):,} operations and arguments; those of one line, and of all lines of a loop, are one box"
    if len(kept) < len(order):
        caption += f"; of {len(order):,} boxes the {len(kept)} that are nearest to the results"
    return Drawing(boxes, between, caption)


def _group(keys: Sequence[tuple[Node | Site | None, bool]], nodes: Sequence[Node], outputs: Mapping[Node, str]) -> Box:
    (key, original), *others = keys
    if isinstance(key, Node) and not others:
        return next(_boxes([key], {}, outputs))
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
def _igraph() -> Any:
    try:
        import igraph
    except ImportError as error:
        raise MissingLayoutError("pictures of graphs are laid out by igraph: pip install 'chainrule[report]'") from error
    return igraph


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """A layer for each box, which come with operands first: as high as its operands let it; what has none, just above its first user."""
    layers = [0] * count
    for a, b in sorted(edges, key=lambda edge: edge[1]):
        layers[b] = max(layers[b], layers[a] + 1)
    fed = {b for _, b in edges}
    for k in {a for a, _ in edges} - fed:
        layers[k] = min(layers[b] for a, b in edges if a == k) - 1
    return layers


Point = tuple[float, float]


def _positions(drawn: Drawing) -> tuple[list[Point], list[list[Point]]]:
    """The middle of each box, and the points on the way of each edge, in slots and layers."""
    graph = _igraph().Graph(n=len(drawn.boxes), edges=list(drawn.edges), directed=True)
    laid = graph.layout_sugiyama(layers=_layers(len(drawn.boxes), drawn.edges), maxiter=200)
    return [(x, y) for x, y in laid], [[(x, y) for x, y in route] for route in laid.edge_routing]


def svg(drawn: Drawing, mark: Mark, title: str) -> str:
    """The drawing as an `<svg>` element. `mark` gives attributes of what comes from lines of the user.

    Raises:
        MissingLayoutError: igraph is not installed.
    """
    places, routes = _positions(drawn)
    if not places:
        return ""
    slot = max(box.width for box in drawn.boxes) + _GAP
    layer = max(box.height for box in drawn.boxes) + _LAYER
    left = min(x for x, _ in (*places, *(p for route in routes for p in route)))

    def at(point: Point) -> Point:
        return (point[0] - left + 0.5) * slot, (point[1] + 0.5) * layer

    middles = list(map(at, places))
    width = max(x for x, _ in (*middles, *(at(p) for route in routes for p in route))) + slot / 2
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
