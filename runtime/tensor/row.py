"""The table of torch's operations: what a row is, and how methods, functions and in-place variants are made of it."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from ...compiler.ir import Node as IRNode
from ..torch_types import dtype as Dtype, from_numpy_dtype
from .arguments import check_first, is_number, refuse, type_name
from .geometry import Strides
from .modes import UNUSUAL, no_grad, state
from .node import Edge, OpNode, Saved, node_class
from .records import Record, entry_of
from .replay import replayed
from .storage import Chain
from .tape import current, record as tape_record, record_of_view
from .tensor import Geometry, Tensor, gradient_edge, wrap
from .traced import involves_traced, through_trace
from .value import Recipe, Shape, Value, absent, recorded, scalar

Build = Callable[..., "IRNode | tuple[IRNode, ...]"]
Tables = tuple[dict[Any, Any], ...]


INFERENCE_SAVED = (
    "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
    "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it in "
    "autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
)


class Call(NamedTuple):
    """What a row's rule makes of the arguments of a call.

    Attributes:
        inputs: tensors, or Values of Python numbers, in the order of the row's `inputs`.
        params: everything else that the nodes depend on; hashable.
        shape, dtype: of the result; for several results, tuples of them.
        strides: of the result, where it does not lie in C order; of a view, always.
        offset: of a view, in its storage.
        name: of the grad_fn, where it depends on the call.
    """

    inputs: tuple[Any, ...]
    params: tuple[Any, ...]
    shape: Any
    dtype: Any
    strides: Any = None
    offset: int = 0
    name: str = ""

    @property
    def numbers(self) -> list[int]:
        """Places of the inputs that are Python numbers."""
        return [k for k, item in enumerate(self.inputs) if isinstance(item, Value)]


class Row(Recipe):
    """One torch operation.

    Attributes:
        name: torch's.
        rule: `(*arguments) -> Call`: torch's signature, its checks and their messages, the result's shape and dtype. The
            names of its parameters are torch's (a `dim` can be called `axis`, a `keepdim` `keepdims`).
        build: `(*nodes, *params) -> node`, or a tuple of nodes.
        backward: the grad_fn's name; empty where the operation has no derivative.
        saved: names of inputs, and `result` (`result1`, ...), whose modification invalidates the gradient, as torch saves
            them; `other>self` is saved only where the gradient of `self` is wanted, `indices*` is the last input and all after
            it. With nothing saved, the gradient may depend on shapes only.
        inputs: names of the tensor inputs, in the order of `Call.inputs`. The graph does not show those in brackets (indices, masks;
            all that follow, if the last one is), nor those with a question mark where they are numbers.
        outputs: makes a named tuple of the results, if any.
        derivative: the name of the grad_fn of the gradient, where torch has an operation for it; of each input's, if they differ.
        shown: parameters that the grad_fn shows as `_saved_<name>`, with their places among the params.
        quick: what calls of the kinds that were made before are recorded as, in each mode; see `tape`.
    """

    __slots__ = ("backward", "build", "derivative", "hidden", "inputs", "name", "numbers", "outputs", "quick", "rule", "saved",
                 "saves_rest", "shown")

    def __init__(self, name: str, rule: Callable[..., Call], build: Build, backward: str, saved: str, inputs: str,
                 outputs: Callable[..., Any] | None = None, derivative: str = "", shown: dict[str, int] | None = None) -> None:
        self.derivative = tuple(derivative.split())
        self.quick: Tables = ({}, {}, {}, {})
        self.shown = shown or {}
        self.name = name
        self.rule = rule
        self.build = build
        self.backward = backward
        self.inputs = tuple([name.strip("()?") for name in inputs.split()])
        self.hidden = frozenset(k for k, name in enumerate(inputs.split()) if name[0] == "(")
        self.numbers = frozenset(k for k, name in enumerate(inputs.split()) if name[-1] == "?")
        self.outputs = outputs
        parsed = [self._parse(item) for item in saved.split()]
        self.saved = tuple(sorted(parsed, key=lambda item: (item[2], item[0])))  # torch checks inputs by name, then results
        self.saves_rest = saved.endswith("*")

    def _parse(self, item: str) -> tuple[str, int, bool, int | None]:
        """(name, position, is it a result, the input that it is saved for or None for any)."""
        name, _, target = item.partition(">")
        wanted = self.inputs.index(target) if target else None
        if name.startswith("result"):
            return name, int(name[6:] or 0), True, wanted
        return name.rstrip("*"), self.inputs.index(name.rstrip("*")), False, wanted

    def shows(self, position: int, is_number: bool) -> bool:
        """Whether an input is among a grad_fn's `next_functions`."""
        return min(position, len(self.inputs) - 1) not in self.hidden and not (is_number and position in self.numbers)

    def saved_among(self, count: int) -> Sequence[tuple[str, int, bool, int | None]]:
        """What is saved of a call with so many inputs: as declared, with every one of a list of inputs."""
        if not self.saves_rest:
            return self.saved
        name, first, is_result, wanted = self.saved[-1]
        return [*self.saved[:-1], *((name, k, is_result, wanted) for k in range(first, count))]

    def emit(self, nodes: Sequence[IRNode], masks: Sequence[IRNode | None], params: tuple[Any, ...], index: int
             ) -> tuple[IRNode, IRNode | None]:
        made = self.build(*nodes, *params)
        return (made[index] if isinstance(made, tuple) else made), None

    def __repr__(self) -> str:
        return f"<row {self.name}>"


class ViewRow(Row):
    """An operation whose result shares its input's storage.

    Attributes:
        write: `(base, new, *params) -> node`: the base after the part that the view shows was replaced.
        overlaps: whether several elements of the view may be one of the base.
    """

    __slots__ = ("overlaps", "write")
    write: Callable[..., IRNode]
    overlaps: bool


ROWS: dict[str, Row] = {}
FUNCTIONS: dict[str, Callable[..., Any]] = {}  # torch.<name>
METHODS: dict[str, Any] = {}  # Tensor.<name>
CALLS: dict[str, Callable[..., Any]] = {}  # every operation by its name, for use inside

_ALIASES = {"input": "self", "x": "self", "axis": "dim", "axes": "dims", "keepdims": "keepdim", "x1": "self", "x2": "other"}


def call(name: str, *args: Any, **kwargs: Any) -> Any:
    """Call an operation of the table by its name."""
    return CALLS[name](*args, **kwargs)


def op(name: str, *, build: Build, backward: str = "", saved: str = "", inputs: str = "self", to: str = "mf", also: str = "",
       inplace: bool = False, outputs: Callable[..., Any] | None = None, derivative: str = "", shown: dict[str, int] | None = None
       ) -> Callable[[Callable[..., Call]], Row]:
    """Add an operation, whose rule is the decorated function, to the table.

    Args:
        to: "m": a method of Tensor, "f": a function of the module, "" neither.
        also: other names of the same operation, separated by blanks.
        inplace: whether there is an in-place variant `name_`, too (a method where the operation is one).
    """

    def add(rule: Callable[..., Call]) -> Row:
        row = Row(name, rule, build, backward, saved, inputs, outputs, derivative, shown)
        ROWS[name] = row
        export(name, _caller(row, False), to=to, also=also, method=_caller(row, True) if "m" in to else None)
        if inplace:
            from .inplace import in_place

            export(name, in_place(row), to="m" if "m" in to else "", also=also, suffix="_")
        return row

    return add


def view(name: str, *, build: Callable[..., IRNode], write: Callable[..., IRNode], backward: str, to: str = "mf", also: str = "",
         overlaps: bool = False) -> Callable[[Callable[..., Call]], ViewRow]:
    """Add an operation whose result is a view of its first argument; its rule gives strides and offset."""

    def add(rule: Callable[..., Call]) -> ViewRow:
        row = ViewRow(name, rule, build, backward, "", "self")
        row.write, row.overlaps = write, overlaps
        ROWS[name] = row
        export(name, _caller(row, False), to=to, also=also, method=_caller(row, True) if "m" in to else None)
        return row

    return add


def composite(name: str, *, to: str = "mf", also: str = "", replay: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a function written in terms of other operations; `replay`: which ones follows from its arguments' shapes and dtypes."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        method = _wrapped(name, function, None, True) if "m" in to else None
        made = _wrapped(name, function, None, False)
        if replay:
            made, method = replayed(made), method and replayed(method)
        export(name, made, to=to, also=also, method=method)
        return function

    return add


def export(name: str, function: Callable[..., Any], *, to: str, also: str = "", suffix: str = "", method: Callable[..., Any] | None = None
           ) -> None:
    """Publish a function under its names, as methods (which may be a function of their own) and module functions."""
    for one in (function, method):
        if one is not None:
            one.__name__ = one.__qualname__ = name + suffix
    for alias in (name, *also.split()):
        if "m" in to:
            METHODS[alias + suffix] = method or function
        if "f" in to:
            FUNCTIONS[alias + suffix] = function
        CALLS[alias + suffix] = function


def renaming(function: Callable[..., Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Brings keyword arguments with other names for the same thing to the names in a signature."""
    names = inspect.signature(function).parameters

    def rename(kwargs: dict[str, Any]) -> dict[str, Any]:
        return {(_ALIASES.get(key, key) if key not in names else key): value for key, value in kwargs.items()}

    return rename


def _takes_tensor(function: Callable[..., Any]) -> bool:
    """Whether the first parameter is a tensor, as its name says."""
    return next(iter(inspect.signature(function).parameters), "") == "self"


_OF_NUMBERS = frozenset({"add", "sub", "mul", "div", "rsub", "subtract", "multiply", "divide"})  # torch takes two numbers there, too


def _caller(row: Row, is_method: bool) -> Callable[..., Any]:
    rule = row.rule
    finish = partial(record_view, row) if isinstance(row, ViewRow) else partial(record, row)
    made = _wrapped(row.name, rule, finish, is_method)
    if row.outputs is not None or type(row) is not Row:
        return made
    return replayed(made, operands_among(rule, row.inputs))


def operands_among(rule: Callable[..., Call], inputs: tuple[str, ...]) -> int:
    """How many of a rule's first parameters are inputs of the operation, in the same order."""
    names = inspect.signature(rule).parameters
    return next((k for k, (name, wanted) in enumerate(zip(names, inputs, strict=False)) if name != wanted), len(inputs))


def _wrapped(name: str, function: Callable[..., Any], finish: Callable[[Any], Any] | None, is_method: bool) -> Callable[..., Any]:
    """A function of the table as users call it: other names of keywords, `out=`, torch's errors for wrong arguments."""
    rename = renaming(function)
    takes_tensor = _takes_tensor(function)

    def apply(*args: Any, **kwargs: Any) -> Any:
        if involves_traced(args, kwargs):
            return through_trace(apply, args, kwargs)
        out = None
        if kwargs:
            out = kwargs.pop("out", None)
            kwargs = rename(kwargs)
        if takes_tensor and not isinstance(args[0] if args else kwargs.get("self"), Tensor) and (args or "self" in kwargs):
            _other_first(name, args, kwargs)
        try:
            made = function(*args, **kwargs)
        except (TypeError, AttributeError, ValueError) as error:
            refuse(name, function, args, kwargs, is_method, error)
        if finish is not None:
            made = finish(made)
        return made if out is None else _into(out, made, name)

    return apply


def _other_first(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Numbers come first in reflected operators, and where torch takes them; anything else is refused."""
    others = (*args[1:], *kwargs.values())
    if is_number(args[0] if args else kwargs["self"]) and (
            name in _OF_NUMBERS or any(isinstance(a, Tensor) for a in others)):
        return
    if name == "pow" and others:
        return
    check_first(name, args, kwargs)


def _into(out: Any, made: Any, name: str) -> Any:
    """Results written to the tensors given as `out=`."""
    from .inplace import write_out

    if isinstance(made, tuple):
        for one, result in zip(out, made, strict=True):
            write_out(one, result, name)
    else:
        write_out(out, made, name)
    return out


# ------------------------------------------------------------------------------------------------ recording
def number(value: Any, dtype: np.dtype[Any]) -> Value:
    """A Python number as an input of an operation."""
    return scalar(value, dtype)


def value_of(item: Any) -> Value:
    """The Value of an input: a tensor's contents now, or a number's."""
    if isinstance(item, Value):
        return item
    return item._storage.value if item._geometry is None else item._value  # type: ignore[no-any-return]


def edges_of(inputs: Sequence[Any]) -> list[Edge | None] | None:
    """Where the inputs' gradients go; None where nothing is to be recorded."""
    if not state.grad:
        return None
    edges: list[Edge | None] = []
    found = False
    for item in inputs:
        edge = None
        if not isinstance(item, Value):
            if item._meta is not None or item._requires_grad:
                edge = gradient_edge(item)
            elif item._grad_fn is not None:
                edge = item._grad_fn, item._output_nr
            if edge is not None:
                found = True
        edges.append(edge)
    return edges if found else None


def record(row: Row, made: Call) -> Any:
    """The result of a call: a tensor, or a tuple of them."""
    inputs, params, shape, dtype = made.inputs, made.params, made.shape, made.dtype
    if made.strides is None and not isinstance(dtype, tuple) and state.kind != UNUSUAL:
        found = tape_record(row, inputs, params, shape, dtype, _NUMPY.get(dtype) or _numpy(dtype), made.name)
        if found is not None:
            return found
    values = tuple([value_of(item) for item in inputs])
    if isinstance(dtype, tuple):
        return _record_many(row, made, values)
    out = wrap(recorded(row, values, params, shape, _NUMPY.get(dtype) or _numpy(dtype)), dtype, made.strides)
    if row.backward and dtype.is_floating_point:
        edges = edges_of(inputs)
        if edges is not None:
            attach(row, made, values, edges, (out,))
    return out


def _record_many(row: Row, made: Call, values: tuple[Value, ...]) -> Any:
    outs = tuple(wrap(recorded(row, values, made.params, shape, _numpy(dtype), k), dtype)
                 for k, (shape, dtype) in enumerate(zip(made.shape, made.dtype, strict=True)))
    edges = edges_of(made.inputs) if row.backward else None
    if edges is not None:
        attach(row, made, values, edges, outs)
    return outs if row.outputs is None else row.outputs(*outs)


def record_view(row: ViewRow, made: Call) -> Tensor:
    """A view of the call's input."""
    (base,) = made.inputs
    source = current(base) if state.kind != UNUSUAL else None
    if source is not None and not source.aval.live:
        out = alias_view(base, row, made.params, made.shape, made.strides, made.offset, later=True)
        record_of_view(source, base, out, row, made.params, made.name)
        return out
    out = alias_view(base, row, made.params, made.shape, made.strides, made.offset)
    edges = edges_of(made.inputs)
    if edges is not None and out._dtype.is_floating_point:
        value = base._value
        result = Value(None, (), (), out._shape, value.dtype)
        node = node_class(made.name or row.backward)(row, made.params, (absent(value),), (result,), edges, ((out._shape, out._dtype),))
        out._grad_fn = node
    return out


def alias_view(base: Tensor, row: ViewRow, params: tuple[Any, ...], shape: Shape, strides: Strides, offset: int, later: bool = False
               ) -> Tensor:
    """A tensor on the same storage, which is a differentiable view of the base; `later`: its Value is made when it is asked for."""
    storage = base._storage
    chain: Chain = (*base._chain, (row, params))
    out = object.__new__(Tensor)
    out._storage, out._counter, out._dtype = storage, base._counter, base._dtype
    out._geometry = Geometry(strides, offset, chain)
    out._shape = shape
    out._cache = out._cached = None
    out._requires_grad = False
    out._grad = out._grad_fn = None
    out._output_nr = 0
    out._meta = out._record = None
    meta = out._ensure_meta()
    base_meta = base._meta
    meta.inference = base_meta is not None and base_meta.inference
    if base_meta is not None and base_meta.base is not None:
        meta.base, meta.creation = base_meta.base, base_meta.creation
    else:
        meta.base = base
    meta.base_version = out._counter.version
    if not state.grad:
        meta.creation = "inference" if state.inference else "no_grad"
    if storage.memory is None and not later:
        out._cached = storage.value
        out._cache = recorded(row, (base._value,), params, shape, storage.value.dtype)
    return out


def renamed(tensor: Tensor, name: str) -> Tensor:
    """A result just made by other operations, whose grad_fn gets the name of the operation that was asked for."""
    made = tensor._record
    if type(made) is Record and not made.aval.needs:
        return tensor
    if type(made) is Record and made.node is None:
        entry = made.entry
        made.entry = entry_of(entry.row, entry.params, entry.avals, entry.aval, name, entry.place)
    elif isinstance(tensor._grad_fn, OpNode):
        tensor._grad_fn.__class__ = node_class(name)
    return tensor


def attach(row: Row, made: Call, values: tuple[Value, ...], edges: list[Edge | None], outs: Sequence[Tensor]) -> OpNode:
    """The node of a recorded operation, made the grad_fn of its (floating) results."""
    results = tuple([out._storage.value for out in outs])
    saves = row.saved
    if not saves:
        values, results = tuple([absent(v) for v in values]), tuple([absent(v) for v in results])
    node = node_class(made.name or row.backward)(row, made.params, values, results, edges,
                                                 tuple([(out._shape, out._dtype) for out in outs]), _FIRST[len(outs)])
    if row.numbers:
        node.numbers = made.numbers
    for k, out in enumerate(outs):
        if out._dtype.is_floating_point:
            out._grad_fn = node
            out._output_nr = k
    if saves:
        node.keeps = True
        inputs = made.inputs
        saved = []
        for name, position, is_result, wanted in row.saved_among(len(inputs)) if row.saves_rest else saves:
            if (wanted is not None and edges[wanted] is None) or (not is_result and position >= len(inputs)):
                continue
            item = outs[position] if is_result else inputs[position]
            if not isinstance(item, Value):
                saved.append(saved_tensor(name, position, item, is_result))
        node.saved = tuple(saved)
    return node


def saved_tensor(name: str, position: int, tensor: Tensor, is_result: bool) -> Saved:
    """What the version check has to know of a tensor."""
    if tensor._meta is not None and tensor._meta.inference:
        raise RuntimeError(INFERENCE_SAVED)
    packed = None
    if state.saved_hooks:
        pack, unpack = state.saved_hooks[-1]
        with no_grad():
            packed = pack(tensor), unpack
    counter = tensor._counter
    return Saved(name, counter, counter.version, tensor._storage, tensor._shape, tensor._dtype, None if is_result else tensor,
                 tensor._output_nr, position, None, packed)


_FIRST = tuple(tuple(range(count)) for count in range(9))
_NUMPY: dict[Dtype, np.dtype[Any]] = {}


def _numpy(dtype: Dtype) -> np.dtype[Any]:
    known = _NUMPY.get(dtype)
    if known is None:
        from ..torch_types import to_numpy_dtype

        known = _NUMPY[dtype] = to_numpy_dtype(dtype)
    return known


@cache
def dtype_name(dtype: Dtype) -> str:
    """NumPy's name of a dtype, as parameters have it."""
    return _numpy(dtype).name


numpy_dtype = _numpy
torch_dtype = from_numpy_dtype

__all__ = [
    "CALLS", "FUNCTIONS", "METHODS", "ROWS", "Call", "Row", "ViewRow", "alias_view", "attach", "call", "composite",
    "dtype_name", "edges_of", "export", "number", "numpy_dtype", "op", "record", "record_view", "renamed", "renaming",
    "saved_tensor", "torch_dtype", "type_name", "value_of", "view",
]
