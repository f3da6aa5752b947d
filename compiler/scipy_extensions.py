"""Extension modules of `scipy.linalg` by their files.

Importing one the ordinary way imports all of `scipy.linalg`, which takes a fifth of a second; its file alone loads in some
milliseconds. The first one that is loaded leaves SciPy's BLAS (not NumPy's, which is another) with one thread.
"""
from __future__ import annotations

import ctypes
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["extension", "lapack", "threads_of"]


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
    _on_one_thread(str(found.__file__))
    return found


def threads_of(library: str) -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """The functions that say and set how many threads OpenBLAS uses, None for another BLAS.

    Args:
        library: the file that has it, or that depends on it.
    """
    try:
        loaded = ctypes.CDLL(library)
    except OSError:
        return None
    for prefix in ("scipy_openblas", "openblas"):
        get, put = (getattr(loaded, f"{prefix}_{verb}_num_threads", None) for verb in ("get", "set"))
        if get is not None and put is not None:
            return get, put
    return None


@cache
def _on_one_thread(library: str) -> None:
    """Have SciPy's BLAS run on the thread that calls it.

    Products run in parts on our own threads. Those of OpenBLAS would compete with them, and wait for each other by spinning.
    The number is not changed back and forth: OpenBLAS releases memory then that a call on another thread may be using.
    """
    found = threads_of(library)
    if found is not None:
        found[1](1)


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


def lapack(dtype: Any, name: str) -> Any:
    """A routine of LAPACK for float32 or float64, as SciPy wraps it."""
    module = extension("_flapack") or importlib.import_module("scipy.linalg.lapack")  # which has the same, should the file be gone
    return getattr(module, ("s" if dtype.itemsize == 4 else "d") + name)
