"""Index-set splitting: a loop cut where the truth of its masks changes.

A shifted slice, a pad, a concatenation or a triangle becomes a mask such as `i < n - 1` in the loop over its result. In
each stretch between two places where a mask changes, every mask is known: selections and conditional loads disappear
there, and what is left of the interior is a plain loop. The values are the same, operation for operation.
"""
from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from .loopnest import (
    Convert,
    Index,
    IndexExpr,
    IndexOp,
    Let,
    Literal,
    Load,
    Loop,
    Operand,
    Statement,
    Store,
    StoreAdd,
    names_of,
    walk,
)
from .sizes import Size, SizeExpr, Symbol, evaluate, substitute, symbol, symbols_of

__all__ = ["Peeled", "Segment", "peel"]

MOST_POINTS = 64
GROWTH = 4  # the segments of a loop have at most so many times its statements
BOOL = np.dtype(bool)
# (points behind the value compared with, truth before, between and behind them) of `index op value`
_RUNS = {"lt": ((0,), (True, False)), "ge": ((0,), (False, True)), "le": ((1,), (True, False)), "gt": ((1,), (False, True)),
         "eq": ((0, 1), (False, True, False)), "ne": ((0, 1), (True, False, True))}
_JOINING = ("and_", "or_", "not_")
_MIRRORED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a loop: up to `stop` (None: to the end), of `length` iterations at most (None: not known)."""

    stop: IndexExpr | None
    length: int | None
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Peeled:
    """The segments of a loop, in order; they hold where each stop in `unproven` is no less than the one before it."""

    segments: tuple[Segment, ...]
    unproven: tuple[tuple[IndexExpr, IndexExpr], ...]

    @property
    def fixed(self) -> bool:
        """Whether nearly all is a matter of single elements at places that are known."""
        inner = self.segments[:-1]
        return len(inner) > 3 and all(isinstance(s.stop, int) and s.length == 1 for s in inner)


@dataclass(frozen=True, slots=True)
class _Linear:
    """Whole multiples of index names, plus a size."""

    names: tuple[tuple[str, int], ...]
    size: Size

    def plus(self, other: _Linear, factor: int = 1) -> _Linear:
        names = dict(self.names)
        for name, count in other.names:
            names[name] = names.get(name, 0) + factor * count
        return _Linear(tuple(sorted((n, c) for n, c in names.items() if c)), self.size + other.size * factor)

    def guess(self) -> float:
        """A value at typical sizes, to sort by."""
        values = {name: 1000 + 10 * k for k, name in enumerate(sorted(symbols_of(self.size)))}
        return evaluate(self.size, values) + sum(500 * count for _, count in self.names)

    def as_integer(self) -> int | None:
        return self.size if not self.names and isinstance(self.size, int) else None

    def expression(self) -> IndexExpr:
        total: IndexExpr = self.size
        for name, count in self.names:
            term: IndexExpr = Index(name) if count == 1 else IndexOp("*", Index(name), count)
            total = term if total == 0 else IndexOp("+", term, total)
        return total


def _linear(index: IndexExpr, meaning: Mapping[str, IndexExpr]) -> _Linear | None:
    """An index expression as a linear form; `meaning` of names that were converted from an index."""
    total, stack = _Linear((), 0), [(index, 1)]
    while stack:
        item, factor = stack.pop()
        if isinstance(item, Index):
            if item.name in meaning:
                stack.append((meaning[item.name], factor))
            else:
                total = total.plus(_Linear(((item.name, 1),), 0), factor)
        elif isinstance(item, IndexOp):
            if item.op in "+-":
                stack += [(item.left, factor), (item.right, factor if item.op == "+" else -factor)]
            elif item.op == "*" and isinstance(item.right, int):
                stack.append((item.left, factor * item.right))
            else:
                return None
        else:
            total = total.plus(_Linear((), item), factor)
    return total


@dataclass(frozen=True, slots=True)
class _Mask:
    """A comparison of the loop variable: its truth before, between and behind its points."""

    name: str
    points: tuple[_Linear, ...]
    truths: tuple[bool, ...]


def peel(loop: Loop, meaning: Mapping[str, IndexExpr]) -> Peeled | None:
    """The segments of a loop between the places where a mask of its body changes; None where there are none.

    Args:
        meaning: of each int64 name that is visible before the loop and was converted from an index.
    """
    updates = {c.update for s in walk((loop,)) if isinstance(s, Loop) for c in s.carried}
    joined = [s for s in walk(loop.body) if isinstance(s, Let) and s.op in _JOINING and s.dtype == BOOL and s.target not in updates]
    masks = [mask for mask in _masks(loop, meaning) if mask.name not in updates]
    start, end = _Linear((), 0), _Linear((), loop.extent)
    first = {point: _is_never_negative(start.plus(point, -1), loop.extent) for mask in masks for point in mask.points}
    points = sorted((p for p, at_start in first.items() if not at_start
                     and not _is_never_negative(p.plus(end, -1), loop.extent)), key=_Linear.guess)
    if not 0 < len(points) <= MOST_POINTS:
        return None
    position = {point: k for k, point in enumerate(points)}
    live = {c.update for c in loop.carried}
    room = GROWTH * sum(1 for _ in walk(loop.body)) + 100
    segments: list[Segment] = []
    for number in range(len(points) + 1):
        known: dict[str, Operand] = {}
        for mask in masks:
            passed = sum(position[p] < number if p in position else first[p] for p in mask.points)
            known[mask.name] = Literal(mask.truths[passed], BOOL)
        for let in joined:
            truth = _folded(let.op, [known.get(a, a) if isinstance(a, str) else a for a in let.args])
            if truth is not None:
                known[let.target] = truth
        body = _specialised(_needed(loop.body, live, known), known, updates)
        room -= sum(1 for _ in walk(body))
        if room < 0:
            return None
        low, high = start if number == 0 else points[number - 1], points[number] if number < len(points) else end
        segments.append(Segment(None if high is end else high.expression(), high.plus(low, -1).as_integer(), body))
    return Peeled(tuple(segments), tuple((left.expression(), right.expression()) for left, right in pairwise(points)
                                         if not _is_never_negative(right.plus(left, -1), loop.extent)))


def _masks(loop: Loop, meaning: Mapping[str, IndexExpr]) -> Iterator[_Mask]:
    """The comparisons at the level of the loop's body that only the loop variable decides."""
    known = dict(meaning)
    varying = {name for s in walk(loop.body) for name in _defined(s)}
    for s in loop.body:
        if isinstance(s, Convert):
            known[s.target] = s.index
            varying.discard(s.target)
        elif isinstance(s, Let) and s.op in _RUNS:
            left, right = (_linear(index, known) if (index := _compared(a, known)) is not None else None for a in s.args)
            if left is None or right is None:
                continue
            apart = left.plus(right, -1)
            difference = dict(apart.names)
            slope = difference.pop(loop.index, 0)
            if abs(slope) == 1 and not difference.keys() & varying:
                rest = _Linear(tuple(sorted(difference.items())), apart.size)
                shifts, truths = _RUNS[s.op if slope == 1 else _MIRRORED[s.op]]
                at = _Linear((), 0).plus(rest, -slope)
                yield _Mask(s.target, tuple(at.plus(_Linear((), shift)) for shift in shifts), truths)


def _compared(operand: Operand, known: Mapping[str, IndexExpr]) -> IndexExpr | None:
    """An operand as an index expression."""
    if isinstance(operand, Literal):
        return int(operand.value) if operand.dtype.kind == "i" else None
    return known.get(operand)


def _defined(statement: Statement) -> tuple[str, ...]:
    if isinstance(statement, Loop):
        return (statement.index, *(c.name for c in statement.carried))
    return (statement.target,) if isinstance(statement, Let | Load | Convert) else ()


def _is_never_negative(form: _Linear, extent: Size) -> bool:
    """Whether the form shows it, for a loop that runs: an extent of at least 1 says something about its symbol."""
    if form.names or isinstance(form.size, int):
        return not form.names and form.as_integer() is not None and form.size >= 0  # type: ignore[operator]
    least: dict[str, Size] = {}
    symbols = symbols_of(extent)
    if len(symbols) == 1 and not isinstance(extent, int):
        (name,) = symbols
        at_zero, at_one = evaluate(extent, {name: 0}), evaluate(extent, {name: 1})
        slope = at_one - at_zero
        if slope > 0 and extent == symbol(name) * slope + at_zero:
            low = max(0, -((at_zero - 1) // slope))
            least[name] = symbol(name) + (2 if low == 1 else low)  # no symbol is 1
    shifted = substitute(form.size, least)
    terms = shifted.terms if isinstance(shifted, SizeExpr) else (((), shifted),)
    return all(c >= 0 and all(isinstance(atom, Symbol) for atom in monomial) for monomial, c in terms)


# ------------------------------------------------------------------------------------------------ bodies of segments
def _folded(op: str, args: Sequence[Operand]) -> Operand | None:
    """What a selection, or a conjunction of bools, amounts to where a condition is known."""
    first = args[0]
    if op == "where" and isinstance(first, Literal):
        return args[1] if first.value else args[2]
    if op == "not_" and isinstance(first, Literal):
        return Literal(not first.value, BOOL)
    if op in ("and_", "or_"):
        for this, other in ((first, args[1]), (args[1], first)):
            if isinstance(this, Literal):
                return other if bool(this.value) == (op == "and_") else this
    return None


def _needed(body: Sequence[Statement], live: Collection[str], known: Mapping[str, Operand]) -> list[Statement]:
    """The statements that a write, or a name in `live`, depends on where some names are known."""
    used, done = set(live), list[Statement]()
    for s in reversed(body):
        if isinstance(s, Loop):
            inner = _needed(s.body, {c.update for c in s.carried}, known)
            if not used.intersection(c.name for c in s.carried) and not any(isinstance(w, Store | StoreAdd) for w in walk(tuple(inner))):
                continue
            s = replace(s, body=tuple(inner))
            for each in walk((s,)):
                used.update(_read(each, known))
        elif isinstance(s, Let | Load | Convert) and (s.target not in used or s.target in known):
            continue
        else:
            used.update(_read(s, known))
        done.append(s)
    return done[::-1]


def _read(statement: Statement, known: Mapping[str, Operand]) -> Iterator[str]:
    """The names that a statement uses where some are known; of a loop, those of its head."""
    operands: Sequence[Operand | None] = ()
    indices: tuple[IndexExpr, ...] = ()
    if isinstance(statement, Let):
        operands = statement.args
        condition = known.get(operands[0]) if statement.op == "where" and isinstance(operands[0], str) else None
        if isinstance(condition, Literal):
            operands = operands[1:2] if condition.value else operands[2:]
    elif isinstance(statement, Loop):
        operands = [o for c in statement.carried for o in (c.initial, c.update)]
    elif isinstance(statement, Load):
        when = known.get(statement.when) if statement.when is not None else None
        if not isinstance(when, Literal) or when.value:
            operands, indices = (statement.when,), statement.index
    elif isinstance(statement, Convert):
        indices = (statement.index,)
    else:
        operands, indices = (statement.value,), statement.index
    for name in (*(o for o in operands if isinstance(o, str)), *(n for index in indices for n in names_of(index))):
        yield from (new,) if isinstance(new := known.get(name, name), str) else ()


def _specialised(body: Sequence[Statement], known: dict[str, Operand], kept: Collection[str]) -> tuple[Statement, ...]:
    """The statements where some names are known; names in `kept` stay defined. Adds to `known` what follows."""

    def operand(value: Operand) -> Operand:
        return known.get(value, value) if isinstance(value, str) else value

    def place(index: tuple[IndexExpr, ...]) -> tuple[IndexExpr, ...]:
        return tuple(_replaced(each, known) for each in index)

    done: list[Statement] = []
    for s in body:
        if isinstance(s, Let):
            if any(a in known for a in s.args if isinstance(a, str)):
                s = Let(s.target, s.op, tuple(map(operand, s.args)), s.dtype, s.reassociate)
            chosen = _folded(s.op, s.args) if s.op == "where" else None
            if chosen is not None and s.target not in kept:
                known[s.target] = chosen
                continue
            if chosen is not None:  # what it does not choose may be gone
                s = Let(s.target, "where", (s.args[0], chosen, chosen), s.dtype)
        elif isinstance(s, Load):
            when = None if s.when is None else operand(s.when)
            if isinstance(when, Literal) and not when.value:
                assert s.otherwise is not None
                if s.target not in kept:
                    known[s.target] = s.otherwise
                    continue
                s = Let(s.target, "where", (when, s.otherwise, s.otherwise), s.otherwise.dtype)
            elif isinstance(when, Literal):
                s = Load(s.target, s.buffer, place(s.index))
            else:
                s = Load(s.target, s.buffer, place(s.index), when, s.otherwise)
        elif isinstance(s, Convert):
            s = Convert(s.target, _replaced(s.index, known))
        elif isinstance(s, Store | StoreAdd):
            s = type(s)(s.buffer, place(s.index), operand(s.value))
            if isinstance(s, StoreAdd) and isinstance(s.value, Literal) and s.value.value == 0:
                continue  # a sum starts as 0, which adding 0 does not change
        else:
            carried = tuple(replace(c, initial=operand(c.initial)) for c in s.carried)
            s = replace(s, carried=carried, body=_specialised(s.body, known, kept))
        done.append(s)
    return tuple(done)


def _replaced(index: IndexExpr, known: Mapping[str, Operand]) -> IndexExpr:
    if isinstance(index, Index):
        value = known.get(index.name, index.name)
        return Index(value) if isinstance(value, str) else int(value.value)
    if isinstance(index, IndexOp):
        return IndexOp(index.op, _replaced(index.left, known), _replaced(index.right, known))
    return index
