"""Formulas of random programs: their NumPy source has the interpreter's values."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import assume, given
from programs import Program, programs

from chainrule.compiler.errors import NotYetError
from chainrule.compiler.formula import Formula, derivative, formula
from chainrule.compiler.ir import Graph, constant, f, make
from chainrule.compiler.sizes import symbol

SMALL = 20  # elements: a Jacobian is evaluated column by column


def agree(made: Formula, program: Program, expected: Any) -> None:
    names = {n.param("name"): np.asarray(a, n.dtype) for n, a in zip(program.graph.inputs, program.arrays, strict=True)}
    assert str(made)
    assert made.latex.count("{") == made.latex.count("}")
    try:
        source = made.numpy
    except NotYetError:
        return
    with np.errstate(all="ignore"):
        found = eval(source, {"np": np, "special": scipy.special, **names})
    assert np.shape(found) == np.shape(expected)
    single = any(n.dtype == np.float32 for n in program.graph.nodes())
    tolerance = 2e-3 if single else 1e-7
    defined = np.isfinite(np.asarray(found, float))  # a formula is for the generic point
    assert np.allclose(np.where(defined, found, 0), np.where(defined, expected, 0), rtol=tolerance, atol=tolerance)


@given(programs())
@pytest.mark.filterwarnings("ignore")
def test_values(program: Program) -> None:
    for k, expected in enumerate(program.expected):
        agree(formula(program.graph, k), program, expected)


@given(programs())
@pytest.mark.filterwarnings("ignore")
def test_derivatives(program: Program) -> None:
    floats = [n for n in program.graph.inputs if n.dtype.kind == "f"]
    outputs = [k for k, n in enumerate(program.graph.outputs) if n.dtype.kind == "f" and np.size(program.expected[k]) <= SMALL]
    sizes = {n.param("name"): np.size(a) for n, a in zip(program.graph.inputs, program.arrays, strict=True)}
    small = [n.param("name") for n in floats if sizes[n.param("name")] <= SMALL]
    assume(small and outputs)
    values = {n.param("name"): a for n, a in zip(program.graph.inputs, program.arrays, strict=True)}
    for k in outputs:
        try:
            made = derivative(program.graph, small[0], output=k)
            str(made)
            expected = made(**values)
        except NotYetError:
            continue
        agree(made, program, expected)


def test_a_size_that_only_another_output_tells() -> None:
    mask = make("input", shape=(3,), dtype=np.dtype(bool), position=0, name="mask")
    x = make("input", shape=(), dtype=np.dtype(np.float64), position=1, name="x")
    count = symbol("u0")
    ones = constant(1.0, "float64", (count,))
    graph = Graph((mask, x), (ones, f.nonzero(mask, count=count)), (), {"u0": 1})
    with pytest.raises(NotYetError, match="its size u0 only running the program tells"):
        derivative(graph, "x")(mask=np.array([True, False, False]), x=1.0)
