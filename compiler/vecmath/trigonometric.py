from __future__ import annotations

from . import coefficients
from .core import *

TWO_OVER_PI = 2/3.14159265358979323846
HALF_PI={"f64":hex_floats("0x1.921fb54442d18p0 0x1.1a62633145c07p-54 -0x1.f1976b7ed8fbcp-110")}
def sin_huge(x):
    return x.intrinsic("llvm.sqrt")
def sin(x: Value) -> Value:
    ax=abs(x)
    n, bits = round_to_integer(ax, TWO_OVER_PI)
    p1,p2,p3=HALF_PI[x.format.name]
    a=fma(-n,p1,ax)
    rh=fma(-n,p2,a)
    rl=fma(-n,p3,fma(-n,p2,a-rh))
    z=rh*rh
    hz=z*0.5
    s=rh+fma(rh*z,polynomial(z,coefficients.SIN(x)),fma(-hz,rl,rl))
    w=1.0-hz
    c=w+(((1.0-w)-hz)+fma(z*z,polynomial(z,coefficients.COS(x)),-(rh*rl)))
    r=where((bits&1).equals(0),s,c)
    sign=((bits<<(x.format.width-2)) ^ x.bits()) & x.format.sign_mask
    r=(r.bits()^sign).as_float()
    if FAST: return r
    return rarely(ax>2.**36, sin_huge, x, r)
FAST=False
