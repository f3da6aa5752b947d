"""`python -m chainrule cache`: what the disk cache holds, and how it is emptied."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chainrule.runtime.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAINRULE_CACHE", "1")
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_says_what_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.mkdir(mode=0o700)
    (folder / ("a" * 64 + ".program")).write_bytes(bytes(1234))
    assert main(["cache"]) == 0
    assert f"{folder}: 1 programs, 1,234 of at most 536,870,912 bytes" in capsys.readouterr().out


def test_it_empties_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.mkdir(mode=0o700)
    (folder / ("a" * 64 + ".program")).write_bytes(bytes(1234))
    (folder / "notes.txt").write_text("the user's")
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out.startswith(f"1 programs deleted\n{folder}: 0 programs")
    assert os.listdir(folder) == ["notes.txt"]


@pytest.mark.usefixtures("folder")
def test_unknown_options_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["cache", "--claer"])
    assert "unrecognized arguments: --claer" in capsys.readouterr().err


def test_it_says_that_there_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", "0")
    assert main(["cache"]) == 0
    assert "no cache of compiled programs" in capsys.readouterr().out


def test_it_loads_no_compiler(folder: Path) -> None:
    code = ("import sys; from chainrule.runtime.main import main; main(['cache']); "
            "print(sorted({name.partition('.')[0] for name in sys.modules} & {'numba', 'llvmlite', 'sympy', 'rich'})); "
            "import chainrule.runtime.function; print('chainrule.compiler.rewrite' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["[]", "False"]  # nor do functions whose programs are in the cache need the rules
    assert str(folder) in done.stdout
