"""Scheduling and lowering: which values get buffers, in which stage, and what loops compute them."""
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule.compiler import interpret
from chainrule.compiler.assemble import lowered, planned
from chainrule.compiler.errors import IndexingError
from chainrule.compiler.ir import Graph, Node, constant, f, make
from chainrule.compiler.loopnest import Index, IndexOp, Kernel, Let, Load, Loop, Store, StoreAdd, walk
from chainrule.compiler.lower import lower_plan, plus, times
from chainrule.compiler.ops.rules import BOOL, INT64
from chainrule.compiler.program import compile_program
from chainrule.compiler.schedule import LARGEST, CallStep, CheckStep, KernelStep, schedule
from chainrule.compiler.scheduled import loops_of
from chainrule.compiler.sizes import Size, minimum, symbol

F8 = np.dtype(np.float64)
N, M = symbol("s0"), symbol("s1")


def variable(position: int, *shape: Size, dtype: Any = F8) -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=f"x{position}")


def graph(*outputs: Node) -> Graph:
    inputs = sorted({n for n in Graph((), outputs).nodes() if n.op.name == "input"}, key=lambda n: n.param("position"))
    return Graph(tuple(inputs), outputs, (), {"s0": 3, "s1": 4})


def agrees(program: Graph, *arrays: Any) -> None:
    for result, expected in zip(compile_program(program).run(arrays), interpret.run(program, arrays), strict=True):
        np.testing.assert_array_equal(result, expected)
        if result.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(result), np.signbit(expected))


def columns(x: Node, rows: Size = N) -> Node:
    """A row, once for every one of `rows`."""
    return f.expand(x, shape=(rows, *x.shape), axes=(1,))


# ------------------------------------------------------------------------------------------------ what gets a buffer
def test_cheap_values_are_computed_where_they_are_used() -> None:
    x = variable(0, N)
    shifted = x + 1.0
    plan = schedule(graph(shifted * 2.0, f.flip(shifted, axes=(0,))))
    assert plan.temporaries == []
    assert len(plan.kernels) == 1


def test_dear_values_that_two_kernels_use_are_kept() -> None:
    x = variable(0, N)
    dear = f.exp(x)
    plan = schedule(graph(dear * 2.0, f.flip(dear, axes=(0,))))
    assert plan.temporaries == [dear]
    assert plan.reasons[dear] in ("several kernels use it", "it is used at several indices")


def test_dear_values_are_not_computed_again_for_every_row() -> None:
    x, y = variable(0, M), variable(1, N, M)
    dear = f.sqrt(x)
    plan = schedule(graph(y * columns(dear)))
    assert plan.reasons[dear] == "an outer loop would compute it again"
    agrees(plan.graph, np.arange(4.0), np.ones((3, 4)))


def test_a_value_of_a_row_is_computed_once_for_the_row() -> None:
    x, y = variable(0, N), variable(1, N, M)
    plan = schedule(graph(y * f.expand(f.exp(x), shape=(N, M), axes=(0,))))
    assert plan.temporaries == []
    (kernel,) = lower_plan(plan)
    (rows,) = kernel.body
    assert isinstance(rows, Loop)
    assert [s.op for s in rows.body if isinstance(s, Let)] == ["exp"]


def test_long_chains_of_cheap_operations_are_not_repeated() -> None:
    """Every reduction would compute all the differences before it again."""
    x = variable(0, N)
    for _ in range(150):
        x = x - f.expand(f.sum(x, axes=(0,)), shape=(N,), axes=()) * 0.01
    kernels = lower_plan(schedule(graph(x)))
    assert len(kernels) == 151
    assert max(sum(isinstance(s, Let) for s in walk(k.body)) for k in kernels) < 120
    agrees(graph(x), np.array([1.0]))


def test_a_view_for_a_routine_copies_nothing() -> None:
    x = variable(0, N, M)
    plan = schedule(graph(f.cumsum(f.permute(x, order=(1, 0)), axis=0)))
    assert [s.node.op.name for s in plan.steps if isinstance(s, CallStep)] == ["permute", "cumsum"]
    assert plan.reasons[plan.temporaries[0]] == "it is a view, for a library routine"
    assert not plan.kernels


# ------------------------------------------------------------------------------------------------ stages
def test_positions_are_found_by_an_extreme_value_and_where_it_stands_first() -> None:
    """In one kernel with the operand: rows stay in cache, and both loops over a row are vectorised."""
    x = variable(0, N, M)
    total = x + 1.0
    program = graph(total, f.argmax(total, axes=(1,)), f.max(total, axes=(1,)))
    (kernel,) = planned(program)[1]
    assert isinstance(kernel, Kernel)
    assert loops_of(kernel) == "[s0 [s1, s1]]"
    assert [s.op for s in walk(kernel.body) if isinstance(s, Let) and s.op in ("maximum", "minimum")] == ["maximum", "minimum"]
    agrees(program, np.random.default_rng(0).normal(size=(3, 4)))


@pytest.mark.parametrize("op", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int8", "uint8", "bool"])
def test_positions_are_those_of_numpy(op: str, axis: int, dtype: str) -> None:
    """The first of equal values, and the first nan; also where all are what the extreme value starts as."""
    values = np.array([[0, -0.0, 0, 1, 1], [3, 3, 2, 2, 3], [1, 1, 1, 1, 1], [2, 0, 1, 0, 2], [7, 0, 7, 0, 1]] * 9)
    kind = np.dtype(dtype)
    cases = [values.astype(kind), values[::-1].astype(kind)]
    if kind.kind == "f":
        spoilt = values.astype(kind)
        spoilt[[0, 7, 7, 20], [4, 1, 3, 0]] = np.nan
        cases += [spoilt, np.full_like(spoilt, -np.inf), np.full_like(spoilt, np.inf), np.full_like(spoilt, np.nan)]
    else:
        low, high = (False, True) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
        cases += [np.full(values.shape, low, kind), np.full(values.shape, high, kind)]
    x = variable(0, N, M, dtype=kind)
    program = compile_program(graph(f.argmax(x, axes=(axis,)) if op == "argmax" else f.argmin(x, axes=(axis,))))
    for case in cases:
        for laid_out in (case, np.asfortranarray(case), np.repeat(case, 2, 1)[:, ::2], case.copy()[::-1, ::-1]):
            (found,) = program.run([laid_out])
            np.testing.assert_array_equal(found, getattr(np, op)(laid_out, axis=axis))


def test_index_arrays_are_checked_once_before_use() -> None:
    x, k = variable(0, N), variable(1, M, dtype=INT64)
    picked = f.gather(x, k, axes=(0,))
    again = f.gather(x * 2.0, k, axes=(0,))
    plan = schedule(graph(picked + again))
    assert [type(s) for s in plan.steps] == [CheckStep, KernelStep]
    program = compile_program(plan.graph)
    for bad in (-1, 3):
        with pytest.raises(IndexingError, match="out of bounds for axis 0 with size 3"):
            program.run([np.ones(3), np.array([0, bad])])
    np.testing.assert_array_equal(program.run([np.arange(3.0), np.array([2, 0])])[0], [6.0, 0.0])


def test_computed_indices_are_checked_after_they_are_computed() -> None:
    x, k = variable(0, N), variable(1, M, dtype=INT64)
    plan = schedule(graph(f.gather(x, k + 1, axes=(0,))))
    assert [type(s) for s in plan.steps] == [KernelStep, CheckStep, KernelStep]


def ramp(*shape: Size, axis: int = 0) -> Node:
    return make("iota", shape=shape, dtype=INT64, axis=axis)


def test_a_ramp_that_fits_is_an_index_without_memory() -> None:
    x = variable(0, N, N)
    plan = schedule(graph(f.gather(x, ramp(N), ramp(N), axes=(0, 1))))
    assert [type(s) for s in plan.steps] == [KernelStep]
    agrees(plan.graph, np.arange(9.0).reshape(3, 3))
    agrees(graph(f.gather(variable(0, N + 2), ramp(N), axes=(0,)) + variable(1, N)), np.arange(5.0), np.zeros(3))


@pytest.mark.parametrize("length", [M, minimum(N, M), 3])
def test_a_ramp_that_may_leave_the_array_is_checked(length: Size) -> None:
    x, y = variable(0, N), variable(1, M)
    program = compile_program(graph(f.gather(x, ramp(length), axes=(0,)), y * 1.0))
    np.testing.assert_array_equal(program.run([np.arange(5.0), np.zeros(3)])[0], [0, 1, 2])
    if length is not minimum(N, M):
        with pytest.raises(IndexingError):
            program.run([np.arange(2.0), np.zeros(3)])


def test_sizes_that_only_running_tells_come_before_what_has_them() -> None:
    x, mask, k = variable(0, N), variable(1, N, dtype=BOOL), variable(2, M, dtype=INT64)
    where = f.nonzero(f.eq(mask, f.gt(x, 0.5)), count=symbol("u0"))
    chosen = f.gather(x, where, axes=(0,))
    program = graph(f.gather(chosen, k, axes=(0,)), f.sum(chosen * 2.0, axes=(0,)), where)
    agrees(program, np.arange(5.0), np.array([True, False, True, True, False]), np.array([1, 0, 1]))
    with pytest.raises(IndexingError, match="with size 2"):
        compile_program(program).run([np.arange(5.0), np.array([True, False, True, True, False]), np.array([2])])


# ------------------------------------------------------------------------------------------------ loops
def test_signed_zeros_are_different_constants() -> None:
    x = variable(0, N)
    agrees(graph(x / constant(0.0, F8, (N,)), x / constant(-0.0, F8, (N,)), x * 0.0 + -0.0), np.array([1.0, -1.0, np.inf]))


@pytest.mark.parametrize("reduce", ["sum", "prod", "max", "min", "argmax", "argmin"])
@pytest.mark.parametrize("shape", [(3, 4), (1, 4), (3, 1), (1, 1), (2, 0), (0, 3)], ids=str)
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)], ids=str)
def test_reductions_of_every_size(reduce: str, shape: tuple[int, int], axes: tuple[int, ...]) -> None:
    if reduce.startswith("arg") and len(axes) > 1:
        axes = (0,)
    extents: list[Size] = [size if size == 1 else s for size, s in zip(shape, (N, M), strict=True)]
    if reduce not in ("sum", "prod") and 0 in [shape[a] for a in axes]:
        return
    given = np.random.default_rng(3).integers(-3, 4, shape).astype(float)
    x = variable(0, *extents)
    program = Graph((x,), (make(reduce, [x + 0.0], axes=axes), make(reduce, [f.permute(x, order=(1, 0))], axes=axes)
                           if len(axes) > 1 else x * 2.0), (), {})
    agrees(program, given)
    agrees(program, np.asfortranarray(given))


def test_repeated_scatters_keep_their_order() -> None:
    x, values, k = variable(0, N), variable(1, M), variable(2, M, dtype=INT64)
    program = graph(f.scatter(x, values, k, axes=(0,)), f.scatter_add(values, k, axes=(0,), shape=x.shape))
    agrees(program, np.zeros(3), np.arange(1.0, 7.0), np.array([0, 2, 0, 2, 2, 0]))
    agrees(program, np.zeros(3), np.ones(0), np.zeros(0, np.int64))


def test_what_is_outside_is_not_read() -> None:
    """Padding of a slice of padding, with a step, of an array that may be empty."""
    x = variable(0, N)
    padded = f.place(x, start=(2,), step=(2,), shape=(2 * N + 3,))
    part = f.slice(padded, start=(1,), step=(1,), shape=(2 * N + 1,))
    program = graph(f.concatenate(f.place(part, start=(1,), step=(3,), shape=(6 * N + 5,)), 1.0 / x, axis=0))
    agrees(program, np.arange(1.0, 4.0))
    agrees(program, np.ones(0))


def test_index_arithmetic_folds() -> None:
    at = Index("i")
    flip: Callable[[Any], Any] = lambda p: plus(times(p, -1), N - 1)  # noqa: E731
    assert flip(flip(at)) == at
    assert plus(plus(at, 2), -2) == at
    assert times(times(at, 2), 3) == IndexOp("*", at, 6)
    assert times(plus(at, N), 2) == IndexOp("+", IndexOp("*", at, 2), 2 * N)
    assert plus(3, N) == N + 3


def test_equal_conditions_are_computed_once() -> None:
    """A stencil on a stencil, with zeros outside: without that the number of loads doubles with every step."""
    x = variable(0, N)
    for _ in range(8):
        x = x + f.place(f.slice(x, start=(1,), step=(1,), shape=(N - 1,)), start=(0,), step=(1,), shape=(N,))
    kernels = lower_plan(schedule(graph(x)))
    assert sum(isinstance(s, Load) for k in kernels for s in walk(k.body)) < 40
    agrees(graph(x), np.arange(9.0))
    agrees(graph(x), np.arange(2.0))


# ------------------------------------------------------------------------------------------------ large graphs
def chain(length: int) -> Graph:
    x = y = variable(0, N)
    for k in range(length):
        y = y * 1.0001 + x if k % 2 else y - 0.5 * x
    return graph(y)


def wide(count: int) -> Graph:
    x = variable(0, N)
    return graph(*(x * (k + 0.5) + float(k % 7) for k in range(count)))


def sums(count: int) -> Graph:
    x = variable(0, N)
    return graph(*(f.sum(x * (k + 0.5), axes=(0,)) for k in range(count)))


def routines(count: int) -> Graph:
    x = variable(0, N)
    for _ in range(count):
        x = f.cumsum(x, axis=0) * 0.5
    return graph(x)


def unrelated(count: int) -> Graph:
    inputs = [variable(k, symbol(f"s{k}")) for k in range(count)]
    return graph(*(x * 2.0 for x in inputs))


def kernels_of(program: Graph) -> list[Kernel]:
    return [s for s in planned(program)[1] if isinstance(s, Kernel)]


def body_size(kernel: Kernel) -> int:
    return sum(isinstance(s, Let) for s in walk(kernel.body))


def test_a_long_chain_is_several_kernels() -> None:
    kernels = kernels_of(chain(4000))
    assert 4 < len(kernels) < 20
    assert all(body_size(k) <= 1.1 * LARGEST for k in kernels)
    assert "long" in str(schedule(chain(4000)))
    program = chain(1500)
    assert len(kernels_of(program)) > 1
    agrees(program, np.linspace(-1, 1, 11))


@pytest.mark.parametrize("make_graph", [wide, sums])
def test_many_results_are_several_kernels(make_graph: Callable[[int], Graph]) -> None:
    kernels = kernels_of(make_graph(3000))
    assert all(body_size(k) <= LARGEST for k in kernels)
    assert len(kernels) < 20


def test_little_is_computed_again_where_kernels_are_divided() -> None:
    x = variable(0, N)
    shared = x
    for k in range(240):
        shared = shared * x + float(k % 3)
    kernels = kernels_of(graph(*(shared + float(k) for k in range(2000))))
    assert all(body_size(k) <= LARGEST for k in kernels)
    assert 2000 < sum(map(body_size, kernels)) < 2 * 2000 + 480


@pytest.mark.parametrize("steps", [16, 64, 256])
def test_divided_kernels_share_their_dear_values(steps: int) -> None:
    """The sines of a long chain and of its gradient: each once, in however many kernels."""
    x, c = variable(0, N), variable(1, N)
    values = [x]
    for _ in range(steps):
        values.append(values[-1] + c * f.sin(values[-1]))
    slope = constant(1, F8, (N,))
    for value in reversed(values[:-1]):
        slope = slope * (1.0 + c * f.cos(value))
    kernels = kernels_of(graph(values[-1], slope))
    ops = [s.op for k in kernels for s in walk(k.body) if isinstance(s, Let)]
    assert (ops.count("sin"), ops.count("cos")) == (steps, steps)
    assert len(kernels) <= 1 + steps // 24
    program, arrays = graph(values[-1], slope), [np.linspace(-1, 1, 5), np.linspace(0, 0.1, 5)]
    for result, expected in zip(compile_program(program).run(arrays), interpret.run(program, arrays), strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_a_kernel_waits_for_its_user_behind_a_product() -> None:
    x, y, z = variable(0, N, M), variable(1, M, N), variable(2, N, N)
    product = f.contract(x, y, left="ab", right="bc", out="ac")
    weight = f.sum(z, axes=(1,))
    steps, _ = lowered(schedule(graph(f.exp(product) * f.expand(weight, shape=(N, N), axes=(0,)))))  # row blocks come later
    assert [type(s).__name__ for s in steps] == ["Product", "Kernel"]


@pytest.mark.parametrize(("make_graph", "count"), [(chain, 2500), (wide, 2500), (sums, 1500), (routines, 600), (unrelated, 1000)])
def test_planning_takes_linear_time(make_graph: Callable[[int], Graph], count: int) -> None:
    def seconds(program: Graph) -> float:
        start = time.process_time()
        planned(program)
        return time.process_time() - start

    small, large = make_graph(count), make_graph(4 * count)
    assert seconds(large) < 10 * seconds(small) + 0.5


def test_writes_in_a_body() -> None:
    """Sums over the first axis run along memory: by rows, into the result."""
    x = variable(0, N, M)
    (kernel,) = lower_plan(schedule(graph(f.sum(x, axes=(0,)))))
    fill, rows = kernel.body
    assert [type(s) for s in walk((fill,))] == [Loop, Store]
    assert [type(s) for s in walk((rows,))][-1] is StoreAdd


def test_straight_code_is_one_kernel() -> None:
    x = variable(0)
    e = x
    for _ in range(150):
        e = f.sin(e) * e
    program = graph(e)
    assert len(kernels_of(program)) == 1
    agrees(program, np.array(0.4))
