"""What running a compiled program needs, as data: no plan, no loop nests, no nodes but those of the step of a loop.

A record is made once from a scheduled and lowered program and is written to disk beside its machine code, so that
another process runs the program without deriving it. Buffers are numbered; steps name them by number.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .ir import Graph, pack_graph, unpack_graph
from .op import Shape
from .sizes import Guard, Size, SizeExpr, evaluate, parse_size

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


def load(text: str | bytes) -> ProgramRecord:
    """The record that `dump` wrote.

    Raises:
        ValueError, TypeError, KeyError: `text` is not a record of this version of chainrule.
    """
    record = _value(json.loads(text))
    if not isinstance(record, ProgramRecord):
        raise ValueError("not a program's record")
    return record
