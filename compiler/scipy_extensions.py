"""Extension modules of `scipy.linalg` by their files.

Importing one the ordinary way imports all of `scipy.linalg`, which takes a fifth of a second; its file alone loads in some
milliseconds.
"""
from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

__all__ = ["extension"]


@cache
def extension(name: str) -> ModuleType | None:
    """The extension module `scipy.linalg.name`, None where there is none."""
    whole = f"scipy.linalg.{name}"
    found = sys.modules.get(whole) or _by_file(name, whole)
    if found is None:
        try:
            found = importlib.import_module(whole)
        except ImportError:
            return None
    return found


def _by_file(name: str, whole: str) -> ModuleType | None:
    """The module by itself, None where its file is not found or needs more than itself."""
    package = importlib.util.find_spec("scipy")
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(folder, "linalg", f"{name}{suffix}")
            if path.is_file():
                try:
                    spec = importlib.util.spec_from_file_location(whole, path)
                    assert spec is not None
                    assert spec.loader is not None
                    module = importlib.util.module_from_spec(spec)
                    spec.loader.exec_module(module)
                except ImportError:
                    return None
                finally:  # Cython enters it there; the ordinary import also has to enter it into its package
                    sys.modules.pop(whole, None)
                return module
    return None
