"""A formula: one output of a graph, or a derivative of it, for people and for other programs."""
from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ..errors import ArgumentError, NotYetError
from ..interpret import bind_sizes
from ..ir import Graph, Node, toposort
from .algebra import Table
from .arrange import Arranger
from .coefficient import coefficient
from .latex import Latex, symbol
from .names import Names
from .prepare import Derived, derive, evaluate_derived, without_shifts
from .read import axes, is_pointwise, read
from .shared import Pieces, split
from .source import NumpySource, size_source
from .symbolic import Elements
from .terms import Apply, At, Label, Lambda, Mul, Term, postorder
from .text import Writer
from .tidy import tidied

__all__ = ["Formula", "derivative", "formula"]

LINE = 100  # characters: a longer formula names its shared sub-terms


class Formula:
    """Mathematics that can be read, evaluated and handed on.

    `str()` is text for people, `.latex` and `.mathml` are for documents, `.sympy` is for algebra, `.numpy` is one line of
    source. Called with numbers or arrays, in the order of the arguments or by name, it gives the value.
    """

    def __init__(self, graph: Graph, derived: Derived, title: str | None = None, *, term: Term | None = None) -> None:
        self._graph = graph
        self._derived = derived
        self.title = title
        self._given = term

    # ------------------------------------------------------------------------------------------ the mathematics
    @cached_property
    def _labels(self) -> tuple[Label, ...]:
        return () if self._derived.pointwise else axes(self._derived.shape)

    @cached_property
    def _canonical(self) -> Term:
        """The term as the algebra collects it."""
        if self._given is not None:
            return self._given
        table, derived = Table(), self._derived
        written = (*self._graph.outputs, derived.node)  # the program first: terms are ordered as they were written
        *_, term = read(table, written, pointwise=derived.pointwise, linear_in=derived.tangents)
        at = derived.node.ndim
        for tangent in derived.tangents:
            own = self._labels[at: at + tangent.ndim]
            term = coefficient(table, term, tangent.param("name"), own)
            at += tangent.ndim
        return term

    @cached_property
    def _term(self) -> Term:
        """The term as people factor it."""
        table = self._canonical.table
        for name, (labels, body) in list(table.definitions.items()):
            table.definitions[name] = Lambda(labels, tidied(table, body))
        return tidied(table, self._canonical)

    @cached_property
    def _names(self) -> Names:
        return Names([n.param("name") for n in self._graph.inputs], self._graph.symbols())

    @cached_property
    def _pieces(self) -> Pieces:
        """The formula, with names for shared sub-terms where it is longer than a line."""
        whole = split(self._term, self._labels)
        if whole.definitions or len(self._write(Writer, whole)) > LINE:
            return split(self._term, self._labels, share=True)
        return whole

    def _write(self, writer: type[Writer], pieces: Pieces) -> str:
        arranger = Arranger(self._term.table, self._inputs)
        w = writer(self._names.size, self._names.symbol)
        main = w.write(arranger.show(pieces.main))
        return main + "".join(f", {w.write(arranger.show(d.body))}" for d in pieces.definitions.values())

    @property
    def _inputs(self) -> list[str]:
        return [n.param("name") for n in self._graph.inputs]

    # ------------------------------------------------------------------------------------------ texts
    def _lines(self, writer: Writer) -> tuple[str, list[tuple[str, str]]]:
        """The main formula and the definitions of its shared sub-terms, outermost first."""
        arranger = Arranger(self._term.table, self._inputs)
        pieces = self._pieces
        main = writer.write(arranger.show(pieces.main))
        return main, [(name, writer.write(arranger.show(d.body))) for name, d in pieces.definitions.items()]

    def __str__(self) -> str:
        main, definitions = self._lines(Writer(self._names.size, self._names.symbol))
        return "\n    where ".join([main, *(f"{self._names.symbol(name)} = {text}" for name, text in definitions)])

    def __repr__(self) -> str:
        return f"{self.title} = {self}" if self.title else str(self)

    @cached_property
    def latex(self) -> str:
        """LaTeX, without dollar signs."""
        main, definitions = self._lines(Latex(self._names.size, self._names.symbol))
        if not definitions:
            return main
        rows = [main, *(f"{symbol(self._names.symbol(name))} = {text}" for name, text in definitions)]
        rows[1:] = [rf"\text{{where }} {rows[1]}", *rows[2:]]
        return r"\begin{gathered} " + r" \\ ".join(rows) + r" \end{gathered}"

    @cached_property
    def numpy(self) -> str:
        """One line of NumPy source in the arguments' names, `np` and `special` (scipy.special)."""
        main, definitions = self._lines(NumpySource(size_source(self._graph.inputs), self._names.symbol))
        if not definitions:
            return main
        steps = [f"{self._names.symbol(name)} := {text}" for name, text in reversed(definitions)]
        return f"[{', '.join(f'({s})' for s in steps)}, {main}][-1]"

    @cached_property
    def sympy(self) -> Any:
        """A SymPy expression: of plain symbols for scalars and elementwise functions."""
        return Elements(self._term.table, self._names.size, self._names.label).convert(self._term)

    @cached_property
    def mathml(self) -> str:
        """Presentation MathML."""
        from sympy import mathml

        made: str = mathml(self.sympy, printer="presentation")
        return made

    # ------------------------------------------------------------------------------------------ facts
    @cached_property
    def ops(self) -> int:
        """How many operations the formula has, shared sub-terms counted once."""
        pieces = self._pieces
        return sum(_operations(t) for t in postorder([pieces.main, *(d.body for d in pieces.definitions.values())]))

    @property
    def free_symbols(self) -> set[Any]:
        """SymPy's symbols of the arguments and sizes that occur."""
        found: set[Any] = self.sympy.free_symbols
        return found

    def steps(self) -> Any:
        """The derivation, rule by rule."""
        raise NotYetError("the derivation, step by step, is not built yet; str(formula) is its result")

    # ------------------------------------------------------------------------------------------ values
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value: arguments in order (all of them, or those that occur), or by name.

        Raises:
            ArgumentError: an argument that occurs is missing, or one is unknown.
        """
        given = self._bound(args, kwargs)
        inputs = [n for n in self._graph.inputs if n in given]
        scalar = all(n.shape == () for n in toposort([self._derived.node]))
        sizes = {} if scalar else bind_sizes(inputs, [given[n] for n in inputs])
        value = evaluate_derived(self._graph, self._derived, given, sizes)
        return value[()] if getattr(value, "ndim", 1) == 0 else value

    def _bound(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[Node, Any]:
        import numpy as np

        used = set(toposort([self._derived.node])) - set(self._derived.tangents)
        inputs = list(self._graph.inputs)
        if len(args) != len(inputs) and not kwargs:
            inputs = [n for n in inputs if n in used]
        if len(args) > len(inputs) or (not kwargs and len(args) < len(inputs)):
            raise ArgumentError(f"the formula takes {', '.join(n.param('name') for n in inputs)}; {len(args)} values were given")
        values = dict(zip(inputs, args, strict=False))
        by_name = {n.param("name"): n for n in self._graph.inputs}
        for name, value in kwargs.items():
            if name not in by_name or by_name[name] in values:
                raise ArgumentError(f"{name!r} is not an argument, or given twice; the arguments are {', '.join(by_name)}")
            values[by_name[name]] = value
        missing = [n.param("name") for n in self._graph.inputs if n in used and n not in values]
        if missing:
            raise ArgumentError(f"a value for {', '.join(missing)} is missing")
        return {n: np.asarray(v, n.dtype) for n, v in values.items()}

    # ------------------------------------------------------------------------------------------ notebooks
    def _repr_latex_(self) -> str:
        head = rf"\text{{{self.title}}} = " if self.title else ""
        return rf"$\displaystyle {head}{self.latex}$"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/latex": self._repr_latex_()}


def _operations(term: Term) -> int:
    if isinstance(term, Mul):
        powers = sum(e is not term.table.one for _, e in term.factors)
        return len(term.factors) - 1 + powers + (term.coefficient not in (1, -1)) + len(term.bound)
    if isinstance(term, At) or not term.parts():
        return 0
    return 1 if isinstance(term, Apply) else len(term.parts()) - 1


def formula(graph: Graph, output: int = 0, *, title: str | None = None) -> Formula:
    """The formula of an output of a graph."""
    node = without_shifts(graph).outputs[output]
    return Formula(graph, Derived(node, (), is_pointwise([node])), title)


def derivative(graph: Graph, *names: str, output: int = 0, title: str | None = None) -> Formula:
    """The formula of an output's derivative by inputs, each further name differentiating again.

    Of a scalar: gradient, then Hessian or cross derivative. Of an elementwise function: the elementwise derivative. Of any
    other array: the Jacobian, of shape output + input.

    Raises:
        ArgumentError: an unknown name, or none.
        DifferentiationError: an input, or the output, is not of a floating type.
    """
    if not names:
        raise ArgumentError("by which argument? derivative() takes names")
    return Formula(graph, derive(without_shifts(graph), output, names), title)
