"""Derivatives of compiled functions: what is asked for, in which structure, and sweeps over bases."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...compiler.errors import ArgumentError, DifferentiationError, ShapeError
from ...compiler.ir import Node
from ...compiler.provenance import at, user_site
from ...compiler.trace.refusals import made_at
from .signature import Bound, Flat, Parameters
from .structure import LEAVES, Tree, flatten, float_leaves, unflatten

if TYPE_CHECKING:
    from ...compiler.entry_spec import EntrySpec
    from .decorated import Call

__all__ = ["Chosen", "hessian", "hvp", "jacobian", "jvp", "require_scalar", "value_and_grad", "vjp"]


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
            flatten(item, own)
            wanted = float_leaves(tree)
            if len(own) != len(wanted):
                own = [own[j] for j in wanted] if len(own) > len(wanted) else own
            if len(own) != len(wanted):
                raise ArgumentError(f"the {what} of {label!r} have not the structure of the argument{at(user_site())}")
            found += own
        return [fitted(item, shape, f"{what} of {self.labels[0]!r}" if len(self.labels) == 1 else what)
                for item, shape in zip(found, shapes, strict=True)]


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
        call: for the actual shape in the message.

    Raises:
        DifferentiationError: with the shape and the remedies.
    """
    if len(outputs) != 1:
        raise DifferentiationError(f"{name} returns {len(outputs)} values, and a gradient needs one scalar{at(user_site())}: return "
                                   f"one of them, or use {name}.jacobian(...) or {name}.vjp(..., cotangent=...)")
    (output,) = outputs
    if output.ndim:
        shape = output_shapes(call)[0] if call is not None else output.shape
        raise DifferentiationError(f"{name} returns an array of shape {shape}{made_at(output)}, and a gradient needs a scalar"
                                   f"{at(user_site())}: reduce it with np.sum or np.mean, or use {name}.jacobian(...), or "
                                   f"{name}.vjp(..., cotangent=...)")
    if output.dtype.kind != "f":
        raise DifferentiationError(f"{name} returns a {output.dtype}{made_at(output)}, which has no derivative{at(user_site())}: "
                                   "return a float")


# ------------------------------------------------------------------------------------------------ products
def output_shapes(call: Call) -> list[tuple[int, ...]]:
    """The shapes of the outputs for this call's arguments."""
    from ...compiler.interpret import bind_sizes
    from ...compiler.sizes import evaluate

    sizes = bind_sizes(call.program.graph.inputs, call.arrays)
    return [tuple(evaluate(s, sizes) for s in node.shape) for node in call.program.graph.outputs]


def cotangents_of(call: Call, cotangent: Any) -> list[Any]:
    """A cotangent, in the structure of the output, as one array for each floating output leaf."""
    outputs = call.program.graph.outputs
    leaves: list[Any] = []
    flatten(np.asarray(cotangent) if len(outputs) == 1 and call.program.result.kind == "traced" else cotangent, leaves)
    smooth = [k for k, node in enumerate(outputs) if node.dtype.kind == "f"]
    if len(leaves) == len(outputs) != len(smooth):
        leaves = [leaves[k] for k in smooth]
    if len(leaves) != len(smooth):
        raise ArgumentError(f"{call.program.name} returns {len(smooth)} floating values, the cotangent has {len(leaves)}"
                            f"{at(user_site())}: give it the structure of the output")
    shapes = output_shapes(call)
    return [fitted(leaf, shapes[k], "cotangent") for leaf, k in zip(leaves, smooth, strict=True)]


def value_and_grad(call: Call, chosen: Chosen, with_value: bool, entry: EntrySpec | None = None) -> Any:
    """(value, gradients) of the scalar output, or gradients."""
    require_scalar(call.program.graph.outputs, call.program.name, call)
    outputs = call.run("value_and_gradient" if with_value else "gradient", chosen.leaves, entry=entry)
    if not with_value:
        return chosen.structured(outputs)
    return call.structured(outputs[:1]), chosen.structured(outputs[1:])


def vjp(call: Call, chosen: Chosen, cotangent: Any) -> Any:
    """Cotangents of the chosen arguments."""
    outputs = call.run("vjp", chosen.leaves, cotangents_of(call, cotangent))
    return chosen.structured(outputs[len(call.program.graph.outputs):])


def jvp(call: Call, chosen: Chosen, tangents: Any) -> tuple[Any, Any]:
    """(output, its tangent)."""
    outputs = call.run("jvp", chosen.leaves, chosen.taken_apart(tangents, call.flat, "tangents", leaf_shapes(call, chosen)))
    count = len(call.program.graph.outputs)
    return call.structured(outputs[:count]), call.structured(outputs[count:])


def hvp(call: Call, chosen: Chosen, vectors: Any) -> Any:
    """The Hessian times vectors."""
    require_scalar(call.program.graph.outputs, call.program.name, call)
    given = chosen.taken_apart(vectors, call.flat, "vectors", leaf_shapes(call, chosen))
    return chosen.structured(call.run("hvp", chosen.leaves, given))


def leaf_shapes(call: Call, chosen: Chosen) -> list[tuple[int, ...]]:
    """The shapes of the differentiated leaves."""
    return [np.shape(call.flat.leaves[k]) for k in chosen.leaves]


# ------------------------------------------------------------------------------------------------ sweeps
def _bases(shapes: Sequence[tuple[int, ...]], dtypes: Sequence[Any]) -> Any:
    """All unit vectors of a product of spaces: (which space, which element, one array for each space)."""
    zeros = [np.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    for which, shape in enumerate(shapes):
        for index in np.ndindex(*shape):
            unit = zeros[which].copy()
            unit[index] = 1
            yield which, index, [*zeros[:which], unit, *zeros[which + 1:]]


def jacobian(call: Call, chosen: Chosen, mode: str | None) -> Any:
    """Every derivative of every floating output, by sweeps of jvp or vjp over a basis."""
    graph = call.program.graph
    smooth = [k for k, node in enumerate(graph.outputs) if node.dtype.kind == "f"]
    if not smooth:
        raise DifferentiationError(f"{call.program.name} returns no floating value, so there is no Jacobian{at(user_site())}")
    outs = output_shapes(call)
    ins = leaf_shapes(call, chosen)
    in_dtypes = [graph.inputs[k].dtype for k in chosen.leaves]
    out_dtypes = [graph.outputs[k].dtype for k in smooth]
    blocks = {(k, j): np.zeros((*outs[k], *shape), out) for k, out in zip(smooth, out_dtypes, strict=True)
              for j, shape in enumerate(ins)}
    width, height = (sum(int(np.prod(s)) for s in shapes) for shapes in (ins, [outs[k] for k in smooth]))
    if mode == "forward" or (mode is None and width < height):
        for j, index, tangents in _bases(ins, in_dtypes):
            pushed = call.run("jvp", chosen.leaves, tangents)[len(graph.outputs):]
            for k in smooth:
                blocks[k, j][(..., *index)] = pushed[k]
    else:
        for which, index, cotangents in _bases([outs[k] for k in smooth], out_dtypes):
            pulled = call.run("vjp", chosen.leaves, cotangents)[len(graph.outputs):]
            for j, part in enumerate(pulled):
                blocks[smooth[which], j][index] = part
    leaves = [chosen.structured([blocks[k, j] for j in range(len(ins))]) if k in smooth else None
              for k in range(len(graph.outputs))]
    return unflatten(call.program.result, iter(leaves))


def hessian(call: Call, chosen: Chosen) -> Any:
    """Second derivatives of the scalar output, by a sweep of Hessian-vector products."""
    graph = call.program.graph
    require_scalar(graph.outputs, call.program.name, call)
    ins = leaf_shapes(call, chosen)
    dtypes = [graph.inputs[k].dtype for k in chosen.leaves]
    blocks = [[np.zeros((*a, *b), dtype) for b in ins] for a, dtype in zip(ins, dtypes, strict=True)]
    for j, index, vectors in _bases(ins, dtypes):
        products = call.run("hvp", chosen.leaves, vectors)
        for i, part in enumerate(products):
            blocks[i][j][(..., *index)] = part
    return chosen.structured_twice(blocks)
