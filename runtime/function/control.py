"""`cr.scan`: a loop that is traced once, whatever the number of its steps."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...compiler import build, sizes
from ...compiler.build.moving import window
from ...compiler.errors import ArgumentError
from ...compiler.ir import Node, constant, rebuild
from ...compiler.loops import scan as scan_node
from ...compiler.provenance import at, user_site
from ...compiler.sizes import Size
from ...compiler.trace import Session, Traced, active_session, as_size, located, wrap
from .bodies import bodies, leaves, mapped_numbers, outside, packed, packed_dtype, unpacked, vector, width
from .structure import Tree, flatten, is_tensor, unflatten

__all__ = ["scan"]

Step = Callable[[Any, Any], tuple[Any, Any]]


def scan(step: Step, init: Any, xs: Any = None, length: Any = None) -> tuple[Any, Any]:
    """A loop with carried values, as `jax.lax.scan`: `carry, y = step(carry, x)` for each `x` along the first axis of `xs`.

    Inside a decorated function the step is traced once, so neither the time to compile nor the program grows with the number
    of steps, and another number of steps compiles nothing. Elsewhere it is a Python loop.

    Args:
        step: takes the carried values and the elements of this step; returns both anew: carried values of the same structure,
            shapes and dtypes, and what is kept of this step (None: nothing).
        init: the first carried values: an array, a number, or a structure of them.
        xs: arrays of one length, or a structure of them; None: `step` gets None, `length` times.
        length: the number of steps; not needed where `xs` is given.

    Returns:
        (the last carried values, what was kept of every step, stacked along a new first axis).

    Raises:
        ArgumentError: lengths that differ or are missing, a step that does not return a pair, or changes what is carried.
    """
    session = active_session()
    if session is None:
        return _loop(step, init, xs, length)
    with located():
        return _traced(session, step, init, xs, length)


def _steps(lengths: list[Any], length: Any, same: Callable[[Any, Any], bool]) -> Any:
    known = [*lengths, *([] if length is None else [length])]
    if not known:
        raise ArgumentError(f"cr.scan{at(user_site())} needs xs or length")
    if not all(same(known[0], other) for other in known[1:]):
        raise ArgumentError(f"cr.scan{at(user_site())}: the lengths {', '.join(map(str, known))} differ")
    return known[0]


def _pair(returned: Any) -> tuple[Any, Any]:
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise ArgumentError(f"the step of cr.scan returned {type(returned).__name__}, not (carry, y){at(user_site())}")
    return returned


def _loop(step: Step, init: Any, xs: Any, length: Any) -> tuple[Any, Any]:
    rows: list[Any] = []
    tree = flatten(xs, rows)
    count = _steps([len(row) for row in rows], length, lambda a, b: bool(a == b))
    kept: list[list[Any]] = []
    form: Tree | None = None
    for k in range(count):
        init, y = _pair(step(init, unflatten(tree, iter([row[k] for row in rows]))))
        kept.append([])
        form = flatten(_arrays(y), kept[-1])
    if form is None:
        raise ArgumentError(f"cr.scan{at(user_site())} of no steps: what a step returns is not known")
    return init, unflatten(form, iter([_stacked(column) for column in zip(*kept, strict=True)]))


def _arrays(value: Any) -> Any:
    """With plain numbers as arrays, so that they are leaves."""
    return mapped_numbers(lambda leaf: np.asarray(leaf), value)


def _stacked(column: tuple[Any, ...]) -> Any:
    if not any(map(is_tensor, column)):
        return np.stack(column)
    from ..tensor import api

    return api.stack(list(column))


# ------------------------------------------------------------------------------------------------ inside a trace
def _traced(session: Session, step: Step, init: Any, xs: Any, length: Any) -> tuple[Any, Any]:
    step = session.prepare(step)
    tree, carried = leaves(init)
    rows_tree, rows = leaves(xs)
    if any(row.node.ndim == 0 for row in rows):
        raise ArgumentError(f"cr.scan{at(user_site())}: xs has a number in it, which has no first axis")
    steps = _steps([row.node.shape[0] for row in rows], None if length is None else as_size(length), sizes.equal)
    xs_nodes = [row.node for row in rows]
    first = [leaf.node for leaf in carried]
    weak = [leaf.weak for leaf in carried]
    for _ in range(2):  # a second time where a plain number that is carried turns out to be of another dtype
        every = [*first, *xs_nodes]
        dtype = packed_dtype(every)
        state = session.placeholder(vector([packed(n, 0, dtype) for n in first], dtype), "state")
        matrix = build.concatenate([packed(n, 1, dtype) for n in xs_nodes], 1) if xs_nodes else constant(0, dtype, (steps, 0))
        row = session.placeholder(constant(0, dtype, matrix.shape[1:]), "row")
        before = [wrap(n, w) for n, w in zip(unpacked(state, first, 0, ()), weak, strict=True)]
        elements = [wrap(n) for n in unpacked(row, xs_nodes, 1, ())]
        returned, y = _pair(step(unflatten(tree, iter(before)), unflatten(rows_tree, iter(elements))))
        after_tree, after = leaves(returned)
        y_tree, kept = leaves(y)
        if after_tree != tree:
            raise ArgumentError(f"the step of cr.scan returned another structure than it was given to carry{at(user_site())}")
        wanted = [new.node.dtype if w is not None else old.dtype for old, new, w in zip(first, after, weak, strict=True)]
        if wanted == [node.dtype for node in first]:
            break
        first = [build.cast(node, d) for node, d in zip(first, wanted, strict=True)]
        weak = [None] * len(first)
    for old, new in zip(first, after, strict=True):
        same = old.ndim == new.node.ndim and all(map(sizes.equal, old.shape, new.node.shape))
        if not same or old.dtype != new.node.dtype:
            raise ArgumentError(f"the step of cr.scan was given {old!r} to carry and returned {new.node!r}{at(user_site())}: shapes "
                                "and dtypes must stay as they are")
    return _joined(session, dtype, state, row, matrix, steps, (tree, first, after), (y_tree, kept))


def _joined(session: Session, dtype: np.dtype[Any], state: Node, row: Node, matrix: Node, steps: Size,
            carry: tuple[Tree, list[Node], list[Traced]], kept: tuple[Tree, list[Traced]]) -> tuple[Any, Any]:
    """The node of the loop, and what is taken from its states."""
    tree, first, after = carry
    y_tree, ys = kept
    y_nodes = [leaf.node for leaf in ys]
    carries, more = state.shape[0], sum((width(n, 0) for n in y_nodes), 0)
    outputs = [*(packed(leaf.node, 0, dtype) for leaf in after), *(packed(n, 0, dtype) for n in y_nodes)]
    whole = session.placeholder(constant(0, dtype, (carries + more,)), "state")
    made = rebuild([vector(outputs, dtype)], {state: window(whole, 0, 0, carries)})
    (body,), constants, names, values = bodies(session, [made], [whole, row], outside(made, {whole, row}))
    start = vector([*(packed(n, 0, dtype) for n in first), *([constant(0, dtype, (more,))] if y_nodes else [])], dtype)
    states = scan_node(body, start, [matrix], constants, not y_nodes, names, values)
    final = states if not y_nodes else build.reshape(window(states, 0, steps, 1), (carries + more,))
    carried = unpacked(window(final, 0, 0, carries), first, 0, ())
    rows = window(window(states, 0, 1, steps), 1, carries, more) if y_nodes else None
    stacked = unpacked(rows, y_nodes, 0, (steps,)) if rows is not None else []
    return unflatten(tree, iter(map(wrap, carried))), unflatten(y_tree, iter(map(wrap, stacked)))
