"""Polynomials of sizes: arithmetic, evaluation, text."""
from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import ClassVar, NamedTuple, Union

from ..errors import InternalError


class Symbol(NamedTuple):
    """The unknown size of an axis, by name; every symbol is a non-negative integer other than 1."""

    name: str


class Opaque(NamedTuple):
    """`op(left, right)`, one of `//`, `%`, `min`, `max`, of sizes that have no polynomial form for it."""

    op: str
    left: Size
    right: Size


Atom = Symbol | Opaque
Monomial = tuple[Atom, ...]  # sorted, with repetition: (n, n, m) is n*n*m
Terms = tuple[tuple[Monomial, int], ...]  # each monomial once, with its coefficient, which is not 0


def _atom_key(atom: Atom) -> tuple[int, str]:
    return (len(atom), str(atom))


class SizeExpr:
    """An interned polynomial; arithmetic gives an int whenever no atom is left."""

    __slots__ = ("__weakref__", "_text", "terms")
    terms: Terms
    _text: str | None

    _table: ClassVar[weakref.WeakValueDictionary[Terms, SizeExpr]] = weakref.WeakValueDictionary()
    _lock = threading.Lock()

    def __add__(self, other: Size) -> Size:
        terms = dict(self.terms)
        for monomial, coefficient in _terms(other):
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return _make(terms)

    __radd__ = __add__

    def __neg__(self) -> Size:
        return _make({m: -c for m, c in self.terms})

    def __sub__(self, other: Size) -> Size:
        return self + (-other)

    def __rsub__(self, other: Size) -> Size:
        return (-self) + other

    def __mul__(self, other: Size) -> Size:
        terms: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                monomial = tuple(sorted(left + right, key=_atom_key))
                terms[monomial] = terms.get(monomial, 0) + a * b
        return _make(terms)

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[Callable[..., Size], tuple[object, ...]]:
        return (_make, (dict(self.terms),))

    def __str__(self) -> str:
        if self._text is None:
            parts = []
            for monomial, coefficient in sorted(self.terms, key=lambda t: (-len(t[0]), str(t[0]))):
                factors = [_atom_text(a) for a in monomial]
                if abs(coefficient) != 1 or not factors:
                    factors.insert(0, str(abs(coefficient)))
                parts.append((" - " if coefficient < 0 else " + ") + "*".join(factors))
            text = "".join(parts)
            self._text = text[3:] if text.startswith(" + ") else "-" + text[3:]
        return self._text

    __repr__ = __str__


Size = Union[int, SizeExpr]  # noqa: UP007  (a runtime alias that names a class defined above)


_NAMES = {"//": "floordiv", "%": "mod", "min": "min", "max": "max"}
_SPELLED = {name: op for op, name in _NAMES.items()}


def _atom_text(atom: Atom) -> str:
    if isinstance(atom, Symbol):
        return atom.name
    return f"{_NAMES[atom.op]}({atom.left}, {atom.right})"


def _terms(size: Size) -> Iterable[tuple[Monomial, int]]:
    if isinstance(size, SizeExpr):
        return size.terms
    return (((), size),) if size else ()


def _make(terms: Mapping[Monomial, int]) -> Size:
    kept = tuple(sorted(((m, c) for m, c in terms.items() if c), key=lambda t: (len(t[0]), str(t[0]))))
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    with SizeExpr._lock:
        found = SizeExpr._table.get(kept)
        if found is None:
            found = object.__new__(SizeExpr)
            found.terms, found._text = kept, None
            SizeExpr._table[kept] = found
        return found


def symbol(name: str) -> SizeExpr:
    """The size named `name`."""
    made = _make({(Symbol(name),): 1})
    assert isinstance(made, SizeExpr)
    return made


def _opaque(op: str, left: Size, right: Size) -> Size:
    return _make({(Opaque(op, left, right),): 1})


def _without(monomial: Monomial, factors: Monomial) -> Monomial | None:
    """`monomial / factors`, or None where it is no monomial."""
    rest = list(monomial)
    for factor in factors:
        if factor not in rest:
            return None
        rest.remove(factor)
    return tuple(rest)


def _exact_quotient(left: Size, right: Size) -> Size | None:
    """`left / right` where `right` is one term that divides every term of `left`."""
    divisor = list(_terms(right))
    if len(divisor) != 1:
        return None
    factors, scale = divisor[0]
    quotient: dict[Monomial, int] = {}
    for monomial, coefficient in _terms(left):
        rest = _without(monomial, factors)
        if rest is None or coefficient % scale:
            return None
        quotient[rest] = coefficient // scale
    return _make(quotient)


def floordiv(left: Size, right: Size) -> Size:
    """`left // right`, exact where every term of `left` is a multiple of `right`."""
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    quotient = _exact_quotient(left, right)
    return _opaque("//", left, right) if quotient is None else quotient


def mod(left: Size, right: Size) -> Size:
    """`left % right`; 0 where the division is known to be exact."""
    if isinstance(left, int) and isinstance(right, int):
        return left % right
    return _opaque("%", left, right) if _exact_quotient(left, right) is None else 0


def minimum(left: Size, right: Size) -> Size:
    """The smaller of two sizes, without deciding which."""
    if left is right or left == right:
        return left
    difference = left - right
    if isinstance(difference, int):
        return left if difference < 0 else right
    return _opaque("min", *sorted((left, right), key=str))


def maximum(left: Size, right: Size) -> Size:
    """The larger of two sizes, without deciding which."""
    if isinstance(left - right, int):
        return left + right - minimum(left, right)
    return _opaque("max", *sorted((left, right), key=str))


def total(sizes: Iterable[Size]) -> Size:
    """The sum, in time linear in the terms."""
    terms: dict[Monomial, int] = {}
    for size in sizes:
        for monomial, coefficient in _terms(size):
            terms[monomial] = terms.get(monomial, 0) + coefficient
    return _make(terms)


def product(sizes: Iterable[Size]) -> Size:
    """The number of elements of a shape."""
    return prod(sizes, start=1)


_APPLY: dict[str, Callable[[Size, Size], Size]] = {"//": floordiv, "%": mod, "min": minimum, "max": maximum}


def substitute(size: Size, values: Mapping[str, Size]) -> Size:
    """`size` with symbols replaced, by name; an int when every symbol it contains is given as an int."""
    if isinstance(size, int):
        return size
    total: Size = 0
    for monomial, coefficient in size.terms:
        term: Size = coefficient
        for atom in monomial:
            if isinstance(atom, Symbol):
                value = values.get(atom.name)
                term = term * (_make({(atom,): 1}) if value is None else value)
            else:
                term = term * _APPLY[atom.op](substitute(atom.left, values), substitute(atom.right, values))
        total = total + term
    return total


def evaluate(size: Size, values: Mapping[str, int]) -> int:
    """`size` as a number.

    Raises:
        InternalError: a symbol of `size` is not in `values`.
    """
    if isinstance(size, int):
        return size
    result = substitute(size, values)
    if not isinstance(result, int):
        raise InternalError(f"size {size} has symbols without a value; known: {dict(values)}")
    return result


def symbols_of(size: Size) -> set[str]:
    """The names of the symbols in `size`."""
    found: set[str] = set()
    stack: list[Size] = [size]
    while stack:
        current = stack.pop()
        if isinstance(current, SizeExpr):
            for monomial, _ in current.terms:
                for atom in monomial:
                    if isinstance(atom, Symbol):
                        found.add(atom.name)
                    else:
                        stack += [atom.left, atom.right]
    return found


def parse_size(text: str) -> Size:
    """The inverse of `str(size)`.

    Raises:
        ValueError: `text` is not a size.
    """
    import re

    tokens: list[str] = re.findall(r"\d+|\w+|\S", text)
    position = 0

    def take(expected: str | None = None) -> str:
        nonlocal position
        if position >= len(tokens) or (expected is not None and tokens[position] != expected):
            raise ValueError(f"not a size: {text!r}")
        position += 1
        return tokens[position - 1]

    def total() -> Size:
        sign = -1 if position < len(tokens) and tokens[position] == "-" and take() else 1
        result = sign * term()
        while position < len(tokens) and tokens[position] in "+-":
            result = result + term() if take() == "+" else result - term()
        return result

    def term() -> Size:
        result = factor()
        while position < len(tokens) and tokens[position] == "*":
            take()
            result = result * factor()
        return result

    def factor() -> Size:
        token = take()
        if token.isdigit():
            return int(token)
        if not token.isidentifier():
            raise ValueError(f"not a size: {text!r}")
        if position < len(tokens) and tokens[position] == "(":
            take()
            left = total()
            take(",")
            right = total()
            take(")")
            if token not in _SPELLED:
                raise ValueError(f"not a size: {text!r}")
            return _APPLY[_SPELLED[token]](left, right)
        return symbol(token)

    result = total()
    if position != len(tokens):
        raise ValueError(f"not a size: {text!r}")
    return result


# ---------------------------------------------------------------- what forms show
def never_one(size: Size) -> bool:
    """True for a bare symbol: sizes of 1 are never symbols."""
    return isinstance(size, SizeExpr) and len(size.terms) == 1 and linear(size, str(size)) == (1, 0)


def never_negative(size: Size) -> bool:
    """True where the form shows it: sums of products of symbols, which are not negative."""
    return all(c >= 0 and all(isinstance(a, Symbol) or _opaque_never_negative(a) for a in m) for m, c in _terms(size))


def _opaque_never_negative(atom: Opaque) -> bool:
    if atom.op == "%":
        return never_negative(atom.right)
    return never_negative(atom.left) and never_negative(atom.right)


def linear(size: Size, name: str) -> tuple[Size, Size] | None:
    """`(factor, rest)` with `size == factor * name + rest` and `name` in neither; None where there is no such form."""
    atom = Symbol(name)
    factor: dict[Monomial, int] = {}
    rest: dict[Monomial, int] = {}
    for monomial, coefficient in _terms(size):
        without = _without(monomial, (atom,))
        if without is None:
            rest[monomial] = coefficient
        else:
            factor[without] = coefficient
    parts = _make(factor), _make(rest)
    return None if not factor or any(name in symbols_of(part) for part in parts) else parts


def quotients(size: Size) -> list[Opaque]:
    """The divisions and remainders in `size`."""
    return [atom for m, _ in _terms(size) for atom in m if isinstance(atom, Opaque) and atom.op in ("//", "%")]
