"""Formulas of scalar and elementwise functions: how they print, and that every form evaluates to the same numbers."""
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import scipy.special
from formula_graphs import graph_of

from chainrule import grad
from chainrule.compiler.errors import ArgumentError, DifferentiationError
from chainrule.compiler.formula import Formula, derivative, formula, numbers
from chainrule.compiler.ir import Node, constant, f

Function = Callable[..., Node]

# function of x, y; its formula; its derivative by x
TEXTBOOK: list[tuple[Function, str, str]] = [
    (lambda x, y: 3.0 * f.pow(x, 3.0) - f.square(y), "3*x**3 - y**2", "9*x**2"),
    (lambda x, y: f.square(x) * y + x * y, "x**2*y + x*y", "2*x*y + y"),
    (lambda x, y: f.sigmoid(x), "sigmoid(x)", "sigmoid(x)*(1 - sigmoid(x))"),
    (lambda x, y: 1.0 / (1.0 + f.exp(-x)), "sigmoid(x)", "sigmoid(x)*(1 - sigmoid(x))"),
    (lambda x, y: f.tanh(x), "tanh(x)", "1 - tanh(x)**2"),
    (lambda x, y: f.log(1.0 + f.square(x)), "log(x**2 + 1)", "2*x/(x**2 + 1)"),
    (lambda x, y: f.sqrt(x), "sqrt(x)", "1/(2*sqrt(x))"),
    (lambda x, y: f.sqrt(f.square(x) + 1.0), "sqrt(x**2 + 1)", "x/sqrt(x**2 + 1)"),
    (lambda x, y: x / y, "x/y", "1/y"),
    (lambda x, y: y / x, "y/x", "-y/x**2"),
    (lambda x, y: f.pow(x, y), "x**y", "y*x**(y - 1)"),
    (lambda x, y: f.pow(y, x), "y**x", "y**x*log(y)"),
    (lambda x, y: f.exp(-f.square(x) / 2.0) / np.sqrt(2 * np.pi), "exp(-x**2/2)/sqrt(2*pi)", "-x*exp(-x**2/2)/sqrt(2*pi)"),
    (lambda x, y: f.sin(x) * f.exp(x), "sin(x)*exp(x)", "exp(x)*(sin(x) + cos(x))"),
    (lambda x, y: f.log(1.0 + f.exp(x)), "log(exp(x) + 1)", "sigmoid(x)"),
    (lambda x, y: f.softplus(x), "softplus(x)", "sigmoid(x)"),
    (lambda x, y: f.log(f.sigmoid(x)), "log(sigmoid(x))", "1 - sigmoid(x)"),
    (lambda x, y: f.maximum(x, 0.0), "max(x, 0)", "heaviside(x, 1/2)"),
    (lambda x, y: f.minimum(x, y), "min(x, y)", "heaviside(y - x, 1/2)"),
    (lambda x, y: f.abs(x), "|x|", "sign(x)"),
    (lambda x, y: f.arctan2(x, y), "arctan2(x, y)", "y/(x**2 + y**2)"),
    (lambda x, y: f.hypot(x, y), "sqrt(x**2 + y**2)", "x/sqrt(x**2 + y**2)"),
    (lambda x, y: x / f.sqrt(f.square(x) + f.square(y)), "x/sqrt(x**2 + y**2)", "y**2/(x**2 + y**2)**(3/2)"),
    (lambda x, y: f.lgamma(x), "lgamma(x)", "digamma(x)"),
    (lambda x, y: f.erf(x), "erf(x)", "2*exp(-x**2)/sqrt(pi)"),
    (lambda x, y: f.where(f.gt(x, 0.5), f.square(x), f.neg(x)), "where(x > 1/2, x**2, -x)", "where(x > 1/2, 2*x, -1)"),
    (lambda x, y: 0.3 * x * f.sin(2 * np.pi * x), "0.3*x*sin(2*pi*x)", "0.6*pi*x*cos(2*pi*x) + 0.3*sin(2*pi*x)"),
    (lambda x, y: f.cbrt(x), "cbrt(x)", "1/(3*cbrt(x)**2)"),
    (lambda x, y: f.logaddexp(x, y), "logaddexp(x, y)", "sigmoid(x - y)"),
    (lambda x, y: f.arcsin(x), "arcsin(x)", "1/sqrt(1 - x**2)"),
    (lambda x, y: f.arctan(x), "arctan(x)", "1/(x**2 + 1)"),
    (lambda x, y: f.arcsinh(x), "arcsinh(x)", "1/sqrt(x**2 + 1)"),
    (lambda x, y: f.square(x - 1.0), "(x - 1)**2", "2*(x - 1)"),
    (lambda x, y: f.square(f.sin(x)), "sin(x)**2", "sin(2*x)"),
    (lambda x, y: x * f.log(x), "x*log(x)", "log(x) + 1"),
    (lambda x, y: f.exp2(x), "2**x", "2**x*log(2)"),
    (lambda x, y: f.log2(x), "log2(x)", "1/(x*log(2))"),
    (lambda x, y: f.log1p(x), "log1p(x)", "1/(x + 1)"),
    (lambda x, y: (x - y) / (x + y), "(x - y)/(x + y)", "2*y/(x + y)**2"),
    (lambda x, y: -(y * f.log(f.sigmoid(x)) + (1.0 - y) * f.log(1.0 - f.sigmoid(x))),
     "-y*log(sigmoid(x)) - (1 - y)*log(1 - sigmoid(x))", "sigmoid(x) - y"),
    (lambda x, y: f.pow(f.square(x) + f.square(y), 1.5), "(x**2 + y**2)**(3/2)", "3*x*sqrt(x**2 + y**2)"),
    (lambda x, y: f.sinc(x), "sin(x)/x", "(x*cos(x) - sin(x))/x**2"),
    (lambda x, y: f.exprel(x), "(exp(x) - 1)/x", "((x - 1)*exp(x) + 1)/x**2"),
    (lambda x, y: f.erfcx(x), "erfcx(x)", "2*x*erfc(x)*exp(x**2) - 2/sqrt(pi)"),
    (lambda x, y: 1e25 * (3e25 * x), "3e+50*x", "3e+50"),
    (lambda x, y: f.square(x) * 2002.5 + f.abs(4.0 * x), "2002.5*x**2 + 4*|x|", "4005*x + 4*sign(x)"),
    (lambda x, y: 0.5 * x + x / 3.0 + 0.1 * y, "5*x/6 + 0.1*y", "5/6"),
]
IDS = [case[1] for case in TEXTBOOK]
POINTS = [(0.7, 0.4), (0.31, 0.9), (0.9, 0.62)]


def numbers_agree(formula_: Formula, at: dict[str, float]) -> None:
    expected = formula_(**at)
    source = eval(formula_.numpy, {"np": np, "special": scipy.special, **at})
    assert np.allclose(source, expected, rtol=1e-12, atol=1e-14), formula_.numpy
    assert np.allclose(float(formula_.sympy.subs(at).evalf(30)), expected, rtol=1e-12, atol=1e-14), formula_.sympy


@pytest.mark.parametrize(("function", "value", "slope"), TEXTBOOK, ids=IDS)
def test_scalar_functions(function: Function, value: str, slope: str) -> None:
    graph = graph_of(function, x=(), y=())
    assert str(formula(graph)) == value
    first = derivative(graph, "x")
    assert str(first) == slope
    second = derivative(graph, "x", "y")
    for x, y in POINTS:
        for each in (formula(graph), first, second):
            numbers_agree(each, {"x": x, "y": y})
        step = 1e-6
        numeric = (formula(graph)(x + step, y) - formula(graph)(x - step, y)) / (2 * step)
        assert abs(first(x=x, y=y) - numeric) < 1e-7 * (1 + abs(numeric))


@pytest.mark.parametrize(("function", "value", "slope"), TEXTBOOK, ids=IDS)
def test_elementwise_functions_read_like_scalar_ones(function: Function, value: str, slope: str) -> None:
    graph = graph_of(function, x=(4,), y=(4,))
    assert str(formula(graph)) == value
    first = derivative(graph, "x")
    assert str(first) == slope
    x, y = np.linspace(0.2, 0.9, 4), np.linspace(0.8, 0.3, 4)
    source = eval(first.numpy, {"np": np, "special": scipy.special, "x": x, "y": y})
    assert np.allclose(source, first(x=x, y=y), rtol=1e-12)
    assert np.shape(first(x=x, y=y)) == (4,)


def test_derivatives_by_each_argument() -> None:
    graph = graph_of(lambda a, b: 3.0 * f.pow(a, 3.0) - f.square(b), a=(), b=())
    assert str(derivative(graph, "a")) == "9*a**2"
    assert str(derivative(graph, "b")) == "-2*b"
    assert str(derivative(graph, "a", "a")) == "18*a"
    assert str(derivative(graph, "a", "b")) == "0"


def test_sympy_expressions_have_plain_symbols() -> None:
    import sympy

    graph = graph_of(lambda a, b: 3.0 * f.pow(a, 3.0) - f.square(b), a=(), b=())
    a, b = sympy.symbols("a b")
    assert formula(graph).sympy == 3 * a**3 - b**2
    assert derivative(graph, "a").sympy == 9 * a**2
    assert derivative(graph, "a").free_symbols == {a}


@pytest.mark.parametrize(("function", "latex"), [
    (lambda x, y: f.sigmoid(x), r"\sigma\left(x\right) \left(1 - \sigma\left(x\right)\right)"),
    (lambda x, y: f.square(x) * y, "2 x y"),
    (lambda x, y: f.sqrt(x), r"\frac{1}{2 \sqrt{x}}"),
    (lambda x, y: f.tanh(x), r"1 - \tanh^{2}\left(x\right)"),
    (lambda x, y: f.where(f.gt(x, y), f.square(x), f.neg(x)),
     r"\begin{cases} 2 x & \text{if } x > y \\ -1 & \text{otherwise} \end{cases}"),
])
def test_latex(function: Function, latex: str) -> None:
    made = derivative(graph_of(function, x=(), y=()), "x")
    assert made.latex == latex
    assert made._repr_latex_() == rf"$\displaystyle {latex}$"
    assert made._repr_mimebundle_()["text/plain"] == str(made)


def test_names_in_latex() -> None:
    graph = graph_of(lambda *xs: xs[0] * xs[1] * xs[2] * xs[3], alpha=(), x1=(), learning_rate=(), sigma_x=())
    assert formula(graph).latex == r"\alpha x_{1} \mathrm{learning}_{\mathrm{rate}} \sigma_{x}"


def test_constants_are_tidy() -> None:
    def text(value: float, dtype: str = "float64") -> str:
        return str(formula(graph_of(lambda x: f.cast(constant(value, dtype), dtype="float64") + 0.0 * x, x=())))

    assert text(0.5) == "1/2"
    assert text(3.0) == "3"
    assert text(1 / 3) == "1/3"
    assert text(0.1) == "0.1"
    assert text(0.1, "float32") == "0.1"
    assert text(np.pi / 2) == "pi/2"
    assert text(1 / np.sqrt(2 * np.pi)) == "1/sqrt(2*pi)"
    assert text(np.log(2)) == "log(2)"
    assert text(1e-8) == "1e-08"
    assert text(float("inf")) == "inf"
    assert text(0.123456789123) == "0.123456789123"


def test_long_formulas_name_what_is_shared() -> None:
    def nested(x: Node) -> Node:
        for _ in range(6):
            x = f.sin(x) * f.exp(x) + f.cos(x) / (1.0 + f.square(x))
        return x

    made = formula(graph_of(nested, x=()))
    assert "where s = " in str(made)
    assert max(map(len, str(made).splitlines())) < 250
    assert r"\text{where }" in made.latex
    numbers_agree(made, {"x": 0.3})


def test_deep_graphs_stay_cheap() -> None:
    def nested(x: Node) -> Node:
        for _ in range(1000):
            x = f.sin(x) * x
        return x

    made = derivative(graph_of(nested, x=()), "x")
    assert len(str(made)) < 400_000
    assert np.allclose(eval(made.numpy, {"np": np, "x": 1.1}), made(1.1))


def test_calls() -> None:
    graph = graph_of(lambda a, b: f.square(a) + b, a=(), b=())
    slope = derivative(graph, "a")
    assert slope(2.0, 5.0) == slope(2.0) == slope(a=2.0) == 4.0
    assert np.array_equal(slope(np.array([1.0, 2.0])), [2.0, 4.0])
    with pytest.raises(ArgumentError, match="a value for b is missing"):
        formula(graph)(a=1.0)
    with pytest.raises(ArgumentError, match="'c' is not an argument"):
        slope(c=1.0)
    with pytest.raises(ArgumentError, match="takes a, b"):
        formula(graph)(1.0, 2.0, 3.0)


def test_what_cannot_be_derived() -> None:
    graph = graph_of(lambda a, k: a * f.cast(k, dtype="float64"), {"k": np.int64}, a=(), k=())
    with pytest.raises(ArgumentError, match="'z' is not an argument; the arguments are a, k"):
        derivative(graph, "z")
    with pytest.raises(DifferentiationError, match="k has dtype int64"):
        derivative(graph, "k")


def test_titles_and_operation_counts() -> None:
    graph = graph_of(lambda a: f.square(a) * 3.0, a=())
    made = formula(graph, title="loss")
    assert repr(made) == "loss = 3*a**2"
    assert made._repr_latex_() == r"$\displaystyle \text{loss} = 3 a^{2}$"
    assert made.ops == 2


def test_numbers_beyond_all_floats_are_written() -> None:
    graph = graph_of(lambda x, y: f.pow(1e200 * x + y, 3.0), x=(), y=())
    assert str(derivative(graph, "x")) == "3e+200*(1e+200*x + y)**2"
    assert numbers.text(Fraction(10) ** 400) == "1.0000000000000000e+400"
    assert numbers.text(Fraction(1, 10**400)) == "1.0000000000000000e-400"


def test_a_clipped_number_is_read_as_one() -> None:
    def clipped(x: Node) -> Node:
        lower = f.where(f.or_(f.ge(x, -1.0), f.isnan(x)), x, -1.0)
        return f.where(f.or_(f.le(lower, 1.0), f.isnan(lower)), lower, 1.0)

    graph = graph_of(clipped, x=())
    assert str(formula(graph)) == "clip(x, -1, 1)"
    assert str(derivative(graph, "x")) == "where((x >= -1) & (x <= 1), 1, 0)"
    assert "isnan" in str(formula(graph_of(lambda x: f.where(f.or_(f.le(x, 1.0), f.isnan(x)), f.square(x), 3.0), x=())))


def test_the_root_of_a_power_is_another_power_only_where_that_is_known() -> None:
    """sqrt(x**n) is |x| for n = 2: x**(n/2) would be its negative for x < 0."""
    function = grad(lambda x, n: np.sqrt(x**n))
    assert str(function.formula) == "sqrt(x**n)"
    slope = function.derivative("x")
    assert str(slope) == "n*sqrt(x**n)/(2*x)"
    assert slope(-3.0, 2.0) == -1.0
    assert str(grad(lambda x, n: np.sqrt(x**n), assume={"x": "positive"}).formula) == "x**(n/2)"


def call_option(S, K, r, v, T):  # type: ignore[no-untyped-def]
    d = (np.log(S / K) + (r + v**2 / 2) * T) / (v * np.sqrt(T))
    return S * scipy.special.ndtr(d) - K * np.exp(-r * T) * scipy.special.ndtr(d - v * np.sqrt(T))


PHI = "phi((T*(v**2/2 + r) + log(S/K))/(v*sqrt(T)))"


@pytest.mark.parametrize(("by", "text"), [
    ("S", PHI.replace("phi", "Phi")),
    ("S S", f"{PHI}/(S*v*sqrt(T))"),
    ("S S S", f"-{PHI}*(3*v**2*T/2 + r*T + log(S/K))/(S**2*v**3*T**(3/2))"),
    ("S T", f"{PHI}*(v**2/4 + r/2 - log(S/K)/(2*T))/(v*sqrt(T))"),
    ("v", f"S*sqrt(T)*{PHI}"),
    ("T", f"K*r*Phi((r*T - v**2*T/2 + log(S/K))/(v*sqrt(T)))*exp(-r*T) + S*v*{PHI}/(2*sqrt(T))"),
])
def test_the_normal_distribution_is_phi(by: str, text: str) -> None:
    at = {"S": 100.0, "K": 95.0, "r": 0.03, "v": 0.25, "T": 0.7}
    made = grad(call_option).trace(*at.values()).derivative(*by.split())
    assert str(made) == text
    source = eval(made.numpy, {"np": np, "special": scipy.special, **at})
    assert np.allclose(source, made(**at), rtol=1e-10)
    assert np.allclose(float(made.sympy.subs(at).evalf(30)), made(**at), rtol=1e-10)


def test_an_argument_can_be_called_phi() -> None:
    assert str(grad(lambda phi: scipy.special.ndtr(phi)).trace(1.0).derivative("phi")) == "exp(-phi**2/2)/sqrt(2*pi)"
