"""Lowering: one group of the plan to one loop nest.

A value is computed at an index, a tuple of index expressions over loop variables: a movement op only changes the index at
which its input is wanted, an elementwise op computes its inputs at the same index. Each statement is put into the
outermost loop in which all it needs is known.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .errors import LoweringError
from .ir import Node
from .loopnest import (
    Buffer,
    Carried,
    Convert,
    Index,
    IndexExpr,
    IndexOp,
    Kernel,
    Let,
    Literal,
    Load,
    Loop,
    Names,
    Operand,
    Statement,
    Store,
    StoreAdd,
    walk,
)
from .op import Shape
from .ops.rules import BOOL, INT64
from .products import streamed
from .provenance import Site
from .schedule import KernelStep, Plan, ProductStep, reduction_of
from .sizes import SizeExpr, symbols_of

__all__ = ["lower_plan", "plus", "symbols_read", "times"]

Place = tuple[IndexExpr, ...]
Wanted = tuple[Node, Place, str | None]  # a value, where, and the bool under which it is needed at all


def plus(left: IndexExpr, right: IndexExpr) -> IndexExpr:
    """The sum of two index expressions; known parts are added up."""
    if isinstance(left, (int, SizeExpr)) and isinstance(right, (int, SizeExpr)):
        return left + right
    if right == 0:
        return left
    if left == 0:
        return right
    if isinstance(left, (int, SizeExpr)):
        left, right = right, left
    if isinstance(left, IndexOp) and left.op == "+" and isinstance(left.right, (int, SizeExpr)) and isinstance(right, (int, SizeExpr)):
        return plus(left.left, left.right + right)
    return IndexOp("+", left, right)


def times(left: IndexExpr, factor: int) -> IndexExpr:
    """An index expression scaled by a whole number: one flip after another must give the same expression again."""
    if factor == 1:
        return left
    if isinstance(left, (int, SizeExpr)):
        return left * factor
    if isinstance(left, IndexOp) and left.op == "+" and isinstance(left.right, (int, SizeExpr)):
        return plus(times(left.left, factor), left.right * factor)
    if isinstance(left, IndexOp) and left.op == "*" and isinstance(left.right, int):
        return times(left.left, left.right * factor)
    return IndexOp("*", left, factor)


class _Nest:
    """One loop nest under construction: statements before and after the inner loop, at every depth."""

    def __init__(self, plan: Plan, names: Names, domain: Shape, own: frozenset[Node] = frozenset()) -> None:
        self.plan, self.names, self.own = plan, names, own
        loops = [axis for axis, size in enumerate(domain) if size != 1]
        self.axes, self.extents = loops, [domain[axis] for axis in loops]
        self.index = [names.fresh("i") for _ in loops]
        self.depth_of = {name: depth for depth, name in enumerate(self.index, start=1)}
        self.before: list[list[Statement]] = [[] for _ in range(len(loops) + 1)]
        self.after: list[list[Statement]] = [[] for _ in range(len(loops) + 1)]
        self.carried: list[list[Carried]] = [[] for _ in loops]
        at = dict(zip(loops, self.index, strict=True))
        self.here: Place = tuple(Index(at[k]) if k in at else 0 for k in range(len(domain)))
        self.known: dict[Wanted, Operand] = {}
        self.made: dict[tuple[Any, ...], str] = {}  # what was put already, so that equal conditions have one name
        self.read: dict[Node, None] = {}
        self.sites: frozenset[Site] = frozenset()  # the user's lines behind what is put now

    # ------------------------------------------------------------------------------------------- statements
    def _depth(self, *items: Operand | IndexExpr | None) -> int:
        depth, stack = 0, list(items)
        while stack:
            item = stack.pop()
            if isinstance(item, IndexOp):
                stack += [item.left, item.right]
            elif isinstance(item, Index):
                depth = max(depth, self.depth_of[item.name])
            elif isinstance(item, str):
                depth = max(depth, self.depth_of[item])
        return depth

    def _put(self, kind: Callable[..., Statement], *fields: Any, needs: Iterable[Operand | IndexExpr | None]) -> str:
        """The name of `kind(name, *fields)`, in the outermost loop that knows its needs."""
        name = self.made.get((kind, fields))
        if name is None:
            name, depth = self.fresh("v"), self._depth(*needs)
            self.before[depth].append(kind(name, *fields))
            self.depth_of[name] = depth
            self.made[kind, fields] = name
        return name

    def fresh(self, stem: str) -> str:
        """A new name, tied to the user's lines."""
        name = self.names.fresh(stem)
        self.plan.origins[name] = self.sites
        return name

    def let(self, op: str, *args: Operand, dtype: np.dtype[Any]) -> str:
        return self._put(Let, op, args, dtype, needs=args)

    def load(self, node: Node, place: Place, when: str | None) -> str:
        self.read[node] = None
        zero = Literal(False if node.dtype.kind == "b" else 0, node.dtype) if when is not None else None
        return self._put(Load, self.plan.buffers[node], place, when, zero, needs=(when, *place))

    def convert(self, index: IndexExpr) -> str:
        return self._put(Convert, index, needs=(index,))

    # ------------------------------------------------------------------------------------------- values
    def value(self, node: Node, place: Place, when: str | None = None) -> Operand:
        """The node's value at a place; iterative, so that a chain of any length will do."""
        stack: list[tuple[Wanted, list[Wanted] | None]] = [((node, place, when), None)]
        while stack:
            wanted, needs = stack.pop()
            if wanted in self.known:
                continue
            self.sites = wanted[0].sites
            if needs is None:
                direct = self._direct(wanted)
                if direct is not None:
                    self.known[wanted] = direct
                    continue
                needs = self._needs(wanted)
                stack.append((wanted, needs))
                stack += [(need, None) for need in reversed(needs) if need not in self.known]
            else:
                self.known[wanted] = self._compute(wanted, needs)
        return self.known[node, place, when]

    def _direct(self, wanted: Wanted) -> Operand | None:
        """A value that needs no other: a leaf, or something in memory."""
        node, place, when = wanted
        if node.op.name == "const":
            return Literal(node.value.item(), node.dtype)
        if node.op.name == "input" or (node in self.plan.buffers and not (node in self.own and place == self.here)):
            return self.load(node, place, when)
        if node.op.name in ("iota", "size"):
            number: Operand = self.convert(place[node.param("axis")] if node.op.name == "iota" else node.param("size"))
            return number if node.dtype == INT64 else self.let("cast", number, dtype=node.dtype)
        return None

    def _needs(self, wanted: Wanted) -> list[Wanted]:
        """What a virtual value is computed from."""
        node, place, when = wanted
        kind = _MOVES.get(node.op.name)
        if kind is not None:
            return kind(self, node, place, when)
        if node.op.kind == "contract":
            at = dict(zip(node.param("out"), place, strict=True))  # a label that is summed here has one element
            return [(x, tuple(at.get(c, 0) for c in labels), when)
                    for x, labels in zip(node.inputs, (node.param("left"), node.param("right")), strict=True)]
        if node.op.kind != "elementwise":
            raise LoweringError(f"{node.op.name} cannot be computed inside a loop")
        return [(x, place, when) for x in node.inputs]

    def _compute(self, wanted: Wanted, needs: list[Wanted]) -> Operand:
        node, _, _ = wanted
        args = [self.known[need] for need in needs]
        if node.op.kind == "contract":
            return self.let("mul", *args, dtype=node.dtype)
        if node.op.name == "embed":
            inside = self.on_diagonal(node, wanted[1])
            zero = Literal(False if node.dtype.kind == "b" else 0, node.dtype)
            return args[0] if inside is None else self.let("where", inside, args[0], zero, dtype=node.dtype)
        if node.op.name == "place":
            inside, _, bounded = _placed(self, node, wanted[1])
            inside = self.both(wanted[2], inside) if bounded else inside
            zero = Literal(False if node.dtype.kind == "b" else 0, node.dtype)
            return args[0] if inside is None or inside == wanted[2] else self.let("where", inside, args[0], zero, dtype=node.dtype)
        if node.op.name == "concatenate":
            result = args[-1]
            for (_, _, inside), arg in zip(reversed(needs[:-1]), reversed(args[:-1]), strict=True):
                result = arg if inside is None else self.let("where", inside, arg, result, dtype=node.dtype)
            return result
        if node.op.kind in ("movement", "index"):
            return args[0]
        return self.let(node.op.name, *args, dtype=node.dtype)

    def both(self, left: str | None, right: str | None) -> str | None:
        """The conjunction of two conditions, either of which may be absent."""
        if left is None or right is None or left == right:
            return left or right
        return self.let("and_", left, right, dtype=BOOL)

    def within(self, index: IndexExpr, low: IndexExpr, high: IndexExpr) -> str | None:
        """Whether low <= index < high, as a bool; None where it is in the whole loop."""
        least, most = self._range(index)
        lower = upper = None
        if not _no_less(least, low):
            lower = self.let("ge", self.convert(index), self._number(low), dtype=BOOL)
        if not _no_less(high, plus(most, 1)):
            upper = self.let("lt", self.convert(index), self._number(high), dtype=BOOL)
        return self.both(lower, upper)

    def _range(self, index: IndexExpr) -> tuple[IndexExpr, IndexExpr]:
        """Sizes between which an index lies, both included, where it is a loop variable or its negative, and a size; else the index."""
        rest: IndexExpr = 0
        term = index
        if isinstance(term, IndexOp) and term.op == "+" and isinstance(term.right, (int, SizeExpr)):
            rest, term = term.right, term.left
        sign = 1
        if isinstance(term, IndexOp) and term.op == "*" and term.right == -1:
            term, sign = term.left, -1
        depth = self.depth_of.get(term.name, 0) if isinstance(term, Index) and term.name in self.index else 0
        if not depth:
            return index, index
        last = plus(self.extents[depth - 1], -1)
        return (rest, plus(last, rest)) if sign == 1 else (plus(times(last, -1), rest), rest)

    def on_diagonal(self, node: Node, place: Place) -> str | None:
        """Whether all axes of an embedded array that have the same role have the same index, as a bool."""
        inside, roles = None, node.param("roles")
        for p, role in zip(place, roles, strict=True):
            first = place[roles.index(role)]
            if p != first:
                inside = self.both(inside, self.let("eq", self.convert(p), self.convert(first), dtype=BOOL))
        return inside

    def _number(self, index: IndexExpr) -> Operand:
        return Literal(index, INT64) if isinstance(index, int) else self.convert(index)

    # ------------------------------------------------------------------------------------------- results
    def store(self, node: Node) -> None:
        """Write a value at every point of the domain."""
        value = self.value(node, self.here)
        self.before[-1].append(Store(self.plan.buffers[node], self.here, value))

    def reduce(self, node: Node) -> None:
        """Reduce over the domain: trailing axes in a register, the others in the result's memory."""
        axes = set(_reduced(node))
        if node.op.kind == "contract":
            operand = streamed(node)
            assert operand is not None
            at = dict(zip(node.params[operand], self.here, strict=True))  # other labels have one element
            factors = [self.value(x, tuple(at.get(c, 0) for c in side)) for x, side in zip(node.inputs, node.params[:2], strict=True)]
            self.sites = node.sites
            value: Operand = self.let("mul", *factors, dtype=node.dtype)
            place = tuple(at.get(c, 0) for c in node.param("out"))
        else:
            value = self.value(node.inputs[0], self.here)
            place = tuple(p for k, p in enumerate(self.here) if k not in axes)
        depth = len(self.axes)
        while depth and self.axes[depth - 1] in axes:
            depth -= 1
        self.sites = node.sites
        combine, unit = _combination(node)
        result = value if depth == len(self.axes) else self._fold(depth, unit, node.dtype, lambda acc: Let(
            self.fresh("acc"), combine, (acc, value), node.dtype, reassociate=node.dtype.kind == "f"))
        target = self.plan.buffers[node]
        if not any(axis in axes for axis in self.axes[:depth]):
            self.after[depth].append(Store(target, place, result))
        elif combine == "add":
            self.after[depth].append(StoreAdd(target, place, result))
        else:
            before, joined = self.fresh("acc"), self.fresh("acc")
            self.after[depth] += [Load(before, target, place), Let(joined, combine, (before, result), node.dtype),
                                  Store(target, place, joined)]

    def accumulates(self, node: Node) -> bool:
        """Whether a reduction keeps its running values in memory, which must then start as the identity."""
        depth, axes = len(self.axes), _reduced(node)
        while depth and self.axes[depth - 1] in axes:
            depth -= 1
        return any(axis in axes for axis in self.axes[:depth])

    def _fold(self, depth: int, initial: Operand, dtype: np.dtype[Any], step: Callable[[str], Let]) -> Operand:
        """Carry one value through the loops inside `depth`; `step` makes the update from the running value's name."""
        names = [self.fresh("acc") for _ in self.axes[depth:]]
        update = step(names[-1])
        self.before[-1].append(update)
        ends = [*names[1:], update.target]
        for loop, (name, end) in enumerate(zip(names, ends, strict=True), start=depth):
            start = initial if loop == depth else names[loop - depth - 1]
            self.carried[loop].append(Carried(name, start, end, dtype))
        return names[0]

    def scatter(self, node: Node) -> None:
        """Write (or add) each value of the domain at the place that its indices name."""
        first = 1 if node.op.name == "scatter_add" else 2
        values, indices, axes = node.inputs[first - 1], node.inputs[first:], node.param("axes")
        depth = indices[0].ndim
        rest = iter(self.here[depth:])
        found = dict(zip(axes, (self._index(i, self.here[:depth], None) for i in indices), strict=True))
        place = tuple(found[k] if k in found else next(rest) for k in range(node.ndim))
        value = self.value(values, self.here)
        write = StoreAdd if node.op.name == "scatter_add" else Store
        self.before[-1].append(write(self.plan.buffers[node], place, value))

    def _index(self, indices: Node, place: Place, when: str | None) -> IndexExpr:
        """An element of an index array, as an index."""
        if indices.op.name == "iota" and indices not in self.plan.buffers:
            axis: int = indices.param("axis")
            return place[axis]
        return Index(self.load(indices, place, when))

    def statements(self) -> list[Statement]:
        body: list[Statement] = [*self.before[-1], *self.after[-1]]
        for loop in reversed(range(len(self.axes))):
            nest = Loop(self.index[loop], self.extents[loop], tuple(body), tuple(self.carried[loop]))
            body = [*self.before[loop], nest, *self.after[loop]]
        return body


def _no_less(left: IndexExpr, right: IndexExpr) -> bool:
    """Whether that is known of two sizes, whatever their symbols are."""
    spare = left - right if isinstance(left, (int, SizeExpr)) and isinstance(right, (int, SizeExpr)) else None
    return isinstance(spare, int) and spare >= 0


def _reduced(node: Node) -> tuple[int, ...]:
    reduction = reduction_of(node)
    assert reduction is not None
    return reduction[1]


def _combination(node: Node) -> tuple[str, Literal]:
    """The op that joins partial results, and its identity."""
    if node.op.identity is None:  # a contraction adds
        return "add", Literal(0, node.dtype)
    return node.op.combine, Literal(node.op.identity(node.dtype), node.dtype)


# ------------------------------------------------------------------------------------------------ movement of indices
def _expand(nest: _Nest, node: Node, place: Place, when: str | None) -> list[Wanted]:
    return [(node.inputs[0], tuple(place[axis] for axis in node.param("axes")), when)]


def _permute(nest: _Nest, node: Node, place: Place, when: str | None) -> list[Wanted]:
    at = dict(zip(node.param("order"), place, strict=True))
    return [(node.inputs[0], tuple(at[k] for k in range(node.ndim)), when)]


def _squeeze(nest: _Nest, node: Node, place: Place, when: str | None) -> list[Wanted]:
    kept = iter(p for p, size in zip(place, node.shape, strict=True) if size != 1)
    return [(node.inputs[0], tuple(0 if size == 1 else next(kept) for size in node.inputs[0].shape), when)]


def _slice(nest: _Nest, node: Node, place: Place, when: str | None) -> list[Wanted]:
    return [(node.inputs[0], tuple(plus(times(p, step), start) for p, start, step in
                                   zip(place, node.param("start"), node.param("step"), strict=True)), when)]


def _flip(nest: _Nest, node: Node, place: Place, when: str | None) -> list[Wanted]:
    axes = node.param("axes")
    return [(node.inputs[0], tuple(plus(times(p, -1), size - 1) if k in axes else p
                                   for k, (p, size) in enumerate(zip(place, node.shape, strict=True))), when)]


def _placed(nest: _Nest, node: Node, place: Place) -> tuple[str | None, Place, bool]:
    """(the bool of being inside, the operand's index, whether the operand may be read there only inside).

    An axis of one element has no other index: what is computed from it does not depend on where it is placed.
    """
    x, inside, at, bounded = node.inputs[0], None, [], False
    for p, start, step, size, whole in zip(place, node.param("start"), node.param("step"), x.shape, node.shape, strict=True):
        if start == 0 and step == 1 and size == whole:
            at.append(p)
            continue
        inside = nest.both(inside, nest.within(p, start, start + (size - 1) * step + 1))
        offset = plus(p, -start)
        if size == 1:
            offset = 0
        elif step != 1:
            turn = nest.let("remainder", nest.convert(offset), Literal(step, INT64), dtype=INT64)
            inside = nest.both(inside, nest.let("eq", turn, Literal(0, INT64), dtype=BOOL))
            offset = IndexOp("//", offset, step)
        bounded = bounded or size != 1
        at.append(offset)
    return inside, tuple(at), bounded


def _place(nest: _Nest, node: Node, place: Place, when: str | None) -> list[Wanted]:
    inside, at, bounded = _placed(nest, node, place)
    return [(node.inputs[0], at, nest.both(when, inside) if bounded else when)]


def _diagonal(nest: _Nest, node: Node, place: Place, when: str | None) -> list[Wanted]:
    return [(node.inputs[0], tuple(place[role] for role in node.param("roles")), when)]


def _embed(nest: _Nest, node: Node, place: Place, when: str | None) -> list[Wanted]:
    """The index of the first axis of each role lies inside, on the diagonal or not."""
    roles = node.param("roles")
    return [(node.inputs[0], tuple(place[roles.index(k)] for k in range(node.inputs[0].ndim)), when)]


def _concatenate(nest: _Nest, node: Node, place: Place, when: str | None) -> list[Wanted]:
    axis, start, wanted = node.param("axis"), 0, []
    for x in node.inputs:
        stop = start + x.shape[axis]
        inside = nest.within(place[axis], start, stop)
        wanted.append((x, (*place[:axis], plus(place[axis], -start), *place[axis + 1:]), nest.both(when, inside)))
        start = stop
    return wanted


def _gather(nest: _Nest, node: Node, place: Place, when: str | None) -> list[Wanted]:
    x, *indices = node.inputs
    depth = indices[0].ndim
    rest = iter(place[depth:])
    found = dict(zip(node.param("axes"), (nest._index(i, place[:depth], when) for i in indices), strict=True))
    return [(x, tuple(found[k] if k in found else next(rest) for k in range(x.ndim)), when)]


_MOVES: Mapping[str, Callable[[_Nest, Node, Place, str | None], list[Wanted]]] = {
    "expand": _expand, "permute": _permute, "reshape": _squeeze, "slice": _slice, "flip": _flip, "place": _place,
    "diagonal": _diagonal, "embed": _embed, "concatenate": _concatenate, "gather": _gather,
}


# ------------------------------------------------------------------------------------------------ kernels
def lower_plan(plan: Plan) -> list[Kernel]:
    """The kernel of every kernel step, in order. Names are unique in the whole plan.

    Raises:
        LoweringError: some op has no compiled form.
    """
    names = Names(plan.buffers.values())
    own = {r for s in plan.kernels for r in s.roots} | {s.node for s in plan.steps if isinstance(s, ProductStep)}
    return [_lower(plan, step, f"k{n}", names, own) for n, step in enumerate(plan.kernels)]


def _lower(plan: Plan, step: KernelStep, name: str, names: Names, own: set[Node]) -> Kernel:
    scattered = [r for r in step.roots if r.op.kind == "index" and r.op.name != "gather"]
    reduced = [r for r in step.roots if reduction_of(r) is not None]
    stored = [r for r in step.roots if r not in scattered and r not in reduced]
    nest = _Nest(plan, names, step.domain, frozenset(stored))
    first: list[_Nest] = []
    for node in scattered:
        first.append(_start(plan, names, node, node.inputs[0] if node.op.name == "scatter" else 0))
        nest.scatter(node)
    for node in reduced:
        if nest.accumulates(node):
            first.append(_start(plan, names, node, _combination(node)[1].value))
    for node in stored:
        nest.store(node)
    for node in reduced:
        nest.reduce(node)
    body = tuple(s for n in [*first, nest] for s in n.statements())
    read = dict.fromkeys(node for n in [*first, nest] for node in n.read)
    buffers = [Buffer(plan.buffers[n], n.dtype, n.ndim, contiguous=n in own) for n in read if n not in step.roots]
    buffers += [Buffer(plan.buffers[n], n.dtype, n.ndim, written=True, contiguous=True) for n in step.roots]
    return Kernel(name, tuple(buffers), symbols_read(body), body)


def _start(plan: Plan, names: Names, node: Node, initial: Any) -> _Nest:
    """The loops that fill a buffer that is then accumulated into."""
    nest = _Nest(plan, names, node.shape)
    value = nest.value(initial, nest.here) if isinstance(initial, Node) else Literal(initial, node.dtype)
    nest.before[-1].append(Store(plan.buffers[node], nest.here, value))
    return nest


def symbols_read(body: tuple[Statement, ...]) -> tuple[str, ...]:
    """The size symbols that statements read."""
    symbols: set[str] = set()

    def note(*items: Any) -> None:
        for item in items:
            if isinstance(item, SizeExpr):
                symbols.update(symbols_of(item))
            elif isinstance(item, IndexOp):
                note(item.left, item.right)

    for statement in walk(body):
        if isinstance(statement, Loop):
            note(statement.extent)
        elif isinstance(statement, Convert):
            note(statement.index)
        elif not isinstance(statement, Let):
            note(*statement.index)
    return tuple(sorted(symbols, key=lambda s: (len(s), s)))
