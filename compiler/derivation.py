"""The passes from a traced graph to the one that is scheduled: stabilise, differentiate, stabilise again, simplify."""
from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from . import matrices, verify
from .bodies import is_small, once
from .differentiate import jvp, ones_like, vjp, without_marks, zeros_like
from .errors import DifferentiationError
from .ir import Graph, Node, make, shared, toposort, with_inputs
from .ops.rules import aval_text
from .rewrite import DEFAULT_LEVELS, SAME_TERMS, Step, compress, factors_out, finish, prepare, share_divisions, simplify
from .stages import stage

if TYPE_CHECKING:
    from .pipeline import Options, Request

__all__ = ["derive", "differentiate", "finish_body"]

MATRICES = ("hessian", "jacobian_forward", "jacobian_reverse")  # kinds of request that start from a whole basis


def _check(graph: Graph, after: str) -> Graph:
    if os.environ.get("CHAINRULE_VERIFY") == "1":
        verify.check(graph, after=after)
    return graph


def _scalar_output(graph: Graph) -> Node:
    (output,) = graph.outputs
    if output.ndim or output.dtype.kind != "f":
        raise DifferentiationError(f"a gradient needs one scalar output of a floating dtype, not {aval_text(output)}; "
                                   "take the sum or mean of it, or ask for .jacobian or .vjp")
    return output


def _filled(results: Sequence[Node | None], like: Sequence[Node]) -> list[Node]:
    """Structural zeros as arrays of zeros."""
    return [zeros_like(x) if r is None else r for r, x in zip(results, like, strict=True)]


def _further_inputs(graph: Graph, like: Sequence[Node], stem: str) -> list[Node]:
    return [make("input", shape=x.shape, dtype=x.dtype, position=len(graph.inputs) + k, name=f"{stem}{k}")
            for k, x in enumerate(like)]


def differentiate(graph: Graph, request: Request) -> Graph:
    """The graph that computes what the request asks for.

    Raises:
        DifferentiationError: a gradient of something that is not one floating scalar.
    """
    wrt = [graph.inputs[k] for k in request.wrt]
    if request.kind == "value":
        return graph
    if request.kind in ("gradient", "value_and_gradient"):
        output = _scalar_output(graph)
        gradients = _filled(vjp([output], [ones_like(output)], wrt), wrt)
        return graph.with_outputs([output, *gradients] if request.kind == "value_and_gradient" else gradients)
    if request.kind == "hvp":
        output = _scalar_output(graph)
        vectors = _further_inputs(graph, wrt, "vector")
        gradients = _filled(vjp([output], [ones_like(output)], wrt), wrt)
        products = _filled(jvp(gradients, dict(zip(wrt, vectors, strict=True))), wrt)
        return Graph((*graph.inputs, *vectors), tuple(products), graph.guards, graph.hints)
    if request.kind == "hessian":
        blocks = matrices.hessian_blocks(_scalar_output(graph), wrt)
        return graph.with_outputs([block for row in blocks for block in row])
    smooth = [y for y in graph.outputs if y.dtype.kind == "f"]
    if request.kind in ("jacobian_forward", "jacobian_reverse"):
        make_blocks = matrices.forward_blocks if request.kind == "jacobian_forward" else matrices.reverse_blocks
        return graph.with_outputs([block for row in make_blocks(smooth, wrt) for block in row])
    if request.kind in ("jvp", "tangents"):
        tangents = _further_inputs(graph, wrt, "tangent")
        pushed = _filled(jvp(graph.outputs, dict(zip(wrt, tangents, strict=True))), graph.outputs)
        outputs = (*graph.outputs, *pushed) if request.kind == "jvp" else tuple(pushed)
        return Graph((*graph.inputs, *tangents), outputs, graph.guards, graph.hints)
    cotangents = _further_inputs(graph, smooth, "cotangent")
    pulled = _filled(vjp(smooth, list(cotangents), wrt), wrt)
    outputs = (*graph.outputs, *pulled) if request.kind == "vjp" else tuple(pulled)
    return Graph((*graph.inputs, *cotangents), outputs, graph.guards, graph.hints)


def _ready(outputs: Sequence[Node], options: Options | None) -> list[Node]:
    """What nobody differentiates any more: without marks, loops with the states that are read, branches simplified in their turn."""
    outputs = without_marks(outputs)
    order = toposort(outputs)
    if any(node.op.runs == "once" for node in order):
        outputs = _with_bodies(outputs, options)
    if any(node.op.binds and node.op.runs for node in order):
        from .while_loops import run_once

        outputs = run_once(outputs)
    if any(node.op.runs == "rows" for node in order):
        from .loops import keep_what_is_read  # it needs the interpreter

        outputs = keep_what_is_read(outputs)
    return outputs


def _with_bodies(outputs: Sequence[Node], options: Options | None) -> list[Node]:
    """The same with branches in the form that is compiled."""
    done: dict[Node, Node] = {}
    for node in toposort(outputs):
        inputs = [done[i] for i in node.inputs]
        if node.op.runs == "once":
            bodies = {name: node.param(name) for name in node.op.bodies}
            found = {name: once(body, ("finished", options), partial(finish_body, body, options)) for name, body in bodies.items()}
            made = make(node.op, inputs, **node.named_params | found)
            done[node] = node.op.in_line(made) if node.op.in_line is not None and is_small(found.values()) else made
        else:
            done[node] = node if inputs == list(node.inputs) else with_inputs(node, tuple(inputs))
    return [done[node] for node in outputs]


def finish_body(body: Graph, options: Options | None = None) -> Graph:
    """A body as it is compiled: of a branch simplified as the program around it is; of a step, whose stable forms are there since it
    was traced, without options.
    """
    outputs = _ready(body.outputs, options)
    if options is None:
        return shared(body.with_outputs(simplify(outputs, stabilise=False, fastmath=False)[0]))
    return shared(body.with_outputs(_simplified(outputs, options)[0]))


def _simplified(outputs: Sequence[Node], options: Options) -> tuple[list[Node], list[Step]]:
    """The last form of derived outputs, and the rewrites that led to it."""
    levels = DEFAULT_LEVELS if options.rounding else SAME_TERMS
    outputs, steps = finish(outputs, levels, stabilise=options.stabilise, fastmath=options.fastmath)
    return factors_out(share_divisions(outputs)) if options.rounding else outputs, steps


def derive(graph: Graph, request: Request, options: Options) -> tuple[Graph, Graph, tuple[Step, ...]]:
    """(differentiated, simplified, rewrites) of a traced graph."""
    _check(graph, "trace")
    levels = DEFAULT_LEVELS if options.rounding else SAME_TERMS
    with stage("stabilise"):
        outputs, first = prepare(graph.outputs, levels, stabilise=options.stabilise, fastmath=options.fastmath)
        stable = _check(graph.with_outputs(outputs), "stabilise")
    with stage("differentiate"):
        differentiated = _check(differentiate(stable, request), "differentiate")
    with stage("simplify"):
        outputs, compressed = compress(differentiated.outputs) if request.kind in MATRICES else ([*differentiated.outputs], [])
        outputs, second = _simplified(_ready(outputs, options), options)
        simplified = _check(differentiated.with_outputs(outputs), "simplify")
    return differentiated, simplified, (*first, *compressed, *second)
