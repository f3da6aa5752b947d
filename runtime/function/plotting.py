"""Pictures of a function of numbers and of its derivatives, alone or with sliders for the other arguments."""
from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...compiler.errors import ArgumentError
from ...compiler.provenance import at, user_site

if TYPE_CHECKING:
    from .decorated import GradFunction

__all__ = ["Across", "plot", "sliding"]

MOST = 4  # derivatives, of which each costs about three times the one before
STEPS = 200  # of a slider

STEEP = 1.8  # times the next two on either side: so much larger is the largest value beside a pole, and hardly that of a peak
ORDINARY = (10.0, 90.0)  # per cent of a curve's values by which it is seen beside its poles
JUMP = 0.5  # of the picture: so much with a change of sign is no line but a pole, of a curve that has one

Ranges = Mapping[str, tuple[float, float]]


class Across(NamedTuple):
    """What the picture goes along: an argument, its range, how many points, and whether they are a constant factor apart."""

    name: str
    low: float
    high: float
    points: int
    log: bool

    @property
    def values(self) -> Any:
        """The points."""
        return (np.geomspace if self.log else np.linspace)(self.low, self.high, self.points)

    def __str__(self) -> str:
        return f"{self.name!r}, {self.low}, {self.high}"


def plot(function: GradFunction, across: Across, orders: int, ax: Any, others: dict[str, Any]) -> Any:
    """See `GradFunction.plot`."""
    _checked(function, across, orders, others)
    curves = _curves(function, across.name, orders)
    drawn = [_values(function, curve, across.values, others) for curve in curves]  # errors come before there is a figure
    plt = _pyplot()
    if ax is None:
        ax = plt.subplots()[1]
    _draw(ax, function, across, drawn)
    numbers = [f"{n} = {v:.6g}" for n, v in others.items() if isinstance(v, (int, float, np.number))]
    if numbers:
        ax.set_title(", ".join(numbers), fontsize="medium")
    return ax


def sliding(function: GradFunction, across: Across, orders: int, ranges: Ranges, others: dict[str, Any]) -> Any:
    """The picture with a slider for each argument in `ranges`, as a widget."""
    name = across.name
    parameters = function._parameters.parameters
    starts = {}
    for slider, (least, most) in ranges.items():
        if slider == name or not least < most:
            raise ArgumentError(f"sliders={{{slider!r}: ({least}, {most})}}{at(user_site())}: a range from left to right is expected, "
                                f"of an argument other than {name}")
        default = parameters[slider].default if slider in parameters else inspect.Parameter.empty
        start = others.get(slider, (least + most) / 2 if default is inspect.Parameter.empty else default)
        starts[slider] = min(max(float(start), least), most)
    _checked(function, across, orders, {**others, **starts})
    _pyplot()
    try:
        import ipywidgets
    except ImportError as error:
        raise ArgumentError(f"sliders need ipywidgets{at(user_site())}: pip install 'chainrule[notebook]'") from error
    from matplotlib.figure import Figure  # drawn without a window, whatever is chosen for others

    curves = _curves(function, name, orders)
    made = {slider: ipywidgets.FloatSlider(value=starts[slider], min=least, max=most, step=(most - least) / STEPS, description=slider,
                                           readout_format=".3g") for slider, (least, most) in ranges.items()}
    picture = ipywidgets.Image(format="png")

    def draw(change: Any = None) -> None:
        figure = Figure(layout="constrained")
        now = {**others, **{slider: control.value for slider, control in made.items()}}
        _draw(figure.subplots(), function, across, [_values(function, curve, across.values, now) for curve in curves])
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=110)
        picture.value = drawn.getvalue()

    for control in made.values():
        control.observe(draw, names="value")
    draw()
    return ipywidgets.VBox([*made.values(), picture])


def _checked(function: GradFunction, across: Across, orders: int, others: Mapping[str, Any]) -> None:
    parameters, (name, low, high, points, log) = function._parameters.parameters, across
    unknown = [n for n in (name, *others) if n not in parameters]
    if unknown:
        raise ArgumentError(f"{function._name} has no argument {', '.join(map(repr, unknown))}{at(user_site())}; it has "
                            f"{', '.join(parameters)}")
    missing = [n for n, p in parameters.items() if n != name and n not in others and p.default is inspect.Parameter.empty]
    if missing:
        raise ArgumentError(f"a value for {', '.join(missing)} is needed{at(user_site())}: plot({across}, "
                            f"{', '.join(f'{n}=...' for n in missing)})")
    ends = all(isinstance(end, (int, float, np.number)) and np.isfinite(end) for end in (low, high))
    if not (ends and low < high and isinstance(orders, int) and 0 <= orders <= MOST):
        raise ArgumentError(f"plot({across}, orders={orders}){at(user_site())}: a range from left to right, and at most "
                            f"{MOST} derivatives are expected")
    if not (isinstance(points, int) and points > 1):
        raise ArgumentError(f"plot({across}, points={points}){at(user_site())}: at least two points are expected")
    if log and low <= 0:
        raise ArgumentError(f"plot({across}, log=True){at(user_site())}: a logarithmic scale has positive numbers only")


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ArgumentError(f"pictures need matplotlib{at(user_site())}: pip install matplotlib, or chainrule[notebook]") from error
    return plt


def _draw(ax: Any, function: GradFunction, across: Across, drawn: Sequence[Any]) -> None:
    low, high = _limits(drawn)
    for order, y in enumerate(drawn):
        x = across.values
        if _has_pole(y):
            with np.errstate(invalid="ignore"):
                jumps = np.flatnonzero((y[1:] * y[:-1] < 0) & (np.abs(np.diff(y)) > JUMP * (high - low))) + 1
            x, y = np.insert(x, jumps, np.nan), np.insert(y, jumps, np.nan)
        ax.plot(x, y, label=_label(function._name, across.name, order))
    if any(map(_has_pole, drawn)):
        ax.set_ylim(low, high)
    if across.log:
        ax.set_xscale("log")
    ax.set_xlabel(across.name)
    ax.axhline(0.0, color="0.8", linewidth=0.8, zorder=0)
    ax.legend()


def _has_pole(y: Any) -> bool:
    """Whether the largest value towers over those next to it on both sides, as where a curve has no largest value."""
    sizes = np.abs(y[np.isfinite(y)])
    if len(sizes) < 3:
        return False
    k = int(np.argmax(sizes))
    return all(side.min(initial=np.inf) * STEEP < sizes[k] for side in (sizes[max(k - 2, 0):k], sizes[k + 1:k + 3]) if len(side))


def _limits(drawn: Sequence[Any]) -> tuple[float, float]:
    """What of the values is looked at: all, but of a curve with poles what it is elsewhere."""
    ends: list[float] = [0.0]
    for y in drawn:
        finite = y[np.isfinite(y)]
        if _has_pole(y):
            low, high = np.percentile(finite, ORDINARY)
            ends += [low - (high - low), high + (high - low)]
        elif len(finite):
            ends += [finite.min(), finite.max()]
    return min(ends), max(ends)


def _label(function: str, name: str, order: int) -> str:
    if order == 0:
        return function
    power = f"$^{order}$" if order > 1 else ""
    return f"d{power} {function} / d {name}{power}"


def _values(function: GradFunction, curve: GradFunction, points: Any, others: Mapping[str, Any]) -> Any:
    """A curve at the points."""
    found = curve(points, dict(others))
    if np.shape(found) != points.shape:
        what = type(found).__name__ if isinstance(found, (tuple, list, dict)) else f"an array of shape {np.shape(found)[1:]}"
        raise ArgumentError(f"{function._name} gives {what} at a point{at(user_site())}: plot() draws functions that give one number")
    return np.asarray(found, np.float64)


def _curves(function: GradFunction, name: str, orders: int) -> list[GradFunction]:
    """The function and its derivatives at every point, for any values of the others: a jvp along ones differentiates each point."""
    from .decorated import GradFunction
    from .transforms import vmap

    def value(points: Any, others: dict[str, Any]) -> Any:
        return vmap(lambda point: function.__wrapped__(**{**others, name: point}))(points)

    def made(along: Callable[..., Any]) -> GradFunction:
        options = function._options
        return GradFunction(along, wrt="points", stabilise=options.stabilise, fastmath=options.fastmath)

    curves = [made(value)]
    while len(curves) <= orders:
        curves.append(made(_slope(curves[-1])))
    return curves


def _slope(function: GradFunction) -> Any:
    return lambda points, others: function.jvp((points, others), np.ones_like(points))
