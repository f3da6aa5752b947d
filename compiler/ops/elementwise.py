"""Elementwise ops: all inputs have the output's shape; `partials(y, *xs)` states every derivative once.

Numbers cited are of the NIST Digital Library of Mathematical Functions (DLMF). Conventions at kinks are torch's.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DTypeError
from ..ir import constant, f
from ..op import Names, Op, Over, declare
from .lowering import Lowering
from .rules import BOOL, aval_text, one_dtype, unify

if TYPE_CHECKING:
    from ..ir import Node
    from ..op import Aval

REAL = ("float",)
HALF = Fraction(1, 2)
NUMBER = ("float", "int")
ANY = ("float", "int", "bool")
TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)


def special(name: str) -> Callable[..., Any]:
    """A function of scipy.special, imported when it is first called."""

    def call(*args: Any) -> Any:
        import scipy.special

        return getattr(scipy.special, name)(*args)

    return call


def _same(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    return unify(inputs, "elementwise operation"), one_dtype(inputs, "elementwise operation")


def _predicate(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    one_dtype(inputs, "comparison")
    return unify(inputs, "comparison"), BOOL


def _op(name: str, arity: int, numpy: Callable[..., Any], partials: Callable[..., tuple[Any, ...]] | None = None, *,
        lowering: Lowering, names: Names, dtypes: tuple[str, ...] = REAL, infer: Callable[..., Aval] = _same,
        **more: Any) -> None:
    declare(Op(name=name, kind="elementwise", arity=arity, infer=infer, evaluate=numpy, partials=partials,
               dtypes=dtypes, lowering=lowering, names=names, **more))


def _unary(name: str, numpy: Callable[..., Any], partial: Callable[[Node, Node], Any], *, real: str = "",
           source: str = "", sympy: str = "", latex: str = "", text: str = "", written: str = "",
           meaning: Callable[..., Any] | None = None, inline: bool = False, spelled: bool = False, cost: float = 15.0,
           **more: Any) -> None:
    """A smooth function of one real argument; `written` is its NumPy source for people."""
    _op(name, 1, numpy, lambda y, x: (partial(y, x),),
        lowering=Lowering(real=real or f"math {name}", source=source or f"np.{name}({{0}})"),
        names=Names(sympy or name, latex or rf"\{name}\left({{0}}\right)", text or f"{name}({{0}})", written, meaning,
                    inline, spelled),
        cost=cost, **more)


# ---------------------------------------------------------------- arithmetic
_op("add", 2, np.add, lambda y, a, b: (1, 1), dtypes=NUMBER, commutative=True, singular=False,
    parity="joint", lowering=Lowering("fadd", "add", "", "{0} + {1}"),
    names=Names("Add", "{0} + {1}", "{0} + {1}", meaning=lambda m, a, b: a + b, inline=True))
_op("sub", 2, np.subtract, lambda y, a, b: (1, -1), dtypes=NUMBER, singular=False, anticommutative=True,
    parity="joint", lowering=Lowering("fsub", "sub", "", "{0} - {1}"),
    names=Names("Sub", "{0} - {1}", "{0} - {1}", meaning=lambda m, a, b: a - b, inline=True))
_op("mul", 2, np.multiply, lambda y, a, b: (b, a), dtypes=NUMBER, commutative=True,
    parity="each", homogeneous="each", lowering=Lowering("fmul", "mul", "", "{0} * {1}"),
    names=Names("Mul", "{0} {1}", "{0}*{1}", meaning=lambda m, a, b: a * b, inline=True))
_op("div", 2, np.divide, lambda y, a, b: (Over(b), f.neg(y / b)), cost=4.0,
    parity="each", homogeneous="first", lowering=Lowering("fdiv", "", "", "{0} / {1}"),
    names=Names("Div", r"\frac{{{0}}}{{{1}}}", "{0}/{1}", meaning=lambda m, a, b: a / b, inline=True))
_op("neg", 1, np.negative, lambda y, x: (-1,), dtypes=NUMBER, singular=False,
    parity="joint", homogeneous="joint", lowering=Lowering("fneg", "neg", "", "-{0}"),
    names=Names("Neg", "-{0}", "-{0}", meaning=lambda m, x: -x, inline=True))
_op("floor_divide", 2, np.floor_divide, lambda y, a, b: (None, None), dtypes=NUMBER, cost=6.0,
    kinks="derivative 0 almost everywhere",
    lowering=Lowering("math floor_divide", "math floor_divide", "", "np.floor_divide({0}, {1})"),
    names=Names("floor_divide", r"\left\lfloor\frac{{{0}}}{{{1}}}\right\rfloor", "{0}//{1}",
                "np.floor_divide({0}, {1})", meaning=lambda m, a, b: m.floor(a / b)))
_op("remainder", 2, np.remainder, lambda y, a, b: (1, f.neg(f.floor_divide(a, b))), dtypes=NUMBER, cost=6.0,
    lowering=Lowering("math remainder", "math remainder", "", "np.remainder({0}, {1})"),
    names=Names("Mod", r"{0} \bmod {1}", "{0} mod {1}"))
# (a - y) / b is trunc(a / b), but where a / b rounds up to the next integer
_op("fmod", 2, np.fmod, lambda y, a, b: (1, f.neg(f.round((a - y) / b))), dtypes=NUMBER, cost=6.0,
    lowering=Lowering("math fmod", "math fmod", "", "np.fmod({0}, {1})"),
    names=Names("fmod", r"\operatorname{{fmod}}\left({0}, {1}\right)", "fmod({0}, {1})",
                meaning=lambda m, a, b: m.sign(a) * (m.Abs(a) - m.Abs(b) * m.floor(m.Abs(a) / m.Abs(b)))))


def _pow_partials(y: Node, x: Node, p: Node) -> tuple[Any, ...]:
    # DLMF 4.2.26; x**0 is the constant 1, also at x = 0, and 0**p has no slope in p for p >= 0 (torch's conventions)
    if p.op.name == "const":
        if p.value == 0:
            return None, None
        return (2.0 * x if p.value == 2 else p * f.pow(x, p.value - 1)), None
    slope = p * f.pow(x, p - 1.0)
    flat = f.and_(f.eq(x, 0.0), f.ge(p, 0.0))
    return (f.where(f.eq(p, 0.0), constant(0, x.dtype, x.shape), slope),
            f.where(flat, constant(0, x.dtype, x.shape), y * f.log(x)))


_op("pow", 2, np.power, _pow_partials, dtypes=NUMBER, cost=30.0, source="DLMF 4.2.26",
    lowering=Lowering("math pow", "math ipow", "", "np.power({0}, {1})"),
    names=Names("Pow", "{0}^{{{1}}}", "{0}**{1}", meaning=lambda m, x, p: x**p, inline=True),
    kinks="x**0 is constant; 0**p has slope 0 in p for p >= 0")
_unary("square", np.square, lambda y, x: 2.0 * x, real="math square", source="{0} * {0}", cost=1.0, sympy="square",
       latex="{0}^{{2}}", text="{0}**2", meaning=lambda m, x: x**2, inline=True, parity="even")
_unary("reciprocal", np.reciprocal, lambda y, x: f.neg(f.square(y)), real="math reciprocal", source="1.0 / {0}",
       cost=4.0, sympy="reciprocal", latex=r"\frac{{1}}{{{0}}}", text="1/{0}", meaning=lambda m, x: 1 / x, inline=True,
       parity="each")
_unary("sqrt", np.sqrt, lambda y, x: Over(2.0 * y), real="llvm.sqrt", source="np.sqrt({0})", cost=6.0,
       latex=r"\sqrt{{{0}}}", meaning=lambda m, x: x**HALF, inline=True, kinks="sqrt'(0) = inf")
_unary("rsqrt", lambda x: np.reciprocal(np.sqrt(x)), lambda y, x: -0.5 * y / x, cost=10.0,
       latex=r"\frac{{1}}{{\sqrt{{{0}}}}}", text="1/sqrt({0})", meaning=lambda m, x: x**-HALF, inline=True,
       source="vm.rsqrt({0})")
_unary("cbrt", np.cbrt, lambda y, x: Over(3.0 * f.square(y)), latex=r"\sqrt[3]{{{0}}}", sympy="real_cbrt",
       meaning=lambda m, x: m.sign(x) * m.Abs(x)**m.Rational(1, 3), parity="each")

_op("abs", 1, np.abs, lambda y, x: (f.sign(x),), dtypes=NUMBER, kinks="|x|'(0) = 0",
    parity="even", lowering=Lowering("llvm.fabs", "math abs", "", "abs({0})"),
    names=Names("Abs", r"\left\lvert {0} \right\rvert", "|{0}|", "np.abs({0})"))
_op("sign", 1, np.sign, lambda y, x: (None,), dtypes=NUMBER, kinks="derivative 0 everywhere",
    parity="each", lowering=Lowering("math sign", "math sign", "", "np.sign({0})"),
    names=Names("sign", r"\operatorname{{sign}}\left({0}\right)", "sign({0})"))
_numpy: Any  # ufuncs of several arities in turn
for _name, _numpy, _llvm, _latex in (
    ("floor", np.floor, "llvm.floor", r"\left\lfloor {0} \right\rfloor"),
    ("ceil", np.ceil, "llvm.ceil", r"\left\lceil {0} \right\rceil"),
    ("trunc", np.trunc, "llvm.trunc", r"\operatorname{{trunc}}\left({0}\right)"),
    ("round", np.rint, "llvm.roundeven", r"\operatorname{{round}}\left({0}\right)"),
):
    _op(_name, 1, _numpy, lambda y, x: (None,), kinks="derivative 0 everywhere",
        lowering=Lowering(_llvm, "", "", f"np.{_numpy.__name__}({{0}})"),
        names=Names({"ceil": "ceiling"}.get(_name, _name), _latex, f"{_name}({{0}})", f"np.{_numpy.__name__}({{0}})",
                    meaning=(lambda m, x: m.sign(x) * m.floor(m.Abs(x))) if _name == "trunc" else None))

# ---------------------------------------------------------------- exponentials and logarithms (DLMF 4.2)
_unary("exp", np.exp, lambda y, x: y, latex="e^{{{0}}}", meaning=lambda m, x: m.exp(x), inline=True)
_unary("exp2", np.exp2, lambda y, x: y * math.log(2.0), latex="2^{{{0}}}", text="2**{0}",
       meaning=lambda m, x: 2**x, inline=True)
_unary("expm1", np.expm1, lambda y, x: f.exp(x), latex=r"\operatorname{{expm1}}\left({0}\right)",
       meaning=lambda m, x: m.exp(x) - 1)
_unary("log", np.log, lambda y, x: Over(x))
_unary("log2", np.log2, lambda y, x: Over(x * math.log(2.0)), latex=r"\log_2\left({0}\right)",
       meaning=lambda m, x: m.log(x) / m.log(2))
_unary("log10", np.log10, lambda y, x: Over(x * math.log(10.0)), latex=r"\log_{{10}}\left({0}\right)",
       meaning=lambda m, x: m.log(x) / m.log(10))
_unary("log1p", np.log1p, lambda y, x: Over(1.0 + x), latex=r"\log\left(1 + {0}\right)",
       meaning=lambda m, x: m.log(1 + x))

# ---------------------------------------------------------------- trigonometric (DLMF 4.20, 4.24)
_unary("sin", np.sin, lambda y, x: f.cos(x), parity="each")
_unary("cos", np.cos, lambda y, x: f.neg(f.sin(x)), parity="even")
_unary("tan", np.tan, lambda y, x: 1.0 + f.square(y), parity="each")
_unary("arcsin", np.arcsin, lambda y, x: Over(f.sqrt((1.0 - x) * (1.0 + x))), real="math asin", sympy="asin", parity="each")
_unary("arccos", np.arccos, lambda y, x: Over(f.neg(f.sqrt((1.0 - x) * (1.0 + x)))), real="math acos", sympy="acos")
_unary("arctan", np.arctan, lambda y, x: Over(1.0 + f.square(x)), real="math atan", sympy="atan", parity="each")


def _arctan2_partials(y: Node, a: Node, b: Node) -> tuple[Node, Node]:
    # DLMF 4.23.28 by the radius, as its square may overflow or vanish
    radius, zero = f.hypot(a, b), constant(0, y.dtype, y.shape)
    origin = f.eq(radius, 0.0)
    return f.where(origin, zero, b / radius / radius), f.neg(f.where(origin, zero, a / radius / radius))


_op("arctan2", 2, np.arctan2, _arctan2_partials, cost=25.0, source="DLMF 4.23.28", kinks="gradient 0 at the origin",
    lowering=Lowering("math atan2", "", "", "np.arctan2({0}, {1})"),
    names=Names("atan2", r"\operatorname{{atan2}}\left({0}, {1}\right)", "arctan2({0}, {1})"))

# ---------------------------------------------------------------- hyperbolic (DLMF 4.34, 4.37)
_unary("sinh", np.sinh, lambda y, x: f.cosh(x), parity="each")
_unary("cosh", np.cosh, lambda y, x: f.sinh(x), parity="even")
_unary("tanh", np.tanh, lambda y, x: 1.0 - f.square(y), parity="each")
_unary("arcsinh", np.arcsinh, lambda y, x: Over(f.hypot(x, 1.0)), real="math asinh", sympy="asinh",
       latex=r"\operatorname{{arsinh}}\left({0}\right)", parity="each")
_unary("arccosh", np.arccosh, lambda y, x: Over(f.sqrt(x - 1.0) * f.sqrt(x + 1.0)), real="math acosh", sympy="acosh",
       latex=r"\operatorname{{arcosh}}\left({0}\right)")
_unary("arctanh", np.arctanh, lambda y, x: Over((1.0 - x) * (1.0 + x)), real="math atanh", sympy="atanh",
       latex=r"\operatorname{{artanh}}\left({0}\right)", parity="each")

# ---------------------------------------------------------------- error and gamma functions (DLMF 7.2, 5.2)
_unary("erf", special("erf"), lambda y, x: TWO_OVER_SQRT_PI * f.exp(f.neg(f.square(x))), source="math.erf({0})",
       written="special.erf({0})", latex=r"\operatorname{{erf}}\left({0}\right)", parity="each")
_unary("erfc", special("erfc"), lambda y, x: -TWO_OVER_SQRT_PI * f.exp(f.neg(f.square(x))), source="math.erfc({0})",
       written="special.erfc({0})", latex=r"\operatorname{{erfc}}\left({0}\right)")
_unary("erfcx", special("erfcx"), lambda y, x: _erfcx_slope(y, x), source="vm.erfcx({0})",
       written="special.erfcx({0})", latex=r"\operatorname{{erfcx}}\left({0}\right)", meaning=lambda m, x: m.exp(x * x) * m.erfc(x),
       spelled=True, cost=25.0)
_unary("erfinv", special("erfinv"), lambda y, x: (1.0 / TWO_OVER_SQRT_PI) * f.exp(f.square(y)), cost=40.0,
       latex=r"\operatorname{{erf}}^{{-1}}\left({0}\right)", source="vm.erfinv({0})",
       written="special.erfinv({0})")
_unary("lgamma", special("gammaln"), lambda y, x: f.digamma(x), latex=r"\log\left\lvert \Gamma\left({0}\right) \right\rvert",
       sympy="loggamma", cost=40.0, source="vm.lgamma({0})",
       written="special.gammaln({0})")


def _polygamma(order: int, x: Any) -> Any:
    return special("digamma")(x) if order == 0 else special("polygamma")(order, x).astype(np.asarray(x).dtype)


_unary("digamma", special("digamma"), lambda y, x: f.polygamma(x, order=1), latex=r"\psi\left({0}\right)", cost=40.0,
       source="vm.digamma({0})", written="special.digamma({0})")
declare(Op(name="polygamma", kind="elementwise", arity=1, params=("order",), infer=_same, dtypes=REAL,
           evaluate=lambda x, *, order: _polygamma(order, x), cost=80.0, source="DLMF 5.15",
           partials=lambda y, x: (f.polygamma(x, order=y.param("order") + 1),),
           names=Names("polygamma", r"\psi^{{({order})}}\left({0}\right)", "polygamma({order}, {0})",
                       "special.polygamma({order}, {0})")))

# ---------------------------------------------------------------- stable compositions that earn their own derivative
def _negated(x: Node) -> Node:
    return x.inputs[0] if x.op.name == "neg" else f.neg(x)


# 1 - y cancels where y is near 1; sigmoid(-x) does not, and shares its exponential with sigmoid(x)
_unary("sigmoid", special("expit"), lambda y, x: y * f.sigmoid(_negated(x)), latex=r"\sigma\left({0}\right)",
       source="vm.sigmoid({0})", written="special.expit({0})", meaning=lambda m, x: 1 / (1 + m.exp(-x)))
_unary("softplus", lambda x: np.logaddexp(x, np.zeros((), np.asarray(x).dtype)), lambda y, x: f.sigmoid(x),
       latex=r"\operatorname{{softplus}}\left({0}\right)", source="vm.softplus({0})", written="np.logaddexp(0, {0})",
       meaning=lambda m, x: m.log(1 + m.exp(x)))
_unary("log_sigmoid", special("log_expit"), lambda y, x: f.sigmoid(_negated(x)), latex=r"\log\sigma\left({0}\right)",
       source="vm.log_sigmoid({0})", written="special.log_expit({0})", meaning=lambda m, x: -m.log(1 + m.exp(-x)))
_unary("exprel", lambda x: _exprel(x), lambda y, x: _exprel_slope(y, x), latex=r"\frac{{e^{{{0}}} - 1}}{{{0}}}",
       source="vm.exprel({0})", written="special.exprel({0})", cost=20.0, meaning=lambda m, x: (m.exp(x) - 1) / x, inline=True,
       spelled=True)
_unary("sinc", lambda x: _sinc(x), lambda y, x: sinc_slope(y, x), latex=r"\frac{{\sin {0}}}{{{0}}}", text="sin({0})/{0}",
       source="vm.sinc({0})", written="special.spherical_jn(0, {0})", cost=20.0, meaning=lambda m, x: m.sin(x) / x, inline=True,
       spelled=True)
_unary("sech_squared", lambda x: _sech_squared(x), lambda y, x: (-2.0 * y) * f.tanh(x),
       latex=r"\operatorname{{sech}}^{{2}}\left({0}\right)", source="vm.sech_squared({0})", text="sech({0})**2",
       written="1/np.cosh({0})**2", parity="even", meaning=lambda m, x: 1 - m.tanh(x)**2, inline=True)
_op("hypot", 2, np.hypot, lambda y, a, b: _unit(y, a, b), cost=12.0, kinks="gradient 0 at the origin",
    lowering=Lowering("math hypot", "", "", "np.hypot({0}, {1})"),
    names=Names("hypot", r"\sqrt{{{0}^{{2}} + {1}^{{2}}}}", "hypot({0}, {1})",
                meaning=lambda m, a, b: (a**2 + b**2)**HALF, inline=True))
_op("cathetus", 2, lambda a, b: _cathetus(a, b), lambda y, a, b: (a / y, f.neg(b / y)), cost=14.0,
    parity="even", lowering=Lowering("math cathetus", "", "", "vm.cathetus({0}, {1})"),
    names=Names("cathetus", r"\sqrt{{{0}^{{2}} - {1}^{{2}}}}", "sqrt({0}**2 - {1}**2)", "np.sqrt({0}**2 - {1}**2)",
                meaning=lambda m, a, b: (a**2 - b**2)**HALF, inline=True))
_op("logaddexp", 2, np.logaddexp, lambda y, a, b: (f.sigmoid(a - b), f.sigmoid(b - a)), cost=30.0,
    lowering=Lowering("math logaddexp", "", "", "np.logaddexp({0}, {1})"), commutative=True,
    names=Names("logaddexp", r"\log\left(e^{{{0}}} + e^{{{1}}}\right)", "logaddexp({0}, {1})",
                meaning=lambda m, a, b: m.log(m.exp(a) + m.exp(b))))


def _cathetus(a: Any, b: Any) -> Any:
    a, b = np.abs(a), np.abs(b)
    _, scale = np.frexp(np.maximum(a, b))
    a, b = np.ldexp(a, -scale), np.ldexp(b, -scale)
    return np.ldexp(np.sqrt((a - b) * (a + b)), scale)


def _exprel(x: Any) -> Any:
    x = np.asarray(x)
    root = np.exp(0.5 * x)  # SciPy's overflows with exp
    quotient = np.where(x > (700.0 if x.dtype.itemsize == 8 else 80.0), root / x * root, np.expm1(x) / x)
    return np.where(x == 0, x.dtype.type(1), np.where(x == np.inf, x, quotient)).astype(x.dtype)


def _sech_squared(x: Any) -> Any:
    x = np.asarray(x)
    e = np.exp(-2 * np.abs(x))
    return e / np.square(1 + e) * 4


def _sinc(x: Any) -> Any:
    x = np.asarray(x)
    return np.where(x == 0, x.dtype.type(1), np.sin(x) / x)


def series(x: Node, coefficients: Sequence[float]) -> Node:
    """The polynomial with these coefficients, lowest first."""
    total: Node | float = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = c + x * total
    assert not isinstance(total, float)
    return total


# Taylor series near 0, where the quotients that define the slopes cancel; the last term is below half an ulp there.
_EXPREL_SLOPE = [(k + 1) / math.factorial(k + 2) for k in range(16)]
_ERFCX_SLOPE = [  # (x + 3)**2 times the slope of erfcx in t = (x - 3)/(x + 3), -1/2 <= t <= 1: Chebyshev interpolation at 60 digits
    -1.9574013602582234, 2.9472456205479682, -2.702086857013973, 1.7199800927518547, -0.731774979561713, 0.15368890796497067,
    0.029725350496093317, -0.028658973193153723, 0.002443784864973908, 0.003843390234786559, -0.0008487784059741274,
    -0.0005744149183868248, 0.0001652660765469813, 0.00010524200176953322, -2.611701113937723e-05, -2.2913810692197125e-05,
    2.3958456204490066e-06, 6.225908548485825e-06, -6.533971723552463e-08, -2.172381405936386e-06, 8.772632992731164e-07,
    -1.0560980915092373e-07]
_SINC_SLOPE = [(-1) ** k * 2 * k / math.factorial(2 * k + 1) for k in range(1, 11)]


def _exprel_slope(y: Node, x: Node) -> Node:
    """d/dx (exp(x) - 1)/x = (exp(x) - y)/x, in which exp(x) = 1 + xy is put where it may overflow before y does."""
    near, positive = f.lt(f.abs(x), 0.5), f.gt(x, 0.0)
    small, above = f.where(near, x, 0.0), f.reciprocal(f.where(positive, f.where(near, 1.0, x), 1.0))
    below = f.where(f.or_(near, positive), -1.0, x)
    far = f.where(positive, y * (1.0 - above) + above, (f.exp(below) - y) / below)
    return f.where(near, series(small, _EXPREL_SLOPE), far)


def sinc_slope(y: Node, x: Node) -> Node:
    """d/dx sin(x)/x = (cos(x) - y)/x, y being sin(x)/x: minus the spherical Bessel function of order 1 (DLMF 10.49.3)."""
    near = f.lt(f.abs(x), 1.0)
    small, far = f.where(near, x, 0.0), f.where(near, 1.0, x)
    return f.where(near, small * series(f.square(small), _SINC_SLOPE), (f.cos(far) - f.where(near, 0.0, y)) / far)


def _erfcx_slope(y: Node, x: Node) -> Node:
    """d/dx erfcx(x) = 2xy - 2/sqrt(pi), for x > 1, where that cancels, a polynomial in (x - 3)/(x + 3) over (x + 3)**2."""
    far = f.gt(x, 1.0)
    shifted = f.where(far, x, 1.0) + 3.0
    return f.where(far, series(1.0 - 6.0 / shifted, _ERFCX_SLOPE) / shifted / shifted, 2.0 * f.where(far, 0.0, x) * y - TWO_OVER_SQRT_PI)


def _unit(y: Node, a: Node, b: Node) -> tuple[Node, Node]:
    """a/y and b/y, with 0 at the origin: the subgradient of least norm."""
    zero, origin = constant(0, y.dtype, y.shape), f.eq(y, 0.0)
    return f.where(origin, zero, a / y), f.where(origin, zero, b / y)


# ---------------------------------------------------------------- what an operation rounds away
def _split(x: Any) -> tuple[Any, Any]:
    """The upper half of the digits and the lower one (Veltkamp)."""
    scaled = x * (x.dtype.type(2.0 ** (27 if x.dtype.itemsize == 8 else 12)) + 1)
    high = scaled - (scaled - x)
    return high, x - high


def _product_error(a: Any, b: Any) -> Any:
    a, b = np.asarray(a), np.asarray(b)
    product = np.asarray(a * b)
    (p, e), (q, k) = np.frexp(a), np.frexp(b)
    (p_high, p_low), (q_high, q_low), whole = _split(p), _split(q), p * q
    error = ((p_high * q_high - whole) + p_high * q_low + p_low * q_high) + p_low * q_low  # Dekker 1971
    return np.asarray(np.where(np.isfinite(product), np.ldexp(error + 0, e + k), 0 * a * b - product), product.dtype)


def _sum_error(a: Any, b: Any) -> Any:
    a, b = np.asarray(a), np.asarray(b)
    total = a + b
    of_b = total - a
    return ((a - (total - of_b)) + (b - of_b)) + total.dtype.type(0)  # no error is +0


for _name, _numpy, _latex, _text in (
    ("product_error", _product_error, r"\operatorname{{err}}\left({0}\cdot {1}\right)", "error({0}*{1})"),
    ("sum_error", _sum_error, r"\operatorname{{err}}\left({0} + {1}\right)", "error({0} + {1})"),
):
    _op(_name, 2, _numpy, lambda y, a, b: (None, None), cost=3.0, kinks="0 over the reals, and so its derivative",
        lowering=Lowering(f"math {_name}", source=f"vm.{_name}({{0}}, {{1}})"), commutative=True,
        names=Names(_name, _latex, _text, meaning=lambda m, a, b: 0 * a))

# ---------------------------------------------------------------- choices
def _half_at_ties_of_greatest(y: Node, a: Node, b: Node) -> tuple[Node, Node]:
    return _share(a, b, f.lt(a, b)), _share(a, b, f.gt(a, b))


def _half_at_ties_of_least(y: Node, a: Node, b: Node) -> tuple[Node, Node]:
    return _share(a, b, f.gt(a, b)), _share(a, b, f.lt(a, b))


def _share(a: Node, b: Node, lost: Node) -> Node:
    """0 for the operand that was not taken, 1/2 at ties, else 1: also for both where one is nan."""
    one, half, zero = (constant(v, a.dtype, a.shape) for v in (1, 0.5, 0))
    return f.where(lost, zero, f.where(f.eq(a, b), half, one))


_op("maximum", 2, np.maximum, _half_at_ties_of_greatest, dtypes=ANY, commutative=True,
    kinks="ties split 1/2", singular=False,
    lowering=Lowering("math maximum", "math imaximum", "or", "np.maximum({0}, {1})", "llvm.maximum"),
    names=Names("Max", r"\max\left({0}, {1}\right)", "max({0}, {1})", "np.maximum({0}, {1})"))
_op("minimum", 2, np.minimum, _half_at_ties_of_least, dtypes=ANY, commutative=True,
    kinks="ties split 1/2", singular=False,
    lowering=Lowering("math minimum", "math iminimum", "and", "np.minimum({0}, {1})", "llvm.minimum"),
    names=Names("Min", r"\min\left({0}, {1}\right)", "min({0}, {1})", "np.minimum({0}, {1})"))


def _where(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    if inputs[0].dtype != BOOL:
        raise DTypeError(f"where needs a bool condition, not {aval_text(inputs[0])}")
    return unify(inputs, "where"), one_dtype(inputs[1:], "where")


def _select(ct: Node, node: Node, position: int) -> Node | None:
    """The cotangent is selected, never multiplied: a branch that was not taken gets exactly zero."""
    if position == 0:
        return None
    zero = constant(0, ct.dtype, ct.shape)
    return f.where(node.inputs[0], ct, zero) if position == 1 else f.where(node.inputs[0], zero, ct)


def _taken(mask: Node | None, node: Node, position: int) -> Node:
    taken = node.inputs[0] if position == 1 else f.not_(node.inputs[0])
    return taken if mask is None else f.and_(mask, taken)


declare(Op(name="where", kind="elementwise", arity=3, parity="joint", homogeneous="joint", infer=_where, evaluate=np.where,
           transpose=_select, jointly=True, mask=_taken,
           lowering=Lowering("select", "select", "select", "{1} if {0} else {2}"), singular=False,
           names=Names("where", r"\begin{{cases}} {1} & \text{{if }} {0} \\ {2} & \text{{otherwise}} \end{{cases}}",
                       "where({0}, {1}, {2})", "np.where({0}, {1}, {2})")))

# ---------------------------------------------------------------- comparisons, logic, bits
for _name, _numpy, _real, _integer, _text, _latex in (
    ("eq", np.equal, "oeq", "==", "==", "="), ("ne", np.not_equal, "une", "!=", "!=", r"\neq"),
    ("lt", np.less, "olt", "<", "<", "<"), ("le", np.less_equal, "ole", "<=", "<=", r"\leq"),
    ("gt", np.greater, "ogt", ">", ">", ">"), ("ge", np.greater_equal, "oge", ">=", ">=", r"\geq"),
):
    declare(Op(name=_name, kind="elementwise", arity=2, infer=_predicate, evaluate=_numpy,
               not_differentiable="a comparison is piecewise constant", commutative=_name in ("eq", "ne"),
               lowering=Lowering(f"cmp {_real}", f"cmp {_integer}", f"cmp {_integer}", f"{{0}} {_text} {{1}}"),
               names=Names({"eq": "Eq", "ne": "Ne", "lt": "Lt", "le": "Le", "gt": "Gt", "ge": "Ge"}[_name],
                           f"{{0}} {_latex} {{1}}", f"{{0}} {_text} {{1}}")))
for _name, _numpy, _llvm, _text, _latex in (
    ("and_", np.bitwise_and, "and", "&", r"\wedge"), ("or_", np.bitwise_or, "or", "|", r"\vee"),
    ("xor", np.bitwise_xor, "xor", "^", r"\oplus"),
):
    declare(Op(name=_name, kind="elementwise", arity=2, infer=_same, evaluate=_numpy, dtypes=("int", "bool"),
               commutative=True, not_differentiable="defined on integers and bools only",
               lowering=Lowering("", _llvm, _llvm, f"{{0}} {_text} {{1}}"),
               names=Names({"and_": "And", "or_": "Or", "xor": "Xor"}[_name], f"{{0}} {_latex} {{1}}",
                           f"{{0}} {_text} {{1}}")))
declare(Op(name="not_", kind="elementwise", arity=1, infer=_same, evaluate=np.invert, dtypes=("int", "bool"),
           not_differentiable="defined on integers and bools only", lowering=Lowering("", "not_", "not_", "~{0}"),
           names=Names("Not", r"\neg {0}", "not {0}", "~{0}")))
for _name, _numpy, _llvm, _text in (("shift_left", np.left_shift, "math shift_left", "<<"),
                                    ("shift_right", np.right_shift, "math shift_right", ">>")):
    declare(Op(name=_name, kind="elementwise", arity=2, infer=_same, evaluate=_numpy, dtypes=("int",),
               not_differentiable="defined on integers only", lowering=Lowering("", _llvm, "", f"{{0}} {_text} {{1}}"),
               names=Names(_name, f"{{0}} {_text} {{1}}", f"{{0}} {_text} {{1}}")))
for _name, _numpy, _latex in (("isnan", np.isnan, r"\operatorname{{isnan}}"),
                              ("isinf", np.isinf, r"\operatorname{{isinf}}"),
                              ("isfinite", np.isfinite, r"\operatorname{{isfinite}}")):
    declare(Op(name=_name, kind="elementwise", arity=1, infer=_predicate, evaluate=_numpy, dtypes=REAL,
               not_differentiable="a predicate is piecewise constant",
               lowering=Lowering(f"math {_name}", "", "", f"np.{_name}({{0}})"),
               names=Names(_name, rf"{_latex}\left({{0}}\right)", f"{_name}({{0}})")))


# ---------------------------------------------------------------- conversions
def _cast(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    return inputs[0].shape, np.dtype(params["dtype"])


def _cast_evaluate(x: Any, *, dtype: str) -> Any:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(x).astype(dtype)


declare(Op(name="cast", kind="elementwise", arity=1, parity="joint", params=("dtype",), infer=_cast, evaluate=_cast_evaluate,
           jointly=True,
           transpose=lambda ct, node, position: f.cast(ct, dtype=node.inputs[0].dtype.name) if node.dtype.kind == "f"
           and node.inputs[0].dtype.kind == "f" else None,
           mask=lambda mask, node, position: mask,
           lowering=Lowering("cast", "cast", "cast", "np.{dtype}({0})"), singular=False,
           names=Names("cast", "{0}", "{0}", "np.{dtype}({0})")))
declare(Op(name="stop_gradient", kind="elementwise", arity=1, parity="joint", infer=_same, evaluate=lambda x: x,
           not_differentiable="asked for by stop_gradient or detach", lowering=Lowering("copy", "copy", "copy", "{0}"),
           names=Names("stop_gradient", r"\operatorname{{sg}}\left({0}\right)", "stop_gradient({0})",
                       meaning=lambda m, x: x, inline=True)))
