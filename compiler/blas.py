"""The addresses of BLAS routines, from the library that SciPy is built with.

SciPy offers them as capsules of the extension module `scipy.linalg.cython_blas`. Nothing is loaded before the first address
is asked for.
"""
from __future__ import annotations

import ctypes
from collections.abc import Callable
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
    """The capsules by name, and the file they are from under an empty name."""
    module: Any = extension("cython_blas")
    if module is None:
        return {}
    return {**module.__pyx_capi__, "": module.__file__}


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
def _on_one_thread() -> None:
    """Have SciPy's BLAS run on the thread that calls it.

    Products run in parts on our own threads. Those of OpenBLAS would compete with them, and wait for each other by spinning.
    The number is not changed back and forth: OpenBLAS releases memory then that a call on another thread may be using.
    """
    found = threads_of(_capsules()[""])
    if found is not None:
        found[1](1)


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
    _on_one_thread()
    return int(pointer(capsule, signature) or 0)
