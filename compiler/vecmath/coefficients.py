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

# erf(x) / x - 1 as a function of z = x**2, |x| <= 1
ERF_NEAR = both(
    """0x1.06eba8214db68p-3 -0x1.812746b0379c2p-2 0x1.ce2f21a041018p-4 -0x1.b82ce312062bcp-6
        0x1.565bccfa9a825p-8 -0x1.c02db072f3fe0p-11 0x1.f9a2bf73f0c68p-14 -0x1.f4ca94990cb86p-17
        0x1.b9827b1885f9bp-20 -0x1.5c16e30fb0d45p-23 0x1.d784936618cc2p-27 -0x1.acdff90b8ebd8p-31""",
    """0x1.06eba80000000p-3 -0x1.81273e0000000p-2 0x1.ce2d200000000p-4 -0x1.b7fbb60000000p-6
        0x1.5419fa0000000p-8 -0x1.a485f80000000p-11 0x1.4ae4c60000000p-14""",
)

# -log(erfc(1 + t)), 0 <= t <= 4.95 (float32: 2.95); weighted for the error of erf
ERF_FAR = both(
    """0x1.d97fbf27aa2a1p+0 0x1.51c9b0006c21ap+1 0x1.afabc11a2afd4p-1 0x1.5477f099b71d3p-5
        -0x1.48c9d37fcc521p-7 0x1.033f5a13a4fa4p-9 -0x1.f1b04aa59086ep-13 -0x1.b92dd90c8ec4bp-16
        0x1.c852aba92b90bp-16 -0x1.44846e5d74d3ep-17 0x1.1e24af07e8060p-19 -0x1.b7d29c40b8e90p-23
        -0x1.f253f247f2eefp-25 0x1.1ed4fd7a9466bp-25 -0x1.24b47ade3aa67p-27 0x1.6a98069398eb1p-30
        -0x1.066690c6fa698p-33 0x1.56582bdccfddbp-38""",
    """0x1.d97fc00000000p+0 0x1.51c9aa0000000p+1 0x1.afad340000000p-1 0x1.53f93c0000000p-5
        -0x1.441a980000000p-7 0x1.deb60a0000000p-10 -0x1.8529220000000p-13""",
)
