"""Compiled objects: the machine code, its loading without numba, and the life of it all."""

from __future__ import annotations

import gc
import itertools
import platform
import random
import re
import subprocess
import sys
import threading
from typing import Any

import kernels as k
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from kernels import B1, F4, F8, let, literal

from chainrule.compiler import emit_llvm
from chainrule.compiler.emit_source import emit_source
from chainrule.compiler.errors import LoweringError
from chainrule.compiler.kernel import Compiled, compile_kernels, load_object, lowering_of
from chainrule.compiler.loopnest import Kernel, Let, Load, Store
from chainrule.compiler.packing import ArgumentLayout, pack

AXPY = k.elementwise("axpy", F8, (let("p", "mul", "va", literal(3.0)), let("s", "add", "p", "vb")), "s")


def arrays_of(size: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"a": rng.standard_normal(size), "b": rng.standard_normal(size), "out": np.zeros(size)}


@pytest.fixture(scope="module")
def axpy() -> Compiled:
    return compile_kernels([AXPY], "test_kernel_axpy")


def body_of(compiled: Compiled, body: str) -> str:
    """The assembly of one body of the first kernel."""
    symbol = f"{compiled.symbol}.0.{compiled.kernels[0].name}.{body}"
    text = compiled.assembly()
    start = text.index(f'\n"{symbol}":') if f'\n"{symbol}":' in text else text.index(f"\n{symbol}:")
    return text[start : text.index(".Lfunc_end", start)]


x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="x86-64 only")


@x86
def test_elementwise_loop_is_vectorised(axpy: Compiled) -> None:
    body = body_of(axpy, "dense")
    assert "mulpd" in body
    assert "addpd" in body
    assert "fmadd" not in body  # the user's arithmetic is never contracted


@x86
def test_strided_loop_is_vectorised() -> None:
    """LLVM would bet on a stride of one byte, and leave every real stride to a scalar loop, if it saw it bare."""
    kernel = k.elementwise("root", F8, (let("r", "sqrt", "va"),), "r", inputs=("a",))
    compiled = compile_kernels([kernel], "test_kernel_strided")
    assert "sqrtpd" in body_of(compiled, "strided")
    assert "ident.check" not in compiled.llvm()


@x86
@pytest.mark.parametrize(
    ("op", "initial", "dtype", "instruction"),
    [
        ("add", 0.0, F8, "addpd"),
        ("mul", 1.0, F4, "mulps"),
        ("maximum", -np.inf, F8, "maxpd"),
        ("minimum", np.inf, F4, "minps"),
    ],
)
def test_accumulation_is_vectorised(op: str, initial: float, dtype: Any, instruction: str) -> None:
    compiled = compile_kernels([k.reduction(op, op, initial, dtype)], f"test_kernel_{op}")
    assert instruction in body_of(compiled, "dense")


@x86
def test_accumulation_in_order_is_not_split_into_lanes() -> None:
    free = k.reduction("ordered", "add", 0.0)
    loop, store = free.body
    strict = Kernel(
        free.name,
        free.buffers,
        free.sizes,
        (
            type(loop)(loop.index, loop.extent, (loop.body[0], let("after", "add", "total", "v")), loop.carried),
            store,
        ),
    )
    compiled = compile_kernels([strict], "test_kernel_ordered")
    assert "addsd" in body_of(compiled, "dense")
    assert "addpd" not in body_of(compiled, "dense")
    x, out = np.array([1e16, 1.0, -1e16, 1.0] * 8), np.zeros(())
    compiled.run(0, 0, 0, pack(strict, {"n": x.size}, {"x": x, "out": out}))
    assert out == sum(x.tolist())


def test_reloaded_object_runs_without_numba(axpy: Compiled, tmp_path: Any) -> None:
    arrays = arrays_of(101)
    path = tmp_path / "kernel.o"
    path.write_bytes(axpy.object_code())
    np.save(tmp_path / "a.npy", arrays["a"])
    np.save(tmp_path / "b.npy", arrays["b"])
    script = f"""
import sys
import numpy as np
from chainrule.compiler.kernel import load_object
a, b, out = np.load({str(tmp_path / "a.npy")!r}), np.load({str(tmp_path / "b.npy")!r}), np.zeros(101)
loaded = load_object(open({str(path)!r}, "rb").read(), {axpy.symbol!r})
arguments = np.array([101, *(word for x in (a, b, out) for word in (x.__array_interface__["data"][0], *x.strides))])
loaded.run(0, 0, 101, arguments)
assert "numba" not in sys.modules and "scipy" not in sys.modules
sys.stdout.buffer.write(out.tobytes())
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    assert answer.stdout == (arrays["a"] * 3.0 + arrays["b"]).tobytes()


def test_reloaded_in_the_process_that_made_it(axpy: Compiled) -> None:
    loaded = load_object(axpy.object_code(), axpy.symbol)
    arrays = arrays_of(10)
    loaded.run(0, 0, 10, pack(AXPY, {"n": 10}, arrays))
    np.testing.assert_array_equal(arrays["out"], arrays["a"] * 3.0 + arrays["b"])
    assert loaded.address != axpy.address


def test_object_needs_nothing_of_numba(axpy: Compiled) -> None:
    assert b"numba" not in axpy.object_code()
    assert b"NRT_" not in axpy.object_code()


def test_same_kernel_name_under_two_keys() -> None:
    """Kernels that differ only in their body must not be taken for one another."""
    objects = []
    for factor in (2.0, 5.0):
        kernel = k.elementwise("twin", F8, (let("p", "mul", "va", literal(factor)),), "p", inputs=("a",))
        objects.append((compile_kernels([kernel], f"test_kernel_twin_{factor:.0f}"), kernel, factor))
    arrays = arrays_of(9)
    for compiled, kernel, factor in objects:
        compiled.run(0, 0, 9, pack(kernel, {"n": 9}, {"a": arrays["a"], "out": arrays["out"]}))
        np.testing.assert_array_equal(arrays["out"], factor * arrays["a"])
        assert compiled.symbol in compiled.llvm()


def test_code_is_freed_and_made_again() -> None:
    arrays = arrays_of(5)
    arguments = pack(AXPY, {"n": 5}, arrays)
    for _ in range(3):
        compiled = compile_kernels([AXPY], "test_kernel_again")
        compiled.run(0, 0, 5, arguments)
        del compiled
        gc.collect()
    np.testing.assert_array_equal(arrays["out"], arrays["a"] * 3.0 + arrays["b"])


def test_unknown_kernel_number_does_nothing(axpy: Compiled) -> None:
    arrays = arrays_of(4)
    axpy.run(7, 0, 4, pack(AXPY, {"n": 4}, arrays))
    assert not arrays["out"].any()


def test_ranges_in_threads(axpy: Compiled) -> None:
    size = 100_003
    arrays = arrays_of(size)
    arguments = pack(AXPY, {"n": size}, arrays)
    cuts = [0, 17, 33_000, 70_001, size]
    threads = [
        threading.Thread(target=axpy.run, args=(0, start, stop, arguments)) for start, stop in itertools.pairwise(cuts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(arrays["out"], arrays["a"] * 3.0 + arrays["b"])


def test_numba_of_the_user_is_left_alone(axpy: Compiled) -> None:
    import numba

    settings_before = {name: getattr(numba.config, name) for name in ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE")}
    compile_kernels([AXPY], "test_kernel_neighbour")
    assert settings_before == {name: getattr(numba.config, name) for name in settings_before}

    @numba.njit
    def twice(x: Any) -> Any:
        return 2 * x

    assert twice(21) == 42


def test_layout_of_arguments() -> None:
    layout = ArgumentLayout.of(k.gather())
    assert layout.sizes == ("n", "m")
    assert layout.buffers == (("x", 2), ("at", 5), ("out", 7))
    assert layout.length == 10
    x, at, out = np.zeros((4, 6))[::2, ::-3], np.zeros(2, np.int64), np.zeros((2, 2))
    packed = layout.pack({"m": 2, "n": 2}, {"out": out, "at": at, "x": x})
    assert packed[:2].tolist() == [2, 2]
    assert packed[2] == x.ctypes.data
    assert packed[3:5].tolist() == [96, -24]
    assert packed[7:].tolist() == [out.ctypes.data, 16, 8]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (Let("p", "div", ("va", "vb"), np.dtype("i8")), "op div is not defined for operands of type int64, int64"),
        (Let("p", "reshape", ("va",), np.dtype("i8")), "op reshape has no compiled form"),
    ],
)
def test_what_cannot_be_lowered(statement: Let, message: str) -> None:
    with pytest.raises(LoweringError, match=message):
        compile_kernels([k.elementwise("refused", "i8", (statement,), "p")], "test_kernel_refused")


def test_unsupported_element_type() -> None:
    with pytest.raises(LoweringError, match="element type float16 is not supported"):
        compile_kernels(
            [k.elementwise("half", "f2", (let("p", "add", "va", "vb", dtype="f2"),), "p")], "test_kernel_half"
        )


def test_a_splittable_kernel_may_not_carry_values_that_it_does_not_reduce() -> None:
    kernel = k.reduction("loose", "add", 0.0)
    wrong = Kernel(kernel.name, kernel.buffers, kernel.sizes, kernel.body, splittable=True)
    with pytest.raises(LoweringError, match="loose is marked splittable"):
        compile_kernels([wrong], "test_kernel_loose")


def chain(length: int) -> Kernel:
    rng, names, lets = random.Random(0), ["va", "vb"], []
    for j in range(length):
        lets.append(let(f"t{j}", rng.choice(["add", "mul", "sub"]), *rng.choices(names[-20:], k=2)))
        names.append(f"t{j}")
    return k.elementwise("chain", F8, tuple(lets), names[-1])


def test_long_bodies_neither_recurse_nor_lose_their_meaning() -> None:
    kernel = chain(4000)
    compiled = compile_kernels([kernel], "test_kernel_chain")
    arrays, expected = arrays_of(50), arrays_of(50)
    for array in (*arrays.values(), *expected.values()):
        array *= 0.1
    compiled.run(0, 0, 50, pack(kernel, {"n": 50}, arrays))
    k.run_source(kernel, expected, {"n": 50})
    np.testing.assert_array_equal(arrays["out"], expected["out"])


def test_source_is_readable() -> None:
    assert emit_source(k.row_sums("row_sums", k.M), lowering_of) == (
        "def row_sums(x, y, out, n, m):\n"
        "    for i in range(n):\n"
        "        total = 0.0\n"
        "        for j in range(m):\n"
        "            v = x[i, j]\n"
        "            w = y[j]\n"
        "            p = v * w\n"
        "            after = total + p\n"
        "            total = after\n"
        "        out[i] = total\n"
    )
    text = emit_source(k.index_arithmetic(), lowering_of)
    assert "for i in range(m*n):" in text
    assert "x[min(i // m, max(n - 1, 0)), i % m]" in text
    assert "out[m*n - 1 - i] = v" in text
    assert "q = (n - 7) % m" in text
    assert "v = y[i - n] if second else -7.0" in emit_source(k.concatenate(), lowering_of)


EXACT = {"add": 2, "sub": 2, "mul": 2, "div": 2, "neg": 1, "abs": 1, "sqrt": 1, "floor": 1, "where": 3}


@st.composite
def programs(draw: st.DrawFn) -> Kernel:
    """A random straight-line program of correctly rounded operations, for which NumPy's result is the only one."""
    dtype = draw(st.sampled_from([F8, F4]))
    values, lets = ["va", "vb"], []
    for j in range(draw(st.integers(1, 25))):
        op = draw(st.sampled_from(sorted(EXACT)))
        args = [draw(st.sampled_from(values)) for _ in range(EXACT[op])]
        if op == "where":
            lets.append(let(f"c{j}", draw(st.sampled_from(["lt", "ge", "eq", "ne"])), *args[1:], dtype=B1))
            args[0] = f"c{j}"
        lets.append(let(f"t{j}", op, *args, dtype=dtype))
        values.append(f"t{j}")
    return k.elementwise("random", dtype, tuple(lets), values[-1])


@settings(max_examples=15)
@given(programs(), st.integers(0, 40))
def test_random_programs(kernel: Kernel, size: int) -> None:
    compiled = compile_kernels([kernel], "test_kernel_random")
    dtype = kernel.buffers[0].dtype
    arrays = {name: array.astype(dtype) for name, array in arrays_of(size).items()}
    arrays["a"][:5] = np.array([np.nan, np.inf, -0.0, 1e-310, 0.0], dtype)[:size]
    expected = {**arrays, "out": arrays["out"].copy()}
    compiled.run(0, 0, size, pack(kernel, {"n": size}, arrays))
    k.run_source(kernel, expected, {"n": size})
    np.testing.assert_array_equal(arrays["out"], expected["out"])


def straight(count: int) -> Kernel:
    """`count` sines, one of the other, without a loop."""
    sines = tuple(let(f"s{i + 1}", "sin", f"s{i}") for i in range(count))
    return Kernel(
        "straight", (k.reads("a", 0), k.writes("out", 0)), (), (Load("s0", "a", ()), *sines, Store("out", (), f"s{count}"))
    )


@pytest.mark.parametrize("count", [emit_llvm.INLINED, emit_llvm.INLINED + 1])
def test_many_functions_in_straight_code_are_called(count: int) -> None:
    kernel = straight(count)
    compiled = compile_kernels([kernel], f"test_kernel_straight_{count}")
    calls = compiled.llvm().count("call fastcc double @cr.sin.f64(")
    assert calls == (0 if count == emit_llvm.INLINED else count)
    a, out = np.array(0.7), np.zeros(())
    compiled.run(0, 0, 0, pack(kernel, {}, {"a": a, "out": out}))
    expected = 0.7
    for _ in range(count):
        expected = float(np.sin(expected))
    np.testing.assert_allclose(out, expected, rtol=1e-12)


def test_a_heavy_kernel_has_one_body_for_all_strides() -> None:
    lets = tuple(let(f"s{i + 1}", "sin", f"s{i}" if i else "va") for i in range(40))
    heavy = compile_kernels([k.elementwise("heavy", F8, lets, "s40", inputs=("a",))], "test_kernel_heavy")
    light = compile_kernels([k.elementwise("light", F8, lets[:4], "s4", inputs=("a",))], "test_kernel_light")
    assert ".dense" not in heavy.llvm()
    assert ".dense" in light.llvm()
    assert re.search(r"fmul <\d+ x double>", heavy.llvm())
