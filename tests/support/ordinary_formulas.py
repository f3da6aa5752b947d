"""Ordinary scalar formulas from textbooks, in ranges in which they are well conditioned.

Sources: R. P. Feynman, "Lectures on Physics" (as listed by Udrescu & Tegmark, "AI Feynman", 2020); the documentation of SymPy;
usual textbooks of statistics, chemistry, finance and numerical analysis.
"""
from __future__ import annotations

from typing import NamedTuple

Range = tuple[float, float]


class Ordinary(NamedTuple):
    """A formula in the names of `math`, and the ranges of its variables."""

    text: str
    ranges: dict[str, Range]


def _of(text: str, **ranges: Range) -> Ordinary:
    return Ordinary(text, ranges)


UNIT, ONE = (0.1, 0.9), (1.0, 5.0)

FORMULAS = {
    # mechanics and relativity
    "relativistic mass": _of("m/sqrt(1 - v**2/c**2)", m=ONE, v=(1.0, 2.0), c=(3.0, 10.0)),
    "gravity": _of("G*m1*m2/((x2 - x1)**2 + (y2 - y1)**2)", G=ONE, m1=ONE, m2=ONE, x1=(1.0, 2.0), x2=(3.0, 4.0), y1=(1.0, 2.0),
                   y2=(3.0, 4.0)),
    "spring": _of("k*x**2/2", k=ONE, x=ONE),
    "kinetic energy": _of("m*(u**2 + v**2 + w**2)/2", m=ONE, u=ONE, v=ONE, w=ONE),
    "Lorentz time": _of("(t - u*x/c**2)/sqrt(1 - u**2/c**2)", t=ONE, u=(1.0, 2.0), x=ONE, c=(3.0, 10.0)),
    "addition of velocities": _of("(u + v)/(1 + u*v/c**2)", u=ONE, v=ONE, c=ONE),
    "angular momentum": _of("m*r*v*sin(theta)", m=ONE, r=ONE, v=ONE, theta=ONE),
    "refraction": _of("asin(n*sin(t))", n=(0.1, 0.8), t=ONE),
    "focal length": _of("1/(1/d1 + n/d2)", d1=ONE, d2=ONE, n=ONE),
    "pendulum period": _of("2*pi*sqrt(L/g)*(1 + a**2/16 + 11*a**4/3072)", L=ONE, g=(9.0, 10.0), a=UNIT),
    "Kepler": _of("E - e*sin(E) - M", E=ONE, e=UNIT, M=(7.0, 9.0)),
    "orbit": _of("d*(1 - a**2)/(1 + a*cos(t1 - t2))", d=ONE, a=UNIT, t1=(4.0, 5.0), t2=ONE),
    "trajectory": _of("x*tan(a) - g*x**2/(2*v**2*cos(a)**2)", x=ONE, a=(0.1, 1.2), g=(9.0, 10.0), v=(9.0, 20.0)),
    "drag": _of("v0/(1 + k*v0*t)", v0=ONE, k=UNIT, t=ONE),
    "oscillation": _of("x1*(cos(w*t) + alpha*cos(w*t)**2)", x1=ONE, w=ONE, t=ONE, alpha=ONE),
    "damped oscillation": _of("A*exp(-b*t)*cos(sqrt(w**2 - b**2)*t + p)", A=ONE, b=UNIT, t=ONE, w=ONE, p=ONE),
    # electricity, light
    "Coulomb": _of("q1*q2/(4*pi*e*r**2)", q1=ONE, q2=ONE, e=ONE, r=ONE),
    "Lorentz force": _of("q*(E + B*v*sin(t))", q=ONE, E=ONE, B=ONE, v=ONE, t=ONE),
    "dipole": _of("p*(3*cos(t)**2 - 1)/(4*pi*e*r**3)", p=ONE, t=(0.1, 0.5), e=ONE, r=ONE),
    "interference": _of("i1 + i2 + 2*sqrt(i1*i2)*cos(d)", i1=ONE, i2=ONE, d=(0.1, 1.0)),
    "grating": _of("I*sin(n*t/2)**2/sin(t/2)**2", I=ONE, n=ONE, t=ONE),
    "resonance": _of("q*E/(m*(w0**2 - w**2))", q=ONE, E=ONE, m=ONE, w0=(3.0, 5.0), w=(1.0, 2.0)),
    "RC circuit": _of("V*(1 - exp(-t/(R*C)))", V=ONE, t=ONE, R=ONE, C=ONE),
    "RLC impedance": _of("sqrt(R**2 + (w*L - 1/(w*C))**2)", R=ONE, w=ONE, L=ONE, C=ONE),
    "diode": _of("I*(exp(V/(n*T)) - 1)", I=ONE, V=ONE, n=(1.0, 2.0), T=ONE),
    "solenoid": _of("n*i*r**2/(2*(r**2 + z**2)**1.5)", n=ONE, i=ONE, r=ONE, z=ONE),
    "Debye length": _of("q*exp(-r/l)/r", q=ONE, r=ONE, l=ONE),
    # heat, statistics of particles, quanta
    "ideal gas": _of("n*R*T/V", n=ONE, R=ONE, T=ONE, V=ONE),
    "van der Waals": _of("n*R*T/(V - n*b) - a*n**2/V**2", n=(1.0, 2.0), R=ONE, T=(3.0, 5.0), V=(3.0, 5.0), b=(0.1, 0.3), a=(0.1, 0.5)),
    "Maxwell": _of("sqrt(2/pi)*v**2*exp(-v**2/(2*a**2))/a**3", v=ONE, a=ONE),
    "Planck": _of("h*w**3/(pi**2*c**2*(exp(h*w/(k*T)) - 1))", h=ONE, w=ONE, c=ONE, k=ONE, T=ONE),
    "Fermi": _of("1/(exp((E - m)/T) + 1)", E=ONE, m=ONE, T=ONE),
    "Arrhenius": _of("A*exp(-E/(R*T))", A=ONE, E=ONE, R=ONE, T=ONE),
    "Einstein solid": _of("(w/T)**2*exp(w/T)/(exp(w/T) - 1)**2", w=ONE, T=ONE),
    "barometer": _of("p*exp(-m*g*h/(k*T))", p=ONE, m=ONE, g=ONE, h=ONE, k=ONE, T=ONE),
    "magnetisation": _of("n*m*tanh(m*B/(k*T))", n=ONE, m=ONE, B=ONE, k=ONE, T=ONE),
    "Brillouin": _of("1/tanh(x) - 1/x", x=ONE),
    "diffusion": _of("exp(-x**2/(4*D*t))/sqrt(4*pi*D*t)", x=ONE, D=ONE, t=ONE),
    "heat of a half space": _of("T*erf(x/(2*sqrt(a*t)))", T=ONE, x=ONE, a=ONE, t=ONE),
    "Lennard-Jones": _of("4*e*((s/r)**12 - (s/r)**6)", e=ONE, s=(1.0, 1.5), r=(2.0, 4.0)),
    "Morse": _of("D*(1 - exp(-a*(r - b)))**2", D=ONE, a=UNIT, r=(3.0, 5.0), b=(1.0, 2.0)),
    "tunnelling": _of("1/(1 + V**2*sinh(k*a)**2/(4*E*(V - E)))", V=(3.0, 5.0), k=UNIT, a=ONE, E=(1.0, 2.0)),
    "hydrogen level": _of("-m*q**4/(2*(4*pi*e)**2*(h/(2*pi))**2*n**2)", m=ONE, q=ONE, e=ONE, h=ONE, n=ONE),
    "Nernst": _of("E - R*T/(z*F)*log(a/b)", E=(9.0, 10.0), R=ONE, T=(1.0, 2.0), z=ONE, F=ONE, a=(3.0, 4.0), b=(1.0, 2.0)),
    "Michaelis-Menten": _of("V*s/(K + s)", V=ONE, s=ONE, K=ONE),
    "Hill": _of("x**n/(K**n + x**n)", x=ONE, n=ONE, K=ONE),
    "Antoine": _of("10**(A - B/(C + T))", A=ONE, B=ONE, C=ONE, T=ONE),
    "Colebrook step": _of("-2*log(e/3.7 + 2.51/(R*sqrt(f)))/log(10)", e=(0.001, 0.01), R=(1e3, 1e5), f=(0.01, 0.05)),
    # statistics, learning, finance
    "normal density": _of("exp(-((x - m)/s)**2/2)/(s*sqrt(2*pi))", x=(3.0, 4.0), m=(1.0, 2.0), s=ONE),
    "normal distribution": _of("(1 + erf((x - m)/(s*sqrt(2))))/2", x=ONE, m=ONE, s=ONE),
    "log-normal density": _of("exp(-(log(x) - m)**2/(2*s**2))/(x*s*sqrt(2*pi))", x=(3.0, 5.0), m=(0.0, 0.5), s=ONE),
    "logistic": _of("1/(1 + exp(-(a*x + b)))", a=ONE, x=ONE, b=ONE),
    "cross entropy": _of("-y*log(1/(1 + exp(-z))) - (1 - y)*log(1 - 1/(1 + exp(-z)))", y=UNIT, z=(-5.0, 5.0)),
    "softmax": _of("exp(a)/(exp(a) + exp(b) + exp(c))", a=ONE, b=ONE, c=ONE),
    "gelu": _of("x/2*(1 + erf(x/sqrt(2)))", x=ONE),
    "swish": _of("x/(1 + exp(-b*x))", x=ONE, b=ONE),
    "Gumbel": _of("exp(-(x + exp(-x)))", x=ONE),
    "Weibull": _of("k/l*(x/l)**(k - 1)*exp(-(x/l)**k)", k=ONE, l=ONE, x=ONE),
    "Gompertz": _of("a*exp(-b*exp(-c*t))", a=ONE, b=ONE, c=UNIT, t=ONE),
    "beta log-density": _of("(a - 1)*log(x) + (b - 1)*log(1 - x) - lgamma(a) - lgamma(b) + lgamma(a + b)", a=(3.0, 5.0), b=(3.0, 5.0),
                            x=(0.1, 0.2)),
    "Student": _of("lgamma((n + 1)/2) - lgamma(n/2) - (n + 1)/2*log(1 + t**2/n)", n=ONE, t=(3.0, 9.0)),
    "call option": _of("S*(1 + erf((log(S/K) + (r + v*v/2)*T)/(v*sqrt(2*T))))/2 - K*exp(-r*T)*(1 + erf((log(S/K) + (r - v*v/2)*T)"
                       "/(v*sqrt(2*T))))/2", S=(100.0, 120.0), K=(80.0, 110.0), r=(0.01, 0.1), v=(0.1, 0.5), T=(0.5, 2.0)),
    "bond": _of("c*(1 - (1 + r)**(-n))/r + F*(1 + r)**(-n)", c=ONE, r=(0.01, 0.1), n=(5.0, 30.0), F=(90.0, 110.0)),
    "continuous compounding": _of("P*(1 + r/n)**(n*t)", P=ONE, r=(0.01, 0.2), n=(1.0, 12.0), t=(1.0, 30.0)),
    # geometry, calculus
    "Heron": _of("sqrt((a + b + c)/2*((a + b + c)/2 - a)*((a + b + c)/2 - b)*((a + b + c)/2 - c))", a=(3.0, 4.0), b=(3.0, 4.0),
                   c=(3.0, 4.0)),
    "law of cosines": _of("sqrt(a**2 + b**2 - 2*a*b*cos(t))", a=ONE, b=ONE, t=(0.5, 2.5)),
    "sphere": _of("2*asin(sqrt(sin((p - q)/2)**2 + cos(p)*cos(q)*sin((l - m)/2)**2))", p=(0.1, 0.5), q=(0.6, 1.0), l=(0.1, 0.5),
                   m=(0.6, 1.2)),
    "spiral": _of("sqrt(x**2 + y**2)*exp(-atan2(y, x))", x=ONE, y=ONE),
    "Rosenbrock": _of("100*(y - x**2)**2 + (1 - x)**2", x=(2.0, 3.0), y=ONE),
    "Himmelblau": _of("(x**2 + y - 11)**2 + (x + y**2 - 7)**2", x=(4.0, 5.0), y=(4.0, 5.0)),
    "Ackley": _of("-20*exp(-0.2*sqrt((x**2 + y**2)/2)) - exp((cos(2*pi*x) + cos(2*pi*y))/2) + e + 20", x=(0.3, 0.4), y=(0.6, 0.7)),
    "tower": _of("x**(x**x)", x=(1.1, 2.0)),
    "nested": _of("sin(cos(tan(sin(cos(x)))))", x=UNIT),
    "continued fraction": _of("1/(1 + x/(2 + x/(3 + x/(4 + x))))", x=ONE),
    "inverse functions": _of("asinh(x) + acosh(1 + x) + atanh(x/9) + atan(x) + cbrt(x)", x=ONE),
    "hyperbolic": _of("sinh(x)*cosh(y)/(1 + tanh(x*y))", x=ONE, y=UNIT),
}
