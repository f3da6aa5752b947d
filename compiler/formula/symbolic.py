"""Terms as SymPy expressions: numbers with plain symbols, elements with indices and sums.

SymPy is imported by the caller's first use. Objects are made parts first, each once, so that the cost is linear in the
number of terms however large the tree is that they stand for.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from .algebra import Table
from .terms import (
    Add,
    Apply,
    At,
    Call,
    Constant,
    Delta,
    Index,
    Label,
    Mul,
    Number,
    Position,
    Reduce,
    SizeTerm,
    Term,
    postorder,
)

__all__ = ["Elements", "function_of"]

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


class Elements:
    """Elements of arrays as SymPy expressions; without labels, plain symbols."""

    def __init__(self, table: Table, size_name: Callable[[str], str], label_name: Callable[[Label], str]) -> None:
        self.table = table
        self.size_name = size_name
        self.label_name = label_name
        self.done: dict[Term, Any] = {}

    def convert(self, root: Term) -> Any:
        """The SymPy expression."""
        for term in postorder([root], lambda t: t not in self.done):
            if term not in self.done:
                made = self.done[term] = self._convert(term)
                hash(made)  # computed parts first, as SymPy would do it by recursion
        return self.done[root]

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
        evaluate = term.weight <= _EVALUATED
        match term:
            case Number():
                return rational(term.value)
            case Constant():
                return {"pi": sympy.pi, "E": sympy.E, "inf": sympy.oo, "nan": sympy.nan, "true": sympy.true}[term.name]
            case SizeTerm():
                return sympy.Symbol(self.size_name(term.name))
            case Position():
                return self.label(term.label)
            case At() if term.name in self.table.definitions:
                return self.defined(term)
            case At():
                if not term.indices:
                    return sympy.Symbol(term.name)
                return sympy.IndexedBase(term.name)[tuple(map(self.index, term.indices))]
            case Delta():
                return sympy.KroneckerDelta(self.index(term.left), self.index(term.right))
            case Add():
                parts = [done[t] if c == 1 else sympy.Mul(rational(c), done[t], evaluate=evaluate) for c, t in term.items]
                return sympy.Add(*parts, evaluate=evaluate)
            case Mul():
                powers = [self.power(b, e) for b, e in term.factors]
                if term.coefficient != 1:
                    powers.insert(0, rational(term.coefficient))
                made = powers[0] if len(powers) == 1 else sympy.Mul(*powers, evaluate=evaluate)
                return sympy.Sum(made, *self.ranges(term.bound)) if term.bound else made
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

    def power(self, base: Term, exponent: Term) -> Any:
        import sympy

        b, e = self.done[base], self.done[exponent]
        if base is self.table.e:
            return sympy.exp(e, evaluate=False) if not isinstance(exponent, Number) else sympy.exp(e)
        return b if exponent is self.table.one else sympy.Pow(b, e)

    def defined(self, term: At) -> Any:
        """The expression behind a named sub-term."""
        labels, body = self.table.definitions[term.name]
        mapping: Mapping[Label, Index] = dict(zip(labels, term.indices, strict=True))
        return self.convert(self.table.substitute(body, mapping))

    def call(self, term: Call) -> Any:
        """A function of whole arrays: an undefined function of their elements and the indices."""
        import sympy

        bodies = [self.done[a.body] for a in term.arrays]
        return sympy.Function(term.function.name)(*bodies, *map(self.index, term.indices))
