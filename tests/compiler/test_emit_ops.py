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
KINDS = {"f": "float", "i": "int", "u": "int", "b": "bool"}
SPECIAL = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.5, -2.5, 3.0, 10.0, -10.0, 1e3, -1e3, 1e-30, np.inf, -np.inf, np.nan]


def spelling(entry: op.Op, kind: str) -> str:
    lowering = entry.lowering
    return "" if lowering is None else {"float": lowering.real, "int": lowering.integer, "bool": lowering.boolean}[kind]


def available(text: str) -> bool:
    family, _, name = text.partition(" ")
    return bool(text) and (family != "math" or name in vecmath.FUNCTIONS)


def cases() -> dict[str, tuple[op.Op, np.dtype[Any], Kernel]]:
    """Every op for every element type that it is spelled for."""
    assert ops.__all__
    found = {}
    for entry in op.all_ops():
        if entry.kind != "elementwise" or entry.params or entry.name in ("cast", "where") or (entry.arity or 0) > 2:
            continue
        for kind in entry.dtypes:
            if spelling(entry, kind):
                for name in DTYPES[kind]:
                    dtype, operands = np.dtype(name), ("a", "b")[: entry.arity]
                    result = np.dtype("?") if entry.infer.__name__ == "_predicate" else dtype
                    lets = (k.let("r", entry.name, *(f"v{x}" for x in operands), dtype=result),)
                    kernel = k.elementwise(f"op_{entry.name}_{dtype.name}", dtype, lets, "r", result, operands)
                    found[kernel.name] = entry, dtype, kernel
    return found


CASES = cases()
COMPILED = [name for name, (entry, dtype, _) in CASES.items() if available(spelling(entry, KINDS[dtype.kind]))]


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_kernels([CASES[name][2] for name in COMPILED], "test_emit_ops")


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


# lgamma(-inf): -inf in SciPy, inf in C99. pow(-inf, 0.5): inf for an array, nan for a NumPy scalar.
DISPUTED_AT_MINUS_INFINITY = ("lgamma", "pow")


def assert_close(entry: op.Op, arrays: list[Any], actual: Any) -> None:
    expected = evaluate(entry, arrays).astype(actual.dtype)
    if entry.name in DISPUTED_AT_MINUS_INFINITY and actual.dtype.kind == "f":
        agreed = ~np.isneginf(arrays[0])
        actual, expected = actual[agreed], expected[agreed]
    if actual.dtype.kind == "f":
        # the accuracy of vecmath has its own tests, and the reference's own errors reach 1e-13 in tails
        finfo = np.finfo(actual.dtype)
        np.testing.assert_allclose(actual, expected, rtol=1000 * finfo.eps, atol=finfo.tiny)
    else:
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_op(compiled: Compiled, name: str) -> None:
    entry, dtype, kernel = CASES[name]
    arrays = {x: array for x, array in operands(entry, dtype).items() if x in [b.name for b in kernel.buffers]}
    out = np.zeros(arrays["a"].size, kernel.buffers[-1].dtype)
    compiled.run(COMPILED.index(name), 0, out.size, pack(kernel, {"n": out.size}, {**arrays, "out": out}))
    assert_close(entry, list(arrays.values()), out)


@pytest.mark.parametrize("name", CASES)
def test_source_of_op(name: str) -> None:
    entry, dtype, kernel = CASES[name]
    arrays = {x: array[:200] for x, array in operands(entry, dtype).items() if x in [b.name for b in kernel.buffers]}
    out = np.zeros(arrays["a"].size, kernel.buffers[-1].dtype)
    k.run_source(kernel, {**arrays, "out": out}, {"n": out.size})
    assert_close(entry, list(arrays.values()), out)
