"""W9: position error of a chain of 20 joints, written as scalar code, and its gradient by the angles."""
import numpy as np
import pytest
from bench_hand import cos, kernel, sin
from bench_harness import Call
from bench_rivals import casadi_calls, value_and_grad

from chainrule import grad

pytestmark = pytest.mark.bench


def position_error(q, p0, p1, p2):
    x, y, z = 0.3, 0.0, 0.0
    for k in range(19, -1, -1):
        c, s = np.cos(q[k]), np.sin(q[k])
        if k % 3 == 0:
            x, y = c * x - s * y, s * x + c * y
        elif k % 3 == 1:
            y, z = c * y - s * z, s * y + c * z
        else:
            z, x = c * z - s * x, s * z + c * x
        x = x + 0.1
        z = z + 0.05
    return (x - p0) ** 2 + (y - p1) ** 2 + (z - p2) ** 2


@kernel
def _kernel(q, p0, p1, p2, g):
    # the turned position before each link is what the gradient by that joint's angle needs
    c, s, turned = np.empty(20), np.empty(20), np.empty((20, 3))
    for k in range(20):
        c[k], s[k] = cos(q[k]), sin(q[k])
    x, y, z = 0.3, 0.0, 0.0
    for k in range(19, -1, -1):
        if k % 3 == 0:
            x, y = c[k] * x - s[k] * y, s[k] * x + c[k] * y
        elif k % 3 == 1:
            y, z = c[k] * y - s[k] * z, s[k] * y + c[k] * z
        else:
            z, x = c[k] * z - s[k] * x, s[k] * z + c[k] * x
        turned[k, 0], turned[k, 1], turned[k, 2] = x, y, z
        x, z = x + 0.1, z + 0.05
    dx, dy, dz = x - p0, y - p1, z - p2
    value = dx * dx + dy * dy + dz * dz
    gx, gy, gz = 2 * dx, 2 * dy, 2 * dz
    for k in range(20):
        x, y, z = turned[k, 0], turned[k, 1], turned[k, 2]
        if k % 3 == 0:
            g[k] = gy * x - gx * y
            gx, gy = c[k] * gx + s[k] * gy, c[k] * gy - s[k] * gx
        elif k % 3 == 1:
            g[k] = gz * y - gy * z
            gy, gz = c[k] * gy + s[k] * gz, c[k] * gz - s[k] * gy
        else:
            g[k] = gx * z - gz * x
            gz, gx = c[k] * gz + s[k] * gx, c[k] * gx - s[k] * gz
    return value


def by_hand(q, p0, p1, p2):
    g = np.empty(20)
    return _kernel(q, p0, p1, p2, g), g


def test_value_and_gradient(bench):
    args = np.random.default_rng(9).normal(size=20), 0.1, 0.2, 0.3
    f = grad(position_error, wrt=("q",))
    f.value_and_grad(*args)
    rivals = value_and_grad(position_error, args, wrt=[0]) | casadi_calls(position_error, args, wrt=[0])
    bench.compare("W9", "", Call(f.value_and_grad, *args), Call(by_hand, *args), rivals, figure=1.0e-6, bound="flops",
                  aside=("CasADi, fixed buffers",))
