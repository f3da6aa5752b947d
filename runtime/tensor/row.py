"""The table of torch's operations: what a row is, and how methods, functions and in-place variants are made of it."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...compiler.ir import Node as IRNode
from ..torch_types import dtype as Dtype, from_numpy_dtype
from .geometry import Strides
from .modes import no_grad, state
from .node import Edge, OpNode, Saved, node_class
from .storage import Chain
from .tensor import Geometry, Tensor, gradient_edge, wrap
from .value import Recipe, Shape, Value, absent, recorded, scalar

Build = Callable[..., "IRNode | tuple[IRNode, ...]"]


INFERENCE_SAVED = (
    "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in computation tracked by autograd. "
    "To work around this, you can make a clone to get a normal tensor and use it in autograd, or use `torch.no_grad()` instead of "
    "`torch.inference_mode()`."
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


class Row(Recipe):
    """One torch operation.

    Attributes:
        name: torch's.
        rule: `(*arguments) -> Call`: torch's signature, its checks and their messages, the result's shape and dtype. The
            names of its parameters are torch's (a `dim` can be called `axis`, a `keepdim` `keepdims`).
        build: `(*nodes, *params) -> node`, or a tuple of nodes.
        backward: the grad_fn's name; empty where the operation has no derivative.
        saved: names of inputs, and `result` (`result1`, ...), whose modification invalidates the gradient, as torch saves
            them; `other>self` is saved only where the gradient of `self` is wanted, `indices*` is the last input and all after. With nothing saved, the gradient may
            depend on shapes only.
        inputs: names of the tensor inputs, in the order of `Call.inputs`; those after a `|` are indices and masks, which the graph
            does not show.
        outputs: makes a named tuple of the results, if any.
        derivative: the name of the grad_fn of the gradient, where torch has an operation for it.
        shown: parameters that the grad_fn shows as `_saved_<name>`, with their places among the params.
    """

    __slots__ = ("backward", "build", "derivative", "differentiable", "inputs", "name", "outputs", "rule", "saved", "saves_rest", "shown")

    def __init__(self, name: str, rule: Callable[..., Call], build: Build, backward: str, saved: str, inputs: str,
                 outputs: Callable[..., Any] | None = None, derivative: str = "", shown: dict[str, int] | None = None) -> None:
        self.derivative = derivative
        self.shown = shown or {}
        self.name = name
        self.rule = rule
        self.build = build
        self.backward = backward
        names, bar, rest = inputs.partition("|")
        self.inputs = tuple((names + " " + rest).split())
        self.differentiable = len(names.split()) if bar else None
        self.outputs = outputs
        self.saved = tuple(self._parse(item) for item in saved.split())
        self.saves_rest = saved.endswith("*")

    def _parse(self, item: str) -> tuple[str, int, bool, int | None]:
        """(name, position, is it a result, the input that it is saved for or None for any)."""
        name, _, target = item.partition(">")
        wanted = self.inputs.index(target) if target else None
        if name.startswith("result"):
            return name, int(name[6:] or 0), True, wanted
        return name.rstrip("*"), self.inputs.index(name.rstrip("*")), False, wanted

    def saved_in(self, made: Call) -> Sequence[tuple[str, int, bool, int | None]]:
        """What is saved of a call: as declared, with every one of a list of inputs."""
        if not self.saves_rest:
            return self.saved
        name, first, *rest = self.saved[-1]
        return [*self.saved[:-1], *((name, k, *rest) for k in range(first, len(made.inputs)))]  # type: ignore[misc]

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
    """

    __slots__ = ("write",)
    write: Callable[..., IRNode]


ROWS: dict[str, Row] = {}
FUNCTIONS: dict[str, Callable[..., Any]] = {}  # torch.<name>
METHODS: dict[str, Any] = {}  # Tensor.<name>
CALLS: dict[str, Callable[..., Any]] = {}  # every operation by its name, for use inside

_ALIASES = {"input": "self", "axis": "dim", "axes": "dims", "keepdims": "keepdim", "x1": "self", "x2": "other"}


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
        inplace: whether there is a method `name_`.
    """

    def add(rule: Callable[..., Call]) -> Row:
        row = Row(name, rule, build, backward, saved, inputs, outputs, derivative, shown)
        ROWS[name] = row
        export(name, _caller(row), to=to, also=also)
        if inplace:
            from .inplace import in_place

            export(name, in_place(row), to="m", also=also, suffix="_")
        return row

    return add


def view(name: str, *, build: Callable[..., IRNode], write: Callable[..., IRNode], backward: str, to: str = "mf", also: str = ""
         ) -> Callable[[Callable[..., Call]], ViewRow]:
    """Add an operation whose result is a view of its first argument; its rule gives strides and offset."""

    def add(rule: Callable[..., Call]) -> ViewRow:
        row = ViewRow(name, rule, build, backward, "", "self")
        row.write = write
        ROWS[name] = row
        export(name, _caller(row), to=to, also=also)
        return row

    return add


def composite(name: str, *, to: str = "mf", also: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a function written in terms of other operations."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        export(name, _renaming(function, name), to=to, also=also)
        return function

    return add


def export(name: str, function: Callable[..., Any], *, to: str, also: str = "", suffix: str = "") -> None:
    """Publish a function under its names, as methods and module functions."""
    function.__name__ = function.__qualname__ = name + suffix
    for alias in (name, *also.split()):
        if "m" in to:
            METHODS[alias + suffix] = function
        if "f" in to:
            FUNCTIONS[alias + suffix] = function
        CALLS[alias + suffix] = function


def _renamed(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {_ALIASES.get(key, key): value for key, value in kwargs.items()}


def _caller(row: Row) -> Callable[..., Any]:
    rule = row.rule
    record_it = record_view if isinstance(row, ViewRow) else record

    def apply(*args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            if args and isinstance(args[0], Tensor):
                try:
                    return record_it(row, rule(*args))
                except TypeError as error:
                    raise _argument_error(row.name, args, kwargs, error) from None
        out = kwargs.pop("out", None)
        kwargs = _renamed(kwargs)
        _check_first(row.name, args, kwargs)
        try:
            made = record_it(row, rule(*args, **kwargs))
        except TypeError as error:
            raise _argument_error(row.name, args, kwargs, error) from None
        return made if out is None else _into(out, made, row.name)

    return apply


def _renaming(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def apply(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and args and isinstance(args[0], Tensor):
            return function(*args)
        out = kwargs.pop("out", None)
        made = function(*args, **_renamed(kwargs))
        return made if out is None else _into(out, made, name)

    return apply


def _into(out: Any, made: Any, name: str) -> Any:
    """Results written to the tensors given as `out=`."""
    from .inplace import write_out

    if isinstance(made, tuple):
        for one, result in zip(out, made, strict=True):
            write_out(one, result, name)
    else:
        write_out(out, made, name)
    return out


def _check_first(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """torch's error for a first argument that is no tensor."""
    first = args[0] if args else kwargs.get("self")
    if first is None or isinstance(first, Tensor) or isinstance(first, (list, tuple)):
        return
    if isinstance(first, (bool, int, float)) and any(isinstance(a, Tensor) for a in (*args, *kwargs.values())):
        return
    raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type_name(first)}" + (
        f" (for NumPy arrays: np.{name}, or chainrule.as_tensor first)" if isinstance(first, np.ndarray) else ""))


def type_name(value: object) -> str:
    """A type's name as torch's messages have it."""
    kind = type(value)
    return f"numpy.{kind.__name__}" if kind.__module__ == "numpy" else kind.__name__


def _argument_error(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], error: TypeError) -> TypeError:
    """Python's complaint about a rule's signature, as one about the operation's."""
    text = str(error)
    if "() missing" in text or "() takes" in text or "() got" in text:
        _, _, rest = text.partition("()")
        return TypeError(f"{name}(){rest}")
    return error


# ------------------------------------------------------------------------------------------------ recording
def number(value: Any, dtype: np.dtype[Any]) -> Value:
    """A Python number as an input of an operation."""
    return scalar(value, dtype)


def value_of(item: Any) -> Value:
    """The Value of an input: a tensor's contents now, or a number's."""
    return item._value if isinstance(item, Tensor) else item  # type: ignore[no-any-return]


def edges_of(inputs: Sequence[Any]) -> list[Edge | None] | None:
    """Where the inputs' gradients go; None where nothing is to be recorded."""
    if not state.grad:
        return None
    edges: list[Edge | None] = []
    found = False
    for item in inputs:
        edge = None
        if isinstance(item, Tensor) and (item._grad_fn is not None or item._requires_grad or item._meta is not None):
            edge = gradient_edge(item)
            found = found or edge is not None
        edges.append(edge)
    return edges if found else None


def record(row: Row, made: Call) -> Any:
    """The result of a call: a tensor, or a tuple of them."""
    inputs, params, shape, dtype = made.inputs, made.params, made.shape, made.dtype
    values = tuple([value_of(item) for item in inputs])
    if isinstance(dtype, tuple):
        return _record_many(row, made, values)
    out = wrap(recorded(row, values, params, shape, _numpy(dtype)), dtype, made.strides)
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
    out = alias_view(base, row, made.params, made.shape, made.strides, made.offset)
    edges = edges_of(made.inputs)
    if edges is not None and out._dtype.is_floating_point:
        value = base._value
        node = node_class(made.name or row.backward)(row, made.params, (absent(value),), (absent(Value(None, (), (), out._shape, value.dtype)),),
                                                     edges, ((out._shape, out._dtype),))
        out._grad_fn = node
    return out


def alias_view(base: Tensor, row: ViewRow, params: tuple[Any, ...], shape: Shape, strides: Strides, offset: int) -> Tensor:
    """A tensor on the same storage, which is a differentiable view of the base."""
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
    out._meta = None
    meta = out._ensure_meta()
    base_meta = base._meta
    if base_meta is not None and base_meta.base is not None:
        meta.base, meta.creation = base_meta.base, base_meta.creation
    else:
        meta.base = base
    meta.base_version = out._counter.version
    if not state.grad:
        meta.creation = "inference" if state.inference else "no_grad"
    if storage.memory is None:
        out._cached = storage.value
        out._cache = recorded(row, (base._value,), params, shape, storage.value.dtype)
    return out


def attach(row: Row, made: Call, values: tuple[Value, ...], edges: list[Edge | None], outs: Sequence[Tensor]) -> OpNode:
    """The node of a recorded operation, made the grad_fn of its (floating) results."""
    results = tuple([out._value for out in outs])
    saves = row.saved
    node = node_class(made.name or row.backward)(
        row, made.params, values if saves else tuple([absent(v) for v in values]),
        results if saves else tuple([absent(v) for v in results]), edges,
        tuple([(out._shape, out._dtype) for out in outs]), tuple(range(len(outs))))
    for k, out in enumerate(outs):
        if out._dtype.is_floating_point:
            out._grad_fn = node
            out._output_nr = k
    if saves:
        node.keeps = True
        node.saved = tuple([saved_tensor(name, position, outs[position] if is_result else made.inputs[position], is_result)
                            for name, position, is_result, wanted in row.saved_in(made)
                            if (wanted is None or edges[wanted] is not None)
                            and (is_result or isinstance(made.inputs[position], Tensor))])
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
    return Saved(name, tensor._counter, tensor._counter.version, tensor._storage, tensor._shape, tensor._dtype,
                 None if is_result else tensor, tensor._output_nr, position, packed)


_NUMPY: dict[Dtype, np.dtype[Any]] = {}


def _numpy(dtype: Dtype) -> np.dtype[Any]:
    known = _NUMPY.get(dtype)
    if known is None:
        from ..torch_types import to_numpy_dtype

        known = _NUMPY[dtype] = to_numpy_dtype(dtype)
    return known


numpy_dtype = _numpy
torch_dtype = from_numpy_dtype
