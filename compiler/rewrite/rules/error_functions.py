"""Stabilising rules: tails of the error function and of the normal distribution, their logarithms, quotients and differences.

Sources: DLMF 7.2 and 7.12; Hermite's polynomials, DLMF 18.9.
"""
from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from ...build import log_erfc, log_half_erfc
from ...ir import Node, f
from ..pattern import Match, op
from ..rule import Level, Rule, rule
from .variables import A, B, D, X, Y

STABLE = Level.STABLE


# ------------------------------------------------------------------------------------------------ exp(a) and erfc(b), a = -b**2
def _multiple(node: Node, depth: int = 4) -> tuple[Fraction, Node]:
    """A node as a number times another one."""
    factor = Fraction(1)
    for _ in range(depth):
        if node.op.name == "neg":
            factor, node = -factor, node.inputs[0]
        elif node.op.name in ("mul", "div") and node.inputs[1].op.name == "const" and math.isfinite(node.inputs[1].value):
            number = Fraction(float(node.inputs[1].value))
            if not number:
                break
            factor, node = factor * number if node.op.name == "mul" else factor / number, node.inputs[0]
        else:
            break
    return factor, node


def _rest(a: Node, b: Node, sign: int) -> Node | None:
    """The exponent a + sign b**2, where both are multiples of one square that all but cancel, else None."""
    (c, square), (d, x) = _multiple(a), _multiple(b)
    if square.op.name != "square" or square.inputs[0] is not x:
        return None
    rest = c + sign * d * d
    return square * float(rest) if abs(rest) <= abs(c) * Fraction(16 * float(np.finfo(a.dtype).eps)) else None


def _by_tail(m: Match) -> Node | None:
    """exp(a)/erfc(b) = exp(a + b**2)/erfcx(b), where b > 0."""
    rest = _rest(m.A, m.B, 1)
    if rest is None:
        return None
    above, below = m.WHOLE.inputs
    tail = f.gt(m.B, 0.0)
    b = f.where(tail, m.B, 1.0)
    stable = f.exp(f.where(tail, rest, 0.0)) / f.erfcx(b)
    if "D" in m:
        stable = stable / m.D
    if "Y" in m:
        stable = stable / m.Y if above.op.name == "div" else stable * m.Y
    return f.where(tail, stable, f.where(tail, 0.0, above) / f.where(tail, 1.0, below))


def _times_tail(m: Match) -> Node | None:
    """exp(a) erfc(b) = exp(a - b**2) erfcx(b), where b > 0."""
    rest = _rest(m.A, m.B, -1)
    if rest is None:
        return None
    tail = f.gt(m.B, 0.0)
    written = f.exp(f.where(tail, 0.0, m.A)) * f.erfc(f.where(tail, 0.0, m.B))
    return f.where(tail, f.exp(f.where(tail, rest, 0.0)) * f.erfcx(f.where(tail, m.B, 1.0)), written)


TAILS = (
    rule("log_erfc", op.log(op.erfc(X)), lambda m: log_erfc(m.X), STABLE, ulps=16.0, why="erfc underflows"),
    rule("log_half_erfc", op.log(op.erfc(X) * 0.5), lambda m: log_half_erfc(m.X), STABLE, ulps=16.0, why="erfc underflows"),
    rule("one_minus_half_erfc", 1 - op.erfc(X) * 0.5, op.erfc(-X) * 0.5, STABLE, ulps=8.0),
    rule("scaled_erfc", op.exp(op.square(X)) * op.erfc(X), op.erfcx(X), STABLE, ulps=8.0, why="inf * 0"),
    rule("exp_times_tail", op.exp(A) * op.erfc(B), _times_tail, STABLE, ulps=16.0, inside=True, why="inf * 0"),
    *(rule(f"{name}_over_{below}", above / divisor, _by_tail, STABLE, ulps=16.0, inside=True, why="0/0")
      for name, above in (("exp", op.exp(A)), ("density", op.exp(A) / Y), ("multiple", op.exp(A) * Y))
      for below, divisor in (("tail", op.erfc(B)), ("multiple_of_tail", op.erfc(B) * D))),
)

RULES: tuple[Rule, ...] = TAILS
