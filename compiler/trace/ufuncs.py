"""NumPy's ufuncs, and SciPy's, on traced values: a table from a ufunc's name to what it is in the IR."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import build
from ..errors import DTypeError, TraceError
from ..ir import Node, constant, f, kind_of
from ..provenance import at, user_site
from .operands import Operand, Weak, checked, is_traced, lift, to_dtype, wrap
from .session import located, require_session
from .symint import SymInt

__all__ = ["UFUNCS", "apply_ufunc", "dispatch_ufunc", "operate"]

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
        return getattr(f, name)(x) if kind_of(x.dtype) == "float" else constant(of_integers, bool, x.shape)  # type: ignore[no-any-return]

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


def _exprel(x: Node) -> Node:
    zero = f.eq(x, 0.0)
    near = f.lt(f.abs(x), 1e-5)  # the series keeps the derivative right where expm1(x)/x loses it
    safe = f.where(f.or_(near, zero), _like(1, x), x)
    return f.where(near, 1.0 + x * (0.5 + x * (1 / 6)), f.expm1(safe) / safe)


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
    "add": _by_kind("add", "add", "or_"), "subtract": _by_kind("sub", "sub"), "multiply": _by_kind("mul", "mul", "and_"),
    "divide": _by_kind("div"), "floor_divide": _by_kind("floor_divide", "floor_divide"),
    "remainder": _by_kind("remainder", "remainder"), "fmod": _by_kind("fmod", "fmod"),
    "divmod": lambda a, b: (f.floor_divide(a, b), f.remainder(a, b)),
    "power": _power, "float_power": _power, "negative": _by_kind("neg", "neg"), "positive": lambda x: x,
    "absolute": _absolute, "fabs": _absolute, "sign": _sign, "square": _square, "reciprocal": _reciprocal,
    "sqrt": _by_kind("sqrt"), "cbrt": _by_kind("cbrt"), "hypot": _by_kind("hypot"),
    "conjugate": lambda x: x, "degrees": lambda x: x * (180.0 / math.pi), "rad2deg": lambda x: x * (180.0 / math.pi),
    "radians": lambda x: x * (math.pi / 180.0), "deg2rad": lambda x: x * (math.pi / 180.0),
    "signbit": _signbit, "copysign": _copysign, "heaviside": _heaviside, "modf": _modf,
    "ldexp": lambda x, e: x * f.exp2(build.cast(e, x.dtype)),
    # rounding
    "floor": _by_kind("floor", "=", "="), "ceil": _by_kind("ceil", "=", "="), "trunc": _by_kind("trunc", "=", "="),
    "rint": _by_kind("round"),
    # exponentials, trigonometry
    **{name: _by_kind(name) for name in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin",
                                         "arccos", "arctan", "arctan2", "sinh", "cosh", "tanh", "arcsinh", "arccosh",
                                         "arctanh", "logaddexp")},
    "logaddexp2": _logaddexp2,
    # choices, comparisons, logic
    "maximum": _by_kind("maximum", "maximum", "maximum"), "minimum": _by_kind("minimum", "minimum", "minimum"),
    "fmax": _fmax("maximum"), "fmin": _fmax("minimum"), "clip": _clip,
    "equal": _by_kind("eq", "eq", "eq"), "not_equal": _by_kind("ne", "ne", "ne"), "less": _by_kind("lt", "lt", "lt"),
    "less_equal": _by_kind("le", "le", "le"), "greater": _by_kind("gt", "gt", "gt"),
    "greater_equal": _by_kind("ge", "ge", "ge"),
    "logical_and": _logical("and_"), "logical_or": _logical("or_"), "logical_xor": _logical("xor"), "logical_not": _logical("not_"),
    "bitwise_and": _by_kind("", "and_", "and_"), "bitwise_or": _by_kind("", "or_", "or_"),
    "bitwise_xor": _by_kind("", "xor", "xor"), "invert": _by_kind("", "not_", "not_"),
    "left_shift": _by_kind("", "shift_left"), "right_shift": _by_kind("", "shift_right"),
    "isnan": _predicate("isnan", False), "isinf": _predicate("isinf", False), "isfinite": _predicate("isfinite", True),
    # scipy.special
    "expit": _by_kind("sigmoid"), "log_expit": _by_kind("log_sigmoid"), "logit": lambda x: f.log(x) - f.log1p(f.neg(x)),
    "softplus": _by_kind("softplus"),
    "erf": _by_kind("erf"), "erfc": _by_kind("erfc"), "erfinv": _by_kind("erfinv"), "erfcinv": lambda x: f.erfinv(1.0 - x),
    "ndtr": lambda x: 0.5 * f.erfc(x * -math.sqrt(0.5)), "ndtri": lambda p: f.erfinv(2.0 * p - 1.0) * math.sqrt(2.0),
    "gammaln": _by_kind("lgamma"), "loggamma": _by_kind("lgamma"), "psi": _by_kind("digamma"), "digamma": _by_kind("digamma"),
    "gamma": _gamma, "rgamma": _reciprocal_gamma, "betaln": _betaln, "beta": _beta,
    "xlogy": _xlogy, "xlog1py": _xlog1py, "entr": _entropy, "rel_entr": _relative_entropy, "kl_div": _divergence,
    "exprel": _exprel, "exp10": lambda x: f.pow(_like(10, x), x), "boxcox": _boxcox, "huber": _huber,
    "pseudo_huber": _pseudo_huber,
}

_INSTEAD = {
    "nextafter": "it has no derivative; compute it outside of the function",
    "spacing": "it has no derivative; compute it outside of the function",
    "frexp": "use np.log2 and np.floor", "gcd": "compute it outside of the function",
    "lcm": "compute it outside of the function",
    "log_ndtr": "use np.log(scipy.special.ndtr(x))",
}


def unsupported(name: str, instead: str = "") -> TraceError:
    """The error for a function that has no rule."""
    return TraceError(f"{name} cannot be traced{at(user_site())}: "
                      f"{instead or 'compute it outside of the function, or write it with supported NumPy functions'}")


def operate(ufunc: np.ufunc, *values: Any) -> Any:
    """A Python operator: as the ufunc, but Python numbers with Python numbers give a Python number, which is weak."""
    with located():
        operands = [lift(v) for v in values]
        weak: Weak = None
        if all(o.weak is not None for o in operands):
            weak = int if all(o.weak is int for o in operands) else float
        made = apply_ufunc(ufunc, operands)
        if isinstance(made, tuple):
            return tuple(wrap(node, weak) for node in made)
        return wrap(made, weak_of(made, weak))


def weak_of(node: Node, weak: Weak) -> Weak:
    """The weak type of a result of Python numbers: by its kind; comparisons give plain bools."""
    return None if weak is None else {"f": float, "i": int}.get(node.dtype.kind)


def apply_ufunc(ufunc: np.ufunc, operands: Sequence[Operand], dtype: Any = None) -> Any:
    """The node (or nodes) of a ufunc: dtypes as NumPy resolves them, then broadcast.

    Raises:
        TraceError: the ufunc has no rule.
        DTypeError: NumPy refuses these dtypes, or the compiler has not got the loop's.
    """
    builder = UFUNCS.get(ufunc.__name__)
    if ufunc.__name__ in ("matmul", "vecdot", "matvec", "vecmat"):
        return _product(ufunc, operands, dtype)
    if builder is None:
        known = [require_session("this operation").concretise(o.node) for o in operands]
        if all(k is not None for k in known):  # captured arrays and constants only
            with np.errstate(all="ignore"):
                made = ufunc(*known)
            return tuple(lift(m).node for m in made) if isinstance(made, tuple) else lift(made).node
        raise unsupported(_spelled(ufunc), _INSTEAD.get(ufunc.__name__, ""))
    loop = resolve(ufunc, operands, dtype)
    if ufunc.__name__ in _COMPARISONS and any(_too_large(o, d) for o, d in zip(operands, loop, strict=False)):
        return _compare_beyond(ufunc, operands)
    nodes = [to_dtype(o, checked(d)) for o, d in zip(operands, loop, strict=False)]
    made = builder(*build.broadcast(*nodes, what=ufunc.__name__))
    outputs = loop[len(operands):]
    if isinstance(made, tuple):
        return tuple(build.cast(node, checked(d)) for node, d in zip(made, outputs, strict=True))
    return build.cast(made, checked(outputs[0]))


_COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")


def _too_large(operand: Operand, dtype: np.dtype[Any]) -> bool:
    """Whether a Python integer is out of the range of the other operand's dtype."""
    if operand.weak is not int or operand.literal is None or dtype.kind not in "iu":
        return False
    return not np.iinfo(dtype).min <= operand.literal <= np.iinfo(dtype).max


def _compare_beyond(ufunc: np.ufunc, operands: Sequence[Operand]) -> Node:
    """A comparison with an integer that no element can equal, which NumPy answers by its value."""
    example = [0 if o.literal is None else o.literal for o in operands]
    shape = build.broadcast_shapes(*(o.node.shape for o in operands))
    return constant(bool(ufunc(*(np.array(v, object) for v in example))), bool, shape)


def resolve(ufunc: np.ufunc, operands: Sequence[Operand], dtype: Any = None) -> tuple[np.dtype[Any], ...]:
    """The dtypes of the ufunc's loop: of its inputs, then of its outputs."""
    asked = tuple(o.promoted for o in operands) + (None,) * ufunc.nout
    chosen = {} if dtype is None else {"signature": (None,) * ufunc.nin + (np.dtype(dtype),) * ufunc.nout}
    try:
        return ufunc.resolve_dtypes(asked, **chosen)  # type: ignore[no-any-return,attr-defined]
    except TypeError as error:
        kinds = ", ".join(str(o.node.dtype) for o in operands)
        raise DTypeError(f"{_spelled(ufunc)} is not defined for {kinds}: {error}") from None


def _product(ufunc: np.ufunc, operands: Sequence[Operand], dtype: Any) -> Node:
    x, y = (to_dtype(o, checked(d)) for o, d in zip(operands, resolve(ufunc, operands, dtype), strict=False))
    if x.dtype.kind == "b":
        return build.cast(_product_of(ufunc.__name__, build.cast(x, np.int64), build.cast(y, np.int64)), bool)
    return _product_of(ufunc.__name__, x, y)


def _product_of(name: str, x: Node, y: Node) -> Node:
    if name == "matmul":
        return build.matmul(x, y)
    if name == "vecdot":
        return build.einsum("...i,...i->...", x, y)
    return build.einsum("...ij,...j->...i" if name == "matvec" else "...i,...ij->...j", x, y)


def _spelled(ufunc: np.ufunc) -> str:
    return f"np.{ufunc.__name__}" if getattr(np, ufunc.__name__, None) is ufunc else f"scipy.special.{ufunc.__name__}"


# ------------------------------------------------------------------------------------------------ NumPy's protocol
def dispatch_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What `__array_ufunc__` of traced values does."""
    with located():
        out = kwargs.pop("out", None)
        if method == "__call__":
            return _call(ufunc, inputs, out, kwargs)
        if method == "at":
            return _at(ufunc, inputs)
        from . import ufunc_methods

        result = getattr(ufunc_methods, method, ufunc_methods.no_method)(ufunc, *inputs, **kwargs)
        return result if out is None else store(out[0], lift(result), f"{_spelled(ufunc)}.{method}")


def _call(ufunc: np.ufunc, inputs: Sequence[Any], out: Any, kwargs: dict[str, Any]) -> Any:
    where, dtype, casting = kwargs.pop("where", True), kwargs.pop("dtype", None), kwargs.pop("casting", "same_kind")
    kwargs.pop("order", None), kwargs.pop("subok", None)
    if set(kwargs) - {"signature"}:
        raise unsupported(f"{_spelled(ufunc)} with {', '.join(sorted(kwargs))}")
    made = apply_ufunc(ufunc, [lift(v) for v in inputs], dtype)
    made = made if isinstance(made, tuple) else (made,)
    out = (None,) * len(made) if out is None else out
    if where is not True and any(o is None for o in out):
        raise TraceError(f"{_spelled(ufunc)} with where= needs out= as well{at(user_site())}: without it the other elements "
                         "are undefined; np.where(condition, a, b) gives them a value")
    results = [wrap(node) if o is None else store(o, Operand(node), _spelled(ufunc), where, casting)
               for node, o in zip(made, out, strict=True)]
    return results[0] if len(results) == 1 else tuple(results)


def store(target: Any, result: Operand, what: str, where: Any = True, casting: str = "same_kind") -> Any:
    """Write a result into `out=`.

    Raises:
        TraceError: the target is a plain array.
        DTypeError: the cast is not of the same kind.
        ShapeError: the result does not fit.
    """
    from .traced import Traced

    if not isinstance(target, Traced):
        raise plain_target(target)
    node = target.node
    if not np.can_cast(result.node.dtype, node.dtype, casting):  # type: ignore[arg-type]
        raise DTypeError(f"Cannot cast {what} output from {result.node.dtype!r} to {node.dtype!r} with casting rule {casting!r}")
    new = build.broadcast_to(build.cast(result.node, node.dtype), node.shape)
    if where is not True:
        mask = build.broadcast_to(build.cast(lift(where).node, bool), node.shape)
        new = f.where(mask, new, node)
    target.write(new)
    return target


def plain_target(target: Any) -> TraceError:
    """The error for storing a traced value into a plain array."""
    return TraceError(f"a traced value cannot be stored in a plain {type(target).__name__}{at(user_site())}: make the array with "
                      "np.zeros_like(x) or np.empty_like(x) of a traced x, which can be written to, or build the result with "
                      "np.stack or np.concatenate")


def _at(ufunc: np.ufunc, inputs: Sequence[Any]) -> None:
    from .traced import Traced, lift_key

    target, key, *values = inputs
    if not isinstance(target, Traced):
        raise plain_target(target)
    if ufunc.__name__ not in ("add", "subtract") or not values:
        raise unsupported(f"{_spelled(ufunc)}.at", "np.add.at and np.subtract.at are supported")
    node = target.node
    (value,) = (to_dtype(lift(v), node.dtype) for v in values)
    value = f.neg(value) if ufunc.__name__ == "subtract" else value
    target.write(build.update(node, lift_key(key), value, accumulate=True))


def unwrap_size(value: Any) -> Any:
    """A plain int or size for parameters such as shapes and axes."""
    return value.size if isinstance(value, SymInt) else value


