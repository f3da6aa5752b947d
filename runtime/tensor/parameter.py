"""`nn.Parameter`: a leaf that requires grad, and that modules collect."""
from __future__ import annotations

from typing import Any

from .create import FLOAT_ONLY
from .tensor import Tensor, TensorType, alias_of, wrap_array


class ParameterType(TensorType):
    """Parameters are recognised by type."""


class Parameter(Tensor, metaclass=ParameterType):
    """A tensor that is a parameter: a leaf, by default one that requires grad."""

    _is_parameter = True

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        import numpy as np

        source = wrap_array(np.empty((0,), np.float32)) if data is None else data
        if requires_grad and not source._dtype.is_floating_point:
            raise RuntimeError(FLOAT_ONLY)
        made: Any = alias_of(source, cls)
        made._requires_grad = bool(requires_grad)
        return made  # type: ignore[no-any-return]
