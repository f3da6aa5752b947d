"""The variables that rules are written with, and the conditions that several families share."""
from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..pattern import Constant, Parameter, Variable
from ..rule import fact, property_of

if TYPE_CHECKING:
    from ...ir import Node

LOG_2 = math.log(2.0)
A, B, P, X, Y, Z = (Variable(name) for name in "ABPXYZ")
C, D = Constant("C"), Constant("D")
WHOLE, CONDITION = Variable("WHOLE"), Variable("CONDITION")
AXES, AXES_2, DTYPE, DTYPE_2, LEFT, ORDER, ORDER_2, OUT, RIGHT, ROLES, ROLES_2, SHAPE, START, STEP = (Parameter(name) for name in (
    "AXES", "AXES_2", "DTYPE", "DTYPE_2", "LEFT", "ORDER", "ORDER_2", "OUT", "RIGHT", "ROLES", "ROLES_2", "SHAPE", "START", "STEP"))

finite, nonzero, positive, nonnegative = fact("finite"), fact("nonzero"), fact("positive"), fact("nonnegative")
not_nan, sign_clear = fact("not_nan"), fact("sign_clear")
not_negative_zero, not_positive_zero = fact("not_negative_zero"), fact("not_positive_zero")


def is_float(node: Node) -> bool:
    """Of a floating dtype."""
    return node.dtype.kind == "f"


def is_negative(node: Node) -> bool:
    """A float constant with its sign bit set, or an integer below zero that can be negated."""
    if node.dtype.kind == "f":
        return bool(np.signbit(node.value)) and not np.isnan(node.value)
    return node.dtype.kind == "i" and bool(node.value < 0) and bool(node.value != np.iinfo(node.dtype).min)


def _is_normal(value: Any, dtype: np.dtype[Any]) -> bool:
    return bool(np.isfinite(value) and abs(value) >= np.finfo(dtype).tiny)


def has_exact_reciprocal(node: Node) -> bool:
    """A power of two of either sign whose reciprocal is one as well."""
    value = node.value
    return is_float(node) and _is_normal(value, node.dtype) and abs(math.frexp(value)[0]) == 0.5 and _is_normal(
        1 / value, node.dtype)


def has_exact_product(left: Node, right: Node) -> bool:
    """The product of two constants is a normal number, without rounding."""
    if not is_float(left):
        return True
    if not (_is_normal(left.value, left.dtype) and _is_normal(right.value, right.dtype)):
        return False
    with np.errstate(all="ignore"):
        product = left.value * right.value
    exact = Fraction(float(left.value)) * Fraction(float(right.value))
    return _is_normal(product, left.dtype) and exact == Fraction(float(product))


def are_opposite(left: Node, right: Node) -> bool:
    """`right` is `-left`, by its form."""
    for a, b in ((left, right), (right, left)):
        if a.op.name == "neg" and a.inputs[0] is b:
            return True
    if left.op is not right.op or len(left.inputs) != 2:
        return False
    if left.op.name == "sub":
        return left.inputs[0] is right.inputs[1] and left.inputs[1] is right.inputs[0]
    if left.op.name in ("mul", "div"):
        (x, c), (y, d) = (sorted(n.inputs, key=lambda i: i.op.name == "const") for n in (left, right))
        at_same_place = left.op.name == "mul" or (left.inputs[0] is x) == (right.inputs[0] is y)
        return x is y and at_same_place and c.op.name == d.op.name == "const" and bool(c.value == -d.value)
    return False


def beyond_products(a: Any, room: float = 1.0) -> bool:
    """A float so large that its square, times the square of `room`, overflows."""
    return np.asarray(a).dtype.kind == "f" and bool(abs(a) > math.sqrt(np.finfo(np.asarray(a).dtype).max) / room)


opposite = property_of("are_opposite", are_opposite, A, B)
varies = property_of("varies", lambda p: p.op.name != "const", P, gain=True)
