"""SciPy's special functions in machine code: C functions of `scipy.special.cython_special`, called by their addresses.

Emitted code calls an external function whose symbol says which one it is and what it takes,

    chainrule.special.jv.dd.1       double jv(double, double)
    chainrule.special.airy.d.4      void airy(double, double *, double *, double *, double *)

and `provide` tells LLVM where that is, in any process that compiles or loads the code. SciPy is imported then, no sooner.
"""
from __future__ import annotations

import ctypes
import re
from functools import cache
from typing import Any

from .errors import LoweringError

__all__ = ["emit", "provide"]

PREFIX = "chainrule.special."
_TYPES = {"d": "double", "n": "Py_ssize_t"}
_PURE = ("nounwind", "willreturn", "memory(none)")


@cache
def _capsules() -> dict[str, dict[str, Any]]:
    """The capsules by the function's name, then by signature: there is one for each combination of types."""
    try:
        from scipy.special import cython_special
    except ImportError:
        return {}
    name_of = ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    found: dict[str, dict[str, Any]] = {}
    for name, capsule in cython_special.__pyx_capi__.items():
        plain = re.sub(r"^__pyx_fuse_\d+(_\d+)?", "", name)
        found.setdefault(plain, {})[name_of(capsule).decode()] = capsule
    return found


@cache
def provide(symbol: str) -> bool:
    """Have LLVM know the address of a symbol; whether SciPy has such a function."""
    import llvmlite.binding as llvm

    try:
        name, types, outputs = symbol.removeprefix(PREFIX).split(".")
        arguments = [_TYPES[t] for t in types]
        count = int(outputs)
    except (KeyError, ValueError):
        return False
    if not symbol.startswith(PREFIX):
        return False
    given = ", ".join([*arguments, *["double *"] * count] if count > 1 else [*arguments, "int __pyx_skip_dispatch"])
    signature = f"{'void' if count > 1 else 'double'} ({given})"
    capsule = _capsules().get(name, {}).get(signature)
    if capsule is None:
        return False
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = pointer(capsule, signature.encode())
    llvm.add_symbol(symbol, address)
    return bool(address)


def emit(builder: Any, spelling: str, args: Any) -> Any:
    """Emit a call: `jv dd`, or `airy d 0/4` for the first of four results.

    The function is one of doubles (d) and whole numbers (n); floats of another width are converted.

    Raises:
        LoweringError: this SciPy does not have it.
    """
    from llvmlite import ir

    name, types, *which = spelling.split(" ")
    place, count = map(int, which[0].split("/")) if which else (0, 1)
    symbol = f"{PREFIX}{name}.{types}.{count}"
    if not provide(symbol):
        raise LoweringError(f"this SciPy has no C function scipy.special.{name} of {types}; CHAINRULE_TIER=interpret does without")
    module, width = builder.module, args[0].type
    own = f"cr.special.{name}.{place}.{width}"
    function = module.globals.get(own)
    if function is None:
        # a function of its own, which LLVM knows to have no effects, also where results come by pointers
        function = ir.Function(module, ir.FunctionType(width, [a.type for a in args]), own)
        function.linkage = "internal"
        function.attributes.add("noinline")
        for attribute in _PURE:
            set.add(function.attributes, attribute)  # llvmlite's own add() refuses what it does not know
        inner = ir.IRBuilder(function.append_basic_block("entry"))
        inner.ret(_body(inner, ir, symbol, types, place, count, function.args))
    return builder.call(function, args)


def _body(inner: Any, ir: Any, symbol: str, types: str, place: int, count: int, args: Any) -> Any:
    double, single = ir.DoubleType(), args[0].type == ir.FloatType()
    wide = [inner.fpext(a, double) if single else a for a in args]
    given = [inner.fptosi(a, ir.IntType(64)) if t == "n" else a for a, t in zip(wide, types, strict=True)]
    if count > 1:
        results = [inner.alloca(double) for _ in range(count)]
        given, result = [*given, *results], ir.VoidType()
    else:
        given, result = [*given, ir.IntType(32)(0)], double
    module = inner.module
    external = module.globals.get(symbol) or ir.Function(module, ir.FunctionType(result, [a.type for a in given]), symbol)
    made = inner.call(external, given)
    made = inner.load(results[place]) if count > 1 else made
    return inner.fptrunc(made, args[0].type) if single else made
