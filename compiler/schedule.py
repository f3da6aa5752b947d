"""Scheduling: which values get memory, and which values are computed together in one loop nest.

A value is *virtual* where its users compute it in their own loops, or it has a buffer. Buffers are written by kernels (one
fused nest for each group of values with the same domain) or by calls (a NumPy or BLAS routine). The plan is data: it prints
with a reason for every buffer.

Stages order the work. Within a stage calls run first, then kernels; a kernel may use a value of its own group at the same
index, anything else must be complete, that is, of an earlier stage.
"""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import count

from .ir import Graph, Node, execution_order, flat_params
from .op import Shape
from .products import Term, is_outer, matrix_products, squeezes, streamed
from .provenance import Site
from .record import Layout
from .sizes import Size, SizeExpr, symbols_of

__all__ = ["CallStep", "CheckStep", "KernelStep", "Plan", "ProductStep", "Step", "schedule"]

# Costs are in additions.
HEAVY = 6.0  # from here on computing a value twice costs more than storing and loading it
DEAR = 50.0  # from here on that holds for a chain of operations of which each is cheap
READS = 8  # from here on computing a value twice reads more than it saves
LONGEST = 500.0  # of operations one after another inside one kernel
LARGEST = 1000.0  # of the body of a kernel: the time of LLVM's vectoriser grows with the square of it
STRAIGHT = 1_000_000.0  # the same without a loop: such code is emitted in segments, so that time grows with its length alone
ROUNDS = 8  # of giving buffers to what several kernels need; each may divide kernels in another way
MOVED = 8.0  # what a movement adds to the length of a chain: index arithmetic grows with each


@dataclass(frozen=True)
class KernelStep:
    """One fused loop nest over `domain`, the last axis innermost: computes `roots`, from buffers."""

    domain: Shape
    roots: tuple[Node, ...]


@dataclass(frozen=True)
class CallStep:
    """`node` evaluated by its op's own routine, from buffers. A movement op gives a view and copies nothing."""

    node: Node


@dataclass(frozen=True)
class ProductStep:
    """`node` as a sum of scaled matrix products, each by a BLAS routine, from the buffers of its operands' bases."""

    node: Node
    terms: tuple[Term, ...]

    @property
    def operands(self) -> list[Node]:
        """What is read, each once."""
        return list(dict.fromkeys(x.base for term in self.terms for x in (term.left, term.right)))


@dataclass(frozen=True)
class CheckStep:
    """The index array must lie in [0, size): memory is read and written by it. `axis` is for the message."""

    indices: Node
    size: Size
    axis: int
    user: Node


Step = KernelStep | CallStep | ProductStep | CheckStep


@dataclass(frozen=True)
class Plan:
    """What to run, in order. Lowering notes the user's lines behind each of its names in `origins`."""

    graph: Graph
    steps: tuple[Step, ...]
    buffers: dict[Node, str]
    reasons: dict[Node, str] = field(default_factory=dict)
    layouts: dict[str, Layout] = field(default_factory=dict)
    origins: dict[str, frozenset[Site]] = field(default_factory=dict)

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
            elif isinstance(step, ProductStep):
                n = step.node
                terms = [f"{term.scale:+g} * {self.buffers[term.left.base]}[{term.node.param('left')}] "
                         f"{self.buffers[term.right.base]}[{term.node.param('right')}]" for term in step.terms]
                lines.append(f"{number}: {self.buffers[n]}[{step.terms[0].node.param('out')}] = {' '.join(terms)}"
                             f" : {n.dtype}[{', '.join(map(str, n.shape))}]  because {self.reasons[n]}")
            else:
                lines.append(f"{number}: check that {self.buffers[step.indices]} is in [0, {step.size})")
        return "\n".join(lines)


def mentioned(node: Node) -> set[str]:
    """The size symbols in a node's shape and parameters."""
    return {name for value in (*node.shape, *flat_params(node.params)) if isinstance(value, SizeExpr) for name in symbols_of(value)}


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
        return not is_outer(node) and streamed(node) is None
    if op.name == "reshape":
        return not squeezes(node)
    return op.kind == "opaque" or (op.kind == "elementwise" and op.lowering is None)


def within(root: Node, terms: tuple[Term, ...]) -> set[Node]:
    """What stands between a value made of matrix products and their operands, the value itself excepted."""
    ends = {term.node for term in terms}
    found, stack = set(ends), [] if root in ends else [root]
    while stack:
        new = [i for i in stack.pop().inputs if i not in found and i.op.kind != "leaf"]
        found.update(new)
        stack += new
    return found - {root}


def never_outside(indices: Node, size: Size) -> bool:
    """Whether a ramp is known to stay below `size`."""
    if indices.op.name != "iota":
        return False
    spare = size - indices.shape[indices.param("axis")]
    return spare == 0 or (isinstance(spare, int) and spare > 0)


def indexed(node: Node) -> list[tuple[int, Size, Node]]:
    """(axis, its size, index array) of every axis that a gather or scatter indexes."""
    source = node.shape if node.op.name == "scatter_add" else node.inputs[0].shape
    first = 2 if node.op.name == "scatter" else 1
    return [(axis, source[axis], indices) for axis, indices in zip(node.param("axes"), node.inputs[first:], strict=True)]


class _Scheduler:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.order = execution_order(graph.outputs)
        self.users: dict[Node, list[Node]] = {n: [] for n in self.order}
        for node in self.order:
            for item in node.inputs:
                self.users[item].append(node)
        self.products = matrix_products(self.order, self.users, frozenset(graph.outputs))
        self.inside = {n for root, terms in self.products.items() for n in within(root, terms)}  # have no value of their own
        self.reason: dict[Node, str] = {}  # of every node with a buffer, inputs excepted
        self.calls: dict[Node, None] = {}
        self.part: dict[Node, int] = {}  # which of the kernels of its domain and stage computes a value
        self.bound: dict[str, int] = {}  # a size that a call finds out -> the stage of that call

    def run(self) -> Plan:
        self._mandatory()
        self._cut_long_chains()
        for turn in count():
            stages = self._stages()
            self._divide(stages)
            if not self._keep_dear_values(stages) or turn == ROUNDS:
                return self._plan(stages)
        raise AssertionError

    # ------------------------------------------------------------------------------------------- what gets a buffer
    def _buffer(self, node: Node, reason: str) -> None:
        if node.op.name != "input":
            self.reason.setdefault(node, reason)

    def _mandatory(self) -> None:
        for node in self.graph.outputs:
            self._buffer(node, "it is an output")
        for node in self.order:
            if node in self.products:
                self.calls[node] = None
                self._buffer(node, "it is a matrix product")
                for operand in ProductStep(node, self.products[node]).operands:
                    self._buffer(operand, "a matrix product reads it")
            elif node in self.inside:
                continue
            elif is_call(node):
                self._call(node, {"contract": "it is a contraction", "movement": "its elements are renumbered"}.get(
                    node.op.kind, f"{node.op.name} is a library routine"))
            elif reduction_of(node) is not None:
                self._buffer(node, "it is a reduction")
            elif node.op.kind == "index":
                if node.op.name != "gather":
                    self._buffer(node, "it is written at computed places")
                for _, size, indices in indexed(node):
                    if not never_outside(indices, size):
                        self._buffer(indices, "it is an index array, checked before use")

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

    def _cut_long_chains(self) -> None:
        """A buffer at the end of every long chain: neither a body nor an index expression grows without limit.

        Not in a program without loops, which is cut into segments when it is emitted.
        """
        if all(size == 1 for node in self.order if node.op.kind != "leaf" for size in node.shape):
            return
        length: dict[Node, float] = {}
        for node in self.order:
            below = max((length[i] for i in node.inputs if i not in self.reason), default=0.0)
            moved = node.op.kind in ("movement", "index")
            length[node] = 0.0 if node.op.kind == "leaf" or node in self.inside else below + (MOVED if moved else node.op.cost)
            if length[node] > LONGEST:
                self._buffer(node, "the chain of operations before it is long")

    # ------------------------------------------------------------------------------------------- when
    def _stages(self) -> dict[Node, int]:
        """The stage of every node with a buffer."""
        same: dict[Node, int] = {}  # the first stage that may use the value at its own index
        other: dict[Node, int] = {}  # the first stage that may use any element of it
        stages: dict[Node, int] = {}
        bound = self.bound = dict[str, int]()
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
    def _domain(self, node: Node) -> Shape:
        """The extents of the loops that compute a buffered node."""
        reduction = reduction_of(node)
        if reduction is not None:
            return reduction[0]
        if node.op.kind == "index" and node.op.name != "gather":
            values = node.inputs[0] if node.op.name == "scatter_add" else node.inputs[1]
            return values.shape
        return node.shape

    def _key(self, node: Node, stages: dict[Node, int]) -> tuple[object, ...]:
        if node in self.calls:
            return ("call", node)
        alone = node if node.op.kind == "index" and node.op.name != "gather" else None
        return (stages[node], self._domain(node), alone, self.part.get(node, 0))

    def _keep_dear_values(self, stages: dict[Node, int]) -> bool:
        """Give a buffer to values that would be computed several times and are not cheap. Whether any was found."""
        weight: dict[Node, float] = {}  # of the longest chain that computes it
        for node in self.order:
            below = max((weight[i] for i in node.inputs if i not in self.reason), default=0.0)
            weight[node] = below + (node.op.cost if node.op.kind not in ("leaf", "movement") else 0.0)
        kernels: dict[Node, frozenset[object]] = {}  # those that compute it, or MANY
        dear: dict[Node, str] = {}
        for node in reversed(self.order):
            users = self.users[node]
            used_by = {frozenset((self._key(u, stages),)) if u in self.reason else kernels[u] for u in users}
            kernels[node] = _few(used_by)
            if node in self.reason or node.op.kind == "leaf" or weight[node] < HEAVY:
                continue
            movers = [u for u in users if u.op.kind in ("movement", "index") and u not in self.calls]
            repeated = [u for u in movers if u.op.name == "expand" and u.param("axes") != tuple(range(node.ndim))]
            shared = len(kernels[node]) > 1
            if shared and (node.op.cost >= HEAVY or (weight[node] >= DEAR and len(used_by) > 1)):
                dear[node] = "several kernels use it"
            elif shared and len(used_by) > 1 and any(size != 1 for size in node.shape) and self._reads_many(node):
                dear[node] = "several kernels use it, and it reads many arrays"
            elif repeated:
                dear[node] = "an outer loop would compute it again"
            elif movers and len(users) > 1:
                dear[node] = "it is used at several indices"
        self.reason |= dear
        return bool(dear)

    def _reads_many(self, node: Node) -> bool:
        """Whether a value is computed from `READS` arrays or more; an array that is shifted in several ways is several."""
        found, seen, stack = set[Node](), set[Node](), [node]
        while stack and len(found) < READS:
            for i in stack.pop().inputs:
                if i.op.name != "const" and i not in seen:
                    seen.add(i)
                    moved = i.op.kind in ("movement", "index") and any(size != 1 for size in i.shape) and self._in_memory(i.inputs[0])
                    if moved or self._in_memory(i):
                        found.add(i)
                    else:
                        stack.append(i)
        return len(found) >= READS

    def _in_memory(self, node: Node) -> bool:
        return node in self.reason or node.op.kind == "leaf"

    # ------------------------------------------------------------------------------------------- the plan
    def _plan(self, stages: dict[Node, int]) -> Plan:
        groups: dict[tuple[object, ...], list[Node]] = {}
        steps: list[tuple[tuple[int, int, int], Step]] = []
        checked: set[tuple[Node, Size]] = set()
        place = {node: position for position, node in enumerate(self.order)}
        for node in self.order:
            if node in self.calls:
                terms = self.products.get(node)
                steps.append(((stages[node], 0, place[node]), CallStep(node) if terms is None else ProductStep(node, terms)))
            elif node in stages:
                groups.setdefault(self._key(node, stages), []).append(node)
            if node.op.kind == "index":
                steps += [((stage, 0, place[node]), check) for stage, check in self._checks(node, stages, checked)]
        for group in groups.values():
            steps.append(((stages[group[0]], 1, place[group[0]]), KernelStep(self._domain(group[0]), tuple(group))))
        steps.sort(key=lambda item: item[0])
        return Plan(self.graph, tuple(step for _, step in steps), self._names(), self.reason)

    def _divide(self, stages: dict[Node, int]) -> None:
        """Number the kernels of each domain and stage, which are of limited size."""
        self.part = {}
        groups: dict[tuple[object, ...], list[Node]] = {}
        for node in self.order:
            if node in stages and node not in self.calls:
                groups.setdefault(self._key(node, stages), []).append(node)
        for group in groups.values():
            straight = all(size == 1 for size in self._domain(group[0]))
            for number, roots in enumerate(self._parts(group, STRAIGHT if straight else LARGEST)):
                self.part.update(dict.fromkeys(roots, number))

    def _parts(self, roots: list[Node], largest: float) -> list[list[Node]]:
        """Roots of one domain, in kernels of limited size. Cheap values that several of them need, each computes."""
        parts: list[list[Node]] = []
        total = first = 0.0
        seen: set[Node] = set()
        for root in roots:
            added = self._body_cost(root, seen)
            if parts and total + added > largest:
                alone: set[Node] = set()
                whole = self._body_cost(root, alone)
                if added > whole / 2 or total + added > 2 * first:  # else most of a new kernel would be a repetition
                    total, first, seen = whole, whole, alone
                    parts.append([root])
                    continue
            if parts:
                parts[-1].append(root)
            else:
                parts, first = [[root]], added
            total += added
        return parts

    def _body_cost(self, root: Node, seen: set[Node]) -> float:
        """The cost of computing a value beside those in `seen`, which it joins with all that it needs."""
        cost, stack = 0.0, [root]
        while stack:
            node = stack.pop()
            if node not in seen and (node is root or node not in self.reason) and node.op.kind != "leaf":
                seen.add(node)
                cost += node.op.cost
                stack += node.inputs
        return cost

    def _checks(self, node: Node, stages: dict[Node, int], checked: set[tuple[Node, Size]]) -> list[tuple[int, CheckStep]]:
        """The bounds of every index array, in the stage in which it is complete (and the size of the axis is known)."""
        found: list[tuple[int, CheckStep]] = []
        for axis, size, indices in indexed(node):
            if (indices, size) in checked or never_outside(indices, size):
                continue
            checked.add((indices, size))
            complete = stages.get(indices, 0) + (indices in stages and indices not in self.calls)
            known = max((self.bound[name] for name in symbols_of(size) & self.bound.keys()), default=0)
            found.append((max(complete, known), CheckStep(indices, size, axis, node)))
        return found

    def _names(self) -> dict[Node, str]:
        names: dict[Node, str] = {}
        taken: set[str] = set()
        for node in self.graph.inputs:
            names[node] = _unused(re.sub(r"\W+", "_", node.param("name")).strip("_") or "x", taken)
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


MANY: frozenset[object] = frozenset(("many", "more"))


def _few(sets: set[frozenset[object]]) -> frozenset[object]:
    """The union of sets of kernels; where it is large only that it is, so that the work stays linear."""
    union = frozenset[object]().union(*sets) if len(sets) != 1 else next(iter(sets))
    return MANY if len(union) > 4 or union >= MANY else union


def schedule(graph: Graph) -> Plan:
    """Plan a graph: one visit of each node for each round of giving buffers, at most a few rounds."""
    return _Scheduler(graph).run()
