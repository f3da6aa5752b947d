"""Numerically delicate formulas from public collections, each with the bits of error that it may have.

Sources: FPBench (MIT licence), most after R. W. Hamming, "Numerical Methods for Scientists and Engineers", 1987, chapter 3, and
the Herbie benchmark suite (MIT licence).
"""
from __future__ import annotations

from dataclasses import dataclass, field

Range = tuple[float, float]
LARGE, SMALL, TINY = (1.0, 1e300), (1e-140, 1e-3), (1e-15, 1e-3)


@dataclass(frozen=True)
class Delicate:
    """A formula, its ranges, and the mean bits of error (of 64) allowed to value and gradient."""

    name: str
    text: str
    ranges: dict[str, Range] = field(hash=False)
    value_bits: float = 2.0
    gradient_bits: float = 2.0


FORMULAS = (
    Delicate("root difference", "sqrt(x + 1) - sqrt(x)", {"x": LARGE}),
    Delicate("sine difference", "sin(x + eps) - sin(x)", {"x": (0.1, 3.0), "eps": TINY}),
    Delicate("tangent of the half", "(1 - cos(x))/sin(x)", {"x": SMALL}),
    Delicate("arctangent difference", "atan(N + 1) - atan(N)", {"N": (1e3, 1e70)}),
    Delicate("reciprocal roots", "1/sqrt(x) - 1/sqrt(x + 1)", {"x": (1.0, 1e95)}),
    Delicate("reciprocals", "1/(x + 1) - 1/x", {"x": (1.0, 1e95)}),
    Delicate("cosine difference", "cos(x + eps) - cos(x)", {"x": (0.1, 3.0), "eps": TINY}),
    Delicate("cube roots", "(x + 1)**(1/3) - x**(1/3)", {"x": (1.0, 1e100)}, 2.0, 8.0),
    Delicate("logarithm difference", "log(N + 1) - log(N)", {"N": (1.0, 1e100)}),
    Delicate("exponentials less two", "exp(x) - 2 + exp(-x)", {"x": SMALL}),
    Delicate("quadratic root, +", "(-b + sqrt(b*b - 4*a*c))/(2*a)", {"a": (0.5, 5.0), "b": (1e3, 1e20), "c": (0.1, 2.0)}, 3.0, 24.0),
    Delicate("quadratic root, -", "(-b - sqrt(b*b - 4*a*c))/(2*a)", {"a": (0.5, 5.0), "b": (-1e20, -1e3), "c": (0.1, 2.0)}, 3.0, 24.0),
    Delicate("exponential less one", "exp(x) - 1", {"x": SMALL}),
    Delicate("entropy difference", "(N + 1)*log(N + 1) - N*log(N) - 1", {"N": (1.0, 1e15)}),
    Delicate("reciprocal less cotangent", "1/x - 1/tan(x)", {"x": SMALL}),
    Delicate("ratio of logarithms", "log(1 - x)/log(1 + x)", {"x": TINY}, 2.0, 60.0),
    Delicate("versine over square", "(1 - cos(x))/(x*x)", {"x": SMALL}),
    Delicate("logarithm of a ratio", "log((1 - eps)/(1 + eps))", {"eps": SMALL}),
    Delicate("differences of sine and tangent", "(x - sin(x))/(x - tan(x))", {"x": TINY}, 64.0, 64.0),
    Delicate("ratio of exponentials", "exp(x)/(exp(x) - 1)", {"x": (-300.0, 300.0)}, 2.0, 4.0),
    Delicate("real part of a root", "0.5*sqrt(2.0*(sqrt(re*re + im*im) + re))", {"re": (-1e60, -1.0), "im": (1e-60, 1.0)}),
    Delicate("relative exponential", "(exp(x) - 1)/x", {"x": SMALL}),
    Delicate("asinh", "log(x + sqrt(x*x + 1))", {"x": (1e-100, 1e100)}),
    Delicate("acosh", "log(x + sqrt(x*x - 1))", {"x": (1.5, 1e150)}),
    Delicate("atanh", "0.5*log((1 + x)/(1 - x))", {"x": SMALL}),
    Delicate("tanh", "(exp(x) - exp(-x))/(exp(x) + exp(-x))", {"x": (-300.0, 300.0)}),
    Delicate("softplus", "log(1 + exp(x))", {"x": (-1000.0, 1000.0)}),
    Delicate("softmax of two", "exp(a)/(exp(a) + exp(b))", {"a": (-300.0, 300.0), "b": (-300.0, 300.0)}, 10.0, 10.0),
    Delicate("logarithm of one plus", "log(1 + x)", {"x": SMALL}),
    Delicate("norm of two", "sqrt(x**2 + y**2)", {"x": (1e-200, 1e200), "y": (1e-200, 1e200)}),
    Delicate("annuity", "(1 - (1 + r)**(-n))/r", {"r": (1e-15, 1e-2), "n": (10.0, 300.0)}, 3.0, 20.0),
    Delicate("great circle", "acos(sin(p)*sin(q) + cos(p)*cos(q)*cos(d))", {"p": (0.5, 0.6), "q": (0.5, 0.6), "d": TINY}, 3.0, 4.0),
    Delicate("needle triangle", "sqrt((a + b + c)/2*((a + b + c)/2 - a)*((a + b + c)/2 - b)*((a + b + c)/2 - c))",
             {"a": (1.0, 1.0000001), "b": (1.0, 1.0000001), "c": (1e-6, 1e-3)}, 3.0, 12.0),
)
