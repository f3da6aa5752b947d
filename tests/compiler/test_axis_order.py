"""Reductions and products of transposed arrays: their loops follow memory, and nothing is computed twice for it."""
from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule.compiler import interpret
from chainrule.compiler.assemble import planned
from chainrule.compiler.axis_order import in_memory_order
from chainrule.compiler.by_others import by_others
from chainrule.compiler.ir import Graph, Node, constant, f, make
from chainrule.compiler.loopnest import Index, Kernel, Loop
from chainrule.compiler.program import compile_program
from chainrule.compiler.scheduled import loops_of
from chainrule.compiler.sizes import Size, symbol
from chainrule.compiler.split import main_loop
from chainrule.compiler.statements import accesses
from chainrule.compiler.verify import verify

F8 = np.dtype(np.float64)
N, M, K = symbol("s0"), symbol("s1"), symbol("s2")


def variable(position: int, *shape: Size, dtype: Any = F8) -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=f"x{position}")


X, Y, W, V = variable(0, N, M), variable(1, M, N), variable(2, N), variable(3, M)
XT = f.permute(X, order=(1, 0))


def along(x: Node, axis: int) -> Node:
    """A vector, repeated to the shape of the transposed array."""
    return f.expand(x, shape=XT.shape, axes=(axis,))


def graph(*outputs: Node) -> Graph:
    inputs = sorted({n for n in Graph((), outputs).nodes() if n.op.name == "input"}, key=lambda n: n.param("position"))
    return Graph(tuple(inputs), outputs, (), {"s0": 5, "s1": 7, "s2": 6})


def turned(*outputs: Node) -> tuple[Node, ...]:
    return in_memory_order(graph(*outputs)).outputs


def wide(x: Node, axis: int) -> Node:
    return f.expand(x, shape=X.shape, axes=(axis,))


TURNED = [
    (f.sum(f.exp(XT), axes=(1,)), f.sum(f.exp(X), axes=(0,))),
    (f.sum(f.exp(XT), axes=(0,)), f.sum(f.exp(X), axes=(1,))),
    (f.max(f.exp(XT), axes=(0, 1)), f.max(f.exp(X), axes=(0, 1))),
    (f.argmax(XT, axes=(0,)), f.argmax(X, axes=(1,))),
    (f.sum(XT * along(W, 1), axes=(0,)), f.sum(X * wide(W, 0), axes=(1,))),
    (f.sum(XT * along(V, 0) + 2.0, axes=(0,)), f.sum(X * wide(V, 1) + 2.0, axes=(1,))),
    (f.sum(f.cast(f.gt(XT, 0.0), dtype="float64"), axes=(1,)), f.sum(f.cast(f.gt(X, 0.0), dtype="float64"), axes=(0,))),
    (f.permute(f.exp(XT), order=(1, 0)), f.exp(X)),
    (f.contract(XT - along(f.sum(XT, axes=(1,)), 0), W, left="ab", right="b", out="a"),
     f.contract(X - wide(f.sum(X, axes=(0,)), 1), W, left="ba", right="b", out="a")),
    (f.contract(X, XT - along(f.sum(XT, axes=(1,)), 0) * along(W, 1), left="ab", right="ca", out="cb"),  # a Jacobian of softmax
     f.contract(X, X - wide(f.sum(X, axes=(0,)), 1) * wide(W, 0), left="ab", right="ac", out="cb")),
    (f.sum(XT * make("iota", shape=XT.shape, dtype=F8, axis=1), axes=(0,)),
     f.sum(X * make("iota", shape=X.shape, dtype=F8, axis=0), axes=(1,))),
]


@pytest.mark.parametrize(("program", "expected"), TURNED)
def test_a_reduction_of_a_transposed_array_is_one_of_the_array(program: Node, expected: Node) -> None:
    assert turned(program) == (expected,)


def test_axes_of_a_cube_are_numbered_as_in_memory() -> None:
    x = variable(0, N, M, K)
    moved = f.exp(f.permute(x, order=(2, 0, 1)))  # shape (k, n, m)
    assert turned(f.sum(moved, axes=(0,))) == (f.sum(f.exp(x), axes=(2,)),)
    assert turned(f.sum(moved, axes=(0, 1))) == (f.sum(f.exp(x), axes=(0, 2)),)
    kept = f.sum(moved, axes=(1,))  # of shape (k, m): transposed as well
    assert turned(kept) == (kept,)


STAY = [
    f.exp(XT),  # wanted in this order
    f.sum(f.exp(XT) + Y, axes=(1,)),  # another array lies the other way round
    f.sum(f.exp(f.permute(variable(0, N, M, K), order=(1, 0, 2))), axes=(0,)),  # rows stay rows
    f.sum(f.permute(variable(0, N, M, K), order=(2, 1, 0)), axes=(0,)),
    f.contract(f.exp(XT), W, left="ab", right="b", out="a"),  # computed with the product, in blocks of its rows
    f.contract(f.exp(XT) * f.sin(along(W, 1)), W, left="ab", right="b", out="a"),
]


@pytest.mark.parametrize("program", STAY)
def test_what_would_not_be_better_stays(program: Node) -> None:
    given = graph(program)
    assert in_memory_order(given) is given


def test_a_group_stays_as_a_whole() -> None:
    """Row-wise softmax of a transposed array remains one kernel of rows."""
    largest = f.max(XT, axes=(1,))
    e = f.exp(XT - along(largest, 0))
    softmax = e / along(f.sum(e, axes=(1,)), 0)
    assert turned(softmax) == (softmax,)
    (kernel,) = planned(graph(softmax))[1]
    assert isinstance(kernel, Kernel)
    assert loops_of(kernel).startswith("[s1 [")


def test_logsumexp_of_columns_walks_along_rows() -> None:
    largest = f.max(XT, axes=(1,))
    total = f.log(f.sum(f.exp(XT - along(largest, 0)), axes=(1,))) + largest
    across = f.max(X, axes=(0,))
    assert turned(total) == (f.log(f.sum(f.exp(X - wide(across, 1)), axes=(0,))) + across,)


def test_a_matrix_product_beside_it_keeps_its_transpose() -> None:
    product = f.contract(XT, W, left="ab", right="b", out="a")
    assert turned(product, f.sum(f.exp(XT), axes=(1,))) == (product, f.sum(f.exp(X), axes=(0,)))


def test_the_innermost_loop_walks_along_the_last_axis() -> None:
    (kernel,) = planned(graph(f.sum(f.exp(XT) * along(W, 1), axes=(1,))))[1]
    assert isinstance(kernel, Kernel)
    assert loops_of(kernel) == "[s1, s0 [s1]]"
    rows = main_loop(kernel.body)
    assert rows is not None
    (columns,) = [s for s in rows.body if isinstance(s, Loop)]
    read = {name: index for name, index, written in accesses(kernel.body) if not written}
    assert read["x0"] == (Index(rows.index), Index(columns.index))
    assert kernel.reduces == (("out", "add"),)


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "C": lambda x: x, "F": np.asfortranarray, "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "strided": lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("program", [p for p, _ in TURNED] + STAY[:2])
def test_values(program: Node, layout: str) -> None:
    rng = np.random.default_rng(5)
    given = graph(program)
    sizes = {"s0": 5, "s1": 7}
    arrays = [rng.standard_normal([sizes[str(s)] for s in n.shape]) for n in given.inputs]
    arrays = [LAYOUTS[layout](a) if a.ndim == 2 else a for a in arrays]
    (result,), (expected,) = compile_program(given).run(arrays), interpret.run(given, arrays)
    np.testing.assert_allclose(result, expected, rtol=1e-14)
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype


def random_program(seed: int) -> Graph:
    """Transposes, elementwise operations, repeated vectors, reductions and products of matrices and cubes; sizes tell axes apart."""
    chance = random.Random(seed)
    pool = [variable(0, 2, 3, 4), variable(1, 4, 3, 2), variable(2, 3, 4), variable(3, 4), variable(4, 3)]
    for _ in range(chance.randint(4, 14)):
        x = chance.choice(pool[-6:])
        match chance.choice(("permute", "permute", "exp", "binary", "vector", "reduce", "position", "slice", "product")):
            case "permute":
                pool.append(f.permute(x, order=tuple(chance.sample(range(x.ndim), x.ndim))))
            case "exp":
                pool.append(f.tanh(x))
            case "binary":
                pool.append(f.sub(x, chance.choice([y for y in pool if y.shape == x.shape])))
            case "vector" if x.ndim:
                axis = chance.randrange(x.ndim)
                vectors = [y for y in pool if y.ndim == 1 and y.shape[0] == x.shape[axis]]
                if vectors:
                    pool.append(x * f.expand(chance.choice(vectors), shape=x.shape, axes=(axis,)))
            case "reduce" if x.ndim:
                axes = tuple(sorted(chance.sample(range(x.ndim), chance.randint(1, x.ndim))))
                pool.append(getattr(f, chance.choice(("sum", "max", "min")))(x, axes=axes))
            case "position" if x.ndim:
                pool.append(f.cast(f.argmax(x, axes=(chance.randrange(x.ndim),)), dtype="float64"))
            case "product" if x.ndim > 1:
                axis = chance.randrange(x.ndim)
                others = tuple(k for k in range(x.ndim) if k != axis)
                y = chance.choice([y for y in pool if set(y.shape) & set(x.shape)])
                x = x - f.expand(f.sum(x, axes=(axis,)), shape=x.shape, axes=others)
                left, right = ("".join("abc"[n - 2] for n in z.shape) for z in (x, y))
                out = [c for c in set(left) | set(right) if (c in left) != (c in right)]
                pool.append(f.contract(x, y, left=left, right=right, out="".join(chance.sample(sorted(out), len(out)))))
            case "slice" if x.ndim:
                pool.append(f.slice(x, start=(0,) * x.ndim, step=(1,) * x.ndim, shape=x.shape))
    return graph(*dict.fromkeys(chance.sample(pool, min(3, len(pool))) + pool[-2:]))


def test_random_programs_mean_the_same() -> None:
    changed = 0
    for seed in range(1500):
        given = random_program(seed)
        made = in_memory_order(by_others(given))
        changed += made.outputs != given.outputs
        assert made.inputs == given.inputs
        values = np.random.default_rng(seed)
        arrays = [values.standard_normal(n.shape) for n in given.inputs]  # type: ignore[arg-type]
        for node, result, expected in zip(made.outputs, interpret.run(made, arrays), interpret.run(given, arrays), strict=True):
            assert node.shape == np.shape(expected)
            np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12, err_msg=f"seed {seed}")
        verify(made)
    assert changed > 300


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_compiled(seed: int) -> None:
    given = random_program(seed)
    arrays = [np.random.default_rng(seed).standard_normal(n.shape) for n in given.inputs]  # type: ignore[arg-type]
    for result, expected in zip(compile_program(given).run(arrays), interpret.run(given, arrays), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)


def test_time_is_linear() -> None:
    def seconds(length: int) -> float:
        x = XT
        for k in range(length):
            x = f.sin(x) * (k + 1.0)
        given = graph(f.sum(x, axes=(1,)))
        start = time.perf_counter()
        in_memory_order(given)
        return time.perf_counter() - start

    seconds(100)
    assert seconds(20_000) < 40 * max(seconds(2_000), 1e-3)


def test_constants_of_any_shape_are_turned() -> None:
    assert turned(f.sum(XT * constant(2.0, F8, XT.shape), axes=(0,))) == (f.sum(X * constant(2.0, F8, X.shape), axes=(1,)),)
