"""Polynomials by pieces: how the numbers of pieces.py were computed.

`python -m chainrule.compiler.vecmath.fit_pieces` prints it. A function is interpolated at Chebyshev's points of each piece, where a
polynomial of that degree loses at most a bit against the best one.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

Real = Any  # an mpmath.mpf
PIECES = 8  # float64 numbers in a register of 512 bits


def interpolate(function: Callable[[Real], Real], radius: Real, degree: int) -> list[Real]:
    """Coefficients of the polynomial in t that has the function's values at Chebyshev's points of |t| <= radius."""
    mp, count = _mp(), degree + 1
    angles = [mp.pi * (2 * k + 1) / (2 * count) for k in range(count)]
    values = [function(radius * mp.cos(angle)) for angle in angles]
    total = [mp.mpf(0)] * count
    before, row = [mp.mpf(0)] * count, [mp.mpf(1), *[mp.mpf(0)] * degree]  # Chebyshev's polynomials of degree j - 1 and j
    for j in range(count):
        factor = sum(v * mp.cos(j * angle) for v, angle in zip(values, angles, strict=True)) * (2 if j else 1) / count
        total = [c + factor * r for c, r in zip(total, row, strict=True)]
        shifted = [mp.mpf(0), *row[:-1]]
        before, row = row, shifted if j == 0 else [2 * s - b for s, b in zip(shifted, before, strict=True)]
    return [c / radius**i for i, c in enumerate(total)]


def _mp() -> Any:
    import mpmath

    return mpmath.mp


def _exp_near() -> list[Real]:
    def function(r: Real) -> Real:
        return (_mp().exp(r) - 1 - r) / r**2

    return interpolate(function, _mp().log(2) / (2 * PIECES) * 1.0001, 5)


def _powers() -> list[tuple[Real, Real]]:
    """2**(i / 8) rounded to float64, and what that lacks, relatively."""
    exact = [_mp().mpf(2) ** (_mp().mpf(i) / PIECES) for i in range(PIECES)]
    return [(float(power), power / float(power) - 1) for power in exact]


def _erf() -> list[list[Real]]:
    from .error import ERF_STEP

    mp = _mp()

    def piece(centre: Real) -> list[Real]:
        def slope(t: Real) -> Real:
            return (mp.erf(centre + t) - mp.erf(centre)) / t

        return [mp.erf(centre), *interpolate(slope, mp.mpf(ERF_STEP) / 2, 17)]

    return [piece(i * mp.mpf(ERF_STEP)) for i in range(PIECES)]


def _erfcx() -> list[list[Real]]:
    mp = _mp()

    def piece(low: Real, high: Real) -> list[Real]:
        centre = (low + high) / 2 - 2
        return interpolate(lambda t: mp.exp((centre + t) ** 2) * mp.erfc(centre + t), (high - low) / 2, 17)

    ends = [mp.mpf(2) ** (1 + i // 2) * (1 if i % 2 == 0 else 1.5) for i in range(PIECES + 1)]
    return [piece(low, high) for low, high in pairwise(ends)]


TABLES: tuple[tuple[str, str, Callable[[], Any]], ...] = (
    ("EXP_NEAR", "(exp(r) - 1 - r) / r**2, |r| <= log(2)/16", lambda: [_exp_near()]),
    ("POWERS", "2**(i / 8), and what it lacks, relatively", lambda: zip(*_powers(), strict=True)),
    ("ERF", "erf(i * ERF_STEP + t), |t| <= ERF_STEP / 2", lambda: zip(*_erf(), strict=True)),
    ("ERFCX", "exp(x**2) * erfc(x), x = c + t; for x + 2 the pieces are the halves of [2, 4), [4, 8), [8, 16), [16, 32)",
     lambda: zip(*_erfcx(), strict=True)),
)


def render() -> str:
    """The text of pieces.py."""
    lines = [HEADER]
    with _mp().workdps(60):
        for name, meaning, rows in TABLES:
            lines += [f"# {meaning}", f"{name} = ("]
            for row in rows():
                words = [float(number).hex() for number in row]
                text = "\n        ".join(" ".join(words[i : i + 4]) for i in range(0, len(words), 4))
                lines.append(f'    hex_floats("""{text}"""),')
            lines += [")", ""]
    return "\n".join(lines)


HEADER = '''"""Numbers for code that looks them up by piece of an interval: a row for each coefficient, constant term first.

Written by `python -m chainrule.compiler.vecmath.fit_pieces`.
"""

from __future__ import annotations

from .core import hex_floats
'''

if __name__ == "__main__":
    print(render(), end="")
