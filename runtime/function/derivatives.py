"""Derivatives of compiled functions: what is asked for, in which structure; whole matrices, in one piece or by sweeps."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...compiler.errors import ArgumentError, DifferentiationError, ShapeError
from ...compiler.interpret import bind_sizes
from ...compiler.ir import Node
from ...compiler.pipeline import Kind, Request
from ...compiler.provenance import at, user_site
from ...compiler.sizes import evaluate, product
from ...compiler.trace.refusals import made_at
from .direct import out_arrays
from .signature import Bound, Flat, Parameters
from .structure import LEAVES, Tree, flatten, float_leaves, unflatten

if TYPE_CHECKING:
    from ...compiler.entry_spec import EntrySpec
    from .decorated import Call
    from .traced_program import TracedProgram

__all__ = ["Chosen", "hessian", "hvp", "jacobian", "jvp", "request_of", "require_scalar", "value_and_grad", "value_and_jvp", "vjp"]


class Chosen(NamedTuple):
    """The arguments that are differentiated.

    leaves: the positions of their float leaves among all leaves; per argument in `counts`.
    """

    arguments: tuple[int, ...]
    labels: tuple[str, ...]
    trees: tuple[Tree, ...]
    leaves: tuple[int, ...]
    counts: tuple[int, ...]
    wrapped: bool
    total: int  # how many arguments the call has

    @classmethod
    def of(cls, parameters: Parameters, bound: Bound, flat: Flat, wrt: Any) -> Chosen:
        """By name or position, or every float argument."""
        arguments, wrapped = parameters.select(bound, flat.trees, wrt)
        leaves: list[int] = []
        counts: list[int] = []
        for k in arguments:
            own = [flat.starts[k] + j for j in float_leaves(flat.trees[k])]
            leaves += own
            counts.append(len(own))
        return cls(arguments, tuple(bound.labels[k] for k in arguments), tuple(flat.trees[k] for k in arguments), tuple(leaves),
                   tuple(counts), wrapped, len(bound.labels))

    def structured(self, results: Sequence[Any]) -> Any:
        """Results, one for each float leaf, in the structure of the arguments; a tuple, or bare."""
        made, start = [], 0
        for tree, count in zip(self.trees, self.counts, strict=True):
            made.append(filled(tree, [number(r) for r in results[start: start + count]]))
            start += count
        return tuple(made) if self.wrapped else made[0]

    def structured_twice(self, blocks: Sequence[Sequence[Any]]) -> Any:
        """Blocks, for each pair of float leaves, in the structure of the arguments twice."""
        return self.structured([Whole(self.structured([number(b) for b in row])) for row in blocks])

    def taken_apart(self, given: Any, flat: Flat, what: str, shapes: Sequence[Any]) -> list[Any]:
        """The leaves of `given`, which has the structure of the differentiated arguments (or of all).

        Raises:
            ArgumentError, ShapeError: it has not.
        """
        items = [given] if len(self.arguments) == 1 and not (type(given) in (tuple, list) and len(given) == 1) else list(given)
        if len(self.arguments) == 1 and len(items) == 1 and type(given) is tuple and len(given) == self.total > 1:
            items = [given[self.arguments[0]]]
        if len(items) == self.total != len(self.arguments):
            items = [items[k] for k in self.arguments]
        if len(items) != len(self.arguments):
            raise ArgumentError(f"{len(items)} {what} for {len(self.arguments)} differentiated arguments ({', '.join(self.labels)})"
                                f"{at(user_site())}")
        found: list[Any] = []
        for label, tree, item in zip(self.labels, self.trees, items, strict=True):
            own: list[Any] = []
            flatten(in_order_of(tree, item), own)
            wanted = float_leaves(tree)
            if len(own) != len(wanted):
                own = [own[j] for j in wanted] if len(own) > len(wanted) else own
            if len(own) != len(wanted):
                raise ArgumentError(f"the {what} of {label!r} have not the structure of the argument{at(user_site())}")
            found += own
        return [fitted(item, shape, f"{what} of {self.labels[0]!r}" if len(self.labels) == 1 else what)
                for item, shape in zip(found, shapes, strict=True)]


def in_order_of(tree: Tree, given: Any) -> Any:
    """Tangents, vectors or cotangents with the keys of their dicts in the order of the structure that they belong to."""
    if tree.kind == "dict" and isinstance(given, dict) and given.keys() == set(tree.info[1]):
        return {key: in_order_of(child, given[key]) for key, child in zip(tree.info[1], tree.children, strict=True)}
    if tree.kind in ("tuple", "list") and type(given) in (tuple, list) and len(given) == len(tree.children):
        return [in_order_of(child, item) for child, item in zip(tree.children, given, strict=True)]
    return given


def fitted(value: Any, shape: tuple[int, ...], what: str) -> Any:
    """A tangent or cotangent as an array of the right shape.

    Raises:
        ShapeError: it has another one.
    """
    array = np.asarray(value)
    if array.shape != tuple(shape):
        raise ShapeError(f"{what}: shape {tuple(shape)} is expected, not {array.shape}{at(user_site())}")
    return array


class Whole:
    """A structure that stands in place of one leaf."""

    def __init__(self, value: Any) -> None:
        self.value = value


def number(result: Any) -> Any:
    """A 0-d array as a NumPy scalar."""
    if isinstance(result, Whole):
        return result.value
    return result[()] if isinstance(result, np.ndarray) and result.ndim == 0 else result


def filled(tree: Tree, results: Sequence[Any]) -> Any:
    """Results in place of the float leaves of a structure, None in place of everything else."""
    wanted = set(float_leaves(tree))
    source = iter(results)
    total = _leaf_count(tree)
    return unflatten(tree, iter([next(source) if k in wanted else None for k in range(total)]), lambda value: None)


def _leaf_count(tree: Tree) -> int:
    if tree.kind in LEAVES:
        return 1
    return sum(_leaf_count(child) for child in tree.children)


def require_scalar(outputs: Sequence[Node], name: str, call: Call | None = None) -> None:
    """Refuse a gradient of anything but one floating scalar.

    Args:
        call: for the actual shape, and the function's own lines, in the message.

    Raises:
        DifferentiationError: with the shape and the remedies.
    """
    if len(outputs) != 1:
        raise DifferentiationError(f"{name} returns {len(outputs)} values, and a gradient needs one scalar{at(user_site())}: return "
                                   f"one of them, or use {name}.jacobian(...) or {name}.vjp(..., cotangent=...)")
    (output,) = outputs
    lines = call.program.sites if call is not None else output.sites
    if output.ndim:
        shape = output_shapes(call)[0] if call is not None else output.shape
        raise DifferentiationError(f"{name} returns an array of shape {shape}{made_at(output, lines)}, and a gradient needs a scalar"
                                   f"{at(user_site())}: reduce it with np.sum or np.mean, or use {name}.jacobian(...), or "
                                   f"{name}.vjp(..., cotangent=...)")
    if output.dtype.kind != "f":
        raise DifferentiationError(f"{name} returns a {output.dtype}{made_at(output, lines)}, which has no derivative{at(user_site())}: "
                                   "return a float")


def request_of(form: str, program: TracedProgram, chosen: Chosen | None) -> Request:
    """What computes a form (see `direct.WHOLE_FORMS`) for arrays in C order; a Jacobian in the mode that suits the example's sizes.

    Raises:
        DifferentiationError: the outputs have no such derivative.
    """
    graph = program.graph
    if chosen is None:
        return Request("value")
    if form != "jacobian":
        require_scalar(graph.outputs, program.name)
        kinds: dict[str, Kind] = {"grad": "gradient", "value_and_grad": "value_and_gradient", "hessian": "hessian"}
        return Request(kinds[form], chosen.leaves)
    smooth = require_floating(graph.outputs, program.name)
    width, height = (sum(evaluate(product(node.shape), graph.hints) for node in nodes)
                     for nodes in ([graph.inputs[k] for k in chosen.leaves], smooth))
    return Request("jacobian_forward" if width < height else "jacobian_reverse", chosen.leaves)


def require_floating(outputs: Sequence[Node], name: str) -> list[Node]:
    """The outputs that have a Jacobian.

    Raises:
        DifferentiationError: there are none.
    """
    smooth = [node for node in outputs if node.dtype.kind == "f"]
    if not smooth:
        raise DifferentiationError(f"{name} returns no floating value, so there is no Jacobian{at(user_site())}")
    return smooth


# ------------------------------------------------------------------------------------------------ products
def output_shapes(call: Call) -> list[tuple[int, ...]]:
    """The shapes of the outputs for this call's arguments."""
    sizes = bind_sizes(call.program.graph.inputs, call.arrays)
    return [tuple(evaluate(s, sizes) for s in node.shape) for node in call.program.graph.outputs]


def cotangents_of(call: Call, cotangent: Any) -> list[Any]:
    """A cotangent, in the structure of the output, as one array for each floating output leaf."""
    outputs = call.program.graph.outputs
    leaves: list[Any] = []
    result = call.program.result
    flatten(np.asarray(cotangent) if len(outputs) == 1 and result.kind == "traced" else in_order_of(result, cotangent), leaves)
    smooth = [k for k, node in enumerate(outputs) if node.dtype.kind == "f"]
    if len(leaves) == len(outputs) != len(smooth):
        leaves = [leaves[k] for k in smooth]
    if len(leaves) != len(smooth):
        raise ArgumentError(f"{call.program.name} returns {len(smooth)} floating values, the cotangent has {len(leaves)}"
                            f"{at(user_site())}: give it the structure of the output")
    shapes = output_shapes(call)
    return [fitted(leaf, shapes[k], "cotangent") for leaf, k in zip(leaves, smooth, strict=True)]


def value_and_grad(call: Call, chosen: Chosen, with_value: bool, entry: EntrySpec | None = None, out: Any = None) -> Any:
    """(value, gradients) of the scalar output, or gradients; `out` as `.grad` takes it."""
    require_scalar(call.program.graph.outputs, call.program.name, call)
    places: list[Any] | None = None
    if out is not None:
        dtypes = [call.program.graph.inputs[k].dtype for k in chosen.leaves]
        places = [*([None] if with_value else []), *out_arrays(out, chosen, leaf_shapes(call, chosen), dtypes)]
    outputs = call.run("value_and_gradient" if with_value else "gradient", chosen.leaves, entry=entry, out=places)
    if not with_value:
        return chosen.structured(outputs)
    return call.structured(outputs[:1]), chosen.structured(outputs[1:])


def vjp(call: Call, chosen: Chosen, cotangent: Any, entry: EntrySpec | None = None) -> Any:
    """Cotangents of the chosen arguments."""
    return chosen.structured(call.run("cotangents", chosen.leaves, cotangents_of(call, cotangent), entry))


def _tangents_of(call: Call, chosen: Chosen, tangents: Any) -> list[Any]:
    return chosen.taken_apart(tangents, call.flat, "tangents", leaf_shapes(call, chosen))


def jvp(call: Call, chosen: Chosen, tangents: Any, entry: EntrySpec | None = None) -> Any:
    """The tangent of the output."""
    return call.structured(call.run("tangents", chosen.leaves, _tangents_of(call, chosen, tangents), entry))


def value_and_jvp(call: Call, chosen: Chosen, tangents: Any) -> tuple[Any, Any]:
    """(output, its tangent)."""
    outputs = call.run("jvp", chosen.leaves, _tangents_of(call, chosen, tangents))
    count = len(call.program.graph.outputs)
    return call.structured(outputs[:count]), call.structured(outputs[count:])


def hvp(call: Call, chosen: Chosen, vectors: Any, entry: EntrySpec | None = None) -> Any:
    """The Hessian times vectors."""
    require_scalar(call.program.graph.outputs, call.program.name, call)
    given = chosen.taken_apart(vectors, call.flat, "vectors", leaf_shapes(call, chosen))
    return chosen.structured(call.run("hvp", chosen.leaves, given, entry))


def leaf_shapes(call: Call, chosen: Chosen) -> list[tuple[int, ...]]:
    """The shapes of the differentiated leaves."""
    return [np.shape(call.flat.leaves[k]) for k in chosen.leaves]


# ------------------------------------------------------------------------------------------------ whole matrices
MOST_MEMORY = 64 << 20  # bytes between kernels that a whole matrix may take whatever its size; see `_fits`
SEVERAL = 4  # times as much as the arguments and the matrix themselves take


def jacobian(call: Call, chosen: Chosen, mode: str | None, entry: EntrySpec | None = None) -> tuple[Any, Kind | None]:
    """Every derivative of every floating output, and by which program: None for sweeps of jvp or vjp over a basis."""
    graph = call.program.graph
    smooth = [k for k, node in enumerate(graph.outputs) if node.dtype.kind == "f"]
    require_floating(graph.outputs, call.program.name)
    outs = [output_shapes(call)[k] for k in smooth]
    ins = leaf_shapes(call, chosen)
    width, height = (sum(map(math.prod, shapes)) for shapes in (ins, outs))
    forward = mode == "forward" or (mode is None and width < height)
    kind: Kind = "jacobian_forward" if forward else "jacobian_reverse"
    found = _whole(call, chosen, kind, entry)
    if found is None:
        blocks = (_columns if forward else _rows)(call, chosen, [graph.outputs[k].dtype for k in smooth], outs, ins)
    else:
        blocks = [found[k: k + len(ins)] for k in range(0, len(found), len(ins))]
    rows = iter(blocks)
    leaves = [chosen.structured(next(rows)) if node.dtype.kind == "f" else None for node in graph.outputs]
    return unflatten(call.program.result, iter(leaves)), None if found is None else kind


def hessian(call: Call, chosen: Chosen, entry: EntrySpec | None = None) -> tuple[Any, bool]:
    """Second derivatives of the scalar output: one program, or a sweep of Hessian-vector products; whether it was one program."""
    require_scalar(call.program.graph.outputs, call.program.name, call)
    count = len(chosen.leaves)
    found = _whole(call, chosen, "hessian", entry)
    if found is None:
        ins = leaf_shapes(call, chosen)
        dtypes = [call.program.graph.inputs[k].dtype for k in chosen.leaves]
        blocks = [[np.zeros((*a, *b), dtype) for b in ins] for a, dtype in zip(ins, dtypes, strict=True)]
        for j, index, vectors in _bases(ins, dtypes):
            for i, part in enumerate(call.run("hvp", chosen.leaves, vectors)):
                blocks[i][j][(..., *index)] = part
    else:
        blocks = [found[k: k + count] for k in range(0, len(found), count)]
    return chosen.structured_twice(blocks), found is not None


def _whole(call: Call, chosen: Chosen, kind: Kind, entry: EntrySpec | None = None) -> list[Any] | None:
    """What the program of a whole matrix gives; None where it would take too much memory."""
    execution, graph = call.execution(kind, chosen.leaves, entry=entry), call.program.graph
    sizes = {**graph.hints, **bind_sizes(graph.inputs, call.arrays)}
    between = execution.temporaries(sizes)[1]
    kept = sum(np.asarray(a).nbytes for a in call.arrays) + execution.output_bytes(sizes)
    if between > max(MOST_MEMORY, SEVERAL * kept):
        call.program.stats.sweep(f"{kind} by a sweep: in one piece it would take {between >> 20} MB of memory between kernels")
        return None
    return execution.run(call.arrays)


# ------------------------------------------------------------------------------------------------ sweeps
Blocks = list[list[Any]]


def _bases(shapes: Sequence[tuple[int, ...]], dtypes: Sequence[Any]) -> Any:
    """All unit vectors of a product of spaces: (which space, which element, one array for each space)."""
    zeros = [np.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    for which, shape in enumerate(shapes):
        for index in np.ndindex(*shape):
            unit = zeros[which].copy()
            unit[index] = 1
            yield which, index, [*zeros[:which], unit, *zeros[which + 1:]]


def _columns(call: Call, chosen: Chosen, dtypes: Sequence[Any], outs: Sequence[tuple[int, ...]], ins: Sequence[tuple[int, ...]]) -> Blocks:
    """A Jacobian by a jvp for each element of the arguments."""
    graph = call.program.graph
    smooth = [k for k, node in enumerate(graph.outputs) if node.dtype.kind == "f"]
    blocks = [[np.zeros((*out, *shape), dtype) for shape in ins] for out, dtype in zip(outs, dtypes, strict=True)]
    for j, index, tangents in _bases(ins, [graph.inputs[k].dtype for k in chosen.leaves]):
        pushed = call.run("tangents", chosen.leaves, tangents)
        for row, k in zip(blocks, smooth, strict=True):
            row[j][(..., *index)] = pushed[k]
    return blocks


def _rows(call: Call, chosen: Chosen, dtypes: Sequence[Any], outs: Sequence[tuple[int, ...]], ins: Sequence[tuple[int, ...]]) -> Blocks:
    """A Jacobian by a vjp for each element of the outputs."""
    blocks = [[np.zeros((*out, *shape), dtype) for shape in ins] for out, dtype in zip(outs, dtypes, strict=True)]
    for which, index, cotangents in _bases(outs, dtypes):
        pulled = call.run("cotangents", chosen.leaves, cotangents)
        for j, part in enumerate(pulled):
            blocks[which][j][index] = part
    return blocks
