"""Contraction: one einsum-like op of two operands covers every product of matrices and tensors.

Source: Laue, Mitterreiter, Giesen, "A Simple and Efficient Tensor Calculus", AAAI 2020: the adjoint of
`C = A *(a, b, c) B` in A is `ct *(c, b, a) B`.
"""
from __future__ import annotations

from string import ascii_letters
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import sizes
from ..errors import ShapeError
from ..ir import f, with_inputs
from ..op import Names, Op, declare
from .rules import aval_text, one_dtype

if TYPE_CHECKING:
    from ..ir import Node
    from ..op import Aval
    from ..sizes import Size


def _contract(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    left, right = inputs
    extent: dict[str, Any] = {}
    for node, labels in zip(inputs, (params["left"], params["right"]), strict=True):
        if len(labels) != node.ndim or len(set(labels)) != len(labels):
            raise ShapeError(f"contraction: labels {labels!r} do not fit {aval_text(node)}")
        for label, size in zip(labels, node.shape, strict=True):
            if label in extent and not sizes.equal(extent[label], size):
                a, b = params["left"].index(label), params["right"].index(label)
                axes = f"axis {a} (size {left.shape[a]}) with axis {b} (size {right.shape[b]})"
                raise ShapeError(f"contraction of {axes}: {aval_text(left)} and {aval_text(right)}")
            extent[label] = sizes.resolve(size)
    for label in params["out"]:
        if label not in extent:
            raise ShapeError(f"contraction: output label {label!r} is in neither operand")
    lone = set(params["left"]) ^ set(params["right"])
    if lone - set(params["out"]):
        raise ShapeError(f"contraction: labels {sorted(lone - set(params['out']))} are summed in one operand only")
    return tuple(extent[label] for label in params["out"]), one_dtype(inputs, "contraction")


def _evaluate(x: Any, y: Any, *, left: str, right: str, out: str) -> Any:
    """Batched matmul where the labels allow it (they always do after a transpose and a reshape), which is BLAS."""
    batch = [c for c in left if c in right and c in out]
    inner = [c for c in left if c in right and c not in out]
    rows = [c for c in left if c not in right]
    columns = [c for c in right if c not in left]
    extent = {**dict(zip(left, np.shape(x), strict=True)), **dict(zip(right, np.shape(y), strict=True))}

    def size(labels: list[str]) -> list[int]:
        return [extent[c] for c in labels]

    a = np.transpose(x, [left.index(c) for c in batch + rows + inner])
    b = np.transpose(y, [right.index(c) for c in batch + inner + columns])
    shape = size(batch)
    count = [int(np.prod(size(labels), dtype=np.int64)) for labels in (rows, inner, columns)]
    product = np.matmul(a.reshape([*shape, count[0], count[1]]), b.reshape([*shape, count[1], count[2]]))
    made = batch + rows + columns
    return np.transpose(product.reshape(size(made)), [made.index(c) for c in out])


def _transpose(ct: Node, node: Node, position: int) -> Node:
    left, right, out = node.params
    if position == 0:
        return f.contract(ct, node.inputs[1], left=out, right=right, out=left)
    return f.contract(ct, node.inputs[0], left=out, right=left, out=right)


def _selected(ct: Node, mask: Node, node: Node, position: int) -> Node | None:
    """The transpose with the other operand zero where the cotangent is masked, if it has every label of the mask."""
    other = node.inputs[1 - position]
    labels, out = node.params[1 - position], node.params[2]
    if not set(out) <= set(labels):
        return None
    order = tuple(sorted(range(len(out)), key=lambda k: labels.index(out[k])))
    taken = f.expand(f.permute(mask, order=order), shape=other.shape, axes=tuple(sorted(labels.index(c) for c in out)))
    clean = f.where(taken, other, 0)
    inputs = (node.inputs[0], clean) if position == 0 else (clean, node.inputs[1])
    return _transpose(ct, with_inputs(node, inputs), position)


def _batch(node: Node, inputs: tuple[Node, ...], size: Size) -> Node:
    label = next(c for c in ascii_letters if c not in node.param("left") + node.param("right"))
    left, right, out = (label + labels for labels in node.params)
    return f.contract(*inputs, left=left, right=right, out=out)


# out[out labels] = sum over the other labels of x[left labels] * y[right labels]; labels are letters, each once a term.
declare(Op(name="contract", kind="contract", arity=2, params=("left", "right", "out"), infer=_contract,
           evaluate=_evaluate, transpose=_transpose, selected=_selected, batch=_batch, dtypes=("float", "int"),
           names=Names("contract", "{0} {1}", "{0} @ {1}"), cost=50.0))
