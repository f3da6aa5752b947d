"""Stabilising rules: roots of quadratic equations, and eigenvalues of symmetric 2 x 2 matrices, as people write them.

Of b -+ sqrt(b**2 - q) one cancels where q is small; it is q over the other one. An eigenvalue s (a + d) -+ sqrt((s (a - d))**2 + b**2) is
2 s min(a, d) - b**2/(sqrt + s |a - d|), of which the derivatives do not cancel; that nearer to 0 is the determinant over the other.

Source: Higham, "Accuracy and Stability of Numerical Algorithms", 2002, 1.8.
"""
from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from ...ir import Node, constant, f, toposort
from ..pattern import Match, op
from ..rule import Level, Rule, rule
from .cancellation import is_tiny, root_minus
from .forms import is_given
from .variables import CONDITION, A, B, C, P, X, Y, Z, has_exact_reciprocal

STABLE = Level.STABLE
Linear = dict[Node, Fraction]
LONGEST = 12  # nodes of a sum that are looked at


def linear(node: Node) -> Linear:
    """A sum as its terms, each with its coefficient; nothing where it is a long one."""
    found: Linear = {}
    pending, looked_at = [(node, Fraction(1))], 0
    while pending:
        top, factor = pending.pop()
        looked_at += 1
        if looked_at > LONGEST:
            return {}
        name = top.op.name
        if name == "neg":
            pending.append((top.inputs[0], -factor))
        elif name in ("add", "sub"):
            pending += [(top.inputs[0], factor), (top.inputs[1], factor if name == "add" else -factor)]
        elif name == "mul" and any(i.op.name == "const" and math.isfinite(i.value) for i in top.inputs):
            term, number = sorted(top.inputs, key=lambda i: i.op.name == "const")
            pending.append((term, factor * Fraction(float(number.value))))
        else:
            found[top] = found.get(top, Fraction(0)) + factor
    return found


# ------------------------------------------------------------------------------------------------ quadratic equations
def _excess(size: Node, radicand: Node) -> Node | None:
    """What is added to the square of `size` in the radicand, where a multiple of that is the first term of it."""
    if radicand.op.name not in ("add", "sub"):
        return None
    first, rest = radicand.inputs
    number = Fraction(1)
    if first.op.name == "mul" and first.inputs[1].op.name == "const" and math.isfinite(first.inputs[1].value):
        number, first = Fraction(float(first.inputs[1].value)), first.inputs[0]
    if first.op.name != "square" or rest.op.name == "const":
        return None
    (own, under) = (linear(n) for n in (size, first.inputs[0]))
    if len(own) != 1 or own.keys() != under.keys():
        return None
    ((core, factor),) = own.items()
    if factor**2 != number * under[core]**2:
        return None
    return rest if radicand.op.name == "add" else f.neg(rest)


def _minus_root(m: Match) -> Node | None:
    """A - sqrt(p)."""
    excess = _excess(m.A, m.P)
    return None if excess is None else f.neg(root_minus(m.A, m.WHOLE.inputs[1], excess))


def _root_minus(m: Match) -> Node | None:
    excess = _excess(m.A, m.P)
    return None if excess is None else root_minus(m.A, m.WHOLE.inputs[0], excess)


def _plus_root(m: Match) -> Node | None:
    excess = _excess(m.A, m.P)
    root = next(i for i in m.WHOLE.inputs if i.op.name == "sqrt" and i.inputs[0] is m.P)
    return None if excess is None else root_minus(f.neg(m.A), root, excess)


def _over_one(m: Match) -> Node | None:
    """Two quotients as one, where the sum above is one of those."""
    if _excess(m.A, m.P) is None:
        return None
    above: Node = getattr(f, m.WHOLE.op.name)(*(i.inputs[0] for i in m.WHOLE.inputs))
    return f.div(above, m.X)


def _with_number_below(m: Match) -> Node | None:
    """The choice over z/c, which is exact: so that it meets the rules of factors that above and below share."""
    if not has_exact_reciprocal(m.C):
        return None
    form: Node = next(i for n in (m.WHOLE, *m.WHOLE.inputs) for i in n.inputs if i.op.name == "where")
    return f.div(form, m.Z * constant(1.0 / m.C.value, m.Z.dtype, m.Z.shape))


ORDINARY: dict[str, Any] = {"excepted": lambda a: np.isinf(a) or is_tiny(a), "exceptions": "infinities, and numbers near the smallest"}
chosen = op.where(CONDITION, A / B, Y)
opposite = op.where(CONDITION, -(A / B), Y)
QUADRATICS = (
    rule("scaled_minus_root", A - op.sqrt(P), _minus_root, STABLE, ulps=8.0),
    rule("root_minus_scaled", op.sqrt(P) - A, _root_minus, STABLE, ulps=8.0),
    rule("scaled_plus_root", A + op.sqrt(P), _plus_root, STABLE, ulps=8.0),
    *(rule(name, before, _over_one, STABLE, first=True, ulps=64.0) for name, before in (
        ("quotients_minus_root", A / X - op.sqrt(P) / X), ("quotients_root_minus", op.sqrt(P) / X - A / X),
        ("quotients_plus_root", A / X + op.sqrt(P) / X))),
    *(made for name, form in (("", chosen), ("opposite_", opposite)) for made in (
        rule(f"{name}multiple_over_factor", (form * C) / Z, _with_number_below, STABLE, first=True, ulps=4.0, **ORDINARY),
        rule(f"{name}times_inverse_of_factor", (C / Z) * form, _with_number_below, STABLE, first=True, ulps=4.0, **ORDINARY))),
)


# ------------------------------------------------------------------------------------------------ eigenvalues
def _pair(middle: Node, half: Node) -> tuple[Node, Node, Fraction] | None:
    """A, d and s, where one is s (a + d), and the other s (a - d)."""
    own = linear(middle)
    if len(own) != 2 or len(set(own.values())) != 1:
        return None
    (a, d), (s, _) = own, own.values()
    other = linear(half)
    return (a, d, s) if s > 0 and sorted(other.values()) == [-s, s] and other.keys() == own.keys() else None


def _is_known(total: Node) -> Node:
    return f.and_(f.isfinite(total), f.gt(total, 0.0))


def _eigenvalue(m: Match) -> Node | None:
    """The one with the sign of the root in the match: 2 s min(a, d) - excess/(root + s |a - d|), or the sum."""
    middle, root = sorted(m.WHOLE.inputs, key=lambda i: i.op.name in ("hypot", "sqrt"))
    found, half, other = _pair(middle, m.X), m.X, m.get("Y")
    if found is None and other is not None:  # the legs of a hypot come in any order
        found, half, other = _pair(middle, other), other, m.X
    if found is None:
        return None
    a, d, s = found
    total = root + f.abs(half)
    known = _is_known(total)
    total = f.where(known, total, 1.0)
    apart = m.P / total if other is None else other * (other / total)
    lesser = m.WHOLE.op.name == "sub"
    nearest = (f.minimum if lesser else f.maximum)(a, d)
    nearest = nearest if s == Fraction(1, 2) else nearest * float(2 * s)
    far = f.where(known, 0.0, middle)
    return f.where(known, nearest - apart if lesser else nearest + apart, far - root if lesser else far + root)


def _by_determinant(m: Match) -> Node | None:
    """The eigenvalue that is smaller in size as the determinant over the other, where matrix elements are not rounded."""
    s, lesser = float(m.C.value) / 2 if "C" in m else 0.5, m.WHOLE.op.name == "sub"
    off, middle = linear(m.Y), (m.A + m.B) * s
    total = next(n for n in toposort([m.WHOLE]) if n.op.name == "where" and n.inputs[2] is m.Z)
    if total.inputs[0] is not _is_known(total.inputs[1]):
        return None
    found = _pair(middle, m.X) if s > 0 and all(map(is_given, (m.A, m.B, *off))) else None
    if found is None or found[2] != Fraction(s) or len(off) != 1:
        return None
    ((b, number),) = off.items()
    determinant = (m.A * m.B) * (4 * s**2) - f.square(b) * float(number**2)
    size, root = f.abs(determinant), next(n for n in toposort([m.WHOLE]) if n.op.name == "hypot" and {m.X, m.Y} == {*n.inputs})
    in_range = f.and_(f.gt(size, float(np.finfo(m.WHOLE.dtype).tiny) * 2.0**60), f.isfinite(size))
    smaller = f.and_(f.gt(middle, 0.0) if lesser else f.lt(middle, 0.0), in_range)
    middle = f.where(smaller, middle, 1.0 if lesser else -1.0)
    nearest, apart = m.WHOLE.inputs
    apart = f.where(smaller, 0.0, apart)
    return f.where(smaller, determinant / (middle + root if lesser else middle - root), nearest - apart if lesser else nearest + apart)


def _scaled_hypot(m: Match) -> Node | None:
    root = math.sqrt(m.C.value) if 0 < m.C.value < 2.0**40 else 0.0
    return f.hypot(m.X, m.Y * root) if root and root * root == m.C.value else None


def _by_trace(m: Match) -> Node | None:
    """The root of (s (a + d))**2 - 4 s**2 (a d - b**2), which is (s (a - d))**2 + (2 s b)**2."""
    own = linear(m.X)
    number = Fraction(float(m.C.value)) if "C" in m and math.isfinite(m.C.value) else Fraction(1)
    if own.keys() != {m.A, m.B} or len(own) != 2 or len(set(own.values())) != 1 or number != 4 * own[m.A] ** 2:
        return None
    s = abs(float(own[m.A]))
    return f.hypot((m.A - m.B) * s, m.Y * (2 * s))


NUMBERS: dict[str, Any] = {"excepted": np.isnan, "exceptions": "nan"}
determinant = A * B - op.square(Y)
DETERMINANTS = {order: Y * (Y / op.where(CONDITION, root + op.abs(X), Z)) for order, root in (("", op.hypot(X, Y)), ("_2", op.hypot(Y, X)))}
EIGENVALUES = (
    rule("root_of_square_and_product", op.sqrt(op.square(X) + (Y * C) * Y), _scaled_hypot, STABLE, ulps=4.0),
    rule("root_by_trace_and_multiple", op.sqrt(op.square(X) - determinant * C), _by_trace, STABLE, ulps=8.0, **NUMBERS),
    rule("root_by_trace", op.sqrt(op.square(X) - determinant), _by_trace, STABLE, ulps=8.0, **NUMBERS),
    rule("lesser_eigenvalue", A - op.hypot(X, Y), _eigenvalue, STABLE, ulps=8.0),
    rule("greater_eigenvalue", A + op.hypot(X, Y), _eigenvalue, STABLE, ulps=8.0),
    rule("lesser_eigenvalue_of_any", A - op.sqrt(op.square(X) + P), _eigenvalue, STABLE, ulps=8.0),
    rule("greater_eigenvalue_of_any", A + op.sqrt(op.square(X) + P), _eigenvalue, STABLE, ulps=8.0),
    *(rule(name + order, before, _by_determinant, STABLE, last=True, inside=True, ulps=16.0, **NUMBERS)
      for order, apart in DETERMINANTS.items()
      for name, before in (("lesser_by_determinant", op.minimum(A, B) - apart), ("greater_by_determinant", op.maximum(A, B) + apart),
                           ("lesser_multiple_by_determinant", op.minimum(A, B) * C - apart),
                           ("greater_multiple_by_determinant", op.maximum(A, B) * C + apart))),
)

RULES: tuple[Rule, ...] = (*QUADRATICS, *EIGENVALUES)
