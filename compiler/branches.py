"""How branches and checkpoints are run and differentiated: what the ops `cond` and `checkpoint` say by lazy imports.

Both run a body as a whole: `cond` the one of two that its first input chooses, `checkpoint` its only one. Their derivatives are
the same ops with derivatives of the bodies, which compute again what they need of the values in between: so nothing that a body
computes is kept for a derivative, and no pass that shares values sees both computations.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from . import build, sizes
from .batch import batch
from .bodies import batched_body, in_line, once, simplified_body, stand_in, with_sizes_of
from .differentiate import jvp, vjp, zeros_like
from .interpret import evaluate_nodes
from .ir import Graph, Node, f, make

__all__ = ["batched", "cotangents", "evaluate", "inline", "tangents"]


def evaluate(bodies: Sequence[Graph], chosen: int, arrays: Sequence[Any], names: tuple[str, ...], values: tuple[int, ...],
             branches: Sequence[Callable[..., Any]] | None) -> Any:
    """One of the bodies at these arrays, as an array of its own; by the interpreter, unless there are compiled functions."""
    if branches is not None:
        return branches[chosen](*arrays)
    body = bodies[chosen]
    (made,) = evaluate_nodes(body.outputs, dict(zip(body.inputs, arrays, strict=True)), dict(zip(names, values, strict=True)))
    return np.array(made, copy=True)


def _parts(node: Node) -> tuple[list[Graph], tuple[Node, ...]]:
    """The bodies of a node, and the inputs that they take: the last ones."""
    bodies = [node.param(name) for name in node.op.bodies]
    return bodies, node.inputs[len(node.inputs) - len(bodies[0].inputs):]


def _made(node: Node, bodies: Sequence[Graph], inputs: Sequence[Node], **sizes_read: Any) -> Node:
    """The same op with other bodies."""
    known = {"names": node.param("names"), "values": node.param("values")} | sizes_read
    return make(node.op, inputs, **dict(zip(node.op.bodies, bodies, strict=True)), **known)


# ------------------------------------------------------------------------------------------------ derivatives
def tangents(node: Node, dxs: Sequence[Node | None]) -> Node:
    """The tangent of the result, from those of all inputs (None: zero)."""
    bodies, inputs = _parts(node)
    first = len(node.inputs) - len(inputs)
    moving = tuple(k for k, dx in enumerate(dxs[first:]) if dx is not None)
    pushed = [once(body, ("tangent", moving), partial(_pushed, body, moving)) for body in bodies]
    return _made(node, pushed, [*node.inputs, *(dx for dx in dxs if dx is not None)])


def _pushed(body: Graph, moving: tuple[int, ...]) -> Graph:
    given = {body.inputs[k]: stand_in(body.inputs[k].shape, body.inputs[k].dtype) for k in moving}
    (output,) = body.outputs
    return simplified_body((*body.inputs, *given.values()), jvp([output], given)[0] or zeros_like(output))


def cotangents(ct: Node, node: Node, positions: Sequence[int]) -> list[Node | None]:
    """The cotangents of inputs: all by one node, whose result has them one behind the other where they are several."""
    bodies, inputs = _parts(node)
    first = len(node.inputs) - len(inputs)
    wanted = tuple(k - first for k in positions if k >= first)
    axes = None  # of a smaller value that is repeated, which the bodies do; or that is a number, and vanishes in them
    if ct.op.name == "expand":
        axes, (ct,) = ct.param("axes"), ct.inputs
    value = ct.param("value") if ct.op.name == "const" else None
    pulled = [once(body, ("cotangents", wanted, axes, value), partial(_pulled, body, wanted, axes, value)) for body in bodies]
    targets = [node.inputs[k] for k in positions if k >= first]
    whole = _made(node, pulled, [*node.inputs, *([ct] if value is None else [])])
    if len(wanted) == 1:
        found = [whole]
    else:
        parts = build.split(whole, 0, [sizes.product(x.shape) for x in targets])
        found = [build.cast(build.reshape(part, x.shape), x.dtype) for part, x in zip(parts, targets, strict=True)]
    made = iter(found)
    return [next(made) if k >= first else None for k in positions]


def _pulled(body: Graph, wanted: tuple[int, ...], axes: tuple[int, ...] | None, value: bytes | None) -> Graph:
    (output,) = body.outputs
    shape = output.shape if axes is None else tuple(output.shape[k] for k in axes)
    given = stand_in(shape, output.dtype) if value is None else make("const", shape=shape, dtype=output.dtype, value=value)
    cotangent = given if axes is None else f.expand(given, shape=output.shape, axes=axes)
    targets = [body.inputs[k] for k in wanted]
    made = [p or zeros_like(x) for p, x in zip(vjp([output], [cotangent], targets), targets, strict=True)]
    if len(made) > 1:
        widest = max((x.dtype for x in made), key=lambda dtype: dtype.itemsize)
        made = [build.concatenate([build.cast(build.reshape(p, (sizes.product(p.shape),)), widest) for p in made], 0)]
    return simplified_body((*body.inputs, *([given] if value is None else [])), *made)


# ------------------------------------------------------------------------------------------------ many examples, formulas
def inline(node: Node) -> Node:
    """The bodies as parts of the program around them: both branches, of which the result is selected."""
    return _selected(node, [in_line(body, _parts(node)[1], node.param("names"), node.param("values"))[0] for body in _parts(node)[0]])


def _selected(node: Node, results: Sequence[Node]) -> Node:
    if len(results) == 1:
        return results[0]
    joined = next((result for result in results if result.op.name == "concatenate"), None)
    if joined is not None:  # by parts, which is how it is read
        axis = joined.param("axis")
        yes, no = (build.split(result, axis, [x.shape[axis] for x in joined.inputs]) for result in results)
        return build.concatenate([_choice(node.inputs[0], *pair, ()) for pair in zip(yes, no, strict=True)], axis)
    return _choice(node.inputs[0], results[0], results[1], ())


def _choice(chooses: Node, yes: Node, no: Node, axes: tuple[int, ...]) -> Node:
    return f.where(f.expand(chooses, shape=yes.shape, axes=axes), yes, no)


def batched(node: Node, given: tuple[Node | None, ...], size: sizes.Size) -> Node:
    """For many examples. Where the branch differs between them both are computed, and of each the examples that chose it are taken."""
    bodies, inputs = _parts(node)
    first = len(node.inputs) - len(inputs)
    names, values = node.param("names"), node.param("values")
    if first and given[0] is not None:
        examples = {x: all_of for x, all_of in zip(inputs, given[first:], strict=True) if all_of is not None}
        yes, no = (batch(in_line(body, inputs, names, values), examples, size)[0] for body in bodies)
        return _choice(given[0], yes, no, (0,))
    differs = tuple(x is not None for x in given[first:])
    made = [batched_body(body, differs, size) for body in bodies]
    results = [own if x is None else x for own, x in zip(node.inputs, given, strict=True)]
    return _made(node, made, results, **with_sizes_of(size, names, values))
