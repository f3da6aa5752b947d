"""From the IR to terms: the element of every node as a function of the labels of its axes."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction

from ..ir import Node, toposort
from ..provenance import Site
from ..sizes import Size
from . import numbers, read_matrices, reshapes
from .algebra import Table
from .terms import Apply, Index, Label, Lambda, Number, Term, axes, postorder

__all__ = ["axes", "is_pointwise", "read"]

# Above these a sub-term that is used twice, or nests too deep, gets a name: what is built on it stays small.
SHARED_WEIGHT = 300
LARGEST_WEIGHT = 4000
LARGEST_HEIGHT = 100
HALF = Fraction(1, 2)
_SIGNS = {"add": (1, 1), "sub": (1, -1), "neg": (-1,)}


def is_pointwise(outputs: Sequence[Node]) -> bool:
    """Whether element k of each output depends on the elements k of the inputs, and on scalars, alone."""
    nodes = toposort(outputs)
    shape = max((n.shape for n in outputs), key=len)
    return all(n.shape in (shape, ()) and (n.op.kind == "elementwise" or n.op.name in ("input", "const", "size", "expand"))
               for n in nodes)


class _Reader:
    """Terms of nodes, made inputs first."""

    def __init__(self, table: Table, pointwise: bool, own: frozenset[Node]) -> None:
        self.table = table
        self.pointwise = pointwise
        self.own = own
        self.forms: dict[Node, Term] = {}
        self.inner: set[Node] = set()
        self.asked: set[Term] = set()  # the conditions that are left in the program as it is read

    def sum(self, root: Node) -> Term:
        """A tree of additions, subtractions and negations as one sum, in the order in which it is written."""
        terms = []
        stack = [(root, 1)]
        sites = root.sites
        while stack:
            node, sign = stack.pop()
            if node is root or node in self.inner:
                sites |= node.sites
                stack += reversed([(x, s * sign) for x, s in zip(node.inputs, _SIGNS[node.op.name], strict=True)])
            else:
                terms.append(self.forms[node] if sign > 0 else -self.forms[node])
        total = terms[0] if len(terms) == 1 else self.table.add(*terms)
        return self.tied(total, sites)

    def axes(self, node: Node) -> tuple[Label, ...]:
        return () if self.pointwise else axes(node.shape)

    def read(self, node: Node) -> Term:
        reader = _READERS.get(node.op.name) or _BY_KIND.get(node.op.kind, _call)
        return reader(self, node)

    def made(self, node: Node) -> Term:
        """The node's term, tied to the lines that made the node."""
        with self.table.originating(node.sites):
            return self.sum(node) if node.op.name in _SIGNS else self.tied(self.read(node), node.sites)

    def tied(self, term: Term, sites: frozenset[Site]) -> Term:
        """The term, tied to lines; an argument or a number stands in too many of them."""
        return self.table.tied(term, sites) if term.parts() else term

    def __getitem__(self, node: Node) -> Term:
        return self.forms[node]

    def moved(self, node: Node, indices: Sequence[Index]) -> Term:
        """The element of a node at indices, one for each axis."""
        mapping: dict[Label, Index] = {}
        for label, index in zip(axes(node.shape), indices, strict=True):
            mapping[label] = self.table.index(index)
        return self.table.substitute(self.forms[node], mapping)

    def finished(self, program: Term) -> None:
        """All of the program is read: choices that it has no longer are for single points, and so are they in its parts."""
        bodies = [program, *(d.body for d in self.table.definitions.values())]
        self.asked = {t.args[0] for t in postorder(bodies) if isinstance(t, Apply) and t.function.name == "where"}
        plain: dict[Term, Term] = {}
        for t in postorder(self.forms.values()):
            made = self.table.with_parts(t, plain)
            if isinstance(made, Apply) and made.function.name == "where" and made.args[0] not in self.asked and _at_a_point(made.args[0]):
                made = made.args[2]
            if made is not t:
                plain[t] = made
        self.forms = {node: plain.get(t, t) for node, t in self.forms.items()}

    def is_care(self, node: Node, condition: Node) -> bool:
        """Whether a choice by this condition is made for a single point only, by differentiation or for it."""
        asked = condition.inputs if condition.op.name == "and_" else (condition,)
        if not any(c.op.name == "eq" and any(i.op.name == "const" for i in c.inputs) for c in asked):
            return False
        return condition not in self.own or (node not in self.own and self[condition] not in self.asked)

    def in_general(self, node: Node, condition: Node) -> Term:
        """The condition of a choice; of one that only a derivative makes, without the single points that it names beside others."""
        term = self[condition]
        if node in self.own or not (isinstance(term, Apply) and term.function.name in ("and_", "or_", "not_")):
            return term
        points = [t for t in postorder([term]) if _at_a_point(t) and t not in self.asked]
        return self.table.replace(term, dict.fromkeys(points, self.table.false))

    def name(self, node: Node, term: Term) -> Term:
        """A short term for a long one."""
        labels = self.axes(node)
        name = f"@{len(self.table.definitions)}"
        self.table.definitions[name] = Lambda(labels, term)
        return self.table.tied(self.table.at(name, labels), self.table.origin(term))


def read(table: Table, outputs: Sequence[Node], *, pointwise: bool = False, linear_in: Sequence[Node] = ()) -> list[Term]:
    """Terms of the outputs, in the labels of their axes.

    The first output is the program itself. What others ask of equality with a constant, and it does not (or it does no longer once it
    is read), is the care that differentiation takes of single points: the formula is for all the others.

    Args:
        pointwise: read every array as one of its elements, without labels.
        linear_in: inputs that no named sub-term may depend on.
    """
    reader = _Reader(table, pointwise, frozenset(toposort(outputs[:1])))
    order = toposort(outputs)
    uses = Counter(i for node in order for i in node.inputs)
    tangent = set(linear_in)
    users: dict[Node, Node] = {i: node for node in order for i in node.inputs}
    roots = set(outputs)
    for node in order:
        if node.op.name in _SIGNS and uses[node] == 1 and node not in roots and users[node].op.name in _SIGNS:
            reader.inner.add(node)  # part of a longer sum, which is collected once
            if any(i in tangent for i in node.inputs):
                tangent.add(node)
            continue
        term = reader.made(node)
        if any(i in tangent for i in node.inputs):
            tangent.add(node)
        elif term.height > LARGEST_HEIGHT or term.weight > (SHARED_WEIGHT if uses[node] > 1 else LARGEST_WEIGHT):
            term = reader.name(node, term)
        reader.forms[node] = term
        if node is outputs[0]:
            reader.finished(term)
    return [reader.forms[node] for node in outputs]


# ------------------------------------------------------------------------------------------------ leaves
def _input(r: _Reader, node: Node) -> Term:
    return r.table.at(node.param("name"), r.axes(node))


def _const(r: _Reader, node: Node) -> Term:
    return numbers.read(r.table, node.value)


def _iota(r: _Reader, node: Node) -> Term:
    return r.table.position(axes(node.shape)[node.param("axis")])


def _size(r: _Reader, node: Node) -> Term:
    return r.table.size(node.param("size"))


# ------------------------------------------------------------------------------------------------ elements
def _elementwise(r: _Reader, node: Node) -> Term:
    return r.table.apply(node.op, [r[i] for i in node.inputs], node.params)


def _where(r: _Reader, node: Node) -> Term:
    condition, yes, no = node.inputs
    while condition.op.name in ("expand", "not_"):
        if condition.op.name == "not_":
            yes, no = no, yes
        (condition,) = condition.inputs
    decided = r[condition] in (r.table.true, r.table.false)
    tie = isinstance(r[yes], Number) and r[yes] is r.table.number(HALF)  # how a maximum of equal numbers is split
    if not decided and not tie and r.is_care(node, condition):
        return r[no]
    return r.table.apply(node.op, (r.in_general(node, condition), r[yes], r[no]))


def _cast(r: _Reader, node: Node) -> Term:
    (x,) = node.inputs
    if x.dtype.kind == "b" and node.dtype.kind != "b":
        return r.table.indicator(r[x])
    if x.dtype.kind == "f" and node.dtype.kind in "iu":
        return r.table.apply("trunc", (r[x],))
    if x.dtype.kind != "b" and node.dtype.kind == "b":
        return r.table.apply("ne", (r[x], r.table.zero))
    return r[x]


# ------------------------------------------------------------------------------------------------ sums
def _opened(r: _Reader, node: Node) -> tuple[Term, list[Label]]:
    """The reduced node's element in fresh labels for the reduced axes, the result's for the others; the fresh ones."""
    (x,) = node.inputs
    reduced = node.param("axes")
    kept = iter(axes(node.shape))
    indices = [r.table.fresh(size) if k in reduced else next(kept) for k, size in enumerate(x.shape)]
    return r.moved(x, indices), [indices[k] for k in reduced]


def _sum(r: _Reader, node: Node) -> Term:
    body, bound = _opened(r, node)
    flat = reshapes.unreshaped(r.table, body, tuple(bound))
    if flat:
        return r.table.mul(flat[0], bound=flat[1])
    (body,), bound = reshapes.split_labels(r.table, [body], bound)
    return r.table.mul(body, bound=bound)


def _reduce(r: _Reader, node: Node) -> Term:
    body, bound = _opened(r, node)
    return r.table.reduce(node.op, bound, body)


def _contract(r: _Reader, node: Node) -> Term:
    left, right, out = node.params
    of: dict[str, Label] = dict(zip(out, axes(node.shape), strict=True))
    bound = []
    for x, letters in zip(node.inputs, (left, right), strict=True):
        for letter, size in zip(letters, x.shape, strict=True):
            if letter not in of:
                of[letter] = r.table.fresh(size)
                bound.append(of[letter])
    factors = [r.moved(x, [of[c] for c in letters]) for x, letters in zip(node.inputs, (left, right), strict=True)]
    factors, bound = reshapes.split_labels(r.table, factors, bound)
    return r.table.mul(*factors, bound=bound)


# ------------------------------------------------------------------------------------------------ movement
def _expand(r: _Reader, node: Node) -> Term:
    (x,), labels = node.inputs, axes(node.shape)
    return r[x] if r.pointwise else r.moved(x, [labels[a] for a in node.param("axes")])


def _permute(r: _Reader, node: Node) -> Term:
    (x,), labels, order = node.inputs, axes(node.shape), node.param("order")
    return r.moved(x, [labels[order.index(k)] for k in range(x.ndim)])


def _reshape(r: _Reader, node: Node) -> Term:
    (x,), labels = node.inputs, axes(node.shape)
    wide = [label for label in labels if label.size != 1]
    if [s for s in x.shape if s != 1] == [label.size for label in wide]:
        kept = iter(wide)
        return r.moved(x, [r.table.zero if s == 1 else next(kept) for s in x.shape])
    if not r[x].free:
        return r[x]
    back = reshapes.unreshaped(r.table, r[x], axes(x.shape))
    if back and [label.size for label in back[1]] == list(node.shape):
        return r.table.substitute(back[0], dict(zip(back[1], labels, strict=True)))
    parted = reshapes.split_deltas(r.table, Lambda(axes(x.shape), r[x]), node.shape, labels)
    if parted is None and len(node.shape) > 2:  # no matrix notation has them: elements by index
        parted = reshapes.by_index(r.table, Lambda(axes(x.shape), r[x]), node.shape, labels)
    return _call(r, node) if parted is None else parted


def _affine(r: _Reader, start: Size, step: int, label: Label) -> Index:
    if label.size == 1:
        return r.table.size(start)
    return r.table.index(r.table.size(start) + step * r.table.position(label))


def _slice(r: _Reader, node: Node) -> Term:
    (x,) = node.inputs
    places = zip(node.param("start"), node.param("step"), axes(node.shape), strict=True)
    return r.moved(x, [_affine(r, *place) for place in places])


def _place(r: _Reader, node: Node) -> Term:
    (x,) = node.inputs
    indices: list[Index] = []
    bound, deltas = [], []
    for label, size, start, step in zip(axes(node.shape), x.shape, node.param("start"), node.param("step"), strict=True):
        if start == 0 and step == 1 and size == label.size:
            indices.append(label)
            continue
        if size == 1:
            indices.append(r.table.zero)
            deltas.append(r.table.delta(label, r.table.size(start)))
            continue
        inner = r.table.fresh(size)
        bound.append(inner)
        indices.append(inner)
        deltas.append(r.table.delta(label, _affine(r, start, step, inner)))
    return r.table.mul(r.moved(x, indices), *deltas, bound=bound)


def _flip(r: _Reader, node: Node) -> Term:
    (x,) = node.inputs
    return r.moved(x, [r.table.size(label.size - 1) - r.table.position(label) if k in node.param("axes") else label
                       for k, label in enumerate(axes(node.shape))])


def _place_of(r: _Reader, index: Node, mapping: dict[Label, Index]) -> Index:
    """An index array's element as an index; counting from the end is left to whoever reads it, as in NumPy."""
    term = r[index]
    if isinstance(term, Apply) and term.function.name == "where":
        condition, _, plain = term.args
        if isinstance(condition, Apply) and condition.function.name == "lt" and condition.args == (plain, r.table.zero):
            term = plain
    return r.table.index(r.table.substitute(term, mapping))


def _gather(r: _Reader, node: Node) -> Term:
    x, *indices = node.inputs
    rest = iter(axes(node.shape)[indices[0].ndim:])
    at = dict(zip(node.param("axes"), indices, strict=True))
    return r.moved(x, [_place_of(r, at[k], {}) if k in at else next(rest) for k in range(x.ndim)])


def _scatter_add(r: _Reader, node: Node) -> Term:
    values, *indices = node.inputs
    depth, labels = indices[0].ndim, axes(node.shape)
    bound = [r.table.fresh(size) for size in indices[0].shape]
    inner: dict[Label, Index] = dict(zip(axes(indices[0].shape), bound, strict=True))
    scattered = node.param("axes")
    rest = [label for k, label in enumerate(labels) if k not in scattered]
    deltas = [r.table.delta(labels[a], _place_of(r, i, inner)) for a, i in zip(scattered, indices, strict=True)]
    assert len(rest) == values.ndim - depth
    return r.table.mul(r.moved(values, [*bound, *rest]), *deltas, bound=bound)


def _scatter(r: _Reader, node: Node) -> Term:
    """Elements written to places that are known to differ: what was there before, but where one of them is written."""
    x, values, *indices = node.inputs
    labels = axes(node.shape)
    bound = [r.table.fresh(size) for size in indices[0].shape]
    inner: dict[Label, Index] = dict(zip(axes(indices[0].shape), bound, strict=True))
    places = [_place_of(r, i, inner) for i in indices]
    if not set(bound) <= {p for p in places if isinstance(p, Label)}:
        return _call(r, node)
    written = node.param("axes")
    here = [r.table.delta(labels[a], p) for a, p in zip(written, places, strict=True)]
    rest = [label for k, label in enumerate(labels) if k not in written]
    return (1 - r.table.mul(*here, bound=bound)) * r[x] + r.table.mul(r.moved(values, [*bound, *rest]), *here, bound=bound)


def _diagonal(r: _Reader, node: Node) -> Term:
    labels = axes(node.shape)
    return r.moved(node.inputs[0], [labels[role] for role in node.param("roles")])


def _embed(r: _Reader, node: Node) -> Term:
    labels, roles = axes(node.shape), node.param("roles")
    first = [labels[roles.index(k)] for k in range(node.inputs[0].ndim)]
    deltas = [r.table.delta(label, first[k]) for label, k in zip(labels, roles, strict=True) if label is not first[k]]
    return r.table.mul(r.moved(node.inputs[0], first), *deltas)


# ------------------------------------------------------------------------------------------------ whole arrays
def _call(r: _Reader, node: Node) -> Term:
    arrays = [Lambda(axes(i.shape), r[i]) for i in node.inputs]
    return r.table.call(node.op, arrays, node.params, node.shape, axes(node.shape))


_READERS: dict[str, Callable[[_Reader, Node], Term]] = {
    "where": _where, "input": _input, "const": _const, "iota": _iota, "size": _size, "cast": _cast, "sum": _sum, "contract": _contract,
    "expand": _expand, "permute": _permute, "reshape": _reshape, "slice": _slice, "place": _place, "flip": _flip,
    "diagonal": _diagonal, "embed": _embed, "gather": _gather,
    "scatter_add": _scatter_add, "scatter": _scatter, **read_matrices.READERS,
}
_BY_KIND: dict[str, Callable[[_Reader, Node], Term]] = {"elementwise": _elementwise, "reduce": _reduce}


def _at_a_point(condition: Term) -> bool:
    """Whether it is an equality with a number."""
    return isinstance(condition, Apply) and condition.function.name == "eq" and any(isinstance(a, Number) for a in condition.args)
