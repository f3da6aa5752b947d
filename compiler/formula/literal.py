"""Nodes as text, operation by operation as they stand: nothing is collected, so that a rewrite can be seen.

What is deep is cut off: the text of a node takes bounded time, however large its graph is.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from ..ir import Node
from ..op import Names
from ..sizes import Size
from . import numbers
from .algebra import Table
from .arrange import Arranger
from .places import Place, index, of_positions, window
from .shown import Shown, make, number, product
from .terms import Label, Presented
from .text import Writer

__all__ = ["LONGEST", "SHIFT", "Literal"]

SHIFT = "shift"  # of an exponent: what it is shifted by, where that is finite, else 0; a constant to differentiation

LONGEST = 90  # characters of one node's text
_DEPTHS = (7, 5, 4, 3, 2, 1)
_MOST_PIECES = 60
_CUT = "..."


class Literal:
    """Writes nodes with a writer, which knows what arguments and sizes are called."""

    def __init__(self, writer: Writer, measure: Literal | None = None, moves: bool = True) -> None:
        """`measure` writes the plain text by whose length is decided how much is shown; by default that is what is written.

        `moves`: show what only says which element goes where.
        """
        self._writer, self._measure, self._moves = writer, measure or self, moves
        self._leaves: dict[Node, Shown] = {} if measure is None else measure._leaves
        self._depths: dict[Node, int] = {}  # of what is written without names

    def depth(self, node: Node, known: Mapping[Node, str]) -> int:
        """How deep a node can be shown within a line."""
        plain = self._measure
        found = None if known else plain._depths.get(node)
        if found is None:
            found = next((d for d in _DEPTHS if (text := plain.text(node, known, d)) is not None and len(text) <= LONGEST), _DEPTHS[-1])
            if not known:
                plain._depths[node] = found
        return found

    def text(self, node: Node, known: Mapping[Node, str], depth: int = _DEPTHS[0]) -> str | None:
        """The node to a depth, `known` nodes by their names; None where that is too much to read."""
        pieces = 0

        def show(at: Node, left: int) -> Shown:
            nonlocal pieces
            pieces += 1
            if at in known:
                return make("symbol", data=known[at])
            leaf = _LEAVES.get(at.op.name)
            if leaf is not None:
                if at not in self._leaves:
                    self._leaves[at] = leaf(at)
                return self._leaves[at]
            if not self._moves and at.op.kind == "movement" and len(at.inputs) == 1:
                return show(at.inputs[0], left)
            base, places = index(at, known)
            if base is not at:
                shown = show(base, left)
                return replace(_taken(shown, places), sites=at.sites) if places else shown
            if left <= 0 or pieces > _MOST_PIECES:
                return make("symbol", data=_CUT)
            held = _held(at)
            if held is not None and known.keys().isdisjoint(at.inputs):
                return replace(make("call", [show(held, left - 1)], data=(_SHIFT, ())), sites=at.sites)
            args = [show(i, left - 1) for i in at.inputs]
            return replace((_loop if at.op.runs == "rows" else _SHOWN.get(at.op.name, _call))(at, args), sites=at.sites)

        shown = show(node, depth)
        return None if pieces > _MOST_PIECES else self._writer.write(shown)

    def called(self, node: Node, known: Mapping[Node, str]) -> str:
        """The node under its op's own name: for what people write alike, such as `square(x)` and `x**2`."""
        if node in known or not node.inputs:
            return self.best(node, known)
        return f"{node.op.name.rstrip('_')}({', '.join(self.best(i, known) for i in node.inputs)})"

    def best(self, node: Node, known: Mapping[Node, str]) -> str:
        """The node, as much of it as fits in a line."""
        return self.text(node, known, self.depth(node, known)) or f"{node.op.name}({_CUT})"


# ------------------------------------------------------------------------------------------------ notation of ops
def _const(node: Node) -> Shown:
    table = Table()
    return Arranger(table, {}).show(numbers.read(table, node.value))


def _size(size: Size) -> Shown:
    table = Table()
    return Arranger(table, {}).show(table.size(size))


def _taken(array: Shown, places: Sequence[Place]) -> Shown:
    """An array with an index behind it."""
    starts = []
    for place in places:
        last = place.kind == "at" and place.start != 0 and place.start == place.dimension - 1
        starts += [_size(-1 if last else place.start)] if place.kind in ("at", "slice") else []
    specs = tuple(("new" if p.kind == "wide" else p.kind, p.size, p.dimension, p.step) for p in places)
    return make("take", [array, *starts], data=specs)


def _position(node: Node) -> Shown:
    shown, places = make("position", data=node.shape[node.param("axis")]), of_positions(node)
    return _taken(shown, places) if places else shown


def _place(node: Node, args: list[Shown]) -> Shown:
    return make("call", [*args, _taken(make("symbol", data=""), window(node))], data=(_PLACED, ()))


def _call(node: Node, args: list[Shown]) -> Shown:
    return make("apply" if node.op.kind == "elementwise" else "call", args, data=(node.op, node.params))


def _concatenate(node: Node, args: list[Shown]) -> Shown:
    """Numbers side by side are a vector."""
    return _call(node, [_one(arg, operand) for arg, operand in zip(args, node.inputs, strict=True)])


def _one(shown: Shown, node: Node) -> Shown:
    """A vector of one number as that number, and the axis that it was given."""
    if shown.kind == "take" and [spec[0] for spec in shown.data] == ["new"]:
        return make("full", shown.args, (Label("one", 1),))
    return make("full", [shown], (Label("one", 1),)) if shown.kind == "number" and node.shape == (1,) else shown


def _loop(node: Node, args: list[Shown]) -> Shown:
    """Without rows where there are none to walk along."""
    given = [a for a, i in zip(args, node.inputs, strict=True) if 0 not in i.shape]
    places = ", ".join(f"{{{k}}}" for k in range(len(given)))
    return make("call", given, data=(Presented(node.op.name, Names(text=f"{node.op.name}({places})")), ()))


def _permute(node: Node, args: list[Shown]) -> Shown:
    return make("transpose", args) if node.param("order") == (1, 0) else _call(node, args)


def _along(node: Node, args: list[Shown]) -> Shown:
    axes = node.param("axes")
    return make("along", args, data=(node.op.name, None if len(axes) == node.inputs[0].ndim else axes))


def _held(node: Node) -> Node | None:
    """What an exponent is shifted by, of where(isfinite(m), m, 0) with an m that is not differentiated: that of a softmax."""
    if node.op.name != "where":
        return None
    condition, value, other = (_seen(x) for x in node.inputs)
    if condition.op.name != "isfinite" or _seen(condition.inputs[0]) is not value or other.value != 0 or value.op.name != "stop_gradient":
        return None
    return value.inputs[0]


def _seen(node: Node) -> Node:
    while node.op.name in _UNSEEN:
        (node,) = node.inputs
    return node


def _contract(node: Node, args: list[Shown]) -> Shown:
    """A product of matrices or vectors with transposes where it is one; else with the letters of its axes."""
    left, right, out = node.params
    summed = [c for c in left if c in right and c not in out]
    if len(summed) == 1 and max(len(left), len(right)) <= 2 and out == (left + right).replace(summed[0], ""):
        first = make("transpose", [args[0]]) if len(left) == 2 and left[0] == summed[0] else args[0]
        second = make("transpose", [args[1]]) if len(right) == 2 and right[1] == summed[0] else args[1]
        return make("matmul", [first, second])
    letters = make("symbol", data=f"'{left},{right}->{out}'")
    return make("call", [letters, *args], data=(_EINSUM, ()))


_LEAVES: dict[str, Callable[[Node], Shown]] = {
    "input": lambda n: make("symbol", data=n.param("name")), "const": _const,
    "size": lambda n: _size(n.param("size")), "iota": _position,
}
_EINSUM = Presented("einsum", Names(text="einsum({0}, {1}, {2})"))
_SHIFT = Presented(SHIFT, Names(text=f"{SHIFT}({{0}})"))
_PLACED = Presented("place", Names(text="place({0}, {1})"))
_UNSEEN = frozenset({"expand", "cast"})
_SHOWN: dict[str, Callable[[Node, list[Shown]], Shown]] = {
    "add": lambda n, a: make("add", a, data=(False, False)),
    "sub": lambda n, a: make("add", a, data=(False, True)),
    "mul": lambda n, a: product(Fraction(1), a, (), ()),
    "div": lambda n, a: product(Fraction(1), a[:1], a[1:], ()),
    "neg": lambda n, a: make("scaled", [number(-1), *a]),
    "pow": lambda n, a: make("power", a),
    "square": lambda n, a: make("power", [*a, number(2)]),
    "permute": _permute, "sum": _along, "prod": _along, "max": _along, "min": _along, "contract": _contract,
    "place": _place, "concatenate": _concatenate,
}
