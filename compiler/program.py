"""A compiled program: the plan's steps, run in order over arrays."""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import IndexingError, ShapeError
from .interpret import bind_sizes, evaluate_node, quiet
from .ir import Graph, Node
from .kernel import Compiled, Loaded, compile_kernels, lowering_of, symbol_of
from .loopnest import Kernel, Loop
from .lower import lower
from .packing import ArgumentLayout
from .provenance import at
from .schedule import CallStep, CheckStep, KernelStep, Plan, schedule
from .sizes import evaluate, symbols_of

if TYPE_CHECKING:
    from .call_entry import EntrySpec

__all__ = ["Program", "compile_program"]

Array = np.ndarray[Any, Any]


class Program:
    """A plan with its compiled kernels. Immutable, and safe to run from several threads."""

    def __init__(self, plan: Plan, kernels: Sequence[Kernel], code: Compiled | Loaded | None,
                 entry: Callable[[Callable[..., Any], str], Callable[..., Any]] | None = None) -> None:
        """`entry`, where there is one, makes a direct call entry from a slow path and a name."""
        self.plan, self.kernels, self.code, self.entry = plan, tuple(kernels), code, entry
        self.graph = plan.graph
        self._slot = {node: k for k, node in enumerate(plan.buffers)}
        layouts = iter(ArgumentLayout.of(k) for k in kernels)
        self._runs: list[Callable[[list[Any], dict[str, int]], None]] = []
        number = 0
        last = self._last_uses()
        for position, step in enumerate(plan.steps):
            if isinstance(step, KernelStep):
                self._runs.append(self._kernel_run(step, number, next(layouts)))
                number += 1
            elif isinstance(step, CallStep):
                self._runs.append(self._call_run(step.node))
            else:
                self._runs.append(self._check_run(step))
            if last[position]:
                self._runs.append(_dropper(last[position]))

    def _last_uses(self) -> list[list[int]]:
        """For each step, the temporaries that nothing reads after it."""
        kept = {self._slot[n] for n in (*self.graph.inputs, *self.graph.outputs) if n in self._slot}
        last: dict[int, int] = {}
        kernels = iter(self.kernels)
        by_name = {name: self._slot[node] for node, name in self.plan.buffers.items()}
        for position, step in enumerate(self.plan.steps):
            if isinstance(step, KernelStep):
                touched = [by_name[b.name] for b in next(kernels).buffers]
            elif isinstance(step, CallStep):
                touched = [self._slot[n] for n in (step.node, *step.node.inputs) if n in self._slot]
            else:
                touched = [self._slot[step.indices]]
            last.update(dict.fromkeys(touched, position))
        return [[slot for slot, at_step in last.items() if at_step == p and slot not in kept] for p in range(len(self.plan.steps))]

    # ------------------------------------------------------------------------------------------- steps
    def _kernel_run(self, step: KernelStep, number: int, layout: ArgumentLayout) -> Callable[[list[Any], dict[str, int]], None]:
        kernel, code = self.kernels[number], self.code
        assert code is not None
        by_name = {name: self._slot[node] for node, name in self.plan.buffers.items()}
        written = [(self._slot[root], root.shape, root.dtype) for root in step.roots]
        arguments = [by_name[b.name] for b in kernel.buffers]
        outer = kernel.body[0].extent if kernel.splittable and isinstance(kernel.body[0], Loop) else 1
        names = layout.sizes

        def run(values: list[Any], sizes: dict[str, int]) -> None:
            for slot, shape, dtype in written:
                values[slot] = np.empty([s if isinstance(s, int) else evaluate(s, sizes) for s in shape], dtype)
            packed = [sizes[name] for name in names]
            for slot in arguments:
                array = values[slot]
                packed.append(array.ctypes.data)
                packed += array.strides
            stop = outer if isinstance(outer, int) else evaluate(outer, sizes)
            code.run(number, 0, stop, np.array(packed, np.int64))

        return run

    def _call_run(self, node: Node) -> Callable[[list[Any], dict[str, int]], None]:
        slot, operands = self._slot[node], [self._slot[i] for i in node.inputs]
        checks = [g for g in self.graph.guards if node.op.binds and {str(node.param(n)) for n in node.op.binds} & (
            symbols_of(g.left) | symbols_of(g.right))]

        def run(values: list[Any], sizes: dict[str, int]) -> None:
            with quiet():
                values[slot] = evaluate_node(node, [values[k] for k in operands], sizes)
            for guard in checks:
                if all(s in sizes for s in symbols_of(guard.left) | symbols_of(guard.right)) and not guard.holds(sizes):
                    raise ShapeError(f"a number of selected elements does not fit: {guard} does not hold for "
                                     f"{ {s: sizes[s] for s in sorted(symbols_of(guard.left) | symbols_of(guard.right))} }")

        return run

    def _check_run(self, step: CheckStep) -> Callable[[list[Any], dict[str, int]], None]:
        slot, size, axis = self._slot[step.indices], step.size, step.axis
        where = at(min(step.user.sites, default=None))

        def run(values: list[Any], sizes: dict[str, int]) -> None:
            indices, limit = values[slot], evaluate(size, sizes)
            if indices.size:
                low, high = int(indices.min()), int(indices.max())
                if low < 0 or high >= limit:
                    bad = low - limit if low < 0 else high  # negative ones were wrapped once before
                    raise IndexingError(f"index {bad} is out of bounds for axis {axis} with size {limit}{where}")

        return run

    # ------------------------------------------------------------------------------------------- running
    def run(self, arrays: Sequence[Any]) -> list[Array]:
        """The outputs for these inputs: fresh arrays that share no memory with the inputs or each other.

        Args:
            arrays: one for each input of the graph, of its rank, convertible to its dtype; any strides.
        """
        sizes = bind_sizes(self.graph.inputs, arrays)
        values: list[Any] = [None] * len(self._slot)
        for slot, (node, array) in enumerate(zip(self.graph.inputs, arrays, strict=True)):
            values[slot] = _prepared(array, node.dtype)
        for step in self._runs:
            step(values, sizes)
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

        parts, kernels = [], iter(self.kernels)
        for step in self.plan.steps:
            if isinstance(step, KernelStep):
                parts.append(emit_source(next(kernels), lowering_of))
            elif isinstance(step, CallStep):
                node = step.node
                operands = ", ".join(self.plan.buffers[i] for i in node.inputs)
                params = "".join(f", {k}={v!r}" for k, v in node.named_params.items())
                parts.append(f"# {self.plan.buffers[node]} = {node.op.name}({operands}{params})\n")
            else:
                parts.append(f"# {self.plan.buffers[step.indices]} must lie in [0, {step.size})\n")
        return "\n\n".join(parts)


def _dropper(slots: list[int]) -> Callable[[list[Any], dict[str, int]], None]:
    def run(values: list[Any], sizes: Mapping[str, int]) -> None:
        for slot in slots:
            values[slot] = None

    return run


def _prepared(array: Any, dtype: np.dtype[Any]) -> Array:
    """An aligned array of native byte order and this dtype; as it is, where it is one already."""
    array = np.asarray(array, dtype)
    return array if array.flags.aligned and array.dtype.isnative else np.array(array, dtype, copy=True)


def compile_program(graph: Graph, entry: EntrySpec | None = None) -> Program:
    """Schedule, lower and compile a graph.

    Args:
        entry: how calls map to inputs and outputs; where the plan allows it, a call entry is compiled with the kernels.

    Raises:
        LoweringError: some op has no compiled form and no routine.
    """
    plan = schedule(graph)
    kernels = [lower(plan, step, f"k{n}") for n, step in enumerate(plan.kernels)]
    if not kernels:
        return Program(plan, kernels, None)
    key = hashlib.sha256(repr((kernels, entry)).encode()).hexdigest()[:24]
    if entry is None:
        return Program(plan, kernels, compile_kernels(kernels, key))
    from . import call_entry

    if not call_entry.supports(plan, entry):
        return Program(plan, kernels, compile_kernels(kernels, key))
    symbol = f"{symbol_of(key)}.call"

    def beside(module: Any, functions: Sequence[Any]) -> None:
        call_entry.emit_call_entry(module, plan, kernels, functions, entry, symbol)

    code = compile_kernels(kernels, key, beside=beside)
    return Program(plan, kernels, code, lambda slow, name: call_entry.make_entry(code, symbol, plan, entry, slow, name))
