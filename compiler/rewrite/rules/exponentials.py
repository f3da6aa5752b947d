"""Stabilising rules: products, powers and quotients of exponentials, and logarithms of what is made of them.

One exponential stands for a product of several. A logarithm goes into products, powers and sums whose parts overflow or underflow
where the logarithm does not; a quotient by a sum of exponentials is that of both sides divided by the largest of them.

Sources: Blanchard, Higham & Higham, "Accurately computing the log-sum-exp and softmax functions", IMA J. Numer. Anal. 2021.
"""
from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ...build import highest, log_erfc, log_half_erfc, logsumexp, shift_by
from ...ir import Node, constant, f
from ...ops.reduction import expand_back
from ..facts import Facts
from ..pattern import MOVES, Match, moved, op
from ..rule import Level, Rule, property_of, rule
from . import forms
from .diagonals import arranged
from .divergences import less
from .forms import is_zero
from .stable import log1mexp, log_cosh, weighted_logsumexp
from .variables import AXES, CONDITION, LEFT, LOG_2, OUT, RIGHT, A, B, C, P, X, are_opposite, opposite
from .weighted import divided, exponent_below, has_exps, is_exps, is_extreme, is_number, is_power, parts, top_of

if TYPE_CHECKING:
    from ..engine import RuleSet

STABLE = Level.STABLE
whole = property_of("is_whole", lambda x: not forms.is_bounded(x), X)


# ------------------------------------------------------------------------------------------------ logarithms of powers and products
def _log_of_square(m: Match) -> Node:
    x = m.X if is_extreme(m.X) else f.abs(m.X)
    return f.log(x) * 2.0


def _log_of_power(m: Match) -> Node | None:
    exponent = float(m.C.value)
    if not exponent or not math.isfinite(exponent):
        return None
    return f.log(f.abs(m.X) if exponent % 2 == 0 else m.X) * exponent


def _log_of_power_of_number(m: Match) -> Node | None:
    made: Node | None = m.X * math.log(m.C.value) if is_number(m.C) else None
    return made


def _log_of_product(m: Match) -> Node | None:
    if is_extreme(m.P) or (is_number(m.P) and has_exps(m.A)):
        return f.log(m.P) + f.log(m.A)
    return None


def _log_of_quotient(m: Match) -> Node | None:
    if is_extreme(m.A) or is_extreme(m.B) or (is_number(m.B) and has_exps(m.A)):
        return f.log(m.A) - f.log(m.B)
    return None


def _log_of_chosen(m: Match) -> Node | None:
    if not is_extreme(m.P) or not (is_zero(m.A) or is_extreme(m.A)):
        return None
    return f.where(m.CONDITION, f.log(m.P), -np.inf if is_zero(m.A) else f.log(m.A))


# ------------------------------------------------------------------------------------------------ logarithms of sums
def _log_of_sum(m: Match) -> Node | None:
    """By those of the terms where all are positive; else every exponential is divided by the largest."""
    total = m.WHOLE.inputs[0]
    if not has_exps(total):
        return None
    if is_exps(total):
        return f.logaddexp(f.log(m.A), f.log(m.B))
    if not has_exps(total, everywhere=True):
        return None
    top = top_of(total)
    made = None if top is None else divided(total, shift_by(top))
    return None if made is None or top is None else f.log(made) + top  # also where that is infinite


def _log_of_difference(m: Match) -> Node | None:
    """log(a - b), two exponentials with constant weights, to any base."""
    if not (_single(m.A) and _single(m.B)):
        return None
    largest: Node = f.log(m.A)
    return largest + log1mexp(f.log(m.B) - largest)


def _log_of_multiple_of_difference(m: Match) -> Node | None:
    return f.log(m.WHOLE.inputs[0].inputs[0]) + math.log(m.C.value) if is_number(m.C) else None


def _log1p(m: Match) -> Node | None:
    return f.softplus(f.log(m.P)) if is_exps(m.P) else None


def _log1p_minus_power(m: Match) -> Node | None:
    return log1mexp(m.X * math.log(m.C.value)) if is_number(m.C) else None


def _log_of_sum_over_axes(m: Match) -> Node | None:
    if is_exps(m.P):
        return logsumexp(f.log(m.P), m.AXES) if has_exps(m.P) else None
    weight, exponent = parts(m.P)
    if weight is None or exponent is None or forms.is_shifted(exponent):
        return None
    return weighted_logsumexp(weight, exponent, m.AXES)


def _log_of_contraction(m: Match) -> Node | None:
    """log(exp(x) @ w), the exponentials divided by the largest of those that are added."""
    for x, labels, w, others in ((m.A, m.LEFT, m.B, m.RIGHT), (m.B, m.RIGHT, m.A, m.LEFT)):
        exponent = exponent_below(x)
        if exponent is None or forms.is_shifted(exponent) or len({*labels}) < len(labels) or len({*others}) < len(others):
            continue
        kept = [c for c in labels if c in m.OUT]
        axes = tuple(k for k, c in enumerate(labels) if c not in m.OUT)
        extents = dict(zip(others, w.shape, strict=True)) | dict(zip(labels, x.shape, strict=True))
        if not axes:
            continue
        if {*others} <= {*labels}:
            total = f.log(f.sum(arranged(w, others, labels, extents) * f.exp(exponent), axes=axes))
            return arranged(total, kept, m.OUT, extents)
        top = f.stop_gradient(highest(exponent, axes))
        shifted = f.exp(exponent - expand_back(shift_by(top), exponent, axes))
        pair = (shifted, w) if x is m.A else (w, shifted)
        made = f.contract(*pair, left=m.LEFT, right=m.RIGHT, out=m.OUT)
        return f.log(made) + arranged(top, kept, m.OUT, extents)
    return None



# ------------------------------------------------------------------------------------------------ quotients by sums of exponentials
def _over_sum(m: Match) -> Node | None:
    above = m.A if "A" in m else constant(1.0, m.P.dtype, m.P.shape)
    moves, below = [], m.P
    while below.op.name in MOVES:
        moves.append(below)
        below = below.inputs[0]
    if below.op.name not in ("add", "sum") or not has_exps(below, everywhere=True):
        return None
    if below.op.name == "add" and not moves:
        left, right = below.inputs
        if left.op.name == right.op.name == "exp" and are_opposite(left.inputs[0], right.inputs[0]):
            return above * (f.reciprocal(f.cosh(left.inputs[0])) * 0.5)
        found = _sigmoid(above, left, right)
        if found is not None:
            return found
    top = top_of(below)
    divisor = None if top is None else divided(below, shift_by(top))
    if top is None or divisor is None:
        return None
    inner = divided(above, moved(shift_by(top), moves))
    return None if inner is None else inner / moved(divisor, moves)


def _sigmoid(above: Node, left: Node, right: Node) -> Node | None:
    """The quotient a/(p + q), where one of a, p and q is a number, or a is p or q."""
    if not all(is_number(n) or _single(n) for n in (left, right)):
        return None
    for one, other in sorted(((left, right), (right, left)), key=lambda pair: pair[0] is not above):
        if above is one or is_number(one):
            logarithm = f.log(other)
            unit = is_number(one) and one.value == 1
            share = f.sigmoid(f.neg(logarithm) if unit else f.log(one) - logarithm)
            return share if above is one else (above / one) * share
    return None


def _inverse_root(m: Match) -> Node | None:
    return f.exp(f.log(m.P) * -0.5) if m.P.op.name == "add" and is_exps(m.P) else None


# ------------------------------------------------------------------------------------------------ what saturates
SATURATING = ("cosh", "tanh", "erf", "erfc", "sigmoid", "cos", "exp", "sqrt")


def _common(m: Match) -> Node | None:
    """The constant outside, so that the sum or difference of one and a function meets its own rule."""
    if m.A.op.name not in SATURATING:
        return None
    made: Node = (1.0 + m.A if m.WHOLE.op.name == "add" else 1.0 - m.A) * m.C
    return made


def _common_less(m: Match) -> Node | None:
    made: Node | None = (m.A - 1.0) * m.C if m.A.op.name in SATURATING else None
    return made


def _sigmoid_difference(a: Node, b: Node) -> Node:
    """sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), a > b."""
    d = f.where(f.eq(a, b), 0.0, less(a, b))
    size = f.expm1(f.neg(f.abs(d))) * (f.sigmoid(f.maximum(a, b)) * f.sigmoid(f.neg(f.minimum(a, b))))
    return f.where(f.gt(d, 0.0), f.neg(size), size)


def _log_of_sigmoids(m: Match) -> Node:
    return (f.log_sigmoid(m.A) + f.log_sigmoid(f.neg(m.B))) + log1mexp(less(m.B, m.A))


def _log_of_tanhs(m: Match) -> Node:
    return ((f.log_sigmoid(2.0 * m.A) + f.log_sigmoid(-2.0 * m.B)) + log1mexp(2.0 * less(m.B, m.A))) + LOG_2


def _density(m: Match) -> Node:
    """The slope of a sigmoid as one function, whose own slope is a product."""
    return f.sech_squared(m.A * 0.5) * 0.25


def _sech(m: Match) -> Node:
    """1/cosh(x), which is 2 exp(-abs(x)) from 20 on."""
    size = f.abs(m.X)
    near = f.lt(size, 20.0)
    return f.where(near, f.reciprocal(f.cosh(f.where(near, m.X, 0.0))), f.exp(f.neg(f.where(near, 20.0, size))) * 2.0)


def _single(node: Node) -> bool:
    """One exponential with a constant weight."""
    return is_power(node) or (node.op.name in ("mul", "div") and is_power(node.inputs[0]) and is_number(node.inputs[1]))


def _by_halves(m: Match) -> Node | None:
    """X exp(a) exp(b), with the two halves of a third exponential that X may have."""
    if m.A is m.B:
        return None
    product, total = m.X, m.A + m.B
    if product.op.name == "mul":
        for one, other in (product.inputs, product.inputs[::-1]):
            if other.op.name == "exp" and other.inputs[0] is m.A:
                product, total = one, total + m.A
                break
    half = f.exp(total * 0.5)
    return (product * half) * half  # type: ignore[no-any-return]


def _reciprocal_of_power(m: Match) -> Node | None:
    return f.pow(f.reciprocal(m.P), m.C) if is_exps(m.P) else None


def _over_square(m: Match) -> Node | None:
    if not has_exps(m.P, everywhere=True) or m.P.op.name not in ("add", "sum", *MOVES):
        return None
    if "A" in m and is_exps(m.A) and m.P.op.name == "add" and (top := top_of(m.P)) is not None:
        above, below = divided(m.A, shift_by(top) * 2.0), divided(m.P, shift_by(top))
        if above is not None and below is not None:
            return above / f.square(below)
    inverse = f.reciprocal(m.P)
    return (m.A / m.P) * inverse if "A" in m else f.square(inverse)


# ------------------------------------------------------------------------------------------------ other bases
@cache
def _natural() -> RuleSet:
    from ..engine import RuleSet  # the engine reads the rules
    from . import error_functions, hyperbolic, logarithms, stable

    families = (error_functions.RULES, logarithms.LOGARITHMS, hyperbolic.LOGARITHMS, stable.LOGARITHMS, LOGARITHMS)
    return RuleSet(r for family in families for r in family if r not in POWERS_OF_ANYTHING)


def _by_natural_logarithm(m: Match) -> Node | None:
    """The logarithm to another base, where the natural one has a stable form."""
    natural = f.log(m.P)
    for found, variant in _natural().candidates(natural):
        match = None if variant is None else variant.match(natural)
        made = None if match is None else found.rewrite(match, Facts())
        if made is not None:
            return made / math.log(2.0 if m.WHOLE.op.name == "log2" else 10.0)
    return None


POWERS_OF_ANYTHING = (
    rule("log_reciprocal", op.log(op.reciprocal(X)), -op.log(X), STABLE, why="1/x overflows",
         exceptions="infinities: of -0.0 nothing is known", excepted=np.isinf),
    rule("log_sqrt", op.log(op.sqrt(X)), op.log(X) * 0.5, STABLE, why="the root is rounded, to 1 perhaps"),
    rule("log_square", op.log(op.square(X)), _log_of_square, STABLE, why="the square overflows"),
    rule("log_power", op.log(op.pow(X, C)), _log_of_power, STABLE, why="the power overflows", ulps=4.0,
         exceptions="infinities", excepted=np.isinf),
)
LOGARITHMS = (
    *POWERS_OF_ANYTHING,
    rule("log_exp", op.log(op.exp(X)), X, STABLE),
    rule("log_exp2", op.log(op.exp2(X)), X * LOG_2, STABLE),
    rule("log_power_of_number", op.log(op.pow(C, X)), _log_of_power_of_number, STABLE, scale=1.0, ulps=4.0),
    rule("log_of_product", op.log(A * P), _log_of_product, STABLE, scale=1.0, ulps=750.0, exceptions="infinities", excepted=np.isinf),
    rule("log_of_extreme_quotient", op.log(A / B), _log_of_quotient, STABLE, scale=1.0, ulps=750.0,
         exceptions="infinities", excepted=np.isinf),
    rule("log_of_chosen", op.log(op.where(CONDITION, P, A)), _log_of_chosen, STABLE, ulps=64.0),
    rule("log_of_sum", op.log(A + B), _log_of_sum, STABLE, scale=1.0, ulps=64.0),
    rule("log1p_of_exps", op.log1p(P), _log1p, STABLE, ulps=750.0),
    rule("log_of_sum_over_axes", op.log(op.sum(P, axes=AXES)), _log_of_sum_over_axes, STABLE, scale=1.0),
    rule("log_of_contraction", op.log(op.contract(A, B, left=LEFT, right=RIGHT, out=OUT)), _log_of_contraction, STABLE, scale=1.0),
    rule("log_of_difference", op.log(A - B), _log_of_difference, STABLE, scale=1.0, ulps=64.0, why="inf - inf"),
    rule("log_of_multiple_of_difference", op.log((op.exp(A) - op.exp(B)) * C), _log_of_multiple_of_difference, STABLE, scale=1.0, ulps=64.0,
         why="inf - inf"),
    rule("log_of_inverse_less_one", op.log(op.reciprocal(X) - 1), op.log1p(-X) - op.log(X), STABLE, ulps=4.0, scale=1.0,
         why="1/x overflows, and its derivative before it"),
    rule("log1p_minus_exp2", op.log1p(-op.exp2(X)), lambda m: log1mexp(m.X * LOG_2), STABLE, ulps=750.0),
    rule("log1p_minus_power_of_number", op.log1p(-op.pow(C, X)), _log1p_minus_power, STABLE, ulps=750.0),
)
OTHER_BASES = tuple(rule(f"{name}_by_natural_logarithm", getattr(op, name)(P), _by_natural_logarithm, STABLE, ulps=64.0, scale=1.0,
                         inside=True)
                    for name in ("log2", "log10"))

EXPONENTIALS = (
    rule("power_of_e", op.pow(math.e, X), op.exp(X), STABLE, ulps=750.0, why="no power of a float is meant"),
    rule("reciprocal_of_exp", op.reciprocal(op.exp(X)), op.exp(-X), STABLE, why="the derivative is inf * 0"),
    rule("square_of_exp", op.square(op.exp(X)), op.exp(X * 2), STABLE),
    rule("sqrt_of_exp", op.sqrt(op.exp(X)), op.exp(X * 0.5), STABLE),
    rule("power_of_exp", op.pow(op.exp(X), C), op.exp(X * C), STABLE, ulps=750.0),
    rule("product_of_exps", op.exp(A) * op.exp(B), op.exp(A + B), STABLE, ulps=750.0, why="inf * 0"),
    rule("multiple_of_product_of_exps", (X * op.exp(A)) * op.exp(B), _by_halves, STABLE, ulps=750.0,
         why="0 * inf; by halves, since X may be 0 where exp(A + B) is inf"),
    rule("exp_times_sigmoid", op.exp(A) * op.sigmoid(B), op.sigmoid(A), STABLE, when=(opposite,), ulps=4.0,
         why="an identity of opposite arguments"),
    rule("multiple_of_exp_times_sigmoid", (X * op.exp(A)) * op.sigmoid(B), X * op.sigmoid(A), STABLE, when=(opposite,), ulps=6.0,
         why="an identity of opposite arguments"),
    rule("exp_times_square_of_sigmoid", op.exp(A) * op.square(op.sigmoid(B)), op.sigmoid(A) * op.sigmoid(B), STABLE, when=(opposite,),
         ulps=6.0, why="an identity of opposite arguments"),
    rule("reciprocal_of_power_of_exps", op.reciprocal(op.pow(P, C)), _reciprocal_of_power, STABLE, ulps=750.0, why="the power overflows"),
    rule("difference_over_sum_of_exps", (op.exp(A) - op.exp(B)) / (op.exp(A) + op.exp(B)), op.tanh((A - B) * 0.5), STABLE, ulps=750.0,
         why="inf/inf"),
    rule("reciprocal_of_one_plus_cosh", op.reciprocal(1 + op.cosh(X)), op.sech_squared(X * 0.5) * 0.5, STABLE, ulps=8.0,
         why="the derivative is inf/inf"),
    rule("over_one_plus_cosh", A / (1 + op.cosh(X)), A * (op.sech_squared(X * 0.5) * 0.5), STABLE, ulps=8.0,
         why="the derivative is inf/inf"),
    rule("reciprocal_of_multiple_of_one_plus_cosh", op.reciprocal((1 + op.cosh(X)) * C), (op.sech_squared(X * 0.5) * 0.5) / C, STABLE,
         ulps=8.0, why="the derivative is inf/inf"),
    rule("product_over_square_of_exps", op.exp(A + B) / op.square(op.exp(A) + op.exp(B)), op.sech_squared((A - B) * 0.5) * 0.25, STABLE,
         ulps=750.0, why="inf/inf"),
    rule("exp_over_square_of_expm1", op.exp(X) / op.square(op.expm1(X)), op.reciprocal(op.expm1(X)) / -op.expm1(-X), STABLE, ulps=6.0,
         why="inf/inf"),
    rule("times_exp_over_square_of_expm1", (A * op.exp(X)) / op.square(op.expm1(X)), (A / op.expm1(X)) / -op.expm1(-X), STABLE, ulps=8.0,
         why="inf/inf"),
    rule("times_exp_over_expm1", (A * op.exp(X)) / op.expm1(X), A / -op.expm1(-X), STABLE, ulps=6.0, why="inf/inf"),
    rule("reciprocal_of_two_plus_exps", op.reciprocal((2 + op.exp(A)) + op.exp(B)), op.sech_squared(A * 0.5) * 0.25, STABLE, ulps=8.0,
         when=(opposite,), why="an identity of opposite arguments"),
    rule("logaddexp_less_largest", op.logaddexp(A, B) - op.maximum(A, B), lambda m: f.softplus(f.neg(f.abs(m.A - m.B))), STABLE, ulps=4.0,
         why="the largest cancels"),
    rule("over_exp", A / op.exp(X), A * op.exp(X * -0.5) * op.exp(X * -0.5), STABLE, ulps=6.0,
         why="inf/inf when differentiated; by halves, since A may be 0 where exp(-X) is inf"),
    rule("expm1_over_exp", op.expm1(X) * op.exp(-X), -op.expm1(-X), STABLE, ulps=4.0),
    rule("exps_of_one_weight", op.exp(A) * C + op.exp(B) * C, (op.exp(A) + op.exp(B)) * C, STABLE, ulps=4.0),
    rule("over_exps", A / P, _over_sum, STABLE, ulps=750.0, why="inf/inf, 0/0"),
    rule("reciprocal_of_exps", op.reciprocal(P), _over_sum, STABLE, ulps=750.0, why="the derivative is inf/inf"),
    rule("over_square_of_exps", A / op.square(P), _over_square, STABLE, ulps=750.0, why="inf/inf"),
    rule("reciprocal_of_square_of_exps", op.reciprocal(op.square(P)), _over_square, STABLE, ulps=750.0, why="the derivative is inf/inf"),
    rule("inverse_root_of_exps", op.rsqrt(P), _inverse_root, STABLE, ulps=750.0, why="the derivative is inf/inf"),
    rule("reciprocal_of_root_of_exps", op.reciprocal(op.sqrt(P)), _inverse_root, STABLE, ulps=750.0, why="the derivative is inf/inf"),
    rule("root_of_sigmoid", op.sqrt(op.sigmoid(X)), op.exp(op.log_sigmoid(X) * 0.5), STABLE, ulps=750.0, why="the derivative is 0/0"),
)
SATURATED = (
    rule("one_constant_plus", C + A * C, _common, STABLE, ulps=4.0),
    rule("one_constant_minus", C - A * C, _common, STABLE, ulps=4.0),
    rule("minus_one_constant", A * C - C, _common_less, STABLE, ulps=4.0),
    rule("sigmoids_of_opposites", op.sigmoid(A) - op.sigmoid(B), op.tanh(A * 0.5), STABLE, when=(opposite,), ulps=4.0,
         why="an identity of opposite arguments"),
    rule("multiples_of_sigmoids_of_opposites", X * op.sigmoid(A) - X * op.sigmoid(B), X * op.tanh(A * 0.5), STABLE, when=(opposite,),
         ulps=8.0, why="an identity of opposite arguments; of the second derivative of a sigmoid"),
    rule("product_of_opposite_sigmoids", op.sigmoid(A) * op.sigmoid(B), _density, STABLE, when=(opposite,), ulps=4.0, first=True,
         why="an identity of opposite arguments; two slopes would cancel"),
    rule("multiple_of_opposite_sigmoids", (X * op.sigmoid(A)) * op.sigmoid(B), lambda m: m.X * _density(m), STABLE, when=(opposite,),
         ulps=6.0, first=True, why="an identity of opposite arguments; two slopes would cancel"),
    rule("argument_plus_softplus", A + op.softplus(B), op.softplus(A), STABLE, when=(opposite,), why="an identity of opposite arguments"),
    rule("softplus_by_maximum", op.maximum(X, 0.0) + op.softplus(-op.abs(X)), op.softplus(X), STABLE,
         why="the slopes of the two kinks at 0 cancel"),
    rule("softplus_less_by_maximum", (op.maximum(X, 0.0) - A) + op.softplus(-op.abs(X)), op.softplus(X) - A, STABLE, scale=1.0,
         why="the slopes of the two kinks at 0 cancel"),
    rule("log_sigmoid_by_minimum", op.minimum(X, 0.0) - op.softplus(-op.abs(X)), op.log_sigmoid(X), STABLE,
         why="the slopes of the two kinks at 0 cancel"),
    rule("multiple_less_share", X - X * op.sigmoid(A), X * op.sigmoid(-A), STABLE, ulps=6.0),
    rule("share_less_multiple", X * op.sigmoid(A) - X, -(X * op.sigmoid(-A)), STABLE, ulps=6.0),
    rule("tanh_minus_one", op.tanh(X) - 1, op.sigmoid(X * -2) * -2, STABLE, ulps=4.0),
    rule("reciprocal_of_cosh", op.reciprocal(op.cosh(X)), _sech, STABLE, ulps=4.0, when=(whole,),
         why="the derivative is inf/inf; a bounded argument is in its own branch"),
    rule("root_of_sech_squared", op.sqrt(op.sech_squared(X)), op.reciprocal(op.cosh(X)), STABLE, ulps=8.0),
    rule("over_cosh", A / op.cosh(X), A * op.reciprocal(op.cosh(X)), STABLE, ulps=8.0, why="the derivative is inf/inf"),
    rule("log1p_minus_erf", op.log1p(-op.erf(X)), lambda m: log_erfc(m.X), STABLE, ulps=64.0, when=(whole,),
         why="erf rounds to 1; a bounded argument is in its own branch"),
    rule("log1p_of_erf", op.log1p(op.erf(X)), lambda m: log_erfc(f.neg(m.X)), STABLE, ulps=64.0, why="erf rounds to -1"),
    *(rule(f"log1p_minus_half_erfc{k}", op.log1p(half), lambda m: log_half_erfc(f.neg(m.X)), STABLE, ulps=64.0, when=when,
           why="erfc rounds to 2; a bounded argument is in its own branch")
      for k, half, when in (("", -(op.erfc(X) * 0.5), ()), ("_2", op.erfc(X) * -0.5, (whole,)))),
    *(rule(f"{name}s_of_one_weight_less", getattr(op, name)(A) * C - getattr(op, name)(B) * C,
           (getattr(op, name)(A) - getattr(op, name)(B)) * C, STABLE, ulps=8.0, why="the difference has a rule of its own")
      for name in ("erf", "erfc", "sigmoid", "tanh", "exp")),
    rule("log_of_sigmoid_difference", op.log(op.sigmoid(A) - op.sigmoid(B)), _log_of_sigmoids, STABLE, scale=1.0, ulps=64.0, inside=True,
         exceptions="infinities", excepted=np.isinf, why="both round to one number"),
    rule("log_of_tanh_difference", op.log(op.tanh(A) - op.tanh(B)), _log_of_tanhs, STABLE, scale=1.0, ulps=64.0, inside=True,
         exceptions="infinities", excepted=np.isinf, why="both round to one number"),
    rule("sigmoid_difference", op.sigmoid(A) - op.sigmoid(B), lambda m: _sigmoid_difference(m.A, m.B), STABLE, ulps=750.0, inside=True,
         last=True, why="both round to one number"),
    rule("tanh_difference", op.tanh(A) - op.tanh(B), lambda m: _sigmoid_difference(2.0 * m.A, 2.0 * m.B) * 2.0, STABLE, ulps=750.0,
         inside=True, last=True, why="both round to one number"),
    rule("log_sech_squared", op.log(op.sech_squared(X)), lambda m: log_cosh(m) * -2.0, STABLE, ulps=8.0, why="it underflows"),
)

RULES: tuple[Rule, ...] = (*LOGARITHMS, *OTHER_BASES, *EXPONENTIALS, *SATURATED)
