"""Stabilising rules: differences of nearly equal numbers, and quotients that are 0/0, in the form that has no cancellation.

Where the stable form holds on a part of the line only, it is chosen by `where`, and the arguments of both branches are
bounded to their own part, so that neither the other branch nor its derivative disturbs.

Sources: Hamming, "Numerical Methods", 1987, chapter 3; Higham, "Accuracy and Stability of Numerical Algorithms", 2002,
1.8 (quadratic equations) and 1.7 (areas of triangles: Kahan 1986); Sinnott, "Virtues of the haversine", 1984.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from ...ir import Node, constant, f
from ...ops.elementwise import sinc_slope
from ..pattern import Match, Pattern, op
from ..rule import Level, Rule, property_of, rule
from . import forms
from .variables import CONDITION, A, B, C, D, P, X, Y, beyond_products, finite, opposite, varies

STABLE = Level.STABLE
unclipped = property_of("is_not_clipped", lambda x: not forms.is_clipped(x), X)
moderate = property_of("is_moderate", lambda c: 2.0**-20 <= abs(c.value) <= 2.0**20, C)


def is_tiny(a: Any) -> bool:
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


def xlogx(x: Pattern) -> Any:
    """What x log x has become."""
    return op.where(op.eq(x, 0.0), 0.0, x * op.log(op.where(op.eq(x, 0.0), 1.0, x)))


FUNCTIONS = (
    rule("log_difference", op.log(X + C) - op.log(X), _log_ratio, STABLE, when=(moderate,), excepted=is_tiny,
         exceptions="numbers near the smallest", why="c/x would overflow for ordinary x"),
    rule("log1p_minus_log", op.log1p(X) - op.log(X), op.log1p(op.reciprocal(X)), STABLE, excepted=is_tiny,
         exceptions="numbers near the smallest", source="Hamming 1987, example 3.8"),
    rule("x_log_x_difference", xlogx(X + C) - xlogx(X), lambda m: m.C * f.log(m.X + m.C) + _x_log1p(m.X, m.C), STABLE,
         when=(finite(C),), excepted=is_tiny, exceptions="numbers near the smallest", ulps=64.0),
    rule("x_log1p_minus_x_log", (1 + X) * op.log1p(X) - xlogx(X), lambda m: f.log1p(m.X) + _x_log1p(m.X, 1.0), STABLE,
         excepted=is_tiny, exceptions="numbers near the smallest"),
    rule("reciprocal_sqrt_difference", op.reciprocal(op.sqrt(X)) - op.reciprocal(op.sqrt(X + C)),
         ((C / (op.sqrt(X) + op.sqrt(X + C))) / op.sqrt(X)) / op.sqrt(X + C), STABLE, when=(moderate,), excepted=is_tiny,
         exceptions="numbers near the smallest", ulps=4.0, why="0/0, inf/inf", source="Hamming 1987, example 3.6"),
)


# ------------------------------------------------------------------------------------------------ roots less what they are near
def root_minus(size: Node, root: Node, excess: Node) -> Node:
    """The difference root - size, excess being root**2 - size**2: by the quotient where both have the same sign."""
    same = f.and_(f.gt(size, 0.0), f.isfinite(root))
    return f.where(same, excess / (root + f.where(same, size, 1.0)), root - f.where(same, 0.0, size))


def _root(m: Match, name: str) -> Node:
    """The root in the match: the first input, or the second, that is an op of this name."""
    root: Node = next(i for i in m.WHOLE.inputs if i.op.name == name)
    return root


def _hypot_minus(m: Match, x: Node) -> Node | None:
    """hypot(x, y) - x = y (y / (hypot(x, y) + x)) for positive x."""
    if m.X.op.name == "const" and (m.X.value > 0) != (x is m.X):
        return None  # nothing cancels
    root = _root(m, "hypot")
    same = f.and_(f.gt(x, 0.0), f.isfinite(root))
    return f.where(same, m.Y * (m.Y / (root + f.where(same, x, 1.0))), root - f.where(same, 0.0, x))


ROOTS = (
    rule("root_minus", op.sqrt(op.square(B) - P) - B, lambda m: root_minus(m.B, _root(m, "sqrt"), -m.P), STABLE, ulps=8.0),
    rule("root_plus_minus", op.sqrt(op.square(B) + P) - B, lambda m: root_minus(m.B, _root(m, "sqrt"), m.P), STABLE, ulps=8.0),
    rule("minus_root", B - op.sqrt(op.square(B) - P), lambda m: -root_minus(m.B, _root(m, "sqrt"), -m.P), STABLE, ulps=8.0),
    rule("minus_root_plus", B - op.sqrt(op.square(B) + P), lambda m: -root_minus(m.B, _root(m, "sqrt"), m.P), STABLE, ulps=8.0),
    rule("minus_minus_root", -B - op.sqrt(op.square(B) - P), lambda m: -root_minus(-m.B, _root(m, "sqrt"), -m.P), STABLE,
         ulps=8.0),
    rule("plus_root", B + op.sqrt(op.square(B) - P), lambda m: root_minus(-m.B, _root(m, "sqrt"), -m.P), STABLE, ulps=8.0,
         when=(varies,),
         why="of x + sqrt(x**2 - 1) the logarithm is wanted, which is arccosh(x)"),
    rule("opposite_minus_root", A - op.sqrt(op.square(B) - P), lambda m: -root_minus(-m.B, _root(m, "sqrt"), -m.P), STABLE,
         ulps=8.0, when=(opposite,), why="the root is near to b only"),
    rule("hypot_minus", op.hypot(X, Y) - X, lambda m: _hypot_minus(m, m.X), STABLE, ulps=8.0),
    rule("hypot_minus_second", op.hypot(Y, X) - X, lambda m: _hypot_minus(m, m.X), STABLE, ulps=8.0),
    rule("hypot_plus_second", op.hypot(Y, X) + X, lambda m: _hypot_minus(m, -m.X), STABLE, ulps=8.0),
    rule("hypot_plus", op.hypot(X, Y) + X, lambda m: _hypot_minus(m, -m.X), STABLE, ulps=8.0),
)


def _cancelled(m: Match) -> Node | None:
    """(where(condition, a/b, c))/d without the factors that a and d share: there it may be 0/0, and its derivative cancels."""
    choice, divisor = m.WHOLE.inputs
    condition, quotient, other = choice.inputs
    negative = quotient.op.name == "neg"
    (quotient,) = quotient.inputs if negative else (quotient,)
    above, below = _factors(quotient.inputs[0]), _factors(divisor)
    shared = [n for n in below[1] if n in above[1]]
    if not shared or not below[0]:
        return None
    for n in shared:
        above[1].remove(n)
        below[1].remove(n)
    reduced = _product(above[0] / below[0], above[1], m.WHOLE) / quotient.inputs[1]
    if below[1]:
        reduced = reduced / _product(1.0, below[1], m.WHOLE)
    return f.where(condition, f.neg(reduced) if negative else reduced, other / divisor)


def _factors(node: Node) -> tuple[float, list[Node]]:
    """A product as a number and its other factors."""
    number, found, pending = 1.0, [], [node]
    while pending:
        top = pending.pop()
        if top.op.name == "neg":
            number = -number
            pending.append(top.inputs[0])
        elif top.op.name == "mul":
            pending += top.inputs
        elif top.op.name == "const":
            number *= float(top.value)
        else:
            found.append(top)
    return number, found


def _without_shared(m: Match) -> Node | None:
    """The quotient d/where(condition, a/b, c) without the factors that a and d share: there the derivative cancels."""
    above, below = _factors(m.A), _factors(m.X)
    shared = [n for n in above[1] if n in below[1]]
    if not shared or not below[0]:
        return None
    for n in shared:
        if n in below[1]:
            above[1].remove(n)
            below[1].remove(n)
    negative = m.WHOLE.inputs[1].inputs[1].op.name == "neg"
    reduced = _product((-above[0] if negative else above[0]) / below[0], above[1], m.WHOLE) * m.Y
    if below[1]:
        reduced = reduced / _product(1.0, below[1], m.WHOLE)
    return f.where(m.CONDITION, reduced, m.A / f.where(m.CONDITION, 1.0, m.B))


def _product(number: float, factors: list[Node], like: Node) -> Node:
    made = constant(number, like.dtype, like.shape)
    for n in factors:
        made = n * made
    return made


NUMERATORS = {"product": A * X, "multiple": (A * C) * X, "multiple_product": (A * X) * C}
CANCELLED = tuple(
    rule(f"shared_factor_of_{sign}{above}_and_{below}", op.where(CONDITION, -(n / B) if sign else n / B, Y) / d, _cancelled, STABLE,
         ulps=8.0, excepted=beyond_products, exceptions="numbers whose product overflows",
         why="0/0 where the factor is 0; what is left may be in range where the product was not")
    for sign in ("", "negative_") for above, n in NUMERATORS.items() for below, d in (("factor", A), ("multiple", A * D))) + \
    tuple(rule(f"factor_over_{name}", A / op.where(CONDITION, below, B), _without_shared, STABLE, ulps=8.0, excepted=beyond_products,
               exceptions="numbers whose product overflows", why="0/0 where the factor is 0")
          for name, below in (("shared_factor", X / Y), ("opposite_shared_factor", -(X / Y))))

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
    rule("one_minus_share", 1 - X / (X + C), C / (X + C), STABLE, when=(finite(C),), ulps=4.0, why="what a gain leaves"),
    rule("quotient_over_denominator", (X / (A / B)) / B, X / A, STABLE, why="of the derivatives of log(a/b); undefined for b = 0"),
    rule("quotient_times_inverse", (Y / B) * (X / Y), X / B, STABLE, why="of the derivatives of log(a/b); undefined for y = 0"),
)


def _cotangent_slope(x: Node) -> Node:
    """cot(x) - 1/x: near 0 by the logarithmic derivative of sin(x)/x."""
    near = f.lt(f.abs(x), 1.0)
    small, far = f.where(near, x, 0.0), f.where(near, 1.0, x)
    y = f.sinc(small)
    return f.where(near, sinc_slope(y, small) / y, f.cos(far) / f.sin(far) - f.reciprocal(far))


# ------------------------------------------------------------------------------------------------ spheres and triangles
def _half_way(a: Node, b: Node, half: Node) -> Node:
    """Half of the angle: both legs are sums of positive terms on a sphere, near 0 and near pi."""
    product = f.cos(a) * f.cos(b)
    sine = f.square(f.sin((a - b) * 0.5)) + product * f.square(f.sin(half))
    cosine = f.square(f.sin((a + b) * 0.5)) + product * f.square(f.cos(half))
    return f.arctan2(_leg(sine), _leg(cosine))


def _leg(square: Node) -> Node:
    """The root, with gradient 0 at 0, as norms have it."""
    at_zero = f.le(square, 0.0)
    return f.where(at_zero, 0.0, f.sqrt(f.where(at_zero, 1.0, square)))


def _great_circle(m: Match) -> Node | None:
    """Of sin a sin b + cos a cos b cos x, kept between -1 and 1."""
    node = forms.unclipped(m.P)
    if node.op.name != "add" or node is m.P:
        return None
    for sines, cosines in (map(_factors, node.inputs), map(_factors, node.inputs[::-1])):
        angles = [n.inputs[0] for n in cosines[1]]
        pair = [n.inputs[0] for n in sines[1]]
        ops = [[n.op.name for n in side[1]] for side in (sines, cosines)]
        if ops == [["sin"] * 2, ["cos"] * 3] and sines[0] == cosines[0] == 1 and all(n in angles for n in pair):
            for n in pair:
                angles.remove(n)
            return 2.0 * _half_way(pair[0], pair[1], angles[0] * 0.5)
    return None


def _haversine(m: Match) -> Node | None:
    """Of sin((a - b)/2)**2 + cos a cos b sin(x/2)**2: the arc sine of the root."""
    node = m.P
    for first, second in (node.inputs, node.inputs[::-1]) if node.op.name == "add" else ():
        number, factors = _factors(second)
        squares = [n for n in factors if n.op.name == "square" and n.inputs[0].op.name == "sin"]
        cosines = [n.inputs[0] for n in factors if n.op.name == "cos"]
        if number != 1 or len(squares) != 1 or len(cosines) != 2 or len(factors) != 3 or first.op.name != "square":
            continue
        sine = first.inputs[0]
        if sine.op.name == "sin" and sine.inputs[0] in [f.mul(f.sub(*pair), 0.5) for pair in (cosines, cosines[::-1])]:
            return _half_way(cosines[0], cosines[1], squares[0].inputs[0].inputs[0])
    return None


def _opposite_side(m: Match) -> Node:
    near = f.lt(f.abs(m.A - m.B), 0.5 * f.abs(m.B))
    far = f.where(near, 0.0, f.square(m.A) + f.square(m.B)) - m.WHOLE.inputs[1]
    return f.where(near, f.square(m.A - m.B) + ((m.A * 4.0) * m.B) * f.square(f.sin(m.X * 0.5)), far)


def _half_excess(first: Node, second: Node, third: Node) -> Node:
    """(first + second - third) / 2, with what the first sum rounds away added at the end."""
    lost = f.sum_error(first, second)
    return (((first + second) - third) + f.where(f.isfinite(lost), lost, 0.0)) * 0.5


def _arccosh_of_one_plus(m: Match) -> Node:
    near = f.lt(m.X, 1.0)
    x = f.where(near, m.X, 0.5)
    return f.where(near, f.log1p(x + f.sqrt(x * (x + 2.0))), f.arccosh(f.where(near, 2.0, 1.0 + m.X)))


SPHERE: dict[str, Any] = {"source": "Sinnott 1984", "ulps": 64.0, "exceptions": "angles beyond a full turn",
                          "excepted": lambda a: abs(a) > 7.0}
GEOMETRY = (
    rule("arccos_of_one_minus", op.arccos(1 - X), 2 * op.arctan2(op.sqrt(X), op.sqrt(2 - X)), STABLE, ulps=4.0),
    rule("arccosh_of_one_plus", op.arccosh(1 + X), _arccosh_of_one_plus, STABLE, ulps=4.0),
    rule("law_of_cosines", (op.square(A) + op.square(B)) - ((A * 2) * B) * op.cos(X), _opposite_side, STABLE,
         ulps=16.0),
    rule("law_of_cosines_2", (op.square(A) + op.square(B)) - ((A * B) * 2) * op.cos(X), _opposite_side, STABLE,
         ulps=16.0),
    rule("great_circle", op.arccos(op.sin(A) * op.sin(B) + (op.cos(A) * op.cos(B)) * op.cos(X)),
         lambda m: 2.0 * _half_way(m.A, m.B, m.X * 0.5), STABLE, **SPHERE),
    rule("clipped_great_circle", op.arccos(P), _great_circle, STABLE, **SPHERE),
    rule("haversine", op.arcsin(op.sqrt(P)), _haversine, STABLE, why="half of the digits are lost near pi", **SPHERE),
    rule("haversine_by_both", op.arctan2(op.sqrt(P), op.sqrt(1 - P)), _haversine, STABLE, why="half of the digits are lost near pi",
         **SPHERE),
    rule("half_sum_minus_inner", ((A + B) + Y) * 0.5 - A, lambda m: _half_excess(m.B, m.Y, m.A), STABLE,
         source="Kahan 1986", ulps=4.0),
    rule("half_sum_minus_outer", ((A + B) + Y) * 0.5 - Y, lambda m: _half_excess(m.A, m.B, m.Y), STABLE,
         source="Kahan 1986", ulps=4.0),
)

RULES: tuple[Rule, ...] = (*FUNCTIONS, *ROOTS, *CANCELLED, *QUOTIENTS, *GEOMETRY)
