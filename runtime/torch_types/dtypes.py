"""torch's dtype objects, their NumPy counterparts and names, and the default dtype."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn, Self

import numpy as np


class Kind(enum.IntEnum):
    """Kinds of number, ordered as promotion orders them."""

    BOOL = 0
    INT = 1
    FLOAT = 2
    COMPLEX = 3


class _Row(NamedTuple):
    name: str
    abbr: str
    scalar_name: str  # as error messages say it: "expected scalar type Float but found Double"
    kind: Kind
    itemsize: int
    is_signed: bool
    numpy: str | None  # None: the object exists, tensors of it do not


_ROWS = (
    _Row("bool", "b8", "Bool", Kind.BOOL, 1, False, "bool"),
    _Row("uint8", "u8", "Byte", Kind.INT, 1, False, "uint8"),
    _Row("int8", "i8", "Char", Kind.INT, 1, True, "int8"),
    _Row("int16", "i16", "Short", Kind.INT, 2, True, "int16"),
    _Row("int32", "i32", "Int", Kind.INT, 4, True, "int32"),
    _Row("int64", "i64", "Long", Kind.INT, 8, True, "int64"),
    _Row("uint16", "u16", "UInt16", Kind.INT, 2, False, None),
    _Row("uint32", "u32", "UInt32", Kind.INT, 4, False, None),
    _Row("uint64", "u64", "UInt64", Kind.INT, 8, False, None),
    _Row("float16", "f16", "Half", Kind.FLOAT, 2, True, "float16"),
    _Row("bfloat16", "bf16", "BFloat16", Kind.FLOAT, 2, True, None),
    _Row("float32", "f32", "Float", Kind.FLOAT, 4, True, "float32"),
    _Row("float64", "f64", "Double", Kind.FLOAT, 8, True, "float64"),
    _Row("complex32", "c32", "ComplexHalf", Kind.COMPLEX, 4, True, None),
    _Row("complex64", "c64", "ComplexFloat", Kind.COMPLEX, 8, True, None),
    _Row("complex128", "c128", "ComplexDouble", Kind.COMPLEX, 16, True, None),
)

_ALIASES = {
    "half": "float16",
    "float": "float32",
    "double": "float64",
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "chalf": "complex32",
    "cfloat": "complex64",
    "cdouble": "complex128",
}

_COMPLEX_OF = {
    "float16": "complex32",
    "bfloat16": "complex64",
    "float32": "complex64",
    "float64": "complex128",
}
_REAL_OF = {"complex32": "float16", "complex64": "float32", "complex128": "float64"}

_PYTHON_TYPES: dict[type, str] = {float: "float64", int: "int64", bool: "bool", complex: "complex128"}


class dtype:
    """A dtype in torch's manner: one immutable object a type, equal by identity, printed as `torch.float32`.

    Attributes `is_floating_point`, `is_complex`, `is_signed`, `itemsize` (bytes) and `abbr` are torch's.
    """

    __slots__ = ("_row", "abbr", "is_complex", "is_floating_point", "is_signed", "itemsize")

    _row: _Row
    abbr: str
    is_complex: bool
    is_floating_point: bool
    is_signed: bool
    itemsize: int

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        raise TypeError("cannot create 'torch.dtype' instances")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"'torch.dtype' object attribute {name!r} is read-only")

    def __repr__(self) -> str:
        return f"torch.{self._row.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _named, (self._row.name,)

    def to_complex(self) -> dtype:
        """The complex dtype whose parts have this dtype (bfloat16: complex64).

        Raises: RuntimeError: for an integer or bool dtype.
        """
        if self.is_complex:
            return self
        name = _COMPLEX_OF.get(self._row.name)
        if name is None:
            raise RuntimeError(f"Unknown Complex ScalarType for {self._row.scalar_name}")
        return NAMES[name]

    def to_real(self) -> dtype:
        """The dtype of the parts of a complex number; any other dtype is its own."""
        return NAMES[_REAL_OF.get(self._row.name, self._row.name)]


def _define(row: _Row) -> dtype:
    made = object.__new__(dtype)
    fields = {
        "_row": row,
        "abbr": row.abbr,
        "is_complex": row.kind is Kind.COMPLEX,
        "is_floating_point": row.kind is Kind.FLOAT,
        "is_signed": row.is_signed,
        "itemsize": row.itemsize,
    }
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


_DEFINED = {row.name: _define(row) for row in _ROWS}

NAMES: Mapping[str, dtype] = MappingProxyType(_DEFINED | {alias: _DEFINED[name] for alias, name in _ALIASES.items()})
"""Every public dtype name of the torch-shaped face, aliases (`float`, `long`, ...) included."""

ALL_DTYPES: tuple[dtype, ...] = tuple(_DEFINED.values())

# `bool_` and not `bool`: the alias names would hide the builtins here.
bool_ = NAMES["bool"]
uint8, int8, int16, int32, int64 = (NAMES[name] for name in ("uint8", "int8", "int16", "int32", "int64"))
float16, float32, float64 = (NAMES[name] for name in ("float16", "float32", "float64"))
bfloat16 = NAMES["bfloat16"]
complex32, complex64, complex128 = (NAMES[name] for name in ("complex32", "complex64", "complex128"))

_TO_NUMPY = {one: np.dtype(one._row.numpy) for one in ALL_DTYPES if one._row.numpy is not None}
_FROM_NUMPY = {theirs: ours for ours, theirs in _TO_NUMPY.items()}


def _named(name: str) -> dtype:
    return NAMES[name]


def kind_of(one: dtype) -> Kind:
    """Whether `one` holds bools, integers, floats or complex numbers."""
    return one._row.kind


def scalar_type_name(one: dtype) -> str:
    """The name torch's messages use: `Float`, `Long`, `Bool`, ..."""
    return one._row.scalar_name


def tensor_type_name(one: dtype) -> str:
    """What `Tensor.type()` returns: `torch.FloatTensor`, `torch.LongTensor`, ..."""
    return f"torch.{one._row.scalar_name}Tensor"


def supported_dtypes() -> tuple[dtype, ...]:
    """The dtypes tensors can have: those with a NumPy counterpart the runtime computes in."""
    return tuple(_TO_NUMPY)


def to_numpy_dtype(one: dtype) -> np.dtype[Any]:
    """The NumPy dtype that stores `one`.

    Raises: TypeError: for a dtype that exists by name only (bfloat16, complex, uint16 to uint64).
    """
    try:
        return _TO_NUMPY[one]
    except KeyError:
        names = ", ".join(supported._row.name for supported in supported_dtypes())
        raise TypeError(f"{one} tensors are not supported. The only supported dtypes are: {names}.") from None


def from_numpy_dtype(theirs: np.dtype[Any]) -> dtype:
    """The dtype of tensors that share memory with arrays of dtype `theirs`.

    Raises:
        TypeError: no counterpart (torch's message, with this library's list of types).
        ValueError: not in native byte order.
    """
    try:
        return _FROM_NUMPY[theirs]
    except KeyError:
        if theirs.newbyteorder("=") in _FROM_NUMPY:
            raise ValueError(
                "given numpy array has byte order different from the native byte order. "
                "Conversion between byte orders is currently not supported."
            ) from None
        raise TypeError(
            f"can't convert np.ndarray of type {theirs.type.__module__}.{theirs.type.__name__}. The only supported "
            "types are: float64, float32, float16, int64, int32, int16, int8, uint8, and bool."
        ) from None


def as_dtype(value: object, function: str, argument: str = "dtype", position: int | None = None) -> dtype:
    """Read a `dtype=` argument: a dtype, or one of Python's `float`, `int`, `bool`, `complex`.

    Args:
        value: what the caller was given.
        function, argument, position: where it was given, for the message (`position` counts from 1, for an
            argument passed by position).
    Raises: TypeError: torch's message for anything else.
    """
    if isinstance(value, dtype):
        return value
    name = _PYTHON_TYPES.get(value) if isinstance(value, type) else None
    if name is not None:
        return NAMES[name]
    place = "" if position is None else f" (position {position})"
    raise TypeError(f"{function}(): argument '{argument}'{place} must be torch.dtype, not {type(value).__name__}")


_default_dtype = float32


def set_default_dtype(d: dtype, /) -> None:
    """Choose the dtype of new float tensors made without one.

    Raises: TypeError: `d` is not a floating-point dtype.
    """
    global _default_dtype
    if not isinstance(d, dtype):
        raise TypeError("invalid dtype object: only floating-point types are supported as the default type")
    if not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _default_dtype = d


def get_default_dtype() -> dtype:
    """The dtype of new float tensors made without one: float32 until `set_default_dtype` changes it."""
    return _default_dtype
