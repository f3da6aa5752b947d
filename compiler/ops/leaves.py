"""Leaves: inputs, constants, index ramps, sizes as numbers."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..op import Op, declare


def _never(*_: Any) -> Any:
    raise NotImplementedError("a leaf is typed by its maker")


def _const(*, value: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    return np.broadcast_to(np.frombuffer(value, dtype=dtype)[0], shape)


def _iota(*, axis: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    ramp = np.arange(shape[axis], dtype=dtype)
    return np.broadcast_to(ramp.reshape([-1 if k == axis else 1 for k in range(len(shape))]), shape)


# An argument of the program: `position` counts the program's inputs, `name` is for people, `promise` see `promises`.
declare(Op(name="input", kind="leaf", arity=0, params=("position", "name", "promise"), optional={"promise": ""}, infer=_never,
           evaluate=_never))
# One scalar in every element of the node's shape; `value` is its bytes.
declare(Op(name="const", kind="leaf", arity=0, params=("value",), infer=_never, evaluate=_const, wants_aval=True))
# The index along `axis`.
declare(Op(name="iota", kind="leaf", arity=0, params=("axis",), infer=_never, evaluate=_iota, wants_aval=True))
# A symbolic size as an int64 scalar.
declare(Op(name="size", kind="leaf", arity=0, params=("size",), infer=_never,
           evaluate=lambda *, size, shape, dtype: np.asarray(size, dtype), wants_aval=True))
