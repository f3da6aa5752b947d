"""Coefficients of the polynomials, constant term first. Written by `python -m chainrule.compiler.vecmath.fit`."""

from __future__ import annotations

from .core import both

# (exp(r) - 1 - r) / r**2, |r| <= log(2)/2; weighted for the error of exp(r)
EXP = both(
    """0x1.0000000000009p-1 0x1.555555555555fp-3 0x1.5555555550c41p-5 0x1.111111110dd84p-7
        0x1.6c16c183755bfp-10 0x1.a01a01b8b54dep-13 0x1.a0199bba323e7p-16 0x1.71dde427ddf17p-19
        0x1.28ac101dd299ep-22 0x1.af7f418194539p-26""",
    """0x1.0000000000000p-1 0x1.5554960000000p-3 0x1.5554680000000p-5 0x1.1237900000000p-7
        0x1.6dadae0000000p-10""",
)

# (exp(r) - 1 - r) / r**2, |r| <= log(2)/2; weighted for the relative error of expm1(r)
EXPM1 = both(
    """0x1.0000000000000p-1 0x1.5555555555558p-3 0x1.555555555555ap-5 0x1.111111110f885p-7
        0x1.6c16c16c14641p-10 0x1.a01a01af3bb2ap-13 0x1.a01a01b0487f1p-16 0x1.71ddf9de83baep-19
        0x1.27e4c6542b0dep-22 0x1.af5c3ade008c9p-26 0x1.1f9488f9f1842p-29""",
    """0x1.0000000000000p-1 0x1.5555560000000p-3 0x1.5554b80000000p-5 0x1.1110920000000p-7
        0x1.6d6d7a0000000p-10 0x1.a19e400000000p-13""",
)

# (log((1 + s) / (1 - s)) / s - 2) / z as a function of z = s**2, |s| <= (sqrt(2) - 1)**2
LOG = both(
    """0x1.555555555556ap-1 0x1.999999998b08ap-2 0x1.249249393a0eap-2 0x1.c71c58717cd0cp-3
        0x1.74650933551e9p-3 0x1.39bed0fc15020p-3 0x1.2df1c4e6f2741p-3""",
    """0x1.5555740000000p-1 0x1.99630a0000000p-2 0x1.3180740000000p-2""",
)

# (sin(r) - r) / r**3 as a function of z = r**2, |r| <= pi/4
SIN = both(
    """-0x1.5555555555550p-3 0x1.11111111100dcp-7 -0x1.a01a019cf47eep-13 0x1.71de3623d59bep-19
        -0x1.ae5edecb56a4dp-26 0x1.5db2c7a4db70ap-33""",
    """-0x1.5555480000000p-3 0x1.11080c0000000p-7 -0x1.997daa0000000p-13""",
)

# (cos(r) - 1 + r**2 / 2) / r**4 as a function of z = r**2, |r| <= pi/4
COS = both(
    """0x1.5555555555551p-5 -0x1.6c16c16c15b4ep-10 0x1.a01a019d93a66p-16 -0x1.27e4f8a1ceb95p-22
        0x1.1eea4cbc9e413p-29 -0x1.8fddef8bffb2ap-37""",
    """0x1.55554c0000000p-5 -0x1.6c0d500000000p-10 0x1.9a33f00000000p-16""",
)
