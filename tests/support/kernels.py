"""Kernels written by hand, each with its NumPy meaning, for the tests of both emitters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.compiler.emit_source import emit_source, source_namespace
from chainrule.compiler.kernel import lowering_of
from chainrule.compiler.loopnest import (
    Buffer,
    Carried,
    Convert,
    Index,
    IndexOp,
    Kernel,
    Let,
    Literal,
    Load,
    Loop,
    Store,
    StoreAdd,
)
from chainrule.compiler.sizes import floordiv, maximum, minimum, mod, symbol

F8, F4, I8, B1, U1 = (np.dtype(t) for t in ("f8", "f4", "i8", "?", "u1"))
AT_I, AT_J, AT_K = Index("i"), Index("j"), Index("k")
N, M = symbol("n"), symbol("m")


@dataclass(frozen=True)
class Case:
    """A kernel; `inputs` of each array's shape and dtype, `outputs` likewise, and what it means."""

    kernel: Kernel
    inputs: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
    outputs: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
    sizes: dict[str, int]
    meaning: Callable[..., Any]  # arrays in -> dict of outputs
    rounding: float = 0.0  # 0: the same bits

    @property
    def outer(self) -> int:
        """The extent of the outermost loop."""
        from chainrule.compiler.sizes import evaluate

        first = self.kernel.body[0]
        return evaluate(first.extent, self.sizes) if isinstance(first, Loop) else 0


def reads(name: str, rank: int, dtype: Any = F8) -> Buffer:
    return Buffer(name, np.dtype(dtype), rank)


def writes(name: str, rank: int, dtype: Any = F8, contiguous: bool = True) -> Buffer:
    return Buffer(name, np.dtype(dtype), rank, written=True, contiguous=contiguous)


def let(target: str, op: str, *args: Any, dtype: Any = F8, reassociate: bool = False) -> Let:
    return Let(target, op, args, np.dtype(dtype), reassociate)


def literal(value: Any, dtype: Any = F8) -> Literal:
    return Literal(value, np.dtype(dtype))


def elementwise(
    name: str, dtype: Any, lets: tuple[Let, ...], result: str, out: Any = None, inputs: tuple[str, ...] = ("a", "b")
) -> Kernel:
    """`out[i] = result` of scalar statements on `a[i]`, `b[i]`, ..., called `va`, `vb`, ..."""
    loads = tuple(Load(f"v{x}", x, (AT_I,)) for x in inputs)
    return Kernel(
        name,
        (*(reads(x, 1, dtype) for x in inputs), writes("out", 1, out or dtype)),
        ("n",),
        (Loop("i", N, (*loads, *lets, Store("out", (AT_I,), result))),),
        splittable=True,
    )


def reduction(name: str, op: str, initial: Any, dtype: Any = F8) -> Kernel:
    """`out[()] = op over x`."""
    return Kernel(
        name,
        (reads("x", 1, dtype), writes("out", 0, dtype)),
        ("n",),
        (
            Loop(
                "i",
                N,
                (Load("v", "x", (AT_I,)), let("after", op, "total", "v", dtype=dtype, reassociate=True)),
                (Carried("total", literal(initial, dtype), "after", np.dtype(dtype)),),
            ),
            Store("out", (), "total"),
        ),
    )


def row_sums(name: str, columns: Any, dtype: Any = F8) -> Kernel:
    """`out[i] = sum(x[i, :] * y)`, over `columns` columns."""
    return Kernel(
        name,
        (reads("x", 2, dtype), reads("y", 1, dtype), writes("out", 1, dtype)),
        ("n", "m"),
        (
            Loop(
                "i",
                N,
                (
                    Loop(
                        "j",
                        columns,
                        (
                            Load("v", "x", (AT_I, AT_J)),
                            Load("w", "y", (AT_J,)),
                            let("p", "mul", "v", "w", dtype=dtype),
                            let("after", "add", "total", "p", dtype=dtype, reassociate=True),
                        ),
                        (Carried("total", literal(0.0, dtype), "after", np.dtype(dtype)),),
                    ),
                    Store("out", (AT_I,), "total"),
                ),
            ),
        ),
        splittable=True,
    )


def argmax() -> Kernel:
    return Kernel(
        "argmax",
        (reads("x", 1), writes("out", 0, I8)),
        ("n",),
        (
            Loop(
                "i",
                N,
                (
                    Load("v", "x", (AT_I,)),
                    Convert("at", AT_I),
                    let("better", "gt", "v", "best", dtype=B1),
                    let("best2", "where", "better", "v", "best"),
                    let("where2", "where", "better", "at", "where1", dtype=I8),
                ),
                (Carried("best", literal(-np.inf), "best2", F8), Carried("where1", literal(0, I8), "where2", I8)),
            ),
            Store("out", (), "where1"),
        ),
    )


def gather() -> Kernel:
    return Kernel(
        "gather",
        (reads("x", 2), reads("at", 1, I8), writes("out", 2)),
        ("n", "m"),
        (
            Loop(
                "i",
                N,
                (
                    Load("row", "at", (AT_I,)),
                    Loop("j", M, (Load("v", "x", (Index("row"), AT_J)), Store("out", (AT_I, AT_J), "v"))),
                ),
            ),
        ),
        splittable=True,
    )


def scatter() -> Kernel:
    return Kernel(
        "scatter",
        (reads("x", 1), reads("at", 1, I8), writes("out", 1)),
        ("n",),
        (
            Loop(
                "i",
                N,
                (Load("target", "at", (AT_I,)), Load("v", "x", (AT_I,)), StoreAdd("out", (Index("target"),), "v")),
            ),
        ),
    )


def column_sums() -> Kernel:
    """Row by row, so that the inner loop walks along memory."""
    return Kernel(
        "column_sums",
        (reads("x", 2), writes("out", 1)),
        ("n", "m"),
        (
            Loop("j", M, (Store("out", (AT_J,), literal(0.0)),)),
            Loop("i", N, (Loop("j2", M, (Load("v", "x", (AT_I, Index("j2"))), StoreAdd("out", (Index("j2"),), "v"))),)),
        ),
    )


def concatenate() -> Kernel:
    """`out = [x, y]`: two conditional loads, of which at least one buffer may be empty."""
    return Kernel(
        "concatenate",
        (reads("x", 1), reads("y", 1), writes("out", 1)),
        ("n", "m"),
        (
            Loop(
                "i",
                N + M,
                (
                    Convert("at", AT_I),
                    Convert("border", N),
                    let("first", "lt", "at", "border", dtype=B1),
                    let("second", "ge", "at", "border", dtype=B1),
                    Load("u", "x", (AT_I,), "first", literal(0.0)),
                    Load("v", "y", (IndexOp("-", AT_I, N),), "second", literal(-7.0)),
                    let("w", "where", "first", "u", "v"),
                    Store("out", (AT_I,), "w"),
                ),
            ),
        ),
        splittable=True,
    )


def pad_rows() -> Kernel:
    """One row of -1 before and two after; the condition does not vary in the inner loop. The value is a bool's, too."""
    return Kernel(
        "pad_rows",
        (reads("x", 2), reads("flags", 1, B1), writes("out", 2), writes("kept", 1, B1)),
        ("n", "m"),
        (
            Loop(
                "i",
                N + 3,
                (
                    Convert("at", AT_I),
                    Convert("size", N),
                    let("late", "ge", "at", literal(1, I8), dtype=B1),
                    let("early", "le", "at", "size", dtype=B1),
                    let("inside", "and_", "late", "early", dtype=B1),
                    Load("flag", "flags", (IndexOp("-", AT_I, 1),), "inside", literal(True, B1)),
                    Store("kept", (AT_I,), "flag"),
                    Loop(
                        "j",
                        M,
                        (
                            Load("v", "x", (IndexOp("-", AT_I, 1), AT_J), "inside", literal(-1.0)),
                            Store("out", (AT_I, AT_J), "v"),
                        ),
                    ),
                ),
            ),
        ),
        splittable=True,
    )


def index_arithmetic() -> Kernel:
    """`out[i] = x[i // m, i % m]` with a clamp, and sizes that are no polynomials."""
    row, column = IndexOp("//", AT_I, M), IndexOp("%", AT_I, M)
    safe_row = IndexOp("min", row, IndexOp("max", IndexOp("-", N, 1), 0))
    return Kernel(
        "index_arithmetic",
        (reads("x", 2), writes("out", 1), writes("numbers", 1, I8)),
        ("n", "m"),
        (
            Loop("i", N * M, (Load("v", "x", (safe_row, column)), Store("out", (IndexOp("-", N * M - 1, AT_I),), "v"))),
            Convert("p", floordiv(N - 7, M)),
            Convert("q", mod(N - 7, M)),
            Convert("r", minimum(N, M) * 2 + maximum(N, M)),
            Convert("s", N * N - 3 * M + 5),
            Store("numbers", (0,), "p"),
            Store("numbers", (1,), "q"),
            Store("numbers", (2,), "r"),
            Store("numbers", (3,), "s"),
        ),
    )


def transposed_sum() -> Kernel:
    """Two buffers of different order, and one innermost loop that walks along different axes of them."""
    return Kernel(
        "transposed_sum",
        (reads("x", 2), reads("y", 2), writes("out", 2, contiguous=False)),
        ("n", "m"),
        (
            Loop(
                "i",
                N,
                (
                    Loop(
                        "j",
                        M,
                        (
                            Load("u", "x", (AT_I, AT_J)),
                            Load("v", "y", (AT_J, AT_I)),
                            let("w", "add", "u", "v"),
                            Store("out", (AT_I, AT_J), "w"),
                        ),
                    ),
                ),
            ),
        ),
        splittable=True,
    )


def scalar_kernel() -> Kernel:
    return Kernel(
        "scalar_kernel",
        (reads("a", 0), writes("out", 0)),
        (),
        (Load("v", "a", ()), let("w", "mul", "v", literal(2.5)), Store("out", (), "w")),
    )


def normalise_rows() -> Kernel:
    """Two passes over each row: its largest element, then its elements divided by that."""
    return Kernel(
        "normalise_rows",
        (reads("x", 2), writes("out", 2)),
        ("n", "m"),
        (
            Loop(
                "i",
                N,
                (
                    Loop(
                        "j",
                        M,
                        (Load("v", "x", (AT_I, AT_J)), let("after", "maximum", "top", "v", reassociate=True)),
                        (Carried("top", literal(-np.inf), "after", F8),),
                    ),
                    Loop(
                        "k",
                        M,
                        (Load("u", "x", (AT_I, AT_K)), let("w", "div", "u", "top"), Store("out", (AT_I, AT_K), "w")),
                    ),
                ),
            ),
        ),
        splittable=True,
    )


def run_source(
    kernel: Kernel, arrays: dict[str, np.ndarray[Any, Any]], sizes: dict[str, int], compiled: bool = False
) -> None:
    """Execute the kernel's emitted source on the arrays."""
    namespace = dict(source_namespace(compiled))
    exec(compile(emit_source(kernel, lowering_of), f"<{kernel.name}>", "exec"), namespace)
    function = namespace[kernel.name]
    if compiled:
        import numba

        function = numba.njit(error_model="numpy")(function)
    with np.errstate(all="ignore"):
        function(*(arrays[buffer.name] for buffer in kernel.buffers), *(sizes[name] for name in kernel.sizes))
