"""What operations on matrices check at once, since their errors depend on values."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..torch_types import scalar_type_name
from .geometry import contiguous_strides
from .tensor import Tensor


class LinAlgError(RuntimeError):
    """A matrix has no inverse, no factorisation, ...: torch's `torch.linalg.LinAlgError`."""


LinAlgError.__module__ = "torch._C"
LinAlgError.__name__ = LinAlgError.__qualname__ = "_LinAlgError"


def column_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of LAPACK's results: a stack, in C order, of matrices stored by columns."""
    strides = list(contiguous_strides(shape))
    strides[-2:] = 1, max(shape[-2], 1)
    return tuple(strides)


def check_square(name: str, a: Tensor, argument: str = "A") -> None:
    """Refuse what is no (stack of) square matrices of floats.

    Raises:
        RuntimeError: torch's.
    """
    if len(a._shape) < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")
    if a._shape[-1] != a._shape[-2]:
        raise RuntimeError(f"{name}: {argument} must be batches of square matrices, but they are {a._shape[-2]} by "
                           f"{a._shape[-1]} matrices")
    if not a._dtype.is_floating_point:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got "
                           f"{scalar_type_name(a._dtype)}")


def check_invertible(name: str, a: Tensor) -> None:
    """Refuse singular matrices.

    Raises:
        LinAlgError: torch's message, with the first zero pivot.
    """
    check_square(name, a)
    for element, pivot in zero_pivots(a):
        where = f" (Batch element {element}):" if len(a._shape) > 2 else ""
        raise LinAlgError(f"{name}:{where} The diagonal element {pivot} is zero, the inversion could not be completed because the input "
                          "matrix is singular.")


def zero_pivots(a: Tensor) -> Iterator[tuple[int, int]]:
    """(number in the stack, number of its first zero pivot) of each singular matrix of a stack."""
    array = np.asarray(a._array(), np.float64 if a._dtype.itemsize == 8 else np.float32)
    for element, matrix in enumerate(array.reshape(-1, *array.shape[-2:])):
        pivot = zero_pivot(matrix)
        if pivot is not None:
            yield element, pivot


def zero_pivot(matrix: np.ndarray) -> int | None:
    """The number (from 1) of the first zero pivot of an LU factorisation, None for an invertible matrix."""
    u = matrix.copy()
    n = len(u)
    try:
        if np.all(np.isfinite(u)):
            np.linalg.inv(u)
        return None
    except np.linalg.LinAlgError:
        pass
    for k in range(n):
        p = k + int(np.argmax(np.abs(u[k:, k])))
        if u[p, k] == 0:
            return k + 1
        u[[k, p]] = u[[p, k]]
        u[k + 1:, k:] -= np.outer(u[k + 1:, k] / u[k, k], u[k, k:])
    return n
