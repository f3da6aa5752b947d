"""Stabilising rules: divergences, each a difference of what nearly agrees where the distributions do.

All are sums of b h(u), u = (a - b)/b, h(u) = (1 + u) log(1 + u) - u or u - log(1 + u), whose series take over where u is small.

Source: Loader, "Fast and accurate computation of binomial probabilities", 2000.
"""
from __future__ import annotations

from ...ir import Node, f
from ..pattern import Match, op
from ..rule import Level, Rule, rule
from .differences import difference
from .variables import A, B, P

STABLE = Level.STABLE


def less(a: Node, b: Node) -> Node:
    """The difference a - b, without cancellation where its form gives it."""
    found = difference(a, b)
    return a - b if found is None else found


def _relative(distance: Node, size: Node) -> tuple[Node, Node]:
    """Where a difference is small beside a number, and their quotient there."""
    near = f.lt(f.abs(distance), 0.5 * f.abs(size))
    return near, f.where(near, distance / size, 0.25)


def _scaled_deviance(b: Node, u: Node) -> Node:
    """The deviance b ((1 + u) log(1 + u) - u) of b (1 + u) and b, whose series takes over where u is small."""
    return b * ((1.0 + u) * f.log1p(u) - u)


def deviance(a: Node, b: Node) -> Node:
    """The deviance a log(a/b) - a + b."""
    near, u = _relative(less(a, b), b)
    return f.where(near, _scaled_deviance(b, u), (a * f.log(f.where(near, 1.0, a / b)) - a) + b)


def _two_deviances(m: Match) -> Node:
    """The sum of those of a and b, and of 1 - a and 1 - b."""
    distance, other, other_b = less(m.A, m.B), 1.0 - m.A, 1.0 - m.B
    near = f.lt(f.abs(distance), 0.5 * f.minimum(f.abs(m.B), f.abs(other_b)))
    u, v = (f.where(near, d / b, 0.25) for d, b in ((distance, m.B), (-distance, other_b)))
    stable = _scaled_deviance(m.B, u) + _scaled_deviance(other_b, v)
    written = m.A * f.log(f.where(near, 1.0, m.A / m.B)) + other * f.log(f.where(near, 1.0, other / other_b))
    return f.where(near, stable, written)


def _excess(a: Node, b: Node, minus_log: Node) -> Node:
    """The excess a/b - 1 - log(a/b) = u - log(1 + u), u = (a - b)/b, where a and b are near."""
    near, u = _relative(less(a, b), b)
    return f.where(near, u - f.log1p(u), (f.where(near, 1.0, a / b) + f.where(near, 0.0, minus_log)) - 1.0)


def _between_gaussians(m: Match) -> Node:
    """log(a/b) + (b**2 + p)/(2 a**2) - 1/2: half the excess of b**2/a**2, and the part of the means."""
    d = f.square(f.where(f.isfinite(m.A), m.A, 1.0))
    excess = less(f.square(m.B), f.square(m.A))
    near = f.and_(f.and_(f.lt(f.abs(excess), 0.5 * f.square(m.A)), f.isfinite(m.A)), f.gt(m.A / m.B, 0.0))
    u = f.where(near, excess / d, 0.25)
    written = (f.log(f.where(near, 1.0, m.A / m.B)) + (f.square(m.B) + m.P) / m.WHOLE.inputs[0].inputs[1].inputs[1]) - 0.5
    return f.where(near, 0.5 * (u - f.log1p(u)) + 0.5 * (f.where(near, m.P, 0.0) / d), f.where(near, 0.0, written))


def _to_the_middle(m: Match) -> Node:
    """The sum a log(2a/(a + b)) + b log(2b/(a + b)) = s/2 ((1 + u) log(1 + u) + (1 - u) log(1 - u)), s = a + b, u = (a - b)/s."""
    total = m.A + m.B
    near, u = _relative(less(m.A, m.B), total)
    stable = (0.5 * total) * ((1.0 + u) * f.log1p(u) + (1.0 - u) * f.log1p(-u))
    a, b = (n * f.log(f.where(near, 1.0, 2.0 * (n / total))) for n in (m.A, m.B))
    return f.where(near, stable, a + b)


RULES: tuple[Rule, ...] = (
    rule("deviance", (A * op.log(A / B) - A) + B, lambda m: deviance(m.A, m.B), STABLE, scale=1.0, ulps=64.0),
    rule("deviance_by_difference", A * op.log(A / B) - (A - B), lambda m: deviance(m.A, m.B), STABLE, scale=1.0, ulps=64.0),
    rule("binary_divergence", A * op.log(A / B) + (1 - A) * op.log((1 - A) / (1 - B)), _two_deviances, STABLE, scale=1.0, ulps=64.0),
    rule("excess", (A / B - op.log(A / B)) - 1, lambda m: _excess(m.A, m.B, -f.log(m.A / m.B)), STABLE, scale=1.0, ulps=64.0,
         why="Itakura and Saito's divergence"),
    rule("excess_of_inverse", (op.log(A / B) + B / A) - 1, lambda m: _excess(m.B, m.A, f.log(m.A / m.B)), STABLE, scale=1.0, ulps=64.0,
         why="of exponential distributions"),
    rule("between_gaussians", (op.log(A / B) + (op.square(B) + P) / (op.square(A) * 2)) - 0.5, _between_gaussians, STABLE, scale=1.0,
         ulps=64.0),
    rule("to_the_middle", A * op.log((A * 2) / (A + B)) + B * op.log((B * 2) / (A + B)), _to_the_middle, STABLE, scale=1.0, ulps=64.0,
         why="of Jensen and Shannon"),
    rule("to_the_half_sum", A * op.log(A / ((A + B) * 0.5)) + B * op.log(B / ((A + B) * 0.5)), _to_the_middle, STABLE, scale=1.0,
         ulps=64.0, why="of Jensen and Shannon"),
)
