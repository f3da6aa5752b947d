"""A summed product as a network of vectors and matrices, written by its paths."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from .arrange import NoNotationError, Order
from .recognise import SOFTMAX
from .shown import Shown, is_one, key, make, number, transpose
from .terms import At, Call, Delta, Label, Mul, Number, Term

if TYPE_CHECKING:
    from .matrix import Matrix

__all__ = ["Network"]

Factor = tuple[Term, Term]
Edge = frozenset[Label]


def _is_identity(term: Term) -> bool:
    """Whether the term is an element of a square identity matrix."""
    return (isinstance(term, Delta) and isinstance(term.left, Label) and isinstance(term.right, Label)
            and term.left.size == term.right.size)


def _reading(product: Shown) -> tuple[int, bool, bool]:
    """How well a product reads under a trace: few transposes, M.T A M rather than A M M.T, equal matrices side by side."""
    first, last = (product.args[0], product.args[-1]) if product.kind == "matmul" else (product, product)
    return product.cost, key(transpose(first)) != key(last), len(product.args) > 2 and key(first) == key(last)


class Network:
    """The factors of a product by their labels: scalars, vectors at labels, edges between two labels."""

    def __init__(self, writer: Matrix, term: Mul, order: Order) -> None:
        self.writer = writer
        self.term = term
        self.order = order
        self.coefficient = term.coefficient
        self.scalars: list[Factor] = []
        self.shown_scalars: list[Shown] = []
        self.vectors: dict[Label, list[Factor]] = {}
        self.shown_vectors: dict[Label, list[Shown]] = {}
        self.edges: dict[Edge, list[Factor]] = {}
        self.shown_edges: dict[Edge, list[Shown]] = {}
        self.wide: dict[Edge, list[Factor]] = {}
        self.matrices: list[Shown] = []
        for factor in term.factors:
            labels = frozenset(label for t in factor for label in t.free)
            if not labels:
                self.scalars.append(factor)
            elif len(labels) == 1:
                self.vectors.setdefault(next(iter(labels)), []).append(factor)
            else:
                (self.edges if len(labels) == 2 else self.wide).setdefault(labels, []).append(factor)

    def shown(self) -> Shown:
        """The notation.

        Raises:
            NoNotationError: no matrix notation covers the network.
        """
        if self.wide or len(self.order) > 2:
            return self._wide()
        self._reduce()
        self._paths()
        self._cycles()
        self._lone_labels()
        return self._composed()

    # ------------------------------------------------------------------------------------------ parts
    def bound(self, label: Label) -> bool:
        return label in self.term.bound

    def at(self, label: Label) -> list[Edge]:
        return [edge for edge in self.edges if label in edge]

    def matrix(self, edge: Edge, order: Order) -> Shown:
        """An edge as a matrix with these axes, transposed as a whole where that is easier to read."""
        direct, turned = self._elements(edge, order), transpose(self._elements(edge, order[::-1]))
        return direct if direct.cost <= turned.cost else turned

    def _elements(self, edge: Edge, order: Order) -> Shown:
        more = [self.writer.oriented(s, order) for s in self.shown_edges.get(edge, [])]
        return self.writer.elements(Fraction(1), self.edges[edge], order, more)

    def vector(self, label: Label) -> Shown | None:
        """The elementwise product of all vectors at a label."""
        factors, extra = self.vectors.get(label, []), self.shown_vectors.get(label, [])
        if not factors and not extra:
            return None
        return self.writer.elements(Fraction(1), factors, (label,), extra)

    def count(self, label: Label) -> int:
        return len(self.vectors.get(label, [])) + len(self.shown_vectors.get(label, []))

    def averaged(self, labels: Sequence[Label]) -> bool:
        """Whether the product divides by the sizes of these labels; if so, it does no longer."""
        table = self.writer.table
        powers = dict(self.scalars)
        coefficient = self.coefficient
        for label in labels:
            size = table.size(label.size)
            if isinstance(size, Number):
                if size.value <= 1 or coefficient.denominator % size.value:
                    return False
                coefficient *= size.value
            else:
                for base, exponent in dict(size.factors if isinstance(size, Mul) else [(size, table.one)]).items():
                    known = powers.get(base)
                    if not (isinstance(known, Number) and isinstance(exponent, Number) and known.value <= -exponent.value):
                        return False
                    powers[base] = table.add(known, exponent)
        self.coefficient = coefficient
        self.scalars = [(b, e) for b, e in powers.items() if e is not table.zero]
        return True

    # ------------------------------------------------------------------------------------------ elimination
    def _walk(self, start: Label, first: Edge) -> tuple[list[Label], list[Edge]]:
        """From a label along edges, through bound labels with one way on."""
        labels, edges = [start], [first]
        while True:
            (here,) = edges[-1] - {labels[-1]}
            labels.append(here)
            ways = [e for e in self.at(here) if e != edges[-1]]
            if here == start or not self.bound(here) or len(ways) != 1:
                return labels, edges
            edges.append(ways[0])

    def _folded(self, labels: Sequence[Label], edges: Sequence[Edge]) -> Shown:
        """The vector at the first label of a path that ends in the last one."""
        here = self.vector(labels[-1])
        for k in range(len(edges) - 1, -1, -1):
            order = (labels[k], labels[k + 1])
            if here is None:
                one, other = (self.matrix(edges[k], o) for o in (order, order[::-1]))
                matrix = one if one.cost <= other.cost else other
                kind = "mean" if self.averaged([labels[k + 1]]) else "sum"
                here = self.writer.along(matrix, [labels[k + 1]], (labels[k],), kind)
            else:
                here = self._padded(edges[k], order, here) or self._onto(self.matrix(edges[k], order), here)
            if k and self.count(labels[k]):
                here = self.writer.elements(Fraction(1), self.vectors.get(labels[k], []), (labels[k],),
                                            [*self.shown_vectors.get(labels[k], []), here])
        assert here is not None
        return here

    def _padded(self, edge: Edge, order: Order, vector: Shown) -> Shown | None:
        """A vector among zeros: what a shifted identity matrix times it is."""
        factors = self.edges[edge]
        base = factors[0][0]
        if len(factors) != 1 or edge in self.shown_edges or not isinstance(base, Delta):
            return None
        if base.left != order[0] or not isinstance(base.left, Label):
            return None
        inner, place = order[1], self.writer.table.as_term(base.right)
        start = self.writer.table.add(place, -self.writer.table.position(inner))
        if not isinstance(start, Number) or inner.size == base.left.size:
            return None
        before = int(start.value)
        return make("pad", [vector], (base.left,), (before, base.left.size - inner.size - before))

    def _onto(self, matrix: Shown, vector: Shown) -> Shown:
        """A matrix times a vector; a chain of products is one."""
        left = matrix.args if matrix.kind == "matmul" else (matrix,)
        right = vector.args if vector.kind == "matmul" else (vector,)
        return make("matmul", [*left, *right], matrix.axes[:1])

    def _dot(self, left: Shown, right: Shown) -> Shown:
        """The inner product of two vectors."""
        return make("matmul", [transpose(left), *(right.args if right.kind == "matmul" else (right,))])

    def _reduce(self) -> None:
        """No bound label with more than two edges: paths beside an edge become matrices there, and those that end freely vectors."""
        while True:
            path = self._beside()
            if path is not None:
                self._join(*path)
            elif not self._prune():
                return

    def _join(self, labels: Sequence[Label], edges: Sequence[Edge]) -> None:
        """A path beside an edge as a matrix there: the product along the path, elementwise times the edge."""
        self.shown_edges.setdefault(frozenset((labels[0], labels[-1])), []).append(self._chain(labels, edges))
        self._remove(labels[:-1], edges)

    def _beside(self) -> tuple[list[Label], list[Edge]] | None:
        """A path between the ends of an edge, where a bound label has more edges, or what is not a matrix by name closes a cycle."""
        for edge in self.edges:
            for start, end in (tuple(edge), tuple(edge)[::-1]):
                hub = self.bound(start) and len(self.at(start)) > 2
                corner = not self.bound(end) and len(self.at(start)) == len(self.at(end)) == 2 and self._is_composed(edge)
                if not (hub or (corner and self.bound(start))):
                    continue
                for first in self.at(start):
                    labels, edges = self._walk(start, first)
                    if first != edge and labels[-1] == end and len(edges) > 1:
                        return labels, edges
        return None

    def _is_composed(self, edge: Edge) -> bool:
        """Whether a matrix is made of others, element by element."""
        return not all(isinstance(b, At | Call | Delta) for b, _ in self.edges[edge])

    def _prune(self) -> bool:
        """One path that ends freely, hanging on a bound label where three or more meet, as a vector there; False: none need to."""
        hubs = [label for label in self.term.bound if len(self.at(label)) > 2]
        for hub in hubs:
            path = next((p for e in self.at(hub) if self._hangs(p := self._walk(hub, e))), None)
            if path is not None:
                self.shown_vectors.setdefault(hub, []).append(self._folded(*path))
                self._remove(*path)
                return True
        if hubs:
            raise NoNotationError("an index that three matrices share")
        return False

    def _hangs(self, path: tuple[list[Label], list[Edge]]) -> bool:
        end = path[0][-1]
        return self.bound(end) and len(self.at(end)) == 1

    def _remove(self, labels: Sequence[Label], edges: Sequence[Edge]) -> None:
        for edge in edges:
            del self.edges[edge]
        for label in labels[1:]:
            if self.bound(label):
                self.vectors.pop(label, None)
                self.shown_vectors.pop(label, None)

    def _paths(self) -> None:
        """Paths from a free label, then paths between ends that are bound."""
        for start in self.order:
            for edge in self.at(start):
                if edge not in self.edges or edge == frozenset(self.order):
                    continue
                labels, edges = self._walk(start, edge)
                end = labels[-1]
                if self.bound(end):
                    self.shown_vectors.setdefault(start, []).append(self._folded(labels, edges))
                elif end == start:
                    self.shown_vectors.setdefault(start, []).append(self._diagonal(labels, edges))
                else:
                    if labels[0] != self.order[0]:
                        labels, edges = labels[::-1], edges[::-1]
                    self.matrices.append(self._chain(labels, edges))
                self._remove(labels, edges)
        for start in [label for label in self.term.bound if len(self.at(label)) == 1]:
            if self.at(start):
                self._scalar_path(*self._walk(start, self.at(start)[0]))

    def _chain(self, labels: Sequence[Label], edges: Sequence[Edge]) -> Shown:
        """A matrix product along a path; a vector on the way is a diagonal matrix."""
        args: list[Shown] = []
        for k, edge in enumerate(edges):
            matrix = self.matrix(edge, (labels[k], labels[k + 1]))
            args += matrix.args if matrix.kind == "matmul" else [matrix]
            here = labels[k + 1]
            middle = self.vector(here) if self.bound(here) and k + 1 < len(edges) else None
            if middle is not None:
                args.append(make("diag", [middle], (here, here)))
        return args[0] if len(args) == 1 else make("matmul", args, (labels[0], labels[-1]))

    def _diagonal(self, labels: Sequence[Label], edges: Sequence[Edge]) -> Shown:
        """The diagonal of a product: with a softmax at one of its ends, the sums of the rows of that times the rest."""
        for way, along in ((labels, edges), (labels[::-1], edges[::-1])):
            if len(along) > 1 and any(self._is_softmax(b) for b, _ in self.edges[along[0]]) \
                    and not self.count(way[1]):
                order = (way[0], way[1])
                rest = self.writer.oriented(self._chain(way[1:], along[1:]), order)
                body = self.writer.elements(Fraction(1), self.edges[along[0]], order, [*self.shown_edges.get(along[0], []), rest])
                return self.writer.along(body, [way[1]], (way[0],), "sum")
        return make("diagonal", [self._chain(labels, edges)], labels[:1])

    def _is_softmax(self, term: Term) -> bool:
        defined = self.writer.table.definitions.get(term.name) if isinstance(term, At) else None
        term = term if defined is None else defined.body
        return isinstance(term, Call) and term.function is SOFTMAX

    def _scalar_path(self, labels: list[Label], edges: list[Edge]) -> None:
        """A number: a vector, matrices, a vector; a trace or a sum where there are no vectors."""
        ends = [bool(self.count(label)) for label in (labels[0], labels[-1])]
        found = None
        if len(edges) == 1 and not any(ends):
            found = self._total(labels, edges[0])
        if found is None:
            made = [self._dotted(*way) for way in ((labels, edges), (labels[::-1], edges[::-1]))[: 2 if all(ends) else 1]
                    ] if ends[0] or not ends[1] else [self._dotted(labels[::-1], edges[::-1])]
            found = min(made, key=lambda s: s.cost)
        self.shown_scalars.append(found)
        self._remove(labels, edges)
        self.vectors.pop(labels[0], None)
        self.shown_vectors.pop(labels[0], None)

    def _dotted(self, labels: Sequence[Label], edges: Sequence[Edge]) -> Shown:
        there = self._folded(labels, edges)
        here = self.vector(labels[0])
        if here is None:
            return self.writer.along(there, [labels[0]], (), "mean" if self.averaged([labels[0]]) else "sum")
        return self._dot(here, there)

    def _total(self, labels: Sequence[Label], edge: Edge) -> Shown:
        """The sum of all elements of a matrix, as a trace where that saves a transpose."""
        orders = ((labels[0], labels[1]), (labels[1], labels[0]))
        best = min((self._elements(edge, o) for o in orders), key=lambda s: s.cost)
        factors = self.edges[edge]
        one = self.writer.table.one
        if best.cost and len(factors) == 2 and edge not in self.shown_edges and all(e is one for _, e in factors):
            shown = [self.writer.show(b, o) for (b, _), o in zip(factors, orders, strict=True)]
            if sum(s.cost for s in shown) < best.cost:
                return make("trace", [make("matmul", shown, (labels[0], labels[0]))])
        kind = "mean" if self.averaged(labels) else "sum"
        return self.writer.along(best, labels, (), kind)

    def _cycles(self) -> None:
        while any(all(self.bound(label) for label in edge) for edge in self.edges):
            edge = next(e for e in self.edges if all(self.bound(label) for label in e))
            labels, edges = self._walk(next(iter(sorted(edge))), edge)
            if labels[0] != labels[-1]:
                raise NoNotationError("a network")
            self.shown_scalars.append(make("trace", [min(self._turns(labels, edges), key=_reading)]))
            self._remove(labels, edges)

    def _turns(self, labels: Sequence[Label], edges: Sequence[Edge]) -> Iterator[Shown]:
        """A cycle as a product that starts at any of its labels, in either direction."""
        for way, along in ((labels, edges), (labels[::-1], edges[::-1])):
            for k in range(len(along)):
                turned = [*way[k:-1], *way[: k + 1]]
                made = self._chain(turned, [*along[k:], *along[:k]])
                corner = self.vector(turned[0])
                if corner is not None:
                    inner = made.args if made.kind == "matmul" else (made,)
                    made = make("matmul", [make("diag", [corner], (turned[0], turned[0])), *inner], (turned[0], turned[0]))
                yield made

    def _lone_labels(self) -> None:
        """Bound labels that only vectors have: dot products and sums."""
        one = self.writer.table.one
        for label in self.term.bound:
            factors = self.vectors.pop(label, [])
            extra = self.shown_vectors.pop(label, [])
            if not factors and not extra:
                continue
            simple = [(b, e) for b, e in factors if e is one]
            diagonal = self._diagonal_sum(label, factors, extra)
            if diagonal is not None:
                self.shown_scalars.append(diagonal)
            elif len(factors) + len(extra) == 2 and len(simple) == len(factors):
                sides = [*(self.writer.show(b, (label,)) for b, _ in factors), *extra]
                self.shown_scalars.append(self._dot(sides[0], sides[1]))
            else:
                body = self.writer.elements(Fraction(1), factors, (label,), extra)
                kind = "mean" if self.averaged([label]) else "sum"
                self.shown_scalars.append(self.writer.along(body, [label], (), kind))

    def _diagonal_sum(self, label: Label, factors: Sequence[Factor], extra: Sequence[Shown]) -> Shown | None:
        """The sum of a diagonal, or of a sum of some, is a trace."""
        if len(factors) + len(extra) != 1:
            return None
        shown = extra[0] if extra else self.writer.elements(Fraction(1), factors, (label,))
        if shown.kind == "add" and all(s.kind == "diagonal" for s in shown.args):  # trace(A - B)
            return make("trace", [make("add", [s.args[0] for s in shown.args], (label, label), shown.data)])
        return make("trace", shown.args) if shown.kind == "diagonal" else None

    # ------------------------------------------------------------------------------------------ results
    def _composed(self) -> Shown:
        """Scalars, vectors and matrices over the free labels, put together."""
        if any(self.bound(label) for edge in self.edges for label in edge):
            raise NoNotationError("a network")
        rows = self.order
        if len(rows) <= 1:
            factors = [f for label in rows for f in self.vectors.get(label, [])]
            return self._scaled(factors, [s for label in rows for s in self.shown_vectors.get(label, [])])
        factors = [f for fs in self.edges.values() for f in fs]
        left, right = (self.vector(label) for label in rows)
        if len(factors) == 1 and _is_identity(factors[0][0]) and not self.matrices and (left or right):
            both = [v for v in (left, right) if v is not None]
            if len(both) == 1:
                return self._scaled([], [make("diag", both, rows)])
        if not factors and not self.matrices:
            if left is None or right is None:
                return self._scaled([f for label in rows for f in self.vectors.get(label, [])],
                                    [s for label in rows for s in self.shown_vectors.get(label, [])])
            return self._scaled([], [make("outer", [left, right], rows)])
        if left is None and right is None:
            return self._scaled(factors, self.matrices)
        inner = self.writer.elements(Fraction(1), factors, rows, self.matrices)
        middle = inner.args if inner.kind == "matmul" else (inner,)
        before = [] if left is None else [make("diag", [left], (rows[0], rows[0]))]
        after = [] if right is None else [make("diag", [right], (rows[1], rows[1]))]
        return self._scaled([], [make("matmul", [*before, *middle, *after], rows)])

    def _scaled(self, factors: Sequence[Factor], arrays: Sequence[Shown]) -> Shown:
        """The scalars times the elementwise product of arrays; in front of a matrix product they stand apart."""
        alone = len(arrays) == 1 and not factors
        equal: dict[object, list[Shown]] = {}
        for s in self.shown_scalars:
            equal.setdefault(key(s), []).append(s)
        scalars = [s if len(same) == 1 else make("power", [s, number(len(same))]) for same in equal.values() for s in same[:1]]
        if alone and arrays[0].kind in ("matmul", "outer", "diag", "einsum"):
            return self._times(self.writer.elements(self.coefficient, self.scalars, (), scalars), arrays[0])
        return self.writer.elements(self.coefficient, [*self.scalars, *factors], self.order, [*scalars, *arrays])

    def _times(self, front: Shown, array: Shown) -> Shown:
        """A number times an array."""
        if is_one(front):
            return array
        if front.kind == "scaled":  # 2*(x.T @ y) in front of a product
            front = make("product", front.args[1:], (), (front.args[0].data, 1))
        return make("scaled", [front, array], array.axes)

    def _wide(self) -> Shown:
        """Arrays of more than two axes: elementwise, and summed as a whole."""
        groups = {frozenset(label for t in f for label in t.free): f for f in self.term.factors}
        groups.pop(frozenset(), None)
        if len(groups) != 1:
            raise NoNotationError("a product of arrays with more than two axes")
        factors = [f for fs in (*self.vectors.values(), *self.edges.values(), *self.wide.values()) for f in fs]
        labels = next(label_order for b, e in factors if (label_order := (*b.free, *e.free)))
        body = self.writer.elements(Fraction(1), factors, tuple(dict.fromkeys(labels)))
        if not self.term.bound:
            return self._scaled(factors, [])
        kind = "mean" if self.averaged(self.term.bound) else "sum"
        return self._scaled([], [self.writer.along(body, self.term.bound, self.order, kind)])

    def einsum(self) -> Shown:
        """The whole product by `einsum`, of a network that is as it was made."""
        operands, specs = [], []
        groups = [*self.vectors.items(), *self.edges.items(), *self.wide.items()]
        for labels, factors in groups:
            found = tuple(dict.fromkeys(label for b, e in factors for label in (*b.free, *e.free)))
            operands.append(self.writer.elements(Fraction(1), factors, found))
            specs.append(found)
            assert labels
        return self._times(self.writer.elements(self.coefficient, self.scalars, ()), make("einsum", operands, self.order, tuple(specs)))
