"""Terms as SymPy expressions: numbers with plain symbols, elements with indices and sums.

SymPy is imported by the caller's first use. Objects are made parts first, each once, so that the cost is linear in the
number of terms however large the tree is that they stand for.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from .algebra import Table
from .shared import reached
from .terms import (
    Add,
    Apply,
    At,
    Call,
    Constant,
    Delta,
    Index,
    Label,
    Lambda,
    Mul,
    Number,
    Position,
    Reduce,
    SizeTerm,
    Term,
    postorder,
)

__all__ = ["Elements", "function_of", "scalar_symbol"]

_EVALUATED = 3000  # SymPy brings sums and products of trees up to this size into its own order


def rational(value: Fraction) -> Any:
    """An exact SymPy number; a decimal becomes a float."""
    import sympy

    from . import numbers

    if value.denominator == 1 or numbers.is_fraction(value):
        return sympy.Rational(value.numerator, value.denominator)
    return sympy.Float(float(value))


def function_of(function: Any, params: tuple[Any, ...], args: list[Any]) -> Any:
    """A function of the op table, applied to SymPy expressions."""
    import sympy

    if function.name == "where":
        return sympy.Piecewise((args[1], args[0]), (args[2], True))
    names = function.names
    known = getattr(sympy, names.sympy, None)
    if known is not None and names.sympy:
        try:
            return known(*params, *args, evaluate=False)
        except TypeError:
            return known(*params, *args)
    if names.meaning is not None:
        return names.meaning(sympy, *args)
    return sympy.Function(function.name)(*params, *args)


def scalar_symbol(table: Table, name: str) -> Any:
    """The symbol of an argument that is a number, with what was promised of it."""
    import sympy

    return sympy.Symbol(name, **dict.fromkeys(table.promises.get(name, "").split(), True))


class Elements:
    """Elements of arrays as SymPy expressions; without labels, plain symbols."""

    def __init__(self, table: Table, size_name: Callable[[str], str], label_name: Callable[[Label], str],
                 matrix: Callable[[Call, Sequence[Any]], Any] = lambda call, arrays: None) -> None:
        """`matrix`: the function of whole arrays as a SymPy matrix expression, or None; given the arrays by their elements."""
        self.table = table
        self.size_name = size_name
        self.label_name = label_name
        self.matrix = matrix
        self.done: dict[Term, Any] = {}
        self._weights: dict[Term, int] = {}  # sizes as trees, shared sub-terms written out

    def convert(self, root: Term) -> Any:
        """The SymPy expression."""
        pieces = reached(Lambda((), root))
        for labels, body in reversed(pieces.values()):  # definitions before their users, so that no user recurses into them
            if not labels:
                self._fill(body)
        self._fill(root)
        return self.done[root]

    def _fill(self, root: Term) -> None:
        for term in postorder([root], lambda t: t not in self.done):
            if term not in self.done:
                behind = self.table.definitions.get(term.name) if isinstance(term, At) else None
                inside = term.parts() if behind is None else (behind.body,)
                self._weights[term] = 1 + sum(self._weights.get(p, p.weight) for p in inside)
                made = self.done[term] = self._convert(term)
                hash(made)  # computed parts first, as SymPy would do it by recursion

    def label(self, label: Label) -> Any:
        import sympy

        return sympy.Symbol(self.label_name(label))

    def index(self, index: Index) -> Any:
        return self.label(index) if isinstance(index, Label) else self.done[index]

    def ranges(self, bound: tuple[Label, ...]) -> list[tuple[Any, ...]]:
        """SymPy's limits of a sum over labels."""
        return [(self.label(b), 0, self.convert(self.table.size(b.size)) - 1) for b in bound]

    def _convert(self, term: Term) -> Any:
        import sympy

        done = self.done
        evaluate = self._weights[term] <= _EVALUATED
        match term:
            case Number():
                return rational(term.value)
            case Constant():
                return {"pi": sympy.pi, "E": sympy.E, "inf": sympy.oo, "nan": sympy.nan, "true": sympy.true,
                        "false": sympy.false}[term.name]
            case SizeTerm():
                return sympy.Symbol(self.size_name(term.name))
            case Position():
                return self.label(term.label)
            case At() if term.name in self.table.definitions:
                return self.defined(term)
            case At():
                if not term.indices:
                    return scalar_symbol(self.table, term.name)
                return sympy.IndexedBase(term.name)[tuple(map(self.index, term.indices))]
            case Delta():
                return sympy.KroneckerDelta(self.index(term.left), self.index(term.right))
            case Add():
                parts = [done[t] if c == 1 else sympy.Mul(rational(c), done[t], evaluate=evaluate) for c, t in term.items]
                return sympy.Add(*parts, evaluate=evaluate)
            case Mul():
                outer = [(b, e) for b, e in term.factors if not any(label in t.free for t in (b, e) for label in term.bound)]
                powers = [self.power(b, e, evaluate) for b, e in outer]
                if term.coefficient != 1:
                    powers.insert(0, rational(term.coefficient))
                if term.bound:
                    inner = [self.power(b, e, evaluate) for b, e in term.factors if (b, e) not in outer]
                    powers.append(sympy.Sum(sympy.Mul(*inner, evaluate=evaluate), *self.ranges(term.bound)))
                return powers[0] if len(powers) == 1 else sympy.Mul(*powers, evaluate=evaluate)
            case Apply():
                return function_of(term.function, term.params, [done[a] for a in term.args])
            case Reduce():
                kinds = {"prod": sympy.Product}
                kind = kinds.get(term.function.name)
                limits = self.ranges(term.bound)
                if kind is not None:
                    return kind(done[term.body], *limits)
                return sympy.Function(term.function.name)(done[term.body], *(sympy.Tuple(*limit) for limit in limits))
            case Call():
                return self.call(term)
        raise NotImplementedError(type(term).__name__)

    def power(self, base: Term, exponent: Term, evaluate: bool) -> Any:
        import sympy

        b, e = self.done[base], self.done[exponent]
        if base is self.table.e:
            return sympy.exp(e, evaluate=False) if not isinstance(exponent, Number) else sympy.exp(e)
        return b if exponent is self.table.one else sympy.Pow(b, e, evaluate=evaluate)

    def defined(self, term: At) -> Any:
        """The expression behind a named sub-term."""
        labels, body = self.table.definitions[term.name]
        mapping: Mapping[Label, Index] = dict(zip(labels, term.indices, strict=True))
        body = self.table.substitute(body, mapping)
        self._fill(body)
        return self.done[body]

    def call(self, term: Call) -> Any:
        """An element of a function of whole arrays; an undefined function of the elements where there is no better."""
        import sympy
        from sympy.matrices.expressions.matexpr import MatrixElement

        expanded = _EXPANDED.get(term.function.name)
        if expanded is not None:
            return expanded(self, term)
        arrays = [sympy.FunctionMatrix(*(self.convert(self.table.size(b.size)) for b in a.labels),
                                       sympy.Lambda(tuple(map(self.label, a.labels)), self.done[a.body]))
                  for a in term.arrays if len(a.labels) == 2]
        matrix = self.matrix(term, arrays) if len(term.indices) in (0, 2) else None
        if matrix is not None:
            return MatrixElement(matrix, *map(self.index, term.indices)) if term.indices else matrix
        bodies = [self.done[a.body] for a in term.arrays]
        return sympy.Function(term.function.name)(*bodies, *map(self.index, term.indices))


def _running(elements: Elements, term: Call) -> Any:
    """A running sum: over the index up to its own."""
    import sympy

    (axis,), (array,) = term.params, term.arrays
    mapping = {label: index for k, (label, index) in enumerate(zip(array.labels, term.indices, strict=True)) if k != axis}
    body = elements.convert(elements.table.substitute(array.body, mapping))
    return sympy.Sum(body, (elements.label(array.labels[axis]), 0, elements.index(term.indices[axis])))


def _reshaped(elements: Elements, term: Call) -> Any:
    """The element whose place in C order is the same."""
    table, (array,) = elements.table, term.arrays
    place = table.zero
    for index, size in zip(term.indices, term.shape, strict=True):
        place = place * table.size(size) + table.as_term(index)
    mapping: dict[Label, Index] = {}
    for k in range(len(array.labels) - 1, -1, -1):
        label = array.labels[k]
        length = table.size(label.size)
        mapping[label] = table.apply("remainder", (place, length)) if k else place
        place = table.apply("floor_divide", (place, length))
    return elements.convert(table.substitute(array.body, mapping))


def _joined(elements: Elements, term: Call) -> Any:
    """The pieces, each where the index is in its part."""
    import sympy

    (axis,) = term.params
    table, start = elements.table, elements.table.zero
    index = table.as_term(term.indices[axis])
    pieces = []
    for array in term.arrays:
        own = [table.index(index - start) if k == axis else i for k, i in enumerate(term.indices)]
        start = start + table.size(array.labels[axis].size)
        body = elements.convert(table.substitute(array.body, dict(zip(array.labels, own, strict=True))))
        pieces.append((body, elements.convert(table.apply("lt", (index, start)))))
    return sympy.Piecewise(*pieces[:-1], (pieces[-1][0], True))


_EXPANDED = {"cumsum": _running, "reshape": _reshaped, "concatenate": _joined}
