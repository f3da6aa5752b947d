"""Optimisers against their formulas written out in NumPy, schedules against closed forms; torch itself where it is installed."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import chainrule as ct
from chainrule import optim
from chainrule.optim import lr_scheduler


def leaf(*values):
    return ct.tensor(list(values), dtype=ct.float64, requires_grad=True)


def descend(optimizer, parameter, steps=4):
    for _ in range(steps):
        optimizer.zero_grad()
        (parameter**2).sum().backward()
        optimizer.step()
    return np.array(parameter.tolist())


def test_sgd_with_nesterov_momentum():
    p, lr, mu = np.array([1.0, -2.0]), 0.1, 0.9
    buffer = np.zeros(2)
    for k in range(4):
        g = 2 * p
        buffer = g if k == 0 else mu * buffer + g
        p = p - lr * (g + mu * buffer)
    w = leaf(1.0, -2.0)
    np.testing.assert_allclose(descend(optim.SGD([w], lr=lr, momentum=mu, nesterov=True), w), p)


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_and_adamw(decoupled):
    p, m, v, largest = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2), np.zeros(2)
    for t in range(1, 5):
        g = 2 * p
        if decoupled:
            p = p * (1 - 0.1 * 0.05)
        else:
            g = g + 0.05 * p
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        largest = np.maximum(largest, v)
        p = p - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(largest / (1 - 0.999**t)) + 1e-8)
    w = leaf(1.0, -2.0)
    kind = optim.AdamW if decoupled else optim.Adam
    np.testing.assert_allclose(descend(kind([w], lr=0.1, weight_decay=0.05, amsgrad=True), w), p, rtol=1e-6)


def test_sgd_without_momentum_has_no_state():
    optimizer = optim.SGD([leaf(1.0), leaf(3.0)], lr=0.1, weight_decay=0.5, maximize=True)
    a, b = optimizer.param_groups[0]["params"]
    for _ in range(4):  # recorded, then compiled
        optimizer.zero_grad()
        (a * 2 + b).backward()
        optimizer.step()
    p, q = 1.0, 3.0
    for _ in range(4):
        p, q = p - 0.1 * (0.5 * p - 2), q - 0.1 * (0.5 * q - 1)
    np.testing.assert_allclose([a.item(), b.item()], [p, q], rtol=1e-12)
    assert optimizer.state_dict()["state"] == {}


def test_rmsprop_centred():
    p, square, mean = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    for _ in range(4):
        g = 2 * p
        square, mean = 0.9 * square + 0.1 * g * g, 0.9 * mean + 0.1 * g
        p = p - 0.05 * g / (np.sqrt(square - mean**2) + 1e-8)
    w = leaf(1.0, -2.0)
    np.testing.assert_allclose(descend(optim.RMSprop([w], lr=0.05, alpha=0.9, centered=True), w), p)


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "Rprop"])
def test_maximising_goes_up_and_minimising_goes_down(kind):
    for maximize in (False, True):
        w = leaf(1.0)
        descend(getattr(optim, kind)([w], maximize=maximize), w)
        assert (w.item() > 1.0) is maximize


def test_a_new_rate_does_not_make_a_new_program():
    from chainrule.runtime.tensor import evaluate

    w = leaf(1.0, 2.0)
    optimizer = optim.Adam([w], lr=0.1)
    descend(optimizer, w)
    before = set(evaluate._programs)
    optimizer.param_groups[0]["lr"] = 0.01234
    descend(optimizer, w, 1)
    assert set(evaluate._programs) == before


def test_parameters_without_gradient_are_left_alone():
    w, untouched = leaf(1.0), leaf(3.0)
    optimizer = optim.SGD([w, untouched], lr=0.1, weight_decay=0.5)
    descend(optimizer, w)
    assert untouched.item() == 3.0
    assert untouched not in optimizer.state


def test_parameters_stay_leaves_and_views_of_them_see_the_step():
    w = leaf(1.0, 2.0)
    shown = w.detach()
    descend(optim.SGD([w], lr=0.1), w, 1)
    assert w.is_leaf
    assert shown.tolist() == w.tolist() == [0.8, 1.6]


def test_the_first_step_of_adam_has_the_size_of_the_learning_rate():
    w = leaf(1.0, -2.0, 0.5)
    np.testing.assert_allclose(descend(optim.Adam([w], lr=0.05), w, 1), [0.95, -1.95, 0.45], rtol=1e-6)


def test_a_decorated_loss_is_trained():
    @ct.grad
    def loss(w, x, y):
        return np.mean((x @ w - y) ** 2)

    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)).astype(np.float32)
    w = ct.zeros(3, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    y = x @ np.array([1, -2, 0.5], np.float32)
    for _ in range(200):
        optimizer.zero_grad()
        loss(w, x, y).backward()
        optimizer.step()
    np.testing.assert_allclose(w.tolist(), [1, -2, 0.5], atol=1e-4)
    assert loss.stats.compiles == 1


def test_state_can_be_saved_and_loaded():
    w, other = leaf(1.0, -2.0), leaf(1.0, -2.0)
    first = optim.Adam([w], lr=0.1)
    descend(first, w)
    second = optim.Adam([other], lr=0.5)
    state = copy.deepcopy(first.state_dict())
    second.load_state_dict(state)
    with ct.no_grad():
        other.copy_(w)
    assert descend(first, w).tolist() == descend(second, other).tolist()
    assert state["state"][0]["step"].item() == 4.0
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        optim.Adam([leaf(1.0), leaf(2.0)]).load_state_dict(state)


def test_a_closure_is_called_with_gradients_on():
    w = leaf(1.0)
    optimizer = optim.SGD([w], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (w**2).sum()
        loss.backward()
        return loss

    with ct.no_grad():
        assert optimizer.step(closure).item() == 1.0
    assert w.item() == 0.0


def test_an_optimiser_of_ones_own():
    class Signs(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @ct.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.sub_(group["lr"] * p.grad.sign())

    w = leaf(1.0, -2.0)
    assert descend(Signs([w], 0.25), w, 2).tolist() == [0.5, -1.5]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda w: optim.SGD([w], lr=-1.0), ValueError, "Invalid learning rate: -1.0"),
        (lambda w: optim.Adam([w], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
        (lambda w: optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
        (lambda w: optim.SGD(w), TypeError, "should be an iterable of Tensors or dicts, but got torch.DoubleTensor"),
        (lambda w: optim.SGD([w * 2]), ValueError, "can't optimize a non-leaf Tensor"),
        (lambda w: optim.SGD([{"params": [w]}, {"params": [w]}]), ValueError, "some parameters appear in more than one parameter group"),
        (lambda w: lr_scheduler.StepLR(w, 3), TypeError, "Tensor is not an Optimizer"),
    ],
)
def test_refusals(make, error, message):
    with pytest.raises(error, match=message):
        make(leaf(1.0))


# ---------------------------------------------------------------- schedules
SCHEDULES = [
    (lambda o: lr_scheduler.StepLR(o, 3, 0.5), lambda t: 0.5 ** (t // 3)),
    (lambda o: lr_scheduler.MultiStepLR(o, [2, 5], 0.5), lambda t: 0.5 ** ((t >= 2) + (t >= 5))),
    (lambda o: lr_scheduler.ExponentialLR(o, 0.9), lambda t: 0.9**t),
    (lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: 1 / (1 + t)),
    (lambda o: lr_scheduler.MultiplicativeLR(o, lambda t: 0.8), lambda t: 0.8**t),
    (lambda o: lr_scheduler.ConstantLR(o, 0.5, 4), lambda t: 0.5 if t < 4 else 1.0),
    (lambda o: lr_scheduler.LinearLR(o, 0.25, 1.0, 4), lambda t: 0.25 + 0.75 * min(t, 4) / 4),
    (lambda o: lr_scheduler.PolynomialLR(o, 5, 2.0), lambda t: (1 - min(t, 5) / 5) ** 2),
    (lambda o: lr_scheduler.CosineAnnealingLR(o, 4), lambda t: (1 + math.cos(math.pi * t / 4)) / 2),
    (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3), lambda t: (1 + math.cos(math.pi * (t % 3) / 3)) / 2),
    (
        lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.ConstantLR(o, 0.5, 9), lr_scheduler.ExponentialLR(o, 0.9)], [3]),
        lambda t: 0.5 if t < 3 else 0.9 ** (t - 3),
    ),
]


@pytest.mark.parametrize(("make", "factor"), SCHEDULES)
def test_schedules_follow_their_closed_forms(make, factor):
    optimizer = optim.SGD([leaf(1.0)], lr=0.7)
    schedule = make(optimizer)
    for t in range(9):
        assert schedule.get_last_lr() == [optimizer.param_groups[0]["lr"]]
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.7 * factor(t), abs=1e-12)
        optimizer.step()
        schedule.step()


def test_a_schedule_that_is_ahead_of_its_optimiser_warns():
    schedule = lr_scheduler.ExponentialLR(optim.SGD([leaf(1.0)], lr=0.7), 0.9)
    with pytest.warns(UserWarning, match=r"before `optimizer.step\(\)`"):
        schedule.step()


def test_a_plateau_reduces_the_rate():
    optimizer = optim.SGD([leaf(1.0)], lr=1.0)
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
    for value in (1.0, 0.5, 0.5, 0.5, 0.5):
        schedule.step(value)
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("Adam", {"betas": (0.5, 0.7), "maximize": True}),
        ("RMSprop", {"alpha": 0.5, "weight_decay": 0.1}),
        ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
        ("AdamW", {}),
        ("Adamax", {}),
        ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
        ("RAdam", {"weight_decay": 0.1}),
        ("RMSprop", {"momentum": 0.9, "centered": True}),
        ("Adagrad", {"lr_decay": 0.1}),
        ("Adadelta", {}),
        ("Rprop", {}),
    ],
)
def test_trajectories_agree_with_torch(kind, options):
    torch = pytest.importorskip("torch")
    ends = []
    for module in (torch, ct):
        w = module.tensor([1.0, -2.0, 0.5], requires_grad=True)
        optimizer = getattr(module.optim, kind)([w], **options)
        for k in range(8):
            optimizer.zero_grad()
            (w**2 * module.tensor([1.0, 3.0 - k, 0.1])).sum().backward()
            optimizer.step()
        ends.append(w.detach().numpy())
    np.testing.assert_allclose(ends[1], ends[0], rtol=3e-6, atol=1e-7)
