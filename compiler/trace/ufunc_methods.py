"""`ufunc.reduce`, `.accumulate` and `.outer` on traced values."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import build
from ..ir import Node
from .operands import lift
from .ufuncs import dispatch_ufunc, unsupported

# a ufunc's accumulation, as the function of NumPy that it is
_ACCUMULATIONS: dict[str, Any] = {"add": np.cumsum, "multiply": np.cumprod}
_REDUCTIONS: dict[str, Any] = {
    "add": np.sum,
    "multiply": np.prod,
    "maximum": np.max,
    "minimum": np.min,
    "logical_and": np.all,
    "logical_or": np.any,
    "fmax": np.nanmax,
    "fmin": np.nanmin,
}


def reduce(
    ufunc: np.ufunc, array: Any, axis: Any = 0, dtype: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    """`ufunc.reduce`: along axis 0 where nothing else is said."""
    from .functions import call
    from .functions.registry import axes_of

    if ufunc is np.logaddexp:
        x = lift(array).node
        return wrapped(build.logsumexp(x, axes_of(axis, x.ndim), keepdims))
    function = _REDUCTIONS.get(ufunc.__name__)
    if function is None:
        raise no_method(ufunc)
    given = {"dtype": dtype, "initial": initial}
    kwargs = {"keepdims": keepdims} | {k: v for k, v in given.items() if v is not None}
    if where is not True:
        kwargs["where"] = where
    return call(function, (array, axis), kwargs)


def accumulate(ufunc: np.ufunc, array: Any, axis: int = 0, dtype: Any = None) -> Any:
    """`ufunc.accumulate`: running sums."""
    from .functions import call

    function = _ACCUMULATIONS.get(ufunc.__name__)
    if function is None:
        raise no_method(ufunc)
    return call(function, (array, axis), {} if dtype is None else {"dtype": dtype})


def outer(ufunc: np.ufunc, a: Any, b: Any, **kwargs: Any) -> Any:
    """`ufunc.outer`: each element with each."""
    from .functions.registry import array

    x, y = array(a), array(b)
    return dispatch_ufunc(ufunc, "__call__", (x.reshape(x.shape + (1,) * y.ndim), y), kwargs)


def wrapped(node: Node) -> Any:
    """A node as a traced array."""
    from .operands import wrap

    return wrap(node)


def no_method(ufunc: np.ufunc, *args: Any, **kwargs: Any) -> Any:
    """The error for a method that has no rule."""
    raise unsupported(f"this method of np.{ufunc.__name__}", "use reduce, accumulate, outer, at of np.add, or write it out")
