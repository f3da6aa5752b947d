"""The table of compiler/rewrite/README.md: bits of error of delicate formulas, here and in other libraries.

    python tests/bench/accuracy_table.py --write

Every library evaluates each formula as it is written, in float64, at the same points; what they are compared with has many
digits (chainrule.compiler.exact). Needs the extra `oracle`.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))
from delicate_formulas import FORMULAS, Delicate  # noqa: E402 - found only now

import chainrule as cr  # noqa: E402
from chainrule.compiler import exact  # noqa: E402
from chainrule.runtime.function.accuracy import bits_of_error, spread  # noqa: E402

PAGE = ROOT / "compiler" / "rewrite" / "README.md"
BEGIN, END = "<!-- accuracy: begin (written by tests/bench/accuracy_table.py) -->", "<!-- accuracy: end -->"
POINTS = 12
NAMES = ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log", "sqrt")
Evaluation = tuple[float, list[float]]

jax.config.update("jax_enable_x64", True)


def written(case: Delicate, module: Any, arccos: Any, arctan: Any) -> Callable[..., Any]:
    """The formula as a function with the functions of a library."""
    names = {name: getattr(module, name) for name in NAMES} | {"acos": arccos, "atan": arctan}
    made: Callable[..., Any] = eval(f"lambda {', '.join(case.ranges)}: {case.text}", names)  # a text of this repository
    return made


def by_chainrule(case: Delicate) -> Callable[..., Evaluation]:
    function = cr.parse(case.text, case.ranges)

    def evaluate(*point: float) -> Evaluation:
        value, pulled = function.value_and_grad(*point)
        return float(value), [float(g) for g in (pulled if isinstance(pulled, tuple) else (pulled,))]

    return evaluate


def by_jax(case: Delicate) -> Callable[..., Evaluation]:
    import jax.numpy as jnp

    function = jax.jit(jax.value_and_grad(written(case, jnp, jnp.arccos, jnp.arctan), argnums=tuple(range(len(case.ranges)))))

    def evaluate(*point: float) -> Evaluation:
        value, pulled = function(*point)
        return float(value), [float(g) for g in pulled]

    return evaluate


def by_torch(case: Delicate) -> Callable[..., Evaluation]:
    function = written(case, torch, torch.arccos, torch.arctan)

    def evaluate(*point: float) -> Evaluation:
        leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in point]
        value = function(*leaves)
        return value.item(), [g.item() for g in torch.autograd.grad(value, leaves)]

    return evaluate


LIBRARIES = {"chainrule": by_chainrule, "JAX": by_jax, "torch": by_torch}


def references(case: Delicate) -> list[tuple[tuple[float, ...], float, list[float]]]:
    """(point, value, derivatives) where there are real ones."""
    rng = np.random.default_rng(1)
    function = cr.parse(case.text, case.ranges)
    graph = function.trace(*[1.5] * len(case.ranges)).ir("traced")
    found = []
    for point in zip(*(spread(*span, POINTS, rng) for span in case.ranges.values()), strict=True):
        try:
            value, slopes = exact.settled(graph.outputs[0], graph.inputs, point)
        except exact.Undefined:
            continue
        found.append((point, float(value), [float(s) for s in slopes]))
    return found


def bits(evaluate: Callable[..., Evaluation], right: Sequence[tuple[tuple[float, ...], float, list[float]]]) -> tuple[float, float]:
    """Mean bits of error of value and gradient."""
    values, gradients = [], []
    for point, value, slopes in right:
        result, pulled = evaluate(*point)
        values.append(bits_of_error(result, value))
        gradients.append(np.mean([bits_of_error(a, b) for a, b in zip(pulled, slopes, strict=True)]))
    return float(np.mean(values)), float(np.mean(gradients))


def table() -> str:
    rows, totals = [], {name: [] for name in LIBRARIES}
    for case in FORMULAS:
        right = references(case)
        cells = []
        for name, make in LIBRARIES.items():
            pair = bits(make(case), right)
            totals[name].append(pair)
            cells.append(f"{pair[0]:.1f} / {pair[1]:.1f}")
        rows.append(f"| {case.name}: `{case.text.replace('|', chr(92) + '|')}` | {' | '.join(cells)} |")
    mean = [f"**{np.mean([v for v, _ in pairs]):.1f} / {np.mean([g for _, g in pairs]):.1f}**" for pairs in totals.values()]
    head = [f"| formula | {' | '.join(LIBRARIES)} |", f"| --- |{' ---: |' * len(LIBRARIES)}"]
    return "\n".join([*head, *rows, f"| **mean** | {' | '.join(mean)} |"])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--write", action="store_true", help="rewrite the table in compiler/rewrite/README.md")
    text = table()
    print(text)
    if arguments.parse_args().write:
        page = PAGE.read_text()
        before, rest = page.split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
