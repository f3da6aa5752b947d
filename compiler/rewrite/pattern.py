"""Patterns: formulas over pattern variables and op names, matched against IR nodes and built into them.

A pattern is written as the formula that it stands for: `op.log(1 + X)` matches the logarithm of any sum with a one, in
either order, because `add` commutes. A number matches a constant of that value whatever its shape, told apart by its
bits (-0.0 is not 0.0). Parameters are matched as well: `op.sum(X, axes=AXES)` binds the axes.

Before matching, a pattern is compiled: every order of commutative operands becomes one straight-line variant, so that
nothing is searched at run time, and a variant is only tried on nodes whose inputs have the ops that it asks for.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from .. import ops as _declare_ops  # noqa: F401  (a pattern names ops, so they must exist)
from ..ir import Node, constant, f, make
from ..op import Op, get

__all__ = ["AnyOf", "Apply", "Constant", "Literal", "Match", "Parameter", "Pattern", "Variable", "Variant", "build",
           "compile_pattern", "op"]

WHOLE = "WHOLE"


class Match(dict[str, Any]):
    """What the variables and parameters of a pattern stand for; `m.X` is `m["X"]`, `m.WHOLE` the matched node."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Pattern:
    """A formula; arithmetic between patterns and numbers makes larger ones."""

    def __add__(self, other: Pattern | float) -> Apply:
        return _apply("add", self, other)

    def __radd__(self, other: float) -> Apply:
        return _apply("add", other, self)

    def __sub__(self, other: Pattern | float) -> Apply:
        return _apply("sub", self, other)

    def __rsub__(self, other: float) -> Apply:
        return _apply("sub", other, self)

    def __mul__(self, other: Pattern | float) -> Apply:
        return _apply("mul", self, other)

    def __rmul__(self, other: float) -> Apply:
        return _apply("mul", other, self)

    def __truediv__(self, other: Pattern | float) -> Apply:
        return _apply("div", self, other)

    def __rtruediv__(self, other: float) -> Apply:
        return _apply("div", other, self)

    def __pow__(self, other: Pattern | float) -> Apply:
        return _apply("pow", self, other)

    def __neg__(self) -> Apply:
        return _apply("neg", self)


@dataclass(frozen=True)
class Variable(Pattern):
    """Any node; the same node wherever the name occurs."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Constant(Variable):
    """Any constant."""

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Literal(Pattern):
    """The constant of this value, in the dtype of the node that is looked at."""

    value: float | bool

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Parameter:
    """Any value of an op's parameter; the same value wherever the name occurs."""

    name: str

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Apply(Pattern):
    """An op applied to patterns; parameters that are not mentioned are free.

    Where the pattern is built, a parameter may be a function of the match.
    """

    op: str
    inputs: tuple[Pattern, ...]
    params: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return _text(self)


@dataclass(frozen=True)
class AnyOf(Pattern):
    """Any op of a kind whose inputs are `some` or constants, and one of them at least `some`.

    The rule's `after` looks at the node, and may decline.
    """

    kind: str
    some: str
    description: str

    def may_match(self, node: Node) -> bool:
        """Whether the ops of a node and of its inputs allow a match."""
        names = {i.op.name for i in node.inputs}
        return node.op.kind == self.kind and self.some in names and names <= {self.some, "const"}

    def __str__(self) -> str:
        return self.description


_SIGNS = {"add": " + ", "sub": " - ", "mul": "*", "div": "/", "pow": "**"}
_BINDING = {"add": 1, "sub": 1, "mul": 2, "div": 2, "neg": 3, "pow": 4}


def _text(pattern: Any, outer: int = 0) -> str:
    if not isinstance(pattern, Apply):
        return str(pattern)
    binding = _BINDING.get(pattern.op)
    if binding is None:
        items = [_text(i) for i in pattern.inputs]
        items += [f"{k}={'...' if callable(v) else v}" for k, v in pattern.params]
        return f"{pattern.op.rstrip('_')}({', '.join(items)})"
    if pattern.op == "neg":
        text = "-" + _text(pattern.inputs[0], binding)
    else:
        left, right = pattern.inputs
        text = _text(left, binding) + _SIGNS[pattern.op] + _text(right, binding + (pattern.op in ("sub", "div")))
    return f"({text})" if binding < outer else text


def _apply(name: str, *inputs: Pattern | float, **params: Any) -> Apply:
    patterns = tuple(i if isinstance(i, Pattern) else Literal(i) for i in inputs)
    return Apply(name, patterns, tuple(sorted(params.items())))


class _Ops:
    """`op.exp(X)`, `op.sum(X, axes=AXES)`: any op of the table, applied to patterns."""

    def __getattr__(self, name: str) -> Callable[..., Apply]:
        try:
            get(name)
        except KeyError:
            raise AttributeError(f"no op is named {name!r}", name=name, obj=self) from None
        return lambda *inputs, **params: _apply(name, *inputs, **params)


op = _Ops()


# ------------------------------------------------------------------------------------------------ matching
def _bits(value: float | bool, dtype: np.dtype[Any]) -> bytes | None:
    """The bytes of `value` in `dtype`, None where it has no such value (0.5 as an integer)."""
    if dtype.kind == "b":
        return np.asarray(value).tobytes() if isinstance(value, bool) else None
    if isinstance(value, bool) or (dtype.kind in "iu" and not float(value).is_integer()):
        return None
    return np.asarray(value).astype(dtype).tobytes()


class _LiteralCheck:
    __slots__ = ("known", "value")

    def __init__(self, value: float | bool) -> None:
        self.value = value
        self.known: dict[str, bytes | None] = {}

    def __call__(self, node: Node) -> bool:
        if node.op.name != "const":
            return False
        char = node.dtype.char
        if char not in self.known:
            self.known[char] = _bits(self.value, node.dtype)
        return bool(node.params[0] == self.known[char])


MOVES = ("expand", "reshape", "permute")


def moved(node: Node, moves: Sequence[Node]) -> Node:
    """`node` after the movements that `moves` apply, the innermost last."""
    for move in reversed(moves):
        if node.op.name == "const":
            node = make("const", shape=move.shape, dtype=node.dtype, value=node.params[0])
        else:
            node = make(move.op, [node], **move.named_params)
    return node


def _below_movement(node: Node, wanted: Op) -> Sequence[Node]:
    """The inputs of an elementwise op whose result is moved, as if they were moved and the op done last."""
    if wanted.kind != "elementwise":
        return ()
    node, moves = _unmoved(node)
    return [moved(i, moves) for i in node.inputs] if moves and node.op is wanted else ()


def _unmoved(node: Node) -> tuple[Node, list[Node]]:
    moves = []
    while node.op.name in MOVES:
        moves.append(node)
        node = node.inputs[0]
    return node, moves


@dataclass(frozen=True, eq=False)
class Variant:
    """One order of the operands of a pattern.

    Attributes:
        root: the op at the root.
        below: for each of its inputs the op that it must be, None for any.
    """

    root: Op
    below: tuple[Op | None, ...]
    _steps: tuple[tuple[str, int, Any], ...] = field(repr=False)

    def may_match(self, node: Node) -> bool:
        """Whether the ops of a node and of its inputs allow a match; a movement may hide an elementwise op."""
        return node.op is self.root and len(node.inputs) == len(self.below) and all(
            wanted is None or i.op is wanted or (wanted.kind == "elementwise" and i.op.name in MOVES)
            for wanted, i in zip(self.below, node.inputs, strict=True))

    def match(self, root: Node) -> Match | None:
        """What the variables stand for if `root` has this form."""
        nodes = [root]
        bound: dict[str, Any] = {}
        for kind, index, what in self._steps:
            node = nodes[index]
            if kind == "op":
                inputs = node.inputs if node.op is what[0] else _below_movement(node, what[0])
                if len(inputs) != what[1]:
                    return None
                nodes += inputs
            elif kind == "variable":
                if bound.setdefault(what, node) is not node:
                    return None
            elif kind == "constant":
                if node.op.name != "const" or bound.setdefault(what, node) is not node:
                    return None
            elif kind == "literal":
                if not what(node):
                    return None
            else:
                wanted, name, expected = what
                value = (node if node.op is wanted else _unmoved(node)[0]).param(name)
                if isinstance(expected, Parameter):
                    expected = bound.setdefault(expected.name, value)
                if value != expected:
                    return None
        bound[WHOLE] = root
        return Match(bound)


_Ordered = dict[Apply, Apply]  # the order that each part of a pattern has


def _orders(pattern: Pattern, known: _Ordered) -> Iterator[tuple[Pattern, _Ordered]]:
    """The pattern with the operands of commutative ops in every order that makes a difference.

    Equal parts have the same order: the nodes that they stand for are one, since of twins the engine keeps the first.
    """
    if not isinstance(pattern, Apply):
        yield pattern, known
    elif pattern in known:
        yield known[pattern], known
    else:
        for inputs, below in _orders_of_all(pattern.inputs, known):
            made = Apply(pattern.op, inputs, pattern.params)
            yield made, {**below, pattern: made}
            if get(pattern.op).commutative and inputs[0] != inputs[1]:
                made = Apply(pattern.op, inputs[::-1], pattern.params)
                yield made, {**below, pattern: made}


def _orders_of_all(patterns: Sequence[Pattern], known: _Ordered) -> Iterator[tuple[tuple[Pattern, ...], _Ordered]]:
    if not patterns:
        yield (), known
        return
    for first, below in _orders(patterns[0], known):
        for others, all_below in _orders_of_all(patterns[1:], below):
            yield (first, *others), all_below


def _compile(pattern: Apply) -> Variant:
    steps: list[tuple[str, int, Any]] = []
    pending: list[tuple[Pattern, int]] = [(pattern, 0)]
    count = 1
    while pending:  # breadth first: the cheap look at the ops near the root comes before anything is bound
        item, index = pending.pop(0)
        if isinstance(item, Apply):
            steps.append(("op", index, (get(item.op), len(item.inputs))))
            pending += [(i, count + k) for k, i in enumerate(item.inputs)]
            count += len(item.inputs)
            steps += [("parameter", index, (get(item.op), name, value)) for name, value in item.params]
        elif isinstance(item, Literal):
            steps.append(("literal", index, _LiteralCheck(item.value)))
        else:
            variable = cast(Variable, item)
            steps.append(("constant" if isinstance(item, Constant) else "variable", index, variable.name))
    below = tuple(get(i.op) if isinstance(i, Apply) else get("const") if isinstance(i, Literal | Constant) else None
                  for i in pattern.inputs)
    return Variant(get(pattern.op), below, tuple(steps))


def compile_pattern(pattern: Apply) -> tuple[Variant, ...]:
    """Every variant of a pattern, without repetition."""
    return tuple(_compile(cast(Apply, p)) for p in dict.fromkeys(p for p, _ in _orders(pattern, {})))


# ------------------------------------------------------------------------------------------------ building
def build(pattern: Pattern, match: Mapping[str, Any]) -> Node:
    """The node that a pattern stands for; a number takes the aval of the operand beside it, or of the whole match."""
    if isinstance(pattern, Variable):
        return cast(Node, match[pattern.name])
    if isinstance(pattern, Literal):
        whole = match[WHOLE]
        return constant(pattern.value, whole.dtype, whole.shape)
    assert isinstance(pattern, Apply)
    inputs = [i.value if isinstance(i, Literal) else build(i, match) for i in pattern.inputs]
    params = {name: _parameter(value, match) for name, value in pattern.params}
    made: Node = getattr(f, pattern.op)(*inputs, **params)
    return made


def _parameter(value: Any, match: Mapping[str, Any]) -> Any:
    if isinstance(value, Parameter):
        return match[value.name]
    return value(match) if callable(value) else value
