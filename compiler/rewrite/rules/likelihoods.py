"""Stabilising rules: log-likelihoods with gamma functions of large arguments, whose terms are many times the result.

With Stirling's remainder, log(k!) = k log(k) - k + log(2 pi k)/2 + remainder(k): the first two terms join those of the likelihood to
a deviance.

Sources: Loader, "Fast and accurate computation of binomial probabilities", 2000; DLMF 5.11.1.
"""
from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from ...ir import Node, f
from ...ops.elementwise import series
from ..pattern import Match, op
from ..rule import Level, Rule, rule
from .divergences import deviance
from .variables import B, X, Y, Z

STABLE = Level.STABLE
LARGE = 10.0  # from here on the series has all digits
_REMAINDER = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156]


def remainder(k: Node) -> Node:
    """What Stirling's formula leaves of log(k!), k >= 10."""
    return series(f.reciprocal(f.square(k)), _REMAINDER) / k


def _poisson_sum(k: Node, rate: Node, above: Node) -> Node:
    """The sum k log(l) - l - log(k!) = -deviance(k, l) - log(2 pi k)/2 - remainder(k) for large k, and l no less than a
    millionth of it. `above` is k + 1 as it was written, of which k + 1 has no more than the first digits where it is small.
    """
    large = f.and_(f.and_(f.ge(k, LARGE), f.isfinite(k)), f.gt(rate, 2.0**-20 * k))
    few, mean = f.where(large, 1.0, k), f.where(large, 1.0, rate)
    few_log = few * f.log(f.where(f.and_(f.eq(few, 0.0), f.eq(mean, 0.0)), 1.0, mean))  # 0 log(0) is 0
    k, rate = f.where(large, k, LARGE), f.where(large, rate, LARGE)
    stable = -deviance(k, rate) - (0.5 * f.log(k) + (0.5 * math.log(2 * math.pi) + remainder(k)))
    return f.where(large, stable, few_log - (mean + f.lgamma(f.where(large, 1.0, above))))


# ------------------------------------------------------------------------------------------------ sums in any order
Linear = dict[Node | None, Fraction]  # coefficients of nodes; None: the constant
Logarithms = list[tuple[Node, Node, Node]]  # products: their factors, and the argument of the logarithm


def _terms(node: Node, sign: int = 1, depth: int = 8) -> list[tuple[int, Node]]:
    """The terms of a sum, with their signs."""
    if depth and node.op.name in ("add", "sub"):
        left, right = node.inputs
        return _terms(left, sign, depth - 1) + _terms(right, sign if node.op.name == "add" else -sign, depth - 1)
    return _terms(node.inputs[0], -sign, depth - 1) if depth and node.op.name == "neg" else [(sign, node)]


def _linear(node: Node, factor: int = 1) -> Linear:
    """A sum as a linear combination."""
    found: Linear = {}
    for sign, term in _terms(node, factor):
        key, value = (None, Fraction(float(term.value))) if term.op.name == "const" else (term, Fraction(1))
        found[key] = found.get(key, Fraction(0)) + sign * value
    return {k: v for k, v in found.items() if v}


def _gap(a: Node, *others: Node) -> Fraction | None:
    """The number that a sum is larger than the sum of others by, None where their forms give none."""
    left = _linear(a)
    for other in others:
        for k, v in _linear(other, -1).items():
            left[k] = left.get(k, Fraction(0)) + v
    rest = {k: v for k, v in left.items() if v}
    return rest.get(None, Fraction(0)) if not {*rest} - {None} else None


def _product_with_log(node: Node) -> tuple[Node, Node] | None:
    """A coefficient and a logarithm, also where 0 log(0) is chosen to be 0."""
    if node.op.name == "where" and node.inputs[2].op.name == "mul":
        node = node.inputs[2]
    if node.op.name == "mul":
        for one, other in (node.inputs, node.inputs[::-1]):
            if other.op.name in ("log", "log1p"):
                return one, other
    return None


def _argument(logarithm: Node) -> Node:
    """What the logarithm is taken of, without the choice that a rule or xlogy made."""
    inner = logarithm.inputs[0]
    if inner.op.name == "where" and inner.inputs[1].op.name == "const" and inner.inputs[1].value == 1:
        inner = inner.inputs[2]
    return inner if logarithm.op.name == "log" else 1.0 + inner


def _are_complements(p: Node, q: Node) -> bool:
    """The arguments q = log1p(-p), or both by their forms."""
    for one, other in ((p, q), (q, p)):
        inner = other.inputs[0]
        if other.op.name == "log1p" and one.op.name == "log" and inner.op.name == "neg" and inner.inputs[0] is one.inputs[0]:
            return True
    return False


def _likelihood(m: Match) -> Node | None:
    """Of counts, binomial and negative binomial, of beta and gamma distributions: terms in any order, of either sign."""
    terms = _terms(m.WHOLE)
    if len(terms) > 6:
        return None
    gammas = [(sign, n.inputs[0]) for sign, n in terms if n.op.name == "lgamma"]
    logs = [(sign, *found) for sign, n in terms if (found := _product_with_log(n)) is not None]
    rest = [(sign, n) for sign, n in terms if n.op.name != "lgamma" and _product_with_log(n) is None]
    if len(gammas) == 3 and not rest:
        return _of_two_kinds(gammas, logs)
    return _of_counts(gammas[0], logs, rest) if len(gammas) == 1 else None


def _of_counts(gamma: tuple[int, Node], logs: list[tuple[int, Node, Node]], rest: list[tuple[int, Node]]) -> Node | None:
    """A sum s (k log(l) - l - log(k!)); of a gamma distribution of rate b, that of k = a - 1 and l = b x, and s log(b)."""
    sign, above = -gamma[0], gamma[1]
    if len(rest) != 1 or rest[0][0] != -sign or any(s != sign for s, _, _ in logs):
        return None
    rate = rest[0][1]
    if len(logs) == 1:
        ((_, k, logarithm),) = logs
        if _gap(above, k) != 1 or _argument(logarithm) is not rate:
            return None
        made = _poisson_sum(k, rate, above)
    elif len(logs) == 2 and rate.op.name == "mul":
        for (_, a, of_b), (_, k, of_x) in (logs, logs[::-1]):
            if _gap(above, k) == 1 and _gap(above, a) == 0 and {_argument(of_b), _argument(of_x)} == {*rate.inputs}:
                made = _poisson_sum(k, rate, above) + of_b
                break
        else:
            return None
    else:
        return None
    return made if sign > 0 else f.neg(made)


def _of_two_kinds(gammas: list[tuple[int, Node]], logs: list[tuple[int, Node, Node]]) -> Node | None:
    """The sum s (log(n!/(k! m!)) + k log(p) + m log(1 - p)), n = k + m, with coefficients that may be larger by one."""
    for sign in (1, -1):
        whole = [n for s, n in gammas if s == sign]
        parts = [n for s, n in gammas if s == -sign]
        if len(whole) != 1 or len(logs) != 2 or any(s != sign for s, _, _ in logs) or not _are_complements(logs[0][2], logs[1][2]):
            continue
        for (_, c, of_p), (_, d, of_q) in (logs, logs[::-1]):
            more = _gap(whole[0], *parts)
            over = [_gap(c, parts[0]), _gap(d, parts[1])]
            if more not in (-1, 0) or any(o not in (-1, 0) for o in over):
                continue
            k, left = (n - 1.0 if o == 0 else n for n, o in zip((c, d), over, strict=True))
            made = _binomial_sum((k, left), (of_p, of_q), (whole[0], *parts), more=1 + int(more))
            for o, term in zip(over, (of_p, of_q), strict=True):
                made = made + term if o == 0 else made
            return made if sign > 0 else f.neg(made)
    return None


def _binomial_sum(counts: tuple[Node, Node], logs: tuple[Node, Node], gammas: tuple[Node, ...], more: int) -> Node:
    """log(n!/(k! m!)) + k log(p) + m log(q), n = k + m, as deviances of k from n p and of m from n q where both are large.

    With `more`, it is (n + 1)! that is divided. `gammas` are the arguments of the three gamma functions as they were written.
    """
    (k, m), (of_p, of_q) = counts, logs
    large = f.and_(f.and_(f.ge(k, LARGE), f.ge(m, LARGE)), f.isfinite(k + m))
    p, q = _argument(of_p), _argument(of_q)
    large = f.and_(large, f.and_(f.gt((k + m) * p, 2.0**-20 * k), f.gt((k + m) * q, 2.0**-20 * m)))
    a, b, u, v = f.where(large, k, LARGE), f.where(large, m, LARGE), f.where(large, p, 0.5), f.where(large, q, 0.5)
    n = a + b
    scale = 0.5 * (f.log(n / b) - f.log(a)) - 0.5 * math.log(2 * math.pi)
    stable = (scale + (remainder(n) - (remainder(a) + remainder(b)))) - (deviance(a, n * u) + deviance(b, n * v))
    stable = stable + f.log(n + 1.0) if more else stable
    few, others = f.where(large, 1.0, k), f.where(large, 1.0, m)
    whole, first, second = (f.lgamma(f.where(large, 1.0, n)) for n in gammas)
    written = (few * f.where(large, 0.0, of_p) + others * f.where(large, 0.0, of_q)) - ((first + second) - whole)
    return f.where(large, stable, written)


BEYOND: dict[str, Any] = {"excepted": lambda a: abs(a) > 1e30, "exceptions": "counts of more than thirty digits"}
G = op.lgamma(B)
COUNTS = (X - G, X + G, G - X, (X - G) - Y, (X - G) + Y, (X + G) - Y, (-G - X) + Y)
WITH_RATE = (((X - G) + Y) + Z, ((X - G) - Y) + Z, ((X - G) + Y) - Z)
SMALL: dict[str, Any] = {"excepted": lambda a: (abs(a) > 1e30) | (abs(a) < 1e-15),
                         "exceptions": "numbers of more than thirty digits; factors whose product underflows"}
RULES: tuple[Rule, ...] = tuple(
    rule(f"likelihood_{k}", before, _likelihood, STABLE, scale=1.0, ulps=750.0, inside=True, why="the terms are many times their sum",
         **(BEYOND if k < len(COUNTS) else SMALL)) for k, before in enumerate((*COUNTS, *WITH_RATE)))
