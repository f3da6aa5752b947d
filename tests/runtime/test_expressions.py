"""Functions made of SymPy expressions and of text: values and gradients against SymPy, errors by content, nothing executed."""
from __future__ import annotations

import inspect

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
    # special functions, by SciPy
    sp.besselj(2, x) + sp.bessely(0, y) + sp.besseli(sp.Rational(1, 3), x) + sp.besselk(-1, y), sp.jn(2, x) * sp.yn(1, y) + sp.jn(0, y),
    sp.airyai(x) + sp.airybi(z) + sp.airyaiprime(y) + sp.airybiprime(z), sp.zeta(2, x) + sp.zeta(3) * y,
    sp.LambertW(x) + sp.LambertW(z / 2, -1), sp.harmonic(x) + sp.harmonic(y, 3),
    sp.uppergamma(2, x) + sp.uppergamma(sp.Rational(-3, 2), x) + sp.lowergamma(3, y) + sp.uppergamma(0, y),
    sp.binomial(x + 4, y) + sp.rf(x, 3) + sp.ff(y, 2), sp.erfi(x) + sp.erf2(x, y).rewrite(sp.erf) + sp.fresnels(x) * sp.fresnelc(y),
    sp.Si(x) + sp.Ci(y) + sp.Shi(x) * sp.Chi(y) + sp.Ei(z) + sp.li(x) + sp.Li(y),
    sp.expint(3, x) + sp.expint(sp.Rational(5, 2), y) + sp.E1(x),
    sp.elliptic_k(z) + sp.elliptic_e(x) + sp.elliptic_f(y, x) + sp.elliptic_e(y, z) + sp.elliptic_pi(z, x),
    sp.polylog(2, x) + sp.polylog(-1, z),
    sp.hyper((x, 2), (3,), z).subs(x, 1) + sp.hyper((1,), (y,), x).subs(y, 2) + sp.hyper((), (2,), x), sp.betainc_regularized(2, 3, 0, x),
    sp.legendre(4, z) + sp.chebyshevt(3, x) + sp.assoc_legendre(3, 1, z), sp.bernoulli(4, x) + sp.gegenbauer(3, 2, z),
    # in terms of others
    sp.Abs(z) + sp.re(x) + sp.im(y) + sp.conjugate(z) * sp.arg(-x), sp.Piecewise((x**2, sp.Xor(x > 0, y > 1)), (3 * x * y, True)),
    sp.Piecewise((x, sp.ITE(x > 0, y > 2, y < 0)), (sp.Derivative(sp.sin(x) * y, x), sp.Contains(y, sp.Interval(1, 2))), (0, True)),
    sp.Sum(x**i, (i, 0, sp.oo)) + sp.Sum(sp.Sum(x * j, (j, 1, i)), (i, 1, 4)), sp.Subs(sp.Derivative(sp.sin(y), y), y, x**2),
    sp.asech(x) + sp.acsch(y) + sp.SingularityFunction(y, 1, 2) + sp.KroneckerDelta(x, y),
]


@pytest.mark.parametrize("expression", SCALARS, ids=[str(e)[:50] for e in SCALARS])
def test_value_and_gradient_of_a_sympy_expression(expression: sp.Expr) -> None:
    function = cr.from_sympy(expression, [x, y, z])
    numbers = [float(POINT[s]) for s in (x, y, z)]
    assert function(*numbers) == pytest.approx(float(sp.N(expression.subs(POINT).doit(), 30)), rel=2e-13, abs=1e-15)
    expected = [_slope(expression, s) for s in (x, y, z)]
    np.testing.assert_allclose(function.grad(*numbers), expected, rtol=1e-10, atol=1e-12)


def _slope(expression: sp.Expr, symbol: sp.Symbol) -> float:
    written, step = expression.doit(), sp.Rational(1, 10**13)
    ends = [sp.N(written.subs({**POINT, symbol: POINT[symbol] + s}), 40) for s in (step, -step)]
    return float((ends[0] - ends[1]) / (2 * step))


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


def test_further_matrix_expressions() -> None:
    A, B, v = sp.MatrixSymbol("A", 2, 2), sp.MatrixSymbol("B", 2, 2), sp.MatrixSymbol("v", 2, 1)
    a, b, c = np.array([[2.0, 1.0], [0.5, 3.0]]), np.array([[0.3, -1.0], [2.0, 0.7]]), np.array([[1.5], [-0.5]])
    expressions = {
        "blocks": sp.BlockMatrix([[A, B], [B, sp.ZeroMatrix(2, 2)]]), "kron": sp.KroneckerProduct(A, B), "power": sp.HadamardPower(A, 2),
        "parts": A[0:1, :] + B[1:2, :], "diagonal": sp.DiagMatrix(v), "applied": A.applyfunc(sp.sin), "dot": sp.DotProduct(v, v),
        "swapped": sp.Matrix([[0, 1], [1, 0]]), "array": sp.Array([[x, 2], [3, 4]]), "inverse": A**-2, "ones": sp.OneMatrix(2, 2) + A.T,
    }
    expected = {
        "blocks": np.block([[a, b], [b, np.zeros((2, 2))]]), "kron": np.kron(a, b), "power": a**2, "parts": a[:1] + b[1:],
        "diagonal": np.diag(c[:, 0]), "applied": np.sin(a), "dot": np.sum(c * c), "swapped": [[0, 1], [1, 0]], "array": [[0.5, 2], [3, 4]],
        "inverse": np.linalg.matrix_power(a, -2), "ones": 1 + a.T,
    }
    found = cr.from_sympy(expressions, [A, B, v, x])(a, b, c, 0.5)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-13, err_msg=name)


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
    (sp.Integral(sp.exp(x**2), x), r"an Integral is no value yet .*\.doit\(\)"),
    (sp.hankel1(1, x), "hankel1 is complex"), (sp.DiracDelta(x), "it has no values"),
    (sp.hyper((1, x), (2, 3), x), "hyper of these parameters has no numerical function"),
    (sp.lerchphi(x, 2, 3), "lerchphi has no numerical function here"), (sp.polylog(3, x), "polylog has no numerical function here"),
    (x + y, "y is no argument .*the arguments are x; add y"),
    (sp.Sum(sp.sin(i**2), (i, 0, x)), "its limits are no whole numbers, and it has no closed form"),
    (sp.zoo, "is no real number"),
    (sp.I * x, "ImaginaryUnit is complex"), ("x", "takes SymPy expressions, not x .str."),
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
    ("2**64 - 2**64 + x", 3.0), ("9999999999*9999999999*0 + x", 3.0), ("9**9**9**9*0*x < 1", 0.0), ("-2**-2*x", -0.75), ("π*x/pi", 3.0),
    ("1" * 5000 + " > x", 1.0), ("besselj(1, x) - jv(1, x) + clip(x, 0, y)", 2.0), ("lambertw(x*exp(x)) + LambertW(-0.2, -1)*0", 3.0),
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
    ("x = 3", "without '='", 2), ("3 4", r"a product is written \*", 2),
    ("math.tau + x", "math.tau is no constant", 0), ("sin x", "the argument of sin stands in parentheses", 4),
    ("x²", "'²' is no part of a name: a power is written", 1), ("x!", "a factorial is written factorial", 1),
    ("1 < x < 2", "comparisons are not chained; write", 6), ("x and y", r"both is a product: \(x > 0\)\*\(x < 1\)", 2),
    ("x if y else 1", "a choice is written where", 2), ("x ; y", "';' is no part of a formula", 2),
    ("True", "True is a word of Python's", 0),
    ("SIN(x)", "did you mean sin?", 0), ("1" * 16 + "x", r"a product is written \*", 16),
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
