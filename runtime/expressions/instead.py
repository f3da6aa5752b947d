"""SymPy expressions in terms of others that are computed, and why some are not computed at all."""
from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["NO_LIMITS", "instead", "refusal"]

MOST_TERMS = 10_000  # of a sum whose limits depend on another's index, which is written out

NO_LIMITS = ("its limits are no whole numbers, and it has no closed form that SymPy knows", "substitute numbers for them (expr.subs)")
_DO_IT = "call .doit() on it first"


def instead(node: Any) -> Any:
    """An expression of the same value that is computed where this one is not; None where there is none, or none is needed."""
    kind: Any = type(node)
    rule = _rule(kind)
    found = None if rule is None else rule(node)
    return None if found is None or found == node else found


@cache
def refusal(kind: Any) -> tuple[str, str] | None:
    """(why, what to do) of a class of expressions that have no value here; None of any other."""
    import sympy

    if issubclass(kind, sympy.Integral):
        return "an Integral is no value yet", f"{_DO_IT}, or write it as a sum over points"
    if issubclass(kind, sympy.Derivative | sympy.Limit | sympy.Subs):
        return f"a {kind.__name__} is no value yet", _DO_IT
    if issubclass(kind, sympy.hyper | sympy.meijerg):
        return f"{kind.__name__} of these parameters has no numerical function here", "write it with other functions (sympy.hyperexpand)"
    if kind is type(sympy.zoo):
        return "it is no real number", "check the expression"
    if kind is sympy.DiracDelta:
        return "it has no values", "integrate over it first"
    if kind is type(sympy.I) or kind.__name__ in _COMPLEX:
        return f"{kind.__name__} is complex, and there are real numbers only", "take real and imaginary parts by hand (expr.as_real_imag())"
    return None


@cache
def _rule(kind: Any) -> Callable[[Any], Any] | None:
    return next((made for base, made in _table() if issubclass(kind, base)), None)


_COMPLEX = ("hankel1", "hankel2", "hn1", "hn2", "Ynm", "Znm", "exp_polar", "polar_lift", "principal_branch", "periodic_argument")


# ------------------------------------------------------------------------------------------------ what is written otherwise
def _done(node: Any) -> Any:
    return node.doit()


def _derived(node: Any) -> Any:
    """A derivative or a substitution carried out; None where a function is unknown."""
    import sympy

    made = node.doit(deep=False) if isinstance(node, sympy.Derivative) else node.doit()
    return None if made.has(type(node)) else made


def _summed(node: Any) -> Any:
    """A sum or product whose limits are no whole numbers: in closed form, or written out where only another index is in them."""
    import sympy

    if all(low.is_Integer and high.is_Integer for _, low, high in node.limits):
        return None
    indices = {symbol for symbol, _, _ in node.limits}
    inner = [limit for limit in node.limits if limit[1].free_symbols & indices or limit[2].free_symbols & indices]
    outer = [limit for limit in node.limits if limit not in inner]
    if inner and outer and all(low.is_Integer and high.is_Integer for _, low, high in outer):
        return _written_out(node)
    made = node.doit()
    if isinstance(made, sympy.Piecewise) and not made.args[0][0].has(type(node)):  # where it converges
        made = made.replace(type(node), lambda *_: sympy.nan)
    return None if made.has(sympy.Sum, sympy.Product) else made


def _written_out(node: Any) -> Any:
    """The terms, outer indices first."""
    import sympy

    terms = [(node.function, list(node.limits))]
    done = []
    while terms:
        body, limits = terms.pop()
        if not limits:
            done.append(body)
            continue
        symbol, low, high = limits[-1]
        if not (low.is_Integer and high.is_Integer) or len(terms) + len(done) + int(high - low) > MOST_TERMS:
            return None
        for k in range(int(low), int(high) + 1):
            terms.append((body.xreplace({symbol: sympy.Integer(k)}),
                          [(s, a.xreplace({symbol: sympy.Integer(k)}), b.xreplace({symbol: sympy.Integer(k)})) for s, a, b in limits[:-1]]))
    return (sympy.Add if isinstance(node, sympy.Sum) else sympy.Mul)(*done)


def _hyper(node: Any) -> Any:
    """0F1, 1F1 and 2F1 as functions that are called by their parameters."""
    import sympy

    name = {(0, 1): "hyp0f1", (1, 1): "hyp1f1", (2, 1): "hyp2f1"}.get((len(node.ap), len(node.bq)))
    if name is None:
        made = sympy.hyperexpand(node)
        return None if made.has(sympy.hyper) else made
    return _Known(name)(*node.ap, *node.bq, node.argument)


@cache
def _Known(name: str) -> Any:
    """SymPy's undefined function of this name, which is read as the one in the table of functions."""
    import sympy

    return sympy.Function(f"chainrule.{name}")


def _polylogarithm(node: Any) -> Any:
    import sympy

    order, x = node.args
    if order == 2:
        return _Known("dilog")(x)
    made = sympy.expand_func(node)
    return None if made.has(sympy.polylog) else made


def _angle(node: Any) -> Any:
    import sympy

    (x,) = node.args
    return sympy.Piecewise((sympy.pi, x < 0), (0, x >= 0), (sympy.nan, True))


def _explicit(node: Any) -> Any:
    """Its elements, where there are not too many."""
    if not all(getattr(size, "is_Integer", isinstance(size, int)) for size in node.shape) or math.prod(map(int, node.shape)) > MOST_TERMS:
        return None
    return node.as_explicit()


def _odd(conditions: Any) -> Any:
    """Whether an odd number of them holds."""
    import sympy

    made = conditions[0]
    for condition in conditions[1:]:
        made = sympy.Or(sympy.And(made, sympy.Not(condition)), sympy.And(sympy.Not(made), condition))
    return made


def _rewritten(target: str) -> Callable[[Any], Any]:
    def rewritten(node: Any) -> Any:
        import sympy

        made = node.rewrite(getattr(sympy, target))
        return None if made.has(type(node)) else made

    return rewritten


@cache
def _table() -> tuple[tuple[Any, Callable[[Any], Any]], ...]:
    import sympy
    from sympy.functions.special.hyper import HyperRep
    from sympy.matrices.expressions.applyfunc import ElementwiseApplyFunction
    from sympy.tensor.array.expressions.array_expressions import _ArrayExpr

    return (
        *((kind, _explicit) for kind in (ElementwiseApplyFunction, sympy.FunctionMatrix, sympy.PermutationMatrix, _ArrayExpr)),
        (sympy.Subs, _derived), (sympy.Derivative, _derived), (sympy.Sum, _summed), (sympy.Product, _summed),
        (sympy.hyper, _hyper), (sympy.polylog, _polylogarithm),
        (sympy.meijerg, lambda node: _without(sympy.hyperexpand(node), sympy.meijerg)),
        (HyperRep, lambda node: node.rewrite("nonrep")),
        (sympy.arg, _angle), (sympy.re, lambda node: node.args[0]), (sympy.conjugate, lambda node: node.args[0]),
        (sympy.adjoint, lambda node: node.args[0]), (sympy.transpose, lambda node: node.args[0]), (sympy.im, lambda node: 0 * node.args[0]),
        (sympy.erf2, lambda node: sympy.erf(node.args[1]) - sympy.erf(node.args[0])),
        (sympy.trigamma, lambda node: sympy.polygamma(1, *node.args)),
        (sympy.factorial2, _rewritten("gamma")), (sympy.catalan, _rewritten("gamma")),
        (sympy.fibonacci, _rewritten("sqrt")), (sympy.lucas, _rewritten("sqrt")), (sympy.bernoulli, _rewritten("zeta")),
        (sympy.riemann_xi, _rewritten("zeta")),
        (sympy.chebyshevt_root, lambda node: sympy.cos(sympy.pi * (2 * node.args[1] + 1) / (2 * node.args[0]))),
        (sympy.chebyshevu_root, lambda node: sympy.cos(sympy.pi * (node.args[1] + 1) / (node.args[0] + 1))),
        (sympy.Xor, lambda node: _odd(node.args)), (sympy.Implies, lambda node: sympy.Or(sympy.Not(node.args[0]), node.args[1])),
        (sympy.Equivalent, lambda node: sympy.Or(sympy.And(*node.args), sympy.And(*map(sympy.Not, node.args)))),
        (sympy.LeviCivita, _done), (sympy.SingularityFunction, _rewritten("Piecewise")),
        (sympy.Contains, lambda node: node.args[1].as_relational(node.args[0])),
        (sympy.multigamma, _done),
    )


def _without(made: Any, kind: Any) -> Any:
    return None if made.has(kind) else made
