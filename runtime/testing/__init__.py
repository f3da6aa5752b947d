"""`chainrule.testing`: comparisons that say what differs, under torch's names and in its words."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

if __name__ != "chainrule.testing":  # a second copy would compare with classes of its own
    raise ImportError(f"chainrule.testing was imported as {__name__!r}; import `chainrule.testing`")

from ..runtime.tensor.tensor import Tensor
from ..runtime.torch_types import dtype as Dtype, from_numpy_dtype

__all__ = ["assert_close"]

_TOLERANCES = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}  # relative, absolute


class _Rules(NamedTuple):
    rtol: float | None
    atol: float | None
    equal_nan: bool
    allow_subclasses: bool
    check_device: bool
    check_dtype: bool
    check_stride: bool


def assert_close(actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None, atol: float | None = None,
                 equal_nan: bool = False, check_device: bool = True, check_dtype: bool = True, check_layout: bool = True,
                 check_stride: bool = False, msg: str | Callable[[str], str] | None = None) -> None:
    """Do nothing where `actual` and `expected` are close: `|actual - expected| <= atol + rtol * |expected|`.

    Args:
        actual, expected: tensors, arrays, numbers, None, or sequences and mappings of them.
        rtol, atol: both or neither; by default those of the wider dtype (0 for integers and booleans).
        msg: said instead of the message, or made of it.

    Raises:
        AssertionError: they differ; the message says where and by how much.
        ValueError: one of the tolerances is given.
        TypeError: what is compared is no number, tensor, ...
    """
    if (rtol is None) != (atol is None):
        raise ValueError(f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {'rtol' if rtol is None else 'atol'}.")
    found = _difference(actual, expected, _Rules(rtol, atol, equal_nan, allow_subclasses, check_device, check_dtype, check_stride), ())
    if found is not None:
        raise AssertionError(found if msg is None else msg(found) if callable(msg) else msg)


def _difference(actual: Any, expected: Any, rules: _Rules, place: tuple[Any, ...]) -> str | None:
    """What differs first, None where nothing does."""
    where = "" if not place else f"\n\nThe failure occurred for item {''.join(f'[{key!r}]' for key in place)}"
    inside: list[tuple[Any, Any, Any]] = []
    said: str | None
    if _both(actual, expected, Mapping):
        missing, more = ([key for key in a if key not in b] for a, b in ((expected, actual), (actual, expected)))
        lines = [f"{word} in the actual mapping: {keys}" for word, keys in (("Missing keys", missing), ("Additional keys", more)) if keys]
        said = "\n".join(["The keys of the mappings do not match:", *lines]) if lines else None
        inside = [(key, actual[key], expected[key]) for key in actual] if not lines else []
    elif _both(actual, expected, Sequence) and not _both(actual, expected, str):
        said = f"The length of the sequences mismatch: {len(actual)} != {len(expected)}" if len(actual) != len(expected) else None
        inside = list(zip(range(len(actual)), actual, expected, strict=True)) if said is None else []
    elif actual is None or expected is None:
        said = None if actual is expected else f"None mismatch: {actual} is not {expected}"
    elif _both(actual, expected, (bool, np.bool_)):
        said = None if actual == expected else f"Booleans mismatch: {actual} is not {expected}"
    elif _both(actual, expected, (int, float, np.number)):
        said = _numbers(actual, expected, rules)
    elif _both(actual, expected, (Tensor, np.ndarray)) and (rules.allow_subclasses or type(actual) is type(expected)):
        said = _tensors(actual, expected, rules)
    else:
        raise TypeError(f"No comparison pair was able to handle inputs of type {_shown(actual)} and {_shown(expected)}.")
    if said is not None:
        return said + where
    for key, a, b in inside:
        said = _difference(a, b, rules, (*place, key))
        if said is not None:
            return said
    return None


def _both(a: Any, b: Any, kinds: Any) -> bool:
    return isinstance(a, kinds) and isinstance(b, kinds)


def _shown(value: Any) -> str:
    return "<class 'torch.Tensor'>" if isinstance(value, Tensor) else str(type(value))


def _numbers(actual: Any, expected: Any, rules: _Rules) -> str | None:
    if rules.check_dtype and type(actual) is not type(expected):
        return f"The (d)types do not match: {type(actual)} != {type(expected)}."
    exact = _both(actual, expected, (int, np.integer))
    return _scalars(actual, expected, (0, 0) if exact else _TOLERANCES["float64"], rules)


def _scalars(actual: Any, expected: Any, default: tuple[float, float], rules: _Rules) -> str | None:
    rtol, atol = _given(rules, default)
    difference = abs(actual - expected)
    if actual == expected or (rules.equal_nan and math.isnan(actual) and math.isnan(expected)):
        return None
    if math.isfinite(difference) and difference <= atol + rtol * abs(expected):
        return None
    relative = math.inf if expected == 0 else difference / abs(expected)
    exact = rtol == 0 and atol == 0
    return (f"Scalars are not {'equal' if exact else 'close'}!\n\nExpected {expected} but got {actual}.\n"
            f"Absolute difference: {difference}{'' if exact else f' (up to {atol} allowed)'}\n"
            f"Relative difference: {relative}{'' if exact else f' (up to {rtol} allowed)'}")


def _given(rules: _Rules, default: tuple[float, float]) -> tuple[float, float]:
    return default if rules.rtol is None or rules.atol is None else (rules.rtol, rules.atol)


def _tensors(actual: Any, expected: Any, rules: _Rules) -> str | None:
    a, b = (x.detach() if isinstance(x, Tensor) else x for x in (actual, expected))
    for name, one, other in _attributes(a, b, rules):
        if one != other:
            return f"The values for attribute '{name}' do not match: {one} != {other}."
    left, right = (np.asarray(x) for x in (a, b))
    defaults = [_TOLERANCES.get(x.dtype.name, (0, 0)) for x in (left, right)]
    default = max(d[0] for d in defaults), max(d[1] for d in defaults)
    common = np.result_type(left, right)
    if common.kind == "b":
        common = np.dtype(np.int64)
    left, right = left.astype(common), right.astype(common)
    if left.size == 1 and left.ndim == 0:
        return _scalars(left.item(), right.item(), default, rules)
    rtol, atol = _given(rules, default)
    with np.errstate(all="ignore"):
        difference = np.abs(left - right)
        close = (left == right) | (np.isfinite(difference) & (difference <= atol + rtol * np.abs(right)))
        if rules.equal_nan:
            close |= np.isnan(left) & np.isnan(right)
        if close.all():
            return None
        wrong = np.where(close, 0, difference)
        relative = np.where(close, 0, difference / np.abs(right))
    exact = rtol == 0 and atol == 0
    count = int((~close).sum())
    lines = [f"Tensor-likes are not {'equal' if exact else 'close'}!", "",
             f"Mismatched elements: {count} / {left.size} ({count / left.size:.1%})"]
    for word, values, allowed in (("absolute", wrong, atol), ("relative", relative, rtol)):
        at = np.unravel_index(np.argmax(values), values.shape)
        lines.append(f"Greatest {word} difference: {values[at].item()} at index {tuple(int(k) for k in at)}"
                     + ("" if exact else f" (up to {allowed} allowed)"))
    return "\n".join(lines)


def _attributes(a: Any, b: Any, rules: _Rules) -> list[tuple[str, Any, Any]]:
    def size(x: Any) -> str:
        return f"torch.Size({list(x.shape)})"

    def dtype(x: Any) -> Dtype:
        return x.dtype if isinstance(x, Tensor) else from_numpy_dtype(x.dtype)

    found: list[tuple[str, Any, Any]] = [("shape", size(a), size(b))]
    if rules.check_dtype:
        found.append(("dtype", dtype(a), dtype(b)))
    if rules.check_stride and _both(a, b, Tensor):
        found.append(("stride()", a.stride(), b.stride()))
    return found
