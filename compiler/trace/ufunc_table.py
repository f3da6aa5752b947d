"""The table of ufuncs, NumPy's and SciPy's: from a ufunc's name to what it is in the IR."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import build
from ..errors import DTypeError
from ..ir import Node, constant, f, kind_of
from ..ops import special

__all__ = ["UFUNCS", "Builder", "clip"]

Builder = Callable[..., Any]  # nodes of one shape, of the loop's dtypes -> node, or a tuple of them


def _by_kind(real: str, integer: str = "", boolean: str = "") -> Builder:
    """An op for each kind of the first operand; `=` is the operand itself."""
    names = {"float": real, "int": integer, "bool": boolean}

    def build_op(*nodes: Node) -> Node:
        name = names[kind_of(nodes[0].dtype)]
        if name == "=":
            return nodes[0]
        if not name:
            raise DTypeError(f"{real} is not defined for {nodes[0].dtype}")
        return getattr(f, name)(*_one_dtype(nodes))  # type: ignore[no-any-return]

    return build_op


def _one_dtype(nodes: Sequence[Node]) -> Sequence[Node]:
    """Loops that mix int64 and uint64 compare values; the IR compares one dtype."""
    if all(n.dtype == nodes[0].dtype for n in nodes):
        return nodes
    return [build.cast(n, np.result_type(*(n.dtype for n in nodes))) for n in nodes]


def _like(value: float, node: Node) -> Node:
    return constant(value, node.dtype, node.shape)


def _special(parts: Mapping[tuple[int, int], str]) -> Builder:
    """A function of SciPy's by its ops, one for each result; orders that are whole numbers become floats."""

    def build_ops(*nodes: Node) -> Any:
        floats = [n.dtype for n in nodes if n.dtype.kind == "f"]
        given = [build.cast(n, np.result_type(*floats) if floats else np.float64) for n in nodes]
        made = tuple(getattr(f, name)(*given) for (_, arity), name in sorted(parts.items()) if arity == len(nodes))
        return made if len(made) > 1 else made[0]

    return build_ops


def _logical(op: str) -> Builder:
    """An op on truth values: of numbers, whether they are not 0."""
    return lambda *nodes: getattr(f, op)(*(build.cast(n, bool) for n in nodes))


def _square(x: Node) -> Node:
    return f.square(x) if kind_of(x.dtype) == "float" else f.mul(x, x)


def _power(x: Node, p: Node) -> Node:
    if kind_of(x.dtype) == "int" and p.op.name == "const" and p.value < 0:
        raise DTypeError("Integers to negative integer powers are not allowed; make the base a float")
    return f.pow(x, p)


def _reciprocal(x: Node) -> Node:
    return f.reciprocal(x) if kind_of(x.dtype) == "float" else f.floor_divide(_like(1, x), x)


def _absolute(x: Node) -> Node:
    return x if x.dtype.kind in "bu" else f.abs(x)


def _sign(x: Node) -> Node:
    return f.sign(x)


def _signbit(x: Node) -> Node:
    zero = f.eq(x, 0.0)
    return f.lt(f.where(zero, f.div(_like(1, x), f.where(zero, x, 1.0)), x), 0.0)


def _copysign(x: Node, s: Node) -> Node:
    magnitude = f.abs(x)
    return f.where(_signbit(s), f.neg(magnitude), magnitude)


def _heaviside(x: Node, h: Node) -> Node:
    step = f.where(f.lt(x, 0.0), _like(0, x), f.where(f.eq(x, 0.0), h, _like(1, x)))
    return f.where(f.isnan(x), x, step)


def _fmax(op: str) -> Builder:
    def either(a: Node, b: Node) -> Node:
        if kind_of(a.dtype) != "float":
            return getattr(f, op)(a, b)  # type: ignore[no-any-return]
        return f.where(f.isnan(a), b, f.where(f.isnan(b), a, getattr(f, op)(a, b)))

    return either


def _predicate(name: str, of_integers: bool) -> Builder:
    def test(x: Node) -> Node:
        return getattr(f, name)(x) if kind_of(x.dtype) == "float" else constant(of_integers, bool, x.shape)

    return test


def _modf(x: Node) -> tuple[Node, Node]:
    whole = f.trunc(x)
    return f.where(f.isinf(x), _copysign(_like(0, x), x), x - whole), whole


def _clip(x: Node, low: Node, high: Node) -> Node:
    return clip(x, low, high)


def clip(x: Node, low: Node | None, high: Node | None) -> Node:
    """`x` held between bounds; at a bound the gradient goes to `x`, as in torch's clamp."""
    if low is not None:
        x = f.where(_keeps(x, low, f.ge), x, low)
    if high is not None:
        x = f.where(_keeps(x, high, f.le), x, high)
    return x


def _keeps(x: Node, bound: Node, inside: Callable[[Node, Node], Node]) -> Node:
    """Where `x` stays: inside, or nan; a nan bound is taken, as np.clip does."""
    keep = inside(x, bound)
    return f.or_(keep, f.isnan(x)) if kind_of(x.dtype) == "float" else keep


def _logaddexp2(a: Node, b: Node) -> Node:
    return f.logaddexp(a * math.log(2.0), b * math.log(2.0)) / math.log(2.0)


def _xlogy(x: Node, y: Node) -> Node:
    zero = f.and_(f.eq(x, 0.0), f.not_(f.isnan(y)))
    return f.where(zero, _like(0, x), x * f.log(f.where(zero, _like(1, y), y)))


def _xlog1py(x: Node, y: Node) -> Node:
    zero = f.and_(f.eq(x, 0.0), f.not_(f.isnan(y)))
    return f.where(zero, _like(0, x), x * f.log1p(f.where(zero, _like(0, y), y)))


def _entropy(x: Node) -> Node:
    inside = f.gt(x, 0.0)
    value = f.neg(x * f.log(f.where(inside, x, 1.0)))
    return f.where(f.or_(inside, f.isnan(x)), value, f.where(f.eq(x, 0.0), _like(0, x), _like(-math.inf, x)))


def _relative_entropy(x: Node, y: Node) -> Node:
    inside = f.and_(f.gt(x, 0.0), f.gt(y, 0.0))
    value = x * f.log(f.where(inside, x, 1.0) / f.where(inside, y, 1.0))
    edge = f.where(f.and_(f.eq(x, 0.0), f.ge(y, 0.0)), _like(0, x), _like(math.inf, x))
    undefined = f.or_(f.isnan(x), f.isnan(y))
    return f.where(inside, value, f.where(undefined, x + y, edge))


def _divergence(x: Node, y: Node) -> Node:
    inside = f.and_(f.gt(x, 0.0), f.gt(y, 0.0))
    edge = f.where(f.and_(f.eq(x, 0.0), f.ge(y, 0.0)), y, _like(math.inf, x))
    return f.where(inside, _relative_entropy(x, y) - x + y, f.where(f.or_(f.isnan(x), f.isnan(y)), x + y, edge))


def _gamma(x: Node) -> Node:
    pole = f.and_(f.lt(x, 0.0), f.eq(x, f.floor(x)))
    return f.where(pole, _like(math.nan, x), _gamma_sign(x) * f.exp(f.lgamma(x)))


def _reciprocal_gamma(x: Node) -> Node:
    pole = f.and_(f.lt(x, 0.0), f.eq(x, f.floor(x)))
    return f.where(pole, _like(0, x), _gamma_sign(x) * f.exp(f.neg(f.lgamma(x))))


def _gamma_sign(x: Node) -> Node:
    odd = f.ne(f.remainder(f.floor(x), 2.0), 0.0)
    return f.where(f.and_(f.lt(x, 0.0), odd), _like(-1, x), _like(1, x))


def _betaln(a: Node, b: Node) -> Node:
    return f.lgamma(a) + f.lgamma(b) - f.lgamma(a + b)


def _beta(a: Node, b: Node) -> Node:
    return _gamma_sign(a) * _gamma_sign(b) * _gamma_sign(a + b) * f.exp(_betaln(a, b))


def _boxcox(x: Node, power: Node) -> Node:
    zero = f.eq(power, 0.0)
    safe = f.where(zero, _like(1, power), power)
    return f.where(zero, f.log(x), f.expm1(safe * f.log(x)) / safe)


def _huber(delta: Node, r: Node) -> Node:
    size = f.abs(r)
    value = f.where(f.le(size, delta), 0.5 * f.square(r), delta * (size - 0.5 * delta))
    return f.where(f.lt(delta, 0.0), _like(math.inf, r), value)


def _pseudo_huber(delta: Node, r: Node) -> Node:
    flat = f.or_(f.eq(delta, 0.0), f.eq(r, 0.0))
    scaled = r / f.where(flat, 1.0, delta)
    value = f.square(delta) * (f.sqrt(1.0 + f.square(scaled)) - 1.0)
    return f.where(f.lt(delta, 0.0), _like(math.inf, r), f.where(flat, _like(0, r), value))


UFUNCS: dict[str, Builder] = {
    # arithmetic
    "add": _by_kind("add", "add", "or_"),
    "subtract": _by_kind("sub", "sub"),
    "multiply": _by_kind("mul", "mul", "and_"),
    "divide": _by_kind("div"),
    "floor_divide": _by_kind("floor_divide", "floor_divide"),
    "remainder": _by_kind("remainder", "remainder"),
    "fmod": _by_kind("fmod", "fmod"),
    "divmod": lambda a, b: (f.floor_divide(a, b), f.remainder(a, b)),
    "power": _power,
    "float_power": _power,
    "negative": _by_kind("neg", "neg"),
    "positive": lambda x: x,
    "absolute": _absolute,
    "fabs": _absolute,
    "sign": _sign,
    "square": _square,
    "reciprocal": _reciprocal,
    "sqrt": _by_kind("sqrt"),
    "cbrt": _by_kind("cbrt"),
    "hypot": _by_kind("hypot"),
    "conjugate": lambda x: x,
    "degrees": lambda x: x * (180.0 / math.pi),
    "rad2deg": lambda x: x * (180.0 / math.pi),
    "radians": lambda x: x * (math.pi / 180.0),
    "deg2rad": lambda x: x * (math.pi / 180.0),
    "signbit": _signbit,
    "copysign": _copysign,
    "heaviside": _heaviside,
    "modf": _modf,
    "ldexp": lambda x, e: x * f.exp2(build.cast(e, x.dtype)),
    # rounding
    "floor": _by_kind("floor", "=", "="),
    "ceil": _by_kind("ceil", "=", "="),
    "trunc": _by_kind("trunc", "=", "="),
    "rint": _by_kind("round"),
    # exponentials, trigonometry
    **{
        name: _by_kind(name)
        for name in (
            "exp",
            "exp2",
            "expm1",
            "log",
            "log2",
            "log10",
            "log1p",
            "sin",
            "cos",
            "tan",
            "arcsin",
            "arccos",
            "arctan",
            "arctan2",
            "sinh",
            "cosh",
            "tanh",
            "arcsinh",
            "arccosh",
            "arctanh",
            "logaddexp",
        )
    },
    "logaddexp2": _logaddexp2,
    # choices, comparisons, logic
    "maximum": _by_kind("maximum", "maximum", "maximum"),
    "minimum": _by_kind("minimum", "minimum", "minimum"),
    "fmax": _fmax("maximum"),
    "fmin": _fmax("minimum"),
    "clip": _clip,
    "equal": _by_kind("eq", "eq", "eq"),
    "not_equal": _by_kind("ne", "ne", "ne"),
    "less": _by_kind("lt", "lt", "lt"),
    "less_equal": _by_kind("le", "le", "le"),
    "greater": _by_kind("gt", "gt", "gt"),
    "greater_equal": _by_kind("ge", "ge", "ge"),
    "logical_and": _logical("and_"),
    "logical_or": _logical("or_"),
    "logical_xor": _logical("xor"),
    "logical_not": _logical("not_"),
    "bitwise_and": _by_kind("", "and_", "and_"),
    "bitwise_or": _by_kind("", "or_", "or_"),
    "bitwise_xor": _by_kind("", "xor", "xor"),
    "invert": _by_kind("", "not_", "not_"),
    "left_shift": _by_kind("", "shift_left"),
    "right_shift": _by_kind("", "shift_right"),
    "isnan": _predicate("isnan", False),
    "isinf": _predicate("isinf", False),
    "isfinite": _predicate("isfinite", True),
    # scipy.special
    "expit": _by_kind("sigmoid"),
    "log_expit": _by_kind("log_sigmoid"),
    "logit": lambda x: f.log(x) - f.log1p(f.neg(x)),
    "softplus": _by_kind("softplus"),
    "erf": _by_kind("erf"),
    "erfc": _by_kind("erfc"),
    "erfinv": _by_kind("erfinv"),
    "erfcx": _by_kind("erfcx"),
    "log_ndtr": lambda x: build.log_half_erfc(x * -math.sqrt(0.5)),
    "ndtr": lambda x: 0.5 * f.erfc(x * -math.sqrt(0.5)),
    "gammaln": _by_kind("lgamma"),
    "loggamma": _by_kind("lgamma"),
    "psi": _by_kind("digamma"),
    "digamma": _by_kind("digamma"),
    "gamma": _gamma,
    "rgamma": _reciprocal_gamma,
    "betaln": _betaln,
    "beta": _beta,
    "xlogy": _xlogy,
    "xlog1py": _xlog1py,
    "entr": _entropy,
    "rel_entr": _relative_entropy,
    "kl_div": _divergence,
    "exprel": _by_kind("exprel"),
    "exp10": lambda x: f.pow(_like(10, x), x),
    "boxcox": _boxcox,
    "huber": _huber,
    "pseudo_huber": _pseudo_huber,
    "kn": _special({(0, 2): "kv"}),
    "yn": _special({(0, 2): "yv"}),
    **{name: _special(parts) for name, parts in special.UFUNCS.items()},
}
