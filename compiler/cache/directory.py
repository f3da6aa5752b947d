"""The folder that entries lie in: private, limited in size, safe to share between processes.

An entry is written under another name and then renamed, so a reader sees all of it or nothing. Nobody locks: of two
processes that write the same entry, the last wins, and both wrote the same.
"""
from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Directory", "UnsafeDirectory"]

SUFFIX, UNFINISHED = ".program", ".tmp"
DAY, HOUR = 86_400.0, 3_600.0
# Opening a named pipe would wait for its writer.
_FLAGS = sum(getattr(os, f"O_{name}", 0) for name in ("BINARY", "CLOEXEC", "NOFOLLOW", "NONBLOCK"))
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class UnsafeDirectory(Exception):
    """Somebody else could have put code there; the message says why."""


@dataclass(frozen=True)
class _File:
    path: str
    used: float  # when it was last written or read, to the day
    nbytes: int


def _private(status: os.stat_result) -> bool:
    """Whether only this user can have written it."""
    ours = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    return ours and (os.name == "nt" or not status.st_mode & _OTHERS_WRITE)


class Directory:
    """Entries by key, at most `limit` bytes of them.

    Raises:
        UnsafeDirectory: the folder is another user's, or others can write to it.
        OSError: it is not there and cannot be made.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self.limit = path, limit
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _private(path.stat()):
            raise UnsafeDirectory(f"{path} belongs to somebody else, or others can write to it")

    def _file(self, key: str) -> str:
        return os.path.join(self.path, key + SUFFIX)

    def read(self, key: str) -> bytes | None:
        """The entry's bytes, None where there is none; it then counts as used.

        Raises:
            UnsafeDirectory: somebody else could have written the entry.
            OSError: it cannot be read.
        """
        try:
            descriptor = os.open(self._file(key), os.O_RDONLY | _FLAGS)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or not _private(status):
                raise UnsafeDirectory(f"{self._file(key)} belongs to somebody else, or others can write to it")
            blob = file.read()
        if time.time() - status.st_mtime > DAY:
            self._touch(key)
        return blob

    def _touch(self, key: str) -> None:
        try:
            os.utime(self._file(key))
        except OSError:
            return  # it cannot be written, or is gone; it was read, which is what counts

    def write(self, key: str, blob: bytes) -> None:
        """Add or replace an entry; the least recently used ones make room for it.

        Raises:
            OSError: the disk is full, the folder cannot be written, or the entry alone is above the limit.
        """
        if len(blob) > self.limit:
            raise OSError(f"{len(blob)} bytes are more than the whole cache may have")
        self._prune(len(blob))
        unfinished = os.path.join(self.path, f"{key[:16]}-{os.getpid()}-{os.urandom(4).hex()}{UNFINISHED}")
        try:
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600), "wb") as file:
                file.write(blob)
            os.replace(unfinished, self._file(key))
        except OSError:
            _remove(unfinished)
            raise

    def remove(self, key: str) -> None:
        """Delete an entry, if it is there."""
        _remove(self._file(key))

    def entries(self) -> list[_File]:
        """Every entry; the least recently used first."""
        return sorted(self._files(SUFFIX), key=lambda file: file.used)

    def clear(self) -> int:
        """Delete every entry, and nothing else that lies there; how many there were."""
        found = self.entries()
        for file in (*found, *self._files(UNFINISHED)):
            _remove(file.path)
        return len(found)

    def _files(self, suffix: str) -> Iterator[_File]:
        try:
            with os.scandir(self.path) as listing:
                for item in listing:
                    if item.name.endswith(suffix):
                        try:
                            status = item.stat(follow_symlinks=False)
                        except FileNotFoundError:
                            continue  # another process deleted it
                        yield _File(item.path, status.st_mtime, status.st_size)
        except OSError:
            return  # it is gone, or may not be read

    def _prune(self, room: int) -> None:
        """Make room, and delete what writers left behind that were killed."""
        for file in self._files(UNFINISHED):
            if time.time() - file.used > HOUR:
                _remove(file.path)
        found = self.entries()
        total = sum(file.nbytes for file in found) + room
        for file in found:
            if total <= self.limit:
                break
            _remove(file.path)
            total -= file.nbytes


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return  # it is gone, or may not be deleted: then it stays
