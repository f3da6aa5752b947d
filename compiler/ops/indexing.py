"""Indexing by integer arrays, its adjoint, and the indices of true elements."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import sizes
from ..errors import IndexingError, ShapeError
from ..ir import constant, f, make
from ..op import Names, Op, declare
from .reduction import check_axes
from .rules import INT64, mask_of_sums, one_dtype, shape_text, unify, without

if TYPE_CHECKING:
    from ..ir import Node
    from ..op import Aval
    from ..sizes import Size


def _of_each(node: Node, inputs: tuple[Node, ...], size: Size, values: int, **params: Any) -> Node:
    """The op with the number of the example as one more index; `values` inputs come before the index arrays."""
    example = make("iota", shape=inputs[values].shape, dtype=INT64, axis=0)
    return make(node.op, (*inputs[:values], example, *inputs[values:]), axes=(0, *(a + 1 for a in node.param("axes"))), **params)


def _gather(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    x, *indices = inputs
    axes = params["axes"]
    check_axes(x.shape, axes, "gather")
    if len(indices) != len(axes):
        raise ShapeError(f"gather: {len(indices)} index arrays for {len(axes)} axes")
    return (*unify(tuple(indices), "index arrays"), *without(x.shape, axes)), x.dtype


def _keys(ndim: int, axes: tuple[int, ...], indices: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """A NumPy index with the indexed axes first, bounds checked (negative ones are not wrapped here)."""
    for axis, index in zip(axes, indices, strict=True):
        if np.size(index) and (np.min(index) < 0 or np.max(index) >= shape[axis]):
            bad = int(np.min(index)) if np.min(index) < 0 else int(np.max(index))
            raise IndexingError(f"index {bad} is out of bounds for axis {axis} with size {shape[axis]}")
    return tuple(indices)


def _indexed_first(ndim: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    return (*axes, *(k for k in range(ndim) if k not in axes))


def _gather_evaluate(x: Any, *indices: Any, axes: tuple[int, ...]) -> Any:
    keys = _keys(x.ndim, axes, indices, x.shape)
    return np.transpose(x, _indexed_first(x.ndim, axes))[keys]


def _gather_transpose(ct: Node, node: Node, position: int) -> Node | None:
    x, *indices = node.inputs
    return f.scatter_add(ct, *indices, axes=node.param("axes"), shape=x.shape) if position == 0 else None


# out[b..., r...] = x[indices at axes, r at the other axes]; indices are int64, non-negative, all of one shape b.
declare(Op(name="gather", kind="index", arity=None, params=("axes",), infer=_gather, evaluate=_gather_evaluate,
           transpose=_gather_transpose, mask=mask_of_sums(_gather_transpose),
           batch=lambda node, inputs, size: _of_each(node, inputs, size, 1),
           names=Names("gather", r"{0}_{{{1}}}", "{0}[{1}]")))


def _scatter(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    values, *indices = inputs
    shape, axes = params["shape"], params["axes"]
    check_axes(shape, axes, "scatter_add")
    expected = (*unify(tuple(indices), "index arrays"), *without(shape, axes))
    if len(expected) != values.ndim or not all(map(sizes.equal, expected, values.shape)):
        raise ShapeError(f"scatter_add: values have shape {shape_text(values.shape)}, "
                         f"the indices ask for {shape_text(expected)}")
    return shape, values.dtype


def _scatter_evaluate(values: Any, *indices: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, np.asarray(values).dtype)
    np.add.at(np.transpose(out, _indexed_first(len(shape), axes)), _keys(len(shape), axes, indices, shape), values)
    return out


def _scatter_transpose(ct: Node, node: Node, position: int) -> Node | None:
    return f.gather(ct, *node.inputs[1:], axes=node.param("axes")) if position == 0 else None


# Zeros of the given shape, plus values[b..., r...] at [indices at axes, r]; equal indices add up.
declare(Op(name="scatter_add", kind="index", arity=None, params=("axes", "shape"), infer=_scatter,
           evaluate=_scatter_evaluate, transpose=_scatter_transpose, dtypes=("float", "int"),
           mask=lambda mask, node, position: None if mask is None else _scatter_transpose(mask, node, position),
           batch=lambda node, inputs, size: _of_each(node, inputs, size, 1, shape=(size, *node.shape)),
           names=Names("scatter_add", r"\operatorname{{scatter}}_{{{1}}}\left({0}\right)", "scatter_add({0}, {1})")))


def _overwrite(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    x, values, *indices = inputs
    one_dtype((x, values), "scatter")
    return _scatter((values, *indices), {"axes": params["axes"], "shape": x.shape})


def _overwrite_evaluate(x: Any, values: Any, *indices: Any, axes: tuple[int, ...]) -> Any:
    out = np.array(x)
    np.transpose(out, _indexed_first(out.ndim, axes))[_keys(out.ndim, axes, indices, out.shape)] = values
    return out


def _overwrite_transpose(ct: Node, node: Node, position: int) -> Node | None:
    """What was overwritten gets nothing; of values written to one place only the last gets its cotangent."""
    x, values, *indices = node.inputs
    axes = node.param("axes")
    if position == 0:
        return f.scatter(ct, constant(0, ct.dtype, values.shape), *indices, axes=axes)
    if position > 1:
        return None
    turn = make("iota", shape=(sizes.product(values.shape),), dtype=INT64, axis=0)
    turn = f.reshape(turn, shape=values.shape)
    winner = f.gather(f.scatter(constant(-1, INT64, x.shape), turn, *indices, axes=axes), *indices, axes=axes)
    picked = f.gather(ct, *indices, axes=axes)
    return f.where(f.eq(winner, turn), picked, 0)


# x with values[b..., r...] written at [indices at axes, r]; of equal indices the last one wins, as in NumPy.
declare(Op(name="scatter", kind="index", arity=None, params=("axes",), infer=_overwrite, evaluate=_overwrite_evaluate,
           transpose=_overwrite_transpose, jointly=True,
           mask=lambda mask, node, position: None if mask is None else _overwrite_transpose(mask, node, position),
           batch=lambda node, inputs, size: _of_each(node, inputs, size, 2),
           names=Names("scatter", r"{0}\,|\,_{{{2}}} \leftarrow {1}", "scatter({0}, {1}, {2})")))


def _nonzero(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    if inputs[0].ndim != 1:
        raise IndexingError("nonzero takes a flat mask")
    return (params["count"],), INT64


# The positions of the true elements of a flat mask. `count` is a symbol that this node binds when it is evaluated.
declare(Op(name="nonzero", kind="opaque", arity=1, params=("count",), binds=("count",), infer=_nonzero,
           dtypes=("bool",), evaluate=lambda mask, *, count: np.flatnonzero(mask), not_differentiable="indices",
           names=Names("nonzero", r"\operatorname{{nonzero}}\left({0}\right)", "nonzero({0})", "np.flatnonzero({0})")))
