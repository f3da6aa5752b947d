"""Stabilising rules: logarithms near 1, of quotients that are 1 at 0, of what overflows before its logarithm does.

Sources: DLMF 4.6 and 4.19; the coefficients of log(sinh(u)/u) are those of DLMF 4.19.7 with u for iz.
"""
from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from ... import sizes
from ...build import broadcast_to, highest, logsumexp, size_value
from ...ir import Node, constant, f
from ...ops.elementwise import series
from ...ops.reduction import expand_back
from ..pattern import Match, op
from ..rule import Level, Rule, property_of, rule
from . import forms
from .divergences import less
from .error_functions import multiple
from .hyperbolic import log_sinh
from .stable import log1mexp
from .variables import AXES, CONDITION, LOG_2, A, B, C, P, X, Y, are_opposite
from .weighted import exponent_of, is_exps, is_extreme, is_number

STABLE = Level.STABLE
whole = property_of("is_whole", lambda x: not forms.is_bounded(x), X)

NOT_FINITE: dict[str, Any] = {"exceptions": "infinities and nan", "excepted": lambda a: ~np.isfinite(a)}
NEAR = 0.7  # where all exponents are smaller, the logarithm of a mean of exponentials is one of 1 + something
_LOG_SINHC = [1 / 6, -1 / 180, 1 / 2835, -1 / 37800, 1 / 467775, *(
    (-1) ** (n - 1) * sum(k ** (-2.0 * n) for k in range(1, 60)) / (n * math.pi ** (2 * n)) for n in range(6, 13))]


# ------------------------------------------------------------------------------------------------ means of exponentials
Terms = list[tuple[Fraction, Node | None]]


def _terms(node: Node, factor: Fraction = Fraction(1), depth: int = 8) -> Terms | None:
    """A sum of positive multiples of exponentials and positive numbers: multiples, and exponents (None: of a number)."""
    name = node.op.name
    if name == "const":
        return [(factor * Fraction(float(node.value)), None)] if is_number(node) else None
    exponent = exponent_of(node)
    if exponent is not None:
        return [(factor, exponent)]
    if not depth:
        return None
    if name == "add":
        left, right = (_terms(i, factor, depth - 1) for i in node.inputs)
        return None if left is None or right is None else left + right
    if name in ("mul", "div"):
        over, by = sorted(node.inputs, key=lambda i: i.op.name == "const") if name == "mul" else node.inputs
        if is_number(by):
            scale = Fraction(float(by.value))
            return _terms(over, factor * scale if name == "mul" else factor / scale, depth - 1)
    return None


def _largest(exponents: list[Node]) -> Node:
    size = f.abs(exponents[0])
    for x in exponents[1:]:
        size = f.maximum(size, f.abs(x))
    return size


def _log_of_mean(terms: Terms | None) -> Node | None:
    """log(1 + (sum(c (exp(x) - 1)) + (sum(c) - 1))) near x = 0, where the multiples c add to 1 but for rounding."""
    if not terms or len(terms) > forms.TERMS or sum(x is None for _, x in terms) > 1:
        return None
    exponents = [x for _, x in terms if x is not None]
    gap = sum((c for c, _ in terms), Fraction(0)) - 1
    if len(exponents) == len(terms) == 2 and terms[0][0] == terms[1][0]:
        return None  # their half sum and half difference say more
    if not exponents or len(terms) < 2 or abs(gap) > len(terms) * Fraction(2) ** -22 or any(map(forms.is_bounded, exponents)):
        return None
    near = f.lt(_largest(exponents), NEAR)
    total: Node = constant(float(gap), exponents[0].dtype, near.shape)
    left = [(c, x) for c, x in terms if x is not None]
    while left:
        c, x = left.pop()
        small = f.where(near, x, 0.0)
        pair = next(((d, y) for d, y in left if d == c and are_opposite(y, x)), None)
        if pair is None:
            total = f.expm1(small) * float(c) + total
        else:
            left.remove(pair)
            total = f.square(f.sinh(small * 0.5)) * float(4 * c) + total
    whole: Node | None = None
    for c, exponent in terms:
        logarithm = math.log(c)
        term = constant(logarithm, total.dtype, near.shape) if exponent is None else f.where(near, 0.0, exponent) + logarithm
        whole = term if whole is None else f.logaddexp(whole, term)
    return f.where(near, f.log1p(total), whole)


def _log_of_sum(m: Match) -> Node | None:
    return _log_of_mean(_terms(m.WHOLE.inputs[0]))


def _log_of_twice_sigmoid(m: Match) -> Node | None:
    made = _log_of_mean([(Fraction(1, 2), None), (Fraction(1, 2), f.neg(m.X))])
    return None if made is None else f.neg(made)


def _log1p_of_multiple(m: Match) -> Node | None:
    """log(1 + c (exp(x) - 1)), which is x + log(1 + (c - 1) (1 - exp(-x))) where exp(x) may overflow."""
    if not is_number(m.C) or m.C.value < 2.0**-10:
        return None
    far = f.gt(m.X, 1.0)
    x = f.where(far, m.X, 1.0)
    return f.where(far, x + f.log1p(f.expm1(f.neg(x)) * (1.0 - m.C.value)), f.log1p(f.expm1(f.where(far, 0.0, m.X)) * m.C.value))


def _log_of_mean_over_axes(m: Match) -> Node | None:
    """The logarithm of the sum of exponentials over a number: of 1 + (sum(exp(x) - 1) + (count - number))/number near x = 0."""
    total = m.P
    while total.op.name == "reshape":
        total = total.inputs[0]
    if total.op.name != "sum" or total.inputs[0].op.name != "exp" or not forms.is_count(m.B) or not forms.is_uniform(m.B):
        return None
    x, axes = total.inputs[0].inputs[0], total.param("axes")
    if forms.is_shifted(x) or forms.is_bounded(x):
        return None
    number = m.B.value if m.B.op.name == "const" else f.reshape(m.B, shape=total.shape)
    count = broadcast_to(size_value(sizes.product(x.shape[a] for a in axes), x.dtype), total.shape)
    near = f.lt(highest(f.abs(x), axes), NEAR)
    each = expand_back(near, x, axes)
    small = f.log1p((f.sum(f.expm1(f.where(each, x, 0.0)), axes=axes) + (count - number)) / number)
    large = logsumexp(x, axes) - f.log(constant(number, x.dtype, total.shape) if m.B.op.name == "const" else number)
    return f.reshape(f.where(near, small, large), shape=m.WHOLE.shape)


# ------------------------------------------------------------------------------------------------ quotients that are 1 at 0
def _log_exprel(x: Node) -> Node:
    """log((exp(x) - 1)/x): x/2 + log(sinh(x/2)/(x/2)) near 0, and by the size of x far from it."""
    near = f.lt(f.abs(x), 1.0)
    small, large = f.where(near, x, 0.0), f.where(near, 1.0, x)
    half = f.square(small * 0.5)
    size = f.abs(large)
    return f.where(near, small * 0.5 + half * series(half, _LOG_SINHC),
                   (f.maximum(large, 0.0) + f.log1p(f.neg(f.exp(f.neg(size))))) - f.log(size))


def _log_sinhc(x: Node) -> Node:
    """log(sinh(x)/x), an even function."""
    near = f.lt(f.abs(x), 0.5)
    square, size = f.square(f.where(near, x, 0.0)), f.where(near, 1.0, f.abs(x))
    return f.where(near, square * series(square, _LOG_SINHC), (size + f.log1p(f.neg(f.exp(size * -2.0)))) - f.log(size * 2.0))


def _ratio(a: Node, b: Node) -> float | None:
    """The number c of b = c a, None where their forms give none."""
    (p, x), (q, y) = multiple(a), multiple(b)
    return float(q / p) if x is y and p else None


def _log_of_sinhc(m: Match, sign: float = 1.0) -> Node | None:
    """The logarithm of a multiple of sinh(x)/x, or of its inverse (-1)."""
    c = _ratio(m.A, m.B)
    return None if c is None or not 0 < c < math.inf else (_log_sinhc(m.A) - math.log(c)) * sign


def _log_of_divided_difference(m: Match) -> Node:
    """log((exp(a) - exp(b))/(a - b)) = a + log((1 - exp(-d))/d), d = a - b > 0."""
    larger = f.gt(m.A, m.B)
    return f.where(larger, m.A, m.B) + _log_exprel(f.where(larger, less(m.B, m.A), less(m.A, m.B)))


def _log_of_saturating(m: Match) -> Node:
    """log(1 - exp(-exp(x))) = x + log((1 - exp(-t))/t), t = exp(x), where t is small."""
    small, large = f.lt(m.X, -1.0), f.gt(m.X, 7.0)
    x, middle = f.where(small, m.X, -1.0), f.where(f.or_(small, large), 0.0, m.X)
    return f.where(small, x + _log_exprel(f.neg(f.exp(x))), f.where(large, 0.0, log1mexp(f.neg(f.exp(middle)))))


# ------------------------------------------------------------------------------------------------ what overflows
def _log1p_of_square(m: Match) -> Node | None:
    """log(1 + x**2/a), which is 2 log(1 + abs(x)/sqrt(a)) to the last bit where the square overflows."""
    def part(x: Node) -> Node:
        return (x / m.A) * x if "A" in m else (x * m.C) * x if "C" in m else f.square(x)

    if ("C" in m and not is_number(m.C)) or m.X.op.name == "sinh":  # that of log_cosh, of a small number
        return None
    large = f.gt(part(m.X), np.finfo(m.X.dtype).max * 2.0**-20)
    root = f.where(large, f.abs(m.X), 1.0)
    root = root / f.sqrt(f.where(large, m.A, 1.0)) if "A" in m else root * math.sqrt(m.C.value) if "C" in m else root
    return f.log1p(f.where(large, root, part(f.where(large, 0.0, m.X)))) * f.where(large, constant(2.0, m.X.dtype, m.X.shape), 1.0)


def _log_of_prod(m: Match) -> Node | None:
    return f.sum(f.log(m.P), axes=m.AXES) if is_extreme(m.P) or is_exps(m.P) else None


# ------------------------------------------------------------------------------------------------ chosen sums
def _chosen_less(m: Match) -> Node:
    """The term cancels in the branch that it was added in."""
    return f.where(m.CONDITION, m.P, f.where(m.CONDITION, 0.0, m.A) - m.X)


LOGARITHMS = (
    *(rule(name, op.log(before), _log_of_sum, STABLE, inside=True, ulps=8.0, scale=1e-8, why="the logarithm is small where the mean is 1")
      for name, before in (("log_of_mean", (A + B) * C), ("log_of_mean_by_quotient", (A + B) / C), ("log_of_weighted_mean", A + B))),
    rule("log1p_of_multiple_of_expm1", op.log1p(op.expm1(X) * C), _log1p_of_multiple, STABLE, ulps=1024.0, when=(whole,),
         why="exp(x) overflows; a bounded argument is in its own branch"),
    rule("log_of_mean_over_axes", op.log(P / B), _log_of_mean_over_axes, STABLE, scale=1.0,
         why="the logarithm is small where the mean is 1"),
    rule("log_minus_expm1_of_exp", op.log(-op.expm1(-op.exp(X))), _log_of_saturating, STABLE, ulps=8.0, scale=1.0,
         why="exp(x) underflows"),
    rule("log_of_twice_sigmoid", op.log(op.sigmoid(X) * 2), _log_of_twice_sigmoid, STABLE, ulps=8.0,
         why="the logarithm is small where the sigmoid is 1/2"),
    rule("log_of_exprel", op.log(op.exprel(X)), lambda m: _log_exprel(m.X), STABLE, ulps=8.0, exceptions="infinity", excepted=np.isinf,
         why="exp(x) overflows"),
    rule("log_of_sinhc", op.log(op.sinh(A) / B), _log_of_sinhc, STABLE, ulps=8.0, scale=1.0, why="sinh(x) overflows", **NOT_FINITE),
    rule("log_of_inverse_sinhc", op.log(B / op.sinh(A)), lambda m: _log_of_sinhc(m, -1.0), STABLE, ulps=8.0, scale=1.0,
         why="sinh(x) overflows", **NOT_FINITE),
    rule("log_of_divided_difference", op.log((op.exp(A) - op.exp(B)) / (A - B)), _log_of_divided_difference, STABLE, ulps=64.0, scale=1.0,
         exceptions="infinities", excepted=np.isinf, why="inf - inf, 0/0"),
    rule("log_abs_sinh", op.log(op.abs(op.sinh(X))), lambda m: log_sinh(f.abs(m.X)), STABLE, scale=1.0, ulps=4.0),
    rule("log_multiple_of_sinh", op.log(op.sinh(X) * C), lambda m: log_sinh(m.X, float(m.C.value)) if is_number(m.C) else None,
         STABLE, scale=1.0, ulps=8.0, why="sinh overflows"),
    rule("log_multiple_of_square_of_sinh", op.log(op.square(op.sinh(X)) * C),
         lambda m: log_sinh(f.abs(m.X)) * 2.0 + math.log(m.C.value) if is_number(m.C) else None, STABLE, scale=1.0, ulps=8.0,
         why="the square underflows, or overflows"),
    rule("log_minus_tanh", op.log(-op.tanh(X)), op.log(op.tanh(-X)), STABLE),
    rule("log_minus_sinh", op.log(-op.sinh(X)), op.log(op.sinh(-X)), STABLE),
    rule("log1p_cosh", op.log1p(op.cosh(X)), op.log(op.cosh(X * 0.5)) * 2 + LOG_2, STABLE, ulps=8.0, why="cosh overflows"),
    rule("log1p_of_square", op.log1p(op.square(X)), _log1p_of_square, STABLE, ulps=4.0, why="the square overflows"),
    rule("log1p_of_multiple_of_square", op.log1p(op.square(X) * C), _log1p_of_square, STABLE, ulps=4.0, why="the square overflows"),
    rule("log1p_of_part_of_square", op.log1p(op.square(X) / A), _log1p_of_square, STABLE, ulps=4.0, why="the square overflows"),
    rule("log_of_prod", op.log(op.prod(P, axes=AXES)), _log_of_prod, STABLE, inside=True, scale=1.0,
         why="the product overflows or underflows"),
)
CHOSEN = (
    rule("chosen_sum_less_term", op.where(CONDITION, op.where(CONDITION, X, Y) + P, A) - X, _chosen_less, STABLE, scale=1.0,
         why="the term was added in the branch that it is taken from"),
    rule("chosen_sum_of_three_less_term", op.where(CONDITION, (op.where(CONDITION, X, Y) - C) + P, A) - X,
         lambda m: _chosen_less(Match({**m, "P": m.P - m.C.value})), STABLE, scale=1.0,
         exceptions="infinities", excepted=np.isinf,
         why="the term was added in the branch that it is taken from"),
)
RULES: tuple[Rule, ...] = (*LOGARITHMS, *CHOSEN)
