"""Normalisation layers, linear maps with a bias, embeddings, attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node, f
from ...torch_types import NAMES, scalar_type_name
from ..geometry import numel
from ..row import Call, call, composite, number, numpy_dtype, op
from ..tensor import Tensor, wrap_array


# ---------------------------------------------------------------- statistics over axes, then scale and shift
def _standardised(x: Node, axes: tuple[int, ...], eps: float) -> Node:
    mean = build.mean(x, axes, True)
    spread = build.variance(x, axes, 0.0, True)
    return (x - build.broadcast_to(mean, x.shape)) * build.broadcast_to(f.rsqrt(spread + eps), x.shape)


def _affine(x: Node, parameters: Sequence[Node], which: str, shape: tuple[int, ...]) -> Node:
    """Scaled by the weight and shifted by the bias, whichever are there, broadcast from `shape`."""
    if "w" in which:
        x = x * build.broadcast_to(build.reshape(parameters[0], shape), x.shape)
    if "b" in which:
        x = x + build.broadcast_to(build.reshape(parameters[1], shape), x.shape)
    return x


def _which(weight: Any, bias: Any) -> str:
    return "w" * (weight is not None) + "b" * (bias is not None)


def _given(weight: Any, bias: Any) -> tuple[Any, ...]:
    """The weight and the bias as inputs; a number holds the place of a weight before a bias."""
    if bias is None:
        return () if weight is None else (weight,)
    return number(1.0, numpy_dtype(bias._dtype)) if weight is None else weight, bias


def _layer_norm(x: Node, *more: Any) -> Node:
    *parameters, depth, eps, which = more
    axes = tuple(range(x.ndim - depth, x.ndim))
    shape: Any = x.shape[x.ndim - depth :]
    return _affine(_standardised(x, axes, eps), parameters, which, shape)


@op("native_layer_norm_of", build=_layer_norm, backward="NativeLayerNormBackward0", saved="input weight", inputs="input weight bias", to="")
def _layer_norm_rule(input: Tensor, weight: Any, bias: Any, depth: int, eps: float) -> Call:
    return Call((input, *_given(weight, bias)), (depth, float(eps), _which(weight, bias)), input._shape, input._dtype)


def _normalized_shape(self: Tensor, normalized_shape: Any, weight: Any, bias: Any) -> tuple[int, ...]:
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(int(s) for s in normalized_shape)
    if not shape:
        raise RuntimeError(
            f"Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
            f"normalized_shape = {list(shape)}"
        )
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and parameter._shape != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape {list(parameter._shape)} and "
                f"normalized_shape = {list(shape)}"
            )
    if self._shape[len(self._shape) - len(shape) :] != shape or len(self._shape) < len(shape):
        wanted = "".join(f", {s}" for s in shape)
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*{wanted}], but got input of size{list(self._shape)}"
        )
    return shape


@composite("layer_norm", to="f")
def _layer_norm_function(
    self: Tensor, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enable: bool = True
) -> Any:
    shape = _normalized_shape(self, normalized_shape, weight, bias)
    if not self._dtype.is_floating_point:
        from ..messages import not_implemented

        raise not_implemented("LayerNormKernelImpl", self._dtype)
    return call("native_layer_norm_of", self, weight, bias, len(shape), eps)


@composite("rms_norm", to="f")
def _rms_norm(self: Tensor, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    shape = _normalized_shape(self, normalized_shape, weight, None)
    if eps is None:
        eps = float(np.finfo(self._value.dtype).eps)
    axes = list(range(len(self._shape) - len(shape), len(self._shape)))
    squares = call("mean", call("pow", self, 2), axes, True)
    made = call("mul", self, call("rsqrt", call("add", squares, eps)))
    return made if weight is None else call("mul", made, weight)


def _group_norm(x: Node, *more: Any) -> Node:
    *parameters, groups, eps, which = more
    channels = x.shape[1]
    grouped = build.reshape(x, (x.shape[0], groups, -1))
    made = build.reshape(_standardised(grouped, (2,), eps), x.shape)
    return _affine(made, parameters, which, (channels, *(1,) * (x.ndim - 2)))  # type: ignore[arg-type]


@op("native_group_norm_of", build=_group_norm, backward="NativeGroupNormBackward0", saved="input weight", inputs="input weight bias", to="")
def _group_norm_rule(input: Tensor, weight: Any, bias: Any, groups: int, eps: float) -> Call:
    return Call((input, *_given(weight, bias)), (groups, float(eps), _which(weight, bias)), input._shape, input._dtype)


@composite("group_norm", to="f")
def _group_norm_function(
    self: Tensor, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enabled: bool = True
) -> Any:
    if len(self._shape) < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {len(self._shape)}")
    channels = self._shape[1]
    if channels % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(self._shape)} and "
            f"num_groups={num_groups}"
        )
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and parameter._shape != (channels,):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape "
                f"{list(parameter._shape)} and input of shape {list(self._shape)}"
            )
    return call("native_group_norm_of", self, weight, bias, num_groups, eps)


def _batch_norm(x: Node, *more: Any) -> Node:
    *nodes, eps, which = more
    axes = tuple(k for k in range(x.ndim) if k != 1)
    shape = (x.shape[1], *(1,) * (x.ndim - 2))
    if "t" in which:
        made = _standardised(x, axes, eps)
    else:
        mean, variance, *nodes = nodes
        mean, variance = (build.broadcast_to(build.reshape(n, shape), x.shape) for n in (mean, f.rsqrt(variance + eps)))
        made = (x - mean) * variance
    return _affine(made, nodes, which, shape)  # type: ignore[arg-type]


@op("native_batch_norm_of", build=_batch_norm, backward="NativeBatchNormBackward0", saved="input weight", inputs="input weight bias", to="")
def _batch_norm_training(input: Tensor, weight: Any, bias: Any, eps: float) -> Call:
    return Call((input, *_given(weight, bias)), (float(eps), "t" + _which(weight, bias)), input._shape, input._dtype)


@op(
    "batch_norm_eval_of",
    build=_batch_norm,
    backward="NativeBatchNormBackward0",
    saved="input running_mean running_var weight",
    inputs="input running_mean running_var weight bias",
    to="",
)
def _batch_norm_eval(input: Tensor, running_mean: Tensor, running_var: Tensor, weight: Any, bias: Any, eps: float) -> Call:
    return Call((input, running_mean, running_var, *_given(weight, bias)), (float(eps), _which(weight, bias)), input._shape, input._dtype)


@composite("batch_norm", to="f")
def _batch_norm_function(
    self: Tensor,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    """Normalised by the batch's statistics, which move the running ones; or, outside training, by the running ones."""
    if len(self._shape) < 2:
        raise RuntimeError("batch_norm expected an input with at least 2 dimensions")
    channels = self._shape[1]
    for name, parameter in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        if parameter is not None and parameter.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {parameter.numel()}")
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("running_mean and running_var must be defined in evaluation mode")
        return call("batch_norm_eval_of", self, running_mean, running_var, weight, bias, eps)
    count = numel(self._shape) // max(channels, 1)
    if count == 1:
        from ...torch_types import Size

        raise ValueError(f"Expected more than 1 value per channel when training, got input size {Size(self._shape)}")
    if running_mean is not None or running_var is not None:
        _move_running(self.detach(), running_mean, running_var, momentum)
    return call("native_batch_norm_of", self, weight, bias, eps)


def _move_running(x: Tensor, mean: Any, variance: Any, momentum: float) -> None:
    axes = [k for k in range(len(x._shape)) if k != 1]
    for running, statistic in ((mean, "mean"), (variance, "var")):
        if running is not None:
            batch = call(statistic, x, axes)
            call("add_", call("mul_", running, 1 - momentum), call("mul", call("to", batch, running._dtype), momentum))


@composite("instance_norm", to="f")
def _instance_norm(
    self: Tensor,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    samples, channels, *rest = self._shape
    flat = call("view", self, (1, samples * channels, *rest))

    def repeated(t: Any) -> Any:
        return None if t is None else call("repeat", t, samples)

    means, variances = repeated(running_mean), repeated(running_var)
    made = call("batch_norm", flat, means, variances, repeated(weight), repeated(bias), use_input_stats, momentum, eps)
    for running, moved in ((running_mean, means), (running_var, variances)):
        if running is not None and use_input_stats:
            call("copy_", running, call("mean", call("view", moved, (samples, channels)), 0))
    return call("view", made, self._shape)


@composite("local_response_norm", to="")
def _local_response_norm(self: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """Divided by (k + alpha * mean of squares over `size` neighbouring channels) ** beta."""
    squares = call("mul", self, self)
    pad = [0] * (2 * (len(self._shape) - 1))
    pad[-2:] = [size // 2, (size - 1) // 2]
    padded = call("constant_pad_nd", squares, pad)
    channels = self._shape[1]
    total = call("narrow", padded, 1, 0, channels)
    for shift in range(1, size):
        total = call("add", total, call("narrow", padded, 1, shift, channels))
    scale = call("pow", call("add", call("mul", call("div", total, size), alpha), k), beta)
    return call("div", self, scale)


@composite("normalize", to="")
def _normalize(self: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Any:
    length = call("clamp_min", call("norm", self, p, dim, True), eps)
    return call("div", self, call("expand_to", length, self._shape))


# ---------------------------------------------------------------- linear maps
@composite("linear", to="", replay=True)
def _linear(self: Tensor, weight: Tensor, bias: Any = None) -> Any:
    """`self @ weight.T + bias`, by the operations that torch decomposes it into."""
    if len(weight._shape) == 1:
        made = call("matmul", self, weight)
        return made if bias is None else call("add", made, bias)
    transposed = call("t", weight)
    if bias is None:
        return call("matmul", self, transposed)
    if len(self._shape) == 2:
        return call("addmm", bias, self, transposed)
    if not self._shape or self._shape[-1] != weight._shape[1]:
        return call("add", call("matmul", self, transposed), bias)
    rows = call("reshape", self, (numel(self._shape[:-1]), self._shape[-1])) if len(self._shape) != 1 else call("view", self, (1, -1))
    return call("view", call("addmm", bias, rows, transposed), (*self._shape[:-1], weight._shape[0]))


@op(
    "trilinear",
    build=lambda a, w, b: build.einsum("...i,oij,...j->...o", a, w, b),
    backward="TrilinearBackward0",
    saved="i1 i2 i3",
    inputs="i1 i2 i3",
    to="",
)
def _trilinear(a: Tensor, weight: Tensor, b: Tensor) -> Call:
    return Call((a, weight, b), (), (*a._shape[:-1], weight._shape[0]), a._dtype)


@composite("bilinear", to="f")
def _bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Any = None) -> Any:
    if input1._shape[:-1] != input2._shape[:-1]:
        k = next((k for k, (a, b) in enumerate(zip(input1._shape, input2._shape, strict=False)) if a != b), 0)
        raise RuntimeError(f"bilinear(): input batch dimensions do not match at dim {k}: got {input1._shape[k]} and {input2._shape[k]}")
    for k, (x, name) in enumerate(((input1, "input1"), (input2, "input2")), start=1):
        if x._shape[-1] != weight._shape[k]:
            raise RuntimeError(f"bilinear(): {name} size does not match weight size: got {x._shape[-1]} but expected {weight._shape[k]}")
    rows = [call("view", x, -1, x._shape[-1]) for x in (input1, input2)]
    made = call("view", call("trilinear", rows[0], weight, rows[1]), (*input1._shape[:-1], weight._shape[0]))
    return made if bias is None else call("add", made, bias)


# ---------------------------------------------------------------- embeddings
def _embedding(weight: Node, indices: Node, padding: int) -> Node:
    indices = build.cast(indices, np.int64)
    if padding >= 0:  # the row of the padding gets no gradient
        ramp = build.moving.iota((weight.shape[0],), 0)
        is_padding = f.expand(f.eq(ramp, padding), shape=weight.shape, axes=(0,))
        weight = f.where(is_padding, f.stop_gradient(weight), weight)
    return f.gather(weight, indices, axes=(0,))


@op(
    "embedding_of",
    build=_embedding,
    backward="EmbeddingBackward0",
    saved="indices",
    inputs="weight (indices)",
    to="",
    shown={"padding_idx": 0},
)
def _embedding_rule(weight: Tensor, indices: Tensor, padding: int) -> Call:
    return Call((weight, indices), (padding,), (*indices._shape, *weight._shape[1:]), weight._dtype)


@composite("embedding", to="")
def _embedding_function(
    self: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of `weight` at the integers in `self`."""
    kind = scalar_type_name(self._dtype)
    if kind not in ("Long", "Int"):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"torch.{kind}Tensor instead (while checking arguments for embedding)"
        )
    count = weight._shape[0]
    if padding_idx is not None and not -count <= padding_idx < count:
        raise AssertionError("Padding_idx must be within num_embeddings")
    indices = self._array()
    if indices.size and (indices.min() < 0 or indices.max() >= count):
        raise IndexError("index out of range in self")
    if max_norm is not None:
        _renormalise(weight, np.unique(indices), max_norm, norm_type)
    padding = -1 if padding_idx is None else padding_idx % count
    return call("embedding_of", weight, self, padding)


def _renormalise(weight: Tensor, rows: Any, max_norm: float, norm_type: float) -> None:
    """Rows longer than `max_norm` are shortened, in place and outside the graph."""
    array = np.array(weight._array())
    lengths = np.linalg.norm(array[rows], norm_type, axis=1, keepdims=True)
    array[rows] *= np.where(lengths > max_norm, max_norm / (lengths + 1e-7), 1.0).astype(array.dtype)
    call("copy_", weight.detach(), wrap_array(array))


@composite("one_hot", to="")
def _one_hot(self: Tensor, num_classes: int = -1) -> Any:
    if scalar_type_name(self._dtype) != "Long":
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    indices = self._array()
    if not indices.size and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    if indices.size and indices.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(indices.max()) + 1
    elif num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    elif indices.size and indices.max() >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return call("one_hot_of", self, num_classes)


@op(
    "one_hot_of",
    build=lambda x, count: build.cast(
        f.eq(f.expand(x, shape=(*x.shape, count), axes=tuple(range(x.ndim))), build.moving.iota((*x.shape, count), x.ndim)), np.int64
    ),
    to="",
)
def _one_hot_rule(self: Tensor, count: int) -> Call:
    return Call((self,), (count,), (*self._shape, count), NAMES["int64"])
