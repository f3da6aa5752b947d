"""`loss.jit`: gradients inside code that numba compiles, with the bits of calls from Python."""
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import njit, prange
from numba.core.errors import TypingError

import chainrule as cr
from chainrule import grad

RNG = np.random.default_rng(7)


@grad
def banana(x):
    return np.sum(5 * (x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2)


@grad
def waves(x, y):
    return np.exp(-x**2) * np.sin(y) + np.log(1 + x**2 * y**2)


def same(left, right):
    """Whether two results are equal, to the last bit."""
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return np.array_equal(left, np.asarray(right), equal_nan=True)


# ------------------------------------------------------------------------------------------------ loops of users
def hamiltonian_monte_carlo(value_and_grad, x, momenta, thresholds, step):
    """Leapfrog steps and Metropolis decisions; `momenta` and `thresholds` are the random numbers."""
    samples, accepted = np.empty_like(momenta), 0
    value, slope = value_and_grad(x)
    for k in range(len(momenta)):
        q, p, u, g = x, momenta[k], value, slope
        before = u
        for j in range(x.size):
            before += 0.5 * p[j] * p[j]
        for _ in range(10):
            p = p - 0.5 * step * g
            q = q + step * p
            u, g = value_and_grad(q)
            p = p - 0.5 * step * g
        after = u
        for j in range(x.size):
            after += 0.5 * p[j] * p[j]
        if thresholds[k] < before - after:
            x, value, slope = q, u, g
            accepted += 1
        samples[k] = x
    return samples, accepted


def test_a_sampler_draws_what_it_draws_in_python_and_with_a_gradient_by_hand():
    def by_hand(x):
        r, s = x[1:] - x[:-1]**2, 1 - x[:-1]
        g = np.zeros_like(x)
        g[1:] += 10 * r
        g[:-1] -= 20 * r * x[:-1] + 2 * s
        return np.sum(5 * r * r + s * s), g

    momenta, thresholds = RNG.standard_normal((40, 4)), np.log(RNG.random(40))
    x = np.zeros(4)
    compiled = njit(hamiltonian_monte_carlo)(banana.jit.value_and_grad, x, momenta, thresholds, 0.05)
    in_python = hamiltonian_monte_carlo(banana.value_and_grad, x, momenta, thresholds, 0.05)
    assert same(compiled, in_python)
    assert 10 < compiled[1] < 40
    np.testing.assert_allclose(compiled[0], hamiltonian_monte_carlo(by_hand, x, momenta, thresholds, 0.05)[0], rtol=1e-9)


def test_gradient_descent_of_a_logistic_regression():
    @grad(wrt=("w", "b"))
    def loss(w, b, X, y):
        p = 1 / (1 + np.exp(-(X @ w + b)))
        return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))

    def descend(gradient, w, b, X, y):
        for _ in range(20):
            dw, db = gradient(w, b, X, y)
            w, b = w - 0.5 * dw, b - 0.5 * db
        return w, b

    X = RNG.standard_normal((20_000, 30))  # blocks of rows, on several threads
    y = (X[:, 0] + RNG.standard_normal(len(X)) > 0) * 1.0
    start = np.zeros(30), 0.0
    compiled = njit(descend)(loss.jit.grad, *start, X, y)
    assert same(compiled, descend(loss.grad, *start, X, y))

    def by_hand(w, b, X, y):
        r = 1 / (1 + np.exp(-(X @ w + b))) - y
        return X.T @ r / len(r), r.mean()

    np.testing.assert_allclose(compiled[0], descend(by_hand, *start, X, y)[0], rtol=1e-9)


def test_an_implicit_solver_of_a_stiff_equation():
    @grad
    def van_der_pol(state, stiffness):
        x, v = state
        return np.stack([v, stiffness * (1 - x**2) * v - x])

    def implicit_midpoint(field, jacobian, state, stiffness, step, steps):
        for _ in range(steps):
            new = state
            for _ in range(5):
                middle = 0.5 * (state + new)
                r = new - state - step * field(middle, stiffness)
                j = -0.5 * step * jacobian(middle, stiffness)[0]
                a, d = 1 + j[0, 0], 1 + j[1, 1]
                change = np.array([d * r[0] - j[0, 1] * r[1], a * r[1] - j[1, 0] * r[0]])
                new = new - change / (a * d - j[0, 1] * j[1, 0])
            state = new
        return state

    def by_hand(state, stiffness):
        x, v = state
        return np.array([[0.0, 1.0], [-2 * stiffness * x * v - 1, stiffness * (1 - x**2)]]), None

    state, stiffness = np.array([2.0, 0.0]), 50.0
    compiled = njit(implicit_midpoint)(van_der_pol.jit.value, van_der_pol.jit.jacobian, state, stiffness, 0.02, 200)
    assert same(compiled, implicit_midpoint(van_der_pol, van_der_pol.jacobian, state, stiffness, 0.02, 200))
    np.testing.assert_allclose(compiled, implicit_midpoint(van_der_pol, by_hand, state, stiffness, 0.02, 200), rtol=1e-9)
    assert compiled[0] < 1.99


# ------------------------------------------------------------------------------------------------ code
def test_scalar_programs_are_inlined():
    derived = waves.jit.value_and_grad

    @njit
    def walk(x, y, steps):
        for _ in range(steps):
            _, (dx, dy) = derived(x, y)
            x, y = x - 0.01 * dx, y - 0.01 * dy
        return x, y

    x, y = 0.5, 1.5
    result = walk(x, y, 25)
    for _ in range(25):
        _, (dx, dy) = waves.value_and_grad(x, y)
        x, y = x - 0.01 * dx, y - 0.01 * dy
    assert same(result, (x, y))
    assert "@chainrule" not in walk.inspect_llvm(walk.signatures[0])


def test_programs_of_arrays_are_called():
    banana.jit.grad(np.ones(3))
    assert "@chainrule" in banana.jit.grad.inspect_llvm(banana.jit.grad.signatures[0])


# ------------------------------------------------------------------------------------------------ arguments and results
def _tuples(p, y):
    return np.sum((p[0] * y + p[1])**2)


def _mixed(x, k, mask):
    return np.sum(np.where(mask, x, -x) * k)


def _several(x):
    return x * 2, (np.sum(x), x > 1)


def _recurrence(w, h, xs):
    last, kept = cr.scan(lambda h, x: (np.tanh(w @ h + x), h), h, xs)
    return np.sum(kept**2) + np.sum(last)


def _loops_in_branches(x, y):
    def root(x, y):
        return cr.checkpoint(lambda x: np.exp(np.sin(x)))(x) * cr.scan(lambda c, _: (c * 0.5 + x, None), y, length=3)[0]

    return np.sum(cr.cond(np.sum(x) > 0, root, lambda x, y: x + 2 * y, (x, y)))


X2 = RNG.standard_normal((6, 8))
CALLS = {
    "float32": (lambda x, a: np.sum(np.exp(x) * a), (X2.astype(np.float32), 0.5)),
    "strides": (lambda x, y: np.sum(np.sin(x @ y)), (X2[::2, ::-1], X2.T)),
    "one element": (lambda x, y: np.sum(x * y), (np.ones(1), np.ones(1))),
    "no elements": (lambda x: np.sum(x**2), (np.ones((0, 3)),)),
    "four axes": (lambda x: np.mean(x**3), (RNG.standard_normal((2, 3, 4, 5)),)),
    "tuples": (_tuples, ((X2, 2.0), X2)),
    "an int and booleans": (_mixed, (X2, 3, X2 > 0)),
    "indices": (lambda x, i: np.sum(x[i]**2), (X2[0], np.array([1, 1, 5]))),
    "a small system": (lambda A, b: np.sum(np.linalg.solve(A, b)**2), (np.eye(6) * 5 + X2[:, :6], X2[:, 0])),
    "a recurrence": (_recurrence, (X2[:, :6].T, X2[:, 0], X2.T[::-1])),
    "a branch with a loop": (_loops_in_branches, (np.ones(3), X2[0, :3])),
    "the other branch": (_loops_in_branches, (-np.ones(3), X2[0, :3])),
    "taken apart": (lambda p: p[0] * sum(p), (np.ones(3),)),
}


@pytest.mark.parametrize("name", CALLS)
def test_arguments(name):
    function, arguments = CALLS[name]
    decorated = grad(function)
    expected = decorated.value_and_grad(*arguments)
    assert same(decorated.jit.value_and_grad(*arguments), expected)


def test_results_are_structures_of_arrays_and_numbers():
    several = grad(_several)
    doubled, (total, mask) = several.jit.value(np.arange(3.0))
    assert (doubled.tolist(), total, mask.tolist()) == ([0, 2, 4], 3.0, [False, False, True])
    assert several.jit.jacobian(np.ones(2))[1][1] is None
    assert same(banana.jit.hessian(np.ones(3)), banana.hessian(np.ones(3)))
    with pytest.raises(TypingError, match="use tuples"):
        grad(lambda x: {"x": x}).jit.value(1.0)
    with pytest.raises(TypingError, match="an array of shape"):
        grad(lambda x: x * 2).jit.grad(np.ones(2))


def test_loops_of_unknown_length_have_values():
    root = grad(lambda x: cr.while_loop(lambda s: np.abs(s * s - x) > 1e-12, lambda s: 0.5 * (s + x / s), x))
    assert root.jit.value(2.0) == root(2.0)
    with pytest.raises(TypingError, match=r"how many elements while_states \(at test_jit\.py:\d+\) has, is known only when it has run"):
        root.jit.grad(2.0)


def test_defaults_keywords_and_numbers_that_a_trace_needs():
    @grad
    def power(x, times=2, scale=1.0):
        for _ in range(times):
            x = x * x
        return np.sum(scale * x)

    gradient = power.jit.grad

    @njit
    def third(x):
        return gradient(x, 3), gradient(x, scale=2.0)

    x = np.array([1.0, 2.0])
    assert same(gradient(x), power.grad(x))
    assert same(third(x), (power.grad(x, 3), power.grad(x, scale=2.0)))


def test_captured_arrays_are_read_where_they_lie():
    weights = np.ones(3)
    weighted = grad(lambda x: np.sum(weights * x**2))
    assert weighted.jit.grad(np.ones(3)).tolist() == [2, 2, 2]
    weights[1] = 5
    assert weighted.jit.grad(np.ones(3)).tolist() == [2, 10, 2]


# ------------------------------------------------------------------------------------------------ what does not fit
def test_sizes_are_checked_inside_compiled_code():
    gradient = grad(lambda x, y: np.sum(x * y)).jit.grad

    @njit
    def inside(x, y):
        return gradient(x, y)

    with pytest.raises(ValueError, match=r"needs y\.shape\[0\] == x\.shape\[0\], which does not hold"):
        inside(np.ones(3), np.ones(4))


def test_code_that_asks_for_size_one_is_compiled_for_what_python_called_it_with():
    @grad
    def stretched(x):
        return np.sum(x) * 100 if x.shape[0] == 1 else np.sum(x)

    assert stretched.jit.value(np.ones(2)) == 2
    with pytest.raises(ValueError, match=r"needs x\.shape\[0\] != 1"):
        stretched.jit.value(np.ones(1))
    again = grad(stretched.__wrapped__)
    again(np.ones(1))
    assert (again.jit.value(np.ones(1)), again.jit.value(np.ones(2))) == (100, 2)


def test_steps_that_cannot_be_done_raise():
    with pytest.raises(IndexError, match=r"out of bounds \(at test_jit\.py"):
        grad(lambda x, i: np.sum(x[i])).jit.grad(np.ones(3), np.array([0, 3]))
    with pytest.raises(ValueError, match="singular"):
        grad(lambda a: np.sum(np.linalg.inv(a))).jit.value(np.zeros((2, 2)))
    with pytest.raises(TypingError, match=r"cannot run without Python: eigenvectors \(at test_jit\.py:\d+\)"):
        grad(lambda a: np.linalg.eigvalsh(a)[0]).jit.grad(np.eye(2))
    with pytest.raises(AttributeError, match="has no 'vjp'"):
        banana.jit.vjp  # noqa: B018


# ------------------------------------------------------------------------------------------------ threads, caches
def test_many_threads_at_once():
    gradient = banana.jit.grad

    @njit(parallel=True)
    def rows(x):
        made = np.empty_like(x)
        for k in prange(len(x)):
            made[k] = gradient(x[k])
        return made

    @njit(nogil=True)
    def repeated(x):
        for _ in range(20):
            made = gradient(x)
        return made

    x = RNG.standard_normal((4, 40_000))
    expected = np.stack([banana.grad(row) for row in x])
    assert same(rows(x), expected)
    with ThreadPoolExecutor(4) as pool:
        assert same(np.stack(list(pool.map(repeated, x))), expected)


def test_functions_that_call_it_can_be_cached(tmp_path):
    (tmp_path / "cached.py").write_text(textwrap.dedent("""
        import chainrule as cr
        import numpy as np
        from numba import njit
        from chainrule import grad

        @grad
        def product(x, y):
            return np.exp(x) * y

        @grad
        def norm(x, m):
            return np.sum((m @ x)**2)

        @grad
        def chain(x, m):
            return np.sum(cr.scan(lambda c, row: (np.tanh(c * row), None), x, m)[0])

        pair, array, loop = product.jit.grad, norm.jit.grad, chain.jit.grad

        @njit(cache=True)
        def run(x, m):
            return pair(0.5, 2.0), array(x, m), loop(x, m)

        m = np.random.default_rng(0).standard_normal((300, 300))
        result = run(m[0], m)
        assert np.array_equal(result[1][0], norm.grad(m[0], m)[0])
        assert np.array_equal(result[2][0], chain.grad(m[0], m)[0])
        assert result[0] == product.grad(0.5, 2.0)
        print(sum(run.stats.cache_hits.values()))
    """))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    hits = [subprocess.run([sys.executable, "-W", "error", "cached.py"], cwd=tmp_path, text=True, capture_output=True, check=True,
                           env=environment).stdout.strip() for _ in range(2)]
    assert hits == ["0", "1"]
