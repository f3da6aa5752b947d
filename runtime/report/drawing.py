"""What is drawn of a graph of the IR: boxes that are tied to the user's lines, and the edges between them.

A box for each operation, with constants, conversions and repetition along axes written into those that use them; where there are
more, boxes of expressions; in graphs of many operations a box for each line of the user, and one for what differentiation made of it.
"""
from __future__ import annotations

import linecache
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from graphlib import TopologicalSorter

import numpy as np

from ...compiler.formula.literal import Literal
from ...compiler.formula.text import Writer
from ...compiler.ir import Graph, Node
from ...compiler.provenance import Site
from ...compiler.text import dtype_text

__all__ = ["MOST_BOXES", "Box", "Drawing", "drawing"]

MOST_BOXES = 80
SMALL, LARGE = 30, 4 * MOST_BOXES  # operations up to which each has a box of its own; up to which boxes of several are tried
_LONGEST, _LONGEST_LINE = 18, 26  # characters of a label: of one operation, of several
_MANY = 3  # users of an argument that is written into them all
_MOST_TEXTS = 4  # lines of the user in one label
_SEEN_THROUGH = frozenset({"expand", "cast"})
_PLACE = "·"  # an operand, in a label


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
    labels = _Labels(drawn, seen, lines)
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

    def __init__(self, drawn: Sequence[Node], seen: Mapping[Node, Node], lines: Set[Site] | None) -> None:
        self._literal = Literal(Writer(str, str, str))
        self._lines = lines
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
        sites = frozenset(site for part in parts for site in part.sites if self._lines is None or site in self._lines)
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
        return _Labels([key], {}, None).box(key, outputs.get(key, ""))
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
