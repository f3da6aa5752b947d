"""The addresses of BLAS routines, from the library that SciPy is built with.

SciPy offers them as capsules of the extension module `scipy.linalg.cython_blas`. Nothing is loaded before the first address
is asked for.
"""
from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from .scipy_extensions import extension

__all__ = ["address", "routine"]

_PREFIXES = {"float32": "s", "float64": "d"}
# What the emitted code relies on: characters, 32-bit integers and numbers, all by reference.
_GEMM = b"void (char *, char *, int *, int *, int *, T *, T *, int *, T *, int *, T *, T *, int *)"


def routine(dtype: Any) -> str:
    """The name of the matrix product of this dtype, empty where BLAS has none."""
    prefix = _PREFIXES.get(dtype.name)
    return f"{prefix}gemm" if prefix else ""


@cache
def _capsules() -> dict[str, Any]:
    """The capsules by name."""
    module: Any = extension("cython_blas")
    if module is None:
        return {}
    return dict(module.__pyx_capi__)


@cache
def address(name: str) -> int:
    """The address of `sgemm` or `dgemm`; 0 where there is none with the expected signature.

    The first call that finds one leaves SciPy's BLAS (not NumPy's, which is another) with one thread.
    """
    capsule = _capsules().get(name)
    if capsule is None:
        return 0
    text, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    text.restype, text.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    signature: bytes = text(capsule)
    number = next((w for w in signature.replace(b",", b" ").split() if w.startswith(b"__pyx_t")), b"T")
    if signature.replace(number, b"T") != _GEMM:
        return 0
    return int(pointer(capsule, signature) or 0)
