"""Sums of products of arguments, with what their operations round away added at the end.

`a*d - b*c`, `b*b - 4*a*c`, `x*x - 2*x*y + y*y` or a sum of squares less the square of a sum lose all their digits where their terms
cancel, although arguments are exact. Where a polynomial of arguments is homogeneous (all terms are of one degree, 2 or more, as those
of a quantity with a unit are) and nothing proves that its terms have one sign, the errors of its products and sums are computed
exactly, carried to first order, and added: the result is as good as one of twice the digits, rounded.

Squares and higher powers of an argument, or of the quotient of two, are corrected beside a number or another power as well where
the sum is 0 somewhere: 1 - x**2, (a/b)**2 - 1, x**3 - x; and so are they in log1p(-x**2). Other polynomials are left, since their
terms cancel at single points only. What is rounded before (functions, other quotients) is as well: its error is larger. Sources:
Dekker 1971; Kahan's difference of products; Ogita, Rump & Oishi, "Accurate sum and dot product", 2005; Langlois, "Automatic linear
correction of rounding errors", 2001.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

from ..ir import Node, current, f, rebuild, toposort
from .engine import Step
from .facts import Fact, Facts
from .pattern import AnyOf
from .rule import Level, rule
from .rules.forms import is_given

__all__ = ["COMPENSATION", "compensate", "is_power_and_number"]

LARGEST = 64  # nodes of a polynomial, shared ones counted as often as they are used
COMPENSATION = rule("compensated", AnyOf("elementwise", "", "a homogeneous polynomial of arguments"), lambda m: None, Level.STABLE,
                    why="what its operations round away is computed exactly, and added")
SUMS = ("add", "sub")
PARTS = ("add", "sub", "mul", "div", "square", "neg")


def compensate(outputs: Sequence[Node]) -> tuple[list[Node], list[Step]]:
    """The outputs with homogeneous polynomials of arguments corrected, and what was corrected."""
    order = toposort(outputs)
    degrees: dict[Node, int] = {}
    size: dict[Node, int] = {}
    for node in order:
        size[node] = min(1 + sum(size[i] for i in node.inputs if i in degrees), 2 * LARGEST)
        degree = _degree(node, degrees) if size[node] <= LARGEST else None
        if degree is not None:
            degrees[node] = degree
    outer = dict.fromkeys(i for node in order if node not in degrees for i in node.inputs) | dict.fromkeys(outputs)
    for node in reversed(order):  # the factors of a product are corrected, not the product
        if node in outer and node.op.name in ("mul", "square", "neg") and node in degrees:
            outer |= dict.fromkeys(node.inputs)
    facts = Facts()
    made: dict[Node, Node] = {}
    steps: list[Step] = []
    for node in order:
        polynomial = node in outer and node.op.name in SUMS and degrees.get(node, 0) >= 2
        if (polynomial and _may_cancel(node, degrees, facts)) or is_power_and_number(node):
            before, current.sites = current.sites, node.sites
            try:
                error = _error(node, last=True)
                if error is not None:  # an infinite result has none: inf * 0 is nan
                    made[node] = node + f.where(f.isfinite(error), error, 0.0)
                    steps.append(Step(COMPENSATION, node, made[node], node.sites))
            finally:
                current.sites = before
    return (rebuild(outputs, made), steps) if made else (list(outputs), [])


def _degree(node: Node, known: dict[Node, int]) -> int | None:
    """The degree of a homogeneous polynomial of arguments, 0 for constants; None for anything else."""
    name = node.op.name
    if node.dtype.kind != "f" or node.dtype.itemsize < 4:
        return None
    if name == "const":
        return 0 if abs(node.value) < 2.0**100 else None
    if is_given(node):
        return 1
    parts = [known.get(i) for i in node.inputs]
    if name not in PARTS or None in parts:
        return None
    left, right = parts[0], parts[-1]
    assert left is not None
    assert right is not None
    if name in SUMS:
        return left if left == right and left else None
    if name == "div":
        return None if right or node.inputs[1].op.name != "const" else left
    return left + right if name == "mul" else 2 * left if name == "square" else left


def _may_cancel(root: Node, degrees: dict[Node, int], facts: Facts) -> bool:
    """Whether a sum of products in it may be much smaller than its terms."""
    for node in toposort([root]):
        if node.op.name in SUMS and degrees.get(node, 0) >= 2:
            left, right = node.inputs
            alike = facts.nonnegative(left) is Fact.TRUE and facts.nonnegative(right) is Fact.TRUE
            if node.op.name == "sub" or not alike:
                return True
    return False


def _error(node: Node, last: bool = False) -> Node | None:
    """What is to be added to a polynomial, None for nothing.

    Args:
        last: nothing is computed from it; then the error of a sum of two products is below that of its result.
    """
    name = node.op.name
    if name == "const" or is_given(node):
        return None
    errors = [_error(i) for i in node.inputs]
    if name == "log1p":
        (x,) = node.inputs
        return None if errors[0] is None else f.where(f.gt(x, -1.0), errors[0] / (1.0 + x), 0.0)
    if name == "neg":
        return None if errors[0] is None else f.neg(errors[0])
    if name == "square":
        (x,) = node.inputs
        return _sum(f.product_error(x, x), None if errors[0] is None else (2.0 * x) * errors[0])
    if name == "reciprocal":
        (x,) = node.inputs
        return ((1.0 - node * x) - f.product_error(node, x)) / x
    left, right = node.inputs
    if name == "mul":
        own = None if any(_is_power_of_two(i) for i in node.inputs) else f.product_error(left, right)
        first = None if errors[0] is None else errors[0] * right
        second = None if errors[1] is None else left * errors[1]
        return _sum(own, _sum(first, second))
    if name == "div":  # the remainder a - q c is exact, but for what q c rounds away
        rest = (left - node * right) - f.product_error(node, right)
        return (rest if errors[0] is None else rest + errors[0]) / right
    if name == "sub":
        right = f.neg(right)
        errors[1] = None if errors[1] is None else f.neg(errors[1])
    return _sum(None if last else f.sum_error(left, right), _sum(errors[0], errors[1]))


def _is_power_of_two(node: Node) -> bool:
    if node.op.name != "const":
        return False
    mantissa, _ = math.frexp(float(node.value))
    return abs(mantissa) == 0.5


def _sum(left: Node | None, right: Node | None) -> Node | None:
    if left is None or right is None:
        return right if left is None else left
    return left + right


# ------------------------------------------------------------------------------------------------ powers beside numbers
Power = tuple[Node, int, float]  # of a node, its degree and coefficient


def is_power_and_number(node: Node) -> bool:
    """The sum or difference of a power and a number, or of two powers of the same, that is 0 somewhere; or log1p(-power)."""
    if node.op.name == "log1p":
        inner = node.inputs[0]
        found = _power(inner.inputs[0]) if inner.op.name == "neg" else None
        return found is not None and found[1] >= 2
    left, right = (_power(i) for i in node.inputs) if node.op.name in SUMS else (None, None)
    if left is None or right is None or max(left[1], right[1]) < 2 or (left[0] is not right[0] and left[1] and right[1]):
        return False
    opposite = (left[2] * right[2] > 0) == (node.op.name == "sub")
    return (opposite or (left[1] - right[1]) % 2 == 1) and not _is_series(*sorted((left, right), key=lambda p: p[1]))


def _is_series(number: Power, power: Power) -> bool:
    """A power of what is small, as in series, beside a larger number."""
    base, degree, coefficient = power
    if number[1] or base.op.name != "where" or base.inputs[0].op.name != "lt":
        return False
    size, limit = base.inputs[0].inputs
    small = size.op.name == "abs" and size.inputs[0] is base.inputs[1] and limit.op.name == "const" and limit.value <= 1
    return small and base.inputs[2].op.name == "const" and abs(base.inputs[2].value) <= limit.value and (
        abs(coefficient) * float(limit.value)**degree <= 0.5 * abs(number[2]))


def _power(node: Node, depth: int = 4) -> Power | None:
    """A multiple of a power; a number is one of degree 0."""
    if node.op.name == "const":
        value = float(node.value)
        return (node, 0, value) if 0 < abs(value) < 2.0**100 else None
    quotient = node.op.name in ("div", "reciprocal") and all(i.op.name == "const" or is_given(i) for i in node.inputs)
    if quotient or is_given(node):
        return node, 1, 1.0
    if node.op.name not in ("square", "mul") or not depth:
        return None
    left, right = _power(node.inputs[0], depth - 1), _power(node.inputs[-1], depth - 1)
    if left is None or right is None or (left[0] is not right[0] and left[1] and right[1]):
        return None
    return left[0] if left[1] else right[0], left[1] + right[1], left[2] * right[2]
