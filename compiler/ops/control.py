"""Loops with carried values, each one op whose parameter is the program of a step.

`scan` carries a vector (or one for each example) through rows: state[t + 1] = body(state[t], xs[t], ..., *constants). Whoever carries
more than one array packs them into one vector, so the op has one result: every state, or the last one. The body is a
graph of its own; the sizes that it reads are parameters of the op, so that they follow what becomes of the sizes around it.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ShapeError
from ..op import Names, Op, declare
from .rules import aval_text

if TYPE_CHECKING:
    from ..ir import Node
    from ..op import Aval
    from ..sizes import Size


def _infer(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    state, *rows = inputs[:1 + params["rows"]]
    if not state.ndim or not rows or not all(xs.ndim for xs in rows) or len(inputs) != len(params["body"].inputs):
        raise ShapeError(f"a loop carries vectors through rows, not {aval_text(state)} through {', '.join(map(aval_text, rows))}")
    return (state.shape if params["last"] else (rows[0].shape[0] + 1, *state.shape)), state.dtype


def _evaluate(*arrays: Any, **params: Any) -> Any:
    from ..loops import evaluate  # it needs the interpreter, which needs the table

    return evaluate(*arrays, **params)


def _tangents(y: Node, dxs: Sequence[Node | None]) -> Node:
    from ..loops import tangent

    return tangent(y, dxs)


def _transpose(ct: Node, node: Node, position: int) -> Node:
    from ..loops import transpose

    return transpose(ct, node, position)


def _batch(node: Node, inputs: tuple[Node | None, ...], size: Size) -> Node:
    from ..loops import batched

    return batched(node, inputs, size)


# inputs: the state, `rows` arrays with one row for each step, what each step reads besides;
# `values` are the sizes that the symbols `names` of the body stand for
declare(Op(name="scan", kind="opaque", arity=None, params=("body", "last", "names", "values", "rows"),
           infer=_infer, evaluate=_evaluate, tangents=_tangents, transpose=_transpose, batch=_batch, partly=True, body="body",
           cost=10_000.0, names=Names("scan", r"\operatorname{{scan}}\left({0}, {1}\right)", "scan({0}, {1})")))
