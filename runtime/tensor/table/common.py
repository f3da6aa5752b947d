"""What the rules of several families share: operands, promotion, broadcasting, axes."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...torch_types import NAMES, Category, dtype as Dtype, get_default_dtype, result_dtype, scalar_dtype
from ..geometry import Strides, elementwise_strides, wrap_dim
from ..row import number, numpy_dtype, type_name
from ..tensor import Tensor
from ..value import Shape

float16, float32 = NAMES["float16"], NAMES["float32"]


def broadcast(*shapes: Shape) -> Shape:
    """The common shape.

    Raises:
        RuntimeError: torch's, which names the last axis that does not fit.
    """
    first = shapes[0]
    for shape in shapes[1:]:
        if shape != first:
            first = _broadcast_two(first, shape)
    return first


def _broadcast_two(a: Shape, b: Shape) -> Shape:
    ndim = max(len(a), len(b))
    result = [1] * ndim
    for k in range(ndim - 1, -1, -1):
        i, j = k - (ndim - len(a)), k - (ndim - len(b))
        x, y = (a[i] if i >= 0 else 1), (b[j] if j >= 0 else 1)
        if x != y and x != 1 and y != 1:
            raise RuntimeError(f"The size of tensor a ({x}) must match the size of tensor b ({y}) at non-singleton "
                               f"dimension {k}")
        result[k] = y if x == 1 else x
    return tuple(result)


def common_dtype(*operands: Any) -> Dtype:
    """The dtype that operands (tensors and numbers) promote to."""
    first = operands[0]
    if len(operands) == 2 and isinstance(first, Tensor):
        second = operands[1]
        if isinstance(second, Tensor):
            if first._dtype is second._dtype:
                return first._dtype
        elif first._dtype.is_floating_point and type(second) in (int, float, bool):
            return first._dtype
    return result_dtype(*[_weighted(item) for item in operands])


def _weighted(item: Any) -> tuple[Dtype, Category]:
    if isinstance(item, Tensor):
        return item._dtype, Category.DIMENSIONED if item._shape else Category.ZERO_DIM
    return scalar_dtype(item), Category.SCALAR


def float_dtype(dtype: Dtype) -> Dtype:
    """The dtype that functions of real numbers compute integers in: the default one."""
    return dtype if dtype.is_floating_point else get_default_dtype()


def operand(item: Any, dtype: Dtype) -> Any:
    """A tensor as it is, a number as a Value of `dtype`."""
    return item if isinstance(item, Tensor) else number(item, numpy_dtype(float32 if dtype is float16 else dtype))


def shape_of(item: Any) -> Shape:
    """The shape of an operand; a number has none."""
    return item._shape if isinstance(item, Tensor) else ()


def strides_of(shape: Shape, *operands: Any) -> Strides | None:
    """Strides of an elementwise result; None where it lies in C order."""
    if all(item._geometry is None for item in operands if isinstance(item, Tensor)):
        return None
    return elementwise_strides(shape, [(t._shape, t._strides) for t in operands if isinstance(t, Tensor) and t._shape])


def as_shape(size: Sequence[Any], what: str = "size") -> Shape:
    """Sizes given as several arguments, or as one sequence."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = size[0]
    return tuple(int(_index(s, what, k)) for k, s in enumerate(size))


def _index(item: Any, what: str, position: int) -> int:
    import operator

    if isinstance(item, Tensor):
        return int(item._array())
    try:
        return operator.index(item)
    except TypeError:
        if position == 0:
            raise TypeError(f"{what}(): argument 'size' (position 1) must "
                            f"be tuple of ints, not {type_name(item)}") from None
        raise TypeError(f"{what}(): argument 'size' failed to unpack the object at pos {position + 1} with error "
                        f"\"type must be tuple of ints,but got {type_name(item)}\"") from None


def dims_of(dim: Any, ndim: int) -> tuple[int, ...]:
    """Axes to reduce, ascending: None or an empty sequence mean all.

    Raises:
        IndexError, RuntimeError: no such axis, or one twice.
    """
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    if not isinstance(dim, (tuple, list)):
        return (wrap_dim(dim, ndim),) if ndim else (wrap_dim(dim, ndim),)[:0]
    found = [wrap_dim(d, ndim) for d in dim]
    for one in found:
        if found.count(one) > 1:
            raise RuntimeError(f"dim {one} appears multiple times in the list of dims")
    return tuple(sorted(found)) if ndim else ()


def reduced(shape: Shape, axes: Sequence[int], keepdim: bool) -> Shape:
    """A shape without the reduced axes, or with size 1 there."""
    if keepdim:
        return tuple(1 if k in axes else s for k, s in enumerate(shape))
    return tuple(s for k, s in enumerate(shape) if k not in axes)
