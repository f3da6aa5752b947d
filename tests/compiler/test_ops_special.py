"""Special functions of SciPy's: values and derivatives against mpmath, machine code against the interpreter."""
from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from derivatives import forward_over_reverse, reverse, value

import chainrule as cr
from chainrule.compiler import exact, special_functions
from chainrule.compiler.ir import Graph, Node, f, make
from chainrule.compiler.op import Refused, get
from chainrule.compiler.ops import special
from chainrule.compiler.pipeline import Request, build

LINE = [(-7.3,), (-0.4,), (0.6,), (2.5,), (9.1,)]
POSITIVE = [(0.07,), (0.9,), (3.2,), (12.0,)]
ORDERS = [(0.3, 0.6), (1.0, 3.2), (2.5, 11.0)]
AMPLITUDES = [(0.4, 0.3), (-1.2, -2.0), (4.0, 0.7), (0.9, 0.0)]
WHOLE = [(0.0, 0.3), (1.0, -0.2), (2.0, 0.7), (5.0, 0.45)]
POINTS: dict[str, list[tuple[float, ...]]] = {
    **dict.fromkeys(("jv", "yv", "iv", "kv", "ive", "kve"), ORDERS),
    **dict.fromkeys(("y0", "y1", "k0", "k1", "k0e", "k1e", "cosine_integral", "cosh_integral", "exp1", "spence"), POSITIVE),
    "lambertw": [(-0.36,), (-0.1,), (0.0,), (0.8,), (50.0,)], "lambertw_lower": [(-0.36,), (-0.1,), (-1e-6,)],
    "zeta": [(-1.5,), (0.3,), (2.5,), (20.0,)], "hurwitz_zeta": [(1.5, 0.3), (3.0, 2.2), (7.5, 0.9)],
    "gammainc": [(0.4, 0.2), (1.0, 0.7), (3.3, 5.0), (20.0, 17.0)], "gammaincc": [(0.4, 0.2), (1.0, 0.7), (3.3, 5.0), (20.0, 17.0)],
    "betainc": [(0.6, 1.5, 0.2), (1.0, 1.0, 0.5), (4.0, 2.5, 0.8)], "binom": [(5.0, 2.0), (4.5, 1.3), (9.2, 3.0)],
    "poch": [(0.5, 2.0), (3.3, 1.4), (2.0, 3.0)], "erfcinv": [(1e-9,), (0.3,), (1.7,)], "ndtri": [(1e-9,), (0.3,), (0.97,)],
    "erfi": LINE[1:4], "wrightomega": LINE, "ellipk": [(-5.0,), (0.0,), (0.4,), (0.98,)], "ellipe": [(-5.0,), (0.0,), (0.4,), (0.98,)],
    "ellipkinc": AMPLITUDES, "ellipeinc": AMPLITUDES,
    "elliprf": [(0.3, 1.2, 2.5), (0.0, 0.7, 1.0)], "elliprd": [(0.3, 1.2, 2.5), (1.0, 0.4, 0.7)], "elliprj": [(0.3, 1.2, 2.5, 0.8)],
    "hyp0f1": [(0.7, -2.0), (3.0, 5.0)], "hyp1f1": [(0.4, 1.3, -2.0), (2.0, 3.5, 1.7)], "hyperu": [(0.4, 1.3, 2.0)],
    "hyp2f1": [(0.4, 1.3, 2.1, -0.8), (1.5, 1.5, 2.0, 0.6)], "expn": [(1.0, 0.4), (2.0, 1.3), (4.0, 6.0)],
    "lpmv": [(1.0, 3.0, 0.3), (0.0, 2.0, -0.6)],
    **dict.fromkeys(("eval_legendre", "eval_chebyt", "eval_chebyu", "eval_hermite", "eval_hermitenorm", "eval_laguerre"), WHOLE),
    "eval_genlaguerre": [(0.0, 0.5, 0.3), (3.0, 1.2, 2.0)], "eval_gegenbauer": [(0.0, 0.5, 0.3), (3.0, 1.2, 0.4)],
    "eval_jacobi": [(0.0, 0.5, 1.2, 0.3), (3.0, 1.2, 0.7, 0.4)],
    "gammaincinv": [(0.8, 0.3), (4.0, 0.9)], "gammainccinv": [(0.8, 0.3), (4.0, 0.9)], "betaincinv": [(0.8, 1.5, 0.3), (4.0, 2.0, 0.9)],
}
INVERSE = {"gammaincinv": "gammainc", "gammainccinv": "gammaincc", "betaincinv": "betainc"}
SECOND = {"elliprd", "elliprj", "elliprf", "ellipkinc", "ellipeinc"}  # partial fractions of equal arguments


def points(name: str) -> list[Any]:
    return [np.array(column) for column in zip(*POINTS.get(name, LINE), strict=True)]


def apply(name: str) -> Any:
    return lambda *nodes: make(name, nodes)


@pytest.mark.parametrize("name", sorted(special.NAMES - INVERSE.keys()))
def test_values_and_derivatives(name: str) -> None:
    """Of the last argument to second order; values to 11 bits, derivatives to 16."""
    columns = points(name)
    function, ones = exact._function(get(name)), np.ones_like(columns[0])
    fixed = columns[:-1]

    def of_last(x: Node, *held: Node) -> Node:
        return make(name, (*map(f.stop_gradient, held), x))

    found = [(0, value(apply(name), *columns), 2e3)]
    if name != "zeta":
        found.append((1, reverse(of_last, [columns[-1], *fixed], ones)[0], 6e4))
        if name not in SECOND:
            found.append((2, forward_over_reverse(of_last, [columns[-1], *fixed], ones, [ones, *map(np.zeros_like, fixed)])[0], 6e4))
    with mpmath.workdps(40):
        for order, got, ulps in found:
            for k, row in enumerate(zip(*columns, strict=True)):
                *held, x = map(mpmath.mpf, map(float, row))
                expected = mpmath.re(mpmath.diff(lambda t, held=held: function(*held, t), x, order))
                assert abs(got[k] - expected) <= ulps * 2.0**-53 * max(abs(expected), 1e-3), f"{name}{row}, derivative {order}"


@pytest.mark.parametrize("name", INVERSE)
def test_inverses(name: str) -> None:
    columns = points(name)
    inside = value(apply(name), *columns)
    np.testing.assert_allclose(value(apply(INVERSE[name]), *columns[:-1], inside), columns[-1], rtol=1e-12)

    def slope(of: str, x: Any) -> Any:
        return reverse(lambda x, *held: make(of, (*map(f.stop_gradient, held), x)), [x, *columns[:-1]], np.ones_like(x))[0]

    np.testing.assert_allclose(slope(name, columns[-1]), 1 / slope(INVERSE[name], inside), rtol=1e-11)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_machine_code_has_the_interpreters_bits(dtype: Any) -> None:
    """All rows in one program."""
    names = sorted(special.NAMES)
    columns = [[np.resize(column, 7).astype(dtype) for column in points(name)] for name in names]
    flat = [column for group in columns for column in group]
    nodes = [make("input", shape=(7,), dtype=np.dtype(dtype), position=k, name=f"x{k}") for k in range(len(flat))]
    places, outputs = iter(nodes), []
    for name, group in zip(names, columns, strict=True):
        outputs.append(make(name, [next(places) for _ in group]))
    results = build(Graph(tuple(nodes), tuple(outputs)), Request("value")).program.run(flat)
    for name, group, result in zip(names, columns, results, strict=True):
        np.testing.assert_array_equal(result, get(name).evaluate(*group), err_msg=name)
        assert result.dtype == dtype


def test_an_order_has_no_derivative() -> None:
    function = cr.from_sympy(sympy.besselj(*sympy.symbols("v x")))
    with pytest.raises(cr.DifferentiationError, match=r"jv by its order has no formula \(at test_ops_special.py:\d+\): leave"):
        function.grad(1.0, 2.0)
    refused = [name for name in special.NAMES if isinstance((get(name).partials or tuple)(*_arguments(name))[-1], Refused)]
    assert refused == ["zeta"]


def _arguments(name: str) -> list[Node]:
    arity = get(name).arity or 0
    nodes = [make("input", shape=(), dtype=np.dtype(float), position=k, name=f"x{k}") for k in range(arity)]
    return [make(name, nodes), *nodes]


def test_limits() -> None:
    x = np.array([0.0, math.inf, -math.inf, math.nan])
    np.testing.assert_array_equal(value(lambda n: f.j0(n), x)[[0, 3]], [1.0, math.nan])
    np.testing.assert_array_equal(value(lambda n: f.lambertw(n), np.array([-1.0, 0.0])), [math.nan, 0.0])
    np.testing.assert_allclose(reverse(lambda n: f.sinh_integral(n), [np.zeros(1)], np.ones(1))[0], 1.0)
    np.testing.assert_allclose(reverse(lambda n: f.ellipk(n), [np.zeros(1)], np.ones(1))[0], math.pi / 8)


@pytest.mark.parametrize("symbol", ["chainrule.special.system.d.1", "chainrule.special.jv.ddd.1", "chainrule.special.jv", "other.jv.dd.1"])
def test_only_known_functions_have_addresses(symbol: str) -> None:
    assert not special_functions.provide(symbol)
