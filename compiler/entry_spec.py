"""What a call entry is made for, and the function object around its machine code.

The entry's code (`call_entry` emits it) holds no address of this process: what it needs of Python and NumPy, it reads
from the context array that is the `self` of the function object.
"""
from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .kernel import Compiled, Loaded

__all__ = ["ArrayArgument", "EntrySpec", "FloatArgument", "IgnoredArgument", "dtypes_of", "hits", "make_entry"]

# Positions in NumPy's table of C functions (numpy/__multiarray_api.h).
API_SCALAR, API_NEW = 60, 93
FASTCALL_KEYWORDS = 0x80 | 0x2
# The context array: fixed slots, then dtypes, then static arguments.
SLOW, HITS, ARRAY_TYPE, FLOAT_TYPE, NEW, SCALAR, FIRST_DTYPE = range(7)


@dataclass(frozen=True)
class ArrayArgument:
    """An ndarray, bound to the graph's input of this position."""

    position: int


@dataclass(frozen=True)
class FloatArgument:
    """A Python float, bound to a 0-d float64 input."""

    position: int


@dataclass(frozen=True)
class IgnoredArgument:
    """A static argument: the very object it was compiled for."""

    value: Any


Argument = ArrayArgument | FloatArgument | IgnoredArgument
Structure = int | tuple[Any, ...]  # an output's position, or a tuple of structures


@dataclass(frozen=True)
class EntrySpec:
    """How a call's positional arguments and its result map to a graph's inputs and outputs."""

    arguments: tuple[Argument, ...]
    result: Structure

    def layout(self) -> tuple[Any, ...]:
        """What the entry's code depends on: all but the static arguments themselves."""
        places = tuple((type(a).__name__, -1 if isinstance(a, IgnoredArgument) else a.position) for a in self.arguments)
        return places, self.result


def dtypes_of(dtypes: Iterable[np.dtype[Any]]) -> list[np.dtype[Any]]:
    """The dtypes whose addresses the context holds, in order, from those of a program's inputs and outputs."""
    found = {dtype.str: dtype for dtype in dtypes}
    return [found[key] for key in sorted(found)]


class _MethodDef(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int),
                ("doc", ctypes.c_char_p))


class _Context(np.ndarray[Any, Any]):
    """The `self` of an entry: addresses, and in `kept` what they are addresses of. It lives as long as the function."""

    kept: tuple[Any, ...]


def _numpy_function(position: int) -> int:
    core: Any = importlib.import_module("numpy._core._multiarray_umath")
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = get(core._ARRAY_API, None)
    return int(ctypes.cast(table, ctypes.POINTER(ctypes.c_void_p))[position] or 0)


def make_entry(code: Compiled | Loaded, symbol: str, dtypes: Sequence[np.dtype[Any]], spec: EntrySpec,
               slow: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function object of an emitted entry.

    Args:
        dtypes: `dtypes_of` the program's inputs and outputs.
        slow: takes every call that does not match.
    """
    statics = [a.value for a in spec.arguments if isinstance(a, IgnoredArgument)]
    context = np.array([id(slow), 0, id(np.ndarray), id(float), _numpy_function(API_NEW),
                        _numpy_function(API_SCALAR), *map(id, dtypes), *map(id, statics)], np.int64).view(_Context)
    method = _MethodDef(name.encode(), code.address_of(symbol), FASTCALL_KEYWORDS, None)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.POINTER(_MethodDef), ctypes.py_object, ctypes.c_void_p]
    context.kept = (method, slow, statics, dtypes, code)
    return make(ctypes.byref(method), context, None)  # type: ignore[no-any-return]


def hits(entry: Callable[..., Any]) -> int:
    """How many calls an entry has taken, those that it handed on not counted."""
    context: Any = getattr(entry, "__self__")  # noqa: B009  (a builtin's, which no type declares)
    return int(context[HITS])
