"""What is written: a tree of the notations that people use, from which text, LaTeX, NumPy source and SymPy are made."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from ..provenance import Site
from ..sizes import Size
from .terms import Label

__all__ = ["Shown", "is_one", "key", "make", "number", "product", "runs", "transpose"]


@dataclass(frozen=True, eq=False)
class Shown:
    """A piece of notation.

    Kinds: number, constant, size, symbol, element (indexed), position (a ramp), add (`data`: signs), product (`data`: the
    coefficient and how many of the args are in the numerator), scaled (a scalar times a matrix product), matmul, power,
    root, apply (`data`: function, parameters), transpose, diag, diagonal, total, along (`data`: axes), mean, norm, trace,
    spread (`data`: the axes of its argument among `axes`), outer, eye, ones, pad, take, gather, einsum, call, series.

    Attributes:
        axes: the labels of its axes, in order; none for a number.
        cost: how hard it is to read, in signs that are not needed otherwise.
        symmetric: whether it is a matrix that is its own transpose.
        sites: the user's lines that it comes from, as far as is known.
    """

    kind: str
    args: tuple[Shown, ...] = ()
    axes: tuple[Label, ...] = ()
    data: Any = None
    cost: int = field(default=0)
    symmetric: bool = False
    sites: frozenset[Site] = frozenset()

    @property
    def ndim(self) -> int:
        return len(self.axes)


_COSTS = {"transpose": 2, "spread": 2, "diag": 1, "einsum": 20, "gather": 3, "permute": 4}


def make(kind: str, args: Sequence[Shown] = (), axes: Sequence[Label] = (), data: Any = None, symmetric: bool = False) -> Shown:
    """A piece of notation, its cost summed up."""
    cost = sum(a.cost for a in args) + _COSTS.get(kind, 0)
    symmetric = symmetric or kind == "diag" or (kind == "eye" and len(axes) == 2 and axes[0].size == axes[1].size)
    return Shown(kind, tuple(args), tuple(axes), data, cost, symmetric)


def key(shown: Shown) -> Any:
    """Equal for notations that say the same, whatever their axes are called."""
    return shown.kind, shown.data, tuple(label.size for label in shown.axes), tuple(key(a) for a in shown.args)


def runs(matrices: Sequence[Shown]) -> list[tuple[Shown, int]]:
    """The factors of a product, each with how often it follows itself."""
    found: list[tuple[Shown, int]] = []
    for matrix in matrices:
        if found and matrix.kind != "diag" and key(found[-1][0]) == key(matrix):
            found[-1] = matrix, found[-1][1] + 1
        else:
            found.append((matrix, 1))
    return found


def number(value: Fraction | int) -> Shown:
    """A rational."""
    return make("number", data=value if isinstance(value, Fraction) else Fraction(value))


def is_one(shown: Shown) -> bool:
    """Whether it is the number 1."""
    return shown.kind == "number" and shown.data == 1


def product(coefficient: Fraction, above: Sequence[Shown], below: Sequence[Shown], axes: Sequence[Label]) -> Shown:
    """`coefficient * above / below`, elementwise."""
    if not above and not below:
        return number(coefficient)
    if coefficient == 1 and len(above) == 1 and not below:
        return above[0]
    if len(above) == 1 and above[0].kind == "matmul" and not below:
        return make("scaled", [number(coefficient), *above], axes)  # 1/2 * x.T @ A @ x
    return make("product", [*above, *below], axes, (coefficient, len(above)))


def transpose(shown: Shown) -> Shown:
    """A vector as a row, or a matrix with its axes exchanged."""
    if shown.kind == "transpose":
        return shown.args[0]
    if shown.symmetric:
        return replace(shown, axes=shown.axes[::-1])
    wrapped = make("transpose", [shown], shown.axes[::-1])
    if shown.kind == "matmul" and shown.ndim == 2:
        turned = make("matmul", [transpose(a) for a in reversed(shown.args)], shown.axes[::-1])
        return turned if turned.cost < wrapped.cost else wrapped
    if shown.kind == "add" and shown.ndim == 2 and all(a.ndim == 2 for a in shown.args):
        turned = make("add", [transpose(a) for a in shown.args], shown.axes[::-1], shown.data)
        return turned if turned.cost < wrapped.cost else wrapped
    return wrapped


def sizes_of(axes: Sequence[Label]) -> tuple[Size, ...]:
    """The shape."""
    return tuple(label.size for label in axes)
