"""Printing: what torch 2.13 printed, recorded, and the same compared with torch itself on grown arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from hypothesis.extra import numpy as hnp
from outcomes import outcome

from chainrule.runtime.torch_types import (
    NAMES,
    format_parameter,
    format_spec,
    format_tensor,
    from_numpy_dtype,
    get_default_dtype,
    get_printoptions,
    printoptions,
    set_default_dtype,
    set_printoptions,
)

inf, nan = float("inf"), float("nan")

# array, arguments of format_tensor, print options, text printed by torch 2.13
RECORDED: list[tuple[Any, dict[str, Any], dict[str, Any], str]] = [
    (np.float32([2, 3]), {}, {}, "tensor([2., 3.])"),
    (np.float32([-12.0, 65.0]), {}, {}, "tensor([-12.,  65.])"),
    (np.float32(12345.678), {}, {}, "tensor(12345.6777)"),
    (np.float32(-0.0), {}, {}, "tensor(-0.)"),
    (np.float32([-0.0, 0.0, -1.0]), {}, {}, "tensor([-0.,  0., -1.])"),
    (np.float32([-0.0, 0.5]), {}, {}, "tensor([-0.0000, 0.5000])"),
    (np.float32([nan, 1, inf]), {}, {}, "tensor([nan, 1., inf])"),
    (np.float32([nan, 1.5, -inf]), {}, {}, "tensor([   nan, 1.5000,   -inf])"),
    (np.float32([nan]), {}, {}, "tensor([nan])"),
    (np.float32(-inf), {}, {}, "tensor(-inf)"),
    (np.float32([1e9, inf, nan, -inf]), {}, {}, "tensor([1.0000e+09,        inf,        nan,       -inf])"),
    (np.float32([1e-8, 1]), {}, {}, "tensor([1.0000e-08, 1.0000e+00])"),
    (np.float32([1, 1001]), {}, {}, "tensor([1.0000e+00, 1.0010e+03])"),
    (np.float32([1, 1000.5]), {}, {}, "tensor([1.0000e+00, 1.0005e+03])"),
    (np.float32([0.5, 501]), {}, {}, "tensor([5.0000e-01, 5.0100e+02])"),
    (np.float32([1e8]), {}, {}, "tensor([100000000.])"),
    (np.float32([1.1e8]), {}, {}, "tensor([1.1000e+08])"),
    (np.float32([1e-4, 1e-2]), {}, {}, "tensor([1.0000e-04, 1.0000e-02])"),
    (np.float32([9e-5]), {}, {}, "tensor([9.0000e-05])"),
    (np.float64([5e-324, 1e308]), {}, {}, "tensor([4.9407e-324, 1.0000e+308], dtype=torch.float64)"),
    (np.float64([0.1, 2.25]), {}, {}, "tensor([0.1000, 2.2500], dtype=torch.float64)"),
    (np.float16([6e4, 6e-8]), {}, {}, "tensor([6.0000e+04, 5.9605e-08], dtype=torch.float16)"),
    (np.float16(0.1), {}, {}, "tensor(0.1000, dtype=torch.float16)"),
    (np.array([True, False]), {}, {}, "tensor([ True, False])"),
    (np.array([[True], [True]]), {}, {}, "tensor([[True],\n        [True]])"),
    (np.uint8([0, 255]), {}, {}, "tensor([  0, 255], dtype=torch.uint8)"),
    (np.int8([-128, 5]), {}, {}, "tensor([-128,    5], dtype=torch.int8)"),
    (np.int32(7), {}, {}, "tensor(7, dtype=torch.int32)"),
    (np.int64([-5, 10, 300]), {}, {}, "tensor([ -5,  10, 300])"),
    (np.zeros((0,), np.float32), {}, {}, "tensor([])"),
    (np.zeros((0, 3), np.float32), {}, {}, "tensor([], size=(0, 3))"),
    (np.zeros((2, 0), np.int64), {}, {}, "tensor([], size=(2, 0), dtype=torch.int64)"),
    (np.zeros((0,), bool), {}, {}, "tensor([], dtype=torch.bool)"),
    (np.zeros((1, 0, 2), np.float64), {}, {}, "tensor([], size=(1, 0, 2), dtype=torch.float64)"),
    (
        np.arange(40),
        {},
        {},
        "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
        "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35,\n"
        "        36, 37, 38, 39])",
    ),
    (
        np.arange(24, dtype=np.float32) / 4,
        {},
        {},
        "tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000, 1.2500, 1.5000, 1.7500, 2.0000,\n"
        "        2.2500, 2.5000, 2.7500, 3.0000, 3.2500, 3.5000, 3.7500, 4.0000, 4.2500,\n"
        "        4.5000, 4.7500, 5.0000, 5.2500, 5.5000, 5.7500])",
    ),
    (np.arange(1001), {}, {}, "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (
        np.zeros((2, 600), np.float32),
        {},
        {},
        "tensor([[0., 0., 0.,  ..., 0., 0., 0.],\n        [0., 0., 0.,  ..., 0., 0., 0.]])",
    ),
    (
        np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        {},
        {},
        "tensor([[[ 0.,  1.,  2.,  3.],\n"
        "         [ 4.,  5.,  6.,  7.],\n"
        "         [ 8.,  9., 10., 11.]],\n"
        "\n"
        "        [[12., 13., 14., 15.],\n"
        "         [16., 17., 18., 19.],\n"
        "         [20., 21., 22., 23.]]])",
    ),
    (
        np.arange(16).reshape(2, 2, 2, 2),
        {},
        {},
        "tensor([[[[ 0,  1],\n"
        "          [ 2,  3]],\n"
        "\n"
        "         [[ 4,  5],\n"
        "          [ 6,  7]]],\n"
        "\n"
        "\n"
        "        [[[ 8,  9],\n"
        "          [10, 11]],\n"
        "\n"
        "         [[12, 13],\n"
        "          [14, 15]]]])",
    ),
    (
        np.arange(2000, dtype=np.float64).reshape(2, 1000) / 7,
        {},
        {},
        "tensor([[0.0000e+00, 1.4286e-01, 2.8571e-01,  ..., 1.4243e+02, 1.4257e+02,\n"
        "         1.4271e+02],\n"
        "        [1.4286e+02, 1.4300e+02, 1.4314e+02,  ..., 2.8529e+02, 2.8543e+02,\n"
        "         2.8557e+02]], dtype=torch.float64)",
    ),
    (
        np.arange(4 * 4 * 5).reshape(4, 4, 5),
        {},
        {"threshold": 10, "edgeitems": 1},
        "tensor([[[ 0,  ...,  4],\n"
        "         ...,\n"
        "         [15,  ..., 19]],\n"
        "\n"
        "        ...,\n"
        "\n"
        "        [[60,  ..., 64],\n"
        "         ...,\n"
        "         [75,  ..., 79]]])",
    ),
    (
        np.arange(3 * 8, dtype=np.int32).reshape(3, 8),
        {},
        {"threshold": 10, "edgeitems": 2},
        "tensor([[ 0,  1,  ...,  6,  7],\n"
        "        [ 8,  9,  ..., 14, 15],\n"
        "        [16, 17,  ..., 22, 23]], dtype=torch.int32)",
    ),
    (np.float32([1.23456789, 2]), {}, {"precision": 2}, "tensor([1.23, 2.00])"),
    (np.float32([1, 2.5]), {}, {"precision": 0}, "tensor([1, 2])"),
    (np.float32([1, 2, inf]), {}, {"sci_mode": True}, "tensor([1.0000e+00, 2.0000e+00,        inf])"),
    (np.float32([0.5, 1e9]), {}, {"sci_mode": False}, "tensor([         0.5000, 1000000000.0000])"),
    (np.float32([0, -0.0]), {}, {"sci_mode": True}, "tensor([0., -0.])"),
    (np.zeros((2, 600), np.float32), {}, {"edgeitems": 0}, "tensor([...], size=(2, 600))"),
    (np.float32(1), {}, {"edgeitems": 0}, "tensor(1., size=())"),
    (
        np.arange(12),
        {},
        {"linewidth": 30},
        "tensor([ 0,  1,  2,  3,  4,\n         5,  6,  7,  8,  9,\n        10, 11])",
    ),
    (np.zeros((1, 2), np.float32), {}, {"linewidth": 5}, "tensor([[0.,\n         0.]])"),
    (np.float32(3.14159), {}, {"profile": "short"}, "tensor(3.14)"),
    (np.float32([2, 3]), {"requires_grad": True}, {}, "tensor([2., 3.], requires_grad=True)"),
    (
        np.float32([-12, 65]),
        {"requires_grad": True, "grad_fn_name": "CloneBackward0"},
        {},
        "tensor([-12.,  65.], grad_fn=<CloneBackward0>)",
    ),
    (np.zeros((0, 3), np.float32), {"requires_grad": True}, {}, "tensor([], size=(0, 3), requires_grad=True)"),
    (
        np.full(6, 0.5),
        {"requires_grad": True},
        {},
        "tensor([0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000], dtype=torch.float64,\n       requires_grad=True)",
    ),
    (
        np.full(7, 0.5),
        {"requires_grad": True},
        {},
        "tensor([0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000],\n"
        "       dtype=torch.float64, requires_grad=True)",
    ),
    (
        np.full(8, 0.5),
        {"requires_grad": True},
        {},
        "tensor([0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000],\n"
        "       dtype=torch.float64, requires_grad=True)",
    ),
    (
        np.full(9, 0.5),
        {"requires_grad": True},
        {},
        "tensor([0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000],\n"
        "       dtype=torch.float64, requires_grad=True)",
    ),
    (
        np.full(13, 0.5),
        {"requires_grad": True},
        {},
        "tensor([0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000,\n"
        "        0.5000, 0.5000, 0.5000, 0.5000], dtype=torch.float64,\n"
        "       requires_grad=True)",
    ),
    (
        np.full(4, 0.5, np.float32),
        {"requires_grad": True, "grad_fn_name": "CloneBackward0"},
        {},
        "tensor([0.5000, 0.5000, 0.5000, 0.5000], grad_fn=<CloneBackward0>)",
    ),
    (
        np.full(5, 0.5, np.float32),
        {"requires_grad": True, "grad_fn_name": "CloneBackward0"},
        {},
        "tensor([0.5000, 0.5000, 0.5000, 0.5000, 0.5000], grad_fn=<CloneBackward0>)",
    ),
    (
        np.full(9, 0.5, np.float32),
        {"requires_grad": True, "grad_fn_name": "CloneBackward0"},
        {},
        "tensor([0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000],\n"
        "       grad_fn=<CloneBackward0>)",
    ),
    (
        np.full(11, 0.5, np.float32),
        {"requires_grad": True, "grad_fn_name": "CloneBackward0"},
        {},
        "tensor([0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000, 0.5000,\n"
        "        0.5000, 0.5000], grad_fn=<CloneBackward0>)",
    ),
]


@pytest.fixture(autouse=True)
def _default_settings() -> Iterator[None]:
    yield
    set_printoptions(profile="default")
    set_default_dtype(NAMES["float32"])


def formatted(values: Any, **arguments: Any) -> str:
    array = np.asarray(values)
    return format_tensor(array, dtype=from_numpy_dtype(array.dtype), **arguments)


@pytest.mark.parametrize(("array", "arguments", "options", "expected"), RECORDED)
def test_prints_what_torch_printed(
    array: Any, arguments: dict[str, Any], options: dict[str, Any], expected: str
) -> None:
    with printoptions(**options):
        assert formatted(array, **arguments) == expected


def test_the_default_dtype_is_not_shown() -> None:
    set_default_dtype(NAMES["float64"])
    assert formatted(np.float64([1, 2])) == "tensor([1., 2.])"
    assert formatted(np.float32([1])) == "tensor([1.], dtype=torch.float32)"
    assert formatted(np.zeros(0, np.int64)) == "tensor([], dtype=torch.int64)"


def test_a_grad_fn_is_shown_by_its_class_name() -> None:
    assert formatted(np.float32([5]), grad_fn_name="CopySlices") == "tensor([5.], grad_fn=<CopySlices>)"
    assert formatted(np.float32([5]), requires_grad=True, grad_fn_name="F1Backward") == (
        "tensor([5.], grad_fn=<F1Backward>)"
    )


def test_lines_align_with_the_end_of_the_prefix() -> None:
    assert formatted(np.float32([[1], [2]]), prefix="MyT(") == "MyT([[1.],\n     [2.]])"


def test_further_suffixes_come_last() -> None:
    assert formatted(np.float32([1]), requires_grad=True, extra_suffixes=["tangent=tensor([1.])"]) == (
        "tensor([1.], requires_grad=True, tangent=tensor([1.]))"
    )


def test_parameters() -> None:
    values, float32 = np.float32([2, 1]), NAMES["float32"]
    assert format_parameter(values, dtype=float32) == "Parameter containing:\ntensor([2., 1.], requires_grad=True)"
    assert format_parameter(values, dtype=float32, requires_grad=False) == "Parameter containing:\ntensor([2., 1.])"
    assert format_parameter(values, dtype=float32, class_name="MyP") == (
        "Parameter containing:\nParameter(MyP([2., 1.], requires_grad=True))"
    )


class Owner:
    def __str__(self) -> str:
        return "text of the tensor"


@pytest.mark.parametrize(
    ("value", "spec", "expected"),
    [
        (np.float32(2), "", "2.0"),
        (np.float32(0.1), "", "0.10000000149011612"),
        (np.float16(0.1), "", "0.0999755859375"),
        (np.float32(2), ".3f", "2.000"),
        (np.int64(2), ".3f", "2.000"),
        (np.bool_(True), "", "True"),
        (np.bool_(True), "d", "1"),
        (np.uint8(255), "x", "ff"),
        (np.float32(nan), ">6", "   nan"),
        (np.float32([2]), "", "text of the tensor"),
    ],
)
def test_format_spec(value: Any, spec: str, expected: str) -> None:
    assert format_spec(np.asarray(value), spec, Owner()) == expected


def test_format_spec_that_does_not_apply() -> None:
    with pytest.raises(TypeError, match=r"unsupported format string passed to Owner\.__format__"):
        format_spec(np.float32([2]), ".3f", Owner())
    with pytest.raises(ValueError, match="Unknown format code 's' for object of type 'float'"):
        format_spec(np.asarray(np.float32(2)), "s", Owner())
    assert format_spec(np.asarray(np.float32(2)), "", Owner(), is_plain=False) == "text of the tensor"


def test_print_options_are_kept_and_restored() -> None:
    default = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}
    assert get_printoptions() == default
    set_printoptions(precision=2, sci_mode=True)
    assert get_printoptions() == default | {"precision": 2, "sci_mode": True}
    with printoptions(profile="short", linewidth=40):
        short = {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 40, "sci_mode": None}
        assert get_printoptions() == short
    set_printoptions(edgeitems=5)
    assert get_printoptions() == default | {"precision": 2, "edgeitems": 5}, "sci_mode is set by every call"
    set_printoptions(profile="full")
    assert get_printoptions() == default | {"threshold": inf}
    set_printoptions(profile="unknown")
    assert get_printoptions() == default | {"threshold": inf}


def test_a_summary_reads_only_what_it_shows() -> None:
    many = np.broadcast_to(np.float32(1), (10**6, 10**6))  # 4 TB, if it were touched
    assert formatted(many).count("1.") == 36


DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
NOTEWORTHY = [0.0, -0.0, 1.0, -1.0, 1000.0, 1001.0, 1e8, 1.1e8, 1e-4, 9.9e-5, 0.5, 123.456, inf, -inf, nan, 6e-8]


def elements(kind: np.dtype[Any]) -> st.SearchStrategy[Any]:
    if kind.kind != "f":
        return hnp.from_dtype(kind)
    plain = st.sampled_from(NOTEWORTHY) if kind.itemsize > 2 else st.sampled_from([v for v in NOTEWORTHY if v < 6e4])
    whole = st.integers(-2000, 2000).map(float)
    moderate = st.floats(-1000, 1000, width=16)
    return st.one_of(plain, whole, moderate, hnp.from_dtype(kind)).map(kind.type)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    kind = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6))
    values = draw(hnp.arrays(kind, shape, elements=elements(kind), fill=elements(kind)))
    return values.T if draw(st.booleans()) else values


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 9),
        "threshold": st.sampled_from([0, 1, 3, 10, 50, inf]),
        "edgeitems": st.integers(0, 4),
        "linewidth": st.integers(1, 130),
        "sci_mode": st.booleans(),
        "profile": st.sampled_from(["default", "short", "full"]),
    },
)


@pytest.mark.oracle
@given(
    array=arrays(),
    options=OPTIONS,
    grad=st.sampled_from(["none", "leaf", "grad_fn"]),
    default=st.sampled_from(["float16", "float32", "float64"]),
)
@example(array=np.arange(2000.0).reshape(2, 10, 100), options={}, grad="leaf", default="float32")
@example(array=np.float32([5e-324, 1e-45, 3e38]), options={}, grad="none", default="float32")
def test_prints_what_torch_prints(
    array: np.ndarray[Any, Any], options: dict[str, Any], grad: str, default: str
) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(array.copy())
    requires_grad = grad != "none" and array.dtype.kind == "f"
    tensor.requires_grad_(requires_grad)
    if grad == "grad_fn":
        tensor = tensor.clone()
    set_default_dtype(NAMES[default])
    torch.set_default_dtype(getattr(torch, default))
    try:
        with torch._tensor_str.printoptions(**options):
            expected = str(tensor)
    finally:
        torch.set_default_dtype(torch.float32)
    grad_fn_name = "CloneBackward0" if grad == "grad_fn" and requires_grad else None
    with printoptions(**options):
        assert formatted(array, requires_grad=requires_grad, grad_fn_name=grad_fn_name) == expected
    assert get_default_dtype() is NAMES[default]


@pytest.mark.oracle
@pytest.mark.parametrize(("array", "arguments", "options", "expected"), RECORDED)
def test_records_are_what_torch_prints(
    array: Any, arguments: dict[str, Any], options: dict[str, Any], expected: str
) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(np.array(array)).requires_grad_(arguments.get("requires_grad", False))
    with torch._tensor_str.printoptions(**options):
        assert str(tensor.clone() if "grad_fn_name" in arguments else tensor) == expected


@pytest.mark.oracle
@given(arrays().filter(lambda array: array.ndim == 0), st.sampled_from(["", ".3f", "e", ">12", "g", "x", "d", "s"]))
def test_formats_as_torch_formats(array: np.ndarray[Any, Any], spec: str) -> None:
    torch = pytest.importorskip("torch")

    tensor = torch.from_numpy(array.copy())
    assert outcome(format_spec, array, spec, array) == outcome(format, tensor, spec)
