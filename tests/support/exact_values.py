"""The value of a graph of elementwise ops at given numbers, to hundreds of digits: what floats are compared with.

`value` is None where the graph is undefined over the reals. Infinite or undefined arguments are not taken.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import mpmath
import numpy as np

from chainrule.compiler.ir import Node

DIGITS = 660  # 1 + 1e-300 keeps its second term, and so does a square of it


TOO_LARGE = object()
HUGE = 10_000  # no exponential beyond this is looked at


class _Undefined(Exception):
    """A function outside its domain, or at a pole."""


class _TooLarge(Exception):
    """A number that no float comes near."""


def _real(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        result = function(*args)
        if isinstance(result, mpmath.mpc) or not mpmath.isfinite(result):
            raise _Undefined
        return result

    return call


def _divide(a: Any, b: Any) -> Any:
    if b == 0:
        raise _Undefined
    return a / b


def _log(x: Any) -> Any:
    if x <= 0:
        raise _Undefined
    return mpmath.log(x)


def _log1p(x: Any) -> Any:
    return _log(1 + x)


def _power(x: Any, p: Any) -> Any:
    if (x == 0 and p < 0) or (x < 0 and p != int(p)):
        raise _Undefined
    if x != 0 and abs(p * mpmath.log(abs(x))) > HUGE:  # no power that takes minutes
        return _exp(p * mpmath.log(abs(x))) * (-1 if x < 0 and int(p) % 2 else 1)
    return x ** (int(p) if p == int(p) else p)


def _exp(x: Any) -> Any:
    if x > HUGE:
        raise _TooLarge
    return mpmath.exp(x) if x > -HUGE else mpmath.mpf(0)


def _bounded(function: Callable[[Any], Any], limit: float) -> Callable[[Any], Any]:
    """A function that comes so close to its limits, at +-HUGE, that no digit tells the difference."""
    return lambda x: function(x) if abs(x) < HUGE else mpmath.mpf(limit if x > 0 else -limit)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + _exp(-x)) if x >= 0 else _exp(x) / (1 + _exp(x))


def _softplus(x: Any) -> Any:
    return x + _log(1 + _exp(-x)) if x > 0 else _log(1 + _exp(x))


def _lgamma(x: Any) -> Any:
    if x <= 0 and x == mpmath.floor(x):
        raise _Undefined
    if abs(x) > mpmath.mpf(10) ** 60:
        raise _TooLarge
    return mpmath.re(mpmath.loggamma(x))


def _erfcx_far(x: Any) -> Any:
    """The asymptotic series, to its smallest term or to all digits (DLMF 7.12.1)."""
    total, term, k = mpmath.mpf(1), mpmath.mpf(1), 1
    while k < 2000 and abs(term) > mpmath.mpf(10) ** -DIGITS and k < x * x:
        term *= -(2 * k - 1) / (2 * x * x)
        total += term
        k += 1
    return total / (x * mpmath.sqrt(mpmath.pi))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": _divide,
    "neg": lambda a: -a,
    "square": lambda a: a * a, "reciprocal": lambda a: _divide(mpmath.mpf(1), a), "sqrt": _real(mpmath.sqrt),
    "cbrt": lambda a: mpmath.sign(a) * mpmath.cbrt(abs(a)),
    "rsqrt": lambda a: _divide(mpmath.mpf(1), _real(mpmath.sqrt)(a)), "abs": abs, "sign": mpmath.sign, "exp": _exp,
    "expm1": lambda a: _exp(a) - 1, "exp2": lambda a: _exp(a * mpmath.log(2)),
    "log2": lambda a: _log(a) / mpmath.log(2), "log10": lambda a: _log(a) / mpmath.log(10),
    "log": _log, "log1p": _log1p, "sin": mpmath.sin, "cos": mpmath.cos,
    "tan": mpmath.tan,
    "arcsin": _real(mpmath.asin), "arccos": _real(mpmath.acos), "arctan": mpmath.atan, "arctan2": mpmath.atan2,
    "sinh": lambda a: (_exp(a) - _exp(-a)) / 2, "cosh": lambda a: (_exp(a) + _exp(-a)) / 2,
    "tanh": _bounded(mpmath.tanh, 1), "arcsinh": mpmath.asinh, "arccosh": _real(mpmath.acosh),
    "arctanh": lambda a: _real(mpmath.atanh)(a) if abs(a) != 1 else _divide(a, 0), "erf": _bounded(mpmath.erf, 1),
    "erfc": lambda a: mpmath.erfc(a) if abs(a) < 100 else mpmath.mpf(0 if a > 0 else 2),
    "erfcx": lambda a: _exp(a * a) * mpmath.erfc(a) if a < 100 else _erfcx_far(a),
    "lgamma": _lgamma,
    "sigmoid": _sigmoid, "softplus": _softplus, "log_sigmoid": lambda a: -_softplus(-a),
    "exprel": lambda a: (_exp(a) - 1) / a if a else mpmath.mpf(1),
    "sech_squared": lambda a: 4 * _exp(-2 * abs(a)) / (1 + _exp(-2 * abs(a))) ** 2,
    "sinc": lambda a: mpmath.sin(a) / a if a else mpmath.mpf(1),
    "hypot": lambda a, b: mpmath.sqrt(a * a + b * b), "cathetus": lambda a, b: _real(mpmath.sqrt)(a * a - b * b),
    "logaddexp": lambda a, b: a + _softplus(b - a),
    "maximum": max, "minimum": min, "pow": _power, "where": lambda c, a, b: a if c else b, "stop_gradient": lambda a: a,
    "gt": lambda a, b: a > b, "lt": lambda a, b: a < b, "ge": lambda a, b: a >= b, "le": lambda a, b: a <= b,
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "not_": lambda a: not a, "and_": lambda a, b: a and b,
    "or_": lambda a, b: a or b, "isfinite": lambda a: True, "cast": lambda a: a, "sum_error": lambda a, b: mpmath.mpf(0),
}


def _order(output: Node, known: Collection[Node]) -> list[Node]:
    """What has to be computed, inputs first, when some nodes are known."""
    order: list[Node] = []
    stack = [output]
    while stack:
        node = stack[-1]
        waiting = [i for i in node.inputs if i not in known and i not in order]
        if node in known or node in order or not waiting:
            stack.pop()
            if node not in known and node not in order:
                order.append(node)
        else:
            stack += waiting
    return order


def value(output: Node, arguments: Mapping[Node, Any]) -> Any:
    """The exact value of `output`, all nodes being read as scalars: a mpf or bool.

    None where it is undefined, `TOO_LARGE` where a number on the way is larger than any float by thousands of orders.
    """
    with mpmath.workdps(DIGITS):
        known = {node: number if isinstance(number, bool | mpmath.mpf) else mpmath.mpf(float(number))
                 for node, number in arguments.items()}
        try:
            for node in _order(output, known):
                if node.op.name == "const":
                    number = node.value
                    known[node] = bool(number) if node.dtype.kind == "b" else mpmath.mpf(float(number))
                else:
                    known[node] = _FUNCTIONS[node.op.name](*(known[i] for i in node.inputs))
        except _Undefined:
            return None
        except _TooLarge:
            return TOO_LARGE
        return known[output]


def derivative(output: Node, arguments: Mapping[Node, Any], wrt: Node) -> Any:
    """The exact partial derivative, by a difference at hundreds of digits; None where it is undefined."""
    with mpmath.workdps(DIGITS):
        if value(output, arguments) is None:
            return None
        step = mpmath.mpf(10) ** (-DIGITS // 6)
        sides = []
        for sign in (1, -1):
            moved = {**arguments, wrt: mpmath.mpf(float(arguments[wrt])) + sign * step}
            side = value(output, moved)
            if side is None or side is TOO_LARGE:
                return None
            sides.append(side)
        return (sides[0] - sides[1]) / (2 * step)


def ulps(actual: Any, exact: Any, dtype: Any, scale: float = 0.0) -> float:
    """The distance of a float from an exact value, in units in the last place of it, or of `scale` if that is larger.

    0 where both are beyond overflow.
    """
    info = np.finfo(dtype)
    with mpmath.workdps(DIGITS):
        if np.isnan(actual):
            return float("inf")
        if abs(exact) > mpmath.mpf(float(info.max)) * (1 + mpmath.mpf(float(info.eps)) / 4):
            right = abs(actual) >= info.max and (actual > 0) == (exact > 0)
            return 0.0 if right else float("inf")
        if np.isinf(actual):
            return float("inf")
        size = max(abs(exact), mpmath.mpf(scale))
        exponent = mpmath.floor(mpmath.log(size, 2)) if size else mpmath.mpf(info.minexp)
        unit = mpmath.mpf(2) ** (max(int(exponent), int(info.minexp)) - int(info.nmant))
        return float(abs(mpmath.mpf(float(actual)) - exact) / unit)
