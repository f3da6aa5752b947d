"""Diagonals: what is zero away from a diagonal is computed on it, and a contraction with a delta renames an index.

The derivative of an array by itself is a delta, `embed` of ones. Whole Jacobians and Hessians start from one; these rules bring
it through the program ("compression": Laue, Mitterreiter, Giesen, "A Simple and Efficient Tensor Calculus", AAAI 2020), so that
no array is built that has the axes of the basis beside all others.

The zeros of `embed` are structural: whatever they are multiplied with, the product is zero.

Canonical orders: `diagonals outward` (arithmetic is done before elements are put on a diagonal), `diagonals inward` (and after they
are taken from one), `sums outward` (of several diagonals, which are brought through products one by one), `fewer labels`.
"""
from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from string import ascii_letters
from typing import Any

import numpy as np

from ...build import permute
from ...ir import Node, f, make
from ...op import Shape
from ...sizes import Size
from ..pattern import Constant, Match, Variable, op
from ..rule import Level, Rule, property_of, rule
from .movement import resized
from .variables import AXES, DTYPE, LEFT, ORDER, OUT, RIGHT, ROLES, ROLES_2, A, B, C, X, Y

EXACT, ROUNDING, STABLE = Level.EXACT, Level.ROUNDING, Level.STABLE
OUTWARD, INWARD, SUMS_OUTWARD, LABELS = "diagonals outward", "diagonals inward", "sums outward", "fewer labels"
Labels = Sequence[Hashable]


# ------------------------------------------------------------------------------------------------ arrays by labels
def _walked(x: Node, labels: Labels) -> tuple[Node, list[Hashable]]:
    """Axes of the same label walked together: the diagonal, and its labels, each once."""
    once = list(dict.fromkeys(labels))
    if len(once) == len(labels):
        return x, once
    return f.diagonal(x, roles=tuple(once.index(c) for c in labels)), once


def arranged(x: Node, labels: Labels, out: Labels, extents: Mapping[Hashable, Size]) -> Node:
    """x, whose axes are named by `labels`, with axes `out`: moved, repeated along new ones, on the diagonal of equal ones."""
    x, labels = _walked(x, labels)
    once = list(dict.fromkeys(out))
    x = permute(x, tuple(labels.index(c) for c in once if c in labels))
    if len(labels) < len(once):
        x = f.expand(x, shape=tuple(extents[c] for c in once), axes=tuple(k for k, c in enumerate(once) if c in labels))
    return x if len(once) == len(out) else f.embed(x, roles=tuple(once.index(c) for c in out))


def _extents(labels: Labels, shape: Shape) -> dict[Hashable, Size]:
    return dict(zip(labels, shape, strict=True))


def _summed(x: Node, labels: Labels, gone: Callable[[Hashable], bool]) -> tuple[Node, list[Hashable]]:
    """The sum over the axes whose label is to go."""
    axes = tuple(k for k, c in enumerate(labels) if gone(c))
    return (f.sum(x, axes=axes) if axes else x), [c for c in labels if not gone(c)]


def product(x: Node, left: Labels, y: Node, right: Labels, out: Labels) -> Node:
    """The contraction of two arrays, where a label may stand several times anywhere."""
    extents = _extents(left, x.shape) | _extents(right, y.shape)
    (x, left), (y, right) = _walked(x, left), _walked(y, right)
    x, left = _summed(x, left, lambda c: c not in right and c not in out)
    y, right = _summed(y, right, lambda c: c not in left and c not in out)
    once = list(dict.fromkeys(out))
    if {*left, *right} <= {*once}:
        known = [c for c in once if c in left or c in right]
        return arranged(arranged(x, left, known, extents) * arranged(y, right, known, extents), known, out, extents)
    letter = dict(zip(dict.fromkeys([*left, *right]), ascii_letters, strict=False))
    made = f.contract(x, y, left="".join(letter[c] for c in left), right="".join(letter[c] for c in right),
                      out="".join(letter[c] for c in once if c in letter))
    return arranged(made, [c for c in once if c in letter], out, extents)


class _Same:
    """Which labels are the same index."""

    def __init__(self) -> None:
        self.known: dict[Hashable, Hashable] = {}

    def of(self, label: Hashable) -> Hashable:
        while label in self.known:
            label = self.known[label]
        return label

    def join(self, a: Hashable, b: Hashable) -> None:
        a, b = self.of(a), self.of(b)
        if a != b:
            self.known[b] = a

    def all(self, labels: Labels) -> list[Hashable]:
        return [self.of(c) for c in labels]


# ------------------------------------------------------------------------------------------------ movement of what is embedded
def _permuted(m: Match) -> Node:
    return arranged(m.X, range(m.X.ndim), [m.ROLES[k] for k in m.ORDER], {})


def _expanded(m: Match) -> Node:
    roles = dict(zip(m.AXES, m.ROLES, strict=True))
    out = [roles.get(k, ("new", k)) for k in range(m.WHOLE.ndim)]
    return arranged(m.X, range(m.X.ndim), out, _extents(out, m.WHOLE.shape))


def _reshaped(m: Match) -> Node | None:
    """Only axes of size 1 come and go."""
    before, after = m.WHOLE.inputs[0].shape, m.WHOLE.shape
    if [s for s in before if s != 1] != [s for s in after if s != 1]:
        return None
    large = [k for k, s in enumerate(m.X.shape) if s != 1]
    x = f.reshape(m.X, shape=tuple(m.X.shape[k] for k in large)) if len(large) < m.X.ndim else m.X
    kept = iter(role for role, s in zip(m.ROLES, before, strict=True) if s != 1)
    out = [("one", k) if s == 1 else next(kept) for k, s in enumerate(after)]
    return arranged(x, large, out, _extents(out, after))


def _sum_of_embed(m: Match) -> Node:
    kept = [role for k, role in enumerate(m.ROLES) if k not in m.AXES]
    x, labels = _summed(m.X, range(m.X.ndim), lambda c: c not in kept)
    return arranged(x, labels, kept, {})


def _embed_of_embed(m: Match) -> Node:
    return arranged(m.X, range(m.X.ndim), [m.ROLES[k] for k in m.ROLES_2], {})


EMBEDDED = (
    rule("permute_embed", op.permute(op.embed(X, roles=ROLES), order=ORDER), _permuted, EXACT, order=OUTWARD),
    rule("expand_embed", op.expand(op.embed(X, roles=ROLES), axes=AXES), _expanded, EXACT, order=OUTWARD),
    rule("reshape_embed", op.reshape(op.embed(X, roles=ROLES)), _reshaped, EXACT, order=OUTWARD),
    rule("embed_embed", op.embed(op.embed(X, roles=ROLES), roles=ROLES_2), _embed_of_embed, EXACT),
    rule("embed_zero", op.embed(0.0), lambda m: resized(m.WHOLE.inputs[0], m.WHOLE.shape), EXACT),
    rule("sum_embed", op.sum(op.embed(X, roles=ROLES), axes=AXES), _sum_of_embed, ROUNDING,
         why="zeros are not added; a sum of -0.0 and 0.0 is 0.0"),
)


# ------------------------------------------------------------------------------------------------ diagonals of what is moved
def _diagonal_of(m: Match, labels: Labels) -> Node:
    """The diagonal of a movement of X, `labels` being the roles of X's axes."""
    out = range(m.WHOLE.ndim)
    return arranged(m.X, labels, out, _extents(out, m.WHOLE.shape))


def _diagonal_of_embed(m: Match) -> Node:
    """Axes of one role inside and outside are one index."""
    same = _Same()
    for inner, outer in zip(m.ROLES, m.ROLES_2, strict=True):
        same.join(("in", inner), ("out", outer))
    out = same.all([("out", k) for k in range(m.WHOLE.ndim)])
    return arranged(m.X, same.all([("in", k) for k in range(m.X.ndim)]), out, _extents(out, m.WHOLE.shape))


def _diagonal_of_sum(m: Match) -> Node:
    roles = iter(m.ROLES)
    labels = [("summed", k) if k in m.AXES else next(roles) for k in range(m.X.ndim)]
    x, walked = _walked(m.X, labels)
    x, walked = _summed(x, walked, lambda c: isinstance(c, tuple))
    return arranged(x, walked, range(m.WHOLE.ndim), {})


def _diagonal_of_elementwise(m: Match) -> Node | None:
    if m.X.op.kind != "elementwise":
        return None
    return make(m.X.op, [f.diagonal(x, roles=m.ROLES) for x in m.X.inputs], **m.X.named_params)


def _diagonal_of_contract(m: Match) -> Node:
    role = dict(zip(m.OUT, m.ROLES, strict=True))
    left, right = ([role.get(c, c) for c in labels] for labels in (m.LEFT, m.RIGHT))
    return product(m.A, left, m.B, right, range(m.WHOLE.ndim))


def _diagonal_of_ramp(m: Match) -> Node:
    ramp = m.WHOLE.inputs[0]
    return make("iota", shape=m.WHOLE.shape, dtype=ramp.dtype, axis=m.ROLES[ramp.param("axis")])


DIAGONALS = (
    rule("diagonal_same", op.diagonal(X, roles=ROLES), lambda m: permute(m.X, tuple(m.ROLES.index(k) for k in range(m.X.ndim)))
         if m.WHOLE.ndim == m.X.ndim else None, EXACT, order=INWARD),
    rule("diagonal_constant", op.diagonal(Constant("C")), lambda m: resized(m.C, m.WHOLE.shape), EXACT),
    rule("diagonal_iota", op.diagonal(op.iota(), roles=ROLES), _diagonal_of_ramp, EXACT),
    rule("diagonal_expand", op.diagonal(op.expand(X, axes=AXES), roles=ROLES),
         lambda m: _diagonal_of(m, [m.ROLES[a] for a in m.AXES]), EXACT),
    rule("diagonal_permute", op.diagonal(op.permute(X, order=ORDER), roles=ROLES),
         lambda m: _diagonal_of(m, [m.ROLES[m.ORDER.index(k)] for k in range(m.X.ndim)]), EXACT),
    rule("diagonal_diagonal", op.diagonal(op.diagonal(X, roles=ROLES), roles=ROLES_2),
         lambda m: _diagonal_of(m, [m.ROLES_2[k] for k in m.ROLES]), EXACT),
    rule("diagonal_embed", op.diagonal(op.embed(X, roles=ROLES), roles=ROLES_2), _diagonal_of_embed, EXACT),
    rule("diagonal_sum", op.diagonal(op.sum(X, axes=AXES), roles=ROLES), _diagonal_of_sum, ROUNDING, order=INWARD),
    rule("diagonal_contract", op.diagonal(op.contract(A, B, left=LEFT, right=RIGHT, out=OUT), roles=ROLES), _diagonal_of_contract,
         ROUNDING),
    rule("diagonal_elementwise", op.diagonal(X, roles=ROLES), _diagonal_of_elementwise, EXACT, order=INWARD),
)


# ------------------------------------------------------------------------------------------------ arithmetic on diagonals
def _where_embed(m: Match, first: bool) -> Node:
    zero, condition = resized(m.C, m.X.shape), f.diagonal(m.CONDITION, roles=m.ROLES)
    return f.embed(f.where(condition, m.X, zero) if first else f.where(condition, zero, m.X), roles=m.ROLES)


E, F = op.embed(X, roles=ROLES), op.embed(Y, roles=ROLES)
CONDITION = Variable("CONDITION")
is_zero = property_of("is_zero", lambda c: not c.value and not np.signbit(c.value), C)
ARITHMETIC = (
    rule("mul_embed", E * Y, lambda m: f.embed(m.X * f.diagonal(m.Y, roles=m.ROLES), roles=m.ROLES), STABLE, order=OUTWARD,
         why="also where y is infinite or undefined"),
    rule("div_embed", E / Y, lambda m: f.embed(m.X / f.diagonal(m.Y, roles=m.ROLES), roles=m.ROLES), STABLE, order=OUTWARD,
         why="also where y is zero or undefined"),
    rule("neg_embed", -E, op.embed(-X, roles=ROLES), ROUNDING, order=OUTWARD, why="zeros change their sign"),
    rule("cast_embed", op.cast(E, dtype=DTYPE), op.embed(op.cast(X, dtype=DTYPE), roles=ROLES), EXACT, order=OUTWARD),
    rule("add_embeds", E + F, op.embed(X + Y, roles=ROLES), EXACT),
    rule("sub_embeds", E - F, op.embed(X - Y, roles=ROLES), EXACT),
    rule("where_embed", op.where(CONDITION, E, C), lambda m: _where_embed(m, True), EXACT, when=(is_zero,), order=OUTWARD,
         why="another number would stand beside the diagonal"),
    rule("where_not_embed", op.where(CONDITION, C, E), lambda m: _where_embed(m, False), EXACT, when=(is_zero,), order=OUTWARD,
         why="another number would stand beside the diagonal"),
)


# ------------------------------------------------------------------------------------------------ sums of diagonals
DEEPEST = 16  # sums inside sums that are looked at


def is_embedded(node: Node) -> bool:
    """Made of diagonals that are added up: each is brought through a product on its own."""
    stack = [(node, 0)]
    while stack:
        node, depth = stack.pop()
        if node.op.name in ("add", "sub") and depth < DEEPEST:
            stack += [(i, depth + 1) for i in node.inputs]
        elif node.op.name != "embed":
            return False
    return True


def _apart(position: int) -> Callable[[Match], Node]:
    """An op that is linear in one operand, a sum, applied to both terms."""

    def after(m: Match) -> Node:
        node, total = m.WHOLE, m.WHOLE.inputs[position]
        terms = [make(node.op, [*node.inputs[:position], term, *node.inputs[position + 1:]], **node.named_params)
                 for term in total.inputs]
        return make(total.op, terms)

    return after


def _apart_in_mul(m: Match) -> Node:
    return _apart(next(k for k, i in enumerate(m.WHOLE.inputs) if i.op.name in ("add", "sub") and {*i.inputs} == {m.A, m.B}))(m)


embedded = (property_of("is_embedded", lambda a, b: is_embedded(a) and is_embedded(b), A, B, gain=True),)
SUMS = tuple(
    made for name in ("add", "sub") for total in (getattr(op, name)(A, B),) for made in (
        rule(f"mul_{name}_of_embeds", total * Y, _apart_in_mul, STABLE, when=embedded, order=SUMS_OUTWARD),
        rule(f"div_{name}_of_embeds", total / Y, _apart(0), STABLE, when=embedded, order=SUMS_OUTWARD),
        rule(f"neg_{name}_of_embeds", -total, _apart(0), ROUNDING, when=embedded, order=SUMS_OUTWARD),
        rule(f"where_{name}_of_embeds", op.where(CONDITION, total, C), lambda m: getattr(f, m.WHOLE.inputs[1].op.name)(
            f.where(m.CONDITION, m.A, m.C), f.where(m.CONDITION, m.B, m.C)), EXACT, when=(*embedded, is_zero), order=SUMS_OUTWARD,
             why="another number would be added twice"),
        rule(f"where_not_{name}_of_embeds", op.where(CONDITION, C, total), lambda m: getattr(f, m.WHOLE.inputs[2].op.name)(
            f.where(m.CONDITION, m.C, m.A), f.where(m.CONDITION, m.C, m.B)), EXACT, when=(*embedded, is_zero), order=SUMS_OUTWARD,
             why="another number would be added twice"),
        rule(f"sum_{name}_of_embeds", op.sum(total), _apart(0), ROUNDING, when=embedded, order=SUMS_OUTWARD),
        rule(f"expand_{name}_of_embeds", op.expand(total), _apart(0), EXACT, when=embedded, order=SUMS_OUTWARD),
        rule(f"permute_{name}_of_embeds", op.permute(total), _apart(0), EXACT, when=embedded, order=SUMS_OUTWARD),
        rule(f"contract_{name}_of_embeds_left", op.contract(total, Y), _apart(0), STABLE, when=embedded, order=SUMS_OUTWARD),
        rule(f"contract_{name}_of_embeds_right", op.contract(Y, total), _apart(1), STABLE, when=embedded, order=SUMS_OUTWARD),
    ))


# ------------------------------------------------------------------------------------------------ contractions
def _contract_embed(m: Match, left: Any, right: Any) -> Node:
    """Labels of one role are one index, in the other operand and in the result as well."""
    same = _Same()
    first: dict[int, Hashable] = {}
    for label, role in zip(left, m.ROLES, strict=True):
        same.join(first.setdefault(role, label), label)
    return product(m.X, [same.of(first[k]) for k in range(m.X.ndim)], m.B, same.all(right), same.all(m.OUT))


def _contract_expand(m: Match, left: Any, right: Any) -> Node:
    """A label along which an operand only repeats is no label of it."""
    own = [left[a] for a in m.AXES]
    known = [c for c in m.OUT if c in own or c in right]
    return arranged(product(m.X, own, m.B, right, known), known, m.OUT, _extents(m.OUT, m.WHOLE.shape))


def _contract_uniform(m: Match, left: Any, right: Any) -> Node:
    """A sum of the other operand, times the number."""
    x, labels = _summed(m.B, right, lambda c: c not in m.OUT)
    return arranged(x, labels, m.OUT, _extents(m.OUT, m.WHOLE.shape)) * resized(m.C, m.WHOLE.shape)


def _on(side: str, after: Callable[[Match, Any, Any], Node]) -> Callable[[Match], Node]:
    """The labels of the operand on a side first, then those of the other one."""
    return (lambda m: after(m, m.LEFT, m.RIGHT)) if side == "left" else lambda m: after(m, m.RIGHT, m.LEFT)


CONTRACTIONS = tuple(
    rule(f"contract_{name}_{side}", op.contract(*((pattern, B) if side == "left" else (B, pattern)), left=LEFT, right=RIGHT, out=OUT),
         _on(side, after), level, order=order, why=why)
    for side in ("left", "right") for name, pattern, after, level, order, why in (
        ("embed", E, _contract_embed, STABLE, OUTWARD, "zeros beside the diagonal are no factors"),
        ("expand", op.expand(X, axes=AXES), _contract_expand, ROUNDING, LABELS, "the same products, added in another order"),
        ("constant", C, _contract_uniform, ROUNDING, "", "one multiplication instead of one for each element"),
    ))

RULES: tuple[Rule, ...] = (*EMBEDDED, *DIAGONALS, *ARITHMETIC, *SUMS, *CONTRACTIONS)
