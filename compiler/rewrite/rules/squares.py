"""Stabilising rules: differences of squares under roots and logarithms, in powers and in quotients.

a**2 - b**2 = (a - b) (a + b) neither cancels nor, with the root of either factor, overflows: sqrt(a**2 - b**2) is `cathetus(a, b)`,
whose derivatives a/y and -b/y are those of the root of a sum of squares. Alone, a difference of squares becomes the product after
differentiation (`differences.py`), since the derivative of the product is a sum that may cancel; that of a number and a square is
corrected at the very end (`compensation.py`).
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...ir import Node, constant, f
from ..pattern import Match, op
from ..rule import Level, Rule, rule
from .forms import is_given
from .variables import A, B, C, D, P, X, Y, beyond_products

STABLE = Level.STABLE


def _root(number: Node) -> float | None:
    """The root of a constant, where it is exact."""
    value = float(number.value)
    root = math.sqrt(value) if 0 < value < math.inf else 0.0
    return root if root and root * root == value and float(number.dtype.type(root)) == root else None


def _cathetus(m: Match) -> Node | None:
    """The root of the difference in the match; None where a number in it is no square."""
    if "C" not in m:
        return f.cathetus(m.A, m.B)
    root = _root(m.C)
    if root is None:
        return None
    number = constant(root, m.X.dtype, m.X.shape)
    return f.cathetus(m.X, number) if "FIRST" in m else f.cathetus(number, m.X)


def _by(made: Callable[[Node, Match], Node | None], first: bool = False) -> Callable[[Match], Node | None]:
    """A function of the match, by one of the root."""
    def of_match(m: Match) -> Node | None:
        root = _cathetus(Match({**m, "FIRST": True}) if first else m)
        return None if root is None else made(root, m)

    return of_match


def _of_size(m: Match) -> Node:
    """The root of |a**2 - b**2|, with gradient 0 where it is 0."""
    a, b = f.abs(m.A), f.abs(m.B)
    above, alike = f.gt(a, b), f.eq(a, b)
    larger, smaller = f.where(above, m.A, m.B), f.where(above, m.B, m.A)
    return f.where(alike, 0.0, f.cathetus(f.where(alike, 1.0, larger), f.where(alike, 0.0, smaller)))


FORMS: tuple[tuple[str, Any, bool], ...] = (  # and whether a square is before a number
    ("squares", op.square(A) - op.square(B), False),
    ("square_and_number", op.square(X) - C, True),
    ("number_and_square", C - op.square(X), False),
)
ROOTS = (
    *(made for name, difference, first in FORMS for made in (
        rule(f"root_of_{name}", op.sqrt(difference), _by(lambda root, m: root, first), STABLE, ulps=6.0),
        rule(f"reciprocal_root_of_{name}", op.rsqrt(difference), _by(lambda root, m: f.reciprocal(root), first), STABLE, ulps=6.0))),
    *(rule(f"log_of_{name}", op.log(difference), _by(lambda root, m: 2.0 * f.log(root), first), STABLE, scale=1.0, ulps=8.0)
      for name, difference, first in FORMS[:2]),
    rule("root_of_product_of_sum_and_difference", op.sqrt((A - B) * (A + B)), op.cathetus(A, B), STABLE, ulps=6.0),
    rule("root_of_size_of_squares", op.sqrt(op.abs(op.square(A) - op.square(B))), _of_size, STABLE, ulps=6.0, scale=1e-40),
    rule("log_of_size_of_squares", op.log(op.abs(op.square(A) - op.square(B))), lambda m: 2.0 * f.log(_of_size(m)), STABLE, scale=1.0,
         ulps=8.0),
)


# ------------------------------------------------------------------------------------------------ roots less what they are near
def _cathetus_minus(m: Match, x: Node) -> Node | None:
    """cathetus(x, y) - x = -y (y / (cathetus(x, y) + x)) for positive x."""
    if m.X.op.name == "const" and (m.X.value > 0) != (x is m.X):
        return None  # nothing cancels
    root = next(i for i in m.WHOLE.inputs if i.op.name == "cathetus")
    same = f.and_(f.gt(x, 0.0), f.isfinite(root))
    return f.where(same, f.neg(m.Y * (m.Y / (root + f.where(same, x, 1.0)))), root - f.where(same, 0.0, x))


def _is_one(node: Node) -> bool:
    return node.op.name == "const" and bool(node.value == 1)


def _negative(node: Node | None) -> Node | None:
    return None if node is None else f.neg(node)


NEAR = (
    rule("arccosh_by_cathetus", op.log(X + op.cathetus(X, 1)), op.arccosh(X), STABLE, source="DLMF 4.37.19", ulps=4.0),
    rule("cathetus_minus", op.cathetus(X, Y) - X, lambda m: _cathetus_minus(m, m.X), STABLE, ulps=8.0),
    rule("minus_cathetus", X - op.cathetus(X, Y), lambda m: _negative(_cathetus_minus(m, m.X)), STABLE, ulps=8.0),
    rule("cathetus_plus", X + op.cathetus(X, Y), lambda m: None if _is_one(m.Y) else _cathetus_minus(m, f.neg(m.X)), STABLE, ulps=8.0,
         why="of x + sqrt(x**2 - 1) the logarithm is wanted, which is arccosh(x)"),
)


# ------------------------------------------------------------------------------------------------ quotients of what is not rounded
def _quotient(m: Match) -> tuple[Node, Node] | None:
    """The two numbers of the quotient in the match, where they are not rounded."""
    a = m.A if "A" in m else constant(1, m.B.dtype, m.B.shape)
    return (a, m.B) if is_given(m.B) and (is_given(a) or a.op.name == "const") else None


def _once(m: Match, made: Callable[[Node], Node]) -> Node | None:
    """By a/b, of a**2/b**2."""
    found = _quotient(m)
    return None if found is None else made(found[0] / found[1] if "A" in m else f.reciprocal(m.B))


def _cathetus_of_quotient(m: Match) -> Node | None:
    """The root of 1 - (a/b)**2: that of b**2 - a**2, over |b|."""
    found = _quotient(m)
    if found is None:
        return None
    a, b = found
    infinite = f.isinf(b)
    below = f.where(infinite, 1.0, b)
    return f.cathetus(below, f.where(infinite, 0.0 * a, a)) / f.abs(below)


def _angle_of_quotient(m: Match) -> Node | None:
    """The angle whose cosine, or sine, is a/b."""
    found = _quotient(m)
    if found is None:
        return None
    a, b = found
    known = f.and_(f.isfinite(b), f.ne(b, 0.0))
    size, a = f.where(known, f.abs(b), 1.0), f.where(known, f.where(f.lt(b, 0.0), f.neg(a), a), a / b)
    other = f.cathetus(size, a)
    return f.arctan2(other, a) if m.WHOLE.op.name == "arccos" else f.arctan2(a, other)


def _of_quotients(name: str, before: Any, made: Callable[[Node], Node]) -> Rule:
    return rule(name, before, lambda m: _once(m, made), STABLE, inside=True, ulps=6.0)


KNOWN = tuple(
    made for name, square, quotient in (("quotient", op.square(A) / op.square(B), A / B),
                                        ("reciprocal", op.reciprocal(op.square(B)), op.reciprocal(B))) for made in (
        _of_quotients(f"root_of_one_minus_square_of_{name}", op.sqrt(1 - square), lambda q: f.cathetus(1.0, q)),
        _of_quotients(f"one_minus_square_of_{name}", 1 - square, lambda q: 1.0 - f.square(q)),
        _of_quotients(f"square_of_{name}_minus_one", square - 1, lambda q: f.square(q) - 1.0),
        rule(f"cathetus_of_{name}", op.cathetus(1, quotient), _cathetus_of_quotient, STABLE, last=True, inside=True, ulps=6.0),
        rule(f"arccos_of_{name}", op.arccos(quotient), _angle_of_quotient, STABLE, last=True, inside=True, ulps=6.0),
        rule(f"arcsin_of_{name}", op.arcsin(quotient), _angle_of_quotient, STABLE, last=True, inside=True, ulps=6.0)))


# ------------------------------------------------------------------------------------------------ differences of squares in quotients
def _reduced(made: Callable[[Node, Node], Node]) -> Callable[[Match], Node | None]:
    """By x and the root of the number in the match; None where it is not the number beside x."""
    return lambda m: made(m.X, m.D) if _root(m.C) == float(m.D.value) else None


squares = op.square(A) - op.square(B)
WHY = "0/0, inf/inf"
REDUCED = (
    rule("squares_over_sum", squares / (A + B), A - B, STABLE, first=True, why=WHY),
    rule("squares_over_difference", squares / (A - B), A + B, STABLE, first=True, why=WHY),
    rule("sum_over_squares", (A + B) / squares, op.reciprocal(A - B), STABLE, first=True, why=WHY),
    rule("difference_over_squares", (A - B) / squares, op.reciprocal(A + B), STABLE, first=True, why=WHY),
    *(rule(name, before, _reduced(made), STABLE, first=True, why=WHY) for name, before, made in (
        ("square_and_number_over_sum", (op.square(X) - C) / (X + D), lambda x, d: x - d),
        ("square_and_number_over_difference", (op.square(X) - C) / (X - D), lambda x, d: x + d),
        ("number_and_square_over_sum", (C - op.square(X)) / (X + D), lambda x, d: d - x),
        ("number_and_square_over_difference", (C - op.square(X)) / (D - X), lambda x, d: x + d),
        ("sum_over_number_and_square", (X + D) / (C - op.square(X)), lambda x, d: f.reciprocal(d - x)),
        ("difference_over_number_and_square", (D - X) / (C - op.square(X)), lambda x, d: f.reciprocal(d + x)))),
)
def _varying(m: Match, made: Node) -> Node | None:
    """None where a number is divided, or divides: that costs less."""
    return None if m.P.op.name == "const" else made


product = (A - B) * (A + B)
EXTREME: dict[str, Any] = {"exceptions": "numbers near the largest and the smallest",
                           "excepted": lambda a: abs(a) < 2.0**-100 or beyond_products(a, 4.0)}
IN_RANGE = tuple(rule(name, before, after, STABLE, last=True, ulps=4.0, scale=1e-3, **more) for name, before, after, more in (
    ("squares_over_product", product / (A * B), ((A - B) / A) * ((A + B) / B), {}),
    ("squares_over_square", product / op.square(A), ((A - B) / A) * ((A + B) / A), {}),
    ("squares_over_second_square", product / op.square(B), ((A - B) / B) * ((A + B) / B), {}),
    ("over_squares", P / product, lambda m: _varying(m, (m.P / (m.A - m.B)) / (m.A + m.B)), EXTREME),
    ("squares_over", product / P, lambda m: _varying(m, ((m.A - m.B) / m.P) * (m.A + m.B)), EXTREME)))

RULES: tuple[Rule, ...] = (*ROOTS, *NEAR, *KNOWN, *REDUCED, *IN_RANGE)
