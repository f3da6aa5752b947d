"""Stabilising rules: variances and covariances by sums of products, which cancel where the means are large.

With weights w, numbers c and d near the elements of x and y, x' = x - c, y' = y - d, and n the sum of the weights,

    r sum(w x y) - p sum(w x) sum(w y) = r sum(w x' y') - p sum(w x') sum(w y') + (r - p n) (c sum(w y') + d sum(w x') + c d n).

The last part is 0 where p is r/n, as in a variance. It holds for any c and d, which are taken as fixed numbers.

Source: Chan, Golub & LeVeque, "Algorithms for computing the sample variance", Am. Stat. 1983.
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from ... import sizes
from ...build import broadcast_to, highest, size_value
from ...ir import Node, constant, f
from ...ops.reduction import expand_back
from ..pattern import Match, op
from ..rule import Level, rule
from . import forms
from .diagonals import arranged
from .variables import A, B, C, P, X, Y

STABLE = Level.STABLE
FACTORS = 4  # of the products that are added
Scales = list[tuple[str, Node]]  # by which a sum is multiplied ("mul") and divided ("div")
Sum = tuple[list[Node], tuple[int, ...]]  # factors of the products that are added, and over which axes


# ------------------------------------------------------------------------------------------------ what is written
def _is_number(node: Node, depth: int = 4) -> bool:
    """Made of constants and numbers of elements."""
    node = forms.unmoved(node)
    if node.op.name in ("const", "size"):
        return True
    return bool(depth) and node.op.kind == "elementwise" and all(_is_number(i, depth - 1) for i in node.inputs)


def _scaled(node: Node) -> tuple[Node, Scales]:
    """A sum, or a product of two, and what it was multiplied with and divided by."""
    scales: Scales = []
    while True:
        if node.op.name == "reshape":
            node = node.inputs[0]
        elif node.op.name == "div":
            scales.append(("div", node.inputs[1]))
            node = node.inputs[0]
        elif node.op.name == "mul" and any(map(_is_number, node.inputs)):
            node, scale = node.inputs if _is_number(node.inputs[1]) else node.inputs[::-1]
            scales.append(("mul", scale))
        else:
            return node, scales


def _factors(node: Node) -> list[Node]:
    """What is multiplied: x and x, of x**2."""
    if node.op.name == "square":
        return _factors(node.inputs[0]) * 2
    if node.op.name == "mul":
        return _factors(node.inputs[0]) + _factors(node.inputs[1])
    return [node]


def sum_of(node: Node) -> Sum | None:
    """A sum over axes, or a contraction in which the elements of one array are the weights of the other's."""
    if node.op.name == "sum":
        return _factors(node.inputs[0]), node.param("axes")
    if node.op.name != "contract":
        return None
    (x, y), (left, right, out) = node.inputs, node.params
    if len(left) < len(right):
        (x, left), (y, right) = (y, right), (x, left)
    kept = [c for c in left if c in out]
    if not {*right} <= {*left} or len({*left}) < len(left) or len({*right}) < len(right) or kept != [*out]:
        return None
    extents = dict(zip(left, x.shape, strict=True))
    return _factors(x) + _factors(arranged(y, right, left, extents)), tuple(k for k, c in enumerate(left) if c not in out)


def _less(of: Sequence[Node], taken: Sequence[Node]) -> list[Node] | None:
    """The factors that are left, None where there are not all of those that are taken."""
    rest = [*of]
    for node in taken:
        if node not in rest:
            return None
        rest.remove(node)
    return rest


def _is_centred(node: Node) -> bool:
    """A number has been subtracted by these rules already."""
    node = forms.unmoved(node)
    return node.op.name == "sub" and forms.unmoved(node.inputs[1]).op.name == "stop_gradient"


def _product(nodes: Sequence[Node]) -> Node:
    if len(nodes) == 2 and nodes[0] is nodes[1]:
        return f.square(nodes[0])
    return reduce(f.mul, nodes)


# ------------------------------------------------------------------------------------------------ what it becomes
def _fitted(node: Node, shape: tuple[Any, ...]) -> Node | None:
    """A scale for each of the sums."""
    if node.shape == shape:
        return node
    if forms.is_uniform(node):
        return broadcast_to(constant(node.value, node.dtype) if node.op.name == "const" else forms.unmoved(node), shape)
    return f.reshape(node, shape=shape) if [s for s in node.shape if s != 1] == [s for s in shape if s != 1] else None


def _by(node: Node, scales: Scales) -> Node:
    for name, scale in scales:
        node = getattr(f, name)(node, scale)
    return node


def _moment(m: Match) -> Node | None:
    total, r = _scaled(m.P)
    means, p = _scaled(m.WHOLE.inputs[1])
    if m.WHOLE.dtype.kind != "f" or means.op.name not in ("square", "mul") or not (found := sum_of(total)):
        return None
    both = [_scaled(n) for n in (means.inputs * 2)[:2]]
    of_x, of_y = (sum_of(node) for node, _ in both)
    if not of_x or not of_y or not of_x[1] == of_y[1] == found[1] or len(found[0]) > FACTORS or any(map(_is_centred, found[0])):
        return None
    (products, axes), p = found, p + both[0][1] + both[1][1]
    x, y = _less(products, of_y[0]), _less(products, of_x[0])
    weights = None if x is None else _less(of_x[0], x)
    if not x or not y or weights is None or not (weights or r or p):
        return None
    shape = total.shape
    fitted = [[(name, _fitted(scale, shape)) for name, scale in scales] for scales in (r, p)]
    if any(scale is None for scales in fitted for _, scale in scales):
        return None
    return f.reshape(_centred(_product(x), _product(y), weights, axes, *fitted), shape=m.WHOLE.shape)  # type: ignore[arg-type]


def _count(x: Node, weights: list[Node], axes: tuple[int, ...]) -> Node:
    """The sum of the weights, which are 1 where there are none."""
    shape = tuple(s for k, s in enumerate(x.shape) if k not in axes)
    if not weights:
        return broadcast_to(size_value(sizes.product(x.shape[a] for a in axes), x.dtype), shape)
    if len(weights) == 1 and weights[0].op.name == "expand" and weights[0].param("axes") == axes:
        (w,) = weights[0].inputs
        return broadcast_to(f.sum(w, axes=tuple(range(w.ndim))), shape)
    return f.sum(_product(weights), axes=axes)


def _centre(x: Node, weights: list[Node], axes: tuple[int, ...], count: Node) -> Node:
    """A mean of the elements, by the weights' sizes."""
    if not weights:
        return f.stop_gradient(f.sum(x, axes=axes) / count)
    size = f.abs(_product(weights))
    whole = f.sum(size, axes=axes)
    none = f.eq(whole, 0.0)
    return f.stop_gradient(f.where(none, 0.0, f.sum(size * x, axes=axes) / f.where(none, 1.0, whole)))


def _centred(x: Node, y: Node, weights: list[Node], axes: tuple[int, ...], r: Scales, p: Scales) -> Node:
    count = _count(x, weights, axes)
    share = _is_share(weights, axes, count, r, p)
    if share and not weights:  # the elements less their mean add to 0
        near = [v - expand_back(f.sum(v, axes=axes) / count, v, axes) for v in (x, y)]
        return _by(f.sum(_product(near), axes=axes), r)
    c, d = (_centre(v, weights, axes, count) for v in (x, y))
    near = [v - expand_back(at, v, axes) for v, at in ((x, c), (y, d))]
    products, *rest = (f.sum(_product([*weights, *v]), axes=axes) for v in (near, near[:1], near[1:]))
    made = _by(products, r) - _by(_product(rest), p)
    if share:
        return made
    left = (c * rest[1] + d * rest[0]) + (c * d) * count
    varies = weights or not all(_is_number(scale) for _, scale in (*r, *p))
    gap = _by(constant(1.0, x.dtype, count.shape), r) - _by(count if varies else f.stop_gradient(count), p)
    return made + (gap * left if varies else f.where(f.eq(gap, 0.0), 0.0, gap * left))


def _is_share(weights: list[Node], axes: tuple[int, ...], count: Node, r: Scales, p: Scales) -> bool:
    """Whether p n is known to be r."""
    if all(scale is count for _, scale in (*r, *p)) and (r or p):
        powers = [sum(1 if name == "div" else -1 for name, _ in scales) for scales in (r, p)]
        return powers[1] == powers[0] + 1
    return len(weights) == 1 and not (r or p) and weights[0].op.name == "div" and forms.is_softmax(weights[0]) and \
        forms.unmoved(weights[0].inputs[1]).param("axes") == axes


# ------------------------------------------------------------------------------------------------ standardised moments
def _power(node: Node) -> tuple[Node, int] | None:
    """What is raised to a positive integer, and to which."""
    if node.op.name == "pow" and node.inputs[1].op.name == "const" and float(node.inputs[1].value) in (3.0, 4.0, 5.0, 6.0):
        return node.inputs[0], int(node.inputs[1].value)
    found = _factors(node)
    return (found[0], len(found)) if all(n is found[0] for n in found) and len(found) > 1 else None


def _sum_of_powers(node: Node) -> tuple[Node, int, tuple[int, ...], Scales] | None:
    total, scales = _scaled(node)
    found = _power(total.inputs[0]) if total.op.name == "sum" else None
    return None if found is None else (*found, total.param("axes"), scales)


def _radicand(node: Node) -> Node | None:
    """What the root is taken of, which may be a norm."""
    if node.op.name == "where" and node.inputs[0].op.name == "eq":
        inner = node.inputs[2]
        return node.inputs[0].inputs[0] if inner.op.name == "sqrt" and inner.inputs[0].inputs[0] is node.inputs[0] else None
    return node.inputs[0] if node.op.name == "sqrt" else None


def _standardised(m: Match) -> Node | None:
    """The moment sum(x**k) over sum(x**2)**(k/2), which does not change where all x are divided by one number, the largest."""
    above, root = _sum_of_powers(m.A), _radicand(m.B)
    below = _sum_of_powers(m.B if root is None else root)
    if above is None or below is None or above[0] is not below[0] or above[2] != below[2] or below[1] != 2:
        return None
    (x, k, axes, scales), other = above, below[3]
    if x.op.name == "div" and forms.unmoved(x.inputs[1]).op.name == "stop_gradient":
        return None  # they are divided already
    exponent = (float(m.C.value) if "C" in m else 2.0) * (1.0 if root is None else 0.5)
    if 2.0 * exponent != k or m.WHOLE.ndim != x.ndim - len(axes):
        return None
    largest = highest(f.abs(x), axes)
    size = f.stop_gradient(f.where(f.and_(f.isfinite(largest), f.ne(largest, 0.0)), largest, 1.0))
    small = x / expand_back(size, x, axes)
    squares = _by(f.sum(f.square(small), axes=axes), other)
    return _by(f.sum(f.pow(small, float(k)), axes=axes), scales) / (f.square(squares) if exponent == 2 else f.pow(squares, exponent))


def _has_root(node: Node, depth: int = 3) -> bool:
    node = forms.unmoved(node)
    return node.op.name in ("sqrt", "rsqrt") or (bool(depth) and any(_has_root(i, depth - 1) for i in node.inputs))


def _centred_again(m: Match) -> Node | None:
    """The difference x - mean(x), less its own mean, which the rounding of the first one has left, over a deviation."""
    mean = forms.unmoved(m.A)
    total = forms.unmoved(mean.inputs[0]) if mean.op.name == "div" else mean
    if total.op.name != "sum" or total.inputs[0] is not m.X or not forms.is_count(mean.inputs[1]) or not _has_root(m.B):
        return None
    axes, apart = total.param("axes"), m.X - m.A
    count = broadcast_to(size_value(sizes.product(m.X.shape[a] for a in axes), m.X.dtype), total.shape)
    left = f.stop_gradient(f.sum(apart, axes=axes) / count)
    return getattr(f, m.WHOLE.op.name)(apart - expand_back(left, m.X, axes), m.B)  # type: ignore[no-any-return]


RULES = (
    rule("standardised", (X - A) / B, _centred_again, STABLE, first=True, scale=1.0, why="a mean far from 0 is rounded"),
    rule("standardised_by_product", (X - A) * B, _centred_again, STABLE, first=True, scale=1.0, why="a mean far from 0 is rounded"),
    rule("standardised_moment", A / op.pow(B, C), _standardised, STABLE, first=True, scale=1.0, why="powers overflow, or underflow"),
    rule("standardised_moment_by_square", A / op.square(B), _standardised, STABLE, first=True, scale=1.0,
         why="powers overflow, or underflow"),
    rule("less_mean_of_two", X - (X + Y) * 0.5, X * 0.5 - Y * 0.5, STABLE, why="the mean is near where the two are"),
    rule("variance", P - op.square(A), _moment, STABLE, first=True),
    rule("covariance", P - A * B, _moment, STABLE, first=True),
    rule("moment_of_quotient", P - A / B, _moment, STABLE, first=True),
    rule("moment_of_kept_axes", P - op.reshape(A), _moment, STABLE, first=True),
)
