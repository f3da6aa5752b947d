"""What typeset notations have in common: arrays as textbooks write them, transposes and inverses raised, indices lowered."""
from __future__ import annotations

from collections.abc import Sequence

from .shown import Shown, make
from .terms import Label
from .text import ATOM, MUL, POWER, Writer, Written

__all__ = ["Typeset"]


class Typeset(Writer):
    """A writer that can raise and lower."""

    turned = "T"
    one = "𝟏"
    zero = "𝟎"
    by = "×"
    ring = "∘"

    # What depends on the language.
    def raised(self, text: str, above: str) -> str:
        """With an exponent."""
        raise NotImplementedError

    def lowered(self, text: str, below: str, above: str = "") -> str:
        """With an index, and an exponent above it."""
        raise NotImplementedError

    def fraction(self, above: str, below: str) -> str:
        """One over the other."""
        raise NotImplementedError

    def length(self, text: str) -> str:
        """Between double bars."""
        return f"‖{text}‖"

    # ------------------------------------------------------------------------------------------ arrays
    def transpose(self, shown: Shown) -> Written:
        (inner,) = shown.args
        if _is_inverse(inner):
            return self.raised(self.inside(inner.args[0], ATOM), f"-{self.turned}"), POWER
        return self.transposed(inner), POWER

    def transposed(self, shown: Shown) -> str:
        """A matrix or a column turned."""
        return self.raised(self.inside(shown, ATOM), self.turned)

    def repeated(self, matrix: Shown, count: int) -> Written:
        if count == 1:
            return self.inside(matrix, POWER), POWER
        if _is_inverse(matrix):
            return self.raised(self.inside(matrix.args[0], ATOM), f"-{count}"), POWER
        return self.raised(self.inside(matrix, ATOM), str(count)), POWER

    def outer(self, shown: Shown) -> Written:
        left, right = shown.args
        return self.beside([self.inside(left, POWER), self.transposed(right)]), MUL

    def shape(self, axes: Sequence[Label]) -> str:
        """The sizes of axes."""
        return f" {self.by} ".join(self.size_text(label.size) for label in axes)

    def eye(self, shown: Shown) -> Written:
        return ("I" if len(shown.data) == 1 else self.lowered("I", f" {self.by} ".join(map(self.size_text, shown.data)))), ATOM

    def full(self, shown: Shown) -> Written:
        (inner,) = shown.args
        ones = self.lowered(self.one, self.shape(shown.axes))
        if inner.kind == "number" and inner.data in (0, 1):
            return (ones if inner.data else self.lowered(self.zero, self.shape(shown.axes))), ATOM
        return (self.along_axes(inner, shown.axes) if inner.axes else self.beside([self.inside(inner, MUL), ones])), MUL

    def along_axes(self, inner: Shown, axes: Sequence[Label]) -> str:
        """A vector repeated along another axis."""
        if len(axes) != 2 or inner.ndim != 1:
            return self.inside(inner, POWER)
        ones = self.raised(self.one, self.turned)
        column = inner.axes[0] == axes[0]
        return self.beside([self.inside(inner, POWER), ones] if column else [self.one, self.transposed(inner)])

    def spread(self, shown: Shown) -> Written:
        return self.along_axes(shown.args[0], shown.axes), MUL

    def add(self, shown: Shown) -> Written:
        rows = [a if a.ndim == shown.ndim else make("row", [a], shown.axes) if a.axes else make("full", [a], shown.axes)
                if shown.ndim == 2 else a for a in shown.args]
        return super().add(make("add", rows, shown.axes, shown.data))

    def row(self, shown: Shown) -> Written:
        """A vector that is repeated in every row of a matrix."""
        return self.along_axes(shown.args[0], shown.axes), MUL

    def along(self, shown: Shown) -> Written:
        kind, places = shown.data
        (inner,) = shown.args
        if kind == "norm" and places is None:
            return self.norm(inner), ATOM
        if kind in ("sum", "mean") and places is None and inner.axes and _is_square(inner):
            square = self.norm(inner.args[0], "2")
            return (square, POWER) if kind == "sum" else (self.beside([self.fraction("1", self.count(inner)), square]), MUL)
        if kind == "sum" and inner.ndim in (1, 2) and places is None:
            left = self.raised(self.one, self.turned)
            return self.beside([left, self.inside(inner, POWER), *([self.one] if inner.ndim == 2 else [])]), MUL
        if kind in ("sum", "mean") and inner.ndim == 2 and places is not None:
            front = [self.fraction("1", self.size_text(inner.axes[places[0]].size))] if kind == "mean" else []
            return self.beside([*front, self.inside(inner, POWER) if places == (1,) else self.transposed(inner), self.one]), MUL
        return super().along(shown)

    def power(self, shown: Shown) -> Written:
        """A power; of a matrix or a vector by elements, which a ring says, or which exp() has at every element."""
        base, exponent = shown.args
        if base.kind == "constant" and base.data == "E" and exponent.axes:
            return self.called("exp", self.write(exponent))
        above = self.write(exponent)
        if exponent.kind == "number":
            if base.kind == "along" and base.data == ("sum", None) and base.args[0].axes and _is_square(base.args[0]):
                return self.norm(base.args[0].args[0], self.rational(2 * exponent.data)[0]), POWER
            if base.axes:
                above = f"{self.ring} {above}" if exponent.data > 0 else f"{self.ring} {self.enclose(above)}"
        return self.raised(self.inside(base, ATOM), above), POWER

    def norm(self, inner: Shown, above: str = "") -> str:
        """The length of a vector, the Frobenius norm of a matrix; with an exponent."""
        text = self.length(self.write(inner))
        if inner.ndim == 2:
            return self.lowered(text, "F", above)
        return self.raised(text, above) if above else text

    def count(self, shown: Shown) -> str:
        """How many elements an array has."""
        return self.beside([self.size_text(label.size) for label in shown.axes])

    def take(self, shown: Shown) -> Written:
        base, *rest = shown.args
        if base.kind == "eye" and sorted(spec[0] for spec in shown.data) == ["at", "whole"]:  # a unit vector
            return self.lowered("e", self.write(rest[0])), ATOM
        if base.data == "":  # an index alone
            return f"[{self.subscript(shown.data, rest)}]", ATOM
        return self.lowered(self.inside(base, ATOM), self.subscript(shown.data, rest)), ATOM

    def gather(self, shown: Shown) -> Written:
        base, *indices = shown.args
        return self.lowered(self.inside(base, ATOM), ", ".join(map(self.write, indices))), ATOM


def _is_inverse(shown: Shown) -> bool:
    return shown.kind == "call" and shown.data[0].name == "inverse"


def _is_square(shown: Shown) -> bool:
    return shown.kind == "power" and shown.args[1].kind == "number" and shown.args[1].data == 2
