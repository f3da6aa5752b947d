"""The same function under other libraries.

A workload is written once, in NumPy. JAX and torch get a copy of it in which the global name `np` means their namespace, and
arguments that were converted before the clock starts. What cannot be imported or compiled is left out, and the reason recorded.
"""
from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_harness import Call, Timing

Function = Callable[..., Any]
Build = Callable[[], Call]


def under(function: Function, **names: Any) -> Function:
    """A copy of a function with other globals. They belong to a module of their own, where torch.compile looks them up again."""
    module = types.ModuleType(f"{function.__module__}_under_{len(sys.modules)}")
    vars(module).update({**function.__globals__, **names, "__name__": module.__name__})
    sys.modules[module.__name__] = module
    return types.FunctionType(function.__code__, vars(module), function.__name__, function.__defaults__)


def _jax() -> tuple[Any, dict[str, Any]]:
    import jax
    import jax.scipy.special

    jax.config.update("jax_enable_x64", True)
    return jax, {"np": jax.numpy, "special": jax.scipy.special}


class _TorchNames:
    """torch under NumPy's names, as far as the workloads go."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.max = torch.amax

    def __getattr__(self, name: str) -> Any:
        return getattr(self.torch, name)


def torch_and_names() -> tuple[Any, dict[str, Any]]:
    """torch, and the names under which workloads find it."""
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # else its pool of processes runs on beside what is timed
    import torch

    return torch, {"np": _TorchNames(torch), "special": torch.special}


def jax_call(function: Function, args: Sequence[Any], transform: Callable[[Any, Function], Function]) -> Build:
    """jit(transform(jax, function)), waited for."""
    def build() -> Call:
        jax, names = _jax()
        compiled = jax.jit(transform(jax, under(function, **names)))
        return Call(lambda *given: jax.block_until_ready(compiled(*given)), *map(jax.numpy.asarray, args))

    return build


def torch_call(function: Function, args: Sequence[Any], transform: Callable[[Any, Function], Function], compiled: bool = False) -> Build:
    """transform(torch, function), where function is compiled, or not."""
    def build() -> Call:
        torch, names = torch_and_names()
        ours = under(function, **names)
        if compiled:
            torch._dynamo.reset()  # each size gets code of its own
            ours = torch.compile(ours, dynamic=False)
        # a copy: from_numpy would share, and a tensor that requires a gradient must be a leaf
        given = [torch.tensor(arg) if isinstance(arg, np.ndarray) else torch.tensor(arg, dtype=torch.float64) for arg in args]
        return Call(transform(torch, ours), *given)

    return build


def _torch_gradients(torch: Any, wrt: Sequence[int], value: Any, given: Sequence[Any], cotangent: Any = None) -> tuple[Any, ...]:
    return tuple(torch.autograd.grad(value, [given[k] for k in wrt], cotangent))


@dataclass
class Elsewhere:
    """Value and gradient by a library that needs an environment of its own (bench_elsewhere.py); not timed in turns with the others."""

    library: str
    function: Function
    args: Sequence[Any]
    wrt: Sequence[int]

    def run(self, python: str, seconds: float) -> tuple[list[np.ndarray], Timing]:
        """The results, and the time of a call, in a process of that interpreter."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            task = {"source": inspect.getsource(self.function), "name": self.function.__name__, "wrt": list(self.wrt)}
            (folder / "task.json").write_text(json.dumps(task))
            np.savez(folder / "arguments.npz", **{f"a{k}": arg for k, arg in enumerate(self.args)})
            command = [python, str(Path(__file__).with_name("bench_elsewhere.py")), self.library, name, str(seconds)]
            environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
            if done.returncode:
                raise RuntimeError(done.stderr.strip().splitlines()[-1])
            with np.load(folder / f"{self.library}.npz") as stored:
                results = [stored[key] for key in stored.files]
        return results, Timing(**json.loads(done.stdout.splitlines()[-1]))


def value_and_grad(function: Function, args: Sequence[Any], wrt: Sequence[int] | None = None) -> dict[str, Build | Elsewhere]:
    """Builders by name, for the value and the gradients of a scalar function of `args`."""
    chosen = tuple(range(len(args)) if wrt is None else wrt)

    def torch_transform(torch: Any, ours: Function) -> Function:
        def call(*given: Any) -> Any:
            for k in chosen:
                given[k].requires_grad_()
            value = ours(*given)
            return value, _torch_gradients(torch, chosen, value, given)

        return call

    return {"JAX": jax_call(function, args, lambda jax, ours: jax.value_and_grad(ours, argnums=chosen)),
            "torch": torch_call(function, args, torch_transform),
            "torch.compile": torch_call(function, args, torch_transform, compiled=True),
            "PyTensor": Elsewhere("PyTensor", function, args, chosen), "autograd": Elsewhere("autograd", function, args, chosen)}


def vjp(function: Function, args: Sequence[Any], cotangent: Any) -> dict[str, Build]:
    """Builders by name, for the gradients of an array-valued function, multiplied by a given cotangent."""
    def jax_transform(jax: Any, ours: Function) -> Function:
        return lambda ct, *given: jax.vjp(ours, *given)[1](ct)

    def torch_transform(torch: Any, ours: Function) -> Function:
        def call(ct: Any, *given: Any) -> Any:
            for arg in given:
                arg.requires_grad_()
            return _torch_gradients(torch, range(len(given)), ours(*given), given, ct)

        return call

    def with_cotangent(name: str) -> Build:
        # `under` copies the function alone, so the cotangent goes first and the function is the same
        if name == "JAX":
            return jax_call(function, [cotangent, *args], jax_transform)
        return torch_call(function, [cotangent, *args], torch_transform, compiled=name == "torch.compile")

    return {name: with_cotangent(name) for name in ("JAX", "torch", "torch.compile")}


def value(function: Function, args: Sequence[Any]) -> dict[str, Build]:
    """Builders by name, for the function itself."""
    def torch_transform(torch: Any, ours: Function) -> Function:
        return ours

    return {"JAX": jax_call(function, args, lambda jax, ours: ours),
            "torch": torch_call(function, args, torch_transform),
            "torch.compile": torch_call(function, args, torch_transform, compiled=True)}


def hessian(function: Function, args: Sequence[Any]) -> dict[str, Build]:
    """Builders by name, for the Hessian by the first argument."""
    def torch_transform(torch: Any, ours: Function) -> Function:
        return torch.func.hessian(ours)

    def compiled() -> Call:
        torch, names = torch_and_names()
        torch._dynamo.reset()
        given = list(map(torch.tensor, args))
        return Call(torch.compile(torch.func.hessian(under(function, **names)), dynamic=False), *given)

    return {"JAX": jax_call(function, args, lambda jax, ours: jax.hessian(ours)),
            "torch": torch_call(function, args, torch_transform),
            "torch.compile": compiled}


def casadi_calls(function: Function, args: Sequence[Any], wrt: Sequence[int]) -> dict[str, Build]:
    """Builders by name, for value and gradient compiled by CasADi's C generator: called with numbers, and on fixed buffers."""
    def build(fixed: bool) -> Call:
        import casadi

        symbols = [casadi.SX.sym(f"x{k}", np.size(arg)) for k, arg in enumerate(args)]
        result = under(function, np=_CasadiNames(casadi))(*symbols)
        gradients = [casadi.gradient(result, symbols[k]) for k in wrt]
        options = {"jit": True, "compiler": "shell", "jit_options": {"flags": ["-O3", "-march=native"], "verbose": False}}
        compiled = casadi.Function("f", symbols, [result, *gradients], options)
        if not fixed:
            return Call(compiled, *args)
        buffer, evaluate = compiled.buffer()
        given = [np.atleast_1d(np.asarray(arg, dtype=float)) for arg in args]
        results = [np.zeros(compiled.size_out(k)[0]) for k in range(compiled.n_out())]
        for k, arg in enumerate(given):
            buffer.set_arg(k, memoryview(arg))
        for k, result in enumerate(results):
            buffer.set_res(k, memoryview(result))
        return FixedCall(evaluate, results, keep=(buffer, given, compiled))

    return {"CasADi": lambda: build(False), "CasADi, fixed buffers": lambda: build(True)}


class FixedCall(Call):
    """A call without arguments that leaves its results in arrays."""

    def __init__(self, evaluate: Callable[[], None], results: list[np.ndarray], keep: Any) -> None:
        super().__init__(evaluate)
        run = self.run
        self.keep = keep
        self.run = lambda: (run(), results)[1]


class _CasadiNames:
    """CasADi under NumPy's names."""

    def __init__(self, casadi: Any) -> None:
        self.casadi = casadi

    def __getattr__(self, name: str) -> Any:
        return getattr(self.casadi, name)
