"""What a function takes from outside of its arguments: globals, closure cells, attributes, and how they are watched."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...compiler.errors import ChainruleError
from ...compiler.trace import Session
from .signature import Bound
from .structure import Tree

__all__ = ["CaptureChangedError", "Captures", "Hidden"]


class CaptureChangedError(ChainruleError):
    """A captured array is gone, or of another dtype, rank or layout than when the function was traced."""


class Hidden:
    """A captured array as an input of the program."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self._array = array

    def fetch(self) -> Any:
        return self._array


class Captures:
    def __init__(self, function: Callable[..., Any], statics: Sequence[Any], bound: Bound, trees: Sequence[Tree]) -> None:
        self.function = function

    def origin(self, array: np.ndarray[Any, Any]) -> Any:
        return None

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any], session: Session) -> Any:
        return self.function(*args, **kwargs)

    def finish(self, session: Session) -> None:
        pass

    def hidden(self, session: Session) -> list[Hidden]:
        return [Hidden(c.array) for c in session.captured.values()]

    def changed(self) -> str:
        return ""
