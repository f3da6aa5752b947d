"""`chainrule.autograd`: the backward pass as functions, gradient modes, operations with gradients of their own."""
from __future__ import annotations

import importlib
import importlib.util
from types import TracebackType
from typing import Any

if __name__ != "chainrule.autograd":  # a second copy would have modes and classes of its own
    raise ImportError(f"chainrule.autograd was imported as {__name__!r}; import `chainrule.autograd`")

from ..runtime.tensor.engine import backward, grad
from ..runtime.tensor.function import Function, FunctionCtx
from ..runtime.tensor.modes import enable_grad, inference_mode, no_grad, set_grad_enabled, state
from ..runtime.tensor.tensor import Tensor as Variable
from . import function
from .gradcheck import GradcheckError, gradcheck, gradgradcheck

__all__ = ["Function", "FunctionCtx", "GradcheckError", "Variable", "backward", "detect_anomaly", "enable_grad",
           "function", "grad", "gradcheck",
           "gradgradcheck", "inference_mode",
           "is_anomaly_enabled", "no_grad", "set_detect_anomaly", "set_grad_enabled"]


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return state.anomaly


class set_detect_anomaly:
    """Turn anomaly detection on or off, at once; as a context manager, for the time of the block."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = state.anomaly, state.check_nan
        state.anomaly, state.check_nan = mode, check_nan

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: object) -> None:
        state.anomaly, state.check_nan = self._before


class detect_anomaly:
    """Raise where a gradient is nan, for the time of the block."""

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan

    def __enter__(self) -> None:
        self._before = state.anomaly, state.check_nan
        state.anomaly, state.check_nan = True, self._check_nan

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        state.anomaly, state.check_nan = self._before


def __getattr__(name: str) -> Any:
    if name in ("functional", "forward_ad", "graph") and importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
