"""Activation functions of neural networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node, constant, f
from ..geometry import wrap_dim
from ..messages import not_implemented
from ..row import FUNCTIONS, METHODS, Call, call, composite, op, renamed
from ..tensor import Tensor, wrap_array
from ..value import pending
from .common import strides_of

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
SQRT_HALF = math.sqrt(0.5)
SQRT_TWO_OVER_PI = math.sqrt(2.0 / math.pi)


def _like(value: float, x: Node) -> Node:
    return constant(value, x.dtype, x.shape)


def _activation(
    name: str,
    formula: Callable[..., Node],
    backward: str,
    *,
    kernel: str = "",
    to: str = "",
    inplace: bool = True,
    shown: str = "",
    derivative: str = "",
    **defaults: Any,
) -> None:
    """An elementwise function of floats with parameters, which are part of the structure."""
    names = tuple(defaults)

    def rule(self: Tensor, *args: Any, **kwargs: Any) -> Call:
        for unknown in kwargs.keys() - set(names):
            raise TypeError(f"{name}() got an unexpected keyword argument '{unknown}'")
        given = defaults | dict(zip(names, args, strict=False)) | kwargs
        if not self._dtype.is_floating_point and kernel:
            raise not_implemented(kernel, self._dtype)
        params = tuple(_plain(given[n]) for n in names)
        return Call((self,), params, self._shape, self._dtype, strides_of(self._shape, self))

    places = {n: names.index(n) for n in shown.split()}
    op(name, build=formula, backward=backward, saved="self", to=to, inplace=inplace, shown=places, derivative=derivative)(rule)


def _plain(value: Any) -> Any:
    """A number of a call as Python's, hashable and with one key for equal numbers."""
    return float(value.item()) if isinstance(value, Tensor) else float(value) if isinstance(value, (int, float)) else value


def _hardtanh(x: Node, low: float, high: float) -> Node:
    """Clamped, with slope 0 at the bounds; there the element stays as it is (-0.0 is no 0.0)."""
    at_bound = f.or_(f.eq(x, low), f.eq(x, high))
    inside = f.where(at_bound, f.stop_gradient(x), x)
    return f.where(f.lt(x, low), _like(low, x), f.where(f.gt(x, high), _like(high, x), inside))


def _relu6_of(x: Node) -> Node:
    return _hardtanh(x, 0.0, 6.0)


def _elu(x: Node, alpha: float, scale: float = 1.0, input_scale: float = 1.0) -> Node:
    negative = (alpha * scale) * f.expm1(x if input_scale == 1.0 else x * input_scale)
    return f.where(f.le(x, 0.0), negative, x if scale == 1.0 else x * scale)


def _gelu(x: Node, approximate: str) -> Node:
    if approximate == "tanh":
        inner = SQRT_TWO_OVER_PI * (x + 0.044715 * (x * x * x))
        return 0.5 * x * (1.0 + f.tanh(inner))
    return 0.5 * x * (1.0 + f.erf(x * SQRT_HALF))


def _softplus(x: Node, beta: float, threshold: float) -> Node:
    scaled = x if beta == 1.0 else x * beta
    smooth = f.softplus(scaled)
    return f.where(f.gt(scaled, threshold), x, smooth if beta == 1.0 else smooth / beta)


def _hardshrink(x: Node, lambd: float) -> Node:
    return f.where(f.and_(f.ge(x, -lambd), f.le(x, lambd)), _like(0.0, x), x)


def _softshrink(x: Node, lambd: float) -> Node:
    inside = f.where(f.isnan(x), x, _like(0.0, x))
    return f.where(f.gt(x, lambd), x - lambd, f.where(f.lt(x, -lambd), x + lambd, inside))


def _hardsigmoid(x: Node) -> Node:
    """The value of relu6(x + 3) / 6, whose slope is 0 at nan, too."""
    outside = f.stop_gradient(f.where(f.gt(x, 0.0), _like(1.0, x), f.where(f.isnan(x), x, _like(0.0, x))))
    return f.where(f.and_(f.gt(x, -3.0), f.lt(x, 3.0)), (x + 3.0) / 6.0, outside)


def _hardswish(x: Node) -> Node:
    """The value of x * relu6(x + 3) / 6, in pieces, so that the slopes at -3 and 3 are torch's."""
    middle = x * (x + 3.0) / 6.0
    return f.where(f.le(x, -3.0), f.stop_gradient(x) * 0.0, f.where(f.ge(x, 3.0), x, middle))


_activation(
    "leaky_relu",
    lambda x, slope: f.where(f.gt(x, 0.0), x, x * slope),
    "LeakyReluBackward0",
    kernel="leaky_relu_cpu",
    shown="negative_slope",
    derivative="LeakyReluBackwardBackward0",
    negative_slope=0.01,
)
_activation("hardtanh", _hardtanh, "HardtanhBackward0", kernel="hardtanh_cpu", shown="min_val max_val", min_val=-1.0, max_val=1.0)
_activation("relu6", _relu6_of, "HardtanhBackward0", kernel="hardtanh_cpu")
_activation("elu", _elu, "EluBackward0", kernel="elu_cpu", shown="alpha", alpha=1.0)
_activation("selu", lambda x: _elu(x, SELU_ALPHA, SELU_SCALE), "EluBackward0", kernel="elu_cpu", to="f")
_activation("celu", lambda x, alpha: _elu(x, alpha, 1.0, 1.0 / alpha), "CeluBackward0", kernel="elu_cpu", to="f", shown="alpha", alpha=1.0)
_activation("gelu_as", _gelu, "GeluBackward0", kernel="GeluKernelImpl", shown="approximate", derivative="GeluBackwardBackward0",
            inplace=False, approximate="none")
_activation("silu", lambda x: x * f.sigmoid(x), "SiluBackward0", kernel="silu_cpu", derivative="MulBackward0")
_activation("mish", lambda x: x * f.tanh(f.softplus(x)), "MishBackward0", kernel="mish_cpu")
_activation("hardsigmoid", _hardsigmoid, "HardsigmoidBackward0", kernel="hardsigmoid_cpu")
_activation("hardswish", _hardswish, "HardswishBackward0", kernel="hardswish_cpu")
_activation(
    "softplus_of", _softplus, "SoftplusBackward0", kernel="softplus_cpu", shown="beta threshold", derivative="SoftplusBackwardBackward0",
    inplace=False, beta=1.0, threshold=20.0
)
_activation("hardshrink", _hardshrink, "HardshrinkBackward0", kernel="hardshrink_cpu", to="mf", shown="lambd", inplace=False, lambd=0.5)
_activation("softshrink_of", _softshrink, "SoftshrinkBackward0", kernel="softshrink_cpu", shown="lambd", inplace=False, lambd=0.5)
_activation(
    "threshold",
    lambda x, low, value: f.where(f.le(x, low), _like(value, x), x),
    "ThresholdBackward0",
    to="f",
    shown="threshold",
    threshold=0.0,
    value=0.0,
)


@composite("gelu", to="")
def _gelu_function(self: Tensor, approximate: str = "none") -> Any:
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return call("gelu_as", self, approximate)


@composite("softplus", to="")
def _softplus_function(self: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return call("softplus_of", self, beta, threshold)


@composite("softshrink", to="")
def _softshrink_function(self: Tensor, lambd: float = 0.5) -> Any:
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd:g}.")
    return call("softshrink_of", self, lambd)


@composite("logsigmoid", to="")
def _logsigmoid(self: Tensor) -> Any:
    return call("log_sigmoid", self)


@composite("softsign", to="")
def _softsign(self: Tensor) -> Any:
    return call("div", self, call("add", call("abs", self), 1))


@composite("tanhshrink", to="")
def _tanhshrink(self: Tensor) -> Any:
    return call("sub", self, call("tanh", self))


@op(
    "prelu_kernel",
    build=lambda x, w: f.where(f.gt(x, 0.0), x, build.broadcast_to(w, x.shape) * x),
    backward="PreluKernelBackward0",
    saved="self weight",
    inputs="self weight",
    to="",
)
def _prelu_kernel(self: Tensor, weight: Tensor) -> Call:
    return Call((self, weight), (), self._shape, self._dtype, strides_of(self._shape, self))


@composite("prelu")
def _prelu(self: Tensor, weight: Tensor) -> Any:
    if self._dtype is not weight._dtype:
        from ..messages import c_name

        raise RuntimeError(f"prelu: Type promoting not supported. Got {c_name(self._dtype)} and {c_name(weight._dtype)}")
    if len(weight._shape) > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {len(weight._shape)}")
    count = weight.numel()
    if count != 1:
        if not self._shape:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = self._shape[1] if len(self._shape) > 1 else 1
        if channels != count:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {count} and channel size = {channels}."
            )
    shape = [1] * len(self._shape)
    if len(shape) > 1:
        shape[1] = count
    if list(weight._shape) != shape:
        weight = call("reshape", weight, shape)
    return call("prelu_kernel", self, weight)


def _glu(x: Node, axis: int) -> Node:
    half = x.shape[axis] // 2  # type: ignore[operator]
    first, second = build.split(x, axis, [half, half])
    return first * f.sigmoid(second)


@op("glu", build=_glu, backward="GluBackward0", saved="self", to="", shown={"dim": 0})
def _glu_rule(self: Tensor, dim: int = -1) -> Call:
    if not self._shape:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    axis = wrap_dim(dim, len(self._shape))
    if self._shape[axis] % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {axis} is size {self._shape[axis]}")
    shape = tuple(s // 2 if k == axis else s for k, s in enumerate(self._shape))
    return Call((self,), (axis,), shape, self._dtype)


@op(
    "rrelu_with_noise",
    build=lambda x, slope: f.where(f.gt(x, 0.0), x, x * slope),
    backward="RreluWithNoiseBackward0",
    saved="self noise",
    inputs="self (noise)",
    to="",
    inplace=True,
)
def _rrelu_with_noise(self: Tensor, noise: Tensor) -> Call:
    return Call((self, noise), (), self._shape, self._dtype)


@composite("rrelu", to="f")
def _rrelu(self: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False) -> Any:
    if not training:
        return renamed(call("leaky_relu_" if inplace else "leaky_relu", self, (lower + upper) / 2), "RreluWithNoiseBackward0")
    from .random import default_generator

    array = self._array()
    slopes = np.ones_like(array)  # drawn where they count
    falling = array <= 0
    slopes[falling] = default_generator.uniform((int(falling.sum()),), np.float64, lower, upper)
    return call("rrelu_with_noise_" if inplace else "rrelu_with_noise", self, wrap_array(slopes))


# ---------------------------------------------------------------- dropout
def _keep_mask(self: Tensor, shape: tuple[int, ...], p: float) -> Any:
    from .random import default_generator

    return default_generator.uniform(shape) < 1.0 - p


def _check_probability(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _dropped(self: Tensor, shape: tuple[int, ...], p: float, inplace: bool) -> Any:
    kept = _keep_mask(self, shape, p).astype(self._value.dtype)
    noise = wrap_array(kept / (1.0 - p) if p < 1.0 else kept * 0.0)
    return call("mul_" if inplace else "mul", self, call("to", noise, self._dtype))


def _dropout(self: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero each element with probability `p` and scale the others by 1 / (1 - p)."""
    _check_probability(p)
    return _dropped(self, self._shape, p, inplace) if training and p != 0 else self


composite("dropout", to="f")(_dropout)


def _feature_dropout(ndim: int | None) -> Callable[..., Any]:
    def drop(self: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        _check_probability(p)
        if not training or p == 0:
            return self
        unbatched = ndim is not None and len(self._shape) == ndim + 1
        shape = self._shape[:1] if unbatched else self._shape[:2]
        return _dropped(self, (*shape, *(1,) * (len(self._shape) - len(shape))), p, inplace)

    return drop


for _name, _ndim in (("dropout1d", 1), ("dropout2d", 2), ("dropout3d", 3)):
    composite(_name, to="")(_feature_dropout(_ndim))
composite("feature_dropout", to="f")(_feature_dropout(None))


def _alpha_dropout(self: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout that keeps mean and variance of `selu`'s outputs."""
    _check_probability(p)
    if not training or p == 0:
        return self
    if p == 1:
        return call("mul", self, 0.0)
    alpha = 1.7580993408473766
    scale = 1.0 / math.sqrt((alpha * alpha * p + 1.0) * (1.0 - p))
    kept = _keep_mask(self, self._shape, p).astype(self._value.dtype)
    offset = wrap_array((kept - 1.0) * (alpha * scale) + alpha * scale * p)
    return call("add", call("mul", self, wrap_array(kept * scale)), offset)


composite("alpha_dropout", to="f")(_alpha_dropout)


# ---------------------------------------------------------------- softmax and its relatives
@composite("softmin", to="", replay=True)
def _softmin(self: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    return call("softmax", call("neg", self), _implicit_dim(self, dim), dtype)


def _implicit_dim(self: Tensor, dim: int | None) -> int:
    """The axis torch chooses where none is given, which it warns about."""
    import warnings

    if dim is not None:
        return dim
    pending.looks += 1  # each such call warns
    warnings.warn(
        "Implicit dimension choice for softmax has been deprecated. Change the call to include dim=X as an argument.",
        UserWarning,
        stacklevel=5,
    )
    return 0 if len(self._shape) in (0, 1, 3) else 1


@composite("softmax_of", to="", replay=True)
def _functional_softmax(self: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    return call("softmax", self, _implicit_dim(self, dim), dtype)


@composite("log_softmax_of", to="", replay=True)
def _functional_log_softmax(self: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    return call("log_softmax", self, _implicit_dim(self, dim), dtype)


@composite("gumbel_softmax", to="")
def _gumbel_softmax(self: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """A sample of the Gumbel-softmax distribution; `hard`: one-hot, with the gradient of the soft sample."""
    from .random import default_generator

    noise = wrap_array(-np.log(default_generator.exponential(self._shape).astype(self._value.dtype)))
    soft = call("softmax", call("div", call("add", self, noise), tau), dim)
    if not hard:
        return soft
    index = call("argmax", soft, dim, True)
    one_hot = call("scatter", call("zeros_like", self), dim, index, 1.0)
    return call("add", call("sub", one_hot, soft.detach()), soft)


for _name in ("relu", "selu", "celu", "threshold", "rrelu"):
    if _name + "_" in METHODS:
        FUNCTIONS[_name + "_"] = METHODS[_name + "_"]
