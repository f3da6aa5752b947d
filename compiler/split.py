"""Which kernels may run in blocks of their outer loop, and what the blocks must then combine.

Blocks have fixed bounds, and partial results are combined in the order of the blocks, so a result does not depend on how
many threads ran them.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .loopnest import Index, Kernel, Let, Loop, Product, Statement, Store, StoreAdd, walk
from .sizes import Size

__all__ = ["main_extent", "main_loop", "with_split", "work"]

COMBINED_BY = ("add", "mul", "maximum", "minimum", "and_", "or_")  # associative, with the identity as the start


def main_loop(body: Sequence[Statement]) -> Loop | None:
    """The loop that takes the range: the last one of the kernel's outermost level."""
    return next((s for s in reversed(body) if isinstance(s, Loop)), None)


def work(body: Sequence[Statement]) -> Size:
    """How many statements a body runs."""
    loops = [s for s in body if isinstance(s, Loop)]
    return sum((loop.extent * (1 + work(loop.body)) for loop in loops), start=len(body) - len(loops))


def main_extent(kernel: Kernel | Product) -> Size:
    """The end of the range of a kernel's main loop, or of a product's parts; 1 where it has no range."""
    if isinstance(kernel, Product):
        return kernel.parts
    loop = main_loop(kernel.body)
    return loop.extent if kernel.splittable and loop is not None else 1


def _writes(statements: Sequence[Statement]) -> Iterator[Store | StoreAdd]:
    return (s for s in walk(tuple(statements)) if isinstance(s, Store | StoreAdd))


def _folded_by(loop: Loop, name: str) -> str | None:
    """The op that folds a carried value of the loop, where one op does."""
    carried = next((c for c in loop.carried if c.name == name), None)
    while carried is not None:
        lets = {s.target: s for s in loop.body if isinstance(s, Let)}
        update = lets.get(carried.update)
        if update is not None and update.op == "where" and update.args[2] == carried.name:  # some iterations leave it as it is
            update = lets.get(update.args[1]) if isinstance(update.args[1], str) else None
        if update is not None:
            return update.op if carried.name in update.args else None
        inner = next((s for s in loop.body if isinstance(s, Loop) and any(c.name == carried.update for c in s.carried)), None)
        if inner is None:
            return None
        inside = next(c for c in inner.carried if c.name == carried.update)
        if inside.initial != carried.name:
            return None
        loop, carried = inner, inside
    return None


def with_split(kernel: Kernel) -> Kernel:
    """The kernel, with `splittable` and `reduces` as its body allows."""
    found = _analyse(kernel)
    return replace(kernel, splittable=found is not None, reduces=found or ())


def _analyse(kernel: Kernel) -> tuple[tuple[str, str], ...] | None:
    """(accumulated buffer, combining op) of each, or None where blocks would change the result."""
    body = kernel.body
    loop = main_loop(body)
    if loop is None:
        return None
    here, at = Index(loop.index), body.index(loop)
    reduces: dict[str, str] = {}
    for write in _writes([loop]):
        if here in write.index:
            continue
        if not isinstance(write, StoreAdd):
            return None
        reduces[write.buffer] = "or_" if next(b for b in kernel.buffers if b.name == write.buffer).dtype.kind == "b" else "add"
    rows = {w.buffer for w in _writes([loop])} - reduces.keys()
    for s in body[at + 1:]:
        op = _folded_by(loop, s.value) if isinstance(s, Store) and isinstance(s.value, str) else None
        if not isinstance(s, Store) or op not in COMBINED_BY:
            return None
        reduces[s.buffer] = op
    if len({c.name for c in loop.carried}) != sum(isinstance(s, Store) for s in body[at + 1:]):
        return None
    read = {s.buffer for s in walk(body) if not isinstance(s, Let | Loop | Store | StoreAdd) and hasattr(s, "buffer")}
    started = {w.buffer for w in _writes(body[:at])}
    if started - reduces.keys() or read & reduces.keys() or rows & reduces.keys():
        return None
    return tuple(reduces.items())
