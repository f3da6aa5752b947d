"""What a call did, as text, for comparing two libraries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def outcome(function: Callable[..., Any], *arguments: Any) -> str:
    """The repr of the result, or the class and message of the error."""
    try:
        return repr(function(*arguments))
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
