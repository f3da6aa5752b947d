"""The table of torch's operations: gradients against central differences, and everything against torch."""
from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.special
from torch_samples import SAMPLES

import chainrule
from chainrule.runtime.tensor.row import FUNCTIONS, METHODS, ROWS

# At the sample points these have kinks within reach of a difference quotient, or are float32.
NOT_SMOOTH = {"cast"}


def numbers(tensor: Any) -> Any:
    return np.array((tensor.detach() + 0).tolist(), dtype=np.float64)  # torch cannot list a lazy zero


def derivatives(module: ModuleType, name: str) -> tuple[list[Any], list[Any]]:
    """Facts about a sample's result; its value, gradients, and gradients of the gradients' squares."""
    out, leaves = SAMPLES[name](module)
    facts = [tuple(out.shape), tuple(out.stride()), str(out.dtype), out.requires_grad, out.grad_fn and out.grad_fn.name()]
    found = [numbers(out)]
    if not out.requires_grad:
        return facts, found
    weights = module.arange(1.0, 1.0 + out.numel(), dtype=out.dtype).reshape(out.shape)
    grads = module.autograd.grad((out * weights).sum(), leaves, create_graph=True, allow_unused=True)
    facts.append([g is not None and g.requires_grad for g in grads])
    found += [None if g is None else numbers(g) for g in grads]
    live = [(g * g).sum() for g in grads if g is not None and g.requires_grad]
    if live:
        found += [None if g is None else numbers(g) for g in module.autograd.grad(sum(live), leaves, allow_unused=True)]
    return facts, found


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in NOT_SMOOTH])
def test_gradients_agree_with_central_differences(name: str) -> None:
    result, leaves = SAMPLES[name](chainrule)
    if not result.requires_grad:
        assert leaves == []
        return
    with_leaves = SAMPLES[name]

    def again(*values: Any) -> Any:
        given = iter(values)
        made = chainrule.tensor
        try:
            chainrule.tensor = lambda data, **k: next(given) if k.get("requires_grad") else made(data, **k)  # type: ignore[assignment]
            return with_leaves(chainrule)[0]
        finally:
            chainrule.tensor = made

    assert chainrule.autograd.gradcheck(again, tuple(leaves))


@pytest.mark.oracle
@pytest.mark.parametrize("name", SAMPLES)
def test_values_gradients_and_names_are_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    expected_facts, expected = derivatives(torch, name)
    facts, found = derivatives(chainrule, name)
    assert facts == expected_facts
    assert [x is None for x in found] == [x is None for x in expected]
    for actual, wanted in zip(found, expected, strict=True):
        if wanted is not None:
            np.testing.assert_allclose(actual, wanted, rtol=1e-7, atol=1e-9)


def test_every_name_of_the_table_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    assert [name for name in FUNCTIONS if not hasattr(torch, name)] == []
    assert [name for name in METHODS if not hasattr(torch.Tensor, name)] == []


def test_bessel_functions_without_gradients() -> None:
    x = np.array([0.3, 1.2, 9.0])
    for name, expected in {
        "airy_ai": scipy.special.airy(x)[0], "bessel_j0": scipy.special.j0(x), "bessel_y1": scipy.special.y1(x),
        "modified_bessel_k0": scipy.special.k0(x), "scaled_modified_bessel_k1": scipy.special.k1e(x), "spherical_bessel_j0": np.sin(x) / x,
    }.items():
        made = getattr(chainrule.special, name)(chainrule.tensor(x, requires_grad=True))
        np.testing.assert_allclose(made.numpy(), expected, rtol=1e-14)
        assert not made.requires_grad  # as in torch


def test_rows_save_names_of_their_inputs() -> None:
    for row in ROWS.values():
        for name, position, is_result, wanted in row.saved:
            assert is_result or row.inputs[position] == name
            assert wanted is None or wanted < len(row.inputs)


def test_the_api_offers_every_function() -> None:
    api = importlib.import_module("chainrule.runtime.tensor.api")
    assert [name for name in FUNCTIONS if getattr(api, name) is not FUNCTIONS[name]] == []
