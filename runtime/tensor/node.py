"""The graph of gradients: one node for each recorded operation, as torch's `grad_fn` shows it."""
from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ...compiler.ir import Node as IRNode
from ..torch_types import dtype as Dtype, from_numpy_dtype, tensor_type_name
from .derive import ACCUMULATE, COPY, PLAIN, VJP, depends, template
from .modes import state
from .tensor import Tensor, gradient_edge, wrap
from .value import Recipe, Shape, Value, absent, recorded_gradient

if TYPE_CHECKING:
    from .storage import Counter, Storage

Edge = tuple["Node", int]
_sequence = itertools.count()
_QUALIFIED = frozenset({"AccumulateGrad", "CopyBackwards", "CopySlices", "Error", "Identity"})
LAST = 1 << 62  # accumulators run as soon as they can

FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
    "after calling backward."
)
MODIFIED = (
    "one of the variables needed for gradient computation has been modified by an inplace operation: [{type} "
    "{shape}]{origin} is at version {actual}; expected version {expected} instead. Hint: {hint}"
)
HINT = ("enable anomaly detection to find the operation that failed to compute its gradient, with "
        "torch.autograd.set_detect_anomaly(True, check_nan=False).")
HINT_ANOMALY = ("the backtrace further above shows the operation that failed to compute its gradient. The variable in question was "
                "changed in there or anywhere later. Good luck!")


class Extras:
    """What few nodes have: hooks, tensors whose gradient is kept, the user's notes."""

    __slots__ = ("metadata", "post_hooks", "pre_hooks", "retains", "tensor_hooks")

    def __init__(self) -> None:
        self.tensor_hooks: dict[int, dict[int, Any]] = {}  # by output
        self.pre_hooks: dict[int, Any] = {}
        self.post_hooks: dict[int, Any] = {}
        self.retains: dict[int, Any] = {}  # weak references, by output
        self.metadata: dict[Any, Any] = {}


class Node:
    """An operation in the graph of gradients.

    Attributes:
        edges: for each input, where its gradient goes (a node and which of its outputs), or None.
        outputs: shape and dtype of each output.
        sequence: later operations have larger numbers, and run first.
    """

    __slots__ = ("__weakref__", "edges", "extras", "outputs", "sequence")
    edges: tuple[Edge | None, ...]
    outputs: Sequence[tuple[Shape, Dtype]]

    def __init__(self, edges: Sequence[Edge | None], outputs: Sequence[tuple[Shape, Dtype]]) -> None:
        self.edges = tuple(edges)
        self.outputs = outputs
        self.sequence = next(_sequence)
        self.extras: Extras | None = None

    def name(self) -> str:
        """The name that torch gives to the operation."""
        name = type(self).__name__
        return f"torch::autograd::{name}" if name in _QUALIFIED else name

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """For each input: the node its gradient goes to, and which of that node's outputs it is."""
        return tuple((None, 0) if edge is None else edge for edge in self.edges)

    @property
    def metadata(self) -> dict[Any, Any]:
        """A place for the user's notes."""
        return self.ensure_extras().metadata

    def ensure_extras(self) -> Extras:
        """Where hooks and notes are kept; made when the first one comes."""
        if self.extras is None:
            self.extras = Extras()
        return self.extras

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """Gradients of the inputs from those of the outputs."""
        raise NotImplementedError

    def __call__(self, *grads: Tensor | None) -> Any:
        found = self.apply(grads)
        return found[0] if len(found) == 1 else tuple(found)

    def release(self) -> None:
        """Forget what was saved for the backward pass."""

    def tensor_hooks_of(self, nr: int) -> dict[int, Any]:
        """The hooks of the tensor that is output `nr`."""
        return {} if self.extras is None else self.extras.tensor_hooks.get(nr, {})

    def register_hook(self, hook: Callable[..., Any]) -> Any:
        """Call `hook(grad_inputs, grad_outputs)` after this node has run; it may return other gradients."""
        from .hooks import RemovableHandle

        return RemovableHandle(self.ensure_extras().post_hooks, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Any:
        """Call `hook(grad_outputs)` before this node runs; it may return other gradients."""
        from .hooks import RemovableHandle

        return RemovableHandle(self.ensure_extras().pre_hooks, hook)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"


class Saved(NamedTuple):
    """A saved tensor as the version check sees it; its contents are among the node's Values.

    Attributes:
        counter, version: of the tensor, when it was saved.
        tensor: an input; None for a result, whose grad_fn is the node (there must be no cycle).
        position: among the node's inputs or results.
        view_fn: of the result of an in-place operation on a view: a weak reference to the view's grad_fn.
        packed: what `saved_tensors_hooks` made of it, with the function that undoes it.
    """

    name: str
    counter: Counter
    version: int
    storage: Storage
    shape: Shape
    dtype: Dtype
    tensor: Tensor | None
    output_nr: int
    position: int
    view_fn: Any = None
    packed: tuple[Any, Any] | None = None

    @property
    def is_result(self) -> bool:
        return self.tensor is None

    def check(self, saved_for: Node) -> None:
        """Raise torch's error if the tensor has been modified since it was saved."""
        if self.counter.version == self.version:
            return
        maker: Node | None = saved_for
        if self.tensor is not None:
            maker = self.tensor.grad_fn
        number = self.output_nr if self.tensor is None else self.tensor._output_nr
        if self.view_fn is not None:
            maker = self.view_fn() or maker
        origin = "" if maker is None else f", which is output {number} of {short_name(maker.name())},"
        raise RuntimeError(MODIFIED.format(
            type=tensor_type_name(self.dtype), shape=list(self.shape), origin=origin, actual=self.counter.version,
            expected=self.version, hint=HINT_ANOMALY if state.anomaly else HINT))

    def current(self) -> Value | None:
        """What the tensor holds now, if it was written to behind the version counter's back (through `.data`)."""
        if self.packed is not None:
            held, unpack = self.packed
            return unpack(held)._value  # type: ignore[no-any-return]
        if self.storage.memory is not None:
            return None
        if self.tensor is None:
            return self.storage.value if self.storage.value.shape == self.shape else None
        return self.tensor._value if self.tensor._storage is self.storage else None


def short_name(name: str) -> str:
    """A grad_fn's name as error messages have it."""
    return re.sub(r"Backward(\d+)$", lambda number: number[1].lstrip("0"), name)


class OpNode(Node):
    """A recorded operation of the table, or the gradient of one.

    Attributes:
        inputs, results: Values of the operation's inputs and outputs; where the gradient needs none of them they are absent
            (a shape and a dtype), and after a backward pass that frees them they are None.
        indices: which outputs of the recipe the node's outputs are.
        saved: what the version check looks at, in order.
        keeps: whether there is something to free.
        whole: whether no Value is absent yet, though the gradient may need none of them: then sizes can be followed.
        numbers: places of the inputs that are Python numbers.
    """

    __slots__ = ("indices", "inputs", "keeps", "numbers", "params", "recipe", "results", "saved", "whole")

    def __init__(self, recipe: Recipe, params: tuple[Any, ...], inputs: Sequence[Value], results: Sequence[Value],
                 edges: Sequence[Edge | None], outputs: Sequence[tuple[Shape, Dtype]], indices: tuple[int, ...] = (0,)) -> None:
        self.edges = tuple(edges)
        self.outputs = outputs
        self.sequence = next(_sequence)
        self.extras = None
        self.recipe = recipe
        self.params = params
        self.inputs: Sequence[Value] | None = inputs
        self.results: Sequence[Value] | None = results
        self.indices = indices
        self.saved: tuple[Saved, ...] = ()
        self.numbers: Sequence[int] = ()
        self.keeps = self.whole = False

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        found = super().next_functions
        shows = getattr(self.recipe, "shows", None)
        return tuple(edge for k, edge in enumerate(found) if shows(k, k in self.numbers)) if shows else found

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        if self.inputs is None:
            raise RuntimeError(FREED)
        if self.saved:
            self._refresh()
        given = tuple(k for k, grad in enumerate(grads) if grad is not None)
        if not given:
            return [None] * len(self.edges)
        cts: list[Tensor] = [grads[k] for k in given]  # type: ignore[misc]
        return [None if edge is None else self._gradient(k, given, cts) for k, edge in enumerate(self.edges)]

    def _refresh(self) -> None:
        """Check versions, and read what was written through `.data` since."""
        assert self.inputs is not None
        assert self.results is not None
        for saved in self.saved:
            saved.check(self)
            value = saved.current()
            values = self.results if saved.is_result else self.inputs
            if value is not None and value is not values[saved.position]:
                changed = list(values)
                changed[saved.position] = value
                if saved.is_result:
                    self.results = changed
                else:
                    self.inputs = changed

    def _gradient(self, position: int, given: tuple[int, ...], cts: list[Tensor]) -> Tensor:
        """The gradient of one input, itself recorded if gradients are being recorded."""
        assert self.inputs is not None
        assert self.results is not None
        values = (*[ct._value for ct in cts], *self.inputs, *self.results)
        params = (self.recipe, self.params, len(self.inputs), self.indices, given)
        target = self.inputs[position]
        value = recorded_gradient(VJP, values, params, target.shape, target.dtype, position)
        made = wrap(value, from_numpy_dtype(target.dtype))
        if state.grad:
            self._record(made, values, params, position, cts)
        return made

    def _record(self, made: Tensor, values: tuple[Value, ...], params: tuple[Any, ...], position: int, cts: list[Tensor]) -> None:
        edges: list[Edge | None] = [gradient_edge(ct) for ct in cts]
        edges += self.edges
        edges += [(self, k) for k in range(len(self.indices))]
        cls, wanted, keeps = _gradient_kind(params, position, tuple([(v.shape, v.dtype) for v in values]),
                                            tuple([v.mask is not None for v in values]))
        if cls is None:
            return
        if wanted is not None:
            edges = [edge if k in wanted else None for k, edge in enumerate(edges)]
        if not any(edges):
            return
        node = cls(VJP, params, values, (made._value,), edges, ((made._shape, made._dtype),), (position,))
        node.keeps = keeps
        made._grad_fn = node

    def release(self) -> None:
        """Forget the Values; a node whose gradient needs none has nothing to forget."""
        if self.keeps:
            self.inputs = self.results = None
        elif self.whole:
            self.whole = False
            self.inputs = tuple([absent(v) for v in self.inputs or ()])
            self.results = tuple([absent(v) for v in self.results or ()])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_saved_"):
            return self._saved_value(name.removeprefix("_saved_"))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def _saved_value(self, name: str) -> Any:
        if self.inputs is None:
            raise RuntimeError(FREED)
        assert self.results is not None
        row: Any = self.recipe
        for saved in self.saved:
            if saved.name == name:
                if saved.tensor is not None:
                    return saved.tensor
                found = wrap(self.results[saved.position], saved.dtype)
                found._grad_fn, found._output_nr = self, saved.position
                return found
        names: tuple[str, ...] = getattr(row, "inputs", ())
        shown = getattr(row, "shown", {})
        if name in shown:
            value = self.params[shown[name]]
            return int(value) if isinstance(value, float) and value.is_integer() else value
        if name.removesuffix("_sym_sizes") in names and name.endswith("_sym_sizes"):
            return self.inputs[names.index(name.removesuffix("_sym_sizes"))].shape
        if name in names:
            return None
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {'_saved_' + name!r}")


class AccumulateGrad(Node):
    """Adds what arrives to the `.grad` of a leaf."""

    __slots__ = ("variable",)

    def __init__(self, variable: Tensor) -> None:
        super().__init__((), ((variable._shape, variable._dtype),))
        self.variable = variable
        self.sequence = LAST

    def tensor_hooks_of(self, nr: int) -> dict[int, Any]:
        meta = self.variable._meta
        return {} if meta is None or meta.hooks is None else meta.hooks

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        (grad,) = grads
        variable = self.variable
        if grad is None or not variable._requires_grad:
            return ()
        known = variable._grad
        if known is None:
            variable._grad = _copied(grad) if state.grad else wrap(plain(grad._value), grad._dtype)
        elif state.grad:
            variable._grad = accumulated(known, grad)
        else:
            from .inplace import overwrite

            overwrite(known, plain(recorded_gradient(ACCUMULATE, (known._value, grad._value), (), known._shape, known._value.dtype)))
        meta = variable._meta
        if meta is not None and meta.post_hooks:
            for hook in list(meta.post_hooks.values()):
                hook(variable)
        return ()


def plain(gradient: Value) -> Value:
    """A gradient as a leaf keeps it."""
    if gradient.recipe is None and gradient.mask is None:
        return gradient
    return recorded_gradient(PLAIN, (gradient,), (), gradient.shape, gradient.dtype)


def _copied(grad: Tensor) -> Tensor:
    """A gradient with memory of its own, recorded."""
    value = grad._value
    made = wrap(value, grad._dtype)
    edge = gradient_edge(grad)
    if edge is not None:
        made._grad_fn = node_class("CopyBackwards")(COPY, (), (absent(value),), (absent(value),), [edge], ((made._shape, made._dtype),))
    return made


def accumulated(first: Tensor, second: Tensor) -> Tensor:
    """The sum of two gradients, recorded if gradients are being recorded; it stays zero where neither arrived."""
    value = recorded_gradient(ACCUMULATE, (first._value, second._value), (), first._shape, first._value.dtype)
    made = wrap(value, first._dtype)
    if state.grad:
        edges = [gradient_edge(first), gradient_edge(second)]
        if any(edge is not None for edge in edges):
            inputs = (absent(first._value), absent(second._value))
            made._grad_fn = node_class("AddBackward0")(ACCUMULATE, (), inputs, (absent(value),), edges,
                                                       ((made._shape, made._dtype),))
    return made


@lru_cache(maxsize=4096)
def _gradient_kind(params: tuple[Any, ...], position: int, avals: tuple[tuple[Shape, Any], ...], masked: tuple[bool, ...]
                   ) -> tuple[type[OpNode] | None, frozenset[int] | None, bool]:
    """Of the gradient of an input (see `derive`): the class of its node, None where there is none; which inputs it is a function of,
    None where all of them are in the graph; and whether it reads any.
    """
    recipe, inner, operands, _, given = params
    derived = template(params, position, tuple([(shape, dtype.name) for shape, dtype in avals]), masked)
    if derived.value is None:
        return None, None, False
    own: tuple[str, ...] = getattr(recipe, "derivative", ())
    cls = node_class(own[min(position, len(own) - 1)] if own else derivative_name(derived.value, operands))
    wanted = None if getattr(_innermost(recipe, inner), "derivative", ()) else depends(derived)
    return cls, wanted, any(k >= len(given) for k in derived.reads)


def _innermost(recipe: Recipe, params: tuple[Any, ...]) -> Recipe:
    """The operation that a gradient, or a gradient of a gradient, is of.

    Where torch has an operation of its own for the gradient, that takes all inputs of the operation, whether its result
    varies with them or not; elsewhere it has a formula.
    """
    while recipe is VJP:
        recipe, params = params[:2]
    return recipe


_classes: dict[str, type[OpNode]] = {}


def node_class(name: str) -> type[OpNode]:
    """The class of nodes of that name."""
    known = _classes.get(name)
    if known is None:
        known = _classes[name] = type(name, (OpNode,), {"__slots__": (), "__module__": "torch.autograd.graph"})
    return known


# What torch calls the last step of a gradient; for other operations the name is made of the operation's.
_DERIVATIVE_NAMES = {
    "add": "AddBackward0", "sub": "SubBackward0", "mul": "MulBackward0", "div": "DivBackward0", "neg": "NegBackward0",
    "cast": "ToCopyBackward0", "expand": "ExpandBackward0", "reshape": "ViewBackward0", "sum": "SumBackward1",
    "permute": "PermuteBackward0", "contract": "MmBackward0", "where": "WhereBackward0", "slice": "SliceBackward0",
    "place": "SliceBackward0", "gather": "IndexBackward0", "scatter_add": "IndexPutBackward0", "concatenate": "CatBackward0",
}


def derivative_name(node: IRNode, operands: int) -> str:
    """The name of the grad_fn of a gradient, by the operation that gives it and how many operands the one has that it is of."""
    name = node.op.name
    if name == "sum" and operands > 1 and node.ndim < node.inputs[0].ndim:
        return "ViewBackward0"  # an operand that was broadcast: torch sums with the axes kept, and takes them off by a view
    return _DERIVATIVE_NAMES.get(name) or "".join(part.title() for part in name.split("_")) + "Backward0"
