"""Matrix notation: vectors, matrices, their products, transposes, traces, norms.

A product summed over bound labels is a network: factors of two labels are its edges, factors of one label are vectors at
its vertices. Paths of edges are matrix products, cycles are traces, a vertex that no edge touches is a dot product or a
sum. What no matrix notation covers is refused, or, in NumPy source, left to `einsum`.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from ..sizes import Size
from .algebra import Table
from .arrange import Arranger, NoNotationError, Order
from .chains import factored
from .network import Network
from .recognise import KRONECKER, LIST, triangle
from .reshapes import kronecker_axes
from .shown import Shown, key, make, product, transpose
from .sums import is_deviation
from .terms import Add, Apply, At, Call, Delta, Index, Label, Mul, Number, Position, Reduce, Term

__all__ = ["Matrix"]

MOST_ADDENDS = 16  # of a sum that is multiplied out to be written
LARGEST = 400  # the weight of a product in which that is tried


class Matrix(Arranger):
    """Arrays by name; `general` allows what only NumPy source can say: einsum, any number of axes."""

    def __init__(self, table: Table, inputs: Mapping[str, Sequence[Size]], general: bool = False) -> None:
        super().__init__(table, inputs)
        self.general = general

    # ------------------------------------------------------------------------------------------ elements of arrays
    def at(self, term: At, order: Order) -> Shown:
        if not term.indices:
            return make("symbol", data=term.name)
        defined = self.table.definitions.get(term.name)
        shape = self.shapes[term.name] if defined is None else [label.size for label in defined.labels]
        base = make("symbol", data=term.name)
        return self._symmetric(base, term, order) or self.indexed(base, shape, term.indices, order)

    def _symmetric(self, base: Shown, term: At | Call, order: Order) -> Shown | None:
        """A symmetric matrix, its axes in any order; None where it is none, or not the whole of one."""
        rows = [label for label in order if label in term.indices]
        if not term.symmetric or len(term.indices) != 2 or set(term.indices) != set(rows) or len(rows) != 2:
            return None
        return make(base.kind, base.args, rows, base.data, symmetric=True)

    def delta(self, term: Delta, order: Order) -> Shown:
        """An element of the identity matrix."""
        left, right = term.left, term.right
        if not isinstance(left, Label):
            return self.show(self.table.indicator(self.table.apply("eq", (left, self.table.as_term(right)))), order)
        if isinstance(right, Label):
            rows, columns = sorted((left, right), key=order.index) if {left, right} <= set(order) else (left, right)
            sizes = (rows.size, columns.size)
            return make("eye", axes=(rows, columns), data=sizes[:1] if sizes[0] == sizes[1] else sizes)
        return self.indexed(make("eye", data=(left.size,)), (left.size, left.size), (right, left), order)

    def position(self, term: Position, order: Order) -> Shown:
        return make("position", axes=(term.label,), data=term.label.size)

    def indexed(self, base: Shown, shape: Sequence[Size], indices: Sequence[Index], order: Order) -> Shown:
        """An array at indices, as an array over their labels."""
        labels = [i for i in indices if isinstance(i, Label)]
        if [label.size for label in labels] == list(shape):
            array = make(base.kind, base.args, tuple(labels), base.data)
            if len(set(labels)) == len(labels):
                return self.oriented(array, order)
            if len(labels) == 2:
                return make("diagonal", [array], (labels[0],))
        return self._taken(base, shape, indices, order)

    def _taken(self, base: Shown, shape: Sequence[Size], indices: Sequence[Index], order: Order) -> Shown:
        """Slices and fixed places along axes, at most one index array; else index arrays for all axes."""
        specs: list[tuple[str, Size, Size, int]] = []
        args = [base]
        axes: list[Label] = []
        arrays = 0
        for index, size in zip(indices, shape, strict=True):
            if isinstance(index, Label):
                specs.append(("whole" if index.size == size else "slice", index.size, size, 1))
                if index.size != size:
                    args.append(self.show(self.table.zero))
                axes.append(index)
                continue
            step, start = self._affine(index)
            if not index.free:
                specs.append(("at", 1, size, 1))
                args.append(self.show(index))
            elif step and len(index.free) == 1:
                specs.append(("slice", index.free[0].size, size, step))
                args.append(self.show(start))
                axes.append(index.free[0])
            elif not self.general and isinstance(index, Add) and sum(isinstance(t, Position) for _, t in index.items) > 1:
                raise NoNotationError("a sum of indices")
            else:
                arrays += 1
                args.append(self.show(index, tuple(label for label in order if label in index.free)))
                axes += args[-1].axes
                specs.append(("array", 1, size, 1))
        if len(set(axes)) == len(axes) and arrays <= 1 and not (arrays and any(s[0] == "at" for s in specs)):
            return self.oriented(make("take", args, tuple(axes), tuple(specs)), order)
        places = tuple(label for label in order if any(label in self._free(i) for i in indices))
        spread = [self.aligned(self.show(self.table.as_term(i), order), places) for i in indices]
        return make("gather", [base, *spread], places)

    def _free(self, index: Index) -> tuple[Label, ...]:
        return (index,) if isinstance(index, Label) else index.free

    def _affine(self, index: Term) -> tuple[int, Term]:
        """`(step, start)` of an index start + step * label; step 0 where it has no such form."""
        items = index.items if isinstance(index, Add) else (self.table.unit(index),)
        ramps = [(c, t) for c, t in items if isinstance(t, Position)]
        rest = self.table.add(*(self.table.number(c) * t for c, t in items if not isinstance(t, Position)))
        if len(ramps) == 1 and not rest.free and ramps[0][0].denominator == 1:
            return int(ramps[0][0]), rest
        return 0, rest

    def aligned(self, shown: Shown, axes: Order) -> Shown:
        if len(axes) > 2 and shown.axes and shown.axes != axes and not self.general:
            raise NoNotationError("arrays of more than two axes, broadcast")
        return super().aligned(shown, axes)

    def oriented(self, shown: Shown, order: Order) -> Shown:
        """An array with its axes in the order that is asked for."""
        axes = tuple(label for label in order if label in shown.axes)
        if axes == shown.axes:
            return shown
        if len(axes) == 2:
            return transpose(shown)
        if not self.general:
            raise NoNotationError("an order of axes")
        return make("permute", [shown], axes, tuple(shown.axes.index(label) for label in axes))

    def whole(self, term: Term, labels: Order) -> Shown:
        """An array with all of the axes, also those along which it is constant."""
        return self.filled(self.show(term, labels), labels)

    def filled(self, shown: Shown, labels: Order) -> Shown:
        """An array with all of these axes, repeated along those that it has not."""
        if shown.axes == tuple(labels):
            return shown
        if shown.axes and len(labels) > 2 and not self.general:
            raise NoNotationError("a repeated array")
        return make("full", [shown], labels)

    def reduce(self, term: Reduce, order: Order) -> Shown:
        labels = (*(label for label in order), *(label for label in term.bound if label not in term.body.free))
        body = self.whole(term.body, tuple(dict.fromkeys((*term.body.free, *labels)))) if labels else self.show(
            term.body, term.body.free)
        return self.along(body, term.bound, order, ("reduce", term.function))

    def along(self, body: Shown, bound: Sequence[Label], order: Order, data: object) -> Shown:
        """A reduction of an array over some of its axes."""
        rest = tuple(label for label in body.axes if label not in bound)
        places = None if not rest else tuple(body.axes.index(b) for b in bound)
        return self.oriented(make("along", [body], rest, (data, places)), order)

    def call(self, term: Call, order: Order) -> Shown:
        base = self.array(term)
        return self._symmetric(base, term, order) or self.indexed(base, term.shape, term.indices, order) if term.indices else base

    def array(self, term: Call) -> Shown:
        """A function of whole arrays, all of it."""
        product = self._kronecker(term) if term.function.name == "reshape" else None
        if product is not None:
            return product
        if term.function.name == "concatenate" and all([label.size for label in a.labels] == [1] for a in term.arrays):
            return make("call", [self.show(a.body) for a in term.arrays], (), (LIST, ()))
        args = [self.whole(a.body, a.labels) for a in term.arrays]
        return make("call", args, (), (term.function, term.params))

    def apply(self, term: Apply, order: Order) -> Shown:
        """A function of numbers; a matrix that is zero on one side of a diagonal is a triangle of one that is not."""
        if term.function.name == "where" and len(order) == 2 and self.table.zero in term.args[1:]:
            condition, yes, no = term.args
            found = self._side(condition, order)
            if found is not None:
                lower, offset = found if no is self.table.zero else (not found[0], found[1] + (1 if found[0] else -1))
                inside = self.whole(yes if no is self.table.zero else no, order)
                return make("call", [inside], order, (triangle(lower, offset), (offset,) if offset else ()))
        return super().apply(term, order)

    def _side(self, condition: Term, order: Order) -> tuple[bool, int] | None:
        """`(lower, k)` of the condition that a place of a matrix is in its lower (upper) triangle up to (from) diagonal k."""
        if not (isinstance(condition, Apply) and condition.function.name in ("lt", "le", "gt", "ge")):
            return None
        difference = condition.args[0] - condition.args[1]
        items = {t: c for c, t in difference.items} if isinstance(difference, Add) else {}
        row, column = (items.pop(self.table.position(label), None) for label in order)
        start = items.pop(self.table.one, Fraction(0))
        if items or row is None or column not in (1, -1) or row != -column or start.denominator != 1:
            return None
        less, strict = condition.function.name in ("lt", "le"), condition.function.name in ("lt", "gt")
        lower = less == (column > 0)  # column - row <= k
        return lower, int(-start * column) + (0 if not strict else -1 if lower else 1)

    def _kronecker(self, term: Call) -> Shown | None:
        """A product of two matrices without common labels, its axes merged in pairs."""
        pairs, body = kronecker_axes(term), term.arrays[0].body
        if pairs is None or not isinstance(body, Mul):
            return None
        left: list[tuple[Term, Term]] = []
        mine = set(pairs[0])
        right = list(body.factors)
        while True:
            found = [f for f in right if mine & {label for t in f for label in t.free}]
            if not found:
                break
            left += found
            right = [f for f in right if f not in found]
            mine |= {label for f in found for t in f for label in t.free}
        if mine & set(pairs[1]) or not right:
            return None
        parts = [(left, [label for label in body.bound if label in mine], pairs[0]),
                 (right, [label for label in body.bound if label not in mine], pairs[1])]
        made = [self.table.mul(*(self.table.power(b, e) for b, e in factors), bound=bound) for factors, bound, _ in parts]
        made[0] = self.table.mul(self.table.number(body.coefficient), made[0])
        return make("call", [self.whole(t, axes) for t, (_, _, axes) in zip(made, parts, strict=True)], (), (KRONECKER, ()))

    # ------------------------------------------------------------------------------------------ products
    def power(self, base: Term, exponent: Term, order: Order) -> Shown:
        """Powers; the root of a sum of squares is a norm."""
        if isinstance(base, Mul) and base.bound and isinstance(exponent, Number) and exponent.value.denominator == 2:
            norm = self._norm(base, order)
            if norm is not None:
                power = self.table.number(exponent.value * 2)
                return norm if power is self.table.one else make("power", [norm, self.show(power)], norm.axes)
        return super().power(base, exponent, order)

    def _norm(self, base: Mul, order: Order) -> Shown | None:
        halves = [self.table.number(e.value / 2) for _, e in base.factors if isinstance(e, Number) and e.value % 2 == 0]
        inside = self.table.make_mul(Fraction(1), (), tuple((b, e) for (b, _), e in zip(base.factors, halves, strict=False)))
        apart = [label for label in base.bound if all({*b.free} in ({label}, {*b.free} - {label}) for b, _ in base.factors)]
        if len(halves) == len(base.factors) and base.coefficient == 1 and len(apart) == len(base.bound) > 1 and not base.free:
            norms = [self.along(self.elements(Fraction(1), [(b, h) for (b, _), h in zip(base.factors, halves, strict=True)
                                                           if label in b.free], (label,)), [label], order, "norm") for label in apart]
            return product(Fraction(1), norms, (), ())
        if len(halves) < len(base.factors) or base.coefficient != 1 or not set(base.bound) <= set(inside.free):
            return None
        if len(inside.free) > 2 or (base.free and len(base.bound) > 1):
            return None
        rows = tuple(sorted(inside.free, key=lambda label: label in base.bound))
        body = min((self.show(inside, axes) for axes in (rows, rows[::-1])), key=lambda s: s.cost)
        return self.along(body, base.bound, order, "norm")

    def mul(self, term: Mul, order: Order) -> Shown:
        labels = {frozenset(label for t in pair for label in t.free) for pair in term.factors} - {frozenset()}
        if not term.bound and len(labels) <= 1:
            return self.elements(term.coefficient, term.factors, order)
        if not term.bound and any(self._is_repeated(b, e) for b, e in term.factors):
            if self._broadcasts(term, order) or any(isinstance(b, Add) and is_deviation(b) for b, _ in term.factors):
                return self.elements(term.coefficient, term.factors, order)
            parts = self._distributed(term)
            if parts is not None:
                return self.show(parts, order)
        try:
            return Network(self, term, order).shown()
        except NoNotationError:
            addends = self._distributed(term)
            if addends is not None:
                try:
                    return self.show(addends, order)
                except NoNotationError:
                    if not self.general:
                        raise
            if self.general:
                return Network(self, term, order).einsum()
            raise

    def _is_repeated(self, base: Term, exponent: Term) -> bool:
        """Whether a factor is a matrix to which vectors are added: times a vector, each addend has a notation of its own."""
        few = isinstance(base, Add) and exponent is self.table.one and len(base.items) <= MOST_ADDENDS
        return few and len(base.free) == 2 and any(len(t.free) == 1 for _, t in base.items)  # type: ignore[attr-defined]

    def _broadcasts(self, term: Mul, order: Order) -> bool:
        """Whether all that is not a matrix in an elementwise product stands for rows, which need no mark."""
        addends = [t for b, _ in term.factors for t in (b.parts() if isinstance(b, Add) else (b,))]
        return all(t.free in ((), order[-1:]) or {*t.free} == {*order} for t in addends) and all(not e.free for _, e in term.factors)

    def _distributed(self, term: Mul) -> Term | None:
        """The sum of products over the widest factor that is a sum, None where there is none, or that would be long."""
        factors, bound = self.table.opened(term)
        sums = [b for b, e in factors if isinstance(b, Add) and e is self.table.one and 1 < len(b.items) <= MOST_ADDENDS]
        if not sums or term.weight > LARGEST:
            return None
        over = max(sums, key=lambda b: len(b.free))
        rest = [self.table.power(b, e) for b, e in factors if b is not over]
        front = self.table.number(term.coefficient)
        return self.table.add(*(self.table.mul(front, self.table.number(c), t, *rest, bound=bound) for c, t in over.items))

    def add(self, term: Add, order: Order) -> Shown:
        made = super().add(term, order)
        if not made.axes or made.kind != "add":
            return made
        addends: list[tuple[bool, Shown]] = []
        for sign, addend in zip(made.data, made.args, strict=True):  # a product that was multiplied out is a sum
            inner = addend.kind == "add" and addend.axes == made.axes
            addends += [(sign != s, a) for s, a in zip(addend.data, addend.args, strict=True)] if inner else [(sign, addend)]
        for k, (sign, addend) in enumerate(addends):  # M + M.T rather than M.T + M
            plain = next((j for j in range(k + 1, len(addends)) if addends[j] == (sign, _untransposed(addend, addends[j][1]))), None)
            if plain is not None:
                addends[k], addends[plain] = addends[plain], addends[k]
        signs, args = zip(*addends, strict=True)
        return factored(signs, args, made.axes) or make("add", args, made.axes, signs)


def _untransposed(shown: Shown, other: Shown) -> Shown | None:
    """`other`, if `shown` is its transpose."""
    return other if shown.kind == "transpose" and key(shown.args[0]) == key(other) else None
