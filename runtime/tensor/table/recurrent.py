"""Recurrent layers: one row for a layer in one direction, which is a loop with carried values whatever the length of the sequence.

The products of all inputs with their weights are one product before the loop; a step adds the state's share. Gates and their order
are torch's (Hochreiter and Schmidhuber 1997 with forget gates; Cho et al. 2014).
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple

from ....compiler import build
from ....compiler.build.moving import window
from ....compiler.ir import Node, f, make
from ....compiler.loops import body_of, scan
from ....compiler.sizes import product, symbol
from ..row import Call, op
from ..tensor import Tensor
from .functions import relu

_serials = count(2)

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


def _shares(x: Node, weight: Node, bias: Sequence[Node], gates: int) -> Node:
    """`x @ weight.T + bias` by gates: (..., features) and (gates * width, features) -> (..., gates, width)."""
    blocks = build.reshape(weight, (gates, -1, weight.shape[1]))
    lead = "ab"[: x.ndim - 1]
    made = f.contract(x, blocks, left=lead + "k", right="ghk", out=lead + "gh")
    if not bias:
        return made
    return made + build.broadcast_to(build.reshape(bias[0], (gates, -1)), made.shape)


def _layer(x: Node, *more: Any) -> tuple[Node, ...]:
    """(steps, batch, features) -> the hidden state after each step, and what is carried out of the last one."""
    *arrays, kind, reverse, biased, projected = more
    cell = CELLS[kind]
    first, weights = arrays[: cell.carried], arrays[cell.carried :]
    of_input, of_state = weights[:2]
    input_bias, state_bias = (weights[2:3], weights[3:4]) if biased else ([], [])
    projection = weights[-1:] if projected else []
    steps = x.shape[0]
    shares = _shares(build.flip(x, (0,)) if reverse else x, of_input, input_bias, cell.gates)
    shapes = [node.shape for node in first]
    state = build.concatenate([build.reshape(node, (product(node.shape),)) for node in first], 0)
    constants = [of_state, *state_bias, *projection]

    stand_ins = [_stand_in(state.shape, x.dtype), _stand_in(shares.shape[1:], x.dtype), *(_stand_in(n.shape, n.dtype) for n in constants)]
    carried = _unpacked(stand_ins[0], shapes)
    after = cell.step(stand_ins[1], _shares(carried[0], stand_ins[2], stand_ins[3:4] if biased else [], cell.gates), carried)
    if projected:
        after[0] = build.matmul(after[0], build.permute(stand_ins[-1], (1, 0)))
    body = body_of(stand_ins, build.concatenate([build.reshape(node, (product(node.shape),)) for node in after], 0))
    names = tuple(body.symbols())
    states = scan(body, state, [shares], constants, False, names, tuple(map(symbol, names)))

    hidden = build.reshape(window(window(states, 0, 1, steps), 1, 0, product(shapes[0])), (steps, *shapes[0]))
    last = _unpacked(build.reshape(window(states, 0, steps, 1), (states.shape[1],)), shapes)
    return (build.flip(hidden, (0,)) if reverse else hidden, *last)


def _stand_in(shape: Any, dtype: Any) -> Node:
    return make("input", shape=shape, dtype=dtype, position=-next(_serials), name="step")


def _unpacked(state: Node, shapes: Sequence[Any]) -> list[Node]:
    parts = build.split(state, 0, [product(shape) for shape in shapes])
    return [build.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]


@op("rnn_layer", build=_layer, backward="StackBackward0", saved="input weights*", inputs="input weights", to="")
def _layer_rule(input: Tensor, arrays: tuple[Tensor, ...], kind: str, reverse: bool, biased: bool, projected: bool) -> Call:
    cell = CELLS[kind]
    first = [tuple(a._shape) for a in arrays[: cell.carried]]
    shapes = ((input._shape[0], *first[0]), *first)
    name = cell.backward if str(input._dtype) == "torch.float32" else ""
    return Call((input, *arrays), (kind, reverse, biased, projected), shapes, (input._dtype,) * len(shapes), name=name)
