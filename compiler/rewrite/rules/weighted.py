"""Sums of exponentials with weights: what is positive by its form, and a sum divided by the largest of its exponentials."""
from __future__ import annotations

import math

import numpy as np

from ...build import highest
from ...ir import Node, constant, f, with_inputs
from ...ops.reduction import expand_back
from ..pattern import MOVES, moved
from . import forms
from .diagonals import arranged
from .forms import is_zero
from .variables import LOG_2

POWERS = ("exp", "exp2", "pow")
TAILS = ("sigmoid", "sech_squared", "erfc", "cosh")  # positive, with a logarithm that has a rule of its own
DEPTH = 6


# ------------------------------------------------------------------------------------------------ what is positive by its form
def is_number(node: Node) -> bool:
    """A positive and finite constant."""
    return node.op.name == "const" and node.dtype.kind == "f" and bool(0 < node.value < math.inf)


def is_power(node: Node) -> bool:
    """An exponential, to whatever base."""
    return node.op.name in POWERS and node.dtype.kind == "f" and (node.op.name != "pow" or is_number(node.inputs[0]))


def is_exps(node: Node, depth: int = DEPTH) -> bool:
    """Exponentials with constant weights, or sums of some, with constants perhaps: positive, and as large as can be."""
    name = node.op.name
    if is_power(node):
        return True
    if not depth:
        return False
    if name in ("add", "mul"):
        found = [is_exps(i, depth - 1) for i in node.inputs]
        return any(found) and all(e or is_number(i) for e, i in zip(found, node.inputs, strict=True))
    if name == "div":
        return is_exps(node.inputs[0], depth - 1) and is_number(node.inputs[1])
    if name == "where":
        return all(is_exps(i, depth - 1) or is_zero(i) for i in node.inputs[1:]) and not all(map(is_zero, node.inputs[1:]))
    return name in ("sum", "expand", "reshape", "permute") and is_exps(node.inputs[0], depth - 1)


def is_extreme(node: Node, depth: int = DEPTH) -> bool:
    """Positive, with a logarithm that is found without it: exponentials, tails, and products and powers of them."""
    name = node.op.name
    if name in TAILS or is_exps(node):
        return True
    if not depth:
        return False
    if name in ("reciprocal", "sqrt", "square", "rsqrt") or (name == "pow" and node.inputs[1].op.name == "const"):
        return is_extreme(node.inputs[0], depth - 1)
    if name in ("mul", "div"):
        found = [is_extreme(i, depth - 1) for i in node.inputs]
        return any(found) and all(e or is_number(i) for e, i in zip(found, node.inputs, strict=True))
    return False


# ------------------------------------------------------------------------------------------------ products
def exponent_below(node: Node) -> Node | None:
    """The exponent of an exponential that may have been moved."""
    moves = []
    while node.op.name in ("expand", "reshape", "permute"):
        moves.append(node)
        node = node.inputs[0]
    found = exponent_of(node)
    return None if found is None else moved(found, moves)


def exponent_of(node: Node) -> Node | None:
    """What e is raised to in an exponential to whatever base."""
    if not is_power(node):
        return None
    if node.op.name == "exp":
        return node.inputs[0]
    return node.inputs[0] * LOG_2 if node.op.name == "exp2" else node.inputs[1] * math.log(node.inputs[0].value)


def parts(node: Node, depth: int = DEPTH) -> tuple[Node | None, Node | None]:
    """A product as a weight and the exponent of an exponential; None for what it has not."""
    exponent = exponent_of(node)
    if exponent is not None:
        return None, exponent
    if not depth or node.op.name not in ("mul", "div"):
        return node, None
    left, right = node.inputs
    for one, other in ((left, right), (right, left)) if node.op.name == "mul" else ((left, right),):
        weight, exponent = parts(one, depth - 1)
        if exponent is not None:
            if node.op.name == "div":
                return (constant(1.0, other.dtype, other.shape) if weight is None else weight) / other, exponent
            return other if weight is None else weight * other, exponent
    return node, None


# ------------------------------------------------------------------------------------------------ sums of weighted exponentials
def has_exps(node: Node, everywhere: bool = False, depth: int = DEPTH) -> bool:
    """A sum with exponentials in it, in each of its terms perhaps, none of them shifted."""
    name = node.op.name
    if name in ("add", "sub"):
        found = [has_exps(i, everywhere, depth - 1) or (everywhere and i.op.name == "const") for i in node.inputs] if depth else []
        return bool(found) and (all(found) if everywhere else any(found))
    if name in ("sum", *MOVES):
        return bool(depth) and has_exps(node.inputs[0], everywhere, depth - 1)
    if name == "mul" and depth:
        return any(has_exps(i, everywhere, depth - 1) for i in node.inputs)
    if name == "div" and depth:
        return has_exps(node.inputs[0], everywhere, depth - 1)
    if name == "where" and depth:
        found = [has_exps(i, everywhere, depth - 1) for i in node.inputs[1:]]
        return any(found) and not (everywhere and any(not e and not is_zero(i) for e, i in zip(found, node.inputs[1:], strict=True)))
    if name == "contract" and not everywhere:
        return bool(depth) and any(has_exps(i, False, depth - 1) for i in node.inputs)
    return is_power(node) and not forms.is_shifted(node.inputs[-1])


def _largest(node: Node, weight: Node | None = None, depth: int = DEPTH) -> Node | None:
    """The largest exponent in a sum whose weight is not zero; 0 for what has none."""
    name = node.op.name
    exponent = exponent_of(node)
    if exponent is not None:
        return exponent if weight is None else f.where(f.ne(weight, 0.0), exponent, -np.inf)
    if name == "const":
        return constant(0.0, node.dtype, node.shape)
    if not depth:
        return None
    if name in ("add", "sub"):
        found = [_largest(i, weight, depth - 1) for i in node.inputs]
        return None if found[0] is None or found[1] is None else f.maximum(found[0], found[1])
    if name == "sum" and weight is None:
        inner = _largest(node.inputs[0], None, depth - 1)
        return None if inner is None else highest(inner, node.param("axes"))
    if name == "where":
        a, b = (constant(-np.inf, i.dtype, i.shape) if is_zero(i) else _largest(i, weight, depth - 1) for i in node.inputs[1:])
        return None if a is None or b is None else f.where(node.inputs[0], a, b)
    if name in ("mul", "div"):
        for one, other in (node.inputs, node.inputs[::-1])[:2 if name == "mul" else 1]:
            if has_exps(one):
                more = weight if other.op.name == "const" or name == "div" else other if weight is None else weight * other
                return _largest(one, more, depth - 1)
    return None


def top_of(node: Node) -> Node | None:
    """The largest exponent in a sum; no derivative goes through it."""
    largest = _largest(node)
    return None if largest is None else f.stop_gradient(largest)


def limited(exponent: Node) -> Node:
    """An exponent whose exponential, even of no weight, does not overflow, since 0 * inf is nan."""
    return f.minimum(exponent, 0.5 * math.log(np.finfo(exponent.dtype).max))


def divided(node: Node, shift: Node, weighted: bool = False, depth: int = DEPTH) -> Node | None:
    """A value divided by exp(shift), inside its exponentials; those of no weight must not overflow, since 0 * inf is nan."""
    name = node.op.name
    exponent = exponent_below(node)
    if exponent is not None:
        less = exponent - shift
        return f.exp(limited(less) if weighted else less)
    if not has_exps(node):
        return node * f.exp(f.neg(shift))
    if not depth:
        return None
    if name in ("add", "sub", "mul", "div"):
        left, right = node.inputs
        if name in ("add", "sub"):
            first, second = (divided(i, shift, weighted, depth - 1) for i in node.inputs)
            return None if first is None or second is None else with_inputs(node, (first, second))
        if has_exps(left):
            first = divided(left, shift, weighted or right.op.name != "const", depth - 1)
            return None if first is None else with_inputs(node, (first, right))
        second = divided(right, shift, weighted or left.op.name != "const", depth - 1)
        return None if second is None else left * second
    if name == "sum":
        axes = node.param("axes")
        inner = divided(node.inputs[0], expand_back(shift, node.inputs[0], axes), weighted, depth - 1)
        return None if inner is None else f.sum(inner, axes=axes)
    if name == "where":
        a, b = (i if is_zero(i) else divided(i, shift, True, depth - 1) for i in node.inputs[1:])
        return None if a is None or b is None else f.where(node.inputs[0], a, b)
    return _divided_contraction(node, shift) if name == "contract" else None


def _divided_contraction(node: Node, shift: Node) -> Node | None:
    left, right, out = (node.param(name) for name in ("left", "right", "out"))
    x, w = node.inputs
    for one, labels in ((x, left), (w, right)):
        exponent = exponent_below(one)
        if exponent is not None and len({*labels}) == len(labels) and {*out} <= {*labels}:
            less = exponent - arranged(shift, out, labels, dict(zip(labels, one.shape, strict=True)))
            made = f.exp(limited(less))
            return f.contract(*((made, w) if one is x else (x, made)), left=left, right=right, out=out)
    return None
