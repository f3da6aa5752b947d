"""`loss.export(path)`: a module that needs NumPy and numba only."""
import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap

import numba
import numpy as np
import pytest

import chainrule as cr
from chainrule import grad

RNG = np.random.default_rng(3)
X = RNG.standard_normal((6, 4))
SQUARE = 3 * np.eye(4) + X[:4]
TABLE = RNG.standard_normal(2000)
WEIGHTS = np.array([1.0, 0.1, -2.0])


def logistic(w, b, X, y):
    p = 1 / (1 + np.exp(-(X @ w + b)))
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))


def network(first, second, x, y):
    return np.mean((np.tanh(x @ first) @ second - y)**2)


def structured(p, y):
    return np.sum((p["a"][0] * y + p["a"][1])**2)


FUNCTIONS = {
    "two numbers": (lambda x, y: x**2 * np.sin(y) + np.exp(x * y), (1.5, 2.0)),
    "logistic regression": (logistic, (np.zeros(4), 0.5, X, X[:, 0] > 0)),
    "products": (network, (X.T, X[:, :3], X, X[:, :3])),
    "float32": (network, tuple(a.astype(np.float32) for a in (X.T, X[:, :3], X, X[:, :3]))),
    "stacks of products": (lambda a, b: np.sum(np.sin(a @ b)), (RNG.standard_normal((3, 2, 4)), RNG.standard_normal((3, 4, 2)))),
    "sorted and summed": (lambda x: np.sum(np.sort(x) * np.cumsum(x)), (X[0],)),
    "indices": (lambda x, i: np.sum(x[i]**2), (X[0], np.array([1, 1, 3]))),
    "where and slices": (lambda x: np.sum(np.where(x[1:] > 0, x[1:]**2, -x[:-1])), (X[0],)),
    "a system": (lambda a, b: np.sum(np.linalg.solve(a, b)) + np.linalg.slogdet(a)[1], (SQUARE, X[0])),
    "a Cholesky factor": (lambda a: np.sum(np.linalg.cholesky(a @ a.T)), (SQUARE,)),
    "structures": (structured, ({"a": (np.ones(3), 2.0)}, np.arange(3.0))),
    "a captured array": (lambda x: np.sum(np.minimum(x * WEIGHTS, 1.0)), (np.arange(1.0, 4.0),)),
    "several outputs": (lambda x: {"a": x * 2, "b": (np.sum(x), x > 1)}, (X[0],)),
    "names in use": (lambda s0, np_, value, sigmoid: np.sum(1 / (1 + np.exp(-s0 * value * sigmoid))) * np_, (X[0], 2.0, X[1], X[2])),
    "a loop": (lambda x, p: np.sum(cr.scan(lambda c, r: (c * p + r, c), x[0], x, length=6)[1]), (RNG.standard_normal(6), 0.5)),
    "a loop with a system": (lambda a, b: np.sum(cr.scan(lambda c, _: (np.linalg.solve(a, c), None), b, length=3)[0]), (SQUARE, X[0])),
    "a loop of unknown length": (lambda x: cr.while_loop(lambda s: np.abs(s * s - x) > 1e-9, lambda s: 0.5 * (s + x / s), x), (2.0,)),
    "a checkpoint": (lambda x: np.sum(cr.checkpoint(np.sin)(x)), (X[0],)),
    "a default": (lambda x, p=2.0: np.sum(x) * p, (X[0],)),
}


def leaves(value):
    if isinstance(value, (tuple, list, dict)):
        return [leaf for item in (value.values() if isinstance(value, dict) else value) for leaf in leaves(item)]
    return [] if value is None else [np.asarray(value)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_exported_functions_give_the_same_numbers(name, tmp_path, monkeypatch):
    function, arguments = FUNCTIONS[name]
    decorated = grad(function)
    decorated.trace(*arguments)
    path = decorated.export(tmp_path / "exported.py")
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)  # the source as Python runs it; what numba makes of it is below
    spec = importlib.util.spec_from_file_location("exported", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.undo()
    assert set(module.__all__) >= {"value", "jacobian" if name == "several outputs" else "value_and_grad"}
    for form in module.__all__:
        made = leaves(getattr(module, form)(*arguments))
        expected = leaves((decorated if form == "value" else getattr(decorated, form))(*arguments))
        for a, b in zip(made, expected, strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_allclose(a, b, rtol=1e-12 if a.dtype == np.float64 else 2e-5, atol=1e-13 if a.dtype == np.float64 else 1e-6)
    ruff = shutil.which("ruff", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]))
    if ruff:
        subprocess.run([ruff, "format", "--isolated", "--check", path], check=True)
        subprocess.run([ruff, "check", "--isolated", path], check=True)


PROGRAM = """
import numpy as np
from chainrule import grad

@grad(wrt=("w", "b"))
def loss(w, b, X, y):
    p = 1 / (1 + np.exp(-(X @ w + b)))
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
"""


def test_the_module_needs_no_chainrule_and_is_always_the_same(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    spec = importlib.util.spec_from_file_location("program", tmp_path / "program.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    y = (X[:, 0] > 0) * 1.0
    value, (dw, db) = program.loss.value_and_grad(np.zeros(4), 0.5, X, y)
    text = program.loss.export(tmp_path / "first.py").read_text()
    np.savez(tmp_path / "expected.npz", X=X, y=y, value=value, dw=dw, db=db)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), "PYTHONHASHSEED": "17"}
    again = textwrap.dedent("""
        import numpy as np, program
        program.loss.value_and_grad(np.zeros(4), 0.5, np.ones((6, 4)), np.ones(6))
        program.loss.export("second.py")
    """)
    use = textwrap.dedent("""
        import sys
        sys.modules.update(dict.fromkeys(["chainrule", "scipy"]))  # importing them fails
        import numpy as np, first
        given = np.load("expected.npz")
        value, (dw, db) = first.value_and_grad(np.zeros(4), 0.5, given["X"], given["y"])
        for made, expected in ((value, given["value"]), (dw, given["dw"]), (db, given["db"])):
            np.testing.assert_allclose(made, expected, rtol=1e-13)
        for arguments, error, message in (
            ((np.zeros(3), 0.5, given["X"], given["y"]), ValueError, "X.shape[1] has to be w.shape[0]"),
            ((np.zeros(4), 0.5, given["X"][0], given["y"]), ValueError, "X has 1 axes; 2 are expected"),
            ((np.zeros(4), 0.5, given["X"] * 1j, given["y"]), TypeError, "X has dtype complex128; float64 is expected"),
        ):
            try:
                first.grad(*arguments)
            except error as raised:
                assert str(raised) == message, raised
            else:
                raise AssertionError(message)
    """)
    for code in (again, use):
        subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True, env=environment)
    assert (tmp_path / "second.py").read_text() == text
    assert "loss = -mean" in text
    assert "#     @grad(wrt=" in text


def recurrence(w, h, xs):
    last, kept = cr.scan(lambda h, x: (np.tanh(w @ h + x), h), h, xs)
    return np.sum(kept**2) + np.sum(last) + cr.cond(np.sum(h) > 0, np.sum, lambda h: np.sum(h * TABLE[:4]), (h,))


def test_loops_and_branches_are_compiled_and_large_captured_arrays_lie_beside(tmp_path):
    decorated = grad(recurrence)
    arguments = SQUARE.T / 9, np.zeros(4), X
    expected = decorated.value_and_grad(*arguments)
    path = decorated.export(tmp_path / "recurrent.py")
    assert np.array_equal(np.load(tmp_path / "recurrent.npz")["_captured_0"], TABLE)
    spec = importlib.util.spec_from_file_location("recurrent", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for made, wanted in zip(leaves(module.value_and_grad(*arguments)), leaves(expected), strict=True):
        np.testing.assert_allclose(made, wanted, rtol=1e-12)
    assert any(name.startswith("_scan") and made.signatures for name, made in vars(module).items())
    decorated.export(path)
    path.unlink()
    with pytest.raises(cr.ArgumentError, match=r"recurrent\.npz exists and was not written by export"):
        decorated.export(path)


def test_what_cannot_be_exported_says_why(tmp_path):
    special = grad(lambda x: np.sum(cr.special.polygamma(3, x)))
    special(np.ones(2))
    with pytest.raises(cr.ArgumentError, match=r"polygamma.* cannot be exported"):
        special.export(tmp_path / "special.py")


def test_files_of_others_are_left_alone(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("mine = 1\n")
    square = grad(lambda x: x**2)
    with pytest.raises(cr.ArgumentError, match="was not written by export"):
        square.export(path)
    assert path.read_text() == "mine = 1\n"
    square.export(path, overwrite=True)
    square.export(path)
