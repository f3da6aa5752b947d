"""The algebra of terms over the reals: sums and products are collected as they are made.

Nothing is expanded that a person would leave alone: a power of a sum stays one. Every constructor returns a canonical,
interned term, so a difference of equal terms is zero and a quotient of equal ones is one.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from typing import Any

from ..op import get
from ..provenance import Site
from ..sizes import Opaque, Size, SizeExpr, Symbol
from . import calls, identities, numbers
from .product import Product
from .signs import is_positive
from .terms import (
    Add,
    Apply,
    At,
    Call,
    Constant,
    Delta,
    Function,
    Index,
    Label,
    Lambda,
    Mul,
    Number,
    Position,
    Reduce,
    SizeTerm,
    Term,
    occurrence,
    postorder,
    whole,
)

__all__ = ["Table"]



class Table:
    """Makes terms, and keeps those of one formula apart from others'.

    It also knows from which of the user's lines a term comes, by its form without labels: where a term is made again with other
    labels, or from other parts, it still comes from there.
    """

    def __init__(self, promises: Mapping[str, str] | None = None, literals: Set[float] = frozenset()) -> None:
        """`promises`: what holds of arguments, by name (see `compiler.promises`); `literals`: decimals that stay as they are."""
        self.literals = literals
        self.promises = dict(promises or {})
        self.signs: dict[Term, int] = {}
        self._sites: frozenset[Site] = frozenset()
        self._origins: dict[int, frozenset[Site]] = {}
        self._interned: dict[tuple[Any, ...], Term] = {}
        self._skeletons: dict[tuple[Any, ...], int] = {}
        self._fresh = count()
        self.definitions: dict[str, Lambda] = {}
        self._written: dict[Fraction, Fraction] = {}
        self._coefficients: dict[tuple[Fraction, bool], Fraction] = {}
        self.costs: dict[Term, int] = {}
        self.shortest: dict[Term, Term] = {}
        self.elementwise: dict[Term, bool] = {}
        self.quotients: dict[Term, Term] = {}  # quotients below roots and their inverses, by the one of the two that is written
        self.factored: dict[Term, Term] = {}  # exponents that were multiplied out, as they were
        self.effort = self.effort_ahead = 0
        self.zero: Term = self.number(0)
        self.one: Term = self.number(1)
        self.pi: Term = self._leaf(Constant, "pi")
        self.e: Term = self._leaf(Constant, "E")
        self.true: Term = self._leaf(Constant, "true")
        self.false: Term = self._leaf(Constant, "false")

    # ------------------------------------------------------------------------------------------ interning
    def _intern(self, cls: type[Any], key: tuple[Any, ...], skeleton: tuple[Any, ...], parts: Sequence[Term],
                own: Sequence[Label] = (), without: Sequence[Label] = (), /, **fields: Any) -> Any:
        term = self._interned.get((cls, *key))
        if term is None:
            term = object.__new__(cls)
            for name, value in fields.items():
                setattr(term, name, value)
            term.table = self
            term.free = occurrence(parts, own, without)
            term.depth = max((p.depth for p in parts), default=0) + bool(without)
            term.height = max((p.height for p in parts), default=0) + 1
            term.serial = len(self._interned)
            term.weight = sum(p.weight for p in parts) + 1
            term.skeleton = self._skeletons.setdefault((cls, *skeleton), len(self._skeletons))
            self._interned[(cls, *key)] = term
            if parts and self._sites:
                self._origins.setdefault(term.skeleton, self._sites)
        return term

    # ------------------------------------------------------------------------------------------ the user's lines
    def origin(self, term: Term) -> frozenset[Site]:
        """The lines that the term comes from, as far as is known."""
        return self._origins.get(term.skeleton, frozenset())

    def tied(self, term: Term, sites: frozenset[Site]) -> Term:
        """The term, tied to further lines."""
        if sites:
            self._origins[term.skeleton] = self.origin(term) | sites
        return term

    def inherit(self, term: Term, other: Term) -> Term:
        """The term, which is another one in a new form: it comes from where that came from, if nothing else is known."""
        if term is not other and term.parts() and term.skeleton not in self._origins:
            self.tied(term, self.origin(other))
        return term

    @contextmanager
    def originating(self, sites: frozenset[Site]) -> Iterator[None]:
        """What is made meanwhile, and is more than an argument or a number, comes from these lines."""
        before, self._sites = self._sites, sites or self._sites
        try:
            yield
        finally:
            self._sites = before

    def _leaf(self, cls: type[Any], name: str) -> Any:
        return self._intern(cls, (name,), (name,), (), name=name)

    def number(self, value: int | Fraction) -> Number:
        value = Fraction(value)
        made: Number = self._intern(Number, (value,), (value,), (), value=value)
        return made

    def constant(self, name: str) -> Term:
        """`pi`, `E`, `inf` or `nan`."""
        made: Term = self._leaf(Constant, name)
        return made

    def lift(self, value: Any) -> Term:
        """A term as it is; a number as a term."""
        return value if isinstance(value, Term) else self.number(Fraction(value))

    def size(self, size: Size) -> Term:
        """A size as a number."""
        if not isinstance(size, SizeExpr):
            return self.number(size)
        total: list[Term] = []
        for monomial, coefficient in size.terms:
            total.append(self.mul(self.number(coefficient), *(self._size_atom(a) for a in monomial)))
        return self.add(*total)

    def _size_atom(self, atom: Symbol | Opaque) -> Term:
        if isinstance(atom, Symbol):
            made: Term = self._leaf(SizeTerm, atom.name)
            return made
        op = get({"//": "floor_divide", "%": "remainder", "min": "minimum", "max": "maximum"}[atom.op])
        return self.apply(op, (self.size(atom.left), self.size(atom.right)))

    def fresh(self, size: Size) -> Label:
        """A label that occurs nowhere else."""
        return Label(f"t{next(self._fresh)}", size)

    # ------------------------------------------------------------------------------------------ leaves with labels
    def index(self, index: Index) -> Index:
        """A label for the position of a label, any other index as it is."""
        return index.label if isinstance(index, Position) else index

    def position(self, label: Label) -> Term:
        made: Term = self._intern(Position, (label,), (), (), (label,), label=label)
        return made

    def as_term(self, index: Index) -> Term:
        """An index as a number."""
        return index if isinstance(index, Term) else self.position(index)

    def at(self, name: str, indices: Sequence[Index]) -> Term:
        """`name[indices]`; with no indices, a scalar."""
        indices = tuple(map(self.index, indices))
        parts = [i for i in indices if isinstance(i, Term)]
        symmetric = len(indices) > 1 and "symmetric" in self.promises.get(name, "").split()
        made: Term = self._intern(At, (name, _places(indices, symmetric)), (name, self._erased(indices)), parts,
                                  [i for i in indices if isinstance(i, Label)], name=name, indices=indices, symmetric=symmetric)
        return made

    def delta(self, left: Index, right: Index) -> Term:
        """1 where the indices are equal, else 0; `left` ranges over all values of `right`."""
        left, right = self.index(left), self.index(right)
        if left is right or left == right:
            return self.one
        if isinstance(left, Number) and isinstance(right, Number):
            return self.zero
        if isinstance(left, Term) and isinstance(right, Term):
            bare = self._bare(left - right)
            if bare is not None:
                host, guest = bare
                inside = isinstance(host, Label) and host in left.free
                return self.delta(host, guest) if inside else self.delta(guest, host)
            apart = left - right  # what both have in common does not count
            items = apart.items if isinstance(apart, Add) else (self.unit(apart),)
            left, right = (self.add(*(self.number(abs(c)) * t for c, t in items if (c > 0) == above)) for above in (True, False))
        same = isinstance(left, Label) and isinstance(right, Label) and left.size == right.size
        key = frozenset((left, right)) if same else (left, right)
        parts = [i for i in (left, right) if isinstance(i, Term)]
        made: Term = self._intern(Delta, (key,), (self._erased((left, right)),), parts,
                                  [i for i in (left, right) if isinstance(i, Label)], left=left, right=right)
        return made

    def _bare(self, difference: Term) -> tuple[Index, Index] | None:
        """The indices i, k of a difference c*(i - k) of which one is a label."""
        items = difference.items if isinstance(difference, Add) else (self.unit(difference),)
        ramps = [(c, t) for c, t in items if isinstance(t, Position)]
        if len(ramps) == 2 == len(items) and ramps[0][0] == -ramps[1][0]:
            return ramps[0][1].label, ramps[1][1].label
        if len(ramps) == 1 and abs(ramps[0][0]) == 1:
            c, ramp = ramps[0]
            rest = self.add(*(self.number(-d / c) * t for d, t in items if t is not ramp))
            return (ramp.label, rest) if not rest.free else None
        return None

    def _erased(self, indices: Sequence[Index]) -> tuple[int, ...]:
        return tuple(i.skeleton if isinstance(i, Term) else -1 for i in indices)

    # ------------------------------------------------------------------------------------------ sums
    def unit(self, term: Term) -> tuple[Fraction, Term]:
        """`(c, u)` with `term = c*u`, where u has no coefficient."""
        if isinstance(term, Number):
            return term.value, self.one
        if isinstance(term, Mul) and term.coefficient != 1:
            return term.coefficient, self.make_mul(Fraction(1), term.bound, term.factors)
        return Fraction(1), term

    def add(self, *terms: Term) -> Term:
        """The sum, like terms collected."""
        items: dict[Term, Fraction] = {}
        for term in terms:
            scale, rest = self.unit(term)
            for c, t in rest.items if isinstance(rest, Add) else ((Fraction(1), rest),):
                items[t] = items.get(t, Fraction(0)) + c * scale
        if len(items) > 1:
            identities.choices_added(self, items)
        return self.make_add(tuple((c, t) for t, c in items.items() if c))

    def make_add(self, items: tuple[tuple[Fraction, Term], ...]) -> Term:
        """A sum from items that are collected already."""
        if not items:
            return self.zero
        if len(items) == 1:
            c, t = items[0]
            return self.number(c) if t is self.one else t if c == 1 else self._scaled(c, t)
        skeleton = tuple(sorted((t.skeleton, c) for c, t in items))
        parts = [t for _, t in sorted(items, key=lambda item: (item[1].skeleton, item[0]))]
        made: Term = self._intern(Add, (frozenset(items),), (skeleton,), parts, items=items)
        return made

    def _scaled(self, c: Fraction, term: Term) -> Term:
        if isinstance(term, Mul):
            return self.make_mul(c * term.coefficient, term.bound, term.factors)
        return self.make_mul(c, (), ((term, self.one),))

    # ------------------------------------------------------------------------------------------ products
    def mul(self, *terms: Term, bound: Sequence[Label] = ()) -> Term:
        """The product, powers collected; summed over the labels in `bound`."""
        product = Product(self, bound)
        for term in sorted(terms, key=lambda t: isinstance(t, Mul) and bool(t.bound)):  # a sum may cancel what divides by it
            product.multiply(term, self.one)
        return product.finish()

    def make_mul(self, coefficient: Fraction, bound: tuple[Label, ...], factors: tuple[tuple[Term, Term], ...]) -> Term:
        """A product from factors that are collected already."""
        if not factors:
            return self.number(coefficient)
        if coefficient == 1 and not bound and len(factors) == 1 and factors[0][1] is self.one:
            return factors[0][0]
        pairs = sorted(factors, key=lambda f: (f[0].skeleton, f[1].skeleton)) if not bound else list(factors)
        skeleton = (coefficient, len(bound), tuple((b.skeleton, e.skeleton) for b, e in pairs))
        parts = [t for pair in pairs for t in pair]
        made: Term = self._intern(Mul, (coefficient, frozenset(bound), frozenset(factors)), skeleton, parts, (), bound,
                                  coefficient=coefficient, bound=bound, factors=factors)
        return made

    def power(self, base: Term, exponent: Term) -> Term:
        """`base**exponent` over the reals."""
        one = self.one
        if exponent is self.zero:
            return one
        if exponent is one or base is one:
            return base
        product = Product(self, ())
        if isinstance(base, Mul):
            self._power_of_product(product, base, exponent)
        elif isinstance(base, Add) and whole(exponent):
            content, rest = self.content(base)
            product.multiply(self.number(content), exponent)
            special = identities.power_of_sum(self, rest, exponent)
            product.put(special[0], special[1]) if special else product.put(rest, exponent)
        elif base is self.e:
            return identities.exponential(self, exponent)
        else:
            product.multiply(base, exponent)
        return product.finish()

    def _power_of_product(self, product: Product, base: Mul, exponent: Term) -> None:
        """(a*b)**k is a**k * b**k where k is whole, or for the factors that are known to be positive."""
        integer = whole(exponent)
        if base.bound:
            c, rest = self.unit(base)
            inside = tuple(f for f in base.factors if any(label in t.free for t in f for label in base.bound))
            if integer and len(inside) < len(base.factors):  # what is not summed over
                outside = [self.power(b, e) for b, e in base.factors if (b, e) not in inside]
                product.multiply(self.power(self.mul(self.number(c), *outside), exponent), self.one)
                product.put(self.mul(*(self.power(b, e) for b, e in inside), bound=base.bound), exponent)
            elif c > 0 or integer:
                product.multiply(self.number(c), exponent)
                product.put(rest, exponent)
            else:
                product.put(base, exponent)
            return
        kept: list[tuple[Term, Term]] = []
        for b, e in base.factors:
            if not integer and whole(e) and int(e.value) % 2 == 0:  # type: ignore[attr-defined]
                product.multiply(self.power(self.apply("abs", (b,)), self.mul(e, exponent)), self.one)
            elif integer or is_positive(b) or (len(base.factors) == 1 and base.coefficient == 1 and isinstance(e, Number)):
                product.multiply(self.power(b, self.mul(e, exponent)), self.one)
            else:
                kept.append((b, e))
        c = base.coefficient
        if c > 0 or integer:
            product.multiply(self.power(self.number(c), exponent), self.one)
            c = Fraction(1)
        elif c != -1:
            product.multiply(self.power(self.number(-c), exponent), self.one)
            c = Fraction(-1)
        rest = self.make_mul(c, (), tuple(kept))
        if rest is not self.one:
            product.put(rest, exponent)

    def known_negative(self, base: Add) -> Add | None:
        """The sum of the opposite sign, if one of its form was ever made (of whatever labels) and it has a positive term."""
        if all(c > 0 for c, _ in base.items):
            return None
        if (Add, tuple(sorted((t.skeleton, -c) for c, t in base.items))) not in self._skeletons:
            return None
        found = self.make_add(tuple((-c, t) for c, t in base.items))
        return found if isinstance(found, Add) else None

    def content(self, base: Add) -> tuple[Fraction, Term]:
        """`(c, rest)` with `base = c*rest`: the coefficient that all items share, and the sign."""
        c = abs(base.items[0][0])
        if any(k != c and k != -c for k, _ in base.items):
            c = Fraction(1)
        if all(k < 0 for k, _ in base.items):
            c = -c
        return c, base if c == 1 else self.make_add(tuple((k / c, t) for k, t in base.items))

    # ------------------------------------------------------------------------------------------ functions
    def apply(self, function: Function | str, args: Sequence[Term], params: tuple[Any, ...] = ()) -> Term:
        """A function of numbers, simplified where that is an identity over the reals."""
        if isinstance(function, str):
            function = get(function)
        args = tuple(args)
        simpler = identities.applied(self, function, args)
        if simpler is not None:
            return simpler
        same = frozenset(args) if getattr(function, "commutative", False) and len(set(args)) == 2 else args
        made: Term = self._intern(Apply, (function.name, same, params), (function.name, params, tuple(a.skeleton for a in args)),
                                  args, function=function, args=args, params=params)
        return made

    def exp(self, x: Term) -> Term:
        """E to the power x."""
        return self.power(self.e, x)

    def __getattr__(self, name: str) -> Callable[..., Term]:
        """`table.log(x)`: the functions in which the op table explains other functions."""
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args: self.apply(name, [self.lift(a) for a in args])

    def sqrt(self, x: Term) -> Term:
        """The square root, which is a power here."""
        return self.power(x, self.number(Fraction(1, 2)))

    def indicator(self, condition: Term) -> Term:
        """1 where the condition holds, else 0."""
        return self.apply("where", (condition, self.one, self.zero))

    def reduce(self, function: Function, bound: Sequence[Label], body: Term) -> Term:
        """A reduction other than a sum, over labels of the body."""
        kept = [label for label in bound if label in body.free]
        counted = all(isinstance(label.size, int) and label.size for label in bound)  # of nothing, any() is false
        if (function.name in ("max", "min") or (counted and function.name in ("any", "all"))) and not kept:
            return body
        names = {label: Label(f"b{body.depth + 1}.{k}", label.size) for k, label in enumerate(bound)}
        body = self.substitute(body, names)
        labels = tuple(names.values())
        made: Term = self._intern(Reduce, (function.name, labels, body), (function.name, len(labels), body.skeleton), (body,), (),
                                  labels, function=function, bound=labels, body=body)
        return made

    def call(self, function: Function, arrays: Sequence[Lambda], params: tuple[Any, ...], shape: tuple[Size, ...],
             indices: Sequence[Index], symmetric: bool = False) -> Term:
        """An element of a function of whole arrays; `symmetric`: it is known to be symmetric in its last two indices."""
        if calls.turns(function):
            inside = calls.inverse_of_inverse(function, arrays[0])
            if inside is not None:
                return self.substitute(inside.arrays[0].body, dict(zip(inside.arrays[0].labels, indices, strict=True)))
            arrays, shape, indices = calls.oriented(self, function, arrays, shape, indices)
            symmetric = symmetric or (bool(indices) and calls.is_symmetric(self, arrays[0]))
        piece = calls.piece(self, arrays, params, indices) if function.name == "concatenate" else None
        if piece is not None:
            return piece
        depth = max(a.body.depth for a in arrays) + 1
        closed = []
        for labels, body in arrays:
            names = {label: Label(f"b{depth}.{k}", label.size) for k, label in enumerate(labels)}
            closed.append(Lambda(tuple(names.values()), self.substitute(body, names)))
        bound = tuple({label: None for a in closed for label in a.labels}) or (Label(f"b{depth}", 1),)
        indices = tuple(map(self.index, indices))
        parts = (*(a.body for a in closed), *(i for i in indices if isinstance(i, Term)))
        own = [i for i in indices if isinstance(i, Label)]
        skeleton = (function.name, params, shape, tuple(a.body.skeleton for a in closed), self._erased(indices))
        key = (function.name, tuple(closed), params, shape, _places(indices, symmetric))
        made: Term = self._intern(Call, key, skeleton, parts, own, bound,
                                  function=function, arrays=tuple(closed), params=params, shape=shape, indices=indices, symmetric=symmetric)
        return made

    # ------------------------------------------------------------------------------------------ how numbers are written
    def written(self, value: Fraction) -> Fraction:
        """The number as it is written beside the user's decimals."""
        if value not in self._written:
            self._written[value] = numbers.like_literals(value, self.literals)
        return self._written[value]

    def coefficient(self, value: Fraction, alone: bool) -> Fraction:
        """The coefficient as it is written in a product; `alone`: with nothing beside it above the line, and something below it."""
        if (value, alone) not in self._coefficients:
            self._coefficients[value, alone] = numbers.as_coefficient(value, self.literals, alone)
        return self._coefficients[value, alone]

    # ------------------------------------------------------------------------------------------ rewriting
    def substitute(self, term: Term, mapping: Mapping[Label, Index]) -> Term:
        """The term with free labels replaced."""
        mapping = {a: b for a, b in mapping.items() if a is not b and a != b}
        if not any(label in mapping for label in term.free):
            return term
        renaming = all(isinstance(b, Label) for b in mapping.values()) and len(set(mapping.values())) == len(mapping)
        done: dict[Term, Term] = {}
        for t in postorder([term], lambda t: any(label in mapping for label in t.free)):
            injective = renaming and not any(t_label in mapping.values() and t_label not in mapping for t_label in t.free)
            with self.originating(self.origin(t)):
                done[t] = self.inherit(self._replaced(t, done, mapping, injective), t)
        return done[term]

    def replace(self, term: Term, old: Mapping[Term, Term]) -> Term:
        """The term with sub-terms replaced."""
        done = dict(old)
        for t in postorder([term], lambda t: t not in old):
            if t not in done:
                done[t] = self.with_parts(t, done)
        return done.get(term, term)

    def with_parts(self, term: Term, done: Mapping[Term, Term]) -> Term:
        """One term with its parts replaced."""
        if all(done.get(p, p) is p for p in term.parts()):
            return term
        with self.originating(self.origin(term)):
            return self.inherit(self._replaced(term, done, {}, False), term)

    def _replaced(self, term: Term, done: Mapping[Term, Term], mapping: Mapping[Label, Index], renaming: bool) -> Term:
        """One term, remade from its parts; a mere renaming keeps its form."""

        def new(t: Term) -> Term:
            return done.get(t, t)

        def new_indices(indices: Sequence[Index]) -> list[Index]:
            return [new(i) if isinstance(i, Term) else mapping.get(i, i) for i in indices]

        match term:
            case Position():
                index = mapping.get(term.label, term.label)
                return self.as_term(index)
            case At():
                return self.at(term.name, new_indices(term.indices))
            case Delta():
                return self.delta(*new_indices((term.left, term.right)))
            case Add():
                if renaming:
                    return self.make_add(tuple((c, new(t)) for c, t in term.items))
                return self.add(*(self.mul(self.number(c), new(t)) for c, t in term.items))
            case Mul():
                if renaming:
                    factors = tuple((new(b), new(e)) for b, e in term.factors)
                    alike = term.bound and len({(b.skeleton, e.skeleton) for b, e in factors}) < len(factors)
                    if alike:  # what bound labels are called depends on the names of the free ones
                        return Product(self, term.bound).closed(factors, term.coefficient)
                    return self.make_mul(term.coefficient, term.bound, factors)
                opened = {label: self.fresh(label.size) for label in term.bound}
                powers = [self.substitute(self.power(new(b), new(e)), opened) for b, e in term.factors]
                return self.mul(self.number(term.coefficient), *powers, bound=tuple(opened.values()))
            case Apply():
                return self.apply(term.function, tuple(map(new, term.args)), term.params)
            case Reduce():
                opened = {label: self.fresh(label.size) for label in term.bound}
                return self.reduce(term.function, tuple(opened.values()), self.substitute(new(term.body), opened))
            case Call():
                arrays = [Lambda(a.labels, new(a.body)) for a in term.arrays]
                return self.call(term.function, arrays, term.params, term.shape, new_indices(term.indices), term.symmetric)
        return term

    def opened(self, term: Mul) -> tuple[list[tuple[Term, Term]], tuple[Label, ...]]:
        """The factors with fresh labels in place of the bound ones, and these labels."""
        if not term.bound:
            return list(term.factors), ()
        names = {label: self.fresh(label.size) for label in term.bound}
        return [(self.substitute(b, names), self.substitute(e, names)) for b, e in term.factors], tuple(names.values())


def _places(indices: tuple[Index, ...], symmetric: bool) -> tuple[Any, ...]:
    """Indices, equal for those that differ in the order of the last two only where that makes no difference."""
    return (*indices[:-2], frozenset(indices[-2:])) if symmetric else indices
