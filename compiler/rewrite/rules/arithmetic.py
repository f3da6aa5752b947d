"""Arithmetic: identities that hold for floats to the last bit, and powers.

Canonical orders that rules lead towards: `neg outward` (a negation is applied as late as possible, and vanishes in a
sum, in a difference or in a constant), `positive constants` (sums and differences hold no negative constant), `powers`
(a product of equal factors is a power, a quotient with one over it is a reciprocal).
"""
from __future__ import annotations

from ..pattern import op
from ..rule import Level, property_of, rule
from .variables import (
    WHOLE,
    A,
    B,
    C,
    D,
    X,
    finite,
    has_exact_product,
    has_exact_reciprocal,
    is_float,
    is_negative,
    nonnegative,
    nonzero,
    not_negative_zero,
    not_positive_zero,
    sign_clear,
)

EXACT, ROUNDING = Level.EXACT, Level.ROUNDING
OUTWARD, POSITIVE_CONSTANTS, POWERS = "neg outward", "positive constants", "powers"
a_float = property_of("is_float", is_float, X)
exact_reciprocal = property_of("has_exact_reciprocal", has_exact_reciprocal, C)
exact_product = property_of("has_exact_product", has_exact_product, C, D)
negative = property_of("is_negative", is_negative, C)

IDENTITIES = (
    rule("mul_one", X * 1.0, X, EXACT),
    rule("div_one", X / 1.0, X, EXACT),
    rule("sub_zero", X - 0.0, X, EXACT, why="also for -0.0, where x + 0.0 would change the sign"),
    rule("add_negative_zero", X + -0.0, X, EXACT),
    rule("add_zero", X + 0.0, X, EXACT, when=(not_negative_zero(X),), why="-0.0 + 0.0 is 0.0"),
    rule("neg_neg", op.neg(-X), X, EXACT),
    rule("mul_minus_one", X * -1.0, -X, EXACT),
    rule("div_minus_one", X / -1.0, -X, EXACT),
    rule("negative_zero_sub", -0.0 - X, -X, EXACT),
    rule("zero_sub", 0.0 - X, -X, EXACT, when=(not_positive_zero(X),), why="0.0 - 0.0 is 0.0, -(0.0) is -0.0"),
    rule("sub_self", X - X, 0.0, EXACT, when=(finite(X),), why="inf - inf and nan - nan are nan"),
    rule("div_self", X / X, 1.0, EXACT, when=(nonzero(X), finite(X)), why="0/0, inf/inf and nan/nan are nan"),
    rule("mul_zero", X * 0.0, 0.0, EXACT, when=(finite(X), not_negative_zero(WHOLE)),
         why="inf * 0 is nan; a negative x gives -0.0"),
    rule("add_self", X + X, X * 2.0, EXACT, order=POWERS, why="doubling is exact, and overflows where the sum does"),
    rule("mul_self", X * X, op.square(X), EXACT, when=(a_float,), order=POWERS),
    rule("one_over", 1.0 / X, op.reciprocal(X), EXACT, order=POWERS),
    rule("minus_one_over", -1.0 / X, -op.reciprocal(X), EXACT, order=POWERS),
    rule("div_power_of_two", X / C, X * (1.0 / C), EXACT, when=(exact_reciprocal,),
         why="only a power of two has an exact reciprocal"),
    rule("abs_neg", op.abs(-X), op.abs(X), EXACT),
    rule("abs_abs", op.abs(op.abs(X)), op.abs(X), EXACT),
    rule("abs_nonnegative", op.abs(X), X, EXACT, when=(sign_clear(X),), why="|x| is x only where the sign is clear"),
    rule("square_neg", op.square(-X), op.square(X), EXACT),
    rule("square_abs", op.square(op.abs(X)), op.square(X), EXACT),
    rule("cos_neg", op.cos(-X), op.cos(X), EXACT, why="even: DLMF 4.14.2"),
    rule("cosh_neg", op.cosh(-X), op.cosh(X), EXACT, why="even: DLMF 4.28.2"),
)

NEGATION = (
    rule("add_neg", A + -B, A - B, EXACT, why="IEEE 754 defines a - b as a + (-b)"),
    rule("sub_neg", A - -B, A + B, EXACT),
    rule("mul_neg", -A * B, -(A * B), EXACT, order=OUTWARD, why="the sign of a product is that of its factors"),
    rule("neg_div", -A / B, -(A / B), EXACT, order=OUTWARD),
    rule("div_neg", A / -B, -(A / B), EXACT, order=OUTWARD),
    rule("reciprocal_neg", op.reciprocal(-X), -op.reciprocal(X), EXACT, order=OUTWARD),
    rule("neg_mul_constant", -(X * C), X * -C, EXACT),
    rule("neg_div_constant", -(X / C), X / -C, EXACT),
    rule("neg_constant_div", -(C / X), -C / X, EXACT),
    rule("add_negative_constant", X + C, X - -C, EXACT, when=(negative,), order=POSITIVE_CONSTANTS,
         why="it would go back and forth for other constants"),
    rule("sub_negative_constant", X - C, X + -C, EXACT, when=(negative,), order=POSITIVE_CONSTANTS,
         why="it would go back and forth for other constants"),
    rule("add_negative_quotient", A + C / X, A - -C / X, EXACT, when=(negative,), order=POSITIVE_CONSTANTS,
         why="it would go back and forth for other constants"),
    rule("sub_negative_quotient", A - C / X, A + -C / X, EXACT, when=(negative,), order=POSITIVE_CONSTANTS,
         why="it would go back and forth for other constants"),
    rule("add_negative_multiple", A + X * C, A - X * -C, EXACT, when=(negative,), order=POSITIVE_CONSTANTS,
         why="it would go back and forth for other constants"),
    rule("sub_negative_multiple", A - X * C, A + X * -C, EXACT, when=(negative,), order=POSITIVE_CONSTANTS,
         why="it would go back and forth for other constants"),
)

MULTIPLES = (
    rule("mul_mul_constant", (X * C) * D, X * (C * D), ROUNDING, when=(exact_product,),
         why="one rounding instead of two; an inexact product of the constants, or one that overflows, adds an error"),
)

POWERS_OF = (
    rule("pow_zero", X ** 0.0, 1.0, EXACT, why="also for inf and nan (IEEE 754 pow)"),
    rule("pow_one", X ** 1.0, X, EXACT),
    rule("pow_two", X ** 2.0, op.square(X), ROUNDING, when=(a_float,), ulps=0.5),
    rule("pow_two_integer", X ** 2.0, X * X, EXACT, why="of integers: floats are squared by the rule before"),
    rule("pow_half", X ** 0.5, op.sqrt(X), ROUNDING, ulps=0.5,
         why="NumPy's ** operator takes the same path", exceptions="-inf gives nan, -0.0 gives -0.0",
         excepted=lambda x: x == float("-inf")),
    rule("pow_minus_half", X ** -0.5, op.rsqrt(X), ROUNDING, exceptions="-inf gives nan, -0.0 gives -inf",
         excepted=lambda x: (x == float("-inf")) | (x == 0)),
    rule("pow_minus_one", X ** -1.0, op.reciprocal(X), ROUNDING, when=(a_float,), ulps=0.5),
    rule("pow_minus_two", X ** -2.0, op.reciprocal(op.square(X)), ROUNDING, when=(a_float,), ulps=4.0,
         why="the square is subnormal only where the result is within 4 ulp of overflow"),
    rule("pow_three", X ** 3.0, op.square(X) * X, ROUNDING, when=(a_float,), last=True),
    rule("pow_four", X ** 4.0, op.square(op.square(X)), ROUNDING, when=(a_float,), last=True),
)

INVERSES = (
    rule("square_sqrt", op.square(op.sqrt(X)), X, ROUNDING, when=(nonnegative(X),), ulps=0.5,
         why="the root of a negative number is nan"),
    rule("exp_log", op.exp(op.log(X)), X, ROUNDING, when=(nonnegative(X),), ulps=0.5,
         why="the logarithm of a negative number is nan"),
)

RULES = (*IDENTITIES, *NEGATION, *MULTIPLES, *POWERS_OF, *INVERSES)
