"""How derivatives that the user wrote are applied: what the op `custom` says by lazy imports.

The op marks a value: its first input is the value, and its derivative is the rule, a body. Everything but differentiation
takes the mark away (`differentiate.without_marks`), so the value is computed, and rewritten, as if there were none.

A rule gives cotangents of the arguments from that of the value, or (`forward`) the tangent of the value from those of the
arguments. The other mode is its transpose, which there is where the rule is linear.
"""
from __future__ import annotations

from collections.abc import Sequence

from .bodies import batched_body, in_line, stand_in, with_sizes_of
from .differentiate import vjp, zeros_like
from .errors import DifferentiationError
from .ir import Node, f, make, toposort
from .provenance import at
from .sizes import Size

__all__ = ["batched", "cotangents", "tangents"]


def _arguments(node: Node) -> tuple[Node, ...]:
    """What the value is differentiated by: behind it among the inputs."""
    return node.inputs[1:1 + node.param("arguments")]


def _applied(node: Node, given: Sequence[Node]) -> list[Node]:
    """The rule, in line."""
    rule = node.param("rule")
    first = 1 + node.param("arguments") + node.param("closed")
    return in_line(rule, [*given, *node.inputs[first:]], node.param("names"), node.param("values"))


def _refuse(node: Node, problem: str, instead: str) -> DifferentiationError:
    return DifferentiationError(f"{node.param('name')} {problem}{at(min(node.sites, default=None))}: {instead}")


def _check(node: Node, positions: Sequence[int]) -> None:
    """Refuse derivatives by what the function reads beside its arguments, and by rules that there are none of.

    Raises:
        DifferentiationError: for these reasons.
    """
    if not node.param("rule").outputs:
        raise _refuse(node, "calls itself in its own rule, which is differentiated too often", "write the rule without calling it")
    first = 1 + node.param("arguments")
    if any(first <= k < first + node.param("closed") for k in positions):
        raise _refuse(node, "has a derivative of its own, by its arguments, and reads other values that are differentiated",
                      "make them arguments")


def cotangents(ct: Node, node: Node, positions: Sequence[int]) -> list[Node | None]:
    """The cotangents of the arguments, from that of the value."""
    _check(node, positions)
    arguments = _arguments(node)
    if node.param("forward"):
        given = [stand_in(x.shape, x.dtype) for x in arguments]
        (image,) = _applied(node, given)
        found = [p or zeros_like(x) for p, x in zip(vjp([image], [_like(ct, image)], given), arguments, strict=True)]
        _linear(node, found, given, "tangents")
    else:
        found = _applied(node, [ct])
    return [found[k - 1] if 0 < k <= len(arguments) else None for k in positions]


def tangents(node: Node, dxs: Sequence[Node | None]) -> Node | None:
    """The tangent of the value, from those of the arguments."""
    _check(node, [k for k, dx in enumerate(dxs) if dx is not None])
    arguments = _arguments(node)
    given = [dx or zeros_like(x) for dx, x in zip(dxs[1:], arguments, strict=False)]
    if node.param("forward"):
        return _applied(node, given)[0]
    cotangent = stand_in(node.shape, node.dtype)
    images = _applied(node, [cotangent])
    (made,) = vjp(images, [_like(dx, image) for dx, image in zip(given, images, strict=True)], [cotangent])
    _linear(node, [] if made is None else [made], [cotangent], "cotangents")
    return made


def _like(given: Node, image: Node) -> Node:
    """The same where the trace has found sizes equal since."""
    return given if given.shape == image.shape else f.reshape(given, shape=image.shape)


def _linear(node: Node, outputs: Sequence[Node], given: Sequence[Node], what: str) -> None:
    if not set(toposort(outputs)).isdisjoint(given):
        mode = "reverse" if node.param("forward") else "forward"
        raise _refuse(node, f"has a rule that is not linear in its {what}, so there is no {mode} mode",
                      f"write the rule as sums and multiples of the {what}, or use the other mode")


def batched(node: Node, given: tuple[Node, ...], size: Size) -> Node:
    """The value for many examples, with the rule for many."""
    rule = node.param("rule")
    made = batched_body(rule, (True,) * len(rule.inputs), size)
    return make(node.op, given, **node.named_params | {"rule": made} | with_sizes_of(size, node.param("names"), node.param("values")))
