"""Matrix products: which contractions are worth a library routine, and what such a step computes.

A contraction with labels of its own in both operands, and a sum, is a matrix product (of a stack of matrices, where some
labels are in all three). Operands are read where they lie: a transposed, sliced, flipped or repeated operand is the array
behind it, walked in another way. A scaling after the product is a factor of it, and a sum of products is accumulated in the
memory of the first, so that neither takes a pass of its own.

Folding a factor changes rounding as the order of a sum does: exactly nothing for a power of two.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .ir import Node
from .sizes import Size

__all__ = ["Operand", "Term", "is_outer", "matrix_products", "streamed"]

Walk = tuple[Size, str, int]  # along one axis: where it starts, the label that moves along it (or none), its step


@dataclass(frozen=True)
class Operand:
    """An operand where it lies: `walks` says how each axis of `base` is walked."""

    base: Node
    walks: tuple[Walk, ...]


@dataclass(frozen=True)
class Term:
    """`scale * contraction`, with its operands where they lie."""

    node: Node
    left: Operand
    right: Operand
    scale: float

    def scaled(self, factor: float) -> Term:
        return Term(self.node, self.left, self.right, self.scale * factor)


def long_labels(node: Node) -> tuple[set[str], set[str]]:
    """The labels of each operand of a contraction along whose axes there is more than one element."""
    left, right = ({c for c, size in zip(labels, x.shape, strict=True) if size != 1}
                   for labels, x in zip(node.params[:2], node.inputs, strict=True))
    return left, right


def is_outer(node: Node) -> bool:
    """Whether a contraction sums over nothing: an outer or elementwise product, computed in loops."""
    if node.op.kind != "contract":
        return False
    left, right = long_labels(node)
    return left | right <= set(node.param("out"))


def streamed(node: Node) -> int | None:
    """The operand of a contraction that has every label, so that the work is one pass over it (a matrix times a vector)."""
    if node.op.kind != "contract" or is_outer(node):
        return None
    left, right = long_labels(node)
    return 0 if right <= left else 1 if left <= right else None


def squeezes(node: Node) -> bool:
    """Whether a reshape only adds or removes axes of size 1, which changes no index arithmetic."""
    return [s for s in node.shape if s != 1] == [s for s in node.inputs[0].shape if s != 1]


def located(node: Node, labels: str) -> Operand:
    """The array behind movements that only change how it is walked."""
    walks: tuple[Walk, ...] = tuple((0, label, 1) for label in labels)
    while True:
        name = node.op.name
        if name == "permute":
            at = dict(zip(node.param("order"), walks, strict=True))
            walks = tuple(at[k] for k in range(node.ndim))
        elif name == "expand":
            walks = tuple(walks[k] for k in node.param("axes"))
        elif name == "slice":
            walks = tuple((start + first * step, label, by * step) for (first, label, by), start, step in
                          zip(walks, node.param("start"), node.param("step"), strict=True))
        elif name == "flip":
            walks = tuple((size - 1 - first, label, -by) if k in node.param("axes") else (first, label, by)
                          for k, ((first, label, by), size) in enumerate(zip(walks, node.shape, strict=True)))
        elif name == "reshape" and squeezes(node):
            kept = iter(walk for walk, size in zip(walks, node.shape, strict=True) if size != 1)
            walks = tuple((0, "", 1) if size == 1 else next(kept) for size in node.inputs[0].shape)
        else:
            return Operand(node, walks)
        node = node.inputs[0]


def _term(node: Node) -> Term | None:
    """A contraction as a matrix product, None where it is none that BLAS has."""
    if node.op.kind != "contract" or node.dtype.name not in ("float32", "float64") or is_outer(node) or streamed(node) is not None:
        return None
    left, right, out = node.params
    if out[-1] in left and out[-1] in right:  # neither rows nor columns of the result would be dense
        return None
    return Term(node, located(node.inputs[0], left), located(node.inputs[1], right), 1.0)


def _factor(node: Node, product: Node) -> float | None:
    """The factor by which `node` scales `product`, None where it is no scaling that may be folded."""
    if node.op.name == "neg":
        return -1.0
    if node.op.name not in ("mul", "div") or node.inputs[0] is node.inputs[1]:
        return None
    other = node.inputs[1] if node.inputs[0] is product else node.inputs[0]
    if other.op.name != "const" or (node.op.name == "div" and other is node.inputs[0]):
        return None
    value = float(other.value)
    if node.op.name == "div":  # the reciprocal of a power of two is exact
        value = 1.0 / value if value and abs(np.frexp(value)[0]) == 0.5 else 0.0
    return value


def _representable(terms: Sequence[Term], dtype: np.dtype[np.floating]) -> bool:
    least, most = float(np.finfo(dtype).tiny), float(np.finfo(dtype).max)
    return all(least <= abs(term.scale) <= most for term in terms)


def matrix_products(order: Sequence[Node], users: Mapping[Node, Sequence[Node]],
                    outputs: Collection[Node]) -> dict[Node, tuple[Term, ...]]:
    """The values that are computed as scaled matrix products or sums of them, each with its terms.

    Args:
        order: every node, inputs before users; the work is linear in it.
        users: of each node, once for each use.
    """
    found: dict[Node, tuple[Term, ...]] = {}

    def consumed(node: Node) -> bool:
        return node in found and len(users[node]) == 1 and node not in outputs

    for node in order:
        terms: tuple[Term, ...] = ()
        if node.op.kind == "contract":
            term = _term(node)
            terms = (term,) if term is not None else ()
        elif node.op.name in ("add", "sub") and all(map(consumed, node.inputs)):
            first, second = (found[i] for i in node.inputs)
            sign = -1.0 if node.op.name == "sub" else 1.0
            terms = (*first, *(term.scaled(sign) for term in second))
        else:
            product = next(filter(consumed, node.inputs), None)
            factor = None if product is None else _factor(node, product)
            if product is not None and factor is not None:
                terms = tuple(term.scaled(factor) for term in found[product])
        if terms and _representable(terms, node.dtype):
            if node.op.kind != "contract":
                for item in node.inputs:
                    found.pop(item, None)
            found[node] = terms
    return found
