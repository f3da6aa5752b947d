"""Gradients against central differences."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compiler.errors import ArgumentError
from ...compiler.provenance import at, user_site
from .derivatives import Chosen
from .structure import flatten, unflatten

if TYPE_CHECKING:
    from .decorated import GradFunction

__all__ = ["GradCheck", "check"]

MAX_ELEMENTS = 64  # of an argument that are compared one by one; more are compared along random directions


@dataclass(frozen=True)
class Row:
    """One argument: the worst element (or direction), its derivative, its difference quotient."""

    label: str
    where: str
    derivative: float
    difference: float
    ok: bool

    @property
    def error(self) -> float:
        """How far they are apart."""
        return abs(self.derivative - self.difference)


@dataclass(frozen=True)
class GradCheck:
    """A report that is true where every derivative agrees with its difference quotient."""

    name: str
    rows: tuple[Row, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether all agree."""
        return all(row.ok for row in self.rows)

    @property
    def max_error(self) -> float:
        """The largest difference."""
        return max((row.error for row in self.rows), default=0.0)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [f"gradient of {self.name}: {'agrees with' if self.ok else 'DIFFERS from'} central differences"]
        for row in self.rows:
            mark = "ok  " if row.ok else "BAD "
            lines.append(f"  {mark} {row.label}{row.where}: derivative {row.derivative:.10g}, difference {row.difference:.10g}")
        return "\n".join(lines)

    __repr__ = __str__


def check(function: GradFunction, args: tuple[Any, ...], kwargs: dict[str, Any], rtol: float, atol: float) -> GradCheck:
    """Compare `function.grad` with central differences of the undecorated function, in float64.

    Raises:
        ArgumentError: the function gives no number.
    """
    parameters = function._parameters
    bound = parameters.bind(args, kwargs)
    flat = parameters.flatten(bound)
    wide = [leaf.astype(np.float64) if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f" else leaf for leaf in flat.leaves]
    chosen = Chosen.of(parameters, bound, flat, None)

    def call(leaves: list[Any], target: Any) -> Any:
        source = iter(leaves)
        values = [unflatten(tree, source) for tree in flat.trees]
        n = bound.positional
        return target(*values[:n], **dict(zip(bound.labels[n:], values[n:], strict=True)))

    def value(leaves: list[Any]) -> float:
        found = call(leaves, function.__wrapped__)
        if np.ndim(found):
            raise ArgumentError(f"check_grad needs a scalar function{at(user_site())}; {function._name} gives shape {np.shape(found)}")
        return float(found)

    gradients: list[Any] = []
    flatten(call(wide, function.grad), gradients)
    rows: list[Row] = []
    for label, k, gradient in zip(_leaf_labels(chosen, bound.labels), chosen.leaves, gradients, strict=True):
        rows.append(_compare(label, np.asarray(gradient, np.float64), wide, k, value, rtol, atol))
    return GradCheck(function._name, tuple(rows))


def _leaf_labels(chosen: Chosen, labels: tuple[str, ...]) -> list[str]:
    return [f"{labels[a]}.{j}" if count > 1 else labels[a]
            for a, count in zip(chosen.arguments, chosen.counts, strict=True) for j in range(count)]


def _compare(label: str, gradient: Any, leaves: list[Any], k: int, value: Any, rtol: float, atol: float) -> Row:
    center = np.asarray(leaves[k], np.float64)
    scale = float(np.max(np.abs(gradient), initial=0.0))
    step = max(1.0, float(np.max(np.abs(center), initial=0.0))) * np.finfo(np.float64).eps ** (1 / 3)
    worst: Row | None = None
    for where, direction in _directions(center.shape):
        def quotient(step: float, direction: Any = direction) -> tuple[float, float]:
            """The central difference, and what rounding alone does to it."""
            ends = []
            for moved in (center + step * direction, center - step * direction):
                ends.append(value([*leaves[:k], moved if isinstance(leaves[k], np.ndarray) else float(moved), *leaves[k + 1:]]))
            return (ends[0] - ends[1]) / (2 * step), 1e-14 * max(map(abs, ends)) / step

        derivative = float(np.sum(gradient * direction))
        difference, noise = quotient(step)
        allowed = atol + rtol * max(scale, abs(difference)) + noise
        if abs(derivative - difference) > allowed:  # near a minimum its own error, of order step**2, is all that there is
            difference += (difference - quotient(2 * step)[0]) / 3
        row = Row(label, where, derivative, difference, bool(abs(derivative - difference) <= allowed))
        if worst is None or (not row.ok, row.error) > (not worst.ok, worst.error):
            worst = row
    return worst if worst is not None else Row(label, "", 0.0, 0.0, True)


def _directions(shape: tuple[int, ...]) -> Any:
    count = int(np.prod(shape))
    if count <= MAX_ELEMENTS:
        for index in np.ndindex(*shape):
            unit = np.zeros(shape)
            unit[index] = 1.0
            yield (f"[{', '.join(map(str, index))}]" if shape else ""), unit
        return
    random = np.random.default_rng(0)
    for k in range(8):
        direction = random.normal(size=shape)
        yield f" along random direction {k}", direction / np.linalg.norm(direction)
