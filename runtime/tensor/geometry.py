"""Sizes, strides and offsets, computed as torch computes them."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .arguments import as_int
from .value import Shape

Strides = tuple[int, ...]


def contiguous_strides(shape: Sequence[int]) -> Strides:
    """Strides, in elements, of C order."""
    strides = []
    step = 1
    for extent in reversed(shape):
        strides.append(step)
        step *= max(extent, 1)
    return tuple(reversed(strides))


def is_contiguous(shape: Shape, strides: Strides) -> bool:
    """Whether the elements lie in C order without gaps (strides of axes of size 1 do not matter)."""
    step = 1
    if 0 in shape:
        return True
    for extent, stride in zip(reversed(shape), reversed(strides), strict=True):
        if extent != 1:
            if stride != step:
                return False
            step *= extent
    return True


def is_dense(shape: Shape, strides: Strides) -> bool:
    """Whether the elements fill their memory without gaps or overlap, in some order of axes."""
    step = 1
    for stride, extent in sorted((s, n) for n, s in zip(shape, strides, strict=True) if n != 1):
        if stride != step:
            return False
        step *= extent
    return True


def overlaps(shape: Shape, strides: Strides) -> bool:
    """Whether several elements are one place in memory, by an axis of stride 0."""
    return any(stride == 0 and extent > 1 for extent, stride in zip(shape, strides, strict=True))


def view_strides(shape: Shape, strides: Strides, wanted: Shape) -> Strides | None:
    """Strides of a view of another shape, or None where only a copy has that shape (torch's computeStride)."""
    if 0 in shape:
        return strides if wanted == shape else contiguous_strides(wanted)
    if not shape:
        return (1,) * len(wanted)
    result = [0] * len(wanted)
    axis = len(wanted) - 1
    base = strides[-1]
    numel = taken = 1
    for k in range(len(shape) - 1, -1, -1):
        numel *= shape[k]
        if k == 0 or (shape[k - 1] != 1 and strides[k - 1] != numel * base):
            while axis >= 0 and (taken < numel or wanted[axis] == 1):
                result[axis] = taken * base
                taken *= wanted[axis]
                axis -= 1
            if taken != numel:
                return None
            if k > 0:
                base = strides[k - 1]
                numel = taken = 1
    return tuple(result) if axis == -1 else None


def like_strides(shape: Shape, strides: Strides) -> Strides | None:
    """Strides of a new tensor in the order of axes of an old one (`preserve_format`); None: contiguous."""
    if is_contiguous(shape, strides):
        return None
    if is_dense(shape, strides):
        return strides
    return elementwise_strides(shape, [(shape, strides)])


def elementwise_strides(shape: Shape, operands: Sequence[tuple[Shape, Strides]]) -> Strides | None:
    """Strides of an elementwise result: the operands' common order of axes (torch's TensorIterator); None: contiguous."""
    if all(is_contiguous(s, t) and len(s) == len(shape) for s, t in operands):
        return None
    ndim = len(shape)
    steps: list[list[int]] = []
    for s, t in operands:
        lead = ndim - len(s)
        steps.append([0] * lead + [0 if n == 1 and shape[lead + k] != 1 else t[k] for k, n in enumerate(s)])
    order = _iteration_order(shape, steps)
    result = [0] * ndim
    step = 1
    for axis in order:
        result[axis] = step
        step *= max(shape[axis], 1)
    made = tuple(result)
    return None if made == contiguous_strides(shape) else made


def _iteration_order(shape: Shape, steps: Sequence[Sequence[int]]) -> list[int]:
    """Axes from the fastest to the slowest; insertion sort, since the comparison is not total."""

    def should_swap(a: int, b: int) -> int:
        for strides in steps:
            if strides[a] == 0 or strides[b] == 0:
                continue
            if strides[a] < strides[b]:
                return -1
            if strides[a] > strides[b]:
                return 1
            if shape[a] > shape[b]:
                return 1
        return 0

    order = list(range(len(shape)))[::-1]
    for i in range(1, len(order)):
        at = i
        for j in range(i - 1, -1, -1):
            verdict = should_swap(order[j], order[at])
            if verdict > 0:
                order[j], order[at] = order[at], order[j]
                at = j
            elif verdict < 0:
                break
    return order


def numel(shape: Sequence[int]) -> int:
    """The number of elements."""
    count = 1
    for extent in shape:
        count *= extent
    return count


def wrap_dim(dim: Any, ndim: int) -> int:
    """A non-negative axis; a 0-d tensor has an axis 0 (torch's rule).

    Raises:
        IndexError: there is no such axis.
        WrongType: not an integer.
    """
    extent = ndim or 1
    if type(dim) is not int:
        dim = as_int(dim, "dim")
    if not -extent <= dim < extent:
        raise IndexError("Dimension out of range (expected to be "
                         f"in range of [{-extent}, {extent - 1}], but got {dim})")
    return int(dim % extent)
