"""`chainrule.nn`: modules, parameters and the functions of neural networks."""

from __future__ import annotations

import importlib
from typing import Any

if __name__ != "chainrule.nn":  # a second copy would have classes of its own
    raise ImportError(f"chainrule.nn was imported as {__name__!r}; import `chainrule.nn`")

from ..runtime.modules import NAMES
from ..runtime.tensor.parameter import Parameter

globals().update(NAMES)
__all__ = ["Parameter", *(name for name in NAMES if name != "Parameter")]


def __getattr__(name: str) -> Any:
    if name in ("functional", "init", "parameter", "utils"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
