"""Derivatives at kinks, ties, poles and infinities: torch's conventions, recorded, and chainrule's departures."""
from __future__ import annotations

import math
from typing import NamedTuple


class Special(NamedTuple):
    """Partial derivatives at a point, as torch 2.13 gives them (`torch.autograd.grad` of float64 scalars)."""

    op: str
    at: tuple[float, ...]
    partials: tuple[float | None, ...]



INF, NAN = math.inf, math.nan
SPECIAL = [
    Special("abs", (0.0,), (0.0,)), Special("abs", (-0.0,), (0.0,)), Special("abs", (-INF,), (-1.0,)),
    Special("sign", (0.0,), (0.0,)),
    Special("sqrt", (0.0,), (INF,)), Special("sqrt", (INF,), (0.0,)), Special("sqrt", (-1.0,), (NAN,)),
    Special("rsqrt", (0.0,), (-INF,)), Special("reciprocal", (0.0,), (-INF,)),
    Special("log", (0.0,), (INF,)), Special("log1p", (-1.0,), (INF,)),
    Special("arcsin", (1.0,), (INF,)), Special("arccos", (1.0,), (-INF,)), Special("arctanh", (1.0,), (INF,)),
    Special("arccosh", (1.0,), (INF,)), Special("erfinv", (1.0,), (INF,)),
    Special("tanh", (INF,), (0.0,)), Special("tanh", (-INF,), (0.0,)), Special("tanh", (NAN,), (NAN,)),
    Special("sigmoid", (1000.0,), (0.0,)), Special("sigmoid", (-1000.0,), (0.0,)),
    Special("log_sigmoid", (-1000.0,), (1.0,)), Special("log_sigmoid", (1000.0,), (0.0,)),
    Special("softplus", (1000.0,), (1.0,)), Special("softplus", (-1000.0,), (0.0,)),
    Special("exp", (-INF,), (0.0,)), Special("expm1", (-INF,), (0.0,)),
    Special("maximum", (1.0, 1.0), (0.5, 0.5)), Special("maximum", (INF, INF), (0.5, 0.5)),
    Special("maximum", (NAN, 1.0), (1.0, 1.0)), Special("maximum", (1.0, NAN), (1.0, 1.0)),
    Special("minimum", (1.0, 1.0), (0.5, 0.5)), Special("minimum", (NAN, 1.0), (1.0, 1.0)),
    Special("maximum", (2.0, 1.0), (1.0, 0.0)), Special("minimum", (2.0, 1.0), (0.0, 1.0)),
    Special("pow", (0.0, 0.0), (0.0, 0.0)), Special("pow", (0.0, 1.0), (1.0, 0.0)),
    Special("pow", (0.0, 2.0), (0.0, 0.0)),
    Special("pow", (0.0, 0.5), (INF, 0.0)), Special("pow", (0.0, -1.0), (-INF, -INF)),
    Special("pow", (-2.0, 3.0), (12.0, NAN)),
    Special("pow", (-2.0, 0.5), (NAN, NAN)), Special("pow", (2.0, 0.0), (0.0, math.log(2.0))),
    Special("pow", (INF, 0.0), (0.0, INF)), Special("pow", (NAN, 0.0), (0.0, NAN)),
    Special("pow", (0.0, NAN), (NAN, NAN)),
    Special("arctan2", (0.0, 0.0), (0.0, 0.0)), Special("arctan2", (0.0, -1.0), (-1.0, 0.0)),
    Special("arctan2", (INF, 1.0), (0.0, NAN)),
    Special("hypot", (3.0, 4.0), (0.6, 0.8)), Special("hypot", (INF, 1.0), (NAN, 0.0)),
    Special("cathetus", (5.0, -4.0), (5 / 3, 4 / 3)), Special("cathetus", (1.0, 2.0), (NAN, NAN)),
    Special("logaddexp", (INF, 1.0), (1.0, 0.0)), Special("logaddexp", (-INF, 1.0), (0.0, 1.0)),
    Special("logaddexp", (INF, INF), (NAN, NAN)),
    Special("fmod", (7.0, -2.0), (1.0, 3.0)), Special("fmod", (-7.0, 2.0), (1.0, 3.0)),
    Special("fmod", (5.0, INF), (1.0, 0.0)),
    Special("remainder", (7.0, -2.0), (1.0, 4.0)), Special("remainder", (-7.0, 2.0), (1.0, 4.0)),
    Special("remainder", (1.0, 0.1), (1.0, -9.0)), Special("remainder", (5.0, INF), (1.0, 0.0)),
    Special("floor_divide", (7.0, 2.0), (None, None)), Special("floor", (1.0,), (None,)),
    Special("round", (0.5,), (None,)),
]
# Where chainrule is meant to differ, and why.
DEPARTURES = [
    Special("hypot", (0.0, 0.0), (0.0, 0.0)),  # torch: nan; a norm has the subgradient 0
    Special("arctan2", (1e200, 1e200), (5e-201, -5e-201)),  # torch: 0, by overflow
    Special("arctan2", (1e-170, 1e-170), (5e169, -5e169)),  # torch: 0, by underflow
    Special("fmod", (1.0, 0.1), (1.0, -9.0)),  # torch: -10, although fmod(1, 0.1) = 1 - 9 * 0.1
]
