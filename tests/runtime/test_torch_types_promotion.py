"""Type promotion: torch 2.13's table, recorded, and every combination compared with torch itself."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from outcomes import outcome

from chainrule.runtime.torch_types import (
    NAMES,
    Category,
    can_cast,
    promote_types,
    result_dtype,
    result_type,
    set_default_dtype,
)

ABBREVIATED = {one.abbr: one for one in NAMES.values()}
ORDER = "b8 u8 i8 i16 i32 i64 f16 bf16 f32 f64 c32 c64 c128"
COMMON = """
    b8 u8 i8 i16 i32 i64 f16 bf16 f32 f64 c32 c64 c128
    u8 u8 i16 i16 i32 i64 f16 bf16 f32 f64 c32 c64 c128
    i8 i16 i8 i16 i32 i64 f16 bf16 f32 f64 c32 c64 c128
    i16 i16 i16 i16 i32 i64 f16 bf16 f32 f64 c32 c64 c128
    i32 i32 i32 i32 i32 i64 f16 bf16 f32 f64 c32 c64 c128
    i64 i64 i64 i64 i64 i64 f16 bf16 f32 f64 c32 c64 c128
    f16 f16 f16 f16 f16 f16 f16 f32 f32 f64 c32 c64 c128
    bf16 bf16 bf16 bf16 bf16 bf16 f32 bf16 f32 f64 c64 c64 c128
    f32 f32 f32 f32 f32 f32 f32 f32 f32 f64 c64 c64 c128
    f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 c128 c128 c128
    c32 c32 c32 c32 c32 c32 c32 c64 c64 c128 c32 c64 c128
    c64 c64 c64 c64 c64 c64 c64 c64 c64 c128 c64 c64 c128
    c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128
"""


class Operand:
    """As much of a tensor as `result_type` looks at."""

    def __init__(self, name: str, rank: int) -> None:
        self.dtype = NAMES[name]
        self._rank = rank

    def dim(self) -> int:
        return self._rank


@pytest.fixture(autouse=True)
def _default_dtype() -> Iterator[None]:
    yield
    set_default_dtype(NAMES["float32"])


def test_promote_types() -> None:
    columns = ORDER.split()
    rows = [line.split() for line in COMMON.strip().splitlines()]
    assert {len(row) for row in rows} == {len(columns)} == {len(rows)}
    wrong = [
        (first, second, promote_types(ABBREVIATED[first], ABBREVIATED[second]))
        for first, row in zip(columns, rows, strict=True)
        for second, common in zip(columns, row, strict=True)
        if promote_types(ABBREVIATED[first], ABBREVIATED[second]) is not ABBREVIATED[common]
    ]
    assert not wrong


def test_promotion_of_wide_unsigned_integers() -> None:
    assert promote_types(NAMES["uint16"], NAMES["uint16"]) is NAMES["uint16"]
    assert promote_types(NAMES["uint16"], NAMES["float16"]) is NAMES["float16"]
    with pytest.raises(RuntimeError, match=r"is not supported, attempted to promote UInt16 and Char$"):
        promote_types(NAMES["uint16"], NAMES["int8"])


@pytest.mark.parametrize(
    ("from_", "to", "allowed"),
    [
        ("int64", "uint8", True),
        ("float64", "float16", True),
        ("bool", "int8", True),
        ("int64", "float16", True),
        ("int8", "bool", False),
        ("float32", "int64", False),
        ("complex64", "float64", False),
    ],
)
def test_can_cast(from_: str, to: str, allowed: bool) -> None:
    assert can_cast(NAMES[from_], NAMES[to]) is allowed


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (Operand("float32", 1), Operand("float64", 0), "float32"),
        (Operand("float32", 0), Operand("float64", 0), "float64"),
        (Operand("uint8", 1), Operand("int64", 0), "uint8"),
        (Operand("int32", 1), Operand("float64", 0), "float64"),
        (Operand("bool", 2), Operand("uint8", 0), "uint8"),
        (Operand("float16", 1), Operand("complex128", 0), "complex32"),
        (Operand("uint8", 1), 5, "uint8"),
        (Operand("bool", 1), 5, "int64"),
        (Operand("int32", 0), 1.5, "float32"),
        (Operand("float16", 1), 1.5, "float16"),
        (Operand("float64", 1), 1j, "complex128"),
        (Operand("int64", 1), True, "int64"),
        (Operand("int64", 1), np.float64(1), "float32"),
        (Operand("bool", 1), np.uint8(1), "int64"),
        (Operand("bool", 1), np.bool_(True), "float32"),
        (1, 2, "int64"),
        (True, False, "bool"),
        (True, 1.5, "float32"),
    ],
)
def test_result_type(first: Any, second: Any, expected: str) -> None:
    assert result_type(first, second) is NAMES[expected]
    assert result_type(second, first) is NAMES[expected]


def test_scalars_follow_the_default_dtype() -> None:
    set_default_dtype(NAMES["float64"])
    assert result_type(Operand("int64", 1), 1.5) is NAMES["float64"]
    assert result_type(Operand("float32", 1), 1.5) is NAMES["float32"]
    assert result_type(1, 1j) is NAMES["complex128"]
    set_default_dtype(NAMES["bfloat16"])
    assert result_type(1, 1j) is NAMES["complex64"]


def test_more_than_two_operands() -> None:
    full, scalar = Category.DIMENSIONED, Category.SCALAR
    assert result_dtype((NAMES["uint8"], full), (NAMES["int8"], full), (NAMES["int64"], scalar)) is NAMES["int16"]
    with pytest.raises(ValueError, match="at least one operand"):
        result_dtype()


def test_messages() -> None:
    not_dtype = "promote_types(): argument 'type2' (position 2) must be torch.dtype, not int"
    with pytest.raises(TypeError, match=re.escape(not_dtype)):
        promote_types(NAMES["int8"], 1)  # type: ignore[arg-type]
    not_dtype = "can_cast(): argument 'from_' (position 1) must be torch.dtype, not str"
    with pytest.raises(TypeError, match=re.escape(not_dtype)):
        can_cast("a", NAMES["int8"])  # type: ignore[arg-type]
    with pytest.raises(TypeError) as caught:
        result_type(1, "a")
    assert str(caught.value) == (
        "result_type() received an invalid combination of arguments - got (int, str), but expected one of:\n"
        " * (Tensor tensor, Tensor other)\n"
        "      didn't match because some of the arguments have invalid types: (!int!, !str!)\n"
        " * (Number scalar, Tensor tensor)\n"
        "      didn't match because some of the arguments have invalid types: (int, !str!)\n"
        " * (Tensor tensor, Number other)\n"
        "      didn't match because some of the arguments have invalid types: (!int!, !str!)\n"
        " * (Number scalar1, Number scalar2)\n"
        "      didn't match because some of the arguments have invalid types: (int, !str!)\n"
    )


@pytest.mark.oracle
def test_promotion_is_torchs_for_every_pair() -> None:
    torch = pytest.importorskip("torch")
    for first, second in itertools.product(NAMES, repeat=2):
        ours, theirs = (NAMES[first], NAMES[second]), (getattr(torch, first), getattr(torch, second))
        assert outcome(promote_types, *ours) == outcome(torch.promote_types, *theirs)
        assert can_cast(*ours) == torch.can_cast(*theirs)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("default", ["float16", "bfloat16", "float32", "float64"])
def test_result_type_is_torchs_for_every_pair_of_operands(default: str) -> None:
    torch = pytest.importorskip("torch")
    names = sorted({str(one).removeprefix("torch.") for one in NAMES.values()})
    operands: list[tuple[Any, Any]] = [(value, value) for value in (True, 1, 1.5, 1j, np.int8(1), np.float32(1))]
    operands += [(Operand(name, 0), torch.zeros((), dtype=getattr(torch, name))) for name in names]
    operands += [(Operand(name, 1), torch.zeros(1, dtype=getattr(torch, name))) for name in names]
    set_default_dtype(NAMES[default])
    torch.set_default_dtype(getattr(torch, default))
    try:
        for (first, their_first), (second, their_second) in itertools.product(operands, repeat=2):
            assert outcome(result_type, first, second) == outcome(torch.result_type, their_first, their_second)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.oracle
def test_results_of_three_operands_are_torchs() -> None:
    torch = pytest.importorskip("torch")
    names = ["bool", "uint8", "int8", "int32", "float16", "bfloat16", "float64"]
    ranks: dict[Category, tuple[int, ...]] = {Category.ZERO_DIM: (), Category.DIMENSIONED: (1,)}
    operands = list(itertools.product(names, ranks))
    # clamp promotes its three tensors together; on the meta device it does nothing else, so every dtype passes.
    tensors = {
        (name, category): torch.zeros(ranks[category], dtype=getattr(torch, name), device="meta")
        for name, category in operands
    }
    for chosen in itertools.combinations_with_replacement(operands, 3):
        ours = result_dtype(*((NAMES[name], category) for name, category in chosen))
        assert str(ours) == str(torch.clamp(*(tensors[operand] for operand in chosen)).dtype)
