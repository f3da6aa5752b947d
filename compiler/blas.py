"""The addresses of BLAS routines, from the library that SciPy is built with.

SciPy offers them as capsules of the extension module `scipy.linalg.cython_blas`. Importing that module the ordinary way
imports all of `scipy.linalg`, which takes a fifth of a second; its file alone loads in a few milliseconds. Nothing is loaded
before the first address is asked for.
"""
from __future__ import annotations

import ctypes
import importlib
import importlib.machinery
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["address", "routine"]

_NAME = "scipy.linalg.cython_blas"
_PREFIXES = {"float32": "s", "float64": "d"}
# What the emitted code relies on: characters, 32-bit integers and numbers, all by reference.
_GEMM = b"void (char *, char *, int *, int *, int *, T *, T *, int *, T *, int *, T *, T *, int *)"


def routine(dtype: Any) -> str:
    """The name of the matrix product of this dtype, empty where BLAS has none."""
    prefix = _PREFIXES.get(dtype.name)
    return f"{prefix}gemm" if prefix else ""


def _by_file() -> ModuleType | None:
    """The extension module by itself, None where its file is not found or needs more than itself."""
    package = importlib.util.find_spec("scipy")
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(folder, "linalg", f"cython_blas{suffix}")
            if path.is_file():
                try:
                    spec = importlib.util.spec_from_file_location(_NAME, path)
                    assert spec is not None
                    assert spec.loader is not None
                    module = importlib.util.module_from_spec(spec)
                    spec.loader.exec_module(module)
                except ImportError:
                    return None
                finally:  # Cython enters it there; the ordinary import also has to enter it into its package
                    sys.modules.pop(_NAME, None)
                return module
    return None


@cache
def _capsules() -> dict[str, Any]:
    module: Any = sys.modules.get(_NAME) or _by_file()
    if module is None:
        try:
            module = importlib.import_module(_NAME)
        except ImportError:
            return {}
    return dict(module.__pyx_capi__)


@cache
def address(name: str) -> int:
    """The address of `sgemm` or `dgemm`; 0 where there is none with the expected signature."""
    capsule = _capsules().get(name)
    if capsule is None:
        return 0
    text, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    text.restype, text.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    signature: bytes = text(capsule)
    number = next((w for w in signature.replace(b",", b" ").split() if w.startswith(b"__pyx_t")), b"T")
    return int(pointer(capsule, signature) or 0) if signature.replace(number, b"T") == _GEMM else 0
