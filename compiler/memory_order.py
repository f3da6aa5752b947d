"""In which order the axes of an array lie in memory, where that is worth a program of its own."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["LARGE", "Order", "is_dense", "orders_of"]

Order = tuple[int, ...]  # the axes of an array, from the outermost to the one whose elements are neighbours
LARGE = 1 << 15  # bytes; smaller arrays are in the first cache whatever their order


def _order(array: Any) -> Order | None:
    """The order of a large array that is not in C order; None for others, and for those that repeat elements."""
    if type(array) is not np.ndarray or array.flags.c_contiguous or array.ndim < 2 or array.nbytes < LARGE:
        return None
    strides, shape = array.strides, array.shape
    moving = [axis for axis, size in enumerate(shape) if size != 1]
    by_step = sorted(moving, key=lambda axis: -abs(strides[axis]))
    if by_step == moving or strides[by_step[-1]] == 0:
        return None
    rest = iter(by_step)
    return tuple(next(rest) if shape[axis] != 1 else axis for axis in range(array.ndim))


def orders_of(arrays: Sequence[Any]) -> tuple[tuple[int, Order], ...]:
    """(position, order) of the large arrays that are not in C order."""
    return tuple([(k, order) for k, array in enumerate(arrays) if (order := _order(array)) is not None])


def is_dense(array: np.ndarray[Any, Any], order: Order) -> bool:
    """Whether an array has no gaps, and its axes this order."""
    return array.transpose(order).flags.c_contiguous
