"""Every elementwise op of the table that has a compiled form, for every element type, against its NumPy meaning."""

from __future__ import annotations

from typing import Any

import kernels as k
import numpy as np
import pytest

from chainrule.compiler import op, ops, vecmath
from chainrule.compiler.kernel import Compiled, compile_kernels
from chainrule.compiler.loopnest import Kernel
from chainrule.compiler.packing import pack

DTYPES = {"float": ("f8", "f4"), "int": ("i8", "i4", "i2", "i1", "u1"), "bool": ("?",)}
SPECIAL = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.5, -2.5, 3.0, 10.0, -10.0, 1e3, -1e3, 1e-30, np.inf, -np.inf, np.nan]


def spelling(entry: op.Op, kind: str) -> str:
    lowering = entry.lowering
    return "" if lowering is None else {"float": lowering.real, "int": lowering.integer, "bool": lowering.boolean}[kind]


def available(text: str) -> bool:
    family, _, name = text.partition(" ")
    return bool(text) and (family != "math" or name in vecmath.FUNCTIONS)


def cases() -> dict[str, tuple[op.Op, np.dtype[Any], Kernel]]:
    assert ops.__all__
    found = {}
    for entry in op.all_ops():
        if entry.kind != "elementwise" or entry.params or entry.name in ("cast", "where"):
            continue
        for kind in entry.dtypes:
            if available(spelling(entry, kind)):
                for name in DTYPES[kind]:
                    dtype, operands = np.dtype(name), ("a", "b")[: entry.arity]
                    result = np.dtype("?") if entry.infer.__name__ == "_predicate" else dtype
                    lets = (k.let("r", entry.name, *(f"v{x}" for x in operands), dtype=result),)
                    kernel = k.elementwise(f"op_{entry.name}_{dtype.name}", dtype, lets, "r", result, operands)
                    found[kernel.name] = entry, dtype, kernel
    return found


CASES = cases()
NUMBER = {name: i for i, name in enumerate(CASES)}


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_kernels([kernel for _, _, kernel in CASES.values()], "test_emit_ops")


def operands(entry: op.Op, dtype: np.dtype[Any]) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    if dtype.kind == "f":
        values = np.concatenate([np.array(SPECIAL), rng.uniform(-0.99, 0.99, 20), rng.uniform(1.0, 20.0, 20)]).astype(
            dtype
        )
    elif dtype.kind == "b":
        values = np.array([False, True])
    else:
        values = rng.integers(0 if dtype.kind == "u" or entry.name == "pow" else -20, 20, 40).astype(dtype)
        values[:2] = 0
    a, b = np.meshgrid(values, values)
    if entry.name.startswith("shift"):
        b = np.abs(b.astype("i8")).astype(dtype)
    return {"a": np.ascontiguousarray(a.ravel()), "b": np.ascontiguousarray(b.ravel())}


def evaluate(entry: op.Op, arrays: list[Any]) -> Any:
    with np.errstate(all="ignore"):
        return np.asarray(entry.evaluate(*arrays))


def assert_close(entry: op.Op, actual: Any, expected: Any) -> None:
    if actual.dtype.kind == "f":
        # vecmath tests its own accuracy; here, that the op is the one that was asked for
        np.testing.assert_allclose(
            actual, expected, rtol=50 * np.finfo(actual.dtype).eps, atol=np.finfo(actual.dtype).tiny
        )
    else:
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", CASES)
def test_compiled_op(compiled: Compiled, name: str) -> None:
    entry, dtype, kernel = CASES[name]
    arrays = {x: array for x, array in operands(entry, dtype).items() if x in [b.name for b in kernel.buffers]}
    out = np.zeros(arrays["a"].size, kernel.buffers[-1].dtype)
    compiled.run(NUMBER[name], 0, out.size, pack(kernel, {"n": out.size}, {**arrays, "out": out}))
    assert_close(entry, out, evaluate(entry, list(arrays.values())).astype(out.dtype))


@pytest.mark.parametrize("name", CASES)
def test_source_of_op(name: str) -> None:
    entry, dtype, kernel = CASES[name]
    arrays = {x: array[:200] for x, array in operands(entry, dtype).items() if x in [b.name for b in kernel.buffers]}
    out = np.zeros(arrays["a"].size, kernel.buffers[-1].dtype)
    k.run_source(kernel, {**arrays, "out": out}, {"n": out.size})
    assert_close(entry, out, evaluate(entry, list(arrays.values())).astype(out.dtype))
