"""Derivatives of matrix expressions as textbooks have them: The Matrix Cookbook (sections 2 and 8), and what one asks matrixcalculus.org.

Each case is a NumPy function, and how its derivatives print.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy import trace
from numpy.linalg import cholesky, det, eigvalsh, inv, matrix_power, norm, pinv, solve, svdvals
from scipy import special


def logdet(X: Any) -> Any:
    return np.linalg.slogdet(X)[1]


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def softmax(z: Any) -> Any:
    return np.exp(z) / np.sum(np.exp(z))


class Case(NamedTuple):
    """A function and its derivatives.

    Attributes:
        arguments: names and axes, "X:nm a:n c:" for a matrix of n rows and m columns, a vector and a number.
        forms: what is differentiated by, one name after another, and the printed form.
        symmetric: the matrices that are promised to be.
    """

    name: str
    function: Callable[..., Any]
    arguments: str
    forms: dict[str, str]
    symmetric: str = ""


SIZES = {"n": 3, "m": 2, "k": 4, "p": 2, "q": 12, "r": 4}


def arguments(case: Case) -> dict[str, Any]:
    """Random arguments; square matrices are far from singular."""
    rng = np.random.default_rng(1)
    made: dict[str, Any] = {}
    for part in case.arguments.split():
        name, _, axes = part.partition(":")
        made[name] = rng.uniform(0.3, 1.0, [SIZES[a] for a in axes]) if axes else 0.7
        if len(axes) == 2 and axes[0] == axes[1]:
            made[name] = made[name] + 1.5 * np.eye(SIZES[axes[0]])
        if name in case.symmetric.split():
            made[name] = (made[name] + made[name].T) / 2
    return made


CASES = [
    # Traces, first order
    Case("trace", lambda X: trace(X), "X:nn", {"X": "eye(n)"}),
    Case("trace of a product", lambda X, A: trace(X @ A), "X:nm A:mn", {"X": "A.T"}),
    Case("trace of three matrices", lambda A, X, B: trace(A @ X @ B), "A:kn X:nm B:mk", {"X": "A.T @ B.T"}),
    Case("trace with a transpose", lambda A, X, B: trace(A @ X.T @ B), "A:km X:nm B:nk", {"X": "B @ A"}),
    Case("trace of a transpose times a matrix", lambda X, A: trace(X.T @ A), "X:nm A:nm", {"X": "A"}),
    Case("trace of both transposed", lambda A, X: trace(X.T @ A.T), "A:mn X:nm", {"X": "A.T"}),
    Case("trace of a commutator", lambda A, X: trace(A @ X - X @ A), "A:nn X:nn", {"X": "zeros(n, n)"}),
    # Traces, second order
    Case("trace of a square", lambda X: trace(X @ X), "X:nn", {"X": "2*X.T"}),
    Case("trace of a square and a matrix", lambda X, B: trace(X @ X @ B), "X:nn B:nn", {"X": "B.T @ X.T + X.T @ B.T"}),
    Case("trace of a congruence", lambda X, B: trace(X.T @ B @ X), "X:nm B:nn",
         {"X": "(B + B.T) @ X", "X X": "(B[i,k] + B[k,i])*delta(j, l)"}),
    Case("trace of the other congruence", lambda X, B: trace(X @ B @ X.T), "X:nm B:mm", {"X": "X @ (B + B.T)"}),
    Case("trace of a product with X twice", lambda A, X, B: trace(A @ X @ B @ X), "A:nn X:nn B:nn",
         {"X": "B.T @ X.T @ A.T + A.T @ X.T @ B.T"}),
    Case("trace of a Gram matrix", lambda X: trace(X.T @ X), "X:nm", {"X": "2*X", "X X": "2*delta(i, k)*delta(j, l)"}),
    Case("trace of a congruence of X B", lambda X, B, C: trace(B.T @ X.T @ C @ X @ B), "X:nm B:mk C:nn", {"X": "(C + C.T) @ X @ B @ B.T"}),
    Case("trace of two forms", lambda X, B, C: trace(X.T @ C @ X @ B), "X:nm B:mm C:nn", {"X": "C @ X @ B + C.T @ X @ B.T"}),
    Case("trace of a form within a form", lambda A, X, B: trace(A @ X @ B @ X.T @ A.T), "A:nn X:nm B:mm", {"X": "A.T @ A @ X @ (B + B.T)"}),
    Case("trace of an affine square", lambda A, X, B, C: trace((A @ X @ B + C) @ (A @ X @ B + C).T), "A:kn X:nm B:mp C:kp",
         {"X": "2 * A.T @ (A @ X @ B + C) @ B.T"}),
    # Traces, higher order
    Case("trace of a cube", lambda X: trace(X @ X @ X), "X:nn",
         {"X": "3 * X.T @ X.T", "X X": "3*X[l,i]*delta(j, k) + 3*X[j,k]*delta(i, l)"}),
    Case("trace of a power", lambda X: trace(matrix_power(X, 5)), "X:nn", {"X": "5 * matrix_power(X.T, 4)"}),
    Case("trace of a matrix and a cube", lambda A, X: trace(A @ matrix_power(X, 3)), "A:nn X:nn",
         {"X": "A.T @ X.T @ X.T + X.T @ (A.T @ X.T + X.T @ A.T)"}),
    Case("trace of two forms in X", lambda X, B, C: trace(X.T @ B @ X @ X.T @ C @ X), "X:nm B:nn C:nn",
         {"X": "(C @ X @ X.T @ B + B @ X @ X.T @ C + C.T @ X @ X.T @ B.T + B.T @ X @ X.T @ C.T) @ X"}),
    Case("exponential of a trace", lambda A, X: np.exp(trace(A @ X)), "A:mn X:nm", {"X": "A.T*exp(trace(A @ X))"}),
    # Determinants
    Case("determinant", lambda X: det(X), "X:nn",
         {"X": "det(X)*inv(X).T", "X X": "det(X)*(inv(X)[j,i]*inv(X)[l,k] - inv(X)[j,k]*inv(X)[l,i])"}),
    Case("determinant of a product", lambda A, X, B: det(A @ X @ B), "A:nn X:nn B:nn",
         {"X": "det(A @ X @ B) * A.T @ inv(A @ X @ B).T @ B.T"}),
    Case("determinant of a form", lambda X, A: det(X.T @ A @ X), "X:nm A:nn",
         {"X": "det(X.T @ A @ X)*(A @ X @ inv(X.T @ A @ X) + A.T @ X @ inv(X.T @ A @ X).T)"}),
    Case("determinant of a Gram matrix", lambda X: det(X.T @ X), "X:nm", {"X": "2*det(X.T @ X) * X @ inv(X.T @ X)"}),
    Case("determinant of a power", lambda X: det(matrix_power(X, 3)), "X:nn", {"X": "3*det(matrix_power(X, 3))*inv(X).T"}),
    Case("determinant of an inverse", lambda X: det(inv(X)), "X:nn", {"X": "-det(inv(X))*inv(X).T"}),
    Case("reciprocal determinant", lambda X: 1 / det(X), "X:nn", {"X": "-inv(X).T/det(X)"}),
    Case("logarithm of a determinant", lambda X: logdet(X), "X:nn", {"X": "inv(X).T", "X X": "-inv(X)[j,k]*inv(X)[l,i]"}),
    Case("logarithm of the determinant of a Gram matrix", lambda X: logdet(X.T @ X), "X:nm", {"X": "2 * X @ inv(X.T @ X)"}),
    Case("logarithm of the determinant of a sum", lambda X, A: logdet(X + A), "X:nn A:nn", {"X": "inv(X + A).T"}),
    Case("logarithm of the determinant of a product", lambda A, X, B: logdet(A @ X @ B), "A:pn X:nm B:mp",
         {"X": "A.T @ inv(A @ X @ B).T @ B.T"}),
    Case("logarithm of a regularised determinant", lambda X, c: logdet(X.T @ X + c * np.eye(X.shape[1])), "X:nm c:",
         {"X": "2 * X @ inv(X.T @ X + c*eye(m))", "c": "trace(inv(X.T @ X + c*eye(m)))"}),
    Case("logarithm of a squared determinant", lambda X: np.log(det(X) ** 2), "X:nn", {"X": "2*inv(X).T"}),
    Case("determinant of a diagonal and a matrix", lambda x, A: logdet(np.diag(x) + A), "x:n A:nn", {"x": "diag(inv(A + diag(x)))"}),
    # Inverses
    Case("inverse", lambda X: inv(X), "X:nn", {"X": "-inv(X)[i,k]*inv(X)[l,j]"}),
    Case("bilinear form of an inverse", lambda a, X, b: a @ inv(X) @ b, "a:n X:nn b:n",
         {"X": "-(inv(X).T @ a) @ (inv(X) @ b).T", "a": "inv(X) @ b", "a X": "-inv(X)[i,j]*(inv(X) @ b)[k]"}),
    Case("trace of an inverse", lambda X: trace(inv(X)), "X:nn", {"X": "-inv(X).T @ inv(X).T"}),
    Case("trace of an inverse in a product", lambda A, X, B: trace(A @ inv(X) @ B), "A:kn X:nn B:nk",
         {"X": "-inv(X).T @ A.T @ B.T @ inv(X).T"}),
    Case("trace of the inverse of a sum", lambda X, A: trace(inv(X + A)), "X:nn A:nn", {"X": "-inv(X + A).T @ inv(X + A).T"}),
    Case("trace of an inverse and a matrix", lambda X, A: trace(inv(X) @ A), "X:nn A:nn",
         {"X": "-inv(X).T @ A.T @ inv(X).T", "A": "inv(X).T", "A X": "-inv(X)[j,k]*inv(X)[l,i]"}),
    Case("trace of two inverses", lambda X: trace(inv(X) @ inv(X)), "X:nn", {"X": "-2 * matrix_power(inv(X).T, 3)"}),
    Case("trace of the inverse of a form", lambda X, C, A: trace(inv(X.T @ C @ X) @ A), "X:nm C:nn A:mm",
         {"X": "-C @ X @ s @ A @ s - C.T @ X @ s.T @ A.T @ s.T\n    where s = inv(X.T @ C @ X)"}),
    Case("trace of the inverse of a Gram matrix", lambda X: trace(inv(X.T @ X)), "X:nm", {"X": "-2 * X @ inv(X.T @ X) @ inv(X.T @ X)"}),
    Case("trace of a ratio of forms", lambda X, B, C: trace(inv(X.T @ C @ X) @ (X.T @ B @ X)), "X:nm B:nn C:nn",
         {"X": "(B - C @ X @ s @ X.T @ B) @ X @ s + (B.T - C.T @ X @ s.T @ X.T @ B.T) @ X @ s.T\n    where s = inv(X.T @ C @ X)"}),
    Case("determinant times a form of the inverse", lambda X, b: det(X) * (b @ inv(X) @ b), "X:nn b:n",
         {"X": "det(X)*inv(X).T*(b.T @ inv(X) @ b) - det(X) * (inv(X).T @ b) @ (inv(X) @ b).T"}),
    Case("solution of a linear system", lambda A, b: solve(A, b), "A:nn b:n", {"b": "inv(A)", "A": "-inv(A)[i,j]*(inv(A) @ b)[k]"}),
    Case("a product with a solution", lambda a, A, b: a @ solve(A, b), "a:n A:nn b:n",
         {"b": "inv(A).T @ a", "A": "-(inv(A).T @ a) @ (inv(A) @ b).T"}),
    Case("squared length of a solution", lambda A, b: np.sum(solve(A, b) ** 2), "A:nn b:n",
         {"b": "2 * inv(A).T @ inv(A) @ b", "A": "-2 * (inv(A).T @ inv(A) @ b) @ (inv(A) @ b).T", "b b": "2 * inv(A).T @ inv(A)"}),
    Case("projection onto columns", lambda X, y: y @ X @ inv(X.T @ X) @ X.T @ y, "X:nm y:n",
         {"y": "2 * X @ inv(X.T @ X) @ X.T @ y", "X": "2 * (y @ y.T - (X @ inv(X.T @ X) @ X.T @ y) @ y.T) @ X @ inv(X.T @ X)"}),
    Case("ridge solution", lambda X, y, c: inv(X.T @ X + c * np.eye(X.shape[1])) @ X.T @ y, "X:nm y:n c:",
         {"y": "inv(X.T @ X + c*eye(m)) @ X.T", "c": "-inv(X.T @ X + c*eye(m)) @ inv(X.T @ X + c*eye(m)) @ X.T @ y"}),
    # Linear and quadratic forms
    Case("linear form", lambda a, x: a @ x, "a:n x:n", {"x": "a"}),
    Case("bilinear form", lambda a, X, b: a @ X @ b, "a:n X:nm b:m", {"X": "a @ b.T", "a X": "b[k]*delta(i, j)"}),
    Case("bilinear form, transposed", lambda a, X, b: a @ X.T @ b, "a:m X:nm b:n", {"X": "b @ a.T"}),
    Case("quadratic form", lambda A, x: x @ A @ x, "A:nn x:n",
         {"x": "(A + A.T) @ x", "A": "x @ x.T", "x x": "A + A.T", "x A": "x[j]*delta(i, k) + x[k]*delta(i, j)"}),
    Case("half a quadratic form, less a linear one", lambda A, x, b: 0.5 * x @ A @ x - b @ x, "A:nn x:n b:n",
         {"x": "1/2 * (A + A.T) @ x - b", "x x": "(A + A.T)/2"}),
    Case("weighted residual", lambda x, A, s, W: (x - A @ s) @ W @ (x - A @ s), "x:n A:nm s:m W:nn",
         {"s": "-A.T @ (W + W.T) @ (x - A @ s)",
          "x": "(W + W.T) @ (x - A @ s)",
          "A": "-((W + W.T) @ (x - A @ s)) @ s.T",
          "W": "(x - A @ s) @ (x - A @ s).T"}),
    Case("product of two affine maps", lambda B, x, b, C, D, d: (B @ x + b) @ C @ (D @ x + d), "B:nm x:m b:n C:nk D:km d:k",
         {"x": "B.T @ C @ (D @ x + d) + D.T @ C.T @ (B @ x + b)"}),
    Case("form of a Gram matrix", lambda X, b, c: b @ X.T @ X @ c, "X:nm b:m c:m", {"X": "X @ (b @ c.T + c @ b.T)"}),
    Case("form of an affine map", lambda X, b, c, D: (X @ b + c) @ D @ (X @ b + c), "X:nm b:m c:n D:nn",
         {"X": "((D + D.T) @ (X @ b + c)) @ b.T", "b": "X.T @ (D + D.T) @ (X @ b + c)"}),
    Case("form of a product of matrices", lambda x, A: x @ A @ A @ x, "x:n A:nn",
         {"x": "(A @ A + A.T @ A.T) @ x", "A": "x @ (A @ x).T + (A.T @ x) @ x.T"}),
    Case("root of a quadratic form", lambda x, A: np.sqrt(x @ A @ x), "x:n A:nn",
         {"x": "1/(2*sqrt(x.T @ A @ x)) * (A + A.T) @ x",
          "x x": "(A/2 + A.T/2 - 1/(4*(x.T @ A @ x)) * ((A + A.T) @ x) @ ((A + A.T) @ x).T)/sqrt(x.T @ A @ x)"}),
    Case("exponential of a quadratic form", lambda x, A: np.exp(x @ A @ x), "x:n A:nn",
         {"x": "exp(x.T @ A @ x) * (A + A.T) @ x", "x x": "exp(x.T @ A @ x)*(((A + A.T) @ x) @ ((A + A.T) @ x).T + A + A.T)"}),
    Case("logarithm of a quadratic form", lambda x, A: np.log(x @ A @ x), "x:n A:nn", {"x": "1/(x.T @ A @ x) * (A + A.T) @ x"}),
    Case("Rayleigh quotient", lambda w, S: (w @ S @ w) / (w @ w), "w:n S:nn",
         {"w": "1/sum(w**2) * (S + S.T) @ w - 2*w*(w.T @ S @ w)/sum(w**2)**2"}),
    Case("generalised Rayleigh quotient", lambda x, A, B: (x @ A @ x) / (x @ B @ x), "x:n A:nn B:nn",
         {"x": "1/(x.T @ B @ x) * (A + A.T) @ x - x.T @ A @ x/(x.T @ B @ x)**2 * (B + B.T) @ x"}),
    Case("product of two quadratic forms", lambda x, A, B: (x @ A @ x) * (x @ B @ x), "x:n A:nn B:nn",
         {"x": "(x.T @ A @ x) * (B + B.T) @ x + (x.T @ B @ x) * (A + A.T) @ x"}),
    Case("product of two linear forms", lambda a, b, x: (a @ x) * (b @ x), "a:n b:n x:n",
         {"x": "(b @ a.T + a @ b.T) @ x", "x x": "b @ a.T + a @ b.T"}),
    Case("ratio of two linear forms", lambda a, b, x: (a @ x) / (b @ x), "a:n b:n x:n",
         {"x": "a/(x.T @ b) - b*(a.T @ x)/(x.T @ b)**2", "x x": "(2*(a.T @ x)/(x.T @ b) * b @ b.T - b @ a.T - a @ b.T)/(x.T @ b)**2"}),
    Case("square of a bilinear form", lambda u, X, v: (u @ X @ v) ** 2, "u:n X:nm v:m",
         {"X": "2*(u.T @ X @ v) * u @ v.T", "u": "2*(u.T @ X @ v) * X @ v"}),
    # Norms
    Case("length", lambda x: norm(x), "x:n", {"x": "x/norm(x)", "x x": "eye(n)/norm(x) - 1/norm(x)**3 * x @ x.T"}),
    Case("distance", lambda x, a: norm(x - a), "x:n a:n",
         {"x": "(x - a)/norm(x - a)",
          "x x": "eye(n)/norm(x - a) - 1/norm(x - a)**3 * (x - a) @ (x - a).T",
          "x a": "1/norm(x - a)**3 * (x - a) @ (x - a).T - eye(n)/norm(x - a)"}),
    Case("squared distance", lambda x, a: norm(x - a) ** 2, "x:n a:n", {"x": "2*(x - a)", "x x": "2*eye(n)"}),
    Case("fourth power of a length", lambda x: norm(x) ** 4, "x:n", {"x": "4*x*sum(x**2)", "x x": "8 * x @ x.T + 4*sum(x**2)*eye(n)"}),
    Case("reciprocal distance", lambda x, a: 1 / norm(x - a), "x:n a:n",
         {"x": "-(x - a)/norm(x - a)**3", "x x": "3/norm(x - a)**5 * (x - a) @ (x - a).T - eye(n)/norm(x - a)**3"}),
    Case("direction", lambda x, a: (x - a) / norm(x - a), "x:n a:n", {"x": "eye(n)/norm(x - a) - 1/norm(x - a)**3 * (x - a) @ (x - a).T"}),
    Case("length of a residual", lambda A, x, b: norm(A @ x - b), "A:nm x:m b:n",
         {"x": "1/norm(A @ x - b) * A.T @ (A @ x - b)", "A": "1/norm(A @ x - b) * (A @ x - b) @ x.T", "b": "-(A @ x - b)/norm(A @ x - b)"}),
    Case("squared length of a residual", lambda A, x, b: norm(A @ x - b) ** 2, "A:nm x:m b:n",
         {"x": "2 * A.T @ (A @ x - b)",
          "A": "2 * (A @ x - b) @ x.T",
          "b": "-2*(A @ x - b)",
          "x x": "2 * A.T @ A",
          "x b": "-2*A.T",
          "x A": "2*A[j,i]*x[k] + 2*((A @ x)[j] - b[j])*delta(i, k)"}),
    Case("Frobenius norm", lambda X: norm(X), "X:nm", {"X": "X/norm(X)"}),
    Case("squared Frobenius norm", lambda X: norm(X) ** 2, "X:nm", {"X": "2*X"}),
    Case("squared Frobenius norm of a residual", lambda A, X, B, C: norm(A @ X @ B - C) ** 2, "A:kn X:nm B:mp C:kp",
         {"X": "2 * A.T @ (A @ X @ B - C) @ B.T"}),
    Case("sum of absolute values", lambda x: np.sum(np.abs(x)), "x:n", {"x": "sign(x)"}),
    Case("sum of absolute residuals", lambda A, x, b: np.sum(np.abs(A @ x - b)), "A:nm x:m b:n", {"x": "A.T @ sign(A @ x - b)"}),
    Case("cosine of an angle", lambda x, y: x @ y / (norm(x) * norm(y)), "x:n y:n", {"x": "(y - x*(x.T @ y)/sum(x**2))/(norm(x)*norm(y))"}),
    Case("nuclear norm", lambda X: np.sum(svdvals(X)), "X:nm", {"X": "svd(X)[0] @ svd(X)[2]"}),
    Case("distance from orthogonality", lambda A: norm(A @ A.T - np.eye(A.shape[0])) ** 2, "A:nm", {"A": "4 * A @ A.T @ A - 4*A"}),
    Case("commutator", lambda A, B: norm(A @ B - B @ A) ** 2, "A:nn B:nn", {"A": "2 * (A @ B - B @ A) @ B.T - 2 * B.T @ (A @ B - B @ A)"}),
    # Least squares, regression
    Case("least squares", lambda X, w, y: 0.5 * np.sum((X @ w - y) ** 2), "X:nm w:m y:n", {"w": "X.T @ (X @ w - y)", "w w": "X.T @ X"}),
    Case("mean squared error", lambda X, w, y: np.mean((X @ w - y) ** 2), "X:nm w:m y:n",
         {"w": "2/n * X.T @ (X @ w - y)", "X": "2/n * (X @ w - y) @ w.T", "w w": "2/n * X.T @ X", "w y": "-2*X.T/n"}),
    Case("ridge regression", lambda X, w, y, c: norm(X @ w - y) ** 2 + c * norm(w) ** 2, "X:nm w:m y:n c:",
         {"w": "2 * X.T @ (X @ w - y) + 2*c*w", "w w": "2 * X.T @ X + 2*c*eye(m)", "w c": "2*w"}),
    Case("weighted least squares", lambda A, x, b, D: np.sum(D * (A @ x - b) ** 2), "A:nm x:m b:n D:n",
         {"x": "2 * A.T @ (D*(A @ x - b))", "D": "(A @ x - b)**2", "x x": "2 * A.T @ diag(D) @ A"}),
    Case("least squares with a diagonal matrix", lambda A, x, b, D: (A @ x - b) @ np.diag(D) @ (A @ x - b), "A:nm x:m b:n D:n",
         {"x": "2 * A.T @ (D*(A @ x - b))"}),
    Case("kernel ridge regression", lambda K, a, y, c: norm(y - K @ a) ** 2 + c * (a @ K @ a), "K:nn a:n y:n c:",
         {"a": "c * (K + K.T) @ a - 2 * K.T @ (y - K @ a)"}),
    Case("logistic regression, labels 1 and -1", lambda X, w, y: np.sum(np.log(1 + np.exp(-y * (X @ w)))), "X:nm w:m y:n",
         {"w": "-X.T @ (y*sigmoid(-y*(X @ w)))"}),
    Case("logistic regression", lambda X, w, y: np.mean(np.log(1 + np.exp(X @ w)) - y * (X @ w)), "X:nm w:m y:n",
         {"w": "1/n * X.T @ (sigmoid(X @ w) - y)", "w w": "1/n * X.T @ diag(sigmoid(X @ w)*(1 - sigmoid(X @ w))) @ X"}),
    Case("cross entropy of sigmoids",
         lambda X, w, y: -np.mean(y * np.log(sigmoid(X @ w)) + (1 - y) * np.log(1 - sigmoid(X @ w))),
         "X:nm w:m y:n",
         {"w": "1/n * X.T @ (sigmoid(X @ w) - y)"}),
    Case("squared hinge", lambda X, w: np.sum(np.maximum(0, 1 - X @ w) ** 2), "X:nm w:m", {"w": "-2 * X.T @ max(0, 1 - X @ w)"}),
    Case("rectified layer", lambda W, x: np.sum(np.maximum(W @ x, 0)), "W:nm x:m",
         {"W": "heaviside(W @ x, 1/2) @ x.T", "x": "W.T @ heaviside(W @ x, 1/2)"}),
    Case("logarithmic barrier", lambda A, x, b: -np.sum(np.log(b + 9 - A @ x)), "A:nm x:m b:n",
         {"x": "A.T @ (1/(b - A @ x + 9))", "x x": "A.T @ diag(1/(b - A @ x + 9)**2) @ A"}),
    Case("barrier of a ball", lambda x: -np.log(9 - x @ x), "x:n",
         {"x": "2*x/(9 - sum(x**2))", "x x": "4/(9 - sum(x**2))**2 * x @ x.T + 2*eye(n)/(9 - sum(x**2))"}),
    # Softmax and entropies
    Case("softmax", lambda z: softmax(z), "z:n", {"z": "diag(softmax(z)) - softmax(z) @ softmax(z).T"}),
    Case("log-sum-exp", lambda z: np.log(np.sum(np.exp(z))), "z:n",
         {"z": "softmax(z)", "z z": "diag(softmax(z)) - softmax(z) @ softmax(z).T"}),
    Case("log-sum-exp of an affine map", lambda A, x, b: np.log(np.sum(np.exp(A @ x + b))), "A:nm x:m b:n",
         {"x": "A.T @ softmax(A @ x + b)", "x x": "A.T @ (diag(softmax(A @ x + b)) - softmax(A @ x + b) @ softmax(A @ x + b).T) @ A"}),
    Case("softmax of an affine map", lambda A, x, b: softmax(A @ x + b), "A:nm x:m b:n",
         {"x": "(diag(softmax(A @ x + b)) - softmax(A @ x + b) @ softmax(A @ x + b).T) @ A",
          "b": "diag(softmax(A @ x + b)) - softmax(A @ x + b) @ softmax(A @ x + b).T"}),
    Case("cross entropy of a softmax", lambda z, y: -y @ np.log(softmax(z)), "z:n y:n",
         {"z": "softmax(z)*sum(y) - y", "z z": "sum(y)*(diag(softmax(z)) - softmax(z) @ softmax(z).T)"}),
    Case("multinomial logistic regression, one example", lambda W, x, y: np.log(np.sum(np.exp(W @ x))) - y @ (W @ x), "W:nm x:m y:n",
         {"W": "(softmax(W @ x) - y) @ x.T"}),
    Case("multinomial logistic regression",
         lambda X, W, Y: np.mean(np.log(np.sum(np.exp(X @ W), axis=1)) - np.sum(Y * (X @ W), axis=1)),
         "X:nm W:mk Y:nk",
         {"W": "1/n * X.T @ (softmax(X @ W, axis=1) - Y)"}),
    Case("cross entropy of rows", lambda Z, Y: -np.sum(Y * np.log(np.exp(Z) / np.sum(np.exp(Z), axis=1, keepdims=True))), "Z:nm Y:nm",
         {"Z": "diag(sum(Y, axis=1)) @ softmax(Z, axis=1) - Y"}),
    Case("entropy", lambda x: -x @ np.log(x), "x:n", {"x": "-log(x) - 1", "x x": "-diag(1/x)"}),
    Case("Kullback-Leibler divergence", lambda p, q: np.sum(p * np.log(p / q)), "p:n q:n", {"p": "log(p/q) + 1", "q": "-p/q"}),
    Case("Bhattacharyya coefficient", lambda p, q: np.sqrt(p) @ np.sqrt(q), "p:n q:n", {"p": "sqrt(q/p)/2"}),
    Case("normalised to sum 1", lambda x: x / np.sum(x), "x:n", {"x": "eye(n)/sum(x) - (x/sum(x)**2)[:, None]"}),
    # Gaussians
    Case("Mahalanobis distance", lambda x, u, S: (x - u) @ inv(S) @ (x - u), "x:n u:n S:nn",
         {"u": "-(inv(S) + inv(S).T) @ (x - u)",
          "x": "(inv(S) + inv(S).T) @ (x - u)",
          "S": "-(inv(S).T @ (x - u)) @ (inv(S) @ (x - u)).T",
          "u u": "inv(S) + inv(S).T"}),
    Case("log density", lambda x, u, S: -0.5 * logdet(S) - 0.5 * (x - u) @ inv(S) @ (x - u), "x:n u:n S:nn",
         {"u": "1/2 * (inv(S) + inv(S).T) @ (x - u)",
          "x": "-1/2 * (inv(S) + inv(S).T) @ (x - u)",
          "S": "((inv(S).T @ (x - u)) @ (inv(S) @ (x - u)).T - inv(S).T)/2"}),
    Case("log likelihood of rows",
         lambda X, u, S: -0.5 * X.shape[0] * logdet(S) - 0.5 * np.sum((X - u) @ inv(S) * (X - u)),
         "X:nm u:m S:mm",
         {"u": "1/2 * (inv(S) + inv(S).T) @ sum(X - u, axis=0)", "S": "(inv(S).T @ (X - u).T @ (X - u) @ inv(S).T - n*inv(S).T)/2"}),
    Case("covariance fit", lambda S, C: logdet(S) + trace(inv(S) @ C), "S:nn C:nn", {"S": "inv(S).T - inv(S).T @ C.T @ inv(S).T"}),
    Case("precision fit", lambda P, C: trace(P @ C) - logdet(P), "P:nn C:nn", {"P": "C.T - inv(P).T", "P P": "inv(P)[j,k]*inv(P)[l,i]"}),
    Case("divergence of two Gaussians",
         lambda S, T, u, v: 0.5 * (trace(inv(T) @ S) + (v - u) @ inv(T) @ (v - u) + logdet(T) - logdet(S)),
         "S:nn T:nn u:n v:n",
         {"u": "-1/2 * (inv(T) + inv(T).T) @ (v - u)",
          "S": "(inv(T).T - inv(S).T)/2",
          "T": "(inv(T).T - inv(T).T @ ((v - u) @ (v - u).T + S.T) @ inv(T).T)/2"}),
    Case("radial basis", lambda x, y: np.exp(-norm(x - y) ** 2 / 2), "x:n y:n",
         {"x": "-(x - y)*exp(-sum((x - y)**2)/2)",
          "y": "(x - y)*exp(-sum((x - y)**2)/2)",
          "x y": "exp(-sum((x - y)**2)/2)*(eye(n) - (x - y) @ (x - y).T)"}),
    Case("sum of radial bases", lambda X, y, c: np.sum(np.exp(-c * np.sum((X - y) ** 2, axis=1))), "X:nm y:m c:",
         {"y": "2*c * (X - y).T @ exp(-c*sum((X - y)**2, axis=1))"}),
    # Factorisations and components
    Case("matrix factorisation", lambda A, U, V: np.sum((A - U @ V.T) ** 2), "A:nm U:nk V:mk",
         {"U": "-2 * (A - U @ V.T) @ V", "V": "-2 * (A.T - V @ U.T) @ U"}),
    Case("masked matrix factorisation", lambda A, U, V, M: np.sum(M * (A - U @ V.T) ** 2), "A:nm U:nk V:mk M:nm",
         {"U": "-2 * (M*(A - U @ V.T)) @ V", "V": "-2 * (M*(A - U @ V.T)).T @ U"}),
    Case("symmetric factorisation", lambda A, X: norm(A - X @ X.T) ** 2, "A:nn X:nm", {"X": "(4 * X @ X.T - 2*A - 2*A.T) @ X"}),
    Case("Sylvester residual", lambda A, X, B, C: np.sum((A @ X + X @ B - C) ** 2), "A:nn X:nm B:mm C:nm",
         {"X": "2 * (A @ X + X @ B - C) @ B.T + 2 * A.T @ (A @ X + X @ B - C)"}),
    Case("principal components, variance", lambda W, S: trace(W.T @ S @ W), "W:nm S:nn", {"W": "(S + S.T) @ W"}),
    Case("principal components, reconstruction", lambda X, W: norm(X - X @ W @ W.T) ** 2, "X:nm W:mk",
         {"W": "-2 * ((X - X @ W @ W.T).T @ X + X.T @ (X - X @ W @ W.T)) @ W"}),
    Case("Cholesky factor, logarithm of the determinant",
         lambda A: np.sum(np.log(np.diagonal(cholesky(A @ A.T + np.eye(A.shape[0]))))),
         "A:nn",
         {"A": "inv(A @ A.T + eye(n)) @ A"}),
    Case("Cholesky factor, trace", lambda A: trace(cholesky(A @ A.T)), "A:nn",
         {"A": "inv(cholesky(A @ A.T)).T @ diag(diag(cholesky(A @ A.T))) @ inv(cholesky(A @ A.T)) @ A"}),
    Case("Cholesky factor, sum", lambda A: np.sum(cholesky(A @ A.T)), "A:nn",
         {"A": "inv(cholesky(A @ A.T)).T @ (s + diag(sum(cholesky(A @ A.T), axis=0)) + s.T) @ inv(cholesky(A @ A.T)) @ A"
               "\n    where s = triu(ones(n) @ sum(cholesky(A @ A.T), axis=0).T, 1)"}),
    Case("whitened length", lambda A, x: np.sum(solve(cholesky(A @ A.T), x) ** 2), "A:nn x:n", {"x": "2 * inv(A @ A.T) @ x"}),
    # Means, variances, sums
    Case("mean", lambda x: np.mean(x), "x:n", {"x": "1/n*ones(n)"}),
    Case("variance", lambda x: np.var(x), "x:n", {"x": "2*(x - mean(x))/n", "x x": "2*eye(n)/n - 2/n**2"}),
    Case("standard deviation", lambda x: np.std(x), "x:n", {"x": "(x - mean(x))/(n*sqrt(mean((x - mean(x))**2)))"}),
    Case("column means", lambda X: np.mean(X, axis=0), "X:nm", {"X": "delta(i, k)/n"}),
    Case("scatter around the means", lambda X: np.sum((X - np.mean(X, axis=0)) ** 2), "X:nm", {"X": "2*X - 2*mean(X, axis=0)"}),
    Case("square of a sum", lambda X: np.sum(X) ** 2, "X:nm", {"X": "2*sum(X)*ones(n, m)"}),
    Case("squared row sums", lambda X: np.sum(np.sum(X, axis=1) ** 2), "X:nm", {"X": "2*sum(X, axis=1) @ ones(m).T"}),
    Case("sum of a product", lambda A, B: np.einsum("ij,jk->", A, B), "A:nm B:mk",
         {"A": "ones(n) @ sum(B, axis=1).T", "B": "sum(A, axis=0) @ ones(k).T"}),
    # Elementwise functions, Hadamard products
    Case("Hadamard product", lambda A, X, B: np.sum(A * X * B), "A:nm X:nm B:nm", {"X": "A*B"}),
    Case("squared Hadamard product", lambda A, X: np.sum((A * X) ** 2), "A:nm X:nm", {"X": "2*A**2*X"}),
    Case("sum of exponentials", lambda X: np.sum(np.exp(X)), "X:nm", {"X": "exp(X)"}),
    Case("sum of logarithms", lambda X: np.sum(np.log(X)), "X:nm", {"X": "1/X", "X X": "-delta(i, k)*delta(j, l)/X[k,l]**2"}),
    Case("exponential of a linear map", lambda A, x: np.exp(A @ x), "A:nm x:m", {"x": "diag(exp(A @ x)) @ A"}),
    Case("sine of a linear map", lambda X, b: np.sum(np.sin(X @ b)), "X:nm b:m",
         {"X": "cos(X @ b) @ b.T", "b": "X.T @ cos(X @ b)", "b b": "-X.T @ diag(sin(X @ b)) @ X"}),
    Case("a layer and its weights", lambda X, w, a: a @ np.tanh(X @ w), "X:nm w:m a:n",
         {"X": "(a*(1 - tanh(X @ w)**2)) @ w.T",
          "w": "X.T @ (a*(1 - tanh(X @ w)**2))",
          "w w": "-2 * X.T @ diag(a*tanh(X @ w)*(1 - tanh(X @ w)**2)) @ X"}),
    Case("two layers", lambda W, V, x: V @ np.tanh(W @ x), "W:nm V:kn x:m",
         {"x": "V @ diag(1 - tanh(W @ x)**2) @ W", "V": "tanh((W @ x)[l])*delta(i, j)"}),
    Case("product of elements", lambda x: np.prod(x), "x:n", {"x": "prod(x)/x"}),
    # Kernels
    Case("polynomial kernel", lambda x, y, c: (x @ y + c) ** 3, "x:n y:n c:",
         {"x": "3*y*(x.T @ y + c)**2", "x y": "6*(x.T @ y + c) * y @ x.T + 3*(x.T @ y + c)**2*eye(n)"}),
    Case("sigmoid kernel", lambda x, y: np.tanh(x @ y), "x:n y:n",
         {"x": "y*(1 - tanh(x.T @ y)**2)", "x y": "(1 - tanh(x.T @ y)**2)*(eye(n) - 2*tanh(x.T @ y) * y @ x.T)"}),
    Case("rational kernel", lambda x, y: 1 / (1 + (x - y) @ (x - y)), "x:n y:n", {"x": "-2*(x - y)/(sum((x - y)**2) + 1)**2"}),
    Case("logistic of a linear form", lambda a, x: np.log(1 + np.exp(a @ x)), "a:n x:n",
         {"x": "a*sigmoid(a.T @ x)", "x x": "sigmoid(a.T @ x)*(1 - sigmoid(a.T @ x)) * a @ a.T"}),
    # Outer products, diagonals, triangles
    Case("outer product", lambda x, y: np.outer(x, y), "x:n y:m", {"x": "y[j]*delta(i, k)"}),
    Case("form of an outer product", lambda x, y, A: np.sum(np.outer(x, y) * A), "x:n y:m A:nm", {"x": "A @ y", "x y": "A"}),
    Case("distance of an outer product", lambda A, x, y: norm(A - np.outer(x, y)) ** 2, "A:nm x:n y:m", {"x": "-2 * (A - x @ y.T) @ y"}),
    Case("squared diagonal", lambda X: np.sum(np.diagonal(X) ** 2), "X:nn", {"X": "2 * diag(diag(X))"}),
    Case("form with a diagonal matrix", lambda X, v: trace(X @ np.diag(v) @ X.T), "X:nm v:m",
         {"X": "2 * X @ diag(v)", "v": "sum(X**2, axis=0)"}),
    Case("product with a diagonal matrix", lambda A, d: A.T @ np.diag(d) @ A, "A:nm d:n", {"d": "A[k,i]*A[k,j]"}),
    Case("lower triangle", lambda X: np.sum(np.tril(X) ** 2), "X:nn", {"X": "tril(2*X)"}),
    Case("running sums", lambda x: np.cumsum(x), "x:n", {"x": "tril(ones(n, n))"}),
    # Products of tensors, indices
    Case("product of four", lambda x, A, B, y: np.einsum("i,ij,jk,k->", x, A, B, y), "x:n A:nm B:mk y:k",
         {"A": "x @ (B @ y).T", "x": "A @ B @ y", "x y": "A @ B"}),
    Case("trilinear form", lambda T, x, y, z: np.einsum("ijk,i,j,k->", T, x, y, z), "T:nmk x:n y:m z:k",
         {"x": "sum_j_l T[i,j,l]*y[j]*z[l]", "T": "x[i]*y[j]*z[l]", "x y": "sum_l T[i,j,l]*z[l]"}),
    Case("product of three matrices", lambda P, X, Q: P @ X @ Q, "P:nm X:mk Q:kp", {"X": "P[i,l]*Q[r,j]"}),
    Case("square of a matrix", lambda X: X @ X, "X:nn", {"X": "X[l,j]*delta(i, k) + X[i,k]*delta(j, l)"}),
    Case("Gram matrix", lambda X: X.T @ X, "X:nm", {"X": "X[k,j]*delta(i, l) + X[k,i]*delta(j, l)"}),
    Case("matrix times vector", lambda A, x: A @ x, "A:nm x:m", {"x": "A", "A": "x[k]*delta(i, j)"}),
    Case("rows of a matrix", lambda X: X[0] @ X[1], "X:nm", {"X": "eye(n)[1] @ X[0].T + eye(n)[0] @ X[1].T"}),
    Case("neighbours", lambda x: x[1:] @ x[:-1], "x:n", {"x": "pad(x[1:], (0, 1)) + pad(x[:-1], (1, 0))"}),
    Case("Kronecker product, trace", lambda A, X: trace(np.kron(A @ A, X @ X)), "A:nn X:mm",
         {"X": "2*X.T*trace(A @ A)", "A": "2*A.T*trace(X @ X)"}),
    Case("Kronecker product, times a vector", lambda A, B, x: np.kron(A, B) @ x, "A:nm B:kp x:r", {"x": "kron(A, B)"}),
    Case("Kronecker product", lambda A, B, C: np.sum(C * np.kron(A, B)), "A:nm B:kp C:qr",
         {"A": "sum_l_r B[l,r]*reshape(C, (n, k, m, p))[i,l,j,r]", "B": "sum_l_r A[l,r]*reshape(C, (n, k, m, p))[l,i,r,j]"}),
    # Eigenvalues, singular values, pseudo-inverses
    Case("smallest eigenvalue", lambda A: eigvalsh(A @ A.T)[0], "A:nn",
         {"A": "2 * eigh(A @ A.T)[1][:, 0] @ (A.T @ eigh(A @ A.T)[1][:, 0]).T"}),
    Case("sum of eigenvalues", lambda A: np.sum(eigvalsh(A @ A.T)), "A:nn", {"A": "2*A"}),
    Case("logarithms of eigenvalues", lambda A: np.sum(np.log(eigvalsh(A @ A.T))), "A:nn",
         {"A": "2 * eigh(A @ A.T)[1] @ diag(1/eigvalsh(A @ A.T)) @ eigh(A @ A.T)[1].T @ A"}),
    Case("spectral norm", lambda X: norm(X, 2), "X:nm", {"X": "svd(X)[0][:, 0] @ svd(X)[2][0].T"}),
    Case("logarithms of singular values", lambda X: np.sum(np.log(svdvals(X))), "X:nm",
         {"X": "svd(X)[0] @ diag(1/svdvals(X)) @ svd(X)[2]"}),
    Case("least squares by a pseudo-inverse", lambda X, b: pinv(X) @ b, "X:nm b:n", {"b": "pinv(X)"}),
    # Symmetric matrices
    Case("form of a symmetric matrix", lambda x, P: x @ P @ x, "x:n P:nn", {"x": "2 * P @ x", "x x": "2*P", "P": "x @ x.T"}, "P"),
    Case("trace of a form of a symmetric matrix", lambda X, P: trace(X @ P @ X.T), "X:nm P:mm", {"X": "2 * X @ P"}, "P"),
    Case("log-density of a normal distribution", lambda x, mu, S: -(x - mu) @ inv(S) @ (x - mu) / 2 - logdet(S) / 2, "x:n mu:n S:nn",
         {"x": "-inv(S) @ (x - mu)", "mu": "inv(S) @ (x - mu)", "x x": "-inv(S)",
          "S": "((inv(S) @ (x - mu)) @ (inv(S) @ (x - mu)).T - inv(S))/2"}, "S"),
    Case("length in a metric", lambda x, P: np.sqrt(x @ P @ x), "x:n P:nn",
         {"x": "1/sqrt(x.T @ P @ x) * P @ x", "x x": "P/sqrt(x.T @ P @ x) - 1/(x.T @ P @ x)**(3/2) * (P @ x) @ (P @ x).T"}, "P"),
    # Networks
    Case("two layers with biases", lambda V, b, W, c, X, Y: np.sum((np.tanh(X @ V + b) @ W + c - Y)**2), "V:mk b:k W:kp c:p X:nm Y:np",
         {"V": "2 * X.T @ ((1 - tanh(X @ V + b)**2)*((tanh(X @ V + b) @ W + c - Y) @ W.T))",
          "b": "2*sum((1 - tanh(X @ V + b)**2)*((tanh(X @ V + b) @ W + c - Y) @ W.T), axis=0)",
          "W": "2 * tanh(X @ V + b).T @ (tanh(X @ V + b) @ W + c - Y)", "c": "2*sum(tanh(X @ V + b) @ W + c - Y, axis=0)",
          "X": "2 * ((1 - tanh(X @ V + b)**2)*((tanh(X @ V + b) @ W + c - Y) @ W.T)) @ V.T"}),
    Case("three layers", lambda U, V, W, X: np.sum(np.sin(np.sin(X @ U) @ V) @ W), "U:mk V:kp W:pn X:nm",
         {"U": "X.T @ (cos(X @ U)*(cos(sin(X @ U) @ V) @ diag(sum(W, axis=1)) @ V.T))"}),
    # Kernels
    Case("radial basis functions", lambda X: np.sum(np.exp(-np.sum((X[:, None, :] - X[None, :, :])**2, axis=2))), "X:nm",
         {"X": "-4*(sum_k (X[i,j] - X[k,j])*exp(-(sum_l (X[i,l] - X[k,l])**2)))"}),
    Case("form of a kernel matrix", lambda X, a: a @ np.exp(-np.sum((X[:, None, :] - X[None, :, :])**2, axis=2)) @ a, "X:nm a:n",
         {"X": "-4*a[i]*(sum_k a[k]*(X[i,j] - X[k,j])*exp(-(sum_l (X[i,l] - X[k,l])**2)))",
          "a": "2*(sum_j a[j]*exp(-(sum_k (X[i,k] - X[j,k])**2)))"}),
    Case("half a form", lambda x, A, b: x @ A @ x / 2 - b @ x, "x:n A:nn b:n", {"x": "1/2 * (A + A.T) @ x - b"}),
    Case("clipped squares", lambda x: np.sum(np.clip(x, 0.5, 0.8)**2), "x:n", {"x": "where((x >= 1/2) & (x <= 0.8), 2*x, 0)"}),
    # Regressions
    Case("probit", lambda w, X: np.sum(np.log(special.ndtr(X @ w))), "w:m X:nm", {"w": "X.T @ (phi(X @ w)/Phi(X @ w))"}),
]
