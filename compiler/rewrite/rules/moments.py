"""Stabilising rules: variances and covariances by sums of products, which cancel where the mean is large.

With the mean m of n elements, sum(x**2) = sum((x - m)**2) + n m**2, so that sum(x**2) r - (sum(x) r)**2, r being one over what the
sums are divided by, is r sum((x - m)**2) + n m**2 r (1 - n r). The second part is 0 where r is 1/n.

Source: Chan, Golub & LeVeque, "Algorithms for computing the sample variance", Am. Stat. 1983.
"""
from __future__ import annotations

from collections.abc import Iterator

from ... import sizes
from ...build import broadcast_to, size_value
from ...ir import Node, constant, f
from ...ops.reduction import expand_back
from ..pattern import Apply, Match, Pattern, op
from ..rule import Level, Rule, rule
from . import forms
from .variables import AXES, LEFT, OUT, RIGHT, A, C, X, Y

STABLE = Level.STABLE


def _moment(m: Match, of_product: bool) -> Node | None:
    """The central sum of products, divided, and what is left of the product of the means.

    Args:
        of_product: the product of the sums is divided, and the sum of products is not; else each of them is.
    """
    x, y = m.X, m.get("Y", m.X)
    if m.get("LEFT") != m.get("RIGHT") or m.get("OUT"):
        return None  # no sum of products of elements
    shape = tuple(s for k, s in enumerate(x.shape) if k not in m.AXES)
    divisor = next(m[name] for name in "AC" if name in m)
    if divisor.shape != shape:
        if not forms.is_uniform(divisor):
            return None
        divisor = broadcast_to(constant(divisor.value, x.dtype) if divisor.op.name == "const" else forms.unmoved(divisor), shape)
    divided = f.div if "A" in m else f.mul
    n = broadcast_to(size_value(sizes.product(x.shape[a] for a in m.AXES), x.dtype), shape)
    means = [f.sum(v, axes=m.AXES) / n for v in (x, y)]
    less = [v - expand_back(mean, v, m.AXES) for v, mean in zip((x, y), means, strict=True)]
    total = f.sum(f.square(less[0]) if y is x else less[0] * less[1], axes=m.AXES)
    share = divided(n, divisor)  # 1, where the divisor is the number of elements
    left = f.where(f.eq(share, 1.0), 0.0, (means[0] * means[1]) * (n if of_product else share) * (1.0 - share))
    return f.reshape((total if of_product else divided(total, divisor)) + left, shape=m.WHOLE.shape)


def _each(m: Match) -> Node | None:
    return _moment(m, False)


def _once(m: Match) -> Node | None:
    return _moment(m, True)


def _sums(kept: bool) -> tuple[Apply, ...]:
    """Sums of squares, of products, of the elements of x and of y; with the axes kept as axes of length 1."""
    sums = (op.sum(v, axes=AXES) for v in (op.square(X), X * Y, X, Y))
    return tuple(op.reshape(total) if kept else total for total in sums)


def _over(node: Pattern) -> Apply:
    return node / A


def _times(node: Pattern) -> Apply:
    return node * C


def _rules(name: str, squares: Apply, products: Apply, of_x: Apply, of_y: Apply) -> Iterator[Rule]:
    for suffix, by in ((name, _over), (f"{name}_by_multiples", _times)):
        yield rule(f"variance{suffix}", by(squares) - op.square(by(of_x)), _each, STABLE)
        yield rule(f"sum_of_squares_about_mean{suffix}", squares - by(op.square(of_x)), _once, STABLE)
        yield rule(f"covariance{suffix}", by(products) - by(of_x) * by(of_y), _each, STABLE)
        yield rule(f"sum_of_products_about_means{suffix}", products - by(of_x * of_y), _once, STABLE)


DOT = (op.contract(X, X, left=LEFT, right=RIGHT, out=OUT), op.contract(X, Y, left=LEFT, right=RIGHT, out=OUT))
RULES: tuple[Rule, ...] = (*_rules("", *_sums(False)), *_rules("_of_kept_axes", *_sums(True)),
                            *_rules("_by_products", *DOT, *_sums(False)[2:]))
