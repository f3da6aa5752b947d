"""What running a compiled program needs, as data: no plan, no loop nests, no nodes but those of the step of a loop.

A record is made once from a scheduled and lowered program and is written to disk beside its machine code, so that
another process runs the program without deriving it. Buffers are numbered; steps name them by number.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from .ir import Graph, pack_graph, unpack_graph
from .op import Shape
from .sizes import Guard, Size, SizeExpr, evaluate, parse_size, symbol, symbols_of

__all__ = ["BufferRecord", "CallRecord", "CheckRecord", "KernelRecord", "Layout", "ProgramRecord", "StepRecord", "dump", "load"]


@dataclass(frozen=True)
class Layout:
    """How an array lies in memory for these `sizes`, by symbol; for others it is in C order.

    order: the axes from the outermost to the one whose elements are neighbours.
    """

    order: tuple[int, ...]
    sizes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class BufferRecord:
    """An array of a run: an input, an output or a temporary. Without a layout it is in C order, but for inputs."""

    name: str
    dtype: np.dtype[Any]
    shape: Shape
    layout: Layout | None = None

    def empty(self, sizes: Mapping[str, int], copies: tuple[int, ...] = ()) -> np.ndarray[Any, Any]:
        """An uninitialised array, or so many of them along leading axes."""
        shape = [evaluate(size, sizes) for size in self.shape]
        first = len(copies)
        if self.layout is None or any(sizes[name] != size for name, size in self.layout.sizes):
            return np.empty((*copies, *shape), self.dtype)
        order = self.layout.order
        made = np.empty((*copies, *(shape[axis] for axis in order)), self.dtype)
        return made.transpose((*range(first), *(first + order.index(axis) for axis in range(len(shape)))))


@dataclass(frozen=True)
class KernelRecord:
    """A run of one compiled kernel; its argument array is laid out as `packing` says.

    Attributes:
        sizes: the size symbols that it takes.
        buffers: the arrays that it takes, in order.
        written: those among them that it writes, and that are allocated before it runs.
        extent: the end of the range of its main loop.
        statements: of one iteration of the main loop.
        splittable: whether ranges of the main loop may run apart.
        reduces: (buffer, combining op) of each buffer of which every range needs its own copy.
        routine: of BLAS, whose address is the last argument; empty for loops.
        scratch: bytes of memory for each range, whose address is the last argument; 0 for none.
        streams: those that it may write past the caches; if there are any, its last argument says whether.
        when: 1 where it runs, 0 where not.
        otherwise: whether it is for sizes for which row blocks do not pay.
        grain: ranges have a multiple of so many iterations, where they can.
    """

    sizes: tuple[str, ...]
    buffers: tuple[int, ...]
    written: tuple[int, ...]
    extent: Size
    statements: Size
    splittable: bool
    reduces: tuple[tuple[int, str], ...]
    routine: str = ""
    scratch: Size = 0
    streams: tuple[int, ...] = ()
    when: Size = 1
    otherwise: bool = False
    grain: int = 1

    def pointers(self, ranks: Sequence[int]) -> dict[int, int]:
        """For each buffer, the place of its data pointer in the argument array; `ranks` are those of all buffers."""
        place, found = len(self.sizes), {}
        for buffer in self.buffers:
            found[buffer] = place
            place += 1 + ranks[buffer]
        return found


@dataclass(frozen=True)
class CallRecord:
    """An op's own routine, from buffers into a buffer; `guards` are those to be checked after it bound a size."""

    op: str
    params: tuple[Any, ...]
    result: int
    operands: tuple[int, ...]
    guards: tuple[int, ...]


@dataclass(frozen=True)
class CheckRecord:
    """The values of an index array must lie in [0, size)."""

    indices: int
    size: Size
    axis: int


StepRecord = KernelRecord | CallRecord | CheckRecord


@dataclass(frozen=True)
class ProgramRecord:
    """A compiled program without its machine code.

    Attributes:
        symbol: the function that runs the kernels, empty where there are none.
        driver: the function that runs the whole program, called with its inputs; empty where there is none.
        entry: the function that Python calls directly, empty where there is none.
        buffers: the inputs come first, in order.
        inputs: the names of the inputs, for messages.
        outputs: their buffers.
        guards: those of the graph, without their source lines.
    """

    symbol: str
    driver: str
    entry: str
    buffers: tuple[BufferRecord, ...]
    inputs: tuple[str, ...]
    outputs: tuple[int, ...]
    steps: tuple[StepRecord, ...]
    guards: tuple[Guard, ...]


_RECORDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Layout, BufferRecord, KernelRecord, CallRecord, CheckRecord, ProgramRecord)
}


def _plain(value: Any) -> Any:
    """A value as JSON has it. What JSON lacks is an object with one key, which says what it is."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, SizeExpr):
        return {"size": str(value)}
    if isinstance(value, Guard):
        return {"guard": [value.op, _plain(value.left), _plain(value.right)]}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Graph):  # of a loop, whose step has an entry of its own in the cache
        return {"graph": _plain(pack_graph(value))}
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, np.dtype):
        return {"dtype": value.str}
    if _RECORDS.get(type(value).__name__) is type(value):
        return {type(value).__name__: [_plain(getattr(value, f.name)) for f in fields(value)]}
    raise TypeError(f"a {type(value).__name__} cannot be part of a stored program")


def _value(item: Any) -> Any:
    if isinstance(item, list):
        return tuple(_value(i) for i in item)
    if isinstance(item, dict):
        ((kind, content),) = item.items()
        if kind in _RECORDS:
            return _RECORDS[kind](*map(_value, content))
        return _READERS[kind](content)
    return item


_READERS: dict[str, Callable[[Any], Any]] = {
    "size": parse_size,
    "guard": lambda parts: Guard(*map(_value, parts)),
    "float": float.fromhex,
    "bytes": bytes.fromhex,
    "dtype": np.dtype,
    "graph": lambda parts: unpack_graph(*_value(parts)),
}


def dump(record: ProgramRecord) -> str:
    """The record as JSON.

    Raises:
        TypeError: an op's parameter is of a kind that is not stored (a function).
    """
    return json.dumps(_plain(record), separators=(",", ":"))


_hints: Callable[[Any], dict[str, Any]] = cache(get_type_hints)


def _is(value: Any, kind: Any) -> bool:
    """Whether a value is what an annotation of a record says, and all that is in it."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_is(value, one) for one in inner)
    if origin is tuple:
        if type(value) is not tuple:
            return False
        kinds = inner[:1] * len(value) if inner[-1] is ... else inner
        return len(kinds) == len(value) and all(map(_is, value, kinds))
    if isinstance(kind, type) and (kind is Guard or kind.__name__ in _RECORDS):
        return type(value) is kind and all(_is(getattr(value, name), hint) for name, hint in _hints(kind).items())
    return kind is Any or (type(value) is kind if kind in (int, bool) else isinstance(value, origin or kind))


def _check(record: Any) -> None:
    """Refuse a record that cannot run.

    Raises:
        ValueError: a field is not of its type, a buffer is named that there is not, or a size that nothing binds.
    """
    if not isinstance(record, ProgramRecord) or not _is(record, ProgramRecord):
        raise ValueError("not a program's record")
    if any(buffer.dtype.kind not in "bfiu" for buffer in record.buffers):
        raise ValueError("a buffer of something else than numbers")
    buffers: list[int] = [*record.outputs, *range(len(record.inputs))]
    guards: list[int] = []
    sizes = [size for buffer in record.buffers for size in buffer.shape] + [size for guard in record.guards for size in guard[1:3]]
    bound = [size for buffer in record.buffers[:len(record.inputs)] for size in buffer.shape]
    for step in record.steps:
        if isinstance(step, KernelRecord):
            buffers += step.buffers
            if not {*step.written, *step.streams, *(place for place, _ in step.reduces)} <= {*step.buffers}:
                raise ValueError("a kernel writes what it does not take")
            sizes += [step.extent, step.statements, step.scratch, step.when, *map(symbol, step.sizes)]
        elif isinstance(step, CallRecord):
            buffers += [step.result, *step.operands]
            guards += step.guards
            bound += record.buffers[step.result].shape if 0 <= step.result < len(record.buffers) else ()
        else:
            buffers.append(step.indices)
            sizes.append(step.size)
    for places, things in ((buffers, record.buffers), (guards, record.guards)):
        if places and not 0 <= min(places) <= max(places) < len(things):
            raise ValueError("a step names something that is not there")
    if unbound := {name for size in sizes for name in symbols_of(size)} - {name for size in bound for name in symbols_of(size)}:
        raise ValueError(f"nothing binds the size {min(unbound)}")


def load(text: str | bytes) -> ProgramRecord:
    """The record that `dump` wrote.

    Raises:
        ValueError, TypeError, KeyError: `text` is not a record of this version of chainrule.
    """
    record = _value(json.loads(text))
    _check(record)
    made: ProgramRecord = record
    return made
