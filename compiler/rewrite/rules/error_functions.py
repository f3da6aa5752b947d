"""Stabilising rules: tails of the error function and of the normal distribution, their logarithms, quotients and differences.

Sources: DLMF 7.2 and 7.12; Hermite's polynomials, DLMF 18.9.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from ...build import log_erfc, log_half_erfc
from ...ir import Node, constant, f
from ..pattern import Match, op
from ..rule import Level, Rule, rule
from .divergences import less
from .variables import A, B, C, D, X
from .weighted import is_number

STABLE = Level.STABLE


# ------------------------------------------------------------------------------------------------ exp(a) and erfc(b), a = -b**2
def multiple(node: Node, depth: int = 4) -> tuple[Fraction, Node]:
    """A node as a number times another one."""
    factor = Fraction(1)
    for _ in range(depth):
        if node.op.name == "neg":
            factor, node = -factor, node.inputs[0]
        elif node.op.name in ("mul", "div"):
            left, right = node.inputs if node.inputs[1].op.name == "const" or node.op.name == "div" else node.inputs[::-1]
            if right.op.name != "const" or not right.value or not math.isfinite(right.value):
                break
            number = Fraction(float(right.value))
            factor, node = factor * number if node.op.name == "mul" else factor / number, left
        else:
            break
    return factor, node


def _rest(a: Node, b: Node, sign: int) -> Node | None:
    """The exponent a + sign b**2, where both are multiples of one square that all but cancel, else None."""
    (c, square), (d, x) = multiple(a), multiple(b)
    if square.op.name != "square" or square.inputs[0] is not x:
        return None
    rest = c + sign * d * d
    return square * float(rest) if abs(rest) <= abs(c) * Fraction(16 * float(np.finfo(a.dtype).eps)) else None


def _factors(node: Node, power: int = 1, depth: int = 6) -> list[tuple[Node, int]]:
    """What is multiplied (1) and divided by (-1) in a product."""
    if depth and node.op.name in ("mul", "div"):
        left, right = node.inputs
        return _factors(left, power, depth - 1) + _factors(right, power if node.op.name == "mul" else -power, depth - 1)
    if depth and node.op.name in ("neg", "reciprocal"):
        sign = [(constant(-1.0, node.dtype, node.shape), 1)] if node.op.name == "neg" else []
        return sign + _factors(node.inputs[0], power if node.op.name == "neg" else -power, depth - 1)
    return [(node, power)]


def _product(factors: list[tuple[Node, int]], node: Node) -> Node:
    made = constant(1.0, node.dtype, node.shape)
    for factor, power in factors:
        made = made * factor if power > 0 else made / factor
    return made


def _with_tail(m: Match) -> Node | None:
    """exp(a) and erfc(b) as exp(a - b**2) and erfcx(b), where b > 0, in a product whose other factors stay."""
    factors = _factors(m.WHOLE)
    for tail in (pair for pair in factors if pair[0].op.name == "erfc"):
        for density in (pair for pair in factors if pair[0].op.name == "exp"):
            (e, p), (t, q) = density, tail
            rest = _rest(e.inputs[0], t.inputs[0], -1 if p == q else 1)
            if rest is None:
                continue
            others = [pair for pair in factors if pair is not density and pair is not tail]
            b = t.inputs[0]
            far = f.gt(b, 0.0)
            stable = f.exp(f.where(far, rest, 0.0)), f.erfcx(f.where(far, b, 1.0))
            written = f.exp(f.where(far, 0.0, e.inputs[0])), f.erfc(f.where(far, 0.0, b))
            first, second = (_product([(pair[0], p), (pair[1], q)], e) for pair in (stable, written))
            return _product([(f.where(far, first, second), 1), *others], e)
    return None


TAILS = (
    rule("log_erfc", op.log(op.erfc(X)), lambda m: log_erfc(m.X), STABLE, ulps=16.0, why="erfc underflows"),
    rule("log_half_erfc", op.log(op.erfc(X) * 0.5), lambda m: log_half_erfc(m.X), STABLE, ulps=16.0, why="erfc underflows"),
    rule("one_minus_half_erfc", 1 - op.erfc(X) * 0.5, op.erfc(-X) * 0.5, STABLE, ulps=8.0),
    rule("scaled_erfc", op.exp(op.square(X)) * op.erfc(X), op.erfcx(X), STABLE, ulps=8.0, why="inf * 0"),
    *(rule(f"{name}_with_exp", before, _with_tail, STABLE, ulps=24.0, inside=True, why="inf * 0, 0/0")
      for name, before in (("tail", op.erfc(B) * X), ("over_tail", X / op.erfc(B)), ("tail_over", op.erfc(B) / X),
                           ("multiple_of_tail", (op.erfc(B) * D) * X), ("over_multiple_of_tail", X / (op.erfc(B) * D)),
                           ("multiple_of_tail_over", (op.erfc(B) * D) / X))),
)


# ------------------------------------------------------------------------------------------------ differences
SLOPE = 2.0 / math.sqrt(math.pi)  # of erf at 0
UNDERFLOWS = 800.0  # exp of its negative is 0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(7)


def _short(a: Node, b: Node) -> tuple[Node, Node, Node]:
    """Where exp(-t**2) changes little from b to a, and there a - b and (a + b)/2."""
    d, middle = less(a, b), 0.5 * a + 0.5 * b
    short = f.and_(f.lt(f.abs(d), 0.5), f.lt(f.abs(middle * d), 0.5))
    return short, f.where(short, d, 0.25), f.where(short, middle, 0.0)


def _mean(d: Node, middle: Node) -> Node:
    """The mean of exp(middle**2 - t**2) over middle - d/2 < t < middle + d/2, by the formula of Gauss and Legendre."""
    total: Node | None = None
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        t = (0.5 * float(node)) * d
        term = f.exp(f.neg(t * (2.0 * middle + t))) * (0.5 * float(weight)) if abs(node) > 0.01 else constant(
            0.5 * float(weight), d.dtype, d.shape)
        total = term if total is None else total + term
    assert total is not None
    return total


def erf_difference(a: Node, b: Node) -> Node:
    """The difference erf(a) - erf(b): an integral over a short interval; by erfc where both are of one sign."""
    short, d, middle = _short(a, b)
    above, below = (f.and_(f.not_(short), side) for side in (f.gt(f.minimum(a, b), 0.0), f.lt(f.maximum(a, b), 0.0)))
    tail = f.or_(above, below)
    near, far = (f.where(tail, f.abs(n), 0.0) for n in (b, a))
    tails = f.where(tail, f.erfc(near), 0.0) - f.erfc(far)
    written = f.where(tail, 0.0, f.erf(a)) - f.erf(f.where(tail, 0.0, b))
    return f.where(short, (SLOPE * d) * (f.exp(f.neg(f.square(middle))) * _mean(d, middle)),
                   f.where(above, tails, f.where(below, f.neg(tails), written)))


def log_erf_difference(a: Node, b: Node, factor: float = 1.0) -> Node:
    """log(factor (erf(a) - erf(b))), a > b, with exp(-t**2) at the middle of a short interval, or at its end in a tail, outside."""
    short, d, middle = _short(a, b)
    above = f.gt(b, 0.0)
    tail = f.and_(f.not_(short), f.or_(above, f.lt(a, 0.0)))
    near = f.where(tail, f.where(above, b, f.neg(a)), 1.0)
    far = f.where(tail, f.where(above, a, f.neg(b)), 2.0)
    fall = (far - near) * (far + near)
    gone = f.ge(fall, UNDERFLOWS)
    rest = f.exp(f.neg(f.where(gone, 0.0, fall))) * f.erfcx(f.where(gone, 1.0, far))
    in_tail = f.log(f.erfcx(near) - f.where(gone, 0.0, rest)) - f.square(near)
    plain = f.or_(short, tail)
    across = f.log1p(-0.5 * (f.where(plain, 0.0, f.erfc(a)) + f.where(plain, 0.0, f.erfc(f.neg(b)))))
    return f.where(short, (f.log(d) + f.log(_mean(d, middle))) + (math.log(SLOPE * factor) - f.square(middle)),
                   f.where(tail, in_tail + math.log(factor), across + math.log(2.0 * factor)))


def _log_of_multiple(m: Match, a: Node, b: Node) -> Node | None:
    return log_erf_difference(a, b, float(m.C.value)) if is_number(m.C) else None


def _differences(name: str, ends: Callable[[Match], tuple[Node, Node]]) -> tuple[Rule, ...]:
    function = getattr(op, name)
    apart = function(A) - function(B)
    return (
        rule(f"log_of_{name}_difference", op.log(apart), lambda m: log_erf_difference(*ends(m)), STABLE, scale=1.0, ulps=64.0,
             inside=True, exceptions="infinities", excepted=np.isinf, why="both underflow, or round to one number"),
        rule(f"log_of_multiple_of_{name}_difference", op.log(apart * C), lambda m: _log_of_multiple(m, *ends(m)), STABLE,
             scale=1.0, ulps=64.0, inside=True, exceptions="infinities", excepted=np.isinf,
             why="both underflow, or round to one number"),
        rule(f"{name}_difference", apart, lambda m: erf_difference(*ends(m)), STABLE, ulps=3000.0, inside=True, last=True,
             exceptions="infinities", excepted=np.isinf, why="both round to one number"),
    )


DIFFERENCES = (
    *_differences("erf", lambda m: (m.A, m.B)),
    *_differences("erfc", lambda m: (m.B, m.A)),
)
RULES: tuple[Rule, ...] = (*TAILS, *DIFFERENCES)
