"""The order in which an einsum of several operands is contracted."""
from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from tracing import results, traced

from chainrule.compiler.build.products import contraction_order

RNG = np.random.default_rng(0)


def multiplications(order: Sequence[tuple[int, int]], terms: Sequence[str], out: str, extents: Mapping[str, int]) -> float:
    left, total = list(terms), 0.0
    for i, j in order:
        total += math.prod(float(extents[c]) for c in {*left[i], *left[j]})
        rest = [t for k, t in enumerate(left) if k not in (i, j)]
        others = set(out).union(*rest)
        left = [*rest, "".join(c for c in dict.fromkeys(left[i] + left[j]) if c in others)]
    assert len(left) == 1
    return total


def orders(count: int) -> list[tuple[tuple[int, int], ...]]:
    """Every order of pairs."""
    if count == 1:
        return [()]
    return [((i, j), *rest) for i, j in itertools.combinations(range(count), 2) for rest in orders(count - 1)]


@pytest.mark.parametrize(("terms", "out"), [
    (("ab", "bc", "cd", "de"), "ae"), (("ab", "bc", "cd", "da"), ""), (("a", "ab", "bc", "c"), ""), (("abc", "cd", "bde", "ae"), "d"),
    (("i", "j", "ijk", "k"), "k"), (("ab", "cd", "ef"), "abcdef"), (("abx", "bcx", "cax", "x"), "x"),
])
def test_no_order_multiplies_less(terms: tuple[str, ...], out: str) -> None:
    for _ in range(5):
        extents = {c: int(RNG.integers(2, 60)) for c in "".join(terms)}
        found = multiplications(contraction_order(terms, out, extents), terms, out, extents)
        assert found == min(multiplications(order, terms, out, extents) for order in orders(len(terms)))


@pytest.mark.parametrize("count", [1, 2, 8, 12])
def test_chains_of_any_length(count: int) -> None:
    letters = "abcdefghijklmnop"
    terms = [letters[k: k + 2] for k in range(count)]
    matrices = [RNG.normal(size=(5 + k, 6 + k)) for k in range(count)]
    equation = f"{','.join(terms)}->{letters[0]}{letters[count]}"
    begin = time.perf_counter()
    (result,) = results(lambda *m: np.einsum(equation, *m), *matrices)
    assert time.perf_counter() - begin < 5.0
    expected = matrices[0]
    for matrix in matrices[1:]:
        expected = expected @ matrix
    np.testing.assert_allclose(result, expected, rtol=1e-10)


def test_a_vector_goes_through_a_chain_first() -> None:
    """Matrices times matrices times a vector: no product of two matrices is made."""
    a, b, v = RNG.normal(size=(40, 50)), RNG.normal(size=(50, 60)), RNG.normal(size=60)
    graph, _ = traced(lambda a, b, v: np.einsum("ij,jk,k->i", a, b, v), a, b, v)
    assert max(n.ndim for n in graph.nodes() if n.op.kind == "contract") == 1
    (result,) = results(lambda a, b, v: np.einsum("ij,jk,k->i", a, b, v), a, b, v)
    np.testing.assert_allclose(result, a @ b @ v)


def test_special_cases_of_several_operands() -> None:
    cases: list[tuple[str, list[Any]]] = [
        ("i,i,i->", [RNG.normal(size=4) for _ in range(3)]), ("ii,ij,j->", [RNG.normal(size=s) for s in ((3, 3), (3, 4), (4,))]),
        ("ij,k,lm->m", [RNG.normal(size=s) for s in ((2, 3), (4,), (5, 6))]), ("ij,ij,ij->ij", [RNG.normal(size=(2, 3)) for _ in range(3)]),
        ("bij,bjk,kl->bil", [RNG.normal(size=s) for s in ((2, 3, 4), (2, 4, 5), (5, 6))]),
    ]
    for equation, arrays in cases:
        (result,) = results(lambda *x, equation=equation: np.einsum(equation, *x), *arrays)
        np.testing.assert_allclose(result, np.einsum(equation, *arrays), rtol=1e-10)
