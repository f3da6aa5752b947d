"""Every rewrite rule is tested at its level, from its own row; rules are named here only for the shapes they need."""
from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
import pytest
from exact_values import TOO_LARGE, derivative, ulps, value

import chainrule as cr
from chainrule.compiler.build import logsumexp as build_logsumexp, softmax as build_softmax
from chainrule.compiler.differentiate import ones_like, vjp
from chainrule.compiler.errors import ChainruleError
from chainrule.compiler.interpret import evaluate_nodes
from chainrule.compiler.ir import Node, constant, f, make, toposort
from chainrule.compiler.rewrite import Facts, Level, Rewriter, Rule, RuleSet, simplify
from chainrule.compiler.rewrite.pattern import Apply, Constant, Match, Parameter, Variable, build
from chainrule.compiler.rewrite.rules import ALL_RULES

DTYPES = ("float64", "float32")
RULES = {rule.name: rule for rule in ALL_RULES}
FOLD = RuleSet([RULES["fold_constants"], RULES["reshape_constant"], RULES["expand_constant"]])


# -------------------------------------------------------------------------------------------- what rules are tried on
def argument(dtype: str, shape: tuple[Any, ...] = (), position: int = 0) -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=f"x{position}")


def floats(dtype: str) -> np.ndarray:
    """Signed zeros, infinities, nan, subnormals, the largest and smallest numbers, and some between."""
    info = np.finfo(dtype)
    ordinary = [1e-8, 0.1, 0.3, 0.5, 0.6931, 1, 1.5, 2, 3, np.pi, 10, 40, 90, 700, 1000, 1e6]
    edges = [info.smallest_subnormal, 3 * info.smallest_subnormal, info.tiny, np.sqrt(info.tiny), info.eps,
             np.sqrt(info.max), info.max]
    scattered = np.exp(np.random.default_rng(7).uniform(-20, 20, 12))
    positive = np.array([*ordinary, *edges, *scattered])
    with np.errstate(over="ignore"):
        return np.array([0.0, -0.0, np.inf, -np.inf, np.nan, *positive, *-positive]).astype(dtype)


INTEGERS = np.array([0, 1, -1, 2, 3, -5, 7, 100, -1000, 2**30], np.int32)

# A variable stands for a plain input first, then for values of which more is known, for an integer, for a truth value.
WITNESSES: tuple[tuple[str, Callable[[Node, str], Node]], ...] = (
    ("float", lambda x, dtype: x),
    ("float", lambda x, dtype: f.exp(x)),
    ("float", lambda x, dtype: f.square(x)),
    ("float", lambda x, dtype: f.neg(f.exp(x))),
    ("float", lambda x, dtype: f.maximum(f.square(x), 1.0)),
    ("int32", lambda x, dtype: f.cast(x, dtype=dtype)),
    ("int32", lambda x, dtype: f.square(f.cast(x, dtype=dtype))),
    ("int32", lambda x, dtype: f.maximum(f.cast(x, dtype=dtype), 1.0)),
    ("int32", lambda x, dtype: x),
    ("bool", lambda x, dtype: x),
)


def numbers(dtype: str) -> tuple[float, ...]:
    return (2.0, -3.0, 0.5, 0.1, float(np.finfo(dtype).max) / 4, -0.25, 0.0, np.inf)



def variables(pattern: Any) -> dict[str, Any]:
    """The variables and parameters of a pattern, by name."""
    if isinstance(pattern, Variable | Parameter):
        return {pattern.name: pattern}
    found: dict[str, Any] = {}
    if isinstance(pattern, Apply):
        for item in (*pattern.inputs, *(v for _, v in pattern.params)):
            found |= variables(item)
    return found


def ops_of(pattern: Any) -> set[str]:
    return {pattern.op}.union(*map(ops_of, pattern.inputs)) if isinstance(pattern, Apply) else set()


STRUCTURAL = {"reshape", "permute", "expand", "slice", "place", "flip", "diagonal", "embed", "iota", "sum", "max", "min",
              "prod", "any", "all", "contract", "gather", "cast", "size"}


def is_scalar(rule: Rule) -> bool:
    """A formula of elementwise ops, which can be tried on any numbers without being told about shapes."""
    structural = rule.name in CASES or not isinstance(rule.before, Apply) or ops_of(rule.before) & STRUCTURAL
    return not structural and not any("embedded" in c.text for c in rule.when)


def _eigenvalue(m: Match, sign: Any, pick: Any, number: float, root: Any) -> Node:
    """One of [[a, y], [y, b]] times a number, as the rules of eigenvalues write it."""
    half, other = (m.A - m.B) * (0.5 * number), m.Y if number == 1 else m.Y * number
    total = root(half, other) + f.abs(half)
    nearest = pick(m.A, m.B) if number == 1 else pick(m.A, m.B) * number
    return sign(nearest, other * (other / f.where(f.and_(f.isfinite(total), f.gt(total, 0.0)), total, 1.0)))


# Rules that look at coefficients: a left side with some that they take.
DIFFERENCES_OF_NUMBERS: dict[str, Callable[[Node], Node]] = {
    "square_and_number": lambda x: f.square(x) - 4.0, "number_and_square": lambda x: 4.0 - f.square(x)}
FORMS: dict[str, Callable[[Match], Node]] = {
    **{f"{function}_of_{name}": lambda m, made=made, of=of: of(made(m.X)) for name, made in DIFFERENCES_OF_NUMBERS.items()
       for function, of in (("root", f.sqrt), ("reciprocal_root", f.rsqrt), ("log", f.log))},
    **{f"square_and_number_over_{name}": lambda m, below=below: (f.square(m.X) - 4.0) / below(m.X)
       for name, below in (("sum", lambda x: x + 2.0), ("difference", lambda x: x - 2.0))},
    **{f"number_and_square_over_{name}": lambda m, below=below: (4.0 - f.square(m.X)) / below(m.X)
       for name, below in (("sum", lambda x: x + 2.0), ("difference", lambda x: 2.0 - x))},
    **{f"{name}_over_number_and_square": lambda m, above=above: above(m.X) / (4.0 - f.square(m.X))
       for name, above in (("sum", lambda x: x + 2.0), ("difference", lambda x: 2.0 - x))},
    "clipped_great_circle": lambda m: f.arccos(f.minimum(f.maximum(
        f.sin(m.P) * f.sin(m.P + 1.0) + (f.cos(m.P) * f.cos(m.P + 1.0)) * f.cos(m.P - 2.0), -1.0), 1.0)),
    **{name: lambda m, angle=angle: angle(f.square(f.sin((m.P - 2.0 * m.P) * 0.5)) + (f.cos(m.P) * f.cos(2.0 * m.P)) * f.square(
        f.sin(m.P * 0.25))) for name, angle in (("haversine", lambda n: f.arcsin(f.sqrt(n))),
                                                ("haversine_by_both", lambda n: f.arctan2(f.sqrt(n), f.sqrt(1.0 - n))))},
    "difference_of_powers_over_one": lambda m: f.square(m.A) / m.X - f.square(m.B) / m.X,
    "difference_of_log1p_and_log": lambda m: f.log1p(m.A) - f.log(m.A),
    "difference_of_log_and_log1p": lambda m: f.log(m.A) - f.log1p(m.A),
    "difference_of_choices": lambda m: f.where(m.CONDITION, 0.0, f.square(m.A)) - f.where(m.CONDITION, 0.0, f.square(m.B)),
    **{name: lambda m, sign=sign: sign(m.A * 0.5, f.sqrt(f.square(m.A) * 0.25 - m.P)) for name, sign in (
        ("scaled_minus_root", f.sub), ("scaled_plus_root", f.add), ("root_minus_scaled", lambda a, b: b - a))},
    **{name: lambda m, sign=sign: sign(m.A / m.X, f.sqrt(f.square(m.A) - m.P) / m.X) for name, sign in (
        ("quotients_minus_root", f.sub), ("quotients_plus_root", f.add), ("quotients_root_minus", lambda a, b: b - a))},
    "root_of_square_and_product": lambda m: f.sqrt(f.square(m.X) + (m.Y * 4.0) * m.Y),
    "root_by_trace": lambda m: f.sqrt(f.square((m.A + m.B) * 0.5) - (m.A * m.B - f.square(m.Y))),
    "root_by_trace_and_multiple": lambda m: f.sqrt(f.square(m.A + m.B) - (m.A * m.B - f.square(m.Y)) * 4.0),
    **{f"{name}_eigenvalue": lambda m, sign=sign: sign((m.A + m.X) * 0.5, f.hypot((m.A - m.X) * 0.5, m.Y))
       for name, sign in (("lesser", f.sub), ("greater", f.add))},
    **{f"{name}_eigenvalue_of_any": lambda m, sign=sign: sign(m.A + m.X, f.sqrt(f.square(m.A - m.X) + m.P))
       for name, sign in (("lesser", f.sub), ("greater", f.add))},
    **{f"{name}{multiple}_by_determinant{order}": lambda m, sign=sign, pick=pick, number=number, root=root: _eigenvalue(
        m, sign, pick, number, root)
       for order, root in (("", f.hypot), ("_2", lambda x, y: f.hypot(y, x))) for multiple, number in (("", 1.0), ("_multiple", 2.0))
       for name, sign, pick in (("lesser", f.sub, f.minimum), ("greater", f.add, f.maximum))},
    **{f"vanishes_with_sech_polynomial{name}": lambda m, fourth=fourth: (
        1.0 - 4.0 / f.square(f.tanh(m.X))) + 3.0 / fourth(f.tanh(m.X))
       for name, fourth in (("", lambda t: f.square(t) * f.square(t)), ("_2", lambda t: f.square(f.square(t))),
                            ("_3", lambda t: (f.square(t) * t) * t))},
    "factor_over_shared_factor": lambda m: (m.A * 2.0) / f.where(m.CONDITION, (m.A * m.X) / m.Y, m.B),
    "factor_over_opposite_shared_factor": lambda m: (m.A * 2.0) / f.where(m.CONDITION, f.neg((m.A * m.X) / m.Y), m.B),
    **{f"likelihood_{number}": lambda m, made=made: made(m.B * f.log(m.X), m.X, f.lgamma(m.B + 1.0)) for number, made in enumerate((
        lambda p, r, g: (p - r) - g, lambda p, r, g: (r - p) + g, lambda p, r, g: g - (p - r), lambda p, r, g: (p - g) - r,
        lambda p, r, g: (f.neg(r) - g) + p, lambda p, r, g: (r + g) - p, lambda p, r, g: (f.neg(g) - r) + p))},
    **{f"likelihood_{number}": lambda m, made=made: made((m.B + 1.0) * f.log(m.Y), m.B * f.log(m.X), m.X * m.Y, f.lgamma(m.B + 1.0))
       for number, made in ((7, lambda a, k, r, g: ((a - g) + k) + f.neg(r)), (8, lambda a, k, r, g: ((a - g) - r) + k),
                            (9, lambda a, k, r, g: ((a - g) + k) - r))},
    "log_of_mean": lambda m: f.log((f.exp(m.A) + 1.0) * 0.5),
    "log_of_mean_by_quotient": lambda m: f.log(((f.exp(m.A) + 1.0) + f.exp(f.neg(m.A))) / 3.0),
    "log_of_weighted_mean": lambda m: f.log(f.exp(m.A) * 0.3 + 0.7),
    "log_of_sinhc": lambda m: f.log(f.sinh(m.A) / (m.A * 2.0)),
    "log_of_inverse_sinhc": lambda m: f.log(m.A / f.sinh(m.A)),
    "log_of_chosen": lambda m: f.log(f.where(m.CONDITION, f.exp(m.P), 0.0)),
    **{f"{name}_with_exp": lambda m, made=made: made(f.erfc(m.B * math.sqrt(0.5)), f.square(m.B))
       for name, made in {"tail": lambda t, s: t * f.exp(s * 0.5), "over_tail": lambda t, s: f.exp(s * -0.5) / t,
                          "tail_over": lambda t, s: t / (f.exp(s * -0.5) * 0.4),
                          "multiple_of_tail": lambda t, s: (t * 0.5) * f.exp(s * 0.5),
                          "over_multiple_of_tail": lambda t, s: f.exp(s * -0.5) / (t * 0.5),
                          "multiple_of_tail_over": lambda t, s: (t * 0.5) / f.exp(s * -0.5)}.items()},
}


class Instance:
    """A rule's left side made of nodes, and the arrays to feed it."""

    def __init__(self, before: Node, inputs: dict[Node, np.ndarray], bound: Match | None = None) -> None:
        self.before, self.inputs, self.bound = before, inputs, bound or Match()

    def after(self, rule: Rule, guarded: bool = True) -> Node | None:
        for variant in rule.variants if isinstance(rule.before, Apply) else (None,):
            match = Match(WHOLE=self.before) if variant is None else variant.match(self.before)
            if match is not None:
                made = without_conditions(rule, set() if guarded else set(rule.when)).rewrite(match, Facts())
                if made is not None:
                    return made
        return None

    def values(self, *nodes: Node) -> list[Any]:
        return evaluate_nodes(nodes, self.inputs, {})


def without_conditions(rule: Rule, dropped: set[Any]) -> Rule:
    return replace(rule, when=tuple(c for c in rule.when if c not in dropped))


def scalar_instances(rule: Rule, dtype: str) -> Iterator[Instance]:
    """The rule's left side on every combination of what its variables may stand for that it takes at all."""
    names = variables(rule.before)
    free = sorted((n for n, v in names.items() if not isinstance(v, Constant)), key=lambda n: n != "CONDITION")
    constant_names = [n for n, v in names.items() if isinstance(v, Constant)]
    for kinds in itertools.product(range(len(WITNESSES)), repeat=min(len(free), 2)):
        kinds = (*kinds, *(0,) * (len(free) - len(kinds)))
        sources = [WITNESSES[k][0].replace("float", dtype) for k in kinds]
        samples = grid(sources, dtype)
        inputs = {argument(s, (len(samples[0]),), k): a for k, (s, a) in enumerate(zip(sources, samples, strict=True))}
        stand = {n: WITNESSES[k][1](x, dtype) for n, k, x in zip(free, kinds, inputs, strict=True)}
        for extra in derived(stand):
            for chosen in itertools.product(numbers(dtype), repeat=len(constant_names)):
                shape = (len(samples[0]),)
                constants = {n: constant(c, dtype, shape) for n, c in zip(constant_names, chosen, strict=True)}
                bound = Match(extra | constants)
                bound["WHOLE"] = next(iter((extra | constants).values()))
                try:
                    before = FORMS[rule.name](bound) if rule.name in FORMS else build(rule.before, bound)
                except ChainruleError:  # these types do not go together: a float and a bool in one sum
                    break
                if all(n.inputs[0].dtype.kind == "b" for n in toposort([before]) if n.op.name == "where"):
                    yield Instance(before, inputs, bound)


def derived(stand: dict[str, Node]) -> Iterator[dict[str, Node]]:
    """As they are; then with B standing for -A, and P for a sum of exponentials or of squares."""
    yield stand
    floating = [n for n in stand.values() if n.dtype.kind == "f"]
    if "B" in stand and "A" in stand and stand["A"].dtype.kind == "f":
        yield stand | {"B": f.neg(stand["A"])}
    if "P" in stand and floating:
        x = floating[-1]
        yield stand | {"P": f.exp(x) + f.exp(-x), "TERM": x}
        yield stand | {"P": f.square(x) + f.square(f.exp(x)) + f.square(f.sin(x)), "TERM": x}
        yield {n: constant(2.0, v.dtype, v.shape) if n == "B" else v for n, v in stand.items()} | {
            "P": f.exp(x) + f.exp(-x), "TERM": x}


def grid(sources: list[str], dtype: str) -> list[np.ndarray]:
    """Samples for each variable: all values for one, a scattered choice of combinations for several."""
    pools = [INTEGERS if s == "int32" else np.array([False, True]) if s == "bool" else floats(dtype) for s in sources]
    if len(pools) == 1:
        return pools
    size = 400
    rng = np.random.default_rng(11)
    return [pool[rng.integers(0, len(pool), size)] for pool in pools]


# Rules about shapes say nothing of which shapes; here each meets some. (shapes of the inputs, the left side from them).
def _flat_softmax(x: Node) -> Node:
    e = f.exp(x)
    return e / f.expand(f.sum(e, axes=(1,)), shape=x.shape, axes=(0,))


M, V, T = (2, 3), (4,), (2, 3, 4)
BESIDE = (3, 2, 3)  # the shape of a 2 x 3 matrix embedded with its second axis first and last


def _embedded(x: Node) -> Node:
    return f.embed(x, roles=(1, 0, 1))


def _apart(x: Node, y: Node) -> Node:
    """Two matrices on different diagonals of a 3 x 2 x 3 x 2 array."""
    return f.embed(x, roles=(1, 0, 1, 0)) - f.embed(f.expand(y, shape=(2, 3, 3), axes=(0, 1)), roles=(1, 0, 2, 0))


def _together(x: Node, y: Node) -> Node:
    apart = _apart(x, y)
    return f.add(*apart.inputs)


def _sums(total: Callable[[Node, Node], Node], name: str) -> dict[str, Any]:
    """The cases of the rules that bring two diagonals apart."""
    four, c = (3, 2, 3, 2), "abcd"
    return {
        f"mul_{name}_of_embeds": ((M, M, four), lambda x, y, z: total(x, y) * z),
        f"div_{name}_of_embeds": ((M, M, four), lambda x, y, z: total(x, y) / z),
        f"neg_{name}_of_embeds": ((M, M), lambda x, y: f.neg(total(x, y))),
        f"where_{name}_of_embeds": ((M, M, four), lambda x, y, z: f.where(f.gt(z, 0.0), total(x, y), 0.0)),
        f"where_not_{name}_of_embeds": ((M, M, four), lambda x, y, z: f.where(f.gt(z, 0.0), constant(0.0, x.dtype, four), total(x, y))),
        f"sum_{name}_of_embeds": ((M, M), lambda x, y: f.sum(total(x, y), axes=(0, 3))),
        f"expand_{name}_of_embeds": ((M, M), lambda x, y: f.expand(total(x, y), shape=(3, 4, 2, 3, 2), axes=(0, 2, 3, 4))),
        f"permute_{name}_of_embeds": ((M, M), lambda x, y: f.permute(total(x, y), order=(3, 1, 0, 2))),
        f"contract_{name}_of_embeds_left": ((M, M, (3, 5)), lambda x, y, z: f.contract(total(x, y), z, left=c, right="cn", out="anbd")),
        f"contract_{name}_of_embeds_right": ((M, M, (3, 5)), lambda x, y, z: f.contract(z, total(x, y), left="cn", right=c, out="anbd")),
    }


def _moments() -> dict[str, Any]:
    """Variances and covariances by sums, some weighted; divided by the number of elements, by four, by the sum of the weights."""
    def rows(n: Node) -> Node:
        return f.sum(n, axes=(1,))

    def kept(n: Node) -> Node:
        return f.reshape(n, shape=(2, 1))

    def weighted(x: Node, y: Node, w: Node) -> Node:
        whole = rows(w)
        return rows(w * (x * y)) / whole - (rows(w * x) / whole) * (rows(w * y) / whole)

    def deviation(x: Node) -> Node:
        return x - f.expand(rows(x) / 3.0, shape=M, axes=(0,))

    def root(x: Node) -> Node:
        return f.expand(f.sqrt(rows(f.square(deviation(x))) / 3.0 + 1e-5), shape=M, axes=(0,))

    return {
        "standardised": ((M,), lambda x: deviation(x) / root(x)),
        "standardised_by_product": ((M,), lambda x: deviation(x) * f.reciprocal(root(x))),
        "standardised_moment": ((M,), lambda x: (rows(f.pow(x, 3.0)) / 3.0) / f.pow(rows(f.square(x)) / 3.0, 1.5)),
        "standardised_moment_by_square": ((M,), lambda x: rows(f.square(x) * f.square(x)) / f.square(rows(f.square(x)))),
        "variance": ((M,), lambda x: f.contract(x, x, left="ab", right="ab", out="a") / 3.0 - f.square(rows(x) / 3.0)),
        "covariance": ((M, M, M), weighted),
        "moment_of_quotient": ((M, M), lambda x, y: rows(x * y) - (rows(x) * rows(y)) / 4.0),
        "moment_of_kept_axes": ((M, (3,)), lambda x, w: kept(f.contract(f.square(x), w, left="ab", right="b", out="a")) - kept(
            f.square(f.contract(x, w, left="ab", right="b", out="a")))),
    }


def _length(x: Node) -> Node:
    return f.sqrt(f.contract(x, x, left="ab", right="ab", out="a"))


CASES: dict[str, tuple[tuple[tuple[int, ...], ...], Callable[..., Node]]] = {
    "angle": ((M, M), lambda x, y: f.arccos(f.minimum(f.maximum(f.sum(x * y, axes=(1,)) / (_length(x) * _length(y)), -1.0), 1.0))),
    "one_minus_cosine": ((M, M), lambda x, y: 1.0 - (f.sum(x * y, axes=(1,)) / _length(y)) / _length(x)),
    "log_of_sum_over_axes": ((M, M), lambda x, y: f.log(f.sum((f.square(x) * f.exp(y)) / 3.0, axes=(1,)))),
    "log_of_contraction": ((M, (3, 4)), lambda x, y: f.log(f.contract(f.exp(x), f.square(y), left="ab", right="bc", out="ca"))),
    "fold_constants": ((), lambda: f.exp(constant(1.5, "float64", (3,)))),
    "size_of_fixed_axis": ((), lambda: make("size", shape=(), dtype=np.dtype(np.int64), size=7)),
    "reshape_constant": ((), lambda: f.reshape(constant(-0.0, "float64", M), shape=(6,))),
    "permute_constant": ((), lambda: f.permute(constant(2.5, "float64", M), order=(1, 0))),
    "expand_constant": ((), lambda: f.expand(constant(2.5, "float64", (3,)), shape=M, axes=(1,))),
    "slice_constant": ((), lambda: f.slice(constant(2.5, "float64", M), start=(0, 1), step=(1, 1), shape=(2, 2))),
    "flip_constant": ((), lambda: f.flip(constant(2.5, "float64", M), axes=(0,))),
    "max_constant": ((), lambda: f.max(constant(2.5, "float64", M), axes=(0,))),
    "min_constant": ((), lambda: f.min(constant(2.5, "float64", M), axes=(0, 1))),
    "any_constant": ((), lambda: f.any(constant(True, "bool", M), axes=(0,))),
    "all_constant": ((), lambda: f.all(constant(True, "bool", M), axes=(0,))),
    "place_zero": ((), lambda: f.place(constant(0.0, "float64", M), start=(1, 1), step=(1, 2), shape=(5, 8))),
    "sum_zero": ((), lambda: f.sum(constant(0.0, "float64", M), axes=(1,))),
    "sum_constant": ((), lambda: f.sum(constant(0.1, "float64", (7, 3)), axes=(0,))),
    "reshape_same": ((M,), lambda x: f.reshape(x, shape=M)),
    "reshape_reshape": ((M,), lambda x: f.reshape(f.reshape(x, shape=(6,)), shape=(3, 2))),
    "permute_same": ((M,), lambda x: f.permute(x, order=(0, 1))),
    "permute_permute": ((T,), lambda x: f.permute(f.permute(x, order=(1, 2, 0)), order=(0, 2, 1))),
    "expand_same": ((M,), lambda x: f.expand(x, shape=M, axes=(0, 1))),
    "expand_expand": ((V,), lambda x: f.expand(f.expand(x, shape=(3, 4), axes=(1,)), shape=(3, 5, 4), axes=(0, 2))),
    "slice_whole": ((M,), lambda x: f.slice(x, start=(0, 0), step=(1, 1), shape=M)),
    "slice_slice": (((20,),), lambda x: f.slice(
        f.slice(x, start=(1,), step=(2,), shape=(9,)), start=(2,), step=(3,), shape=(2,))),
    "slice_concatenate": ((V, V), lambda x, y: f.slice(f.concatenate(x, y, axis=0), start=(x.shape[0],), step=(1,), shape=y.shape)),
    "slice_places": ((V, V), lambda x, y: f.slice(
        f.place(x, start=(0,), step=(1,), shape=(x.shape[0] + y.shape[0],))
        + f.place(y, start=(x.shape[0],), step=(1,), shape=(x.shape[0] + y.shape[0],)), start=(0,), step=(1,), shape=x.shape)),
    "slice_place": ((M,), lambda x: f.slice(
        f.place(x, start=(1, 2), step=(2, 1), shape=(9, 9)), start=(1, 2), step=(2, 1), shape=M)),
    "flip_nothing": ((M,), lambda x: f.flip(x, axes=())),
    "flip_flip": ((T,), lambda x: f.flip(f.flip(x, axes=(0, 1)), axes=(1, 2))),
    "hoist_expand": ((V, V), lambda x, y: f.expand(x, shape=(3, 4), axes=(1,)) * f.expand(y, shape=(3, 4), axes=(1,))),
    "hoist_reshape": ((M,), lambda x: f.reshape(x, shape=(6,)) + 2.0),
    "hoist_permute": ((M, M), lambda x, y: f.permute(x, order=(1, 0)) - f.permute(y, order=(1, 0))),
    **{f"{name}_of_nothing": ((M,), lambda x, name=name: getattr(f, name)(
        x if name not in ("any", "all") else f.gt(x, 0.0), axes=()))
       for name in ("sum", "prod", "max", "min", "any", "all")},
    "sum_sum": ((T,), lambda x: f.sum(f.sum(x, axes=(1,)), axes=(1,))),
    **{f"{name}_{name}": ((T,), lambda x, name=name: getattr(f, name)(getattr(f, name)(
        x if name in ("max", "min") else f.gt(x, 0.0), axes=(0,)), axes=(1,)))
       for name in ("max", "min", "any", "all")},
    "sum_neg": ((M,), lambda x: f.sum(f.neg(x), axes=(0,))),
    "sum_expand": ((M,), lambda x: f.sum(f.expand(x, shape=(2, 5, 3), axes=(0, 2)), axes=(1, 2))),
    "max_expand": ((M,), lambda x: f.max(f.expand(x, shape=(2, 5, 3), axes=(0, 2)), axes=(0, 1))),
    "min_expand": ((M,), lambda x: f.min(f.expand(x, shape=(2, 5, 3), axes=(0, 2)), axes=(1,))),
    "contract_neg_left": ((M, (3, 4)), lambda x, y: f.contract(f.neg(x), y, left="ab", right="bc", out="ac")),
    "contract_neg_right": ((M, (3, 4)), lambda x, y: f.contract(x, f.neg(y), left="ab", right="bc", out="ac")),
    "contract_permute_left": ((M, (2, 4)), lambda x, y: f.contract(
        f.permute(x, order=(1, 0)), y, left="ab", right="bc", out="ac")),
    "contract_permute_right": ((M, (4, 3)), lambda x, y: f.contract(
        x, f.permute(y, order=(1, 0)), left="ab", right="bc", out="ac")),
    "sum_contract": (((5, 2), (5, 3)), lambda x, y: f.sum(f.contract(x, y, left="ab", right="ac", out="abc"), axes=(0,))),
    "permute_contract": ((M, (3, 4)), lambda x, y: f.permute(
        f.contract(x, y, left="ab", right="bc", out="ac"), order=(1, 0))),
    "permute_embed": ((M,), lambda x: f.permute(_embedded(x), order=(1, 2, 0))),
    "expand_embed": ((M,), lambda x: f.expand(_embedded(x), shape=(3, 5, 2, 3), axes=(0, 2, 3))),
    "reshape_embed": (((2, 1, 3),), lambda x: f.reshape(f.embed(x, roles=(2, 0, 1, 2)), shape=(3, 1, 2, 3, 1))),
    "embed_embed": ((M,), lambda x: f.embed(_embedded(x), roles=(1, 0, 2, 1))),
    "embed_zero": ((), lambda: f.embed(constant(0.0, "float64", M), roles=(1, 0, 1))),
    "sum_embed": ((T,), lambda x: f.sum(f.embed(x, roles=(1, 0, 1, 2)), axes=(0, 3))),
    "diagonal_same": ((M,), lambda x: f.diagonal(x, roles=(1, 0))),
    "diagonal_constant": ((), lambda: f.diagonal(constant(2.5, "float64", (3, 3)), roles=(0, 0))),
    "diagonal_iota": ((), lambda: f.diagonal(make("iota", shape=BESIDE, dtype=np.dtype(np.int64), axis=2), roles=(1, 0, 1))),
    "diagonal_expand": ((M,), lambda x: f.diagonal(f.expand(x, shape=BESIDE, axes=(1, 2)), roles=(1, 0, 1))),
    "diagonal_permute": ((BESIDE,), lambda x: f.diagonal(f.permute(x, order=(2, 0, 1)), roles=(1, 1, 0))),
    "diagonal_diagonal": (((3, 2, 3, 3),), lambda x: f.diagonal(f.diagonal(x, roles=(1, 0, 1, 2)), roles=(1, 0, 0))),
    "diagonal_embed": (((2, 3, 3),), lambda x: f.diagonal(f.embed(x, roles=(1, 0, 1, 2)), roles=(0, 2, 1, 1))),
    "diagonal_sum": (((3, 4, 2, 3),), lambda x: f.diagonal(f.sum(x, axes=(1,)), roles=(1, 0, 1))),
    "diagonal_contract": (((3, 4), (4, 2, 3)), lambda x, y: f.diagonal(
        f.contract(x, y, left="ik", right="kbj", out="ibj"), roles=(0, 1, 0))),
    "diagonal_elementwise": ((BESIDE, BESIDE), lambda x, y: f.diagonal(f.square(x) + y, roles=(1, 0, 1))),
    "mul_embed": ((M, BESIDE), lambda x, y: _embedded(x) * y),
    "div_embed": ((M, BESIDE), lambda x, y: _embedded(x) / y),
    "neg_embed": ((M,), lambda x: f.neg(_embedded(x))),
    "cast_embed": ((M,), lambda x: f.cast(_embedded(x), dtype="float32")),
    "add_embeds": ((M, M), lambda x, y: _embedded(x) + _embedded(y)),
    "sub_embeds": ((M, M), lambda x, y: _embedded(x) - _embedded(y)),
    "where_embed": ((M, BESIDE), lambda x, y: f.where(f.gt(y, 0.0), _embedded(x), 0.0)),
    "where_not_embed": ((M, BESIDE), lambda x, y: f.where(f.gt(y, 0.0), constant(0.0, x.dtype, BESIDE), _embedded(x))),
    **_sums(_together, "add"), **_sums(_apart, "sub"),
    "contract_embed_left": ((M, (3, 3, 5)), lambda x, y: f.contract(_embedded(x), y, left="abc", right="cad", out="bda")),
    "contract_embed_right": ((M, (3, 5)), lambda x, y: f.contract(y, _embedded(x), left="cd", right="abc", out="bda")),
    "contract_expand_left": ((M, (3, 4)), lambda x, y: f.contract(
        f.expand(x, shape=(5, 2, 4, 3), axes=(1, 3)), y, left="nakc", right="ck", out="na")),
    "contract_expand_right": ((M, (3, 4)), lambda x, y: f.contract(
        y, f.expand(x, shape=(5, 2, 4, 3), axes=(1, 3)), left="ck", right="nakc", out="nac")),
    "contract_constant_left": ((M,), lambda x: f.contract(constant(1.5, x.dtype, (2, 4)), x, left="ab", right="ac", out="cb")),
    "contract_constant_right": ((M,), lambda x: f.contract(x, constant(1.5, x.dtype, (2, 4)), left="ac", right="ab", out="bc")),
    "cast_same": ((M,), lambda x: f.cast(x, dtype=x.dtype.name)),
    "cast_cast": ((M,), lambda x: f.cast(f.cast(f.cast(x, dtype="float32"), dtype="float64"), dtype="float32")),
    "log_of_mean_over_axes": ((M,), lambda x: f.log(f.sum(f.exp(x), axes=(1,)) / 3.0)),
    "log_of_prod": ((M,), lambda x: f.log(f.prod(f.sigmoid(x), axes=(1,)))),
    "log_of_what_a_product_leaves": ((M,), lambda x: f.log1p(f.neg(f.prod(f.sigmoid(x), axes=(1,))))),
    "difference_of_picks": ((M,), lambda x: f.slice(f.sigmoid(x), start=(0, 1), step=(1, 1), shape=(2, 2)) - f.slice(
        f.sigmoid(x), start=(0, 0), step=(1, 1), shape=(2, 2))),
    "log_of_rest": ((M,), lambda x: f.log1p(f.neg(_flat_softmax(x)))),
    "rest": ((M,), lambda x: 1.0 - f.slice(_flat_softmax(x), start=(0, 1), step=(1, 1), shape=(2, 1))),
    "log_of_picked_softmax": ((M,), lambda x: f.log(f.reshape(f.slice(_flat_softmax(x), start=(0, 1), step=(1, 1), shape=(2, 1)),
                                                              shape=(2,)))),
    "logsumexp": ((M,), lambda x: f.log(f.sum(f.exp(x), axes=(1,)))),
    "logsumexp_weighted": ((M, M), lambda x, w: f.log(f.sum(f.square(w) * f.exp(x), axes=(1,)))),
    "softmax": ((M,), lambda x: f.exp(x) / f.expand(f.sum(f.exp(x), axes=(1,)), shape=M, axes=(0,))),
    "log_softmax": ((M,), lambda x: f.log(f.exp(x) / f.expand(f.sum(f.exp(x), axes=(1,)), shape=M, axes=(0,)))),
    "log_gather_softmax": ((M,), lambda x: f.log(f.gather(_flat_softmax(x), constant(1, "int64", (2,)), axes=(0,)))),
    "log_gather_2_softmax": ((M,), lambda x: f.log(
        f.gather(_flat_softmax(x), *[constant(1, "int64", (2,))] * 2, axes=(0, 1)))),
    **_moments(),
    "log_slice_softmax": ((M,), lambda x: f.log(f.slice(_flat_softmax(x), start=(0, 1), step=(1, 1), shape=(2, 1)))),
}


def _refused_sums(total: Callable[[Node, Node], Node], name: str) -> dict[str, Any]:
    """Choices between diagonals and ones."""
    shapes = (M, M, (3, 2, 3, 2))
    return {f"where_{name}_of_embeds": (shapes, lambda x, y, z: f.where(f.gt(z, 0.0), total(x, y), 1.0)),
            f"where_not_{name}_of_embeds": (shapes, lambda x, y, z: f.where(f.gt(z, 0.0), constant(1.0, x.dtype, z.shape), total(x, y)))}


# Where a rule about shapes must not fire, and would go wrong.
REFUSED: dict[str, tuple[tuple[tuple[int, ...], ...], Callable[..., Node]]] = {
    "cast_cast": ((M,), lambda x: f.cast(f.cast(x, dtype="float32"), dtype="float64")),
    "where_embed": ((M, BESIDE), lambda x, y: f.where(f.gt(y, 0.0), _embedded(x), 1.0)),
    "where_not_embed": ((M, BESIDE), lambda x, y: f.where(f.gt(y, 0.0), constant(1.0, x.dtype, BESIDE), _embedded(x))),
    **_refused_sums(_together, "add"), **_refused_sums(_apart, "sub"),
    "logsumexp": ((M,), lambda x: build_logsumexp(x, (1,)).inputs[0]),
    "softmax": ((M,), lambda x: build_softmax(x, (1,))),
    "logsumexp_weighted": ((M, M), lambda x, w: f.log(f.sum(
        w * build_softmax(x, (1,)).inputs[0], axes=(1,)))),
}
assert not [name for name in (*CASES, *REFUSED) if name not in RULES]


def shaped_instance(rule: Rule, dtype: str = "float64", cases: dict[str, Any] = CASES) -> Instance:
    shapes, make_before = cases[rule.name]
    nodes = [argument(dtype, shape, k) for k, shape in enumerate(shapes)]
    rng = np.random.default_rng(5)
    return Instance(make_before(*nodes), {n: rng.normal(size=n.shape).astype(dtype) for n in nodes})


def instances(rule: Rule, dtype: str = "float64") -> list[Instance]:
    """Where the rule fires."""
    made = scalar_instances(rule, dtype) if is_scalar(rule) else [shaped_instance(rule, dtype)]
    fires = []
    for instance in made:
        if instance.after(rule) is not None:
            fires.append(instance)
            if len(fires) == 5:
                break
    return fires


# ------------------------------------------------------------------------------------------------ agreement
def bits(x: Any) -> Any:
    x = np.ascontiguousarray(x)
    return np.where(np.isnan(x), 0x7FF8, x.view(f"u{x.dtype.itemsize}")) if x.dtype.kind == "f" else x


def disagreements(rule: Rule, instance: Instance, after: Node, dtype: str) -> list[str]:
    """In words, where the two sides do not agree at the rule's level."""
    old, new = instance.values(instance.before, after)
    if np.shape(old) != np.shape(new) or old.dtype != new.dtype:
        return [f"{old.dtype}{np.shape(old)} became {new.dtype}{np.shape(new)}"]
    if rule.level is Level.EXACT:
        old, new = np.atleast_1d(old), np.atleast_1d(new)
        different = bits(old) != bits(new)
        return [f"{o!r} became {n!r}" for o, n in zip(np.ravel(old[different]), np.ravel(new[different]), strict=True)]
    if not is_scalar(rule):
        close = 5000 * np.finfo(dtype).eps
        same = np.allclose(old, new, rtol=close, atol=close)
        return [] if same else [f"{old} became {new}"]
    return list(inaccuracies(rule, instance, np.ravel(old), np.ravel(new), dtype))


def inaccuracies(rule: Rule, instance: Instance, old: Any, new: Any, dtype: str) -> Iterator[str]:
    skipped = {"WHOLE", "P"} if "TERM" in instance.bound else {"WHOLE"}
    leaves = dict.fromkeys(instance.inputs if rule.inside else (
        n for name, n in instance.bound.items() if name not in skipped and n.op.name != "const"))
    constants = [n.value for n in instance.bound.values() if n.op.name == "const" and n.dtype.kind == "f"]
    # exact arithmetic starts from the rounded values of X, Y, ..., unless the rule looks into them
    arrays = [np.ravel(a) for a in instance.values(*leaves)]
    for k in np.random.default_rng(1).permutation(len(old))[:40]:
        arguments = {node: array[k] for node, array in zip(leaves, arrays, strict=True)}
        numbers = [*constants, *(a for node, a in arguments.items() if node.dtype.kind == "f")]
        if rule.excepted is not None and any(np.any(rule.excepted(a)) for a in numbers):
            continue
        if not all(np.isfinite(a) for a in numbers):
            may_change = rule.level is Level.STABLE or np.isnan(new[k])
            rounding = 16 * np.finfo(dtype).eps  # of the terms, where the rule looks into what cancels
            close = np.isclose(old[k], new[k], rtol=rounding, atol=rounding if rule.inside else 0)
            kept = close or (np.isnan(old[k]) and may_change)
            if not kept:
                yield f"at {numbers}: {old[k]!r} became {new[k]!r}"
            continue
        exact = value(instance.before, arguments)
        if exact is TOO_LARGE:
            continue
        if exact is None:
            if rule.level is Level.ROUNDING and not (old[k] == new[k] or (np.isnan(old[k]) and np.isnan(new[k]))):
                yield f"at {numbers}, where it is undefined: {old[k]!r} became {new[k]!r}"
            continue
        if isinstance(exact, bool):
            if exact != bool(new[k]):
                yield f"at {numbers}: {exact} became {new[k]}"
            continue
        if rule.level is Level.STABLE and abs(exact) < np.finfo(dtype).tiny and abs(new[k]) <= np.finfo(dtype).tiny:
            continue
        before, after = ulps(old[k], exact, dtype, rule.scale), ulps(new[k], exact, dtype, rule.scale)
        same_order = 16 * before if rule.level is Level.STABLE else before
        if after > max(same_order, rule.ulps):
            yield (f"at {numbers}: {old[k]!r} became {new[k]!r}, {after:.3g} ulp from {mpmath.nstr(exact, 17)}, "
                   f"before {before:.3g}")


SOUND = [r.name for r in ALL_RULES if r.level is not Level.REAL]
STABLE = [r.name for r in ALL_RULES if r.level is Level.STABLE]
REAL = [r.name for r in ALL_RULES if r.level is Level.REAL]


def test_names_are_distinct() -> None:
    assert len(RULES) == len(ALL_RULES)


def test_every_rule_about_shapes_meets_some() -> None:
    assert {r.name for r in ALL_RULES if not is_scalar(r)} == set(CASES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SOUND)
def test_sides_agree(name: str, dtype: str) -> None:
    rule = RULES[name]
    tried = instances(rule, dtype)
    assert tried, "the rule never fires"
    for instance in tried:
        after = instance.after(rule)
        assert after is not None
        assert (after.shape, after.dtype) == (instance.before.shape, instance.before.dtype)
        found = disagreements(rule, instance, after, dtype)
        assert not found, f"{rule}\n{len(found)} samples, such as {found[:3]}"


@pytest.mark.parametrize("name", REAL)
def test_sides_are_equal_over_the_reals(name: str) -> None:
    rule, rng = RULES[name], np.random.default_rng(2)
    names = variables(rule.before)
    nodes = {n: argument("float64", (), k) for k, n in enumerate(names)}
    kind = {n: "const" if isinstance(v, Constant) else "input" for n, v in names.items()}
    checked = 0
    for _ in range(200):
        numbers = {n: float(v) for n, v in zip(names, rng.uniform(-1, 1, len(names)), strict=True)}
        if checked >= 100:
            numbers = {n: abs(v) for n, v in numbers.items()}
        bound = Match({n: constant(numbers[n], "float64") if kind[n] == "const" else nodes[n] for n in names})
        bound["WHOLE"] = bound[next(iter(names))]
        instance = Instance(build(rule.before, bound), {}, bound)
        after = instance.after(rule)
        assert after is not None
        arguments = {nodes[n]: numbers[n] for n in names if kind[n] == "input"}
        exact, rewritten = value(instance.before, arguments), value(after, arguments)
        if exact is None:
            continue
        checked += 1
        assert rewritten is not None, f"{rule}: undefined at {numbers}"
        if isinstance(exact, bool):
            assert exact == rewritten
        else:  # constants are folded by nobody here, so that nothing but the identity is at stake
            with mpmath.workdps(60):
                assert abs(exact - rewritten) <= mpmath.mpf(10) ** -40 * (1 + abs(exact)), f"{rule} at {numbers}"
    assert checked > 20


# ------------------------------------------------------------------------------------------------ conditions
def falls_without(rule: Rule, condition: Any) -> bool:
    """Whether a rule without one of its conditions goes wrong somewhere: by value, by type, or by never ending."""
    bare = without_conditions(rule, {condition})
    for instance in scalar_instances(rule, "float64") if is_scalar(rule) else [shaped_instance(rule, cases=REFUSED)]:
        try:
            after = instance.after(bare)
            if after is None:
                continue
            if disagreements(rule, instance, after, "float64"):
                return True
            others = [r for r in ALL_RULES if r.level is Level.EXACT and r is not rule]
            Rewriter(RuleSet([bare, *others])).run([instance.before])
        except (ChainruleError, IndexError):
            return True
    return False


GUARDED = [(r.name, k) for r in ALL_RULES for k, c in enumerate(r.when) if not c.gain]


@pytest.mark.parametrize(("name", "position"), GUARDED)
def test_each_condition_is_needed(name: str, position: int) -> None:
    rule = RULES[name]
    assert falls_without(rule, rule.when[position]), f"{rule}: nothing goes wrong without {rule.when[position]}"


def test_conditions_for_gain_are_few() -> None:
    gaining = {r.name for r in ALL_RULES if any(c.gain for c in r.when)}
    assert gaining - set(_sums(_apart, "sub")) - set(_sums(_together, "add")) == {
        "log_gather_softmax", "log_gather_2_softmax", "log_slice_softmax", "plus_root", "box_cox"}


# ------------------------------------------------------------------------------------------------ termination
def folded(node: Node) -> Node:
    return Rewriter(FOLD).run([node])[0]


def outward(*names: str) -> Callable[[Node], float]:
    """A polynomial interpretation: it falls where an op of these names goes from below another op to above it."""

    def measure(root: Node) -> float:
        weight: dict[Node, float] = {}
        for node in toposort([root]):
            below = sum(weight[i] for i in node.inputs)
            weight[node] = 1 + (below if node.op.name in names else 2 * below)
        return weight[root]

    return measure


def products(root: Node) -> float:
    """Falls where a product or movement of a sum becomes a sum of products."""
    weight: dict[Node, float] = {}
    for node in toposort([root]):
        below = [weight[i] for i in node.inputs]
        weight[node] = 1 + sum(below) if node.op.name in ("add", "sub") else 2 * float(np.prod(below)) if below else 2.0
    return weight[root]


def below(name: str, root: Node) -> list[set[Node]]:
    """What each op of this name is computed from."""
    return [set(toposort(n.inputs)) for n in toposort([root]) if n.op.name == name]


def above_embeds(root: Node) -> int:
    embeds = {n for n in toposort([root]) if n.op.name == "embed"}
    return sum(n.op.name != "embed" and bool(set(toposort(n.inputs)) & embeds) for n in toposort([root]))


def labels(root: Node) -> int:
    return sum(len(labels) for n in toposort([root]) if n.op.kind == "contract" for labels in n.params)


def cost(root: Node) -> tuple[float, int, int]:
    nodes = [n for n in toposort([root]) if n.op.name not in ("const", "input")]
    elements = [np.prod((n.inputs[0] if n.inputs else n).shape, dtype=float) for n in nodes]
    total = sum(n.op.cost * max(e, 1.0) for n, e in zip(nodes, elements, strict=True))
    return total, len(nodes), sum(len(n.inputs) for n in nodes)


def negative_constants(root: Node) -> int:
    return sum(n.op.name == "const" and n.dtype.kind != "b" and bool(np.signbit(n.value)) for n in toposort([root]))


def repeated_factors(root: Node) -> int:
    nodes = toposort([root])
    ones = sum(n.op.name == "div" and n.inputs[0].op.name == "const" for n in nodes)
    return ones + sum(len(n.inputs) == 2 and n.inputs[0] is n.inputs[1] for n in nodes)


ORDERS: dict[str, Callable[[Node], float]] = {
    "neg outward": outward("neg"), "movement outward": outward("expand", "reshape", "permute"),
    "powers": repeated_factors, "positive constants": negative_constants, "common factors outside": outward("mul"),
    "one exponential": outward("exp", "mul"), "diagonals outward": above_embeds,
    "diagonals inward": lambda root: sum(map(len, below("diagonal", root))), "fewer labels": labels, "sums outward": products,
}


@pytest.mark.parametrize("name", list(RULES))
def test_comes_nearer_to_the_final_form(name: str) -> None:
    rule = RULES[name]
    for instance in instances(rule):
        after = instance.after(rule)
        assert after is not None
        if rule.order == "stable":  # its own form is gone from the result, for good
            rewriter = Rewriter(RuleSet([rule, *(r for r in ALL_RULES if r.level is not Level.REAL and r is not rule)]))
            rewriter.run([after])
            assert rule.name not in [step.rule.name for step in rewriter.log if step.before is instance.before]
            assert sum(step.rule is rule for step in rewriter.log) <= 1
        elif rule.order:
            assert ORDERS[rule.order](folded(after)) < ORDERS[rule.order](instance.before), f"{rule}"
        else:
            assert cost(folded(after)) < cost(instance.before), str(rule)


# ------------------------------------------------------------------------------------------------ derivatives
POINTS = np.array([-1000, -700, -40, -5, -1, -0.3, -1e-5, 0, 1e-5, 0.3, 1, 5, 40, 700, 1000.0])


@pytest.mark.parametrize("name", [n for n in STABLE if is_scalar(RULES[n])])
def test_derivative_of_a_stable_form(name: str) -> None:
    rule = RULES[name]
    instance = instances(rule)[0]
    inputs = list(instance.inputs)
    if any(n.dtype.kind != "f" for n in inputs):
        pytest.skip("its variables are integers")
    samples = [POINTS] if len(inputs) == 1 else np.random.default_rng(4).choice(POINTS, (len(inputs), 40))
    (stable,), _ = simplify([instance.before], last=False)
    gradients = vjp([stable], [ones_like(stable)], inputs)
    wanted = [k for k, g in enumerate(gradients) if g is not None]
    simplified, _ = simplify([g for g in gradients if g is not None])
    size = len(next(iter(instance.inputs.values())))
    padded = {n: np.resize(s, size) for n, s in zip(inputs, samples, strict=True)}
    found = evaluate_nodes(simplified, padded, {})
    checked = 0
    for k in range(len(samples[0])):
        arguments = {n: a[k] for n, a in padded.items()}
        if rule.excepted is not None and any(rule.excepted(a) for a in arguments.values()):
            continue
        for position, gradient in zip(wanted, found, strict=True):
            exact = derivative(instance.before, arguments, inputs[position])
            if exact is None or abs(exact) > 1e300:
                continue
            checked += 1
            scale = max(abs(float(exact)), rule.scale, 1e-290)
            wrong = f"{rule} at {list(arguments.values())}: {gradient[k]}, not {float(exact)}"
            assert abs(gradient[k] - float(exact)) <= 1e-9 * scale, wrong
    assert checked


def test_logarithms_of_two_weighted_exponentials_are_infinite_where_an_exponent_is() -> None:
    mixture = cr.grad(lambda a, b, w: np.log(w * np.exp(a) + (1 - w) * np.exp(b)))
    assert mixture(np.inf, 1.0, 0.5) == mixture(1.0, np.inf, 0.5) == np.inf
    assert mixture(np.inf, 800.0, 0.0) == 800.0


def test_divergences_of_gaussians_are_nan_where_a_deviation_is_negative() -> None:
    divergence = cr.grad(lambda m, n, s, t: np.log(t / s) + (s**2 + (m - n)**2) / (2 * t**2) - 0.5)
    assert np.isnan(divergence(0.0, 0.1, 1.0, -1.1))


@pytest.mark.parametrize("form", [
    lambda x, p: (1 + x)**p, lambda x, p: (1 - x)**p, lambda x, p: (1 + x)**p - 1, lambda x, p: 1 - (1 - x)**p])
def test_growths_of_integers_are_integers(form: Callable[..., Any]) -> None:
    x, p = np.array([1, 2, 3]), np.array([2, 0, 3])
    found = cr.grad(form)(x, p)
    assert found.dtype == form(x, p).dtype
    np.testing.assert_array_equal(found, form(x, p))
