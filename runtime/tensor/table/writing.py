"""In-place operations that replace contents without reading them: `fill_`, `zero_`, `copy_`."""
from __future__ import annotations

from typing import Any

from ....compiler import build
from ....compiler.ir import Node, constant
from ..inplace import replace
from ..row import Call, Row, call, export, number, numpy_dtype, type_name
from ..tensor import Tensor, wrap_array
from .common import broadcast


def _zero(x: Node) -> Node:
    return constant(0, x.dtype, x.shape)


def _fill(x: Node, value: Node) -> Node:
    return build.broadcast_to(build.cast(value, x.dtype), x.shape)


def _never(*_: Any) -> Call:
    raise NotImplementedError


ZERO = Row("zero", _never, _zero, "ZeroBackward0", "", "self", None)
FILL = Row("fill", _never, _fill, "FillBackward2", "", "self value", None)
FILL_TENSOR = Row("fill_tensor", _never, _fill, "FillBackward3", "", "self value", None)
COPY = Row("copy", _never, _fill, "CopyBackwards", "", "self src", None)


def zero_(self: Tensor) -> Tensor:
    """Set every element to 0."""
    return replace(self, ZERO, Call((self,), (), self._shape, self._dtype))


def fill_(self: Tensor, value: Any) -> Tensor:
    """Set every element to one number."""
    if isinstance(value, Tensor):
        if value._shape:
            raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.dim()} "
                               "dimensions.")
        return replace(self, FILL_TENSOR, Call((self, value), (), self._shape, self._dtype))
    made = Call((self, number(value, numpy_dtype(self._dtype))), (), self._shape, self._dtype)
    return replace(self, FILL, made)


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Set the elements to those of `src`, broadcast and cast."""
    if not isinstance(src, Tensor):
        if not hasattr(src, "__array__"):
            raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type_name(src)}")
        src = wrap_array(src.copy())
    shape = src._shape
    lead = len(shape) - len(self._shape)
    if lead > 0 or any(s not in (1, t) for s, t in zip(shape[::-1], self._shape[::-1], strict=False)):
        if lead > 0:
            broadcast(self._shape, shape)
            raise RuntimeError(f"output with shape {list(self._shape)} doesn't match the broadcast shape {list(shape)}")
        broadcast(self._shape, shape)
        raise RuntimeError(f"output with shape {list(self._shape)} doesn't match the broadcast shape "
                           f"{list(broadcast(self._shape, shape))}")
    return replace(self, COPY, Call((self, src), (), self._shape, self._dtype))


def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Set the elements with equal indices to one number; with `wrap`, those of tall matrices begin again after the last column."""
    if len(self._shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(set(self._shape)) > 1 and len(self._shape) > 2:
        raise RuntimeError("all dimensions of input must be of equal length")
    rows, columns = self._shape[0], self._shape[-1]
    if len(self._shape) > 2:
        part = call("as_strided", self, (rows,), (sum(self.stride()),))
        fill_(part, fill_value)
        return self
    for first in range(0, rows if wrap else 1, columns + 1):
        fill_(call("diagonal", call("narrow", self, 0, first, rows - first)), fill_value)
    return self


for _function in (zero_, fill_, copy_, fill_diagonal_):
    export(_function.__name__, _function, to="m")

