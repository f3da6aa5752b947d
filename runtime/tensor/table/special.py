"""`torch.special`: what the other families do not have."""
from __future__ import annotations

import math
from typing import Any

from ....compiler import build
from ....compiler.ir import Node, constant, f
from ..row import Call, call, composite, dtype_name, op
from ..tensor import Tensor
from .common import broadcast, common_dtype, float_dtype, operand, shape_of
from .functions import unary


def _entropy(x: Node) -> Node:
    """-x log x; 0 at 0, minus infinity below."""
    positive = f.gt(x, 0.0)
    safe = f.where(positive, x, constant(1, x.dtype, x.shape))
    outside = f.where(f.eq(x, 0.0), constant(0, x.dtype, x.shape), constant(-math.inf, x.dtype, x.shape))
    return f.where(f.isnan(x), x, f.where(positive, f.neg(x * f.log(safe)), outside))


unary("special_entr", _entropy, "SpecialEntrBackward0", to="")
unary("special_erfcx", "erfcx", "SpecialErfcxBackward0", to="")
unary("special_log_ndtr", lambda x: build.log_half_erfc(x * -math.sqrt(0.5)), "SpecialLogNdtrBackward0", to="")
unary("i0", "i0", "I0Backward0")
unary("special_i0e", "i0e", "SpecialI0EBackward0", "self result", to="")
unary("special_i1", "i1", "SpecialI1Backward0", "self result", to="")
unary("special_i1e", "i1e", "SpecialI1EBackward0", "self result", to="")
unary("special_ndtri", "ndtri", "SpecialNdtriBackward0", "self result", to="")
for _name, _op in (("airy_ai", "airy_ai"), ("bessel_j0", "j0"), ("bessel_j1", "j1"), ("bessel_y0", "y0"), ("bessel_y1", "y1"),
                   ("modified_bessel_i0", "i0"), ("modified_bessel_i1", "i1"), ("modified_bessel_k0", "k0"), ("modified_bessel_k1", "k1"),
                   ("scaled_modified_bessel_k0", "k0e"), ("scaled_modified_bessel_k1", "k1e"), ("spherical_bessel_j0", "sinc")):
    unary(f"special_{_name}", _op, "", "", to="")  # torch does not differentiate them
unary("special_ndtr", lambda x: 0.5 * f.erfc(x * -math.sqrt(0.5)), "MulBackward1", to="")


def _x_log1p(x: Node, y: Node, dtype: str) -> Node:
    x, y = build.broadcast(build.cast(x, dtype), build.cast(y, dtype))
    zero = f.and_(f.eq(x, 0.0), f.not_(f.isnan(y)))
    return f.where(zero, constant(0, x.dtype, x.shape), x * f.log1p(y))


@op("special_xlog1py", build=_x_log1p, backward="SpecialXlog1PyBackward0", saved="self other", inputs="self other", to="")
def _xlog1py(self: Any, other: Any) -> Call:
    dtype = float_dtype(common_dtype(self, other))
    return Call((operand(self, dtype), operand(other, dtype)), (dtype_name(dtype),), broadcast(shape_of(self), shape_of(other)), dtype)


@composite("mvlgamma")
def _mvlgamma(self: Tensor, p: int) -> Any:
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    result = p * (p - 1) / 4 * math.log(math.pi)
    for k in range(p):
        result = call("add", call("lgamma", call("sub", self, k / 2)), result)
    return result
