"""Functions of one tensor, element by element."""
from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from ....compiler import build
from ....compiler.ir import Node, constant, f
from ...torch_types import NAMES, as_dtype, dtype as Dtype, scalar_type_name
from ..row import METHODS, Call, call, composite, dtype_name, number, numpy_dtype, op
from ..tensor import Tensor
from .common import broadcast, common_dtype, float_dtype, operand, shape_of, strides_of


def unary(name: str, ir: str | Callable[[Node], Node], backward: str, saved: str = "self", *, also: str = "", to: str = "mf",
          floating: bool = True, derivative: str = "") -> None:
    """An elementwise function; integers are computed in the default dtype, unless it is not `floating`."""
    build_node: Callable[[Node], Node] = (lambda x: getattr(f, ir)(x)) if isinstance(ir, str) else ir

    def rule(self: Tensor) -> Call:
        if name == "neg" and self._dtype is NAMES["bool"]:
            raise RuntimeError("Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
                               "invert a mask, use the `~` or `logical_not()` operator instead.")
        dtype = float_dtype(self._dtype) if floating else self._dtype
        return Call((self,), (dtype_name(dtype),), self._shape, dtype, strides_of(self._shape, self))

    op(name, build=lambda x, dtype: build_node(build.cast(x, dtype)), backward=backward, saved=saved, also=also, to=to, inplace=True,
       derivative=derivative)(rule)


def _of_floats(ir_name: str, x: Node) -> Node:
    """A rounding function; integers are whole already."""
    return getattr(f, ir_name)(x) if x.dtype.kind == "f" else x


unary("exp", "exp", "ExpBackward0", "result")
unary("exp2", "exp2", "Exp2Backward0", "result")
unary("expm1", "expm1", "Expm1Backward0", "result")
unary("log", "log", "LogBackward0")
unary("log2", "log2", "Log2Backward0")
unary("log10", "log10", "Log10Backward0")
unary("log1p", "log1p", "Log1PBackward0")
unary("sqrt", "sqrt", "SqrtBackward0", "result")
unary("rsqrt", "rsqrt", "RsqrtBackward0", "result")
unary("reciprocal", "reciprocal", "ReciprocalBackward0", "result")
unary("sin", "sin", "SinBackward0")
unary("cos", "cos", "CosBackward0")
unary("tan", "tan", "TanBackward0", "result")
unary("asin", "arcsin", "AsinBackward0", also="arcsin")
unary("acos", "arccos", "AcosBackward0", also="arccos")
unary("atan", "arctan", "AtanBackward0", also="arctan")
unary("sinh", "sinh", "SinhBackward0")
unary("cosh", "cosh", "CoshBackward0")
unary("tanh", "tanh", "TanhBackward0", "result", derivative="TanhBackwardBackward0")
unary("asinh", "arcsinh", "AsinhBackward0", also="arcsinh")
unary("acosh", "arccosh", "AcoshBackward0", also="arccosh")
unary("atanh", "arctanh", "AtanhBackward0", also="arctanh")
unary("sigmoid", "sigmoid", "SigmoidBackward0", "result", derivative="SigmoidBackwardBackward0")
unary("erf", "erf", "ErfBackward0")
unary("erfc", "erfc", "ErfcBackward0")
unary("erfinv", "erfinv", "ErfinvBackward0", "result")
unary("lgamma", "lgamma", "LgammaBackward0")
unary("digamma", "digamma", "DigammaBackward0")
unary("log_sigmoid", lambda x: f.log_sigmoid(x) + 0.0, "LogSigmoidBackward0", to="")  # what underflows is +0, as in torch
unary("deg2rad", lambda x: x * (math.pi / 180.0), "Deg2RadBackward0", "")
unary("rad2deg", lambda x: x * (180.0 / math.pi), "Rad2DegBackward0", "")
unary("sinc", lambda x: _sinc(x), "SincBackward0")
unary("neg", lambda x: f.neg(x), "NegBackward0", "", also="negative", floating=False)
unary("abs", lambda x: x if x.dtype.kind == "b" else f.abs(x), "AbsBackward0", "self", also="absolute", floating=False)
unary("sign", lambda x: _sign(x), "SignBackward0", "", floating=False)
unary("sgn", lambda x: _sign(x), "SgnBackward0", "self", floating=False)


def _sign(x: Node) -> Node:
    """-1, 0 or 1; 0 for nan."""
    if x.dtype.kind != "f":
        return x if x.dtype.kind == "b" else f.sign(x)
    return f.where(f.isnan(x), constant(0, x.dtype, x.shape), f.sign(x))


def relu(x: Node) -> Node:
    """The positive part; -0.0 stays -0.0, and the slope at 0 is 0."""
    zero = constant(0, x.dtype, x.shape)
    if x.dtype.kind != "f":
        return f.where(f.gt(x, 0), x, zero)
    return f.where(f.lt(x, 0.0), zero, f.where(f.eq(x, 0.0), f.stop_gradient(x), x))


unary("relu", relu, "ReluBackward0", "result", floating=False, derivative="ThresholdBackwardBackward0")
for _name, _ir_name in (("floor", "floor"), ("ceil", "ceil"), ("trunc", "trunc")):
    unary(_name, partial(_of_floats, _ir_name), _name.title() + "Backward0", "",
          also="fix" if _name == "trunc" else "", floating=False)
unary("frac", lambda x: x - f.trunc(x), "FracBackward0", "", floating=False)
composite("positive")(lambda self: self)

METHODS |= {"__neg__": METHODS["neg"], "__abs__": METHODS["abs"], "__pos__": METHODS["positive"]}


def _sinc(x: Node) -> Node:
    zero = f.eq(x, 0.0)
    scaled = f.where(zero, constant(1, x.dtype, x.shape), x) * math.pi
    return f.where(zero, constant(1, x.dtype, x.shape), f.sin(scaled) / scaled)


def _round(x: Node, dtype: str, decimals: int) -> Node:
    if x.dtype.kind != "f":
        return x
    if not decimals:
        return f.round(x)
    scale = 10.0 ** abs(decimals)
    return f.round(x * scale) / scale if decimals > 0 else f.round(x / scale) * scale


@op("round", build=_round, backward="RoundBackward0", inplace=True)
def _round_rule(self: Tensor, *, decimals: int = 0) -> Call:
    return Call((self,), ("", decimals), self._shape, self._dtype, strides_of(self._shape, self),
                name="RoundBackward1" if decimals else "")


@op("polygamma_of", build=lambda x, dtype, order: f.polygamma(build.cast(x, dtype),
                                                              order=order) if order else f.digamma(build.cast(x, dtype)),
    backward="PolygammaBackward0", saved="self", to="")
def _polygamma(self: Tensor, n: int) -> Call:
    dtype = float_dtype(self._dtype)
    return Call((self,), (dtype_name(dtype), int(n)), self._shape, dtype)


@composite("polygamma", to="f")
def _polygamma_function(n: Any, self: Any) -> Any:
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return call("polygamma_of", self, n)


METHODS["polygamma"] = lambda self, n: _polygamma_function(n, self)


def _logit(x: Node, dtype: str, eps: float | None) -> Node:
    x = build.cast(x, dtype)
    if eps is not None:
        low, high = constant(eps, x.dtype, x.shape), constant(1 - eps, x.dtype, x.shape)
        x = f.where(f.lt(x, eps), low, f.where(f.gt(x, high), high, x))
    return f.log(x) - f.log1p(f.neg(x))


@op("logit", build=_logit, backward="LogitBackward0", saved="self", inplace=True)
def _logit_rule(self: Tensor, eps: float | None = None) -> Call:
    dtype = float_dtype(self._dtype)
    return Call((self,), (dtype_name(dtype), eps), self._shape, dtype, strides_of(self._shape, self))


@composite("square")
def _square(self: Tensor) -> Any:
    return call("pow", self, 2)


@composite("square_", to="m")
def _square_in_place(self: Tensor) -> Any:
    return call("pow_", self, 2)


# ---------------------------------------------------------------- clamp
def _clamp(x: Node, *bounds_and_more: Any) -> Node:
    *bounds, which, dtype = bounds_and_more
    x = build.cast(x, dtype)
    x, *bounds = build.broadcast(x, *[build.cast(b, dtype) for b in bounds])
    low = bounds[0] if which[0] else None
    high = bounds[-1] if which[1] else None
    made = x
    if low is not None:
        made = f.where(f.lt(made, low), low, made)
    if high is not None:
        made = f.where(f.gt(made, high), high, made)
    return made


@op("clamp", build=_clamp, backward="ClampBackward1", saved="self", inputs="self min? max?", also="clip", inplace=True)
def _clamp_rule(self: Tensor, min: Any = None, max: Any = None) -> Call:
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    given = [b for b in (min, max) if b is not None]
    dtype = common_dtype(self, *given)
    shape = broadcast(self._shape, *[shape_of(b) for b in given])
    which = (min is not None, max is not None)
    tensors = any(isinstance(b, Tensor) for b in given)
    return Call((self, *[operand(b, dtype) for b in given]), (which, dtype_name(dtype)), shape, dtype,
                strides_of(shape, self, *given), name="ClampBackward0" if tensors else "")


@op("clamp_min", build=lambda x, low, dtype: _clamp(x, low, (True, False), dtype), backward="ClampMinBackward0", saved="self",
    inputs="self min?", inplace=True)
def _clamp_min(self: Tensor, min: Any) -> Call:
    dtype = common_dtype(self, min)
    shape = broadcast(self._shape, shape_of(min))
    return Call((self, operand(min, dtype)), (dtype_name(dtype),), shape, dtype,
                name="ClampMinBackward1" if isinstance(min, Tensor) else "")


@op("clamp_max", build=lambda x, high, dtype: _clamp(x, high, (False, True), dtype), backward="ClampMaxBackward0", saved="self",
    inputs="self max?", inplace=True)
def _clamp_max(self: Tensor, max: Any) -> Call:
    dtype = common_dtype(self, max)
    shape = broadcast(self._shape, shape_of(max))
    return Call((self, operand(max, dtype)), (dtype_name(dtype),), shape, dtype,
                name="ClampMaxBackward1" if isinstance(max, Tensor) else "")


@op("nan_to_num", build=lambda x, nan, high, low: _nan_to_num(x, nan, high, low), backward="NanToNumBackward0", saved="self",
    inplace=True)
def _nan_to_num_rule(self: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Call:
    return Call((self,), (nan, posinf, neginf), self._shape, self._dtype)


def _nan_to_num(x: Node, nan: float | None, high: float | None, low: float | None) -> Node:
    import numpy as np

    if x.dtype.kind != "f":
        return x
    limits = np.finfo(x.dtype)

    def fill(value: float) -> Node:
        return constant(value, x.dtype, x.shape)

    inside = f.where(f.eq(x, float("-inf")), fill(limits.min if low is None else low), x)
    inside = f.where(f.eq(x, float("inf")), fill(limits.max if high is None else high), inside)
    return f.where(f.isnan(x), fill(nan or 0.0), inside)


# ---------------------------------------------------------------- fused arithmetic of three
def _addc(ir_name: str) -> Callable[..., Node]:
    def build_node(x: Node, a: Node, b: Node, scale: Node, dtype: str) -> Node:
        x, a, b, scale = build.broadcast(*[build.cast(n, dtype) for n in (x, a, b, scale)])
        product: Node = getattr(f, ir_name)(a, b)
        return x + scale * product

    return build_node


for _name, _ir_name, _backward, _saved in (("addcmul", "mul", "AddcmulBackward0", "tensor2>tensor1 tensor1>tensor2"),
                                           ("addcdiv", "div", "AddcdivBackward0", "tensor2 tensor1>tensor2")):
    def _addc_rule(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Call:
        dtype = common_dtype(self, tensor1, tensor2)
        shape = broadcast(self._shape, tensor1._shape, tensor2._shape)
        return Call((self, tensor1, tensor2, number(value, numpy_dtype(dtype))), (dtype_name(dtype),), shape, dtype)

    op(_name, build=_addc(_ir_name), backward=_backward, saved=_saved, inputs="self tensor1 tensor2 value?",
       inplace=True)(_addc_rule)


@op("lerp", build=lambda a, b, w: _lerp(a, b, w), backward="LerpBackward0", saved="self end weight", inputs="self end weight?",
    inplace=True)
def _lerp_rule(self: Tensor, end: Tensor, weight: Any) -> Call:
    if not self._dtype.is_floating_point:
        kernel = "tensor" if isinstance(weight, Tensor) else "scalar"
        raise NotImplementedError(f'"lerp_kernel_{kernel}" not implemented for \'{scalar_type_name(self._dtype)}\'')
    shape = broadcast(self._shape, end._shape, shape_of(weight))
    return Call((self, end, operand(weight, self._dtype)), (), shape, self._dtype,
                name="LerpBackward1" if isinstance(weight, Tensor) else "")


def _lerp(a: Node, b: Node, w: Node) -> Node:
    a, b, w = build.broadcast(a, b, build.cast(w, a.dtype))
    return f.where(f.lt(f.abs(w), 0.5), a + w * (b - a), b - (b - a) * (1.0 - w))


# ---------------------------------------------------------------- copies and casts
@op("clone", build=lambda x: x, backward="CloneBackward0")
def _clone(self: Tensor, *, memory_format: Any = None) -> Call:
    from ..geometry import like_strides

    strides = like_strides(self._shape, self._strides) if str(memory_format) != "torch.contiguous_format" else None
    return Call((self,), (), self._shape, self._dtype, strides)


@op("cast_to", build=lambda x, dtype: build.cast(f.ne(x, 0) if dtype == "bool" and x.dtype.kind != "b" else x, dtype),
    backward="ToCopyBackward0", to="")
def _cast_to(self: Tensor, dtype: Dtype) -> Call:
    from ..geometry import like_strides

    return Call((self,), (dtype_name(dtype),), self._shape, dtype, like_strides(self._shape, self._strides))


def cast_to(self: Tensor, dtype: Dtype, copy: bool = False) -> Tensor:
    """The tensor itself where it has the dtype, else a copy that has it."""
    if dtype is self._dtype:
        return call("clone", self) if copy else self
    return call("cast_to", self, dtype)  # type: ignore[no-any-return]


@composite("to", to="m")
def _to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    dtype = kwargs.get("dtype")
    for item in args:
        if isinstance(item, Tensor):
            dtype = item._dtype
        elif isinstance(item, Dtype) or item in (float, int, bool):
            dtype = item
        elif isinstance(item, bool):
            continue
        else:
            from ...torch_types import as_device

            as_device(item, "to")
    if "other" in kwargs:
        dtype = kwargs["other"]._dtype
    return cast_to(self, self._dtype if dtype is None else as_dtype(dtype, "to"), bool(kwargs.get("copy")))


@composite("type", to="m")
def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    from ...torch_types import tensor_type_name

    if dtype is None:
        return tensor_type_name(self._dtype)
    if isinstance(dtype, str):
        named = {tensor_type_name(d): d for d in NAMES.values()}
        if dtype not in named:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = named[dtype]
    return cast_to(self, getattr(dtype, "_legacy_dtype", dtype))


@composite("type_as", to="m")
def _type_as(self: Tensor, other: Tensor) -> Tensor:
    return cast_to(self, other._dtype)


for _name in ("float", "double", "half", "int", "long", "short", "bool", "int8", "uint8"):
    METHODS[{"int8": "char", "uint8": "byte"}.get(_name, _name)] = (
        lambda self, memory_format=None, dtype=NAMES[_name]: cast_to(self, dtype))
