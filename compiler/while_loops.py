"""How loops of unknown length are run and differentiated: what the ops `while` and `while_states` say by lazy imports.

The body is that of a `scan` with one array of empty rows, and the last element of the state, of each example, says whether there is another
step. Where a derivative is asked for, the states are kept: how many there are is a size that running tells, and from there on the
loop is a `scan` of so many steps, whose derivatives (`loops`) walk through these states, in both modes.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import build
from .batch import repeated
from .bodies import batched_body, once, simplified_body, stand_in, with_sizes_of
from .build.moving import moveaxis, window
from .ir import Graph, Node, constant, f, make, rebuild, toposort, with_inputs
from .loops import Loop, interpreted_step, pulled, pushed
from .sizes import Size, symbol

__all__ = ["batched", "evaluate", "run_once", "tangent", "transpose", "until"]

FIRST = 64  # states that there is room for at first
AT_ONCE = 1 << 16  # steps, after which Python may interrupt a loop that does not end


def evaluate(state: Any, *constants: Any, body: Graph, names: tuple[str, ...], values: tuple[int, ...], every: bool,
             steps: Callable[..., Any] | None) -> Any:
    """Run a loop until no example wants another step: the last state, or all, the first one included, in room that grows."""
    state = np.asarray(state)
    run = steps or until(interpreted_step(body, dict(zip(names, values, strict=True))))
    if not every:
        states, rows = np.empty((2, *state.shape), state.dtype), np.empty((AT_ONCE, 0), state.dtype)
        while state[..., -1].any():
            states[0] = state
            state = run(states, rows, *constants, states[1])
        return np.array(state)
    states, done = np.empty((FIRST + 1, *state.shape), state.dtype), 0
    states[0] = state
    while states[done, ..., -1].any():
        if done == len(states) - 1:
            more = np.empty((2 * done + 1, *state.shape), state.dtype)
            more[:done + 1] = states
            states = more
        last = run(states[done:], np.empty((len(states) - 1 - done, 0), state.dtype), *constants, states[done + 1])
        done = (last.ctypes.data - states.ctypes.data) // states.strides[0]
    return states[:done + 1].copy()


def until(step: Callable[..., Any]) -> Callable[..., Any]:
    """A function for all steps, of one for a single step: see `entry_spec.steps`."""
    def run(states: Any, rows: Any, *arrays: Any) -> Any:
        count, k = len(rows), 0
        turn = count + 1 if len(states) == count + 1 else 2  # two states take turns
        while k < count and states[k % turn][..., -1].any():
            states[(k + 1) % turn] = step(states[k % turn], rows[0], *arrays[:-1])
            k += 1
        return states[k % turn]

    return run


# ------------------------------------------------------------------------------------------------ derivatives
def _states(node: Node) -> Node:
    """All states of the loop, the first one included."""
    if node.op.name == "while_states":
        return node
    return make("while_states", node.inputs, **node.named_params | {"count": symbol(node.param("count"))})


def _loop(node: Node) -> Loop:
    """The loop as a `scan` through its states, however many."""
    states, (state, *constants) = _states(node), node.inputs
    steps = states.shape[0] - 1
    body, names, values = (node.param(name) for name in ("body", "names", "values"))
    body = once(body, "waiting", lambda: _waiting(body))  # of many examples, some are done before others
    rows, before = (constant(0, state.dtype, (steps, 0)),), window(states, 0, 0, steps)
    return Loop(body, state, rows, tuple(constants), node is not states, before, names, values)


def tangent(node: Node, dxs: Sequence[Node | None]) -> Node:
    """The tangent of the result, from those of all inputs."""
    return pushed(_loop(node), [dxs[0], None, *dxs[1:]])


def transpose(ct: Node, node: Node, position: int) -> Node:
    """The cotangent of one input, from that of the result."""
    return pulled(_loop(node), ct, position and position + 1)


# ------------------------------------------------------------------------------------------------ many examples
def batched(node: Node, given: tuple[Node | None, ...], size: Size) -> Node:
    """The loop for many examples, which goes on while any of them does. Those that are done stay as they are.

    It takes the place of the loop for one example, and with it the symbol of the number of states.
    """
    body, last = node.param("body"), node.op.name == "while"
    differs = (True, False, *(x is not None for x in given[1:]))
    state, *constants = (own if x is None else x for own, x in zip(node.inputs, given, strict=True))
    start = state if given[0] is not None else repeated(state, size)
    whole = batched_body(once(body, "waiting", lambda: _waiting(body)), differs, size)
    made = make(node.op, [start, *constants], body=whole, count=node.param("count"),
                **with_sizes_of(size, node.param("names"), node.param("values")))
    return made if last else moveaxis(made, 1, 0)


def _waiting(body: Graph) -> Graph:
    """A body that keeps the state where it is the last one."""
    state, (after,) = body.inputs[0], body.outputs
    inputs = [stand_in(x.shape, x.dtype) for x in body.inputs]
    (made,) = rebuild([after], dict(zip(body.inputs, inputs, strict=True)))
    axis = state.ndim - 1
    goes = f.ne(window(inputs[0], axis, state.shape[axis] - 1, 1), 0.0)
    return simplified_body(inputs, f.where(build.broadcast_to(goes, state.shape), made, inputs[0]))


# ------------------------------------------------------------------------------------------------ which states are kept
def run_once(outputs: Sequence[Node]) -> list[Node]:
    """The same, where a loop whose states are kept gives its last state, too."""
    order = toposort(outputs)
    kept = {(node.inputs, node.param("body"), node.param("count")) for node in order if node.op.name == "while_states"}
    done: dict[Node, Node] = {}
    for node in order:
        inputs = tuple(done[x] for x in node.inputs)
        made = node if inputs == node.inputs else with_inputs(node, inputs)
        if node.op.name == "while" and (node.inputs, node.param("body"), symbol(node.param("count"))) in kept:
            states = _states(made)
            made = build.reshape(window(states, 0, states.shape[0] - 1, 1), node.shape)
        done[node] = made
    return [done[node] for node in outputs]
