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
def _row(i, x, y, z, gx, gy, gz):
    """The pairs of particle i with those before it, on both sides."""
    xi, yi, zi = x[i], y[i], z[i]
    total, fx, fy, fz = 0.0, 0.0, 0.0, 0.0
    for j in range(i):
        dx, dy, dz = xi - x[j], yi - y[j], zi - z[j]
        inverse = 1 / (dx * dx + dy * dy + dz * dz)
        s6 = inverse * inverse * inverse
        s12 = s6 * s6
        total += s12 - s6
        slope = (s6 - 2 * s12) * inverse
        fx += slope * dx
        fy += slope * dy
        fz += slope * dz
        gx[j] -= slope * dx
        gy[j] -= slope * dy
        gz[j] -= slope * dz
    gx[i] += fx
    gy[i] += fy
    gz[i] += fz
    return total


@kernel
def _part(start, stop, x, y, z):
    """Rows in pairs, a long one with a short one, so that all parts have as much to do."""
    n = x.size
    g, total = np.zeros((3, n)), 0.0
    for k in range(start, stop):
        total += _row(k, x, y, z, g[0], g[1], g[2])
        if n - 1 - k != k:
            total += _row(n - 1 - k, x, y, z, g[0], g[1], g[2])
    return total, g


def by_hand(x):
    totals, gradients = zip(*split(_part, (len(x) + 1) // 2, *np.ascontiguousarray(x.T)), strict=True)
    return 4 * sum(totals), (24 * sum(gradients)).T


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
