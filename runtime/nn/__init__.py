"""`chainrule.nn`: parameters and the functions of neural networks."""
from __future__ import annotations

import importlib
from typing import Any

if __name__ != "chainrule.nn":  # a second copy would have classes of its own
    raise ImportError(f"chainrule.nn was imported as {__name__!r}; import `chainrule.nn`")

from ..runtime.tensor.parameter import Parameter

__all__ = ["Parameter"]


def __getattr__(name: str) -> Any:
    if name in ("functional", "init", "utils"):
        try:
            return importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError:
            pass
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
