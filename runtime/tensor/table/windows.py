"""Windows that slide over the last axes: convolutions, pooling, padding by the data's own elements."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node, constant, f
from ..row import Call, call, composite, op, renamed
from ..tensor import Tensor


def each(value: Any, count: int, name: str = "") -> tuple[int, ...]:
    """One number for each axis, from one for all or a sequence."""
    if isinstance(value, (tuple, list)):
        if len(value) == 1 and count > 1:
            return (int(value[0]),) * count
        if len(value) != count:
            raise RuntimeError(f"{name} must either be a single int or a tuple of {count} ints")
        return tuple(int(v) for v in value)
    return (int(value),) * count


def _taps(x: Node, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], out: Sequence[int]) -> list[Node]:
    """For each place in the kernel, the elements of `x` that it meets, over all positions of the window."""
    lead = x.ndim - len(kernel)
    found = []
    for place in itertools.product(*map(range, kernel)):
        start = (*(0,) * lead, *(k * d for k, d in zip(place, dilation, strict=True)))
        found.append(f.slice(x, start=start, step=(*(1,) * lead, *stride), shape=(*x.shape[:lead], *out)))
    return found


def _padded(x: Node, padding: Sequence[tuple[int, int]], value: float = 0.0) -> Node:
    lead = x.ndim - len(padding)
    return build.pad(x, [(0, 0)] * lead + list(padding), value)


# ---------------------------------------------------------------- convolution
def _convolution(x: Node, weight: Node, *more: Any) -> Node:
    """Cross-correlation of (batch, channels, space) with (out channels, channels of a group, kernel)."""
    *bias, stride, padding, dilation, groups, out = more
    kernel: Any = weight.shape[2:]
    taps = _taps(_padded(x, padding), kernel, stride, dilation, out)
    batch, channels = x.shape[:2]
    count = len(taps)
    positions = math.prod(out)
    stacked = build.stack(taps, 2)  # batch, channels, kernel places, space
    grouped = build.reshape(stacked, (batch, groups, channels // groups * count, positions))
    filters = build.reshape(weight, (groups, weight.shape[0] // groups, -1))
    made = f.contract(filters, grouped, left="gok", right="bgkp", out="bgop")
    made = build.reshape(made, (batch, weight.shape[0], *out))
    if bias:
        made = made + build.broadcast_to(build.reshape(bias[0], (-1, *(1,) * len(out))), made.shape)
    return made


@op("convolution_of", build=_convolution, backward="ConvolutionBackward0", saved="input weight", inputs="input weight bias", to="")
def _convolution_rule(input: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int, out: Any) -> Call:
    more = () if bias is None else (bias,)
    return Call((input, weight, *more), (stride, padding, dilation, groups, out), (input._shape[0], weight._shape[0], *out), input._dtype)


def _same_padding(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[tuple[int, int], ...]:
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((t // 2, t - t // 2) for t in totals)


def _conv(dimensions: int) -> None:
    name = f"conv{dimensions}d"

    def convolve(
        self: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Any:
        if len(weight._shape) != dimensions + 2:
            raise RuntimeError(f"weight should have {dimensions + 2} dimensions, but got {len(weight._shape)}")
        if len(self._shape) not in (dimensions + 1, dimensions + 2):
            from ...torch_types import Size

            raise RuntimeError(
                f"Expected {dimensions + 1}D (unbatched) or {dimensions + 2}D (batched) input to {name}, but got input of size: "
                f"{list(Size(self._shape))}"
            )
        lone = len(self._shape) == dimensions + 1
        x = call("unsqueeze", self, 0) if lone else self
        kernel = weight._shape[2:]
        steps, spread = each(stride, dimensions, "stride"), each(dilation, dimensions, "dilation")
        if padding == "same":
            if any(s != 1 for s in steps):
                raise RuntimeError("padding='same' is not supported for strided convolutions")
            widths: Any = _same_padding(kernel, spread)
        else:
            widths = tuple((p, p) for p in each(0 if padding == "valid" else padding, dimensions, "padding"))
        if x._shape[1] != weight._shape[1] * groups:
            raise RuntimeError(
                f"Given groups={groups}, weight of size {list(weight._shape)}, expected input{list(x._shape)} to have "
                f"{weight._shape[1] * groups} channels, but got {x._shape[1]} channels instead"
            )
        out = tuple(
            (n + low + high - d * (k - 1) - 1) // s + 1
            for n, (low, high), d, k, s in zip(x._shape[2:], widths, spread, kernel, steps, strict=True)
        )
        if any(n < 1 for n in out):
            padded = " x ".join(str(n + low + high) for n, (low, high) in zip(x._shape[2:], widths, strict=True))
            sizes = " x ".join(str(d * (k - 1) + 1) for k, d in zip(kernel, spread, strict=True))
            raise RuntimeError(
                f"Calculated padded input size per channel: ({padded}). Kernel size: ({sizes}). Kernel size can't be greater than "
                "actual input size"
            )
        made = call("convolution_of", x, weight, bias, steps, widths, spread, groups, out)
        return call("squeeze", made, 0) if lone else made

    composite(name, to="f")(convolve)


def _transposed_convolution(x: Node, weight: Node, *more: Any) -> Node:
    """The adjoint of a convolution: each element of `x` puts a copy of the kernel into the output."""
    *bias, stride, padding, dilation, groups, out = more
    batch, channels = x.shape[:2]
    kernel: Any = weight.shape[2:]
    space = x.shape[2:]
    per_group = weight.shape[1]
    grouped = build.reshape(x, (batch, groups, channels // groups, -1))
    filters = build.reshape(weight, (groups, channels // groups, -1))
    spread = f.contract(filters, grouped, left="gck", right="bgcp", out="bgkp")
    places = math.prod(kernel)
    spread = build.reshape(spread, (batch, groups * per_group, places, *space))
    whole = tuple(n + 2 * p for n, p in zip(out, padding, strict=True))
    total: Node | None = None
    for number, place in enumerate(itertools.product(*map(range, kernel))):
        tap = build.squeeze(build.moving.window(spread, 2, number, 1), (2,))
        start = (0, 0, *(k * d for k, d in zip(place, dilation, strict=True)))
        placed = f.place(tap, start=start, step=(1, 1, *stride), shape=(*tap.shape[:2], *whole))
        total = placed if total is None else total + placed
    assert total is not None
    made = f.slice(total, start=(0, 0, *padding), step=(1,) * total.ndim, shape=(*total.shape[:2], *out))
    if bias:
        made = made + build.broadcast_to(build.reshape(bias[0], (-1, *(1,) * len(out))), made.shape)
    return made


@op(
    "convolution_transpose_of",
    build=_transposed_convolution,
    backward="ConvolutionBackward0",
    saved="input weight",
    inputs="input weight bias",
    to="",
)
def _transposed_rule(input: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int, out: Any) -> Call:
    more = () if bias is None else (bias,)
    return Call(
        (input, weight, *more), (stride, padding, dilation, groups, out), (input._shape[0], weight._shape[1] * groups, *out), input._dtype
    )


def _conv_transpose(dimensions: int) -> None:
    def convolve(
        self: Tensor,
        weight: Tensor,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        lone = len(self._shape) == dimensions + 1
        x = call("unsqueeze", self, 0) if lone else self
        if x._shape[1] != weight._shape[0]:
            raise RuntimeError(
                f"Given transposed=1, weight of size {list(weight._shape)}, expected input{list(x._shape)} to have "
                f"{weight._shape[0]} channels, but got {x._shape[1]} channels instead"
            )
        steps, widths, more, spread = (each(v, dimensions) for v in (stride, padding, output_padding, dilation))
        out = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + e + 1
            for n, s, p, d, k, e in zip(x._shape[2:], steps, widths, spread, weight._shape[2:], more, strict=True)
        )
        made = call("convolution_transpose_of", x, weight, bias, steps, widths, spread, groups, out)
        return call("squeeze", made, 0) if lone else made

    composite(f"conv_transpose{dimensions}d", to="f")(convolve)


# ---------------------------------------------------------------- pooling
def _pooled_size(size: int, kernel: int, stride: int, low: int, high: int, dilation: int, ceil: bool) -> int:
    span = size + low + high - dilation * (kernel - 1) - 1
    count = (span + (stride - 1 if ceil else 0)) // stride + 1
    if ceil and (count - 1) * stride >= size + low:
        count -= 1  # a window that starts in the padding after the end is left out
    return count


def _max_pool(x: Node, kernel: Any, stride: Any, padding: Any, dilation: Any, out: Any) -> tuple[Node, Node]:
    """The greatest element of each window (the first one, or nan), and its place in the flattened space."""
    reach = [
        max((n - 1) * s + d * (k - 1) + 1 - (size + p), p)
        for n, s, d, k, size, p in zip(out, stride, dilation, kernel, x.shape[x.ndim - len(out) :], padding, strict=True)
    ]
    widths = [(p, r) for p, r in zip(padding, reach, strict=True)]
    space: Any = x.shape[x.ndim - len(out) :]
    places = build.reshape(build.moving.iota((math.prod(space),), 0), space)
    places = f.expand(places, shape=x.shape, axes=tuple(range(x.ndim - len(out), x.ndim)))
    low = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    axis = x.ndim
    stacked = build.stack(_taps(_padded(x, widths, low), kernel, stride, dilation, out), axis)
    index = build.position("argmax", stacked, axis, True)
    indices = build.stack(_taps(_padded(places, widths), kernel, stride, dilation, out), axis)
    return tuple(build.squeeze(build.take_along_axis(node, index, axis), (axis,)) for node in (stacked, indices))  # type: ignore[return-value]


def _average_pool(x: Node, kernel: Any, stride: Any, padding: Any, out: Any, include_pad: bool, divisor: Any) -> Node:
    space: Any = x.shape[x.ndim - len(out) :]
    reach = [max((n - 1) * s + k - (size + p), p) for n, s, k, size, p in zip(out, stride, kernel, space, padding, strict=True)]
    widths = [(p, r) for p, r in zip(padding, reach, strict=True)]
    ones = (1,) * len(out)
    total: Any = None
    for tap in _taps(_padded(x, widths), kernel, stride, ones, out):
        total = tap if total is None else total + tap
    if divisor is not None:
        return total / float(divisor)  # type: ignore[no-any-return]
    # windows that reach past the padding count fewer elements
    counts = np.ones(out)
    for axis, (n, s, k, size, p) in enumerate(zip(out, stride, kernel, space, padding, strict=True)):
        starts = np.arange(n) * s - p
        ends = np.minimum(starts + k, size + p)
        length = ends - starts if include_pad else np.minimum(ends, size) - np.maximum(starts, 0)
        counts = counts * length.reshape([-1 if j == axis else 1 for j in range(len(out))])
    if (counts == counts.flat[0]).all():
        return total / float(counts.flat[0])  # type: ignore[no-any-return]
    parts = [constant(float(c), x.dtype, (1,)) for c in counts.ravel()]
    by = build.reshape(build.concatenate(parts, 0), out)
    return total / build.broadcast_to(by, total.shape)  # type: ignore[no-any-return]


@op("max_pool_with_indices", build=_max_pool, backward="MaxPool2DWithIndicesBackward0", saved="self result1", to="")
def _max_pool_rule(self: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any, out: Any) -> Call:
    from ...torch_types import NAMES

    shape = (*self._shape[: len(self._shape) - len(out)], *out)
    return Call(
        (self,),
        (kernel, stride, padding, dilation, out),
        (shape, shape),
        (self._dtype, NAMES["int64"]),
        name="MaxPool3DWithIndicesBackward0" if len(out) == 3 else "",
    )


@op("avg_pool_of", build=_average_pool, backward="AvgPool2DBackward0", to="")
def _avg_pool_rule(self: Tensor, kernel: Any, stride: Any, padding: Any, out: Any, include_pad: bool, divisor: Any) -> Call:
    shape = (*self._shape[: len(self._shape) - len(out)], *out)
    return Call(
        (self,),
        (kernel, stride, padding, out, include_pad, divisor),
        shape,
        self._dtype,
        name="AvgPool3DBackward0" if len(out) == 3 else "",
    )


def _adaptive(x: Node, out: Any, greatest: bool) -> Node:
    """Windows as even as they can be: from floor(i * n / out) to ceil((i + 1) * n / out)."""
    lead = x.ndim - len(out)
    for k in reversed(range(len(out))):  # the last axis first: of equal elements the first one in C order wins
        axis = lead + k
        size: Any = x.shape[axis]
        parts = []
        for i in range(out[k]):
            start = i * size // out[k]
            part = build.moving.window(x, axis, start, -(-(i + 1) * size // out[k]) - start)
            if greatest:
                parts.append(build.take_along_axis(part, build.position("argmax", part, axis, True), axis))
            else:
                parts.append(build.mean(part, (axis,), True))
        x = build.concatenate(parts, axis)
    return x


@op("adaptive_pool_of", build=_adaptive, backward="AdaptiveAvgPool2DBackward0", saved="self", to="")
def _adaptive_rule(self: Tensor, out: Any, greatest: bool) -> Call:
    name = f"Adaptive{'Max' if greatest else 'Avg'}Pool{max(len(out), 2)}DBackward0"
    return Call((self,), (out, greatest), (*self._shape[: len(self._shape) - len(out)], *out), self._dtype, name=name)


def _pool_arguments(self: Tensor, dimensions: int, name: str, kernel_size: Any, stride: Any, padding: Any) -> tuple[Any, Any, Any]:
    if len(self._shape) not in (dimensions + 1, dimensions + 2):
        raise RuntimeError(f"{name}() Expected {dimensions + 1}D or {dimensions + 2}D input tensor, but got {list(self._shape)}")
    kernel, widths = each(kernel_size, dimensions, "kernel_size"), each(padding, dimensions, "padding")
    steps = kernel if stride is None or stride in ((), []) else each(stride, dimensions, "stride")
    if any(p > k // 2 for p, k in zip(widths, kernel, strict=True)):
        raise RuntimeError(
            f"pad should be at most half of effective kernel size, but got pad={max(widths)}, kernel_size={min(kernel)} and dilation=1"
        )
    return kernel, steps, widths


def _checked_out(self: Tensor, dimensions: int, out: tuple[int, ...]) -> None:
    if any(n < 1 for n in out):
        sizes = "x".join(str(s) for s in self._shape[-dimensions:])
        channels = self._shape[-dimensions - 1]
        raise RuntimeError(
            f"Given input size: ({channels}x{sizes}). Calculated output size: ({channels}x{'x'.join(map(str, out))}). Output size is "
            "too small"
        )


def _raised(dimensions: int, self: Tensor, function: Any) -> Any:
    """One-dimensional pooling is done by torch in two dimensions, which the graph shows."""
    if dimensions > 1:
        return function(self, False)
    made = function(call("unsqueeze", self, -2), True)
    return tuple(call("squeeze", m, -2) for m in made) if isinstance(made, tuple) else call("squeeze", made, -2)


def _pools(dimensions: int) -> None:
    def max_pool(
        self: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        kernel, steps, widths = _pool_arguments(self, dimensions, f"max_pool{dimensions}d", kernel_size, stride, padding)
        spread = each(dilation, dimensions, "dilation")
        out = tuple(
            _pooled_size(n, k, s, p, p, d, ceil_mode)
            for n, k, s, p, d in zip(self._shape[-dimensions:], kernel, steps, widths, spread, strict=True)
        )
        _checked_out(self, dimensions, out)

        def run(x: Tensor, flat: bool) -> Any:
            one, none = ((1,), (0,)) if flat else ((), ())
            return call("max_pool_with_indices", x, one + kernel, one + steps, none + widths, one + spread, one + out)

        values, indices = _raised(dimensions, self, run)
        return (values, indices) if return_indices else values

    def average_pool(
        self: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: Any = None,
    ) -> Any:
        kernel, steps, widths = _pool_arguments(self, dimensions, f"avg_pool{dimensions}d", kernel_size, stride, padding)
        if divisor_override == 0:
            raise RuntimeError("divisor must be not zero")
        out = tuple(
            _pooled_size(n, k, s, p, p, 1, ceil_mode) for n, k, s, p in zip(self._shape[-dimensions:], kernel, steps, widths, strict=True)
        )
        _checked_out(self, dimensions, out)

        def run(x: Tensor, flat: bool) -> Any:
            one, none = ((1,), (0,)) if flat else ((), ())
            return call("avg_pool_of", x, one + kernel, one + steps, none + widths, one + out, bool(count_include_pad), divisor_override)

        return _raised(dimensions, self, run)

    def adaptive(self: Tensor, output_size: Any, greatest: bool) -> Any:
        given = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * dimensions
        space = self._shape[len(self._shape) - dimensions :]
        out = tuple(n if wanted is None else int(wanted) for n, wanted in zip(space, given, strict=True))
        if not greatest and dimensions > 1 and all(n == 1 for n in out):
            return call("mean", self, list(range(-dimensions, 0)), True)
        made = call("adaptive_pool_of", self, out, greatest)
        return renamed(made, "SqueezeBackward1") if dimensions == 1 else made

    composite(f"max_pool{dimensions}d", to="f" if dimensions < 3 else "")(max_pool)
    composite(f"avg_pool{dimensions}d", to="f" if dimensions == 1 else "")(average_pool)
    composite(f"adaptive_avg_pool{dimensions}d", to="")(lambda self, output_size: adaptive(self, output_size, False))
    composite(f"adaptive_max_pool{dimensions}d", to="")(lambda self, output_size: adaptive(self, output_size, True))


for _dimensions in (1, 2, 3):
    _conv(_dimensions)
    _conv_transpose(_dimensions)
    _pools(_dimensions)


# ---------------------------------------------------------------- padding
def _positions(size: int, low: int, high: int, mode: str) -> np.ndarray[Any, Any]:
    """Which element stands at each place of the padded axis."""
    at = np.arange(-low, size + high)
    if mode == "replicate":
        return np.clip(at, 0, size - 1)
    if mode == "circular":
        return at % size
    period = max(2 * size - 2, 1)
    folded = np.abs(at) % period
    return np.where(folded < size, folded, period - folded)


def _mirror(x: Node, widths: Any, mode: str) -> Node:
    lead = x.ndim - len(widths)
    for k, (low, high) in enumerate(widths):
        axis = lead + k
        if low or high:
            size: Any = x.shape[axis]
            places = _positions(size, low, high, mode)
            runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
            parts = [build.moving.window(x, axis, int(run[0]), len(run)) for run in runs if len(run)]
            x = build.concatenate(parts, axis)
    return x


@op("pad_by_own", build=_mirror, backward="ReflectionPad1DBackward0", to="")
def _pad_by_own(self: Tensor, widths: Any, mode: str, name: str) -> Call:
    lead = len(self._shape) - len(widths)
    shape = (*self._shape[:lead], *(n + low + high for n, (low, high) in zip(self._shape[lead:], widths, strict=True)))
    return Call((self,), (widths, mode), shape, self._dtype, name=name)


_PAD_NAMES = {"reflect": "ReflectionPad{}DBackward0", "replicate": "ReplicationPad{}DBackward0", "circular": "CopySlices"}


@composite("pad", to="")
def _pad(self: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """More elements before and after the last axes: `pad` goes backwards through the axes, two numbers for each."""
    pad = [int(p) for p in pad]
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) > 2 * len(self._shape):
        raise RuntimeError("Padding length should be less than or equal to two times the input dimension but got padding length "
                           f"{len(pad)} and input of dimension {len(self._shape)}")
    if mode == "constant":
        return call("constant_pad_nd", self, pad, 0 if value is None else value)
    if value not in (None, 0):
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in _PAD_NAMES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    count = len(pad) // 2
    if len(self._shape) not in (count + 1, count + 2) or not 1 <= count <= 3:
        raise NotImplementedError("Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now")
    widths = tuple((pad[2 * k], pad[2 * k + 1]) for k in reversed(range(count)))
    for axis, (low, high) in enumerate(widths, start=len(self._shape) - count):
        size = self._shape[axis]
        if mode == "reflect" and max(low, high) >= size:
            raise RuntimeError(
                f"Padding size should be less than the corresponding input dimension, but got: padding ({low}, {high}) at dimension "
                f"{axis} of input {list(self._shape)}"
            )
        if mode == "circular" and max(low, high) > size:
            raise RuntimeError("Padding value causes wrapping around more than once.")
    return call("pad_by_own", self, widths, mode, _PAD_NAMES[mode].format(count))
