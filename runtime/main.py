"""`python -m chainrule`: the whole of it in one screen, on arrays of a chosen size.

Two functions of the autograd tutorial are traced, read as formulas, differentiated, compiled, timed against NumPy's finite
differences, and run again through Tensors whose `.grad` accumulates.
"""
from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def quadratic(a: Any, b: Any) -> Any:
    """The tutorial's Q = 3a^3 - b^2, summed so that it has a gradient."""
    return np.sum(3 * a**3 - b**2)


def polynomial(x: Any, y: Any) -> Any:
    """The tutorial's z = x^2 y + x y."""
    return x**2 * y + x * y


def least_squares(w: Any, b: Any, X: Any, y: Any) -> Any:
    """A linear model's mean squared error."""
    return np.mean((X @ w + b - y) ** 2)


def best_seconds(call: Callable[[], object], budget: float = 0.3) -> float:
    """The fastest of as many calls as fit into the budget (at least three)."""
    best, end, count = float("inf"), time.perf_counter() + budget, 0
    while count < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best, count = min(best, time.perf_counter() - start), count + 1
    return best


def finite_differences(function: Callable[..., Any], args: Sequence[Any], position: int, step: float = 1e-6) -> np.ndarray[Any, Any]:
    """Central differences of a scalar function in one of its arguments: two evaluations for each element."""
    x = np.array(args[position], dtype=np.float64)
    gradient = np.empty_like(x)
    for k in np.ndindex(x.shape):
        pair = []
        for sign in (1.0, -1.0):
            moved = x.copy()
            moved[k] += sign * step
            pair.append(function(*args[:position], moved, *args[position + 1:]))
        gradient[k] = (pair[0] - pair[1]) / (2 * step)
    return gradient


def scaled(seconds: float) -> str:
    """A duration with a unit that suits it."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1.0:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def show(console: Any, function: Callable[..., Any], args: Sequence[Any], wrt: Sequence[str]) -> None:
    """Formula, derivatives, kernel and timing of one function."""
    from rich.syntax import Syntax
    from rich.table import Table

    import chainrule

    compiled = chainrule.grad(wrt=tuple(wrt))(function)
    start = time.perf_counter()
    gradients = compiled.grad(*args)
    first = time.perf_counter() - start
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    names = list(function.__code__.co_varnames[: function.__code__.co_argcount])
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("value", str(compiled.formula))
    for name in wrt:
        table.add_row(f"d/d{name}", str(compiled.derivative(name)))
    console.print(table)
    console.print(Syntax(compiled.source("gradient").strip(), "python", theme="ansi_dark", background_color="default"))
    error = max(float(np.max(np.abs(finite_differences(function, args, names.index(name)) - g) / (np.abs(g) + 1.0)))
                for name, g in zip(wrt, gradients, strict=True))
    ours = best_seconds(lambda: compiled.grad(*args))
    theirs = best_seconds(lambda: [finite_differences(function, args, names.index(name)) for name in wrt])
    console.print(f"  compiled and run the first time in {scaled(first)}, then {scaled(ours)} a call; finite differences with NumPy: "
                  f"{scaled(theirs)} ({theirs / ours:,.0f} times as long), largest relative difference {error:.0e}\n")


def show_tensors(console: Any) -> None:
    """The same through Tensors, as the tutorial does it."""
    import chainrule as torch

    a = torch.tensor([2.0, 3.0], requires_grad=True)
    b = torch.tensor([6.0, 4.0], requires_grad=True)
    q = 3 * a**3 - b**2
    q.backward(gradient=torch.tensor([1.0, 1.0]))
    console.print(f"  Q = 3 * a**3 - b**2 = {q}", highlight=False, markup=False)
    console.print(f"  Q.backward(gradient=torch.tensor([1., 1.])): a.grad = {a.grad}, b.grad = {b.grad}", highlight=False, markup=False)
    x = torch.tensor(2.0, requires_grad=True)
    y = torch.tensor(3.0, requires_grad=True)
    for turn in ("once", "twice, and gradients accumulate"):
        (x**2 * y + x * y).backward()
        console.print(f"  z.backward() {turn}: x.grad = {x.grad}, y.grad = {y.grad}", highlight=False, markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; the exit status is 0 when every gradient agreed with finite differences."""
    parser = argparse.ArgumentParser(prog="python -m chainrule", description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=200, metavar="N", help="elements of the vectors and rows of the data")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers that fill them")
    options = parser.parse_args(arguments)
    if options.size < 1:
        parser.error(f"--size must be at least 1, not {options.size}")
    from rich.console import Console

    console, rng = Console(), np.random.default_rng(options.seed)
    n, columns = options.size, 8
    X = rng.normal(size=(n, columns))
    console.rule("z = x**2 * y + x*y, of two numbers")
    show(console, polynomial, (2.0, 3.0), ("x", "y"))
    console.rule(f"sum(3 * a**3 - b**2), of vectors of {n}")
    show(console, quadratic, (rng.normal(size=n), rng.normal(size=n)), ("a", "b"))
    console.rule(f"mean((X @ w + b - y)**2), of {n} rows of {columns}")
    show(console, least_squares, (rng.normal(size=columns), 0.5, X, rng.normal(size=n)), ("w", "b"))
    console.rule("the same through Tensors: import chainrule as torch")
    show_tensors(console)
    return 0
