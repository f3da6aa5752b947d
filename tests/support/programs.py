"""A Hypothesis strategy of random programs: well-typed graphs of every family of ops, with inputs to run them on.

    @given(programs())
    def test(program):
        expected = program.expected          # what the interpreter gives for program.arrays

Programs are tame on purpose, so that another evaluator can be compared with the interpreter by a small tolerance:
every value met is finite and moderate, arguments are brought into the domain of the function that takes them, and what
is discontinuous (comparisons, floor, argmax, ...) is only applied to values that no rounding has touched.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from chainrule.compiler import ops, sizes
from chainrule.compiler.interpret import evaluate_node, quiet
from chainrule.compiler.ir import Graph, Node, constant, f, kind_of, make
from chainrule.compiler.op import Op, all_ops, get
from chainrule.compiler.ops import special

_ = ops  # the table is declared by importing it

INT64, BOOL = np.dtype(np.int64), np.dtype(bool)
FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
LARGEST = 1e4

# How an argument is brought into a function's domain; what is not listed is applied to x itself, or to tanh(x).
POSITIVE = ("log", "log2", "log10", "log1p", "sqrt", "rsqrt", "lgamma", "digamma", "polygamma", "reciprocal", "cbrt")
UNIT = ("arcsin", "arccos", "arctanh", "erfinv")
ABOVE_ONE = ("arccosh",)
DISCONTINUOUS = frozenset((
    "floor", "ceil", "trunc", "round", "sign", "floor_divide", "remainder", "fmod", "eq", "ne", "lt", "le", "gt", "ge",
    "isnan", "isinf", "isfinite", "argmax", "argmin", "argsort", "nonzero", "abs", "maximum", "minimum", "max", "min",
))
# Ops whose result is exact when their operands are: no rounding of floats.
EXACT = frozenset((
    "neg", "abs", "sign", "floor", "ceil", "trunc", "round", "maximum", "minimum", "where", "max", "min", "gather",
    "scatter", "stop_gradient",
))
NOT_ZERO = ("div", "floor_divide", "remainder", "fmod")  # in the second operand
INDEXING = ("gather", "scatter_add", "scatter")
SCANS = ("cumsum", "argsort")
LOOPS = ("scan", "cond", "checkpoint", "custom", "while", "while_states")  # not grown: their bodies are programs
LINALG = ("inverse", "solve", "det", "cofactor", "logabsdet", "detsign")
# not grown: of arbitrary matrices they are not defined, or jump (signs of vectors, ties of eigenvalues)
FACTORIZATIONS = ("cholesky", "triangular_solve", "eigenvalues", "eigenvectors", "singular_values", "left_singular_vectors",
                  "right_singular_vectors", "qr_q", "qr_r", "pseudo_inverse", "matrix_exp", "matrix_exp_change", "cofactor_change",
                  "lu", "lu_solve", "lu_inverse")


@dataclass(frozen=True)
class Program:
    """A graph with arrays for its inputs, and the interpreter's outputs for them."""

    graph: Graph
    arrays: list[Any]
    expected: list[Any]

    def __repr__(self) -> str:
        inputs = "\n".join(f"  {a.dtype}{list(a.shape)} strides {a.strides}: {a.tolist()}" for a in self.arrays)
        return f"{self.graph}\n{inputs}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


@dataclass
class Pool:
    """The nodes grown so far, with their values."""

    draw: Any
    bound: dict[str, int]
    values: dict[Node, Any] = field(default_factory=dict)
    exact: set[Node] = field(default_factory=set)

    def add(self, node: Node) -> Node | None:
        """Take a node in (with what it is made of) unless its value is infinite, undefined or large."""
        if node.ndim > 4:
            return None
        stack = [node]
        while stack:
            top = stack[-1]
            missing = [i for i in top.inputs if i not in self.values]
            if missing:
                stack += missing
                continue
            stack.pop()
            if top in self.values:
                continue
            bound = dict(self.bound)
            with quiet():
                value = np.asarray(evaluate_node(top, [self.values[i] for i in top.inputs], bound))
            tame = value.dtype.kind == "b" or np.all(np.abs(value) < LARGEST)
            if value.size > 400 or not tame:
                return None
            self.bound = bound
            self.values[top] = value
            rounded = top.dtype.kind == "f" and top.op.kind not in ("leaf", "movement") and top.op.name not in EXACT
            if not rounded and all(i in self.exact for i in top.inputs):
                self.exact.add(top)
        return node

    def pick(self, fits: Callable[[Node], bool]) -> Node | None:
        """One of the nodes that fit, the youngest first."""
        found = [n for n in reversed(self.values) if fits(n)]
        return self.draw(st.sampled_from(found)) if found else None

    def size(self, size: sizes.Size) -> int:
        return sizes.evaluate(size, self.bound)

    def same_aval(self, x: Node) -> Node:
        """Another operand of x's shape and dtype: a node, a smaller one repeated, or a constant."""
        exact = x in self.exact
        y = self.pick(lambda n: n.dtype == x.dtype and (n in self.exact or not exact) and axes_into(n, x) is not None)
        if y is None or self.draw(st.integers(0, 3)) == 0:
            return constant(self.number(x.dtype), x.dtype, x.shape)
        axes = axes_into(y, x)
        assert axes is not None
        return y if y.shape == x.shape else f.expand(y, shape=x.shape, axes=axes)

    def number(self, dtype: np.dtype[Any]) -> Any:
        if dtype.kind == "b":
            return self.draw(st.booleans())
        values = [1, 2, 3, 0, -1, -2] if dtype.kind == "i" else [1.0, 0.5, 2.0, -1.5, 0.0, 3.0, 0.1]
        return self.draw(st.sampled_from(values))

    def numbers(self, dtypes: str = "fi") -> Callable[[Node], bool]:
        return lambda n: n.dtype.kind in dtypes

    def indices(self, shape: tuple[sizes.Size, ...], size: sizes.Size) -> Node | None:
        """Valid indices of an axis of `size`: a ramp or an integer node, wrapped."""
        if self.size(size) == 0:
            return None
        source = self.pick(lambda n: n.dtype == INT64 and n.shape == shape)
        if source is None:
            start = constant(self.draw(st.integers(0, 5)), INT64)
            source = make("iota", shape=shape, dtype=INT64, axis=0) if shape else start
        limit = make("size", shape=(), dtype=INT64, size=size)
        return f.remainder(source, limit if not shape else f.expand(limit, shape=shape, axes=()))


def axes_into(x: Node, y: Node) -> tuple[int, ...] | None:
    """Ascending axes of y whose sizes are those of x, if there are."""
    axes: list[int] = []
    start = 0
    for size in x.shape:
        while start < y.ndim and y.shape[start] != size:
            start += 1
        if start == y.ndim:
            return None
        axes.append(start)
        start += 1
    return tuple(axes)


# ------------------------------------------------------------------------------------------------ one builder a family
def elementwise(pool: Pool) -> Node | None:
    op = pool.draw(st.sampled_from([o for o in all_ops() if o.kind == "elementwise" and o.name not in special.NAMES]))
    if op.name == "where":
        x = pool.pick(lambda n: True)
        condition = None if x is None else pool.pick(lambda n: n.dtype == BOOL and axes_into(n, x) is not None)
        if x is None or condition is None:
            return None
        condition = f.expand(condition, shape=x.shape, axes=axes_into(condition, x))
        return f.where(condition, x, pool.same_aval(x))
    exact = op.name in DISCONTINUOUS
    x = pool.pick(lambda n: kind_of(n.dtype) in op.dtypes and (n in pool.exact or not exact or n.dtype.kind != "f"))
    if x is None:
        return None
    if op.name == "cast":
        target = pool.draw(st.sampled_from([*FLOATS, INT64, BOOL]))
        return f.cast(x, dtype=target.name) if x in pool.exact or target.kind == "f" else None
    if op.arity == 1:
        params = {"order": pool.draw(st.integers(0, 2))} if op.name == "polygamma" else {}
        return make(op, [in_domain(pool, op, x)], **params)
    y = pool.same_aval(x)
    if op.name == "pow":
        x = f.abs(x) + 0.5 if x.dtype.kind == "f" else x
        y = constant(pool.draw(st.sampled_from([0, 1, 2, 3])), y.dtype, y.shape) if y.dtype.kind == "i" else f.tanh(y)
    elif op.name in NOT_ZERO:
        whole = exact or y.dtype.kind == "i"
        y = constant(pool.draw(st.sampled_from([2, -3])), y.dtype, y.shape) if whole else f.square(y) + 0.5
    elif op.name.startswith("shift"):
        y = constant(pool.draw(st.integers(0, 3)), y.dtype, y.shape)
    return make(op, [x, y])


def in_domain(pool: Pool, op: Op, x: Node) -> Node:
    """x, brought into the domain of a function of one argument."""
    if x.dtype.kind != "f":
        return x
    if op.name in POSITIVE:
        return f.square(x) + 0.5
    if op.name in UNIT:
        return 0.75 * f.tanh(x)
    if op.name in ABOVE_ONE:
        return f.square(x) + 1.5
    return x if op.name in DISCONTINUOUS or pool.draw(st.booleans()) else f.tanh(x)


def leaf(pool: Pool) -> Node | None:
    x = pool.pick(lambda n: n.ndim > 0)
    name = pool.draw(st.sampled_from(["const", "iota", "size"]))
    dtype = pool.draw(st.sampled_from([*FLOATS, INT64]))
    if x is None or name == "const":
        return constant(pool.number(dtype), dtype, x.shape if x is not None else ())
    axis = pool.draw(st.integers(0, x.ndim - 1))
    if name == "size":
        return make("size", shape=(), dtype=INT64, size=x.shape[axis])
    return make("iota", shape=x.shape, dtype=dtype, axis=axis)


def reduce(pool: Pool) -> Node | None:
    op = pool.draw(st.sampled_from([o for o in all_ops() if o.kind == "reduce"]))
    exact = op.name in DISCONTINUOUS
    x = pool.pick(lambda n: n.ndim > 0 and kind_of(n.dtype) in op.dtypes and (n in pool.exact or not exact))
    if x is None:
        return None
    count = 1 if op.name.startswith("arg") else pool.draw(st.integers(1, x.ndim))
    axes = tuple(sorted(pool.draw(st.permutations(range(x.ndim)))[:count]))
    if exact and any(pool.size(x.shape[a]) == 0 for a in axes):
        return None
    return make(op, [x], axes=axes)


def scan(pool: Pool) -> Node | None:
    op = get(pool.draw(st.sampled_from(SCANS)))
    exact = op.name in DISCONTINUOUS
    x = pool.pick(lambda n: n.ndim > 0 and kind_of(n.dtype) in op.dtypes and (n in pool.exact or not exact))
    return None if x is None else make(op, [x], axis=pool.draw(st.integers(0, x.ndim - 1)))


def movement(pool: Pool) -> Node | None:
    op = pool.draw(st.sampled_from([o for o in all_ops() if o.kind == "movement"]))
    x = pool.pick(lambda n: n.ndim > 0)
    return None if x is None else MOVEMENTS[op.name](pool, x)


def permute(pool: Pool, x: Node) -> Node | None:
    return f.permute(x, order=tuple(pool.draw(st.permutations(range(x.ndim)))))


def flip(pool: Pool, x: Node) -> Node | None:
    return f.flip(x, axes=tuple(sorted(pool.draw(st.sets(st.integers(0, x.ndim - 1), min_size=1)))))


def expand(pool: Pool, x: Node) -> Node | None:
    if x.ndim > 2:
        return None
    place = pool.draw(st.integers(0, x.ndim))
    size = pool.draw(st.sampled_from([1, 2, *x.shape]))
    shape = (*x.shape[:place], size, *x.shape[place:])
    return f.expand(x, shape=shape, axes=tuple(k for k in range(x.ndim + 1) if k != place))


def reshape(pool: Pool, x: Node) -> Node | None:
    axis = pool.draw(st.integers(0, x.ndim - 1))
    merged = (*x.shape[:axis], sizes.product(x.shape[axis:axis + 2]), *x.shape[axis + 2:])
    halves = (2, x.shape[axis] // 2) if x.shape[axis] in (2, 4, 6) else (x.shape[axis],)
    split = (*x.shape[:axis], *halves, *x.shape[axis + 1:])
    ones = (*x.shape[:axis], 1, *x.shape[axis:])
    squeezed = tuple(s for s in x.shape if s != 1)
    return f.reshape(x, shape=pool.draw(st.sampled_from([merged, split, ones, squeezed, (sizes.product(x.shape),)])))


def slice_(pool: Pool, x: Node) -> Node | None:
    axis = pool.draw(st.integers(0, x.ndim - 1))
    size = pool.size(x.shape[axis])
    start, step = pool.draw(st.integers(0, size)), pool.draw(st.integers(1, 3))
    stop = pool.draw(st.integers(0, size - start))
    starts, steps, shape = [0] * x.ndim, [1] * x.ndim, list(x.shape)
    starts[axis], steps[axis] = start, step
    shape[axis] = sizes.floordiv(x.shape[axis] - start - stop + step - 1, step)
    return f.slice(x, start=tuple(starts), step=tuple(steps), shape=tuple(shape))


def place(pool: Pool, x: Node) -> Node | None:
    starts = tuple(pool.draw(st.integers(0, 2)) for _ in x.shape)
    steps = tuple(pool.draw(st.integers(1, 2)) for _ in x.shape)
    ends = tuple(pool.draw(st.integers(0, 2)) for _ in x.shape)
    shape = tuple(a + s * n + e for a, s, n, e in zip(starts, steps, x.shape, ends, strict=True))
    return f.place(x, start=starts, step=steps, shape=shape)


def embed(pool: Pool, x: Node) -> Node | None:
    roles = (*range(x.ndim), *pool.draw(st.lists(st.integers(0, x.ndim - 1), max_size=1))) if x.ndim else ()
    return f.embed(x, roles=tuple(pool.draw(st.permutations(roles))))


def diagonal(pool: Pool, x: Node) -> Node | None:
    """Axes of one size walked together."""
    alike = pool.draw(st.sampled_from(x.shape)) if x.ndim else 0
    first = next((k for k, s in enumerate(x.shape) if s == alike), 0)
    order = list(dict.fromkeys(first if s == alike else k for k, s in enumerate(x.shape)))
    return f.diagonal(x, roles=tuple(order.index(first if s == alike else k) for k, s in enumerate(x.shape)))


def concatenate(pool: Pool, x: Node) -> Node | None:
    axis = pool.draw(st.integers(0, x.ndim - 1))

    def fits(n: Node) -> bool:
        return n.dtype == x.dtype and n.ndim == x.ndim and all(
            a == b for k, (a, b) in enumerate(zip(n.shape, x.shape, strict=True)) if k != axis)

    parts = [pool.pick(fits) for _ in range(pool.draw(st.integers(0, 2)))]
    return f.concatenate(x, *(p for p in parts if p is not None), axis=axis)


MOVEMENTS: dict[str, Callable[[Pool, Node], Node | None]] = {
    "reshape": reshape, "permute": permute, "expand": expand, "slice": slice_, "place": place, "flip": flip,
    "diagonal": diagonal, "embed": embed, "concatenate": concatenate,
}


def index(pool: Pool) -> Node | None:
    op = pool.draw(st.sampled_from(INDEXING))
    x = pool.pick(lambda n: n.ndim > 0 and (op != "scatter_add" or n.dtype.kind in "fi"))
    if x is None:
        return None
    count = pool.draw(st.integers(1, min(2, x.ndim)))
    axes = tuple(sorted(pool.draw(st.permutations(range(x.ndim)))[:count]))
    shape = pool.draw(st.sampled_from([(), (3,), (2, 2), *((s,) for s in x.shape)]))
    indices = [pool.indices(shape, x.shape[a]) for a in axes]
    if any(i is None for i in indices):
        return None
    picked = f.gather(x, *indices, axes=axes)
    if op == "gather":
        return picked
    if pool.add(picked) is None:
        return None
    values = pool.same_aval(picked)
    return f.scatter(x, values, *indices, axes=axes) if op == "scatter" else f.scatter_add(
        values, *indices, axes=axes, shape=x.shape)


def contract(pool: Pool) -> Node | None:
    x = pool.pick(lambda n: n.dtype.kind in "fi")
    y = None if x is None else pool.pick(lambda n: n.dtype == x.dtype)
    if x is None or y is None:
        return None
    left = "abcd"[: x.ndim]
    free = dict(zip(left, x.shape, strict=True))
    right, out = "", list(left)
    for k, size in enumerate(y.shape):
        partners = [c for c, s in free.items() if s == size]
        label = pool.draw(st.sampled_from(["", *partners]))
        if not label:
            label = "wxyz"[k]
            out.append(label)
        else:
            del free[label]
            if pool.draw(st.booleans()):
                out.remove(label)
        right += label
    if len(out) > 4:
        return None
    return f.contract(x, y, left=left, right=right, out="".join(pool.draw(st.permutations(out))))


def linalg(pool: Pool) -> Node | None:
    """Of the well-conditioned matrix x x^T + (1 + columns) I."""
    x = pool.pick(lambda n: n.dtype.kind == "f" and n.ndim in (2, 3))
    if x is None:
        return None
    batch = "b" * (x.ndim - 2)
    gram = f.contract(x, x, left=batch + "nk", right=batch + "mk", out=batch + "nm")
    rows, columns = (make("iota", shape=gram.shape, dtype=INT64, axis=gram.ndim - k) for k in (1, 2))
    matrix = gram + 4.0 * f.cast(f.eq(rows, columns), dtype=x.dtype.name)
    if pool.add(matrix) is None:
        return None
    name = pool.draw(st.sampled_from(LINALG))
    return f.solve(matrix, x) if name == "solve" else make(name, [matrix])


def nonzero(pool: Pool) -> Node | None:
    """A selection by a mask: its length is a size that only running tells."""
    mask = pool.pick(lambda n: n.dtype == BOOL and n.ndim > 0)
    x = None if mask is None else pool.pick(lambda n: n.shape == mask.shape)
    if mask is None or x is None or "u0" in pool.bound:
        return None
    length = (sizes.product(x.shape),)
    where = f.nonzero(f.reshape(mask, shape=length), count=sizes.symbol("u0"))
    return f.gather(f.reshape(x, shape=length), where, axes=(0,))


BUILDERS: dict[str, Callable[[Pool], Node | None]] = {
    "elementwise": elementwise, "leaf": leaf, "reduce": reduce, "movement": movement, "index": index,
    "contract": contract, "linalg": linalg, "scan": scan, "nonzero": nonzero,
}
FAMILIES = tuple(BUILDERS)


# ------------------------------------------------------------------------------------------------ whole programs
def array_of(draw: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
    """Values with zeros and ties among them, in any memory layout."""
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    layout = draw(st.sampled_from(["C", "C", "F", "reversed", "strided", "repeated"]))
    full = tuple(2 * n for n in shape) if layout == "strided" else shape
    if dtype.kind == "b":
        made = random.random(full) < 0.5
    elif dtype.kind == "i":
        made = random.integers(-3, 6, full)
    else:
        made = random.normal(size=full)
        if draw(st.booleans()):
            made = np.round(made * 2) / 2
    made = np.asarray(made, dtype)
    if not shape or layout == "C":
        return made
    if layout == "F":
        return np.asfortranarray(made)
    if layout == "reversed":
        return made[(slice(None, None, -1),) * len(shape)]
    if layout == "strided":
        return made[(slice(None, None, 2),) * len(shape)]
    return np.broadcast_to(made[:1], shape) if shape[0] else made


@st.composite
def programs(draw: Any, *, families: Iterable[str] = FAMILIES, dtypes: Iterable[np.dtype[Any]] = (*FLOATS, INT64, BOOL),
             max_steps: int = 12, max_inputs: int = 4, symbolic: bool = True, empty: bool = True) -> Program:
    """Random programs.

    Args:
        families: which of FAMILIES may occur.
        dtypes: of the inputs; casts bring in others.
        max_steps: how many steps the program is grown by; a step may add a few nodes.
        symbolic: whether axes have symbolic sizes (with the arrays' as hints), or fixed ones.
        empty: whether an axis may have no elements.
    """
    builders = [BUILDERS[name] for name in FAMILIES if name in set(families)]
    choices = [2, 3, 4, 5, 2, 3, 7, 0] if empty else [2, 3, 4, 5, 7]
    lengths = draw(st.lists(st.sampled_from(choices), min_size=3, max_size=3))
    hints = {f"s{k}": n for k, n in enumerate(lengths)}
    extents: list[sizes.Size] = [sizes.symbol(s) if symbolic else n for s, n in hints.items()]
    pool = Pool(draw, hints if symbolic else {})
    inputs, arrays = [], []
    for k in range(draw(st.integers(1, max_inputs))):
        dtype = draw(st.sampled_from(list(dtypes)))
        shape = tuple(draw(st.lists(st.sampled_from([*extents, 1, 2]), max_size=3)))
        node = make("input", shape=shape, dtype=dtype, position=k, name=f"x{k}")
        array = array_of(draw, dtype, tuple(pool.size(s) for s in shape))
        pool.values[node] = array
        pool.exact.add(node)
        inputs.append(node)
        arrays.append(array)
    used = set().union(*(sizes.symbols_of(s) for n in inputs for s in n.shape), set())
    for _ in range(draw(st.integers(1, max_steps))):
        node = draw(st.sampled_from(builders))(pool)
        if node is not None:
            pool.add(node)
    candidates = [n for n in reversed(pool.values)]
    outputs = tuple(draw(st.lists(st.sampled_from(candidates), min_size=1, max_size=3, unique=True)))
    if "u0" in pool.bound:  # a size that only a node tells is no size of a program without that node
        binder = next(n for n in pool.values if n.op.binds)
        outputs = tuple(dict.fromkeys((*outputs, binder)))
    known = {name: n for name, n in pool.bound.items() if name in used or name.startswith("u")}
    return Program(Graph(tuple(inputs), outputs, (), known), arrays, [pool.values[n] for n in outputs])
