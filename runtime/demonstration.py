"""What `python -m chainrule` shows: functions read as formulas, differentiated, compiled, checked and timed.

Three functions of NumPy code, two of them from the autograd tutorial, are traced, differentiated and compiled. Their
gradients are compared with central finite differences of the undecorated functions. Then the tutorial's two functions
run through Tensors, whose `.grad` accumulates.
"""
from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

__all__ = ["demonstrate"]

COLUMNS = 8  # of the data that the linear model is fitted to
STEP = 1e-5  # of finite differences: near the cube root of float64's epsilon, where truncation and rounding balance
EVALUATED = 400_000  # elements that the finite differences of one argument may evaluate, so that large sizes stay quick
FEWEST = 8  # elements of a gradient that are checked whatever that costs


def polynomial(x: Any, y: Any) -> Any:
    """The tutorial's z, of two numbers."""
    return x**2 * y + x * y


def cubic(a: Any, b: Any) -> Any:
    """The tutorial's Q, summed so that it has a gradient."""
    return np.sum(3 * a**3 - b**2)


def least_squares(w: Any, b: Any, X: Any, y: Any) -> Any:
    """A linear model's mean squared error."""
    return np.mean((X @ w + b - y) ** 2)


class Example(NamedTuple):
    """A function, the arguments it is called with, and those it is differentiated by."""

    function: Callable[..., Any]
    about: str
    arguments: tuple[Any, ...]
    wrt: tuple[str, ...]


class Differences(NamedTuple):
    """Central differences at some elements of an argument."""

    elements: list[tuple[int, ...]]
    slopes: np.ndarray[Any, Any]


class Measured(NamedTuple):
    """A gradient beside its finite differences.

    Attributes:
        first, each: seconds of the first call of `.grad` (which compiles) and of later ones.
        differences: seconds of finite differences of the whole gradient, estimated from the elements that were checked.
        error: the largest difference, relative to the largest slope (or to 1).
        agrees: whether the error is within what finite differences can tell.
    """

    name: str
    first: float
    each: float
    differences: float
    error: float
    agrees: bool


def finite_differences(function: Callable[..., Any], arguments: Sequence[Any], position: int,
                       rng: np.random.Generator) -> Differences:
    """Central differences in one argument: at all elements or, when they are many, at a sample of them."""
    x = np.array(arguments[position], dtype=np.float64)
    count = min(x.size, max(FEWEST, EVALUATED // max(x.size, 1)))
    chosen = np.sort(rng.choice(x.size, count, replace=False))
    elements = [tuple(int(k) for k in np.unravel_index(flat, x.shape)) for flat in chosen]
    slopes = np.empty(count)
    for k, element in enumerate(elements):
        ends = []
        for moved_by in (STEP, -STEP):
            moved = x.copy()
            moved[element] += moved_by
            ends.append(function(*arguments[:position], moved, *arguments[position + 1:]))
        slopes[k] = (ends[0] - ends[1]) / (2 * STEP)
    return Differences(elements, slopes)


def disagreement(gradient: Any, differences: Differences, value: float) -> tuple[float, bool]:
    """The largest difference relative to the largest slope (or to 1), and whether finite differences allow it."""
    given = np.array([np.asarray(gradient)[element] for element in differences.elements])
    scale = max(1.0, float(np.max(np.abs(differences.slopes))))
    error = float(np.max(np.abs(given - differences.slopes))) / scale
    rounding = 8 * np.finfo(np.float64).eps * abs(value) / STEP / scale
    return error, bool(error <= 1e-6 + rounding)  # False for nan


def fastest(call: Callable[[], object], budget: float = 0.2) -> float:
    """Seconds of the fastest of as many calls as fit into the budget (at least one)."""
    best, end = float("inf"), time.perf_counter() + budget
    while True:
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best


def measure(example: Example, compiled: Any, rng: np.random.Generator) -> Measured:
    """Gradient and finite differences of an example, compared and timed."""
    names = list(inspect.signature(example.function).parameters)
    start = time.perf_counter()
    gradients = compiled.grad(*example.arguments)
    first = time.perf_counter() - start
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    value = float(example.function(*example.arguments))
    worst, agrees, seconds = 0.0, True, 0.0
    for name, gradient in zip(example.wrt, gradients, strict=True):
        position = names.index(name)
        differences = finite_differences(example.function, example.arguments, position, rng)
        error, allowed = disagreement(gradient, differences, value)
        worst, agrees = float(np.maximum(worst, error)), agrees and allowed  # np.maximum keeps nan
        checked = fastest(partial(finite_differences, example.function, example.arguments, position, rng))
        seconds += checked * np.size(example.arguments[position]) / len(differences.elements)
    each = fastest(partial(compiled.grad, *example.arguments))
    return Measured(example.function.__name__, first, each, seconds, worst, agrees)


def with_unit(seconds: float) -> str:
    """A duration with the unit that suits it, in three digits."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 0.9995:
            return f"{float(f'{seconds * factor:.3g}'):g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


# ------------------------------------------------------------------------------------------------ what is printed
def heading(console: Any, text: str) -> None:
    """A line that opens a part."""
    console.print()
    console.rule(text, align="left")


def show_function(console: Any, example: Example, compiled: Any) -> None:
    """The function as it is written, its formula and derivatives, and the code generated for its gradient."""
    from rich.syntax import Syntax
    from rich.table import Table
    from rich.text import Text

    heading(console, f"{example.function.__name__}, of {example.about}")
    lines = Table(show_header=False, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    lines.add_column(style="bold", no_wrap=True)
    lines.add_column(overflow="fold")
    code = inspect.getsource(example.function).rpartition("return ")[2].strip()
    lines.add_row("NumPy", Text(code))
    lines.add_row("formula", Text(str(compiled.formula)))
    for name in example.wrt:
        lines.add_row(f"d/d{name}", Text(str(compiled.derivative(name))))
    console.print(lines)
    console.print(Text("gradient, as compiled", style="bold"))
    console.print(Syntax(compiled.source("gradient").strip(), "python", theme="ansi_dark", background_color="default"))


def show_measured(console: Any, results: Sequence[Measured]) -> None:
    """Times and differences in a table."""
    from rich.table import Table

    heading(console, "gradients: compiled, and by finite differences in NumPy")
    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for title in ("first call", "later calls", "differences", "faster", "error"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in results:
        ratio = row.differences / row.each
        table.add_row(row.name, with_unit(row.first), with_unit(row.each), with_unit(row.differences),
                      f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.1f} times", f"{row.error:.0e}")
    console.print(table)


def show_tensors(console: Any, rng: np.random.Generator) -> list[str]:
    """The tutorial's functions through Tensors; the names of the leaves whose `.grad` finite differences contradict."""
    from .tensor import api as torch

    wrong = []

    def plain(text: str, style: str | None = None) -> None:
        console.print(text, style=style, highlight=False, markup=False)

    def code(*lines: str) -> None:
        for text in lines:
            plain(f">>> {text}", "bold")

    def check(function: Callable[..., Any], calls: int, **leaves: Any) -> None:
        values = [leaf.detach().numpy().astype(np.float64) for leaf in leaves.values()]
        for position, (name, leaf) in enumerate(leaves.items()):
            once = finite_differences(function, values, position, rng)
            accumulated = Differences(once.elements, calls * once.slopes)
            if not disagreement(leaf.grad.numpy(), accumulated, float(function(*values)))[1]:
                wrong.append(f"{name}.grad after {calls} backward()")
        plain(", ".join(f"{name}.grad = {leaf.grad}" for name, leaf in leaves.items()))

    heading(console, "the same through Tensors: import chainrule as torch")
    a = torch.tensor([2.0, 3.0], requires_grad=True)
    b = torch.tensor([6.0, 4.0], requires_grad=True)
    code("a = torch.tensor([2., 3.], requires_grad=True)", "b = torch.tensor([6., 4.], requires_grad=True)",
         "Q = 3 * a**3 - b**2", "Q")
    Q = 3 * a**3 - b**2
    plain(str(Q))
    code("Q.backward(gradient=torch.tensor([1., 1.]))")
    Q.backward(gradient=torch.tensor([1.0, 1.0]))
    check(cubic, 1, a=a, b=b)
    x = torch.tensor(2.0, requires_grad=True)
    y = torch.tensor(3.0, requires_grad=True)
    code("x = torch.tensor(2., requires_grad=True)", "y = torch.tensor(3., requires_grad=True)")
    for calls, note in ((1, ""), (2, "  # again: gradients accumulate")):
        code(f"(x**2 * y + x * y).backward(){note}")
        polynomial(x, y).backward()
        check(polynomial, calls, x=x, y=y)
    return wrong


def demonstrate(size: int, seed: int) -> int:
    """Print the demonstration; 0 if every gradient agreed, 1 if one did not.

    Args:
        size: elements of the vectors, and rows of the linear model's data; at least 1.
        seed: of the random numbers that fill them; at least 0.
    """
    from rich.console import Console

    from .function import grad

    console, rng = Console(), np.random.default_rng(seed)
    data = rng.normal(size=(size, COLUMNS))
    vectors = (rng.normal(size=size), rng.normal(size=size))
    model = (rng.normal(size=COLUMNS), 0.5, data, rng.normal(size=size))
    examples = (
        Example(polynomial, "two numbers", (2.0, 3.0), ("x", "y")),
        Example(cubic, f"two vectors of {size:,}", vectors, ("a", "b")),
        Example(least_squares, f"{size:,} rows of {COLUMNS} numbers", model, ("w", "b")),
    )
    results = []
    for example in examples:
        compiled = grad(wrt=example.wrt)(example.function)
        results.append(measure(example, compiled, rng))
        show_function(console, example, compiled)
    show_measured(console, results)
    wrong = [row.name for row in results if not row.agrees] + show_tensors(console, rng)
    console.print()
    if wrong:
        console.print(f"Finite differences contradict: {', '.join(wrong)}.", style="bold red", highlight=False)
        return 1
    console.print("Every gradient agrees with finite differences.", style="bold green")
    return 0
