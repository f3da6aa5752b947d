"""Coefficients of the polynomials, constant term first.

Written by `python -m chainrule.compiler.vecmath.fit`.
"""

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

# (1 + 2*x) * exp(x**2) * erfc(x), x = 3*(1 + t)/(1 - t) from 0 to 27.3 (float32: 10.1)
ERFC = both(
    """0x1.40c522d7e4987p+0 -0x1.15c084bb9e8f1p-3 -0x1.85a15c58aa5f3p-5 0x1.098366a5b45ebp-3
        -0x1.e88b803a48d32p-4 0x1.17ca2877f5217p-4 -0x1.8574c40bfb3d0p-6 0x1.4b884e3afd861p-9
        0x1.ef1bdd7108825p-10 -0x1.98db4fad4c0c5p-11 -0x1.b9128a452134ap-14 0x1.065a1616e0ba7p-13
        0x1.4c2bd74c110bfp-18 -0x1.5137741746f80p-16 -0x1.890e1affbfdd3p-21 0x1.d1bde3a0d2424p-19
        0x1.7ffc4935bbb91p-22 -0x1.48defe801b980p-21 -0x1.30888f6776333p-23 0x1.a2a44faeea376p-24
        0x1.60e7f263e5cbfp-25 -0x1.6d3ede629401fp-27 -0x1.0506359d592e6p-27 0x1.2966ac0224ca4p-32
        0x1.2d579b2e0e2b4p-31""",
    """0x1.40c5220000000p+0 -0x1.15c08a0000000p-3 -0x1.85a1940000000p-5 0x1.0984100000000p-3
        -0x1.e888ae0000000p-4 0x1.17bd500000000p-4 -0x1.85e62a0000000p-6 0x1.5081920000000p-9
        0x1.06625e0000000p-9 -0x1.97a4d40000000p-11 -0x1.191f4e0000000p-12""",
)

# erfinv(x) / x as a function of w = -log(1 - x**2) <= 6.25
ERFINV_NEAR = both(
    """0x1.c5bf891b4ef6bp-1 0x1.db29fb2fee521p-3 0x1.7a72e72c3537ep-7 -0x1.321102620c835p-9
        -0x1.0c86b6cbbc15ap-13 0x1.870136c7c8adep-15 0x1.0f21fa367b0eap-19 -0x1.0fdb3116beec2p-20
        -0x1.3e4877ef37023p-25 0x1.839e77a63bbe3p-26 0x1.f9dd662c1c944p-31 -0x1.51033c8ba17f6p-31
        0x1.3c8d0beab8deap-36 0x1.13bb09f3d7b4cp-38 0x1.bd6b89eed4654p-41 0x1.8c8c45a480a75p-42
        -0x1.7d2e9b15ad73bp-42 0x1.c39a952a4682cp-44 -0x1.35bfc7e038feap-46 0x1.17de9af262104p-49
        -0x1.56a45579a0240p-53 0x1.14b5213073aadp-57 -0x1.0c3d6dec60283p-62 0x1.db95051d3c552p-69""",
    """0x1.c5bf8a0000000p-1 0x1.db29d20000000p-3 0x1.7a86600000000p-7 -0x1.32fb7e0000000p-9
        -0x1.ebae340000000p-14 0x1.34dea20000000p-15 0x1.f9ee3a0000000p-18 -0x1.90ab1c0000000p-19
        0x1.a6be880000000p-22 -0x1.afccae0000000p-26 0x1.68f46c0000000p-31""",
)

# erfinv(x) as a function of sqrt(-log(1 - x**2)) - 2.5, from 0 to 1.6
ERFINV_MIDDLE = both(
    """0x1.2ab656e2f769bp+1 0x1.fc3740e3f4845p-1 0x1.c8215c1cba350p-7 -0x1.8b0f8dbdc7cd9p-8
        0x1.3e54ba63db721p-10 0x1.5a80598f44840p-12 -0x1.759e5bd1fc223p-12 0x1.6d8cb56d2dcf7p-14
        0x1.31255f331e474p-15 -0x1.f92fee0861365p-16 0x1.1604bdaa67dc6p-23 0x1.5780e6e01eb05p-17
        -0x1.db819cd8544c7p-18 0x1.60b4b9cb49606p-19 -0x1.3a2e0183a76dep-21 0x1.2f85c53d883f4p-24
        -0x1.4f176145be69ap-29 -0x1.006ce299c0d01p-32""",
    """0x1.2ab6580000000p+1 0x1.fc37120000000p-1 0x1.c8c05a0000000p-7 -0x1.919ca20000000p-8
        0x1.823c540000000p-10 -0x1.03f1a80000000p-15 -0x1.8012e60000000p-14 0x1.3bd24c0000000p-16""",
)

# erfinv(x) as a function of sqrt(-log(1 - x**2)) - 4, from 0 to 2.1
ERFINV_FAR = both(
    """0x1.eb7e0744d23eap+1 0x1.026e4267ddcedp+0 0x1.489feee645bc1p-10 -0x1.bfc3d069f4828p-11
        0x1.359ef203f5e34p-12 -0x1.61bd47383efd9p-14 0x1.6611dcbacba7fp-16 -0x1.33a94f747ddaep-18
        0x1.3f909d13b6efap-21 0x1.371b1566102bcp-23 -0x1.57886dc6249a5p-23 0x1.518b64f45288dp-24
        -0x1.ce3952b61c8dap-26 0x1.c959f0e1496c8p-28 -0x1.39569c2d8c8b1p-30 0x1.0a556afd9bedep-33
        -0x1.a6cace3d47865p-38""",
    """""",
)

# (atan(t) / t - 1) / z as a function of z = t**2, |t| <= tan(pi/8)
ATAN = both(
    """-0x1.5555555555552p-2 0x1.999999999831cp-3 -0x1.24924923a2f90p-3 0x1.c71c713e63e51p-4
        -0x1.745d020fbc9bdp-4 0x1.3b11b1cf094c1p-4 -0x1.10f214630dc5bp-4 0x1.df66812a94ef6p-5
        -0x1.9e467e4601a10p-5 0x1.3b564cbc5c552p-5 -0x1.2cb864dbf341ep-6""",
    """-0x1.5555500000000p-2 0x1.9993dc0000000p-3 -0x1.23d9ec0000000p-3 0x1.b3ccb80000000p-4
        -0x1.fa80f80000000p-5""",
)

# (asin(t) / t - 1) / z as a function of z = t**2, |t| <= 1/2
ASIN = both(
    """0x1.555555555555ap-3 0x1.33333333317fep-4 0x1.6db6db6fc1758p-5 0x1.f1c71b61200f1p-6
        0x1.6e8bca0884f93p-6 0x1.1c4b4e4c76209p-6 0x1.ca00ba01383b7p-7 0x1.7674090022991p-7
        0x1.5c46b3ef3b07ap-7 0x1.16b7feda1c57ap-8 0x1.4ece15ff9a498p-6 -0x1.3bb928d72a68fp-6
        0x1.02c496f811525p-5""",
    """0x1.5555a40000000p-3 0x1.330b600000000p-4 0x1.73b2a80000000p-5 0x1.931cdc0000000p-6
        0x1.5413f40000000p-5""",
)

# (sinh(x) / x - 1) / z as a function of z = x**2, |x| <= 1
SINH = both(
    """0x1.5555555555555p-3 0x1.11111111110d1p-7 0x1.a01a01a024b14p-13 0x1.71de3a49097b3p-19
        0x1.ae64653682296p-26 0x1.611b0080163a2p-33 0x1.b4981596fc545p-41""",
    """0x1.5555560000000p-3 0x1.1111300000000p-7 0x1.a0003e0000000p-13 0x1.79e2260000000p-19""",
)

# 1 / cbrt(m), 1/2 <= m <= 4: the start of an iteration
INVERSE_CBRT = both(
    """0x1.cb96b2f9eba61p+0 -0x1.80e7351451d53p+0 0x1.06f7be6966b5cp+0 -0x1.8e819faafdbb4p-2
        0x1.312a4d4ffad93p-4 -0x1.704dd386495acp-8""",
    """0x1.cb96b20000000p+0 -0x1.80e7360000000p+0 0x1.06f7be0000000p+0 -0x1.8e81a00000000p-2
        0x1.312a4e0000000p-4 -0x1.704dd40000000p-8""",
)

# ((log((1 + s) / (1 - s)) / s - 2) / z - 2/3) / z as a function of z = s**2, |s| <= (sqrt(2) - 1)**2
LOG_TAIL = both(
    """0x1.99999999999b8p-2 0x1.2492492486866p-2 0x1.c71c71e9db72ap-3 0x1.745d017937aadp-3
        0x1.3b1aa1829bb24p-3 0x1.0fe4382fe9112p-3 0x1.0aa0e8f0ae5b5p-3""",
    """""",
)

# log(Gamma(2 + t)) / t, -3/4 <= t <= 1/4
LGAMMA = both(
    """0x1.b0ee6072093cep-2 0x1.4a34cc4a60fa2p-2 -0x1.13e001a5574d9p-4 0x1.51322ac7dd6cap-6
        -0x1.e404fc22258c7p-8 0x1.7add6e9cbbca3p-9 -0x1.38ac5be16e523p-10 0x1.0b36bbd3cff62p-11
        -0x1.d3fd2a44e151fp-13 0x1.a11f977325f6ep-14 -0x1.790b93bac281cp-15 0x1.58ec7cc6a1973p-16
        -0x1.318eb5f8cce7cp-17 0x1.3dd8919f020e7p-18 -0x1.af27dc5707f49p-19 -0x1.ceb60f317d03ap-19
        -0x1.ccbc6583d8afep-18 -0x1.310430eeef4fcp-18 -0x1.bfb961ddcf883p-20""",
    """0x1.b0ee600000000p-2 0x1.4a34cc0000000p-2 -0x1.13e0b00000000p-4 0x1.5132920000000p-6
        -0x1.e29c120000000p-8 0x1.7fb7240000000p-9 -0x1.63a8520000000p-10 -0x1.0d62800000000p-14
        -0x1.9c3be40000000p-11""",
)

# x * (log(Gamma(x)) - (x - 1/2)*log(x) + x - log(2*pi)/2) as a function of z = 1/x**2, x >= 8
STIRLING = both(
    """0x1.5555555555545p-4 -0x1.6c16c16b2ac73p-9 0x1.a019fa29b1b8ap-11 -0x1.380d01b5e693bp-11
        0x1.b68b8c6e74158p-11 -0x1.ac3176301b2acp-10""",
    """0x1.5555460000000p-4 -0x1.6a15220000000p-9""",
)

# x * digamma(x) / (x - root), 1 <= x <= 2.25, as a function of x - 1.5
DIGAMMA = both(
    """0x1.6d3498ca56891p+0 0x1.433082f05864ap-2 -0x1.0148eed6c6c2ap-4 0x1.25d9429f598edp-6
        -0x1.8417ed8f94d93p-8 0x1.13f9ae1fc6a48p-9 -0x1.996841be4a686p-11 0x1.37928ee19787dp-12
        -0x1.e206e6766d5e7p-14 0x1.78dc7eb4e494bp-15 -0x1.28bec2aa8350dp-16 0x1.d59d19c749f7cp-18
        -0x1.74d4b80304189p-19 0x1.282cc9750c6a2p-20 -0x1.d64242b0f36acp-22 0x1.7e697411096b1p-23
        -0x1.46f579d3092b7p-24 0x1.efb9b5190d12ep-26 -0x1.9cea57718e209p-28""",
    """0x1.6d34980000000p+0 0x1.4330820000000p-2 -0x1.0149260000000p-4 0x1.25d9920000000p-6
        -0x1.83dde80000000p-8 0x1.13a4360000000p-9 -0x1.a335080000000p-11 0x1.4d30b20000000p-12
        -0x1.6dfe800000000p-14""",
)

# (log(x) - 1/(2*x) - digamma(x)) * x**2 as a function of z = 1/x**2, x >= 8
DIGAMMA_TAIL = both(
    """0x1.5555555555339p-4 -0x1.1111110be1622p-7 0x1.04102ffff0289p-8 -0x1.11042b53d99d5p-8
        0x1.eb7d3fb4c7ddap-8 -0x1.1af67c9238e32p-6""",
    """0x1.5554e80000000p-4 -0x1.0e4a400000000p-7""",
)
