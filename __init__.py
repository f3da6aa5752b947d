"""A symbolic-differentiation compiler for NumPy-style Python, with PyTorch's `.grad` semantics.

Nothing is imported before it is used: a public name is looked up in the table below on first access.
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what type checkers and editors see; a test keeps it equal to the table
    from . import (
        autograd as autograd,
        func as func,
        linalg as linalg,
        nn as nn,
        optim as optim,
        special as special,
        testing as testing,
    )
    from .compiler.cache import cache as cache
    from .compiler.errors import (
        ArgumentError as ArgumentError,
        ChainruleError as ChainruleError,
        DifferentiationError as DifferentiationError,
        DTypeError as DTypeError,
        IndexingError as IndexingError,
        InternalError as InternalError,
        LoweringError as LoweringError,
        NotYetError as NotYetError,
        ShapeError as ShapeError,
        TraceError as TraceError,
        UnrolledLoopWarning as UnrolledLoopWarning,
    )
    from .compiler.native import memory as memory
    from .runtime.expressions import (
        ParseError as ParseError,
        from_sympy as from_sympy,
        parse as parse,
    )
    from .runtime.function import (
        GradFunction as GradFunction,
        check_grad as check_grad,
        checkpoint as checkpoint,
        cond as cond,
        custom_jvp as custom_jvp,
        custom_vjp as custom_vjp,
        grad as grad,
        hessian as hessian,
        jacobian as jacobian,
        jvp as jvp,
        scan as scan,
        spec as spec,
        stop_gradient as stop_gradient,
        value_and_grad as value_and_grad,
        vjp as vjp,
        vmap as vmap,
        while_loop as while_loop,
    )
    from .runtime.function.accuracy import (
        Accuracy as Accuracy,
        accuracy as accuracy,
    )
    from .runtime.threads import (
        get_num_threads as get_num_threads,
        set_num_threads as set_num_threads,
    )

__version__ = "0.1.0"

# public name: (module, attribute)
_PUBLIC: dict[str, tuple[str, str]] = {
    "cache": ("compiler.cache", "cache"),
    "ArgumentError": ("compiler.errors", "ArgumentError"),
    "ChainruleError": ("compiler.errors", "ChainruleError"),
    "DifferentiationError": ("compiler.errors", "DifferentiationError"),
    "DTypeError": ("compiler.errors", "DTypeError"),
    "IndexingError": ("compiler.errors", "IndexingError"),
    "InternalError": ("compiler.errors", "InternalError"),
    "LoweringError": ("compiler.errors", "LoweringError"),
    "NotYetError": ("compiler.errors", "NotYetError"),
    "ShapeError": ("compiler.errors", "ShapeError"),
    "TraceError": ("compiler.errors", "TraceError"),
    "UnrolledLoopWarning": ("compiler.errors", "UnrolledLoopWarning"),
    "memory": ("compiler.native", "memory"),
    "ParseError": ("runtime.expressions", "ParseError"),
    "Accuracy": ("runtime.function.accuracy", "Accuracy"),
    "GradFunction": ("runtime.function", "GradFunction"),
    "accuracy": ("runtime.function.accuracy", "accuracy"),
    "check_grad": ("runtime.function", "check_grad"),
    "checkpoint": ("runtime.function", "checkpoint"),
    "cond": ("runtime.function", "cond"),
    "custom_jvp": ("runtime.function", "custom_jvp"),
    "custom_vjp": ("runtime.function", "custom_vjp"),
    "from_sympy": ("runtime.expressions", "from_sympy"),
    "grad": ("runtime.function", "grad"),
    "hessian": ("runtime.function", "hessian"),
    "jacobian": ("runtime.function", "jacobian"),
    "jvp": ("runtime.function", "jvp"),
    "parse": ("runtime.expressions", "parse"),
    "scan": ("runtime.function", "scan"),
    "spec": ("runtime.function", "spec"),
    "stop_gradient": ("runtime.function", "stop_gradient"),
    "value_and_grad": ("runtime.function", "value_and_grad"),
    "vjp": ("runtime.function", "vjp"),
    "vmap": ("runtime.function", "vmap"),
    "while_loop": ("runtime.function", "while_loop"),
    "get_num_threads": ("runtime.threads", "get_num_threads"),
    "set_num_threads": ("runtime.threads", "set_num_threads"),
}
# submodules that `import chainrule` alone makes reachable, as in `chainrule.<name>.<function>`
_SUBMODULES: tuple[str, ...] = ("autograd", "func", "linalg", "nn", "optim", "special", "testing")

if not TYPE_CHECKING:  # hidden from type checkers, to which it would make every misspelt name an Any

    def __getattr__(name: str) -> object:
        if name in _PUBLIC:
            module, attribute = _PUBLIC[name]
            value = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
        elif name in _SUBMODULES:
            value = importlib.import_module(f"{__name__}.{name}")
        elif name.startswith("_"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        else:  # torch's names
            api = importlib.import_module(f"{__name__}.runtime.tensor.api")
            try:
                value = getattr(api, name)
            except AttributeError:
                raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name) from None
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    torch_names = importlib.import_module(f"{__name__}.runtime.tensor.api").__all__
    return sorted({*(name for name in globals() if name.startswith("__")), *_PUBLIC, *_SUBMODULES, *torch_names})
