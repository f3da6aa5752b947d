"""Stabilising rules: hyperbolic functions and logarithms of them, near 0 and where exponentials overflow or cancel."""
from __future__ import annotations

import math
from fractions import Fraction

from ...ir import Node, constant, f
from ..pattern import Match, op
from ..rule import Level, Rule, rule
from .variables import LOG_2, A, B, C, D, X

STABLE = Level.STABLE
LARGEST = 12  # power of tanh that is looked at


# ------------------------------------------------------------------------------------------------ polynomials in tanh and coth
Polynomial = dict[int, Fraction]


def _tanh(node: Node) -> Node | None:
    """The first tanh that a sum of products is made of."""
    pending = [node]
    for _ in range(4 * LARGEST):
        if not pending:
            break
        top = pending.pop()
        if top.op.name == "tanh":
            return top
        if top.op.name in _PARTS:
            pending += top.inputs
    return None


_PARTS = ("add", "sub", "mul", "div", "neg", "square", "reciprocal")


def _polynomial(node: Node, t: Node, depth: int = 8) -> Polynomial | None:
    """The coefficients of a polynomial in t and 1/t, by powers; None where it is none."""
    if node is t:
        return {1: Fraction(1)}
    name = node.op.name
    if name == "const":
        value = float(node.value)
        return {0: Fraction(value)} if node.dtype.kind == "f" and abs(value) < 2.0**100 else None
    if name not in _PARTS or not depth:
        return None
    parts = [_polynomial(i, t, depth - 1) for i in node.inputs]
    left, right = parts[0], parts[-1]
    if left is None or right is None:
        return None
    if name in ("add", "sub"):
        sign = 1 if name == "add" else -1
        return {k: left.get(k, Fraction(0)) + sign * right.get(k, Fraction(0)) for k in {*left, *right}}
    if name == "neg":
        return {k: -c for k, c in left.items()}
    if name in ("div", "reciprocal"):
        if len(right) != 1 or not all(right.values()):
            return None
        ((power, c),) = right.items()
        return {k - power: a / c for k, a in (left if name == "div" else {0: Fraction(1)}).items()}
    product: Polynomial = {}
    for k, a in left.items():
        for j, b in right.items():
            product[k + j] = product.get(k + j, Fraction(0)) + a * b
    return product if max(map(abs, product)) <= LARGEST else None


def _without_sech(p: Polynomial) -> Polynomial | None:
    """The quotient of a polynomial by 1 - t**2, None where there is a remainder."""
    p = {k: c for k, c in p.items() if c}
    if len(p) < 2 or any(sum((c for k, c in p.items() if k % 2 == odd), Fraction(0)) for odd in (0, 1)):
        return None
    quotient: Polynomial = {}
    for k in range(min(p), max(p) - 1):
        quotient[k] = p.get(k, Fraction(0)) + quotient.get(k - 2, Fraction(0))
    return {k: c for k, c in quotient.items() if c}


def _times_sech_squared(m: Match) -> Node | None:
    """(1 - tanh(x)**2) q(tanh(x)) = sech(x)**2 q(tanh(x)), for a sum that is 0 where tanh is 1 and -1."""
    t = _tanh(m.WHOLE)
    p = None if t is None else _polynomial(m.WHOLE, t)
    quotient = None if p is None else _without_sech(p)
    if t is None or not quotient or any(Fraction(float(c)) != c for c in quotient.values()):
        return None
    lowest = min(quotient)
    total: Node = constant(0, t.dtype, t.shape)
    for k in range(max(quotient), lowest - 1, -1):
        total = total * t + float(quotient.get(k, 0)) if k < max(quotient) else constant(float(quotient[k]), t.dtype, t.shape)
    shift = f.reciprocal(t) if lowest < 0 else t
    made = f.sech_squared(t.inputs[0]) * total
    for _ in range(abs(lowest)):
        made = made * shift
    return made


T = op.tanh(X)
POLYNOMIALS = tuple(rule(f"vanishes_with_sech_{name}", before, _times_sech_squared, STABLE, ulps=64.0, inside=True,
                         why="tanh(x) rounds to 1 where sech(x) does not to 0") for name, before in {
    "inverse_square": 1 - op.reciprocal(op.square(T)),
    "inverse_square_less_one": op.reciprocal(op.square(T)) - 1,
    "square_of_inverse": 1 - op.square(op.reciprocal(T)),
    "square_of_inverse_less_one": op.square(op.reciprocal(T)) - 1,
    "inverses": op.reciprocal(T) - op.reciprocal(op.square(T) * T),
    "square_less_one": op.square(T) - 1,
    "polynomial": (A - C / op.square(T)) + D / (op.square(T) * op.square(T)),
    "polynomial_2": (A - C / op.square(T)) + D / op.square(op.square(T)),
    "polynomial_3": (A - C / op.square(T)) + D / ((op.square(T) * T) * T),
}.items())


# ------------------------------------------------------------------------------------------------ logarithms
def log_sinh(x: Node, factor: float = 1.0) -> Node:
    """log(factor sinh(x)): x + log((1 - exp(-2x))/2) far from zero."""
    far = f.gt(x, 1.0)
    large, small = f.where(far, x, 1.0), f.sinh(f.where(far, 1.0, x))
    scale = math.log(0.5 * factor)
    return f.where(far, (large + scale if scale else large) + f.log1p(-f.exp(-2.0 * large)),
                   f.log(f.where(far, 1.0, small * factor if factor != 1 else small)))


def _log_tanh(m: Match) -> Node:
    """log(tanh(x)) = log(1 - 2 sigmoid(-2x)) far from zero."""
    far = f.gt(m.X, 0.5)
    return f.where(far, f.log1p(f.sigmoid(-2.0 * f.where(far, m.X, 1.0)) * -2.0),
                   f.log(f.where(far, 1.0, f.tanh(f.where(far, 0.5, m.X)))))


def _log_mean_exp(m: Match) -> Node:
    """log((exp(a) + exp(b))/2) is the mean of a and b, and the log-cosh of half their difference, where that is small."""
    near = f.lt(f.abs(m.A - m.B), 1.0)
    a, b = f.where(near, m.A, 0.0), f.where(near, m.B, 0.0)
    return f.where(near, (a + b) * 0.5 + f.log1p(2.0 * f.square(f.sinh((a - b) * 0.25))),
                   f.where(near, 0.0, f.logaddexp(m.A, m.B)) - LOG_2)


def _log_difference_of_exps(m: Match) -> Node:
    a: Node = m.A
    return a + f.log(-f.expm1(m.B - a))


LOGARITHMS = (
    rule("log_sinh", op.log(op.sinh(X)), lambda m: log_sinh(m.X), STABLE),
    rule("log_tanh", op.log(op.tanh(X)), _log_tanh, STABLE, ulps=4.0),
    rule("log_mean_exp", op.log((op.exp(A) + op.exp(B)) * 0.5), _log_mean_exp, STABLE, scale=1.0, ulps=4.0),
    rule("log_difference_of_exps", op.log(op.exp(A) - op.exp(B)), _log_difference_of_exps, STABLE, ulps=4.0, scale=1.0),
)

# ------------------------------------------------------------------------------------------------ tails
def _exp_times_cos_minus_one(m: Match) -> Node:
    near = f.lt(f.abs(m.A), 1.0)
    a, cosine = f.where(near, m.A, 0.0), f.cos(m.B)
    return f.where(near, f.expm1(a) * cosine - f.square(f.sin(m.B * 0.5)) * 2.0, f.where(near, 0.0, m.WHOLE.inputs[0]) - 1.0)


TAILS = (
    rule("coth_minus_one", op.reciprocal(op.tanh(X)) - 1, 2 / op.expm1(X * 2), STABLE, ulps=4.0),
    rule("one_minus_coth", 1 - op.reciprocal(op.tanh(X)), -2 / op.expm1(X * 2), STABLE, ulps=4.0),
    rule("coth_by_hyperbolic", op.cosh(X) / op.sinh(X), op.reciprocal(op.tanh(X)), STABLE, ulps=4.0, why="inf/inf"),
    rule("over_sinh_times_cosh", (A / op.sinh(X)) * op.cosh(X), A / op.tanh(X), STABLE, ulps=6.0, why="0 * inf"),
    rule("scaled_over_sinh_times_cosh", (B * (A / op.sinh(X))) * op.cosh(X), B * (A / op.tanh(X)), STABLE, ulps=8.0, why="0 * inf",
         exceptions="factors whose product overflows", excepted=lambda a: abs(a) > 1e30),
    rule("over_square_sinh_times_cosh", (A * op.square(op.reciprocal(op.sinh(X)))) * op.cosh(X), (A / op.sinh(X)) / op.tanh(X), STABLE,
         ulps=10.0, why="0 * inf"),
    rule("square_over_sinh_times_cosh", op.square(op.reciprocal(op.sinh(X))) * op.cosh(X), op.reciprocal(op.sinh(X)) / op.tanh(X), STABLE,
         ulps=8.0, why="0 * inf"),
    rule("cosh_minus_sinh", op.cosh(X) - op.sinh(X), op.exp(-X), STABLE, ulps=4.0),
    rule("sinh_minus_cosh", op.sinh(X) - op.cosh(X), -op.exp(-X), STABLE, ulps=4.0),
    rule("cosh_plus_sinh", op.cosh(X) + op.sinh(X), op.exp(X), STABLE, ulps=4.0),
    rule("exp_times_cos_minus_one", op.exp(A) * op.cos(B) - 1, _exp_times_cos_minus_one, STABLE, ulps=4.0, scale=1.0,
         exceptions="exponents that overflow", excepted=lambda a: a > 88),
)

RULES: tuple[Rule, ...] = (*POLYNOMIALS, *LOGARITHMS, *TAILS)
