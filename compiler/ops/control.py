"""Loops with carried values, branches and checkpoints: ops with a parameter that is the program of a step, or of a branch.

`scan` carries a vector (or one for each example) through rows: state[t + 1] = body(state[t], xs[t], ..., *constants). Whoever carries
more than one array packs them into one vector, so the op has one result: every state, or the last one. The body is a
graph of its own; the sizes that it reads are parameters of the op, so that they follow what becomes of the sizes around it.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ShapeError
from ..ir import resolve_params
from ..op import Names, Op, declare
from .rules import aval_text

if TYPE_CHECKING:
    from ..ir import Graph, Node
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
           infer=_infer, evaluate=_evaluate, tangents=_tangents, transpose=_transpose, batch=_batch, partly=True,
           bodies=("body",), runs="rows",
           cost=10_000.0, names=Names("scan", r"\operatorname{{scan}}\left({0}, {1}\right)", "scan({0}, {1})")))


# ------------------------------------------------------------------------------------------------ loops of unknown length
def _infer_while(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    if not inputs[0].ndim or len(inputs) + 1 != len(params["body"].inputs):
        raise ShapeError(f"a loop carries vectors, not {aval_text(inputs[0])}")
    shape = inputs[0].shape
    return (shape if isinstance(params["count"], str) else (params["count"], *shape)), inputs[0].dtype


def _evaluate_while(state: Any, *constants: Any, count: Any, steps: Any = None, **params: Any) -> Any:
    from ..while_loops import evaluate

    return evaluate(state, *constants, every=not isinstance(count, str), steps=steps, **params)


def _while_tangents(y: Node, dxs: Sequence[Node | None]) -> Node:
    from ..while_loops import tangent

    return tangent(y, dxs)


def _while_transpose(ct: Node, node: Node, position: int) -> Node:
    from ..while_loops import transpose

    return transpose(ct, node, position)


def _while_batch(node: Node, inputs: tuple[Node | None, ...], size: Size) -> Node:
    from ..while_loops import batched

    return batched(node, inputs, size)


# inputs: the state, what each step reads; the last state, or all of them. `count` is the symbol of how many there are: to the first op
# a name, since it binds nothing
for name, binds in ("while", ()), ("while_states", ("count",)):
    declare(Op(name=name, kind="opaque", arity=None, params=("body", "names", "values", "count"), binds=binds, infer=_infer_while,
               evaluate=_evaluate_while, tangents=_while_tangents, transpose=_while_transpose, batch=_while_batch, partly=True,
               bodies=("body",), runs="until", cost=10_000.0,
               names=Names("while_loop", r"\operatorname{{while}}\left({0}\right)", "while_loop({0})")))


# ------------------------------------------------------------------------------------------------ branches and checkpoints
def _result_of(body: Graph, inputs: Sequence[Node], params: dict[str, Any]) -> Aval:
    (output,) = body.outputs
    known = dict(zip(params["names"], params["values"], strict=True))
    if [(x.ndim, x.dtype) for x in inputs] != [(x.ndim, x.dtype) for x in body.inputs]:
        raise ShapeError(f"a body takes {', '.join(map(aval_text, body.inputs))}, not {', '.join(map(aval_text, inputs))}")
    shape: tuple[Size, ...] = resolve_params(output.shape, known)
    return shape, output.dtype


def _infer_cond(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    chooses, *operands = inputs
    yes, no = (_result_of(params[name], operands, params) for name in ("then", "otherwise"))
    if chooses.ndim or chooses.dtype.kind != "b" or yes != no:
        raise ShapeError(f"cond takes one truth value, not {aval_text(chooses)}, and branches of one shape and dtype, not {yes} and {no}")
    return yes


def _evaluate_cond(chooses: Any, *arrays: Any, then: Graph, otherwise: Graph, names: Any, values: Any, branches: Any = None) -> Any:
    from ..branches import evaluate

    return evaluate((then, otherwise), 0 if chooses else 1, arrays, names, values, branches)


def _evaluate_checkpoint(*arrays: Any, body: Graph, names: Any, values: Any, branches: Any = None) -> Any:
    from ..branches import evaluate

    return evaluate((body,), 0, arrays, names, values, branches)


def _branch_tangents(y: Node, dxs: Sequence[Node | None]) -> Node:
    from ..branches import tangents

    return tangents(y, dxs)


def _branch_cotangents(ct: Node, node: Node, positions: Sequence[int]) -> Sequence[Node | None]:
    from ..branches import cotangents

    return cotangents(ct, node, positions)


def _branch_batch(node: Node, inputs: tuple[Node | None, ...], size: Size) -> Node:
    from ..branches import batched

    return batched(node, inputs, size)


def _inline(node: Node) -> Node:
    from ..branches import inline

    return inline(node)


# inputs: the truth value, and what either branch reads
declare(Op(name="cond", kind="opaque", arity=None, params=("then", "otherwise", "names", "values"), infer=_infer_cond,
           evaluate=_evaluate_cond, tangents=_branch_tangents, cotangents=_branch_cotangents, batch=_branch_batch, partly=True,
           bodies=("then", "otherwise"), runs="once", in_line=_inline, cost=10_000.0,
           names=Names("cond", r"\operatorname{{cond}}\left({0}\right)", "cond({0})")))

# the body's result, whose derivatives compute again what is between it and the inputs
declare(Op(name="checkpoint", kind="opaque", arity=None, params=("body", "names", "values"),
           infer=lambda inputs, params: _result_of(params["body"], inputs, params), evaluate=_evaluate_checkpoint,
           tangents=_branch_tangents, cotangents=_branch_cotangents, batch=_branch_batch, partly=True, bodies=("body",), runs="once",
           in_line=_inline, cost=10_000.0,
           names=Names("checkpoint", r"\operatorname{{checkpoint}}\left({0}\right)", "checkpoint({0})")))


# ------------------------------------------------------------------------------------------------ custom rules
def _custom_tangents(y: Node, dxs: Sequence[Node | None]) -> Node | None:
    from ..custom_rules import tangents

    return tangents(y, dxs)


def _custom_cotangents(ct: Node, node: Node, positions: Sequence[int]) -> Sequence[Node | None]:
    from ..custom_rules import cotangents

    return cotangents(ct, node, positions)


def _custom_batch(node: Node, inputs: tuple[Node, ...], size: Size) -> Node:
    from ..custom_rules import batched

    return batched(node, inputs, size)


# inputs: the value, its `arguments`, what else it is computed from (`closed`), what the rule reads; a rule without outputs refuses
declare(Op(name="custom", kind="opaque", arity=None, params=("name", "rule", "forward", "arguments", "closed", "names", "values"),
           infer=lambda inputs, params: (inputs[0].shape, inputs[0].dtype), evaluate=lambda value, *others, **params: value,
           tangents=_custom_tangents, cotangents=_custom_cotangents, batch=_custom_batch, marks="its derivative is a rule of the user's",
           carriers=lambda node: node.inputs[1:1 + node.param("arguments") + node.param("closed")],
           names=Names("custom", "{0}", "{0}")))
