"""Functions of matrices that SymPy has for numbers only, as matrix expressions: `doit` gives their value once it is numbers."""
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["cholesky", "pseudo_inverse"]


def cholesky(matrix: Any) -> Any:
    """The lower triangular factor L of a matrix L L.T."""
    return _class("Cholesky", _factor, turned=False)(matrix)


def pseudo_inverse(matrix: Any) -> Any:
    """The Moore-Penrose inverse."""
    return _class("PseudoInverse", _pinv, turned=True)(matrix)


def _factor(matrix: Any) -> Any:
    return matrix.cholesky(hermitian=False)


def _pinv(matrix: Any) -> Any:
    return matrix.pinv()


@cache
def _class(name: str, value: Callable[[Any], Any], turned: bool) -> Any:
    import sympy
    from sympy.matrices.expressions.matexpr import MatrixElement

    def new(cls: Any, matrix: Any) -> Any:
        return sympy.Basic.__new__(cls, matrix)

    def shape(self: Any) -> Any:
        return self.args[0].shape[::-1] if turned else self.args[0].shape

    def entry(self: Any, i: Any, j: Any, **hints: Any) -> Any:
        return MatrixElement(self, i, j)

    def doit(self: Any, **hints: Any) -> Any:
        inside = self.args[0].doit(**hints)
        if not all(sympy.sympify(size).is_Integer for size in inside.shape):
            return self.func(inside)
        inside = inside.as_explicit()
        return value(inside).as_immutable() if not inside.free_symbols else self.func(inside)

    body = {"__new__": new, "shape": property(shape), "_entry": entry, "doit": doit}
    return type(name, (sympy.MatrixExpr,), body)
