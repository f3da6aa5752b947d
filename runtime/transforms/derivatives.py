"""`chainrule.func`: gradients, products with Jacobians, Jacobians and Hessians of functions of tensors."""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tensor.modes import enable_grad
from ..tensor.plan import jacobian
from ..tensor.row import call, numpy_dtype
from ..tensor.tensor import Tensor, wrap_array
from .level import Level, gradients, pushed, pushed_forward, transposed
from .trees import leaves, mapped, rebuilt, same_structure

Function = Callable[..., Any]
ArgNums = int | tuple[int, ...]


def _checked_leaves(tree: Any) -> Any:
    for leaf in leaves(tree):
        if not isinstance(leaf, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(leaf)}")
    return tree


def _positions(argnums: Any, count: int) -> list[int]:
    if not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    given = (argnums,) if isinstance(argnums, int) else argnums
    if not given:
        raise RuntimeError("argnums must be non-empty")
    for position in given:
        if not isinstance(position, int):
            raise RuntimeError(f"argnum must be int, got: {type(position)}")
        if not -count <= position < count:
            raise RuntimeError(f"Got argnum={position}, but only {count} positional inputs")
    found = [position % count for position in given]
    if len(set(found)) != len(found):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return found


class _Entered:
    """The arguments of a call with those to be differentiated entered into a level."""

    def __init__(self, level: Level, argnums: ArgNums, args: Sequence[Any]) -> None:
        self.single = isinstance(argnums, int)
        self.positions = _positions(argnums, len(args))
        self.given = [_checked_leaves(args[k]) for k in self.positions]
        fresh = [mapped(level.enter, tree) for tree in self.given]
        self.args = list(args)
        for position, tree in zip(self.positions, fresh, strict=True):
            self.args[position] = tree
        self.inputs: list[Tensor] = [leaf for tree in fresh for leaf in leaves(tree)]

    def shaped(self, results: Sequence[Any]) -> Any:
        """One result for each input, in the structure of the arguments."""
        made = rebuilt(tuple(self.given), results)
        return made[0] if self.single else made


def grad_and_value(func: Function, argnums: ArgNums = 0, has_aux: bool = False) -> Function:
    """The gradient of a function whose result is a scalar, and the result.

    With `has_aux` the function returns `(result, anything else)`, and so does the second of the two results.
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        level = Level()
        with enable_grad():
            entered = _Entered(level, argnums, args)
            output = func(*entered.args, **kwargs)
            aux = None
            if has_aux:
                if not (isinstance(output, tuple) and len(output) == 2):
                    raise RuntimeError("grad_and_value(f)(*args): output of function f should be a tuple: (output, aux) "
                                       "if has_aux is True")
                output, aux = output
            if not isinstance(output, Tensor):
                raise RuntimeError(f"grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got {type(output)}")
            if output.dim() != 0:
                raise RuntimeError("grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor with "
                                   f"{output.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?")
            found = gradients([output], entered.inputs, [None], create_graph=level.reaches_outside([output]))
        slopes, value = level.leave((entered.shaped(found), output))
        return (slopes, (value, level.leave(aux))) if has_aux else (slopes, value)

    return wrapper


def grad(func: Function, argnums: ArgNums = 0, has_aux: bool = False) -> Function:
    """The gradient of a function whose result is a scalar; with `has_aux`, `(gradient, what else the function returns)`."""
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        slopes, value = both(*args, **kwargs)
        return (slopes, value[1]) if has_aux else slopes

    return wrapper


def _split_aux(output: Any, has_aux: bool, api: str) -> tuple[Any, Any]:
    if not has_aux:
        return output, None
    if not (isinstance(output, tuple) and len(output) == 2):
        raise RuntimeError(f"{api}: output of function f should be a tuple: (output, aux) if has_aux is True")
    return output


def _checked_outputs(output: Any, api: str) -> list[Tensor]:
    for leaf in leaves(output):
        if not isinstance(leaf, Tensor):
            raise RuntimeError(f"{api}: Expected f(*args) to return only tensors, got unsupported type {type(leaf)}")
    return list(leaves(output))


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """`func(*primals)`, and the function that takes cotangents of the result to those of the primals, as a tuple."""
    level = Level()
    with enable_grad():
        entered = _Entered(level, tuple(range(len(primals))), primals)
        output, aux = _split_aux(func(*entered.args), has_aux, "vjp(f, *primals)")
        outputs = _checked_outputs(output, "vjp(f, *primals)")
        for out in outputs:
            if not out._dtype.is_floating_point:
                raise RuntimeError("vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got Tensor "
                                   f"with dtype {out._dtype}")

    def pull(*cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        if not same_structure(given, output):
            raise RuntimeError("Expected pytree structure of cotangents to be the same as pytree structure of outputs to the "
                               f"function. cotangents: {_structure_text(given)}, primal output: {_structure_text(output)}")
        cts = list(leaves(given))
        with enable_grad():
            found = gradients(outputs, entered.inputs, cts, create_graph=level.reaches_outside([*outputs, *cts]))
        return level.leave(entered.shaped(found))

    result = level.leave(output)
    return (result, pull, level.leave(aux)) if has_aux else (result, pull)


def _structure_text(tree: Any) -> str:
    return str(mapped(lambda _: "*", tree)).replace("'*'", "*")


def jvp(func: Function, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """`func(*primals)`, and its derivative along `tangents`.

    Raises:
        RuntimeError: with `strict`, a result does not depend on the primals.
    """
    api = "jvp(f, primals, tangents)"
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{api}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals).")
    if not same_structure(primals, tangents):
        raise RuntimeError(f"{api}: Expected primals and tangents to have the same python structure. For example, if primals is a "
                           "tuple of 3 tensors, tangents also must be. Got primals with structure "
                           f"{_structure_text(primals)} and tangents with structure {_structure_text(tangents)}")
    for name, tree in (("primals", primals), ("tangents", tangents)):
        _checked_elements(api, name, tree)
    level = Level()
    with enable_grad():
        entered = _Entered(level, tuple(range(len(primals))), primals)
        output, aux = _split_aux(func(*entered.args), has_aux, api)
        outputs = _checked_outputs(output, api)
        directions = list(leaves(tangents))
        made = pushed_forward(outputs, entered.inputs, directions, create_graph=level.reaches_outside([*outputs, *directions]))
        if strict and any(found is None for found in made):
            raise RuntimeError("jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. This is not "
                               "allowed with strict=True.")
        results = [call("zeros_like", out) if found is None else found for out, found in zip(outputs, made, strict=True)]
    value, pushed = level.leave((output, rebuilt(output, results)))
    return (value, pushed, level.leave(aux)) if has_aux else (value, pushed)


def _checked_elements(api: str, name: str, tree: Any) -> None:
    found = list(leaves(tree))
    if not found:
        raise RuntimeError(f"{api}: Expected {name} to contain at least one Tensor.")
    for leaf in found:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(f"{api}: Expected {name} to only contain Tensors, got {type(leaf)}")


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """`func(*primals)`, and its derivative there as a function of the tangents; `func` runs once."""
    level = Level()
    with enable_grad():
        entered = _Entered(level, tuple(range(len(primals))), primals)
        output = func(*entered.args)
        outputs = _checked_outputs(output, "linearize(f, *primals)")

    def push(*tangents: Any) -> Any:
        if not same_structure(tangents, primals):
            raise RuntimeError("Expected the tangents to have the structure of the primals, but got "
                               f"{_structure_text(tangents)} and {_structure_text(primals)}")
        directions = list(leaves(tangents))
        with enable_grad():
            made = pushed_forward(outputs, entered.inputs, directions, create_graph=level.reaches_outside([*outputs, *directions]))
            results = [call("zeros_like", out) if found is None else found for out, found in zip(outputs, made, strict=True)]
        return level.leave(rebuilt(output, results))

    return level.leave(output), push


def unit_vectors(tensor: Tensor) -> list[Tensor]:
    """For each element of a tensor, the tensor of its shape that is one there and zero elsewhere."""
    basis = np.eye(tensor.numel(), dtype=numpy_dtype(tensor._dtype)).reshape(tensor.numel(), *tensor._shape)
    return [wrap_array(row) for row in basis]


def jacrev(func: Function, argnums: ArgNums = 0, *, has_aux: bool = False, chunk_size: int | None = None,
           _preallocate_and_copy: bool = False) -> Function:
    """The Jacobian, a row (a cotangent) at a time: for each result, for each argument, (shape of result, shape of argument)."""
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        level = Level()
        with enable_grad():
            entered = _Entered(level, argnums, args)
            output, aux = _split_aux(func(*entered.args, **kwargs), has_aux, "jacrev(f)(*args)")
            outputs = _checked_outputs(output, "jacrev(f)(*args)")
            create_graph = level.reaches_outside(outputs)
            jacobians = []
            for out in outputs:
                found = None if create_graph else jacobian(out, entered.inputs)
                if found is None:
                    rows = [gradients([out], entered.inputs, [ct], create_graph=create_graph) for ct in unit_vectors(out)]
                    found = [_stacked(rows, k, out._shape, tensor) for k, tensor in enumerate(entered.inputs)]
                jacobians.append(entered.shaped(found))
        result = level.leave(rebuilt(output, jacobians))
        return (result, level.leave(aux)) if has_aux else result

    return wrapper


def _stacked(rows: Sequence[Sequence[Tensor]], k: int, shape: tuple[int, ...], tensor: Tensor) -> Tensor:
    """The Jacobian from its rows."""
    if not rows:
        return wrap_array(np.zeros((*shape, *tensor._shape), numpy_dtype(tensor._dtype)))
    made: Tensor = call("reshape", call("stack", [row[k] for row in rows]), (*shape, *tensor._shape))
    return made


def jacfwd(func: Function, argnums: ArgNums = 0, has_aux: bool = False, *, chunk_size: int | None = None, randomness: str = "error"
           ) -> Function:
    """The Jacobian, a column (a tangent) at a time: for each result, for each argument, (shape of result, shape of argument)."""

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        level = Level()
        with enable_grad():
            entered = _Entered(level, argnums, args)
            output, aux = _split_aux(func(*entered.args, **kwargs), has_aux, "jacfwd(f)(*args)")
            outputs = _checked_outputs(output, "jacfwd(f)(*args)")
            create_graph = level.reaches_outside(outputs)
            jacobians: list[list[Tensor]] = [[] for _ in outputs]
            for tensor in entered.inputs:
                made = [transposed(out, [tensor]) for out in outputs]
                columns = [[pushed(one, [tangent], create_graph=create_graph) for one in made] for tangent in unit_vectors(tensor)]
                for k, out in enumerate(outputs):
                    parts = [call("zeros_like", out) if column[k] is None else column[k] for column in columns]
                    jacobians[k].append(_columns(parts, out, tensor))
        result = level.leave(rebuilt(output, [entered.shaped(found) for found in jacobians]))
        return (result, level.leave(aux)) if has_aux else result

    return wrapper


def _columns(parts: Sequence[Any], out: Tensor, tensor: Tensor) -> Tensor:
    shape = (*out._shape, *tensor._shape)
    if not parts:
        return wrap_array(np.zeros(shape, numpy_dtype(out._dtype)))
    made: Tensor = call("reshape", call("stack", parts, -1), shape)
    return made


def hessian(func: Function, argnums: ArgNums = 0) -> Function:
    """The second derivatives: for each pair of arguments, (shape of result, shape of the one, shape of the other)."""
    return jacfwd(jacrev(func, argnums), argnums)
