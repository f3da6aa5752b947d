"""Sizes as the user's code sees them: integers that stay symbolic as long as arithmetic allows."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import build, sizes
from ..sizes import Size, SizeExpr
from .session import Session, located

__all__ = ["SymInt", "as_size", "wrap_size"]

Index = "SymInt | int"


def wrap_size(size: Size, session: Session) -> Any:
    """A size for the user's code: an int where it is known, else a `SymInt`."""
    size = session.context.resolve(size)
    return size if isinstance(size, int) else SymInt(size, session)


def as_size(value: Any) -> Size:
    """A size from what the user's code has: a `SymInt`, an int, or anything with `__index__`."""
    return value.size if isinstance(value, SymInt) else operator.index(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer, SymInt)) and not isinstance(value, bool)


class SymInt:
    """The size of an axis, or an integer computed from sizes.

    Sums, differences, products, `//`, `%`, comparisons stay symbolic. Anything that needs the number itself (`range`,
    `np.zeros(n)`, hashing) specialises the program to it, which `stats.specialisations` lists with the line.
    Arithmetic with floats and arrays gives a traced value.
    """

    __slots__ = ("_session", "_size")
    __array_priority__ = 1000.0

    def __init__(self, size: SizeExpr, session: Session) -> None:
        self._size, self._session = size, session

    @property
    def size(self) -> Size:
        """The size behind it."""
        return self._session.context.resolve(self._size)

    def _combine(self, other: Any, function: Callable[[Any, Any], Size], ufunc: Any, swapped: bool = False) -> Any:
        if not _is_integer(other):
            return self._traced(ufunc, *((other, self) if swapped else (self, other)))
        left, right = self.size, as_size(other)
        return wrap_size(function(right, left) if swapped else function(left, right), self._session)

    def _traced(self, ufunc: Any, *operands: Any) -> Any:
        from .ufuncs import operate

        return operate(ufunc, *operands)

    def __add__(self, other: Any) -> Any:
        return self._combine(other, operator.add, np.add)

    def __radd__(self, other: Any) -> Any:
        return self._combine(other, operator.add, np.add, True)

    def __sub__(self, other: Any) -> Any:
        return self._combine(other, operator.sub, np.subtract)

    def __rsub__(self, other: Any) -> Any:
        return self._combine(other, operator.sub, np.subtract, True)

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, (list, tuple, str)):
            return other * int(self)
        return self._combine(other, operator.mul, np.multiply)

    def __rmul__(self, other: Any) -> Any:
        if isinstance(other, (list, tuple, str)):
            return other * int(self)
        return self._combine(other, operator.mul, np.multiply, True)

    def __floordiv__(self, other: Any) -> Any:
        return self._combine(other, self._floordiv, np.floor_divide)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._combine(other, self._floordiv, np.floor_divide, True)

    def __mod__(self, other: Any) -> Any:
        return self._combine(other, self._mod, np.remainder)

    def __rmod__(self, other: Any) -> Any:
        return self._combine(other, self._mod, np.remainder, True)

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def _divisor(self, right: Size) -> Size:
        if sizes.equal(right, 0):
            raise ZeroDivisionError("integer division or modulo by zero")
        return self._session.context.resolve(right)

    def _floordiv(self, left: Size, right: Size) -> Size:
        return sizes.floordiv(left, self._divisor(right))

    def _mod(self, left: Size, right: Size) -> Size:
        return sizes.mod(left, self._divisor(right))

    def __truediv__(self, other: Any) -> Any:
        return self._traced(np.divide, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._traced(np.divide, other, self)

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, int) and 0 <= other <= 8:
            return wrap_size(sizes.product([self.size] * other), self._session)
        return self._traced(np.power, self, other)

    def __rpow__(self, other: Any) -> Any:
        return other ** int(self) if _is_integer(other) else self._traced(np.power, other, self)

    def __neg__(self) -> Any:
        return wrap_size(-self.size, self._session)

    def __pos__(self) -> SymInt:
        return self

    def __abs__(self) -> Any:
        return -self if self < 0 else self

    def _matches(self, other: Any) -> bool:
        with located():
            return sizes.equal(self.size, as_size(other))

    def _below(self, left: Any, right: Any) -> bool:
        with located():
            return sizes.less(as_size(left), as_size(right))

    def __eq__(self, other: object) -> Any:
        if isinstance(other, float) and other.is_integer():
            other = int(other)
        if _is_integer(other):
            return self._matches(other)
        return self._traced(np.equal, self, other) if hasattr(other, "__array_ufunc__") else False

    def __ne__(self, other: object) -> Any:
        if isinstance(other, float) and other.is_integer():
            other = int(other)
        if _is_integer(other):
            return not self._matches(other)
        return self._traced(np.not_equal, self, other) if hasattr(other, "__array_ufunc__") else True

    def __lt__(self, other: Any) -> Any:
        return self._below(self, other) if _is_integer(other) else self._compare(np.less, operator.lt, other)

    def __le__(self, other: Any) -> Any:
        return not self._below(other, self) if _is_integer(other) else self._compare(np.less_equal, operator.le, other)

    def __gt__(self, other: Any) -> Any:
        return self._below(other, self) if _is_integer(other) else self._compare(np.greater, operator.gt, other)

    def __ge__(self, other: Any) -> Any:
        return not self._below(self, other) if _is_integer(other) else self._compare(np.greater_equal, operator.ge, other)

    def _compare(self, ufunc: Any, function: Callable[[Any, Any], Any], other: Any) -> Any:
        if isinstance(other, float):  # a number of elements against a plain number: the program is for this answer
            return function(int(self), other)
        return self._traced(ufunc, self, other) if hasattr(other, "__array_ufunc__") else NotImplemented

    def __bool__(self) -> bool:
        return not self._matches(0)

    def __index__(self) -> int:
        with located():
            return self._session.specialise(self._size)

    __int__ = __index__
    __trunc__ = __index__
    __floor__ = __index__
    __ceil__ = __index__

    def __float__(self) -> float:
        return float(self.__index__())

    def __hash__(self) -> int:
        return hash(self.__index__())

    def __round__(self, digits: int | None = None) -> Any:
        return self if digits is None or digits >= 0 else round(self.__index__(), digits)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self.__index__(), dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from .ufuncs import dispatch_ufunc

        return dispatch_ufunc(ufunc, method, inputs, kwargs)

    def __repr__(self) -> str:
        return str(self.size)

    def __format__(self, spec: str) -> str:
        return format(self.__index__(), spec) if spec else str(self)

    def to_node(self) -> Any:
        """The size as a 0-d int64 node."""
        return build.size_value(self.size)

    @property
    def real(self) -> SymInt:
        return self

    @property
    def ndim(self) -> int:
        return 0

    @property
    def shape(self) -> tuple[int, ...]:
        return ()
