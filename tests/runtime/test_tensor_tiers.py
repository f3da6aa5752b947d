"""Structures that repeat are compiled: how often exactly, for which sizes, and with the same bits."""
from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import chainrule as torch
from chainrule.runtime.optimizers import steps
from chainrule.runtime.tensor import evaluate, look, plan


def interpreted(monkeypatch):
    monkeypatch.setenv("CHAINRULE_TIER", "interpret")
    plan._plans.clear()
    steps._plans.clear()


def four_operations(x, y):
    z = x**2 * y + x * y
    z.backward()
    found = z.item(), x.grad.item(), y.grad.item()
    x.grad = y.grad = None
    return found


def test_a_backward_pass_is_compiled_once_it_has_repeated(counted):
    x, y = torch.tensor(3.0, requires_grad=True), torch.tensor(4.0, requires_grad=True)
    for k in range(evaluate.MANY):
        assert four_operations(x, y) == (48, 28, 12)
        assert not counted, k
    for _ in range(20):
        assert four_operations(x, y) == (48, 28, 12)
    assert len(counted) == 1
    assert counted[0].program.entry is not None


def test_the_first_evaluations_do_not_compile(counted):
    x = torch.ones(300, 300, requires_grad=True)
    for _ in range(evaluate.FEW - 1):
        (x.sin() * x).sum().backward()
    assert not counted


def test_sizes_and_numbers_do_not_compile_again(counted):
    rng = np.random.default_rng(0)
    w = torch.tensor(rng.normal(size=3), requires_grad=True)
    for k in range(60):
        x = torch.tensor(rng.normal(size=(2 + k % 7, 3)))
        loss = ((x @ w) * (0.1 + k)).square().mean()
        loss.backward()
        array, weights = np.array(x.tolist()), np.array(w.tolist())
        np.testing.assert_allclose(w.grad.tolist(), 2 * (0.1 + k) ** 2 * array.T @ (array @ weights) / len(x), rtol=1e-12)
        w.grad = None
    assert len(counted) == 1
    assert all(one is not None for one in counted)


def test_equal_numbers_are_not_taken_for_one(counted):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    for k in range(60):
        a, b = (3.0, 3.0) if k < 50 else (3.0, 5.0 + k)
        z = (x * a + b).sum()
        z.backward()
        assert z.item() == 3 * a + 2 * b
        assert x.grad.tolist() == [a, a]
        x.grad = None
    assert len(counted) == 1


def training(optimizer, steps, batches, **options):
    rng = np.random.default_rng(1)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    step = getattr(torch.optim, optimizer)(model.parameters(), **options)
    losses = []
    for k in range(steps):
        n = batches[k % len(batches)]
        x = torch.tensor(rng.normal(size=(n, 5)).astype(np.float32))
        y = torch.tensor(rng.integers(0, 3, n))
        step.param_groups[0]["lr"] = 0.1 / (1 + k)
        loss = torch.nn.functional.cross_entropy(model(x), y)
        step.zero_grad()
        loss.backward()
        step.step()
        losses.append(loss.item())
    return losses, [p.detach().numpy().copy() for p in model.parameters()]


OPTIMIZERS = [("SGD", {}), ("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {}), ("RMSprop", {})]


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_a_training_loop_compiles_two_programs(counted, optimizer, options):
    training(optimizer, 80, [16, 16, 9], **options)
    assert len(counted) == 2, "value and gradients; the step"
    assert all(one is not None for one in counted)


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_a_training_loop_learns_the_same_interpreted(monkeypatch, counted, optimizer, options):
    losses, parameters = training(optimizer, 60, [16, 9], **options)
    assert counted
    interpreted(monkeypatch)
    wanted, their = training(optimizer, 60, [16, 9], **options)
    np.testing.assert_allclose(losses, wanted, rtol=1e-4)
    for a, b in zip(parameters, their, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)


def test_what_is_looked_at_later_is_part_of_the_program(counted):
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    for k in range(50):
        out = w * (k + 1.0)
        (out * out).sum().backward()
        assert out._value.array is not None
        assert out.tolist() == [k + 1, 2 * (k + 1)]
        w.grad = None
    assert len(counted) == 1


def test_gradients_accumulate_in_place():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x * 3).sum().backward()
    first, before = x.grad, x.grad._version
    for k in range(50):
        (x * 3).sum().backward()
        assert x.grad is first
        assert x.grad.tolist() == [3 * (k + 2)] * 2
    assert first._version == before + 50


def test_a_graph_that_was_walked_is_freed():
    x, y = torch.tensor(3.0, requires_grad=True), torch.tensor(4.0, requires_grad=True)
    for _ in range(40):
        z = x * y
        z.backward(retain_graph=True)
        z.backward()
        with pytest.raises(RuntimeError, match="second time"):
            z.backward()
        total = x + y
        total.backward()
        total.backward()  # a sum saves nothing
        assert x.grad.item() == 10
        x.grad = y.grad = None


def test_losses_that_are_kept_keep_no_parameters():
    w = torch.ones(1000, requires_grad=True)
    kept, values = [], []
    for _ in range(40):
        loss = (w * 2).sum()
        loss.backward()
        values.append(weakref.ref(w._storage.value))
        with torch.no_grad():
            w -= 0.001 * w.grad
        w.grad = None
        kept.append(loss)
    gc.collect()
    assert sum(value() is not None for value in values) <= 1
    assert kept[0].grad_fn.next_functions[0][0].next_functions[0][0].variable is w


def test_a_leaf_lives_as_long_as_its_graph():
    seen = []

    def loss():
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        x.register_hook(seen.append)
        return (x * x).sum()

    loss().backward()
    assert seen[0].tolist() == [2, 4]
    made = (torch.tensor([3.0], requires_grad=True) * 2).sum()
    gc.collect()
    made.backward()
    assert made.grad_fn.next_functions[0][0].next_functions[0][0].variable.grad.tolist() == [2]


def test_writing_to_what_was_saved_is_seen():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    z = (y * y).sum()
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"output 0 of Add, is at version 1; expected version 0"):
        z.backward()


def test_tables_are_bounded(monkeypatch):
    monkeypatch.setattr(look, "MOST_PLANS", 4)
    plan._plans.clear()
    for n in range(2, 12):
        torch.ones(n, requires_grad=True).sum().backward()
    assert len(plan._plans) <= 4


UNARY = ["exp", "tanh", "sin", "cos", "sigmoid", "log1p", "erf", "atan", "expm1", "square", "neg", "abs", "relu", "sinh"]


def random_program(rng, dtype):
    """Inputs, and a function of them without sums, whose gradient with respect to all of them is wanted."""
    shape = tuple(rng.integers(1, 6, rng.integers(0, 3)))
    inputs = [torch.tensor(rng.uniform(0.1, 1.5, shape), dtype=dtype, requires_grad=True) for _ in range(3)]
    steps = [(rng.integers(0, 4), rng.integers(0, 3 + k), rng.integers(0, 3 + k), rng.choice(UNARY), float(rng.uniform(0.5, 2)))
             for k in range(6)]

    def program():
        values = list(inputs)
        for kind, a, b, name, number in steps:
            x, y = values[a], values[b]
            made = getattr(torch, name)(x) if kind == 0 else x * y if kind == 1 else x - number * y if kind == 2 else x / (y * y + number)
            values.append(made)
        return values[-1] * inputs[0] + inputs[1] * inputs[2]

    return inputs, program


@pytest.mark.parametrize("seed", range(12))
def test_tiers_agree_to_the_last_bit_where_nothing_is_summed(counted, seed):
    rng = np.random.default_rng(seed)
    dtype = torch.float32 if seed % 2 else torch.float64
    inputs, program = random_program(rng, dtype)
    weights = torch.tensor(rng.uniform(0.5, 1.5, inputs[0].shape), dtype=dtype)
    seen = set()
    for _ in range(evaluate.MANY + 4):
        out = program()
        out.backward(weights)
        results = [out.detach().tolist(), *(x.grad.tolist() for x in inputs)]
        seen.add(np.array(results).tobytes())
        for x in inputs:
            x.grad = None
    assert counted
    assert all(one is not None for one in counted)
    assert len(seen) == 1


def test_functions_have_the_same_bits_alone_and_compiled(counted):
    x = torch.tensor(np.random.default_rng(0).normal(size=257).astype(np.float32))
    seen = {torch.tanh(torch.exp(x) * 0.5).numpy().tobytes() for _ in range(evaluate.MANY + 4)}
    assert len(counted) == 1
    assert len(seen) == 1
    one = torch.tensor([float(x[3])])
    assert torch.exp(one).item() == torch.exp(x)[3].item()


def test_work_without_gradients_is_compiled_too(counted):
    w = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    with torch.no_grad():
        for k in range(50):
            x = torch.full((2 + k % 5, 2), float(k))
            assert ((x @ w).relu() + 1).sum().item() == x.shape[0] * (10 * k + 2)
    assert len(counted) == 1


def test_the_environment_keeps_the_interpreter(monkeypatch, counted):
    interpreted(monkeypatch)
    x, y = torch.tensor(3.0, requires_grad=True), torch.tensor(4.0, requires_grad=True)
    for _ in range(50):
        assert four_operations(x, y) == (48, 28, 12)
    assert not counted


def test_data_in_shared_memory_is_read_when_it_is_used(counted):
    array = np.ones((4, 3))
    x, w = torch.from_numpy(array), torch.ones(3, dtype=torch.float64, requires_grad=True)
    for k in range(50):
        array[:] = k
        out = x @ w
        array[0] = -1.0
        out.sum().backward()
        assert out.tolist() == [3.0 * k] * 4
        assert w.grad.tolist() == [3.0 * k - 1] * 3  # the backward pass reads what is there now, as torch does
        w.grad = None
    assert all(one is not None for one in counted)


def test_gradients_share_no_memory_with_data(counted):
    array = np.array([1.0, 2.0])
    y, x = torch.from_numpy(array), torch.ones(2, dtype=torch.float64, requires_grad=True)
    for _ in range(50):
        x.grad = None
        (x * y).sum().backward()
        array += 1
        assert x.grad.tolist() == (array - 1).tolist()
    z = torch.ones(2, requires_grad=True)
    (copied := z.clone()).sum().backward()
    memory = z.detach().numpy()
    again = z.clone()
    memory[0] = 7
    assert again.tolist() == copied.tolist() == [1, 1]


def test_a_freed_part_of_two_graphs_still_has_its_value():
    x = torch.tensor(2.0, requires_grad=True)
    h = x**2
    a, b, c = h * 3, h * 4, h + 1
    a.backward()
    with pytest.raises(RuntimeError, match="second time"):
        b.backward()
    assert (b.item(), c.item(), h.item()) == (16, 5, 4)
    d = h * 2
    with pytest.raises(RuntimeError, match="second time"):
        d.backward()


def test_functions_of_float32_are_rounded_once(counted):
    x = torch.tensor([4.0, 0.1])
    for _ in range(evaluate.MANY + 4):
        assert (torch.exp(x) * 2).tolist() == (2 * np.exp(np.array(x.tolist())).astype(np.float32)).tolist()
    assert len(counted) == 1
