"""The table of NumPy functions on traced values, filled by the modules of this package: one function, one row."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from ... import build, sizes
from ...errors import TraceError
from ...ir import Node
from ...sizes import Size
from ..operands import Operand, checked, lift, strong, to_dtype, wrap
from ..session import located
from ..symint import SymInt, as_size
from ..traced import Traced
from ..ufuncs import store, unsupported

__all__ = ["FUNCTIONS", "array", "axes_of", "call", "finish", "row", "size_of", "typed"]

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)
FUNCTIONS: dict[Function, Function] = {}

# what to use in place of functions that have no row
_INSTEAD = {
    "unique": "its result has a size that depends on values; compute it outside of the function",
    "histogram": "it has no derivative; compute it outside of the function",
    "bincount": "use np.add.at on a np.zeros_like",
    "cumprod": "use np.exp(np.cumsum(np.log(x))) for positive x, or a loop",
    "i0": "write it with supported functions",
    "save": "save the result of the decorated function",
    "apply_along_axis": "use functions with an axis argument, or cr.vmap",
    "vectorize": "write it for arrays, with np.where for branches",
    "fft": "compute it outside of the function",
}


def row(*functions: Function | str) -> Callable[[F], F]:
    """Make the decorated function the row of these NumPy functions (by name where a NumPy may not have it)."""

    def enter(made: F) -> F:
        for function in functions:
            found = getattr(np, function, None) if isinstance(function, str) else function
            if found is not None:
                FUNCTIONS[found] = made
        return made

    return enter


def call(function: Function, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Apply a NumPy function to traced values.

    Raises:
        TraceError: the function, or an argument of it, is not supported.
    """
    found = FUNCTIONS.get(function)
    with located():
        if found is None:
            known = concrete((args, kwargs))
            if known is not None:
                return function(*known[0], **known[1])
            raise unsupported(spelled(function), _INSTEAD.get(getattr(function, "__name__", ""), ""))
        try:
            inspect.signature(found).bind(*args, **kwargs)
        except TypeError as error:
            raise TraceError(f"{spelled(function)} cannot be traced with these arguments: {error}") from None
        return found(*args, **kwargs)


def concrete(value: Any) -> Any:
    """Arguments as plain arrays, where captured arrays and constants alone determine them; else None."""
    if isinstance(value, (list, tuple)):
        items = [concrete(v) for v in value]
        return None if any(i is None for i, v in zip(items, value, strict=True) if v is not None) else type(value)(items)
    if isinstance(value, dict):
        values = [concrete(v) for v in value.values()]
        return (
            None
            if any(i is None for i, v in zip(values, value.values(), strict=True) if v is not None)
            else dict(zip(value, values, strict=True))
        )
    return value.session.concretise(value.node) if isinstance(value, Traced) else value


def spelled(function: Function) -> str:
    """A function's name as users write it."""
    module = getattr(function, "__module__", "numpy") or "numpy"
    short = module.replace("numpy", "np", 1)
    return f"{short}.{getattr(function, '__name__', function)}"


# ------------------------------------------------------------------------------------------------ what rows share
def array(value: Any) -> Traced:
    """An argument as a traced array; Python numbers get a definite dtype."""
    if isinstance(value, Traced) and value.weak is None:
        return value
    return wrap(strong(lift(value)).node)


def node_of(value: Any) -> Node:
    """An argument as a node, Python numbers of a definite dtype."""
    return strong(lift(value)).node


def typed(value: Any, dtype: Any) -> Node:
    """An argument as a node of this dtype."""
    return to_dtype(lift(value), checked(np.dtype(dtype)))


def size_of(value: Any) -> Size:
    """A size from an argument such as a shape."""
    return as_size(value)


def shape_of(value: Any) -> tuple[Size, ...]:
    """A shape from an int, a size, or a sequence of them."""
    if isinstance(value, (int, np.integer, SymInt)):
        return (as_size(value),)
    return tuple(as_size(v) for v in value)


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """Non-negative, ascending axes."""
    if isinstance(axis, (tuple, list)):
        return build.normal_axes(tuple(int(a) for a in axis), ndim)
    return build.normal_axes(None if axis is None else int(axis), ndim)


def axis_of(axis: Any, ndim: int) -> int:
    """A non-negative axis."""
    return build.normal_axis(int(axis), ndim)


def finish(node: Node, out: Any = None, what: str = "the function") -> Any:
    """A result, written to `out` where one is given."""
    return wrap(node) if out is None else store(out, Operand(node), what, casting="same_kind")


def along(x: Node, axis: Any) -> tuple[Node, int]:
    """(x, axis) with a non-negative axis; None flattens."""
    return (build.reshape(x, (-1,)), 0) if axis is None else (x, axis_of(axis, x.ndim))


def joined_axes(x: Node, axis: Any) -> tuple[Node, tuple[int, ...]]:
    """`x` with the axes to be reduced together moved to the end as one; and which they were."""
    axes = axes_of(axis, x.ndim)
    kept = [k for k in range(x.ndim) if k not in axes]
    moved = build.permute(x, [*kept, *axes])
    joined = build.reshape(moved, (*(x.shape[k] for k in kept), sizes.product(x.shape[k] for k in axes)))
    return joined, axes
