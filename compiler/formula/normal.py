"""The normal distribution by its names: Phi is its distribution function, phi its density.

Where a program has Phi (as an error function of what is divided by sqrt(2)), formulas have phi of the same arguments, and other
exponentials that differ from phi of one of them by simpler ones are written by that one: S*phi(d1) is K*exp(-r*T)*phi(d2).
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from ..op import Names
from . import polynomial
from .algebra import Table
from .terms import Add, Apply, Mul, Number, Presented, Term, postorder

__all__ = ["arguments", "forms"]

PHI = Presented("Phi", Names("", r"\Phi\left({0}\right)", "Phi({0})", "special.ndtr({0})",
                             meaning=lambda m, x: (1 + m.erf(x / m.sqrt(2))) / 2))
DENSITY = Presented("phi", Names("", r"\varphi\left({0}\right)", "phi({0})", "(np.exp(-({0})**2/2)/np.sqrt(2*np.pi))",
                                 meaning=lambda m, x: m.exp(-x**2 / 2) / m.sqrt(2 * m.pi)))
_MOST = 4  # arguments of Phi that exponentials are compared with
_LARGEST = 1500  # the weight up to which a term is looked at


def arguments(table: Table, program: Sequence[Term]) -> list[Term]:
    """What Phi is taken of in a program; nothing where an argument has its name."""
    found = dict.fromkeys(-v if (v.items[0][0] if isinstance(v, Add) else table.unit(v)[0]) < 0 else v
                          for t in postorder(program) if (v := _argument(table, t)) is not None)
    return [] if {"Phi", "phi"} & {getattr(t, "name", "") for t in postorder(program)} else list(found)[:_MOST]


def forms(table: Table, term: Term, known: Sequence[Term]) -> Iterator[Term]:
    """The term with Phi and phi by name: all exponentials by one of the arguments, then each by the nearest."""
    if not known or term.weight > _LARGEST:
        yield term
        return
    for only in (*((v,) for v in known), known) if len(known) > 1 else (known,):
        table.effort = 0
        yield _named(table, term, only)


def _argument(table: Table, term: Term) -> Term | None:
    """The v of erf(v/sqrt(2)) or erfc(v/sqrt(2))."""
    if not isinstance(term, Apply) or term.function.name not in ("erf", "erfc") or not isinstance(term.args[0], Mul):
        return None
    root = [e for b, e in term.args[0].factors if isinstance(b, Number) and b.value == 2]
    halved = root and isinstance(root[0], Number) and root[0].value.denominator == 2
    return table.mul(table.sqrt(table.number(2)), term.args[0]) if halved else None


def _named(table: Table, term: Term, known: Sequence[Term]) -> Term:
    done: dict[Term, Term] = {}
    for t in postorder([term]):
        made = table.with_parts(t, done)
        with table.originating(table.origin(t)):
            v = _argument(table, made)
            if v is not None and isinstance(made, Apply):
                made = 2 * table.apply(PHI, (v,)) - 1 if made.function.name == "erf" else 2 * table.apply(PHI, (-v,))
            elif isinstance(made, Mul):
                made = _density(table, made, known)
            elif isinstance(made, Add) or (isinstance(made, Apply) and made.function.name == "log1p"):
                made = _complement(table, made)
        done[t] = table.inherit(made, t)
    return done[term]


def _complement(table: Table, term: Term) -> Term:
    """1 - Phi(v) as Phi(-v)."""
    if isinstance(term, Apply):
        inside = _complement(table, 1 + term.args[0])
        return table.log(inside) if isinstance(inside, Apply) else term
    by_term = {t: c for c, t in term.items}  # type: ignore[attr-defined]
    for t, c in by_term.items():
        if isinstance(t, Apply) and t.function is PHI and by_term.get(table.one) == -c:
            return term - table.number(-c) - table.number(c) * t - table.number(c) * table.apply(PHI, (-t.args[0],))
    return term


def _density(table: Table, term: Mul, known: Sequence[Term]) -> Term:
    """e**(-k*v**2/2 + rest) as (sqrt(2*pi)*phi(v))**k * e**rest, where the rest is shorter."""
    if not any(b is table.e for b, _ in term.factors):
        return term
    factors, bound = table.opened(term)
    exponent = dict(factors)[table.e]
    own = polynomial.expand(table, polynomial.of(table, exponent))
    if own is None:
        return term
    least, best = len(own), None
    for v in (_at(table, v, exponent) for v in known):
        for k in (1, 2):
            rest = polynomial.expand(table, polynomial.of(table, table.add(exponent, table.number(Fraction(k, 2)) * v**2)))
            if rest is not None and len(rest) < least:
                least, best = len(rest), (v, k, rest)
    if best is None:
        return term
    v, k, rest = best
    others = [table.power(b, e) for b, e in factors if b is not table.e]
    density = (table.sqrt(2 * table.pi) * table.apply(DENSITY, (v,))) ** k
    return table.mul(table.number(term.coefficient), *others, density, table.exp(polynomial.to_term(table, rest)), bound=bound)


def _at(table: Table, term: Term, other: Term) -> Term:
    """An element of an array at the indices of another one, if that has as many."""
    if [label.size for label in term.free] != [label.size for label in other.free]:
        return term
    return table.substitute(term, dict(zip(term.free, other.free, strict=True)))
