"""Shared sub-terms of a formula that is too long for a line get names."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from . import calls
from .terms import At, Index, Label, Lambda, Number, Term, postorder

__all__ = ["Pieces", "reached", "split", "written_out"]

SMALLEST = 8  # the weight from which a shared sub-term is worth a name
OFTEN = 4  # uses from which half of that is worth one
LARGEST = 120  # the weight from which one that is used once gets a name

class Pieces(NamedTuple):
    """A formula and the sub-terms that it names, users first."""

    main: Term
    definitions: dict[str, Lambda]


def split(term: Term, labels: Sequence[Label], share: bool = False, widest: float = inf) -> Pieces:
    """The formula as a main term and definitions.

    Args:
        share: name sub-terms that are used several times.
        widest: the most axes that what gets a name may have.
    """
    pieces = reached(Lambda(tuple(labels), term))
    if share:
        pieces = reached(_named(pieces, widest))
    main = pieces.pop("")
    return Pieces(main.body, pieces)


def _named(pieces: dict[str, Lambda], widest: float) -> Lambda:
    """The main piece, the shared sub-terms of all pieces defined by name."""
    main = pieces[""]
    table = main.body.table
    owners = {p.body: name for name, p in pieces.items()}
    arrays: dict[Term, Term] = {}  # elements of one array at different indices share its name
    uses: Counter[Term] = Counter()
    seen: set[Term] = set()
    for t in postorder(owners):
        array = table.substitute(t, _places(t)) if t.weight >= SMALLEST // 2 else t
        if array not in seen or len(t.free) > widest:
            uses.update(arrays[p] for p in t.parts())
        seen.add(array)
        arrays[t] = array
    done: dict[Term, Term] = {}
    names: dict[Term, str] = {}
    for t in postorder(owners):
        new = table.with_parts(t, done)
        if t in owners:
            if owners[t]:
                table.definitions[owners[t]] = Lambda(pieces[owners[t]].labels, new)
        elif arrays[t] in names:
            new = table.tied(table.at(names[arrays[t]], t.free), table.origin(t))
        elif not isinstance(new, At | Number) and len(t.free) <= widest and _is_worth(new.weight, uses[arrays[t]]):
            name = names[arrays[t]] = f"@{len(table.definitions)}"
            table.definitions[name] = Lambda(t.free, new)
            if len(t.free) == 2 and calls.is_symmetric(table, Lambda(t.free, t)):
                table.promises[name] = "symmetric"
            new = table.tied(table.at(name, t.free), table.origin(t))
        done[t] = new
    return Lambda(main.labels, done[main.body])


def _is_worth(weight: int, uses: int) -> bool:
    """Whether a sub-term is worth a name."""
    return weight >= LARGEST or (uses > 1 and weight >= SMALLEST) or (uses >= OFTEN and weight >= SMALLEST // 2)


def _places(term: Term) -> dict[Label, Index]:
    """Names for the free labels by their order."""
    return {label: Label(f"p{k}", label.size) for k, label in enumerate(term.free)}


def reached(main: Lambda) -> dict[str, Lambda]:
    """The main term, under no name, and the definitions that it needs, each after all its users."""
    table = main.body.table
    order: list[str] = []
    seen: set[str] = set()
    stack = [("", False)]
    bodies = {"": main}
    while stack:
        name, expanded = stack.pop()
        if expanded:
            order.append(name)
        elif name not in seen:
            seen.add(name)
            stack.append((name, True))
            for t in postorder([bodies[name].body]):
                if isinstance(t, At) and t.name in table.definitions:
                    bodies[t.name] = table.definitions[t.name]
                    stack.append((t.name, False))
    return {name: bodies[name] for name in reversed(order)}


def written_out(pieces: Pieces) -> int:
    """The number of terms in the formula as a tree, each named sub-term written out wherever it occurs."""
    weights: dict[str, int] = {}
    for name, body in [*((n, d.body) for n, d in reversed(pieces.definitions.items())), ("", pieces.main)]:
        found: dict[Term, int] = {}
        for t in postorder([body]):
            own = weights.get(t.name, 1) if isinstance(t, At) else 1
            found[t] = own + sum(found[p] for p in t.parts())
        weights[name] = found[body]
    return weights[""]
