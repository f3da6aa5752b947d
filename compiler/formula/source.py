"""Notation as one line of NumPy source, in the names of the arguments, `np` and `special`."""
from __future__ import annotations

import string
from collections.abc import Callable, Sequence

import numpy as np

from ..errors import NotYetError
from ..ir import Node
from ..sizes import Size, bindings
from .shown import Shown, make, runs
from .terms import Function, Label
from .text import ATOM, MUL, POWER, Writer, Written

__all__ = ["NumpySource", "size_source"]


class NumpySource(Writer):
    """Source that evaluates to the formula's value."""

    def constant(self, shown: Shown) -> Written:
        return {"E": "np.e", "true": "True", "false": "False"}.get(shown.data, f"np.{shown.data}"), ATOM

    def exponential(self, exponent: Shown) -> Written:
        return f"np.exp({self.write(exponent)})", ATOM

    def root(self, shown: Shown) -> Written:
        return f"np.sqrt({self.write(shown.args[0])})", ATOM

    def template(self, function: Function) -> str:
        names, evaluate = function.names, getattr(function, "evaluate", None)
        if names.numpy:
            return names.numpy
        if isinstance(evaluate, np.ufunc) and any(c.isalpha() for c in names.text):
            return f"np.{evaluate.__name__}({', '.join(f'{{{k}}}' for k in range(evaluate.nin))})"
        return names.text


    # ------------------------------------------------------------------------------------------ arrays
    def called(self, name: str, *args: str) -> Written:
        return super().called(f"np.{name}", *args)

    def transpose(self, shown: Shown) -> Written:
        if shown.ndim < 2:
            return self.of(shown.args[0])
        return super().transpose(shown)

    def matmul(self, shown: Shown) -> Written:
        """A product; a diagonal matrix scales the columns of what is before it, or else the rows of what is behind."""
        parts: list[Written] = []
        scale = ""
        for arg, count in runs(shown.args):
            if arg.kind == "diag":
                vector = self.inside(arg.args[0], POWER)
                if parts:
                    parts[-1] = f"{self.bracketed(parts[-1], MUL)}*{vector}", MUL
                else:
                    scale = f"{self.inside(arg.args[0], ATOM)}[:, None]"
            elif scale:
                parts.append((f"{scale}*{self.bracketed(self.repeated(arg, count), POWER)}", MUL))
                scale = ""
            else:
                parts.append(self.repeated(arg, count))
        if len(parts) == 1:
            return parts[0]
        return " @ ".join(self.bracketed(p, POWER) for p in parts), MUL

    def bracketed(self, part: Written, at_least: int) -> str:
        return part[0] if part[1] >= at_least else self.enclose(part[0])

    def repeated(self, matrix: Shown, count: int) -> Written:
        if count == 1:
            return self.of(matrix)
        return self.called("linalg.matrix_power", self.write(matrix), str(count))

    def outer(self, shown: Shown) -> Written:
        return self.called("outer", *map(self.write, shown.args))

    def diagonal(self, shown: Shown) -> Written:
        return self.called("diagonal", self.write(shown.args[0]))

    def full(self, shown: Shown) -> Written:
        (inner,) = shown.args
        sizes = [self.size_text(label.size) for label in shown.axes]
        shape = f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
        if inner.axes and inner.axes != shown.axes[len(shown.axes) - inner.ndim:]:
            places = tuple(shown.axes.index(label) for label in inner.axes)
            inner = make("spread", [inner], shown.axes, places)
        return self.called("broadcast_to", self.write(inner), shape)

    def reduction(self, name: str) -> str:
        return "linalg.norm" if name == "norm" else name

    def permute(self, shown: Shown) -> Written:
        return self.called("transpose", self.write(shown.args[0]), str(shown.data))

    def einsum(self, shown: Shown) -> Written:
        labels = dict.fromkeys(label for spec in shown.data for label in spec)
        letters = dict(zip(labels, string.ascii_letters, strict=False))

        def letters_of(axes: Sequence[Label]) -> str:
            return "".join(letters[label] for label in axes)

        out = tuple(label for label in shown.axes if label in letters)
        equation = ",".join(map(letters_of, shown.data)) + "->" + letters_of(out)
        return self.called("einsum", repr(equation), *map(self.write, shown.args))

    def vector(self, elements: Sequence[str]) -> Written:
        return self.called("array", super().vector(elements)[0])

    def call(self, shown: Shown) -> Written:
        if not shown.data[0].names.numpy:
            raise NotYetError(f"there is no NumPy expression for {shown.data[0].name} yet")
        return super().call(shown)


def size_source(inputs: Sequence[Node]) -> Callable[[str], str]:
    """How the source reads a size symbol: from the shape of the argument that has it as an axis."""
    found = bindings([node.shape for node in inputs])

    def source(name: str) -> str:
        if name not in found:
            raise NotYetError(f"there is no NumPy expression for the size {name}, which only running the program tells")
        position, axis, factor, rest = found[name]
        text = f"{inputs[position].param('name')}.shape[{axis}]"
        if rest != 0:
            text = f"({text} - ({_size(rest, source)}))"
        return text if factor == 1 else f"({text}//({_size(factor, source)}))"

    return source


def _size(size: Size, source: Callable[[str], str]) -> str:
    from .algebra import Table
    from .arrange import Arranger

    table = Table()
    return NumpySource(source, str, str).write(Arranger(table, {}).show(table.size(size)))
