"""Stabilising rules: powers of what is near 1, and quotients of a growth by its rate or its exponent.

(1 + x)**p is exp(p log1p(x)): the sum rounds x away, and the power multiplies what is lost by p. Where p is a multiple of b and x is
a/b, the exponent is a (log1p(w)/w), w = a/b, whose derivative by b cancels nowhere.
"""
from __future__ import annotations

from typing import Any

from ...ir import Node, constant, f
from ...ops.elementwise import series
from ..pattern import Match, op
from ..rule import Level, Rule, property_of, rule
from .variables import CONDITION, A, B, P, X, Y, beyond_products, is_float, varies

STABLE = Level.STABLE
_LOG1P_OVER = [(-1) ** k / (k + 1) for k in range(18)]


def log1p_over(w: Node) -> Node:
    """The quotient log1p(w)/w, 1 at 0, with a derivative that is right there; w > -1."""
    tiny = f.lt(f.abs(w), 0.1)
    small, middle = f.where(tiny, w, 0.0), f.where(tiny, 1.0, w)
    return f.where(tiny, series(small, _LOG1P_OVER), f.log1p(middle) / middle)


# ------------------------------------------------------------------------------------------------ growth
def _exponent(x: Node, p: Node, near: Node) -> Node:
    """The exponent p log1p(x) where `near`, 0 elsewhere."""
    small = f.where(near, x, 0.0)
    if x.op.name in ("div", "reciprocal"):
        a, b = x.inputs if x.op.name == "div" else (constant(1, x.dtype, x.shape), x.inputs[0])
        rest = [n for n in p.inputs if n is not b] if p.op.name == "mul" and b in p.inputs else None
        if p is b or (rest is not None and len(rest) == 1):
            rate = f.where(near, a, 0.0) * log1p_over(small)
            return rate * f.where(near, rest[0], 0.0) if rest else rate
    return f.where(near, p, 0.0) * f.log1p(small)


def _near(x: Node, p: Node) -> Node:
    """Where 1 + x loses digits that the power multiplies, or the power is near 1."""
    above = f.gt(x, -0.5)
    logarithm = f.stop_gradient(p * f.log1p(f.where(above, x, 0.0)))
    return f.and_(f.and_(above, f.isfinite(p)), f.or_(f.lt(x, 0.5), f.lt(f.abs(logarithm), 1.0)))


def _growth(x: Node, p: Node) -> Node:
    """(1 + x)**p = exp(p log1p(x)) where that is better."""
    near = _near(x, p)
    return f.where(near, f.exp(_exponent(x, p, near)), f.pow(f.where(near, 1.0, 1.0 + x), p))


def _growth_minus_one(x: Node, p: Node) -> Node:
    """(1 + x)**p - 1 = expm1(p log1p(x)), where that is better."""
    near = _near(x, p)
    return f.where(near, f.expm1(_exponent(x, p, near)), f.pow(f.where(near, 1.0, 1.0 + x), p) - 1.0)


a_float = property_of("is_float", is_float, P)


def _is_root(p: Node) -> bool:
    """One over something, or that less a number, as the derivative of a root has it."""
    if p.op.name in ("add", "sub") and p.inputs[1].op.name == "const":
        p = p.inputs[0]
    return p.op.name == "reciprocal"


varying = property_of("is_varying_float_and_no_reciprocal", lambda p: is_float(p) and p.op.name != "const" and not _is_root(p), P)
GROWTH = (
    rule("power_minus_one", op.pow(1 + X, P) - 1, lambda m: _growth_minus_one(m.X, m.P), STABLE, when=(a_float,), ulps=750.0),
    rule("one_minus_power", 1 - op.pow(1 + X, P), lambda m: -_growth_minus_one(m.X, m.P), STABLE, when=(a_float,), ulps=750.0),
    rule("decay_minus_one", op.pow(1 - X, P) - 1, lambda m: _growth_minus_one(-m.X, m.P), STABLE, when=(a_float,), ulps=750.0),
    rule("one_minus_decay", 1 - op.pow(1 - X, P), lambda m: -_growth_minus_one(-m.X, m.P), STABLE, when=(a_float,), ulps=750.0),
    rule("growth", op.pow(1 + X, P), lambda m: _growth(m.X, m.P), STABLE, when=(varying,), ulps=750.0,
         why="a power by a fixed number keeps its form, and so does a root, which loses nothing"),
    rule("decay", op.pow(1 - X, P), lambda m: _growth(-m.X, m.P), STABLE, when=(varying,), ulps=750.0,
         why="a power by a fixed number keeps its form, and so does a root, which loses nothing"),
    rule("growth_minus_one", op.where(CONDITION, op.exp(A), B) - 1, op.where(CONDITION, op.expm1(A), B - 1), STABLE),
    rule("one_minus_growth", 1 - op.where(CONDITION, op.exp(A), B), -op.where(CONDITION, op.expm1(A), B - 1), STABLE),
)


# ------------------------------------------------------------------------------------------------ rates
def _rate(m: Match) -> Node:
    """B log1p(a/b) = a (log1p(w)/w), w = a/b: the derivative by b is that of the second factor alone."""
    w = m.A / m.B
    near = f.and_(f.lt(f.abs(w), 1.0), f.isfinite(m.B))
    rate = m.A * log1p_over(f.where(near, w, 0.0))
    whole = f.log1p(f.where(near, 1.0, w))
    if "X" in m:
        return f.where(near, rate * m.X, (m.B * m.X) * whole)
    return f.where(near, rate, m.B * whole)


def _logarithmic_mean(m: Match) -> Node:
    """The quotient (a - b)/log(a/b) = b w/log1p(w), w = (a - b)/b."""
    near = f.lt(f.abs(m.A - m.B), 0.5 * f.abs(m.B))
    b = f.where(near, m.B, 1.0)
    above, below = m.WHOLE.inputs
    far = above / f.where(near, 1.0, below)
    return f.where(near, b / log1p_over(f.where(near, m.A - m.B, 0.0) / b), far)


def _divided(m: Match, near: Node) -> Node:
    """The quotient where(condition, expm1(e), b)/p, by a form for |e| < 1."""
    growth, divisor = m.WHOLE.inputs
    small = f.and_(m.CONDITION, f.lt(f.abs(growth.inputs[1].inputs[0]), 1.0))
    return f.where(small, near, f.where(small, 0.0, growth) / f.where(small, 1.0, divisor))


def _over_exponent(m: Match) -> Node:
    """Of expm1(p a)/p, which is a exprel(p a)."""
    return _divided(m, m.A * f.exprel(f.where(m.CONDITION, m.P, 0.0) * m.A))


def _over_rate(m: Match) -> Node:
    """Of expm1(a log1p(p))/p, which is a (log1p(p)/p) exprel(a log1p(p))."""
    rate, negative = f.where(m.CONDITION, m.P, 0.0), m.WHOLE.inputs[0].inputs[1].inputs[0].op.name == "neg"
    a = f.neg(m.A) if negative else m.A
    return _divided(m, (a * log1p_over(rate)) * f.exprel(a * f.log1p(rate)))


def _by_growth(m: Match) -> Node:
    """The rate p, or a multiple of it, over where(condition, expm1(..), b)."""
    below: Node = m.WHOLE.inputs[1]
    inverse = below / m.P
    return m.Y / inverse if "Y" in m else f.reciprocal(inverse)


def _over_quotient(m: Match) -> Node:
    """Of expm1(x a)/(x/y), which is y a exprel(x a)."""
    return _divided(m, (m.Y * m.A) * f.exprel(f.where(m.CONDITION, m.X, 0.0) * m.A))


def _over_factor(m: Match) -> Node:
    """Of expm1(a x)/a: x exprel(a x) for small a x, which may be negated."""
    exponent = m.WHOLE.inputs[0].inputs[0]
    rest = m.X * m.Y if "Y" in m else m.X
    small = f.lt(f.abs(exponent), 1.0)
    near = f.where(small, rest, 0.0) * f.exprel(f.where(small, exponent, 0.0))
    near = f.neg(near) if exponent.op.name == "neg" else near
    return f.where(small, near, f.expm1(f.where(small, 0.0, exponent)) / f.where(small, 1.0, m.A))


def _box_cox(m: Match) -> Node:
    """(x**p - 1)/p = log(x) exprel(p log(x)), which is log(x) at p = 0."""
    positive = f.and_(f.gt(m.X, 0.0), f.isfinite(m.X))
    logarithm = f.log(f.where(positive, m.X, 1.0))
    near = f.and_(positive, f.lt(f.abs(m.P * logarithm), 1.0))
    far = f.where(near, 1.0, m.P)
    return f.where(near, logarithm * f.exprel(f.where(near, m.P, 0.0) * logarithm), (f.where(near, 1.0, f.pow(m.X, far)) - 1.0) / far)


def _two_growths(m: Match) -> Node:
    """The quotient x expm1((a + b) x)/(expm1(a x) expm1(b x)) = x/2 (coth(a x/2) + coth(b x/2)), where both are small."""
    above, below = m.WHOLE.inputs
    small = f.and_(*(f.lt(f.abs(n * m.X), 1.0) for n in (m.A, m.B)))
    x = f.where(small, m.X, 0.5) * 0.5
    a, b = (f.where(small, n, 1.0) for n in (m.A, m.B))
    near = ((a * x) / f.tanh(a * x)) / a + ((b * x) / f.tanh(b * x)) / b
    return f.where(small, near, f.where(small, 0.0, above) / f.where(small, 1.0, below))


BY_RATE = {name: op.where(CONDITION, op.expm1(exponent), B) for name, exponent in (
    ("growth", A * op.log1p(op.where(CONDITION, P, 0.0))), ("decay", -(A * op.log1p(op.where(CONDITION, P, 0.0)))))}
BEYOND: dict[str, Any] = {"excepted": lambda a: beyond_products(a, 16.0), "exceptions": "numbers whose product overflows"}
RATES = (
    rule("logarithmic_mean", (A - B) / (op.log(A) - op.log(B)), _logarithmic_mean, STABLE, ulps=8.0, first=True, why="0/0 at a = b",
         exceptions="negative numbers", excepted=lambda a: a < 0),
    rule("logarithmic_mean_by_quotient", (A - B) / op.log(A / B), _logarithmic_mean, STABLE, ulps=8.0, first=True, why="0/0 at a = b"),
    rule("rate_by_period", B * op.log1p(A / B), _rate, STABLE, ulps=4.0),
    rule("rate_by_periods", (B * X) * op.log1p(A / B), _rate, STABLE, ulps=4.0),
    rule("growth_over_exponent", op.where(CONDITION, op.expm1(op.where(CONDITION, P, 0.0) * A), B) / P, _over_exponent, STABLE, ulps=750.0),
    *(rule(f"{name}_over_rate", growth / P, _over_rate, STABLE, ulps=750.0) for name, growth in BY_RATE.items()),
    *(rule(f"rate_over_{name}", P / growth, _by_growth, STABLE, ulps=750.0, **BEYOND) for name, growth in BY_RATE.items()),
    *(rule(f"payment_over_{name}", (Y * P) / growth, _by_growth, STABLE, ulps=750.0, **BEYOND) for name, growth in BY_RATE.items()),
    rule("growth_over_quotient", op.where(CONDITION, op.expm1(op.where(CONDITION, X, 0.0) * A), B) / (X / Y), _over_quotient, STABLE,
         ulps=750.0),
    rule("box_cox", (op.pow(X, P) - 1) / P, _box_cox, STABLE, ulps=64.0, when=(varies,)),
    rule("expm1_over_factor", op.expm1(A * X) / A, _over_factor, STABLE, ulps=750.0, why="0/0 at 0, and so its derivative by a"),
    rule("expm1_over_factor_of_three", op.expm1((A * X) * Y) / A, _over_factor, STABLE, ulps=750.0),
    rule("expm1_over_opposite_factor", op.expm1(-(A * X)) / A, _over_factor, STABLE, ulps=750.0),
    rule("two_growths", (X * op.expm1((A + B) * X)) / (op.expm1(A * X) * op.expm1(B * X)), _two_growths, STABLE, ulps=750.0,
         scale=1.0, why="0/0 at 0", exceptions="exponents that overflow", excepted=lambda a: abs(a) > 30),
    rule("exprel_of_opposite", op.expm1(-X) / X, -op.exprel(-X), STABLE, ulps=4.0),
)


# ------------------------------------------------------------------------------------------------ quotients that overflow
def _hill(m: Match) -> Node:
    """x**p/(x**p + y**p) = sigmoid(p log(x/y)), for positive x and y."""
    positive = f.and_(f.gt(m.X, 0.0), f.gt(m.Y, 0.0))
    ratio = f.where(positive, m.X, 1.0) / f.where(positive, m.Y, 1.0)
    usual = f.and_(positive, f.and_(f.gt(ratio, 0.0), f.isfinite(ratio)))
    stable = f.sigmoid(m.P * f.log(f.where(usual, ratio, 1.0)))
    above, below = (f.pow(f.where(usual, 1.0, n), m.P) for n in (m.X, m.Y))
    return f.where(usual, stable, f.where(usual, 0.0, above) / (above + below))


SHARES = (
    rule("hill", op.pow(X, P) / (op.pow(Y, P) + op.pow(X, P)), _hill, STABLE, ulps=750.0, why="inf/inf, 0/0",
         exceptions="negative numbers, and powers that overflow", excepted=lambda a: (a <= 0) | (a > 30)),
    rule("quotient_of_exps", op.exp(A) / op.exp(B), op.exp(A - B), STABLE, ulps=750.0, why="inf/inf, 0/0"),
)

RULES: tuple[Rule, ...] = (*GROWTH, *RATES, *SHARES)
