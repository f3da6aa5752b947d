"""Constants, movement, reductions and contractions: the same elements, found with less work.

Canonical orders: `movement outward` (arithmetic is done before elements are repeated or rearranged, which exposes it to
the other rules and does less of it), `fewer movements`.
"""
from __future__ import annotations

import operator
from functools import reduce
from typing import Any

import numpy as np

from ... import sizes
from ...build import broadcast_to, size_value
from ...ir import Node, constant, f, make
from ...sizes import never_negative
from ..pattern import AnyOf, Constant, Match, op
from ..rule import Level, rule
from .variables import (
    AXES,
    AXES_2,
    LEFT,
    ORDER,
    ORDER_2,
    OUT,
    RIGHT,
    SHAPE,
    START,
    STEP,
    A,
    B,
    C,
    X,
)

EXACT, ROUNDING = Level.EXACT, Level.ROUNDING
OUTWARD = "movement outward"


# ------------------------------------------------------------------------------------------------ constants
def resized(node: Node, shape: Any) -> Node:
    """The constant of this value with another shape."""
    return make("const", shape=shape, dtype=node.dtype, value=node.params[0])


def _fold(m: Match) -> Node:
    node = m.WHOLE
    with np.errstate(all="ignore"):
        value = node.op.evaluate(*(np.asarray(i.value) for i in node.inputs), **node.named_params)
    return constant(value, node.dtype, node.shape)


def _count(m: Match) -> Node:
    """How many elements a reduction joins, in its dtype and shape."""
    n = sizes.product(m.X.shape[a] for a in m.AXES)
    return broadcast_to(size_value(n, m.WHOLE.dtype), m.WHOLE.shape)


CONSTANTS = (
    rule("fold_constants", AnyOf("elementwise", "const", "op(constants)"), _fold, EXACT,
         why="the reference evaluation of the op on the constants; nan and inf included"),
    rule("size_of_fixed_axis", op.size(), lambda m: constant(m.WHOLE.param("size"), m.WHOLE.dtype, m.WHOLE.shape)
         if isinstance(m.WHOLE.param("size"), int) else None, EXACT),
    *(rule(f"{name}_constant", getattr(op, name)(C), lambda m: resized(m.C, m.WHOLE.shape), EXACT)
      for name in ("reshape", "permute", "expand", "slice", "flip", "max", "min", "any", "all")),
    rule("place_zero", op.place(0.0), lambda m: resized(m.WHOLE.inputs[0], m.WHOLE.shape), EXACT),
    rule("sum_zero", op.sum(0.0), 0.0, EXACT),
    rule("sum_constant", op.sum(Constant("X"), axes=AXES), lambda m: _count(m) * resized(m.X, m.WHOLE.shape), ROUNDING,
         ulps=0.5, why="one rounding instead of one for each element"),
)


# ------------------------------------------------------------------------------------------------ movement
def _composed_expand(m: Match) -> tuple[int, ...]:
    return tuple(m.AXES_2[a] for a in m.AXES)


def _slice_of_place(m: Match) -> Node | None:
    return m.X if m.WHOLE.shape == m.X.shape else None


def _slice_of_slice(m: Match) -> Node:
    inner = m.WHOLE.inputs[0]
    start, step = inner.param("start"), inner.param("step")
    return f.slice(m.X, start=tuple(a + b * s for a, b, s in zip(start, m.START, step, strict=True)),
                   step=tuple(s * t for s, t in zip(step, m.STEP, strict=True)), shape=m.WHOLE.shape)


def _is_whole(m: Match) -> Node | None:
    whole = m.WHOLE.shape == m.X.shape and not any(m.START) and all(s == 1 for s in m.STEP)
    return m.X if whole else None


def _part_of_joined(m: Match) -> Node | None:
    """One of the arrays that were joined, where the slice is that."""
    node: Node = m.WHOLE
    joined = node.inputs[0]
    if node.op.name != "slice" or any(step != 1 for step in node.param("step")):
        return None
    axis = joined.param("axis")
    starts: list[Any] = [0] * node.ndim
    for part in joined.inputs:
        if node.param("start") == tuple(starts) and node.shape == part.shape:
            return part
        starts[axis] = starts[axis] + part.shape[axis]
    return None


def _part_of_places(m: Match) -> Node | None:
    """Of a sum of arrays that were placed one behind the other along one axis, the one that the slice is."""
    node, pending, found = m.WHOLE, [m.A, m.B], []
    if any(step != 1 for step in m.STEP):
        return None
    while pending:
        term = pending.pop()
        if term.op.name == "add":
            pending += term.inputs
            continue
        if term.op.name != "place" or any(step != 1 for step in term.param("step")):
            return None
        x, start = term.inputs[0], term.param("start")
        if start == m.START and x.shape == node.shape:
            found.append(x)
        elif not any(_ends_before(*pair) for k in range(node.ndim) for pair in (
                ((start[k], x.shape[k]), m.START[k]), ((m.START[k], node.shape[k]), start[k]))):
            return None
    return reduce(operator.add, found) if found else constant(0, node.dtype, node.shape)


def _ends_before(interval: tuple[Any, Any], start: Any) -> bool:
    """Whether `interval`, a start and a length, has its end at or before a size."""
    left = start - interval[0] - interval[1]
    return left >= 0 if isinstance(left, int) else never_negative(left)


def _flip_of_flip(m: Match) -> Node:
    axes = tuple(sorted(set(m.AXES) ^ set(m.AXES_2)))
    return f.flip(m.X, axes=axes)


def _identity_order(order: tuple[int, ...]) -> bool:
    return order == tuple(range(len(order)))


MOVEMENT = (
    rule("reshape_same", op.reshape(X, shape=SHAPE), lambda m: m.X if m.X.shape == m.SHAPE else None, EXACT),
    rule("reshape_reshape", op.reshape(op.reshape(X), shape=SHAPE), op.reshape(X, shape=SHAPE), EXACT),
    rule("permute_same", op.permute(X, order=ORDER), lambda m: m.X if _identity_order(m.ORDER) else None, EXACT),
    rule("permute_permute", op.permute(op.permute(X, order=ORDER), order=ORDER_2),
         op.permute(X, order=lambda m: tuple(m["ORDER"][k] for k in m["ORDER_2"])), EXACT),
    rule("expand_same", op.expand(X, shape=SHAPE), lambda m: m.X if m.X.shape == m.SHAPE else None, EXACT),
    rule("expand_expand", op.expand(op.expand(X, axes=AXES), shape=SHAPE, axes=AXES_2),
         op.expand(X, shape=SHAPE, axes=lambda m: _composed_expand(m)), EXACT),
    rule("slice_whole", op.slice(X, start=START, step=STEP), _is_whole, EXACT),
    rule("slice_slice", op.slice(op.slice(X), start=START, step=STEP), _slice_of_slice, EXACT),
    rule("slice_concatenate", AnyOf("movement", "concatenate", "slice(concatenate(X, ...))"), _part_of_joined, EXACT),
    rule("slice_places", op.slice(A + B, start=START, step=STEP), _part_of_places, EXACT, exceptions="the sign of zeros"),
    rule("slice_place", op.slice(op.place(X, start=START, step=STEP), start=START, step=STEP), _slice_of_place, EXACT),
    rule("flip_nothing", op.flip(X, axes=()), X, EXACT),
    rule("flip_flip", op.flip(op.flip(X, axes=AXES), axes=AXES_2), _flip_of_flip, EXACT),
    rule("stop_gradient_twice", op.stop_gradient(op.stop_gradient(X)), op.stop_gradient(X), EXACT),
)


# ------------------------------------------------------------------------------------------- arithmetic before movement
def _hoist(name: str) -> Any:
    """`op(move(x), move(y), constant) -> move(op(x, y, constant))`, where all moves are the same."""

    def after(m: Match) -> Node | None:
        node = m.WHOLE
        moves = [i for i in node.inputs if i.op.name != "const"]
        first = moves[0]
        source = first.inputs[0].shape
        if any(i.params != first.params or i.inputs[0].shape != source for i in moves):
            return None
        if name == "reshape" and not node.shape and len(source) == 1:  # an element of a vector: there is no less work to do
            return None
        inputs = [resized(i, source) if i.op.name == "const" else i.inputs[0] for i in node.inputs]
        return make(name, [make(node.op, inputs, **node.named_params)], **first.named_params)

    return after


HOISTS = tuple(
    rule(f"hoist_{name}", AnyOf("elementwise", name, f"op({name}(X), {name}(Y), ...)"), _hoist(name), EXACT,
         order=OUTWARD)
    for name in ("expand", "reshape", "permute")
)


# ------------------------------------------------------------------------------------------------ reductions
def _repeated(m: Match) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of the reduced axes: those along which an expand repeats, and the others as axes of what is expanded."""
    repeats = tuple(a for a in m.AXES if a not in m.AXES_2)
    return repeats, tuple(k for k, a in enumerate(m.AXES_2) if a in m.AXES)


def _reduced_expand(m: Match) -> Node:
    """The reduction of the unrepeated array, repeated along the axes that are left."""
    node = m.WHOLE
    reduced = [a for a in range(node.inputs[0].ndim) if a in m.AXES]
    inner = _repeated(m)[1]
    x = make(node.op, [m.X], axes=inner) if inner else m.X
    kept = [a for a in m.AXES_2 if a not in m.AXES]
    return f.expand(x, shape=node.shape, axes=tuple(a - sum(r < a for r in reduced) for a in kept))


def _sum_of_expand(m: Match) -> Node:
    summed, (repeats, _) = _reduced_expand(m), _repeated(m)
    if not repeats:
        return summed
    n = sizes.product(m.WHOLE.inputs[0].shape[a] for a in repeats)
    return summed * broadcast_to(size_value(n, m.WHOLE.dtype), m.WHOLE.shape)


def _outer_axes(m: Match) -> tuple[int, ...]:
    """The axes of two nested reductions, as axes of the innermost array."""
    left = [a for a in range(m["X"].ndim) if a not in m["AXES"]]
    return tuple(sorted((*m["AXES"], *(left[a] for a in m["AXES_2"]))))


def _has_elements(m: Match) -> bool:
    """No axis along which an expand repeats is known to be empty."""
    return not any(m.WHOLE.inputs[0].shape[a] == 0 for a in _repeated(m)[0])


REDUCTIONS = (
    *(rule(f"{name}_of_nothing", getattr(op, name)(X, axes=()), X, EXACT)
      for name in ("sum", "prod", "max", "min", "any", "all")),
    rule("sum_sum", op.sum(op.sum(X, axes=AXES), axes=AXES_2), op.sum(X, axes=_outer_axes), Level.ORDER),
    *(rule(f"{name}_{name}", getattr(op, name)(getattr(op, name)(X, axes=AXES), axes=AXES_2),
           getattr(op, name)(X, axes=_outer_axes), EXACT) for name in ("max", "min", "any", "all")),
    rule("sum_neg", op.sum(-X, axes=AXES), -op.sum(X, axes=AXES), ROUNDING, order="neg outward",
         exceptions="the sign of a sum that cancels to zero"),
    rule("sum_expand", op.sum(op.expand(X, axes=AXES_2), axes=AXES), _sum_of_expand, ROUNDING, ulps=2.0,
         why="n equal terms add up to n times the term"),
    *(rule(f"{name}_expand", getattr(op, name)(op.expand(X, axes=AXES_2), axes=AXES),
           lambda m: _reduced_expand(m) if _has_elements(m) else None, EXACT) for name in ("max", "min")),
)


# ------------------------------------------------------------------------------------------------ contractions
def _relabelled(labels: str, order: tuple[int, ...]) -> str:
    """Labels of an array before it was permuted."""
    before = [""] * len(labels)
    for k, axis in enumerate(order):
        before[axis] = labels[k]
    return "".join(before)


def _summed_contract(m: Match) -> Node | None:
    """The contraction that sums over the labels, too, where each of them is in both operands."""
    if not all(m.OUT[a] in m.LEFT and m.OUT[a] in m.RIGHT for a in m.AXES):
        return None
    return f.contract(m.A, m.B, left=m.LEFT, right=m.RIGHT, out="".join(c for k, c in enumerate(m.OUT) if k not in m.AXES))


CONTRACTIONS = (
    rule("contract_neg_left", op.contract(-A, B, left=LEFT, right=RIGHT, out=OUT),
         -op.contract(A, B, left=LEFT, right=RIGHT, out=OUT), ROUNDING, order="neg outward"),
    rule("contract_neg_right", op.contract(A, -B, left=LEFT, right=RIGHT, out=OUT),
         -op.contract(A, B, left=LEFT, right=RIGHT, out=OUT), ROUNDING, order="neg outward"),
    rule("contract_permute_left", op.contract(op.permute(A, order=ORDER), B, left=LEFT, right=RIGHT, out=OUT),
         op.contract(A, B, left=lambda m: _relabelled(m["LEFT"], m["ORDER"]), right=RIGHT, out=OUT), Level.ORDER),
    rule("contract_permute_right", op.contract(A, op.permute(B, order=ORDER), left=LEFT, right=RIGHT, out=OUT),
         op.contract(A, B, left=LEFT, right=lambda m: _relabelled(m["RIGHT"], m["ORDER"]), out=OUT), Level.ORDER),
    rule("permute_contract", op.permute(op.contract(A, B, left=LEFT, right=RIGHT, out=OUT), order=ORDER),
         op.contract(A, B, left=LEFT, right=RIGHT, out=lambda m: "".join(m["OUT"][k] for k in m["ORDER"])),
         Level.ORDER),
    rule("sum_contract", op.sum(op.contract(A, B, left=LEFT, right=RIGHT, out=OUT), axes=AXES), _summed_contract, Level.ORDER),
)

RULES = (*CONSTANTS, *MOVEMENT, *REDUCTIONS, *CONTRACTIONS, *HOISTS)
