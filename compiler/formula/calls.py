"""Identities of functions of whole matrices: transposes, and inverses that meet what they are the inverse of."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..op import get
from ..sizes import Size
from .terms import Add, At, Call, Function, Index, Label, Lambda, Mul, Number, Term

if TYPE_CHECKING:
    from .algebra import Table

__all__ = ["collected", "factors_joined", "inverse_of_inverse", "inverses_cancelled", "is_symmetric", "oriented", "orthonormal",
           "piece", "swapped", "turns"]


def piece(table: Table, arrays: Sequence[Lambda], params: tuple[Any, ...], indices: Sequence[Index]) -> Term | None:
    """The element of the one of joined arrays that an index which is a number is in; None of an index or a length that is not."""
    (axis,) = params
    index = indices[axis] if indices else None
    start = 0
    for array in arrays if isinstance(index, Number) else ():
        length = array.labels[axis].size
        if not isinstance(length, int):
            return None
        if index.value < start + length:  # type: ignore[union-attr]
            own = [table.number(index.value - start) if k == axis else i for k, i in enumerate(indices)]  # type: ignore[union-attr]
            return table.substitute(array.body, dict(zip(array.labels, own, strict=True)))
        start += length
    return None


def turns(function: Function) -> bool:
    """Whether f(x transposed) is f(x) transposed."""
    return bool(getattr(function, "transposes", False))


def swapped(table: Table, array: Lambda) -> Lambda:
    """The transposed matrices: the last two axes exchanged."""
    *batch, rows, columns = array.labels
    body = table.substitute(array.body, {rows: columns, columns: rows})
    if rows.size == columns.size:
        return Lambda(array.labels, body)
    fresh = {rows: Label(rows.name, columns.size), columns: Label(columns.name, rows.size)}
    return Lambda((*batch, fresh[rows], fresh[columns]), table.substitute(array.body, {rows: fresh[columns], columns: fresh[rows]}))


def oriented(table: Table, function: Function, arrays: Sequence[Lambda], shape: tuple[Size, ...],
             indices: Sequence[Index]) -> tuple[Sequence[Lambda], tuple[Size, ...], Sequence[Index]]:
    """The arrays, shape and indices of a call, of an array that is not transposed."""
    labels, body = arrays[0]
    if not (isinstance(body, At | Call) and body.indices == (*labels[:-2], labels[-1], labels[-2])):
        return arrays, shape, indices
    if indices:
        shape, indices = (*shape[:-2], shape[-1], shape[-2]), [*indices[:-2], indices[-1], indices[-2]]
    return [swapped(table, arrays[0])], shape, indices


def is_symmetric(table: Table, array: Lambda) -> bool:
    """Whether the array is a symmetric matrix (or a stack of them)."""
    return array.labels[-1].size == array.labels[-2].size and collected(table, swapped(table, array).body) is array.body


def collected(table: Table, term: Term) -> Term:
    """The term with the bound labels of its products in canonical order: a mere exchange of labels leaves them as they were."""
    if isinstance(term, Add):
        return table.add(*(table.mul(table.number(c), collected(table, t)) for c, t in term.items))
    if not isinstance(term, Mul) or not term.bound:
        return term
    factors, bound = table.opened(term)
    return table.mul(table.number(term.coefficient), *(table.power(b, e) for b, e in factors), bound=bound)


def inverse_of_inverse(function: Function, array: Lambda) -> Call | None:
    """The call whose inverse is taken of an inverse."""
    body = array.body
    if function.name == "inverse" and isinstance(body, Call) and body.function is function and body.indices == array.labels:
        return body
    return None


# ------------------------------------------------------------------------------------------------ products
def inverses_cancelled(table: Table, powers: dict[Term, Term], bound: list[Label]) -> tuple[Label, Term] | None:
    """Take the inverse of a product of matrices, and a matrix that the product begins or ends with, out of a summed product.

    (A B)**-1 A = B**-1, and A**-1 A is the identity matrix; so is (A B)**-1 A B where A and B are not square.

    Returns:
        The bound label that is gone and the factor that is left; None where nothing cancels.
    """
    for term in powers:
        if isinstance(term, Call) and term.function.name == "inverse" and powers[term] is table.one and len(term.indices) == 2:
            for side in (1, 0):
                label = term.indices[side]
                if isinstance(label, Label) and label in bound and label != term.indices[1 - side]:
                    found = _cancelled(table, powers, term, side) or _whole_cancelled(table, powers, term, side, bound)
                    if found is not None:
                        return label, found
    return None


def factors_joined(table: Table, powers: dict[Term, Term], bound: Sequence[Label]) -> tuple[Label, Term] | None:
    """Take two Cholesky factors L of one matrix P, or their inverses, out of a summed product: L L.T = P, L**-T L**-1 = P**-1.

    One of L and one of P**-1 are L**-T.

    Returns:
        As `inverses_cancelled`.
    """
    for term in powers:
        found = _cholesky(term) if isinstance(term, Call) else None
        if found is None or not isinstance(term, Call):
            continue
        matrix, inverted = found
        left = None if inverted else _factor_of_inverse(table, powers, term, matrix)
        if left is not None and term.indices[0] in bound:
            return left
        own, shared = term.indices[::-1] if inverted else term.indices
        others = [t for t in powers if shared in t.free or shared in powers[t].free]
        if not isinstance(shared, Label) or shared not in bound or sum(_times(powers[t]) for t in others) != 2:
            continue
        other = others[-1] if others[0] is term else others[0]
        if not isinstance(other, Call) or _cholesky(other) != found or other.indices[0 if inverted else 1] != shared:
            continue
        indices = [own, other.indices[1 if inverted else 0]]
        for t in others:
            del powers[t]
        if not inverted:
            return shared, table.substitute(matrix.body, dict(zip(matrix.labels, indices, strict=True)))
        return shared, table.call(get("inverse"), [matrix], (), term.shape, indices, symmetric=True)
    return None


def _factor_of_inverse(table: Table, powers: dict[Term, Term], factor: Call, matrix: Lambda) -> tuple[Label, Term] | None:
    """L.T P**-1 = L**-1 at the row of L, in place, where nothing else has it."""
    shared, own = factor.indices
    others = [t for t in powers if t is not factor and (shared in t.free or shared in powers[t].free)]
    if not isinstance(shared, Label) or len(others) != 1 or {powers[factor], powers[others[0]]} != {table.one}:
        return None
    (other,) = others
    if not (isinstance(other, Call) and other.function.name == "inverse" and other.arrays[0] == matrix and other.symmetric):
        return None
    del powers[factor], powers[other]
    labels = tuple(table.fresh(size) for size in factor.shape)
    whole = Lambda(labels, table.call(factor.function, factor.arrays, factor.params, factor.shape, labels))
    last = other.indices[1 if other.indices[0] == shared else 0]
    return shared, table.call(other.function, [whole], other.params, factor.shape, [own, last])


def _times(exponent: Term) -> int:
    """How often a factor occurs; 3 where that is not once or twice."""
    return int(exponent.value) if isinstance(exponent, Number) and exponent.value in (1, 2) else 3


def orthonormal(table: Table, powers: dict[Term, Term], bound: Sequence[Label]) -> tuple[Label, Term] | None:
    """Take a matrix of orthonormal rows or columns, and the same matrix, out of a product that sums over the other index.

    Returns:
        As `inverses_cancelled`.
    """
    for term in powers:
        kind = getattr(getattr(term, "function", None), "orthonormal", "")
        if not kind or not isinstance(term, Call) or powers[term] is not table.one:
            continue
        for own, summed in {"rows": [(-2, -1)], "columns": [(-1, -2)], "both": [(-2, -1), (-1, -2)]}[kind]:
            shared = term.indices[summed]
            if not isinstance(shared, Label):
                continue
            others = [t for t in powers if t is not term and (shared in t.free or shared in powers[t].free)]
            if shared not in bound or len(others) != 1 or powers[others[0]] is not table.one:
                continue
            (other,) = others
            if not isinstance(other, Call) or (other.function, other.arrays, other.params) != (term.function, term.arrays, term.params):
                continue
            if (other.indices[:-2], other.indices[summed]) == (term.indices[:-2], shared):
                del powers[term], powers[other]
                return shared, table.delta(term.indices[own], other.indices[own])
    return None


def _cholesky(term: Call) -> tuple[Lambda, bool] | None:
    """The matrix whose Cholesky factor the term is an element of, and whether of the factor's inverse."""
    if len(term.indices) != 2:
        return None
    if term.function.name == "cholesky":
        return term.arrays[0], False
    labels, inside = term.arrays[0]
    if term.function.name == "inverse" and isinstance(inside, Call) and inside.function.name == "cholesky" and inside.indices == labels:
        return inside.arrays[0], True
    return None


def _cancelled(table: Table, powers: dict[Term, Term], inverse: Call, side: int) -> Term | None:
    """Cancel at one index of an inverse; `side` 1: the matrix begins with what the inverse's columns meet."""
    (array,) = inverse.arrays
    label, other = inverse.indices[side], inverse.indices[1 - side]
    others = [t for t in powers if t is not inverse and (label in t.free or label in powers[t].free)]
    if len(others) != 1 or powers[others[0]] is not table.one:
        return None
    ends = (array.labels[0], array.labels[1]) if side else (array.labels[1], array.labels[0])
    for first, inner, rest in _split(array.body, ends[0]):
        if inner.size != array.labels[0].size:
            continue  # what is left has no inverse
        for after in others[0].free:
            if after != label and table.substitute(first, {ends[0]: label, inner: after}) is others[0]:
                del powers[inverse], powers[others[0]]
                if rest is table.one:
                    return table.delta(after, other)
                left, indices = ((inner, ends[1]), (other, after)) if side else ((ends[1], inner), (after, other))
                return table.call(inverse.function, [Lambda(left, rest)], inverse.params, inverse.shape, indices)
    return None


def _whole_cancelled(table: Table, powers: dict[Term, Term], inverse: Call, side: int, bound: list[Label]) -> Term | None:
    """Cancel an inverse of a product of two factors with both of them; the index between these goes as well."""
    (array,) = inverse.arrays
    label, other = inverse.indices[side], inverse.indices[1 - side]
    near, far = (array.labels[0], array.labels[1]) if side else (array.labels[1], array.labels[0])

    def alone(index: Index, *without: Term) -> Term | None:
        """The only other factor with the index."""
        found = [t for t in powers if t not in without and any(index in x.free for x in (t, powers[t]))]
        return found[0] if len(found) == 1 and powers[found[0]] is table.one else None

    one = alone(label, inverse)
    for first, inner, rest in _split(array.body, near) if one is not None else ():
        for between in [b for b in one.free if b in bound and b != label] if one is not None else ():
            if table.substitute(first, {near: label, inner: between}) is not one:
                continue
            last = alone(between, one)
            for end in last.free if last is not None else ():
                if end != between and last is not inverse and table.substitute(rest, {inner: between, far: end}) is last:
                    for t in (inverse, one, last):
                        del powers[t]
                    bound.remove(between)
                    return table.delta(end, other)
    return None


def _split(body: Term, end: Label) -> list[tuple[Term, Label, Term]]:
    """The ways to see a matrix as a matrix at one end times the rest: the first, the label between them, the rest (1: nothing)."""
    table = body.table
    if isinstance(body, Mul) and body.bound and body.coefficient == 1:
        found = []
        for k, (base, exponent) in enumerate(body.factors):
            rest = [f for j, f in enumerate(body.factors) if j != k]
            inner = [label for label in base.free if label in body.bound]
            alone = exponent is table.one and end in base.free and len(inner) == 1 and not any(end in t.free for f in rest for t in f)
            if alone:
                bound = [label for label in body.bound if label not in inner]
                found.append((base, inner[0], table.mul(*(table.power(b, e) for b, e in rest), bound=bound)))
        return found
    others = [label for label in body.free if label != end]
    return [(body, others[0], table.one)] if len(others) == 1 and isinstance(body, At | Call) else []
