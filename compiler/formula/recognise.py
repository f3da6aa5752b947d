"""Compositions that have a name: softmax, log-sum-exp."""
from __future__ import annotations

from fractions import Fraction

from ..op import Names
from .algebra import Table
from .identities import total_of_exponentials
from .terms import Add, Apply, Delta, Index, Label, Lambda, Mul, Number, Presented, Term, postorder

__all__ = ["CLIP", "KRONECKER", "LIST", "LOGSUMEXP", "SOFTMAX", "clip", "recognised", "triangle"]

SOFTMAX = Presented("softmax", Names("", r"\operatorname{{softmax}}\left({0}\right)", "softmax({0})", "special.softmax({0})"),
                    ("axis",))
LOGSUMEXP = Presented("logsumexp", Names("", r"\operatorname{{logsumexp}}\left({0}\right)", "logsumexp({0})",
                                         "special.logsumexp({0})"), ("axis",))


CLIP = Presented("clip", Names("", r"\operatorname{{clip}}\left({0}, {1}, {2}\right)", "clip({0}, {1}, {2})", "np.clip({0}, {1}, {2})",
                               meaning=lambda m, x, low, high: m.Min(m.Max(x, low), high)))
KRONECKER = Presented("kron", Names("", r"{0} \otimes {1}", "kron({0}, {1})", "np.kron({0}, {1})"))
LIST = Presented("list", Names("", r"\left({0}\right)", "{0}", "np.array({0})"), arity=None)
_TRIANGLES = {(lower, k): Presented(name, Names("", rf"\operatorname{{{{{name}}}}}{below}\left({{0}}\right)", f"{name}({{0}}{more})",
                                               f"np.{name}({{0}}{more})"), ("k",) if k else ())
              for lower, name in ((True, "tril"), (False, "triu")) for k, below, more in ((False, "", ""), (True, "_{{{k}}}", ", {k}"))}


def triangle(lower: bool, offset: int) -> Presented:
    """The lower (upper) triangle of a matrix, up to (from) a diagonal."""
    return _TRIANGLES[lower, bool(offset)]


def clip(term: Apply) -> tuple[Term, Term, Term] | None:
    """`(x, low, high)` of min(max(x, low), high); the bounds are numbers, or the same for all elements of x."""
    names = ("minimum", "maximum")
    for inner, outer in (term.args, term.args[::-1]) if term.function.name in names else ():
        if not (isinstance(inner, Apply) and inner.function.name in names and inner.function is not term.function):
            continue
        x, bound = inner.args
        if isinstance(x, Number) or not {*x.free} >= {*bound.free}:
            x, bound = bound, x
        low, high = (bound, outer) if term.function.name == "minimum" else (outer, bound)
        numbers = isinstance(low, Number) and isinstance(high, Number)
        if (isinstance(low, Number) and isinstance(high, Number) and low.value <= high.value) or (
                not numbers and term.function.name == "minimum" and all({*b.free} < {*x.free} for b in (low, high))):
            return x, low, high
    return None


def recognised(table: Table, term: Term) -> Term:
    """The term with softmax and log-sum-exp by name; they are written so in matrix notation."""
    done: dict[Term, Term] = {}
    order = list(postorder([term]))
    if not any(total_of_exponentials(table, t) for t in order):
        return term
    for t in order:
        again = table.with_parts(t, done)
        with table.originating(table.origin(t)):
            if isinstance(again, Mul):
                again = _softmax(table, _spread(table, again))
            elif isinstance(again, Apply) and again.function.name == "log":
                again = _logsumexp(table, again)
        done[t] = table.inherit(again, t)
    return done[term]


def _call(table: Table, function: Presented, g: Term, over: Label, index: Index | None) -> Term:
    """`function` of the array g along one axis, at an index there (None: the axis is gone)."""
    labels = g.free
    axis = labels.index(over)
    indices = [index if label == over else label for label in labels if label != over or index is not None]
    shape = tuple(label.size for label in labels if label != over or index is not None)
    return table.call(function, [Lambda(labels, g)], (axis if len(labels) > 1 else None,), shape, indices)  # type: ignore[arg-type]


def _logsumexp(table: Table, term: Apply) -> Term:
    found = total_of_exponentials(table, term.args[0])
    if found is None:
        return term
    over, g = found
    fresh = table.fresh(over.size)
    return _call(table, LOGSUMEXP, table.substitute(g, {over: fresh}), fresh, None)


def _spread(table: Table, term: Mul) -> Term:
    """The product with e**g taken into a sum, of which an addend divides by e**g or by a sum of exponentials."""
    exponent = dict(term.factors).get(table.e)
    if exponent is None:
        return term
    for base, power in term.factors:
        if not (isinstance(base, Add) and power is table.one):
            continue
        divided = any(isinstance(t, Mul) and any(_divides(table, b, e, exponent) for b, e in t.factors) for _, t in base.items)
        if divided:
            inside = table.add(*(table.number(c) * _softmax(table, t * table.exp(exponent)) for c, t in base.items))
            rest = tuple(f for f in term.factors if f[0] is not base and f[0] is not table.e)
            if not term.bound and isinstance(inside, Add) and any(isinstance(b, Delta) for b, _ in rest):
                outside = table.make_mul(term.coefficient, (), rest)
                return table.add(*(table.number(c) * t * outside for c, t in inside.items))
            return table.make_mul(term.coefficient, term.bound, (*rest, (inside, table.one)))
    return term


def _divides(table: Table, base: Term, power: Term, exponent: Term) -> bool:
    if base is table.e:
        return power is -exponent
    return isinstance(power, Number) and power.value < 0 and total_of_exponentials(table, base) is not None


def _softmax(table: Table, term: Term) -> Term:
    """e**g(i) / sum_b e**g(b), as often as the product has it."""
    powers = dict(term.factors) if isinstance(term, Mul) else {}
    exponent = powers.get(table.e)
    if exponent is None or not isinstance(term, Mul):
        return term
    made: list[Term] = []
    for base, k in term.factors:
        found = total_of_exponentials(table, base)
        if found is None or not isinstance(k, Number):
            continue
        over, g = found
        left = k.value
        for label in exponent.free:
            if label.size != over.size:
                continue
            here = table.substitute(g, {over: label})
            while left <= -1 and _contains(exponent, here):
                exponent = table.add(exponent, -here)
                left += 1
                fresh = table.fresh(over.size)
                with table.originating(table.origin(table.exp(here) / base)):  # where it was written, whatever it is a factor of
                    made.append(_call(table, SOFTMAX, table.substitute(g, {over: fresh}), fresh, label))
        powers[base] = table.number(left)
    if not made:
        return term
    powers[table.e] = exponent
    rest = table.mul(table.number(term.coefficient), *(table.power(b, e) for b, e in powers.items()), *made)
    return table.mul(rest, bound=term.bound) if term.bound else rest


def _contains(exponent: Term, addend: Term) -> bool:
    """Whether all items of `addend` are in the sum, with a coefficient of the same sign and at least as large."""
    items = _items(exponent)
    return all(c * items.get(t, Fraction(0)) > 0 and abs(items[t]) >= abs(c) for t, c in _items(addend).items())


def _items(term: Term) -> dict[Term, Fraction]:
    pairs = term.items if isinstance(term, Add) else (term.table.unit(term),)
    return {t: c for c, t in pairs}
