"""Recurrent layers: one row for a layer in one direction, which is a loop with carried values whatever the length of the sequence.

The products of all inputs with their weights are one product before the loop; a step adds the state's share. Gates and their order
are torch's (Hochreiter and Schmidhuber 1997 with forget gates; Cho et al. 2014).
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ....compiler import build
from ....compiler.bodies import body_of, stand_in
from ....compiler.build.moving import window
from ....compiler.ir import Graph, Node, f, rebuild
from ....compiler.loops import scan
from ....compiler.op import Shape
from ....compiler.sizes import Size, active, equal, product, resolve, symbol
from ..row import Call, op
from ..tensor import Tensor
from .functions import relu

Step = Callable[[Node, Node, "list[Node]"], "list[Node]"]


class Cell(NamedTuple):
    """A kind of recurrent layer.

    Attributes:
        gates: blocks of rows in the weights.
        carried: what a step hands to the next one: the hidden state, and that of the cell.
        step: (the input's share, the state's share, what is carried), each (batch, gates, width), -> what is carried.
        backward: the name of an output's grad_fn for float32.
    """

    gates: int
    carried: int
    step: Step
    backward: str


def _parts(gates: Node, count: int) -> list[Node]:
    """The blocks of (batch, gates, width)."""
    return [build.squeeze(window(gates, 1, k, 1), (1,)) for k in range(count)]


def _elman(activation: Callable[[Node], Node]) -> Step:
    return lambda x, h, carried: [activation(build.squeeze(x + h, (1,)))]


def _gru(x: Node, h: Node, carried: list[Node]) -> list[Node]:
    (reset, update, new), (reset_h, update_h, new_h) = _parts(x, 3), _parts(h, 3)
    keep = f.sigmoid(update + update_h)
    candidate = f.tanh(new + f.sigmoid(reset + reset_h) * new_h)
    return [(carried[0] - candidate) * keep + candidate]


def _lstm(x: Node, h: Node, carried: list[Node]) -> list[Node]:
    enter, forget, candidate, leave = _parts(x + h, 4)
    cell = f.sigmoid(forget) * carried[1] + f.sigmoid(enter) * f.tanh(candidate)
    return [f.sigmoid(leave) * f.tanh(cell), cell]


CELLS = {
    "RNN_TANH": Cell(1, 1, _elman(f.tanh), "StackBackward0"),
    "RNN_RELU": Cell(1, 1, _elman(relu), "StackBackward0"),
    "GRU": Cell(3, 1, _gru, "StackBackward0"),
    "LSTM": Cell(4, 2, _lstm, "MkldnnRnnLayerBackward0"),
}


def _shares(x: Node, weight: Node, bias: Sequence[Node]) -> Node:
    """`x @ weight.T + bias` by gates: (..., features), (gates, width, features) and (gates, width) -> (..., gates, width)."""
    lead = "ab"[: x.ndim - 1]
    made = f.contract(x, weight, left=lead + "k", right="ghk", out=lead + "gh")
    return made + build.broadcast_to(bias[0], made.shape) if bias else made


def _layer(x: Node, *more: Any) -> tuple[Node, ...]:
    """(steps, batch, features) -> the hidden state after each step, and what is carried out of the last one."""
    *arrays, kind, reverse, projected = more
    cell = CELLS[kind]
    first, weights = arrays[: cell.carried], arrays[cell.carried :]
    steps, shapes = x.shape[0], [node.shape for node in first]
    gates = (cell.gates, shapes[-1][1])
    of_input, of_state, *biases = (build.reshape(w, (*gates, *w.shape[1:])) for w in (weights[:-1] if projected else weights))
    for one, other in ((x.shape[1], shapes[0][0]), (shapes[-1][0], shapes[0][0]), (of_state.shape[2], shapes[0][1])):
        equal(one, other)  # the step has no trace around it that would find out
    shares = _shares(build.flip(x, (0,)) if reverse else x, of_input, biases[:1])
    projection = [build.reshape(w, (shapes[0][1], gates[1])) for w in weights[-1:] if projected]
    constants = [of_state, *biases[1:], *projection]
    body, values = _step(cell, shapes, [shares.shape[1:], *(node.shape for node in constants)], x.dtype, len(biases) > 1, projected)
    names = tuple(body.symbols())
    states = scan(body, _packed(first), [shares], constants, False, names, tuple(values[name] for name in names))
    hidden = build.reshape(window(window(states, 0, 1, steps), 1, 0, product(shapes[0])), (steps, *shapes[0]))
    last = _unpacked(build.reshape(window(states, 0, steps, 1), (states.shape[1],)), shapes)
    return (build.flip(hidden, (0,)) if reverse else hidden, *last)


def _step(
    cell: Cell, carried: Sequence[Shape], read: Sequence[Shape], dtype: np.dtype[Any], biased: bool, projected: bool
) -> tuple[Graph, dict[str, Size]]:
    """The program of a step, and what its sizes stand for: they are its own, so that its arrays bind them, whatever they are around it."""
    own: dict[Size, Size] = {}

    def renamed(shape: Shape) -> tuple[Size, ...]:
        mine = [own.setdefault(size, size if isinstance(size, int) else symbol(f"s{len(own)}")) for size in map(resolve, shape)]
        return tuple(mine)

    shapes = [renamed(shape) for shape in (*carried, *read)]
    context, active.context = active.context, None
    try:
        parts, (share, *kept) = [[stand_in(shape, dtype) for shape in some] for some in (shapes[: len(carried)], shapes[len(carried) :])]
        after = cell.step(share, _shares(parts[0], kept[0], kept[1:2] if biased else []), parts)
        if projected:
            after[0] = build.matmul(after[0], build.permute(kept[-1], (1, 0)))
        whole = stand_in((sum(product(part.shape) for part in parts),), dtype)
        (made,) = rebuild([_packed(after)], dict(zip(parts, _unpacked(whole, [part.shape for part in parts]), strict=True)))
        body = body_of([whole, share, *kept], made)
    finally:
        active.context = context
    return body, {str(mine): size for size, mine in own.items()}


def _packed(parts: Sequence[Node]) -> Node:
    return build.concatenate([build.reshape(part, (product(part.shape),)) for part in parts], 0)


def _unpacked(state: Node, shapes: Sequence[Any]) -> list[Node]:
    parts = build.split(state, 0, [product(shape) for shape in shapes])
    return [build.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]


@op("rnn_layer", build=_layer, backward="StackBackward0", saved="input weights*", inputs="input weights", to="")
def _layer_rule(input: Tensor, arrays: tuple[Tensor, ...], kind: str, reverse: bool, projected: bool) -> Call:
    cell = CELLS[kind]
    first = [tuple(a._shape) for a in arrays[: cell.carried]]
    shapes = ((input._shape[0], *first[0]), *first)
    name = cell.backward if str(input._dtype) == "torch.float32" else ""
    return Call((input, *arrays), (kind, reverse, projected), shapes, (input._dtype,) * len(shapes), name=name)
