"""Loop fusion, on loop nests: kernels that walk the same outer axis become one pass over it.

Two loops of the same extent may run as one where iteration i of the second touches only what iteration i of the first
wrote: for every buffer that either writes and both touch, one dimension is indexed by the loop variable in every access.
Inside a fused loop the inner loops are fused in turn. A value that was stored for the second loop is then handed over in a
register, and its buffer disappears, or shrinks to the part that one iteration of the outer loop uses.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .loopnest import (
    Buffer,
    Convert,
    Index,
    IndexExpr,
    IndexOp,
    Kernel,
    Let,
    Load,
    Loop,
    Operand,
    Statement,
    Store,
    StoreAdd,
    walk,
)
from .split import with_split

__all__ = ["fuse_kernels"]

Body = tuple[Statement, ...]


# ------------------------------------------------------------------------------------------------ what statements touch
def accesses(statements: Sequence[Statement]) -> Iterator[tuple[str, tuple[IndexExpr, ...], bool]]:
    """(buffer, index, is it written) of every access."""
    for s in walk(tuple(statements)):
        if isinstance(s, Load):
            yield s.buffer, s.index, False
        elif isinstance(s, Store | StoreAdd):
            yield s.buffer, s.index, True


def index_names(index: IndexExpr) -> Iterator[str]:
    """The names in an index expression."""
    stack = [index]
    while stack:
        item = stack.pop()
        if isinstance(item, Index):
            yield item.name
        elif isinstance(item, IndexOp):
            stack += [item.left, item.right]


def reads(statement: Statement) -> set[str]:
    """The names that a statement (with all it contains) uses, its own included where it is a loop."""
    found: set[str] = set()
    for s in walk((statement,)):
        if isinstance(s, Let):
            found.update(a for a in s.args if isinstance(a, str))
        elif isinstance(s, Loop):
            found.update(c.initial for c in s.carried if isinstance(c.initial, str))
            found.update(c.update for c in s.carried)
        elif isinstance(s, Convert):
            found.update(index_names(s.index))
        else:
            for index in s.index:
                found.update(index_names(index))
            if isinstance(s, Load):
                found.update([s.when] if s.when else [])
            elif isinstance(s.value, str):
                found.add(s.value)
    return found


def defines(statement: Statement) -> set[str]:
    """The names that a statement makes visible after it."""
    if isinstance(statement, Loop):
        return {c.name for c in statement.carried}
    return {statement.target} if isinstance(statement, Let | Load | Convert) else set()


def conflicts(first: Sequence[Statement], second: Sequence[Statement]) -> bool:
    """Whether the order of two groups of statements matters, by their buffers."""
    a, b = list(accesses(first)), list(accesses(second))
    written_a, written_b = {n for n, _, w in a if w}, {n for n, _, w in b if w}
    return bool(written_a & {n for n, _, _ in b} or written_b & {n for n, _, _ in a})


# ------------------------------------------------------------------------------------------------ renaming
def rename_index(index: IndexExpr, names: Mapping[str, Operand]) -> IndexExpr:
    if isinstance(index, Index):
        new = names.get(index.name, index.name)
        return Index(new) if isinstance(new, str) else int(new.value)
    if isinstance(index, IndexOp):
        return IndexOp(index.op, rename_index(index.left, names), rename_index(index.right, names))
    return index


def rename(body: Sequence[Statement], names: Mapping[str, Operand]) -> Body:
    """Statements with names (not those that they define) replaced."""
    def operand(value: Operand) -> Operand:
        return _resolved(value, names)

    def name(value: str) -> str:
        return _name(value, names)

    done: list[Statement] = []
    for s in body:
        if isinstance(s, Let):
            done.append(replace(s, args=tuple(map(operand, s.args))))
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


# ------------------------------------------------------------------------------------------------ fusion of loops
def row_local(first: Loop, second: Loop) -> bool:
    """Whether iteration i of the second loop touches only slices i of what the first touches; same loop variable."""
    here = Index(first.index)
    touched: dict[str, list[tuple[tuple[IndexExpr, ...], bool]]] = {}
    for loop in (first, second):
        for buffer, index, is_write in accesses((loop,)):
            touched.setdefault(buffer, []).append((index, is_write))
    in_both = {n for n, _, _ in accesses((first,))} & {n for n, _, _ in accesses((second,))}
    for buffer in in_both:
        found = touched[buffer]
        if any(w for _, w in found) and not any(all(index[k] == here for index, _ in found) for k in range(len(found[0][0]))):
            return False
    return True


def fuse_loops(first: Loop, second: Loop) -> Loop | None:
    """The two as one, or None."""
    if first.extent != second.extent:
        return None
    (second,) = rename((second,), {second.index: first.index})  # type: ignore[assignment]
    if not row_local(first, second):
        return None
    return Loop(first.index, first.extent, fuse_list((*first.body, *second.body)), first.carried + second.carried)


def fuse_list(body: Body) -> Body:
    """Fuse every loop of a list into an earlier one where it may move there."""
    done = list(body)
    position = 0
    while position < len(done):
        loop = done[position]
        if isinstance(loop, Loop):
            for earlier in range(position - 1, -1, -1):
                target = done[earlier]
                if isinstance(target, Loop):
                    moved = _move_up(done, earlier, position)
                    if moved is not None:
                        done = moved
                        position = earlier
                        break
        position += 1
    return tuple(done)


def _move_up(body: list[Statement], earlier: int, later: int) -> list[Statement] | None:
    """The list with loop `later` fused into loop `earlier`, what it needs from between moved before both."""
    target, loop = body[earlier], body[later]
    assert isinstance(target, Loop)
    assert isinstance(loop, Loop)
    needed = reads(loop)
    up: list[Statement] = []
    stay: list[Statement] = []
    for statement in reversed(body[earlier + 1: later]):
        if defines(statement) & needed or conflicts([statement], [*up, loop]):
            up.insert(0, statement)
            needed |= reads(statement)
        else:
            stay.insert(0, statement)
    if defines(target) & needed or conflicts([target, *stay], up):
        return None
    fused = fuse_loops(target, loop)
    if fused is None:
        return None
    return [*body[:earlier], *up, fused, *stay, *body[later + 1:]]


# ------------------------------------------------------------------------------------------------ clean-up of one body
def forward(body: Body, names: dict[str, Operand], stored: Mapping[tuple[str, tuple[IndexExpr, ...]], Operand],
            known: Mapping[tuple[Any, ...], str]) -> Body:
    """Loads of what was just stored become the value; loads and scalar ops that repeat one in scope become that one."""
    stored, known = dict(stored), dict(known)
    done: list[Statement] = []
    for original in body:
        (s,) = rename((original,), names) if not isinstance(original, Loop) else (original,)
        if isinstance(s, Load) and s.when is None and (s.buffer, s.index) in stored:
            names[s.target] = stored[s.buffer, s.index]
        elif isinstance(s, Load | Let | Convert):
            key = (type(s), *(getattr(s, f) for f in s.__slots__ if f != "target"))
            if key in known and not (isinstance(s, Let) and s.reassociate):
                names[s.target] = known[key]
            else:
                known[key] = s.target
                done.append(s)
        elif isinstance(s, Loop):
            written = {n for n, _, w in accesses((s,)) if w}
            _forget(stored, known, written)
            head = replace(s, carried=tuple(replace(c, initial=_resolved(c.initial, names)) for c in s.carried))
            inside = forward(head.body, names, stored, known)
            carried = tuple(replace(c, update=_name(c.update, names)) for c in head.carried)
            done.append(replace(head, body=inside, carried=carried))
        else:
            same = {k: v for k, v in stored.items() if k[0] == s.buffer}
            _forget(stored, known, {s.buffer})
            if isinstance(s, Store):
                stored.update({k: v for k, v in same.items() if _distinct(k[1], s.index)})
                stored[s.buffer, s.index] = s.value
            done.append(s)
    return tuple(done)


def _resolved(value: Operand, names: Mapping[str, Operand]) -> Operand:
    return names.get(value, value) if isinstance(value, str) else value


def _name(value: str, names: Mapping[str, Operand]) -> str:
    new = names.get(value, value)
    assert isinstance(new, str)
    return new


def _distinct(left: tuple[IndexExpr, ...], right: tuple[IndexExpr, ...]) -> bool:
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(left, right, strict=True))


def _forget(stored: dict[Any, Operand], known: dict[tuple[Any, ...], str], written: set[str]) -> None:
    for key in [k for k in stored if k[0] in written]:
        del stored[key]
    for key in [k for k in known if k[0] is Load and k[1] in written]:
        del known[key]


def without_stores(body: Body, dead: set[str]) -> Body:
    """Without writes to buffers that nobody reads, and without loops that then do nothing."""
    done: list[Statement] = []
    for s in body:
        if isinstance(s, Store | StoreAdd) and s.buffer in dead:
            continue
        if isinstance(s, Loop):
            s = replace(s, body=without_stores(s.body, dead))
            if not s.body and not s.carried:
                continue
        done.append(s)
    return tuple(done)


# ------------------------------------------------------------------------------------------------ fusion of kernels
def fuse_kernels(kernels: Sequence[Kernel], kept: set[str]) -> list[Kernel]:
    """Fuse kernels that run one after another, with nothing between them.

    Args:
        kept: buffers that are read by something else later: never removed.
    """
    fused: list[Kernel] = []
    for kernel in kernels:
        for position in range(len(fused) - 1, -1, -1):
            joined = _fuse_pair(fused[position], kernel)
            if joined is not None:
                fused[position] = joined
                break
            if conflicts(fused[position].body, kernel.body):  # it cannot move past this one either
                fused.append(kernel)
                break
        else:
            fused.append(kernel)
    names = [{b.name for b in k.buffers} for k in fused]
    return [_tidy(k, kept.union(*names[:n], *names[n + 1:])) for n, k in enumerate(fused)]


def _fuse_pair(first: Kernel, second: Kernel) -> Kernel | None:
    if not {b.name for b in first.buffers} & {b.name for b in second.buffers}:
        return None
    body = fuse_list((*first.body, *second.body))
    loops = [sum(isinstance(s, Loop) for s in k) for k in (first.body, second.body, body)]
    if loops[2] >= loops[0] + loops[1]:
        return None
    buffers: dict[str, Buffer] = {b.name: b for b in first.buffers}
    for b in second.buffers:
        known = buffers.get(b.name)
        buffers[b.name] = b if known is None else replace(known, written=known.written or b.written)
    sizes = tuple(dict.fromkeys((*first.sizes, *second.sizes)))
    return Kernel(first.name, tuple(buffers.values()), sizes, body)


def _tidy(kernel: Kernel, kept: set[str]) -> Kernel:
    body = forward(kernel.body, {}, {}, {})
    while True:
        loaded = {n for n, _, w in accesses(body) if not w} | {s.buffer for s in walk(body) if isinstance(s, StoreAdd)}
        dead = {b.name for b in kernel.buffers if b.written and b.name not in loaded and b.name not in kept}
        smaller = without_stores(body, dead)
        if smaller == body:
            break
        body = smaller
    used = {n for n, _, _ in accesses(body)}
    return with_split(replace(kernel, body=body, buffers=tuple(b for b in kernel.buffers if b.name in used)))


