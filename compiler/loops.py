"""How loops with carried values are run and differentiated: what the op `scan` of the table says by lazy imports.

The derivatives of a loop are loops again, which walk through its stored states, so no step of it is repeated. Forward, the
tangent is carried, of all inputs at once; of a whole Jacobian for all directions at once, while rows and constants that do not
depend on the direction stay as they are. Backward, the cotangent of the state is carried from the last step to the first; the
cotangents of the rows and of the constants are then computed from all steps at once.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from . import build, sizes
from .batch import batch, repeated
from .bodies import batched_body, body_of, once, simplified_body, stand_in, with_sizes_of
from .build.moving import window
from .differentiate import jvp, vjp, zeros_like
from .interpret import evaluate_nodes
from .ir import Graph, Node, current, execution_order, make, rebuild, toposort, with_inputs
from .sizes import Size, never_negative

__all__ = ["Loop", "batched", "by_steps", "evaluate", "interpreted_step", "keep_what_is_read", "pulled", "pushed", "scan", "tangent",
           "transpose"]

AHEAD = 4  # times the state's elements: what all steps compute ahead may be stored
DEAR = 10.0  # the cost from which on an operation is worth it


def scan(body: Graph, state: Node, rows: Sequence[Node], constants: Sequence[Node], last: bool, names: tuple[str, ...],
         values: tuple[Size, ...]) -> Node:
    """States of a loop: (steps + 1, *state) with the first one, or the last one alone.

    Args:
        state: vectors along the last axis: (*examples, width).
        rows: arrays whose first axis is that of the steps.
        body: inputs are the state, a row of each of `rows`, and the constants; the output is the next state.
        names, values: the size symbols that the body reads, and the sizes of the program around it that they stand for.
    """
    return make("scan", [state, *rows, *constants], body=body, last=last, names=names, values=values, rows=len(rows))


def evaluate(state: Any, *arrays: Any, body: Graph, last: bool, names: tuple[str, ...], values: tuple[int, ...], rows: int,
             steps: Callable[..., Any] | None = None) -> Any:
    """Run a loop, one step after the other; by the interpreter, unless a function for all steps is given (see `entry_spec.steps`)."""
    count = len(arrays[0])
    states = np.empty((2 if last else count + 1, *state.shape), state.dtype)
    states[0] = state
    if count:
        run = steps or by_steps(interpreted_step(body, dict(zip(names, values, strict=True))), rows)
        state = run(states, *arrays, states[1])
    return state if last else states


def by_steps(step: Callable[..., Any], rows: int) -> Callable[..., Any]:
    """A function for all steps, of one for a single step, which reads a row of the first `rows` arrays."""
    def run(states: Any, *arrays: Any) -> Any:
        walked, constants = arrays[:rows], arrays[rows:-1]
        count = len(walked[0])
        every = len(states) == count + 1
        for k, xs in enumerate(zip(*walked, strict=True)):
            states[k + 1 if every else (k + 1) % 2] = step(states[k if every else k % 2], *xs, *constants)
        return states[count if every else count % 2]

    return run


def interpreted_step(body: Graph, bound: dict[str, int]) -> Callable[..., Any]:
    """A step as a function of arrays, by the interpreter."""
    order = execution_order(body.outputs)

    def step(*arrays: Any) -> Any:
        return evaluate_nodes(body.outputs, dict(zip(body.inputs, arrays, strict=True)), bound, order)[0]

    return step


# ------------------------------------------------------------------------------------------------ bodies of derivatives
def _forward_body(body: Graph, moving: tuple[int, ...], rows: int) -> _Split:
    """A step of the state's tangent, with a row of the states, and the tangents of the inputs that change behind those of their kind."""
    state, *others = body.inputs
    tangents = {state: stand_in(state.shape, state.dtype)} | {x: stand_in(x.shape, x.dtype) for x in (body.inputs[k] for k in moving)}
    (after,) = body.outputs
    made = jvp([after], tangents)[0] or zeros_like(after)
    of_rows, of_constants = ([tangents[x] for x in some if x in tangents] for some in (others[:rows], others[rows:]))
    inputs = (tangents[state], state, *others[:rows], *of_rows, *others[rows:], *of_constants)
    directions = {*of_rows, *of_constants}  # there may be many of them at once
    return _split(simplified_body(inputs, made), 1 + rows + len(of_rows), [k for k, x in enumerate(inputs) if x in directions])


def _pullback(body: Graph) -> Graph:
    """The cotangents of a step's floating rows and constants, from the step's inputs and the cotangent of what it returns."""
    targets = [node for node in body.inputs[1:] if node.dtype.kind == "f"]
    cotangent = stand_in(body.inputs[0].shape, body.inputs[0].dtype)
    found = vjp(body.outputs, [cotangent], targets)
    return Graph((*body.inputs, cotangent), tuple(p or zeros_like(x) for p, x in zip(found, targets, strict=True)))


def _backward_body(body: Graph, rows: int, last: bool) -> _Split:
    """A step of the state's cotangent: from that of the state after it, and what the result itself is given where all states are."""
    state = body.inputs[0]
    cotangent, given = (stand_in(state.shape, state.dtype) for _ in range(2))
    before = vjp(body.outputs, [cotangent], [state])[0] or zeros_like(state)
    walked, constants = body.inputs[:1 + rows], body.inputs[1 + rows:]
    if last:
        return _split(simplified_body((cotangent, *walked, *constants), before), 1 + rows, ())
    return _split(simplified_body((cotangent, *walked, given, *constants), given + before), 2 + rows, (2 + rows,))


class _Split(NamedTuple):
    """A step in two parts: `ahead` needs nothing that is carried, and `body` reads its results as rows, behind the `rows` and the
    `constants` (by number) that it still reads. Both have the inputs of a step: state, rows, constants.
    """

    ahead: Graph
    body: Graph
    rows: tuple[int, ...]
    constants: tuple[int, ...]


def _split(whole: Graph, rows: int, apart: Sequence[int]) -> _Split:
    """Take out of a step what it computes at length without the state and the rows and constants at the positions `apart`.

    Computed for all steps at once it is vectors' work, or one product of matrices. What all steps compute may be stored, so what one
    does is at most `AHEAD` times as large as its state, all results together too.
    """
    state, *others = whole.inputs
    (output,) = whole.outputs
    order = toposort([output])
    carried = {state, *(whole.inputs[k] for k in apart)}
    walked, dear = set(others[:rows]) - carried, set()
    room = AHEAD * sizes.product(state.shape)
    for node in order:
        from_rows = any(x in walked for x in node.inputs)
        if any(x in carried for x in node.inputs) or (from_rows and not _at_most(sizes.product(node.shape), room)):
            carried.add(node)
        elif from_rows:
            walked.add(node)
            if node.op.cost >= DEAR or node.op.kind in ("reduce", "contract") or any(x in dear for x in node.inputs):
                dear.add(node)
    read = [x for node in order if node in carried for x in node.inputs] + [output]
    pending, found = [x for x in dict.fromkeys(read) if x in dear], {}
    while pending:
        node = pending.pop()
        size = sizes.product(node.shape)
        if node.op.kind == "movement":
            pending += [x for x in node.inputs if x in dear]
        elif node not in found and _at_most(size, room):
            found[node], room = stand_in(node.shape, node.dtype), room - size
    made = rebuild([output], found)[0] if found else output
    reached = set(toposort([made]))
    kept = tuple(k for k, x in enumerate(others[:rows]) if x in reached) or (() if found else (0,))
    more = tuple(k for k, x in enumerate(others[rows:]) if x in reached)
    inputs = (state, *(others[k] for k in kept), *found.values(), *(others[rows + k] for k in more))
    return _Split(Graph(whole.inputs, tuple(found)), body_of(inputs, made), kept, more)


def _at_most(size: Size, limit: Size) -> bool:
    left = limit - size
    return left >= 0 if isinstance(left, int) else never_negative(left)


# ------------------------------------------------------------------------------------------------ derivatives
class Loop(NamedTuple):
    """What a loop is made of, and the state before each step."""

    body: Graph
    state: Node
    rows: tuple[Node, ...]
    constants: tuple[Node, ...]
    last: bool
    before: Node
    names: tuple[str, ...]
    values: tuple[Size, ...]

    @property
    def steps(self) -> Size:
        return self.rows[0].shape[0]

    def through(self, made: _Split, start: Node, rows: Sequence[Node], constants: Sequence[Node], last: bool) -> Node:
        """The loop of a derivative, through as many rows, whose body reads the same sizes."""
        examples = {stand_in(xs.shape[1:], xs.dtype): xs for xs in rows}
        replaced = dict(zip(made.ahead.inputs[1:], (*examples, *constants), strict=True))
        ahead = batch(rebuild(made.ahead.outputs, replaced, dict(zip(self.names, self.values, strict=True))), examples, self.steps)
        return scan(made.body, start, [*(rows[k] for k in made.rows), *ahead], [constants[k] for k in made.constants], last,
                    self.names, self.values)


def _taken_apart(node: Node) -> Loop:
    body, last, names, values, rows = node.params
    state, *inputs = node.inputs
    states = scan(body, state, inputs[:rows], inputs[rows:], False, names, values)
    return Loop(body, state, tuple(inputs[:rows]), tuple(inputs[rows:]), last, window(states, 0, 0, inputs[0].shape[0]), names, values)


def _from_all_steps(loop: Loop, position: int, cotangents: Node) -> Node:
    """The cotangent of rows, or of a constant, from the cotangents of the states after each step."""
    pullback = once(loop.body, "pullback", lambda: _pullback(loop.body))
    *own, cotangent = pullback.inputs
    every = (loop.before, *loop.rows)
    examples = {stand_in(all_of.shape[1:], all_of.dtype): all_of for all_of in (*every, cotangents)}
    *stand_ins, last = examples
    replaced = dict(zip(own, (*stand_ins, *loop.constants), strict=True)) | {cotangent: last}
    wanted = [k for k, x in enumerate(own) if k and x.dtype.kind == "f"]  # by position: a node may be an input twice
    made = rebuild([pullback.outputs[wanted.index(position)]], replaced, dict(zip(loop.names, loop.values, strict=True)))
    (found,) = batch(made, examples, loop.steps)
    return found if position <= len(loop.rows) else build.reduce("sum", found, (0,))


def tangent(y: Node, dxs: Sequence[Node | None]) -> Node:
    """The tangent of a loop's result, from those of all its inputs (None: zero): one loop, through the states of this one."""
    return pushed(_taken_apart(y), dxs)


def pushed(loop: Loop, dxs: Sequence[Node | None]) -> Node:
    """`tangent` of a loop that was taken apart."""
    count = len(loop.rows)
    moving = tuple(k for k, dx in enumerate(dxs) if k and dx is not None)
    made = once(loop.body, ("forward", count, moving), lambda: _forward_body(loop.body, moving, count))
    of_rows, of_constants = ([dx for dx in some if dx is not None] for some in (dxs[1:1 + count], dxs[1 + count:]))
    start = zeros_like(loop.state) if dxs[0] is None else dxs[0]
    return loop.through(made, start, [loop.before, *loop.rows, *of_rows], [*loop.constants, *of_constants], loop.last)


def transpose(ct: Node, node: Node, position: int) -> Node:
    """The cotangent of one input of a loop, from that of its result."""
    return pulled(_taken_apart(node), ct, position)


def pulled(loop: Loop, ct: Node, position: int) -> Node:
    """`transpose` of a loop that was taken apart."""
    steps, last = loop.steps, loop.last
    final = ct if last else build.reshape(window(ct, 0, steps, 1), loop.state.shape)
    rows = [loop.before, *loop.rows, *([] if last else [window(ct, 0, 0, steps)])]
    count = len(loop.rows)
    backward = once(loop.body, ("backward", count, last), lambda: _backward_body(loop.body, count, last))
    carried = loop.through(backward, final, [build.flip(xs, (0,)) for xs in rows], loop.constants, False)
    if position == 0:
        return build.reshape(window(carried, 0, steps, 1), loop.state.shape)
    return _from_all_steps(loop, position, build.flip(window(carried, 0, 0, steps), (0,)))


# ------------------------------------------------------------------------------------------------ many examples
def batched(node: Node, given: tuple[Node | None, ...], size: Size) -> Node:
    """The loop for many examples: one more axis before the others of the state, and of what else differs between them."""
    body, last, names, values, rows = node.params
    differs = tuple(k == 0 or x is not None for k, x in enumerate(given))
    sizes_read = with_sizes_of(size, names, values)
    state, *inputs = (own if x is None else x for own, x in zip(node.inputs, given, strict=True))
    walked = [build.moveaxis(xs, 0, 1) if apart else xs for xs, apart in zip(inputs[:rows], differs[1:], strict=False)]
    made = scan(batched_body(body, differs, size), state if given[0] is not None else repeated(state, size), walked, inputs[rows:], last,
                **sizes_read)
    return made if last else build.moveaxis(made, 1, 0)


# ------------------------------------------------------------------------------------------------ which states are kept
def keep_what_is_read(outputs: Sequence[Node]) -> list[Node]:
    """The same, where a loop keeps its states only if more than the last one is read, and then runs once for both."""
    order = toposort(outputs)
    views: dict[Node, tuple[Node, int]] = {}  # all states of a loop in any order of axes -> the loop, and the axis of the steps
    final: dict[Node, int] = {}  # what takes the last one from them -> the same axis
    whole = set()
    for node in order:
        if node.op.name == "scan" and not node.param("last"):
            views[node] = node, 0
        for x in node.inputs:
            if x in views:
                loop, axis = views[x]
                if node.op.name == "permute":
                    views[node] = loop, node.param("order").index(axis)
                elif node.op.name == "slice" and node.shape[axis] == 1 and node.param("start")[axis] == loop.inputs[1].shape[0]:
                    final[node] = axis
                else:
                    whole.add(loop)
    whole |= {views[node][0] for node in outputs if node in views}
    made: dict[Node, Node] = {}
    sites = current.sites
    ends = set(map(_but_for_last, whole))
    for node in order:
        current.sites = node.sites
        made[node] = _kept(node, tuple(made[x] for x in node.inputs), views, final, whole, ends)
    current.sites = sites
    return [made[node] for node in outputs]


def _but_for_last(loop: Node) -> tuple[Any, ...]:
    return loop.inputs, *(value for name, value in loop.named_params.items() if name != "last")


def _kept(node: Node, inputs: tuple[Node, ...], views: Mapping[Node, tuple[Node, int]], final: Mapping[Node, int], whole: Set[Node],
          ends: Set[tuple[Any, ...]]) -> Node:
    """One node of `keep_what_is_read`: views of states that nobody else reads have one state."""
    if node in views and views[node][0] is node and node not in whole:
        return build.expand_dims(make(node.op, inputs, **node.named_params | {"last": True}), [0])
    if node in final and views[node.inputs[0]][0] not in whole:
        axis, start = final[node], node.param("start")
        return make(node.op, inputs, **node.named_params | {"start": (*start[:axis], 0, *start[axis + 1:])})
    if node.op.name == "scan" and node.param("last") and _but_for_last(node) in ends:
        states = make(node.op, inputs, **node.named_params | {"last": False})
        return build.reshape(window(states, 0, inputs[1].shape[0], 1), node.shape)
    return node if inputs == node.inputs else with_inputs(node, inputs)
