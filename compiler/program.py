"""A compiled program: the plan's steps, run in order over arrays."""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .blocks import Spread, block_bounds, combine, main_extent, work
from .errors import IndexingError, ShapeError
from .fuse import fuse_kernels
from .interpret import bind_sizes, evaluate_node, quiet
from .ir import Graph, Node
from .kernel import Compiled, Loaded, compile_kernels, lowering_of, symbol_of
from .loopnest import Kernel
from .lower import lower_plan
from .packing import ArgumentLayout
from .provenance import at
from .schedule import CallStep, CheckStep, KernelStep, Plan, schedule
from .sizes import evaluate, symbols_of
from .split import main_loop

if TYPE_CHECKING:
    from .call_entry import EntrySpec

__all__ = ["Program", "compile_program"]

Array = np.ndarray[Any, Any]
_Run = Callable[[list[Any], dict[str, int], Spread | None], None]  # (values by slot, sizes, spread)


class Program:
    """A plan with its compiled kernels. Immutable, and safe to run from several threads.

    Attributes:
        steps: what runs, in order: fused kernels, and the plan's calls and checks.
        kernels: the fused kernels among them.
        temporaries: names of the buffers that are neither inputs nor outputs.
    """

    def __init__(self, plan: Plan, steps: Sequence[Kernel | CallStep | CheckStep], code: Compiled | Loaded | None,
                 entry: Callable[[Callable[..., Any], str], Callable[..., Any]] | None = None) -> None:
        """`entry`, where there is one, makes a direct call entry from a slow path and a name."""
        self.plan, self.steps, self.code, self.entry = plan, tuple(steps), code, entry
        self.kernels = tuple(s for s in steps if isinstance(s, Kernel))
        self.graph = plan.graph
        self._slot = {node: k for k, node in enumerate(plan.buffers)}
        self._by_name = {name: node for node, name in plan.buffers.items()}
        kept = {plan.buffers[n] for n in (*self.graph.inputs, *self.graph.outputs) if n in plan.buffers}
        last: dict[str, int] = {}
        for position, step in enumerate(steps):
            last.update(dict.fromkeys(self._touched(step), position))
        self.temporaries = [name for name in last if name not in kept]
        self._runs: list[_Run] = []
        number = 0
        for position, step in enumerate(steps):
            if isinstance(step, Kernel):
                self._runs.append(self._kernel_run(step, number))
                number += 1
            else:
                self._runs.append(self._call_run(step.node) if isinstance(step, CallStep) else self._check_run(step))
            finished = [self._slot[self._by_name[name]] for name in self.temporaries if last[name] == position]
            if finished:
                self._runs.append(_dropper(finished))

    def _touched(self, step: Kernel | CallStep | CheckStep) -> list[str]:
        if isinstance(step, Kernel):
            return [b.name for b in step.buffers]
        nodes = [step.node, *step.node.inputs] if isinstance(step, CallStep) else [step.indices]
        return [self.plan.buffers[n] for n in nodes if n in self.plan.buffers]

    # ------------------------------------------------------------------------------------------- steps
    def _kernel_run(self, kernel: Kernel, number: int) -> _Run:
        code, layout = self.code, ArgumentLayout.of(kernel)
        assert code is not None
        slots = {b.name: self._slot[self._by_name[b.name]] for b in kernel.buffers}
        written = [(slots[b.name], self._by_name[b.name].shape, b.dtype) for b in kernel.buffers if b.written]
        arguments = [(slots[b.name], b.name) for b in kernel.buffers]
        extent, names, loop = main_extent(kernel), layout.sizes, main_loop(kernel.body)
        statements = 1 + work(loop.body) if loop is not None else 1
        reduced = [(slots[name], op) for name, op in kernel.reduces]
        pointer_slot = {slots[name]: slot for name, slot in layout.buffers}

        def run(values: list[Any], sizes: dict[str, int], spread: Spread | None) -> None:
            for slot, shape, dtype in written:
                values[slot] = np.empty([s if isinstance(s, int) else evaluate(s, sizes) for s in shape], dtype)
            packed = [sizes[name] for name in names]
            for slot, _ in arguments:
                array = values[slot]
                packed.append(array.ctypes.data)
                packed += array.strides
            base = np.array(packed, np.int64)
            stop = evaluate(extent, sizes)
            copied = sum(values[slot].nbytes for slot, _ in reduced)
            bounds = block_bounds(stop, evaluate(statements, sizes), copied) if kernel.splittable else [(0, 1)]
            if len(bounds) == 1:
                code.run(number, *bounds[0], base)
                return
            copies = [np.empty((len(bounds), *values[slot].shape), values[slot].dtype) for slot, _ in reduced]
            tasks = []
            for block, (first, last) in enumerate(bounds):
                own = base.copy() if copies else base
                for (slot, _), copy in zip(reduced, copies, strict=True):
                    own[pointer_slot[slot]] = copy.ctypes.data + block * copy.strides[0]
                tasks.append(partial(code.run, number, first, last, own))
            if spread is None:
                for task in tasks:
                    task()
            else:
                spread(tasks)
            for (slot, op), copy in zip(reduced, copies, strict=True):
                combine(op, copy, values[slot])

        return run

    def _call_run(self, node: Node) -> _Run:
        slot, operands = self._slot[node], [self._slot[i] for i in node.inputs]
        checks = [g for g in self.graph.guards if node.op.binds and {str(node.param(n)) for n in node.op.binds} & (
            symbols_of(g.left) | symbols_of(g.right))]

        def run(values: list[Any], sizes: dict[str, int], spread: Spread | None) -> None:
            with quiet():
                values[slot] = np.asarray(evaluate_node(node, [values[k] for k in operands], sizes))
            for guard in checks:
                if all(s in sizes for s in symbols_of(guard.left) | symbols_of(guard.right)) and not guard.holds(sizes):
                    raise ShapeError(f"a number of selected elements does not fit: {guard} does not hold for "
                                     f"{ {s: sizes[s] for s in sorted(symbols_of(guard.left) | symbols_of(guard.right))} }")

        return run

    def _check_run(self, step: CheckStep) -> _Run:
        slot, size, axis = self._slot[step.indices], step.size, step.axis
        where = at(min(step.user.sites, default=None))

        def run(values: list[Any], sizes: dict[str, int], spread: Spread | None) -> None:
            indices, limit = values[slot], evaluate(size, sizes)
            if indices.size:
                low, high = int(indices.min()), int(indices.max())
                if low < 0 or high >= limit:
                    bad = low - limit if low < 0 else high  # negative ones were wrapped once before
                    raise IndexingError(f"index {bad} is out of bounds for axis {axis} with size {limit}{where}")

        return run

    # ------------------------------------------------------------------------------------------- running
    def run(self, arrays: Sequence[Any], spread: Spread | None = None) -> list[Array]:
        """The outputs for these inputs: fresh arrays that share no memory with the inputs or each other.

        Args:
            arrays: one for each input of the graph, of its rank, convertible to its dtype; any strides.
            spread: runs the blocks of large kernels, on several threads; the results have the same bits without it.
        """
        sizes = bind_sizes(self.graph.inputs, arrays)
        values: list[Any] = [None] * len(self._slot)
        for slot, (node, array) in enumerate(zip(self.graph.inputs, arrays, strict=True)):
            values[slot] = _prepared(array, node.dtype)
        for step in self._runs:
            step(values, sizes, spread)
        results: list[Array] = []
        seen: set[int] = set()
        for node in self.graph.outputs:
            slot = self._slot[node]
            result = values[slot]
            if slot in seen or slot < len(self.graph.inputs) or not isinstance(result, np.ndarray) or not result.flags.owndata:
                result = np.array(result, node.dtype, order="C", copy=True)
            seen.add(slot)
            results.append(result)
        return results

    def source(self) -> str:
        """The kernels as readable numba source, with the calls between them as comments."""
        from .emit_source import emit_source

        parts = []
        for step in self.steps:
            if isinstance(step, Kernel):
                parts.append(emit_source(step, lowering_of))
            elif isinstance(step, CallStep):
                node = step.node
                operands = ", ".join(self.plan.buffers[i] for i in node.inputs)
                params = "".join(f", {k}={v!r}" for k, v in node.named_params.items())
                parts.append(f"# {self.plan.buffers[node]} = {node.op.name}({operands}{params})\n")
            else:
                parts.append(f"# {self.plan.buffers[step.indices]} must lie in [0, {step.size})\n")
        return "\n\n".join(parts)


def lowered(plan: Plan) -> list[Kernel | CallStep | CheckStep]:
    """The plan's steps with kernels lowered, and fused where they run one after another."""
    kernels = iter(lower_plan(plan))
    done: list[Kernel | CallStep | CheckStep] = []
    run: list[Kernel] = []
    outside = {plan.buffers[n] for n in plan.graph.outputs}
    for step in plan.steps:
        if not isinstance(step, KernelStep):
            nodes = [*step.node.inputs, step.node] if isinstance(step, CallStep) else [step.indices]
            outside |= {plan.buffers[n] for n in nodes if n in plan.buffers}
    lowered_steps = [next(kernels) if isinstance(step, KernelStep) else step for step in plan.steps]
    used: dict[str, int] = {}
    for position, item in enumerate(lowered_steps):
        if isinstance(item, Kernel):
            used.update({b.name: position for b in item.buffers})
    for position, item in enumerate([*lowered_steps, None]):
        if isinstance(item, Kernel):
            run.append(item)
            continue
        later = {name for name, last in used.items() if last >= position}
        done += fuse_kernels(run, outside | later)
        run = []
        if item is not None:
            done.append(item)
    return [replace(s, name=f"k{n}") if isinstance(s, Kernel) else s for n, s in enumerate(done)]


def compile_program(graph: Graph, entry: EntrySpec | None = None) -> Program:
    """Schedule, lower and compile a graph.

    Args:
        entry: how calls map to inputs and outputs; where the plan allows it, a call entry is compiled with the kernels.

    Raises:
        LoweringError: some op has no compiled form and no routine.
    """
    plan = schedule(graph)
    steps = lowered(plan)
    kernels = [s for s in steps if isinstance(s, Kernel)]
    if not kernels:
        return Program(plan, steps, None)
    key = hashlib.sha256(repr((kernels, entry)).encode()).hexdigest()[:24]
    if entry is None:
        return Program(plan, steps, compile_kernels(kernels, key))
    from . import call_entry

    if not call_entry.supports(plan, entry):
        return Program(plan, steps, compile_kernels(kernels, key))
    symbol = f"{symbol_of(key)}.call"

    def beside(module: Any, functions: Sequence[Any]) -> None:
        call_entry.emit_call_entry(module, plan, kernels, functions, entry, symbol)

    code = compile_kernels(kernels, key, beside=beside)
    return Program(plan, steps, code, lambda slow, name: call_entry.make_entry(code, symbol, plan, entry, slow, name))


def _dropper(slots: list[int]) -> _Run:
    def run(values: list[Any], sizes: dict[str, int], spread: Spread | None) -> None:
        for slot in slots:
            values[slot] = None

    return run


def _prepared(array: Any, dtype: np.dtype[Any]) -> Array:
    """An aligned array of native byte order and this dtype; as it is, where it is one already."""
    array = np.asarray(array, dtype)
    return array if array.flags.aligned and array.dtype.isnative else np.array(array, dtype, copy=True)
