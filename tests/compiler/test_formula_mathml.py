"""MathML: well-formed, with the layout of fractions, powers, roots and indices, and with nothing lost of what the text says."""
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from formula_graphs import graph_of

from chainrule.compiler.formula import Formula, derivative, formula
from chainrule.compiler.ir import Node, f

ARITY = {"mfrac": 2, "msup": 2, "msub": 2, "munder": 2}
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


def test_names_stay_names() -> None:
    made = formula(graph_of(lambda *xs: xs[0] * xs[1], **{"x_1": (), "p.0": ()}))
    assert [e.text for e in tree(made).iter("mi")] == ["x_1", "p.0"]
