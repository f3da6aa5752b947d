"""`chainrule.linalg` and `chainrule.special`: values, gradients, names in the graph, errors."""
from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as torch

SQUARE = [[4.0, 1.0, 0.5], [2.0, 3.0, 0.0], [1.0, 0.25, 5.0]]
DEFINITE = [[4.0, 2.0, 0.5], [2.0, 3.0, 0.25], [0.5, 0.25, 2.0]]
TALL = [[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]
RIGHT = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0], [2.0, 1.0, -1.0]], dtype=torch.float64)
CASES = {
    "det": (torch.linalg.det, SQUARE, "LinalgDetBackward0"),
    "logabsdet": (lambda a: torch.linalg.slogdet(a).logabsdet, SQUARE, "LinalgSlogdetBackward0"),
    "logdet": (torch.logdet, SQUARE, "WhereBackward0"),
    "inv": (torch.linalg.inv, SQUARE, "LinalgInvExBackward0"),
    "solve": (lambda a: torch.linalg.solve(a, RIGHT), SQUARE, "LinalgSolveExBackward0"),
    "solve from the right": (lambda a: torch.linalg.solve(a, RIGHT, left=False), SQUARE, "LinalgSolveExBackward0"),
    "solve_triangular": (lambda a: torch.linalg.solve_triangular(a, RIGHT, upper=True), SQUARE, "LinalgSolveTriangularBackward0"),
    "cholesky": (lambda a: torch.linalg.cholesky((a + a.mT) / 2), DEFINITE, "LinalgCholeskyExBackward0"),
    "eigvalsh": (lambda a: torch.linalg.eigvalsh((a + a.mT) / 2), DEFINITE, "LinalgEighBackward0"),
    "svdvals": (torch.linalg.svdvals, TALL, "LinalgSvdBackward0"),
    "qr": (lambda a: torch.linalg.qr(a).R, TALL, "LinalgQrBackward0"),
    "pinv": (torch.linalg.pinv, TALL, "LinalgPinvBackward0"),
    "matrix_exp": (lambda a: torch.linalg.matrix_exp(a / 4), SQUARE, "LinalgMatrixExpBackward0"),
    "norm": (torch.linalg.norm, TALL, "LinalgVectorNormBackward0"),
    "matrix_norm 1": (lambda a: torch.linalg.matrix_norm(a, 1), TALL, ""),
    "matrix_norm nuc": (lambda a: torch.linalg.matrix_norm(a, "nuc"), TALL, ""),
    "matrix_power": (lambda a: torch.linalg.matrix_power(a, 3), SQUARE, ""),
    "multi_dot": (lambda a: torch.linalg.multi_dot([a, a.mT, a]), TALL, ""),
    "entr": (lambda a: torch.special.entr(a), TALL, "SpecialEntrBackward0"),
    "ndtr": (lambda a: torch.special.ndtr(a / 4), TALL, "MulBackward1"),
    "mvlgamma": (lambda a: torch.mvlgamma(a + 1, 2), TALL, ""),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_differences(name):
    function, rows, node = CASES[name]
    a = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    y = function(a)
    weights = torch.from_numpy(np.random.default_rng(0).uniform(0.5, 1.5, tuple(y.shape)))
    (y * weights).sum().backward()
    if node:
        assert y.grad_fn.name() == node
    step, base = 1e-6, a.detach().numpy()
    for place in np.ndindex(base.shape):
        moved = np.zeros_like(base)
        moved[place] = step
        ahead, behind = ((function(torch.from_numpy(base + sign * moved)) * weights).sum().item() for sign in (1, -1))
        assert a.grad.numpy()[place] == pytest.approx((ahead - behind) / (2 * step), rel=1e-6, abs=1e-7)


def test_full_factors_of_a_matrix_that_is_not_square():
    u, s, vh = torch.linalg.svd(torch.tensor(TALL, dtype=torch.float64))
    assert (tuple(u.shape), tuple(vh.shape)) == ((3, 3), (2, 2))
    np.testing.assert_allclose((u[:, :2] * s) @ vh, TALL, rtol=1e-12)


def test_stacks_and_vectors_are_solved():
    a = torch.tensor([SQUARE, DEFINITE], dtype=torch.float64)
    vectors = torch.linalg.solve(a, torch.ones(2, 3, dtype=torch.float64))
    np.testing.assert_allclose((a @ vectors.unsqueeze(-1)).squeeze(-1), np.ones((2, 3)), rtol=1e-12)
    assert torch.linalg.solve(a, torch.ones(3, 4, dtype=torch.float64)).shape == (2, 3, 4)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: torch.linalg.inv(torch.ones(2, 2)), "The diagonal element 2 is zero, the inversion could not be completed"),
    (lambda: torch.linalg.solve(torch.zeros(1, 2, 2), torch.ones(2)), r"torch.linalg.solve: \(Batch element 0\): The solver failed"),
    (lambda: torch.linalg.cholesky(torch.tensor([[1.0, 2.0], [2.0, 1.0]])), "the leading minor of order 2 is not positive-definite"),
])
def test_matrices_without_an_answer_are_refused(call, message):
    with pytest.raises(torch.linalg.LinAlgError, match=message):
        call()


def test_entropy_outside_its_domain():
    y = torch.special.entr(torch.tensor([-1.0, 0.0, math.nan]))
    assert y[0] == -math.inf
    assert y[1] == 0
    assert y[2].isnan()


def test_xlog1py_at_zero():
    assert torch.special.xlog1py(torch.tensor([0.0]), torch.tensor([-1.0])).item() == 0
