"""What a call entry is made for, and the function object around its machine code.

The entry's code (`call_entry` emits it) holds no address of this process: what it needs of Python and NumPy, it reads
from the context array that is the `self` of the function object.
"""
from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import blas, native
from .memory_order import Order

if TYPE_CHECKING:
    from .kernel import Compiled, Loaded

__all__ = ["ArrayArgument", "DictArgument", "DictResult", "EntrySpec", "FloatArgument", "IgnoredArgument", "ListArgument", "ListResult",
           "OutArgument", "Routines", "ScalarArgument", "TupleArgument", "dtypes_of", "hits", "latest_bytes", "latest_streamed", "leaves",
           "make_entry", "positions", "steps", "whole"]

FASTCALL_KEYWORDS = 0x80 | 0x2
# The context array: fixed slots, then dtypes, then what the driver calls, then the objects that the spec names.
(SLOW, HITS, BYTES, STREAMED, TABLE, PREPARE, ARRAY_TYPE, FLOAT_TYPE, TUPLE_TYPE, LIST_TYPE, DICT_TYPE, NEW, SCALAR, SGEMM, DGEMM,
 FIRST_DTYPE) = range(16)
ROUTINES = {"sgemm": SGEMM, "dgemm": DGEMM}


@dataclass(frozen=True)
class ArrayArgument:
    """An ndarray, bound to the graph's input of this position."""

    position: int


@dataclass(frozen=True)
class FloatArgument:
    """A Python float, bound to a 0-d float64 input."""

    position: int


@dataclass(frozen=True)
class ScalarArgument:
    """A NumPy scalar of this type, bound to a 0-d input of its dtype."""

    position: int
    type: type[np.generic]


@dataclass(frozen=True)
class IgnoredArgument:
    """A static argument: the very object it was compiled for."""

    value: Any


@dataclass(frozen=True)
class TupleArgument:
    """A tuple of arguments."""

    items: tuple[Argument, ...]


@dataclass(frozen=True)
class ListArgument:
    """A list of arguments."""

    items: tuple[Argument, ...]


@dataclass(frozen=True)
class DictArgument:
    """A dict of arguments, in this order, which is what a function that loops over it sees. The keys are str or int."""

    keys: tuple[str | int, ...]
    items: tuple[Argument, ...]


@dataclass(frozen=True)
class OutArgument:
    """None, or an array with axes that the output of this position is written into. It must be one that NumPy could have made
    for it, and share no memory with any other argument: that is not checked.
    """

    position: int


Container = TupleArgument | ListArgument | DictArgument
Argument = ArrayArgument | FloatArgument | ScalarArgument | IgnoredArgument | OutArgument | Container


@dataclass(frozen=True)
class DictResult:
    """A dict of structures."""

    keys: tuple[Any, ...]
    items: tuple[Structure, ...]


@dataclass(frozen=True)
class ListResult:
    """A list of structures."""

    items: tuple[Structure, ...]


Structure = int | None | tuple[Any, ...] | ListResult | DictResult  # an output's position, None itself, or structures


@dataclass(frozen=True)
class EntrySpec:
    """How a call's arguments and its result map to a graph's inputs and outputs.

    Attributes:
        arguments: those by position, then those by keyword.
        keywords: the names of the last arguments.
        rows: of how many arrays a call walks the rows, to run all steps of a loop whose step the program is; see `steps`.
        until: with `rows`: the walk ends before, where the last element of each state of the array of states is 0.
        orders: of inputs, as a `Request` has them: large arrays in others miss. None: any are taken.
    """

    arguments: tuple[Argument, ...]
    result: Structure
    keywords: tuple[str, ...] = ()
    rows: int = 0
    until: bool = False
    orders: tuple[tuple[int, Order], ...] | None = None

    def layout(self) -> tuple[Any, ...]:
        """What the entry's code depends on: all but the objects themselves."""
        return tuple(map(_layout, self.arguments)), _result_layout(self.result), len(self.keywords), self.rows, self.until, self.orders

    def objects(self) -> list[Any]:
        """What the code compares with or puts into results: in the order of the context, which is that of emission."""
        return [*_argument_objects(self.arguments), *map(sys.intern, self.keywords), *_result_objects(self.result)]


def whole(inputs: int, outputs: int) -> EntrySpec:
    """The entry of a driver: arrays for all inputs, then for each output None or the array to write it into."""
    arguments: list[Argument] = [*map(ArrayArgument, range(inputs)), *map(OutArgument, range(outputs))]
    return EntrySpec(tuple(arguments), tuple(range(outputs)))


def steps(inputs: int, rows: int, until: bool = False) -> EntrySpec:
    """The entry of a loop: all states, the first one being there, or two of which they take turns; all rows, of that many arrays;
    what each step reads;
    and an array of a state's shape over the second state, whose memory moves along, and which is over the last one in the end.
    """
    return EntrySpec((*map(ArrayArgument, range(inputs)), OutArgument(0)), 0, rows=rows, until=until)


def leaves(arguments: Iterable[Argument]) -> Iterator[Argument]:
    """The arguments that are no containers, in order."""
    for argument in arguments:
        if isinstance(argument, Container):
            yield from leaves(argument.items)
        else:
            yield argument


def _argument_objects(arguments: Iterable[Argument]) -> Iterator[Any]:
    for argument in arguments:
        if isinstance(argument, IgnoredArgument):
            yield argument.value
        elif isinstance(argument, ScalarArgument):
            yield argument.type
        elif isinstance(argument, Container):
            if isinstance(argument, DictArgument):
                yield from argument.keys
            yield from _argument_objects(argument.items)


def _layout(argument: Argument) -> tuple[Any, ...]:
    if isinstance(argument, Container):
        return type(argument).__name__, *map(_layout, argument.items)
    return type(argument).__name__, -1 if isinstance(argument, IgnoredArgument) else argument.position


def _inner(result: Structure) -> tuple[Structure, ...]:
    if result is None or isinstance(result, int):
        return ()
    return result if isinstance(result, tuple) else result.items


def _result_layout(result: Structure) -> Any:
    if result is None or isinstance(result, int):
        return result
    return type(result).__name__, *map(_result_layout, _inner(result))


def positions(result: Structure) -> Iterator[int]:
    """The outputs in a result."""
    if isinstance(result, int):
        yield result
    for item in _inner(result):
        yield from positions(item)


def _result_objects(result: Structure) -> Iterator[Any]:
    if result is None:
        yield None
    if isinstance(result, DictResult):
        yield from result.keys
    for item in _inner(result):
        yield from _result_objects(item)


def dtypes_of(dtypes: Iterable[np.dtype[Any]]) -> list[np.dtype[Any]]:
    """The dtypes whose addresses the context holds, in order, from those of a program's inputs and outputs."""
    found = {dtype.str: dtype for dtype in dtypes}
    return [found[key] for key in sorted(found)]


class Routines(list[Callable[..., Any]]):
    """The Python functions that a driver calls, in order.

    Attributes:
        bytes: in the latest call, those of the results of bodies and of what they took while they ran, at most at once.
    """

    bytes = 0


class _Context(np.ndarray[Any, Any]):
    """The `self` of an entry: addresses, and in `kept` what they are addresses of. It lives as long as the function.

    The function's PyMethodDef is its last words: the collector may empty `kept` before it is done with a function that is garbage.
    """

    kept: tuple[Any, ...]
    calls: Routines


def make_entry(code: Compiled | Loaded, symbol: str, dtypes: Sequence[np.dtype[Any]], routines: Collection[str],
               calls: Routines, spec: EntrySpec, slow: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function object of an emitted entry.

    Args:
        routines: those of BLAS that the code calls.
        calls: the Python functions that the driver calls, in order.
        dtypes: `dtypes_of` the program's inputs and outputs.
        slow: takes every call that does not match.
    """
    objects, called = spec.objects(), ctypes.create_string_buffer(name.encode())
    method = ctypes.addressof(called), code.address_of(symbol), FASTCALL_KEYWORDS, 0  # name, function, flags, doc
    context = np.array([id(slow), 0, 0, 0, native.table, id(native.prepare), id(np.ndarray), id(float), id(tuple), id(list), id(dict),
                        native.numpy_function(native.API_NEW), native.numpy_function(native.API_SCALAR),
                        *(blas.address(name) if name in routines else 0 for name in ROUTINES), *map(id, dtypes),
                        *map(id, calls), *map(id, objects), *method], np.int64).view(_Context)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    context.kept, context.calls = (called, slow, objects, dtypes, code), calls
    return make(context[-len(method):].ctypes.data, context, None)  # type: ignore[no-any-return]


def _slot(entry: Callable[..., Any], number: int) -> int:
    context: Any = getattr(entry, "__self__")  # noqa: B009  (a builtin's, which no type declares)
    return int(context[number])


def hits(entry: Callable[..., Any]) -> int:
    """How many calls an entry has taken, those that it handed on not counted."""
    return _slot(entry, HITS)


def latest_bytes(entry: Callable[..., Any]) -> int:
    """Bytes of results, temporaries and partial results of the latest call that an entry took, and of the bodies that it ran."""
    context: Any = getattr(entry, "__self__")  # noqa: B009
    return _slot(entry, BYTES) + int(context.calls.bytes)


def latest_streamed(entry: Callable[..., Any]) -> int:
    """Bytes of results that the latest call that an entry took wrote past the caches."""
    return _slot(entry, STREAMED)
