"""Scheduling: which values get memory, and which values are computed together in one loop nest.

A value is *virtual* where its users compute it in their own loops, or it has a buffer. Buffers are written by kernels (one
fused nest for each group of values with the same domain) or by calls (a NumPy or BLAS routine). The plan is data: it prints
with a reason for every buffer.

Stages order the work. Within a stage calls run first, then kernels; a kernel may use a value of its own group at the same
index, anything else must be complete, that is, of an earlier stage.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .ir import Graph, Node, execution_order, flat_params
from .op import Shape
from .sizes import Size, SizeExpr, symbols_of

__all__ = ["CallStep", "CheckStep", "KernelStep", "Plan", "Step", "schedule"]

HEAVY = 6.0  # additions: from here on computing a value twice costs more than storing and loading it


@dataclass(frozen=True)
class KernelStep:
    """One fused loop nest over `domain`: computes `roots`, from buffers. `order` lists the domain's axes, outermost first."""

    domain: Shape
    order: tuple[int, ...]
    roots: tuple[Node, ...]


@dataclass(frozen=True)
class CallStep:
    """`node` evaluated by its op's own routine, from buffers. A movement op gives a view and copies nothing."""

    node: Node


@dataclass(frozen=True)
class CheckStep:
    """The index array must lie in [0, size): memory is read and written by it. `axis` is for the message."""

    indices: Node
    size: Size
    axis: int
    user: Node


Step = KernelStep | CallStep | CheckStep


@dataclass(frozen=True)
class Plan:
    """What to run, in order."""

    graph: Graph
    steps: tuple[Step, ...]
    buffers: dict[Node, str]
    reasons: dict[Node, str] = field(default_factory=dict)

    @property
    def kernels(self) -> list[KernelStep]:
        return [s for s in self.steps if isinstance(s, KernelStep)]

    @property
    def temporaries(self) -> list[Node]:
        """Buffers that are neither inputs nor outputs."""
        kept = {*self.graph.inputs, *self.graph.outputs}
        return [n for n in self.buffers if n not in kept]

    def __str__(self) -> str:
        lines = []
        for number, step in enumerate(self.steps):
            if isinstance(step, KernelStep):
                domain = ", ".join(map(str, step.domain))
                lines.append(f"{number}: kernel over [{domain}]")
                lines += [f"     {self.buffers[r]} = {r.op.name} : {r.dtype}[{', '.join(map(str, r.shape))}]"
                          f"  because {self.reasons[r]}" for r in step.roots]
            elif isinstance(step, CallStep):
                n = step.node
                lines.append(f"{number}: {self.buffers[n]} = {n.op.name}({', '.join(self.buffers.get(i, str(i.value)) for i in n.inputs)})"
                             f" : {n.dtype}[{', '.join(map(str, n.shape))}]  because {self.reasons[n]}")
            else:
                lines.append(f"{number}: check that {self.buffers[step.indices]} is in [0, {step.size})")
        return "\n".join(lines)


def mentioned(node: Node) -> set[str]:
    """The size symbols in a node's shape and parameters."""
    return {name for value in (*node.shape, *flat_params(node.params)) if isinstance(value, SizeExpr) for name in symbols_of(value)}


def squeezes(node: Node) -> bool:
    """Whether a reshape only adds or removes axes of size 1, which changes no index arithmetic."""
    return [s for s in node.shape if s != 1] == [s for s in node.inputs[0].shape if s != 1]


def is_product(node: Node) -> bool:
    """Whether a contraction sums over nothing: an outer or elementwise product, computed in loops."""
    return node.op.kind == "contract" and set(node.param("left")) | set(node.param("right")) <= set(node.param("out"))


def streamed(node: Node) -> int | None:
    """The operand of a contraction that has every label, so that the work is one pass over it (a matrix times a vector)."""
    if node.op.kind != "contract" or is_product(node):
        return None
    labels = set(node.param("left")) | set(node.param("right"))
    return next((k for k, side in enumerate(("left", "right")) if set(node.param(side)) == labels), None)


def reduction_of(node: Node) -> tuple[Shape, tuple[int, ...]] | None:
    """(domain, reduced axes) of a node that is computed by reducing in loops."""
    if node.op.kind == "reduce":
        return node.inputs[0].shape, node.param("axes")
    operand = streamed(node)
    if operand is None:
        return None
    labels = node.params[operand]
    return node.inputs[operand].shape, tuple(k for k, c in enumerate(labels) if c not in node.param("out"))


def is_call(node: Node) -> bool:
    """Whether a node is always computed by a routine of its own."""
    op = node.op
    if op.kind == "contract":
        return not is_product(node) and streamed(node) is None
    if op.name == "reshape":
        return not squeezes(node)
    return op.kind == "opaque" or (op.kind == "elementwise" and op.lowering is None)


class _Scheduler:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.order = execution_order(graph.outputs)
        self.users: dict[Node, list[Node]] = {n: [] for n in self.order}
        for node in self.order:
            for item in node.inputs:
                self.users[item].append(node)
        self.reason: dict[Node, str] = {}  # of every node with a buffer, inputs excepted
        self.calls: dict[Node, None] = {}
        self.group: dict[Node, tuple[int, Shape, tuple[int, ...]]] = {}

    def run(self) -> Plan:
        self._mandatory()
        while True:
            stages = self._stages()
            if not self._keep_dear_values(stages):
                return self._plan(stages)

    # ------------------------------------------------------------------------------------------- what gets a buffer
    def _buffer(self, node: Node, reason: str) -> None:
        if node.op.name != "input":
            self.reason.setdefault(node, reason)

    def _mandatory(self) -> None:
        for node in self.graph.outputs:
            self._buffer(node, "it is an output")
        for node in self.order:
            if is_call(node):
                self._call(node, {"contract": "it is a contraction", "movement": "its elements are renumbered"}.get(
                    node.op.kind, f"{node.op.name} is a library routine"))
            elif reduction_of(node) is not None:
                self._buffer(node, "it is a reduction")
            elif node.op.name == "gather":
                for indices in node.inputs[1:]:
                    if indices.op.name != "iota":
                        self._buffer(indices, "it is an index array, checked before use")
            elif node.op.kind == "index":
                self._buffer(node, "it is written at computed places")
                for item in node.inputs[(1 if node.op.name == "scatter_add" else 2):]:
                    self._buffer(item, "it is an index array, checked before use")

    def _call(self, node: Node, reason: str) -> None:
        """A routine needs its operands in memory; a movement of something in memory is a view of it."""
        stack = [(node, reason)]
        while stack:
            node, reason = stack.pop()
            self.calls[node] = None
            self._buffer(node, reason)
            for item in node.inputs:
                if item.op.kind == "movement" and item.op.name in ("permute", "slice", "flip", "expand", "reshape") and (
                    item not in self.calls
                ):
                    stack.append((item, "it is a view, for a library routine"))
                else:
                    self._buffer(item, f"{node.op.name} reads it")

    # ------------------------------------------------------------------------------------------- when
    def _stages(self) -> dict[Node, int]:
        """The stage of every node with a buffer."""
        same: dict[Node, int] = {}  # the first stage that may use the value at its own index
        other: dict[Node, int] = {}  # the first stage that may use any element of it
        stages: dict[Node, int] = {}
        bound: dict[str, int] = {}  # a size that a call finds out -> the stage of that call
        for node in self.order:
            since = max((bound[name] for name in mentioned(node) & bound.keys()), default=0) if bound else 0
            if node.op.kind == "leaf":
                same[node] = other[node] = since
                if node in self.reason:
                    stages[node], other[node] = since, since + 1
                continue
            identity = node.op.kind in ("elementwise", "reduce")
            earliest = max((same[i] for i in node.inputs), default=since)
            complete = max((other[i] for i in node.inputs), default=since)
            earliest, complete = max(earliest, since), max(complete, since)
            if node in self.calls:
                stages[node] = same[node] = other[node] = complete
                bound |= {str(node.param(name)): complete for name in node.op.binds}
            elif node not in self.reason:
                same[node], other[node] = (earliest, complete) if identity else (complete, complete)
            elif reduction_of(node) is not None:
                stages[node] = earliest if node.op.kind == "reduce" else complete
                same[node] = other[node] = stages[node] + 1
            elif node.op.kind == "index" and node.op.name != "gather":
                stages[node] = complete
                same[node] = other[node] = complete + 1
            else:
                stages[node] = same[node] = earliest if identity else complete
                other[node] = stages[node] + 1
        return stages

    # ------------------------------------------------------------------------------------------- dear values
    def _domain(self, node: Node) -> tuple[Shape, tuple[int, ...]]:
        """The loops that compute a buffered node, as (extents, order of axes)."""
        reduction = reduction_of(node)
        if reduction is not None:
            shape, axes = reduction
            if node.op.positional:  # the position is carried round one loop, the innermost
                return shape, (*(k for k in range(len(shape)) if k not in axes), *axes)
            return shape, tuple(range(len(shape)))
        if node.op.kind == "index" and node.op.name != "gather":
            values = node.inputs[0] if node.op.name == "scatter_add" else node.inputs[1]
            return values.shape, tuple(range(values.ndim))
        return node.shape, tuple(range(node.ndim))

    def _key(self, node: Node, stages: dict[Node, int]) -> tuple[object, ...]:
        if node in self.calls:
            return ("call", node)
        alone = node if node.op.kind == "index" and node.op.name != "gather" else None
        return (stages[node], *self._domain(node), alone)

    def _keep_dear_values(self, stages: dict[Node, int]) -> bool:
        """Give a buffer to values that would be computed several times and are not cheap. Whether any was found."""
        used_by: dict[Node, set[object]] = {n: set() for n in self.order}
        heavy: dict[Node, bool] = {}
        for node in self.order:
            below = any(heavy[i] for i in node.inputs if i not in self.reason)
            heavy[node] = node.op.kind != "leaf" and (node.op.cost >= HEAVY or below)
        dear: dict[Node, str] = {}
        for node in reversed(self.order):
            for user in self.users[node]:
                used_by[node] |= {self._key(user, stages)} if user in self.reason else used_by[user]
            if node in self.reason or node.op.kind == "leaf" or not heavy[node]:
                continue
            movers = [u for u in self.users[node] if u.op.kind in ("movement", "index") and u not in self.calls]
            repeated = [u for u in movers if u.op.name == "expand" and u.param("axes") != tuple(range(node.ndim))]
            if len(used_by[node]) > 1 and node.op.cost >= HEAVY:
                dear[node] = f"{len(used_by[node])} kernels use it"
            elif repeated:
                dear[node] = "an outer loop would compute it again"
            elif movers and len(self.users[node]) > 1:
                dear[node] = "it is used at several indices"
        self.reason |= dear
        return bool(dear)

    # ------------------------------------------------------------------------------------------- the plan
    def _plan(self, stages: dict[Node, int]) -> Plan:
        groups: dict[tuple[object, ...], list[Node]] = {}
        steps: list[tuple[tuple[int, int, int], Step]] = []
        checked: set[tuple[Node, Size]] = set()
        for position, node in enumerate(self.order):
            if node not in stages:
                continue
            if node in self.calls:
                steps.append(((stages[node], 0, position), CallStep(node)))
            else:
                groups.setdefault(self._key(node, stages), []).append(node)
        for position, node in enumerate(self.order):
            if node.op.kind == "index":
                steps += self._checks(node, stages, position, checked)
        for key, roots in groups.items():
            domain, order = self._domain(roots[0])
            first = self.order.index(roots[0]) if len(groups) < 64 else roots[0].serial
            steps.append(((int(key[0]), 1, first), KernelStep(domain, order, tuple(roots))))  # type: ignore[call-overload]
        steps.sort(key=lambda item: item[0])
        return Plan(self.graph, tuple(step for _, step in steps), self._names(), self.reason)

    def _checks(self, node: Node, stages: dict[Node, int], position: int,
                checked: set[tuple[Node, Size]]) -> list[tuple[tuple[int, int, int], Step]]:
        """The bounds of every index array, right after it is complete."""
        found: list[tuple[tuple[int, int, int], Step]] = []
        source = node.inputs[0].shape if node.op.name != "scatter_add" else node.shape
        first = {"gather": 1, "scatter_add": 1}.get(node.op.name, 2)
        for axis, indices in zip(node.param("axes"), node.inputs[first:], strict=True):
            size = source[axis]
            if (indices.op.name == "iota" and indices not in self.reason) or (indices, size) in checked:
                continue
            checked.add((indices, size))
            stage = stages.get(indices, 0) + (indices in stages and indices not in self.calls)
            found.append(((stage, 0, position), CheckStep(indices, size, axis, node)))
        return found

    def _names(self) -> dict[Node, str]:
        names: dict[Node, str] = {}
        taken: set[str] = set()
        for node in self.graph.inputs:
            names[node] = _unused("".join(c if c.isalnum() or c == "_" else "_" for c in node.param("name")) or "x", taken)
        for number, node in enumerate(self.graph.outputs):
            if node not in names:
                names[node] = _unused("out" if len(self.graph.outputs) == 1 else f"out{number}", taken)
        for node in self.order:
            if node in self.reason and node not in names:
                names[node] = _unused(f"t{len(names)}", taken)
        return names


def _unused(name: str, taken: set[str]) -> str:
    name = f"v_{name}" if name[0].isdigit() or name in ("np", "math", "vm", "range", "min", "max", "abs") else name
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def schedule(graph: Graph) -> Plan:
    """Plan a graph: one visit of each node for each round of materialising, at most a few rounds."""
    return _Scheduler(graph).run()


def roots_of(steps: Sequence[Step]) -> set[Node]:
    """Every node that some step writes."""
    return {n for s in steps for n in (s.roots if isinstance(s, KernelStep) else [s.node] if isinstance(s, CallStep) else [])}
