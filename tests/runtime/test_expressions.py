"""Functions made of SymPy expressions and of text: values and gradients against SymPy, errors by content, nothing executed."""
from __future__ import annotations

import inspect

import mpmath
import numpy as np
import pytest
import sympy as sp

import chainrule as cr

x, y, z = sp.symbols("x y z")
i, j = sp.symbols("i j", integer=True)
POINT = {x: sp.Rational(7, 10), y: sp.Rational(13, 10), z: sp.Rational(-2, 5)}

SCALARS = [
    x**2 * y + x * y, sp.exp(-x**2) * sp.cos(y) / (1 + z**2), sp.sqrt(x**2 + y**2) / x, (x + y) ** sp.Rational(-3, 2),
    sp.log(x) + sp.log(y, 2), x**y, sp.E**x, 1 / (x**3 * y**2), sp.Rational(1, 3) * x - sp.pi * y, sp.Abs(z) * sp.sign(z),
    sp.sin(x) * sp.tan(x) + sp.cot(y) + sp.sec(x) + sp.csc(y), sp.asin(z) + sp.acos(z) + sp.atan(x) + sp.atan2(x, y),
    sp.sinh(x) - sp.cosh(y) * sp.tanh(z) + sp.coth(x) + sp.sech(y) + sp.csch(x), sp.asinh(x) + sp.acosh(y) + sp.atanh(z),
    sp.erf(x) + sp.erfc(y) + sp.erfinv(z), sp.gamma(x + 1) * sp.loggamma(y) + sp.digamma(x) + sp.polygamma(1, y), sp.beta(x, y),
    sp.Max(x, y, z) - sp.Min(x, y), sp.Piecewise((x**2, x < 0), (sp.sin(x) * y, x < 1), (z, True)), sp.Heaviside(z) * x + sp.Mod(y, 1),
    sp.floor(y) * x + sp.ceiling(z) * y, sp.sinc(x), sp.Sum(x**i / sp.factorial(i), (i, 0, 10)), sp.Product(1 + y / i, (i, 1, 5)),
    sp.Sum(x**i * y**j / (i + j), (i, 1, 4), (j, 1, 3)), sp.Sum(sp.Sum(x**i * y**j, (j, 0, 2)) * i, (i, 1, 3)),
    sp.Piecewise((x, sp.And(x > 0, y > 0)), (y, sp.Or(x > 5, ~(z < 0))), (z, True)),
]


@pytest.mark.parametrize("expression", SCALARS, ids=[str(e)[:50] for e in SCALARS])
def test_value_and_gradient_of_a_sympy_expression(expression: sp.Expr) -> None:
    function = cr.from_sympy(expression, [x, y, z])
    numbers = [float(POINT[s]) for s in (x, y, z)]
    assert function(*numbers) == pytest.approx(float(sp.N(expression.subs(POINT).doit(), 30)), rel=2e-13, abs=1e-15)
    expected = [_slope(expression, s) for s in (x, y, z)]
    np.testing.assert_allclose(function.grad(*numbers), expected, rtol=1e-10, atol=1e-12)


def _slope(expression: sp.Expr, symbol: sp.Symbol) -> float:
    others = {s: v for s, v in POINT.items() if s is not symbol}
    inside = sp.lambdify(symbol, expression.subs(others).doit(), "mpmath")
    with mpmath.workdps(40):
        middle, step = mpmath.mpf(POINT[symbol].p) / POINT[symbol].q, mpmath.mpf(10) ** -13
        return float((inside(middle + step) - inside(middle - step)) / (2 * step))


def test_matrices_of_scalars() -> None:
    function = cr.from_sympy(sp.Matrix([[x, y**2], [x * y, 1]]), [x, y])
    np.testing.assert_array_equal(function(2.0, 3.0), [[2, 9], [6, 1]])
    by_x, by_y = function.jacobian(2.0, 3.0)
    np.testing.assert_array_equal(by_x, [[1, 0], [3, 0]])
    np.testing.assert_array_equal(by_y, [[0, 6], [2, 0]])


def test_matrix_expressions() -> None:
    A, v = sp.MatrixSymbol("A", 3, 3), sp.MatrixSymbol("v", 3, 1)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 1))
    expression = sp.Trace(v.T * A * v) + 2 * sp.Determinant(A) + (A.inv() * v)[0, 0] + sp.Trace(A**2 + 3 * sp.Identity(3))
    function = cr.from_sympy(expression, [A, v])
    inverse = np.linalg.inv(a)
    expected = (b.T @ a @ b)[0, 0] + 2 * np.linalg.det(a) + (inverse @ b)[0, 0] + np.trace(a @ a) + 9
    assert function(a, b) == pytest.approx(expected, rel=1e-12)
    gradient = b @ b.T + 2 * np.linalg.det(a) * inverse.T - inverse[:1].T @ (inverse @ b).T + 2 * a.T
    np.testing.assert_allclose(function.grad(a, b)[0], gradient, rtol=1e-10)


def test_elements_of_arrays_in_sums() -> None:
    a = sp.IndexedBase("a")
    function = cr.from_sympy(sp.Sum(a[i] * a[j] * x ** (i + j), (j, 0, 3), (i, 0, 2)), [a, x])
    values = np.array([0.3, -1.2, 0.8, 2.0])
    assert function(values, 1.5) == pytest.approx(sum(values[p] * values[q] * 1.5 ** (p + q) for p in range(3) for q in range(4)))


def test_structures_of_expressions_and_default_arguments() -> None:
    function = cr.from_sympy({"sum": y + x, "parts": (x, 2 * y)})
    assert function(1.0, 2.0) == {"sum": 3.0, "parts": (1.0, 4.0)}
    assert list(function.__signature__.parameters) == ["x", "y"]  # type: ignore[attr-defined]


def test_names_that_python_does_not_have() -> None:
    function = cr.from_sympy(sp.Symbol("x_{1}") * sp.Symbol("lambda") + sp.Symbol("2a"))
    assert list(function.__signature__.parameters) == ["_2a", "lambda_", "x__1_"]  # type: ignore[attr-defined]


def test_deep_and_shared_expressions_take_linear_time() -> None:
    def steps(depth: int) -> int:
        e = x
        for _ in range(depth):
            e = sp.Add(sp.sin(e, evaluate=False), e, evaluate=False)  # the tree doubles with each level
        return len(inspect.getclosurevars(cr.from_sympy(e, [x]).__wrapped__).nonlocals["steps"])

    assert [steps(40), steps(80), steps(160)] == [80, 160, 320]


def test_the_domain_of_a_piece_that_is_not_taken_does_not_disturb() -> None:
    function = cr.from_sympy(sp.Piecewise((sp.log(x), x > 0), (0, True)), [x])
    assert function(-1.0) == 0.0
    assert function.grad(-1.0) == 0.0


@pytest.mark.parametrize(("expression", "message"), [
    (sp.Function("q")(x), r"q\(x\) cannot be computed: q is an unknown function .*substitute an expression"),
    (sp.Derivative(sp.Function("q")(x), x), "a Derivative is no value yet"),
    (sp.Integral(sp.exp(x**2), x), r"a Integral is no value yet .*\.doit\(\)"),
    (sp.besselj(1, x), "besselj has no numerical function here"),
    (x + y, "y is no argument .*the arguments are x; add y"),
    (sp.Sum(x, (i, 0, y)), "its limits are no whole numbers"),
    (sp.zoo, "is no real number"),
    (sp.I * x, "ImaginaryUnit has no numerical function"),
])
def test_what_cannot_be_computed_is_refused_by_name(expression: sp.Expr, message: str) -> None:
    with pytest.raises(cr.ArgumentError, match=message):
        cr.from_sympy(expression, [x])


# ------------------------------------------------------------------------------------------------ text
TEXTS = [
    ("x**2*y + x*y", 24.0), ("-x**2", -9.0), ("2**-x", 0.125), ("2**3**2 + 0*x*y", 512.0), ("-2**2 + 0*x", -4.0), ("x - y - 1", 0.0),
    ("x / y / 3", 0.5), ("x % y + x // y", 2.0), ("where(x > y, x, y)", 3.0), ("np.maximum(x, y) + max(x, y, 7)", 10.0),
    ("1e1 + .5 + 2. + x*0", 12.5), ("exp(log(x)) + ln(y/2)", 3.0), ("special.expit(0*x)", 0.5),
    ("log(x**y, x)", 2.0), ("cos(pi*y) + e*0 + x", 4.0), ("+x -(-y)", 5.0), ("abs(-x) + sqrt(x*x)", 6.0), ("(x <= y) + 0*x", 0.0),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_text(text: str, expected: float) -> None:
    function = cr.parse(text, "x y")
    assert function(3.0, 2.0) == pytest.approx(expected, rel=1e-14)


def test_arguments_of_a_text() -> None:
    assert list(cr.parse("b*a + sin(c)").__signature__.parameters) == ["b", "a", "c"]  # type: ignore[attr-defined]
    assert cr.parse("b*a", "a, b").grad(2.0, 3.0) == (3.0, 2.0)
    assert cr.parse("e*x", ["e", "x"])(2.0, 3.0) == 6.0  # an argument hides a constant
    assert cr.parse("a - b")(b=1.0, a=3.0) == 2.0
    np.testing.assert_array_equal(cr.parse("x**2")(np.array([1.0, 2.0])), [1, 4])


def test_a_formulas_numpy_source_can_be_read_again() -> None:
    function = cr.parse("exp(-x**2)*tanh(y)/(1 + x)")
    again = cr.parse(function.derivative("x").numpy, "x y")
    assert again(0.3, 0.7) == pytest.approx(function.grad(0.3, 0.7)[0], rel=1e-13)


def test_deep_and_long_texts() -> None:
    assert cr.parse("(" * 5000 + "x" + ")" * 5000)(2.0) == 2.0
    assert cr.parse("+".join(["x"] * 5000)).grad(1.0) == 5000.0
    assert cr.parse("-" * 5001 + "x")(2.0) == -2.0


@pytest.mark.parametrize(("text", "message", "position"), [
    ("x + * y", r"'\*' is not expected here: '\(', .* a name, a number would be", 4),
    ("x^2", r"a power is written \*\*", 1), ("2x", r"a product is written \*", 1), ("sin(x", "the formula ends too early", 5),
    ("x +", "the formula ends too early", 3), ("foo(x)", "there is no function foo; did you mean", 0),
    ("1 + sine(x)", "there is no function sine; did you mean sin?", 4), ("sin(x, y)", "sin takes 1 argument, not 2", 0),
    ("where(x)", "where takes 3 arguments, not 1", 0), ("x[0]", "arguments stand in parentheses", 1), ("", "the text is empty", 0),
    ("x = 3", "without '='", 2), ("3 4", r"a product is written \*", 2), ("1 < x < 2", "'<' is not expected", 6),
    ("math.tau + x", "math.tau is no constant", 0),
])
def test_errors_show_where(text: str, message: str, position: int) -> None:
    with pytest.raises(cr.ParseError, match=message) as caught:
        cr.parse(text)
    assert caught.value.position == position
    *_, line, caret = str(caught.value).split("\n")
    assert line == f"    {text}"
    assert caret == " " * (4 + position) + "^"


def test_an_unknown_name_beside_given_arguments() -> None:
    with pytest.raises(cr.ParseError, match="z is no argument: the arguments are x, y"):
        cr.parse("x*y*z", "x y")


@pytest.mark.parametrize("text", [
    "__import__('os').system('true')", "x.__class__", "().__class__", "lambda: x", "[x for x in y]", "os.system(x)", "exec(x)", "eval(x)",
    "open(x)", "x if y else z", "np.load(x)", "np.linalg.inv(x)", "x; y", "f'{x}'", "x := 3", "@x", "x\n\ny", "print(x)",
])
def test_nothing_but_formulas_is_read(text: str) -> None:
    with pytest.raises(cr.ParseError):
        cr.parse(text)
