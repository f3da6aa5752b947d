"""Whole programs: how many passes over memory, kernels and temporaries they take, and what a plan says of itself."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tracing import traced

from chainrule.compiler.loopnest import Load, Loop, walk
from chainrule.compiler.pipeline import Built, Options, Request, build
from chainrule.compiler.program import Program
from chainrule.compiler.schedule import CallStep, KernelStep, ProductStep

RNG = np.random.default_rng(0)
X, LABELS, WEIGHTS = RNG.normal(size=(50, 7)), (RNG.random(50) < 0.5) * 1.0, RNG.normal(size=7)


def built(function: Callable[..., Any], *arguments: Any, kind: Any = "value_and_gradient") -> tuple[Built, list[Any]]:
    """The program, with respect to the first argument, and its inputs."""
    graph, inputs = traced(function, *arguments)
    return build(graph, Request(kind, (0,))), inputs


def inner_reads(program: Program, buffer: str) -> int:
    """How many loads of a buffer stand in innermost loops."""
    return sum(isinstance(s, Load) and s.buffer == buffer for kernel in program.kernels for loop in walk(kernel.body)
               if isinstance(loop, Loop) and not any(isinstance(inner, Loop) for inner in loop.body) for s in loop.body)


def outer_loops_over(program: Program, buffer: str) -> int:
    """How many outermost loops read a buffer."""
    return sum(isinstance(loop, Loop) and any(isinstance(s, Load) and s.buffer == buffer for s in walk((loop,)))
               for kernel in program.kernels for loop in kernel.body)


def numerical(function: Callable[..., Any], x: Any, step: float = 1e-6) -> Any:
    result = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[at] += step
        down[at] -= step
        result[at] = (function(up) - function(down)) / (2 * step)
    return result


def logistic(w: Any, x: Any, y: Any) -> Any:
    return np.mean(np.log(1 + np.exp(-(x @ w) * (2 * y - 1))))


def test_logistic_regression_reads_its_matrix_in_one_pass_over_the_rows() -> None:
    made, inputs = built(logistic, WEIGHTS, X, LABELS)
    program = made.program
    assert outer_loops_over(program, "x1") == 1
    value, gradient = program.run(inputs)
    assert value == pytest.approx(logistic(WEIGHTS, X, LABELS), rel=1e-13)
    np.testing.assert_allclose(gradient, numerical(lambda w: logistic(w, X, LABELS), WEIGHTS), rtol=1e-6)
    main = next(k for k in program.kernels if any(b.name == "x1" for b in k.buffers))
    assert main.splittable
    assert {op for _, op in main.reduces} == {"add"}
    assert not any(isinstance(s, CallStep) for s in program.plan.steps)
    assert all(program.plan.buffers[n] not in [b.name for b in main.buffers] for n in program.plan.temporaries if n.shape == X.shape[:1])


def test_a_sum_of_squares_and_its_gradient_are_one_pass() -> None:
    made, _ = built(lambda x: np.sum(x * x), X)
    (kernel,) = made.program.kernels
    assert sum(isinstance(s, Load) for s in walk(kernel.body)) == 1
    assert made.program.temporaries == []
    assert kernel.splittable


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_softmax_is_one_kernel_over_rows() -> None:
    made, inputs = built(softmax, X, kind="value")
    (kernel,) = made.program.kernels
    assert kernel.splittable
    assert kernel.reduces == ()
    assert len([s for s in kernel.body if isinstance(s, Loop)]) == 1
    np.testing.assert_allclose(made.program.run(inputs)[0], softmax(X), rtol=1e-14)


def test_a_chain_of_elementwise_operations_is_one_kernel() -> None:
    def chain(x: Any) -> Any:
        for _ in range(10):
            x = np.tanh(x * 1.5 + 0.25)
        return x

    made, inputs = built(chain, X, kind="value")
    assert len(made.program.kernels) == 1
    assert made.program.temporaries == []
    np.testing.assert_allclose(made.program.run(inputs)[0], chain(X), rtol=1e-12)


def test_value_and_gradient_share_one_evaluation() -> None:
    def energy(x: Any) -> Any:
        return np.sum(np.exp(x))

    alone, both = (built(energy, X, kind=kind)[0].program.kernels for kind in ("value", "value_and_gradient"))
    assert [sum(getattr(s, "op", "") == "exp" for k in kernels for s in walk(k.body)) for kernels in (alone, both)] == [1, 1]


def pairwise(x: Any) -> Any:
    d = x[:, None, :] - x[None, :, :]
    r2 = np.sum(d * d, axis=-1) + 1.0
    i6 = 1 / r2**3
    return np.sum(4 * (i6 * i6 - i6))


def test_pairwise_energies_have_no_matrix_of_pairs() -> None:
    points = RNG.normal(size=(6, 3))
    made, inputs = built(pairwise, points)
    plan = made.program.plan
    pairs = {plan.buffers[n] for n in plan.temporaries if n.shape[:2] == (made.traced.inputs[0].shape[0],) * 2}
    assert pairs.isdisjoint(b.name for k in made.program.kernels for b in k.buffers)
    value, gradient = made.program.run(inputs)
    assert value == pytest.approx(pairwise(points), rel=1e-12)
    np.testing.assert_allclose(gradient, numerical(pairwise, points), rtol=1e-5, atol=1e-8)


def test_a_matrix_product_is_a_routine() -> None:
    made, inputs = built(lambda x, y: np.sum(np.tanh(x @ y)), X, X.T.copy(), kind="value")
    assert [type(s) for s in made.program.plan.steps] == [ProductStep, KernelStep]
    assert made.program.run(inputs)[0] == pytest.approx(np.sum(np.tanh(X @ X.T)))


def test_the_plan_gives_its_reasons() -> None:
    made, _ = built(lambda x: np.sum(np.exp(x) @ x.T) + np.sum(x), X, kind="value")
    text = str(made.program.plan)
    assert "because it is an output" in text
    assert "because it is a reduction" in text
    assert "because a matrix product reads it" in text
    assert "because it is a matrix product" in text
    lines = [line for line in text.splitlines() if line[:1].isdigit()]
    assert [int(line.partition(":")[0]) for line in lines] == list(range(len(made.program.plan.steps)))


def test_the_source_is_that_of_the_kernels() -> None:
    made, _ = built(lambda x: np.sum(np.linalg.inv(x @ x.T)), X[:3], kind="value")
    source = made.program.source()
    for kernel in made.program.kernels:
        assert f"def {kernel.name}(" in source
    assert "= inverse(" in source


@pytest.mark.parametrize("kind", ["value", "gradient", "value_and_gradient", "vjp", "jvp", "hvp"])
def test_requests(kind: Any) -> None:
    """Of the sum of x^3: 3 x^2, 6 x."""
    vector = RNG.normal(size=X.shape)
    further = {"vjp": [np.float64(2.0)], "jvp": [vector], "hvp": [vector]}.get(kind, [])
    value, gradient = np.sum(X**3), 3 * X**2
    expected = {"value": [value], "gradient": [gradient], "value_and_gradient": [value, gradient], "vjp": [value, 2 * gradient],
                "jvp": [value, np.sum(gradient * vector)], "hvp": [6 * X * vector]}[kind]
    made, inputs = built(lambda x: np.sum(x**3), X, kind=kind)
    results = made.program.run([*inputs, *further])
    for result, want in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, want, rtol=1e-12)


def test_what_is_stabilised() -> None:
    graph, _ = traced(lambda x: np.sum(np.log(1 + np.exp(x))), X)
    for stabilise, value in ((True, 5000.0), (False, np.inf)):
        made = build(graph, Request("value_and_gradient", (0,)), Options(stabilise=stabilise))
        result, gradient = made.program.run([np.full((5, 1), 1000.0)])
        assert result == value
        assert np.all(gradient == 1.0) == stabilise


def test_the_stages_are_there_to_look_at() -> None:
    made, _ = built(lambda x: np.sum(x * 1.0 + 0 * x), X)
    assert len(made.differentiated.outputs) == len(made.simplified.outputs) == 2
    assert made.steps
    assert made.program.graph is made.simplified
    assert {"stabilise", "differentiate", "simplify", "schedule", "lower", "compile"} <= made.seconds.keys()
    assert not made.cached


def test_a_program_without_kernels() -> None:
    made, inputs = built(lambda x: x.T, X, kind="value")
    assert isinstance(made.program.plan.steps[0], KernelStep)
    cumulative, inputs = built(lambda x: np.cumsum(x, axis=0), X, kind="value")
    assert cumulative.program.code is None
    np.testing.assert_allclose(cumulative.program.run(inputs)[0], np.cumsum(X, axis=0))
