"""Which calls share a program: signatures, sizes, guards, captured values, threads."""

from __future__ import annotations

import threading
import types

import numpy as np
import pytest

import chainrule as cr
from chainrule import grad


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    monkeypatch.setenv("CHAINRULE_TIER", "interpret")


def count(f):
    return f.stats.compiles, f.stats.traces


def test_another_size_is_no_other_program():
    f = grad(lambda x, w: np.mean((x @ w) ** 2))
    for shape in ((100, 100), (200, 100), (100, 7), (3, 5)):
        x, w = np.ones(shape), np.ones(shape[1])
        np.testing.assert_allclose(f.grad(x, w)[1], 2 * shape[1] * np.ones(shape[1]))
    assert count(f) == (1, 1)
    assert f.stats.cache_hits == 3


@pytest.mark.parametrize(
    "program",
    [
        lambda x: x.reshape(-1).sum() / x.size,
        lambda x: np.sum(x[1:] - x[:-1]),
        lambda x: np.std(x, axis=0).sum(),
        lambda x: x[:, -1].sum() * len(x.shape),
        lambda x: np.concatenate([x, x]).sum() / x.shape[0],
        lambda x: np.sum(np.zeros_like(x) + x) * x.shape[1] ** 2,
        lambda x: np.sort(x).sum(),
        lambda x: (x.T @ x).trace(),
        lambda x: np.linalg.norm(x),
        lambda x: np.sum(x / np.sqrt(x.shape[1])),
        lambda x: np.median(x),
        lambda x: np.sum(np.pad(x, 1)) + np.sum(np.tile(x, 2)),
        lambda x: x.flatten()[x.size // 2 :].sum(),
        lambda x: np.roll(x, 1).sum() + np.diff(x).sum(),
    ],
)
def test_programs_that_serve_every_size(program):
    f = grad(program)
    for shape in ((4, 3), (7, 5), (6, 11)):
        x = np.random.default_rng(0).normal(size=shape)
        assert f(x) == pytest.approx(program(x), rel=1e-12)
    assert count(f) == (1, 1)


def test_an_axis_of_size_one_is_another_signature():
    f = grad(lambda x, y: np.sum(x * y))
    assert f(np.ones((3, 2)), np.ones((3, 2))) == 6
    assert f(np.ones((3, 2)), np.ones((1, 2))) == 6
    assert f.stats.traces == 2
    assert "with axes (0,) of size 1" in f.stats.misses[-1]


def test_a_guard_that_fails_is_named_with_its_line():
    def f(x):
        if x.shape[0] > 3:  # the guard
            return np.sum(x)
        return np.prod(x)

    g = grad(f)
    assert g(np.full(5, 2.0)) == 10
    assert g(np.full(9, 2.0)) == 18
    assert g(np.full(3, 2.0)) == 8
    assert g(np.full(2, 2.0)) == 4
    assert g.stats.traces == 2
    assert "test_function_cache.py" in g.stats.misses[-1]
    assert "s0 = 3" in g.stats.misses[-1]


def test_a_loop_specialises_and_says_so():
    def f(x):
        total = 0.0
        for k in range(len(x)):  # here
            total += x[k] * k
        return total

    g = grad(f)
    assert g(np.ones(4)) == 6
    assert g(np.ones(4) * 2) == 12
    assert g(np.ones(5)) == 10
    assert g.stats.traces == 2
    assert any("= 4" in note and "test_function_cache.py" in note for note in g.stats.specialisations)


def test_dtypes_floats_and_ranks_are_the_signature():
    f = grad(lambda x: np.sum(x) * 2)
    for x in (1.0, 2.5, np.float32(1.0), np.ones(3), np.ones(3, np.float32), np.ones((2, 2)), np.ones(7)):
        f(x)
    assert f.stats.traces == 5
    assert "float32 with 1 axes instead of float64 with 1 axes" in f.stats.misses[3]


def test_a_float_argument_is_no_part_of_the_signature_and_a_flag_is():
    f = grad(lambda x, a, flag=True: np.sum(x) * a if flag else np.prod(x))
    for a in (1.0, 2.0, -0.5):
        assert f(np.ones(2), a) == 2 * a
    assert f(np.ones(2), 1.0, flag=False) == 1
    assert f.stats.traces == 2
    assert "flag: False instead of True" in f.stats.misses[-1]


def test_one_true_and_one_are_different_signatures():
    f = grad(lambda x, k: x * (2 if k is True else 3))
    assert (f(1.0, True), f(1.0, 1), f(1.0, True)) == (2.0, 3.0, 2.0)


def test_an_integer_that_keeps_changing_becomes_an_input():
    f = grad(lambda n, x: np.sum(x**n) * n)
    x = np.arange(1.0, 4.0)
    for n in range(2, 12):
        np.testing.assert_allclose(f.grad(n, x), n * n * x ** (n - 1))
    assert f.stats.traces <= 4


def test_an_integer_that_has_to_be_known_warns_with_the_line():
    f = grad(lambda x, n: np.sum(x[:n]))
    with pytest.warns(RuntimeWarning, match=r"the argument 'n' keeps changing.*test_function_cache\.py"):
        made = [f.grad(np.ones(20), n) for n in range(1, 12)]
    np.testing.assert_allclose(made, [np.arange(20) < n for n in range(1, 12)])


# ------------------------------------------------------------------------------------------------ what is captured
MATRIX = np.eye(2)
RATE = 0.5
TABLE = {"w": np.ones(2), "k": 3.0, "names": ["a"]}
SETTINGS = types.SimpleNamespace(gain=np.ones(2), power=2)


def scaled(x):
    return MATRIX @ x * RATE


@pytest.fixture
def restored():
    before = MATRIX.copy(), RATE, dict(TABLE), dict(vars(SETTINGS))
    yield
    globals()["MATRIX"], globals()["RATE"] = before[:2]
    TABLE.clear()
    TABLE.update(before[2])
    vars(SETTINGS).update(before[3])


@pytest.mark.usefixtures("restored")
def test_captured_arrays_are_read_at_each_call():
    program = lambda x: np.sum(scaled(x)) + np.sum(np.log(TABLE["w"]) * x) + np.sum(SETTINGS.gain * x)  # noqa: E731
    f = grad(program)
    x = np.array([1.0, 2.0])
    assert f(x) == pytest.approx(program(x))
    MATRIX[0, 1] = 5.0
    TABLE["w"][:] = 2.0
    SETTINGS.gain[0] = 7.0
    assert f(x) == pytest.approx(program(x))
    globals()["MATRIX"] = np.full((2, 2), 3.0)
    TABLE["w"] = np.full(2, 9.0)
    SETTINGS.gain = np.array([0.5, 0.25])
    assert f(x) == pytest.approx(program(x))
    assert f.stats.traces == 1
    np.testing.assert_allclose(f.grad(x), 0.5 * 6 + np.log(9.0) + SETTINGS.gain)


@pytest.mark.usefixtures("restored")
def test_captured_numbers_are_watched():
    program = lambda x: np.sum(scaled(x)) * TABLE["k"] ** SETTINGS.power + len(TABLE["names"])  # noqa: E731
    f = grad(program)
    x = np.array([1.0, 2.0])
    for change in (
        lambda: None,
        lambda: globals().update(RATE=2.0),
        lambda: TABLE.update(k=4.0),
        lambda: setattr(SETTINGS, "power", 1),
        lambda: TABLE["names"].append("b"),
    ):
        change()
        assert f(x) == pytest.approx(program(x))
    assert f.stats.traces == 5
    assert f.stats.misses[1] == "captured RATE changed"
    TABLE["names"].pop()


def test_captured_arrays_in_closures_and_views_of_them():
    w = np.arange(6.0).reshape(2, 3)

    def program(x):
        return np.sum(w.T @ x) + np.sum(w[0]) + np.sum(w[:, 1] * x) * w[1, 2]

    f = grad(program)
    x = np.array([1.0, 2.0])
    assert f(x) == program(x)
    w[:] = 1.5
    assert f(x) == program(x)
    assert f.stats.traces == 1
    w = np.ones((2, 4))
    assert f(x) == program(x)


@pytest.mark.parametrize(
    "use",
    [
        lambda w, x: np.sum(x) * float(w.sum()),
        lambda w, x: np.sum(x) if w[0] > 0 else -np.sum(x),
        lambda w, x: sum(x.sum() for _ in range(int(w[0]))),
        lambda w, x: np.sum(x[: int(w[1])]),
        lambda w, x: np.sum(x) * w.std(),
        lambda w, x: np.sum(np.unique(w)[0] * x),
    ],
    ids=["float", "branch", "range", "slice", "method", "unsupported"],
)
def test_what_depends_on_the_elements_of_a_captured_array(use):
    w = np.array([2.0, 1.0, 3.0])

    def program(x):
        return _apply(use, w, x)

    f = grad(program)
    x = np.array([1.0, 2.0, 4.0])
    for change in (None, 5.0, -3.0):
        if change is not None:
            w[0] = change
        assert f(x) == pytest.approx(program(x))


def _apply(use, w, x):
    return use(w, x)


def test_a_constant_made_in_the_function_is_one():
    f = grad(lambda x: np.sum(x * np.array([1.0, 2.0, 3.0]) + np.eye(3)[1]))
    np.testing.assert_array_equal(f.grad(np.ones(3)), [1, 2, 3])
    with pytest.raises(cr.ShapeError):
        f.grad(np.ones(4))


def test_a_helper_that_is_replaced():
    space = {"np": np, "helper": lambda x: x * 2}
    exec("def f(x):\n    return np.sum(helper(x))", space)
    f = grad(space["f"])
    assert f(np.ones(2)) == 4
    space["helper"] = lambda x: x * 3
    assert f(np.ones(2)) == 6
    assert f.stats.misses[-1] == "captured helper is another object"
    space["helper"].__code__ = (lambda x: x * 4).__code__
    assert f(np.ones(2)) == 8


def test_a_function_that_counts_its_traces():
    calls, total = [], 0

    def program(x):
        nonlocal total
        total += 1
        calls.append(x.shape)
        return np.sum(x)

    f = grad(program)
    for _ in range(4):
        f(np.ones(3))
        f.grad(np.ones(5))
    assert len(calls) == total == f.stats.traces == 1


# ------------------------------------------------------------------------------------------------ threads
def test_two_threads_trace_and_compile_once():
    barrier = threading.Barrier(4)
    traces = []

    def program(x):
        traces.append(threading.get_ident())
        return np.sum(x**2)

    f = grad(program)
    results = []

    def work():
        barrier.wait()
        results.append(f.grad(np.arange(3.0)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(traces) == 1
    assert count(f) == (1, 1)
    for r in results:
        np.testing.assert_array_equal(r, [0, 2, 4])


# ------------------------------------------------------------------------------------------------ looking at what was done
def test_stats_are_readable():
    f = grad(lambda x: np.sum(np.exp(x)))
    assert "none yet" in repr(f.stats)
    f.grad(np.ones(5))
    assert "compiles: 1" in str(f.stats)
    assert f.stats.flops > 0
    assert list(f.stats.seconds) == ["trace", "stabilise", "differentiate", "simplify"]


def test_specifications_trace_without_running():
    ran = []

    def f(w, x):
        ran.append(x.shape)
        return np.mean((x @ w) ** 2)

    g = grad(f)
    view = g.trace(cr.spec("d"), cr.spec("n d", np.float64))
    graph = view.ir("traced")
    assert [len(n.shape) for n in graph.inputs] == [1, 2]
    assert graph.inputs[0].shape[0] is graph.inputs[1].shape[1]
    assert "input" in str(g.ir("differentiated"))
    g.grad(np.ones(3), np.ones((4, 3)))
    assert len(ran) == 1
    assert repr(cr.spec("n 3")) == "spec('n 3', float64)"


@pytest.mark.parametrize("bad", ["a-b", "1.5"])
def test_a_specification_that_is_none(bad):
    with pytest.raises(cr.ArgumentError, match="neither the name of a size nor a number"):
        cr.spec(bad)


def test_a_function_that_was_never_called_is_looked_at_with_numbers():
    f = grad(lambda x, y: x * y + x)
    assert len(f.ir("traced").inputs) == 2
    needs_arrays = grad(lambda x: np.sum(x[0] @ x))
    with pytest.raises(cr.DifferentiationError, match=r"trace\(\.\.\.\) with example arrays"):
        needs_arrays.ir("traced")
    with pytest.raises(cr.ArgumentError, match="the stages are traced"):
        f.ir("cooked")
