"""From the start of the interpreter to the first gradient, all imports included: with an empty and with a full cache."""
import os
import statistics
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.bench

CUBES = """
import numpy as np
from chainrule import grad

@grad
def f(a, b):
    return np.sum(3 * a**3 - b**2)

print(f.grad(np.ones(1000), np.ones(1000))[0][0])
"""
CHAIN = """
import numpy as np
from chainrule import grad

@grad(wrt=("q",))
def f(q, p0, p1, p2):
    x, y, z = 0.3, 0.0, 0.0
    for k in range(19, -1, -1):
        c, s = np.cos(q[k]), np.sin(q[k])
        if k % 3 == 0:
            x, y = c * x - s * y, s * x + c * y
        elif k % 3 == 1:
            y, z = c * y - s * z, s * y + c * z
        else:
            z, x = c * z - s * x, s * z + c * x
        x, z = x + 0.1, z + 0.05
    return (x - p0) ** 2 + (y - p1) ** 2 + (z - p2) ** 2

print(f.grad(np.linspace(0, 1, 20), 0.1, 0.2, 0.3)[0])
"""
JAX_HEAD = "import jax\njax.config.update('jax_enable_x64', True)\nimport jax.numpy as np\n"
CUBES_JAX = JAX_HEAD + """
f = jax.jit(jax.grad(lambda a, b: np.sum(3 * a**3 - b**2), argnums=(0, 1)))
print(float(f(np.ones(1000), np.ones(1000))[0][0]))
"""
DECORATOR, IMPORTS = '@grad(wrt=("q",))', "import numpy as np\nfrom chainrule import grad\n"
CHAIN_JAX = CHAIN.replace(IMPORTS, JAX_HEAD).replace(DECORATOR, "@jax.jit\n@jax.grad").replace("f.grad(", "f(")
CUBES_TORCH = """
import torch
a, b = (torch.ones(1000, dtype=torch.float64, requires_grad=True) for _ in range(2))
torch.sum(3 * a**3 - b**2).backward()
print(float(a.grad[0]))
"""
CHAIN_TORCH = (CHAIN.replace(IMPORTS, "import torch as np\n").replace(DECORATOR, "").partition("print")[0]
               + "q = np.linspace(0, 1, 20, dtype=np.float64, requires_grad=True)\n"
               "f(q, 0.1, 0.2, 0.3).backward()\nprint(float(q.grad[0]))\n")
PROGRAMS = {"W1": {"chainrule": CUBES, "JAX": CUBES_JAX, "torch": CUBES_TORCH},
            "W9": {"chainrule": CHAIN, "JAX": CHAIN_JAX, "torch": CHAIN_TORCH}}


def run(program, cache):
    """Seconds of a fresh process, and what it printed. Bytecode may be written, as it is where a package is installed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"CHAINRULE_CACHE": "1", "CHAINRULE_CACHE_DIR": str(cache), "CHAINRULE_VERIFY": "0",
                    "JAX_COMPILATION_CACHE_DIR": str(cache / "jax"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
                    "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH", ""), *sys.path[:1]]))}
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    return time.perf_counter() - started, done


@pytest.mark.parametrize("workload", PROGRAMS)
def test_start(bench, tmp_path, workload):
    printed = {}
    for name, program in PROGRAMS[workload].items():
        _, first = run(program, tmp_path / name / "bytecode")
        if "ModuleNotFoundError" in first.stderr and name != "chainrule":
            continue
        assert first.returncode == 0, first.stderr
        printed[name] = float(first.stdout)
        cold = [run(program, tmp_path / name / f"cold{round_}")[0] for round_ in range(3)]
        warm = [run(program, tmp_path / name / "cold0")[0] for _ in range(3)]
        bench.record("start", {"name": f"{workload}, {name}", "cold": statistics.median(cold), "warm": statistics.median(warm)})
    for name, value in printed.items():
        assert value == pytest.approx(printed["chainrule"], rel=1e-9), name
