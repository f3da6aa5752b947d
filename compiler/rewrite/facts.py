"""Facts about values: what can be proved of every element of a node, without knowing any.

A node's `Possible` is the set of classes (nan, -inf, negative, -0.0, +0.0, positive, +inf) that its elements may fall
into, and whether its finite elements are integers. A fact ("finite", "nonzero", ...) is read off the set and has three
values; the truth value of an unknown one raises, so that no rule fires on it by accident.

An op that is monotonic in each operand on each class maps a class onto the classes between the images of its end
points; so its row in the op table is evaluated there, once, and nothing is stated twice.
"""
from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..ir import Node
from ..op import Op, get

__all__ = ["Fact", "Facts", "Possible"]

# Classes of floats, as bits of a set, in the order of the numbers that they hold; nan stands apart.
NAN, NEG_INF, NEGATIVE, NEG_ZERO, POS_ZERO, POSITIVE, POS_INF = (1 << k for k in range(7))
ANYTHING = 127
ORDERED = (NEG_INF, NEGATIVE, NEG_ZERO, POS_ZERO, POSITIVE, POS_INF)
ZERO = NEG_ZERO | POS_ZERO
FINITE = NEGATIVE | ZERO | POSITIVE


class Fact(Enum):
    """Yes, no, or not known."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"

    def __bool__(self) -> bool:
        if self is Fact.UNKNOWN:
            raise ValueError("an unknown fact has no truth value: compare with Fact.TRUE or Fact.FALSE")
        return self is Fact.TRUE


class Possible(NamedTuple):
    """The classes that elements may be of, and whether all finite elements are integers."""

    classes: int
    integer: bool = False

    def within(self, allowed: int) -> Fact:
        """Whether every element is of an allowed class."""
        if not self.classes & ~allowed:
            return Fact.TRUE
        return Fact.UNKNOWN if self.classes & allowed else Fact.FALSE

    def union(self, other: Possible) -> Possible:
        return Possible(self.classes | other.classes, self.integer and other.integer)


# Monotonic in each operand on each class (a domain's border, where there is one, is at 0 or 1 or -1).
_MONOTONIC = frozenset((
    "add", "sub", "mul", "div", "neg", "square", "reciprocal", "sqrt", "rsqrt", "cbrt", "abs", "sign", "floor", "ceil",
    "trunc", "round", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "arctan", "sinh", "cosh", "tanh",
    "arcsinh", "erf", "erfc", "sigmoid", "softplus", "log_sigmoid", "hypot", "logaddexp", "maximum", "minimum",
    "stop_gradient",
))
_KEEPS_INTEGERS = frozenset(("add", "sub", "mul", "neg", "square", "abs", "maximum", "minimum", "stop_gradient"))
_MAKES_INTEGERS = frozenset(("floor", "ceil", "trunc", "round", "sign"))


def _classify(values: Any) -> int:
    """The set of the classes of some numbers."""
    found = 0
    for value in np.ravel(values):
        if np.isnan(value):
            found |= NAN
        elif value == 0:
            found |= NEG_ZERO if np.signbit(value) else POS_ZERO
        else:
            found |= (POSITIVE if value > 0 else NEGATIVE) if np.isfinite(value) else POS_INF if value > 0 else NEG_INF
    return found


@cache
def _points(dtype: str) -> dict[int, Any]:
    """For each class its end points and the unit between them."""
    info = np.finfo(dtype)
    ends = [info.smallest_subnormal, info.dtype.type(1), info.max]
    special = {NAN: [np.nan], NEG_INF: [-np.inf], NEG_ZERO: [-0.0], POS_ZERO: [0.0], POS_INF: [np.inf],
               POSITIVE: ends, NEGATIVE: [-e for e in ends]}
    return {k: np.asarray(v, dtype) for k, v in special.items()}


@cache
def _image(op: Op, dtype: str, classes: tuple[int, ...]) -> int:
    """The classes that a monotonic op maps one class of each operand into."""
    grids = np.meshgrid(*(_points(dtype)[c] for c in classes), indexing="ij")
    with np.errstate(all="ignore"):
        found = _classify(op.evaluate(*grids))
    between = [k for k, c in enumerate(ORDERED) if found & c]
    for k in range(between[0], between[-1] + 1) if between else ():
        found |= ORDERED[k]
    return found


def _members(classes: int) -> list[int]:
    return [1 << k for k in range(7) if classes >> k & 1]


@cache
def _apply(op: Op, dtype: str, operands: tuple[int, ...]) -> int:
    found = 0
    for combination in product(*map(_members, operands)):
        found |= _image(op, dtype, combination)
    return found


def _closure(op: Op, dtype: str, start: int, terms: int) -> int:
    """The classes reached from `start` by joining any number of terms."""
    found = start
    while True:
        grown = found | terms | _apply(op, dtype, (found, terms)) | _apply(op, dtype, (found, found))
        if grown == found:
            return found
        found = grown


def of_constant(node: Node) -> Possible:
    """Exact: a constant has one value."""
    value = node.value
    if node.dtype.kind != "f":
        return Possible(POS_ZERO if value == 0 else POSITIVE if value > 0 else NEGATIVE, True)
    return Possible(_classify(value), bool(not np.isfinite(value) or value == np.floor(value)))


def of_type(node: Node) -> Possible:
    """All that the dtype allows."""
    if node.dtype.kind == "f":
        return Possible(ANYTHING)
    return Possible(POS_ZERO | POSITIVE | (NEGATIVE if node.dtype.kind == "i" else 0), True)


_PROMISED = {"positive": NAN | POSITIVE | POS_INF, "nonnegative": NAN | ZERO | POSITIVE | POS_INF, "nonzero": ANYTHING & ~ZERO}


def _promised(node: Node, top: Possible) -> Possible:
    """What the caller promised of an argument."""
    promises = node.param("promise").split()
    classes = top.classes
    for name in promises:
        classes &= _PROMISED.get(name, ANYTHING)
    return Possible(classes, top.integer or "integer" in promises)


def _transfer(node: Node, inputs: list[Possible]) -> Possible:
    op, name, top = node.op, node.op.name, of_type(node)
    if name == "const":
        return of_constant(node)
    if name == "input":
        return _promised(node, top)
    if name in ("iota", "size"):
        return Possible(POS_ZERO | POSITIVE, True)
    if op.kind == "movement" or name in ("max", "min", "gather"):
        found = inputs[0] if name == "gather" else inputs[0] if len(inputs) == 1 else _union(inputs)
        return found.union(Possible(POS_ZERO, True)) if name in ("place", "embed") else found
    if name == "where":
        return inputs[1].union(inputs[2])
    if name == "cast":
        return _cast(node, inputs[0])
    if node.dtype.kind != "f":  # integers wrap around, so classes say nothing more than the type
        return top
    dtype = node.dtype.name
    if op.kind == "elementwise" and all(i.dtype.kind == "f" for i in node.inputs):
        integer = name in _MAKES_INTEGERS or (name in _KEEPS_INTEGERS and all(i.integer for i in inputs))
        if name in ("sin", "cos"):
            return Possible(FINITE | (NAN if inputs[0].classes & ~FINITE else 0))
        if name in _MONOTONIC:
            return Possible(_apply(op, dtype, tuple(i.classes for i in inputs)), integer)
        return Possible(ANYTHING, integer)
    if name in ("sum", "prod"):
        assert op.identity is not None
        start = _classify(op.identity(node.dtype))
        return Possible(_closure(get(op.combine), dtype, start, inputs[0].classes), inputs[0].integer)
    if name == "contract":
        terms = _apply(get("mul"), dtype, (inputs[0].classes, inputs[1].classes))
        return Possible(_closure(get("add"), dtype, POS_ZERO, terms), inputs[0].integer and inputs[1].integer)
    return top


def _union(items: Iterable[Possible]) -> Possible:
    first, *rest = items
    for item in rest:
        first = first.union(item)
    return first


def _cast(node: Node, source: Possible) -> Possible:
    if node.dtype.kind != "f":
        return of_type(node)
    classes = source.classes
    if node.inputs[0].dtype.kind == "f" and node.dtype.itemsize < node.inputs[0].dtype.itemsize:  # over- and underflow
        for finite, zero, infinity in ((NEGATIVE, NEG_ZERO, NEG_INF), (POSITIVE, POS_ZERO, POS_INF)):
            if classes & finite:
                classes |= zero | infinity
    return Possible(classes, source.integer)


class Facts:
    """What is known of nodes; each is looked at once, however many questions are asked."""

    def __init__(self) -> None:
        self._known: dict[Node, Possible] = {}

    def possible(self, node: Node) -> Possible:
        """The classes that elements of `node` may be of."""
        known = self._known
        stack = [node]
        while stack:
            top = stack[-1]
            if top in known:
                stack.pop()
                continue
            missing = [i for i in top.inputs if i not in known]
            if missing:
                stack += missing
                continue
            known[top] = _transfer(top, [known[i] for i in top.inputs])
            stack.pop()
        return known[node]

    def finite(self, node: Node) -> Fact:
        return self.possible(node).within(FINITE)

    def not_nan(self, node: Node) -> Fact:
        return self.possible(node).within(ANYTHING & ~NAN)

    def nonzero(self, node: Node) -> Fact:
        """Different from both zeros (nan and the infinities are)."""
        return self.possible(node).within(ANYTHING & ~ZERO)

    def positive(self, node: Node) -> Fact:
        return self.possible(node).within(POSITIVE | POS_INF)

    def nonnegative(self, node: Node) -> Fact:
        """At least zero of either sign, or nan."""
        return self.possible(node).within(NAN | ZERO | POSITIVE | POS_INF)

    def sign_clear(self, node: Node) -> Fact:
        """Neither below zero nor -0.0 (it may be nan)."""
        return self.possible(node).within(NAN | POS_ZERO | POSITIVE | POS_INF)

    def not_negative_zero(self, node: Node) -> Fact:
        return self.possible(node).within(ANYTHING & ~NEG_ZERO)

    def not_positive_zero(self, node: Node) -> Fact:
        return self.possible(node).within(ANYTHING & ~POS_ZERO)

    def integer_valued(self, node: Node) -> Fact:
        """Every finite element is an integer."""
        return Fact.TRUE if self.possible(node).integer else Fact.UNKNOWN
