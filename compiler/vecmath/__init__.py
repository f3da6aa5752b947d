"""Elementary functions as branch-free LLVM IR that the loop vectoriser turns into vector code.

    value = emit("exp", builder, x)

writes a call of an internal function `cr.exp.f64` (made once per module, always inlined). The code is scalar; in a loop it
becomes vector code of whatever width the machine has, and each element has the same bits wherever it falls: in the
vector body, in the scalar tail, in any split over threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core import Value


@dataclass(frozen=True)
class Function:
    """One function of the table.

    Attributes:
        name: name for `emit`.
        arity: number of arguments, all of one float type.
        family: module of this package that has the emitter, a function of the same name.
        ulp64, ulp32: bound of the error in units in the last place, for float64 and float32; measured against mpmath
            (the tests hold them), not proved.
        source: where the method is described.
        vectorisable: whether a loop over it becomes vector code.
    """

    name: str
    arity: int
    family: str
    ulp64: float
    ulp32: float
    source: str
    vectorisable: bool = True

    @cached_property
    def emitter(self) -> Callable[..., Value]:
        """From `Value` arguments to a `Value`; loads llvmlite."""
        emitter: Callable[..., Value] = getattr(import_module(f".{self.family}", __name__), self.name)
        return emitter


class _Table(Mapping[str, Function]):
    def __init__(self, *functions: Function) -> None:
        self._by_name = {function.name: function for function in functions}

    def __getitem__(self, name: str) -> Function:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


_MULLER = "Muller, Elementary Functions"
_FDLIBM = "fdlibm, own coefficients"

FUNCTIONS: Mapping[str, Function] = _Table(
    Function("exp", 1, "exponential", 1.0, 1.05, f"{_MULLER}, 11.1"),
    Function("log", 1, "logarithm", 0.9, 0.9, f"{_FDLIBM} (e_log.c)"),
    Function("expm1", 1, "exponential", 1.1, 1.1, f"{_MULLER}, 11.1"),
    Function("log1p", 1, "logarithm", 0.9, 0.9, f"{_FDLIBM} (s_log1p.c)"),
    Function("tanh", 1, "hyperbolic", 1.5, 1.5, "e/(e + 2), e = expm1(2x)"),
    Function("sin", 1, "trigonometric", 1.0, 1.0, f"{_MULLER}, 11.2; Payne and Hanek 1983"),
    Function("cos", 1, "trigonometric", 1.0, 1.0, f"{_MULLER}, 11.2; Payne and Hanek 1983"),
    Function("erf", 1, "error", 1.75, 1.5, "own minimax polynomials"),
)


def emit(name: str, builder: Any, *args: Any) -> Any:
    """Emit a call of the function `name` at `builder`, on LLVM values of type double or float, all the same.

    Returns the LLVM value of the result, of the same type. KeyError for an unknown name, TypeError for another type.
    """
    from llvmlite import ir

    from .core import Value, format_of

    function = FUNCTIONS[name]
    format = format_of(args[0].type)
    if len(args) != function.arity or any(argument.type != args[0].type for argument in args):
        raise TypeError(f"{name} takes {function.arity} values of one type, not {[str(a.type) for a in args]}")
    symbol = f"cr.{name}.{format.name}"
    module = builder.module
    emitted = module.globals.get(symbol)
    if emitted is None:
        emitted = ir.Function(module, ir.FunctionType(format.float_type, [format.float_type] * function.arity), symbol)
        emitted.linkage = "internal"
        emitted.attributes.add("alwaysinline")
        emitted.attributes.add("nounwind")
        inner = ir.IRBuilder(emitted.append_basic_block("entry"))
        inner.ret(function.emitter(*(Value(inner, argument) for argument in emitted.args)).ir)
    return builder.call(emitted, args)
