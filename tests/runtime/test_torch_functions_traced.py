"""torch's functions inside decorated functions: torch's meaning, traced and differentiated."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import grad
from chainrule.compiler.errors import TraceError

X = np.random.default_rng(0).normal(size=(3, 4))
CASES: dict[str, Callable[[Any, Any], Any]] = {
    "exp": lambda c, x: c.exp(x).sum(),
    "softmax": lambda c, x: (c.softmax(x, dim=1) ** 2).sum(),
    "std": lambda c, x: c.std(x, dim=0).sum(),
    "var": lambda c, x: c.var(x),
    "sum": lambda c, x: (c.sum(x, dim=1, keepdim=True) ** 2).sum(),
    "sum_of_axes": lambda c, x: (c.sum(x, axis=1, keepdims=True) ** 2).sum(),
    "where": lambda c, x: c.where(x > 0, x, c.exp(x)).sum(),
    "cat": lambda c, x: (c.cat([x, x * 2], dim=0) ** 2).sum(),
    "stack": lambda c, x: (c.stack((x, x * 2), dim=-1) ** 2).sum(),
    "clamp": lambda c, x: c.clamp(x, -0.5, 0.5).sum(),
    "logsumexp": lambda c, x: c.logsumexp(x, dim=0).sum(),
    "max_of_axis": lambda c, x: c.max(x, dim=1).values.sum(),
    "einsum": lambda c, x: c.einsum("ij,kj->ik", x, x).sum(),
    "matmul": lambda c, x: c.matmul(x, c.transpose(x, 0, 1)).sum(),
    "sigmoid": lambda c, x: c.sigmoid(x).sum(),
    "flatten": lambda c, x: (c.flatten(x) ** 2).sum(),
}


def eager_gradient(case: Callable[[Any, Any], Any], x: Any) -> Any:
    tensor = cr.tensor(x.tolist(), dtype=cr.float64, requires_grad=True)
    case(cr, tensor).backward()
    return tensor.grad.numpy()


@pytest.mark.parametrize("name", CASES)
def test_gradient_is_that_of_eager_tensors(name: str) -> None:
    case = CASES[name]
    compiled = grad(lambda x: case(cr, x))
    np.testing.assert_allclose(compiled.grad(X), eager_gradient(case, X), rtol=1e-10)
    taller = np.vstack([X, X[:1]])
    np.testing.assert_allclose(compiled.grad(taller), eager_gradient(case, taller), rtol=1e-10)


def test_numpy_and_torch_meanings_side_by_side() -> None:
    both = grad(lambda x: np.std(x) / cr.std(x))
    assert both(X) == pytest.approx(np.std(X) / np.std(X, ddof=1))


def test_a_tensor_from_outside_is_a_constant() -> None:
    weights = cr.tensor([1.0, 2.0, 3.0, 4.0], dtype=cr.float64)
    weighted = grad(lambda x: cr.mul(weights, x).sum())
    np.testing.assert_array_equal(weighted.grad(X), np.broadcast_to([1.0, 2.0, 3.0, 4.0], X.shape))


def test_a_value_that_is_needed_is_an_error_at_the_users_line() -> None:
    @grad
    def picks(x: Any) -> Any:
        return cr.exp(x).sum() if cr.exp(x).sum() > 0 else x.sum()

    with pytest.raises(TraceError, match=r"test_torch_functions_traced\.py"):
        picks(X)


def test_arrays_outside_of_a_trace_are_refused_with_a_hint() -> None:
    with pytest.raises(TypeError, match=r"must be Tensor, not numpy.ndarray \(for NumPy arrays: np.exp"):
        cr.exp(X)
