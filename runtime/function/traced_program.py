"""One signature of a decorated function: its traced graph, when it may be used again, and its programs."""
from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ...compiler.entry_spec import EntrySpec
from ...compiler.errors import ChainruleError, ShapeError, TraceError
from ...compiler.ir import Graph, Node
from ...compiler.memory_order import orders_of
from ...compiler.pipeline import Kind
from ...compiler.provenance import Site, at, user_site
from ...compiler.sizes import Guard, bind, symbols_of
from ...compiler.stages import Clock, stage, ticking
from ...compiler.trace import Session, Traced, is_traced, lift, symbolic_ramps, tracing
from ...compiler.views import View
from ..progress import shown
from .captures import Captures, Hidden
from .execution import Execution, Options, Request, execute
from .signature import Bound, Flat
from .stats import Stats
from .structure import Tree, flatten, leaf_names, unflatten
from .tensors import GraphFunction
from .unrolled import warn_of_unrolled

__all__ = ["TracedProgram", "trace_call"]

MOST_ORDERS = 4  # of the arrays of one request, C order not counted; others are met across memory


class TracedProgram:
    """What a call with one signature runs.

    Attributes:
        graph: inputs are the leaves of the arguments, then the captured arrays.
        result: the structure of what the function returned.
        sites: the lines that made its operations; a node that other functions have as well knows of theirs, too.
    """

    def __init__(self, name: str, graph: Graph, leaves: int, hidden: Sequence[Hidden], captures: Captures, result: Tree,
                 options: Options, stats: Stats, sites: frozenset[Site] = frozenset()) -> None:
        self.name, self.graph, self.leaves, self.result = name, graph, leaves, result
        self.hidden, self.captures = tuple(hidden), captures
        self.options, self.stats, self.sites = options, stats, sites
        self._executions: dict[Request, Execution] = {}
        self._lock = threading.RLock()
        self._shapes = [node.shape for node in graph.inputs]
        bound = {s for node in graph.inputs for size in node.shape for s in symbols_of(size)}
        self._guards = [g for g in graph.guards if symbols_of(g.left) | symbols_of(g.right) <= bound]

    @cached_property
    def differentiable(self) -> GraphFunction:
        """The program as an operation on Tensors."""
        return GraphFunction(self.graph, self.options, self.name, self.stats)

    # ------------------------------------------------------------------------------------------------ may it be used?
    def hidden_arrays(self) -> list[Any]:
        """The captured arrays as they are now.

        Raises:
            CaptureChangedError: one is gone, or of another kind.
        """
        return [h.fetch() for h in self.hidden]

    def mismatch(self, arrays: Sequence[Any]) -> str:
        """Why this program does not serve these arrays (arguments, then captured ones), or nothing."""
        lengths = [a.shape if isinstance(a, np.ndarray) else () for a in arrays]
        try:
            values = bind(self._shapes, lengths)
        except ShapeError as error:
            return str(error)
        for guard in self._guards:
            if not guard.holds(values):
                return f"guard {guard} does not hold for {_values(guard, values)}"
        return ""

    # ------------------------------------------------------------------------------------------------ running
    def request(self, kind: Kind, wrt: tuple[int, ...], arrays: Sequence[Any]) -> Request:
        """What computes this kind for arrays in such orders; in C order, where there are programs for many others."""
        orders = orders_of(arrays)
        found = Request(kind, wrt, orders)
        if orders and found not in self._executions:
            others = sum(made.orders != () for made in self._executions if (made.kind, made.wrt) == (kind, wrt))
            if others >= MOST_ORDERS:
                return Request(kind, wrt)
        return found

    def execution(self, request: Request, entry: EntrySpec | None = None) -> Execution:
        """The program for a request, built on first use; with a direct entry for calls, where `entry` says how they are made."""
        found = self._executions.get(request)
        if found is not None:
            self.stats.ordinary_hits += 1
            return found
        with self._lock:
            found = self._executions.get(request)
            if found is None:
                found = execute(self.graph, request, self.options, self.name, entry)
                self.stats.count(found, self.graph)
                self._executions[request] = found
        return found

    def built(self, request: Request) -> Execution:
        """The program for a request that was built before."""
        return self._executions[request]

    def executions(self) -> list[tuple[Request, Execution]]:
        """The programs that were built, the latest first."""
        return list(reversed(self._executions.items()))


def _values(guard: Guard, values: dict[str, int]) -> str:
    used = sorted(symbols_of(guard.left) | symbols_of(guard.right))
    return ", ".join(f"{name} = {values[name]}" for name in used)


def leaf_inputs(session: Session, bound: Bound, flat: Flat, promises: Mapping[str, str]) -> list[Any]:
    """An input, as a traced value, for each leaf of the arguments."""
    made: list[Any] = []
    counts = [*flat.starts, len(flat.leaves)][1:]
    for label, tree, start, stop in zip(bound.labels, flat.trees, flat.starts, counts, strict=True):
        names = [label] if stop - start == 1 else leaf_names(tree, label)
        for name, leaf in zip(names, flat.leaves[start:stop], strict=True):
            promise = promises.get(label, "")
            if isinstance(leaf, np.ndarray):
                node, weak = session.input(leaf.shape, leaf.dtype, name, promise=promise), None
            else:
                node, weak = leaf_of_number(session, leaf, name, promise)
            made.append(Traced(View.of(node), session, weak))
    return made


def leaf_of_number(session: Session, leaf: Any, name: str, promise: str = "") -> tuple[Node, Any]:
    """The input of a Python number, which is weak; or of a specification."""
    if isinstance(leaf, float):
        return session.input((), np.dtype(np.float64), name, promise=promise), float
    if isinstance(leaf, int):
        return session.input((), np.dtype(np.int64), name, promise=promise), int
    return leaf.make_input(session, name, promise), None


def rebuilt_arguments(bound: Bound, flat: Flat, leaves: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call, with other leaves in them."""
    source = iter(leaves)
    values = [unflatten(tree, source) for tree in flat.trees]
    n = bound.positional
    return tuple(values[:n]), dict(zip(bound.labels[n:], values[n:], strict=True))


def trace_call(function: Callable[..., Any], name: str, bound: Bound, flat: Flat, options: Options, stats: Stats,
               promises: Mapping[str, str]) -> TracedProgram:
    """Run the function once on traced values.

    Args:
        promises: what holds of arguments, by name (see `compiler.promises`).

    Raises:
        TraceError and others: what the function does cannot be traced; with the user's line.
    """
    clock = Clock()
    with shown(f"tracing {name}", clock), ticking(clock), stage("trace"):
        program = _trace(function, name, bound, flat, options, stats, promises)
    stats.traces += 1
    stats.add_seconds(clock.seconds)
    if not getattr(function, "is_expression", False):  # then no Python loop made the operations
        warn_of_unrolled(program.graph, name)
    return program


def _trace(function: Callable[..., Any], name: str, bound: Bound, flat: Flat, options: Options, stats: Stats,
           promises: Mapping[str, str]) -> TracedProgram:
    captures = Captures(function, bound, flat.trees)
    session = Session(origin=captures.origin, rewrite=stabiliser(options))
    with tracing(session), symbolic_ramps():
        inputs = leaf_inputs(session, bound, flat, promises)
        args, kwargs = rebuilt_arguments(bound, flat, inputs)
        try:
            result = captures.call(args, kwargs, session)
        except ValueError as error:
            if isinstance(error.__cause__, ChainruleError):  # NumPy's "setting an array element with a sequence" hides ours
                raise error.__cause__ from None
            raise
        outputs: list[Any] = []
        tree = flatten(result_of(result, name), outputs)
        nodes = [lift(leaf).node for leaf in outputs]
        captures.finish(session)
        graph, captured = session.finish(nodes)
    stats.specialisations += [str(s) for s in session.specialisations if str(s) not in stats.specialisations]
    hidden = [c.origin or Hidden(c.array, None) for c in captured]
    return TracedProgram(name, graph, len(flat.leaves), hidden, captures, tree, options, stats, frozenset(session.sites))


def stabiliser(options: Options) -> Callable[[Sequence[Node]], Sequence[Node]]:
    """What is done to nodes before they are differentiated inside a trace."""

    def rewrite(nodes: Sequence[Node]) -> Sequence[Node]:
        from ...compiler.rewrite import simplify  # few traces differentiate, and the rules are slow to import

        return simplify(list(nodes), stabilise=options.stabilise, fastmath=options.fastmath, last=False)[0]

    return rewrite


def result_of(value: Any, name: str) -> Any:
    """What a function returned, with sizes and plain numbers as traced values.

    Raises:
        TraceError: something that is neither an array, a number, nor a structure of them.
    """
    if value is None:
        raise TraceError(f"{name} returned None{at(user_site())}: return the value that is to be differentiated")
    return _traced_leaves(value, name)


def _traced_leaves(value: Any, name: str) -> Any:
    from ...compiler.trace import wrap

    if isinstance(value, Traced):
        return value
    if is_traced(value) or isinstance(value, (int, float, np.number, np.bool_, np.ndarray)):
        return wrap(lift(value).node)
    if isinstance(value, tuple):
        items = [_traced_leaves(v, name) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, list):
        return [_traced_leaves(v, name) for v in value]
    if isinstance(value, dict):
        return {k: _traced_leaves(v, name) for k, v in value.items()}
    return value

