"""Scalar graphs evaluated with mpmath: the values that floats are compared with.

What an op means is read off the op table: its SymPy name, which is mpmath's as well, or its meaning in other
functions.
"""
from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from . import ops  # noqa: F401  (declares the ops)
from .errors import NotYetError
from .ir import Node, execution_order
from .op import Op

__all__ = ["Undefined", "evaluate", "settled"]

PRECISIONS = (2400, 7200)  # bits; where 1 + 1e-300 must keep its second term, a difference takes three times as many
AGREED = 70  # bits, more than any float has
LARGEST = 2**14  # the base-2 logarithm of what functions are taken of: exp of exp(1e10) would take 1e10 digits
OF_ANYTHING = ("log", "sqrt", "sign")


class Undefined(ArithmeticError):
    """A value that is no real number, or that no precision settles."""


class _Functions:
    """The namespace in which the meanings of ops are written."""

    def __init__(self) -> None:
        import mpmath

        self._mpmath = mpmath
        self.Abs, self.Max, self.Min = abs, max, min

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._mpmath, "ceil" if name == "ceiling" else name)
        return found if name in OF_ANYTHING or not callable(found) or hasattr(found, "_mpf_") else self._bounded(found)

    def _bounded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: function(*map(self.moderate, args))

    def moderate(self, x: Any) -> Any:
        """The number, if it is not too large for functions of it."""
        if x and self._mpmath.mag(x) > LARGEST:
            raise OverflowError("too large a number")
        return x

    def Rational(self, p: int, q: int) -> Any:
        return self._mpmath.mpf(p) / q


@cache
def _namespace() -> Any:
    return _Functions()


_OTHERS: dict[str, Callable[..., Any]] = {  # what mpmath has under no name
    "Eq": operator.eq, "Ne": operator.ne, "Lt": operator.lt, "Le": operator.le, "Gt": operator.gt, "Ge": operator.ge,
    "And": lambda a, b: a and b, "Or": lambda a, b: a or b, "Xor": operator.ne, "Not": operator.not_,
    "where": lambda condition, yes, no: yes if condition else no, "cast": lambda x: x, "Abs": abs, "Max": max, "Min": min,
    "Mod": lambda a, b: a - b * _namespace().floor(a / b), "isnan": lambda x: False, "isinf": lambda x: False, "isfinite": lambda x: True,
}

_POWERS: dict[str, Callable[..., Any]] = {
    "pow": lambda x, exponent: x ** _namespace().moderate(exponent), "exp2": lambda x: 2 ** _namespace().moderate(x),
}


@cache
def _function(op: Op) -> Callable[..., Any]:
    names = op.names
    if op.name in _POWERS:
        return _POWERS[op.name]
    if (meaning := names.exact or names.meaning) is not None:
        return lambda *args: meaning(_namespace(), *args)
    found = _OTHERS.get(names.sympy) or getattr(_namespace(), names.sympy, None)
    if op.kind != "elementwise" or found is None or op.params not in ((), ("dtype",)):
        raise NotYetError(f"{op.name} has no evaluation at high precision: only functions of scalars, made of elementwise operations, have")
    return found


def evaluate(output: Node, arguments: Mapping[Node, Any]) -> Any:
    """The value of a scalar graph at mpmath's current precision.

    Args:
        arguments: a number for each input that is reached.

    Raises:
        Undefined: it is no real number.
        NotYetError: an op is not elementwise.
    """
    import mpmath

    known: dict[Node, Any] = {node: mpmath.mpf(value) for node, value in arguments.items()}
    try:
        for node in execution_order([output]):
            if node in known:
                continue
            if node.op.name == "const":
                value = node.value.item()
                known[node] = value if isinstance(value, bool) else mpmath.mpf(value)
            else:
                known[node] = _function(node.op)(*(known[i] for i in node.inputs))
            if isinstance(known[node], mpmath.mpc) or not (isinstance(known[node], bool) or mpmath.isfinite(known[node])):
                raise Undefined(f"{node.op.name} is no real number")
    except (ZeroDivisionError, ValueError, OverflowError) as error:
        raise Undefined(str(error)) from error
    return known[output]


def settled(output: Node, inputs: Sequence[Node], point: Sequence[float]) -> tuple[Any, list[Any]]:
    """(value, partial derivatives by the inputs) of a scalar graph, to more digits than a float has.

    The derivatives are central differences at the same precision, so that no derivative rule is trusted. Two precisions must
    agree.

    Raises:
        Undefined: they do not, or there is no real value.
    """
    import mpmath

    before: list[Any] | None = None
    for precision in PRECISIONS:
        with mpmath.workprec(precision):
            centre = [mpmath.mpf(x) for x in point]
            found = [evaluate(output, dict(zip(inputs, centre, strict=True)))]
            for k, x in enumerate(centre):
                step = mpmath.ldexp(abs(x) if x else mpmath.mpf(1), -precision // 3)
                ends = [evaluate(output, dict(zip(inputs, [*centre[:k], x + s, *centre[k + 1:]], strict=True))) for s in (step, -step)]
                found.append((ends[0] - ends[1]) / (2 * step))
            if before is not None and all(abs(a - b) <= mpmath.ldexp(abs(a), -AGREED) for a, b in zip(found, before, strict=True)):
                return found[0], found[1:]
            before = found
    raise Undefined("no precision settles it")
