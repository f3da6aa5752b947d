"""Temporaries in the memory of a result: a row of exponentials, say, where the row of the softmax will be.

A temporary of one kernel is kept in an array that the kernel writes later, of the same shape and element type, where no
element of that array is written before the element of the temporary was last read. Nothing of the size of the temporary is
then allocated, and the row that is rewritten is still in cache.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from .loopnest import Index, IndexExpr, Kernel, Load, Loop, Statement, Store, StoreAdd
from .op import Shape
from .split import main_loop, with_split
from .statements import Body, Touched, accesses, with_accesses

__all__ = ["in_place"]


def in_place(kernel: Kernel, shapes: Mapping[str, Shape], removable: Collection[str]) -> Kernel:
    """The kernel with temporaries in the memory of its other results, where that is possible.

    Args:
        shapes: of the kernel's buffers, by name.
        removable: buffers that no other kernel, and nobody afterwards, reads.
    """
    written = [b for b in kernel.buffers if b.written and b.rank]
    for temporary in [b for b in written if b.name in removable]:
        for result in written:
            same = result.dtype == temporary.dtype and shapes[result.name] == shapes[temporary.name] and result is not temporary
            if same and any(result is b for b in kernel.buffers) and _may_share(kernel, temporary.name, result.name):
                body = _moved(kernel.body, temporary.name, result.name)
                made = with_split(replace(kernel, body=body, buffers=tuple(b for b in kernel.buffers if b is not temporary)))
                if (made.splittable, made.reduces) == (kernel.splittable, kernel.reduces):
                    kernel = made
                    break
    return kernel


def _may_share(kernel: Kernel, temporary: str, result: str) -> bool:
    loop = main_loop(kernel.body)
    if loop is None:
        return False
    for s in kernel.body:
        touched = Touched.of(s)
        if s is not loop and {temporary, result} & (touched.read | touched.written):
            return False
    found = [(buffer, index, is_write) for buffer, index, is_write in accesses((loop,)) if buffer in (temporary, result)]
    here = Index(loop.index)
    if any(buffer == result and not is_write for buffer, _, is_write in found):
        return False
    if not any(all(index[axis] == here for _, index, _ in found) for axis in range(len(found[0][1]))):
        return False
    touching: dict[str, list[int]] = {temporary: [], result: []}
    for position, s in enumerate(loop.body):
        touched = Touched.of(s)
        for name, positions in touching.items():
            if name in touched.read | touched.written:
                positions.append(position)
    last, first = max(touching[temporary], default=-1), min(touching[result], default=-1)
    return last < first or (last == first and _exchanges(loop.body[first], temporary, result, loop.index))


def _exchanges(statement: Statement, temporary: str, result: str, row: str) -> bool:
    """Whether an innermost loop reads an element of the one before it writes the same element of the other."""
    if not isinstance(statement, Loop):
        return False
    places: set[tuple[IndexExpr, ...]] = set()
    stored = False
    for s in statement.body:
        if isinstance(s, Loop) or (isinstance(s, StoreAdd) and s.buffer in (temporary, result)):
            return False
        if isinstance(s, Load | Store) and s.buffer in (temporary, result):
            places.add(s.index)
            stored |= s.buffer == result
            if s.buffer == temporary and (stored or isinstance(s, Store)):
                return False
    # each iteration has an element of its own
    return len(places) == 1 and {Index(row), Index(statement.index)} <= set(next(iter(places)))


def _moved(body: Body, old: str, new: str) -> Body:
    return with_accesses(body, lambda s: replace(s, buffer=new) if s.buffer == old else s)
