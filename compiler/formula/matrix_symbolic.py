"""Matrix notation as SymPy matrix expressions: vectors are columns, a number that is a product of matrices is 1 by 1.

What SymPy's matrices cannot say (a function of two matrices by elements, a maximum, a slice) is refused, and then said
by elements with indices (`symbolic`).
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..sizes import Size
from . import matrix_functions
from .algebra import Table
from .arrange import NoNotationError, Order
from .recognise import LOGSUMEXP, SOFTMAX
from .shown import Shown, make
from .symbolic import Elements, function_of, rational, scalar_symbol
from .terms import Function, Label

__all__ = ["MatrixSymbolic"]


def canonical(made: Any) -> Any:
    """A sum or product in SymPy's order, as its operators make it."""
    return made.doit(deep=False)


class MatrixSymbolic:
    """One method for each kind of notation that SymPy has."""

    def __init__(self, size_name: Callable[[str], str], defined: Callable[[str], Shown | None],
                 promises: Mapping[str, str] | None = None) -> None:
        """`defined`: the notation behind the name of a shared sub-term; `promises`: what holds of arguments, by name."""
        self.size_name = size_name
        self.defined = defined
        self.table = Table(promises)
        self.elements = Elements(self.table, size_name, str)
        self.done: dict[Shown, Any] = {}

    def convert(self, shown: Shown) -> Any:
        """A SymPy expression: a number, or a matrix.

        Raises:
            NoNotationError: SymPy has no matrix expression for it.
        """
        if not shown.axes and _sums(shown):
            raise NoNotationError("a number that is a sum is written with indices")
        return self.of(shown)

    def of(self, shown: Shown) -> Any:
        if shown not in self.done:
            method = getattr(self, shown.kind, None)
            if method is None or shown.ndim > 2:
                raise NoNotationError(shown.kind)
            self.done[shown] = method(shown)
        return self.done[shown]

    def size_of(self, size: Size) -> Any:
        return self.elements.convert(self.table.size(size))

    def shape(self, axes: Order) -> tuple[Any, Any]:
        sizes = [self.size_of(label.size) for label in axes]
        return sizes[0], sizes[1] if len(sizes) > 1 else 1

    def scalar(self, shown: Shown) -> Any:
        """A number; the element of a 1 by 1 matrix."""
        from sympy.matrices.expressions.matexpr import MatrixElement

        made = self.of(shown)
        return MatrixElement(made, 0, 0) if getattr(made, "is_Matrix", False) else made

    def shaped(self, shown: Shown, axes: Order) -> Any:
        """A matrix of the shape of these axes, what is missing repeated."""
        import sympy

        if shown.kind == "spread":
            shown = shown.args[0]
        if shown.axes == axes:
            return self.of(shown)
        rows, columns = self.shape(axes)
        if not shown.axes:
            return sympy.MatMul(self.scalar(shown), sympy.OneMatrix(rows, columns))
        if len(axes) != 2 or shown.ndim != 1:
            raise NoNotationError("a repeated array")
        if shown.axes[0] == axes[0]:
            return sympy.MatMul(self.of(shown), sympy.OneMatrix(1, columns))
        return sympy.MatMul(sympy.OneMatrix(rows, 1), sympy.Transpose(self.of(shown)))

    def each(self, matrix: Any, function: Callable[[Any], Any]) -> Any:
        """A function of every element."""
        import sympy
        from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction

        t = sympy.Dummy("t")
        return ElementwiseApplyFunction(sympy.Lambda(t, function(t)), matrix)

    # ------------------------------------------------------------------------------------------ leaves
    def number(self, shown: Shown) -> Any:
        return rational(shown.data)

    def constant(self, shown: Shown) -> Any:
        return self.elements.convert(self.table.constant(shown.data))

    def size(self, shown: Shown) -> Any:
        import sympy

        return sympy.Symbol(self.size_name(shown.data))

    def symbol(self, shown: Shown) -> Any:
        import sympy

        behind = self.defined(shown.data)
        if behind is not None:
            if behind.axes != shown.axes and (behind.ndim != shown.ndim or not behind.axes):
                raise NoNotationError("a repeated array")
            return self.of(behind)
        return sympy.MatrixSymbol(shown.data, *self.shape(shown.axes)) if shown.axes else scalar_symbol(self.table, shown.data)

    def eye(self, shown: Shown) -> Any:
        import sympy

        if len(shown.data) > 1 or not shown.axes:
            raise NoNotationError("a part of the identity matrix")
        return sympy.Identity(self.size_of(shown.data[0]))

    # ------------------------------------------------------------------------------------------ arithmetic
    def add(self, shown: Shown) -> Any:
        import sympy

        if not shown.axes:
            return sympy.Add(*(-self.scalar(a) if s else self.scalar(a) for s, a in zip(shown.data, shown.args, strict=True)))
        parts = [self.shaped(a, shown.axes) for a in shown.args]
        return canonical(sympy.MatAdd(*(canonical(sympy.MatMul(-1, p)) if s else p for s, p in zip(shown.data, parts, strict=True))))

    def product(self, shown: Shown) -> Any:
        import sympy

        coefficient, count = shown.data
        numbers, matrices = [rational(coefficient)], []
        for k, arg in enumerate(shown.args):
            if not arg.axes:
                numbers.append(self.scalar(arg) if k < count else 1 / self.scalar(arg))
            elif k < count:
                matrices.append(self.shaped(arg, shown.axes))
            else:
                matrices.append(self.each(self.shaped(arg, shown.axes), lambda t: 1 / t))
        front = sympy.Mul(*numbers)
        if not matrices:
            return front
        body = matrices[0] if len(matrices) == 1 else sympy.HadamardProduct(*matrices)
        return body if front == 1 else canonical(sympy.MatMul(front, body))

    def scaled(self, shown: Shown) -> Any:
        import sympy

        front, array = shown.args
        made = self.of(array)
        return canonical(sympy.MatMul(self.scalar(front), *(made.args if isinstance(made, sympy.MatMul) else (made,))))

    def power(self, shown: Shown) -> Any:
        import sympy

        base, exponent = shown.args
        if base.kind == "constant" and base.data == "E":
            return self.each(self.of(exponent), sympy.exp) if exponent.axes else sympy.exp(self.scalar(exponent))
        if base.axes and exponent.axes:
            raise NoNotationError("a matrix to the power of a matrix, by elements")
        if exponent.axes:
            return self.each(self.of(exponent), lambda t: self.scalar(base)**t)
        if base.axes:
            return sympy.HadamardPower(self.of(base), self.scalar(exponent))
        return self.scalar(base) ** self.scalar(exponent)

    def root(self, shown: Shown) -> Any:
        import sympy

        (inner,) = shown.args
        return self.each(self.of(inner), sympy.sqrt) if inner.axes else sympy.sqrt(self.scalar(inner))

    def apply(self, shown: Shown) -> Any:
        function, params = shown.data
        arrays = [a for a in shown.args if a.axes]
        if not arrays:
            return function_of(function, params, [self.scalar(a) for a in shown.args])
        if len(arrays) > 1:
            raise NoNotationError("a function of several matrices, by elements")

        def of_element(t: Any) -> Any:
            return function_of(function, params, [t if a.axes else self.scalar(a) for a in shown.args])

        return self.each(self.of(arrays[0]), of_element)

    # ------------------------------------------------------------------------------------------ arrays
    def transpose(self, shown: Shown) -> Any:
        import sympy

        return sympy.Transpose(self.of(shown.args[0]))

    def matmul(self, shown: Shown) -> Any:
        import sympy

        return canonical(sympy.MatMul(*map(self.of, shown.args)))

    def outer(self, shown: Shown) -> Any:
        import sympy

        left, right = map(self.of, shown.args)
        return sympy.MatMul(left, sympy.Transpose(right))

    def diag(self, shown: Shown) -> Any:
        from sympy.matrices.expressions.diagonal import DiagMatrix

        return DiagMatrix(self.of(shown.args[0]))

    def diagonal(self, shown: Shown) -> Any:
        import sympy

        size = self.size_of(shown.axes[0].size)
        return sympy.MatMul(sympy.HadamardProduct(self.of(shown.args[0]), sympy.Identity(size)), sympy.OneMatrix(size, 1))

    def trace(self, shown: Shown) -> Any:
        import sympy

        return sympy.Trace(self.of(shown.args[0]))

    def full(self, shown: Shown) -> Any:
        return self.shaped(shown.args[0], shown.axes)

    def spread(self, shown: Shown) -> Any:
        return self.shaped(shown.args[0], shown.axes)

    def along(self, shown: Shown) -> Any:
        """Sums, means and norms."""
        import sympy
        from sympy.matrices.expressions.matexpr import MatrixElement

        kind, places = shown.data
        (inner,) = shown.args
        if inner.ndim > 2 or isinstance(kind, tuple):
            raise NoNotationError("a reduction")
        matrix = self.of(inner)
        rows, columns = self.shape(inner.axes)
        if kind == "norm":
            if places is not None:
                raise NoNotationError("norms of rows")
            square = sympy.MatMul(sympy.Transpose(matrix), matrix)
            return sympy.sqrt(MatrixElement(square, 0, 0) if inner.ndim == 1 else sympy.Trace(square))
        if places is None:
            right = [sympy.OneMatrix(columns, 1)] if inner.ndim == 2 else []
            made = MatrixElement(sympy.MatMul(sympy.OneMatrix(1, rows), matrix, *right), 0, 0)
            count = rows * columns
        elif places == (1,):
            made, count = sympy.MatMul(matrix, sympy.OneMatrix(columns, 1)), columns
        else:
            made, count = sympy.MatMul(sympy.Transpose(matrix), sympy.OneMatrix(rows, 1)), rows
        if kind == "sum":
            return made
        return sympy.MatMul(1 / count, *made.args) if getattr(made, "is_Matrix", False) else made / count

    def call(self, shown: Shown) -> Any:
        function, params = shown.data
        if function in (SOFTMAX, LOGSUMEXP):
            return self._exponentials(shown, function is SOFTMAX, params[0])
        if any(a.ndim != 2 for a in shown.args):
            raise NoNotationError(function.name)
        return self.applied(function, [self.of(a) for a in shown.args])

    def applied(self, function: Function, matrices: Sequence[Any]) -> Any:
        """A function of whole matrices.

        Raises:
            NoNotationError: SymPy has no matrix expression for it.
        """
        import sympy

        made = {"inverse": sympy.Inverse, "det": sympy.Determinant,
                "logabsdet": lambda m: sympy.log(sympy.Abs(sympy.Determinant(m))),
                "cofactor": lambda m: sympy.MatMul(sympy.Determinant(m), sympy.Transpose(sympy.Inverse(m))),
                "kron": sympy.KroneckerProduct, "cholesky": matrix_functions.cholesky,
                "pseudo_inverse": matrix_functions.pseudo_inverse}.get(function.name)
        if made is None:
            raise NoNotationError(function.name)
        return made(*matrices)

    def take(self, shown: Shown) -> Any:
        """Elements, rows, columns and slices."""
        import sympy
        from sympy.matrices.expressions.matexpr import MatrixElement
        from sympy.matrices.expressions.slice import MatrixSlice

        base, *starts = shown.args
        if any(spec[0] == "array" or spec[3] != 1 for spec in shown.data):
            raise NoNotationError("an index array, or a slice in steps, which SymPy counts wrongly")
        matrix = self.of(make(base.kind, base.args, [Label(f"axis{k}", size) for k, (_, _, size, _) in enumerate(shown.data)], base.data))
        places: list[Any] = []
        first = iter(starts)
        for kind, count, size, step in shown.data:
            start = 0 if kind == "whole" else self.scalar(next(first))
            stop = self.size_of(size) if kind == "whole" else start + (1 if kind == "at" else step * (self.size_of(count) - 1) + 1)
            places.append((start, stop, step))
        if len(places) == 1:
            places.append((0, 1, 1))
        if not shown.axes:
            return MatrixElement(matrix, *(start for start, _, _ in places))
        made = MatrixSlice(matrix, *places)
        return sympy.Transpose(made) if shown.data[0][0] == "at" else made

    def _exponentials(self, shown: Shown, shares: bool, axis: int | None) -> Any:
        import sympy
        from sympy.matrices.expressions.matexpr import MatrixElement

        (inner,) = shown.args
        powers = self.each(self.of(inner), sympy.exp)
        rows, columns = self.shape(inner.axes)
        if inner.ndim == 1:
            total = MatrixElement(sympy.MatMul(sympy.OneMatrix(1, rows), powers), 0, 0)
            return sympy.MatMul(1 / total, powers) if shares else sympy.log(total)
        if inner.ndim != 2:
            raise NoNotationError("more than two axes")
        if axis == 1:
            totals = sympy.MatMul(powers, sympy.OneMatrix(columns, 1))
            back = (sympy.OneMatrix(1, columns),)
        else:
            totals = sympy.MatMul(sympy.Transpose(powers), sympy.OneMatrix(rows, 1))
            back = (sympy.OneMatrix(1, rows),)
        if not shares:
            return self.each(totals, sympy.log)
        spread = sympy.MatMul(self.each(totals, lambda t: 1 / t), *back)
        return sympy.HadamardProduct(powers, spread if axis == 1 else sympy.Transpose(spread))


def _sums(shown: Shown) -> bool:
    """Whether a sum, a mean or a reduction occurs anywhere."""
    stack: list[Shown] = [shown]
    while stack:
        here = stack.pop()
        if here.kind == "along" and here.data[0] != "norm":
            return True
        stack += here.args
    return False

