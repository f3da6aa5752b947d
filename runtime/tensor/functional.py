"""What `nn.functional` offers: operations of the table under torch's names, with `inplace=` where torch has it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from . import table
from .row import CALLS

_ = table  # filled by importing it

_PLAIN = [
    "gelu",
    "softplus",
    "softshrink",
    "hardshrink",
    "logsigmoid",
    "softsign",
    "tanhshrink",
    "prelu",
    "glu",
    "softmin",
    "gumbel_softmax",
    "sigmoid",
    "tanh",
    "rrelu",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "soft_margin_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "kl_div",
    "nll_loss",
    "cross_entropy",
    "margin_ranking_loss",
    "hinge_embedding_loss",
    "cosine_embedding_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "poisson_nll_loss",
    "gaussian_nll_loss",
    "pairwise_distance",
    "pdist",
    "cosine_similarity",
    "layer_norm",
    "rms_norm",
    "group_norm",
    "batch_norm",
    "instance_norm",
    "local_response_norm",
    "normalize",
    "linear",
    "bilinear",
    "embedding",
    "one_hot",
    "scaled_dot_product_attention",
    "multi_head_attention_forward",
    "pad",
    "interpolate",
    "pixel_shuffle",
    "pixel_unshuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]
_IN_PLACE = ["relu", "relu6", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "hardtanh", "hardsigmoid", "hardswish", "threshold"]
_RENAMED = {"softmax": "softmax_of", "log_softmax": "log_softmax_of", "feature_alpha_dropout": "alpha_dropout",
            "unfold": "unfold_windows", "fold": "fold_windows"}


def _with_inplace(name: str) -> Callable[..., Any]:
    """The function with an argument that asks for the in-place variant."""
    function, in_place = CALLS[name], CALLS[name + "_"]

    @functools.wraps(function)
    def apply(input: Any, *args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        return (in_place if inplace else function)(input, *args, **kwargs)

    return apply


def _renamed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    apply.__name__ = apply.__qualname__ = name
    return apply


FUNCTIONAL: dict[str, Callable[..., Any]] = {
    **{name: CALLS[name] for name in _PLAIN},
    **{name: _with_inplace(name) for name in _IN_PLACE},
    **{
        name + "_": CALLS[name + "_"]
        for name in _IN_PLACE
        if name in ("relu", "leaky_relu", "elu", "selu", "celu", "hardtanh", "threshold")
    },
    **{name: _renamed(name, CALLS[inside]) for name, inside in _RENAMED.items()},
    "rrelu_": functools.partial(CALLS["rrelu"], inplace=True),
}
