"""The functions and constants that mathematics written as text or in SymPy may use, and the NumPy functions that they are."""
from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, reduce
from typing import Any

import numpy as np

from ...compiler.ir import f
from ...compiler.trace import lift, located, wrap

__all__ = ["CONSTANTS", "FUNCTIONS", "Function", "suggestion"]

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
    *(Function(name, f"special.{name}") for name in ("erf", "erfc", "erfinv", "gamma", "digamma", "expit", "logit", "entr", "exprel")),
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
    Function("heaviside", lambda x, at_zero=0.5: np.heaviside(x, at_zero), (1, 2), ("Heaviside",)),
    Function("sigmoid", "special.expit"),
    Function("softplus", lambda x: np.logaddexp(x, 0.0)),
    Function("lgamma", "special.gammaln", also=("loggamma", "gammaln")),
    Function("factorial", lambda x: _found("special.gamma")(x + 1.0)),
    Function("beta", "special.beta", (2,)),
    Function("polygamma", lambda n, x: _polygamma(n, x), (2,)),
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
)
FUNCTIONS: dict[str, Function] = {name: row for row in _ROWS for name in (row.name, *row.also)}
CONSTANTS: dict[str, float] = {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan}


def suggestion(name: str) -> str:
    """A known function of a similar name, as a sentence, or nothing."""
    near = get_close_matches(name, FUNCTIONS, n=1)
    return f"; did you mean {near[0]}?" if near else ""
