"""Programs that write into arrays, through views and `out=`, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tracing import results, slope, traced

from chainrule.compiler.errors import DTypeError, ShapeError, TraceError

X = np.random.default_rng(5).normal(size=(4, 4))
V = np.random.default_rng(6).normal(size=6)


def agree(program, *arguments):
    expected = program(*(a.copy() for a in arguments))
    actual = results(program, *arguments)
    for ours, theirs in zip(actual, expected if isinstance(expected, tuple) else [expected], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)
        assert ours.dtype == theirs.dtype


def element(x):
    y = x.copy()
    y[1, 2] = 7.0
    y[-1, 0] += x[0, 0]
    return y


def rows_and_columns(x):
    y = np.zeros_like(x)
    y[0] = x[1]
    y[:, 2] = x[:, 0] * 2
    y[1:3, ::2] += 1
    y[::-1, 1] = np.arange(4.0)
    return y


def base_sees_view(x):
    y = x.copy()
    v = y[1:]
    v *= 2
    w = v.T
    w[0, 0] = 5.0
    return y, v, w


def view_sees_base(x):
    y = x.copy()
    row, flat, diagonal = y[2], y.reshape(-1), y.diagonal()
    y += 1
    y[2, 1] = 0.0
    return row, flat, diagonal


def reshape_of_a_transpose_is_a_copy(x):
    y = x.copy()
    flat = y.T.reshape(-1)
    y[0, 0] = 9.0
    flat[1] = 4.0
    return y, flat


def reshape_of_contiguous_rows_is_a_view(x):
    y = x.copy()
    part = y[1:3].reshape(-1)
    part[:] = 0.5
    flat = y.ravel()
    flat[3] = 2.0
    return y


def an_element_is_a_number(x):
    y = x.copy()
    s = y[0, 0]
    y[0, 0] = 100.0
    s += 1
    return y, s * np.ones(2)


def a_row_is_a_view(x):
    y = x.copy()
    for k, row in enumerate(y):
        row[k] = 0.0
        row += k
    return y


def swaps(x):
    y = x.copy()
    y[[0, 2]] = y[[2, 0]]
    y[:, 0], y[:, 1] = y[:, 1].copy(), y[:, 0].copy()
    return y


def masks(x):
    y = x.copy()
    y[y < 0] = 0.0
    y[x > 1] *= 3
    y[np.array([True, False, True, False])] -= 1
    return y


def index_arrays(x):
    y = x.copy()
    y[[0, 1, 1], [2, 2, 3]] = np.array([1.0, 2.0, 3.0])
    y[np.array([0, 0, 3])] += 1
    np.add.at(y, np.array([0, 0, 3]), 2.0)
    np.subtract.at(y, (np.array([1]), np.array([1])), 0.5)
    return y


def out_arguments(x):
    y = np.empty_like(x)
    np.multiply(x, 2, out=y)
    np.add(y, y.T, out=y)
    np.sum(x, axis=0, out=y[1])
    np.dot(x, x, out=y[:, :])
    x2 = x.copy()
    np.clip(x2, -0.5, 0.5, out=x2)
    return y, x2


def in_place_operators(x):
    y = x.copy()
    y += 1
    y -= 0.5
    y *= x
    y /= 2
    y **= 2
    y //= 0.3
    y %= 1.5
    return y


def through_many_views(x):
    y = x.copy()
    y[None][0].T[1:, 1][::-1][0] = 8.0
    np.moveaxis(y[..., None], -1, 0)[0, 2] = 3.0
    np.flip(y)[0, 0] = 4.0
    y.swapaxes(0, 1)[0] += 2
    np.squeeze(y[:, None])[1] = 1.5
    return y


def diagonals(x):
    y = x.copy()
    np.fill_diagonal(y, 3.0)
    z = np.diag(np.diag(x)) + y
    return y, z


def helpers(x):
    y = x.copy()
    np.copyto(y, 1.0, where=x > 0)
    np.copyto(y[0], x[1])
    np.putmask(y, x < -1, -1.0)
    np.put_along_axis(y, np.argmax(x, axis=1)[:, None], 9.0, axis=1)
    y[3].fill(2.0)
    y[2].sort()
    return y


def accumulation_in_a_loop(x):
    total = np.zeros_like(x[0])
    for k in range(len(x)):
        total += x[k] * k
        total[k] = total[k] ** 2
    return total


def assignment_casts(x):
    y = np.zeros_like(x, dtype=np.int64)
    y[0] = x[0] * 3
    z = np.zeros_like(x, dtype=np.float32)
    z[:] = x
    b = np.zeros_like(x, dtype=bool)
    b[1] = x[1]
    return y, z, b


PROGRAMS = [
    element,
    rows_and_columns,
    base_sees_view,
    view_sees_base,
    reshape_of_a_transpose_is_a_copy,
    reshape_of_contiguous_rows_is_a_view,
    an_element_is_a_number,
    a_row_is_a_view,
    swaps,
    masks,
    index_arrays,
    out_arguments,
    in_place_operators,
    through_many_views,
    diagonals,
    helpers,
    accumulation_in_a_loop,
    assignment_casts,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_a_program_that_writes(program):
    def run(x):
        made = program(x)
        return tuple(made) if isinstance(made, tuple) else made

    if program is diagonals:
        expected = (lambda y: (y, np.diag(np.diag(X)) + y))(np.where(np.eye(4, dtype=bool), 3.0, X))
        for ours, theirs in zip(results(run, X), expected, strict=True):
            np.testing.assert_allclose(ours, theirs)
        return
    if program is view_sees_base:  # NumPy's diagonal is a view too, and read-only
        pass
    agree(run, X)


@pytest.mark.parametrize(
    "program", [element, rows_and_columns, base_sees_view, swaps, index_arrays, through_many_views, accumulation_in_a_loop]
)
def test_the_slope_of_a_program_that_writes(program):
    def first(x):
        made = program(x)
        return made[0] if isinstance(made, tuple) else made

    random = np.random.default_rng(1)
    direction, weights = random.normal(size=X.shape), random.normal(size=np.shape(first(X.copy())))
    step = 1e-6
    expected = sum(s * np.sum(weights * first(X + s * step * direction)) for s in (1, -1)) / (2 * step)
    assert slope(first, [X], [direction], weights) == pytest.approx(expected, rel=1e-6)


def test_an_argument_that_is_written_to_is_not_changed_for_the_caller():
    x = X.copy()

    def program(x):
        x *= 2
        x[0] = 0
        return x

    (made,) = results(program, x)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(made[1:], 2 * X[1:])


KEYS = st.sampled_from(
    [0, -1, slice(None), slice(1, None), slice(None, None, -1), slice(0, 4, 2), [1, 3], np.array([True, False, True, True]), None, ...]
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "add", "view", "transpose", "reshape", "flip"]), KEYS, st.integers(-3, 3)), min_size=1, max_size=6
)


@given(STEPS)
def test_random_programs_of_views_and_writes(steps):
    def program(x):
        base = x.copy()
        view = base
        for kind, key, number in steps:
            if view.ndim == 0:
                break
            if kind == "view":
                if view.ndim < 5:
                    view = view[key] if not (isinstance(key, (list, np.ndarray)) and view.shape[0] != 4) else view
            elif kind == "transpose":
                view = view.T
            elif kind == "flip":
                view = np.flip(view)
            elif kind == "reshape":
                view = view.reshape(-1)
            elif isinstance(key, (list, np.ndarray)) and view.shape[0] != 4:
                continue
            elif kind == "write":
                view[key] = float(number)
            else:
                view[key] += float(number)
        return base, view * 1.0

    agree(program, X)


@pytest.mark.parametrize(
    ("shape", "strides", "wanted", "expected"),
    [
        ((2, 6), (6, 1), (12,), (1,)),
        ((2, 6), (6, 1), (2, 2, 3), (6, 3, 1)),
        ((6, 2), (1, 6), (12,), None),
        ((3, 4), (8, 1), (3, 2, 2), (8, 2, 1)),
        ((3, 4), (8, 1), (12,), None),
        ((4,), (-1,), (2, 2), (-2, -1)),
        ((1, 4), (99, 2), (4, 1), (2, 0)),
        ((0, 3), (3, 1), (3, 0), (1, 1)),
    ],
)
def test_which_reshapes_are_views(shape, strides, wanted, expected):
    from chainrule.compiler.views import reshaped_strides

    assert reshaped_strides(shape, strides, wanted) == expected


def test_errors_of_writes():
    with pytest.raises(DTypeError, match=r"Cannot cast np\.add output"):
        traced(lambda x: np.add(x.astype(int), 0.5, out=x.astype(int)), X)
    with pytest.raises(ShapeError, match=r"could not broadcast input array from shape \(3,\) into shape"):
        traced(lambda x: x.__setitem__(0, np.ones(3)), X)
    with pytest.raises(TraceError, match=r"np.zeros_like\(x\)"):
        traced(lambda x: np.add(x, 1, out=np.zeros((4, 4))), X)

    with pytest.raises(ShapeError, match="read-only"):
        traced(lambda x: np.broadcast_to(x[0], (3, 4)).__setitem__(0, 1.0), X)
