"""Reshapes by their groups of axes: several axes that become one, and one that becomes several."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..sizes import Size, product
from .terms import Call, Delta, Index, Label, Lambda, Term, postorder

if TYPE_CHECKING:
    from .algebra import Table

__all__ = ["by_index", "kronecker_axes", "split_deltas", "split_labels", "unreshaped"]


def groups(source: Sequence[Size], target: Sequence[Size]) -> list[tuple[int, int]] | None:
    """How many axes of the source and of the target make up each part of a reshape, one of them 1; None where they mix."""
    found: list[tuple[int, int]] = []
    i = k = 0
    while i < len(source) and k < len(target):
        merged = next((n for n in range(1, len(source) - i + 1) if product(source[i: i + n]) == target[k]), None)
        parted = next((n for n in range(1, len(target) - k + 1) if product(target[k: k + n]) == source[i]), None)
        if merged is not None:
            found.append((merged, 1))
        elif parted is not None:
            found.append((1, parted))
        else:
            return None
        i, k = i + found[-1][0], k + found[-1][1]
    return found if (i, k) == (len(source), len(target)) else None


def unreshaped(table: Table, term: Term, labels: tuple[Label, ...]) -> tuple[Term, tuple[Label, ...]] | None:
    """The term in the axes of the arrays that were reshaped to these labels, if it knows the labels by them alone."""
    calls = [t for t in _reshapes(term) if t.indices == labels]
    if not calls or len({tuple(label.size for label in c.arrays[0].labels) for c in calls}) > 1:
        return None
    inner = tuple(table.fresh(label.size) for label in calls[0].arrays[0].labels)
    bodies: dict[Term, Term] = {c: table.substitute(c.arrays[0].body, dict(zip(c.arrays[0].labels, inner, strict=True))) for c in calls}
    made = table.replace(term, bodies)
    return None if any(label in made.free for label in labels) else (made, inner)


def split_deltas(table: Table, array: Lambda, shape: Sequence[Size], labels: Sequence[Label]) -> Term | None:
    """The element at labels of an array that is reshaped so that axes which only deltas know are parted; None for other reshapes."""
    parts = groups([label.size for label in array.labels], shape)
    if parts is None or any(n > 1 for n, _ in parts):
        return None
    rest = iter(labels)
    parted = {label: [next(rest) for _ in range(n)] for label, (_, n) in zip(array.labels, parts, strict=True)}
    whole: dict[Label, Index] = {label: own[0] for label, own in parted.items() if len(own) == 1}
    deltas: dict[Term, Term] = {}
    for t in postorder([array.body]):
        if isinstance(t, Delta) and t.left in parted and t.right in parted:
            left, right = parted[t.left], parted[t.right]
            if [label.size for label in left] == [label.size for label in right]:
                deltas[t] = table.mul(*map(table.delta, left, right))
    made = table.replace(array.body, deltas)
    if any(label in made.free and label not in whole for label in array.labels):
        return None
    return table.substitute(made, whole)


def by_index(table: Table, array: Lambda, shape: Sequence[Size], labels: Sequence[Label]) -> Term | None:
    """The element at labels of an array whose axes are parted, x[i*k + j]; None for other reshapes."""
    parts = groups([label.size for label in array.labels], shape)
    if parts is None or any(n > 1 for n, _ in parts):
        return None
    rest = iter(labels)
    places: dict[Label, Index] = {}
    for label, (_, n) in zip(array.labels, parts, strict=True):
        place = table.zero
        for own in (next(rest) for _ in range(n)):
            place = place * table.size(own.size) + table.position(own)
        places[label] = table.index(place)
    return table.substitute(array.body, places)


def split_labels(table: Table, terms: Sequence[Term], bound: Sequence[Label]) -> tuple[list[Term], list[Label]]:
    """Factors of a sum over bound labels; a label that stands for axes which reshapes have merged is replaced by theirs."""
    terms, labels = list(terms), []
    for label in bound:
        found = _merged(terms, label, bound)
        if found is None:
            labels.append(label)
            continue
        inner = [table.fresh(size) for size in found]
        terms = [table.replace(t, {c: _parted(table, c, label, inner) for c in _reshapes(t) if label in c.labels()}) for t in terms]
        labels += inner
    return terms, labels


def _reshapes(term: Term) -> list[Call]:
    """The reshapes in a term."""
    return [t for t in postorder([term]) if isinstance(t, Call) and t.function.name == "reshape"]


def _merged(terms: Sequence[Term], label: Label, bound: Sequence[Label]) -> tuple[Size, ...] | None:
    """The sizes of the axes whose merger the label is an index of, wherever it occurs; None where other mergers would be left."""
    found: set[tuple[Size, ...]] = set()
    for t in postorder(terms):
        if label not in t.labels():
            continue
        if not isinstance(t, Call) or t.function.name != "reshape":
            return None
        places = _places(t)
        if places is None or any(len(sizes) > 1 and index not in bound for index, sizes in zip(t.indices, places, strict=True)):
            return None
        found |= {sizes for index, sizes in zip(t.indices, places, strict=True) if index == label}
    return found.pop() if len(found) == 1 and all(len(sizes) > 1 for sizes in found) else None


def _places(call: Call) -> list[tuple[Size, ...]] | None:
    """For each axis of a reshaped array that only merges, the sizes of the axes in it."""
    sizes = [label.size for label in call.arrays[0].labels]
    parts = groups(sizes, call.shape)
    if parts is None or any(n > 1 for _, n in parts):
        return None
    start = 0
    places = []
    for n, _ in parts:
        places.append(tuple(sizes[start: start + n]))
        start += n
    return places


def _parted(table: Table, call: Call, label: Label, inner: Sequence[Label]) -> Term:
    """The call with an index of merged axes as the indices of each."""
    indices: list[Index] = []
    shape: list[Size] = []
    for index, size in zip(call.indices, call.shape, strict=True):
        indices += inner if index == label else [index]
        shape += [own.size for own in inner] if index == label else [size]
    (array,) = call.arrays
    if len(shape) == len(array.labels):
        mapping: Mapping[Label, Index] = dict(zip(array.labels, indices, strict=True))
        return table.substitute(array.body, mapping)
    return table.call(call.function, [array], (tuple(shape),), tuple(shape), indices)


def kronecker_axes(call: Call) -> tuple[tuple[Label, ...], tuple[Label, ...]] | None:
    """The axes of the two factors of a Kronecker product, if a call has the shape of one."""
    labels = call.arrays[0].labels
    pairs = [(labels[k], labels[k + 1]) for k in range(0, len(labels) - 1, 2)]
    if len(labels) not in (2, 4) or [product([a.size, b.size]) for a, b in pairs] != list(call.shape):
        return None
    return tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
