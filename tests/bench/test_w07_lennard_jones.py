"""W7: energy and forces of N particles with Lennard-Jones interaction, in the pairwise broadcast form."""
import numpy as np
import pytest
from bench_hand import kernel, split
from bench_harness import Call
from bench_rivals import value_and_grad

from chainrule import grad

pytestmark = pytest.mark.bench
FIGURES = {2000: 0.85e-3}


def energy(x):
    d = x[:, None, :] - x[None, :, :]
    r2 = np.sum(d * d, axis=-1)
    i = np.arange(x.shape[0])
    r2 = np.where(i[:, None] == i[None, :], 1e30, r2)
    s6 = 1.0 / r2**3
    return 0.5 * np.sum(4.0 * (s6 * s6 - s6))


@kernel
def _rows(start, stop, x, y, z, g):
    total = 0.0
    for i in range(start, stop):
        xi, yi, zi = x[i], y[i], z[i]
        gx, gy, gz = 0.0, 0.0, 0.0
        for j in range(x.size):
            dx, dy, dz = xi - x[j], yi - y[j], zi - z[j]
            r2 = dx * dx + dy * dy + dz * dz
            inverse = 1.0 / (1e30 if i == j else r2)
            s6 = inverse * inverse * inverse
            s12 = s6 * s6
            total += s12 - s6
            slope = (s6 - 2 * s12) * inverse
            gx += slope * dx
            gy += slope * dy
            gz += slope * dz
        g[i, 0], g[i, 1], g[i, 2] = 24 * gx, 24 * gy, 24 * gz
    return 2 * total


def by_hand(x):
    coordinates = np.ascontiguousarray(x.T)
    g = np.empty_like(x)
    return sum(split(_rows, len(x), *coordinates, g)), g


@pytest.mark.parametrize("n", [500, 2000])
def test_energy_and_forces(bench, n):
    rng = np.random.default_rng(7)
    side = round((2 * n) ** (1 / 3)) + 1
    lattice = np.stack(np.meshgrid(*[np.arange(side)] * 3), -1).reshape(-1, 3)
    x = 1.1 * rng.permutation(lattice)[:n] + rng.normal(size=(n, 3)) * 0.03
    f = grad(energy)
    f.value_and_grad(x)
    bench.compare("W7", f"N = {n:,}", Call(f.value_and_grad, x), Call(by_hand, x), value_and_grad(energy, [x]), figure=FIGURES.get(n),
                  bound="flops")
