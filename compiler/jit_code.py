"""Programs as functions for other compiled code: no Python in them, and no NumPy.

    i64 check(i64* inputs, i64* sizes)                  whether a program serves these inputs; the sizes of its results
    i64 run(i64* inputs, i8** results, i64* numbers)    run it

`inputs` is what a driver takes. `check` returns 0 and writes the sizes of all outputs with axes, one after the other; or it returns
the number of the first of `Layout.demands`, counted from 1, that does not hold. `run` writes the outputs: those with axes to the
memory in `results`, dense and in C order, the others to `numbers`. It returns 0, `FAILED` where there is no memory, or `STOPPED` +
the number of the step, among `Layout.stops`, that cannot be done.

Both may run in any number of threads at once. Large work runs in the blocks of every other way to run it, on the shared threads
where they are free, so that the results have the same bits.
"""
from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir

from . import blas, native, special_functions
from .assemble import planned
from .bodies import once
from .cache import elf
from .common_llvm import size_value
from .derivation import finish_body
from .driver import FAILED, LONG, MISS, POINTER, VOID, Driver, InputLayout, drives
from .emit_routines import emit_routine
from .entry_spec import FIRST_DTYPE, ROUTINES, TABLE
from .errors import LoweringError
from .ir import Graph, Node
from .jit_bodies import Body, require_sizes, run_bodies
from .kernel import Compiled, Loaded, compile_kernels, load_object, lowering_of, symbol_of
from .loopnest import Product, in_turn
from .ops.rules import INT64
from .provenance import Site, at
from .schedule import CallStep, CheckStep, Plan
from .sizes import Size, SizeExpr, symbols_of

if TYPE_CHECKING:
    from .numba_bridge import Library
    from .scheduled import PlannedStep

__all__ = ["FAILED", "STOPPED", "Demand", "Functions", "Layout", "Object", "Registered", "compile_functions", "inlinable",
           "linkable_functions"]

Value = Any  # llvmlite has no annotations
STOPPED = 8  # what `run` returns from here on tells which step could not be done
MOST_INLINED = 400  # statements of a program that becomes part of its caller's code
SLOTS = (TABLE, *ROUTINES.values())  # of a driver's context, what differs from process to process
_numbers = count()


@dataclass(frozen=True)
class Demand:
    """Something that must hold of the inputs' sizes: of one axis, whose size the others tell, or a guard of the trace."""

    text: str
    site: Site | None = None


@dataclass(frozen=True)
class Layout:
    """What callers of a program's functions must know.

    Attributes:
        inputs, outputs: (dtype, sizes) of each.
        demands: what `check` looks at, in order.
        stops: why a step may not be done, in order: (what happened, whether it is an index out of range).
    """

    inputs: tuple[tuple[np.dtype[Any], tuple[Size, ...]], ...]
    outputs: tuple[tuple[np.dtype[Any], tuple[Size, ...]], ...]
    demands: tuple[Demand, ...]
    stops: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Object:
    """Machine code as data: `load` makes the functions of it in another process."""

    code: bytes
    symbol: str
    routines: tuple[str, ...]
    bodies: tuple[Registered, ...] = ()

    def load(self) -> Functions:
        """The functions.

        Nothing checks the code: it must come from a place that only this user writes to.
        """
        for body in self.bodies:
            body()
        for symbol in elf.symbols(self.code)[1]:
            special_functions.provide(symbol)
        return Functions(load_object(self.code, self.symbol), self)


class Functions:
    """Functions in this process; their code lives as long as this object.

    Attributes:
        check, run: addresses.
    """

    def __init__(self, code: Compiled | Loaded, made: Object) -> None:
        self._code, self.object = code, made
        self.check, self.run = (code.address_of(f"{made.symbol}.{name}") for name in ("check", "run"))
        native.prepare()
        setup = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address_of(f"{made.symbol}.setup"))
        words = np.array([native.table, *(blas.address(name) if name in made.routines else 0 for name in ROUTINES)], np.int64)
        setup(words.ctypes.data)


class Registered:
    """Functions under names that emitted code calls: in this process, and in one that loads such code from numba's cache.

    Attributes:
        symbol: prefix of the names.
    """

    def __init__(self, functions: Functions) -> None:
        self.object = functions.object
        self.symbol = f"chainrule_{blake2b(self.object.code, digest_size=16).hexdigest()}"
        self._register(functions)

    def __call__(self) -> None:
        """What numba calls before it loads code that needs the functions."""
        if self.symbol not in _registered:
            self._register(self.object.load())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Registered) and other.symbol == self.symbol

    def __hash__(self) -> int:
        return hash(self.symbol)

    def __reduce__(self) -> Any:
        return _reloader, (self.object, self.symbol)

    def _register(self, functions: Functions) -> None:
        import llvmlite.binding as llvm

        for name in ("check", "run"):
            llvm.add_symbol(f"{self.symbol}.{name}", getattr(functions, name))
        _registered[self.symbol] = functions


def _reloader(made: Object, symbol: str) -> Registered:
    reloader = object.__new__(Registered)
    reloader.object, reloader.symbol = made, symbol
    return reloader


_registered: dict[str, Functions] = {}  # for good: numba frees no code either


class JitDriver(Driver):
    """A driver without Python: results lie in the caller's memory, temporaries come from malloc, and nothing holds a lock.

    Attributes:
        bodies: the functions of bodies that steps run.
    """

    def __init__(self, *args: Any, bodies: Mapping[Graph, Body]) -> None:
        self.bodies = bodies
        self.owned: list[Value] = []  # places of memory that calls made
        self.stops: list[tuple[str, bool]] = []
        self.stopped: Value = None  # the place of what `run` returns where a step could not be done
        super().__init__(*args)

    def require_free(self, size: Value) -> None:
        """What a trace relied on of sizes is among its guards."""

    def lock(self, heavy: Value) -> None:
        """There is none."""

    unlock = lock

    def prepare(self) -> None:
        """The shared code was loaded with this program."""

    def make_results(self, heavy: Value) -> None:
        for name, number in self.outputs.items():
            if name in self.plan.layouts:
                raise LoweringError(f"{name} lies in an order of its own")
            place = self.builder.gep(self.results if self.node[name].ndim else self.numbers, [LONG(number)])
            self.dense(name, self.builder.load(place) if self.node[name].ndim else self.builder.bitcast(place, POINTER))

    def allocate(self, heavy: Value, bytes_: Value) -> Value:
        return self.memory(bytes_, self.failed)

    def memory(self, bytes_: Value, otherwise: Any) -> Value:
        """A block that is given back at the end, aligned to 64 bytes."""
        made = self.builder.call(self.external("malloc", POINTER, LONG), [self.builder.add(bytes_, LONG(64))])
        place = self.variable(POINTER, ir.Constant(POINTER, None))
        self.builder.store(made, place)
        self.owned.append(place)
        self.require(self.builder.not_(self.is_null(made)), otherwise)
        past = self.builder.and_(self.builder.ptrtoint(made, LONG), LONG(63))
        aligned = self.variable(POINTER)
        self.builder.store(self.builder.gep(made, [self.builder.sub(LONG(64), past)]), aligned)
        self.aligned = aligned
        return self.builder.load(aligned)

    def release(self, has_block: Value | None, heavy: Value) -> None:
        for place in self.owned:
            self.builder.call(self.external("free", VOID, POINTER), [self.builder.load(place)])

    def drop_results(self) -> None:
        """They are the caller's."""

    def raised_status(self) -> Value:
        return self.builder.load(self.status())

    def status(self) -> Value:
        """The place of what is returned where a step cannot be done."""
        if self.stopped is None:
            self.stopped = self.variable(LONG, LONG(FAILED))
        return self.stopped

    def stop_if(self, condition: Value, what: str, is_index: bool) -> None:
        """Leave with a step's number."""
        self.stops.append((what, is_index))
        with self.only_if(condition):
            self.builder.store(LONG(STOPPED + len(self.stops) - 1), self.status())
            self.builder.branch(self.raised)

    def leave_with(self, status: Value, layout: Layout) -> None:
        """Leave where a body's `run` did not do it, with a number of one of its steps that is one of this program's."""
        first = len(self.stops)
        self.stops += layout.stops
        with self.only_if(self.builder.icmp_unsigned("!=", status, LONG(0))):
            stopped = self.builder.icmp_unsigned(">=", status, LONG(STOPPED))
            self.builder.store(self.builder.select(stopped, self.builder.add(status, LONG(first)), LONG(FAILED)), self.status())
            self.builder.branch(self.raised)

    def scratch(self, count: int, node: Node) -> Value:
        """Memory for so many arrays like a node's."""
        return self.memory(self.size(self.bytes_of(node) * count), self.raised)

    def copy(self, to: Value, source: Value, bytes_: Value) -> None:
        self.builder.call(self.external("memcpy", POINTER, POINTER, POINTER, LONG), [to, source, bytes_])

    def dense_strides(self, node: Node) -> list[Value]:
        """Byte strides of an array of a node's shape in C order."""
        return self.strides(self.plan.buffers[node], range(node.ndim))

    def call(self, step: CallStep | CheckStep, number: int, heavy: Value) -> None:
        if isinstance(step, CheckStep):
            if step.indices.dtype != INT64:
                raise LoweringError(f"indices of dtype {step.indices.dtype}")
            site = min(step.user.sites, default=None)
            self.stop_if(self.outside(step, number), f"an index is out of bounds{at(site)}", True)
            return
        node, name = step.node, self.plan.buffers[step.node]
        routine = emit_routine(self.module, node, f"{self.symbol}.routine{number}", self.plan.graph.short_sizes)
        if routine is None and not node.op.runs:
            raise LoweringError(f"{node.op.name}{at(min(node.sites, default=None))} is a routine of Python's libraries")
        if name not in self.outputs:
            if node.ndim:
                data = self.memory(self.size(self.bytes_of(node)), self.raised)
            else:
                data = self.builder.bitcast(self.variable(LONG), POINTER)
            self.dense(name, data)
        if routine is None:
            run_bodies(self, node, self.arrays[name][0])
            return
        declined = self.builder.call(routine, [self.tensors(step, self.arrays[name][0])])
        self.stop_if(self.builder.icmp_signed("!=", declined, LONG(0)),
                     f"{node.op.name}{at(min(node.sites, default=None))}: the matrix is singular, not positive definite, not finite or too "
                     "large for compiled code", False)

    def leave(self) -> None:
        for block, status in ((self.miss, MISS), (self.failed, FAILED)):
            self.builder.position_at_end(block)
            self.builder.ret(LONG(status))


def inlinable(graph: Graph) -> bool:
    """Whether a program is to become part of its callers' code: numbers in, numbers out, short, without functions of SciPy's and bodies.

    Arithmetic on single numbers is strict, so it may be optimised once more; sums in loops are compiled once, that they keep their bits.
    """
    nodes = graph.nodes()
    if any(node.op.runs for node in nodes):
        return False
    spelled = {node.op.lowering.real for node in nodes if node.op.lowering is not None}
    return len(nodes) <= MOST_INLINED and all(node.ndim == 0 for node in nodes) and not any(s.startswith("special ") for s in spelled)


def compile_functions(plan: Plan, steps: Sequence[PlannedStep]) -> tuple[Functions, Layout]:
    """The functions of a program, compiled by themselves.

    Raises:
        LoweringError: a step needs Python.
    """
    _require_driven(plan, steps)
    kernels = [k for k, _ in in_turn(steps)]
    bodies = {body: once(body, "jit", partial(_compiled_body, body, step.node)) for step in steps if isinstance(step, CallStep)
              for body in map(step.node.param, step.node.op.bodies)}
    symbol = symbol_of(f"jit{next(_numbers)}")
    made: list[Layout] = []

    def beside(module: Any, functions: Sequence[Any]) -> None:
        made.append(_emit(module, plan, steps, functions, module.globals[symbol], symbol, bodies))

    code = compile_kernels(kernels, symbol.removeprefix(symbol_of("")), beside=beside)
    routines = {k.routine for k in kernels if isinstance(k, Product)}
    kept = tuple(dict.fromkeys(registered for registered, _ in bodies.values()))
    return Functions(code, Object(code.object_code(), symbol, tuple(sorted(routines)), kept)), made[0]


def _compiled_body(body: Graph, node: Node) -> Body:
    """The functions of a body of a node, by their names."""
    require_sizes(body, node)
    functions, layout = compile_functions(*planned(finish_body(body)))
    return Registered(functions), layout


def linkable_functions(plan: Plan, steps: Sequence[PlannedStep], generator: Any) -> tuple[Library, Layout, str]:
    """The functions of an `inlinable` program as a library of numba's for this code generator, and the prefix of their symbols.

    Raises:
        LoweringError: a step needs Python.
    """
    from . import numba_bridge
    from .kernel import emit_entry

    _require_driven(plan, steps)
    placeholder = symbol_of("inline")
    made: list[Layout] = []

    def emit(module: Any) -> None:
        functions = emit_entry(module, [k for k, _ in in_turn(steps)], "inline", lowering_of)
        entry = module.globals[placeholder]
        entry.linkage = "internal"
        made.append(_emit(module, plan, steps, functions, entry, placeholder))
        for function in module.functions:
            if function.name.startswith(placeholder) and "optnone" not in function.attributes:
                function.attributes.discard("noinline")
        for name in ("check", "run"):
            module.globals[f"{placeholder}.{name}"].attributes.add("alwaysinline")

    library, symbol = numba_bridge.build_linkable(placeholder, emit, generator)
    return library, made[0], symbol


def _require_driven(plan: Plan, steps: Sequence[PlannedStep]) -> None:
    for step in steps:
        if isinstance(step, CallStep) and step.node.op.binds:
            raise LoweringError(f"how many elements {step.node.op.name}{at(min(step.node.sites, default=None))} has, is known only when it "
                                "has run")
    if not drives(plan, steps):
        raise LoweringError("some size or result is known to Python only")


def _emit(module: Any, plan: Plan, steps: Sequence[PlannedStep], functions: Sequence[Any], entry: Any, symbol: str,
          bodies: Mapping[Graph, Body] | None = None) -> Layout:
    driver = JitDriver(module, plan, steps, functions, entry, f"{symbol}.driver", lowering_of, bodies=bodies or {})
    given = ir.GlobalVariable(module, ir.ArrayType(LONG, len(SLOTS)), f"{symbol}.given")
    given.linkage, given.initializer = "internal", ir.Constant(given.value_type, [0] * len(SLOTS))
    words = LONG.as_pointer()
    setup = ir.Function(module, ir.FunctionType(VOID, [words]), f"{symbol}.setup")
    builder = ir.IRBuilder(setup.append_basic_block("entry"))
    for k in range(len(SLOTS)):
        builder.store(builder.load(builder.gep(setup.args[0], [LONG(k)])), builder.gep(given, [LONG(0), LONG(k)]))
    builder.ret_void()
    run = ir.Function(module, ir.FunctionType(LONG, [words, POINTER.as_pointer(), words]), f"{symbol}.run")
    builder = ir.IRBuilder(run.append_basic_block("entry"))
    context = builder.alloca(ir.ArrayType(LONG, FIRST_DTYPE))
    for k, slot in enumerate(SLOTS):
        builder.store(builder.load(builder.gep(given, [LONG(0), LONG(k)])), builder.gep(context, [LONG(0), LONG(slot)]))
    builder.ret(builder.call(driver.function, [builder.bitcast(context, POINTER.as_pointer()), *run.args]))
    graph = plan.graph
    demands = _emit_check(module, graph, f"{symbol}.check")
    return Layout(tuple((n.dtype, n.shape) for n in graph.inputs), tuple((n.dtype, n.shape) for n in graph.outputs), demands,
                  tuple(driver.stops))


def _emit_check(module: Any, graph: Graph, symbol: str) -> tuple[Demand, ...]:
    function = ir.Function(module, ir.FunctionType(LONG, [LONG.as_pointer()] * 2), symbol)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    inputs, sizes = function.args
    symbols: dict[str, Value] = {}
    called: dict[str, str] = {}  # what people know symbols by
    known: dict[Size, Value] = {}
    later: list[tuple[Size, Value, str]] = []
    for node, first in zip(graph.inputs, InputLayout(graph).first, strict=True):
        for axis, size in enumerate(node.shape):
            actual = builder.load(builder.gep(inputs, [LONG(first + 1 + axis)]))
            name = f"{node.param('name')}.shape[{axis}]"
            if isinstance(size, SizeExpr) and symbols_of(size) == {str(size)} and str(size) not in symbols:
                symbols[str(size)], called[str(size)] = actual, name
            else:
                later.append((size, actual, name))
    demands: list[Demand] = []

    def demand(op: str, left: Value, right: Value, text: str, site: Site | None = None) -> None:
        demands.append(Demand(text, site))
        with builder.if_then(builder.not_(builder.icmp_signed(op, left, right)), likely=False):
            builder.ret(LONG(len(demands)))

    def value(size: Size) -> Value:
        return size_value(builder, size, symbols, known)

    for size, actual, name in later:
        demand("==", value(size), actual, f"{name} == {_said(size, called)}")
    for guard in graph.guards:
        demand(guard.op, value(guard.left), value(guard.right), f"{_said(guard.left, called)} {guard.op} {_said(guard.right, called)}",
               guard.site)
    for number, size in enumerate(size for node in graph.outputs for size in node.shape):
        builder.store(value(size), builder.gep(sizes, [LONG(number)]))
    builder.ret(LONG(0))
    return tuple(demands)


def _said(size: Size, called: dict[str, str]) -> str:
    """A size in terms of arguments."""
    text = str(size)
    for name in sorted(symbols_of(size), key=len, reverse=True):
        text = text.replace(name, called.get(name, name))
    return text
