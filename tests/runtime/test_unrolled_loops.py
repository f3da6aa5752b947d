"""The warning that a Python loop became a large program, and that tracing such programs takes linear time."""
import sys
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import grad
from chainrule.compiler.ir import constant, current, make
from chainrule.compiler.provenance import Site
from chainrule.runtime.function import unrolled


@pytest.fixture(autouse=True)
def nothing_warned_of(monkeypatch):
    monkeypatch.setattr(unrolled, "_warned", set())


def decay(x, steps):
    c = x
    for _ in range(steps):
        c = c * 0.99 + x * np.tanh(c)  # the line
    return c


LINE = decay.__code__.co_firstlineno + 3


def test_a_large_unrolled_loop_is_named_with_its_line_and_its_operations():
    with pytest.warns(cr.UnrolledLoopWarning) as caught:
        grad(lambda x: decay(x, 1000) * 2.0).trace(0.5)
    (warning,) = caught
    assert (warning.filename, warning.lineno) == (__file__, LINE)
    text = str(warning.message)
    assert text.startswith("this line made 4,000 of the 4,001 operations of <lambda> (at test_unrolled_loops.py:")
    assert "whole arrays" in text


def test_it_comes_once_for_each_line():
    with pytest.warns(cr.UnrolledLoopWarning):
        grad(lambda x: decay(x, 600)).trace(0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f = grad(lambda x: decay(x, 700))
        f.trace(0.5)
        f.trace(np.ones(3))
    with pytest.warns(cr.UnrolledLoopWarning) as caught:
        grad(lambda x: sum(np.sin(x + k) for k in range(1000))).trace(0.5)
    assert caught[0].lineno != LINE


def test_as_an_error_it_comes_every_time():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            with pytest.raises(cr.UnrolledLoopWarning):
                grad(lambda x: decay(x, 600)).trace(0.5)


@pytest.mark.parametrize("steps", [1, 100, 499])
def test_small_programs_are_no_matter(steps):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grad(lambda x: decay(x, steps)).trace(0.5)


def straight(lines):
    """A function of so many lines, without a loop."""
    space = {}
    body = "".join(f"    c = c * 0.99 + {k % 7}.5 * y\n" for k in range(lines))
    exec(compile(f"def f(x, y):\n    c = x\n{body}    return c\n", "generated.py", "exec"), space)
    return space["f"]


def test_a_large_program_without_a_loop_is_no_matter():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f = grad(straight(1500))
        assert len(f.trace(0.5, 0.5).ir("traced")) > unrolled.LARGE


def test_a_constant_of_many_lines_keeps_few_of_them():
    for line in range(1000):
        current.sites = frozenset([Site("f.py", line)])
        try:
            node = constant(0.123456789, np.float64)
        finally:
            current.sites = frozenset()
    assert 0 < len(node.sites) < 50


def lines_run(work):
    """How many lines of Python ran: a measure of time that does not depend on the machine."""
    count = 0

    def local(frame, event, argument):
        nonlocal count
        count += 1
        return local

    before = sys.gettrace()
    sys.settrace(local)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("program", [
    lambda n: (lambda x: decay(x, n)),
    lambda n: straight(n),
], ids=["loop", "straight"])
@pytest.mark.filterwarnings("ignore::chainrule.UnrolledLoopWarning")
def test_tracing_takes_steps_in_proportion_to_the_operations(program):
    arguments = [0.5] * program(1).__code__.co_argcount
    small, medium, large = (lines_run(lambda n=n: grad(program(n)).trace(*arguments)) for n in (50, 200, 800))
    assert large - medium < 4.4 * (medium - small)


def test_keys_take_steps_in_proportion_to_the_operations():
    from chainrule.compiler.cache.key import _lines
    from chainrule.compiler.ir import Graph

    def chain(n):
        x = node = make("input", shape=(), dtype=np.dtype(float), position=0, name="x")
        for _ in range(n):
            node = node * 0.99 + x
        graph = Graph((x,), (node,))
        return lines_run(lambda: list(_lines(graph)))

    small, medium, large = map(chain, (50, 200, 800))
    assert large - medium < 4.4 * (medium - small)
