"""MathML: well-formed, with the layout of fractions, powers, roots and indices, and with nothing lost of what the text says."""
from collections.abc import Callable, Iterable
from functools import reduce
from xml.etree import ElementTree

import numpy as np
import pytest
from formula_graphs import graph_of
from scipy import special

from chainrule import grad
from chainrule.compiler.formula import Formula, derivative, formula
from chainrule.compiler.ir import Node, f
from chainrule.compiler.provenance import Site

ARITY = {"mfrac": 2, "msup": 2, "msub": 2, "msubsup": 3, "munder": 2}
MARKS = {"mi", "mn", "mo", "mtext"}


def tree(made: Formula) -> ElementTree.Element:
    """The formula's elements; layout elements have as many children as they lay out, and letters are in elements of their own."""
    root = ElementTree.fromstring(made.mathml)
    for element in root.iter():
        assert len(element) == ARITY.get(element.tag, len(element))
        assert element.tag in MARKS or not (element.text or "").strip()
        assert not (element.tail or "").strip()
    return root


def plain(element: ElementTree.Element) -> str:
    """The formula in a line, so that the layout can be read: `frac(a, b)`."""
    if element.tag in MARKS:
        return (element.text or "").replace("\u2062", "*").replace("\u2212", "-")
    inner = [plain(child) for child in element]
    return "".join(inner) if element.tag == "mrow" else f"{element.tag.removeprefix('m')}({', '.join(inner)})"


SCALARS: list[tuple[Callable[..., Node], str]] = [
    (lambda x, y: 3.0 * f.pow(x, 3.0) - f.square(y), "3*sup(x, 3)-sup(y, 2)"),
    (lambda x, y: x / (f.square(x) + 1.0), "frac(x, sup(x, 2)+1)"),
    (lambda x, y: (x + 1.0) * y / 2.0, "frac(y*(x+1), 2)"),
    (lambda x, y: -x / f.sqrt(y), "-frac(x, sqrt(y))"),
    (lambda x, y: f.exp(-x / y), "sup(e, -frac(x, y))"),
    (lambda x, y: f.pow(x + y, y), "sup((x+y), y)"),
    (lambda x, y: f.where(f.lt(x, y), x, 0.5), "where(x<y,x,frac(1, 2))"),
    (lambda x, y: 1e-20 * x, "1e-20*x"),
]


@pytest.mark.parametrize(("function", "shown"), SCALARS)
def test_scalars(function: Callable[..., Node], shown: str) -> None:
    made = formula(graph_of(function, x=(), y=()))
    assert plain(tree(made)) == shown


def test_products_of_matrices() -> None:
    def squares(w: Node, x: Node, y: Node) -> Node:
        return f.sum(f.square(f.contract(x, w, left="ij", right="j", out="i") - y), axes=(0,))

    made = derivative(graph_of(squares, w=(3,), x=(4, 3), y=(4,)), "w")
    assert str(made) == "2 * x.T @ (x @ w - y)"
    assert plain(tree(made)) == "2*sup(x, T)*(x*w-y)"


def test_index_notation() -> None:
    def cubes(x: Node, y: Node) -> Node:
        z = f.contract(x, y, left="ijk", right="k", out="ij")
        return f.sum(z * z, axes=(0, 1))

    made = derivative(graph_of(cubes, x=(2, 3, 4), y=(4,)), "x")
    assert str(made) == "2*y[l]*(sum_r x[i,j,r]*y[r])"
    assert plain(tree(made)) == "2*sub(y, l)*(under(∑, r)sub(x, i,j,r)*sub(y, r))"


def test_shared_terms_are_rows_of_their_own() -> None:
    def deep(x: Node) -> Node:
        for _ in range(40):
            x = f.sin(x) * x
        return x

    made = formula(graph_of(deep, x=()))
    rows = tree(made).findall("mtr")
    assert len(rows) == len(str(made).splitlines()) > 1
    assert "where" in "".join(rows[1].itertext())


def test_a_minus_is_a_sign_where_there_is_nothing_before_it() -> None:
    minus = "\u2212"
    made = formula(graph_of(lambda x, y: f.sin(-x) * f.maximum(y, -x) - y, x=(), y=()))
    signs = [e.get("form") for e in tree(made).iter("mo") if e.text == minus]
    assert str(made).count("-") == len(signs) == 3
    assert sorted(signs, key=str) == [None, "prefix", "prefix"]


def test_names_stay_names() -> None:
    made = formula(graph_of(lambda *xs: xs[0] * xs[1] + xs[2], **{"x_": (), "p.0": (), "rate_2_x": ()}))
    assert [e.text for e in tree(made).iter("mi")] == ["x_", "p.0", "rate_2_x"]


def test_digits_and_what_follows_an_underscore_are_indices_and_greek_letters_are_letters() -> None:
    made = formula(graph_of(lambda *xs: xs[0] * xs[1] * xs[2], alpha=(), x12=(), Omega_max=()))
    assert [e.text for e in tree(made).iter("mi")] == ["α", "x", "Ω", "max"]
    assert [(base.tag, index.tag) for base, index in tree(made).iter("msub")] == [("mrow", "mrow")] * 2
    assert [e.text for e in tree(made).iter("mn")] == ["12"]


def test_parts_are_tied_to_the_lines_that_made_them() -> None:
    @grad
    def g(x, y):  # type: ignore[no-untyped-def]
        u = np.exp(x)  # line 1
        v = np.sin(u * y)  # line 2
        return u + v * v

    first = g.__wrapped__.__code__.co_firstlineno + 2  # the first line after the decorator's and the head's
    g(0.5, 0.5)

    def mark(sites: Iterable[Site]) -> str:
        return f" data-at='{' '.join(str(s.line - first) for s in sorted(sites) if s.file == __file__)}'"

    def tied(made: Formula, line: int) -> list[str]:
        rows = ElementTree.fromstring(f"<math>{made.marked(mark)}</math>").iter("mrow")
        return ["".join(row.itertext()) for row in rows if str(line) in row.get("data-at", "").split()]

    assert tied(g.formula, 0) == ["ex", "ex"]
    assert "sin(y\u2062ex)" in tied(g.formula, 1)
    assert tied(g.derivative("x"), 2)[0] == "".join(tree(g.derivative("x")).itertext())  # the whole: what is returned is a sum
    assert any("sin" in text for text in tied(g.derivative("y"), 2))
    assert "data-at" not in g.formula.mathml


def test_a_recognised_function_is_tied_to_the_line_that_computes_it() -> None:
    @grad
    def g(z, v):  # type: ignore[no-untyped-def]
        e = np.exp(z)
        p = e / e.sum(axis=1, keepdims=True)
        return np.sum(p @ v)

    first = g.__wrapped__.__code__.co_firstlineno + 2
    drawn = g.trace(np.ones((2, 3)), np.ones((3, 2))).derivative("v").marked(
        lambda sites: f" data-at='{' '.join(str(s.line - first) for s in sorted(sites) if s.file == __file__)}'")
    rows = [row for row in ElementTree.fromstring(f"<math>{drawn}</math>").iter("mrow") if "".join(row.itertext()).startswith("softmax")]
    assert "1" in [row.get("data-at") for row in rows]


@pytest.mark.parametrize(("function", "shown"), [
    (lambda A, x: f.inverse(A), "sup(A, -1)"),
    (lambda A, x: f.logabsdet(A), "log|detspace()A|"),
    (lambda A, x: f.sum(f.square(A), axes=(0, 1)), "subsup(‖A‖, F, 2)"),
    (lambda A, x: f.sum(x, axes=(0,)), "sup(𝟏, T)*x"),
    (lambda A, x: f.sum(A * f.square(A), axes=(0, 1)), "sup(𝟏, T)*sup(A, ∘3)*𝟏"),
    (lambda A, x: f.sum(f.exp(x) * f.sigmoid(x), axes=(0,)), "sup(𝟏, T)*(σ(x)∘exp(x))"),
])
def test_arrays_are_written_as_in_latex(function: Callable[..., Node], shown: str) -> None:
    assert plain(tree(formula(graph_of(function, A=(3, 3), x=(3,))))) == shown


def test_the_transpose_of_an_inverse_is_one_exponent() -> None:
    made = derivative(graph_of(lambda A: f.logabsdet(A), A=(3, 3)), "A")
    assert plain(tree(made)) == "sup(A, -T)"


def test_the_normal_distribution_has_its_letters() -> None:
    made = grad(lambda x: x * special.ndtr(x)).trace(1.0).derivative("x")
    assert made.latex == r"x \varphi\left(x\right) + \Phi\left(x\right)"
    assert "<mi>φ</mi>" in made.mathml
    assert "<mi>Φ</mi>" in made.mathml


def test_long_formulas_are_set_in_rows() -> None:
    many = {f"x{k}": () for k in range(40)}
    sums = formula(graph_of(lambda *xs: f.tanh(reduce(lambda a, b: a + b, (f.sin(x) for x in xs))), **many))
    below = formula(graph_of(lambda *xs: reduce(lambda a, b: a + b, (f.exp(x) for x in xs)) / xs[0], **many))
    for made in (sums, below):
        rows = ["".join(row.itertext()) for row in tree(made).iter("mtr")]
        assert len(rows) > 2
        assert all(len(row) < 100 for row in rows)
        assert all(row.removeprefix("where\u00a0").startswith("+") for row in rows[-2:])
    assert "".join(tree(sums).itertext()).count("sin") == 40


def test_parts_of_arguments_have_their_keys_as_indices() -> None:
    made = formula(graph_of(lambda *xs: xs[0] * xs[1], **{"params['W1']": (), "layers[0]": ()}))
    assert [["".join(e.itertext()) for e in part] for part in tree(made).iter("msub")] == [["params", "W1"], ["layers", "0"]]
    assert r"\mathrm{params}_{\mathrm{W1}}" in made.latex
