"""Other resolutions of the last axes: interpolation, channels spread over space, windows as columns."""
from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node, f
from ..row import Call, call, composite, numpy_dtype, op, renamed
from ..tensor import Tensor, wrap_array
from .windows import each

Taps = list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]]  # places along an axis, and their weights


# ---------------------------------------------------------------- interpolation
def _centres(size: int, out: int, scale: float | None, aligned: bool) -> np.ndarray[Any, Any]:
    """Where the centres of the result's elements lie among those of the input."""
    if aligned:
        return np.arange(out) * ((size - 1) / (out - 1) if out > 1 else 0.0)
    step = size / out if scale is None else 1.0 / scale
    return (np.arange(out) + 0.5) * step - 0.5


def _nearest(size: int, out: int, scale: float | None, aligned: bool) -> Taps:
    step = size / out if scale is None else 1.0 / scale
    return [(np.minimum(np.floor(np.arange(out) * step).astype(np.int64), size - 1), None)]


def _nearest_exact(size: int, out: int, scale: float | None, aligned: bool) -> Taps:
    step = size / out if scale is None else 1.0 / scale
    return [(np.minimum(np.floor((np.arange(out) + 0.5) * step).astype(np.int64), size - 1), None)]


def _linear(size: int, out: int, scale: float | None, aligned: bool) -> Taps:
    at = np.maximum(_centres(size, out, scale, aligned), 0.0)
    low = np.minimum(at.astype(np.int64), size - 1)
    return [(low, 1 - (at - low)), (np.minimum(low + 1, size - 1), at - low)]


def _cubic(size: int, out: int, scale: float | None, aligned: bool) -> Taps:
    """Keys 1981 with a = -0.75."""
    at = _centres(size, out, scale, aligned)
    low = np.floor(at).astype(np.int64)
    a, t = -0.75, at - low

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    weights = far(t + 1), near(t), near(1 - t), far(2 - t)
    return [(np.clip(low + k - 1, 0, size - 1), weight) for k, weight in enumerate(weights)]


_MODES: dict[str, tuple[Callable[..., Taps], tuple[int, ...], str]] = {  # the places and weights, numbers of axes, grad_fn
    "nearest": (_nearest, (1, 2, 3), "UpsampleNearest{}DBackward0"),
    "nearest-exact": (_nearest_exact, (1, 2, 3), "UpsampleNearestExact{}DBackward0"),
    "linear": (_linear, (1,), "UpsampleLinear{}DBackward0"),
    "bilinear": (_linear, (2,), "UpsampleBilinear{}DBackward0"),
    "trilinear": (_linear, (3,), "UpsampleTrilinear{}DBackward0"),
    "bicubic": (_cubic, (2,), "UpsampleBicubic{}DBackward0"),
}


def _along(x: Tensor, axis: int, taps: Taps) -> Tensor:
    total: Any = None
    for places, weights in taps:
        part = call("index_select", x, axis, wrap_array(places))
        if weights is not None:
            shape = [1] * len(x._shape)
            shape[axis] = len(weights)
            part = call("mul", part, wrap_array(weights.reshape(shape).astype(numpy_dtype(x._dtype))))
        total = part if total is None else call("add", total, part)
    return total  # type: ignore[no-any-return]


def _sizes(space: tuple[int, ...], size: Any, scale_factor: Any) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The sizes asked for, and the scales that the places follow."""
    if (size is None) == (scale_factor is None):
        raise ValueError("only one of size or scale_factor should be defined" if size is not None else
                         "either size or scale_factor should be defined")
    count = len(space)
    given = size if scale_factor is None else scale_factor
    values = tuple(given) if isinstance(given, (tuple, list)) else (given,) * count
    if len(values) != count:
        what, values_are, asked, letter = (("output", "output size of", "output size", "o") if scale_factor is None else
                                           ("scale_factor", "scale_factor of shape", "scale_factor", "s"))
        raise ValueError(f"Input and {what} must have the same number of spatial dimensions, but got input with spatial dimensions of "
                         f"{list(space)} and {values_are} {values}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and "
                         f"{asked} in ({letter}1, {letter}2, ...,{letter}K) format.")
    if scale_factor is None:
        return tuple(int(v) for v in values), (None,) * count
    return tuple(math.floor(n * v) for n, v in zip(space, values, strict=True)), tuple(float(v) for v in values)


@composite("interpolate", to="")
def _interpolate(self: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
                 recompute_scale_factor: bool | None = None, antialias: bool = False) -> Any:
    """(batch, channels, space) at another resolution of space.

    Raises:
        ValueError, NotImplementedError: as torch, in its words; `antialias` is not supported.
    """
    space = self._shape[2:]
    if align_corners is not None and mode in ("nearest", "area", "nearest-exact"):
        raise ValueError("align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear")
    if antialias:
        raise NotImplementedError("interpolate: antialias=True is not supported")
    out, scales = _sizes(space, size, scale_factor)
    if recompute_scale_factor:
        scales = (None,) * len(space)
    if mode == "area":
        return call(f"adaptive_avg_pool{len(space)}d", self, out)
    taps_of, dimensions, name = _MODES.get(mode, (None, (), ""))
    if taps_of is not None and len(space) not in dimensions and 1 <= len(space) <= 3:
        raise NotImplementedError(f"Got {len(self._shape)}D input, but {mode} mode needs {dimensions[0] + 2}D input")
    if taps_of is None or len(space) not in dimensions:
        raise NotImplementedError(f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {len(self._shape)}D) for the modes: "
                                  f"nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact (got {mode})")
    result = self
    for k, (n, wanted, scale) in enumerate(zip(space, out, scales, strict=True)):
        result = _along(result, k + 2, taps_of(n, wanted, scale, bool(align_corners)))
    return renamed(result, name.format(len(space)))


# ---------------------------------------------------------------- channels and space
def _image(name: str, x: Tensor) -> tuple[int, ...]:
    if len(x._shape) < 3:
        raise RuntimeError(f"{name} expects input to have at least 3 dimensions, but got input with {len(x._shape)} dimension(s)")
    return x._shape


def _shuffled(x: Node, factor: int) -> Node:
    *lead, channels, rows, columns = x.shape
    split = build.reshape(x, (*lead, channels // factor**2, factor, factor, rows, columns))  # type: ignore[operator]
    n = len(lead)
    moved = build.permute(split, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return build.reshape(moved, (*lead, channels // factor**2, rows * factor, columns * factor))  # type: ignore[operator]


@op("pixel_shuffle", build=_shuffled, backward="PixelShuffleBackward0", to="f")
def _pixel_shuffle(self: Tensor, upscale_factor: int) -> Call:
    *lead, channels, rows, columns = _image("pixel_shuffle", self)
    r = upscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    if channels % r**2:
        raise RuntimeError("pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but "
                           f"input.size(-3)={channels} is not divisible by {r**2}")
    return Call((self,), (r,), (*lead, channels // r**2, rows * r, columns * r), self._dtype)


def _gathered(x: Node, factor: int) -> Node:
    *lead, channels, rows, columns = x.shape
    split = build.reshape(x, (*lead, channels, rows // factor, factor, columns // factor, factor))  # type: ignore[operator]
    n = len(lead)
    moved = build.permute(split, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return build.reshape(moved, (*lead, channels * factor**2, rows // factor, columns // factor))  # type: ignore[operator]


@op("pixel_unshuffle", build=_gathered, backward="PixelUnshuffleBackward0", to="f")
def _pixel_unshuffle(self: Tensor, downscale_factor: int) -> Call:
    *lead, channels, rows, columns = _image("pixel_unshuffle", self)
    r = downscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    for name, place, size in (("height", -2, rows), ("width", -1, columns)):
        if size % r:
            raise RuntimeError(f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({place})={size} is not "
                               f"divisible by {r}")
    return Call((self,), (r,), (*lead, channels * r**2, rows // r, columns // r), self._dtype)


# ---------------------------------------------------------------- windows as columns
def _counts(space: tuple[int, ...], kernel: Any, dilation: Any, padding: Any, stride: Any) -> tuple[int, int]:
    rows, columns = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in zip(space, kernel, dilation, padding, stride, strict=True))
    return rows, columns


def _columns(x: Node, kernel: Any, dilation: Any, padding: Any, stride: Any, out: tuple[int, int]) -> Node:
    x = build.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)], 0.0)
    taps = [f.slice(x, start=(0, 0, i * dilation[0], j * dilation[1]), step=(1, 1, *stride), shape=(*x.shape[:2], *out))
            for i, j in itertools.product(*map(range, kernel))]
    stacked = build.stack(taps, 2)
    batch, channels = x.shape[:2]
    return build.reshape(stacked, (batch, channels * len(taps), math.prod(out)))


def _summed(x: Node, space: Any, kernel: Any, dilation: Any, padding: Any, stride: Any, out: tuple[int, int]) -> Node:
    """The adjoint of `_columns`: each window's elements added where they were taken from."""
    places = math.prod(kernel)
    batch = x.shape[0]
    channels = x.shape[1] // places
    split = build.reshape(x, (batch, channels, places, *out))
    whole = (batch, channels, *(n + 2 * p for n, p in zip(space, padding, strict=True)))
    total: Any = None
    for number, (i, j) in enumerate(itertools.product(*map(range, kernel))):
        tap = build.squeeze(build.moving.window(split, 2, number, 1), (2,))
        placed = f.place(tap, start=(0, 0, i * dilation[0], j * dilation[1]), step=(1, 1, *stride), shape=whole)
        total = placed if total is None else total + placed
    for axis, (n, p) in enumerate(zip(space, padding, strict=True), start=2):
        total = build.moving.window(total, axis, p, n)
    return total  # type: ignore[no-any-return]


@op("im2col", build=_columns, backward="Im2ColBackward0", to="")
def _im2col(self: Tensor, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Call:
    out = _counts(self._shape[2:], kernel, dilation, padding, stride)
    if min(out) < 1:
        raise RuntimeError(f"Given input with spatial size {self._shape[2:]}, kernel_size={kernel}, dilation={dilation}, padding="
                           f"{padding}, calculated shape of the array of sliding blocks as {out}, but its components must be at least one.")
    batch, channels = self._shape[:2]
    shape = (batch, channels * math.prod(kernel), math.prod(out))
    return Call((self,), (kernel, dilation, padding, stride, out), shape, self._dtype)


@op("col2im", build=_summed, backward="Col2ImBackward0", to="")
def _col2im(self: Tensor, space: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Call:
    out = _counts(space, kernel, dilation, padding, stride)
    batch, rows, count = self._shape
    if rows % math.prod(kernel):
        raise RuntimeError("Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
                           f"input.size(1)={rows} and kernel_size={kernel}.")
    if count != math.prod(out):
        raise RuntimeError(f"Given output_size={space}, kernel_size={kernel}, dilation={dilation}, padding={padding}, stride={stride}, "
                           f"expected size of input's dimension 2 to match the calculated number of sliding blocks {out[0]} * {out[1]} = "
                           f"{math.prod(out)}, but got input.size(2)={count}.")
    return Call((self,), (space, kernel, dilation, padding, stride, out), (batch, rows // math.prod(kernel), *space), self._dtype)


def _lone(self: Tensor, ndim: int, run: Callable[[Tensor], Any]) -> Any:
    """With an axis for the batch, where there is none."""
    made = run(self if len(self._shape) == ndim else call("unsqueeze", self, 0))
    return made if len(self._shape) == ndim else call("squeeze", made, 0)


@composite("unfold_windows", to="")
def _unfold(self: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """(batch, channels, rows, columns) to (batch, channels * elements of a window, windows)."""
    if len(self._shape) not in (3, 4):
        raise NotImplementedError("Input Error: Only unbatched (3D) or batched (4D) image-like tensors are supported (got "
                                  f"{len(self._shape)}D)")
    options = [each(v, 2, n) for v, n in ((kernel_size, "kernel_size"), (dilation, "dilation"), (padding, "padding"), (stride, "stride"))]
    return _lone(self, 4, lambda x: call("im2col", x, *options))


@composite("fold_windows", to="")
def _fold(self: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Windows put back, and added where they overlap: the adjoint of `unfold`."""
    if len(self._shape) not in (2, 3):
        raise NotImplementedError(f"Input Error: Only unbatched (2D) or batched (3D) input Tensors are supported (got {len(self._shape)}D)")
    options = [each(v, 2, n) for v, n in ((output_size, "output_size"), (kernel_size, "kernel_size"), (dilation, "dilation"),
                                          (padding, "padding"), (stride, "stride"))]
    return _lone(self, 3, lambda x: call("col2im", x, *options))
