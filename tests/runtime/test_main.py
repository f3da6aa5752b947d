"""What `python -m chainrule` prints, and what its exit status says."""
import os
import subprocess
import sys

import numpy as np
import pytest

from chainrule.runtime import demonstration
from chainrule.runtime.demonstration import Differences, Example, disagreement, finite_differences, measure, with_unit
from chainrule.runtime.main import main

SHOWN = (  # in this order
    "polynomial, of two numbers", "x**2 * y + x * y", "x**2*y + x*y", "2*x*y + y", "x**2 + x", "def k0(",
    "cubic, of two vectors of 30", "3 * a**3 - b**2", "sum(3*a**3 - b**2)",
    "9*a**2", "-2*b", "def k0(", "for i0 in range(",
    "least_squares, of 30 rows of 8 numbers", "np.mean((X @ w + b - y) ** 2)", "mean((X @ w + b - y)**2)",
    "X.T @ (X @ w + b - y)", "2*mean(X @ w + b - y)", "def k0(",
    "first call", "later calls", "differences", "error",
    "import chainrule as torch", "tensor([-12.,  65.], grad_fn=<SubBackward0>)", "tensor([36., 81.])",
    "tensor([-12.,  -8.])",
    "x.grad = 15.0, y.grad = 6.0", "x.grad = 30.0, y.grad = 12.0",
    "Every gradient agrees with finite differences.",
)


def run(*arguments, **environment):
    return subprocess.run([sys.executable, "-m", "chainrule", *arguments], capture_output=True, timeout=300,
                          env={**os.environ, "NO_COLOR": "", "FORCE_COLOR": "", **environment})


def assert_in_order(text, parts):
    position = 0
    for part in parts:
        found = text.find(part, position)
        assert found >= 0, f"{part!r} is not in what follows:\n{text[position:]}"
        position = found + len(part)


@pytest.mark.parametrize("columns", [80, 120])
def test_it_shows_everything_and_succeeds(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["--size", "30"]) == 0
    printed = capsys.readouterr().out
    assert_in_order(printed, SHOWN)
    assert max(map(len, printed.splitlines())) <= columns
    assert "…" not in printed


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_log_gets_text_without_colours(encoding):
    done = run("--size", "30", "--seed", "7", COLUMNS="100", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr.decode()
    assert b"\x1b" not in done.stdout
    assert_in_order(done.stdout.decode(encoding), SHOWN)


@pytest.mark.parametrize("size", [1, 2, 3000])
def test_sizes(capsys, size):
    assert main(["--size", str(size), "--seed", "3"]) == 0
    assert f"two vectors of {size:,}" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "complaint"), [
    (["--size", "0"], "--size: 0 is not between 1 and"), (["--size", "2000000"], "--size: 2000000 is not between"),
    (["--size", "many"], "--size: invalid int value: 'many'"), (["--seed", "-1"], "--seed: -1 is negative"),
    (["--seed", "1.5"], "--seed: invalid int value: '1.5'"), (["--sise", "3"], "unrecognized arguments: --sise 3"),
])
def test_bad_options_are_named(capsys, arguments, complaint):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_wrong_gradient_is_named_and_fails(capsys, monkeypatch):
    right = demonstration.finite_differences

    def wrong(function, arguments, position, rng):
        found = right(function, arguments, position, rng)
        return found._replace(slopes=found.slopes * 1.001) if function is demonstration.cubic else found

    monkeypatch.setattr(demonstration, "finite_differences", wrong)
    assert main(["--size", "5"]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "Finite differences contradict: cubic, a.grad after 1 backward(), b.grad after 1 backward()." in printed
    assert "agrees" not in printed


def test_a_wrong_gradient_does_not_agree():
    class Wrong:
        def grad(self, x):
            return 3 * x**2 * np.array([1.0, 1.0, 1.0 + 1e-5])

    x = np.array([1.0, 2.0, 3.0])
    found = measure(Example(lambda x: np.sum(x**3), "three numbers", (x,), ("x",)), Wrong(), np.random.default_rng(0))
    assert not found.agrees
    assert found.error == pytest.approx(1e-5, rel=1e-2)


def test_differences_of_a_known_function():
    x, scale = np.array([[0.5, 1.0, 1.5], [2.0, 2.5, 3.0]]), 2.0
    found = finite_differences(lambda scale, x: scale * np.sum(np.sin(x)), (scale, x), 1, np.random.default_rng(0))
    assert found.elements == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    np.testing.assert_allclose(found.slopes, (scale * np.cos(x)).ravel(), rtol=0, atol=1e-9)


def test_many_elements_are_sampled(monkeypatch):
    monkeypatch.setattr(demonstration, "EVALUATED", 50_000)
    x = np.linspace(0, 1, 5000)
    found = finite_differences(lambda x: np.sum(x**2), (x,), 0, np.random.default_rng(0))
    assert len(found.elements) == len(set(found.elements)) == 10
    np.testing.assert_allclose(found.slopes, [2 * x[k] for k in found.elements], rtol=0, atol=1e-6)


@pytest.mark.parametrize("slope", [np.nan, np.inf, 1.01])
def test_nothing_but_the_slope_agrees(slope):
    differences = Differences([()], np.array([1.0]))
    assert disagreement(1.0, differences, value=3.0)[1]
    assert not disagreement(slope, differences, value=3.0)[1]


@pytest.mark.parametrize(("seconds", "text"), [
    (2.0, "2 s"), (0.9996, "1 s"), (0.0123456, "12.3 ms"), (5.4e-5, "54 us"), (3.2e-7, "320 ns"), (3600, "3600 s"),
])
def test_durations_have_a_unit(seconds, text):
    assert with_unit(seconds) == text
