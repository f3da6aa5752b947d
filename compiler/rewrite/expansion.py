"""Functions of one variable that cancel near 0, near 1 or near infinity, by their power series there.

`(x - sin(x))/(x - tan(x))`, `1/(x + 1) - 2/x + 1/(x - 1)` and the derivatives of either have a limit that no rule about the
operations in them reaches. What depends on one node only, and is seen to cancel when it is evaluated with floats, is sampled
with many digits; if it is a power of the variable times a polynomial there, to the last bit of a float and with its derivative,
`where` chooses the polynomial. That is measured, not proved: at many digits, and at other points than those that it was made
from, those where the program itself chooses among them. Elsewhere the program stays what it is. Compare the series expansions of
Herbie (Panchekha et al., PLDI 2015).
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import NotYetError
from ..ir import Node, current, f, make, rebuild, toposort
from .compensation import is_power_and_number
from .engine import Step
from .pattern import AnyOf
from .rule import Level, rule

__all__ = ["EXPANSION", "Fit", "expand"]

LARGEST = 64  # nodes of a function that is looked at
LARGEST_TREE = 10**6  # the same, shared ones counted as often as they are used
MOST = 24  # functions of a program that are looked at
TERMS = 40  # of the interpolating polynomial; two thirds of them may be used
MOST_TERMS = 18
SHOWN, LARGEST_DENOMINATOR = 3, 10**7  # terms, and coefficients as fractions, in what is told of a series
SMALL = np.array([1e-3, 1e-6, -1e-3, -1e-6])
CENTRES = (0.0, 1.0)  # where functions are looked at, beside the infinities
PLACES = (*CENTRES, math.inf, -math.inf)
NOWHERE = (False,) * len(PLACES)
SAMPLES = np.concatenate([*(c + SMALL for c in CENTRES), 1 / np.abs(SMALL), -1 / np.abs(SMALL)])
POINTS = np.concatenate([SAMPLES, CENTRES])
RADII = (4, 3, 2, 1.5, 1, 0.5, 0, -0.5, -1, -1.5, -2, -2.5, -3, -4, -5, -6, -8, -10)  # base-2 logarithms, tried in this order
CANCELS = 2.0**-7  # of the larger operand
PRECISION, ORDER_PRECISION = 340, 800  # bits

EXPANSION = rule("series", AnyOf("elementwise", "", "f(x) near 0 or infinity"), lambda m: None, Level.STABLE, ulps=8.0,
                 why="sampled with many digits, and compared with them at other points: value and derivative agree to the last bit")


@dataclass(frozen=True)
class Fit:
    """t**order (c0 + c1 t**step + ...) for |t| < radius; for positive t only where `one_sided`."""

    order: int
    coefficients: tuple[float, ...]
    step: int
    radius: float
    one_sided: bool = False

    def __call__(self, t: Node) -> Node:
        argument = f.square(t) if self.step == 2 else t
        total: Node | float = self.coefficients[-1]
        for c in reversed(self.coefficients[:-1]):
            total = _sum(argument, total, c)
        power = _power(t, abs(self.order))
        if power is None:
            return total if isinstance(total, Node) else f.where(f.eq(t, t), total, t)
        return power * total if self.order > 0 else total / power

    def __str__(self) -> str:
        powers = [self.order + k * self.step for k in range(len(self.coefficients))]
        text = ""
        for c, power in list(zip(self.coefficients, powers, strict=True))[:SHOWN]:
            sign = ("-" if c < 0 else "") if not text else " - " if c < 0 else " + "
            size = _coefficient(abs(c))
            unit = "" if power == 0 else "t" if power == 1 else f"t**{power}" if power > 0 else f"t**({power})"
            text += sign + (size if not unit else unit if size == "1" else f"{size}*{unit}")
        return f"{text}{' + ...' if len(powers) > SHOWN else ''}"

    def agrees_at_zero(self, value: float) -> bool:
        """Whether a program that has this value at 0 has the limit there, or none; else it has one that somebody chose."""
        if not math.isfinite(value):
            return True
        limit = 0.0 if self.order > 0 else math.inf if self.order < 0 else self.coefficients[0]
        return math.isclose(value, limit, rel_tol=1e-6)


def _coefficient(value: float) -> str:
    """A coefficient as a fraction of small numbers, where it is one."""
    near = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
    return str(near) if float(near) == value else f"{value:.6g}"


def _sum(argument: Node, factor: Node | float, constant: float) -> Node:
    """`argument * factor + constant` without signs of constants that would be written out again."""
    if not isinstance(factor, Node) and factor < 0 < constant:
        return constant - argument * -factor
    product = argument * factor
    return product - -constant if constant < 0 else product + constant


def _power(t: Node, exponent: int) -> Node | None:
    made: Node | None = None
    square = t
    while exponent:
        if exponent % 2:
            made = square if made is None else made * square
        exponent //= 2
        if exponent:
            square = f.square(square)
    return made


# ------------------------------------------------------------------------------------------------ what is looked at
class _Functions:
    """For each node the one node that it depends on (itself, where it depends on several), and samples of it.

    Attributes:
        cancels: for each node, whether something cancels in it near each of the places.
    """

    def __init__(self, order: Sequence[Node]) -> None:
        self.of: dict[Node, Node | None] = {}
        self.size: dict[Node, int] = {}
        self.cancels: dict[Node, tuple[bool, ...]] = {}
        self._values: dict[Node, Any] = {}  # where something may cancel, and of what that is made of
        with np.errstate(all="ignore"):
            for node in order:
                self._look(node)

    def variable(self, node: Node) -> Node:
        """What a function is one of."""
        found = self.of[node]
        assert found is not None
        return found

    def _look(self, node: Node) -> None:
        variables = {self.of[i] for i in node.inputs} - {None}
        size = 1 + sum(self.size[i] for i in node.inputs)
        of: Node | None = None
        if node.op.name != "const":
            alike = node.op.kind == "elementwise" and node.op.name not in ("stop_gradient", "cast") and len(variables) == 1
            of = next(iter(variables)) if alike and size <= LARGEST_TREE else node
        self.of[node] = of
        if of is node:
            self.size[node], self.cancels[node] = 0, NOWHERE
            return
        self.size[node] = size
        if node.op.name == "const":
            self.cancels[node] = NOWHERE
            return
        if node.op.name in ("add", "sub") and all(i is of or i.op.name == "const" for i in node.inputs):
            self.cancels[node] = NOWHERE  # it is rounded once, and nothing was lost before
            return
        if is_power_and_number(node):
            self.cancels[node] = NOWHERE  # what its power rounds away is added at the very end
            return
        here: Sequence[bool] = NOWHERE
        if _may_cancel(node, of):
            value = self._value(node)
            cancels = np.reshape(_cancels(node, of, [self._values[i] for i in node.inputs], value)[:len(SAMPLES)], (len(PLACES), -1))
            here = [bool(row.any()) for row in cancels]
        inside = [self.cancels[i] for i in node.inputs if self.of[i] is of]
        self.cancels[node] = tuple(map(any, zip(here, *inside, strict=True)))

    def _value(self, node: Node) -> Any:
        """Its samples: of the whole of a small tree, so that the recursion is not deep."""
        if node not in self._values:
            if self.of[node] is node:
                value: Any = POINTS if node.dtype.kind == "f" else np.zeros(len(POINTS), node.dtype)
            elif node.op.name == "const":
                value = node.value
            else:
                value = np.asarray(node.op.evaluate(*map(self._value, node.inputs), **node.named_params))
            self._values[node] = value
        return self._values[node]

    def at_centres(self, node: Node) -> list[float]:
        """What the program gives exactly at each centre; not finite where it is undefined there."""
        with np.errstate(all="ignore"):
            value = self._value(node)
        return [float(v) for v in np.broadcast_to(value, POINTS.shape)[len(SAMPLES):]]


def _may_cancel(node: Node, of: Node | None) -> bool:
    """Whether `_cancels` looks at its samples."""
    if node.op.name == "log":
        return node.inputs[0] is not of
    return node.op.name in ("add", "sub") or (node.op.name in ("mul", "div") and all(i.op.name != "const" for i in node.inputs))


def _cancels(node: Node, of: Node | None, operands: Sequence[Any], value: Any) -> Any:
    """At which samples a sum is much smaller than its terms, or a logarithm than what it is of; or, near a centre, a quotient is
    0/0 or a product 0 times infinity (at infinity, where x/(1 + x) or (1/sqrt(1 + x**2)) x are, overflow is the only harm).
    """
    no = np.zeros(len(POINTS), bool)
    name = node.op.name
    if name == "log" and node.inputs[0] is not of:
        return np.abs(value) < CANCELS
    if len(operands) != 2 or value.dtype.kind != "f":
        return no
    left, right = (np.abs(o) for o in operands)
    if name in ("add", "sub"):
        return np.isfinite(value) & (np.abs(value) < CANCELS * np.maximum(left, right))
    if name not in ("mul", "div") or not (np.ndim(left) and np.ndim(right)):
        return no
    ordinary = (np.abs(value) > 1e-3) & (np.abs(value) < 1e3)
    near = np.arange(len(POINTS)) < len(SMALL) * len(CENTRES)
    if name == "mul":
        return near & ordinary & (np.minimum(left, right) < 1e-4) & (np.maximum(left, right) > 1e3)
    zero_over_zero = (np.maximum(left, right) < 1e-4) | (np.isnan(value) & (left == 0) & (right == 0))
    return near & zero_over_zero & (ordinary | np.isnan(value))


def expand(outputs: Sequence[Node]) -> tuple[list[Node], list[Step]]:
    """The outputs with cancelling functions of one variable replaced, and what was replaced."""
    order = toposort(outputs)
    functions = _Functions(order)
    if not any(map(any, functions.cancels.values())):
        return list(outputs), []
    steps: list[Step] = []
    made: dict[Node, Node] = {}
    pending = _largest(order, outputs, functions)
    for _, node in zip(range(MOST), _walk(pending, functions, made), strict=False):
        replaced = _replaced(node, functions)
        if replaced is not None:
            made[node], told = replaced
            steps.append(Step(EXPANSION, node, made[node], node.sites, (told, functions.variable(node))))
    return (rebuild(outputs, made), steps) if made else (list(outputs), [])


def _largest(order: Sequence[Node], outputs: Sequence[Node], functions: _Functions) -> list[Node]:
    """Functions that are used by something that is not one of the same variable, with something in them that cancels."""
    found = dict.fromkeys(outputs)
    for node in order:
        found.update(dict.fromkeys(i for i in node.inputs if functions.of[i] is not functions.of[node]))
    return [n for n in found if any(functions.cancels[n]) and n.dtype.kind == "f"]


def _walk(pending: list[Node], functions: _Functions, made: dict[Node, Node]) -> Iterator[Node]:
    """Functions to look at; what is in one comes after it, where it was not replaced."""
    seen: set[Node] = set()
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        yield node
        if node not in made:
            pending += [i for i in node.inputs if functions.of[i] is functions.of[node] and any(functions.cancels[i])
                        and i.dtype.kind == "f"]


# ------------------------------------------------------------------------------------------------ what is put for it
def _replaced(node: Node, functions: _Functions) -> tuple[Node, str] | None:
    """What is put for a function, and which series that has, of `{}`; None where none was found."""
    x = functions.variable(node)
    below = set(toposort([x]))
    own = [n for n in toposort([node]) if n not in below]
    if len(own) > LARGEST:
        return None
    before, current.sites = current.sites, node.sites
    try:
        made, told = node, []
        for fit, place, sign in _fits(_sampler(node, x), functions.cancels[node], functions.at_centres(node), _points(own)):
            made = _chosen(made, x, fit, place, sign)
            t = "{}" if place == 0 else f"{{}} - {place:g}" if math.isfinite(place) else f"{'-' if sign < 0 else ''}1/({{}})"
            told.append(f"{fit} where {'0 < t' if sign else '|t|'} < {fit.radius:.6g}, t = {t}")
    finally:
        current.sites = before
    return None if made is node else (made, "; ".join(told))


def _points(nodes: Sequence[Node]) -> list[float]:
    """Where a function may be another one for a while: at its constants, at the roots of these, and between any two."""
    constants = (float(i.value) for n in nodes for i in n.inputs if i.op.name == "const")
    sizes = dict.fromkeys(abs(c) for c in constants if c and math.isfinite(c))
    found = sorted({sign * size for c in sizes for size in (c, math.sqrt(c)) for sign in (1.0, -1.0)} | {0.0})
    return [*(c for c in found if c), *(0.5 * (a + b) for a, b in pairwise(found))]


def _fits(sample: Callable[[Any], Any], cancels: Sequence[bool], at_centres: Sequence[float],
          points: Sequence[float]) -> Iterator[tuple[Fit, float, int]]:
    """The series at the places where something cancels, each with its place and the sign of an infinity that it is for alone."""
    for centre, there, value in zip(CENTRES, cancels, at_centres, strict=False):
        simple = 1 if centre else None  # a simple zero there is like one anywhere else
        near = [*points, *(x - centre for x in points)]  # of x, and of its distance from there
        found = _fit(lambda t, c=centre: sample(c + t), near, without=simple) if there else None  # type: ignore[misc]
        if found is not None and found.agrees_at_zero(value):
            yield found, centre, 0
    above, below = cancels[len(CENTRES):]
    far = [k / x for x in points for k in (0.5, 1.0)]
    both = _fit(lambda t: sample(1 / t), far) if above or below else None
    if both is not None:
        yield both, math.inf, 0
        return
    for sign, there in ((1, above), (-1, below)):
        found = _fit(lambda t, s=sign: sample(s / t), far, one_sided=True) if there else None  # type: ignore[misc]
        if found is not None:
            yield found, math.inf, sign


def _chosen(node: Node, x: Node, fit: Fit, place: float, sign: int) -> Node:
    """The polynomial where it holds; the arguments of both branches stay in their own part."""
    if math.isfinite(place):
        shifted = x - place if place else x
        inside = f.lt(f.abs(shifted), fit.radius)
        polynomial = fit(f.where(inside, shifted, 0.5 * fit.radius))
        outside = place + 2.0 * fit.radius
    else:
        bound = 1.0 / fit.radius
        inside = f.gt(x, bound) if sign > 0 else f.lt(x, -bound) if sign < 0 else f.gt(f.abs(x), bound)
        t = f.reciprocal(f.where(inside, x, -2.0 * bound if sign < 0 else 2.0 * bound))
        polynomial = fit(f.neg(t) if sign < 0 else t)
        outside = -0.5 * bound if sign < 0 else 0.5 * bound
    (other,) = rebuild([node], {x: f.where(inside, outside, x)})
    return f.where(inside, polynomial, other)


def _sampler(node: Node, x: Node) -> Callable[[Any], Any]:
    """The function, of numbers with many digits; None where it is undefined, or has an operation that is."""
    from ..exact import Undefined, evaluate

    variable = make("input", shape=x.shape, dtype=x.dtype, position=0, name="t")
    (function,) = rebuild([node], {x: variable})

    def sample(t: Any) -> Any:
        try:
            return evaluate(function, {variable: t})
        except (Undefined, NotYetError):
            return None

    return sample


def _fit(sample: Callable[[Any], Any], points: Sequence[float], *, one_sided: bool = False, without: int | None = None) -> Fit | None:
    """The series of a function of t at 0, None where it has none, or begins with the power that is not wanted.

    Args:
        points: where it is looked at as well, since the function may be another one from there on.
    """
    import mpmath

    order = _order(sample, one_sided)
    if order is None or order == without:
        return None
    with mpmath.workprec(PRECISION):
        for k in RADII:
            radius = mpmath.mpf(2) ** k
            found = _at(sample, points, order, radius, one_sided)
            if found is not None:
                return found
    return None


def _order(sample: Callable[[Any], Any], one_sided: bool) -> int | None:
    """The power of t that the function is near 0, the same on both sides."""
    import mpmath

    with mpmath.workprec(ORDER_PRECISION):
        t = mpmath.mpf(2) ** -40
        values = [sample(t), sample(t / 2), *([] if one_sided else [sample(-t), sample(-t / 2)])]
        if any(v is None or v == 0 for v in values):
            return None
        order = mpmath.log(abs(values[0] / values[1]), 2)
        whole = int(mpmath.nint(order))
        if abs(order - whole) > 1e-9 or abs(whole) > 12:
            return None
        limits = [v / s**whole for v, s in zip(values, (t, t / 2, -t, -t / 2), strict=False)]
        return whole if all(abs(v - limits[0]) <= abs(limits[0]) * mpmath.mpf(2) ** -30 for v in limits) else None


def _at(sample: Callable[[Any], Any], points: Sequence[float], order: int, radius: Any, one_sided: bool) -> Fit | None:
    """The polynomial that interpolates g(t) = f(t)/t**order, where it is accurate for |t| < radius."""
    import mpmath

    angles = [mpmath.pi * (2 * k + 1) / (2 * TERMS) for k in range(TERMS)]
    nodes = [(1 + mpmath.cos(a)) / 2 if one_sided else mpmath.cos(a) for a in angles]
    values = []
    for s in nodes:
        value = sample(s * radius)
        if value is None:
            return None
        values.append(value / (s * radius) ** order)
    terms = _interpolated(nodes, values)
    size = [abs(a) for a in terms]
    first = size[0]
    if first == 0 or max(size[34:]) > mpmath.ldexp(first, -66):
        return None
    terms = [a if s > mpmath.ldexp(first, -90) else mpmath.mpf(0) for a, s in zip(terms, size, strict=True)]
    slopes = [abs((order + k) * a) for k, a in enumerate(terms)]
    lead = next((s for s in slopes if s), None)
    if sum(map(abs, terms[1:])) > 0.75 * first or (lead is not None and sum(slopes) > 1.75 * lead):
        return None
    least = min(first, lead) if lead is not None else first
    kept = next(d for d in range(1, TERMS + 1) if sum(k * s for k, s in enumerate(slopes[d:], d)) <= mpmath.ldexp(least, -54))
    step = 2 if not any(terms[1::2]) else 1
    coefficients = [float(a / radius**k) for k, a in enumerate(terms[:kept])][::step]
    if len(coefficients) > MOST_TERMS or not all(map(math.isfinite, coefficients)):
        return None
    fit = Fit(order, tuple(coefficients), step, float(radius), one_sided)
    return fit if _holds(fit, sample, points) else None


def _interpolated(nodes: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """The coefficients, lowest first, of the polynomial through some points (Newton's form, multiplied out)."""
    differences = list(values)
    count = len(nodes)
    for k in range(1, count):
        for j in range(count - 1, k - 1, -1):
            differences[j] = (differences[j] - differences[j - 1]) / (nodes[j] - nodes[j - k])
    terms = [differences[-1]]
    for k in range(count - 2, -1, -1):
        shifted = [differences[k] - nodes[k] * terms[0], *(a - nodes[k] * b for a, b in pairwise(terms))]
        terms = [*shifted, terms[-1]]
    return terms


def _holds(fit: Fit, sample: Callable[[Any], Any], points: Sequence[float]) -> bool:
    """Whether the polynomial and its derivative are right at other points, small ones among them."""
    import mpmath

    def polynomial(t: Any) -> Any:
        return sum(mpmath.mpf(c) * t ** (fit.order + fit.step * k) for k, c in enumerate(fit.coefficients))

    sides = (1,) if fit.one_sided else (1, -1)
    for t in (sign * fit.radius * mpmath.mpf(part) for part in (0.97, 0.61, 0.13, 1e-3) for sign in sides):
        step = abs(t) * mpmath.mpf(2) ** (-PRECISION // 6)
        right = [sample(t), sample(t + step), sample(t - step)]
        if any(r is None for r in right):
            return False
        found = [polynomial(t), polynomial(t + step), polynomial(t - step)]
        slopes = [(v[1] - v[2]) / (2 * step) for v in (found, right)]
        if abs(found[0] - right[0]) > mpmath.ldexp(abs(right[0]), -51) or abs(slopes[0] - slopes[1]) > mpmath.ldexp(abs(slopes[1]), -50):
            return False
    for t in map(mpmath.mpf, points):
        if 0 < (t if fit.one_sided else abs(t)) < fit.radius and (value := sample(t)) is not None \
                and abs(polynomial(t) - value) > mpmath.ldexp(abs(value), -40):
            return False
    return True
