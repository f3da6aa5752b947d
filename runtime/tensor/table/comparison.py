"""Comparisons, logic, and choices."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....compiler import build
from ....compiler.ir import Node, constant, f
from ...torch_types import NAMES, dtype as Dtype, scalar_type_name
from ..arguments import is_number
from ..messages import c_name
from ..row import METHODS, ROWS, Call, call, composite, dtype_name, op
from ..tape import quick_binary
from ..tensor import Tensor
from .arithmetic import operands_of
from .common import broadcast, common_dtype, operand, shape_of, strides_of

BOOL = NAMES["bool"]


def _compare(ir_name: str) -> Callable[..., Node]:
    return lambda a, b, dtype: build.elementwise(ir_name, build.cast(a, dtype), build.cast(b, dtype))


def comparison(name: str, operator: str, also: str) -> None:
    """A comparison, its in-place variant, and its operator."""

    def rule(self: Any, other: Any) -> Call:
        operands_of(name, self, other)
        dtype = common_dtype(self, other)
        shape = broadcast(shape_of(self), shape_of(other))
        return Call((operand(self, dtype), operand(other, dtype)), (dtype_name(dtype),), shape, BOOL,
                    strides_of(shape, self, other))

    op(name, build=_compare(name), inputs="self other", also=also, inplace=True)(rule)

    def apply(self: Tensor, other: Any) -> Any:
        return call(name, self, other) if isinstance(other, Tensor) or is_number(other) else NotImplemented

    METHODS[operator] = quick_binary(ROWS[name], apply)


for _name, _also in (("eq", ""), ("ne", "not_equal"), ("lt", "less"), ("le", "less_equal"), ("gt", "greater"),
                     ("ge", "greater_equal")):
    comparison(_name, f"__{_name}__", _also)


def _truth(x: Node) -> Node:
    return x if x.dtype.kind == "b" else f.ne(x, 0)


for _name, _ir_name in (("logical_and", "and_"), ("logical_or", "or_"), ("logical_xor", "xor")):
    def _logical(self: Any, other: Any) -> Call:
        shape = broadcast(shape_of(self), shape_of(other))
        return Call((self, other), (), shape, BOOL, strides_of(shape, self, other))

    op(_name, build=lambda a, b, ir_name=_ir_name: build.elementwise(ir_name, _truth(a), _truth(b)), inputs="self other",
       inplace=True)(_logical)


@op("logical_not", build=lambda x: f.not_(_truth(x)), inplace=True)
def _logical_not(self: Tensor) -> Call:
    return Call((self,), (), self._shape, BOOL, strides_of(self._shape, self))


@op("bitwise_not", build=lambda x: f.not_(x), inplace=True)
def _bitwise_not(self: Tensor) -> Call:
    if self._dtype.is_floating_point:
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return Call((self,), (), self._shape, self._dtype, strides_of(self._shape, self))


METHODS["__invert__"] = METHODS["bitwise_not"]


def predicate(name: str, ir: Callable[[Node], Node], of_integers: bool) -> None:
    """A property of floats that all integers have or lack."""

    def rule(self: Tensor) -> Call:
        return Call((self,), (), self._shape, BOOL, strides_of(self._shape, self))

    op(name, build=lambda x: ir(x) if x.dtype.kind == "f" else constant(of_integers, bool, x.shape))(rule)


predicate("isnan", lambda x: f.isnan(x), False)
predicate("isinf", lambda x: f.isinf(x), False)
predicate("isfinite", lambda x: f.isfinite(x), True)
predicate("isposinf", lambda x: f.eq(x, float("inf")), False)
predicate("isneginf", lambda x: f.eq(x, float("-inf")), False)


@op("isreal", build=lambda x: constant(True, bool, x.shape))
def _isreal(self: Tensor) -> Call:
    return Call((self,), (), self._shape, BOOL)


@op("signbit", build=lambda x: f.lt(x, 0) if x.dtype.kind != "f" else f.or_(f.lt(x, 0.0), f.lt(1.0 / x, 0.0)))
def _signbit(self: Tensor) -> Call:
    return Call((self,), (), self._shape, BOOL)


# ---------------------------------------------------------------- choices
def _where(a: Node, b: Node, c: Node, dtype: str) -> Node:
    c, a, b = build.broadcast(_truth(c), build.cast(a, dtype), build.cast(b, dtype))
    return f.where(c, a, b)


@op("where_select", build=_where, backward="WhereBackward0", saved="condition", inputs="self other (condition)", to="")
def _where_rule(condition: Tensor, self: Any, other: Any) -> Call:
    if not isinstance(condition, Tensor):
        raise TypeError(f"where(): argument 'condition' (position 1) must be Tensor, not {type(condition).__name__}")
    if scalar_type_name(condition._dtype) not in ("Bool", "Byte"):
        raise RuntimeError("where expected condition to be a boolean tensor, but got a tensor with dtype "
                           f"{scalar_type_name(condition._dtype)}")
    dtype = common_dtype(self, other)
    shape = broadcast(shape_of(condition), shape_of(self), shape_of(other))
    return Call((operand(self, dtype), operand(other, dtype), condition), (dtype_name(dtype),), shape, dtype,
                strides_of(shape, condition, self, other))


@composite("where", to="f")
def _where_function(condition: Any, self: Any = None, other: Any = None) -> Any:
    if self is None and other is None:
        return call("nonzero", condition, as_tuple=True)
    return call("where_select", condition, self, other)


METHODS["where"] = lambda self, condition, other: call("where_select", condition, self, other)


def _masked_fill(x: Node, mask: Node, value: Node) -> Node:
    x, mask, value = build.broadcast(x, mask, build.cast(value, x.dtype))
    return f.where(mask, value, x)


@op("masked_fill", build=_masked_fill, backward="MaskedFillBackward0", saved="mask", inputs="self (mask) value?", to="mf", inplace=True)
def _masked_fill_rule(self: Tensor, mask: Tensor, value: Any) -> Call:
    if scalar_type_name(mask._dtype) != "Bool":
        raise RuntimeError("masked_fill_ only supports boolean masks, but got mask with dtype " + c_name(mask._dtype))
    if isinstance(value, Tensor) and value._shape:
        raise RuntimeError("masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                           f"{value.dim()} dimension(s).")
    if not self._dtype.is_floating_point and isinstance(value, float):
        raise RuntimeError(f"value cannot be converted to type {_c_type(self._dtype)} without overflow")
    shape = broadcast(self._shape, mask._shape)
    return Call((self, mask, operand(value, self._dtype)), (), shape, self._dtype, strides_of(shape, self),
                name="MaskedFillBackward1" if isinstance(value, Tensor) else "")


def _c_type(dtype: Dtype) -> str:
    return {"Long": "int64_t", "Int": "int32_t", "Short": "int16_t", "Char": "int8_t", "Byte": "uint8_t"}.get(
        scalar_type_name(dtype), scalar_type_name(dtype).lower())
