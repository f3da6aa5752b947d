"""The disk cache of compiled programs: a second process derives, schedules and compiles nothing.

`CHAINRULE_CACHE=0` turns it off, `CHAINRULE_CACHE_DIR` says where it lies (default: the user's cache folder), and
`CHAINRULE_CACHE_SIZE` how large it may be (`512M` by default; K, M and G are powers of 1024). Whatever goes wrong with
it, programs are compiled as if there were none.
"""
from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..ir import Graph
from ..record import ProgramRecord
from .directory import Directory, UnsafeDirectory
from .entry import EntryError, pack, unpack
from .key import Unkeyed, key_of

__all__ = ["Cache", "CacheInfo", "Slot", "cache", "slot"]

DEFAULT_LIMIT = 512 << 20
Made = TypeVar("Made")
_MOST_NOTES = 20


@dataclass(frozen=True)
class CacheInfo:
    """What is in the cache, and what it did for this process.

    Attributes:
        path: the folder, None where there is no cache.
        entries, bytes: what is in it. limit: the most bytes that it keeps.
        hits, misses: lookups of this process.
        notes: why something was not stored or not used, the latest last.
    """

    path: Path | None
    entries: int
    bytes: int
    limit: int
    hits: int
    misses: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        if self.path is None:
            where = "no cache of compiled programs"
        else:
            where = f"{self.path}: {self.entries} programs, {self.bytes:,} of at most {self.limit:,} bytes"
        here = f"this process: {self.hits} hits, {self.misses} misses"
        return "\n".join([where, *([here] if self.hits or self.misses else []), *self.notes])


class _State:
    """What this process knows of the cache."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.hits = self.misses = 0
        self.notes: list[str] = []
        self.opened: dict[tuple[str, str], Directory | None] = {}

    def note(self, text: str) -> None:
        with self.lock:
            self.notes = [*self.notes, text][-_MOST_NOTES:]

    def count(self, hit: bool) -> None:
        with self.lock:
            self.hits, self.misses = self.hits + hit, self.misses + (not hit)


_state = _State()


def _limit(text: str) -> int:
    match = re.fullmatch(r"\s*(\d+)\s*(?:([KMG])(?:i?B)?|B)?\s*", text, re.IGNORECASE)
    if match is None:
        warnings.warn(f"CHAINRULE_CACHE_SIZE={text!r} is not a size such as 512M; the default is used", RuntimeWarning,
                      stacklevel=2)
        return DEFAULT_LIMIT
    number, unit = match.groups()
    return int(number) << {"K": 10, "M": 20, "G": 30}.get((unit or "").upper(), 0)


def _directory() -> Directory | None:
    """The folder that the environment names; None where there is none to be used."""
    if os.environ.get("CHAINRULE_CACHE") == "0":
        return None
    wanted = os.environ.get("CHAINRULE_CACHE_DIR", ""), os.environ.get("CHAINRULE_CACHE_SIZE", "")
    if wanted not in _state.opened:
        _state.opened[wanted] = _open(*wanted)
    return _state.opened[wanted]


def _open(folder: str, limit: str) -> Directory | None:
    if not folder:
        import platformdirs

        folder = platformdirs.user_cache_dir("chainrule", appauthor=False)
        if not os.path.isabs(folder):
            _state.note("there is no home directory to keep compiled programs in")
            return None
    try:
        return Directory(Path(folder).absolute(), _limit(limit) if limit else DEFAULT_LIMIT)
    except UnsafeDirectory as error:
        warnings.warn(f"compiled programs are not cached: {error}. Make it private (chmod 700), or name another folder "
                      "by CHAINRULE_CACHE_DIR", RuntimeWarning, stacklevel=2)
        _state.note(str(error))
    except OSError as error:
        _state.note(str(error))
    return None


@dataclass(frozen=True)
class Slot:
    """The place of one program in the cache."""

    directory: Directory
    key: str

    def load(self, make: Callable[[ProgramRecord, bytes], Made]) -> Made | None:
        """What `make` makes of the program's record and object code, which are verified; None where it must be compiled.

        A bad entry is deleted.
        """
        found = None
        try:
            blob = self.directory.read(self.key)
            found = None if blob is None else make(*unpack(self.key, blob))
        except OSError as error:
            _state.note(f"{self.key[:12]}: {error}")
        except Exception as error:  # whatever an entry with a good checksum can bring about: the call must go on
            _state.note(f"{self.key[:12]}: {error}")
            self.directory.remove(self.key)
        _state.count(found is not None)
        return found

    def store(self, record: ProgramRecord, code: bytes) -> None:
        """Keep a compiled program, if it can be."""
        try:
            self.directory.write(self.key, pack(self.key, record, code))
        except (EntryError, OSError) as error:
            _state.note(f"{self.key[:12]} is not stored: {error}")


def slot(graph: Graph, settings: Iterable[Any]) -> Slot | None:
    """The place of a program; None where it is not cached.

    Args:
        graph: the traced graph, before differentiation.
        settings: what else the program depends on.
    """
    directory = _directory()
    if directory is None:
        return None
    try:
        return Slot(directory, key_of(graph, tuple(settings)))
    except Unkeyed as reason:
        _state.note(str(reason))
        return None


class Cache:
    """The disk cache of compiled programs, as users see it."""

    def info(self) -> CacheInfo:
        """What is in the cache, and what it did for this process."""
        directory = _directory()
        entries = [] if directory is None else directory.entries()
        return CacheInfo(None if directory is None else directory.path, len(entries), sum(e.nbytes for e in entries),
                         0 if directory is None else directory.limit, _state.hits, _state.misses, tuple(_state.notes))

    def clear(self) -> int:
        """Delete every stored program; how many there were. Programs of running processes are not affected."""
        directory = _directory()
        return 0 if directory is None else directory.clear()

    def __repr__(self) -> str:
        return str(self.info())


cache = Cache()
