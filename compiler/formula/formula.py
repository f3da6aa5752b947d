"""A formula: one output of a graph, or a derivative of it, for people and for other programs."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from functools import cached_property
from math import inf
from typing import Any

from ..differentiate import without_marks
from ..errors import ArgumentError, NotYetError
from ..interpret import bind_sizes
from ..ir import Graph, Node, toposort
from ..op import Shape
from ..provenance import Site
from ..sizes import SizeExpr, symbols_of
from . import normal, triangles
from .algebra import Table
from .arrange import Arranger, NoNotationError
from .choices import without_choices
from .coefficient import coefficient
from .cost import cost
from .gamma import with_gamma
from .indexed import Indexed
from .latex import Latex
from .literal import Literal
from .mathml import Mark, MathML
from .matrix import Matrix
from .matrix_symbolic import MatrixSymbolic
from .names import Names
from .prepare import Derived, derive, evaluate_derived, in_line, spelled, squared, without_shifts
from .read import axes, is_pointwise, read
from .recognise import recognised
from .shared import Pieces, split, written_out
from .shorter import shortened
from .shown import Shown, make
from .source import NumpySource, size_source
from .steps import Passes, Steps
from .symbolic import Elements
from .terms import Apply, At, Call, Label, Lambda, Mul, Term, postorder
from .text import Writer
from .tidy import length, tidied
from .wide import named_sums

__all__ = ["Formula", "derivative", "formula"]

LINE = 100  # characters: a longer formula names its shared sub-terms
LARGEST_TIDIED = 2_500  # terms: more than a person reads are written as the algebra collects them
COLLAPSED = 3  # how many times shorter a form is that needs no further search
LARGEST_TREE = 20_000  # terms: SymPy's matrices take time for the tree, not for the graph


class Formula:
    """Mathematics that can be read, evaluated and handed on.

    `str()` is text for people, `.latex` and `.mathml` are for documents, `.sympy` is for algebra, `.numpy` is one line of
    source. Called with numbers or arrays, in the order of the arguments or by name, it gives the value.

    The mathematics is for the generic point. At single points where differentiation chooses a value (the gradient of a
    norm at zero, of a product with a zero factor) the forms are undefined, but a call has the value.
    """

    def __init__(self, graph: Graph, derived: Derived, passes: Passes, title: str | None = None, *, values: Derived | None = None,
                 term: Term | None = None, literals: Set[float] = frozenset(),
                 captured: Mapping[str, Callable[[], Any]] | None = None) -> None:
        """`values`: what a call evaluates, where that is not what is read. `literals`: decimals that stay as they are.

        `captured`: what gives the arrays that the function has from elsewhere, by the names of their inputs.
        """
        self._graph = graph
        self._derived = derived
        self._values = values or derived
        self._passes = passes
        self.title = title
        self._given = term
        self._literals = literals
        self._captured = dict(captured or {})
        self._normal: list[Term] = []  # what the program takes Phi of

    # ------------------------------------------------------------------------------------------ the mathematics
    @cached_property
    def _labels(self) -> tuple[Label, ...]:
        return () if self._derived.pointwise else axes(self._derived.shape)

    @cached_property
    def _canonical(self) -> Term:
        """The term as the algebra collects it."""
        if self._given is not None:
            return self._given
        table, derived = Table(self._promises, self._literals), self._derived
        written = (derived.value, derived.node)  # the program first: terms are ordered as they were written
        program, term = read(table, written, pointwise=derived.pointwise, linear_in=derived.tangents)
        self._normal = normal.arguments(table, [program, *(d.body for d in table.definitions.values())])
        at = derived.node.ndim
        for tangent in derived.tangents:
            own = self._labels[at: at + tangent.ndim]
            term = coefficient(table, term, tangent.param("name"), own)
            at += tangent.ndim
        return term if derived.pointwise else triangles.joined(table, term)

    @cached_property
    def _term(self) -> Term:
        """The term as people factor it."""
        return self._tidied(lambda table, term: self._shortened(tidied(table, with_gamma(table, term))))

    def _shortened(self, term: Term) -> Term:
        """A derivative in the shortest form; what the user wrote stays as it is, but for what promises were made for."""
        return term if self._derived.node is self._derived.value and not self._promises else shortened(term.table, term)

    def _tidied(self, way: Callable[[Table, Term], Term]) -> Term:
        table = self._canonical.table
        if self._canonical.weight + sum(table.definitions[name].body.weight for name in self._cut) > LARGEST_TIDIED:
            return self._canonical
        for name in self._cut:
            labels, body = table.definitions[name]
            table.definitions[name] = Lambda(labels, way(table, body))
        return way(table, self._canonical)

    @cached_property
    def _cut(self) -> list[str]:
        """The sub-terms that were named while reading, because of their size."""
        return list(self._canonical.table.definitions)

    @cached_property
    def _names(self) -> Names:
        matrices_first = sorted(self._graph.inputs, key=lambda n: n.ndim < 2)  # n is what people call a matrix's rows
        axes_ = [size for node in matrices_first for size in node.shape if isinstance(size, SizeExpr)]
        symbols = [name for size in axes_ for name in sorted(symbols_of(size))] + self._graph.symbols()
        names = Names([n.param("name") for n in self._graph.inputs], dict.fromkeys(symbols))
        for label in self._labels:
            names.label(label)
        return names

    @cached_property
    def _recognised(self) -> Term:
        """The term for people, compositions by their names."""
        def named(table: Table, term: Term) -> Term:
            best: Term | None = None
            for form in normal.forms(table, term, self._normal):
                made = composed(table, form)
                if best is None or cost(made) < cost(best):
                    best = made
                if cost(best) < cost(term) / COLLAPSED:
                    break
            return best or term

        def composed(table: Table, term: Term) -> Term:
            term = with_gamma(table, term)
            made = tidied(table, recognised(table, term))
            return self._shortened(made if made is term else tidied(table, recognised(table, made)))

        return self._tidied(named)

    @cached_property
    def _pieces(self) -> Pieces:
        """The formula for matrix notation, with names for shared sub-terms where it is longer than a line."""
        return self._split(self._recognised, Matrix(self._canonical.table, self._shapes))

    @cached_property
    def _indexed_pieces(self) -> Pieces:
        return self._split(self._recognised, Indexed(self._canonical.table, self._shapes))

    def _split(self, term: Term, arranger: Arranger) -> Pieces:
        whole = split(term, self._labels)
        if whole.definitions or self._length(whole, arranger) > LINE:
            return split(term, self._labels, share=True, widest=2 if isinstance(arranger, Matrix) else inf)
        return whole

    def _length(self, pieces: Pieces, arranger: Arranger) -> int:
        try:
            return len(self._writer(Writer, self._names.copy()).write(self._arranged(pieces, arranger)[0][1]))
        except NoNotationError:
            return length(pieces.main)

    @cached_property
    def _promises(self) -> dict[str, str]:
        """What the caller promised of arguments."""
        return {n.param("name"): n.param("promise") for n in self._graph.inputs if n.param("promise")}

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        return {n.param("name"): n.shape for n in self._graph.inputs}

    def _writer(self, writer: type[Writer], names: Names | None = None) -> Writer:
        names = names or self._names
        return writer(names.size, names.symbol, names.label)

    # ------------------------------------------------------------------------------------------ notation
    def _arranged(self, pieces: Pieces, arranger: Arranger) -> list[tuple[str, Shown]]:
        """The main formula, under no name, and its shared sub-terms, in one notation."""
        main = arranger.show(pieces.main, self._labels)
        if isinstance(arranger, Matrix):
            main = arranger.filled(main, self._labels)
        return [("", main), *((name, arranger.show(d.body, d.labels)) for name, d in pieces.definitions.items())]

    @cached_property
    def _notation(self) -> list[tuple[Shown, Shown]]:
        """Matrix notation where it says everything, but for the elements of some matrices, else index notation.

        What is defined, and its definition; first the main formula, under no name.
        """
        matrix, indexed = Matrix(self._canonical.table, self._shapes), Indexed(self._canonical.table, self._shapes)
        try:
            return [(make("symbol", data=name), shown) for name, shown in self._arranged(self._pieces, matrix)]
        except NoNotationError:
            pieces = self._indexed_pieces
            rows = [(self._head(name, pieces, indexed), shown) for name, shown in self._arranged(pieces, indexed)]
        functions = any(isinstance(t, Call) for t in postorder([self._recognised]))
        if not functions and len(self._writer(Writer, self._names.copy()).write(rows[0][1])) <= LINE:
            return rows
        term, names = named_sums(self._canonical.table, self._recognised)
        if not names:
            return rows
        for arranger in (matrix, indexed) if functions else (matrix,):
            try:
                return self._by_elements(tidied(self._canonical.table, term), names, arranger, indexed)
            except NoNotationError:
                pass
        return rows

    def _by_elements(self, term: Term, names: set[str], arranger: Arranger, indexed: Indexed) -> list[tuple[Shown, Shown]]:
        """The notation of a term in which some matrices have names, which are defined by their elements.

        Raises:
            NoNotationError: there is none.
        """
        def shown(pieces: Pieces) -> Shown:
            main = arranger.show(pieces.main, self._labels)
            return arranger.filled(main, self._labels) if isinstance(arranger, Matrix) else main

        pieces = split(term, self._labels)
        main = shown(pieces)
        if len(self._writer(Writer, self._names.copy()).write(main)) > LINE:
            pieces = split(term, self._labels, share=True, widest=2 if isinstance(arranger, Matrix) else inf)
            main = shown(pieces)
        rows = [(make("symbol", data=""), main)]
        for name, d in pieces.definitions.items():
            by = indexed if name in names else arranger
            rows.append((self._head(name, pieces, by), by.show(d.body, d.labels)))
        return rows

    def _head(self, name: str, pieces: Pieces, arranger: Arranger) -> Shown:
        """What is defined: in index notation, an element."""
        labels = pieces.definitions[name].labels if name else ()
        return arranger.show(self._canonical.table.at(name, labels)) if isinstance(arranger, Indexed) else make("symbol", data=name)

    def _lines(self, writer: Writer) -> tuple[str, list[tuple[str, str]]]:
        """The main formula and the definitions of its shared sub-terms, outermost first."""
        (_, main), *definitions = self._notation
        return writer.write(main), [(writer.write(head), writer.write(shown)) for head, shown in definitions]

    def __str__(self) -> str:
        main, definitions = self._lines(self._writer(Writer))
        return "\n    where ".join([main, *(f"{head} = {text}" for head, text in definitions)])

    def __repr__(self) -> str:
        return f"{self.title} = {self}" if self.title else str(self)

    @cached_property
    def latex(self) -> str:
        """LaTeX, without dollar signs."""
        main, definitions = self._lines(self._writer(Latex))
        if not definitions:
            return main
        rows = [main, *(f"{head} = {text}" for head, text in definitions)]
        rows[1:] = [rf"\text{{where }} {rows[1]}", *rows[2:]]
        return r"\begin{gathered} " + r" \\ ".join(rows) + r" \end{gathered}"

    @cached_property
    def numpy(self) -> str:
        """One line of NumPy source in the arguments' names, `np` and `special` (scipy.special)."""
        writer = NumpySource(size_source(self._graph.inputs), self._names.symbol, self._names.label)
        arranged = self._arranged(self._pieces, Matrix(self._canonical.table, self._shapes, general=True))
        if self._derived.pointwise and self._derived.shape and not self._reads_arrays:
            everywhere = axes(self._derived.shape)
            arranged[0] = "", Matrix(self._canonical.table, self._shapes, general=True).filled(arranged[0][1], everywhere)
        main, *rest = (writer.write(shown) for _, shown in arranged)
        definitions = [(name, text) for (name, _), text in zip(arranged[1:], rest, strict=True)]
        if not definitions:
            return main
        steps = [f"{self._names.symbol(name)} := {text}" for name, text in reversed(definitions)]
        return f"[{', '.join(f'({s})' for s in steps)}, {main}][-1]"

    @cached_property
    def sympy(self) -> Any:
        """A SymPy expression.

        Of plain symbols for scalars and elementwise functions; a matrix expression where matrix notation says everything
        (vectors are columns); else elements with indices, which count from 0, and sums over them.

        Raises:
            NotYetError: a formula of arrays is so large that SymPy would not finish with it.
        """
        elements = Elements(self._canonical.table, self._names.size, self._names.label, self._matrix_of)
        if self._derived.pointwise or not any(self._shapes.values()):
            return elements.convert(self._term)
        if written_out(self._pieces) > LARGEST_TREE:
            raise NotYetError("the formula is too large to be one SymPy expression, which has no shared parts; "
                              "str(formula) and .numpy name them")
        try:
            (_, main), *definitions = self._arranged(self._pieces, Matrix(self._canonical.table, self._shapes))
            behind = dict(definitions)
            return MatrixSymbolic(self._names.size, lambda name: behind.get(name), self._promises).convert(main)
        except NoNotationError:
            return elements.convert(self._term)

    @property
    def _reads_arrays(self) -> bool:
        """Whether an argument that is an array occurs."""
        pieces = self._pieces
        terms = postorder([pieces.main, *(d.body for d in pieces.definitions.values())])
        return any(isinstance(t, At) and self._shapes.get(t.name) for t in terms)

    def _matrix_of(self, call: Call, arrays: Sequence[Any]) -> Any:
        """A function of whole arrays as a SymPy matrix, where there is one; `arrays`: its matrices by their elements."""
        symbolic = MatrixSymbolic(self._names.size, lambda name: None)
        try:
            made = Matrix(self._canonical.table, self._shapes).array(call)
            axes_ = tuple(Label(f"axis{k}", size) for k, size in enumerate(call.shape))
            return symbolic.of(Shown(made.kind, made.args, axes_, made.data))
        except NoNotationError:
            pass
        try:
            return symbolic.applied(call.function, arrays) if len(arrays) == len(call.arrays) else None
        except NoNotationError:
            return None

    @cached_property
    def mathml(self) -> str:
        """Presentation MathML, the content of a `<math>` element."""
        return self.marked(lambda sites: "")

    def marked(self, mark: Mark) -> str:
        """Presentation MathML, in which `mark` gives what comes from the user's lines attributes."""
        writer = MathML(self._names.size, self._names.symbol, self._names.label, mark)
        main, definitions = self._lines(writer)
        return writer.whole(main, definitions)

    # ------------------------------------------------------------------------------------------ facts
    @cached_property
    def ops(self) -> int:
        """How many operations the formula has, shared sub-terms counted once."""
        pieces = self._pieces
        return sum(_operations(t) for t in postorder([pieces.main, *(d.body for d in pieces.definitions.values())]))

    @property
    def sizes(self) -> dict[str, str]:
        """What the size symbols of the program are called in the formula."""
        return dict(self._names.sizes)

    @property
    def free_symbols(self) -> set[Any]:
        """SymPy's symbols of the arguments and sizes that occur."""
        found: set[Any] = self.sympy.free_symbols
        return found

    def simplify(self, seconds: float = 5.0) -> Formula:
        """The same formula in a shorter form, if SymPy finds one in time and it stands a check by numbers; else itself."""
        from .simplify import simplified

        term = simplified(self.sympy, self._term, seconds) if self._derived.pointwise else None
        return self if term is None else Formula(self._graph, self._derived, self._passes, self.title, values=self._values, term=term,
                                                 captured=self._captured)

    def steps(self) -> Steps:
        """The derivation, rule by rule, from the log of the compiler's passes: a sequence of steps that can be printed.

        Each has the rule, the expression before and after it, its condition, the level at which it is sound, and the user's line.
        The passes run on the traced graph. See `Steps` for which of a compiled program's steps these are.
        """
        text = Literal(self._writer(Writer))

        def drawn(mark: Mark) -> Literal:
            return Literal(MathML(self._names.size, self._names.symbol, self._names.label, mark), text)

        return Steps(self._passes, text, drawn, self.title or "")

    # ------------------------------------------------------------------------------------------ values
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value: arguments in order (all of them, or those that occur), or by name; captured arrays need not be given.

        Raises:
            ArgumentError: an argument that occurs is missing, or one is unknown.
            NotYetError: the size of the value is one that only another output of the program tells.
        """
        given = self._bound(args, kwargs)
        inputs = [n for n in self._graph.inputs if n in given]
        nodes = toposort([self._values.node])
        scalar = all(n.shape == () for n in nodes)
        sizes = {} if scalar else bind_sizes(inputs, [given[n] for n in inputs])
        found = {str(n.param(name)) for n in nodes for name in n.op.binds}
        unknown = {name for n in nodes for size in n.shape for name in symbols_of(size)} - sizes.keys() - found
        if unknown:
            raise NotYetError(f"the formula has no value: its size {', '.join(sorted(unknown))} only running the program tells")
        value = evaluate_derived(self._graph, self._values, given, sizes)
        return value[()] if getattr(value, "ndim", 1) == 0 else value

    def _bound(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[Node, Any]:
        import numpy as np

        used = set(toposort([self._values.node])) - set(self._values.tangents)
        inputs = list(self._graph.inputs)
        own = [n for n in inputs if n.param("name") not in self._captured]
        if len(args) != len(inputs) and not kwargs:
            inputs = own if len(args) == len(own) else [n for n in (inputs if len(args) > len(own) else own) if n in used]
        if len(args) > len(inputs) or (not kwargs and len(args) < len(inputs)):
            raise ArgumentError(f"the formula takes {', '.join(n.param('name') for n in inputs)}; {len(args)} values were given")
        values = dict(zip(inputs, args, strict=False))
        by_name = {n.param("name"): n for n in self._graph.inputs}
        for name, value in kwargs.items():
            if name not in by_name or by_name[name] in values:
                raise ArgumentError(f"{name!r} is not an argument, or given twice; the arguments are {', '.join(by_name)}")
            values[by_name[name]] = value
        values |= {n: self._captured[name]() for name, n in by_name.items() if name in self._captured and n in used and n not in values}
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


def formula(graph: Graph, output: int = 0, *, title: str | None = None, stabilise: bool = True, fastmath: bool = False,
            lines: Set[Site] | None = None, literals: Set[float] = frozenset(),
            captured: Mapping[str, Callable[[], Any]] | None = None) -> Formula:
    """The formula of an output of a graph.

    Args:
        stabilise, fastmath: what the passes may do whose steps the formula shows.
        lines: where the graph comes from, as far as its steps say so; default: all lines that its nodes know of.
        literals: decimals that the user wrote, which are not taken for values of sqrt(2), 1/pi and the like.
        captured: what gives the arrays that the function has from elsewhere, by the names of their inputs.
    """
    graph = in_line(graph)
    passes = Passes(graph, output, (), stabilise, fastmath, lines)
    graph = graph.with_outputs(without_marks(graph.outputs))
    graph = without_shifts(squared(graph))
    read, value = without_choices(graph).outputs[output], graph.outputs[output]
    derived, values = (Derived(node, node, (), is_pointwise([node])) for node in (read, value))
    return Formula(graph, derived, passes, title, values=values, literals=literals, captured=captured)


def derivative(graph: Graph, *names: str, output: int = 0, title: str | None = None, stabilise: bool = True,
               fastmath: bool = False, lines: Set[Site] | None = None, literals: Set[float] = frozenset(),
               captured: Mapping[str, Callable[[], Any]] | None = None) -> Formula:
    """The formula of an output's derivative by inputs, each further name differentiating again.

    Of a scalar: gradient, then Hessian or cross derivative. Of an elementwise function: the elementwise derivative. Of any
    other array: the Jacobian, of shape output + input.

    Args:
        stabilise, fastmath: what the passes may do whose steps the formula shows.
        lines: where the graph comes from, as far as its steps say so; default: all lines that its nodes know of.
        literals: decimals that the user wrote, which are not taken for values of sqrt(2), 1/pi and the like.
        captured: what gives the arrays that the function has from elsewhere, by the names of their inputs.

    Raises:
        ArgumentError: an unknown name, or none.
        DifferentiationError: an input, or the output, is not of a floating type.
    """
    if not names:
        raise ArgumentError("by which argument? derivative() takes names")
    graph = in_line(graph)
    passes = Passes(graph, output, names, stabilise, fastmath, lines)
    graph = without_shifts(squared(graph))
    values, read = derive(graph, output, names), spelled(without_choices(graph))
    derived = values if read is graph else derive(read, output, names)
    return Formula(graph, derived, passes, title, values=values, literals=literals, captured=captured)
