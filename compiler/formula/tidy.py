"""Terms as people factor them: common factors are taken out, products are multiplied out, where that is shorter."""
from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import prod

from ..op import get
from .algebra import Table
from .sums import is_deviation, shared_sums
from .terms import Add, Apply, At, Constant, Delta, Mul, Number, SizeTerm, Term, postorder, whole

__all__ = ["length", "tidied"]

WORTH = 4  # how many characters shorter the form must be that the user did not write
SUMMED = 8  # how many longer that may be in which less is summed over: n*x - sum(x) rather than sum(x[:, None] - x, axis=1)
MOST_ADDENDS = 16
LARGEST = 400  # the weight up to which a term is tidied; longer ones are for machines


def tidied(table: Table, term: Term) -> Term:
    """The same value in fewer signs."""
    if term.weight > LARGEST:
        return term
    term = _oriented(table, _one_sigmoid(table, term))
    done: dict[Term, Term] = {}
    for t in postorder([term]):
        again = table.with_parts(t, done)
        with table.originating(table.origin(t)):
            if isinstance(again, Add):
                again = _cancelled(table, _over_common_denominator(table, again))
            if isinstance(again, Add):
                again = _factored(table, again)
            elif isinstance(again, Mul):
                again = _expanded(table, again)
        done[t] = table.inherit(again, t)
    again = _one_sigmoid(table, done[term])
    return done[term] if again is done[term] else tidied(table, again)


def _one_sigmoid(table: Table, term: Term) -> Term:
    """sigmoid(-u) as 1 - sigmoid(u) where both occur."""
    found = {t.args[0]: t for t in postorder([term]) if isinstance(t, Apply) and t.function.name == "sigmoid"}
    if len(found) < 2:
        return term
    replaced: dict[Term, Term] = {}
    for u, t in found.items():
        if t not in replaced and (other := found.get(-u)) is not None and other is not t:
            first, last = sorted((t, other), key=lambda s: (_leading(table, s.args[0]) < 0, s.serial))
            replaced[last] = table.one - first
    return table.replace(term, replaced) if replaced else term


def _oriented(table: Table, term: Term) -> Term:
    """Differences of elements of one array in one direction, x[i] - x[j] rather than x[j] - x[i], where that makes equal what was not."""
    done: dict[Term, Term] = {}
    for t in postorder([term]):
        made = table.with_parts(t, done)
        if isinstance(made, Mul) and any(_is_backward(b) and whole(e) for b, e in made.factors):
            powers: dict[Term, Term] = {}
            sign = 1
            for b, e in made.factors:
                if _is_backward(b) and whole(e):
                    b, sign = -b, sign * (-1) ** int(e.value)  # type: ignore[attr-defined]
                powers[b] = table.add(powers.get(b, table.zero), e)
            made = table.make_mul(made.coefficient * sign, made.bound, tuple(powers.items()))
        done[t] = made
    return done[term] if length(done[term]) <= length(term) - WORTH else term


def _is_backward(term: Term) -> bool:
    """Whether it is a difference of elements of one array, the later one first."""
    if not _is_difference(term):
        return False
    (_, minus), (_, plus) = sorted(term.items, key=lambda item: item[0])  # type: ignore[attr-defined]
    return [a.name for a in minus.free] < [a.name for a in plus.free]


def _is_difference(term: Term) -> bool:
    """Whether it is a difference of elements of one array."""
    return isinstance(term, Add) and len(term.items) == 2 and not sum(c for c, _ in term.items) \
        and term.items[0][1].skeleton == term.items[1][1].skeleton


def _leading(table: Table, term: Term) -> Fraction:
    return term.items[0][0] if isinstance(term, Add) else table.unit(term)[0]


def length(term: Term) -> int:
    """About how many characters the term takes."""
    match term:
        case Number():
            return len(str(term.value))
        case At():
            return max(len(term.name), 1)
        case Constant() | SizeTerm():
            return 1
        case Add():
            return sum(length(t) + 3 + (len(str(abs(c))) + 1 if abs(c) != 1 else 0) for c, t in term.items) - 3
        case Mul():
            total = len(str(term.coefficient)) + 1 if term.coefficient != 1 else 0
            for base, exponent in term.factors:
                total += length(base) + 1 + (2 if isinstance(base, Add) else 0)
                if exponent is not term.table.one:
                    total += 5 if base is term.table.e else 2
                    total += length(exponent) + (2 if isinstance(exponent, Add | Mul) else 0)
            return total - 1 + (3 if term.bound else 0)
        case Apply():
            return len(term.function.name) + 2 + sum(length(a) + 2 for a in term.args) - 2
    return 4 + sum(length(p) for p in term.parts())


def _powers(term: Term) -> Mapping[Term, Term]:
    return dict(term.factors) if isinstance(term, Mul) else {term: term.table.one}


def _bound(term: Term) -> frozenset[object]:
    return frozenset(term.bound) if isinstance(term, Mul) else frozenset()


def _factored(table: Table, term: Add) -> Term:
    """Common factors taken out of addends as long as the text gets shorter."""
    current: Term = term
    while isinstance(current, Add):
        found = _best_factoring(table, current)
        if found is None:
            found = next((made for made in shared_sums(table, current) if length(made) < length(current)), None)
        if found is None:
            break
        current = found
    return current


def _best_factoring(table: Table, term: Add) -> Term | None:
    best: Term | None = None
    groups: dict[tuple[Term, frozenset[object]], list[int]] = {}
    for k, (_, t) in enumerate(term.items):
        selects = any(isinstance(b, Delta) for b in _powers(t))
        for base in _powers(t):
            if selects and base.free:
                continue  # diag(v) is shorter than the identity matrix times v
            bound = _bound(t) if any(label in _bound(t) for label in base.free) else frozenset()
            groups.setdefault((base, bound), []).append(k)
    tried: set[tuple[int, ...]] = set()
    for (base, bound), members in sorted(groups.items(), key=lambda group: not _is_sigmoid(group[0][0])):
        if len(members) < 2 or tuple(members) in tried:
            continue
        tried.add(tuple(members))
        made = _take_out(table, term, members, bound)
        # a sum over an index that is written once instead of twice is always worth it; s*(1 - s) is how people know it
        worth = 1 if bound else -3 if _is_sigmoid(base) else WORTH
        if made is not None and length(made) <= length(term) - worth and (best is None or length(made) < length(best)):
            best = made
    return best


def _is_sigmoid(term: Term) -> bool:
    return isinstance(term, Apply) and term.function is get("sigmoid")


def _take_out(table: Table, term: Add, members: list[int], bound: frozenset[object]) -> Term | None:
    chosen = [term.items[k] for k in members]
    common: dict[Term, Term] = {}
    selects = any(isinstance(b, Delta) for _, t in chosen for b in _powers(t))
    for base in _powers(chosen[0][1]):
        if (selects and base.free) or any((_bound(t) if not bound else bound - _bound(t)) & {*base.free} for _, t in chosen):
            continue
        exponents = [_powers(t).get(base) for _, t in chosen]
        shared = _shared_exponent(table, base, exponents)
        if shared is not None:
            common[base] = shared
    if not common:
        return None
    inverse = [table.power(b, -e) for b, e in common.items()]
    rests = []
    for c, t in chosen:
        body = table.make_mul(Fraction(1), (), t.factors) if bound and isinstance(t, Mul) else t
        rests.append(table.mul(table.number(c), body, *inverse))
    if sum(isinstance(r, Add) and is_deviation(r) for r in rests) > 1:
        return None  # their means would be added up
    inner = _cancelled(table, table.add(*rests))
    if bound and isinstance(inner, Add) and any(_is_of_sizes(t) for _, t in inner.items):
        return None  # sum(x**2) + mean(x)
    outer = [table.power(b, e) for b, e in common.items()]
    made = _closed_again(table, outer, inner, bound) if bound else table.mul(*outer, inner)
    others = [table.mul(table.number(c), t) for k, (c, t) in enumerate(term.items) if k not in members]
    return table.add(made, *others)


def _is_of_sizes(term: Term) -> bool:
    kinds = {type(t) for t in postorder([term])}
    return SizeTerm in kinds and kinds <= {SizeTerm, Number, Mul}


def _closed_again(table: Table, outer: list[Term], inner: Term, bound: frozenset[object]) -> Term:
    fresh = {label: table.fresh(label.size) for label in bound}  # type: ignore[attr-defined]
    factors = [table.substitute(t, fresh) for t in (*outer, inner)]  # type: ignore[arg-type]
    return table.mul(*factors, bound=tuple(fresh.values()))


def _shared_exponent(table: Table, base: Term, exponents: list[Term | None]) -> Term | None:
    """The power of a base that all addends have: the smallest in absolute value, where they agree in sign."""
    if any(e is None for e in exponents):
        return None
    if len(set(exponents)) == 1:
        return exponents[0]
    values = [e.value for e in exponents if isinstance(e, Number)]
    if len(values) < len(exponents) or not (all(v > 0 for v in values) or all(v < 0 for v in values)):
        return None
    return table.number(min(values, key=abs))


def _over_common_denominator(table: Table, term: Add) -> Term:
    """One fraction, its numerator multiplied out, where that is shorter."""
    below: dict[Term, Fraction] = {}
    for _, t in term.items:
        for base, exponent in _powers(t).items():
            if isinstance(exponent, Number) and exponent.value < 0 and base is not table.e:
                below[base] = min(below.get(base, Fraction(0)), exponent.value)
    sums = [b for b in below if isinstance(b, Add)]
    if not sums or prod(len(b.items) for b in sums) > MOST_ADDENDS or any(_bound(t) for _, t in term.items):
        return term
    common = [table.power(b, table.number(-e)) for b, e in below.items()]
    addends = [table.mul(table.number(c), t, *common) for c, t in term.items]
    forms = [table.mul(above, *(table.power(b, table.number(e)) for b, e in below.items()))
             for above in (table.add(*addends), table.add(*(_multiplied_out(table, t) for t in addends)))]
    names: dict[Term, Term] = {b: table.at(f"@below{k}", b.free) for k, b in enumerate(sums) if any(_bound(t) for t in postorder([b]))}
    made = min(forms, key=lambda form: length(table.replace(form, names)))
    return made if length(table.replace(made, names)) <= length(table.replace(term, names)) - WORTH else term


def _cancelled(table: Table, term: Term) -> Term:
    """Products in a sum multiplied out, where they cancel so that the sum is shorter."""
    if not isinstance(term, Add) or len(term.items) > MOST_ADDENDS:
        return term
    made = table.add(*(_multiplied_out(table, table.mul(table.number(c), t)) for c, t in term.items))
    fewer = not isinstance(made, Add) or len(made.items) <= len(term.items)
    return made if fewer and length(made) <= length(term) - WORTH else term


def _multiplied_out(table: Table, term: Term) -> Term:
    """Products over sums, and squares of sums, expanded."""
    if not isinstance(term, Mul):
        return term
    addends: list[Term] = [table.number(term.coefficient)]
    factors, bound = table.opened(term)
    for base, exponent in factors:
        few = isinstance(exponent, Number) and exponent.value in (1, 2) and len(addends) <= MOST_ADDENDS
        if isinstance(base, Add) and isinstance(exponent, Number) and few and not is_deviation(base):
            for _ in range(int(exponent.value)):
                addends = [table.mul(a, table.number(c), t) for a in addends for c, t in base.items]
        else:
            addends = [table.mul(a, table.power(base, exponent)) for a in addends]
    return table.add(*(table.mul(a, bound=bound) for a in addends))


def _expanded(table: Table, term: Mul) -> Term:
    """Multiplied out over a factor that is a sum, where terms cancel so that the result is shorter."""
    for base, exponent in term.factors:
        if isinstance(base, Add) and exponent is table.one and len(base.items) <= 6:
            factors, bound = table.opened(term)
            opened = [pair for pair in factors if pair[1] is table.one and isinstance(pair[0], Add)]
            sums = [b for b, _ in opened if isinstance(b, Add) and b.skeleton == base.skeleton]
            if not sums:
                continue
            over = sums[0]
            rest = [table.power(b, e) for b, e in factors if b is not over]
            scale = table.number(term.coefficient)
            parts = [table.mul(scale, table.number(c), t, *rest, bound=bound) for c, t in over.items]
            whole_sum = table.add(*parts)
            if isinstance(whole_sum, Add):
                whole_sum = _factored(table, whole_sum)
            alone = bool(bound) and _is_difference(over) and not any(
                label in t.free for pair in factors for t in pair if t is not over for label in bound)
            if length(whole_sum) <= length(term) + (SUMMED if alone else -WORTH):
                return _expanded(table, whole_sum) if isinstance(whole_sum, Mul) else whole_sum
    return term
