"""Everything that `chainrule.<name>` offers of torch's names."""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .. import torch_types
from . import create, modes, tensor as _tensor
from .function import custom_node
from .parameter import Parameter
from .row import FUNCTIONS

_VALUES: dict[str, Any] = {
    **FUNCTIONS, **torch_types.NAMES,
    "Tensor": _tensor.Tensor, "Parameter": Parameter, "Size": torch_types.Size, "device": torch_types.device, "dtype": torch_types.dtype,
    "layout": torch_types.layout, "memory_format": torch_types.memory_format, "strided": torch_types.strided,
    **{name: getattr(torch_types, name) for name in (
        "contiguous_format", "preserve_format", "channels_last", "channels_last_3d", "set_default_dtype", "get_default_dtype",
        "finfo", "iinfo", "promote_types", "can_cast", "result_type", "set_printoptions")},
    **{name: getattr(modes, name) for name in (
        "no_grad", "enable_grad", "set_grad_enabled", "inference_mode", "is_grad_enabled", "is_inference_mode_enabled")},
    **create.legacy_classes(), "is_anomaly_enabled": lambda: modes.state.anomaly,
    "custom_node": custom_node, "pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan, "newaxis": None,
}
globals().update(_VALUES)
__all__ = sorted(_VALUES)

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
