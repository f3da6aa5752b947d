"""Stabilising rules: angles between vectors by the cosine, which loses half of the digits of small angles, and all of smaller ones.

With u = x/|x| and v = y/|y|, the angle is 2 arctan2(|u - v|, |u + v|), and 1 - u v = |u - v|**2 / 2: nothing cancels but in u - v,
where it says how well the angle is known.

Source: Kahan, "How futile are mindless assessments of roundoff in floating-point computation?", 2006, section 12.
"""
from __future__ import annotations

from ...ir import Node, f
from ...ops.reduction import expand_back
from ..pattern import Match, op
from ..rule import Level, rule
from . import forms
from .moments import sum_of
from .variables import P

STABLE = Level.STABLE


def _squared(length: Node) -> list[Node]:
    """The squares of the lengths that are multiplied."""
    length = forms.unmoved(length) if length.op.name == "reshape" else length
    if length.op.name == "mul":
        return _squared(length.inputs[0]) + _squared(length.inputs[1])
    if length.op.name == "where":  # 0 at 0
        length = length.inputs[2]
        inner = length.inputs[0] if length.op.name == "sqrt" else length
        return [inner.inputs[2]] if inner.op.name == "where" else []
    if length.op.name != "sqrt":
        return []
    inner = length.inputs[0]
    return [*inner.inputs] if inner.op.name == "mul" else [inner]


def _unit_vectors(cosine: Node) -> tuple[Node, Node, tuple[int, ...]] | None:
    """The two vectors of length one whose product is this node, and along which axes they lie."""
    lengths: list[Node] = []
    while cosine.op.name in ("div", "reshape"):
        lengths += cosine.inputs[1:]
        cosine = cosine.inputs[0]
    found = sum_of(cosine)
    if found is None or len(found[0]) != 2:
        return None
    (x, y), axes = found
    if not lengths:
        return (x, y, axes) if all(n.op.name == "div" and _is_length(n.inputs[1], n.inputs[0], axes) for n in (x, y)) else None
    squares = [sum_of(square) for length in lengths for square in _squared(length)]
    for first, second in ((x, y), (y, x)):
        if squares == [([first] * 2, axes), ([second] * 2, axes)]:
            u, v = (n / expand_back(_length(n, axes), n, axes) for n in (x, y))
            return u, v, axes
    return None


def _is_length(length: Node, x: Node, axes: tuple[int, ...]) -> bool:
    return [sum_of(square) for square in _squared(forms.unmoved(length))] == [([x] * 2, axes)]


def _length(x: Node, axes: tuple[int, ...]) -> Node:
    return f.sqrt(f.sum(f.square(x), axes=axes))


def _angle(m: Match) -> Node | None:
    found = _unit_vectors(forms.unclipped(m.P))
    if found is None:
        return None
    u, v, axes = found
    return f.reshape(2.0 * f.arctan2(_length(u - v, axes), _length(u + v, axes)), shape=m.WHOLE.shape)


def _one_minus_cosine(m: Match) -> Node | None:
    found = _unit_vectors(m.P)
    if found is None:
        return None
    u, v, axes = found
    return f.reshape(0.5 * f.sum(f.square(u - v), axes=axes), shape=m.WHOLE.shape)


RULES = (
    rule("angle", op.arccos(P), _angle, STABLE, first=True, why="the product of the lengths is 0 for a vector of zeros, and so is nan"),
    rule("one_minus_cosine", 1 - P, _one_minus_cosine, STABLE, first=True),
)
