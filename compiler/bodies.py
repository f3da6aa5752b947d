"""Programs inside of programs: the bodies of loops, branches, checkpoints and custom rules.

A body is a graph of its own, a parameter of the node that runs it. The sizes that it reads are parameters beside it: `names`, the
symbols in the body, and `values`, the sizes of the program around it that they stand for. What is derived of a body is found again
by the body, so that equal nodes stay one node.
"""
from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from math import inf
from typing import Any, TypeVar

import numpy as np

from .batch import batch
from .ir import Graph, Node, make, rebuild, shared
from .sizes import Size, product, symbol, symbols_of

__all__ = ["batched_body", "body_of", "in_line", "is_small", "once", "simplified_body", "stand_in", "with_sizes_of"]

Made = TypeVar("Made")
SMALL = 500.0  # additions: what costs no more than to call a program
_serials = count(2)
_derived: weakref.WeakKeyDictionary[Graph, dict[Any, Any]] = weakref.WeakKeyDictionary()


def once(body: Graph, kind: Any, make_it: Callable[[], Made]) -> Made:
    """What is made of a body: the same object each time, since ops with equal parameters are one node."""
    made = _derived.setdefault(body, {})
    if kind not in made:
        made[kind] = make_it()
    found: Made = made[kind]
    return found


def stand_in(shape: tuple[Size, ...], dtype: np.dtype[Any]) -> Node:
    """A new node for an input of a body that is being made."""
    return make("input", shape=shape, dtype=dtype, position=-next(_serials), name="step")


def body_of(inputs: Sequence[Node], *outputs: Node) -> Graph:
    """A body: inputs that stood for its arguments become those of a graph of its own."""
    own = [make("input", shape=x.shape, dtype=x.dtype, position=k, name=f"x{k}") for k, x in enumerate(inputs)]
    return shared(Graph(tuple(own), tuple(rebuild(outputs, dict(zip(inputs, own, strict=True))))))


def simplified_body(inputs: Sequence[Node], *outputs: Node) -> Graph:
    """The same, simplified."""
    from .rewrite import simplify  # the rules are slow to import

    return body_of(inputs, *simplify(outputs, stabilise=False, fastmath=False)[0])


def batched_body(body: Graph, differs: tuple[bool, ...], size: Size) -> Graph:
    """The body for many examples, along a new first axis of the inputs that differ between them, and of the outputs."""
    def made() -> Graph:
        inputs = {x: stand_in((size, *x.shape), x.dtype) if apart else x for x, apart in zip(body.inputs, differs, strict=True)}
        outputs = batch(body.outputs, {x: all_of for x, all_of in inputs.items() if all_of is not x}, size)
        return simplified_body(tuple(inputs.values()), *outputs)

    return once(body, (size, differs), made)


def with_sizes_of(size: Size, names: tuple[str, ...], values: tuple[Size, ...]) -> dict[str, Any]:
    """The parameters `names` and `values` of a body that reads one more size."""
    known = dict(zip(names, values, strict=True))
    known |= {name: symbol(name) for name in symbols_of(size) if name not in known}
    return {"names": tuple(known), "values": tuple(known.values())}


def in_line(body: Graph, inputs: Sequence[Node], names: tuple[str, ...], values: tuple[Size, ...]) -> list[Node]:
    """The outputs of a body as a part of the program around it."""
    return rebuild(body.outputs, dict(zip(body.inputs, inputs, strict=True)), dict(zip(names, values, strict=True)))


def is_small(bodies: Iterable[Graph]) -> bool:
    """Whether running all of these takes no longer than calling one of them, whatever the sizes around, and fails for no values."""
    left = SMALL
    for body in bodies:
        for node in body.nodes():
            if node.op.name == "input":
                continue
            elements = product(node.shape)
            left -= node.op.cost * elements if isinstance(elements, int) else inf
            loops = node.op.kind in ("leaf", "movement") or (node.op.kind == "elementwise" and node.op.lowering is not None)
            if left < 0 or not loops:
                return False
    return True
