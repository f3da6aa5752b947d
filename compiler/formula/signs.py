"""What is known of a term's value: from its form, and from what the caller promised of arguments."""
from __future__ import annotations

from typing import TYPE_CHECKING

from .terms import Add, Apply, At, Constant, Mul, Number, SizeTerm, Term, postorder, whole

if TYPE_CHECKING:
    from .algebra import Table

__all__ = ["is_integer", "is_nonnegative", "is_positive"]

_POSITIVE, _NONNEGATIVE = 2, 1
# Of functions whose values have one sign for all real arguments: positive, or not below zero.
_VALUES = {"cosh": _POSITIVE, "sigmoid": _POSITIVE, "softplus": _POSITIVE, "abs": _NONNEGATIVE, "arccosh": _NONNEGATIVE,
           "hypot": _NONNEGATIVE}
# Odd functions that have the sign of their argument.
_LIKE_ARGUMENT = frozenset(("sinh", "tanh", "arctan", "arcsinh", "arcsin", "arctanh", "erf", "cbrt", "sign", "log1p", "expm1"))


def is_positive(term: Term) -> bool:
    """Whether the value is known to be above zero."""
    return _sign(term) == _POSITIVE


def is_nonnegative(term: Term) -> bool:
    """Whether the value is known not to be below zero, where it is defined."""
    return _sign(term) >= _NONNEGATIVE


def is_integer(table: Table, term: Term) -> bool:
    """Whether the value is known to be a whole number."""
    match term:
        case Number():
            return whole(term)
        case SizeTerm():
            return True
        case At():
            return "integer" in table.promises.get(term.name, "").split()
        case Add():
            return all(c.denominator == 1 and is_integer(table, t) for c, t in term.items)
        case Mul():
            return not term.bound and term.coefficient.denominator == 1 and all(
                is_integer(table, b) and whole(e) and e.value > 0 for b, e in term.factors)  # type: ignore[attr-defined]
    return False


def _sign(term: Term) -> int:
    """2 positive, 1 not below zero, 0 not known; kept by the table."""
    signs = term.table.signs
    for t in postorder([term], lambda t: t not in signs):
        signs[t] = _own(t, signs)
    return signs[term]


def _own(term: Term, signs: dict[Term, int]) -> int:
    table = term.table
    match term:
        case Number():
            return _POSITIVE if term.value > 0 else _NONNEGATIVE if term.value == 0 else 0
        case Constant():
            return _POSITIVE if term in (table.pi, table.e) else 0
        case SizeTerm():
            return _POSITIVE
        case At():
            promises = table.promises.get(term.name, "").split()
            return _POSITIVE if "positive" in promises else _NONNEGATIVE if "nonnegative" in promises else 0
        case Add():
            parts = [signs[t] if c > 0 else 0 for c, t in term.items]
            return 0 if 0 in parts else max(parts)
        case Mul():
            return min([_power(b, e, signs) for b, e in term.factors], default=_POSITIVE) if term.coefficient > 0 else 0
        case Apply():
            name = term.function.name
            return signs[term.args[0]] if name in _LIKE_ARGUMENT else _VALUES.get(name, 0)
    return 0


def _power(base: Term, exponent: Term, signs: dict[Term, int]) -> int:
    if signs[base] == _POSITIVE or not isinstance(exponent, Number):
        return signs[base]
    if exponent.value.denominator % 2 == 0 or exponent.value.numerator % 2 == 0:
        return _NONNEGATIVE
    return signs[base]
