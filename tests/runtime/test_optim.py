"""Optimisers against values recorded from torch 2.13, and against live torch."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule

START = [1.0, -2.0, 0.5]
SLOPES = [1.0, 3.0, 0.25]
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}), ("SGD", {"momentum": 0.9}), ("SGD", {"momentum": 0.9, "nesterov": True}), ("SGD", {"momentum": 0.5, "dampening": 0.2}),
    ("SGD", {"weight_decay": 0.1, "maximize": True}), ("Adam", {}), ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("Adam", {"betas": (0.5, 0.7), "maximize": True}), ("AdamW", {"weight_decay": 0.3}), ("RMSprop", {}),
    ("RMSprop", {"centered": True, "momentum": 0.7}), ("RMSprop", {"alpha": 0.5, "weight_decay": 0.1}), ("Adagrad", {"lr_decay": 0.1}),
]


def trained(torch: Any, name: str, options: dict[str, Any], steps: int = 5) -> list[float]:
    w = torch.tensor(START, requires_grad=True)
    optimizer = getattr(torch.optim, name)([w], lr=0.05, **options)
    for _ in range(steps):
        optimizer.zero_grad()
        (torch.tensor(SLOPES) * w**2).sum().backward()
        optimizer.step()
    found: list[float] = w.detach().tolist()
    return found


@pytest.mark.oracle
@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_steps_are_those_of_torch(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(trained(chainrule, name, options), trained(torch, name, options), rtol=1e-6)


def test_a_step_of_plain_gradient_descent_by_hand() -> None:
    expected = [w * (1 - 2 * 0.05 * a) for w, a in zip(START, SLOPES, strict=True)]
    np.testing.assert_allclose(trained(chainrule, "SGD", {}, 1), expected, rtol=1e-6)


def test_the_first_step_of_adam_has_the_size_of_the_learning_rate() -> None:
    moved = np.subtract(trained(chainrule, "Adam", {}, 1), START)
    np.testing.assert_allclose(moved, -0.05 * np.sign(START), rtol=1e-5)


def test_parameters_without_gradient_are_left_alone() -> None:
    a, b = chainrule.tensor([1.0], requires_grad=True), chainrule.tensor([1.0], requires_grad=True)
    optimizer = chainrule.optim.Adam([a, b], lr=0.1)
    (a * 2).backward()
    optimizer.step()
    assert b.item() == 1.0
    assert len(optimizer.state_dict()["state"]) == 1


def test_a_decorated_loss_is_trained() -> None:
    @chainrule.grad
    def loss(w: Any, x: Any, y: Any) -> Any:
        return np.mean((x @ w - y) ** 2)

    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)).astype(np.float32)
    w = chainrule.zeros(3, requires_grad=True)
    optimizer = chainrule.optim.SGD([w], lr=0.1)
    y = x @ np.array([1, -2, 0.5], np.float32)
    for _ in range(200):
        optimizer.zero_grad()
        loss(w, x, y).backward()
        optimizer.step()
    np.testing.assert_allclose(w.tolist(), [1, -2, 0.5], atol=1e-4)
    assert loss.stats.compiles == 1


def test_schedules() -> None:
    w = chainrule.tensor([1.0], requires_grad=True)
    schedules = chainrule.optim.lr_scheduler
    cases = [(schedules.StepLR, {"step_size": 2, "gamma": 0.5}, [1, 0.5, 0.5, 0.25]), (schedules.ExponentialLR, {"gamma": 0.5}, [0.5, 0.25, 0.125, 0.0625]),
             (schedules.MultiStepLR, {"milestones": [1, 3], "gamma": 0.1}, [0.1, 0.1, 0.01, 0.01]),
             (schedules.LambdaLR, {"lr_lambda": lambda epoch: 1 / (1 + epoch)}, [1 / 2, 1 / 3, 1 / 4, 1 / 5]),
             (schedules.CosineAnnealingLR, {"T_max": 4}, [0.8535533905932737, 0.5, 0.14644660940672627, 0.0])]
    for kind, options, expected in cases:
        optimizer = chainrule.optim.SGD([w], lr=1.0)
        schedule = kind(optimizer, **options)
        rates = []
        for _ in range(4):
            optimizer.step()
            schedule.step()
            rates.append(optimizer.param_groups[0]["lr"])
        np.testing.assert_allclose(rates, expected, atol=1e-12)
        assert schedule.get_last_lr() == [rates[-1]]
