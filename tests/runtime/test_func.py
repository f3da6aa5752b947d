"""`func`, `autograd.functional` and `forward_ad`: against formulas, and against the same thing written with loops."""
from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as torch
from chainrule.autograd import forward_ad, functional
from chainrule.func import functional_call, grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

X = [0.3, -1.2, 2.0]


def vector(*values, **options):
    return torch.tensor(list(values), dtype=torch.float64, **options)


def close(actual, expected):
    np.testing.assert_allclose(actual.detach().numpy(), np.asarray(expected), rtol=1e-10, atol=1e-12)


def test_nested_gradients():
    function = torch.sin
    for expected in (math.cos(0.7), -math.sin(0.7), -math.cos(0.7)):
        function = grad(function)
        close(function(torch.tensor(0.7, dtype=torch.float64)), expected)


def test_a_gradient_of_a_gradient_does_not_confuse_the_variables():
    # d/dx [x * d/dy (x + y)] = 1
    def inner(x):
        return x * grad(lambda y: x + y)(torch.tensor(1.0))

    assert grad(inner)(torch.tensor(1.0)).item() == 1.0


def test_structures_and_argnums():
    def function(params, x):
        return (params["w"] * x).sum() + params["b"][0]

    params = {"w": vector(1.0, 2.0), "b": (vector(3.0).sum(), [])}
    found = grad(function)(params, vector(5.0, 6.0))
    close(found["w"], [5.0, 6.0])
    close(found["b"][0], 1.0)
    both = grad(function, argnums=(1, 0))(params, vector(5.0, 6.0))
    close(both[0], [1.0, 2.0])
    value, (result, aux) = grad_and_value(lambda x: ((x ** 2).sum(), "aux"), has_aux=True)(vector(*X))
    close(value, 2 * np.array(X))
    close(result, (np.array(X) ** 2).sum())
    assert aux == "aux"


def test_results_leave_the_graph_unless_somebody_outside_needs_it():
    assert not grad(lambda t: t ** 3)(torch.tensor(2.0)).requires_grad
    outside = torch.tensor(2.0, requires_grad=True)
    slope = grad(lambda t: t ** 3 * outside)(torch.tensor(3.0))
    slope.backward()
    assert outside.grad.item() == 27.0
    with torch.no_grad():
        assert not grad(lambda t: t ** 3 * outside)(torch.tensor(3.0)).requires_grad


def test_the_arguments_get_no_grad():
    x = vector(*X, requires_grad=True)
    found = grad(lambda t: (t ** 2).sum())(x)
    assert x.grad is None
    found.sum().backward()
    close(x.grad, [2.0, 2.0, 2.0])


def jacobian_by_formula(x):
    return np.array([[x[1], x[0], 0.0], [0.0, math.cos(x[1]), 0.0]])


def two(x):
    return torch.stack([x[0] * x[1], torch.sin(x[1])])


@pytest.mark.parametrize("transform", [jacrev, jacfwd])
def test_jacobians(transform):
    close(transform(two)(vector(*X)), jacobian_by_formula(X))
    first, second = transform(lambda x, y: (x * y, y.sum()), argnums=1)(vector(1.0, 2.0), vector(3.0, 4.0))
    close(first, np.diag([1.0, 2.0]))
    close(second, [1.0, 1.0])
    close(functional.jacobian(two, vector(*X)), jacobian_by_formula(X))


def test_jacobians_of_nothing_have_the_right_shape():
    assert jacrev(lambda x: x[:0])(vector(*X)).shape == (0, 3)
    assert jacfwd(lambda x: x * 2)(vector(*X)[:0]).shape == (0, 0)


def test_hessians_agree():
    def function(x):
        return (x ** 3).sum() + x.prod()

    x = vector(*X)
    expected = np.diag(6 * np.array(X)) + np.array([[0, X[2], X[1]], [X[2], 0, X[0]], [X[1], X[0], 0]])
    for made in (hessian(function)(x), jacrev(jacrev(function))(x), jacfwd(jacfwd(function))(x), jacrev(jacfwd(function))(x),
                 functional.hessian(function, x)):
        close(made, expected)
    v = vector(1.0, -2.0, 0.5)
    for product in (functional.hvp, functional.vhp):
        close(product(function, x, v)[1], expected @ v.numpy())


def test_products_with_jacobians():
    x, v, ct = vector(*X), vector(1.0, 2.0, 3.0), vector(-1.0, 4.0)
    expected = jacobian_by_formula(X)
    value, pull = vjp(two, x)
    close(value, [X[0] * X[1], math.sin(X[1])])
    close(pull(ct)[0], ct.numpy() @ expected)
    close(pull(ct)[0], ct.numpy() @ expected)
    close(jvp(two, (x,), (v,))[1], expected @ v.numpy())
    close(linearize(two, x)[1](v), expected @ v.numpy())
    close(functional.vjp(two, x, ct)[1], ct.numpy() @ expected)
    close(functional.jvp(two, x, v)[1], expected @ v.numpy())
    with forward_ad.dual_level():
        close(forward_ad.unpack_dual(two(forward_ad.make_dual(x, v))).tangent, expected @ v.numpy())


def test_forward_mode_is_differentiable():
    def directional(x):
        return jvp(lambda t: (t ** 3).sum(), (x,), (torch.ones_like(x),))[1]

    close(grad(directional)(vector(*X)), 6 * np.array(X))


def test_strict_mode_refuses_what_does_not_depend_on_the_inputs():
    with pytest.raises(RuntimeError, match="Output 0 of the user-provided function is independent of input 1"):
        functional.jacobian(lambda x, y: x * 2, (vector(1.0), vector(1.0)), strict=True)
    close(functional.jacobian(lambda x, y: x * 2, (vector(1.0), vector(1.0)))[1], [[0.0]])


def test_vmap_agrees_with_a_loop():
    xs = torch.tensor(np.random.default_rng(0).standard_normal((4, 3)))
    w = vector(1.0, -2.0, 0.5)

    def loss(w, x):
        return torch.tanh(w @ x) ** 2

    close(vmap(loss, in_dims=(None, 0))(w, xs), [loss(w, x).item() for x in xs])
    close(vmap(grad(loss), in_dims=(None, 0))(w, xs), np.stack([grad(loss)(w, x).numpy() for x in xs]))
    close(grad(lambda w: vmap(loss, in_dims=(None, 0))(w, xs).sum())(w), sum(grad(loss)(w, x).numpy() for x in xs))
    close(vmap(lambda c: c * 2, in_dims=1, out_dims=-1)(xs), 2 * xs.numpy())
    close(vmap(vmap(torch.sin), in_dims=1)(xs), np.sin(xs.numpy().T))


def test_vmap_is_torchs_for_tensors():
    assert torch.vmap(lambda r: r.sum())(torch.ones(2, 3)).tolist() == [3.0, 3.0]


def test_functional_call_leaves_the_module_as_it_was():
    module = torch.nn.Linear(2, 1)
    before = module.weight
    made = functional_call(module, {"weight": torch.tensor([[1.0, -1.0]])}, (torch.tensor([[3.0, 1.0]]),))
    assert made.item() == pytest.approx(2.0 + module.bias.item())
    assert module.weight is before
    with pytest.raises(RuntimeError, match="Missing key"):
        functional_call(module, {"weight": before}, (torch.ones(1, 2),), strict=True)
