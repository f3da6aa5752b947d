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
    Delicate("quadratic root, +", "(-b + sqrt(b*b - 4*a*c))/(2*a)", {"a": (0.5, 5.0), "b": (1e3, 1e20), "c": (0.1, 2.0)}),
    Delicate("quadratic root, -", "(-b - sqrt(b*b - 4*a*c))/(2*a)", {"a": (0.5, 5.0), "b": (-1e20, -1e3), "c": (0.1, 2.0)}),
    Delicate("exponential less one", "exp(x) - 1", {"x": SMALL}),
    Delicate("entropy difference", "(N + 1)*log(N + 1) - N*log(N) - 1", {"N": (1.0, 1e15)}),
    Delicate("reciprocal less cotangent", "1/x - 1/tan(x)", {"x": SMALL}),
    Delicate("ratio of logarithms", "log(1 - x)/log(1 + x)", {"x": TINY}),
    Delicate("versine over square", "(1 - cos(x))/(x*x)", {"x": SMALL}),
    Delicate("logarithm of a ratio", "log((1 - eps)/(1 + eps))", {"eps": SMALL}),
    Delicate("differences of sine and tangent", "(x - sin(x))/(x - tan(x))", {"x": TINY}),
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
    # differences and quotients that lose what they are, from textbooks of numerical analysis, statistics and physics
    Delicate("three reciprocals", "1/(x+1) - 2/x + 1/(x-1)", {"x": (10.0, 1e70)}, 2.0, 3),
    Delicate("tangent difference", "tan(x+eps)-tan(x)", {"x": (0.1, 1.4), "eps": (1e-15, 0.001)}),
    Delicate("root difference of two", "sqrt(x+eps)-sqrt(x)", {"x": (0.1, 1e10), "eps": (1e-15, 0.001)}),
    Delicate("exponential difference", "exp(x+eps)-exp(x)", {"x": (-5.0, 5.0), "eps": (1e-15, 0.001)}),
    Delicate("logarithm difference of two", "log(x+eps)-log(x)", {"x": (0.1, 1000.0), "eps": (1e-15, 0.001)}),
    Delicate("arctangent difference of two", "atan(x+eps)-atan(x)", {"x": (0.1, 1000.0), "eps": (1e-15, 0.001)}),
    Delicate("square difference", "(x+eps)**2-x**2", {"x": (1.0, 1e9), "eps": (1e-15, 0.001)}),
    Delicate("fifth power difference", "(x+eps)**5-x**5", {"x": (1.0, 1e9), "eps": (1e-15, 0.001)}),
    Delicate("reciprocal difference of two", "1/(x+eps)-1/x", {"x": (0.1, 1e9), "eps": (1e-15, 0.001)}),
    Delicate("difference of squares", "x**2-y**2", {"x": (1.0, 1.000001), "y": (1.0, 1.000001)}),
    Delicate("cathetus", "sqrt(x**2-y**2)", {"x": (1.000002, 1.00001), "y": (1.0, 1.000001)}),
    Delicate("difference of n-th roots", "(x+1)**(1/n)-x**(1/n)", {"x": (1000.0, 1e12), "n": (2.0, 20.0)}, 3, 40),
    Delicate("exponential of a product less one", "exp(a*x)-1", {"a": (1e-5, 1.0), "x": (1e-20, 0.001)}),
    Delicate("quadratic root, halved", "(-b+sqrt(b*b-a*c))/a", {"a": (0.5, 5.0), "b": (1000.0, 1e20), "c": (0.1, 2.0)}),
    Delicate("quadratic root by the half", "(-(b/2)-sqrt((b/2)**2-a*c))/a", {"a": (0.5, 5.0), "b": (-1e20, -1000.0), "c": (0.1, 2.0)}),
    Delicate("root of a ratio of exponentials", "sqrt((exp(2*x)-1)/(exp(x)-1))", {"x": (1e-140, 0.001)}),
    Delicate("one less cosine squared", "1-cos(x)**2", {"x": (1e-140, 0.001)}),
    Delicate("sine less argument", "sin(x)-x", {"x": (1e-30, 1.0)}),
    Delicate("tangent less sine", "tan(x)-sin(x)", {"x": (1e-30, 1.0)}),
    Delicate("second remainder of exp", "(exp(x)-1-x)/x**2", {"x": (1e-30, 1.0)}),
    Delicate("Langevin", "1/tanh(x)-1/x", {"x": (1e-30, 10.0)}),
    Delicate("slope of Langevin", "1/x**2-1/sinh(x)**2", {"x": (1e-10, 10.0)}, 2.0, 3),
    Delicate("Bose", "x**3/(exp(x)-1)", {"x": (1e-100, 600.0)}),
    Delicate("Einstein", "x**2*exp(x)/(exp(x)-1)**2", {"x": (1e-50, 300.0)}),
    Delicate("compound interest", "100*((1+i/n)**n-1)/(i/n)", {"i": (1e-8, 0.5), "n": (1.0, 1e6)}, 2.0, 12),
    Delicate("compounding", "(1+r/n)**(n*t)", {"r": (1e-8, 0.2), "n": (1.0, 1e8), "t": (1.0, 30.0)}, 2.0, 20),
    Delicate("limit of e", "(1+1/n)**n", {"n": (1.0, 1e15)}, 2.0, 3),
    Delicate("logit", "log(p/(1-p))", {"p": (1e-10, 0.999)}),
    Delicate("logit near one half", "log(p/(1-p))", {"p": (0.4999999, 0.5000001)}),
    Delicate("binary entropy", "-p*log(p)-(1-p)*log(1-p)", {"p": (1e-30, 0.9)}),
    Delicate("binary divergence", "p*log(p/q)+(1-p)*log((1-p)/(1-q))", {"p": (0.4, 0.400001), "q": (0.4, 0.400001)}),
    Delicate("divergence", "p*log(p/q)-p+q", {"p": (1.0, 1.0001), "q": (1.0, 1.0001)}),
    Delicate("log-sum-exp of three", "log(exp(a)+exp(b)+exp(c))", {"a": (-1000.0, 1000.0), "b": (-1000.0, 1000.0), "c": (-1000.0, 1000.0)}),
    Delicate("softmax of three", "exp(a)/(exp(a)+exp(b)+exp(c))", {"a": (-1000.0, 1000.0), "b": (-1000.0, 1000.0), "c": (-1000.0, 1000.0)}),
    Delicate("cross entropy of three", "-log(exp(a)/(exp(a)+exp(b)+exp(c)))",
             {"a": (-1000.0, 1000.0), "b": (-1000.0, 1000.0), "c": (-1000.0, 1000.0)}),
    Delicate("binary cross entropy", "-y*log(1/(1+exp(-z)))-(1-y)*log(1-1/(1+exp(-z)))", {"y": (0.1, 0.9), "z": (-1000.0, 1000.0)}),
    Delicate("log of a Gaussian", "log(exp(-x**2/2)/2.5066282746310002)", {"x": (-1000.0, 1000.0)}),
    Delicate("norm of three", "sqrt(x*x+y*y+z*z)", {"x": (1e-200, 1e200), "y": (1e-200, 1e200), "z": (1e-200, 1e200)}),
    Delicate("imaginary part of a root", "sqrt((sqrt(x*x+y*y)-x)/2)", {"x": (1.0, 1e60), "y": (1e-60, 1.0)}),
    Delicate("arc cosine near one", "acos(1-x)", {"x": (1e-100, 0.001)}),
    Delicate("root less one", "sqrt(1+x)-1", {"x": (1e-140, 0.001)}),
    Delicate("one less root", "1-sqrt(1-x*x)", {"x": (1e-140, 0.001)}),
    Delicate("Lorentz factor less one", "1/sqrt(1-v*v)-1", {"v": (1e-140, 0.001)}),
    Delicate("relativistic kinetic energy", "sqrt(m*m+p*p)-m", {"m": (1.0, 10.0), "p": (1e-140, 0.001)}),
    Delicate("argument less logarithm", "x-log(1+x)", {"x": (1e-30, 1.0)}),
    Delicate("relative logarithm", "log(1+x)/x", {"x": (1e-100, 10.0)}),
    Delicate("logarithm over its argument less one", "log(x)/(x-1)", {"x": (1.0, 1.0001)}),
    Delicate("logarithmic mean", "(x-y)/(log(x)-log(y))", {"x": (1.0, 1.0001), "y": (1.0, 1.0001)}, 2.0, 25),
    Delicate("Bernoulli", "x/(exp(x)-1)", {"x": (-700.0, 700.0)}),
    Delicate("inverse of softplus", "log(exp(x)-1)", {"x": (1e-100, 1000.0)}),
    Delicate("log of one less exp", "log(1-exp(-x))", {"x": (1e-100, 1000.0)}),
    Delicate("log of a difference of exp", "log(exp(x)-exp(y))", {"x": (2.0, 1000.0), "y": (-1000.0, 1.9)}),
    Delicate("log-cosh", "log(cosh(x))", {"x": (1e-100, 1000.0)}),
    Delicate("tail of tanh", "1-tanh(x)", {"x": (0.1, 300.0)}),
    Delicate("sine of the half", "sqrt((1-cos(x))/2)", {"x": (1e-140, 0.001)}),
    Delicate("chord", "sqrt(2-2*cos(x))", {"x": (1e-140, 0.001)}),
    Delicate("law of cosines, needle", "sqrt(a*a+b*b-2*a*b*cos(t))", {"a": (1.0, 1.001), "b": (1.0, 1.001), "t": (1e-6, 0.001)}),
    Delicate("sinh less argument", "sinh(x)-x", {"x": (1e-30, 1.0)}),
    Delicate("ratio of second remainders", "(1-cos(x))/(exp(x)-1-x)", {"x": (1e-10, 1.0)}),
    Delicate("remainders of sine and tangent", "(sin(x)-x)/(tan(x)-x)", {"x": (1e-15, 0.001)}),
    Delicate("one less x cot x", "1-x/tan(x)", {"x": (1e-15, 0.001)}),
    Delicate("logarithm of sinc", "log(sin(x)/x)", {"x": (1e-15, 0.001)}),
    Delicate("difference of sine squares", "sin(x)**2-sin(y)**2", {"x": (1.0, 1.0001), "y": (1.0, 1.0001)}, 3, 2.0),
    Delicate("difference of exponentials", "exp(x)-exp(y)", {"x": (1.0, 1.0001), "y": (1.0, 1.0001)}),
    Delicate("tanh difference", "tanh(x+eps)-tanh(x)", {"x": (0.1, 3.0), "eps": (1e-15, 0.001)}, 2.0, 3),
    Delicate("sigmoid less one half", "1/(1+exp(-x))-0.5", {"x": (1e-140, 0.001)}),
    Delicate("Box-Cox", "(x**l-1)/l", {"x": (0.1, 10.0), "l": (1e-12, 1.0)}),
    Delicate("Tsallis", "(x**(1-q)-1)/(1-q)", {"x": (0.1, 10.0), "q": (1.0000001, 1.1)}),
    Delicate("logarithm of a near ratio", "log(x/y)", {"x": (1.0, 1.000001), "y": (1.0, 1.000001)}),
    Delicate("logarithm of (x + 1)/x", "log((x+1)/x)", {"x": (1.0, 1e100)}),
    Delicate("one less x/(1 + x)", "1-x/(1+x)", {"x": (1.0, 1e100)}),
    Delicate("one less 1/(1 + x)", "1-1/(1+x)", {"x": (1e-140, 0.001)}),
    Delicate("scaled root difference", "x*(sqrt(x*x+1)-x)", {"x": (1.0, 1e150)}, 2.0, 3),
    Delicate("root of x(x + 1) less x", "sqrt(x*x+x)-x", {"x": (1.0, 1e150)}),
    Delicate("coth of the half", "(exp(x)-exp(-x))/(exp(x)+exp(-x)-2)", {"x": (1e-10, 100.0)}, 2.0, 7),
)
