"""Initial values of parameters, drawn as torch draws them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..tensor.modes import no_grad
from ..tensor.row import FUNCTIONS, METHODS, call
from ..tensor.tensor import Tensor, wrap_array

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity's input should be scaled to keep its variance.

    Raises:
        ValueError: no such nonlinearity.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    return _GAINS[nonlinearity]


def _write(tensor: Tensor, array: Any) -> Tensor:
    with no_grad():
        call("copy_", tensor, wrap_array(np.asarray(array).astype(tensor._value.dtype)))
    return tensor


def _drawn(name: str, tensor: Tensor, *options: float, generator: Any) -> Tensor:
    """Fill a tensor by its method of that name."""
    with no_grad():
        return METHODS[name](tensor, *options, generator=generator)  # type: ignore[no-any-return]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform on [a, b)."""
    return _drawn("uniform_", tensor, a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal."""
    return _drawn("normal_", tensor, mean, std, generator=generator)


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None) -> Tensor:
    """Normal, restricted to [a, b]: drawn again until inside; where little lies inside, uniform and accepted by the density."""
    def normal() -> Any:
        return normal_(FUNCTIONS["empty_like"](tensor), mean, std, generator)._array()

    def uniform(low: float, high: float) -> Any:
        return uniform_(FUNCTIONS["empty_like"](tensor), low, high, generator)._array()

    low, high = (math.erf((end - mean) / std / math.sqrt(2.0)) / 2 for end in (a, b))
    if high - low > 0.3:
        values = normal()
        while (outside := (values < a) | (values > b)).any():
            values = np.where(outside, normal(), values)
        return _write(tensor, values)
    peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
    values = np.zeros(tensor._shape)
    refused = np.ones(tensor._shape, bool)
    while refused.any():
        tried = uniform(a, b)
        accepted = np.log(uniform(0.0, 1.0)) < -0.5 * ((tried - mean) / std) ** 2 - peak
        values = np.where(refused, tried, values)
        refused &= ~accepted
    return _write(tensor, values)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number everywhere."""
    return _write(tensor, np.full(tensor._shape, val))


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    if len(tensor._shape) != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _write(tensor, np.eye(*tensor._shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The kernel of a convolution that leaves its input as it is."""
    shape = tensor._shape
    if len(shape) not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if shape[0] % groups:
        raise ValueError("dim 0 must be divisible by groups")
    values = np.zeros(shape)
    per_group = shape[0] // groups
    middle = tuple(s // 2 for s in shape[2:])
    for group in range(groups):
        for k in range(min(per_group, shape[1])):
            values[(group * per_group + k, k, *middle)] = 1
    return _write(tensor, values)


def fan_in_and_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs and outputs each element of a weight connects.

    Raises:
        ValueError: fewer than two axes.
    """
    if len(tensor._shape) < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    field = math.prod(tensor._shape[2:])
    return tensor._shape[1] * field, tensor._shape[0] * field


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform within gain * sqrt(6 / (fan_in + fan_out)). Source: Glorot & Bengio 2010."""
    bound = gain * math.sqrt(6.0 / sum(fan_in_and_out(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with deviation gain * sqrt(2 / (fan_in + fan_out)). Source: Glorot & Bengio 2010."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fan_in_and_out(tensor))), generator)


def _kaiming(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fans = fan_in_and_out(tensor)
    return calculate_gain(nonlinearity, a) / math.sqrt(fans[mode == "fan_out"])


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None) -> Tensor:
    """Uniform within gain * sqrt(3 / fan). Source: He et al. 2015."""
    if 0 in tensor._shape:
        return tensor
    bound = math.sqrt(3.0) * _kaiming(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None) -> Tensor:
    """Normal with deviation gain / sqrt(fan). Source: He et al. 2015."""
    if 0 in tensor._shape:
        return tensor
    return normal_(tensor, 0.0, _kaiming(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """A (semi-)orthogonal matrix. Source: Saxe et al. 2013."""
    if len(tensor._shape) < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    rows = tensor._shape[0]
    columns = math.prod(tensor._shape[1:])
    draw = normal_(FUNCTIONS["empty"]((rows, columns), dtype=tensor._dtype), generator=generator)._array()
    q, r = np.linalg.qr(draw if rows >= columns else draw.T)
    q *= np.sign(np.diag(r))
    return _write(tensor, gain * (q if rows >= columns else q.T).reshape(tensor._shape))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Normal, with that fraction of each column zero."""
    if len(tensor._shape) != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    values = normal_(FUNCTIONS["empty_like"](tensor), 0.0, std, generator)._array().copy()
    count = math.ceil(sparsity * tensor._shape[0])
    for column in range(tensor._shape[1]):
        values[FUNCTIONS["randperm"](tensor._shape[0])._array()[:count], column] = 0
    return _write(tensor, values)
