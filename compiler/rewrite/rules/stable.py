"""Stabilising rules: naive formulas of exponentials, logarithms and norms, right where they overflow or cancel.

Each is also right after differentiation, so what a rule makes is built of ops that are smooth where the formula is, or
is chosen by `where`, whose branches do not disturb each other's derivatives.

Sources: Blanchard, Higham & Higham, "Accurately computing the log-sum-exp and softmax functions", IMA J. Numer. Anal.
2021; Maechler, "Accurately computing log(1 - exp(-|a|))", 2012; Hamming, "Numerical Methods", 1987, chapter 3.
"""
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ...build import highest, logsumexp, shift_by, softmax
from ...ir import Node, constant, f
from ...ops.reduction import expand_back
from ..pattern import Match, op
from ..rule import Level, Rule, property_of, rule
from . import forms
from .variables import AXES, AXES_2, LOG_2, A, B, C, D, P, X, Y, Z, opposite
from .weighted import limited

STABLE, ROUNDING = Level.STABLE, Level.ROUNDING
unshifted = property_of("is_not_shifted", lambda x: not forms.is_shifted(x), X)
unclipped = property_of("is_not_clipped", lambda x: not forms.is_clipped(x), X)
positive_number = property_of("is_positive_number", lambda c: c.value > 0 and np.isfinite(c.value), C)
sum_of_exps = property_of("is_sum_of_exps", forms.is_sum_of_exps, P)
unshifted_exps = property_of("is_unshifted_sum_of_exps", forms.is_unshifted_sum_of_exps, P)


def _over_the_same_axes(m: Match) -> bool:
    kept = tuple(k for k in range(m.X.ndim) if k not in m.AXES)
    return bool(kept == m.AXES_2)


# ------------------------------------------------------------------------------------------------ logarithms
def _softmax(m: Match) -> Node | None:
    return softmax(m.X, m.AXES) if _over_the_same_axes(m) else None


def _log_softmax(m: Match) -> Node | None:
    return m.X - expand_back(f.log(f.sum(f.exp(m.X), axes=m.AXES)), m.X, m.AXES) if _over_the_same_axes(m) else None


def weighted_logsumexp(weight: Node, x: Node, axes: tuple[int, ...]) -> Node:
    """Shifted by the largest exponent whose weight is not zero; the others must not overflow, since 0 * inf is nan."""
    counted = f.where(f.ne(weight, 0.0), x, -np.inf)
    top = f.stop_gradient(highest(counted, axes))
    shifted = limited(x - expand_back(shift_by(top), x, axes))
    return f.log(f.sum(weight * f.exp(shifted), axes=axes)) + top  # also where that is infinite


def _largest(node: Node) -> Node:
    """The largest exponent in a sum of exponentials."""
    if node.op.name == "add":
        return f.maximum(_largest(node.inputs[0]), _largest(node.inputs[1]))
    if node.op.name == "sum":
        return highest(_largest(node.inputs[0]), node.param("axes"))
    return _largest(node.inputs[0]) if node.op.name == "mul" else node.inputs[0]


def _shifted_sum(node: Node, shift: Node) -> Node:
    """A sum of exponentials with every exponent lowered by `shift`."""
    if node.op.name == "add":
        return _shifted_sum(node.inputs[0], shift) + _shifted_sum(node.inputs[1], shift)
    if node.op.name == "sum":
        term, axes = node.inputs[0], node.param("axes")
        return f.sum(_shifted_sum(term, expand_back(shift, term, axes)), axes=axes)
    if node.op.name == "mul":
        return _shifted_sum(node.inputs[0], shift) * node.inputs[1]
    return f.exp(node.inputs[0] - shift)


def _shifted_logarithm(total: Node, scaled: Callable[[Node], Node]) -> Node:
    """log(scaled(total)), the scale kept inside: outside it would cancel against the logarithm of the sum."""
    top = f.stop_gradient(_largest(total))
    shift = f.where(f.isfinite(top), top, 0.0)
    return f.log(scaled(_shifted_sum(total, shift))) + shift


def log1mexp(x: Node) -> Node:
    """log(1 - exp(x)), x < 0: by expm1 near zero, by log1p far from it."""
    near = f.gt(x, -LOG_2)
    return f.where(near, f.log(-f.expm1(f.where(near, x, -0.5))), f.log1p(-f.exp(f.where(near, -1.0, x))))


def _log_expm1(m: Match) -> Node:
    """log(exp(x) - 1), x > 0: x + log(1 - exp(-x)) far from zero."""
    far = f.gt(m.X, 1.0)
    x = f.where(far, m.X, 1.0)
    return f.where(far, x + f.log1p(-f.exp(-x)), f.log(f.expm1(f.where(far, 1.0, m.X))))


def log_cosh(m: Match) -> Node:
    """log1p(2 sinh(x/2)**2) near zero; |x| + log(1 + exp(-2|x|)) - log 2 far from it, where |x| has no kink."""
    near = f.lt(f.abs(m.X), 1.0)
    small, size = f.where(near, m.X, 0.0), f.abs(m.X)
    return f.where(near, f.log1p(2.0 * f.square(f.sinh(0.5 * small))), size + f.softplus(-2.0 * size) - LOG_2)


def _log_inside(m: Match) -> Node:
    """The logarithm before the elements are picked, so that it meets the quotient."""
    picked = m.WHOLE.inputs[0]
    return getattr(f, picked.op.name)(f.log(m.P), *picked.inputs[1:], **picked.named_params)  # type: ignore[no-any-return]


def _log_quotient_of_exps(m: Match) -> Node | None:
    """log(exp(a)/(exp(a) + others)) = log_sigmoid(a - log(others))."""
    others = forms.without_term(m.P, m.WHOLE.inputs[0].inputs[0]) if forms.is_sum_of_exps(m.P) else None
    return None if others is None else f.log_sigmoid(m.A - f.log(others))


def _log_of_two(m: Match) -> Node:
    """Shifted by the larger exponent whose weight is not zero."""
    counted = (f.where(f.ne(w, 0.0), x, -np.inf) for w, x in ((m.A, m.X), (m.B, m.Y)))
    top = f.stop_gradient(f.maximum(*counted))
    shift = f.where(f.isfinite(top), top, 0.0)
    bound = f.where(f.eq(top, np.inf), constant(np.inf, m.X.dtype, top.shape), 0.5 * math.log(np.finfo(m.X.dtype).max))
    return f.log(f.add(*(w * f.exp(f.minimum(x - shift, bound)) for w, x in ((m.A, m.X), (m.B, m.Y))))) + shift


is_softmax = property_of("is_softmax", forms.is_softmax, P, gain=True)
LOGARITHMS = (
    rule("log_one_plus", op.log(1 + X), op.log1p(X), STABLE, why="1 + x loses x where |x| << 1"),
    rule("log_one_minus", op.log(1 - X), op.log1p(-X), STABLE, why="1 - x loses x where |x| << 1"),
    rule("log1p_exp", op.log1p(op.exp(X)), op.softplus(X), STABLE, why="exp(x) overflows"),
    rule("log_exp_plus_exp", op.log(op.exp(A) + op.exp(B)), op.logaddexp(A, B), STABLE),
    rule("log_exp_plus_constant", op.log(op.exp(A) + C), op.logaddexp(A, op.log(C)), STABLE, scale=1.0,
         when=(positive_number,),
         why="the logarithm of a negative constant is nan"),
    rule("log_exp_plus_exps", op.log(op.exp(A) + P), op.logaddexp(A, op.log(P)), STABLE, scale=1.0, when=(sum_of_exps,),
         why="any other sum may be negative, and gains nothing"),
    rule("logaddexp_zero", op.logaddexp(X, 0.0), op.softplus(X), ROUNDING),
    rule("logsumexp", op.log(op.sum(op.exp(X), axes=AXES)), lambda m: logsumexp(m.X, m.AXES), STABLE,
         when=(unshifted,), why="its derivative is softmax; what is shifted already would be shifted without end"),
    rule("logsumexp_weighted", op.log(op.sum(B * op.exp(X), axes=AXES)), lambda m: weighted_logsumexp(m.B, m.X, m.AXES), STABLE,
         when=(unshifted,), why="what is shifted already would be shifted without end"),
    rule("log_of_two_weighted_exps", op.log(A * op.exp(X) + B * op.exp(Y)), _log_of_two, STABLE, scale=1.0, ulps=64.0,
         when=(unshifted,), why="what is shifted already would be shifted without end",
         exceptions="weights of extreme size", excepted=lambda a: (abs(a) > 1e30) | (abs(a) < 1e-30)),
    rule("log_softmax_of_few", op.log(op.exp(A) / P), _log_quotient_of_exps, STABLE, why="of a sum of exponentials"),
    rule("log_scaled_exps", op.log(P / B), lambda m: _shifted_logarithm(m.P, lambda total: total / m.B), STABLE,
         scale=1.0, when=(unshifted_exps,), why="what is shifted already would be shifted without end"),
    rule("log_multiple_of_exps", op.log(P * C), lambda m: _shifted_logarithm(m.P, lambda total: total * m.C), STABLE,
         scale=1.0, when=(unshifted_exps,), why="what is shifted already would be shifted without end"),
    rule("softmax", op.exp(X) / op.expand(op.sum(op.exp(X), axes=AXES), axes=AXES_2), _softmax, STABLE,
         when=(unshifted,), why="what is shifted already would be shifted without end"),
    rule("log_softmax", op.log(op.exp(X) / op.expand(op.sum(op.exp(X), axes=AXES), axes=AXES_2)), _log_softmax, STABLE),
    rule("log_scaled_exp", op.log(op.exp(A) / B), A - op.log(B), STABLE, scale=1.0, why="a density far in its tail underflows",
         excepted=np.isinf,
         exceptions="infinities: log(-0.0) is -inf, and the logarithm of a negative divisor is not"),
    rule("log_multiple_of_exp", op.log(op.exp(A) * B), A + op.log(B), STABLE, scale=1.0, why="a density far in its tail underflows"),
    *(rule(f"log_{pick}_softmax", op.log(pattern), _log_inside, STABLE, when=(is_softmax,),
           why="log(softmax(x)[labels]); elsewhere more logarithms would be taken")
      for pick, pattern in (("gather", op.gather(P, A)), ("gather_2", op.gather(P, A, B)), ("slice", op.slice(P)))),
    rule("log_of_sigmoid", op.log(op.sigmoid(X)), op.log_sigmoid(X), STABLE),
    rule("log1p_minus_sigmoid", op.log1p(-op.sigmoid(X)), op.log_sigmoid(-X), STABLE),
    rule("log_minus_expm1", op.log(-op.expm1(X)), lambda m: log1mexp(m.X), STABLE, when=(unclipped,), source="Maechler 2012",
         why="a bounded argument is already in its own branch"),
    rule("log1p_minus_exp", op.log1p(-op.exp(X)), lambda m: log1mexp(m.X), STABLE, when=(unclipped,), source="Maechler 2012",
         why="a bounded argument is already in its own branch"),
    rule("log_expm1", op.log(op.expm1(X)), _log_expm1, STABLE, when=(unclipped,),
         why="a bounded argument is in its own branch"),
    rule("log_cosh", op.log(op.cosh(X)), log_cosh, STABLE, ulps=8.0),
    rule("arctanh_by_log", op.log((1 + X) / (1 - X)), 2 * op.arctanh(X), STABLE, source="DLMF 4.37.24"),
    rule("minus_arctanh_by_log", op.log((1 - X) / (1 + X)), -2 * op.arctanh(X), STABLE, source="DLMF 4.37.24"),
    rule("arcsinh_by_log", op.log(X + op.sqrt(op.square(X) + 1)), op.arcsinh(X), STABLE, source="DLMF 4.37.16"),
    rule("arccosh_by_log", op.log(X + op.sqrt(op.square(X) - 1)), op.arccosh(X), STABLE, source="DLMF 4.37.19"),
)

# ------------------------------------------------------------------------------------------------ exponentials
EXPONENTIALS = (
    rule("exp_minus_one", op.exp(X) - 1, op.expm1(X), STABLE),
    rule("one_minus_exp", 1 - op.exp(X), -op.expm1(X), STABLE),
    rule("exp_over_expm1", op.exp(X) / op.expm1(X), op.reciprocal(-op.expm1(-X)), STABLE, ulps=4.0),
    rule("over_expm1_times_exp", (A / op.expm1(X)) * op.exp(X), A / -op.expm1(-X), STABLE, ulps=4.0),
    rule("scaled_over_expm1_times_exp", (B * (A / op.expm1(X))) * op.exp(X), B * (A / -op.expm1(-X)), STABLE, ulps=6.0),
    rule("over_square_expm1_times_exp", (A * op.square(op.reciprocal(op.expm1(X)))) * op.exp(X),
         (A / op.expm1(X)) / -op.expm1(-X), STABLE, ulps=10.0),
    rule("square_over_expm1_times_exp", op.square(op.reciprocal(op.expm1(X))) * op.exp(X),
         op.reciprocal(op.expm1(X)) / -op.expm1(-X), STABLE, ulps=6.0),
    rule("sigmoid_by_reciprocal", op.reciprocal(1 + op.exp(X)), op.sigmoid(-X), STABLE, ulps=4.0),
    rule("sigmoid_by_quotient", op.exp(X) / (1 + op.exp(X)), op.sigmoid(X), STABLE, ulps=4.0),
    rule("sigmoid_of_difference", op.exp(A) / (op.exp(A) + op.exp(B)), op.sigmoid(A - B), STABLE, ulps=750.0,
         why="half an ulp of a - b, which is at most 745, where the quotient neither overflows nor underflows"),
    rule("logistic_density", op.exp(X) / op.square(1 + op.exp(X)), op.sigmoid(X) * op.sigmoid(-X), STABLE, ulps=6.0),
    rule("tanh_by_expm1", op.expm1(X) / (1 + op.exp(X)), op.tanh(X * 0.5), STABLE, ulps=4.0),
    rule("over_one_plus_exp", A / (1 + op.exp(X)), A * op.sigmoid(-X), STABLE, ulps=4.0),
    rule("one_minus_sigmoid", 1 - op.sigmoid(X), op.sigmoid(-X), STABLE, ulps=4.0),
    rule("sigmoid_minus_one", op.sigmoid(X) - 1, -op.sigmoid(-X), STABLE, ulps=4.0),
    rule("two_sigmoid_minus_one", op.sigmoid(X) * 2 - 1, op.tanh(X * 0.5), STABLE),
    rule("softplus_minus_argument", op.softplus(X) - X, op.softplus(-X), STABLE),
    rule("argument_minus_softplus", X - op.softplus(X), op.log_sigmoid(X), STABLE),
    rule("sinh_by_exp", op.exp(A) - op.exp(B), op.sinh(A) * 2, STABLE, when=(opposite,), ulps=4.0,
         why="an identity of opposite exponents"),
    rule("cosh_by_exp", (op.exp(A) + op.exp(B)) * 0.5, op.cosh(A), STABLE, when=(opposite,), ulps=4.0,
         why="an identity of opposite exponents"),
    rule("tanh_by_exp", (op.sinh(A) * 2) / (op.exp(A) + op.exp(B)), op.tanh(A), STABLE, when=(opposite,), ulps=4.0,
         why="an identity of opposite exponents"),
    rule("tanh_by_hyperbolic", op.sinh(X) / op.cosh(X), op.tanh(X), STABLE, ulps=4.0),
    rule("exps_minus_two", (op.exp(A) - 2) + op.exp(B), op.square(op.sinh(A * 0.5)) * 4, STABLE, ulps=6.0,
         when=(opposite,), why="an identity of opposite exponents"),
    rule("sum_of_exps_minus_two", (op.exp(A) + op.exp(B)) - 2, op.square(op.sinh(A * 0.5)) * 4, STABLE,
         ulps=6.0, when=(opposite,), why="an identity of opposite exponents"),
    rule("cosh_minus_one", op.cosh(X) - 1, op.square(op.sinh(X * 0.5)) * 2, STABLE, ulps=6.0),
    rule("one_minus_tanh_squared", 1 - op.square(op.tanh(X)), op.sech_squared(X), STABLE, ulps=8.0),
    rule("square_over_cosh", op.reciprocal(op.square(op.cosh(X))), op.sech_squared(X), STABLE, ulps=8.0,
         why="inf * 0 when differentiated"),
    rule("one_minus_tanh", 1 - op.tanh(X), op.sigmoid(X * -2) * 2, STABLE, ulps=4.0),
    rule("one_plus_tanh", 1 + op.tanh(X), op.sigmoid(X * 2) * 2, STABLE, ulps=4.0),
    rule("one_minus_erf", 1 - op.erf(X), op.erfc(X), STABLE, ulps=8.0),
    rule("one_plus_erf", 1 + op.erf(X), op.erfc(-X), STABLE, ulps=8.0),
    rule("one_minus_erfc", 1 - op.erfc(X), op.erf(X), STABLE, ulps=8.0),
)

# ------------------------------------------------------------------------------------------------ differences
DIFFERENCES = (
    rule("one_minus_cos", 1 - op.cos(X), op.square(op.sin(X * 0.5)) * 2, STABLE, ulps=4.0),
    rule("cos_minus_one", op.cos(X) - 1, op.square(op.sin(X * 0.5)) * -2, STABLE, ulps=4.0),
    rule("one_minus_cos_squared", 1 - op.square(op.cos(X)), op.square(op.sin(X)), STABLE, ulps=4.0),
    rule("one_minus_sin_squared", 1 - op.square(op.sin(X)), op.square(op.cos(X)), STABLE, ulps=4.0),
    rule("tan_of_half", (op.square(op.sin(X * 0.5)) * 2) / op.sin(X), op.tan(X * 0.5), STABLE, ulps=4.0),
)


# ------------------------------------------------------------------------------------------------ norms and x log x
def _norm(m: Match) -> Node:
    """The root, with gradient 0 at zero: the subgradient of least norm."""
    at_zero = f.eq(m.P, 0.0)
    return f.where(at_zero, 0.0, f.sqrt(f.where(at_zero, 1.0, m.P)))


def _root_of_multiple(m: Match) -> Node | None:
    return f.abs(m.X) * math.sqrt(m.C.value) if 0 < m.C.value < math.inf else None


def _is_moderate(c: Node) -> bool:
    return bool(2.0**-20 <= c.value <= 2.0**20)


def _hypot_of_multiples(m: Match) -> Node | None:
    if not all(_is_moderate(m[name]) for name in "CD" if name in m):
        return None
    x = m.X * math.sqrt(m.C.value) if "C" in m else m.X
    return f.hypot(x, m.Y * math.sqrt(m.D.value))


def _scaled_hypot(m: Match, scaled: Callable[[Node, float], Node]) -> Node | None:
    return scaled(f.hypot(m.X, m.Y), math.sqrt(m.C.value)) if _is_moderate(m.C) else None


def _x_log_x(m: Match) -> Node:
    """0 at 0, by continuity, with gradient 0 there."""
    at_zero = f.eq(m.X, 0.0)
    return f.where(at_zero, 0.0, m.X * f.log(f.where(at_zero, 1.0, m.X)))


NORMS = (
    rule("abs_by_sqrt", op.sqrt(op.square(X)), op.abs(X), STABLE),
    rule("abs_by_sqrt_of_multiple", op.sqrt(op.square(X) * C), _root_of_multiple, STABLE, why="the square underflows"),
    rule("hypot_by_sqrt", op.sqrt(op.square(X) + op.square(Y)), op.hypot(X, Y), STABLE),
    rule("hypot_of_multiples", op.sqrt(op.square(X) * C + op.square(Y) * D), _hypot_of_multiples, STABLE, ulps=4.0),
    rule("hypot_of_multiple", op.sqrt(op.square(X) + op.square(Y) * D), _hypot_of_multiples, STABLE, ulps=4.0),
    rule("multiple_of_hypot", op.sqrt((op.square(X) + op.square(Y)) * C), lambda m: _scaled_hypot(m, f.mul), STABLE, ulps=4.0),
    rule("part_of_hypot", op.sqrt((op.square(X) + op.square(Y)) / C), lambda m: _scaled_hypot(m, f.div), STABLE, ulps=4.0),
    rule("hypot_of_three", op.sqrt((op.square(X) + op.square(Y)) + op.square(Z)), op.hypot(op.hypot(X, Y), Z), STABLE, ulps=4.0),
    rule("log_of_two_squares", op.log(op.square(X) + op.square(Y)), op.log(op.hypot(X, Y)) * 2, STABLE, scale=1.0,
         why="the squares overflow"),
    rule("log_of_three_squares", op.log((op.square(X) + op.square(Y)) + op.square(Z)), op.log(op.hypot(op.hypot(X, Y), Z)) * 2, STABLE,
         scale=1.0, ulps=4.0, why="the squares overflow"),
    rule("norm", op.sqrt(P), _norm, STABLE, when=(property_of("is_sum_of_squares", forms.is_sum_of_squares, P),),
         why="of anything else the root at zero is a kink that the user wrote"),
    rule("x_log_x", X * op.log(X), _x_log_x, STABLE),
)

RULES: tuple[Rule, ...] = (*LOGARITHMS, *EXPONENTIALS, *DIFFERENCES, *NORMS)
