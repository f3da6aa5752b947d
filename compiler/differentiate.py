"""Differentiation, IR to IR: tangents forward, cotangents backward, both from the one declaration of each op.

Each node is visited once, cotangents are summed before they are propagated, and a derivative that is structurally zero
is never built, so the derivative of a graph is a small multiple of the graph (Laue, arXiv 1904.02990).

A cotangent that passed a `where` carries a mask: outside the mask it is exactly zero, and stays so when it meets an
infinite or undefined partial. The mask costs nothing unless such a partial is met.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from .errors import DifferentiationError
from .ir import Node, constant, current, f, make, toposort, with_inputs
from .op import Over, Refused
from .provenance import at

__all__ = ["Passed", "is_differentiable", "jvp", "linear_transpose", "ones_like", "recording", "vjp", "vjp_masked", "without_marks",
           "zeros_like"]


def zeros_like(node: Node) -> Node:
    """Zeros of the node's shape and dtype."""
    return constant(0, node.dtype, node.shape)


def ones_like(node: Node) -> Node:
    """Ones of the node's shape and dtype."""
    return constant(1, node.dtype, node.shape)


def is_differentiable(node: Node) -> bool:
    """Whether derivatives can flow through the node: only values of a floating dtype have them."""
    return node.dtype.kind == "f"


class Passed(NamedTuple):
    """One use of an op's derivative rule, for people to read.

    Forward, from tangents of some inputs to that of the `node`; backward, from the node's cotangent to those of some inputs.
    """

    node: Node
    forward: bool
    known: tuple[tuple[Node, Node], ...]  # (value, its tangent or cotangent) that came in
    made: tuple[tuple[Node, Node], ...]  # that came out


class _Log(threading.local):
    passed: list[Passed] | None = None


_log = _Log()


@contextmanager
def recording(to: list[Passed] | None) -> Iterator[list[Passed] | None]:
    """Within it, this thread's uses of derivative rules are appended to a list; yields the one that was in place before."""
    before, _log.passed = _log.passed, to
    try:
        yield before
    finally:
        _log.passed = before


# ------------------------------------------------------------------------------------------------ forward
def jvp(outputs: Sequence[Node], tangents: Mapping[Node, Node]) -> list[Node | None]:
    """Tangents of `outputs`, given tangents of some nodes; None where the derivative is structurally zero.

    Args:
        tangents: node -> its tangent, of the same shape and dtype.
    """
    found: dict[Node, Node | None] = dict(tangents)
    with recording(None) as log:  # what a rule does on its own is a part of that rule
        for node in _carrying(outputs):
            if node in found:
                continue
            if not is_differentiable(node) or all(found.get(i) is None for i in node.inputs):
                found[node] = None
                continue
            before, current.sites = current.sites, node.sites
            try:
                made = found[node] = _push(node, [found.get(i) for i in node.inputs])
            finally:
                current.sites = before
            if log is not None and made is not None:
                known = {i: dx for i in node.inputs if (dx := found.get(i)) is not None}
                log.append(Passed(node, True, tuple(known.items()), ((node, made),)))
    return [found[node] for node in outputs]


def _carrying(outputs: Sequence[Node]) -> list[Node]:
    """The nodes that derivatives of `outputs` come through, inputs first."""
    order = toposort(outputs)
    if not any(node.op.carriers for node in order):
        return order
    reached = set(outputs)
    for node in reversed(order):
        if node in reached:
            reached.update(node.inputs if node.op.carriers is None else node.op.carriers(node))
    return [node for node in order if node in reached]


def _push(node: Node, tangents: list[Node | None]) -> Node | None:
    """The tangent of one node from those of its inputs."""
    op = node.op
    if op.not_differentiable:
        return None
    if op.partials is not None:
        partials = op.partials(node, *node.inputs)
        return _total([_scale(dx, p) for dx, p in zip(tangents, partials, strict=True) if dx is not None])
    if op.weights is not None:
        (dx,) = tangents
        assert dx is not None
        return f.sum(_weights(node) * dx, axes=node.param("axes"))
    if op.tangents is not None:
        return op.tangents(node, tangents)
    if op.tangent is not None:
        return _total([op.tangent(node, k, dx) for k, dx in enumerate(tangents) if dx is not None])
    if op.jointly:
        fixed = [x if not is_differentiable(x) else zeros_like(x) if dx is None else dx
                 for x, dx in zip(node.inputs, tangents, strict=True)]
        return make(op, fixed, **node.named_params)
    terms = []
    for k, dx in enumerate(tangents):
        if dx is not None:
            terms.append(make(op, [*node.inputs[:k], dx, *node.inputs[k + 1:]], **node.named_params))
    return _total(terms)


def _scale(dx: Node, partial: Any) -> Node | None:
    if partial is None:
        return None
    if isinstance(partial, int):
        return dx if partial == 1 else f.neg(dx)
    if isinstance(partial, Refused):
        raise DifferentiationError(f"{partial.reason}{at(min(current.sites, default=None))}: leave the argument out of wrt, or hold it "
                                   "fixed with stop_gradient")
    return dx / partial.node if isinstance(partial, Over) else dx * partial


def _total(terms: Sequence[Node | None]) -> Node | None:
    total: Node | None = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


def _weights(node: Node) -> Node:
    (x,), axes = node.inputs, node.param("axes")
    kept = tuple(k for k in range(x.ndim) if k not in axes)
    assert node.op.weights is not None
    return node.op.weights(f.expand(node, shape=x.shape, axes=kept), x, node)


# ------------------------------------------------------------------------------------------------ backward
@dataclass(frozen=True, slots=True)
class _Cotangent:
    """`value`, which is exactly zero wherever `mask` is false; no mask means anywhere."""

    value: Node
    mask: Node | None = None

    def plus(self, other: _Cotangent) -> _Cotangent:
        mask = None
        if self.mask is not None and other.mask is not None and not _complementary(self.mask, other.mask):
            mask = self.mask if self.mask is other.mask else f.or_(self.mask, other.mask)
        return _Cotangent(self.value + other.value, mask)

    def times(self, partial: Any, singular: bool) -> _Cotangent:
        """The product with a partial; where the partial may be inf or nan, masked elements stay zero."""
        scaled = _scale(self.value, partial)
        assert scaled is not None
        if self.mask is not None and singular and not isinstance(partial, int):
            scaled = f.where(self.mask, scaled, zeros_like(scaled))
        return _Cotangent(scaled, self.mask)


def _complementary(left: Node, right: Node) -> bool:
    """Whether one mask is the other's negation, as those of the two branches of a `where` are."""
    return any(a.op.name == "not_" and a.inputs[0] is b for a, b in ((left, right), (right, left)))


def vjp(outputs: Sequence[Node], cotangents: Sequence[Node | None], wrt: Sequence[Node]) -> list[Node | None]:
    """Cotangents of `wrt`, given those of `outputs`; None where nothing depends on the node (a structural zero).

    Raises:
        DifferentiationError: a cotangent's shape or dtype is not its output's.
    """
    return [value for value, _ in vjp_masked(outputs, cotangents, [None] * len(cotangents), wrt)]


def vjp_masked(outputs: Sequence[Node], cotangents: Sequence[Node | None], masks: Sequence[Node | None],
               wrt: Sequence[Node]) -> list[tuple[Node | None, Node | None]]:
    """`vjp` with masks: of the given cotangents, and beside each result. Outside its mask a cotangent is exactly zero.

    Raises:
        DifferentiationError: a cotangent's shape or dtype is not its output's.
    """
    for node, given in zip(outputs, cotangents, strict=True):
        if given is not None and (given.shape != node.shape or given.dtype != node.dtype):
            raise DifferentiationError(f"the cotangent is {given!r}, its output {node!r}")
    order = toposort(outputs)
    active = set(wrt)
    for node in order:
        if is_differentiable(node) and not node.op.not_differentiable and any(i in active for i in node.inputs):
            active.add(node)
    pending: dict[Node, _Cotangent] = {}
    for node, given, mask in zip(outputs, cotangents, masks, strict=True):
        if given is not None:
            _accumulate(pending, node, _Cotangent(given, mask))
    targets = set(wrt)
    with recording(None) as log:  # what a rule does on its own is a part of that rule
        for node in reversed(order):
            if node not in pending or node not in active:
                continue
            ct = pending[node] if node in targets else pending.pop(node)
            if not any(i in active for i in node.inputs):
                continue
            before, current.sites = current.sites, node.sites
            try:
                handed = list(_pull(node, ct, active))
                for x, more in handed:
                    _accumulate(pending, x, more)
            finally:
                current.sites = before
            if log is not None and handed:
                log.append(Passed(node, False, ((node, ct.value),), tuple((x, more.value) for x, more in handed)))
    return [(pending[node].value, pending[node].mask) if node in pending else (None, None) for node in wrt]


def _accumulate(pending: dict[Node, _Cotangent], node: Node, ct: _Cotangent) -> None:
    known = pending.get(node)
    pending[node] = ct if known is None else known.plus(ct)


def _pull(node: Node, ct: _Cotangent, active: set[Node]) -> Iterator[tuple[Node, _Cotangent]]:
    """What a node's cotangent adds to those of its inputs."""
    op = node.op
    if op.cotangents is not None:
        positions = [k for k, x in enumerate(node.inputs) if x in active]
        for k, pulled in zip(positions, op.cotangents(ct.value, node, positions), strict=True):
            if pulled is not None:
                yield node.inputs[k], _Cotangent(pulled)
        return
    partials = op.partials(node, *node.inputs) if op.partials is not None else ()
    for k, x in enumerate(node.inputs):
        if x not in active:
            continue
        if op.partials is not None:
            if partials[k] is not None:
                yield x, ct.times(partials[k], op.singular)
        elif op.weights is not None:
            spread = _expanded(ct, node, x)
            yield x, spread.times(_weights(node), op.singular)
        else:
            pulled = None
            if ct.mask is not None and op.selected is not None:
                pulled = op.selected(ct.value, ct.mask, node, k)
            if pulled is None and op.transpose is not None:
                pulled = op.transpose(ct.value, node, k)
            if pulled is None and op.tangent is not None:
                pulled = _transposed_tangent(op.tangent, node, k, ct.value)
            if pulled is not None:
                yield x, _Cotangent(pulled, op.mask(ct.mask, node, k) if op.mask is not None else None)


def _expanded(ct: _Cotangent, node: Node, x: Node) -> _Cotangent:
    kept = tuple(k for k in range(x.ndim) if k not in node.param("axes"))

    def spread(value: Node) -> Node:
        return f.expand(value, shape=x.shape, axes=kept)

    return _Cotangent(spread(ct.value), None if ct.mask is None else spread(ct.mask))


def _transposed_tangent(tangent: Callable[[Node, int, Node], Node], node: Node, position: int, ct: Node) -> Node:
    """The adjoint of a linear map given as a program: reverse mode over it, from a stand-in for the tangent."""
    x = node.inputs[position]
    stand_in = make("input", shape=x.shape, dtype=x.dtype, position=-1, name="tangent")
    return linear_transpose(tangent(node, position, stand_in), stand_in, ct)


def without_marks(outputs: Sequence[Node]) -> list[Node]:
    """Outputs that nobody differentiates any more, without the ops that only differentiation knows of."""
    order = toposort(outputs)
    if not any(node.op.marks for node in order):
        return list(outputs)
    done: dict[Node, Node] = {}
    for node in order:
        inputs = tuple(done[i] for i in node.inputs)
        done[node] = inputs[0] if node.op.marks else node if inputs == node.inputs else with_inputs(node, inputs)
    return [done[node] for node in outputs]


def linear_transpose(image: Node, argument: Node, ct: Node) -> Node:
    """The adjoint, applied to `ct`, of the linear program that computes `image` from `argument`."""
    (result,) = vjp([image], [ct], [argument])
    return zeros_like(argument) if result is None else result
