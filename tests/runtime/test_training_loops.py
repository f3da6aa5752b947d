"""What a training loop runs, once its structure has repeated: which kernels, how many programs, and that it learns what torch learns."""
from __future__ import annotations

import gc
import weakref
from itertools import pairwise

import numpy as np
import pytest

import chainrule as torch
from chainrule.runtime.optimizers import steps
from chainrule.runtime.tensor import evaluate


def shape_of(program):
    """The kinds of steps of a compiled program; of row blocks their members."""
    found = []
    for step in program.program.scheduled.steps:
        members = [type(m.step).__name__ for m in getattr(step, "members", ())]
        found.append((type(step).__name__, members) if members else type(step).__name__)
    return found


def classified(sizes, rows=24, seed=0):
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    layers = []
    for a, b in pairwise(sizes):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    x = torch.tensor(rng.normal(size=(rows, sizes[0])).astype(np.float32))
    y = torch.tensor(rng.integers(0, sizes[-1], rows))
    return model, x, y


def test_a_network_runs_in_row_blocks_with_nothing_copied(counted):
    model, x, y = classified((12, 16, 5))
    step = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(evaluate.MANY + 2):
        step.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        step.step()
    backward, update = counted
    products = ["Product", "Kernel", "Product", "Kernel", "Product", "Product", "Kernel", "Product", "Kernel"]
    assert shape_of(backward) == ["Kernel", ("RowBlocks", products), "Kernel"], "how many targets count; the rows; their mean"
    assert len(shape_of(update)) == 4, "a kernel for each parameter"


def test_a_step_that_ran_compiled_is_not_recorded_again(counted, monkeypatch):
    model, x, y = classified((3, 4, 2))
    step = torch.optim.Adam(model.parameters(), lr=0.1)
    recorded, until_compiled = [], None
    original = steps._recorded
    monkeypatch.setattr(steps, "_recorded", lambda *args: recorded.append(args) or original(*args))
    for k in range(evaluate.MANY + 10):
        step.param_groups[0]["lr"] = 0.1 / (1 + k)
        step.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        step.step()
        if len(counted) == 2 and until_compiled is None:
            until_compiled = len(recorded)
    assert len(recorded) == until_compiled
    assert len(counted) == 2


def test_memory_that_others_see_is_written_to_by_every_step(counted):
    w = torch.ones(3, requires_grad=True)
    step = torch.optim.SGD([w], lr=0.5)
    seen = None
    for k in range(evaluate.MANY + 4):
        if k == evaluate.MANY + 2:
            seen = w.detach().numpy()
        w.grad = torch.ones(3)
        step.step()
    assert seen.tolist() == w.tolist() == [1 - 0.5 * (evaluate.MANY + 4)] * 3


def test_a_layer_that_was_met_before_has_the_same_graph(counted):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    x = torch.ones(5, 3)
    seen = []
    for _ in range(3):
        y = model(x)
        addmm = y.grad_fn
        transposed = addmm.next_functions[2][0]
        weight = transposed.next_functions[0][0].variable
        seen.append((addmm.name(), transposed.name(), weight is model[1].weight, addmm._saved_mat2.tolist()))
        y.sum().backward()
    assert seen[0][:3] == ("AddmmBackward0", "TBackward0", True)
    assert seen[0] == seen[1] == seen[2]
    np.testing.assert_allclose(model[0].weight.grad.tolist(), [[3 * 5 * s] * 3 for s in model[1].weight.sum(0).tolist()], rtol=1e-5)
    loss = model(x).sum()
    with torch.no_grad():
        model[1].weight.mul_(2.0)
    with pytest.raises(RuntimeError, match=r"is at version 2; expected version 1"):
        loss.backward()


def test_a_layer_of_one_tensor_twice_says_nothing_about_layers_of_two():
    x, w = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True), torch.tensor([[5.0, 6.0], [7.0, 8.0]], requires_grad=True)
    linear = torch.nn.functional.linear
    assert linear(x, x).tolist() == linear(x, x).tolist() == [[5, 11], [11, 25]]
    assert linear(x, w).tolist() == linear(x, w).tolist() == [[17, 23], [39, 53]]


def test_parameters_in_one_memory_are_updated_one_after_another(counted):
    def trained(tied):
        a, b = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
        if tied:
            b.data = a.data
        step = torch.optim.SGD([a, b], lr=0.5)
        for _ in range(evaluate.MANY + 4):
            a.grad, b.grad = torch.ones(3), torch.full((3,), 2.0)
            step.step()
        return a.tolist(), b.tolist()

    steps_taken = evaluate.MANY + 4
    assert trained(tied=False) == ([1 - 0.5 * steps_taken] * 3, [1 - steps_taken] * 3)
    assert trained(tied=True) == ([1 - 1.5 * steps_taken] * 3,) * 2


def test_a_state_keeps_its_dtype_when_the_parameters_get_another(counted):
    layer = torch.nn.Linear(1, 1, bias=False)
    step = torch.optim.SGD(layer.parameters(), lr=0.5, momentum=0.5)
    expected, buffer = layer.weight.item(), 0.0
    for k in range(evaluate.MANY + 10):
        if k == 2:
            layer.double()
        layer.weight.grad = torch.ones_like(layer.weight)
        step.step()
        buffer = 0.5 * buffer + 1.0
        expected -= 0.5 * buffer
    assert step.state[layer.weight]["momentum_buffer"].dtype == torch.float32
    assert layer.weight.dtype == torch.float64
    assert layer.weight.item() == pytest.approx(expected, rel=1e-6)


def test_a_weight_that_was_updated_may_get_other_contents():
    inner, outer = torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        outer.weight.fill_(1.0)
        outer.weight.add_(1.0)
    outer.weight.data = outer.weight.data * 3
    for _ in range(3):
        inner.weight.grad = None
        outer(inner(torch.ones(1, 2))).sum().backward()
        assert inner.weight.grad.tolist() == [[12.0, 12.0]] * 2
    y = outer(inner(torch.ones(1, 2))).sum()
    with torch.no_grad():
        outer.weight.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_looking_at_one_number_computes_that_alone(counted):
    model, x, y = classified((12, 16, 5))
    with torch.no_grad():
        for _ in range(evaluate.MANY + 2):
            (model(x).argmax(1) == y).float().mean().item()
    assert len(counted) == 1
    assert len(counted[0].graph.outputs) == 1


def test_one_value_under_two_names_says_nothing_about_two_values(counted):
    x, y = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([5.0, 6.0])
    for other in (x.detach(), y):
        for _ in range(evaluate.MANY + 2):
            x.grad = None
            (x * other).sum().backward()
            assert x.grad.tolist() == other.tolist()
            assert (x.detach() + other).tolist() == [a + b for a, b in zip([1, 2], other.tolist(), strict=True)]


def test_updates_by_hand_run_one_program_and_no_rate_compiles_another(counted):
    w, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor(0.0, requires_grad=True)
    expected = np.array([1.0, 2.0])
    for k in range(evaluate.MANY + 20):
        rate = 0.1 / (1 + k)
        (w * w + b).sum().backward()
        with torch.no_grad():
            for p in (w, b):
                p -= rate * p.grad
                p.grad.zero_()
        expected -= rate * 2 * expected
        if k == evaluate.MANY + 10:
            compiled = len(counted)
    assert len(counted) == compiled
    assert w._version == b._version == evaluate.MANY + 20
    np.testing.assert_allclose(w.tolist(), expected, rtol=1e-4)


def test_writes_that_wait_are_seen_by_views_aliases_and_the_version_check():
    x = torch.tensor([1.0, 2.0])
    for _ in range(3):
        a = x * 2
        view, alias = a.view(2, 1), a.detach()
        before = a * 3
        a.add_(1.0).mul_(2.0)
        assert (view.tolist(), alias.tolist(), before.tolist()) == ([[6.0], [10.0]], [6.0, 10.0], [6.0, 12.0])
        alias.zero_()
        assert a.tolist() == [0.0, 0.0]
        w, a = torch.ones(2, requires_grad=True), x * 2
        loss = (a * w).sum()
        a.add_(1.0)
        del a
        with pytest.raises(RuntimeError, match="is at version 1; expected version 0"):
            loss.backward()


def test_sizes_among_the_parameters_are_compiled_for(counted):
    x = torch.arange(24.0, requires_grad=True)
    for _ in range(evaluate.MANY + 4):
        x.grad = None
        torch.stack([x.reshape(2, -1)[0], x[12:]]).pow(2).sum().backward()
    assert x.grad.tolist() == [2.0 * k for k in range(24)]
    assert len(counted) == 1


def test_a_large_tensor_that_was_written_to_and_dropped_is_freed_at_once():
    gc.disable()
    try:
        a = torch.ones(300_000)
        a.sum().item()
        a.add_(1.0).mul_(2.0)
        storage = weakref.ref(a._storage)
        del a
        assert storage() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("kind", "cell"), [("GRU", "GRUCell"), ("LSTM", "LSTMCell")])
def test_a_recurrent_layer_is_one_loop_for_all_lengths_and_batches(counted, kind, cell):
    rng = np.random.default_rng(0)
    layer, single = getattr(torch.nn, kind)(3, 4, dtype=torch.float64), getattr(torch.nn, cell)(3, 4, dtype=torch.float64)
    for one, other in zip(single.parameters(), layer.parameters(), strict=True):
        one.data.copy_(other)
    for k in range(evaluate.FEW + 3):
        x = torch.tensor(rng.normal(size=(30 + k % 2, 2 + k % 3, 3)))
        layer(x)[0].pow(2).sum().backward()
    assert len(counted) == 1, "three runs of the interpreter are enough to see that it pays"
    layer.zero_grad()
    x = torch.tensor(rng.normal(size=(6, 5, 3)))
    layer(x)[0].pow(2).sum().backward()
    state, total = None, 0
    for row in x:
        state = single(row, state)
        total = total + (state[0] if kind == "LSTM" else state).pow(2).sum()
    total.backward()
    for one, other in zip(single.parameters(), layer.parameters(), strict=True):
        np.testing.assert_allclose(other.grad.numpy(), one.grad.numpy(), rtol=1e-10, atol=1e-14)
