"""Symbolic sizes: what the axes of traced arrays are measured in.

A `Size` is a plain int, or a `SizeExpr`: a polynomial with integer coefficients over atoms. An atom is a `Symbol` (the
size of one axis of one input) or an `Opaque` application that no polynomial expresses (floor division, remainder,
minimum, maximum). Expressions are interned: equal forms are the same object, so `is`, `==` and hashing are cheap and a
size may be part of the identity of an IR node.

Whether two *different* forms are equal is a question for a `SizeContext`: it knows the example's sizes (the hints),
answers by them, and records the answer as a `Guard` that every later call must satisfy.
"""
from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import ClassVar, NamedTuple, Union

from .errors import InternalError, ShapeError
from .provenance import Site, user_site

__all__ = [
    "Atom", "Binding", "Guard", "Opaque", "Size", "SizeContext", "SizeExpr", "Symbol", "active", "bind", "bindings",
    "equal", "evaluate", "floordiv", "less", "maximum", "minimum", "mod", "parse_size", "product", "resolve",
    "substitute", "symbol", "symbols_of",
]


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


class Guard(NamedTuple):
    """A comparison of sizes that a call must satisfy for a compiled program to be right for it."""

    op: str  # "==", "!=", "<", ">="
    left: Size
    right: Size
    site: Site | None = None

    def holds(self, values: Mapping[str, int]) -> bool:
        left, right = evaluate(self.left, values), evaluate(self.right, values)
        return {"==": left == right, "!=": left != right, "<": left < right, ">=": left >= right}[self.op]

    def __str__(self) -> str:
        where = f"  ({self.site})" if self.site else ""
        return f"{self.left} {self.op} {self.right}{where}"


UNBACKED = "u"  # the first letter of such a symbol
UNBACKED_HINT = 4096  # an example's value for a size that is not known before the program runs


class SizeContext:
    """The sizes of one trace: symbols with the example's sizes as hints, and the guards that were relied on."""

    def __init__(self) -> None:
        self.hints: dict[str, int] = {}
        self.guards: list[Guard] = []
        self._unbacked: dict[object, Size] = {}
        self.equal_to: dict[str, Size] = {}  # symbol -> what it was found equal to

    def fresh(self, hint: int) -> Size:
        """A new symbol for an axis of size `hint`; size 1 is known to be 1, since it broadcasts."""
        if hint == 1:
            return 1
        name = f"s{len(self.hints)}"
        self.hints[name] = hint
        return symbol(name)

    def unbacked(self, of: object) -> Size:
        """The symbol of a size that only running tells (how many elements of a mask are true), one for each mask."""
        known = self._unbacked.get(of)
        if known is None:
            name = f"{UNBACKED}{len(self._unbacked)}"
            self.hints[name] = UNBACKED_HINT
            known = self._unbacked[of] = symbol(name)
        return known

    def resolve(self, size: Size) -> Size:
        """`size` in terms of the symbols that represent their class of equal ones."""
        while isinstance(size, SizeExpr) and self.equal_to:
            replaced = substitute(size, self.equal_to)
            if replaced is size or replaced == size:
                break
            size = replaced
        return size

    def hint(self, size: Size) -> int:
        """The example's value of `size`."""
        return evaluate(size, self.hints)

    def equal(self, left: Size, right: Size) -> bool:
        """Whether two sizes are equal: by form, or by the hints, and then a guard is recorded.

        After a positive answer both sizes resolve to one form, so that a finished program needs no context: a symbol is
        expressed by the others where that is possible, else the symbols involved are specialised to the example's.
        """
        left, right = self.resolve(left), self.resolve(right)
        if left is right or left == right:
            return True
        difference = left - right
        if isinstance(difference, int):
            return False
        if any(_never_one(a) and b == 1 for a, b in ((left, right), (right, left))):
            return False
        if self.hint(left) != self.hint(right):
            self._record("!=", left, right)
            return False
        self._record("==", left, right)
        self._unify(left, right)
        return True

    def less(self, left: Size, right: Size) -> bool:
        """Whether `left < right`, recorded as a guard where the forms do not tell."""
        left, right = self.resolve(left), self.resolve(right)
        difference = left - right
        if isinstance(difference, int):
            return difference < 0
        if self.hint(left) < self.hint(right):
            self._record("<", left, right)
            return True
        if not _never_negative(difference):
            self._record(">=", left, right)
        return False

    def specialise(self, size: Size) -> int:
        """The number behind `size`; from here on the program is for this number only."""
        size = self.resolve(size)
        if isinstance(size, int):
            return size
        value = self.hint(size)
        self.equal(size, value)
        return value

    def _record(self, op: str, left: Size, right: Size) -> None:
        guard = Guard(op, left, right, user_site())
        if all(guard[:3] != known[:3] for known in self.guards):
            self.guards.append(guard)

    def guards_left(self) -> list[Guard]:
        """The guards in representatives, without those that every size of this form satisfies.

        An equality that was solved for a symbol is gone from them: it is what the inputs' resolved shapes say.
        """
        left: dict[tuple[object, ...], Guard] = {}
        for guard in self.guards:
            resolved = guard._replace(left=self.resolve(guard.left), right=self.resolve(guard.right))
            if not isinstance(resolved.left - resolved.right, int):
                left.setdefault(resolved[:3], resolved)
        return list(left.values())

    def _unify(self, left: Size, right: Size) -> None:
        """Give two sizes with equal hints one form."""
        if self._solve(left - right):
            return
        for atom in _quotients(left - right):
            self._divide(atom.left, atom.right)
        left, right = self.resolve(left), self.resolve(right)
        if left != right and not self._solve(left - right):
            for name in sorted(symbols_of(left - right), key=_age):
                self.specialise(symbol(name))

    def _solve(self, difference: Size) -> bool:
        """Express the youngest symbol for which `difference == 0` can be solved by the others."""
        for name in sorted(symbols_of(difference), key=_age, reverse=True):
            parts = _linear(difference, name)
            if parts is not None and parts[0] in (1, -1):
                self._substitute(name, -parts[0] * parts[1])
                return True
        return False

    def _divide(self, dividend: Size, divisor: Size) -> None:
        """Where an input's axis is a multiple of `divisor` for the example, let a new symbol count how many."""
        for name in sorted(symbols_of(dividend), key=_age):
            parts = _linear(dividend, name)
            if parts is None or parts[1] != 0 or name.startswith(UNBACKED) or name in symbols_of(divisor):
                continue
            count, remainder = divmod(self.hints[name], self.hint(divisor))
            if remainder == 0:
                if dividend != symbol(name):
                    self._record("==", mod(symbol(name), divisor), 0)
                self._substitute(name, divisor * self.fresh(count))
                return

    def _substitute(self, name: str, value: Size) -> None:
        self.equal_to = {k: substitute(v, {name: value}) for k, v in self.equal_to.items()}
        self.equal_to[name] = value


class _Active(threading.local):
    context: SizeContext | None = None


active = _Active()  # the size context of the trace that this thread is in, if any


def equal(left: Size, right: Size) -> bool:
    """Whether two sizes are equal: decided by the active trace's context, else by form alone."""
    if left is right or left == right:
        return True
    return active.context is not None and active.context.equal(left, right)


def resolve(size: Size) -> Size:
    """`size` in the active trace's representatives."""
    return size if active.context is None else active.context.resolve(size)


def less(left: Size, right: Size) -> bool:
    """Whether `left < right`; outside a trace the forms must tell.

    Raises:
        InternalError: there is no active trace and the forms do not tell.
    """
    if active.context is not None:
        return active.context.less(left, right)
    difference = left - right
    if isinstance(difference, int):
        return difference < 0
    if _never_negative(difference):
        return False
    raise InternalError(f"whether {left} < {right} cannot be decided without a trace")


def _never_one(size: Size) -> bool:
    """True for a bare symbol: sizes of 1 are never symbols."""
    return isinstance(size, SizeExpr) and len(size.terms) == 1 and _linear(size, str(size)) == (1, 0)


def _never_negative(size: Size) -> bool:
    """True where the form shows it: sums of products of symbols, which are not negative."""
    return all(c >= 0 and all(isinstance(a, Symbol) or _opaque_never_negative(a) for a in m) for m, c in _terms(size))


def _opaque_never_negative(atom: Opaque) -> bool:
    if atom.op == "%":
        return _never_negative(atom.right)
    return _never_negative(atom.left) and _never_negative(atom.right)


def _age(name: str) -> tuple[bool, int, str]:
    """Symbols in the order of their making; those that only running tells come first, as nothing else binds them."""
    return (not name.startswith(UNBACKED), len(name), name)


def _linear(size: Size, name: str) -> tuple[Size, Size] | None:
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


def _quotients(size: Size) -> list[Opaque]:
    """The divisions and remainders in `size`."""
    return [atom for m, _ in _terms(size) for atom in m if isinstance(atom, Opaque) and atom.op in ("//", "%")]


class Binding(NamedTuple):
    """How a symbol follows from the length of an axis: `(length - rest) // factor`."""

    position: int  # which shape
    axis: int
    factor: Size
    rest: Size


def bindings(shapes: Iterable[Iterable[Size]]) -> Mapping[str, Binding]:
    """For each symbol that the axes of these shapes determine, how; in an order in which they can be computed."""
    return _bindings(tuple(map(tuple, shapes)))


@lru_cache(maxsize=256)
def _bindings(shapes: tuple[tuple[Size, ...], ...]) -> Mapping[str, Binding]:
    found: dict[str, Binding] = {}
    open_axes = [(k, axis, size) for k, shape in enumerate(shapes) for axis, size in enumerate(shape)]
    open_axes.sort(key=lambda item: not _never_one(item[2]))  # bare symbols first: they need no division
    progress = True
    while progress:
        progress, still_open = False, []
        for position, axis, size in open_axes:
            unknown = symbols_of(size) - found.keys()
            parts = _linear(size, next(iter(unknown))) if len(unknown) == 1 else None
            if parts is not None:
                found[unknown.pop()] = Binding(position, axis, *parts)
                progress = True
            elif unknown:
                still_open.append((position, axis, size))
        open_axes = still_open
    return found


def bind(shapes: Sequence[Sequence[Size]], lengths: Sequence[Sequence[int]]) -> dict[str, int]:
    """The values of the symbols in `shapes`, whose axes have these lengths.

    Raises:
        ShapeError: a length contradicts the size of its axis.
    """
    values: dict[str, int] = {}
    for name, (position, axis, factor, rest) in bindings(shapes).items():
        scale = evaluate(factor, values)
        values[name] = (lengths[position][axis] - evaluate(rest, values)) // scale if scale else 0
    for position, (shape, actual) in enumerate(zip(shapes, lengths, strict=True)):
        expected = [evaluate(size, values) for size in shape]
        if expected != list(actual):
            known = ", ".join(f"{name} = {value}" for name, value in values.items()) or "no free size"
            form = ", ".join(map(str, shape))
            raise ShapeError(f"argument {position} has shape {tuple(actual)}; ({form}) is expected, with {known}")
    return values
