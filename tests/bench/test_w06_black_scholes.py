"""W6: Black-Scholes prices of 1e6 options, and the five greeks of each."""
import numpy as np
import pytest
from bench_hand import erf, exp, kernel, log, output, split
from bench_harness import Call
from bench_rivals import value_and_grad
from scipy import special

from chainrule import grad

pytestmark = pytest.mark.bench


def price(S, K, T, r, v):
    root = np.sqrt(T)
    d1 = (np.log(S / K) + (r + v * v / 2) * T) / (v * root)
    d2 = d1 - v * root
    n1 = 0.5 * (1 + special.erf(d1 * 0.7071067811865476))
    n2 = 0.5 * (1 + special.erf(d2 * 0.7071067811865476))
    return np.sum(S * n1 - K * np.exp(-r * T) * n2)


@kernel
def _part(start, stop, S, K, T, r, v, gS, gK, gT, gr, gv):
    S, K, T, r, v = S[start:stop], K[start:stop], T[start:stop], r[start:stop], v[start:stop]
    gS, gK, gT, gr, gv = gS[start:stop], gK[start:stop], gT[start:stop], gr[start:stop], gv[start:stop]
    total = 0.0
    for i in range(S.size):
        root = np.sqrt(T[i])
        spread = v[i] * root
        d1 = (log(S[i] / K[i]) + (r[i] + v[i] * v[i] / 2) * T[i]) / spread
        d2 = d1 - spread
        n1, n2 = 0.5 + 0.5 * erf(d1 * 0.7071067811865476), 0.5 + 0.5 * erf(d2 * 0.7071067811865476)
        discount = exp(-r[i] * T[i])
        density = S[i] * 0.3989422804014327 * exp(-0.5 * d1 * d1)
        strike = K[i] * discount * n2
        total += S[i] * n1 - strike
        gS[i] = n1
        gK[i] = -discount * n2
        gT[i] = density * v[i] / (2 * root) + r[i] * strike
        gr[i] = T[i] * strike
        gv[i] = density * root
    return total


def by_hand(*args):
    greeks = tuple(output(arg.shape) for arg in args)
    return sum(split(_part, args[0].size, *args, *greeks)), greeks


def test_value_and_gradient(bench):
    rng = np.random.default_rng(6)
    n = 10**6
    args = [rng.uniform(low, high, n) for low, high in ((50, 150), (50, 150), (0.1, 2), (0, 0.1), (0.1, 0.5))]
    f = grad(price)
    f.value_and_grad(*args)
    # 15.1 ms was the first kernel by hand; 5 ms is about what the arithmetic and the traffic allow
    bench.compare("W6", "", Call(f.value_and_grad, *args), Call(by_hand, *args), value_and_grad(price, args), figure=5e-3)
