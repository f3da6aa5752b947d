"""Notation as one line of NumPy source, in the names of the arguments, `np` and `special`."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..ir import Node
from ..sizes import Size, bindings
from .shown import Shown
from .terms import Function
from .text import ATOM, Writer, Written

__all__ = ["NumpySource", "size_source"]


class NumpySource(Writer):
    """Source that evaluates to the formula's value."""

    def constant(self, shown: Shown) -> Written:
        return {"E": "np.e"}.get(shown.data, f"np.{shown.data}"), ATOM

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


def size_source(inputs: Sequence[Node]) -> Callable[[str], str]:
    """How the source reads a size symbol: from the shape of the argument that has it as an axis."""
    found = bindings([node.shape for node in inputs])

    def source(name: str) -> str:
        if name not in found:
            return name
        position, axis, factor, rest = found[name]
        text = f"{inputs[position].param('name')}.shape[{axis}]"
        if rest != 0:
            text = f"({text} - ({_size(rest, source)}))"
        return text if factor == 1 else f"({text}//({_size(factor, source)}))"

    return source


def _size(size: Size, source: Callable[[str], str]) -> str:
    from .algebra import Table
    from .arrange import Arranger

    return NumpySource(source, str).write(Arranger(Table(), ()).show(Table().size(size)))
