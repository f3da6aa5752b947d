"""Sizes as integers of the user's code: what stays symbolic, what specialises, and what comparisons record."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chainrule.compiler import interpret
from chainrule.compiler.trace import Session, SymInt, lift, tracing, wrap

X = np.arange(12.0).reshape(4, 3)


def program(function, *shapes):
    """Trace for one size; returns the graph and the session."""
    session = Session()
    with tracing(session):
        arrays = [wrap(session.input(s, np.dtype(float), f"x{k}")) for k, s in enumerate(shapes)]
        made = function(*arrays)
        graph, _ = session.finish([lift(made).node])
    return graph, session


SYMBOLIC = {
    "sum": lambda n, m: n + m + 1,
    "difference": lambda n, m: 2 * n - m,
    "product": lambda n, m: n * m * 3,
    "floor division": lambda n, m: (n * 7) // m,
    "remainder": lambda n, m: (n * 7) % m,
    "divmod": lambda n, m: divmod(n * 5, m)[1],
    "power": lambda n, m: n**2,
    "negative": lambda n, m: -n + 10,
    "quotient": lambda n, m: n / m,
    "square root": lambda n, m: np.sqrt(n),
    "mixed": lambda n, m: 1.0 / n + 0.5 * m,
    "reflected": lambda n, m: 100 - n + 7 // m,
    "of float": lambda n, m: 2.5 // m + 2.0**n,
    "round": lambda n, m: round(n),
}


@pytest.mark.parametrize("name", SYMBOLIC)
def test_arithmetic_stays_symbolic(name):
    function = SYMBOLIC[name]
    graph, session = program(lambda x: x.sum() * 0 + function(x.shape[0], x.shape[1]), (4, 3))
    assert session.specialisations == []
    for n, m in ((4, 3), (9, 5), (8, 2)):
        (value,) = interpret.run(graph, [np.zeros((n, m))])
        assert value == pytest.approx(function(n, m))


SPECIALISING = {
    "range": lambda n: sum(range(n)),
    "np.zeros": lambda n: np.zeros(n).size,
    "int": int,
    "float": float,
    "math": math.sqrt,
    "hash": lambda n: {n: 1}[4],
    "list": lambda n: [10, 20, 30, 40, 50][n],
    "np.arange": lambda n: np.arange(n).sum(),
    "repetition": lambda n: len("ab" * n),
    "format": lambda n: int(f"{n:d}"),
    "np.ones": lambda n: np.ones((n, 2)).sum(),
    "np.linspace": lambda n: np.linspace(0, 1, n).size,
    "np.eye": lambda n: np.eye(n).sum(),
    "math.comb": lambda n: math.comb(n, 2),
}


@pytest.mark.parametrize("name", SPECIALISING)
def test_what_needs_the_number_specialises_and_says_where(name):
    function = SPECIALISING[name]
    graph, session = program(lambda x: x.sum() * 0 + function(x.shape[0]), (4, 3))
    (note,) = session.specialisations
    assert (note.value, note.site.file) == (4, __file__)
    assert graph.inputs[0].shape[0] == 4
    assert not isinstance(graph.inputs[0].shape[1], int)
    assert interpret.run(graph, [X])[0] == pytest.approx(function(4))


COMPARISONS = [
    ("n == m", False),
    ("n != m", True),
    ("n > 2", True),
    ("n <= 3", False),
    ("n >= m", True),
    ("n < 4", False),
    ("n % 2 == 0", True),
    ("bool(n)", True),
    ("n == 4", True),
    ("n == 4.0", True),
    ("n != 'a'", True),
    ("min(n, m) == m", True),
    ("n > 2.5", True),
]


@pytest.mark.parametrize(("source", "expected"), COMPARISONS)
def test_comparisons_are_decided_by_the_example_and_recorded(source, expected):
    answers = []
    graph, _ = program(lambda x: answers.append(eval(source, {"n": x.shape[0], "m": x.shape[1]})) or x.sum(), (4, 3))
    assert answers == [expected]
    for guard in graph.guards:
        assert guard.holds(graph.hints)


def test_equal_sizes_become_one():
    graph, _ = program(lambda x, y: (x + y).sum() if x.shape == y.shape else x.sum(), (4, 3), (4, 3))
    assert graph.inputs[0].shape == graph.inputs[1].shape
    graph, _ = program(lambda x, y: x.sum() + y.sum(), (4, 3), (4, 3))
    assert len({s for node in graph.inputs for s in node.shape}) == 4


def test_the_array_functions_that_keep_sizes():
    def f(x):
        n = x.shape[0]
        return (
            (np.arange(n, like=x) * np.ones(n, like=x) + np.zeros_like(x[:, 0])).sum()
            + np.full_like(x, n).sum()
            + np.broadcast_to(x[0, 0], (n, 2)).sum()
        )

    graph, session = program(f, (4, 3))
    assert session.specialisations == []
    for shape in ((4, 3), (6, 2)):
        x = np.ones(shape)
        assert interpret.run(graph, [x])[0] == f(x)


def test_how_sizes_print():
    seen = []
    program(lambda x: seen.append((repr(x.shape), repr(x), str(x.shape[0] + 1), isinstance(x.shape[0], SymInt))) or x.sum(), (4, 3))
    assert seen == [("(s0, s1)", "<traced float64[s0, s1]>", "s0 + 1", True)]


def test_division_by_a_size_that_is_zero():
    with pytest.raises(ZeroDivisionError):
        program(lambda x: x.sum() + 3 // (x.shape[0] - x.shape[1]), (3, 3))
