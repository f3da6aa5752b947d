"""The native code that all programs share, loaded when it is first needed: a job's threads, and recycled memory.

Emitted code finds it through a table of addresses that lies still for the life of the process. The table is empty until
`prepare` fills it and starts the workers; a forked child empties it again, because threads do not survive a fork.
Nothing here is ever freed: workers sleep in this code, and arrays return their memory through it, to the very end.
"""
from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import threading
from pathlib import Path
from typing import Any

from .errors import ArgumentError
from .native_code import MOST_WORKERS, NATIVE

__all__ = ["NEW_ARRAY", "READY", "RELEASE", "SCRATCH", "SPREAD", "STREAM_FROM", "Memory", "Workers", "last_cache", "memory",
           "numpy_function", "prepare", "table", "workers"]

# The table: whether it is filled, then functions, then from how many bytes on a kernel's results go past the caches.
READY, SPREAD, NEW_ARRAY, SCRATCH, RELEASE, STREAM_FROM = range(6)
_FUNCTIONS = {SPREAD: "spread", NEW_ARRAY: "new_array", SCRATCH: "scratch", RELEASE: "release"}
# Positions in NumPy's table of C functions (numpy/__multiarray_api.h).
API_SCALAR, API_NEW, API_SET_HANDLER = 60, 93, 304
DEFAULT_LIMIT = 1 << 29
CACHE = 1 << 25  # bytes of a last cache, where nothing is known of it

_table: Any = (ctypes.c_int64 * 6)()
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_table))
table = ctypes.addressof(_table)


def numpy_function(position: int) -> int:
    """The address of a function of NumPy's C interface."""
    core: Any = importlib.import_module("numpy._core._multiarray_umath")
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    functions = get(core._ARRAY_API, None)
    return int(ctypes.cast(functions, ctypes.POINTER(ctypes.c_void_p))[position] or 0)


class _Handler(ctypes.Structure):
    """NumPy's `PyDataMem_Handler` (NEP 49): what allocates and frees the elements of an array."""

    _fields_ = (("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("context", ctypes.c_void_p),
                ("malloc", ctypes.c_void_p), ("calloc", ctypes.c_void_p), ("realloc", ctypes.c_void_p), ("free", ctypes.c_void_p))


class _Code:
    """The module's machine code."""

    def __init__(self) -> None:
        import llvmlite.binding as llvm
        import numpy as np

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True, opt=0)  # 7 ms; 20 with all optimisations
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(NATIVE), machine)
        self.engine.finalize_object()
        for name, value in (("array_type", id(np.ndarray)), ("array_new", numpy_function(API_NEW)),
                            ("set_handler", numpy_function(API_SET_HANDLER)), ("handler", id(self._handler()))):
            ctypes.c_int64.from_address(self.address(name)).value = value
        self.work = ctypes.CFUNCTYPE(None, ctypes.c_int64)(self.address("work"))  # releases the GIL, as all of these but `clear`
        self.spread = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.address("spread"))
        self.clear = ctypes.PYFUNCTYPE(None)(self.address("pool_clear"))
        self.helpers = ctypes.c_int32.from_address(self.address("helpers"))
        self.busy = ctypes.c_int32.from_address(self.address("busy"))
        self.threads, self.not_on = ((ctypes.c_int32 * MOST_WORKERS).from_address(self.address(name)) for name in ("thread", "not_on"))
        self.limit = ctypes.c_int64.from_address(self.address("limit"))
        self.held = ctypes.c_int64.from_address(self.address("held"))
        self.reset()
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))

    def address(self, name: str) -> int:
        """Of a function or variable."""
        return int(self.engine.get_function_address(name) or self.engine.get_global_value_address(name))

    def _handler(self) -> Any:
        """NumPy's capsule around the functions of the pool."""
        functions = [self.address(f"pool_{name}") for name in ("malloc", "calloc", "realloc", "free")]
        self._kept = _Handler(b"chainrule", 1, None, *functions)
        self._label = ctypes.create_string_buffer(b"mem_handler")  # a capsule keeps a pointer to its name
        make = ctypes.pythonapi.PyCapsule_New
        make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        self._capsule = make(ctypes.addressof(self._kept), ctypes.addressof(self._label), None)
        return self._capsule

    def reset(self) -> None:
        """As before the first job: no workers, nobody waits."""
        process = ctypes.CDLL(None)
        self.helpers.value = self.busy.value = 0
        self.threads[:], self.not_on[:] = [0] * MOST_WORKERS, [-1] * MOST_WORKERS
        for name in ("wake", "finished"):
            process.sem_init(ctypes.c_void_p(self.address(name)), 0, 0)


class _State:
    """What this process has made."""

    def __init__(self) -> None:
        self.code: _Code | None = None
        self.started = 0
        self.lock = threading.RLock()

    def after_fork(self) -> None:
        self.started, self.lock = 0, threading.RLock()
        _table[READY] = 0
        if self.code is not None:
            self.code.reset()


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_state.after_fork)


def _loaded() -> _Code:
    with _state.lock:
        if _state.code is None:
            code = _Code()
            code.limit.value = memory._limit
            for place, name in _FUNCTIONS.items():
                _table[place] = code.address(name)
            _table[STREAM_FROM] = memory.stream_from
            _state.code = code
        return _state.code


def prepare() -> None:
    """Load the code, and start the workers. Emitted code calls this before its first large work."""
    with _state.lock:
        workers._start(_loaded())
        _table[READY] = 1


class Workers:
    """The threads that take blocks of large kernels; they sleep where there are none.

    They are Python's daemon threads, which stay inside native code.
    """

    def __init__(self) -> None:
        self._count = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

    @property
    def count(self) -> int:
        """How many threads a job may use, the caller's included."""
        return self._count

    @count.setter
    def count(self, count: int) -> None:
        with _state.lock:
            self._count = count
            if _table[READY]:
                self._start(_loaded())

    def _start(self, code: _Code) -> None:
        """As many as are missing, and the system gives. There may be more, from a larger count: as many as are to help are woken."""
        wanted = min(self._count - 1, max(MOST_WORKERS, os.cpu_count() or 1))
        while _state.started < wanted:
            number = _state.started
            worker = threading.Thread(target=code.work, args=(number,), name=f"chainrule-{number}", daemon=True)
            try:
                worker.start()
            except RuntimeError:  # at a limit of threads or memory: those that there are do the work
                break
            if number < MOST_WORKERS:
                code.threads[number] = worker.native_id or 0
            _state.started += 1
        code.helpers.value = min(wanted, _state.started)

    def spread(self, job: Any) -> None:
        """Run a job (an int64 array, laid out as `native_code` says) on this thread and the workers."""
        if not _table[READY]:
            prepare()
        _loaded().spread(job.ctypes.data)


workers = Workers()


class Memory:
    """Memory of large results that were dropped, kept for the next ones: fresh memory costs more than most kernels.

    A result owns its memory as every NumPy array does, and gives it back when the array and all its views are gone.
    """

    def __init__(self) -> None:
        self._limit = DEFAULT_LIMIT
        self._stream_from: int | None = None

    @property
    def held(self) -> int:
        """Bytes that are kept now, in use by nobody."""
        return 0 if _state.code is None else int(_state.code.held.value)

    @property
    def limit(self) -> int:
        """The most bytes that are kept."""
        return self._limit

    def set_limit(self, limit: int) -> None:
        """Keep at most so many bytes; 0 keeps none.

        Raises:
            ArgumentError: `limit` is not a whole number of at least 0.
        """
        _natural("the limit is", limit)
        with _state.lock:
            self._limit = limit
            if _state.code is not None:
                _state.code.limit.value = limit
                if self.held > limit:
                    self.clear()

    @property
    def stream_from(self) -> int:
        """From how many bytes on the results of a kernel are written past the caches: what the last cache holds, unless it was set."""
        with _state.lock:
            if self._stream_from is None:
                self._stream_from = last_cache()
            return self._stream_from

    def set_stream_from(self, bytes_: int) -> None:
        """Write results past the caches from so many bytes of a kernel's results on. It changes no bit of them.

        Raises:
            ArgumentError: `bytes_` is not a whole number of at least 0.
        """
        self._stream_from = _natural("results are written past the caches from", bytes_)
        _table[STREAM_FROM] = bytes_

    def clear(self) -> int:
        """Give everything that is kept back to the system; how many bytes that were."""
        bytes_ = self.held
        if _state.code is not None:
            _state.code.clear()
        return bytes_

    def __repr__(self) -> str:
        return f"{self.held:,} of at most {self._limit:,} bytes are kept for results"


def _natural(what: str, bytes_: int) -> int:
    if not isinstance(bytes_, int) or isinstance(bytes_, bool) or bytes_ < 0:
        raise ArgumentError(f"{what} a number of bytes, at least 0, not {bytes_!r}")
    return bytes_


def last_cache(caches: str = "/sys/devices/system/cpu/cpu0/cache") -> int:
    """The bytes of the largest cache in front of memory; `CACHE` where the system does not say."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    sizes = [0]
    for file in Path(caches).glob("index*/size"):
        with contextlib.suppress(OSError, ValueError):
            size = file.read_text().strip()
            sizes.append(int(size.rstrip("KMG")) * units.get(size[-1:], 1))
    return max(sizes) or CACHE


memory = Memory()
