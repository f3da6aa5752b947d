"""Gradients of recorded operations, as recorded operations.

The gradient of an operation is made from the operation itself: its nodes are made on stand-ins for its inputs, the compiler
differentiates them, and the stand-ins are replaced. So no operation states its derivative twice, and a gradient is
differentiated again by the same means.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...compiler import differentiate, sizes
from ...compiler.ir import Node, f, make, rebuild, toposort
from .value import Recipe

Aval = tuple[tuple[Any, ...], str]  # shape, dtype name


class Template(NamedTuple):
    """A gradient on stand-ins: `value` is None where nothing depends on the input."""

    stand_ins: tuple[Node, ...]
    value: Node | None
    mask: Node | None
    reads: frozenset[int]  # which stand-ins it is made of


class _Vjp(Recipe):
    """The cotangent of one input of an operation.

    The inputs are the cotangents that are there, the operation's inputs, then its outputs. The parameters: the operation's
    recipe and parameters, how many inputs it has, the indices of its outputs, which of them have a cotangent; the index
    is that of the input.
    """

    __slots__ = ()

    def emit(self, nodes: Sequence[Node], masks: Sequence[Node | None], params: tuple[Any, ...], index: int
             ) -> tuple[Node, Node | None]:
        # what is decided by symbolic sizes is for one trace only
        of: Callable[..., Template] = template if sizes.active.context is None else template.__wrapped__
        made = of(params, index, tuple((n.shape, n.dtype.name) for n in nodes), tuple(m is not None for m in masks))
        target = nodes[len(params[4]) + index]
        if made.value is None:
            return differentiate.zeros_like(target), None
        actual = [*nodes, *(m for m in masks if m is not None)]
        wanted = [made.value] if made.mask is None else [made.value, made.mask]
        found = rebuild(wanted, dict(zip(made.stand_ins, actual, strict=True)))
        return found[0], None if made.mask is None else found[1]


VJP = _Vjp()


@lru_cache(maxsize=4096)
def template(params: tuple[Any, ...], index: int, avals: tuple[Aval, ...], masked: tuple[bool, ...]) -> Template:
    """The gradient of an operation (see `_Vjp`) in terms of stand-ins for nodes and masks.

    Raises:
        RuntimeError: the operation has none.
    """
    if getattr(params[0], "backward", "") == "NotImplemented":
        raise RuntimeError(f"derivative for aten::{params[0].name} is not implemented")
    recipe, inner, arity, indices, given = params
    stand_ins = [make("input", shape=shape, dtype=np.dtype(name), position=-3 - k, name="stand-in")
                 for k, (shape, name) in enumerate(avals)]
    mask_of = {k: make("input", shape=avals[k][0], dtype=np.dtype("bool"), position=-3 - len(avals) - k, name="mask")
               for k, there in enumerate(masked) if there}
    cts, inputs, outputs = stand_ins[: len(given)], stand_ins[len(given): len(given) + arity], stand_ins[len(given) + arity:]
    made = [recipe.emit(inputs, [mask_of.get(len(given) + k) for k in range(arity)], inner, k)[0] for k in indices]
    if sizes.active.context is not None:
        _same_sizes(made, outputs)
        _same_sizes([made[k] for k in given], cts)
    value, mask = differentiate.vjp_masked([made[k] for k in given], cts, [mask_of.get(k) for k in range(len(given))],
                                           [inputs[index]])[0]
    # Where the gradient is written in terms of an output, the output is read and not computed again.
    known = {node: stand_in for node, stand_in in zip(made, outputs, strict=True) if node not in inputs and node.op.kind != "leaf"}
    wanted = [n for n in (value, mask) if n is not None]
    again = dict(zip(wanted, rebuild(wanted, known), strict=True))
    value, mask = (None if n is None else again[n] for n in (value, mask))
    found = set(toposort([n for n in (value, mask) if n is not None]))
    return Template((*stand_ins, *mask_of.values()), value, mask,
                    frozenset(k for k, node in enumerate(stand_ins) if node in found))


def _same_sizes(nodes: Sequence[Node], stand_ins: Sequence[Node]) -> None:
    """Tell the active trace that a stand-in has the shape of what it stands for."""
    for node, stand_in in zip(nodes, stand_ins, strict=True):
        for left, right in zip(node.shape, stand_in.shape, strict=True):
            sizes.equal(left, right)


@lru_cache(maxsize=4096)
def depends(derived: Template) -> frozenset[int]:
    """Which stand-ins a gradient is a function of; others it may read only to compare them."""
    if derived.value is None:
        return frozenset()
    below: dict[Node, frozenset[int]] = {node: frozenset((k,)) for k, node in enumerate(derived.stand_ins)}
    for node in toposort([derived.value]):
        if node not in below:
            flows = differentiate.is_differentiable(node) and not node.op.not_differentiable
            below[node] = frozenset().union(*(below[i] for i in node.inputs)) if flows else frozenset()
    return below[derived.value]


class _Accumulate(Recipe):
    """The sum of two cotangents; where both are masked, so is the sum."""

    __slots__ = ()

    def emit(self, nodes: Sequence[Node], masks: Sequence[Node | None], params: tuple[Any, ...], index: int
             ) -> tuple[Node, Node | None]:
        a, b = masks
        mask = None if a is None or b is None else a if a is b else f.or_(a, b)
        return nodes[0] + nodes[1], mask


ACCUMULATE = _Accumulate()


class _Copy(Recipe):
    """The same contents, and the same mask."""

    __slots__ = ()

    def emit(self, nodes: Sequence[Node], masks: Sequence[Node | None], params: tuple[Any, ...], index: int
             ) -> tuple[Node, Node | None]:
        return nodes[0], masks[0]


COPY = _Copy()


class _Plain(Recipe):
    """The same contents, and no mask: what arrives at a leaf is numbers."""

    __slots__ = ()

    def emit(self, nodes: Sequence[Node], masks: Sequence[Node | None], params: tuple[Any, ...], index: int
             ) -> tuple[Node, Node | None]:
        return nodes[0], None


PLAIN = _Plain()
