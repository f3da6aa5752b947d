"""Where things are in the repository, and what `pyproject.toml` says about them."""
from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
_SETUPTOOLS = PYPROJECT["tool"]["setuptools"]

# Folders of runtime/ that users import as chainrule.<name>, as torch's are.
TORCH_NAMED_FOLDERS = frozenset({"autograd", "func", "linalg", "nn", "optim", "special", "testing"})


def package_folders() -> dict[str, Path]:
    """Every package that setuptools is told to ship, with its folder (the longest mapped prefix decides, as there)."""
    mapped = {name: ROOT / folder for name, folder in _SETUPTOOLS["package-dir"].items()}
    folders = {}
    for package in _SETUPTOOLS["packages"]:
        prefix, rest = package, []
        while prefix not in mapped:
            prefix, _, last = prefix.rpartition(".")
            rest.insert(0, last)
        folders[package] = mapped[prefix].joinpath(*rest)
    return folders


def module_files() -> Iterator[tuple[str, Path]]:
    """Every module that ships, by its import name, with its file in the repository."""
    for package, folder in package_folders().items():
        for path in sorted(folder.glob("*.py")):
            yield package if path.stem == "__init__" else f"{package}.{path.stem}", path


def package_name(folder: Path) -> str:
    """The import name that a folder under compiler/ or runtime/ has to have."""
    parts = folder.relative_to(ROOT).parts
    if parts[0] == "runtime" and len(parts) > 1 and parts[1] in TORCH_NAMED_FOLDERS:
        parts = parts[1:]
    return ".".join(("chainrule", *parts))


def fenced_blocks(markdown: str) -> list[tuple[str, str]]:
    """The fenced code blocks of a Markdown text, as (language, text)."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", markdown, flags=re.MULTILINE | re.DOTALL)
