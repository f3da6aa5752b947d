"""A compiled program: the steps of its record, run in order over arrays."""
from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import blas, cache, native
from .blocks import ORDERED, WIDEST, Spread, block_bounds, combine
from .entry_spec import ArrayArgument, EntrySpec, Routines, dtypes_of, latest_bytes, latest_streamed, make_entry, steps, whole
from .errors import IndexingError, LoweringError, ShapeError
from .interpret import bind_shapes, evaluate_op, quiet
from .ir import Graph, rebuild, shared
from .kernel import Compiled, Loaded, load_object, lowering_of
from .memory_order import is_dense
from .op import Op, get
from .provenance import Site, at
from .record import BufferRecord, CallRecord, CheckRecord, KernelRecord, ProgramRecord, StepRecord
from .sizes import bindings, evaluate, symbol, symbols_of

if TYPE_CHECKING:
    from .assemble import PlannedStep
    from .loopnest import Kernel
    from .schedule import Plan
    from .scheduled import Scheduled

__all__ = ["Program", "compile_program", "written"]

Array = np.ndarray[Any, Any]
Planned = tuple["Plan", tuple["PlannedStep", ...]]
_Run = Callable[[list[Any], dict[str, int], Spread | None], None]  # (values by buffer, sizes, spread)


class Program:
    """A record with its machine code. Immutable, and safe to run from several threads.

    Attributes:
        record: what runs, as data.
        code: the kernels' machine code, None where there are no kernels.
        entry: where there is a call entry, makes the function object from a slow path and a name.
        temporaries: names of the buffers that are neither inputs nor outputs.
    """

    def __init__(self, record: ProgramRecord, code: Compiled | Loaded | None, planned: Callable[[], Planned],
                 spec: EntrySpec | None = None) -> None:
        """`planned` gives the plan and its lowered steps when somebody wants to look at them."""
        self.record, self.code, self._planned = record, code, planned
        self.entry: Callable[[Callable[..., Any], str], Callable[..., Any]] | None = None
        self._whole: Callable[..., Any] | None = None
        self._step_bytes = 0
        self._fresh = (None,) * len(record.outputs)
        dtypes = dtypes_of(record.buffers[k].dtype for k in (*range(len(record.inputs)), *record.outputs))
        routines = {step.routine for step in record.steps if isinstance(step, KernelRecord)}
        if record.driver and code is not None:
            spec_ = whole(len(record.inputs), len(record.outputs))
            calls = self._driven_calls()
            self._whole = make_entry(code, record.driver, dtypes, routines, calls, spec_, _missed, "driver")
            if record.entry and spec is not None:
                self.entry = partial(make_entry, code, record.entry, dtypes, routines, calls, spec)
        kept = {*range(len(record.inputs)), *record.outputs}
        last: dict[int, int] = {}
        used: set[int] = set()
        for position, step in enumerate(record.steps):
            last.update(dict.fromkeys(_touched(step), position))
            used.update(() if isinstance(step, KernelRecord) and step.otherwise else _touched(step))
        temporaries = [slot for slot in last if slot not in kept]
        self.temporaries = [record.buffers[slot].name for slot in temporaries if slot in used]
        finished: dict[int, list[int]] = {}
        for slot in temporaries:
            finished.setdefault(last[slot], []).append(slot)
        self._ranks = [len(b.shape) for b in record.buffers]
        self._runs: list[_Run] = []
        kernels = checks = 0
        for position, step in enumerate(record.steps):
            if isinstance(step, KernelRecord):
                self._runs.append(self._kernel_run(step, kernels))
                kernels += 1
            elif isinstance(step, CheckRecord):
                self._runs.append(self._check_run(step, checks))
                checks += 1
            else:
                self._runs.append(self._call_run(step))
            if position in finished:
                self._runs.append(_dropper(finished[position]))

    # ------------------------------------------------------------------------------------------- what led to it
    @cached_property
    def _stages(self) -> Planned:
        return self._planned()

    @property
    def plan(self) -> Plan:
        """The schedule that the program follows."""
        return self._stages[0]

    @property
    def scheduled(self) -> Scheduled:
        """The schedule and the kernels that came of it, for people to read."""
        from .scheduled import Scheduled

        return Scheduled(*self._stages)

    @property
    def steps(self) -> tuple[PlannedStep, ...]:
        """What runs, in order: fused kernels, and the plan's calls and checks."""
        return self._stages[1]

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The fused kernels among the steps, and in row blocks."""
        from .scheduled import kernels_of

        return tuple(kernels_of(self.steps))

    @property
    def graph(self) -> Graph:
        """What was scheduled."""
        return self.plan.graph

    # ------------------------------------------------------------------------------------------- steps
    def _kernel_run(self, kernel: KernelRecord, number: int) -> _Run:
        code = self.code
        assert code is not None
        buffers, written = self.record.buffers, kernel.written
        arguments, names, reduced = kernel.buffers, kernel.sizes, kernel.reduces
        extent, statements, routine, scratch, streams = kernel.extent, kernel.statements, kernel.routine, kernel.scratch, kernel.streams
        pointer_slot = kernel.pointers(self._ranks)

        def run(values: list[Any], sizes: dict[str, int], spread: Spread | None) -> None:
            if evaluate(kernel.when, sizes) == 0:
                return
            for slot in written:
                values[slot] = buffers[slot].empty(sizes)
            packed = [sizes[name] for name in names]
            for slot in arguments:
                array = values[slot]
                packed.append(array.ctypes.data)
                packed += array.strides
            if routine:
                packed.append(blas.address(routine))
            if streams:
                row = sum(values[slot].strides[0] for slot in streams)
                least = max(native.memory.stream_from, ORDERED if reduced else 0)
                packed.append(row <= WIDEST and row * len(values[streams[0]]) >= least)
            base = np.array(packed, np.int64)
            stop = evaluate(extent, sizes)
            copied = sum(values[slot].nbytes for slot, _ in reduced) if scratch == 0 else 0  # row blocks say how many parts they have
            bounds = block_bounds(stop, evaluate(statements, sizes), copied, kernel.grain) if kernel.splittable else [(0, 1)]
            if scratch != 0:
                room = np.empty((len(bounds), evaluate(scratch, sizes)), np.uint8)
                base = np.append(base, room.ctypes.data)
            if len(bounds) == 1:
                code.run(number, *bounds[0], base)
                return
            copies = [buffers[slot].empty(sizes, (len(bounds),)) for slot, _ in reduced]
            apart = [(pointer_slot[slot], copy.ctypes.data, copy.strides[0]) for (slot, _), copy in zip(reduced, copies, strict=True)]
            if scratch != 0:
                apart.append((len(base) - 1, room.ctypes.data, room.strides[0]))
            if spread is None:
                job = [code.address, number, bounds[0][1], stop, len(bounds), base.ctypes.data, len(base), len(apart)]
                native.workers.spread(np.array([*job, *chain.from_iterable(apart)], np.int64))
            else:
                tasks = []
                for block, (first, last) in enumerate(bounds):
                    own = base.copy()
                    for place, start, stride in apart:
                        own[place] = start + block * stride
                    tasks.append(partial(code.run, number, first, last, own))
                spread(tasks)
            for (slot, op), copy in zip(reduced, copies, strict=True):
                combine(op, copy, values[slot])

        return run

    def _call_run(self, call: CallRecord) -> _Run:
        slot, operands = call.result, call.operands
        guards = [(k, self.record.guards[k]) for k in call.guards]
        evaluated = _evaluation(call, self.record.buffers[slot])

        def run(values: list[Any], sizes: dict[str, int], spread: Spread | None) -> None:
            values[slot] = evaluated([values[k] for k in operands], sizes)
            for number, guard in guards:
                used = sorted(symbols_of(guard.left) | symbols_of(guard.right))
                if all(s in sizes for s in used) and not guard.holds(sizes):
                    raise ShapeError(f"a number of selected elements does not fit: {self.graph.guards[number]} does "
                                     f"not hold for { {s: sizes[s] for s in used} }")

        return run

    def _driven_calls(self) -> Routines:
        """What the driver calls, in order: see `driver`. None of them holds the program, which would be a cycle."""
        record = self.record
        names = sorted({name for b in record.buffers[:len(record.inputs)] for size in b.shape for name in symbols_of(size)})
        calls, counter = Routines(), None
        checks = 0
        for step in record.steps:
            if isinstance(step, CallRecord):
                routine = self._driven_call(step, names)
                if get(step.op).runs:
                    counter = counter or _Bytes(calls)
                    routine = counter.counting(routine, _inside(get(step.op), step.params))
                calls.append(_lending(routine))
            elif isinstance(step, CheckRecord):
                calls.append(_lending(self._driven_check(step, names, checks)))
                checks += 1
        return calls

    def _driven_call(self, call: CallRecord, names: list[str]) -> Callable[..., Any]:
        buffer, is_output = self.record.buffers[call.result], call.result in self.record.outputs
        evaluated = _evaluation(call, buffer)

        def routine(*given: Any) -> Array:
            made = evaluated(given[len(names):], dict(zip(names, given, strict=False)))
            own = made.flags.owndata and made.flags.c_contiguous
            return np.array(made, order="C", copy=True) if is_output and not own else made

        return routine

    def _driven_check(self, check: CheckRecord, names: list[str], number: int) -> Callable[..., Any]:
        program = weakref.ref(self)

        def checked(*given: Any) -> None:
            _check_indices(given[-1], check, dict(zip(names, given, strict=False)), lambda: _where(program(), number))

        return checked

    def _check_run(self, check: CheckRecord, number: int) -> _Run:
        def run(values: list[Any], sizes: dict[str, int], spread: Spread | None) -> None:
            _check_indices(values[check.indices], check, sizes, lambda: _where(self, number))

        return run

    # ------------------------------------------------------------------------------------------- running
    def run(self, arrays: Sequence[Any], out: Sequence[Any] | None = None) -> list[Array]:
        """The outputs for these inputs: fresh arrays that share no memory with the inputs or each other.

        Args:
            arrays: one for each input of the graph, of its rank, convertible to its dtype; any strides.
            out: an array of the right shape and dtype, or None, for each output, which is written into it.
        """
        if self._whole is not None:
            places = self._fresh if out is None else self._places(out, arrays)
            found = self._whole(*arrays, *places)
            if found is None:  # other dtypes, or no arrays
                arrays = self._prepared(arrays)
                found = self._whole(*arrays, *places)
            if found is not None:
                results = [np.asarray(result) for result in found]
                return results if out is None else written(results, out)
        results = self.run_steps(arrays)
        return results if out is None else written(results, out)

    def _places(self, out: Sequence[Any], arrays: Sequence[Any]) -> list[Any]:
        """The arrays of `out` that can be written at once: with axes, as a result would lie, sharing no memory with an input or one
        before them.
        """
        places: list[Any] = []
        for array, slot in zip(out, self.record.outputs, strict=True):
            layout = self.record.buffers[slot].layout
            fits = array is not None and array.ndim and array.flags.aligned and array.dtype.isnative and (
                array.flags.c_contiguous if layout is None else is_dense(array, layout.order)) and not any(
                np.may_share_memory(array, other) for other in (*arrays, *places) if other is not None)
            places.append(array if fits else None)
        return places

    @property
    def latest_bytes(self) -> int:
        """Bytes of results, temporaries and partial results, at most at once, in the latest call of `run`."""
        return self._step_bytes if self._whole is None else latest_bytes(self._whole) or self._step_bytes

    @property
    def latest_streamed(self) -> int:
        """Bytes of results that the latest call of `run` wrote past the caches."""
        return 0 if self._whole is None else latest_streamed(self._whole)

    def _prepared(self, arrays: Sequence[Any]) -> list[Array]:
        return [_prepared(array, b.dtype) for array, b in zip(arrays, self.record.buffers[:len(self.record.inputs)], strict=True)]

    def run_steps(self, arrays: Sequence[Any], spread: Spread | None = None) -> list[Array]:
        """The same bits without the driver, step by step: what has routines of NumPy's among its steps.

        Args:
            spread: runs the blocks of large kernels, in any order, on any threads.
        """
        inputs = self.record.buffers[:len(self.record.inputs)]
        sizes = bind_shapes(self.record.inputs, [b.shape for b in inputs], arrays)
        values: list[Any] = [*self._prepared(arrays), *[None] * (len(self.record.buffers) - len(inputs))]
        most = 0
        for step in self._runs:
            step(values, sizes, spread)
            most = max(most, sum(v.nbytes for v in values[len(inputs):] if v is not None))
        self._step_bytes = most
        results: list[Array] = []
        taken = {id(array) for array in (*arrays, *values[:len(inputs)])}  # a routine may return its operand itself
        for slot in self.record.outputs:
            result = values[slot]
            if id(result) in taken or not isinstance(result, np.ndarray) or not result.flags.owndata:
                kept: Literal["C", "K"] = "C" if self.record.buffers[slot].layout is None else "K"
                result = np.array(result, self.record.buffers[slot].dtype, order=kept, copy=True)
            taken.add(id(result))
            results.append(result)
        return results

    def source(self) -> str:
        """The kernels as readable numba source, with the calls between them as comments."""
        return "".join(f"{text}\n" for text, _ in self.source_lines())

    def source_lines(self) -> list[tuple[str, frozenset[Site]]]:
        """The source line by line, each with the user's lines that it comes from, as far as is known."""
        steps = self.steps  # lowering them notes where names come from
        return _source_lines(self.plan, steps)


def _source_lines(plan: Plan, steps: Sequence[PlannedStep]) -> list[tuple[str, frozenset[Site]]]:
    from .emit_source import emit_lines
    from .loopnest import Kernel, Product, RowBlocks
    from .schedule import CallStep

    origins = {**{name: node.sites for node, name in plan.buffers.items()}, **plan.origins}
    lines: list[tuple[str, frozenset[Site]]] = []

    def add(text: str, names: Iterable[str]) -> None:
        lines.append((text, frozenset(site for name in names for site in origins.get(name, ()))))

    for step in chain.from_iterable((s, *(m.step for m in s.members)) if isinstance(s, RowBlocks) else (s,) for s in steps):
        lines += [("", frozenset()), ("", frozenset())] if lines else []
        if isinstance(step, Kernel):
            for line in emit_lines(step, lowering_of):
                add(*line)
        elif isinstance(step, Product):
            add(f"# {step}", (step.out.buffer,))
        elif isinstance(step, RowBlocks):
            add(f"# in blocks of {step.extent} rows, {', '.join(m.step.name for m in step.members)}:", ())
        elif isinstance(step, CallStep):
            node = step.node
            operands = ", ".join(plan.buffers[i] for i in node.inputs)
            bodies = {name: node.param(name) for name in node.op.bodies}
            params = "".join(f", {k}={f'<{len(v)} nodes>' if k in bodies else repr(v)}" for k, v in node.named_params.items())
            add(f"# {plan.buffers[node]} = {node.op.name}({operands}{params})", (plan.buffers[node],))
            for name, body in bodies.items():
                lines += _body_lines(name, body)
        else:
            add(f"# {plan.buffers[step.indices]} must lie in [0, {step.size})", ())
    return lines


def _body_lines(name: str, body: Graph) -> Iterator[tuple[str, frozenset[Site]]]:
    """What a routine runs: the source of the program that is its body, behind a mark."""
    from .assemble import planned

    try:
        inside = _source_lines(*planned(_finished(body)))
    except LoweringError:
        inside = []
    yield f"# {name}({', '.join(x.param('name') for x in body.inputs)}):", frozenset()
    yield from ((f"#     {text}".rstrip(), sites) for text, sites in inside)


class _Bytes:
    """Counts what the bodies take that a driver runs."""

    def __init__(self, calls: Routines) -> None:
        self.calls = weakref.ref(calls)
        self.alive: list[weakref.ref[Array]] = []
        self.first: Callable[..., Any] | None = None

    def counting(self, routine: Callable[..., Array], inside: Callable[[], int]) -> Callable[..., Array]:
        """The routine of a body; `inside` says what its programs took last."""
        def counted(*given: Any) -> Array:
            made = routine(*given)
            calls = self.calls()
            if calls is None:
                return made
            if counted is self.first:
                self.alive.clear()
                calls.bytes = 0
            self.alive = [*(known for known in self.alive if known() is not None), weakref.ref(made)]
            held = sum(known.nbytes for reference in self.alive if (known := reference()) is not None)
            calls.bytes = max(calls.bytes, held + max(0, inside() - made.nbytes))
            return made

        self.first = self.first or counted
        return counted


def _inside(op: Op, params: Sequence[Any]) -> Callable[[], int]:
    """What the compiled programs of an op's bodies took in their latest calls, of the one that took the most."""
    made = _compiled_bodies(op, dict(zip(op.params, params, strict=True)))
    entries = [run for run in made.get("branches", [made.get("steps")]) if hasattr(run, "__self__")]
    return lambda: max(map(latest_bytes, entries), default=0)


def _lending(called: Callable[..., Any]) -> Callable[..., Any]:
    """What a driver calls, of whose errors no traceback shows the arguments: the driver frees the memory that they lie in."""
    def lent(*given: Any) -> Any:
        outside = sys.exc_info()[1]  # what the caller is handling, which is not ours to change
        try:
            return called(*given)
        except BaseException as error:
            del given
            reasons: list[BaseException | None] = [error]
            while reasons:  # tracebacks hold the frames of all that was called, and those their arguments
                reason = reasons.pop()
                if reason is not None and reason is not outside and reason.__traceback__ is not None:
                    reason.__traceback__ = None
                    reasons += [reason.__cause__, reason.__context__]
            raise

    return lent


def _evaluation(call: CallRecord, buffer: BufferRecord) -> Callable[[Sequence[Any], dict[str, int]], Array]:
    """An op's own routine, from its operands and the sizes."""
    op, params = get(call.op), call.params
    further = _compiled_bodies(op, dict(zip(op.params, params, strict=True)))

    def evaluated(arrays: Sequence[Any], sizes: dict[str, int]) -> Array:
        with quiet():
            return np.asarray(evaluate_op(op, params, buffer.shape, buffer.dtype, arrays, sizes, **further))

    return evaluated


def _check_indices(indices: Any, check: CheckRecord, sizes: dict[str, int], where: Callable[[], str]) -> None:
    limit = evaluate(check.size, sizes)
    if indices.size:
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= limit:
            bad = low - limit if low < 0 else high  # negative ones were wrapped once before
            raise IndexingError(f"index {bad} is out of bounds for axis {check.axis} with size {limit}{where()}")


def _where(program: Program | None, number: int) -> str:
    """The user's line behind a check. It is no part of a record: the same program may come from elsewhere."""
    from .schedule import CheckStep

    if program is None:
        return ""
    check = [s for s in program.plan.steps if isinstance(s, CheckStep)][number]
    return at(min(check.user.sites, default=None))


def compile_program(graph: Graph, entry: EntrySpec | None = None) -> Program:
    """Schedule, lower and compile a graph.

    Args:
        entry: how calls map to inputs and outputs; where the plan allows it, a call entry is compiled with the kernels.

    Raises:
        LoweringError: some op has no compiled form and no routine.
    """
    from .assemble import assemble, planned

    stages = planned(graph)
    record, code = assemble(*stages, entry)
    return Program(record, code, lambda: stages, entry)


_compiled: weakref.WeakKeyDictionary[Graph, dict[EntrySpec, Callable[..., Any] | None]] = weakref.WeakKeyDictionary()


def _compiled_bodies(op: Op, params: dict[str, Any]) -> dict[str, Any]:
    """What runs the bodies of an op, as its `evaluate` takes it; nothing where only the interpreter can."""
    bodies = [params[name] for name in op.bodies]
    if op.runs in ("rows", "until"):
        made = [steps_of(body, params["rows"] if op.runs == "rows" else 1, op.runs == "until") for body in bodies]
        return {} if None in made else {"steps": made[0]}
    branches = [branch_of(body) for body in bodies]
    return {} if not bodies or None in branches else {"branches": branches}


def steps_of(body: Graph, rows: int, until: bool = False) -> Callable[..., Any] | None:
    """A compiled function for all steps of a loop (see `entry_spec.steps`); None where only the interpreter can run them."""
    from .loops import by_steps
    from .while_loops import until as until_done

    return _function_of(body, steps(len(body.inputs), rows, until), until_done if until else lambda run: by_steps(run, rows))


def branch_of(body: Graph) -> Callable[..., Any] | None:
    """A compiled function of a body's inputs; None where only the interpreter can run it. Bodies that are equal but for the names of
    their sizes have one.
    """
    names = body.symbols()
    renamed = {name: symbol(f"s{k}") for k, name in enumerate(names)}
    if any(name != str(new) for name, new in renamed.items()):
        nodes = rebuild([*body.inputs, *body.outputs], {}, renamed)
        body = shared(Graph(tuple(nodes[:len(body.inputs)]), tuple(nodes[len(body.inputs):])))
    arguments = tuple(map(ArrayArgument, range(len(body.inputs))))
    return _function_of(body, EntrySpec(arguments, 0), lambda run: run)


def _function_of(body: Graph, spec: EntrySpec, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Callable[..., Any] | None:
    made = _compiled.setdefault(body, {})
    if spec not in made:
        made[spec] = _compiled_function(body, spec, around)
    return made[spec]


def _compiled_function(body: Graph, spec: EntrySpec, around: Callable[[Callable[..., Any]], Callable[..., Any]],
                       ) -> Callable[..., Any] | None:
    inside = {str(node.param(name)) for node in body.nodes() for name in node.op.binds}
    if not bindings([node.shape for node in body.inputs]).keys() | inside >= set(body.symbols()):
        return None
    slot = cache.slot(body, ("body", spec.layout()))
    found = None if slot is None else slot.load(lambda record, code: _loaded_body(record, code, body, spec))
    try:
        program = _compiled_body(body, spec, slot) if found is None else found
    except LoweringError:
        return None
    run = around(lambda *arrays: program.run(arrays)[0])
    return run if program.entry is None else program.entry(run, "body")


def _finished(body: Graph) -> Graph:
    from .derivation import finish_body

    return finish_body(body)


def _compiled_body(body: Graph, spec: EntrySpec, slot: cache.Slot | None) -> Program:
    made = compile_program(_finished(body), spec)
    if slot is not None:
        slot.store(made.record, made.code.object_code() if isinstance(made.code, Compiled) else b"")
    return made


def _loaded_body(record: ProgramRecord, code: bytes, body: Graph, spec: EntrySpec) -> Program:
    def stages() -> Planned:
        from .assemble import planned

        return planned(_finished(body))

    return Program(record, load_object(code, record.symbol) if code else None, stages, spec)


def _touched(step: StepRecord) -> tuple[int, ...]:
    """The buffers that a step reads or writes."""
    if isinstance(step, KernelRecord):
        return step.buffers
    return (step.indices,) if isinstance(step, CheckRecord) else (step.result, *step.operands)


def written(results: Sequence[Array], out: Sequence[Any]) -> list[Array]:
    """The results, copied into the arrays of `out` that they are not in yet."""
    made = []
    for result, array in zip(results, out, strict=True):
        if array is not None and array is not result:
            np.copyto(array, result)
        made.append(result if array is None else array)
    return made


def _missed(*arrays: Any) -> None:
    """What a driver answers to inputs that it does not take."""


def _dropper(slots: list[int]) -> _Run:
    def run(values: list[Any], sizes: dict[str, int], spread: Spread | None) -> None:
        for slot in slots:
            values[slot] = None

    return run


def _prepared(array: Any, dtype: np.dtype[Any]) -> Array:
    """An aligned array of native byte order and this dtype; as it is, where it is one already."""
    array = np.asarray(array, dtype)
    return array if array.flags.aligned and array.dtype.isnative else np.array(array, dtype, copy=True)
