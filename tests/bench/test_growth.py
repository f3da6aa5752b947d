"""How the time of every compile stage grows with the size of the program: none should grow faster than n log n.

Sizes grow until one takes too long; the largest three are shown. The goal is depth 256 and 100,000 operations.
"""
import json
import math
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.bench
LONGEST_SECONDS, ENOUGH_SECONDS = 60, 30

CHAIN = """
def program(size):
    def f(e):
        for _ in range(size):
            e = np.sin(e) * e
        return e
    return f, (0.5,)
"""
UNROLLED = """
def program(size):
    def f(x, c):
        for _ in range(size // 4):
            x = x + c * np.sin(x) * 0.5
        return x
    return f, (0.5, 0.1)
"""
MEASURE = """
import json, sys, time
import numpy as np
from chainrule import grad
{program}
small, args = program(4)
grad(small, wrt=(0,)).grad(*args)
f, args = program(int(sys.argv[1]))
f = grad(f, wrt=(0,))
started = time.perf_counter()
f.grad(*args)
print(json.dumps(dict(f.stats.seconds, total=time.perf_counter() - started)))
"""


def stages(program, size):
    """Seconds by stage in a fresh process without the disk cache, or None if it takes too long."""
    environment = {**os.environ, "CHAINRULE_CACHE": "0", "CHAINRULE_VERIFY": "0"}
    command = [sys.executable, "-c", MEASURE.replace("{program}", program), str(size)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def exponent(sizes, seconds):
    """The slope of a line through (log size, log seconds), by least squares."""
    x, y = ([math.log(max(value, 1e-6)) for value in values] for values in (sizes, seconds))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)


@pytest.mark.parametrize(("name", "program", "sizes"), [
    ("nested sin(e) * e, depth", CHAIN, [64, 256, 1024]),
    ("unrolled loop, nodes", UNROLLED, [1000, 3000, 10_000, 30_000, 100_000]),
])
def test_growth(bench, name, program, sizes):
    measured = {}
    for size in sizes:
        found = stages(program, size)
        if found is None:
            break
        measured[size] = found
        if found["total"] > ENOUGH_SECONDS:
            break
    assert len(measured) >= 3, f"only sizes {sorted(measured)} took less than {LONGEST_SECONDS} s"
    largest = sorted(measured)[-3:]
    for stage, longest in measured[largest[-1]].items():
        if longest < 1e-3:
            continue  # noise
        seconds = [measured[size].get(stage, 0.0) for size in largest]
        bench.record("growth", {"name": f"{name}: {stage}", "sizes": largest, "seconds": seconds, "exponent": exponent(largest, seconds)})
