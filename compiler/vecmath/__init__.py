"""Elementary functions as branch-free LLVM IR that the loop vectoriser turns into vector code.

    value = emit("exp", builder, x)

writes a call of an internal function `cr.exp.f64` (made once per module, always inlined). The code is scalar; in a loop
it becomes vector code of whatever width the machine has, and each element has the same bits wherever it falls: in the
vector body, in the scalar tail, in any split over threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Function:
    """One function of the table.

    Attributes:
        name: name for `emit`.
        arity: number of arguments, all of one type.
        family: module of this package which has the emitter for floats; "" if it is for integers only.
        ulp64, ulp32: bound of the error in units in the last place, for float64 and float32; measured against mpmath
            (the tests hold them), not proved. 0: exact.
        source: where the method is described.
        vectorisable: whether a loop of floats over it becomes vector code.
        on_integers: whether there is an emitter for integers, in the module `integer`.
        is_predicate: whether the result is an i1.
        on: emitters of the same module for machines that have a target's instructions, by its name in `target.FEATURES`.
    """

    name: str
    arity: int
    family: str
    ulp64: float
    ulp32: float
    source: str
    vectorisable: bool = True
    on_integers: bool = False
    is_predicate: bool = False
    on: Mapping[str, str] = field(default_factory=dict)

    def emitter(self, module: Any) -> Callable[..., Any]:
        """From `core.Value` arguments to a `Value` or `Bool`, for the machine of an LLVM module; loads llvmlite."""
        from .target import has

        name = next((name for target, name in self.on.items() if has(module, target)), self.name)
        emitter: Callable[..., Any] = getattr(import_module(f".{self.family}", __name__), name)
        return emitter

    @property
    def integer_emitter(self) -> Callable[..., Any]:
        """From a builder and LLVM integers to an LLVM value; loads llvmlite."""
        emitter: Callable[..., Any] = getattr(import_module(".integer", __name__), self.name)
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
    Function("exp2", 1, "exponential", 1.0, 1.05, f"{_MULLER}, 11.1"),
    Function("expm1", 1, "exponential", 1.1, 1.1, f"{_MULLER}, 11.1"),
    Function("exprel", 1, "exponential", 3.5, 3.5, "expm1(x) / x, exp(x/2)**2 / x"),
    Function("log", 1, "logarithm", 1.0, 0.9, f"{_FDLIBM} (e_log.c)", on={"avx512": "log_by_pieces"}),
    Function("log2", 1, "logarithm", 1.4, 1.4, f"{_FDLIBM} (e_log2.c)", on={"avx512": "log2_by_pieces"}),
    Function("log10", 1, "logarithm", 1.4, 1.5, f"{_FDLIBM} (e_log10.c)", on={"avx512": "log10_by_pieces"}),
    Function("log1p", 1, "logarithm", 1.0, 1.1, f"{_FDLIBM} (s_log1p.c)", on={"avx512": "log1p_by_pieces"}),
    Function("sigmoid", 1, "logarithm", 2.5, 2.5, "exp(-|x|) in numerator and denominator"),
    Function("softplus", 1, "logarithm", 2.0, 2.0, "max(x, 0) + log1p(exp(-|x|))"),
    Function("log_sigmoid", 1, "logarithm", 2.0, 2.0, "-softplus(-x)"),
    Function("logaddexp", 2, "logarithm", 2.0, 2.0, "max(x, y) + log1p(exp(-|x - y|))"),
    Function("sin", 1, "trigonometric", 2.25, 2.0, f"{_MULLER}, 11.2; Payne and Hanek 1983"),
    Function("cos", 1, "trigonometric", 2.25, 2.0, f"{_MULLER}, 11.2; Payne and Hanek 1983"),
    Function("tan", 1, "trigonometric", 2.5, 2.5, f"{_MULLER}, 11.2; Payne and Hanek 1983"),
    Function("sinc", 1, "trigonometric", 2.75, 2.5, "sin(x) / x"),
    Function("asin", 1, "inverse_trigonometric", 1.5, 1.5, f"{_FDLIBM} (e_asin.c)"),
    Function("acos", 1, "inverse_trigonometric", 1.5, 1.5, f"{_FDLIBM} (e_acos.c)"),
    Function("atan", 1, "inverse_trigonometric", 1.5, 1.75, f"{_FDLIBM} (s_atan.c)"),
    Function("atan2", 2, "inverse_trigonometric", 1.75, 1.75, f"{_FDLIBM} (s_atan.c)"),
    Function("sinh", 1, "hyperbolic", 2.0, 2.0, "DLMF 4.28.1 and 4.35.1, own coefficients"),
    Function("cosh", 1, "hyperbolic", 2.0, 2.0, "DLMF 4.28.2"),
    Function("tanh", 1, "hyperbolic", 1.5, 2.5, "-e/(e + 2), e = expm1(-2|x|)"),
    Function("sech_squared", 1, "hyperbolic", 3.5, 3.5, "4*e / (1 + e)**2, e = exp(-2|x|)"),
    Function("asinh", 1, "hyperbolic", 3.0, 3.0, "DLMF 4.37.16, with log1p"),
    Function("acosh", 1, "hyperbolic", 3.0, 3.0, "DLMF 4.37.19, with log1p"),
    Function("atanh", 1, "hyperbolic", 2.0, 2.0, "DLMF 4.37.24; the exponent of the quotient first"),
    Function("erf", 1, "error", 1.75, 1.5, "own minimax polynomials", on={"avx512": "erf_by_pieces"}),
    Function(
        "erfc", 1, "error", 5.0, 4.5, "Shepherd and Laframboise 1981, own coefficients", on={"avx512": "erfc_by_pieces"}
    ),
    Function("erfcx", 1, "error", 5.0, 4.5, "erfc without its exponential; DLMF 7.12.1"),
    Function("erfinv", 1, "error", 4.0, 4.0, "Giles 2010, own coefficients"),
    Function("lgamma", 1, "gamma", 8.0, 8.0, "DLMF 5.11.1"),
    Function("digamma", 1, "gamma", 8.0, 8.0, "DLMF 5.11.2"),
    Function("pow", 2, "power", 1.5, 1.0, f"{_MULLER}, 11.4"),
    Function("cbrt", 1, "power", 1.0, 1.0, "1/cbrt from the bit pattern, refined"),
    Function("hypot", 2, "arithmetic", 1.5, 1.5, "scaled sum of squares", on={"avx512": "hypot_by_estimate"}),
    Function("cathetus", 2, "arithmetic", 2.0, 2.0, "difference times sum, scaled"),
    Function("rsqrt", 1, "arithmetic", 1.5, 1.5, "1/sqrt(x)"),
    Function("product_error", 2, "arithmetic", 0.0, 0.0, "fma (Dekker 1971)"),
    Function("sum_error", 2, "arithmetic", 0.0, 0.0, "Knuth, TAOCP volume 2, 4.2.2"),
    Function("square", 1, "arithmetic", 0.5, 0.5, "one product", on_integers=True),
    Function("reciprocal", 1, "arithmetic", 0.5, 0.5, "one quotient"),
    Function("fmod", 2, "arithmetic", 0.0, 0.0, "fma; libm's fmod for huge quotients", on_integers=True),
    Function("remainder", 2, "arithmetic", 0.5, 0.5, "NumPy's npy_divmod, from fmod", on_integers=True),
    Function("floor_divide", 2, "arithmetic", 0.5, 0.5, "NumPy's npy_divmod, from fmod", on_integers=True),
    Function("maximum", 2, "arithmetic", 0.0, 0.0, "NaN if one is"),
    Function("minimum", 2, "arithmetic", 0.0, 0.0, "NaN if one is"),
    Function("sign", 1, "arithmetic", 0.0, 0.0, "np.sign", on_integers=True),
    Function("isnan", 1, "arithmetic", 0.0, 0.0, "a comparison", is_predicate=True),
    Function("isinf", 1, "arithmetic", 0.0, 0.0, "a comparison", is_predicate=True),
    Function("isfinite", 1, "arithmetic", 0.0, 0.0, "a comparison", is_predicate=True),
    Function("trunc_divide", 2, "", 0.0, 0.0, "C99 6.5.5; 0 for a divisor of 0", on_integers=True),
    Function("ipow", 2, "", 0.0, 0.0, "repeated squaring (a loop)", on_integers=True),
    Function("abs", 1, "", 0.0, 0.0, "select", on_integers=True),
    Function("imaximum", 2, "", 0.0, 0.0, "select", on_integers=True),
    Function("iminimum", 2, "", 0.0, 0.0, "select", on_integers=True),
    Function("shift_left", 2, "", 0.0, 0.0, "NumPy's npy_lshift", on_integers=True),
    Function("shift_right", 2, "", 0.0, 0.0, "NumPy's npy_rshift", on_integers=True),
)


def emit(name: str, builder: Any, *args: Any, inline: bool = True) -> Any:
    """Emit a call of the function `name` at `builder`.

    Args:
        name: a name in `FUNCTIONS`.
        builder: an `llvmlite.ir.IRBuilder`, positioned where the call shall be.
        args: LLVM values, all of type double, or float, or one integer type (signed) where the function has that.
        inline: whether the call is to be inlined, as it must be to become vector code.

    Returns: the LLVM value of the result: of the arguments' type, i1 for predicates.

    Raises:
        KeyError: there is no such function.
        TypeError: wrong number of arguments, or a type for which it is not defined.
    """
    from llvmlite import ir

    function = FUNCTIONS[name]
    type: Any = args[0].type if args else None
    if len(args) != function.arity or any(argument.type != type for argument in args):
        raise TypeError(f"{name} takes {function.arity} values of one type, not {[str(a.type) for a in args]}")
    is_integer = isinstance(type, ir.IntType)
    if not (function.on_integers if is_integer else function.family):
        raise TypeError(f"{name} is not defined for {type}")
    if is_integer:
        return _call(builder, f"cr.{name}.i{type.width}", args, function.integer_emitter, False, inline)
    from .core import Value, format_of

    emitter = function.emitter(builder.module)

    def emit_floats(inner: Any, *arguments: Any) -> Any:
        return emitter(*(Value(inner, argument) for argument in arguments)).ir

    return _call(builder, f"cr.{name}.{format_of(type).name}", args, emit_floats, function.is_predicate, inline)


def _call(
    builder: Any, symbol: str, args: tuple[Any, ...], emit_body: Callable[..., Any], is_predicate: bool, inline: bool
) -> Any:
    """Call the function `symbol` of the module, writing it first if it isn't there."""
    from llvmlite import ir

    function = builder.module.globals.get(symbol)
    if function is None:
        types = [argument.type for argument in args]
        result = ir.IntType(1) if is_predicate else types[0]
        function = ir.Function(builder.module, ir.FunctionType(result, types), symbol)
        function.linkage = "internal"
        function.attributes.add("alwaysinline")
        function.attributes.add("nounwind")
        inner = ir.IRBuilder(function.append_basic_block("entry"))
        inner.ret(emit_body(inner, *function.args))
    return builder.call(function, args, attrs=() if inline else ("noinline",))
