"""One trace: its sizes, its inputs, the arrays it captured, and where the user's code is."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .. import sizes
from ..errors import ChainruleError, DTypeError, TraceError
from ..ir import Graph, Node, constant, current, f, flat_params, kind_of, make, native, rebuild, toposort
from ..promises import is_square
from ..provenance import Site, at, user_site, variables_of
from ..sizes import Size, SizeContext, SizeExpr

__all__ = ["Captured", "Session", "active_session", "located", "tracing"]

SHORT = 6  # elements: a shorter array without a name is written out

_placeholders = itertools.count(2)


class Specialisation(NamedTuple):
    """A size that became a plain number, and the line that asked for it."""

    size: str
    value: int
    site: Site | None

    def __str__(self) -> str:
        where = f"  ({self.site})" if self.site else ""
        return f"{self.size} = {self.value}{where}"


class Captured(NamedTuple):
    """A plain array that met a traced one, and the input that stands for it."""

    array: np.ndarray[Any, Any]
    node: Node
    origin: Any  # what the session's `origin` said: where the array can be found again


@dataclass(eq=False)
class Session:
    """The state of one trace.

    Attributes:
        origin: asked for each plain array that meets a traced one; where to find it again at a later call, or None for
            an array that the traced code has made, which is a constant of the trace.
        rewrite: what is done to nodes before they are differentiated inside the trace (stabilisation).
        prepare: a function as it is to be called inside the trace (with traced values in place of captured arrays).
        used_contents: captured arrays whose elements the trace depends on.
        sites: the lines that made values.
        plain_numbers: whether a NumPy scalar, which may have been computed from captured arrays, met a traced value.
    """

    origin: Callable[[np.ndarray[Any, Any]], Any] = lambda array: None
    rewrite: Callable[[Sequence[Node]], Sequence[Node]] = lambda nodes: nodes
    prepare: Callable[[Any], Any] = lambda function: function
    context: SizeContext = field(default_factory=SizeContext)
    inputs: list[Node] = field(default_factory=list)
    captured: dict[int, Captured] = field(default_factory=dict)
    specialisations: list[Specialisation] = field(default_factory=list)
    used_contents: list[np.ndarray[Any, Any]] = field(default_factory=list)
    sites: set[Site] = field(default_factory=set)
    plain_numbers: bool = False
    named_sizes: dict[str, Size] = field(default_factory=dict)  # of arguments that are described, by their names
    open: bool = True
    _constants: dict[int, tuple[Any, Node]] = field(default_factory=dict)

    # ------------------------------------------------------------------------------------------------ inputs
    def input(self, shape: Sequence[int | Size], dtype: np.dtype[Any], name: str, *, known: Mapping[int, Size] | None = None,
              promise: str = "") -> Node:
        """The next input of the program: each axis gets a symbol with the example's size as its hint."""
        known = dict(known or {})
        if is_square(promise, shape, name):
            known.setdefault(len(shape) - 1, known.setdefault(len(shape) - 2, self._axis(shape[-1])))
        symbols = tuple(known[k] if k in known else self._axis(n) for k, n in enumerate(shape))
        node = make("input", shape=symbols, dtype=native(dtype), position=len(self.inputs), name=name, promise=promise)
        self.inputs.append(node)
        return node

    def _axis(self, size: int | Size) -> Size:
        return self.context.fresh(size) if isinstance(size, int) else size

    def capture(self, array: np.ndarray[Any, Any]) -> Node:
        """The node that stands for a plain array."""
        known = self.captured.get(id(array))
        if known is not None:
            return known.node
        constant_of = self._constants.get(id(array))
        if constant_of is not None:
            return constant_of[1]
        check_dtype(array.dtype, "an array")
        origin = self.origin(array)
        if origin is None:
            known_by_form = _uniform(array) or _diagonal(array)
            if known_by_form is not None:
                self._constants[id(array)] = array, known_by_form
                return known_by_form
        name = getattr(origin, "name", None) or self._name_of(array)
        free = origin is not None and getattr(origin, "free_sizes", True)
        shape = tuple(array.shape)
        node = self.input(shape, array.dtype, name, known=None if free else dict(enumerate(shape)))
        self.captured[id(array)] = Captured(array, node, origin)
        return node

    def _name_of(self, array: np.ndarray[Any, Any]) -> str:
        """What an array is called that the function makes: by the only variable of the user's line that it is the value of, or as it is."""
        taken = {str(node.param("name")) for node in self.inputs}
        names = variables_of(array)
        if len(names) == 1 and names[0] not in taken:
            return names[0]
        written = f"np.array({array.tolist()})"
        short = array.size <= SHORT and array.dtype.kind in "fib" and array.dtype.itemsize == 8 and np.all(np.isfinite(array))
        return written if short and written not in taken else f"constant{len(self.captured)}"

    def placeholder(self, like: Node, name: str = "argument") -> Node:
        """A stand-in for a node, to differentiate with respect to it; substituted before the trace ends."""
        return make("input", shape=like.shape, dtype=like.dtype, position=-next(_placeholders), name=name)

    # ------------------------------------------------------------------------------------------------ sizes
    def specialise(self, size: Size) -> int:
        """The number behind a size, noted with the user's line."""
        resolved = self.context.resolve(size)
        if isinstance(resolved, int):
            return resolved
        value = self.context.specialise(resolved)
        note = Specialisation(str(resolved), value, user_site())
        if note not in self.specialisations:
            self.specialisations.append(note)
        return value

    def concretise(self, node: Node) -> Any:
        """The value of a node that depends on sizes, constants and captured arrays only; None for any other.

        The sizes are specialised, and the trace from then on depends on the arrays' elements.
        """
        from ..interpret import evaluate_nodes

        order = toposort([node])
        by_node = {c.node: c.array for c in self.captured.values()}
        if any((n.op.name == "input" and n not in by_node) or n.op.binds for n in order):
            return None
        symbols: set[str] = set()
        for n in order:
            for value in (*n.shape, *flat_params(n.params)):
                symbols |= sizes.symbols_of(value) if isinstance(value, SizeExpr) else set()
        for name in sorted(symbols):
            self.specialise(sizes.symbol(name))
        values = {n: by_node[n] for n in order if n in by_node}
        self.used_contents += values.values()
        with np.errstate(all="ignore"):
            return evaluate_nodes([node], values, self.context.hints)[0]

    # ------------------------------------------------------------------------------------------------ the end
    def finish(self, outputs: Sequence[Node]) -> tuple[Graph, list[Captured]]:
        """The traced program, with the captured arrays that it reads; sizes that were found equal get one form."""
        self.open = False
        captured = {c.node: c for c in self.captured.values()}
        needed = self._needed(outputs)
        if stray := next((n for n in needed if n.op.name == "input" and n not in self.inputs), None):
            raise TraceError(f"a value that is known in one step of a loop only ({stray!r}) is used after the loop{at(user_site())}: "
                             "return it from the step")
        inputs = [n for n in self.inputs if n not in captured] + [n for n in self.inputs if n in captured and n in needed]
        kept = [captured[n] for n in inputs if n in captured]
        mapping = dict(self.context.equal_to)
        guards = tuple(self.context.guards_left())
        before, sizes.active.context = sizes.active.context, None
        try:
            if mapping:
                made = rebuild([*inputs, *outputs], {}, mapping)
                inputs, outputs = made[: len(inputs)], made[len(inputs) :]
        finally:
            sizes.active.context = before
        return Graph(tuple(inputs), tuple(outputs), guards, dict(self.context.hints)), kept

    def _needed(self, outputs: Sequence[Node]) -> set[Node]:
        """The inputs that the outputs read, or whose sizes they, or guards, are made of."""
        nodes = toposort(outputs)
        used: set[str] = set()
        for node in nodes:
            for value in (*node.shape, *flat_params(node.params)):
                used |= sizes.symbols_of(self.context.resolve(value)) if isinstance(value, SizeExpr) else set()
        for guard in self.context.guards_left():
            used |= sizes.symbols_of(guard.left) | sizes.symbols_of(guard.right)
        found = {n for n in nodes if n.op.name == "input"}
        return found | {n for n in self.inputs if any(sizes.symbols_of(self.context.resolve(s)) & used for s in n.shape)}


def _uniform(array: np.ndarray[Any, Any]) -> Node | None:
    """A constant node for an array whose elements are all the same to the last bit."""
    if array.size == 0:
        return constant(0, array.dtype, tuple(array.shape))
    raw = _bits(array)
    if not (raw == raw.reshape(-1)[0]).all():
        return None
    return constant(array.reshape(-1)[0], array.dtype, tuple(array.shape))


def _diagonal(array: np.ndarray[Any, Any]) -> Node | None:
    """A number times the identity as nodes, for a square array that is one to the last bit: `np.eye(3)`."""
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.dtype.kind not in "fiu":
        return None
    raw, (n, _) = _bits(array), array.shape
    if n == 0 or raw[0, 0] == 0 or not (raw.diagonal() == raw[0, 0]).all() or np.count_nonzero(raw) != n:
        return None
    shape = tuple(array.shape)
    row, column = (make("iota", shape=shape, dtype=np.dtype(np.int64), axis=k) for k in (0, 1))
    return f.where(f.eq(column, row), constant(array[0, 0], array.dtype, shape), constant(0, array.dtype, shape))


def _bits(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The elements by their bits."""
    plain = np.ascontiguousarray(array)
    return plain.view(f"u{array.dtype.itemsize}") if array.dtype.itemsize in (1, 2, 4, 8) else plain


_INSTEAD_OF = {  # by the kind of a dtype that there is not
    "c": "take the real and imaginary parts as two arguments",
    "O": "make it an array of numbers",
    "U": "pass text as a plain str, not as an array",
    "S": "pass text as plain bytes, not as an array",
    "M": "convert dates to numbers first",
    "m": "convert durations to numbers first",
    "V": "pass the fields of a structured array as separate arrays",
}


def check_dtype(dtype: np.dtype[Any], what: str) -> None:
    """Refuse element types that the compiler does not have.

    Raises:
        DTypeError: complex, object, string, ...
    """
    if dtype.kind in "fiub" and dtype.itemsize <= 8:
        return
    if dtype.kind in _INSTEAD_OF:
        instead = _INSTEAD_OF[dtype.kind]
        raise DTypeError(
            f"{what} of dtype {dtype} cannot be traced{at(user_site())}: chainrule has float, integer and bool arrays; {instead}"
        )
    if dtype.kind == "f" and dtype.itemsize > 8:
        raise DTypeError(f"{what} of dtype {dtype} cannot be traced{at(user_site())}: convert it to float64")
    kind_of(dtype)


class _Active(threading.local):
    session: Session | None = None


_active = _Active()


def active_session() -> Session | None:
    """The trace that this thread is in."""
    return _active.session


@contextmanager
def tracing(session: Session) -> Iterator[Session]:
    """Make `session` the active trace of this thread."""
    before = _active.session, sizes.active.context, current.sites
    _active.session, sizes.active.context = session, session.context
    try:
        yield session
    finally:
        session.open = False
        _active.session, sizes.active.context, current.sites = before


class located:
    """Attribute the nodes made inside to the user's line, and name it in errors."""

    __slots__ = ("_before", "_site")

    def __enter__(self) -> None:
        self._site = site = user_site(2)
        self._before = current.sites
        current.sites = frozenset() if site is None else frozenset((site,))
        if site is not None and _active.session is not None:
            _active.session.sites.add(site)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        current.sites = self._before
        if isinstance(error, ChainruleError) and not getattr(error, "located", False):
            message = with_numbers(str(error))
            known = self._site is None or f"(at {self._site})" in message
            error.args = (message if known else f"{message}{at(self._site)}",)
            error.located = True  # type: ignore[attr-defined]


_SYMBOL = re.compile(r"(?<![\w./])s\d+(?![\w.])")


def with_numbers(message: str) -> str:
    """A message with the example's sizes in place of symbols, which mean nothing to users."""
    context = sizes.active.context
    if context is None:
        return message
    return _SYMBOL.sub(lambda match: str(context.hints.get(match[0], match[0])), message)


def require_session(what: str) -> Session:
    """The active trace.

    Raises:
        TraceError: there is none.
    """
    session = _active.session
    if session is None:
        raise TraceError(f"{what} is only known inside a function that is being traced{at(user_site())}")
    return session
