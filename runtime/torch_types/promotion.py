"""torch's type promotion: which dtype an operation on several operands computes in.

Operands come in three categories. A Python number or a 0-d tensor changes the result only when its kind (bool, integer,
float, complex) is higher than that of the operands with dimensions; its width never matters.
Source: torch documentation, "Tensor Attributes", type promotion.
"""

from __future__ import annotations

import enum
import functools
from typing import Any

import numpy as np

from .dtypes import (
    ALL_DTYPES,
    NAMES,
    Kind,
    as_dtype,
    bool_,
    dtype,
    float32,
    get_default_dtype,
    int64,
    kind_of,
    scalar_type_name,
)

_LIMITED_UNSIGNED = frozenset(NAMES[name] for name in ("uint16", "uint32", "uint64"))


class Category(enum.IntEnum):
    """How much an operand weighs in promotion."""

    SCALAR = 0  # a Python number
    ZERO_DIM = 1
    DIMENSIONED = 2


def _promote_integers(first: dtype, second: dtype) -> dtype:
    if first.is_signed == second.is_signed:
        return max(first, second, key=lambda one: one.itemsize)
    signed, unsigned = (first, second) if first.is_signed else (second, first)
    # uint8 with int8: neither holds the other's values, the next wider signed type does.
    return NAMES["int16"] if signed.itemsize <= unsigned.itemsize else signed


def _promote_floats(first: dtype, second: dtype) -> dtype:
    if first is not second and first.itemsize == second.itemsize:
        return float32  # float16 and bfloat16: neither holds the other's values
    return max(first, second, key=lambda one: one.itemsize)


def _promoted(first: dtype, second: dtype) -> dtype | None:
    """The common dtype, or None where torch defines none."""
    if first is second:
        return first
    low, high = sorted((first, second), key=kind_of)
    if kind_of(high) is Kind.COMPLEX and kind_of(low) >= Kind.FLOAT:
        return _promote_floats(low.to_real(), high.to_real()).to_complex()
    if not {low, high}.isdisjoint(_LIMITED_UNSIGNED):
        return high if kind_of(high) is Kind.FLOAT else None
    if kind_of(low) is not kind_of(high):
        return high
    return _promote_integers(low, high) if kind_of(high) is Kind.INT else _promote_floats(low, high)


_COMMON = {(first, second): _promoted(first, second) for first in ALL_DTYPES for second in ALL_DTYPES}


def _promote(first: dtype, second: dtype) -> dtype:
    common = _COMMON[first, second]
    if common is None:
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
            f"{scalar_type_name(first)} and {scalar_type_name(second)}"
        )
    return common


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that both dtypes promote to.

    Raises:
        TypeError: an argument is not a dtype.
        RuntimeError: torch defines no promotion (uint16, uint32, uint64 with other integers or with complex).
    """
    return _promote(as_dtype(type1, "promote_types", "type1", 1), as_dtype(type2, "promote_types", "type2", 2))


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether promotion allows casting `from_` to `to`: never to a lower kind, whatever the widths."""
    source, target = kind_of(as_dtype(from_, "can_cast", "from_", 1)), kind_of(as_dtype(to, "can_cast", "to", 2))
    return source <= target


def scalar_dtype(value: object) -> dtype:
    """The dtype a Python or NumPy number promotes with: bool, int64, the default dtype, or its complex one.

    torch reads every NumPy scalar that is not an integer, a float or a complex128 as a float, `np.bool_` too.
    """
    if isinstance(value, bool):
        return bool_
    if isinstance(value, (int, np.integer)):
        return int64
    if isinstance(value, complex):
        return get_default_dtype().to_complex()
    return get_default_dtype()


def _override(higher: dtype | None, lower: dtype | None) -> dtype | None:
    """The dtype of a category and of the one that weighs less; None stands for no operand."""
    if higher is None or lower is None:
        return higher or lower
    if higher.is_complex:
        return higher
    if higher.is_floating_point:
        return higher.to_complex() if lower.is_complex else higher
    if lower.is_complex:
        return lower
    if higher is bool_ or lower.is_floating_point:
        return _promote(higher, lower)
    return higher


@functools.cache
def result_dtype(*operands: tuple[dtype, Category]) -> dtype:
    """The dtype of an operation on operands given as (dtype, category); a scalar's dtype is `scalar_dtype(value)`.

    Raises:
        ValueError: no operand.
        RuntimeError: as `promote_types`.
    """
    found: dict[Category, dtype] = {}
    for one, category in operands:
        found[category] = _promote(found[category], one) if category in found else one
    lower = _override(found.get(Category.ZERO_DIM), found.get(Category.SCALAR))
    result = _override(found.get(Category.DIMENSIONED), lower)
    if result is None:
        raise ValueError("result_dtype needs at least one operand")
    return result


def result_type(tensor: Any, other: Any) -> dtype:
    """The dtype of an operation on two operands, tensors or numbers.

    Args:
        tensor, other: objects with a `dtype` of this library and `dim()`, or numbers.
    Raises: TypeError: an operand is neither.
    """
    operands = [_operand(tensor), _operand(other)]
    if operands[0] is None or operands[1] is None:
        raise TypeError(_invalid_operands((tensor, other)))
    return result_dtype(operands[0], operands[1])


def _is_tensor(value: Any) -> bool:
    return isinstance(getattr(value, "dtype", None), dtype)


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, complex, np.number, np.bool_))


def _operand(value: Any) -> tuple[dtype, Category] | None:
    if _is_tensor(value):
        return value.dtype, Category.DIMENSIONED if value.dim() else Category.ZERO_DIM
    if _is_number(value):
        return scalar_dtype(value), Category.SCALAR
    return None


_SIGNATURES = (
    (("Tensor", "tensor"), ("Tensor", "other")),
    (("Number", "scalar"), ("Tensor", "tensor")),
    (("Tensor", "tensor"), ("Number", "other")),
    (("Number", "scalar1"), ("Number", "scalar2")),
)


def _invalid_operands(values: tuple[Any, Any]) -> str:
    fits = {"Tensor": _is_tensor, "Number": _is_number}
    names = [type(value).__name__ for value in values]
    lines = [
        f"result_type() received an invalid combination of arguments - got ({', '.join(names)}), but expected one of:"
    ]
    for signature in _SIGNATURES:
        marked = [
            name if fits[wanted](value) else f"!{name}!"
            for (wanted, _), name, value in zip(signature, names, values, strict=True)
        ]
        lines.append(f" * ({', '.join(f'{wanted} {argument}' for wanted, argument in signature)})")
        lines.append(f"      didn't match because some of the arguments have invalid types: ({', '.join(marked)})")
    return "\n".join(lines) + "\n"
