"""`np.arange(n)` and `np.eye(n)` of a traced size, which would otherwise become plain numbers.

NumPy asks an argument of these functions for an integer, and has no protocol by which a size could answer with a traced
array. So while a thread traces, the two names of the module `numpy` are functions that look at their arguments first;
calls without a traced size go to NumPy unchanged, from whatever thread they come.
"""
from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .symint import SymInt

__all__ = ["symbolic_ramps"]

_NAMES = ("arange", "eye")
_lock = threading.Lock()
_users = 0
_originals: dict[str, Callable[..., Any]] = {}


def _looking(original: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def ramp(*args: Any, **kwargs: Any) -> Any:
        given = (*args, *kwargs.values())
        if any(isinstance(a, SymInt) for a in given) and not any(isinstance(a, float) for a in given):
            return call(original, args, kwargs)
        return original(*args, **kwargs)

    return ramp


@contextmanager
def symbolic_ramps() -> Iterator[None]:
    """Inside, `np.arange` and `np.eye` of a traced size are traced arrays."""
    global _users
    from .functions import call  # its table is made of NumPy's own functions

    with _lock:
        _users += 1
        if _users == 1:
            for name in _NAMES:
                _originals[name] = getattr(np, name)
                setattr(np, name, _looking(_originals[name], call))
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                for name, original in _originals.items():
                    setattr(np, name, original)
                _originals.clear()
