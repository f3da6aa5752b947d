"""How accurate a compiled function and its gradient are: sampled, and compared with many digits."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...compiler import exact
from ...compiler.errors import ArgumentError, ChainruleError
from ...compiler.provenance import at, user_site
from .decorated import GradFunction
from .tables import table

__all__ = ["Accuracy", "Errors", "accuracy", "bits_of_error", "spread"]

BITS = 64.0
Range = tuple[float, float] | range


@dataclass(frozen=True)
class Errors:
    """Bits of error of one quantity: the base-2 logarithm of how many floats lie between the result and the right one.

    Attributes:
        mean, worst: of 64; nan, or a wrong sign at large values, is 64.
        at: the arguments of the worst result.
        result, right: there.
    """

    mean: float
    worst: float
    at: tuple[float, ...]
    result: float
    right: float

    def __str__(self) -> str:
        if not self.worst:
            return "0.0 bits everywhere"
        arguments = ", ".join(f"{x!r}" for x in self.at)
        return f"{self.mean:.1f} bits on average, {self.worst:.1f} at ({arguments}): {self.result!r} instead of {self.right!r}"


@dataclass(frozen=True, repr=False)
class Accuracy:
    """What `accuracy` found.

    Attributes:
        value: errors of the value.
        gradient: errors of each partial derivative, by the name of the argument.
        points: how many points were compared; `skipped` had no real value or derivative.
    """

    name: str
    value: Errors
    gradient: dict[str, Errors]
    points: int
    skipped: int

    @property
    def gradient_mean(self) -> float:
        """Mean bits of error of the partial derivatives."""
        return float(np.mean([e.mean for e in self.gradient.values()])) if self.gradient else 0.0

    @property
    def _head(self) -> str:
        return f"{self.name}: {self.points} points compared" + (f", {self.skipped} without a real value" if self.skipped else "")

    def __str__(self) -> str:
        lines = [self._head, f"  value    {self.value}"]
        return "\n".join([*lines, *(f"  d/d{name:<5} {errors}" for name, errors in self.gradient.items())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = []
        for what, e in (("value", self.value), *((f"d/d{name}", errors) for name, errors in self.gradient.items())):
            worst = (", ".join(map(repr, e.at)), repr(e.result), repr(e.right)) if e.worst else ("", "", "")
            rows.append((what, f"{e.mean:.1f}", f"{e.worst:.1f}", *worst))
        return table(self._head, ("", "mean bits of error", "worst", "at", "result", "instead of"), rows)


def bits_of_error(result: float, right: float) -> float:
    """The base-2 logarithm of how many doubles lie between the two, of 64 (as Herbie counts)."""
    if math.isnan(result):
        return BITS
    return min(BITS, math.log2(1 + abs(_ordinal(result) - _ordinal(right))))


def _ordinal(x: float) -> int:
    bits = int(np.float64(x).view(np.int64))
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def _float(ordinal: int) -> float:
    bits = ordinal if ordinal >= 0 else (-ordinal) | (1 << 63)
    return float(np.uint64(bits).view(np.float64))


def accuracy(function: Callable[..., Any], ranges: Mapping[str, tuple[float, float] | range] | Sequence[tuple[float, float] | range],
             points: int = 200, seed: int = 0) -> Accuracy:
    """Compare the value and the gradient of a function of numbers with results at high precision.

    Args:
        function: decorated, or plain; of numbers, not of arrays, made of elementwise operations.
        ranges: (lowest, highest) of each argument, by name or in order. Points are spread evenly over the floats between, that is,
            over orders of magnitude, as in Panchekha et al., "Automatically improving accuracy for floating point expressions"
            (PLDI 2015). A `range` stands for its whole numbers, each as likely as another. An argument without one keeps its default,
            and has no errors of its own.
        points: how many, at least one.
        seed: of the random numbers.

    Returns:
        The errors in bits, with the worst arguments. The derivatives that results are compared with are differences at high
        precision of what is written, so that neither a rewrite rule nor a derivative is trusted.

    Raises:
        ArgumentError: an argument has neither a range nor a default, or a range belongs to none or is none; the function does not
            take numbers, or returns several; there are no points, or none that has a real value.
        NotYetError: an operation is not elementwise.
    """
    compiled = function if isinstance(function, GradFunction) else GradFunction(function)
    if points < 1:
        raise ArgumentError(f"accuracy compares results at one point or more, not at points={points!r}{at(user_site())}")
    bounds = _ranges(compiled, ranges)
    names = list(bounds)
    try:
        graph = compiled.trace(**dict.fromkeys(names, 1.5)).ir("traced")
    except ChainruleError as error:
        raise ArgumentError(f"accuracy calls {compiled._name} with numbers{at(user_site())}, and it is no function of numbers: "
                            f"{error}") from error
    if [node.shape for node in graph.outputs] != [()]:
        raise ArgumentError(f"accuracy is for functions that return one number{at(user_site())}; {compiled._name} returns "
                            f"{_returned([node.shape for node in graph.outputs])}: write it for one element")
    (output,) = graph.outputs
    rng = np.random.default_rng(seed)
    columns = {name: _sampled(bounds[name], points, rng) for name in names}
    inputs = [node.param("name") for node in graph.inputs]
    columns |= {name: [_default(compiled, name)] * points for name in inputs if name not in bounds}
    rows: list[tuple[tuple[float, ...], float, list[float]]] = []
    for k in range(points):
        try:
            value, slopes = exact.settled(output, graph.inputs, [columns[name][k] for name in inputs])
        except exact.Undefined:
            continue
        by_name = dict(zip(inputs, slopes, strict=True))
        rows.append((tuple(columns[name][k] for name in names), float(value), [float(by_name[name]) for name in names]))
    if not rows:
        raise ArgumentError(f"{compiled._name} has no real value at any of {points} points in these ranges{at(user_site())}")
    arguments = [point for point, _, _ in rows]
    results = [compiled.value_and_grad(**dict(zip(names, point, strict=True)), wrt=tuple(names)) for point in arguments]
    pulled = [g if isinstance(g, tuple) else (g,) for _, g in results]
    of_value = _errors(arguments, [float(v) for v, _ in results], [v for _, v, _ in rows])
    of_slopes = {name: _errors(arguments, [float(p[k]) for p in pulled], [s[k] for _, _, s in rows]) for k, name in enumerate(names)}
    return Accuracy(compiled._name, of_value, of_slopes, len(rows), points - len(rows))


def _returned(shapes: Sequence[tuple[Any, ...]]) -> str:
    if len(shapes) == 1:
        return f"an array of shape {shapes[0]}"
    return f"{len(shapes)} values, of shapes {', '.join(map(str, shapes))}"


def _sampled(bounds: Range, points: int, rng: np.random.Generator) -> list[float]:
    if isinstance(bounds, range):
        return [float(bounds[k]) for k in rng.integers(len(bounds), size=points)]
    return spread(*bounds, points, rng)


def _ranges(function: GradFunction, ranges: Mapping[str, Range] | Sequence[Range]) -> dict[str, Range]:
    """The ranges by name, in the order of the parameters; only those with a default may have none."""
    parameters = function._parameters.parameters
    names = list(parameters)
    given = dict(ranges) if isinstance(ranges, Mapping) else dict(zip(names, ranges, strict=False))
    bounds = {name: _bounds(name, given[name]) for name in names if name in given}
    if not isinstance(ranges, Mapping) and len(ranges) > len(names):
        raise ArgumentError(f"accuracy got {len(ranges)} ranges{at(user_site())}, and {function._name} has {len(names)} "
                            f"{'parameter' if len(names) == 1 else 'parameters'}: {', '.join(names) or 'none'}")
    needed = [name for name, p in parameters.items() if p.default is p.empty]
    if not given or set(needed) - set(given) or set(given) - set(names):
        raise ArgumentError(f"accuracy needs a range for each of {', '.join(needed or names)}{at(user_site())}; there are ranges for "
                            f"{', '.join(given) or 'none'}")
    return bounds


def _default(function: GradFunction, name: str) -> float:
    """The default of an argument that has no range."""
    parameter = function._parameters.parameters.get(name)
    if parameter is None or not isinstance(parameter.default, float | int | np.floating):
        raise ArgumentError(f"accuracy is for functions of numbers{at(user_site())}, and {name} of {function._name} is none: "
                            "give it a range")
    return float(parameter.default)


def _bounds(name: str, given: Any) -> Range:
    if isinstance(given, range) and len(given):
        return given
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        low = high = math.nan
    if math.isnan(low) or math.isnan(high):
        raise ArgumentError(f"the range of {name} is {given!r}{at(user_site())}; two numbers, (lowest, highest), or a range of whole "
                            "numbers are expected")
    return low, high


def spread(low: float, high: float, points: int, rng: np.random.Generator) -> list[float]:
    """Random floats of a range, spread evenly over all that are in it."""
    first, last = sorted((_ordinal(low), _ordinal(high)))
    return [_float(first + int((last - first) * u)) for u in rng.random(points)]


def _errors(arguments: Sequence[tuple[float, ...]], results: Sequence[float], right: Sequence[float]) -> Errors:
    bits = [bits_of_error(a, b) for a, b in zip(results, right, strict=True)]
    worst = int(np.argmax(bits))
    return Errors(float(np.mean(bits)), bits[worst], arguments[worst], results[worst], right[worst])
