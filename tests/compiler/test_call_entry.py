"""Call entries: what they take, what they hand on, and that they leave no trace in reference counts."""
from __future__ import annotations

import gc
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chainrule.compiler.entry_spec import ArrayArgument, EntrySpec, FloatArgument, IgnoredArgument, hits
from chainrule.compiler.ir import Graph, Node, constant, f, make
from chainrule.compiler.ops.rules import BOOL, INT64
from chainrule.compiler.program import Program, compile_program
from chainrule.compiler.sizes import Guard, Size, floordiv, mod, symbol

F8, F4 = np.dtype(np.float64), np.dtype(np.float32)
N, M = symbol("s0"), symbol("s1")
TWO = EntrySpec((ArrayArgument(0), ArrayArgument(1)), 0)
ONE = EntrySpec((ArrayArgument(0),), 0)


def variable(position: int, *shape: Size, dtype: Any = F8) -> Node:
    return make("input", shape=shape, dtype=np.dtype(dtype), position=position, name=f"x{position}")


def scaled(x: Node, factor: float) -> Node:
    return x * constant(factor, x.dtype, x.shape)


class Slow:
    """A slow path that notes its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        self.calls.append((args, kwargs))
        return "slow"


def entry_of(graph: Graph, spec: EntrySpec, slow: Callable[..., Any] | None = None) -> Any:
    program = compile_program(graph, spec)
    assert program.entry is not None
    return program.entry(slow or Slow(), "f")


def doubled(*shape: Size, dtype: Any = F8) -> Graph:
    x = variable(0, *shape, dtype=dtype)
    return Graph((x,), (scaled(x, 2),), (), {"s0": 3, "s1": 4})


def product(guards: tuple[Guard, ...] = ()) -> Graph:
    x, y = variable(0, N, M), variable(1, N)
    return Graph((x, y), (x * f.expand(y, shape=x.shape, axes=(0,)),), guards, {"s0": 3, "s1": 4})


X, Y = np.arange(12.0).reshape(3, 4), np.arange(3.0) + 1


class Derived(np.ndarray[Any, Any]):
    """A subclass, whose meaning nobody knows."""


def unaligned(array: Any) -> Any:
    memory = np.zeros(array.nbytes + 1, np.uint8)[1:]
    result = memory.view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


READ_ONLY = X.copy()
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize("x", [
    X, X + 0, np.asfortranarray(X), X[::-1], X[:, ::-1], X[::2], np.broadcast_to(X[0], (5, 4)), READ_ONLY, X[:0], X[:, :0],
    np.arange(40.0).reshape(4, 10).T[::3, 1:],
], ids=["C", "fresh", "F", "rows reversed", "columns reversed", "strided", "repeated", "read-only", "no rows", "no columns", "view"])
def test_any_layout_is_taken(x: Any) -> None:
    entry = entry_of(product(), TWO)
    y = np.arange(2.0 * len(x))[::-2]
    result = entry(x, y)
    assert hits(entry) == 1
    np.testing.assert_array_equal(result, x * y[:, None])
    assert result.flags.c_contiguous
    assert result.flags.owndata
    assert result.flags.writeable
    assert type(result) is np.ndarray


MISMATCHES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "a list": ((X.tolist(), Y), {}),
    "None": ((None, Y), {}),
    "a float": ((2.0, Y), {}),
    "a NumPy scalar": ((X, np.float64(1.0)), {}),
    "a subclass": ((X.view(Derived), Y), {}),
    "a masked array": ((np.ma.array(X), Y), {}),
    "float32": ((X.astype(F4), Y), {}),
    "int64": ((X.astype(np.int64), Y), {}),
    "bool": ((X > 1, Y), {}),
    "objects": ((X.astype(object), Y), {}),
    "other byte order": ((X.astype(F8.newbyteorder("S")), Y), {}),
    "unaligned": ((unaligned(X), Y), {}),
    "a lower rank": ((X[0], Y), {}),
    "a higher rank": ((X[None], Y), {}),
    "an axis of size 1": ((X[:1], Y[:1]), {}),
    "sizes that differ": ((X, Y[:2]), {}),
    "too few": ((X,), {}),
    "too many": ((X, Y, Y), {}),
    "none": ((), {}),
    "a keyword": ((X,), {"y": Y}),
    "one more keyword": ((X, Y), {"z": Y}),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_a_mismatch_is_for_the_slow_path(name: str) -> None:
    args, kwargs = MISMATCHES[name]
    slow = Slow()
    entry = entry_of(product(), TWO, slow)
    assert entry(*args, **kwargs) == "slow"
    ((got, named),) = slow.calls
    assert all(a is b for a, b in zip(got, args, strict=True))
    assert all(named[k] is v for k, v in kwargs.items())
    assert named.keys() == kwargs.keys()
    assert hits(entry) == 0
    np.testing.assert_array_equal(entry(X, Y), X * Y[:, None])  # and the next one is taken again
    assert hits(entry) == 1


@pytest.mark.parametrize(("op", "accepted"), [("==", [4]), ("!=", [2, 3, 5]), ("<", [2, 3]), (">=", [4, 5])])
def test_guards(op: str, accepted: list[int]) -> None:
    entry = entry_of(product((Guard(op, M, 4),)), TWO)
    taken = [k for k in (2, 3, 4, 5) if not isinstance(entry(np.ones((3, k)), Y), str)]
    assert taken == accepted


@pytest.mark.parametrize(("expression", "value"), [
    (floordiv(N - 7, 4), lambda n, m: (n - 7) // 4), (mod(N - 7, 4), lambda n, m: (n - 7) % 4),
    (floordiv(N - 7, M), lambda n, m: (n - 7) // m), (mod(N - 7, M), lambda n, m: (n - 7) % m),
    (floordiv(N * M + 1, N + 2), lambda n, m: (n * m + 1) // (n + 2)),
])
def test_divisions_in_guards_are_pythons(expression: Size, value: Callable[[int, int], int]) -> None:
    for n, m in ((3, 4), (9, 2), (12, 5), (6, 3)):
        for expected in (value(n, m), value(n, m) + 1):
            entry = entry_of(product((Guard("==", expression, expected),)), TWO)
            assert isinstance(entry(np.ones((n, m)), np.ones(n)), str) == (expected != value(n, m))


def test_a_division_by_a_size_of_zero_is_no_trap() -> None:
    entry = entry_of(product((Guard("==", floordiv(N, M), 1000),)), TWO)
    assert entry(np.ones((3, 0)), Y) == "slow"


def test_static_arguments_are_objects() -> None:
    static, graph = (1, 2), doubled(N)
    entry = entry_of(graph, EntrySpec((IgnoredArgument(static), ArrayArgument(0), IgnoredArgument(None)), 0))
    np.testing.assert_array_equal(entry(static, Y, None), 2 * Y)
    assert entry((1, 2.0), Y, None) == "slow"
    assert entry(static, Y, False) == "slow"


def test_floats() -> None:
    x, y = variable(0), variable(1, N)
    graph = Graph((x, y), (f.expand(x, shape=(N,), axes=()) * y, x * x), (), {"s0": 3})
    entry = entry_of(graph, EntrySpec((FloatArgument(0), ArrayArgument(1)), (0, (1,))))
    product, (square,) = entry(2.5, Y)
    np.testing.assert_array_equal(product, 2.5 * Y)
    assert square == 6.25
    assert type(square) is np.float64
    for other in (2, True, np.float64(2.5), np.array(2.5), "2.5", None):
        assert entry(other, Y) == "slow"


@pytest.mark.parametrize("dtype", [F8, F4, INT64, BOOL], ids=str)
def test_dtypes(dtype: Any) -> None:
    x = variable(0, N, dtype=dtype)
    result = f.eq(x, constant(1, dtype, (N,))) if dtype == BOOL else scaled(x, 2)
    total = f.any(result, axes=(0,)) if dtype == BOOL else f.sum(result, axes=(0,))
    entry = entry_of(Graph((x,), (result, total), (), {"s0": 3}), EntrySpec((ArrayArgument(0),), (0, 1)))
    given = np.array([0, 1, 3], dtype)
    each, together = entry(given)
    assert hits(entry) == 1
    assert each.dtype == together.dtype == dtype
    np.testing.assert_array_equal(each, given == 1 if dtype == BOOL else 2 * given)
    assert together == (True if dtype == BOOL else 8)


def test_results_are_fresh() -> None:
    entry = entry_of(doubled(N), ONE)
    first, second = entry(Y), entry(Y)
    first[...] = -1
    np.testing.assert_array_equal(second, 2 * Y)
    assert not np.may_share_memory(first, second)


def test_temporaries_of_every_kind() -> None:
    """A number, a row and a matrix in between."""
    x = variable(0, N, M)
    top = f.max(x, axes=(0, 1))
    shifted = f.exp(x - f.expand(top, shape=x.shape, axes=()))
    share = shifted / f.expand(f.sum(shifted, axes=(1,)), shape=x.shape, axes=(0,))
    turned = f.permute(share, order=(1, 0))
    entry = entry_of(Graph((x,), (f.cast(turned + 0.0, dtype="float32"), f.sum(turned, axes=(0,))), (), {"s0": 3, "s1": 4}),
                     EntrySpec((ArrayArgument(0),), (0, 1)))
    for shape in ((3, 4), (40, 7), (2, 1000)):
        given = np.random.default_rng(1).normal(size=shape)
        e = np.exp(given - given.max())
        e /= e.sum(axis=1, keepdims=True)
        turned_result, sums = entry(given)
        np.testing.assert_allclose(turned_result, e.T.astype(F4), rtol=1e-6)
        np.testing.assert_allclose(sums, np.ones(shape[0]))
    assert hits(entry) == 3


def test_large_work_is_taken() -> None:
    entry = entry_of(doubled(N), ONE)
    large = np.random.default_rng(0).normal(size=(1 << 21) + 3)
    np.testing.assert_array_equal(entry(large), 2 * large)
    assert hits(entry) == 1


def test_sizes_whose_product_overflows_are_large() -> None:
    x, y = variable(0, N), variable(1, M)
    outer = f.expand(x, shape=(N, M), axes=(0,)) * f.expand(y, shape=(N, M), axes=(1,))
    graph = Graph((x, y), (outer,), (), {"s0": 3, "s1": 4})
    entry = entry_of(graph, TWO)
    huge = np.broadcast_to(1.0, (1 << 40,))
    assert entry(huge, huge) == "slow"
    with pytest.raises((MemoryError, ValueError)):
        compile_program(graph).run([huge, huge])


def test_memory_that_is_not_there_is_a_memory_error() -> None:
    """An array without elements and with too long axes: NumPy refuses it. What was made before it is released."""
    x, y, z, w = variable(0, N), variable(1, M), variable(2, symbol("s2")), variable(3, symbol("s3"))
    shape = (symbol("s2"), N, M)
    empty = f.expand(z, shape=shape, axes=(0,)) * f.expand(f.expand(x, shape=(N, M), axes=(0,)), shape=shape, axes=(1, 2))
    arguments = tuple(ArrayArgument(k) for k in range(4))
    graph = Graph((x, y, z, w), (scaled(w, 2), empty), (), {"s0": 2, "s1": 3, "s2": 4, "s3": 5})
    entry = entry_of(graph, EntrySpec(arguments, (0, 1)))
    huge, none, row = np.broadcast_to(1.0, (1 << 40,)), np.ones(0), np.ones(1000)
    tracemalloc.start()
    for _ in range(1000):
        with pytest.raises(MemoryError):
            entry(huge, huge, none, row)
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert current < 100 * row.nbytes


def test_errors_of_the_slow_path_arrive() -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise KeyError("no")

    entry = entry_of(doubled(N), ONE, refuse)
    with pytest.raises(KeyError, match="no"):
        entry("x")
    with pytest.raises(KeyError, match="no"):
        entry(x=1)
    np.testing.assert_array_equal(entry(Y), 2 * Y)


def test_reference_counts_are_stable() -> None:
    def slow(*args: Any, **kwargs: Any) -> None:
        return None

    entry = entry_of(product(), EntrySpec((ArrayArgument(0), ArrayArgument(1)), (0,)), slow)
    number = entry_of(Graph((v := variable(0, N),), (f.sum(v, axes=(0,)),), (), {"s0": 3}), ONE, slow)
    watched: list[Any] = [F8, X, Y, None, np.ndarray, float, slow, entry, entry.__self__, number.__self__]
    for calls in (100, 10_000):  # the first hundred fill caches
        before = [sys.getrefcount(w) for w in watched]
        for _ in range(calls):
            entry(X, Y)
            number(Y)
            entry(X, None)
            entry(X, Y, y=Y)
        after = [sys.getrefcount(w) for w in watched]
    assert all(abs(b - a) < 50 for a, b in zip(before, after, strict=True)), (before, after)


def test_memory_does_not_grow() -> None:
    entry = entry_of(product(), EntrySpec((ArrayArgument(0), ArrayArgument(1)), (0,)))
    entry(X, Y)
    tracemalloc.start()
    for _ in range(10_000):
        entry(X, Y)
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert current < 20_000


def test_a_cycle_through_the_slow_path_is_collected() -> None:
    program = compile_program(doubled(N), ONE)
    assert program.entry is not None

    class Owner:
        def __init__(self, program: Program) -> None:
            assert program.entry is not None
            self.fast = program.entry(self.slow, "owner")

        def slow(self, *args: Any) -> str:
            return "slow"

    owner = Owner(program)
    assert owner.fast(1) == "slow"
    died = weakref.ref(owner)
    del owner
    gc.collect()
    assert died() is None


def test_the_function_keeps_its_code() -> None:
    entry = entry_of(doubled(N), ONE)
    gc.collect()
    np.testing.assert_array_equal(entry(Y), 2 * Y)
    assert entry.__name__ == "f"


def test_the_slow_path_may_drop_the_entry() -> None:
    holder: dict[str, Any] = {}

    def slow(*args: Any) -> str:
        holder.clear()
        gc.collect()
        return "slow"

    holder["entry"] = entry_of(doubled(N), ONE, slow)
    assert holder["entry"](1) == "slow"


# ------------------------------------------------------------------------------------------------ what has no entry
def test_each_output_has_its_own_memory() -> None:
    x = variable(0, N)
    double = scaled(x, 2)
    entry = entry_of(Graph((x,), (x, double, double, x), (), {"s0": 3}), EntrySpec((ArrayArgument(0),), (0, 1, 2, 3)))
    results = entry(Y)
    for result, expected in zip(results, (Y, 2 * Y, 2 * Y, Y), strict=True):
        np.testing.assert_array_equal(result, expected)
        assert not any(np.may_share_memory(result, other) for other in (Y, *(r for r in results if r is not result)))


def test_results_that_are_left_out_mean_no_entry() -> None:
    x = variable(0, N)
    graph = Graph((x,), (scaled(x, 2), scaled(x, 3)), (), {"s0": 3})
    assert compile_program(graph, EntrySpec((ArrayArgument(0),), 1)).entry is None


def test_inputs_that_no_argument_gives_mean_no_entry() -> None:
    x, y = variable(0, N), variable(1, N)
    assert compile_program(Graph((x, y), (x + y,), (), {"s0": 3}), ONE).entry is None


def test_sizes_that_no_axis_is_mean_no_entry() -> None:
    """The size of an axis of 2 n elements would have to be divided."""
    x = variable(0, 2 * N)
    program = compile_program(Graph((x,), (scaled(x, 2),), (), {"s0": 3}), ONE)
    assert program.entry is None
    np.testing.assert_array_equal(program.run([np.ones(6)])[0], np.full(6, 2.0))


def test_a_multiple_of_a_known_size_is_checked() -> None:
    x, y = variable(0, 2 * N), variable(1, N)
    graph = Graph((x, y), (scaled(x, 2), scaled(y, 3)), (), {"s0": 3})
    entry = entry_of(graph, EntrySpec((ArrayArgument(0), ArrayArgument(1)), (0, 1)))
    assert len(entry(np.ones(8), np.ones(4))[0]) == 8
    assert entry(np.ones(7), np.ones(4)) == "slow"
