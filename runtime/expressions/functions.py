"""The functions and constants that mathematics written as text or in SymPy may use, and the NumPy functions that they are."""
from __future__ import annotations

import importlib
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, reduce
from typing import Any

import numpy as np

from ...compiler.ir import f
from ...compiler.trace import lift, located, wrap

__all__ = ["CONSTANTS", "FUNCTIONS", "Function", "minus", "negative", "plus", "power", "suggestion", "times"]

_MODULES = {"np": "numpy", "special": "scipy.special"}


@dataclass(frozen=True)
class Function:
    """One function of the table.

    Attributes:
        made: the NumPy (`np.sin`) or SciPy (`special.erf`) function, or what is done with NumPy functions.
        arities: how many arguments it may have; None: two or more, which are joined one after the other.
        also: other names of the same function; SymPy's among them.
    """

    name: str
    made: str | Callable[..., Any]
    arities: tuple[int, ...] | None = (1,)
    also: tuple[str, ...] = ()

    def takes(self, count: int) -> bool:
        """Whether it may have so many arguments."""
        return count >= 1 if self.arities is None else count in self.arities

    @property
    def call(self) -> Callable[..., Any]:
        """The function itself; SciPy is imported where it is needed."""
        made = _found(self.made) if isinstance(self.made, str) else self.made
        return (lambda *values: reduce(made, values)) if self.arities is None else made

    @property
    def expected(self) -> str:
        """How many arguments it takes, in words."""
        if self.arities is None:
            return "one or more arguments"
        counts = " or ".join(map(str, self.arities))
        return f"{counts} argument{'s' if self.arities != (1,) else ''}"


@cache
def _found(path: str) -> Any:
    module, _, name = path.partition(".")
    return getattr(importlib.import_module(_MODULES[module]), name)


def _log(x: Any, base: Any = None) -> Any:
    return np.log(x) if base is None else np.log(x) / np.log(base)


def _special(name: str, *args: Any) -> Any:
    return _found(f"special.{name}")(*args)


def _whole(order: Any, value: Any) -> Any:
    """The value, nan where the order is no whole number: SciPy would round it."""
    return value if isinstance(order, int) else np.where(np.floor(order) == order, value, math.nan)


def _lambertw(x: Any, branch: Any = 0) -> Any:
    return _special("lambertw", x, branch).real


def _expint(order: Any, x: Any) -> Any:
    """E_n(x), by DLMF 8.19.1 and 8.19.12 for a number that is no whole one."""
    if isinstance(order, int) and order == 1:
        return _special("exp1", x)
    if isinstance(order, int | float) and (order < 0 or order != int(order)):
        if order > 1:
            return (np.exp(-x) - x * _expint(order - 1.0, x)) / (order - 1.0)
        return x ** (order - 1.0) * _uppergamma(1.0 - order, x)
    return _whole(order, _special("expn", order, x))


def _uppergamma(a: Any, x: Any) -> Any:
    """Gamma(a, x), by DLMF 8.19.1 and 8.8.2 for numbers that SciPy does not take."""
    if isinstance(a, int) and a <= 0:
        return _expint(1 - a, x) * x**a
    if isinstance(a, float) and a < 0:
        return (_uppergamma(a + 1.0, x) - x**a * np.exp(-x)) / a
    return _special("gammaincc", a, x) * _special("gamma", a)


def _lowergamma(a: Any, x: Any) -> Any:
    return _special("gammainc", a, x) * _special("gamma", a)


def _betainc(a: Any, b: Any, *ends: Any) -> Any:
    """SciPy's of three arguments, which is a quotient by the beta function; SymPy's between two ends, which is none."""
    if len(ends) == 1:
        return _special("betainc", a, b, *ends)
    return _regularised(a, b, *ends) * _special("beta", a, b)


def _regularised(a: Any, b: Any, low: Any, high: Any) -> Any:
    made = _special("betainc", a, b, high)
    return made if isinstance(low, int) and low == 0 else made - _special("betainc", a, b, low)


def _spherical(kind: str, order: Any, x: Any) -> Any:
    """j_n or y_n, DLMF 10.47.3; of negative numbers by parity for whole orders."""
    size = np.abs(x)
    half = np.sqrt(math.pi / 2 / size) * _special(kind, order + 0.5, size)
    sign = np.where(x < 0, np.cos(math.pi * (order if kind == "jv" else order + 1)), 1.0)
    return half * sign if kind == "yv" else np.where(x == 0, np.where(np.equal(order, 0), 1.0, 0.0), half * sign)


def _eta(s: Any) -> Any:
    """Dirichlet's eta, DLMF 25.2.3."""
    return np.where(s == 1, math.log(2), -np.expm1((1.0 - s) * math.log(2)) * _special("zeta", s))


def _harmonic(n: Any, power: Any = 1) -> Any:
    if isinstance(power, int) and power == 1:
        return _special("digamma", n + 1.0) + np.euler_gamma
    return _special("zeta", power) - _special("zeta", power, n + 1.0)


def _logarithmic(x: Any) -> Any:
    return _special("expi", np.log(x))


def _complete_or_not(complete: str, incomplete: str) -> Callable[..., Any]:
    return lambda *args: _special(complete if len(args) == 1 else incomplete, *args)


def _elliptic_pi(n: Any, *rest: Any) -> Any:
    """DLMF 19.25.2 and 19.25.14; the amplitude between -pi/2 and pi/2."""
    if len(rest) == 1:
        (m,) = rest
        return _special("elliprf", 0.0, 1.0 - m, 1.0) + n / 3.0 * _special("elliprj", 0.0, 1.0 - m, 1.0, 1.0 - n)
    z, m = rest
    s, c = np.sin(z), np.cos(z)
    square, other = s * s, 1.0 - m * s * s
    made = s * _special("elliprf", c * c, other, 1.0) + n / 3.0 * s * square * _special("elliprj", c * c, other, 1.0, 1.0 - n * square)
    return np.where(np.abs(z) <= math.pi / 2, made, math.nan)


# What SciPy has, under its names and SymPy's.
_BY_SCIPY = (
    *(Function(name, f"special.{name}") for name in (
        "j0", "j1", "y0", "y1", "i0", "i1", "k0", "k1", "i0e", "i1e", "k0e", "k1e", "exp1", "expi", "erfi", "erfcx", "erfcinv", "dawsn",
        "spence", "wrightomega", "ndtr", "ndtri", "log_ndtr", "ellipk", "ellipe", "rgamma")),
    *(Function(name, f"special.{name}", (count,)) for count, names in (
        (2, ("jv", "yv", "iv", "kv", "ive", "kve", "gammainc", "gammaincc", "gammaincinv", "gammainccinv", "betaln", "xlogy", "xlog1py",
             "expn", "ellipkinc", "ellipeinc", "hyp0f1")),
        (3, ("betaincinv", "hyp1f1", "hyperu", "elliprf", "elliprd", "lpmv")), (4, ("hyp2f1", "elliprj"))) for name in names),
    *(Function(f"bessel{letter}", f"special.{letter}v", (2,)) for letter in "jyik"),
    *(Function(name, lambda n, x, name=name: _whole(n, _special(f"eval_{name}", n, x)), (2,), also) for name, also in (
        ("legendre", ("eval_legendre",)), ("chebyt", ("eval_chebyt", "chebyshevt")), ("chebyu", ("eval_chebyu", "chebyshevu")),
        ("laguerre", ("eval_laguerre",)))),
    *(Function(name, lambda n, x, name=f"eval_{name}": _whole(n, _special(name, _rounded(n), x)), (2,), also) for name, also in (
        ("hermite", ("eval_hermite",)), ("hermitenorm", ("eval_hermitenorm", "hermite_prob")))),
    Function("genlaguerre", "special.eval_genlaguerre", (3,), ("eval_genlaguerre", "assoc_laguerre")),
    Function("gegenbauer", "special.eval_gegenbauer", (3,), ("eval_gegenbauer",)),
    Function("jacobi", "special.eval_jacobi", (4,), ("eval_jacobi",)),
    Function("assoc_legendre", lambda n, m, x: _special("lpmv", m, n, x), (3,)),
    Function("airyai", lambda x: _special("airy", x)[0]),
    Function("airyaiprime", lambda x: _special("airy", x)[1]),
    Function("airybi", lambda x: _special("airy", x)[2]),
    Function("airybiprime", lambda x: _special("airy", x)[3]),
    Function("fresnels", lambda x: _special("fresnel", x)[0]),
    Function("fresnelc", lambda x: _special("fresnel", x)[1]),
    Function("Si", lambda x: _special("sici", x)[0]),
    Function("Ci", lambda x: _special("sici", x)[1]),
    Function("Shi", lambda x: _special("shichi", x)[0]),
    Function("Chi", lambda x: _special("shichi", x)[1]),
    Function("Ei", "special.expi"),
    Function("E1", "special.exp1"),
    Function("li", _logarithmic),
    Function("Li", lambda x: _logarithmic(x) - 1.0451637801174927),  # li(2)
    Function("expint", _expint, (2,)),
    Function("dilog", lambda x: _special("spence", 1.0 - x)),
    Function("lambertw", _lambertw, (1, 2), ("LambertW",)),
    Function("zeta", lambda *args: _special("zeta", *args), (1, 2)),
    Function("dirichlet_eta", _eta),
    Function("harmonic", _harmonic, (1, 2)),
    Function("uppergamma", _uppergamma, (2,)),
    Function("lowergamma", _lowergamma, (2,)),
    Function("betainc", _betainc, (3, 4)),
    Function("betainc_regularized", _regularised, (4,)),
    Function("binom", "special.binom", (2,), ("binomial",)),
    Function("poch", "special.poch", (2,), ("RisingFactorial", "rf")),
    Function("ff", lambda x, k: _special("poch", x - k + 1.0, k), (2,), ("FallingFactorial",)),
    Function("elliptic_k", "special.ellipk"),
    Function("elliptic_e", _complete_or_not("ellipe", "ellipeinc"), (1, 2)),
    Function("elliptic_f", "special.ellipkinc", (2,)),
    Function("elliptic_pi", _elliptic_pi, (2, 3)),
    Function("jn", lambda n, x: _spherical("jv", n, x), (2,), ("spherical_jn",)),
    Function("yn", lambda n, x: _spherical("yv", n, x), (2,), ("spherical_yn",)),
    Function("KroneckerDelta", lambda a, b: np.where(np.equal(a, b), 1.0, 0.0), (2,)),
)


def _rounded(order: Any) -> Any:
    return order if isinstance(order, int) else np.floor(order).astype(np.int64)


def _polygamma(order: Any, x: Any) -> Any:
    """The derivative of this order of digamma, at a traced x."""
    if order == 0:
        return _found("special.digamma")(x)
    with located():
        return wrap(f.polygamma(lift(x).node, order=int(order)))


_ROWS = (
    *(Function(name, f"np.{name}") for name in (
        "sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "exp2", "expm1", "log2", "log10", "log1p", "sqrt", "cbrt", "sign", "floor",
        "trunc", "square", "reciprocal")),
    *(Function(f"a{name}", f"np.arc{name}", also=(f"arc{name}",)) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")),
    *(Function(name, f"special.{name}") for name in ("erf", "erfc", "erfinv", "gamma", "expit", "logit", "entr", "exprel")),
    Function("digamma", "special.digamma", also=("psi",)),
    Function("log", _log, (1, 2), ("ln",)),
    Function("abs", "np.abs", also=("Abs", "fabs", "absolute")),
    Function("ceil", "np.ceil", also=("ceiling",)),
    Function("round", "np.rint", also=("rint",)),
    Function("frac", lambda x: x - np.floor(x)),
    Function("atan2", "np.arctan2", (2,), ("arctan2",)),
    Function("hypot", "np.hypot", (2,)),
    Function("logaddexp", "np.logaddexp", (2,)),
    Function("mod", "np.remainder", (2,), ("Mod", "remainder")),
    Function("power", "np.power", (2,), ("pow",)),
    Function("maximum", "np.maximum", None, ("max", "Max")),
    Function("minimum", "np.minimum", None, ("min", "Min")),
    Function("where", "np.where", (3,)),
    Function("clip", "np.clip", (3,)),
    Function("heaviside", lambda x, at_zero=0.5: np.heaviside(x, at_zero), (1, 2), ("Heaviside",)),
    Function("sigmoid", "special.expit"),
    Function("softplus", lambda x: np.logaddexp(x, 0.0)),
    Function("lgamma", "special.gammaln", also=("loggamma", "gammaln")),
    Function("factorial", lambda x: _found("special.gamma")(x + 1.0)),
    Function("beta", "special.beta", (2,)),
    Function("polygamma", lambda n, x: _polygamma(n, x), (2,)),
    *_BY_SCIPY,
    Function("sinc", lambda x: np.sinc(x / math.pi)),
    Function("cot", lambda x: 1.0 / np.tan(x)),
    Function("sec", lambda x: 1.0 / np.cos(x)),
    Function("csc", lambda x: 1.0 / np.sin(x)),
    Function("acot", lambda x: np.arctan(1.0 / x)),
    Function("asec", lambda x: np.arccos(1.0 / x)),
    Function("acsc", lambda x: np.arcsin(1.0 / x)),
    Function("coth", lambda x: 1.0 / np.tanh(x)),
    Function("sech", lambda x: 1.0 / np.cosh(x)),
    Function("csch", lambda x: 1.0 / np.sinh(x)),
    Function("acoth", lambda x: np.arctanh(1.0 / x)),
    Function("asech", lambda x: np.arccosh(1.0 / x)),
    Function("acsch", lambda x: np.arcsinh(1.0 / x)),
)
FUNCTIONS: dict[str, Function] = {name: row for row in _ROWS for name in (row.name, *row.also)}
CONSTANTS: dict[str, float] = {"pi": math.pi, "π": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan}


def suggestion(name: str) -> str:
    """A known function of a similar name, as a sentence, or nothing."""
    near = [known for known in FUNCTIONS if known.casefold() == name.casefold()] or get_close_matches(name, FUNCTIONS, n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""


# ------------------------------------------------------------------------------------------------ arithmetic of numbers that are written
EXACT = 2**53  # from here on a whole number is a float


def _of_numbers(ufunc: Callable[..., Any], exact: Callable[[int, int], int]) -> Callable[..., Any]:
    """The ufunc, but whole numbers that are written in a formula are joined without wrapping round."""

    def joined(a: Any, b: Any) -> Any:
        if isinstance(a, int) and isinstance(b, int):
            made = exact(a, b)
            return made if abs(made) < EXACT else float(made)
        return ufunc(a, b)

    return joined


plus = _of_numbers(np.add, operator.add)
minus = _of_numbers(np.subtract, operator.sub)
times = _of_numbers(np.multiply, operator.mul)


def negative(x: Any) -> Any:
    """-x; of a number that is written, a number."""
    return -x if isinstance(x, int) else np.negative(x)


def power(x: Any, exponent: Any) -> Any:
    """x**exponent; of whole numbers a float, unless the exponent is a whole number that is written and not negative."""
    if isinstance(exponent, int) and exponent >= 0 and not isinstance(x, int):
        return x**exponent
    whole = isinstance(x, int) or getattr(x, "dtype", np.dtype(float)).kind in "iub"
    made = np.power(x * 1.0 if whole else x, exponent)
    exact = isinstance(x, int) and isinstance(exponent, int) and abs(made) < EXACT and exponent >= 0
    return int(made) if exact else made
