"""`cr.while_loop`: a loop that is traced once, whose length the values decide."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...compiler import build, sizes
from ...compiler.build.moving import window
from ...compiler.errors import ArgumentError, DTypeError, ShapeError
from ...compiler.ir import Node, constant, make, rebuild
from ...compiler.provenance import at, user_site
from ...compiler.trace import Session, active_session, located, wrap
from .bodies import aval, bodies, leaves, outside, packed, packed_dtype, unpacked, vector
from .structure import flatten, is_tensor, leaf_names, unflatten

__all__ = ["while_loop"]

Function = Callable[..., Any]


def while_loop(cond_fun: Function, body_fun: Function, init_val: Any) -> Any:
    """`while cond_fun(val): val = body_fun(val)`, as `jax.lax.while_loop`.

    Inside a decorated function both are traced once, and the loop runs in compiled code, as often as the values say. It has
    derivatives in both modes and of every order: these keep the values of all steps, in memory that grows with them. Under
    `cr.vmap` it runs until all examples are done; those that are done stay as they are. Elsewhere it is a Python loop.

    Args:
        cond_fun: takes what is carried; returns one truth value.
        body_fun: takes what is carried and returns it anew: of the same structure, shapes and dtypes.
        init_val: an array, a number, or a structure of them.

    Raises:
        ArgumentError, ShapeError, DTypeError: what the functions return is not that.
    """
    for function, name in ((cond_fun, "cond_fun"), (body_fun, "body_fun")):
        if not callable(function):
            raise ArgumentError(f"cr.while_loop takes functions, and {name} is {type(function).__name__}{at(user_site())}")
    session = active_session()
    if session is not None:
        with located():
            return _traced(session, cond_fun, body_fun, init_val)
    tree = flatten(init_val, [])
    while _goes(cond_fun(init_val)):
        init_val = body_fun(init_val)
        if len(flatten(init_val, []).children) != len(tree.children):
            raise ArgumentError(f"the body of cr.while_loop returned another structure than it was given{at(user_site())}")
    return init_val


def _goes(value: Any) -> bool:
    array = value._array() if is_tensor(value) else np.asarray(value)
    if array.size != 1:
        raise ShapeError(f"the condition of cr.while_loop must be one truth value, not of shape {array.shape}{at(user_site())}")
    return bool(array.item())


def _traced(session: Session, cond_fun: Function, body_fun: Function, init_val: Any) -> Any:
    cond_fun, body_fun = session.prepare(cond_fun), session.prepare(body_fun)
    tree, carried = leaves(init_val)
    first, weak = [leaf.node for leaf in carried], [leaf.weak for leaf in carried]
    for _ in range(2):  # a second time where a plain number that is carried turns out to be of another dtype
        dtype = packed_dtype(first)
        state = session.placeholder(vector([packed(n, 0, dtype) for n in first], dtype), "state")

        def before(state: Node = state, first: list[Node] = first, weak: list[Any] = weak) -> Any:
            return unflatten(tree, iter([wrap(n, w) for n, w in zip(unpacked(state, first, 0, ()), weak, strict=True)]))

        (goes,) = _truth(cond_fun(before()))
        after_tree, after = leaves(body_fun(before()))
        if after_tree != tree:
            raise ArgumentError(f"the body of cr.while_loop returned another structure than it was given to carry{at(user_site())}: "
                                f"{len(after)} values, not {len(first)}, or in other containers")
        wanted = [new.node.dtype if w is not None else old.dtype for old, new, w in zip(first, after, weak, strict=True)]
        if wanted == [node.dtype for node in first]:
            break
        first = [build.cast(node, d) for node, d in zip(first, wanted, strict=True)]
        weak = [None] * len(first)
    names_of = leaf_names(tree, "init_val")
    made = []
    for name, old, new in zip(names_of, first, after, strict=True):
        node = build.cast(new.node, old.dtype) if new.weak is not None else new.node
        said = f"the body of cr.while_loop was given {aval(old)} for {name} and returned {aval(node)}{at(user_site())}"
        if old.ndim != node.ndim or not all(map(sizes.equal, old.shape, node.shape)):
            raise ShapeError(f"{said}: shapes must stay as they are")
        if old.dtype != node.dtype:
            raise DTypeError(f"{said}: dtypes must stay as they are; cast it, or what the loop starts from")
        made.append(node)
    carries = state.shape[0]
    new_state = vector([packed(n, 0, dtype) for n in made], dtype)
    start = vector([packed(n, 0, dtype) for n in first], dtype)
    (goes_first,), (goes_after,) = (rebuild([goes], {state: given}) for given in (start, new_state))
    whole = session.placeholder(constant(0, dtype, (carries + 1,)), "state")
    row = session.placeholder(constant(0, dtype, (0,)), "row")
    (output,) = rebuild([_with(new_state, goes_after)], {state: window(whole, 0, 0, carries)})
    (body,), constants, names, values = bodies(session, [[output]], [whole, row], outside([output], {whole, row}))
    inputs = [_with(start, goes_first), *constants]
    count = str(session.context.unbacked((body, *inputs)))
    final = make("while", inputs, body=body, names=names, values=values, count=count)
    return unflatten(tree, iter(map(wrap, unpacked(window(final, 0, 0, carries), first, 0, ()))))


def _truth(value: Any) -> tuple[Node]:
    _, found = leaves(value)
    if len(found) != 1 or found[0].node.ndim or found[0].node.dtype.kind != "b":
        shown = ", ".join(aval(leaf.node) for leaf in found) or type(value).__name__
        raise DTypeError(f"the condition of cr.while_loop must return one truth value, bool[], not {shown}{at(user_site())}")
    return (found[0].node,)


def _with(state: Node, goes: Node) -> Node:
    """The state, and behind it whether there is another step."""
    return build.concatenate([state, build.reshape(build.cast(goes, state.dtype), (1,))], 0)
