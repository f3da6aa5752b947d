"""Memory shared with NumPy: what is written on one side is seen on the other, and never in results computed before."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import chainrule as torch


def test_results_keep_the_values_they_were_computed_from():
    array = np.array([1.0, 2.0, 3.0])
    shared = torch.from_numpy(array)
    doubled, view, reshaped, copied = shared * 2, shared[1:], shared.reshape(3, 1) + 0, shared.clone()
    array[1] = 99
    assert doubled.tolist() == [2, 4, 6]
    assert view.tolist() == [99, 3]
    assert reshaped.tolist() == [[1], [2], [3]]
    assert copied.tolist() == [1, 2, 3]
    assert shared.tolist() == [1, 99, 3]


def test_in_place_operations_reach_the_array():
    array = np.arange(6.0)
    shared = torch.from_numpy(array)
    shared.mul_(2)
    shared[1:3].zero_()
    shared.view(2, 3)[1, 2] = -1
    assert array.tolist() == [0, 0, 0, 6, 8, -1]


def test_pending_work_is_not_changed_by_later_writes_through_numpy():
    x = torch.tensor([1.0, 2.0])
    pending = x * 3
    array = x.numpy()
    array[0] = 100
    assert pending.tolist() == [3, 6]
    assert (x * 3).tolist() == [300, 6]
    x.add_(1)
    assert array.tolist() == [101, 3]


@pytest.mark.parametrize("make", [lambda a: a[::2], lambda a: a[:, ::2] if a.ndim > 1 else a, lambda a: a.T])
def test_strided_arrays_are_shared_as_they_are(make):
    array = make(np.arange(12.0).reshape(3, 4))
    shared = torch.from_numpy(array)
    assert shared.stride() == tuple(s // array.itemsize for s in array.strides)
    shared += 1
    shared[0].mul_(10)
    np.testing.assert_array_equal(shared.numpy(), array)
    assert shared.numpy().__array_interface__["data"] == array.__array_interface__["data"]


def test_arrays_of_views_have_the_views_strides():
    x = torch.arange(6.0).reshape(2, 3)
    columns = x.t().numpy()
    assert columns.strides == (4, 12)
    columns[2, 1] = 50
    assert x[1, 2].item() == 50
    assert x.expand(2, 2, 3).numpy().strides == (0, 12, 4)
    assert (x.t() * 1).numpy().strides == (4, 12)


def test_negative_strides_and_foreign_types_are_refused():
    with pytest.raises(ValueError, match="negative"):
        torch.from_numpy(np.arange(3.0)[::-1])
    with pytest.raises(TypeError, match=r"can't convert np\.ndarray"):
        torch.from_numpy(np.array([1 + 2j]))
    with pytest.raises(TypeError, match=r"expected np.ndarray \(got list\)"):
        torch.from_numpy([1.0])


def test_a_tensor_that_requires_grad_does_not_give_its_memory():
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="Can't call numpy"):
        x.numpy()
    with torch.no_grad():
        assert x.numpy().tolist() == [1, 1]


def test_addresses_are_stable_and_shared_by_views():
    x = torch.arange(6.0).reshape(2, 3)
    address = x.data_ptr()
    x.add_(1)
    assert x.data_ptr() == address
    assert x[1].data_ptr() == address + 12
    assert x.detach().data_ptr() == address
    assert x.clone().data_ptr() != address


def test_dlpack_shares_memory_both_ways():
    x = torch.tensor([1.0, 2.0])
    array = np.from_dlpack(x)
    x.mul_(3)
    assert array.tolist() == [3, 6]
    source = np.array([1.0, 2.0])
    made = torch.from_dlpack(source)
    source[0] = 7
    assert made.tolist() == [7, 2]


def test_gradients_use_what_data_was_written_to():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    z = (y * y).sum()
    y.data.mul_(10)
    z.backward()
    assert x.grad.tolist() == [20, 40]


def test_copies_and_pickles_are_leaves_with_memory_of_their_own():
    p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    p.note = "kept"
    for made in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert type(made) is torch.nn.Parameter
        assert made.requires_grad
        with torch.no_grad():
            made.add_(1)
    assert p.tolist() == [1, 2]
    t = torch.tensor([1.0, 2.0], requires_grad=True)
    t.note = "kept"
    t.grad, p.grad = torch.ones(2), torch.ones(2)
    assert copy.deepcopy(t).note == "kept"
    assert copy.deepcopy(t).grad.tolist() == [1, 1]
    assert copy.deepcopy(p).grad is None
    assert not hasattr(copy.deepcopy(p), "note")
