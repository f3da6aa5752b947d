"""One cache entry as bytes: a program's record and its object code, verified before anybody relies on them.

Layout: magic, format version, length of the header, sha256 of all that follows; the header (JSON: the key, the names
that the code needs from elsewhere, the length of the record); the record (JSON); the object code.

A truncated or altered object file can end the process inside LLVM, and so can a name that cannot be resolved. So an
entry is used only if every byte is what was written, under the key that is asked for, and if its code needs nothing
but the functions named here and SciPy's special functions.
"""
from __future__ import annotations

import ctypes
import hashlib
import json
import struct

from .. import record as records, special_functions
from ..record import ProgramRecord
from .elf import symbols

__all__ = ["ALLOWED", "EntryError", "pack", "unpack"]

MAGIC = b"chainrul"
FORMAT = 1
_START = struct.Struct("<8sII32s")  # magic, format version, header's length, sha256 of what follows

# Where the CPU has no instruction for them.
_PER_WIDTH = ("ceil", "floor", "fma", "fmod", "nearbyint", "rint", "roundeven", "trunc")
ALLOWED = frozenset({
    "free", "malloc", "memcpy", "memmove", "memset", *_PER_WIDTH, *(f"{name}f" for name in _PER_WIDTH),
    "PyDict_New", "PyDict_Next", "PyDict_SetItem", "PyErr_NoMemory", "PyEval_RestoreThread", "PyEval_SaveThread", "PyList_New",
    "PyList_SetItem", "PyLong_FromLongLong", "PyObject_RichCompareBool", "PyObject_Vectorcall", "PyTuple_New", "PyTuple_SetItem",
    "Py_DecRef", "Py_IncRef",  # drivers and call entries
})


class EntryError(ValueError):
    """A program that cannot be stored, or bytes that are not the entry that was asked for; the message says why."""


def _check_code(record: ProgramRecord, code: bytes) -> list[str]:
    """The names that the code needs from elsewhere."""
    if not code and not record.symbol:
        return []
    try:
        defined, needed = symbols(code)
    except ValueError as error:
        raise EntryError(str(error)) from None
    if foreign := {name for name in needed - ALLOWED if not special_functions.provide(name)}:
        raise EntryError(f"the code needs {', '.join(sorted(foreign))}")
    if missing := {name for name in (record.symbol, record.driver, record.entry) if name} - defined:
        raise EntryError(f"the code does not define {', '.join(sorted(missing))}")
    try:
        process = ctypes.CDLL(None)
    except (OSError, TypeError):
        raise EntryError("this platform does not say which functions a process has") from None
    if absent := [name for name in sorted(needed & ALLOWED) if not hasattr(process, name)]:
        raise EntryError(f"this process does not have {', '.join(absent)}")
    return sorted(needed)


def pack(key: str, record: ProgramRecord, code: bytes) -> bytes:
    """The entry's bytes.

    Args:
        code: the object code; empty for a program without kernels.

    Raises:
        EntryError: the program has parameters, or its code needs names, that are not stored.
    """
    needed = _check_code(record, code)
    try:
        text = records.dump(record).encode()
    except TypeError as error:
        raise EntryError(str(error)) from None
    header = json.dumps({"key": key, "undefined": needed, "record": len(text)}).encode()
    body = header + text + code
    return _START.pack(MAGIC, FORMAT, len(header), hashlib.sha256(body).digest()) + body


def unpack(key: str, blob: bytes) -> tuple[ProgramRecord, bytes]:
    """The record and the object code of an entry.

    Raises:
        EntryError: a byte is not what was written, or the entry is of another format or key, or must not be loaded.
    """
    try:
        magic, version, length, digest = _START.unpack_from(blob)
    except struct.error:
        raise EntryError("too short to be an entry") from None
    if magic != MAGIC or version != FORMAT:
        raise EntryError("not an entry of this format")
    body = memoryview(blob)[_START.size:]
    if hashlib.sha256(body).digest() != digest:
        raise EntryError("damaged: its checksum is not that of its contents")
    try:
        header = json.loads(bytes(body[:length]))
        end = length + header["record"]
        if header["key"] != key:
            raise EntryError("an entry for another key")
        record, code = records.load(bytes(body[length:end])), bytes(body[end:])
        listed = header["undefined"]
    except (KeyError, TypeError, ValueError) as error:
        raise error if isinstance(error, EntryError) else EntryError(f"not an entry: {error}") from None
    if _check_code(record, code) != listed:
        raise EntryError("the code needs other names than the entry says")
    return record, code
