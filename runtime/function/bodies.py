"""Parts of a trace as programs of their own: what loops, branches, checkpoints and custom rules have in common."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ...compiler import build, sizes
from ...compiler.bodies import body_of
from ...compiler.ir import Graph, Node, constant, f, rebuild, resolve_params, toposort
from ...compiler.sizes import Size, symbol
from ...compiler.trace import Session, Traced, is_traced, lift, wrap
from .structure import Tree, flatten, is_tensor

__all__ = ["Bodies", "aval", "bodies", "leaves", "mapped_numbers", "outside", "packed", "packed_dtype", "unpacked", "vector", "width"]

_LEAVES = ("const", "iota", "size")


# ------------------------------------------------------------------------------------------------ structures
def mapped_numbers(function: Callable[[Any], Any], value: Any) -> Any:
    """A structure with a function of each number and array in it."""
    if is_tensor(value):
        return value
    if is_traced(value) or isinstance(value, (int, float, np.number, np.bool_, np.ndarray)):
        return function(value)
    if isinstance(value, (tuple, list)):
        items = [mapped_numbers(function, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: mapped_numbers(function, item) for key, item in value.items()}
    return value


def leaves(value: Any) -> tuple[Tree, list[Traced]]:
    """A structure, and the numbers and arrays in it as traced values."""
    found: list[Any] = []

    def traced(leaf: Any) -> Traced:
        operand = lift(leaf)
        return wrap(operand.node, operand.weak)

    return flatten(mapped_numbers(traced, value), found), found


def aval(node: Node) -> str:
    """`float64[3, 4]`, with the example's sizes, for messages."""
    context = sizes.active.context
    return f"{node.dtype}[{', '.join(str(size if context is None else context.hint(size)) for size in node.shape)}]"


# ------------------------------------------------------------------------------------------------ several values as one
def packed_dtype(nodes: Sequence[Node]) -> np.dtype[Any]:
    """The dtype of a vector that holds all of these."""
    return np.dtype(np.float32 if nodes and all(n.dtype == np.float32 for n in nodes) else np.float64)


def packed(node: Node, axes: int, dtype: np.dtype[Any]) -> Node:
    """The axes after the first ones as one axis of floats; an integer as two, which hold 32 bits each exactly."""
    lead = node.shape[:axes]
    flat = build.reshape(node, (*lead, sizes.product(node.shape[axes:])))
    if node.dtype.kind in "iu" and node.dtype.itemsize == 8:
        high = f.shift_right(flat, 32)
        low = flat - f.shift_left(high, 32)
        return build.concatenate([build.cast(high, dtype), build.cast(low, dtype)], axes)
    return build.cast(flat, dtype)


def width(node: Node, axes: int) -> Size:
    """How long that is."""
    whole = node.dtype.kind in "iu" and node.dtype.itemsize == 8
    return sizes.product(node.shape[axes:]) * (2 if whole else 1)


def vector(parts: list[Node], dtype: np.dtype[Any]) -> Node:
    """Vectors one behind the other."""
    return build.concatenate(parts, 0) if parts else constant(0, dtype, (0,))


def unpacked(whole: Node, likes: Sequence[Node], axes: int, lead: tuple[Size, ...]) -> list[Node]:
    """What was packed, from the last axis of a vector (or of a matrix, by rows): in the shapes and dtypes of nodes like it."""
    made = []
    for part, like in zip(build.split(whole, len(lead), [width(n, axes) for n in likes]), likes, strict=True):
        shape = (*lead, *like.shape[axes:])
        if like.dtype.kind in "iu" and like.dtype.itemsize == 8:
            length = sizes.product(like.shape[axes:])
            high, low = (build.cast(half, like.dtype) for half in build.split(part, len(lead), [length, length]))
            part = f.shift_left(high, 32) + low
        made.append(build.cast(build.reshape(part, shape), like.dtype))
    return made


# ------------------------------------------------------------------------------------------------ bodies
class Bodies(NamedTuple):
    """Programs with the same inputs: first those that were asked for, then what they read of the program around them."""

    graphs: tuple[Graph, ...]
    read: list[Node]
    names: tuple[str, ...]
    values: tuple[Size, ...]


@contextmanager
def _without_context() -> Iterator[None]:
    before, sizes.active.context = sizes.active.context, None
    try:
        yield
    finally:
        sizes.active.context = before


def bodies(session: Session, programs: Sequence[Sequence[Node]], arguments: Sequence[Node], read: list[Node],
           rewrite: bool = True) -> Bodies:
    """Programs, each given by its outputs, as graphs of their own.

    Args:
        arguments: placeholders that become their first inputs.
        read: what they read of the program around them.
        rewrite: whether stable forms are put in; not where they are differentiated in line only.
    """
    equal = dict(session.context.equal_to)  # sizes that were found equal have one form in a program
    replaced = {node: session.placeholder(constant(0, node.dtype, resolve_params(node.shape, equal))) for node in (*arguments, *read)}
    made = [rebuild(outputs, replaced, equal or None) for outputs in programs]
    with _without_context():
        finished = [session.rewrite(outputs) if rewrite else outputs for outputs in made]
    graphs = tuple(body_of(list(replaced.values()), *outputs) for outputs in finished)
    names = tuple(sorted({name for graph in graphs for name in graph.symbols()}, key=lambda name: (len(name), name)))
    return Bodies(graphs, read, names, tuple(map(symbol, names)))


def outside(outputs: Sequence[Node], inside: Set[Node]) -> list[Node]:
    """What is read of the program around: the largest parts that do not depend on the nodes `inside`."""
    depends = set(inside)
    order = toposort(outputs)
    for node in order:
        if any(item in depends for item in node.inputs):
            depends.add(node)
    return _read(outputs, depends, order)


def read_by(outputs: Sequence[Node], made: Set[Node]) -> list[Node]:
    """What is read of the program around by nodes that were `made` inside."""
    found: list[Node] = []
    seen: set[Node] = set()
    stack = list(reversed(outputs))
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in made and node.op.name != "input":
            stack += reversed(node.inputs)
        elif node.op.name not in _LEAVES:
            found.append(node)
    return found


def _read(outputs: Sequence[Node], inside: Set[Node], order: Sequence[Node]) -> list[Node]:
    read = [item for node in order if node in inside for item in node.inputs] + list(outputs)
    return [n for n in dict.fromkeys(read) if n not in inside and n.op.name not in _LEAVES]
