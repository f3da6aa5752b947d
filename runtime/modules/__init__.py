"""Modules of neural networks, as `chainrule.nn` offers them."""

from __future__ import annotations

from typing import Any

from ..tensor.parameter import Parameter
from .containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from .convolution import CONVOLUTIONS
from .functions import MODULES
from .layers import LAYERS
from .module import Module
from .recurrent import RECURRENT
from .transformer import TRANSFORMERS

NAMES: dict[str, Any] = {
    "Module": Module,
    "Parameter": Parameter,
    "Sequential": Sequential,
    "ModuleList": ModuleList,
    "ModuleDict": ModuleDict,
    "ParameterList": ParameterList,
    "ParameterDict": ParameterDict,
    **MODULES,
    **LAYERS,
    **CONVOLUTIONS,
    **RECURRENT,
    **TRANSFORMERS,
}
