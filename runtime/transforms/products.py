"""`chainrule.autograd.functional`: Jacobians, Hessians and products with them, at given inputs."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tensor import plan
from ..tensor.engine import grad
from ..tensor.modes import enable_grad, set_grad_enabled, state
from ..tensor.row import call, numpy_dtype
from ..tensor.tensor import Tensor, alias_of, wrap_array
from ..torch_types import Size
from .derivatives import unit_vectors
from .level import pushed_forward

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Function = Callable[..., Any]
Tensors = tuple[Tensor, ...]
OUTPUTS = "outputs of the user-provided function"
V_OF_INPUT = "The vector v can only be None if the input to the user-provided function is a single Tensor with a single element."
V_OF_OUTPUT = "The vector v can only be None if the user-provided function returns a single Tensor with a single element."

# What strict mode says where a gradient is missing, and where one that is to be differentiated again is constant.
_MISSING = {
    "back": "The output of the user-provided function is independent of input {}. This is not allowed in strict mode.",
    "back_trick": "The gradient with respect to the input is independent of entry {} in the grad_outputs when using the double "
                  "backward trick to compute forward mode gradients. This is not allowed in strict mode.",
    "double_back": "The jacobian of the user-provided function is independent of input {}. This is not allowed in strict mode.",
    "double_back_trick": "The hessian of the user-provided function is independent of entry {} in the grad_jacobian. This is not "
                         "allowed in strict mode as it prevents from using the double backward trick to replace forward mode AD.",
}
_CONSTANT = ("The {} of the user-provided function is independent of input {}. This is not allowed in strict mode when "
             "create_graph=True.")
_NO_GRAPH = {
    "outputs": "Output {} of the user-provided function does not require gradients. The outputs must be computed in a "
               "differentiable manner from the input when running in strict mode.",
    "grad_inputs": "The gradient with respect to input {} is independent of the inputs of the user-provided function. This is not "
                   "allowed in strict mode.",
    "jacobian": "While computing the hessian, found that the jacobian of the user-provided function with respect to input {} is "
                "independent of the input. This is not allowed in strict mode. You should ensure that your function is twice "
                "differentiable when strict=True.",
    "hessian": "The hessian of the user-provided function with respect to input {} is independent of the input. This is not allowed "
               "in strict mode. You should ensure that your function is thrice differentiable and that the hessian depends on the "
               "inputs.",
}


def _as_tuple(given: Any, what: str, function: str) -> tuple[bool, Tensors]:
    is_tuple = isinstance(given, tuple)
    items = given if is_tuple else (given,)
    for k, item in enumerate(items):
        if not isinstance(item, Tensor):
            place = f"value at index {k} has type {type(item)}" if is_tuple else f"given {what} has type {type(item)}"
            raise TypeError(f"The {what} given to {function} must be either a Tensor or a tuple of Tensors but the {place}.")
    return is_tuple, tuple(items)


def _entered(tensors: Sequence[Tensor], create_graph: bool, need_graph: bool) -> Tensors:
    """The inputs as the function sees them: part of the caller's graph only where that is to be differentiated."""
    made = []
    for tensor in tensors:
        if create_graph and tensor.requires_grad:
            fresh = call("view_as", tensor, tensor)
        else:
            fresh = alias_of(tensor)
            if need_graph:
                fresh.requires_grad = True
        made.append(fresh)
    return tuple(made)


def _left(tensors: Sequence[Tensor], create_graph: bool) -> Tensors:
    return tuple(tensors) if create_graph else tuple(alias_of(tensor) for tensor in tensors)


def _like(tensors: Sequence[Tensor], is_tuple: bool) -> Any:
    return tuple(tensors) if is_tuple else tensors[0]


def _checked_v(v: Sequence[Tensor], others: Sequence[Tensor], is_tuple: bool) -> None:
    if len(v) != len(others):
        if is_tuple:
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(others)} but got {len(v)}.")
        raise RuntimeError("The given v should contain a single Tensor.")
    for k, (item, other) in enumerate(zip(v, others, strict=True)):
        if item._shape != other._shape:
            prepend = f"Entry {k} in " if is_tuple else ""
            raise RuntimeError(f"{prepend}v has invalid size: should be {Size(other._shape)} but got {Size(item._shape)}.")


def _vectors(v: Any, others: Tensors, is_tuple: bool, create_graph: bool, function: str, missing: str) -> Tensors:
    """The given vectors, of the shapes of `others`; without any, a one for a single element."""
    if v is None:
        if len(others) != 1 or others[0].numel() != 1:
            raise RuntimeError(missing)
        return (alias_of(call("ones_like", others[0])),)
    _, given = _as_tuple(v, "v", function)
    made = _entered(given, create_graph, need_graph=False)
    _checked_v(made, others, is_tuple)
    return made


def _require_graph(tensors: Sequence[Tensor | None], kind: str, strict: bool) -> None:
    if not strict:
        return
    for k, tensor in enumerate(tensors):
        if tensor is None:
            raise RuntimeError(_MISSING["back"].format(k))
        if not tensor.requires_grad:
            raise RuntimeError(_NO_GRAPH[kind].format(k))


def _grads(outputs: Sequence[Tensor | None], inputs: Sequence[Tensor], cts: Sequence[Tensor | None], create_graph: bool
           ) -> tuple[Tensor | None, ...]:
    """Gradients of those outputs that have any, with None where nothing depends on an input."""
    live = [(out, ct) for out, ct in zip(outputs, cts, strict=True) if out is not None and out.requires_grad]
    if not live:
        return (None,) * len(inputs)
    return grad([out for out, _ in live], inputs, [ct for _, ct in live], retain_graph=True, create_graph=create_graph, allow_unused=True)


def _filled(found: Sequence[Tensor | None], like: Sequence[Tensor], strict: bool, create_graph: bool, stage: str) -> Tensors:
    """Zeros for missing gradients, or strict mode's errors."""
    made: list[Tensor] = []
    for k, (item, other) in enumerate(zip(found, like, strict=True)):
        if item is None:
            if strict:
                raise RuntimeError(_MISSING[stage].format(k))
            item = alias_of(call("zeros_like", other))
        elif strict and create_graph and not item.requires_grad and "double" not in stage:
            raise RuntimeError(_CONSTANT.format("jacobian" if stage == "back" else "hessian", k))
        made.append(item)
    return tuple(made)


def vjp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """`func(*inputs)`, and the product of `v` with the Jacobian (of the inputs' shapes)."""
    with enable_grad():
        is_inputs_tuple, given = _as_tuple(inputs, "inputs", "vjp")
        fresh = _entered(given, create_graph, need_graph=True)
        is_outputs_tuple, outputs = _as_tuple(func(*fresh), OUTPUTS, "vjp")
        _require_graph(outputs, "outputs", strict)
        vectors = _vectors(v, outputs, is_outputs_tuple, create_graph, "vjp", V_OF_OUTPUT)
    with set_grad_enabled(create_graph or state.grad):
        found = _filled(_grads(outputs, fresh, vectors, create_graph), fresh, strict, create_graph, "back")
    return _like(_left(outputs, create_graph), is_outputs_tuple), _like(_left(found, create_graph), is_inputs_tuple)


def jvp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """`func(*inputs)`, and the product of the Jacobian with `v` (of the outputs' shapes)."""
    with enable_grad():
        is_inputs_tuple, given = _as_tuple(inputs, "inputs", "jvp")
        fresh = _entered(given, create_graph, need_graph=True)
        vectors = _vectors(v, fresh, is_inputs_tuple, create_graph, "jvp", V_OF_INPUT)
        is_outputs_tuple, outputs = _as_tuple(func(*fresh), OUTPUTS, "jvp")
        _require_graph(outputs, "outputs", strict)
        pushed = pushed_forward(outputs, fresh, vectors, create_graph=create_graph)
        found = _filled(pushed, outputs, strict, create_graph, "back_trick")
    return _like(_left(outputs, create_graph), is_outputs_tuple), _like(_left(found, create_graph), is_outputs_tuple)


def jacobian(func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
             strategy: str = "reverse-mode") -> Any:
    """The Jacobian: (shape of output, shape of input); of several outputs or inputs, tuples (of tuples) of them.

    Raises:
        RuntimeError: with `strict`, an output does not depend on an input.
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more '
                             'outputs than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use '
                             '"reverse-mode".')
    if strategy == "forward-mode":
        _check_forward(create_graph, strict, vectorize)
    with enable_grad():
        is_inputs_tuple, given = _as_tuple(inputs, "inputs", "jacobian")
        fresh = _entered(given, create_graph, need_graph=True)
        is_outputs_tuple, outputs = _as_tuple(func(*fresh), OUTPUTS, "jacobian")
        _require_graph(outputs, "outputs", strict)
        if vectorize and strict:
            raise RuntimeError("torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. "
                               "Please either set `strict=False` or `vectorize=False`.")
        rows = [_left(_jacobian_of(k, out, fresh, create_graph, strict), create_graph) for k, out in enumerate(outputs)]
    shown = [_like(row, is_inputs_tuple) for row in rows]
    return tuple(shown) if is_outputs_tuple else shown[0]


def _check_forward(create_graph: bool, strict: bool, vectorize: bool) -> None:
    if create_graph:
        raise NotImplementedError("torch.autograd.functional.jacobian: `create_graph=True` and `strategy=\"forward-mode\"` are not "
                                  "supported together (yet). Please either set `create_graph=False` or "
                                  "`strategy=\"reverse-mode\"`.")
    if strict:
        raise RuntimeError("torch.autograd.functional.jacobian: `strict=True` and `strategy=\"forward-mode\"` are not supported "
                           "together (yet). Please either set `strict=False` or `strategy=\"reverse-mode\"`.")
    if not vectorize:
        raise NotImplementedError("Computing Jacobian using forward-AD or forward-over-reverse Hessian isonly implemented for "
                                  "`vectorize=True`.")


def _jacobian_of(index: int, out: Tensor, inputs: Tensors, create_graph: bool, strict: bool) -> Tensors:
    """The Jacobians of one output."""
    by_plan = None if create_graph or strict else plan.jacobian(out, inputs)
    if by_plan is not None:
        return tuple(by_plan)
    rows: list[Tensors] = []
    for ct in unit_vectors(out):
        row: list[Tensor] = []
        for k, (found, tensor) in enumerate(zip(_grads([out], inputs, [ct], create_graph), inputs, strict=True)):
            if strict and found is None:
                raise RuntimeError(f"Output {index} of the user-provided function is independent of input {k}. This is not allowed in "
                                   "strict mode.")
            if strict and create_graph and found is not None and not found.requires_grad:
                raise RuntimeError(_CONSTANT.format("jacobian", index))
            row.append(alias_of(call("zeros_like", tensor)) if found is None else found)
        rows.append(tuple(row))
    made = []
    for k, tensor in enumerate(inputs):
        shape = (*out._shape, *tensor._shape)
        made.append(call("view", call("stack", [row[k] for row in rows]), shape) if rows
                    else wrap_array(np.zeros(shape, numpy_dtype(tensor._dtype))))
    return tuple(made)


def _scalar(output: Any, function: str, strict: bool) -> Tensor:
    """The function's one result, which has a single element."""
    is_tuple, outputs = _as_tuple(output, OUTPUTS, function)
    _require_graph(outputs, "outputs", strict)
    if is_tuple:
        raise RuntimeError(f"The function given to {function} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {function} should contain a single element")
    return outputs[0]


def hessian(func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
            outer_jacobian_strategy: str = "reverse-mode") -> Any:
    """The Hessian of a function with one element as its result: (shape of input, shape of input); of several, tuples of tuples."""
    is_inputs_tuple, given = _as_tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def scalar(*items: Tensor) -> Any:
        return call("squeeze", _scalar(func(*items), "hessian", strict))

    def slopes(*items: Tensor) -> Any:
        found = jacobian(scalar, items, create_graph=True)
        _require_graph(found, "jacobian", strict)
        return found

    rows = jacobian(slopes, given, create_graph=create_graph, strict=strict, vectorize=vectorize, strategy=outer_jacobian_strategy)
    return rows if is_inputs_tuple else rows[0][0]


def _slopes(func: Function, inputs: Any, v: Any, create_graph: bool, strict: bool, name: str
            ) -> tuple[bool, Tensors, Tensors, Tensor, tuple[Tensor | None, ...]]:
    """What vhp and hvp begin with: fresh inputs, vectors, the result and its gradients, recorded."""
    is_tuple, given = _as_tuple(inputs, "inputs", name)
    fresh = _entered(given, create_graph, need_graph=True)
    vectors = _vectors(v, fresh, is_tuple, create_graph, name, V_OF_INPUT)
    output = _scalar(func(*fresh), name, strict)
    found = _grads([output], fresh, [alias_of(call("ones_like", output))], True)
    _require_graph(found, "jacobian", strict)
    return is_tuple, fresh, vectors, output, found


def vhp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """The function's result (a single element), and the product of `v` with its Hessian."""
    with enable_grad():
        is_tuple, fresh, vectors, output, slopes = _slopes(func, inputs, v, create_graph, strict, "vhp")
    with set_grad_enabled(create_graph or state.grad):
        found = _filled(_grads(slopes, fresh, vectors, create_graph), fresh, strict, create_graph, "double_back")
    return _left([output], create_graph)[0], _like(_left(found, create_graph), is_tuple)


def hvp(func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """The function's result (a single element), and the product of its Hessian with `v`."""
    with enable_grad():
        is_tuple, fresh, vectors, output, slopes = _slopes(func, inputs, v, create_graph, strict, "hvp")
        live = [slope for slope in slopes if slope is not None]
        pushed = iter(pushed_forward(live, fresh, vectors, create_graph=create_graph))
        found = _filled([None if slope is None else next(pushed) for slope in slopes], fresh, strict, create_graph, "double_back_trick")
    return _left([output], create_graph)[0], _like(_left(found, create_graph), is_tuple)
