"""Stabilising rules: differences of one function at two points that are near each other.

f(u) - f(v) is written by u - v, which is found by the form of u and v: of x + b and x it is b, of 2 s and 2 t twice that of s
and t, of two square roots by the rule for square roots, and so on; of two arguments it is their difference. These rules come
after differentiation: the derivative of such a difference is a difference of the derivatives, and has its own rule.

Sources: Hamming, "Numerical Methods", 1987, chapter 3; Kahan & Darcy's and Reps & Rall's divided differences ("Computational
divided differencing", 2003).
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ir import Node, constant, f, toposort
from ..pattern import Match, op
from ..rule import Level, Rule, rule
from .forms import is_given, is_zero
from .variables import CONDITION, A, B, D, P, X

STABLE = Level.STABLE
DEPTH = 6  # functions of functions that are looked into
Difference = Callable[[Node, Node, Node], Node]  # of u, v, u - v


def _zero(node: Node) -> Node:
    return constant(0, node.dtype, node.shape)


# ------------------------------------------------------------------------------------------------ u - v
def difference(u: Node, v: Node, depth: int = DEPTH) -> Node | None:
    """U - v without cancellation, None where the form does not give it."""
    if u is v:
        return _zero(u)
    if is_given(u) and is_given(v):  # it is rounded once
        return u - v
    for found in (_part(u, v), _negated(_part(v, u)), _across(u, v), _negated(_across(v, u))):
        if found is not None:
            return found
    if depth and {u.op.name, v.op.name} == {"log", "log1p"}:
        inner = difference(_inside_log(u), _inside_log(v), depth - 1)
        return None if inner is None else DIFFERENCES["log"](_inside_log(u), _inside_log(v), inner)
    if depth == 0 or u.op is not v.op or u.params != v.params:
        return None
    if u.op.name in ("add", "sub"):
        return _of_sums(u, v, depth - 1)
    if u.op.name == "mul":
        return _of_products(u, v, depth - 1)
    if u.op.name == "div":
        return _of_quotients(u, v, depth - 1)
    if u.op.name == "where":
        return _of_choices(u, v, depth - 1)
    if u.op.name == "pow":
        inner = difference(u.inputs[0], v.inputs[0], depth - 1) if u.inputs[1] is v.inputs[1] else None
        return None if inner is None else _power(u.inputs[0], v.inputs[0], inner, u.inputs[1])
    made = DIFFERENCES.get(u.op.name)
    if made is None:
        return None
    inner = difference(u.inputs[0], v.inputs[0], depth - 1)
    return None if inner is None else made(u.inputs[0], v.inputs[0], inner)


def _inside_log(node: Node) -> Node:
    """What the logarithm is of."""
    return node.inputs[0] if node.op.name == "log" else node.inputs[0] + 1.0


def _negated(node: Node | None) -> Node | None:
    return None if node is None else f.neg(node)


def _part(u: Node, v: Node) -> Node | None:
    """What is added to v in u."""
    if u.op.name == "add" and v in u.inputs:
        return u.inputs[0] if u.inputs[1] is v else u.inputs[1]
    if u.op.name == "sub" and u.inputs[0] is v:
        return f.neg(u.inputs[1])
    if v.op.name == "sub" and v.inputs[1] is u and v.inputs[0].op.name == "const":
        return 2.0 * u - v.inputs[0]  # x and c - x
    return None


def _across(u: Node, v: Node) -> Node | None:
    """The difference of p + q and p - q, of x + 1 and x - 1."""
    if u.op.name != "add" or v.op.name != "sub" or v.inputs[0] not in u.inputs:
        return None
    added, taken = u.inputs[1] if u.inputs[0] is v.inputs[0] else u.inputs[0], v.inputs[1]
    if added is taken:
        return 2.0 * added
    return added + taken if added.op.name == taken.op.name == "const" else None


def _sum(left: Node, right: Node) -> Node:
    return right if is_zero(left) else left if is_zero(right) else left + right


def _of_sums(u: Node, v: Node, depth: int) -> Node | None:
    pairs = [(v.inputs[0], v.inputs[1])]
    if u.op.name == "add":
        pairs.append((v.inputs[1], v.inputs[0]))
    for p, q in pairs:
        first, second = difference(u.inputs[0], p, depth), difference(u.inputs[1], q, depth)
        if first is not None and second is not None and (is_zero(first) or is_zero(second)):
            return _sum(first, second if u.op.name == "add" else f.neg(second))
    return None


def _of_products(u: Node, v: Node, depth: int) -> Node | None:
    for k in (0, 1):
        for j in (0, 1):
            if u.inputs[k] is v.inputs[j]:
                inner = difference(u.inputs[1 - k], v.inputs[1 - j], depth)
                return None if inner is None else _chosen(f.isfinite(inner), u.inputs[k] * inner, u, v)
    if any(is_given(i) for i in u.inputs) and not _same_argument(u, v):
        return None  # of a b - c d nothing is known
    first, second = (difference(a, b, depth) for a, b in zip(u.inputs, v.inputs, strict=True))
    if first is None or second is None:
        return None
    made = first * u.inputs[1] + v.inputs[0] * second
    return _chosen(f.isfinite(made), made, u, v)


def _same_argument(u: Node, v: Node) -> bool:
    """Both factors of each product are of one argument: x g(x) and y g(y)."""
    return all(len({i for n in toposort([product]) for i in (n,) if n.op.name == "input"}) == 1 for product in (u, v))


def _of_quotients(u: Node, v: Node, depth: int) -> Node | None:
    (a, b), (c, d) = u.inputs, v.inputs
    if b is d:
        inner = difference(a, c, depth)
        return None if inner is None else _chosen(f.isfinite(inner), inner / b, u, v)
    inner = difference(d, b, depth) if a is c else None
    if inner is None:
        return None
    near = f.lt(f.abs(inner), _of_its_size(d))
    return _chosen(near, u * (f.where(near, inner, 0.0) / d), u, v)


def _of_choices(u: Node, v: Node, depth: int) -> Node | None:
    """Both are 0 where their conditions hold."""
    (first, zero, a), (second, none, b) = u.inputs, v.inputs
    inner = difference(a, b, depth) if is_zero(zero) and is_zero(none) else None
    return None if inner is None else f.where(first, f.neg(v), f.where(second, a, inner))


# ------------------------------------------------------------------------------------------------ f(u) - f(v)
def _chosen(near: Node, made: Node, first: Node, second: Node) -> Node:
    """The stable form where u and v are near; else what is written, in a form that no rule takes for one of two functions."""
    return f.where(near, made, f.where(near, 0.0, first) - second)


def _by(name: str, made: Difference, within: Callable[[Node], Node]) -> Difference:
    """f(u) - f(v) by a formula that gets the difference, and 0 where it is not within a bound that depends on v."""
    function = getattr(f, name)

    def difference_of(u: Node, v: Node, d: Node) -> Node:
        near = f.lt(f.abs(d), within(v))
        return _chosen(near, made(u, v, f.where(near, d, 0.0)), function(u), function(v))

    return difference_of


def _of_its_size(v: Node) -> Node:
    return 0.5 * f.abs(v)


def _one(v: Node) -> Node:
    return constant(1, v.dtype, v.shape)


def _even(name: str, made: Difference) -> Difference:
    """f(u) - f(v) of an even function, by the nearer of v and -v; of arguments only, whose sum is rounded once."""
    by_difference = _by(name, made, _one)

    def difference_of(u: Node, v: Node, d: Node) -> Node:
        if not (is_given(u) and is_given(v)):
            return by_difference(u, v, d)
        opposite = f.lt(f.abs(u + v), f.abs(d))
        return by_difference(u, f.where(opposite, f.neg(v), v), f.where(opposite, u + v, d))

    return difference_of


def _exp(u: Node, v: Node, d: Node) -> Node:
    return f.exp(v) * f.expm1(d)


def _half_angle(d: Node) -> Node:
    return 2.0 * f.square(f.sin(0.5 * d))


def _cbrt(u: Node, v: Node, d: Node) -> Node:
    p, q = f.cbrt(u), f.cbrt(v)
    return d / (f.square(p) + p * q + f.square(q))


def _sigmoid(u: Node, v: Node, d: Node) -> Node:
    return (f.sigmoid(u) * f.sigmoid(f.neg(v))) * f.neg(f.expm1(f.neg(d)))


def _power(u: Node, v: Node, d: Node, p: Node) -> Node:
    growth = p * f.log1p(f.where(f.lt(f.abs(d), _of_its_size(v)), d / v, 1.0))
    near = f.and_(f.lt(f.abs(d), _of_its_size(v)), f.lt(f.abs(growth), 1.0))
    made = f.pow(v, p) * f.expm1(f.where(near, growth, 0.0))
    return _chosen(near, made, f.pow(u, p), f.pow(v, p))


DIFFERENCES: dict[str, Difference] = {
    "neg": lambda u, v, d: f.neg(d),
    "square": lambda u, v, d: d * (u + v),
    **{name: _by(name, made, within) for name, within, made in (
        ("reciprocal", _of_its_size, lambda u, v, d: f.neg((d / u) / v)),
        ("sqrt", _of_its_size, lambda u, v, d: d / (f.sqrt(u) + f.sqrt(v))),
        ("cbrt", _of_its_size, _cbrt),
        ("exp", _one, _exp), ("expm1", _one, _exp),
        ("log", _of_its_size, lambda u, v, d: f.log1p(d / v)),
        ("log1p", lambda v: _of_its_size(1.0 + v), lambda u, v, d: f.log1p(d / (1.0 + v))),
        ("sin", _one, lambda u, v, d: f.cos(v) * f.sin(d) - _half_angle(d) * f.sin(v)),
        ("tan", _one, lambda u, v, d: f.sin(d) / (f.cos(u) * f.cos(v))),
        ("sinh", _one, lambda u, v, d: 2.0 * (f.cosh(0.5 * u + 0.5 * v) * f.sinh(0.5 * d))),
        ("cosh", _one, lambda u, v, d: 2.0 * (f.sinh(0.5 * u + 0.5 * v) * f.sinh(0.5 * d))),
        ("sigmoid", _one, _sigmoid),
        ("tanh", _one, lambda u, v, d: 2.0 * _sigmoid(2.0 * u, 2.0 * v, 2.0 * d)),
        ("sech_squared", _one, lambda u, v, d: -2.0 * _sigmoid(2.0 * u, 2.0 * v, 2.0 * d) * (f.tanh(u) + f.tanh(v))),
        ("arctan", lambda v: 0.5 + _of_its_size(v), lambda u, v, d: f.arctan2(d, 1.0 + u * v)),
    )},
    "cos": _even("cos", lambda u, v, d: f.neg(f.sin(v) * f.sin(d) + _half_angle(d) * f.cos(v))),
}


def _row(m: Match) -> Node | None:
    return difference(*m.WHOLE.inputs)


def _of_powers_over_one(m: Match) -> Node | None:
    """Of two quotients by one divisor, where powers are above."""
    return _row(m) if m.A.op.name == m.B.op.name and m.A.op.name in ("square", "pow") else None


def _log_of_quotient(m: Match) -> Node | None:
    """log(a/b) = log1p((a - b)/b) = -log1p((b - a)/a): the one that divides by what is smaller cancels nowhere."""
    d = difference(m.A, m.B)
    if d is None or m.A.op.name == "const":
        return None
    above = f.ge(f.abs(m.A), f.abs(m.B))
    size = f.log1p(f.where(above, d, f.neg(d)) / f.where(above, m.B, m.A))
    return f.where(above, size, f.neg(size))


LIMITS: dict[str, Any] = {  # ulps, and the scale of the error where it is absolute
    "exp": {"ulps": 8.0}, "sin": {"ulps": 4.0, "scale": 1.0}, "cos": {"ulps": 4.0, "scale": 1.0},
    "cbrt": {"exceptions": "0, where it has no slope", "excepted": lambda a: a == 0},
}
RULES: tuple[Rule, ...] = (
    *(rule(f"difference_of_{name}", getattr(op, name)(A) - getattr(op, name)(B), _row, STABLE, last=True, inside=True,
           **{"ulps": 16.0, **LIMITS.get(name, {})}) for name in DIFFERENCES if name != "neg"),
    rule("difference_of_powers", op.pow(A, D) - op.pow(B, D), _row, STABLE, last=True, inside=True, ulps=64.0),
    rule("difference_of_powers_of_one", op.pow(A, P) - op.pow(B, P), _row, STABLE, last=True, inside=True, ulps=750.0,
         exceptions="powers that overflow", excepted=lambda a: abs(a) > 30),
    rule("log_of_quotient", op.log(A / B), _log_of_quotient, STABLE, last=True, inside=True, ulps=4.0,
         exceptions="numbers so large that the inverse of the quotient overflows", excepted=lambda a: abs(a) > 2.0**126),
    rule("difference_of_log1p_and_log", op.log1p(A) - op.log(B), _row, STABLE, last=True, inside=True, ulps=8.0),
    rule("difference_of_log_and_log1p", op.log(A) - op.log1p(B), _row, STABLE, last=True, inside=True, ulps=8.0),
    rule("difference_of_choices", op.where(CONDITION, 0, A) - op.where(P, 0, B), _row, STABLE, last=True, inside=True, ulps=16.0),
    rule("difference_of_powers_over_one", (A / X) - (B / X), _of_powers_over_one, STABLE, last=True, inside=True, ulps=16.0),
    rule("difference_of_sums", (X + A) - (X + B), _row, STABLE, last=True, inside=True),
    rule("difference_of_multiples", (X * A) - (X * B), _row, STABLE, last=True, inside=True),
    rule("difference_of_cubes", op.square(A) * A - op.square(B) * B, _row, STABLE, last=True, inside=True, ulps=8.0,
         exceptions="0, where the slope is 0", excepted=lambda a: a == 0),
    rule("difference_of_quotients", (X / A) - (X / B), _row, STABLE, last=True, inside=True, ulps=8.0),
)
