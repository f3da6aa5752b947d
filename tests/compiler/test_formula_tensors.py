"""Formulas of tensor functions: how they print, and that source and SymPy expression have the interpreter's values."""
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from formula_graphs import graph_of
from formula_values import arguments, by_source, by_sympy

from chainrule.compiler import build
from chainrule.compiler.errors import NotYetError, ShapeError
from chainrule.compiler.formula import derivative, formula
from chainrule.compiler.ir import Node, f

mm = build.matmul


def total(x: Node) -> Node:
    return build.reduce("sum", x, tuple(range(x.ndim)))


def mean(x: Node) -> Node:
    return build.mean(x, tuple(range(x.ndim)))


def add(x: Node, y: Node) -> Node:
    return build.elementwise("add", x, y)


def sub(x: Node, y: Node) -> Node:
    return build.elementwise("sub", x, y)


def mul(x: Node, y: Node) -> Node:
    return build.elementwise("mul", x, y)


def div(x: Node, y: Node) -> Node:
    return build.elementwise("div", x, y)


def logistic_loss(X: Node, w: Node, y: Node) -> Node:
    z = mm(X, w)
    return mean(sub(f.softplus(z), mul(y, z)))


def cross_entropy_by_hand(X: Node, w: Node, y: Node) -> Node:
    p = f.sigmoid(mm(X, w))
    return -mean(add(mul(y, f.log(p)), mul(1.0 - y, f.log(1.0 - p))))


def network(W1: Node, W2: Node, x: Node, y: Node) -> Node:
    return mean(f.square(sub(mm(W2, f.tanh(mm(W1, x))), y)))


def softmax_by_hand(x: Node) -> Node:
    e = f.exp(sub(x, f.max(x, axes=(0,))))
    return div(e, total(e))


def class_loss(Z: Node, y: Node) -> Node:
    rows = build.moving.iota((Z.shape[0],), 0)
    return -mean(build.index(sub(Z, build.logsumexp(Z, (1,), keepdims=True)), (rows, y)))


def distances(X: Node) -> Node:
    n, m = X.shape
    return total(f.exp(-f.sum(f.square(sub(build.reshape(X, (n, 1, m)), X)), axes=(2,))))


def differences(x: Node) -> Node:
    return total(f.square(sub(build.index(x, slice(1, None)), build.index(x, slice(None, -1)))))


class Case(NamedTuple):
    name: str
    function: Callable[..., Node]
    shapes: dict[str, tuple[int, ...]]
    forms: dict[tuple[str, ...], str]  # what is differentiated by (nothing: the function) -> the printed form, "" not asserted
    integers: tuple[str, ...] = ()


LEAST_SQUARES = {"X": (5, 3), "w": (3,), "b": (), "y": (5,)}
LOGISTIC = {"X": (5, 3), "w": (3,), "y": (5,)}
CASES = [
    Case("inner product", lambda x, y: mm(x, y), {"x": (4,), "y": (4,)},
         {(): "x.T @ y", ("x",): "y", ("x", "y"): "eye(n)"}),
    Case("matrix times vector", lambda A, x: mm(A, x), {"A": (5, 4), "x": (4,)},
         {(): "A @ x", ("x",): "A", ("A",): "x[k]*delta(i, j)"}),
    Case("affine layer", lambda X, W, b: add(mm(X, W), b), {"X": (5, 4), "W": (4, 3), "b": (3,)},
         {(): "X @ W + b", ("X",): ""}),
    Case("quadratic form", lambda A, x: mm(x, mm(A, x)), {"A": (4, 4), "x": (4,)},
         {(): "x.T @ A @ x", ("x",): "(A + A.T) @ x", ("A",): "x @ x.T", ("x", "x"): "A + A.T"}),
    Case("least squares", lambda X, w, b, y: mean(f.square(sub(add(mm(X, w), b), y))), LEAST_SQUARES,
         {(): "mean((X @ w + b - y)**2)", ("w",): "2/n * X.T @ (X @ w + b - y)", ("b",): "2*mean(X @ w + b - y)",
          ("y",): "-2*(X @ w + b - y)/n", ("X",): "2/n * (X @ w + b - y) @ w.T", ("w", "w"): "2/n * X.T @ X",
          ("w", "b"): "2*mean(X, axis=0)"}),
    Case("sum of squares", lambda X, w, y: total(f.square(sub(mm(X, w), y))), LOGISTIC,
         {(): "sum((X @ w - y)**2)", ("w",): "2 * X.T @ (X @ w - y)"}),
    Case("ridge", lambda X, w, y, c: total(f.square(sub(mm(X, w), y))) + c * total(f.square(w)),
         {**LOGISTIC, "c": ()},
         {(): "sum((X @ w - y)**2) + c*sum(w**2)", ("w",): "2 * X.T @ (X @ w - y) + 2*c*w",
          ("w", "w"): "2 * X.T @ X + 2*c*eye(m)", ("c",): "sum(w**2)"}),
    Case("sum of exp", lambda x: total(f.exp(x)), {"x": (4,)},
         {(): "sum(exp(x))", ("x",): "exp(x)", ("x", "x"): "diag(exp(x))"}),
    Case("mean of sin", lambda x: mean(f.sin(x)), {"x": (4,)}, {(): "mean(sin(x))", ("x",): "cos(x)/n"}),
    Case("mean over all axes", lambda X: mean(f.square(X)), {"X": (4, 3)}, {(): "mean(X**2)", ("X",): "2*X/(n*m)"}),
    Case("norm", lambda x: build.norm(x, (0,)), {"x": (4,)},
         {(): "norm(x)", ("x",): "x/norm(x)", ("x", "x"): "eye(n)/norm(x) - 1/norm(x)**3 * x @ x.T"}),
    Case("Frobenius norm", lambda X: build.norm(X, (0, 1)), {"X": (4, 3)}, {(): "norm(X)", ("X",): "X/norm(X)"}),
    Case("trace of a product", lambda A, B: total(build.diagonal(mm(A, B), 0, 0, 1)), {"A": (4, 3), "B": (3, 4)},
         {(): "trace(A @ B)", ("A",): "B.T", ("B",): "A.T"}),
    Case("trace", lambda A: total(build.diagonal(A, 0, 0, 1)), {"A": (4, 4)}, {(): "trace(A)", ("A",): "eye(n)"}),
    Case("outer product", lambda x, y: build.outer(x, y), {"x": (4,), "y": (3,)}, {(): "x @ y.T", ("x",): ""}),
    Case("distance of an outer product", lambda A, x, y: total(f.square(sub(build.outer(x, y), A))),
         {"A": (4, 3), "x": (4,), "y": (3,)}, {("x",): "2 * (x @ y.T - A) @ y", ("A",): ""}),
    Case("logistic loss", logistic_loss, LOGISTIC,
         {(): "mean(softplus(X @ w) - y*(X @ w))", ("w",): "1/n * X.T @ (sigmoid(X @ w) - y)",
          ("w", "w"): "1/n * X.T @ diag(sigmoid(X @ w)*(1 - sigmoid(X @ w))) @ X"}),
    Case("cross entropy by hand", cross_entropy_by_hand, LOGISTIC, {("w",): "1/n * X.T @ (sigmoid(X @ w) - y)"}),
    Case("logsumexp", lambda x: build.logsumexp(x, (0,)), {"x": (4,)},
         {(): "logsumexp(x)", ("x",): "softmax(x)", ("x", "x"): "diag(softmax(x)) - softmax(x) @ softmax(x).T"}),
    Case("softmax", lambda x: build.softmax(x, (0,)), {"x": (4,)},
         {(): "softmax(x)", ("x",): "diag(softmax(x)) - softmax(x) @ softmax(x).T"}),
    Case("softmax by hand", softmax_by_hand, {"x": (4,)},
         {(): "softmax(x)", ("x",): "diag(softmax(x)) - softmax(x) @ softmax(x).T"}),
    Case("logsumexp of rows", lambda Z: total(build.logsumexp(Z, (1,))), {"Z": (5, 4)},
         {(): "sum(logsumexp(Z, axis=1))", ("Z",): "softmax(Z, axis=1)"}),
    Case("loss of classes", class_loss, {"Z": (5, 4), "y": (5,)},
         {(): "-mean(Z[arange(n), y] - logsumexp(Z, axis=1))", ("Z",): "(softmax(Z, axis=1) - eye(m)[y])/n"}, ("y",)),
    Case("attention", lambda Q, K, V: mm(build.softmax(mm(Q, build.permute(K)) / np.sqrt(3), (1,)), V),
         {"Q": (5, 3), "K": (4, 3), "V": (4, 2)}, {(): "softmax(1/sqrt(3) * Q @ K.T, axis=1) @ V"}),
    Case("elementwise product", lambda x, W: total(mul(x, f.tanh(W))), {"x": (4, 3), "W": (4, 3)},
         {(): "sum(x*tanh(W))", ("W",): "x*(1 - tanh(W)**2)"}),
    Case("network", network, {"W1": (5, 4), "W2": (3, 5), "x": (4,), "y": (3,)},
         {(): "mean((W2 @ tanh(W1 @ x) - y)**2)", ("W2",): "2/k * (W2 @ tanh(W1 @ x) - y) @ tanh(W1 @ x).T",
          ("x",): "2/k * W1.T @ ((1 - tanh(W1 @ x)**2)*(W2.T @ (W2 @ tanh(W1 @ x) - y)))", ("W1",): ""}),
    Case("product of matrices", lambda A, B, x: total(f.square(mm(A, mm(B, x)))), {"A": (5, 4), "B": (4, 3), "x": (3,)},
         {(): "sum((A @ B @ x)**2)", ("x",): "2 * B.T @ A.T @ A @ B @ x", ("A",): "2 * (A @ B @ x) @ (B @ x).T"}),
    Case("Gram matrix", lambda X: total(f.square(mm(build.permute(X), X))), {"X": (5, 3)}, {("X",): "4 * X @ X.T @ X"}),
    Case("weighted form", lambda X, s, w: mm(w, mul(s, mm(X, w))), {"X": (4, 4), "s": (4,), "w": (4,)},
         {(): "(s*w).T @ X @ w", ("s",): "w*(X @ w)", ("w",): ""}),
    Case("inverse", lambda A: total(f.inverse(A)), {"A": (3, 3)},
         {(): "sum(inv(A))", ("A",): "-sum(inv(A), axis=0) @ sum(inv(A), axis=1).T"}),
    Case("log determinant", lambda A: f.logabsdet(A), {"A": (3, 3)}, {(): "logabsdet(A)", ("A",): "inv(A).T"}),
    Case("determinant", lambda A: f.det(A), {"A": (3, 3)}, {(): "det(A)", ("A",): "det(A)*inv(A).T"}),
    Case("Gaussian", lambda x, m, S: mm(x - m, mm(f.inverse(S), x - m)) + f.logabsdet(S),
         {"x": (3,), "m": (3,), "S": (3, 3)},
         {(): "(x - m).T @ inv(S) @ (x - m) + logabsdet(S)", ("m",): "-(inv(S) + inv(S).T) @ (x - m)", ("S",): ""}),
    Case("solve", lambda A, x: mm(x, build.reshape(f.solve(A, build.reshape(x, (4, 1))), (4,))), {"A": (4, 4), "x": (4,)},
         {(): "x.T @ inv(A) @ x", ("x",): "(inv(A) + inv(A).T) @ x"}),
    Case("row sums", lambda X: f.sum(X, axes=(1,)), {"X": (4, 3)}, {(): "sum(X, axis=1)", ("X",): "delta(i, j)"}),
    Case("column means", lambda X: build.mean(f.square(X), (0,)), {"X": (4, 3)}, {(): "mean(X**2, axis=0)"}),
    Case("variance", lambda x: build.variance(x, (0,)), {"x": (4,)},
         {(): "mean((x - mean(x))**2)", ("x",): "2*(x - mean(x))/n"}),
    Case("product", lambda x: f.prod(x, axes=(0,)), {"x": (4,)}, {(): "prod(x)", ("x",): "prod(x)/x"}),
    Case("cosine", lambda x, y: mm(x, y) / (build.norm(x, (0,)) * build.norm(y, (0,))), {"x": (4,), "y": (4,)},
         {(): "x.T @ y/(norm(x)*norm(y))", ("x",): "(y - x*(x.T @ y)/sum(x**2))/(norm(x)*norm(y))"}),
    Case("a batch of products", lambda A, B: mm(A, B), {"A": (2, 3, 4), "B": (2, 4, 3)},
         {(): "sum_r A[i,j,r]*B[i,r,l]", ("A",): ""}),
    Case("a tensor times a vector", lambda T, x: f.contract(T, x, left="abc", right="c", out="ab"),
         {"T": (2, 3, 4), "x": (4,)}, {(): "sum_l T[i,j,l]*x[l]", ("x",): "T"}),
    Case("pairwise differences", lambda x: total(f.square(sub(build.reshape(x, (x.shape[0], 1)), x))), {"x": (4,)},
         {(): "sum((x - x[:, None])**2)", ("x",): "4*n*x - 4*sum(x)"}),
    Case("pairwise distances", distances, {"X": (4, 3)},
         {(): "sum_i_j exp(-(sum_k (X[j,k] - X[i,k])**2))", ("X",): ""}),
    Case("differences", differences, {"x": (6,)},
         {(): "sum((x[1:] - x[:-1])**2)", ("x",): "2*pad(x[1:] - x[:-1], (1, 0)) - 2*pad(x[1:] - x[:-1], (0, 1))"}),
    Case("every second element", lambda x: total(f.square(build.index(x, slice(None, None, 2)))), {"x": (6,)},
         {(): "sum(x[::2]**2)", ("x",): ""}),
    Case("reversed", lambda x: mm(build.flip(x, [0]), f.exp(x)), {"x": (5,)},
         {(): "sum(x[::-1]*exp(x))", ("x",): "x[::-1]*exp(x) + exp(x[::-1])"}),
    Case("elements", lambda p: f.square(build.index(p, 0)) * build.index(p, 1), {"p": (3,)},
         {(): "p[0]**2*p[1]", ("p",): "", ("p", "p"): ""}),
    Case("a column", lambda X: total(f.exp(build.index(X, (slice(None), 1)))), {"X": (4, 3)},
         {(): "sum(exp(X[:, 1]))", ("X",): ""}),
    Case("index array", lambda x, k: total(f.square(build.index(x, k))), {"x": (4,), "k": (6,)},
         {(): "sum(x[k]**2)", ("x",): "2 * eye(n)[k].T @ x[k]"}, ("k",)),
    Case("padding", lambda x: total(f.exp(build.pad(x, [(1, 1)]))), {"x": (4,)},
         {(): "sum(exp(pad(x, (1, 1))))", ("x",): "exp(x)"}),
    Case("flattened", lambda X: total(f.square(build.reshape(X, (-1,)) - 1.0)), {"X": (4, 3)},
         {(): "sum((X - 1)**2)", ("X",): "2*(X - 1)"}),
    Case("reshaped", lambda X: build.reshape(X, (-1,)), {"X": (4, 3)}, {(): "reshape(X, (n*m,))"}),
    Case("joined", lambda x, y: total(f.square(build.concatenate([x, f.exp(y)], 0))), {"x": (4,), "y": (3,)},
         {(): "sum(concatenate([x, exp(y)])**2)", ("x",): "2*concatenate([x, exp(y)])[:n]", ("y",): ""}),
    Case("running sum", lambda x: f.cumsum(f.exp(x), axis=0), {"x": (4,)}, {(): "cumsum(exp(x))", ("x",): ""}),
    Case("triangle", lambda X: total(f.square(build.triangle(X, 0, True))), {"X": (4, 3)}, {(): "", ("X",): ""}),
    Case("a number times a vector", lambda a, x: total(f.exp(mul(a, x))), {"a": (), "x": (4,)},
         {("a",): "sum(x*exp(a*x))", ("x",): "a*exp(a*x)", ("a", "a"): "sum(x**2*exp(a*x))", ("a", "x"): "(a*x + 1)*exp(a*x)"}),
    Case("rectified layer", lambda W, x: total(f.maximum(mm(W, x), 0.0)), {"W": (5, 3), "x": (3,)},
         {(): "sum(max(W @ x, 0))", ("W",): "heaviside(W @ x, 1/2) @ x.T"}),
]
FORMS = [pytest.param(case, names, form, id=f"{case.name} {','.join(names)}") for case in CASES for names, form in case.forms.items()]


def made(case: Case, names: tuple[str, ...]) -> Any:
    graph = graph_of(case.function, dict.fromkeys(case.integers, np.int64), **case.shapes)
    return graph, derivative(graph, *names) if names else formula(graph)


@pytest.mark.parametrize(("case", "names", "form"), FORMS)
def test_text_and_source(case: Case, names: tuple[str, ...], form: str) -> None:
    graph, result = made(case, names)
    if form:
        assert str(result) == form
    assert result.latex.count("{") == result.latex.count("}")
    for seed in (1, 2):
        at = arguments(graph, seed)
        expected = result(**at)
        found = by_source(result, at)
        assert np.shape(found) == np.shape(expected)
        assert np.allclose(found, expected, rtol=1e-10), result.numpy


@pytest.mark.parametrize(("case", "names", "form"), FORMS)
def test_sympy_expressions_evaluate(case: Case, names: tuple[str, ...], form: str) -> None:
    graph, result = made(case, names)
    at = arguments(graph)
    expected = np.asarray(result(**at))
    found = by_sympy(result, graph, at)
    assert np.allclose(found.ravel(), expected.ravel(), rtol=1e-9), result.sympy


@pytest.mark.parametrize(("case", "names"), [(c, n) for c in CASES for n in c.forms if n],
                         ids=[f"{c.name} {','.join(n)}" for c in CASES for n in c.forms if n])
def test_derivatives_agree_with_differences(case: Case, names: tuple[str, ...]) -> None:
    """One more derivative than the formula before it, by central differences in every element of the argument."""
    graph, result = made(case, names)
    _, before = made(case, names[:-1])
    at = arguments(graph)
    exact = np.asarray(result(**at))
    step = 1e-6
    x = at[names[-1]]
    for place in np.ndindex(np.shape(x)):
        moved = [np.asarray(before(**{**at, names[-1]: x + sign * step * _unit(x, place)})) for sign in (1, -1)]
        numeric = (moved[0] - moved[1]) / (2 * step)
        assert np.allclose(exact[(..., *place)], numeric, rtol=1e-5, atol=1e-7)


def _unit(x: Any, place: tuple[int, ...]) -> np.ndarray:
    unit = np.zeros(np.shape(x))
    unit[place] = 1.0
    return unit


def test_sympy_matrices() -> None:
    import sympy

    n, m = sympy.symbols("n m")
    graph = graph_of(lambda X, w, y: mean(f.square(sub(mm(X, w), y))), X=(5, 3), w=(3,), y=(5,))
    X, w, y = sympy.MatrixSymbol("X", n, m), sympy.MatrixSymbol("w", m, 1), sympy.MatrixSymbol("y", n, 1)
    assert derivative(graph, "w").sympy == 2 / n * X.T * (X * w - y)
    i, j = sympy.symbols("i j")
    X, w, y = map(sympy.IndexedBase, "Xwy")
    residual = sympy.Sum(X[i, j] * w[j], (j, 0, m - 1)) - y[i]
    assert formula(graph).sympy == sympy.Sum(residual**2, (i, 0, n - 1)) / n


def test_latex_of_matrices() -> None:
    graph = graph_of(lambda X, w, y: mean(f.square(sub(mm(X, w), y))), X=(5, 3), w=(3,), y=(5,))
    assert formula(graph).latex == r"\frac{1}{n} \left\lVert X w - y \right\rVert^{2}"
    assert derivative(graph, "w").latex == r"\frac{2}{n} X^{\mathsf T} \left(X w - y\right)"
    products = graph_of(lambda x, y, A: mul(mul(x, y), mm(A, y)), x=(4,), y=(4,), A=(4, 4))
    assert formula(products).latex == r"x \circ y \circ A y"
    affine = graph_of(lambda X, W, b: add(mm(X, W), b), X=(5, 4), W=(4, 3), b=(3,))
    assert formula(affine).latex == r"X W + \mathbf{1} b^{\mathsf T}"
    inverse = derivative(graph_of(lambda A: f.logabsdet(A), A=(3, 3)), "A")
    assert inverse.latex == r"A^{-\mathsf T}"
    determinant = derivative(graph_of(lambda A: f.det(A), A=(3, 3)), "A")
    assert determinant.latex == r"\left\lvert A \right\rvert A^{-\mathsf T}"
    tensors = graph_of(lambda T, x: f.contract(T, x, left="abc", right="c", out="ab"), T=(2, 3, 4), x=(4,))
    assert formula(tensors).latex == r"\sum_{l} T_{i j l} x_{l}"


def test_sizes_get_names_that_are_free() -> None:
    graph = graph_of(lambda n, m: mean(mul(n, m)), n=(4,), m=(4,))
    assert str(derivative(graph, "n")) == "m/k"


def test_the_formula_holds_for_other_sizes() -> None:
    graph = graph_of(lambda x: mean(f.exp(x)), x=(4,))
    x = np.linspace(0, 1, 7)
    assert np.allclose(derivative(graph, "x")(x), np.exp(x) / 7)
    assert np.allclose(by_source(derivative(graph, "x"), {"x": x}), np.exp(x) / 7)


def test_what_was_square_is_read_as_square() -> None:
    result = derivative(graph_of(lambda A: total(build.diagonal(A, 0, 0, 1)), A=(4, 4)), "A")
    assert np.array_equal(result(np.ones((3, 3))), np.eye(3))
    with pytest.raises(ShapeError):
        result(np.ones((3, 4)))


def test_a_gradient_that_is_constant_has_the_argument_s_shape() -> None:
    result = derivative(graph_of(lambda x: total(x) * 3.0, x=(4,)), "x")
    assert str(result) == "3*ones(n)"
    assert np.array_equal(by_source(result, {"x": np.zeros(5)}), np.full(5, 3.0))


def test_large_networks_are_read_in_reasonable_time_and_evaluate() -> None:
    def deep(W: Node, x: Node) -> Node:
        for _ in range(12):
            x = add(f.tanh(mm(W, x)), x)
        return total(f.square(x))

    graph = graph_of(deep, W=(4, 4), x=(4,))
    result = derivative(graph, "x")
    at = arguments(graph)
    assert np.allclose(by_source(result, at), result(**at))
    assert "where" in str(result)


def test_sympy_is_refused_a_tree_that_it_would_not_finish() -> None:
    def deep(W: Node, x: Node) -> Node:
        for _ in range(12):
            x = add(f.tanh(mm(W, x)), x)
        return total(f.square(x))

    with pytest.raises(NotYetError, match="too large to be one SymPy expression"):
        _ = derivative(graph_of(deep, W=(4, 4), x=(4,)), "x").sympy
