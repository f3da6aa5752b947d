"""Special functions that SciPy has: a row each, with the derivative in terms of other rows.

Compiled code calls SciPy's C functions (`compiler.special_functions`); the interpreter calls its ufuncs, in float64. Derivatives by
an order or a parameter mostly have no formula: asking for one is an error. Numbers cited are of the NIST Digital Library of
Mathematical Functions (DLMF).
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..ir import constant, f
from ..op import Names, Op, Over, Refused, declare
from .elementwise import TWO_OVER_SQRT_PI
from .lowering import Lowering
from .rules import one_dtype, unify

if TYPE_CHECKING:
    from ..ir import Node
    from ..op import Aval

__all__ = ["NAMES", "UFUNCS"]

NAMES: set[str] = set()  # of the ops of this module
UFUNCS: dict[str, dict[tuple[int, int], str]] = {}  # of SciPy, by name: (result, number of arguments) -> op
ORDER = Refused("the derivative of {} by its order has no formula")
PARAMETER = Refused("the derivative of {} by a parameter has no formula")
_WRITTEN = {"d": "{{{0}}}", "n": "np.asarray({{{0}}}).astype(np.int64)"}


def _same(inputs: tuple[Node, ...], params: dict[str, Any]) -> Aval:
    return unify(inputs, "elementwise operation"), one_dtype(inputs, "elementwise operation")


def _evaluated(name: str, types: str, place: int | None) -> Callable[..., Any]:
    """SciPy's ufunc in float64, one of its results; whole numbers of it are truncated."""

    def evaluate(*args: Any) -> Any:
        import scipy.special

        with np.errstate(all="ignore"):  # SciPy's flags
            given = [np.asarray(a, np.float64) if t == "d" else np.asarray(a).astype(np.int64) for a, t in zip(args, types, strict=True)]
            made = getattr(scipy.special, name)(*given)
            return np.asarray(made if place is None else made[place]).astype(np.asarray(args[0]).dtype)

    return evaluate


def _row(name: str, partials: Callable[..., tuple[Any, ...]], latex: str, types: str = "d", *, scipy: str = "", part: str = "",
         sympy: str = "", meaning: Callable[..., Any] | None = None, exact: Callable[..., Any] | None = None, numpy: str = "",
         evaluate: Callable[..., Any] | None = None, parity: Literal["", "each", "even"] = "", ufunc: str = "", source: str = "") -> None:
    """A function of real numbers.

    Args:
        types: of SciPy's arguments, `d` for a number and `n` for a whole one.
        scipy: its name in SciPy, where it is another; `ufunc` is the name of the ufunc there, `none` where it is complex.
        part: of several results, which one: `0/4`.
        evaluate: what is computed by Python, where SciPy has no C function.
        numpy: its NumPy source, where it is no call of SciPy's function.
    """
    scipy = scipy or name
    place = int(part.split("/")[0]) if part else None
    listed = ", ".join(f"{{{k}}}" for k in range(len(types)))
    written = f"special.{scipy}({', '.join(_WRITTEN[t].format(k) for k, t in enumerate(types))}){f'[{place}]' if part else ''}"

    def named(y: Node, *xs: Node) -> tuple[Any, ...]:
        return tuple(Refused(p.reason.format(name)) if isinstance(p, Refused) else p for p in partials(y, *xs))

    declare(Op(
        name=name, kind="elementwise", arity=len(types), infer=_same, dtypes=("float",), partials=named, cost=150.0, source=source,
        evaluate=evaluate or _evaluated(scipy, types, place), parity=parity,
        lowering=None if evaluate else Lowering(" ".join(filter(None, ("special", scipy, types, part))), source=written),
        names=Names(sympy, latex, f"{name}({listed})", numpy or written, meaning, exact=exact)))
    NAMES.add(name)
    if ufunc != "none":
        UFUNCS.setdefault(ufunc or scipy, {})[place or 0, len(types)] = name


def _call(symbol: str, count: int = 1) -> str:
    return rf"{symbol}\left({', '.join(f'{{{k}}}' for k in range(count))}\right)"


def _named(name: str) -> str:
    return _call(rf"\operatorname{{{{{name}}}}}")


def _of_order(letter: str) -> str:
    return rf"{letter}_{{{{{{0}}}}}}\left({{1}}\right)"


def _like(value: float, x: Node) -> Node:
    return constant(value, x.dtype, x.shape)


# ---------------------------------------------------------------- Bessel functions (DLMF 10.6, 10.29)
def _half(below: Node, above: Node, sign: float) -> Node:
    return 0.5 * (below + above if sign > 0 else below - above)


def _neighbours(name: str, v: Node, x: Node, sign: float) -> Node:
    """Half the sum, or the difference, of the functions of the orders below and above."""
    below, above = (getattr(f, name)(v + step, x) for step in (-1.0, 1.0))
    return _half(below, above, sign)


def _around_one(name: str, x: Node, sign: float) -> Node:
    """The same around the order 1, whose neighbour below has a function of its own: `i0e` beside `ive`."""
    below, above = getattr(f, name[0] + "0" + name[2:])(x), getattr(f, name)(_like(2, x), x)
    return _half(below, above, sign)


_row("jv", lambda y, v, x: (ORDER, _neighbours("jv", v, x, -1)), _of_order("J"), "dd", sympy="besselj")
_row("yv", lambda y, v, x: (ORDER, _neighbours("yv", v, x, -1)), _of_order("Y"), "dd", sympy="bessely")
_row("iv", lambda y, v, x: (ORDER, _neighbours("iv", v, x, 1)), _of_order("I"), "dd", sympy="besseli")
_row("kv", lambda y, v, x: (ORDER, f.neg(_neighbours("kv", v, x, 1))), _of_order("K"), "dd", sympy="besselk")
_row("ive", lambda y, v, x: (ORDER, _neighbours("ive", v, x, 1) - f.sign(x) * y),
     r"e^{{-\left\lvert {1} \right\rvert}} " + _of_order("I"), "dd", meaning=lambda m, v, x: m.exp(-m.Abs(x)) * m.besseli(v, x))
_row("kve", lambda y, v, x: (ORDER, y - _neighbours("kve", v, x, 1)), "e^{{{1}}} " + _of_order("K"), "dd",
     meaning=lambda m, v, x: m.exp(x) * m.besselk(v, x))

_row("j0", lambda y, x: (f.neg(f.j1(x)),), _call("J_0"), parity="even", meaning=lambda m, x: m.besselj(0, x))
_row("j1", lambda y, x: (_around_one("jv", x, -1),), _call("J_1"), parity="each", meaning=lambda m, x: m.besselj(1, x))
_row("y0", lambda y, x: (f.neg(f.y1(x)),), _call("Y_0"), meaning=lambda m, x: m.bessely(0, x))
_row("y1", lambda y, x: (_around_one("yv", x, -1),), _call("Y_1"), meaning=lambda m, x: m.bessely(1, x))
_row("i0", lambda y, x: (f.i1(x),), _call("I_0"), parity="even", meaning=lambda m, x: m.besseli(0, x))
_row("i1", lambda y, x: (_around_one("iv", x, 1),), _call("I_1"), parity="each", meaning=lambda m, x: m.besseli(1, x))
_row("k0", lambda y, x: (f.neg(f.k1(x)),), _call("K_0"), meaning=lambda m, x: m.besselk(0, x))
_row("k1", lambda y, x: (f.neg(_around_one("kv", x, 1)),), _call("K_1"), meaning=lambda m, x: m.besselk(1, x))
_row("i0e", lambda y, x: (f.i1e(x) - f.sign(x) * y,), r"e^{{-\left\lvert {0} \right\rvert}} I_0\left({0}\right)", parity="even",
     meaning=lambda m, x: m.exp(-m.Abs(x)) * m.besseli(0, x))
_row("i1e", lambda y, x: (_around_one("ive", x, 1) - f.sign(x) * y,), r"e^{{-\left\lvert {0} \right\rvert}} I_1\left({0}\right)",
     parity="each", meaning=lambda m, x: m.exp(-m.Abs(x)) * m.besseli(1, x))
_row("k0e", lambda y, x: (y - f.k1e(x),), r"e^{{{0}}} K_0\left({0}\right)", meaning=lambda m, x: m.exp(x) * m.besselk(0, x))
_row("k1e", lambda y, x: (y - _around_one("kve", x, 1),), r"e^{{{0}}} K_1\left({0}\right)",
     meaning=lambda m, x: m.exp(x) * m.besselk(1, x))

# ---------------------------------------------------------------- Airy functions (DLMF 9.2.1)
_row("airy_ai", lambda y, x: (f.airy_ai_prime(x),), _named("Ai"), scipy="airy", part="0/4", sympy="airyai")
_row("airy_ai_prime", lambda y, x: (x * f.airy_ai(x),), _call(r"\operatorname{{Ai}}'"), scipy="airy", part="1/4", sympy="airyaiprime",
     exact=lambda m, x: m.airyai(x, 1))
_row("airy_bi", lambda y, x: (f.airy_bi_prime(x),), _named("Bi"), scipy="airy", part="2/4", sympy="airybi")
_row("airy_bi_prime", lambda y, x: (x * f.airy_bi(x),), _call(r"\operatorname{{Bi}}'"), scipy="airy", part="3/4", sympy="airybiprime",
     exact=lambda m, x: m.airybi(x, 1))


# ---------------------------------------------------------------- Lambert's W (DLMF 4.13.4)
def _lambert(branch: int) -> Callable[[Any], Any]:
    def evaluate(x: Any) -> Any:
        import scipy.special

        made = scipy.special.lambertw(np.asarray(x, np.float64), branch)
        return np.where(made.imag == 0, made.real, np.nan).astype(np.asarray(x).dtype)

    return evaluate


for _name, _branch, _latex in (("lambertw", 0, "W"), ("lambertw_lower", -1, "W_{{-1}}")):
    _row(_name, lambda y, x: (Over(f.exp(y) * (1.0 + y)),), _call(_latex), evaluate=_lambert(_branch), ufunc="none",
         numpy=f"special.lambertw({{0}}, {_branch}).real", meaning=lambda m, x, k=_branch: m.LambertW(x, k),
         exact=lambda m, x, k=_branch: m.lambertw(x, k))

# ---------------------------------------------------------------- zeta functions (DLMF 25.2, 25.11.17)
_row("zeta", lambda y, x: (Refused("the derivative of zeta has no formula"),), _call(r"\zeta"), evaluate=_evaluated("zeta", "d", None),
     sympy="zeta", ufunc="_riemann_zeta")
_row("hurwitz_zeta", lambda y, s, a: (Refused("the derivative of zeta by its first argument has no formula"),
                                      f.neg(s) * f.hurwitz_zeta(s + 1.0, a)),
     _call(r"\zeta", 2), "dd", evaluate=_evaluated("zeta", "dd", None), meaning=lambda m, s, a: m.zeta(s, a), ufunc="_zeta",
     numpy="special.zeta({0}, {1})")


# ---------------------------------------------------------------- incomplete gamma and beta functions, their inverses (DLMF 8.8, 8.17)
def _times_log(a: Node, x: Node) -> Node:
    """a*log(x), 0 for a = 0."""
    return f.where(f.eq(a, 0.0), _like(0, x), a * f.log(x))


def _gamma_density(a: Node, x: Node) -> Node:
    return f.exp(_times_log(a - 1.0, x) - x - f.lgamma(a))


def _beta_density(a: Node, b: Node, x: Node) -> Node:
    return f.exp(_times_log(a - 1.0, x) + _times_log(b - 1.0, 1.0 - x) + f.lgamma(a + b) - f.lgamma(a) - f.lgamma(b))


_row("gammainc", lambda y, a, x: (PARAMETER, _gamma_density(a, x)), _call("P", 2), "dd", source="DLMF 8.8.13",
     meaning=lambda m, a, x: m.lowergamma(a, x) / m.gamma(a), exact=lambda m, a, x: m.gammainc(a, 0, x, True))
_row("gammaincc", lambda y, a, x: (PARAMETER, f.neg(_gamma_density(a, x))), _call("Q", 2), "dd", source="DLMF 8.8.14",
     meaning=lambda m, a, x: m.uppergamma(a, x) / m.gamma(a), exact=lambda m, a, x: 1 - m.gammainc(a, 0, x, True))
_row("gammaincinv", lambda y, a, p: (PARAMETER, Over(_gamma_density(a, y))), _call("P^{{-1}}", 2), "dd")
_row("gammainccinv", lambda y, a, p: (PARAMETER, Over(f.neg(_gamma_density(a, y)))), _call("Q^{{-1}}", 2), "dd")
_row("betainc", lambda y, a, b, x: (PARAMETER, PARAMETER, _beta_density(a, b, x)), r"I_{{{2}}}\left({0}, {1}\right)", "ddd",
     meaning=lambda m, a, b, x: m.betainc_regularized(a, b, 0, x), exact=lambda m, a, b, x: m.betainc(a, b, 0, x, True),
     source="DLMF 8.17.20")
_row("betaincinv", lambda y, a, b, p: (PARAMETER, PARAMETER, Over(_beta_density(a, b, y))), r"I^{{-1}}_{{{2}}}\left({0}, {1}\right)", "ddd")
_row("binom", lambda y, n, k: (y * (f.digamma(n + 1.0) - f.digamma(n - k + 1.0)), y * (f.digamma(n - k + 1.0) - f.digamma(k + 1.0))),
     r"\binom{{{0}}}{{{1}}}", "dd", sympy="binomial")
_row("poch", lambda y, x, n: (y * (f.digamma(x + n) - f.digamma(x)), y * f.digamma(x + n)), r"\left({0}\right)_{{{1}}}", "dd",
     sympy="RisingFactorial", exact=lambda m, x, n: m.rf(x, n))

# ---------------------------------------------------------------- error functions and integrals (DLMF 6.2, 7.2)
_row("erfcinv", lambda y, x: (f.exp(f.square(y)) / -TWO_OVER_SQRT_PI,), _named("erfc^{{-1}}"), sympy="erfcinv",
     exact=lambda m, x: m.erfinv(1 - x))
_row("ndtri", lambda y, x: (math.sqrt(2 * math.pi) * f.exp(0.5 * f.square(y)),), _call(r"\Phi^{{-1}}"),
     meaning=lambda m, x: m.sqrt(2) * m.erfinv(2 * x - 1))
_row("erfi", lambda y, x: (TWO_OVER_SQRT_PI * f.exp(f.square(x)),), _named("erfi"), sympy="erfi", parity="each")
_row("dawsn", lambda y, x: (1.0 - 2.0 * x * y,), _call("D"), parity="each",
     meaning=lambda m, x: m.sqrt(m.pi) / 2 * m.exp(-x * x) * m.erfi(x))
_row("fresnel_s", lambda y, x: (f.sin(0.5 * math.pi * f.square(x)),), _call("S"), scipy="fresnel", part="0/2", sympy="fresnels",
     parity="each")
_row("fresnel_c", lambda y, x: (f.cos(0.5 * math.pi * f.square(x)),), _call("C"), scipy="fresnel", part="1/2", sympy="fresnelc",
     parity="each")
_row("sine_integral", lambda y, x: (f.sinc(x),), _named("Si"), scipy="sici", part="0/2", sympy="Si", exact=lambda m, x: m.si(x),
     parity="each")
_row("cosine_integral", lambda y, x: (f.cos(x) / x,), _named("Ci"), scipy="sici", part="1/2", sympy="Ci", exact=lambda m, x: m.ci(x))
_row("sinh_integral", lambda y, x: (0.5 * (f.exprel(x) + f.exprel(f.neg(x))),), _named("Shi"), scipy="shichi", part="0/2", sympy="Shi",
     exact=lambda m, x: m.shi(x), parity="each")
_row("cosh_integral", lambda y, x: (f.cosh(x) / x,), _named("Chi"), scipy="shichi", part="1/2", sympy="Chi", exact=lambda m, x: m.chi(x))
_row("expi", lambda y, x: (f.exp(x) / x,), _named("Ei"), sympy="Ei", exact=lambda m, x: m.ei(x))
_row("exp1", lambda y, x: (f.neg(f.exp(f.neg(x)) / x),), _call("E_1"), meaning=lambda m, x: m.expint(1, x))


def _lower_order(n: Node, x: Node) -> Node:
    """E_{n-1}, below E_0, with which SciPy begins, by DLMF 8.19.12."""
    e = f.exp(f.neg(x))
    return f.where(f.ge(n, 1.0), f.expn(f.maximum(n - 1.0, _like(0, x)), x), (e + (1.0 - n) * f.expn(n, x)) / x)


_row("expn", lambda y, n, x: (ORDER, f.neg(_lower_order(n, x))), _of_order("E"), "nd", sympy="expint", source="DLMF 8.19.13")
_row("spence", lambda y, x: (f.where(f.eq(x, 1.0), _like(-1, x), f.log(x) / (1.0 - x)),), r"\operatorname{{Li}}_2\left(1 - {0}\right)",
     meaning=lambda m, x: m.polylog(2, 1 - x), source="DLMF 25.12.2")
_row("wrightomega", lambda y, x: (y / (1.0 + y),), _call(r"\omega"), meaning=lambda m, x: m.LambertW(m.exp(x)),
     exact=lambda m, x: m.lambertw(m.exp(x)))


# ---------------------------------------------------------------- elliptic integrals of the parameter m = k**2 (DLMF 19.2, 19.5, 19.25)
def _complete_slope(a: float, b: float, m: Node) -> Node:
    return 0.125 * math.pi * f.hyp2f1(_like(a, m), _like(b, m), _like(2, m), m)


def _reduced(phi: Node, m: Node) -> tuple[Node, Node, Node, Node]:
    """(number of half periods, sin, cos, 1 - m sin**2) of an amplitude brought near 0."""
    turns = f.round(phi / math.pi)
    angle = phi - turns * math.pi
    s, c = f.sin(angle), f.cos(angle)
    return turns, s, c, 1.0 - m * f.square(s)


def _first_by_parameter(phi: Node, m: Node) -> Node:
    turns, s, c, rest = _reduced(phi, m)
    return s * f.square(s) * f.elliprd(f.square(c), _like(1, m), rest) / 6.0 + 2.0 * turns * _complete_slope(1.5, 1.5, m)


def _second_by_parameter(phi: Node, m: Node) -> Node:
    turns, s, c, rest = _reduced(phi, m)
    return s * f.square(s) * f.elliprd(f.square(c), rest, _like(1, m)) / -6.0 - 2.0 * turns * _complete_slope(0.5, 1.5, m)


def _root(phi: Node, m: Node) -> Node:
    return f.sqrt(1.0 - m * f.square(f.sin(phi)))


def _by_fractions(y: Node, last: Node, *others: tuple[Node, Node]) -> tuple[Node, ...]:
    """The partials of an integral over 1/(t + last) by partial fractions, the last one from its degree, -3/2."""
    slopes = [(y - other) / (2.0 * (last - x)) for x, other in others]
    total = -1.5 * y
    for (x, _), slope in zip(others, slopes, strict=True):
        total = total - f.where(f.eq(x, 0.0), _like(0, x), x * slope)
    return *slopes, total / last


_row("ellipk", lambda y, m: (_complete_slope(1.5, 1.5, m),), _call("K"), sympy="elliptic_k", exact=lambda m, x: m.ellipk(x))
_row("ellipe", lambda y, m: (f.neg(_complete_slope(0.5, 1.5, m)),), _call("E"), sympy="elliptic_e", exact=lambda m, x: m.ellipe(x))
_row("ellipkinc", lambda y, phi, m: (Over(_root(phi, m)), _first_by_parameter(phi, m)), _call("F", 2), "dd", sympy="elliptic_f",
     exact=lambda m, phi, x: m.ellipf(phi, x))
_row("ellipeinc", lambda y, phi, m: (_root(phi, m), _second_by_parameter(phi, m)), _call("E", 2), "dd",
     meaning=lambda m, phi, x: m.elliptic_e(phi, x), exact=lambda m, phi, x: m.ellipe(phi, x))
_row("elliprf", lambda y, a, b, c: (f.elliprd(b, c, a) / -6.0, f.elliprd(c, a, b) / -6.0, f.elliprd(a, b, c) / -6.0),
     _call("R_F", 3), "ddd", exact=lambda m, *x: m.elliprf(*x), source="DLMF 19.18.1")
_row("elliprd", lambda y, a, b, c: _by_fractions(y, c, (a, f.elliprd(b, c, a)), (b, f.elliprd(a, c, b))), _call("R_D", 3), "ddd",
     exact=lambda m, *x: m.elliprd(*x))
_row("elliprj", lambda y, a, b, c, p: _by_fractions(y, p, (a, f.elliprd(b, c, a)), (b, f.elliprd(a, c, b)), (c, f.elliprd(a, b, c))),
     _call("R_J", 4), "dddd", exact=lambda m, *x: m.elliprj(*x))

# ---------------------------------------------------------------- hypergeometric functions (DLMF 13.3, 15.5)
_row("hyp0f1", lambda y, b, x: (PARAMETER, f.hyp0f1(b + 1.0, x) / b), r"{{}}_0F_1\left({0}; {1}\right)", "dd",
     meaning=lambda m, b, x: m.hyper((), (b,), x), exact=lambda m, b, x: m.hyp0f1(b, x))
_row("hyp1f1", lambda y, a, b, x: (PARAMETER, PARAMETER, a / b * f.hyp1f1(a + 1.0, b + 1.0, x)), r"{{}}_1F_1\left({0}; {1}; {2}\right)",
     "ddd", meaning=lambda m, a, b, x: m.hyper((a,), (b,), x), exact=lambda m, a, b, x: m.hyp1f1(a, b, x))
_row("hyperu", lambda y, a, b, x: (PARAMETER, PARAMETER, f.neg(a) * f.hyperu(a + 1.0, b + 1.0, x)), _call("U", 3), "ddd",
     exact=lambda m, a, b, x: m.hyperu(a, b, x))
_row("hyp2f1", lambda y, a, b, c, x: (PARAMETER, PARAMETER, PARAMETER, a * b / c * f.hyp2f1(a + 1.0, b + 1.0, c + 1.0, x)),
     r"{{}}_2F_1\left({0}, {1}; {2}; {3}\right)", "dddd", meaning=lambda m, a, b, c, x: m.hyper((a, b), (c,), x),
     exact=lambda m, a, b, c, x: m.hyp2f1(a, b, c, x))


# ---------------------------------------------------------------- orthogonal polynomials (DLMF 18.9, 14.10.5)
def _from_one(n: Node, slope: Node) -> Node:
    """0 for the order 0: SciPy has no polynomials of negative orders."""
    if n.op.name == "const":
        return slope if n.value > 0 else _like(0, slope)
    return f.where(f.gt(n, 0.0), slope, _like(0, slope))


_row("eval_legendre", lambda y, n, x: (ORDER, 0.5 * (n + 1.0) * f.eval_jacobi(n - 1.0, _like(1, x), _like(1, x), x)), _of_order("P"), "dd",
     sympy="legendre")
_row("eval_chebyt", lambda y, n, x: (ORDER, n * f.eval_chebyu(n - 1.0, x)), _of_order("T"), "dd", sympy="chebyshevt",
     exact=lambda m, n, x: m.chebyt(n, x))
_row("eval_chebyu", lambda y, n, x: (ORDER, _from_one(n, 2.0 * f.eval_gegenbauer(n - 1.0, _like(2, x), x))), _of_order("U"), "dd",
     sympy="chebyshevu", exact=lambda m, n, x: m.chebyu(n, x))
_row("eval_hermite", lambda y, n, x: (ORDER, _from_one(n, 2.0 * n * f.eval_hermite(n - 1.0, x))), _of_order("H"), "nd", sympy="hermite")
_row("eval_hermitenorm", lambda y, n, x: (ORDER, _from_one(n, n * f.eval_hermitenorm(n - 1.0, x))), _of_order(r"\mathit{{{{He}}}}"), "nd",
     sympy="hermite_prob", exact=lambda m, n, x: 2 ** (-n / 2) * m.hermite(n, x / m.sqrt(2)))
_row("eval_laguerre", lambda y, n, x: (ORDER, f.neg(f.eval_genlaguerre(n - 1.0, _like(1, x), x))), _of_order("L"), "dd", sympy="laguerre",
     exact=lambda m, n, x: m.laguerre(n, 0, x))
_row("eval_genlaguerre", lambda y, n, a, x: (ORDER, PARAMETER, f.neg(f.eval_genlaguerre(n - 1.0, a + 1.0, x))),
     r"L_{{{0}}}^{{\left({1}\right)}}\left({2}\right)", "ddd", sympy="assoc_laguerre", exact=lambda m, n, a, x: m.laguerre(n, a, x))
_row("eval_gegenbauer", lambda y, n, a, x: (ORDER, PARAMETER, _from_one(n, 2.0 * a * f.eval_gegenbauer(n - 1.0, a + 1.0, x))),
     r"C_{{{0}}}^{{\left({1}\right)}}\left({2}\right)", "ddd", sympy="gegenbauer")
_row("eval_jacobi", lambda y, n, a, b, x: (ORDER, PARAMETER, PARAMETER,
                                           0.5 * (n + a + b + 1.0) * f.eval_jacobi(n - 1.0, a + 1.0, b + 1.0, x)),
     r"P_{{{0}}}^{{\left({1}, {2}\right)}}\left({3}\right)", "dddd", sympy="jacobi")
_row("lpmv", lambda y, m, v, x: (ORDER, ORDER, (v * x * y - (v + m) * f.lpmv(m, v - 1.0, x)) / (f.square(x) - 1.0)),
     r"P_{{{1}}}^{{{0}}}\left({2}\right)", "ddd", meaning=lambda m, order, v, x: m.assoc_legendre(v, order, x),
     exact=lambda m, order, v, x: m.legenp(v, order, x))
