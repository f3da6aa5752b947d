"""Formulas of thousands of operations: written in proportion to the program, their sub-terms named."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr


def unrolled(steps: int) -> Callable[..., Any]:
    def orbit(x, y):
        for _ in range(steps):
            x, y = x + 0.01 * np.sin(y), y - 0.01 * x * y
        return x * y

    return orbit


def chain(links: int) -> Callable[..., Any]:
    def height(q):
        y, z = 0.3, 0.1
        for k in range(links):
            y, z = np.cos(q[k]) * y - np.sin(q[k]) * z, np.sin(q[k]) * y + np.cos(q[k]) * z + 0.1
        return y * z

    return height


def layers(count: int) -> Callable[..., Any]:
    def energy(x, A):
        for _ in range(count):
            x = np.tanh(A @ x) + 0.1 * x
        return np.sum(x * x)

    return energy


pytestmark = pytest.mark.filterwarnings("ignore:this line made")
CASES = {
    "unrolled": (unrolled, 170, lambda n: (0.3, 0.2), "x"),  # 340 steps are 2,000 operations
    "chain": (chain, 100, lambda n: (np.full(n, 0.1),), "q"),
    "layers": (layers, 40, lambda n: (np.ones(3), np.eye(3)), "x"),
}


@pytest.mark.parametrize("by", ["", "derivative"])
@pytest.mark.parametrize("name", CASES)
def test_a_long_formula_grows_with_the_program(name: str, by: str) -> None:
    make, size, arguments, variable = CASES[name]
    texts, terms = [], []
    for n in (size, 2 * size):
        traced = cr.grad(make(n)).trace(*arguments(n))
        formula = traced.derivative(variable) if by else traced.formula
        text = str(formula)
        lines = text.split("\n")
        assert len(lines) > n / 10
        assert all(line.startswith("    where ") for line in lines[1:])
        elements = n if by and name == "chain" else 1  # a gradient by a vector is a sum with a term for each element
        assert max(map(len, lines)) <= 700 * elements
        texts.append(len(text))
        terms.append(len(formula._canonical.table._interned))
        assert len(formula.latex) < 4 * len(text)
    assert texts[1] < 2.4 * texts[0]
    assert terms[1] < 2.4 * terms[0]


def test_a_long_formula_is_right() -> None:
    traced = cr.grad(unrolled(170)).trace(0.3, 0.2)
    names = {"np": np, "x": 0.3, "y": 0.2}
    for formula, step in ((traced.formula, (0, 0)), (traced.derivative("x"), (1e-6, 0))):
        found = eval(formula.numpy, names)
        assert found == pytest.approx(formula(0.3, 0.2), rel=1e-12)
        if step[0]:
            up, down = (unrolled(170)(0.3 + s, 0.2) for s in (step[0], -step[0]))
            assert found == pytest.approx((up - down) / 2e-6, rel=1e-6)
