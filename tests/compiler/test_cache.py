"""The disk cache as `pipeline.build` uses it: what another process compiled is loaded, and nothing is derived."""
from __future__ import annotations

import errno
import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cached_programs
import numpy as np
import pytest
from cached_programs import GRADIENT, built, cubic, determinant, gradients, picked

from chainrule.compiler import cache as caching, derivation, op
from chainrule.compiler.cache import cache, key
from chainrule.compiler.cache.entry import _START as START
from chainrule.compiler.cache.key import Unkeyed, key_of, sources_digest
from chainrule.compiler.errors import IndexingError
from chainrule.compiler.interpret import run
from chainrule.compiler.ir import Graph, current, f, make
from chainrule.compiler.pipeline import Options, Request, build
from chainrule.compiler.provenance import Site
from chainrule.compiler.sizes import Guard, symbol
from chainrule.compiler.stages import STAGES

GRADIENT_OF_X = Request("gradient", (0,))
EXPECTED = [[9.0, 36.0, 81.0], [-8.0, -10.0, -12.0]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for one test, and no memory of other ones."""
    monkeypatch.setenv("CHAINRULE_CACHE", "1")
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("CHAINRULE_CACHE_SIZE", raising=False)
    monkeypatch.setattr(caching, "_state", caching._State())
    monkeypatch.setattr(key, "_sources", cached_programs.unchanging)  # sources may be edited while tests run
    return tmp_path / "cache"


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.program"))


def in_process(what: str, folder: Path) -> dict[str, Any]:
    """What a new process saw."""
    done = subprocess.run([sys.executable, "-m", "cached_programs", what], env=environment(folder), capture_output=True,
                          text=True, timeout=120, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "CHAINRULE_CACHE": "1",
            "CHAINRULE_CACHE_DIR": str(folder)}


# ---------------------------------------------------------------------------------------------------- hits and misses
def test_the_second_build_loads_what_the_first_one_compiled(folder: Path) -> None:
    first, second = built(), built()
    assert (first.cached, second.cached) == (False, True)
    assert gradients(first) == gradients(second) == EXPECTED
    for a, b in zip(first.program.run([cached_programs.A, cached_programs.B]),
                    second.program.run([cached_programs.A, cached_programs.B]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (cache.info().hits, cache.info().misses, cache.info().notes) == (1, 1, ())
    assert list(second.seconds) == ["lookup", "load"]
    assert set(first.seconds) == set(STAGES) - {"trace", "load"}


@pytest.mark.usefixtures("folder")
def test_a_hit_derives_nothing_until_somebody_looks() -> None:
    first = built()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(derivation, "derive", None)
        second = built()
        assert gradients(second) == EXPECTED
        assert second.program.temporaries == first.program.temporaries
    assert str(second.differentiated) == str(first.differentiated)
    assert str(second.simplified) == str(first.simplified)
    assert [str(step) for step in second.steps] == [str(step) for step in first.steps]
    assert str(second.program.plan) == str(first.program.plan)
    assert second.program.source() == first.program.source()
    assert second.program.kernels == first.program.kernels
    assert second.program.graph is second.simplified


def test_a_new_process_imports_no_compiler_and_derives_nothing(folder: Path) -> None:
    cold, warm = in_process("build", folder), in_process("build", folder)
    assert not cold["cached"]
    assert "numba" in cold["loaded"]
    assert warm == {"cached": True, "gradients": EXPECTED, "loaded": [], "derived": []}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("program", "arrays"), [
    (determinant, [np.array([[0.3, 1.0], [2.0, -0.4]])]),
    (picked, [np.array([1.0, -2.0, 3.0]), np.array([2, 0, 2])]),
], ids=["routine", "indices"])
def test_calls_and_checks_are_loaded_too(program: Callable[[], Graph], arrays: list[Any]) -> None:
    request = Request("value_and_gradient", (0,))
    first, second = build(program(), request), build(program(), request)
    assert (first.cached, second.cached) == (False, True)
    interpreted = run(first.simplified, arrays)
    for a, b, c in zip(first.program.run(arrays), second.program.run(arrays), interpreted, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(b, c, rtol=1e-12)


@pytest.mark.usefixtures("folder")
def test_an_error_of_a_loaded_program_names_the_line_of_this_trace() -> None:
    def traced(line: int) -> Graph:
        current.sites = frozenset([Site("loss.py", line)])
        try:
            return picked()
        finally:
            current.sites = frozenset()

    for line, cached in ((8, False), (12, True)):
        made = build(traced(line), GRADIENT_OF_X)
        assert made.cached is cached
        with pytest.raises(IndexingError, match=rf"index 3 .* axis 0 with size 3 \(at loss.py:{line}\)") as caught:
            made.program.run([np.ones(3), np.array([0, 3])])
        del made, caught
        gc.collect()  # or the second trace would find the nodes of the first


def test_it_can_be_turned_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", "0")
    assert not built().cached
    assert not built().cached
    assert cache.info().path is None
    assert not folder.exists()
    assert cache.clear() == 0


# ---------------------------------------------------------------------------------------------------- keys
def keyed(graph: Graph, *settings: Any) -> str:
    return key_of(graph, settings)


@pytest.mark.usefixtures("folder")
def test_the_key_is_that_of_the_program_and_of_nothing_else() -> None:
    known = keyed(cubic(), GRADIENT, Options())
    current.sites = frozenset([Site("elsewhere.py", 7)])
    try:
        assert keyed(cubic(), GRADIENT, Options()) == known
    finally:
        current.sites = frozenset()
    assert keyed(cubic(size=50), GRADIENT, Options()) == known  # an example's sizes are hints
    guard = Guard("!=", symbol("s0"), 3, Site("loss.py", 1))
    guarded = keyed(cubic(guards=(guard,)), GRADIENT, Options())
    assert keyed(cubic(guards=(guard._replace(site=None),)), GRADIENT, Options()) == guarded
    others = [
        guarded,
        keyed(cubic(guards=(guard._replace(right=4),)), GRADIENT, Options()),
        keyed(cubic(factor=3.5), GRADIENT, Options()),
        keyed(cubic(factor=-0.0), GRADIENT, Options()),
        keyed(cubic(factor=0.0), GRADIENT, Options()),
        keyed(cubic(names="ac"), GRADIENT, Options()),
        keyed(cubic(), Request("gradient", (0,)), Options()),
        keyed(cubic(), Request("value_and_gradient", (0, 1)), Options()),
        keyed(cubic(), GRADIENT, Options(stabilise=False)),
        keyed(cubic(), GRADIENT, Options(fastmath=True)),
        keyed(cubic(), GRADIENT, Options(), cached_programs.ENTRY.layout()),
        keyed(determinant(), GRADIENT, Options()),
    ]
    assert len({known, *others}) == 1 + len(others)


@pytest.mark.usefixtures("folder")
def test_the_key_depends_on_the_settings_of_numba() -> None:
    keys = {key_of(cubic(), (), environ) for environ in ({}, {"NUMBA_OPT": "1"}, {"NUMBA_CPU_NAME": "generic"})}
    assert len(keys) == 3


@pytest.mark.usefixtures("folder")
def test_parameters_that_look_alike_have_different_keys() -> None:
    x = make("input", shape=(symbol("s0"),), dtype=np.dtype(float), position=0, name="x")
    sizes = [f.sum(f.reshape(x, shape=(symbol("s0"), 1)), axes=axes) for axes in ((0,), (1,), (0, 1))]
    assert len({keyed(Graph((x,), (y,))) for y in sizes}) == 3
    values = ("s0", symbol("s0"), ("s0",), 1, True, 1.0, "1", b"1", None, np.dtype("f8"), Options())
    assert len({key._text(value) for value in values}) == len(values)


@pytest.mark.usefixtures("folder")
def test_what_no_hash_covers_is_not_cached() -> None:
    with pytest.raises(Unkeyed, match="function has no key"):
        keyed(cubic(), lambda: None)
    assert caching.slot(cubic(), [object()]) is None
    assert cache.info().notes == ("a object has no key",)


def test_a_change_of_a_source_changes_the_key(tmp_path: Path) -> None:
    (tmp_path / "ops").mkdir()
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "ops" / "b.py").write_text("y = 1\n")
    later = time.time() + 100.0
    known = sources_digest(tmp_path, later)
    assert sources_digest(tmp_path, later) == known
    (tmp_path / "notes.txt").write_text("no source")
    assert sources_digest(tmp_path, later) == known
    (tmp_path / "ops" / "b.py").write_text("y = 2\n")
    changed = sources_digest(tmp_path, later)
    (tmp_path / "ops" / "b.py").rename(tmp_path / "ops" / "c.py")
    assert len({known, changed, sources_digest(tmp_path, later)}) == 3


def test_sources_that_changed_since_they_were_imported_or_are_not_there_give_no_key(tmp_path: Path) -> None:
    with pytest.raises(Unkeyed, match="not there"):
        sources_digest(tmp_path, time.time())
    (tmp_path / "a.py").write_text("x = 1\n")
    with pytest.raises(Unkeyed, match="was changed after"):
        sources_digest(tmp_path, time.time() - 3600.0)


@pytest.mark.usefixtures("folder")
def test_a_source_change_makes_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not built().cached
    monkeypatch.setattr(key, "_sources", lambda: "another hash")
    assert not built().cached
    monkeypatch.undo()


# ---------------------------------------------------------------------------------------------------- damage
@pytest.mark.parametrize("damage", [lambda blob: blob[:1000], lambda blob: b"", lambda blob: blob[:-1] + b"\xff" + blob[-1:],
                                    lambda blob: b"x" + blob[1:], lambda blob: bytes(len(blob))])
def test_a_damaged_entry_is_compiled_again_and_replaced(folder: Path, damage: Any) -> None:
    built()
    (entry,) = entries(folder)
    good = entry.read_bytes()
    entry.write_bytes(damage(good))
    again = built()
    assert not again.cached
    assert gradients(again) == EXPECTED
    assert len(cache.info().notes) == 1
    assert built().cached


def test_a_flipped_bit_anywhere_in_an_entry_means_compiling_again(folder: Path) -> None:
    built()
    (entry,) = entries(folder)
    good = entry.read_bytes()
    header = START.size + START.unpack_from(good)[2]
    code = header + json.loads(good[START.size:header])["record"]
    places = {"magic": 0, "version": 8, "length": 12, "checksum": 30, "header": START.size + 3, "record": header + 40,
              "ELF header": code + 18, "machine code": code + 300, "symbols": len(good) - 20, "last byte": len(good) - 1}
    assert list(places.values()) == sorted(places.values())
    for place in places.values():
        damaged = bytearray(good)
        damaged[place] ^= 0x10
        entry.write_bytes(damaged)
        again = built()
        assert not again.cached
        assert gradients(again) == EXPECTED
    assert len(cache.info().notes) == len(places)
    assert built().cached


def test_swapped_entries_are_compiled_again(folder: Path) -> None:
    built()
    (first,) = entries(folder)
    build(cubic(factor=5.0), GRADIENT, entry=cached_programs.ENTRY)
    (second,) = set(entries(folder)) - {first}
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    again = built()
    assert not again.cached
    assert gradients(again) == EXPECTED
    assert "another key" in cache.info().notes[-1]


def test_an_entry_that_others_can_write_to_is_compiled_again(folder: Path) -> None:
    built()
    entries(folder)[0].chmod(0o666)
    assert not built().cached
    assert built().cached
    assert entries(folder)[0].stat().st_mode & 0o777 == 0o600


def test_a_killed_writer_leaves_nothing_that_is_read(folder: Path) -> None:
    died = subprocess.run([sys.executable, "-m", "cached_programs", "die"], env=environment(folder), capture_output=True,
                          timeout=120)
    assert died.returncode == -signal.SIGKILL
    (left,) = folder.glob("*.tmp")
    assert not entries(folder)
    assert not built().cached
    assert left.exists()  # it may be of a writer that is at work
    os.utime(left, (time.time() - 7200.0,) * 2)
    build(cubic(factor=5.0), GRADIENT)
    assert not left.exists()
    assert len(entries(folder)) == 2


# ---------------------------------------------------------------------------------------------------- folders
def test_a_full_disk_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert gradients(built()) == EXPECTED
    assert not built().cached
    assert os.listdir(folder) == []
    assert "No space left" in cache.info().notes[-1]


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_still_read(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    built()
    opened, age = os.open, time.time() - 3 * 86_400.0
    os.utime(entries(folder)[0], (age, age))

    def read_only(path: Any, flags: int, *mode: int) -> int:
        if flags & os.O_WRONLY:
            raise OSError(code, os.strerror(code))
        return opened(path, flags, *mode)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(os, "utime", refuse)
    assert built().cached
    made = build(cubic(factor=5.0), GRADIENT, entry=cached_programs.ENTRY)
    assert not made.cached
    assert gradients(made)[0] == [15.0, 60.0, 135.0]
    assert len(entries(folder)) == 1


def test_a_folder_that_cannot_be_made_means_no_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / "file").write_text("")
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(folder.parent / "file" / "cache"))
    assert gradients(built()) == EXPECTED
    assert cache.info().path is None


@pytest.mark.usefixtures("folder")
def test_a_missing_home_means_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    import platformdirs

    monkeypatch.delenv("CHAINRULE_CACHE_DIR")
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *args, **kwargs: "~/.cache/chainrule")
    assert gradients(built()) == EXPECTED
    assert "no home directory" in cache.info().notes[0]


def test_a_folder_that_others_can_write_to_is_refused_with_one_warning(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="others can write to it.*chmod 700") as caught:
        made = [built(), built()]
    assert [program.cached for program in made] == [False, False]
    assert len(caught) == 1
    assert not list(folder.iterdir())


@pytest.mark.parametrize(("text", "expected"), [
    ("1000", 1000), ("64K", 64 << 10), ("3 MiB", 3 << 20), ("1gb", 1 << 30), ("0", 0),
])
def test_the_limit_is_read_with_its_unit(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: int) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE_SIZE", text)
    assert cache.info().limit == expected


@pytest.mark.usefixtures("folder")
def test_a_limit_that_is_none_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE_SIZE", "plenty")
    with pytest.warns(RuntimeWarning, match="'plenty' is not a size such as 512M"):
        assert cache.info().limit == 512 << 20


def test_a_limit_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built()
    size = cache.info().bytes
    monkeypatch.setenv("CHAINRULE_CACHE_SIZE", str(2 * size + size // 2))
    for k, entry in enumerate(entries(folder)):
        os.utime(entry, (time.time() - 1000.0 + k,) * 2)
    for factor in (5.0, 7.0, 9.0):
        build(cubic(factor=factor), GRADIENT, entry=cached_programs.ENTRY)
    assert cache.info().entries == 2
    assert cache.info().bytes <= cache.info().limit
    assert not built().cached


def test_info_and_clear(folder: Path) -> None:
    built()
    build(determinant(), GRADIENT_OF_X)
    info = cache.info()
    assert (info.path, info.entries, info.limit) == (folder, 2, 512 << 20)
    assert info.bytes == sum(entry.stat().st_size for entry in entries(folder))
    assert str(folder) in repr(cache)
    assert "2 programs" in repr(cache)
    assert cache.clear() == 2
    assert cache.info().entries == 0
    assert not built().cached


# ---------------------------------------------------------------------------------------------------- processes
@pytest.mark.slow
def test_processes_that_compile_the_same_at_once_do_no_harm(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(8) as pool:
        barrier = manager.Barrier(8)
        results = pool.map(cached_programs.compile_together, [barrier] * 8, chunksize=1)
    assert [gradient for _, gradient in results] == [EXPECTED] * 8
    assert [path.suffix for path in folder.iterdir()] == [".program"]
    again = built()
    assert again.cached
    assert gradients(again) == EXPECTED


def test_every_compiled_op_can_be_stored(folder: Path) -> None:
    """What the code of each elementwise op needs is on the list of what is allowed."""
    n = symbol("s0")
    for dtype in ("f8", "f4", "i8", "?"):
        x, y = (make("input", shape=(n,), dtype=np.dtype(dtype), position=k, name=name) for k, name in enumerate("xy"))
        outputs = []
        for entry in op.all_ops():
            kind = {"f": "float", "i": "int", "b": "bool"}[np.dtype(dtype).kind]
            if entry.lowering is None or entry.kind != "elementwise" or entry.params or kind not in entry.dtypes:
                continue
            inputs = {1: (x,), 2: (x, y)}.get(entry.arity or 0)
            if inputs is not None:
                outputs.append(make(entry, inputs))
        assert len(outputs) > 10 or dtype == "?"
        for again in (False, True):
            assert build(Graph((x, y), tuple(outputs)), Request("value")).cached == again
    assert cache.info().notes == ()
    assert len(entries(folder)) == 4
