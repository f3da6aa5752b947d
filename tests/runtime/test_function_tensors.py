"""Decorated functions called with Tensors."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as torch
from chainrule import grad


@grad
def loss(w: Any, b: Any, x: Any, y: Any) -> Any:
    return np.mean((x @ w + b - y) ** 2)


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 3)).astype(np.float32), rng.normal(size=20).astype(np.float32)


def parameters() -> tuple[Any, Any]:
    return torch.tensor([1.0, 2.0, 3.0], requires_grad=True), torch.tensor(0.5, requires_grad=True)


def test_backward_runs_the_compiled_gradient_and_accumulates() -> None:
    (x, y), (w, b) = data(), parameters()
    value = loss(w, b, torch.from_numpy(x), torch.from_numpy(y))
    assert value.grad_fn.name() == "lossBackward"
    assert value.dtype == torch.float32
    value.backward()
    dw, db, *_ = loss.grad(np.array([1, 2, 3], np.float32), np.float32(0.5), x, y)
    np.testing.assert_array_max_ulp(w.grad.numpy(), dw, 2)  # a cotangent is an input here: another program, another order of sums
    np.testing.assert_array_max_ulp(b.grad.numpy(), db, 2)
    first = w.grad.numpy().copy()
    loss(w, b, x, y).backward()  # arrays beside Tensors
    np.testing.assert_array_equal(w.grad.numpy(), 2 * first)


def test_every_input_that_requires_grad_is_reached_whatever_wrt() -> None:
    f = grad(wrt="a")(lambda a, b: np.sum(a * b))
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0], requires_grad=True)
    f(a, b).backward()
    assert a.grad.tolist() == [3.0, 4.0]
    assert b.grad.tolist() == [1.0, 2.0]


def test_a_graph_goes_through_the_function() -> None:
    f = grad(lambda v: np.sin(v) * v)
    x = torch.tensor([0.5, 1.5], requires_grad=True)
    (f(x * 2) * 3).sum().backward()
    u = 2 * np.array([0.5, 1.5], np.float32)
    np.testing.assert_allclose(x.grad.numpy(), 6 * (np.cos(u) * u + np.sin(u)), rtol=1e-6)


def test_second_derivatives() -> None:
    (x, y), (w, b) = data(), parameters()
    g, = torch.autograd.grad(loss(w, b, x, y), w, create_graph=True)
    assert g.requires_grad
    h, = torch.autograd.grad(g.sum(), w)
    np.testing.assert_allclose(h.numpy(), (2 / 20 * x.T @ x).sum(0), rtol=1e-5)


def test_without_grad_there_is_no_graph() -> None:
    (x, y), (w, b) = data(), parameters()
    with torch.no_grad():
        assert not loss(w, b, x, y).requires_grad
    assert not loss(w.detach(), b.detach(), x, y).requires_grad


def test_structures_of_tensors() -> None:
    @grad
    def two(p: Any) -> Any:
        return {"product": p["a"] * p["b"][0], "cosine": np.cos(p["a"])}

    a, b = torch.tensor([0.5, 1.0], requires_grad=True), torch.tensor(2.0, requires_grad=True)
    made = two({"a": a, "b": [b]})
    assert list(made) == ["product", "cosine"]
    (made["product"].sum() + made["cosine"].sum()).backward()
    np.testing.assert_allclose(a.grad.numpy(), 2 - np.sin([0.5, 1.0]), rtol=1e-6)
    assert b.grad.item() == 1.5


def test_methods_answer_with_tensors() -> None:
    (x, y), (w, b) = data(), parameters()
    value, gradients = loss.value_and_grad(w, b, x, y)
    assert isinstance(value, torch.Tensor)
    assert not value.requires_grad
    assert all(isinstance(g, torch.Tensor) for g in gradients)
    hessian = grad(lambda v: np.sum(v**3)).hessian(torch.tensor([1.0, 2.0]))
    assert hessian.tolist() == [[6.0, 0.0], [0.0, 12.0]]


def test_numpy_meaning_is_kept() -> None:
    spread = grad(lambda v: np.std(v))
    assert spread(torch.tensor([1.0, 2.0, 3.0])).item() == pytest.approx(np.std([1, 2, 3]))  # torch's would divide by n - 1


def test_a_second_backward_needs_retain_graph() -> None:
    (x, y), (w, b) = data(), parameters()
    value = loss(w, b, x, y)
    value.backward(retain_graph=True)
    value.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        value.backward()
