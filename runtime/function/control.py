"""`cr.scan`: a loop that is traced once, whatever the number of its steps."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...compiler import build, sizes
from ...compiler.build.moving import window
from ...compiler.errors import ArgumentError
from ...compiler.ir import Node, constant, f, rebuild, resolve_params, toposort
from ...compiler.loops import body_of, scan as scan_node
from ...compiler.provenance import at, user_site
from ...compiler.sizes import Size, symbol
from ...compiler.trace import Session, Traced, active_session, as_size, is_traced, lift, located, wrap
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
        leaves: list[Any] = []
        form = flatten(_arrays(y), leaves)
        kept.append(leaves)
    if form is None:
        raise ArgumentError(f"cr.scan{at(user_site())} of no steps: what a step returns is not known")
    return init, unflatten(form, iter([_stacked(leaves) for leaves in zip(*kept, strict=True)]))


def _arrays(value: Any) -> Any:
    """With plain numbers as arrays, so that they are leaves."""
    return _mapped(lambda leaf: np.asarray(leaf), value)


def _stacked(leaves: tuple[Any, ...]) -> Any:
    if not any(map(is_tensor, leaves)):
        return np.stack(leaves)
    from ..tensor import api

    return api.stack(list(leaves))


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """A structure with a function of each number and array in it."""
    if is_tensor(value):
        return value
    if is_traced(value) or isinstance(value, (int, float, np.number, np.bool_, np.ndarray)):
        return function(value)
    if isinstance(value, (tuple, list)):
        items = [_mapped(function, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: _mapped(function, item) for key, item in value.items()}
    return value


# ------------------------------------------------------------------------------------------------ inside a trace
def _leaves(value: Any) -> tuple[Tree, list[Traced]]:
    leaves: list[Any] = []

    def traced(leaf: Any) -> Traced:
        operand = lift(leaf)
        return wrap(operand.node, operand.weak)

    return flatten(_mapped(traced, value), leaves), leaves


def _packed(node: Node, axes: int, dtype: np.dtype[Any]) -> Node:
    """The axes after the first ones as one axis of floats; an integer as two, which hold 32 bits each exactly."""
    lead = node.shape[:axes]
    flat = build.reshape(node, (*lead, sizes.product(node.shape[axes:])))
    if node.dtype.kind in "iu" and node.dtype.itemsize == 8:
        high = f.shift_right(flat, 32)
        low = flat - f.shift_left(high, 32)
        return build.concatenate([build.cast(high, dtype), build.cast(low, dtype)], axes)
    return build.cast(flat, dtype)


def _width(node: Node, axes: int) -> Size:
    whole = node.dtype.kind in "iu" and node.dtype.itemsize == 8
    return sizes.product(node.shape[axes:]) * (2 if whole else 1)


def _vector(parts: list[Node], dtype: np.dtype[Any]) -> Node:
    return build.concatenate(parts, 0) if parts else constant(0, dtype, (0,))


def _unpacked(vector: Node, likes: list[Node], axes: int, lead: tuple[Size, ...]) -> list[Node]:
    """What was packed, from the last axis of a vector (or of a matrix, by rows): in the shapes and dtypes of nodes like it."""
    made = []
    for part, like in zip(build.split(vector, len(lead), [_width(n, axes) for n in likes]), likes, strict=True):
        shape = (*lead, *like.shape[axes:])
        if like.dtype.kind in "iu" and like.dtype.itemsize == 8:
            length = sizes.product(like.shape[axes:])
            high, low = (build.cast(half, like.dtype) for half in build.split(part, len(lead), [length, length]))
            part = f.shift_left(high, 32) + low
        made.append(build.cast(build.reshape(part, shape), like.dtype))
    return made


def _traced(session: Session, step: Step, init: Any, xs: Any, length: Any) -> tuple[Any, Any]:
    step = session.prepare(step)
    tree, carried = _leaves(init)
    rows_tree, rows = _leaves(xs)
    if any(row.node.ndim == 0 for row in rows):
        raise ArgumentError(f"cr.scan{at(user_site())}: xs has a number in it, which has no first axis")
    steps = _steps([row.node.shape[0] for row in rows], None if length is None else as_size(length), sizes.equal)
    xs_nodes = [row.node for row in rows]
    first = [leaf.node for leaf in carried]
    weak = [leaf.weak for leaf in carried]
    for _ in range(2):  # a second time where a plain number that is carried turns out to be of another dtype
        every = [*first, *xs_nodes]
        dtype = np.dtype(np.float32 if every and all(n.dtype == np.float32 for n in every) else np.float64)
        state = session.placeholder(_vector([_packed(n, 0, dtype) for n in first], dtype), "state")
        packed = [_packed(node, 1, dtype) for node in xs_nodes]
        matrix = build.concatenate(packed, 1) if packed else constant(0, dtype, (steps, 0))
        row = session.placeholder(constant(0, dtype, matrix.shape[1:]), "row")
        before = [wrap(n, w) for n, w in zip(_unpacked(state, first, 0, ()), weak, strict=True)]
        elements = [wrap(n) for n in _unpacked(row, xs_nodes, 1, ())]
        returned, y = _pair(step(unflatten(tree, iter(before)), unflatten(rows_tree, iter(elements))))
        after_tree, after = _leaves(returned)
        y_tree, kept = _leaves(y)
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
    width, more = state.shape[0], sum((_width(n, 0) for n in y_nodes), 0)
    outputs = [*(_packed(leaf.node, 0, dtype) for leaf in after), *(_packed(n, 0, dtype) for n in y_nodes)]
    equal = dict(session.context.equal_to)  # sizes that the step found equal have one form in its program

    def stand_in(shape: tuple[Size, ...], dtype: np.dtype[Any], name: str) -> Node:
        return session.placeholder(constant(0, dtype, resolve_params(shape, equal)), name)

    whole, one_row = stand_in((width + more,), dtype, "state"), stand_in(row.shape, dtype, "row")
    constants = _outside(outputs, {state, row})
    replaced = {node: stand_in(node.shape, node.dtype, "outside") for node in constants}
    ends = [whole, one_row, *replaced.values()]
    replaced |= {state: window(whole, 0, 0, resolve_params(width, equal)), row: one_row}
    made = rebuild([_vector(outputs, dtype)], replaced, equal or None)
    context, sizes.active.context = sizes.active.context, None
    try:
        (output,) = session.rewrite(made)
    finally:
        sizes.active.context = context
    body = body_of(ends, output)
    start = _vector([*(_packed(n, 0, dtype) for n in first), *([constant(0, dtype, (more,))] if y_nodes else [])], dtype)
    names = tuple(body.symbols())
    states = scan_node(body, start, [matrix], constants, not y_nodes, names, tuple(map(symbol, names)))
    final = states if not y_nodes else build.reshape(window(states, 0, steps, 1), (width + more,))
    carried = _unpacked(window(final, 0, 0, width), first, 0, ())
    rows = window(window(states, 0, 1, steps), 1, width, more) if y_nodes else None
    stacked = _unpacked(rows, y_nodes, 0, (steps,)) if rows is not None else []
    return unflatten(tree, iter(map(wrap, carried))), unflatten(y_tree, iter(map(wrap, stacked)))


def _outside(outputs: list[Node], inside: set[Node]) -> list[Node]:
    """What the step reads of the program around it: the largest parts that do not depend on the step."""
    depends = set(inside)
    order = toposort(outputs)
    for node in order:
        if any(item in depends for item in node.inputs):
            depends.add(node)
    read = [item for node in order if node in depends for item in node.inputs] + outputs
    return [n for n in dict.fromkeys(read) if n not in depends and n.op.name not in ("const", "iota", "size")]

