"""`autograd.Function`: operations whose gradient the user writes."""
from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .modes import state
from .node import FREED, Edge, Node
from .row import numpy_dtype, saved_tensor
from .tape import leave
from .tensor import Tensor, alias_of, gradient_edge, wrap, wrap_array
from .value import Value


class FunctionCtx:
    """What `forward` leaves for `backward`."""

    needs_input_grad: tuple[bool, ...] = ()
    _to_save: tuple[Any, ...] = ()
    _dirty: tuple[Any, ...] = ()
    _non_differentiable: tuple[Any, ...] = ()
    _materialize = True
    _node: FunctionNode | None = None
    _saved: tuple[SavedTensor | None, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for `backward`, where they are `saved_tensors`."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(f"save_for_backward can only save variables, but argument {tensors.index(tensor)} is "
                                f"of type {type(tensor).__name__}")
        self._to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Accepted for programs that also define `jvp`."""

    def mark_dirty(self, *tensors: Any) -> None:
        """These inputs were changed in place by `forward`."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """These outputs have no gradient."""
        self._non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether gradients that did not arrive are given to `backward` as zeros (the default) or as None."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors given to `save_for_backward`.

        Raises:
            RuntimeError: they have been freed, or changed in place since.
        """
        node = self._node
        if node is not None and node.freed:
            raise RuntimeError(FREED)
        return tuple(None if saved is None else saved.unpack(node) for saved in self._saved)

    @property
    def saved_variables(self) -> tuple[Tensor | None, ...]:
        """The old name of `saved_tensors`."""
        return self.saved_tensors


class SavedTensor:
    """A tensor kept for the backward pass: its contents then, its place in the graph, its version."""

    def __init__(self, tensor: Tensor, is_output: bool) -> None:
        self.value: Value = tensor._value
        self.leaf = tensor if tensor.is_leaf and not is_output else None
        self.is_output = is_output
        self.edge: Edge | None = None if is_output or self.leaf is not None else gradient_edge(tensor)
        self.facts = saved_tensor("", 0, tensor, is_output)

    def unpack(self, node: FunctionNode | None) -> Tensor:
        """The tensor, as part of the same graph."""
        if node is not None:
            self.facts.check(node)
        if self.leaf is not None:
            return self.leaf
        made = wrap(self.value, self.facts.dtype)
        if self.is_output and node is not None and made._dtype.is_floating_point:
            made._grad_fn, made._output_nr = node, self.facts.output_nr
        elif self.edge is not None:
            made._grad_fn, made._output_nr = self.edge
        return made


class FunctionNode(Node):
    """The node of a user's function; it is the `ctx`, too, as far as users can see."""

    __slots__ = ("ctx", "freed", "function", "marks", "positions")
    materializes = False

    def __init__(self, function: type[Function], ctx: FunctionCtx, edges: Sequence[Edge | None],
                 outputs: Sequence[Any], positions: list[int],
                 marks: int) -> None:
        super().__init__(edges, outputs)
        self.function = function
        self.ctx = ctx
        self.positions = positions  # of the tensors among the arguments
        self.marks = marks  # how many arguments there were
        self.freed = False

    def name(self) -> str:
        return self.function.__name__ + "Backward"

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        given = list(grads)
        if self.ctx._materialize:
            for k, grad in enumerate(given):
                if grad is None and self.outputs[k] is not None:
                    shape, dtype = self.outputs[k]
                    given[k] = call_zeros(shape, dtype)
        returned = self._user_backward()(self.ctx, *given)
        results = list(returned) if isinstance(returned, (tuple, list)) else [returned]
        while len(results) > self.marks and results[-1] is None:
            results.pop()
        if len(results) != self.marks:
            raise RuntimeError(f"function {self.name()} returned an incorrect number of gradients (expected "
                               f"{self.marks}, got {len(results)})")
        made: list[Tensor | None] = []
        for position in self.positions:
            result = results[position]
            if result is not None and not isinstance(result, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(result).__name__})")
            made.append(result)
        return made

    def _user_backward(self) -> Callable[..., Any]:
        own = self.function
        if own.vjp is not Function.vjp:
            return own.vjp
        return own.backward

    def release(self) -> None:
        self.freed = bool(self.ctx._saved)

    @property
    def saved_tensors(self) -> Any:
        """The tensors given to `save_for_backward`."""
        return self.ctx.saved_tensors


def call_zeros(shape: tuple[int, ...], dtype: Any) -> Tensor:
    """Zeros, as a leaf."""
    return wrap_array(np.zeros(shape, numpy_dtype(dtype)))


class Function:
    """Base of operations with a gradient of their own: define `forward` and `backward` as static methods, call `apply`."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        warnings.warn(f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you "
                      "should invoke them on the class itself. Instantiating an autograd function will raise an error "
                      "in a future version of PyTorch.",
                      DeprecationWarning, stacklevel=2)

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        raise RuntimeError("Legacy autograd function with non-static forward method is deprecated. Please use "
                           "new-style autograd function with static forward method. (Example: "
                           "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The operation: `forward(ctx, *args)`, or `forward(*args)` with `setup_context(ctx, inputs, output)`."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Fill `ctx` after a `forward` that does not take it."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradient of each argument of `forward`, None for those without one."""
        raise NotImplementedError("You must implement either the backward or vjp method for your custom "
                                  "autograd.Function to use it with backward mode AD.")

    @staticmethod
    def vjp(ctx: Any, *grad_outputs: Any) -> Any:
        """Another name for `backward`."""
        raise NotImplementedError("You must implement either the backward or vjp method for your custom "
                                  "autograd.Function to use it with backward mode AD.")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, and record it."""
        tensors = [(k, a) for k, a in enumerate(args) if isinstance(a, Tensor)]
        edges: list[Edge | None] = [gradient_edge(t) if state.grad else None for _, t in tensors]
        recording = any(edge is not None for edge in edges)
        ctx: FunctionCtx = _context_class(cls)()  # type: ignore[arg-type]  # a class is hashable
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        with _no_recording():
            if cls.setup_context is not Function.setup_context:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args, **kwargs)
        return _finished(cls, ctx, args, tensors, edges, output, recording)


def _no_recording() -> Any:
    from .modes import no_grad

    return no_grad()


@functools.cache
def _context_class(cls: Any) -> type[FunctionCtx]:
    return type(cls.__name__ + "Backward", (FunctionCtx,), {})


def _finished(cls: type[Function], ctx: FunctionCtx, args: Sequence[Any], tensors: list[tuple[int, Tensor]],
              edges: list[Edge | None], output: Any,
              recording: bool) -> Any:
    """The outputs as parts of the graph; what is no tensor (a list of them is none) stays as it is."""
    single = not isinstance(output, tuple)
    outputs = [output] if single else list(output)
    inputs = [t for _, t in tensors]
    for k, out in enumerate(outputs):
        if isinstance(out, Tensor) and any(out is t for t in inputs) and not any(out is t for t in ctx._dirty):
            outputs[k] = alias_of(out)  # an input handed through becomes a view
            if any(out is t for t in ctx._non_differentiable):
                ctx._non_differentiable = (*ctx._non_differentiable, outputs[k])
    for tensor in ctx._dirty:
        if recording and tensor._requires_grad:
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")
        tensor._counter.version += 1
    if not recording:
        return outputs[0] if single else tuple(outputs)
    node: FunctionNode = _function_node_class(cls)(  # type: ignore[arg-type]  # a class is hashable
        cls, ctx, edges, tuple((t._shape, t._dtype) if isinstance(t, Tensor) else None for t in outputs), [k for k, _ in tensors],
        len(args))
    ctx._node = node
    for nr, out in enumerate(outputs):
        if not isinstance(out, Tensor):
            continue
        leave(out)
        fixed = any(out is t for t in ctx._non_differentiable) or not out._dtype.is_floating_point
        if fixed:
            out._requires_grad = False
            out._grad_fn = None
            continue
        meta = out._meta
        if meta is not None and meta.base is not None:
            if any(out is t for t in ctx._dirty):
                from .inplace import rebase

                rebase(out, node)
                continue
            meta.base = None
        out._requires_grad = False
        out._grad_fn, out._output_nr = node, nr
    ctx._saved = tuple(None if t is None else SavedTensor(t, any(t is out for out in outputs)) for t in ctx._to_save)
    ctx._to_save = ()
    return outputs[0] if single else tuple(outputs)


@functools.cache
def _function_node_class(cls: Any) -> type[FunctionNode]:
    return type(cls.__name__ + "Backward", (FunctionNode,), {"__slots__": (), "materializes": True})


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """For `backward` methods that cannot themselves be differentiated."""

    @functools.wraps(function)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        recording = state.grad and any(isinstance(g, Tensor) and g.requires_grad for g in grads)
        with _no_recording():
            made = function(ctx, *grads)
        if not recording:
            return made
        results = made if isinstance(made, tuple) else (made,)
        marked = tuple(_not_differentiable(r, grads) if isinstance(r, Tensor) else r for r in results)
        return marked if isinstance(made, tuple) else marked[0]

    return wrapper


class Error(Node):
    """Stands where a second derivative would have to go through a function that has none."""

    __slots__ = ()

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


def _not_differentiable(result: Tensor, grads: Sequence[Any]) -> Tensor:
    made = wrap(result._value, result._dtype)
    edges = [gradient_edge(g) for g in grads if isinstance(g, Tensor)]
    made._grad_fn = Error(edges, ((made._shape, made._dtype),))
    return made


# ------------------------------------------------------------------------------------------------ functions on arrays
class _ArrayNode(Node):
    """A function whose gradient is a function of arrays."""

    __slots__ = ("backward", "label")

    def __init__(self, label: str, backward: Callable[[list[Any]], list[Any]], edges: Sequence[Edge | None],
                 outputs: Sequence[Any]) -> None:
        super().__init__(edges, outputs)
        self.label = label
        self.backward: Callable[[list[Any]], list[Any]] | None = backward

    def name(self) -> str:
        return self.label

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        if self.backward is None:
            raise RuntimeError(FREED)
        found = self.backward([None if g is None else g._array() for g in grads])
        return [None if g is None or edge is None else wrap_array(np.array(g)) for g, edge in zip(found, self.edges, strict=True)]

    def release(self) -> None:
        self.backward = None


def custom_node(name: str, inputs: Sequence[Tensor], outputs: Sequence[Any],
                backward: Callable[[list[Any]], list[Any]]) -> list[Tensor]:
    """Tensors with the contents of `outputs`, in the graph as results of one operation on `inputs`.

    Args:
        name: of the grad_fn.
        outputs: arrays, not written to afterwards.
        backward: `(cotangents of the outputs, arrays or None) -> gradients of the inputs, arrays or None`.
    """
    made = [wrap_array(array) for array in outputs]
    edges = [gradient_edge(t) for t in inputs] if state.grad else []
    if any(edge is not None for edge in edges):
        node = _ArrayNode(name, backward, edges, tuple((t._shape, t._dtype) for t in made))
        for k, tensor in enumerate(made):
            if tensor._dtype.is_floating_point:
                tensor._grad_fn, tensor._output_nr = node, k
    return made


