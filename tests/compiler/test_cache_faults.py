"""The disk cache when the machine fails it: writers killed at any moment, full disks, file systems that are read-only."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

EXPECTED = [[9.0, 36.0, 81.0], [-8.0, -10.0, -12.0]]
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, and kills what it forked")


def python(*arguments: str, **environment: str) -> str:
    """What a Python process prints; it must succeed."""
    wanted = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "CHAINRULE_CACHE": "1", **environment}
    done = subprocess.run([sys.executable, *arguments], env=wanted, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def built_in_process(**environment: str) -> bool:
    """Whether a process, in which the gradient comes out right, found its program in the cache."""
    seen: dict[str, Any] = json.loads(python("-m", "cached_programs", "build", **environment))
    assert seen["gradients"] == EXPECTED
    return bool(seen["cached"])


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes file systems in memory."""
    made: list[Path] = []

    def mount(options: str) -> Path:
        if shutil.which("mount") is None or os.geteuid() != 0:
            pytest.skip("only root can mount a file system")
        place = tmp_path / f"disk{len(made)}"
        place.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], capture_output=True).returncode:
            pytest.skip("this system mounts nothing")
        made.append(place)
        return place

    yield mount
    for place in made:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from chainrule.compiler.cache.directory import Directory

directory, key, size = Directory(Path(sys.argv[1]), 1 << 30), "0" * 64, 4_000_000
rng = random.Random(0)
for turn in range(400):
    child = os.fork()
    if not child:
        for k in range(1, 10_000):
            directory.write(key, bytes([k % 256]) * size)
        os._exit(1)
    time.sleep(rng.uniform(0.0, 0.02))
    os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    blob = directory.read(key)
    assert blob is None or blob == blob[:1] * size
    if turn >= 40 and blob is not None:  # on a busy machine it can take long until one of them finishes a file
        break
print(blob is not None, len(list(directory.path.glob("*.tmp"))))
"""


@posix
def test_writers_killed_at_random_moments_leave_whole_entries(tmp_path: Path) -> None:
    written, unfinished = python("-c", KILLED, str(tmp_path / "cache")).split()
    assert written == "True"
    assert int(unfinished) > 0  # some were killed while they wrote


TOGETHER = """
import os, random, sys, time
from pathlib import Path
from chainrule.compiler.cache.directory import Directory

directory, keys = Directory(Path(sys.argv[1]), 1_000_000), [f"{k:064x}" for k in range(12)]
children = []
for number in range(8):
    child = os.fork()
    if not child:
        rng, hits, lost, end = random.Random(number), 0, 0, time.monotonic() + 1.5
        while time.monotonic() < end:
            k, what = rng.randrange(12), rng.random()
            if what < 0.4:
                try:
                    directory.write(keys[k], bytes([k]) * (100_000 + k))
                except FileNotFoundError:  # another process cleared the unfinished file away
                    lost += 1
            elif what < 0.98:
                blob = directory.read(keys[k])
                assert blob is None or blob == bytes([k]) * (100_000 + k)
                hits += blob is not None
            else:
                directory.clear() if rng.random() < 0.5 else directory.remove(keys[k])
        os._exit(0 if hits > 10 * lost else 2)
    children.append(child)
print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
left = directory.entries()
print(sum(entry.nbytes for entry in left) <= 2_000_000)
"""


@posix
def test_processes_that_write_read_prune_and_clear_at_once(tmp_path: Path) -> None:
    done = python("-c", TOGETHER, str(tmp_path / "cache"))
    assert done.split() == ["0"] * 8 + ["True"]


def test_a_full_disk(mounted: Callable[[str], Path]) -> None:
    disk = mounted("size=4k,mode=700")
    for _ in range(2):
        assert not built_in_process(CHAINRULE_CACHE_DIR=str(disk / "cache"))
        assert list((disk / "cache").iterdir()) == []


@posix
def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    limited = ("import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048)); sys.argv[1:] = ['build']; "
               "runpy.run_module('cached_programs', run_name='__main__')")
    seen = json.loads(python("-c", limited, CHAINRULE_CACHE_DIR=str(tmp_path / "cache"), PYTHONDONTWRITEBYTECODE="1"))
    assert (seen["cached"], seen["gradients"]) == (False, EXPECTED)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_home_on_a_read_only_file_system(mounted: Callable[[str], Path]) -> None:
    home = mounted("ro,mode=700")
    assert not built_in_process(HOME=str(home), XDG_CACHE_HOME="", CHAINRULE_CACHE_DIR="")
    assert list(home.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert not built_in_process(HOME=str(tmp_path), XDG_CACHE_HOME="", CHAINRULE_CACHE_DIR="")
    tmp_path.chmod(0o700)


def test_a_cache_on_a_file_system_that_became_read_only_is_still_read(mounted: Callable[[str], Path]) -> None:
    disk = mounted("size=10m,mode=700")
    assert not built_in_process(CHAINRULE_CACHE_DIR=str(disk / "cache"))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert built_in_process(CHAINRULE_CACHE_DIR=str(disk / "cache"))
