"""Rows in blocks: a product fills some rows, kernels work on them in cache, the next product uses them up.

Kernels and matrix products that run along one axis, row by row, become one step (`loopnest.RowBlocks`). What only they use then
has memory for the rows of one block: the scores of an attention, a hidden layer, the distances behind a kernel matrix are never
stored as a whole. A product that sums over the rows adds what each block gives it.

As in fusion (ADR 0009), legality is a question about indices: where two members touch a buffer and one writes it, both touch only
the slice of the current row, its first axis. Products are those of `micro_kernel`, which needs the columns of the right
operand to be dense: one that has them along another axis is copied once, before all blocks.
"""
from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from .ir import Node, f
from .loopnest import Buffer, Index, IndexExpr, Kernel, Load, Loop, Member, Names, Product, RowBlocks, Side, Store
from .lower import plus, symbols_read, times
from .lower_products import place_of
from .micro_kernel import TALL
from .op import Shape
from .products import Term
from .schedule import Plan
from .scheduled import PlannedStep, touched_by
from .sizes import Size, floordiv, maximum, minimum, product, symbols_of
from .split import main_loop
from .statements import Touched, accesses

__all__ = ["in_row_blocks"]

LOOKED_AT = 24  # steps after a product, so that the work stays linear
CACHE = 1 << 19  # bytes of a block
MOST_ROWS, LEAST_ROWS = 24, 12
APART = 64  # rows in a part; twice as many where parts are added up
MOST_PARTS = 64
MOST_MEMORY = 1 << 24  # bytes of all parts
STRIPE = 16  # columns that are copied at once
LEAST_WORK = 1 << 20  # multiplications in a part
ROWS, WHOLE, SUM, OTHER = "rows", "whole", "sum", "other"  # how a member touches a buffer


def _of_kernel(kernel: Kernel) -> dict[str, str]:
    loop = main_loop(kernel.body)
    assert loop is not None
    reduces = dict(kernel.reduces)
    found: dict[str, str] = {}
    for s in kernel.body:
        for buffer, index, is_write in accesses((s,)):
            along = s is loop and index[:1] == (Index(loop.index),)
            kind = SUM if buffer in reduces else ROWS if along else OTHER if is_write else WHOLE
            before = found.setdefault(buffer, kind)
            if before != kind:
                found[buffer] = WHOLE if {before, kind} == {ROWS, WHOLE} else OTHER
    return found


def _of_product(step: Product, label: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for side in (step.left, step.right, step.out):
        along = side.labels[:1] == (label,) and (side.start[0], side.steps[0]) == (0, 1)
        kind = ROWS if along else WHOLE
        if side is step.out and not along:
            kind = SUM if label in step.groups[2] else OTHER
        found[side.buffer] = kind if found.get(side.buffer, kind) == kind else WHOLE
    return found


def _plain(step: Product) -> bool:
    """Whether it is a product of two matrices, no stack of them, without further axes."""
    return not step.groups[0] and all(len(labels) == 1 for labels in step.groups[1:]) and bool(step.routine)


@dataclass
class _Group:
    """Members so far, and how they touch buffers."""

    extent: Size
    members: list[Member] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)

    def touched(self) -> Touched:
        """The buffers that members read and write."""
        return Touched(set(self.kinds), self.written)

    def with_all(self, steps: Sequence[PlannedStep]) -> _Group | None:
        """With further members, in this order; None where one of them does not run along the rows."""
        larger = _Group(self.extent, list(self.members), dict(self.kinds), set(self.written))
        return larger if all(map(larger.add, steps)) else None

    def add(self, step: PlannedStep) -> bool:
        """Take a step as the next member, if it runs along the rows."""
        if isinstance(step, Kernel):
            loop = main_loop(step.body)
            return loop is not None and step.splittable and loop.extent == self.extent and self._take(step, "", _of_kernel(step))
        if isinstance(step, Product) and _plain(step):
            extents = dict(step.extents)
            for label in step.groups[1:3]:
                if extents[label] == self.extent and self._take(step, label, _of_product(step, label)):
                    return True
        return False

    def _take(self, step: Kernel | Product, label: str, kinds: Mapping[str, str]) -> bool:
        written = {b.name for b in step.buffers if b.written}
        adds = isinstance(step, Product) and step.accumulate
        if any(kinds[name] not in (ROWS, SUM) for name in written) or (adds and not written <= self.written):
            return False
        for name, kind in kinds.items():
            if name in self.kinds and (name in self.written or name in written):
                together = self.kinds[name], kind
                if together != (ROWS, ROWS) and not (adds and name in written and together == (SUM, SUM)):
                    return False
        if isinstance(step, Product) and not _in_place(step) and kinds[step.right.buffer] != WHOLE:
            return False  # a copy would have to be made for each block
        for name, kind in kinds.items():
            self.kinds[name] = kind if self.kinds.get(name, kind) == kind else WHOLE
        self.written |= written
        self.members.append(Member(step, label))
        return True


def _in_place(step: Product) -> bool:
    """Whether the columns of the right operand are where they are dense in most arrays."""
    return step.right.labels[-1:] == (step.groups[3],) and step.right.steps[-1] == 1


def in_row_blocks(plan: Plan, steps: Sequence[PlannedStep], terms: Mapping[str, Term]) -> tuple[Plan, list[PlannedStep]]:
    """The steps, with kernels and products along the same rows as one; and the plan, with the copies that these read.

    Args:
        terms: what each product computes, by the name of its loops.
    """
    users = Counter(name for step in steps for name in _names(step, plan))
    kept = {plan.buffers[n] for n in (*plan.graph.inputs, *plan.graph.outputs)}
    done, waiting = list[PlannedStep](), deque(steps)
    while waiting:
        first = waiting.popleft()
        if isinstance(first, Product) and _plain(first):
            later = list(islice(waiting, LOOKED_AT))
            before, group, after = _collected(first, later, plan)
            inside = Counter(name for member in group.members for name in _names(member.step, plan))
            local = {name for name in group.written - kept if group.kinds[name] == ROWS and inside[name] == users[name]}
            if local:
                larger, blocks = _made(plan, group, [name for name in plan.buffers.values() if name in local], terms)
                if blocks.large != 1:
                    plan = larger
                    for _ in later:
                        waiting.popleft()
                    waiting.extendleft(reversed([*before, blocks, *after]))
                    continue
        done.append(first)
    return plan, done


def _collected(first: Product, later: Sequence[PlannedStep], plan: Plan) -> tuple[list[PlannedStep], _Group, list[PlannedStep]]:
    """Steps that may run before, those along the rows of the first one, and those after.

    What has nothing to do with the others runs before; a product among it becomes a member when one is found that needs its rows.
    """
    group = _Group(dict(first.extents)[first.groups[1]])
    before: list[PlannedStep] = []
    after: list[PlannedStep] = []
    apart = Touched(set(), set())
    for step in (first, *later):
        touched = touched_by(step, plan)
        moves, joins = not touched.conflicts(apart), step is first or touched.conflicts(group.touched())
        if moves and joins:
            needed = [p for p in before if isinstance(p, Product) and p.out.buffer in touched.read and not _read(before, p, plan)]
            for members in ([*needed, step], [step]):
                larger = group.with_all(members)
                if larger is not None:
                    group, before = larger, [s for s in before if not any(s is m for m in members)]
                    break
            else:
                moves = False
        elif moves:
            before.append(step)
        if not moves:
            after.append(step)
            apart.join(touched)
    return before, group, after


def _read(steps: Sequence[PlannedStep], made: Product, plan: Plan) -> bool:
    """Whether a step reads, or adds to, what a product made."""
    return any(s is not made and made.out.buffer in _names(s, plan) for s in steps)


def _names(step: PlannedStep, plan: Plan) -> set[str]:
    touched = touched_by(step, plan)
    return touched.read | touched.written


def _made(plan: Plan, group: _Group, local: Sequence[str], terms: Mapping[str, Term]) -> tuple[Plan, RowBlocks]:
    """The row blocks of a group; the plan with what they copy."""
    copies: list[Kernel] = []
    members: list[Member] = []
    for member in group.members:
        step = member.step
        if isinstance(step, Product) and not _in_place(step):
            plan, copy, step = _packed(plan, step, terms[step.loops.name])
            copies.append(copy)
        members.append(replace(member, step=step))
    shapes = {name: node.shape for node, name in plan.buffers.items()}
    buffers: dict[str, Buffer] = {}
    for member in members:
        for b in member.step.buffers:
            known = buffers.get(b.name)
            buffers[b.name] = b if known is None else replace(known, written=known.written or b.written)
    own = [(buffers[name], shapes[name]) for name in local]
    sums = [(buffers[name], shapes[name]) for m in members for name, _ in m.reduces if isinstance(m.step, Kernel)]
    row = sum((_bytes(b, shape[1:]) for b, shape in own), start=0)
    rows = maximum(LEAST_ROWS, minimum(MOST_ROWS, floordiv(floordiv(CACHE, maximum(1, row)), TALL) * TALL))
    rows = minimum(rows, maximum(1, group.extent))
    scratch = rows * row + sum((_bytes(b, shape) for b, shape in sums), start=0) + 64 * (len(own) + len(sums) + 1)
    reduced = dict.fromkeys(name for m in members for name, _ in m.reduces)
    copied = sum((_bytes(buffers[name], shapes[name]) for name in reduced), start=scratch)
    work = sum((product(size for _, size in m.step.extents) for m in members if isinstance(m.step, Product)), start=0)
    parts = _parts(group.extent, APART * (2 if reduced else 1), minimum(floordiv(MOST_MEMORY, copied), floordiv(work, LEAST_WORK)))
    wide = tuple(dict.fromkeys(minimum(*_across(m)) for m in members if m.label))
    plain = tuple(member.step for member in group.members)
    sizes = {name for m in members for name in m.step.sizes}
    for size in (rows, scratch, parts, *(s for _, shape in (*own, *sums) for s in shape)):
        sizes |= symbols_of(size)
    blocks = RowBlocks("", tuple(b for name, b in buffers.items() if name not in local), tuple(sorted(sizes)), tuple(members),
                       tuple(own), tuple(sums), group.extent, rows, parts, scratch, tuple(copies), plain, wide)
    return plan, blocks


def _across(member: Member) -> list[Size]:
    """The sizes of a product along the axes that are not cut into rows."""
    assert isinstance(member.step, Product)
    return [size for label, size in member.step.extents if label != member.label]


def _bytes(buffer: Buffer, shape: Shape) -> Size:
    return product(shape) * buffer.dtype.itemsize


def _parts(extent: Size, rows: int, most: Size) -> Size:
    """Few parts, as each has memory of its own; four, or a multiple of it, for two and four threads to have the same to do."""
    wanted = maximum(minimum(floordiv(extent, rows), 4), floordiv(extent, 4 * rows) * 4)
    return maximum(1, minimum(minimum(wanted, MOST_PARTS), most))


def _packed(plan: Plan, step: Product, term: Term) -> tuple[Plan, Kernel, Product]:
    """A kernel that copies the right operand so that its columns are dense, and the product of the copy."""
    inner, column = step.groups[2], step.groups[3]
    x, labels = next((x, labels) for x, labels in zip(term.node.inputs, term.node.params[:2], strict=True) if column in labels)
    node: Node = x if labels == inner + column else f.permute(x, order=(labels.index(inner), labels.index(column)))
    while node in plan.buffers:
        node = f.stop_gradient(node)
    taken = Names(plan.buffers.values())
    name = taken.fresh(f"{step.right.buffer}_by_rows")
    reason = f"the columns of {step.right.buffer} are not dense where a product of row blocks reads it"
    plan = replace(plan, buffers={**plan.buffers, node: name}, reasons={**plan.reasons, node: reason})
    extents = dict(step.extents)
    whole = floordiv(extents[column], STRIPE)

    def stripe(start: IndexExpr, width: Size) -> Loop:
        """Some columns, from the first term to the last one: what is read for one term is in cache for the next."""
        place = Index("i"), plus(Index("j"), start)
        read = Load("a", step.right.buffer, place_of(step.right, dict(zip((inner, column), place, strict=True))))
        return Loop("i", extents[inner], (Loop("j", width, (read, Store(name, place, "a"))),))

    rest = stripe(whole * STRIPE, extents[column] - whole * STRIPE)
    body = (Loop("s", whole, (stripe(times(Index("s"), STRIPE), STRIPE),)), rest)
    source = next(b for b in step.buffers if b.name == step.right.buffer)
    target = Buffer(name, node.dtype, 2, written=True, contiguous=True)
    kernel = Kernel("", (source, target), symbols_read(body), body)
    right = Side(name, (0, 0), (inner, column), (1, 1))
    read = {step.left.buffer, name, step.out.buffer}
    buffers = tuple(b for b in (*step.buffers[:-1], replace(target, written=False), step.buffers[-1]) if b.name in read)
    return plan, kernel, replace(step, right=right, buffers=buffers)
