"""`finfo` and `iinfo`: the limits of floating-point and integer dtypes, printed as torch prints them."""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

from .dtypes import Kind, as_dtype, bool_, dtype, get_default_dtype, kind_of


class _Binary(NamedTuple):
    precision: int  # significand bits, the hidden one included
    largest_exponent: int


# IEEE 754-2019, table 3.5; bfloat16 is binary32 with its significand cut to 8 bits.
_FORMATS = {
    "float16": _Binary(11, 15),
    "bfloat16": _Binary(8, 127),
    "float32": _Binary(24, 127),
    "float64": _Binary(53, 1023),
}


class _Missing(enum.Enum):
    """No argument: None is one, and an error."""

    MISSING = enum.auto()


_MISSING = _Missing.MISSING


class _Limits:
    """Printed as a list of `_SHOWN`; equal when they describe the same dtype."""

    __slots__ = ("bits", "dtype")
    _SHOWN: tuple[str, ...] = ()

    bits: int
    dtype: str

    def __repr__(self) -> str:
        numbers = "".join(f"{name}={getattr(self, name):g}, " for name in self._SHOWN)
        return f"{type(self).__name__}({numbers}dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Limits) and type(self) is type(other) and self.dtype == other.dtype

    __hash__ = None  # type: ignore[assignment]  # unhashable, as torch's


class finfo(_Limits):
    """Limits of a floating-point dtype, or of the parts of a complex one; without argument, of the default dtype.

    Raises: TypeError: `type` is an integer or bool dtype, or no dtype.
    """

    __slots__ = ("eps", "max", "min", "resolution", "smallest_normal", "tiny")
    _SHOWN = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")

    def __init__(self, type: dtype | _Missing = _MISSING) -> None:
        one = (get_default_dtype() if type is _MISSING else as_dtype(type, "finfo", "type", 1)).to_real()
        if not one.is_floating_point:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'"
            )
        self.dtype = str(one).removeprefix("torch.")
        self.bits = 8 * one.itemsize
        precision, exponent = _FORMATS[self.dtype]
        self.eps = 2.0 ** (1 - precision)
        self.max = (2 - self.eps) * 2.0**exponent
        self.min = -self.max
        self.smallest_normal = self.tiny = 2.0 ** (1 - exponent)
        decimal_digits = math.floor((precision - 1) * math.log10(2))  # C++'s numeric_limits::digits10
        self.resolution = float(f"1e-{decimal_digits}")


class iinfo(_Limits):
    """Limits of an integer dtype.

    Raises: TypeError: `type` is a bool, floating-point or complex dtype, or no dtype.
    """

    __slots__ = ("max", "min")
    _SHOWN = ("min", "max")

    def __init__(self, type: dtype) -> None:
        one = as_dtype(type, "iinfo", "type", 1)
        if one is bool_:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        if kind_of(one) is not Kind.INT:
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'")
        self.dtype = str(one).removeprefix("torch.")
        self.bits = 8 * one.itemsize
        value_bits = self.bits - one.is_signed
        self.max = 2**value_bits - 1
        self.min = -(2**value_bits) if one.is_signed else 0
