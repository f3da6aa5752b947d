"""Reductions, movement, indexing, contraction and linear algebra against loops written out by hand.

Each case is a program of one op (or few), an oracle that shares no code with the table, and arrays. Derivatives are
checked by central differences of the oracle in extended precision, by the adjoint identity, and to second order by
differences of the first.
"""
from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from derivatives import (
    Builder,
    evaluate,
    forward,
    forward_over_reverse,
    inputs_like,
    is_real,
    reverse,
    reverse_over_reverse,
    value,
    zeros_for_none,
)
from programs import FACTORIZATIONS

from chainrule.compiler.differentiate import jvp, vjp
from chainrule.compiler.errors import ChainruleError, IndexingError
from chainrule.compiler.ir import constant, f, make
from chainrule.compiler.op import all_ops, get
from chainrule.compiler.sizes import symbol

RANDOM = np.random.default_rng(7)
INT64 = np.dtype(np.int64)


def real(*shape: int) -> Any:
    return RANDOM.normal(size=shape)


def whole(*shape: int, low: int = -3, high: int = 4) -> Any:
    return RANDOM.integers(low, high, shape)


class Case(NamedTuple):
    op: str
    build: Builder
    oracle: Callable[..., Any]
    arrays: tuple[Any, ...]
    smooth: bool = True  # whether differences of the oracle say something about derivatives
    exact: bool = False  # whether the result has no rounding


# ---------------------------------------------------------------- oracles
def reduced(function: Callable[[list[Any]], Any], *axes: int) -> Callable[[Any], Any]:
    """A reduction by loops: `function` of the list of elements."""

    def apply(x: Any) -> Any:
        kept = [k for k in range(x.ndim) if k not in axes]
        out = np.empty([x.shape[k] for k in kept], dtype=object)
        for place in np.ndindex(out.shape):
            index: list[Any] = [slice(None)] * x.ndim
            for k, i in zip(kept, place, strict=True):
                index[k] = i
            out[place] = function(list(np.asarray(x[tuple(index)]).ravel()))
        return out

    return apply


def product_of(items: list[Any]) -> Any:
    total = 1
    for item in items:
        total = total * item
    return total


def sum_of(items: list[Any]) -> Any:
    total = items[0] * 0 if items else 0
    for item in items:
        total = total + item
    return total


def moved(where: Callable[[tuple[int, ...]], tuple[int, ...] | None], shape: tuple[int, ...]) -> Callable[[Any], Any]:
    """out[i] = x[where(i)], or 0 where that is None."""

    def apply(x: Any) -> Any:
        out = np.zeros(shape, dtype=x.dtype)
        for place in np.ndindex(shape):
            source = where(place)
            if source is not None:
                out[place] = x[source]
        return out

    return apply


def running_sum(x: Any) -> Any:
    out = x.copy()
    for k in range(1, x.shape[1]):
        out[:, k] = out[:, k - 1] + x[:, k]
    return out


def contracted(left: str, right: str, out: str) -> Callable[[Any, Any], Any]:
    def apply(x: Any, y: Any) -> Any:
        extent = dict(zip(left, x.shape, strict=True)) | dict(zip(right, y.shape, strict=True))
        labels = list(extent)
        result = np.zeros([extent[c] for c in out], dtype=np.result_type(x, y))
        for place in itertools.product(*(range(extent[c]) for c in labels)):
            at = dict(zip(labels, place, strict=True))
            term = x[tuple(at[c] for c in left)] * y[tuple(at[c] for c in right)]
            result[tuple(at[c] for c in out)] += term
        return result

    return apply


def determinant(x: Any) -> Any:
    """By Laplace's expansion."""
    if x.shape == (0, 0):
        return x.dtype.type(1)
    minors = [np.delete(x[1:], k, axis=1) for k in range(len(x))]
    return sum_of([(-1) ** k * x[0, k] * determinant(minor) for k, minor in enumerate(minors)])


def stacked(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: np.array([function(m) for m in x.reshape(-1, *x.shape[-2:])]).reshape(
        x.shape[:-2] + np.shape(function(x.reshape(-1, *x.shape[-2:])[0])))


def cofactors(x: Any) -> Any:
    n = len(x)

    def cofactor(i: int, j: int) -> Any:
        return (-1) ** (i + j) * determinant(np.delete(np.delete(x, i, 0), j, 1))

    return np.array([[cofactor(i, j) for j in range(n)] for i in range(n)])


def inverted(x: Any) -> Any:
    return cofactors(x).T / determinant(x)


def gathered(x: Any, i: Any, j: Any) -> Any:
    """x[i, :, j] with the indexed axes first."""
    return np.array([[x[a, :, b] for a, b in zip(row, column, strict=True)] for row, column in zip(i, j, strict=True)])


def scattered(values: Any, i: Any) -> Any:
    out = np.zeros((4, 5), values.dtype)
    for k in range(len(i)):
        out[:, i[k]] += values[k]
    return out


def overwritten(x: Any, values: Any, i: Any) -> Any:
    out = x.copy()
    for k in range(len(i)):
        out[:, i[k]] = values[k]
    return out


GRID = real(3, 4, 2)
SPREAD = np.arange(24.0).reshape(3, 4, 2)[::-1] * 0.3  # no ties
INDEX = np.array([[0, 2, 1], [2, 2, 0]])
COLUMN = np.array([[1, 1, 0], [0, 1, 1]])
MATRICES = real(2, 3, 3) + 3 * np.eye(3)
LEAF_SHAPE = (2, 3)

CASES = [
    Case("sum", lambda x: f.sum(x, axes=(0, 2)), reduced(sum_of, 0, 2), (GRID,)),
    Case("sum", lambda x: f.sum(x, axes=()), lambda x: x, (GRID,)),
    Case("sum", lambda x: f.sum(x, axes=(0,)), reduced(sum_of, 0), (np.zeros((0, 3)),)),
    Case("sum", lambda x: f.sum(x, axes=(1,)), reduced(sum_of, 1), (whole(3, 4),), exact=True),
    Case("prod", lambda x: f.prod(x, axes=(1,)), reduced(product_of, 1), (GRID,)),
    Case("prod", lambda x: f.prod(x, axes=(0, 1)), reduced(product_of, 0, 1), (whole(3, 4),), exact=True),
    Case("prod", lambda x: f.prod(x, axes=(0,)), reduced(product_of, 0), (np.ones((0, 2)),)),
    Case("max", lambda x: f.max(x, axes=(0, 2)), reduced(max, 0, 2), (SPREAD,)),
    Case("max", lambda x: f.max(x, axes=(1,)), reduced(max, 1), (whole(3, 4),), exact=True),
    Case("min", lambda x: f.min(x, axes=(1,)), reduced(min, 1), (SPREAD,)),
    Case("min", lambda x: f.min(x, axes=(0, 1)), reduced(min, 0, 1), (whole(3, 4),), exact=True),
    Case("any", lambda x: f.any(x, axes=(0,)), reduced(any, 0), (whole(3, 4) > 2,), exact=True),
    Case("all", lambda x: f.all(x, axes=(0,)), reduced(all, 0), (whole(3, 4) > -2,), exact=True),
    Case("argmax", lambda x: f.argmax(x, axes=(1,)), reduced(lambda e: e.index(max(e)), 1), (whole(3, 5),), exact=True),
    Case("argmin", lambda x: f.argmin(x, axes=(1,)), reduced(lambda e: e.index(min(e)), 1), (whole(3, 5),), exact=True),
    Case("argmax", lambda x: f.argmax(x, axes=(0,)), reduced(lambda e: e.index(max(e)), 0), (GRID,), smooth=False),
    Case("argmin", lambda x: f.argmin(x, axes=(0,)), reduced(lambda e: e.index(min(e)), 0), (GRID,), smooth=False),
    Case("cumsum", lambda x: f.cumsum(x, axis=1), running_sum, (real(3, 4),)),
    Case("cumsum", lambda x: f.cumsum(x, axis=1), running_sum, (whole(3, 4),), exact=True),
    Case("argsort", lambda x: f.argsort(x, axis=1), lambda x: np.array(
        [sorted(range(len(row)), key=row.__getitem__) for row in x.tolist()]), (whole(3, 6),), exact=True),
    Case("argsort", lambda x: f.argsort(x, axis=0), lambda x: np.array(
        [sorted(range(len(row)), key=row.__getitem__) for row in x.T.tolist()]).T, (real(5, 2),), smooth=False),
    Case("reshape", lambda x: f.reshape(x, shape=(2, 12)), moved(
        lambda i: np.unravel_index(i[0] * 12 + i[1], (3, 4, 2)), (2, 12)), (GRID,), exact=True),
    Case("permute", lambda x: f.permute(x, order=(2, 0, 1)), moved(lambda i: (i[1], i[2], i[0]), (2, 3, 4)), (GRID,),
         exact=True),
    Case("expand", lambda x: f.expand(x, shape=(3, 5, 4), axes=(0, 2)), moved(lambda i: (i[0], i[2]), (3, 5, 4)),
         (real(3, 4),), exact=True),
    Case("expand", lambda x: f.expand(x, shape=(2, 3), axes=()), moved(lambda i: (), (2, 3)), (np.array(1.5),),
         exact=True),
    Case("slice", lambda x: f.slice(x, start=(1, 0, 1), step=(1, 2, 1), shape=(2, 2, 1)), moved(
        lambda i: (1 + i[0], 2 * i[1], 1 + i[2]), (2, 2, 1)), (GRID,), exact=True),
    Case("slice", lambda x: f.slice(x, start=(3, 0, 0), step=(1, 1, 1), shape=(0, 4, 2)), moved(lambda i: i, (0, 4, 2)),
         (GRID,), exact=True),
    Case("place", lambda x: f.place(x, start=(1, 0), step=(2, 1), shape=(6, 4)), moved(
        lambda i: ((i[0] - 1) // 2, i[1]) if i[0] % 2 == 1 and i[0] < 6 and i[1] < 3 else None, (6, 4)), (real(3, 3),),
         exact=True),
    Case("flip", lambda x: f.flip(x, axes=(0, 2)), moved(lambda i: (2 - i[0], i[1], 1 - i[2]), (3, 4, 2)), (GRID,),
         exact=True),
    Case("diagonal", lambda x: f.diagonal(x, roles=(1, 0, 1)), moved(lambda i: (i[1], i[0], i[1]), (2, 3)), (real(3, 2, 3),), exact=True),
    Case("diagonal", lambda x: f.diagonal(x, roles=()), moved(lambda i: (), ()), (np.array(1.5),), exact=True),
    Case("diagonal", lambda x: f.diagonal(x, roles=(0, 0)), moved(lambda i: (i[0], i[0]), (3,)), (whole(3, 3) > 0,), exact=True),
    Case("embed", lambda x: f.embed(x, roles=(1, 0, 1)), moved(lambda i: (i[1], i[0]) if i[0] == i[2] else None, (3, 2, 3)),
         (real(2, 3),), exact=True),
    Case("embed", lambda x: f.embed(x, roles=(0, 0)), moved(lambda i: (i[0],) if i[0] == i[1] else None, (3, 3)), (whole(3),), exact=True),
    Case("embed", lambda x: f.embed(x, roles=(0, 0)), moved(lambda i: None, (0, 0)), (np.zeros(0),), exact=True),
    Case("concatenate", lambda x, y, z: f.concatenate(x, y, z, axis=1), lambda x, y, z: np.array(
        [[*a, *b, *c] for a, b, c in zip(x, y, z, strict=True)]), (real(2, 3), real(2, 0), real(2, 2)), exact=True),
    Case("gather", lambda x, i, j: f.gather(x, i, j, axes=(0, 2)), gathered, (GRID, INDEX, COLUMN), exact=True),
    Case("gather", lambda x, i: f.gather(x, i, axes=(1,)), lambda x, i: x[:, i], (GRID, np.array(2)), exact=True),
    Case("scatter_add", lambda v, i: f.scatter_add(v, i, axes=(1,), shape=(4, 5)), scattered,
         (real(3, 4), np.array([1, 4, 1]))),
    Case("scatter", lambda x, v, i: f.scatter(x, v, i, axes=(1,)), overwritten,
         (real(4, 5), real(3, 4), np.array([1, 4, 1])), exact=True),
    Case("scatter", lambda x, v, i: f.scatter(x, v, i, axes=(1,)), overwritten,
         (whole(4, 5) > 0, whole(3, 4) > 0, np.array([1, 4, 1])), exact=True),
    *(Case("contract", lambda x, y, a=left, b=right, c=out: f.contract(x, y, left=a, right=b, out=c),
           contracted(left, right, out), (real(*a), real(*b)))
      for left, right, out, a, b in (
          ("nk", "km", "nm", (3, 4), (4, 2)), ("bnk", "bkm", "bnm", (2, 3, 4), (2, 4, 3)), ("i", "i", "", (5,), (5,)),
          ("i", "j", "ji", (3,), (4,)), ("nk", "k", "n", (3, 4), (4,)), ("ijk", "kji", "j", (2, 3, 4), (4, 3, 2)),
          ("ij", "ij", "ij", (2, 3), (2, 3)), ("", "ab", "ba", (), (2, 3)), ("nk", "km", "nm", (3, 0), (0, 2)),
          ("bk", "nk", "nb", (2, 3), (4, 3)))),
    Case("contract", lambda x, y: f.contract(x, y, left="nk", right="km", out="mn"), contracted("nk", "km", "mn"),
         (whole(2, 3), whole(3, 4)), exact=True),
    Case("inverse", f.inverse, stacked(inverted), (MATRICES,)),
    Case("solve", f.solve, lambda a, b: np.array([inverted(m) @ r for m, r in zip(a, b, strict=True)]),
         (MATRICES, real(2, 3, 2))),
    Case("det", f.det, stacked(determinant), (MATRICES,)),
    Case("det", f.det, stacked(determinant), (np.array([[[1.0, 2.0], [2.0, 4.0]]]),)),
    Case("cofactor", f.cofactor, stacked(cofactors), (MATRICES,)),
    Case("logabsdet", f.logabsdet, lambda x: np.log(np.abs(stacked(determinant)(x))), (MATRICES,)),
    Case("detsign", f.detsign, lambda x: np.sign(stacked(determinant)(x)), (MATRICES * np.array([[[1.0]], [[-1.0]]]),),
         exact=True),
    Case("const", lambda: constant(2.5, "float32", LEAF_SHAPE), lambda: np.array([[2.5] * 3] * 2, np.float32), (),
         exact=True),
    Case("iota", lambda: make("iota", shape=LEAF_SHAPE, dtype=INT64, axis=1), lambda: np.array([[0, 1, 2]] * 2), (),
         exact=True),
    Case("size", lambda: make("size", shape=(), dtype=INT64, size=7), lambda: np.array(7), (), exact=True),
]
# an input is in every case; test_nonzero_binds_a_size; tests/runtime/test_scan, test_while_loop, test_branches,
# test_custom_rules; the rest in test_ops_factorizations
ELSEWHERE = {"input", "nonzero", "scan", "cond", "checkpoint", "custom", "while", "while_states",
             "lu", "lu_solve", "lu_inverse", *FACTORIZATIONS}  # LU: test_shared_factors
IDS = [f"{case.op}-{k}" for k, case in enumerate(CASES)]
DIFFERENTIABLE = [pytest.param(case, id=name) for case, name in zip(CASES, IDS, strict=True)
                  if any(map(is_real, case.arrays)) and case.smooth]


def test_every_structural_op_has_a_case() -> None:
    expected = {op.name for op in all_ops() if op.kind != "elementwise"} - ELSEWHERE
    assert {case.op for case in CASES} == expected


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_value(case: Case) -> None:
    got, expected = value(case.build, *case.arrays), case.oracle(*case.arrays)
    if case.exact:
        np.testing.assert_array_equal(got, expected)
    else:
        np.testing.assert_allclose(got, np.asarray(expected, np.float64), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_single_precision(case: Case) -> None:
    """float32 in, float32 out, and near the result in float64."""
    arrays = [a.astype(np.float32) if is_real(a) else a for a in case.arrays]
    got = value(case.build, *arrays)
    assert got.dtype == (np.float32 if is_real(value(case.build, *case.arrays)) else got.dtype)
    if case.smooth:
        np.testing.assert_allclose(got, np.asarray(case.oracle(*case.arrays), float), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_memory_layouts(case: Case) -> None:
    """Fortran order, reversed and strided memory give what C order gives."""
    expected = value(case.build, *case.arrays)
    for change in (lambda a: np.asfortranarray(a) if a.ndim else a, lambda a: np.flip(np.flip(a).copy()),
                   lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a):
        np.testing.assert_allclose(value(case.build, *map(change, case.arrays)), expected, rtol=1e-13, atol=1e-14)


def wide(arrays: tuple[Any, ...]) -> list[Any]:
    return [a.astype(np.longdouble) if is_real(a) else a for a in arrays]


def shifted(arrays: Sequence[Any], moves: list[Any], sign: int) -> list[Any]:
    return [a if move is None else a + sign * move for a, move in zip(arrays, moves, strict=True)]


def differences(case: Case, vs: list[Any]) -> Any:
    """The oracle's directional derivative, in extended precision."""
    step = np.longdouble(2) ** -20
    directions = iter(vs)
    moves = [next(directions) * step if is_real(a) else None for a in case.arrays]
    ahead, behind = (case.oracle(*shifted(wide(case.arrays), moves, sign)) for sign in (1, -1))
    return np.asarray((ahead - behind) / (2 * step), np.float64)


@pytest.mark.parametrize("case", DIFFERENTIABLE)
def test_first_order(case: Case) -> None:
    vs = [real(*a.shape) for a in case.arrays if is_real(a)]
    dy = forward(case.build, case.arrays, vs)
    if dy is None:
        assert case.op == "detsign"
        return
    np.testing.assert_allclose(dy, differences(case, vs), rtol=1e-8, atol=1e-8)
    ct = real(*dy.shape)
    dxs = zeros_for_none(reverse(case.build, case.arrays, ct), vs)
    left, right = np.sum(ct * dy), sum(np.sum(dx * v) for dx, v in zip(dxs, vs, strict=True))
    scale = np.sum(np.abs(ct * dy)) + sum(np.sum(np.abs(dx * v)) for dx, v in zip(dxs, vs, strict=True))
    assert abs(left - right) <= 1e-12 * (scale + 1)


@pytest.mark.parametrize("case", DIFFERENTIABLE)
def test_second_order(case: Case) -> None:
    """The jvp and the vjp of the vjp, against differences of the vjp."""
    vs = [real(*a.shape) for a in case.arrays if is_real(a)]
    shape = value(case.build, *case.arrays).shape
    ct = real(*shape)
    if case.op == "detsign":
        return
    step = 1e-5
    directions = iter(vs)
    moves = [next(directions) * step if is_real(a) else None for a in case.arrays]
    around = [reverse(case.build, shifted(case.arrays, moves, sign), ct) for sign in (1, -1)]
    for mode in (forward_over_reverse, reverse_over_reverse):
        got = zeros_for_none(mode(case.build, case.arrays, ct, vs), vs)
        for g, ahead, behind in zip(got, *around, strict=True):
            np.testing.assert_allclose(g, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------- conventions
def hessian(build: Builder, x: Any) -> Any:
    return np.array([forward_over_reverse(build, [x], np.array(1.0), [e.reshape(x.shape)])[0].ravel()
                     for e in np.eye(x.size)])


@pytest.mark.parametrize("x", [[0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [2.0, -1.0, 4.0], [-0.0, 2.0, 5.0]])
def test_products_with_zeros(x: list[float]) -> None:
    """Gradient and Hessian of the product of three are products of the others."""
    a, b, c = x
    array = np.array(x)
    build: Builder = lambda n: f.prod(n, axes=(0,))  # noqa: E731
    (gradient,) = reverse(build, [array], np.array(1.0))
    np.testing.assert_array_equal(gradient, [b * c, a * c, a * b])
    expected = [[0, c, b], [c, 0, a], [b, a, 0]]
    np.testing.assert_array_equal(hessian(build, array), expected)
    rows = [reverse_over_reverse(build, [array], np.array(1.0), [e])[0] for e in np.eye(3)]
    np.testing.assert_array_equal(rows, expected)


def test_the_determinant_of_a_singular_matrix_has_its_cofactors_as_gradient() -> None:
    rank_two = [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]]
    for singular in ([[1.0, 2.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]], rank_two):
        x = np.array(singular)
        (gradient,) = reverse(f.det, [x], np.array(1.0))
        np.testing.assert_allclose(gradient, cofactors(x), atol=1e-14)
        by_differences = [(cofactors(x + e) - cofactors(x - e)).ravel() / 2 for e in np.eye(x.size).reshape(x.size, *x.shape)]
        np.testing.assert_allclose(hessian(f.det, x), by_differences, atol=1e-13)


def test_matrices_without_rows_have_cofactors_that_do_not_change() -> None:
    assert reverse(f.cofactor, [np.zeros((2, 0, 0))], np.zeros((2, 0, 0)))[0].shape == (2, 0, 0)


def test_extremes_share_ties_as_torch_does() -> None:
    """torch.amax and torch.amin: evenly among the tied; all of them nan where the extreme is nan."""
    x = np.array([[1.0, 3.0, 3.0], [2.0, 0.0, 2.0], [np.nan, 1.0, np.nan]])
    (gradient,) = reverse(lambda n: f.max(n, axes=(1,)), [x], np.ones(3))
    np.testing.assert_array_equal(gradient, [[0, 0.5, 0.5], [0.5, 0, 0.5], [np.nan] * 3])
    (gradient,) = reverse(lambda n: f.min(n, axes=(1,)), [x[:2]], np.ones(2))
    np.testing.assert_array_equal(gradient, [[1, 0, 0], [0, 1, 0]])


def test_extremes_of_nan_are_nan_and_its_place_is_the_first() -> None:
    x = np.array([[1.0, np.nan, 3.0, np.nan]])
    assert np.isnan(value(lambda n: f.max(n, axes=(1,)), x)).all()
    assert np.isnan(value(lambda n: f.min(n, axes=(1,)), x)).all()
    assert value(lambda n: f.argmax(n, axes=(1,)), x).tolist() == [1]
    assert value(lambda n: f.argmin(n, axes=(1,)), x).tolist() == [1]


def test_ties_have_the_first_place() -> None:
    x = np.array([[2, 5, 5, 2]])
    assert value(lambda n: f.argmax(n, axes=(1,)), x).tolist() == [1]
    assert value(lambda n: f.argmin(n, axes=(1,)), x).tolist() == [0]
    assert value(lambda n: f.argsort(n, axis=1), x).tolist() == [[0, 3, 1, 2]]


def test_the_order_of_many_numbers_is_stable() -> None:
    """Whatever the samples say: few equal ones, many, NaN, zeros of either sign."""
    random = np.random.default_rng(0)
    few = random.normal(size=(2, 9000))
    few[:, 7::7] = few[:, 6:-1:7]
    few[1, 5::9], few[1, 3::50], few[1, 4::50] = np.nan, 0.0, -0.0  # not in the row that is sampled
    for x in (few, np.round(few), np.sort(few), few.astype("float32").T):
        axis = int(np.argmax(x.shape))
        np.testing.assert_array_equal(get("argsort").evaluate(x, axis=axis), np.argsort(x, axis=axis, kind="stable"))


def test_writes_to_one_place_give_the_last_its_cotangent() -> None:
    x, v, i = real(3), real(4), np.array([0, 2, 0, 0])
    dx, dv = reverse(lambda a, b, k: f.scatter(a, b, k, axes=(0,)), [x, v, i], np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(dx, [0, 2, 0])
    np.testing.assert_array_equal(dv, [0, 3, 0, 1])


def test_nonzero_binds_a_size() -> None:
    mask, x = np.array([True, False, True, True]), np.array([1.0, 2.0, 3.0, 4.0])
    count = symbol("u0")

    def squares(m: Any, n: Any) -> Any:
        return f.square(f.gather(n, f.nonzero(m, count=count), axes=(0,)))

    nodes = inputs_like([mask, x])
    y = squares(*nodes)
    ct = constant(1.0, "float64", y.shape)
    (dx,) = vjp([y], [ct], nodes[1:])
    total, gradient = evaluate(nodes, [f.sum(y, axes=(0,)), dx], [mask, x])
    assert total == 26.0
    np.testing.assert_array_equal(gradient, [2.0, 0.0, 6.0, 8.0])
    assert value(lambda m: f.nonzero(m, count=count), np.zeros(3, bool)).shape == (0,)


@pytest.mark.parametrize("index", [-1, 3])
def test_indices_out_of_range_are_errors(index: int) -> None:
    for build, arrays in ((lambda x, i: f.gather(x, i, axes=(0,)), [real(3)]),
                          (lambda v, i: f.scatter_add(v, i, axes=(0,), shape=(3,)), [real(1)]),
                          (lambda x, v, i: f.scatter(x, v, i, axes=(0,)), [real(3), real(1)])):
        with pytest.raises(IndexingError, match=f"index {index} is out of bounds for axis 0 with size 3"):
            value(build, *arrays, np.array([index]))


@pytest.mark.parametrize("build", [
    lambda x: f.sum(x, axes=(2,)), lambda x: f.sum(x, axes=(1, 0)), lambda x: f.max(x, axes=(0,)),
    lambda x: f.reshape(x, shape=(4,)), lambda x: f.permute(x, order=(0, 0)),
    lambda x: f.expand(x, shape=(2, 4), axes=(0, 1)),
    lambda x: f.flip(x, axes=(5,)), lambda x: f.concatenate(x, f.sum(x, axes=(0,)), axis=0), lambda x: f.inverse(x),
    lambda x: f.contract(x, x, left="ij", right="jk", out="ik"),
    lambda x: f.contract(x, x, left="ij", right="ij", out="k"),
    lambda x: f.contract(x, x, left="ij", right="kl", out="ik"), lambda x: f.argmax(x, axes=(0,)),
    lambda x: f.cumsum(x, axis=3),
    lambda x: f.add(x, f.permute(x, order=(1, 0))), lambda x: f.and_(x, x),
    lambda x: f.add(x, f.cast(x, dtype="float32")),
    lambda x: f.nonzero(f.gt(x, 0.0), count=symbol("u9")), lambda x: f.where(x, x, x), lambda x: f.any(x, axes=(0,)),
])
def test_what_does_not_fit_is_refused(build: Builder) -> None:
    (x,) = inputs_like([np.zeros((0, 3))])
    with pytest.raises(ChainruleError):
        build(x)


def test_structural_zeros_are_none() -> None:
    x, y = inputs_like([real(3), real(3)])
    product = x * x
    assert vjp([product], [product], [y]) == [None]
    assert jvp([product], {y: x}) == [None]
    assert vjp([f.floor(x)], [x], [x]) == [None]
    assert vjp([f.stop_gradient(x) * y], [y], [x]) == [None]
    assert vjp([product], [None], [x]) == [None]
    assert jvp([f.gt(x, y)], {x: y}) == [None]


def test_a_cotangent_must_fit_its_output() -> None:
    (x,) = inputs_like([real(3)])
    with pytest.raises(ChainruleError, match="cotangent"):
        vjp([f.sum(x, axes=(0,))], [x], [x])
