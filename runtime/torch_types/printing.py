"""Tensors as text, in torch's format: `tensor([1.0000, 2.5000], requires_grad=True)`.

Only the elements that are shown are read and formatted, so a summarised tensor of any size prints at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .dtypes import bool_, dtype, get_default_dtype, int64

Array = np.ndarray[Any, Any]


@dataclasses.dataclass
class PrintOptions:
    """How tensors print.

    Attributes:
        precision: digits after the point.
        threshold: a tensor of more elements than this is summarised.
        edgeitems: how many elements a summary shows at either end of each axis.
        linewidth: columns a row of elements may take.
        sci_mode: scientific notation always (True), never (False), or where the values call for it (None).
    """

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_OPTIONS = PrintOptions()

_PROFILES: dict[str, dict[str, float]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print (see `PrintOptions`); what is not given stays, except `sci_mode`, which is always set.

    Args:
        profile: `"default"`, `"short"` or `"full"`: values for the first four, before those given here; torch
            ignores an unknown name, so this does too.
    """
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    changes = _PROFILES.get(profile or "", {}) | {name: value for name, value in given.items() if value is not None}
    for name, value in changes.items():
        setattr(_OPTIONS, name, value)
    _OPTIONS.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options in force, in the form `set_printoptions(**...)` takes."""
    return dataclasses.asdict(_OPTIONS)


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Change the options (arguments of `set_printoptions`) for the time of a `with` block."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def format_tensor(
    array: Array,
    *,
    dtype: dtype,
    requires_grad: bool = False,
    grad_fn_name: str | None = None,
    prefix: str = "tensor(",
    extra_suffixes: Sequence[str] = (),
) -> str:
    """What `repr` of a tensor returns.

    Args:
        array: the values, any shape.
        dtype: their dtype, shown where it cannot be told from the values.
        requires_grad: of the tensor; shown when it has no grad_fn.
        grad_fn_name: class name of the grad_fn, e.g. `"SubBackward0"`, or None for a leaf.
        prefix: the opening; a Tensor subclass opens with its own name. Further lines align with its end.
        extra_suffixes: shown last, e.g. `"tangent=..."`.
    """
    implied = {get_default_dtype(), int64, bool_} if array.size else {get_default_dtype()}
    suffixes = []
    # torch does not repeat the shape of a one-dimensional empty tensor; a summary without elements hides any shape.
    if (array.ndim != 1) if not array.size else not _OPTIONS.edgeitems:
        suffixes.append(f"size={array.shape}")
    if dtype not in implied:
        suffixes.append(f"dtype={dtype}")
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn=<{grad_fn_name}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    suffixes += extra_suffixes
    indent = len(prefix)
    return _with_suffixes(prefix + _format_values(array, dtype, indent), suffixes, indent)


def format_parameter(array: Array, *, dtype: dtype, requires_grad: bool = True, class_name: str | None = None) -> str:
    """What `repr` of an `nn.Parameter` returns; `class_name` is the name of a subclass of it."""
    prefix = "tensor(" if class_name is None else f"{class_name}("
    text = format_tensor(array, dtype=dtype, requires_grad=requires_grad, prefix=prefix)
    return f"Parameter containing:\n{text if class_name is None else f'Parameter({text})'}"


def format_spec(array: Array, spec: str, owner: object, *, is_plain: bool = True) -> str:
    """What `format(owner, spec)` returns: a 0-d tensor formats as its number, others as any object.

    Args:
        array: the values of the tensor.
        spec: the text after the colon in an f-string, may be empty.
        owner: the tensor; its `str` is the answer to an empty `spec` where it is not 0-d.
        is_plain: False for a subclass of Tensor (a Parameter is one): its number does not stand for it.

    Raises:
        TypeError: a `spec` for a tensor with dimensions.
        ValueError: a `spec` that the number does not understand.
    """
    if array.ndim == 0 and is_plain:
        return format(array.item(), spec)
    return object.__format__(owner, spec)


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """Append `, suffix` each, on a new line where the line would get too long, and close the parenthesis."""
    parts = [text]
    # torch counts two more columns than the line has, room for the closing characters.
    line_length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if line_length + len(suffix) + 2 > _OPTIONS.linewidth:
            parts.append(",\n" + " " * indent + suffix)
            line_length = indent + len(suffix)
        else:
            parts.append(", " + suffix)
            line_length += len(suffix) + 2
    return "".join(parts) + ")"


def _format_values(array: Array, dtype: dtype, indent: int) -> str:
    if not array.size:
        return "[]"
    summarise = array.size > _OPTIONS.threshold and array.ndim > 0
    if summarise and not _OPTIONS.edgeitems:
        return "[...]"
    splits: Sequence[int | None]
    shown, splits = _summarised(array) if summarise else (array, [None] * array.ndim)
    texts, width = _format_floats(shown) if dtype.is_floating_point else _format_exact(shown)
    cells = [text.rjust(width) for text in texts]
    if array.ndim == 0:
        return cells[0]
    blocks = _rows(cells, shown.shape[-1], splits[-1], width, indent + array.ndim - 1)
    for axis in range(array.ndim - 2, -1, -1):
        separator = "," + "\n" * (array.ndim - axis - 1) + " " * (indent + axis + 1)
        blocks = [
            f"[{separator.join(_with_ellipsis(block, splits[axis], '...'))}]"
            for block in _batched(blocks, shown.shape[axis])
        ]
    return blocks[0]


def _summarised(array: Array) -> tuple[Array, list[int | None]]:
    """The elements a summary shows, and for each axis after how many of them it is cut (None: not cut)."""
    edge = _OPTIONS.edgeitems
    kept: list[list[int]] = []
    splits: list[int | None] = []
    for extent in array.shape:
        if extent > 2 * edge:
            head, tail = range(extent)[:edge], range(extent)[-edge:]
            kept.append([*head, *tail])
            splits.append(len(head))
        else:
            kept.append([*range(extent)])
            splits.append(None)
    return array[np.ix_(*kept)], splits


def _format_exact(array: Array) -> tuple[list[str], int]:
    """Text of integers or bools, and its width."""
    texts = [str(value) for value in array.ravel().tolist()]
    return texts, max(map(len, texts))


def _format_floats(array: Array) -> tuple[list[str], int]:
    """Text of floats in the one notation they share, and the width of that of the nonzero finite ones."""
    flat = array.ravel()
    ordinary = np.isfinite(flat) & (flat != 0)
    write = _float_notation(np.abs(flat[ordinary].astype(np.float64)))
    texts = [write(value) for value in flat.tolist()]
    # Zeros, infinities and NaN neither choose the notation nor widen the column.
    return texts, max(map(len, itertools.compress(texts, ordinary.tolist())), default=1)


def _float_notation(magnitudes: Array) -> Callable[[float], str]:
    """How to write floats whose nonzero finite values have these magnitudes: torch's choice of notation."""
    precision = _OPTIONS.precision
    if magnitudes.size:
        smallest, largest = magnitudes.min(), magnitudes.max()
        with np.errstate(over="ignore"):
            uneven = largest / smallest > 1000.0
        scientific = uneven or largest > 1.0e8 or smallest < 1.0e-4
        if scientific if _OPTIONS.sci_mode is None else _OPTIONS.sci_mode:
            return lambda value: f"{value:.{precision}e}"
        if (magnitudes != np.ceil(magnitudes)).any():
            return lambda value: f"{value:.{precision}f}"
    return lambda value: f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"


def _batched(items: list[str], count: int) -> Iterator[list[str]]:
    return (items[start : start + count] for start in range(0, len(items), count))


def _with_ellipsis(items: list[str], split: int | None, ellipsis: str) -> list[str]:
    return items if split is None else [*items[:split], ellipsis, *items[split:]]


def _rows(cells: list[str], count: int, split: int | None, width: int, indent: int) -> list[str]:
    """Bracketed rows of `count` cells each, wrapped at the line width."""
    per_line = max(1, math.floor((_OPTIONS.linewidth - indent) / (width + 2)))
    wrap = ",\n" + " " * (indent + 1)
    # The extra space is torch's.
    rows = (_with_ellipsis(row, split, " ...") for row in _batched(cells, count))
    return [f"[{wrap.join(', '.join(line) for line in _batched(row, per_line))}]" for row in rows]
