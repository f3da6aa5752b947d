"""The steps of loops, programs inside operations, with names for what they are given."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...compiler.formula.literal import Literal
from ...compiler.formula.places import index
from ...compiler.formula.prepare import in_line
from ...compiler.formula.text import Writer
from ...compiler.ir import Graph, Node, make, rebuild
from ...compiler.sizes import Size

if TYPE_CHECKING:
    from ...compiler.formula import Formula

__all__ = ["Body", "bodies", "operations"]

SHORT = 16  # characters of what a step is given from outside, written in its place
MOST_BODIES, MOST_FORMULAS = 8, 8  # programs inside one; parts of what one gives


@dataclass(frozen=True)
class Body:
    """The program of a step; `graph` is the one that the operation has, `named` the same with names for its inputs."""

    title: str
    graph: Graph
    named: Graph

    def formulas(self, of: str = "") -> Iterator[tuple[str, Formula]]:
        """What the program gives, part by part; `of`: more for their titles."""
        from ...compiler.formula import formula

        (output,) = self.named.outputs
        whole = str(self.named.inputs[0].param("name"))
        parts = output.inputs if output.op.name == "concatenate" and output.ndim == 1 else (output,)
        start: Size = 0
        for part in parts[:MOST_FORMULAS]:
            one = part.shape == (1,) and part is not output
            stop = start + part.shape[0] if part.ndim == 1 else start
            place = "" if part is output else f"[{start}]" if one else f"[{start}:{stop}]"
            shown = part.inputs[0] if one and part.op.name == "reshape" and part.inputs[0].ndim == 0 else part
            yield f"{whole}{place} after {self.title}{of}", formula(self.named.with_outputs([shown]))
            start = stop


def bodies(graph: Graph) -> list[Body]:
    """The steps of a program's loops, and of the loops inside of these."""
    found: list[Body] = []
    todo = [graph]
    while todo and len(found) < MOST_BODIES:
        around = in_line(todo.pop())
        literal = Literal(Writer(str, str, str))
        for node in around.nodes():
            for inside in map(node.param, node.op.bodies if node.op.runs == "rows" else ()):
                title = f"a step of {node.op.name}" + (f" in {min(node.sites)}" if node.sites else "")
                inputs = [make("input", shape=x.shape, dtype=x.dtype, position=k, name=name)
                          for k, (x, name) in enumerate(zip(inside.inputs, _names(node, inside, literal), strict=True))]
                outputs = rebuild(inside.outputs, dict(zip(inside.inputs, inputs, strict=True)))
                found.append(Body(title, inside, Graph(tuple(inputs), tuple(outputs), inside.guards, inside.hints)))
                todo.append(found[-1].named)
    return found


def _names(node: Node, inside: Graph, literal: Literal) -> Iterator[str]:
    """What a program is given: the state, rows, and what stays the same, which is written as it is outside where that is short."""
    rows = node.named_params.get("rows", 0)
    for k in range(len(inside.inputs)):
        name = "state" if k == 0 else f"row{k if rows > 1 else ''}" if k <= rows else literal.best(node.inputs[k], {})
        if len(name) > SHORT:
            name = f"given{k - rows}"
        yield name if name.isidentifier() else f"({name})"


def operations(graph: Graph, sizes: Mapping[str, str]) -> Iterator[tuple[Node, str]]:
    """What is computed, as expressions: branches as well, not what only spreads, converts or is on the way to an element.

    Args:
        sizes: what size symbols are called.
    """
    literal = Literal(Writer(lambda name: sizes.get(name, name), str, str))
    graph = in_line(graph)
    nodes = graph.nodes()
    moved = {n for n in nodes if n.inputs and index(n, ())[0] is not n}
    last = {i for n in nodes if n not in moved for i in n.inputs} | {*graph.outputs}
    for node in nodes:
        if node in moved:
            places = index(node, ())[1]
            if node not in last or not any(p.kind == "slice" or (p.kind == "at" and p.dimension != 1) for p in places):
                continue
        if node.inputs:
            yield node, literal.best(node, {})
