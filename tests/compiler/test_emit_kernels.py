"""Both emitters against NumPy: every case in several memory layouts, from one compiled object."""

from __future__ import annotations

import itertools
from typing import Any

import kernels as k
import numpy as np
import pytest
from kernels import B1, F4, F8, I8, Case, let, literal

from chainrule.compiler.kernel import Compiled, compile_kernels
from chainrule.compiler.packing import ArgumentLayout

INTEGERS = [np.dtype(t) for t in ("i1", "i2", "i4", "i8", "u1")]
EVERY = [np.dtype(t) for t in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "?")]
n, m = 37, 11


def vector(dtype: Any = F8, size: int = n) -> tuple[tuple[int, ...], np.dtype[Any]]:
    return (size,), np.dtype(dtype)


def pointwise(
    name: str,
    dtype: Any,
    lets: tuple[Any, ...],
    result: str,
    meaning: Any,
    out: Any = None,
    inputs: tuple[str, ...] = ("a", "b"),
    rounding: float = 0.0,
) -> Case:
    return Case(
        k.elementwise(name, dtype, lets, result, out, inputs),
        {x: vector(dtype) for x in inputs},
        {"out": vector(out or dtype)},
        {"n": n},
        lambda **arrays: {"out": meaning(**arrays)},
        rounding,
    )


def number_row(**_: Any) -> list[int]:
    return [(n - 7) // m, (n - 7) % m, 2 * min(n, m) + max(n, m), n * n - 3 * m + 5]


def padded(x: np.ndarray[Any, Any], flags: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {
        "out": np.pad(x, ((1, 2), (0, 0)), constant_values=-1.0),
        "kept": np.pad(flags, (1, 2), constant_values=True),
    }


def scattered(x: np.ndarray[Any, Any], at: np.ndarray[Any, Any]) -> dict[str, Any]:
    out = np.zeros(n)
    np.add.at(out, at, x)
    return {"out": out}


def cases() -> dict[str, Case]:
    table = [
        pointwise(
            "scaled_product",
            F8,
            (let("c", "mul", "va", "vb"), let("d", "add", "c", literal(1.5))),
            "d",
            lambda a, b: a * b + 1.5,
        ),
        pointwise(
            "strict",
            F8,
            (let("p", "mul", "va", "va"), let("q", "mul", "vb", "vb"), let("r", "sub", "p", "q")),
            "r",
            lambda a, b: a * a - b * b,
        ),
        pointwise(
            "single",
            F4,
            (
                let("c", "div", "va", "vb", dtype=F4),
                let("d", "add", "c", literal(0.1, F4), dtype=F4),
                let("e", "sqrt", "d", dtype=F4),
            ),
            "e",
            lambda a, b: np.sqrt(a / b + np.float32(0.1)),
        ),
        pointwise(
            "rounded",
            F8,
            (
                let("f", "floor", "va"),
                let("g", "ceil", "vb"),
                let("h", "sub", "f", "g"),
                let("r", "round", "va"),
                let("t", "trunc", "vb"),
                let("u", "add", "r", "t"),
                let("w", "mul", "h", "u"),
                let("z", "abs", "w"),
            ),
            "z",
            lambda a, b: np.abs((np.floor(a) - np.ceil(b)) * (np.rint(a) + np.trunc(b))),
        ),
        pointwise(
            "select",
            F8,
            (
                let("c", "lt", "va", "vb", dtype=B1),
                let("n1", "ne", "va", "va", dtype=B1),
                let("c2", "or_", "c", "n1", dtype=B1),
                let("d", "where", "c2", "va", "vb"),
            ),
            "d",
            lambda a, b: np.where((a < b) | (a != a), a, b),
        ),
        pointwise(
            "logic",
            B1,
            (
                let("c", "and_", "va", "vb", dtype=B1),
                let("d", "xor", "c", "va", dtype=B1),
                let("e", "not_", "d", dtype=B1),
                let("f", "maximum", "e", "vb", dtype=B1),
                let("g", "gt", "f", "va", dtype=B1),
            ),
            "g",
            lambda a, b: np.maximum(~((a & b) ^ a), b) > a,
        ),
        Case(
            k.reduction("total", "add", 0.0),
            {"x": vector()},
            {"out": ((), F8)},
            {"n": n},
            lambda x: {"out": x.sum()},
            1e-13,
        ),
        Case(
            k.reduction("total_single", "add", 0.0, F4),
            {"x": vector(F4)},
            {"out": ((), F4)},
            {"n": n},
            lambda x: {"out": x.sum()},
            1e-5,
        ),
        Case(
            k.reduction("total_int", "add", 0, I8),
            {"x": vector(I8)},
            {"out": ((), I8)},
            {"n": n},
            lambda x: {"out": x.sum()},
        ),
        Case(
            k.reduction("product", "mul", 1.0),
            {"x": vector()},
            {"out": ((), F8)},
            {"n": n},
            lambda x: {"out": x.prod()},
            1e-13,
        ),
        Case(
            k.reduction("largest", "maximum", -np.inf),
            {"x": vector()},
            {"out": ((), F8)},
            {"n": n},
            lambda x: {"out": x.max()},
        ),
        Case(
            k.reduction("smallest", "minimum", np.inf, F4),
            {"x": vector(F4)},
            {"out": ((), F4)},
            {"n": n},
            lambda x: {"out": x.min()},
        ),
        Case(k.argmax(), {"x": vector()}, {"out": ((), I8)}, {"n": n}, lambda x: {"out": x.argmax()}),
        Case(
            k.row_sums("row_sums", k.M),
            {"x": ((n, m), F8), "y": vector(size=m)},
            {"out": vector()},
            {"n": n, "m": m},
            lambda x, y: {"out": x @ y},
            1e-13,
        ),
        Case(
            k.column_sums(),
            {"x": ((n, m), F8)},
            {"out": vector(size=m)},
            {"n": n, "m": m},
            lambda x: {"out": x.sum(0)},
            1e-13,
        ),
        Case(
            k.gather(),
            {"x": ((n, m), F8), "at": vector(I8)},
            {"out": ((n, m), F8)},
            {"n": n, "m": m},
            lambda x, at: {"out": x[at]},
        ),
        Case(k.scatter(), {"x": vector(), "at": vector(I8)}, {"out": vector()}, {"n": n}, scattered),
        Case(
            k.concatenate(),
            {"x": vector(), "y": vector(size=m)},
            {"out": vector(size=n + m)},
            {"n": n, "m": m},
            lambda x, y: {"out": np.concatenate([x, y])},
        ),
        Case(
            k.pad_rows(),
            {"x": ((n, m), F8), "flags": vector(B1)},
            {"out": ((n + 3, m), F8), "kept": vector(B1, n + 3)},
            {"n": n, "m": m},
            padded,
        ),
        Case(
            k.index_arithmetic(),
            {"x": ((n, m), F8)},
            {"out": vector(size=n * m), "numbers": vector(I8, 4)},
            {"n": n, "m": m},
            lambda x: {"out": x.reshape(-1)[::-1], "numbers": number_row()},
        ),
        Case(
            k.transposed_sum(),
            {"x": ((n, m), F8), "y": ((m, n), F8)},
            {"out": ((n, m), F8)},
            {"n": n, "m": m},
            lambda x, y: {"out": x + y.T},
        ),
        Case(k.scalar_kernel(), {"a": ((), F8)}, {"out": ((), F8)}, {}, lambda a: {"out": a * 2.5}),
        Case(
            k.normalise_rows(),
            {"x": ((n, m), F8)},
            {"out": ((n, m), F8)},
            {"n": n, "m": m},
            lambda x: {"out": x / x.max(1, keepdims=True)},
        ),
    ]
    for dtype in INTEGERS:
        table.append(
            pointwise(
                f"integers_{dtype.name}",
                dtype,
                (
                    let("c", "mul", "va", "vb", dtype=dtype),
                    let("d", "sub", "c", literal(3, dtype), dtype=dtype),
                    let("e", "xor", "d", "va", dtype=dtype),
                    let("f", "not_", "e", dtype=dtype),
                    let("g", "lt", "f", "vb", dtype=B1),
                    let("h", "where", "g", "f", "va", dtype=dtype),
                ),
                "h",
                lambda a, b: np.where(~((a * b - a.dtype.type(3)) ^ a) < b, ~((a * b - a.dtype.type(3)) ^ a), a),
            )
        )
    for columns in (1, 2, 3, 4, 8, 17):  # loops that LLVM unrolls, so that the outer one becomes the vector loop
        for dtype in (F8, F4):
            table.append(
                Case(
                    k.row_sums(f"row_sums_{columns}_{dtype.name}", columns, dtype),
                    {"x": ((n, columns), dtype), "y": vector(dtype, columns)},
                    {"out": vector(dtype)},
                    {"n": n, "m": columns},
                    lambda x, y: {"out": x @ y},
                    1e-13 if dtype == F8 else 1e-5,
                )
            )
    for source in EVERY:
        for target in EVERY:
            table.append(
                pointwise(
                    f"cast_{source.name}_{target.name}",
                    source,
                    (let("c", "cast", "va", dtype=target),),
                    "c",
                    lambda a, target=target: a.astype(target),
                    target,
                    ("a",),
                )
            )
    return {case.kernel.name: case for case in table}


CASES = cases()
NUMBER = {name: i for i, name in enumerate(CASES)}


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_kernels([case.kernel for case in CASES.values()], "test_emit_kernels")


def sample(shape: tuple[int, ...], dtype: np.dtype[Any], name: str, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    if name == "at":
        return rng.integers(0, n, shape)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        return rng.integers(0 if dtype.kind == "u" else -100, 100, shape).astype(dtype)
    return rng.uniform(0.2, 3.0, shape).astype(dtype)


def laid_out(array: np.ndarray[Any, Any], layout: str) -> np.ndarray[Any, Any]:
    """The same values in another memory layout."""
    if layout == "contiguous" or array.ndim == 0:
        return array
    if layout == "reversed":
        return np.ascontiguousarray(array[(slice(None, None, -1),) * array.ndim])[(slice(None, None, -1),) * array.ndim]
    if layout == "fortran":
        return np.asfortranarray(array)
    wide = np.zeros(tuple(3 * s for s in array.shape), array.dtype)
    wide[(slice(1, None, 3),) * array.ndim] = array
    return wide[(slice(1, None, 3),) * array.ndim]


def prepare(case: Case, layout: str, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Inputs in the layout, blank outputs, expected outputs."""
    plain = {name: sample(shape, dtype, name, seed + i) for i, (name, (shape, dtype)) in enumerate(case.inputs.items())}
    with np.errstate(all="ignore"):
        expected = case.meaning(**plain)
    contiguous = {buffer.name for buffer in case.kernel.buffers if buffer.contiguous}
    inputs = {name: laid_out(array, layout) for name, array in plain.items()}
    outputs = {
        name: np.zeros(shape, dtype) if name in contiguous else laid_out(np.zeros(shape, dtype), layout)
        for name, (shape, dtype) in case.outputs.items()
    }
    return inputs, outputs, expected


def assert_same(case: Case, actual: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, array in actual.items():
        np.testing.assert_allclose(
            array, np.asarray(expected[name]).astype(array.dtype), rtol=case.rounding, atol=0, err_msg=name
        )


def run(
    compiled: Compiled,
    case: Case,
    arrays: dict[str, Any],
    start: int = 0,
    stop: int | None = None,
    sizes: dict[str, int] | None = None,
) -> None:
    arguments = ArgumentLayout.of(case.kernel).pack(sizes or case.sizes, arrays)
    compiled.run(NUMBER[case.kernel.name], start, case.outer if stop is None else stop, arguments)


@pytest.mark.parametrize("layout", ["contiguous", "strided", "reversed", "fortran"])
@pytest.mark.parametrize("name", CASES)
def test_compiled(compiled: Compiled, name: str, layout: str) -> None:
    case = CASES[name]
    inputs, outputs, expected = prepare(case, layout)
    run(compiled, case, {**inputs, **outputs})
    assert_same(case, outputs, expected)


@pytest.mark.parametrize("name", CASES)
def test_source(name: str) -> None:
    case = CASES[name]
    inputs, outputs, expected = prepare(case, "contiguous")
    k.run_source(case.kernel, {**inputs, **outputs}, case.sizes)
    assert_same(case, outputs, expected)


@pytest.mark.parametrize(
    "name", ["scaled_product", "single", "integers_int16", "normalise_rows", "argmax", "concatenate", "logic"]
)
def test_source_through_numba(name: str) -> None:
    case = CASES[name]
    inputs, outputs, expected = prepare(case, "contiguous")
    k.run_source(case.kernel, {**inputs, **outputs}, case.sizes, compiled=True)
    assert_same(case, outputs, expected)


@pytest.mark.parametrize("layout", ["contiguous", "strided"])
@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case.kernel.splittable and not name.startswith("cast")]
)
def test_any_split_gives_the_same_bits(compiled: Compiled, name: str, layout: str) -> None:
    case = CASES[name]
    inputs, whole, _ = prepare(case, layout)
    run(compiled, case, {**inputs, **whole})
    rng = np.random.default_rng(1)
    for _ in range(5):
        cuts = sorted({0, case.outer, *rng.integers(0, case.outer, 4).tolist()})
        _, parts, _ = prepare(case, layout)
        for start, stop in itertools.pairwise(cuts):
            run(compiled, case, {**inputs, **parts}, start, stop)
        for output in whole:
            assert whole[output].tobytes() == parts[output].tobytes()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scaled_product", []),
        ("row_sums", []),
        ("gather", np.ones((0, m))),
        ("total", 0.0),
        ("largest", -np.inf),
        ("column_sums", np.zeros(m)),
        ("concatenate", np.arange(float(m))),
    ],
)
def test_empty_arrays(compiled: Compiled, name: str, expected: Any) -> None:
    case = CASES[name]

    def shrink(shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple({n: 0, n + m: m}.get(size, size) for size in shape)

    arrays = {name: np.ones(shrink(shape), dtype) for name, (shape, dtype) in {**case.inputs, **case.outputs}.items()}
    if name == "concatenate":
        arrays["y"] = np.arange(float(m))
    run(compiled, case, arrays, 0, arrays["out"].size if case.kernel.splittable else 0, {**case.sizes, "n": 0})
    np.testing.assert_array_equal(arrays["out"], expected)


@pytest.mark.parametrize("name", ["largest", "smallest"])
@pytest.mark.parametrize("position", [0, 1, n // 2, n - 1])
def test_extremes_propagate_nan(compiled: Compiled, name: str, position: int) -> None:
    case = CASES[name]
    inputs, outputs, _ = prepare(case, "contiguous")
    inputs["x"][position] = np.nan
    run(compiled, case, {**inputs, **outputs})
    assert np.isnan(outputs["out"])


def test_special_values_keep_their_meaning(compiled: Compiled) -> None:
    case = CASES[
        "strict"
    ]  # a*a - b*b is exactly zero for equal arguments: no multiplication was contracted into an fma
    a = np.random.default_rng(5).standard_normal(n)
    a[:4] = np.nan, np.inf, -0.0, 5e-324
    out = np.ones(n)
    run(compiled, case, {"a": a, "b": a.copy(), "out": out})
    np.testing.assert_array_equal(out, [np.nan, np.nan, *[0.0] * (n - 2)])


def test_broadcast_input(compiled: Compiled) -> None:
    case = CASES["transposed_sum"]
    x, y = np.broadcast_to(np.arange(float(m)), (n, m)), np.broadcast_to(2.5, (m, n))
    out = np.zeros((n, m))
    run(compiled, case, {"x": x, "y": y, "out": out})
    np.testing.assert_array_equal(out, x + y.T)
