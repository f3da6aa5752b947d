"""Factorisations by what defines them, and their derivatives against central differences."""
from __future__ import annotations

import numpy as np
import pytest
from derivatives import forward, forward_over_reverse, reverse, reverse_over_reverse, value, zeros_for_none

from chainrule.compiler.errors import ShapeError
from chainrule.compiler.ir import f, make

RANDOM = np.random.default_rng(5)
SQUARE = RANDOM.normal(size=(2, 3, 3)) + 3 * np.eye(3)
DEFINITE = SQUARE @ SQUARE.transpose(0, 2, 1)
TALL, WIDE = RANDOM.normal(size=(2, 4, 3)), RANDOM.normal(size=(2, 3, 4))
SOLVERS = [(triangle, diagonal) for triangle in ("lower", "upper") for diagonal in ("given", "ones")]


def solver(triangle, diagonal):
    return lambda a, b: f.triangular_solve(a, b, triangle=triangle, diagonal=diagonal)


CASES = {
    "cholesky": (f.cholesky, [DEFINITE]),
    **{f"triangular_solve {'-'.join(s)}": (solver(*s), [SQUARE, RANDOM.normal(size=(2, 3, 2))]) for s in SOLVERS},
    "eigenvalues": (f.eigenvalues, [DEFINITE]),
    "eigenvectors": (f.eigenvectors, [DEFINITE]),
    **{f"{name} {x.shape}": (lambda n, name=name: make(name, [n]), [x]) for x in (TALL, WIDE)
       for name in ("singular_values", "left_singular_vectors", "right_singular_vectors", "pseudo_inverse")},
    "qr_q": (f.qr_q, [TALL]),
    "qr_r": (f.qr_r, [TALL]),
    "matrix_exp": (f.matrix_exp, [SQUARE / 4]),
    "matrix_exp_change": (f.matrix_exp_change, [SQUARE / 4, TALL[:, :3]]),
    "cofactor_change": (f.cofactor_change, [SQUARE, TALL[:, :3]]),
}


def transposed(x):
    return np.swapaxes(x, -1, -2)


def test_cholesky():
    factor = value(f.cholesky, DEFINITE)
    np.testing.assert_allclose(factor @ transposed(factor), DEFINITE, rtol=1e-12)
    assert not np.triu(factor, 1).any()


@pytest.mark.parametrize(("triangle", "diagonal"), SOLVERS)
def test_triangular_solve_reads_one_triangle(triangle, diagonal):
    part = np.tril(SQUARE) if triangle == "lower" else np.triu(SQUARE)
    if diagonal == "ones":
        part[:, range(3), range(3)] = 1
    x = value(solver(triangle, diagonal), SQUARE, TALL[:, :3])
    np.testing.assert_allclose(part @ x, TALL[:, :3], rtol=1e-12)


def test_eigenvalues_and_eigenvectors_belong_to_each_other():
    w, u = value(f.eigenvalues, DEFINITE), value(f.eigenvectors, DEFINITE)
    np.testing.assert_allclose(DEFINITE @ u, u * w[:, None, :], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(transposed(u) @ u, [np.eye(3)] * 2, atol=1e-14)
    assert (np.diff(w) > 0).all()


@pytest.mark.parametrize("x", [TALL, WIDE])
def test_singular_values_and_vectors_make_the_matrix(x):
    u, s, vh = (value(op, x) for op in (f.left_singular_vectors, f.singular_values, f.right_singular_vectors))
    np.testing.assert_allclose(u * s[:, None, :] @ vh, x, atol=1e-13)
    np.testing.assert_allclose(transposed(u) @ u, [np.eye(3)] * 2, atol=1e-14)
    np.testing.assert_allclose(vh @ transposed(vh), [np.eye(3)] * 2, atol=1e-14)


def test_qr():
    q, r = value(f.qr_q, TALL), value(f.qr_r, TALL)
    np.testing.assert_allclose(q @ r, TALL, atol=1e-13)
    np.testing.assert_allclose(transposed(q) @ q, [np.eye(3)] * 2, atol=1e-14)
    assert not np.tril(r, -1).any()


@pytest.mark.parametrize("x", [TALL, WIDE, np.array([[1.0, 2.0], [2.0, 4.0]])], ids=["tall", "wide", "singular"])
def test_pseudo_inverse_has_the_properties_of_moore_and_penrose(x):
    y = value(f.pseudo_inverse, x)
    np.testing.assert_allclose(x @ y @ x, x, atol=1e-12)
    np.testing.assert_allclose(y @ x @ y, y, atol=1e-12)
    np.testing.assert_allclose(x @ y, transposed(x @ y), atol=1e-12)
    np.testing.assert_allclose(y @ x, transposed(y @ x), atol=1e-12)


def test_matrix_exp_of_a_rotation_and_of_a_nilpotent_matrix():
    turn = np.array([[0.0, 0.5], [-0.5, 0.0]])
    np.testing.assert_allclose(value(f.matrix_exp, turn), [[np.cos(0.5), np.sin(0.5)], [-np.sin(0.5), np.cos(0.5)]], rtol=1e-14)
    np.testing.assert_allclose(value(f.matrix_exp, np.array([[0.0, 3.0], [0.0, 0.0]])), [[1.0, 3.0], [0.0, 1.0]], rtol=1e-14)


@pytest.mark.parametrize("name", CASES)
def test_first_order(name):
    build, arrays = CASES[name]
    vs = [RANDOM.normal(size=a.shape) for a in arrays]
    if name in ("cholesky", "eigenvalues", "eigenvectors"):  # LAPACK reads one triangle of what is meant to be symmetric
        vs = [v + transposed(v) for v in vs]
    step = 1e-6
    ahead, behind = (value(build, *(a + sign * step * v for a, v in zip(arrays, vs, strict=True))) for sign in (1, -1))
    dy = forward(build, arrays, vs)
    np.testing.assert_allclose(dy, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-7)
    ct = RANDOM.normal(size=dy.shape)
    dxs = reverse(build, arrays, ct)
    assert np.sum(ct * dy) == pytest.approx(sum(np.sum(dx * v) for dx, v in zip(dxs, vs, strict=True)), rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("name", CASES)
def test_second_order(name):
    """The jvp and the vjp of the vjp, against differences of the vjp."""
    build, arrays = CASES[name]
    vs = [RANDOM.normal(size=a.shape) for a in arrays]
    if name in ("cholesky", "eigenvalues", "eigenvectors"):
        vs = [v + transposed(v) for v in vs]
    ct = RANDOM.normal(size=value(build, *arrays).shape)
    step = 1e-6
    ahead, behind = (reverse(build, [a + sign * step * v for a, v in zip(arrays, vs, strict=True)], ct) for sign in (1, -1))
    for mode in (forward_over_reverse, reverse_over_reverse):
        for got, after, before in zip(zeros_for_none(mode(build, arrays, ct, vs), vs), ahead, behind, strict=True):
            np.testing.assert_allclose(got, (after - before) / (2 * step), rtol=1e-5, atol=1e-5)


def test_gradients_of_symmetric_matrices_are_symmetric():
    for build in (f.cholesky, f.eigenvalues):
        (dx,) = reverse(build, [DEFINITE], RANDOM.normal(size=value(build, DEFINITE).shape))
        np.testing.assert_allclose(dx, transposed(dx), rtol=1e-12)


@pytest.mark.parametrize("build", [f.cholesky, f.eigenvalues, f.matrix_exp])
def test_square_matrices_are_asked_for(build):
    with pytest.raises(ShapeError, match="needs square matrices"):
        value(build, TALL)


def test_qr_of_wide_matrices_is_refused():
    with pytest.raises(ShapeError, match="at least as many rows as columns"):
        value(f.qr_q, WIDE)
