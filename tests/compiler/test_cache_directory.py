"""The folder of the disk cache: private, of limited size, never in the way."""
from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from chainrule.compiler.cache.directory import DAY, HOUR, Directory, UnsafeDirectory

KEYS = [f"{k:064x}" for k in range(10)]


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "cache", 1000)


def names(directory: Directory) -> list[str]:
    return sorted(os.listdir(directory.path))


def set_used(directory: Directory, key: str, ago: float) -> None:
    used = time.time() - ago
    os.utime(directory.path / f"{key}.program", (used, used))


def test_the_folder_and_its_entries_are_private(directory: Directory) -> None:
    directory.write(KEYS[0], b"abc")
    assert directory.path.stat().st_mode & 0o777 == 0o700
    assert (directory.path / names(directory)[0]).stat().st_mode & 0o777 == 0o600


def test_an_entry_is_read_as_written_and_replaced_as_a_whole(directory: Directory) -> None:
    assert directory.read(KEYS[0]) is None
    directory.write(KEYS[0], b"abc")
    directory.write(KEYS[0], b"de")
    assert directory.read(KEYS[0]) == b"de"
    assert names(directory) == [f"{KEYS[0]}.program"]
    directory.remove(KEYS[0])
    directory.remove(KEYS[0])
    assert directory.read(KEYS[0]) is None


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(UnsafeDirectory, match="others can write"):
        Directory(tmp_path, 1000)


def test_what_belongs_to_another_user_is_refused(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.write(KEYS[0], b"abc")
    monkeypatch.setattr(os, "getuid", lambda: directory.path.stat().st_uid + 1)
    with pytest.raises(UnsafeDirectory, match="belongs to somebody else"):
        directory.read(KEYS[0])
    with pytest.raises(UnsafeDirectory, match="belongs to somebody else"):
        Directory(directory.path, 1000)


def test_what_others_can_write_to_a_link_or_a_pipe_is_not_read(directory: Directory, tmp_path: Path) -> None:
    directory.write(KEYS[0], b"abc")
    entry = directory.path / f"{KEYS[0]}.program"
    entry.chmod(0o666)
    with pytest.raises(UnsafeDirectory):
        directory.read(KEYS[0])
    (tmp_path / "elsewhere").write_bytes(b"abc")
    entry.unlink()
    entry.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        directory.read(KEYS[0])
    entry.unlink()
    os.mkfifo(entry)
    with pytest.raises(UnsafeDirectory):
        directory.read(KEYS[0])


def test_a_full_disk_leaves_nothing_behind(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.write(KEYS[0], b"abc")
    opened = os.fdopen

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def write(self, content: bytes) -> int:
            self.file.write(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdopen", lambda descriptor, mode: Full(opened(descriptor, mode)))
    with pytest.raises(OSError, match="No space left"):
        directory.write(KEYS[0], b"longer than before")
    monkeypatch.undo()
    assert directory.read(KEYS[0]) == b"abc"
    assert names(directory) == [f"{KEYS[0]}.program"]


def test_the_least_recently_used_entries_make_room(directory: Directory) -> None:
    for k, key in enumerate(KEYS[:5]):
        directory.write(key, bytes(200))
        set_used(directory, key, ago=(10 - k) * HOUR)
    set_used(directory, KEYS[0], ago=HOUR)
    directory.write(KEYS[5], bytes(300))
    assert names(directory) == [f"{KEYS[k]}.program" for k in (0, 3, 4, 5)]
    assert sum(entry.nbytes for entry in directory.entries()) == 900


def test_an_entry_above_the_limit_is_not_written(directory: Directory) -> None:
    directory.write(KEYS[0], bytes(900))
    with pytest.raises(OSError, match="more than the whole cache"):
        directory.write(KEYS[1], bytes(1001))
    assert len(directory.entries()) == 1


def test_reading_counts_as_use_once_a_day(directory: Directory) -> None:
    directory.write(KEYS[0], b"abc")
    directory.write(KEYS[1], b"abc")
    set_used(directory, KEYS[0], ago=2 * DAY)
    set_used(directory, KEYS[1], ago=DAY / 2)
    for key in KEYS[:2]:
        assert directory.read(key) == b"abc"
    ages = {os.path.basename(entry.path)[:64]: time.time() - entry.used for entry in directory.entries()}
    assert ages[KEYS[0]] < HOUR
    assert ages[KEYS[1]] > DAY / 3


def test_what_a_killed_writer_left_is_removed_later(directory: Directory) -> None:
    for name, ago in (("old.tmp", 2 * HOUR), ("new.tmp", 0.0)):
        (directory.path / name).write_bytes(b"half an ent")
        os.utime(directory.path / name, (time.time() - ago,) * 2)
    directory.write(KEYS[0], b"abc")
    assert names(directory) == [f"{KEYS[0]}.program", "new.tmp"]


def test_clearing_deletes_entries_and_nothing_else(directory: Directory) -> None:
    directory.write(KEYS[0], b"abc")
    directory.write(KEYS[1], b"abc")
    (directory.path / "half.tmp").write_bytes(b"abc")
    (directory.path / "notes.txt").write_text("the user's")
    assert directory.clear() == 2
    assert names(directory) == ["notes.txt"]


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Directory(tmp_path / "file" / "cache", 1000)
