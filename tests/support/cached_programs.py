"""Small programs for the disk cache's tests, which also run in processes of their own (`python -m cached_programs`)."""
from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import numpy as np

from chainrule.compiler import ops
from chainrule.compiler.cache import key
from chainrule.compiler.entry_spec import ArrayArgument, EntrySpec
from chainrule.compiler.ir import Graph, f, make
from chainrule.compiler.pipeline import Built, Request, build
from chainrule.compiler.sizes import Guard, symbol

assert ops.__all__
F8 = np.dtype(np.float64)
ENTRY = EntrySpec((ArrayArgument(0), ArrayArgument(1)), (0, 1))
GRADIENT = Request("gradient", (0, 1))
A, B = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])


def cubic(factor: float = 3.0, names: str = "ab", size: int = 5, guards: tuple[Guard, ...] = ()) -> Graph:
    """The program of sum(factor a^3 - b^2)."""
    n = symbol("s0")
    a, b = (make("input", shape=(n,), dtype=F8, position=k, name=name) for k, name in enumerate(names))
    return Graph((a, b), (f.sum(factor * (a * a * a) - b * b, axes=(0,)),), guards, {"s0": size})


def determinant() -> Graph:
    """The program of log|det x|, which is a routine between kernels."""
    n = symbol("s0")
    x = make("input", shape=(n, n), dtype=F8, position=0, name="x")
    return Graph((x,), (f.logabsdet(f.sin(x)),), (), {"s0": 3})


def picked() -> Graph:
    """The program of sum(x[k]^2), which checks the indices k."""
    n, m = symbol("s0"), symbol("s1")
    x = make("input", shape=(n,), dtype=F8, position=0, name="x")
    k = make("input", shape=(m,), dtype=np.dtype(np.int64), position=1, name="k")
    taken = make("gather", [x, k], axes=(0,))
    return Graph((x, k), (f.sum(taken * taken, axes=(0,)),), (), {"s0": 5, "s1": 2})


def unchanging() -> str:
    """In place of a hash of the sources, for tests that must not notice that somebody edits them."""
    return "sources"


def built() -> Built:
    """The gradient of the first program, with a call entry."""
    return build(cubic(), GRADIENT, entry=ENTRY)


def gradients(made: Built) -> list[list[float]]:
    """What its call entry gives."""
    assert made.program.entry is not None

    def refuse(*args: Any) -> Any:
        raise AssertionError("the slow path was called")

    return [g.tolist() for g in made.program.entry(refuse, "gradients")(A, B)]


def compile_together(barrier: Any) -> tuple[bool, list[list[float]]]:
    """Build at the same moment as other processes do."""
    key._sources = unchanging
    barrier.wait(60)
    made = built()
    return made.cached, gradients(made)


def main(what: str) -> None:
    """Do one thing in this process, and print what happened."""
    if what == "die":  # killed between writing an entry and giving it its name
        os.replace = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    made = built()
    loaded = [name for name in sys.modules if name.partition(".")[0] in ("numba", "sympy", "scipy")]
    passes = ("derivation", "schedule", "lower", "loopnest")
    derived = [name for name in passes if f"chainrule.compiler.{name}" in sys.modules]
    print(json.dumps({"cached": made.cached, "gradients": gradients(made), "loaded": loaded, "derived": derived}))


if __name__ == "__main__":
    main(sys.argv[1])
