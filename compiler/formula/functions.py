"""Functions in sums and products: what trigonometric and hyperbolic functions, exponentials, absolute values and roots are together."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

from . import polynomial
from .algebra import Table
from .identities import HALF, HEAVISIDE
from .polynomial import Monomial, Polynomial
from .quotients import together
from .terms import Add, Apply, Mul, Number, Term, postorder

__all__ = ["IN_PRODUCTS", "IN_SUMS"]

MOST_EXPONENTS, MOST_PRODUCTS = 6, 12  # in one sum, of which each is compared with each
LARGEST_TANGENTS = 100  # the weight of a sum up to which tangents in it are opened

# f(u)**n as a sum of c * g(u)**k, from which a sum may get shorter
_POWERS = (
    ("sin", 2, ((1, "", 0), (-1, "cos", 2))), ("cos", 2, ((1, "", 0), (-1, "sin", 2))),
    ("cosh", 2, ((1, "", 0), (1, "sinh", 2))), ("sinh", 2, ((-1, "", 0), (1, "cosh", 2))),
    ("tan", 2, ((-1, "", 0), (1, "cos", -2))), ("tan", -2, ((-1, "", 0), (1, "sin", -2))), ("tanh", -2, ((1, "", 0), (1, "sinh", -2))),
)
_IN_FACTORS = (*_POWERS, ("tanh", 2, ((1, "", 0), (-1, "cosh", -2))))  # 1 - tanh(x)**2 by itself is how people know it
# f(u)**2 = a + b*g(2*u)
_DOUBLED = (("sin", HALF, -HALF, "cos"), ("cos", HALF, HALF, "cos"), ("cosh", HALF, HALF, "cosh"), ("sinh", -HALF, HALF, "cosh"))


def _named(term: Term, *names: str) -> bool:
    return isinstance(term, Apply) and term.function.name in names


def _without(m: Monomial, kernel: Term) -> tuple[Fraction, Monomial]:
    powers = dict(m)
    return powers.pop(kernel, Fraction(0)), frozenset(powers.items())


def _kernels(found: Polynomial, *names: str) -> list[Apply]:
    kernels = dict.fromkeys(k for m in found for k, _ in polynomial.ordered(m))
    return [k for k in kernels if isinstance(k, Apply) and k.function.name in names]


# ------------------------------------------------------------------------------------------------ sums
def squares(table: Table, term: Add, rows: Sequence[Any] = _POWERS) -> Iterator[Term]:
    """cos(u)**2 = 1 - sin(u)**2 and the like, wherever that shortens the whole."""
    written = polynomial.of(table, term)
    opened = polynomial.expand(table, written)
    for found in (written, opened) if opened and opened != written else (written,):
        for f, n, addends in rows:
            for kernel in _kernels(found, f):
                made = found
                while (again := _replaced(table, made, kernel, n, addends)) != made:
                    made = again
                if made != found:
                    yield polynomial.to_term(table, made)


def _replaced(table: Table, found: Polynomial, kernel: Apply, n: int, addends: Sequence[tuple[int, str, int]]) -> Polynomial:
    made: Polynomial = {}
    for m, c in found.items():
        e, rest = _without(m, kernel)
        if e * n < n * n:
            polynomial.add_term(made, m, c)
            continue
        left = frozenset({(kernel, e - n)} if e != n else ())
        for value, g, k in addends:
            power = frozenset({(table.apply(g, kernel.args), Fraction(k))} if g else ())
            for one, d in polynomial.shifted(polynomial.shifted({rest: c * value}, left), power).items():
                polynomial.add_term(made, one, d)
    return made


def doubled(table: Table, term: Add) -> Iterator[Term]:
    """cos(u)**2 = (1 + cos(2*u))/2 and the like, wherever that shortens the whole."""
    written = polynomial.of(table, term)
    opened = polynomial.expand(table, written)
    for found in (written, opened) if opened and opened != written else (written,):
        for kernel in dict.fromkeys(k.args for k in _kernels(found, *(row[0] for row in _DOUBLED))):
            made: Polynomial = {}
            for m, c in found.items():
                for f, a, b, g in _DOUBLED:
                    e, rest = _without(m, table.apply(f, kernel))
                    if e == 2:
                        double = frozenset({(table.apply(g, (table.mul(table.number(2), *kernel),)), Fraction(1))})
                        for one, d in (*polynomial.shifted({rest: c * b}, double).items(), (rest, c * a)):
                            polynomial.add_term(made, one, d)
                        break
                else:
                    polynomial.add_term(made, m, c)
            if made != found:
                yield polynomial.to_term(table, made)


def hyperbolic(table: Table, term: Add) -> Iterator[Term]:
    """e**u + e**-u = 2*cosh(u), e**u - e**-u = 2*sinh(u)."""
    exponentials = {t.factors[0][1]: (c, t) for c, t in term.items
                    if isinstance(t, Mul) and len(t.factors) == 1 and t.factors[0][0] is table.e and not t.bound}
    for u, (c, t) in exponentials.items():
        other = exponentials.get(-u)
        if other is None or abs(other[0]) != abs(c) or table.unit(u)[0] < 0:
            continue
        name = "cosh" if other[0] == c else "sinh"
        rest = table.make_add(tuple((d, s) for d, s in term.items if s is not t and s is not other[1]))
        yield table.add(table.mul(table.number(2 * c), table.apply(name, (u,))), rest)


def angle_sums(table: Table, term: Add) -> Iterator[Term]:
    """sin(u)*cos(v) + cos(u)*sin(v) = sin(u + v) and the like."""
    found = polynomial.of(table, term)
    circular = [(m, c) for m, c in found.items() if sum(_named(k, "sin", "cos", "sinh", "cosh") for k, _ in m) >= 2]
    for (m, c), (n, d) in combinations(circular[:MOST_PRODUCTS], 2):
        if abs(c) != abs(d) or len(m) != len(n):
            continue
        one, other, rest = m - n, n - m, m & n
        for f, g, sign in (("sin", "cos", -1), ("sinh", "cosh", 1)):
            pair, opposite = ([(k.args[0], k.function.name) for k, e in polynomial.ordered(side) if isinstance(k, Apply) and e == 1]
                              for side in (one, other))
            if len(pair) != 2 or len(one) != 2 or len(other) != 2 or pair[0][0] is pair[1][0]:
                continue
            (u, first), (v, second) = sorted(pair, key=lambda p: p[1] != f)
            swapped = {f: g, g: f}
            if {*opposite} != {(u, swapped.get(first)), (v, swapped.get(second))}:
                continue
            if (first, second) == (f, g):  # sin(u)*cos(v) with cos(u)*sin(v)
                made = table.apply(f, (u + v if c == d else u - v,))
            else:  # cos(u)*cos(v) with sin(u)*sin(v); the first of them has the sign
                lead = c if first == g else d
                made = table.mul(table.number(lead / c), table.apply(g, (u - v if (c == d) == (sign < 0) else u + v,)))
            left = {k: value for k, value in found.items() if k not in (m, n)}
            yield table.add(table.mul(polynomial.monomial(table, rest, c), made), polynomial.to_term(table, left))


def of_halves(table: Table, term: Add) -> Iterator[Term]:
    """sin(2*u) = 2*sin(u)*cos(u) and cos(2*u) = 2*cos(u)**2 - 1 beside other functions of u, likewise for sinh and cosh."""
    found = polynomial.of(table, term)
    for f, g in (("sin", "cos"), ("sinh", "cosh")):
        for kernel in _kernels(found, f, g):
            half = (table.mul(table.number(HALF), *kernel.args),)
            one, other = table.apply(f, half), table.apply(g, half)
            if any(b in dict(m) for m in found for b in (one, other)):
                double = 2 * one * other if kernel.function.name == f else 2 * other**2 - 1
                made = table.add(*(table.mul(polynomial.monomial(table, rest, c), double) if e == 1 else polynomial.monomial(table, m, c)
                                   for m, c in found.items() for e, rest in (_without(m, kernel),)))
                opened = polynomial.expand(table, polynomial.of(table, made))
                yield made if opened is None else polynomial.to_term(table, opened)


def sigmoid_as_tanh(table: Table, term: Add) -> Iterator[Term]:
    """2*sigmoid(u) - 1 = tanh(u/2); its opposite, 1 - 2*sigmoid(u), is a factor of derivatives of sigmoid that people know."""
    for c, t in term.items:
        if c > 0 and _named(t, "sigmoid") and isinstance(t, Apply) and {*term.items} == {(c, t), (-c / 2, table.one)}:
            yield table.mul(table.number(c / 2), table.apply("tanh", (table.mul(table.number(HALF), t.args[0]),)))


def alike_exponentials(table: Table, term: Add) -> Iterator[Term]:
    """e**u and e**v whose exponents differ by logarithms and numbers, as one: e**(log(x) + v) = x * e**v."""
    exponents: dict[Term, list[tuple[Fraction, Term]]] = {}
    for c, t in term.items:
        for base, e in t.factors if isinstance(t, Mul) else ():
            if base is table.e:
                exponents.setdefault(e, []).append((c, t))
    if not 2 <= len(exponents) <= MOST_EXPONENTS:
        return
    for v in exponents:
        whole = [table.mul(table.number(c), t, table.exp(-v)) for c, t in exponents[v]]
        used = list(exponents[v])
        for u, items in exponents.items():
            difference = polynomial.expand(table, polynomial.of(table, u - v))
            if u is v or difference is None or not all(_is_logarithm(m) for m in difference):
                continue
            ratio = table.exp(polynomial.to_term(table, difference))
            whole += [table.mul(table.number(c), t, table.exp(-u), ratio) for c, t in items]
            used += items
        if len(used) > len(exponents[v]):
            yield table.add(table.mul(table.add(*whole), table.exp(v)), table.make_add(tuple(i for i in term.items if i not in used)))


def _is_logarithm(m: Monomial) -> bool:
    """Whether it is a number, or the logarithm of something."""
    return not m or (len(m) == 1 and all(_named(kernel, "log") and e == 1 for kernel, e in m))


def tangents(table: Table, term: Add) -> Iterator[Term]:
    """Sums in which tan(u) is sin(u)/cos(u) beside one of these, likewise tanh, as one fraction: sin/(1 + cos) + 1/tan = 1/sin."""
    found = dict.fromkeys(t for t in postorder([term]) if isinstance(t, Apply)) if term.weight <= LARGEST_TANGENTS else {}
    for name, f, g in (("tan", "sin", "cos"), ("tanh", "sinh", "cosh")):
        for t in found:
            if t.function.name == name and any(_named(s, f, g) and s.args == t.args for s in found):
                whole = table.replace(term, {t: table.apply(f, t.args) / table.apply(g, t.args)})
                for made in together(table, whole) if isinstance(whole, Add) else ():
                    above = [b for b, e in made.factors if isinstance(b, Add) and e is table.one] if isinstance(made, Mul) else []
                    yield from (made / b * shorter for b in above for shorter in squares(table, b))


def logarithms(table: Table, term: Add) -> Iterator[Term]:
    """log(a) - log(b) = log(a/b) where both have the same coefficient."""
    logs = [(c, t, t.args[0] if t.function.name == "log" else 1 + t.args[0]) for c, t in term.items
            if isinstance(t, Apply) and t.function.name in ("log", "log1p")]
    for k, (c, one, a) in enumerate(logs):
        for d, other, b in logs[k + 1:]:
            if abs(c) == abs(d):
                inside = a * b if c == d else a / b
                rest = table.make_add(tuple(pair for pair in term.items if pair[1] not in (one, other)))
                yield table.add(table.mul(table.number(c), table.apply("log", (inside,))), rest)


def halves_in_sums(table: Table, term: Add) -> Iterator[Term]:
    """sin(2*u) as 2*sin(u)*cos(u) beside functions of u, and sinh(u) by e**(2*u) beside powers of e, as one fraction."""
    found = list(dict.fromkeys(t for t in postorder([term]) if isinstance(t, Apply))) if term.weight <= LARGEST_TANGENTS else []
    opened: dict[Term, Term] = {}
    for t in found:
        half = (table.mul(table.number(HALF), *t.args),) if _named(t, "sin", "sinh") else ()
        f, g = ("sin", "cos") if _named(t, "sin") else ("sinh", "cosh")
        if half and any(_named(s, f, g) and s.args == half for s in found):
            opened[t] = 2 * table.apply(f, half) * table.apply(g, half)
    exponents = {e for t in postorder([term]) if isinstance(t, Mul) for b, e in t.factors if b is table.e}
    for t in found:
        if _named(t, "sinh") and not opened and any(e is 2 * t.args[0] or e is -2 * t.args[0] for e in exponents):
            opened[t] = (table.exp(2 * t.args[0]) - 1) / (2 * table.exp(t.args[0]))
    if opened:
        whole = table.replace(term, opened)
        yield whole
        yield from together(table, whole) if isinstance(whole, Add) else ()


def steps(table: Table, term: Add) -> Iterator[Term]:
    """heaviside(-u) = 1 - heaviside(u) where both occur."""
    found = dict.fromkeys(t for t in postorder([term]) if isinstance(t, Apply) and t.function is HEAVISIDE)
    for t in found:
        opposite = table.apply(HEAVISIDE, (-t.args[0],))
        if opposite in found:
            opened = polynomial.expand(table, polynomial.of(table, table.replace(term, {opposite: 1 - t})))
            if opened is not None:
                yield polynomial.to_term(table, opened)


def choices(table: Table, term: Add) -> Iterator[Term]:
    """u*where(c, a, b) + where(c, d, e) = where(c, u*a + d, u*b + e)."""
    by_condition: dict[Term, list[tuple[tuple[Fraction, Term], Apply]]] = {}
    for item in term.items:
        for b, e in item[1].factors if isinstance(item[1], Mul) else ((item[1], table.one),):
            if isinstance(b, Apply) and b.function.name == "where" and e is table.one:
                by_condition.setdefault(b.args[0], []).append((item, b))
                break
    for condition, members in by_condition.items():
        if len(members) > 1:
            sides = [table.add(*(table.mul(table.number(c), t, 1 / b, b.args[k]) for (c, t), b in members)) for k in (1, 2)]
            items = [item for item, _ in members]
            rest = table.make_add(tuple(pair for pair in term.items if pair not in items))
            yield table.add(table.apply("where", (condition, *sides)), rest)


# ------------------------------------------------------------------------------------------------ products
def halves_in_products(table: Table, term: Mul) -> Iterator[Term]:
    """sin(2*u) = 2*sin(u)*cos(u) as a factor beside sin(u) or cos(u), likewise for sinh."""
    powers = dict(term.factors)
    for f, g in (("sin", "cos"), ("sinh", "cosh")):
        for base, e in term.factors:
            if isinstance(base, Apply) and _named(base, f):
                half = (table.mul(table.number(HALF), *base.args),)
                one, other = table.apply(f, half), table.apply(g, half)
                if one in powers or other in powers:
                    yield table.mul(term, table.power(base, -e), table.power(2 * one * other, e))


def quotients(table: Table, term: Mul) -> Iterator[Term]:
    """sin/cos = tan, sinh/cosh = tanh, as often as the product has both."""
    powers = dict(term.factors)
    for f, g, h in (("sin", "cos", "tan"), ("sinh", "cosh", "tanh")):
        for base, e in term.factors:
            if not (_named(base, f) and isinstance(base, Apply) and isinstance(e, Number)):
                continue
            other = table.apply(g, base.args)
            d = powers.get(other)
            if isinstance(d, Number) and e.value * d.value < 0:
                k = min(abs(e.value), abs(d.value)) * (1 if e.value > 0 else -1)
                yield table.mul(term, table.power(table.apply(h, base.args), table.number(k)), table.power(base, table.number(-k)),
                                table.power(other, table.number(k)))
    for f, g in (("tan", "sin"), ("tanh", "sinh")):
        for base, e in term.factors:
            if _named(base, f) and isinstance(base, Apply) and isinstance(e, Number):
                over = table.apply(g.replace("sin", "cos"), base.args)
                yield table.mul(term, table.power(base, -e), table.power(table.apply(g, base.args), e), table.power(over, -e))


def products(table: Table, term: Mul) -> Iterator[Term]:
    """2*sin(u)*cos(u) = sin(2*u), likewise for sinh."""
    powers = dict(term.factors)
    for f, g in (("sin", "cos"), ("sinh", "cosh")):
        for base, e in term.factors:
            if _named(base, f) and isinstance(base, Apply) and isinstance(e, Number) and powers.get(table.apply(g, base.args)) is e:
                double = table.apply(f, (table.mul(table.number(2), base.args[0]),))
                rest = [table.power(b, k) for b, k in term.factors if b is not base and b is not table.apply(g, base.args)]
                half = table.power(table.number(Fraction(1, 2)), e)
                yield table.mul(table.number(term.coefficient), half, table.power(double, e), *rest)


def squared_factors(table: Table, term: Mul) -> Iterator[Term]:
    """1 - cos(u)**2 and 1 + tan(u)**2 as factors, and (1 - cos(u))/sin(u)**2 = 1/(1 + cos(u))."""
    for base, e in term.factors:
        if not isinstance(base, Add) or not isinstance(e, Number):
            continue
        for made in squares(table, base, _POWERS if base.free else _IN_FACTORS):
            if not isinstance(made, Add):
                yield table.mul(*(table.power(made if b is base else b, k) for b, k in term.factors), table.number(term.coefficient))
        for f, g in (("cos", "sin"), ("sin", "cos"), ("cosh", "sinh")):
            kernels = [t for _, t in base.items if _named(t, f)]
            if len(base.items) == 2 and kernels and isinstance(kernels[0], Apply):
                other = table.apply(g, kernels[0].args)
                k = dict(term.factors).get(other)
                conjugate = table.add(*(table.mul(table.number(c if t is not kernels[0] else -c), t) for c, t in base.items))
                product = polynomial.to_term(table, polynomial.expand(table, polynomial.of(table, base * conjugate)) or {})
                for done in squares(table, product) if isinstance(product, Add) else ():
                    ratio = table.mul(done, table.power(other, table.number(-2)))
                    if isinstance(ratio, Number) and isinstance(k, Number) and k.value * e.value < 0 and abs(k.value) >= 2:
                        step = 1 if e.value > 0 else -1
                        yield table.mul(term, table.power(base, table.number(-step)), table.power(other, table.number(2 * step)),
                                        table.power(conjugate, table.number(-step)), table.power(ratio, table.number(step)))


def absolute(table: Table, term: Mul) -> Iterator[Term]:
    """|u|**2 = u**2, u**2/|u| = |u|, u/|u| = sign(u), u*sign(u) = |u|, |u|*sign(u) = u."""
    powers = dict(term.factors)
    for base, exponent in term.factors:
        if not (isinstance(base, Apply) and base.function.name in ("abs", "sign") and isinstance(exponent, Number)):
            continue
        e, (u,) = exponent.value, base.args
        size, k, n = table.apply("abs", (u,)), _whole(powers.get(u)), 0
        if base.function.name == "sign":
            n = _whole(powers.get(size))
            if e.denominator == 1 and abs(e) >= 2:
                yield table.mul(term, base ** (e % 2 - e))
            if e == 1 and k % 2:
                yield table.mul(term, 1 / base, u**-k, size**k)
            if e == 1 and n % 2:
                yield table.mul(term, 1 / base, size**-n, u**n)
        elif e.denominator == 1 and e % 2 == 0:
            yield table.mul(term, size**-e, u**e)
        elif k and k % 2 == 0:
            yield table.mul(term, u**-k, size**k)
        elif e % 2 == 1 and k * e < 0:
            yield table.mul(term, size**-e, u**e, table.apply("sign", (u,)))


def _whole(exponent: Term | None) -> int:
    """A whole exponent; 0 where there is none."""
    return int(exponent.value) if isinstance(exponent, Number) and exponent.value.denominator == 1 else 0


def absolutes(table: Table, term: Mul) -> Iterator[Term]:
    """|u|*|v| = |u*v|."""
    chosen = [(b.args[0], e) for b, e in term.factors if isinstance(b, Apply) and b.function.name == "abs"]
    if len(chosen) > 1 and len({e for _, e in chosen}) == 1:
        rest = [table.power(b, e) for b, e in term.factors if not _named(b, "abs")]
        inside = table.apply("abs", (table.mul(*(u for u, _ in chosen)),))
        yield table.mul(table.number(term.coefficient), *rest, table.power(inside, chosen[0][1]))


def logarithms_of_powers(table: Table, term: Mul) -> Iterator[Term]:
    """log(u**n) = n*log(|u|) as a factor."""
    for base, e in term.factors:
        if _named(base, "log") and isinstance(base, Apply) and e is table.one and isinstance(base.args[0], Mul):
            inner = base.args[0]
            if inner.coefficient == 1 and len(inner.factors) == 1 and isinstance(inner.factors[0][1], Number) and not inner.bound:
                u, n = inner.factors[0]
                size = table.apply("abs", (u,)) if n.value % 2 == 0 else u  # type: ignore[attr-defined]
                yield table.mul(term, table.power(base, table.number(-1)), n, table.apply("log", (size,)))


def sigmoids(table: Table, term: Mul) -> Iterator[Term]:
    """e**u * (1 - sigmoid(u)) = sigmoid(u), e**u * sigmoid(-2*u) = 1/(2*cosh(u)), and sigmoid(u)*(1 - sigmoid(u)) of u or of -u,
    whichever is written more simply.
    """
    powers = dict(term.factors)
    for base, e in term.factors:
        if _named(base, "sigmoid") and isinstance(base, Apply) and e is table.one and powers.get(table.e) is base.args[0] * Fraction(-1, 2):
            yield table.mul(term, 1 / base, table.exp(HALF * base.args[0]), 1 / (2 * table.cosh(HALF * base.args[0])))
        if not isinstance(base, Add) or len(base.items) != 2:
            continue
        kernel = next((t for c, t in base.items if c == -1 and _named(t, "sigmoid")), None)
        if not isinstance(kernel, Apply) or table.one - kernel is not base:
            continue
        (u,) = kernel.args
        if powers.get(table.e) is u and e is table.one:
            yield table.mul(term, table.exp(-u), table.power(base, table.number(-1)), kernel)
        if powers.get(kernel) is e:
            other = table.apply("sigmoid", (-u,))
            yield table.mul(term, table.power(kernel, -e), table.power(base, -e), table.power(other, e), table.power(table.one - other, e))
            if e is table.one and term.coefficient % 4 == 0:
                cosh = table.apply("cosh", (table.mul(table.number(HALF), u),))
                yield table.mul(term, 1 / kernel, 1 / base, (2 * cosh) ** -2)


def exponentials(table: Table, term: Mul) -> Iterator[Term]:
    """Sums with a power of e as a factor of all addends but one, and e**u/(e**u - 1)**2 = 1/(2*sinh(u/2))**2."""
    for base, e in term.factors:
        if not isinstance(base, Add) or not isinstance(e, Number) or e.value.denominator != 1:
            continue
        for _, t in base.items:
            u = dict(t.factors).get(table.e) if isinstance(t, Mul) else None
            if u is None:
                continue
            inner = table.add(*(table.mul(table.number(c), s, table.exp(-u)) for c, s in base.items))
            yield table.mul(table.number(term.coefficient), *(table.power(b, x) for b, x in term.factors if b is not base),
                            table.power(inner, e), table.exp(table.mul(u, e)))
            half = table.mul(table.number(Fraction(1, 2)), u)
            if table.unit(u)[0] > 0 and base is table.exp(u) - table.one:
                sinh = table.mul(table.number(2), table.apply("sinh", (half,)), table.exp(half))
                yield table.mul(table.number(term.coefficient), *(table.power(b, x) for b, x in term.factors if b is not base),
                                table.power(sinh, e))


def parity(table: Table, term: Term) -> Iterator[Term]:
    """f(-u) = -f(u) or f(u), of a call or of a factor with a sign in front."""
    for base, e in term.factors if isinstance(term, Mul) else ((term, table.one),):
        how: str | None = getattr(base.function, "parity", None) if isinstance(base, Apply) else None
        if how and isinstance(base, Apply) and len(base.args) == 1 and isinstance(e, Number):
            opposite = table.apply(base.function, (-base.args[0],), base.params)
            yield table.mul(term, table.power(base, -e), table.power(opposite if how == "even" else -opposite, e))


def quarter_turns(table: Table, term: Term) -> Iterator[Term]:
    """sin(u + pi/2) = cos(u) and the like, of a call or of a factor."""
    for base, e in term.factors if isinstance(term, Mul) else ((term, table.one),):
        if not (isinstance(base, Apply) and base.function.name in ("sin", "cos", "tan")):
            continue
        angle = polynomial.expand(table, polynomial.of(table, base.args[0])) or {}
        for m, c in angle.items():
            if len(angle) > 1 and m == frozenset({(table.pi, Fraction(1))}) and (2 * c).denominator == 1:
                turns, u = int(2 * c) % 4, polynomial.to_term(table, {n: d for n, d in angle.items() if n != m})
                if base.function.name == "tan":
                    made = table.tan(u) if turns % 2 == 0 else -1 / table.tan(u)
                else:
                    k = (turns + (base.function.name == "cos")) % 4
                    made = (table.one, table.one, -table.one, -table.one)[k] * table.apply(("sin", "cos")[k % 2], (u,))
                yield table.mul(term, table.power(base, -e), table.power(made, e))


def log_odds(table: Table, term: Term) -> Iterator[Term]:
    """log(sigmoid(u)/(1 - sigmoid(u))) = u."""
    inside = term.args[0] if isinstance(term, Apply) and term.function.name == "log" else None
    for base, e in inside.factors if isinstance(inside, Mul) else ():
        if isinstance(base, Apply) and base.function.name == "sigmoid" and abs(_whole(e)) == 1 \
                and inside is table.power(base, e) * table.power(1 - base, -e):
            yield e * base.args[0]


CALLS = (parity, quarter_turns, log_odds)
IN_SUMS = (
    squares, angle_sums, tangents, of_halves, doubled, alike_exponentials, sigmoid_as_tanh, hyperbolic, logarithms, halves_in_sums,
    steps, choices,
)
IN_PRODUCTS = (
    quotients, products, halves_in_products, squared_factors, absolute, absolutes, logarithms_of_powers, sigmoids, exponentials, parity,
    quarter_turns,
)
