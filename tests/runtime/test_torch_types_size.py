"""Size, device, layout and memory_format: torch 2.13's behaviour, recorded, and compared with torch itself."""

from __future__ import annotations

import copy
import pickle
import re
from operator import add
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from outcomes import outcome

from chainrule.runtime.torch_types import (
    CPU,
    Size,
    as_device,
    contiguous_format,
    device,
    layout,
    memory_format,
    strided,
)


def test_a_size_is_a_tuple_that_prints_as_torchs() -> None:
    size = Size([2, 3])
    assert repr(size) == str(size) == f"{size}" == "torch.Size([2, 3])"
    assert repr(Size()) == "torch.Size([])"
    assert size == (2, 3)
    assert hash(size) == hash((2, 3))
    assert (size[0], size[-1], len(size), list(size), 3 in size) == (2, 3, 2, [2, 3], True)
    assert (size.numel(), Size().numel(), Size([0, 3]).numel()) == (6, 1, 0)


def test_what_is_made_of_sizes_is_a_size() -> None:
    size = Size([2, 3, 4])
    for made, expected in (
        (size[:1], (2,)),
        (size[::2], (2, 4)),
        (add(size, Size([5])), (2, 3, 4, 5)),
        (add(size, (5,)), (2, 3, 4, 5)),
        (add((5,), size), (5, 2, 3, 4)),
        (Size([2]) * 2, (2, 2)),
        (2 * Size([2]), (2, 2)),
        (pickle.loads(pickle.dumps(size)), (2, 3, 4)),
        (copy.copy(size), (2, 3, 4)),
        (copy.deepcopy(size), (2, 3, 4)),
    ):
        assert type(made) is Size
        assert made == expected


class Four:
    def __index__(self) -> int:
        return 4


def test_extents_are_integers() -> None:
    assert repr(Size([True, np.int64(3), Four()])) == "torch.Size([1, 3, 4])"
    assert {type(extent) for extent in Size([True, np.int64(3), Four()])} == {int}
    for wrong, name in (("a", "str"), (2.0, "float"), (None, "NoneType"), (np.float64(3), "numpy.float64")):
        message = f"torch.Size() takes an iterable of 'int' (item 1 is '{name}')"
        with pytest.raises(TypeError, match=re.escape(message)):
            Size([1, wrong])  # type: ignore[list-item]
        with pytest.raises(TypeError, match=re.escape(message)):
            add(Size([1]), (wrong,))
    with pytest.raises(TypeError, match=r"^can only concatenate tuple \(not list\) to torch\.Size$"):
        add(Size([1]), [2])
    with pytest.raises(TypeError):
        add([2], Size([1]))


def test_a_device() -> None:
    cpu = device("cpu")
    assert (repr(cpu), str(cpu), f"{cpu}") == ("device(type='cpu')", "cpu", "cpu")
    assert (cpu.type, cpu.index) == ("cpu", None)
    first = device("cpu:0")
    assert (repr(first), str(first), first.index) == ("device(type='cpu', index=0)", "cpu:0", 0)
    assert cpu == device(cpu) == device(type="cpu") == CPU
    assert hash(cpu) == hash(CPU)
    assert cpu not in (first, "cpu")
    assert first == device("cpu", 0) == pickle.loads(pickle.dumps(first))
    assert copy.deepcopy(cpu) == cpu
    with pytest.raises(AttributeError, match=r"^attribute 'type' of 'torch\.device' objects is not writable$"):
        cpu.type = "cuda"
    with cpu as entered:
        assert entered is cpu


def test_other_devices_are_refused() -> None:
    for name in ("cuda", "cuda:0", "mps", "meta"):
        message = f"chainrule runs on the CPU only: cannot use a device of type '{name.partition(':')[0]}'"
        with pytest.raises(RuntimeError, match=message):
            device(name)
        with pytest.raises(RuntimeError, match=message):
            as_device(name, "zeros")


def test_as_device() -> None:
    for value in (None, "cpu", "cpu:3", device("cpu", 2)):
        assert as_device(value, "zeros") is CPU
    for wrong, name in ((1.5, "float"), (True, "bool"), ([], "list")):
        with pytest.raises(TypeError, match=rf"^zeros\(\): argument 'device' must be torch\.device, not {name}$"):
            as_device(wrong, "zeros")
    with pytest.raises(RuntimeError, match=r"^Cannot access accelerator device when none is available\.$"):
        as_device(0, "zeros")


def test_layout_and_memory_formats() -> None:
    assert (repr(strided), repr(contiguous_format)) == ("torch.strided", "torch.contiguous_format")
    for constant in (strided, contiguous_format):
        assert pickle.loads(pickle.dumps(constant)) is constant
        assert copy.deepcopy(constant) is constant
    assert isinstance(strided, layout)
    assert isinstance(contiguous_format, memory_format)
    with pytest.raises(TypeError, match=r"^cannot create 'torch\.layout' instances$"):
        layout()


@pytest.mark.oracle
@given(
    st.lists(st.integers(0, 5), max_size=4),
    st.one_of(st.integers(-6, 6), st.slices(5)),
    st.one_of(
        st.lists(st.one_of(st.integers(0, 5), st.booleans(), st.floats(), st.text(max_size=1)), max_size=3).map(tuple),
        st.sampled_from([3, None, [1]]),
    ),
)
def test_a_size_behaves_as_torchs(extents: list[int], key: Any, other: Any) -> None:
    torch = pytest.importorskip("torch")
    for function in (
        lambda cls: cls(extents),
        lambda cls: cls(extents).numel(),
        lambda cls: cls(extents)[key],
        lambda cls: cls(extents) + other,
        lambda cls: cls(extents) * other,
        lambda cls: 2 * cls(extents),
        lambda cls: cls(other),
        lambda cls: cls(extents) == tuple(extents),
        lambda cls: other + cls(extents) if isinstance(other, tuple) else None,
    ):
        assert outcome(function, Size) == outcome(function, torch.Size)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "arguments",
    [
        *[("cpu",), ("cpu:0",), ("cpu", 0), ("cpu", None), ("cpu:12",)],
        *[
            ("",),
            ("foo",),
            ("foo:1",),
            ("foo:x",),
            ("CPU",),
            (" cpu",),
            ("cpu:",),
            ("cpu:x",),
            ("cpu:01",),
            ("cpu:-1",),
        ],
        *[("cpu:0:1",), ("c-pu",), ("9",), ("cpu", -1), ("cpu", "a"), ("cpu", 1.5), ("cpu", True), ("cpu:0", 0)],
        *[(0,), (-1,), (None,), (1.5,), (True,)],
    ],
)
def test_a_device_is_made_as_torchs(arguments: tuple[Any, ...]) -> None:
    torch = pytest.importorskip("torch")
    assert outcome(device, *arguments) == outcome(torch.device, *arguments)
