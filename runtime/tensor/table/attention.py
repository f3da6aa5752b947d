"""Attention: softmax(query key^T) value, of one head and of several."""
from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node, constant, f
from ..row import Call, call, composite, op
from ..tensor import Tensor, wrap_array


def _safe_softmax(x: Node, dtype: str) -> Node:
    """The softmax over the last axis; zeros in rows that are masked throughout."""
    axis = x.ndim - 1
    blocked = f.expand(f.all(f.eq(x, float("-inf")), axes=(axis,)), shape=x.shape, axes=tuple(range(axis)))
    open_rows = f.where(blocked, constant(0, x.dtype, x.shape), x)
    return f.where(blocked, constant(0, x.dtype, x.shape), build.softmax(open_rows, (axis,)))


@op("safe_softmax", build=_safe_softmax, backward="SafeSoftmaxBackward0", saved="result", to="")
def _safe_softmax_rule(self: Tensor) -> Call:
    return Call((self,), ("",), self._shape, self._dtype)


def _attention(query: Node, key: Node, value: Node, *more: Any) -> Node:
    *mask, scale, causal = more
    order = (*range(key.ndim - 2), key.ndim - 1, key.ndim - 2)
    scores = build.matmul(query * scale, build.permute(key, order))
    if mask:
        scores = scores + build.broadcast_to(mask[0], scores.shape)
    if causal:
        rows, columns = build.moving.iota(scores.shape, scores.ndim - 2), build.moving.iota(scores.shape, scores.ndim - 1)
        scores = f.where(f.le(columns, rows), scores, constant(float("-inf"), scores.dtype, scores.shape))
    return build.matmul(_safe_softmax(scores, ""), value)


@op(
    "attention_of",
    build=_attention,
    backward="ScaledDotProductFlashAttentionForCpuBackward0",
    saved="query key value",
    inputs="query key value attn_mask",
    to="",
)
def _attention_rule(query: Tensor, key: Tensor, value: Tensor, mask: Any, scale: float, causal: bool) -> Call:
    more = () if mask is None else (mask,)
    return Call((query, key, value, *more), (scale, causal), (*query._shape[:-1], value._shape[-1]), query._dtype)


@composite("scaled_dot_product_attention", to="")
def _scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(query key^T * scale + mask) value over the last two axes."""
    if is_causal and attn_mask is not None:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa and key._shape[-3] != query._shape[-3]:
        times = query._shape[-3] // key._shape[-3]
        key, value = (call("repeat_interleave", t, times, -3) for t in (key, value))
    factor = 1.0 / math.sqrt(query._shape[-1]) if scale is None else scale
    if attn_mask is not None and not attn_mask._dtype.is_floating_point:
        closed = call("logical_not", attn_mask)
        attn_mask = call("masked_fill", call("zeros_like", attn_mask, dtype=query._dtype), closed, float("-inf"))
    if len(query._shape) == 4 and query._shape[:2] == key._shape[:2] and not dropout_p:
        return call("attention_of", query, key, value, attn_mask, factor, bool(is_causal))
    root = math.sqrt(factor)
    scores = call("matmul", call("mul", query, root), call("mul", call("transpose", key, -2, -1), root))
    if is_causal:
        there = wrap_array(np.tril(np.ones((query._shape[-2], key._shape[-2]), bool)))
        scores = call("masked_fill", scores, call("logical_not", there), float("-inf"))
    elif attn_mask is not None:
        scores = call("add", scores, attn_mask)
    weights = call("safe_softmax", scores)
    if dropout_p:
        weights = call("dropout", weights, dropout_p, True)
    return call("matmul", weights, value)


# ---------------------------------------------------------------- several heads
def as_additive(mask: Any, name: str, like: Any, other: Any = None, other_name: str = "") -> Any:
    """A mask as what is added to scores: -inf where a boolean mask is True.

    Raises:
        AssertionError: a mask of whole numbers.
    """
    if mask is None:
        return None
    of_floats = mask.dtype.is_floating_point
    if not of_floats and str(mask.dtype) != "torch.bool":
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if other is not None and mask.dtype != other.dtype:
        warnings.warn(f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both instead.", stacklevel=4)
    return mask if of_floats else call("zeros_like", mask, dtype=like.dtype).masked_fill_(mask, float("-inf"))


def _check_ranks(query: Any, key: Any, value: Any, padding: Any, mask: Any, heads: int) -> bool:
    """Whether there is a batch."""
    rank = query.dim()
    if rank not in (2, 3):
        raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {rank}-D query tensor")
    kind = "batched (3-D)" if rank == 3 else "unbatched (2-D)"
    if key.dim() != rank or value.dim() != rank:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {rank}-D but found {key.dim()}-D and {value.dim()}-D "
            "tensors respectively"
        )
    if padding is not None and padding.dim() != rank - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {rank - 1}-D but found {padding.dim()}-D tensor instead"
        )
    if mask is not None and mask.dim() not in (2, 3):
        raise AssertionError(f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {mask.dim()}-D tensor instead")
    if rank == 2 and mask is not None and mask.dim() == 3 and tuple(mask.shape) != (heads, query.shape[0], key.shape[0]):
        raise AssertionError(f"Expected `attn_mask` shape to be {(heads, query.shape[0], key.shape[0])} but got {mask.shape}")
    return bool(rank == 3)


@composite("multi_head_attention_forward", to="")
def _multi_head_attention(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """Attention of several heads: softmax(q k^T / sqrt(width)) v for each part of the projected features, joined and projected.

    Args:
        query: (steps, batch, features), or (steps, features); key, value: (source steps, batch, features of theirs).
        key_padding_mask: (batch, source steps), attn_mask: (steps, source steps) or (batch * heads, steps, source steps); True:
            not looked at; numbers are added to the scores.

    Returns:
        (steps, batch, features), and the weights (batch, steps, source steps), averaged over heads unless told otherwise; None
        without `need_weights`.

    Raises:
        AssertionError, RuntimeError: torch's, for shapes that do not fit.
    """
    batched = _check_ranks(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = (x.unsqueeze(1) for x in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    steps, batch, features = query.shape
    padding = as_additive(key_padding_mask, "key_padding_mask", query, attn_mask, "attn_mask")
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    is_causal = is_causal and padding is None and not need_weights
    mask = None if is_causal else as_additive(attn_mask, "attn_mask", query)
    if features != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {features}")
    width = features // num_heads
    if width * num_heads != features:
        raise AssertionError(f"embed_dim {features} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight and key.shape[:2] != value.shape[:2]:
        raise AssertionError(f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}")
    if not use_separate_proj_weight and key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")

    weights = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else in_proj_weight.chunk(3)
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (call("linear", x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
    if mask is not None:
        right = (steps, key.shape[0]) if mask.dim() == 2 else (batch * num_heads, steps, key.shape[0])
        if tuple(mask.shape) != right:
            raise RuntimeError(f"The shape of the {mask.dim()}D attn_mask is {mask.shape}, but should be {right}.")
        mask = mask.unsqueeze(0) if mask.dim() == 2 else mask
    if bias_k is not None:
        k, v = (call("cat", [x, more.repeat(1, batch, 1)]) for x, more in ((k, bias_k), (v, bias_v)))
    parts = [x.reshape(x.shape[0], batch * num_heads, width).transpose(0, 1) for x in (q, k, v)]
    q, k, v = (part if fixed is None else fixed for part, fixed in zip(parts, (None, static_k, static_v), strict=True))
    if add_zero_attn:
        k, v = (call("cat", [x, x.new_zeros((batch * num_heads, 1, width))], 1) for x in (k, v))
    more = int(bias_k is not None) + int(add_zero_attn)
    if more:
        mask, padding = (None if m is None else call("pad", m, (0, more)) for m in (mask, padding))
    if padding is not None:
        source = k.shape[1]
        padding = padding.view(batch, 1, 1, source).expand(-1, num_heads, -1, -1).reshape(batch * num_heads, 1, source)
        mask = padding if mask is None else mask + padding
    dropout_p = dropout_p if training else 0.0

    if need_weights:
        scores = call("bmm", q * math.sqrt(1.0 / width), k.transpose(-2, -1))
        seen = call("softmax", scores if mask is None else scores + mask, -1)
        seen = call("dropout", seen, dropout_p) if dropout_p else seen
        found = call("bmm", seen, v).transpose(0, 1)
        seen = seen.view(batch, num_heads, steps, seen.shape[-1])
        seen = seen.mean(1) if average_attn_weights else seen
    else:
        seen = None
        q, k, v = (x.reshape(batch, num_heads, x.shape[1], width) for x in (q, k, v))
        if mask is not None:
            mask = mask.unsqueeze(0) if mask.shape[0] == 1 else mask.view(batch, num_heads, -1, mask.shape[-1])
        found = call("scaled_dot_product_attention", q, k, v, mask, dropout_p, is_causal).permute(2, 0, 1, 3)
    made = call("linear", found.reshape(steps * batch, features), out_proj_weight, out_proj_bias).view(steps, batch, -1)
    if batched:
        return made, seen
    return made.squeeze(1), None if seen is None else seen.squeeze(0)
