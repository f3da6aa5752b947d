"""The IR: immutable, interned, typed nodes, and graphs of them.

Two nodes with the same op, inputs, parameters, shape and dtype are the same object, so common subexpressions are shared
by construction and equality is identity. Shape and dtype are computed when a node is made. The user's source lines that
made a node are kept beside it and are no part of its identity.
"""
from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .errors import DTypeError, InternalError
from .op import Op, Shape, get
from .provenance import Site
from .sizes import Guard, Size, SizeExpr, substitute, symbols_of

__all__ = [
    "Graph", "Node", "constant", "execution_order", "f", "flat_params", "is_interned", "kind_of", "make", "native",
    "noting_nodes", "rebuild", "resolve_params", "shared", "toposort", "with_inputs",
]

SHORT = 4  # points in space have few coordinates
_KINDS = {"f": "float", "i": "int", "u": "int", "b": "bool"}


def kind_of(dtype: np.dtype[Any]) -> str:
    """`float`, `int` or `bool`.

    Raises:
        DTypeError: chainrule has no such element type (complex, object, ...).
    """
    try:
        return _KINDS[dtype.kind]
    except KeyError:
        raise DTypeError(f"dtype {dtype} is not supported; use float32, float64, an integer type or bool") from None


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The one spelling of a dtype: native byte order, and `int64` for C's `long long`, where both have 64 bits.

    Raises:
        DTypeError: chainrule has no such element type (complex, object, ...).
    """
    kind_of(dtype)
    return _NATIVE.get(dtype.char, dtype) if dtype.isnative else np.dtype(dtype.name)


_NATIVE = {char: np.dtype(np.dtype(char).name) for char in "bBhHiIlLqQ"}


class Node:
    """One value of a program. Make nodes with `make` (or `f.<op>`), never directly."""

    __slots__ = ("__weakref__", "dtype", "inputs", "op", "params", "serial", "shape", "sites")
    op: Op
    inputs: tuple[Node, ...]
    params: tuple[Any, ...]
    shape: Shape
    dtype: np.dtype[Any]
    sites: frozenset[Site]
    serial: int

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def param(self, name: str) -> Any:
        """A parameter by name."""
        return self.params[self.op.params.index(name)]

    @property
    def named_params(self) -> dict[str, Any]:
        return dict(zip(self.op.params, self.params, strict=True))

    @property
    def value(self) -> Any:
        """The NumPy scalar of a constant, None for any other node."""
        if self.op.name != "const":
            return None
        return np.frombuffer(self.params[0], dtype=self.dtype)[0]

    def __repr__(self) -> str:
        return f"<{self.op.name} {self.dtype}[{','.join(map(str, self.shape))}]>"

    def __reduce__(self) -> tuple[Callable[..., Node], tuple[Any, ...]]:
        return (_unpack_node, (_pack([self])[0],))

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        return self

    # Arithmetic, for writing derivatives and rules as formulas; a Python number becomes a constant of the same aval.
    def __add__(self, other: Node | float) -> Node:
        return f.add(self, other)

    def __radd__(self, other: float) -> Node:
        return f.add(other, self)

    def __sub__(self, other: Node | float) -> Node:
        return f.sub(self, other)

    def __rsub__(self, other: float) -> Node:
        return f.sub(other, self)

    def __mul__(self, other: Node | float) -> Node:
        return f.mul(self, other)

    def __rmul__(self, other: float) -> Node:
        return f.mul(other, self)

    def __truediv__(self, other: Node | float) -> Node:
        return f.div(self, other)

    def __rtruediv__(self, other: float) -> Node:
        return f.div(other, self)

    def __neg__(self) -> Node:
        return f.neg(self)


_table: weakref.WeakValueDictionary[tuple[Any, ...], Node] = weakref.WeakValueDictionary()
_references: dict[tuple[Any, ...], weakref.ref[Node]] = _table.data  # type: ignore[attr-defined]  # half the time of a look-up
_lock = threading.Lock()
_serials = count()
_MOST_SITES = 16  # lines that a node keeps: a constant may stand in each of 100,000


class _Current(threading.local):
    """The source line that nodes made now are attributed to, and where they are noted, if anywhere."""

    sites: frozenset[Site] = frozenset()
    made: set[Node] | None = None


current = _Current()


def _key(op: Op, inputs: tuple[Node, ...], params: tuple[Any, ...], shape: Shape,
         dtype: np.dtype[Any]) -> tuple[Any, ...]:
    return (op.name, tuple(map(id, inputs)), params, shape, dtype.char)


def _intern(op: Op, inputs: tuple[Node, ...], params: tuple[Any, ...], shape: Shape, dtype: np.dtype[Any],
            sites: frozenset[Site] = frozenset()) -> Node:
    key = _key(op, inputs, params, shape, dtype)
    with _lock:
        known = _references.get(key)
        node = None if known is None else known()
        if node is None:
            node = object.__new__(Node)
            node.op, node.inputs, node.params, node.shape, node.dtype = op, inputs, params, shape, dtype
            node.sites, node.serial = sites, next(_serials)
            _table[key] = node
        elif not sites <= node.sites and len(node.sites) < _MOST_SITES:
            node.sites = node.sites | sites
    if current.made is not None:
        current.made.add(node)
    return node


@contextmanager
def noting_nodes() -> Iterator[set[Node]]:
    """A set that every node goes into that this thread asks for meanwhile, whether or not it was there before."""
    before, made = current.made, set[Node]()
    current.made = made
    try:
        yield made
    finally:
        current.made = before
        if before is not None:
            before |= made


_Record = tuple[str, tuple[int, ...], tuple[Any, ...], Shape, np.dtype[Any], frozenset[Site]]


def _pack(nodes: Iterable[Node]) -> tuple[list[_Record], dict[Node, int]]:
    """Everything that `nodes` depend on as flat records, so that pickling a deep graph does not recurse into it."""
    place: dict[Node, int] = {}
    records: list[_Record] = []
    for node in toposort(nodes):
        place[node] = len(records)
        inputs = tuple(place[i] for i in node.inputs)
        records.append((node.op.name, inputs, node.params, node.shape, node.dtype, node.sites))
    return records, place


def _unpack(records: Iterable[_Record]) -> list[Node]:
    nodes: list[Node] = []
    for name, inputs, params, shape, dtype, sites in records:
        nodes.append(_intern(get(name), tuple(nodes[k] for k in inputs), params, shape, dtype, sites))
    return nodes


def _unpack_node(records: Iterable[_Record]) -> Node:
    return _unpack(records)[-1]


def _unpack_graph(records: Iterable[_Record], inputs: Iterable[int], outputs: Iterable[int], guards: tuple[Guard, ...],
                  hints: dict[str, int]) -> Graph:
    nodes = _unpack(records)
    return Graph(tuple(nodes[k] for k in inputs), tuple(nodes[k] for k in outputs), guards, hints)


def pack_graph(graph: Graph) -> tuple[Any, ...]:
    """A graph as plain tuples, without source lines and example sizes."""
    records, place = _pack([*graph.inputs, *graph.outputs])
    return (tuple([record[:5] for record in records]), tuple([place[n] for n in graph.inputs]), tuple([place[n] for n in graph.outputs]),
            graph.guards)


def unpack_graph(records: Iterable[Any], inputs: Iterable[int], outputs: Iterable[int], guards: tuple[Guard, ...]) -> Graph:
    """The graph that `pack_graph` packed; the same object while it is alive, since ops with equal parameters are one node."""
    return shared(_unpack_graph([(*record, frozenset()) for record in records], inputs, outputs, guards, {}))


def shared(graph: Graph) -> Graph:
    """A graph that is equal to this one: the same object while it is alive. Example sizes are no part of it."""
    return _shared.setdefault((graph.inputs, graph.outputs, graph.guards), graph)


_shared: weakref.WeakValueDictionary[Any, Graph] = weakref.WeakValueDictionary()


def is_interned(node: Node) -> bool:
    """Whether the node is the one that its op, inputs and parameters stand for: made by `make`, never by hand."""
    return _table.get(_key(node.op, node.inputs, node.params, node.shape, node.dtype)) is node


def make(op: Op | str, inputs: Sequence[Node] = (), **params: Any) -> Node:
    """The node `op(*inputs, **params)`, checked and typed.

    Args:
        params: the op's parameters; for a leaf (`input`, `const`, `iota`, `size`), whose aval does not follow from
            inputs, also `shape` and `dtype`.

    Raises:
        ShapeError, DTypeError: the op's rule refuses the inputs.
        InternalError: wrong number of inputs or parameters.
    """
    if isinstance(op, str):
        op = get(op)
    inputs = tuple(inputs)
    if op.arity is not None and len(inputs) != op.arity:
        raise InternalError(f"{op.name} takes {op.arity} inputs, not {len(inputs)}")
    for node in inputs:
        if kind_of(node.dtype) not in op.dtypes:
            raise DTypeError(f"{op.name} does not take {node.dtype}")
    try:
        values = tuple(params[name] if name in params else op.optional[name] for name in op.params)
    except KeyError as missing:
        raise InternalError(f"{op.name} needs the parameter {missing}") from None
    shape, dtype = (params["shape"], native(params["dtype"])) if op.kind == "leaf" else op.infer(inputs, params)
    return _intern(op, inputs, values, shape, dtype, current.sites)


def constant(value: Any, dtype: DTypeLike, shape: Shape = ()) -> Node:
    """`value` of the given dtype, in every element of `shape`. Interned by bytes: -0.0, 0.0 and nan stay apart."""
    dtype = native(np.dtype(dtype))
    return make("const", shape=shape, dtype=dtype, value=np.asarray(value).astype(dtype).tobytes())


class _Functions:
    """`f.exp(x)`, `f.sum(x, axes=(0,))`: every op as a function of nodes; Python numbers become constants."""

    def __getattr__(self, name: str) -> Callable[..., Node]:
        try:
            op = get(name)
        except KeyError:
            raise AttributeError(f"no op is named {name!r}", name=name, obj=self) from None

        def apply(*inputs: Node | float | bool, **params: Any) -> Node:
            like = next((x for x in reversed(inputs) if isinstance(x, Node)), None)
            if like is not None:  # a number takes the aval of the last node: `f.where(c, ct, 0)` is right
                inputs = tuple(x if isinstance(x, Node) else constant(x, like.dtype, like.shape) for x in inputs)
            return make(op, inputs, **params)  # type: ignore[arg-type]

        apply.__name__ = name
        self.__dict__[name] = apply
        return apply


f = _Functions()


def toposort(outputs: Iterable[Node]) -> list[Node]:
    """Every node that `outputs` depend on, inputs before users; iterative, in linear time."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[Node | None] = list(outputs)
    stack.reverse()
    while stack:
        node = stack.pop()
        if node is None:  # all that the next one needs is in the order
            order.append(stack.pop())  # type: ignore[arg-type]
        elif node not in seen:
            seen.add(node)
            if node.inputs:
                stack += (node, None)
                stack += [item for item in reversed(node.inputs) if item not in seen]
            else:
                order.append(node)
    return order


def execution_order(outputs: Iterable[Node]) -> list[Node]:
    """A topological order in which nodes that bind a size (`nonzero`) come, with what they need, before all others."""
    outputs = list(outputs)
    order = toposort(outputs)
    binders = sorted((n for n in order if n.op.binds), key=lambda n: n.serial)
    return toposort([*binders, *outputs]) if binders else order


def resolve_params(value: Any, sizes: Mapping[str, Size]) -> Any:
    """A parameter (or a tuple of them) with size symbols replaced."""
    if isinstance(value, SizeExpr):
        return substitute(value, sizes)
    if isinstance(value, tuple):
        return tuple(resolve_params(item, sizes) for item in value)
    return value


def with_inputs(node: Node, inputs: tuple[Node, ...]) -> Node:
    """The node's op, parameters and sites on other inputs; typed again where these differ in shape or dtype."""
    shape, dtype = node.shape, node.dtype
    if any(a.shape != b.shape or a.dtype != b.dtype for a, b in zip(inputs, node.inputs, strict=True)):
        shape, dtype = node.op.infer(inputs, node.named_params)
    return _intern(node.op, inputs, node.params, shape, dtype, node.sites)


def rebuild(outputs: Sequence[Node], replace: Mapping[Node, Node],
            sizes: Mapping[str, Size] | None = None) -> list[Node]:
    """`outputs` with nodes replaced (and size symbols substituted), everything above them rebuilt."""
    done: dict[Node, Node] = dict(replace)
    for node in toposort(outputs):
        if node in done:
            continue
        inputs = tuple(done[i] for i in node.inputs)
        if sizes is None and inputs == node.inputs:
            done[node] = node
            continue
        if sizes is None:
            done[node] = with_inputs(node, inputs)
            continue
        params = resolve_params(node.params, sizes)
        if node.op.kind == "leaf":
            shape, dtype = resolve_params(node.shape, sizes), node.dtype
        else:
            shape, dtype = node.op.infer(inputs, dict(zip(node.op.params, params, strict=True)))
        done[node] = _intern(node.op, inputs, params, shape, dtype, node.sites)
    return [done[node] for node in outputs]


@dataclass(frozen=True, eq=False)
class Graph:
    """A program: input nodes in order, output nodes in order, the guards under which it is right.

    `hints` are the example's sizes, by symbol; each symbol of the inputs' shapes is bound by some axis of some input.
    """

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    guards: tuple[Guard, ...] = ()
    hints: Mapping[str, int] = field(default_factory=dict)

    def nodes(self) -> list[Node]:
        """Every node that the outputs depend on, inputs before users."""
        return toposort(self.outputs)

    def __len__(self) -> int:
        return len(self.nodes())

    def __str__(self) -> str:
        from .text import print_graph  # the text form reads this module

        return print_graph(self)

    def __reduce__(self) -> tuple[Callable[..., Graph], tuple[Any, ...]]:
        records, place = _pack([*self.inputs, *self.outputs])
        return (_unpack_graph, (records, [place[n] for n in self.inputs], [place[n] for n in self.outputs],
                                self.guards, dict(self.hints)))

    def with_outputs(self, outputs: Iterable[Node]) -> Graph:
        """The same inputs, guards and hints, with other outputs."""
        return Graph(self.inputs, tuple(outputs), self.guards, self.hints)

    @property
    def short_sizes(self) -> dict[str, int]:
        """The axes of matrices and larger arrays that are short in the example, by symbol: programs have variants for them."""
        axes = {str(size) for node in self.nodes() if node.ndim > 1 for size in node.shape if isinstance(size, SizeExpr)}
        return {name: size for name, size in sorted(self.hints.items()) if 2 <= size <= SHORT and name in axes}

    def symbols(self) -> list[str]:
        """The size symbols that the program reads, sorted."""
        found: set[str] = set()
        for node in [*self.nodes(), *self.inputs]:
            for value in (*node.shape, *flat_params(node.params)):
                if isinstance(value, SizeExpr):
                    found |= symbols_of(value)
        return sorted(found, key=lambda name: (len(name), name))


def flat_params(value: Any) -> Iterator[Any]:
    """What is in a (nested) tuple of parameters."""
    if isinstance(value, tuple):
        for item in value:
            yield from flat_params(item)
    else:
        yield value
