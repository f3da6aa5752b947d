"""Choices, truth values, comparisons and conversions."""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..pattern import op
from ..rule import Level, property_of, rule
from .variables import CONDITION, DTYPE, DTYPE_2, A, B, X, Y, finite, not_nan, positive

if TYPE_CHECKING:
    from ...ir import Node

EXACT, ROUNDING = Level.EXACT, Level.ROUNDING

CHOICES = (
    rule("where_true", op.where(True, A, B), A, EXACT),
    rule("where_false", op.where(False, A, B), B, EXACT),
    rule("where_same", op.where(CONDITION, X, X), X, EXACT),
    rule("where_not", op.where(op.not_(CONDITION), A, B), op.where(CONDITION, B, A), EXACT),
    rule("where_where_taken", op.where(CONDITION, op.where(CONDITION, A, X), B), op.where(CONDITION, A, B), EXACT),
    rule("where_where_other", op.where(CONDITION, A, op.where(CONDITION, X, B)), op.where(CONDITION, A, B), EXACT),
    rule("where_product_taken", op.where(CONDITION, op.where(CONDITION, A, X) * Y, B), op.where(CONDITION, A * Y, B), EXACT),
    rule("where_product_other", op.where(CONDITION, B, op.where(CONDITION, X, A) * Y), op.where(CONDITION, B, A * Y), EXACT),
    rule("add_of_two_branches", op.where(CONDITION, A, 0.0) + op.where(CONDITION, 0.0, B), op.where(CONDITION, A, B), ROUNDING,
         why="-0.0 + 0.0 is 0.0"),
    rule("where_minus_where", op.where(CONDITION, 0.0, A) - op.where(CONDITION, 0.0, B), op.where(CONDITION, 0.0, A - B), EXACT),
    rule("maximum_same", op.maximum(X, X), X, EXACT),
    rule("minimum_same", op.minimum(X, X), X, EXACT),
)

LOGIC = (
    rule("and_same", op.and_(X, X), X, EXACT),
    rule("or_same", op.or_(X, X), X, EXACT),
    rule("and_true", op.and_(X, True), X, EXACT),
    rule("and_false", op.and_(X, False), False, EXACT),
    rule("or_false", op.or_(X, False), X, EXACT),
    rule("or_true", op.or_(X, True), True, EXACT),
    rule("not_not", op.not_(op.not_(X)), X, EXACT),
    rule("eq_same", op.eq(X, X), True, EXACT, when=(not_nan(X),), why="nan is not equal to itself"),
    rule("isnan_never", op.isnan(X), False, EXACT, when=(not_nan(X),), why="the fact is what is asked"),
    rule("isfinite_always", op.isfinite(X), True, EXACT, when=(finite(X),), why="the fact is what is asked"),
    rule("sign_positive", op.sign(X), 1.0, EXACT, when=(positive(X),), why="sign(0) is 0, sign(nan) is nan"),
)


def _keeps(x: Node, dtype: str) -> bool:
    """Every value of x's dtype is a value of `dtype`."""
    wide = np.dtype(dtype)
    if wide.kind == "f" and x.dtype.kind in "iu":
        return 8 * x.dtype.itemsize - (x.dtype.kind == "i") <= np.finfo(wide).nmant + 1
    return bool(np.can_cast(x.dtype, wide, "safe"))


CONVERSIONS = (
    rule("cast_same", op.cast(X, dtype=DTYPE), lambda m: m.X if m.X.dtype.name == m.DTYPE else None, EXACT),
    rule("cast_cast", op.cast(op.cast(X, dtype=DTYPE), dtype=DTYPE_2), op.cast(X, dtype=DTYPE_2), EXACT,
         when=(property_of("is_exact_cast", _keeps, X, DTYPE),),
         why="a first cast that rounds or wraps is felt"),
)


RULES = (*CHOICES, *LOGIC, *CONVERSIONS)
