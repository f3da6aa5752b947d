"""Arguments described instead of given: `cr.spec("n d", cr.float64)`, `cr.spec(positive=True)`."""
from __future__ import annotations

from typing import Any

import numpy as np

from ...compiler.errors import ArgumentError
from ...compiler.ir import Node
from ...compiler.promises import combined, promised
from ...compiler.provenance import at, user_site
from ...compiler.sizes import Size
from ...compiler.trace import Session
from ...compiler.trace.session import check_dtype

__all__ = ["Spec", "spec"]

_HINTS = (7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)  # different for each name, so that nothing is equal by coincidence


class Spec:
    """The shape and dtype of an argument, sizes by name; a name that occurs twice is one size; what is promised of its numbers."""

    def __init__(self, sizes: tuple[str | int, ...], dtype: np.dtype[Any], promise: str = "") -> None:
        self.sizes, self.dtype, self.promise = sizes, dtype, promise

    @property
    def ndim(self) -> int:
        return len(self.sizes)

    @property
    def ones(self) -> tuple[int, ...]:
        """The axes of size 1."""
        return tuple(k for k, s in enumerate(self.sizes) if s == 1)

    def __repr__(self) -> str:
        return f"spec({' '.join(map(str, self.sizes))!r}, {self.dtype}{''.join(f', {p}=True' for p in self.promise.split())})"

    def make_input(self, session: Session, name: str, promise: str) -> Node:
        """An input of the trace with these sizes."""
        known: dict[int, Size] = {}
        hints: list[int | Size] = []
        for axis, size in enumerate(self.sizes):
            if isinstance(size, str):
                if size not in session.named_sizes:
                    session.named_sizes[size] = session.context.fresh(_HINTS[len(session.named_sizes) % len(_HINTS)])
                known[axis] = session.named_sizes[size]
                hints.append(known[axis])
            else:
                hints.append(size)
        return session.input(hints, self.dtype, name, known=known, promise=combined(self.promise, promise))


def spec(sizes: str | tuple[str | int, ...] = "", dtype: Any = np.float64, **promises: bool) -> Spec:
    """Describe an array argument for `.trace(...)`.

    Args:
        sizes: names and numbers, as in "n d" or "batch 3"; nothing for a 0-d array.
        dtype: a NumPy dtype, or one of chainrule's.
        promises: `positive`, `nonnegative`, `nonzero`, `integer`: what is known of the argument's numbers; `symmetric`: of matrices.
            Formulas are shorter for it: `sqrt(x**2)` of a positive x is x.
            They hold for this trace, not for calls of the function (see `grad`).

    Raises:
        ArgumentError: a size that is neither a name nor a number; an unknown promise, or one that contradicts another.
        DTypeError: an element type that the compiler does not have.
    """
    parts = sizes.replace(",", " ").split() if isinstance(sizes, str) else sizes
    parsed: list[str | int] = []
    for part in parts:
        if isinstance(part, int) or part.isdigit():
            parsed.append(int(part))
        elif part.isidentifier():
            parsed.append(part)
        else:
            raise ArgumentError(f"spec({sizes!r}){at(user_site())}: {part!r} is neither the name of a size nor a number")
    kind = as_numpy_dtype(dtype)
    check_dtype(kind, "an argument")
    return Spec(tuple(parsed), kind, promised(promises, f"spec({sizes!r}){at(user_site())}"))


def as_numpy_dtype(dtype: Any) -> np.dtype[Any]:
    """A NumPy dtype from what names one here: NumPy's, or `cr.float64`."""
    from ..torch_types.dtypes import dtype as torch_dtype, to_numpy_dtype

    return to_numpy_dtype(dtype) if isinstance(dtype, torch_dtype) else np.dtype(dtype)
