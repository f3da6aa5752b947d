"""Stabilising rules: what a share leaves, where softmax gives one element nearly all, and logarithms of it.

At most one share of each softmax is more than one half. What it leaves is the sum of the others, and the logarithm of that is the
log-sum-exp of the others less that of all.
"""
from __future__ import annotations

import numpy as np

from ...build import logsumexp
from ...ir import Node, f, with_inputs
from ...ops.reduction import expand_back
from ..pattern import MOVES, Match, op
from ..rule import Level, Rule, rule
from . import forms
from .stable import log1mexp
from .variables import AXES, P, X
from .weighted import is_extreme

STABLE = Level.STABLE
PICKS = (*MOVES, "slice", "gather")


def _is_softmax(node: Node) -> bool:
    return node.op.name == "div" and forms.is_softmax(node)


def _picked(node: Node) -> tuple[Node, list[Node]]:
    """What elements are picked of or moved, and how, the innermost last."""
    picks = []
    while node.op.name in PICKS:
        picks.append(node)
        node = node.inputs[0]
    return node, picks


def _picked_again(node: Node, picks: list[Node]) -> Node:
    for pick in reversed(picks):
        node = with_inputs(pick, (node, *pick.inputs[1:]))
    return node


def _dominant(softmax: Node) -> tuple[Node, tuple[int, ...]]:
    """The shares of more than one half, and the axes that shares add to 1 over."""
    return f.gt(softmax, 0.5), forms.unmoved(softmax.inputs[1]).param("axes")


def _log_of_rest(m: Match) -> Node | None:
    """log(1 - p), p from a softmax."""
    softmax, picks = _picked(m.P)
    if not _is_softmax(softmax):
        return None
    most, axes = _dominant(softmax)
    powers = softmax.inputs[0]
    others = logsumexp(f.where(most, -np.inf, powers.inputs[0]), axes)
    rest = expand_back(others - f.log(f.sum(powers, axes=axes)), powers, axes)
    return _picked_again(f.where(most, rest, f.log1p(f.neg(f.where(most, 0.0, softmax)))), picks)


def _rest(m: Match) -> Node | None:
    """The rest 1 - p, p from a softmax."""
    softmax, picks = _picked(m.P)
    if not _is_softmax(softmax):
        return None
    most, axes = _dominant(softmax)
    others = expand_back(f.sum(f.where(most, 0.0, softmax), axes=axes), softmax, axes)
    return _picked_again(f.where(most, others, 1.0 - f.where(most, 0.0, softmax)), picks)


def _log_of_picked(m: Match) -> Node | None:
    softmax, picks = _picked(m.WHOLE.inputs[0])
    return _picked_again(f.log(softmax), picks) if _is_softmax(softmax) and any(n.op.name not in MOVES for n in picks) else None


SATURATING = ("sigmoid", "tanh", "erf", "erfc")


def _difference_of_picks(m: Match) -> Node | None:
    """np.diff(sigmoid(x)): the function after the elements are picked, so that the difference meets its rule."""
    scaled = m.P.op.name == "mul" and any(i.op.name == "const" for i in m.P.inputs)
    inner, scale = sorted(m.P.inputs, key=lambda i: i.op.name == "const") if scaled else (m.P, m.P)
    if inner.op.name not in SATURATING:
        return None
    above, below = (getattr(f, inner.op.name)(f.slice(inner.inputs[0], **pick.named_params)) for pick in m.WHOLE.inputs)
    made: Node = (above - below) * scale.value if scaled else above - below
    return made


def _log_of_what_a_product_leaves(m: Match) -> Node | None:
    return log1mexp(f.sum(f.log(m.P), axes=m.AXES)) if is_extreme(m.P) else None


RULES: tuple[Rule, ...] = (
    rule("log_of_rest", op.log1p(-P), _log_of_rest, STABLE, scale=1.0, why="a share rounds to 1"),
    rule("rest", 1 - P, _rest, STABLE, last=True, why="a share rounds to 1"),
    rule("log_of_picked_softmax", op.log(op.reshape(X)), _log_of_picked, STABLE, why="log(softmax(x)[label])"),
    rule("difference_of_picks", op.slice(P) - op.slice(P), _difference_of_picks, STABLE, why="both round to one number"),
    rule("log_of_what_a_product_leaves", op.log1p(-op.prod(P, axes=AXES)), _log_of_what_a_product_leaves, STABLE, inside=True, scale=1.0,
         why="the product rounds to 1"),
)
