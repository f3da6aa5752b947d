"""How loops with carried values are run and differentiated: what the op `scan` of the table says by lazy imports.

The derivatives of a loop are loops again. Forward, the tangent is carried beside the state. Backward, the states are
stored, and the cotangent of the state is carried through the rows from the last to the first; the cotangents of the rows
and of the constants are then computed from all steps at once.
"""
from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from . import build
from .batch import batch
from .build.moving import window
from .differentiate import jvp, vjp, zeros_like
from .interpret import evaluate_nodes
from .ir import Graph, Node, constant, execution_order, make, rebuild
from .sizes import Size, symbol, symbols_of

__all__ = ["batched", "body_of", "by_steps", "evaluate", "scan", "tangent", "transpose"]

_serials = count(2)


def scan(body: Graph, state: Node, xs: Node, constants: Sequence[Node], last: bool, names: tuple[str, ...],
         values: tuple[Size, ...]) -> Node:
    """States of a loop: (steps + 1, *state) with the first one, or the last one alone.

    Args:
        state, xs: vectors along the last axis: (*examples, width), and (steps, *examples, width of a row).
        body: inputs are the state, a row of `xs`, and the constants; the output is the next state.
        names, values: the size symbols that the body reads, and the sizes of the program around it that they stand for.
    """
    return make("scan", [state, xs, *constants], body=body, last=last, names=names, values=values)


def evaluate(state: Any, xs: Any, *constants: Any, body: Graph, last: bool, names: tuple[str, ...], values: tuple[int, ...],
             steps: Callable[..., Any] | None = None) -> Any:
    """Run a loop, one step after the other; by the interpreter, unless a function for all steps is given (see `entry_spec.steps`)."""
    states = np.empty((2 if last else len(xs) + 1, *state.shape), state.dtype)
    states[0] = state
    if len(xs):
        run = steps or by_steps(_interpreted(body, dict(zip(names, values, strict=True))))
        state = run(states, xs, *constants, states[1])
    return state if last else states


def by_steps(step: Callable[..., Any]) -> Callable[..., Any]:
    """A function for all steps, of one for a single step."""
    def run(states: Any, xs: Any, *more: Any) -> Any:
        *constants, _ = more
        every = len(states) == len(xs) + 1
        for k, x in enumerate(xs):
            states[k + 1 if every else (k + 1) % 2] = step(states[k if every else k % 2], x, *constants)
        return states[len(xs) if every else len(xs) % 2]

    return run


def _interpreted(body: Graph, bound: dict[str, int]) -> Callable[..., Any]:
    order = execution_order(body.outputs)

    def step(*arrays: Any) -> Any:
        return evaluate_nodes(body.outputs, dict(zip(body.inputs, arrays, strict=True)), bound, order)[0]

    return step


# ------------------------------------------------------------------------------------------------ bodies of derivatives
_derived: weakref.WeakKeyDictionary[Graph, dict[Any, Graph]] = weakref.WeakKeyDictionary()


def _once(body: Graph, kind: Any, make_body: Callable[[], Graph]) -> Graph:
    """A body made of a body: the same object each time, since ops with equal parameters are one node."""
    made = _derived.setdefault(body, {})
    if kind not in made:
        made[kind] = make_body()
    return made[kind]


def _input(shape: tuple[Size, ...], dtype: np.dtype[Any]) -> Node:
    return make("input", shape=shape, dtype=dtype, position=-next(_serials), name="step")


def _forward_body(body: Graph, position: int) -> Graph:
    """A step of the state with its tangent behind it, for a tangent of one input (of the state itself in any case)."""
    state, row, *others = body.inputs
    (after,) = body.outputs
    changing = body.inputs[position]
    tangent, change = _input(state.shape, state.dtype), _input(changing.shape, changing.dtype)
    tangents = {state: tangent} if position == 0 else {state: tangent, changing: change}
    pushed = jvp([after], tangents)[0] or zeros_like(after)
    both, parts = _side_by_side(state, tangent)
    rows = row
    if position == 1:
        rows, more = _side_by_side(row, change)
        parts |= more
    return _body((both, rows, *others, *([change] if position > 1 else [])), _joined(after, pushed), parts)


def _side_by_side(*stand_ins: Node) -> tuple[Node, dict[Node, Node]]:
    """An input that has several along its last axis, and which part of it each of them is."""
    widths = [x.shape[-1] for x in stand_ins]
    whole = _input((*stand_ins[0].shape[:-1], sum(widths, 0)), stand_ins[0].dtype)
    return whole, dict(zip(stand_ins, build.split(whole, whole.ndim - 1, widths), strict=True))


def _joined(*parts: Node) -> Node:
    """Vectors behind each other."""
    return build.concatenate(list(parts), parts[0].ndim - 1)


def _pullback(body: Graph) -> Graph:
    """The cotangents of a step's row and floating constants, from the step's inputs and the cotangent of what it returns."""
    targets = [body.inputs[1], *(node for node in body.inputs[2:] if node.dtype.kind == "f")]
    cotangent = _input(body.inputs[0].shape, body.inputs[0].dtype)
    pulled = vjp(body.outputs, [cotangent], targets)
    return Graph((*body.inputs, cotangent), tuple(p or zeros_like(x) for p, x in zip(pulled, targets, strict=True)))


def _backward_body(body: Graph) -> Graph:
    """A step of the state's cotangent: from that of the state after it, and what the result itself is given."""
    state, row, *others = body.inputs
    cotangent, given = (_input(state.shape, state.dtype) for _ in range(2))
    pulled = vjp(body.outputs, [cotangent], [state])[0] or zeros_like(state)
    rows, parts = _side_by_side(state, row, given)
    return _body((cotangent, rows, *others), given + pulled, parts)


def _body(inputs: tuple[Node, ...], output: Node, parts: dict[Node, Node]) -> Graph:
    """The program of a step, with parts of its inputs in place of what stood for them."""
    from .rewrite import simplify  # the rules are slow to import

    (made,), _ = simplify(rebuild([output], parts), stabilise=False, fastmath=False)
    return body_of(inputs, made)


def body_of(inputs: Sequence[Node], output: Node) -> Graph:
    """The program of a step: inputs that stood for its arguments become those of a graph of its own."""
    own = [make("input", shape=x.shape, dtype=x.dtype, position=k, name=f"x{k}") for k, x in enumerate(inputs)]
    return Graph(tuple(own), tuple(rebuild([output], dict(zip(inputs, own, strict=True)))))


# ------------------------------------------------------------------------------------------------ derivatives
def _from_all_steps(node: Node, position: int, before: Node, cotangents: Node) -> Node:
    """The cotangent of the rows, or of a constant, from the states before each step and the cotangents of those after it."""
    _, xs, *constants = node.inputs
    pullback = _once(node.param("body"), "pullback", lambda: _pullback(node.param("body")))
    state, row, *others, cotangent = pullback.inputs
    examples = {_input(all_of.shape[1:], all_of.dtype): all_of for all_of in (before, xs, cotangents)}
    replaced = dict(zip((state, row, cotangent, *others), (*examples, *constants), strict=True))
    # by position: a node may be an input twice
    wanted = [1, *(k for k, x in enumerate(node.inputs) if k > 1 and x.dtype.kind == "f")]
    known = dict(zip(node.param("names"), node.param("values"), strict=True))
    pulled = rebuild([pullback.outputs[wanted.index(position)]], replaced, known)
    (found,) = batch(pulled, examples, xs.shape[0])
    return found if position == 1 else build.reduce("sum", found, (0,))


def _again(node: Node, body: Graph, state: Node, xs: Node, constants: Sequence[Node], last: bool) -> Node:
    return scan(body, state, xs, constants, last, node.param("names"), node.param("values"))


def tangent(y: Node, position: int, dx: Node) -> Node:
    """The tangent of a loop's result, for a tangent of one input."""
    state, xs, *constants = y.inputs
    body, last = y.param("body"), y.param("last")
    both = _once(body, position, lambda: _forward_body(body, position))
    start = _joined(state, dx if position == 0 else zeros_like(state))
    rows = _joined(xs, dx) if position == 1 else xs
    states = _again(y, both, start, rows, [*constants, dx] if position > 1 else constants, last)
    return window(states, states.ndim - 1, state.shape[-1], state.shape[-1])


def transpose(ct: Node, node: Node, position: int) -> Node:
    """The cotangent of one input of a loop, from that of its result."""
    state, xs, *constants = node.inputs
    body, last = node.param("body"), node.param("last")
    steps = xs.shape[0]
    states = _again(node, body, state, xs, constants, False) if last else node
    given = constant(0, ct.dtype, (steps, *state.shape)) if last else window(ct, 0, 0, steps)
    final = ct if last else build.reshape(window(ct, 0, steps, 1), state.shape)
    before = window(states, 0, 0, steps)
    rows = build.flip(_joined(before, xs, given), (0,))
    backward = _once(body, "backward", lambda: _backward_body(body))
    carried = _again(node, backward, final, rows, constants, False)
    if position == 0:
        return build.reshape(window(carried, 0, steps, 1), state.shape)
    return _from_all_steps(node, position, before, build.flip(window(carried, 0, 0, steps), (0,)))


# ------------------------------------------------------------------------------------------------ many examples
def batched(node: Node, inputs: tuple[Node, ...], size: Size) -> Node:
    """The loop for many examples: one more axis before the others of the state and of a row."""
    state, xs, *constants = inputs
    whole = _once(node.param("body"), size, lambda: _batched_body(node.param("body"), size))
    known = dict(zip(node.param("names"), node.param("values"), strict=True))
    known |= {name: symbol(name) for name in symbols_of(size) if name not in known}
    made = scan(whole, state, build.moveaxis(xs, 0, 1), constants, node.param("last"), tuple(known), tuple(known.values()))
    return made if node.param("last") else build.moveaxis(made, 1, 0)


def _batched_body(body: Graph, size: Size) -> Graph:
    examples = [_input((size, *x.shape), x.dtype) for x in body.inputs]
    (after,) = batch(body.outputs, dict(zip(body.inputs, examples, strict=True)), size)
    return _body(tuple(examples), after, {})
