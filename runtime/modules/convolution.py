"""Convolutions as layers."""

from __future__ import annotations

import math
from typing import Any

from ..tensor.functional import FUNCTIONAL as F
from ..tensor.table.windows import each
from . import init
from .layers import _parameter
from .module import Module

_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


class _Convolution(Module):
    """What convolutions of all dimensions share.

    Attributes:
        _dimensions: of space.
        _transposed: whether this is the adjoint.
    """

    _dimensions = 1
    _transposed = False
    weight: Any

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__()
        order = (
            ("output_padding", "groups", "bias", "dilation", "padding_mode", "device", "dtype")
            if self._transposed
            else ("dilation", "groups", "bias", "padding_mode", "device", "dtype")
        )
        given = {
            "dilation": 1,
            "groups": 1,
            "bias": True,
            "padding_mode": "zeros",
            "output_padding": 0,
            **dict(zip(order, args, strict=False)),
            **kwargs,
        }
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, given["groups"]
        if self.groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % self.groups:
            raise ValueError("out_channels must be divisible by groups")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}")
        if given["padding_mode"] not in _MODES:
            raise ValueError(f"padding_mode must be one of {set(_MODES)}, but got padding_mode='{given['padding_mode']}'")
        count = self._dimensions
        self.kernel_size, self.stride, self.dilation = (each(v, count) for v in (kernel_size, stride, given["dilation"]))
        self.padding = padding if isinstance(padding, str) else each(padding, count)
        self.output_padding, self.padding_mode = each(given["output_padding"], count), given["padding_mode"]
        channels = (in_channels, out_channels // self.groups) if self._transposed else (out_channels, in_channels // self.groups)
        self.weight = _parameter((*channels, *self.kernel_size), given.get("dtype"))
        self.register_parameter("bias", _parameter((out_channels,), given.get("dtype")) if given["bias"] else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init.fan_in_and_out(self.weight)
            bound = 1 / math.sqrt(fan_in) if fan_in else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Any:
        """The convolution of the input."""
        count = self._dimensions
        if self._transposed:
            return F[f"conv_transpose{count}d"](
                input, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
            )
        padding = self.padding
        if self.padding_mode != "zeros" and not isinstance(padding, str):
            around = [p for p in reversed(padding) for _ in range(2)]
            input, padding = F["pad"](input, around, mode=_MODES[self.padding_mode]), (0,) * count
        return F[f"conv{count}d"](input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        none = (0,) * self._dimensions
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != none:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self._dimensions:
            text += f", dilation={self.dilation}"
        if self.output_padding != none:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else text + f", padding_mode={self.padding_mode}"


CONVOLUTIONS: dict[str, type[Module]] = {}
for _count in (1, 2, 3):
    for _name, _adjoint in (("Conv", False), ("ConvTranspose", True)):
        CONVOLUTIONS[f"{_name}{_count}d"] = type(
            f"{_name}{_count}d", (_Convolution,), {"_dimensions": _count, "_transposed": _adjoint, "__module__": "torch.nn.modules"}
        )
