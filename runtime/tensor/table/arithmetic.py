"""Arithmetic of two operands, with promotion and broadcasting."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ....compiler import build
from ....compiler.ir import Node, constant, f
from ...torch_types import dtype as Dtype, scalar_type_name
from ..arguments import WrongType, is_number
from ..messages import not_implemented
from ..row import METHODS, ROWS, Call, call, composite, dtype_name, op, type_name
from ..tape import quick_binary, quick_power
from ..tensor import Tensor, wrap_array
from .common import broadcast, common_dtype, float_dtype, operand, shape_of, strides_of


def operands_of(name: str, a: Any, b: Any) -> None:
    """Refuse what is neither a tensor nor a number."""
    for position, item in ((1, a), (2, b)):
        if not isinstance(item, Tensor) and not is_number(item):
            argument = "input" if position == 1 else "other"
            raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be Tensor, not "
                            f"{type_name(item)}")


def pairwise(a: Any, b: Any, dtype: Dtype, name: str = "", *params: Any) -> Call:
    """The call of an operation of two broadcast operands, computed in `dtype`; its first parameter is the dtype's name."""
    shape = broadcast(shape_of(a), shape_of(b))

    return Call((operand(a, dtype), operand(b, dtype)), (dtype_name(dtype), *params), shape, dtype, strides_of(shape, a, b), 0, name)


def in_wider(dtype: str, compute: Callable[[str], Node]) -> Node:
    """float16 is computed in float32 and rounded at the end, so that a number beside it is not rounded first."""
    return build.cast(compute("float32"), "float16") if dtype == "float16" else compute(dtype)


def _elementwise(ir_name: str) -> Callable[..., Node]:
    return lambda a, b, dtype: in_wider(dtype, lambda wide: build.elementwise(ir_name, build.cast(a, wide), build.cast(b, wide)))


def binary(name: str, ir_name: str, *, backward: str, saved: str = "", also: str = "", floating: bool = False,
           of_integers: bool = False, of_tensors: bool = False, inplace: bool = True) -> None:
    """An operation of two operands (with `of_tensors`: tensors only) that the IR has."""

    def rule(self: Any, other: Any) -> Call:
        operands_of(name, self, other)
        if of_tensors and not isinstance(other, Tensor):
            raise WrongType("other", "Tensor", other)
        dtype = common_dtype(self, other)
        if of_integers and dtype.is_floating_point:
            raise not_implemented(name + "_cpu", dtype)
        return pairwise(self, other, float_dtype(dtype) if floating else dtype)

    op(name, build=_elementwise(ir_name), backward=backward, saved=saved, inputs="self other", also=also, inplace=inplace)(rule)


# ---------------------------------------------------------------- add, sub, mul with torch's special arguments
def _scaled(ir_name: str) -> Callable[..., Node]:
    def build_it(a: Node, b: Node, dtype: str, alpha: float | None = None) -> Node:
        def compute(wide: str) -> Node:
            second = build.cast(b, wide) if alpha is None else build.cast(b, wide) * alpha
            return build.elementwise("or_" if dtype == "bool" else ir_name, build.cast(a, wide), second)

        return in_wider(dtype, compute)

    return build_it


def _check_alpha(dtype: Dtype, alpha: Any) -> None:
    if not dtype.is_floating_point and isinstance(alpha, float):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")


@op("add", build=_scaled("add"), backward="AddBackward0", inputs="self other", inplace=True)
def _add(self: Any, other: Any, *, alpha: Any = 1) -> Call:
    operands_of("add", self, other)
    dtype = common_dtype(self, other)
    if alpha == 1:
        return pairwise(self, other, dtype)
    _check_alpha(dtype, alpha)
    return pairwise(self, other, dtype, "", alpha)


NO_BOOL_SUB = ("Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a "
               "mask, use the `~` or `logical_not()` operator instead.")
NO_TWO_BOOLS = "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead."


def _sub_rule(self: Any, other: Any, alpha: Any, name: str) -> Call:
    operands_of("sub", self, other)
    kinds = [scalar_type_name(t._dtype) == "Bool" if isinstance(t, Tensor) else isinstance(t, bool) for t in (self, other)]
    if all(kinds):
        raise RuntimeError(NO_TWO_BOOLS)
    if any(kinds):
        raise RuntimeError(NO_BOOL_SUB)
    dtype = common_dtype(self, other)
    if alpha == 1:
        return pairwise(self, other, dtype, name)
    _check_alpha(dtype, alpha)
    return pairwise(self, other, dtype, name, alpha)


@op("sub", build=_scaled("sub"), backward="SubBackward0", inputs="self other", also="subtract", inplace=True)
def _sub(self: Any, other: Any, *, alpha: Any = 1) -> Call:
    return _sub_rule(self, other, alpha, "")


@op("rsub", build=lambda a, b, dtype, alpha=None: _scaled("sub")(b, a, dtype, alpha), backward="RsubBackward1", inputs="self other?",
    to="f")
def _rsub(self: Any, other: Any, *, alpha: Any = 1) -> Call:
    return _sub_rule(self, other, alpha, "RsubBackward0" if isinstance(other, Tensor) else "")


@op("mul", build=lambda a, b, dtype: _elementwise("and_" if dtype == "bool" else "mul")(a, b, dtype),
    backward="MulBackward0", saved="other>self self>other", inputs="self other", also="multiply", inplace=True)
def _mul(self: Any, other: Any) -> Call:
    operands_of("mul", self, other)
    return pairwise(self, other, common_dtype(self, other))


# ---------------------------------------------------------------- division
def _divide(a: Node, b: Node, dtype: str, mode: str | None) -> Node:
    if dtype == "float16":
        return build.cast(_divide(a, b, "float32", mode), dtype)
    a, b = build.broadcast(build.cast(a, dtype), build.cast(b, dtype))
    if mode == "floor":
        return _floor_divide(a, b)
    if mode == "trunc":
        if dtype.startswith("float"):
            return f.trunc(a / b)
        exact = f.fmod(a, b)
        return f.floor_divide(a - exact, b)
    return a / b


def _floor_divide(a: Node, b: Node) -> Node:
    """Floor division; of floats, a division by zero gives what the division gives (torch), not nan."""
    quotient = f.floor_divide(a, b)
    if a.dtype.kind != "f":
        return quotient
    return f.where(f.eq(b, 0.0), a / b, quotient)


def _check_zero_division(dtype: Dtype, b: Any) -> None:
    if dtype.is_floating_point:
        return
    if (isinstance(b, Tensor) and not b._array().all()) or (not isinstance(b, Tensor) and b == 0):
        raise RuntimeError("ZeroDivisionError")


@op("div", build=_divide, backward="DivBackward0", saved="other self>other", inputs="self other",
    also="divide true_divide", inplace=True)
def _div(self: Any, other: Any, *, rounding_mode: str | None = None) -> Call:
    operands_of("div", self, other)
    dtype = common_dtype(self, other)
    if rounding_mode is None:
        return pairwise(self, other, float_dtype(dtype), "", None)
    if rounding_mode not in ("trunc", "floor"):
        raise RuntimeError("div expected rounding_mode to be one of "
                           "None, 'trunc', or 'floor' but found '" + rounding_mode + "'")
    _check_zero_division(dtype, other)
    return pairwise(self, other, dtype, "DivBackward1", rounding_mode)


@op("floor_divide", build=lambda a, b, dtype: _divide(a, b, dtype, "floor"), backward="NotImplemented", inputs="self other", inplace=True)
def _floor_div(self: Any, other: Any) -> Call:
    operands_of("floor_divide", self, other)
    dtype = common_dtype(self, other)
    _check_zero_division(dtype, other)
    return pairwise(self, other, dtype)


def _remainder(a: Node, b: Node, dtype: str) -> Node:
    """With the divisor's sign; zeros have the dividend's, where NumPy's have the divisor's."""
    a, b = build.broadcast(build.cast(a, dtype), build.cast(b, dtype))
    made = f.remainder(a, b)
    return f.where(f.eq(made, 0.0), f.fmod(a, b), made) if made.dtype.kind == "f" else made


@op("remainder", build=_remainder, backward="RemainderBackward0",
    saved="self>other other>other", inputs="self other?", inplace=True)
def _remainder_rule(self: Any, other: Any) -> Call:
    operands_of("remainder", self, other)
    dtype = common_dtype(self, other)
    _check_zero_division(dtype, other)
    return pairwise(self, other, dtype, "RemainderBackward1" if isinstance(other, Tensor) else "")


@op("fmod", build=_elementwise("fmod"), backward="FmodBackward0",
    saved="self>other other>other", inputs="self other?", inplace=True)
def _fmod_rule(self: Any, other: Any) -> Call:
    operands_of("fmod", self, other)
    dtype = common_dtype(self, other)
    _check_zero_division(dtype, other)
    return pairwise(self, other, dtype, "FmodBackward1" if isinstance(other, Tensor) else "")


# ---------------------------------------------------------------- powers
def _power(a: Node, b: Node, dtype: str) -> Node:
    a, b = build.broadcast(build.cast(a, dtype), build.cast(b, dtype))
    if a.dtype.kind != "i":
        return build.elementwise("pow", a, b)
    made = f.pow(a, f.abs(b))  # negative powers of integers: what is left of the fraction is that of 1 and -1
    return f.where(f.and_(f.lt(b, 0), f.ne(f.abs(a), 1)), constant(0, a.dtype, a.shape), made)


def _power_of_number(a: Node, dtype: str, exponent: float) -> Node:
    """A constant exponent is part of the structure: `x**2` is a product, and its derivative is exact."""
    a = build.cast(a, dtype)
    if exponent == 2:
        return f.square(a) if dtype.startswith("float") else a * a
    if exponent == 0.5 and dtype.startswith("float"):
        return f.sqrt(a)
    return f.pow(a, constant(exponent, a.dtype, a.shape))


@op("pow_number", build=_power_of_number, derivative="MulBackward0", backward="PowBackward0", saved="self", to="",
    inplace=True, shown={"exponent": 1})
def _pow_number(self: Tensor, exponent: Any) -> Call:
    dtype = common_dtype(self, exponent)
    if not dtype.is_floating_point and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")

    # a bool is an int as an exponent, and equal numbers have to be one key
    wanted = float(exponent) if dtype.is_floating_point else int(exponent)
    return Call((self,), (dtype_name(dtype), wanted), self._shape, dtype, strides_of(self._shape, self))


@op("pow_tensor", build=_power, backward="PowBackward1", saved="self exponent result>exponent", inputs="self? exponent", to="",
    inplace=True)
def _pow_tensor(self: Any, exponent: Any) -> Call:
    dtype = common_dtype(self, exponent)
    return pairwise(self, exponent, dtype, "" if isinstance(self, Tensor) else "PowBackward2")


@composite("pow")
def _pow(self: Any, exponent: Any) -> Any:
    operands_of("pow", self, exponent)
    if not isinstance(self, Tensor) and not isinstance(exponent, Tensor):
        raise WrongType("input", "Tensor", self)
    return call("pow_tensor" if isinstance(exponent, Tensor) else "pow_number", self, exponent)


@composite("pow_", to="m")
def _pow_in_place(self: Tensor, exponent: Any) -> Any:
    return call("pow_tensor_" if isinstance(exponent, Tensor) else "pow_number_", self, exponent)


@composite("float_power")
def _float_power(self: Any, exponent: Any) -> Any:
    from ...torch_types import NAMES

    wide = [call("to", x, NAMES["float64"]) if isinstance(x, Tensor) else float(x) for x in (self, exponent)]
    return call("pow", *wide)


binary("atan2", "arctan2", backward="Atan2Backward0", saved="self other", also="arctan2", floating=True, of_tensors=True)
binary("hypot", "hypot", backward="HypotBackward0", saved="self other result", of_tensors=True)
binary("maximum", "maximum", backward="MaximumBackward0", saved="self other", inplace=False, of_tensors=True)
binary("minimum", "minimum", backward="MinimumBackward0", saved="self other", inplace=False,
       of_tensors=True)
binary("logaddexp", "logaddexp", backward="LogaddexpBackward0", saved="self other", inplace=False,
       of_tensors=True)


def _chosen(name: str, ir_name: str, backward: str) -> None:
    """The larger or smaller of two; where one is nan, the other."""

    def rule(self: Tensor, other: Any) -> Call:
        if not isinstance(other, Tensor):
            raise WrongType("other", "Tensor", other)
        return pairwise(self, other, common_dtype(self, other))

    def build_node(a: Node, b: Node, dtype: str) -> Node:
        a, b = build.broadcast(build.cast(a, dtype), build.cast(b, dtype))
        first = getattr(f, ir_name)(a, b)
        return f.where(f.or_(first, f.isnan(b)) if a.dtype.kind == "f" else first, a, b)

    op(name, build=build_node, backward=backward, saved="self other", inputs="self other")(rule)


_chosen("fmax", "ge", "FmaxBackward0")
_chosen("fmin", "le", "FminBackward0")


def _negative(x: Node) -> Node:
    """Whether the sign bit is set: of zeros their reciprocal tells."""
    return f.or_(f.lt(x, 0.0), f.and_(f.eq(x, 0.0), f.lt(1.0 / x, 0.0)))


def _copysign(a: Node, b: Node, dtype: str) -> Node:
    a, b = build.broadcast(build.cast(a, dtype), build.cast(b, dtype))
    size = f.abs(a)
    return f.where(_negative(f.stop_gradient(b)), f.neg(size), size)


@op("copysign", build=_copysign, derivative="MulBackward0", backward="CopysignBackward0",
    saved="self other result",
    inputs="self other?", inplace=True)
def _copysign_rule(self: Tensor, other: Any) -> Call:
    dtype = float_dtype(common_dtype(self, other))
    return pairwise(self, other, dtype, "" if isinstance(other, Tensor) else "CopysignBackward1")


def _xlogy(a: Node, b: Node, dtype: str) -> Node:
    a, b = build.broadcast(build.cast(a, dtype), build.cast(b, dtype))
    zero = constant(0, a.dtype, a.shape)
    nothing = f.and_(f.eq(a, 0.0), f.le(b, 0.0))
    return f.where(nothing, zero, a * f.log(f.where(nothing, constant(1, b.dtype, b.shape), b)) + 0.0)  # + 0.0: never -0.0


@op("xlogy", build=_xlogy, backward="XlogyBackward0", saved="self other", inputs="self? other?", inplace=True)
def _xlogy_rule(self: Any, other: Any) -> Call:
    dtype = float_dtype(common_dtype(self, other))
    name = "XlogyBackward1" if not isinstance(self, Tensor) else "" if isinstance(other, Tensor) else "XlogyBackward2"
    return pairwise(self, other, dtype, name)


def _logaddexp2(a: Node, b: Node, dtype: str) -> Node:
    a, b = build.broadcast(build.cast(a, dtype), build.cast(b, dtype))
    return f.logaddexp(a * math.log(2.0), b * math.log(2.0)) * (1.0 / math.log(2.0))


@op("logaddexp2", build=_logaddexp2, backward="Logaddexp2Backward0", saved="self other", inputs="self other")
def _logaddexp2_rule(self: Tensor, other: Tensor) -> Call:
    return pairwise(self, other, common_dtype(self, other))


@op("heaviside", build=lambda a, b: _step(*build.broadcast(a, b)), backward="NotImplemented", inputs="self values", inplace=True)
def _heaviside(self: Tensor, values: Tensor) -> Call:
    if self._dtype is not values._dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return Call((self, values), (), broadcast(self._shape, values._shape), self._dtype)


def _step(a: Node, b: Node) -> Node:
    one, zero = constant(1, a.dtype, a.shape), constant(0, a.dtype, a.shape)
    return f.where(f.eq(a, 0), b, f.where(f.lt(a, 0), zero, one))


@composite("ldexp")
def _ldexp(self: Tensor, other: Tensor) -> Any:
    return call("mul", self, call("pow", 2.0, other))


for _name, _numpy in (("gcd", np.gcd), ("lcm", np.lcm), ("nextafter", np.nextafter)):
    composite(_name)(lambda self, other, numpy=_numpy: wrap_array(numpy(self._array(), other._array())))


# ---------------------------------------------------------------- bits
for _name, _ir_name in (("bitwise_and", "and_"), ("bitwise_or", "or_"), ("bitwise_xor", "xor")):
    binary(_name, _ir_name, backward="", of_integers=True)
for _name, _ir_name in (("bitwise_left_shift", "shift_left"), ("bitwise_right_shift", "shift_right")):
    binary(_name, _ir_name, backward="", of_integers=True)


# ---------------------------------------------------------------- operators
def _operator(name: str, swapped: bool = False, in_place: bool = False) -> Callable[..., Any]:
    function = METHODS[name + "_" if in_place else name]

    def apply(self: Tensor, other: Any) -> Any:
        if not isinstance(other, Tensor) and not is_number(other):
            return NotImplemented
        return function(other, self) if swapped else function(self, other)

    return apply


def _reflected(name: str) -> Callable[..., Any]:
    """Number on the left: as a 0-d operand of the operation itself."""
    from ..row import CALLS

    function = CALLS[name]

    def apply(self: Tensor, other: Any) -> Any:
        return function(other, self) if is_number(other) or isinstance(other, Tensor) else NotImplemented

    return apply


def _rsub_operator(self: Tensor, other: Any) -> Any:
    return call("rsub", self, other) if is_number(other) else NotImplemented


def _rtruediv(self: Tensor, other: Any) -> Any:
    """Torch multiplies by the reciprocal."""
    return call("mul", call("reciprocal", self), other) if is_number(other) else NotImplemented


def _quick(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = quick_binary(ROWS[name], _operator(name))
    return found


METHODS |= {
    "__add__": _quick("add"), "__radd__": _quick("add"),
    "__sub__": _quick("sub"), "__rsub__": quick_binary(ROWS["rsub"], _rsub_operator),
    "__mul__": _quick("mul"), "__rmul__": _quick("mul"),
    "__truediv__": _quick("div"), "__rtruediv__": _rtruediv,
    "__floordiv__": _operator("floor_divide"), "__rfloordiv__": _reflected("floor_divide"),
    "__mod__": _operator("remainder"), "__rmod__": _reflected("remainder"),
    "__pow__": quick_power(ROWS["pow_number"], _operator("pow")), "__rpow__": _reflected("pow"),
    "__and__": _operator("bitwise_and"), "__rand__": _operator("bitwise_and"),
    "__or__": _operator("bitwise_or"), "__ror__": _operator("bitwise_or"),
    "__xor__": _operator("bitwise_xor"), "__rxor__": _operator("bitwise_xor"),
    "__lshift__": _operator("bitwise_left_shift"), "__rshift__": _operator("bitwise_right_shift"),
    "__rlshift__": _reflected("bitwise_left_shift"), "__rrshift__": _reflected("bitwise_right_shift"),
    "__iadd__": _operator("add", in_place=True), "__isub__": _operator("sub", in_place=True),
    "__imul__": _operator("mul", in_place=True), "__itruediv__": _operator("div", in_place=True),
    "__ifloordiv__": _operator("floor_divide", in_place=True), "__imod__": _operator("remainder", in_place=True),
    "__iand__": _operator("bitwise_and", in_place=True), "__ior__": _operator("bitwise_or", in_place=True),
    "__ixor__": _operator("bitwise_xor", in_place=True), "__ilshift__": _operator("bitwise_left_shift", in_place=True),
    "__irshift__": _operator("bitwise_right_shift", in_place=True), "__ipow__": _operator("pow", in_place=True),
}
