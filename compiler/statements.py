"""What the statements of a loop nest touch, and the same statements under other names."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from . import ops  # noqa: F401  (declares the ops, whose costs are read)
from .loopnest import Convert, Index, IndexExpr, IndexOp, Let, Load, Loop, Operand, Statement, Store, StoreAdd, names_of, walk
from .op import get

__all__ = [
    "Access", "Body", "Touched", "accesses", "cost", "defines", "innermost", "reads", "rename", "rename_index", "renamed", "resolved",
    "with_accesses",
]

Body = tuple[Statement, ...]
Access = Load | Store | StoreAdd


def accesses(statements: Sequence[Statement]) -> Iterator[tuple[str, tuple[IndexExpr, ...], bool]]:
    """(buffer, index, is it written) of every access."""
    for s in walk(tuple(statements)):
        if isinstance(s, Load):
            yield s.buffer, s.index, False
        elif isinstance(s, Store | StoreAdd):
            yield s.buffer, s.index, True


def innermost(body: Body, around: tuple[str, ...] = ()) -> Iterator[tuple[Access, tuple[str, ...]]]:
    """Each access of a loop that has no other inside, with the indices of the loops around it."""
    inner = [s for s in body if isinstance(s, Loop)]
    for loop in inner:
        yield from innermost(loop.body, (*around, loop.index))
    if around and not inner:
        yield from ((s, around) for s in body if isinstance(s, Access))


def reads(statement: Statement) -> set[str]:
    """The names that a statement (with all it contains) uses, its own included where it is a loop."""
    if isinstance(statement, Let):
        return {a for a in statement.args if isinstance(a, str)}
    found: set[str] = set()
    for s in walk((statement,)):
        if isinstance(s, Let):
            found.update(a for a in s.args if isinstance(a, str))
        elif isinstance(s, Loop):
            found.update(c.initial for c in s.carried if isinstance(c.initial, str))
            found.update(c.update for c in s.carried)
        elif isinstance(s, Convert):
            found.update(names_of(s.index))
        else:
            for index in s.index:
                found.update(names_of(index))
            if isinstance(s, Load):
                found.update([s.when] if s.when else [])
            elif isinstance(s.value, str):
                found.add(s.value)
    return found


def cost(body: Sequence[Statement]) -> float:
    """What statements cost once, in additions."""
    return sum(get(s.op).cost if isinstance(s, Let) else 1.0 for s in walk(tuple(body)))


def defines(statement: Statement) -> set[str]:
    """The names that a statement makes visible after it."""
    if isinstance(statement, Loop):
        return {c.name for c in statement.carried}
    return {statement.target} if isinstance(statement, Let | Load | Convert) else set()


@dataclass
class Touched:
    """The buffers that statements read and write."""

    read: set[str]
    written: set[str]

    @classmethod
    def of(cls, *statements: Statement) -> Touched:
        found = cls(set(), set())
        for buffer, _, is_write in accesses(statements):
            (found.written if is_write else found.read).add(buffer)
        return found

    def conflicts(self, other: Touched) -> bool:
        """Whether the order of the two matters."""
        return not (self.written.isdisjoint(other.read) and self.written.isdisjoint(other.written) and self.read.isdisjoint(other.written))

    def join(self, other: Touched) -> None:
        self.read |= other.read
        self.written |= other.written


def with_accesses(body: Body, change: Callable[[Access], Access]) -> Body:
    """The body with what `change` makes of each access."""
    done: list[Statement] = []
    for s in body:
        if isinstance(s, Loop):
            done.append(replace(s, body=with_accesses(s.body, change)))
        else:
            done.append(change(s) if isinstance(s, Access) else s)
    return tuple(done)


# ------------------------------------------------------------------------------------------------ renaming
def resolved(value: Operand, names: Mapping[str, Operand]) -> Operand:
    """What an operand is called."""
    return names.get(value, value) if isinstance(value, str) else value


def renamed(value: str, names: Mapping[str, Operand]) -> str:
    """What a name is called, which no literal replaces."""
    new = names.get(value, value)
    assert isinstance(new, str)
    return new


def rename_index(index: IndexExpr, names: Mapping[str, Operand]) -> IndexExpr:
    """An index expression with names replaced."""
    if isinstance(index, Index):
        new = names.get(index.name, index.name)
        return Index(new) if isinstance(new, str) else int(new.value)
    if isinstance(index, IndexOp):
        return IndexOp(index.op, rename_index(index.left, names), rename_index(index.right, names))
    return index


def rename(body: Sequence[Statement], names: Mapping[str, Operand]) -> Body:
    """Statements with names (not those that they define) replaced."""
    def operand(value: Operand) -> Operand:
        return resolved(value, names)

    def name(value: str) -> str:
        return renamed(value, names)

    if not names:
        return tuple(body)
    done: list[Statement] = []
    for s in body:
        if isinstance(s, Let):
            args = tuple(map(operand, s.args))
            done.append(s if args == s.args else replace(s, args=args))
        elif isinstance(s, Convert):
            done.append(replace(s, index=rename_index(s.index, names)))
        elif isinstance(s, Load):
            when = None if s.when is None else name(s.when)
            done.append(replace(s, index=tuple(rename_index(i, names) for i in s.index), when=when))
        elif isinstance(s, Store | StoreAdd):
            done.append(replace(s, index=tuple(rename_index(i, names) for i in s.index), value=operand(s.value)))
        else:
            carried = tuple(replace(c, initial=operand(c.initial), update=name(c.update)) for c in s.carried)
            done.append(replace(s, index=name(s.index), body=rename(s.body, names), carried=carried))
    return tuple(done)
