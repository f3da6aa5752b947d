"""Minimax polynomials: how the coefficients in this package were computed.

`python -m chainrule.compiler.vecmath.fit` prints coefficients.py. It needs mpmath; only that and tests import it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .core import F32, F64, Format
from .logarithm import log_unit

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
    grid_size = 16 * count
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
    """The `count` points of `grid` where `errors` has its largest extrema of alternating sign."""
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
        raise ArithmeticError(f"the error alternates {len(groups)} times, not {count}: lower the degree")
    return [x for x, _ in groups]


@dataclass(frozen=True)
class Table:
    """One polynomial: what it approximates, where, and its degree in each format."""

    name: str
    meaning: str
    function: Callable[[Real], Real]
    low: Callable[[], Real]
    high: Callable[[], Real]
    degrees: tuple[int, int | None]  # float64, float32
    weight: Callable[[Real], Real] = lambda x: 1
    narrow_low: Callable[[], Real] | None = None  # the interval for float32, where it is another
    narrow_high: Callable[[], Real] | None = None

    def rows(self) -> tuple[list[float], list[float]]:
        """The coefficients rounded to float64, and those of the float32 version rounded to float32."""
        low, high = self.narrow_low or self.low, self.narrow_high or self.high
        wide, narrow = self._row(self.low(), self.high(), self.degrees[0]), self._row(low(), high(), self.degrees[1])
        return [float(c) for c in wide], [_float32(c) for c in narrow]

    def _row(self, low: Real, high: Real, degree: int | None) -> list[Real]:
        return [] if degree is None else remez(self.function, low, high, degree, self.weight)[0]


@dataclass(frozen=True)
class Pieces:
    """1/x in the middle of each piece of [3/4, 3/2), in the order of the highest bits of their fractions.

    Near each is one whose logarithm to a base is almost exactly a multiple of `log_unit`, so that sums of it are exact.
    """

    name: str
    meaning: str
    base: Callable[[], Real]

    def rows(self) -> tuple[list[float], list[float]]:
        """Those for float64, and those for float32."""
        return self._row(F64, 16, float), self._row(F32, 32, _float32)

    def _row(self, format: Format, count: int, rounded: Callable[[Real], float]) -> list[float]:
        mp, base = _mp(), self.base()
        unit = log_unit(format, float(mp.log(2, base)))
        row = [1.0] * count  # the first and the last end at 1, where the logarithm must be exact
        for i in range(1, count - 1):
            middle = (1 + (i + mp.mpf(0.5)) / count) / (1 if 2 * i < count else 2)
            exact, step = base ** (-(mp.nint(mp.log(middle, base) / unit) - 100) * unit), base**-unit
            while abs(exact - row[i]) > mp.mpf(2) ** -(format.precision + 8):
                exact *= step
                row[i] = rounded(exact)
        return row


def _float32(number: Real) -> float:
    import numpy as np

    return float(np.float32(float(number)))


def _series(term: Callable[[int], Real], terms: int = 45) -> Callable[[Real], Real]:
    """The power series with coefficients term(0), term(1)...: without the cancellation of a closed form at 0."""
    coefficients: list[Real] = []

    def value(x: Real) -> Real:
        if not coefficients:
            coefficients.extend(term(k) for k in range(terms, -1, -1))
        return _mp().polyval(coefficients, x)

    return value


def _mp() -> Any:
    import mpmath

    return mpmath.mp


def _scaled_erfc(x: Real) -> Real:
    return (x + 3) * _mp().exp(x * x) * _mp().erfc(x)


def _erfinv(w: Real) -> Real:
    """erfinv(x) with w == -log(1 - x**2)."""
    return _mp().erfinv(_mp().sqrt(-_mp().expm1(-w)))


def _tan_without_pole(z: Real) -> Real:
    from .trigonometric import TAN_POLE

    mp = _mp()
    if z < 1e-14:
        return mp.mpf(1) / 3 - TAN_POLE + z * (mp.mpf(2) / 15 - mp.mpf(TAN_POLE) / 3)
    return (mp.tan(mp.sqrt(z)) / mp.sqrt(z) * (1 - z * TAN_POLE) - 1) / z


def _stirling(x: Real) -> Real:
    mp = _mp()
    return (mp.loggamma(x) - (x - 0.5) * mp.log(x) + x - mp.log(2 * mp.pi) / 2) * x


def _digamma_without_root(x: Real) -> Real:
    mp = _mp()
    root = mp.findroot(mp.digamma, mp.mpf("1.4616321449683623412626595423257213"))
    return x * (mp.digamma(x) / (x - root) if abs(x - root) > 1e-20 else mp.polygamma(1, root))


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
        "LOG_NEAR",
        "(log(1 + t) - t) / t**2, -1/32 <= t <= 1/16 (float32: half of it)",
        _series(lambda k: _mp().mpf((-1) ** (k + 1)) / (k + 2)),
        lambda: _mp().mpf("-0.0313"),
        lambda: _mp().mpf("0.0626"),
        (8, 2),
        lambda t: abs(t) + 0.002,
        narrow_low=lambda: _mp().mpf("-0.0165"),
        narrow_high=lambda: _mp().mpf("0.0313"),
    ),
    Pieces("LOG_PIECES", "1/x for pieces of [3/4, 3/2), with logarithms to base e of few bits", lambda: _mp().e),
    Pieces("LOG2_PIECES", "1/x for pieces of [3/4, 3/2), with logarithms to base 2 of few bits", lambda: _mp().mpf(2)),
    Pieces("LOG10_PIECES", "1/x for pieces of [3/4, 3/2), with logarithms to base 10 of few bits", lambda: _mp().mpf(10)),
    Table(
        "SIN",
        "(sin(r) - r) / r**3 as a function of z = r**2, |r| <= pi/2",
        _series(lambda k: (-1) ** (k + 1) / _mp().factorial(2 * k + 3)),
        lambda: _mp().mpf(0),
        lambda: (_mp().pi / 2) ** 2 * 1.0002,
        (7, 3),
        lambda z: z + 0.03,
    ),
    Table(
        "TAN",
        "(tan(r) / r * (1 - TAN_POLE * z) - 1) / z as a function of z = r**2, |r| <= pi/4",
        _tan_without_pole,
        lambda: _mp().mpf(0),
        lambda: (_mp().pi / 4) ** 2 * 1.0002,
        (6, 2),
        lambda z: z + 0.02,
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
    Table(
        "ERFC",
        "(x + 3) * exp(x**2) * erfc(x), x = 3*(1 + t)/(1 - t) from 0 to 27.3 (float32: 10.1)",
        lambda t: _scaled_erfc(3 * (1 + t) / (1 - t)),
        lambda: _mp().mpf(-1),
        lambda: _mp().mpf("24.3") / _mp().mpf("30.3"),
        (22, 9),
        lambda t: 1 / _scaled_erfc(3 * (1 + t) / (1 - t)),
        narrow_high=lambda: _mp().mpf("7.1") / _mp().mpf("13.1"),
    ),
    Table(
        "ERFINV_NEAR",
        "erfinv(x) / x as a function of w = -log(1 - x**2) <= 6.25",
        lambda w: _erfinv(w) / _mp().sqrt(-_mp().expm1(-w)) if w > 0 else _mp().sqrt(_mp().pi) / 2,
        lambda: _mp().mpf(0),
        lambda: _mp().mpf("6.25"),
        (23, 10),
    ),
    Table(
        "ERFINV_MIDDLE",
        "erfinv(x) as a function of sqrt(-log(1 - x**2)) - 2.5, from 0 to 1.6",
        lambda t: _erfinv((t + 2.5) ** 2),
        lambda: _mp().mpf(0),
        lambda: _mp().mpf("1.6"),
        (17, 7),
    ),
    Table(
        "ERFINV_FAR",
        "erfinv(x) as a function of sqrt(-log(1 - x**2)) - 4, from 0 to 2.1",
        lambda t: _erfinv((t + 4) ** 2),
        lambda: _mp().mpf(0),
        lambda: _mp().mpf("2.1"),
        (16, None),
    ),
    Table(
        "ATAN",
        "(atan(t) / t - 1) / z as a function of z = t**2, |t| <= tan(pi/8)",
        _series(lambda k: _mp().mpf((-1) ** (k + 1)) / (2 * k + 3), 120),
        lambda: _mp().mpf(0),
        lambda: _mp().tan(_mp().pi / 8) ** 2 * 1.001,
        (10, 4),
        lambda z: z + 0.01,
    ),
    Table(
        "ASIN",
        "(asin(t) / t - 1) / z as a function of z = t**2, |t| <= 1/2",
        _series(lambda k: _mp().binomial(2 * k + 2, k + 1) / (_mp().mpf(4) ** (k + 1) * (2 * k + 3)), 160),
        lambda: _mp().mpf(0),
        lambda: _mp().mpf("0.2501"),
        (12, 4),
        lambda z: z + 0.01,
    ),
    Table(
        "SINH",
        "(sinh(r) / r - 1) / z as a function of z = r**2, |r| <= log(2)/2",
        _series(lambda k: 1 / _mp().factorial(2 * k + 3)),
        lambda: _mp().mpf(0),
        lambda: (_mp().log(2) / 2) ** 2 * 1.0002,
        (4, 2),
        lambda z: z + 0.01,
    ),
    Table(
        "COSH",
        "(cosh(r) - 1) / z as a function of z = r**2, |r| <= log(2)/2",
        _series(lambda k: 1 / _mp().factorial(2 * k + 2)),
        lambda: _mp().mpf(0),
        lambda: (_mp().log(2) / 2) ** 2 * 1.0002,
        (4, 2),
        lambda z: z + 0.01,
    ),
    Table(
        "POW_LOG2",
        "log2((1 + s) / (1 - s)) / s as a function of z = s**2, |s| <= (sqrt(2) - 1)**2: for float32",
        _series(lambda k: 2 / (_mp().log(2) * (2 * k + 1))),
        lambda: _mp().mpf(0),
        lambda: (_mp().sqrt(2) - 1) ** 4 * 1.0002,
        (4, None),
    ),
    Table(
        "POW_EXP2",
        "2**r, |r| <= 1/2: for float32",
        lambda r: _mp().mpf(2) ** r,
        lambda: _mp().mpf("-0.5001"),
        lambda: _mp().mpf("0.5001"),
        (6, None),
    ),
    Table(
        "ATANH",
        "(atanh(s) / s - 1) / z as a function of z = s**2, |s| <= 0.201",
        _series(lambda k: _mp().mpf(1) / (2 * k + 3)),
        lambda: _mp().mpf(0),
        lambda: _mp().mpf("0.0405"),
        (7, 3),
        lambda z: z + 0.0015,
    ),
    Table(
        "LOG_TAIL",
        "((log((1 + s) / (1 - s)) / s - 2) / z - 2/3) / z as a function of z = s**2, |s| <= (sqrt(2) - 1)**2",
        _series(lambda k: _mp().mpf(2) / (2 * k + 5)),
        lambda: _mp().mpf(0),
        lambda: (_mp().sqrt(2) - 1) ** 4 * 1.0002,
        (6, None),
        lambda z: z + 0.002,
    ),
    Table(
        "LGAMMA",
        "log(Gamma(2 + t)) / t, -3/4 <= t <= 1/4",
        _series(lambda k: (-1) ** (k + 1) * (_mp().zeta(k + 1) - 1) / (k + 1) if k else 1 - _mp().euler, 200),
        lambda: _mp().mpf("-0.75"),
        lambda: _mp().mpf("0.25"),
        (18, 8),
    ),
    Table(
        "STIRLING",
        "x * (log(Gamma(x)) - (x - 1/2)*log(x) + x - log(2*pi)/2) as a function of z = 1/x**2, x >= 8",
        lambda z: _stirling(1 / _mp().sqrt(z)),
        lambda: _mp().mpf("1e-12"),
        lambda: _mp().mpf(1) / 64,
        (5, 1),
        lambda z: z**0.5,
    ),
    Table(
        "DIGAMMA",
        "x * digamma(x) / (x - root), 1 <= x <= 2.25, as a function of x - 1.5",
        lambda t: _digamma_without_root(t + 1.5),
        lambda: _mp().mpf("-0.5"),
        lambda: _mp().mpf("0.75"),
        (18, 8),
    ),
    Table(
        "DIGAMMA_TAIL",
        "(log(x) - 1/(2*x) - digamma(x)) * x**2 as a function of z = 1/x**2, x >= 8",
        lambda z: (_mp().log(z) / -2 - _mp().sqrt(z) / 2 - _mp().digamma(1 / _mp().sqrt(z))) / z,
        lambda: _mp().mpf("1e-12"),
        lambda: _mp().mpf(1) / 64,
        (5, 1),
        lambda z: z,
    ),
)


def render() -> str:
    """The text of coefficients.py."""
    lines = [HEADER]
    for table in TABLES:
        lines += [f"# {table.meaning}", f"{table.name} = both("]
        with _mp().workdps(45):
            lines += [f'    """{_wrapped(row)}""",' for row in table.rows()]
        lines += [")", ""]
    return "\n".join(lines)


def _wrapped(row: list[float]) -> str:
    words = [number.hex() for number in row]
    return "\n        ".join(" ".join(words[i : i + 4]) for i in range(0, len(words), 4))


HEADER = '''"""Coefficients of the polynomials, constant term first.

Written by `python -m chainrule.compiler.vecmath.fit`.
"""

from __future__ import annotations

from .core import both
'''

if __name__ == "__main__":
    print(render(), end="")
