"""Pictures of a function of numbers and of its derivatives."""
from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler.errors import ArgumentError
from ...compiler.provenance import at, user_site

if TYPE_CHECKING:
    from .decorated import GradFunction

__all__ = ["plot"]

MOST = 4  # derivatives, of which each costs about three times the one before


def plot(function: GradFunction, name: str, low: float, high: float, orders: int, points: int, ax: Any, others: dict[str, Any]) -> Any:
    """See `GradFunction.plot`."""
    names = list(function._parameters.parameters)
    missing = [n for n in names if n != name and n not in others and function._parameters.parameters[n].default is inspect.Parameter.empty]
    if name not in names or set(others) - set(names):
        unknown = [n for n in (name, *others) if n not in names]
        raise ArgumentError(f"{function._name} has no argument {', '.join(map(repr, unknown))}{at(user_site())}; it has {', '.join(names)}")
    if missing:
        raise ArgumentError(f"a number for {', '.join(missing)} is needed{at(user_site())}: plot({name!r}, {low}, {high}, "
                            f"{', '.join(f'{n}=...' for n in missing)})")
    if not (low < high and 0 <= orders <= MOST):
        raise ArgumentError(f"plot({name!r}, {low}, {high}, orders={orders}){at(user_site())}: a range from left to right, and at most "
                            f"{MOST} derivatives are expected")
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ArgumentError(f"pictures need matplotlib{at(user_site())}: pip install matplotlib, or chainrule[notebook]") from error
    if ax is None:
        ax = plt.subplots()[1]
    x = np.linspace(low, high, points)
    for order, curve in enumerate(_curves(function, name, x, orders, others)):
        ax.plot(x, curve, label=_label(function._name, name, order))
    ax.set_xlabel(name)
    ax.axhline(0.0, color="0.8", linewidth=0.8, zorder=0)
    ax.legend()
    return ax


def _label(function: str, name: str, order: int) -> str:
    if order == 0:
        return function
    power = f"^{order}" if order > 1 else ""
    return rf"$\mathrm{{d}}{power}$ {function} / $\mathrm{{d}}$ {name}${power}$"


def _curves(function: GradFunction, name: str, x: Any, orders: int, others: dict[str, Any]) -> list[Any]:
    """The function and its derivatives over all points: a jvp along ones differentiates each point by itself."""
    from .decorated import GradFunction

    def along(points: Any) -> Any:
        return function.__wrapped__(**{**others, name: points})

    curves, current = [], GradFunction(along)
    for order in range(orders + 1):
        curves.append(np.broadcast_to(np.asarray(current(x), np.float64), x.shape))
        if order < orders:
            current = GradFunction(_slope(current))
    return curves


def _slope(function: GradFunction) -> Any:
    return lambda points: function.jvp(points, np.ones_like(points))
