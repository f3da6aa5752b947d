"""Numbers for code that looks them up by piece of an interval: a row for each coefficient, constant term first.

Written by `python -m chainrule.compiler.vecmath.fit_pieces`.
"""

from __future__ import annotations

from .core import hex_floats

# (exp(r) - 1 - r) / r**2, |r| <= log(2)/16
EXP_NEAR = (
    hex_floats("""0x1.000000000002ep-1 0x1.555555555556ap-3 0x1.5555554e93acap-5 0x1.1111110e10556p-7
        0x1.6c1b7131a0993p-10 0x1.a01e2c15a33f3p-13"""),
)

# 2**(i / 8), and what it lacks, relatively
POWERS = (
    hex_floats("""0x1.0000000000000p+0 0x1.172b83c7d517bp+0 0x1.306fe0a31b715p+0 0x1.4bfdad5362a27p+0
        0x1.6a09e667f3bcdp+0 0x1.8ace5422aa0dbp+0 0x1.ae89f995ad3adp+0 0x1.d5818dcfba487p+0"""),
    hex_floats("""0x0.0p+0 -0x1.01b15eaa59348p-55 0x1.34d754db0abb6p-55 0x1.690cebb7aafb0p-56
        -0x1.3b3efbf5e2228p-54 0x1.db72fc1f0eab4p-55 0x1.c1a7792cb3387p-55 0x1.4a385a63d07a7p-56"""),
)

# erf(i * ERF_STEP + t), |t| <= ERF_STEP / 2
ERF = (
    hex_floats("""0x0.0p+0 0x1.7b0eb0e4557fdp-1 0x1.f3a0071abe5dbp-1 0x1.ffa18dbda8249p-1
        0x1.ffff254898cb6p-1 0x1.ffffff6a8a8bdp-1 0x1.ffffffffe254cp-1 0x1.fffffffffffe5p-1"""),
    hex_floats("""0x1.20dd750429b6dp+0 0x1.32113f1f17fd9p-1 0x1.6c11863374ecfp-4 0x1.e62cee648ec07p-9
        0x1.6c6eb9e26cbb3p-15 0x1.32ae0832f8c59p-23 0x1.21bb873bdf319p-33 0x1.334b219764773p-45"""),
    hex_floats("""-0x1.4398307e8aaecp-193 -0x1.e7e82e3779266p-2 -0x1.222f07c34b965p-3 -0x1.22a1f20e7ada0p-7
        -0x1.2279515125424p-13 -0x1.318d525d40c95p-21 -0x1.5a6686d513018p-31 -0x1.aca0fb01df5f9p-43"""),
    hex_floats("""-0x1.812746b0379e5p-2 0x1.b9b8c326d0ce6p-5 0x1.ef6d09a427647p-4 0x1.a6c99a6d63ec4p-7
        0x1.2583c63c88218p-12 0x1.89205016d442fp-20 0x1.0e10b2c433b8bp-29 0x1.882e3420c3fe3p-41"""),
    hex_floats("""0x1.496a928f42397p-185 0x1.1942f61f78e83p-3 -0x1.92dad9e776b8dp-5 -0x1.989a0ebec9838p-7
        -0x1.a37bfabd886b9p-12 -0x1.6e37c723a966fp-19 -0x1.34740292363e2p-28 -0x1.089648036a2cfp-39"""),
    hex_floats("""0x1.ce2f21a042840p-4 -0x1.eb35195fd4cb3p-5 -0x1.43032ee94c538p-8 0x1.07fa9ed673d9ap-7
        0x1.bee933ebe6255p-12 0x1.0669974c0bdc7p-18 0x1.12c56ec6c0346p-27 0x1.188a7d109ee67p-38"""),
    hex_floats("""-0x1.a162de2d220edp-179 -0x1.5302c230814f1p-6 0x1.01c4112332fc4p-6 -0x1.95c8d21771598p-9
        -0x1.6b16ea5825abbp-12 -0x1.2bc48081642cbp-18 -0x1.8ce3e22ef7628p-27 -0x1.e678f2dc19758p-38"""),
    hex_floats("""-0x1.b82ce3124dfb2p-6 0x1.371c8c85f66d9p-6 -0x1.88b3ca93ce51ep-8 0x1.9d206024f75d7p-13
        0x1.c0adc861e506fp-13 0x1.16da3f9d393eap-18 0x1.dce2185f2d1cfp-27 0x1.62595cb11ab9ap-37"""),
    hex_floats("""0x1.e7ff4a51789c4p-174 0x1.54da890cbe7a7p-11 -0x1.01c17154b4b03p-10 0x1.1e12fc2d9ac2bp-11
        -0x1.9406d111d39b1p-14 -0x1.ab2eaef333da4p-19 -0x1.e51b864169dacp-27 -0x1.ba2471a5e097dp-37"""),
    hex_floats("""0x1.565bccf0a94b0p-8 -0x1.f30b6a94528f7p-9 0x1.8cbe9ba35e128p-10 -0x1.58304f5d4c091p-12
        0x1.bf0f6ef0e09c8p-16 0x1.0de0ee788f539p-19 0x1.a6d1603171241p-27 0x1.df4c1c6d6aa55p-37"""),
    hex_floats("""-0x1.32bee8c77e5a2p-169 0x1.019e29a993bd3p-11 -0x1.42ac32f844a33p-12 0x1.f71a2ecd0a04cp-15
        0x1.1ee645b1d79b0p-23 -0x1.1654b2aaa8d46p-20 -0x1.3e2bd19b4231fp-27 -0x1.c83c50387a5a9p-37"""),
    hex_floats("""-0x1.c02da30d28db0p-11 0x1.215041daa65c1p-11 -0x1.4c541c214030bp-13 0x1.cfb132f95007cp-16
        -0x1.29d1786aa405ap-18 0x1.c56a94dcb9705p-22 0x1.9eef4b0e984b5p-28 0x1.80630eb7cbcf8p-37"""),
    hex_floats("""0x1.b92b9300b938fp-166 -0x1.35dd69de86a45p-13 0x1.7426327b77539p-14 -0x1.51400bc8e42b5p-16
        0x1.39c9b6f4c9c03p-19 -0x1.08f61cfcebbcep-23 -0x1.d49f6fd145ef2p-29 -0x1.2051959ff68d8p-37"""),
    hex_floats("""0x1.f99d79178ebd8p-14 -0x1.f4d34fdc951ccp-15 0x1.3c4556187a8aep-21 0x1.d56187aadf8aap-19
        -0x1.17aa89df6ac0fp-21 0x1.149269f2ff03dp-26 0x1.c77d9bd4133a1p-30 0x1.82a9439dfa455p-38"""),
    hex_floats("""-0x1.6b6a0ed188a9ap-163 0x1.b8ec8e98baecbp-16 -0x1.8d17c9c0010adp-17 0x1.86e82324b8a97p-20
        -0x1.312866ed5e25bp-24 0x1.e848607a42d14p-28 -0x1.7733cde1621e4p-31 -0x1.d02f3aac9c097p-39"""),
    hex_floats("""-0x1.f3b5b62a7a9cfp-17 0x1.34c999e7e2a37p-18 0x1.4691f84f9e233p-19 -0x1.e1b12ab600867p-21
        0x1.979aca2a4b7c3p-24 -0x1.8d5862c2c533ep-28 0x1.fabe000f8c7edp-33 0x1.f06980323de35p-40"""),
    hex_floats("""0x1.3efebea7a3cefp-161 -0x1.d813f6a71ded4p-19 0x1.e087bc2d0497fp-21 0x1.a3c255f88c024p-24
        -0x1.fa13decaa18edp-26 0x1.1989b8bc58ecbp-29 -0x1.fe6b25324ff8dp-35 -0x1.de3408daab32ep-41"""),
    hex_floats("""0x1.9ba8142c40df7p-20 -0x1.8f8989df7cca1p-23 -0x1.b2e7e0c47590ep-22 0x1.324b0a18af031p-24
        -0x1.d188b557f5e72p-34 -0x1.319180283887dp-32 0x1.9b32f6e638e74p-38 0x1.bd7b057f7bdb5p-42"""),
    hex_floats("""-0x1.ce9d30e2cfa24p-161 0x1.82610f3ce73d6p-22 -0x1.56d82a3e2ff4ep-26 -0x1.d55d4d2444657p-26
        0x1.8e38fa16649f7p-29 -0x1.6f5793e442724p-34 0x1.7ce9bd9aee492p-39 -0x1.45b75c3769d1dp-43"""),
)

# exp(x**2) * erfc(x), x = c + t; for x + 2 the pieces are the halves of [2, 4), [4, 8), [8, 16), [16, 32)
ERFCX = (
    hex_floats("""0x1.3b3bc3c98b0f3p-1 0x1.494daffa2ad68p-2 0x1.6e9827d229d2dp-3 0x1.c57239e943d1ap-4
        0x1.1ea8c4009b459p-4 0x1.7fd46c5e0864dp-5 0x1.005fe090c5e5dp-5 0x1.63438bf2c3ee9p-6"""),
    hex_floats("""-0x1.067f263ec85e7p-1 -0x1.4f1988444caf7p-3 -0x1.bd6ae4d14b16fp-5 -0x1.5d843497d4f3ap-6
        -0x1.1a5881c7389ebp-7 -0x1.fc477b46d665ap-9 -0x1.c661852c5133ap-10 -0x1.b49a775427ef7p-11"""),
    hex_floats("""0x1.6ff861544dbc7p-2 0x1.37ea271bc54bcp-4 0x1.043fe1a98be88p-6 0x1.08cf82b79a119p-8
        0x1.14108e58a99bap-10 0x1.4f67f473cc4f7p-12 0x1.920b4fb0716e2p-14 0x1.0c15fcc6f7fe9p-15"""),
    hex_floats("""-0x1.c6ad7a6f37cf4p-3 -0x1.0dc51d2941e6cp-5 -0x1.259061ba854c1p-8 -0x1.8abc198707c8fp-11
        -0x1.0bfde7c27b32ap-13 -0x1.b92eddb6a4c3ap-16 -0x1.6332593657780p-18 -0x1.48fb6bc69793cp-20"""),
    hex_floats("""0x1.fc9a0571055d7p-4 0x1.b65944f34fbb6p-7 0x1.409cc2ed7c676p-10 0x1.219f2c3353d25p-13
        0x1.0254d2c6017e0p-16 0x1.21338ab42f838p-19 0x1.3955a9a7a2081p-22 0x1.936a6b39ad5dbp-25"""),
    hex_floats("""-0x1.0605940f2e6f3p-4 -0x1.513ed7600d3c7p-8 -0x1.53dec9d0b9a9cp-12 -0x1.a2a81d24c9f37p-16
        -0x1.ee9dcc23185e0p-20 -0x1.79e921ac66513p-23 -0x1.13fdbd8e3100bp-26 -0x1.ee543f9173595p-30"""),
    hex_floats("""0x1.f7744f3383957p-6 0x1.ee705e7311a51p-10 0x1.5e7392ddcfa64p-14 0x1.2a41152d7ef02p-18
        0x1.d6521dd019589p-23 0x1.ec3b264abcbd4p-27 0x1.e57844f559f5dp-31 0x1.2ea50cff76b28p-34"""),
    hex_floats("""-0x1.c71017354dde5p-7 -0x1.5b0abfe6309ffp-11 -0x1.6025101d28a94p-16 -0x1.a3193cf5f9063p-21
        -0x1.bc434a135cc5cp-26 -0x1.3f89d9abb0de8p-30 -0x1.aa561a5908380p-35 -0x1.724f1c7a36032p-39"""),
    hex_floats("""0x1.85b04a993c3a4p-8 0x1.d4509d425f248p-13 0x1.595f27c2c7c6dp-18 0x1.228a7917abdfdp-23
        0x1.a0ed518bb6e23p-29 0x1.9d8bf9b350742p-34 0x1.75d9e0f3e05e5p-39 0x1.c4c5dc8d8efc9p-44"""),
    hex_floats("""-0x1.3de7217756c96p-9 -0x1.30c0ec8eebc29p-14 -0x1.4b146c6ed27e6p-20 -0x1.8dabbac8b743bp-26
        -0x1.84c7f63270c71p-32 -0x1.0ac36c941a74ap-37 -0x1.4757e40bf9d07p-43 -0x1.149998a072232p-48"""),
    hex_floats("""0x1.f056c7c39ad76p-11 0x1.7f99660093fdap-16 0x1.3696cb37dcf88p-22 0x1.0cc723198779bp-28
        0x1.6840a140aee02p-35 0x1.571548c5b9588p-41 0x1.1e30fd37b5eebp-47 0x1.51b4dfd47d1b8p-53"""),
    hex_floats("""-0x1.7428ce5e7c884p-12 -0x1.d4155e4da48d2p-18 -0x1.1d774cff47edfp-24 -0x1.66f79e0cc46bep-31
        -0x1.4bc7ba22572f4p-38 -0x1.b7dfc5be633dcp-45 -0x1.f3b592191e26ep-52 -0x1.9c042f97dd4adp-58"""),
    hex_floats("""0x1.0ce98121d9b97p-13 0x1.15709ea561233p-19 0x1.018c624816f09p-26 0x1.d9ec03d80dce4p-34
        0x1.301f73bc4292fp-41 0x1.1929db7e44a62p-48 0x1.b41b0611bdd06p-56 0x1.f65fefe723473p-63"""),
    hex_floats("""-0x1.775e4847fae74p-15 -0x1.40090078056f8p-21 -0x1.c7b1b854f2367p-29 -0x1.3544de075d6e7p-36
        -0x1.14ba4f11e28ccp-44 -0x1.6649bd3e32931p-52 -0x1.7ba00a2527934p-60 -0x1.3204e227ff07ap-67"""),
    hex_floats("""0x1.f87de3f80a34bp-17 0x1.66d11225ee11dp-23 0x1.8478bbaf9ab7bp-31 0x1.8cf04c41fd85dp-39
        0x1.e7aa4c46562b3p-48 0x1.c48b52a741ff8p-56 0x1.426b14c11d3bep-64 0x1.72b20cf15e0ddp-72"""),
    hex_floats("""-0x1.4b0743afe62d6p-18 -0x1.89dc72c25d886p-25 -0x1.4c55e1e29e94cp-33 -0x1.fb111742ce5ebp-42
        -0x1.b6e4a57a06e9fp-51 -0x1.1ea240a0baa2ep-59 -0x1.17e5094faaab4p-68 -0x1.c2f9c51caeaaap-77"""),
    hex_floats("""0x1.d78bdb0f34d96p-20 0x1.c8ee5d35f0fe6p-27 0x1.58427bcf142c4p-35 0x1.678bda3aaadccp-44
        0x1.f7a43492e9375p-54 0x1.973c0eafba152p-63 0x1.332dcb6ecc0d0p-72 0x1.31d3e87b09d32p-81"""),
    hex_floats("""-0x1.23264e43f18b6p-21 -0x1.ddfe13df3446dp-29 -0x1.1b460bea38f20p-37 -0x1.c0e9fe97387b3p-47
        -0x1.bed26d394318cp-57 -0x1.003b600a085dep-66 -0x1.09b4144bdcff5p-76 -0x1.7378175148d94p-86"""),
)
