"""Algebra over the reals: what a person would do on paper. For formulas, and for code under `fastmath`.

Each of these changes some float: a sign of zero, an overflow, a rounding error without bound, a nan outside the domain.
Where the domain is not every number for which the old side is defined, `why` states it.
"""
from __future__ import annotations

from ..pattern import op
from ..rule import Level, rule
from .variables import A, B, C, D, X, Y

REAL = Level.REAL

CANCELLATION = (
    rule("real_add_zero", X + 0.0, X, REAL),
    rule("real_zero_sub", 0.0 - X, -X, REAL),
    rule("real_sub_self", X - X, 0.0, REAL),
    rule("real_div_self", X / X, 1.0, REAL),
    rule("real_mul_zero", X * 0.0, 0.0, REAL),
    rule("real_zero_div", 0.0 / X, 0.0, REAL),
    rule("real_neg_sub", -(A - B), B - A, REAL),
    rule("real_sub_neg_left", -A - B, -(A + B), REAL, order="neg outward"),
    rule("real_add_sub_cancel", (X + Y) - Y, X, REAL),
    rule("real_sub_add_cancel", (X - Y) + Y, X, REAL),
    rule("real_sub_sum_cancel", Y - (X + Y), -X, REAL),
    rule("real_sub_difference_cancel", X - (X - Y), Y, REAL),
    rule("real_mul_div_cancel", (X * Y) / Y, X, REAL),
    rule("real_div_mul_cancel", (X / Y) * Y, X, REAL),
    rule("real_div_product_cancel", Y / (X * Y), op.reciprocal(X), REAL),
    rule("real_mul_reciprocal_self", X * op.reciprocal(X), 1.0, REAL),
)

COLLECTION = (
    rule("real_mul_mul_constant", (X * C) * D, X * (C * D), REAL),
    rule("real_add_add_constant", (X + C) + D, X + (C + D), REAL),
    rule("real_sub_add_constant", (X - C) + D, X + (D - C), REAL),
    rule("real_add_sub_constant", (X + C) - D, X + (C - D), REAL),
    rule("real_sub_sub_constant", (X - C) - D, X - (C + D), REAL),
    rule("real_div_div_constant", (X / C) / D, X / (C * D), REAL),
    rule("real_mul_div_constant", (X * C) / D, X * (C / D), REAL),
    rule("real_add_multiple_of_self", X + X * C, X * (1.0 + C), REAL),
    rule("real_sub_multiple_of_self", X - X * C, X * (1.0 - C), REAL),
    rule("real_multiple_of_self_sub", X * C - X, X * (C - 1.0), REAL),
    rule("real_add_multiples", X * C + X * D, X * (C + D), REAL),
    rule("real_sub_multiples", X * C - X * D, X * (C - D), REAL),
    rule("real_add_common_factor", A * X + B * X, (A + B) * X, REAL),
    rule("real_sub_common_factor", A * X - B * X, (A - B) * X, REAL),
    rule("real_add_factor_itself", A * X + X, (A + 1.0) * X, REAL, order="common factors outside"),
    rule("real_add_common_divisor", A / X + B / X, (A + B) / X, REAL),
    rule("real_sub_common_divisor", A / X - B / X, (A - B) / X, REAL),
    rule("real_mul_reciprocal", A * op.reciprocal(B), A / B, REAL),
    rule("real_div_reciprocal", A / op.reciprocal(B), A * B, REAL),
    rule("real_div_quotient", A / (B / X), (A * X) / B, REAL),
    rule("real_quotient_div", (A / B) / X, A / (B * X), REAL),
    rule("real_reciprocal_reciprocal", op.reciprocal(op.reciprocal(X)), X, REAL),
    rule("real_reciprocal_div", op.reciprocal(A / B), B / A, REAL),
)

INVERSES = (
    rule("real_exp_log", op.exp(op.log(X)), X, REAL, why="x > 0"),
    rule("real_log_exp", op.log(op.exp(X)), X, REAL),
    rule("real_expm1_log1p", op.expm1(op.log1p(X)), X, REAL, why="x > -1"),
    rule("real_log1p_expm1", op.log1p(op.expm1(X)), X, REAL),
    rule("real_square_sqrt", op.square(op.sqrt(X)), X, REAL, why="x >= 0"),
    rule("real_square_rsqrt", op.square(op.rsqrt(X)), op.reciprocal(X), REAL, why="x > 0"),
    rule("real_tanh_arctanh", op.tanh(op.arctanh(X)), X, REAL, why="|x| < 1"),
    rule("real_sin_arcsin", op.sin(op.arcsin(X)), X, REAL, why="|x| <= 1"),
    rule("real_cos_arccos", op.cos(op.arccos(X)), X, REAL, why="|x| <= 1"),
    rule("real_tan_arctan", op.tan(op.arctan(X)), X, REAL),
    rule("real_sinh_arcsinh", op.sinh(op.arcsinh(X)), X, REAL),
    rule("real_arcsinh_sinh", op.arcsinh(op.sinh(X)), X, REAL),
    rule("real_arctanh_tanh", op.arctanh(op.tanh(X)), X, REAL),
)

FUNCTIONS = (
    rule("real_exp_mul_exp", op.exp(A) * op.exp(B), op.exp(A + B), REAL),
    rule("real_exp_div_exp", op.exp(A) / op.exp(B), op.exp(A - B), REAL),
    rule("real_reciprocal_exp", op.reciprocal(op.exp(A)), op.exp(-A), REAL),
    rule("real_div_exp", B / op.exp(A), B * op.exp(-A), REAL),
    rule("real_square_exp", op.square(op.exp(A)), op.exp(A * 2.0), REAL, order="one exponential"),
    rule("real_log_add_log", op.log(A) + op.log(B), op.log(A * B), REAL, why="a, b > 0"),
    rule("real_log_sub_log", op.log(A) - op.log(B), op.log(A / B), REAL, why="a, b > 0"),
    rule("real_sqrt_mul_sqrt", op.sqrt(A) * op.sqrt(B), op.sqrt(A * B), REAL, why="a, b >= 0"),
    rule("real_self_div_sqrt", X / op.sqrt(X), op.sqrt(X), REAL, why="x > 0"),
    rule("real_reciprocal_sqrt", op.reciprocal(op.sqrt(X)), op.rsqrt(X), REAL),
    rule("real_square_times_self_quotient", op.square(X) / X, X, REAL),
    rule("real_self_over_square", X / op.square(X), op.reciprocal(X), REAL),
    rule("real_sin2_cos2", op.square(op.sin(X)) + op.square(op.cos(X)), 1.0, REAL, source="DLMF 4.21.12"),
    rule("real_cosh2_sinh2", op.square(op.cosh(X)) - op.square(op.sinh(X)), 1.0, REAL, source="DLMF 4.35.11"),
    rule("real_sin_over_cos", op.sin(X) / op.cos(X), op.tan(X), REAL),
    rule("real_where_greater", op.where(op.gt(X, Y), X, Y), op.maximum(X, Y), REAL, why="nan is chosen differently"),
    rule("real_where_less", op.where(op.lt(X, Y), X, Y), op.minimum(X, Y), REAL, why="nan is chosen differently"),
    rule("real_not_less", op.not_(op.lt(X, Y)), op.ge(X, Y), REAL, why="nan is neither"),
    rule("real_not_greater", op.not_(op.gt(X, Y)), op.le(X, Y), REAL, why="nan is neither"),
)

RULES = (*CANCELLATION, *COLLECTION, *INVERSES, *FUNCTIONS)
