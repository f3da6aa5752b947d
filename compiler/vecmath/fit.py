"""Minimax polynomials: how the coefficients in this package were computed.

`python -m chainrule.compiler.vecmath.fit` prints coefficients.py. Needs mpmath; nothing else in the package imports this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Real = Any  # an mpmath.mpf


def remez(
    function: Callable[[Real], Real],
    low: float,
    high: float,
    degree: int,
    weight: Callable[[Real], Real] = lambda x: 1,
    rounds: int = 12,
) -> tuple[list[Real], Real]:
    """Coefficients (constant term first) that minimise max |weight * (polynomial - function)| on [low, high].

    Returns them with the error reached. Remez exchange: E. W. Cheney, Introduction to Approximation Theory, ch. 3.
    """
    import mpmath as mp

    low, high = mp.mpf(low), mp.mpf(high)
    centre, radius = (low + high) / 2, (high - low) / 2
    count = degree + 2
    nodes = [centre - radius * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]
    grid_size = 24 * count
    grid = [centre - radius * mp.cos(mp.pi * i / grid_size) for i in range(grid_size + 1)]
    values = [(x, function(x), weight(x)) for x in grid]
    coefficients: list[Real] = []
    worst = mp.mpf(0)
    for _ in range(rounds):
        system = mp.matrix(count, count)
        right = mp.matrix(count, 1)
        for i, x in enumerate(nodes):
            scaled = (x - centre) / radius
            for j in range(degree + 1):
                system[i, j] = scaled**j
            system[i, degree + 1] = (-1) ** i / weight(x)
            right[i] = function(x)
        solution = mp.lu_solve(system, right)
        coefficients = _unscale([solution[j] for j in range(degree + 1)], centre, radius)
        errors = [w * (mp.polyval(coefficients[::-1], x) - y) for x, y, w in values]
        nodes = _alternating_extrema(grid, errors, count)
        worst = max(abs(e) for e in errors)
        if worst < abs(solution[degree + 1]) * mp.mpf("1.01"):
            break
    return coefficients, worst


def _unscale(coefficients: list[Real], centre: Real, radius: Real) -> list[Real]:
    """The polynomial in x of a polynomial in (x - centre) / radius."""
    import mpmath as mp

    result = [mp.mpf(0)] * len(coefficients)
    for coefficient in reversed(coefficients):  # Horner: result * (x - centre) / radius + coefficient
        shifted = [mp.mpf(0), *result[:-1]]
        result = [(s - centre * r) / radius for s, r in zip(shifted, result, strict=True)]
        result[0] += coefficient
    return result


def _alternating_extrema(grid: list[Real], errors: list[Real], count: int) -> list[Real]:
    """`count` points of `grid` where `errors` is extremal with alternating signs, or as many as there are, evenly refilled."""
    groups: list[tuple[Real, Real]] = []
    for x, error in zip(grid, errors, strict=True):
        if groups and (groups[-1][1] > 0) == (error > 0):
            if abs(error) > abs(groups[-1][1]):
                groups[-1] = (x, error)
        else:
            groups.append((x, error))
    while len(groups) > count:
        groups.pop(0 if abs(groups[0][1]) < abs(groups[-1][1]) else -1)
    if len(groups) < count:
        raise ArithmeticError(f"the error alternates {len(groups)} times, {count} wanted: lower the degree, raise mp.dps")
    return [x for x, _ in groups]


@dataclass(frozen=True)
class Table:
    """One polynomial: what it approximates, where, and its degree in each format."""

    name: str
    meaning: str
    function: Callable[[Real], Real]
    low: Callable[[], Real]
    high: Callable[[], Real]
    degrees: tuple[int, int]  # float64, float32
    weight: Callable[[Real], Real] = lambda x: 1
    narrow_high: Callable[[], Real] | None = None  # the end of the interval for float32, where it is another


def _series(term: Callable[[int], Real], terms: int = 45) -> Callable[[Real], Real]:
    """The power series with the coefficients term(0), term(1)...: free of the cancellation that a closed form has at 0."""

    def value(x: Real) -> Real:
        total = term(terms)
        for k in range(terms - 1, -1, -1):
            total = total * x + term(k)
        return total

    return value


def _mp() -> Any:
    import mpmath

    return mpmath.mp


TABLES = (
    Table(
        "EXP",
        "(exp(r) - 1 - r) / r**2, |r| <= log(2)/2; weighted for the error of exp(r)",
        _series(lambda k: 1 / _mp().factorial(k + 2)),
        lambda: -_mp().log(2) / 2 * 1.0001,
        lambda: _mp().log(2) / 2 * 1.0001,
        (9, 4),
        lambda r: (abs(r) + 0.03) ** 2,
    ),
    Table(
        "EXPM1",
        "(exp(r) - 1 - r) / r**2, |r| <= log(2)/2; weighted for the relative error of expm1(r)",
        _series(lambda k: 1 / _mp().factorial(k + 2)),
        lambda: -_mp().log(2) / 2 * 1.0001,
        lambda: _mp().log(2) / 2 * 1.0001,
        (10, 5),
        lambda r: abs(r) + 0.03,
    ),
    Table(
        "LOG",
        "(log((1 + s) / (1 - s)) / s - 2) / z as a function of z = s**2, |s| <= (sqrt(2) - 1)**2",
        _series(lambda k: _mp().mpf(2) / (2 * k + 3)),
        lambda: _mp().mpf(0),
        lambda: (_mp().sqrt(2) - 1) ** 4 * 1.0002,
        (6, 2),
        lambda z: z + 0.0015,
    ),
    Table(
        "SIN",
        "(sin(r) - r) / r**3 as a function of z = r**2, |r| <= pi/4",
        _series(lambda k: (-1) ** (k + 1) / _mp().factorial(2 * k + 3)),
        lambda: _mp().mpf(0),
        lambda: (_mp().pi / 4) ** 2 * 1.0002,
        (5, 2),
        lambda z: z + 0.03,
    ),
    Table(
        "COS",
        "(cos(r) - 1 + r**2 / 2) / r**4 as a function of z = r**2, |r| <= pi/4",
        _series(lambda k: (-1) ** k / _mp().factorial(2 * k + 4)),
        lambda: _mp().mpf(0),
        lambda: (_mp().pi / 4) ** 2 * 1.0002,
        (5, 2),
        lambda z: (z + 0.05) ** 2,
    ),
    Table(
        "ERF_NEAR",
        "erf(x) / x - 1 as a function of z = x**2, |x| <= 1",
        _series(lambda k: (-1) ** k * 2 / (_mp().sqrt(_mp().pi) * _mp().factorial(k) * (2 * k + 1)) - (k == 0)),
        lambda: _mp().mpf(0),
        lambda: _mp().mpf(1),
        (11, 6),
    ),
    Table(
        "ERF_FAR",
        "-log(erfc(1 + t)), 0 <= t <= 4.95 (float32: 2.95); weighted for the error of erf",
        lambda t: -_mp().log(_mp().erfc(1 + t)),
        lambda: _mp().mpf(0),
        lambda: _mp().mpf("4.95"),
        (17, 6),
        lambda t: _mp().erfc(1 + t),
        narrow_high=lambda: _mp().mpf("2.95"),
    ),
)


def fit(table: Table) -> tuple[list[float], list[float]]:
    """The coefficients of a table rounded to float64, and those of its float32 version rounded to float32."""
    import numpy as np

    mp = _mp()
    with mp.workdps(60):
        highs = (table.high(), (table.narrow_high or table.high)())
        wide, narrow = (
            remez(table.function, table.low(), high, degree, table.weight)[0]
            for high, degree in zip(highs, table.degrees, strict=True)
        )
        return [float(c) for c in wide], [float(np.float32(float(c))) for c in narrow]


def render() -> str:
    """The text of coefficients.py."""
    lines = [HEADER]
    for table in TABLES:
        lines += [f"# {table.meaning}", f"{table.name} = both("]
        lines += [f'    """{_wrapped(row)}""",' for row in fit(table)]
        lines += [")", ""]
    return "\n".join(lines)


def _wrapped(row: list[float]) -> str:
    words = [number.hex() for number in row]
    return "\n        ".join(" ".join(words[i : i + 4]) for i in range(0, len(words), 4))


HEADER = '''"""Coefficients of the polynomials, constant term first. Written by `python -m chainrule.compiler.vecmath.fit`."""

from __future__ import annotations

from .core import both
'''

if __name__ == "__main__":
    print(render(), end="")
