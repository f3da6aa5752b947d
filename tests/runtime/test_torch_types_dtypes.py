"""dtypes, their limits and names: torch 2.13's, recorded, and compared with torch itself."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from outcomes import outcome

from chainrule.runtime.torch_types import (
    NAMES,
    as_dtype,
    dtype,
    finfo,
    from_numpy_dtype,
    get_default_dtype,
    iinfo,
    scalar_type_name,
    set_default_dtype,
    supported_dtypes,
    tensor_type_name,
    to_numpy_dtype,
)

SUPPORTED = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
BY_NAME_ONLY = ["bfloat16", "complex32", "complex64", "complex128", "uint16", "uint32", "uint64"]


@pytest.fixture(autouse=True)
def _default_dtype() -> Iterator[None]:
    yield
    set_default_dtype(NAMES["float32"])


def test_a_dtype_is_one_immutable_object() -> None:
    float32 = NAMES["float32"]
    assert NAMES["float"] is float32
    assert f"{float32}" == repr(float32) == "torch.float32"
    assert pickle.loads(pickle.dumps(float32)) is float32
    assert copy.deepcopy(float32) is float32
    with pytest.raises(TypeError, match=r"^cannot create 'torch\.dtype' instances$"):
        dtype("float32")
    with pytest.raises(AttributeError):
        float32.itemsize = 8


@pytest.mark.parametrize("name", SUPPORTED)
def test_numpy_dtypes_map_both_ways(name: str) -> None:
    assert to_numpy_dtype(NAMES[name]) == np.dtype(name)
    assert from_numpy_dtype(np.dtype(name)) is NAMES[name]


def test_numpy_types_of_the_same_layout_are_the_same() -> None:
    assert from_numpy_dtype(np.dtype("longlong")) is NAMES["int64"]
    assert from_numpy_dtype(np.dtype("intc")) is NAMES["int32"]


@pytest.mark.parametrize("name", BY_NAME_ONLY)
def test_no_tensors_of_dtypes_that_exist_by_name_only(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^torch\.{name} tensors are not supported\. The only supported dtypes"):
        to_numpy_dtype(NAMES[name])


def test_numpy_dtypes_without_counterpart() -> None:
    only = "The only supported types are: float64, float32, float16, int64, int32, int16, int8, uint8, and bool."
    for unknown, name in (("U3", "str_"), ("O", "object_"), ("M8[s]", "datetime64"), ("c8", "complex64")):
        message = f"can't convert np.ndarray of type numpy.{name}. {only}"
        with pytest.raises(TypeError, match=re.escape(message)):
            from_numpy_dtype(np.dtype(unknown))
    with pytest.raises(ValueError, match=r"^given numpy array has byte order different from the native byte order"):
        from_numpy_dtype(np.dtype("f4").newbyteorder())


def test_names() -> None:
    assert {name: str(NAMES[name]) for name in ("half", "float", "double", "short", "int", "long", "bool")} == {
        "half": "torch.float16",
        "float": "torch.float32",
        "double": "torch.float64",
        "short": "torch.int16",
        "int": "torch.int32",
        "long": "torch.int64",
        "bool": "torch.bool",
    }
    scalar_names = "Bool Byte Char Short Int Long Half Float Double"
    assert " ".join(scalar_type_name(one) for one in supported_dtypes()) == scalar_names
    assert tensor_type_name(NAMES["bfloat16"]) == "torch.BFloat16Tensor"


def test_real_and_complex() -> None:
    assert NAMES["float16"].to_complex() is NAMES["complex32"]
    assert NAMES["bfloat16"].to_complex() is NAMES["complex64"]
    assert NAMES["complex128"].to_real() is NAMES["float64"]
    assert NAMES["bool"].to_real() is NAMES["bool"]
    with pytest.raises(RuntimeError, match=r"^Unknown Complex ScalarType for Byte$"):
        NAMES["uint8"].to_complex()


def test_as_dtype() -> None:
    python_types = [(float, "float64"), (int, "int64"), (bool, "bool"), (complex, "complex128")]
    for given, name in [*python_types, (NAMES["int8"], "int8")]:
        assert as_dtype(given, "zeros") is NAMES[name]
    for wrong, name in ((3, "int"), ("float32", "str"), (np.float32, "type"), (None, "NoneType")):
        with pytest.raises(TypeError, match=rf"^zeros\(\): argument 'dtype' must be torch\.dtype, not {name}$"):
            as_dtype(wrong, "zeros")


def test_default_dtype() -> None:
    assert get_default_dtype() is NAMES["float32"]
    set_default_dtype(NAMES["float64"])
    assert get_default_dtype() is NAMES["float64"]
    for wrong in ("int64", "complex64", "bool"):
        with pytest.raises(TypeError, match=r"^only floating-point types are supported as the default type$"):
            set_default_dtype(NAMES[wrong])
    invalid: list[Any] = ["float32", float, None]
    for value in invalid:
        with pytest.raises(TypeError, match=r"^invalid dtype object: only floating-point types are supported as the"):
            set_default_dtype(value)
    assert get_default_dtype() is NAMES["float64"]


def test_finfo() -> None:
    assert str(finfo()) == (
        "finfo(resolution=1e-06, min=-3.40282e+38, max=3.40282e+38, eps=1.19209e-07, smallest_normal=1.17549e-38, "
        "tiny=1.17549e-38, dtype=float32)"
    )
    assert str(finfo(NAMES["float16"])) == (
        "finfo(resolution=0.001, min=-65504, max=65504, eps=0.000976562, smallest_normal=6.10352e-05, "
        "tiny=6.10352e-05, dtype=float16)"
    )
    for name in ("float16", "float32", "float64"):
        ours, numpys = finfo(NAMES[name]), np.finfo(name)
        assert (ours.bits, ours.max, ours.min) == (numpys.bits, float(numpys.max), float(numpys.min))
        assert (ours.eps, ours.tiny) == (float(numpys.eps), float(numpys.tiny))
    assert finfo(NAMES["complex64"]) == finfo(NAMES["float32"]) != finfo(NAMES["float64"])
    with pytest.raises(TypeError, match=r"^torch\.finfo\(\) requires a floating point input type\. Use torch\.iinfo"):
        finfo(NAMES["int64"])


def test_iinfo() -> None:
    assert str(iinfo(NAMES["int64"])) == "iinfo(min=-9.22337e+18, max=9.22337e+18, dtype=int64)"
    assert str(iinfo(NAMES["uint8"])) == "iinfo(min=0, max=255, dtype=uint8)"
    assert (iinfo(NAMES["int8"]).min, iinfo(NAMES["int8"]).max, iinfo(NAMES["int8"]).bits) == (-128, 127, 8)
    with pytest.raises(TypeError, match=r"^torch\.bool is not supported by torch\.iinfo$"):
        iinfo(NAMES["bool"])
    with pytest.raises(TypeError, match=r"^torch\.iinfo\(\) requires an integer input type\. Use torch\.finfo"):
        iinfo(NAMES["float32"])
    with pytest.raises(TypeError, match="unhashable"):
        hash(iinfo(NAMES["int8"]))


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("name", NAMES)
def test_a_dtype_is_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = NAMES[name], getattr(torch, name)
    assert str(ours) == str(theirs)
    for attribute in ("is_floating_point", "is_complex", "is_signed", "itemsize", "abbr"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert tensor_type_name(ours) == torch.zeros(1, dtype=theirs).type()
    for method in ("to_real", "to_complex"):
        assert outcome(getattr(ours, method)) == outcome(getattr(theirs, method))
    assert outcome(finfo, ours) == outcome(torch.finfo, theirs)
    assert outcome(iinfo, ours) == outcome(torch.iinfo, theirs)


@pytest.mark.oracle
def test_limits_are_torchs_to_the_last_bit() -> None:
    torch = pytest.importorskip("torch")
    for name in ("float16", "bfloat16", "float32", "float64"):
        for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype"):
            assert getattr(finfo(NAMES[name]), field) == getattr(torch.finfo(getattr(torch, name)), field)
    for name in ("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"):
        for field in ("bits", "max", "min", "dtype"):
            assert getattr(iinfo(NAMES[name]), field) == getattr(torch.iinfo(getattr(torch, name)), field)


@pytest.mark.oracle
def test_messages_are_torchs() -> None:
    torch = pytest.importorskip("torch")
    for value in ("float32", 3, None, float):
        assert outcome(set_default_dtype, value) == outcome(torch.set_default_dtype, value)
        assert outcome(finfo, value) == outcome(torch.finfo, value)
        assert outcome(iinfo, value) == outcome(torch.iinfo, value)
