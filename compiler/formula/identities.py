"""Identities over the reals that bring what differentiation makes into the form that people write."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, TypeGuard

from ..op import Names
from .signs import is_integer, is_nonnegative, is_positive
from .terms import Add, Apply, At, Call, Function, Label, Mul, Number, Position, Presented, SizeTerm, Term, postorder

if TYPE_CHECKING:
    from .algebra import Table

HALF = Fraction(1, 2)

# The derivative of maximum(x, 0), with the value 1/2 at the kink that splitting ties gives it.
HEAVISIDE = Presented("heaviside", Names("Heaviside", r"\operatorname{{H}}\left({0}\right)", "heaviside({0}, 1/2)",
                                         numpy="np.heaviside({0}, 0.5)"))


# ------------------------------------------------------------------------------------------------ exponentials
def exponential(table: Table, exponent: Term) -> Term:
    """e**exponent, logarithms in the exponent taken out: e**(k*log(x) + y) = x**k * e**y, for any k."""
    outside: list[Term] = []
    inside: list[Term] = []
    for c, t in exponent.items if isinstance(exponent, Add) else (table.unit(exponent),):
        found = _logarithm(t)
        if found is not None:
            outside.append(table.power(found.args[0], table.mul(table.number(c), t, table.power(found, -table.one))))
        else:
            inside.append(table.mul(table.number(c), t))
    rest = table.add(*inside)
    if rest is not table.zero:
        outside.append(table.make_mul(Fraction(1), (), ((table.e, rest),)))
    return table.mul(*outside)


def _logarithm(term: Term) -> Apply | None:
    """The logarithm that is the term, or its only factor that is one."""
    factors = term.factors if isinstance(term, Mul) and not term.bound else ((term, term.table.one),)
    found = [b for b, e in factors if _is(b, "log")]
    return found[0] if len(found) == 1 and (found[0], term.table.one) in factors else None


def power_of_sum(table: Table, base: Term, exponent: Term) -> tuple[Term, Term] | None:
    """(1 + e**u)**-k = sigmoid(-u)**k, as (base, exponent)."""
    if isinstance(base, Add) and len(base.items) == 2 and isinstance(exponent, Number) and exponent.value < 0:
        by_term = {t: c for c, t in base.items}
        if by_term.pop(table.one, 0) == 1:
            ((t, c),) = by_term.items()
            if c == 1 and isinstance(t, Mul) and not t.bound and len(t.factors) == 1 and t.factors[0][0] is table.e:
                return table.apply("sigmoid", (-t.factors[0][1],)), -exponent
    return None


def _is_indicator(table: Table, term: Term) -> bool:
    """Whether it is 0 or 1, but for single points."""
    return isinstance(term, Apply) and (term.function is HEAVISIDE or (
        term.function.name == "where" and {term.args[1], term.args[2]} == {table.zero, table.one}))


def product(table: Table, powers: dict[Term, Term]) -> bool:
    """Products with steps and sigmoids, in place; whether one applied.

    max(x, 0) * heaviside(x) = max(x, 0), heaviside(x)**2 = heaviside(x), and sigmoid(-x) = e**-x * sigmoid(x) = 1 - sigmoid(x).
    """
    for base, k in powers.items():
        if _is(base, "maximum") and isinstance(k, Number) and k.value > 0 and table.zero in base.args:
            step = table.apply(HEAVISIDE, [a for a in base.args if a is not table.zero])
            if step in powers:
                del powers[step]
                return True
        if isinstance(k, Number) and k.value > 1 and _is_indicator(table, base):
            powers[base] = table.one
            return True
        if isinstance(base, Apply) and base.function is HEAVISIDE and _decides(table, powers, base):
            return True
        if _chooses(base) and k is table.one and _masked_once(table, powers, base):
            return True
        if not (_is(base, "sigmoid") and isinstance(k, Number) and k.value >= 1):
            continue
        x = base.args[0]
        if powers.get(table.e) is -x:
            del powers[table.e]
            other = table.apply("sigmoid", (-x,)) if k.value == 1 else table.one - base
            _put(table, powers, base, table.number(-1))
            _put(table, powers, other, table.one)
            return True
        other = table.apply("sigmoid", (-x,))
        if other in powers and _negative(table, x):
            _put(table, powers, table.one - other, powers.pop(base))
            return True
    return False


def _chooses(term: Term) -> TypeGuard[Apply]:
    """Whether it is where(c, x, 0)."""
    return _is(term, "where") and term.args[2] is term.table.zero


def _masked_once(table: Table, powers: dict[Term, Term], base: Apply) -> bool:
    """where(c, x, 0) * where(c, y, 0) = where(c, x*y, 0), in place; a matrix is a factor of its own."""
    condition, x, _ = base.args
    others = [t for t in powers if t is not base and _chooses(t) and t.args[0] is condition and powers[t] is table.one]
    if not others:
        return False
    (other, *_) = others
    y = other.args[1]
    if not _is_apart(x) and _is_apart(y):
        base, other, x, y = other, base, y, x
    del powers[base]
    if _is_apart(x):
        _put(table, powers, x, table.one)
    else:
        del powers[other]
        _put(table, powers, table.apply("where", (condition, x * y, table.zero)), table.one)
    return True


def _is_apart(term: Term) -> bool:
    return isinstance(term, At) and len(term.free) > 1


def choices_added(table: Table, items: dict[Term, Fraction]) -> None:
    """where(c, x, y) + where(c, z, w) = where(c, x + z, y + w), in place."""
    groups: dict[Term, list[Apply]] = {}
    for t in items:
        if _is(t, "where"):
            groups.setdefault(t.args[0], []).append(t)
    for condition, found in groups.items():
        if len(found) > 1:
            sums = [table.add(*(table.number(items[t]) * t.args[k] for t in found)) for k in (1, 2)]
            for t in found:
                del items[t]
            c, made = table.unit(table.apply("where", (condition, *sums)))
            for k, t in made.items if isinstance(made, Add) else ((Fraction(1), made),):
                items[t] = items.get(t, Fraction(0)) + k * c


def _decides(table: Table, powers: dict[Term, Term], step: Apply) -> bool:
    """Take max(a, b) for a, and min(a, b) for b, in the other factors of heaviside(a - b); whether there was one."""
    for base, k in list(powers.items()):
        for old in postorder([base]) if base is not step else ():
            if not (_is(old, "maximum") or _is(old, "minimum")):
                continue
            one, other = old.args
            above = one if one - other is step.args[0] else other if other - one is step.args[0] else None
            if above is not None:
                larger = old.function.name == "maximum"
                del powers[base]
                _put(table, powers, table.replace(base, {old: above if larger else one if above is other else other}), k)
                return True
    return False


def total_of_exponentials(table: Table, term: Term) -> tuple[Label, Term] | None:
    """`(b, g)` of sum_b e**g."""
    if isinstance(term, Mul) and len(term.bound) == 1 and term.coefficient == 1 and len(term.factors) == 1:
        base, exponent = term.factors[0]
        if base is table.e:
            return term.bound[0], exponent
    return None


def total_cancelled(table: Table, powers: dict[Term, Term], bound: Sequence[Label]) -> Label | None:
    """In a sum over i, t(i) / sum_b t(b) is taken out in place where nothing else depends on i; the label i that is gone."""
    for base, k in powers.items():
        if isinstance(base, Mul) and len(base.bound) == 1 and base.coefficient == 1 and isinstance(k, Number) and k.value <= -1:
            (over,) = base.bound
            for label in (own for own in bound if own.size == over.size):
                here = {table.substitute(b, {over: label}): e for b, e in base.factors}
                with_it = {b: e for b, e in powers.items() if label in b.free or label in e.free}
                if with_it == here and not any(label in e.free for e in here.values()):
                    for b in here:
                        del powers[b]
                    _put(table, powers, base, table.one)
                    return label
    exponent = powers.get(table.e)
    if exponent is None:
        return None
    for base, k in powers.items():
        found = total_of_exponentials(table, base) if isinstance(k, Number) and k.value <= -1 else None
        if found is None:
            continue
        over, g = found
        for label in bound:
            if label.size != over.size or any(label in b.free or label in e.free for b, e in powers.items() if b is not table.e):
                continue
            left = exponent - table.substitute(g, {over: label})
            if label in exponent.free and label not in left.free:
                _put(table, powers, base, table.one)
                powers[table.e] = left
                return label
    return None


def _put(table: Table, powers: dict[Term, Term], base: Term, exponent: Term) -> None:
    powers[base] = table.add(powers.get(base, table.zero), exponent)


def _negative(table: Table, x: Term) -> bool:
    """Whether x rather than -x is written with a minus sign in front."""
    return x.items[0][0] < 0 if isinstance(x, Add) else table.unit(x)[0] < 0


def _is(term: Term, name: str) -> TypeGuard[Apply]:
    return isinstance(term, Apply) and term.function.name == name


# ------------------------------------------------------------------------------------------------ functions
def _log(table: Table, x: Term) -> Term | None:
    if x is table.one:
        return table.zero
    if x is table.e:
        return table.one
    if isinstance(x, Mul) and not x.bound:
        outside = [e for b, e in x.factors if b is table.e]
        if outside and (x.coefficient > 0):
            return table.add(outside[0], table.apply("log", (table.mul(x, table.exp(-outside[0])),)))
        (_, first), *others = x.factors
        if others and first is not table.one and all(e is first for _, e in others) and all(is_positive(b) for b, _ in x.factors) \
                and x.coefficient == 1:
            return first * table.apply("log", (table.mul(*(b for b, _ in x.factors)),))
        if len(x.factors) == 1 and x.coefficient == 1:
            base, e = x.factors[0]
            if is_positive(base) or (isinstance(e, Number) and e.value.numerator % 2):
                return e * table.apply("log", (base,))
    return None


def _at_zero(value: int) -> Callable[[Table, Term], Term | None]:
    return lambda table, x: table.number(value) if x is table.zero else None


def _abs(table: Table, x: Term) -> Term | None:
    c, rest = table.unit(x)
    if isinstance(x, Number):
        return table.number(abs(x.value))
    if is_nonnegative(x) or is_nonnegative(-x):
        return x if is_nonnegative(x) else -x
    return None if c == 1 else table.number(abs(c)) * table.apply("abs", (rest,))


def _sign(table: Table, x: Term) -> Term | None:
    """1 or -1 where the argument cannot change its sign: formulas are for the generic point, not for zero."""
    if is_nonnegative(x) or is_nonnegative(-x):
        return table.one if is_nonnegative(x) else -table.one
    c, rest = table.unit(x)
    return None if c in (1, -1) else table.apply("sign", (rest if c > 0 else -rest,))


def _step(table: Table, x: Term) -> Term | None:
    """A step does not depend on the size of its argument."""
    c, rest = table.content(x) if isinstance(x, Add) else table.unit(x)
    return None if c in (1, -1) or not c else table.apply(HEAVISIDE, (rest if c > 0 else -rest,))


def _turns(table: Table, x: Term) -> Term | None:
    """The whole number n of x = n*pi."""
    if not any(t is table.pi or (isinstance(t, Mul) and any(b is table.pi for b, _ in t.factors))
               for t in ((t for _, t in x.items) if isinstance(x, Add) else (x,))):
        return None
    turns = x / table.pi
    return turns if is_integer(table, turns) else None


def _sin(table: Table, x: Term) -> Term | None:
    return table.zero if x is table.zero or _turns(table, x) is not None else None


def _cos(table: Table, x: Term) -> Term | None:
    turns = _turns(table, x)
    return table.one if x is table.zero else None if turns is None else table.power(-table.one, turns)


def _both(table: Table, a: Term, b: Term) -> Term | None:
    return a if a is b else None


def _or(table: Table, a: Term, b: Term) -> Term | None:
    if a is b:
        return a
    if table.false in (a, b):
        return b if a is table.false else a
    for x, y in ((a, b), (b, a)):
        if _is(x, "isnan") and (_is(y, "gt") or _is(y, "lt")):
            return y  # formulas are for numbers
    opposite = any(_is(x, "not_") and x.args[0] is y for x, y in ((a, b), (b, a)))
    return table.true if opposite or table.true in (a, b) else None


def _not(table: Table, a: Term) -> Term | None:
    if a in (table.true, table.false):
        return table.false if a is table.true else table.true
    return a.args[0] if _is(a, "not_") else None


def _and(table: Table, a: Term, b: Term) -> Term | None:
    if table.false in (a, b):
        return table.false
    for x, y in ((a, b), (b, a)):
        if _is(x, "not_") and _is(x.args[0], "lt") and _is(y, "eq") and {*x.args[0].args} == {*y.args}:
            return y  # what is equal is not less
        if _is(x, "not_") and _is(x.args[0], "isnan"):
            return y
    if _bound(a) and _bound(b):  # np.clip chose twice
        return table.apply("and_", (a.args[0], b.args[0]))  # type: ignore[attr-defined]
    for x, y in ((a, b), (b, a)):
        known = _where_known(table, y, x)
        if known is not y:
            return table.apply("and_", _from_below(x, known))
    return a if a is b or b is table.true else b if a is table.true else None


def _where(table: Table, c: Term, yes: Term, no: Term) -> Term | None:
    if isinstance(c, Number):
        return yes if c.value else no
    if c in (table.true, table.false):
        return yes if c is table.true else no
    if _is(c, "not_"):
        return table.apply("where", (c.args[0], no, yes))
    if _undefined(c):
        return no
    bound = _bound(c)
    if bound is not None:
        if bound[1] == (yes, no):
            return table.apply(*bound)
        if table.zero in (yes, no) and _is(c, "or_"):  # its derivative
            return table.apply("where", (c.args[0], yes, no))
    given = yes, no
    if _is(c, "lt") and all(isinstance(a, Position) for a in c.args):
        yes = _outside_triangles(table, yes, *(a.label for a in c.args if isinstance(a, Position)))
    same = _same_index(c)
    if same is not None:
        on = table.delta(*same)
        return on * yes + (1 - on) * no
    yes, no = _known(table, yes, c, 1), _known(table, no, c, 2)
    if yes is no:
        return no
    step = _heaviside(table, c, yes, no)
    if step is not None:
        return step
    if yes is table.zero and _is(no, "where") and no.args[2] is table.zero and (opposite := _opposite(table, c)) is not None:
        c, yes, no = opposite, no, table.zero
    if no is table.zero and _is(yes, "where") and yes.args[2] is no:
        inner, yes, _ = yes.args
        first, other = _where_known(table, c, inner), _where_known(table, inner, c)
        for known in (c, inner, first, other):
            yes = _where_known(table, yes, known)
        return table.apply("where", (table.apply("and_", _from_below(other, first)), yes, no))
    if yes is table.zero and no is table.one and (opposite := _opposite(table, c)) is not None:
        return table.apply("where", (opposite, no, yes))
    for condition in c.args if _is(c, "and_") else (c,):
        if _is(condition, "eq"):
            if _continues(table, condition, yes, no, alone=condition is c):
                return no
        elif _is(condition, "isfinite") and condition is c and condition.args[0] is yes and no is table.zero:
            return yes
    return None if given == (yes, no) else table.apply("where", (c, yes, no))


def _from_below(a: Term, b: Term) -> list[Term]:
    """Two conditions, the lower bound first, as one says an interval."""
    return sorted((a, b), key=lambda t: not (_is(t, "ge") or _is(t, "gt")))


_OPPOSITES = {"ge": "lt", "lt": "ge", "le": "gt", "gt": "le"}


def _opposite(table: Table, condition: Term) -> Term | None:
    """The comparison that holds where one does not; of numbers, not of nan."""
    name = _OPPOSITES.get(condition.function.name) if isinstance(condition, Apply) else None
    return table.apply(name, condition.args) if name and isinstance(condition, Apply) else None


def _where_known(table: Table, term: Term, known: Term) -> Term:
    """The term where a comparison is known to hold: the maximum or minimum of what is compared is known as well."""
    if not (isinstance(known, Apply) and known.function.name in _OPPOSITES):
        return term
    larger, smaller = known.args if known.function.name in ("ge", "gt") else known.args[::-1]
    chosen: dict[Term, Term] = {}
    for t in postorder([term]):
        if isinstance(t, Apply) and t.function.name in ("maximum", "minimum") and {*t.args} == {larger, smaller}:
            chosen[t] = larger if t.function.name == "maximum" else smaller
    return table.replace(term, chosen) if chosen else term


def _bound(condition: Term) -> tuple[str, tuple[Term, ...]] | None:
    """The maximum or minimum, and its arguments, by which np.clip chooses; nan, which it does not clip, they keep as well."""
    if not _is(condition, "or_"):
        return None
    found, other = condition.args
    for name, clip in (("ge", "maximum"), ("le", "minimum")):
        if _is(found, name) and _is(other, "isnan") and found.args[0] is other.args[0]:
            return clip, found.args
    return None


def _same_index(condition: Term) -> tuple[Label, Label] | None:
    """The two indices of one range that the condition says are equal."""
    if _is(condition, "eq"):
        a, b = condition.args
        if isinstance(a, Position) and isinstance(b, Position) and a.label.size == b.label.size:
            return a.label, b.label
    return None


def _outside_triangles(table: Table, term: Term, low: Label, high: Label) -> Term:
    """The term where one index is lower than another: triangular matrices have zeros on their other side."""
    zeros: dict[Term, Term] = {t: table.zero for t in postorder([term]) if isinstance(t, Call) and t.indices[-2:] in (
        {"lower": [(low, high)], "upper": [(high, low)]}.get(getattr(t.function, "triangle", ""), []))}
    return table.replace(term, zeros) if zeros else term


def _lt(table: Table, a: Term, b: Term) -> Term | None:
    """Indices and sizes are not negative."""
    if a is b:
        return table.false
    items = a.items if isinstance(a, Add) else (table.unit(a),)
    counts = all(c >= 0 and (isinstance(t, Position | SizeTerm) or t is table.one) for c, t in items)
    return table.false if counts and _is_zero(b) else None


def _known(table: Table, term: Term, condition: Term, branch: int) -> Term:
    """The term where the condition's truth is known: inner choices by it are decided."""
    inner = [t for t in postorder([term]) if isinstance(t, Apply) and t.function.name == "where"]
    if not inner:
        return term
    opposite = _opposite(table, condition)
    choices: dict[Term, Term] = {t: t.args[branch if t.args[0] is condition else 3 - branch] for t in inner
                                 if t.args[0] in (condition, opposite)}
    return table.replace(term, choices) if choices else term


def _undefined(condition: Term) -> bool:
    """Whether it holds for nan and infinity alone, of an argument that is not an element of an array, which may lack some."""
    if _is(condition, "or_"):
        return all(map(_undefined, condition.args))
    return (_is(condition, "isnan") or _is(condition, "isinf")) and not condition.free


def _heaviside(table: Table, c: Term, yes: Term, no: Term) -> Term | None:
    """where(a < b, 0, where(a == b, 1/2, 1)), the partial of a maximum or a minimum, is a step of a - b."""
    if not (_is(c, "lt") or _is(c, "gt")) or yes is not table.zero or not _is(no, "where"):
        return None
    tie, half, one = no.args
    a, b = c.args
    if not _is(tie, "eq") or set(tie.args) != {a, b} or one is not table.one or half is not table.number(HALF):
        return None
    return table.apply(HEAVISIDE, (a - b if _is(c, "lt") else b - a,))


def _continues(table: Table, condition: Apply, yes: Term, no: Term, alone: bool) -> bool:
    """Whether `where(s == v, yes, no)` is `no`: it takes that value there, or is undefined there and 0 was chosen."""
    s, v = condition.args
    if isinstance(s, Number):
        s, v = v, s
    if not isinstance(v, Number):
        return False
    there = table.replace(no, {s: v})
    if _singular(there):
        return yes is table.zero
    return alone and there is yes


def _singular(term: Term) -> bool:
    for t in postorder([term]):
        if isinstance(t, Mul) and any(isinstance(b, Number) and b.value == 0 for b, _ in t.factors):
            return True
        if isinstance(t, Apply) and t.function.name in ("log", "log2", "log10") and _is_zero(t.args[0]):
            return True
    return False


def _is_zero(term: Term) -> bool:
    return isinstance(term, Number) and term.value == 0


def _eq(table: Table, a: Term, b: Term) -> Term | None:
    """A positive power, and a multiple of it, is zero where its base is."""
    if isinstance(a, Number) and isinstance(b, Number):
        return table.true if a is b else table.false
    if a is b:
        return table.true
    if _is_zero(b) and isinstance(a, Mul) and not a.bound:
        factors = [(base, e) for base, e in a.factors if not isinstance(base, Number)]
        if len(factors) == 1 and isinstance(factors[0][1], Number) and factors[0][1].value > 0:
            return table.apply("eq", (factors[0][0], b))
    return table.apply("eq", (a.args[0], b)) if _is_zero(b) and _is(a, "abs") else None


# f(g(x)) of a function and an inverse one
_OF_INVERSES: dict[tuple[str, str], Callable[[Table, Term], Term]] = {
    ("sin", "arcsin"): lambda table, x: x, ("cos", "arccos"): lambda table, x: x, ("tan", "arctan"): lambda table, x: x,
    ("sinh", "arcsinh"): lambda table, x: x, ("cosh", "arccosh"): lambda table, x: x, ("tanh", "arctanh"): lambda table, x: x,
    ("arcsinh", "sinh"): lambda table, x: x, ("arctanh", "tanh"): lambda table, x: x,
    ("sin", "arccos"): lambda table, x: table.sqrt(1 - x**2), ("cos", "arcsin"): lambda table, x: table.sqrt(1 - x**2),
    ("tan", "arcsin"): lambda table, x: x / table.sqrt(1 - x**2), ("tan", "arccos"): lambda table, x: table.sqrt(1 - x**2) / x,
    ("sin", "arctan"): lambda table, x: x / table.sqrt(1 + x**2), ("cos", "arctan"): lambda table, x: 1 / table.sqrt(1 + x**2),
    ("cosh", "arcsinh"): lambda table, x: table.sqrt(1 + x**2), ("tanh", "arcsinh"): lambda table, x: x / table.sqrt(1 + x**2),
    ("sinh", "arctanh"): lambda table, x: x / table.sqrt(1 - x**2), ("cosh", "arctanh"): lambda table, x: 1 / table.sqrt(1 - x**2),
}

_RULES: dict[str, Callable[..., Term | None]] = {
    "log": _log, "eq": _eq, "lt": _lt,
    "abs": _abs, "where": _where, "and_": _and, "or_": _or, "not_": _not, "maximum": _both, "minimum": _both,
    "sign": _sign, "heaviside": _step, "sin": _sin, "cos": _cos,
    "tan": _at_zero(0), "tanh": _at_zero(0), "sinh": _at_zero(0), "cosh": _at_zero(1),
    "log1p": _at_zero(0), "expm1": _at_zero(0), "erf": _at_zero(0), "arctan": _at_zero(0), "arcsin": _at_zero(0),
}


def applied(table: Table, function: Function, args: tuple[Term, ...]) -> Term | None:
    """A simpler form of a function of these arguments."""
    if function.names.inline and function.names.meaning is not None:
        made: Term = function.names.meaning(table, *args)
        return made
    if len(args) == 1 and isinstance(args[0], Apply):
        inverse = _OF_INVERSES.get((function.name, args[0].function.name))
        if inverse is not None:
            return inverse(table, args[0].args[0])
    rule = _RULES.get(function.name)
    return None if rule is None else rule(table, *args)
