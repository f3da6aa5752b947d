"""Stabilising rules: differences of nearly equal numbers, and quotients that are 0/0, in the form that has no cancellation.

Where the stable form holds on a part of the line only, it is chosen by `where`, and the arguments of both branches are
bounded to their own part, so that neither the other branch nor its derivative disturbs.

Sources: Hamming, "Numerical Methods", 1987, chapter 3; Higham, "Accuracy and Stability of Numerical Algorithms", 2002,
1.8 (quadratic equations) and 1.7 (areas of triangles: Kahan 1986); Sinnott, "Virtues of the haversine", 1984.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...ir import Node, f
from ...ops.elementwise import sinc_slope
from ..pattern import Match, Pattern, op
from ..rule import Level, Rule, property_of, rule
from . import forms
from .variables import A, B, C, D, P, X, Y, finite

STABLE = Level.STABLE
unclipped = property_of("is_not_clipped", lambda x: not forms.is_clipped(x), X)
moderate = property_of("is_moderate", lambda c: 2.0**-20 <= abs(c.value) <= 2.0**20, C)
fractional = property_of("is_no_whole_number", lambda c: math.isfinite(c.value) and c.value != math.floor(c.value), D)


def _tiny(a: Any) -> bool:
    """So small that its reciprocal, or a multiple of it, overflows."""
    return np.asarray(a).dtype.kind == "f" and bool(abs(a) < 2.0**24 / np.finfo(np.asarray(a).dtype).max)


# ------------------------------------------------------------------------------------------------ differences of one function
def _log_ratio(m: Match) -> Node:
    """log(x + c) - log(x)."""
    return f.log1p(m.C / m.X)


def _x_log1p(x: Node, c: Node | float) -> Node:
    """The product x log1p(c/x), 0 at 0."""
    at_zero = f.eq(x, 0.0)
    bounded = f.where(at_zero, 1.0, x)
    return f.where(at_zero, 0.0, bounded * f.log1p(c / bounded))


def _power_difference(m: Match) -> Node:
    """(x + c)**p - x**p = x**p expm1(p log1p(c/x)), where x is larger than c."""
    far = f.gt(m.X, f.abs(m.C))
    x, near = f.where(far, m.X, f.maximum(f.abs(m.C), 1.0)), f.where(far, 1.0, m.X)
    return f.where(far, f.pow(x, m.D) * f.expm1(m.D * f.log1p(m.C / x)), f.pow(near + m.C, m.D) - f.pow(near, m.D))


def _power_minus_one(m: Match) -> Node:
    """(1 + x)**p - 1 = expm1(p log1p(x)), where x is small."""
    near = f.and_(f.lt(f.abs(m.X), 0.5), f.isfinite(m.P))
    power = f.expm1(f.where(near, m.P, 0.0) * f.log1p(f.where(near, m.X, 0.0)))
    return f.where(near, power, f.pow(f.where(near, 1.0, 1.0 + m.X), m.P) - 1.0)


def xlogx(x: Pattern) -> Any:
    """What x log x has become."""
    return op.where(op.eq(x, 0.0), 0.0, x * op.log(op.where(op.eq(x, 0.0), 1.0, x)))


FUNCTIONS = (
    rule("log_difference", op.log(X + C) - op.log(X), _log_ratio, STABLE, when=(moderate,), excepted=_tiny,
         exceptions="numbers near the smallest", why="c/x would overflow for ordinary x"),
    rule("log1p_minus_log", op.log1p(X) - op.log(X), op.log1p(op.reciprocal(X)), STABLE, excepted=_tiny,
         exceptions="numbers near the smallest", source="Hamming 1987, example 3.8"),
    rule("x_log_x_difference", xlogx(X + C) - xlogx(X), lambda m: m.C * f.log(m.X + m.C) + _x_log1p(m.X, m.C), STABLE,
         when=(finite(C),), excepted=_tiny, exceptions="numbers near the smallest", ulps=64.0),
    rule("x_log1p_minus_x_log", (1 + X) * op.log1p(X) - xlogx(X), lambda m: f.log1p(m.X) + _x_log1p(m.X, 1.0), STABLE,
         excepted=_tiny, exceptions="numbers near the smallest"),
    rule("reciprocal_sqrt_difference", op.reciprocal(op.sqrt(X)) - op.reciprocal(op.sqrt(X + C)),
         ((C / (op.sqrt(X) + op.sqrt(X + C))) / op.sqrt(X)) / op.sqrt(X + C), STABLE, when=(moderate,), excepted=_tiny,
         exceptions="numbers near the smallest", ulps=4.0, why="0/0, inf/inf", source="Hamming 1987, example 3.6"),
    rule("power_difference", op.pow(X + C, D) - op.pow(X, D), _power_difference, STABLE, when=(fractional, unclipped),
         source="Hamming 1987, 3.3", ulps=64.0),
    rule("power_minus_one", op.pow(1 + X, P) - 1, _power_minus_one, STABLE, ulps=750.0),
    rule("one_minus_power", 1 - op.pow(1 + X, P), lambda m: -_power_minus_one(m), STABLE, ulps=750.0),
)


# ------------------------------------------------------------------------------------------------ roots less what they are near
def _root_minus(size: Node, root: Node, excess: Node) -> Node:
    """The difference root - size, excess being root**2 - size**2: by the quotient where both have the same sign."""
    same = f.and_(f.gt(size, 0.0), f.isfinite(root))
    return f.where(same, excess / (root + f.where(same, size, 1.0)), root - f.where(same, 0.0, size))


def _root(m: Match, name: str) -> Node:
    """The root in the match: the first input, or the second, that is an op of this name."""
    root: Node = next(i for i in m.WHOLE.inputs if i.op.name == name)
    return root


def _hypot_minus(m: Match, x: Node) -> Node:
    """hypot(x, y) - x = y (y / (hypot(x, y) + x)) for positive x."""
    root = _root(m, "hypot")
    same = f.and_(f.gt(x, 0.0), f.isfinite(root))
    return f.where(same, m.Y * (m.Y / (root + f.where(same, x, 1.0))), root - f.where(same, 0.0, x))


ROOTS = (
    rule("root_minus", op.sqrt(op.square(B) - P) - B, lambda m: _root_minus(m.B, _root(m, "sqrt"), -m.P), STABLE, ulps=8.0),
    rule("root_plus_minus", op.sqrt(op.square(B) + P) - B, lambda m: _root_minus(m.B, _root(m, "sqrt"), m.P), STABLE, ulps=8.0),
    rule("minus_root", B - op.sqrt(op.square(B) - P), lambda m: -_root_minus(m.B, _root(m, "sqrt"), -m.P), STABLE, ulps=8.0),
    rule("minus_root_plus", B - op.sqrt(op.square(B) + P), lambda m: -_root_minus(m.B, _root(m, "sqrt"), m.P), STABLE, ulps=8.0),
    rule("minus_minus_root", -B - op.sqrt(op.square(B) - P), lambda m: -_root_minus(-m.B, _root(m, "sqrt"), -m.P), STABLE,
         ulps=8.0),
    rule("plus_root", B + op.sqrt(op.square(B) - P), lambda m: _root_minus(-m.B, _root(m, "sqrt"), -m.P), STABLE, ulps=8.0,
         when=(property_of("varies", lambda p: p.op.name != "const", P, gain=True),),
         why="of x + sqrt(x**2 - 1) the logarithm is wanted, which is arccosh(x)"),
    rule("hypot_minus", op.hypot(X, Y) - X, lambda m: _hypot_minus(m, m.X), STABLE, ulps=8.0),
    rule("hypot_plus", op.hypot(X, Y) + X, lambda m: _hypot_minus(m, -m.X), STABLE, ulps=8.0),
)

# ------------------------------------------------------------------------------------------------ quotients that are 0/0 at 0
QUOTIENTS = (
    rule("exprel", op.expm1(X) / X, op.exprel(X), STABLE, why="0/0 at 0, and so its derivative", ulps=4.0),
    rule("sinc", op.sin(X) / X, op.sinc(X), STABLE, why="0/0 at 0, and so its derivative", ulps=4.0),
    rule("versine_over_square", (op.square(op.sin(X * 0.5)) * 2) / op.square(X), op.square(op.sinc(X * 0.5)) * 0.5, STABLE,
         ulps=6.0),
    rule("versine_over_argument", (op.square(op.sin(X * 0.5)) * 2) / X, op.sin(X * 0.5) * op.sinc(X * 0.5), STABLE, ulps=6.0),
    rule("reciprocal_minus_cotangent", op.reciprocal(X) - op.reciprocal(op.tan(X)), lambda m: -_cotangent_slope(m.X), STABLE,
         ulps=8.0, scale=1e-3),
    rule("cotangent_minus_reciprocal", op.reciprocal(op.tan(X)) - op.reciprocal(X), lambda m: _cotangent_slope(m.X), STABLE,
         ulps=8.0, scale=1e-3),
)


def _cotangent_slope(x: Node) -> Node:
    """cot(x) - 1/x: near 0 by the logarithmic derivative of sin(x)/x."""
    near = f.lt(f.abs(x), 1.0)
    small, far = f.where(near, x, 0.0), f.where(near, 1.0, x)
    y = f.sinc(small)
    return f.where(near, sinc_slope(y, small) / y, f.cos(far) / f.sin(far) - f.reciprocal(far))


# ------------------------------------------------------------------------------------------------ spheres and triangles
def _haversine(m: Match) -> Node:
    """The angle by its half: both legs are sums of positive terms on a sphere, near 0 and near pi."""
    product, half = f.cos(m.A) * f.cos(m.B), m.X * 0.5
    sine = f.square(f.sin((m.A - m.B) * 0.5)) + product * f.square(f.sin(half))
    cosine = f.square(f.sin((m.A + m.B) * 0.5)) + product * f.square(f.cos(half))
    return 2.0 * f.arctan2(f.sqrt(f.maximum(sine, 0.0)), f.sqrt(f.maximum(cosine, 0.0)))


def _half_excess(first: Node, second: Node, third: Node) -> Node:
    """(first + second - third) / 2, with what the first sum rounds away added at the end (Knuth's two-sum)."""
    total = first + second
    other = total - first
    lost = f.stop_gradient((first - (total - other)) + (second - other))
    return ((total - third) + f.where(f.isfinite(lost), lost, 0.0)) * 0.5


GEOMETRY = (
    rule("great_circle", op.arccos(op.sin(A) * op.sin(B) + (op.cos(A) * op.cos(B)) * op.cos(X)), _haversine, STABLE,
         source="Sinnott 1984", ulps=64.0, exceptions="angles beyond a full turn", excepted=lambda a: abs(a) > 7.0),
    rule("half_sum_minus_inner", ((A + B) + Y) * 0.5 - A, lambda m: _half_excess(m.B, m.Y, m.A), STABLE,
         source="Kahan 1986", ulps=4.0),
    rule("half_sum_minus_outer", ((A + B) + Y) * 0.5 - Y, lambda m: _half_excess(m.A, m.B, m.Y), STABLE,
         source="Kahan 1986", ulps=4.0),
)

RULES: tuple[Rule, ...] = (*FUNCTIONS, *ROOTS, *QUOTIENTS, *GEOMETRY)
