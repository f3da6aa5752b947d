"""Value and gradient by PyTensor or autograd, in an environment of its own: `python bench_elsewhere.py LIBRARY FOLDER SECONDS`.

PyTensor holds numba back at an older release than chainrule needs, so the two cannot share a process. FOLDER has the function's
source, its arguments, and which of them are differentiated; the results go there, and the seconds of a call to standard output.
"""
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np


def with_pytensor(source, name, args, wrt):
    import pytensor
    import pytensor.tensor as pt

    symbols = [pt.as_tensor_variable(arg).type() for arg in args]
    space = {"np": pt, "special": pt}
    exec(source, space)
    value = space[name](*symbols)
    compiled = pytensor.function(symbols, [value, *pytensor.grad(value, [symbols[k] for k in wrt])])
    return lambda: compiled(*args)


def with_autograd(source, name, args, wrt):
    import autograd
    import autograd.numpy
    import autograd.scipy.special

    space = {"np": autograd.numpy, "special": autograd.scipy.special}
    exec(source, space)
    compiled = autograd.value_and_grad(space[name], argnum=wrt)

    def call():
        value, gradients = compiled(*args)
        return [value, *gradients]

    return call


def main(library, folder, seconds):
    task = json.loads((folder / "task.json").read_text())
    with np.load(folder / "arguments.npz") as stored:
        args = [stored[f"a{k}"] for k in range(len(stored.files))]
    make = {"PyTensor": with_pytensor, "autograd": with_autograd}[library]
    call = make(task["source"], task["name"], args, tuple(task["wrt"]))
    np.savez(folder / f"{library}.npz", *call())
    call()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    print(json.dumps({"median": statistics.median(times), "min": min(times), "turns": len(times)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
