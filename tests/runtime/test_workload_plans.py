"""What the programs that speed is judged by come to: kernels, loops, temporaries, passes over memory, and no recompiling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from workloads import WORKLOADS

from chainrule import grad
from chainrule.compiler import interpret
from chainrule.compiler.loopnest import Convert, Let, Load, Loop, Product, RowBlocks, Store, StoreAdd, walk
from chainrule.compiler.peel import peel
from chainrule.compiler.program import Program
from chainrule.compiler.schedule import CallStep
from chainrule.compiler.scheduled import loops_of

# name: (matrix products, temporaries in memory, the loops of each kernel), in row blocks or not
EXPECTED: dict[str, tuple[int, int, list[str]]] = {
    "polynomial": (0, 0, ["[s0]"]),
    "two numbers": (0, 0, [""]),
    "rosenbrock": (0, 0, ["[s0]"]),
    "logistic": (0, 1, ["[s0, s1 [s0, s0]]", ""]),
    "perceptron": (5, 2, ["[floordiv(s1, 16) [s4 [16]], s4 [-16*floordiv(s1, 16) + s1]]",
                          "[s6 [s1]]", "[s4, s6 [s4, s4, s4, s4]]", "[s1, s6 [s1]]", ""]),
    "black-scholes": (0, 0, ["[s0]"]),
    "lennard-jones": (0, 5, ["[s0 [s1]]", "[s0 [s1], s0 [s1, s0 [s1, s1]]]", "", "[s0 [s1]]"]),
    "row logsumexp": (0, 0, ["[s0 [s1, s1, s1]]"]),
    "kinematic chain": (0, 55, ["", "[s0]"]),
    "softmax energy": (0, 6, ["[s1 [s0]]", "[s0]", "[s1]", "", "[s0, s1 [s0]]", "[s0]"]),
    "six variables": (0, 0, ["[s0]"]),
    "attention": (4, 3, ["[s2 [s5]]", "[floordiv(s2, 16) [s1 [16]], s1 [-16*floordiv(s2, 16) + s2]]",
                         "[s0 [s2, s2]]", "[s2, s0 [s2]]", "[s0 [s5]]", "[s0 [s2, s2]]", "[s2 [s5]]"]),
}


def arguments_of(name: str, n: int = 40) -> list[Any]:
    return WORKLOADS[name].arguments(np.random.default_rng(0), n)


def decorated(name: str) -> Any:
    return grad(wrt=WORKLOADS[name].wrt)(WORKLOADS[name].function)


def program_of(name: str, function: Any = None, n: int = 40) -> Program:
    """The program for value and gradient."""
    function = decorated(name) if function is None else function
    arguments = arguments_of(name, n)
    function.value_and_grad(*arguments)
    program: Program = function.trace(*arguments)._execution("value_and_gradient").program
    return program


def loads(program: Program, buffer: str) -> int:
    return sum(isinstance(s, Load) and s.buffer == buffer for k in program.kernels for s in walk(k.body))


def passes(program: Program, buffer: str) -> int:
    """How many outermost loops read a buffer."""
    return sum(any(isinstance(s, Load) and s.buffer == buffer for s in walk((loop,)))
               for k in program.kernels for loop in k.body if isinstance(loop, Loop))


@pytest.mark.parametrize("name", WORKLOADS)
def test_products_temporaries_and_loops(name: str) -> None:
    function = decorated(name)
    program = program_of(name, function)
    inside = [m.step for s in program.steps if isinstance(s, RowBlocks) for m in s.members]
    products = sum(isinstance(s, Product) for s in (*program.steps, *inside))
    assert not any(isinstance(s, CallStep) for s in program.steps)
    assert (products, len(program.temporaries), [loops_of(k) for k in program.kernels]) == EXPECTED[name]
    assert function.stats.kernels == len(program.steps) + sum(len(s.copies) for s in program.steps if isinstance(s, RowBlocks))
    assert function.stats.boundaries == program.scheduled.boundaries
    assert len(function.stats.boundaries) == len(program.steps) - 1


@pytest.mark.parametrize(("name", "op", "count"), [
    ("logistic", "sigmoid", 1), ("logistic", "softplus", 1), ("row logsumexp", "exp", 1), ("row logsumexp", "log", 1),
    ("black-scholes", "exp", 3), ("black-scholes", "erfc", 2), ("black-scholes", "log1p", 1), ("black-scholes", "log", 0),
    ("six variables", "exp", 1),
    ("six variables", "sin", 1), ("six variables", "cos", 1), ("six variables", "hypot", 1), ("six variables", "log1p", 1),
    ("perceptron", "exp", 1), ("perceptron", "log", 1), ("attention", "exp", 1),
])
def test_dear_values_are_computed_once(name: str, op: str, count: int) -> None:
    assert sum(isinstance(s, Let) and s.op == op for k in program_of(name).kernels for s in walk(k.body)) == count


def test_each_input_is_read_in_one_pass() -> None:
    assert passes(program_of("logistic"), "X") == 1
    for name in ("polynomial", "black-scholes", "six variables"):
        program = program_of(name)
        for buffer in program.kernels[0].buffers:
            assert buffer.written or loads(program, buffer.name) == 1


def test_pairs_and_rows_have_no_memory_of_their_own() -> None:
    """Beside coordinates and forces there are copies of coordinates, and forces and energies of half of the pairs and of the others."""
    program = program_of("lennard-jones")
    shapes = [b.shape for b in program.record.buffers if b.name in program.temporaries]
    points = program.graph.inputs[0].shape
    assert sorted(map(str, shapes)) == sorted(map(str, [(), (), points, points, points]))
    program = program_of("row logsumexp")
    assert program.temporaries == []
    stored = [s.buffer for k in program.kernels for s in walk(k.body) if isinstance(s, Store)]
    assert stored == ["out1", "out1", "out0"]  # the exponentials are where the softmax will be


def test_sums_of_opposite_pairs_are_not_computed_twice() -> None:
    """A pair is met once, and its force is added to both of its points; coordinates are unrolled, and lie column by column."""
    (_, main, _, _) = program_of("lennard-jones").kernels
    assert main.variant is not None
    assert main.variant.sizes == (("s1", 3),)
    loops = [s for s in walk(main.variant.body) if isinstance(s, Loop)]
    inner = loops[-1]
    assert len(loops) == 3  # the forces are set to zero first
    assert [c.dtype for c in inner.carried] == [np.dtype(np.float64)] * 5  # energies of pairs and of a point itself, three components
    sums = [s for s in inner.body if isinstance(s, Let) and s.target in {c.update for c in inner.carried}]
    assert all(s.reassociate for s in sums)
    assert not any(s.reassociate for s in inner.body if isinstance(s, Let) and s not in sums)
    assert sum(isinstance(s, StoreAdd) for s in inner.body) == 3
    peeled = peel(inner, {s.target: s.index for s in walk(main.variant.body) if isinstance(s, Convert)})
    assert peeled is not None
    half, itself, rest = peeled.segments
    assert sum(isinstance(s, StoreAdd) for s in half.body) == 3
    assert itself.length == 1
    assert {s.op for s in rest.body if isinstance(s, Let)} == {"add"}  # of zeros
    assert not any(isinstance(s, StoreAdd | Load) for s in rest.body)


@pytest.mark.parametrize("name", [n for n in WORKLOADS if n not in ("two numbers", "kinematic chain", "softmax energy")])
def test_another_size_compiles_nothing(name: str) -> None:
    function = decorated(name)
    for n in (40, 41, 67, 8):
        function.value_and_grad(*arguments_of(name, n))
    assert (function.stats.compiles, function.stats.traces) == (1, 1)
    assert function.stats.specialisations == []


@pytest.mark.parametrize("name", WORKLOADS)
def test_results_are_those_of_the_interpreter(name: str) -> None:
    program = program_of(name)
    for n in (8, 67):
        arguments = arguments_of(name, n)
        tolerance = 2e-4 if any(getattr(a, "dtype", None) == np.float32 for a in arguments) else 1e-10
        for result, expected in zip(program.run(arguments), interpret.run(program.graph, arguments), strict=True):
            np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance * np.max(np.abs(expected), initial=1))


def backwards(tasks: Sequence[Callable[[], None]]) -> None:
    for task in reversed(tasks):
        task()


@pytest.mark.parametrize(("name", "n"), [("logistic", 9001), ("lennard-jones", 701), ("row logsumexp", 4001), ("perceptron", 2001),
                                         ("rosenbrock", 200_003), ("six variables", 50_001)])
def test_threads_do_not_change_a_bit(name: str, n: int) -> None:
    program = program_of(name)
    arguments = arguments_of(name, n)
    for result, expected in zip(program.run_steps(arguments, backwards), program.run(arguments), strict=True):
        assert result.tobytes() == expected.tobytes()


def test_what_is_placed_element_by_element_is_computed_once() -> None:
    def joints(q: Any) -> Any:
        x, y = 1.0, 0.0
        for k in range(6):
            c, s = np.cos(q[k]), np.sin(q[k])
            x, y = c * x - s * y + 0.1, s * x + c * y
        return x**2 + y

    f = grad(joints)
    f.grad(np.linspace(0, 1, 6))
    (program,) = [e.program for p in f._programs.values() for _, e in p[0].executions()]
    (kernel,) = program.kernels
    ops = Counter(s.op for s in walk(kernel.body) if isinstance(s, Let))
    (loop,) = [s for s in kernel.body if isinstance(s, Loop)]
    assert (ops["sin"], ops["cos"]) == (6, 6)
    assert {s.op for s in loop.body if isinstance(s, Let)} <= {"lt", "ge", "and_", "where", "add"}  # the loop only puts them in place
