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


FUNCTIONS = {
    "elementwise": lambda x, w: torch.exp(x) * w.sum() / (1 + x ** 2),
    "product": lambda x, w: w @ x.reshape(3, 1) @ x.reshape(1, 3),
    "reduce": lambda x, w: torch.logsumexp(x, 0) + x.max() * torch.softmax(w, 0).std(),
    "sort": lambda x, w: torch.sort(x).values * w + torch.cumsum(x, 0),
    "index": lambda x, w: torch.stack([x[0] * w[-1], x[1:].sum(), w[torch.tensor([0, 2])].prod()]),
    "where": lambda x, w: torch.where(x > 0, torch.sqrt(x.clamp(min=0)) * w, w - x),
    "inplace": lambda x, w: torch.zeros(3, dtype=torch.float64).index_add_(0, torch.tensor([0, 0, 2]), x * w).mul_(2),
    "written": lambda x, w: write(x * 1, w),
    "views": lambda x, w: torch.cat([x.view(1, 3).expand(2, 3).T.flatten(), w.flip(0)]),
    "constant": lambda x, w: w * 2,
}


def write(x, w):
    x[1] = w[0] * 2
    return x


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap_runs_the_function_once_and_agrees_with_a_loop(name):
    calls = []

    def function(x, w):
        calls.append(1)
        return FUNCTIONS[name](x, w)

    generator = np.random.default_rng(1)
    arrays = generator.standard_normal((4, 3)), generator.standard_normal(3)

    def all_of(randomness):  # each example by itself, if random numbers would have to differ
        x, w = (torch.tensor(array, requires_grad=True) for array in arrays)
        out = vmap(function, in_dims=(0, None), randomness=randomness)(x, w)
        first = torch.autograd.grad((torch.sin(out) ** 2).sum(), (x, w), create_graph=True, allow_unused=True, materialize_grads=True)
        second = torch.autograd.grad(sum((g ** 2).sum() for g in first), (x, w), allow_unused=True, materialize_grads=True)
        return out, *first, *second

    at_once = all_of("error")
    assert len(calls) == 1
    for actual, expected in zip(at_once, all_of("different"), strict=True):
        np.testing.assert_allclose(actual.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_vmap_falls_back_to_a_loop_where_contents_are_needed():
    x = torch.tensor([[1.0, -1.0], [2.0, 3.0]])
    assert vmap(lambda r: r[r.argmax()])(x).tolist() == [1.0, 3.0]
    assert vmap(lambda r: r[r > 0].sum())(x).tolist() == [1.0, 5.0]
    matrices = torch.tensor(np.random.default_rng(0).standard_normal((3, 2, 2)))
    close(vmap(torch.linalg.inv)(matrices), np.linalg.inv(matrices.numpy()))


def test_vmap_refuses_numbers_of_an_example():
    x = torch.ones(2, 3)
    with pytest.raises(RuntimeError, match=r"vmap: It looks like you're calling .item\(\) on a Tensor"):
        vmap(lambda t: t.sum().item())(x)
    with pytest.raises(RuntimeError, match="data-dependent control flow"):
        vmap(lambda t: t if t.sum() > 0 else -t)(x)
    with pytest.raises(RuntimeError, match="called random operation"):
        vmap(lambda t: t + torch.rand(3))(x)
    assert len({tuple(r) for r in vmap(lambda t: torch.rand(3), randomness="different")(x).tolist()}) == 2
    assert len({tuple(r) for r in vmap(lambda t: torch.rand(3), randomness="same")(x).tolist()}) == 1


def test_gradients_reach_tensors_that_the_function_closes_over():
    w = vector(1.0, 2.0, 3.0, requires_grad=True)
    hidden = w * 2
    xs = torch.tensor(np.arange(6.0).reshape(2, 3))
    vmap(lambda x: (hidden * x).sum() + w[0])(xs).sum().backward()
    close(w.grad, [8.0, 10.0, 14.0])


def test_nested_vmap_and_gradients():
    xs = torch.tensor(np.random.default_rng(3).standard_normal((2, 4, 3)))
    ws = torch.tensor(np.random.default_rng(4).standard_normal((2, 3)))

    def loss(w, x):
        return torch.tanh((w * x).sum()) ** 2

    found = vmap(lambda w, rows: vmap(hessian(loss), in_dims=(None, 0))(w, rows))(ws, xs)
    expected = np.stack([[hessian(loss)(w, x).numpy() for x in rows] for w, rows in zip(ws, xs, strict=True)])
    close(found, expected)
    shared = np.array([1.0, 2.0])
    close(vmap(lambda x: x * torch.from_numpy(shared))(torch.ones(2, 2, dtype=torch.float64)), [[1.0, 2.0], [1.0, 2.0]])


def test_a_part_of_an_example_does_not_leave_vmap():
    kept = []
    vmap(lambda t: kept.append(t) or t)(torch.ones(2))
    with pytest.raises(RuntimeError, match="a value of a single example"):
        kept[0].item()


def test_jacobians_met_before_are_one_program(monkeypatch):
    from chainrule.runtime.tensor import engine

    kept = []

    def f(x):
        kept[:] = [x * 2]
        return torch.sin(x) * kept[0].sum()

    def by_hand(x):
        return np.diag(np.cos(x)) * 2 * x.sum() + 2 * np.sin(x)[:, None]

    def check(seed):
        x = np.random.default_rng(seed).normal(size=3)
        for made in (jacrev(f)(torch.tensor(x)), functional.jacobian(f, torch.tensor(x))):
            np.testing.assert_allclose(made.numpy(), by_hand(x), rtol=1e-12)
            np.testing.assert_allclose(kept[0].detach().numpy(), 2 * x)

    for seed in range(40):
        check(seed)
    monkeypatch.setattr(engine, "_walk", None)
    check(41)


def test_a_forward_jacobian_is_transposed_once(monkeypatch):
    from chainrule.runtime.transforms import derivatives

    made = []
    real = derivatives.transposed
    monkeypatch.setattr(derivatives, "transposed", lambda *args: made.append(1) or real(*args))
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    np.testing.assert_allclose(hessian(lambda x: (x**3).sum() + x.prod())(x).numpy(), [[6, 3, 2], [3, 12, 1], [2, 1, 18]])
    assert len(made) == 1
