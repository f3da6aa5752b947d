"""Sums over products of three axes, such as squared distances of rows, get names: with these, matrix notation may say the rest."""
from __future__ import annotations

from .algebra import Table
from .calls import collected
from .terms import Add, At, Index, Label, Lambda, Mul, Number, Term, postorder, whole

__all__ = ["named_sums"]


def named_sums(table: Table, term: Term) -> tuple[Term, set[str]]:
    """The term with sums by name that have two axes, of factors with three; the names. They are definitions of the table."""
    names: dict[Term, str] = {}
    done: dict[Term, Term] = {}
    for t in postorder([term]):
        made = table.with_parts(t, done)
        while isinstance(made, Mul) and made.bound:
            shorter = _without_a_sum(table, names, made)
            if shorter is None:
                break
            made = shorter
        done[t] = made
    return done[term], set(names.values())


def _without_a_sum(table: Table, names: dict[Term, str], term: Mul) -> Term | None:
    """The product with one of its sums by name; None where there is none to name."""
    factors, bound = table.opened(term)
    for label in bound:
        inside = [f for f in factors if any(label in t.free for t in f)]
        axes = {k for f in inside for t in f for k in t.free} - {label}
        plain = all(isinstance(u, At | Add | Mul | Number) and not (isinstance(u, At) and u.name in table.definitions)
                    for u in postorder(t for f in inside for t in f))
        if len(axes) != 2 or not plain or all(len({*b.free, *e.free}) < 3 for b, e in inside):
            continue
        c, inner = table.unit(table.mul(*(table.power(b, e) for b, e in inside), bound=[label]))
        rest = [table.power(b, e) for f in factors if f not in inside for b, e in (f,)]
        return table.mul(table.number(c * term.coefficient), _named(table, names, inner), *rest, bound=[k for k in bound if k != label])
    return None


def _named(table: Table, names: dict[Term, str], inner: Term) -> Term:
    """The element of the named matrix that the sum is; a symmetric one is known as such."""
    first, second = inner.free
    rows, columns = Label("p0", first.size), Label("p1", second.size)
    straight: dict[Label, Index] = {first: rows, second: columns}
    body = _unsigned(table, collected(table, table.substitute(inner, straight)))
    if body in names:
        return table.at(names[body], (first, second))
    turned: dict[Label, Index] = {first: Label("p1", first.size), second: Label("p0", second.size)}
    other = _unsigned(table, collected(table, table.substitute(inner, turned)))
    if other in names:
        return table.at(names[other], (second, first))
    name = names[body] = f"@{len(table.definitions)}"
    table.definitions[name] = Lambda((rows, columns), body)
    if other is body:
        table.promises[name] = "symmetric"
    return table.tied(table.at(name, (first, second)), table.origin(inner))


def _unsigned(table: Table, term: Term) -> Term:
    """The term with the even powers of a sum and of its negative in one form."""
    if not isinstance(term, Mul):
        return term
    powers: dict[Term, Term] = {}
    for base, exponent in term.factors:
        even = isinstance(base, Add) and whole(exponent) and int(exponent.value) % 2 == 0  # type: ignore[attr-defined]
        powers[min(base, -base, key=_order) if even else base] = exponent
    return table.make_mul(term.coefficient, term.bound, tuple(powers.items()))


def _order(term: Term) -> list[tuple[list[str], bool]]:
    return sorted(([label.name for label in t.free], c < 0) for c, t in term.items) if isinstance(term, Add) else []
