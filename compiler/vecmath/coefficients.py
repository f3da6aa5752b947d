"""Coefficients of the polynomials, constant term first.

Written by `python -m chainrule.compiler.vecmath.fit`.
"""

from __future__ import annotations

from .core import both

# (exp(r) - 1 - r) / r**2, |r| <= log(2)/2; weighted for the error of exp(r)
EXP = both(
    """0x1.0000000000009p-1 0x1.5555555555560p-3 0x1.5555555550c3ep-5 0x1.111111110db1ap-7
        0x1.6c16c18375c3fp-10 0x1.a01a01b97ca92p-13 0x1.a0199bb9ba52cp-16 0x1.71dde281a978fp-19
        0x1.28ac100d94944p-22 0x1.af81bae47a4e1p-26""",
    """0x1.0000000000000p-1 0x1.5554960000000p-3 0x1.5554680000000p-5 0x1.1237980000000p-7
        0x1.6dae080000000p-10""",
)

# (exp(r) - 1 - r) / r**2, |r| <= log(2)/2; weighted for the relative error of expm1(r)
EXPM1 = both(
    """0x1.0000000000000p-1 0x1.5555555555559p-3 0x1.555555555555ap-5 0x1.111111110f87fp-7
        0x1.6c16c16c14739p-10 0x1.a01a01af3ddb4p-13 0x1.a01a01aff74acp-16 0x1.71ddf9d9bde08p-19
        0x1.27e4c701bdb85p-22 0x1.af5c420c26cbap-26 0x1.1f9383b9ef6b1p-29""",
    """0x1.0000000000000p-1 0x1.5555560000000p-3 0x1.5554b60000000p-5 0x1.1110940000000p-7
        0x1.6d6d8a0000000p-10 0x1.a19cee0000000p-13""",
)

# (log((1 + s) / (1 - s)) / s - 2) / z as a function of z = s**2, |s| <= (sqrt(2) - 1)**2
LOG = both(
    """0x1.555555555556ap-1 0x1.999999998b0b8p-2 0x1.24924939378acp-2 0x1.c71c58736435ap-3
        0x1.746508d8ae490p-3 0x1.39bed924b07f1p-3 0x1.2df17c1b0c642p-3""",
    """0x1.5555740000000p-1 0x1.99630c0000000p-2 0x1.3180580000000p-2""",
)

# (sin(r) - r) / r**3 as a function of z = r**2, |r| <= pi/2
SIN = both(
    """-0x1.5555555555555p-3 0x1.11111111110d7p-7 -0x1.a01a01a015abcp-13 0x1.71de3a52f86a1p-19
        -0x1.ae6454fb27734p-26 0x1.6123d66baab0dp-33 -0x1.ae45e1e721475p-41 0x1.887076672537bp-49""",
    """-0x1.55554e0000000p-3 0x1.110f160000000p-7 -0x1.9f7b1a0000000p-13 0x1.5e4ffa0000000p-19""",
)

# (tan(r) / r * (1 - TAN_POLE * z) - 1) / z as a function of z = r**2, |r| <= pi/4
TAN = both(
    """-0x1.26b682aaaaab8p-4 -0x1.cdc977776ad34p-10 -0x1.2462f23ce198fp-14 -0x1.957342b56c932p-19
        -0x1.20625c7f20efcp-23 -0x1.9bb06a82888eap-28 -0x1.34a9eab95cf34p-32""",
    """-0x1.26b6a40000000p-4 -0x1.cd73300000000p-10 -0x1.33b51a0000000p-14""",
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
    """0x1.d97fbf27aa2a1p+0 0x1.51c9b0006c21ap+1 0x1.afabc11a2afc3p-1 0x1.5477f099b85efp-5
        -0x1.48c9d37ffb6acp-7 0x1.033f5a1791a16p-9 -0x1.f1b04b7317438p-13 -0x1.b92dcba853c8fp-16
        0x1.c85299e23ed58p-16 -0x1.4484528996d5cp-17 0x1.1e24908b2bda5p-19 -0x1.b7d4bb7afbfdbp-23
        -0x1.f2485670533b2p-25 0x1.1ecdfd928e68ep-25 -0x1.24aa6e5aae3c9p-27 0x1.6a866b0ea7faap-30
        -0x1.065522a0a7cb6p-33 0x1.563a38ef43100p-38""",
    """0x1.d97fc00000000p+0 0x1.51c9aa0000000p+1 0x1.afad340000000p-1 0x1.53f9500000000p-5
        -0x1.441b1a0000000p-7 0x1.deb8a20000000p-10 -0x1.852d940000000p-13""",
)

# (x + 3) * exp(x**2) * erfc(x), x = 3*(1 + t)/(1 - t) from 0 to 27.3 (float32: 10.1)
ERFC = both(
    """0x1.12f21ddd9f5e2p+0 -0x1.c44c471baa375p-1 0x1.2e326945de2a5p-1 -0x1.3deb21415dd42p-2
        0x1.e995f11b190fep-4 -0x1.b78993d6a1773p-6 -0x1.3dd3e71bfd849p-10 0x1.8dae3a1f48b2cp-9
        -0x1.1f78e03007dfep-11 -0x1.2238fbc351515p-12 0x1.c324f94d5cbcap-14 0x1.fdfec1a01a517p-16
        -0x1.25168e03818fap-16 -0x1.3eb0d355699ecp-18 0x1.72bfe060ea469p-19 0x1.0bd6061202b9dp-20
        -0x1.b06d9954fc30fp-22 -0x1.f06f586493caap-23 0x1.5d932fc08b22fp-25 0x1.97f37e650999fp-25
        0x1.075238d837d43p-29 -0x1.9d1628a59786dp-28 -0x1.84357373ca3a7p-30""",
    """0x1.12f21e0000000p+0 -0x1.c44c480000000p-1 0x1.2e32680000000p-1 -0x1.3dead00000000p-2
        0x1.e997360000000p-4 -0x1.b7bd660000000p-6 -0x1.4157b40000000p-10 0x1.93b5d60000000p-9
        -0x1.fbe4da0000000p-12 -0x1.55c81a0000000p-12""",
)

# erfinv(x) / x as a function of w = -log(1 - x**2) <= 6.25
ERFINV_NEAR = both(
    """0x1.c5bf891b4ef6bp-1 0x1.db29fb2fee521p-3 0x1.7a72e72c352fap-7 -0x1.321102620b36fp-9
        -0x1.0c86b6cc2b4e2p-13 0x1.870136cd87248p-15 0x1.0f21f9692cf73p-19 -0x1.0fdb2e85313eap-20
        -0x1.3e48da2817bf1p-25 0x1.839f2bd2fba83p-26 0x1.f9cd39ae7f6c7p-31 -0x1.50fa037898e78p-31
        0x1.3c062313b33fdp-36 0x1.1481e83adc22fp-38 0x1.bb91c6d3df462p-41 0x1.8d7009f35ca05p-42
        -0x1.7d5a98e95d07fp-42 0x1.c3b5a58d42714p-44 -0x1.35ccd8c0421d4p-46 0x1.17e848181322ep-49
        -0x1.56aeefe9ac65fp-53 0x1.14bd390c1b2f9p-57 -0x1.0c451bc2e4921p-62 0x1.dba2a763f9c3dp-69""",
    """0x1.c5bf8a0000000p-1 0x1.db29d20000000p-3 0x1.7a865e0000000p-7 -0x1.32fb660000000p-9
        -0x1.ebb1ae0000000p-14 0x1.34e2e80000000p-15 0x1.f9e1a80000000p-18 -0x1.90a56e0000000p-19
        0x1.a6b85e0000000p-22 -0x1.afc5480000000p-26 0x1.68ece20000000p-31""",
)

# erfinv(x) as a function of sqrt(-log(1 - x**2)) - 2.5, from 0 to 1.6
ERFINV_MIDDLE = both(
    """0x1.2ab656e2f769bp+1 0x1.fc3740e3f4845p-1 0x1.c8215c1cb9e11p-7 -0x1.8b0f8dbdbb31ap-8
        0x1.3e54ba61dbbadp-10 0x1.5a8059c14c687p-12 -0x1.759e5ca53d030p-12 0x1.6d8cbf5c37953p-14
        0x1.3125332ce4523p-15 -0x1.f92f5bc9b5ad7p-16 0x1.15a90557a3649p-23 0x1.57824227e7296p-17
        -0x1.db8388bb8345dp-18 0x1.60b6b9ab27092p-19 -0x1.3a30f7657aaadp-21 0x1.2f8ba9322b5e1p-24
        -0x1.4f338fff11282p-29 -0x1.005d99ebbacc7p-32""",
    """0x1.2ab6580000000p+1 0x1.fc37120000000p-1 0x1.c8c0620000000p-7 -0x1.919ccc0000000p-8
        0x1.823d620000000p-10 -0x1.0410b60000000p-15 -0x1.800b6a0000000p-14 0x1.3bcc8e0000000p-16""",
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
    """-0x1.5555555555552p-2 0x1.999999999831fp-3 -0x1.24924923a30bfp-3 0x1.c71c713e683eap-4
        -0x1.745d020fd8c1bp-4 0x1.3b11b1cb04f90p-4 -0x1.10f213fe8c233p-4 0x1.df66790e16599p-5
        -0x1.9e4651ad185fcp-5 0x1.3b55cc97cbc47p-5 -0x1.2cb7354c30d47p-6""",
    """-0x1.5555500000000p-2 0x1.9993dc0000000p-3 -0x1.23d9e80000000p-3 0x1.b3cc740000000p-4
        -0x1.fa7f500000000p-5""",
)

# (asin(t) / t - 1) / z as a function of z = t**2, |t| <= 1/2
ASIN = both(
    """0x1.555555555555ap-3 0x1.3333333331800p-4 0x1.6db6db6fc1693p-5 0x1.f1c71b611d4a8p-6
        0x1.6e8bca0993a39p-6 0x1.1c4b4e2dbd639p-6 0x1.ca00bdcc5c87dp-7 0x1.7673e3d0cca93p-7
        0x1.5c47a08dabd8ap-7 0x1.16b0534f99c26p-8 0x1.4ed31a3cf93d2p-6 -0x1.3bc0af0f8f03fp-6
        0x1.02c70ef5ee530p-5""",
    """0x1.5555a40000000p-3 0x1.330b5c0000000p-4 0x1.73b32e0000000p-5 0x1.9317ae0000000p-6
        0x1.5418360000000p-5""",
)

# (sinh(x) / x - 1) / z as a function of z = x**2, |x| <= 1
SINH = both(
    """0x1.5555555555555p-3 0x1.11111111110d1p-7 0x1.a01a01a024b02p-13 0x1.71de3a490a421p-19
        0x1.ae646535f822fp-26 0x1.611b00af0a66cp-33 0x1.b498091560d04p-41""",
    """0x1.5555560000000p-3 0x1.1111300000000p-7 0x1.a000400000000p-13 0x1.79e1ee0000000p-19""",
)

# log2((1 + s) / (1 - s)) / s as a function of z = s**2, |s| <= (sqrt(2) - 1)**2: for float32
POW_LOG2 = both(
    """0x1.71547652bee89p+1 0x1.ec709d122bdcdp-1 0x1.27778057d85ebp-1 0x1.a58d585f18b04p-2
        0x1.5ceb9dded24e8p-2""",
    """""",
)

# 2**r, |r| <= 1/2: for float32
POW_EXP2 = both(
    """0x1.ffffffff4dce7p-1 0x1.62e430d09bd49p-1 0x1.ebfbe10e7985cp-3 0x1.c6aecbe832a7ep-5
        0x1.3b2995be16786p-7 0x1.5f48fc1381453p-10 0x1.449924b8f6939p-13""",
    """""",
)

# (atanh(s) / s - 1) / z as a function of z = s**2, |s| <= 0.201
ATANH = both(
    """0x1.5555555555553p-2 0x1.999999999b1d9p-3 0x1.249249229683ap-3 0x1.c71c741436296p-4
        0x1.745c621b0203cp-4 0x1.3b3353a97702cp-4 0x1.0ded5be7e0e56p-4 0x1.1ac2ae7acd480p-4""",
    """0x1.5555540000000p-2 0x1.999bb00000000p-3 0x1.23ef7e0000000p-3 0x1.ed15c20000000p-4""",
)

# ((log((1 + s) / (1 - s)) / s - 2) / z - 2/3) / z as a function of z = s**2, |s| <= (sqrt(2) - 1)**2
LOG_TAIL = both(
    """0x1.99999999999b8p-2 0x1.2492492486876p-2 0x1.c71c71e9d998dp-3 0x1.745d0179f5fa4p-3
        0x1.3b1aa15bca279p-3 0x1.0fe43c2ad5068p-3 0x1.0aa0bf4d0ed01p-3""",
    """""",
)

# log(Gamma(2 + t)) / t, -3/4 <= t <= 1/4
LGAMMA = both(
    """0x1.b0ee6072093cep-2 0x1.4a34cc4a60fa2p-2 -0x1.13e001a5574d9p-4 0x1.51322ac7dd6cap-6
        -0x1.e404fc22258e4p-8 0x1.7add6e9cbbca9p-9 -0x1.38ac5be17126cp-10 0x1.0b36bbd3b6cb1p-11
        -0x1.d3fd2a410a397p-13 0x1.a11f979f34470p-14 -0x1.790b94139c431p-15 0x1.58ec710f7335ep-16
        -0x1.318ee3aed6e83p-17 0x1.3dd914f0c44a1p-18 -0x1.af210682948dap-19 -0x1.cea8ba048e635p-19
        -0x1.ccb59eb87d9abp-18 -0x1.31008c4fdc9f1p-18 -0x1.bfb617a9e6c58p-20""",
    """0x1.b0ee600000000p-2 0x1.4a34cc0000000p-2 -0x1.13e0b00000000p-4 0x1.5132900000000p-6
        -0x1.e29be40000000p-8 0x1.7fb8680000000p-9 -0x1.63a70c0000000p-10 -0x1.0d8ee00000000p-14
        -0x1.9c40d60000000p-11""",
)

# x * (log(Gamma(x)) - (x - 1/2)*log(x) + x - log(2*pi)/2) as a function of z = 1/x**2, x >= 8
STIRLING = both(
    """0x1.5555555555545p-4 -0x1.6c16c16b2aa95p-9 0x1.a019fa2963207p-11 -0x1.380d01a5f35fbp-11
        0x1.b68b8cc5b946dp-11 -0x1.ac3198c9cee49p-10""",
    """0x1.5555460000000p-4 -0x1.6a14e40000000p-9""",
)

# x * digamma(x) / (x - root), 1 <= x <= 2.25, as a function of x - 1.5
DIGAMMA = both(
    """0x1.6d3498ca56891p+0 0x1.433082f05864ap-2 -0x1.0148eed6c6c2bp-4 0x1.25d9429f598edp-6
        -0x1.8417ed8f94d4dp-8 0x1.13f9ae1fc6a58p-9 -0x1.996841be4dc22p-11 0x1.37928ee19829bp-12
        -0x1.e206e675153c8p-14 0x1.78dc7eb3b4ff1p-15 -0x1.28bec2d11f4d3p-16 0x1.d59d1a452735bp-18
        -0x1.74d4b3399b0adp-19 0x1.282cbdde04c72p-20 -0x1.d6428c0592ccdp-22 0x1.7e6a76cdfd7a9p-23
        -0x1.46f5050224399p-24 0x1.efb0faa71b1a2p-26 -0x1.9cda5cb353d3bp-28""",
    """0x1.6d34980000000p+0 0x1.4330820000000p-2 -0x1.0149260000000p-4 0x1.25d9920000000p-6
        -0x1.83dde80000000p-8 0x1.13a43c0000000p-9 -0x1.a335380000000p-11 0x1.4d30260000000p-12
        -0x1.6dfb340000000p-14""",
)

# (log(x) - 1/(2*x) - digamma(x)) * x**2 as a function of z = 1/x**2, x >= 8
DIGAMMA_TAIL = both(
    """0x1.555555555533ap-4 -0x1.1111110be294cp-7 0x1.04103002ae3e6p-8 -0x1.11042ca363fcep-8
        0x1.eb7d86bbcd593p-8 -0x1.1af7dd3907571p-6""",
    """0x1.5554e80000000p-4 -0x1.0e4a520000000p-7""",
)
