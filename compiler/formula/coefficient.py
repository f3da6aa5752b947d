"""The coefficient of a direction in a term that is linear in it: how a Jacobian is read off a tangent program."""
from __future__ import annotations

from collections.abc import Sequence

from ..errors import NotYetError
from ..op import get
from .algebra import Table
from .terms import Add, Apply, At, Call, Label, Mul, Term, postorder

__all__ = ["coefficient"]


def coefficient(table: Table, term: Term, name: str, indices: Sequence[Label]) -> Term:
    """`c` with `term = sum over indices of c * name[indices]`."""
    return table.add(*_Coefficient(table, term, name, tuple(indices)).of(term))


class _Coefficient:
    def __init__(self, table: Table, term: Term, name: str, indices: tuple[Label, ...]) -> None:
        self.table = table
        self.name = name
        self.indices = indices
        self.linear = _containing(term, name)
        self.done: dict[Term, list[Term]] = {}

    def of(self, root: Term) -> list[Term]:
        """The addends of a term's coefficient."""
        for term in postorder([root], lambda t: t in self.linear):
            if term not in self.done:
                self.done[term] = self._of(term)
        return self.done.get(root, [])

    def _of(self, term: Term) -> list[Term]:
        table = self.table
        match term:
            case At():
                return [table.mul(*(table.delta(i, k) for i, k in zip(self.indices, term.indices, strict=True)))]
            case Add():
                return [table.number(c) * part for c, t in term.items if t in self.linear for part in self.done[t]]
            case Mul():
                return self._of_product(term)
            case Apply() if term.function.name == "where":
                condition, yes, no = term.args
                here = table.indicator(condition)
                return [here * p for p in self.done.get(yes, [])] + [(1 - here) * p for p in self.done.get(no, [])]
            case Call() if term.function.name in _CALLS:
                return self._of_call(term)
        what = term.function.name if isinstance(term, Apply | Call) else type(term).__name__
        raise NotYetError(f"the formula of a Jacobian through {what} cannot be written yet; .jacobian(...) gives its numbers")

    def _of_product(self, term: Mul) -> list[Term]:
        table = self.table
        factors, bound = table.opened(term)
        found = []
        for k, (base, _) in enumerate(term.factors):
            if base not in self.linear:
                continue
            rest = [table.power(b, e) for j, (b, e) in enumerate(factors) if j != k]
            renamed = dict(zip(term.bound, bound, strict=True))
            parts = [table.substitute(p, renamed) for p in self.done[base]]
            found += [table.mul(table.number(term.coefficient), p, *rest, bound=bound) for p in parts]
        return found

    def _of_call(self, term: Call) -> list[Term]:
        """The call as a sum over its array's elements, each times what says which element it takes."""
        table = self.table
        found = []
        for k, array in enumerate(term.arrays):
            inner = [table.fresh(label.size) for label in array.labels]
            renamed = dict(zip(array.labels, inner, strict=True))
            weight = _CALLS[term.function.name](table, term, k, inner)
            found += [table.mul(weight, table.substitute(p, renamed), bound=inner) for p in self.of(array.body)]
        return found


def _running(table: Table, term: Call, position: int, inner: Sequence[Label]) -> Term:
    (axis,) = term.params
    weight = []
    for k, (index, label) in enumerate(zip(term.indices, inner, strict=True)):
        place = table.as_term(index)
        weight.append(table.indicator(table.apply("le", (table.position(label), place))) if k == axis
                      else table.delta(label, index))
    return table.mul(*weight)


def _reshaped(table: Table, term: Call, position: int, inner: Sequence[Label]) -> Term:
    def flat(indices: Sequence[Term], shape: Sequence[object]) -> Term:
        total = table.zero
        for index, size in zip(indices, shape, strict=True):
            total = total * table.size(size) + index  # type: ignore[arg-type]
        return total

    here = flat([table.position(label) for label in inner], [label.size for label in inner])
    there = flat([table.as_term(i) for i in term.indices], term.shape)
    return table.indicator(table.apply(get("eq"), (here, there)))


def _joined(table: Table, term: Call, position: int, inner: Sequence[Label]) -> Term:
    (axis,) = term.params
    start = table.add(*(table.size(a.labels[axis].size) for a in term.arrays[:position]))
    own = [label if k != axis else start if label.size == 1 else table.index(start + table.position(label))
           for k, label in enumerate(inner)]
    return table.mul(*(table.delta(index, i) for index, i in zip(term.indices, own, strict=True)))


_CALLS = {"cumsum": _running, "reshape": _reshaped, "concatenate": _joined}


def _containing(root: Term, name: str) -> set[Term]:
    found: set[Term] = set()
    for term in postorder([root]):
        if (isinstance(term, At) and term.name == name) or any(p in found for p in term.parts()):
            found.add(term)
    return found
