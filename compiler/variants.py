"""A second body of a kernel, for an inner axis that is as short as it was in the example.

Points in space have two or three coordinates, and a loop over those inside the loop over pairs keeps everything from being
vectorised. The sizes are symbols all the same: a program is not compiled again for another. So a kernel with a short
innermost loop gets a variant for the example's size, in which that loop is unrolled; the size decides at the call.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from .ir import SHORT
from .loopnest import (
    Convert,
    IndexExpr,
    IndexOp,
    Kernel,
    Let,
    Literal,
    Load,
    Loop,
    Names,
    Operand,
    Statement,
    Store,
    StoreAdd,
    Variant,
)
from .op import Shape
from .ops.rules import INT64
from .sizes import Size, SizeExpr, substitute
from .split import main_loop
from .statements import Body, cost, rename, renamed
from .tidy import tidy

__all__ = ["with_variant"]

LARGEST = 400.0  # what the unrolled body may cost, in additions


def with_variant(kernel: Kernel, shapes: Mapping[str, Shape], short: Mapping[str, int],
                 removable: Collection[str] = ()) -> Kernel:
    """The kernel, with a variant where an inner loop is short in the example.

    Args:
        shapes: of the kernel's buffers, by name.
        short: sizes of the example that are small, by symbol.
        removable: buffers that no other kernel, and nobody afterwards, reads.
    """
    inner = _inner_extents(kernel)
    short = {name: size for name, size in short.items() if name in inner}
    if not short or cost(kernel.body) * max(short.values()) > LARGEST:
        return kernel
    body, _ = _unrolled(_substituted(kernel.body, short), Names.beside(kernel), outermost=True)
    made = tidy(replace(kernel, body=body), set(removable))
    if (made.splittable, made.reduces) != (kernel.splittable, kernel.reduces) or main_loop(made.body) is None:
        return kernel
    strides = [(b.name, axis, count) for b in kernel.buffers
               for axis, count in _dense_strides([substitute(s, short) for s in shapes[b.name]], b.dtype.itemsize)]
    return replace(kernel, variant=Variant(tuple(sorted(short.items())), tuple(strides), made.body))


def _inner_extents(kernel: Kernel) -> set[str]:
    """The extents of innermost loops inside other loops."""
    found: set[str] = set()
    stack = [s for outer in kernel.body if isinstance(outer, Loop) for s in outer.body if isinstance(s, Loop)]
    while stack:
        loop = stack.pop()
        inside = [s for s in loop.body if isinstance(s, Loop)]
        stack += inside
        if not inside:
            found.add(str(loop.extent))
    return found


def _dense_strides(shape: list[Size], itemsize: int) -> list[tuple[int, int]]:
    """(axis, byte stride) of the last axes of an array in C order whose last axis has a known size."""
    strides: list[tuple[int, int]] = []
    count = itemsize
    for axis in reversed(range(len(shape))):
        if not isinstance(shape[-1], int):
            break
        strides.append((axis, count))
        size = shape[axis]
        if not isinstance(size, int):
            break
        count *= size
    return strides


def _substituted(body: Body, values: Mapping[str, int]) -> Body:
    """The statements for given sizes."""
    sizes: dict[str, Size] = dict(values)

    def index(expression: IndexExpr) -> IndexExpr:
        if isinstance(expression, IndexOp):
            return IndexOp(expression.op, index(expression.left), index(expression.right))
        return substitute(expression, sizes) if isinstance(expression, SizeExpr) else expression

    done: list[Statement] = []
    for s in body:
        if isinstance(s, Loop):
            done.append(replace(s, extent=substitute(s.extent, sizes), body=_substituted(s.body, values)))
        elif isinstance(s, Load | Store | StoreAdd):
            done.append(replace(s, index=tuple(map(index, s.index))))
        elif isinstance(s, Convert):
            done.append(replace(s, index=index(s.index)))
        else:
            done.append(s)
    return tuple(done)


def _unrolled(body: Body, names: Names, outermost: bool = False) -> tuple[Body, dict[str, Operand]]:
    """Loops of a short, known extent as straight-line code, but for the outermost ones; and what names became."""
    done: list[Statement] = []
    known: dict[str, Operand] = {}
    for s in body:
        if isinstance(s, Loop):
            inside, ends = _unrolled(s.body, names)
            (s,) = rename((replace(s, body=inside, carried=tuple(replace(c, update=renamed(c.update, ends)) for c in s.carried)),), known)
            assert isinstance(s, Loop)
            if not outermost and isinstance(s.extent, int) and s.extent <= SHORT and not any(isinstance(i, Loop) for i in s.body):
                copies, last = _copies(s, names)
                done += copies
                known.update(last)
                continue
            done.append(s)
        else:
            done += rename((s,), known)
    return tuple(done), known


def _copies(loop: Loop, names: Names) -> tuple[list[Statement], dict[str, Operand]]:
    """The iterations of a loop one after another, and what its carried values are after it."""
    done: list[Statement] = []
    assert isinstance(loop.extent, int)
    carried: dict[str, Operand] = {c.name: c.initial for c in loop.carried}
    ordered = {c.update for c in loop.carried if isinstance(c.initial, Literal)}  # too short for lanes: keeps its order
    for turn in range(loop.extent):
        known: dict[str, Operand] = {**carried, loop.index: Literal(turn, INT64)}
        for s in loop.body:
            (s,) = rename((s,), known)
            if isinstance(s, Let | Load | Convert):
                target = known[s.target] = names.fresh()
                if isinstance(s, Let) and s.target in ordered:
                    s = replace(s, reassociate=False)
                s = replace(s, target=target)
            done.append(s)
        carried = {c.name: known.get(c.update, c.update) for c in loop.carried}
    return done, carried
