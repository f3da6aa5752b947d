"""Layers with parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..tensor.functional import FUNCTIONAL as F
from ..tensor.modes import no_grad
from ..tensor.parameter import Parameter
from ..tensor.row import numpy_dtype
from ..tensor.tensor import Tensor, wrap_array
from ..torch_types import as_dtype, get_default_dtype
from . import init
from .module import Module


def _made(shape: tuple[int, ...], dtype: Any, value: float = 0.0) -> Any:
    kind = get_default_dtype() if dtype is None else as_dtype(dtype, "empty")
    return wrap_array(np.full(shape, value, numpy_dtype(kind)))


def _parameter(shape: tuple[int, ...], dtype: Any, value: float = 0.0) -> Parameter:
    return Parameter(_made(shape, dtype, value))


class Linear(Module):
    """`x @ weight.T + bias`; both drawn uniformly within 1 / sqrt(in_features)."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = _parameter((out_features, in_features), dtype)
        if bias:
            self.bias = _parameter((out_features,), dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Any:
        """The linear map of the last axis."""
        return F["linear"](input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """`x1^T weight[k] x2 + bias[k]` for each output k."""

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = _parameter((out_features, in1_features, in2_features), dtype)
        if bias:
            self.bias = _parameter((out_features,), dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Any:
        """The bilinear form of the last axes."""
        return F["bilinear"](input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class PReLU(Module):
    """`max(x, 0) + weight * min(x, 0)` with a learned weight, one or one for each channel."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = _parameter((num_parameters,), dtype, init)

    def forward(self, input: Any) -> Any:
        """The activation."""
        return F["prelu"](input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Embedding(Module):
    """A table of vectors, looked up by integers."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError("Padding_idx must be within num_embeddings")
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is None:
            self.weight = _parameter((num_embeddings, embedding_dim), dtype)
            self.weight.requires_grad = not _freeze
            self.reset_parameters()
        else:
            if _weight._shape != (num_embeddings, embedding_dim):
                raise AssertionError("Shape of weight does not match num_embeddings and embedding_dim")
            self.weight = Parameter(_weight, requires_grad=not _freeze)

    def reset_parameters(self) -> None:
        """Draw the table anew; the row of the padding is zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                weight: Any = self.weight
                weight[self.padding_idx].fill_(0)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, **options: Any) -> Embedding:
        """A table with these contents."""
        rows, columns = embeddings._shape
        return cls(rows, columns, padding_idx, _weight=embeddings, _freeze=freeze, **options)

    def forward(self, input: Any) -> Any:
        """The rows at the integers."""
        return F["embedding"](input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        return text


# ---------------------------------------------------------------- normalisation
class LayerNorm(Module):
    """Mean 0 and variance 1 over the last axes, then scaled and shifted."""

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.register_parameter("weight", _parameter(self.normalized_shape, dtype, 1.0) if elementwise_affine else None)
        self.register_parameter("bias", _parameter(self.normalized_shape, dtype) if elementwise_affine and bias else None)

    def reset_parameters(self) -> None:
        """Scale 1 and shift 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Any) -> Any:
        """The normalised input."""
        return F["layer_norm"](input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"


class RMSNorm(Module):
    """Divided by the root of the mean of squares over the last axes, then scaled."""

    def __init__(
        self, normalized_shape: Any, eps: float | None = None, elementwise_affine: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.register_parameter("weight", _parameter(self.normalized_shape, dtype, 1.0) if elementwise_affine else None)

    def forward(self, input: Any) -> Any:
        """The normalised input."""
        return F["rms_norm"](input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Mean 0 and variance 1 over groups of channels, then scaled and shifted by channel."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.register_parameter("weight", _parameter((num_channels,), dtype, 1.0) if affine else None)
        self.register_parameter("bias", _parameter((num_channels,), dtype) if affine and bias else None)

    def forward(self, input: Any) -> Any:
        """The normalised input."""
        return F["group_norm"](input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class _OfChannels(Module):
    """What batch and instance normalisation share: parameters and running statistics by channel."""

    _ranks: tuple[int, ...] = ()
    _affine = True
    _tracking = True

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool | None = None,
        track_running_stats: bool | None = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine = self._affine if affine is None else affine
        self.track_running_stats = self._tracking if track_running_stats is None else track_running_stats
        self.register_parameter("weight", _parameter((num_features,), dtype, 1.0) if self.affine else None)
        self.register_parameter("bias", _parameter((num_features,), dtype) if self.affine and bias else None)
        tracked = self.track_running_stats
        self.register_buffer("running_mean", _made((num_features,), dtype) if tracked else None)
        self.register_buffer("running_var", _made((num_features,), dtype, 1.0) if tracked else None)
        self.register_buffer("num_batches_tracked", wrap_array(np.zeros((), np.int64)) if tracked else None)

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batches."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def _check_input(self, input: Tensor) -> None:
        if self._ranks and len(input._shape) not in self._ranks:
            wanted = " or ".join(f"{rank}D" for rank in self._ranks)
            raise ValueError(f"expected {wanted} input (got {len(input._shape)}D input)")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_OfChannels):
    def forward(self, input: Any) -> Any:
        """Normalised by the batch's statistics in training, by the running ones in evaluation."""
        self._check_input(input)
        factor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                factor = 1.0 / float(self.num_batches_tracked)
        by_batch = self.training or (self.running_mean is None and self.running_var is None)
        kept = not self.training or self.track_running_stats
        return F["batch_norm"](
            input,
            self.running_mean if kept else None,
            self.running_var if kept else None,
            self.weight,
            self.bias,
            by_batch,
            factor,
            self.eps,
        )


class _InstanceNorm(_OfChannels):
    _affine = False
    _tracking = False

    def forward(self, input: Any) -> Any:
        """Normalised by each sample's own statistics."""
        self._check_input(input)
        lone = len(input._shape) == self._ranks[0]
        made = F["instance_norm"](
            input.unsqueeze(0) if lone else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum,
            self.eps,
        )
        return made.squeeze(0) if lone else made


LAYERS: dict[str, type[Module]] = {cls.__name__: cls for cls in (Linear, Bilinear, PReLU, Embedding, LayerNorm, RMSNorm, GroupNorm)}
for _dimensions in (1, 2, 3):
    _batch = (2, 3) if _dimensions == 1 else (_dimensions + 2,)
    LAYERS[f"BatchNorm{_dimensions}d"] = type(f"BatchNorm{_dimensions}d", (_BatchNorm,), {"_ranks": _batch})
    LAYERS[f"InstanceNorm{_dimensions}d"] = type(
        f"InstanceNorm{_dimensions}d", (_InstanceNorm,), {"_ranks": (_dimensions + 1, _dimensions + 2)}
    )
for _cls in LAYERS.values():
    _cls.__module__ = "torch.nn.modules"
