"""Two triangles of one symmetric matrix, which a Cholesky factor's derivative takes apart, are the matrix again."""
from __future__ import annotations

from .algebra import Table
from .terms import Add, Apply, Label, Mul, Position, Term, postorder

__all__ = ["joined"]

MOST = 64  # addends of a sum that is multiplied out


def joined(table: Table, term: Term) -> Term:
    """sum_pq R(p,q) X(p,q) over p < q, and over p > q, is the sum over all p, q less that over p = q, of a symmetric X."""
    if not any(_triangle(table, t) for t in postorder([term])):
        return term
    items = _multiplied_out(table, term)
    if items is None:
        return term
    whole = table.add(*items)
    found = {t: c for c, t in whole.items} if isinstance(whole, Add) else {}
    met = False
    for t in list(found):
        if t not in found or not isinstance(t, Mul):
            continue
        parts = _upper(table, t)
        if parts is None:
            continue
        p, q, inside, rest, bound = parts
        swap = {p: q, q: p}
        turned = table.mul(table.substitute(inside, swap))  # in canonical names, as it would have been made
        if turned is not table.mul(inside):
            continue
        triangle = table.apply("where", (table.apply("lt", (table.position(p), table.position(q))), inside, table.zero))
        c, other = table.unit(table.mul(table.substitute(rest, swap), triangle, bound=bound))
        if other is t or found.get(other) != c * found[t]:
            continue
        share = table.number(found.pop(t))
        del found[other]
        both = table.mul(share, rest, inside, bound=bound)
        same = table.mul(share, rest, inside, table.delta(p, q), bound=bound)
        whole = table.add(*(table.mul(table.number(k), u) for u, k in found.items()), both, -same)
        found = {u: k for k, u in whole.items} if isinstance(whole, Add) else {u: k for k, u in (table.unit(whole),)}
        met = True
    return whole if met else term


def _triangle(table: Table, term: Term) -> bool:
    """Whether it is where(p < q, x, 0) of two indices."""
    return (isinstance(term, Apply) and term.function.name == "where" and term.args[2] is table.zero and isinstance(term.args[0], Apply)
            and term.args[0].function.name == "lt" and all(isinstance(a, Position) for a in term.args[0].args))


def _upper(table: Table, term: Mul) -> tuple[Label, Label, Term, Term, tuple[Label, ...]] | None:
    """`(p, q, X, R, bound)` of a sum over p < q, and maybe more, of R * X."""
    factors, bound = table.opened(term)
    found = [b for b, e in factors if _triangle(table, b) and e is table.one]
    if len(found) != 1:
        return None
    condition, inside, _ = found[0].parts()
    p, q = (a.label for a in condition.parts() if isinstance(a, Position))
    if p not in bound or q not in bound:
        return None
    rest = table.mul(*(table.power(b, e) for b, e in factors if b is not found[0]))
    return p, q, inside, rest, bound


def _multiplied_out(table: Table, term: Term) -> list[Term] | None:
    """The addends, products multiplied out over factors that have triangles in them; None of too many."""
    done: list[Term] = []
    left = [term]
    while left:
        t = left.pop()
        if isinstance(t, Add):
            left += [table.mul(table.number(c), u) for c, u in t.items]
            continue
        factors, bound = table.opened(t) if isinstance(t, Mul) else ([], ())
        sums = [b for b, e in factors if isinstance(b, Add) and e is table.one]
        over = next((b for b in sums if any(_triangle(table, u) for u in postorder([b]))), None)
        if over is None or not isinstance(t, Mul):
            done.append(t)
        else:
            rest = [table.number(t.coefficient), *(table.power(b, e) for b, e in factors if b is not over)]
            left += [table.mul(table.number(c), u, *rest, bound=bound) for c, u in over.items]
        if len(done) + len(left) > MOST:
            return None
    return done
