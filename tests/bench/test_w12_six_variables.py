"""W12: the gradient of a formula of six variables, for 1e6 rows."""
import numpy as np
import pytest
from bench_hand import cos, exp, kernel, log, output, sin, split
from bench_harness import Call
from bench_rivals import value_and_grad

from chainrule import grad

pytestmark = pytest.mark.bench


def formula(a, b, c, d, e, f):
    return np.sum(a * np.exp(-b * c**2) * np.sin(d * e + f) + np.log(1 + a * a) * np.sqrt(b * b + c * c) / (1 + d * d))


@kernel
def _part(start, stop, a, b, c, d, e, f, ga, gb, gc, gd, ge, gf):
    a, b, c, d, e, f = a[start:stop], b[start:stop], c[start:stop], d[start:stop], e[start:stop], f[start:stop]
    ga, gb, gc, gd, ge, gf = ga[start:stop], gb[start:stop], gc[start:stop], gd[start:stop], ge[start:stop], gf[start:stop]
    total = 0.0
    for i in range(a.size):
        ai, bi, ci, di, ei = a[i], b[i], c[i], d[i], e[i]
        angle = di * ei + f[i]
        decay, sine, cosine = exp(-bi * ci * ci), sin(angle), cos(angle)
        one, length, bell = 1 + ai * ai, np.sqrt(bi * bi + ci * ci), 1 / (1 + di * di)
        logarithm = log(one)
        wave, slope, rest = decay * sine, ai * decay * cosine, logarithm * bell
        total += ai * wave + rest * length
        ga[i] = wave + 2 * ai / one * length * bell
        gb[i] = rest * bi / length - ai * ci * ci * wave
        gc[i] = rest * ci / length - 2 * ai * bi * ci * wave
        gd[i] = slope * ei - 2 * di * rest * length * bell
        ge[i] = slope * di
        gf[i] = slope
    return total


def by_hand(*args):
    gradients = tuple(output(arg.shape) for arg in args)
    return sum(split(_part, args[0].size, *args, *gradients)), gradients


def test_value_and_gradient(bench):
    args = list(np.random.default_rng(12).normal(size=(6, 10**6)))
    f = grad(formula)
    f.value_and_grad(*args)
    # 12 ms was the first kernel by hand; the traffic and the arithmetic allow about half
    bench.compare("W12", "", Call(f.value_and_grad, *args), Call(by_hand, *args), value_and_grad(formula, args), figure=6e-3)
