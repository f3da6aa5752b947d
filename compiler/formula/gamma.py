"""The gamma function by its name: programs compute it as exp(lgamma(x)) with a sign, and without a value at its poles."""
from __future__ import annotations

from ..op import Names
from .algebra import Table
from .terms import Add, Apply, Mul, Number, Presented, Term, postorder
from .tidy import tidied

__all__ = ["with_gamma"]

GAMMA = Presented("gamma", Names("gamma", r"\Gamma\left({0}\right)", "gamma({0})", "special.gamma({0})"))


def with_gamma(table: Table, term: Term) -> Term:
    """The term with Gamma(u) for exp(lgamma(u)) times its sign."""
    if not any(_signed(t) for t in postorder([term])):
        return term
    done: dict[Term, Term] = {}
    for t in postorder([term := tidied(table, term)]):
        made = table.with_parts(t, done)
        with table.originating(table.origin(t)):
            if isinstance(made, Mul):
                made = _gammas(table, made)
            elif isinstance(made, Apply) and made.function.name == "where" and any(
                    isinstance(s, Apply) and s.function is GAMMA and _is_pole(made.args[0], s.args[0]) for s in postorder([made.args[2]])):
                made = made.args[2]
        done[t] = table.inherit(made, t)
    return done[term]


def _signed(term: Term) -> Term | None:
    """The u of where((u < 0) & (floor(u) mod 2 != 0), -1, 1)."""
    if not (isinstance(term, Apply) and term.function.name == "where"):
        return None
    condition, yes, no = term.args
    if not (isinstance(yes, Number) and isinstance(no, Number) and yes.value == -1 and no.value == 1 and isinstance(condition, Apply)
            and condition.function.name == "and_"):
        return None
    below = [c.args[0] for c in condition.args if isinstance(c, Apply) and c.function.name == "lt"]
    rounded = any(isinstance(t, Apply) and t.function.name == "floor" and t.args[0] in below for t in postorder([condition]))
    return below[0] if rounded else None


def _is_pole(condition: Term, u: Term) -> bool:
    """Whether it asks for u to be a whole number."""
    rounded = condition.table.apply("floor", (u,))
    return any(isinstance(c, Apply) and c.function.name == "eq" and {*c.args} == {u, rounded} for c in postorder([condition]))


def _gammas(table: Table, term: Mul) -> Term:
    powers = dict(term.factors)
    exponent = powers.get(table.e)
    made: list[Term] = []
    for base, e in term.factors if exponent is not None else ():
        u = _signed(base)
        if u is None or e is not table.one or exponent is None:
            continue
        logarithm = table.apply("lgamma", (u,))
        c = next((c for c, t in (exponent.items if isinstance(exponent, Add) else (table.unit(exponent),)) if t is logarithm), 0)
        if abs(c) == 1:
            del powers[base]
            exponent = exponent - table.number(c) * logarithm
            made.append(table.power(table.apply(GAMMA, (u,)), table.number(c)))
    if not made or exponent is None:
        return term
    powers[table.e] = exponent
    rest = (table.power(b, e) for b, e in powers.items())
    return table.mul(table.number(term.coefficient), *made, *rest, bound=term.bound)
