"""Stabilising rules: log-likelihoods with gamma functions of large arguments, whose terms are many times the result.

With Stirling's remainder, log(k!) = k log(k) - k + log(2 pi k)/2 + remainder(k): the first two terms join those of the likelihood to
a deviance.

Sources: Loader, "Fast and accurate computation of binomial probabilities", 2000; DLMF 5.11.1.
"""
from __future__ import annotations

import math
from typing import Any

from ...ir import Node, f
from ...ops.elementwise import series
from ..pattern import Match, op
from ..rule import Level, Rule, rule
from .divergences import deviance
from .variables import A, B

STABLE = Level.STABLE
LARGE = 10.0  # from here on the series has all digits
_REMAINDER = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156]


def remainder(k: Node) -> Node:
    """What Stirling's formula leaves of log(k!), k >= 10."""
    return series(f.reciprocal(f.square(k)), _REMAINDER) / k


def _poisson(m: Match) -> Node:
    """The sum k log(l) - l - log(k!) = -deviance(k, l) - log(2 pi k)/2 - remainder(k) for large k, and l no less than a
    millionth of it.
    """
    large = f.and_(f.and_(f.ge(m.A, LARGE), f.isfinite(m.A)), f.gt(m.B, 2.0**-20 * m.A))
    k, rate = f.where(large, m.A, LARGE), f.where(large, m.B, LARGE)
    stable = -deviance(k, rate) - (0.5 * f.log(k) + (0.5 * math.log(2 * math.pi) + remainder(k)))
    few, mean = f.where(large, 1.0, m.A), f.where(large, 1.0, m.B)
    return f.where(large, stable, few * f.log(mean) - (mean + f.lgamma(few + 1.0)))


BEYOND: dict[str, Any] = {"excepted": lambda a: abs(a) > 1e30, "exceptions": "counts of more than thirty digits"}
RULES: tuple[Rule, ...] = (
    rule("poisson", (A * op.log(B) - B) - op.lgamma(1 + A), _poisson, STABLE, scale=1.0, ulps=750.0, **BEYOND),
    rule("poisson_2", (A * op.log(B) - op.lgamma(1 + A)) - B, _poisson, STABLE, scale=1.0, ulps=750.0, **BEYOND),
)
