"""Pictures of a function of numbers and of its derivatives, alone or with sliders for the other arguments."""
from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler.errors import ArgumentError
from ...compiler.provenance import at, user_site

if TYPE_CHECKING:
    from .decorated import GradFunction

__all__ = ["plot", "sliding"]

MOST = 4  # derivatives, of which each costs about three times the one before
STEPS = 200  # of a slider

Ranges = Mapping[str, tuple[float, float]]


def plot(function: GradFunction, name: str, low: float, high: float, orders: int, points: int, ax: Any, others: dict[str, Any]) -> Any:
    """See `GradFunction.plot`."""
    _checked(function, name, low, high, orders, others)
    plt = _pyplot()
    if ax is None:
        ax = plt.subplots()[1]
    _draw(ax, function, name, np.linspace(low, high, points), _curves(function, name, orders), others)
    return ax


def sliding(function: GradFunction, name: str, low: float, high: float, orders: int, points: int, ranges: Ranges,
            others: dict[str, Any]) -> Any:
    """The picture with a slider for each argument in `ranges`, as a widget."""
    parameters = function._parameters.parameters
    starts = {}
    for slider, (least, most) in ranges.items():
        if slider == name or not least < most:
            raise ArgumentError(f"sliders={{{slider!r}: ({least}, {most})}}{at(user_site())}: a range from left to right is expected, "
                                f"of an argument other than {name}")
        default = parameters[slider].default if slider in parameters else inspect.Parameter.empty
        start = others.get(slider, (least + most) / 2 if default is inspect.Parameter.empty else default)
        starts[slider] = min(max(float(start), least), most)
    _checked(function, name, low, high, orders, {**others, **starts})
    _pyplot()
    try:
        import ipywidgets
    except ImportError as error:
        raise ArgumentError(f"sliders need ipywidgets{at(user_site())}: pip install 'chainrule[notebook]'") from error
    from matplotlib.figure import Figure  # drawn without a window, whatever is chosen for others

    x, curves = np.linspace(low, high, points), _curves(function, name, orders)
    made = {slider: ipywidgets.FloatSlider(value=starts[slider], min=least, max=most, step=(most - least) / STEPS, description=slider,
                                           readout_format=".3g") for slider, (least, most) in ranges.items()}
    picture = ipywidgets.Image(format="png")

    def draw(change: Any = None) -> None:
        figure = Figure(layout="constrained")
        _draw(figure.subplots(), function, name, x, curves, {**others, **{slider: control.value for slider, control in made.items()}})
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=110)
        picture.value = drawn.getvalue()

    for control in made.values():
        control.observe(draw, names="value")
    draw()
    return ipywidgets.VBox([*made.values(), picture])


def _checked(function: GradFunction, name: str, low: float, high: float, orders: int, others: Mapping[str, Any]) -> None:
    parameters = function._parameters.parameters
    unknown = [n for n in (name, *others) if n not in parameters]
    if unknown:
        raise ArgumentError(f"{function._name} has no argument {', '.join(map(repr, unknown))}{at(user_site())}; it has "
                            f"{', '.join(parameters)}")
    missing = [n for n, p in parameters.items() if n != name and n not in others and p.default is inspect.Parameter.empty]
    if missing:
        raise ArgumentError(f"a number for {', '.join(missing)} is needed{at(user_site())}: plot({name!r}, {low}, {high}, "
                            f"{', '.join(f'{n}=...' for n in missing)})")
    if not (low < high and 0 <= orders <= MOST):
        raise ArgumentError(f"plot({name!r}, {low}, {high}, orders={orders}){at(user_site())}: a range from left to right, and at most "
                            f"{MOST} derivatives are expected")


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ArgumentError(f"pictures need matplotlib{at(user_site())}: pip install matplotlib, or chainrule[notebook]") from error
    return plt


def _draw(ax: Any, function: GradFunction, name: str, x: Any, curves: list[GradFunction], others: Mapping[str, Any]) -> None:
    for order, curve in enumerate(curves):
        ax.plot(x, np.broadcast_to(np.asarray(curve(x, dict(others)), np.float64), x.shape), label=_label(function._name, name, order))
    ax.set_xlabel(name)
    ax.axhline(0.0, color="0.8", linewidth=0.8, zorder=0)
    ax.legend()


def _label(function: str, name: str, order: int) -> str:
    if order == 0:
        return function
    power = f"$^{order}$" if order > 1 else ""
    return f"d{power} {function} / d {name}{power}"


def _curves(function: GradFunction, name: str, orders: int) -> list[GradFunction]:
    """The function and its derivatives over all points, for any values of the others: a jvp along ones differentiates each point."""
    from .decorated import GradFunction

    def value(points: Any, others: dict[str, Any]) -> Any:
        return function.__wrapped__(**{**others, name: points})

    def made(along: Callable[..., Any]) -> GradFunction:
        options = function._options
        return GradFunction(along, wrt="points", stabilise=options.stabilise, fastmath=options.fastmath)

    curves = [made(value)]
    while len(curves) <= orders:
        curves.append(made(_slope(curves[-1])))
    return curves


def _slope(function: GradFunction) -> Any:
    return lambda points, others: function.jvp((points, others), np.ones_like(points))
