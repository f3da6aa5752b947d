"""Transforms of functions, as functions."""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ...compiler.errors import ArgumentError
from ...compiler.ir import f as ops
from ...compiler.provenance import at, user_site
from ...compiler.trace import Traced, located, wrap
from .checking import GradCheck, check
from .decorated import GradFunction, tuple_of
from .execution import Options
from .mapping import mapped
from .structure import flatten

__all__ = ["check_grad", "hessian", "jacobian", "jvp",
           "stop_gradient", "value_and_grad", "vjp", "vmap"]

Function = Callable[..., Any]


def decorated(function: Any, wrt: Any = None) -> GradFunction:
    """The function as a decorated one.

    Raises:
        ArgumentError: it is not a function.
    """
    if isinstance(function, GradFunction) and wrt is None:
        return function
    if not callable(function):
        raise ArgumentError(f"a function is expected, not {function!r:.60}{at(user_site())}")
    if wrt is not None:
        return GradFunction(function, wrt)
    try:
        return _remembered(function)
    except TypeError:  # cannot be hashed
        return GradFunction(function)


@functools.lru_cache(maxsize=256)
def _remembered(function: Function) -> GradFunction:
    """So that a transform that is applied again and again compiles once."""
    return GradFunction(function)


def value_and_grad(function: Function, wrt: Any = None) -> Function:
    """The function that gives (value, gradients); see `GradFunction.value_and_grad`."""
    return decorated(function, wrt).value_and_grad


def jacobian(function: Function, wrt: Any = None, mode: str | None = None) -> Function:
    """The function that gives every derivative of every output; see `GradFunction.jacobian`."""
    made = decorated(function, wrt)

    def derivatives(*args: Any, **kwargs: Any) -> Any:
        return made.jacobian(*args, **({"mode": mode} | kwargs))

    return derivatives


def hessian(function: Function, wrt: Any = None) -> Function:
    """The function that gives the second derivatives of a scalar output; see `GradFunction.hessian`."""
    return decorated(function, wrt).hessian


def jvp(function: Function, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """(value, its tangent) of `function` at `primals`, along `tangents`.

    Args:
        primals: a tuple of arguments.
        tangents: a tuple with a tangent for each differentiable argument.
    """
    made: tuple[Any, Any] = decorated(function).value_and_jvp(tuple_of(primals), tangents)
    return made


def vjp(function: Function, *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """(value, pullback) of `function` at `primals`; `pullback(cotangent)` gives the arguments' cotangents, as a tuple."""
    made = decorated(function)

    def pullback(cotangent: Any) -> Any:
        pulled = made.vjp(*primals, cotangent=cotangent)
        return pulled if isinstance(pulled, tuple) and len(primals) > 1 else (pulled,)

    return made(*primals), pullback


def check_grad(function: Function, *args: Any, rtol: float = 1e-5, atol: float = 1e-8, wrt: Any = None, **kwargs: Any) -> GradCheck:
    """Compare the gradient with central differences in float64; the report is true where they agree.

    Args:
        rtol, atol: how far a derivative may be from the difference, relative to the largest of its argument, and absolutely.
    """
    return check(decorated(function, wrt), args, kwargs, rtol, atol)


def stop_gradient(x: Any) -> Any:
    """`x`, as a constant for differentiation."""
    if isinstance(x, Traced):
        with located():
            return wrap(ops.stop_gradient(x.node), x.weak)
    if isinstance(x, tuple):
        items = [stop_gradient(v) for v in x]
        return type(x)(*items) if hasattr(x, "_fields") else tuple(items)
    if isinstance(x, list):
        return [stop_gradient(v) for v in x]
    if isinstance(x, dict):
        return {k: stop_gradient(v) for k, v in x.items()}
    return x.detach() if hasattr(x, "detach") else x


def vmap(func: Function, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None,
         in_axes: Any = 0, out_axes: Any = 0) -> Function:
    """A function of single examples, applied to all examples along axes of its arguments at once.

    Of Tensors this is torch's. Of NumPy arrays it is JAX's, compiled: the function is traced for one example, and every step is
    done for all examples. It may be a decorated function, or a method of one (`cr.vmap(loss.grad)`), and what is made may be
    called inside a decorated function, and differentiated.

    Args:
        in_dims, in_axes: two names for the same: an axis for all arguments, or a tuple with one for each: None where it is the same
            for all examples, or a structure of axes. Of arrays, keyword arguments are mapped along their first axis.
        out_dims, out_axes: the axis of the examples in the results, or a structure of axes.
        randomness, chunk_size: for Tensors only.
    """
    dims, outs = (first if first != 0 else second for first, second in ((in_dims, in_axes), (out_dims, out_axes)))
    owner = func if isinstance(func, GradFunction) else getattr(func, "__self__", None)
    owner = owner if isinstance(owner, GradFunction) else None
    of_arrays = mapped(func, getattr(func, "__name__", None) or type(func).__name__, dims, outs, owner is not None)
    options = owner._options if owner is not None else Options()
    compiled = GradFunction(of_arrays, None, options.stabilise, options.fastmath)

    @functools.wraps(func, updated=())
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        leaves: list[Any] = []
        flatten((args, kwargs), leaves)
        if any(isinstance(leaf, Traced) for leaf in leaves):
            return of_arrays(*args, **kwargs)
        if owner is None and not any(isinstance(leaf, np.ndarray) for leaf in leaves):
            from ..transforms.batching import vmap as vmap_of_tensors

            return vmap_of_tensors(func, dims, outs, randomness, chunk_size=chunk_size)(*args, **kwargs)
        return compiled(*args, **kwargs)

    return wrapper


